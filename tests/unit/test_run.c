/* SPDX-License-Identifier: MIT */
/*
 * The runner: what is run again and what never is, and what is left behind.
 */
#include "tests/support/handy.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char folder[] = "/tmp/lido-run-XXXXXX";
static char file_url[120];
static struct lido_error err;
static lido_pool *pool;
static int outcome, runs;

static void set_up(void)
{
    cr_assert_not_null(mkdtemp(folder));
    snprintf(file_url, sizeof file_url, "sqlite:///%s/a.db?pool=queue&timeout=0", folder);
}

static void tear_down(void)
{
    static const char *const names[] = { "a.db", "a.db-journal", "a.db-wal", "a.db-shm" };
    char path[100];

    lido_pool_free(pool);
    for (int i = 0; i < 4; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        unlink(path);
    }
    rmdir(folder);
}

TestSuite(run, .init = set_up, .fini = tear_down, .timeout = 60);

static void open_pool(const char *url)
{
    cr_assert_eq(lido_pool_open(&pool, url, NULL, &err), LIDO_OK, "%s", err.text);
    cr_assert_eq(lido_pool_exec(pool, "CREATE TABLE IF NOT EXISTS t (x UNIQUE)", &err),
                 LIDO_OK, "%s", err.text);
}

static int keep_number(void *ctx, const struct lido_stmt *row, struct lido_error *error)
{
    (void)error;
    *(int64_t *)ctx = lido_stmt_integer(row, 0);
    return LIDO_OK;
}

static int64_t ask(const char *sql)
{
    int64_t number = -1;

    cr_assert_eq(lido_pool_query(pool, sql, NULL, 0, keep_number, &number, &err), LIDO_OK,
                 "%s", err.text);
    return number;
}

static int run(int mode, lido_run_fn fn, void *ctx)
{
    struct lido_run_options options = LIDO_RUN_OPTIONS_INIT;

    outcome = runs = -1;
    options.outcome = &outcome;
    options.runs_needed = &runs;
    options.timeout_ms = 10000;
    return lido_pool_run(pool, mode, fn, ctx, &options, &err);
}

/* What a function answers after it has written. */
static int write_and(void *ctx, const struct lido_conn *conn, struct lido_error *error)
{
    int answer = *(int *)ctx, rc = lido_conn_exec(conn, "INSERT INTO t VALUES (1)", error);

    if (rc != LIDO_OK || answer == LIDO_OK)
        return rc;
    return lido_fail(error, answer, "the function says so");
}

Test(run, a_function_that_succeeds_is_committed)
{
    static const int modes[] = { LIDO_BEGIN_DEFAULT, LIDO_DEFERRED, LIDO_IMMEDIATE,
                                 LIDO_EXCLUSIVE };
    int answer = LIDO_OK;

    open_pool("sqlite://?pool=static");
    for (int i = 0; i < 4; i++) {
        cr_expect_eq(run(modes[i], write_and, &answer), LIDO_OK, "%s", err.text);
        cr_expect_eq(outcome, LIDO_OUTCOME_COMMITTED);
        cr_expect_eq(runs, 1);
        cr_expect_eq(ask("SELECT count(*) FROM t"), 1);
        cr_assert_eq(lido_pool_exec(pool, "DELETE FROM t", &err), LIDO_OK);
    }
    cr_expect_eq(lido_pool_run(pool, LIDO_DEFERRED, write_and, &answer, NULL, NULL),
                 LIDO_OK);
}

Test(run, a_function_that_fails_is_rolled_back_and_not_repeated)
{
    static const int answers[] = { SQLITE_AUTH, SQLITE_BUSY, SQLITE_BUSY_SNAPSHOT,
                                   SQLITE_SCHEMA };

    open_pool("sqlite://?pool=static");
    for (int i = 0; i < 4; i++) {
        int answer = answers[i];

        cr_expect_eq(run(LIDO_IMMEDIATE, write_and, &answer), answer);
        cr_expect_str_eq(err.text, "the function says so");
        cr_expect_eq(outcome, LIDO_OUTCOME_ROLLED_BACK);
        cr_expect_eq(runs, 1, "SQLite never said %d", answer);
        cr_expect_eq(ask("SELECT count(*) FROM t"), 0);
    }
}

