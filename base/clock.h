/* SPDX-License-Identifier: MIT */
#ifndef LIDO_BASE_CLOCK_H
#define LIDO_BASE_CLOCK_H

/*
 * Time: the system's clocks, or a host's own in their place.
 *
 * The age clock is CLOCK_MONOTONIC_COARSE where there is one: 5 ns a reading against 23,
 * and a lease's age does not need better than the 4 ms between its ticks.
 */
#include <lido/sys/clock.h>
#include <time.h>

#define LIDO_NO_DEADLINE INT64_MAX
#define LIDO_NS_PER_MS   INT64_C(1000000)
#define LIDO_NS_PER_S    INT64_C(1000000000)

#ifdef CLOCK_MONOTONIC_COARSE
#define LIDO__CLOCK_AGE CLOCK_MONOTONIC_COARSE
#else
#define LIDO__CLOCK_AGE CLOCK_MONOTONIC
#endif

static inline int64_t lido__clock_read(clockid_t id)
{
    struct timespec now;

    clock_gettime(id, &now);
    return (int64_t)now.tv_sec * LIDO_NS_PER_S + now.tv_nsec;
}

/* Milliseconds as nanoseconds; a quarter of all there are is for ever. */
static inline int64_t lido__ms_to_ns(int64_t ms)
{
    const int64_t most_ms = INT64_MAX / 4 / LIDO_NS_PER_MS;

    return (ms < most_ms ? ms : most_ms) * LIDO_NS_PER_MS;
}

/* The two times of `clock`; NULL is the system's. */
static inline int64_t lido__age_ns(const struct lido_clock *clock)
{
    return clock == NULL ? lido__clock_read(LIDO__CLOCK_AGE) : clock->age_ns(clock->ctx);
}

static inline int64_t lido__wait_ns(const struct lido_clock *clock)
{
    return clock == NULL ? lido__clock_read(CLOCK_MONOTONIC) : clock->wait_ns(clock->ctx);
}

/* When `timeout_ms` from now is over; negative is never.  Never overflows. */
int64_t lido__deadline_ns(const struct lido_clock *clock, int64_t timeout_ms);

#endif
