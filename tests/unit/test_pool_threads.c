/* SPDX-License-Identifier: MIT */
/*
 * Threads with connections of their own: singleton_thread, and use_threadlocal.
 */
#include "tests/support/handy.h"
#include "tests/support/worker.h"

#include <criterion/criterion.h>

static lido_pool *open_singleton(int pool_size, int strict)
{
    struct lido_pool_options options = handy_options("singleton_thread");

    options.pool_size = pool_size;
    options.strict = strict;
    return handy_open(&options);
}

Test(pool_threads, a_thread_has_one_connection_and_its_leases_share_it)
{
    lido_pool *pool = open_singleton(5, 0);
    struct lido_conn one = handy_take(pool), two = handy_take(pool), copy = two;

    cr_expect_eq(handy_number(&two), handy_number(&one));
    cr_expect_eq(handy_stats(pool).out, 1);
    handy_give(&one);
    cr_expect_eq(handy_number(&two), 1);
    cr_expect_eq(lido_conn_checkin(&one, NULL, NULL), LIDO_STALE);
    handy_give(&two);
    cr_expect_eq(lido_conn_checkin(&copy, NULL, NULL), LIDO_STALE);
    cr_expect_eq(handy_stats(pool).idle, 1);
    cr_expect_eq(handy_stats(pool).checkouts, 2);
    cr_expect_eq(handy_stats(pool).checkins, 2);
    handy_end(pool);
}

Test(pool_threads, each_thread_has_its_own)
{
    lido_pool *pool = open_singleton(5, 0);
    struct worker worker;
    struct lido_conn conn = handy_take(pool);

    worker_start(&worker, pool);
    worker_tell(&worker, worker_take);
    cr_expect_eq(worker.rc, LIDO_OK);
    cr_expect_eq(handy_number(&conn), 1);
    cr_expect_eq(fake_driver_open_count(), 2);
    worker_tell(&worker, worker_give);
    handy_give(&conn);
    conn = handy_take(pool);
    cr_expect_eq(handy_number(&conn), 1);
    handy_give(&conn);
    worker_end(&worker);
    cr_expect_eq(fake_driver_open_count(), 1);
    handy_end(pool);
}

Test(pool_threads, a_thread_that_ends_leaves_no_connection)
{
    lido_pool *pool = open_singleton(5, 0);
    struct worker worker;

    worker_start(&worker, pool);
    worker_tell(&worker, worker_take);
    worker_tell(&worker, worker_give);
    cr_expect_eq(handy_stats(pool).idle, 1);
    worker_end(&worker);
    cr_expect_eq(handy_stats(pool).live, 0);
    cr_expect_eq(fake_driver_open_count(), 0);
    handy_end(pool);
}

Test(pool_threads, a_lease_that_a_thread_left_behind_is_returned_and_closed)
{
    lido_pool *pool = open_singleton(5, 0);
    struct worker worker;
    struct lido_conn left;

    worker_start(&worker, pool);
    worker_tell(&worker, worker_take);
    left = worker.conn;
    worker_tell(&worker, worker_take); /* a nested one */
    fake_driver_calls();
    worker_end(&worker);
    cr_expect_str_eq(fake_driver_calls(), "reset 1, close 1");
    cr_expect_eq(handy_stats(pool).live, 0);
    cr_expect_eq(handy_stats(pool).checkins, 2);
    cr_expect_eq(lido_conn_checkin(&left, NULL, NULL), LIDO_STALE);
    handy_end(pool);
}

Test(pool_threads, pool_size_bounds_what_is_idle_the_oldest_goes_first)
{
    lido_pool *pool = open_singleton(1, 0);
    struct worker first, second;
    struct lido_conn conn;

    worker_start(&first, pool);
    worker_start(&second, pool);
    worker_tell(&first, worker_take);
    worker_tell(&second, worker_take);
    conn = handy_take(pool);
    cr_expect_eq(fake_driver_open_count(), 3); /* it grows past it */
    worker_tell(&first, worker_give);
    cr_expect_eq(fake_driver_open_count(), 3);
    fake_driver_calls();
    worker_tell(&second, worker_give);
    cr_expect_str_eq(fake_driver_calls(), "reset 2, close 1");
    handy_give(&conn);
    cr_expect_str_eq(fake_driver_calls(), "reset 3, close 2");
    cr_expect_eq(handy_stats(pool).closed_surplus, 2);
    cr_expect_eq(handy_stats(pool).closed_idle, 0);
    conn = handy_take(pool);
    cr_expect_eq(handy_number(&conn), 3);
    handy_give(&conn);
    worker_end(&first);
    worker_end(&second);
    handy_end(pool);
}

Test(pool_threads, strict_refuses_the_thread_that_would_be_one_too_many)
{
    lido_pool *pool = open_singleton(1, 1);
    struct worker worker;
    struct lido_conn conn = handy_take(pool), nested = handy_take(pool);

    worker_start(&worker, pool);
    worker_tell(&worker, worker_take);
    cr_expect_eq(worker.rc, LIDO_POOL_TIMEOUT);
    handy_give(&nested);
    handy_give(&conn);
    worker_tell(&worker, worker_take);
    cr_expect_eq(worker.rc, LIDO_POOL_TIMEOUT); /* it is idle, but another thread's */
    worker_end(&worker);
    handy_end(pool);
}

