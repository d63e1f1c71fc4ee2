/* SPDX-License-Identifier: MIT */
/*
 * A manager in one thread: which URLs share a pool, and with which options.
 */
#include "engine/managed.h"
#include "pool/pool.h"
#include "tests/support/manager_stage.h"

#include <stdio.h>
#include <unistd.h>

TestSuite(manager, .init = manager_set_up, .fini = manager_tear_down, .timeout = 20);

/* --- which pool ----------------------------------------------------------------------- */

Test(manager, the_same_arguments_share_a_pool_whatever_the_order_of_the_keys)
{
    lido_pool *pool = borrow("fake:///a?pool=queue&pool_size=2&timeout=3");

    cr_assert_eq(peek("fake:///a?timeout=3&pool=queue&pool_size=2"), pool);
    cr_assert_eq(peek("fake:///a?pool_size=2&timeout=3&pool=queue"), pool);
    cr_assert_eq(lido_manager_count(manager), 1);
    hand_back(pool);
}

Test(manager, other_arguments_are_another_pool)
{
    static const char *const urls[] = {
        "fake:///a",
        "fake:///b",
        "fake:///a?timeout=3",
        "fake:///a?timeout=4",
        "fake:///a?pool=queue",
        "fake:///a%3ftimeout=3",
        "sqlite:///a",
        "sqlite:///a%26b=c",
    };
    lido_pool *pools[8];

    for (int i = 0; i < 8; i++) {
        pools[i] = borrow(urls[i]);
        for (int k = 0; k < i; k++)
            cr_assert_neq(pools[i], pools[k], "%s %s", urls[i], urls[k]);
    }
    cr_assert_eq(lido_manager_count(manager), 8);
    for (int i = 0; i < 8; i++)
        hand_back(pools[i]);
}

Test(manager, one_file_is_one_file_however_its_path_is_written)
{
    char here[200], absolute[300];
    lido_pool *pool;

    cr_assert_eq(chdir("/tmp"), 0);
    cr_assert_not_null(getcwd(here, sizeof here));
    snprintf(absolute, sizeof absolute, "sqlite:///%s/some.db", here);
    pool = borrow("sqlite:///some.db");
    cr_assert_eq(peek(absolute), pool);
    cr_assert_eq(peek("sqlite:///%73ome.db"), pool);
    cr_assert_eq(chdir("/"), 0);
    cr_assert_neq(peek("sqlite:///some.db"), pool, "that is another file now");
    hand_back(pool);
    pool = borrow("sqlite://");
    cr_assert_eq(peek("sqlite:///:memory:"), pool);
    hand_back(pool);
}

Test(manager, sa_pool_key_is_the_key_by_itself)
{
    lido_pool *pool = borrow("fake:///a?pool=queue&sa_pool_key=main");

    cr_assert_eq(peek("fake:///b?sa_pool_key=main"), pool);
    cr_assert_eq(peek("sqlite:///c?sa_pool_key=main&mode=ro"), pool);
    cr_assert_neq(peek("fake:///a?pool=queue"), pool);
    cr_assert_neq(peek("fake:///a?pool=queue&sa_pool_key=other"), pool);
    cr_assert_str_eq(pool->how.database + strlen(pool->how.database) - 2, "/a");
    cr_assert_eq(pool->how.n_params, 0, "the driver does not see it");
    hand_back(pool);
}

Test(manager, a_name_is_not_mistaken_for_a_url)
{
    lido_pool *pool = borrow("sqlite:///:memory:");

    cr_assert_neq(peek("fake:///x?sa_pool_key=sqlite:///:memory:"), pool);
    hand_back(pool);
}

Test(manager, sqlite_takes_a_url_with_a_name)
{
    struct lido_conn conn = take("sqlite://?sa_pool_key=main");

    cr_assert_not_null(lido_conn_sqlite(&conn));
    give(&conn);
}

/* --- leases --------------------------------------------------------------------------- */

Test(manager, a_checkout_comes_from_the_pool_of_its_url)
{
    struct lido_conn conn = take("fake:///a?pool=queue"), other = take("fake:///b");

    cr_assert_eq(lido_conn_pool(&conn), peek("fake:///a?pool=queue"));
    cr_assert_eq(lido_conn_pool(&other), peek("fake:///b"));
    give(&conn);
    give(&other);
    conn = take("fake:///a?pool=queue");
    cr_assert_eq(fake_driver_number(lido_conn_handle(&conn)), 1, "it was kept");
    give(&conn);
}

