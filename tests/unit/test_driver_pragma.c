/* SPDX-License-Identifier: MIT */
/*
 * Pragmas and safe settings on a new connection: each takes, in its order, or says why not.
 */
#include "driver/sqlite.h"
#include "driver/url.h"
#include "own_folder.h"

#include <criterion/criterion.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct lido_error err;
static char folder[40], path[60];
static struct lido_connect how;

/* What SQLite is made to say of itself. */
static int version, lying_setting;
static const char *compiled_out;

int __real_sqlite3_compileoption_used(const char *name);
int __real_sqlite3_libversion_number(void);
int __real_sqlite3_db_config(sqlite3 *db, int setting, ...);

int __wrap_sqlite3_compileoption_used(const char *name)
{
    return compiled_out != NULL ? strcmp(name, compiled_out) == 0
                                : __real_sqlite3_compileoption_used(name);
}

int __wrap_sqlite3_libversion_number(void)
{
    return version != 0 ? version : __real_sqlite3_libversion_number();
}

int __wrap_sqlite3_db_config(sqlite3 *db, int setting, ...)
{
    va_list arguments;
    int wanted, *is_on, rc;

    va_start(arguments, setting);
    wanted = va_arg(arguments, int);
    is_on = va_arg(arguments, int *);
    va_end(arguments);
    rc = __real_sqlite3_db_config(db, setting, wanted, is_on);
    if (setting == lying_setting)
        *is_on = !wanted;
    return rc;
}

static void set_up(void)
{
    strcpy(folder, "/tmp/lido-pragma-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/app.db", folder);
}

static void tear_down(void)
{
    static const char *const ends[] = { "", "-wal", "-shm", "-journal" };
    char name[80];

    for (size_t i = 0; i < 4; i++) {
        snprintf(name, sizeof name, "%s%s", path, ends[i]);
        unlink(name);
    }
    own_folder_end(folder);
}

TestSuite(driver_pragma, .init = set_up, .fini = tear_down, .timeout = 20);

/* Connects to `path` with these keys. */
static int connect_to(const char *database, const char *keys, sqlite3 **db)
{
    char text[400];
    struct lido__url url;
    void *handle;
    int rc;

    memset(&err, 0, sizeof err);
    snprintf(text, sizeof text, "sqlite:///%s?%s", database, keys);
    cr_assert_eq(lido__url_parse(&url, text, &err), LIDO_OK, "%s", err.text);
    how.size = sizeof how;
    how.url = url.base;
    how.database = url.database;
    how.params = url.params;
    how.n_params = url.n_params;
    rc = lido_driver_sqlite()->check(NULL, &how, &err);
    if (rc == LIDO_OK)
        rc = lido_driver_sqlite()->connect(NULL, &how, NULL, &handle, &err);
    else
        handle = NULL;
    *db = handle;
    lido__url_fini(&url);
    cr_assert_eq(handle == NULL, rc != LIDO_OK);
    return rc;
}

static sqlite3 *open_with(const char *keys)
{
    sqlite3 *db;

    cr_assert_eq(connect_to(path, keys, &db), LIDO_OK, "%s: %s", keys, err.text);
    return db;
}

static void refuse(const char *database, const char *keys, int code, const char *part)
{
    sqlite3 *db;

    cr_expect_eq(connect_to(database, keys, &db), code, "%s: %s", keys, err.text);
    cr_expect_eq(err.code, code, "%s", keys);
    cr_expect_not_null(strstr(err.text, part), "%s: %s", keys, err.text);
    sqlite3_close(db);
}

static const char *ask(sqlite3 *db, const char *sql)
{
    static char answer[80];
    sqlite3_stmt *stmt;

    cr_assert_eq(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), SQLITE_OK, "%s: %s", sql,
                 sqlite3_errmsg(db));
    answer[0] = '\0';
    if (sqlite3_step(stmt) == SQLITE_ROW)
        snprintf(answer, sizeof answer, "%s", (const char *)sqlite3_column_text(stmt, 0));
    sqlite3_finalize(stmt);
    return answer;
}

