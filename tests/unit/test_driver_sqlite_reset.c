/* SPDX-License-Identifier: MIT */
/*
 * How the built-in driver cleans a connection for its next lease.
 */
#include "own_folder.h"

#include <lido/sys/driver.h>

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct lido_driver *driver;
static struct lido_error err;
static struct lido_reset found;
static char folder[32], path[64];
static sqlite3 *db;

static sqlite3 *open_db(void)
{
    struct lido_connect how = { .size = sizeof how, .url = "", .database = path };
    void *handle;

    cr_assert_eq(driver->connect(NULL, &how, NULL, &handle, &err), LIDO_OK, "%s", err.text);
    return handle;
}

static void run(const char *sql)
{
    cr_assert_eq(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK, "%s: %s", sql,
                 sqlite3_errmsg(db));
}

static void set_up(void)
{
    strcpy(folder, "/tmp/lido-reset-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/app.db", folder);
    driver = lido_driver_sqlite();
    db = open_db();
    run("CREATE TABLE t(x); INSERT INTO t VALUES(1), (2), (zeroblob(20000))");
}

static void tear_down(void)
{
    cr_assert_eq(driver->close(NULL, db, 0, &err), LIDO_OK, "%s", err.text);
    unlink(path);
    own_folder_end(folder);
}

TestSuite(driver_sqlite_reset, .init = set_up, .fini = tear_down, .timeout = 20);

static int reset(int how)
{
    memset(&err, 0, sizeof err);
    memset(&found, 0, sizeof found);
    found.size = sizeof found;
    return driver->reset(NULL, db, how, &found, &err);
}

/* Cleans, and finds this much. */
static void expect_reset(int how, int was_in_txn, unsigned statements)
{
    cr_expect_eq(reset(how), LIDO_OK, "%s", err.text);
    cr_expect_eq(found.was_in_txn, was_in_txn);
    cr_expect_eq(found.statements_reset, statements, "%u", found.statements_reset);
    cr_expect_eq(err.code, 0);
}

static void expect_unclean(int how, int code, const char *part)
{
    cr_expect_eq(reset(how), code);
    cr_expect_eq(err.code, code, "%d: %s", err.code, err.text);
    cr_expect_not_null(strstr(err.text, part), "%s", err.text);
    cr_expect_eq(driver->reset(NULL, db, LIDO_RESET_NONE, &found, NULL), LIDO_OK);
}

static void expect_state(int state)
{
    cr_expect_eq(driver->txn_state(NULL, db), state, "%d", driver->txn_state(NULL, db));
}

static sqlite3_stmt *prepare(const char *sql)
{
    sqlite3_stmt *stmt;

    cr_assert_eq(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), SQLITE_OK, "%s",
                 sqlite3_errmsg(db));
    return stmt;
}

static sqlite3_stmt *start(const char *sql)
{
    sqlite3_stmt *stmt = prepare(sql);

    cr_assert_eq(sqlite3_step(stmt), SQLITE_ROW);
    return stmt;
}

/* What a second connection counts in t: what is committed. */
static int count_committed(void)
{
    sqlite3 *other = open_db();
    sqlite3_stmt *stmt;
    int count;

    cr_assert_eq(sqlite3_prepare_v2(other, "SELECT count(*) FROM t", -1, &stmt, NULL),
                 SQLITE_OK);
    cr_assert_eq(sqlite3_step(stmt), SQLITE_ROW);
    count = sqlite3_column_int(stmt, 0);
    sqlite3_finalize(stmt);
    cr_assert_eq(driver->close(NULL, other, 0, NULL), LIDO_OK);
    return count;
}

Test(driver_sqlite_reset, of_a_clean_connection_finds_nothing)
{
    expect_reset(LIDO_RESET_ROLLBACK, 0, 0);
    expect_reset(LIDO_RESET_COMMIT, 0, 0);
    expect_reset(LIDO_RESET_NONE, 0, 0);
}

