/* SPDX-License-Identifier: MIT */
/*
 * Section 1.5: which events come in which order, on a queue of one and one.
 */
#include "tests/parity/play.h"

TestSuite(parity_order, .init = play_begin);

/* A pool whose only connection, 1, is idle; nothing is in the line. */
static lido_pool *open_with_idle(void)
{
    lido_pool *pool = play_open_queue(1, 1);
    struct lido_conn conn = play_take(pool);

    play_give(&conn);
    play_forget();
    return pool;
}

/* The same, and that connection lent. */
static lido_pool *open_with_lent(struct lido_conn *conn)
{
    lido_pool *pool = open_with_idle();

    *conn = play_take(pool);
    play_forget();
    return pool;
}

/* 1.5 first connect()
   SQLAlchemy: creator, first_connect, connect, checkout.
   lido: same */
Test(parity_order, of_the_first_checkout)
{
    lido_pool *pool = play_open_queue(1, 1);
    struct lido_conn conn = play_take(pool);

    play_expect("open 1, first_connect 1, connect 1, checkout 1");
    play_give(&conn);
    play_end(pool);
}

/* 1.5 second connect()
   SQLAlchemy: creator, connect, checkout.
   lido: same */
Test(parity_order, of_the_second_connection)
{
    struct lido_conn first, second;
    lido_pool *pool = open_with_lent(&first);

    second = play_take(pool);
    play_expect("open 2, connect 2, checkout 2");
    play_give(&second);
    play_give(&first);
    play_end(pool);
}

/* 1.5 connect() of an idle connection
   SQLAlchemy: checkout.
   lido: same */
Test(parity_order, of_a_checkout_of_an_idle_connection)
{
    lido_pool *pool = open_with_idle();
    struct lido_conn conn = play_take(pool);

    play_expect("checkout 1");
    play_give(&conn);
    play_end(pool);
}

/* 1.5 close, pooled
   SQLAlchemy: reset, rollback, finalizers, checkin.
   lido: same */
Test(parity_order, of_a_check_in_that_is_kept)
{
    struct lido_conn conn;
    lido_pool *pool = open_with_lent(&conn);

    play_give(&conn);
    play_expect("reset 1, rollback 1, checkin 1");
    play_end(pool);
}

/* 1.5 close, surplus
   SQLAlchemy: reset, rollback, checkin, close, driver close, overflow - 1.
   lido: same */
Test(parity_order, of_a_check_in_that_is_one_too_many)
{
    struct lido_conn first, second;
    lido_pool *pool = open_with_lent(&first);

    second = play_take(pool);
    play_give(&second);
    play_expect_counts(pool, 1, 1, 1, 1);
    play_forget();
    play_give(&first);

    play_expect("reset 1, rollback 1, checkin 1, close 1, shut 1");
    play_expect_counts(pool, 1, 1, 0, 0);
    play_end(pool);
}

/* 1.5 fairy.invalidate()
   SQLAlchemy: invalidate, close, driver close (terminate), checkin (NULL).
   lido: same */
Test(parity_order, of_an_invalidation)
{
    struct lido_conn conn;
    lido_pool *pool = open_with_lent(&conn);

    cr_assert_eq(lido_conn_invalidate(&conn, NULL, NULL), LIDO_OK);
    play_expect("invalidate 1, close 1, terminate 1, checkin NULL");
    play_end(pool);
}

/* 1.5 close after invalidate
   SQLAlchemy: nothing.
   lido: same: no event; the call answers LIDO_STALE */
Test(parity_order, of_a_check_in_after_an_invalidation)
{
    struct lido_conn conn;
    lido_pool *pool = open_with_lent(&conn);

    cr_assert_eq(lido_conn_invalidate(&conn, NULL, NULL), LIDO_OK);
    play_forget();
    cr_expect_eq(lido_conn_checkin(&conn, NULL, NULL), LIDO_STALE);
    play_expect("");
    play_end(pool);
}

/* 1.5 connect after invalidate
   SQLAlchemy: creator, connect, checkout, in the same record with its info cleared.
   lido: same */
Test(parity_order, of_a_checkout_after_an_invalidation)
{
    struct lido_conn conn;
    lido_pool *pool = open_with_lent(&conn);
    const lido_record *record = lido_conn_record(&conn);

    cr_assert_eq(lido_conn_set_info(&conn, pool, NULL, NULL), LIDO_OK);
    cr_assert_eq(lido_conn_invalidate(&conn, NULL, NULL), LIDO_OK);
    play_forget();
    conn = play_take(pool);

    play_expect("open 2, connect 2, checkout 2");
    cr_expect_eq(lido_conn_record(&conn), record);
    cr_expect_null(lido_conn_info(&conn));
    play_give(&conn);
    play_end(pool);
}

/* 1.5 soft invalidate
   SQLAlchemy: soft_invalidate; at its close reset, rollback, checkin.
   lido: same */
Test(parity_order, of_a_soft_invalidation)
{
    struct lido_conn conn;
    lido_pool *pool = open_with_lent(&conn);

    cr_assert_eq(lido_conn_invalidate_soft(&conn, NULL, NULL), LIDO_OK);
    play_expect("soft_invalidate 1");
    play_give(&conn);
    play_expect("reset 1, rollback 1, checkin 1");
    play_end(pool);
}