Test(run, a_function_may_ask_for_a_rollback)
{
    int answer = LIDO_ROLLBACK;

    open_pool("sqlite://?pool=static");
    cr_expect_eq(run(LIDO_IMMEDIATE, write_and, &answer), LIDO_OK);
    cr_expect_eq(outcome, LIDO_OUTCOME_ROLLED_BACK);
    cr_expect_eq(ask("SELECT count(*) FROM t"), 0);
}

/* --- conflicts -------------------------------------------------------------------------- */

/* Reads, lets another connection write, and writes. */
struct conflict {
    bool is_raw;   /* on the raw handle */
    int times;     /* how often the other one writes */
    int states[4]; /* of the transaction when each run begins */
    int calls;
    int answer; /* 0: what SQLite said */
};

static int read_and_write(void *ctx, const struct lido_conn *conn, struct lido_error *error)
{
    struct conflict *conflict = ctx;
    char sql[60];
    int rc;

    conflict->states[conflict->calls++ & 3] = lido_txn_state(conn);
    rc = conflict->is_raw
             ? sqlite3_exec(lido_conn_sqlite(conn), "SELECT * FROM t", NULL, NULL, NULL)
             : lido_conn_exec(conn, "SELECT * FROM t", error);
    if (rc != LIDO_OK)
        return rc;
    if (conflict->times > 0 && lido_txn_state(conn) != LIDO_TXN_WRITE) {
        conflict->times--;
        snprintf(sql, sizeof sql, "INSERT INTO t VALUES (%d)", 100 + conflict->calls);
        cr_assert_eq(lido_pool_exec(pool, sql, &err), LIDO_OK, "%s", err.text);
    }
    rc = conflict->is_raw ? sqlite3_exec(lido_conn_sqlite(conn), "INSERT INTO t VALUES (1)",
                                         NULL, NULL, NULL)
                          : lido_conn_exec(conn, "INSERT INTO t VALUES (1)", error);
    return rc != LIDO_OK && conflict->answer != 0 ? conflict->answer : rc;
}

static void set_wal(void)
{
    strcat(file_url, "&journal_mode=wal");
    open_pool(file_url);
}

Test(run, a_read_that_wants_to_write_runs_again_as_immediate)
{
    set_wal();
    for (int is_raw = 0; is_raw < 2; is_raw++) {
        struct conflict conflict = { .is_raw = is_raw, .times = 1 };

        cr_expect_eq(run(LIDO_DEFERRED, read_and_write, &conflict), LIDO_OK, "%s",
                     err.text);
        cr_expect_eq(runs, 2);
        cr_expect_eq(conflict.states[0], LIDO_TXN_OPEN);
        cr_expect_eq(conflict.states[1], LIDO_TXN_WRITE);
        cr_expect_eq(ask("SELECT count(*) FROM t"), 2);
        cr_assert_eq(lido_pool_exec(pool, "DELETE FROM t", &err), LIDO_OK);
    }
}

Test(run, what_counts_is_what_sqlite_said_not_what_the_function_makes_of_it)
{
    struct conflict conflict = { .times = 1, .answer = SQLITE_AUTH };

    set_wal();
    cr_expect_eq(run(LIDO_DEFERRED, read_and_write, &conflict), LIDO_OK, "%s", err.text);
    cr_expect_eq(runs, 2);
}

Test(run, a_limit_of_runs_ends_it_with_what_sqlite_said)
{
    struct lido_run_options options = LIDO_RUN_OPTIONS_INIT;
    struct conflict conflict = { .times = 9 };

    set_wal();
    options.runs = 1;
    cr_expect_eq(
        lido_pool_run(pool, LIDO_DEFERRED, read_and_write, &conflict, &options, &err),
        SQLITE_BUSY_SNAPSHOT);
    cr_expect_eq(conflict.calls, 1);
    options.runs = 100;
    options.timeout_ms = 0;
    cr_expect_eq(
        lido_pool_run(pool, LIDO_DEFERRED, read_and_write, &conflict, &options, &err),
        SQLITE_BUSY_SNAPSHOT);
    cr_expect_eq(conflict.calls, 2);
    cr_expect_eq(ask("SELECT count(*) FROM t WHERE x = 1"), 0);
}

static int never(void *ctx, const struct lido_conn *conn, struct lido_error *error)
{
    (void)ctx, (void)conn, (void)error;
    cr_assert_fail("it was called");
    return LIDO_OK;
}

