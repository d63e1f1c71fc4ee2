/* SPDX-License-Identifier: MIT */
/*
 * A thread that has a name has a place, at its number modulo their count, in which the name
 * stands until it ends; numbers whose place is taken are passed over.  So whether a thread is
 * alive is one load.
 *
 * The end is told by the destructor of a thread-specific value, in the last but one of the
 * rounds that these get: others, which may check in a lease, have come before or know it by its
 * name no more.  Not in the last, in which ThreadSanitizer ends what it has of the thread: code
 * that comes after that crashes.  What cannot be watched (no key, no place, one that goes on
 * after that round) has a name that says so, and counts as alive for ever.
 *
 * A forked child inherits the places of threads that it has not: they stay taken.
 *
 * Threads: any.  A place is taken by one compare-and-swap and given back by its thread, by a
 * release: who finds it given back sees what the thread did.
 */
#include "base/lives.h"
#include "base/process.h"

#include <limits.h>
#include <pthread.h>

#define PLACES    4096
#define UNWATCHED (UINT64_C(1) << 63)

#define LAST_ROUND (PTHREAD_DESTRUCTOR_ITERATIONS - 1)

static lido__word places[PLACES]; /* the name of who has it; 0: free */

static pthread_key_t key;
static pthread_once_t key_once = PTHREAD_ONCE_INIT;
static bool has_key;

static _Thread_local bool is_over; /* its last round has been */

static lido__word *place_of(uint64_t thread)
{
    return &places[(thread >> LIDO__THREAD_ID_BITS) % PLACES];
}

static void end_life(uint64_t thread)
{
    if (thread != 0 && (thread & UNWATCHED) == 0)
        lido__publish(place_of(thread), 0);
}

/* The value counts the rounds from 1. */
static void round_ends(void *value)
{
    uintptr_t round = (uintptr_t)value;

    if (round < LAST_ROUND && pthread_setspecific(key, (void *)(round + 1)) == 0)
        return;
    is_over = true;
    end_life(lido__thread_self);
    lido__thread_self = 0;
}

static void make_key(void)
{
    has_key = pthread_key_create(&key, round_ends) == 0;
}

static bool watch_self(void)
{
    if (is_over)
        return false;
    pthread_once(&key_once, make_key);
    return has_key && pthread_setspecific(key, (void *)(uintptr_t)1) == 0;
}

uint64_t lido__life_begin(uint64_t id, uint64_t before)
{
    static lido__word last;
    bool is_watched = watch_self();
    uint64_t thread = 0;

    end_life(before);
    for (int i = 0; i < PLACES; i++) {
        uint64_t number = lido__add(&last, 1) + 1;

        thread = number << LIDO__THREAD_ID_BITS | lido__thread_id(id != 0 ? id : number);
        if (!is_watched)
            break;
        if (lido__cas(place_of(thread), 0, thread))
            return thread;
    }
    return thread | UNWATCHED;
}

bool lido__life_is_over(uint64_t thread)
{
    return (thread & UNWATCHED) == 0 && lido__observe(place_of(thread)) != thread;
}
