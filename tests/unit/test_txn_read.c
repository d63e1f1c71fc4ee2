/* SPDX-License-Identifier: MIT */
/*
 * LIDO_READ and LIDO_CONCURRENT: the snapshot, who refuses to write, and that the refusal ends
 * with the transaction, whatever ends it.
 */
#include "tests/support/handy.h"
#include "tests/support/own_folder.h"
#include "tests/support/worker.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char folder[] = "/tmp/lido-read-XXXXXX";
static struct lido_error err;
static lido_pool *pool;

static void open_kind(const char *kind, const char *query)
{
    struct lido_pool_options options = handy_options(kind);
    char url[200];

    snprintf(url, sizeof url, "sqlite:///%s/a.db?timeout=0&%s", folder, query);
    pool = handy_open_url(url, &options);
}

static int run(const struct lido_conn *conn, const char *sql)
{
    return sqlite3_exec(lido_conn_sqlite(conn), sql, NULL, NULL, NULL);
}

static int first_int(void *out, int columns, char **values, char **names)
{
    (void)columns, (void)names;
    *(int *)out = atoi(values[0]);
    return 0;
}

static int ask(const struct lido_conn *conn, const char *sql)
{
    int answer = -1;

    cr_assert_eq(sqlite3_exec(lido_conn_sqlite(conn), sql, first_int, &answer, NULL), 0,
                 "%s: %s", sql, sqlite3_errmsg(lido_conn_sqlite(conn)));
    return answer;
}

static void set_up(void)
{
    struct lido_conn conn;

    cr_assert_not_null(mkdtemp(folder));
    open_kind("queue", "journal_mode=wal");
    conn = handy_take(pool);
    cr_assert_eq(run(&conn, "CREATE TABLE t (x); INSERT INTO t VALUES (1)"), SQLITE_OK);
    handy_give(&conn);
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
    own_folder_end(folder);
}

TestSuite(txn_read, .init = set_up, .fini = tear_down, .timeout = 30);

static void begin_to_read(const struct lido_conn *conn)
{
    cr_assert_eq(lido_txn_begin(conn, LIDO_READ, &err), LIDO_OK, "%s", err.text);
    cr_assert_eq(run(conn, "INSERT INTO t VALUES (9)"), SQLITE_READONLY);
}

static void expect_writable(const struct lido_conn *conn)
{
    cr_expect_eq(ask(conn, "PRAGMA query_only"), 0);
    cr_expect_eq(run(conn, "INSERT INTO t VALUES (2); DELETE FROM t WHERE x = 2"),
                 SQLITE_OK);
}

/* The snapshot. */

Test(txn_read, sees_what_was_there_when_it_began)
{
    struct lido_conn reader = handy_take(pool), writer = handy_take(pool);

    begin_to_read(&reader);
    cr_expect_eq(lido_txn_state(&reader), LIDO_TXN_READ);
    cr_expect_eq(sqlite3_txn_state(lido_conn_sqlite(&reader), "main"), SQLITE_TXN_READ);
    cr_assert_eq(run(&writer, "INSERT INTO t VALUES (2)"), SQLITE_OK);
    cr_expect_eq(ask(&reader, "SELECT count(*) FROM t"), 1);
    cr_assert_eq(lido_txn_commit(&reader, NULL, &err), LIDO_OK, "%s", err.text);
    cr_expect_eq(ask(&reader, "SELECT count(*) FROM t"), 2);
    /* DEFERRED has none before its first read. */
    cr_assert_eq(lido_txn_begin(&reader, LIDO_DEFERRED, &err), LIDO_OK);
    cr_assert_eq(run(&writer, "INSERT INTO t VALUES (3)"), SQLITE_OK);
    cr_expect_eq(ask(&reader, "SELECT count(*) FROM t"), 3);
    handy_give(&reader);
    handy_give(&writer);
}

Test(txn_read, has_a_snapshot_of_an_empty_file_too)
{
    struct lido_pool_options options = handy_options("static");
    lido_pool *other = handy_open_url("sqlite://", &options);
    struct lido_conn conn = handy_take(other);

    cr_assert_eq(lido_txn_begin(&conn, LIDO_READ, &err), LIDO_OK, "%s", err.text);
    cr_expect_eq(lido_txn_state(&conn), LIDO_TXN_READ);
    handy_give(&conn);
    lido_pool_free(other);
}

