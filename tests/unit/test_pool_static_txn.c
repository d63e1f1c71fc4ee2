/* SPDX-License-Identifier: MIT */
/*
 * One connection for all: transactions that SQL text began or ended, that a hook began, and
 * that were waited for by a lease that ended meanwhile.
 */
#include "tests/support/handy.h"
#include "tests/support/worker.h"

#include <criterion/criterion.h>
#include <sched.h>
#include <string.h>

static lido_pool *open_static(void)
{
    struct lido_pool_options options = handy_options("static");

    options.timeout_ms = 1000;
    options.pool_timeout_ms = 1000;
    options.check_same_thread = 0;
    return handy_open_url("sqlite://", &options);
}

static void execute(const struct lido_conn *conn, const char *sql)
{
    sqlite3 *db = lido_conn_sqlite(conn);

    cr_assert_not_null(db);
    cr_assert_eq(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK, "%s: %s", sql,
                 sqlite3_errmsg(db));
}

static bool is_in_txn(const struct lido_conn *conn)
{
    return !sqlite3_get_autocommit(lido_conn_sqlite(conn));
}

/* Tells the worker to begin, and returns when it waits for the transaction. */
static void let_wait(struct worker *worker)
{
    int reads = fake_clock_reads();

    worker_ask(worker, worker_begin);
    while (fake_clock_reads() < reads + 2)
        sched_yield();
}

Test(pool_static_txn, what_sql_text_began_is_ended_by_whoever_ends_it)
{
    lido_pool *pool = open_static();
    struct lido_conn one = handy_take(pool), two = handy_take(pool);
    int outcome;

    execute(&one, "BEGIN");
    cr_expect_eq(lido_txn_begin(&two, LIDO_DEFERRED, &handy_err), LIDO_IN_TXN);
    cr_expect_eq(lido_txn_commit(&two, &outcome, &handy_err), LIDO_OK, "%s",
                 handy_err.text);
    cr_expect_eq(outcome, LIDO_OUTCOME_COMMITTED);
    cr_expect(!is_in_txn(&one));

    execute(&one, "BEGIN");
    cr_expect_eq(lido_txn_rollback(&one, &handy_err), LIDO_OK, "%s", handy_err.text);
    cr_expect(!is_in_txn(&one));
    cr_expect_eq(lido_txn_commit(&one, &outcome, &handy_err), LIDO_NO_TXN);
    cr_expect_eq(lido_txn_begin(&two, LIDO_DEFERRED, &handy_err), LIDO_OK, "%s",
                 handy_err.text); /* neither left a holder behind */
    handy_give(&one);
    handy_give(&two);
    lido_pool_free(pool);
}

Test(pool_static_txn, what_sql_text_ended_is_not_waited_for)
{
    lido_pool *pool = open_static();
    struct lido_conn one = handy_take(pool), two = handy_take(pool);
    int outcome;

    cr_assert_eq(lido_txn_begin(&one, LIDO_IMMEDIATE, &handy_err), LIDO_OK);
    execute(&one, "COMMIT");
    cr_expect_eq(lido_txn_begin(&two, LIDO_IMMEDIATE, &handy_err), LIDO_OK, "%s",
                 handy_err.text);
    /* It is the other's now. */
    cr_expect_eq(lido_txn_commit(&one, &outcome, &handy_err), LIDO_TXN_OVER);
    cr_expect(is_in_txn(&two));
    cr_expect_eq(lido_txn_commit(&two, &outcome, &handy_err), LIDO_OK);
    handy_give(&one);
    handy_give(&two);
    lido_pool_free(pool);
}

Test(pool_static_txn, who_waits_for_what_sql_text_ends_meanwhile_gets_it_at_its_deadline)
{
    struct worker worker;
    lido_pool *pool = open_static();
    struct lido_conn conn = handy_take(pool);

    cr_assert_eq(lido_txn_begin(&conn, LIDO_IMMEDIATE, &handy_err), LIDO_OK);
    worker_start(&worker, pool);
    worker_tell(&worker, worker_take);
    let_wait(&worker);
    execute(&conn, "COMMIT");
    fake_clock_advance_ms(1000);
    worker_await(&worker);
    cr_expect_eq(worker.rc, LIDO_OK, "%s", worker.err.text);
    cr_expect(is_in_txn(&conn));
    worker_tell(&worker, worker_give);
    worker_end(&worker);
    cr_expect(!is_in_txn(&conn));
    handy_give(&conn);
    lido_pool_free(pool);
}

