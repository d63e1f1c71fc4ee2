/* SPDX-License-Identifier: MIT */
/*
 * Section 1.7: how a queue counts, and what its limits mean.
 */
#include "tests/parity/play.h"

#include <string.h>

TestSuite(parity_counts, .init = play_begin);

/* 1.7 overflow
   SQLAlchemy: starts at -pool_size and is records alive - pool_size, so it is negative until
   pool_size records exist: (3,0,-2,1), (3,0,-1,2), (3,0,0,3), (3,0,1,4) with no limit.
   lido: same */
Test(parity_counts, overflow_is_negative_until_the_queue_is_full)
{
    lido_pool *pool = play_open_queue(3, -1);
    struct lido_conn conns[4];

    play_expect_counts(pool, 3, 0, -3, 0);
    for (int i = 0; i < 4; i++) {
        conns[i] = play_take(pool);
        play_expect_counts(pool, 3, 0, i - 2, i + 1);
    }
    for (int i = 0; i < 4; i++)
        play_give(&conns[i]);
    play_expect_counts(pool, 3, 3, 0, 0);
    play_end(pool);
}

/* 1.7 checkedout()
   SQLAlchemy: size - checkedin + overflow.
   lido: same: `out` is counted by itself and agrees */
Test(parity_counts, out_is_size_less_idle_plus_overflow)
{
    lido_pool *pool = play_open_queue(2, 2);
    struct lido_conn conns[3];
    struct lido_pool_stats stats;

    for (int i = 0; i < 3; i++)
        conns[i] = play_take(pool);
    play_give(&conns[0]);

    stats = play_stats(pool);
    cr_expect_eq(stats.out, 2);
    cr_expect_eq(stats.out, 2 - stats.idle + stats.overflow);
    play_give(&conns[1]);
    play_give(&conns[2]);
    play_end(pool);
}

/* 1.7 get
   SQLAlchemy: an idle one; else, below the limit, a new one; waits only at the limit.
   lido: same */
Test(parity_counts, a_queue_grows_only_while_nothing_is_idle)
{
    lido_pool *pool = play_open_queue(1, 1);
    struct lido_conn first = play_take(pool), second;

    play_give(&first);
    first = play_take(pool);
    cr_expect_eq(play_open_count(), 1);
    second = play_take(pool);
    cr_expect_eq(play_open_count(), 2);
    play_refuse(pool, LIDO_POOL_TIMEOUT);
    play_give(&first);
    play_give(&second);
    play_end(pool);
}

/* 1.7 TimeoutError
   SQLAlchemy: "QueuePool limit of size %d overflow %d reached, connection timed out, timeout
   %0.2f".
   lido: better: how long it waited for one of how many, and who has held one the longest,
   since when and where */
Test(parity_counts, a_time_out_names_the_limit_and_the_longest_holder)
{
    lido_pool *pool = play_open_queue(1, 0);
    struct lido_conn conn = play_take(pool);

    cr_assert_eq(lido_conn_set_label(&conn, "import", NULL), LIDO_OK);
    play_refuse(pool, LIDO_POOL_TIMEOUT);

    cr_expect_not_null(strstr(play_err.text, "1 connections"), "%s", play_err.text);
    cr_expect_not_null(strstr(play_err.text, "import"), "%s", play_err.text);
    cr_expect_not_null(strstr(play_err.text, "play.c"), "%s", play_err.text);
    play_give(&conn);
    play_end(pool);
}

static lido_pool *looked_at;
static int64_t seen_out = -1;

static void look_at_stats(void *ctx)
{
    (void)ctx;
    seen_out = play_stats(looked_at).out;
}

static void look_from_another_thread(const struct lido_event *event)
{
    (void)event;
    play_on_thread(look_at_stats, NULL);
}

/* 1.7 creates outside any lock
   SQLAlchemy: the counter is raised under the lock, and the creator is called outside.
   lido: same: no lock is held while a driver or a hook runs */
Test(parity_counts, no_lock_is_held_while_a_connection_is_made)
{
    lido_pool *pool = play_open_queue(1, 0);
    struct lido_conn conn;

    looked_at = pool;
    play_do_inside("connect", look_from_another_thread);
    conn = play_take(pool);

    cr_expect_eq(seen_out, 1);
    play_give(&conn);
    play_end(pool);
}

/* 1.7 a failed create
   SQLAlchemy: the counter goes down again.
   lido: same */
Test(parity_counts, a_failed_connect_is_not_counted)
{
    lido_pool *pool = play_open_queue(2, 0);

    play_fail("open", 3, SQLITE_CANTOPEN);
    for (int i = 0; i < 3; i++)
        play_refuse(pool, SQLITE_CANTOPEN);

    play_expect_counts(pool, 2, 0, -2, 0);
    play_end(pool);
}

/* 1.7 put
   SQLAlchemy: into the queue; if that is full the record is closed and `overflow` goes down.
   lido: same */
