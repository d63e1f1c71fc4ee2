/* SPDX-License-Identifier: MIT */
/*
 * What a manager forgets: on demand, and for its bound; and what it shows.
 */
#include "engine/managed.h"
#include "pool/pool.h"
#include "tests/support/manager_stage.h"

#include <stdio.h>
#include <unistd.h>

TestSuite(manager_forget, .init = manager_set_up, .fini = manager_tear_down, .timeout = 20);

/* A manager of at most that many queues. */
static void bound(int max_pools)
{
    struct lido_pool_options pool = LIDO_POOL_OPTIONS_INIT;
    struct lido_manager_options options = LIDO_MANAGER_OPTIONS_INIT;

    pool.pool = "queue";
    options.pool = &pool;
    options.max_pools = max_pools;
    renew(&options);
}

/* --- forgetting ----------------------------------------------------------------------- */

Test(manager_forget, dispose_closes_what_is_idle_and_the_next_gets_a_new_pool)
{
    use("fake:///a?pool=queue&timeout=1");
    use("fake:///b?pool=queue");
    fake_driver_calls();
    cr_assert_eq(lido_manager_dispose(manager, "fake:///a?timeout=1&pool=queue", &err),
                 LIDO_OK, "%s", err.text);
    cr_assert_str_eq(fake_driver_calls(), "close 1");
    cr_assert_eq(lido_manager_count(manager), 1);
    use("fake:///a?pool=queue&timeout=1");
    cr_assert_str_eq(fake_driver_calls(), "connect 3, reset 3");
}

Test(manager_forget, dispose_of_what_is_not_there_does_nothing)
{
    use("fake:///a?pool=queue");
    cr_assert_eq(lido_manager_dispose(manager, "fake:///b", &err), LIDO_OK);
    cr_assert_eq(lido_manager_dispose(manager, "fake:///a", &err), LIDO_OK);
    cr_assert_eq(fake_driver_open_count(), 1);
    cr_assert_eq(lido_manager_dispose(manager, "nonsense", &err), LIDO_BAD_URL);
}

Test(manager_forget, a_lease_outlives_the_pool_that_is_forgotten)
{
    struct lido_conn conn = take("fake:///a?pool=queue");

    cr_assert_eq(lido_manager_dispose(manager, "fake:///a?pool=queue", &err), LIDO_OK);
    cr_assert_null(manager->newest);
    cr_assert_eq(fake_driver_open_count(), 1);
    cr_assert_not_null(lido_conn_handle(&conn));
    use("fake:///a?pool=queue");
    give(&conn);
    cr_assert_eq(fake_driver_open_count(), 1, "that of the new pool");
    cr_assert_eq(lido_conn_checkin(&conn, NULL, &err), LIDO_STALE);
}

Test(manager_forget, a_lent_pool_that_is_forgotten_goes_on_until_it_is_released)
{
    lido_pool *pool = borrow("fake:///a?pool=queue"),
              *same = borrow("fake:///a?pool=queue");
    struct lido_conn conn;

    use("fake:///a?pool=queue");
    cr_assert_eq(lido_manager_dispose(manager, "fake:///a?pool=queue", &err), LIDO_OK);
    cr_assert_eq(fake_driver_open_count(), 0);
    cr_assert_neq(peek("fake:///a?pool=queue"), pool);
    cr_assert_eq(lido_pool_checkout(pool, &conn, NULL, &err), LIDO_OK, "%s", err.text);
    give(&conn);
    hand_back(pool);
    cr_assert_eq(fake_driver_open_count(), 1);
    hand_back(same);
    cr_assert_eq(fake_driver_open_count(), 0);
    cr_assert_eq(lido_manager_release(manager, pool, &err), LIDO_NOT_FOUND);
}

