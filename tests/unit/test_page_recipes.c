/* SPDX-License-Identifier: MIT */
/*
 * The listeners of SQLAlchemy's page on SQLite, in C, each under its name there, and what the
 * page promises of them.
 *
 *     do_connect          the driver begins and commits nothing by itself
 *     do_begin            each transaction begins by BEGIN, as SQL text; the page names
 *                         BEGIN IMMEDIATE and BEGIN EXCLUSIVE in its place
 *     set_sqlite_pragma   PRAGMA foreign_keys=ON on each connection of each engine
 *
 * do_connect is `isolation_level=None` in the URL, as pysqlite has it.  That it does
 * something shows against `autobegin=read`, by which lido begins as the DB-API does.
 * https://docs.sqlalchemy.org/en/20/dialects/sqlite.html
 *
 * Threads: one.
 */
#include "tests/support/handy.h"
#include "tests/support/own_folder.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char folder[] = "/tmp/lido-recipes-XXXXXX";
static struct lido_error err;
static lido_pool *pool;

#define OK(call) cr_assert_eq((call), LIDO_OK, "%s", err.text)

static void open_kind(const char *kind, const char *keys)
{
    struct lido_pool_options options = handy_options(kind);
    char url[200];

    snprintf(url, sizeof url, "sqlite:///%s/a.db?timeout=0&%s", folder, keys);
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

static int ask_db(sqlite3 *db, const char *sql)
{
    int answer = -1;

    cr_assert_eq(sqlite3_exec(db, sql, first_int, &answer, NULL), SQLITE_OK, "%s: %s", sql,
                 sqlite3_errmsg(db));
    return answer;
}

static int ask(const struct lido_conn *conn, const char *sql)
{
    return ask_db(lido_conn_sqlite(conn), sql);
}

static void set_up(void)
{
    cr_assert_not_null(mkdtemp(folder));
}

static void tear_down(void)
{
    static const char *const names[] = { "a.db", "a.db-journal", "a.db-wal", "a.db-shm" };
    char path[100];

    handy_end(pool);
    for (int i = 0; i < 4; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        unlink(path);
    }
    own_folder_end(folder);
}

TestSuite(page_recipes, .init = set_up, .fini = tear_down, .timeout = 30);

/* What reaches SQLite of a lease, but for reading and writing rows. */

static char line[400];

static int note_sql(unsigned what, void *ctx, void *stmt, void *sql)
{
    static const char *const words[] = { "BEGIN",     "COMMIT",  "ROLLBACK",
                                         "SAVEPOINT", "RELEASE", "CREATE" };
    size_t used = strlen(line);

    (void)what, (void)ctx, (void)stmt;
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strncmp(sql, words[i], strlen(words[i])) == 0)
            snprintf(line + used, sizeof line - used, "%s%s", used > 0 ? "; " : "",
                     (const char *)sql);
    return 0;
}

static void expect_line(const char *expected)
{
    cr_expect_str_eq(line, expected);
    line[0] = '\0';
}

static struct lido_conn take_noted(void)
{
    struct lido_conn conn = handy_take(pool);

    sqlite3_trace_v2(lido_conn_sqlite(&conn), SQLITE_TRACE_STMT, note_sql, NULL);
    line[0] = '\0';
    return conn;
}

/* Nobody writes the line behind the test's back. */
static void give_noted(struct lido_conn *conn)
{
    sqlite3_trace_v2(lido_conn_sqlite(conn), 0, NULL, NULL);
    handy_give(conn);
}

/* conn.execute("BEGIN"), by lido's own call; and by SQLite's, on the raw connection. */

static int do_begin(void *text, const struct lido_event *event, struct lido_error *e)
{
    return lido_conn_exec(event->conn, text, e);
}

static int do_begin_raw(void *text, const struct lido_event *event, struct lido_error *e)
{
    int rc = sqlite3_exec(event->sqlite, text, NULL, NULL, NULL);

    return rc == SQLITE_OK ? LIDO_OK
                           : lido_fail(e, rc, "%s", sqlite3_errmsg(event->sqlite));
}

static const struct lido_events recipe = { .size = sizeof recipe, .begin = do_begin };
static const struct lido_events recipe_raw = { .size = sizeof recipe_raw,
                                               .begin = do_begin_raw };

static char plain[] = "BEGIN", immediate[] = "BEGIN IMMEDIATE",
            exclusive[] = "BEGIN EXCLUSIVE";

