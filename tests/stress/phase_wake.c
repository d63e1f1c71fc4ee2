/* SPDX-License-Identifier: MIT */
/*
 * Phase wake: everybody wants one connection once, waits for ever, and then nobody comes any
 * more until all have had it.
 *
 * So a wake-up that is lost is lost for good: in a crowd that keeps coming the next to arrive
 * or to leave would make up for it.  A round is a race between one who gives back, or whose
 * connection fails to open, and those who are about to wait.
 *
 * Threads: three.
 */
#include "tests/stress/hammer.h"
#include "tests/support/fake_driver.h"

#define WORKERS 3

struct waking {
    lido_pool *pool;
    struct hammer_meeting meeting;
    int rounds;
    bool fails; /* on the fake driver: one connect of each round fails */
    atomic_int got;
};

static void want_one(struct waking *waking, uint64_t *random)
{
    struct lido_checkout_options options = LIDO_CHECKOUT_OPTIONS_INIT;
    struct lido_conn conn;
    int rc;

    options.timeout_ms = LIDO_TIMEOUT_FOREVER;
    rc = lido_pool_checkout(waking->pool, &conn, &options, NULL);
    if (rc == LIDO_OK) {
        hammer_pause(random);
        rc = lido_conn_checkin(&conn, NULL, NULL);
        atomic_fetch_add_explicit(&waking->got, 1, memory_order_relaxed);
    }
    hammer_expect(rc == LIDO_OK || (waking->fails && rc == SQLITE_CANTOPEN),
                  "a checkout or check-in answered %s", lido_status_name(rc));
}

static void run(void *ctx, int number, uint64_t *random)
{
    struct waking *waking = ctx;

    for (int i = 0; i < waking->rounds; i++) {
        if (number == 0) {
            hammer_expect(i == 0 || waking->got >= WORKERS - waking->fails,
                          "only %d had the connection", waking->got);
            waking->got = 0;
            if (waking->fails)
                fake_driver_fail(1, SQLITE_CANTOPEN);
        }
        hammer_meet(&waking->meeting);
        hammer_pause(random);
        want_one(waking, random);
        hammer_meet(&waking->meeting);
    }
}

static void hammer_one(const char *url, bool fails, int rounds)
{
    struct waking waking = { .meeting = { .count = WORKERS },
                             .rounds = rounds,
                             .fails = fails };

    waking.pool = hammer_open(url);
    hammer_run(WORKERS, run, &waking);
    fake_driver_fail(0, LIDO_OK);
    hammer_expect(lido_pool_close(waking.pool, 0, NULL) == LIDO_OK, "close");
    lido_pool_free(waking.pool);
}

void phase_wake(void)
{
    bare_driver_install();
    hammer_one("bare:///x?pool=queue&pool_size=1&max_overflow=0", false,
               hammer_rounds(20000));
    hammer_one("bare:///x?pool=queue&pool_size=2&max_overflow=0", false,
               hammer_rounds(10000));
    fake_driver_install();
    hammer_one("fake:///x?pool=queue&pool_size=0&max_overflow=1", true,
               hammer_rounds(2000));
    hammer_one("fake:///x?pool=queue&pool_size=1&max_overflow=1", true,
               hammer_rounds(2000));
}
