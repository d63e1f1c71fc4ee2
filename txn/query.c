/* SPDX-License-Identifier: MIT */
/*
 * Whole texts and whole queries, made of the calls of <lido/stmt.h>.
 *
 * Threads: the one that checked the connection out.
 */
#include "base/text.h"
#include "txn/stmt.h"
#include "txn/txn.h"

/* Steps to the end; rows go to `row`, if there is one.  LIDO_OK at the end. */
static int run(const struct lido_stmt *stmt, lido_row_fn row, void *ctx,
               struct lido_error *err)
{
    struct lido_error story; /* of `row` alone: *err may tell of an earlier call */
    int rc;

    while ((rc = lido_stmt_step(stmt, err)) == SQLITE_ROW) {
        if (row == NULL)
            continue;
        story.code = story.sys_errno = 0;
        story.text[0] = '\0';
        rc = row(ctx, stmt, &story);
        if (rc == SQLITE_DONE)
            break;
        if (rc != LIDO_OK)
            return lido__fail_by_host(err, rc, &story);
    }
    return rc == SQLITE_DONE ? LIDO_OK : rc;
}

/* Ends the use.  What was wrong before matters more than what is now. */
static int finish(struct lido_stmt *stmt, int rc, struct lido_error *err)
{
    int later = lido_stmt_finalize(stmt, rc == LIDO_OK ? err : NULL);

    return rc != LIDO_OK ? rc : later;
}

int lido_conn_exec(const struct lido_conn *conn, const char *sql, struct lido_error *err)
{
    enum lido__text how = LIDO__TEXT_WHOLE;
    struct lido_stmt stmt;
    int rc = LIDO_OK;

    if (sql == NULL)
        return lido_fail(err, SQLITE_MISUSE, "no SQL text was given");
    do {
        rc = lido__stmt_prepare(conn, &stmt, sql, how, &sql, err);
        if (rc == LIDO_OK && stmt.number != 0)
            rc = finish(&stmt, run(&stmt, NULL, NULL, err), err);
        if (rc == LIDO_OK)
            sql = lido__sql_skip_blanks(sql);
        how = LIDO__TEXT_PART;
    } while (rc == LIDO_OK && *sql != '\0');
    return rc;
}

int lido_conn_query(const struct lido_conn *conn, const char *sql,
                    const struct lido_value *values, size_t count, lido_row_fn row,
                    void *ctx, struct lido_error *err)
{
    struct lido_stmt stmt;
    int rc = lido_stmt_prepare(conn, &stmt, sql, err);

    if (rc != LIDO_OK)
        return rc;
    rc = lido__stmt_bind_all(&stmt, values, count, SQLITE_STATIC, err);
    if (rc == LIDO_OK)
        rc = run(&stmt, row, ctx, err);
    return finish(&stmt, rc, err);
}

/* Of what `autobegin` began nobody else could: the check-in would roll it back. */
static int commit_what_began(const struct lido_conn *conn, struct lido_error *err)
{
    struct lido__cell *cell;

    if (lido__lease_use_connected(conn, &cell, NULL) != LIDO_OK ||
        lido__cell_record(cell)->pool->config.autobegin == LIDO_AUTOBEGIN_OFF ||
        !cell->has_begun || !lido__txn_is_open(cell))
        return LIDO_OK;
    return lido_txn_commit(conn, NULL, err);
}

/* On a connection of its own.  `sql` alone, or with values. */
static int on_pool(lido_pool *pool, const char *sql, bool is_text,
                   const struct lido_value *values, size_t count, lido_row_fn row,
                   void *ctx, struct lido_error *err)
{
    struct lido_conn conn;
    int later, rc = lido_pool_checkout(pool, &conn, NULL, err);

    if (rc != LIDO_OK)
        return rc;
    rc = is_text ? lido_conn_exec(&conn, sql, err)
                 : lido_conn_query(&conn, sql, values, count, row, ctx, err);
    if (rc == LIDO_OK)
        rc = commit_what_began(&conn, err);
    later = lido_conn_checkin(&conn, NULL, rc == LIDO_OK ? err : NULL);
    return rc != LIDO_OK ? rc : later;
}

int lido_pool_exec(lido_pool *pool, const char *sql, struct lido_error *err)
{
    return on_pool(pool, sql, true, NULL, 0, NULL, NULL, err);
}

int lido_pool_query(lido_pool *pool, const char *sql, const struct lido_value *values,
                    size_t count, lido_row_fn row, void *ctx, struct lido_error *err)
{
    return on_pool(pool, sql, false, values, count, row, ctx, err);
}

int64_t lido_conn_changes(const struct lido_conn *conn)
{
    struct lido__use use;

    return lido__use_lease(conn, &use, NULL) == LIDO_OK ? sqlite3_changes64(use.db) : 0;
}

int64_t lido_conn_last_rowid(const struct lido_conn *conn)
{
    struct lido__use use;

    return lido__use_lease(conn, &use, NULL) == LIDO_OK ? sqlite3_last_insert_rowid(use.db)
                                                        : 0;
}
