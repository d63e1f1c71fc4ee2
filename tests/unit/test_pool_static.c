/* SPDX-License-Identifier: MIT */
/*
 * One connection for all: whose transaction it is, and what becomes of it.
 */
#include "tests/support/handy.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static lido_pool *open_static(int shared_transaction)
{
    struct lido_pool_options options = handy_options("static");

    options.timeout_ms = 1000;
    options.pool_timeout_ms = 1000;
    options.shared_transaction = shared_transaction;
    return handy_open_url("sqlite://", &options);
}

static void execute(const struct lido_conn *conn, const char *sql)
{
    sqlite3 *db = lido_conn_sqlite(conn);

    cr_assert_not_null(db);
    cr_assert_eq(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK, "%s: %s", sql,
                 sqlite3_errmsg(db));
}

static int ask(const struct lido_conn *conn, const char *sql)
{
    sqlite3 *db = lido_conn_sqlite(conn);
    sqlite3_stmt *stmt;
    int number;

    cr_assert_eq(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), SQLITE_OK, "%s",
                 sqlite3_errmsg(db));
    cr_assert_eq(sqlite3_step(stmt), SQLITE_ROW);
    number = sqlite3_column_int(stmt, 0);
    sqlite3_finalize(stmt);
    return number;
}

/* Another thread with a lease of its own, which begins when it is told. */
struct other {
    lido_pool *pool;
    pthread_t thread;
    int rc;
    struct lido_error err;
};

static void *begin_and_commit(void *arg)
{
    struct other *other = arg;
    struct lido_conn conn = handy_take(other->pool);

    other->rc = lido_txn_begin(&conn, LIDO_IMMEDIATE, &other->err);
    if (other->rc == LIDO_OK)
        other->rc = lido_txn_commit(&conn, NULL, &other->err);
    handy_give(&conn);
    return NULL;
}

static void start(struct other *other)
{
    int reads = fake_clock_reads();

    cr_assert_eq(pthread_create(&other->thread, NULL, begin_and_commit, other), 0);
    /* A thread that waits reads the clock after it was listed. */
    while (fake_clock_reads() < reads + 4)
        sched_yield();
}

Test(pool_static, all_threads_have_the_same_connection_opened_for_several)
{
    lido_pool *pool = open_static(0);
    struct lido_conn one = handy_take(pool), two = handy_take(pool);

    cr_expect_eq(lido_conn_sqlite(&one), lido_conn_sqlite(&two));
    cr_expect_not_null(sqlite3_db_mutex(lido_conn_sqlite(&one)));
    cr_expect_eq(handy_stats(pool).connects, 1);
    cr_expect_eq(handy_stats(pool).out, 1);
    handy_give(&one);
    execute(&two, "SELECT 1");
    handy_give(&two);
    cr_assert_eq(lido_pool_close(pool, 0, NULL), LIDO_OK);
    lido_pool_free(pool);
}

Test(pool_static, a_second_begin_waits_for_the_first_lease_to_commit)
{
    struct other other = { .pool = open_static(0), .rc = -1 };
    struct lido_conn conn = handy_take(other.pool);

    cr_assert_eq(lido_txn_begin(&conn, LIDO_IMMEDIATE, NULL), LIDO_OK);
    start(&other);
    cr_expect_eq(lido_txn_commit(&conn, NULL, NULL), LIDO_OK);
    pthread_join(other.thread, NULL);
    cr_expect_eq(other.rc, LIDO_OK, "%s", other.err.text);
    handy_give(&conn);
    lido_pool_free(other.pool);
}

Test(pool_static, a_second_begin_gets_the_transaction_of_a_lease_that_is_checked_in)
{
    struct other other = { .pool = open_static(0), .rc = -1 };
    struct lido_conn conn = handy_take(other.pool), watch = handy_take(other.pool);

    execute(&conn, "CREATE TABLE t (x)");
    cr_assert_eq(lido_txn_begin(&conn, LIDO_IMMEDIATE, NULL), LIDO_OK);
    execute(&conn, "INSERT INTO t VALUES (1)");
    start(&other);
    handy_give(&conn);
    pthread_join(other.thread, NULL);
    cr_expect_eq(other.rc, LIDO_OK, "%s", other.err.text);
    cr_expect_eq(ask(&watch, "SELECT count(*) FROM t"), 0); /* it was rolled back */
    handy_give(&watch);
    lido_pool_free(other.pool);
}

