/* SPDX-License-Identifier: MIT */
/*
 * BEGIN, COMMIT and ROLLBACK are prepared once for a connection, and leave nothing on a handle
 * that lido does not keep.
 */
#include "tests/support/handy.h"

#include <criterion/criterion.h>
#include <string.h>

static struct lido_error err;

static lido_pool *open_pool(const char *url)
{
    struct lido_pool_options options = handy_options(NULL);

    return handy_open_url(url, &options);
}

static int count(sqlite3 *db)
{
    int n = 0;

    for (sqlite3_stmt *at = sqlite3_next_stmt(db, NULL); at != NULL;
         at = sqlite3_next_stmt(db, at))
        n++;
    return n;
}

static void begin_and_end(const struct lido_conn *conn, int mode)
{
    cr_assert_eq(lido_txn_begin(conn, mode, &err), LIDO_OK, "%s", err.text);
    cr_assert_eq(lido_txn_commit(conn, NULL, &err), LIDO_OK, "%s", err.text);
    cr_assert_eq(lido_txn_begin(conn, mode, &err), LIDO_OK, "%s", err.text);
    cr_assert_eq(lido_txn_rollback(conn, &err), LIDO_OK, "%s", err.text);
}

Test(own_texts, each_is_prepared_once)
{
    lido_pool *pool = open_pool("sqlite://");
    struct lido_conn conn = handy_take(pool);
    sqlite3 *db = lido_conn_sqlite(&conn);

    begin_and_end(&conn, LIDO_IMMEDIATE);
    cr_expect_eq(count(db), 3);
    begin_and_end(&conn, LIDO_IMMEDIATE);
    cr_expect_eq(count(db), 3);
    begin_and_end(&conn, LIDO_DEFERRED);
    begin_and_end(&conn, LIDO_EXCLUSIVE);
    begin_and_end(&conn, LIDO_READ);
    begin_and_end(&conn, LIDO_READ);
    cr_expect_eq(count(db), 6);
    handy_give(&conn);
    lido_pool_free(pool);
}

Test(own_texts, without_a_cache_none_is_kept)
{
    lido_pool *pool = open_pool("sqlite://?cached_statements=0");
    struct lido_conn conn = handy_take(pool);

    begin_and_end(&conn, LIDO_IMMEDIATE);
    cr_expect_eq(count(lido_conn_sqlite(&conn)), 0);
    handy_give(&conn);
    lido_pool_free(pool);
}

Test(own_texts, a_handle_that_leaves_has_none)
{
    lido_pool *pool = open_pool("sqlite:///file:/own-texts?uri=1&vfs=memdb&pool=queue");
    struct lido_conn conn = handy_take(pool);
    void *handle;

    begin_and_end(&conn, LIDO_IMMEDIATE);
    cr_assert_eq(lido_txn_begin(&conn, LIDO_IMMEDIATE, &err), LIDO_OK);
    cr_assert_eq(lido_conn_steal(&conn, &handle, &err), LIDO_OK, "%s", err.text);
    cr_expect_eq(sqlite3_get_autocommit(handle), 0);
    cr_expect_eq(count(handle), 0);

    cr_assert_eq(sqlite3_exec(handle, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
    cr_assert_eq(lido_conn_adopt(&conn, pool, handle, &err), LIDO_OK);
    begin_and_end(&conn, LIDO_IMMEDIATE);
    cr_expect_eq(count(handle), 3);
    handy_give(&conn);
    cr_expect_eq(count(handle), 0);
    cr_expect_eq(sqlite3_close(handle), SQLITE_OK);
    lido_pool_free(pool);
}

Test(own_texts, a_connection_that_is_replaced_closes_with_them)
{
    lido_pool *pool = open_pool("sqlite://?pool=static");
    struct lido_conn conn = handy_take(pool);

    begin_and_end(&conn, LIDO_IMMEDIATE);
    cr_assert_eq(lido_conn_invalidate(&conn, NULL, &err), LIDO_OK);
    cr_expect_eq(handy_stats(pool).close_failures, 0);
    conn = handy_take(pool);
    cr_expect_eq(count(lido_conn_sqlite(&conn)), 0);
    begin_and_end(&conn, LIDO_IMMEDIATE);
    handy_give(&conn);
    lido_pool_free(pool);
}

/* A BEGIN that is prepared names the databases to lock. */
Test(own_texts, begin_locks_what_was_attached_since)
{
    lido_pool *pool = open_pool("sqlite://");
    struct lido_conn conn = handy_take(pool);
    sqlite3 *db = lido_conn_sqlite(&conn);

    begin_and_end(&conn, LIDO_IMMEDIATE);
    cr_assert_eq(lido_conn_exec(&conn, "BEGIN IMMEDIATE", &err), LIDO_OK);
    cr_assert_eq(lido_conn_exec(&conn, "COMMIT", &err), LIDO_OK);
    cr_assert_eq(lido_conn_exec(&conn, "ATTACH 'file:/a?vfs=memdb' AS a", &err), LIDO_OK,
                 "%s", err.text);

    cr_assert_eq(lido_txn_begin(&conn, LIDO_IMMEDIATE, &err), LIDO_OK);
    cr_expect_eq(sqlite3_txn_state(db, "a"), SQLITE_TXN_WRITE);
    cr_assert_eq(lido_txn_commit(&conn, NULL, &err), LIDO_OK);
    cr_assert_eq(lido_conn_exec(&conn, "BEGIN IMMEDIATE", &err), LIDO_OK);
    cr_expect_eq(sqlite3_txn_state(db, "a"), SQLITE_TXN_WRITE);
    cr_assert_eq(lido_conn_exec(&conn, "COMMIT", &err), LIDO_OK);

    cr_assert_eq(lido_conn_exec(&conn, "DETACH a", &err), LIDO_OK, "%s", err.text);
    begin_and_end(&conn, LIDO_IMMEDIATE);
    handy_give(&conn);
    lido_pool_free(pool);
}
