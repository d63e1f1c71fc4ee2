/* SPDX-License-Identifier: MIT */
/*
 * The time limit of a transaction, on the fake clock.
 */
#include "tests/support/handy.h"
#include "tests/support/latch.h"
#include "tests/support/worker.h"
#include <lido/lido.h>

#include <criterion/criterion.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char *const kinds[] = { "null", "queue", "singleton_thread", "static",
                                     "assertion" };
#define N_KINDS (sizeof kinds / sizeof kinds[0])

static char path[HANDY_FILE_SIZE], url[120];

static void set_up(void)
{
    handy_file(path, "limit");
    snprintf(url, sizeof url, "sqlite:///%s", path);
}

static void clear(void)
{
    unlink(path);
}

TestSuite(txn_limit, .init = set_up, .fini = clear);

/* On an empty file. */
static lido_pool *open_kind(const char *kind, int64_t limit_ms)
{
    struct lido_pool_options options = handy_options(kind);

    unlink(path);
    options.txn_limit_ms = limit_ms;
    options.gate = 0; /* it is SQLite's lock that is waited for */
    return handy_open_url(url, &options);
}

static void begin(const struct lido_conn *conn)
{
    cr_assert_eq(lido_txn_begin(conn, LIDO_IMMEDIATE, &handy_err), LIDO_OK, "%s",
                 handy_err.text);
}

static int exec(const struct lido_conn *conn, const char *sql)
{
    return lido_conn_exec(conn, sql, &handy_err);
}

static bool is_open(const struct lido_conn *conn)
{
    return !sqlite3_get_autocommit(lido_conn_sqlite(conn));
}

Test(txn_limit, one_that_was_idle_is_rolled_back_by_the_next_statement)
{
    for (size_t i = 0; i < N_KINDS; i++) {
        lido_pool *pool = open_kind(kinds[i], 100);
        struct lido_conn conn = handy_take(pool);

        begin(&conn);
        cr_assert_eq(exec(&conn, "CREATE TABLE t (x)"), LIDO_OK);
        fake_clock_advance_ms(99);
        cr_expect_eq(exec(&conn, "SELECT 1"), LIDO_OK, "%s: %s", kinds[i], handy_err.text);
        fake_clock_advance_ms(1);
        cr_expect(is_open(&conn)); /* it is only marked */
        cr_expect_eq(exec(&conn, "SELECT 1"), LIDO_TXN_TIMEOUT, "%s", kinds[i]);
        cr_expect(!is_open(&conn));
        cr_expect_eq(exec(&conn, "SELECT 1"), LIDO_TXN_TIMEOUT); /* nothing runs outside */
        cr_expect_eq(lido_txn_begin(&conn, LIDO_DEFERRED, &handy_err), LIDO_TXN_TIMEOUT);
        cr_expect_eq(lido_txn_rollback(&conn, &handy_err), LIDO_OK);
        cr_expect_eq(exec(&conn, "CREATE TABLE t (x)"), LIDO_OK, "%s", handy_err.text);

        begin(&conn); /* and each has its own */
        fake_clock_advance_ms(99);
        cr_expect_eq(lido_txn_commit(&conn, NULL, &handy_err), LIDO_OK);
        fake_clock_advance_ms(99);
        cr_expect_eq(exec(&conn, "DROP TABLE t"), LIDO_OK);
        handy_give(&conn);
        lido_pool_free(pool);
    }
}

Test(txn_limit, a_commit_that_comes_too_late_rolls_back)
{
    lido_pool *pool = open_kind("queue", 100);
    struct lido_conn conn = handy_take(pool);
    int outcome;

    begin(&conn);
    cr_assert_eq(exec(&conn, "CREATE TABLE t (x)"), LIDO_OK);
    fake_clock_advance_ms(100);
    cr_expect_eq(lido_txn_commit(&conn, &outcome, &handy_err), LIDO_TXN_TIMEOUT);
    cr_expect_eq(outcome, LIDO_OUTCOME_ROLLED_BACK);
    cr_expect_eq(exec(&conn, "CREATE TABLE t (x)"), LIDO_OK, "%s", handy_err.text);

    begin(&conn); /* the same if a statement was told before */
    fake_clock_advance_ms(100);
    cr_expect_eq(exec(&conn, "SELECT 1"), LIDO_TXN_TIMEOUT);
    cr_expect_eq(lido_txn_commit(&conn, &outcome, &handy_err), LIDO_TXN_TIMEOUT);
    cr_expect_eq(outcome, LIDO_OUTCOME_ROLLED_BACK);
    cr_expect_eq(lido_txn_commit(&conn, &outcome, &handy_err), LIDO_NO_TXN);
    handy_give(&conn);
    lido_pool_free(pool);
}

