/* SPDX-License-Identifier: MIT */
/*
 * Parking, deadlines, and the ranks of locks.
 */
#include "base/sync.h"
#include "tests/support/fake_clock.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>

TestSuite(sync, .timeout = 20);

/* --- parking -------------------------------------------------------------------------- */

Test(sync, an_unpark_that_comes_first_is_kept_and_counts_once)
{
    const struct lido_clock *const clocks[] = { NULL, fake_clock() };

    for (int i = 0; i < 2; i++) {
        struct lido__parker parker;

        lido__parker_init(&parker);
        lido__unpark(&parker);
        lido__unpark(&parker);
        cr_assert(lido__park(&parker, clocks[i], LIDO_NO_DEADLINE));
        cr_assert_not(lido__park(&parker, clocks[i], 0), "the second was the same one");
        lido__parker_fini(&parker);
    }
}

Test(sync, an_unpark_is_found_though_the_deadline_has_passed)
{
    struct lido__parker parker;

    lido__parker_init(&parker);
    lido__unpark(&parker);
    cr_assert(lido__park(&parker, NULL, 0));
    lido__parker_fini(&parker);
}

Test(sync, a_deadline_of_the_system_s_clock_ends_a_park)
{
    int64_t deadline_ns = lido__deadline_ns(NULL, 5);
    struct lido__parker parker;

    lido__parker_init(&parker);
    cr_assert_not(lido__park(&parker, NULL, deadline_ns));
    cr_assert_geq(lido__wait_ns(NULL), deadline_ns, "never before");
    lido__parker_fini(&parker);
}

/* A thread that parks. */
struct sleeper {
    pthread_t thread;
    struct lido__parker parker;
    const struct lido_clock *clock;
    int64_t deadline_ns;
    atomic_int has_ended;
    bool answer;
    int64_t ended_ns; /* on the fake clock */
};

static void *sleep_in(void *arg)
{
    struct sleeper *sleeper = arg;

    sleeper->answer = lido__park(&sleeper->parker, sleeper->clock, sleeper->deadline_ns);
    sleeper->ended_ns = fake_clock_now_ns();
    atomic_store(&sleeper->has_ended, 1);
    return NULL;
}

static void start(struct sleeper *sleeper, const struct lido_clock *clock,
                  int64_t deadline_ns)
{
    lido__parker_init(&sleeper->parker);
    sleeper->clock = clock;
    sleeper->deadline_ns = deadline_ns;
    atomic_init(&sleeper->has_ended, 0);
    cr_assert_eq(pthread_create(&sleeper->thread, NULL, sleep_in, sleeper), 0);
}

static bool end(struct sleeper *sleeper)
{
    cr_assert_eq(pthread_join(sleeper->thread, NULL), 0);
    lido__parker_fini(&sleeper->parker);
    return sleeper->answer;
}

Test(sync, an_unpark_wakes_on_either_clock)
{
    const struct lido_clock *const clocks[] = { NULL, fake_clock() };

    for (int i = 0; i < 2; i++) {
        struct sleeper sleeper;

        start(&sleeper, clocks[i], LIDO_NO_DEADLINE);
        lido__unpark(&sleeper.parker);
        cr_assert(end(&sleeper));
    }
}

Test(sync, a_thread_that_is_cancelled_sleeps_on)
{
    struct sleeper sleeper;

    start(&sleeper, NULL, LIDO_NO_DEADLINE);
    cr_assert_eq(pthread_cancel(sleeper.thread), 0);
    for (int i = 0; i < 1000; i++)
        sched_yield();
    lido__unpark(&sleeper.parker);
    cr_assert(end(&sleeper));
    cr_assert_eq(atomic_load(&sleeper.has_ended), 1);
}

Test(sync, a_park_on_a_host_s_clock_ends_when_that_clock_says_so)
{
    int64_t deadline_ns = lido__deadline_ns(fake_clock(), 1000);
    struct sleeper sleeper;

    start(&sleeper, fake_clock(), deadline_ns);
    /* Whether it sleeps already or is still to come, it does not end a millisecond early. */
    fake_clock_advance_ms(999);
    for (int i = 0; i < 100; i++)
        sched_yield();
    cr_assert_eq(atomic_load(&sleeper.has_ended), 0);
    fake_clock_advance_ms(1);
    cr_assert_not(end(&sleeper));
    cr_assert_eq(sleeper.ended_ns, deadline_ns);
}

Test(sync, a_moved_clock_ends_every_park_that_is_due_and_no_other)
{
    struct sleeper due[3], later;

    for (int i = 0; i < 3; i++)
        start(&due[i], fake_clock(), lido__deadline_ns(fake_clock(), 10));
    start(&later, fake_clock(), lido__deadline_ns(fake_clock(), 100));
    fake_clock_advance_ms(50);
    for (int i = 0; i < 3; i++)
        cr_assert_not(end(&due[i]));
    cr_assert_eq(atomic_load(&later.has_ended), 0);
    lido__unpark(&later.parker);
    cr_assert(end(&later));
}

Test(sync, a_clock_that_nobody_waits_on_may_move)
{
    static const struct lido_clock other = { .size = sizeof other };
    struct sleeper sleeper;

    lido_clock_moved(NULL);
    lido_clock_moved(&other);
    start(&sleeper, fake_clock(), LIDO_NO_DEADLINE);
    lido_clock_moved(NULL);
    lido_clock_moved(&other);
    lido__unpark(&sleeper.parker);
    cr_assert(end(&sleeper));
}

