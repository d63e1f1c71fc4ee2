/* SPDX-License-Identifier: MIT */
/*
 * Opening: what is refused as a whole, and what `open_now` finds on real files.  The options
 * are in test_open_options.c.
 */
#include "pool/pool.h"
#include "tests/support/fake_driver.h"
#include "tests/support/own_folder.h"
#include <lido/lido.h>

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/lido-open-XXXXXX";
static struct lido_error err;

static void set_up(void)
{
    cr_assert_not_null(mkdtemp(folder));
    fake_driver_install();
}

static void tear_down(void)
{
    static const char *const names[] = { "a.db", "b.db", "link.db", "other/a.db" };
    char path[100];

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        unlink(path);
    }
    snprintf(path, sizeof path, "%s/other", folder);
    rmdir(path);
    own_folder_end(folder);
}

TestSuite(open, .init = set_up, .fini = tear_down, .timeout = 20);

/* --- what is refused as a whole ------------------------------------------------------- */

static void expect_refused(const char *url, const struct lido_pool_options *options,
                           int code, const char *text)
{
    lido_pool *pool = (lido_pool *)&pool;

    err = (struct lido_error)LIDO_ERROR_INIT;
    cr_assert_eq(lido_pool_open(&pool, url, options, &err), code, "%s: %d %s", url,
                 err.code, err.text);
    cr_assert_null(pool);
    cr_assert_eq(err.code, code);
    cr_assert_not_null(strstr(err.text, text), "%s: %s", url, err.text);
}

Test(open, an_unknown_kind_or_order_or_driver_is_answered_by_those_that_there_are)
{
    expect_refused("fake:///x?pool=stack", NULL, LIDO_BAD_OPTION, "null, queue");
    expect_refused("fake:///x?pool=queue&order=best", NULL, LIDO_BAD_OPTION,
                   "any, fifo or lifo");
    expect_refused("nosuch:///x", NULL, LIDO_NOT_FOUND, "sqlite, fake");
    expect_refused("sqlite+nosuch:///x", NULL, LIDO_NOT_FOUND, "nosuch");
}

Test(open, an_unknown_key_is_refused_before_anything_is_opened)
{
    expect_refused("fake:///x?pool=queue&colour=red", NULL, LIDO_BAD_URL, "colour");
    expect_refused("sqlite:///x?colour=red", NULL, LIDO_BAD_URL, "colour");
    expect_refused("sqlite:///x?mode=append", NULL, LIDO_BAD_URL, "append");
    expect_refused("fake:///x?mode=rw", NULL, LIDO_BAD_URL, "mode");
    cr_assert_str_eq(fake_driver_calls(), "");
}

Test(open, options_of_another_size_are_refused)
{
    struct lido_pool_options options = LIDO_POOL_OPTIONS_INIT;
    static const size_t sizes[] = { 0, 1, sizeof options - 8, sizeof options + 8,
                                    SIZE_MAX };

    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        options.size = sizes[i];
        expect_refused("fake:///x", &options, SQLITE_MISUSE, "LIDO_POOL_OPTIONS_INIT");
    }
}

Test(open, another_header_is_refused_before_its_options_are_read)
{
    struct lido_pool_options options = LIDO_POOL_OPTIONS_INIT;
    lido_pool *pool;

    options.size = 3;
    cr_assert_eq(lido_pool_open_version(&pool, "fake:///x", &options,
                                        LIDO_VERSION_NUMBER + 1000, &err),
                 LIDO_VERSION_MISMATCH);
    cr_assert_null(pool);
    cr_assert_not_null(strstr(err.text, LIDO_VERSION), "%s", err.text);
}

Test(open, the_strings_of_a_call_may_go_when_it_returns)
{
    struct lido_pool_options options = LIDO_POOL_OPTIONS_INIT;
    char url[] = "sqlite:////nowhere/at.all?mode=rw", kind[] = "queue", order[] = "any";
    lido_pool *pool;

    options.pool = kind;
    options.order = order;
    cr_assert_eq(lido_pool_open(&pool, url, &options, &err), LIDO_OK, "%s", err.text);
    memset(url, 'x', sizeof url - 1);
    memset(kind, 'x', sizeof kind - 1);
    memset(&options, 0xff, sizeof options);
    cr_assert_str_eq(pool->how.database, "/nowhere/at.all");
    cr_assert_str_eq(pool->how.params[0].value, "rw");
    cr_assert_str_eq(pool->config.kind->name, "queue");
    lido_pool_free(pool);
}

