/* SPDX-License-Identifier: MIT */
#ifndef LIDO_POOL_WAITERS_H
#define LIDO_POOL_WAITERS_H

/*
 * Waiters: who gets the next free slot.
 *
 * A blocked checkout has a waiter on its own stack, linked in order of arrival.  Whoever
 * frees a slot gives it to the oldest one whose deadline has not passed and wakes that one
 * thread, so no newcomer overtakes a sleeper, and nothing is handed to the dead.
 *
 *     release --> [oldest] --> [next] --> ... <-- checkout, when nothing is free
 *
 * Threads: the list wants the pool's lock.  A waiter that was taken off the list must be
 * woken (lido__unpark), and touches nothing of it before it was: so the waker may do that
 * after it has unlocked.
 */
#include "base/sync.h"
#include "pool/slot.h"

struct lido__waiter {
    struct lido__parker parker;
    uint64_t thread; /* who waits: lido__thread() */
    int64_t deadline_ns;
    int64_t since_ns;           /* on the wait clock */
    struct lido_record *record; /* what it was given: LENT to it; NULL: the pool closed */
    bool is_listed;
    bool is_cancelled; /* taken off the list by a token */
    struct lido__waiter *next;
    struct lido__waiter *previous;
};

struct lido__waiters {
    struct lido__waiter *oldest;
    struct lido__waiter *newest;
};

void lido__waiters_append(struct lido__waiters *waiters, struct lido__waiter *waiter);
void lido__waiters_remove(struct lido__waiters *waiters, struct lido__waiter *waiter);
/* The oldest whose deadline is after now_ns, or NULL; `only`: of that thread (0: of any). */
struct lido__waiter *lido__waiters_next(const struct lido__waiters *waiters, int64_t now_ns,
                                        uint64_t only);

/*
 * A bell: threads that wait until something about a pool has changed, all at once.  As a
 * condition variable, but on the pool's clock.
 */
struct lido__ear {
    struct lido__parker parker;
    struct lido__ear *next;
};
struct lido__bell {
    struct lido__ear *ears;
};

/* Unlocks, waits to be rung, locks again.  False past the deadline. */
bool lido__bell_wait_locked(struct lido__bell *bell, struct lido__mutex *lock,
                            const struct lido_clock *clock, int64_t deadline_ns)
    LIDO_TSA(requires_capability(lock));
void lido__bell_ring_locked(struct lido__bell *bell);

#endif
