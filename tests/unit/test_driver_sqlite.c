/* SPDX-License-Identifier: MIT */
/*
 * The built-in driver by its table: connect, ping, transactions, the busy wait, close.
 * How it cleans a connection is test_driver_sqlite_reset.c.
 */
#include "own_folder.h"

#include <lido/sys/driver.h>

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct lido_driver *driver;
static struct lido_error err;
static char folder[32], path[64];

/* `path` becomes a file of that name in the test's own folder. */
static const char *in_folder(const char *name)
{
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void set_up(void)
{
    strcpy(folder, "/tmp/lido-sqlite-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
    in_folder("app.db");
    driver = lido_driver_sqlite();
}

static void tear_down(void)
{
    static const char *const names[] = { "app.db", "app.db-wal", "app.db-shm", "other.db",
                                         "app.db-journal" };

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        unlink(in_folder(names[i]));
    own_folder_end(folder);
}

TestSuite(driver_sqlite, .init = set_up, .fini = tear_down, .timeout = 20);

/* Connects to `path` with one key, or none (NULL). */
static int try_connect(const char *key, const char *value, sqlite3 **db)
{
    struct lido_param param = { key, value };
    struct lido_connect how = { .size = sizeof how,
                                .url = "sqlite:///x",
                                .database = path,
                                .params = &param,
                                .n_params = key != NULL };
    void *handle = &how; /* anything but NULL */
    int rc;

    memset(&err, 0, sizeof err);
    cr_assert_eq(driver->check(NULL, &how, NULL) == LIDO_BAD_URL,
                 driver->check(NULL, &how, &err) == LIDO_BAD_URL);
    rc = driver->connect(NULL, &how, NULL, &handle, &err);
    *db = handle;
    cr_assert_eq(handle != NULL, rc == LIDO_OK);
    return rc;
}

static sqlite3 *open_path(void)
{
    sqlite3 *db;

    cr_assert_eq(try_connect(NULL, NULL, &db), LIDO_OK, "%s", err.text);
    return db;
}

static void close_db(sqlite3 *db)
{
    cr_assert_eq(driver->close(NULL, db, 0, &err), LIDO_OK, "%s", err.text);
}

static void run(sqlite3 *db, const char *sql)
{
    cr_assert_eq(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK, "%s: %s", sql,
                 sqlite3_errmsg(db));
}

static sqlite3_stmt *start(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *stmt;

    cr_assert_eq(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), SQLITE_OK);
    cr_assert_eq(sqlite3_step(stmt), SQLITE_ROW);
    return stmt;
}

/* The text holds `part`, and is of that code. */
static void expect_said(int code, const char *part)
{
    cr_expect_eq(err.code, code, "%d: %s", err.code, err.text);
    cr_expect_not_null(strstr(err.text, part), "%s", err.text);
}

/* Connect. */

static void expect_no_open(int code, const char *key, const char *value, int why)
{
    sqlite3 *db;

    cr_expect_eq(try_connect(key, value, &db), code);
    expect_said(code, path);
    cr_expect_eq(err.sys_errno, why, "%d: %s", err.sys_errno, err.text);
    expect_said(code, strerror(why));
}

Test(driver_sqlite, what_cannot_be_opened_says_the_path_and_the_reason)
{
    sqlite3 *db = open_path();

    close_db(db);
    in_folder("none/app.db");
    expect_no_open(SQLITE_CANTOPEN, NULL, NULL, ENOENT);
    in_folder("app.db");
    run(db = open_path(), "CREATE TABLE t(x)"); /* a file that there is */
    close_db(db);
    in_folder("app.db/app.db");
    expect_no_open(SQLITE_CANTOPEN, NULL, NULL, ENOTDIR);
    in_folder(".");
    expect_no_open(SQLITE_CANTOPEN, NULL, NULL, EISDIR);
    expect_no_open(SQLITE_CANTOPEN, "mode", "rw", EISDIR);
    expect_no_open(SQLITE_IOERR, "mode", "ro", EISDIR);
}

Test(driver_sqlite, a_file_that_may_not_be_read_says_so)
{
    if (geteuid() == 0) {
        tear_down(); /* a skipped test is not torn down */
        cr_skip_test("root may read everything");
    }
    close(open(path, O_CREAT | O_RDWR, 0600));
    cr_assert_eq(chmod(path, 0), 0);
    expect_no_open(SQLITE_CANTOPEN, NULL, NULL, EACCES);
    expect_no_open(SQLITE_CANTOPEN, "mode", "ro", EACCES);
}

Test(driver_sqlite, a_failing_connect_takes_no_error_too)
{
    struct lido_connect how = { .size = sizeof how, .database = in_folder("none/app.db") };
    void *handle;

    cr_expect_eq(driver->connect(NULL, &how, NULL, &handle, NULL), SQLITE_CANTOPEN);
    cr_expect_null(handle);
}

Test(driver_sqlite, modes_that_do_not_create_leave_no_file)
{
    sqlite3 *db;

    expect_no_open(SQLITE_CANTOPEN, "mode", "ro", ENOENT);
    cr_expect_neq(access(path, F_OK), 0);
    expect_no_open(SQLITE_CANTOPEN, "mode", "rw", ENOENT);
    cr_expect_neq(access(path, F_OK), 0);

    cr_assert_eq(try_connect("mode", "rwc", &db), LIDO_OK);
    run(db, "CREATE TABLE t(x)");
    close_db(db);
    cr_assert_eq(try_connect("mode", "ro", &db), LIDO_OK);
    cr_expect_eq(sqlite3_exec(db, "INSERT INTO t VALUES(1)", NULL, NULL, NULL),
                 SQLITE_READONLY);
    close_db(db);
    cr_assert_eq(try_connect("mode", "rw", &db), LIDO_OK);
    run(db, "INSERT INTO t VALUES(1)");
    close_db(db);
}

Test(driver_sqlite, an_unknown_key_or_mode_is_a_bad_url)
{
    static const char *const modes[] = { "", "RO", "r", "rwcx", "memor", "ro " };
    sqlite3 *db;

    cr_expect_eq(try_connect("cash", "SECRET", &db), LIDO_BAD_URL);
    expect_said(LIDO_BAD_URL, "the key cash");
    expect_said(LIDO_BAD_URL, "takes: cache, ");
    cr_expect_null(strstr(err.text, "SECRET"), "a value may be a secret: %s", err.text);
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        cr_expect_eq(try_connect("mode", modes[i], &db), LIDO_BAD_URL, "%s", modes[i]);
        expect_said(LIDO_BAD_URL, "ro, rw, rwc");
    }
    cr_expect_neq(access(path, F_OK), 0);
}

