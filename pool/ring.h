/* SPDX-License-Identifier: MIT */
#ifndef LIDO_POOL_RING_H
#define LIDO_POOL_RING_H

/*
 * Who sleeps for what, and whether it can ever end: a ring through slots and gates.
 *
 * pool/ring.c argues why an answer is never false.  It knows nothing of pools and gates: each
 * sort of wait says by its `ask` who could end it.
 *
 * Threads: any.
 */
#include "base/sync.h"

#define LIDO__RING_TEXT 200

struct lido__ring; /* one search */

/* A thread that is about to sleep, or does, on its own stack. */
struct lido__blocked {
    /* The caller's.  Could the wait end only by threads that are added (lido__ring_add)?  Not
       if it has ended already, or one is unknown: false.  Called by any thread, as long as
       this is entered, and may take the locks of pools and of gates. */
    bool (*ask)(const struct lido__blocked *self, struct lido__ring *ring);
    const char *wants; /* for the text: "a connection" */
    char *text; /* LIDO__RING_TEXT bytes, for what the ring is; NULL: it is not said */

    /* Guarded by the lock of pool/ring.c. */
    uint64_t thread;
    struct lido__blocked *next;  /* of those with the same hash */
    struct lido__blocked **link; /* what points to it; NULL: it is not entered */
    struct lido__blocked *after; /* the next one of a search */
    bool is_found;               /* by a search */
    char label[32];              /* of a lease by which it was found */

    bool is_told; /* its own: that it would close a ring */
};

/* From now on this thread sleeps; to be called after it can be seen by `ask` to wait.  True:
   it would close a ring, so it is not to sleep, and is not entered. */
bool lido__ring_enter(struct lido__blocked *self);
/* It is awake; nothing happens if it is not entered. */
void lido__ring_leave(struct lido__blocked *self);

/* How many threads are entered: a test has to know that another thread sleeps, and will not
   be the one that closes the ring. */
unsigned lido__ring_count(void);

/* By `ask`: that thread could end the wait, and has the lease that is labelled so.  False if it
   does not sleep here, so there is no ring. */
bool lido__ring_add(struct lido__ring *ring, uint64_t thread, const char *label);

#endif
