/* SPDX-License-Identifier: MIT */
/*
 * Section 1.4, the record: what hangs on a place of the pool, and its calls.
 */
#include "tests/parity/play.h"

TestSuite(parity_records, .init = play_begin);

static int destroyed;

static void destroy(void *info)
{
    (void)info;
    destroyed++;
}

/* 1.4 dbapi_connection
   SQLAlchemy: NULL after invalidate, close, detach and a failed connect; in 0.9.8 close()
   leaves a closed connection there, which AssertionPool lends again after dispose().
   lido: same: as in main */
Test(parity_records, a_closed_connection_is_never_there)
{
    lido_pool *pool = play_open_kind("assertion");
    struct lido_conn conn = play_take(pool);
    lido_record *record = lido_conn_record(&conn);

    cr_assert_eq(lido_record_close(record, NULL), LIDO_OK);
    cr_expect_null(lido_record_handle(record));
    cr_expect_null(lido_conn_handle(&conn));
    play_fail("open", 1, SQLITE_CANTOPEN);
    cr_expect_eq(lido_record_connect(record, NULL), SQLITE_CANTOPEN);
    cr_expect_null(lido_record_handle(record));
    play_give(&conn);
    play_end(pool);
}

/* 1.4 info
   SQLAlchemy: a dictionary of the driver connection, kept from checkout to checkout.
   lido: same: a pointer with a `destroy` */
Test(parity_records, info_is_kept_from_checkout_to_checkout)
{
    lido_pool *pool = play_open_queue(1, 0);
    struct lido_conn conn = play_take(pool);
    int mine;

    cr_assert_eq(lido_conn_set_info(&conn, &mine, NULL, NULL), LIDO_OK);
    play_give(&conn);
    conn = play_take(pool);

    cr_expect_eq(lido_conn_info(&conn), &mine);
    play_give(&conn);
    play_end(pool);
}

/* 1.4 info is dropped at the reconnect
   SQLAlchemy: cleared at the next reconnect, not by the invalidate before it.
   lido: same */
Test(parity_records, info_is_dropped_when_the_record_reconnects)
{
    lido_pool *pool = play_open_queue(1, 0);
    struct lido_conn conn = play_take(pool);
    lido_record *record = lido_conn_record(&conn);
    int mine;

    cr_assert_eq(lido_conn_set_info(&conn, &mine, destroy, NULL), LIDO_OK);
    cr_assert_eq(lido_record_invalidate(record, NULL, NULL), LIDO_OK);
    cr_expect_eq(lido_record_info(record), &mine);
    cr_expect_eq(destroyed, 0);

    cr_assert_eq(lido_record_connect(record, NULL), LIDO_OK);
    cr_expect_null(lido_record_info(record));
    cr_expect_eq(destroyed, 1);
    play_give(&conn);
    play_end(pool);
}

/* 1.4 record_info
   SQLAlchemy: since 1.1, a dictionary of the record, which outlives its connections.
   lido: same: a pointer with a `destroy` */
Test(parity_records, record_info_outlives_the_connection)
{
    lido_pool *pool = play_open_queue(1, 0);
    struct lido_conn conn = play_take(pool);
    int mine;

    cr_assert_eq(lido_conn_set_record_info(&conn, &mine, destroy, NULL), LIDO_OK);
    cr_assert_eq(lido_conn_invalidate(&conn, NULL, NULL), LIDO_OK);
    conn = play_take(pool);
    cr_expect_eq(lido_conn_record_info(&conn), &mine);
    cr_expect_eq(destroyed, 0);

    play_give(&conn);
    play_end(pool);
    cr_expect_eq(destroyed, 1);
}

/* 1.4 starttime
   SQLAlchemy: when the connecting began.
   lido: same: on the pool's age clock, in nanoseconds */
Test(parity_records, a_record_knows_when_its_connecting_began)
{
    lido_pool *pool = play_open_queue(1, 0);
    int64_t before_ns = fake_clock_now_ns();
    struct lido_conn conn;

    play_open_takes_ms(300);
    conn = play_take(pool);

    cr_expect_eq(lido_record_started_ns(lido_conn_record(&conn)), before_ns);
    play_give(&conn);
    play_end(pool);
}

static int saw_in_use = -1;

static void look_at_use(const struct lido_event *event)
{
    saw_in_use = lido_record_in_use(event->record);
}

/* 1.4 in_use
   SQLAlchemy: true while the record has a fairy.
   lido: same */
Test(parity_records, a_record_knows_whether_it_is_lent)
{
    lido_pool *pool = play_open_queue(1, 0);
    struct lido_conn conn = play_take(pool);

    cr_expect_eq(lido_record_in_use(lido_conn_record(&conn)), 1);
    play_give(&conn);
    play_do_inside("close", look_at_use);
    cr_assert_eq(lido_pool_dispose(pool, NULL), LIDO_OK);
    cr_expect_eq(saw_in_use, 0);
    play_end(pool);
}

/* 1.4 fresh
   SQLAlchemy: true from the connect to the first checkout, which does not ping it.
   lido: same: also if the record was reconnected */
