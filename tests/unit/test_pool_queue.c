/* SPDX-License-Identifier: MIT */
/*
 * The queue: how many, who waits, who is next, and what is counted.  On the fake driver and,
 * where time matters, the fake clock.
 */
#include "tests/support/fake_clock.h"
#include "tests/support/fake_driver.h"
#include <lido/lido.h>

#include <criterion/criterion.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

static struct lido_error err;

static lido_pool *open_pool(int pool_size, int max_overflow)
{
    struct lido_pool_options options = LIDO_POOL_OPTIONS_INIT;
    lido_pool *pool;

    fake_driver_install();
    options.pool_size = pool_size;
    options.max_overflow = max_overflow;
    options.check_same_thread = 0;
    options.clock = fake_clock();
    cr_assert_eq(lido_pool_open(&pool, "fake:///any?pool=queue", &options, &err), LIDO_OK,
                 "%s", err.text);
    return pool;
}

static void end_pool(lido_pool *pool)
{
    cr_assert_eq(lido_pool_close(pool, 0, &err), LIDO_OK, "%s", err.text);
    lido_pool_free(pool);
    cr_assert_eq(fake_driver_open_count(), 0);
}

static struct lido_pool_stats stats_of(lido_pool *pool)
{
    struct lido_pool_stats stats = LIDO_POOL_STATS_INIT;

    cr_assert_eq(lido_pool_stats(pool, &stats, &err), LIDO_OK);
    cr_assert_eq(stats.idle + stats.out, stats.live);
    return stats;
}

static struct lido_conn take(lido_pool *pool)
{
    struct lido_conn conn;

    cr_assert_eq(lido_pool_checkout(pool, &conn, NULL, &err), LIDO_OK, "%s", err.text);
    return conn;
}

static void give(struct lido_conn *conn)
{
    cr_assert_eq(lido_conn_checkin(conn, NULL, &err), LIDO_OK, "%s", err.text);
}

static int number(const struct lido_conn *conn)
{
    return fake_driver_number(lido_conn_handle(conn));
}

/* A thread that checks out, and what it got. */
struct client {
    pthread_t thread;
    lido_pool *pool;
    int64_t timeout_ms;
    struct lido_conn conn;
    struct lido_error err;
    int rc;
};

static void *check_out(void *arg)
{
    struct client *client = arg;
    struct lido_checkout_options options = LIDO_CHECKOUT_OPTIONS_INIT;

    options.timeout_ms = client->timeout_ms;
    client->rc = lido_pool_checkout(client->pool, &client->conn, &options, &client->err);
    return NULL;
}

/* Starts a client and waits until the pool counts it as the nth waiter. */
static void start_waiting(struct client *client, lido_pool *pool, int64_t timeout_ms,
                          int nth)
{
    *client = (struct client){ .pool = pool, .timeout_ms = timeout_ms };
    cr_assert_eq(pthread_create(&client->thread, NULL, check_out, client), 0);
    while (stats_of(pool).waiting != nth)
        sched_yield();
}

static void join(struct client *client)
{
    cr_assert_eq(pthread_join(client->thread, NULL), 0);
}

Test(pool_queue, opens_nothing_before_the_first_checkout)
{
    lido_pool *pool = open_pool(2, 0);

    cr_assert_str_eq(fake_driver_calls(), "");
    end_pool(pool);
    cr_assert_str_eq(fake_driver_calls(), "");
}

Test(pool_queue, lends_the_same_connection_again)
{
    lido_pool *pool = open_pool(2, 0);

    for (int i = 0; i < 3; i++) {
        struct lido_conn conn = take(pool);

        cr_assert_eq(number(&conn), 1);
        give(&conn);
    }
    cr_assert_str_eq(fake_driver_calls(), "connect 1, reset 1, reset 1, reset 1");
    cr_assert_eq(stats_of(pool).checkouts, 3);
    cr_assert_eq(stats_of(pool).checkins, 3);
    end_pool(pool);
}

