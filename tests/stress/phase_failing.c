/* SPDX-License-Identifier: MIT */
/*
 * Phase failing: the driver fails at random, mostly while others wait for a connection.
 *
 * Everybody waits for ever, so a slot that a failed connect did not pass on, or a waiter who
 * was not told, ends in a standstill.  On the fake driver, whose failures are counted.
 *
 * Threads: six.
 */
#include "tests/stress/hammer.h"
#include "tests/support/fake_driver.h"

#define WORKERS 6

struct failing {
    lido_pool *pool;
    int rounds;
    atomic_long refused;
};

static void work(void *ctx, int number, uint64_t *random)
{
    struct failing *failing = ctx;
    struct lido_checkout_options options = LIDO_CHECKOUT_OPTIONS_INIT;
    struct lido_error err = LIDO_ERROR_INIT;

    (void)number;
    options.timeout_ms = LIDO_TIMEOUT_FOREVER;
    for (int i = 0; i < failing->rounds; i++) {
        struct lido_conn conn;
        int rc;

        if (hammer_random(random, 3) == 0)
            fake_driver_fail((int)hammer_random(random, 4) + 1, SQLITE_CANTOPEN);
        rc = lido_pool_checkout(failing->pool, &conn, &options, &err);
        if (rc != LIDO_OK) {
            hammer_expect(rc == SQLITE_CANTOPEN, "a checkout answered %s: %s",
                          lido_status_name(rc), err.text);
            atomic_fetch_add_explicit(&failing->refused, 1, memory_order_relaxed);
            continue;
        }
        hammer_expect(lido_conn_handle(&conn) != NULL, "a lease without a connection");
        hammer_pause(random);
        rc = lido_conn_checkin(&conn, NULL, &err);
        hammer_expect(rc == LIDO_OK, "a check-in answered %s: %s", lido_status_name(rc),
                      err.text);
    }
}

static void hammer_one(const char *url, int rounds)
{
    struct failing failing = { .rounds = rounds };
    struct lido_pool_stats stats = LIDO_POOL_STATS_INIT;

    failing.pool = hammer_open(url);
    hammer_run(WORKERS, work, &failing);
    fake_driver_fail(0, LIDO_OK);

    lido_pool_stats(failing.pool, &stats, NULL);
    hammer_expect(stats.out == 0 && stats.waiting == 0, "%lld are out, %lld wait",
                  (long long)stats.out, (long long)stats.waiting);
    hammer_expect(stats.connect_failures == (uint64_t)failing.refused,
                  "%llu failures counted, not %ld",
                  (unsigned long long)stats.connect_failures, failing.refused);
    hammer_expect(stats.connects - stats.closes == (uint64_t)fake_driver_open_count(),
                  "%d are open", fake_driver_open_count());
    hammer_expect(lido_pool_close(failing.pool, 0, NULL) == LIDO_OK, "close");
    lido_pool_free(failing.pool);
    hammer_expect(fake_driver_open_count() == 0, "%d connections leaked",
                  fake_driver_open_count());
}

void phase_failing(void)
{
    fake_driver_install();
    hammer_one("fake:///x?pool=queue&pool_size=1&max_overflow=0", hammer_rounds(1000));
    hammer_one("fake:///x?pool=queue&pool_size=1&max_overflow=2", hammer_rounds(2000));
    hammer_one("fake:///x?pool=null", hammer_rounds(1000));
}
