/* SPDX-License-Identifier: MIT */
/*
 * Dispose and recreate while the pool is in use, and what min_idle and idle_timeout keep.
 */
#include "tests/support/handy.h"
#include "tests/support/worker.h"

#include <criterion/criterion.h>

TestSuite(pool_dispose, .timeout = 20);

/* --- dispose ------------------------------------------------------------------------------ */

static int destroyed;

static void destroy(void *data)
{
    (void)data;
    destroyed++;
}

Test(pool_dispose, what_hangs_on_idle_connections_is_destroyed_and_on_lent_ones_not)
{
    struct lido_pool_options options = handy_options("queue");
    lido_pool *pool = handy_open(&options);
    struct lido_conn idle = handy_take(pool), out = handy_take(pool);
    int thing;

    destroyed = 0;
    lido_conn_set_info(&idle, &thing, destroy, NULL);
    lido_conn_set_record_info(&idle, &thing, destroy, NULL);
    lido_conn_set_info(&out, &thing, destroy, NULL);
    lido_conn_set_record_info(&out, &thing, destroy, NULL);
    handy_give(&idle);
    cr_expect_eq(lido_pool_dispose(pool, NULL), LIDO_OK);
    cr_expect_eq(destroyed, 2);
    cr_expect_eq(lido_conn_info(&out), &thing);
    handy_give(&out);
    cr_expect_eq(destroyed, 2); /* a queue takes it back */
    handy_end(pool);
    cr_expect_eq(destroyed, 4);
}

Test(pool_dispose, the_count_of_a_queue_stays_sound)
{
    struct lido_pool_options options = handy_options("queue");
    struct lido_conn conns[4];
    lido_pool *pool;

    options.pool_size = 2;
    options.max_overflow = 1;
    pool = handy_open(&options);
    for (int i = 0; i < 3; i++)
        conns[i] = handy_take(pool);
    for (int i = 0; i < 3; i++) { /* SQLAlchemy loses count here and lends too many */
        cr_expect_eq(lido_pool_dispose(pool, NULL), LIDO_OK);
        cr_expect_eq(handy_stats(pool).live, 3);
        cr_expect_eq(handy_stats(pool).overflow, 1);
        cr_expect_eq(lido_pool_checkout(pool, &conns[3], NULL, NULL), LIDO_POOL_TIMEOUT);
    }
    for (int i = 0; i < 3; i++)
        handy_give(&conns[i]);
    cr_expect_eq(handy_stats(pool).idle, 2);
    cr_expect_eq(lido_pool_dispose(pool, NULL), LIDO_OK);
    cr_expect_eq(handy_stats(pool).overflow, -2);
    handy_end(pool);
}

Test(pool_dispose, each_of_several_generations_is_closed_at_its_checkin)
{
    struct lido_pool_options options = handy_options("static");
    lido_pool *pool = handy_open(&options);
    struct lido_conn conns[4];

    for (int i = 0; i < 4; i++) {
        conns[i] = handy_take(pool);
        cr_expect_eq(handy_number(&conns[i]), i + 1);
        cr_expect_eq(lido_pool_dispose(pool, NULL), LIDO_OK);
    }
    cr_expect_eq(handy_stats(pool).disowned, 4);
    cr_expect_eq(handy_stats(pool).live, 0);
    for (int i = 3; i >= 0; i--) {
        handy_give(&conns[i]);
        cr_expect_eq(handy_stats(pool).disowned, i);
        cr_expect_eq(fake_driver_open_count(), i);
    }
    handy_end(pool);
}

/* The thread's nested leases stay together on the old one. */
Test(pool_dispose, nested_leases_go_on_together)
{
    struct lido_pool_options options = handy_options("singleton_thread");
    lido_pool *pool = handy_open(&options);
    struct lido_conn one = handy_take(pool), two = handy_take(pool), new;

    cr_expect_eq(lido_pool_dispose(pool, NULL), LIDO_OK);
    new = handy_take(pool);
    cr_expect_eq(handy_number(&one), 1);
    cr_expect_eq(handy_number(&two), 1);
    cr_expect_eq(handy_number(&new), 2);
    handy_give(&one);
    cr_expect_eq(fake_driver_open_count(), 2);
    handy_give(&two);
    cr_expect_eq(fake_driver_open_count(), 1);
    handy_give(&new);
    handy_end(pool);
}

static void take_waiting(struct worker *worker)
{
    struct lido_checkout_options options = LIDO_CHECKOUT_OPTIONS_INIT;

    options.timeout_ms = LIDO_TIMEOUT_FOREVER;
    worker->rc = lido_pool_checkout(worker->pool, &worker->conn, &options, &worker->err);
}

/* Who waits for a record that threads share, while first it is opened, has another at once. */
Test(pool_dispose, who_waits_for_a_shared_connection_gets_another)
{
    struct lido_pool_options options = handy_options("static");
    lido_pool *pool = handy_open(&options);
    struct worker first, second;

    worker_start(&first, pool);
    worker_start(&second, pool);
    fake_driver_hold_connects();
    worker_ask(&first, take_waiting);
    fake_driver_wait_for_held(1);
    worker_ask(&second, take_waiting);
    cr_expect_eq(lido_pool_dispose(pool, NULL), LIDO_OK);
    fake_driver_wait_for_held(2);
    fake_driver_let_connect();
    worker_await(&first);
    worker_await(&second);
    cr_expect_eq(first.rc, LIDO_OK);
    cr_expect_eq(second.rc, LIDO_OK);
    cr_expect_eq(fake_driver_open_count(), 2);
    worker_tell(&first, worker_give);
    cr_expect_eq(fake_driver_open_count(), 1);
    worker_tell(&second, worker_give);
    worker_end(&first);
    worker_end(&second);
    handy_end(pool);
}