Test(pool_static_txn, a_lease_that_ends_while_it_waits_begins_nothing)
{
    struct worker worker;
    lido_pool *pool = open_static();
    struct lido_conn conn = handy_take(pool), copy;

    cr_assert_eq(lido_txn_begin(&conn, LIDO_IMMEDIATE, &handy_err), LIDO_OK);
    worker_start(&worker, pool);
    worker_tell(&worker, worker_take);
    copy = worker.conn;
    let_wait(&worker);
    handy_give(&copy);
    cr_expect_eq(lido_txn_commit(&conn, NULL, &handy_err), LIDO_OK);
    worker_await(&worker);
    cr_expect_eq(worker.rc, LIDO_STALE, "%s", worker.err.text);
    cr_expect_eq(lido_txn_begin(&conn, LIDO_IMMEDIATE, &handy_err), LIDO_OK, "%s",
                 handy_err.text);
    worker_end(&worker);
    handy_give(&conn);
    lido_pool_free(pool);
}

static bool is_armed;

static int begin_and_refuse(void *ctx, const struct lido_event *event,
                            struct lido_error *err)
{
    (void)ctx;
    if (!is_armed)
        return LIDO_OK;
    is_armed = false;
    cr_assert_eq(lido_txn_begin(event->conn, LIDO_IMMEDIATE, NULL), LIDO_OK);
    return lido_fail(err, SQLITE_AUTH, "refused");
}

Test(pool_static_txn, what_a_refusing_checkout_hook_began_is_rolled_back)
{
    static const struct lido_events hooks = { .size = sizeof hooks,
                                              .checkout = begin_and_refuse };
    lido_pool *pool = open_static();
    struct lido_conn one = handy_take(pool), two;

    cr_assert_eq(lido_hooks_add(lido_pool_hooks(pool), NULL, &hooks, NULL, NULL, NULL),
                 LIDO_OK);
    is_armed = true;
    cr_expect_eq(lido_pool_checkout(pool, &two, NULL, &handy_err), SQLITE_AUTH);
    cr_expect(!is_in_txn(&one));
    cr_expect_eq(lido_txn_begin(&one, LIDO_IMMEDIATE, &handy_err), LIDO_OK, "%s",
                 handy_err.text);
    handy_give(&one);
    lido_pool_free(pool);
}

static struct lido_conn other;

static int give_other_and_close(void *ctx, const struct lido_event *event,
                                struct lido_error *err)
{
    (void)ctx;
    if (other.cell == NULL)
        return LIDO_OK;
    handy_give(&other);
    return lido_record_close(event->record, err);
}

Test(pool_static_txn, a_reset_hook_that_closes_the_connection_leaves_nothing_to_roll_back)
{
    static const struct lido_events hooks = { .size = sizeof hooks,
                                              .reset = give_other_and_close };
    struct lido_pool_options options = handy_options("static");
    lido_pool *pool = handy_open(&options);
    struct lido_conn conn = handy_take(pool);

    cr_assert_eq(lido_hooks_add(lido_pool_hooks(pool), NULL, &hooks, NULL, NULL, NULL),
                 LIDO_OK);
    other = handy_take(pool);
    cr_assert_eq(lido_txn_begin(&conn, LIDO_IMMEDIATE, &handy_err), LIDO_OK);
    (void)fake_driver_calls();
    handy_give(&conn);
    cr_expect_null(strstr(fake_driver_calls(), "reset 1, close 1, reset"));
    cr_expect_eq(fake_driver_open_count(), 0);
    handy_end(pool);
}

static int refuse(void *ctx, const struct lido_event *event, struct lido_error *err)
{
    (void)ctx, (void)event;
    return lido_fail(err, SQLITE_AUTH, "refused");
}