Test(run, a_lock_that_does_not_come_free_is_waited_for_until_the_deadline)
{
    struct lido_run_options options = LIDO_RUN_OPTIONS_INIT;
    struct lido_conn conn;

    strcat(file_url, "&gate=0");
    open_pool(file_url);
    conn = handy_take(pool);
    cr_assert_eq(lido_txn_begin(&conn, LIDO_IMMEDIATE, &err), LIDO_OK);
    options.timeout_ms = 20;
    options.runs_needed = &runs, options.outcome = &outcome;
    cr_expect_eq(lido_pool_run(pool, LIDO_IMMEDIATE, never, NULL, &options, &err),
                 SQLITE_BUSY);
    cr_expect_eq(runs, 0);
    cr_expect_eq(outcome, LIDO_OUTCOME_ROLLED_BACK);
    handy_give(&conn);
}

/* The second commit hook ends the read that the COMMIT waits for. */
static struct lido_stmt reading;
static int commits;

static int end_the_read(void *ctx, const struct lido_event *event, struct lido_error *error)
{
    (void)ctx, (void)event, (void)error;
    if (++commits == 3)
        cr_assert_eq(lido_stmt_reset(&reading, NULL), LIDO_OK);
    return LIDO_OK;
}

Test(run, a_commit_that_is_busy_is_tried_again_by_itself)
{
    static const struct lido_events hooks = { .size = sizeof hooks,
                                              .commit = end_the_read };
    int answer = LIDO_OK;
    struct lido_conn conn;

    open_pool(file_url);
    cr_assert_eq(lido_pool_exec(pool, "INSERT INTO t VALUES (5)", &err), LIDO_OK);
    cr_assert_eq(lido_hooks_add(lido_pool_hooks(pool), NULL, &hooks, NULL, NULL, NULL),
                 LIDO_OK);
    conn = handy_take(pool);
    cr_assert_eq(lido_stmt_prepare(&conn, &reading, "SELECT * FROM t", &err), LIDO_OK);
    cr_assert_eq(lido_stmt_step(&reading, &err), SQLITE_ROW);
    cr_expect_eq(run(LIDO_IMMEDIATE, write_and, &answer), LIDO_OK, "%s", err.text);
    cr_expect_eq(commits, 3);
    cr_expect_eq(runs, 1);
    cr_expect_eq(outcome, LIDO_OUTCOME_COMMITTED);
    handy_give(&conn);
}

Test(run, a_commit_that_stays_busy_is_rolled_back_at_the_deadline)
{
    struct lido_run_options options = LIDO_RUN_OPTIONS_INIT;
    int answer = LIDO_OK;
    struct lido_conn conn;

    open_pool(file_url);
    cr_assert_eq(lido_pool_exec(pool, "INSERT INTO t VALUES (5)", &err), LIDO_OK);
    conn = handy_take(pool);
    cr_assert_eq(lido_stmt_prepare(&conn, &reading, "SELECT * FROM t", &err), LIDO_OK);
    cr_assert_eq(lido_stmt_step(&reading, &err), SQLITE_ROW);
    options.timeout_ms = 20;
    options.outcome = &outcome;
    cr_expect_eq(lido_pool_run(pool, LIDO_IMMEDIATE, write_and, &answer, &options, &err),
                 SQLITE_BUSY);
    cr_expect_eq(outcome, LIDO_OUTCOME_ROLLED_BACK);
    handy_give(&conn);
    cr_expect_eq(ask("SELECT count(*) FROM t"), 1);
}

/* --- runs in runs ----------------------------------------------------------------------- */

struct nest {
    int inner; /* what the inner function answers */
    int seen;  /* what the inner run answered */
    int outcome;
};

static int insert_two(void *ctx, const struct lido_conn *conn, struct lido_error *error)
{
    const struct nest *nest = ctx;
    int rc = lido_conn_exec(conn, "INSERT INTO t VALUES (2)", error);

    return rc != LIDO_OK || nest->inner == LIDO_OK
               ? rc
               : lido_fail(error, nest->inner, "the inner one says so");
}

static int insert_around(void *ctx, const struct lido_conn *conn, struct lido_error *error)
{
    struct lido_run_options options = LIDO_RUN_OPTIONS_INIT;
    struct nest *nest = ctx;
    int rc = lido_conn_exec(conn, "INSERT INTO t VALUES (1)", error);

    if (rc != LIDO_OK)
        return rc;
    options.outcome = &nest->outcome;
    nest->seen = lido_conn_run(conn, LIDO_EXCLUSIVE, insert_two, nest, &options, &err);
    return lido_conn_exec(conn, "INSERT INTO t VALUES (4)", error);
}