Test(driver_pragma, each_takes_and_is_what_sqlite_says_then)
{
    static const struct {
        const char *key, *value, *answer;
    } cases[] = {
        { "analysis_limit", "100", "100" },
        { "auto_vacuum", "incremental", "2" },
        { "auto_vacuum", "FULL", "1" },
        { "auto_vacuum", "0", "0" },
        { "automatic_index", "off", "0" },
        { "cache_size", "-4000", "-4000" },
        { "cache_size", "77", "77" },
        { "cell_size_check", "yes", "1" },
        { "checkpoint_fullfsync", "1", "1" },
        { "foreign_keys", "on", "1" },
        { "foreign_keys", "off", "0" },
        { "fullfsync", "true", "1" },
        { "ignore_check_constraints", "t", "1" },
        { "journal_mode", "wal", "wal" },
        { "journal_mode", "DELETE", "delete" },
        { "journal_mode", "truncate", "truncate" },
        { "journal_mode", "persist", "persist" },
        { "journal_mode", "memory", "memory" },
        { "journal_mode", "off", "off" },
        { "journal_size_limit", "9999999999", "9999999999" },
        { "journal_size_limit", "-1", "-1" },
        { "locking_mode", "exclusive", "exclusive" },
        { "locking_mode", "normal", "normal" },
        { "max_page_count", "1000", "1000" },
        { "mmap_size", "1048576", "1048576" },
        { "mmap_size", "0", "0" },
        { "page_size", "8192", "8192" },
        { "query_only", "y", "1" },
        { "read_uncommitted", "1", "1" },
        { "recursive_triggers", "1", "1" },
        { "reverse_unordered_selects", "1", "1" },
        { "secure_delete", "fast", "2" },
        { "secure_delete", "off", "0" },
        { "synchronous", "normal", "1" },
        { "synchronous", "OFF", "0" },
        { "synchronous", "extra", "3" },
        { "synchronous", "2", "2" },
        { "temp_store", "memory", "2" },
        { "temp_store", "default", "0" },
        { "threads", "2", "2" },
        { "wal_autocheckpoint", "0", "0" },
        { "wal_autocheckpoint", "123", "123" },
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char keys[80], sql[80];
        sqlite3 *db;

        cr_expect(lido__sqlite_takes(cases[i].key), "%s", cases[i].key);
        snprintf(keys, sizeof keys, "%s=%s", cases[i].key, cases[i].value);
        snprintf(sql, sizeof sql, "PRAGMA %s", cases[i].key);
        unlink(path);
        db = open_with(keys);
        cr_expect_str_eq(ask(db, sql), cases[i].answer, "%s: %s", keys, ask(db, sql));
        cr_assert_eq(sqlite3_close(db), SQLITE_OK);
    }
}

Test(driver_pragma, case_sensitive_like_takes_though_it_cannot_be_asked_for)
{
    sqlite3 *db = open_with("case_sensitive_like=1");

    cr_expect_str_eq(ask(db, "SELECT 'a' LIKE 'A'"), "0");
    sqlite3_close(db);
    db = open_with("case_sensitive_like=0");
    cr_expect_str_eq(ask(db, "SELECT 'a' LIKE 'A'"), "1");
    sqlite3_close(db);
}

