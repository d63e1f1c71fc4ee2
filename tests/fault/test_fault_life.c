/* SPDX-License-Identifier: MIT */
/*
 * The n-th allocation, the n-th slab and the n-th driver call fails, while a pool of each kind
 * does all that can be done to a connection: the caller is told or not, but nothing leaks and
 * the next try works.
 */
#include "failing_malloc.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_driver.h"
#include <lido/lido.h>

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static struct lido_error err;
static int slab_countdown, slab_failed, destroyed, owned;

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
}

TestSuite(fault_life, .init = set_up, .timeout = 60);

static const char *const kinds[] = { "null", "queue", "singleton_thread", "static",
                                     "assertion" };

static void destroy(void *ctx)
{
    (void)ctx;
    destroyed++;
}

static int finalize(void *ctx, void *handle, struct lido_error *out)
{
    (void)ctx, (void)handle, (void)out;
    return LIDO_OK;
}

static int no_hook(void *ctx, const struct lido_event *event, struct lido_error *out)
{
    (void)ctx, (void)event, (void)out;
    return LIDO_OK;
}

/* Everything that is given away is destroyed once, also if giving it fails. */
static void hang_on(const struct lido_conn *conn)
{
    static int thing;

    owned += 3;
    lido_conn_set_info(conn, &thing, destroy, NULL);
    lido_conn_set_record_info(conn, &thing, destroy, NULL);
    if (lido_conn_add_finalizer(conn, finalize, &thing, destroy, NULL) == LIDO_OK)
        cr_assert_not_null(lido_conn_handle(conn));
}

static int see(int rc, int *seen)
{
    if (rc != LIDO_OK)
        *seen = rc;
    return rc;
}

static void borrow(lido_pool *pool, int *seen)
{
    struct lido_conn one, nested;

    see(lido_pool_checkout(pool, &one, NULL, &err), seen);
    if (lido_pool_checkout(pool, &nested, NULL, &err) != LIDO_CHECKED_OUT)
        see(err.code, seen);
    hang_on(&one);
    lido_conn_invalidate_soft(&nested, NULL, NULL);
    lido_conn_checkin(&nested, NULL, NULL);
    lido_conn_checkin(&one, NULL, NULL);

    see(lido_pool_checkout(pool, &one, NULL, &err), seen);
    hang_on(&one);
    lido_conn_invalidate(&one, NULL, NULL);
    see(lido_pool_checkout(pool, &one, NULL, &err), seen);
    hang_on(&one);
    see(one.cell != NULL ? lido_conn_detach(&one, &err) : LIDO_OK, seen);
    lido_conn_checkin(&one, NULL, NULL);
}

static void take_away(lido_pool *pool, int *seen)
{
    struct lido_conn one;
    void *handle = NULL;

    see(lido_pool_checkout(pool, &one, NULL, &err), seen);
    if (one.cell != NULL && see(lido_conn_steal(&one, &handle, &err), seen) != LIDO_OK)
        lido_conn_checkin(&one, NULL, NULL);
    if (handle != NULL) {
        if (see(lido_conn_adopt(&one, pool, handle, &err), seen) == LIDO_OK)
            lido_conn_checkin(&one, NULL, NULL);
        fake_driver_close(handle);
    }
    see(lido_pool_dispose(pool, &err), seen);
}

/* Only a fatal answer of the driver's close is told, and then too all is closed. */
static void close_all(lido_pool *pool)
{
    int rc = lido_pool_close(pool, 0, NULL);

    cr_assert(rc == LIDO_OK || (rc & LIDO_FATAL) != 0);
    lido_pool_free(pool);
}

static void copy(lido_pool *pool, int *seen)
{
    struct lido_conn one;
    lido_pool *other;

    if (see(lido_pool_recreate(pool, &other, &err), seen) != LIDO_OK) {
        cr_assert_null(other);
        return;
    }
    see(lido_pool_checkout(other, &one, NULL, &err), seen);
    lido_conn_checkin(&one, NULL, NULL);
    close_all(other);
}

/* One life of a pool; what the last failing call answered. */
static int live(const char *kind)
{
    static const struct lido_events events = { .size = sizeof events, .close = no_hook };
    struct lido_pool_options options = LIDO_POOL_OPTIONS_INIT;
    struct lido_pool_stats stats = LIDO_POOL_STATS_INIT;
    int seen = LIDO_OK;
    lido_pool *pool;

    err.code = LIDO_OK;
    destroyed = owned = 0;
    options.pool = kind;
    options.clock = fake_clock();
    options.pool_timeout_ms = 0;
    if (see(lido_pool_open(&pool, "fake:///any", &options, &err), &seen) != LIDO_OK)
        return seen;
    see(lido_hooks_add(lido_pool_hooks(pool), NULL, &events, NULL, NULL, &err), &seen);
    borrow(pool, &seen);
    take_away(pool, &seen);
    copy(pool, &seen);
    cr_assert_eq(lido_pool_stats(pool, &stats, NULL), LIDO_OK);
    cr_assert_eq(stats.out + stats.detached + stats.disowned, 0, "%s", kind);
    close_all(pool);
    cr_assert_eq(destroyed, owned, "%s", kind);
    cr_assert_eq(fake_driver_open_count(), 0, "%s", kind);
    return seen;
}

Test(fault_life, every_allocation_may_fail)
{
    fake_driver_install();
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        int nth = 0, told = 0, fired;
        long before;

        cr_assert_eq(live(kinds[i]), LIDO_OK, "%s: %s", kinds[i], err.text);
        before = failing_malloc_outstanding();
        do {
            failing_malloc_arm(++nth);
            told += live(kinds[i]) != LIDO_OK;
            fired = failing_malloc_fired();
            failing_malloc_arm(0);
            cr_assert_eq(failing_malloc_outstanding(), before, "%s, allocation %d",
                         kinds[i], nth);
        } while (fired);
        cr_assert_gt(told, 5, "%s", kinds[i]);
        cr_assert_eq(live(kinds[i]), LIDO_OK, "%s: %s", kinds[i], err.text);
    }
}

Test(fault_life, every_slab_may_fail)
{
    int most = 0;

    fake_driver_install();
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        int nth = 0;

        do { /* only what was not there before is a new slab */
            slab_failed = 0;
            slab_countdown = ++nth;
            cr_assert_eq(live(kinds[i]) != LIDO_OK, slab_failed != 0, "%s, slab %d",
                         kinds[i], nth);
            slab_countdown = 0;
            most = nth > most ? nth : most;
        } while (slab_failed);
    }
    cr_assert_geq(most, 2);
}

Test(fault_life, every_driver_call_may_fail)
{
    static const int codes[] = { SQLITE_IOERR, SQLITE_IOERR | LIDO_FATAL, LIDO_DISCONNECT };

    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        for (size_t j = 0; j < sizeof codes / sizeof codes[0]; j++) {
            int nth = 0;

            fake_driver_install();
            do {
                fake_driver_fail(++nth, codes[j]);
                live(kinds[i]);
            } while (fake_driver_has_failed());
            fake_driver_fail(0, 0);
            cr_assert_gt(nth, 10, "%s", kinds[i]);
            cr_assert_eq(live(kinds[i]), LIDO_OK, "%s: %s", kinds[i], err.text);
        }
}
