/* SPDX-License-Identifier: MIT */
/*
 * Section 1.4, finalizers: what undoes a lease's changes when its connection comes back.
 */
#include "tests/parity/play.h"

#include <stdio.h>
#include <string.h>

static char seen[100]; /* "A1 B1 ": a finalizer's name and the connection it got */
static int answer;

static void begin(void)
{
    play_begin();
    seen[0] = '\0';
    answer = LIDO_OK;
}

TestSuite(parity_finalizers, .init = begin);

/* The first member of a handle of the play's is its number. */
static int finalize(void *ctx, void *handle, struct lido_error *err)
{
    size_t used = strlen(seen);

    snprintf(seen + used, sizeof seen - used, "%s%d ", (const char *)ctx, *(int *)handle);
    return answer == LIDO_OK ? answer : lido_fail(err, answer, "finalizer as planned");
}

static void add(const struct lido_conn *conn, const char *name)
{
    cr_assert_eq(
        lido_conn_add_finalizer(conn, finalize, (void *)(uintptr_t)name, NULL, &play_err),
        LIDO_OK);
}

static void expect_seen(const char *expected)
{
    cr_expect_str_eq(seen, expected, "\"%s\"", seen);
    seen[0] = '\0';
}

static void expect_nothing_seen(const struct lido_event *event)
{
    (void)event;
    expect_seen("");
}

static void expect_all_seen(const struct lido_event *event)
{
    (void)event;
    expect_seen("A1 ");
}

/* 1.4 record.checkin
   SQLAlchemy: finalizers, then the checkin event, then the record returns to the pool.
   lido: same */
Test(parity_finalizers, they_run_after_the_reset_and_before_the_checkin_hooks)
{
    lido_pool *pool = play_open_queue(1, 0);
    struct lido_conn conn = play_take(pool);

    add(&conn, "A");
    play_do_inside("reset", expect_nothing_seen);
    play_give(&conn);
    expect_seen("A1 ");

    conn = play_take(pool);
    add(&conn, "A");
    play_do_inside("checkin", expect_all_seen);
    play_give(&conn);
    expect_seen("");
    play_end(pool);
}

/* 1.4 finalize_callback
   SQLAlchemy: one-shot callbacks with the driver connection, the last added first.
   lido: same */
Test(parity_finalizers, the_last_added_runs_first_and_each_once)
{
    lido_pool *pool = play_open_queue(1, 0);
    struct lido_conn conn = play_take(pool);

    add(&conn, "A");
    add(&conn, "B");
    play_give(&conn);
    expect_seen("B1 A1 ");

    conn = play_take(pool);
    play_give(&conn);
    expect_seen("");
    play_end(pool);
}

/* 1.4 finalizers of an invalidated connection
   SQLAlchemy: forgotten when the connection is closed; 0.9.8 calls them with None.
   lido: same: as in main; their `destroy` is called */
Test(parity_finalizers, those_of_an_invalidated_connection_do_not_run)
{
    lido_pool *pool = play_open_queue(1, 0);
    struct lido_conn conn = play_take(pool);

    add(&conn, "A");
    cr_assert_eq(lido_conn_invalidate(&conn, NULL, NULL), LIDO_OK);
    conn = play_take(pool);
    play_give(&conn);

    expect_seen("");
    play_end(pool);
}

/* 1.4 finalizers of a detached connection
   SQLAlchemy: they stay with the slot and run on the connection that comes after (a trap).
   lido: better: they run on the detached connection itself, at its check-in */
Test(parity_finalizers, those_of_a_detached_connection_run_on_it)
{
    lido_pool *pool = play_open_queue(1, 0);
    struct lido_conn detached = play_take(pool), next;

    add(&detached, "A");
    cr_assert_eq(lido_conn_detach(&detached, NULL), LIDO_OK);
    next = play_take(pool);
    play_give(&next);
    expect_seen("");

    play_give(&detached);
    expect_seen("A1 ");
    play_end(pool);
}

/* 1.4 a failing finalizer
   SQLAlchemy: the slot is leaked.
   lido: better: the others run, the connection is closed, the place is free, and the check-in
   returns the code */
Test(parity_finalizers, one_that_fails_costs_the_connection_and_not_the_place)
{
    lido_pool *pool = play_open_queue(1, 0);
    struct lido_conn conn = play_take(pool);

    add(&conn, "A");
    add(&conn, "B");
    answer = SQLITE_ERROR;
    cr_expect_eq(lido_conn_checkin(&conn, NULL, &play_err), SQLITE_ERROR);
    cr_expect_str_eq(play_err.text, "finalizer as planned");
    expect_seen("B1 A1 ");
    cr_expect_eq(play_open_count(), 0);

    conn = play_take(pool);
    cr_expect_eq(play_number(&conn), 2);
    play_give(&conn);
    play_end(pool);
}
