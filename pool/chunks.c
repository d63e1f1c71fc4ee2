/* SPDX-License-Identifier: MIT */
/*
 * Where a pool's slots and shared cells come from: chunks of eight, linked when the pool
 * needs more and given back when it is destroyed.  A list runs through all chunks of a sort,
 * the newest first; once linked its links never change, so it is walked without a lock.
 *
 * Threads: any.
 */
#include "pool/pool.h"
#include "pool/slab.h"

#define PER_CHUNK 8

struct slots {
    struct lido_record slots[PER_CHUNK];
};

struct cells {
    struct lido__cell cells[PER_CHUNK];
};

/* A free chunk's link stands where no stale lease looks: in its first slot's `handle`, or
   its first cell's `next`. */
static struct lido__slab slot_slab = {
    .lock = LIDO_MUTEX_INIT(LIDO_RANK_SLAB),
    .size = sizeof(struct slots),
    .link = offsetof(struct lido_record, handle),
};
static struct lido__slab cell_slab = {
    .lock = LIDO_MUTEX_INIT(LIDO_RANK_SLAB),
    .size = sizeof(struct cells),
    .link = offsetof(struct lido__cell, next),
};

static void set_up_cell(struct lido__cell *cell, bool is_new)
{
    if (is_new)
        lido__write(&cell->word, lido__slot_word(1, LIDO__VACANT));
    cell->next = cell + 1;
    lido__write(&cell->checkouts, 0);
    lido__write(&cell->checkins, 0);
}

static void set_up_slot(struct lido_record *slot, lido_pool *pool, bool is_new)
{
    set_up_cell(&slot->own, is_new);
    slot->own.next = NULL;
    lido__cell_set_record(&slot->own, slot);
    slot->pool = pool;
    slot->handle = NULL;
    slot->file_gate = NULL;
    lido__write(&slot->is_in_gate, 0);
    slot->statements = NULL;
    slot->next = slot + 1;
}

bool lido__slots_grow(lido_pool *pool)
{
    bool is_new;
    struct slots *chunk = lido__slab_take(&slot_slab, &is_new);

    if (chunk == NULL)
        return false;
    for (int i = 0; i < PER_CHUNK; i++)
        set_up_slot(&chunk->slots[i], pool, is_new);
    lido__mutex_lock(&pool->lock);
    chunk->slots[PER_CHUNK - 1].next = lido__slots_first(pool);
    atomic_store_explicit(&pool->slots, chunk->slots, memory_order_release);
    lido__mutex_unlock(&pool->lock);
    return true;
}

bool lido__cells_grow(lido_pool *pool)
{
    bool is_new;
    struct cells *chunk = lido__slab_take(&cell_slab, &is_new);

    if (chunk == NULL)
        return false;
    for (int i = 0; i < PER_CHUNK; i++)
        set_up_cell(&chunk->cells[i], is_new);
    lido__mutex_lock(&pool->lock);
    chunk->cells[PER_CHUNK - 1].next = lido__cells_first(pool);
    atomic_store_explicit(&pool->cells, chunk->cells, memory_order_release);
    lido__mutex_unlock(&pool->lock);
    return true;
}

void lido__chunks_give_back(lido_pool *pool)
{
    struct lido_record *slots = lido__slots_first(pool);
    struct lido__cell *cells = lido__cells_first(pool);

    atomic_store_explicit(&pool->slots, NULL, memory_order_release);
    atomic_store_explicit(&pool->cells, NULL, memory_order_release);
    while (slots != NULL) {
        struct lido_record *next = slots[PER_CHUNK - 1].next;

        lido__slab_give(&slot_slab, slots);
        slots = next;
    }
    while (cells != NULL) {
        struct lido__cell *next = cells[PER_CHUNK - 1].next;

        lido__slab_give(&cell_slab, cells);
        cells = next;
    }
}