Test(driver_sqlite, a_name_is_never_taken_for_a_uri)
{
    sqlite3 *db;

    in_folder("file:x?mode=memory");
    db = open_path();
    run(db, "CREATE TABLE t(x)");
    close_db(db);
    cr_expect_eq(access(path, F_OK), 0);
    unlink(path);

    /* Not the absolute path that a pool passes, and many builds would take it. */
    strcpy(path, "file:x?mode=memory");
    cr_expect_eq(try_connect(NULL, NULL, &db), LIDO_BAD_URL);
    expect_said(LIDO_BAD_URL, "uri=1");
}

Test(driver_sqlite, a_connection_has_no_mutex_no_extensions_and_extended_codes)
{
    sqlite3 *db = open_path();
    int may_load = -1;

    cr_expect_null(sqlite3_db_mutex(db));
    sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, -1, &may_load);
    cr_expect_eq(may_load, 0);
    cr_expect_eq(sqlite3_exec(db, "SELECT load_extension('x')", NULL, NULL, NULL),
                 SQLITE_ERROR);
    run(db, "CREATE TABLE t(x PRIMARY KEY); INSERT INTO t VALUES(1)");
    cr_expect_eq(sqlite3_exec(db, "INSERT INTO t VALUES(1)", NULL, NULL, NULL),
                 SQLITE_CONSTRAINT_PRIMARYKEY);
    close_db(db);
}

/* Ping. */

Test(driver_sqlite, a_ping_answers_for_a_file_and_for_memory)
{
    sqlite3 *db = open_path();

    cr_expect_eq(driver->ping(NULL, db, &err), LIDO_OK);
    close_db(db);
    strcpy(path, ":memory:");
    db = open_path();
    cr_expect_eq(driver->ping(NULL, db, &err), LIDO_OK);
    cr_expect_eq(err.code, 0);
    close_db(db);
}

Test(driver_sqlite, a_ping_of_what_is_no_database_names_the_file)
{
    FILE *file = fopen(path, "w");
    sqlite3 *db;

    for (int i = 0; i < 200; i++)
        fputs("This is no database. ", file);
    fclose(file);
    db = open_path();
    cr_expect_eq(driver->ping(NULL, db, &err), SQLITE_NOTADB);
    expect_said(SQLITE_NOTADB, path);
    cr_expect_eq(driver->ping(NULL, db, NULL), SQLITE_NOTADB);
    close_db(db);
}

