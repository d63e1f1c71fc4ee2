/* SPDX-License-Identifier: MIT */
/*
 * Section 2.1: the ten pool events, what each is told, and who may listen.
 */
#include "tests/parity/play.h"

static struct lido_event seen; /* what the hook was called with */
static int calls;

static void look(const struct lido_event *event)
{
    seen = *event;
    calls++;
}

static void begin(void)
{
    play_begin();
    seen = (struct lido_event){ .size = 0 };
    calls = 0;
}

TestSuite(parity_events, .init = begin);

/* A queue of one and none, whose connection 1 is lent. */
static lido_pool *open_with_lent(struct lido_conn *conn)
{
    lido_pool *pool = play_open_queue(1, 0);

    *conn = play_take(pool);
    return pool;
}

static void expect_new_connection(const char *word)
{
    struct lido_conn conn;
    lido_pool *pool;

    play_do_inside(word, look);
    pool = open_with_lent(&conn);

    cr_expect_eq(calls, 1);
    cr_expect_eq(seen.size, sizeof seen);
    cr_expect_eq(seen.pool, pool);
    cr_expect_eq(seen.handle, lido_conn_handle(&conn));
    cr_expect_eq(seen.record, lido_conn_record(&conn));
    cr_expect_null(seen.sqlite, "the handle is none of SQLite's");
    play_give(&conn);
    play_end(pool);
}

/* 2.1 first_connect
   SQLAlchemy: (connection, record), once per pool before `connect`, under a mutex; main repeats
   it until it succeeds.
   lido: same: without a lock; others wait for it */
Test(parity_events, first_connect_gets_connection_and_record)
{
    expect_new_connection("first_connect");
}

/* 2.1 connect
   SQLAlchemy: (connection, record), every new driver connection, reconnects too.
   lido: same */
Test(parity_events, connect_gets_connection_and_record)
{
    expect_new_connection("connect");
}

/* 2.1 checkout
   SQLAlchemy: (connection, record, fairy), every checkout that is not nested; may raise
   DisconnectionError or InvalidatePoolError.
   lido: same: the lease is `conn`; the answers are LIDO_DISCONNECT and LIDO_INVALIDATE_POOL */
Test(parity_events, checkout_gets_connection_record_and_lease)
{
    struct lido_conn lent;
    lido_pool *pool;

    play_do_inside("checkout", look);
    pool = open_with_lent(&lent);

    cr_expect_eq(seen.handle, lido_conn_handle(&lent));
    cr_expect_eq(seen.record, lido_conn_record(&lent));
    cr_expect_not_null(seen.conn);
    play_give(&lent);
    play_end(pool);
}

/* 2.1 checkin
   SQLAlchemy: (connection or NULL, record), every return to the pool; not a detached one.
   lido: same */
Test(parity_events, checkin_gets_null_for_a_lost_connection)
{
    struct lido_conn conn;
    lido_pool *pool = open_with_lent(&conn);
    const lido_record *record = lido_conn_record(&conn);

    play_do_inside("checkin", look);
    play_give(&conn);
    cr_expect_not_null(seen.handle);
    cr_expect_eq(seen.record, record);

    conn = play_take(pool);
    play_do_inside("checkin", look);
    cr_assert_eq(lido_conn_invalidate(&conn, NULL, NULL), LIDO_OK);
    cr_expect_eq(calls, 2);
    cr_expect_null(seen.handle);
    cr_expect_eq(seen.record, record);
    play_end(pool);
}

/* 2.1 reset
   SQLAlchemy: (connection, record or NULL, state) in 2.x, (fairy, record) before; before the
   rollback, also of a detached one, not of an invalidated one.  The state says
   transaction_was_reset, terminate_only and asyncio_safe.
   lido: same: as in 2.x, but for asyncio_safe, which C has no use for */
Test(parity_events, reset_is_told_whether_the_connection_will_be_closed)
{
    struct lido_conn conn;
    lido_pool *pool = open_with_lent(&conn);

    play_do_inside("reset", look);
    play_give(&conn);
    cr_expect_not_null(seen.record);
    cr_expect_eq(seen.terminate_only, 0);
    cr_expect_eq(seen.transaction_was_reset, 0);

    conn = play_take(pool);
    cr_assert_eq(lido_conn_detach(&conn, NULL), LIDO_OK);
    play_do_inside("reset", look);
    play_give(&conn);
    cr_expect_eq(calls, 2);
    cr_expect_not_null(seen.handle);
    cr_expect_null(seen.record);
    cr_expect_eq(seen.terminate_only, 1);
    play_end(pool);
}

/* 2.1 invalidate
   SQLAlchemy: (connection, record, exception or NULL), before the close of a hard one.
   lido: same: `reason` is the error that was told */
