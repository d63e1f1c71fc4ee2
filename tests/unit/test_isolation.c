/* SPDX-License-Identifier: MIT */
/*
 * The isolation level of a lease: what it sets, what SQLite then says, and that it ends with
 * the lease.
 */
#include "tests/support/handy.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static struct lido_error err;
static lido_pool *pool;
static struct lido_conn conn;

static void open_pool(const char *kind, const char *url)
{
    struct lido_pool_options options = handy_options(kind);

    pool = handy_open_url(url, &options);
    conn = handy_take(pool);
}

static void set_up(void)
{
    open_pool("singleton_thread", "sqlite://");
}

static void tear_down(void)
{
    lido_conn_checkin(&conn, NULL, NULL);
    lido_pool_free(pool);
}

TestSuite(isolation, .init = set_up, .fini = tear_down, .timeout = 30);

static int first_int(void *out, int columns, char **values, char **names)
{
    (void)columns, (void)names;
    *(int *)out = atoi(values[0]);
    return 0;
}

static int reads_uncommitted(const struct lido_conn *lease)
{
    int answer = -1;

    sqlite3_exec(lido_conn_sqlite(lease), "PRAGMA read_uncommitted", first_int, &answer,
                 NULL);
    return answer;
}

static void set(const char *level)
{
    cr_assert_eq(lido_conn_set_isolation(&conn, level, &err), LIDO_OK, "%s", err.text);
}

static void renew(void)
{
    handy_give(&conn);
    conn = handy_take(pool);
}

static void expect_level(const char *level, int read_uncommitted)
{
    const char *now = lido_conn_isolation(&conn);

    cr_assert_not_null(now);
    cr_expect_str_eq(now, level);
    cr_expect_eq(reads_uncommitted(&conn), read_uncommitted, "%s", level);
}

Test(isolation, is_set_and_read_back_and_ends_with_the_lease)
{
    void *was = lido_conn_handle(&conn);

    expect_level("SERIALIZABLE", 0);
    set("READ UNCOMMITTED");
    expect_level("READ UNCOMMITTED", 1);
    set("READ UNCOMMITTED");
    set("SERIALIZABLE");
    expect_level("SERIALIZABLE", 0);
    set("READ UNCOMMITTED");
    renew();
    cr_expect_eq(lido_conn_handle(&conn), was);
    expect_level("SERIALIZABLE", 0);
}

Test(isolation, goes_back_to_the_pool_s_own)
{
    tear_down();
    open_pool("singleton_thread", "sqlite://?isolation_level=read_uncommitted");
    expect_level("READ UNCOMMITTED", 1);
    set("SERIALIZABLE");
    expect_level("SERIALIZABLE", 0);
    set("READ UNCOMMITTED");
    set("SERIALIZABLE");
    renew();
    expect_level("READ UNCOMMITTED", 1);
    tear_down();
    open_pool("singleton_thread", "sqlite://?isolation_level=AUTOCOMMIT");
    expect_level("AUTOCOMMIT", 0);
    set("READ UNCOMMITTED");
    expect_level("READ UNCOMMITTED", 1);
    renew();
    expect_level("AUTOCOMMIT", 0);
}

Test(isolation, takes_any_case_and_an_underscore_for_a_blank)
{
    set("read_Uncommitted");
    expect_level("READ UNCOMMITTED", 1);
    set("serializable");
    expect_level("SERIALIZABLE", 0);
    set("Autocommit");
    expect_level("AUTOCOMMIT", 0);
}

Test(isolation, autocommit_leaves_reading_as_it_is_and_does_not_keep_from_beginning)
{
    set("READ UNCOMMITTED");
    set("AUTOCOMMIT");
    expect_level("AUTOCOMMIT", 1);
    cr_expect_eq(lido_txn_begin(&conn, LIDO_DEFERRED, &err), LIDO_OK);
    cr_expect_eq(lido_txn_commit(&conn, NULL, &err), LIDO_OK);
    renew();
    expect_level("SERIALIZABLE", 0);
}