Test(txn_read, that_gets_no_snapshot_has_not_begun)
{
    struct lido_conn reader, writer;

    lido_pool_free(pool);
    open_kind("queue", "journal_mode=delete");
    reader = handy_take(pool);
    writer = handy_take(pool);
    cr_assert_eq(lido_txn_begin(&writer, LIDO_EXCLUSIVE, &err), LIDO_OK);
    cr_expect_eq(lido_txn_begin(&reader, LIDO_READ, &err), SQLITE_BUSY);
    cr_expect_str_eq(err.text, "BEGIN to read: database is locked");
    cr_expect_eq(lido_txn_state(&reader), LIDO_TXN_NONE);
    cr_assert_eq(lido_txn_rollback(&writer, &err), LIDO_OK);
    expect_writable(&reader);
    begin_to_read(&reader);
    handy_give(&reader);
    handy_give(&writer);
}

Test(txn_read, is_a_mode_of_the_pool)
{
    struct lido_conn conn;

    lido_pool_free(pool);
    open_kind("queue", "begin=read");
    conn = handy_take(pool);
    cr_assert_eq(lido_txn_begin(&conn, LIDO_BEGIN_DEFAULT, &err), LIDO_OK);
    cr_expect_eq(run(&conn, "INSERT INTO t VALUES (9)"), SQLITE_READONLY);
    cr_assert_eq(lido_txn_rollback(&conn, &err), LIDO_OK);
    cr_assert_eq(lido_txn_savepoint(&conn, "a", &err), LIDO_OK);
    cr_expect_eq(run(&conn, "INSERT INTO t VALUES (9)"), SQLITE_READONLY);
    cr_expect_eq(lido_txn_rollback_to(&conn, "a", &err), LIDO_OK, "%s", err.text);
    cr_assert_eq(lido_txn_commit(&conn, NULL, &err), LIDO_OK);
    expect_writable(&conn);
    handy_give(&conn);
}

/* What is refused. */

Test(txn_read, refuses_every_write_and_goes_on)
{
    static const char *const writes[] = {
        "INSERT INTO t VALUES (2)",
        "UPDATE t SET x = 2",
        "DELETE FROM t",
        "CREATE TABLE u (x)",
        "DROP TABLE t",
        "CREATE TEMP TABLE u (x)",
        "PRAGMA user_version = 3",
        "INSERT OR ROLLBACK INTO t VALUES (2)",
    };
    struct lido_conn conn = handy_take(pool);
    sqlite3_stmt *stmt;

    cr_assert_eq(sqlite3_prepare_v2(lido_conn_sqlite(&conn), "INSERT INTO t VALUES (3)", -1,
                                    &stmt, NULL),
                 SQLITE_OK);
    begin_to_read(&conn);
    for (size_t i = 0; i < sizeof writes / sizeof writes[0]; i++) {
        cr_expect_eq(run(&conn, writes[i]), SQLITE_READONLY, "%s", writes[i]);
        cr_expect_eq(lido_txn_state(&conn), LIDO_TXN_READ, "%s", writes[i]);
    }
    cr_expect_eq(sqlite3_step(stmt), SQLITE_READONLY); /* prepared before */
    sqlite3_reset(stmt);
    cr_assert_eq(lido_txn_commit(&conn, NULL, &err), LIDO_OK, "%s", err.text);
    cr_expect_eq(sqlite3_step(stmt), SQLITE_DONE);
    sqlite3_finalize(stmt);
    cr_expect_eq(ask(&conn, "SELECT sum(x) FROM t"), 4);
    handy_give(&conn);
}

Test(txn_read, leaves_query_only_as_the_pool_has_it)
{
    struct lido_conn conn;

    lido_pool_free(pool);
    open_kind("queue", "query_only=1");
    conn = handy_take(pool);
    begin_to_read(&conn);
    cr_assert_eq(lido_txn_commit(&conn, NULL, &err), LIDO_OK);
    cr_expect_eq(ask(&conn, "PRAGMA query_only"), 1);
    handy_give(&conn);
}

