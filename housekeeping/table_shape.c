/* SPDX-License-Identifier: MIT */
/*
 * A table's shape: the texts that make it, and what they say.
 *
 * A new name in these texts is SQLite's work: in a savepoint it renames the table itself, by
 * ALTER TABLE, which knows a foreign key to the table, a CHECK that names it, and the
 * statements of a trigger; the texts are read and the savepoint is rolled back.  Only the
 * schema is written for that, no row.  What is left to do here is the name right behind CREATE.
 *
 *     savepoint - [make it, if it is another file's] - rename - read - rollback
 *
 * ALTER TABLE reads all views and triggers, and fails if one does not work, also one that has
 * nothing to do with the table.  Then it is tried again without them, in the same savepoint.
 *
 * Threads: the one that runs the job.
 */
#include "housekeeping/table.h"

#include "base/alloc.h"

static char *column_copy(sqlite3_stmt *stmt, int column)
{
    const char *text = (const char *)sqlite3_column_text(stmt, column);

    return text != NULL ? lido__copy(text, (size_t)sqlite3_column_bytes(stmt, column))
                        : NULL;
}

/* Room for one more; NULL: no memory. */
static void *grow(void *list, int count, size_t size)
{
    return sqlite3_realloc64(list, (sqlite3_uint64)(count + 1) * size);
}

static void free_objects(struct lido__shape *shape)
{
    for (int i = 0; i < shape->object_count; i++) {
        lido__free(shape->objects[i].type);
        lido__free(shape->objects[i].name);
        lido__free(shape->objects[i].sql);
    }
    lido__free(shape->objects);
    shape->objects = NULL;
    shape->object_count = 0;
}

void lido__shape_free(struct lido__shape *shape)
{
    free_objects(shape);
    for (int i = 0; i < shape->column_count; i++)
        lido__free(shape->columns[i].name);
    lido__free(shape->columns);
    *shape = (struct lido__shape){ 0 };
}

/* Runs a statement to its end and hands each row to `row`, which answers LIDO_OK. */
static int each_row(struct lido__seat *seat, sqlite3_stmt *stmt,
                    int (*row)(struct lido__shape *shape, sqlite3_stmt *stmt),
                    struct lido__shape *shape, struct lido_error *err)
{
    int rc;

    while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
        rc = row(shape, stmt);
        if (rc != LIDO_OK) {
            sqlite3_finalize(stmt);
            return lido_fail(err, rc, "reading the schema: out of memory");
        }
    }
    if (rc != SQLITE_DONE)
        rc = lido__seat_fail(seat, rc, "reading the schema", err);
    else
        rc = LIDO_OK;
    sqlite3_finalize(stmt);
    return rc;
}

static int note_object(struct lido__shape *shape, sqlite3_stmt *stmt)
{
    struct lido__object *list, *object;

    list = grow(shape->objects, shape->object_count, sizeof *list);
    if (list == NULL)
        return SQLITE_NOMEM;
    shape->objects = list;
    object = &list[shape->object_count++];
    object->type = column_copy(stmt, 0);
    object->name = column_copy(stmt, 1);
    object->sql = column_copy(stmt, 2);
    if (object->type == NULL || object->name == NULL || object->sql == NULL)
        return SQLITE_NOMEM;
    if (strcmp(object->type, "index") == 0)
        shape->parts |= LIDO_PART_INDEX;
    else if (strcmp(object->type, "trigger") == 0)
        shape->parts |= LIDO_PART_TRIGGER;
    else if (lido__create_has_word(object->sql, "CHECK"))
        shape->parts |= LIDO_PART_CHECK;
    return LIDO_OK;
}

static int read_objects(struct lido__seat *seat, const char *schema, const char *table,
                        struct lido__shape *shape, struct lido_error *err)
{
    sqlite3_stmt *stmt;
    const int rc = lido__seat_prepare(
        seat, &stmt,
        sqlite3_mprintf("SELECT type, name, sql FROM \"%w\".sqlite_schema"
                        " WHERE tbl_name = ?1 COLLATE NOCASE AND sql IS NOT NULL"
                        " ORDER BY rowid",
                        schema),
        table, NULL, err);

    return rc == LIDO_OK ? each_row(seat, stmt, note_object, shape, err) : rc;
}

/* Those that CREATE TABLE AS SELECT writes itself. */
static bool is_plain_type(const char *type)
{
    return type[0] == '\0' || sqlite3_stricmp(type, "INT") == 0 ||
           sqlite3_stricmp(type, "NUM") == 0 || sqlite3_stricmp(type, "REAL") == 0 ||
           sqlite3_stricmp(type, "TEXT") == 0;
}

