/* SPDX-License-Identifier: MIT */
/*
 * lido_conn_set_progress(): the host's function that is asked while SQL of a lease runs.
 */
#include "tests/support/handy.h"
#include <lido/lido.h>

#include <criterion/criterion.h>
#include <stdio.h>
#include <unistd.h>

static const char long_one[] = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 "
                               "FROM n LIMIT 100000) SELECT count(*) FROM n";

static int asked, wanted;

static lido_pool *open_kind(const char *kind)
{
    struct lido_pool_options options = handy_options(kind);

    return handy_open_url("sqlite://", &options);
}

static int ask(void *ctx)
{
    cr_expect_eq(ctx, &asked);
    return ++asked == wanted;
}

TestSuite(progress, .timeout = 60);

static void watch(const struct lido_conn *conn)
{
    cr_assert_eq(lido_conn_set_progress(conn, ask, &asked, &handy_err), LIDO_OK, "%s",
                 handy_err.text);
}

Test(progress, it_is_asked_while_sql_runs_and_ends_it)
{
    static const char *const kinds[] = { "null", "singleton_thread", "static",
                                         "assertion" };

    for (int i = 0; i < 4; i++) {
        lido_pool *pool = open_kind(kinds[i]);
        struct lido_conn conn = handy_take(pool);

        asked = wanted = 0;
        watch(&conn);
        cr_expect_eq(lido_conn_exec(&conn, long_one, &handy_err), LIDO_OK, "%s",
                     handy_err.text);
        cr_expect_gt(asked, 100, "%s: %d", kinds[i], asked);
        wanted = asked + 2;
        cr_expect_eq(lido_conn_exec(&conn, long_one, &handy_err), SQLITE_INTERRUPT, "%s",
                     kinds[i]);
        cr_expect_eq(asked, wanted);
        cr_expect_eq(lido_conn_exec(&conn, "SELECT 1", &handy_err), LIDO_OK);
        handy_give(&conn);
        lido_pool_free(pool);
    }
}

/* By lido's calls, and by the raw handle. */
Test(progress, it_is_asked_in_the_wait_for_a_lock_and_ends_it)
{
    struct lido_pool_options options = handy_options("queue");
    char path[HANDY_FILE_SIZE], url[140];
    struct lido_conn conn;
    sqlite3 *holder;
    lido_pool *pool;

    handy_file(path, "progress");
    cr_assert_eq(sqlite3_open(path, &holder), SQLITE_OK);
    cr_assert_eq(sqlite3_exec(holder, "CREATE TABLE t(x)", NULL, NULL, NULL), SQLITE_OK);
    snprintf(url, sizeof url, "sqlite:///%s?timeout=3600&synchronous=off", path);
    options.clock = NULL;
    pool = handy_open_url(url, &options);
    conn = handy_take(pool);
    cr_assert_eq(sqlite3_exec(holder, "BEGIN EXCLUSIVE", NULL, NULL, NULL), SQLITE_OK);
    watch(&conn);
    wanted = 10;
    cr_expect_eq(lido_conn_exec(&conn, "SELECT * FROM t", &handy_err), SQLITE_BUSY, "%s",
                 handy_err.text);
    cr_expect_eq(asked, 10);
    wanted = 20;
    cr_expect_eq(sqlite3_exec(lido_conn_sqlite(&conn), "SELECT * FROM t", NULL, NULL, NULL),
                 SQLITE_BUSY);
    cr_expect_eq(asked, 20);
    cr_assert_eq(sqlite3_exec(holder, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
    cr_expect_eq(lido_conn_exec(&conn, "SELECT * FROM t", &handy_err), LIDO_OK, "%s",
                 handy_err.text);
    handy_give(&conn);
    lido_pool_free(pool);
    sqlite3_close(holder);
    unlink(path);
}

Test(progress, it_is_gone_at_the_check_in_and_when_it_is_taken_away)
{
    struct lido_pool_options options = handy_options("assertion");
    struct lido_conn conn;
    lido_pool *pool;

    options.session_guard = 0;
    pool = handy_open_url("sqlite://", &options);
    conn = handy_take(pool);
    watch(&conn);
    handy_give(&conn);
    conn = handy_take(pool);
    cr_expect_eq(lido_conn_exec(&conn, long_one, &handy_err), LIDO_OK);
    watch(&conn);
    cr_expect_eq(lido_conn_set_progress(&conn, NULL, NULL, &handy_err), LIDO_OK);
    cr_expect_eq(lido_conn_exec(&conn, long_one, &handy_err), LIDO_OK);
    cr_expect_eq(asked, 0);
    handy_give(&conn);
    lido_pool_free(pool);
}

/* lido's own is asked first, and is still there. */
Test(progress, a_cancelled_lease_is_cancelled_all_the_same)
{
    lido_pool *pool = open_kind("assertion");
    struct lido_conn conn = handy_take(pool);

    watch(&conn);
    cr_assert_eq(lido_conn_cancel(&conn, &handy_err), LIDO_OK);
    cr_expect_eq(lido_conn_exec(&conn, long_one, &handy_err), LIDO_CANCELLED);
    cr_expect_eq(asked, 0);
    handy_give(&conn);
    lido_pool_free(pool);
}

Test(progress, of_two_leases_that_share_a_connection_it_is_for_one)
{
    struct lido_pool_options options = handy_options("static");
    struct lido_conn watched, other;
    lido_pool *pool;

    options.check_same_thread = 0;
    pool = handy_open_url("sqlite://", &options);
    watched = handy_take(pool);
    other = handy_take(pool);
    watch(&watched);
    wanted = 1;
    cr_expect_eq(lido_conn_exec(&other, long_one, &handy_err), LIDO_OK);
    cr_expect_eq(asked, 0);
    cr_expect_eq(lido_conn_exec(&watched, long_one, &handy_err), SQLITE_INTERRUPT);
    handy_give(&watched);
    handy_give(&other);
    lido_pool_free(pool);
}

Test(progress, leases_that_are_none_are_refused)
{
    lido_pool *pool = open_kind("null");
    struct lido_conn conn = handy_take(pool), copy = conn, adopted;
    sqlite3 *own;

    cr_expect_eq(lido_conn_set_progress(NULL, ask, &asked, &handy_err), SQLITE_MISUSE);
    handy_give(&conn);
    cr_expect_eq(lido_conn_set_progress(&copy, ask, &asked, &handy_err), LIDO_STALE);
    cr_assert_eq(sqlite3_open(":memory:", &own), SQLITE_OK);
    cr_assert_eq(lido_conn_adopt(&adopted, pool, own, &handy_err), LIDO_OK);
    cr_expect_eq(lido_conn_set_progress(&adopted, ask, &asked, &handy_err), SQLITE_MISUSE);
    handy_give(&adopted);
    sqlite3_close(own);
    lido_pool_free(pool);
}
