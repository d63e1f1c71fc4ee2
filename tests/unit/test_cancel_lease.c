/* SPDX-License-Identifier: MIT */
/*
 * What a token or lido_conn_cancel() ends on a lease: SQL that runs, the wait for a lock, the
 * wait for another lease's transaction; and what it leaves alone.
 */
#include "tests/support/handy.h"
#include "tests/support/latch.h"
#include "tests/support/worker.h"
#include <lido/lido.h>

#include <criterion/criterion.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static lido_cancel *token;
static char path[HANDY_FILE_SIZE];

static void set_up(void)
{
    cr_assert_eq(lido_cancel_new(&token, &handy_err), LIDO_OK);
    handy_file(path, "cancel");
    latch_set_up();
}

static void clear(void)
{
    lido_cancel_free(token);
    unlink(path);
}

TestSuite(cancel_lease, .init = set_up, .fini = clear);

static const char *const kinds[] = { "null", "queue", "singleton_thread", "static",
                                     "assertion" };
#define N_KINDS (sizeof kinds / sizeof kinds[0])

/* On an empty file: where there are several connections, they wait for each other. */
static lido_pool *open_kind(const char *kind)
{
    struct lido_pool_options options = handy_options(kind);
    char url[120];

    unlink(path);
    options.gate = 0; /* it is SQLite's lock that is waited for */
    snprintf(url, sizeof url, "sqlite:///%s", path);
    return handy_open_url(url, &options);
}

static struct lido_conn take_with_token(lido_pool *pool)
{
    struct lido_checkout_options options = LIDO_CHECKOUT_OPTIONS_INIT;
    struct lido_conn conn;

    options.cancel = token;
    cr_assert_eq(lido_pool_checkout(pool, &conn, &options, &handy_err), LIDO_OK, "%s",
                 handy_err.text);
    cr_assert_eq(latch_add_to(lido_conn_sqlite(&conn)), SQLITE_OK);
    return conn;
}

static void fire(void)
{
    cr_assert_eq(lido_cancel_fire(token, &handy_err), LIDO_OK);
}

static void exec(const struct lido_conn *conn, const char *sql)
{
    cr_assert_eq(lido_conn_exec(conn, sql, &handy_err), LIDO_OK, "%s", handy_err.text);
}

/* The worker's tasks. */
static void worker_take_token(struct worker *worker)
{
    worker->conn = take_with_token(worker->pool);
}

static void worker_take_plainly_with_token(struct worker *worker)
{
    struct lido_checkout_options options = LIDO_CHECKOUT_OPTIONS_INIT;

    options.cancel = token;
    worker->rc = lido_pool_checkout(worker->pool, &worker->conn, &options, &worker->err);
}

static sqlite3 *running;

static void worker_run_endless(struct worker *worker)
{
    running = lido_conn_sqlite(&worker->conn);
    worker->rc = lido_conn_exec(&worker->conn, LATCH_ENDLESS, &worker->err);
}

static void worker_run_long(struct worker *worker)
{
    worker->rc = lido_conn_exec(&worker->conn, LATCH_LONG, &worker->err);
}

static void worker_run_raw(struct worker *worker)
{
    worker->rc =
        sqlite3_exec(lido_conn_sqlite(&worker->conn), LATCH_ENDLESS, NULL, NULL, NULL);
}

static void worker_write(struct worker *worker)
{
    worker->rc = lido_conn_exec(&worker->conn, "CREATE TABLE t (x)", &worker->err);
}

/* Starts a worker that has a lease with the token. */
static void start(struct worker *worker, lido_pool *pool)
{
    worker_start(worker, pool);
    worker_tell(worker, worker_take_token);
}

static void end(struct worker *worker)
{
    worker_tell(worker, worker_give);
    cr_expect_eq(worker->rc, LIDO_OK, "%s", worker->err.text);
    worker_end(worker);
}

/* How often the clock is read until a thread sleeps: for SQLite's lock twice to see how long it
   may wait, then for this step; for another lease's transaction once; and once more asleep. */
#define READS_FOR_LOCK 4
#define READS_FOR_TXN  2