/* What ends it. */

Test(txn_read, ends_with_a_commit_and_with_a_rollback)
{
    struct lido_conn conn = handy_take(pool);

    begin_to_read(&conn);
    cr_assert_eq(lido_txn_commit(&conn, NULL, &err), LIDO_OK, "%s", err.text);
    expect_writable(&conn);
    begin_to_read(&conn);
    cr_assert_eq(lido_txn_rollback(&conn, &err), LIDO_OK, "%s", err.text);
    expect_writable(&conn);
    handy_give(&conn);
}

Test(txn_read, ends_with_the_check_in_also_of_one_that_keeps_the_transaction)
{
    static const char *const resets[] = { "rollback", "commit", "none" };

    for (size_t i = 0; i < 3; i++) {
        struct lido_conn conn;
        char query[40];
        void *was;

        lido_pool_free(pool);
        snprintf(query, sizeof query, "pool_reset_on_return=%s", resets[i]);
        open_kind("queue", query);
        conn = handy_take(pool);
        was = lido_conn_handle(&conn);
        begin_to_read(&conn);
        handy_give(&conn);
        conn = handy_take(pool);
        cr_expect_eq(lido_conn_handle(&conn), was);
        expect_writable(&conn);
        handy_give(&conn);
    }
}

Test(txn_read, ends_with_the_check_in_that_has_temporary_tables_to_drop)
{
    struct lido_conn conn = handy_take(pool);
    void *was = lido_conn_handle(&conn);

    cr_assert_eq(run(&conn, "CREATE TEMP TABLE u (x)"), SQLITE_OK);
    begin_to_read(&conn);
    handy_give(&conn);
    conn = handy_take(pool);
    cr_expect_eq(lido_conn_handle(&conn), was);
    cr_expect_eq(run(&conn, "SELECT * FROM temp.u"), SQLITE_ERROR);
    handy_give(&conn);
}

Test(txn_read, ends_with_the_check_in_after_an_interrupted_statement)
{
    struct lido_conn conn = handy_take(pool);
    sqlite3 *was = lido_conn_sqlite(&conn);
    sqlite3_stmt *stmt;

    cr_assert_eq(run(&conn, "INSERT INTO t VALUES (2), (3)"), SQLITE_OK);
    begin_to_read(&conn);
    cr_assert_eq(sqlite3_prepare_v2(was, "SELECT x FROM t", -1, &stmt, NULL), SQLITE_OK);
    cr_assert_eq(sqlite3_step(stmt), SQLITE_ROW);
    sqlite3_interrupt(was); /* lasts as long as the statement runs */
    cr_assert_eq(run(&conn, "SELECT 1"), SQLITE_INTERRUPT);
    handy_give(&conn);
    conn = handy_take(pool);
    cr_expect_eq(lido_conn_sqlite(&conn), was);
    expect_writable(&conn);
    sqlite3_finalize(stmt);
    handy_give(&conn);
}

Test(txn_read, ends_with_a_commit_or_a_rollback_after_sql_text_ended_it)
{
    struct lido_conn conn = handy_take(pool);

    begin_to_read(&conn);
    cr_assert_eq(run(&conn, "COMMIT"), SQLITE_OK);
    /* lido was not told: nothing is written by accident. */
    cr_expect_eq(run(&conn, "INSERT INTO t VALUES (9)"), SQLITE_READONLY);
    cr_expect_eq(lido_txn_begin(&conn, LIDO_IMMEDIATE, &err), LIDO_TXN_OVER);
    cr_expect_eq(lido_txn_commit(&conn, NULL, &err), LIDO_TXN_OVER);
    expect_writable(&conn);
    begin_to_read(&conn);
    cr_assert_eq(run(&conn, "ROLLBACK"), SQLITE_OK);
    cr_expect_eq(lido_txn_rollback(&conn, &err), LIDO_OK);
    expect_writable(&conn);
    handy_give(&conn);
}