Test(pool_queue, never_lends_more_than_size_and_overflow)
{
    lido_pool *pool = open_pool(2, 1);
    struct lido_checkout_options try = LIDO_CHECKOUT_OPTIONS_INIT;
    struct lido_conn held[3], more;

    for (int i = 0; i < 3; i++)
        held[i] = take(pool);
    try.timeout_ms = LIDO_TIMEOUT_TRY;
    cr_assert_eq(lido_pool_checkout(pool, &more, &try, &err), LIDO_POOL_TIMEOUT);
    cr_assert_null(more.cell);
    cr_assert_eq(stats_of(pool).timeouts, 1);
    cr_assert_eq(stats_of(pool).overflow, 1);
    for (int i = 0; i < 3; i++)
        give(&held[i]);
    end_pool(pool);
}

Test(pool_queue, closes_what_comes_back_when_enough_are_idle)
{
    lido_pool *pool = open_pool(1, 1);
    struct lido_conn first = take(pool), second = take(pool);
    struct lido_pool_stats stats;

    /* The overflow connection comes back first and is the one that stays. */
    give(&second);
    give(&first);
    cr_assert_str_eq(fake_driver_calls(),
                     "connect 1, connect 2, reset 2, reset 1, close 1");
    stats = stats_of(pool);
    cr_assert_eq(stats.idle, 1);
    cr_assert_eq(stats.closed_surplus, 1);
    cr_assert_eq(stats.overflow, 0);
    end_pool(pool);
}

Test(pool_queue, overflow_is_negative_until_the_pool_is_full_and_unbounded_at_minus_one)
{
    lido_pool *pool = open_pool(3, -1);
    struct lido_conn held[6];

    cr_assert_eq(stats_of(pool).overflow, -3);
    for (int i = 0; i < 6; i++) {
        held[i] = take(pool);
        cr_assert_eq(stats_of(pool).overflow, i - 2);
    }
    cr_assert_eq(stats_of(pool).limit, -1);
    for (int i = 0; i < 6; i++)
        give(&held[i]);
    cr_assert_eq(stats_of(pool).idle, 3);
    end_pool(pool);
}

Test(pool_queue, size_zero_keeps_all_and_is_bounded_by_the_overflow)
{
    lido_pool *pool = open_pool(0, 2);
    struct lido_checkout_options try = LIDO_CHECKOUT_OPTIONS_INIT;
    struct lido_conn a = take(pool), b = take(pool), more;

    try.timeout_ms = 0;
    cr_assert_eq(lido_pool_checkout(pool, &more, &try, NULL), LIDO_POOL_TIMEOUT);
    give(&a);
    give(&b);
    cr_assert_eq(stats_of(pool).idle, 2);
    end_pool(pool);
}

Test(pool_queue, grows_past_many_chunks_of_slots)
{
    enum { MANY = 50 };
    lido_pool *pool = open_pool(MANY, 0);
    struct lido_conn held[MANY];

    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < MANY; i++)
            held[i] = take(pool);
        cr_assert_eq(stats_of(pool).out, MANY);
        for (int i = 0; i < MANY; i++)
            give(&held[i]);
    }
    cr_assert_eq(stats_of(pool).connects, MANY);
    end_pool(pool);
}

Test(pool_queue, oldest_waiter_gets_the_connection_that_comes_back, .timeout = 20)
{
    lido_pool *pool = open_pool(1, 0);
    struct lido_conn conn = take(pool);
    struct client first, second;

    start_waiting(&first, pool, 1000, 1);
    start_waiting(&second, pool, 1000, 2);
    give(&conn);
    join(&first);
    cr_assert_eq(first.rc, LIDO_OK);
    cr_assert_eq(stats_of(pool).waiting, 1);
    give(&first.conn);
    join(&second);
    cr_assert_eq(second.rc, LIDO_OK);
    give(&second.conn);
    cr_assert_eq(stats_of(pool).waits, 2);
    end_pool(pool);
}

