/* SPDX-License-Identifier: MIT */
/*
 * The list of blocked checkouts, and bells.
 *
 * Threads: every function wants the lock of the pool that the list belongs to.  None calls
 * a hook or SQLite.
 */
#include "pool/waiters.h"

void lido__waiters_append(struct lido__waiters *waiters, struct lido__waiter *waiter)
{
    waiter->next = NULL;
    waiter->previous = waiters->newest;
    if (waiters->newest != NULL)
        waiters->newest->next = waiter;
    else
        waiters->oldest = waiter;
    waiters->newest = waiter;
    waiter->is_listed = true;
}

void lido__waiters_remove(struct lido__waiters *waiters, struct lido__waiter *waiter)
{
    assert(waiter->is_listed);
    if (waiter->previous != NULL)
        waiter->previous->next = waiter->next;
    else
        waiters->oldest = waiter->next;
    if (waiter->next != NULL)
        waiter->next->previous = waiter->previous;
    else
        waiters->newest = waiter->previous;
    waiter->next = NULL;
    waiter->is_listed = false;
}

struct lido__waiter *lido__waiters_next(const struct lido__waiters *waiters, int64_t now_ns,
                                        uint64_t only)
{
    struct lido__waiter *waiter = waiters->oldest;

    while (waiter != NULL &&
           (waiter->deadline_ns <= now_ns || (only != 0 && waiter->thread != only)))
        waiter = waiter->next;
    return waiter;
}

bool lido__bell_wait_locked(struct lido__bell *bell, struct lido__mutex *lock,
                            const struct lido_clock *clock, int64_t deadline_ns)
{
    struct lido__ear ear;
    bool is_rung;

    lido__parker_init(&ear.parker);
    ear.next = bell->ears;
    bell->ears = &ear;
    lido__mutex_unlock(lock);
    is_rung = lido__park(&ear.parker, clock, deadline_ns);
    lido__mutex_lock(lock);
    for (struct lido__ear **link = &bell->ears; *link != NULL; link = &(*link)->next)
        if (*link == &ear) {
            *link = ear.next;
            break;
        }
    lido__parker_fini(&ear.parker);
    return is_rung;
}

void lido__bell_ring_locked(struct lido__bell *bell)
{
    struct lido__ear *ear = bell->ears;

    /* Each ear needs the lock before it goes away: `next` stays readable. */
    bell->ears = NULL;
    for (; ear != NULL; ear = ear->next)
        lido__unpark(&ear->parker);
}
