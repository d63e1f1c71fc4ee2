/* SPDX-License-Identifier: MIT */
#ifndef LIDO_POOL_SLOT_H
#define LIDO_POOL_SLOT_H

/*
 * A slot: one record of a pool, together with the lease cell that lends it.
 *
 * One 64-bit word of the cell says what the slot is doing and which lease it is on:
 *
 *                      claim_vacant (pool lock)
 *        VACANT(g) -----------------------------> LENT(g) <--+
 *            ^                                    |    ^     | hand to a waiter:
 *            |                           check-in |    |     | LENT(g+1)
 *            | closed, g+1                        v    |     |
 *            +------------------------ RETURNING(g) ---|-----+
 *            |                                    |    |
 *            | swept by close()       kept, g+1   v    | claim
 *            +------------------------------- IDLE(g+1)
 *
 * A lease is (cell, g).  It is good as long as the word is LENT(g), so every copy of it goes
 * stale in the moment one of them wins the swap to RETURNING.  Generations never go back,
 * also when the slot moves to another pool, and cells are never unmapped (pool/slab.h): a
 * stale lease can be asked at any time and always gets its answer.
 *
 * Where leases share a record (pool/share.c) each has a cell of its own beside, which knows
 * only VACANT, LENT and RETURNING; the record's own is LENT as long as any of them is.
 *
 * Only IDLE is claimed without the pool's lock.  VACANT is left and entered under it, so
 * that under the lock the number of slots that are not vacant is exact.
 *
 * Threads: the words may be read by any thread.  What is marked "the holder's" is touched
 * by the thread that moved the word to LENT or RETURNING alone.
 */
#include "base/atomic.h"
#include "base/process.h"
#include "driver/session.h"
#include <lido/conn.h>

#include <assert.h>
#include <stdalign.h>

enum lido__slot_state {
    LIDO__VACANT,    /* nothing but capacity */
    LIDO__IDLE,      /* a record waits in the pool, connected or not */
    LIDO__LENT,      /* somebody's, also while it is opened for him */
    LIDO__RETURNING, /* being cleaned or closed */
};

#define LIDO__LABEL_WORDS 4 /* 32 bytes, the last is NUL */

/* Whose a slot is.  Written under the pool's lock. */
enum lido__standing {
    LIDO__MEMBER,   /* the pool's: it counts against the limit and comes back */
    LIDO__WRITER,   /* the pool's, beside the limit: for runs that have the write gate */
    LIDO__DISOWNED, /* dispose() came while it was in use: it is closed when it comes back */
    LIDO__DETACHED, /* the lease's, for good */
    LIDO__ADOPTED,  /* the host's */
};

/* One lease. */
struct lido__cell {
    alignas(64) lido__word word; /* generation << 2 | state */
    lido__word
        record; /* a struct lido_record *; of a slot's own cell constant: that slot */

    /*
     * Who has it: written by the holder, read by anybody between two looks at `told`.  Each
     * is written by a publish and read by an observe: who sees a word of the next lease
     * then also sees that `told` has changed, or `retold` if it is the same lease.
     */
    lido__word told;   /* the generation that the words below speak of; 0: being written */
    lido__word owner;  /* lido__thread() */
    lido__word retold; /* counts what one lease told anew, which leaves `told` the same */

    /* Guarded by the pool's lock, of a shared cell: `record` is this lease's already. */
    bool is_bound;