/* Transactions. */

Test(driver_sqlite, the_state_of_a_transaction_is_what_sqlite_says)
{
    sqlite3 *db = open_path();
    sqlite3_stmt *select;

    run(db, "CREATE TABLE t(x); INSERT INTO t VALUES(1), (2)");
    cr_expect_eq(driver->txn_state(NULL, db), LIDO_TXN_NONE);
    select = start(db, "SELECT x FROM t");
    cr_expect_eq(driver->txn_state(NULL, db), LIDO_TXN_READ);
    sqlite3_finalize(select);
    cr_expect_eq(driver->txn_state(NULL, db), LIDO_TXN_NONE);

    run(db, "BEGIN");
    cr_expect_eq(driver->txn_state(NULL, db), LIDO_TXN_OPEN);
    run(db, "SELECT * FROM t");
    cr_expect_eq(driver->txn_state(NULL, db), LIDO_TXN_READ);
    run(db, "INSERT INTO t VALUES(3)");
    cr_expect_eq(driver->txn_state(NULL, db), LIDO_TXN_WRITE);
    run(db, "COMMIT");

    run(db, "SAVEPOINT s");
    cr_expect_eq(driver->txn_state(NULL, db), LIDO_TXN_OPEN);
    run(db, "RELEASE s; CREATE TEMP TABLE u(x); BEGIN; INSERT INTO temp.u VALUES(1)");
    cr_expect_eq(driver->txn_state(NULL, db), LIDO_TXN_WRITE);
    run(db, "ROLLBACK");
    cr_expect_eq(driver->txn_state(NULL, db), LIDO_TXN_NONE);
    close_db(db);
}

Test(driver_sqlite, begin_takes_the_lock_of_its_mode)
{
    sqlite3 *db = open_path(), *other = open_path();
    int outcome;

    run(db, "CREATE TABLE t(x)");
    cr_assert_eq(driver->begin(NULL, db, LIDO_DEFERRED, &err), LIDO_OK);
    cr_expect_eq(driver->txn_state(NULL, db), LIDO_TXN_OPEN);
    run(other, "INSERT INTO t VALUES(1)");
    cr_assert_eq(driver->rollback(NULL, db, &outcome, &err), LIDO_OK);

    cr_assert_eq(driver->begin(NULL, db, LIDO_IMMEDIATE, &err), LIDO_OK);
    cr_expect_eq(driver->txn_state(NULL, db), LIDO_TXN_WRITE);
    run(other, "SELECT * FROM t");
    cr_expect_eq(driver->begin(NULL, other, LIDO_IMMEDIATE, &err), SQLITE_BUSY);
    expect_said(SQLITE_BUSY, "BEGIN IMMEDIATE: database is locked");
    cr_assert_eq(driver->rollback(NULL, db, &outcome, &err), LIDO_OK);

    cr_assert_eq(driver->begin(NULL, db, LIDO_EXCLUSIVE, &err), LIDO_OK);
    cr_expect_eq(sqlite3_exec(other, "SELECT * FROM t", NULL, NULL, NULL), SQLITE_BUSY);
    cr_expect_eq(driver->begin(NULL, other, LIDO_EXCLUSIVE, &err), SQLITE_BUSY);
    expect_said(SQLITE_BUSY, "BEGIN EXCLUSIVE");
    cr_expect_eq(driver->begin(NULL, db, LIDO_DEFERRED, &err), SQLITE_ERROR);
    expect_said(SQLITE_ERROR, "within a transaction");
    cr_assert_eq(driver->rollback(NULL, db, &outcome, &err), LIDO_OK);
    close_db(other);
    close_db(db);
}

