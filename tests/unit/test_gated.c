/* SPDX-License-Identifier: MIT */
/*
 * Transactions at the write gate: which have one, when they enter and wait, and what leaves it.
 */
#include "tests/support/fake_clock.h"
#include "tests/support/handy.h"
#include "tests/support/worker.h"
#include <lido/lido.h>

#include <criterion/criterion.h>
#include <sched.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char path[HANDY_FILE_SIZE], url[120];
static lido_pool *pool;

static lido_pool *open_with(const char *query, int64_t timeout_ms)
{
    struct lido_pool_options options = handy_options("queue");
    char whole[200];

    options.timeout_ms = timeout_ms;
    snprintf(whole, sizeof whole, "%s%s%s", url, query[0] != '\0' ? "?" : "", query);
    return handy_open_url(whole, &options);
}

static void set_up(void)
{
    handy_file(path, "gated");
    snprintf(url, sizeof url, "sqlite:///%s", path);
    pool = open_with("", 1000);
}

static void clear(void)
{
    lido_pool_free(pool);
    unlink(path);
}

TestSuite(gated, .init = set_up, .fini = clear, .timeout = 30);

static struct lido_gate_stats stats_of(lido_pool *asked)
{
    struct lido_gate_stats stats = LIDO_GATE_STATS_INIT;

    cr_assert_eq(lido_gate_stats(asked, &stats, &handy_err), LIDO_OK);
    return stats;
}

static bool is_held(void)
{
    return stats_of(pool).is_held != 0;
}

static void begin(const struct lido_conn *conn, int mode)
{
    cr_assert_eq(lido_txn_begin(conn, mode, &handy_err), LIDO_OK, "%s", handy_err.text);
}

static void exec(const struct lido_conn *conn, const char *sql)
{
    cr_assert_eq(lido_conn_exec(conn, sql, &handy_err), LIDO_OK, "%s", handy_err.text);
}

static void begin_immediate(struct worker *worker)
{
    worker->rc = lido_txn_begin(&worker->conn, LIDO_IMMEDIATE, &worker->err);
}

/* A worker that stands in line. */
static void let_wait(struct worker *worker, lido_pool *its)
{
    worker_start(worker, its);
    worker_tell(worker, worker_take);
    worker_ask(worker, begin_immediate);
    while (stats_of(pool).waiting == 0)
        sched_yield();
}

static void let_go(struct worker *worker)
{
    worker_tell(worker, worker_give);
    worker_end(worker);
}

Test(gated, only_what_takes_the_lock_at_once_enters)
{
    static const int modes[] = { LIDO_DEFERRED, LIDO_READ, LIDO_IMMEDIATE, LIDO_EXCLUSIVE };
    struct lido_conn conn = handy_take(pool);

    for (int i = 0; i < 4; i++) {
        begin(&conn, modes[i]);
        cr_expect_eq(is_held(), i >= 2, "%d", modes[i]);
        cr_assert_eq(lido_txn_commit(&conn, NULL, &handy_err), LIDO_OK);
        cr_expect_not(is_held());
    }
    cr_expect_eq(stats_of(pool).entered, 2);
    handy_give(&conn);
}

Test(gated, who_comes_second_waits_for_the_commit)
{
    lido_pool *second = open_with("", 1000);
    struct lido_conn conn = handy_take(pool);
    struct lido_gate_stats stats;
    struct worker worker;

    begin(&conn, LIDO_IMMEDIATE);
    let_wait(&worker, second); /* the gate is the file's, not the pool's */
    stats = stats_of(pool);
    cr_expect_eq(stats.shown, 1);
    cr_expect_eq(stats.waiters[0].priority, LIDO_GATE_NORMAL);
    cr_expect_neq(stats.waiters[0].lease.thread, stats.holder.thread);
    cr_assert_eq(lido_txn_commit(&conn, NULL, &handy_err), LIDO_OK);
    worker_await(&worker);
    cr_expect_eq(worker.rc, LIDO_OK, "%s", worker.err.text);
    cr_expect(is_held());
    let_go(&worker);
    cr_expect_not(is_held());
    cr_expect_eq(stats_of(pool).waited, 1);
    handy_give(&conn);
    lido_pool_free(second);
}

