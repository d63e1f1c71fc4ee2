/* SPDX-License-Identifier: MIT */
/*
 * Section 1.4, the fairy: what a lease can do, and how it ends.
 */
#include "tests/parity/play.h"

TestSuite(parity_leases, .init = play_begin);

/* 1.4 nesting
   SQLAlchemy: each nested checkout counts up, each close() down, and at 0 it is checked in;
   the checkout event and the ping are for the first only.
   lido: same: each is a lease of its own, and the last one returns the connection */
Test(parity_leases, a_nested_checkout_is_no_new_checkout_event)
{
    lido_pool *pool = play_open_kind("singleton_thread");
    struct lido_conn outer = play_take(pool), inner;

    play_forget();
    inner = play_take(pool);
    play_give(&inner);
    play_expect("");
    play_give(&outer);
    play_expect("reset 1, rollback 1, checkin 1");
    play_end(pool);
}

/* 1.4 closing a closed fairy
   SQLAlchemy: the counter becomes -1, without effect.
   lido: better: LIDO_STALE, and nothing happens */
Test(parity_leases, an_ended_lease_cannot_end_another)
{
    lido_pool *pool = play_open_kind("singleton_thread");
    struct lido_conn outer = play_take(pool), inner = play_take(pool), copy = inner;

    play_give(&inner);
    cr_expect_eq(lido_conn_checkin(&copy, NULL, NULL), LIDO_STALE);
    cr_expect_eq(lido_conn_checkin(&inner, NULL, NULL), LIDO_STALE);

    cr_expect_eq(play_number(&outer), 1, "the outer lease goes on");
    play_give(&outer);
    play_end(pool);
}

/* 1.4 detach
   SQLAlchemy: the record goes back without a connection at once, the fairy keeps it, `info`
   becomes its own, record_info is gone; then the detach event.
   lido: same */
Test(parity_leases, detach_frees_the_place_and_keeps_the_connection)
{
    lido_pool *pool = play_open_queue(1, 0);
    struct lido_conn conn = play_take(pool);
    int info, place;

    cr_assert_eq(lido_conn_set_info(&conn, &info, NULL, NULL), LIDO_OK);
    cr_assert_eq(lido_conn_set_record_info(&conn, &place, NULL, NULL), LIDO_OK);
    play_forget();
    cr_assert_eq(lido_conn_detach(&conn, NULL), LIDO_OK);

    play_expect("detach 1");
    play_expect_counts(pool, 1, 1, 0, 0);
    cr_expect_eq(play_number(&conn), 1);
    cr_expect_eq(lido_conn_info(&conn), &info);
    cr_expect_null(lido_conn_record_info(&conn));
    play_give(&conn);
    conn = play_take(pool);
    cr_expect_eq(lido_conn_record_info(&conn), &place);
    play_give(&conn);
    play_end(pool);
}

/* 1.4 detach wakes a waiter
   SQLAlchemy: who waits for the slot gets it.
   lido: same */
Test(parity_leases, detach_wakes_who_waits)
{
    lido_pool *pool = play_open_queue(1, 0);
    struct lido_conn conn = play_take(pool);
    struct play_waiter waiter;

    play_wait_in_line(&waiter, pool, -1, 1);
    cr_assert_eq(lido_conn_detach(&conn, NULL), LIDO_OK);
    play_join(&waiter);

    cr_expect_eq(waiter.rc, LIDO_OK, "%s", waiter.err.text);
    cr_expect_eq(waiter.number, 2);
    play_give(&conn);
    play_end(pool);
}

/* 1.4 detach and the limit
   SQLAlchemy: more connections than the limit may then be open.
   lido: same: lido_pool_stats() counts them as `detached` */
Test(parity_leases, a_detached_connection_is_beyond_the_limit)
{
    lido_pool *pool = play_open_queue(1, 0);
    struct lido_conn detached = play_take(pool), next;

    cr_assert_eq(lido_conn_detach(&detached, NULL), LIDO_OK);
    next = play_take(pool);

    cr_expect_eq(play_open_count(), 2);
    cr_expect_eq(play_stats(pool).detached, 1);
    play_give(&next);
    play_give(&detached);
    play_end(pool);
}

