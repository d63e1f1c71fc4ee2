/* SPDX-License-Identifier: MIT */
/*
 * A table from its shape: the table, then its rows by others, then its indexes and triggers.
 *
 * Threads: the one that runs the job.
 */
#include "housekeeping/table.h"

#include <string.h>

/* It reads all rows: as a statement of the lease, so that it ends with the job on a static pool
   too. */
static int make_index(struct lido__seat *seat, char *sql, const char *doing,
                      struct lido_error *err)
{
    struct lido_error story = LIDO_ERROR_INIT;
    int rc;

    if (sql == NULL)
        return lido_fail(err, SQLITE_NOMEM, "%s: out of memory", doing);
    rc = lido_conn_exec(&seat->conn, sql, &story);
    sqlite3_free(sql);
    if (rc != LIDO_OK)
        lido_fail(err, rc, "%s: %.150s", doing, story.text);
    return lido__seat_judge(seat, rc, err);
}

static int make(struct lido__seat *seat, const char *schema, const char *name,
                const struct lido__object *object, struct lido_error *err)
{
    bool is_read;
    char *sql = lido__create_renamed(object->sql, schema, name, &is_read);
    char doing[100];

    if (!is_read)
        return lido_fail(err, SQLITE_ERROR,
                         "the text of the %s \"%.100s\" does not begin as SQLite writes it",
                         object->type, object->name);
    sqlite3_snprintf(sizeof doing, doing, "making the %s \"%.60s\"", object->type, name);
    return strcmp(object->type, "index") == 0 ? make_index(seat, sql, doing, err)
                                              : lido__seat_exec(seat, sql, doing, err);
}

int lido__shape_make_table(struct lido__seat *seat, const char *schema, const char *name,
                           const struct lido__shape *shape, struct lido_error *err)
{
    for (int i = 0; i < shape->object_count; i++)
        if (strcmp(shape->objects[i].type, "table") == 0)
            return make(seat, schema, name, &shape->objects[i], err);
    return lido_fail(err, SQLITE_CORRUPT, "the schema has no text of \"%.100s\"", name);
}

static int is_taken(struct lido__seat *seat, const char *schema, const char *name,
                    bool *taken, struct lido_error *err)
{
    sqlite3_stmt *stmt;
    int rc = lido__seat_prepare(seat, &stmt,
                                sqlite3_mprintf("SELECT 1 FROM \"%w\".sqlite_schema"
                                                " WHERE name = ?1 COLLATE NOCASE",
                                                schema),
                                name, NULL, err);

    if (rc != LIDO_OK)
        return rc;
    rc = sqlite3_step(stmt);
    *taken = rc == SQLITE_ROW;
    rc = rc == SQLITE_ROW || rc == SQLITE_DONE
             ? LIDO_OK
             : lido__seat_fail(seat, rc, "reading the schema", err);
    sqlite3_finalize(stmt);
    return rc;
}

/* "i", "i_t", "i_t_2", ...: the first that is free.  *out is to be freed. */
static int find_name(struct lido__seat *seat, const char *schema, const char *name,
                     const char *table, bool keeps_name, char **out, struct lido_error *err)
{
    *out = NULL;
    for (int number = keeps_name ? 0 : 1;; number++) {
        bool taken;
        int rc;

        *out = number == 0   ? sqlite3_mprintf("%s", name)
               : number == 1 ? sqlite3_mprintf("%s_%s", name, table)
                             : sqlite3_mprintf("%s_%s_%d", name, table, number);
        if (*out == NULL)
            return lido_fail(err, SQLITE_NOMEM, "out of memory");
        rc = is_taken(seat, schema, *out, &taken, err);
        if (rc == LIDO_OK && !taken)
            return LIDO_OK;
        sqlite3_free(*out);
        *out = NULL;
        if (rc != LIDO_OK)
            return rc;
    }
}