Test(run, a_run_inside_a_run_is_a_savepoint)
{
    static const struct {
        int inner, seen, outcome, sum;
    } cases[] = {
        { LIDO_OK, LIDO_OK, LIDO_OUTCOME_OPEN, 7 },
        { LIDO_ROLLBACK, LIDO_OK, LIDO_OUTCOME_ROLLED_BACK, 5 },
        { SQLITE_AUTH, SQLITE_AUTH, LIDO_OUTCOME_OPEN, 5 },
    };

    open_pool("sqlite://?pool=static");
    for (int i = 0; i < 3; i++) {
        struct nest nest = { .inner = cases[i].inner };

        cr_expect_eq(run(LIDO_IMMEDIATE, insert_around, &nest), LIDO_OK, "%s", err.text);
        cr_expect_eq(nest.seen, cases[i].seen);
        cr_expect_eq(nest.outcome, cases[i].outcome, "%d", i);
        cr_expect_eq(ask("SELECT sum(x) FROM t"), cases[i].sum);
        cr_assert_eq(lido_pool_exec(pool, "DELETE FROM t", &err), LIDO_OK);
    }
}

Test(run, a_lease_runs_without_being_checked_in)
{
    struct lido_conn conn;
    int answer = LIDO_OK;

    open_pool("sqlite://?pool=static");
    conn = handy_take(pool);
    cr_expect_eq(lido_conn_run(&conn, LIDO_IMMEDIATE, write_and, &answer, NULL, &err),
                 LIDO_OK);
    cr_expect_eq(lido_txn_state(&conn), LIDO_TXN_NONE);
    handy_give(&conn);
    cr_expect_eq(lido_conn_run(&conn, LIDO_IMMEDIATE, never, NULL, NULL, &err), LIDO_STALE);
}

/* --- functions that go too far ------------------------------------------------------------ */

static int commit_by_itself(void *ctx, const struct lido_conn *conn,
                            struct lido_error *error)
{
    (void)ctx;
    return lido_txn_commit(conn, NULL, error);
}

static int swallow(void *ctx, const struct lido_conn *conn, struct lido_error *error)
{
    (void)ctx, (void)error;
    cr_assert_eq(lido_conn_exec(conn, "INSERT INTO t VALUES (1)", NULL), LIDO_OK);
    cr_assert_eq(lido_conn_exec(conn, "INSERT OR ROLLBACK INTO t VALUES (1)", NULL),
                 SQLITE_CONSTRAINT_UNIQUE);
    return LIDO_OK;
}

static int end_the_lease(void *ctx, const struct lido_conn *conn, struct lido_error *error)
{
    struct lido_conn copy = *conn;

    (void)ctx, (void)error;
    handy_give(&copy);
    return LIDO_OK;
}

static int close_it(void *ctx, const struct lido_conn *conn, struct lido_error *error)
{
    (void)ctx;
    return lido_record_close(lido_conn_record(conn), error);
}

Test(run, a_function_that_ends_what_is_not_its_own_is_told)
{
    static const struct {
        lido_run_fn fn;
        int wanted, outcome;
    } cases[] = {
        { commit_by_itself, LIDO_NO_TXN, LIDO_OUTCOME_UNKNOWN },
        { swallow, LIDO_TXN_OVER, LIDO_OUTCOME_UNKNOWN },
        { end_the_lease, LIDO_STALE, LIDO_OUTCOME_UNKNOWN },
        { close_it, LIDO_NO_CONNECTION, LIDO_OUTCOME_UNKNOWN },
    };

    open_pool(file_url);
    for (int i = 0; i < 4; i++) {
        cr_expect_eq(run(LIDO_IMMEDIATE, cases[i].fn, NULL), cases[i].wanted, "%d: %s", i,
                     err.text);
        cr_expect_eq(outcome, cases[i].outcome, "%d: %d", i, outcome);
        cr_expect_eq(runs, 1);
        cr_expect_eq(ask("SELECT count(*) FROM t"), 0);
    }
}

/* --- other drivers, and arguments --------------------------------------------------------- */

static int nothing(void *ctx, const struct lido_conn *conn, struct lido_error *error)
{
    (void)ctx, (void)conn, (void)error;
    return LIDO_OK;
}

