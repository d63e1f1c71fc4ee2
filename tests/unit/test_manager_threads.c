/* SPDX-License-Identifier: MIT */
/*
 * A manager among threads, after a fork, and when memory runs out.
 */
#include "engine/managed.h"
#include "tests/support/failing_malloc.h"
#include "tests/support/fake_driver.h"
#include <lido/lido.h>

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#define THREADS 6

static struct lido_error err;
static lido_manager *manager;

static void set_up(void)
{
    failing_malloc_install();
    fake_driver_install();
}

TestSuite(manager_threads, .init = set_up, .timeout = 60);

static void new_manager(int max_pools)
{
    struct lido_pool_options pool = LIDO_POOL_OPTIONS_INIT;
    struct lido_manager_options options = LIDO_MANAGER_OPTIONS_INIT;

    pool.pool = "queue";
    options.pool = &pool;
    options.max_pools = max_pools;
    cr_assert_eq(lido_manager_new(&manager, &options, &err), LIDO_OK, "%s", err.text);
}

static void run_threads(void *(*body)(void *number))
{
    pthread_t threads[THREADS];

    for (uintptr_t i = 0; i < THREADS; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, body, (void *)i), 0);
    for (int i = 0; i < THREADS; i++)
        cr_assert_eq(pthread_join(threads[i], NULL), 0);
}

/* --- opening -------------------------------------------------------------------------- */

static lido_pool *seen[THREADS];
static int codes[THREADS];
static atomic_int asking;

static void *ask(void *number)
{
    uintptr_t i = (uintptr_t)number;

    atomic_fetch_add(&asking, 1);
    codes[i] = lido_manager_pool(manager, "fake:///a?open_now=1", &seen[i], NULL);
    return NULL;
}

/* All ask while the first is still connecting. */
static void ask_at_once(void)
{
    pthread_t threads[THREADS];

    fake_driver_hold_connects();
    for (uintptr_t i = 0; i < THREADS; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, ask, (void *)i), 0);
    fake_driver_wait_for_held(1);
    while (atomic_load(&asking) < THREADS)
        sched_yield();
    cr_assert_eq(lido_manager_count(manager), 0);
    fake_driver_let_connect();
    for (int i = 0; i < THREADS; i++)
        cr_assert_eq(pthread_join(threads[i], NULL), 0);
}

Test(manager_threads, a_pool_is_opened_by_one_thread_and_the_others_wait)
{
    new_manager(0);
    ask_at_once();
    for (int i = 0; i < THREADS; i++) {
        cr_assert_eq(codes[i], LIDO_OK);
        cr_assert_eq(seen[i], seen[0]);
        cr_assert_eq(lido_manager_release(manager, seen[i], &err), LIDO_OK);
    }
    cr_assert_eq(fake_driver_open_count(), 1);
    cr_assert_str_eq(fake_driver_calls(), "connect 1, ping 1, reset 1");
    lido_manager_free(manager);
}

Test(manager_threads, who_waited_for_a_pool_that_could_not_be_opened_tries_itself)
{
    int failed = 0;

    new_manager(0);
    fake_driver_fail(1, SQLITE_AUTH);
    ask_at_once();
    for (int i = 0; i < THREADS; i++)
        failed += codes[i] == SQLITE_AUTH;
    cr_assert_eq(failed, 1, "only the first was told so");
    for (int i = 0; i < THREADS; i++)
        if (codes[i] == LIDO_OK)
            cr_assert_eq(lido_manager_release(manager, seen[i], &err), LIDO_OK);
    cr_assert_eq(lido_manager_count(manager), 1);
    lido_manager_free(manager);
}

/* --- all at once ---------------------------------------------------------------------- */

static atomic_int failures;

static int look(void *ctx, const struct lido_managed *managed)
{
    struct lido_pool_stats stats = LIDO_POOL_STATS_INIT;

    (void)ctx;
    if (lido_pool_stats(managed->pool, &stats, NULL) != LIDO_OK)
        atomic_fetch_add(&failures, 1);
    return 0;
}

