/* SPDX-License-Identifier: MIT */
/*
 * What is around a statement's run: the transaction, other leases of the same connection, and
 * the hooks.
 */
#include "tests/support/handy.h"
#include "tests/support/worker.h"

#include <criterion/criterion.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

static struct lido_error err;

static lido_pool *open_pool(const char *url)
{
    struct lido_pool_options options = handy_options(NULL);

    options.timeout_ms = options.pool_timeout_ms = 1000;
    return handy_open_url(url, &options);
}

static void execute(const struct lido_conn *conn, const char *sql)
{
    cr_assert_eq(lido_conn_exec(conn, sql, &err), LIDO_OK, "%s: %s", sql, err.text);
}

static int64_t ask(const struct lido_conn *conn, const char *sql)
{
    struct lido_stmt stmt;
    int64_t number;

    cr_assert_eq(lido_stmt_prepare(conn, &stmt, sql, &err), LIDO_OK, "%s", err.text);
    cr_assert_eq(lido_stmt_step(&stmt, &err), SQLITE_ROW, "%s", err.text);
    number = lido_stmt_integer(&stmt, 0);
    cr_assert_eq(lido_stmt_finalize(&stmt, &err), LIDO_OK);
    return number;
}

/* --- the transaction -------------------------------------------------------------------- */

Test(stmt_run, what_sqlite_ended_lets_nothing_run_until_it_is_ended)
{
    lido_pool *pool = open_pool("sqlite://");
    struct lido_conn conn = handy_take(pool);
    int outcome;

    execute(&conn, "CREATE TABLE t (x UNIQUE)");
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(lido_txn_begin(&conn, LIDO_IMMEDIATE, &err), LIDO_OK);
        execute(&conn, "INSERT INTO t VALUES (1)");
        cr_expect_eq(lido_conn_exec(&conn, "INSERT OR ROLLBACK INTO t VALUES (1)", &err),
                     SQLITE_CONSTRAINT_UNIQUE);
        cr_expect_eq(lido_conn_exec(&conn, "INSERT INTO t VALUES (2)", &err),
                     LIDO_TXN_OVER);
        cr_expect_eq(lido_conn_exec(&conn, "COMMIT", &err), LIDO_TXN_OVER);
        if (i == 0)
            cr_expect_eq(lido_txn_rollback(&conn, &err), LIDO_OK);
        else
            cr_expect_eq(lido_txn_commit(&conn, &outcome, &err), LIDO_TXN_OVER);
        cr_expect_eq(ask(&conn, "SELECT count(*) FROM t"), 0);
    }
    handy_give(&conn);
    lido_pool_free(pool);
}

Test(stmt_run, a_transaction_of_sql_text_is_one)
{
    lido_pool *pool = open_pool("sqlite://");
    struct lido_conn conn = handy_take(pool);

    execute(&conn, "CREATE TABLE t (x UNIQUE); BEGIN; INSERT INTO t VALUES (1)");
    cr_expect_eq(lido_txn_begin(&conn, LIDO_DEFERRED, &err), LIDO_IN_TXN);
    cr_expect_eq(lido_conn_exec(&conn, "INSERT OR ROLLBACK INTO t VALUES (1)", &err),
                 SQLITE_CONSTRAINT_UNIQUE);
    cr_expect_eq(lido_conn_exec(&conn, "INSERT INTO t VALUES (2)", &err), LIDO_TXN_OVER);
    cr_expect_eq(lido_txn_rollback(&conn, &err), LIDO_OK);

    execute(&conn, "SAVEPOINT a; INSERT INTO t VALUES (3); RELEASE a");
    execute(&conn, "INSERT INTO t VALUES (4); BEGIN; COMMIT; BEGIN; ROLLBACK");
    cr_expect_eq(ask(&conn, "SELECT sum(x) FROM t"), 7);
    handy_give(&conn);
    lido_pool_free(pool);
}