Test(pool_static, a_second_begin_gives_up_at_its_deadline)
{
    struct other other = { .pool = open_static(0), .rc = -1 };
    struct lido_conn conn = handy_take(other.pool);

    cr_assert_eq(lido_txn_begin(&conn, LIDO_IMMEDIATE, NULL), LIDO_OK);
    start(&other);
    fake_clock_advance_ms(1000);
    pthread_join(other.thread, NULL);
    cr_expect_eq(other.rc, SQLITE_BUSY);
    cr_expect_not_null(strstr(other.err.text, "waited 1000 ms"), "%s", other.err.text);
    cr_expect_eq(lido_txn_commit(&conn, NULL, NULL), LIDO_OK);
    handy_give(&conn);
    lido_pool_free(other.pool);
}

Test(pool_static, a_lease_neither_commits_nor_rolls_back_what_another_began)
{
    lido_pool *pool = open_static(0);
    struct lido_conn one = handy_take(pool), two = handy_take(pool);

    execute(&one, "CREATE TABLE t (x)");
    cr_assert_eq(lido_txn_begin(&one, LIDO_IMMEDIATE, NULL), LIDO_OK);
    execute(&one, "INSERT INTO t VALUES (1)");
    cr_expect_eq(lido_txn_commit(&two, NULL, &handy_err), LIDO_NO_TXN);
    cr_expect_eq(lido_txn_rollback(&two, &handy_err), LIDO_OK);
    cr_expect_eq(lido_txn_begin(&two, LIDO_IMMEDIATE, &handy_err), LIDO_IN_TXN);
    handy_give(&two);
    cr_expect_eq(lido_txn_commit(&one, NULL, &handy_err), LIDO_OK, "%s", handy_err.text);
    cr_expect_eq(ask(&one, "SELECT count(*) FROM t"), 1);
    handy_give(&one);
    lido_pool_free(pool);
}

Test(pool_static, a_shared_transaction_is_everybody_s)
{
    lido_pool *pool = open_static(1);
    struct lido_conn one = handy_take(pool), two = handy_take(pool),
                     three = handy_take(pool);

    execute(&one, "CREATE TABLE t (x)");
    cr_assert_eq(lido_txn_begin(&one, LIDO_IMMEDIATE, NULL), LIDO_OK);
    execute(&one, "INSERT INTO t VALUES (1)");
    cr_expect_eq(lido_txn_begin(&two, LIDO_IMMEDIATE, NULL), LIDO_IN_TXN);
    handy_give(&two); /* as in SQLAlchemy: this rolls it back */
    cr_expect_eq(ask(&one, "SELECT count(*) FROM t"), 0);
    cr_assert_eq(lido_txn_begin(&one, LIDO_IMMEDIATE, NULL), LIDO_OK);
    cr_expect_eq(lido_txn_commit(&three, NULL, NULL), LIDO_OK);
    handy_give(&one);
    handy_give(&three);
    lido_pool_free(pool);
}

Test(pool_static, statements_are_reset_when_the_last_lease_ends)
{
    lido_pool *pool = open_static(0);
    struct lido_conn one = handy_take(pool), two = handy_take(pool);
    sqlite3_stmt *stmt;

    execute(&one, "CREATE TABLE t (x); INSERT INTO t VALUES (1), (2)");
    cr_assert_eq(
        sqlite3_prepare_v2(lido_conn_sqlite(&one), "SELECT x FROM t", -1, &stmt, NULL),
        SQLITE_OK);
    cr_assert_eq(sqlite3_step(stmt), SQLITE_ROW);
    handy_give(&two);
    cr_expect(sqlite3_stmt_busy(stmt));
    handy_give(&one);
    cr_expect_not(sqlite3_stmt_busy(stmt));
    cr_expect_eq(handy_stats(pool).statements_reset, 1);
    sqlite3_finalize(stmt);
    lido_pool_free(pool);
}

