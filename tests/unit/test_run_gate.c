/* SPDX-License-Identifier: MIT */
/*
 * A run that meets the write gate, or is stopped: when it is repeated.
 */
#include "tests/support/handy.h"
#include <lido/lido.h>

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static char path[HANDY_FILE_SIZE], url[140];
static lido_pool *pool;
static struct lido_conn holder; /* in the gate */

static void set_up(void)
{
    handy_file(path, "run-gate");
    snprintf(url, sizeof url, "sqlite:///%s", path);
}

static void tear_down(void)
{
    handy_give(&holder);
    lido_pool_free(pool);
    unlink(path);
}

TestSuite(run_gate, .init = set_up, .fini = tear_down, .timeout = 30);

/* On the true clock: a run that is repeated waits in between. */
static void open_and_hold(int64_t timeout_ms)
{
    struct lido_pool_options options = LIDO_POOL_OPTIONS_INIT;

    options.timeout_ms = timeout_ms;
    pool = handy_open_url(url, &options);
    holder = handy_take(pool);
    cr_assert_eq(lido_conn_exec(&holder, "CREATE TABLE t (x)", &handy_err), LIDO_OK);
    cr_assert_eq(lido_txn_begin(&holder, LIDO_IMMEDIATE, &handy_err), LIDO_OK, "%s",
                 handy_err.text);
}

static struct lido_gate_stats stats(void)
{
    struct lido_gate_stats now = LIDO_GATE_STATS_INIT;

    cr_assert_eq(lido_gate_stats(pool, &now, &handy_err), LIDO_OK);
    return now;
}

static int never(void *ctx, const struct lido_conn *conn, struct lido_error *err)
{
    (void)ctx, (void)conn, (void)err;
    cr_assert_fail("it was called");
    return LIDO_OK;
}

Test(run_gate, who_was_not_let_in_tries_again)
{
    struct lido_run_options options = LIDO_RUN_OPTIONS_INIT;

    open_and_hold(0);
    options.timeout_ms = 20;
    cr_expect_eq(lido_pool_run(pool, LIDO_IMMEDIATE, never, NULL, &options, &handy_err),
                 SQLITE_BUSY);
    cr_expect_gt(stats().timeouts, 1);
}

/* This thread is in: past its time it is not even told so. */
Test(run_gate, a_run_without_time_does_not_wait_for_as_long_as_its_pool_would)
{
    struct lido_run_options options = LIDO_RUN_OPTIONS_INIT;

    open_and_hold(5000);
    options.timeout_ms = 0;
    cr_expect_eq(lido_pool_run(pool, LIDO_IMMEDIATE, never, NULL, &options, &handy_err),
                 SQLITE_BUSY, "%s", handy_err.text);
    cr_expect_eq(stats().deadlocks, 0);
}

/* SQLite says that it is locked, which another run might mend. */
static int meet_the_lock_for_too_long(void *calls, const struct lido_conn *conn,
                                      struct lido_error *err)
{
    ++*(int *)calls;
    cr_assert_eq(lido_txn_limit(conn, 5, err), LIDO_OK);
    return lido_conn_exec(conn, "INSERT INTO t VALUES (1)", err);
}

static int count_begin(void *begins, const struct lido_event *event, struct lido_error *err)
{
    (void)event, (void)err;
    ++*(int *)begins;
    return LIDO_OK;
}

Test(run_gate, one_whose_time_is_over_while_it_waits_for_the_lock_is_not_repeated)
{
    static const struct lido_events hooks = { .size = sizeof hooks, .begin = count_begin };
    int begins = 0;
    struct lido_run_options options = LIDO_RUN_OPTIONS_INIT;
    int calls = 0;

    strcat(url, "?gate=off"); /* it is SQLite's lock that is met */
    open_and_hold(5000);
    cr_assert_eq(
        lido_hooks_add(lido_pool_hooks(pool), NULL, &hooks, &begins, NULL, &handy_err),
        LIDO_OK);
    options.timeout_ms = 5000;
    cr_expect_eq(lido_pool_run(pool, LIDO_DEFERRED, meet_the_lock_for_too_long, &calls,
                               &options, &handy_err),
                 LIDO_TXN_TIMEOUT, "%s", handy_err.text);
    cr_expect_eq(calls, 1);
    cr_expect_eq(begins, 1);
}

/* Another writes between the read of the first run and its write. */
static int read_and_write(void *ctx, const struct lido_conn *conn, struct lido_error *err)
{
    const int first = ++*(int *)ctx == 1;
    int rc = lido_conn_exec(conn, "SELECT * FROM t", err);

    cr_expect_eq(lido_txn_state(conn), first ? LIDO_TXN_READ : LIDO_TXN_WRITE);
    if (rc == LIDO_OK && first)
        rc = lido_pool_exec(pool, "INSERT INTO t VALUES (1)", err);
    return rc == LIDO_OK ? lido_conn_exec(conn, "INSERT INTO t VALUES (2)", err) : rc;
}

Test(run_gate, without_one_a_deferred_run_locks_when_it_comes_again)
{
    int calls = 0;

    snprintf(url, sizeof url, "sqlite:///%s?journal_mode=wal&gate=off", path);
    open_and_hold(1000);
    cr_assert_eq(lido_txn_commit(&holder, NULL, &handy_err), LIDO_OK);

    cr_expect_eq(
        lido_pool_run(pool, LIDO_DEFERRED, read_and_write, &calls, NULL, &handy_err),
        LIDO_OK, "%s", handy_err.text);

    cr_expect_eq(calls, 2);
}
