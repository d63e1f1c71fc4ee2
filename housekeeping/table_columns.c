/* SPDX-License-Identifier: MIT */
/*
 * A table of some of another's columns.
 *
 * The text that made the first is taken apart: a column stays as it was declared, and what is
 * declared for the table stays if it works without the columns that are left out.  Whether it
 * does SQLite is asked, by making the table: first of the columns alone, which has to work,
 * then with one thing more each time.
 *
 *     savepoint - make - rollback      columns              or the copy fails
 *     savepoint - make - rollback      columns, CHECK       or the CHECK is lost
 *     ...
 *
 * A name in double quotes that is no column is a text to SQLite, where that is allowed, and
 * the constraint would mean something else: for these trials it is not.
 *
 * Threads: the one that runs the job.
 */
#include "housekeeping/table.h"

#include "base/alloc.h"
#include <string.h>

/* --- which ---------------------------------------------------------------------------- */

static int choose_one(struct lido__shape *shape, const char *table, const char *name,
                      struct lido_error *err)
{
    int i = 0, rc = lido__table_check_name(name, "the name of a column", err);

    if (rc != LIDO_OK)
        return rc;
    while (i < shape->column_count && sqlite3_stricmp(shape->columns[i].name, name) != 0)
        i++;
    if (i == shape->column_count)
        return lido_fail(err, LIDO_NOT_FOUND, "\"%.80s\" has no column \"%.80s\"", table,
                         name);
    if (!shape->columns[i].is_left_out)
        return lido_fail(err, LIDO_BAD_OPTION, "the column \"%.80s\" is named twice", name);
    shape->columns[i].is_left_out = false;
    return LIDO_OK;
}

int lido__shape_choose(struct lido__shape *shape, const char *table,
                       const char *const *names, size_t count, struct lido_error *err)
{
    int rc = LIDO_OK;

    for (int i = 0; i < shape->column_count; i++)
        shape->columns[i].is_left_out = true;
    for (size_t i = 0; rc == LIDO_OK && i < count; i++)
        rc = choose_one(shape, table, names[i], err);
    return rc;
}

void lido__shape_forget(struct lido__shape *shape)
{
    int kept = 0;

    for (int i = 0; i < shape->column_count; i++) {
        if (shape->columns[i].is_left_out)
            lido__free(shape->columns[i].name);
        else
            shape->columns[kept++] = shape->columns[i];
    }
    shape->column_count = kept;
}

/* --- a text ----------------------------------------------------------------------------- */

struct cut {
    struct lido__piece *pieces;
    int count, columns;
    bool *is_kept; /* of each */
};

static char *write_text(const struct cut *cut)
{
    sqlite3_str *text = sqlite3_str_new(NULL);
    const char *between = "";
    bool is_closed = false;

    sqlite3_str_appendall(text, "CREATE TABLE t(");
    for (int i = 0; i < cut->count; i++) {
        const struct lido__piece *piece = &cut->pieces[i];

        if (!is_closed && piece->kind == LIDO__PIECE_OPTION) {
            sqlite3_str_appendall(text, ")");
            between = " ";
            is_closed = true;
        }
        if (!cut->is_kept[i])
            continue;
        sqlite3_str_appendf(text, "%s%.*s", between, piece->length, piece->text);
        between = ", ";
    }
    if (!is_closed)
        sqlite3_str_appendall(text, ")");
    return sqlite3_str_finish(text);
}

/* The columns come first, and are those that SQLite tells of in the same order. */
static int split(struct cut *cut, const struct lido__shape *shape, const char *sql,
                 struct lido_error *err)
{
    int rc = lido__create_split(sql, &cut->pieces, &cut->count);