/* A checkout, and now and then a call that forgets, lends or shows. */
static int do_something(unsigned turn, const char *url)
{
    struct lido_conn conn;
    lido_pool *pool;
    int rc = lido_manager_checkout(manager, url, &conn, NULL, NULL);

    if (rc != LIDO_OK)
        return rc;
    if (turn % 7 == 0)
        rc = lido_manager_dispose(manager, url, NULL);
    if (lido_conn_handle(&conn) == NULL)
        return LIDO_STALE;
    rc |= lido_conn_checkin(&conn, NULL, NULL);
    if (turn % 31 == 0)
        rc |= lido_manager_clear(manager, NULL);
    if (turn % 5 == 0) {
        rc |= lido_manager_pool(manager, url, &pool, NULL);
        rc |= lido_pool_checkout(pool, &conn, NULL, NULL);
        rc |= lido_conn_checkin(&conn, NULL, NULL);
        rc |= lido_manager_release(manager, pool, NULL);
    }
    if (turn % 11 == 0)
        rc |= lido_manager_pools(manager, look, NULL, NULL);
    return rc;
}

static void *be_busy(void *number)
{
    unsigned random = (unsigned)(uintptr_t)number * 2654435761u + 1;
    char url[40];

    for (unsigned turn = 1; turn <= 400; turn++) {
        random = random * 1103515245u + 12345u;
        snprintf(url, sizeof url, "fake:///%u", random >> 16 & 7);
        if (do_something(turn, url) != LIDO_OK)
            atomic_fetch_add(&failures, 1);
    }
    return NULL;
}

Test(manager_threads, pools_come_and_go_and_no_lease_ever_finds_its_pool_gone)
{
    for (int max_pools = 0; max_pools <= 4; max_pools += 2) {
        new_manager(max_pools);
        run_threads(be_busy);
        cr_assert_eq(atomic_load(&failures), 0, "%d pools", max_pools);
        for (struct lido__managed *at = manager->oldest; at != NULL; at = at->newer) {
            cr_assert_eq(at->users, 0);
            cr_assert_not(at->is_forgotten);
        }
        lido_manager_free(manager);
        cr_assert_eq(fake_driver_open_count(), 0);
    }
}

/* --- fork ----------------------------------------------------------------------------- */

/* The number of the first call that did not answer LIDO_FORKED, or 0. */
static int ask_in_child(lido_pool *pool)
{
    struct lido_conn conn;
    lido_pool *got;
    lido_manager *other;

    if (lido_manager_checkout(manager, "fake:///a", &conn, NULL, NULL) != LIDO_FORKED)
        return 1;
    if (lido_manager_pool(manager, "fake:///a", &got, NULL) != LIDO_FORKED)
        return 2;
    if (lido_manager_release(manager, pool, NULL) != LIDO_FORKED)
        return 3;
    if (lido_manager_dispose(manager, "fake:///a", NULL) != LIDO_FORKED)
        return 4;
    if (lido_manager_clear(manager, NULL) != LIDO_FORKED)
        return 5;
    if (lido_manager_pools(manager, look, NULL, NULL) != LIDO_FORKED)
        return 6;
    if (lido_manager_new(&other, NULL, NULL) != LIDO_FORKED || other != NULL)
        return 7;
    if (lido_manager_count(manager) != 0)
        return 8;
    lido_manager_free(manager);
    return fake_driver_open_count() == 1 ? 0 : 9;
}

static void expect_forked(lido_pool *pool)
{
    int status;
    pid_t child = fork();

    cr_assert_geq(child, 0);
    if (child == 0)
        _exit(ask_in_child(pool));
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert(WIFEXITED(status));
    cr_assert_eq(WEXITSTATUS(status), 0, "call %d", WEXITSTATUS(status));
}

Test(manager_threads, a_child_of_fork_is_told_so_and_touches_nothing)
{
    struct lido_conn conn;
    lido_pool *pool;

    new_manager(0);
    cr_assert_eq(lido_manager_pool(manager, "fake:///a", &pool, &err), LIDO_OK);
    cr_assert_eq(lido_pool_checkout(pool, &conn, NULL, &err), LIDO_OK);
    expect_forked(pool);
    cr_assert_eq(lido_conn_checkin(&conn, NULL, &err), LIDO_OK);
    cr_assert_eq(lido_manager_release(manager, pool, &err), LIDO_OK);
    lido_manager_free(manager);
}

