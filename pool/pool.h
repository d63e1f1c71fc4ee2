/* SPDX-License-Identifier: MIT */
#ifndef LIDO_POOL_POOL_H
#define LIDO_POOL_POOL_H

/*
 * A pool as the layers of this folder and those above see it.
 *
 * What runs the host's code, a driver or an allocation is marked locks_excluded: clang then
 * refuses a call of it under the pool's lock.
 */
#include "base/sync.h"
#include "driver/driver.h"
#include "driver/statements.h"
#include "driver/url.h"
#include "hooks/hooks.h"
#include "pool/cancel.h"
#include "pool/gates.h"
#include "pool/slot.h"
#include "pool/waiters.h"
#include <lido/pool.h>

#define LIDO__UNBOUND INT64_MAX

/* Whose idle connection comes next.  The last two are SQLAlchemy's exact order. */
enum lido__order {
    LIDO__ORDER_ANY,  /* the one this thread had last, or any: by one swap */
    LIDO__ORDER_FIFO, /* returned the longest ago */
    LIDO__ORDER_LIFO, /* returned last */
};

/* What is decided before a pool exists.  engine/open.c fills it. */
struct lido__pool_config {
    const struct lido__kind *kind;
    struct lido__driver driver;
    struct lido__url url; /* stolen by lido__pool_new, also when it fails */
    struct lido_param
        *params; /* the driver's keys, into url; an array of its own, stolen */
    size_t n_params;
    int64_t pool_size;
    int64_t max_overflow; /* LIDO__UNBOUND: no bound */
    int64_t pool_timeout_ms;
    int64_t timeout_ms;
    enum lido__order order;
    bool is_memory;    /* each connection is the only home of its data */
    bool needs_anchor; /* the data lives as long as any connection: one is kept beside */
    bool check_same_thread;
    bool keep_temp;
    bool use_threadlocal;
    bool strict;
    bool shared_transaction;
    int64_t cached_statements;
    int text;      /* LIDO_TEXT_... */
    int autobegin; /* LIDO_AUTOBEGIN_... */
    bool session_guard;
    bool pre_ping;
    int reset_on_return; /* LIDO_RESET_... */
    int begin_mode;
    bool is_autocommit;   /* nothing begins by itself, also if the pool would */
    int64_t txn_limit_ms; /* -1: none */
    int gate;             /* LIDO_GATE_... */
    int64_t gate_aging_us;
    const struct lido__gate_calls *gates; /* NULL: there are none, whatever `gate` is */
    int64_t recycle_ms;                   /* -1: never */
    int64_t recycle_jitter_ms;
    int64_t recycle_spacing_ms;
    int64_t min_idle;
    int64_t idle_timeout_ms;  /* -1: never */
    lido_busy_wait busy_wait; /* called with the record; txn/busy.c */
    int (*key)(void *ctx, sqlite3 *db, struct lido_error *err);
    void *key_ctx;
    lido_log_fn log;
    void *log_ctx;
    int log_level;
    const struct lido_clock *clock;
};

/* What the driver is told at every connect.  Lives as long as the config's url and params. */
static inline struct lido_connect lido__connect_of(const struct lido__pool_config *config)
{
    return (struct lido_connect){
        .size = sizeof(struct lido_connect),
        .url = config->url.base,
        .database = config->url.database,
        .params = config->params,
        .n_params = config->n_params,
    };
}

/* Which leases share a record. */
enum lido__sharing {
    LIDO__SHARE_NONE,
    LIDO__SHARE_THREAD, /* those of one thread */
    LIDO__SHARE_ALL,
};

/* A kind is how many connections there may be, how many are kept, and who shares one. */
struct lido__kind {
    const char *name;
    const char *status;   /* what lido_pool_status() says, if that is all */
    bool counts_overflow; /* its size is a pool_size that may be exceeded */
    bool disposes_only_idle;
    bool waits;      /* a checkout that finds none waits; else it is refused */
    bool asserts;    /* that it finds none is a mistake of the program */
    bool has_writer; /* one connection more, pool/writer.c */
    bool binds;      /* an idle record is for the thread that had it last */
    enum lido__sharing sharing;
    int64_t (*limit)(const struct lido__pool_config *config);
    int64_t (*keep)(const struct lido__pool_config *config);
};
const struct lido__kind *lido__kind_find(const char *name);
void lido__kind_names(char *text, size_t size); /* "null, queue, ..." */

