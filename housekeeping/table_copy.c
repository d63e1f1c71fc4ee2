/* SPDX-License-Identifier: MIT */
/*
 * A table copied between databases.
 *
 *     from: a lease, LIDO_READ        --- rows --->   into: a lease, LIDO_IMMEDIATE
 *
 * The target waits for its lock first, so that the source is read as it is when the copy can
 * begin; and the source's transaction ends before the target's COMMIT: two copies that go
 * opposite ways in rollback-journal mode then never wait for each other's readers.
 *
 * Where both are one file, in rollback-journal mode the COMMIT would wait for the job's own
 * reader: there, and where both are one pool, the target's lease reads too.
 *
 * Where both are plain files the target's lease reads as well: the source is attached to its
 * connection (table_insert.c), for 200,000 rows in 0.45 of the time.
 *
 * Threads: any; a job runs on the one that calls it.
 */
#include "housekeeping/table.h"

#include <string.h>
#include <sys/stat.h>

struct copy {
    const struct lido_table_copy_options *options;
    const char *from_schema, *into_schema, *table, *name;
    struct lido__seat from_seat, into;
    struct lido__seat *from; /* one of the two */
    struct lido__shape shape, there;
    char attached[LIDO__ATTACH_SIZE]; /* as what the source is; "": it is not */
    bool is_locked;                   /* its own connection keeps writers from it */
    struct lido_table_result done;
};

static bool look_at_file(sqlite3 *db, const char *schema, struct stat *file)
{
    const char *path = sqlite3_db_filename(db, schema);

    return path != NULL && path[0] != '\0' && stat(path, file) == 0;
}

/* As strcmp(): 0 is one file.  False: one of them is none. */
static bool compare_files(const struct copy *copy, int *order)
{
    struct stat from, into;

    if (!look_at_file(copy->from_seat.db, copy->from_schema, &from) ||
        !look_at_file(copy->into.db, copy->into_schema, &into))
        return false;
    *order = from.st_dev != into.st_dev   ? (from.st_dev < into.st_dev ? -1 : 1)
             : from.st_ino != into.st_ino ? (from.st_ino < into.st_ino ? -1 : 1)
                                          : 0;
    return true;
}

static bool is_one_file(const struct copy *copy)
{
    int order;

    return compare_files(copy, &order) && order == 0;
}

static int open_both(struct copy *copy, struct lido__work *work, struct lido_database from,
                     struct lido_database into, struct lido_error *err)
{
    int rc = lido__seat_open(&copy->into, work, into, &lido__table_seat, err);

    copy->from = &copy->into;
    if (rc != LIDO_OK || (from.pool != NULL && from.pool == into.pool))
        return rc;
    rc = lido__seat_open(&copy->from_seat, work, from, &lido__table_seat, err);
    if (rc != LIDO_OK)
        return rc;
    if (!is_one_file(copy)) {
        copy->from = &copy->from_seat;
        return LIDO_OK;
    }
    copy->from_schema = copy->into_schema;
    return lido__seat_close(&copy->from_seat, LIDO_OK, err);
}

/* From now on the source is read by the target's connection, if it can be. */
static int attach(struct copy *copy, struct lido_error *err)
{
    char name[LIDO__ATTACH_SIZE];
    bool is_attached;
    const int rc = lido__attach(&copy->into,
                                sqlite3_db_filename(copy->from_seat.db, copy->from_schema),
                                name, &is_attached, err);

    if (!is_attached)
        return rc;
    memcpy(copy->attached, name, sizeof name);
    copy->from_schema = copy->attached;
    copy->from = &copy->into;
    return copy->from_seat.is_begun ? LIDO_OK
                                    : lido__seat_close(&copy->from_seat, LIDO_OK, err);
}

/* Both transactions begin. */
static int begin_both(struct copy *copy, struct lido_error *err)
{
    bool may = false;
    int order = 0, rc = lido__work_phase(copy->into.work, "waiting", "", 0, err);

    /* What `where` names the target may have too, and is not to be told apart from it. */
    if (rc == LIDO_OK && copy->from == &copy->from_seat && copy->options->where == NULL &&
        copy->options->conflict == LIDO_CONFLICT_ABORT) {
        rc = lido__table_expect_plain(copy->from, copy->from_schema, copy->table, "copied",
                                      err);
        if (rc == LIDO_OK)
            rc = lido__attach_may(copy->from, copy->from_schema, &copy->into,
                                  copy->into_schema, &may, &copy->is_locked, err);
    }
    may = may && (!copy->is_locked || compare_files(copy, &order));
    copy->is_locked = copy->is_locked && may;
    if (rc == LIDO_OK && copy->is_locked && order < 0)
        rc = lido__seat_begin(&copy->from_seat, LIDO_IMMEDIATE, err);
    if (rc == LIDO_OK)
        rc = lido__seat_begin(&copy->into, LIDO_IMMEDIATE, err);
    if (rc == LIDO_OK && copy->is_locked && order > 0)
        rc = lido__seat_begin(&copy->from_seat, LIDO_IMMEDIATE, err);
    if (rc == LIDO_OK && may)
        rc = attach(copy, err);
    if (rc == LIDO_OK && copy->from == &copy->from_seat && !copy->from_seat.is_begun)
        rc = lido__seat_begin(copy->from, LIDO_READ, err);
    return rc;
}

