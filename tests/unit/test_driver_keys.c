/* SPDX-License-Identifier: MIT */
/*
 * The keys of the built-in driver that are no pragmas, the key callback, and handles that
 * threads share.
 */
#include "driver/sqlite.h"
#include "driver/url.h"
#include "own_folder.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct lido_driver *driver;
static struct lido_error err;
static char folder[40], path[80];
static struct lido_connect how;

static const char *in_folder(const char *name)
{
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void set_up(void)
{
    strcpy(folder, "/tmp/lido-keys-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
    in_folder("app.db");
    driver = lido_driver_sqlite();
}

static void tear_down(void)
{
    unlink(in_folder("app.db"));
    unlink(in_folder("a b?#%.db"));
    rmdir(in_folder("app.db.lock"));
    own_folder_end(folder);
}

TestSuite(driver_keys, .init = set_up, .fini = tear_down, .timeout = 20);

/* By the URL sqlite:/// and what follows. */
static int try_open(sqlite3 **db, const char *rest)
{
    char text[300];
    struct lido__url url;
    void *handle;
    int rc;

    memset(&err, 0, sizeof err);
    snprintf(text, sizeof text, "sqlite:///%s", rest);
    cr_assert_eq(lido__url_parse(&url, text, &err), LIDO_OK, "%s", err.text);
    how.size = sizeof how;
    how.url = url.base;
    how.database = url.database;
    how.params = url.params;
    how.n_params = url.n_params;
    rc = driver->check(NULL, &how, &err);
    if (rc == LIDO_OK)
        rc = driver->connect(NULL, &how, NULL, &handle, &err);
    else
        handle = NULL;
    *db = handle;
    lido__url_fini(&url);
    return rc;
}

/* `path` with these keys. */
static sqlite3 *open_with(const char *keys)
{
    char rest[200];
    sqlite3 *db;

    snprintf(rest, sizeof rest, "%s?%s", path, keys);
    cr_assert_eq(try_open(&db, rest), LIDO_OK, "%s: %s", keys, err.text);
    return db;
}

static void refuse(const char *keys, int code, const char *part)
{
    char rest[200];
    sqlite3 *db;

    snprintf(rest, sizeof rest, "%s?%s", path, keys);
    cr_expect_eq(try_open(&db, rest), code, "%s: %s", keys, err.text);
    cr_expect_null(db);
    cr_expect_not_null(strstr(err.text, part), "%s: %s", keys, err.text);
}

static void run(sqlite3 *db, const char *sql)
{
    cr_assert_eq(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK, "%s: %s", sql,
                 sqlite3_errmsg(db));
}

Test(driver_keys, mode_memory_makes_no_file)
{
    sqlite3 *db = open_with("mode=memory");

    run(db, "CREATE TABLE t(x)");
    cr_expect_neq(access(path, F_OK), 0);
    sqlite3_close(db);
}

Test(driver_keys, immutable_takes_no_lock_whatever_the_path_is)
{
    sqlite3 *locker, *db;

    in_folder("a b%3f%23%25.db");
    locker = open_with("mode=rwc");
    run(locker, "CREATE TABLE t(x); BEGIN EXCLUSIVE");
    db = open_with("mode=ro");
    cr_expect_eq(sqlite3_exec(db, "SELECT * FROM t", NULL, NULL, NULL), SQLITE_BUSY);
    sqlite3_close(db);
    db = open_with("mode=ro&immutable=false");
    cr_expect_eq(sqlite3_exec(db, "SELECT * FROM t", NULL, NULL, NULL), SQLITE_BUSY);
    sqlite3_close(db);
    db = open_with("mode=ro&immutable=true");
    run(db, "SELECT * FROM t");
    cr_expect_str_eq(strrchr(sqlite3_db_filename(db, "main"), '/'), "/a b?#%.db");
    sqlite3_close(db);
    sqlite3_close(locker);
    in_folder("a b?#%.db");
    cr_expect_eq(access(path, F_OK), 0);
    in_folder("app.db");
    refuse("immutable=perhaps", LIDO_BAD_URL, "immutable=perhaps");
    cr_assert_eq(try_open(&db, ":memory:?immutable=1"), LIDO_OK);
    sqlite3_close(db);
}

Test(driver_keys, vfs_is_one_that_sqlite_has)
{
    sqlite3 *db = open_with("vfs=unix-dotfile");
    char lock[100];

    run(db, "CREATE TABLE t(x); BEGIN IMMEDIATE");
    snprintf(lock, sizeof lock, "%s.lock", path);
    cr_expect_eq(access(lock, F_OK), 0);
    run(db, "COMMIT");
    sqlite3_close(db);
    refuse("vfs=unix-none-such", LIDO_BAD_URL, "no VFS of this name");
}

Test(driver_keys, cache_is_private_and_shared_is_refused_with_the_reason)
{
    char rest[150];
    sqlite3 *db = open_with("cache=private");

    sqlite3_close(db);
    refuse("cache=shared", LIDO_BAD_URL, "vfs=memdb");
    refuse("cache=other", LIDO_BAD_URL, "cache=other");
    snprintf(rest, sizeof rest, "file:%s%%3fcache=shared?uri=1", path);
    cr_expect_eq(try_open(&db, rest), LIDO_BAD_URL);
    cr_expect_not_null(strstr(err.text, "cache=shared"), "%s", err.text);
    cr_expect_eq(try_open(&db, "file::memory:?cache=shared&uri=true"), LIDO_BAD_URL);
}

Test(driver_keys, with_a_uri_the_keys_that_nobody_knows_are_sqlites)
{
    char rest[150];
    const char *name;
    sqlite3 *db;

    snprintf(rest, sizeof rest, "file:%s?zz=1%%262&mode=rwc&uri=true&nolock=1&dqs=1", path);
    cr_assert_eq(try_open(&db, rest), LIDO_OK, "%s", err.text);
    name = sqlite3_db_filename(db, "main");
    cr_expect_str_eq(name, path);
    cr_expect_str_eq(sqlite3_uri_parameter(name, "nolock"), "1");
    cr_expect_str_eq(sqlite3_uri_parameter(name, "zz"), "1&2");
    cr_expect_null(sqlite3_uri_parameter(name, "dqs"));
    cr_expect_null(sqlite3_uri_parameter(name, "mode"));
    sqlite3_close(db);

    refuse("uri=true&zz=1", LIDO_BAD_URL, "the key zz");
    snprintf(rest, sizeof rest, "file:%s?uri=true&mode=ro&immutable=1", path);
    cr_assert_eq(try_open(&db, rest), LIDO_OK, "%s", err.text);
    cr_expect_str_eq(sqlite3_uri_parameter(sqlite3_db_filename(db, "main"), "immutable"),
                     "1");
    cr_expect_eq(sqlite3_db_readonly(db, "main"), 1);
    sqlite3_close(db);
    cr_expect_eq(try_open(&db, "file:/none/such.db?uri=true&mode=rw"), SQLITE_CANTOPEN);
    cr_expect_not_null(strstr(err.text, "file:/none/such.db"), "%s", err.text);
    cr_expect_eq(try_open(&db, "file://host/x.db?uri=true"), SQLITE_ERROR);
    cr_expect_not_null(strstr(err.text, "authority"), "%s", err.text);
}

Test(driver_keys, numbers_of_pysqlite_are_looked_at)
{
    sqlite3_close(open_with("detect_types=3"));
    refuse("detect_types=-1", LIDO_BAD_URL, "the least is 0");
    refuse("detect_types=x", LIDO_BAD_URL, "detect_types=x");
}

/* The key callback. */

static int keyed, key_answer;
static sqlite3_stmt *left;

static int set_key(void *ctx, sqlite3 *db, struct lido_error *e)
{
    int is_on = -1;

    cr_assert_eq(ctx, (void *)&keyed);
    keyed++;
    sqlite3_db_config(db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, -1, &is_on);
    cr_expect_eq(is_on, 1, "before the safe settings, which are SQLite's own now");
    cr_expect_eq(sqlite3_get_autocommit(db), 1);
    if (key_answer != LIDO_OK) {
        sqlite3_prepare_v2(db, "SELECT 1", -1, &left, NULL);
        return lido_fail(e, key_answer, "no key for this tenant");
    }
    return LIDO_OK;
}

Test(driver_keys, the_key_callback_comes_first_and_may_refuse)
{
    FILE *file = fopen(path, "w");
    sqlite3 *db;

    for (int i = 0; i < 2000; i++)
        fputc(rand(), file); /* what an encrypted file looks like without its key */
    fclose(file);
    how.key = set_key;
    how.key_ctx = &keyed;
    refuse("foreign_keys=1&journal_mode=wal", SQLITE_NOTADB, "journal_mode=wal");
    cr_expect_eq(keyed, 1);
    key_answer = SQLITE_AUTH;
    refuse("foreign_keys=1", SQLITE_AUTH, "no key for this tenant");
    cr_expect_eq(sqlite3_finalize(left), SQLITE_OK, "it was the last to hold the handle");
    key_answer = LIDO_OK;
    db = open_with("foreign_keys=1");
    cr_expect_eq(keyed, 3);
    cr_expect_eq(driver->ping(NULL, db, &err), SQLITE_NOTADB);
    sqlite3_close(db);
}

/* Shared handles. */

static sqlite3_mutex *mutex;

static void *try_mutex(void *is_free)
{
    *(int *)is_free = sqlite3_mutex_try(mutex) == SQLITE_OK;
    if (*(int *)is_free)
        sqlite3_mutex_leave(mutex);
    return NULL;
}

/* Nothing has left it locked. */
static void expect_free(const char *after)
{
    pthread_t thread;
    int is_free = 0;

    cr_assert_eq(pthread_create(&thread, NULL, try_mutex, &is_free), 0);
    pthread_join(thread, NULL);
    cr_expect(is_free, "%s", after);
}

static int seen_locked;

static int look_at_mutex(void *ctx, int count)
{
    pthread_t thread;
    int is_free = 1;

    (void)ctx, (void)count;
    pthread_create(&thread, NULL, try_mutex, &is_free);
    pthread_join(thread, NULL);
    seen_locked += !is_free;
    return 0;
}

Test(driver_keys, a_shared_handle_is_locked_while_it_is_asked_and_no_longer)
{
    struct lido_reset found = { .size = sizeof found };
    sqlite3 *db, *locker = open_with("mode=rwc");
    int outcome;

    cr_expect_null(sqlite3_db_mutex(locker), "it has one user");
    run(locker, "CREATE TABLE t(x); BEGIN IMMEDIATE");
    how.is_shared = 1;
    db = open_with("mode=rw");
    mutex = sqlite3_db_mutex(db);
    cr_assert_not_null(mutex);
    driver->set_busy_wait(NULL, db, look_at_mutex, NULL);
    cr_expect_eq(driver->begin(NULL, db, LIDO_IMMEDIATE, &err), SQLITE_BUSY);
    cr_expect_eq(seen_locked, 1);
    expect_free("a begin that failed");
    run(locker, "COMMIT");
    cr_expect_eq(driver->begin(NULL, db, LIDO_IMMEDIATE, &err), LIDO_OK);
    expect_free("begin");
    cr_expect_eq(driver->txn_state(NULL, db), LIDO_TXN_WRITE);
    expect_free("txn_state");
    cr_expect_eq(driver->commit(NULL, db, &outcome, &err), LIDO_OK);
    expect_free("commit");
    cr_expect_eq(driver->rollback(NULL, db, &outcome, &err), LIDO_OK);
    expect_free("rollback");
    cr_expect_eq(driver->reset(NULL, db, LIDO_RESET_ROLLBACK, &found, &err), LIDO_OK);
    expect_free("reset");
    cr_expect_eq(driver->ping(NULL, db, &err), LIDO_OK);
    expect_free("ping");
    sqlite3_close(db);
    sqlite3_close(locker);
}

Test(driver_keys, a_busy_wait_of_null_takes_the_other_away)
{
    sqlite3 *locker = open_with("mode=rwc"), *db;

    run(locker, "BEGIN IMMEDIATE");
    how.busy_wait = look_at_mutex;
    how.is_shared = 1;
    db = open_with("mode=rw");
    mutex = sqlite3_db_mutex(db);
    cr_expect_eq(driver->begin(NULL, db, LIDO_IMMEDIATE, &err), SQLITE_BUSY);
    cr_expect_eq(seen_locked, 1, "it is there from connect on");
    driver->set_busy_wait(NULL, db, NULL, &err);
    cr_expect_eq(driver->begin(NULL, db, LIDO_IMMEDIATE, &err), SQLITE_BUSY);
    cr_expect_eq(seen_locked, 1);
    sqlite3_close(db);
    sqlite3_close(locker);
}