Test(gated, past_the_timeout_it_says_who_is_in)
{
    struct lido_conn conn = handy_take(pool);
    struct worker worker;

    cr_assert_eq(lido_conn_set_label(&conn, "import", &handy_err), LIDO_OK);
    begin(&conn, LIDO_IMMEDIATE);
    let_wait(&worker, pool);
    fake_clock_advance_ms(1000);
    worker_await(&worker);
    cr_expect_eq(worker.rc, SQLITE_BUSY);
    cr_expect_not_null(strstr(worker.err.text, "waited 1000 ms for the write gate"), "%s",
                       worker.err.text);
    cr_expect_not_null(strstr(worker.err.text, "import for 1000 ms"), "%s",
                       worker.err.text);
    cr_expect_eq(stats_of(pool).timeouts, 1);
    cr_expect_eq(stats_of(pool).stopped, 0);
    let_go(&worker);
    handy_give(&conn);
}

static struct lido_conn the_lease;

static void cancel_it(struct worker *worker)
{
    worker->rc = lido_conn_cancel(&the_lease, &worker->err);
}

Test(gated, a_cancelled_lease_waits_no_more)
{
    struct lido_conn conn = handy_take(pool);
    struct worker worker, other;

    begin(&conn, LIDO_IMMEDIATE);
    let_wait(&worker, pool);
    the_lease = worker.conn;
    worker_start(&other, pool);
    worker_tell(&other, cancel_it);
    cr_expect_eq(other.rc, LIDO_OK);
    worker_end(&other);
    worker_await(&worker);
    cr_expect_eq(worker.rc, LIDO_CANCELLED, "%s", worker.err.text);
    cr_expect_eq(stats_of(pool).stopped, 1);
    cr_expect_eq(stats_of(pool).timeouts, 0);
    let_go(&worker);
    handy_give(&conn);
}

static void limit(struct worker *worker)
{
    worker->rc = lido_txn_limit(&worker->conn, 10, &worker->err);
}

Test(gated, the_limit_of_the_transaction_ends_the_wait)
{
    struct lido_conn conn = handy_take(pool);
    struct worker worker;

    begin(&conn, LIDO_IMMEDIATE);
    worker_start(&worker, pool);
    worker_tell(&worker, worker_take);
    worker_tell(&worker, limit);
    worker_ask(&worker, begin_immediate);
    while (stats_of(pool).waiting == 0)
        sched_yield();
    fake_clock_advance_ms(10);
    worker_await(&worker);
    cr_expect_eq(worker.rc, LIDO_TXN_TIMEOUT, "%s", worker.err.text);
    let_go(&worker);
    handy_give(&conn);
}

