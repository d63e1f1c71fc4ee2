/* SPDX-License-Identifier: MIT */
/*
 * Every allocation fails once, of lido's and of SQLite's: the caller is told, nothing leaks,
 * and the next try works.
 *
 * Both take memory from SQLite's allocator, which is wrapped here; the type-stable slots and
 * pools come from aligned_alloc, which the linker puts behind the function below.
 */
#include "failing_malloc.h"
#include "own_folder.h"
#include <lido/lido.h>

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char folder[] = "/tmp/lido-fault-XXXXXX";
static char url[200];
static struct lido_error err;
static int slab_countdown, slab_failed;

void *__real_aligned_alloc(size_t alignment, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
    if (slab_countdown > 0 && --slab_countdown == 0) {
        slab_failed = 1;
        return NULL;
    }
    return __real_aligned_alloc(alignment, size);
}

static void set_up(void)
{
    failing_malloc_install();
    cr_assert_not_null(mkdtemp(folder));
    snprintf(url, sizeof url,
             "sqlite:///%s/a.db?pool=queue&pool_size=2&max_overflow=0&mode=rwc", folder);
}

static void tear_down(void)
{
    char path[100];

    snprintf(path, sizeof path, "%s/a.db", folder);
    unlink(path);
    own_folder_end(folder);
}

TestSuite(fault_memory, .init = set_up, .fini = tear_down, .timeout = 60);

static int no_hook(void *ctx, const struct lido_event *event, struct lido_error *hook_err)
{
    (void)ctx, (void)event, (void)hook_err;
    return LIDO_OK;
}

static int show(void *ctx, const struct lido_holder *holder)
{
    (void)holder;
    ++*(int *)ctx;
    return 0;
}

/* A savepoint, another level, and a transaction to read, left to the check-in. */
static int go_on(const struct lido_conn *conn)
{
    struct lido_savepoint point;
    int rc = lido_txn_savepoint_next(conn, &point, &err), later;

    if (rc == LIDO_OK)
        rc = lido_txn_release(conn, point.name, &err);
    later = lido_txn_rollback(conn, &err);
    rc = rc != LIDO_OK ? rc : later;
    later = lido_conn_set_isolation(conn, "READ UNCOMMITTED", &err);
    rc = rc != LIDO_OK ? rc : later;
    later = lido_txn_begin(conn, LIDO_READ, &err);
    return rc != LIDO_OK ? rc : later;
}

static void use(lido_pool *pool, int *seen)
{
    static const struct lido_events events = { .size = sizeof events,
                                               .connect = no_hook,
                                               .begin = no_hook };
    struct lido_conn a, b;
    int outcome, shown = 0, rc;

    rc = lido_hooks_add(lido_pool_hooks(pool), NULL, &events, NULL, NULL, &err);
    *seen = rc != LIDO_OK ? rc : *seen;
    rc = lido_pool_checkout(pool, &a, NULL, &err);
    *seen = rc != LIDO_OK ? rc : *seen;
    rc = lido_pool_checkout(pool, &b, NULL, &err);
    *seen = rc != LIDO_OK ? rc : *seen;
    rc = lido_pool_holders(pool, show, &shown, &err);
    *seen = rc != LIDO_OK ? rc : *seen;
    if (a.cell != NULL) {
        rc = lido_txn_begin(&a, LIDO_IMMEDIATE, &err);
        if (rc == LIDO_OK)
            rc = sqlite3_exec(lido_conn_sqlite(&a),
                              "CREATE TABLE IF NOT EXISTS t (x); INSERT INTO t VALUES (1)",
                              NULL, NULL, NULL);
        if (rc == LIDO_OK)
            rc = lido_txn_commit(&a, &outcome, &err);
        *seen = rc != LIDO_OK ? rc : *seen;
        rc = go_on(&a);
        *seen = rc != LIDO_OK ? rc : *seen;
        cr_assert_eq(lido_conn_checkin(&a, NULL, &err), LIDO_OK, "%s", err.text);
    }
    if (b.cell != NULL)
        cr_assert_eq(lido_conn_checkin(&b, NULL, &err), LIDO_OK, "%s", err.text);
}

/* One life of a pool.  What the last failing call answered, or LIDO_OK. */
static int live(void)
{
    struct lido_pool_stats stats = LIDO_POOL_STATS_INIT;
    int seen = LIDO_OK;
    lido_pool *pool;
    int rc = lido_pool_open(&pool, url, NULL, &err);

    if (rc != LIDO_OK) {
        cr_assert_null(pool);
        return rc;
    }
    use(pool, &seen);
    cr_assert_eq(lido_pool_stats(pool, &stats, &err), LIDO_OK);
    cr_assert_eq(stats.out, 0);
    cr_assert_eq(lido_pool_close(pool, 0, &err), LIDO_OK, "%s", err.text);
    cr_assert_eq(lido_pool_stats(pool, &stats, &err), LIDO_OK);
    cr_assert_eq(stats.connects, stats.closes);
    lido_pool_free(pool);
    return seen;
}

Test(fault_memory, every_allocation_may_fail)
{
    long before;
    int nth = 0, told = 0, fired;

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
        cr_assert_eq(live(), LIDO_OK, "after allocation %d failed: %s", nth, err.text);
    } while (fired);
    cr_assert_gt(nth, 100);
    cr_assert_gt(told, nth / 2, "most failures should reach the caller");
}

Test(fault_memory, every_slab_may_fail)
{
    int nth = 0, rc;

    do {
        slab_failed = 0;
        slab_countdown = ++nth;
        rc = live();
        slab_countdown = 0;
        cr_assert_eq(rc, slab_failed ? SQLITE_NOMEM : LIDO_OK, "slab %d", nth);
    } while (slab_failed);
    cr_assert_eq(nth, 3, "a pool and its first slots");
}

/* Eight slots come at a time: the ninth lease at once wants another slab. */
Test(fault_memory, a_pool_that_cannot_grow_goes_on_with_what_it_has)
{
    struct lido_pool_stats stats = LIDO_POOL_STATS_INIT;
    struct lido_conn held[9];
    lido_pool *pool;

    url[strcspn(url, "?")] = '\0';
    cr_assert_eq(lido_pool_open(&pool, url, NULL, &err), LIDO_OK, "%s", err.text);
    for (int i = 0; i < 8; i++)
        cr_assert_eq(lido_pool_checkout(pool, &held[i], NULL, &err), LIDO_OK, "%s",
                     err.text);
    slab_countdown = 1;
    cr_assert_eq(lido_pool_checkout(pool, &held[8], NULL, &err), SQLITE_NOMEM);
    cr_assert_null(held[8].cell);
    cr_assert_not_null(strstr(err.text, "memory"), "%s", err.text);
    cr_assert(slab_failed);

    /* One that comes back can be had again, and with memory there are more. */
    cr_assert_eq(lido_conn_checkin(&held[0], NULL, &err), LIDO_OK);
    cr_assert_eq(lido_pool_checkout(pool, &held[0], NULL, &err), LIDO_OK, "%s", err.text);
    cr_assert_eq(lido_pool_checkout(pool, &held[8], NULL, &err), LIDO_OK, "%s", err.text);
    for (int i = 0; i < 9; i++)
        cr_assert_eq(lido_conn_checkin(&held[i], NULL, &err), LIDO_OK, "%s", err.text);
    cr_assert_eq(lido_pool_stats(pool, &stats, &err), LIDO_OK);
    cr_assert_eq(stats.live, 0);
    cr_assert_eq(lido_pool_close(pool, 0, &err), LIDO_OK, "%s", err.text);
    lido_pool_free(pool);
}
