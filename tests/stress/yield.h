/* SPDX-License-Identifier: MIT */
#ifndef LIDO_TESTS_YIELD_H
#define LIDO_TESTS_YIELD_H

/*
 * The yield point of base/atomic.h for a build of the library in which threads change places
 * between two atomic operations, which they hardly ever do by themselves.  Included before
 * every file of that build, by the compiler's -include.
 */
#include <sched.h>
#include <stdint.h>

static inline void test_yield(void)
{
    static _Thread_local uint32_t seed;

    if (seed == 0) /* each thread its own: where its stack lies */
        seed = (uint32_t)((uintptr_t)&seed >> 4) | 1;
    seed ^= seed << 13;
    seed ^= seed >> 17;
    seed ^= seed << 5;
    if (seed % 16 == 0)
        sched_yield();
}

#define LIDO_YIELD() test_yield()

#endif