/* The lock may have been another thread's when the process was forked. */
Test(manager_threads, a_child_is_told_so_without_waiting_for_the_lock)
{
    struct lido_conn conn;

    new_manager(0);
    cr_assert_eq(lido_manager_checkout(manager, "fake:///a", &conn, NULL, &err), LIDO_OK);
    cr_assert_eq(pthread_mutex_lock(&manager->lock.raw), 0);
    expect_forked(NULL);
    cr_assert_eq(pthread_mutex_unlock(&manager->lock.raw), 0);
    cr_assert_eq(lido_conn_checkin(&conn, NULL, &err), LIDO_OK);
    lido_manager_free(manager);
}

/* A manager without a pool is as good as an open one. */
Test(manager_threads, a_child_is_told_so_also_if_no_pool_was_open)
{
    lido_manager *inherited;
    struct lido_conn conn;
    int status;
    pid_t child;

    new_manager(0);
    inherited = manager;
    child = fork();
    cr_assert_geq(child, 0);
    if (child == 0)
        _exit(lido_manager_checkout(inherited, "fake:///a", &conn, NULL, NULL) !=
              LIDO_FORKED);
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert_eq(status, 0);
    lido_manager_free(manager);
}

/* --- memory --------------------------------------------------------------------------- */

static int count(void *ctx, const struct lido_managed *managed)
{
    (void)managed;
    ++*(int *)ctx;
    return 0;
}

/* One life of a manager.  What the last failing call answered, or LIDO_OK. */
static int live(void)
{
    static const char *const urls[] = { "fake:///a?timeout=1&pool_size=2",
                                        "sqlite:///file:/m?uri=1&vfs=memdb&sa_pool_key=k",
                                        "fake:///c" };
    struct lido_pool_options pool = LIDO_POOL_OPTIONS_INIT;
    struct lido_manager_options options = LIDO_MANAGER_OPTIONS_INIT;
    int seen_code = LIDO_OK, shown = 0, rc;
    struct lido_conn conn;

    pool.pool = "queue";
    pool.order = "lifo";
    options.pool = &pool;
    options.max_pools = 1;
    rc = lido_manager_new(&manager, &options, &err);
    if (rc != LIDO_OK) {
        cr_assert_null(manager);
        return rc;
    }
    for (int i = 0; i < 3; i++) {
        rc = lido_manager_checkout(manager, urls[i], &conn, NULL, &err);
        seen_code = rc != LIDO_OK ? rc : seen_code;
        if (rc == LIDO_OK)
            rc = lido_conn_checkin(&conn, NULL, &err);
        seen_code = rc != LIDO_OK ? rc : seen_code;
    }
    rc = lido_manager_pools(manager, count, &shown, &err);
    seen_code = rc != LIDO_OK ? rc : seen_code;
    rc = lido_manager_dispose(manager, urls[0], &err);
    seen_code = rc != LIDO_OK ? rc : seen_code;
    rc = lido_manager_clear(manager, &err);
    seen_code = rc != LIDO_OK ? rc : seen_code;
    cr_assert_null(manager->newest, "whatever failed has left nothing behind");
    lido_manager_free(manager);
    cr_assert_eq(fake_driver_open_count(), 0);
    return seen_code;
}

Test(manager_threads, every_allocation_may_fail)
{
    int nth = 0, told = 0, fired;
    sqlite3 *other;
    long before;

    /* SQLite's list of memory databases goes with the last of them, unless an allocation
       failed between the list and its first entry: so there is always one. */
    cr_assert_eq(sqlite3_open_v2("/other", &other,
                                 SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, "memdb"),
                 SQLITE_OK);
    cr_assert_eq(live(), LIDO_OK, "%s", err.text); /* what is allocated once is there now */
    before = failing_malloc_outstanding();
    do {
        int rc;

        failing_malloc_arm(++nth);
        rc = live();
        fired = failing_malloc_fired();
        failing_malloc_arm(0);
        told += rc != LIDO_OK;
        if (rc != LIDO_OK)
            cr_assert(fired, "failed without a reason: %s", err.text);
        cr_assert_eq(failing_malloc_outstanding(), before, "allocation %d: %ld bytes more",
                     nth, failing_malloc_outstanding() - before);
    } while (fired);
    cr_assert_gt(nth, 60);
    cr_assert_gt(told, nth / 2, "most failures should reach the caller");
    sqlite3_close(other);
}
