/* SPDX-License-Identifier: MIT */
#ifndef LIDO_BASE_SYNC_H
#define LIDO_BASE_SYNC_H

/*
 * Locks with ranks, and parking.
 *
 * Locks are taken in rising rank; a debug build aborts on a step down, and when the host's
 * code would be called with a lock held (lido__assert_unlocked).
 *
 * A parker is where one thread sleeps until another unparks it or a deadline passes.  An
 * unpark that comes first is kept, so none is lost; one that comes twice counts once.
 */
#include "base/atomic.h"
#include "base/clock.h"
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#if defined(__clang__)
#define LIDO_TSA(attribute) __attribute__((attribute))
#else
#define LIDO_TSA(attribute)
#endif

enum lido__rank {
    LIDO_RANK_MANAGER, /* engine/manager.c: which pools there are */
    LIDO_RANK_POOLS,   /* pool/threads.c: the list of pools that are bound to threads */
    LIDO_RANK_CANCEL,  /* pool/cancel.h: who is to be woken together */
    LIDO_RANK_RING,    /* pool/ring.c: who sleeps for what */
    LIDO_RANK_POOL,    /* pool/pool.h */
    LIDO_RANK_HOOKS,   /* hooks/registry.c */
    LIDO_RANK_DRIVER,  /* driver/registry.c */
    LIDO_RANK_GATES,   /* txn/gate.c: the list of gates */
    LIDO_RANK_GATE,    /* a gate's: who is in, who waits */
    LIDO_RANK_FILES,   /* txn/sidecar.c: what is open, and who opens one */
    LIDO_RANK_SLAB,    /* pool/slab.c */
    LIDO_RANK_CLOCK,   /* base/sync.c: the list of those who wait on a host's clock */
};

struct LIDO_TSA(capability("mutex")) lido__mutex {
    pthread_mutex_t raw;
    enum lido__rank rank;
};
#define LIDO_MUTEX_INIT(rank_)                                                             \
    {                                                                                      \
        PTHREAD_MUTEX_INITIALIZER, rank_                                                   \
    }

void lido__mutex_init(struct lido__mutex *mutex, enum lido__rank rank);
void lido__mutex_fini(struct lido__mutex *mutex);
void lido__mutex_lock(struct lido__mutex *mutex) LIDO_TSA(acquire_capability(mutex));
void lido__mutex_unlock(struct lido__mutex *mutex) LIDO_TSA(release_capability(mutex));

/* Aborts a debug build if this thread holds any of lido's locks. */
#ifdef NDEBUG
static inline void lido__assert_unlocked(void)
{
}
#else
void lido__assert_unlocked(void);
#endif

struct lido__parker {
    lido__word word;                /* base/sync.c */
    const struct lido_clock *clock; /* constant while a thread waits */
    struct lido__parker *next;      /* base/sync.c: others that wait on the same clock */
};

void lido__parker_init(struct lido__parker *parker);
void lido__parker_fini(struct lido__parker *parker); /* nobody will unpark it */

/* Sleeps until unparked (true) or until `clock` reaches `deadline_ns` (false).
   LIDO_NO_DEADLINE: until unparked. */
bool lido__park(struct lido__parker *parker, const struct lido_clock *clock,
                int64_t deadline_ns);
void lido__unpark(struct lido__parker *parker);

/* Sleeps for `duration_ns` on `clock`. */
void lido__sleep(const struct lido_clock *clock, int64_t duration_ns);

#endif