Test(isolation, autocommit_keeps_the_pool_from_beginning)
{
    static const char *const urls[] = {
        "sqlite://?autobegin=read", "sqlite://?autobegin=read&isolation_level=AUTOCOMMIT",
        "sqlite://?autobegin=read&isolation_level=None"
    };

    for (int i = 0; i < 3; i++) {
        tear_down();
        open_pool("singleton_thread", urls[i]);
        if (i == 0)
            set("AUTOCOMMIT");
        cr_assert_eq(lido_conn_exec(&conn, "SELECT 1", &err), LIDO_OK, "%s", err.text);
        cr_expect_eq(lido_txn_state(&conn), LIDO_TXN_NONE, "%s", urls[i]);
        set("SERIALIZABLE");
        cr_assert_eq(lido_conn_exec(&conn, "SELECT 1", &err), LIDO_OK, "%s", err.text);
        cr_expect_neq(lido_txn_state(&conn), LIDO_TXN_NONE, "%s", urls[i]);
        cr_assert_eq(lido_txn_rollback(&conn, &err), LIDO_OK);
    }
}

Test(isolation, that_is_none_is_told_with_those_that_there_are)
{
    static const char *const names[] = { "REPEATABLE READ", "",
                                         "DEFERRED",        "None",
                                         "SERIALIZABLE ",   "READ  UNCOMMITTED" };

    set("READ UNCOMMITTED");
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        cr_expect_eq(lido_conn_set_isolation(&conn, names[i], &err), SQLITE_MISUSE);
        cr_expect_not_null(
            strstr(err.text, "there are: SERIALIZABLE, READ UNCOMMITTED, AUTOCOMMIT"));
        expect_level("READ UNCOMMITTED", 1);
    }
    cr_expect_eq(lido_conn_set_isolation(&conn, NULL, &err), SQLITE_MISUSE);
    cr_expect_eq(lido_conn_set_isolation(&conn, NULL, NULL), SQLITE_MISUSE);
}

Test(isolation, does_not_change_in_a_transaction)
{
    static const char *const names[] = { "SERIALIZABLE", "READ UNCOMMITTED", "AUTOCOMMIT" };

    cr_assert_eq(lido_txn_begin(&conn, LIDO_DEFERRED, &err), LIDO_OK);
    for (int i = 0; i < 3; i++)
        cr_expect_eq(lido_conn_set_isolation(&conn, names[i], &err), LIDO_IN_TXN);
    expect_level("SERIALIZABLE", 0);
    cr_assert_eq(lido_txn_rollback(&conn, &err), LIDO_OK);
    set("READ UNCOMMITTED");
}

/* Without a shared cache there is nothing to be seen. */
Test(isolation, read_uncommitted_sees_nothing_uncommitted)
{
    struct lido_conn other;
    int count = -1;

    tear_down();
    open_pool("queue", "sqlite:///file:/lido-isolation?uri=1&vfs=memdb&timeout=0");
    other = handy_take(pool);
    cr_assert_eq(sqlite3_exec(lido_conn_sqlite(&other), "CREATE TABLE t (x)", 0, 0, 0), 0);
    set("READ UNCOMMITTED");
    cr_assert_eq(lido_txn_begin(&other, LIDO_DEFERRED, &err), LIDO_OK);
    cr_assert_eq(
        sqlite3_exec(lido_conn_sqlite(&other), "INSERT INTO t VALUES (1)", 0, 0, 0), 0);
    sqlite3_exec(lido_conn_sqlite(&conn), "SELECT count(*) FROM t", first_int, &count, 0);
    cr_expect_leq(count, 0); /* nothing, or the lock in its way */
    handy_give(&other);
}