/* Bits of `gate`; the waiters are counted above them. */
#define LIDO__GATE_CLOSED  UINT64_C(1)
#define LIDO__GATE_FROZEN  UINT64_C(2) /* a snapshot is being taken */
#define LIDO__GATE_BY_LOCK UINT64_C(4) /* always: this pool has rules that need the lock */
#define LIDO__GATE_WAITER  UINT64_C(8)

/* Why a connection is closed. */
enum lido__close_reason {
    LIDO__CLOSE_POOL,    /* the pool is closed, or disposed of */
    LIDO__CLOSE_SURPLUS, /* enough are idle */
    LIDO__CLOSE_UNCLEAN, /* could not be cleaned */
    LIDO__CLOSE_HOOK,    /* a hook refused it */
    LIDO__CLOSE_INVALID, /* invalidated */
    LIDO__CLOSE_OLD,     /* replaced for its age, or was marked */
    LIDO__CLOSE_IDLE,    /* idle for too long */
    LIDO__CLOSE_TAKEN,   /* its lease had taken it out of the pool */
};

enum lido__first {
    LIDO__FIRST_TO_COME, /* first_connect has not run, or has failed */
    LIDO__FIRST_CLAIMED, /* whoever claimed the first slot is about to run it */
    LIDO__FIRST_RUNNING,
    LIDO__FIRST_DONE,
};

/* How far the first of the leases that share a record has come. */
enum lido__stage {
    LIDO__STAGE_CONNECTING,
    LIDO__STAGE_ASKING, /* connected; the checkout hooks run */
    LIDO__STAGE_READY,
};

/* The URL and the driver's keys, which a pool and those recreated from it have in common. */
struct lido__origin {
    lido__word users;
    struct lido__url url;
    struct lido_param *params;
};

struct lido_pool {
    /* Set at open, then constant. */
    struct lido__pool_config config;
    struct lido__origin *origin;
    uint64_t id; /* never used twice, for a thread's hint */
    int64_t limit;
    int64_t keep;
    enum lido__sharing sharing; /* the kind's, or use_threadlocal */
    bool asks_always;           /* a checkout of an idle connection has more to do */
    struct lido_connect how;
    void *anchor; /* a handle that keeps a named memory database alive, or NULL */
    lido_hooks hooks;

    /* Read by every checkout and check-in, written seldom. */
    alignas(64) lido__word gate; /* not 0: go by the lock; see pool/slots.c */
    lido__word live;             /* members that are not vacant; written under the lock */
    lido__word invalid_stamp;    /* records with a lower one are replaced at checkout */
    lido__word
        hooks_lock; /* not 0: begin hooks took SQLite's lock themselves, the last time
                              that nothing of the kind was asked for */
    lido__word parked_writer; /* pool/writer.c: `writer` while nobody has it, or 0 */

    alignas(64) struct lido__mutex lock; /* guards all below; rank LIDO_RANK_POOL */
    bool is_lock_ready;                  /* constant once set: pools are type-stable */
    struct lido_record *_Atomic slots;   /* read without the lock, written with it */
    struct lido__cell *_Atomic cells;    /* the same, of leases that share a record */
    struct lido__waiters waiters;        /* blocked checkouts, in order of arrival */
    struct lido__bell emptied;           /* rung when a closed pool has no lease left */
    struct lido__bell first_ran;         /* rung when first_connect has run */
    struct lido__bell shared;            /* rung when a shared record changes its stage */
    struct lido__bell txn_over;          /* rung when a shared record has no transaction */
    enum lido__first first;
    uint64_t first_runner;      /* the thread that runs first_connect, or is about to */
    int64_t disowned;           /* slots of that standing */
    int64_t detached;           /* slots detached or adopted */
    uint64_t stamps;            /* counts connects and invalidations */
    uint64_t returns;           /* counts records that became idle */
    int64_t invalidated_ns;     /* when invalid_stamp was set, on the age clock */
    void *file_gate;            /* of its youngest connection; NULL: none had one */
    struct lido_record *writer; /* the slot of that standing, or NULL */
    int64_t replaced_ns;        /* the last time one was replaced for its age; age clock */
    bool is_freed;              /* the last slot takes the pool with it */
    struct lido_pool_stats counts; /* what is counted here, not in the slots */
    void *slab_link;