Test(manager_forget, clear_forgets_all)
{
    struct lido_conn conn;
    lido_pool *pool;

    use("fake:///a?pool=queue");
    use("fake:///b?pool=queue");
    pool = borrow("fake:///c?pool=queue");
    conn = take("fake:///d?pool=queue");
    cr_assert_eq(lido_manager_clear(manager, &err), LIDO_OK, "%s", err.text);
    cr_assert_eq(lido_manager_count(manager), 0);
    cr_assert_eq(fake_driver_open_count(), 1, "the lease's");
    hand_back(pool);
    give(&conn);
    cr_assert_eq(fake_driver_open_count(), 0);
    cr_assert_null(manager->oldest);
    cr_assert_eq(lido_manager_clear(manager, &err), LIDO_OK);
}

static int fail_close(void *ctx, const struct lido_event *event, struct lido_error *why)
{
    (void)event;
    ++*(int *)ctx;
    return lido_fail(why, SQLITE_AUTH, "a close hook says no");
}

Test(manager_forget, clear_tells_what_the_first_close_hook_said_and_closes_all)
{
    static const struct lido_events events = { .size = sizeof events, .close = fail_close };
    int calls = 0;

    cr_assert_eq(lido_hooks_add(lido_hooks_global(), NULL, &events, &calls, NULL, &err),
                 LIDO_OK);
    use("fake:///a?pool=queue");
    use("fake:///b?pool=queue");
    cr_assert_eq(lido_manager_clear(manager, &err), SQLITE_AUTH);
    cr_assert_not_null(strstr(err.text, "says no"), "%s", err.text);
    cr_assert_eq(calls, 2);
    cr_assert_eq(fake_driver_open_count(), 0);
    use("fake:///a?pool=queue");
    cr_assert_eq(lido_manager_dispose(manager, "fake:///a?pool=queue", &err), SQLITE_AUTH);
}

Test(manager_forget, a_pool_that_the_host_closed_can_be_forgotten)
{
    lido_pool *pool = borrow("fake:///a");

    cr_assert_eq(lido_pool_close(pool, 0, &err), LIDO_OK);
    expect_refused("fake:///a", LIDO_CLOSED, "closed");
    hand_back(pool);
    cr_assert_eq(lido_manager_dispose(manager, "fake:///a", &err), LIDO_OK, "%s", err.text);
    use("fake:///a");
}

Test(manager_forget, free_leaves_leases_good)
{
    struct lido_conn conn = take("fake:///a?pool=queue");
    lido_pool *pool = borrow("fake:///b?pool=queue");

    (void)pool;
    lido_manager_free(manager);
    manager = NULL;
    cr_assert_not_null(lido_conn_handle(&conn));
    give(&conn);
    cr_assert_eq(fake_driver_open_count(), 0);
}

/* --- the bound ------------------------------------------------------------------------ */

Test(manager_forget, the_pool_asked_for_the_longest_ago_is_closed)
{
    bound(2);
    use("fake:///a");
    use("fake:///b");
    use("fake:///a");
    fake_driver_calls();
    use("fake:///c");
    cr_assert_eq(lido_manager_count(manager), 2);
    cr_assert_str_eq(fake_driver_calls(), "close 2, connect 3, reset 3", "b has gone");
    use("fake:///a");
    cr_assert_str_eq(fake_driver_calls(), "reset 1", "a is there");
}

Test(manager_forget, a_pool_with_a_lease_out_or_lent_is_not_closed)
{
    struct lido_conn conn;
    lido_pool *pool;

    bound(1);
    conn = take("fake:///a");
    pool = borrow("fake:///b");
    use("fake:///c");
    cr_assert_eq(lido_manager_count(manager), 3, "the new one, and two that cannot go");
    cr_assert_eq(peek("fake:///b"), pool);
    cr_assert_eq(lido_conn_pool(&conn), peek("fake:///a"));
    give(&conn);
    hand_back(pool);
    use("fake:///d");
    cr_assert_eq(lido_manager_count(manager), 1);
    cr_assert_eq(fake_driver_open_count(), 1);
}