static int show_place(void *ctx, const struct lido_holder *holder)
{
    cr_assert_not_null(strstr(holder->file, "test_manager.c"));
    cr_assert_eq(holder->line, *(int *)ctx);
    *(int *)ctx = -1;
    return 0;
}

Test(manager, the_macro_adds_the_place_of_the_call)
{
    struct lido_conn conn;
    int line = __LINE__ + 1;
    int rc = lido_manager_checkout(manager, "fake:///a", &conn, NULL, &err);

    cr_assert_eq(rc, LIDO_OK);
    cr_assert_eq(lido_pool_holders(lido_conn_pool(&conn), show_place, &line, &err),
                 LIDO_OK);
    cr_assert_eq(line, -1);
    give(&conn);
}

Test(manager, what_cannot_be_opened_is_told_each_time_and_leaves_nothing)
{
    for (int i = 0; i < 2; i++) {
        expect_refused("fake:///a?pool_size=3", LIDO_BAD_URL, "pool_size goes with");
        expect_refused("nosuch:///a", LIDO_NOT_FOUND, "nosuch");
        expect_refused("what", LIDO_BAD_URL, "");
        fake_driver_fail(1, SQLITE_AUTH);
        expect_refused("fake:///a?open_now=1", SQLITE_AUTH, "was told to");
        cr_assert_eq(lido_manager_count(manager), 0);
    }
    use("fake:///a?open_now=1");
    cr_assert_eq(lido_manager_count(manager), 1);
}

Test(manager, a_checkout_that_fails_leaves_the_pool)
{
    fake_driver_fail(1, SQLITE_CANTOPEN);
    expect_refused("fake:///a", SQLITE_CANTOPEN, "was told to");
    cr_assert_eq(lido_manager_count(manager), 1);
    use("fake:///a");
}

/* --- options -------------------------------------------------------------------------- */

Test(manager, the_template_goes_for_every_pool_and_its_strings_are_copied)
{
    char kind[] = "queue", order[] = "fifo";
    struct lido_pool_options pool = LIDO_POOL_OPTIONS_INIT;
    struct lido_manager_options options = LIDO_MANAGER_OPTIONS_INIT;

    pool.pool = kind;
    pool.order = order;
    pool.timeout_ms = 77;
    options.pool = &pool;
    renew(&options);
    memset(kind, 'x', 5);
    memset(order, 'x', 4);
    pool.timeout_ms = 0;
    for (int i = 0; i < 2; i++) {
        lido_pool *got = borrow(i == 0 ? "fake:///a?pool_size=3" : "fake:///b?timeout=9");

        cr_assert_str_eq(got->config.kind->name, "queue");
        cr_assert_eq(got->config.order, LIDO__ORDER_FIFO);
        cr_assert_eq(got->config.timeout_ms, 77);
        cr_assert_eq(got->config.pool_size, i == 0 ? 3 : 5);
        hand_back(got);
    }
}

static int add_nothing(void *ctx, lido_pool *pool, struct lido_error *why)
{
    int *calls = ctx;

    cr_assert_not_null(pool);
    return ++*calls == 2 ? lido_fail(why, SQLITE_AUTH, "not this one") : LIDO_OK;
}

Test(manager, opened_sees_each_new_pool_and_may_refuse_it)
{
    struct lido_manager_options options = LIDO_MANAGER_OPTIONS_INIT;
    int calls = 0;

    options.opened = add_nothing;
    options.ctx = &calls;
    renew(&options);
    use("fake:///a");
    use("fake:///a");
    cr_assert_eq(calls, 1);
    expect_refused("fake:///b", SQLITE_AUTH, "not this one");
    cr_assert_eq(lido_manager_count(manager), 1);
    use("fake:///b");
    cr_assert_eq(calls, 3);
}

static int ask_again(void *ctx, lido_pool *pool, struct lido_error *why)
{
    struct lido_conn conn;

    (void)ctx, (void)pool, (void)why;
    cr_assert_eq(lido_manager_checkout(manager, "fake:///a", &conn, NULL, &err),
                 LIDO_RECURSION);
    cr_assert_not_null(strstr(err.text, "/a"), "%s", err.text);
    cr_assert_eq(lido_manager_dispose(manager, "fake:///nosuch", NULL), LIDO_OK);
    use("fake:///other?pool=queue&sa_pool_key=other");
    return LIDO_OK;
}

Test(manager, opened_may_use_the_manager_but_not_for_the_same_pool)
{
    struct lido_manager_options options = LIDO_MANAGER_OPTIONS_INIT;

    options.opened = ask_again;
    renew(&options);
    manager->opened = NULL;
    use("fake:///other?pool=queue&sa_pool_key=other");
    manager->opened = ask_again;
    use("fake:///a");
    cr_assert_eq(lido_manager_count(manager), 2);
}