static void let_wait(struct worker *worker, void (*task)(struct worker *worker), int times)
{
    int reads = fake_clock_reads();

    worker_ask(worker, task);
    while (fake_clock_reads() < reads + times)
        sched_yield();
}

Test(cancel_lease, a_token_ends_running_sql_on_every_kind)
{
    for (size_t i = 0; i < N_KINDS; i++) {
        struct worker worker;
        lido_pool *pool = open_kind(kinds[i]);

        latch_set_up();
        start(&worker, pool);
        worker_ask(&worker, worker_run_endless);
        latch_await();
        fire();
        latch_open();
        worker_await(&worker);
        cr_expect_eq(worker.rc, LIDO_CANCELLED, "%s: %d", kinds[i], worker.rc);
        cr_expect_eq(worker.err.code, LIDO_CANCELLED);
        cr_expect_not_null(strstr(worker.err.text, "cancelled"), "%s", worker.err.text);
        end(&worker);
        lido_cancel_reset(token);
        lido_pool_free(pool);
    }
}

Test(cancel_lease, cancelling_the_lease_itself_ends_running_sql_on_every_kind)
{
    for (size_t i = 0; i < N_KINDS; i++) {
        struct worker worker;
        lido_pool *pool = open_kind(kinds[i]);

        latch_set_up();
        start(&worker, pool);
        worker_ask(&worker, worker_run_endless);
        latch_await();
        cr_expect_eq(lido_conn_cancel(&worker.conn, &handy_err), LIDO_OK);
        latch_open();
        worker_await(&worker);
        cr_expect_eq(worker.rc, LIDO_CANCELLED, "%s: %d", kinds[i], worker.rc);
        end(&worker);
        lido_pool_free(pool);
    }
}

Test(cancel_lease, raw_sql_is_interrupted)
{
    static const char *const alone[] = { "null", "queue", "singleton_thread", "assertion" };

    for (size_t i = 0; i < sizeof alone / sizeof alone[0]; i++) {
        struct worker worker;
        lido_pool *pool = open_kind(alone[i]);

        latch_set_up();
        start(&worker, pool);
        worker_ask(&worker, worker_run_raw);
        latch_await();
        fire();
        latch_open();
        worker_await(&worker);
        cr_expect_eq(worker.rc, SQLITE_INTERRUPT, "%s: %d", alone[i], worker.rc);
        end(&worker);
        lido_cancel_reset(token);
        lido_pool_free(pool);
    }
}

Test(cancel_lease, a_handler_of_the_hosts_on_the_connection_gives_way_to_a_token)
{
    lido_pool *pool = open_kind("queue");
    struct lido_conn conn = take_with_token(pool);
    struct worker worker;

    sqlite3_progress_handler(lido_conn_sqlite(&conn), 0, NULL, NULL);
    handy_give(&conn);
    start(&worker, pool);
    worker_ask(&worker, worker_run_endless);
    latch_await();
    fire();
    latch_open();
    worker_await(&worker);
    cr_expect_eq(worker.rc, LIDO_CANCELLED);
    end(&worker);
    lido_pool_free(pool);
}

Test(cancel_lease, rows_end_at_the_next_step)
{
    lido_pool *pool = open_kind("queue");
    struct lido_conn conn = take_with_token(pool);
    struct lido_stmt stmt;

    cr_assert_eq(lido_stmt_prepare(&conn, &stmt, "VALUES (1), (2), (3)", &handy_err),
                 LIDO_OK);
    cr_expect_eq(lido_stmt_step(&stmt, &handy_err), SQLITE_ROW);
    fire();
    cr_expect_eq(lido_stmt_step(&stmt, &handy_err), LIDO_CANCELLED);
    cr_expect_eq(lido_stmt_step(&stmt, &handy_err), LIDO_CANCELLED);
    lido_cancel_reset(token);
    cr_expect_eq(lido_stmt_step(&stmt, &handy_err), SQLITE_ROW);
    cr_expect_eq(lido_stmt_integer(&stmt, 0), 1); /* it is a new run */
    cr_expect_eq(lido_stmt_finalize(&stmt, &handy_err), LIDO_OK);
    handy_give(&conn);
    lido_pool_free(pool);
}

