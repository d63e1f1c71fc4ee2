/* SPDX-License-Identifier: MIT */
#ifndef LIDO_POOL_HOLDERS_H
#define LIDO_POOL_HOLDERS_H

/*
 * What leases tell of themselves, for lists, for texts, and for the search for rings.
 *
 * Threads: any.
 */
#include "pool/pool.h"
#include "pool/ring.h"

/* ", longest held: ..." for the text of a time-out. */
void lido__holders_describe(lido_pool *pool, char *text, size_t size);
/* What a lease tells of itself; false if it has ended, or is telling it. */
bool lido__holder_read(struct lido__cell *cell, int64_t now_ns, struct lido_holder *out);
/* `lead`, thread, label, age and place; how long that is. */
size_t lido__holder_describe(const struct lido_holder *holder, const char *lead, char *text,
                             size_t size);

/* Every cell that may be a lease: those of the slots, and those that share. */
struct lido__cell *lido__holders_first(const lido_pool *pool);
struct lido__cell *lido__holders_next(const lido_pool *pool, struct lido__cell *cell);
/* True if `owner`, which has the lease, has ended, and nobody else may use it. */
bool lido__holder_is_gone(const struct lido__cell *cell, uint64_t owner);

/* lido__ring_add() of the thread that has the lease; false also if the lease has ended. */
bool lido__holder_add(struct lido__ring *ring, struct lido__cell *cell);

/* One that waits in a pool's line. */
struct lido__line_wait {
    struct lido__blocked blocked; /* the first: its `ask` is given this */
    lido_pool *pool;
    const struct lido__waiter *waiter;
};
/* For `ask`: the line moves on when any lease ends that counts against the limit. */
bool lido__holders_ask(const struct lido__blocked *blocked, struct lido__ring *ring);

#endif
