/* SPDX-License-Identifier: MIT */
#ifndef LIDO_TXN_GATE_STATE_H
#define LIDO_TXN_GATE_STATE_H

/*
 * A gate's inside: for which there are (txn/gates.c), who lets in (txn/gate.c) and who
 * tells of it (txn/gate_view.c).
 */
#include "pool/pool.h"
#include "txn/gate_file.h"

#define LIDO__GATE_SQL_WORDS 8

struct lido__gate_queue {
    struct lido__gate_wait *oldest;
    struct lido__gate_wait *newest;
    int64_t length;
};

struct lido__gate {
    /* Constant. */
    uint64_t device;
    uint64_t inode;

    lido__word
        file; /* a struct lido__gate_file, as soon as somebody asked for it; 0 before */

    /* What the holder ran last: written by its thread, which counts up before and after. */
    lido__word noted;
    lido__word sql[LIDO__GATE_SQL_WORDS];

    /* Guarded by the lock of txn/gates.c. */
    unsigned users;
    struct lido__gate *next;

    struct lido__mutex lock; /* guards all below; rank LIDO_RANK_GATE */
    bool is_held;
    struct lido__gate_who holder; /* while it is held */
    int64_t since_ns;             /* it is in since then, on its age clock */
    struct lido__gate_queue queues[LIDO__GATE_PRIORITIES];
    uint64_t arrivals; /* counts those who came to wait */
    struct lido__bell
        left; /* rung by who leaves, for those who wait for SQLite's lock alone */
    struct lido__gate_counts counts;
};

static inline struct lido__gate_file *lido__gate_file_of(const struct lido__gate *gate)
{
    return (struct lido__gate_file *)(uintptr_t)lido__observe(&gate->file);
}

/* On its own clock, which another pool's may not be. */
static inline int64_t lido__gate_waited_ns(const struct lido__gate_wait *wait)
{
    return lido__wait_ns(wait->who.clock) - wait->since_ns;
}

#endif
