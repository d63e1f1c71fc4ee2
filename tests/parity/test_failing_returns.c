/* SPDX-License-Identifier: MIT */
/*
 * Section 1.6, at the end of a lease: what becomes of it when a hook or the driver fails.
 */
#include "tests/parity/play.h"

TestSuite(parity_failing_return, .init = play_begin);

/* A queue of one and none, whose connection 1 is lent. */
static lido_pool *open_with_lent(struct lido_conn *conn)
{
    lido_pool *pool = play_open_queue(1, 0);

    *conn = play_take(pool);
    play_forget();
    return pool;
}

/* What failed has cost no place. */
static void expect_free_and_end(lido_pool *pool)
{
    struct lido_conn conn;

    play_relent();
    conn = play_take(pool);
    play_give(&conn);
    play_expect_counts(pool, 1, 1, 0, 0);
    play_end(pool);
}

/* 1.6 reset
   SQLAlchemy: an error is logged, the record invalidated, checkin (NULL), and the caller's
   close() succeeds.
   lido: same */
Test(parity_failing_return, a_failing_reset_hook_costs_the_connection_only)
{
    struct lido_conn conn;
    lido_pool *pool = open_with_lent(&conn);

    play_fail("reset", 1, SQLITE_ERROR);
    play_give(&conn);

    play_expect("reset 1!, invalidate 1, close 1, terminate 1, checkin NULL");
    expect_free_and_end(pool);
}

/* 1.6 rollback or commit of the reset
   SQLAlchemy: the same.
   lido: same */
Test(parity_failing_return, a_failing_rollback_costs_the_connection_only)
{
    struct lido_conn conn;
    lido_pool *pool = open_with_lent(&conn);

    play_fail("rollback", 1, SQLITE_IOERR);
    play_give(&conn);

    play_expect("reset 1, rollback 1!, invalidate 1, close 1, terminate 1, checkin NULL");
    expect_free_and_end(pool);
}

/* 1.6 reset, fatal
   SQLAlchemy: invalidated and raised again, and the slot is leaked.
   lido: better: LIDO_FATAL reaches the caller, and the place is free */
Test(parity_failing_return, a_fatal_reset_reaches_the_caller_and_leaks_nothing)
{
    struct lido_conn conn;
    lido_pool *pool = open_with_lent(&conn);

    play_fail("reset", 1, SQLITE_ERROR | LIDO_FATAL);
    cr_expect_eq(lido_conn_checkin(&conn, NULL, NULL), SQLITE_ERROR | LIDO_FATAL);

    play_expect("reset 1!, invalidate 1, close 1, terminate 1, checkin NULL");
    expect_free_and_end(pool);
}

/* 1.6 checkin
   SQLAlchemy: the error reaches the caller of close(), and the slot is leaked for ever.
   lido: better: the caller gets the code, and the connection is back in the pool */
Test(parity_failing_return, a_failing_checkin_hook_leaks_nothing)
{
    struct lido_conn conn;
    lido_pool *pool = open_with_lent(&conn);

    play_fail("checkin", 1, SQLITE_ERROR);
    cr_expect_eq(lido_conn_checkin(&conn, NULL, &play_err), SQLITE_ERROR);

    cr_expect_str_eq(play_err.text, "checkin as planned");
    play_expect("reset 1, rollback 1, checkin 1!");
    play_expect_counts(pool, 1, 1, 0, 0);
    expect_free_and_end(pool);
}

static int fail_to_finalize(void *ctx, void *handle, struct lido_error *err)
{
    (void)ctx, (void)handle, (void)err;
    return SQLITE_ERROR;
}

/* 1.6 finalizer
   SQLAlchemy: the same, with the same leak.
   lido: better: the caller gets the code, the connection is closed, and the place is free */
Test(parity_failing_return, a_failing_finalizer_leaks_nothing)
{
    struct lido_conn conn;
    lido_pool *pool = open_with_lent(&conn);

    cr_assert_eq(lido_conn_add_finalizer(&conn, fail_to_finalize, NULL, NULL, NULL),
                 LIDO_OK);
    cr_expect_eq(lido_conn_checkin(&conn, NULL, NULL), SQLITE_ERROR);

    play_expect("reset 1, rollback 1, invalidate 1, close 1, terminate 1, checkin NULL");
    expect_free_and_end(pool);
}

/* 1.6 invalidate
   SQLAlchemy: the error reaches the caller and nothing has changed; it can be closed normally.
   lido: same */
Test(parity_failing_return, a_failing_invalidate_hook_keeps_the_lease_good)
{
    struct lido_conn conn;
    lido_pool *pool = open_with_lent(&conn);

    play_fail("invalidate", 1, SQLITE_ERROR);
    cr_expect_eq(lido_conn_invalidate(&conn, NULL, NULL), SQLITE_ERROR);
    play_expect("invalidate 1!");

    play_give(&conn);
    play_expect("reset 1, rollback 1, checkin 1");
    expect_free_and_end(pool);
}

