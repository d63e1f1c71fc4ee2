/* SPDX-License-Identifier: MIT */
#ifndef LIDO_TXN_GATE_H
#define LIDO_TXN_GATE_H

/*
 * The write gate: the queue of those who want to write one database file, in this process.
 *
 * SQLite lets one connection write at a time, and whoever finds another at it sleeps and tries
 * again: who sleeps is overtaken by who comes then, for as long as it lasts.  Who enters the
 * gate first tries for SQLite's lock alone.  txn/gate.c says who is next, and why nobody
 * sleeps for ever.
 *
 * Threads: any.
 */
#include "pool/cancel.h"
#include "pool/ring.h"
#include "pool/slot.h"
#include <lido/gate.h>
#include <lido/pool.h>

#define LIDO__GATE_SHOWN 8 /* waiters that a view has room for */

enum lido__gate_priority {
    LIDO__GATE_LOW,
    LIDO__GATE_NORMAL,
    LIDO__GATE_HIGH,
    LIDO__GATE_PRIORITIES,
};

/* Of a LIDO_GATE_... */
static inline enum lido__gate_priority lido__gate_priority(int priority)
{
    return (enum lido__gate_priority)(priority - LIDO_GATE_LOW);
}

/* Who is in, or waits: a lease, whose cell says its thread and its label, or a run that has
   none yet. */
struct lido__gate_who {
    struct lido__cell *cell; /* NULL: a run */
    uint64_t generation;     /* the lease may end before its transaction, where others
                                       share that */
    const struct lido_clock *clock; /* its pool's */
    uint64_t thread;                /* of a run, whose permit it is; 0: the lease's */
    const char *label;              /* of one without a lease, which lends it; NULL: none */
    bool is_certain;                /* the lease's is the one that works with it */
};

struct lido__gate;

/* One that sleeps is woken by others than the gate as well. */
struct lido__gate_ear {
    struct lido__sleeper common; /* the first: its `wake` is given this */
    struct lido__gate *gate;
    struct lido__gate_wait *wait;
};

/* One that waits, on the stack of its thread. */
struct lido__gate_wait {
    struct lido__blocked blocked; /* the first: its `ask` is given this.  The gate's */
    struct lido__gate *gate;      /* the same */

    /* The caller's, before it enters. */
    struct lido__gate_who who;
    enum lido__gate_priority priority;
    int64_t aging_ns;    /* it is overtaken no more when it has waited so long; 0: never */
    int64_t deadline_ns; /* on the clock of `who` */
    struct lido__sleepers *wakers[2]; /* its token's, its pool's; NULL: none */
    /* Is it to give up, and why; NULL: never. */
    int (*stop)(const struct lido__gate_wait *self);
    char *
        ring; /* LIDO__RING_TEXT bytes: what ring a LIDO_DEADLOCK is, or "": NULL: no text */

    /* The gate's. */
    struct lido__parker parker;
    struct lido__gate_ear ears[2];
    int64_t since_ns; /* on the wait clock of `who`; constant while it is queued */
    uint64_t arrival; /* this and all below is guarded by the gate's lock */
    bool is_queued;
    bool is_given;   /* the gate is its own: it was handed over */
    bool is_woken;   /* one lido__unpark() is under way, or has come */
    bool is_napping; /* it is awake, and will look in a moment */
    struct lido__gate_wait *next;
    struct lido__gate_wait *previous;
};

/* The gate of a file, made if there is none; it lasts until everybody who has asked for it has
   dropped it.  NULL if memory is out. */
struct lido__gate *lido__gate_find(uint64_t device, uint64_t inode);
/* That of the pool's youngest connection, for the caller to drop; NULL: it had none. */
struct lido__gate *lido__pool_gate(lido_pool *pool);
/* The same for one more user of a gate that is in use. */
void lido__gate_share(struct lido__gate *gate);
void lido__gate_drop(struct lido__gate *gate); /* NULL: nothing happens */
/* The order in which who needs several enters them: below 0, 0, above. */
int lido__gate_compare(const struct lido__gate *left, const struct lido__gate *right);

/* From now on other processes that do the same are in its line, by a file beside `database`
   (txn/gate_file.h).  Who comes in goes on to come again for `turn_ns`. */
int lido__gate_join(struct lido__gate *gate, const char *database, int64_t turn_ns,
                    struct lido_error *err);

/* Enters if that makes nobody wait who must not be overtaken. */
bool lido__gate_try(struct lido__gate *gate, struct lido__gate_who who,
                    enum lido__gate_priority priority);
/* Enters, and waits for it.  SQLITE_BUSY past the deadline; LIDO_DEADLOCK, at once: this thread
   is in, by another lease, or it would close a ring; what `stop` said; SQLITE_IOERR_LOCK.
   *self is forgotten when it returns. */
int lido__gate_enter(struct lido__gate *gate, struct lido__gate_wait *self);
void lido__gate_leave(struct lido__gate *gate);
/* The same for a run of that pool, if it is in and its thread has ended: true, and what the run
   had of the gate is the caller's to drop. */
bool lido__gate_abandon(struct lido__gate *gate, const lido_pool *pool);
/* Who is in runs that.  By its thread. */
void lido__gate_note(struct lido__gate *gate, const char *sql);
/* Who is in is a lease now, or was. */
void lido__gate_rename(struct lido__gate *gate, struct lido__gate_who who);
/* Until somebody leaves, or the deadline.  False at once if nobody is in. */
bool lido__gate_await_leave(struct lido__gate *gate, const struct lido_clock *clock,
                            int64_t deadline_ns);
/* A transaction that may not wait goes on without; a run comes again by the gate: counted. */
void lido__gate_pass_by(struct lido__gate *gate);
void lido__gate_upgrade(struct lido__gate *gate);

struct lido__gate_counts {
    uint64_t entered;     /* in all */
    uint64_t waited;      /* of these, or in vain: had to wait */
    uint64_t handed_over; /* were given it by who left, and did not take it themselves */
    uint64_t timeouts;
    uint64_t stopped; /* cancelled, or over their limit, while they waited */
    uint64_t deadlocks;
    uint64_t ungated;
    uint64_t upgrades;
    uint64_t wait_ns; /* of all, and of the longest */
    uint64_t max_wait_ns;
    uint64_t process_waits; /* for other processes, also in vain, and for how long in all */
    uint64_t process_wait_ns;
};
struct lido__gate_view {
    struct lido__gate_counts counts;
    bool is_process; /* it is in line with other processes */
    bool is_held;
    int64_t held_ns;           /* the holder has been in for so long */
    struct lido_holder holder; /* its lease; `thread` is 0 if that has ended meanwhile */
    char sql[64];              /* "": it ran nothing, or is changing it */
    int64_t waiting[LIDO__GATE_PRIORITIES];
    unsigned shown; /* of them, in order of arrival: */
    struct {
        int64_t waited_ns;
        enum lido__gate_priority priority;
        struct lido_holder lease;
    } waiters[LIDO__GATE_SHOWN];
};
void lido__gate_look(struct lido__gate *gate, struct lido__gate_view *view);
/* "; held by thread 7 label for 12 ms at file.c:3, which runs UPDATE t; in line: 1 high, 2 low,
   the first for 9 ms; process 8 has it", or of it what there is. */
void lido__gate_describe(struct lido__gate *gate, char *text, size_t size);

#endif
