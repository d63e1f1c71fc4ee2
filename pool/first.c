/* SPDX-License-Identifier: MIT */
/*
 * first_connect runs once per pool: who opens the first connection runs it, who opens
 * another meanwhile waits, because connect hooks may rely on what it did.  Who comes while it
 * runs waits before claiming a slot (pool/slots.c); here waits who has one already.  If it
 * fails the next one runs it again.  A connection that its own first_connect hook opens (a
 * checkout inside the hook) does not wait for itself.
 *
 * Who stands in line is not served meanwhile, but for who runs it: he would hold the slot that
 * the hook needs, and wait for the hook.
 *
 * Threads: the record is the caller's.  No lock is held on entry, and none while a hook runs.
 */
#include "pool/pool.h"

/* Waits for another thread's first_connect.  True if this thread is to run it. */
static int claim_first(lido_pool *pool, struct lido__patience patience, bool *is_mine,
                       struct lido_error *err)
{
    struct lido__pool_sleeper sleeper;
    bool is_void = false;
    int rc = LIDO_OK;

    *is_mine = false;
    lido__cancel_listen(patience.cancel, &sleeper, pool);
    lido__mutex_lock(&pool->lock);
    while (rc == LIDO_OK && lido__first_is_others_locked(pool))
        if (lido__cancel_is_fired(patience.cancel))
            rc = LIDO_CANCELLED;
        else if (!lido__bell_wait_locked(&pool->first_ran, &pool->lock, pool->config.clock,
                                         patience.deadline_ns))
            rc = LIDO_POOL_TIMEOUT;
    if (rc == LIDO_OK &&
        (pool->first == LIDO__FIRST_TO_COME || pool->first == LIDO__FIRST_CLAIMED)) {
        /* With no hook there is nothing that others would have to wait for. */
        *is_mine = lido__hooks_want(&pool->hooks, LIDO__FIRST_CONNECT);
        pool->first = *is_mine ? LIDO__FIRST_RUNNING : LIDO__FIRST_DONE;
        pool->first_runner = lido__thread();
        is_void = !*is_mine;
        if (is_void)
            lido__bell_ring_locked(&pool->first_ran);
    }
    pool->counts.timeouts += rc == LIDO_POOL_TIMEOUT;
    lido__mutex_unlock(&pool->lock);
    lido__cancel_unlisten(patience.cancel, &sleeper);
    if (is_void)
        lido__slots_serve(pool);
    if (rc != LIDO_OK)
        lido_fail(err, rc, "the first_connect hook of another thread did not end %s",
                  rc == LIDO_CANCELLED ? "before the wait was cancelled" : "in time");
    return rc;
}

void lido__first_claim_locked(lido_pool *pool, const struct lido_record *record,
                              uint64_t thread)
{
    if (pool->first != LIDO__FIRST_TO_COME || record->handle != NULL ||
        !lido__hooks_want(&pool->hooks, LIDO__FIRST_CONNECT))
        return;
    pool->first = LIDO__FIRST_CLAIMED;
    pool->first_runner = thread;
}

int lido__first_run(lido_pool *pool, struct lido_record *record,
                    struct lido__patience patience, struct lido_error *err)
{
    bool is_mine;
    int rc = claim_first(pool, patience, &is_mine, err);

    if (rc != LIDO_OK || !is_mine)
        return rc;
    rc = lido__record_fire(pool, record, LIDO__FIRST_CONNECT, NULL, err);
    lido__mutex_lock(&pool->lock);
    pool->first = rc == LIDO_OK ? LIDO__FIRST_DONE : LIDO__FIRST_TO_COME;
    lido__bell_ring_locked(&pool->first_ran);
    lido__mutex_unlock(&pool->lock);
    lido__slots_serve(pool);
    return rc;
}

/* The connection of the one who was to run first_connect did not open. */
void lido__first_unclaim(lido_pool *pool)
{
    bool was_mine;

    lido__mutex_lock(&pool->lock);
    was_mine = pool->first == LIDO__FIRST_CLAIMED && pool->first_runner == lido__thread();
    if (was_mine) {
        pool->first = LIDO__FIRST_TO_COME;
        lido__bell_ring_locked(&pool->first_ran);
    }
    lido__mutex_unlock(&pool->lock);
    if (was_mine)
        lido__slots_serve(pool);
}
