/* SPDX-License-Identifier: MIT */
/*
 * The fake clock: one atomic number.  A thread that reads it, decides to sleep and sleeps is
 * still woken by a move in between, because lido lists it before it reads (base/sync.c).
 *
 * Threads: any.
 */
#include "tests/support/fake_clock.h"

#include <stdatomic.h>

static _Atomic int64_t now_ns = INT64_C(1000000000);
static _Atomic int reads;
static _Thread_local int64_t ahead_ns;

static int64_t read_now(void *ctx)
{
    int64_t now = atomic_load(&now_ns) + ahead_ns;

    (void)ctx;
    atomic_fetch_add(&reads,
                     1); /* after the look: who sees it counted may move the clock */
    return now;
}

static const struct lido_clock the_clock = {
    .size = sizeof the_clock,
    .age_ns = read_now,
    .wait_ns = read_now,
};

const struct lido_clock *fake_clock(void)
{
    return &the_clock;
}

int64_t fake_clock_now_ns(void)
{
    return atomic_load(&now_ns);
}

int fake_clock_reads(void)
{
    return atomic_load(&reads);
}

void fake_clock_be_ahead_ms(int64_t ms)
{
    ahead_ns = ms * 1000000;
}

void fake_clock_advance_ms(int64_t ms)
{
    atomic_fetch_add(&now_ns, ms * 1000000);
    lido_clock_moved(&the_clock);
}