static int forget_it(void *ctx, lido_pool *pool, struct lido_error *why)
{
    (void)ctx, (void)pool, (void)why;
    manager->opened = NULL;
    cr_assert_eq(lido_manager_dispose(manager, "fake:///a", &err), LIDO_OK);
    cr_assert_eq(lido_manager_clear(manager, &err), LIDO_OK);
    return LIDO_OK;
}

Test(manager, a_pool_that_is_forgotten_while_it_opens_serves_who_opened_it)
{
    struct lido_manager_options options = LIDO_MANAGER_OPTIONS_INIT;
    struct lido_conn conn;

    options.opened = forget_it;
    renew(&options);
    conn = take("fake:///a");
    cr_assert_eq(lido_manager_count(manager), 0);
    cr_assert_null(manager->newest, "its last user has gone");
    give(&conn);
    cr_assert_eq(fake_driver_open_count(), 0);
}

Test(manager, bad_options_are_refused)
{
    struct lido_pool_options pool = LIDO_POOL_OPTIONS_INIT;
    struct lido_manager_options options = LIDO_MANAGER_OPTIONS_INIT;
    lido_manager *none = (lido_manager *)&none;

    options.max_pools = -1;
    cr_assert_eq(lido_manager_new(&none, &options, &err), LIDO_BAD_OPTION);
    cr_assert_not_null(strstr(err.text, "max_pools is -1"), "%s", err.text);
    cr_assert_null(none);
    options.max_pools = 0;
    options.size--;
    cr_assert_eq(lido_manager_new(&none, &options, &err), SQLITE_MISUSE);
    cr_assert_not_null(strstr(err.text, "LIDO_MANAGER_OPTIONS_INIT"), "%s", err.text);
    options.size++;
    options.pool = &pool;
    pool.size = 0;
    cr_assert_eq(lido_manager_new(&none, &options, &err), SQLITE_MISUSE);
    cr_assert_not_null(strstr(err.text, "LIDO_POOL_OPTIONS_INIT"), "%s", err.text);
}

/* --- bad arguments -------------------------------------------------------------------- */

static int ignore(void *ctx, const struct lido_managed *managed)
{
    (void)ctx, (void)managed;
    return 0;
}

Test(manager, null_is_refused_or_does_nothing)
{
    struct lido_conn conn = { &conn, 7 };
    lido_pool *pool = (lido_pool *)&pool;
    lido_pool *not_lent;

    cr_assert_eq(lido_manager_new(NULL, NULL, &err), SQLITE_MISUSE);
    lido_manager_free(NULL);
    cr_assert_eq(lido_manager_checkout(NULL, "fake:///a", &conn, NULL, &err),
                 SQLITE_MISUSE);
    cr_assert_null(conn.cell);
    cr_assert_eq(lido_manager_checkout(manager, NULL, &conn, NULL, &err), SQLITE_MISUSE);
    cr_assert_eq(lido_manager_checkout(manager, "fake:///a", NULL, NULL, &err),
                 SQLITE_MISUSE);
    cr_assert_eq(lido_manager_checkout(NULL, NULL, NULL, NULL, NULL), SQLITE_MISUSE);
    cr_assert_eq(lido_manager_pool(NULL, "fake:///a", &pool, &err), SQLITE_MISUSE);
    cr_assert_null(pool);
    cr_assert_eq(lido_manager_pool(manager, NULL, &pool, &err), SQLITE_MISUSE);
    cr_assert_eq(lido_manager_pool(manager, "fake:///a", NULL, &err), SQLITE_MISUSE);
    cr_assert_eq(lido_manager_release(NULL, NULL, &err), SQLITE_MISUSE);
    cr_assert_eq(lido_manager_release(manager, NULL, &err), LIDO_NOT_FOUND);
    not_lent = peek("fake:///a");
    cr_assert_eq(lido_manager_release(manager, not_lent, &err), LIDO_NOT_FOUND);
    cr_assert_eq(lido_manager_dispose(NULL, "fake:///a", &err), SQLITE_MISUSE);
    cr_assert_eq(lido_manager_dispose(manager, NULL, &err), SQLITE_MISUSE);
    cr_assert_eq(lido_manager_clear(NULL, &err), SQLITE_MISUSE);
    cr_assert_eq(lido_manager_count(NULL), 0);
    cr_assert_eq(lido_manager_pools(NULL, ignore, NULL, &err), SQLITE_MISUSE);
    cr_assert_eq(lido_manager_pools(manager, NULL, NULL, &err), SQLITE_MISUSE);
}
