/* SPDX-License-Identifier: MIT */
/*
 * Locks, futexes, clocks, and the values of a thread's own: what base/sync.c and others
 * get in the place of the system's.
 *
 * Time stands still while somebody can run, but for a microsecond at each reading, unless
 * the seed lets it jump to the next moment that somebody sleeps for.
 *
 * Threads: as in tests/sched/sched.h.
 */
#include "tests/sched/inside.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/syscall.h>

#define READING_NS 1000

static int n_keys;
static void (*destroyers[MOST_KEYS])(void *value);

int sched_mutex_init(struct sched_mutex *mutex)
{
    *mutex = (struct sched_mutex){ .owner = 0 };
    return 0;
}

int sched_mutex_destroy(struct sched_mutex *mutex)
{
    if (run.current >= 0 && mutex->owner != 0)
        sched_fail("a lock is destroyed that is held");
    mutex->is_dead = true;
    return 0;
}

static void expect_alive(const struct sched_mutex *mutex)
{
    if (mutex->is_dead)
        sched_fail("a lock is used after its end");
}

static void acquire(struct sched_mutex *mutex)
{
    struct fiber *fiber = self();

    if (mutex->owner == run.current + 1)
        sched_fail("a lock is taken twice by one thread");
    while (mutex->owner != 0) {
        fiber->state = LOCKING;
        fiber->mutex = mutex;
        sched_block();
        fiber->state = READY;
        expect_alive(mutex);
    }
    mutex->owner = run.current + 1;
    if (mutex->run == run.number)
        knowledge_join(&fiber->knowledge, &mutex->knowledge);
}

static void release(struct sched_mutex *mutex)
{
    expect_alive(mutex);
    if (mutex->owner != run.current + 1)
        sched_fail("a lock is opened by one who has it not");
    memory_drain(run.current);
    mutex->owner = 0;
    mutex->run = run.number;
    mutex->knowledge = self()->knowledge;
    self()->knowledge.of[run.current]++;
}

int sched_mutex_lock(struct sched_mutex *mutex)
{
    if (run.current < 0)
        return 0;
    sched_point();
    expect_alive(mutex);
    acquire(mutex);
    step("lock", mutex, 0, 0, FROM);
    return 0;
}

int sched_mutex_unlock(struct sched_mutex *mutex)
{
    if (run.current < 0)
        return 0;
    step("unlock", mutex, 0, 0, FROM);
    release(mutex);
    sched_point();
    return 0;
}

static int64_t ns_of(const struct timespec *time)
{
    return (int64_t)time->tv_sec * 1000000000 + time->tv_nsec;
}

static void sleep_until(const volatile uint32_t *futex, int64_t wake_ns)
{
    struct fiber *fiber = self();

    fiber->state = SLEEPING;
    fiber->futex = futex;
    fiber->is_signalled = false;
    fiber->wake_ns = wake_ns;
    sched_block();
    fiber->state = READY;
}

/* Nobody comes in between: Linux has a lock of its own there. */
static long wait_for(const volatile uint32_t *futex, uint32_t seen,
                     const struct timespec *until)
{
    if (run.current < 0)
        sched_fail("a sleep where nobody can wake the sleeper");
    sched_point();
    memory_drain(run.current);
    step("sleep", futex, 0, until != NULL ? (uint64_t)ns_of(until) : 0, FROM);
    if (*futex != seen)
        return -1;
    sleep_until(futex, until != NULL ? ns_of(until) : NO_WAKING);
    step(self()->is_signalled ? "woken" : "overslept", futex, 0, 0, FROM);
    return 0;
}

static long wake_one(const volatile uint32_t *futex)
{
    int sleepers[SCHED_MOST];
    unsigned count = 0;

    if (run.current < 0)
        return 0;
    sched_point();
    memory_drain(run.current);
    step("wake", futex, 0, 0, FROM);
    for (int i = 0; i < run.count; i++)
        if (run.fibers[i].state == SLEEPING && run.fibers[i].futex == futex &&
            !run.fibers[i].is_signalled)
            sleepers[count++] = i;
    if (count > 0)
        run.fibers[sleepers[choose_below(count)]].is_signalled = true;
    return count > 0;
}

long sched_syscall(long number, ...)
{
    const volatile uint32_t *futex;
    const struct timespec *until;
    uint32_t value;
    va_list more;
    int what;

    if (number != SYS_futex)
        return syscall(number);
    va_start(more, number);
    futex = va_arg(more, const volatile uint32_t *);
    what = va_arg(more, int);
    value = va_arg(more, uint32_t);
    until = va_arg(more, const struct timespec *);
    va_end(more);
    return what == FUTEX_WAKE_PRIVATE ? wake_one(futex) : wait_for(futex, value, until);
}

int sched_clock_read(clockid_t clock, struct timespec *now)
{
    (void)clock;
    sched_point();
    run.now_ns += READING_NS;
    now->tv_sec = (time_t)(run.now_ns / 1000000000);
    now->tv_nsec = (long)(run.now_ns % 1000000000);
    step("clock", NULL, 0, (uint64_t)run.now_ns, FROM);
    return 0;
}

int sched_key_create(pthread_key_t *key, void (*destroy)(void *value))
{
    if (n_keys == MOST_KEYS)
        return EAGAIN;
    destroyers[n_keys] = destroy;
    *key = (pthread_key_t)n_keys++;
    return 0;
}

int sched_key_set(pthread_key_t key, const void *value)
{
    if (run.current >= 0)
        self()->values[key] = (void *)(uintptr_t)value;
    return 0;
}

/* In rounds, as POSIX has it: a destructor may set a value again. */
void sched_drop_values(void)
{
    for (int i = 0; i < n_keys * PTHREAD_DESTRUCTOR_ITERATIONS; i++) {
        void *value = self()->values[i % n_keys];

        self()->values[i % n_keys] = NULL;
        if (value != NULL && destroyers[i % n_keys] != NULL)
            destroyers[i % n_keys](value);
    }
}
