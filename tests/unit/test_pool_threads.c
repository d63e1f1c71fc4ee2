/* SPDX-License-Identifier: MIT */
/*
 * Threads with connections of their own: singleton_thread, and use_threadlocal.
 */
#include "tests/support/handy.h"

#include <criterion/criterion.h>
#include <pthread.h>

static lido_pool *open_singleton(int pool_size, int strict)
{
    struct lido_pool_options options = handy_options("singleton_thread");

    options.pool_size = pool_size;
    options.strict = strict;
    return handy_open(&options);
}

/* A thread that does as it is told, one thing after the other. */
struct worker {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t moved;
    void (*task)(struct worker *worker);
    bool is_ending;

    lido_pool *pool;
    struct lido_conn conn;
    int rc;
};

static void *work(void *arg)
{
    struct worker *worker = arg;

    pthread_mutex_lock(&worker->lock);
    while (!worker->is_ending) {
        if (worker->task != NULL) {
            worker->task(worker);
            worker->task = NULL;
            pthread_cond_broadcast(&worker->moved);
        }
        pthread_cond_wait(&worker->moved, &worker->lock);
    }
    pthread_mutex_unlock(&worker->lock);
    return NULL;
}

static void start(struct worker *worker, lido_pool *pool)
{
    *worker = (struct worker){ .pool = pool };
    pthread_mutex_init(&worker->lock, NULL);
    pthread_cond_init(&worker->moved, NULL);
    cr_assert_eq(pthread_create(&worker->thread, NULL, work, worker), 0);
}

static void tell(struct worker *worker, void (*task)(struct worker *worker))
{
    pthread_mutex_lock(&worker->lock);
    worker->task = task;
    pthread_cond_broadcast(&worker->moved);
    while (worker->task != NULL)
        pthread_cond_wait(&worker->moved, &worker->lock);
    pthread_mutex_unlock(&worker->lock);
}

static void end(struct worker *worker)
{
    pthread_mutex_lock(&worker->lock);
    worker->is_ending = true;
    pthread_cond_broadcast(&worker->moved);
    pthread_mutex_unlock(&worker->lock);
    pthread_join(worker->thread, NULL);
}

static void take(struct worker *worker)
{
    worker->rc = lido_pool_checkout(worker->pool, &worker->conn, NULL, NULL);
}

static void give(struct worker *worker)
{
    worker->rc = lido_conn_checkin(&worker->conn, NULL, NULL);
}

static void take_over(struct worker *worker)
{
    worker->rc = lido_conn_hand_over(&worker->conn, NULL);
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

    start(&worker, pool);
    tell(&worker, take);
    cr_expect_eq(worker.rc, LIDO_OK);
    cr_expect_eq(handy_number(&conn), 1);
    cr_expect_eq(fake_driver_open_count(), 2);
    tell(&worker, give);
    handy_give(&conn);
    conn = handy_take(pool);
    cr_expect_eq(handy_number(&conn), 1);
    handy_give(&conn);
    end(&worker);
    cr_expect_eq(fake_driver_open_count(), 1);
    handy_end(pool);
}

Test(pool_threads, a_thread_that_ends_leaves_no_connection)
{
    lido_pool *pool = open_singleton(5, 0);
    struct worker worker;

    start(&worker, pool);
    tell(&worker, take);
    tell(&worker, give);
    cr_expect_eq(handy_stats(pool).idle, 1);
    end(&worker);
    cr_expect_eq(handy_stats(pool).live, 0);
    cr_expect_eq(fake_driver_open_count(), 0);
    handy_end(pool);
}

Test(pool_threads, a_lease_that_a_thread_left_behind_is_returned_and_closed)
{
    lido_pool *pool = open_singleton(5, 0);
    struct worker worker;
    struct lido_conn left;

    start(&worker, pool);
    tell(&worker, take);
    left = worker.conn;
    tell(&worker, take); /* a nested one */
    fake_driver_calls();
    end(&worker);
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

    start(&first, pool);
    start(&second, pool);
    tell(&first, take);
    tell(&second, take);
    conn = handy_take(pool);
    cr_expect_eq(fake_driver_open_count(), 3); /* it grows past it */
    tell(&first, give);
    cr_expect_eq(fake_driver_open_count(), 3);
    fake_driver_calls();
    tell(&second, give);
    cr_expect_str_eq(fake_driver_calls(), "reset 2, close 1");
    handy_give(&conn);
    cr_expect_str_eq(fake_driver_calls(), "reset 3, close 2");
    conn = handy_take(pool);
    cr_expect_eq(handy_number(&conn), 3);
    handy_give(&conn);
    end(&first);
    end(&second);
    handy_end(pool);
}

Test(pool_threads, strict_refuses_the_thread_that_would_be_one_too_many)
{
    lido_pool *pool = open_singleton(1, 1);
    struct worker worker;
    struct lido_conn conn = handy_take(pool), nested = handy_take(pool);

    start(&worker, pool);
    tell(&worker, take);
    cr_expect_eq(worker.rc, LIDO_POOL_TIMEOUT);
    handy_give(&nested);
    handy_give(&conn);
    tell(&worker, take);
    cr_expect_eq(worker.rc, LIDO_POOL_TIMEOUT); /* it is idle, but another thread's */
    end(&worker);
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

    start(&worker, pool);
    tell(&worker, take);
    tell(&worker, give);
    handy_give(&conn);
    cr_expect_eq(handy_stats(pool).idle, 2);
    cr_expect_eq(handy_stats(pool).closes, 0);
    end(&worker);
    cr_expect_eq(handy_stats(pool).idle, 1);
    lido_pool_free(pool);
}

Test(pool_threads, temporary_tables_keep_a_connection_from_being_surplus)
{
    lido_pool *pool = open_sqlite("sqlite:////dev/null");
    struct worker worker;
    struct lido_conn conn = handy_take(pool);

    start(&worker, pool);
    tell(&worker, take);
    tell(&worker, make_temp);
    cr_expect_eq(worker.rc, SQLITE_OK);
    tell(&worker, give);
    handy_give(&conn); /* the worker's is older, but has a table: this one goes */
    cr_expect_eq(handy_stats(pool).idle, 1);
    tell(&worker, take);
    tell(&worker, make_temp);
    cr_expect_eq(worker.rc, SQLITE_OK);
    cr_expect_eq(handy_stats(pool).connects, 2);
    tell(&worker, give);
    end(&worker);
    lido_pool_free(pool);
}

Test(pool_threads, a_lease_that_is_handed_over_takes_the_connection_with_it)
{
    lido_pool *pool = open_singleton(5, 0);
    struct worker worker;
    struct lido_conn conn = handy_take(pool), nested = handy_take(pool);

    start(&worker, pool);
    worker.conn = conn;
    tell(&worker, take_over);
    cr_expect_eq(worker.rc, LIDO_SHARED); /* the other lease would stay */
    handy_give(&nested);
    tell(&worker, take_over);
    cr_expect_eq(worker.rc, LIDO_OK);
    cr_expect_eq(lido_conn_checkin(&conn, NULL, NULL), LIDO_WRONG_THREAD);
    conn = handy_take(pool);
    cr_expect_eq(handy_number(&conn), 2);
    tell(&worker, give);
    cr_expect_eq(worker.rc, LIDO_OK);
    handy_give(&conn);
    end(&worker);
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

    start(&worker, pool);
    tell(&worker, take);
    handy_give(&conn);
    tell(&worker, give);
    cr_expect_eq(handy_stats(pool).idle, 2);
    end(&worker);
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
