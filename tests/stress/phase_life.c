/* SPDX-License-Identifier: MIT */
/*
 * Phase life: connections are invalidated, detached, marked and disposed of while others are
 * lent; threads come and go and leave leases behind; threads share one connection and take
 * turns with its transaction.
 *
 * Threads: six, all alike.
 */
#include "tests/stress/hammer.h"

#define THREADS 6

struct life {
    lido_pool *pool;
    int rounds;
    bool leaves; /* now and then a lease behind, at the end of the thread */
    atomic_int commits;
};

/* Ends the lease in one of many ways. */
static void end(struct life *life, struct lido_conn *conn, uint64_t *random)
{
    int rc = LIDO_OK;

    switch (hammer_random(random, 10)) {
    case 0: rc = lido_conn_invalidate(conn, NULL, NULL); break;
    case 1: rc = lido_conn_invalidate_pool(conn, NULL, NULL); break;
    case 2: rc = lido_conn_invalidate_soft(conn, NULL, NULL); break;
    case 3: rc = lido_conn_detach(conn, NULL); break;
    case 4: rc = lido_pool_dispose(life->pool, NULL); break;
    default: break;
    }
    hammer_expect(rc == LIDO_OK, "a lease was ended with %s", lido_status_name(rc));
    rc = lido_conn_checkin(conn, NULL, NULL);
    hammer_expect(rc == LIDO_OK || rc == LIDO_STALE, "a check-in answered %s",
                  lido_status_name(rc));
}

static void live(void *ctx, int number, uint64_t *random)
{
    struct life *life = ctx;

    (void)number;
    for (int i = 0; i < life->rounds; i++) {
        struct lido_conn conn;
        int rc = lido_pool_checkout(life->pool, &conn, NULL, NULL);

        if (rc == LIDO_CHECKED_OUT)
            continue;
        hammer_expect(rc == LIDO_OK, "a checkout answered %s", lido_status_name(rc));
        if (rc != LIDO_OK)
            return;
        bare_hold(&conn);
        hammer_pause(random);
        bare_let_go(&conn);
        if (life->leaves && i + 1 == life->rounds && hammer_random(random, 2) == 0)
            return;
        end(life, &conn, random);
    }
}

static void check_and_close(struct life *life)
{
    struct lido_pool_stats stats = LIDO_POOL_STATS_INIT;

    lido_pool_stats(life->pool, &stats, NULL);
    hammer_expect(stats.out == 0 && stats.detached == 0 && stats.disowned == 0,
                  "%lld out, %lld detached, %lld disowned", (long long)stats.out,
                  (long long)stats.detached, (long long)stats.disowned);
    hammer_expect(stats.checkouts == stats.checkins, "%llu checkouts, %llu checkins",
                  (unsigned long long)stats.checkouts, (unsigned long long)stats.checkins);
    hammer_expect(lido_pool_close(life->pool, 0, NULL) == LIDO_OK, "close");
    lido_pool_free(life->pool);
}

static void hammer_kind(const char *url, int rounds)
{
    struct life life = { .rounds = rounds };

    life.pool = hammer_open(url);
    hammer_run(THREADS, live, &life);
    check_and_close(&life);
    hammer_expect(bare_driver_open_count() == 0, "%d connections leaked",
                  bare_driver_open_count());
}

static void hammer_threads(int rounds)
{
    struct lido_pool_options options = LIDO_POOL_OPTIONS_INIT;
    struct life life = { .rounds = 5, .leaves = true };

    options.pool_size = 2;
    if (lido_pool_open(&life.pool, "bare:///x?pool=singleton_thread", &options, NULL) !=
        LIDO_OK) {
        hammer_expect(false, "no pool");
        return;
    }
    for (int i = 0; i < rounds; i++)
        hammer_run(THREADS, live, &life);
    check_and_close(&life);
    hammer_expect(bare_driver_open_count() == 0, "%d connections leaked",
                  bare_driver_open_count());
}

static int add_one(sqlite3 *db)
{
    return sqlite3_exec(db, "UPDATE t SET x = x + 1", NULL, NULL, NULL);
}

static void take_turns(void *ctx, int number, uint64_t *random)
{
    struct life *life = ctx;

    (void)number;
    for (int i = 0; i < life->rounds; i++) {
        struct lido_conn conn;
        int rc = lido_pool_checkout(life->pool, &conn, NULL, NULL);

        if (rc == LIDO_OK)
            rc = lido_txn_begin(&conn, LIDO_IMMEDIATE, NULL);
        if (rc == LIDO_OK)
            rc = add_one(lido_conn_sqlite(&conn));
        hammer_pause(random);
        if (rc == LIDO_OK && hammer_random(random, 3) > 0) {
            rc = lido_txn_commit(&conn, NULL, NULL);
            atomic_fetch_add(&life->commits, rc == LIDO_OK);
        } /* else the check-in rolls back */
        hammer_expect(rc == LIDO_OK, "a transaction answered %s", lido_status_name(rc));
        hammer_expect(lido_conn_checkin(&conn, NULL, NULL) == LIDO_OK, "a check-in failed");
    }
}

static void hammer_shared(int rounds)
{
    struct life life = { .rounds = rounds };
    struct lido_conn conn;
    sqlite3_stmt *stmt = NULL;

    life.pool = hammer_open("sqlite://?pool=static&timeout=60");
    if (lido_pool_checkout(life.pool, &conn, NULL, NULL) != LIDO_OK) {
        hammer_expect(false, "no connection");
        return;
    }
    sqlite3_exec(lido_conn_sqlite(&conn), "CREATE TABLE t (x); INSERT INTO t VALUES (0)",
                 NULL, NULL, NULL);
    hammer_run(THREADS, take_turns, &life);
    sqlite3_prepare_v2(lido_conn_sqlite(&conn), "SELECT x FROM t", -1, &stmt, NULL);
    hammer_expect(sqlite3_step(stmt) == SQLITE_ROW &&
                      sqlite3_column_int(stmt, 0) == life.commits,
                  "%d instead of %d", sqlite3_column_int(stmt, 0), life.commits);
    sqlite3_finalize(stmt);
    lido_conn_checkin(&conn, NULL, NULL);
    check_and_close(&life);
}

void phase_life(void)
{
    bare_driver_install();
    hammer_kind("bare:///x?pool=queue&pool_size=2&max_overflow=2", hammer_rounds(1000));
    hammer_kind("bare:///x?pool=queue&order=fifo&pool_size=2", hammer_rounds(500));
    hammer_kind("bare:///x?pool=queue&order=lifo&pool_size=1&max_overflow=1&idle_timeout=0",
                hammer_rounds(500));
    hammer_kind("bare:///x?pool=null", hammer_rounds(500));
    hammer_kind("bare:///x?pool=assertion", hammer_rounds(1000));
    hammer_threads(hammer_rounds(30));
    hammer_shared(hammer_rounds(300));
}
