/* SPDX-License-Identifier: MIT */
/*
 * Another process in the middle of lido's work: it is faster, has a lock while the runner
 * runs, keeps a connection from being opened, or is killed with all that it holds.
 *
 * What is to happen between two calls of the runner's happens in its function or in a hook.
 */
#include "ledger.h"
#include "other_process.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <sys/stat.h>

#define WRITES   "BEGIN IMMEDIATE; INSERT INTO b (amount) VALUES (1)"
#define EXCLUDES "BEGIN EXCLUSIVE; INSERT INTO b (amount) VALUES (1)"

/* Changes more pages than its cache holds, so that some are in the file before the commit. */
#define SPILLS "PRAGMA cache_size=1; BEGIN IMMEDIATE; UPDATE filler SET x = x || 'spilled'"

static struct lido_error err;
static lido_pool *pool;
static struct lido_conn conn;
static int outcome, runs;
static int calls; /* of the function that is run */

TestSuite(fault_other, .fini = ledger_remove, .timeout = 30);

/* --- the two sides ---------------------------------------------------------------------- */

static void begin_test(const char *journal, const char *more)
{
    ledger_make(journal);
    other_start(ledger_path());
    cr_assert_eq(lido_pool_open(&pool, ledger_url(more), NULL, &err), LIDO_OK, "%s",
                 err.text);
}

static void check_out(void)
{
    cr_assert_eq(lido_pool_checkout(pool, &conn, NULL, &err), LIDO_OK, "%s", err.text);
}

static void check_in(void)
{
    cr_assert_eq(lido_conn_checkin(&conn, NULL, &err), LIDO_OK, "%s", err.text);
}

static void end_test(void)
{
    cr_assert_eq(lido_pool_close(pool, 0, &err), LIDO_OK, "%s", err.text);
    lido_pool_free(pool);
    ledger_remove();
}

static void other(const char *sql)
{
    cr_assert_eq(other_run(sql), SQLITE_OK, "the other: %s", sql);
}

static int run(const char *sql)
{
    return lido_conn_exec(&conn, sql, &err);
}

static int write_row(const struct lido_conn *lease, struct lido_error *error)
{
    return lido_conn_exec(lease, "INSERT INTO a (amount) VALUES (1)", error);
}

static int keep_number(void *ctx, const struct lido_stmt *row, struct lido_error *error)
{
    (void)error;
    *(int64_t *)ctx = lido_stmt_integer(row, 0);
    return LIDO_OK;
}

/* Rows in a and in b, beside the one that each has from the beginning. */
static void expect_rows(int in_a, int in_b)
{
    static const char sql[] =
        "SELECT (SELECT count(*) FROM a) * 100 + (SELECT count(*) FROM b) - 101";
    int64_t number = -1;

    cr_assert_eq(lido_pool_query(pool, sql, NULL, 0, keep_number, &number, &err), LIDO_OK,
                 "%s", err.text);
    cr_assert_eq(number, in_a * 100 + in_b, "%d", (int)number);
}

/* --- one that is faster ----------------------------------------------------------------- */

Test(fault_other, a_snapshot_that_is_old_cannot_be_written_from)
{
    begin_test("wal", LEDGER_QUEUE);
    check_out();
    cr_assert_eq(lido_txn_begin(&conn, LIDO_DEFERRED, &err), LIDO_OK);
    cr_assert_eq(lido_txn_savepoint(&conn, "s", &err), LIDO_OK);
    cr_assert_eq(run("SELECT * FROM a"), LIDO_OK);
    other(WRITES "; COMMIT");

    /* Going back to a savepoint does not help, and the transaction is there to read. */
    cr_assert_eq(write_row(&conn, &err), SQLITE_BUSY_SNAPSHOT, "%s", err.text);
    cr_assert_eq(lido_txn_rollback_to(&conn, "s", &err), LIDO_OK, "%s", err.text);
    cr_assert_eq(write_row(&conn, &err), SQLITE_BUSY_SNAPSHOT);
    cr_assert_eq(lido_txn_state(&conn), LIDO_TXN_READ);
    cr_assert_eq(lido_txn_commit(&conn, &outcome, &err), LIDO_OK, "%s", err.text);
    cr_assert_eq(outcome, LIDO_OUTCOME_COMMITTED);

    cr_assert_eq(lido_txn_begin(&conn, LIDO_DEFERRED, &err), LIDO_OK);
    cr_assert_eq(write_row(&conn, &err), LIDO_OK, "%s", err.text);
    cr_assert_eq(lido_txn_commit(&conn, NULL, &err), LIDO_OK);
    check_in();
    expect_rows(1, 1);
    other_end();
    end_test();
}

/* --- the runner ------------------------------------------------------------------------- */