Test(stmt_run, with_autobegin_a_statement_begins_what_it_needs)
{
    static const struct {
        const char *url, *sql;
        int state;
    } runs[] = {
        { "sqlite://?autobegin=off", "CREATE TABLE u (x)", LIDO_TXN_NONE },
        { "sqlite://?autobegin=write", "SELECT 1", LIDO_TXN_NONE },
        { "sqlite://?autobegin=write", "INSERT INTO t VALUES (1)", LIDO_TXN_WRITE },
        { "sqlite://?autobegin=write", "CREATE TABLE u (x)", LIDO_TXN_WRITE },
        { "sqlite://?autobegin=write", "PRAGMA user_version=3", LIDO_TXN_NONE },
        { "sqlite://?autobegin=write", "VACUUM", LIDO_TXN_NONE },
        { "sqlite://?autobegin=write", "EXPLAIN INSERT INTO t VALUES (1)", LIDO_TXN_NONE },
        { "sqlite://?autobegin=write", "SAVEPOINT a; RELEASE a", LIDO_TXN_NONE },
        { "sqlite://?autobegin=read", "SELECT * FROM t", LIDO_TXN_READ },
        { "sqlite://?autobegin=read&begin=immediate", "SELECT 1", LIDO_TXN_WRITE },
    };

    for (size_t i = 0; i < sizeof runs / sizeof runs[0]; i++) {
        lido_pool *pool = open_pool(runs[i].url);
        struct lido_conn conn = handy_take(pool);

        execute(&conn, "CREATE TABLE t (x)");
        cr_assert_eq(lido_txn_rollback(&conn, NULL), LIDO_OK);
        cr_assert_eq(sqlite3_exec(lido_conn_sqlite(&conn),
                                  "CREATE TABLE IF NOT EXISTS t (x)", NULL, NULL, NULL),
                     SQLITE_OK);
        execute(&conn, runs[i].sql);
        cr_expect_eq(lido_txn_state(&conn), runs[i].state, "%s: %s", runs[i].url,
                     runs[i].sql);
        handy_give(&conn);
        lido_pool_free(pool);
    }
}

Test(stmt_run, with_autobegin_a_pool_commits_what_it_ran)
{
    static const char *const urls[] = { "sqlite://?pool=static&autobegin=write",
                                        "sqlite://?pool=static&autobegin=read" };
    const struct lido_value value = lido_integer(3);

    for (size_t i = 0; i < sizeof urls / sizeof urls[0]; i++) {
        lido_pool *pool = open_pool(urls[i]);
        struct lido_conn conn;

        cr_expect_eq(lido_pool_exec(pool, "CREATE TABLE t (x UNIQUE)", &err), LIDO_OK);
        cr_expect_eq(
            lido_pool_query(pool, "INSERT INTO t VALUES (?)", &value, 1, NULL, NULL, &err),
            LIDO_OK, "%s", err.text);
        cr_expect_eq(lido_pool_exec(
                         pool, "INSERT INTO t VALUES (4); INSERT INTO t VALUES (3)", &err) &
                         0xff,
                     SQLITE_CONSTRAINT);
        conn = handy_take(pool);
        cr_expect_eq(ask(&conn, "SELECT sum(x) FROM t"), 3);
        handy_give(&conn);
        lido_pool_free(pool);
    }
}

Test(stmt_run, with_autobegin_each_commit_is_followed_by_the_next_transaction)
{
    lido_pool *pool = open_pool("sqlite://?autobegin=read&pool=static");
    struct lido_conn conn = handy_take(pool);

    execute(&conn, "CREATE TABLE t (x)");
    cr_assert_eq(lido_txn_commit(&conn, NULL, &err), LIDO_OK, "%s", err.text);
    execute(&conn, "INSERT INTO t VALUES (1)");
    cr_assert_eq(lido_txn_rollback(&conn, &err), LIDO_OK);
    execute(&conn, "INSERT INTO t VALUES (2)");
    handy_give(&conn); /* rolled back, as any */
    conn = handy_take(pool);
    cr_expect_eq(ask(&conn, "SELECT count(*) FROM t"), 0);
    handy_give(&conn);
    lido_pool_free(pool);
}

/* --- how a run ends --------------------------------------------------------------------- */