Test(parity_records, a_connection_is_fresh_until_its_first_checkout)
{
    struct lido_pool_options options = play_options("queue");
    struct lido_conn conn;
    lido_pool *pool;

    options.pool_pre_ping = 1;
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

/* 1.4 record.invalidate
   SQLAlchemy: hard: invalidate event, close event, the connection is terminated and NULL.
   lido: same */
Test(parity_records, an_invalidated_record_has_lost_its_connection)
{
    lido_pool *pool = play_open_kind("queue");
    struct lido_conn conn = play_take(pool);
    lido_record *record = lido_conn_record(&conn);

    play_forget();
    cr_assert_eq(lido_record_invalidate(record, NULL, NULL), LIDO_OK);

    play_expect("invalidate 1, close 1, terminate 1");
    cr_expect_null(lido_record_handle(record));
    play_give(&conn);
    play_end(pool);
}

/* 1.4 record.invalidate twice
   SQLAlchemy: does nothing if the connection is NULL already.
   lido: same */
Test(parity_records, invalidating_a_record_twice_does_it_once)
{
    lido_pool *pool = play_open_kind("queue");
    struct lido_conn conn = play_take(pool);
    lido_record *record = lido_conn_record(&conn);

    cr_assert_eq(lido_record_invalidate(record, NULL, NULL), LIDO_OK);
    play_forget();
    cr_expect_eq(lido_record_invalidate(record, NULL, NULL), LIDO_OK);
    cr_expect_eq(lido_record_invalidate_soft(record, NULL, NULL), LIDO_OK);

    play_expect("");
    play_give(&conn);
    play_end(pool);
}

/* 1.4 record.invalidate soft
   SQLAlchemy: soft_invalidate event; nothing is closed, and the next checkout replaces it.
   lido: same */
Test(parity_records, a_softly_invalidated_record_goes_on_until_its_next_checkout)
{
    lido_pool *pool = play_open_queue(1, 0);
    struct lido_conn conn = play_take(pool);

    play_forget();
    cr_assert_eq(lido_record_invalidate_soft(lido_conn_record(&conn), NULL, NULL), LIDO_OK);
    play_expect("soft_invalidate 1");
    cr_expect_eq(play_number(&conn), 1);

    play_give(&conn);
    conn = play_take(pool);
    cr_expect_eq(play_number(&conn), 2);
    play_give(&conn);
    play_end(pool);
}

/* 1.4 invalidate event before the change
   SQLAlchemy: if the listener raises, nothing has changed.
   lido: same */
Test(parity_records, a_refused_invalidation_has_changed_nothing)
{
    lido_pool *pool = play_open_kind("queue");
    struct lido_conn conn = play_take(pool);
    lido_record *record = lido_conn_record(&conn);

    play_fail("invalidate", 1, SQLITE_DENY);
    cr_expect_eq(lido_record_invalidate(record, NULL, NULL), SQLITE_DENY);

    cr_expect_eq(play_number(&conn), 1);
    play_give(&conn);
    play_end(pool);
}

/* 1.4 record.close
   SQLAlchemy: close event and the driver's close, if there is a connection; get_connection()
   reconnects.
   lido: same: lido_record_close(), lido_record_connect() */
Test(parity_records, a_closed_record_reconnects)
{
    lido_pool *pool = play_open_kind("queue");
    struct lido_conn conn = play_take(pool);
    lido_record *record = lido_conn_record(&conn);

    play_forget();
    cr_assert_eq(lido_record_close(record, NULL), LIDO_OK);
    cr_assert_eq(lido_record_close(record, NULL), LIDO_OK);
    play_expect("close 1, terminate 1");
    cr_assert_eq(lido_record_connect(record, NULL), LIDO_OK);
    play_expect("open 2, connect 2");
    play_give(&conn);
    play_end(pool);
}

/* 1.4 record.get_connection
   SQLAlchemy: connects if there is none; replaces what is too old, or was invalidated by the
   pool or softly: close event, but no invalidate event.  All comparisons are strict.
   lido: same: lido_record_connect() */
Test(parity_records, a_record_replaces_what_was_invalidated)
{
    lido_pool *pool = play_open_queue(1, 0);
    struct lido_conn conn = play_take(pool);
    lido_record *record = lido_conn_record(&conn);

    play_forget();
    cr_assert_eq(lido_record_connect(record, NULL), LIDO_OK);
    play_expect("");
    cr_assert_eq(lido_pool_invalidate(pool, NULL), LIDO_OK);
    cr_assert_eq(lido_record_connect(record, NULL), LIDO_OK);
    play_expect("close 1, terminate 1, open 2, connect 2");
    play_give(&conn);
    play_end(pool);
}

/* 1.4 record.checkin twice
   SQLAlchemy: a warning that it was attempted, and nothing else.
   lido: better: the second check-in answers LIDO_STALE, also of a copy of the lease */
Test(parity_records, the_second_check_in_is_told_that_it_is_one)
{
    lido_pool *pool = play_open_queue(1, 0);
    struct lido_conn conn = play_take(pool), copy = conn;

    play_give(&conn);
    play_forget();
    cr_expect_eq(lido_conn_checkin(&copy, NULL, NULL), LIDO_STALE);

    play_expect("");
    play_expect_counts(pool, 1, 1, 0, 0);
    play_end(pool);
}
