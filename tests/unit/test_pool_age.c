/* SPDX-License-Identifier: MIT */
/*
 * What time does to idle connections: recycle with jitter and spacing, idle_timeout and
 * min_idle.  On the fake clock.
 */
#include "tests/support/handy.h"

#include <criterion/criterion.h>

static int next_number(lido_pool *pool)
{
    struct lido_conn conn = handy_take(pool);
    int number = handy_number(&conn);

    handy_give(&conn);
    return number;
}

Test(pool_age, a_connection_is_replaced_past_its_age_and_not_at_it)
{
    struct lido_pool_options options = handy_options("queue");
    lido_pool *pool;

    options.pool_recycle_ms = 1000;
    pool = handy_open(&options);
    cr_expect_eq(next_number(pool), 1);
    fake_clock_advance_ms(1000);
    cr_expect_eq(next_number(pool), 1);
    fake_clock_advance_ms(1);
    cr_expect_eq(next_number(pool), 2);
    cr_expect_eq(handy_stats(pool).closed_old, 1);
    handy_end(pool);
}

Test(pool_age, an_age_of_nothing_replaces_at_each_tick)
{
    struct lido_pool_options options = handy_options("assertion");
    lido_pool *pool;

    options.pool_recycle_ms = 0;
    pool = handy_open(&options);
    cr_expect_eq(next_number(pool), 1);
    cr_expect_eq(next_number(pool), 1);
    fake_clock_advance_ms(1);
    cr_expect_eq(next_number(pool), 2);
    handy_end(pool);
}

Test(pool_age, an_age_beyond_all_clocks_never_comes)
{
    struct lido_pool_options options = handy_options("queue");
    lido_pool *pool;

    options.pool_recycle_ms = INT64_MAX;
    options.pool_recycle_jitter_ms = INT64_MAX;
    options.pool_recycle_spacing_ms = INT64_MAX;
    options.idle_timeout_ms = INT64_MAX;
    pool = handy_open(&options);
    cr_expect_eq(next_number(pool), 1);
    fake_clock_advance_ms(INT64_C(1000) * 60 * 60 * 24 * 365);
    cr_expect_eq(next_number(pool), 1);
    handy_end(pool);
}

/* The ages at which ten connections opened together are replaced, in ms past the least. */
static void watch_jitter(int64_t jitter_ms, int64_t *least, int64_t *most)
{
    struct lido_pool_options options = handy_options("queue");
    struct lido_conn conns[10];
    lido_pool *pool;
    int64_t past = 0;

    options.pool_size = 10;
    options.pool_recycle_ms = 1000;
    options.pool_recycle_jitter_ms = jitter_ms;
    pool = handy_open(&options);
    for (int i = 0; i < 10; i++)
        conns[i] = handy_take(pool);
    for (int i = 0; i < 10; i++)
        handy_give(&conns[i]);
    fake_clock_advance_ms(1000);
    *least = *most = -1;
    while (handy_stats(pool).closed_old < 10) {
        cr_assert_lt(past, jitter_ms + 2);
        past++;
        fake_clock_advance_ms(1);
        for (int i = 0; i < 10; i++)
            conns[i] = handy_take(pool);
        if (*least < 0 && handy_stats(pool).closed_old > 0)
            *least = past;
        for (int i = 0; i < 10; i++)
            handy_give(&conns[i]);
        if (handy_stats(pool).connects >= 20)
            *most = past;
    }
    handy_end(pool);
}

Test(pool_age, jitter_spreads_what_was_opened_together)
{
    int64_t least, most;

    watch_jitter(0, &least, &most);
    cr_expect_eq(least, 1);
    cr_expect_eq(most, 1);
    watch_jitter(100, &least, &most);
    cr_expect_lt(least, most - 20);
    cr_expect_leq(most, 101);
}

Test(pool_age, spacing_replaces_one_at_a_time)
{
    struct lido_pool_options options = handy_options("queue");
    struct lido_conn one, two;
    lido_pool *pool;

    options.pool_recycle_ms = 1000;
    options.pool_recycle_spacing_ms = 500;
    pool = handy_open(&options);
    one = handy_take(pool);
    two = handy_take(pool);
    handy_give(&one);
    handy_give(&two);
    fake_clock_advance_ms(1001);
    one = handy_take(pool);
    two = handy_take(pool);
    cr_expect_eq(handy_stats(pool).closed_old, 1);
    handy_give(&one);
    handy_give(&two);
    fake_clock_advance_ms(500);
    one = handy_take(pool);
    two = handy_take(pool);
    cr_expect_eq(handy_stats(pool).closed_old, 2);
    handy_give(&one);
    handy_give(&two);
    handy_end(pool);
}