Test(stmt_run, after_the_last_row_other_values_are_taken_without_a_reset)
{
    lido_pool *pool = open_pool("sqlite://");
    struct lido_conn conn = handy_take(pool);
    struct lido_stmt stmt;

    execute(&conn, "CREATE TABLE t (x)");
    cr_assert_eq(lido_stmt_prepare(&conn, &stmt, "INSERT INTO t VALUES (?)", &err),
                 LIDO_OK);
    for (int i = 1; i <= 3; i++) {
        cr_assert_eq(lido_stmt_bind(&stmt, 1, lido_integer(i), &err), LIDO_OK, "%s",
                     err.text);
        cr_assert_eq(lido_stmt_step(&stmt, &err), SQLITE_DONE, "%s", err.text);
    }
    cr_expect_eq(lido_stmt_finalize(&stmt, &err), LIDO_OK);
    cr_expect_eq(ask(&conn, "SELECT sum(x) FROM t"), 6);
    handy_give(&conn);
    lido_pool_free(pool);
}

static int stop(void *ctx, const struct lido_stmt *row, struct lido_error *error)
{
    (void)ctx, (void)row, (void)error;
    return SQLITE_DONE;
}

/* What is read of a statement that writes is read before it is committed. */
Test(stmt_run, a_commit_that_fails_when_rows_are_left_unread_is_told)
{
    static const char sql[] = "INSERT INTO child VALUES (7), (8) RETURNING parent";
    lido_pool *pool = open_pool("sqlite://?foreign_keys=on");
    struct lido_conn conn = handy_take(pool);
    struct lido_stmt stmt;

    execute(&conn,
            "CREATE TABLE parent (id INTEGER PRIMARY KEY);"
            "CREATE TABLE child (parent REFERENCES parent DEFERRABLE INITIALLY DEFERRED)");
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(lido_stmt_prepare(&conn, &stmt, sql, &err), LIDO_OK, "%s", err.text);
        cr_assert_eq(lido_stmt_step(&stmt, &err), SQLITE_ROW, "%s", err.text);
        cr_expect_eq(i == 0 ? lido_stmt_reset(&stmt, &err)
                            : lido_stmt_finalize(&stmt, &err),
                     SQLITE_CONSTRAINT_FOREIGNKEY);
        cr_expect_not_null(strstr(err.text, "FOREIGN KEY"), "%s", err.text);
        cr_expect_eq(lido_stmt_finalize(&stmt, &err), i == 0 ? LIDO_OK : LIDO_STALE);
    }
    cr_expect_eq(lido_conn_query(&conn, sql, NULL, 0, stop, NULL, &err),
                 SQLITE_CONSTRAINT_FOREIGNKEY);
    cr_expect_eq(ask(&conn, "SELECT count(*) FROM child"), 0);
    handy_give(&conn);
    lido_pool_free(pool);
}

/* As many as move the places of all. */
static void call_others(sqlite3_context *context, int count, sqlite3_value **values)
{
    const struct lido_conn *conn = sqlite3_user_data(context);
    struct lido_stmt all[40];
    int64_t sum = 0;
    char sql[40];

    (void)count, (void)values;
    for (int i = 0; i < 40; i++) {
        snprintf(sql, sizeof sql, "SELECT %d", i);
        if (lido_stmt_prepare(conn, &all[i], sql, NULL) == LIDO_OK &&
            lido_stmt_step(&all[i], NULL) == SQLITE_ROW)
            sum += lido_stmt_integer(&all[i], 0);
    }
    for (int i = 0; i < 40; i++)
        lido_stmt_finalize(&all[i], NULL);
    sqlite3_result_int64(context, sum);
}

Test(stmt_run, a_function_may_run_others_on_the_same_lease)
{
    lido_pool *pool = open_pool("sqlite://");
    struct lido_conn conn = handy_take(pool);

    cr_assert_eq(sqlite3_create_function(lido_conn_sqlite(&conn), "others", 0, SQLITE_UTF8,
                                         &conn, call_others, NULL, NULL),
                 SQLITE_OK);
    cr_expect_eq(ask(&conn, "SELECT others()"), 780);
    cr_expect_eq(ask(&conn, "SELECT others()"), 780);
    handy_give(&conn);
    lido_pool_free(pool);
}

/* --- other leases of the connection ------------------------------------------------------ */

static int64_t seen;

static void count_rows(struct worker *worker)
{
    struct lido_stmt stmt;

    worker->rc =
        lido_stmt_prepare(&worker->conn, &stmt, "SELECT count(*) FROM t", &worker->err);
    if (worker->rc != LIDO_OK)
        return;
    worker->rc = lido_stmt_step(&stmt, &worker->err);
    seen = lido_stmt_integer(&stmt, 0);
    if (worker->rc == SQLITE_ROW)
        worker->rc = lido_stmt_finalize(&stmt, &worker->err);
}

