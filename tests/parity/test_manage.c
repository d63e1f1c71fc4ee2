/* SPDX-License-Identifier: MIT */
/*
 * Section 1.3, pool.manage(): one pool for each database that is asked for.
 */
#include "tests/parity/play.h"

#include <lido/manager.h>

TestSuite(parity_manage, .init = play_begin, .timeout = 60);

static lido_manager *manager;

static void begin(int (*opened)(void *ctx, lido_pool *pool, struct lido_error *err))
{
    struct lido_manager_options options = LIDO_MANAGER_OPTIONS_INIT;
    struct lido_pool_options pool = play_options("queue");

    options.pool = &pool;
    options.opened = opened;
    cr_assert_eq(lido_manager_new(&manager, &options, &play_err), LIDO_OK, "%s",
                 play_err.text);
}

/* The pool for a URL; only to be compared. */
static lido_pool *pool_for(const char *url)
{
    lido_pool *pool;

    cr_assert_eq(lido_manager_pool(manager, url, &pool, &play_err), LIDO_OK, "%s: %s", url,
                 play_err.text);
    cr_assert_eq(lido_manager_release(manager, pool, NULL), LIDO_OK);
    return pool;
}

/* 1.3 manage, one proxy per module
   SQLAlchemy: up to 1.4, manage(module, **params) answers one proxy per DB-API module; at the
   second call the params are ignored.
   lido: better: a manager is an object; there may be several, each with options of its own */
Test(parity_manage, the_options_of_a_manager_are_those_of_its_pools)
{
    lido_pool *pool;

    begin(NULL);
    cr_assert_eq(lido_manager_pool(manager, "play:///a", &pool, NULL), LIDO_OK);
    cr_expect_str_eq(play_stats(pool).kind, "queue");
    cr_assert_eq(lido_manager_release(manager, pool, NULL), LIDO_OK);
    lido_manager_free(manager);
}

/* 1.3 manage, one pool per arguments
   SQLAlchemy: proxy.connect() uses a pool for each distinct set of arguments; the order of
   keywords does not matter.
   lido: same: driver, database and keys of the URL, in any order */
Test(parity_manage, the_order_of_keys_does_not_matter)
{
    begin(NULL);

    cr_expect_eq(pool_for("play:///a?pool_size=2&max_overflow=1"),
                 pool_for("play:///a?max_overflow=1&pool_size=2"));
    cr_expect_neq(pool_for("play:///a?pool_size=2"), pool_for("play:///a?pool_size=3"));
    cr_expect_neq(pool_for("play:///a"), pool_for("play:///b"));
    lido_manager_free(manager);
}

/* 1.3 manage, sa_pool_key
   SQLAlchemy: is the key in place of the arguments, and is taken away before the driver sees
   them.
   lido: same */
Test(parity_manage, sa_pool_key_is_the_key_alone)
{
    begin(NULL);

    cr_expect_eq(pool_for("play:///a?sa_pool_key=x"), pool_for("play:///b?sa_pool_key=x"));
    cr_expect_neq(pool_for("play:///a?sa_pool_key=x"), pool_for("play:///a"));
    lido_manager_free(manager);
}

static _Atomic int opened_pools;

static int count_pool(void *ctx, lido_pool *pool, struct lido_error *err)
{
    (void)ctx, (void)pool, (void)err;
    opened_pools++;
    return LIDO_OK;
}

static void *check_out_and_in(void *ctx)
{
    struct lido_conn conn;

    (void)ctx;
    if (lido_manager_checkout(manager, "play:///a", &conn, NULL, NULL) == LIDO_OK)
        lido_conn_checkin(&conn, NULL, NULL);
    return NULL;
}

/* 1.3 manage, many threads
   SQLAlchemy: pools are created under a mutex.
   lido: better: by one thread with no lock held; only who wants the same pool waits */
Test(parity_manage, a_pool_is_opened_once)
{
    pthread_t threads[4];

    begin(count_pool);
    for (int i = 0; i < 4; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, check_out_and_in, NULL), 0);
    for (int i = 0; i < 4; i++)
        cr_assert_eq(pthread_join(threads[i], NULL), 0);

    cr_expect_eq(opened_pools, 1);
    cr_expect_eq(lido_manager_count(manager), 1);
    lido_manager_free(manager);
}

/* 1.3 manage, dispose
   SQLAlchemy: proxy.dispose(*args) forgets that pool and closes nothing.
   lido: better: it is forgotten, its idle connections are closed, leases go on */
Test(parity_manage, dispose_forgets_a_pool_and_closes_what_is_idle)
{
    struct lido_conn out, idle;

    begin(NULL);
    cr_assert_eq(lido_manager_checkout(manager, "play:///a", &out, NULL, NULL), LIDO_OK);
    cr_assert_eq(lido_manager_checkout(manager, "play:///a", &idle, NULL, NULL), LIDO_OK);
    play_give(&idle);
    cr_assert_eq(lido_manager_dispose(manager, "play:///a", NULL), LIDO_OK);
    cr_expect_eq(lido_manager_count(manager), 0);
    cr_expect_eq(play_open_count(), 1);
    cr_expect_eq(play_number(&out), 1);

    play_give(&out);
    cr_expect_eq(play_open_count(), 0);
    cr_assert_eq(lido_manager_checkout(manager, "play:///a", &out, NULL, NULL), LIDO_OK);
    cr_expect_eq(play_number(&out), 3);
    play_give(&out);
    lido_manager_free(manager);
}

/* 1.3 clear_managers
   SQLAlchemy: forgets all proxies and their pools.
   lido: same: lido_manager_clear(), of one manager */
Test(parity_manage, clear_forgets_all_pools)
{
    begin(NULL);
    pool_for("play:///a");
    pool_for("play:///b");
    cr_assert_eq(lido_manager_clear(manager, NULL), LIDO_OK);

    cr_expect_eq(lido_manager_count(manager), 0);
    lido_manager_free(manager);
}

/* 1.3 manage, other attributes
   SQLAlchemy: the proxy hands unknown attributes on to the module.
   lido: not applicable: a C library has no module to stand for; lido_manager_pool() lends the
   pool itself for all else */
Test(parity_manage, the_pool_itself_is_lent)
{
    struct lido_conn conn;
    lido_pool *pool;

    begin(NULL);
    cr_assert_eq(lido_manager_pool(manager, "play:///a", &pool, NULL), LIDO_OK);
    play_trace(pool);
    conn = play_take(pool);
    play_expect("open 1, first_connect 1, connect 1, checkout 1");
    play_give(&conn);
    cr_assert_eq(lido_manager_release(manager, pool, NULL), LIDO_OK);
    lido_manager_free(manager);
}