/* --- open_now, on files --------------------------------------------------------------- */

/* The database `name` in the folder, opened with `query` behind it. */
static int try_open(const char *name, const char *query)
{
    lido_pool *pool;
    char url[200];
    int rc;

    snprintf(url, sizeof url, "sqlite:///%s/%s?pool=queue&%s", folder, name, query);
    err = (struct lido_error)LIDO_ERROR_INIT;
    rc = lido_pool_open(&pool, url, NULL, &err);
    cr_assert_eq(pool == NULL, rc != LIDO_OK);
    cr_assert_eq(err.code, rc, "%s", err.text);
    lido_pool_free(pool);
    return rc;
}

static void write_file(const char *name, const void *bytes, size_t size)
{
    char path[100];
    FILE *file;

    snprintf(path, sizeof path, "%s/%s", folder, name);
    file = fopen(path, "wb");
    cr_assert_not_null(file);
    cr_assert_eq(fwrite(bytes, 1, size, file), size);
    cr_assert_eq(fclose(file), 0);
}

/* A database with a table in it. */
static void make_database(const char *name)
{
    char path[100];
    sqlite3 *db;

    snprintf(path, sizeof path, "%s/%s", folder, name);
    cr_assert_eq(sqlite3_open(path, &db), SQLITE_OK);
    cr_assert_eq(sqlite3_exec(db, "CREATE TABLE t (x)", NULL, NULL, NULL), SQLITE_OK);
    cr_assert_eq(sqlite3_close(db), SQLITE_OK);
}

static bool is_there(const char *name)
{
    struct stat status;
    char path[100];

    snprintf(path, sizeof path, "%s/%s", folder, name);
    return stat(path, &status) == 0;
}

Test(open, nothing_is_opened_before_the_first_checkout)
{
    cr_assert_eq(try_open("a.db", "timeout=0"), LIDO_OK, "%s", err.text);
    cr_assert_not(is_there("a.db"));
    cr_assert_eq(try_open("no/such/folder/a.db", "timeout=0"), LIDO_OK, "%s", err.text);
}

Test(open, open_now_leaves_its_connection_idle)
{
    struct lido_pool_stats stats = LIDO_POOL_STATS_INIT;
    lido_pool *pool;

    cr_assert_eq(lido_pool_open(&pool, "fake:///x?pool=queue&open_now=1", NULL, &err),
                 LIDO_OK);
    cr_assert_str_eq(fake_driver_calls(), "connect 1, ping 1, reset 1");
    cr_assert_eq(lido_pool_stats(pool, &stats, &err), LIDO_OK);
    cr_assert_eq(stats.idle, 1);
    cr_assert_eq(stats.out, 0);
    lido_pool_free(pool);
    cr_assert_str_eq(fake_driver_calls(), "close 1");
}

Test(open, open_now_that_fails_leaves_nothing_behind)
{
    fake_driver_fail(1, SQLITE_AUTH);
    expect_refused("fake:///x?pool=queue&open_now=1", NULL, SQLITE_AUTH, "was told to");
    fake_driver_fail(2, SQLITE_AUTH); /* the ping */
    expect_refused("fake:///x?pool=queue&open_now=1", NULL, SQLITE_AUTH, "was told to");
    cr_assert_eq(fake_driver_open_count(), 0);
}

Test(open, open_now_makes_a_file_that_is_not_there_unless_the_mode_forbids_it)
{
    cr_assert_eq(try_open("a.db", "open_now=1&mode=rw") & 0xff, SQLITE_CANTOPEN);
    cr_assert_eq(err.sys_errno, ENOENT);
    cr_assert_eq(try_open("a.db", "open_now=1&mode=ro") & 0xff, SQLITE_CANTOPEN);
    cr_assert_not(is_there("a.db"));
    cr_assert_eq(try_open("a.db", "open_now=1"), LIDO_OK, "%s", err.text);
    cr_assert(is_there("a.db"));
}