static int note_column(struct lido__shape *shape, sqlite3_stmt *stmt)
{
    struct lido__column *list = grow(shape->columns, shape->column_count, sizeof *list);
    const char *type = (const char *)sqlite3_column_text(stmt, 1);

    if (list == NULL)
        return SQLITE_NOMEM;
    shape->columns = list;
    list += shape->column_count++;
    list->is_generated = sqlite3_column_int(stmt, 5) > 1;
    list->is_key = sqlite3_column_int(stmt, 4) != 0;
    list->is_left_out = false;
    list->name = column_copy(stmt, 0);
    if (list->name == NULL)
        return SQLITE_NOMEM;
    shape->parts |= type != NULL && !is_plain_type(type) ? LIDO_PART_TYPES : 0;
    shape->parts |= sqlite3_column_int(stmt, 2) != 0 ? LIDO_PART_NOT_NULL : 0;
    shape->parts |= sqlite3_column_type(stmt, 3) != SQLITE_NULL ? LIDO_PART_DEFAULT : 0;
    shape->parts |= sqlite3_column_int(stmt, 4) != 0 ? LIDO_PART_PRIMARY_KEY : 0;
    shape->parts |= list->is_generated ? LIDO_PART_GENERATED : 0;
    return LIDO_OK;
}

static int note_rest(struct lido__shape *shape, sqlite3_stmt *stmt)
{
    shape->parts |= sqlite3_column_int(stmt, 0) != 0 ? LIDO_PART_WITHOUT_ROWID : 0;
    shape->parts |= sqlite3_column_int(stmt, 1) != 0 ? LIDO_PART_STRICT : 0;
    shape->parts |= sqlite3_column_int(stmt, 2) != 0 ? LIDO_PART_UNIQUE : 0;
    shape->parts |= sqlite3_column_int(stmt, 3) != 0 ? LIDO_PART_FOREIGN_KEY : 0;
    /* Any other primary key has an index. */
    shape->has_alias = (shape->parts & LIDO_PART_PRIMARY_KEY) != 0 &&
                       (shape->parts & LIDO_PART_WITHOUT_ROWID) == 0 &&
                       sqlite3_column_int(stmt, 4) == 0;
    return LIDO_OK;
}

static int note_sequence(struct lido__shape *shape, sqlite3_stmt *stmt)
{
    shape->has_sequence = true;
    shape->sequence = sqlite3_column_int64(stmt, 0);
    return LIDO_OK;
}

/* Collations and AUTOINCREMENT, which no pragma tells. */
static int read_metadata(struct lido__seat *seat, const char *schema, const char *table,
                         struct lido__shape *shape, struct lido_error *err)
{
    for (int i = 0; i < shape->column_count; i++) {
        const char *type, *collation;
        int not_null, is_key, is_auto, rc;

        rc = sqlite3_table_column_metadata(seat->db, schema, table, shape->columns[i].name,
                                           &type, &collation, &not_null, &is_key, &is_auto);
        if (rc != SQLITE_OK)
            return lido__seat_fail(seat, rc, "reading the schema", err);
        if (collation != NULL && sqlite3_stricmp(collation, "BINARY") != 0)
            shape->parts |= LIDO_PART_COLLATION;
        shape->parts |= is_auto ? LIDO_PART_AUTOINCREMENT : 0;
    }
    return LIDO_OK;
}

static const char *free_rowid(const struct lido__shape *shape)
{
    static const char *const names[] = { "rowid", "_rowid_", "oid" };

    if (shape->parts & LIDO_PART_WITHOUT_ROWID)
        return NULL;
    for (int n = 0; n < 3; n++) {
        int i = 0;

        while (i < shape->column_count &&
               sqlite3_stricmp(shape->columns[i].name, names[n]) != 0)
            i++;
        if (i == shape->column_count)
            return names[n];
    }
    return NULL;
}

int lido__shape_read(struct lido__seat *seat, const char *schema, const char *table,
                     struct lido__shape *shape, struct lido_error *err)
{
    static const char columns[] = "SELECT name, type, \"notnull\", dflt_value, pk, hidden"
                                  " FROM pragma_table_xinfo(?1, ?2) ORDER BY cid";
    static const char rest[] =
        "SELECT wr, strict,"
        " (SELECT count(*) FROM pragma_index_list(?1, ?2) WHERE origin = 'u'),"
        " (SELECT count(*) FROM pragma_foreign_key_list(?1, ?2)),"
        " (SELECT count(*) FROM pragma_index_list(?1, ?2) WHERE origin = 'pk')"
        " FROM pragma_table_list(?1) WHERE schema = ?2 COLLATE NOCASE";
    sqlite3_stmt *stmt;
    int rc;