Test(gated, the_wait_for_the_gate_and_for_the_lock_is_one)
{
    struct lido_conn conn = handy_take(pool);
    struct worker worker;
    sqlite3 *foreign;

    begin(&conn, LIDO_IMMEDIATE);
    let_wait(&worker, pool);
    cr_assert_eq(sqlite3_exec(lido_conn_sqlite(&conn), "COMMIT", NULL, NULL, NULL), 0);
    cr_assert_eq(sqlite3_open(path, &foreign), SQLITE_OK);
    cr_assert_eq(sqlite3_exec(foreign, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    fake_clock_advance_ms(600);
    cr_assert_eq(lido_txn_rollback(&conn, &handy_err), LIDO_OK); /* now it is in */
    fake_clock_advance_ms(400);
    worker_await(&worker);
    cr_expect_eq(worker.rc, SQLITE_BUSY);
    cr_expect_not_null(strstr(worker.err.text, "database is locked"), "%s",
                       worker.err.text);
    cr_expect_not(is_held());
    let_go(&worker);
    sqlite3_close(foreign);
    handy_give(&conn);
}

Test(gated, a_thread_does_not_wait_for_itself)
{
    struct lido_conn conn = handy_take(pool), other = handy_take(pool);

    begin(&conn, LIDO_IMMEDIATE);
    cr_expect_eq(lido_txn_begin(&other, LIDO_IMMEDIATE, &handy_err), LIDO_DEADLOCK);
    cr_expect_eq(handy_err.code, LIDO_DEADLOCK);
    cr_expect_eq(lido_txn_state(&other), LIDO_TXN_NONE);
    cr_expect_eq(stats_of(pool).deadlocks, 1);
    cr_expect_eq(stats_of(pool).timeouts, 0);
    handy_give(&conn);
    begin(&other, LIDO_IMMEDIATE);
    handy_give(&other);
}

/* Another thread may be at work with the lease that is in, and end it. */
Test(gated, where_threads_are_not_checked_a_thread_waits_though_it_be_for_itself)
{
    struct lido_pool_options options = handy_options("queue");
    struct lido_conn conn, other;
    lido_pool *unchecked;

    options.check_same_thread = 0;
    options.timeout_ms = 2;
    options.clock = NULL; /* nobody else is there to move it */
    unchecked = handy_open_url(url, &options);
    conn = handy_take(unchecked);
    other = handy_take(unchecked);
    begin(&conn, LIDO_IMMEDIATE);
    cr_expect_eq(lido_txn_begin(&other, LIDO_IMMEDIATE, &handy_err), SQLITE_BUSY, "%s",
                 handy_err.text);
    cr_expect_eq(stats_of(unchecked).waited, 1);
    handy_give(&other);
    handy_give(&conn);
    lido_pool_free(unchecked);
}

Test(gated, one_that_reads_does_not_wait)
{
    lido_pool *hasty = open_with("", 0);
    struct lido_conn conn = handy_take(pool), reader = handy_take(hasty);
    sqlite3_stmt *stmt;

    exec(&conn, "CREATE TABLE t (x); INSERT INTO t VALUES (1), (2)");
    begin(&conn, LIDO_IMMEDIATE);
    cr_assert_eq(
        sqlite3_prepare_v2(lido_conn_sqlite(&reader), "SELECT x FROM t", -1, &stmt, NULL),
        SQLITE_OK);
    cr_assert_eq(sqlite3_step(stmt), SQLITE_ROW);
    cr_expect_eq(lido_txn_begin(&reader, LIDO_IMMEDIATE, &handy_err), SQLITE_BUSY);
    cr_expect_not_null(strstr(handy_err.text, "locked"), "SQLite's: %s", handy_err.text);
    cr_expect_eq(stats_of(pool).ungated, 1);
    cr_expect(is_held(), "by the other");
    sqlite3_finalize(stmt);
    handy_give(&reader);
    handy_give(&conn);
    lido_pool_free(hasty);
}

/* Each ends a transaction that is in the gate. */
static void end_by_commit(struct lido_conn *conn)
{
    cr_assert_eq(lido_txn_commit(conn, NULL, &handy_err), LIDO_OK);
}
static void end_by_rollback(struct lido_conn *conn)
{
    cr_assert_eq(lido_txn_rollback(conn, &handy_err), LIDO_OK);
}
static void end_by_text(struct lido_conn *conn)
{
    exec(conn, "COMMIT");
}
static void end_by_checkin(struct lido_conn *conn)
{
    handy_give(conn);
}
static void end_by_invalidation(struct lido_conn *conn)
{
    cr_assert_eq(lido_conn_invalidate(conn, NULL, &handy_err), LIDO_OK);
}
static void end_by_stealing(struct lido_conn *conn)
{
    void *handle;

    cr_assert_eq(lido_conn_steal(conn, &handle, &handy_err), LIDO_OK);
    cr_expect_not(is_held());
    sqlite3_close(handle);
}
static void end_detached(struct lido_conn *conn)
{
    cr_assert_eq(lido_conn_detach(conn, &handy_err), LIDO_OK);
    cr_expect(is_held(), "a detached lease has its transaction");
    handy_give(conn);
}
static void end_by_sqlite(struct lido_conn *conn)
{
    exec(conn, "CREATE TABLE IF NOT EXISTS u (x UNIQUE); INSERT INTO u VALUES (1)");
    cr_assert_neq(lido_conn_exec(conn, "INSERT OR ROLLBACK INTO u VALUES (1)", &handy_err),
                  LIDO_OK);
}
static void end_raw(struct lido_conn *conn)
{
    cr_assert_eq(sqlite3_exec(lido_conn_sqlite(conn), "COMMIT", NULL, NULL, NULL), 0);
    cr_assert_eq(lido_txn_rollback(conn, &handy_err), LIDO_OK);
}

Test(gated, whatever_ends_the_transaction_leaves)
{
    static void (*const ends[])(struct lido_conn * conn) = {
        end_by_commit,  end_by_rollback,     end_by_text,
        end_by_checkin, end_by_invalidation, end_by_stealing,
        end_detached,   end_by_sqlite,       end_raw,
    };

    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        struct lido_conn conn = handy_take(pool);

        begin(&conn, LIDO_IMMEDIATE);
        cr_assert(is_held());
        ends[i](&conn);
        cr_expect_not(is_held(), "end number %zu", i);
        if (conn.cell != NULL)
            (void)lido_conn_checkin(&conn, NULL, NULL);
    }
}

static int refuse(void *ctx, const struct lido_event *event, struct lido_error *err)
{
    (void)ctx, (void)event;
    return lido_fail(err, SQLITE_AUTH, "no");
}
static int raise_mode(void *ctx, const struct lido_event *event, struct lido_error *err)
{
    (void)ctx, (void)err;
    *event->begin_mode = LIDO_IMMEDIATE;
    return LIDO_OK;
}
static int begin_itself(void *ctx, const struct lido_event *event, struct lido_error *err)
{
    (void)ctx, (void)err;
    return sqlite3_exec(event->sqlite, "BEGIN IMMEDIATE", NULL, NULL, NULL);
}
static int checkin_lease(void *ctx, const struct lido_event *event, struct lido_error *err)
{
    struct lido_conn copy = *event->conn;

    (void)ctx;
    return lido_conn_checkin(&copy, NULL, err);
}

static void add_begin(int (*hook)(void *ctx, const struct lido_event *event,
                                  struct lido_error *err))
{
    struct lido_events events = { .size = sizeof events, .begin = hook };

    cr_assert_eq(
        lido_hooks_add(lido_pool_hooks(pool), NULL, &events, NULL, NULL, &handy_err),
        LIDO_OK);
}

Test(gated, a_begin_that_a_hook_refuses_leaves)
{
    struct lido_conn conn = handy_take(pool);

    add_begin(refuse);
    cr_expect_eq(lido_txn_begin(&conn, LIDO_IMMEDIATE, &handy_err), SQLITE_AUTH);
    cr_expect_not(is_held());
    cr_expect_eq(stats_of(pool).entered, 1, "before the hook");
    handy_give(&conn);
}

Test(gated, a_hook_that_ends_the_lease_leaves)
{
    struct lido_conn conn = handy_take(pool);

    add_begin(checkin_lease);
    cr_expect_eq(lido_txn_begin(&conn, LIDO_IMMEDIATE, &handy_err), LIDO_STALE);
    cr_expect_not(is_held());
}

Test(gated, a_hook_that_raises_the_mode_makes_it_enter)
{
    struct lido_conn conn = handy_take(pool);

    add_begin(raise_mode);
    begin(&conn, LIDO_DEFERRED);
    cr_expect(is_held());
    handy_give(&conn);
    cr_expect_not(is_held());
}

Test(gated, who_is_in_already_enters_no_second_time)
{
    struct lido_conn conn = handy_take(pool);

    add_begin(raise_mode);
    begin(&conn, LIDO_IMMEDIATE);
    cr_expect_eq(stats_of(pool).entered, 1);
    handy_give(&conn);
    cr_expect_not(is_held());
}

Test(gated, a_hook_that_has_the_lock_is_in)
{
    struct lido_conn conn = handy_take(pool);

    add_begin(begin_itself);
    begin(&conn, LIDO_DEFERRED);
    cr_expect(is_held());
    handy_give(&conn);
    cr_expect_not(is_held());
}

static int is_locking, was_in;

static int begin_as_told(void *ctx, const struct lido_event *event, struct lido_error *err)
{
    was_in = is_held();
    return is_locking ? begin_itself(ctx, event, err) : LIDO_OK;
}

Test(gated, hooks_are_expected_to_do_what_they_did)
{
    static const struct {
        int is_locking, was_in;
    } turns[] = { { 1, 0 }, { 1, 1 }, { 0, 1 }, { 0, 0 } };
    struct lido_conn conn = handy_take(pool);

    add_begin(begin_as_told);
    for (int i = 0; i < 4; i++) {
        is_locking = turns[i].is_locking;
        begin(&conn, LIDO_DEFERRED);
        cr_expect_eq(was_in, turns[i].was_in, "%d", i);
        cr_expect_eq(is_held(), turns[i].is_locking, "%d", i);
        cr_assert_eq(lido_txn_commit(&conn, NULL, &handy_err), LIDO_OK);
    }
    handy_give(&conn);
}

Test(gated, a_begin_that_meets_a_foreign_lock_leaves)
{
    lido_pool *hasty = open_with("", 0);
    struct lido_conn conn = handy_take(hasty);
    sqlite3 *foreign;

    cr_assert_eq(sqlite3_open(path, &foreign), SQLITE_OK);
    cr_assert_eq(sqlite3_exec(foreign, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    cr_expect_eq(lido_txn_begin(&conn, LIDO_IMMEDIATE, &handy_err), SQLITE_BUSY);
    cr_expect_not(stats_of(hasty).is_held);
    cr_expect_eq(stats_of(hasty).entered, 1);
    sqlite3_close(foreign);
    handy_give(&conn);
    lido_pool_free(hasty);
}

Test(gated, there_is_none_without_a_file_to_write)
{
    static const char *const urls[] = { "sqlite://", "fake:///any" };
    lido_pool *none = open_with("gate=0", 0), *reading;
    struct lido_conn conn = handy_take(none);

    begin(&conn, LIDO_IMMEDIATE);
    cr_expect_not(stats_of(none).has_gate, "gate=0");
    exec(&conn, "CREATE TABLE t (x)");
    exec(&conn, "COMMIT");
    handy_give(&conn);
    lido_pool_free(none);

    reading = open_with("uri=1&mode=ro", 0);
    if (lido_pool_checkout(reading, &conn, NULL, &handy_err) == LIDO_OK)
        handy_give(&conn);
    cr_expect_not(stats_of(reading).has_gate, "read only");
    lido_pool_free(reading);

    fake_driver_install();
    for (int i = 0; i < 2; i++) {
        struct lido_pool_options options = handy_options("null");

        none = handy_open_url(urls[i], &options);
        conn = handy_take(none);
        begin(&conn, LIDO_IMMEDIATE);
        cr_expect_not(stats_of(none).has_gate, "%s", urls[i]);
        handy_give(&conn);
        lido_pool_free(none);
    }
}

Test(gated, statistics_want_a_pool_and_a_size)
{
    struct lido_gate_stats stats = LIDO_GATE_STATS_INIT;

    cr_expect_eq(lido_gate_stats(NULL, &stats, &handy_err), SQLITE_MISUSE);
    cr_expect_eq(lido_gate_stats(pool, NULL, &handy_err), SQLITE_MISUSE);
    stats.size++;
    cr_expect_eq(lido_gate_stats(pool, &stats, &handy_err), SQLITE_MISUSE);
    stats.size = 0;
    cr_expect_eq(lido_gate_stats(pool, &stats, &handy_err), SQLITE_MISUSE);
}

Test(gated, statistics_fill_what_an_older_program_has_room_for)
{
    struct lido_gate_stats stats = LIDO_GATE_STATS_INIT;
    struct lido_conn conn = handy_take(pool);

    begin(&conn, LIDO_IMMEDIATE);
    stats.size = offsetof(struct lido_gate_stats, held_ns);
    stats.held_ns = -7;
    cr_assert_eq(lido_gate_stats(pool, &stats, &handy_err), LIDO_OK);
    cr_expect_eq(stats.size, offsetof(struct lido_gate_stats, held_ns));
    cr_expect(stats.is_held);
    cr_expect_eq(stats.held_ns, -7, "it has no room for this");
    stats.size = sizeof stats.size - 1;
    cr_expect_eq(lido_gate_stats(pool, &stats, &handy_err), SQLITE_MISUSE);
    handy_give(&conn);
}

Test(gated, the_last_pool_takes_the_counts_with_it)
{
    struct lido_conn conn = handy_take(pool);

    begin(&conn, LIDO_IMMEDIATE);
    handy_give(&conn);
    cr_assert_eq(lido_pool_dispose(pool, &handy_err), LIDO_OK);
    cr_expect_eq(stats_of(pool).entered, 1, "no connection is open");
    lido_pool_free(pool);
    pool = open_with("", 1000);
    conn = handy_take(pool);
    cr_expect(stats_of(pool).has_gate);
    cr_expect_eq(stats_of(pool).entered, 0);
    handy_give(&conn);
}
