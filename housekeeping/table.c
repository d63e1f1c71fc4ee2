/* SPDX-License-Identifier: MIT */
/*
 * Which tables there are.
 *
 * PRAGMA table_list is SQLite's own answer to what a name means and what kind of table it is,
 * virtual and shadow tables too; as a function in FROM it takes the name as a bound value.
 *
 * Threads: the one that has the lease.
 */
#include "housekeeping/table.h"

#include "base/utf8.h"
#include <lido/stmt.h>
#include <string.h>

/* temp, main, and then as attached: the order in which SQLite looks a name up. */
#define IN_ORDER "(SELECT CASE seq WHEN 1 THEN -1 ELSE seq END"

static int kind_of(const char *type, const char *name)
{
    if (sqlite3_strnicmp(name, "sqlite_", 7) == 0)
        return LIDO_TABLE_OWN;
    if (strcmp(type, "view") == 0)
        return LIDO_TABLE_VIEW;
    if (strcmp(type, "virtual") == 0)
        return LIDO_TABLE_VIRTUAL;
    return strcmp(type, "shadow") == 0 ? LIDO_TABLE_SHADOW : LIDO_TABLE_PLAIN;
}

int lido__table_check_name(const char *name, const char *what, struct lido_error *err)
{
    if (name == NULL)
        return lido_fail(err, SQLITE_MISUSE, "%s is NULL", what);
    if (!lido__utf8_is_valid(name, strlen(name)))
        return lido_fail(err, LIDO_BAD_TEXT, "%s is not UTF-8", what);
    return LIDO_OK;
}

static int check_kinds(int *kinds, struct lido_error *err)
{
    if ((*kinds & ~LIDO_TABLE_ALL) != 0)
        return lido_fail(err, LIDO_BAD_OPTION, "kinds is %d; it is bits of LIDO_TABLE_ALL",
                         *kinds);
    if (*kinds == 0)
        *kinds = LIDO_TABLE_USUAL;
    return LIDO_OK;
}

static int look_at_schema(void *ctx, const struct lido_stmt *row, struct lido_error *err)
{
    (void)err;
    *(bool *)ctx = lido_stmt_integer(row, 0) > 0;
    return LIDO_OK;
}

static int expect_schema(const struct lido_conn *conn, const char *schema,
                         struct lido_error *err)
{
    const struct lido_value name = lido_text(schema);
    bool is_there = false;
    int rc = lido__table_check_name(schema, "the schema", err);

    /* temp is listed once something is in it, and there from the beginning. */
    if (rc != LIDO_OK || sqlite3_stricmp(schema, "temp") == 0)
        return rc;
    rc = lido_conn_query(
        conn, "SELECT count(*) FROM pragma_database_list WHERE name = ?1 COLLATE NOCASE",
        &name, 1, look_at_schema, &is_there, err);
    if (rc == LIDO_OK && !is_there)
        return lido_fail(err, LIDO_NOT_FOUND, "no database is attached as \"%.100s\"",
                         schema);
    return rc;
}

struct search {
    int kinds;
    int *kind;
};

static int look_at_table(void *ctx, const struct lido_stmt *row, struct lido_error *err)
{
    const struct search *search = ctx;
    const char *type = lido_stmt_text(row, 0, NULL), *name = lido_stmt_text(row, 1, NULL);
    int kind;

    if (type == NULL || name == NULL)
        return lido_fail(err, SQLITE_NOMEM, "out of memory");
    kind = kind_of(type, name);
    /* What SQLite finds first is what the name means, wanted or not. */
    *search->kind = (kind & search->kinds) != 0 ? kind : 0;
    return SQLITE_DONE;
}

static bool is_one_of(const char *name, const char *one, const char *other)
{
    return name != NULL &&
           (sqlite3_stricmp(name, one) == 0 || sqlite3_stricmp(name, other) == 0);
}

/* PRAGMA table_list shows the schema's table by one of its names, and finds it by the other;
   that of temp has two more. */
