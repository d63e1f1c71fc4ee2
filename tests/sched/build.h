/* SPDX-License-Identifier: MIT */
#ifndef LIDO_TESTS_SCHED_BUILD_H
#define LIDO_TESTS_SCHED_BUILD_H

/*
 * What the scheduler's build of lido is compiled with: included before every file of it, by
 * the compiler's -include.
 *
 * The names of <stdatomic.h>, of <pthread.h> and of the clocks that lido uses become calls of
 * the scheduler's; so lido's own files are tested as they are, base/atomic.h and base/sync.c
 * too.  A thread's own variables lie in a section of their own, which the scheduler
 * exchanges when it changes threads (tests/sched/sched.c).
 *
 * Threads: the scheduler's, of which one runs at a time.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>
#include <unistd.h>

#define SCHED_MOST 6 /* threads at one time */

/* What a thread knows of the others: how far each had come when it last heard of it. */
struct sched_knowledge {
    uint32_t of[SCHED_MOST];
};

/* All zero is a lock that is open. */
struct sched_mutex {
    int owner; /* the thread's number plus 1, or 0 */
    bool is_dead;
    uint64_t run; /* knowledge is of this run, or there is none */
    struct sched_knowledge knowledge;
};

/* tests/sched/memory.c */
uint64_t sched_load(const volatile void *at, memory_order order);
void sched_store(volatile void *at, uint64_t value, memory_order order);
uint64_t sched_swap(volatile void *at, uint64_t value, memory_order order);
uint64_t sched_add(volatile void *at, uint64_t value, memory_order order);
bool sched_cas(volatile void *at, uint64_t *expected, uint64_t desired, memory_order order);

/* tests/sched/locks.c */
int sched_mutex_init(struct sched_mutex *mutex);
int sched_mutex_destroy(struct sched_mutex *mutex);
int sched_mutex_lock(struct sched_mutex *mutex);
int sched_mutex_unlock(struct sched_mutex *mutex);
long sched_syscall(long number, ...); /* a futex, or whatever Linux answers */
int sched_clock_read(clockid_t clock, struct timespec *now);
int sched_key_create(pthread_key_t *key, void (*destroy)(void *value));
int sched_key_set(pthread_key_t key, const void *value);

#ifndef SCHED_PLAIN /* the scheduler itself */

/* A value of the type that `at` points to, without its _Atomic. */
#define SCHED_TYPED(at, word) ((__typeof__((void)0, *(at)))(word))
#define SCHED_WORD(value)     ((uint64_t)(value))

#undef atomic_load
#undef atomic_load_explicit
#undef atomic_store
#undef atomic_store_explicit
#undef atomic_exchange
#undef atomic_fetch_add
#undef atomic_compare_exchange_strong
#define SCHED_FULL                              memory_order_seq_cst
#define atomic_load(at)                         atomic_load_explicit(at, SCHED_FULL)
#define atomic_load_explicit(at, order)         SCHED_TYPED(at, sched_load(at, order))
#define atomic_store(at, value)                 atomic_store_explicit(at, value, SCHED_FULL)
#define atomic_store_explicit(at, value, order) sched_store(at, SCHED_WORD(value), order)
#define atomic_exchange(at, value)                                                         \
    SCHED_TYPED(at, sched_swap(at, SCHED_WORD(value), SCHED_FULL))
#define atomic_fetch_add(at, value)                                                        \
    SCHED_TYPED(at, sched_add(at, SCHED_WORD(value), SCHED_FULL))
#define atomic_compare_exchange_strong(at, expected, desired)                              \
    sched_cas(at, expected, SCHED_WORD(desired), SCHED_FULL)

#define pthread_mutex_t struct sched_mutex
#undef PTHREAD_MUTEX_INITIALIZER
#define PTHREAD_MUTEX_INITIALIZER                                                          \
    {                                                                                      \
        .owner = 0                                                                         \
    }
#define pthread_mutex_init(mutex, attributes) sched_mutex_init(mutex)
#define pthread_mutex_destroy(mutex)          sched_mutex_destroy(mutex)
#define pthread_mutex_lock(mutex)             sched_mutex_lock(mutex)
#define pthread_mutex_unlock(mutex)           sched_mutex_unlock(mutex)
#define syscall(...)                          sched_syscall(__VA_ARGS__)
#define pthread_key_create(key, destroy)      sched_key_create(key, destroy)
#define pthread_setspecific(key, value)       sched_key_set(key, value)
#define clock_gettime(clock, now)             sched_clock_read(clock, now)

#if defined(__clang__)
#pragma clang diagnostic ignored "-Wkeyword-macro"
#endif
#define _Thread_local __attribute__((section("sched_tls")))
#define tls_model(model) unused

#endif
#endif