/* 1.4 detach and close
   SQLAlchemy: reset without a record, rollback, close_detached, closed for real; no checkin
   event.
   lido: same */
Test(parity_leases, a_detached_connection_is_closed_at_its_check_in)
{
    lido_pool *pool = play_open_kind("queue");
    struct lido_conn conn = play_take(pool);

    cr_assert_eq(lido_conn_detach(&conn, NULL), LIDO_OK);
    play_forget();
    play_give(&conn);

    play_expect("reset 1-, rollback 1, close_detached 1, shut 1");
    play_end(pool);
}

/* 1.4 detach of a null pool
   SQLAlchemy: works the same.
   lido: same */
Test(parity_leases, a_null_pools_connection_may_be_detached)
{
    lido_pool *pool = play_open_kind("null");
    struct lido_conn conn = play_take(pool);

    play_forget();
    cr_assert_eq(lido_conn_detach(&conn, NULL), LIDO_OK);
    play_give(&conn);

    play_expect("detach 1, reset 1-, rollback 1, close_detached 1, shut 1");
    play_end(pool);
}

/* 1.4 invalidate
   SQLAlchemy: hard: the record is invalidated, the checkin event has NULL, and the slot is
   free at once, not at close(); nothing is reset.
   lido: same: the lease ends with it */
Test(parity_leases, invalidate_frees_the_place_at_once)
{
    lido_pool *pool = play_open_queue(1, 0);
    struct lido_conn conn = play_take(pool);

    play_forget();
    cr_assert_eq(lido_conn_invalidate(&conn, NULL, NULL), LIDO_OK);

    play_expect("invalidate 1, close 1, terminate 1, checkin NULL");
    play_expect_counts(pool, 1, 1, 0, 0);
    play_end(pool);
}

/* 1.4 invalidate a closed fairy
   SQLAlchemy: a warning, "Can't invalidate an already-closed connection."
   lido: better: LIDO_STALE, and whoever has the connection now keeps it */
Test(parity_leases, an_ended_lease_invalidates_nothing)
{
    lido_pool *pool = play_open_queue(1, 0);
    struct lido_conn conn = play_take(pool), copy = conn, next;

    play_give(&conn);
    next = play_take(pool);
    play_forget();
    cr_expect_eq(lido_conn_invalidate(&copy, NULL, NULL), LIDO_STALE);

    play_expect("");
    cr_expect_eq(play_number(&next), 1);
    play_give(&next);
    play_end(pool);
}

/* 1.4 invalidate a detached fairy
   SQLAlchemy: the connection is dropped without being closed.
   lido: better: it is closed, with the invalidate and close_detached hooks */
Test(parity_leases, an_invalidated_detached_connection_is_closed)
{
    lido_pool *pool = play_open_kind("queue");
    struct lido_conn conn = play_take(pool);

    cr_assert_eq(lido_conn_detach(&conn, NULL), LIDO_OK);
    play_forget();
    cr_assert_eq(lido_conn_invalidate(&conn, NULL, NULL), LIDO_OK);

    play_expect("invalidate 1, close_detached 1, terminate 1");
    cr_expect_eq(play_open_count(), 0);
    play_end(pool);
}

/* 1.4 is_valid
   SQLAlchemy: true while the fairy has a connection.
   lido: same: lido_conn_handle() is not NULL */
Test(parity_leases, a_lease_without_a_connection_has_no_handle)
{
    lido_pool *pool = play_open_kind("queue");
    struct lido_conn conn = play_take(pool), copy = conn;

    cr_expect_not_null(lido_conn_handle(&conn));
    cr_assert_eq(lido_conn_invalidate(&conn, NULL, NULL), LIDO_OK);

    cr_expect_null(lido_conn_handle(&conn));
    cr_expect_null(lido_conn_handle(&copy));
    play_end(pool);
}

/* 1.4 is_detached
   SQLAlchemy: true once the fairy has no record.
   lido: same */