Test(pool_static_txn, what_a_reset_hook_refuses_of_a_memory_database_is_rolled_back)
{
    static const struct lido_events hooks = { .size = sizeof hooks, .reset = refuse };
    lido_pool *pool = open_static();
    struct lido_conn conn = handy_take(pool);

    cr_assert_eq(lido_hooks_add(lido_pool_hooks(pool), NULL, &hooks, NULL, NULL, NULL),
                 LIDO_OK);
    execute(&conn, "CREATE TABLE t (x)");
    cr_assert_eq(lido_txn_begin(&conn, LIDO_IMMEDIATE, &handy_err), LIDO_OK);
    handy_give(&conn);
    conn = handy_take(pool);
    execute(&conn, "SELECT * FROM t"); /* it was not closed */
    cr_expect(!is_in_txn(&conn));
    handy_give(&conn);
    lido_pool_free(pool);
}

Test(pool_static_txn, what_a_reset_hook_refuses_of_an_adopted_handle_is_rolled_back)
{
    static const struct lido_events hooks = { .size = sizeof hooks, .reset = refuse };
    lido_pool *pool = open_static();
    struct lido_conn conn;
    sqlite3 *db;

    cr_assert_eq(lido_hooks_add(lido_pool_hooks(pool), NULL, &hooks, NULL, NULL, NULL),
                 LIDO_OK);
    cr_assert_eq(sqlite3_open(":memory:", &db), SQLITE_OK);
    cr_assert_eq(lido_conn_adopt(&conn, pool, db, &handy_err), LIDO_OK);
    cr_assert_eq(lido_txn_begin(&conn, LIDO_IMMEDIATE, &handy_err), LIDO_OK);
    handy_give(&conn);
    cr_expect(sqlite3_get_autocommit(db));
    cr_expect_eq(sqlite3_close(db), SQLITE_OK);
    lido_pool_free(pool);
}

static void worker_insert(struct worker *worker)
{
    worker->rc = lido_conn_exec(&worker->conn, "INSERT INTO t VALUES (1)", &worker->err);
}

Test(pool_static_txn, one_to_read_that_sql_text_ended_leaves_no_other_lease_read_only)
{
    lido_pool *pool = open_static();
    struct lido_conn conn = handy_take(pool);
    struct worker worker;

    execute(&conn, "CREATE TABLE t (x)");
    cr_assert_eq(lido_txn_begin(&conn, LIDO_READ, &handy_err), LIDO_OK);
    execute(&conn, "COMMIT");
    worker_start(&worker, pool);
    worker_tell(&worker, worker_take);
    worker_tell(&worker, worker_insert);
    cr_expect_eq(worker.rc, LIDO_OK, "%s", worker.err.text);
    worker_tell(&worker, worker_give);
    worker_end(&worker);
    handy_give(&conn);
    lido_pool_free(pool);
}

/* --- what a begin hook does by lido ------------------------------------------------------- */

static int ask(void *ctx, const struct lido_event *event, struct lido_error *err)
{
    (void)ctx;
    return lido_conn_exec(event->conn, "SELECT 1", err);
}

static int roll_back(void *ctx, const struct lido_event *event, struct lido_error *err)
{
    (void)ctx;
    return lido_txn_rollback(event->conn, err);
}