Test(cancel_lease, until_it_is_reset_only_rollback_and_checkin_work)
{
    for (size_t i = 0; i < N_KINDS; i++) {
        lido_pool *pool = open_kind(kinds[i]);
        struct lido_conn conn = take_with_token(pool);
        int outcome;

        cr_assert_eq(lido_txn_begin(&conn, LIDO_IMMEDIATE, &handy_err), LIDO_OK);
        exec(&conn, "CREATE TABLE t (x)");
        fire();
        cr_expect_eq(lido_conn_check(&conn, &handy_err), LIDO_CANCELLED);
        cr_expect_eq(lido_conn_exec(&conn, "SELECT 1", &handy_err), LIDO_CANCELLED);
        cr_expect_eq(lido_txn_commit(&conn, &outcome, &handy_err), LIDO_CANCELLED);
        cr_expect_eq(outcome, LIDO_OUTCOME_OPEN, "%s", kinds[i]);
        cr_expect_eq(lido_txn_state(&conn), LIDO_TXN_WRITE);
        cr_expect_eq(lido_txn_rollback(&conn, &handy_err), LIDO_OK, "%s", handy_err.text);
        cr_expect_eq(lido_txn_state(&conn), LIDO_TXN_NONE);
        cr_expect_eq(lido_txn_begin(&conn, LIDO_DEFERRED, &handy_err), LIDO_CANCELLED);

        lido_cancel_reset(token);
        cr_expect_eq(lido_conn_check(&conn, &handy_err), LIDO_OK);
        cr_assert_eq(lido_txn_begin(&conn, LIDO_DEFERRED, &handy_err), LIDO_OK);
        fire();
        handy_give(&conn);

        conn = handy_take(pool); /* and the next one has no token */
        exec(&conn, "SELECT 1");
        cr_expect_eq(lido_txn_state(&conn), LIDO_TXN_NONE);
        handy_give(&conn);
        lido_cancel_reset(token);
        lido_pool_free(pool);
    }
}

Test(cancel_lease, a_commit_that_was_refused_can_be_tried_again)
{
    lido_pool *pool = open_kind("queue");
    struct lido_conn conn = take_with_token(pool);
    int outcome;

    cr_assert_eq(lido_txn_begin(&conn, LIDO_IMMEDIATE, &handy_err), LIDO_OK);
    fire();
    cr_expect_eq(lido_txn_commit(&conn, &outcome, &handy_err), LIDO_CANCELLED);
    lido_cancel_reset(token);
    cr_expect_eq(lido_txn_commit(&conn, &outcome, &handy_err), LIDO_OK);
    cr_expect_eq(outcome, LIDO_OUTCOME_COMMITTED);
    handy_give(&conn);
    lido_pool_free(pool);
}

Test(cancel_lease, a_commit_that_finds_none_open_is_refused_without_a_claim)
{
    struct lido_pool_options options = handy_options("static");
    struct lido_conn one, two;
    lido_pool *pool;
    int outcome;

    options.timeout_ms = 0;
    pool = handy_open_url("sqlite://", &options);
    one = handy_take(pool);
    two = handy_take(pool);
    cr_assert_eq(lido_txn_begin(&one, LIDO_IMMEDIATE, &handy_err), LIDO_OK);
    cr_assert_eq(sqlite3_exec(lido_conn_sqlite(&one), "COMMIT", NULL, NULL, NULL),
                 SQLITE_OK);
    cr_assert_eq(lido_conn_cancel(&one, &handy_err), LIDO_OK);
    cr_expect_eq(lido_txn_commit(&one, &outcome, &handy_err), LIDO_CANCELLED);
    cr_expect_eq(outcome, LIDO_OUTCOME_UNKNOWN); /* it was committed, by SQL text */
    cr_expect_eq(lido_txn_rollback(&one, &handy_err), LIDO_OK);
    cr_expect_eq(lido_txn_commit(&one, &outcome, &handy_err), LIDO_CANCELLED);
    cr_expect_eq(outcome, LIDO_OUTCOME_ROLLED_BACK); /* there was none */
    cr_expect_eq(lido_txn_begin(&two, LIDO_IMMEDIATE, &handy_err), LIDO_OK, "%s",
                 handy_err.text); /* nobody has it */
    handy_give(&one);
    handy_give(&two);
    lido_pool_free(pool);
}

