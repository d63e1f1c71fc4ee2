/* SPDX-License-Identifier: MIT */
/*
 * Every allocation on the way of a statement fails once, of lido's and of SQLite's: the caller
 * is told, nothing leaks, no statement is lost, and the cache works on.  And the disk is full
 * in the middle of a transaction.
 */
#include "failing_malloc.h"
#include <lido/lido.h>

#include <criterion/criterion.h>
#include <string.h>

static struct lido_error err;
static lido_pool *pool;
static struct lido_conn conn;

static void open_pool(const char *url)
{
    cr_assert_eq(lido_pool_open(&pool, url, NULL, &err), LIDO_OK, "%s", err.text);
    cr_assert_eq(lido_pool_checkout(pool, &conn, NULL, &err), LIDO_OK, "%s", err.text);
}

static void close_pool(void)
{
    cr_assert_eq(lido_conn_checkin(&conn, NULL, &err), LIDO_OK, "%s", err.text);
    lido_pool_free(pool);
}

static void set_up(void)
{
    failing_malloc_install();
}

TestSuite(fault_statements, .init = set_up, .timeout = 60);

static struct lido_statement_stats stats(void)
{
    struct lido_statement_stats all = LIDO_STATEMENT_STATS_INIT;

    cr_assert_eq(lido_conn_statement_stats(&conn, &all, &err), LIDO_OK);
    return all;
}

static int no_hook(void *ctx, const struct lido_event *event, struct lido_error *error)
{
    (void)ctx, (void)event, (void)error;
    return LIDO_OK;
}

static int read_row(void *ctx, const struct lido_stmt *row, struct lido_error *error)
{
    struct lido_value value;
    int rc = lido_stmt_value(row, 0, &value, error);

    if (rc == LIDO_OK)
        ++*(int *)ctx;
    if (rc == LIDO_OK && value.type == SQLITE_TEXT)
        cr_assert_eq(value.size, 3);
    return rc;
}

/* Many kinds of work, all of which may be done again.  What the first failing call answered. */
static int work(void)
{
    static const char table[] = "CREATE TABLE IF NOT EXISTS t (x, y);"
                                "DELETE FROM t; INSERT INTO t VALUES (1, 'one')";
    const struct lido_value values[] = { lido_integer(2), lido_text("two") };
    struct lido_stmt stmt = LIDO_STMT_INIT;
    int rows = 0, rc, later;

    rc = lido_txn_begin(&conn, LIDO_IMMEDIATE, &err);
    if (rc == LIDO_OK)
        rc = lido_conn_exec(&conn, table, &err);
    if (rc == LIDO_OK)
        rc = lido_conn_query(&conn, "INSERT INTO t VALUES (?, ?)", values, 2, NULL, NULL,
                             &err);
    if (rc == LIDO_OK)
        rc = lido_stmt_prepare(&conn, &stmt, "SELECT y FROM t WHERE x < :x ORDER BY y",
                               &err);
    if (rc == LIDO_OK)
        rc = lido_stmt_bind_name(&stmt, ":x", lido_text("a text that is copied"), &err);
    if (rc == LIDO_OK)
        while ((rc = lido_stmt_step(&stmt, &err)) == SQLITE_ROW) {
            rc = read_row(&rows, &stmt, &err);
            if (rc != LIDO_OK)
                break;
        }
    rc = rc == SQLITE_DONE ? LIDO_OK : rc;
    cr_assert(rc != LIDO_OK || rows == 2, "%d rows", rows);
    if (stmt.number != 0) {
        later = lido_stmt_finalize(&stmt, rc == LIDO_OK ? &err : NULL);
        rc = rc != LIDO_OK ? rc : later;
    }
    later = rc == LIDO_OK ? lido_txn_commit(&conn, NULL, &err) : LIDO_OK;
    if (rc != LIDO_OK || later != LIDO_OK)
        lido_txn_rollback(&conn, NULL);
    return rc != LIDO_OK ? rc : later;
}