Test(txn_read, ends_with_a_rollback_after_sqlite_rolled_back_by_itself)
{
    struct lido_conn conn = handy_take(pool);
    int rc;

    begin_to_read(&conn);
    cr_assert_eq(run(&conn, "PRAGMA temp_store = memory"), SQLITE_OK);
    sqlite3_hard_heap_limit64(sqlite3_memory_used() + 300000);
    rc = run(&conn, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT "
                    "5000) SELECT randomblob(1000) AS b FROM n, t ORDER BY b");
    sqlite3_hard_heap_limit64(0);
    cr_assert_eq(rc, SQLITE_NOMEM);
    cr_assert_neq(sqlite3_get_autocommit(lido_conn_sqlite(&conn)), 0);
    cr_expect_eq(run(&conn, "INSERT INTO t VALUES (9)"), SQLITE_READONLY);
    cr_expect_eq(lido_txn_savepoint(&conn, "a", &err), LIDO_TXN_OVER);
    cr_expect_eq(lido_txn_rollback(&conn, &err), LIDO_OK);
    expect_writable(&conn);
    handy_give(&conn);
}

Test(txn_read, ends_with_the_connection)
{
    struct lido_conn conn = handy_take(pool);

    begin_to_read(&conn);
    cr_assert_eq(lido_conn_invalidate(&conn, NULL, &err), LIDO_OK);
    conn = handy_take(pool);
    expect_writable(&conn);
    begin_to_read(&conn);
    cr_assert_eq(lido_conn_invalidate_soft(&conn, NULL, &err), LIDO_OK);
    handy_give(&conn);
    conn = handy_take(pool);
    expect_writable(&conn);
    handy_give(&conn);
}

Test(txn_read, leaves_a_handle_of_the_host_s_as_it_was)
{
    struct lido_conn conn;
    int was = -1;
    sqlite3 *db;

    cr_assert_eq(sqlite3_open(":memory:", &db), SQLITE_OK);
    cr_assert_eq(lido_conn_adopt(&conn, pool, db, &err), LIDO_OK, "%s", err.text);
    cr_assert_eq(lido_txn_begin(&conn, LIDO_READ, &err), LIDO_OK);
    handy_give(&conn);
    sqlite3_exec(db, "PRAGMA query_only", first_int, &was, NULL);
    cr_expect_eq(was, 0);
    sqlite3_close(db);
}

/* One connection for all. */

Test(txn_read, of_another_lease_is_not_ended_by_who_has_none)
{
    struct worker worker;
    struct lido_conn conn;

    lido_pool_free(pool);
    open_kind("static", "journal_mode=wal");
    conn = handy_take(pool);
    worker_start(&worker, pool);
    worker_tell(&worker, worker_take);
    begin_to_read(&conn);
    worker_tell(&worker, worker_commit);
    cr_expect_eq(worker.rc, LIDO_NO_TXN);
    worker_tell(&worker, worker_give);
    cr_expect_eq(run(&conn, "INSERT INTO t VALUES (9)"), SQLITE_READONLY);

    /* The next lease's transaction writes, whoever ended the one before. */
    worker_tell(&worker, worker_take);
    cr_assert_eq(run(&conn, "COMMIT"), SQLITE_OK);
    worker_tell(&worker, worker_begin);
    cr_expect_eq(worker.rc, LIDO_OK, "%s", worker.err.text);
    expect_writable(&conn);
    worker_tell(&worker, worker_give);
    cr_assert_eq(lido_txn_rollback(&conn, &err), LIDO_OK);
    begin_to_read(&conn);
    worker_tell(&worker, worker_take);
    handy_give(&conn);
    worker_tell(&worker, worker_begin);
    cr_expect_eq(worker.rc, LIDO_OK, "%s", worker.err.text);
    expect_writable(&worker.conn);
    worker_tell(&worker, worker_give);
    worker_end(&worker);
}

/* Hooks and drivers. */

static int set_mode;
static const char *hook_sql;

static int change_mode(void *ctx, const struct lido_event *event, struct lido_error *out)
{
    (void)ctx, (void)out;
    if (hook_sql != NULL)
        sqlite3_exec(event->sqlite, hook_sql, NULL, NULL, NULL);
    *event->begin_mode = set_mode;
    return LIDO_OK;
}
static const struct lido_events changing = { .size = sizeof changing,
                                             .begin = change_mode };

