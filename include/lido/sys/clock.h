/* SPDX-License-Identifier: MIT */
#ifndef LIDO_SYS_CLOCK_H
#define LIDO_SYS_CLOCK_H

#include <lido/version.h>
#include <stddef.h>
#include <stdint.h>

/*
 * A clock of the host's own, for tests and simulations.
 *
 * A pool reads two times, both monotonic nanoseconds from any zero: the age clock tells how
 * old a lease is and may be coarse, the wait clock decides when a deadline has passed.
 */

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Threads:   both functions are called by any thread, also under lido's locks: they only
 *            read a time, and call nothing of lido.
 */
struct lido_clock {
    size_t size; /* sizeof(struct lido_clock) */
    void *ctx;
    int64_t (*age_ns)(void *ctx);
    int64_t (*wait_ns)(void *ctx);
};

/*
 * To be called after a host's own clock has moved: every thread that waits on it looks at
 * the time again.  Threads that wait on the system's clock are not disturbed.
 *
 * Threads:   any.
 */
LIDO_API void lido_clock_moved(const struct lido_clock *clock);

#ifdef __cplusplus
}
#endif
#endif