Test(run, a_driver_of_the_host_s_is_gone_by_its_own_word)
{
    fake_driver_install();
    cr_assert_eq(lido_pool_open(&pool, "fake:///x?pool=queue", NULL, &err), LIDO_OK);
    cr_expect_eq(run(LIDO_DEFERRED, nothing, NULL), LIDO_OK, "%s", err.text);
    cr_expect_str_eq(fake_driver_calls(), "connect 1, begin-deferred 1, commit 1, reset 1");
    fake_driver_fail(1, SQLITE_BUSY); /* BEGIN, and then it works */
    cr_expect_eq(run(LIDO_DEFERRED, nothing, NULL), LIDO_OK, "%s", err.text);
    cr_expect_eq(runs, 1);
    fake_driver_fail(1, SQLITE_IOERR);
    cr_expect_eq(run(LIDO_DEFERRED, nothing, NULL), SQLITE_IOERR);
    cr_expect_eq(runs, 0);
}

/* Fires the token in the middle of the run: what it does then is cancelled. */
static lido_cancel *token;

static int write_and_fire(void *ctx, const struct lido_conn *conn, struct lido_error *error)
{
    int rc = lido_conn_exec(conn, "INSERT INTO t VALUES (1)", error);

    if (rc == LIDO_OK)
        rc = lido_cancel_fire(ctx, error);
    return rc == LIDO_OK ? lido_conn_exec(conn, "INSERT INTO t VALUES (2)", error) : rc;
}

/* The same, and takes it for success: then it is the commit that is refused. */
static int fire_and_succeed(void *ctx, const struct lido_conn *conn,
                            struct lido_error *error)
{
    cr_expect_eq(write_and_fire(ctx, conn, error), LIDO_CANCELLED);
    return LIDO_OK;
}

Test(run, one_that_is_cancelled_is_rolled_back_and_not_repeated)
{
    static const lido_run_fn functions[] = { write_and_fire, fire_and_succeed };
    struct lido_run_options options = LIDO_RUN_OPTIONS_INIT;

    open_pool(file_url);
    cr_assert_eq(lido_cancel_new(&token, &err), LIDO_OK);
    options.cancel = token;
    options.outcome = &outcome;
    options.runs_needed = &runs;
    for (int i = 0; i < 2; i++) {
        lido_cancel_reset(token);
        cr_expect_eq(
            lido_pool_run(pool, LIDO_DEFERRED, functions[i], token, &options, &err),
            LIDO_CANCELLED);
        cr_expect_eq(outcome, LIDO_OUTCOME_ROLLED_BACK);
        cr_expect_eq(runs, 1);
        cr_expect_eq(ask("SELECT count(*) FROM t"), 0);
        cr_expect_eq(lido_pool_run(pool, LIDO_DEFERRED, never, NULL, &options, &err),
                     LIDO_CANCELLED, "the token is fired still");
        cr_expect_eq(runs, 0);
    }
    lido_cancel_free(token);
}

static int fire_at_the_lock(void *ctx, const struct lido_event *event,
                            struct lido_error *error)
{
    (void)event;
    return lido_cancel_fire(ctx, error);
}

Test(run, one_that_is_cancelled_while_it_waits_for_the_lock_is_not_repeated)
{
    static const struct lido_events hooks = { .size = sizeof hooks,
                                              .begin = fire_at_the_lock };
    struct lido_run_options options = LIDO_RUN_OPTIONS_INIT;
    struct lido_conn conn;

    strcat(file_url, "&gate=0");
    open_pool(file_url);
    conn = handy_take(pool);
    cr_assert_eq(lido_txn_begin(&conn, LIDO_IMMEDIATE, &err), LIDO_OK);
    cr_assert_eq(lido_cancel_new(&token, &err), LIDO_OK);
    cr_assert_eq(lido_hooks_add(lido_pool_hooks(pool), NULL, &hooks, token, NULL, &err),
                 LIDO_OK);
    options.cancel = token;
    options.runs_needed = &runs;
    cr_expect_eq(lido_pool_run(pool, LIDO_IMMEDIATE, never, NULL, &options, &err),
                 LIDO_CANCELLED, "%s", err.text);
    cr_expect_eq(runs, 0);
    handy_give(&conn);
    lido_cancel_free(token);
}

