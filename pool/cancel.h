/* SPDX-License-Identifier: MIT */
#ifndef LIDO_POOL_CANCEL_H
#define LIDO_POOL_CANCEL_H

/*
 * A token, and who is asleep and to be woken when it is fired.
 *
 * Threads: `fired` is any thread's; the list wants the token's lock, which is taken before a
 * pool's.
 */
#include "base/sync.h"
#include "pool/waiters.h"
#include <lido/cancel.h>

/* A call that may wait on a pool, on its own stack. */
struct lido__sleeper {
    lido_pool *pool;
    struct lido__waiter *waiter; /* while it stands in line; guarded by the pool's lock */
    struct lido__sleeper *next;
    struct lido__sleeper **link; /* what points to it */
};

struct lido_cancel {
    lido__word fired;        /* not 0: it was */
    struct lido__mutex lock; /* guards sleepers; rank LIDO_RANK_CANCEL */
    struct lido__sleeper *sleepers;
};

/* NULL: no token, never fired. */
static inline bool lido__cancel_is_fired(const lido_cancel *cancel)
{
    return cancel != NULL && lido__observe(&cancel->fired) != 0;
}

/* From now on it is woken.  Who listens looks at the token afterwards, under the pool's lock,
   before it sleeps.  NULL: nothing happens. */
void lido__cancel_listen(lido_cancel *cancel, struct lido__sleeper *sleeper,
                         lido_pool *pool);
void lido__cancel_unlisten(lido_cancel *cancel, struct lido__sleeper *sleeper);

#endif
