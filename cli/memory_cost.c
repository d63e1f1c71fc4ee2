/* SPDX-License-Identifier: MIT */
/*
 * The cost of SQLITE_CONFIG_MEMSTATUS: with it every allocation of all connections takes one
 * mutex.  What that means depends on the machine and on how many threads there are, so it is
 * measured and not said: an allocation that is given back at once, by one thread and by some,
 * with the statistics and without.
 *
 * The quickest of a few turns counts, as the one that was disturbed least.
 *
 * Threads: one; it starts others and ends them.
 */
#include "cli/memory_cost.h"

#include "cli/cli.h"

#include <lido/lido.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <unistd.h>

enum { ALLOCATIONS = 20000, BYTES = 100, TURNS = 3, THREADS_MOST = 4 };

struct crowd {
    int threads;
    _Atomic int arrived; /* nobody begins before all are there */
};

static void *allocate(void *crowd_)
{
    struct crowd *crowd = crowd_;

    atomic_fetch_add(&crowd->arrived, 1);
    while (atomic_load(&crowd->arrived) < crowd->threads)
        sched_yield();
    for (int i = 0; i < ALLOCATIONS; i++)
        sqlite3_free(sqlite3_malloc(BYTES));
    return NULL;
}

/* Nanoseconds until `threads` threads have done theirs, for one of these; negative: they could
   not be started. */
static double time_threads(int threads)
{
    struct crowd crowd = { .threads = threads };
    pthread_t others[THREADS_MOST];
    int64_t began;
    int n = 0;

    while (n < threads - 1 && pthread_create(&others[n], NULL, allocate, &crowd) == 0)
        n++;
    while (atomic_load(&crowd.arrived) < n)
        sched_yield();
    if (n < threads - 1) /* those that are there go on without the rest */
        atomic_fetch_add(&crowd.arrived, threads);
    began = cli_now_ns();
    if (n == threads - 1)
        allocate(&crowd);
    for (int i = 0; i < n; i++)
        pthread_join(others[i], NULL);
    return n < threads - 1 ? -1 : (double)(cli_now_ns() - began) / ALLOCATIONS;
}

static bool measure(int threads, double *out)
{
    for (int alone = 1; alone >= 0; alone--) {
        double *least = &out[1 - alone];

        *least = -1;
        for (int turn = 0; turn < TURNS; turn++) {
            const double now = time_threads(alone ? 1 : threads);

            if (now < 0)
                return false;
            if (*least < 0 || now < *least)
                *least = now;
        }
    }
    return true;
}

/* Whether they are on, from now on. */
static bool set(bool is_on)
{
    return sqlite3_shutdown() == SQLITE_OK &&
           sqlite3_config(SQLITE_CONFIG_MEMSTATUS, (int)is_on) == SQLITE_OK &&
           sqlite3_initialize() == SQLITE_OK;
}

void memory_cost_measure(struct memory_cost *cost)
{
    const long processors = sysconf(_SC_NPROCESSORS_ONLN);
    void *block;

    *cost = (struct memory_cost){ .threads = THREADS_MOST };
    if (processors > 0 && processors < THREADS_MOST)
        cost->threads = processors < 2 ? 2 : (int)processors;
    if (sqlite3_initialize() != SQLITE_OK)
        return;
    block = sqlite3_malloc(BYTES); /* so that there is something to be counted */
    cost->is_on = sqlite3_memory_used() > 0;
    sqlite3_free(block);
    if (!cost->is_on || sqlite3_threadsafe() == 0)
        return;
    cost->is_known = measure(cost->threads, cost->on) && set(false);
    if (cost->is_known)
        cost->is_known = measure(cost->threads, cost->off);
    set(true);
}