static lido_hook listen_to_begin(const struct lido_events *events, char *text)
{
    lido_hook hook;

    OK(lido_hooks_add(lido_pool_hooks(pool), &hook, events, text, NULL, &err));
    return hook;
}

/* A pool with both listeners, and a table. */
static void open_with_recipe(const char *journal_mode, char *text)
{
    char keys[100];
    struct lido_conn conn;

    snprintf(keys, sizeof keys, "isolation_level=None&autobegin=read&journal_mode=%s",
             journal_mode);
    open_kind("queue", keys);
    listen_to_begin(&recipe, text);
    conn = handy_take(pool);
    cr_assert_eq(run(&conn, "CREATE TABLE t (x)"), SQLITE_OK);
    handy_give(&conn);
}

static int begin(const struct lido_conn *conn)
{
    return lido_txn_begin(conn, LIDO_BEGIN_DEFAULT, &err);
}

/* do_connect. */

Test(page_recipes, the_driver_s_own_begin_is_off)
{
    struct lido_conn conn;

    open_kind("queue", "autobegin=read");
    conn = take_noted();
    OK(lido_conn_exec(&conn, "SELECT 1; CREATE TABLE t (x)", &err));
    expect_line("BEGIN DEFERRED; CREATE TABLE t (x)");
    give_noted(&conn);
    handy_end(pool);

    open_kind("queue", "autobegin=read&isolation_level=None");
    conn = take_noted();
    OK(lido_conn_exec(&conn, "SELECT 1; CREATE TABLE t (x)", &err));
    expect_line("CREATE TABLE t (x)");
    cr_expect_eq(lido_txn_state(&conn), LIDO_TXN_NONE);
    give_noted(&conn);
}

/* do_begin. */

Test(page_recipes, begin_is_what_the_listener_emits_and_that_once)
{
    const struct {
        char *text;
        int state, second;
    } cases[] = {
        { plain, LIDO_TXN_OPEN, LIDO_OK },
        { immediate, LIDO_TXN_WRITE, SQLITE_BUSY },
        { exclusive, LIDO_TXN_WRITE, SQLITE_BUSY },
    };
    const struct lido_events *const by[] = { &recipe, &recipe_raw };

    open_kind("queue", "isolation_level=None&autobegin=read");
    for (size_t i = 0; i < 6; i++) {
        char *text = cases[i / 2].text, wanted[60];
        lido_hook hook = listen_to_begin(by[i % 2], text);
        struct lido_conn conn = take_noted(), other = handy_take(pool);

        OK(begin(&conn));
        cr_expect_eq(lido_txn_state(&conn), cases[i / 2].state, "%s", text);
        cr_expect_eq(begin(&conn), LIDO_IN_TXN, "%s", text);
        cr_expect_eq(begin(&other), cases[i / 2].second, "%s: %s", text, err.text);
        OK(lido_conn_exec(&conn, "CREATE TABLE IF NOT EXISTS t (x)", &err));
        OK(lido_txn_commit(&conn, NULL, &err));
        cr_expect_eq(lido_txn_state(&conn), LIDO_TXN_NONE);
        snprintf(wanted, sizeof wanted, "%s; CREATE TABLE IF NOT EXISTS t (x); COMMIT",
                 text);
        expect_line(wanted);
        handy_give(&other);
        give_noted(&conn);
        OK(lido_hooks_remove(lido_pool_hooks(pool), hook, &err));
    }
}

static int note_state(void *state, const struct lido_conn *conn, struct lido_error *e)
{
    (void)e;
    *(int *)state = lido_txn_state(conn);
    return LIDO_OK;
}

Test(page_recipes, a_run_begins_by_the_listener_too)
{
    int state = LIDO_TXN_NONE;

    open_with_recipe("wal", immediate);
    OK(lido_pool_run(pool, LIDO_DEFERRED, note_state, &state, NULL, &err));
    cr_expect_eq(state, LIDO_TXN_WRITE);
}

/* SERIALIZABLE isolation. */

