/* SPDX-License-Identifier: MIT */
/*
 * Rings through slots and gates: who would close one is told at once, and nobody else is.
 *
 * The clock stands still unless a test moves it, so a wait that ends ends for another reason
 * than its time.
 */
#include "pool/ring.h"
#include "tests/support/fake_clock.h"
#include "tests/support/handy.h"
#include "tests/support/latch.h"
#include "tests/support/worker.h"
#include <lido/lido.h>

#include <criterion/criterion.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define ONE "pool=queue&pool_size=1&max_overflow=0"
#define TWO "pool=queue&pool_size=2&max_overflow=0"

static char paths[2][HANDY_FILE_SIZE];
static int64_t began_ns;
static int64_t patience_ms = 1000;

static lido_pool *open_on(int file, const char *query)
{
    struct lido_pool_options options = handy_options(NULL);
    char url[250];

    options.timeout_ms = patience_ms;
    options.pool_timeout_ms = patience_ms;
    snprintf(url, sizeof url, "sqlite:///%s?%s", paths[file], query);
    return handy_open_url(url, &options);
}

static void set_up(void)
{
    for (int i = 0; i < 2; i++)
        handy_file(paths[i], "ring");
    began_ns = fake_clock_now_ns();
}

static void clear(void)
{
    for (int i = 0; i < 2; i++)
        unlink(paths[i]);
}

TestSuite(ring, .init = set_up, .fini = clear, .timeout = 30);

static void expect_no_time_passed(void)
{
    cr_expect_eq(fake_clock_now_ns(), began_ns);
}

static void begin(const struct lido_conn *conn)
{
    cr_assert_eq(lido_txn_begin(conn, LIDO_IMMEDIATE, &handy_err), LIDO_OK, "%s",
                 handy_err.text);
}

static int64_t gate_waits(lido_pool *pool)
{
    struct lido_gate_stats stats = LIDO_GATE_STATS_INIT;

    cr_assert_eq(lido_gate_stats(pool, &stats, &handy_err), LIDO_OK);
    return stats.waiting;
}

static uint64_t gate_deadlocks(lido_pool *pool)
{
    struct lido_gate_stats stats = LIDO_GATE_STATS_INIT;

    cr_assert_eq(lido_gate_stats(pool, &stats, &handy_err), LIDO_OK);
    cr_expect_eq(stats.timeouts + stats.stopped, 0);
    return stats.deadlocks;
}

static void await_line(lido_pool *pool, int64_t length)
{
    while (handy_stats(pool).waiting < length)
        sched_yield();
}

static void await_gate(lido_pool *pool, int64_t length)
{
    while (gate_waits(pool) < length)
        sched_yield();
}

/* Who is in a line has not looked for a ring yet: whoever looks last is told. */
static void await_asleep(unsigned count)
{
    while (lido__ring_count() < count)
        sched_yield();
}

/* It may answer with nobody asleep. */
static int take_more(lido_pool *pool, struct lido_conn *conn)
{
    return lido_pool_checkout(pool, conn, NULL, &handy_err);
}

Test(ring, a_thread_that_has_all_slots_itself_does_not_wait_for_one)
{
    lido_pool *pool = open_on(0, ONE);
    struct lido_conn conn = handy_take(pool), more;

    cr_expect_eq(take_more(pool, &more), LIDO_DEADLOCK);
    cr_expect_eq(handy_err.code, LIDO_DEADLOCK);
    cr_expect_null(more.cell);
    cr_expect_eq(lido_pool_checkout(pool, &more, NULL, NULL), LIDO_DEADLOCK, "no text");
    cr_expect_eq(handy_stats(pool).deadlocks, 2);
    cr_expect_eq(handy_stats(pool).timeouts, 0);
    cr_expect_eq(handy_stats(pool).waiting, 0);
    expect_no_time_passed();
    handy_give(&conn);
    more = handy_take(pool);
    handy_give(&more);
    lido_pool_free(pool);
}

Test(ring, who_only_tries_is_told_that_none_is_free)
{
    lido_pool *pool = open_on(0, ONE "&pool_timeout=0");
    struct lido_checkout_options options = LIDO_CHECKOUT_OPTIONS_INIT;
    struct lido_conn conn = handy_take(pool), more;

    options.timeout_ms = LIDO_TIMEOUT_TRY;
    cr_expect_eq(lido_pool_checkout(pool, &more, &options, &handy_err), LIDO_POOL_TIMEOUT);
    cr_expect_eq(handy_stats(pool).deadlocks, 0);
    handy_give(&conn);
    lido_pool_free(pool);
}