static void run(struct worker *worker)
{
    worker->conn = handy_take(worker->pool);
    latch_add_to(lido_conn_sqlite(&worker->conn));
    begin(&worker->conn);
    worker->rc = lido_conn_exec(&worker->conn, LATCH_ENDLESS, &worker->err);
}

static void run_writing(struct worker *worker)
{
    worker->rc =
        lido_conn_exec(&worker->conn, "CREATE TABLE t AS " LATCH_ENDLESS, &worker->err);
}

Test(txn_limit, running_sql_ends)
{
    for (size_t i = 0; i < N_KINDS; i++) {
        lido_pool *pool = open_kind(kinds[i], 100);
        struct worker worker;

        latch_set_up();
        worker_start(&worker, pool);
        worker_ask(&worker, run);
        latch_await();
        fake_clock_advance_ms(100);
        latch_open();
        worker_await(&worker);
        cr_expect_eq(worker.rc, LIDO_TXN_TIMEOUT, "%s: %d", kinds[i], worker.rc);
        cr_expect_not_null(strstr(worker.err.text, "limit"), "%s", worker.err.text);
        worker_tell(&worker, worker_commit);
        cr_expect_eq(worker.rc, LIDO_TXN_TIMEOUT, "%d", worker.rc);
        worker_tell(&worker, worker_begin);
        cr_expect_eq(worker.rc, LIDO_OK, "%s", worker.err.text);

        latch_set_up(); /* a write, which SQLite rolls back by itself */
        worker_ask(&worker, run_writing);
        latch_await();
        fake_clock_advance_ms(100);
        latch_open();
        worker_await(&worker);
        cr_expect_eq(worker.rc, LIDO_TXN_TIMEOUT, "%s: %d", kinds[i], worker.rc);
        worker_tell(&worker, worker_commit);
        cr_expect_eq(worker.rc, LIDO_TXN_TIMEOUT, "%d", worker.rc);
        worker_tell(&worker, worker_give);
        worker_end(&worker);
        lido_pool_free(pool);
    }
}

static void let_wait(struct worker *worker, int times)
{
    int reads = fake_clock_reads();

    worker_ask(worker, worker_begin);
    while (fake_clock_reads() < reads + times)
        sched_yield();
}

static void limit_to_100(struct worker *worker)
{
    worker->rc = lido_txn_limit(&worker->conn, 100, &worker->err);
}

/* On a queue for the lock, on a static pool for another lease's transaction.  `times`: how
   often the clock is read until a thread sleeps. */
static void wait_for_another(const char *kind, int times)
{
    struct worker worker;
    struct lido_conn conn;
    lido_pool *pool = open_kind(kind, -1);

    conn = handy_take(pool);
    begin(&conn);
    worker_start(&worker, pool);
    worker_tell(&worker, worker_take);
    worker_tell(&worker, limit_to_100);
    cr_assert_eq(worker.rc, LIDO_OK);
    let_wait(&worker, times);
    fake_clock_advance_ms(100); /* and the pool's time-out is 5 s */
    worker_await(&worker);
    cr_expect_eq(worker.rc, LIDO_TXN_TIMEOUT, "%s: %d %s", kind, worker.rc,
                 worker.err.text);
    cr_expect_eq(lido_txn_commit(&conn, NULL, &handy_err), LIDO_OK);
    worker_tell(&worker, worker_begin); /* that was none that would have to be ended */
    cr_expect_eq(worker.rc, LIDO_OK, "%s", worker.err.text);
    worker_tell(&worker, worker_give);
    worker_end(&worker);
    handy_give(&conn);
    lido_pool_free(pool);
}

