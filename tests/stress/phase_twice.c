/* SPDX-License-Identifier: MIT */
/*
 * Phase twice: two threads check the same lease in, each by a copy of its own, at the same
 * moment.  One succeeds, the other is told that the lease is stale, and whoever has the
 * connection next does not notice.
 *
 * Threads: two that race, three that keep the connections moving.
 */
#include "tests/stress/hammer.h"

#define RACERS 2
#define USERS  3

struct twice {
    lido_pool *pool;
    int rounds;
    atomic_int is_over;
    struct hammer_meeting meeting;
    struct lido_conn lease; /* written by the first racer before they meet */
    atomic_int succeeded;
};

static void race(struct twice *twice, int number, uint64_t *random)
{
    for (int i = 0; i < twice->rounds; i++) {
        struct lido_conn mine;
        int rc;

        if (number == 0) {
            rc = lido_pool_checkout(twice->pool, &twice->lease, NULL, NULL);
            hammer_expect(rc == LIDO_OK, "a checkout answered %s", lido_status_name(rc));
            twice->succeeded = 0;
        }
        hammer_meet(&twice->meeting);
        mine = twice->lease;
        hammer_pause(random);
        hammer_meet(&twice->meeting);
        rc = lido_conn_checkin(&mine, NULL, NULL);
        hammer_expect(rc == LIDO_OK || rc == LIDO_STALE, "a check-in answered %s",
                      lido_status_name(rc));
        atomic_fetch_add(&twice->succeeded, rc == LIDO_OK);
        hammer_meet(&twice->meeting);
        hammer_expect(twice->succeeded == 1, "a lease was checked in %d times",
                      twice->succeeded);
        hammer_meet(&twice->meeting);
    }
    atomic_store(&twice->is_over, 1);
}

static void use(struct twice *twice, uint64_t *random)
{
    while (!atomic_load_explicit(&twice->is_over, memory_order_relaxed)) {
        struct lido_conn conn;

        if (lido_pool_checkout(twice->pool, &conn, NULL, NULL) != LIDO_OK)
            continue;
        bare_hold(&conn);
        hammer_pause(random);
        bare_let_go(&conn);
        hammer_expect(lido_conn_checkin(&conn, NULL, NULL) == LIDO_OK,
                      "somebody else checked a lease in");
    }
}

static void run(void *ctx, int number, uint64_t *random)
{
    if (number < RACERS)
        race(ctx, number, random);
    else
        use(ctx, random);
}

static void hammer_one(const char *url, int rounds)
{
    struct twice twice = { .rounds = rounds, .meeting = { .count = RACERS } };
    struct lido_pool_stats stats = LIDO_POOL_STATS_INIT;

    twice.pool = hammer_open(url);
    hammer_run(RACERS + USERS, run, &twice);
    lido_pool_stats(twice.pool, &stats, NULL);
    hammer_expect(stats.out == 0 && stats.checkouts == stats.checkins,
                  "%llu checkouts, %llu checkins", (unsigned long long)stats.checkouts,
                  (unsigned long long)stats.checkins);
    hammer_expect(lido_pool_close(twice.pool, 0, NULL) == LIDO_OK, "close");
    lido_pool_free(twice.pool);
    hammer_expect(bare_driver_open_count() == 0, "%d connections leaked",
                  bare_driver_open_count());
}

void phase_twice(void)
{
    bare_driver_install();
    hammer_one("bare:///x?pool=queue&pool_size=2&max_overflow=0", hammer_rounds(2000));
    hammer_one("bare:///x?pool=null", hammer_rounds(1000));
}
