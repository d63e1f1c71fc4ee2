/* SPDX-License-Identifier: MIT */
/*
 * Phase queue: checkout and check-in with all kinds of deadlines, while another thread reads
 * the statistics.
 *
 * One lease at a time is waited for, a second is only tried: two threads that each hold one
 * and wait for the other's would wait for ever by right.
 *
 * Threads: eight that work, one that reads.
 */
#include "tests/stress/hammer.h"

#define WORKERS 8

struct queue {
    lido_pool *pool;
    int64_t limit; /* -1: none */
    int rounds;
    atomic_int working;
    atomic_long held, checkouts, timeouts;
};

static void count(atomic_long *counter)
{
    atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

static bool take(struct queue *queue, struct lido_conn *conn, int64_t timeout_ms)
{
    struct lido_checkout_options options = LIDO_CHECKOUT_OPTIONS_INIT;
    struct lido_error err = LIDO_ERROR_INIT;
    long held;
    int rc;

    options.timeout_ms = timeout_ms;
    rc = lido_pool_checkout(queue->pool, conn, &options, &err);
    if (rc != LIDO_OK) {
        hammer_expect(rc == LIDO_POOL_TIMEOUT && timeout_ms >= 0 && queue->limit >= 0,
                      "a checkout of %lld ms answered %s: %s", (long long)timeout_ms,
                      lido_status_name(rc), err.text);
        hammer_expect(conn->cell == NULL, "a checkout failed and left a lease");
        count(&queue->timeouts);
        return false;
    }
    count(&queue->checkouts);
    bare_hold(conn);
    held = atomic_fetch_add_explicit(&queue->held, 1, memory_order_relaxed) + 1;
    hammer_expect(queue->limit < 0 || held <= queue->limit, "%ld leases are out at once",
                  held);
    return true;
}

static void give(struct queue *queue, struct lido_conn *conn)
{
    struct lido_conn copy = *conn;
    struct lido_error err = LIDO_ERROR_INIT;
    int rc;

    bare_let_go(conn);
    atomic_fetch_sub_explicit(&queue->held, 1, memory_order_relaxed);
    rc = lido_conn_checkin(conn, NULL, &err);
    hammer_expect(rc == LIDO_OK, "a check-in answered %s: %s", lido_status_name(rc),
                  err.text);
    hammer_expect(lido_conn_checkin(&copy, NULL, NULL) == LIDO_STALE &&
                      lido_conn_handle(&copy) == NULL && lido_conn_pool(&copy) == NULL,
                  "a copy of an ended lease still serves");
}

static void work(struct queue *queue, uint64_t *random)
{
    static const int64_t timeouts[] = { LIDO_TIMEOUT_TRY, 1, LIDO_TIMEOUT_FOREVER,
                                        LIDO_TIMEOUT_FOREVER };

    for (int i = 0; i < queue->rounds; i++) {
        struct lido_conn conn, second;

        if (!take(queue, &conn, timeouts[hammer_random(random, 4)]))
            continue;
        hammer_pause(random);
        if (hammer_random(random, 4) == 0 && take(queue, &second, LIDO_TIMEOUT_TRY)) {
            hammer_pause(random);
            give(queue, &second);
        }
        give(queue, &conn);
    }
    atomic_fetch_sub(&queue->working, 1);
}

static void read_stats(struct queue *queue)
{
    struct lido_pool_stats before = LIDO_POOL_STATS_INIT;

    while (atomic_load(&queue->working) > 0) {
        struct lido_pool_stats now = LIDO_POOL_STATS_INIT;

        hammer_expect(lido_pool_stats(queue->pool, &now, NULL) == LIDO_OK, "no statistics");
        hammer_expect(now.idle + now.out == now.live, "%lld idle and %lld out are %lld",
                      (long long)now.idle, (long long)now.out, (long long)now.live);
        hammer_expect(now.limit < 0 || now.live <= now.limit, "%lld live",
                      (long long)now.live);
        hammer_expect(now.checkouts >= now.checkins, "%llu checkouts, %llu checkins",
                      (unsigned long long)now.checkouts, (unsigned long long)now.checkins);
        hammer_expect(now.checkouts - now.checkins <= (uint64_t)now.out,
                      "more leases than are out");
        hammer_expect(now.connects - now.closes <= (uint64_t)now.live,
                      "more connections than are live");
        hammer_expect(now.checkouts >= before.checkouts &&
                          now.checkins >= before.checkins &&
                          now.connects >= before.connects && now.waits >= before.waits,
                      "a counter went back");
        hammer_expect(now.waiting >= 0 && now.waiting <= WORKERS && now.oldest_wait_ns >= 0,
                      "%lld wait", (long long)now.waiting);
        before = now;
    }
}

static void run(void *ctx, int number, uint64_t *random)
{
    if (number < WORKERS)
        work(ctx, random);
    else
        read_stats(ctx);
}

/* Check-ins that overlap may leave more idle connections than are kept; each check-in after
   them closes one. */
static void settle(struct queue *queue, const struct lido_pool_stats *stats)
{
    for (int64_t i = stats->keep < 0 ? 0 : stats->live - stats->keep; i > 0; i--) {
        struct lido_conn conn;

        if (take(queue, &conn, LIDO_TIMEOUT_TRY))
            give(queue, &conn);
    }
}

static void hammer_one(const char *url, int64_t limit, int rounds)
{
    struct queue queue = { .limit = limit, .rounds = rounds, .working = WORKERS };
    struct lido_pool_stats stats = LIDO_POOL_STATS_INIT;

    queue.pool = hammer_open(url);
    hammer_run(WORKERS + 1, run, &queue);

    lido_pool_stats(queue.pool, &stats, NULL);
    hammer_expect(stats.limit == limit, "the limit is %lld", (long long)stats.limit);
    hammer_expect(stats.out == 0 && stats.waiting == 0, "%lld are out, %lld wait",
                  (long long)stats.out, (long long)stats.waiting);
    hammer_expect(stats.checkouts == (uint64_t)queue.checkouts &&
                      stats.checkins == stats.checkouts &&
                      stats.timeouts == (uint64_t)queue.timeouts,
                  "%s: %llu, %llu, %llu counted, not %ld, %ld", url,
                  (unsigned long long)stats.checkouts, (unsigned long long)stats.checkins,
                  (unsigned long long)stats.timeouts, queue.checkouts, queue.timeouts);
    settle(&queue, &stats);
    lido_pool_stats(queue.pool, &stats, NULL);
    hammer_expect(stats.connects - stats.closes == (uint64_t)bare_driver_open_count() &&
                      stats.live == bare_driver_open_count(),
                  "%d connections are open", bare_driver_open_count());
    hammer_expect(stats.keep < 0 || stats.live <= stats.keep, "%s: %lld are kept, not %lld",
                  url, (long long)stats.live, (long long)stats.keep);
    hammer_expect(lido_pool_close(queue.pool, 0, NULL) == LIDO_OK, "close");
    lido_pool_free(queue.pool);
    hammer_expect(bare_driver_open_count() == 0, "%d connections leaked",
                  bare_driver_open_count());
}

void phase_queue(void)
{
    bare_driver_install();
    hammer_one("bare:///x?pool=queue&pool_size=3&max_overflow=1", 4, hammer_rounds(4000));
    hammer_one("bare:///x?pool=queue&pool_size=1&max_overflow=0", 1, hammer_rounds(1200));
    hammer_one("bare:///x?pool=queue&pool_size=1&max_overflow=2", 3, hammer_rounds(1200));
    hammer_one("bare:///x?pool=queue&pool_size=0&max_overflow=2", 2, hammer_rounds(1200));
    hammer_one("bare:///x?pool=queue&pool_size=2&max_overflow=-1", -1, hammer_rounds(1200));
    hammer_one("bare:///x?pool=null", -1, hammer_rounds(1200));
}