static int go(int mode, lido_run_fn fn, int64_t timeout_ms)
{
    struct lido_run_options options = LIDO_RUN_OPTIONS_INIT;

    outcome = runs = -1;
    calls = 0;
    options.outcome = &outcome;
    options.runs_needed = &runs;
    options.timeout_ms = timeout_ms;
    return lido_pool_run(pool, mode, fn, NULL, &options, &err);
}

static int only_write(void *ctx, const struct lido_conn *lease, struct lido_error *error)
{
    (void)ctx;
    return write_row(lease, error);
}

/* Reads, is overtaken the first time, and writes. */
static int be_overtaken(void *ctx, const struct lido_conn *lease, struct lido_error *error)
{
    int rc;

    (void)ctx;
    rc = lido_conn_exec(lease, "SELECT * FROM a", error);
    if (calls++ == 0)
        other(WRITES "; COMMIT");
    return rc == LIDO_OK ? write_row(lease, error) : rc;
}

/* Meets the other's lock the first time, which is given back when it is too late. */
static int be_in_the_way(void *ctx, const struct lido_conn *lease, struct lido_error *error)
{
    int rc;

    (void)ctx;
    if (calls == 0)
        other(WRITES);
    rc = write_row(lease, error);
    if (calls++ == 0)
        other("COMMIT");
    return rc;
}

static void repeat(const char *journal, lido_run_fn fn)
{
    begin_test(journal, LEDGER_QUEUE);
    cr_assert_eq(go(LIDO_DEFERRED, fn, 20000), LIDO_OK, "%s", err.text);
    cr_expect_eq(outcome, LIDO_OUTCOME_COMMITTED);
    cr_expect_eq(runs, 2);
    expect_rows(1, 1);
    other_end();
    end_test();
}

Test(fault_other, a_run_that_is_overtaken_runs_again)
{
    repeat("wal", be_overtaken);
}

Test(fault_other, a_run_that_meets_a_writer_runs_again)
{
    repeat("delete", be_in_the_way);
}

Test(fault_other, a_run_that_meets_a_writer_of_the_log_runs_again)
{
    repeat("wal", be_in_the_way);
}

/* The second COMMIT finds the reader gone. */
static int release_reader(void *ctx, const struct lido_event *event,
                          struct lido_error *error)
{
    (void)event, (void)error;
    if (++*(int *)ctx == 2)
        other("COMMIT");
    return LIDO_OK;
}

Test(fault_other, a_run_commits_again_when_a_reader_is_gone)
{
    static const struct lido_events events = { .size = sizeof events,
                                               .commit = release_reader };
    int commits = 0;

    begin_test("delete", LEDGER_QUEUE);
    cr_assert_eq(lido_hooks_add(lido_pool_hooks(pool), NULL, &events, &commits, NULL, &err),
                 LIDO_OK);
    other("BEGIN; SELECT * FROM a");
    cr_assert_eq(go(LIDO_IMMEDIATE, only_write, 20000), LIDO_OK, "%s", err.text);
    cr_expect_eq(outcome, LIDO_OUTCOME_COMMITTED);
    cr_expect_eq(commits, 2);
    cr_expect_eq(runs, 1);
    expect_rows(1, 0);
    other_end();
    end_test();
}

Test(fault_other, a_run_without_time_gives_up_and_leaves_nothing)
{
    begin_test("delete", LEDGER_QUEUE);
    other(WRITES);
    cr_expect_eq(go(LIDO_IMMEDIATE, only_write, 0), SQLITE_BUSY);
    cr_expect_eq(runs, 0);
    cr_expect_eq(go(LIDO_DEFERRED, only_write, 0), SQLITE_BUSY);
    cr_expect_eq(runs, 1);
    cr_expect_eq(outcome, LIDO_OUTCOME_ROLLED_BACK);
    other("COMMIT; BEGIN; SELECT * FROM a");
    cr_expect_eq(go(LIDO_IMMEDIATE, only_write, 0), SQLITE_BUSY, "the commit");
    cr_expect_eq(outcome, LIDO_OUTCOME_ROLLED_BACK);
    other("COMMIT");
    expect_rows(0, 1);
    cr_expect_eq(go(LIDO_IMMEDIATE, only_write, 0), LIDO_OK, "%s", err.text);
    expect_rows(1, 1);
    other_end();
    end_test();
}

/* --- where a transaction begins or ends by itself ----------------------------------------- */

Test(fault_other, what_begins_by_itself_meets_the_lock_and_leaves_none_open)
{
    begin_test("wal", LEDGER_QUEUE "&begin=immediate&autobegin=write");
    check_out();
    other(WRITES);
    cr_expect_eq(lido_txn_savepoint(&conn, "s", &err), SQLITE_BUSY);
    cr_expect_eq(lido_txn_state(&conn), LIDO_TXN_NONE);
    cr_expect_eq(write_row(&conn, &err), SQLITE_BUSY);
    cr_expect_eq(lido_txn_state(&conn), LIDO_TXN_NONE);
    cr_expect_eq(run("SELECT * FROM a"), LIDO_OK, "%s", err.text);
    other("COMMIT");
    cr_expect_eq(write_row(&conn, &err), LIDO_OK, "%s", err.text);
    cr_expect_eq(lido_txn_state(&conn), LIDO_TXN_WRITE);
    cr_expect_eq(lido_txn_commit(&conn, &outcome, &err), LIDO_OK, "%s", err.text);
    check_in();
    expect_rows(1, 1);
    other_end();
    end_test();
}