Test(pool_queue, a_newcomer_does_not_overtake_a_waiter, .timeout = 20)
{
    lido_pool *pool = open_pool(1, 0);
    struct lido_checkout_options try = LIDO_CHECKOUT_OPTIONS_INIT;
    struct lido_conn conn = take(pool), newcomer;
    struct client waiter;

    start_waiting(&waiter, pool, -1, 1);
    give(&conn);
    /* Whether or not the waiter runs already, the connection is its own. */
    try.timeout_ms = 0;
    cr_assert_eq(lido_pool_checkout(pool, &newcomer, &try, &err), LIDO_POOL_TIMEOUT);
    join(&waiter);
    cr_assert_eq(waiter.rc, LIDO_OK);
    give(&waiter.conn);
    end_pool(pool);
}

Test(pool_queue, waits_until_its_deadline_and_no_longer, .timeout = 20)
{
    lido_pool *pool = open_pool(1, 0);
    struct lido_conn conn = take(pool);
    struct client waiter;

    start_waiting(&waiter, pool, 250, 1);
    fake_clock_advance_ms(249);
    cr_assert_eq(stats_of(pool).waiting, 1);
    cr_assert_eq(stats_of(pool).oldest_wait_ns, 249000000);
    fake_clock_advance_ms(1);
    join(&waiter);
    cr_assert_eq(waiter.rc, LIDO_POOL_TIMEOUT);
    cr_assert_not_null(strstr(waiter.err.text, "waited 250 ms for one of 1 connections"),
                       "%s", waiter.err.text);
    cr_assert_eq(stats_of(pool).timeouts, 1);
    cr_assert_eq(stats_of(pool).max_wait_ns, 250000000);
    give(&conn);
    end_pool(pool);
}

Test(pool_queue, nothing_is_handed_to_a_waiter_whose_deadline_has_passed, .timeout = 20)
{
    lido_pool *pool = open_pool(1, 0);
    struct lido_conn conn = take(pool);
    struct client dead, alive;

    start_waiting(&dead, pool, 10, 1);
    start_waiting(&alive, pool, -1, 2);
    /* The dead one does not know it yet, and is still in line. */
    fake_clock_be_ahead_ms(10);
    give(&conn);
    fake_clock_be_ahead_ms(0);
    fake_clock_advance_ms(10);
    join(&dead);
    cr_assert_eq(dead.rc, LIDO_POOL_TIMEOUT);
    join(&alive);
    cr_assert_eq(alive.rc, LIDO_OK);
    give(&alive.conn);
    end_pool(pool);
}

Test(pool_queue, a_failed_connect_gives_its_place_to_a_waiter, .timeout = 20)
{
    lido_pool *pool = open_pool(1, 0);
    struct client opener = { .pool = pool, .timeout_ms = 0 }, waiter;

    fake_driver_hold_connects();
    cr_assert_eq(pthread_create(&opener.thread, NULL, check_out, &opener), 0);
    fake_driver_wait_for_held(1);
    start_waiting(&waiter, pool, -1, 1);
    fake_driver_fail(1, SQLITE_CANTOPEN);
    fake_driver_let_connect();
    join(&opener);
    join(&waiter);
    cr_assert_eq(opener.rc, SQLITE_CANTOPEN);
    cr_assert_eq(waiter.rc, LIDO_OK, "%s", waiter.err.text);
    cr_assert_eq(stats_of(pool).connect_failures, 1);
    give(&waiter.conn);
    end_pool(pool);
}

Test(pool_queue, a_connection_that_is_being_opened_counts_against_the_limit, .timeout = 20)
{
    lido_pool *pool = open_pool(1, 0);
    struct lido_checkout_options try = LIDO_CHECKOUT_OPTIONS_INIT;
    struct client opener = { .pool = pool, .timeout_ms = 0 };
    struct lido_conn more;

    fake_driver_hold_connects();
    cr_assert_eq(pthread_create(&opener.thread, NULL, check_out, &opener), 0);
    fake_driver_wait_for_held(1);
    try.timeout_ms = 0;
    cr_assert_eq(lido_pool_checkout(pool, &more, &try, &err), LIDO_POOL_TIMEOUT);
    cr_assert_eq(stats_of(pool).out, 1);
    fake_driver_let_connect();
    join(&opener);
    cr_assert_eq(opener.rc, LIDO_OK);
    give(&opener.conn);
    end_pool(pool);
}