Test(driver_sqlite, a_commit_is_committed_or_meets_a_reader_and_stays_open)
{
    sqlite3 *db = open_path(), *reader = open_path();
    sqlite3_stmt *select;
    int outcome = -1;

    run(db,
        "PRAGMA journal_mode = delete; CREATE TABLE t(x); INSERT INTO t VALUES(1), (2)");
    select = start(reader, "SELECT x FROM t");
    cr_assert_eq(driver->begin(NULL, db, LIDO_IMMEDIATE, &err), LIDO_OK);
    run(db, "INSERT INTO t VALUES(3)");
    cr_expect_eq(driver->commit(NULL, db, &outcome, &err), SQLITE_BUSY);
    expect_said(SQLITE_BUSY, "COMMIT");
    cr_expect_eq(outcome, LIDO_OUTCOME_OPEN);

    sqlite3_finalize(select);
    cr_expect_eq(driver->commit(NULL, db, &outcome, &err), LIDO_OK);
    cr_expect_eq(outcome, LIDO_OUTCOME_COMMITTED);
    run(reader, "CREATE TABLE u AS SELECT 1 / (count(*) = 3) AS y FROM t");
    close_db(reader);
    close_db(db);
}

static int refuse_commit(void *ctx)
{
    (void)ctx;
    return 1;
}

Test(driver_sqlite, a_commit_of_what_sqlite_rolled_back_says_so)
{
    sqlite3 *db = open_path();
    int outcome = -1;

    run(db, "CREATE TABLE t(x UNIQUE ON CONFLICT ROLLBACK); INSERT INTO t VALUES(1)");
    cr_assert_eq(driver->begin(NULL, db, LIDO_DEFERRED, &err), LIDO_OK);
    cr_expect_eq(sqlite3_exec(db, "INSERT INTO t VALUES(1)", NULL, NULL, NULL),
                 SQLITE_CONSTRAINT_UNIQUE);
    cr_expect_eq(driver->commit(NULL, db, &outcome, &err), SQLITE_ERROR);
    expect_said(SQLITE_ERROR, "no transaction is active");
    cr_expect_eq(outcome, LIDO_OUTCOME_ROLLED_BACK);

    /* A commit that a commit hook of SQLite turns into a rollback. */
    cr_assert_eq(driver->begin(NULL, db, LIDO_DEFERRED, &err), LIDO_OK);
    run(db, "INSERT INTO t VALUES(2)");
    sqlite3_commit_hook(db, refuse_commit, NULL);
    cr_expect_eq(driver->commit(NULL, db, &outcome, NULL), SQLITE_CONSTRAINT_COMMITHOOK);
    cr_expect_eq(outcome, LIDO_OUTCOME_ROLLED_BACK);
    close_db(db);
}

static int deny_transactions(void *ctx, int action, const char *a, const char *b,
                             const char *c, const char *d)
{
    (void)ctx, (void)a, (void)b, (void)c, (void)d;
    return action == SQLITE_TRANSACTION ? SQLITE_DENY : SQLITE_OK;
}

Test(driver_sqlite, a_rollback_ends_what_is_open_and_else_does_nothing)
{
    sqlite3 *db = open_path();
    int outcome = -1;

    cr_expect_eq(driver->rollback(NULL, db, &outcome, &err), LIDO_OK);
    cr_expect_eq(outcome, LIDO_OUTCOME_ROLLED_BACK);
    cr_assert_eq(driver->begin(NULL, db, LIDO_IMMEDIATE, &err), LIDO_OK);
    sqlite3_set_authorizer(db, deny_transactions, NULL);
    cr_expect_eq(driver->rollback(NULL, db, &outcome, &err), SQLITE_AUTH);
    cr_expect_eq(outcome, LIDO_OUTCOME_OPEN);
    sqlite3_set_authorizer(db, NULL, NULL);
    cr_expect_eq(driver->rollback(NULL, db, &outcome, &err), LIDO_OK);
    cr_expect_eq(outcome, LIDO_OUTCOME_ROLLED_BACK);
    close_db(db);
}

/* The busy wait. */

static int seen[8], n_seen;

static int wait_three_times(void *ctx, int count)
{
    cr_assert_eq(ctx, (void *)seen);
    cr_assert_lt(n_seen, 8);
    seen[n_seen++] = count;
    return count < 3;
}

Test(driver_sqlite, the_busy_wait_is_asked_with_a_count_until_it_gives_up)
{
    sqlite3 *db = open_path(), *other = open_path();
    int outcome;

    cr_assert_eq(driver->begin(NULL, other, LIDO_IMMEDIATE, &err), LIDO_OK);
    driver->set_busy_wait(NULL, db, wait_three_times, seen);
    for (int round = 0; round < 2; round++) {
        n_seen = 0;
        cr_expect_eq(driver->begin(NULL, db, LIDO_IMMEDIATE, &err), SQLITE_BUSY);
        cr_assert_eq(n_seen, 4);
        for (int i = 0; i < 4; i++)
            cr_expect_eq(seen[i], i);
    }

    /* One that the user sets is overruled by the next. */
    sqlite3_busy_timeout(db, 1);
    driver->set_busy_wait(NULL, db, wait_three_times, seen);
    n_seen = 0;
    cr_expect_eq(driver->begin(NULL, db, LIDO_IMMEDIATE, &err), SQLITE_BUSY);
    cr_expect_eq(n_seen, 4);
    cr_assert_eq(driver->rollback(NULL, other, &outcome, &err), LIDO_OK);
    close_db(other);
    close_db(db);
}