Test(txn_limit, on_a_static_pool_the_wait_for_anothers_ends)
{
    wait_for_another("static", 4);
}

Test(txn_limit, the_wait_for_the_lock_ends)
{
    wait_for_another("queue", 6);
}

/* A clock that goes on by a tenth of a millisecond whenever it is read. */
#define TICK_NS INT64_C(100000)
static _Atomic int64_t ticking_ns;
static _Atomic bool has_ended;

static int64_t read_ticking(void *ctx)
{
    (void)ctx;
    return atomic_fetch_add(&ticking_ns, TICK_NS);
}

static void begin_in_time(struct worker *worker)
{
    worker->rc = lido_txn_limit(&worker->conn, 7, &worker->err);
    if (worker->rc == LIDO_OK)
        worker->rc = lido_txn_begin(&worker->conn, LIDO_IMMEDIATE, &worker->err);
    atomic_store(&has_ended, true);
}

/* Its steps are of a millisecond, and the limit lies between two. */
Test(txn_limit, the_wait_for_the_lock_does_not_sleep_past_it)
{
    static const struct lido_clock ticking = { sizeof ticking, NULL, read_ticking,
                                               read_ticking };
    struct lido_pool_options options = handy_options("queue");
    struct worker worker;
    struct lido_conn conn;
    int64_t took_ns;
    lido_pool *pool;

    options.clock = &ticking;
    options.gate = 0;
    pool = handy_open_url(url, &options);
    conn = handy_take(pool);
    begin(&conn);
    worker_start(&worker, pool);
    worker_tell(&worker, worker_take);
    took_ns = -atomic_load(&ticking_ns);
    worker_ask(&worker, begin_in_time);
    while (!atomic_load(&has_ended)) {
        lido_clock_moved(&ticking);
        sched_yield();
    }
    took_ns += atomic_load(&ticking_ns);
    worker_await(&worker);
    cr_expect_eq(worker.rc, LIDO_TXN_TIMEOUT, "%d %s", worker.rc, worker.err.text);
    cr_expect_leq(took_ns, 7 * INT64_C(1000000) + 6 * TICK_NS, "%lld", (long long)took_ns);
    worker_tell(&worker, worker_give);
    worker_end(&worker);
    handy_give(&conn);
    lido_pool_free(pool);
}

Test(txn_limit, the_lease_s_own_beats_the_pool_s)
{
    lido_pool *pool = open_kind("queue", 100);
    struct lido_conn conn = handy_take(pool);

    cr_assert_eq(lido_txn_limit(&conn, -1, &handy_err), LIDO_OK);
    begin(&conn);
    fake_clock_advance_ms(1000);
    cr_expect_eq(exec(&conn, "SELECT 1"), LIDO_OK);
    cr_assert_eq(lido_txn_limit(&conn, 10, &handy_err), LIDO_OK); /* from now */
    fake_clock_advance_ms(9);
    cr_expect_eq(exec(&conn, "SELECT 1"), LIDO_OK);
    fake_clock_advance_ms(1);
    cr_expect_eq(exec(&conn, "SELECT 1"), LIDO_TXN_TIMEOUT);
    cr_assert_eq(lido_txn_limit(&conn, -1, &handy_err),
                 LIDO_OK); /* too late for this one */
    cr_expect_eq(exec(&conn, "SELECT 1"), LIDO_TXN_TIMEOUT);
    handy_give(&conn);

    conn = handy_take(pool); /* and nothing of it is left */
    cr_expect_eq(exec(&conn, "SELECT 1"), LIDO_OK);
    begin(&conn);
    fake_clock_advance_ms(99);
    cr_expect_eq(exec(&conn, "SELECT 1"), LIDO_OK);
    fake_clock_advance_ms(1);
    cr_expect_eq(exec(&conn, "SELECT 1"), LIDO_TXN_TIMEOUT);
    handy_give(&conn);
    lido_pool_free(pool);
}

