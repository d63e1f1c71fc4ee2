/* SPDX-License-Identifier: MIT */
#ifndef LIDO_TXN_PERMIT_H
#define LIDO_TXN_PERMIT_H

/*
 * The write gate for a run, before it has a lease; txn/permit.c.
 */
#include "txn/gate.h"

/* On the stack of the run. */
struct lido__permit {
    struct lido__gate *gate; /* NULL: it has none, and needs none */
    struct lido__cell *cell; /* the lease that begins by it; NULL: none yet */
    uint64_t generation;
    bool has_waited; /* until `deadline_ns` at most */
    int64_t deadline_ns;
    struct lido__permit *outer; /* of the run that this one is inside */
};

struct lido__permit_wish {
    lido_pool *pool;
    int64_t deadline_ns;
    lido_cancel *cancel; /* NULL: nothing */
    const char *label;   /* lent until the permit is left; NULL: none */
    int priority;        /* LIDO_GATE_... */
};

/* Enters the gate of the pool's file, if the pool has a writer for who is in.  SQLITE_BUSY,
   LIDO_DEADLOCK, LIDO_CANCELLED, LIDO_CLOSED: *permit has none. */
int lido__permit_enter(struct lido__permit *permit, const struct lido__permit_wish *wish,
                       struct lido_error *err);
/* The lease is the one that begins by it; if it waited then the wait for SQLite's lock ends
   when that one would have.  False, and nothing happens: its file is another, or it has more
   than one. */
bool lido__permit_use(struct lido__permit *permit, const struct lido_conn *conn);
/* After the check-in of that lease. */
void lido__permit_leave(struct lido__permit *permit);
/* Does this thread have one for the lease? */
bool lido__permit_is_for(const struct lido__cell *cell);

#endif
