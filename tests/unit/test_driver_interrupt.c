/* SPDX-License-Identifier: MIT */
/*
 * The built-in driver when a user's progress handler interrupts its own statements, at every
 * place where SQLite asks it: what it answers is what is true afterwards.
 */
#include "own_folder.h"

#include <lido/sys/driver.h>

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MOST 2000 /* more places than any statement here has */

static const struct lido_driver *driver;
static struct lido_error err;
static char folder[40], path[60];
static int asked, fatal; /* how often the handler was asked, and which time it says no */

static void set_up(void)
{
    strcpy(folder, "/tmp/lido-interrupt-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/app.db", folder);
    driver = lido_driver_sqlite();
}

static void tear_down(void)
{
    unlink(path);
    own_folder_end(folder);
}

TestSuite(driver_interrupt, .init = set_up, .fini = tear_down, .timeout = 60);

static sqlite3 *open_db(void)
{
    struct lido_connect how = { .size = sizeof how,
                                .url = "sqlite:///x",
                                .database = path };
    void *db;

    cr_assert_eq(driver->connect(NULL, &how, NULL, &db, &err), LIDO_OK, "%s", err.text);
    return db;
}

static int is_fatal(void *ctx)
{
    (void)ctx;
    return ++asked >= fatal;
}

static void arm(sqlite3 *db, int nth)
{
    asked = 0;
    fatal = nth;
    sqlite3_progress_handler(db, nth > 0, is_fatal, NULL);
}

static void run(sqlite3 *db, const char *sql)
{
    cr_assert_eq(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK, "%s: %s", sql,
                 sqlite3_errmsg(db));
}

/* Rows of t that another connection sees. */
static int count_rows(void)
{
    sqlite3 *db = open_db();
    sqlite3_stmt *stmt;
    int count;

    cr_assert_eq(sqlite3_prepare_v2(db, "SELECT count(*) FROM t", -1, &stmt, NULL),
                 SQLITE_OK);
    cr_assert_eq(sqlite3_step(stmt), SQLITE_ROW);
    count = sqlite3_column_int(stmt, 0);
    sqlite3_finalize(stmt);
    cr_assert_eq(driver->close(NULL, db, 0, &err), LIDO_OK);
    return count;
}

/* Commits one row with the nth question answered by no, and holds the outcome to what is in
   the file.  Adds to seen[outcome]; true when nothing was interrupted. */
static bool commit_interrupted(const char *table, int nth, int seen[4])
{
    sqlite3 *db = open_db();
    int outcome = -1, rc, rows;

    run(db, table);
    run(db, "BEGIN IMMEDIATE; DELETE FROM t; COMMIT; BEGIN; INSERT INTO t VALUES('a b c')");
    arm(db, nth);
    rc = driver->commit(NULL, db, &outcome, &err);
    arm(db, 0);
    rows = count_rows();

    cr_assert(rc == LIDO_OK || rc == SQLITE_INTERRUPT, "%d", rc);
    cr_assert(outcome >= 0 && outcome < 4);
    seen[outcome]++;
    cr_expect_eq(outcome == LIDO_OUTCOME_OPEN, !sqlite3_get_autocommit(db));
    cr_expect(outcome != LIDO_OUTCOME_COMMITTED || rows == 1, "at %d", nth);
    cr_expect(outcome != LIDO_OUTCOME_ROLLED_BACK || rows == 0, "at %d: in the file", nth);
    cr_expect(outcome != LIDO_OUTCOME_OPEN || rows == 0, "at %d", nth);
    cr_expect_eq(rc == LIDO_OK, outcome == LIDO_OUTCOME_COMMITTED);
    driver->rollback(NULL, db, &outcome, NULL);
    cr_assert_eq(driver->close(NULL, db, 0, &err), LIDO_OK);
    return rc == LIDO_OK;
}

Test(driver_interrupt, a_commit_never_says_rolled_back_of_what_is_in_the_file)
{
    int seen[4] = { 0 }, nth = 1;

    while (nth < MOST && !commit_interrupted("CREATE TABLE IF NOT EXISTS t(x)", nth, seen))
        nth++;

    cr_expect_lt(nth, MOST);
    cr_expect_gt(seen[LIDO_OUTCOME_OPEN], 0);
    cr_expect_gt(seen[LIDO_OUTCOME_UNKNOWN], 0);
    cr_expect_eq(seen[LIDO_OUTCOME_COMMITTED], 1);
}

Test(driver_interrupt, a_commit_of_a_virtual_table_never_says_committed_of_what_is_lost)
{
    int seen[4] = { 0 }, nth = 1;

    if (!sqlite3_compileoption_used("ENABLE_FTS5"))
        cr_skip_test("this SQLite has no FTS5");
    while (nth < MOST && !commit_interrupted("CREATE VIRTUAL TABLE IF NOT EXISTS t USING "
                                             "fts5(x)",
                                             nth, seen))
        nth++;

    cr_expect_lt(nth, MOST);
    cr_expect_gt(seen[LIDO_OUTCOME_UNKNOWN], 1);
    cr_expect_eq(seen[LIDO_OUTCOME_COMMITTED], 1);
}

