/* SPDX-License-Identifier: MIT */
#ifndef LIDO_POOL_CANCEL_H
#define LIDO_POOL_CANCEL_H

/*
 * A token, and who is asleep and to be woken when it is fired.
 *
 * How a sleeper is woken is its own affair: one in a pool is a lido__pool_sleeper, and what
 * lies above the pools has others.
 *
 * Threads: `fired` is any thread's; a list wants its lock, which is taken before a pool's.
 */
#include "base/sync.h"
#include "pool/waiters.h"
#include <lido/cancel.h>

/* A call that may sleep, on its own stack. */
struct lido__sleeper {
    void (*wake)(struct lido__sleeper *sleeper); /* under the lock of its list */
    struct lido__sleeper *next;
    struct lido__sleeper **link; /* what points to it */
};

/* Those who are woken together. */
struct lido__sleepers {
    struct lido__mutex lock; /* guards first; rank LIDO_RANK_CANCEL */
    struct lido__sleeper *first;
};
void lido__sleepers_init(struct lido__sleepers *sleepers);
void lido__sleepers_fini(struct lido__sleepers *sleepers);
/* `sleepers` NULL: nothing happens.  A sleeper that was removed is not being woken either. */
void lido__sleepers_add(struct lido__sleepers *sleepers, struct lido__sleeper *sleeper);
void lido__sleepers_remove(struct lido__sleepers *sleepers, struct lido__sleeper *sleeper);
void lido__sleepers_wake(struct lido__sleepers *sleepers);

struct lido_cancel {
    lido__word fired; /* not 0: it was */
    struct lido__sleepers sleepers;
};

/* One that waits on a pool. */
struct lido__pool_sleeper {
    struct lido__sleeper common; /* the first: its `wake` is given this */
    lido_pool *pool;
    struct lido__waiter *waiter; /* while it stands in line; guarded by the pool's lock */
};

/* NULL: no token, never fired. */
static inline bool lido__cancel_is_fired(const lido_cancel *cancel)
{
    return cancel != NULL && lido__observe(&cancel->fired) != 0;
}

/* From now on it is woken.  Who listens looks at the token afterwards, under the pool's lock,
   before it sleeps.  NULL: nothing happens. */
void lido__cancel_listen(lido_cancel *cancel, struct lido__pool_sleeper *sleeper,
                         lido_pool *pool);
void lido__cancel_unlisten(lido_cancel *cancel, struct lido__pool_sleeper *sleeper);

#endif
