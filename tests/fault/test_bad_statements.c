/* SPDX-License-Identifier: MIT */
/*
 * Every call of stmt.h with nothing, with a lease or a statement that is over, another
 * thread's, of a closed pool, or in a forked child.  Each answers its code with a text, or the
 * nothing that it has instead, and what was good stays good.
 */
#include "tests/support/handy.h"
#include "tests/support/worker.h"

#include <criterion/criterion.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

TestSuite(bad_statements, .timeout = 20);

/* How many of the calls did not answer as they should; the first is named. */
static int wrong;
static const char *which;
static struct lido_error err;

static void expect_true(int is_true, const char *name)
{
    if (!is_true && wrong++ == 0)
        which = name;
}

static void expect(int rc, int code, const char *name)
{
    expect_true(rc == code && err.code == code && err.text[0] != '\0', name);
    err = (struct lido_error)LIDO_ERROR_INIT;
}

static int never(void *ctx, const struct lido_stmt *row, struct lido_error *error)
{
    (void)ctx, (void)row, (void)error;
    expect_true(0, "a row");
    return LIDO_OK;
}

static void call_lease(const struct lido_conn *conn, int code)
{
    struct lido_statement_stats stats = { sizeof stats, 9, 9, 9, 9 };
    struct lido_stmt out = { .number = 9 };

    expect(lido_stmt_prepare(conn, &out, "SELECT 1", &err), code, "prepare");
    expect_true(out.number == 0 && out.conn.cell == NULL, "prepare's statement");
    expect(lido_conn_exec(conn, "SELECT 1", &err), code, "exec");
    expect(lido_conn_query(conn, "SELECT 1", NULL, 0, never, NULL, &err), code, "query");
    expect(lido_conn_statement_stats(conn, &stats, &err), code, "stats");
    expect_true(stats.cached == 0 && stats.hits == 0, "stats' numbers");
    expect_true(lido_conn_changes(conn) == 0, "changes");
    expect_true(lido_conn_last_rowid(conn) == 0, "last_rowid");
    expect_true(lido_stmt_prepare(conn, &out, "SELECT 1", NULL) == code, "no err");
    expect_true(lido_conn_exec(conn, "SELECT 1", NULL) == code, "no err");
}

static void call_columns(const struct lido_stmt *stmt)
{
    size_t size = 9;

    expect_true(lido_stmt_columns(stmt) == 0, "columns");
    expect_true(lido_stmt_name(stmt, 0) == NULL, "name");
    expect_true(lido_stmt_index(stmt, "x") == -1, "index");
    expect_true(lido_stmt_type(stmt, 0) == SQLITE_NULL, "type");
    expect_true(lido_stmt_integer(stmt, 0) == 0, "integer");
    expect_true(lido_stmt_real(stmt, 0) == 0, "real");
    expect_true(lido_stmt_text(stmt, 0, &size) == NULL && size == 0, "text");
    size = 9;
    expect_true(lido_stmt_blob(stmt, 0, &size) == NULL && size == 0, "blob");
    expect_true(lido_stmt_sqlite(stmt) == NULL, "sqlite");
}

static void call_statement(const struct lido_stmt *stmt, int code)
{
    struct lido_value value = lido_integer(9), text = lido_text("a");
    struct lido_stmt copy = stmt != NULL ? *stmt : (struct lido_stmt)LIDO_STMT_INIT;
    struct lido_stmt before = copy;

    expect(lido_stmt_bind(stmt, 1, value, &err), code, "bind");
    expect(lido_stmt_bind(stmt, 1, text, &err), code, "bind a text");
    expect(lido_stmt_bind_name(stmt, ":a", value, &err), code, "bind_name");
    expect(lido_stmt_bind_all(stmt, &value, 1, &err), code, "bind_all");
    expect(lido_stmt_step(stmt, &err), code, "step");
    expect(lido_stmt_reset(stmt, &err), code, "reset");
    expect(lido_stmt_value(stmt, 0, &value, &err), code, "value");
    expect_true(value.type == SQLITE_NULL, "value's value");
    value = text;
    expect(lido_stmt_value_name(stmt, "x", &value, &err), code, "value_name");
    expect_true(value.type == SQLITE_NULL, "value_name's value");
    call_columns(stmt);
    expect(lido_stmt_finalize(stmt != NULL ? &copy : NULL, &err), code, "finalize");
    expect_true(memcmp(&copy, &before, sizeof copy) == 0, "what was not finalized");
    expect_true(lido_stmt_step(stmt, NULL) == code, "no err");
    expect_true(lido_stmt_finalize(stmt != NULL ? &copy : NULL, NULL) == code, "no err");
}

static void call_all(const struct lido_conn *conn, const struct lido_stmt *stmt, int code)
{
    wrong = 0;
    which = "none";
    err = (struct lido_error)LIDO_ERROR_INIT;
    call_lease(conn, code);
    call_statement(stmt, code);
}

static void expect_refused(const struct lido_conn *conn, const struct lido_stmt *stmt,
                           int code)
{
    call_all(conn, stmt, code);
    cr_assert_eq(wrong, 0, "%d calls, the first is %s", wrong, which);
}

static const char *const urls[] = {
    "sqlite://?check_same_thread=1",
    "sqlite://?pool=static&check_same_thread=1",
    "sqlite:///file:/bad-statements?uri=1&vfs=memdb&pool=queue",
};
#define N_URLS (sizeof urls / sizeof urls[0])

static lido_pool *open_pool(size_t i)
{
    struct lido_pool_options options = handy_options(NULL);

    return handy_open_url(urls[i], &options);
}