Test(driver_sqlite_reset, resets_what_runs_and_leaves_what_does_not)
{
    sqlite3_stmt *prepared = prepare("SELECT ?1"), *done = prepare("SELECT 1");
    sqlite3_stmt *one = start("SELECT x FROM t"), *two = start("SELECT x FROM t");

    sqlite3_bind_int(prepared, 1, 42);
    while (sqlite3_step(done) == SQLITE_ROW)
        ;
    expect_state(LIDO_TXN_READ);
    expect_reset(LIDO_RESET_ROLLBACK, 0, 2);
    expect_state(LIDO_TXN_NONE);
    cr_expect_eq(sqlite3_stmt_busy(one), 0);
    cr_expect_eq(sqlite3_stmt_busy(two), 0);

    /* All are as good as before. */
    cr_expect_eq(sqlite3_step(prepared), SQLITE_ROW);
    cr_expect_eq(sqlite3_column_int(prepared, 0), 42);
    cr_expect_eq(sqlite3_step(one), SQLITE_ROW);
    cr_expect_eq(sqlite3_column_int(one, 0), 1);
    sqlite3_finalize(prepared);
    sqlite3_finalize(done);
    sqlite3_finalize(one);
    sqlite3_finalize(two);
}

Test(driver_sqlite_reset, rolls_back_what_is_open)
{
    static const char *const begin[] = { "BEGIN", "BEGIN IMMEDIATE", "BEGIN EXCLUSIVE",
                                         "SAVEPOINT s; SAVEPOINT s" };

    for (size_t i = 0; i < sizeof begin / sizeof begin[0]; i++) {
        run(begin[i]);
        expect_reset(LIDO_RESET_ROLLBACK, 1, 0);
        expect_state(LIDO_TXN_NONE);
        run(begin[i]);
        run("INSERT INTO t VALUES(4)");
        expect_reset(LIDO_RESET_ROLLBACK, 1, 0);
        expect_state(LIDO_TXN_NONE);
        cr_expect_eq(count_committed(), 3);
    }
}

Test(driver_sqlite_reset, rolls_back_while_statements_run)
{
    sqlite3_stmt *reads, *writes;

    run("BEGIN");
    reads = start("SELECT x FROM t");
    writes = start("INSERT INTO t VALUES(4), (5) RETURNING x");
    expect_reset(LIDO_RESET_ROLLBACK, 1, 2);
    expect_state(LIDO_TXN_NONE);
    cr_expect_eq(count_committed(), 3);
    sqlite3_finalize(reads);
    sqlite3_finalize(writes);
}

Test(driver_sqlite_reset, none_resets_what_runs_and_leaves_the_transaction)
{
    sqlite3_stmt *reads;

    run("BEGIN; INSERT INTO t VALUES(4)");
    reads = start("SELECT x FROM t");
    expect_reset(LIDO_RESET_NONE, 0, 1);
    expect_state(LIDO_TXN_WRITE);
    expect_reset(LIDO_RESET_ROLLBACK, 1, 0);
    cr_expect_eq(count_committed(), 3);
    sqlite3_finalize(reads);
}

Test(driver_sqlite_reset, commit_commits_also_while_a_statement_runs)
{
    sqlite3_stmt *writes;

    run("BEGIN");
    writes = start("INSERT INTO t VALUES(4), (5) RETURNING x");
    expect_reset(LIDO_RESET_COMMIT, 1, 1);
    expect_state(LIDO_TXN_NONE);
    cr_expect_eq(count_committed(), 5);
    sqlite3_finalize(writes);
}

Test(driver_sqlite_reset, a_commit_that_fails_is_told_and_rolled_back)
{
    run("PRAGMA foreign_keys = on; CREATE TABLE p(id PRIMARY KEY); CREATE TABLE "
        "c(id REFERENCES p DEFERRABLE INITIALLY DEFERRED); BEGIN; INSERT INTO c VALUES(1);"
        "INSERT INTO t VALUES(4)");
    cr_expect_eq(reset(LIDO_RESET_COMMIT), SQLITE_CONSTRAINT_FOREIGNKEY);
    cr_expect_eq(err.code, SQLITE_CONSTRAINT_FOREIGNKEY);
    cr_expect_not_null(strstr(err.text, "COMMIT at check-in: FOREIGN KEY"), "%s", err.text);
    cr_expect_eq(found.was_in_txn, 1);
    expect_state(LIDO_TXN_NONE);
    cr_expect_eq(count_committed(), 3);
}