static lido_pool *open_sqlite(const char *url)
{
    struct lido_pool_options options = handy_options("singleton_thread");

    options.pool_size = 1;
    return handy_open_url(url, &options);
}

static void make_temp(struct worker *worker)
{
    worker->rc = sqlite3_exec(lido_conn_sqlite(&worker->conn),
                              "CREATE TEMP TABLE IF NOT EXISTS t (x)", NULL, NULL, NULL);
}

Test(pool_threads, a_memory_database_is_never_surplus)
{
    lido_pool *pool = open_sqlite("sqlite://");
    struct worker worker;
    struct lido_conn conn = handy_take(pool);

    worker_start(&worker, pool);
    worker_tell(&worker, worker_take);
    worker_tell(&worker, worker_give);
    handy_give(&conn);
    cr_expect_eq(handy_stats(pool).idle, 2);
    cr_expect_eq(handy_stats(pool).closes, 0);
    worker_end(&worker);
    cr_expect_eq(handy_stats(pool).idle, 1);
    lido_pool_free(pool);
}

Test(pool_threads, temporary_tables_keep_a_connection_from_being_surplus)
{
    lido_pool *pool = open_sqlite("sqlite:////dev/null");
    struct worker worker;
    struct lido_conn conn = handy_take(pool);

    worker_start(&worker, pool);
    worker_tell(&worker, worker_take);
    worker_tell(&worker, make_temp);
    cr_expect_eq(worker.rc, SQLITE_OK);
    worker_tell(&worker, worker_give);
    handy_give(&conn); /* the worker's is older, but has a table: this one goes */
    cr_expect_eq(handy_stats(pool).idle, 1);
    worker_tell(&worker, worker_take);
    worker_tell(&worker, make_temp);
    cr_expect_eq(worker.rc, SQLITE_OK);
    cr_expect_eq(handy_stats(pool).connects, 2);
    worker_tell(&worker, worker_give);
    worker_end(&worker);
    lido_pool_free(pool);
}

Test(pool_threads, a_lease_that_is_handed_over_takes_the_connection_with_it)
{
    lido_pool *pool = open_singleton(5, 0);
    struct worker worker;
    struct lido_conn conn = handy_take(pool), nested = handy_take(pool);

    worker_start(&worker, pool);
    worker.conn = conn;
    worker_tell(&worker, worker_take_over);
    cr_expect_eq(worker.rc, LIDO_SHARED); /* the other lease would stay */
    handy_give(&nested);
    worker_tell(&worker, worker_take_over);
    cr_expect_eq(worker.rc, LIDO_OK);
    cr_expect_eq(lido_conn_checkin(&conn, NULL, NULL), LIDO_WRONG_THREAD);
    conn = handy_take(pool);
    cr_expect_eq(handy_number(&conn), 2);
    worker_tell(&worker, worker_give);
    cr_expect_eq(worker.rc, LIDO_OK);
    handy_give(&conn);
    worker_end(&worker);
    cr_expect_eq(fake_driver_open_count(), 1);
    handy_end(pool);
}

/* use_threadlocal */

static lido_pool *open_threadlocal(const char *kind)
{
    struct lido_pool_options options = handy_options(kind);

    options.use_threadlocal = 1;
    return handy_open(&options);
}

static struct lido_conn take_unique(lido_pool *pool)
{
    struct lido_checkout_options options = LIDO_CHECKOUT_OPTIONS_INIT;
    struct lido_conn conn;

    options.unique = 1;
    cr_assert_eq(lido_pool_checkout(pool, &conn, &options, &handy_err), LIDO_OK, "%s",
                 handy_err.text);
    return conn;
}

Test(pool_threads, use_threadlocal_shares_and_unique_does_not)
{
    static const char *const kinds[] = { "null", "queue" };

    for (int i = 0; i < 2; i++) {
        lido_pool *pool = open_threadlocal(kinds[i]);
        struct lido_conn one = handy_take(pool), two = handy_take(pool);
        struct lido_conn other = take_unique(pool), three;

        cr_expect_eq(handy_number(&two), 1);
        cr_expect_eq(handy_number(&other), 2);
        three = handy_take(pool);
        cr_expect_eq(handy_number(&three), 1);
        handy_give(&one);
        handy_give(&three);
        handy_give(&two);
        one = handy_take(pool); /* a unique one is never joined */
        cr_expect_neq(handy_number(&one), 2);
        handy_give(&other);
        handy_give(&one);
        handy_end(pool);
    }
}

Test(pool_threads, use_threadlocal_keeps_nothing_for_a_thread_between_leases)
{
    lido_pool *pool = open_threadlocal("queue");
    struct lido_conn conn = handy_take(pool);
    struct worker worker;

    worker_start(&worker, pool);
    worker_tell(&worker, worker_take);
    handy_give(&conn);
    worker_tell(&worker, worker_give);
    cr_expect_eq(handy_stats(pool).idle, 2);
    worker_end(&worker);
    cr_expect_eq(handy_stats(pool).idle, 2);
    handy_end(pool);
}

Test(pool_threads, unique_on_singleton_thread_is_a_lease_that_asks_the_hooks)
{
    lido_pool *pool = open_singleton(5, 0);
    struct lido_conn one = handy_take(pool), two = take_unique(pool);

    cr_expect_eq(handy_number(&two), 1);
    handy_give(&two);
    cr_expect_eq(handy_number(&one), 1);
    handy_give(&one);
    handy_end(pool);
}
