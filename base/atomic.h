/* SPDX-License-Identifier: MIT */
#ifndef LIDO_BASE_ATOMIC_H
#define LIDO_BASE_ATOMIC_H

/*
 * The atomic operations that lido uses, each with a yield point.
 *
 * A build for the deterministic scheduler defines LIDO_YIELD() to switch threads there; in
 * every other build it is nothing.  No other file uses <stdatomic.h>'s functions.
 */
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#ifndef LIDO_YIELD
#define LIDO_YIELD() ((void)0)
#endif

typedef _Atomic uint64_t lido__word;

/* A value that others may read while it is written, and that orders nothing. */
static inline uint64_t lido__read(const lido__word *word)
{
    return atomic_load_explicit(word, memory_order_relaxed);
}

static inline void lido__write(lido__word *word, uint64_t value)
{
    atomic_store_explicit(word, value, memory_order_relaxed);
}

/* Adds with a plain load and store: for a word that one thread at a time writes. */
static inline void lido__bump(lido__word *word)
{
    lido__write(word, lido__read(word) + 1);
}

/* What was written before a publish is seen after an observe of it. */
static inline uint64_t lido__observe(const lido__word *word)
{
    LIDO_YIELD();
    return atomic_load_explicit(word, memory_order_acquire);
}

static inline void lido__publish(lido__word *word, uint64_t value)
{
    LIDO_YIELD();
    atomic_store_explicit(word, value, memory_order_release);
}

/*
 * The three below are in one total order: of two threads that each change one word and then
 * read the other's, at least one sees the change.
 */
static inline bool lido__cas(lido__word *word, uint64_t expected, uint64_t desired)
{
    LIDO_YIELD();
    return atomic_compare_exchange_strong(word, &expected, desired);
}

static inline uint64_t lido__swap(lido__word *word, uint64_t value)
{
    LIDO_YIELD();
    return atomic_exchange(word, value);
}

static inline uint64_t lido__load(const lido__word *word)
{
    LIDO_YIELD();
    return atomic_load(word);
}

static inline uint64_t lido__add(lido__word *word, uint64_t value)
{
    LIDO_YIELD();
    return atomic_fetch_add(word, value);
}

#endif