    /* Guarded by the lock of pool/threads.c. */
    struct lido_pool *next_bound;
    struct lido_pool *previous_bound;

    /* Leases that wait above the pool, woken when one is cancelled; has a lock of its own. */
    struct lido__sleepers elsewhere;
};

/* pool/pool.c.  The config's url and params are stolen. */
int lido__pool_new(lido_pool **out, const struct lido__pool_config *config,
                   struct lido_error *err);
/* Gives the memory back.  Nothing may be lent. */
void lido__pool_destroy(lido_pool *pool);
/* Connections now open or lent add up to `live`, and `live` is in its bounds. */
bool lido__pool_is_sound_locked(const lido_pool *pool)
    LIDO_TSA(requires_capability(pool->lock));
/* Counts one up under the lock. */
void lido__pool_count(lido_pool *pool, uint64_t *counter)
    LIDO_TSA(locks_excluded(pool->lock));
static inline bool lido__pool_is_closed(const lido_pool *pool)
{
    return (lido__read(&pool->gate) & LIDO__GATE_CLOSED) != 0;
}
static inline bool lido__pool_is_empty_locked(const lido_pool *pool)
    LIDO_TSA(requires_capability(pool->lock))
{
    return lido__read(&pool->live) == 0 && pool->disowned == 0 && pool->detached == 0 &&
           pool->writer == NULL;
}

/* pool/log.c: one line to the host.  Never under a lock. */
void lido__log(lido_pool *pool, int level, const char *format, ...)
    __attribute__((format(printf, 3, 4))) LIDO_TSA(locks_excluded(pool->lock));
static inline bool lido__logs(const lido_pool *pool, int level)
{
    return level <= pool->config.log_level && pool->config.log != NULL;
}

/* How long a wait may last, and what ends it before. */
struct lido__patience {
    int64_t deadline_ns;
    lido_cancel *cancel; /* NULL: nothing */
};

/*
 * pool/slots.c: who gets which slot.  A claimed slot is LENT to the calling thread, a
 * released one must be RETURNING.
 */
struct lido__claim {
    int64_t timeout_ms;
    int64_t deadline_ns; /* when timeout_ms will be over */
    bool is_unique;
    signed char priority;
    lido_cancel *cancel;                /* NULL: none */
    struct lido__pool_sleeper *sleeper; /* NULL: without one */
    struct lido_record *record;         /* the answer */
    bool is_joined;                     /* others have it already: share it */
    bool has_waited;                    /* for a bell, */
    int64_t since_ns;                   /* since then */
};
struct lido_record *lido__slot_claim_quick(lido_pool *pool);
int lido__slot_claim(lido_pool *pool, struct lido__claim *claim, struct lido_error *err)
    LIDO_TSA(locks_excluded(pool->lock));
/* Ends the lease: to a waiter, or back into the pool, or (vacate) back to capacity.  False
   if it is not to be kept: nothing has changed, close it and vacate.  The pool may be gone
   afterwards. */
bool lido__slot_release(lido_pool *pool, struct lido_record *record, bool vacate)
    LIDO_TSA(locks_excluded(pool->lock));
/* The same in two atomic operations, when nothing stands against it. */
bool lido__slot_release_quick(lido_pool *pool, struct lido_record *record);
/* Back to capacity, with all that hangs on the record.  Its connection is closed. */
void lido__slot_vacate(lido_pool *pool, struct lido_record *record)
    LIDO_TSA(locks_excluded(pool->lock));
/* A member that is LENT becomes DETACHED, and another slot takes its place, RETURNING to the
   caller; *seat is NULL if it had none any more.  LIDO_SHARED, SQLITE_NOMEM. */
int lido__slot_detach(lido_pool *pool, struct lido_record *record,
                      struct lido_record **seat, struct lido_error *err)
    LIDO_TSA(locks_excluded(pool->lock));
/* A vacant slot, LENT, as one that is not the pool's: SQLITE_NOMEM or LIDO_CLOSED. */
int lido__slot_claim_beside(lido_pool *pool, enum lido__standing standing,
                            struct lido_record **out, struct lido_error *err)
    LIDO_TSA(locks_excluded(pool->lock));
/* A member in use is the pool's no more; its place is free, and who waits gets it by
   lido__slots_serve(). */
void lido__slot_disown_locked(lido_pool *pool, struct lido_record *record,
                              enum lido__standing standing)
    LIDO_TSA(requires_capability(pool->lock));
