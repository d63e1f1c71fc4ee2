/* SPDX-License-Identifier: MIT */
/*
 * Section 1.8: the null and the assertion pool.
 */
#include "tests/parity/play.h"

#include <string.h>

TestSuite(parity_small_kinds, .init = play_begin);

/* 1.8 NullPool
   SQLAlchemy: every connect opens, every return closes: reset, rollback, checkin, close.
   lido: same */
Test(parity_small_kinds, a_null_pool_opens_and_closes_each_time)
{
    lido_pool *pool = play_open_kind("null");
    struct lido_conn conn = play_take(pool);

    play_expect("open 1, first_connect 1, connect 1, checkout 1");
    play_give(&conn);
    play_expect("reset 1, rollback 1, checkin 1, close 1, shut 1");
    conn = play_take(pool);
    play_expect("open 2, connect 2, checkout 2");
    play_give(&conn);
    play_end(pool);
}

/* 1.8 NullPool has no limit
   SQLAlchemy: any number may be out.
   lido: same */
Test(parity_small_kinds, a_null_pool_has_no_limit)
{
    lido_pool *pool = play_open_kind("null");
    struct lido_conn conns[30];

    for (int i = 0; i < 30; i++)
        conns[i] = play_take(pool);
    cr_expect_eq(play_open_count(), 30);
    cr_expect_eq(play_stats(pool).limit, -1);
    for (int i = 0; i < 30; i++)
        play_give(&conns[i]);
    cr_expect_eq(play_open_count(), 0);
    play_end(pool);
}

/* 1.8 NullPool, recycle and invalidate
   SQLAlchemy: have no meaning, as nothing is kept.
   lido: same: they are taken, and change nothing */
Test(parity_small_kinds, a_null_pool_has_nothing_to_recycle)
{
    struct lido_pool_options options = play_options("null");
    struct lido_conn conn;
    lido_pool *pool;

    options.pool_recycle_ms = 0;
    pool = play_open(&options);
    conn = play_take(pool);
    play_give(&conn);
    cr_assert_eq(lido_pool_invalidate(pool, NULL), LIDO_OK);
    fake_clock_advance_ms(1000);
    play_forget();
    conn = play_take(pool);

    play_expect("open 2, connect 2, checkout 2");
    play_give(&conn);
    play_end(pool);
}

/* 1.8 AssertionPool
   SQLAlchemy: at most one is out; the second is an AssertionError with the traceback of the
   first.
   lido: same: LIDO_CHECKED_OUT at once, and the text names thread, label and place */
Test(parity_small_kinds, a_second_checkout_of_an_assertion_pool_is_a_mistake)
{
    lido_pool *pool = play_open_kind("assertion");
    struct lido_conn conn = play_take(pool), second;

    cr_assert_eq(lido_conn_set_label(&conn, "report", NULL), LIDO_OK);
    cr_expect_eq(lido_pool_checkout(pool, &second, NULL, &play_err), LIDO_CHECKED_OUT);

    cr_expect_not_null(strstr(play_err.text, "report"), "%s", play_err.text);
    cr_expect_not_null(strstr(play_err.text, "play.c:"), "%s", play_err.text);
    play_give(&conn);
    play_end(pool);
}

/* 1.2 AssertionPool's own argument
   SQLAlchemy: store_traceback=True; False leaves the traceback out, which is slow.
   lido: not applicable: file and line of a checkout cost nothing and are always kept */
Test(parity_small_kinds, the_place_of_a_checkout_may_be_left_out)
{
    lido_pool *pool = play_open_kind("assertion");
    struct lido_conn conn, second;

    cr_assert_eq(lido_pool_checkout_at(pool, &conn, NULL, NULL, 0, NULL), LIDO_OK);
    cr_expect_eq(lido_pool_checkout(pool, &second, NULL, &play_err), LIDO_CHECKED_OUT);

    cr_expect_null(strstr(play_err.text, ".c:"), "%s", play_err.text);
    play_give(&conn);
    play_end(pool);
}

/* 1.8 AssertionPool keeps its connection
   SQLAlchemy: it is lent again.
   lido: same */
Test(parity_small_kinds, an_assertion_pool_lends_its_connection_again)
{
    lido_pool *pool = play_open_kind("assertion");
    struct lido_conn conn = play_take(pool);

    play_give(&conn);
    conn = play_take(pool);
    cr_expect_eq(play_number(&conn), 1);
    play_give(&conn);
    play_end(pool);
}

/* 1.8 AssertionPool, returned when not out
   SQLAlchemy: AssertionError, "connection is not checked out".
   lido: same: LIDO_STALE */
Test(parity_small_kinds, what_is_not_out_cannot_be_returned)
{
    lido_pool *pool = play_open_kind("assertion");
    struct lido_conn conn = play_take(pool), copy = conn;

    play_give(&conn);
    cr_expect_eq(lido_conn_checkin(&copy, NULL, NULL), LIDO_STALE);
    play_end(pool);
}

/* 1.8 AssertionPool, dispose() while out
   SQLAlchemy: allows a second checkout: a new connection in main, in 0.9.8 the closed one
   again.
   lido: same: as in main */
Test(parity_small_kinds, dispose_allows_another_checkout)
{
    lido_pool *pool = play_open_kind("assertion");
    struct lido_conn first = play_take(pool), second;

    cr_assert_eq(lido_pool_dispose(pool, NULL), LIDO_OK);
    second = play_take(pool);
    cr_expect_eq(play_number(&second), 2);
    play_give(&second);
    play_give(&first);
    play_end(pool);
}

/* 1.8 AssertionPool, the first close after dispose()
   SQLAlchemy: main silently resets the closed connection, without a checkin; 0.9.8 raises.
   lido: better: the connection is still open then, is reset, checked in, and closed */
Test(parity_small_kinds, what_was_out_at_dispose_is_closed_when_it_returns)
{
    lido_pool *pool = play_open_kind("assertion");
    struct lido_conn first = play_take(pool), second;

    cr_assert_eq(lido_pool_dispose(pool, NULL), LIDO_OK);
    second = play_take(pool);
    play_forget();
    play_give(&first);

    play_expect("reset 1, rollback 1, checkin 1, close 1, shut 1");
    cr_expect_eq(play_number(&second), 2);
    play_give(&second);
    play_end(pool);
}

/* 1.8 AssertionPool, after detach()
   SQLAlchemy: another connect is allowed.
   lido: same */
Test(parity_small_kinds, a_detached_connection_is_not_out)
{
    lido_pool *pool = play_open_kind("assertion");
    struct lido_conn detached = play_take(pool), next;

    cr_assert_eq(lido_conn_detach(&detached, NULL), LIDO_OK);
    next = play_take(pool);
    cr_expect_eq(play_number(&next), 2);
    play_give(&next);
    play_give(&detached);
    play_end(pool);
}

/* 1.8 AssertionPool, failing creator
   SQLAlchemy: leaves the flag clear.
   lido: same */
Test(parity_small_kinds, what_could_not_be_opened_is_not_out)
{
    lido_pool *pool = play_open_kind("assertion");
    struct lido_conn conn;

    play_fail("open", 1, SQLITE_CANTOPEN);
    play_refuse(pool, SQLITE_CANTOPEN);
    conn = play_take(pool);
    play_give(&conn);
    play_end(pool);
}