static bool is_itself(const struct copy *copy)
{
    return copy->from == &copy->into &&
           sqlite3_stricmp(copy->from_schema, copy->into_schema) == 0 &&
           sqlite3_stricmp(copy->table, copy->name) == 0;
}

/* The table is made, in the place of one that may be there. */
static int make_anew(struct copy *copy, bool is_there, struct lido_error *err)
{
    struct lido__seat *into = &copy->into;
    const bool is_renamed = sqlite3_stricmp(copy->table, copy->name) != 0;
    int rc = LIDO_OK;

    if (is_there)
        rc = lido__seat_exec(
            into,
            sqlite3_mprintf("DROP TABLE \"%w\".\"%w\"", copy->into_schema, copy->name),
            "dropping the table that is replaced", err);
    else
        rc = lido__table_expect_free(into, copy->into_schema, copy->name, err);
    if (rc == LIDO_OK && is_renamed)
        rc =
            lido__shape_rename(into, copy->into_schema, copy->table, false,
                               copy->options->triggers != 0, copy->name, &copy->shape, err);
    if (rc != LIDO_OK)
        return rc;
    return copy->options->columns != NULL
               ? lido__shape_make_some(into, copy->into_schema, copy->name, &copy->shape,
                                       &copy->done.lost, err)
               : lido__shape_make_table(into, copy->into_schema, copy->name, &copy->shape,
                                        err);
}

/* One that says UPDATE OF a column that was left out is read by ALTER TABLE alone. */
static int try_rename(struct copy *copy, struct lido_error *err)
{
    struct lido__shape ignored = { 0 };
    unsigned long long chance;
    char between[40];
    int rc;

    sqlite3_randomness(sizeof chance, &chance);
    sqlite3_snprintf(sizeof between, between, "lido_%llx", chance);
    rc = lido__shape_rename(&copy->into, copy->into_schema, copy->name, true, true, between,
                            &ignored, err);
    lido__shape_free(&ignored);
    return rc;
}

static int try_triggers(struct copy *copy, struct lido_error *err)
{
    int rc = LIDO_OK;

    if (copy->done.triggers > 0)
        rc = lido__shape_try_triggers(&copy->into, copy->into_schema, copy->name,
                                      &copy->shape, err);
    if (rc == LIDO_OK && copy->done.triggers > 0 && copy->options->columns != NULL)
        rc = try_rename(copy, err);
    return rc;
}

static int finish_new(struct copy *copy, struct lido_error *err)
{
    struct lido__work *work = copy->into.work;
    int rc = lido__shape_set_sequence(&copy->into, copy->into_schema, copy->name,
                                      &copy->shape, err);

    if (!copy->options->indexes)
        copy->done.lost |= copy->shape.parts & LIDO_PART_INDEX;
    if (!copy->options->triggers)
        copy->done.lost |= copy->shape.parts & LIDO_PART_TRIGGER;
    if (rc != LIDO_OK || (!copy->options->indexes && !copy->options->triggers))
        return rc;
    rc = lido__work_phase(work, "indexing", "statements", 0, err);
    if (rc == LIDO_OK && copy->options->indexes)
        rc = lido__shape_make_others(&copy->into, copy->into_schema, copy->name,
                                     &copy->shape, "index", true, &copy->done.indexes, err);
    if (rc == LIDO_OK && copy->options->triggers)
        rc = lido__shape_make_others(&copy->into, copy->into_schema, copy->name,
                                     &copy->shape, "trigger", true, &copy->done.triggers,
                                     err);
    if (rc == LIDO_OK)
        rc = try_triggers(copy, err);
    return rc == LIDO_OK ? lido__work_done(work, err) : rc;
}

/* --- foreign keys ------------------------------------------------------------------------- */

/* The first key of the table that is broken: its parent, and in how many rows. */
static int fail_of_parent(const char *table, sqlite3_stmt *found, struct lido_error *err)
{
    const char *parent = (const char *)sqlite3_column_text(found, 0);
    const int64_t rows = sqlite3_column_int64(found, 1);

    return lido_fail(
        err, SQLITE_CONSTRAINT_FOREIGNKEY,
        "%lld %s of \"%.70s\" %s no parent in \"%.70s\"; copy that first, or leave the "
        "check out",
        (long long)rows, rows == 1 ? "row" : "rows", table, rows == 1 ? "has" : "have",
        parent != NULL ? parent : "?");
}

