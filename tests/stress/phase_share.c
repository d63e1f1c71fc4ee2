/* SPDX-License-Identifier: MIT */
/*
 * Phase share: leases that share a connection, of one thread or of all, and are ended in
 * every way there is while others join, pass leases on, dispose of the pool and read it; the
 * hooks call connections dead or unclean at random.
 *
 * The driver is the fake one, which has a lock of its own: a connection that several threads
 * use at once is right here.  What is looked for are counts that do not add up, memory that
 * is used after it was freed, and threads that nobody wakes.
 *
 * Threads: six that work, one that reads.
 */
#include "tests/stress/hammer.h"
#include "tests/support/fake_driver.h"

#include <lido/record.h>
#include <stdlib.h>
#include <string.h>

#define WORKERS 6

struct share {
    lido_pool *pool;
    int rounds;
    bool is_mixed;                       /* any lease may end the transaction of another */
    struct lido_conn *_Atomic passed_on; /* one lease, to be ended by whoever takes it */
    atomic_int working;
    atomic_long made, destroyed;
};

static struct share *now;

static void destroy(void *ctx)
{
    free(ctx);
    atomic_fetch_add_explicit(&now->destroyed, 1, memory_order_relaxed);
}

static void *make(struct share *share)
{
    atomic_fetch_add_explicit(&share->made, 1, memory_order_relaxed);
    return malloc(8);
}

static int finish(void *ctx, void *handle, struct lido_error *err)
{
    (void)ctx, (void)err;
    hammer_expect(handle != NULL, "a finalizer without a connection");
    return LIDO_OK;
}

/* --- hooks that fail at random ------------------------------------------------------------ */

static _Thread_local uint64_t *dice;

static int call_dead(void *ctx, const struct lido_event *event, struct lido_error *err)
{
    static const int codes[] = { LIDO_DISCONNECT, LIDO_INVALIDATE_POOL, SQLITE_AUTH };
    unsigned which = dice != NULL ? hammer_random(dice, 40) : 40;

    (void)ctx;
    hammer_expect(event->handle != NULL, "a checkout without a connection");
    return which < 3 ? lido_fail(err, codes[which], "by chance") : LIDO_OK;
}

static int call_unclean(void *ctx, const struct lido_event *event, struct lido_error *err)
{
    (void)ctx, (void)event;
    return dice != NULL && hammer_random(dice, 30) == 0
               ? lido_fail(err, SQLITE_AUTH, "by chance")
               : LIDO_OK;
}

static const struct lido_events by_chance = {
    .size = sizeof by_chance,
    .checkout = call_dead,
    .reset = call_unclean,
};

/* --- leases ------------------------------------------------------------------------------- */

static bool take(struct share *share, struct lido_conn *conn, uint64_t *random)
{
    struct lido_checkout_options options = LIDO_CHECKOUT_OPTIONS_INIT;
    int rc;

    options.timeout_ms = LIDO_TIMEOUT_FOREVER;
    options.unique = hammer_random(random, 5) == 0;
    rc = lido_pool_checkout(share->pool, conn, &options, NULL);
    hammer_expect(rc == LIDO_OK || rc == SQLITE_AUTH || rc == LIDO_DISCONNECT,
                  "a checkout answered %s", lido_status_name(rc));
    return rc == LIDO_OK;
}

static void give(struct lido_conn *conn)
{
    int rc = lido_conn_checkin(conn, NULL, NULL);

    hammer_expect(rc == LIDO_OK || rc == LIDO_STALE, "a check-in answered %s",
                  lido_status_name(rc));
}

static void transact(const struct share *share, const struct lido_conn *conn,
                     uint64_t *random)
{
    int rc = lido_txn_begin(conn, LIDO_IMMEDIATE, NULL);

    hammer_expect(rc == LIDO_OK || rc == LIDO_IN_TXN || rc == LIDO_NO_CONNECTION ||
                      rc == LIDO_STALE,
                  "a begin answered %s", lido_status_name(rc));
    if (rc != LIDO_OK || hammer_random(random, 3) == 0)
        return; /* the check-in ends it */
    rc = lido_txn_commit(conn, NULL, NULL);
    hammer_expect(rc == LIDO_OK ||
                      (share->is_mixed && (rc == LIDO_TXN_OVER || rc == LIDO_NO_TXN)),
                  "a commit answered %s", lido_status_name(rc));
}

static void hang_on(struct share *share, const struct lido_conn *conn)
{
    int rc = lido_conn_set_info(conn, make(share), destroy, NULL);

    hammer_expect(rc == LIDO_OK || rc == LIDO_STALE, "info: %s", lido_status_name(rc));
    lido_conn_set_record_info(conn, make(share), destroy, NULL);
    rc = lido_conn_add_finalizer(conn, finish, make(share), destroy, NULL);
    hammer_expect(rc == LIDO_OK || rc == LIDO_STALE || rc == LIDO_NO_CONNECTION,
                  "a finalizer: %s", lido_status_name(rc));
}

static void go_away(struct share *share, struct lido_conn *conn)
{
    void *handle;
    int rc = lido_conn_steal(conn, &handle, NULL);

    hammer_expect(rc == LIDO_OK || rc == LIDO_SHARED || rc == LIDO_STALE ||
                      rc == LIDO_NO_CONNECTION,
                  "a steal answered %s", lido_status_name(rc));
    if (rc != LIDO_OK) {
        give(conn);
        return;
    }
    rc = lido_conn_adopt(conn, share->pool, handle, NULL);
    hammer_expect(rc == LIDO_OK, "an adoption answered %s", lido_status_name(rc));
    give(conn);
    fake_driver_close(handle);
}