Test(txn_read, may_be_the_mode_of_a_hook)
{
    struct lido_conn conn = handy_take(pool);

    cr_assert_eq(lido_hooks_add(lido_pool_hooks(pool), NULL, &changing, NULL, NULL, &err),
                 LIDO_OK);
    set_mode = LIDO_READ;
    cr_assert_eq(lido_txn_begin(&conn, LIDO_IMMEDIATE, &err), LIDO_OK);
    cr_expect_eq(run(&conn, "INSERT INTO t VALUES (9)"), SQLITE_READONLY);
    cr_assert_eq(lido_txn_commit(&conn, NULL, &err), LIDO_OK);
    hook_sql = "BEGIN"; /* its own BEGIN is respected, and the mode still refuses writes */
    cr_assert_eq(lido_txn_begin(&conn, LIDO_DEFERRED, &err), LIDO_OK);
    cr_expect_eq(run(&conn, "INSERT INTO t VALUES (9)"), SQLITE_READONLY);
    cr_assert_eq(lido_txn_commit(&conn, NULL, &err), LIDO_OK);
    hook_sql = NULL;
    set_mode = LIDO_CONCURRENT + 1;
    cr_expect_eq(lido_txn_begin(&conn, LIDO_DEFERRED, &err), SQLITE_MISUSE);
    cr_expect_str_eq(err.text, "a begin hook set the mode to 6, which is none");
    handy_give(&conn);
}

static lido_pool *open_fake(struct lido_conn *conn)
{
    struct lido_pool_options options = handy_options("queue");
    lido_pool *fake = handy_open(&options);

    *conn = handy_take(fake);
    fake_driver_calls();
    return fake;
}

Test(txn_read, asks_the_driver_in_this_order)
{
    struct lido_conn conn;
    lido_pool *fake = open_fake(&conn);

    cr_assert_eq(lido_txn_begin(&conn, LIDO_READ, &err), LIDO_OK);
    cr_assert_eq(lido_txn_commit(&conn, NULL, &err), LIDO_OK);
    cr_expect_str_eq(fake_driver_calls(),
                     "read-only=1 1, begin-read 1, commit 1, read-only=0 1");
    cr_assert_eq(lido_txn_begin(&conn, LIDO_DEFERRED, &err), LIDO_OK);
    handy_give(&conn);
    cr_expect_str_eq(fake_driver_calls(),
                     "begin-deferred 1, reset 1"); /* nothing is asked */
    lido_pool_free(fake);
}

Test(txn_read, that_fails_on_its_way_is_undone)
{
    int outcome;
    struct lido_conn conn;
    lido_pool *fake = open_fake(&conn);

    fake_driver_fail(1, SQLITE_IOERR);
    cr_expect_eq(lido_txn_begin(&conn, LIDO_READ, &err), SQLITE_IOERR);
    cr_expect_str_eq(fake_driver_calls(), "read-only=1 1!");
    fake_driver_fail(2, SQLITE_BUSY);
    cr_expect_eq(lido_txn_begin(&conn, LIDO_READ, &err), SQLITE_BUSY);
    cr_expect_str_eq(fake_driver_calls(), "read-only=1 1, begin-read 1!, read-only=0 1");

    /* What could not be undone is told, and tried again. */
    cr_assert_eq(lido_txn_begin(&conn, LIDO_READ, &err), LIDO_OK);
    fake_driver_fail(2, SQLITE_IOERR);
    cr_expect_eq(lido_txn_commit(&conn, &outcome, &err), SQLITE_IOERR);
    cr_expect_eq(outcome, LIDO_OUTCOME_COMMITTED);
    fake_driver_calls();
    cr_assert_eq(lido_txn_begin(&conn, LIDO_DEFERRED, &err), LIDO_OK);
    cr_expect_str_eq(fake_driver_calls(), "read-only=0 1, begin-deferred 1");
    cr_assert_eq(lido_txn_rollback(&conn, &err), LIDO_OK);
    cr_assert_eq(lido_txn_begin(&conn, LIDO_READ, &err), LIDO_OK);
    fake_driver_fail(2, SQLITE_IOERR);
    cr_expect_eq(lido_txn_rollback(&conn, &err), SQLITE_IOERR);
    fake_driver_calls();
    fake_driver_fail(1, SQLITE_IOERR);
    handy_give(&conn);
    cr_expect_str_eq(fake_driver_calls(), "read-only=0 1!, reset 1, read-only=0 1");
    conn = handy_take(fake);
    cr_expect_eq(handy_number(&conn), 1);
    handy_give(&conn);
    lido_pool_free(fake);
}

