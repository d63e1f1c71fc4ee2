/* SPDX-License-Identifier: MIT */
/*
 * The kind assertion: that a connection is asked for twice is a mistake of the program, and
 * it is told who has it.
 */
#include "tests/support/handy.h"
#include "tests/support/worker.h"

#include <criterion/criterion.h>
#include <string.h>

TestSuite(pool_assertion, .timeout = 20);

static lido_pool *open_assertion(void)
{
    struct lido_pool_options options = handy_options("assertion");

    options.pool_timeout_ms = LIDO_TIMEOUT_FOREVER; /* it never waits all the same */
    return handy_open(&options);
}

static void expect_out(lido_pool *pool)
{
    struct lido_conn conn = { pool, 1 };

    cr_expect_eq(lido_pool_checkout(pool, &conn, NULL, &handy_err), LIDO_CHECKED_OUT);
    cr_expect_null(conn.cell);
}

Test(pool_assertion, a_second_checkout_is_told_who_has_it_and_where)
{
    struct lido_checkout_options options = LIDO_CHECKOUT_OPTIONS_INIT;
    lido_pool *pool = open_assertion();
    struct lido_conn conn, none;

    options.label = "the importer";
    cr_assert_eq(lido_pool_checkout(pool, &conn, &options, NULL), LIDO_OK);
    fake_clock_advance_ms(42);
    expect_out(pool);
    cr_expect_not_null(strstr(handy_err.text, "the connection is checked out already"));
    cr_expect_not_null(strstr(handy_err.text, "the importer for 42 ms"), "%s",
                       handy_err.text);
    cr_expect_not_null(strstr(handy_err.text, "test_pool_assertion.c:"), "%s",
                       handy_err.text);
    cr_expect_eq(lido_pool_checkout(pool, &none, NULL, NULL), LIDO_CHECKED_OUT);
    cr_expect_eq(handy_stats(pool).timeouts, 2);
    cr_expect_eq(handy_stats(pool).waits, 0);
    cr_expect_eq(fake_driver_open_count(), 1);
    handy_give(&conn);
    handy_end(pool);
}

Test(pool_assertion, another_thread_is_told_so_too)
{
    lido_pool *pool = open_assertion();
    struct lido_conn conn = handy_take(pool);
    struct worker worker;

    worker_start(&worker, pool);
    worker_tell(&worker, worker_take);
    cr_expect_eq(worker.rc, LIDO_CHECKED_OUT);
    handy_give(&conn);
    worker_tell(&worker, worker_take);
    cr_expect_eq(worker.rc, LIDO_OK);
    expect_out(pool);
    worker_tell(&worker, worker_give);
    worker_end(&worker);
    cr_expect_eq(handy_stats(pool).connects, 1);
    handy_end(pool);
}

/* However a lease ends, the next may have it. */
Test(pool_assertion, it_is_free_again_whatever_ended_the_lease)
{
    lido_pool *pool = open_assertion();
    struct lido_conn conn, detached;
    void *handle;

    fake_driver_fail(1, SQLITE_CANTOPEN);
    cr_expect_eq(lido_pool_checkout(pool, &conn, NULL, NULL), SQLITE_CANTOPEN);
    conn = handy_take(pool);
    cr_expect_eq(lido_conn_invalidate(&conn, NULL, NULL), LIDO_OK);
    conn = handy_take(pool);
    expect_out(pool);
    cr_expect_eq(lido_conn_invalidate_soft(&conn, NULL, NULL), LIDO_OK);
    expect_out(pool); /* the lease goes on */
    handy_give(&conn);
    detached = handy_take(pool);
    cr_expect_eq(lido_conn_detach(&detached, NULL), LIDO_OK);
    conn = handy_take(pool);
    expect_out(pool);
    handy_give(&detached);
    expect_out(pool);
    cr_expect_eq(lido_conn_steal(&conn, &handle, NULL), LIDO_OK);
    cr_expect_eq(lido_conn_adopt(&detached, pool, handle, NULL), LIDO_OK);
    conn = handy_take(pool); /* the adopted one is not the pool's */
    expect_out(pool);
    handy_give(&detached);
    fake_driver_close(handle);
    fake_driver_find_unclean(2);
    handy_give(&conn);
    fake_driver_find_unclean(0);
    conn = handy_take(pool);
    cr_expect_eq(lido_pool_dispose(pool, NULL), LIDO_OK);
    detached = handy_take(pool);
    expect_out(pool);
    handy_give(&conn);
    expect_out(pool); /* what was disowned is not the one that is counted */
    handy_give(&detached);
    cr_expect_eq(handy_stats(pool).idle, 1);
    handy_end(pool);
}

Test(pool_assertion, one_checkout_of_many_at_once_gets_it)
{
    enum { N = 4 };
    lido_pool *pool = open_assertion();
    struct worker workers[N];
    int n_taken = 0;

    for (int i = 0; i < N; i++)
        worker_start(&workers[i], pool);
    for (int i = 0; i < N; i++)
        worker_ask(&workers[i], worker_take);
    for (int i = 0; i < N; i++)
        worker_await(&workers[i]);
    for (int i = 0; i < N; i++) {
        n_taken += workers[i].rc == LIDO_OK;
        cr_expect(workers[i].rc == LIDO_OK || workers[i].rc == LIDO_CHECKED_OUT);
    }
    cr_expect_eq(n_taken, 1);
    cr_expect_eq(fake_driver_open_count(), 1);
    for (int i = 0; i < N; i++) {
        if (workers[i].rc == LIDO_OK)
            worker_tell(&workers[i], worker_give);
        worker_end(&workers[i]);
    }
    handy_end(pool);
}
