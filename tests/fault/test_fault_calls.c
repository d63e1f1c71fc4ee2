/* SPDX-License-Identifier: MIT */
/*
 * Every call of the driver fails once, in every scenario: nothing leaks, every slot stays
 * usable, and what failed reaches the caller unless it is the pool's own business.
 */
#include "tests/support/fake_driver.h"
#include <lido/lido.h>

#include <criterion/criterion.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#define CODE (SQLITE_IOERR | (77 << 8)) /* nobody else's */

static struct lido_error err;

/* What a caller saw of the failure, or LIDO_OK. */
static void note(int *seen, int rc)
{
    if (rc != LIDO_OK)
        *seen = rc;
}

static void transfer(const struct lido_conn *conn, int *seen)
{
    int outcome, rc = lido_txn_begin(conn, LIDO_IMMEDIATE, &err);

    note(seen, rc);
    if (rc != LIDO_OK)
        return;
    note(seen, lido_txn_savepoint(conn, "a", &err));
    note(seen, lido_txn_rollback_to(conn, "a", &err));
    note(seen, lido_txn_release(conn, "a", &err));
    rc = lido_txn_commit(conn, &outcome, &err);
    note(seen, rc);
    if (rc != LIDO_OK) {
        cr_assert_eq(outcome, LIDO_OUTCOME_OPEN);
        note(seen, lido_txn_rollback(conn, &err));
    }
}

/* Three leases at once, a transaction in each, one left open. */
static void work(lido_pool *pool, int *seen)
{
    struct lido_conn held[3];

    for (int i = 0; i < 3; i++) {
        note(seen, lido_pool_checkout(pool, &held[i], NULL, &err));
        if (held[i].cell != NULL)
            transfer(&held[i], seen);
    }
    if (held[0].cell != NULL)
        note(seen, lido_txn_begin(&held[0], LIDO_DEFERRED, &err));
    for (int i = 0; i < 3; i++)
        if (held[i].cell != NULL)
            cr_assert_eq(lido_conn_checkin(&held[i], NULL, &err), LIDO_OK, "%s", err.text);
}

static void expect_sound(lido_pool *pool, const char *url, int nth)
{
    struct lido_pool_stats stats = LIDO_POOL_STATS_INIT;

    cr_assert_eq(lido_pool_stats(pool, &stats, &err), LIDO_OK);
    cr_assert_eq(stats.out, 0, "%s, call %d", url, nth);
    cr_assert_eq(stats.waiting, 0, "%s, call %d", url, nth);
    cr_assert_eq(stats.checkouts, stats.checkins, "%s, call %d", url, nth);
    cr_assert_eq((int)(stats.connects - stats.closes), fake_driver_open_count(),
                 "%s, call %d", url, nth);
}

/* True if the nth call failed and all went as it should. */
static int run_with_failure(const char *url, int nth)
{
    lido_pool *pool;
    int seen = LIDO_OK, rc;

    fake_driver_install();
    fake_driver_fail(nth, CODE);
    rc = lido_pool_open(&pool, url, NULL, &err);
    note(&seen, rc);
    if (rc == LIDO_OK) {
        work(pool, &seen);
        work(pool, &seen);
        expect_sound(pool, url, nth);
        cr_assert_eq(lido_pool_close(pool, 0, &err), LIDO_OK, "%s, call %d: %s", url, nth,
                     err.text);
        expect_sound(pool, url, nth);
        lido_pool_free(pool);
    } else {
        cr_assert_null(pool);
    }
    cr_assert_eq(fake_driver_open_count(), 0, "%s, call %d", url, nth);
    if (seen != LIDO_OK) {
        cr_assert(fake_driver_has_failed());
        cr_assert_eq(seen, CODE, "%s, call %d answered %s", url, nth,
                     lido_status_name(seen));
    }
    return fake_driver_has_failed();
}

static void sweep(const char *url)
{
    int nth = 1;

    while (run_with_failure(url, nth))
        nth++;
    cr_assert_gt(nth, 20, "the sweep of %s saw %d calls only", url, nth - 1);
}

Test(fault_calls, every_call_of_a_queue_may_fail)
{
    sweep("fake:///any?pool=queue&pool_size=2&max_overflow=1");
}

Test(fault_calls, every_call_of_a_null_pool_may_fail)
{
    sweep("fake:///any?pool=null");
}

Test(fault_calls, every_call_may_fail_when_the_pool_is_tried_at_once)
{
    sweep("fake:///any?pool=queue&pool_size=2&max_overflow=1&open_now=1");
}

Test(fault_calls, every_call_may_fail_when_a_null_pool_is_tried_at_once)
{
    sweep("fake:///any?pool=null&open_now=1");
}

/* A thread that waits for the only connection, works with it and gives it back. */
struct waiter {
    pthread_t thread;
    lido_pool *pool;
    int checkout, checkin;
};

static void *wait_for_one(void *arg)
{
    struct lido_checkout_options options = LIDO_CHECKOUT_OPTIONS_INIT;
    struct waiter *waiter = arg;
    struct lido_conn conn;

    options.timeout_ms = LIDO_TIMEOUT_FOREVER;
    waiter->checkout = lido_pool_checkout(waiter->pool, &conn, &options, NULL);
    if (conn.cell != NULL)
        waiter->checkin = lido_conn_checkin(&conn, NULL, NULL);
    return NULL;
}

