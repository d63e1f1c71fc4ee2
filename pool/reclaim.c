/* SPDX-License-Identifier: MIT */
/*
 * Leases of threads that have ended.
 *
 * Such a lease is nobody's: by its thread's name nothing is done any more (base/lives.h), and
 * no other thread may use it before a hand-over.  Who reclaims makes it RETURNING, and goes on
 * as a check-in does.  Both that and a hand-over are under the pool's lock, so of two threads
 * that want a lease one finds that it has ended, or that its thread is alive.
 *
 * Its transaction is half done, so it is rolled back as that of a lease that was to stop, also
 * where the pool would commit.  A token of the lease is not looked at: it may be gone.
 *
 * A run that ended with its thread had the write gate before its lease, and never leaves it:
 * that is given back last.
 *
 * Threads: any.
 */
#include "pool/holders.h"

/* Makes it RETURNING to the caller.  Not one whose thread ended inside SQLite, or whose handle
   is the host's.  The swap is of the lease that was looked at: its thread may give it back, and
   end, while this looks. */
static bool end_locked(const lido_pool *pool, struct lido__cell *cell)
    LIDO_TSA(requires_capability(pool->lock))
{
    uint64_t generation = lido__observe(&cell->told);

    return generation != 0 && lido__lease_is_good(cell, generation) &&
           lido__cell_record(cell)->pool == pool &&
           lido__holder_is_gone(cell, lido__observe(&cell->owner)) &&
           lido__read(&cell->stepping) == 0 &&
           !lido__record_is(lido__cell_record(cell), LIDO__ADOPTED) &&
           lido__cell_try(cell, lido__slot_word(generation, LIDO__LENT), LIDO__RETURNING);
}

/* NULL: there is none any more. */
static struct lido__cell *end_next(lido_pool *pool)
{
    struct lido__cell *at;

    lido__mutex_lock(&pool->lock);
    at = lido__holders_first(pool);
    while (at != NULL && !end_locked(pool, at))
        at = lido__holders_next(pool, at);
    if (at != NULL) {
        if (pool->sharing == LIDO__SHARE_THREAD)
            lido__cell_record(at)->thread = 0; /* kept for nobody */
        pool->counts.reclaimed++;
    }
    lido__mutex_unlock(&pool->lock);
    return at;
}

int lido_pool_reclaim(lido_pool *pool, int64_t *reclaimed, struct lido_error *err)
{
    struct lido__cell *cell;
    int64_t count = 0;
    int rc = LIDO_OK, later;

    if (reclaimed != NULL)
        *reclaimed = 0;
    if (pool == NULL)
        return lido_fail(err, SQLITE_MISUSE, "no pool was given");
    if (lido__is_forked())
        return lido__fail_forked(err);
    for (; (cell = end_next(pool)) != NULL; count++) {
        lido__log(pool, LIDO_LOG_WARN, "a lease was reclaimed whose thread has ended");
        lido__lease_condemn(cell);
        later = lido__lease_return(cell, false, rc == LIDO_OK ? err : NULL);
        rc = rc != LIDO_OK ? rc : later;
    }
    if (pool->config.gates != NULL)
        pool->config.gates->reclaim(pool); /* now that its transaction is over */
    if (reclaimed != NULL)
        *reclaimed = count;
    return rc;
}