Test(txn_read, needs_a_driver_that_can_refuse_writes)
{
    static struct lido_driver plain;
    struct lido_pool_options options = handy_options("static");
    struct lido_conn conn;
    lido_pool *other;

    plain = *lido_driver_sqlite();
    plain.name = "plain";
    plain.property = NULL;
    cr_assert_eq(lido_driver_register("plain", &plain, NULL, &err), LIDO_OK);
    other = handy_open_url("plain://", &options);
    conn = handy_take(other);
    cr_expect_eq(lido_txn_begin(&conn, LIDO_READ, &err), SQLITE_MISUSE);
    cr_expect_str_eq(err.text, "the driver plain has no transactions that refuse writes");
    handy_give(&conn);
    lido_pool_free(other);
    cr_expect_eq(lido_pool_open(&other, "plain://?begin=read", NULL, &err),
                 LIDO_BAD_OPTION);
}

Test(txn_read, concurrent_is_refused_where_sqlite_has_it_not)
{
    struct lido_conn conn = handy_take(pool);
    lido_pool *other;

    if ((lido_driver_sqlite()->capabilities & LIDO_DRIVER_HAS_CONCURRENT) == 0) {
        cr_expect_eq(lido_txn_begin(&conn, LIDO_CONCURRENT, &err), SQLITE_MISUSE);
        cr_expect_eq(
            strncmp(err.text, "the driver sqlite has no BEGIN CONCURRENT: it is ", 40), 0);
        cr_expect_not_null(strstr(err.text, sqlite3_libversion()));
        cr_expect_eq(lido_pool_open(&other, "sqlite://?begin=concurrent", NULL, &err),
                     LIDO_BAD_OPTION);
        cr_expect_eq(lido_driver_sqlite()->begin(NULL, lido_conn_handle(&conn),
                                                 LIDO_CONCURRENT, &err),
                     SQLITE_ERROR);
        cr_expect_not_null(strstr(err.text, "near \"CONCURRENT\""), "%s", err.text);
    } else {
        cr_expect_eq(lido_txn_begin(&conn, LIDO_CONCURRENT, &err), LIDO_OK);
    }
    handy_give(&conn);
}

static int begun_mode;

static int begin_concurrent(void *ctx, void *handle, int mode, struct lido_error *out)
{
    begun_mode = mode;
    return lido_driver_sqlite()->begin(ctx, handle,
                                       mode == LIDO_CONCURRENT ? LIDO_DEFERRED : mode, out);
}

Test(txn_read, concurrent_reaches_a_driver_that_has_it)
{
    static struct lido_driver able;
    struct lido_pool_options options = handy_options("static");
    struct lido_conn conn;
    lido_pool *other;

    able = *lido_driver_sqlite();
    able.name = "able";
    able.capabilities |= LIDO_DRIVER_HAS_CONCURRENT;
    able.begin = begin_concurrent;
    cr_assert_eq(lido_driver_register("able", &able, NULL, &err), LIDO_OK);
    other = handy_open_url("able://?begin=concurrent", &options);
    conn = handy_take(other);
    cr_assert_eq(lido_txn_begin(&conn, LIDO_BEGIN_DEFAULT, &err), LIDO_OK);
    cr_expect_eq(begun_mode, LIDO_CONCURRENT);
    cr_assert_eq(lido_txn_rollback(&conn, &err), LIDO_OK);
    begun_mode = 0;
    cr_assert_eq(lido_txn_begin(&conn, LIDO_CONCURRENT, &err), LIDO_OK);
    cr_expect_eq(begun_mode, LIDO_CONCURRENT);
    cr_expect_eq(run(&conn, "CREATE TABLE u (x)"), SQLITE_OK);
    handy_give(&conn);
    lido_pool_free(other);
}
