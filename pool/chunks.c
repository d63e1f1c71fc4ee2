/* SPDX-License-Identifier: MIT */
/*
 * Where a pool's slots come from: chunks of eight, linked when the pool needs more and
 * given back when it is destroyed.  A list of slots runs through all chunks, the newest
 * first; once linked its links never change, so it is walked without a lock.
 *
 * Threads: any.
 */
#include "pool/pool.h"
#include "pool/slab.h"

#define SLOTS_PER_CHUNK 8

struct chunk {
    struct lido_record slots[SLOTS_PER_CHUNK];
};

/* A free chunk's link stands where no stale lease looks: in its first slot's `handle`. */
static struct lido__slab chunks = {
    .lock = LIDO_MUTEX_INIT(LIDO_RANK_SLAB),
    .size = sizeof(struct chunk),
    .link = offsetof(struct lido_record, handle),
};

bool lido__slots_grow(lido_pool *pool)
{
    bool is_new;
    struct chunk *chunk = lido__slab_take(&chunks, &is_new);

    if (chunk == NULL)
        return false;
    for (int i = 0; i < SLOTS_PER_CHUNK; i++) {
        struct lido_record *slot = &chunk->slots[i];

        if (is_new)
            lido__write(&slot->word, lido__slot_word(1, LIDO__VACANT));
        slot->pool = pool;
        slot->handle = NULL;
        slot->next = slot + 1;
        lido__write(&slot->checkouts, 0);
        lido__write(&slot->checkins, 0);
    }
    lido__mutex_lock(&pool->lock);
    chunk->slots[SLOTS_PER_CHUNK - 1].next = lido__slots_first(pool);
    atomic_store_explicit(&pool->chunks, chunk->slots, memory_order_release);
    lido__mutex_unlock(&pool->lock);
    return true;
}

void lido__slots_give_back(lido_pool *pool)
{
    struct lido_record *first = lido__slots_first(pool);

    atomic_store_explicit(&pool->chunks, NULL, memory_order_release);
    while (first != NULL) {
        struct lido_record *next = first[SLOTS_PER_CHUNK - 1].next;

        lido__slab_give(&chunks, first);
        first = next;
    }
}