Test(driver_pragma, values_are_read_and_never_pasted)
{
    refuse(path, "foreign_keys=1;DROP TABLE t", LIDO_BAD_URL, "foreign_keys=1;DROP");
    refuse(path, "foreign_keys=2", LIDO_BAD_URL, "true, yes");
    refuse(path, "cache_size=1 ", LIDO_BAD_URL, "whole number");
    refuse(path, "cache_size=0x10", LIDO_BAD_URL, "whole number");
    refuse(path, "cache_size=2147483648", LIDO_BAD_URL, "up to 2147483647");
    refuse(path, "cache_size=-2147483648", LIDO_BAD_URL, "whole number");
    refuse(path, "journal_size_limit=-2", LIDO_BAD_URL, "the least is -1");
    refuse(path, "mmap_size=9223372036854775808", LIDO_BAD_URL, "9223372036854775807");
    refuse(path, "journal_mode=walk", LIDO_BAD_URL,
           "delete, truncate, persist, memory, wal, off");
    refuse(path, "journal_mode=4", LIDO_BAD_URL, "none of");
    refuse(path, "synchronous=4", LIDO_BAD_URL, "off, normal, full, extra");
    refuse(path, "synchronous=11", LIDO_BAD_URL, "none of");
    refuse(path, "page_size=1000", LIDO_BAD_URL, "power of two");
    refuse(path, "page_size=256", LIDO_BAD_URL, "the least is 512");
    refuse(path, "page_size=131072", LIDO_BAD_URL, "65536");
    cr_expect_neq(access(path, F_OK), 0, "all were found before anything was opened");
}

Test(driver_pragma, others_are_no_keys)
{
    refuse(path, "user_version=1", LIDO_BAD_URL, "user_version");
    refuse(path, "Foreign_Keys=1", LIDO_BAD_URL, "Foreign_Keys");
    refuse(path, "soft_heap_limit=1", LIDO_BAD_URL, "soft_heap_limit");
    refuse(path, "busy_timeout=1", LIDO_BAD_URL, "use timeout");
    cr_expect_not(lido__sqlite_takes("user_version"));
    cr_expect_not(lido__sqlite_takes("pool_size"));
}

/* Order. */

Test(driver_pragma, are_applied_in_the_order_of_the_url)
{
    sqlite3 *db = open_with("page_size=8192&journal_mode=wal");

    cr_expect_str_eq(ask(db, "PRAGMA page_size"), "8192");
    sqlite3_close(db);
    unlink(path);
    refuse(path, "journal_mode=wal&page_size=8192", LIDO_SETTING,
           "page_size=8192 did not take: SQLite says 4096");
}

/* What does not take. */

Test(driver_pragma, that_does_not_take_is_told_with_what_sqlite_says)
{
    sqlite3 *db = open_with("journal_mode=delete");

    refuse(":memory:", "journal_mode=wal", LIDO_SETTING,
           "journal_mode=wal did not take: SQLite says memory");
    refuse(":memory:", "mmap_size=4096", LIDO_SETTING, "SQLite has none here");
    sqlite3_exec(db, "CREATE TABLE t(x)", NULL, NULL, NULL);
    refuse(path, "mode=ro&journal_mode=wal", SQLITE_READONLY, "journal_mode=wal");
    refuse(path, "page_size=16384", LIDO_SETTING, "SQLite says 4096");
    refuse(path, "max_page_count=1", LIDO_SETTING, "max_page_count=1 did not take");
    refuse(path, "auto_vacuum=full", LIDO_SETTING, "SQLite says 0");
    sqlite3_close(db);
}

static int refuse_pragma(void *ctx, int action, const char *name, const char *value,
                         const char *database, const char *trigger)
{
    (void)ctx, (void)database, (void)trigger;
    return action == SQLITE_PRAGMA && value != NULL && strcmp(name, "foreign_keys") == 0
               ? SQLITE_IGNORE
               : SQLITE_OK;
}

static int ignore_foreign_keys(void *ctx, sqlite3 *db, struct lido_error *e)
{
    (void)ctx, (void)e;
    return sqlite3_set_authorizer(db, refuse_pragma, NULL);
}

static int begin(void *ctx, sqlite3 *db, struct lido_error *e)
{
    (void)ctx, (void)e;
    return sqlite3_exec(db, "BEGIN", NULL, NULL, NULL);
}