static void let_wait(struct worker *worker, void (*task)(struct worker *worker))
{
    int reads = fake_clock_reads();

    worker_ask(worker, task);
    while (fake_clock_reads() < reads + 2)
        sched_yield();
}

Test(stmt_run, no_lease_reads_what_another_has_not_committed)
{
    lido_pool *pool = open_pool("sqlite://?pool=static");
    struct lido_conn conn = handy_take(pool);
    struct worker worker;

    execute(&conn, "CREATE TABLE t (x)");
    worker_start(&worker, pool);
    worker_tell(&worker, worker_take);
    cr_assert_eq(lido_txn_begin(&conn, LIDO_IMMEDIATE, &err), LIDO_OK);
    execute(&conn, "INSERT INTO t VALUES (1)");
    let_wait(&worker, count_rows);
    cr_assert_eq(lido_txn_rollback(&conn, &err), LIDO_OK);
    worker_await(&worker);
    cr_expect_eq(worker.rc, LIDO_OK, "%s", worker.err.text);
    cr_expect_eq(seen, 0);

    cr_assert_eq(lido_txn_begin(&conn, LIDO_IMMEDIATE, &err), LIDO_OK);
    let_wait(&worker, count_rows);
    fake_clock_advance_ms(1000);
    worker_await(&worker);
    cr_expect_eq(worker.rc, SQLITE_BUSY, "%s", worker.err.text);
    cr_assert_eq(lido_txn_commit(&conn, NULL, &err), LIDO_OK);
    worker_end(&worker);
    handy_give(&conn);
    lido_pool_free(pool);
}

Test(stmt_run, a_transaction_waits_for_the_rows_of_another_lease)
{
    lido_pool *pool = open_pool("sqlite://?pool=static");
    struct lido_conn conn = handy_take(pool);
    struct worker worker;
    struct lido_stmt stmt, second;

    execute(&conn, "CREATE TABLE t (x); INSERT INTO t VALUES (1), (2)");
    cr_assert_eq(lido_stmt_prepare(&conn, &stmt, "SELECT x FROM t", &err), LIDO_OK);
    cr_assert_eq(lido_stmt_prepare(&conn, &second, "SELECT x FROM t", &err), LIDO_OK);
    cr_assert_eq(lido_stmt_step(&stmt, &err), SQLITE_ROW);
    cr_assert_eq(lido_stmt_step(&second, &err), SQLITE_ROW);
    worker_start(&worker, pool);
    worker_tell(&worker, worker_take);
    let_wait(&worker, worker_begin);
    cr_assert_eq(lido_stmt_reset(&stmt, &err), LIDO_OK);
    cr_expect_eq(lido_txn_state(&conn), LIDO_TXN_READ); /* the second is still running */
    cr_assert_eq(lido_stmt_finalize(&second, &err), LIDO_OK);
    worker_await(&worker);
    cr_expect_eq(worker.rc, LIDO_OK, "%s", worker.err.text);
    worker_tell(&worker, worker_commit);
    cr_expect_eq(lido_stmt_finalize(&stmt, &err), LIDO_OK);
    worker_end(&worker);
    handy_give(&conn);
    lido_pool_free(pool);
}

Test(stmt_run, a_lease_that_ends_leaves_the_statements_of_others)
{
    lido_pool *pool = open_pool("sqlite://?pool=static");
    struct lido_conn one = handy_take(pool), two = handy_take(pool);
    struct lido_stmt stmt, other;

    cr_assert_eq(lido_stmt_prepare(&one, &stmt, "SELECT 1", &err), LIDO_OK);
    cr_assert_eq(lido_stmt_prepare(&two, &other, "SELECT 1", &err), LIDO_OK);
    handy_give(&one);
    cr_expect_eq(lido_stmt_step(&stmt, &err), LIDO_STALE);
    cr_expect_eq(lido_stmt_step(&other, &err), SQLITE_ROW);
    handy_give(&two);
    cr_expect_eq(lido_stmt_step(&other, &err), LIDO_STALE);
    lido_pool_free(pool);
}

