/* SPDX-License-Identifier: MIT */
/*
 * Invalidating a connection, softly or not, and a pool; what hooks are told, and what happens
 * if they refuse.
 */
#include "tests/support/handy.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

/* What the hooks saw, and the one that refuses. */
static char seen[1024]; /* several reasons, each as long as one may be */
static const char *refusing;

static int see(const char *name, const struct lido_event *event, struct lido_error *err)
{
    size_t used = strlen(seen);

    snprintf(seen + used, sizeof seen - used, "%s%s%s%s", used > 0 ? " " : "", name,
             event->reason != NULL ? ":" : "",
             event->reason != NULL ? event->reason->text : "");
    if (refusing == NULL || strcmp(refusing, name) != 0)
        return LIDO_OK;
    return lido_fail(err, SQLITE_AUTH, "%s refused", name);
}

static int on_invalidate(void *ctx, const struct lido_event *event, struct lido_error *err)
{
    (void)ctx;
    return see("invalidate", event, err);
}

static int on_soft(void *ctx, const struct lido_event *event, struct lido_error *err)
{
    (void)ctx;
    return see("soft_invalidate", event, err);
}

static int on_close(void *ctx, const struct lido_event *event, struct lido_error *err)
{
    (void)ctx;
    return see("close", event, err);
}

static int on_checkin(void *ctx, const struct lido_event *event, struct lido_error *err)
{
    (void)ctx;
    return see(event->handle != NULL ? "checkin" : "checkin(NULL)", event, err);
}

static const struct lido_events events = {
    .size = sizeof events,
    .invalidate = on_invalidate,
    .soft_invalidate = on_soft,
    .close = on_close,
    .checkin = on_checkin,
};

static lido_pool *open_queue(int pool_size)
{
    struct lido_pool_options options = handy_options("queue");
    lido_pool *pool;

    options.pool_size = pool_size;
    options.order = "fifo";
    pool = handy_open(&options);
    cr_assert_eq(lido_hooks_add(lido_pool_hooks(pool), NULL, &events, NULL, NULL, NULL),
                 LIDO_OK);
    memset(seen, 0, sizeof seen);
    refusing = NULL;
    return pool;
}

Test(pool_invalidate, the_reason_reaches_the_hooks)
{
    struct lido_error reason = LIDO_ERROR_INIT;
    lido_pool *pool = open_queue(1);
    struct lido_conn conn = handy_take(pool), copy = conn;

    lido_fail(&reason, SQLITE_IOERR, "the disk");
    cr_expect_eq(lido_conn_invalidate_soft(&conn, &reason, NULL), LIDO_OK);
    cr_expect_eq(lido_conn_invalidate(&conn, &reason, NULL), LIDO_OK);
    cr_expect_str_eq(seen, "soft_invalidate:the disk invalidate:the disk close "
                           "checkin(NULL)");
    cr_expect_null(conn.cell);
    cr_expect_eq(lido_conn_invalidate(&copy, NULL, NULL), LIDO_STALE);
    cr_expect_eq(handy_stats(pool).closed_invalid, 1);
    cr_expect_eq(handy_stats(pool).idle, 1);
    handy_end(pool);
}

Test(pool_invalidate, a_hook_that_refuses_leaves_everything_as_it_was)
{
    static const char *const hooks[] = { "invalidate", "close" };

    for (int i = 0; i < 2; i++) {
        lido_pool *pool = open_queue(1);
        struct lido_conn conn = handy_take(pool);

        refusing = hooks[i];
        cr_expect_eq(lido_conn_invalidate(&conn, NULL, &handy_err), SQLITE_AUTH);
        cr_expect_eq(handy_number(&conn), 1);
        cr_expect_eq(lido_record_invalidate(lido_conn_record(&conn), NULL, NULL),
                     SQLITE_AUTH);
        cr_expect_eq(handy_number(&conn), 1);
        if (i == 1)
            cr_expect_eq(lido_record_close(lido_conn_record(&conn), NULL), SQLITE_AUTH);
        refusing = NULL;
        handy_give(&conn);
        cr_expect_eq(handy_stats(pool).idle, 1);
        cr_expect_eq(fake_driver_open_count(), 1);
        handy_end(pool);
    }
}

Test(pool_invalidate, a_soft_invalidation_that_is_refused_marks_nothing)
{
    lido_pool *pool = open_queue(1);
    struct lido_conn conn = handy_take(pool);

    refusing = "soft_invalidate";
    cr_expect_eq(lido_conn_invalidate_soft(&conn, NULL, NULL), SQLITE_AUTH);
    refusing = NULL;
    handy_give(&conn);
    conn = handy_take(pool);
    cr_expect_eq(handy_number(&conn), 1);
    cr_expect_eq(lido_conn_invalidate_soft(&conn, NULL, NULL), LIDO_OK);
    cr_expect_eq(handy_number(&conn), 1); /* until the next checkout */
    handy_give(&conn);
    conn = handy_take(pool);
    cr_expect_eq(handy_number(&conn), 2);
    handy_give(&conn);
    handy_end(pool);
}