static int take_too_long(void *ctx, const struct lido_conn *conn, struct lido_error *error)
{
    int rc = lido_conn_exec(conn, "INSERT INTO t VALUES (1)", error);

    ++*(int *)ctx;
    if (rc == LIDO_OK)
        rc = lido_txn_limit(conn, 0, error);
    return rc == LIDO_OK ? lido_conn_exec(conn, "SELECT 1", error) : rc;
}

Test(run, one_that_took_too_long_is_not_repeated)
{
    int calls = 0;

    open_pool(file_url);
    cr_expect_eq(run(LIDO_DEFERRED, take_too_long, &calls), LIDO_TXN_TIMEOUT);
    cr_expect_eq(calls, 1);
    cr_expect_eq(outcome, LIDO_OUTCOME_ROLLED_BACK);
    cr_expect_eq(ask("SELECT count(*) FROM t"), 0);
}

Test(run, on_a_lease_there_is_no_second_token)
{
    struct lido_run_options options = LIDO_RUN_OPTIONS_INIT;
    struct lido_conn conn;

    open_pool(file_url);
    conn = handy_take(pool);
    cr_assert_eq(lido_cancel_new(&token, &err), LIDO_OK);
    options.cancel = token;
    cr_expect_eq(lido_conn_run(&conn, LIDO_DEFERRED, never, NULL, &options, &err),
                 SQLITE_MISUSE);
    handy_give(&conn);
    lido_cancel_free(token);
}

static int say_nothing(void *ctx, const struct lido_conn *conn, struct lido_error *unused)
{
    (void)conn, (void)unused;
    return *(int *)ctx;
}

static int say_another(void *ctx, const struct lido_conn *conn, struct lido_error *story)
{
    (void)ctx;
    cr_expect_eq(lido_conn_exec(conn, "SELECT * FROM nowhere", story), SQLITE_ERROR);
    return 7777;
}

Test(run, the_error_has_the_code_that_the_function_answered)
{
    struct lido_conn conn;
    int code = 7777;

    open_pool("sqlite://?pool=static");
    err = (struct lido_error){ SQLITE_FULL, 0, "of an earlier call" };
    cr_expect_eq(lido_pool_run(pool, 0, say_nothing, &code, NULL, &err), 7777);
    cr_expect_eq(err.code, 7777);
    cr_expect_str_eq(err.text, "the function answered unknown");
    cr_expect_eq(lido_pool_run(pool, 0, say_another, NULL, NULL, &err), 7777);
    cr_expect_eq(err.code, 7777);
    cr_expect_not_null(strstr(err.text, "nowhere"), "%s", err.text);

    conn = handy_take(pool);
    cr_assert_eq(lido_txn_begin(&conn, LIDO_DEFERRED, &err), LIDO_OK);
    cr_expect_eq(lido_conn_run(&conn, 0, say_nothing, &code, NULL, &err), 7777);
    cr_expect_eq(err.code, 7777);
    cr_expect_str_eq(err.text, "the function answered unknown");
    handy_give(&conn);
}

Test(run, arguments_that_are_none_are_refused)
{
    struct lido_run_options options = LIDO_RUN_OPTIONS_INIT;

    open_pool("sqlite://?pool=static");
    cr_expect_eq(lido_pool_run(NULL, 0, never, NULL, NULL, &err), SQLITE_MISUSE);
    cr_expect_eq(lido_pool_run(pool, 0, NULL, NULL, NULL, &err), SQLITE_MISUSE);
    cr_expect_eq(lido_conn_run(NULL, 0, never, NULL, NULL, &err), SQLITE_MISUSE);
    cr_expect_eq(lido_pool_run(pool, 77, never, NULL, NULL, &err), SQLITE_MISUSE);
    options.runs = 0;
    cr_expect_eq(lido_pool_run(pool, 0, never, NULL, &options, &err), LIDO_BAD_OPTION);
    options.runs = 1;
    options.timeout_ms = -2;
    cr_expect_eq(lido_pool_run(pool, 0, never, NULL, &options, &err), LIDO_BAD_OPTION);
    options.size = 1;
    cr_expect_eq(lido_pool_run(pool, 0, never, NULL, &options, &err), SQLITE_MISUSE);
    cr_assert_eq(lido_pool_close(pool, 0, &err), LIDO_OK);
    cr_expect_eq(lido_pool_run(pool, 0, never, NULL, NULL, &err), LIDO_CLOSED);
}
