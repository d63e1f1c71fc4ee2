/* SPDX-License-Identifier: MIT */
/*
 * Section 1.6, at a checkout: what becomes of it when a hook or the driver fails.
 */
#include "tests/parity/play.h"

TestSuite(parity_failing_checkout, .init = play_begin);

/* A queue of one and none, whose connection 1 is idle. */
static lido_pool *open_with_idle(void)
{
    lido_pool *pool = play_open_queue(1, 0);
    struct lido_conn conn = play_take(pool);

    play_give(&conn);
    play_forget();
    return pool;
}

/* What failed has cost no place: another checkout gets one. */
static void expect_free_and_end(lido_pool *pool)
{
    struct lido_conn conn;

    play_relent();
    conn = play_take(pool);
    play_give(&conn);
    play_expect_counts(pool, 1, 1, 0, 0);
    play_end(pool);
}

/* 1.6 creator
   SQLAlchemy: the error reaches the caller and `overflow` is what it was.
   lido: same */
Test(parity_failing_checkout, a_connect_that_fails_costs_no_place)
{
    lido_pool *pool = play_open_queue(1, 0);

    play_fail("open", 1, SQLITE_CANTOPEN);
    play_refuse(pool, SQLITE_CANTOPEN);

    cr_expect_str_eq(play_err.text, "open as planned");
    play_expect("open 1!");
    play_expect_counts(pool, 1, 0, -1, 0);
    expect_free_and_end(pool);
}

/* 1.6 creator at a reconnect
   SQLAlchemy: and the record goes back disconnected, with a checkin event with NULL.
   lido: same */
Test(parity_failing_checkout, a_reconnect_that_fails_leaves_a_disconnected_record)
{
    lido_pool *pool = open_with_idle();

    cr_assert_eq(lido_pool_invalidate(pool, NULL), LIDO_OK);
    play_fail("open", 1, SQLITE_CANTOPEN);
    play_refuse(pool, SQLITE_CANTOPEN);

    play_expect("close 1, terminate 1, open 2!, checkin NULL");
    play_expect_counts(pool, 1, 1, 0, 0);
    expect_free_and_end(pool);
}

/* 1.6 first_connect
   SQLAlchemy: the error reaches the caller, the slot is free; main calls it again at the next
   connect until it succeeds, 0.9.8 never.
   lido: same: as in main; the connection is closed */
Test(parity_failing_checkout, first_connect_runs_until_it_succeeds)
{
    lido_pool *pool = play_open_queue(1, 0);

    play_fail("first_connect", 1, SQLITE_ERROR);
    play_refuse(pool, SQLITE_ERROR);
    play_expect("open 1, first_connect 1!, close 1, terminate 1");

    expect_free_and_end(pool);
    play_expect("open 2, first_connect 2, connect 2, checkout 2, reset 2, rollback 2, "
                "checkin 2, close 2, shut 2");
}

/* 1.6 connect of a new record
   SQLAlchemy: the error reaches the caller, the slot is free, later listeners do not run; the
   driver connection is not closed but left to the garbage collector.
   lido: better: the connection is closed */
Test(parity_failing_checkout, a_connection_that_a_connect_hook_refuses_is_closed)
{
    lido_pool *pool = play_open_queue(1, 0);

    play_fail("connect", 1, SQLITE_ERROR);
    play_refuse(pool, SQLITE_ERROR);

    play_expect("open 1, first_connect 1, connect 1!, close 1, terminate 1");
    cr_expect_eq(play_open_count(), 0);
    play_expect_counts(pool, 1, 0, -1, 0);
    expect_free_and_end(pool);
}

/* 1.6 connect of a reconnect
   SQLAlchemy: in main the record is invalidated and returned: invalidate, close, driver close,
   checkin (NULL).
   lido: same */
