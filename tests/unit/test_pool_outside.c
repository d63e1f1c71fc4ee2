/* SPDX-License-Identifier: MIT */
/*
 * Connections that are not, or no more, the pool's: detached, stolen, adopted, and those that
 * were in use when dispose() was called.
 */
#include "tests/support/handy.h"

#include <criterion/criterion.h>
#include <pthread.h>

static void *steal(struct lido_conn *conn)
{
    void *handle;

    cr_assert_eq(lido_conn_steal(conn, &handle, &handy_err), LIDO_OK, "%s", handy_err.text);
    cr_expect_null(conn->cell);
    return handle;
}

static lido_pool *open_queue(int pool_size, int max_overflow)
{
    struct lido_pool_options options = handy_options("queue");

    options.pool_size = pool_size;
    options.max_overflow = max_overflow;
    return handy_open(&options);
}

Test(pool_outside, a_detached_lease_frees_its_place_at_once)
{
    lido_pool *pool = open_queue(1, 0);
    struct lido_conn one = handy_take(pool), copy = one, two;

    cr_assert_eq(lido_conn_detach(&one, &handy_err), LIDO_OK);
    cr_expect(lido_conn_is_detached(&one));
    cr_expect_null(lido_conn_record(&one));
    two = handy_take(pool);
    cr_expect_eq(handy_number(&one), 1);
    cr_expect_eq(handy_number(&copy), 1); /* no copy goes stale */
    cr_expect_eq(handy_number(&two), 2);
    cr_expect_eq(handy_stats(pool).detached, 1);
    cr_expect_eq(handy_stats(pool).out, 1);

    handy_give(&one);
    cr_expect_eq(fake_driver_open_count(), 1);
    cr_expect_eq(handy_stats(pool).closed_detached, 1);
    cr_expect_eq(lido_conn_checkin(&copy, NULL, NULL), LIDO_STALE);
    handy_give(&two);
    handy_end(pool);
}

struct client {
    lido_pool *pool;
    struct lido_conn conn;
    int rc;
};

static void *wait_for_one(void *arg)
{
    struct client *client = arg;
    struct lido_checkout_options options = LIDO_CHECKOUT_OPTIONS_INIT;

    options.timeout_ms = LIDO_TIMEOUT_FOREVER;
    client->rc = lido_pool_checkout(client->pool, &client->conn, &options, NULL);
    if (client->rc == LIDO_OK)
        lido_conn_checkin(&client->conn, NULL, NULL);
    return NULL;
}

Test(pool_outside, detaching_wakes_who_waits)
{
    struct client client = { .pool = open_queue(1, 0) };
    struct lido_conn conn = handy_take(client.pool);
    pthread_t thread;

    cr_assert_eq(pthread_create(&thread, NULL, wait_for_one, &client), 0);
    while (handy_stats(client.pool).waiting == 0)
        continue;
    cr_assert_eq(lido_conn_detach(&conn, NULL), LIDO_OK);
    cr_assert_eq(pthread_join(thread, NULL), 0);
    cr_expect_eq(client.rc, LIDO_OK);
    handy_give(&conn);
    handy_end(client.pool);
}

Test(pool_outside, detaching_twice_is_detaching_once)
{
    lido_pool *pool = open_queue(1, 1);
    struct lido_conn conn = handy_take(pool);

    cr_expect_eq(lido_conn_detach(&conn, NULL), LIDO_OK);
    cr_expect_eq(lido_conn_detach(&conn, NULL), LIDO_OK);
    cr_expect_eq(handy_stats(pool).detached, 1);
    cr_expect_eq(handy_stats(pool).idle, 1); /* its place, without a connection */
    handy_give(&conn);
    handy_end(pool);
}

Test(pool_outside, a_closed_pool_does_not_wait_for_a_detached_lease)
{
    lido_pool *pool = open_queue(1, 0);
    struct lido_conn conn = handy_take(pool);

    lido_conn_detach(&conn, NULL);
    cr_expect_eq(lido_pool_close(pool, 0, NULL), LIDO_OK);
    lido_pool_free(pool);
    cr_expect_eq(handy_number(&conn), 1);
    handy_give(&conn);
    cr_expect_eq(fake_driver_open_count(), 0);
}

Test(pool_outside, a_stolen_handle_is_the_caller_s)
{
    const struct lido_driver *driver;
    lido_pool *pool = open_queue(1, 0);
    struct lido_conn conn = handy_take(pool), copy = conn;
    void *handle = steal(&conn);

    (void)driver;
    cr_expect_eq(fake_driver_number(handle), 1);
    cr_expect_eq(lido_conn_checkin(&copy, NULL, NULL), LIDO_STALE);
    cr_expect_eq(handy_stats(pool).stolen, 1);
    cr_expect_eq(handy_stats(pool).closes, 0);
    cr_expect_eq(lido_pool_close(pool, 0, NULL), LIDO_OK);
    lido_pool_free(pool);
    cr_expect_eq(fake_driver_open_count(), 1);
    fake_driver_close(handle);
}

Test(pool_outside, stealing_works_on_every_kind)
{
    static const char *const kinds[] = { "null", "queue", "singleton_thread", "static",
                                         "assertion" };

    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        struct lido_pool_options options = handy_options(kinds[i]);
        lido_pool *pool = handy_open(&options);
        struct lido_conn conn = handy_take(pool), next;
        void *handle = steal(&conn);

        next = handy_take(pool);
        cr_expect_eq(handy_number(&next), 2, "%s", kinds[i]);
        handy_give(&next);
        fake_driver_close(handle);
        handy_end(pool);
    }
}