/* A first_connect hook that stands until it is let go. */
struct gate {
    pthread_mutex_t lock;
    pthread_cond_t moved;
    int has_come, may_go;
};

static int stand(void *ctx, const struct lido_event *event, struct lido_error *hook_err)
{
    struct gate *gate = ctx;

    (void)event, (void)hook_err;
    pthread_mutex_lock(&gate->lock);
    gate->has_come = 1;
    pthread_cond_broadcast(&gate->moved);
    while (!gate->may_go)
        pthread_cond_wait(&gate->moved, &gate->lock);
    pthread_mutex_unlock(&gate->lock);
    return LIDO_OK;
}

Test(pool_queue, waiting_for_first_connect_and_then_in_line_has_one_deadline, .timeout = 20)
{
    static const struct lido_events events = { .size = sizeof events,
                                               .first_connect = stand };
    struct gate gate = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, 0 };
    lido_pool *pool = open_pool(1, 0);
    struct client first = { .pool = pool, .timeout_ms = -1 }, second = { .pool = pool };
    int reads;

    cr_assert_eq(lido_hooks_add(lido_pool_hooks(pool), NULL, &events, &gate, NULL, &err),
                 0);
    cr_assert_eq(pthread_create(&first.thread, NULL, check_out, &first), 0);
    pthread_mutex_lock(&gate.lock);
    while (!gate.has_come)
        pthread_cond_wait(&gate.moved, &gate.lock);
    pthread_mutex_unlock(&gate.lock);

    reads = fake_clock_reads();
    second.timeout_ms = 100;
    cr_assert_eq(pthread_create(&second.thread, NULL, check_out, &second), 0);
    while (fake_clock_reads() == reads)
        sched_yield();
    fake_clock_advance_ms(60);
    pthread_mutex_lock(&gate.lock);
    gate.may_go = 1;
    pthread_cond_broadcast(&gate.moved);
    pthread_mutex_unlock(&gate.lock);
    join(&first);
    while (stats_of(pool).waiting != 1)
        sched_yield();
    fake_clock_advance_ms(39);
    cr_assert_eq(stats_of(pool).waiting, 1);
    fake_clock_advance_ms(1);
    join(&second);
    cr_assert_eq(second.rc, LIDO_POOL_TIMEOUT);
    give(&first.conn);
    end_pool(pool);
}

Test(pool_queue, an_unclean_connection_is_closed_and_its_slot_serves_a_waiter,
     .timeout = 20)
{
    lido_pool *pool = open_pool(1, 0);
    struct lido_conn conn = take(pool);
    struct client waiter;

    start_waiting(&waiter, pool, -1, 1);
    fake_driver_find_unclean(2);
    give(&conn);
    join(&waiter);
    cr_assert_eq(waiter.rc, LIDO_OK);
    cr_assert_eq(number(&waiter.conn), 2);
    fake_driver_find_unclean(0);
    give(&waiter.conn);
    cr_assert_str_eq(fake_driver_calls(),
                     "connect 1, reset 1, terminate 1, connect 2, reset 2");
    cr_assert_eq(stats_of(pool).closed_unclean, 1);
    end_pool(pool);
}

Test(pool_queue, closing_sends_waiters_home, .timeout = 20)
{
    lido_pool *pool = open_pool(1, 0);
    struct lido_conn conn = take(pool), more;
    struct client waiter;

    start_waiting(&waiter, pool, -1, 1);
    cr_assert_eq(lido_pool_close(pool, 0, &err), LIDO_BUSY_LEASES);
    cr_assert_not_null(strstr(err.text, "1 lease is still out"), "%s", err.text);
    join(&waiter);
    cr_assert_eq(waiter.rc, LIDO_CLOSED);
    cr_assert_eq(lido_pool_checkout(pool, &more, NULL, &err), LIDO_CLOSED);
    cr_assert_eq(stats_of(pool).is_closed, 1);
    give(&conn);
    cr_assert_eq(fake_driver_open_count(), 0);
    end_pool(pool);
}