Test(parity_leases, a_detached_lease_says_so)
{
    lido_pool *pool = play_open_kind("queue");
    struct lido_conn conn = play_take(pool);

    cr_expect_eq(lido_conn_is_detached(&conn), 0);
    cr_assert_eq(lido_conn_detach(&conn, NULL), LIDO_OK);

    cr_expect_eq(lido_conn_is_detached(&conn), 1);
    cr_expect_null(lido_conn_record(&conn));
    play_give(&conn);
    play_end(pool);
}

static int told;

static void look_at_reset(const struct lido_event *event)
{
    told = event->transaction_was_reset;
}

/* 1.4 _close_special
   SQLAlchemy: since 1.4, a close that says that the transaction was rolled back already: reset
   listeners are told, and no second rollback is made.
   lido: better: they are told, and the driver is asked all the same, which costs SQLite
   nothing; a caller may be wrong */
Test(parity_leases, a_check_in_may_say_that_the_transaction_was_reset)
{
    struct lido_checkin_options options = LIDO_CHECKIN_OPTIONS_INIT;
    lido_pool *pool = play_open_kind("queue");
    struct lido_conn conn = play_take(pool);

    options.transaction_was_reset = 1;
    play_do_inside("reset", look_at_reset);
    play_forget();
    cr_assert_eq(lido_conn_checkin(&conn, &options, NULL), LIDO_OK);

    cr_expect_eq(told, 1);
    play_expect("reset 1, rollback 1, checkin 1");
    play_end(pool);
}

/* 1.4 _reset_agent
   SQLAlchemy: in 0.9, an object whose rollback() is called instead of the dialect's: reset,
   rollback event, checkin.
   lido: not applicable: a transaction is the lease's own state, so a check-in finds it without
   an agent */
Test(parity_leases, a_check_in_finds_an_open_transaction)
{
    struct lido_pool_options options = play_options("queue");
    lido_pool *pool = play_open_file(&options);
    struct lido_conn conn = play_take(pool);

    cr_assert_eq(lido_txn_begin(&conn, LIDO_IMMEDIATE, NULL), LIDO_OK);
    play_give(&conn);

    cr_expect_eq(play_stats(pool).rolled_back, 1);
    conn = play_take(pool);
    cr_expect_eq(lido_txn_state(&conn), LIDO_TXN_NONE);
    play_give(&conn);
    play_end_file(pool);
}

/* 1.4 cursor and attributes
   SQLAlchemy: the fairy passes cursor() and unknown attributes on to the connection.
   lido: not applicable: lido_conn_sqlite() lends the connection itself */
Test(parity_leases, a_lease_lends_the_raw_connection)
{
    struct lido_pool_options options = play_options("queue");
    lido_pool *pool = play_open_file(&options);
    struct lido_conn conn = play_take(pool);

    cr_expect_eq(play_ask(&conn, "select 6 * 7"), 42);
    cr_expect_eq(lido_conn_handle(&conn), lido_conn_sqlite(&conn));
    play_give(&conn);
    play_end_file(pool);
}

static int visit(void *ctx, const struct lido_holder *holder)
{
    *(struct lido_holder *)ctx = *holder;
    return 0;
}

/* 1.4 a dropped fairy
   SQLAlchemy: when the last reference goes, a weakref callback checks it in.
   lido: not applicable: C has no such moment; lido_pool_holders() names every lease that is
   out with its thread, label and place, and closing the pool counts them */
Test(parity_leases, a_forgotten_lease_is_named)
{
    lido_pool *pool = play_open_kind("queue");
    struct lido_conn conn = play_take(pool);
    struct lido_holder holder = { .size = 0 };

    cr_assert_eq(lido_conn_set_label(&conn, "report", NULL), LIDO_OK);
    cr_assert_eq(lido_pool_holders(pool, visit, &holder, NULL), LIDO_OK);
    cr_expect_str_eq(holder.label, "report");
    cr_expect_not_null(holder.file);
    cr_expect_eq(lido_pool_close(pool, 0, &play_err), LIDO_BUSY_LEASES);

    play_give(&conn);
    play_end(pool);
}