static const char *old_name(const char *schema, const char *name)
{
    if (is_one_of(name, "sqlite_temp_schema", "sqlite_temp_master"))
        return "sqlite_temp_master";
    if (is_one_of(name, "sqlite_schema", "sqlite_master"))
        return schema != NULL && sqlite3_stricmp(schema, "temp") == 0 ? "sqlite_temp_master"
                                                                      : "sqlite_master";
    return name;
}

int lido_conn_table_exists(const struct lido_conn *conn, const char *schema,
                           const char *name, int kinds, int *kind, struct lido_error *err)
{
    const struct lido_value values[] = { lido_text(old_name(schema, name)),
                                         lido_text(schema) };
    struct search search;
    int ignored, rc;

    if (kind == NULL)
        kind = &ignored;
    *kind = 0;
    rc = lido__table_check_name(name, "the name of the table", err);
    if (rc == LIDO_OK)
        rc = check_kinds(&kinds, err);
    if (rc == LIDO_OK && schema != NULL)
        rc = expect_schema(conn, schema, err);
    if (rc != LIDO_OK)
        return rc;
    search = (struct search){ kinds, kind };
    return lido_conn_query(conn,
                           "SELECT l.type, l.name FROM pragma_table_list(?1) AS l"
                           " WHERE ?2 IS NULL OR l.schema = ?2 COLLATE NOCASE"
                           " ORDER BY " IN_ORDER " FROM pragma_database_list AS d"
                           " WHERE d.name = l.schema)",
                           values, 2, look_at_table, &search, err);
}

struct visit {
    int kinds;
    lido_table_fn visit;
    void *ctx;
};

static int show(void *ctx, const struct lido_stmt *row, struct lido_error *err)
{
    const struct visit *visit = ctx;
    const char *type = lido_stmt_text(row, 2, NULL);
    struct lido_table_info info = { .size = sizeof info };

    info.schema = lido_stmt_text(row, 0, NULL);
    info.name = lido_stmt_text(row, 1, NULL);
    if (info.schema == NULL || info.name == NULL || type == NULL)
        return lido_fail(err, SQLITE_NOMEM, "out of memory");
    info.kind = kind_of(type, info.name);
    info.columns = (int)lido_stmt_integer(row, 3);
    info.is_without_rowid = lido_stmt_integer(row, 4) != 0;
    info.is_strict = lido_stmt_integer(row, 5) != 0;
    return (info.kind & visit->kinds) != 0 ? visit->visit(visit->ctx, &info, err) : LIDO_OK;
}

int lido_conn_table_list(const struct lido_conn *conn, const char *schema, int kinds,
                         lido_table_fn visit, void *ctx, struct lido_error *err)
{
    const struct lido_value value = lido_text(schema);
    struct visit how = { 0, visit, ctx };
    int rc = check_kinds(&kinds, err);

    if (rc == LIDO_OK && visit == NULL)
        return lido_fail(err, SQLITE_MISUSE, "a list of tables needs a function to visit");
    if (rc == LIDO_OK && schema != NULL)
        rc = expect_schema(conn, schema, err);
    if (rc != LIDO_OK)
        return rc;
    how.kinds = kinds;
    return lido_conn_query(conn,
                           "SELECT l.schema, l.name, l.type, l.ncol, l.wr, l.strict"
                           " FROM pragma_table_list AS l"
                           " WHERE ?1 IS NULL OR l.schema = ?1 COLLATE NOCASE"
                           " ORDER BY " IN_ORDER " FROM pragma_database_list AS d"
                           " WHERE d.name = l.schema), l.name",
                           &value, 1, show, &how, err);
}

/* --- on a connection of the job's own ----------------------------------------------------- */

int lido_table_exists(struct lido_database at, const char *schema, const char *name,
                      int kinds, int *kind, struct lido_error *err)
{
    struct lido__work work;
    struct lido__seat seat = { 0 };
    int rc = lido__work_begin(&work, NULL, err);

    if (kind != NULL)
        *kind = 0;
    if (rc == LIDO_OK)
        rc = lido__seat_open(&seat, &work, at, &lido__table_seat, err);
    if (rc == LIDO_OK)
        rc = lido_conn_table_exists(&seat.conn, schema, name, kinds, kind, err);
    return lido__seat_close(&seat, rc, err);
}

