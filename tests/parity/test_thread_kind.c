/* SPDX-License-Identifier: MIT */
/*
 * Section 1.8: the singleton_thread pool.
 */
#include "tests/parity/play.h"

TestSuite(parity_thread_kind, .init = play_begin, .timeout = 60);

/* A thread that checks out when it is told to, gives back, and ends: each step is done when
   worker_step() returns. */
struct worker {
    pthread_t thread;
    pthread_barrier_t barrier;
    lido_pool *pool;
    int number;
};

static void *work(void *arg)
{
    struct worker *worker = arg;
    struct lido_conn conn = play_take(worker->pool);

    worker->number = play_number(&conn);
    pthread_barrier_wait(&worker->barrier); /* it is out */
    pthread_barrier_wait(&worker->barrier);
    play_give(&conn);
    pthread_barrier_wait(&worker->barrier); /* it is idle */
    pthread_barrier_wait(&worker->barrier);
    return NULL;
}

/* Returns when the worker has a connection. */
static void worker_start(struct worker *worker, lido_pool *pool)
{
    worker->pool = pool;
    cr_assert_eq(pthread_barrier_init(&worker->barrier, NULL, 2), 0);
    cr_assert_eq(pthread_create(&worker->thread, NULL, work, worker), 0);
    pthread_barrier_wait(&worker->barrier);
}

static void worker_give(struct worker *worker)
{
    pthread_barrier_wait(&worker->barrier);
    pthread_barrier_wait(&worker->barrier);
}

static void worker_end(struct worker *worker)
{
    pthread_barrier_wait(&worker->barrier);
    cr_assert_eq(pthread_join(worker->thread, NULL), 0);
    pthread_barrier_destroy(&worker->barrier);
}

static lido_pool *open_thread_pool(int pool_size, int strict)
{
    struct lido_pool_options options = play_options("singleton_thread");

    options.pool_size = pool_size;
    options.strict = strict;
    return play_open(&options);
}

/* 1.8 SingletonThreadPool
   SQLAlchemy: one record per thread, which gets the same connection each time.
   lido: same */
Test(parity_thread_kind, each_thread_has_its_own_connection)
{
    lido_pool *pool = open_thread_pool(5, 0);
    struct lido_conn conn = play_take(pool);
    struct worker other;

    play_give(&conn);
    worker_start(&other, pool);
    cr_expect_eq(other.number, 2, "the idle one is another thread's");
    conn = play_take(pool);
    cr_expect_eq(play_number(&conn), 1);

    play_give(&conn);
    worker_give(&other);
    worker_end(&other);
    play_end(pool);
}

/* 1.8 SingletonThreadPool, nested
   SQLAlchemy: a nested connect() is the same fairy; only the outermost close resets.
   lido: same: a lease of its own on the same connection */
Test(parity_thread_kind, only_the_last_lease_of_a_thread_resets)
{
    lido_pool *pool = open_thread_pool(5, 0);
    struct lido_conn outer = play_take(pool), inner = play_take(pool);

    cr_expect_eq(play_number(&inner), play_number(&outer));
    play_forget();
    play_give(&inner);
    play_expect("");
    play_give(&outer);
    play_expect("reset 1, rollback 1, checkin 1");
    play_end(pool);
}

/* 1.8 SingletonThreadPool, pool_size
   SQLAlchemy: a thread that comes when pool_size records exist closes an arbitrary one.
   lido: better: it grows past it, and closes surplus idle ones at a check-in, the oldest
   first */
Test(parity_thread_kind, the_idle_connection_of_the_longest_ago_is_closed)
{
    lido_pool *pool = open_thread_pool(2, 0);
    struct worker workers[3];

    for (int i = 0; i < 3; i++)
        worker_start(&workers[i], pool);
    cr_expect_eq(play_open_count(), 3);
    worker_give(&workers[1]);
    worker_give(&workers[2]);
    play_forget();
    worker_give(&workers[0]);

    play_expect("reset 1, rollback 1, checkin 1, close 2, shut 2");
    for (int i = 0; i < 3; i++)
        worker_end(&workers[i]);
    play_end(pool);
}