Test(txn_limit, sql_text_that_begins_has_it_too)
{
    lido_pool *pool = open_kind("queue", 100);
    struct lido_conn conn = handy_take(pool);

    cr_assert_eq(exec(&conn, "BEGIN"), LIDO_OK);
    fake_clock_advance_ms(100);
    cr_expect_eq(exec(&conn, "SELECT 1"), LIDO_TXN_TIMEOUT);
    cr_expect_eq(lido_txn_rollback(&conn, &handy_err), LIDO_OK);
    cr_assert_eq(exec(&conn, "BEGIN; COMMIT"), LIDO_OK);
    fake_clock_advance_ms(100);
    cr_expect_eq(exec(&conn, "SELECT 1"), LIDO_OK, "%s", handy_err.text);
    handy_give(&conn);
    lido_pool_free(pool);
}

static void begin_and_write(struct worker *worker)
{
    worker->conn = handy_take(worker->pool);
    begin(&worker->conn);
    worker->rc = exec(&worker->conn, "INSERT INTO t VALUES (1)");
}

Test(txn_limit, a_commit_at_the_check_in_sleeps_while_it_waits_though_the_time_is_over)
{
    struct lido_pool_options options = handy_options("queue");
    struct worker worker;
    sqlite3_stmt *reader;
    lido_pool *pool;
    sqlite3 *other;
    int reads;

    unlink(path);
    options.txn_limit_ms = 100;
    options.pool_reset_on_return = LIDO_RESET_COMMIT;
    pool = handy_open_url(url, &options);
    cr_assert_eq(lido_pool_exec(pool, "CREATE TABLE t (x)", &handy_err), LIDO_OK);
    cr_assert_eq(sqlite3_open(path, &other), SQLITE_OK);
    cr_assert_eq(
        sqlite3_prepare_v2(other, "SELECT * FROM sqlite_master", -1, &reader, NULL),
        SQLITE_OK);
    cr_assert_eq(sqlite3_step(reader), SQLITE_ROW); /* the COMMIT waits for it */
    worker_start(&worker, pool);
    worker_tell(&worker, begin_and_write);
    cr_assert_eq(worker.rc, LIDO_OK);
    reads = fake_clock_reads();
    worker_ask(&worker, worker_give);
    while (fake_clock_reads() < reads + 4)
        sched_yield();
    reads = fake_clock_reads();
    fake_clock_advance_ms(100); /* when the COMMIT waits already */
    while (fake_clock_reads() == reads)
        sched_yield();
    for (int i = 0; i < 1000; i++)
        sched_yield();
    cr_expect_lt(fake_clock_reads(), reads + 20, "it asked %d times",
                 fake_clock_reads() - reads);
    sqlite3_finalize(reader);
    fake_clock_advance_ms(1);
    worker_await(&worker);
    cr_expect_eq(worker.rc, LIDO_OK, "%s", worker.err.text);
    worker_end(&worker);
    sqlite3_close(other);
    lido_pool_free(pool);
}

static int set_limit(void *ctx, const struct lido_event *event, struct lido_error *err)
{
    (void)ctx;
    return lido_txn_limit(event->conn, 100, err);
}

static int roll_back(void *ctx, const struct lido_event *event, struct lido_error *err)
{
    int rc = lido_txn_limit(event->conn, 100, err);

    (void)ctx;
    return rc == LIDO_OK ? lido_txn_rollback(event->conn, err) : rc;
}

Test(txn_limit, a_begin_hook_may_set_it_for_what_begins)
{
    static const struct lido_events hooks[] = {
        { .size = sizeof hooks[0], .begin = set_limit },
        { .size = sizeof hooks[0], .begin = roll_back },
    };

    for (int i = 0; i < 2; i++) {
        lido_pool *pool = open_kind("queue", -1);
        struct lido_conn conn = handy_take(pool);

        cr_assert_eq(
            lido_hooks_add(lido_pool_hooks(pool), NULL, &hooks[i], NULL, NULL, NULL),
            LIDO_OK);
        begin(&conn);
        fake_clock_advance_ms(99);
        cr_expect_eq(exec(&conn, "SELECT 1"), LIDO_OK);
        fake_clock_advance_ms(1);
        cr_expect_eq(exec(&conn, "SELECT 1"), LIDO_TXN_TIMEOUT, "%d", i);
        handy_give(&conn);
        lido_pool_free(pool);
    }
}