    *shape = (struct lido__shape){ 0 };
    rc = read_objects(seat, schema, table, shape, err);
    if (rc == LIDO_OK)
        rc = lido__seat_prepare(seat, &stmt, sqlite3_mprintf("%s", columns), table, schema,
                                err);
    if (rc == LIDO_OK)
        rc = each_row(seat, stmt, note_column, shape, err);
    if (rc == LIDO_OK)
        rc = lido__seat_prepare(seat, &stmt, sqlite3_mprintf("%s", rest), table, schema,
                                err);
    if (rc == LIDO_OK)
        rc = each_row(seat, stmt, note_rest, shape, err);
    if (rc == LIDO_OK)
        rc = read_metadata(seat, schema, table, shape, err);
    if (rc == LIDO_OK && (shape->parts & LIDO_PART_AUTOINCREMENT)) {
        rc = lido__seat_prepare(
            seat, &stmt,
            sqlite3_mprintf("SELECT seq FROM \"%w\".sqlite_sequence"
                            " WHERE name = ?1 COLLATE NOCASE AND seq IS NOT NULL",
                            schema),
            table, NULL, err);
        if (rc == LIDO_OK)
            rc = each_row(seat, stmt, note_sequence, shape, err);
    }
    shape->rowid = free_rowid(shape);
    return rc;
}

/* --- another name ------------------------------------------------------------------------- */

static int note_any(struct lido__shape *list, sqlite3_stmt *stmt)
{
    return note_object(list, stmt);
}

/* Drops the views and triggers of a schema, but the table's own triggers if they are wanted. */
static int drop_readers(struct lido__seat *seat, const char *schema, const char *table,
                        bool but_own, struct lido_error *err)
{
    struct lido__shape list = { 0 };
    sqlite3_stmt *stmt;
    int rc = lido__seat_prepare(
        seat, &stmt,
        sqlite3_mprintf(
            "SELECT type, name, '' FROM \"%w\".sqlite_schema WHERE type = 'view'"
            " OR (type = 'trigger' AND (?2 OR tbl_name <> ?1 COLLATE NOCASE))"
            " ORDER BY type = 'view'",
            schema),
        table, but_own ? "0" : "1", err);

    if (rc == LIDO_OK)
        rc = each_row(seat, stmt, note_any, &list, err);
    for (int i = 0; rc == LIDO_OK && i < list.object_count; i++)
        rc = lido__seat_exec(seat,
                             sqlite3_mprintf("DROP %s \"%w\".\"%w\"", list.objects[i].type,
                                             schema, list.objects[i].name),
                             "reading the table's text", err);
    lido__shape_free(&list);
    return rc;
}

static int alter(struct lido__seat *seat, const char *schema, const char *table,
                 const char *new_name, struct lido_error *err)
{
    return lido__seat_exec(seat,
                           sqlite3_mprintf("ALTER TABLE \"%w\".\"%w\" RENAME TO \"%w\"",
                                           schema, table, new_name),
                           "reading the table's text", err);
}

/* What is in the way of its old name gets another for now. */
static int make_room(struct lido__seat *seat, const char *schema, const char *table,
                     struct lido_error *err)
{
    sqlite3_stmt *stmt;
    unsigned char chance[12];
    char *name = NULL;
    int kind, rc = lido__table_kind(seat, schema, table, &kind, err);

    if (rc != LIDO_OK)
        return rc;
    if (kind == 0 || kind == LIDO_TABLE_VIEW) /* views are gone here */
        return lido__seat_exec(
            seat, sqlite3_mprintf("DROP INDEX IF EXISTS \"%w\".\"%w\"", schema, table),
            "reading the table's text", err);
    sqlite3_randomness(sizeof chance, chance);
    rc = lido__seat_prepare(seat, &stmt, sqlite3_mprintf("SELECT 'lido_' || hex(?1)"), NULL,
                            NULL, err);
    if (rc != LIDO_OK)
        return rc;
    if (sqlite3_bind_blob(stmt, 1, chance, sizeof chance, SQLITE_STATIC) == SQLITE_OK &&
        sqlite3_step(stmt) == SQLITE_ROW)
        name = column_copy(stmt, 0);
    sqlite3_finalize(stmt);
    if (name == NULL)
        return lido_fail(err, SQLITE_NOMEM, "reading the table's text: out of memory");
    rc = alter(seat, schema, table, name, err);
    lido__free(name);
    return rc;
}

