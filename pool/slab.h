/* SPDX-License-Identifier: MIT */
#ifndef LIDO_POOL_SLAB_H
#define LIDO_POOL_SLAB_H

/*
 * Memory that stays what it is.
 *
 * Slots and pools are taken from here and given back, but never to the system: at such an
 * address there is a slot, or a pool, for the life of the process.  That is what makes it
 * safe to look at a stale lease, and at a pool that the look may have come too late for.
 *
 * It does not come from SQLite's allocator: it outlives sqlite3_shutdown().
 */
#include "base/sync.h"
#include <stddef.h>

struct lido__slab {
    struct lido__mutex lock; /* guards free */
    void *free;              /* linked through the pointer at `link` of each piece */
    size_t size;             /* of a piece, a multiple of 64; constant */
    size_t link;             /* where in a piece the link may stand while it is free */
};

/* A piece as it was given back, or zeroed if new (*is_new); NULL if memory is out.  Its
   alignment is 64. */
void *lido__slab_take(struct lido__slab *slab, bool *is_new);
void lido__slab_give(struct lido__slab *slab, void *piece);

#endif