Test(parity_counts, what_returns_to_a_full_queue_is_closed)
{
    lido_pool *pool = play_open_queue(1, 2);
    struct lido_conn conns[3];

    for (int i = 0; i < 3; i++)
        conns[i] = play_take(pool);
    play_give(&conns[0]);
    play_expect_counts(pool, 1, 1, 2, 2);
    play_give(&conns[1]);
    play_expect_counts(pool, 1, 1, 1, 1);
    play_give(&conns[2]);
    play_expect_counts(pool, 1, 1, 0, 0);
    cr_expect_eq(play_stats(pool).closed_surplus, 2);
    play_end(pool);
}

/* 1.7 max_overflow -1
   SQLAlchemy: no limit.
   lido: same */
Test(parity_counts, an_overflow_of_minus_one_has_no_limit)
{
    lido_pool *pool = play_open_queue(1, -1);
    struct lido_conn conns[40];

    for (int i = 0; i < 40; i++)
        conns[i] = play_take(pool);
    play_expect_counts(pool, 1, 0, 39, 40);
    cr_expect_eq(play_stats(pool).limit, -1);
    for (int i = 0; i < 40; i++)
        play_give(&conns[i]);
    play_end(pool);
}

static void expect_bad(const struct lido_pool_options *options)
{
    lido_pool *pool;

    cr_expect_eq(lido_pool_open(&pool, "play:///x", options, &play_err), LIDO_BAD_OPTION);
    cr_expect_null(pool);
}

/* 1.7 max_overflow below -1
   SQLAlchemy: an infinite recursion.
   lido: better: refused when the pool is opened */
Test(parity_counts, a_lower_overflow_is_refused)
{
    struct lido_pool_options options = play_options("queue");

    options.max_overflow = -2;
    expect_bad(&options);
    cr_expect_not_null(strstr(play_err.text, "max_overflow"), "%s", play_err.text);
}

/* 1.7 pool_size 0
   SQLAlchemy: the queue keeps all; up to 1.4 max_overflow bounds them and overflow() counts
   up, 2.x has no bound and answers 0.
   lido: same: as 1.4 */
Test(parity_counts, a_pool_size_of_zero_keeps_all_up_to_the_overflow)
{
    lido_pool *pool = play_open_queue(0, 2);
    struct lido_conn first = play_take(pool), second = play_take(pool);

    play_expect_counts(pool, 0, 0, 2, 2);
    play_refuse(pool, LIDO_POOL_TIMEOUT);
    play_give(&first);
    play_give(&second);
    play_expect_counts(pool, 0, 2, 2, 0);
    cr_expect_eq(play_open_count(), 2);
    play_end(pool);
}

/* 1.7 pool_size 0 without a bound
   SQLAlchemy: an unlimited queue that keeps all.
   lido: same: with max_overflow=-1; to keep none is the kind null */
Test(parity_counts, a_pool_size_of_zero_may_have_no_bound)
{
    lido_pool *pool = play_open_queue(0, -1);
    struct lido_conn conns[20];

    for (int i = 0; i < 20; i++)
        conns[i] = play_take(pool);
    for (int i = 0; i < 20; i++)
        play_give(&conns[i]);
    cr_expect_eq(play_stats(pool).idle, 20);
    play_end(pool);
}

/* 1.2 QueuePool's own arguments
   SQLAlchemy: pool_size 5, max_overflow 10, timeout 30 s, no lifo.
   lido: same: the order is `any`, the quickest; `fifo` is SQLAlchemy's */
Test(parity_counts, the_defaults_are_five_ten_and_thirty_seconds)
{
    struct lido_pool_options options = LIDO_POOL_OPTIONS_INIT;
    lido_pool *pool = play_open_kind("queue");

    cr_expect_eq(play_stats(pool).keep, 5);
    cr_expect_eq(play_stats(pool).limit, 15);
    cr_expect_eq(options.pool_timeout_ms, 30000);
    cr_expect_null(options.order);
    play_end(pool);
}

/* 1.7 dispose() with connections out
   SQLAlchemy: the counter begins anew, so more than the limit may open, and as they return
   checkedout() becomes negative.
   lido: better: what is out stays counted, so the limit holds and no count is negative */
Test(parity_counts, dispose_goes_on_counting_what_is_out)
{
    lido_pool *pool = play_open_queue(2, 0);
    struct lido_conn first = play_take(pool), second = play_take(pool);

    cr_assert_eq(lido_pool_dispose(pool, NULL), LIDO_OK);
    play_expect_counts(pool, 2, 0, 0, 2);
    play_refuse(pool, LIDO_POOL_TIMEOUT);

    play_give(&first);
    play_give(&second);
    play_expect_counts(pool, 2, 2, 0, 0);
    play_end(pool);
}

/* 1.7 dispose() with one idle and one out
   SQLAlchemy: when the one that was out returns, checkedout() is -1.
   lido: better: it is 0 */
Test(parity_counts, dispose_of_one_and_return_of_another_is_none_out)
{
    lido_pool *pool = play_open_queue(2, 0);
    struct lido_conn out = play_take(pool), idle = play_take(pool);

    play_give(&idle);
    cr_assert_eq(lido_pool_dispose(pool, NULL), LIDO_OK);
    play_expect_counts(pool, 2, 0, -1, 1);
    play_give(&out);
    play_expect_counts(pool, 2, 1, -1, 0);
    play_end(pool);
}