/* A worker that has a lease and waits with it at the gate. */
static void stand_at_gate(struct worker *worker, lido_pool *pool)
{
    worker_start(worker, pool);
    worker_tell(worker, worker_take);
    cr_assert_eq(worker->rc, LIDO_OK, "%s", worker->err.text);
    worker_ask(worker, worker_begin);
    await_gate(pool, 1);
    await_asleep(1);
}

Test(ring, who_is_in_does_not_wait_for_one_who_waits_at_the_gate)
{
    lido_pool *pool = open_on(0, TWO);
    struct lido_conn conn = handy_take(pool), more;
    struct worker worker;

    begin(&conn);
    stand_at_gate(&worker, pool);
    cr_expect_eq(take_more(pool, &more), LIDO_DEADLOCK);
    expect_no_time_passed();
    handy_give(&conn); /* and the other gets on */
    worker_await(&worker);
    cr_expect_eq(worker.rc, LIDO_OK, "%s", worker.err.text);
    worker_tell(&worker, worker_give);
    worker_end(&worker);
    lido_pool_free(pool);
}

Test(ring, the_text_names_who_waits_for_what)
{
    lido_pool *pool = open_on(0, TWO);
    struct lido_conn conn = handy_take(pool), more;
    struct worker worker;
    char own[60];

    cr_assert_eq(lido_conn_set_label(&conn, "import", &handy_err), LIDO_OK);
    begin(&conn);
    stand_at_gate(&worker, pool);
    cr_assert_eq(take_more(pool, &more), LIDO_DEADLOCK);
    snprintf(own, sizeof own, "in a ring: %d import for a connection, ", (int)gettid());
    cr_expect_not_null(strstr(handy_err.text, own), "%s", handy_err.text);
    cr_expect_not_null(strstr(handy_err.text, "2 threads wait in a ring"), "%s",
                       handy_err.text);
    cr_expect_not_null(strstr(handy_err.text, " for the write gate"), "%s", handy_err.text);
    handy_give(&conn);
    worker_await(&worker);
    worker_tell(&worker, worker_give);
    worker_end(&worker);
    lido_pool_free(pool);
}

/* What a thread does by its second lease. */
static struct lido_conn other_lease;

static void take_other(struct worker *worker)
{
    worker->rc = lido_pool_checkout(worker->pool, &other_lease, NULL, &worker->err);
}
static void begin_other(struct worker *worker)
{
    worker->rc = lido_txn_begin(&other_lease, LIDO_IMMEDIATE, &worker->err);
}
static void give_other(struct worker *worker)
{
    worker->rc = lido_conn_checkin(&other_lease, NULL, &worker->err);
}

/* The last to come is told: here it is the one that comes to the gate. */
Test(ring, who_comes_to_the_gate_last_is_told_there)
{
    lido_pool *pool = open_on(0, ONE), *second = open_on(0, ONE);
    struct lido_conn conn = handy_take(second);
    struct worker worker;

    worker_start(&worker, pool);
    worker_tell(&worker, worker_take);
    worker_tell(&worker, worker_begin);
    worker.pool = second;
    worker_ask(&worker, take_other);
    await_line(second, 1);
    await_asleep(1);
    cr_expect_eq(lido_txn_begin(&conn, LIDO_IMMEDIATE, &handy_err), LIDO_DEADLOCK);
    cr_expect_not_null(strstr(handy_err.text, "2 threads wait in a ring"), "%s",
                       handy_err.text);
    cr_expect_eq(gate_deadlocks(pool), 1);
    cr_expect_eq(lido_txn_state(&conn), LIDO_TXN_NONE);
    handy_give(&conn);
    worker_await(&worker);
    cr_expect_eq(worker.rc, LIDO_OK, "%s", worker.err.text);
    expect_no_time_passed();
    worker_tell(&worker, give_other);
    worker_tell(&worker, worker_give);
    worker_end(&worker);
    lido_pool_free(second);
    lido_pool_free(pool);
}