Test(driver_sqlite_reset, a_commit_that_meets_a_reader_is_told_and_rolled_back)
{
    sqlite3 *writer = db, *reader = open_db();
    sqlite3_stmt *reads;

    db = reader;
    reads = start("SELECT x FROM t");
    db = writer;
    run("BEGIN; INSERT INTO t VALUES(4)");
    cr_expect_eq(reset(LIDO_RESET_COMMIT), SQLITE_BUSY);
    cr_expect_not_null(strstr(err.text, "COMMIT at check-in"), "%s", err.text);
    expect_state(LIDO_TXN_NONE);
    sqlite3_finalize(reads);
    cr_expect_eq(count_committed(), 3);
    cr_expect_eq(driver->close(NULL, reader, 0, NULL), LIDO_OK);
}

static int refuse_commit(void *ctx)
{
    ++*(int *)ctx;
    return 1;
}

Test(driver_sqlite_reset, a_commit_that_sqlite_turns_into_a_rollback_is_told)
{
    int asked = 0;

    sqlite3_commit_hook(db, refuse_commit, &asked);
    run("BEGIN; INSERT INTO t VALUES(4)");
    cr_expect_eq(reset(LIDO_RESET_COMMIT), SQLITE_CONSTRAINT_COMMITHOOK);
    cr_expect_eq(asked, 1);
    expect_state(LIDO_TXN_NONE);
    cr_expect_eq(count_committed(), 3);
}

static int deny_transactions(void *ctx, int action, const char *a, const char *b,
                             const char *c, const char *d)
{
    (void)ctx, (void)a, (void)b, (void)c, (void)d;
    return action == SQLITE_TRANSACTION ? SQLITE_DENY : SQLITE_OK;
}

Test(driver_sqlite_reset, a_rollback_that_is_denied_is_unclean)
{
    run("BEGIN; INSERT INTO t VALUES(4)");
    sqlite3_set_authorizer(db, deny_transactions, NULL);
    expect_unclean(LIDO_RESET_ROLLBACK, SQLITE_AUTH, "ROLLBACK at check-in");
    expect_unclean(LIDO_RESET_COMMIT, SQLITE_AUTH, "COMMIT at check-in");
    expect_state(LIDO_TXN_WRITE);
    sqlite3_set_authorizer(db, NULL, NULL);
    expect_reset(LIDO_RESET_ROLLBACK, 1, 0);
}

static int stop(void *ctx)
{
    (void)ctx;
    return 1;
}

Test(driver_sqlite_reset, what_was_interrupted_is_reset)
{
    sqlite3_stmt *reads = start("SELECT x FROM t");

    sqlite3_interrupt(db);
    expect_reset(LIDO_RESET_ROLLBACK, 0, 1);
    cr_expect_eq(sqlite3_step(reads), SQLITE_ROW);
    sqlite3_progress_handler(db, 1, stop, NULL);
    cr_expect_eq(sqlite3_step(reads), SQLITE_INTERRUPT);
    sqlite3_progress_handler(db, 0, NULL, NULL);
    expect_reset(LIDO_RESET_ROLLBACK, 0, 0);
    sqlite3_finalize(reads);
}

Test(driver_sqlite_reset, an_open_blob_is_unclean_and_is_not_touched)
{
    sqlite3_stmt *reads;
    sqlite3_blob *blob;
    char byte = 1;

    cr_assert_eq(sqlite3_blob_open(db, "main", "t", "x", 3, 0, &blob), SQLITE_OK);
    reads = start("SELECT x FROM t");
    expect_unclean(LIDO_RESET_ROLLBACK, SQLITE_BUSY, "blob");
    cr_expect_eq(sqlite3_stmt_busy(reads), 0);
    cr_expect_eq(sqlite3_blob_read(blob, &byte, 1, 7), SQLITE_OK);
    cr_expect_eq(byte, 0);
    cr_expect_eq(sqlite3_blob_close(blob), SQLITE_OK);
    expect_reset(LIDO_RESET_ROLLBACK, 0, 0);
    sqlite3_finalize(reads);
}

Test(driver_sqlite_reset, an_open_blob_in_a_transaction_is_unclean_and_is_not_touched)
{
    sqlite3_blob *blob;

    run("BEGIN; INSERT INTO t VALUES(4)");
    cr_assert_eq(sqlite3_blob_open(db, "main", "t", "x", 3, 1, &blob), SQLITE_OK);
    cr_assert_eq(sqlite3_blob_write(blob, "b", 1, 0), SQLITE_OK);
    cr_expect_neq(reset(LIDO_RESET_COMMIT), LIDO_OK);
    cr_expect_eq(found.was_in_txn, 1);
    cr_expect_eq(sqlite3_get_autocommit(db), 1);
    sqlite3_blob_close(blob);
    expect_reset(LIDO_RESET_ROLLBACK, 0, 0);
    cr_expect_eq(count_committed(), 3);
}

