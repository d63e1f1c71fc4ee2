/* SPDX-License-Identifier: MIT */
/*
 * Sleeping on a word: by Linux's futex, and elsewhere on one of a few conditions of pthreads,
 * which last as long as the process.
 *
 * With a lock and a condition beside each word, whoever wakes would have to do it with the
 * lock held, for the sleeper may free both; and the one that is woken, if it runs at once in
 * the place of who woke it, finds the lock held and sleeps again.  That was one change of
 * threads in three.
 *
 * Why no wake-up is lost: Linux looks at the word and puts the thread to sleep under a lock of
 * its own, which the wake takes too; elsewhere the place's lock is that.  The word was changed
 * before.
 *
 * Threads: any.  A thread that is cancelled sleeps on: what it waits in has a pointer to its
 * stack.
 */
#include "base/futex.h"

#if defined(__linux__) && defined(__LP64__) && !defined(LIDO__NO_FUTEX)

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The kernel's word has 32 bits. */
static const uint32_t *lower_half(const lido__word *word)
{
    return (const uint32_t *)word + (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__);
}

void lido__futex_wait(const lido__word *word, uint64_t seen, int64_t until_ns)
{
    const struct timespec until = { .tv_sec = (time_t)(until_ns / LIDO_NS_PER_S),
                                    .tv_nsec = (long)(until_ns % LIDO_NS_PER_S) };

    syscall(SYS_futex, lower_half(word), FUTEX_WAIT_BITSET_PRIVATE, (uint32_t)seen,
            until_ns != LIDO_NO_DEADLINE ? &until : NULL, NULL, FUTEX_BITSET_MATCH_ANY);
}

void lido__futex_wake(const lido__word *word)
{
    syscall(SYS_futex, lower_half(word), FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

#else

#include <pthread.h>

#define PLACES 64

static struct place {
    pthread_mutex_t lock;
    pthread_cond_t wake;
} places[PLACES];

static pthread_once_t are_made = PTHREAD_ONCE_INIT;

static void make_places(void)
{
    pthread_condattr_t attributes;

    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    for (int i = 0; i < PLACES; i++) {
        pthread_mutex_init(&places[i].lock, NULL);
        pthread_cond_init(&places[i].wake, &attributes);
    }
    pthread_condattr_destroy(&attributes);
}

/* Words may share one: who is woken for another's sake looks, and sleeps again. */
static struct place *place_of(const lido__word *word)
{
    pthread_once(&are_made, make_places);
    return &places[(uint64_t)(uintptr_t)word * UINT64_C(0x9e3779b97f4a7c15) >> 58];
}

void lido__futex_wait(const lido__word *word, uint64_t seen, int64_t until_ns)
{
    struct place *place = place_of(word);
    const struct timespec until = { .tv_sec = (time_t)(until_ns / LIDO_NS_PER_S),
                                    .tv_nsec = (long)(until_ns % LIDO_NS_PER_S) };
    int was;

    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &was);
    pthread_mutex_lock(&place->lock);
    if ((uint32_t)lido__load(word) == (uint32_t)seen) {
        if (until_ns == LIDO_NO_DEADLINE)
            pthread_cond_wait(&place->wake, &place->lock);
        else
            pthread_cond_timedwait(&place->wake, &place->lock, &until);
    }
    pthread_mutex_unlock(&place->lock);
    pthread_setcancelstate(was, NULL);
}

void lido__futex_wake(const lido__word *word)
{
    struct place *place = place_of(word);

    pthread_mutex_lock(&place->lock);
    pthread_mutex_unlock(&place->lock);
    pthread_cond_broadcast(&place->wake);
}

#endif
