/* SPDX-License-Identifier: MIT */
#ifndef LIDO_TESTS_UPKEEP_STAGE_H
#define LIDO_TESTS_UPKEEP_STAGE_H

/*
 * The stage for upkeep: a folder with one database, options, and all jobs by number.
 *
 * Threads: one.
 */
#include <lido/lido.h>

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/lido-upkeep-XXXXXX", path[100];
static struct lido_error err;
static struct lido_upkeep_options options;
static struct lido_job job;

/* On SQLite itself: nothing of lido's has the file open before or after. */
static inline void sql(const char *text)
{
    char *why = NULL;
    sqlite3 *db;

    cr_assert_eq(sqlite3_open(path, &db), SQLITE_OK);
    cr_assert_eq(sqlite3_exec(db, text, NULL, NULL, &why), SQLITE_OK, "%s", why);
    sqlite3_close(db);
}

static inline int number(const char *text)
{
    sqlite3_stmt *stmt;
    sqlite3 *db;
    int answer;

    cr_assert_eq(sqlite3_open(path, &db), SQLITE_OK);
    cr_assert_eq(sqlite3_prepare_v2(db, text, -1, &stmt, NULL), SQLITE_OK);
    cr_assert_eq(sqlite3_step(stmt), SQLITE_ROW);
    answer = sqlite3_column_int(stmt, 0);
    sqlite3_finalize(stmt);
    sqlite3_close(db);
    return answer;
}

static inline off_t size_of(const char *suffix)
{
    char name[120];
    struct stat status;

    snprintf(name, sizeof name, "%s%s", path, suffix);
    return stat(name, &status) == 0 ? status.st_size : -1;
}

#define FILL                                                                               \
    "CREATE TABLE t (x INTEGER PRIMARY KEY, y);"                                           \
    "CREATE INDEX t_y ON t (y);"                                                           \
    "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)"      \
    " INSERT INTO t SELECT i, randomblob(400) FROM n;"

static inline void set_up(void)
{
    cr_assert_not_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/a.db", folder);
    options = (struct lido_upkeep_options)LIDO_UPKEEP_OPTIONS_INIT;
    job = (struct lido_job)LIDO_JOB_INIT;
    options.job = &job;
    options.lock_timeout_ms = 0;
}

static inline void clear(void)
{
    char command[120];

    snprintf(command, sizeof command, "rm -r %s", folder);
    cr_expect_eq(system(command), 0);
}

static inline lido_pool *open_pool(void)
{
    struct lido_pool_options pool_options = LIDO_POOL_OPTIONS_INIT;
    char url[120];
    lido_pool *pool;

    snprintf(url, sizeof url, "sqlite:///%s", path);
    pool_options.pool = "queue";
    pool_options.timeout_ms = 0;
    cr_assert_eq(lido_pool_open(&pool, url, &pool_options, &err), LIDO_OK, "%s", err.text);
    return pool;
}

enum { JOBS = 5 };

static inline int run(int which, struct lido_database at)
{
    switch (which) {
    case 0: return lido_vacuum(at, NULL, &options, &err);
    case 1: return lido_vacuum_some(at, -1, NULL, &options, &err);
    case 2: return lido_optimize(at, LIDO_OPTIMIZE_ALL, &options, &err);
    case 3: return lido_checkpoint(at, SQLITE_CHECKPOINT_FULL, NULL, &options, &err);
    default: return lido_sizes(at, NULL, NULL, NULL, &options, &err);
    }
}

#endif