int lido_table_list(struct lido_database at, const char *schema, int kinds,
                    lido_table_fn visit, void *ctx, struct lido_error *err)
{
    struct lido__work work;
    struct lido__seat seat = { 0 };
    int rc = lido__work_begin(&work, NULL, err);

    if (rc == LIDO_OK)
        rc = lido__seat_open(&seat, &work, at, &lido__table_seat, err);
    if (rc == LIDO_OK)
        rc = lido_conn_table_list(&seat.conn, schema, kinds, visit, ctx, err);
    return lido__seat_close(&seat, rc, err);
}

/* --- for the jobs that write -------------------------------------------------------------- */

int lido__table_kind(struct lido__seat *seat, const char *schema, const char *name,
                     int *kind, struct lido_error *err)
{
    const int rc =
        lido_conn_table_exists(&seat->conn, schema, name, LIDO_TABLE_ALL, kind, err);

    return lido__seat_judge(seat, rc, err);
}

int lido__table_expect_plain(struct lido__seat *seat, const char *schema, const char *name,
                             const char *doing, struct lido_error *err)
{
    int kind;
    const int rc = lido__table_kind(seat, schema, name, &kind, err);

    if (rc != LIDO_OK || kind == LIDO_TABLE_PLAIN)
        return rc;
    if (kind == 0)
        return lido_fail(err, LIDO_NOT_FOUND, "%.40s has no table \"%.100s\"", schema,
                         name);
    return lido_fail(err, SQLITE_ERROR, "\"%.100s\" is %s, which is not %s", name,
                     kind == LIDO_TABLE_VIEW      ? "a view"
                     : kind == LIDO_TABLE_VIRTUAL ? "a virtual table"
                     : kind == LIDO_TABLE_SHADOW  ? "a part of a virtual table"
                                                  : "SQLite's own",
                     doing);
}

int lido__table_expect_free(struct lido__seat *seat, const char *schema, const char *name,
                            struct lido_error *err)
{
    sqlite3_stmt *stmt;
    int rc = lido__seat_prepare(
        seat, &stmt,
        sqlite3_mprintf("SELECT type FROM \"%w\".sqlite_schema"
                        " WHERE name = ?1 COLLATE NOCASE AND type <> 'trigger'",
                        schema),
        name, NULL, err);

    if (rc != LIDO_OK)
        return rc;
    rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW) {
        const char *type = (const char *)sqlite3_column_text(stmt, 0);

        rc = lido_fail(err, SQLITE_ERROR,
                       "%.40s has %s of the name \"%.100s\" already; take another name",
                       schema,
                       type != NULL && strcmp(type, "index") == 0  ? "an index"
                       : type != NULL && strcmp(type, "view") == 0 ? "a view"
                                                                   : "a table",
                       name);
    } else {
        rc = rc == SQLITE_DONE ? LIDO_OK
                               : lido__seat_fail(seat, rc, "reading the schema", err);
    }
    sqlite3_finalize(stmt);
    return rc;
}

int lido__table_begin(struct lido__seat *seat, struct lido__work *work,
                      const struct lido_job *job, struct lido_database at,
                      const char *table, const char *new_name, struct lido_error *err)
{
    int rc = lido__table_check_name(table, "the name of the table", err);

    if (rc == LIDO_OK)
        rc = lido__table_check_name(new_name, "the new name", err);
    if (rc == LIDO_OK)
        rc = lido__work_begin(work, job, err);
    if (rc == LIDO_OK)
        rc = lido__seat_open(seat, work, at, &lido__table_seat, err);
    if (rc != LIDO_OK)
        return rc;
    rc = lido__work_phase(work, "waiting", "", 0, err);
    if (rc == LIDO_OK)
        rc = lido__seat_begin(seat, LIDO_IMMEDIATE, err);
    return rc == LIDO_OK ? LIDO_OK : lido__seat_close(seat, rc, err);
}