/* Two rows, so that the second step is one in the middle. */
static void expect_no_limit(const struct lido_conn *conn)
{
    struct lido_stmt stmt;

    fake_clock_advance_ms(1000);
    cr_assert_eq(lido_stmt_prepare(conn, &stmt, "VALUES (1), (2)", &handy_err), LIDO_OK);
    cr_expect_eq(lido_stmt_step(&stmt, &handy_err), SQLITE_ROW);
    cr_expect_eq(lido_stmt_step(&stmt, &handy_err), SQLITE_ROW, "%s", handy_err.text);
    cr_expect_eq(lido_conn_check(conn, &handy_err), LIDO_OK);
    cr_expect_eq(lido_stmt_finalize(&stmt, &handy_err), LIDO_OK);
}

Test(txn_limit, one_of_raw_sql_has_none)
{
    lido_pool *pool = open_kind("queue", -1);
    struct lido_conn conn = handy_take(pool);
    sqlite3 *db = lido_conn_sqlite(&conn);

    cr_assert_eq(sqlite3_exec(db, "BEGIN", NULL, NULL, NULL), SQLITE_OK);
    cr_assert_eq(lido_txn_limit(&conn, 100, &handy_err), LIDO_OK);
    expect_no_limit(&conn);
    cr_assert_eq(sqlite3_exec(db, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
    expect_no_limit(&conn);
    handy_give(&conn);
    lido_pool_free(pool);
}

Test(txn_limit, one_that_another_lease_ended_limits_nothing_more)
{
    struct lido_pool_options options = handy_options("static");
    struct lido_conn conn, other;
    lido_pool *pool;

    options.shared_transaction = 1;
    options.txn_limit_ms = 100;
    pool = handy_open_url("sqlite://", &options);
    conn = handy_take(pool);
    other = handy_take(pool);
    begin(&conn);
    cr_assert_eq(lido_txn_commit(&other, NULL, &handy_err), LIDO_OK);
    expect_no_limit(&conn);
    handy_give(&other);
    handy_give(&conn);
    lido_pool_free(pool);
}

static int count(void *ctx, const struct lido_event *event, struct lido_error *err)
{
    (void)event;
    ++*(int *)ctx;
    return *(int *)ctx == 1 ? lido_fail(err, SQLITE_ERROR, "not yet") : LIDO_OK;
}

Test(txn_limit, rollback_hooks_are_asked_and_asked_again)
{
    static const struct lido_events events = { .size = sizeof events, .rollback = count };
    lido_pool *pool = open_kind("queue", 100);
    struct lido_conn conn = handy_take(pool);
    lido_hook hook;
    int asked = 0;

    cr_assert_eq(
        lido_hooks_add(lido_pool_hooks(pool), &hook, &events, &asked, NULL, &handy_err),
        LIDO_OK);
    begin(&conn);
    fake_clock_advance_ms(100);
    cr_expect_eq(exec(&conn, "SELECT 1"), LIDO_TXN_TIMEOUT);
    cr_expect(is_open(&conn));
    cr_expect_eq(exec(&conn, "SELECT 1"), LIDO_TXN_TIMEOUT);
    cr_expect(!is_open(&conn));
    cr_expect_eq(asked, 2);
    handy_give(&conn);
    lido_pool_free(pool);
}

/* Its transaction was ended on the raw handle, behind lido's back. */
Test(txn_limit, one_that_raw_sql_ended_stops_no_raw_sql)
{
    lido_pool *pool = open_kind("queue", 100);
    struct lido_conn conn = handy_take(pool);
    sqlite3 *db = lido_conn_sqlite(&conn);

    latch_set_up();
    latch_open();
    latch_add_to(db);
    begin(&conn);
    cr_assert_eq(sqlite3_exec(db, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
    fake_clock_advance_ms(100);
    cr_expect_eq(sqlite3_exec(db, LATCH_LONG, NULL, NULL, NULL), SQLITE_OK, "%s",
                 sqlite3_errmsg(db));
    handy_give(&conn);
    lido_pool_free(pool);
}