/* One that stands on its row. */
static struct lido_stmt stand(const struct lido_conn *conn)
{
    struct lido_stmt stmt;

    cr_assert_eq(lido_stmt_prepare(conn, &stmt, "SELECT 7 AS x WHERE ?1 IS NULL", &err),
                 LIDO_OK, "%s", err.text);
    cr_assert_eq(lido_stmt_step(&stmt, &err), SQLITE_ROW, "%s", err.text);
    return stmt;
}

/* It still stands there, and ends as any. */
static void expect_good(struct lido_stmt *stmt)
{
    cr_expect_eq(lido_stmt_integer(stmt, 0), 7);
    cr_expect_eq(lido_stmt_step(stmt, &err), SQLITE_DONE, "%s", err.text);
    cr_expect_eq(lido_stmt_finalize(stmt, &err), LIDO_OK, "%s", err.text);
}

Test(bad_statements, none_at_all)
{
    const struct lido_conn no_lease = LIDO_CONN_INIT;
    const struct lido_stmt no_stmt = LIDO_STMT_INIT;

    expect_refused(NULL, NULL, SQLITE_MISUSE);
    expect_refused(&no_lease, &no_stmt, LIDO_STALE);
    cr_expect_eq(lido_pool_exec(NULL, "SELECT 1", &err), SQLITE_MISUSE);
    cr_expect_eq(lido_pool_query(NULL, "SELECT 1", NULL, 0, never, NULL, &err),
                 SQLITE_MISUSE);
}

Test(bad_statements, one_that_was_finalized_or_whose_lease_is_over)
{
    for (size_t i = 0; i < N_URLS; i++) {
        lido_pool *pool = open_pool(i);
        struct lido_conn conn = handy_take(pool), old = conn;
        struct lido_stmt stmt = stand(&conn), left = stand(&conn), copy = stmt;

        cr_assert_eq(lido_stmt_finalize(&stmt, &err), LIDO_OK);
        wrong = 0;
        call_statement(&copy, LIDO_STALE);
        call_statement(&stmt, LIDO_STALE);
        cr_assert_eq(wrong, 0, "%s: %d calls, the first is %s", urls[i], wrong, which);
        handy_give(&conn);
        expect_refused(&old, &left, LIDO_STALE);
        conn = handy_take(pool); /* the place and the connection are in use again */
        stmt = stand(&conn);
        expect_refused(&old, &left, LIDO_STALE);
        expect_good(&stmt);
        handy_give(&conn);
        lido_pool_free(pool);
        expect_refused(&old, &left, LIDO_STALE);
    }
}

static struct lido_stmt of_the_test;

static void call_as_another(struct worker *worker)
{
    call_all(&worker->conn, &of_the_test, LIDO_WRONG_THREAD);
}

Test(bad_statements, one_of_another_thread)
{
    for (size_t i = 0; i < N_URLS; i++) {
        lido_pool *pool = open_pool(i);
        struct lido_conn conn = handy_take(pool);
        struct worker worker;

        of_the_test = stand(&conn);
        worker_start(&worker, pool);
        worker.conn = conn;
        worker_tell(&worker, call_as_another);
        worker_end(&worker);
        cr_assert_eq(wrong, 0, "%s: %d calls, the first is %s", urls[i], wrong, which);
        expect_good(&of_the_test);
        handy_give(&conn);
        lido_pool_free(pool);
    }
}

Test(bad_statements, one_of_a_closed_pool_goes_on)
{
    for (size_t i = 0; i < N_URLS; i++) {
        lido_pool *pool = open_pool(i);
        struct lido_conn conn = handy_take(pool);
        struct lido_stmt stmt = stand(&conn);

        cr_assert_eq(lido_pool_close(pool, 0, &err), LIDO_BUSY_LEASES);
        cr_expect_eq(lido_conn_exec(&conn, "SELECT 1", &err), LIDO_OK, "%s", err.text);
        expect_good(&stmt);
        cr_expect_eq(lido_pool_exec(pool, "SELECT 1", &err), LIDO_CLOSED);
        cr_expect_eq(lido_pool_query(pool, "SELECT 1", NULL, 0, never, NULL, &err),
                     LIDO_CLOSED);
        handy_give(&conn);
        lido_pool_free(pool);
    }
}

Test(bad_statements, one_of_the_parent_s)
{
    for (size_t i = 0; i < N_URLS; i++) {
        lido_pool *pool = open_pool(i);
        struct lido_conn conn = handy_take(pool);
        struct lido_stmt stmt = stand(&conn);
        int status;
        pid_t child = fork();

        if (child == 0) {
            call_all(&conn, &stmt, LIDO_FORKED);
            expect(lido_pool_exec(pool, "SELECT 1", &err), LIDO_FORKED, "pool_exec");
            _exit(wrong != 0);
        }
        cr_assert_gt(child, 0);
        cr_assert_eq(waitpid(child, &status, 0), child);
        cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%s", urls[i]);
        expect_good(&stmt);
        handy_give(&conn);
        lido_pool_free(pool);
    }
}

Test(bad_statements, on_a_driver_that_is_none_of_sqlite_s)
{
    lido_pool *pool = handy_open(NULL);
    struct lido_conn conn = handy_take(pool);
    struct lido_stmt stmt;

    cr_expect_eq(lido_stmt_prepare(&conn, &stmt, "SELECT 1", &err), SQLITE_MISUSE);
    cr_expect_not_null(strstr(err.text, "fake"), "%s", err.text);
    cr_expect_eq(lido_conn_exec(&conn, "SELECT 1", &err), SQLITE_MISUSE);
    handy_give(&conn);
    handy_end(pool);
}
