/* SPDX-License-Identifier: MIT */
/*
 * What a function that SQLite calls inside a statement may not do to it, nor to its lease.
 *
 * Threads: one.
 */
#include "tests/support/handy.h"
#include "tests/support/worker.h"

#include <criterion/criterion.h>

static struct lido_error err;

static lido_pool *open_pool(const char *url)
{
    struct lido_pool_options options = handy_options(NULL);

    options.timeout_ms = options.pool_timeout_ms = 1000;
    return handy_open_url(url, &options);
}

static void execute(const struct lido_conn *conn, const char *sql)
{
    cr_assert_eq(lido_conn_exec(conn, sql, &err), LIDO_OK, "%s: %s", sql, err.text);
}

static int64_t ask(const struct lido_conn *conn, const char *sql)
{
    struct lido_stmt stmt;
    int64_t number;

    cr_assert_eq(lido_stmt_prepare(conn, &stmt, sql, &err), LIDO_OK, "%s", err.text);
    cr_assert_eq(lido_stmt_step(&stmt, &err), SQLITE_ROW, "%s", err.text);
    number = lido_stmt_integer(&stmt, 0);
    cr_assert_eq(lido_stmt_finalize(&stmt, &err), LIDO_OK);
    return number;
}

/* What is called inside SQLite may not pull its statement away from under it. */
static struct lido_stmt inside;
static int at_row, row;

static void change_its_own(sqlite3_context *context, int count, sqlite3_value **values)
{
    struct lido_stmt copy = inside;

    (void)count, (void)values;
    if (row++ == at_row) {
        cr_expect_eq(lido_stmt_step(&copy, &err), SQLITE_MISUSE);
        cr_expect_eq(lido_stmt_reset(&copy, &err), SQLITE_MISUSE);
        cr_expect_eq(lido_stmt_bind(&copy, 1, lido_integer(7), &err), SQLITE_MISUSE);
        cr_expect_eq(lido_stmt_finalize(&copy, &err), SQLITE_MISUSE);
        cr_expect_eq(copy.number, inside.number);
    }
    sqlite3_result_int(context, row);
}

/* In the first step, and where rows have been read already. */
static void let_it_change_its_own(const struct lido_conn *conn, int which)
{
    const char *sql = "SELECT change_its_own(), ?1, x FROM t";
    int64_t rows = 0;
    int rc;

    at_row = which;
    row = 0;
    cr_assert_eq(lido_stmt_prepare(conn, &inside, sql, &err), LIDO_OK, "%s", err.text);
    cr_assert_eq(lido_stmt_bind(&inside, 1, lido_integer(5), &err), LIDO_OK);
    while ((rc = lido_stmt_step(&inside, &err)) == SQLITE_ROW) {
        cr_expect_eq(lido_stmt_integer(&inside, 1), 5);
        cr_expect_eq(lido_stmt_integer(&inside, 2), ++rows);
    }
    cr_expect_eq(rc, SQLITE_DONE, "%s", err.text);
    cr_expect_eq(rows, 3);
    cr_expect_eq(lido_stmt_finalize(&inside, &err), LIDO_OK);
}

Test(stmt_inside, a_function_may_not_end_or_change_the_statement_that_calls_it)
{
    static const char *const urls[] = { "sqlite://", "sqlite://?pool=static",
                                        "sqlite://?cached_statements=0" };

    for (size_t i = 0; i < sizeof urls / sizeof urls[0]; i++) {
        lido_pool *pool = open_pool(urls[i]);
        struct lido_conn conn = handy_take(pool);

        execute(&conn, "CREATE TABLE t (x); INSERT INTO t VALUES (1), (2), (3)");
        cr_assert_eq(sqlite3_create_function(lido_conn_sqlite(&conn), "change_its_own", 0,
                                             SQLITE_UTF8, NULL, change_its_own, NULL, NULL),
                     SQLITE_OK);
        let_it_change_its_own(&conn, 0);
        let_it_change_its_own(&conn, 1);
        handy_give(&conn);
        lido_pool_free(pool);
    }
}

static void end_its_lease(sqlite3_context *context, int count, sqlite3_value **values)
{
    const struct lido_conn *conn = sqlite3_user_data(context);
    struct lido_conn copy = *conn;
    void *handle;

    (void)count, (void)values;
    cr_expect_eq(lido_conn_checkin(&copy, NULL, &err), SQLITE_MISUSE);
    cr_expect_eq(lido_conn_invalidate(&copy, NULL, &err), SQLITE_MISUSE);
    cr_expect_eq(lido_conn_invalidate_pool(&copy, NULL, &err), SQLITE_MISUSE);
    cr_expect_eq(lido_conn_steal(&copy, &handle, &err), SQLITE_MISUSE);
    cr_expect_eq(lido_conn_exec(conn, "SELECT 1", &err), LIDO_OK);
    cr_expect_eq(lido_conn_checkin(&copy, NULL, &err), SQLITE_MISUSE);
    sqlite3_result_int(context, 1);
}

