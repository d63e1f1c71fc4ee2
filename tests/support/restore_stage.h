/* SPDX-License-Identifier: MIT */
#ifndef LIDO_TESTS_RESTORE_STAGE_H
#define LIDO_TESTS_RESTORE_STAGE_H

/*
 * The stage of the tests of restore: a live database with 200 old rows, a file with 300 new
 * ones, and what a reader sees of them.
 *
 * Threads: look() any, the rest the test's own.
 */
#include "tests/support/own_folder.h"
#include "tests/support/plain_file.h"
#include <lido/lido.h>

#include <criterion/criterion.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char folder[64];
static lido_pool *pool;
static struct lido_error err;
static struct lido_restore_options options;
static struct lido_job job;

/* `count` rows that say `owner`, at `path`; `mode` is the journal's. */
static inline void make(const char *path, const char *mode, int page_size, int count,
                        const char *owner)
{
    char sql[512];
    sqlite3 *db;

    snprintf(sql, sizeof sql,
             "PRAGMA page_size=%d; PRAGMA journal_mode=%s;"
             "CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER, owner TEXT, pad TEXT);"
             "WITH RECURSIVE x(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM x LIMIT %d) "
             "INSERT INTO t SELECT x, 0, '%s', hex(zeroblob(500)) FROM x",
             page_size, mode, count, owner);
    cr_assert_eq(sqlite3_open(path, &db), SQLITE_OK);
    cr_assert_eq(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK, "%s",
                 sqlite3_errmsg(db));
    sqlite3_close(db);
}

static inline void set_up_names(void)
{
    options = (struct lido_restore_options)LIDO_RESTORE_OPTIONS_INIT;
    job = (struct lido_job)LIDO_JOB_INIT;
    options.job = &job;
    strcpy(folder, "/tmp/lido-restore-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
    cr_assert_eq(chdir(folder), 0);
}

static inline void open_pool(const char *url)
{
    cr_assert_eq(lido_pool_open(&pool, url, NULL, &err), LIDO_OK, "%s", err.text);
}

static inline void set_up(void)
{
    set_up_names();
    make("live.db", "wal", 4096, 200, "old");
    make("new.db", "delete", 4096, 300, "new");
    open_pool("sqlite:///live.db?pool=queue");
}

static inline void tear_down(void)
{
    DIR *files;
    struct dirent *entry;

    lido_pool_free(pool);
    files = opendir(".");
    while ((entry = readdir(files)) != NULL)
        unlink(entry->d_name);
    closedir(files);
    cr_assert_eq(chdir("/"), 0);
    own_folder_end(folder);
}

static inline int restore(const char *from)
{
    return lido_restore(lido_at_pool(pool), from, &options, &err);
}

struct seen {
    long long count, least, most;
    char first[8], last[8];
};

static inline int see(void *ctx, const struct lido_stmt *row, struct lido_error *story)
{
    struct seen *seen = ctx;

    (void)story;
    seen->count = lido_stmt_integer(row, 0);
    seen->least = lido_stmt_integer(row, 1);
    seen->most = lido_stmt_integer(row, 2);
    snprintf(seen->first, sizeof seen->first, "%s", lido_stmt_text(row, 3, NULL));
    snprintf(seen->last, sizeof seen->last, "%s", lido_stmt_text(row, 4, NULL));
    return LIDO_OK;
}

static inline struct seen look(lido_pool *at)
{
    struct lido_error why;
    struct seen seen = { 0 };

    cr_assert_eq(lido_pool_query(at,
                                 "SELECT count(*), min(n), max(n), min(owner), max(owner) "
                                 "FROM t",
                                 NULL, 0, see, &seen, &why),
                 LIDO_OK, "%s", why.text);
    return seen;
}

static inline void expect_one(struct seen seen, const char *owner)
{
    cr_expect_str_eq(seen.first, owner);
    cr_expect_str_eq(seen.last, owner);
    cr_expect_eq(seen.least, seen.most);
    cr_expect_eq(seen.count, strcmp(owner, "old") == 0 ? 200 : 300, "%lld", seen.count);
}

static inline void expect_old(void)
{
    expect_one(look(pool), "old");
}

static inline void expect_new(void)
{
    expect_one(look(pool), "new");
    cr_expect_eq(lido_pool_exec(pool, "UPDATE t SET n = n + 1", &err), LIDO_OK, "%s",
                 err.text);
    cr_expect_eq(look(pool).least, 1);
}

static inline const char *ask(const char *sql)
{
    static char answer[64];
    sqlite3_stmt *stmt;
    sqlite3 *db;

    answer[0] = '\0';
    cr_assert_eq(sqlite3_open("live.db", &db), SQLITE_OK);
    cr_assert_eq(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), SQLITE_OK);
    if (sqlite3_step(stmt) == SQLITE_ROW)
        snprintf(answer, sizeof answer, "%s", sqlite3_column_text(stmt, 0));
    sqlite3_finalize(stmt);
    sqlite3_close(db);
    return answer;
}

#endif
