/* SPDX-License-Identifier: MIT */
/*
 * The runner: what it leaves to who comes after it, and to who is around it.
 */
#include "tests/support/handy.h"
#include "tests/support/worker.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

static char path[100], url[120];
static lido_pool *pool;

static void set_up(void)
{
    snprintf(path, sizeof path, "/tmp/lido-left-%d.db", (int)getpid());
    snprintf(url, sizeof url, "sqlite:///%s", path);
    unlink(path);
}

static void tear_down(void)
{
    lido_pool_free(pool);
    unlink(path);
}

TestSuite(run_left, .init = set_up, .fini = tear_down, .timeout = 60);

static void open_pool(const char *where, const char *kind, int64_t timeout_ms)
{
    struct lido_pool_options options = handy_options(kind);

    options.timeout_ms = timeout_ms;
    pool = handy_open_url(where, &options);
    cr_assert_eq(lido_pool_exec(pool, "CREATE TABLE t (x)", &handy_err), LIDO_OK, "%s",
                 handy_err.text);
}

/* --- its deadline ----------------------------------------------------------------------- */

static int end_the_lease(void *ctx, const struct lido_conn *conn, struct lido_error *err)
{
    struct lido_conn copy = *conn;

    (void)ctx, (void)err;
    handy_give(&copy);
    return LIDO_OK;
}

static int64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

Test(run_left, a_deadline_does_not_outlive_a_lease_that_the_function_ended)
{
    struct lido_pool_options pool_options = handy_options("queue");
    struct lido_run_options options = LIDO_RUN_OPTIONS_INIT;
    struct lido_conn conn;
    int64_t began_ms;
    sqlite3 *other;

    pool_options.clock = NULL; /* the system's */
    pool_options.timeout_ms = 30;
    pool = handy_open_url(url, &pool_options);
    options.timeout_ms = 0;
    cr_expect_eq(
        lido_pool_run(pool, LIDO_DEFERRED, end_the_lease, NULL, &options, &handy_err),
        LIDO_STALE);
    cr_assert_eq(sqlite3_open(path, &other), SQLITE_OK);
    cr_assert_eq(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    conn = handy_take(pool);
    began_ms = now_ms();
    cr_expect_eq(lido_txn_begin(&conn, LIDO_IMMEDIATE, &handy_err), SQLITE_BUSY);
    cr_expect_geq(now_ms() - began_ms, 29, "it did not wait");
    handy_give(&conn);
    sqlite3_close(other);
}

static int nothing(void *ctx, const struct lido_conn *conn, struct lido_error *err)
{
    (void)ctx, (void)conn, (void)err;
    return LIDO_OK;
}

static void worker_run_at_once(struct worker *worker)
{
    struct lido_run_options options = LIDO_RUN_OPTIONS_INIT;

    options.timeout_ms = 0;
    worker->rc =
        lido_pool_run(worker->pool, LIDO_IMMEDIATE, nothing, NULL, &options, &worker->err);
}

Test(run_left, on_a_static_pool_it_is_that_of_the_wait_for_anothers_transaction)
{
    struct worker worker;
    struct lido_conn conn;

    open_pool("sqlite://", "static", 5000);
    conn = handy_take(pool);
    cr_assert_eq(lido_txn_begin(&conn, LIDO_IMMEDIATE, &handy_err), LIDO_OK);
    worker_start(&worker, pool);
    worker_tell(&worker, worker_run_at_once); /* the clock stands still: no wait ends */
    cr_expect_eq(worker.rc, SQLITE_BUSY, "%d", worker.rc);
    worker_end(&worker);
    handy_give(&conn);
}