/* The check-in cannot commit, so nothing of it is there, and no lock stays. */
Test(fault_other, a_commit_at_check_in_that_meets_a_reader_is_rolled_back)
{
    begin_test("delete", LEDGER_QUEUE "&pool_reset_on_return=commit");
    check_out();
    other("BEGIN; SELECT * FROM a");
    cr_assert_eq(lido_txn_begin(&conn, LIDO_IMMEDIATE, &err), LIDO_OK);
    cr_assert_eq(write_row(&conn, &err), LIDO_OK);
    check_in();
    other("COMMIT; " WRITES "; COMMIT");
    expect_rows(0, 1);
    other_end();
    end_test();
}

Test(fault_other, a_connection_that_cannot_be_opened_for_a_lock_is_told_and_not_lost)
{
    begin_test("delete", LEDGER_QUEUE);
    other(EXCLUDES);
    cr_expect_eq(lido_pool_checkout(pool, &conn, NULL, &err), SQLITE_BUSY, "%s", err.text);
    cr_expect_null(conn.cell);
    cr_expect_eq(lido_pool_checkout(pool, &conn, NULL, &err), SQLITE_BUSY);
    other("COMMIT");
    expect_rows(0, 1);
    other_end();
    end_test();
}

/* --- one that is killed ----------------------------------------------------------------- */

/* In the middle of a transaction of lido's that waits for it. */
static void kill_with_lock(const char *journal, const char *takes, int reads)
{
    begin_test(journal, LEDGER_QUEUE);
    check_out();
    cr_assert_eq(run("SELECT * FROM a"), LIDO_OK); /* something is in the cache */
    other(takes);
    cr_assert_eq(lido_txn_begin(&conn, LIDO_DEFERRED, &err), LIDO_OK);
    cr_expect_eq(run("SELECT * FROM filler"), reads);
    cr_expect_eq(write_row(&conn, &err), SQLITE_BUSY);
    other_kill();

    cr_assert_eq(run("SELECT * FROM filler"), LIDO_OK, "%s", err.text);
    cr_assert_eq(write_row(&conn, &err), LIDO_OK, "%s", err.text);
    cr_assert_eq(lido_txn_commit(&conn, &outcome, &err), LIDO_OK, "%s", err.text);
    cr_expect_eq(outcome, LIDO_OUTCOME_COMMITTED);
    check_in();
    expect_rows(1, 0);
    end_test();
}

Test(fault_other, the_locks_of_a_writer_that_is_killed_are_free)
{
    kill_with_lock("delete", WRITES, LIDO_OK);
    kill_with_lock("wal", WRITES, LIDO_OK);
}

Test(fault_other, the_locks_of_one_that_excludes_others_and_is_killed_are_free)
{
    kill_with_lock("delete", EXCLUDES, SQLITE_BUSY);
    kill_with_lock("wal", EXCLUDES, LIDO_OK);
}

static int64_t size_of(const char *ending)
{
    struct stat status;
    char path[120];

    snprintf(path, sizeof path, "%s%s", ledger_path(), ending);
    return stat(path, &status) == 0 ? (int64_t)status.st_size : 0;
}

/* What it had written to the file before its commit is undone by lido's first read. */
static void kill_with_pages(const char *journal, const char *ending)
{
    begin_test(journal, LEDGER_QUEUE);
    check_out();
    cr_assert_eq(lido_txn_begin(&conn, LIDO_DEFERRED, &err), LIDO_OK);
    other(SPILLS);
    other_kill();
    cr_assert_gt(size_of(ending), 512, "nothing was spilled");
    cr_expect_eq(ledger_look(lido_conn_sqlite(&conn)), LEDGER_BEFORE, "%s",
                 ledger_story(LEDGER_BROKEN));
    cr_expect_eq(size_of("-journal"), 0);
    cr_assert_eq(write_row(&conn, &err), LIDO_OK, "%s", err.text);
    cr_assert_eq(lido_txn_commit(&conn, &outcome, &err), LIDO_OK, "%s", err.text);
    check_in();
    expect_rows(1, 0);
    end_test();
}

Test(fault_other, half_a_transaction_of_one_that_is_killed_is_undone)
{
    kill_with_pages("delete", "-journal");
}

Test(fault_other, half_a_transaction_in_the_log_is_not_seen)
{
    kill_with_pages("wal", "-wal");
}