Test(pool_age, spacing_does_not_save_what_was_invalidated)
{
    struct lido_pool_options options = handy_options("queue");
    struct lido_conn one, two;
    lido_pool *pool;

    options.pool_recycle_ms = 1000;
    options.pool_recycle_spacing_ms = 500;
    pool = handy_open(&options);
    one = handy_take(pool);
    two = handy_take(pool);
    lido_conn_invalidate_soft(&one, NULL, NULL);
    handy_give(&one);
    handy_give(&two);
    lido_pool_invalidate(pool, NULL);
    one = handy_take(pool);
    two = handy_take(pool);
    cr_expect_eq(handy_stats(pool).closed_old, 2);
    handy_give(&one);
    handy_give(&two);
    handy_end(pool);
}

static lido_pool *open_idle(int64_t idle_timeout_ms, int min_idle)
{
    struct lido_pool_options options = handy_options("queue");

    options.order = "lifo";
    options.idle_timeout_ms = idle_timeout_ms;
    options.min_idle = min_idle;
    return handy_open(&options);
}

Test(pool_age, min_idle_are_opened_at_once)
{
    lido_pool *pool = open_idle(-1, 3);

    cr_expect_eq(fake_driver_open_count(), 3);
    cr_expect_eq(handy_stats(pool).idle, 3);
    handy_end(pool);
}

Test(pool_age, what_is_idle_for_too_long_is_closed_at_the_next_checkin)
{
    lido_pool *pool = open_idle(1000, 0);
    struct lido_conn one = handy_take(pool), two = handy_take(pool);

    handy_give(&one);
    fake_clock_advance_ms(1000);
    handy_give(&two);
    cr_expect_eq(fake_driver_open_count(), 2);
    two = handy_take(pool);
    fake_clock_advance_ms(1);
    handy_give(&two);
    cr_expect_eq(handy_stats(pool).closed_idle, 1);
    cr_expect_eq(fake_driver_open_count(), 1);
    handy_end(pool);
}

Test(pool_age, tidy_closes_what_is_idle_for_too_long_but_not_the_last_min_idle)
{
    lido_pool *pool = open_idle(1000, 2);
    struct lido_conn conns[4];

    for (int i = 0; i < 4; i++)
        conns[i] = handy_take(pool);
    for (int i = 0; i < 4; i++)
        handy_give(&conns[i]);
    cr_expect_eq(lido_pool_tidy(pool, NULL), LIDO_OK);
    cr_expect_eq(fake_driver_open_count(), 4);
    fake_clock_advance_ms(1001);
    cr_expect_eq(lido_pool_tidy(pool, NULL), LIDO_OK);
    cr_expect_eq(fake_driver_open_count(), 2);
    cr_expect_eq(handy_stats(pool).closed_idle, 2);
    handy_end(pool);
}

Test(pool_age, without_an_idle_timeout_tidy_does_nothing)
{
    lido_pool *pool = open_idle(-1, 0);
    struct lido_conn conn = handy_take(pool);

    handy_give(&conn);
    fake_clock_advance_ms(1000000);
    cr_expect_eq(lido_pool_tidy(pool, NULL), LIDO_OK);
    cr_expect_eq(fake_driver_open_count(), 1);
    handy_end(pool);
}

Test(pool_age, the_only_home_of_a_memory_database_is_never_too_old)
{
    struct lido_pool_options options = handy_options("static");
    struct lido_conn conn;
    lido_pool *pool;

    options.pool_recycle_ms = 1000;
    options.idle_timeout_ms = 1000;
    pool = handy_open_url("sqlite://", &options);
    conn = handy_take(pool);
    handy_give(&conn);
    fake_clock_advance_ms(5000);
    lido_pool_tidy(pool, NULL);
    conn = handy_take(pool);
    handy_give(&conn);
    cr_expect_eq(handy_stats(pool).connects, 1);
    lido_pool_free(pool);
}