static void *sleep_on_fake_clock(void *duration_ns)
{
    lido__sleep(fake_clock(), *(int64_t *)duration_ns);
    return NULL;
}

Test(sync, a_sleep_lasts_as_long_as_its_clock_says)
{
    int64_t duration_ns = 3 * LIDO_NS_PER_MS, start_ns = fake_clock_now_ns();
    int64_t system_ns = lido__wait_ns(NULL);
    pthread_t thread;

    lido__sleep(NULL, LIDO_NS_PER_MS);
    cr_assert_geq(lido__wait_ns(NULL) - system_ns, LIDO_NS_PER_MS);
    lido__sleep(NULL, 0);
    cr_assert_eq(pthread_create(&thread, NULL, sleep_on_fake_clock, &duration_ns), 0);
    while (pthread_tryjoin_np(thread, NULL) != 0) {
        fake_clock_advance_ms(1);
        sched_yield();
    }
    cr_assert_geq(fake_clock_now_ns() - start_ns, duration_ns);
}

/* --- deadlines ------------------------------------------------------------------------ */

static int64_t told_ns;

static int64_t tell(void *ctx)
{
    (void)ctx;
    return told_ns;
}

static const struct lido_clock told_clock = {
    .size = sizeof told_clock,
    .age_ns = tell,
    .wait_ns = tell,
};

static int64_t deadline_at(int64_t now_ns, int64_t timeout_ms)
{
    told_ns = now_ns;
    return lido__deadline_ns(&told_clock, timeout_ms);
}

Test(sync, a_deadline_is_so_many_milliseconds_from_now)
{
    cr_assert_eq(deadline_at(7, 0), 7);
    cr_assert_eq(deadline_at(7, 3), 3000007);
    cr_assert_eq(deadline_at(-7, 3), 2999993, "a host's clock may start below zero");
    cr_assert_eq(deadline_at(7, -1), LIDO_NO_DEADLINE);
    cr_assert_eq(deadline_at(7, INT64_MIN), LIDO_NO_DEADLINE);
}

Test(sync, a_deadline_beyond_all_time_is_the_last_moment_but_not_never)
{
    static const int64_t nows[] = { 0, 7, INT64_C(1) << 60, LIDO_NO_DEADLINE - 1 };

    for (size_t i = 0; i < sizeof nows / sizeof nows[0]; i++)
        cr_assert_eq(deadline_at(nows[i], INT64_MAX), LIDO_NO_DEADLINE - 1);
    cr_assert_eq(deadline_at(LIDO_NO_DEADLINE - 1 - LIDO_NS_PER_MS, 1),
                 LIDO_NO_DEADLINE - 1);
    cr_assert_eq(deadline_at(LIDO_NO_DEADLINE - LIDO_NS_PER_MS, 1), LIDO_NO_DEADLINE - 1);
}

Test(sync, a_deadline_does_not_overflow_on_a_clock_below_zero)
{
    static const int64_t nows[] = { -1, -LIDO_NS_PER_S, INT64_MIN / 2, INT64_MIN };
    static const int64_t timeouts[] = { 0, 1, INT64_MAX / LIDO_NS_PER_MS, INT64_MAX };

    for (size_t i = 0; i < sizeof nows / sizeof nows[0]; i++)
        for (size_t j = 0; j < sizeof timeouts / sizeof timeouts[0]; j++) {
            int64_t deadline_ns = deadline_at(nows[i], timeouts[j]);

            cr_assert_geq(deadline_ns, nows[i]);
            cr_assert_lt(deadline_ns, LIDO_NO_DEADLINE);
        }
}

/* --- ranks ---------------------------------------------------------------------------- */

#ifndef NDEBUG
static struct lido__mutex low, high;

static void make_locks(void)
{
    lido__mutex_init(&low, LIDO_RANK_POOL);
    lido__mutex_init(&high, LIDO_RANK_CLOCK);
}

TestSuite(sync_ranks, .init = make_locks, .timeout = 20);

Test(sync_ranks, rise_and_may_be_taken_again_after)
{
    for (int i = 0; i < 2; i++) {
        lido__mutex_lock(&low);
        lido__mutex_lock(&high);
        lido__mutex_unlock(&high);
        lido__mutex_lock(&high);
        lido__mutex_unlock(&low); /* in any order */
        lido__mutex_unlock(&high);
    }
    lido__assert_unlocked();
    lido__mutex_fini(&low);
    lido__mutex_fini(&high);
}

Test(sync_ranks, a_step_down_aborts, .signal = SIGABRT)
{
    lido__mutex_lock(&high);
    lido__mutex_lock(&low);
}

Test(sync_ranks, two_of_the_same_rank_abort, .signal = SIGABRT)
{
    struct lido__mutex other;

    lido__mutex_init(&other, LIDO_RANK_POOL);
    lido__mutex_lock(&low);
    lido__mutex_lock(&other);
}

Test(sync_ranks, the_host_s_code_under_a_lock_aborts, .signal = SIGABRT)
{
    lido__mutex_lock(&low);
    lido__assert_unlocked();
}

static void *take_low(void *unused)
{
    lido__mutex_lock(&low);
    lido__mutex_unlock(&low);
    return unused;
}

Test(sync_ranks, are_a_thread_s_own)
{
    pthread_t thread;

    lido__mutex_lock(&high);
    cr_assert_eq(pthread_create(&thread, NULL, take_low, NULL), 0);
    cr_assert_eq(pthread_join(thread, NULL), 0);
    lido__mutex_unlock(&high);
    lido__mutex_fini(&low);
    lido__mutex_fini(&high);
}
#endif
