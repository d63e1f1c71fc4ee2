/* SPDX-License-Identifier: MIT */
/*
 * Phase cancel: tokens are fired and leases are cancelled at random, while they are checked
 * out, used and checked in on few connections.
 *
 * A user who was not meant is never hit: its statements succeed, its checkouts too.  One that
 * was meant gets LIDO_CANCELLED, and SQLITE_INTERRUPT from raw SQL, and nothing else.  Copies
 * of leases are cancelled that may have ended meanwhile, on slots that others have by then.
 *
 * Threads: users, and cancellers that aim at them.
 */
#include "tests/stress/hammer.h"

#include <pthread.h>
#include <stdlib.h>

#define USERS      4
#define CANCELLERS 2

/* More than a thousand steps of SQLite's machine, so that its progress handler is asked. */
#define SOME_SQL                                                                           \
    "WITH RECURSIVE c(x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM c LIMIT 300) "         \
    "SELECT count(*) FROM c"

struct target {
    lido_cancel *token;
    pthread_mutex_t lock;  /* guards conn */
    struct lido_conn conn; /* its lease, or the one before */
};

struct cancelling {
    lido_pool *pool;
    int rounds;
    bool runs_raw;
    struct target targets[USERS];
    atomic_int users; /* that are at it */
    atomic_int hits;
};

/* Fires at one that is meant; half of the users never are. */
static void aim(struct cancelling *ctx, uint64_t *random)
{
    struct target *target = &ctx->targets[hammer_random(random, USERS / 2)];
    struct lido_conn conn;
    int rc;

    if (hammer_random(random, 2) == 0) {
        lido_cancel_fire(target->token, NULL);
        return;
    }
    pthread_mutex_lock(&target->lock);
    conn = target->conn;
    pthread_mutex_unlock(&target->lock);
    rc = lido_conn_cancel(&conn, NULL);
    hammer_expect(rc == LIDO_OK || rc == LIDO_STALE, "cancel answered %s",
                  lido_status_name(rc));
}

static void cancel(struct cancelling *ctx, uint64_t *random)
{
    while (atomic_load(&ctx->users) > 0) {
        aim(ctx, random);
        hammer_pause(random);
    }
}

/* What a user's call answered: `ok`, or if it is one that is meant, a cancelling. */
static bool is_fine(struct cancelling *ctx, bool is_meant, int rc, const char *what)
{
    bool is_hit = (rc & 0xff) == SQLITE_INTERRUPT;

    hammer_expect(rc == LIDO_OK || (is_meant && is_hit), "%s of %s answered %s", what,
                  is_meant ? "one who was meant" : "another", lido_status_name(rc));
    if (is_hit)
        atomic_fetch_add_explicit(&ctx->hits, 1, memory_order_relaxed);
    return rc == LIDO_OK;
}

static void use_once(struct cancelling *ctx, int number, uint64_t *random)
{
    struct lido_checkout_options options = LIDO_CHECKOUT_OPTIONS_INIT;
    struct target *target = &ctx->targets[number];
    const bool is_meant = number < USERS / 2;
    struct lido_conn conn;
    int rc;

    options.timeout_ms = LIDO_TIMEOUT_FOREVER;
    options.cancel = target->token;
    if (!is_fine(ctx, is_meant, lido_pool_checkout(ctx->pool, &conn, &options, NULL),
                 "a checkout"))
        return;
    pthread_mutex_lock(&target->lock);
    target->conn = conn;
    pthread_mutex_unlock(&target->lock);
    if (ctx->runs_raw && hammer_random(random, 2) == 0)
        rc = sqlite3_exec(lido_conn_sqlite(&conn), SOME_SQL, NULL, NULL, NULL);
    else
        rc = lido_conn_exec(&conn, SOME_SQL, NULL);
    is_fine(ctx, is_meant, rc, "a statement");
    if (hammer_random(random, 4) == 0) {
        rc = lido_txn_begin(&conn, LIDO_DEFERRED, NULL);
        if (is_fine(ctx, is_meant, rc, "a begin")) {
            rc = lido_conn_exec(&conn, SOME_SQL, NULL);
            is_fine(ctx, is_meant, rc, "a statement in a transaction");
            rc = lido_txn_rollback(&conn, NULL);
            hammer_expect(rc == LIDO_OK, "rollback answered %s", lido_status_name(rc));
        }
    }
    rc = lido_conn_checkin(&conn, NULL, NULL);
    hammer_expect(rc == LIDO_OK, "check-in answered %s", lido_status_name(rc));
    if (hammer_random(random, 2) == 0)
        lido_cancel_reset(target->token);
}

static void run(void *ctx_, int number, uint64_t *random)
{
    struct cancelling *ctx = ctx_;

    if (number >= USERS) {
        cancel(ctx, random);
        return;
    }
    for (int i = 0; i < ctx->rounds; i++)
        use_once(ctx, number, random);
    atomic_fetch_sub(&ctx->users, 1);
}

static void hammer_one(const char *url, bool runs_raw, int rounds)
{
    struct cancelling ctx = { .rounds = rounds, .runs_raw = runs_raw };

    ctx.pool = hammer_open(url);
    atomic_store(&ctx.users, USERS);
    for (int i = 0; i < USERS; i++) {
        pthread_mutex_init(&ctx.targets[i].lock, NULL);
        if (lido_cancel_new(&ctx.targets[i].token, NULL) != LIDO_OK)
            abort();
    }
    hammer_run(USERS + CANCELLERS, run, &ctx);
    hammer_expect(atomic_load(&ctx.hits) > 0, "%s: nobody was hit", url);
    for (int i = 0; i < USERS; i++) {
        lido_cancel_free(ctx.targets[i].token);
        pthread_mutex_destroy(&ctx.targets[i].lock);
    }
    hammer_expect(lido_pool_close(ctx.pool, 0, NULL) == LIDO_OK, "close");
    lido_pool_free(ctx.pool);
}

void phase_cancel(void)
{
    hammer_one("sqlite:///file:/hammer-cancel?uri=1&vfs=memdb&pool=queue&pool_size=2"
               "&max_overflow=0",
               true, hammer_rounds(4000));
    hammer_one("sqlite:///file:/hammer-cancel?uri=1&vfs=memdb&pool=queue&pool_size=1"
               "&max_overflow=0&order=fifo",
               true, hammer_rounds(2000));
    hammer_one("sqlite://?pool=static", false, hammer_rounds(2000));
    hammer_one("sqlite://?pool=singleton_thread", true, hammer_rounds(2000));
}