Test(driver_pragma, foreign_keys_say_which_prerequisite_fails)
{
    how.key = ignore_foreign_keys;
    refuse(path, "foreign_keys=1", LIDO_SETTING, "SQLite says 0");
    version = 3006018;
    refuse(path, "foreign_keys=1", LIDO_SETTING, "since 3.6.19");
    version = 0;
    compiled_out = "OMIT_FOREIGN_KEY";
    refuse(path, "foreign_keys=1", LIDO_SETTING, "SQLITE_OMIT_FOREIGN_KEY");
    compiled_out = "OMIT_TRIGGER";
    refuse(path, "foreign_keys=1", LIDO_SETTING, "SQLITE_OMIT_TRIGGER");
    compiled_out = NULL;
    how.key = begin;
    refuse(path, "foreign_keys=1", LIDO_SETTING, "a transaction is open");
    refuse(path, "synchronous=off", LIDO_SETTING,
           "synchronous=off cannot be set: a transaction is open");
    how.key = NULL;
    sqlite3_close(open_with("foreign_keys=1"));
}

/* Locks. */

static sqlite3 *locker;
static int waits, unlock_at;

static int wait_and_unlock(void *ctx, int count)
{
    cr_assert_eq(ctx, (void *)&waits);
    waits++;
    if (count == unlock_at)
        sqlite3_exec(locker, "COMMIT", NULL, NULL, NULL);
    return count < 5;
}

Test(driver_pragma, waits_for_a_lock_by_the_wait_that_it_was_given)
{
    sqlite3 *db;

    locker = open_with("journal_mode=delete");
    sqlite3_exec(locker, "CREATE TABLE t(x); BEGIN EXCLUSIVE", NULL, NULL, NULL);
    refuse(path, "journal_mode=wal", SQLITE_BUSY, "journal_mode=wal: database is locked");

    how.busy_wait = wait_and_unlock;
    how.busy_ctx = &waits;
    unlock_at = 99;
    refuse(path, "journal_mode=wal", SQLITE_BUSY, "journal_mode=wal");
    cr_expect_geq(waits, 6);
    unlock_at = 3;
    db = open_with("journal_mode=wal");
    cr_expect_str_eq(ask(db, "PRAGMA journal_mode"), "wal");
    sqlite3_close(db);
    sqlite3_close(locker);
}

/* Isolation. */

Test(driver_pragma, isolation_level_is_read_uncommitted_or_says_nothing)
{
    static const struct {
        const char *value, *answer;
    } cases[] = {
        { "SERIALIZABLE", "0" },
        { "READ UNCOMMITTED", "1" },
        { "READ_UNCOMMITTED", "1" },
        { "read uncommitted", "1" },
        { "AUTOCOMMIT", "0" },
        { "IMMEDIATE", "0" },
        { "deferred", "0" },
        { "EXCLUSIVE", "0" },
        { "None", "0" },
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char keys[60];
        sqlite3 *db;

        snprintf(keys, sizeof keys, "isolation_level=%s", cases[i].value);
        db = open_with(keys);
        cr_expect_str_eq(ask(db, "PRAGMA read_uncommitted"), cases[i].answer, "%s", keys);
        cr_expect_eq(sqlite3_get_autocommit(db), 1);
        sqlite3_close(db);
    }
    refuse(path, "isolation_level=REPEATABLE READ", LIDO_BAD_URL, "SERIALIZABLE, READ");
    refuse(path, "isolation_level=REPEATABLE READ", LIDO_BAD_URL, "DEFERRED, IMMEDIATE");
    refuse(path, "isolation_level=SERIALIZABLE                    ", LIDO_BAD_URL,
           "none of");
}