Test(page_recipes, what_was_read_stays_so_until_the_end)
{
    struct lido_conn reader, writer;

    open_with_recipe("wal", plain);
    reader = handy_take(pool);
    writer = handy_take(pool);
    OK(begin(&reader));
    cr_expect_eq(ask(&reader, "SELECT count(*) FROM t"), 0);
    OK(begin(&writer));
    cr_assert_eq(run(&writer, "INSERT INTO t VALUES (1)"), SQLITE_OK);
    cr_expect_eq(ask(&reader, "SELECT count(*) FROM t"), 0, "not committed");
    OK(lido_txn_commit(&writer, NULL, &err));
    cr_expect_eq(ask(&reader, "SELECT count(*) FROM t"), 0, "committed later");
    OK(lido_txn_commit(&reader, NULL, &err));
    cr_expect_eq(ask(&reader, "SELECT count(*) FROM t"), 1);
    handy_give(&writer);
    handy_give(&reader);
}

Test(page_recipes, who_has_read_is_waited_for_by_the_commit)
{
    struct lido_conn reader, writer;
    int outcome;

    open_with_recipe("delete", plain);
    reader = handy_take(pool);
    writer = handy_take(pool);
    OK(begin(&reader));
    cr_expect_eq(ask(&reader, "SELECT count(*) FROM t"), 0);
    OK(begin(&writer));
    cr_assert_eq(run(&writer, "INSERT INTO t VALUES (1)"), SQLITE_OK);
    cr_expect_eq(lido_txn_commit(&writer, &outcome, &err), SQLITE_BUSY);
    cr_expect_eq(outcome, LIDO_OUTCOME_OPEN);
    cr_expect_eq(ask(&reader, "SELECT count(*) FROM t"), 0);
    OK(lido_txn_commit(&reader, NULL, &err));
    OK(lido_txn_commit(&writer, NULL, &err));
    cr_expect_eq(ask(&reader, "SELECT count(*) FROM t"), 1);
    handy_give(&writer);
    handy_give(&reader);
}

/* Both read that nobody is there, and each would be the first. */
static void expect_no_write_skew(const char *journal_mode, int code)
{
    static const char insert[] =
        "INSERT INTO t SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM t)";
    struct lido_conn one, two;

    open_with_recipe(journal_mode, plain);
    one = handy_take(pool);
    two = handy_take(pool);
    OK(begin(&one));
    OK(begin(&two));
    cr_expect_eq(ask(&one, "SELECT count(*) FROM t"), 0);
    cr_expect_eq(ask(&two, "SELECT count(*) FROM t"), 0);
    cr_assert_eq(run(&one, insert), SQLITE_OK);
    if (code == SQLITE_BUSY_SNAPSHOT)
        OK(lido_txn_commit(&one, NULL, &err));
    cr_expect_eq(run(&two, insert), code);
    OK(lido_txn_rollback(&two, &err));
    if (code == SQLITE_BUSY)
        OK(lido_txn_commit(&one, NULL, &err));
    cr_expect_eq(ask(&two, "SELECT count(*) FROM t"), 1);
    handy_give(&two);
    handy_give(&one);
}

Test(page_recipes, of_two_that_read_the_same_one_may_write)
{
    expect_no_write_skew("wal", SQLITE_BUSY_SNAPSHOT);
}

Test(page_recipes, of_two_that_read_the_same_one_may_write_without_wal)
{
    expect_no_write_skew("delete", SQLITE_BUSY);
}

Test(page_recipes, begin_exclusive_keeps_readers_out_too)
{
    struct lido_conn writer, reader;

    open_with_recipe("delete", exclusive);
    writer = handy_take(pool);
    reader = handy_take(pool);
    OK(begin(&writer));
    cr_expect_eq(run(&reader, "SELECT * FROM t"), SQLITE_BUSY);
    OK(lido_txn_commit(&writer, NULL, &err));
    cr_expect_eq(run(&reader, "SELECT * FROM t"), SQLITE_OK);
    handy_give(&reader);
    handy_give(&writer);
}

Test(page_recipes, begin_immediate_lets_readers_read)
{
    struct lido_conn writer, reader;

    open_with_recipe("delete", immediate);
    writer = handy_take(pool);
    reader = handy_take(pool);
    OK(begin(&writer));
    cr_assert_eq(run(&writer, "INSERT INTO t VALUES (1)"), SQLITE_OK);
    cr_expect_eq(ask(&reader, "SELECT count(*) FROM t"), 0);
    cr_expect_eq(run(&reader, "INSERT INTO t VALUES (2)"), SQLITE_BUSY);
    OK(lido_txn_commit(&writer, NULL, &err));
    handy_give(&reader);
    handy_give(&writer);
}

