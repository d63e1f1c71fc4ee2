/* SPDX-License-Identifier: MIT */
/*
 * Type-stable memory: free lists whose pieces never go back to the system.
 *
 * The link stands at a place of its own in each piece, so that what a late reader looks at
 * is not overwritten by being free.
 *
 * Threads: any.
 */
#include "pool/slab.h"

#include <stdlib.h>
#include <string.h>

static void **link_of(const struct lido__slab *slab, void *piece)
{
    return (void **)(void *)((char *)piece + slab->link);
}

void *lido__slab_take(struct lido__slab *slab, bool *is_new)
{
    void *piece;

    lido__mutex_lock(&slab->lock);
    piece = slab->free;
    if (piece != NULL)
        slab->free = *link_of(slab, piece);
    lido__mutex_unlock(&slab->lock);
    *is_new = piece == NULL;
    if (piece == NULL) {
        piece = aligned_alloc(64, slab->size);
        if (piece != NULL)
            memset(piece, 0, slab->size);
    }
    return piece;
}

void lido__slab_give(struct lido__slab *slab, void *piece)
{
    lido__mutex_lock(&slab->lock);
    *link_of(slab, piece) = slab->free;
    slab->free = piece;
    lido__mutex_unlock(&slab->lock);
}