Test(driver_sqlite_reset, an_unfinished_backup_into_it_is_unclean_and_out_of_it_is_not)
{
    sqlite3 *other;
    sqlite3_backup *backup;

    cr_assert_eq(sqlite3_open(":memory:", &other), SQLITE_OK);
    cr_assert_eq(
        sqlite3_exec(other, "CREATE TABLE u AS SELECT zeroblob(50000)", NULL, NULL, NULL),
        SQLITE_OK);
    backup = sqlite3_backup_init(other, "main", db, "main");
    cr_assert_not_null(backup);
    cr_assert_eq(sqlite3_backup_step(backup, 1), SQLITE_OK);
    /* As a source it holds no transaction between the steps, and is clean. */
    cr_expect_eq(reset(LIDO_RESET_ROLLBACK), LIDO_OK);
    cr_assert_eq(sqlite3_backup_step(backup, 1), SQLITE_OK);
    cr_expect_eq(sqlite3_backup_finish(backup), SQLITE_OK);

    sqlite3_exec(other, "CREATE TABLE IF NOT EXISTS u AS SELECT zeroblob(50000)", NULL,
                 NULL, NULL);
    backup = sqlite3_backup_init(db, "main", other, "main");
    cr_assert_not_null(backup);
    cr_assert_eq(sqlite3_backup_step(backup, 1), SQLITE_OK);
    expect_unclean(LIDO_RESET_ROLLBACK, SQLITE_BUSY, "backup");
    cr_expect_eq(sqlite3_backup_finish(backup), SQLITE_OK);
    expect_reset(LIDO_RESET_ROLLBACK, 0, 0);
    sqlite3_close(other);
    cr_expect_eq(count_committed(), 3);
}

#define KEEP (LIDO_RESET_ROLLBACK | LIDO_RESET_KEEP_TEMP)

Test(driver_sqlite_reset, sees_attached_and_temporary_databases)
{
    sqlite3_stmt *reads;

    run("ATTACH ':memory:' AS m; CREATE TABLE m.u(x); CREATE TEMP TABLE v(x);"
        "INSERT INTO u VALUES(1), (2); INSERT INTO v VALUES(1), (2)");
    reads = start("SELECT x FROM m.u");
    expect_reset(KEEP, 0, 1);
    sqlite3_finalize(reads);
    reads = start("SELECT x FROM temp.v");
    expect_reset(KEEP, 0, 1);
    sqlite3_finalize(reads);
    run("BEGIN; INSERT INTO m.u VALUES(3)");
    expect_reset(KEEP, 1, 0);
}

/* A full-text search has statements and blob handles of its own below it. */
Test(driver_sqlite_reset, a_running_full_text_search_is_reset)
{
    static const char *const searches[] = {
        "SELECT b FROM f WHERE f MATCH 'word'",
        "SELECT b FROM f WHERE f MATCH 'word' ORDER BY rank",
        "SELECT highlight(f, 0, '<', '>') FROM f WHERE f MATCH 'w*' ORDER BY rowid DESC",
        "SELECT b FROM f",
    };
    sqlite3_stmt *reads;

    if (!sqlite3_compileoption_used("ENABLE_FTS5"))
        cr_skip_test("this SQLite has no full-text search");
    run("CREATE VIRTUAL TABLE f USING fts5(b); INSERT INTO f VALUES('a word'), ('word'),"
        "('more words than one word')");
    for (size_t i = 0; i < sizeof searches / sizeof searches[0]; i++) {
        reads = start(searches[i]);
        cr_expect_eq(reset(LIDO_RESET_ROLLBACK), LIDO_OK, "%s: %s", searches[i], err.text);
        cr_expect_geq(found.statements_reset, 1);
        expect_state(LIDO_TXN_NONE);
        cr_expect_eq(sqlite3_step(reads), SQLITE_ROW, "%s", searches[i]);
        run("BEGIN; INSERT INTO f VALUES('word')");
        cr_expect_eq(reset(LIDO_RESET_ROLLBACK), LIDO_OK, "%s: %s", searches[i], err.text);
        cr_expect_eq(found.was_in_txn, 1);
        sqlite3_finalize(reads);
    }
}