/* --- recreate ----------------------------------------------------------------------------- */

static int no_hook(void *ctx, const struct lido_event *event, struct lido_error *err)
{
    (void)event, (void)err;
    ++*(int *)ctx;
    return LIDO_OK;
}

static const struct lido_events events = { .size = sizeof events, .checkout = no_hook };

Test(pool_dispose, a_hook_s_destroy_comes_when_both_pools_are_rid_of_it)
{
    struct lido_pool_options options = handy_options("queue");
    struct lido_hook_options hook_options = LIDO_HOOK_OPTIONS_INIT;
    lido_pool *pool = handy_open(&options), *anew;
    struct lido_conn conn;
    lido_hook hook;
    int calls = 0;

    destroyed = 0;
    hook_options.destroy = destroy;
    cr_assert_eq(
        lido_hooks_add(lido_pool_hooks(pool), &hook, &events, &calls, &hook_options, NULL),
        LIDO_OK);
    cr_assert_eq(lido_pool_recreate(pool, &anew, NULL), LIDO_OK);
    conn = handy_take(anew);
    handy_give(&conn);
    cr_expect_eq(calls, 1);
    lido_pool_free(pool);
    cr_expect_eq(destroyed, 0);
    conn = handy_take(anew);
    handy_give(&conn);
    cr_expect_eq(calls, 2);
    handy_end(anew);
    cr_expect_eq(destroyed, 1);
}

Test(pool_dispose, all_settings_are_the_same_in_a_recreated_pool)
{
    struct lido_pool_options options = handy_options("queue");
    lido_pool *pool, *anew;
    struct lido_conn one, two, three;

    options.order = "lifo";
    options.pool_size = 2;
    options.max_overflow = 0;
    options.pool_recycle_ms = 100;
    options.pool_pre_ping = 1;
    options.use_threadlocal = 1;
    pool = handy_open(&options);
    cr_assert_eq(lido_pool_recreate(pool, &anew, NULL), LIDO_OK);
    lido_pool_free(pool); /* it lives by itself */
    one = handy_take(anew);
    two = handy_take(anew);
    cr_expect_eq(handy_number(&two), 1); /* use_threadlocal */
    handy_give(&two);
    handy_give(&one);
    fake_driver_calls();
    three = handy_take(anew);
    cr_expect_str_eq(fake_driver_calls(), "ping 1");
    handy_give(&three);
    fake_clock_advance_ms(101);
    fake_driver_calls();
    three = handy_take(anew);
    cr_expect_str_eq(fake_driver_calls(), "terminate 1, connect 2");
    cr_expect_eq(handy_stats(anew).limit, 2);
    handy_give(&three);
    handy_end(anew);
}

/* --- min_idle and idle_timeout ------------------------------------------------------------ */

static lido_pool *open_idle(int64_t idle_timeout_ms, int min_idle)
{
    struct lido_pool_options options = handy_options("queue");

    options.pool_size = 4;
    options.order = "fifo";
    options.idle_timeout_ms = idle_timeout_ms;
    options.min_idle = min_idle;
    return handy_open(&options);
}

Test(pool_dispose, what_is_idle_for_exactly_the_timeout_stays)
{
    lido_pool *pool = open_idle(100, 0);
    struct lido_conn conn = handy_take(pool);

    handy_give(&conn);
    fake_clock_advance_ms(100);
    cr_expect_eq(lido_pool_tidy(pool, NULL), LIDO_OK);
    cr_expect_eq(fake_driver_open_count(), 1);
    fake_clock_advance_ms(1);
    cr_expect_eq(lido_pool_tidy(pool, NULL), LIDO_OK);
    cr_expect_eq(fake_driver_open_count(), 0);
    cr_expect_eq(handy_stats(pool).closed_idle, 1);
    handy_end(pool);
}

/* One in use does not age, and is not one of those that min_idle keeps. */
Test(pool_dispose, min_idle_are_kept_beside_what_is_in_use)
{
    lido_pool *pool = open_idle(100, 2);
    struct lido_conn conns[4];

    cr_expect_eq(handy_stats(pool).idle, 2);
    for (int i = 0; i < 4; i++)
        conns[i] = handy_take(pool);
    for (int i = 0; i < 3; i++)
        handy_give(&conns[i]);
    fake_clock_advance_ms(1000);
    cr_expect_eq(lido_pool_tidy(pool, NULL), LIDO_OK);
    cr_expect_eq(handy_stats(pool).idle, 2);
    cr_expect_eq(handy_stats(pool).out, 1);
    handy_give(&conns[3]); /* this one is young: the two others are more than enough */
    cr_expect_eq(handy_stats(pool).idle, 2);
    cr_expect_eq(handy_stats(pool).closed_idle, 2);
    handy_end(pool);
}

Test(pool_dispose, a_close_hook_that_fails_does_not_keep_tidy_from_the_others)
{
    lido_pool *pool = open_idle(0, 0);
    struct lido_conn conns[3];

    for (int i = 0; i < 3; i++)
        conns[i] = handy_take(pool);
    for (int i = 0; i < 3; i++)
        handy_give(&conns[i]);
    fake_clock_advance_ms(1);
    fake_driver_fail(1, SQLITE_IOERR | LIDO_FATAL);
    cr_expect_eq(lido_pool_tidy(pool, &handy_err), SQLITE_IOERR | LIDO_FATAL);
    cr_expect_eq(fake_driver_open_count(), 0);
    cr_expect_eq(handy_stats(pool).closed_idle, 3);
    handy_end(pool);
}