/* Savepoints. */

Test(page_recipes, a_savepoint_rolls_back_alone_and_with_the_whole)
{
    struct lido_conn conn;

    open_with_recipe("wal", plain);
    for (int commits = 1; commits >= 0; commits--) {
        conn = take_noted();
        cr_assert_eq(run(&conn, "DELETE FROM t"), SQLITE_OK);
        OK(begin(&conn));
        cr_assert_eq(run(&conn, "INSERT INTO t VALUES (1)"), SQLITE_OK);
        OK(lido_txn_savepoint(&conn, "a", &err));
        cr_assert_eq(run(&conn, "INSERT INTO t VALUES (10)"), SQLITE_OK);
        OK(lido_txn_rollback_to(&conn, "a", &err));
        cr_assert_eq(run(&conn, "INSERT INTO t VALUES (100)"), SQLITE_OK);
        OK(lido_txn_release(&conn, "a", &err));
        OK(commits ? lido_txn_commit(&conn, NULL, &err) : lido_txn_rollback(&conn, &err));
        cr_expect_eq(ask(&conn, "SELECT total(x) FROM t"), commits ? 101 : 0);
        expect_line(commits ? "BEGIN; SAVEPOINT \"a\"; ROLLBACK TO \"a\"; RELEASE \"a\"; "
                              "COMMIT"
                            : "BEGIN; SAVEPOINT \"a\"; ROLLBACK TO \"a\"; RELEASE \"a\"; "
                              "ROLLBACK");
        give_noted(&conn);
    }
}

/* The last release of a savepoint that began the transaction itself would commit. */
Test(page_recipes, a_savepoint_alone_begins_by_the_listener)
{
    struct lido_conn conn;

    open_with_recipe("wal", immediate);
    conn = take_noted();
    OK(lido_txn_savepoint(&conn, "a", &err));
    cr_assert_eq(run(&conn, "INSERT INTO t VALUES (1)"), SQLITE_OK);
    OK(lido_txn_release(&conn, "a", &err));
    OK(lido_txn_rollback(&conn, &err));
    expect_line("BEGIN IMMEDIATE; SAVEPOINT \"a\"; RELEASE \"a\"; ROLLBACK");
    cr_expect_eq(ask(&conn, "SELECT count(*) FROM t"), 0);
    give_noted(&conn);
}

/* Transactional DDL. */

static const char columns_of_t[] = "SELECT count(*) FROM pragma_table_info('t')";

Test(page_recipes, ddl_is_rolled_back_with_the_transaction)
{
    struct lido_conn conn;

    open_with_recipe("wal", plain);
    conn = take_noted();
    OK(begin(&conn));
    OK(lido_conn_exec(&conn, "INSERT INTO t VALUES (1)", &err));
    OK(lido_conn_exec(&conn, "ALTER TABLE t ADD COLUMN z; CREATE TABLE u (y)", &err));
    cr_expect_eq(ask(&conn, columns_of_t), 2);
    OK(lido_txn_rollback(&conn, &err));
    expect_line("BEGIN; CREATE TABLE u (y); ROLLBACK");
    cr_expect_eq(ask(&conn, columns_of_t), 1);
    cr_expect_eq(ask(&conn, "SELECT count(*) FROM sqlite_master"), 1);
    cr_expect_eq(ask(&conn, "SELECT count(*) FROM t"), 0);
    give_noted(&conn);
}

Test(page_recipes, ddl_is_rolled_back_with_a_savepoint)
{
    struct lido_conn conn;

    open_with_recipe("wal", plain);
    conn = handy_take(pool);
    OK(begin(&conn));
    OK(lido_conn_exec(&conn, "INSERT INTO t VALUES (1)", &err));
    OK(lido_txn_savepoint(&conn, "a", &err));
    OK(lido_conn_exec(&conn, "DROP TABLE t; CREATE TABLE t (p, q, r)", &err));
    cr_expect_eq(ask(&conn, columns_of_t), 3);
    OK(lido_txn_rollback_to(&conn, "a", &err));
    OK(lido_txn_commit(&conn, NULL, &err));
    cr_expect_eq(ask(&conn, columns_of_t), 1);
    cr_expect_eq(ask(&conn, "SELECT count(*) FROM t"), 1);
    handy_give(&conn);
}