    while (rc == LIDO_OK && cut->columns < cut->count &&
           cut->pieces[cut->columns].kind == LIDO__PIECE_COLUMN)
        cut->columns++;
    if (rc == LIDO_OK && cut->columns != shape->column_count)
        rc = SQLITE_ERROR;
    if (rc == SQLITE_ERROR)
        return lido_fail(err, rc, "the text of the table is not one of %d columns",
                         shape->column_count);
    if (rc == LIDO_OK)
        cut->is_kept = sqlite3_malloc64(((sqlite3_uint64)cut->count + 1) * sizeof(bool));
    if (cut->is_kept == NULL)
        return lido_fail(err, SQLITE_NOMEM, "choosing columns: out of memory");
    for (int i = 0; i < cut->count; i++)
        cut->is_kept[i] = i < cut->columns && !shape->columns[i].is_left_out;
    return LIDO_OK;
}

static void free_cut(struct cut *cut)
{
    sqlite3_free(cut->pieces);
    sqlite3_free(cut->is_kept);
}

/* --- trials ------------------------------------------------------------------------------- */

static int exec(struct lido__seat *seat, const char *sql, struct lido_error *err)
{
    return lido__seat_exec(seat, sqlite3_mprintf("%s", sql), "choosing columns", err);
}

/* Does it work, with nothing left behind?  *story says why not. */
static int try_object(struct lido__seat *seat, const char *schema, const char *name,
                      struct lido__object *object, bool *works, struct lido_error *story)
{
    struct lido__shape one = { .objects = object, .object_count = 1 };
    int now = 0, ignored, rc = exec(seat, "SAVEPOINT lido_cut", story);

    *works = false;
    if (rc != LIDO_OK)
        return rc;
    sqlite3_db_config(seat->db, SQLITE_DBCONFIG_DQS_DDL, -1, &now);
    sqlite3_db_config(seat->db, SQLITE_DBCONFIG_DQS_DDL, 0, (int *)NULL);
    rc = strcmp(object->type, "table") == 0
             ? lido__shape_make_table(seat, schema, name, &one, story)
             : lido__shape_make_others(seat, schema, name, &one, object->type, true,
                                       &ignored, story);
    sqlite3_db_config(seat->db, SQLITE_DBCONFIG_DQS_DDL, now, (int *)NULL);
    *works = rc == LIDO_OK;
    if (rc != LIDO_OK && ((rc & 0xff) != SQLITE_ERROR || sqlite3_get_autocommit(seat->db)))
        return rc;
    rc = exec(seat, "ROLLBACK TO lido_cut", *works ? story : NULL);
    return rc == LIDO_OK ? exec(seat, "RELEASE lido_cut", *works ? story : NULL) : rc;
}

/* The text of what is kept becomes the table's. */
static int try_cut(struct lido__seat *seat, const char *schema, const char *name,
                   const struct cut *cut, struct lido__object *table, bool *works,
                   struct lido_error *story)
{
    char *text = write_text(cut);

    *works = false;
    if (text == NULL)
        return lido_fail(story, SQLITE_NOMEM, "choosing columns: out of memory");
    lido__free(table->sql);
    table->sql = text;
    return try_object(seat, schema, name, table, works, story);
}

/* Does a text speak of a column that is left out, of a name that SQLite takes for the rowid
   where no column has it?  It would work, and mean something else. */
static bool means_rowid(const struct lido__shape *shape, const char *text, int length)
{
    static const char *const names[] = { "rowid", "_rowid_", "oid" };

    for (int i = 0; i < shape->column_count; i++)
        for (int n = 0; n < 3 && shape->columns[i].is_left_out; n++) {
            const int size = (int)strlen(names[n]);

            if (sqlite3_stricmp(shape->columns[i].name, names[n]) != 0)
                continue;
            for (int at = 0; at + size <= length; at++)
                if (sqlite3_strnicmp(text + at, names[n], size) == 0)
                    return true;
        }
    return false;
}

static int part_of(const struct lido__piece *piece)
{
    if (piece->kind != LIDO__PIECE_OPTION)
        return piece->part;
    return sqlite3_strnicmp(piece->text, "STRICT", 6) == 0 ? LIDO_PART_STRICT
                                                           : LIDO_PART_WITHOUT_ROWID;
}

