/* SPDX-License-Identifier: MIT */
/*
 * The runner: what it leaves to who comes after it, and to who is around it.
 */
#include "tests/support/handy.h"
#include "tests/support/worker.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static char path[HANDY_FILE_SIZE], url[120];
static lido_pool *pool;

static void set_up(void)
{
    handy_file(path, "left");
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

static int64_t count_rows(void)
{
    struct lido_conn conn = handy_take(pool);
    struct lido_stmt stmt;
    int64_t count;

    cr_assert_eq(lido_stmt_prepare(&conn, &stmt, "SELECT count(*) FROM t", &handy_err),
                 LIDO_OK);
    cr_assert_eq(lido_stmt_step(&stmt, &handy_err), SQLITE_ROW);
    count = lido_stmt_integer(&stmt, 0);
    handy_give(&conn);
    return count;
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

/* --- a run inside another ---------------------------------------------------------------- */

static lido_cancel *token;
static int inner_code, inner_outcome;

static int write_and_cancel(void *ctx, const struct lido_conn *conn, struct lido_error *err)
{
    (void)ctx;
    cr_assert_eq(lido_conn_exec(conn, "INSERT INTO t VALUES (2)", err), LIDO_OK);
    cr_assert_eq(lido_cancel_fire(token, err), LIDO_OK);
    return lido_conn_exec(conn, "INSERT INTO t VALUES (3)", err);
}

static int write_and_end_in_vain(void *ctx, const struct lido_conn *conn,
                                 struct lido_error *err)
{
    (void)ctx;
    cr_assert_eq(lido_conn_exec(conn, "INSERT INTO t VALUES (2)", err), LIDO_OK);
    return lido_cancel_fire(token, err);
}

static int go_on_after(void *fn, const struct lido_conn *conn, struct lido_error *err)
{
    struct lido_run_options options = LIDO_RUN_OPTIONS_INIT;
    lido_run_fn inner = *(lido_run_fn *)fn;

    options.outcome = &inner_outcome;
    inner_code = lido_conn_run(conn, LIDO_DEFERRED, inner, NULL, &options, err);
    lido_cancel_reset(token);
    return lido_conn_exec(conn, "INSERT INTO t VALUES (4)", err);
}

Test(run_left, what_a_cancelled_inner_run_has_written_is_not_committed_with_the_rest)
{
    lido_run_fn inner[] = { write_and_cancel, write_and_end_in_vain };
    struct lido_run_options options = LIDO_RUN_OPTIONS_INIT;

    open_pool(url, "queue", 0);
    cr_assert_eq(lido_cancel_new(&token, &handy_err), LIDO_OK);
    options.cancel = token;
    for (int i = 0; i < 2; i++) {
        cr_expect_eq(lido_pool_run(pool, LIDO_IMMEDIATE, go_on_after, &inner[i], &options,
                                   &handy_err),
                     LIDO_OK, "%s", handy_err.text);
        cr_expect_eq(inner_code, LIDO_CANCELLED, "%d: %d", i, inner_code);
        cr_expect_eq(inner_outcome, LIDO_OUTCOME_OPEN);
        cr_expect_eq(count_rows(), i + 1, "%d: %d", i, (int)count_rows());
    }
    lido_pool_free(pool);
    pool = NULL;
    lido_cancel_free(token);
}

static int commit_by_itself(void *ctx, const struct lido_conn *conn, struct lido_error *err)
{
    (void)ctx;
    return lido_txn_commit(conn, NULL, err);
}

static int commit_and_end_the_lease(void *ctx, const struct lido_conn *conn,
                                    struct lido_error *err)
{
    cr_assert_eq(lido_txn_commit(conn, NULL, err), LIDO_OK);
    return end_the_lease(ctx, conn, err);
}

Test(run_left, an_inner_run_that_ended_the_transaction_does_not_say_that_it_is_open)
{
    static const struct {
        lido_run_fn fn;
        int wanted;
    } cases[] = {
        { commit_by_itself, LIDO_NO_TXN },
        { commit_and_end_the_lease, LIDO_STALE },
    };
    struct lido_run_options options = LIDO_RUN_OPTIONS_INIT;
    struct lido_conn conn;

    open_pool(url, "queue", 0);
    conn = handy_take(pool);
    options.outcome = &inner_outcome;
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(lido_txn_begin(&conn, LIDO_IMMEDIATE, &handy_err), LIDO_OK);
        cr_expect_eq(
            lido_conn_run(&conn, LIDO_DEFERRED, cases[i].fn, NULL, &options, &handy_err),
            cases[i].wanted);
        cr_expect_eq(inner_outcome, LIDO_OUTCOME_UNKNOWN, "%d: %d", i, inner_outcome);
    }
}

/* --- a function that leaves a child behind ---------------------------------------------- */

static int fork_and_fail_there(void *is_child, const struct lido_conn *conn,
                               struct lido_error *err)
{
    int status;
    pid_t pid;

    cr_assert_eq(lido_conn_exec(conn, "INSERT INTO t VALUES (1)", err), LIDO_OK);
    pid = fork();
    cr_assert_geq(pid, 0);
    if (pid == 0) {
        *(int *)is_child = 1;
        return SQLITE_ERROR;
    }
    return waitpid(pid, &status, 0) == pid ? LIDO_OK : SQLITE_ERROR;
}

Test(run_left, a_child_does_not_roll_its_parent_s_transaction_back)
{
    int is_child = 0, rc;

    open_pool(url, "queue", 0);
    rc = lido_pool_run(pool, LIDO_IMMEDIATE, fork_and_fail_there, &is_child, NULL,
                       &handy_err);
    if (is_child)
        _exit(0);
    cr_expect_eq(rc, LIDO_OK, "%s", handy_err.text);
    cr_expect_eq(count_rows(), 1);
}