Test(isolation, is_one_lease_s_where_leases_share_the_connection)
{
    static const char *const kinds[] = { "singleton_thread", "static" };

    for (int i = 0; i < 2; i++) {
        struct lido_conn inner;

        tear_down();
        open_pool(kinds[i], "sqlite://");
        inner = handy_take(pool);
        cr_expect_eq(lido_conn_set_isolation(&inner, "SERIALIZABLE", &err), LIDO_SHARED);
        cr_expect_eq(lido_conn_set_isolation(&inner, "AUTOCOMMIT", &err), LIDO_OK);
        expect_level("SERIALIZABLE", 0);
        cr_expect_str_eq(lido_conn_isolation(&inner), "AUTOCOMMIT");
        handy_give(&inner);
        set("READ UNCOMMITTED");
        inner = handy_take(pool);
        cr_expect_str_eq(lido_conn_isolation(&inner), "READ UNCOMMITTED");
        handy_give(&inner);
        expect_level("READ UNCOMMITTED", 1); /* not its end counts */
        inner = handy_take(pool);
        handy_give(&conn);
        cr_expect_str_eq(lido_conn_isolation(&inner), "SERIALIZABLE", "%s", kinds[i]);
        conn = inner;
    }
}

Test(isolation, ends_with_the_connection)
{
    set("READ UNCOMMITTED");
    cr_assert_eq(lido_conn_invalidate(&conn, NULL, &err), LIDO_OK);
    cr_expect_null(lido_conn_isolation(&conn));
    conn = handy_take(pool);
    expect_level("SERIALIZABLE", 0);
    set("READ UNCOMMITTED");
    expect_level("READ UNCOMMITTED", 1);
}

Test(isolation, is_set_back_by_the_driver_only_if_it_was_set)
{
    tear_down();
    fake_driver_install();
    open_pool("queue", "fake:///any");
    fake_driver_calls();
    renew();
    cr_expect_str_eq(fake_driver_calls(), "reset 1");
    set("READ UNCOMMITTED");
    renew();
    cr_expect_str_eq(fake_driver_calls(),
                     "read-uncommitted=1 1, read-uncommitted=0 1, reset 1");
    set("AUTOCOMMIT");
    renew();
    cr_expect_str_eq(fake_driver_calls(), "reset 1");
}

Test(isolation, that_could_not_be_set_back_is_tried_again)
{
    tear_down();
    fake_driver_install();
    open_pool("queue", "fake:///any");
    fake_driver_calls();
    fake_driver_fail(1, SQLITE_IOERR);
    cr_expect_eq(lido_conn_set_isolation(&conn, "READ UNCOMMITTED", &err), SQLITE_IOERR);
    renew();
    cr_expect_str_eq(fake_driver_calls(), "read-uncommitted=1 1!, reset 1");
    set("READ UNCOMMITTED");
    fake_driver_fail(1, SQLITE_IOERR);
    fake_driver_calls();
    renew();
    cr_expect_str_eq(fake_driver_calls(),
                     "read-uncommitted=0 1!, reset 1, read-uncommitted=0 1");
    cr_expect_eq(handy_number(&conn), 1);
}

Test(isolation, needs_a_driver_that_has_levels)
{
    static struct lido_driver plain;

    tear_down();
    plain = *lido_driver_sqlite();
    plain.name = "plain";
    plain.property = NULL;
    cr_assert_eq(lido_driver_register("plain", &plain, NULL, &err), LIDO_OK);
    open_pool("queue", "plain:///file:/lido-plain?uri=1&vfs=memdb");
    cr_expect_eq(lido_conn_set_isolation(&conn, "SERIALIZABLE", &err), SQLITE_MISUSE);
    cr_expect_str_eq(err.text, "the driver plain has no isolation levels");
    cr_expect_null(lido_conn_isolation(&conn));
    set("AUTOCOMMIT");
    cr_expect_str_eq(lido_conn_isolation(&conn), "AUTOCOMMIT");
}
