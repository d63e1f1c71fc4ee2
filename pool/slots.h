/* SPDX-License-Identifier: MIT */
#ifndef LIDO_POOL_SLOTS_H
#define LIDO_POOL_SLOTS_H

/*
 * What the two halves of the slots share: claiming (pool/slots.c) and coming free
 * (pool/release.c).
 */
#include "pool/pool.h"

/* The only way out of the lock: what it guards adds up. */
static inline void lido__pool_unlock(lido_pool *pool)
    LIDO_TSA(release_capability(pool->lock))
{
    assert(lido__pool_is_sound_locked(pool));
    lido__mutex_unlock(&pool->lock);
}

static inline bool lido__slot_is_idle(const struct lido_record *record)
{
    return lido__slot_state(lido__read(&record->own.word)) == LIDO__IDLE;
}

/* In the pool's order; with `any` the first there is, which others may take meanwhile. */
struct lido_record *lido__slot_claim_idle_locked(lido_pool *pool)
    LIDO_TSA(requires_capability(pool->lock));
/* A vacant slot, LENT, of that standing.  The caller counts it. */
struct lido_record *lido__slot_take_vacant_locked(lido_pool *pool,
                                                  enum lido__standing standing)
    LIDO_TSA(requires_capability(pool->lock));
/* The same as a member, while the pool may grow. */
struct lido_record *lido__slot_claim_vacant_locked(lido_pool *pool)
    LIDO_TSA(requires_capability(pool->lock));

/* The oldest waiter whose time is not up, or NULL. */
struct lido__waiter *lido__waiter_next_locked(const lido_pool *pool)
    LIDO_TSA(requires_capability(pool->lock));
/* Gives what is free to those who wait, the oldest first, and puts them on the list of those
   to be woken. */
void lido__slots_serve_locked(lido_pool *pool, struct lido__waiter ***woken)
    LIDO_TSA(requires_capability(pool->lock));
void lido__waiters_wake(struct lido__waiter *woken);

#endif