Test(pool_invalidate, many_errors_of_one_generation_replace_the_others_once)
{
    lido_pool *pool = open_queue(3);
    struct lido_conn conns[3];

    for (int i = 0; i < 3; i++)
        conns[i] = handy_take(pool);
    handy_give(&conns[2]);
    cr_expect_eq(lido_conn_invalidate_pool(&conns[0], NULL, NULL), LIDO_OK);
    conns[2] = handy_take(pool); /* replaced: it was opened before */
    cr_expect_eq(handy_number(&conns[2]), 4);
    cr_expect_eq(lido_conn_invalidate_pool(&conns[1], NULL, NULL), LIDO_OK);
    handy_give(&conns[2]);
    conns[0] = handy_take(pool);
    conns[1] = handy_take(pool);
    conns[2] = handy_take(pool);
    /* The second error was one of the old generation: connection 4 is good. */
    cr_expect_eq(handy_stats(pool).connects, 6);
    for (int i = 0; i < 3; i++)
        handy_give(&conns[i]);
    handy_end(pool);
}

Test(pool_invalidate, an_invalidated_pool_replaces_what_it_has_and_says_when)
{
    lido_pool *pool = open_queue(1);
    struct lido_conn conn = handy_take(pool);

    handy_give(&conn);
    cr_expect_eq(lido_pool_invalidated_ns(pool), 0);
    fake_clock_advance_ms(7);
    cr_expect_eq(lido_pool_invalidate(pool, NULL), LIDO_OK);
    cr_expect_eq(lido_pool_invalidated_ns(pool), fake_clock_now_ns());
    conn = handy_take(pool);
    cr_expect_eq(handy_number(&conn), 2);
    handy_give(&conn);
    conn = handy_take(pool);
    cr_expect_eq(handy_number(&conn), 2);
    handy_give(&conn);
    cr_expect_eq(lido_pool_invalidate(NULL, NULL), SQLITE_MISUSE);
    cr_expect_eq(lido_pool_invalidated_ns(NULL), 0);
    handy_end(pool);
}

Test(pool_invalidate, a_detached_connection_that_is_invalidated_is_closed)
{
    lido_pool *pool = open_queue(1);
    struct lido_conn conn = handy_take(pool);

    lido_conn_detach(&conn, NULL);
    cr_expect_eq(lido_conn_invalidate_soft(&conn, NULL, NULL), LIDO_OK);
    cr_expect_eq(lido_conn_invalidate_pool(&conn, NULL, NULL), LIDO_OK);
    cr_expect_null(conn.cell);
    cr_expect_eq(fake_driver_open_count(), 0);
    cr_expect_eq(handy_stats(pool).detached, 0);
    handy_end(pool);
}

Test(pool_invalidate, nested_leases_end_together)
{
    struct lido_pool_options options = handy_options("singleton_thread");
    lido_pool *pool = handy_open(&options);
    struct lido_conn one = handy_take(pool), two = handy_take(pool);

    cr_expect_eq(lido_conn_invalidate(&one, NULL, NULL), LIDO_OK);
    cr_expect_eq(lido_conn_checkin(&two, NULL, NULL), LIDO_STALE);
    cr_expect_eq(handy_stats(pool).out, 0);
    cr_expect_eq(handy_stats(pool).checkins, 2);
    handy_end(pool);
}

static int invalidate_inside(void *ctx, const struct lido_event *event,
                             struct lido_error *err)
{
    struct lido_conn conn = *event->conn;

    (void)ctx;
    return lido_conn_invalidate(&conn, NULL, err);
}

Test(pool_invalidate, a_checkout_hook_may_invalidate_its_own_lease)
{
    static const struct lido_events inside = { .size = sizeof inside,
                                               .checkout = invalidate_inside };
    lido_pool *pool = open_queue(1);
    struct lido_conn conn;

    cr_assert_eq(lido_hooks_add(lido_pool_hooks(pool), NULL, &inside, NULL, NULL, NULL),
                 LIDO_OK);
    cr_expect_eq(lido_pool_checkout(pool, &conn, NULL, &handy_err), LIDO_STALE);
    cr_expect_eq(handy_stats(pool).out, 0);
    cr_expect_eq(fake_driver_open_count(), 0);
    handy_end(pool);
}
