/* SPDX-License-Identifier: MIT */
#ifndef LIDO_POOL_GATES_H
#define LIDO_POOL_GATES_H

#include "pool/slot.h"
#include <lido/pool.h>

/* The write gates of database files, as far as a pool knows of them; txn/gated.c. */
struct lido__gate_calls {
    /* A connection was opened: sets `file_gate`, or leaves it NULL.  SQLITE_NOMEM,
       SQLITE_CANTOPEN. */
    int (*find)(struct lido_record *record, struct lido_error *err);
    /* The transaction is over; it may have had no gate.  From any thread that ends it. */
    void (*leave)(struct lido_record *record);
    void (*drop)(struct lido_record *record); /* the connection is gone */
    void (*reclaim)(lido_pool *pool);         /* from a run whose thread has ended */
    void (*end)(lido_pool *pool);             /* and so is the pool: its own `file_gate` */
};

#endif