/* 1.5 connect after soft invalidate, recycle or pool invalidate
   SQLAlchemy: close, driver close (terminate), creator, connect, checkout.
   lido: same */
Test(parity_order, of_a_checkout_that_replaces_the_connection)
{
    struct lido_pool_options options = play_options("queue");
    struct lido_conn conn;
    lido_pool *pool = open_with_lent(&conn);

    cr_assert_eq(lido_conn_invalidate_soft(&conn, NULL, NULL), LIDO_OK);
    play_give(&conn);
    play_forget();
    conn = play_take(pool);
    play_expect("close 1, terminate 1, open 2, connect 2, checkout 2");

    play_give(&conn);
    cr_assert_eq(lido_pool_invalidate(pool, NULL), LIDO_OK);
    play_forget();
    conn = play_take(pool);
    play_expect("close 2, terminate 2, open 3, connect 3, checkout 3");
    play_give(&conn);
    play_end(pool);

    play_begin();
    options.pool_recycle_ms = 1000;
    pool = play_open(&options);
    conn = play_take(pool);
    play_give(&conn);
    fake_clock_advance_ms(1001);
    play_forget();
    conn = play_take(pool);
    play_expect("close 1, terminate 1, open 2, connect 2, checkout 2");
    play_give(&conn);
    play_end(pool);
}

/* 1.5 detach
   SQLAlchemy: detach; at its close reset (no record), rollback, close_detached, driver close.
   lido: same */
Test(parity_order, of_a_detach)
{
    struct lido_conn conn;
    lido_pool *pool = open_with_lent(&conn);

    cr_assert_eq(lido_conn_detach(&conn, NULL), LIDO_OK);
    play_expect("detach 1");
    play_give(&conn);
    play_expect("reset 1-, rollback 1, close_detached 1, shut 1");
    play_end(pool);
}

/* 1.5 dispose
   SQLAlchemy: close, driver close for each idle record.
   lido: same */
Test(parity_order, of_dispose)
{
    lido_pool *pool = play_open_queue(2, 0);
    struct lido_conn first = play_take(pool), second = play_take(pool);

    play_give(&first);
    play_give(&second);
    play_forget();
    cr_assert_eq(lido_pool_dispose(pool, NULL), LIDO_OK);
    play_expect("close 1, shut 1, close 2, shut 2");
    play_end(pool);
}

static lido_pool *open_pinging(struct lido_conn *conn)
{
    struct lido_pool_options options = play_options("queue");
    lido_pool *pool;

    options.order = "fifo";
    options.pool_pre_ping = 1;
    pool = play_open(&options);
    *conn = play_take(pool);
    play_give(conn);
    play_forget();
    return pool;
}

/* 1.5 pre_ping of an idle connection
   SQLAlchemy: ping, checkout; a fresh connection is not pinged.
   lido: same */
Test(parity_order, of_a_checkout_with_a_ping)
{
    struct lido_conn conn;
    lido_pool *pool = open_pinging(&conn);

    conn = play_take(pool);
    play_expect("ping 1, checkout 1");
    play_give(&conn);
    play_end(pool);
}

/* 1.5 ping false
   SQLAlchemy: ping, invalidate, close, driver close, creator, connect, checkout; and the whole
   pool is stamped.
   lido: same */
Test(parity_order, of_a_ping_that_fails)
{
    struct lido_conn conn, other;
    lido_pool *pool = open_pinging(&conn);

    conn = play_take(pool);
    other = play_take(pool);
    play_give(&conn);
    play_give(&other);
    play_forget();
    play_fail("ping", 1, SQLITE_IOERR);
    conn = play_take(pool);
    cr_expect_eq(play_number(&conn), 3);
    play_expect(
        "ping 1!, invalidate 1, close 1, terminate 1, open 3, connect 3, checkout 3");

    other = play_take(pool);
    play_expect("close 2, terminate 2, open 4, connect 4, checkout 4");
    play_give(&other);
    play_give(&conn);
    play_end(pool);
}

static void expect_static(int shared_transaction, const char *second, const char *last)
{
    struct lido_pool_options options = play_options("static");
    struct lido_conn one, other;
    lido_pool *pool;

    options.shared_transaction = shared_transaction;
    pool = play_open(&options);
    one = play_take(pool);
    other = play_take(pool);
    play_forget();
    play_give(&other);
    play_expect(second);
    play_give(&one);
    play_expect(last);
    play_end(pool);
}

/* 1.5 static, second fairy closed
   SQLAlchemy: reset, rollback, also of what others have begun; main has no checkin event for
   the second, 0.9 one for each.
   lido: better: a lease rolls back its own transaction only; with `shared_transaction=1` as in
   main */
Test(parity_order, of_the_check_ins_of_a_static_pool)
{
    expect_static(0, "reset 1", "reset 1, rollback 1, checkin 1");
    play_begin();
    expect_static(1, "reset 1, end_own 1", "reset 1, rollback 1, checkin 1");
}

/* 1.5 which one is surplus
   SQLAlchemy: the one that returns when the queue is full, whichever was opened as overflow.
   lido: same */
Test(parity_order, the_connection_that_returns_first_stays)
{
    lido_pool *pool = play_open_queue(1, 1);
    struct lido_conn first = play_take(pool), overflow = play_take(pool);

    play_give(&overflow);
    play_give(&first);
    first = play_take(pool);

    cr_expect_eq(play_number(&first), 2);
    play_give(&first);
    play_end(pool);
}