/* --- hooks ------------------------------------------------------------------------------ */

static char story[300];
static const char *refusing;
static int answer, disconnect;
static const char *other_text;

static int tell(const char *what, const struct lido_event *event, struct lido_error *error)
{
    size_t used = strlen(story);

    snprintf(story + used, sizeof story - used, "%s%s(%s%s%s)", used > 0 ? " " : "", what,
             event->sql, event->error != NULL ? ": " : "",
             event->error != NULL ? lido_status_name(event->error->code) : "");
    if (refusing == NULL || strcmp(refusing, what) != 0)
        return LIDO_OK;
    return lido_fail(error, answer, "as planned");
}

static int on_before(void *ctx, const struct lido_event *event, struct lido_error *error)
{
    (void)ctx;
    fake_clock_advance_ms(1); /* which is not counted */
    return tell("before", event, error);
}

static int on_after(void *ctx, const struct lido_event *event, struct lido_error *error)
{
    *(int64_t *)ctx = event->duration_ns;
    return tell("after", event, error);
}

static int on_error(void *ctx, const struct lido_event *event, struct lido_error *error)
{
    (void)ctx;
    *event->is_disconnect = disconnect;
    if (other_text != NULL)
        lido_fail(event->error, SQLITE_PERM, "%s", other_text);
    return tell("error", event, error);
}

static int64_t duration_ns;

static lido_pool *open_told(const char *url)
{
    static const struct lido_events events = { .size = sizeof events,
                                               .before_execute = on_before,
                                               .after_execute = on_after,
                                               .handle_error = on_error };
    lido_pool *pool = open_pool(url);

    cr_assert_eq(
        lido_hooks_add(lido_pool_hooks(pool), NULL, &events, &duration_ns, NULL, NULL),
        LIDO_OK);
    return pool;
}

static void expect_story(const char *wanted)
{
    cr_expect_str_eq(story, wanted);
    story[0] = '\0';
}

Test(stmt_run, hooks_stand_around_each_run)
{
    lido_pool *pool = open_told("sqlite://");
    struct lido_conn conn = handy_take(pool);
    struct lido_stmt stmt;

    execute(&conn, "SELECT 1;\n SELECT 2");
    expect_story("before(SELECT 1;) after(SELECT 1;) before(SELECT 2) after(SELECT 2)");

    cr_assert_eq(lido_stmt_prepare(&conn, &stmt, "SELECT 3", &err), LIDO_OK);
    expect_story("");
    cr_assert_eq(lido_stmt_step(&stmt, &err), SQLITE_ROW);
    expect_story("before(SELECT 3)");
    fake_clock_advance_ms(7);
    cr_assert_eq(lido_stmt_reset(&stmt, &err), LIDO_OK);
    expect_story("after(SELECT 3)");
    cr_expect_eq(duration_ns, 7000000);
    cr_assert_eq(lido_stmt_reset(&stmt, &err), LIDO_OK);
    cr_assert_eq(lido_stmt_finalize(&stmt, &err), LIDO_OK);
    expect_story("");
    handy_give(&conn);
    lido_pool_free(pool);
}

Test(stmt_run, a_before_hook_that_refuses_stops_the_statement)
{
    lido_pool *pool = open_told("sqlite://?pool=static");
    struct lido_conn conn = handy_take(pool), other = handy_take(pool);

    refusing = "before";
    answer = SQLITE_AUTH;
    cr_expect_eq(lido_conn_exec(&conn, "CREATE TABLE t (x)", &err), SQLITE_AUTH);
    cr_expect_str_eq(err.text, "as planned");
    refusing = NULL;
    cr_expect_eq(ask(&other, "SELECT count(*) FROM sqlite_master"), 0);
    handy_give(&conn);
    handy_give(&other);
    lido_pool_free(pool);
}

Test(stmt_run, an_after_hook_cannot_undo_but_is_heard)
{
    lido_pool *pool = open_told("sqlite://");
    struct lido_conn conn = handy_take(pool);

    refusing = "after";
    answer = SQLITE_AUTH;
    cr_expect_eq(lido_conn_exec(&conn, "CREATE TABLE t (x)", &err), SQLITE_AUTH);
    cr_expect_eq(lido_conn_exec(&conn, "CREATE TABLE t (x)", &err), SQLITE_ERROR);
    cr_expect_eq(lido_conn_exec(&conn, "INSERT INTO t VALUES ('a', 2)", &err),
                 SQLITE_ERROR);
    refusing = NULL;
    cr_expect_eq(ask(&conn, "SELECT count(*) FROM t"), 0);
    handy_give(&conn);
    lido_pool_free(pool);
}