Test(manager_forget, a_detached_lease_keeps_its_pool)
{
    struct lido_conn conn;

    bound(1);
    conn = take("fake:///a");
    cr_assert_eq(lido_conn_detach(&conn, &err), LIDO_OK, "%s", err.text);
    use("fake:///b");
    cr_assert_eq(lido_manager_count(manager), 2);
    give(&conn);
    use("fake:///c");
    cr_assert_eq(lido_manager_count(manager), 1);
}

Test(manager_forget, a_memory_database_is_never_closed_for_the_bound)
{
    struct lido_manager_options options = LIDO_MANAGER_OPTIONS_INIT;
    struct lido_conn conn;

    options.max_pools = 1;
    renew(&options);
    conn = take("sqlite://");
    cr_assert_eq(
        sqlite3_exec(lido_conn_sqlite(&conn), "CREATE TABLE t (x)", NULL, NULL, NULL),
        SQLITE_OK);
    give(&conn);
    use("sqlite:///file:/kept?uri=1&vfs=memdb");
    use("fake:///a");
    use("fake:///b");
    cr_assert_eq(lido_manager_count(manager), 3, "two in memory, and the new one");
    conn = take("sqlite://");
    cr_assert_eq(sqlite3_exec(lido_conn_sqlite(&conn), "SELECT * FROM t", NULL, NULL, NULL),
                 SQLITE_OK);
    give(&conn);
}

/* --- showing -------------------------------------------------------------------------- */

struct seen {
    char text[400];
    int stop_after, code;
};

static int note(void *ctx, const struct lido_managed *managed)
{
    struct seen *seen = ctx;

    cr_assert_eq(managed->size, sizeof *managed);
    cr_assert_not_null(managed->pool);
    sprintf(seen->text + strlen(seen->text), "%s %d\n", managed->url, managed->lent);
    use("fake:///a"); /* a visit may use the manager */
    return --seen->stop_after == 0 ? seen->code : 0;
}

Test(manager_forget, pools_are_shown_the_one_asked_for_last_first)
{
    struct seen seen = { .stop_after = 9 };
    lido_pool *pool;

    cr_assert_eq(chdir("/"), 0);
    use("fake:///a");
    pool = borrow("fake:///b?timeout=1&pool=null&sa_pool_key=k");
    use("sqlite://");
    cr_assert_eq(lido_manager_pools(manager, note, &seen, &err), LIDO_OK);
    cr_assert_str_eq(seen.text, "sqlite:///:memory: 0\n"
                                "sqlite+fake:////b?pool=null&sa_pool_key=k&timeout=1 1\n"
                                "sqlite+fake:////a 0\n");
    cr_assert_eq(peek("fake:////b?pool=null&sa_pool_key=k&timeout=1"), pool);
    hand_back(pool);
}

Test(manager_forget, a_visit_may_stop_it)
{
    struct seen seen = { .stop_after = 1, .code = 42 };

    use("fake:///a");
    use("fake:///b");
    cr_assert_eq(lido_manager_pools(manager, note, &seen, &err), 42);
    cr_assert_eq(lido_manager_clear(manager, &err), LIDO_OK);
    cr_assert_null(manager->newest, "the visit left no user behind");
    seen.stop_after = 1;
    cr_assert_eq(lido_manager_pools(manager, note, &seen, &err), LIDO_OK, "none is there");
}

Test(manager_forget, as_many_pools_as_one_likes)
{
    char url[40];

    for (int i = 0; i < 1000; i++) {
        snprintf(url, sizeof url, "fake:///%d", i);
        use(url);
    }
    cr_assert_eq(lido_manager_count(manager), 1000);
    for (int i = 0; i < 1000; i += 2) {
        snprintf(url, sizeof url, "fake:///%d", i);
        cr_assert_eq(lido_manager_dispose(manager, url, &err), LIDO_OK);
    }
    cr_assert_eq(lido_manager_count(manager), 500);
    for (int i = 1; i < 1000; i += 2) {
        snprintf(url, sizeof url, "fake:///%d", i);
        use(url);
    }
    cr_assert_eq(lido_manager_count(manager), 500);
}