Test(cancel_lease, a_lease_that_has_ended_is_stale_and_the_next_one_is_not_hit)
{
    for (size_t i = 0; i < N_KINDS; i++) {
        lido_pool *pool = open_kind(kinds[i]);
        struct lido_conn conn = handy_take(pool), copy = conn, next;

        cr_expect_eq(lido_conn_cancel(&conn, &handy_err), LIDO_OK);
        cr_expect_eq(lido_conn_exec(&conn, "SELECT 1", &handy_err), LIDO_CANCELLED);
        handy_give(&conn);
        next = handy_take(pool);
        exec(&next, "SELECT 1");
        cr_expect_eq(lido_conn_cancel(&copy, &handy_err), LIDO_STALE);
        exec(&next, "SELECT 1");
        handy_give(&next);
        lido_pool_free(pool);
    }
}

Test(cancel_lease, the_wait_for_the_lock_ends)
{
    lido_pool *pool = open_kind("queue");
    struct lido_conn conn = handy_take(pool);
    struct worker worker;

    cr_assert_eq(lido_txn_begin(&conn, LIDO_EXCLUSIVE, &handy_err), LIDO_OK);
    start(&worker, pool);
    let_wait(&worker, worker_write, READS_FOR_LOCK);
    fire();
    fake_clock_advance_ms(1);
    worker_await(&worker);
    cr_expect_eq(worker.rc, LIDO_CANCELLED, "%d", worker.rc);

    lido_cancel_reset(token);
    let_wait(&worker, worker_begin, READS_FOR_LOCK);
    cr_expect_eq(lido_conn_cancel(&worker.conn, &handy_err), LIDO_OK);
    fake_clock_advance_ms(1);
    worker_await(&worker);
    cr_expect_eq(worker.rc, LIDO_CANCELLED, "%d", worker.rc);
    end(&worker);
    handy_give(&conn);
    lido_pool_free(pool);
}

Test(cancel_lease, the_wait_of_a_commit_ends_and_it_is_open_still)
{
    lido_pool *pool =
        open_kind("queue"); /* with a rollback journal readers are waited for */
    struct lido_conn reader = handy_take(pool);
    struct worker worker;

    exec(&reader, "CREATE TABLE u (x)");
    start(&worker, pool);
    worker_tell(&worker, worker_begin);
    worker_tell(&worker, worker_write);
    cr_assert_eq(worker.rc, LIDO_OK, "%s", worker.err.text);
    cr_assert_eq(lido_txn_begin(&reader, LIDO_DEFERRED, &handy_err), LIDO_OK);
    exec(&reader, "SELECT * FROM u");
    let_wait(&worker, worker_commit, READS_FOR_LOCK);
    fire();
    fake_clock_advance_ms(1);
    worker_await(&worker);
    cr_expect_eq(worker.rc, LIDO_CANCELLED, "%d", worker.rc);

    handy_give(&reader);
    lido_cancel_reset(token);
    worker_tell(&worker, worker_commit);
    cr_expect_eq(worker.rc, LIDO_OK, "%s", worker.err.text);
    end(&worker);
    lido_pool_free(pool);
}

