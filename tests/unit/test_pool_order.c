/* SPDX-License-Identifier: MIT */
/*
 * The exact orders: which idle connection comes next, whoever had it last, and which go first
 * when there are too many.
 */
#include "tests/support/handy.h"
#include "tests/support/worker.h"

#include <criterion/criterion.h>

TestSuite(pool_order, .timeout = 20);

static lido_pool *open_order(const char *order, int pool_size, int max_overflow)
{
    struct lido_pool_options options = handy_options("queue");

    options.order = order;
    options.pool_size = pool_size;
    options.max_overflow = max_overflow;
    options.idle_timeout_ms = 100;
    return handy_open(&options);
}

/* Takes connections 1, 2, 3 and gives them back as 2, 3, 1. */
static void mix(lido_pool *pool)
{
    static const int order[] = { 1, 2, 0 };
    struct lido_conn conns[3];

    for (int i = 0; i < 3; i++)
        conns[i] = handy_take(pool);
    for (int i = 0; i < 3; i++)
        handy_give(&conns[order[i]]);
    fake_driver_calls();
}

static void expect_taken(lido_pool *pool, int first, int second, int third)
{
    const int numbers[] = { first, second, third };
    struct lido_conn conns[3];

    for (int i = 0; i < 3; i++) {
        conns[i] = handy_take(pool);
        cr_expect_eq(handy_number(&conns[i]), numbers[i], "%d. is %d, not %d", i + 1,
                     handy_number(&conns[i]), numbers[i]);
    }
    for (int i = 0; i < 3; i++)
        handy_give(&conns[i]);
}

Test(pool_order, fifo_lends_what_was_returned_the_longest_ago)
{
    lido_pool *pool = open_order("fifo", 3, 0);

    mix(pool);
    expect_taken(pool, 2, 3, 1);
    expect_taken(pool, 2, 3, 1); /* given back in that order */
    handy_end(pool);
}

Test(pool_order, lifo_lends_what_was_returned_last)
{
    lido_pool *pool = open_order("lifo", 3, 0);

    mix(pool);
    expect_taken(pool, 1, 3, 2);
    expect_taken(pool, 2, 3, 1);
    handy_end(pool);
}

/* With `any` a thread would get its last one: an exact order knows no threads. */
Test(pool_order, another_thread_does_not_change_the_order)
{
    static const char *const orders[] = { "fifo", "lifo" };

    for (int i = 0; i < 2; i++) {
        lido_pool *pool = open_order(orders[i], 2, 0);
        struct lido_conn mine = handy_take(pool);
        struct worker worker;

        worker_start(&worker, pool);
        worker_tell(&worker, worker_take);
        handy_give(&mine);
        worker_tell(&worker, worker_give); /* 1, then 2 */
        worker_tell(&worker, worker_take);
        mine = handy_take(pool);
        cr_expect_eq(handy_number(&mine), i == 0 ? 2 : 1, "%s", orders[i]);
        handy_give(&mine);
        worker_tell(&worker, worker_give);
        worker_end(&worker);
        handy_end(pool);
    }
}

Test(pool_order, what_is_surplus_is_what_comes_back_last)
{
    static const char *const orders[] = { "any", "fifo", "lifo" };

    for (int i = 0; i < 3; i++) {
        lido_pool *pool = open_order(orders[i], 1, 2);

        mix(pool);
        cr_expect_eq(handy_stats(pool).idle, 1);
        cr_expect_eq(handy_stats(pool).closed_surplus, 2);
        expect_taken(pool, 2, 4, 5);
        handy_end(pool);
    }
}

Test(pool_order, what_was_idle_the_longest_is_too_old_first)
{
    static const char *const orders[] = { "any", "fifo", "lifo" };

    for (int i = 0; i < 3; i++) {
        lido_pool *pool = open_order(orders[i], 3, 0);

        mix(pool);
        fake_clock_advance_ms(101);
        cr_assert_eq(lido_pool_tidy(pool, NULL), LIDO_OK);
        cr_expect_str_eq(fake_driver_calls(), "close 2, close 3, close 1", "%s", orders[i]);
        handy_end(pool);
    }
}

Test(pool_order, dispose_closes_in_the_order_in_which_they_would_be_lent)
{
    lido_pool *pool = open_order("fifo", 3, 0);

    mix(pool);
    cr_assert_eq(lido_pool_dispose(pool, NULL), LIDO_OK);
    cr_expect_str_eq(fake_driver_calls(), "close 2, close 3, close 1");
    handy_end(pool);
    pool = open_order("lifo", 3, 0);
    mix(pool);
    cr_assert_eq(lido_pool_dispose(pool, NULL), LIDO_OK);
    cr_expect_str_eq(fake_driver_calls(), "close 1, close 3, close 2");
    handy_end(pool);
}

static int served; /* there is one connection: whoever has it counts */

static void take_waiting(struct worker *worker)
{
    struct lido_checkout_options options = LIDO_CHECKOUT_OPTIONS_INIT;

    options.timeout_ms = LIDO_TIMEOUT_FOREVER;
    worker->rc = lido_pool_checkout(worker->pool, &worker->conn, &options, NULL);
    worker->err.code = ++served;
    if (worker->rc == LIDO_OK)
        worker_give(worker);
}

/* Connections may be lifo: waiters never are. */
Test(pool_order, who_waits_is_served_in_order_of_arrival)
{
    static const char *const orders[] = { "fifo", "lifo" };

    for (int i = 0; i < 2; i++) {
        lido_pool *pool = open_order(orders[i], 1, 0);
        struct lido_conn conn = handy_take(pool);
        struct worker first, second;

        worker_start(&first, pool);
        worker_start(&second, pool);
        served = 0;
        worker_ask(&first, take_waiting);
        while (handy_stats(pool).waiting < 1)
            continue;
        fake_clock_advance_ms(5);
        worker_ask(&second, take_waiting);
        while (handy_stats(pool).waiting < 2)
            continue;
        cr_expect_eq(handy_stats(pool).oldest_wait_ns, 5000000);
        handy_give(&conn);
        worker_await(&first);
        worker_await(&second);
        cr_expect_eq(first.rc, LIDO_OK);
        cr_expect_eq(second.rc, LIDO_OK);
        cr_expect_eq(first.err.code, 1, "%s", orders[i]);
        cr_expect_eq(second.err.code, 2, "%s", orders[i]);
        cr_expect_eq(handy_stats(pool).connects, 1);
        worker_end(&first);
        worker_end(&second);
        handy_end(pool);
    }
}
