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
#include "driver/url.h"
#include "hooks/hooks.h"
#include "pool/slot.h"
#include "pool/waiters.h"
#include <lido/pool.h>

#define LIDO__UNBOUND INT64_MAX

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
    bool check_same_thread;
    int begin_mode;
    lido_busy_wait busy_wait; /* called with the record; txn/busy.c */
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

/* A kind is how many connections there may be, and how many are kept. */
struct lido__kind {
    const char *name;
    bool counts_overflow; /* its size is a pool_size that may be exceeded */
    int64_t (*limit)(const struct lido__pool_config *config);
    int64_t (*keep)(const struct lido__pool_config *config);
};
const struct lido__kind *lido__kind_find(const char *name);
void lido__kind_names(char *text, size_t size); /* "null, queue" */

/* Bits of `gate`; the waiters are counted above them. */
#define LIDO__GATE_CLOSED UINT64_C(1)
#define LIDO__GATE_FROZEN UINT64_C(2) /* a snapshot is being taken */
#define LIDO__GATE_WAITER UINT64_C(4)

enum lido__close_reason {
    LIDO__CLOSE_POOL,    /* the pool is closed */
    LIDO__CLOSE_SURPLUS, /* enough are idle */
    LIDO__CLOSE_UNCLEAN, /* could not be cleaned */
    LIDO__CLOSE_HOOK,    /* a hook refused it */
};

enum lido__first {
    LIDO__FIRST_TO_COME, /* first_connect has not run, or has failed */
    LIDO__FIRST_CLAIMED, /* whoever claimed the first slot is about to run it */
    LIDO__FIRST_RUNNING,
    LIDO__FIRST_DONE,
};

struct lido_pool {
    /* Set at open, then constant. */
    struct lido__pool_config config;
    uint64_t id; /* never used twice, for a thread's hint */
    int64_t limit;
    int64_t keep;
    struct lido_connect how;
    lido_hooks hooks;

    /* Read by every checkout and check-in, written seldom. */
    alignas(64) lido__word gate; /* not 0: go by the lock; see pool/slots.c */
    lido__word live;             /* slots that are not vacant; written under the lock */

    alignas(64) struct lido__mutex lock; /* guards all below; rank LIDO_RANK_POOL */
    bool is_lock_ready;                  /* constant once set: pools are type-stable */
    struct lido_record *_Atomic chunks;  /* read without the lock, written with it */
    struct lido__waiters waiters;        /* blocked checkouts, in order of arrival */
    struct lido__bell emptied;           /* rung when a closed pool has no slot left */
    struct lido__bell first_ran;         /* rung when first_connect has run */
    enum lido__first first;
    uint64_t first_runner;         /* the thread that runs first_connect, or is about to */
    bool is_freed;                 /* the last slot takes the pool with it */
    struct lido_pool_stats counts; /* what is counted here, not in the slots */
    void *slab_link;
};

/* pool/pool.c.  The config's url is stolen. */
int lido__pool_new(lido_pool **out, const struct lido__pool_config *config,
                   struct lido_error *err);
/* Gives the memory back.  Nothing may be lent. */
void lido__pool_destroy(lido_pool *pool);
/* Connections now open or lent add up to `live`, and `live` is in its bounds. */
bool lido__pool_is_sound_locked(const lido_pool *pool)
    LIDO_TSA(requires_capability(pool->lock));

/* pool/log.c: one line to the host.  Never under a lock. */
void lido__log(lido_pool *pool, int level, const char *format, ...)
    __attribute__((format(printf, 3, 4))) LIDO_TSA(locks_excluded(pool->lock));
static inline bool lido__logs(const lido_pool *pool, int level)
{
    return level <= pool->config.log_level && pool->config.log != NULL;
}

/*
 * pool/slots.c: who gets which slot.  A claimed slot is LENT to the calling thread, a
 * released one must be RETURNING.
 */
struct lido_record *lido__slot_claim_quick(lido_pool *pool);
/* `deadline_ns` is when `timeout_ms` will be over. */
int lido__slot_claim(lido_pool *pool, struct lido_record **out, int64_t timeout_ms,
                     int64_t deadline_ns, struct lido_error *err)
    LIDO_TSA(locks_excluded(pool->lock));
/* Ends the lease: to a waiter, or back into the pool, or (vacate) back to capacity.  False
   if `keep` idle connections are there already: nothing has changed, close it and vacate.
   The pool may be gone afterwards. */
bool lido__slot_release(lido_pool *pool, struct lido_record *record, bool vacate)
    LIDO_TSA(locks_excluded(pool->lock));
/* The same in two atomic operations, when nothing stands against it. */
bool lido__slot_release_quick(lido_pool *pool, struct lido_record *record);
/* Closes the gate for good and sends home who waits. */
void lido__slots_dismiss(lido_pool *pool);
/* Closes what is idle in a closed pool.  What the first failing close hook returned. */
int lido__slots_sweep(lido_pool *pool, struct lido_error *err)
    LIDO_TSA(locks_excluded(pool->lock));

/* pool/chunks.c: more slots, and all of them back.  False if memory is out. */
bool lido__slots_grow(lido_pool *pool) LIDO_TSA(locks_excluded(pool->lock));
void lido__slots_give_back(lido_pool *pool);

/* True while first_connect is another thread's. */
static inline bool lido__first_is_others_locked(const lido_pool *pool)
    LIDO_TSA(requires_capability(pool->lock))
{
    return (pool->first == LIDO__FIRST_CLAIMED || pool->first == LIDO__FIRST_RUNNING) &&
           pool->first_runner != lido__thread();
}

/* pool/connect.c: the driver's side of a record that the caller holds. */
int lido__record_connect(lido_pool *pool, struct lido_record *record, int64_t deadline_ns,
                         struct lido_error *err) LIDO_TSA(locks_excluded(pool->lock));
int lido__record_disconnect(lido_pool *pool, struct lido_record *record,
                            enum lido__close_reason reason, struct lido_error *err)
    LIDO_TSA(locks_excluded(pool->lock));
int lido__record_fire(lido_pool *pool, struct lido_record *record, enum lido__event event,
                      const struct lido_conn *conn, int *begin_mode, struct lido_error *err)
    LIDO_TSA(locks_excluded(pool->lock));

/* pool/lease.c: a lease in use. */
void lido__lease_tell(struct lido_record *record, const char *file, int line,
                      const char *label);
/* The slot of a lease that this thread may use now.  LIDO_STALE, LIDO_WRONG_THREAD,
   LIDO_FORKED, SQLITE_MISUSE. */
int lido__lease_use(const struct lido_conn *conn, struct lido_record **out,
                    struct lido_error *err);
/* True as long as the lease has not ended: to look again after the host's code ran. */
static inline bool lido__lease_is_good(const struct lido_record *record,
                                       uint64_t generation)
{
    return lido__observe(&record->word) == lido__slot_word(generation, LIDO__LENT);
}

/* pool/holders.c: ", longest held: ..." for the text of a time-out. */
void lido__holders_describe(lido_pool *pool, char *text, size_t size);

/* The first slot of the pool, and the one after. */
static inline struct lido_record *lido__slots_first(const lido_pool *pool)
{
    return atomic_load_explicit(&pool->chunks, memory_order_acquire);
}

#endif