    /* The holder's. */
    bool is_beginning;  /* begin hooks run: a begin inside is a recursion */
    bool has_begun;     /* lido_txn_begin succeeded and nothing ended it since */
    bool is_autocommit; /* the lease's isolation is AUTOCOMMIT: what begins a transaction by
                           itself does not on this lease; at its start as the pool has it */
    bool has_isolation; /* it set read_uncommitted, which its end sets back */
    bool is_ending;     /* COMMIT or ROLLBACK runs, and is not to be interrupted */
    bool has_cancel;    /* `cancel` is set */
    bool has_limit;     /* `limit_ends_ns` is set */
    bool has_own_limit; /* `limit_ms` is set */
    bool has_timed_out; /* rolled back for its limit, and the caller has not ended it */
    bool has_deadline;  /* `wait_until_ns` is set */
    bool has_progress;  /* `progress` is set */
    bool
        comes_again; /* a deferred run: what meets another writer is run again, at the gate */
    bool is_stopped; /* its check-in found that it was to stop: its work is not committed */
    bool is_asking;  /* handle_error hooks run: of what fails in one none is told */
    bool
        was_cancelled; /* what ran last was ended so; the token may have been reset since */
    signed char priority; /* LIDO_GATE_...: at the write gate */
    int trouble;          /* what SQLite said last, if it was an error; for the runner */

    /* One thread at a time writes them, the holder. */
    lido__word checkins;
    lido__word checkouts;

    lido__word since_ns;
    lido__word file;
    lido__word line;
    lido__word label[LIDO__LABEL_WORDS];

    struct lido__cell *next; /* pool/chunks.c: the pool's list of shared cells; constant */

    lido__word stepping; /* not 0: SQLite is in a statement of its, and may have called the
                            host; read by whoever would end the lease */

    /* Why it is to stop (pool/stop.c); a checkout touches none of it. */
    lido__word cancelled; /* the lease that was, as lido__cancelled_word(); by any thread */
    lido_cancel *cancel;  /* the holder's, as all below */
    int64_t limit_ms;     /* for each of its transactions; -1: none */
    int64_t limit_ends_ns; /* of the one that is open, on the wait clock */
    int64_t wait_until_ns; /* a run's deadline: no wait of the lease goes on after it */
    int (*progress)(void *ctx); /* the host's: not 0 ends its SQL */
    void *progress_ctx;
};
static_assert(sizeof(struct lido__cell) == 256, "four cache lines");

/* A pointer of the host's. */
struct lido__info {
    void *data;
    void (*destroy)(void *data); /* or NULL */
};

struct lido__finalizer;  /* pool/info.c */
struct lido__statements; /* driver/statements.h */

struct lido_record {
    struct lido__cell own;

    /* Set when the slot joins a pool, constant until it leaves. */
    lido_pool *pool;

    /* The holder's. */
    void *handle;          /* the driver's; NULL while not connected */
    lido__word expires_ns; /* on the age clock: past it the connection is replaced; others
                              read it, where leases share */
    lido__word stamp;      /* the pool's count when the opening of its connection began */
    struct lido__finalizer *finalizers;  /* the last added first */
    struct lido__statements *statements; /* NULL: none was prepared here yet */
    lido__word
        runner; /* a struct lido__cell *: the lease whose SQL runs, where leases share
                          it; 0: its own cell's */
    bool has_lock_until;   /* `lock_until_ns` is set */
    int64_t lock_until_ns; /* the wait for SQLite's lock is the rest of one for the gate */
    int64_t busy_deadline_ns; /* when the wait for SQLite's lock ends; txn/busy.c */
    lido__word is_restricted; /* not 0: a LIDO_READ made it refuse writes; pool/restore.c */
    lido__word isolation_was; /* read_uncommitted before a lease set it, plus 1; or 0 */
    void *file_gate;          /* the write gate of its file, txn's; NULL: none */
    lido__word
        is_in_gate; /* not 0: its transaction has the gate, or several: 1, or txn's set of
                              them; any of those who share the record may end that, one does */
    lido__word savepoints; /* how many lido has named; leases that share go on counting */
    bool is_new;           /* no connection was ever opened here since it was vacant */
    bool is_fresh;         /* just connected: not to be pinged */
    int64_t started_ns;    /* on the age clock: when the opening of its connection began */
    struct lido__info info;
    struct lido__info record_info;
    struct lido_session session; /* what the leases of its connection changed */