Test(pool_static_txn, a_begin_hook_that_uses_the_lease_does_not_give_its_turn_away)
{
    static const struct lido_events hooks[] = {
        { .size = sizeof hooks[0], .begin = ask },
        { .size = sizeof hooks[0], .begin = roll_back },
    };

    for (int i = 0; i < 2; i++) {
        struct lido_pool_options options = handy_options("static");
        struct lido_conn conn;
        struct worker worker;
        lido_pool *pool;

        options.timeout_ms = 0;
        pool = handy_open_url("sqlite://", &options);
        cr_assert_eq(
            lido_hooks_add(lido_pool_hooks(pool), NULL, &hooks[i], NULL, NULL, NULL),
            LIDO_OK);
        conn = handy_take(pool);
        execute(&conn, "CREATE TABLE t (x)");
        cr_assert_eq(lido_txn_begin(&conn, LIDO_DEFERRED, &handy_err), LIDO_OK, "%s",
                     handy_err.text);
        worker_start(&worker, pool);
        worker_tell(&worker, worker_take);
        worker_tell(&worker, worker_insert); /* it would be in this transaction */
        cr_expect_eq(worker.rc, SQLITE_BUSY, "%d: %d", i, worker.rc);
        cr_expect_eq(lido_txn_commit(&conn, NULL, &handy_err), LIDO_OK, "%d: %s", i,
                     handy_err.text);
        worker_tell(&worker, worker_insert);
        cr_expect_eq(worker.rc, LIDO_OK, "%d: %s", i, worker.err.text);
        worker_tell(&worker, worker_give);
        worker_end(&worker);
        handy_give(&conn);
        lido_pool_free(pool);
    }
}

static int refuse_begin(void *ctx, const struct lido_event *event, struct lido_error *error)
{
    (void)ctx, (void)event;
    return lido_fail(error, SQLITE_AUTH, "as planned");
}

Test(pool_static_txn, a_begin_that_fails_keeps_the_turn_of_a_statement_that_runs)
{
    static const struct lido_events events = { .size = sizeof events,
                                               .begin = refuse_begin };
    lido_pool *pool = open_static();
    struct lido_conn first = handy_take(pool), second = handy_take(pool);
    struct lido_stmt stmt;
    lido_hook hook;

    cr_assert_eq(lido_stmt_prepare(&first, &stmt, "VALUES (1), (2)", &handy_err), LIDO_OK);
    cr_assert_eq(lido_stmt_step(&stmt, &handy_err), SQLITE_ROW);
    cr_assert_eq(
        lido_hooks_add(lido_pool_hooks(pool), &hook, &events, NULL, NULL, &handy_err),
        LIDO_OK);
    cr_expect_eq(lido_txn_begin(&first, LIDO_DEFERRED, &handy_err), SQLITE_AUTH);
    cr_assert_eq(lido_hooks_remove(lido_pool_hooks(pool), hook, &handy_err), LIDO_OK);
    cr_expect_eq(lido_txn_begin(&second, LIDO_DEFERRED, &handy_err), LIDO_IN_TXN, "%s",
                 handy_err.text);
    cr_expect_eq(lido_stmt_finalize(&stmt, &handy_err), LIDO_OK);
    cr_expect_eq(lido_txn_begin(&second, LIDO_DEFERRED, &handy_err), LIDO_OK);
    handy_give(&first);
    handy_give(&second);
    lido_pool_free(pool);
}

static int ask_before(void *ctx, const struct lido_event *event, struct lido_error *error)
{
    if (*(int *)ctx == 0 || strcmp(event->sql, "SELECT 'hook'") == 0)
        return LIDO_OK;
    return lido_conn_exec(event->conn, "SELECT 'hook'", error);
}

Test(pool_static_txn,
     a_hook_that_runs_a_statement_leaves_the_turn_to_the_one_it_was_told_of)
{
    static const struct lido_events events = { .size = sizeof events,
                                               .before_execute = ask_before };
    lido_pool *pool = open_static();
    struct lido_conn first = handy_take(pool), second = handy_take(pool);
    struct lido_stmt stmt;
    int asks = 1;

    cr_assert_eq(
        lido_hooks_add(lido_pool_hooks(pool), NULL, &events, &asks, NULL, &handy_err),
        LIDO_OK);
    cr_assert_eq(lido_stmt_prepare(&first, &stmt, "VALUES (1), (2)", &handy_err), LIDO_OK);
    cr_assert_eq(lido_stmt_step(&stmt, &handy_err), SQLITE_ROW);
    cr_expect_eq(lido_txn_begin(&second, LIDO_DEFERRED, &handy_err), LIDO_IN_TXN, "%s",
                 handy_err.text);
    cr_expect_eq(lido_stmt_finalize(&stmt, &handy_err), LIDO_OK);
    handy_give(&first);
    handy_give(&second);
    lido_pool_free(pool);
}