Test(ring, two_gates)
{
    lido_pool *pools[] = { open_on(0, TWO), open_on(1, TWO) };
    struct lido_conn first = handy_take(pools[0]), second = handy_take(pools[1]);
    struct worker worker;

    begin(&first);
    worker_start(&worker, pools[1]);
    worker_tell(&worker, worker_take);
    worker_tell(&worker, worker_begin);
    worker.pool = pools[0];
    worker_tell(&worker, take_other);
    worker_ask(&worker, begin_other); /* at the gate that this thread is in */
    await_gate(pools[0], 1);
    await_asleep(1);
    cr_expect_eq(lido_txn_begin(&second, LIDO_IMMEDIATE, &handy_err), LIDO_DEADLOCK);
    cr_expect_eq(gate_deadlocks(pools[1]), 1);
    cr_expect_eq(gate_deadlocks(pools[0]), 0);
    expect_no_time_passed();
    handy_give(&first);
    worker_await(&worker);
    cr_expect_eq(worker.rc, LIDO_OK, "%s", worker.err.text);
    worker_tell(&worker, give_other);
    worker_tell(&worker, worker_give);
    worker_end(&worker);
    handy_give(&second);
    for (int i = 0; i < 2; i++)
        lido_pool_free(pools[i]);
}

/* This thread is in the first gate and wants a connection of the second pool; that is had by
   `middle`, at the second gate; there `last` is in, and wants a connection of a third pool,
   which this thread has. */
Test(ring, two_pools_and_two_gates)
{
    lido_pool *pools[] = { open_on(0, ONE), open_on(1, ONE), open_on(1, ONE) };
    struct lido_conn first = handy_take(pools[0]), more;
    struct worker middle, last;

    begin(&first);
    worker_start(&last, pools[2]);
    worker_tell(&last, worker_take);
    worker_tell(&last, worker_begin);
    stand_at_gate(&middle, pools[1]);
    last.pool = pools[0];
    worker_ask(&last, take_other);
    await_line(pools[0], 1);
    await_asleep(2);
    cr_expect_eq(take_more(pools[1], &more), LIDO_DEADLOCK);
    cr_expect_not_null(strstr(handy_err.text, "3 threads wait in a ring"), "%s",
                       handy_err.text);
    expect_no_time_passed();
    handy_give(&first);
    worker_await(&last);
    cr_expect_eq(last.rc, LIDO_OK, "%s", last.err.text);
    worker_tell(&last, give_other);
    worker_tell(&last, worker_give);
    worker_await(&middle);
    cr_expect_eq(middle.rc, LIDO_OK, "%s", middle.err.text);
    worker_tell(&middle, worker_give);
    worker_end(&middle);
    worker_end(&last);
    for (int i = 0; i < 3; i++)
        lido_pool_free(pools[i]);
}

/* Two that wait in the same line do not hold each other up: who has the lease does. */
Test(ring, a_line_is_no_ring)
{
    lido_pool *pool = open_on(0, ONE);
    struct lido_conn conn = handy_take(pool);
    struct worker workers[2];

    for (int i = 0; i < 2; i++) {
        worker_start(&workers[i], pool);
        worker_ask(&workers[i], worker_take);
        await_line(pool, i + 1);
    }
    handy_give(&conn);
    for (int i = 0; i < 2; i++) {
        worker_await(&workers[i]);
        cr_expect_eq(workers[i].rc, LIDO_OK, "%s", workers[i].err.text);
        worker_tell(&workers[i], worker_give);
        worker_end(&workers[i]);
    }
    lido_pool_free(pool);
}

Test(ring, one_that_is_awake_breaks_it)
{
    lido_pool *pool = open_on(0, TWO);
    struct lido_conn conn = handy_take(pool);
    struct worker worker;

    worker_start(&worker, pool);
    worker_tell(&worker, worker_take);
    worker_ask(&worker, take_other); /* it has one of two, and this thread is awake */
    await_line(pool, 1);
    handy_give(&conn);
    worker_await(&worker);
    cr_expect_eq(worker.rc, LIDO_OK, "%s", worker.err.text);
    cr_expect_eq(handy_stats(pool).deadlocks, 0);
    worker_tell(&worker, give_other);
    worker_tell(&worker, worker_give);
    worker_end(&worker);
    lido_pool_free(pool);
}

static void take_unique(struct worker *worker)
{
    struct lido_checkout_options options = LIDO_CHECKOUT_OPTIONS_INIT;

    options.unique = 1;
    worker->rc = lido_pool_checkout(worker->pool, &other_lease, &options, &worker->err);
}

/* A pool in which a lease is not one thread's alone: the wait goes on, and ends by its time. */
static void expect_unknown(const char *query)
{
    lido_pool *pool = open_on(0, query);
    struct worker worker;

    worker_start(&worker, pool);
    worker_tell(&worker, worker_take);
    worker_ask(&worker, take_unique);
    await_line(pool, 1);
    fake_clock_advance_ms(1000);
    worker_await(&worker);
    cr_expect_eq(worker.rc, LIDO_POOL_TIMEOUT, "%s", query);
    cr_expect_eq(handy_stats(pool).deadlocks, 0, "%s", query);
    worker_tell(&worker, worker_give);
    worker_end(&worker);
    lido_pool_free(pool);
}