void lido__slots_serve(lido_pool *pool) LIDO_TSA(locks_excluded(pool->lock));
/* Whoever waits for this pool looks again; one in line, by *waiter, is sent home. */
void lido__slots_disturb(lido_pool *pool, struct lido__waiter *const *waiter)
    LIDO_TSA(locks_excluded(pool->lock));
/* Closes the gate for good and sends home who waits. */
void lido__slots_dismiss(lido_pool *pool);
/* An idle slot that `is_chosen`, RETURNING to the caller; or NULL.  Of several the one returned
   the longest ago, or `in_order` the one that would be lent next. */
typedef bool (*lido__chooser)(const lido_pool *pool, const struct lido_record *record,
                              const void *ctx);
struct lido_record *lido__slot_claim_idle(lido_pool *pool, lido__chooser is_chosen,
                                          const void *ctx, bool in_order)
    LIDO_TSA(locks_excluded(pool->lock));
int64_t lido__slots_count_idle(const lido_pool *pool);
/* Those of them that `keep` bounds: a thread's own place without a connection costs nothing.
   Under the lock. */
int64_t lido__slots_count_kept(const lido_pool *pool);

/* pool/chunks.c: more slots, more shared cells, and all of them back.  False if memory is
   out. */
bool lido__slots_grow(lido_pool *pool) LIDO_TSA(locks_excluded(pool->lock));
bool lido__cells_grow(lido_pool *pool) LIDO_TSA(locks_excluded(pool->lock));
void lido__chunks_give_back(lido_pool *pool);

/* pool/share.c: leases that share a record. */
int lido__share_checkout(lido_pool *pool, struct lido__claim *claim,
                         struct lido__cell **out, uint64_t *generation,
                         struct lido_error *err) LIDO_TSA(locks_excluded(pool->lock));
/* A record in use that the calling thread may share, joined to claim; or one that it has to
   wait for (*must_wait). */
int lido__share_join_locked(lido_pool *pool, struct lido__claim *claim, bool *must_wait,
                            struct lido_error *err)
    LIDO_TSA(requires_capability(pool->lock));
void lido__share_set_stage(lido_pool *pool, struct lido_record *record,
                           enum lido__stage stage) LIDO_TSA(locks_excluded(pool->lock));
/* Ends a cell that is RETURNING.  True if it was the last of its record, which is RETURNING
   then. */
bool lido__share_leave(lido_pool *pool, struct lido__cell *cell)
    LIDO_TSA(locks_excluded(pool->lock));
/* The same, but nothing happens and it is false if there are others: to be asked before, for
   who is the last has nothing to clean by itself, and nobody may join it any more. */
bool lido__share_leave_if_last(lido_pool *pool, struct lido__cell *cell)
    LIDO_TSA(locks_excluded(pool->lock));
/* The same where the connection is given up: nested leases end too.  Those of other threads go
   on, but the record is the pool's no more. */
bool lido__share_leave_alone(lido_pool *pool, struct lido__cell *cell)
    LIDO_TSA(locks_excluded(pool->lock));
/* Ends all leases of the record.  True if it is RETURNING then. */
bool lido__share_end_all_locked(lido_pool *pool, struct lido_record *record)
    LIDO_TSA(requires_capability(pool->lock));
/* The record is the pool's no more: nobody joins it, and the last of its leases closes it. */
void lido__share_disown(lido_pool *pool, struct lido_record *record)
    LIDO_TSA(locks_excluded(pool->lock));
/* Before the connection is closed under the only lease of a record: others do not join it
   meanwhile, nor afterwards if it has none then.  LIDO_SHARED if there are more leases. */
int lido__share_reserve(struct lido_record *record, uint64_t *reserved,
                        struct lido_error *err);
void lido__share_unreserve(struct lido_record *record, uint64_t reserved);
/* How many leases share the record: 0 where none may. */
unsigned lido__share_count(lido_pool *pool, const struct lido_record *record)
    LIDO_TSA(locks_excluded(pool->lock));
/* True while SQLite is in a statement of one of them: of a thread's own. */
bool lido__share_is_stepping(lido_pool *pool, const struct lido_record *record)
    LIDO_TSA(locks_excluded(pool->lock));
/* Whose transaction it is on a record that threads share: enter before BEGIN, which waits
   for another lease's to end; begun after it; leave when it has ended. */
