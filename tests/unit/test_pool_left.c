/* SPDX-License-Identifier: MIT */
/*
 * Hooks that end the lease they are asked about, or others of the same connection: what is
 * then somebody else's is left alone, and what they count adds up.
 */
#include "tests/support/handy.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

/* What each hook does, once. */
static void (*in_checkout)(const struct lido_event *event);
static void (*in_invalidate)(const struct lido_event *event);
static void (*in_close)(const struct lido_event *event);
static int answer; /* what the checkout hook answers, once */
static char closed[40];

static struct lido_conn mine, others;

static void act(void (**what)(const struct lido_event *event),
                const struct lido_event *event)
{
    void (*now)(const struct lido_event *) = *what;

    *what = NULL;
    if (now != NULL)
        now(event);
}

static int on_checkout(void *ctx, const struct lido_event *event, struct lido_error *err)
{
    int now = answer;

    (void)ctx;
    answer = LIDO_OK;
    act(&in_checkout, event);
    return now == LIDO_OK ? LIDO_OK : lido_fail(err, now, "as planned");
}

static int on_invalidate(void *ctx, const struct lido_event *event, struct lido_error *err)
{
    (void)ctx, (void)err;
    act(&in_invalidate, event);
    return LIDO_OK;
}

static int on_close(void *ctx, const struct lido_event *event, struct lido_error *err)
{
    size_t used = strlen(closed);

    (void)ctx, (void)err;
    snprintf(closed + used, sizeof closed - used, "%s%d", used > 0 ? " " : "",
             fake_driver_number(event->handle));
    act(&in_close, event);
    return LIDO_OK;
}

static lido_pool *open_pool(const char *kind)
{
    static const struct lido_events events = { .size = sizeof events,
                                               .checkout = on_checkout,
                                               .invalidate = on_invalidate,
                                               .close = on_close };
    struct lido_pool_options options = handy_options(kind);
    lido_pool *pool = handy_open(&options);

    cr_assert_eq(lido_hooks_add(lido_pool_hooks(pool), NULL, &events, NULL, NULL, NULL),
                 LIDO_OK);
    return pool;
}

/* By copies: the caller's own lease goes stale. */
static void check_mine_in(const struct lido_event *event)
{
    struct lido_conn copy = mine;

    (void)event;
    handy_give(&copy);
}

static void check_mine_in_and_take(const struct lido_event *event)
{
    check_mine_in(event);
    others = handy_take(event->pool);
}

static void check_both_in_and_dispose(const struct lido_event *event)
{
    struct lido_conn copy = others;

    check_mine_in(event);
    handy_give(&copy);
    cr_expect_eq(lido_pool_dispose(event->pool, NULL), LIDO_OK);
}

static void check_event_in(const struct lido_event *event)
{
    struct lido_conn copy = *event->conn;

    handy_give(&copy);
}

static void take_another(const struct lido_event *event)
{
    others = handy_take(event->pool);
}

Test(pool_left, an_invalidate_hook_that_checks_in_saves_the_connection)
{
    lido_pool *pool = open_pool("queue");
    struct lido_conn conn;

    conn = mine = handy_take(pool);
    in_invalidate = check_mine_in_and_take;
    cr_expect_eq(lido_conn_invalidate(&conn, NULL, &handy_err), LIDO_STALE);

    cr_expect_str_eq(closed, "");
    cr_expect_eq(handy_number(&others), 1);
    cr_expect_eq(handy_stats(pool).closes, 0);
    handy_give(&others);
    handy_end(pool);
}

Test(pool_left, a_close_hook_that_checks_in_saves_the_connection)
{
    lido_pool *pool = open_pool("queue");

    mine = handy_take(pool);
    in_close = check_mine_in_and_take;
    cr_expect_eq(lido_record_close(lido_conn_record(&mine), &handy_err), LIDO_STALE);
    cr_expect_eq(handy_number(&others), 1);

    mine = others;
    in_close = check_mine_in_and_take;
    cr_expect_eq(lido_record_invalidate(lido_conn_record(&mine), NULL, &handy_err),
                 LIDO_STALE);
    cr_expect_eq(handy_number(&others), 1);
    cr_expect_eq(handy_stats(pool).closes, 0);
    handy_give(&others);
    handy_end(pool);
}