Test(parity_events, invalidate_gets_the_reason)
{
    struct lido_error reason = { SQLITE_IOERR, 0, "the disk is gone" };
    struct lido_conn conn;
    lido_pool *pool = open_with_lent(&conn);

    play_do_inside("invalidate", look);
    cr_assert_eq(lido_conn_invalidate(&conn, &reason, NULL), LIDO_OK);
    cr_expect_eq(seen.reason, &reason);
    cr_expect_not_null(seen.handle);

    conn = play_take(pool);
    play_do_inside("invalidate", look);
    cr_assert_eq(lido_conn_invalidate(&conn, NULL, NULL), LIDO_OK);
    cr_expect_eq(calls, 2);
    cr_expect_null(seen.reason);
    play_end(pool);
}

/* 2.1 soft_invalidate
   SQLAlchemy: the same, of a soft one.
   lido: same */
Test(parity_events, soft_invalidate_gets_the_reason)
{
    struct lido_error reason = { SQLITE_IOERR, 0, "the disk is slow" };
    struct lido_conn conn;
    lido_pool *pool = open_with_lent(&conn);

    play_do_inside("soft_invalidate", look);
    cr_assert_eq(lido_conn_invalidate_soft(&conn, &reason, NULL), LIDO_OK);

    cr_expect_eq(seen.reason, &reason);
    cr_expect_eq(seen.handle, lido_conn_handle(&conn));
    cr_expect_eq(seen.record, lido_conn_record(&conn));
    play_give(&conn);
    play_end(pool);
}

/* 2.1 close
   SQLAlchemy: (connection, record), before a pooled connection is closed.
   lido: same */
Test(parity_events, close_gets_a_connection_that_is_still_open)
{
    struct lido_conn conn;
    lido_pool *pool = open_with_lent(&conn);
    const lido_record *record = lido_conn_record(&conn);

    play_give(&conn);
    play_do_inside("close", look);
    cr_assert_eq(lido_pool_dispose(pool, NULL), LIDO_OK);

    cr_expect_not_null(seen.handle);
    cr_expect_eq(seen.record, record);
    play_end(pool);
}

/* 2.1 detach
   SQLAlchemy: (connection, record), after the detach.
   lido: better: the event has the lease, whose record is another's by then and so is NULL */
Test(parity_events, detach_gets_the_lease)
{
    struct lido_conn conn;
    lido_pool *pool = open_with_lent(&conn);

    play_do_inside("detach", look);
    cr_assert_eq(lido_conn_detach(&conn, NULL), LIDO_OK);

    cr_expect_eq(seen.handle, lido_conn_handle(&conn));
    cr_expect_not_null(seen.conn);
    cr_expect_null(seen.record);
    play_give(&conn);
    play_end(pool);
}

/* 2.1 close_detached
   SQLAlchemy: (connection), before a detached one is closed.
   lido: same */
Test(parity_events, close_detached_gets_the_connection)
{
    struct lido_conn conn;
    lido_pool *pool = open_with_lent(&conn);

    cr_assert_eq(lido_conn_detach(&conn, NULL), LIDO_OK);
    play_do_inside("close_detached", look);
    play_give(&conn);

    cr_expect_eq(calls, 1);
    cr_expect_not_null(seen.handle);
    cr_expect_null(seen.record);
    play_end(pool);
}

static int count(void *ctx, const struct lido_event *event, struct lido_error *err)
{
    (void)event, (void)err;
    ++*(int *)ctx;
    return LIDO_OK;
}

/* 2.1 targets
   SQLAlchemy: a pool, a Pool class or subclass, an Engine, the Engine class for all pools.
   lido: same: a pool, a kind, and all pools; an engine is a pool here */
Test(parity_events, a_pool_a_kind_and_all_pools_are_targets)
{
    static const struct lido_events counting = { .size = sizeof counting,
                                                 .checkout = count };
    struct lido_conn conn;
    lido_pool *pool = open_with_lent(&conn);
    lido_hooks *targets[] = { lido_hooks_global(), lido_hooks_kind("queue"),
                              lido_pool_hooks(pool) };
    lido_hook hooks[3];
    int called[3] = { 0 };

    play_give(&conn);
    for (int i = 0; i < 3; i++)
        cr_assert_eq(
            lido_hooks_add(targets[i], &hooks[i], &counting, &called[i], NULL, NULL),
            LIDO_OK);
    conn = play_take(pool);
    play_give(&conn);

    for (int i = 0; i < 3; i++) {
        cr_expect_eq(called[i], 1);
        cr_assert_eq(lido_hooks_remove(targets[i], hooks[i], NULL), LIDO_OK);
    }
    cr_expect_null(lido_hooks_kind("no such kind"));
    play_end(pool);
}
