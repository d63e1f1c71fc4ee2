/* SPDX-License-Identifier: MIT */
/*
 * On every kind of pool: the n-th call of the driver fails, the n-th hook, the n-th
 * allocation, the n-th slab; and whatever fails, nothing is left out, open or not destroyed.
 */
#include "tests/support/failing_malloc.h"
#include "tests/support/failing_vfs.h"
#include "tests/support/handy.h"
#include "tests/support/life.h"
#include "tests/support/own_folder.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char folder[] = "/tmp/lido-fault-XXXXXX";
static char url[60];

static void set_up(void)
{
    failing_malloc_install();
    failing_vfs_install(); /* no file fails, but a sync takes no time */
    failing_vfs_hurry();
    cr_assert_eq(sqlite3_vfs_register(sqlite3_vfs_find("failing"), 1), SQLITE_OK);
    cr_assert_not_null(mkdtemp(folder));
    snprintf(url, sizeof url, "sqlite:///%s/a.db", folder);
}

static void tear_down(void)
{
    unlink(strchr(url, '/') + 3);
    own_folder_end(folder);
}

TestSuite(fault_kinds, .init = set_up, .fini = tear_down, .timeout = 100);

#define CODE SQLITE_CANTOPEN

/* The kinds, and queues with rules of their own. */
static const struct variant {
    const char *name, *kind, *order;
    int threadlocal, ages;
} variants[] = {
    { "null", "null", NULL, 0, 0 },
    { "queue", "queue", NULL, 0, 0 },
    { "queue by threads", "queue", "lifo", 1, 0 },
    { "queue with ages", "queue", "fifo", 0, 1 },
    { "singleton_thread", "singleton_thread", NULL, 0, 0 },
    { "static", "static", NULL, 0, 0 },
    { "assertion with ages", "assertion", NULL, 0, 1 },
};
#define N_VARIANTS (sizeof variants / sizeof variants[0])

static lido_pool *open_variant(const struct variant *variant, const char *url)
{
    struct lido_pool_options options = handy_options(variant->kind);
    lido_pool *pool;

    options.order = variant->order;
    options.use_threadlocal = variant->threadlocal;
    if (strcmp(variant->kind, "queue") == 0) {
        options.pool_size = 1;
        options.max_overflow = 1;
    }
    if (variant->ages) {
        options.pool_recycle_ms = 5000;
        options.idle_timeout_ms = 1000;
        options.pool_pre_ping = 1;
    }
    return lido_pool_open(&pool, url, &options, &handy_err) == LIDO_OK ? pool : NULL;
}

static lido_pool *open_fake(const struct variant *variant)
{
    lido_pool *pool;

    fake_driver_install();
    pool = open_variant(variant, "fake:///any");
    cr_assert_not_null(pool, "%s: %s", variant->name, handy_err.text);
    return pool;
}

static void end(lido_pool *pool, const struct variant *variant, int nth)
{
    cr_assert_eq(life_expect_sound(pool, variant->name, nth), fake_driver_open_count(),
                 "%s %d", variant->name, nth);
    lido_pool_close(pool, 0, NULL);
    cr_assert_eq(life_expect_sound(pool, variant->name, nth), 0, "%s %d", variant->name,
                 nth);
    cr_assert_eq(fake_driver_open_count(), 0, "%s %d", variant->name, nth);
    lido_pool_free(pool);
}

/* --- the driver --------------------------------------------------------------------------- */

static void sweep_calls(int code)
{
    for (size_t i = 0; i < N_VARIANTS; i++) {
        int nth = 0, fired;

        do {
            lido_pool *pool = open_fake(&variants[i]);
            int seen;

            fake_driver_fail(++nth, code);
            seen = life_play(pool, fake_driver_close);
            fired = fake_driver_has_failed();
            cr_assert(seen == LIDO_OK || (fired && seen == code), "%s, call %d: %s",
                      variants[i].name, nth, lido_status_name(seen));
            end(pool, &variants[i], nth);
        } while (fired);
        cr_assert_gt(nth, 40, "%s: %d calls only", variants[i].name, nth);
    }
}

Test(fault_kinds, every_call_may_fail)
{
    sweep_calls(CODE);
}

Test(fault_kinds, every_call_may_fail_fatally)
{
    sweep_calls(CODE | LIDO_FATAL);
}

/* --- hooks -------------------------------------------------------------------------------- */

static int hook_countdown, hook_code;
static bool hook_failed;

static int hook(void *ctx, const struct lido_event *event, struct lido_error *err)
{
    (void)ctx, (void)event;
    if (hook_countdown == 0 || --hook_countdown > 0)
        return LIDO_OK;
    hook_failed = true;
    return lido_fail(err, hook_code, "the hook was told to");
}

