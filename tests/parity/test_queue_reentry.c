/* SPDX-License-Identifier: MIT */
/*
 * Section 1.7: callbacks that use the pool by which they are called.
 */
#include "tests/parity/play.h"

#include <sched.h>

TestSuite(parity_reentry, .init = play_begin, .timeout = 60);

static int inner_number;

static void check_out_and_in(const struct lido_event *event)
{
    struct lido_conn conn = play_take(event->pool);

    inner_number = play_number(&conn);
    play_give(&conn);
}

static void dispose(const struct lido_event *event)
{
    cr_expect_eq(lido_pool_dispose(event->pool, NULL), LIDO_OK);
}

static void expect_reentry(const char *word)
{
    lido_pool *pool = play_open_queue(2, 0);
    struct lido_conn conn;

    play_do_inside(word, check_out_and_in);
    conn = play_take(pool);

    cr_expect_eq(inner_number, 2);
    cr_expect_eq(play_number(&conn), 1);
    play_give(&conn);
    play_end(pool);
}

/* 1.7 the mutex is re-entrant
   SQLAlchemy: because the garbage collector may run a checkin inside a get().
   lido: better: no lock is held while a callback runs, so there is none to be entered twice */
Test(parity_reentry, a_checkin_hook_may_check_out_and_in)
{
    lido_pool *pool = play_open_queue(2, 0);
    struct lido_conn conn = play_take(pool);

    play_do_inside("checkin", check_out_and_in);
    play_give(&conn);

    cr_expect_eq(inner_number, 2);
    play_expect_counts(pool, 2, 2, 0, 0);
    play_end(pool);
}

/* 1.7 connect() in a checkout listener
   SQLAlchemy: works.
   lido: same */
Test(parity_reentry, a_checkout_hook_may_check_out)
{
    expect_reentry("checkout");
}

/* 1.7 connect() in a connect listener
   SQLAlchemy: deadlocks in main on the very first connection, works in 0.9.8.
   lido: same: as in 0.9.8 */
Test(parity_reentry, a_connect_hook_may_check_out)
{
    expect_reentry("connect");
}

/* 1.7 connect() in a first_connect listener
   SQLAlchemy: deadlocks.
   lido: better: works; the connection that the hook opens does not wait for it */
Test(parity_reentry, a_first_connect_hook_may_check_out)
{
    expect_reentry("first_connect");
}

/* 1.7 dispose() in a checkin listener
   SQLAlchemy: works.
   lido: same */
Test(parity_reentry, a_checkin_hook_may_dispose_of_the_pool)
{
    lido_pool *pool = play_open_queue(2, 0);
    struct lido_conn conn = play_take(pool), idle = play_take(pool);

    play_give(&idle);
    play_do_inside("checkin", dispose);
    play_give(&conn);

    cr_expect_eq(play_open_count(), 1, "the one that came back is pooled");
    play_end(pool);
}

static _Atomic int in_connect;

static int meet_in_connect(void *ctx, const struct lido_event *event,
                           struct lido_error *err)
{
    (void)ctx, (void)event, (void)err;
    in_connect++;
    while (in_connect < 2)
        sched_yield();
    return LIDO_OK;
}

static void *use_pool(void *ctx)
{
    struct lido_conn conn = play_take(ctx);

    play_give(&conn);
    return NULL;
}

/* 1.7 the first run of connect listeners
   SQLAlchemy: main runs the first connect listeners one after the other, later ones side by
   side; 0.9 only first_connect.
   lido: better: as 0.9; only first_connect is waited for, two first connects run side by
   side */
Test(parity_reentry, two_connect_hooks_run_side_by_side)
{
    static const struct lido_events meeting = { .size = sizeof meeting,
                                                .connect = meet_in_connect };
    struct lido_pool_options options = play_options("queue");
    pthread_t threads[2];
    lido_pool *pool;

    options.pool_timeout_ms = -1;
    cr_assert_eq(lido_pool_open(&pool, "play:///x", &options, NULL), LIDO_OK);
    cr_assert_eq(lido_hooks_add(lido_pool_hooks(pool), NULL, &meeting, NULL, NULL, NULL),
                 LIDO_OK);
    for (int i = 0; i < 2; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, use_pool, pool), 0);
    for (int i = 0; i < 2; i++)
        cr_assert_eq(pthread_join(threads[i], NULL), 0);

    cr_expect_eq(in_connect, 2, "each waited for the other inside its hook");
    play_end(pool);
}
