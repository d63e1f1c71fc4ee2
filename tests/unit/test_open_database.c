/* SPDX-License-Identifier: MIT */
/*
 * Opening on SQLite: which kind a database has if none is named, what a memory database is
 * told, and the profile.
 */
#include "pool/pool.h"
#include "tests/support/fake_driver.h"
#include "tests/support/own_folder.h"
#include <lido/lido.h>

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char folder[] = "/tmp/lido-database-XXXXXX";
static struct lido_error err;

static void set_up(void)
{
    cr_assert_not_null(mkdtemp(folder));
    fake_driver_install();
}

static void tear_down(void)
{
    static const char *const names[] = { "a.db", "a.db-wal", "a.db-shm" };
    char path[100];

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        unlink(path);
    }
    own_folder_end(folder);
}

TestSuite(open_database, .init = set_up, .fini = tear_down, .timeout = 20);

static lido_pool *open_pool(const char *url)
{
    lido_pool *pool;

    cr_assert_eq(lido_pool_open(&pool, url, NULL, &err), LIDO_OK, "%s: %s", url, err.text);
    return pool;
}

static void expect_refused(const char *url, const char *text)
{
    lido_pool *pool;

    err = (struct lido_error)LIDO_ERROR_INIT;
    cr_assert_eq(lido_pool_open(&pool, url, NULL, &err), LIDO_BAD_URL, "%s: %s", url,
                 err.text);
    cr_assert_null(pool);
    cr_assert_not_null(strstr(err.text, text), "%s: %s", url, err.text);
}

static struct lido_conn take(lido_pool *pool)
{
    struct lido_conn conn;

    cr_assert_eq(lido_pool_checkout(pool, &conn, NULL, &err), LIDO_OK, "%s", err.text);
    return conn;
}

/* The first column of the first row, or -1. */
static int number(const struct lido_conn *conn, const char *sql)
{
    sqlite3_stmt *stmt = NULL;
    int answer = -1;

    if (sqlite3_prepare_v2(lido_conn_sqlite(conn), sql, -1, &stmt, NULL) == SQLITE_OK &&
        sqlite3_step(stmt) == SQLITE_ROW)
        answer = sqlite3_column_int(stmt, 0);
    sqlite3_finalize(stmt);
    return answer;
}

static void execute(const struct lido_conn *conn, const char *sql)
{
    char *said = NULL;

    cr_assert_eq(sqlite3_exec(lido_conn_sqlite(conn), sql, NULL, NULL, &said), SQLITE_OK,
                 "%s: %s", sql, said);
}

Test(open_database, memory_gives_singleton_thread_and_a_file_null)
{
    static const struct {
        const char *url, *kind;
        bool is_memory, is_named;
    } databases[] = {
        { "sqlite://", "singleton_thread", true, false },
        { "sqlite:///:memory:", "singleton_thread", true, false },
        { "sqlite:///?check_same_thread=true", "singleton_thread", true, false },
        { "sqlite:///foo.db", "null", false, false },
        { "sqlite+pysqlite:///foo.db", "null", false, false },
        { "sqlite:////nowhere/foo.db", "null", false, false },
        { "sqlite:///foo.db?mode=memory", "singleton_thread", true, false },
        { "sqlite:///file:foo.db?mode=memory&uri=true", "singleton_thread", true, false },
        { "sqlite:///file:/name?uri=true&vfs=memdb", "null", false, true },
        { "sqlite:///foo.db?pool=queue", "queue", false, false },
        { "sqlite://?pool=static", "static", true, false },
        { "sqlite://?pool=null", "null", true, false },
        { "sqlite://?pool=assertion", "assertion", true, false },
    };

    for (size_t i = 0; i < sizeof databases / sizeof databases[0]; i++) {
        lido_pool *pool = open_pool(databases[i].url);

        cr_assert_str_eq(pool->config.kind->name, databases[i].kind, "%s",
                         databases[i].url);
        cr_assert_eq(pool->config.is_memory, databases[i].is_memory, "%s",
                     databases[i].url);
        cr_assert_eq(pool->config.needs_anchor, databases[i].is_named, "%s",
                     databases[i].url);
        lido_pool_free(pool);
    }
}

Test(open_database, a_queue_on_a_memory_database_is_refused_with_what_to_use)
{
    static const char *const urls[] = { "sqlite://?pool=queue",
                                        "sqlite:///:memory:?pool=queue",
                                        "sqlite:///x?mode=memory&pool=queue" };

    for (size_t i = 0; i < 3; i++) {
        expect_refused(urls[i], "pool=static");
        cr_assert_not_null(strstr(err.text, "singleton_thread"));
        cr_assert_not_null(strstr(err.text, "sqlite:///file:/NAME?uri=1&vfs=memdb"),
                           "cut: %s", err.text);
    }
}