Test(open, open_now_tells_which_path_cannot_be_opened_and_why)
{
    char path[100];

    cr_assert_eq(try_open("missing/a.db", "open_now=1") & 0xff, SQLITE_CANTOPEN);
    cr_assert_eq(err.sys_errno, ENOENT);
    snprintf(path, sizeof path, "%s/missing/a.db", folder);
    cr_assert_not_null(strstr(err.text, path), "%s", err.text);
    snprintf(path, sizeof path, "%s/other", folder);
    cr_assert_eq(mkdir(path, 0700), 0);
    cr_assert_eq(try_open("other", "open_now=1") & 0xff, SQLITE_CANTOPEN);
    cr_assert_eq(err.sys_errno, EISDIR);
    cr_assert_eq(try_open("other/", "open_now=1") & 0xff, SQLITE_CANTOPEN);
}

Test(open, open_now_finds_what_is_no_database)
{
    char text[1000];

    memset(text, 'x', sizeof text);
    write_file("a.db", text, sizeof text);
    cr_assert_eq(try_open("a.db", "timeout=0"), LIDO_OK, "not looked at: %s", err.text);
    cr_assert_eq(try_open("a.db", "open_now=1"), SQLITE_NOTADB);
    cr_assert_not_null(strstr(err.text, "/a.db: file is not a database"), "%s", err.text);
}

Test(open, open_now_takes_an_empty_file_for_an_empty_database)
{
    write_file("a.db", "", 0);
    cr_assert_eq(try_open("a.db", "open_now=1"), LIDO_OK, "%s", err.text);
}

Test(open, open_now_finds_a_database_that_was_cut_short)
{
    char path[100];

    make_database("a.db");
    cr_assert_eq(try_open("a.db", "open_now=1"), LIDO_OK, "%s", err.text);
    snprintf(path, sizeof path, "%s/a.db", folder);
    cr_assert_eq(truncate(path, 4096), 0); /* its first page of two */
    cr_assert_eq(try_open("a.db", "open_now=1"), SQLITE_CORRUPT, "%d %s", err.code,
                 err.text);
    cr_assert_eq(truncate(path, 300), 0);
    cr_assert_eq(try_open("a.db", "open_now=1"), SQLITE_CORRUPT, "%d %s", err.code,
                 err.text);
}

Test(open, a_symbolic_link_is_followed)
{
    char target[100], link[100];

    make_database("a.db");
    snprintf(target, sizeof target, "%s/a.db", folder);
    snprintf(link, sizeof link, "%s/link.db", folder);
    cr_assert_eq(symlink(target, link), 0);
    cr_assert_eq(try_open("link.db", "open_now=1&mode=rw"), LIDO_OK, "%s", err.text);
    cr_assert_eq(unlink(target), 0);
    cr_assert_eq(try_open("link.db", "open_now=1&mode=rw") & 0xff, SQLITE_CANTOPEN);
}

Test(open, a_relative_path_is_that_of_the_folder_at_the_time_of_opening)
{
    struct lido_conn conn;
    lido_pool *pool;
    char path[100];

    snprintf(path, sizeof path, "%s/other", folder);
    cr_assert_eq(mkdir(path, 0700), 0);
    cr_assert_eq(chdir(folder), 0);
    cr_assert_eq(lido_pool_open(&pool, "sqlite:///a.db", NULL, &err), LIDO_OK);
    cr_assert_eq(chdir("other"), 0);
    cr_assert_eq(lido_pool_checkout(pool, &conn, NULL, &err), LIDO_OK, "%s", err.text);
    cr_assert_eq(
        sqlite3_exec(lido_conn_sqlite(&conn), "CREATE TABLE t (x)", NULL, NULL, NULL),
        SQLITE_OK);
    cr_assert_eq(lido_conn_checkin(&conn, NULL, &err), LIDO_OK);
    lido_pool_free(pool);
    cr_assert(is_there("a.db"));
    cr_assert_not(is_there("other/a.db"));
    cr_assert_eq(chdir("/"), 0);
}