static void *close_later(void *pool)
{
    return (void *)(intptr_t)lido_pool_close(pool, -1, NULL);
}

Test(pool_queue, close_waits_for_the_leases, .timeout = 20)
{
    lido_pool *pool = open_pool(2, 0);
    struct lido_conn conn = take(pool);
    pthread_t closer;
    void *rc;

    cr_assert_eq(pthread_create(&closer, NULL, close_later, pool), 0);
    while (!stats_of(pool).is_closed)
        sched_yield();
    give(&conn);
    cr_assert_eq(pthread_join(closer, &rc), 0);
    cr_assert_eq((intptr_t)rc, LIDO_OK);
    lido_pool_free(pool);
    cr_assert_eq(fake_driver_open_count(), 0);
}

Test(pool_queue, the_last_checkin_frees_a_pool_that_was_freed_before)
{
    lido_pool *pool = open_pool(2, 0);
    struct lido_conn conn = take(pool), copy = conn;

    lido_pool_free(pool);
    cr_assert_eq(fake_driver_open_count(), 1);
    give(&conn);
    cr_assert_eq(fake_driver_open_count(), 0);
    cr_assert_eq(lido_conn_checkin(&copy, NULL, &err), LIDO_STALE);
}

Test(pool_queue, leases_of_a_pool_that_is_gone_stay_stale_when_its_memory_serves_another)
{
    lido_pool *pool = open_pool(1, 0);
    struct lido_conn old = take(pool), copy = old, now;

    give(&old);
    end_pool(pool);
    pool = open_pool(1, 0);
    now = take(pool);
    cr_assert_eq(now.cell, copy.cell, "the test wants the slot to be used again");
    cr_assert_null(lido_conn_handle(&copy));
    cr_assert_eq(lido_conn_checkin(&copy, NULL, &err), LIDO_STALE);
    cr_assert_not_null(lido_conn_handle(&now));
    give(&now);
    end_pool(pool);
}

static int count_holders(void *ctx, const struct lido_holder *holder)
{
    struct lido_holder *last = ctx;

    if (last->lease != 0)
        cr_assert_geq(last->age_ns, holder->age_ns);
    *last = *holder;
    last->lease = 1;
    last->line++;
    return 0;
}

Test(pool_queue, a_timeout_names_the_two_who_have_held_longest)
{
    lido_pool *pool = open_pool(3, 0);
    struct lido_checkout_options options = LIDO_CHECKOUT_OPTIONS_INIT;
    static const char *const labels[] = { "oldest", "middle", "youngest" };
    struct lido_holder seen = { 0 };
    struct lido_conn held[3], more;

    for (int i = 0; i < 3; i++) {
        options.label = labels[i];
        cr_assert_eq(lido_pool_checkout(pool, &held[i], &options, &err), LIDO_OK);
        fake_clock_advance_ms(1000);
    }
    options.timeout_ms = 0;
    cr_assert_eq(lido_pool_checkout(pool, &more, &options, &err), LIDO_POOL_TIMEOUT);
    cr_assert_not_null(strstr(err.text, "none of 3 connections was free"), "%s", err.text);
    cr_assert_not_null(strstr(err.text, " oldest for 3000 ms at test_pool_queue.c:"), "%s",
                       err.text);
    cr_assert_not_null(strstr(err.text, " middle for 2000 ms"), "%s", err.text);
    cr_assert_null(strstr(err.text, "youngest"), "%s", err.text);
    cr_assert_eq(lido_pool_holders(pool, count_holders, &seen, &err), LIDO_OK);
    cr_assert_str_eq(seen.label, "youngest");
    for (int i = 0; i < 3; i++)
        give(&held[i]);
    end_pool(pool);
}