int lido__share_txn_enter(struct lido__cell *cell, uint64_t generation,
                          struct lido_error *err);
void lido__share_txn_begun(struct lido__cell *cell);
void lido__share_txn_leave(struct lido__cell *cell);
/* Before a transaction is ended: one that is nobody's, for SQL text began it, is the cell's. */
void lido__share_txn_claim(struct lido__cell *cell);
/* False if another lease has the transaction. */
bool lido__share_txn_is_held(const struct lido__cell *cell);
static inline bool lido__share_txn_is_mine(const struct lido__cell *cell)
{
    return cell == &lido__cell_record(cell)->own || lido__share_txn_is_held(cell);
}

/* pool/threads.c: what a thread leaves behind when it ends. */
void lido__threads_bind(lido_pool *pool);
void lido__threads_unbind(lido_pool *pool);
void lido__threads_watch_self(void);

/* pool/first.c: first_connect runs once. */
int lido__first_run(lido_pool *pool, struct lido_record *record,
                    struct lido__patience patience, struct lido_error *err)
    LIDO_TSA(locks_excluded(pool->lock));
void lido__first_unclaim(lido_pool *pool) LIDO_TSA(locks_excluded(pool->lock));
/* Who claims the slot of the first connection is the one to run first_connect, so that all
   others know before they claim one. */
void lido__first_claim_locked(lido_pool *pool, const struct lido_record *record,
                              uint64_t thread) LIDO_TSA(requires_capability(pool->lock));
/* The thread whose first_connect is: 0 if it is to come, or done. */
static inline uint64_t lido__first_runner_locked(const lido_pool *pool)
    LIDO_TSA(requires_capability(pool->lock))
{
    return pool->first == LIDO__FIRST_CLAIMED || pool->first == LIDO__FIRST_RUNNING
               ? pool->first_runner
               : 0;
}
static inline bool lido__first_is_others_locked(const lido_pool *pool)
    LIDO_TSA(requires_capability(pool->lock))
{
    uint64_t runner = lido__first_runner_locked(pool);

    return runner != 0 && runner != lido__thread();
}

/* pool/connect.c: the driver's side of a record that the caller holds. */
/* True if its connection is too old or marked. */
static inline bool lido__record_is_outdated(const lido_pool *pool,
                                            const struct lido_record *record,
                                            int64_t now_ns)
{
    return now_ns > lido__record_expires_ns(record) ||
           lido__read(&record->stamp) < lido__read(&pool->invalid_stamp);
}
/* Makes sure there is a connection that is not outdated. */
int lido__record_connect(lido_pool *pool, struct lido_record *record,
                         struct lido__patience patience, struct lido_error *err)
    LIDO_TSA(locks_excluded(pool->lock));
/* Close hooks and the driver's close.  What the first hook returned; if `may_refuse` the
   connection is then still open.  LIDO_STALE if a hook ended the lease. */
int lido__record_disconnect(lido_pool *pool, struct lido_record *record,
                            enum lido__close_reason reason, bool may_refuse,
                            struct lido_error *err) LIDO_TSA(locks_excluded(pool->lock));
/* The driver's close alone.  Only a fatal code is returned. */
int lido__record_drop(lido_pool *pool, struct lido_record *record,
                      enum lido__close_reason reason, struct lido_error *err)
    LIDO_TSA(locks_excluded(pool->lock));
/* The invalidate and close hooks, each of which may refuse: then nothing has changed.  Else
   the caller goes on with lido__record_drop(). */
int lido__record_ask_to_invalidate(lido_pool *pool, struct lido_record *record,
                                   const struct lido_error *why, struct lido_error *err)
    LIDO_TSA(locks_excluded(pool->lock));
/* The same where nobody can refuse: what a hook answers is logged, and returned if it is
   fatal. */
int lido__record_invalidate(lido_pool *pool, struct lido_record *record,
                            enum lido__close_reason reason, const struct lido_error *why,
                            struct lido_error *err) LIDO_TSA(locks_excluded(pool->lock));
/* One event; `special` (NULL allowed) has what only this event tells. */
int lido__record_fire(lido_pool *pool, struct lido_record *record, enum lido__event event,
                      const struct lido_event *special, struct lido_error *err)
    LIDO_TSA(locks_excluded(pool->lock));