Test(stmt_inside, a_function_may_not_end_the_lease_that_calls_it)
{
    static const char *const urls[] = { "sqlite://", "sqlite://?pool=static",
                                        "sqlite://?pool=assertion" };

    for (size_t i = 0; i < sizeof urls / sizeof urls[0]; i++) {
        lido_pool *pool = open_pool(urls[i]);
        struct lido_conn conn = handy_take(pool);

        cr_assert_eq(sqlite3_create_function(lido_conn_sqlite(&conn), "end_its_lease", 0,
                                             SQLITE_UTF8, &conn, end_its_lease, NULL, NULL),
                     SQLITE_OK);
        cr_expect_eq(ask(&conn, "SELECT end_its_lease()"), 1);
        handy_give(&conn);
        lido_pool_free(pool);
    }
}

static void close_by_another(sqlite3_context *context, int count, sqlite3_value **values)
{
    lido_pool *pool = sqlite3_user_data(context);
    struct lido_conn nested = handy_take(pool);

    (void)count, (void)values;
    cr_expect_eq(lido_conn_invalidate(&nested, NULL, &err), SQLITE_MISUSE);
    cr_expect_eq(lido_conn_invalidate_pool(&nested, NULL, &err), SQLITE_MISUSE);
    handy_give(&nested);
    sqlite3_result_int(context, 1);
}

Test(stmt_inside, nor_close_its_connection_by_another_lease_of_the_thread)
{
    static const char *const urls[] = { "sqlite://",
                                        "sqlite:///file:/inside?uri=1&vfs=memdb&pool=queue"
                                        "&use_threadlocal=1" };

    for (size_t i = 0; i < sizeof urls / sizeof urls[0]; i++) {
        lido_pool *pool = open_pool(urls[i]);
        struct lido_conn conn = handy_take(pool);

        cr_assert_eq(sqlite3_create_function(lido_conn_sqlite(&conn), "close_by_another", 0,
                                             SQLITE_UTF8, pool, close_by_another, NULL,
                                             NULL),
                     SQLITE_OK);
        cr_expect_eq(ask(&conn, "SELECT close_by_another()"), 1);
        cr_expect_eq(lido_conn_invalidate(&conn, NULL, &err), LIDO_OK);
        lido_pool_free(pool);
    }
}

/* --- another lease of the thread -------------------------------------------------------- */

static struct lido_conn nested;
static lido_cancel *token;

static void give_nested(sqlite3_context *context, int count, sqlite3_value **values)
{
    (void)count, (void)values;
    sqlite3_result_int(context, lido_conn_checkin(&nested, NULL, &err));
}

static void worker_take_with_token(struct worker *worker)
{
    struct lido_checkout_options options = LIDO_CHECKOUT_OPTIONS_INIT;

    options.cancel = token;
    worker->rc = lido_pool_checkout(worker->pool, &worker->conn, &options, &worker->err);
}

/* Its cell becomes another thread's lease, which is cancelled: raw SQL is not that one's. */
Test(stmt_inside, a_lease_that_a_function_ends_is_not_the_one_that_runs_afterwards)
{
    lido_pool *pool = open_pool("sqlite://?pool=singleton_thread");
    struct lido_conn outer = handy_take(pool);
    struct worker worker;
    sqlite3 *db = lido_conn_sqlite(&outer);

    nested = handy_take(pool);
    cr_assert_eq(lido_cancel_new(&token, &err), LIDO_OK);
    cr_assert_eq(sqlite3_create_function(db, "give_nested", 0, SQLITE_UTF8, NULL,
                                         give_nested, NULL, NULL),
                 SQLITE_OK);
    cr_expect_eq(ask(&outer, "SELECT give_nested()"), LIDO_OK, "%s", err.text);
    worker_start(&worker, pool);
    worker_tell(&worker, worker_take_with_token);
    cr_assert_eq(worker.rc, LIDO_OK, "%s", worker.err.text);
    cr_assert_eq(lido_cancel_fire(token, &err), LIDO_OK);
    cr_expect_eq(sqlite3_exec(db,
                              "WITH RECURSIVE n(i) AS (VALUES (0) UNION ALL "
                              "SELECT i + 1 FROM n LIMIT 20000) SELECT count(*) FROM n",
                              NULL, NULL, NULL),
                 SQLITE_OK);
    worker_tell(&worker, worker_give);
    worker_end(&worker);
    handy_give(&outer);
    lido_pool_free(pool);
    lido_cancel_free(token);
}