/* In a pool of its own: what the first failing call answered, and if an allocation failed. */
static int live(const char *url, bool has_hooks, int nth, int *fired)
{
    static const struct lido_events events = { .size = sizeof events,
                                               .before_execute = no_hook,
                                               .after_execute = no_hook,
                                               .handle_error = no_hook };
    int rc;

    open_pool(url);
    if (has_hooks)
        cr_assert_eq(lido_hooks_add(lido_pool_hooks(pool), NULL, &events, NULL, NULL, &err),
                     0);
    if (nth < 0) { /* with all that is kept: the failure is in the second turn */
        cr_assert_eq(work(), LIDO_OK, "%s", err.text);
        nth = -nth;
    }
    failing_malloc_arm(nth);
    rc = work();
    *fired = failing_malloc_fired();
    failing_malloc_arm(0);
    cr_assert_eq(stats().in_use, 0, "allocation %d: a statement is lost", nth);
    cr_assert_eq(lido_txn_state(&conn), LIDO_TXN_NONE, "allocation %d", nth);
    cr_assert_eq(work(), LIDO_OK, "after allocation %d failed: %s", nth, err.text);
    cr_assert_eq(work(), LIDO_OK, "after allocation %d failed: %s", nth, err.text);
    cr_assert_geq(stats().hits, 2);
    close_pool();
    return rc;
}

static void fail_each(const char *url, bool has_hooks, int sign)
{
    int nth = 0, told = 0, fired;
    long before;

    live(url, has_hooks, 0, &fired);
    before = failing_malloc_outstanding();
    do {
        int rc = live(url, has_hooks, sign * ++nth, &fired);

        told += rc != LIDO_OK;
        cr_assert(rc == LIDO_OK || (rc & 0xff) == SQLITE_NOMEM ||
                      rc == SQLITE_IOERR_NOMEM || rc == LIDO_TXN_OVER,
                  "allocation %d: %s, %s", nth, lido_status_name(rc), err.text);
        cr_assert(rc == LIDO_OK || fired, "failed without a reason: %s", err.text);
        cr_assert_eq(failing_malloc_outstanding(), before, "allocation %d: %ld bytes more",
                     nth, failing_malloc_outstanding() - before);
    } while (fired);
    cr_assert_gt(told, 5);
}

Test(fault_statements, every_allocation_may_fail)
{
    fail_each("sqlite://", false, 1);
}

Test(fault_statements, every_allocation_may_fail_with_hooks_on_a_static_pool)
{
    fail_each("sqlite://?pool=static", true, 1);
}

Test(fault_statements, every_allocation_may_fail_when_all_is_kept)
{
    fail_each("sqlite://", false, -1);
}

/* What SQLite itself does to a transaction on a full disk is what the caller is told. */
Test(fault_statements, a_full_disk_ends_the_transaction_and_nothing_runs_outside_of_it)
{
    int outcome;

    open_pool("sqlite://");
    cr_assert_eq(
        lido_conn_exec(&conn, "PRAGMA max_page_count=20; CREATE TABLE t (x)", &err),
        LIDO_OK, "%s", err.text);
    cr_assert_eq(lido_txn_begin(&conn, LIDO_IMMEDIATE, &err), LIDO_OK);
    cr_assert_eq(lido_conn_exec(&conn, "INSERT INTO t VALUES ('first')", &err), LIDO_OK);
    /* Of a statement that may be undone by itself only that is; the next is another kind. */
    cr_expect_eq(lido_conn_exec(&conn, "INSERT INTO t SELECT randomblob(99999)", &err),
                 SQLITE_FULL);
    cr_expect_eq(lido_txn_state(&conn), LIDO_TXN_WRITE);
    cr_expect_eq(lido_conn_exec(&conn, "INSERT INTO t VALUES (randomblob(99999))", &err),
                 SQLITE_FULL);
    cr_expect_not_null(strstr(err.text, "full"), "%s", err.text);
    cr_expect_eq(lido_txn_state(&conn), LIDO_TXN_NONE);
    cr_expect_eq(lido_conn_exec(&conn, "INSERT INTO t VALUES (2)", &err), LIDO_TXN_OVER);
    cr_expect_eq(lido_conn_exec(&conn, "SELECT 1", &err), LIDO_TXN_OVER);
    cr_expect_eq(stats().in_use, 0);
    cr_expect_eq(lido_txn_commit(&conn, &outcome, &err), LIDO_TXN_OVER);
    cr_assert_eq(lido_conn_exec(&conn, "INSERT INTO t VALUES ('next')", &err), LIDO_OK,
                 "%s", err.text);
    close_pool();
}