/* 1.6 soft_invalidate
   SQLAlchemy: the same.
   lido: same */
Test(parity_failing_return, a_failing_soft_invalidate_hook_marks_nothing)
{
    struct lido_conn conn;
    lido_pool *pool = open_with_lent(&conn);

    play_fail("soft_invalidate", 1, SQLITE_ERROR);
    cr_expect_eq(lido_conn_invalidate_soft(&conn, NULL, NULL), SQLITE_ERROR);

    play_give(&conn);
    conn = play_take(pool);
    cr_expect_eq(play_number(&conn), 1);
    play_give(&conn);
    expect_free_and_end(pool);
}

/* 1.6 close
   SQLAlchemy: the same.
   lido: same: where the lease goes on; at a check-in the connection is closed all the same */
Test(parity_failing_return, a_failing_close_hook_keeps_the_connection)
{
    struct lido_conn conn;
    lido_pool *pool = open_with_lent(&conn);

    play_fail("close", 1, SQLITE_ERROR);
    cr_expect_eq(lido_conn_invalidate(&conn, NULL, NULL), SQLITE_ERROR);

    play_expect("invalidate 1, close 1!");
    cr_expect_eq(play_number(&conn), 1);
    play_give(&conn);
    expect_free_and_end(pool);
}

/* 1.6 close in dispose()
   SQLAlchemy: the error ends the loop; the others stay, and the connection is lost.
   lido: better: all are closed, and the caller gets the first code */
Test(parity_failing_return, a_failing_close_hook_does_not_end_dispose)
{
    lido_pool *pool = play_open_queue(2, 0);
    struct lido_conn first = play_take(pool), second = play_take(pool);

    play_give(&first);
    play_give(&second);
    play_forget();
    play_fail("close", 1, SQLITE_ERROR);
    cr_expect_eq(lido_pool_dispose(pool, NULL), SQLITE_ERROR);

    play_expect("close 1!, shut 1, close 2, shut 2");
    play_end(pool);
}

/* 1.6 detach
   SQLAlchemy: the error reaches the caller, but it is detached.
   lido: same */
Test(parity_failing_return, a_failing_detach_hook_does_not_undo_the_detach)
{
    struct lido_conn conn;
    lido_pool *pool = open_with_lent(&conn);

    play_fail("detach", 1, SQLITE_ERROR);
    cr_expect_eq(lido_conn_detach(&conn, NULL), SQLITE_ERROR);

    cr_expect_eq(lido_conn_is_detached(&conn), 1);
    play_give(&conn);
    expect_free_and_end(pool);
}

static void expect_close_detached(int code, int answer)
{
    struct lido_conn conn;
    lido_pool *pool = open_with_lent(&conn);

    cr_assert_eq(lido_conn_detach(&conn, NULL), LIDO_OK);
    play_forget();
    play_fail("close_detached", 1, code);
    cr_expect_eq(lido_conn_checkin(&conn, NULL, NULL), answer);

    play_expect("reset 1-, rollback 1, close_detached 1!, shut 1");
    cr_expect_eq(play_open_count(), 0);
    expect_free_and_end(pool);
}

/* 1.6 close_detached
   SQLAlchemy: an error is logged and swallowed, and the connection is never closed.
   lido: better: it is closed */
Test(parity_failing_return, a_failing_close_detached_hook_is_logged_only)
{
    expect_close_detached(SQLITE_ERROR, LIDO_OK);
}

/* 1.6 close_detached, fatal
   SQLAlchemy: raised again, and the connection is never closed.
   lido: better: LIDO_FATAL reaches the caller, and it is closed */
Test(parity_failing_return, a_fatal_close_detached_hook_reaches_the_caller)
{
    expect_close_detached(SQLITE_ERROR | LIDO_FATAL, SQLITE_ERROR | LIDO_FATAL);
}

static void expect_driver_close(int code, int answer)
{
    struct lido_conn conn;
    lido_pool *pool = open_with_lent(&conn);

    play_fail("terminate", 1, code);
    cr_expect_eq(lido_conn_invalidate(&conn, NULL, NULL), answer);

    play_expect("invalidate 1, close 1, terminate 1!, checkin NULL");
    cr_expect_eq(play_stats(pool).close_failures, 1);
    expect_free_and_end(pool);
}

/* 1.6 driver close
   SQLAlchemy: an error is logged and swallowed.
   lido: same: and counted */
Test(parity_failing_return, a_failing_driver_close_is_logged_and_counted)
{
    expect_driver_close(SQLITE_IOERR, LIDO_OK);
}

/* 1.6 driver close, fatal
   SQLAlchemy: raised again; the connection and its lease stay.
   lido: better: LIDO_FATAL reaches the caller, and all is as if it had closed */
Test(parity_failing_return, a_fatal_driver_close_reaches_the_caller)
{
    expect_driver_close(SQLITE_IOERR | LIDO_FATAL, SQLITE_IOERR | LIDO_FATAL);
}