Test(cancel_lease, on_a_static_pool_the_wait_for_anothers_transaction_ends)
{
    lido_pool *pool = open_kind("static");
    struct lido_conn conn = handy_take(pool);
    struct worker worker;

    cr_assert_eq(lido_txn_begin(&conn, LIDO_IMMEDIATE, &handy_err), LIDO_OK);
    start(&worker, pool);
    let_wait(&worker, worker_begin, READS_FOR_TXN);
    fire();
    worker_await(&worker);
    cr_expect_eq(worker.rc, LIDO_CANCELLED, "%d", worker.rc);

    lido_cancel_reset(token);
    let_wait(&worker, worker_begin, READS_FOR_TXN);
    cr_expect_eq(lido_conn_cancel(&worker.conn, &handy_err), LIDO_OK);
    worker_await(&worker);
    cr_expect_eq(worker.rc, LIDO_CANCELLED, "%d", worker.rc);
    end(&worker);
    cr_expect_eq(lido_txn_commit(&conn, NULL, &handy_err), LIDO_OK);
    handy_give(&conn);
    lido_pool_free(pool);
}

static bool fires_when_asked;

static int fire_and_tell_state(void *ctx, void *handle)
{
    if (fires_when_asked)
        fire();
    return lido_driver_sqlite()->txn_state(ctx, handle);
}

/* The pool's lock is free while the driver is asked whether the other's is over. */
Test(cancel_lease, on_a_static_pool_one_that_comes_just_before_the_wait_is_seen,
     .timeout = 20)
{
    struct lido_pool_options options = handy_options("static");
    struct lido_driver table = *lido_driver_sqlite();
    struct lido_conn conn;
    struct worker worker;
    lido_pool *pool;

    table.capabilities &= ~(unsigned)LIDO_DRIVER_IS_SQLITE;
    table.txn_state = fire_and_tell_state;
    cr_assert_eq(lido_driver_register("firing", &table, NULL, &handy_err), LIDO_OK, "%s",
                 handy_err.text);
    pool = handy_open_url("firing:///:memory:", &options);
    conn = handy_take(pool);
    cr_assert_eq(lido_txn_begin(&conn, LIDO_IMMEDIATE, &handy_err), LIDO_OK);
    worker_start(&worker, pool);
    worker_tell(&worker, worker_take_plainly_with_token);
    cr_assert_eq(worker.rc, LIDO_OK, "%s", worker.err.text);
    fires_when_asked = true;
    worker_tell(&worker, worker_begin); /* and the clock stands still */
    fires_when_asked = false;
    cr_expect_eq(worker.rc, LIDO_CANCELLED, "%d", worker.rc);
    end(&worker);
    handy_give(&conn);
    lido_pool_free(pool);
}

Test(cancel_lease, on_a_static_pool_what_others_run_goes_on)
{
    lido_pool *pool = open_kind("static");
    struct lido_conn conn = take_with_token(pool);
    struct worker worker;

    worker_start(&worker, pool);
    worker_tell(&worker, worker_take);
    worker_ask(&worker, worker_run_long);
    latch_await();
    fire();
    latch_open();
    worker_await(&worker);
    cr_expect_eq(worker.rc, LIDO_OK, "%s", worker.err.text);
    end(&worker);
    handy_give(&conn);
    lido_pool_free(pool);
}

Test(cancel_lease, a_nested_lease_takes_its_token_with_it)
{
    lido_pool *pool = open_kind("singleton_thread");
    struct lido_conn outer = handy_take(pool), inner = take_with_token(pool);

    latch_open();
    fire();
    cr_expect_eq(lido_conn_exec(&inner, LATCH_LONG, &handy_err), LIDO_CANCELLED);
    exec(&outer, LATCH_LONG);
    handy_give(&inner);
    cr_expect_eq(sqlite3_exec(lido_conn_sqlite(&outer), LATCH_LONG, NULL, NULL, NULL),
                 SQLITE_OK);
    handy_give(&outer);
    lido_pool_free(pool);
}

static int run_long(void *ctx, void *handle, struct lido_error *err)
{
    (void)err;
    *(int *)ctx = sqlite3_exec(handle, LATCH_LONG, NULL, NULL, NULL);
    return LIDO_OK;
}

static int run_raw(const struct lido_conn *conn)
{
    return sqlite3_exec(lido_conn_sqlite(conn),
                        "WITH RECURSIVE c(x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM c "
                        "LIMIT 10000) SELECT count(*) FROM c",
                        NULL, NULL, NULL);
}