    /* Guarded by the pool's lock. */
    lido__word standing;   /* enum lido__standing; read by the holder without */
    uint64_t returned;     /* when it became idle, in the pool's own count */
    int64_t idle_since_ns; /* the same on the age clock, if somebody wants to know */
    bool is_pinned;        /* while idle: never to be closed for age or number */
    unsigned leases;       /* that share it */
    uint64_t thread;       /* whose it is, where threads share with themselves; or 0 */
    int stage;             /* enum lido__stage, where leases share it */
    bool is_unique;        /* no later checkout may share it */
    struct lido__cell *txn_holder; /* whose transaction it is, where threads share it */
    uint64_t txn_number;           /* counts its holders */
    bool txn_has_begun;            /* the holder's lido_txn_begin succeeded */

    struct lido_record *next; /* pool/chunks.c: the pool's list of slots; constant */
};

static inline struct lido_record *lido__cell_record(const struct lido__cell *cell)
{
    return (struct lido_record *)(uintptr_t)lido__read(&cell->record);
}

static inline void lido__cell_set_record(struct lido__cell *cell,
                                         const struct lido_record *record)
{
    lido__write(&cell->record, (uintptr_t)record);
}

/* Of which lease what runs on the connection is. */
static inline struct lido__cell *lido__record_runner(struct lido_record *record)
{
    uint64_t runner = lido__read(&record->runner);

    return runner != 0 ? (struct lido__cell *)(uintptr_t)runner : &record->own;
}

static inline int64_t lido__record_expires_ns(const struct lido_record *record)
{
    return (int64_t)lido__read(&record->expires_ns);
}

static inline void lido__record_expire_at(struct lido_record *record, int64_t when_ns)
{
    lido__write(&record->expires_ns, (uint64_t)when_ns);
}

static inline bool lido__record_is(const struct lido_record *record,
                                   enum lido__standing standing)
{
    return lido__read(&record->standing) == standing;
}

static inline uint64_t lido__slot_word(uint64_t generation, enum lido__slot_state state)
{
    return generation << 2 | (uint64_t)state;
}

static inline enum lido__slot_state lido__slot_state(uint64_t word)
{
    return (enum lido__slot_state)(word & 3);
}

static inline uint64_t lido__slot_generation(uint64_t word)
{
    return word >> 2;
}

/* Which moves there are; a debug build aborts on any other. */
static inline bool lido__slot_may_move(uint64_t from, uint64_t to)
{
    static const bool legal[4][4] = {
        [LIDO__VACANT] = { [LIDO__LENT] = true },
        [LIDO__IDLE] = { [LIDO__LENT] = true, [LIDO__RETURNING] = true },
        [LIDO__LENT] = { [LIDO__RETURNING] = true },
        [LIDO__RETURNING] = { [LIDO__VACANT] = true,
                              [LIDO__IDLE] = true,
                              [LIDO__LENT] = true },
    };
    bool ends_lease = lido__slot_state(from) == LIDO__RETURNING;

    return legal[lido__slot_state(from)][lido__slot_state(to)] &&
           lido__slot_generation(to) == lido__slot_generation(from) + ends_lease;
}

/* The move of a cell that others may move too: false if one was faster. */
static inline bool lido__cell_try(struct lido__cell *cell, uint64_t from,
                                  enum lido__slot_state next)
{
    uint64_t to = lido__slot_word(lido__slot_generation(from), next);

    assert(lido__slot_may_move(from, to));
    return lido__cas(&cell->word, from, to);
}

/* The same of a cell that is the caller's alone, as the thread that has it or under the
   pool's lock. */
static inline void lido__cell_move(struct lido__cell *cell, enum lido__slot_state next)
{
    bool has_moved = lido__cell_try(cell, lido__read(&cell->word), next);

    assert(has_moved);
    (void)has_moved;
}

/* The move of a cell that is RETURNING and therefore the caller's alone: its lease is over. */
static inline void lido__cell_end(struct lido__cell *cell, enum lido__slot_state next)
{
    uint64_t from = lido__read(&cell->word);
    uint64_t to = lido__slot_word(lido__slot_generation(from) + 1, next);
    uint64_t was = lido__swap(&cell->word, to);

    assert(was == from && lido__slot_may_move(from, to));
    (void)was;
}

#endif