Test(parity_failing_checkout, a_reconnect_that_a_hook_refuses_is_invalidated)
{
    lido_pool *pool = open_with_idle();

    cr_assert_eq(lido_pool_invalidate(pool, NULL), LIDO_OK);
    play_fail("connect", 1, SQLITE_ERROR);
    play_refuse(pool, SQLITE_ERROR);

    play_expect("close 1, terminate 1, open 2, connect 2!, invalidate 2, close 2, "
                "terminate 2, checkin NULL");
    expect_free_and_end(pool);
}

/* 1.6 checkout with an ordinary error
   SQLAlchemy: in main invalidate, close, checkin (NULL) and the slot is returned; in 0.9.8 the
   connection is reset and stays alive.
   lido: same: as in main */
Test(parity_failing_checkout, a_connection_that_a_checkout_hook_refuses_is_closed)
{
    lido_pool *pool = open_with_idle();

    play_fail("checkout", 1, SQLITE_AUTH);
    play_refuse(pool, SQLITE_AUTH);

    play_expect("checkout 1!, invalidate 1, close 1, terminate 1, checkin NULL");
    expect_free_and_end(pool);
}

/* 1.6 checkout raises DisconnectionError
   SQLAlchemy: invalidated, reconnected, and all checkout listeners run again, two times; after
   the second it has reconnected a third time, invalidates that one too and says "This
   connection is closed".
   lido: same: LIDO_DISCONNECT, and the text says how many were refused */
Test(parity_failing_checkout, a_disconnect_is_tried_again_twice)
{
    lido_pool *pool = play_open_queue(1, 0);

    play_fail("checkout", -1, LIDO_DISCONNECT);
    play_refuse(pool, LIDO_DISCONNECT);

    play_expect("open 1, first_connect 1, connect 1, checkout 1!, invalidate 1, close 1, "
                "terminate 1, open 2, connect 2, checkout 2!, invalidate 2, close 2, "
                "terminate 2, open 3, connect 3, invalidate 3, close 3, terminate 3, "
                "checkin NULL");
    expect_free_and_end(pool);
}

/* 1.6 checkout raises DisconnectionError once
   SQLAlchemy: all checkout listeners run again from the first, on the new connection.
   lido: same */
Test(parity_failing_checkout, a_disconnect_is_answered_by_another_connection)
{
    lido_pool *pool = open_with_idle();
    struct lido_conn conn;

    play_fail("checkout", 1, LIDO_DISCONNECT);
    conn = play_take(pool);

    play_expect("checkout 1!, invalidate 1, close 1, terminate 1, open 2, connect 2, "
                "checkout 2");
    play_give(&conn);
    expect_free_and_end(pool);
}

/* 1.6 the reconnect after a DisconnectionError fails
   SQLAlchemy: that error reaches the caller, and the slot is returned.
   lido: same */
Test(parity_failing_checkout, a_reconnect_after_a_disconnect_may_fail)
{
    lido_pool *pool = open_with_idle();

    play_fail("checkout", 1, LIDO_DISCONNECT);
    play_fail("open", 1, SQLITE_CANTOPEN);
    play_refuse(pool, SQLITE_CANTOPEN);

    play_expect("checkout 1!, invalidate 1, close 1, terminate 1, open 2!, checkin NULL");
    expect_free_and_end(pool);
}

/* 1.6 checkout raises InvalidatePoolError
   SQLAlchemy: the same, and every other idle connection is recycled at its next checkout.
   lido: same: LIDO_INVALIDATE_POOL */
Test(parity_failing_checkout, a_hook_may_invalidate_the_whole_pool)
{
    lido_pool *pool = play_open_queue(2, 0);
    struct lido_conn first = play_take(pool), second = play_take(pool);

    play_give(&first);
    play_give(&second);
    play_fail("checkout", 1, LIDO_INVALIDATE_POOL);
    first = play_take(pool);
    play_forget();

    second = play_take(pool);
    play_expect("close 2, terminate 2, open 4, connect 4, checkout 4");
    play_give(&second);
    play_give(&first);
    play_end(pool);
}