Test(pool_outside, what_others_share_is_neither_detached_nor_stolen)
{
    struct lido_pool_options options = handy_options("static");
    lido_pool *pool = handy_open(&options);
    struct lido_conn one = handy_take(pool), two = handy_take(pool);
    void *handle = pool;

    cr_expect_eq(lido_conn_detach(&one, &handy_err), LIDO_SHARED);
    cr_expect_eq(lido_conn_steal(&one, &handle, &handy_err), LIDO_SHARED);
    cr_expect_null(handle);
    handy_give(&two);
    cr_expect_eq(lido_conn_detach(&one, &handy_err), LIDO_OK);
    handy_give(&one);
    handy_end(pool);
}

Test(pool_outside, nested_leases_are_detached_together_and_the_last_closes)
{
    struct lido_pool_options options = handy_options("singleton_thread");
    lido_pool *pool = handy_open(&options);
    struct lido_conn one = handy_take(pool), two = handy_take(pool), three;
    void *handle;

    cr_expect_eq(lido_conn_steal(&one, &handle, NULL), LIDO_SHARED);
    cr_expect_eq(lido_conn_detach(&one, NULL), LIDO_OK);
    cr_expect(lido_conn_is_detached(&two));
    three = handy_take(pool);
    cr_expect_eq(handy_number(&three), 2);
    handy_give(&one);
    cr_expect_eq(handy_number(&two), 1);
    handy_give(&two);
    cr_expect_eq(fake_driver_open_count(), 1);
    handy_give(&three);
    handy_end(pool);
}

Test(pool_outside, an_adopted_handle_is_given_back_as_it_came)
{
    lido_pool *pool = open_queue(1, 0);
    struct lido_conn lent = handy_take(pool), conn;
    void *handle = steal(&lent);

    cr_assert_eq(lido_conn_adopt(&conn, pool, handle, &handy_err), LIDO_OK);
    cr_expect_eq(lido_conn_handle(&conn), handle);
    cr_expect(lido_conn_is_detached(&conn));
    cr_expect_eq(handy_stats(pool).detached, 1);
    fake_driver_calls();
    fake_driver_find_unclean(1);
    handy_give(&conn);
    cr_expect_str_eq(fake_driver_calls(), "reset 1");
    cr_expect_eq(handy_stats(pool).rolled_back, 1);
    cr_expect_eq(handy_stats(pool).detached, 0);
    fake_driver_close(handle);
    handy_end(pool);
}

Test(pool_outside, an_adopted_handle_that_cannot_be_cleaned_stays_the_host_s)
{
    lido_pool *pool = open_queue(1, 0);
    struct lido_conn lent = handy_take(pool), conn;
    void *handle = steal(&lent);

    cr_assert_eq(lido_conn_adopt(&conn, pool, handle, NULL), LIDO_OK);
    fake_driver_find_unclean(2);
    handy_give(&conn);
    cr_assert_eq(lido_conn_adopt(&conn, pool, handle, NULL), LIDO_OK);
    cr_expect_eq(lido_conn_invalidate(&conn, NULL, NULL), LIDO_OK);
    cr_expect_eq(fake_driver_open_count(), 1);
    fake_driver_find_unclean(0);
    fake_driver_close(handle);
    handy_end(pool);
}

Test(pool_outside, a_closed_pool_adopts_nothing)
{
    lido_pool *pool = open_queue(1, 0);
    struct lido_conn conn;
    int something;

    lido_pool_close(pool, 0, NULL);
    cr_expect_eq(lido_conn_adopt(&conn, pool, &something, &handy_err), LIDO_CLOSED);
    cr_expect_null(conn.cell);
    handy_end(pool);
}

Test(pool_outside, what_is_in_use_at_dispose_is_closed_when_it_comes_back)
{
    static const char *const kinds[] = { "singleton_thread", "static", "assertion" };

    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        struct lido_pool_options options = handy_options(kinds[i]);
        lido_pool *pool = handy_open(&options);
        struct lido_conn old = handy_take(pool), new;

        cr_assert_eq(lido_pool_dispose(pool, NULL), LIDO_OK);
        cr_expect_eq(handy_stats(pool).disowned, 1, "%s", kinds[i]);
        cr_expect_eq(handy_number(&old), 1, "%s", kinds[i]);
        new = handy_take(pool);
        cr_expect_eq(handy_number(&new), 2, "%s", kinds[i]);
        handy_give(&old);
        cr_expect_eq(handy_stats(pool).disowned, 0, "%s", kinds[i]);
        cr_expect_eq(fake_driver_open_count(), 1, "%s", kinds[i]);
        handy_give(&new);
        cr_expect_eq(fake_driver_open_count(), 1, "%s", kinds[i]);
        handy_end(pool);
    }
}

Test(pool_outside, closing_waits_for_what_dispose_left_in_use)
{
    struct lido_pool_options options = handy_options("assertion");
    lido_pool *pool = handy_open(&options);
    struct lido_conn conn = handy_take(pool);

    lido_pool_dispose(pool, NULL);
    cr_expect_eq(lido_pool_close(pool, 0, NULL), LIDO_BUSY_LEASES);
    handy_give(&conn);
    handy_end(pool);
}

Test(pool_outside, a_queue_takes_back_what_was_out_at_dispose)
{
    lido_pool *pool = open_queue(2, 0);
    struct lido_conn out = handy_take(pool), idle = handy_take(pool);

    handy_give(&idle);
    cr_assert_eq(lido_pool_dispose(pool, NULL), LIDO_OK);
    cr_expect_eq(handy_stats(pool).live, 1);
    handy_give(&out);
    cr_expect_eq(handy_stats(pool).idle, 1);
    cr_expect_eq(fake_driver_open_count(), 1);
    handy_end(pool);
}