Test(driver_pragma, isolation_level_is_the_begin_mode_or_says_nothing)
{
    static const struct {
        const char *value;
        int mode;
    } cases[] = {
        { "DEFERRED", LIDO_DEFERRED },   { "immediate", LIDO_IMMEDIATE },
        { "Exclusive", LIDO_EXCLUSIVE }, { "None", 42 },
        { "SERIALIZABLE", 42 },          { "AUTOCOMMIT", 42 },
    };
    struct lido__isolation empty;
    struct lido__url url;
    int mode;

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[60];

        mode = 42;
        snprintf(text, sizeof text, "sqlite://?isolation_level=%s", cases[i].value);
        cr_assert_eq(lido__url_parse(&url, text, &err), LIDO_OK);
        cr_expect_eq(lido__url_isolation_level(&url, &mode, &err), LIDO_OK);
        cr_expect_eq(mode, cases[i].mode, "%s", text);
        lido__url_fini(&url);
    }
    cr_assert_eq(lido__url_parse(&url, "sqlite://", &err), LIDO_OK);
    cr_expect_eq(lido__url_isolation_level(&url, &mode, &err), LIDO_OK);
    cr_expect_eq(mode, 42);
    lido__url_fini(&url);
    cr_assert_eq(lido__url_parse(&url, "sqlite://?isolation_level=x", &err), LIDO_OK);
    cr_expect_eq(lido__url_isolation_level(&url, &mode, &err), LIDO_BAD_URL);
    lido__url_fini(&url);
    cr_expect_eq(lido__value_isolation("", &empty, &err), LIDO_OK);
    cr_expect_eq(empty.begin_mode, LIDO_DEFERRED);
}

/* Safe settings. */

static int setting(sqlite3 *db, int which)
{
    int is_on = -1;

    cr_assert_eq(__real_sqlite3_db_config(db, which, -1, &is_on), SQLITE_OK);
    return is_on;
}

Test(driver_pragma, a_connection_is_safe_unless_a_key_says_otherwise)
{
    static const struct {
        const char *keys;
        int extension, dqs, trusted;
    } cases[] = {
        { "mode=rwc", 0, 0, 0 },
        { "load_extension=1", 1, 0, 0 },
        { "dqs=on", 0, 1, 0 },
        { "trusted_schema=yes", 0, 0, 1 },
        { "dqs=0&trusted_schema=0&load_extension=0", 0, 0, 0 },
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        sqlite3 *db = open_with(cases[i].keys);
        int rc = sqlite3_exec(db, "SELECT \"no such name\"", NULL, NULL, NULL);

        cr_expect_eq(setting(db, SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION),
                     cases[i].extension);
        cr_expect_eq(setting(db, SQLITE_DBCONFIG_DQS_DDL), cases[i].dqs);
        cr_expect_eq(setting(db, SQLITE_DBCONFIG_DQS_DML), cases[i].dqs);
        cr_expect_eq(setting(db, SQLITE_DBCONFIG_TRUSTED_SCHEMA), cases[i].trusted);
        cr_expect_eq(rc, cases[i].dqs ? SQLITE_OK : SQLITE_ERROR);
        cr_expect_eq(sqlite3_exec(db, "SELECT load_extension('x')", NULL, NULL, NULL),
                     SQLITE_ERROR, "the SQL function stays off");
        sqlite3_close(db);
    }
    refuse(path, "dqs=maybe", LIDO_BAD_URL, "dqs=maybe");
}

Test(driver_pragma, a_safe_setting_that_does_not_take_is_an_error)
{
    static const struct {
        int which;
        const char *name;
    } cases[] = {
        { SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, "load_extension=0 did not take" },
        { SQLITE_DBCONFIG_DQS_DDL, "dqs=0 did not take" },
        { SQLITE_DBCONFIG_DQS_DML, "dqs=0 did not take" },
        { SQLITE_DBCONFIG_TRUSTED_SCHEMA, "trusted_schema=0 did not take" },
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        lying_setting = cases[i].which;
        refuse(path, "mode=rwc", LIDO_SETTING, cases[i].name);
    }
    lying_setting = 0;
}