/* What was declared with columns that are left out. */
static int lost_with(struct lido__shape *shape)
{
    bool has_key = true;

    for (int i = 0; i < shape->column_count; i++)
        has_key = has_key && !(shape->columns[i].is_key && shape->columns[i].is_left_out);
    if (has_key)
        return 0;
    shape->has_sequence = false;
    return LIDO_PART_PRIMARY_KEY | (shape->parts & LIDO_PART_AUTOINCREMENT);
}

static int cut_text(struct lido__seat *seat, const char *schema, const char *name,
                    struct lido__shape *shape, struct cut *cut, struct lido__object *table,
                    int *lost, struct lido_error *err)
{
    struct lido_error story = LIDO_ERROR_INIT;
    bool works;
    int rc = try_cut(seat, schema, name, cut, table, &works, &story);

    if (rc == LIDO_OK && !works)
        return lido_fail(err, SQLITE_ERROR,
                         "these columns alone: %.120s; copy those that they name too, or "
                         "append to a table that is there",
                         story.text);
    *lost |= lost_with(shape);
    for (int i = cut->columns; rc == LIDO_OK && i < cut->count; i++) {
        cut->is_kept[i] = true;
        rc = try_cut(seat, schema, name, cut, table, &works, &story);
        works = works && !means_rowid(shape, cut->pieces[i].text, cut->pieces[i].length);
        cut->is_kept[i] = works;
        *lost |= works ? 0 : part_of(&cut->pieces[i]);
    }
    if (rc != LIDO_OK) {
        if (err != NULL)
            *err = story;
        return rc;
    }
    lido__free(table->sql);
    table->sql = write_text(cut);
    return table->sql != NULL
               ? LIDO_OK
               : lido_fail(err, SQLITE_NOMEM, "choosing columns: out of memory");
}

static int cut_table(struct lido__seat *seat, const char *schema, const char *name,
                     struct lido__shape *shape, struct lido__object *table, int *lost,
                     struct lido_error *err)
{
    struct cut cut = { 0 };
    char *sql = table->sql; /* the pieces point into it */
    int rc = split(&cut, shape, sql, err);

    table->sql = NULL;
    if (rc == LIDO_OK)
        rc = cut_text(seat, schema, name, shape, &cut, table, lost, err);
    lido__free(sql);
    free_cut(&cut);
    return rc;
}

/* Those that need a column which is not there are left out. */
static int cut_indexes(struct lido__seat *seat, const char *schema, const char *name,
                       struct lido__shape *shape, int *lost, struct lido_error *err)
{
    int kept = 0, rc = LIDO_OK;

    for (int i = 0; i < shape->object_count; i++) {
        struct lido__object object = shape->objects[i];
        const bool is_index = object.sql != NULL && strcmp(object.type, "index") == 0;
        bool works = true;

        if (rc == LIDO_OK && is_index)
            rc = try_object(seat, schema, name, &object, &works, err);
        if (works && is_index)
            works = !means_rowid(shape, object.sql, (int)strlen(object.sql));
        if (rc != LIDO_OK || works) {
            shape->objects[kept++] = object;
            continue;
        }
        *lost |= LIDO_PART_INDEX;
        lido__free(object.type);
        lido__free(object.name);
        lido__free(object.sql);
    }
    shape->object_count = kept;
    return rc;
}

int lido__shape_make_some(struct lido__seat *seat, const char *schema, const char *name,
                          struct lido__shape *shape, int *lost, struct lido_error *err)
{
    int i = 0, rc = LIDO_OK;

    while (i < shape->object_count && strcmp(shape->objects[i].type, "table") != 0)
        i++;
    if (i < shape->object_count)
        rc = cut_table(seat, schema, name, shape, &shape->objects[i], lost, err);
    if (rc == LIDO_OK)
        rc = lido__shape_make_table(seat, schema, name, shape, err);
    return rc == LIDO_OK ? cut_indexes(seat, schema, name, shape, lost, err) : rc;
}