/* --- the log -------------------------------------------------------------------------- */

struct log {
    unsigned lines[LIDO_LOG_DEBUG + 1];
    lido_pool *pool;
    int is_busy, calls, rc;
};

/* Counts the line, and does with the pool whatever can be done. */
static void keep_log(void *ctx, int level, const char *text)
{
    struct lido_pool_stats stats = LIDO_POOL_STATS_INIT;
    struct log *log = ctx;
    struct lido_conn conn;

    cr_assert(level > LIDO_LOG_OFF && level <= LIDO_LOG_DEBUG);
    cr_assert_null(strchr(text, '\n'));
    log->lines[level]++;
    if (log->pool == NULL || log->is_busy)
        return;
    log->is_busy = 1;
    log->calls++;
    log->rc |= lido_pool_stats(log->pool, &stats, NULL);
    log->rc |= lido_pool_checkout(log->pool, &conn, NULL, NULL);
    log->rc |= lido_conn_checkin(&conn, NULL, NULL);
    log->is_busy = 0;
}

/* Two checkouts, of which one comes back unclean; then the driver's close fails. */
static struct log live_and_log(int level)
{
    struct lido_pool_options options = LIDO_POOL_OPTIONS_INIT;
    struct log log = { .pool = NULL };
    struct lido_conn conn;
    lido_pool *pool;

    fake_driver_install();
    options.log = keep_log;
    options.log_ctx = &log;
    options.log_level = level;
    cr_assert_eq(lido_pool_open(&pool, "fake:///x?pool=queue", &options, &err), LIDO_OK);
    for (int unclean = 2; unclean >= 0; unclean -= 2) {
        fake_driver_find_unclean(unclean);
        cr_assert_eq(lido_pool_checkout(pool, &conn, NULL, &err), LIDO_OK);
        cr_assert_eq(lido_conn_checkin(&conn, NULL, &err), LIDO_OK);
    }
    fake_driver_fail(1, SQLITE_IOERR);
    lido_pool_free(pool);
    return log;
}

Test(open, a_log_gets_its_level_and_those_above)
{
    for (int level = LIDO_LOG_OFF; level <= LIDO_LOG_DEBUG; level++) {
        struct log log = live_and_log(level);

        cr_assert_eq(log.lines[LIDO_LOG_ERROR], level >= LIDO_LOG_ERROR ? 1 : 0);
        cr_assert_eq(log.lines[LIDO_LOG_WARN], level >= LIDO_LOG_WARN ? 1 : 0);
        cr_assert_eq(log.lines[LIDO_LOG_INFO] > 0, level >= LIDO_LOG_INFO);
        cr_assert_eq(log.lines[LIDO_LOG_DEBUG], level >= LIDO_LOG_DEBUG ? 4 : 0);
    }
}

Test(open, a_log_may_call_lido_also_on_the_same_pool)
{
    struct lido_pool_options options = LIDO_POOL_OPTIONS_INIT;
    struct log log = { .pool = NULL };
    struct lido_conn conn;

    options.log = keep_log;
    options.log_ctx = &log;
    options.log_level = LIDO_LOG_DEBUG;
    cr_assert_eq(
        lido_pool_open(&log.pool, "fake:///x?pool=queue&pool_size=1", &options, &err),
        LIDO_OK);
    fake_driver_find_unclean(2);
    cr_assert_eq(lido_pool_checkout(log.pool, &conn, NULL, &err), LIDO_OK);
    cr_assert_eq(lido_conn_checkin(&conn, NULL, &err), LIDO_OK);
    cr_assert_gt(log.calls, 3);
    cr_assert_eq(log.rc, LIDO_OK);
    log.is_busy = 1;
    cr_assert_eq(lido_pool_close(log.pool, 0, &err), LIDO_OK, "%s", err.text);
    lido_pool_free(log.pool);
    cr_assert_eq(fake_driver_open_count(), 0);
}