Test(pool_static, the_data_of_a_memory_database_outlives_every_lease)
{
    lido_pool *pool = open_static(0);
    struct lido_conn conn = handy_take(pool);

    execute(&conn, "CREATE TABLE t (x); CREATE TEMP TABLE kept (x)");
    handy_give(&conn);
    conn = handy_take(pool);
    cr_expect_eq(ask(&conn, "SELECT count(*) FROM t"), 0);
    cr_expect_eq(ask(&conn, "SELECT count(*) FROM temp.kept"), 0);
    handy_give(&conn);
    lido_pool_free(pool);
}

Test(pool_static, a_connection_that_is_invalidated_while_others_have_it_goes_with_the_last)
{
    struct lido_pool_options options = handy_options("static");
    lido_pool *pool = handy_open(&options);
    struct lido_conn one = handy_take(pool), two = handy_take(pool), three;

    cr_expect_eq(lido_conn_invalidate(&one, NULL, NULL), LIDO_OK);
    cr_expect_null(one.cell);
    cr_expect_eq(handy_number(&two), 1);
    three = handy_take(pool);
    cr_expect_eq(handy_number(&three), 2);
    cr_expect_eq(fake_driver_open_count(), 2);
    handy_give(&two);
    cr_expect_eq(fake_driver_open_count(), 1);
    handy_give(&three);
    handy_end(pool);
}

static int refuse(void *ctx, const struct lido_event *event, struct lido_error *out)
{
    (void)event;
    return *(int *)ctx != 0 ? lido_fail(out, *(int *)ctx, "refused") : LIDO_OK;
}

Test(pool_static, a_checkout_hook_refuses_one_lease_and_leaves_the_others)
{
    static const struct lido_events events = { .size = sizeof events, .checkout = refuse };
    struct lido_pool_options options = handy_options("static");
    lido_pool *pool = handy_open(&options);
    struct lido_conn one, two;
    int code = 0;

    cr_assert_eq(lido_hooks_add(lido_pool_hooks(pool), NULL, &events, &code, NULL, NULL),
                 LIDO_OK);
    one = handy_take(pool);
    code = SQLITE_AUTH;
    cr_expect_eq(lido_pool_checkout(pool, &two, NULL, &handy_err), SQLITE_AUTH);
    cr_expect_null(two.cell);
    cr_expect_eq(handy_number(&one), 1);
    handy_give(&one);
    handy_end(pool);
}

static void *take_and_give(void *pool)
{
    struct lido_conn conn = handy_take(pool);

    cr_expect_eq(handy_number(&conn), 1);
    handy_give(&conn);
    return NULL;
}

Test(pool_static, who_comes_while_it_is_opened_waits_and_shares_it)
{
    struct lido_pool_options options = handy_options("static");
    pthread_t threads[3];
    lido_pool *pool;

    options.pool_timeout_ms = LIDO_TIMEOUT_FOREVER;
    pool = handy_open(&options);
    fake_driver_hold_connects();
    for (int i = 0; i < 3; i++)
        pthread_create(&threads[i], NULL, take_and_give, pool);
    fake_driver_wait_for_held(1);
    fake_driver_let_connect();
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    cr_expect_eq(handy_stats(pool).connects, 1);
    handy_end(pool);
}

static int again(void *ctx, const struct lido_event *event, struct lido_error *out)
{
    struct lido_conn conn;

    (void)ctx;
    return lido_pool_checkout(event->pool, &conn, NULL, out);
}

Test(pool_static, a_connect_hook_that_checks_out_again_is_a_recursion)
{
    static const struct lido_events events = { .size = sizeof events, .connect = again };
    struct lido_pool_options options = handy_options("static");
    lido_pool *pool = handy_open(&options);
    struct lido_conn conn;

    cr_assert_eq(lido_hooks_add(lido_pool_hooks(pool), NULL, &events, NULL, NULL, NULL),
                 LIDO_OK);
    cr_expect_eq(lido_pool_checkout(pool, &conn, NULL, &handy_err), LIDO_RECURSION);
    handy_end(pool);
}
