/* SPDX-License-Identifier: MIT */
/*
 * Section 1.7: who waits for a queue, how long, and what wakes it.
 */
#include "tests/parity/play.h"

#include <sched.h>
#include <stdatomic.h>

TestSuite(parity_waits, .init = play_begin);

/* 1.7 timeout None
   SQLAlchemy: waits for ever.
   lido: same: -1 */
Test(parity_waits, a_checkout_may_wait_for_ever)
{
    lido_pool *pool = play_open_queue(1, 0);
    struct lido_conn conn = play_take(pool);
    struct play_waiter waiter;

    play_wait_in_line(&waiter, pool, LIDO_TIMEOUT_FOREVER, 1);
    fake_clock_advance_ms(INT64_C(1000) * 3600 * 24 * 365);
    cr_expect_eq(play_stats(pool).waiting, 1);
    play_give(&conn);
    play_join(&waiter);

    cr_expect_eq(waiter.rc, LIDO_OK);
    play_end(pool);
}

/* 1.7 timeout 0
   SQLAlchemy: fails at once.
   lido: same */
Test(parity_waits, a_timeout_of_zero_fails_at_once)
{
    lido_pool *pool = play_open_queue(1, 0);
    struct lido_conn conn = play_take(pool);

    play_refuse(pool, LIDO_POOL_TIMEOUT);
    play_give(&conn);
    play_end(pool);
}

/* 1.7 negative timeout
   SQLAlchemy: a ValueError, but only when it would have to wait.
   lido: better: refused when the pool is opened, and at each checkout that asks for it */
Test(parity_waits, a_negative_timeout_is_refused_before_anybody_waits)
{
    struct lido_pool_options options = play_options("queue");
    struct lido_checkout_options asked = LIDO_CHECKOUT_OPTIONS_INIT;
    struct lido_conn conn;
    lido_pool *pool;

    options.pool_timeout_ms = -2;
    cr_expect_eq(lido_pool_open(&pool, "play:///x", &options, NULL), LIDO_BAD_OPTION);
    pool = play_open_queue(1, 0);
    asked.timeout_ms = -2;
    cr_expect_eq(lido_pool_checkout(pool, &conn, &asked, NULL), LIDO_BAD_OPTION);
    play_end(pool);
}

/* 1.7 which clock
   SQLAlchemy: time.time(), which may be set back.
   lido: better: a monotonic clock, which the host may replace */
Test(parity_waits, a_wait_ends_by_the_pools_own_clock)
{
    lido_pool *pool = play_open_queue(1, 0);
    struct lido_conn conn = play_take(pool);
    struct play_waiter waiter;

    play_wait_in_line(&waiter, pool, 1500, 1);
    fake_clock_advance_ms(1500);
    play_join(&waiter);

    cr_expect_eq(waiter.rc, LIDO_POOL_TIMEOUT);
    play_give(&conn);
    play_end(pool);
}

static int next_of(const char *order)
{
    struct lido_pool_options options = play_options("queue");
    struct lido_conn first, second;
    lido_pool *pool;
    int number;

    options.order = order;
    pool = play_open(&options);
    first = play_take(pool);
    second = play_take(pool);
    play_give(&second);
    play_give(&first);
    first = play_take(pool);
    number = play_number(&first);
    play_give(&first);
    play_end(pool);
    play_begin();
    return number;
}

/* 1.7 FIFO
   SQLAlchemy: by default the connection that was returned the longest ago.
   lido: same: `order=fifo` */
Test(parity_waits, fifo_lends_what_was_returned_the_longest_ago)
{
    cr_expect_eq(next_of("fifo"), 2);
}

/* 1.7 use_lifo
   SQLAlchemy: the one that was returned last.
   lido: same: `order=lifo` or `pool_use_lifo=1` */
Test(parity_waits, lifo_lends_what_was_returned_last)
{
    cr_expect_eq(next_of("lifo"), 1);
}

/* 1.7 waiters
   SQLAlchemy: are served in the order of their arrival.
   lido: same: and nobody who comes later overtakes them */
Test(parity_waits, who_came_first_is_served_first)
{
    lido_pool *pool = play_open_queue(1, 0);
    struct lido_conn conn = play_take(pool);
    struct play_waiter waiters[3];

    for (int i = 0; i < 3; i++)
        play_wait_in_line(&waiters[i], pool, -1, i + 1);
    play_give(&conn);
    for (int i = 0; i < 3; i++)
        play_join(&waiters[i]);

    for (int i = 0; i < 3; i++)
        cr_expect_eq(waiters[i].order, i + 1);
    play_end(pool);
}