Test(driver_interrupt, a_begin_that_fails_leaves_no_transaction_and_no_other_does)
{
    sqlite3 *db = open_db();
    int rc = SQLITE_INTERRUPT, interrupted = 0;

    run(db, "CREATE TABLE t(x)");
    for (int nth = 1; nth <= 50; nth++) {
        if (!sqlite3_get_autocommit(db))
            run(db, "ROLLBACK");
        arm(db, nth);
        rc = driver->begin(NULL, db, LIDO_IMMEDIATE, &err);
        arm(db, 0);
        interrupted += rc == SQLITE_INTERRUPT;
        cr_expect_eq(driver->txn_state(NULL, db),
                     rc == LIDO_OK ? LIDO_TXN_WRITE : LIDO_TXN_NONE, "at %d", nth);
    }
    cr_expect_eq(rc, LIDO_OK);
    cr_expect_gt(interrupted, 0);

    /* One that fails because a transaction is open leaves that alone. */
    cr_expect_eq(driver->begin(NULL, db, LIDO_DEFERRED, &err), SQLITE_ERROR);
    cr_expect_eq(driver->txn_state(NULL, db), LIDO_TXN_WRITE);
    run(db, "ROLLBACK");
    cr_assert_eq(driver->close(NULL, db, 0, &err), LIDO_OK);
}

Test(driver_interrupt, a_begin_to_read_has_its_snapshot_or_no_transaction)
{
    sqlite3 *db = open_db();
    int rc = SQLITE_INTERRUPT, interrupted = 0;

    run(db, "CREATE TABLE t(x)");
    for (int nth = 1; nth <= 100; nth++) {
        if (!sqlite3_get_autocommit(db))
            run(db, "ROLLBACK");
        arm(db, nth);
        rc = driver->begin(NULL, db, LIDO_READ, &err);
        arm(db, 0);
        interrupted += rc == SQLITE_INTERRUPT;
        cr_expect_eq(driver->txn_state(NULL, db),
                     rc == LIDO_OK ? LIDO_TXN_READ : LIDO_TXN_NONE, "at %d", nth);
    }
    cr_expect_eq(rc, LIDO_OK);
    cr_expect_gt(interrupted, 0);
    cr_assert_eq(driver->close(NULL, db, 0, &err), LIDO_OK);
}

Test(driver_interrupt, a_begin_mode_that_is_none_is_misuse)
{
    sqlite3 *db = open_db();

    cr_expect_eq(driver->begin(NULL, db, LIDO_BEGIN_DEFAULT, &err), SQLITE_MISUSE);
    cr_expect_eq(driver->begin(NULL, db, LIDO_CONCURRENT + 1, &err), SQLITE_MISUSE);
    cr_expect_eq(driver->begin(NULL, db, -1, &err), SQLITE_MISUSE);
    cr_expect_eq(driver->txn_state(NULL, db), LIDO_TXN_NONE);
    cr_assert_eq(driver->close(NULL, db, 0, &err), LIDO_OK);
}

Test(driver_interrupt, a_rollback_fails_only_if_the_transaction_is_still_open)
{
    sqlite3 *db = open_db();
    int rc = SQLITE_INTERRUPT, outcome;

    run(db, "CREATE TABLE t(x)");
    for (int nth = 1; nth < MOST && rc == SQLITE_INTERRUPT; nth++) {
        if (sqlite3_get_autocommit(db))
            run(db, "BEGIN; INSERT INTO t VALUES(1)");
        arm(db, nth);
        rc = driver->rollback(NULL, db, &outcome, &err);
        arm(db, 0);
        cr_expect_eq(rc == LIDO_OK, sqlite3_get_autocommit(db) != 0, "at %d", nth);
        cr_expect_eq(outcome, rc == LIDO_OK ? LIDO_OUTCOME_ROLLED_BACK : LIDO_OUTCOME_OPEN);
    }
    cr_expect_eq(rc, LIDO_OK);
    cr_expect_eq(count_rows(), 0);
    cr_assert_eq(driver->close(NULL, db, 0, &err), LIDO_OK);
}

/* A reset that answers LIDO_OK has made it clean. */
static void reset_interrupted(int how)
{
    sqlite3 *db = open_db();
    int rc = SQLITE_INTERRUPT;

    run(db, "CREATE TABLE IF NOT EXISTS t(x)");
    for (int nth = 1; nth < MOST && rc != LIDO_OK; nth++) {
        struct lido_reset found = { .size = sizeof found };

        if (sqlite3_get_autocommit(db))
            run(db, "BEGIN; INSERT INTO t VALUES(1)");
        arm(db, nth);
        rc = driver->reset(NULL, db, how, &found, &err);
        arm(db, 0);
        cr_expect(found.was_in_txn);
        if (rc == LIDO_OK)
            cr_expect_eq(driver->txn_state(NULL, db), LIDO_TXN_NONE, "at %d", nth);
    }
    cr_expect_eq(rc, LIDO_OK);
    cr_assert_eq(driver->close(NULL, db, 0, &err), LIDO_OK);
}

Test(driver_interrupt, a_reset_that_succeeds_is_clean)
{
    reset_interrupted(LIDO_RESET_ROLLBACK);
    reset_interrupted(LIDO_RESET_COMMIT);
}

Test(driver_interrupt, a_close_with_a_statement_left_gives_the_locks_back)
{
    sqlite3 *db = open_db(), *other = open_db();
    sqlite3_stmt *left;

    run(db, "CREATE TABLE t(x); BEGIN IMMEDIATE; INSERT INTO t VALUES(1), (2)");
    cr_assert_eq(sqlite3_prepare_v2(db, "SELECT x FROM t", -1, &left, NULL), SQLITE_OK);
    cr_assert_eq(sqlite3_step(left), SQLITE_ROW);
    arm(db, 1);
    cr_expect_eq(driver->close(NULL, db, 0, &err), SQLITE_BUSY);
    cr_expect_eq(driver->begin(NULL, other, LIDO_IMMEDIATE, &err), LIDO_OK, "%s", err.text);
    sqlite3_finalize(left);
    cr_assert_eq(driver->close(NULL, other, 0, &err), LIDO_OK);
}
