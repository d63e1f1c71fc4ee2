/* SPDX-License-Identifier: MIT */
#ifndef LIDO_TESTS_BACKUP_STAGE_H
#define LIDO_TESTS_BACKUP_STAGE_H

/*
 * The stage of the tests of backup: a folder of their own, a database with rows and their sum,
 * and what is in a copy of it.
 *
 * Threads: one.
 */
#include "tests/support/own_folder.h"
#include "tests/support/plain_file.h"
#include <lido/lido.h>

#include <criterion/criterion.h>
#include <dirent.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ROWS 500
/* v of each row, and their sum in one of its own. */
#define FILL                                                                               \
    "CREATE TABLE t (id INTEGER PRIMARY KEY, v INTEGER, pad TEXT);"                        \
    "CREATE TABLE total (v INTEGER); INSERT INTO total VALUES (0);"                        \
    "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n LIMIT 500) "           \
    "INSERT INTO t SELECT x, 0, hex(zeroblob(1500)) FROM n"

static char folder[64];
static lido_pool *pool;
static struct lido_error err;
static struct lido_backup_options options;
static struct lido_backup result;
static struct lido_job job;

static inline lido_pool *open_url(const char *url)
{
    lido_pool *opened;

    cr_assert_eq(lido_pool_open(&opened, url, NULL, &err), LIDO_OK, "%s", err.text);
    return opened;
}

static inline void set_up_names(void)
{
    options = (struct lido_backup_options)LIDO_BACKUP_OPTIONS_INIT;
    result = (struct lido_backup)LIDO_BACKUP_INIT;
    job = (struct lido_job)LIDO_JOB_INIT;
    options.job = &job;
    strcpy(folder, "/tmp/lido-backup-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
    cr_assert_eq(chdir(folder), 0);
}

static inline void fill(const char *url)
{
    pool = open_url(url);
    cr_assert_eq(lido_pool_exec(pool, FILL, &err), LIDO_OK, "%s", err.text);
}

static inline void set_up(void)
{
    set_up_names();
    fill("sqlite:///a.db?pool=queue&journal_mode=wal");
}

static inline int remove_all(void)
{
    DIR *files = opendir(".");
    struct dirent *entry;
    int hidden = 0;

    while ((entry = readdir(files)) != NULL) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        hidden += entry->d_name[0] == '.';
        if (unlink(entry->d_name) != 0)
            rmdir(entry->d_name);
    }
    closedir(files);
    return hidden;
}

static inline void tear_down(void)
{
    lido_pool_free(pool);
    remove_all();
    cr_assert_eq(chdir("/"), 0);
    own_folder_end(folder);
}

static inline int backup(const char *target)
{
    return lido_backup(lido_at_pool(pool), target, &options, &result, &err);
}

/* One number out of a file, by SQLite alone. */
static inline long long ask(const char *path, const char *sql)
{
    sqlite3_stmt *stmt;
    long long answer = -1;
    sqlite3 *db;

    cr_assert_eq(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
    cr_assert_eq(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), SQLITE_OK, "%s",
                 sqlite3_errmsg(db));
    if (sqlite3_step(stmt) == SQLITE_ROW)
        answer = sqlite3_column_int64(stmt, 0);
    sqlite3_finalize(stmt);
    sqlite3_close(db);
    return answer;
}

static inline void expect_whole(const char *path)
{
    cr_expect_eq(ask(path, "SELECT count(*) FROM t"), ROWS);
    cr_expect_eq(ask(path, "SELECT (SELECT sum(v) FROM t) = (SELECT v FROM total)"), 1);
    cr_expect_eq(ask(path, "SELECT integrity_check = 'ok' FROM pragma_integrity_check"), 1);
}

static inline mode_t mode_of(const char *path)
{
    struct stat status;

    cr_assert_eq(lstat(path, &status), 0, "%s", path);
    return status.st_mode & 07777;
}

static inline int has_text(const char *path, const char *text)
{
    char found[64] = "";
    FILE *file = fopen(path, "r");

    cr_assert_not_null(file);
    if (fgets(found, sizeof found, file) == NULL)
        found[0] = '\0';
    fclose(file);
    return strcmp(found, text) == 0;
}

/* A thread that writes until `is_over`: each commit leaves the rows and their sum equal. */
static atomic_int is_over;
static atomic_llong commits;

static inline void *write_on(void *arg)
{
    static const char sql[] = "UPDATE t SET v = v + 1 WHERE id % 7 = 0; "
                              "UPDATE t SET v = v + 3 WHERE id > 480; "
                              "UPDATE total SET v = (SELECT sum(v) FROM t)";
    struct lido_conn conn;
    struct lido_error why;

    (void)arg;
    while (!atomic_load(&is_over)) {
        cr_assert_eq(lido_pool_checkout(pool, &conn, NULL, &why), LIDO_OK, "%s", why.text);
        cr_assert_eq(lido_txn_begin(&conn, LIDO_IMMEDIATE, &why), LIDO_OK, "%s", why.text);
        cr_assert_eq(lido_conn_exec(&conn, sql, &why), LIDO_OK, "%s", why.text);
        cr_assert_eq(lido_txn_commit(&conn, NULL, &why), LIDO_OK, "%s", why.text);
        lido_conn_checkin(&conn, NULL, NULL);
        atomic_fetch_add(&commits, 1);
    }
    return NULL;
}

/* No temporary file, and nothing at the name. */
static inline void expect_nothing(const char *path)
{
    DIR *files = opendir(".");
    struct dirent *entry;

    cr_expect_neq(access(path, F_OK), 0, "%s", path);
    while ((entry = readdir(files)) != NULL)
        cr_expect(entry->d_name[0] != '.' || strlen(entry->d_name) < 3, "%s was left",
                  entry->d_name);
    closedir(files);
}

#endif
