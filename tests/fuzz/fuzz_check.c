/* SPDX-License-Identifier: MIT */
/*
 * Bytes that are said to be a database, to check and to dump: built with -Dfuzz=enabled by
 * libFuzzer, and driven over the corpus and some thousand changes of it by
 * tests/unit/test_housekeeping_fuzz_check.c.
 *
 * The file is in memory, so that no child has to be made for each: what a child would have seen
 * of it is filled in.  Whatever it is: there is a verdict or an error with a text, what is
 * called sound is so to SQLite's own check, and a dump ends.
 *
 * Threads: one.
 */
#include "housekeeping/check_header.h"
#include "housekeeping/check_sql.h"

#include <lido/lido.h>

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void stop(const char *what, const char *why)
{
    fprintf(stderr, "fuzz_check: %s: %s\n", what, why);
    abort();
}

/* As a file that is not in WAL mode, which memory cannot be. */
static void lay_in(sqlite3 *db, const uint8_t *bytes, size_t size)
{
    unsigned char *copy = sqlite3_malloc64(size + 1);

    if (copy == NULL)
        abort();
    memcpy(copy, bytes, size);
    if (size > 19 && copy[18] == 2)
        copy[18] = 1;
    if (size > 19 && copy[19] == 2)
        copy[19] = 1;
    if (sqlite3_deserialize(db, "main", copy, (sqlite3_int64)size, (sqlite3_int64)size,
                            SQLITE_DESERIALIZE_FREEONCLOSE) != SQLITE_OK)
        stop("deserialize", sqlite3_errmsg(db));
}

static sqlite3 *open_laid(const uint8_t *bytes, size_t size)
{
    sqlite3 *db;

    if (sqlite3_open(":memory:", &db) != SQLITE_OK)
        abort();
    lay_in(db, bytes, size);
    return db;
}

static bool is_sound_to_sqlite(const uint8_t *bytes, size_t size)
{
    sqlite3 *db = open_laid(bytes, size);
    sqlite3_stmt *stmt = NULL;
    bool is_ok = false;

    if (sqlite3_prepare_v2(db, "PRAGMA integrity_check", -1, &stmt, NULL) == SQLITE_OK &&
        sqlite3_step(stmt) == SQLITE_ROW)
        is_ok = strcmp((const char *)sqlite3_column_text(stmt, 0), "ok") == 0;
    sqlite3_finalize(stmt);
    sqlite3_close(db);
    return is_ok;
}

static void check(const uint8_t *bytes, size_t size)
{
    struct lido_check_options options = LIDO_CHECK_OPTIONS_INIT;
    struct lido__checking checking = { .options = &options, .out = LIDO_CHECK_INIT };
    struct lido__looked looked = { .bytes = (int64_t)size };
    struct lido_job job = LIDO_JOB_INIT;
    struct lido_error err = LIDO_ERROR_INIT;
    int rc;

    options.depth = LIDO_DEPTH_FULL;
    options.foreign_keys = 1;
    options.max_problems = 5;
    job.timeout_ms = 300;
    looked.n_head = size < sizeof looked.head ? size : sizeof looked.head;
    if (size > 0)
        memcpy(looked.head, bytes, looked.n_head);
    if (lido__work_begin(&checking.work, &job, &err) != LIDO_OK)
        stop("begin", err.text);
    checking.lines = sqlite3_str_new(NULL);
    lido__check_header(&checking, &looked);
    if (checking.out.verdict == LIDO_CHECK_NONE) {
        sqlite3 *db = open_laid(bytes, size);

        rc = lido__check_sql(&checking, db, false, &err);
        sqlite3_close(db);
        if (rc != LIDO_OK && err.text[0] == '\0')
            stop("an error", "without a text");
        if (rc == LIDO_OK && checking.out.verdict == LIDO_CHECK_NONE &&
            !is_sound_to_sqlite(bytes, size))
            stop("sound", "and not to SQLite");
    }
    if (checking.out.verdict != LIDO_CHECK_NONE && checking.out.text[0] == '\0')
        stop("a verdict", "without a text");
    sqlite3_free(sqlite3_str_finish(checking.lines));
}

static int ignore(void *ctx, const char *text, size_t length, struct lido_error *err)
{
    (void)ctx, (void)err;
    if (strlen(text) != length)
        stop("a statement", "has a NUL in it");
    return LIDO_OK;
}

static void dump(const uint8_t *bytes, size_t size)
{
    struct lido_dump_options options = LIDO_DUMP_OPTIONS_INIT;
    struct lido_job job = LIDO_JOB_INIT;
    struct lido_error err = LIDO_ERROR_INIT;
    struct lido_conn conn = LIDO_CONN_INIT;
    lido_pool *pool;
    int rc;

    job.timeout_ms = 300;
    options.job = &job;
    if (lido_pool_open(&pool, "sqlite://?pool=static", NULL, &err) != LIDO_OK ||
        lido_pool_checkout(pool, &conn, NULL, &err) != LIDO_OK)
        stop("open", err.text);
    lay_in(lido_conn_sqlite(&conn), bytes, size);
    (void)lido_conn_checkin(&conn, NULL, &err);
    err = (struct lido_error)LIDO_ERROR_INIT;
    rc = lido_dump(lido_at_pool(pool), &options, ignore, NULL, &err);
    if (rc != LIDO_OK && (err.code != rc || err.text[0] == '\0'))
        stop("a dump failed", err.text);
    lido_pool_free(pool);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    if (size > 100000)
        return 0;
    check(bytes, size);
    if (size > 0)
        dump(bytes, size);
    return 0;
}