Test(ring, a_lease_that_any_thread_may_end_breaks_it)
{
    expect_unknown(ONE "&check_same_thread=0");
}

Test(ring, shared_leases_break_it)
{
    expect_unknown(ONE "&use_threadlocal=1");
}

static _Atomic bool has_begun;

static void begin_and_tell(struct worker *worker)
{
    worker_begin(worker);
    has_begun = true;
}

/* Who waits for SQLite's lock, which nobody here has, does not wait for one of us. */
Test(ring, a_wait_for_the_lock_of_another_program_breaks_it)
{
    struct lido_gate_stats stats = LIDO_GATE_STATS_INIT;
    struct worker worker, last;
    lido_pool *pool;
    sqlite3 *foreign;

    patience_ms = -1;
    pool = open_on(0, ONE);
    cr_assert_eq(sqlite3_open(paths[0], &foreign), SQLITE_OK);
    cr_assert_eq(sqlite3_exec(foreign, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    worker_start(&worker, pool);
    worker_tell(&worker, worker_take);
    worker_ask(&worker, begin_and_tell);
    while (!stats.is_held)
        cr_assert_eq(lido_gate_stats(pool, &stats, &handy_err), LIDO_OK);
    worker_start(&last, pool);
    worker_ask(&last, worker_take);
    await_line(pool, 1);
    sqlite3_close(foreign);
    while (!has_begun) {
        fake_clock_advance_ms(1);
        sched_yield();
    }
    worker_await(&worker);
    cr_expect_eq(worker.rc, LIDO_OK, "%s", worker.err.text);
    worker_tell(&worker, worker_give);
    worker_await(&last);
    cr_expect_eq(last.rc, LIDO_OK, "%s", last.err.text);
    worker_tell(&last, worker_give);
    worker_end(&last);
    worker_end(&worker);
    lido_pool_free(pool);
}

/* The thread of a detached lease has it still, but its place is free. */
Test(ring, a_detached_lease_does_not_count)
{
    lido_pool *pool = open_on(0, ONE);
    struct lido_conn conn = handy_take(pool), more;

    cr_assert_eq(lido_conn_detach(&conn, &handy_err), LIDO_OK);
    more = handy_take(pool);
    cr_expect_eq(handy_stats(pool).deadlocks, 0);
    handy_give(&more);
    handy_give(&conn);
    lido_pool_free(pool);
}

static int open_slowly(void *ctx, const struct lido_event *event, struct lido_error *err)
{
    (void)ctx, (void)event, (void)err;
    latch_stand();
    return LIDO_OK;
}

Test(ring, a_connection_that_is_being_opened_breaks_it)
{
    static const struct lido_events slow = { .size = sizeof slow, .connect = open_slowly };
    lido_pool *pool = open_on(0, ONE);
    struct worker worker, last;

    latch_set_up();
    cr_assert_eq(lido_hooks_add(lido_pool_hooks(pool), NULL, &slow, NULL, NULL, &handy_err),
                 LIDO_OK);
    worker_start(&worker, pool);
    worker_ask(&worker, worker_take);
    latch_await();
    worker_start(&last, pool);
    worker_ask(&last, worker_take);
    await_line(pool, 1);
    latch_open();
    worker_await(&worker);
    cr_expect_eq(worker.rc, LIDO_OK, "%s", worker.err.text);
    worker_tell(&worker, worker_give);
    worker_await(&last);
    cr_expect_eq(last.rc, LIDO_OK, "%s", last.err.text);
    worker_tell(&last, worker_give);
    worker_end(&last);
    worker_end(&worker);
    lido_pool_free(pool);
}

/* A lease that was handed over is its new thread's. */
Test(ring, a_lease_handed_over_breaks_it)
{
    lido_pool *pool = open_on(0, ONE);
    struct worker worker, taker;

    worker_start(&worker, pool);
    worker_tell(&worker, worker_take);
    worker_start(&taker, pool);
    taker.conn = worker.conn;
    worker_tell(&taker, worker_take_over);
    worker_ask(&worker, take_other);
    await_line(pool, 1);
    worker_tell(&taker, worker_give);
    worker_await(&worker);
    cr_expect_eq(worker.rc, LIDO_OK, "%s", worker.err.text);
    worker_tell(&worker, give_other);
    worker_end(&worker);
    worker_end(&taker);
    lido_pool_free(pool);
}