/* The token may be gone by now, and the limit was another's. */
Test(cancel_lease, what_a_slot_was_told_before_does_not_stop_a_shared_connection)
{
    lido_pool *pool = open_kind("queue");
    struct lido_conn conn = take_with_token(pool), adopted;
    sqlite3 *db;

    handy_give(&conn);
    lido_pool_free(pool);
    fire();
    pool = open_kind("static"); /* in the same memory */
    cr_assert_eq(sqlite3_open(":memory:", &db), SQLITE_OK);
    cr_assert_eq(lido_conn_adopt(&adopted, pool, db, &handy_err), LIDO_OK);
    cr_assert_eq(lido_txn_limit(&adopted, 0, &handy_err), LIDO_OK);
    cr_assert_eq(lido_txn_begin(&adopted, LIDO_DEFERRED, &handy_err), LIDO_OK);
    handy_give(&adopted);
    cr_expect_eq(sqlite3_close(db), SQLITE_OK);

    conn = handy_take(pool);
    cr_expect_eq(run_raw(&conn), SQLITE_OK);
    cr_assert_eq(lido_txn_begin(&conn, LIDO_DEFERRED, &handy_err), LIDO_OK);
    cr_expect_eq(run_raw(&conn), SQLITE_OK);
    handy_give(&conn);
    lido_pool_free(pool);
}

Test(cancel_lease, what_cleans_the_connection_is_not_cancelled)
{
    lido_pool *pool = open_kind("queue");
    struct lido_conn conn = take_with_token(pool);
    int rc = -1;

    latch_open();
    cr_assert_eq(lido_conn_add_finalizer(&conn, run_long, &rc, NULL, &handy_err), LIDO_OK);
    fire();
    handy_give(&conn);
    cr_expect_eq(rc, SQLITE_OK);
    lido_pool_free(pool);
}

Test(cancel_lease, an_interrupt_of_the_hosts_keeps_its_code)
{
    lido_pool *pool = open_kind("queue");
    struct worker worker;

    start(&worker, pool);
    worker_ask(&worker, worker_run_endless);
    latch_await();
    sqlite3_interrupt(running); /* which stands inside its statement */
    latch_open();
    worker_await(&worker);
    cr_expect_eq(worker.rc, SQLITE_INTERRUPT, "%d", worker.rc);
    end(&worker);
    lido_pool_free(pool);
}

static void fire_inside(sqlite3_context *context, int count, sqlite3_value **values)
{
    (void)count, (void)values;
    lido_cancel_fire(token, NULL);
    sqlite3_result_int(context, 1);
}

static void reset_token(void *unused)
{
    (void)unused;
    lido_cancel_reset(token);
}

/* The hook runs between the end of the statement and the look at the reason. */
Test(cancel_lease, what_a_token_ended_says_so_though_it_was_reset)
{
    lido_pool *pool = open_kind("queue");
    struct lido_conn conn = take_with_token(pool);
    struct lido_error err = LIDO_ERROR_INIT;
    sqlite3 *db = lido_conn_sqlite(&conn);

    latch_open();
    cr_assert_eq(sqlite3_create_function(db, "fire_inside", 0, SQLITE_UTF8, NULL,
                                         fire_inside, NULL, NULL),
                 SQLITE_OK);
    sqlite3_rollback_hook(db, reset_token, NULL);
    cr_assert_eq(lido_conn_exec(&conn, "CREATE TABLE t (x)", &err), LIDO_OK);
    cr_expect_eq(
        lido_conn_exec(&conn,
                       "INSERT INTO t WITH RECURSIVE c(x) AS (SELECT fire_inside() "
                       "UNION ALL SELECT x + 1 FROM c WHERE x < 100000) "
                       "SELECT x FROM c",
                       &err),
        LIDO_CANCELLED, "%s", err.text);
    cr_expect_not(lido_cancel_is_fired(token));
    cr_expect_eq(lido_conn_check(&conn, &err), LIDO_OK);
    cr_expect_eq(lido_conn_exec(&conn, "SELECT * FROM nowhere", &err), SQLITE_ERROR);
    handy_give(&conn);
    lido_pool_free(pool);
}
