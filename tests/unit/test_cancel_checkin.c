/* SPDX-License-Identifier: MIT */
/*
 * The check-in of a lease that was to stop, on pools that do not roll back by themselves.
 */
#include "tests/support/handy.h"
#include <lido/lido.h>

#include <criterion/criterion.h>
#include <stdio.h>
#include <unistd.h>

static lido_cancel *token;
static char path[HANDY_FILE_SIZE];

static void set_up(void)
{
    cr_assert_eq(lido_cancel_new(&token, &handy_err), LIDO_OK);
    handy_file(path, "cancel-in");
}

static void clear(void)
{
    lido_cancel_free(token);
    unlink(path);
}

TestSuite(cancel_checkin, .init = set_up, .fini = clear);

static const char *const kinds[] = { "null", "queue", "singleton_thread", "static",
                                     "assertion" };
#define N_KINDS (sizeof kinds / sizeof kinds[0])

static struct lido_conn take_with_token(lido_pool *pool)
{
    struct lido_checkout_options options = LIDO_CHECKOUT_OPTIONS_INIT;
    struct lido_conn conn;

    options.cancel = token;
    cr_assert_eq(lido_pool_checkout(pool, &conn, &options, &handy_err), LIDO_OK, "%s",
                 handy_err.text);
    return conn;
}

static void exec(const struct lido_conn *conn, const char *sql)
{
    cr_assert_eq(lido_conn_exec(conn, sql, &handy_err), LIDO_OK, "%s", handy_err.text);
}

/* What the next lease reads of a row that a stopped one has written. */
static int count_after(const char *kind, int reset, void (*stop)(const struct lido_conn *))
{
    struct lido_pool_options options = handy_options(kind);
    struct lido_conn conn;
    char url[120];
    lido_pool *pool;
    int count;

    unlink(path);
    snprintf(url, sizeof url, "sqlite:///%s", path);
    options.pool_reset_on_return = reset;
    pool = handy_open_url(url, &options);
    conn = handy_take(pool);
    exec(&conn, "CREATE TABLE t (x)");
    handy_give(&conn);
    conn = take_with_token(pool);
    cr_assert_eq(lido_txn_begin(&conn, LIDO_IMMEDIATE, &handy_err), LIDO_OK);
    exec(&conn, "INSERT INTO t VALUES (1)");
    stop(&conn);
    handy_give(&conn);
    lido_cancel_reset(token);
    conn = handy_take(pool);
    cr_expect(sqlite3_get_autocommit(lido_conn_sqlite(&conn)), "%s: it is open still",
              kind);
    exec(&conn, "DELETE FROM t");
    count = (int)lido_conn_changes(&conn);
    handy_give(&conn);
    lido_pool_free(pool);
    return count;
}

static void stop_by_token(const struct lido_conn *conn)
{
    (void)conn;
    cr_assert_eq(lido_cancel_fire(token, &handy_err), LIDO_OK);
}

static void stop_by_name(const struct lido_conn *conn)
{
    cr_assert_eq(lido_conn_cancel(conn, &handy_err), LIDO_OK);
}

static void stop_by_time(const struct lido_conn *conn)
{
    cr_assert_eq(lido_txn_limit(conn, 0, &handy_err), LIDO_OK);
}

static void do_not_stop(const struct lido_conn *conn)
{
    (void)conn;
}

Test(cancel_checkin, a_checkin_that_would_commit_rolls_back_what_was_to_stop)
{
    for (size_t i = 0; i < N_KINDS; i++) {
        cr_expect_eq(count_after(kinds[i], LIDO_RESET_COMMIT, stop_by_token), 0, "%s",
                     kinds[i]);
        cr_expect_eq(count_after(kinds[i], LIDO_RESET_COMMIT, stop_by_name), 0, "%s",
                     kinds[i]);
        cr_expect_eq(count_after(kinds[i], LIDO_RESET_COMMIT, stop_by_time), 0, "%s",
                     kinds[i]);
        cr_expect_eq(count_after(kinds[i], LIDO_RESET_NONE, stop_by_token), 0, "%s",
                     kinds[i]);
        cr_expect_eq(count_after(kinds[i], LIDO_RESET_COMMIT, do_not_stop), 1, "%s",
                     kinds[i]);
    }
}

Test(cancel_checkin, of_leases_that_share_only_the_stopped_one_is_rolled_back)
{
    struct lido_pool_options options = handy_options("static");
    lido_pool *pool;
    struct lido_conn first, second;

    options.pool_reset_on_return = LIDO_RESET_COMMIT;
    pool = handy_open_url("sqlite://", &options);
    first = handy_take(pool);
    second = handy_take(pool);
    exec(&first, "CREATE TABLE t (x)");
    cr_assert_eq(lido_txn_begin(&first, LIDO_IMMEDIATE, &handy_err), LIDO_OK);
    exec(&first, "INSERT INTO t VALUES (1)");
    cr_assert_eq(lido_conn_cancel(&first, &handy_err), LIDO_OK);
    handy_give(&first);
    cr_assert_eq(lido_txn_begin(&second, LIDO_IMMEDIATE, &handy_err), LIDO_OK);
    exec(&second, "INSERT INTO t VALUES (2)");
    handy_give(&second);
    second = handy_take(pool);
    exec(&second, "DELETE FROM t WHERE x = 2");
    cr_expect_eq(lido_conn_changes(&second), 1);
    exec(&second, "DELETE FROM t");
    cr_expect_eq(lido_conn_changes(&second), 0);
    handy_give(&second);
    lido_pool_free(pool);
}