/* Close. */

Test(driver_sqlite, a_close_with_statements_left_names_one_and_they_stay_good)
{
    sqlite3 *db = open_path();
    sqlite3_stmt *one, *two;

    run(db, "CREATE TABLE t(x); INSERT INTO t VALUES(1), (2)");
    one = start(db, "SELECT 'left behind'");
    cr_expect_eq(driver->close(NULL, db, 0, &err), SQLITE_BUSY);
    expect_said(SQLITE_BUSY, "1 statement was");
    expect_said(SQLITE_BUSY, "SELECT 'left behind'");
    sqlite3_finalize(one);

    db = open_path();
    one = start(db, "SELECT x FROM t");
    two = start(db, "SELECT x + 1 FROM t");
    cr_expect_eq(driver->close(NULL, db, 1, &err), SQLITE_BUSY);
    expect_said(SQLITE_BUSY, "2 statements were");
    expect_said(SQLITE_BUSY, "FROM t");
    sqlite3_finalize(one);
    sqlite3_finalize(two);
}

Test(driver_sqlite, a_close_with_a_statement_left_gives_the_locks_back)
{
    sqlite3 *db = open_path(), *other = open_path();
    sqlite3_stmt *left;

    run(db, "CREATE TABLE t(x); BEGIN IMMEDIATE; INSERT INTO t VALUES(1), (2)");
    left = start(db, "SELECT x FROM t");
    sqlite3_set_authorizer(db, deny_transactions, NULL);
    cr_expect_eq(driver->close(NULL, db, 0, NULL), SQLITE_BUSY);
    cr_expect_eq(driver->begin(NULL, other, LIDO_EXCLUSIVE, &err), LIDO_OK, "%s", err.text);
    run(other, "ROLLBACK");
    sqlite3_finalize(left);
    close_db(other);
}

Test(driver_sqlite, a_statement_left_by_a_close_waits_for_no_lock_any_more)
{
    sqlite3 *db = open_path(), *other = open_path();
    sqlite3_stmt *left;

    run(db, "CREATE TABLE t(x)");
    driver->set_busy_wait(NULL, db, wait_three_times, seen);
    cr_assert_eq(sqlite3_prepare_v2(db, "INSERT INTO t VALUES(1)", -1, &left, NULL),
                 SQLITE_OK);
    cr_expect_eq(driver->close(NULL, db, 0, &err), SQLITE_BUSY);
    run(other, "BEGIN IMMEDIATE");
    cr_expect_eq(sqlite3_step(left), SQLITE_BUSY);
    cr_expect_eq(n_seen, 0, "the context of the wait may be gone");
    sqlite3_finalize(left);
    close_db(other);
}

Test(driver_sqlite, a_close_with_a_blob_or_a_backup_left_says_which)
{
    sqlite3 *db = open_path(), *to;
    sqlite3_backup *backup;
    sqlite3_blob *blob;
    char byte;

    run(db, "CREATE TABLE t(x); INSERT INTO t VALUES(x'41')");
    cr_assert_eq(sqlite3_blob_open(db, "main", "t", "x", 1, 0, &blob), SQLITE_OK);
    cr_expect_eq(driver->close(NULL, db, 0, &err), SQLITE_BUSY);
    expect_said(SQLITE_BUSY, "blob");
    cr_expect_eq(sqlite3_blob_read(blob, &byte, 1, 0), SQLITE_OK);
    sqlite3_blob_close(blob);

    db = open_path();
    cr_assert_eq(sqlite3_open(":memory:", &to), SQLITE_OK);
    backup = sqlite3_backup_init(to, "main", db, "main");
    cr_assert_not_null(backup);
    cr_expect_eq(driver->close(NULL, db, 0, &err), SQLITE_BUSY);
    expect_said(SQLITE_BUSY, "backup");
    cr_expect_eq(sqlite3_backup_finish(backup), SQLITE_OK);
    sqlite3_close(to);
}