/* 1.8 SingletonThreadPool, the victim
   SQLAlchemy: may be in use: its fairy still says is_valid while its connection is closed.
   lido: better: never one in use */
Test(parity_thread_kind, a_connection_in_use_is_never_closed_for_another_thread)
{
    lido_pool *pool = open_thread_pool(1, 0);
    struct lido_conn conn = play_take(pool);
    struct worker other;

    worker_start(&other, pool);
    play_forget();
    worker_give(&other);
    play_expect("reset 2, rollback 2, checkin 2");

    cr_expect_eq(play_number(&conn), 1);
    worker_end(&other);
    play_give(&conn);
    play_end(pool);
}

/* 1.8 SingletonThreadPool, its own record
   SQLAlchemy: since 0.9.4 a new thread does not evict its own.
   lido: same */
Test(parity_thread_kind, a_thread_that_comes_keeps_its_own_connection)
{
    lido_pool *pool = open_thread_pool(1, 0);
    struct worker other;
    struct lido_conn conn;

    worker_start(&other, pool);
    worker_give(&other);
    conn = play_take(pool);
    play_give(&conn);
    conn = play_take(pool);

    cr_expect_eq(play_number(&conn), 2);
    play_give(&conn);
    worker_end(&other);
    play_end(pool);
}

/* 1.8 SingletonThreadPool, ended threads
   SQLAlchemy: their connections stay open until they are evicted or disposed of.
   lido: better: a thread's connection is closed when it ends */
Test(parity_thread_kind, the_connection_of_a_thread_ends_with_it)
{
    lido_pool *pool = open_thread_pool(5, 0);
    struct worker other;

    worker_start(&other, pool);
    worker_give(&other);
    cr_expect_eq(play_open_count(), 1);
    worker_end(&other);

    cr_expect_eq(play_open_count(), 0);
    cr_expect_eq(play_stats(pool).live, 0);
    play_end(pool);
}

/* 1.8 SingletonThreadPool, pool_size 0
   SQLAlchemy: a KeyError after a connection was opened.
   lido: better: nothing idle is kept */
Test(parity_thread_kind, a_pool_size_of_zero_keeps_nothing_idle)
{
    lido_pool *pool = open_thread_pool(0, 0);
    struct lido_conn conn = play_take(pool);

    play_give(&conn);
    cr_expect_eq(play_open_count(), 0);
    play_end(pool);
}

/* 1.2 SingletonThreadPool's own argument
   SQLAlchemy: pool_size=5.
   lido: same: and `strict` makes it a limit, which is refused past it instead of exceeded */
Test(parity_thread_kind, strict_makes_the_size_a_limit)
{
    struct lido_pool_options options = LIDO_POOL_OPTIONS_INIT;
    lido_pool *pool = open_thread_pool(1, 1);
    struct worker other;

    cr_expect_eq(options.pool_size, 5);
    worker_start(&other, pool);
    play_refuse(pool, LIDO_POOL_TIMEOUT);
    worker_give(&other);
    worker_end(&other);
    play_end(pool);
}

/* 1.8 SingletonThreadPool, connect() after detach()
   SQLAlchemy: up to 1.4 the detached fairy again; in 2.x a new connection.
   lido: same: as in 2.x */
Test(parity_thread_kind, after_a_detach_the_thread_gets_another)
{
    lido_pool *pool = open_thread_pool(5, 0);
    struct lido_conn detached = play_take(pool), next;

    cr_assert_eq(lido_conn_detach(&detached, NULL), LIDO_OK);
    next = play_take(pool);

    cr_expect_eq(play_number(&next), 2);
    play_give(&next);
    play_give(&detached);
    play_end(pool);
}