Test(open_database, what_the_refusal_says_to_use_works)
{
    static const char *const urls[] = { "sqlite://?pool=static",
                                        "sqlite://?pool=singleton_thread",
                                        "sqlite:///file:/NAME?uri=1&vfs=memdb&pool=queue" };

    for (size_t i = 0; i < 3; i++) {
        lido_pool *pool = open_pool(urls[i]);
        struct lido_conn conn = take(pool);

        execute(&conn, "CREATE TABLE t (x); INSERT INTO t VALUES (7)");
        cr_assert_eq(lido_conn_checkin(&conn, NULL, &err), LIDO_OK, "%s", err.text);
        conn = take(pool);
        cr_assert_eq(number(&conn, "SELECT x FROM t"), 7, "%s", urls[i]);
        cr_assert_eq(lido_conn_checkin(&conn, NULL, &err), LIDO_OK, "%s", err.text);
        lido_pool_free(pool);
    }
}

Test(open_database, null_on_a_memory_database_is_empty_at_each_checkout)
{
    lido_pool *pool = open_pool("sqlite://?pool=null");
    struct lido_conn conn = take(pool);

    execute(&conn, "CREATE TABLE t (x)");
    cr_assert_eq(lido_conn_checkin(&conn, NULL, &err), LIDO_OK);
    conn = take(pool);
    cr_assert_eq(number(&conn, "SELECT count(*) FROM sqlite_master"), 0);
    cr_assert_eq(lido_conn_checkin(&conn, NULL, &err), LIDO_OK);
    lido_pool_free(pool);
}

Test(open_database, a_named_memory_database_lives_as_long_as_its_pool)
{
    lido_pool *pool = open_pool("sqlite:///file:/lives?uri=1&vfs=memdb&pool=null");
    struct lido_conn conn = take(pool);

    execute(&conn, "CREATE TABLE t (x)");
    cr_assert_eq(lido_conn_checkin(&conn, NULL, &err), LIDO_OK);
    conn = take(pool);
    cr_assert_eq(number(&conn, "SELECT count(*) FROM t"), 0, "it is there");
    cr_assert_eq(lido_conn_checkin(&conn, NULL, &err), LIDO_OK);
    lido_pool_free(pool);
    pool = open_pool("sqlite:///file:/lives?uri=1&vfs=memdb&pool=null");
    conn = take(pool);
    cr_assert_eq(number(&conn, "SELECT count(*) FROM sqlite_master"), 0, "it is gone");
    cr_assert_eq(lido_conn_checkin(&conn, NULL, &err), LIDO_OK);
    lido_pool_free(pool);
}

/* A pragma of the connection that keeps it alive meets another pool's lock. */
Test(open_database, a_named_memory_database_that_is_locked_is_waited_for)
{
    static const char *const url = "sqlite:///file:/locked?uri=1&vfs=memdb&pool=queue";
    lido_pool *pool = open_pool(url), *second;
    struct lido_conn conn = take(pool);
    char with_pragma[100];

    execute(&conn, "CREATE TABLE t (x); BEGIN EXCLUSIVE");
    snprintf(with_pragma, sizeof with_pragma, "%s&timeout=0.01&synchronous=normal", url);
    cr_assert_eq(lido_pool_open(&second, with_pragma, NULL, &err), SQLITE_BUSY, "%s",
                 err.text);
    execute(&conn, "COMMIT");
    cr_assert_eq(lido_pool_open(&second, with_pragma, NULL, &err), LIDO_OK, "%s", err.text);
    lido_pool_free(second);
    cr_assert_eq(lido_conn_checkin(&conn, NULL, &err), LIDO_OK);
    lido_pool_free(pool);
}

/* --- begin ---------------------------------------------------------------------------- */