/* True if a transaction is open, whosever it is.  A running SELECT outside of BEGIN reads,
   but nothing is there to commit. */
bool lido__record_is_in_txn(const struct lido_record *record);
/* Its transaction has ended, or is the lease's no more. */
static inline void lido__record_leave_gate(struct lido_record *record)
{
    if (lido__read(&record->is_in_gate) != 0)
        record->pool->config.gates->leave(record);
}
/* It has no connection any more. */
static inline void lido__record_drop_gate(struct lido_record *record)
{
    if (record->file_gate != NULL)
        record->pool->config.gates->drop(record);
}
/* From now on the record's connection is the youngest of the pool. */
uint64_t lido__record_stamp(lido_pool *pool, struct lido_record *record)
    LIDO_TSA(locks_excluded(pool->lock));
/* The rule of generations: every connection older than now is outdated, unless `record` is
   younger than the last time.  NULL: always. */
void lido__pool_stamp(lido_pool *pool, const struct lido_record *record)
    LIDO_TSA(locks_excluded(pool->lock));

/* pool/restore.c: from now on writes are refused, until it is undone.  What could not be undone
   stays to be. */
int lido__record_restrict(struct lido_record *record, struct lido_error *err)
    LIDO_TSA(locks_excluded(record->pool->lock));
int lido__record_unrestrict(struct lido_record *record, struct lido_error *err)
    LIDO_TSA(locks_excluded(record->pool->lock));
static inline int lido__record_restore(struct lido_record *record, struct lido_error *err)
{
    return lido__read(&record->is_restricted) == 0 ? LIDO_OK
                                                   : lido__record_unrestrict(record, err);
}
/* The same with read_uncommitted. */
int lido__record_isolate(struct lido_record *record, int read_uncommitted,
                         struct lido_error *err)
    LIDO_TSA(locks_excluded(record->pool->lock));
int lido__record_unisolate(struct lido_record *record, struct lido_error *err)
    LIDO_TSA(locks_excluded(record->pool->lock));
static inline int lido__record_restore_isolation(struct lido_record *record,
                                                 struct lido_error *err)
{
    return lido__read(&record->isolation_was) == 0 ? LIDO_OK
                                                   : lido__record_unisolate(record, err);
}

/* pool/checkin.c: a lease that is RETURNING to the caller ends. */
int lido__lease_return(struct lido__cell *cell, bool transaction_was_reset,
                       struct lido_error *err);
/* A record that is RETURNING goes back. */
int lido__record_return(lido_pool *pool, struct lido_record *record,
                        bool transaction_was_reset, bool has_asked_reset,
                        struct lido_error *err) LIDO_TSA(locks_excluded(pool->lock));
/* Ends the transaction of a lease whose connection others have too, and nothing else. */
int lido__lease_end_txn(lido_pool *pool, struct lido__cell *cell, struct lido_error *why)
    LIDO_TSA(locks_excluded(pool->lock));
/* pool/session.c: something is marked that the driver has not put back.  LIDO_UNCLEAN, unless
   the connection will not be lent again. */
int lido__session_settle(lido_pool *pool, struct lido_record *record,
                         struct lido_error *why) LIDO_TSA(locks_excluded(pool->lock));
/* The last steps of it: checkin hooks if it is a member, then back, to a waiter, or closed
   and away. */
int lido__record_give_back(lido_pool *pool, struct lido_record *record,
                           struct lido_error *err) LIDO_TSA(locks_excluded(pool->lock));

/* pool/info.c: what the host hangs on a record. */
/* Drops the one before; no place (pool is NULL): the new one. */
void lido__info_set(lido_pool *pool, struct lido__info *place, void *info,
                    void (*destroy)(void *info));
void *lido__info_get(lido_pool *pool, const struct lido__info *place)
    LIDO_TSA(locks_excluded(pool->lock));
void lido__info_drop(struct lido__info *info);
int lido__finalizers_run(struct lido_record *record, struct lido_error *err);
void lido__finalizers_drop(struct lido_record *record);

/* pool/dispose.c.  What the first failing close hook returned; all are closed. */
int lido__pool_sweep(lido_pool *pool, struct lido_error *err)
    LIDO_TSA(locks_excluded(pool->lock));
/* Closes what has been idle for too long, or is one too many of those that are a thread's.
   `coming` more are about to be idle.  What the first failing close hook returned. */
