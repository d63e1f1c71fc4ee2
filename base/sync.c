/* SPDX-License-Identifier: MIT */
/*
 * Locks with ranks, and parking on the system's clock or a host's own.
 *
 * A thread that waits on a host's clock cannot be woken by the system's, so it sleeps
 * without an end and is listed in `waiters`; lido_clock_moved() wakes all that are listed
 * under that clock, and each reads the time again.  It is listed before it first reads the
 * time and wakers set a flag under the parker's lock, so a move between the reading and the
 * sleep is not lost.
 *
 * Threads: everything here, any.
 */
#include "base/sync.h"

#include <assert.h>
#include <errno.h>

#if defined(__clang__)
#define NO_TSA __attribute__((no_thread_safety_analysis))
#else
#define NO_TSA
#endif

#ifndef NDEBUG
static _Thread_local unsigned held; /* ranks this thread holds, one bit each */

void lido__assert_unlocked(void)
{
    assert(held == 0 && "the host's code was about to run under a lock of lido's");
}
#endif

void lido__mutex_init(struct lido__mutex *mutex, enum lido__rank rank)
{
    int rc = pthread_mutex_init(&mutex->raw, NULL);

    assert(rc == 0);
    (void)rc;
    mutex->rank = rank;
}

void lido__mutex_fini(struct lido__mutex *mutex)
{
    pthread_mutex_destroy(&mutex->raw);
}

NO_TSA void lido__mutex_lock(struct lido__mutex *mutex)
{
    int rc;

    assert(held < (1u << mutex->rank) && "locks are taken in rising rank");
    rc = pthread_mutex_lock(&mutex->raw);
    assert(rc == 0);
    (void)rc;
#ifndef NDEBUG
    held |= 1u << mutex->rank;
#endif
}

NO_TSA void lido__mutex_unlock(struct lido__mutex *mutex)
{
    int rc;

#ifndef NDEBUG
    held &= ~(1u << mutex->rank);
#endif
    rc = pthread_mutex_unlock(&mutex->raw);
    assert(rc == 0);
    (void)rc;
}

/* Those who wait on a host's clock. */
static struct lido__mutex waiters_lock = LIDO_MUTEX_INIT(LIDO_RANK_CLOCK);
static struct lido__parker *waiters; /* guarded by waiters_lock */

static void enlist(struct lido__parker *parker)
{
    lido__mutex_lock(&waiters_lock);
    parker->next = waiters;
    waiters = parker;
    lido__mutex_unlock(&waiters_lock);
}

static void delist(struct lido__parker *parker)
{
    struct lido__parker **link = &waiters;

    lido__mutex_lock(&waiters_lock);
    while (*link != parker)
        link = &(*link)->next;
    *link = parker->next;
    lido__mutex_unlock(&waiters_lock);
}

void lido_clock_moved(const struct lido_clock *clock)
{
    lido__mutex_lock(&waiters_lock);
    for (struct lido__parker *parker = waiters; parker != NULL; parker = parker->next) {
        if (parker->clock != clock)
            continue;
        lido__mutex_lock(&parker->lock);
        pthread_cond_signal(&parker->wake);
        lido__mutex_unlock(&parker->lock);
    }
    lido__mutex_unlock(&waiters_lock);
}

void lido__parker_init(struct lido__parker *parker)
{
    pthread_condattr_t attributes;

    lido__mutex_init(&parker->lock, LIDO_RANK_PARK);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&parker->wake, &attributes);
    pthread_condattr_destroy(&attributes);
    parker->is_unparked = false;
    parker->clock = NULL;
    parker->next = NULL;
}

void lido__parker_fini(struct lido__parker *parker)
{
    pthread_cond_destroy(&parker->wake);
    lido__mutex_fini(&parker->lock);
}

/* One sleep, which may end for no reason.  Wants parker->lock. */
NO_TSA static void doze_locked(struct lido__parker *parker, int64_t deadline_ns)
{
    struct timespec until = {
        .tv_sec = (time_t)(deadline_ns / LIDO_NS_PER_S),
        .tv_nsec = (long)(deadline_ns % LIDO_NS_PER_S),
    };

    if (deadline_ns == LIDO_NO_DEADLINE || parker->clock != NULL)
        pthread_cond_wait(&parker->wake, &parker->lock.raw);
    else
        pthread_cond_timedwait(&parker->wake, &parker->lock.raw, &until);
}

bool lido__park(struct lido__parker *parker, const struct lido_clock *clock,
                int64_t deadline_ns)
{
    bool is_unparked;

    parker->clock = clock;
    if (clock != NULL)
        enlist(parker);
    lido__mutex_lock(&parker->lock);
    while (!parker->is_unparked &&
           (deadline_ns == LIDO_NO_DEADLINE || lido__wait_ns(clock) < deadline_ns))
        doze_locked(parker, deadline_ns);
    is_unparked = parker->is_unparked;
    parker->is_unparked = false;
    lido__mutex_unlock(&parker->lock);
    if (clock != NULL)
        delist(parker);
    return is_unparked;
}

void lido__unpark(struct lido__parker *parker)
{
    /* Signalled under the lock: the sleeper may free the parker once it has the lock. */
    lido__mutex_lock(&parker->lock);
    parker->is_unparked = true;
    pthread_cond_signal(&parker->wake);
    lido__mutex_unlock(&parker->lock);
}

void lido__sleep(const struct lido_clock *clock, int64_t duration_ns)
{
    struct lido__parker parker;
    struct timespec span = { .tv_sec = (time_t)(duration_ns / LIDO_NS_PER_S),
                             .tv_nsec = (long)(duration_ns % LIDO_NS_PER_S) };

    if (clock == NULL) {
        while (nanosleep(&span, &span) != 0 && errno == EINTR)
            continue;
        return;
    }
    lido__parker_init(&parker);
    lido__park(&parker, clock, lido__wait_ns(clock) + duration_ns);
    lido__parker_fini(&parker);
}

int64_t lido__deadline_ns(const struct lido_clock *clock, int64_t timeout_ms)
{
    const int64_t last = LIDO_NO_DEADLINE - 1;
    int64_t now, span;

    if (timeout_ms < 0)
        return LIDO_NO_DEADLINE;
    now = lido__wait_ns(clock); /* of a host's clock it may be negative */
    if (timeout_ms > last / LIDO_NS_PER_MS)
        return last;
    span = timeout_ms * LIDO_NS_PER_MS;
    return now > 0 && span > last - now ? last : now + span;
}
