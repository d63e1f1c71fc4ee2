/* SPDX-License-Identifier: MIT */
/*
 * Section 1.1: what a pool, a record, a lease and a connection are, and how long they live.
 */
#include "tests/parity/play.h"

TestSuite(parity_lifetimes, .init = play_begin);

/* 1.1 a record outlives connections
   SQLAlchemy: a record is one slot, which may have several driver connections in turn.
   lido: same */
Test(parity_lifetimes, a_record_has_several_connections_in_turn)
{
    lido_pool *pool = play_open_queue(1, 0);
    struct lido_conn conn = play_take(pool);
    const lido_record *record = lido_conn_record(&conn);

    cr_assert_eq(lido_conn_invalidate(&conn, NULL, NULL), LIDO_OK);
    conn = play_take(pool);

    cr_expect_eq(play_number(&conn), 2);
    cr_expect_eq(lido_conn_record(&conn), record);
    play_give(&conn);
    play_end(pool);
}

/* 1.1 a disconnected record has no connection
   SQLAlchemy: `dbapi_connection` is NULL while the record is disconnected.
   lido: same */
Test(parity_lifetimes, a_record_without_a_connection_says_so)
{
    lido_pool *pool = play_open_kind("queue");
    struct lido_conn conn = play_take(pool);
    lido_record *record = lido_conn_record(&conn);

    cr_expect_not_null(lido_record_handle(record));
    cr_assert_eq(lido_record_close(record, NULL), LIDO_OK);
    cr_expect_null(lido_record_handle(record));

    play_give(&conn);
    play_end(pool);
}

/* 1.1 a fairy is one checkout
   SQLAlchemy: each checkout is an object of its own, with a counter of nested checkouts.
   lido: better: each checkout, nested ones too, is a lease with a generation, so a copy of one
   that has ended never reaches who has the connection next */
Test(parity_lifetimes, a_lease_that_has_ended_never_reaches_the_next)
{
    lido_pool *pool = play_open_queue(1, 0);
    struct lido_conn first = play_take(pool), copy = first, second;

    play_give(&first);
    second = play_take(pool);

    cr_expect_eq(play_number(&second), 1);
    cr_expect_null(lido_conn_handle(&copy));
    cr_expect_eq(lido_conn_checkin(&copy, NULL, NULL), LIDO_STALE);
    play_give(&second);
    play_end(pool);
}

/* 1.1 the driver connection is opaque
   SQLAlchemy: the pool only hands on what the creator returned.
   lido: same: a driver's handle is a pointer that the pool never looks behind */
Test(parity_lifetimes, the_handle_is_the_drivers_own)
{
    lido_pool *pool = play_open_kind("queue");
    struct lido_conn conn = play_take(pool);

    cr_expect_not_null(lido_conn_handle(&conn));
    cr_expect_null(lido_conn_sqlite(&conn), "it is none of SQLite's");
    play_give(&conn);
    play_end(pool);
}

/* 1.1 nothing is opened before the first connect
   SQLAlchemy: a pool opens nothing until the first connect().
   lido: same: but `open_now` and `min_idle` ask for it */
Test(parity_lifetimes, an_unused_pool_has_opened_nothing)
{
    play_end(play_open_kind("queue"));

    play_expect("");
}

/* 1.1 recreate and dispose open nothing
   SQLAlchemy: recreate() and dispose() never open a connection.
   lido: same */
Test(parity_lifetimes, recreate_and_dispose_open_nothing)
{
    lido_pool *pool = play_open_kind("queue"), *again;

    cr_assert_eq(lido_pool_dispose(pool, NULL), LIDO_OK);
    cr_assert_eq(lido_pool_recreate(pool, &again, NULL), LIDO_OK);

    play_expect("");
    play_end(again);
    play_end(pool);
}

/* 1.1 only returned records are pooled
   SQLAlchemy: records are created on demand, and only those that came back are pooled.
   lido: same */
Test(parity_lifetimes, records_come_on_demand_and_are_pooled_when_they_return)
{
    lido_pool *pool = play_open_queue(2, 0);
    struct lido_conn conn = play_take(pool);

    cr_expect_eq(play_stats(pool).live, 1);
    cr_expect_eq(play_stats(pool).idle, 0);
    play_give(&conn);
    cr_expect_eq(play_stats(pool).idle, 1);
    play_end(pool);
}

/* 1.1 a pooled record may be disconnected
   SQLAlchemy: after invalidate, detach or a failed reconnect the record waits in the queue
   without a connection, and connects at its next checkout.
   lido: same */
Test(parity_lifetimes, a_disconnected_record_waits_in_the_pool_and_reconnects)
{
    lido_pool *pool = play_open_queue(1, 0);
    struct lido_conn conn = play_take(pool);

    cr_assert_eq(lido_conn_invalidate(&conn, NULL, NULL), LIDO_OK);
    cr_expect_eq(play_stats(pool).idle, 1);
    cr_expect_eq(play_open_count(), 0);
    play_forget();

    conn = play_take(pool);
    play_expect("open 2, connect 2, checkout 2");
    play_give(&conn);
    play_end(pool);
}