static void keep(const struct lido_event *event)
{
    mine = *event->conn;
}

Test(pool_left, a_refused_checkout_whose_lease_a_hook_ends_closes_nothing)
{
    lido_pool *pool = open_pool("queue");
    struct lido_conn conn;

    in_checkout = keep;
    answer = LIDO_DISCONNECT;
    in_invalidate = check_mine_in_and_take;
    cr_expect_eq(lido_pool_checkout(pool, &conn, NULL, &handy_err), LIDO_STALE);
    cr_expect_eq(handy_number(&others), 1);
    handy_give(&others);
    cr_expect_eq(handy_stats(pool).checkouts, handy_stats(pool).checkins);
    handy_end(pool);
}

Test(pool_left, a_shared_record_whose_leases_all_end_in_a_hook_is_the_pool_s_again)
{
    lido_pool *pool = open_pool("static");
    struct lido_conn conn;

    conn = mine = handy_take(pool);
    others = handy_take(pool);
    in_invalidate = check_both_in_and_dispose;
    cr_expect_eq(lido_conn_invalidate(&conn, NULL, &handy_err), LIDO_STALE);

    cr_expect_eq(handy_stats(pool).live, 0); /* dispose() has closed it */
    cr_expect_eq(handy_stats(pool).disowned, 0);
    cr_expect_eq(handy_stats(pool).closes, 1);
    handy_end(pool);
}

Test(pool_left, who_joins_in_a_hook_keeps_the_connection_that_is_invalidated)
{
    lido_pool *pool = open_pool("static");
    struct lido_conn conn = handy_take(pool);

    in_invalidate = take_another;
    cr_expect_eq(lido_conn_invalidate(&conn, NULL, &handy_err), LIDO_OK, "%s",
                 handy_err.text);
    cr_expect_null(conn.cell);
    cr_expect_eq(handy_number(&others), 1);
    cr_expect_eq(fake_driver_open_count(), 1);

    conn = handy_take(pool);
    cr_expect_eq(handy_number(&conn), 2);
    handy_give(&conn);
    handy_give(&others);
    cr_expect_eq(fake_driver_open_count(), 1);
    handy_end(pool);
}

Test(pool_left, a_lease_that_its_checkout_hook_ends_is_counted_on_both_sides)
{
    static const char *const kinds[] = { "queue", "static", "singleton_thread" };

    for (int i = 0; i < 3; i++) {
        lido_pool *pool = open_pool(kinds[i]);
        struct lido_conn conn;

        in_checkout = check_event_in;
        cr_expect_eq(lido_pool_checkout(pool, &conn, NULL, &handy_err), LIDO_STALE);
        cr_expect_eq(handy_stats(pool).checkouts, 1);
        cr_expect_eq(handy_stats(pool).checkins, 1);

        answer = SQLITE_AUTH;
        cr_expect_eq(lido_pool_checkout(pool, &conn, NULL, &handy_err), SQLITE_AUTH);
        cr_expect_str_eq(handy_err.text, "as planned");
        cr_expect_eq(handy_stats(pool).checkouts, 1);
        cr_expect_eq(handy_stats(pool).checkins, 1);
        handy_end(pool);
    }
}

Test(pool_left, an_error_is_untouched_by_a_checkout_that_got_another_connection)
{
    static const char *const kinds[] = { "queue", "static" };

    for (int i = 0; i < 2; i++) {
        lido_pool *pool = open_pool(kinds[i]);
        struct lido_conn conn, first = LIDO_CONN_INIT;

        if (i == 1) /* to be joined */
            first = handy_take(pool);
        answer = LIDO_DISCONNECT;
        handy_err = (struct lido_error)LIDO_ERROR_INIT;
        cr_expect_eq(lido_pool_checkout(pool, &conn, NULL, &handy_err), LIDO_OK);
        cr_expect_eq(handy_number(&conn), 2);
        cr_expect_eq(handy_err.code, LIDO_OK);
        cr_expect_str_eq(handy_err.text, "");
        handy_give(&conn);
        if (i == 1)
            handy_give(&first);
        handy_end(pool);
    }
}