static int check_table(struct copy *copy, const char *table, struct lido_error *err)
{
    sqlite3_stmt *stmt;
    int rc = lido__seat_prepare(&copy->into, &stmt,
                                sqlite3_mprintf("SELECT \"parent\", count(*)"
                                                " FROM pragma_foreign_key_check(?1, ?2)"
                                                " GROUP BY fkid ORDER BY fkid LIMIT 1"),
                                table, copy->into_schema, err);

    if (rc != LIDO_OK)
        return rc;
    rc = sqlite3_step(stmt);
    if (rc == SQLITE_DONE)
        rc = LIDO_OK;
    else if (rc != SQLITE_ROW)
        rc = lido__seat_fail(&copy->into, rc, "checking foreign keys", err);
    else
        rc = fail_of_parent(table, stmt, err);
    sqlite3_finalize(stmt);
    return rc;
}

/* Those that refer to the table, of which rows may be gone. */
static int check_children(struct copy *copy, struct lido_error *err)
{
    sqlite3_stmt *stmt;
    int rc = lido__seat_prepare(
        &copy->into, &stmt,
        sqlite3_mprintf("SELECT DISTINCT m.name FROM \"%w\".sqlite_schema AS m,"
                        " pragma_foreign_key_list(m.name, ?2) AS f"
                        " WHERE m.type = 'table' AND f.\"table\" = ?1 COLLATE NOCASE"
                        " AND m.name <> ?1 COLLATE NOCASE",
                        copy->into_schema),
        copy->name, copy->into_schema, err);

    if (rc != LIDO_OK)
        return rc;
    while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
        rc = check_table(copy, (const char *)sqlite3_column_text(stmt, 0), err);
        if (rc != LIDO_OK) {
            sqlite3_finalize(stmt);
            return rc;
        }
    }
    rc = rc == SQLITE_DONE ? LIDO_OK
                           : lido__seat_fail(&copy->into, rc, "checking foreign keys", err);
    sqlite3_finalize(stmt);
    return rc;
}

static int check_foreign_keys(struct copy *copy, struct lido_error *err)
{
    const struct lido_table_copy_options *options = copy->options;
    int rc;

    if (!options->check_foreign_keys)
        return LIDO_OK;
    rc = lido__work_phase(copy->into.work, "checking", "rows", 0, err);
    if (rc == LIDO_OK)
        rc = check_table(copy, copy->name, err);
    if (rc == LIDO_OK &&
        (options->mode == LIDO_COPY_REPLACE || options->conflict == LIDO_CONFLICT_REPLACE))
        rc = check_children(copy, err);
    return rc == LIDO_OK ? lido__work_done(copy->into.work, err) : rc;
}

/* --- the copy ----------------------------------------------------------------------------- */

static int carry_rows(struct copy *copy, bool is_new, struct lido_error *err)
{
    const struct lido_table_copy_options *options = copy->options;
    const struct lido__carry carry = {
        .from = copy->from,
        .into = &copy->into,
        .from_schema = copy->from_schema,
        .from_table = copy->table,
        .into_schema = copy->into_schema,
        .into_table = copy->name,
        .from_shape = &copy->shape,
        .into_shape = is_new ? NULL : &copy->there,
        .where = options->where,
        .values = options->values,
        .value_count = options->value_count,
        .conflict = options->conflict,
        .has_all_columns = options->columns == NULL,
    };

    return lido__rows_carry(&carry, &copy->done, err);
}

/* The rows that a row refers to may come after it: what is broken is seen at the end. */
static int defer_foreign_keys(struct copy *copy, struct lido_error *err)
{
    return lido__seat_exec(&copy->into, sqlite3_mprintf("PRAGMA defer_foreign_keys = 1"),
                           "deferring foreign keys", err);
}