static struct play_waiter inside_waiter;
static lido_pool *inside_pool;

static void wait_for_the_slot(const struct lido_event *event)
{
    (void)event;
    play_wait_in_line(&inside_waiter, inside_pool, -1, 1);
}

/* 1.7 a failed create wakes a waiter
   SQLAlchemy: no: it sleeps on to its deadline, or for ever.
   lido: better: the freed capacity goes to the oldest waiter at once */
Test(parity_waits, a_connect_that_fails_makes_room_for_who_waits)
{
    lido_pool *pool = play_open_queue(1, 0);

    inside_pool = pool;
    play_fail("connect", 1, SQLITE_ERROR);
    play_do_inside("connect", wait_for_the_slot);
    play_refuse(pool, SQLITE_ERROR);
    play_join(&inside_waiter);

    cr_expect_eq(inside_waiter.rc, LIDO_OK, "%s", inside_waiter.err.text);
    cr_expect_eq(inside_waiter.number, 2);
    play_end(pool);
}

/* 1.7 a surplus close wakes a waiter
   SQLAlchemy: no: what is closed while another waits is no put.
   lido: better: a waiter gets the connection itself before it would be surplus */
Test(parity_waits, who_waits_gets_what_would_be_surplus)
{
    lido_pool *pool = play_open_queue(1, 1);
    struct lido_conn first = play_take(pool), overflow = play_take(pool);
    struct play_waiter waiter;

    play_wait_in_line(&waiter, pool, -1, 1);
    play_give(&overflow);
    play_join(&waiter);

    cr_expect_eq(waiter.number, 2);
    play_give(&first);
    play_end(pool);
}

/* 1.7 dispose() wakes a waiter
   SQLAlchemy: no.
   lido: better: dispose() never takes what a waiter could have; what ends a lease for good
   (here an invalidation) serves the waiter at once */
Test(parity_waits, a_waiter_outlives_dispose)
{
    lido_pool *pool = play_open_queue(1, 0);
    struct lido_conn conn = play_take(pool);
    struct play_waiter waiter;

    play_wait_in_line(&waiter, pool, -1, 1);
    cr_assert_eq(lido_pool_dispose(pool, NULL), LIDO_OK);
    cr_assert_eq(lido_conn_invalidate(&conn, NULL, NULL), LIDO_OK);
    play_join(&waiter);

    cr_expect_eq(waiter.rc, LIDO_OK, "%s", waiter.err.text);
    cr_expect_eq(waiter.number, 2);
    play_end(pool);
}

struct crowd {
    lido_pool *pool;
    _Atomic int out, most_out, failures;
};

static void *come_and_go(void *ctx)
{
    struct lido_checkout_options options = LIDO_CHECKOUT_OPTIONS_INIT;
    struct crowd *crowd = ctx;

    options.timeout_ms = LIDO_TIMEOUT_FOREVER;
    for (int i = 0; i < 200; i++) {
        struct lido_conn conn;
        int out, most = crowd->most_out;

        if (lido_pool_checkout(crowd->pool, &conn, &options, NULL) != LIDO_OK) {
            crowd->failures++;
            continue;
        }
        out = ++crowd->out;
        while (out > most && !atomic_compare_exchange_weak(&crowd->most_out, &most, out))
            ;
        sched_yield();
        crowd->out--;
        crowd->failures += lido_conn_checkin(&conn, NULL, NULL) != LIDO_OK;
    }
    return NULL;
}

/* 1.7 the race for the last place
   SQLAlchemy: who finds the queue empty at the limit without having waited starts over, and the
   counter is looked at again under its lock.
   lido: same: a place is claimed by one step, so the limit holds and nobody fails */
Test(parity_waits, many_threads_share_few_places)
{
    struct crowd crowd = { .pool = play_open_queue(2, 1) };
    pthread_t threads[6];

    for (int i = 0; i < 6; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, come_and_go, &crowd), 0);
    for (int i = 0; i < 6; i++)
        cr_assert_eq(pthread_join(threads[i], NULL), 0);

    cr_expect_eq(crowd.failures, 0);
    cr_expect_leq(crowd.most_out, 3);
    cr_expect_eq(play_stats(crowd.pool).out, 0);
    play_end(crowd.pool);
}
