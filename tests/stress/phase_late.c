/* SPDX-License-Identifier: MIT */
/*
 * Phase late: a connection comes back in the very moment in which a waiter gives up.
 *
 * Either the waiter has it or it is free: when the waiter was told that it waited in vain,
 * whoever only tries at once after the check-in must get it.  And a waiter that was given it
 * in the last moment has it, and its stack is not touched afterwards.
 *
 * Threads: one that holds, one that waits for a millisecond.
 */
#include "tests/stress/hammer.h"

#include <pthread.h>
#include <sched.h>
#include <time.h>

struct late {
    lido_pool *pool;
    struct hammer_meeting meeting;
    int rounds;
    int waited_rc, tried_rc; /* each is one thread's until they meet */
};

static void wait_for_one(struct late *late)
{
    struct lido_checkout_options options = LIDO_CHECKOUT_OPTIONS_INIT;
    struct lido_conn conn;

    options.timeout_ms = 1;
    late->waited_rc = lido_pool_checkout(late->pool, &conn, &options, NULL);
    hammer_meet(&late->meeting);
    if (late->waited_rc == LIDO_OK)
        lido_conn_checkin(&conn, NULL, NULL);
}

static void spend(int64_t ns)
{
    struct timespec start, now;

    clock_gettime(CLOCK_MONOTONIC, &start);
    do
        clock_gettime(CLOCK_MONOTONIC, &now);
    while ((now.tv_sec - start.tv_sec) * INT64_C(1000000000) + now.tv_nsec - start.tv_nsec <
           ns);
}

static void give_and_try(struct late *late, struct lido_conn *held, uint64_t *random)
{
    struct lido_checkout_options options = LIDO_CHECKOUT_OPTIONS_INIT;
    struct lido_pool_stats stats = LIDO_POOL_STATS_INIT;
    struct lido_conn conn;

    do
        lido_pool_stats(late->pool, &stats, NULL);
    while (stats.waiting == 0 && stats.timeouts == 0 && (sched_yield(), 1));
    spend(900000 + hammer_random(random, 200000));
    lido_conn_checkin(held, NULL, NULL);
    options.timeout_ms = LIDO_TIMEOUT_TRY;
    late->tried_rc = lido_pool_checkout(late->pool, &conn, &options, NULL);
    hammer_meet(&late->meeting);
    hammer_expect((late->waited_rc == LIDO_OK) != (late->tried_rc == LIDO_OK),
                  "who waited was answered %s, who tried %s",
                  lido_status_name(late->waited_rc), lido_status_name(late->tried_rc));
    if (late->tried_rc == LIDO_OK)
        lido_conn_checkin(&conn, NULL, NULL);
}

static void run(void *ctx, int number, uint64_t *random)
{
    struct late *late = ctx;

    for (int i = 0; i < late->rounds; i++) {
        struct lido_conn held = LIDO_CONN_INIT;

        if (number == 0) {
            late->pool = hammer_open("bare:///x?pool=queue&pool_size=1&max_overflow=0");
            hammer_expect(lido_pool_checkout(late->pool, &held, NULL, NULL) == LIDO_OK,
                          "no checkout");
        }
        hammer_meet(&late->meeting);
        if (number == 0)
            give_and_try(late, &held, random);
        else
            wait_for_one(late);
        hammer_meet(&late->meeting);
        if (number == 0) {
            hammer_expect(lido_pool_close(late->pool, 0, NULL) == LIDO_OK, "close");
            lido_pool_free(late->pool);
        }
    }
}

void phase_late(void)
{
    struct late late = { .meeting = { .count = 2 }, .rounds = hammer_rounds(300) };

    bare_driver_install();
    hammer_run(2, run, &late);
}
