/* SPDX-License-Identifier: MIT */
/*
 * Locks with ranks, and parking on the system's clock or a host's own.
 *
 * A parker is one word: a bit that says that it was unparked, and above it a number that
 * changes with each move of the host's clock.  Who sleeps has looked at the word, and sleeps
 * only while it is what it was (base/futex.h), so whatever changes it is not lost.
 *
 * A thread that waits on a host's clock cannot be woken by the system's, so it sleeps
 * without an end and is listed in `waiters`; lido_clock_moved() changes the words of all that
 * are listed under that clock and wakes them, and each reads the time again.  It is listed
 * before it first reads the word and the time.
 *
 * Threads: everything here, any.
 */
#include "base/sync.h"

#include "base/futex.h"

#include <assert.h>

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

#define UNPARKED UINT64_C(1)
#define MOVED    UINT64_C(2)
#define GONE     UINT64_MAX

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
        lido__add(&parker->word, MOVED);
        lido__futex_wake(&parker->word);
    }
    lido__mutex_unlock(&waiters_lock);
}

void lido__parker_init(struct lido__parker *parker)
{
    lido__write(&parker->word, 0);
}

void lido__parker_fini(struct lido__parker *parker)
{
#ifndef NDEBUG
    lido__swap(&parker->word, GONE);
#else
    (void)parker;
#endif
}

bool lido__park(struct lido__parker *parker, const struct lido_clock *clock,
                int64_t deadline_ns)
{
    const int64_t until_ns = clock == NULL ? deadline_ns : LIDO_NO_DEADLINE;

    parker->clock = clock;
    if (clock != NULL)
        enlist(parker);
    for (;;) {
        const uint64_t seen = lido__load(&parker->word);

        if ((seen & UNPARKED) != 0 ||
            (deadline_ns != LIDO_NO_DEADLINE && lido__wait_ns(clock) >= deadline_ns))
            break;
        lido__futex_wait(&parker->word, seen, until_ns);
    }
    if (clock != NULL)
        delist(parker);
    return (lido__swap(&parker->word, 0) & UNPARKED) != 0;
}

void lido__unpark(struct lido__parker *parker)
{
    const uint64_t was = lido__swap(&parker->word, UNPARKED);

    assert(was != GONE);
    (void)was;
    lido__futex_wake(&parker->word); /* its thread may be gone, and the parker with it */
}

void lido__sleep(const struct lido_clock *clock, int64_t duration_ns)
{
    struct lido__parker parker;

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