Test(open_database, isolation_level_is_another_name_of_begin)
{
    static const struct {
        const char *query;
        int mode;
    } levels[] = {
        { "isolation_level=IMMEDIATE", LIDO_IMMEDIATE },
        { "isolation_level=exclusive", LIDO_EXCLUSIVE },
        { "isolation_level=SERIALIZABLE&begin=immediate", LIDO_IMMEDIATE },
        { "isolation_level=IMMEDIATE&begin=immediate", LIDO_IMMEDIATE },
        { "isolation_level=AUTOCOMMIT", LIDO_DEFERRED },
        { "isolation_level=DEFERRED&profile=server", LIDO_DEFERRED },
    };
    struct lido_pool_options options = LIDO_POOL_OPTIONS_INIT;
    lido_pool *pool;
    char url[100];

    for (size_t i = 0; i < sizeof levels / sizeof levels[0]; i++) {
        snprintf(url, sizeof url, "sqlite:///x.db?%s", levels[i].query);
        pool = open_pool(url);
        cr_assert_eq(pool->config.begin_mode, levels[i].mode, "%s", url);
        lido_pool_free(pool);
    }
    expect_refused("sqlite:///x.db?isolation_level=IMMEDIATE&begin=exclusive",
                   "isolation_level=IMMEDIATE contradicts begin=exclusive");
    options.begin_mode = LIDO_EXCLUSIVE;
    cr_assert_eq(
        lido_pool_open(&pool, "sqlite:///x?isolation_level=IMMEDIATE", &options, &err),
        LIDO_OK, "%s", err.text);
    cr_assert_eq(pool->config.begin_mode, LIDO_EXCLUSIVE);
    lido_pool_free(pool);
}

/* --- the profile ---------------------------------------------------------------------- */

static lido_pool *open_file(const char *query, const struct lido_pool_options *options)
{
    lido_pool *pool;
    char url[200];

    snprintf(url, sizeof url, "sqlite:///%s/a.db?%s", folder, query);
    cr_assert_eq(lido_pool_open(&pool, url, options, &err), LIDO_OK, "%s: %s", url,
                 err.text);
    return pool;
}

Test(open_database, profile_server_is_five_settings_in_one_word)
{
    lido_pool *pool = open_file("profile=server", NULL);
    struct lido_conn conn = take(pool);

    cr_assert_str_eq(pool->config.kind->name, "queue");
    cr_assert_eq(pool->config.begin_mode, LIDO_IMMEDIATE);
    cr_assert_eq(number(&conn, "SELECT journal_mode = 'wal' FROM pragma_journal_mode"), 1);
    cr_assert_eq(number(&conn, "PRAGMA foreign_keys"), 1);
    cr_assert_eq(number(&conn, "PRAGMA synchronous"), 1);
    cr_assert_eq(lido_conn_checkin(&conn, NULL, &err), LIDO_OK);
    lido_pool_free(pool);
}

Test(open_database, a_key_beats_the_profile)
{
    lido_pool *pool = open_file("foreign_keys=off&profile=server&synchronous=full&"
                                "begin=deferred&pool=assertion",
                                NULL);
    struct lido_conn conn = take(pool);

    cr_assert_str_eq(pool->config.kind->name, "assertion");
    cr_assert_eq(pool->config.begin_mode, LIDO_DEFERRED);
    cr_assert_eq(number(&conn, "SELECT journal_mode = 'wal' FROM pragma_journal_mode"), 1);
    cr_assert_eq(number(&conn, "PRAGMA foreign_keys"), 0);
    cr_assert_eq(number(&conn, "PRAGMA synchronous"), 2);
    cr_assert_eq(lido_conn_checkin(&conn, NULL, &err), LIDO_OK);
    lido_pool_free(pool);
}

Test(open_database, a_field_beats_the_profile)
{
    struct lido_pool_options options = LIDO_POOL_OPTIONS_INIT;
    lido_pool *pool;

    options.pool = "null";
    options.begin_mode = LIDO_EXCLUSIVE;
    pool = open_file("profile=server", &options);
    cr_assert_str_eq(pool->config.kind->name, "null");
    cr_assert_eq(pool->config.begin_mode, LIDO_EXCLUSIVE);
    lido_pool_free(pool);
}

Test(open_database, a_profile_is_for_a_file_of_sqlite)
{
    expect_refused("sqlite:///x.db?profile=desktop", "profile=desktop is not server");
    expect_refused("sqlite://?profile=server", "is for a file");
    expect_refused("sqlite:///file:/n?uri=1&vfs=memdb&profile=server", "is for a file");
    expect_refused("fake:///x?profile=server", "the driver fake knows none");
}

/* --- keys of nobody ------------------------------------------------------------------- */

Test(open_database, an_unknown_key_is_answered_by_those_of_lido)
{
    expect_refused("fake:///x?pool_siez=3", "pool_siez");
    cr_assert_not_null(strstr(err.text, "lido knows: pool, order"), "%s", err.text);
    cr_assert_not_null(strstr(err.text, "pool_timeout"), "%s", err.text);
    expect_refused("sqlite:///x?pool_siez=3", "pool_siez");
}

Test(open_database, the_key_of_a_manager_is_no_pool_s)
{
    expect_refused("sqlite:///x?sa_pool_key=a", "sa_pool_key is for a manager");
}