static void wait_for_waiters(lido_pool *pool, int64_t count)
{
    struct lido_pool_stats stats = LIDO_POOL_STATS_INIT;

    do {
        sched_yield();
        cr_assert_eq(lido_pool_stats(pool, &stats, &err), LIDO_OK);
    } while (stats.waiting < count);
}

/* One after the other: the holder gives back, then each waiter has its turn.  Whatever fails
   meanwhile, nobody is forgotten. */
static int hand_on_with_failure(const char *url, int nth)
{
    struct waiter waiters[3];
    struct lido_conn held;
    lido_pool *pool;

    fake_driver_install();
    cr_assert_eq(lido_pool_open(&pool, url, NULL, &err), LIDO_OK);
    cr_assert_eq(lido_pool_checkout(pool, &held, NULL, &err), LIDO_OK);
    cr_assert_eq(lido_txn_begin(&held, LIDO_IMMEDIATE, &err), LIDO_OK);
    for (int i = 0; i < 3; i++) {
        waiters[i] = (struct waiter){ .pool = pool };
        cr_assert_eq(pthread_create(&waiters[i].thread, NULL, wait_for_one, &waiters[i]),
                     0);
        wait_for_waiters(pool, i + 1);
    }
    fake_driver_find_unclean(nth % 2 == 0 ? 2 : 0);
    fake_driver_fail((nth + 1) / 2, CODE);
    cr_assert_eq(lido_conn_checkin(&held, NULL, &err), LIDO_OK, "%s", err.text);
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(pthread_join(waiters[i].thread, NULL), 0);
        cr_assert(waiters[i].checkout == LIDO_OK || waiters[i].checkout == CODE, "%s",
                  lido_status_name(waiters[i].checkout));
        cr_assert_eq(waiters[i].checkin, LIDO_OK);
    }
    expect_sound(pool, url, nth);
    cr_assert_eq(lido_pool_close(pool, 0, &err), LIDO_OK, "%s", err.text);
    expect_sound(pool, url, nth);
    lido_pool_free(pool);
    cr_assert_eq(fake_driver_open_count(), 0);
    return fake_driver_has_failed();
}

/* Every call twice: once where connections come back clean, once where none does. */
Test(fault_calls, whatever_call_fails_no_waiter_is_forgotten, .timeout = 30)
{
    int nth = 1, clean_failed, unclean_failed;

    do {
        clean_failed = hand_on_with_failure("fake:///any?pool=queue&pool_size=1&"
                                            "max_overflow=0",
                                            nth++);
        unclean_failed = hand_on_with_failure("fake:///any?pool=queue&pool_size=1&"
                                              "max_overflow=0",
                                              nth++);
    } while (clean_failed || unclean_failed);
    cr_assert_gt(nth, 12, "it saw %d calls only", nth);
}

/* Every hook fails once instead. */
static int hook_countdown, hook_failed;

static int hook(void *ctx, const struct lido_event *event, struct lido_error *hook_err)
{
    (void)ctx, (void)event;
    if (hook_countdown == 0 || --hook_countdown > 0)
        return LIDO_OK;
    hook_failed = 1;
    return lido_fail(hook_err, CODE, "the hook was told to");
}

static const struct lido_events all_hooks = {
    .size = sizeof all_hooks,
    .first_connect = hook,
    .connect = hook,
    .checkout = hook,
    .checkin = hook,
    .close = hook,
    .begin = hook,
    .commit = hook,
    .rollback = hook,
};

static void check_in(struct lido_conn *conn, int *seen)
{
    if (conn->cell != NULL)
        note(seen, lido_conn_checkin(conn, NULL, &err));
    cr_assert_null(conn->cell);
}

Test(fault_calls, every_hook_may_fail)
{
    static const char *const urls[] = { "fake:///any?pool=queue&pool_size=1&max_overflow=1",
                                        "fake:///any?pool=null" };

    for (int i = 0; i < 2; i++)
        for (int nth = 1; nth == 1 || hook_failed; nth++) {
            struct lido_conn a, b;
            int seen = LIDO_OK;
            lido_pool *pool;

            fake_driver_install();
            hook_failed = 0;
            hook_countdown = 0;
            cr_assert_eq(lido_pool_open(&pool, urls[i], NULL, &err), LIDO_OK);
            cr_assert_eq(
                lido_hooks_add(lido_pool_hooks(pool), NULL, &all_hooks, NULL, NULL, &err),
                LIDO_OK);
            hook_countdown = nth;
            note(&seen, lido_pool_checkout(pool, &a, NULL, &err));
            note(&seen, lido_pool_checkout(pool, &b, NULL, &err));
            if (a.cell != NULL)
                transfer(&a, &seen);
            check_in(&a, &seen);
            check_in(&b, &seen);
            expect_sound(pool, urls[i], nth);
            note(&seen, lido_pool_close(pool, 0, &err));
            lido_pool_free(pool);
            cr_assert_eq(fake_driver_open_count(), 0, "%s, hook %d", urls[i], nth);
            cr_assert_eq(seen, hook_failed ? CODE : LIDO_OK, "%s, hook %d: %s", urls[i],
                         nth, lido_status_name(seen));
        }
}
