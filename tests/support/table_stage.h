/* SPDX-License-Identifier: MIT */
#ifndef LIDO_TESTS_TABLE_STAGE_H
#define LIDO_TESTS_TABLE_STAGE_H

/*
 * A stage for jobs on tables: a folder with two databases, and all that is in one as a text,
 * to compare before and after.
 *
 * Threads: one.
 */
#include "tests/support/own_folder.h"

#include <lido/lido.h>

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char stage_folder[40], stage_a[60], stage_b[60];
static struct lido_error err;

/* Runs SQL on a connection of its own; its first value, to be freed, or NULL. */
static inline char *stage_ask(const char *path, const char *sql)
{
    sqlite3 *db;
    sqlite3_stmt *stmt;
    const char *rest = sql;
    char *answer = NULL;

    cr_assert_eq(sqlite3_open(path, &db), SQLITE_OK);
    while (*rest != '\0') {
        int rc;

        cr_assert_eq(sqlite3_prepare_v2(db, rest, -1, &stmt, &rest), SQLITE_OK, "%s: %s",
                     sql, sqlite3_errmsg(db));
        if (stmt == NULL)
            continue;
        while ((rc = sqlite3_step(stmt)) == SQLITE_ROW)
            if (answer == NULL && sqlite3_column_type(stmt, 0) != SQLITE_NULL)
                answer = sqlite3_mprintf("%s", sqlite3_column_text(stmt, 0));
        cr_assert_eq(rc, SQLITE_DONE, "%s: %s", sql, sqlite3_errmsg(db));
        sqlite3_finalize(stmt);
    }
    sqlite3_close(db);
    return answer;
}

static inline void stage_exec(const char *path, const char *sql)
{
    sqlite3_free(stage_ask(path, sql));
}

static inline void stage_expect_at(const char *path, const char *sql, const char *wanted,
                                   int line)
{
    char *answer = stage_ask(path, sql);

    cr_expect_str_eq(answer != NULL ? answer : "NULL", wanted, "line %d: %s: %s", line, sql,
                     answer != NULL ? answer : "NULL");
    sqlite3_free(answer);
}
#define stage_expect(path, sql, wanted) stage_expect_at((path), (sql), (wanted), __LINE__)

static inline void stage_add_rows(sqlite3 *db, sqlite3_str *out, const char *table)
{
    char *sql = sqlite3_mprintf("SELECT * FROM \"%w\"", table);
    sqlite3_stmt *stmt;

    if (sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) == SQLITE_OK)
        while (sqlite3_step(stmt) == SQLITE_ROW)
            for (int i = 0; i < sqlite3_column_count(stmt); i++)
                sqlite3_str_appendf(out, "%d:%s|", sqlite3_column_type(stmt, i),
                                    sqlite3_column_text(stmt, i));
    sqlite3_finalize(stmt);
    sqlite3_free(sql);
}

/* The whole schema and every row: to be freed. */
static inline char *stage_content(const char *path)
{
    sqlite3 *db;
    sqlite3_stmt *stmt;
    sqlite3_str *out = sqlite3_str_new(NULL);

    sqlite3_str_appendall(out, "all of it:");
    cr_assert_eq(sqlite3_open(path, &db), SQLITE_OK);
    cr_assert_eq(sqlite3_prepare_v2(db, "SELECT name, sql, type FROM sqlite_schema", -1,
                                    &stmt, NULL),
                 SQLITE_OK);
    while (sqlite3_step(stmt) == SQLITE_ROW) {
        sqlite3_str_appendf(out, "\n%s: %s\n", sqlite3_column_text(stmt, 0),
                            sqlite3_column_text(stmt, 1));
        if (strcmp((const char *)sqlite3_column_text(stmt, 2), "table") == 0)
            stage_add_rows(db, out, (const char *)sqlite3_column_text(stmt, 0));
    }
    sqlite3_finalize(stmt);
    sqlite3_close(db);
    return sqlite3_str_finish(out);
}

/* `before` is what stage_content() said, and is freed. */
static inline void stage_expect_same_at(const char *path, char *before, int line)
{
    char *now = stage_content(path);

    cr_expect_str_eq(now, before, "line %d: %s was changed: <%s> <%s>", line, path, before,
                     now);
    sqlite3_free(now);
    sqlite3_free(before);
}
#define stage_expect_same(path, before) stage_expect_same_at((path), (before), __LINE__)

static inline void stage_set_up(void)
{
    strcpy(stage_folder, "/tmp/lido-table-XXXXXX");
    cr_assert_not_null(mkdtemp(stage_folder));
    snprintf(stage_a, sizeof stage_a, "%s/a.db", stage_folder);
    snprintf(stage_b, sizeof stage_b, "%s/b.db", stage_folder);
    stage_exec(stage_a, "PRAGMA user_version = 1");
    stage_exec(stage_b, "PRAGMA user_version = 1");
}

static inline void stage_tear_down(void)
{
    static const char *const ends[] = { "", "-wal", "-shm", "-journal" };
    char path[80];

    for (int i = 0; i < 4; i++) {
        snprintf(path, sizeof path, "%s%s", stage_a, ends[i]);
        unlink(path);
        snprintf(path, sizeof path, "%s%s", stage_b, ends[i]);
        unlink(path);
    }
    own_folder_end(stage_folder);
}

/* A pool on a file, with keys of a URL behind it. */
static inline lido_pool *stage_pool(const char *path, const char *keys)
{
    char url[200];
    lido_pool *pool;

    snprintf(url, sizeof url, "sqlite:///%s?%s", path, keys);
    cr_assert_eq(lido_pool_open(&pool, url, NULL, &err), LIDO_OK, "%s", err.text);
    return pool;
}

/* Names that a tool trips over, and one of a thousand bytes; NULL after the last. */
static inline const char *stage_name(size_t i)
{
    static const char *const names[] = { "a\"b",
                                         "[x]",
                                         "x; drop table y",
                                         "\xc3\xa4\xe2\x82\xac\xf0\x9f\x90\x9f",
                                         "select",
                                         "it's",
                                         "`tick`",
                                         "",
                                         " ",
                                         "--",
                                         "/* no */",
                                         "main.t",
                                         "%w%s",
                                         "1",
                                         "rowid" };
    static char longest[1001];

    if (i < sizeof names / sizeof names[0])
        return names[i];
    memset(longest, 'n', 1000);
    return i == sizeof names / sizeof names[0] ? longest : NULL;
}

#endif