static int make_and_alter(struct lido__seat *seat, const char *schema, const char *table,
                          bool with_triggers, const char *new_name,
                          const struct lido__shape *shape, struct lido_error *err)
{
    int ignored, rc = drop_readers(seat, schema, table, false, err);

    if (rc == LIDO_OK)
        rc = drop_readers(seat, "temp", table, false, err);
    if (rc == LIDO_OK)
        rc = make_room(seat, schema, table, err);
    if (rc == LIDO_OK)
        rc = lido__shape_make_table(seat, schema, table, shape, err);
    /* An index of the source that has the new name must take another here. */
    if (rc == LIDO_OK)
        rc = lido__seat_exec(
            seat, sqlite3_mprintf("CREATE TABLE \"%w\".\"%w\"(x)", schema, new_name),
            "reading the table's text", err);
    if (rc == LIDO_OK)
        rc = lido__shape_make_others(seat, schema, table, shape, "index", true, &ignored,
                                     err);
    if (rc == LIDO_OK && with_triggers)
        rc = lido__shape_make_others(seat, schema, table, shape, "trigger", true, &ignored,
                                     err);
    if (rc == LIDO_OK)
        rc = lido__seat_exec(seat,
                             sqlite3_mprintf("DROP TABLE \"%w\".\"%w\"", schema, new_name),
                             "reading the table's text", err);
    return rc == LIDO_OK ? alter(seat, schema, table, new_name, err) : rc;
}

static int alter_there(struct lido__seat *seat, const char *schema, const char *table,
                       bool with_triggers, const char *new_name, struct lido_error *err)
{
    struct lido_error story = LIDO_ERROR_INIT;
    int rc = alter(seat, schema, table, new_name, &story);

    if ((rc & 0xff) != SQLITE_ERROR) {
        if (rc != LIDO_OK && err != NULL)
            *err = story;
        return rc;
    }
    /* Without memory SQLite could not take back that one statement alone. */
    if (sqlite3_get_autocommit(seat->db) != 0)
        return lido_fail(err, LIDO_TXN_OVER, "SQLite rolled back by itself after %.180s",
                         story.text);
    rc = drop_readers(seat, schema, table, with_triggers, err);
    if (rc == LIDO_OK && sqlite3_stricmp(schema, "temp") != 0)
        rc = drop_readers(seat, "temp", table, false, err);
    return rc == LIDO_OK ? alter(seat, schema, table, new_name, err) : rc;
}

/* It may have had to take another name in the savepoint: the one that it had counts. */
static void keep_names(struct lido__shape *from, struct lido__shape *into, const char *type)
{
    int next = 0;

    for (int i = 0; i < into->object_count; i++) {
        char *name = into->objects[i].name;

        if (strcmp(into->objects[i].type, type) != 0)
            continue;
        while (next < from->object_count && strcmp(from->objects[next].type, type) != 0)
            next++;
        if (next == from->object_count)
            return;
        into->objects[i].name = from->objects[next].name;
        from->objects[next++].name = name;
    }
}

int lido__shape_rename(struct lido__seat *seat, const char *schema, const char *table,
                       bool is_there, bool with_triggers, const char *new_name,
                       struct lido__shape *shape, struct lido_error *err)
{
    struct lido__shape renamed = { 0 };
    int rc = lido__seat_exec(seat, sqlite3_mprintf("SAVEPOINT lido_shape"),
                             "reading the table's text", err);

    if (rc != LIDO_OK)
        return rc;
    rc = is_there
             ? alter_there(seat, schema, table, with_triggers, new_name, err)
             : make_and_alter(seat, schema, table, with_triggers, new_name, shape, err);
    if (rc == LIDO_OK)
        rc = read_objects(seat, schema, new_name, &renamed, err);
    /* After a failure the whole transaction is rolled back anyway. */
    if (rc == LIDO_OK)
        rc = lido__seat_exec(seat, sqlite3_mprintf("ROLLBACK TO lido_shape"),
                             "reading the table's text", err);
    if (rc == LIDO_OK)
        rc = lido__seat_exec(seat, sqlite3_mprintf("RELEASE lido_shape"),
                             "reading the table's text", err);
    if (rc == LIDO_OK) {
        keep_names(shape, &renamed, "index");
        keep_names(shape, &renamed, "trigger");
        free_objects(shape);
        shape->objects = renamed.objects;
        shape->object_count = renamed.object_count;
        return LIDO_OK;
    }
    lido__shape_free(&renamed);
    return rc;
}