static const struct lido_events all_hooks = {
    .size = sizeof all_hooks,
    .first_connect = hook,
    .connect = hook,
    .checkout = hook,
    .reset = hook,
    .checkin = hook,
    .invalidate = hook,
    .soft_invalidate = hook,
    .close = hook,
    .detach = hook,
    .close_detached = hook,
    .begin = hook,
    .commit = hook,
    .rollback = hook,
};

static void sweep_hooks(int code)
{
    hook_code = code;
    for (size_t i = 0; i < N_VARIANTS; i++) {
        int nth = 0;

        do {
            lido_pool *pool = open_fake(&variants[i]);
            int seen;

            cr_assert_eq(
                lido_hooks_add(lido_pool_hooks(pool), NULL, &all_hooks, NULL, NULL, NULL),
                LIDO_OK);
            hook_failed = false;
            hook_countdown = ++nth;
            seen = life_play(pool, fake_driver_close);
            hook_countdown = 0;
            cr_assert(seen == LIDO_OK || (hook_failed && seen == code), "%s, hook %d: %s",
                      variants[i].name, nth, lido_status_name(seen));
            end(pool, &variants[i], nth);
        } while (hook_failed);
        cr_assert_gt(nth, 60, "%s: %d hooks only", variants[i].name, nth);
    }
}

Test(fault_kinds, every_hook_may_fail)
{
    sweep_hooks(CODE);
}

Test(fault_kinds, every_hook_may_fail_fatally)
{
    sweep_hooks(CODE | LIDO_FATAL);
}

Test(fault_kinds, every_hook_may_call_the_connection_dead)
{
    sweep_hooks(LIDO_DISCONNECT);
}

Test(fault_kinds, every_hook_may_call_all_connections_dead)
{
    sweep_hooks(LIDO_INVALIDATE_POOL);
}

/* --- memory ------------------------------------------------------------------------------- */

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

static void close_sqlite(void *handle)
{
    cr_expect_eq(sqlite3_close_v2(handle), SQLITE_OK);
}

/* A life, told whether memory was out.  How much is left. */
static long play(const struct variant *variant, bool on_sqlite, int *seen)
{
    lido_pool *pool;

    pool = open_variant(variant, on_sqlite ? url : "fake:///any");
    if (pool == NULL) {
        *seen = handy_err.code;
        return failing_malloc_outstanding();
    }
    *seen = life_play(pool, on_sqlite ? close_sqlite : fake_driver_close);
    lido_pool_close(pool, 0, NULL);
    cr_assert_eq(life_expect_sound(pool, variant->name, 0), 0, "%s", variant->name);
    lido_pool_free(pool);
    return failing_malloc_outstanding();
}

static void sweep_memory(bool on_sqlite)
{
    fake_driver_install();
    for (size_t i = 0; i < N_VARIANTS; i++) {
        int nth = 0, fired, seen;
        long before;

        play(&variants[i], on_sqlite, &seen); /* what is allocated once is there now */
        before = play(&variants[i], on_sqlite, &seen);
        cr_assert_eq(seen, LIDO_OK, "%s: %s", variants[i].name, lido_status_name(seen));
        do {
            long after;

            failing_malloc_arm(++nth);
            after = play(&variants[i], on_sqlite, &seen);
            fired = failing_malloc_fired();
            failing_malloc_arm(0);
            cr_assert(seen == LIDO_OK || fired, "%s, allocation %d: %s", variants[i].name,
                      nth, lido_status_name(seen));
            cr_assert_eq(after, before, "%s, allocation %d: %ld blocks more",
                         variants[i].name, nth, after - before);
        } while (fired);
        cr_assert_gt(nth, 10, "%s: %d allocations only", variants[i].name, nth);
    }
}

Test(fault_kinds, every_allocation_may_fail)
{
    sweep_memory(false);
}

Test(fault_kinds, every_allocation_may_fail_of_sqlite_too)
{
    sweep_memory(true);
}

Test(fault_kinds, every_slab_may_fail)
{
    bool has_failed = false;

    fake_driver_install();
    for (size_t i = 0; i < N_VARIANTS; i++) {
        int nth = 0, seen;

        do {
            has_failed =
                has_failed || slab_failed; /* slabs are kept: later pools need none */
            slab_failed = 0;
            slab_countdown = ++nth;
            play(&variants[i], false, &seen);
            slab_countdown = 0;
            cr_assert(seen == LIDO_OK || (slab_failed && seen == SQLITE_NOMEM),
                      "%s, slab %d: %s", variants[i].name, nth, lido_status_name(seen));
        } while (slab_failed);
    }
    cr_assert(has_failed);
}