int lido__shape_make_others(struct lido__seat *seat, const char *schema, const char *name,
                            const struct lido__shape *shape, const char *type,
                            bool keeps_names, int *count, struct lido_error *err)
{
    *count = 0;
    for (int i = 0; i < shape->object_count; i++) {
        const struct lido__object *object = &shape->objects[i];
        char *fresh;
        int rc;

        if (strcmp(object->type, type) != 0)
            continue;
        rc = find_name(seat, schema, object->name, name, keeps_names, &fresh, err);
        if (rc == LIDO_OK)
            rc = make(seat, schema, fresh, object, err);
        sqlite3_free(fresh);
        if (rc != LIDO_OK)
            return rc;
        ++*count;
        rc = lido__work_at(seat->work, (uint64_t)*count, err);
        if (rc != LIDO_OK)
            return rc;
    }
    return LIDO_OK;
}

/* SQLite reads a trigger when a statement is prepared that would run it. */
static int try_trigger(struct lido__seat *seat, char *sql, const char *name,
                       struct lido_error *err)
{
    sqlite3_stmt *stmt = NULL;
    char doing[100];
    int rc;

    if (sql == NULL)
        return lido_fail(err, SQLITE_NOMEM, "out of memory");
    rc = sqlite3_prepare_v2(seat->db, sql, -1, &stmt, NULL);
    sqlite3_finalize(stmt);
    sqlite3_free(sql);
    sqlite3_snprintf(sizeof doing, doing, "a trigger of \"%.50s\" would fail there", name);
    return rc == SQLITE_OK ? LIDO_OK : lido__seat_fail(seat, rc, doing, err);
}

int lido__shape_try_triggers(struct lido__seat *seat, const char *schema, const char *name,
                             const struct lido__shape *shape, struct lido_error *err)
{
    sqlite3_str *update = sqlite3_str_new(seat->db);
    const char *comma = "SET ";
    int rc;

    sqlite3_str_appendf(update, "UPDATE \"%w\".\"%w\" ", schema, name);
    for (int i = 0; i < shape->column_count; i++) {
        if (shape->columns[i].is_generated)
            continue;
        sqlite3_str_appendf(update, "%s\"%w\" = NULL", comma, shape->columns[i].name);
        comma = ", ";
    }
    rc = try_trigger(seat, sqlite3_str_finish(update), name, err);
    if (rc == LIDO_OK)
        rc = try_trigger(
            seat, sqlite3_mprintf("INSERT INTO \"%w\".\"%w\" DEFAULT VALUES", schema, name),
            name, err);
    return rc == LIDO_OK
               ? try_trigger(seat,
                             sqlite3_mprintf("DELETE FROM \"%w\".\"%w\"", schema, name),
                             name, err)
               : rc;
}

static int put_sequence(struct lido__seat *seat, const char *format, const char *schema,
                        const char *name, int64_t sequence, struct lido_error *err)
{
    sqlite3_stmt *stmt;
    int rc =
        lido__seat_prepare(seat, &stmt, sqlite3_mprintf(format, schema), name, NULL, err);

    if (rc != LIDO_OK)
        return rc;
    rc = sqlite3_bind_int64(stmt, 2, sequence);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(stmt);
    rc = rc == SQLITE_DONE
             ? LIDO_OK
             : lido__seat_fail(seat, rc, "setting the AUTOINCREMENT number", err);
    sqlite3_finalize(stmt);
    return rc;
}

int lido__shape_set_sequence(struct lido__seat *seat, const char *schema, const char *name,
                             const struct lido__shape *shape, struct lido_error *err)
{
    int rc;

    if (!shape->has_sequence)
        return LIDO_OK;
    rc =
        put_sequence(seat, "DELETE FROM \"%w\".sqlite_sequence WHERE name = ?1 AND ?2 = ?2",
                     schema, name, shape->sequence, err);
    return rc == LIDO_OK
               ? put_sequence(
                     seat, "INSERT INTO \"%w\".sqlite_sequence (name, seq) VALUES (?1, ?2)",
                     schema, name, shape->sequence, err)
               : rc;
}