int lido__pool_trim(lido_pool *pool, int coming, struct lido_error *err)
    LIDO_TSA(locks_excluded(pool->lock));
/* Closes what is idle beyond `keep`. */
void lido__pool_shed(lido_pool *pool) LIDO_TSA(locks_excluded(pool->lock));
/* Opens the anchor, if the pool needs one; and min_idle connections. */
int lido__pool_anchor(lido_pool *pool, struct lido_error *err)
    LIDO_TSA(locks_excluded(pool->lock));
int lido__pool_fill(lido_pool *pool, struct lido_error *err)
    LIDO_TSA(locks_excluded(pool->lock));

/* pool/lease.c: a lease in use.  Answers the age clock's time. */
int64_t lido__lease_tell(struct lido__cell *cell, const char *file, int line,
                         const char *label);
/* The cell of a lease that this thread may use now.  LIDO_STALE, LIDO_WRONG_THREAD,
   LIDO_FORKED, SQLITE_MISUSE. */
int lido__lease_use(const struct lido_conn *conn, struct lido__cell **out,
                    struct lido_error *err);
/* The same to end it: SQLITE_MISUSE also while SQLite is in a statement of the lease. */
int lido__lease_use_to_end(const struct lido_conn *conn, struct lido__cell **out,
                           struct lido_error *err);
/* The same, and its record has a connection: LIDO_NO_CONNECTION. */
int lido__lease_use_connected(const struct lido_conn *conn, struct lido__cell **out,
                              struct lido_error *err);
/* True as long as the lease has not ended: to look again after the host's code ran. */
static inline bool lido__lease_is_good(const struct lido__cell *cell, uint64_t generation)
{
    return lido__observe(&cell->word) == lido__slot_word(generation, LIDO__LENT);
}

/* pool/stop.c: is the lease to stop, and why: LIDO_OK, LIDO_CANCELLED, LIDO_TXN_TIMEOUT.  By
   the thread that runs for it. */
int lido__lease_stop(const struct lido__cell *cell);
/* The same of one that is being checked in. */
bool lido__lease_was_stopped(const struct lido__cell *cell);
/* False if it has no reason to. */
static inline bool lido__lease_may_stop(const struct lido__cell *cell)
{
    return cell->has_cancel || cell->has_limit || cell->has_timed_out ||
           lido__read(&cell->cancelled) != 0;
}
/* The code why its SQL ended with `rc`, with a text; or `rc`, and nothing is said. */
int lido__lease_explain(const struct lido__cell *cell, int rc, const char *doing,
                        struct lido_error *err);
/* It was to stop, whatever its token says, which may be gone: of one that is RETURNING. */
void lido__lease_condemn(struct lido__cell *cell);
static inline bool lido__is_stop(int code)
{
    return code == LIDO_CANCELLED || code == LIDO_TXN_TIMEOUT;
}
/* The host's own function, if the lease has one, says that its SQL is to end. */
bool lido__lease_is_told_to_end(const struct lido__cell *cell);
/* Has SQLite ask while it runs. */
void lido__record_watch(struct lido_record *record);
/* What runs now is the cell's; answers what to set again afterwards.  Where threads share the
   connection with its mutex. */
static inline uint64_t lido__runner_set(struct lido_record *record, uint64_t runner)
{
    uint64_t before = lido__read(&record->runner);

    if (record->pool->sharing != LIDO__SHARE_NONE)
        lido__write(&record->runner, runner);
    return before;
}

/* Sets it again.  Not to a lease that has ended meanwhile, by a function that SQLite called:
   its cell may be another's by now. */
static inline void lido__runner_restore(struct lido_record *record, uint64_t before)
{
    const struct lido__cell *was = (const struct lido__cell *)(uintptr_t)before;

    if (was != NULL && (lido__slot_state(lido__observe(&was->word)) != LIDO__LENT ||
                        lido__cell_record(was) != record))
        before = 0;
    if (record->pool->sharing != LIDO__SHARE_NONE)
        lido__write(&record->runner, before);
}

/* The first slot of the pool, and its first cell for a lease that shares. */
static inline struct lido_record *lido__slots_first(const lido_pool *pool)
{
    return atomic_load_explicit(&pool->slots, memory_order_acquire);
}
static inline struct lido__cell *lido__cells_first(const lido_pool *pool)
{
    return atomic_load_explicit(&pool->cells, memory_order_acquire);
}

#endif