/* Somebody else, or this thread later, ends it. */
static void pass_on(struct share *share, const struct lido_conn *conn)
{
    struct lido_conn *box = malloc(sizeof *box), *other;

    if (box == NULL)
        abort();
    lido_txn_rollback(conn, NULL); /* nobody can wait for one that lies about */
    *box = *conn;
    other = atomic_exchange(&share->passed_on, box);
    if (other == NULL)
        return;
    give(other);
    free(other);
}

static void end(struct share *share, struct lido_conn *conn, uint64_t *random)
{
    int rc = LIDO_OK;

    switch (hammer_random(random, 14)) {
    case 0: rc = lido_conn_invalidate(conn, NULL, NULL); break;
    case 1: rc = lido_conn_invalidate_pool(conn, NULL, NULL); break;
    case 2: rc = lido_conn_invalidate_soft(conn, NULL, NULL); break;
    case 3: rc = lido_conn_detach(conn, NULL); break;
    case 4: rc = lido_pool_dispose(share->pool, NULL); break;
    case 5: rc = lido_pool_tidy(share->pool, NULL); break;
    case 6: pass_on(share, conn); return;
    case 7: pass_on(share, conn); return;
    case 8: go_away(share, conn); return;
    default: break;
    }
    hammer_expect(rc == LIDO_OK || rc == LIDO_STALE || rc == LIDO_SHARED ||
                      rc == LIDO_NO_CONNECTION,
                  "a lease was ended with %s", lido_status_name(rc));
    give(conn);
}

static void work(struct share *share, uint64_t *random)
{
    dice = random;
    for (int i = 0; i < share->rounds; i++) {
        struct lido_conn conns[3] = { LIDO_CONN_INIT, LIDO_CONN_INIT, LIDO_CONN_INIT };
        unsigned count = 1 + hammer_random(random, 3);

        for (unsigned n = 0; n < count; n++) {
            if (!take(share, &conns[n], random))
                continue;
            hang_on(share, &conns[n]);
            hammer_pause(random);
            transact(share, &conns[n], random);
        }
        for (unsigned n = 0; n < count; n++)
            if (conns[n].cell != NULL)
                end(share, &conns[n], random);
    }
    dice = NULL;
    atomic_fetch_sub(&share->working, 1);
}

static void read_all(struct share *share)
{
    while (atomic_load(&share->working) > 0) {
        struct lido_pool_stats stats = LIDO_POOL_STATS_INIT;

        hammer_expect(lido_pool_stats(share->pool, &stats, NULL) == LIDO_OK, "stats");
        hammer_expect(stats.idle + stats.out == stats.live && stats.disowned >= 0 &&
                          stats.detached >= 0,
                      "%lld idle, %lld out, %lld live, %lld disowned, %lld detached",
                      (long long)stats.idle, (long long)stats.out, (long long)stats.live,
                      (long long)stats.disowned, (long long)stats.detached);
    }
}

static void run(void *ctx, int number, uint64_t *random)
{
    if (number < WORKERS)
        work(ctx, random);
    else
        read_all(ctx);
}

static void check_and_close(struct share *share, const char *url)
{
    struct lido_conn *left = atomic_exchange(&share->passed_on, NULL);
    struct lido_pool_stats stats = LIDO_POOL_STATS_INIT;

    if (left != NULL)
        give(left);
    free(left);
    lido_pool_stats(share->pool, &stats, NULL);
    hammer_expect(stats.out == 0 && stats.detached == 0 && stats.disowned == 0,
                  "%s: %lld out, %lld detached, %lld disowned", url, (long long)stats.out,
                  (long long)stats.detached, (long long)stats.disowned);
    hammer_expect(stats.checkouts == stats.checkins, "%s: %llu checkouts, %llu checkins",
                  url, (unsigned long long)stats.checkouts,
                  (unsigned long long)stats.checkins);
    hammer_expect(lido_pool_close(share->pool, 0, NULL) == LIDO_OK, "close");
    lido_pool_free(share->pool);
    hammer_expect(fake_driver_open_count() == 0, "%s: %d connections leaked", url,
                  fake_driver_open_count());
    hammer_expect(share->made == share->destroyed, "%s: %ld of %ld destroyed", url,
                  share->destroyed, share->made);
}

static void hammer_one(const char *url, int rounds)
{
    struct share share = { .rounds = rounds,
                           .is_mixed = strstr(url, "shared_transaction") != NULL,
                           .working = WORKERS };

    fake_driver_install();
    now = &share;
    share.pool = hammer_open(url);
    if (lido_hooks_add(lido_pool_hooks(share.pool), NULL, &by_chance, NULL, NULL, NULL) !=
        LIDO_OK)
        abort();
    hammer_run(WORKERS + 1, run, &share);
    check_and_close(&share, url);
}

void phase_share(void)
{
    hammer_one("fake:///x?pool=static", hammer_rounds(400));
    hammer_one("fake:///x?pool=static&shared_transaction=1", hammer_rounds(200));
    hammer_one("fake:///x?pool=singleton_thread&pool_size=2", hammer_rounds(400));
    hammer_one("fake:///x?pool=queue&use_threadlocal=1&pool_size=4&max_overflow=-1",
               hammer_rounds(400));
    hammer_one("fake:///x?pool=null&use_threadlocal=1", hammer_rounds(200));
}
