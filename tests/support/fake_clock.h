/* SPDX-License-Identifier: MIT */
#ifndef LIDO_TESTS_FAKE_CLOCK_H
#define LIDO_TESTS_FAKE_CLOCK_H

/*
 * A clock that stands still until a test moves it.
 *
 * Both times are the same.  Nobody has to know whether a thread sleeps already when the
 * clock is moved: one that comes later reads the new time.
 */
#include <lido/sys/clock.h>

const struct lido_clock *fake_clock(void);
int64_t fake_clock_now_ns(void);
void fake_clock_advance_ms(int64_t ms);

/* From now on this thread alone reads so much more, as one that looks last. */
void fake_clock_be_ahead_ms(int64_t ms);

/* How often it was read: a thread that is to wait reads it first. */
int fake_clock_reads(void);

#endif