Test(stmt_run, an_error_is_told_and_may_be_replaced)
{
    lido_pool *pool = open_told("sqlite://");
    struct lido_conn conn = handy_take(pool);

    execute(&conn, "CREATE TABLE t (x UNIQUE); INSERT INTO t VALUES (1)");
    story[0] = '\0';
    cr_expect_eq(lido_conn_exec(&conn, "INSERT INTO t VALUES (1)", &err),
                 SQLITE_CONSTRAINT_UNIQUE);
    expect_story("before(INSERT INTO t VALUES (1)) "
                 "error(INSERT INTO t VALUES (1): SQLITE_CONSTRAINT) "
                 "after(INSERT INTO t VALUES (1): SQLITE_CONSTRAINT)");
    cr_expect_not_null(strstr(err.text, "UNIQUE constraint failed: t.x"), "%s", err.text);

    other_text = "in other words";
    cr_expect_eq(lido_conn_exec(&conn, "INSERT INTO t VALUES (1)", &err), SQLITE_PERM);
    cr_expect_str_eq(err.text, "in other words");
    other_text = NULL;
    refusing = "error";
    answer = SQLITE_IOERR;
    cr_expect_eq(lido_conn_exec(&conn, "INSERT INTO t VALUES (1)", &err), SQLITE_IOERR);
    cr_expect_str_eq(err.text, "as planned");
    handy_give(&conn);
    lido_pool_free(pool);
}

Test(stmt_run, an_error_that_is_a_disconnect_replaces_the_pool_s_connections)
{
    lido_pool *pool = open_told("sqlite://?pool=static");
    struct lido_conn conn = handy_take(pool);

    disconnect = 1;
    execute(&conn, "CREATE TABLE t (x)");
    cr_expect_eq(lido_conn_exec(&conn, "INSERT INTO t VALUES (1, 2)", &err), SQLITE_ERROR);
    cr_expect_eq(lido_conn_exec(&conn, "SELECT 1", &err),
                 LIDO_OK); /* it is not closed now */
    handy_give(&conn);
    conn = handy_take(pool);
    cr_expect_eq(ask(&conn, "SELECT count(*) FROM sqlite_master"), 0); /* another one */
    handy_give(&conn);
    cr_expect_gt(lido_pool_invalidated_ns(pool), 0);
    lido_pool_free(pool);
}

static int end_the_lease(void *ctx, const struct lido_event *event,
                         struct lido_error *error)
{
    struct lido_conn copy = *event->conn;

    (void)ctx, (void)error;
    handy_give(&copy);
    return LIDO_OK;
}

Test(stmt_run, a_hook_that_ends_the_lease_ends_the_statement)
{
    static const struct lido_events hooks[] = {
        { .size = sizeof hooks[0], .before_execute = end_the_lease },
        { .size = sizeof hooks[0], .after_execute = end_the_lease },
        { .size = sizeof hooks[0], .handle_error = end_the_lease },
    };
    static const int wanted[] = { LIDO_STALE, LIDO_STALE, SQLITE_ERROR };

    for (int i = 0; i < 3; i++) {
        lido_pool *pool = open_pool("sqlite://");
        struct lido_conn conn = handy_take(pool);
        lido_hook hook;

        execute(&conn, "CREATE TABLE t (x)");
        cr_assert_eq(
            lido_hooks_add(lido_pool_hooks(pool), &hook, &hooks[i], NULL, NULL, NULL),
            LIDO_OK);
        cr_expect_eq(lido_conn_exec(&conn,
                                    i == 2 ? "INSERT INTO t SELECT json('no')" : "SELECT 1",
                                    &err),
                     wanted[i], "%d: %s", i, err.text);
        cr_expect_eq(lido_conn_checkin(&conn, NULL, &err), LIDO_STALE);
        cr_expect_eq(handy_stats(pool).out, 0);
        lido_pool_free(pool);
    }
}