static int copy_table(struct copy *copy, struct lido_error *err)
{
    const int mode = copy->options->mode;
    int kind, rc;
    bool is_new;

    rc =
        lido__table_expect_plain(copy->from, copy->from_schema, copy->table, "copied", err);
    if (rc == LIDO_OK)
        rc = lido__table_kind(&copy->into, copy->into_schema, copy->name, &kind, err);
    if (rc == LIDO_OK && is_itself(copy))
        return lido_fail(err, SQLITE_MISUSE, "\"%.100s\" is not copied into itself",
                         copy->name);
    if (rc == LIDO_OK && kind != 0 && mode != LIDO_COPY_NEW)
        rc = lido__table_expect_plain(&copy->into, copy->into_schema, copy->name,
                                      "written to by a copy", err);
    if (rc == LIDO_OK)
        rc =
            lido__shape_read(copy->from, copy->from_schema, copy->table, &copy->shape, err);
    if (rc == LIDO_OK && copy->options->columns != NULL)
        rc = lido__shape_choose(&copy->shape, copy->table, copy->options->columns,
                                copy->options->column_count, err);
    if (rc != LIDO_OK)
        return rc;
    copy->done.parts = copy->shape.parts;
    is_new = mode != LIDO_COPY_APPEND || kind == 0;
    if (is_new) {
        lido__seat_set(&copy->into, LIDO__FOREIGN_KEYS, false);
        lido__seat_read_schema(&copy->into);
        rc = make_anew(copy, kind != 0 && mode == LIDO_COPY_REPLACE, err);
    } else {
        rc = defer_foreign_keys(copy, err);
        if (rc == LIDO_OK)
            rc = lido__shape_read(&copy->into, copy->into_schema, copy->name, &copy->there,
                                  err);
    }
    lido__shape_forget(&copy->shape);
    if (rc == LIDO_OK)
        rc = carry_rows(copy, is_new, err);
    if (rc == LIDO_OK && is_new)
        rc = finish_new(copy, err);
    return rc == LIDO_OK ? check_foreign_keys(copy, err) : rc;
}

static int check_options(const struct lido_table_copy_options *options,
                         const struct lido_table_result *result, struct lido_error *err)
{
    if (options->size != sizeof *options)
        return lido__bad_size("lido_table_copy_options", err);
    if (result != NULL && result->size != sizeof *result)
        return lido__bad_size("lido_table_result", err);
    if (options->mode < LIDO_COPY_NEW || options->mode > LIDO_COPY_REPLACE)
        return lido_fail(err, LIDO_BAD_OPTION, "mode is %d; it is one of LIDO_COPY_...",
                         options->mode);
    if (options->conflict < LIDO_CONFLICT_ABORT ||
        options->conflict > LIDO_CONFLICT_REPLACE)
        return lido_fail(err, LIDO_BAD_OPTION,
                         "conflict is %d; it is one of LIDO_CONFLICT_...",
                         options->conflict);
    if (options->value_count > 0 && (options->values == NULL || options->where == NULL))
        return lido_fail(err, LIDO_BAD_OPTION,
                         "value_count is %zu, but there are no values, or no `where`",
                         options->value_count);
    if ((options->columns != NULL) != (options->column_count > 0))
        return lido_fail(err, LIDO_BAD_OPTION, "column_count is %zu, and columns is %s",
                         options->column_count, options->columns != NULL ? "set" : "NULL");
    return LIDO_OK;
}

static int check_names(const struct copy *copy, struct lido_error *err)
{
    int rc = lido__table_check_name(copy->table, "the name of the table", err);

    if (rc == LIDO_OK)
        rc = lido__table_check_name(copy->name, "the new name", err);
    if (rc == LIDO_OK && copy->options->where != NULL)
        rc = lido__table_check_name(copy->options->where, "`where`", err);
    return rc;
}

int lido_table_copy(struct lido_database from, const char *table, struct lido_database into,
                    const struct lido_table_copy_options *options,
                    struct lido_table_result *result, struct lido_error *err)
{
    static const struct lido_table_copy_options defaults = LIDO_TABLE_COPY_OPTIONS_INIT;
    struct copy copy = { .done = LIDO_TABLE_RESULT_INIT, .table = table };
    struct lido__work work;
    int rc;

    copy.options = options = options != NULL ? options : &defaults;
    if (result != NULL && result->size == sizeof *result)
        *result = copy.done;
    rc = check_options(options, result, err);
    if (rc != LIDO_OK)
        return rc;
    copy.from_schema = options->from_schema != NULL ? options->from_schema : "main";
    copy.into_schema = options->into_schema != NULL ? options->into_schema : "main";
    copy.name = options->new_name != NULL ? options->new_name : table;
    rc = check_names(&copy, err);
    if (rc == LIDO_OK)
        rc = lido__work_begin(&work, options->job, err);
    if (rc == LIDO_OK)
        rc = lido__database_check(from, err);
    if (rc != LIDO_OK)
        return rc;
    rc = open_both(&copy, &work, from, into, err);
    if (rc == LIDO_OK)
        rc = begin_both(&copy, err);
    if (rc == LIDO_OK)
        rc = copy_table(&copy, err);
    lido__shape_free(&copy.shape);
    lido__shape_free(&copy.there);
    if (copy.is_locked) /* a COMMIT would wait for readers */
        lido__seat_leave(&copy.from_seat);
    rc = lido__seat_close(&copy.from_seat, rc, err);
    rc = lido__seat_end(&copy.into, rc, err);
    if (copy.attached[0] != '\0')
        lido__attach_end(&copy.into, copy.attached);
    rc = lido__seat_close(&copy.into, rc, err);
    if (rc == LIDO_OK && result != NULL)
        *result = copy.done;
    return rc;
}
