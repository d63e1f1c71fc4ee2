/* SPDX-License-Identifier: MIT */
/*
 * pool_pre_ping: which connections are asked, and what becomes of those that do not answer.
 */
#include "tests/support/handy.h"

#include <criterion/criterion.h>
#include <string.h>

TestSuite(pool_ping, .timeout = 20);

static lido_pool *open_pinging(const char *kind)
{
    struct lido_pool_options options = handy_options(kind);

    options.pool_pre_ping = 1;
    options.pool_recycle_ms = 1000;
    options.pool_size = 3;
    options.order = "fifo";
    if (strcmp(kind, "queue") != 0) {
        options.order = NULL;
        options.pool_size = 5;
    }
    return handy_open(&options);
}

static void expect_calls(const char *calls)
{
    const char *were = fake_driver_calls();

    cr_expect_str_eq(were, calls, "\"%s\" instead of \"%s\"", were, calls);
}

Test(pool_ping, a_fresh_connection_is_not_asked_and_an_idle_one_is)
{
    static const char *const kinds[] = { "queue", "singleton_thread", "static",
                                         "assertion" };

    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        lido_pool *pool = open_pinging(kinds[i]);
        struct lido_conn conn = handy_take(pool);

        expect_calls("connect 1");
        handy_give(&conn);
        conn = handy_take(pool);
        expect_calls("reset 1, ping 1");
        handy_give(&conn);
        fake_clock_advance_ms(1001);
        conn = handy_take(pool); /* replaced for its age: that one is fresh */
        expect_calls("reset 1, terminate 1, connect 2");
        handy_give(&conn);
        handy_end(pool);
    }
}

Test(pool_ping, a_lease_that_joins_others_is_not_asked)
{
    static const char *const kinds[] = { "singleton_thread", "static" };

    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        lido_pool *pool = open_pinging(kinds[i]);
        struct lido_conn one = handy_take(pool), two = handy_take(pool);

        expect_calls("connect 1");
        handy_give(&one);
        handy_give(&two);
        handy_end(pool);
    }
}

Test(pool_ping, one_that_is_dead_outdates_the_others)
{
    lido_pool *pool = open_pinging("queue");
    struct lido_conn conns[3];

    for (int i = 0; i < 3; i++)
        conns[i] = handy_take(pool);
    for (int i = 0; i < 3; i++)
        handy_give(&conns[i]);
    fake_driver_calls();
    fake_driver_fail(1, SQLITE_IOERR);
    conns[0] = handy_take(pool);
    expect_calls("ping 1!, terminate 1, connect 4");
    conns[1] = handy_take(pool);
    expect_calls("terminate 2, connect 5"); /* without being asked */
    cr_expect_eq(handy_stats(pool).closed_by_hook, 1);
    cr_expect_eq(handy_stats(pool).closed_old, 1);
    handy_give(&conns[0]);
    handy_give(&conns[1]);
    conns[2] = handy_take(pool); /* the third of old */
    expect_calls("reset 4, reset 5, terminate 3, connect 6");
    conns[0] = handy_take(pool);
    expect_calls("ping 4");
    handy_give(&conns[0]);
    handy_give(&conns[2]);
    handy_end(pool);
}

Test(pool_ping, if_no_other_can_be_opened_the_checkout_says_why)
{
    lido_pool *pool = open_pinging("queue");
    struct lido_conn conn = handy_take(pool);

    handy_give(&conn);
    fake_driver_fail(1, SQLITE_IOERR);
    fake_driver_calls();
    conn = handy_take(pool);
    cr_expect_eq(handy_number(&conn), 2);
    handy_give(&conn);
    fake_driver_calls();
    cr_assert_eq(lido_pool_invalidate(pool, NULL), LIDO_OK);
    fake_driver_fail(2, SQLITE_CANTOPEN);
    cr_expect_eq(lido_pool_checkout(pool, &conn, NULL, &handy_err), SQLITE_CANTOPEN);
    expect_calls("terminate 2, connect 3!");
    cr_expect_eq(handy_stats(pool).out, 0);
    cr_expect_eq(handy_stats(pool).connect_failures, 1);
    conn = handy_take(pool);
    cr_expect_eq(handy_number(&conn), 3);
    handy_give(&conn);
    handy_end(pool);
}
