/* SPDX-License-Identifier: MIT */
/*
 * Files that were cut or changed: a check never crashes, never leaves a trace, and never calls
 * sound at full depth what SQLite's own integrity_check does not.
 */
#include "failing_malloc.h"
#include "own_folder.h"
#include "trace.h"
#include <lido/lido.h>

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Each check makes children, and a sanitizer's are slow to make. */
#ifndef STRIDE
#define STRIDE 1
#endif

static char folder[] = "/tmp/lido-check-hostile-XXXXXX";
static char path[100], other[100];
static struct lido_check_options options;
static struct lido_check check;
static struct lido_error err;

static unsigned char *image;
static size_t image_size;

static void set_up(void)
{
    cr_assert_not_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/a.db", folder);
    snprintf(other, sizeof other, "%s.other", folder);
    options = (struct lido_check_options)LIDO_CHECK_OPTIONS_INIT;
    options.depth = LIDO_DEPTH_FULL;
    options.copy_folder = "/nowhere"; /* none is needed */
    check = (struct lido_check)LIDO_CHECK_INIT;
}

static void remove_all(const char *name)
{
    static const char *const endings[] = { "", "-wal", "-shm", "-journal" };
    char whole[120];

    for (int i = 0; i < 4; i++) {
        snprintf(whole, sizeof whole, "%s%s", name, endings[i]);
        unlink(whole);
    }
}

static void tear_down(void)
{
    remove_all(path);
    remove_all(other);
    free(image);
    own_folder_end(folder);
}

TestSuite(check_hostile, .init = set_up, .fini = tear_down, .timeout = 110);

/* A database of a few pages of every kind, and its bytes. */
static void make_image(const char *mode)
{
    char sql[700];
    sqlite3 *db;
    char *said = NULL;
    FILE *file;

    snprintf(sql, sizeof sql,
             "PRAGMA page_size=512; PRAGMA auto_vacuum=1; PRAGMA journal_mode=%s;"
             "CREATE TABLE t (id INTEGER PRIMARY KEY, x UNIQUE, y NOT NULL);"
             "CREATE INDEX i ON t (y); CREATE TABLE w (k PRIMARY KEY, v) WITHOUT ROWID;"
             "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n LIMIT 60)"
             "INSERT INTO t SELECT x, 'row ' || x, x * 7 FROM n;"
             "INSERT INTO w SELECT x, zeroblob(id * 20) FROM t;"
             "DELETE FROM t WHERE id > 40; CREATE VIEW v AS SELECT * FROM t",
             mode);
    cr_assert_eq(sqlite3_open(path, &db), SQLITE_OK);
    sqlite3_exec(db, sql, NULL, NULL, &said);
    cr_assert_null(said, "%s", said);
    sqlite3_close(db);
    image = malloc(200000);
    file = fopen(path, "rb");
    cr_assert_not_null(file);
    image_size = fread(image, 1, 200000, file);
    fclose(file);
    cr_assert_gt(image_size, 20 * 512);
    cr_assert_eq(image_size % 512, 0);
}

static void put(const char *name, const unsigned char *bytes, size_t size)
{
    const int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    cr_assert_geq(fd, 0);
    cr_assert_eq(write(fd, bytes, size), (ssize_t)size);
    close(fd);
}

/* What a plain reader is told by integrity_check. */
static bool is_sound_to_sqlite(const unsigned char *bytes, size_t size)
{
    sqlite3_stmt *stmt = NULL;
    sqlite3 *db;
    bool is_ok = false;

    put(other, bytes, size);
    cr_assert_eq(sqlite3_open(other, &db), SQLITE_OK);
    if (sqlite3_prepare_v2(db, "PRAGMA integrity_check", -1, &stmt, NULL) == SQLITE_OK &&
        sqlite3_step(stmt) == SQLITE_ROW)
        is_ok = strcmp((const char *)sqlite3_column_text(stmt, 0), "ok") == 0;
    is_ok = sqlite3_finalize(stmt) == SQLITE_OK && is_ok;
    sqlite3_close(db);
    remove_all(other);
    return is_ok;
}

static void compare(const unsigned char *bytes, size_t size, const char *what, long which)
{
    uint64_t before;

    put(path, bytes, size);
    before = trace_of(folder);
    cr_assert_eq(lido_check(lido_at_path(path), &options, &check, &err), LIDO_OK,
                 "%s %ld: %s", what, which, err.text);
    cr_expect_eq(trace_of(folder), before, "%s %ld: a trace", what, which);
    if (check.verdict == LIDO_CHECK_SOUND)
        cr_expect(size > 0 && is_sound_to_sqlite(bytes, size),
                  "%s %ld: to SQLite it is not", what, which);
}

static void cut(const char *mode)
{
    make_image(mode);
    for (size_t at = 0; at <= image_size; at += 512)
        for (int beside = -1; beside <= 1; beside++) {
            const size_t size = at + (size_t)beside;

            if (size > image_size) /* also below 0 */
                continue;
            compare(image, size, "cut at", (long)size);
            cr_expect_eq(check.verdict,
                         size == 0            ? LIDO_CHECK_EMPTY
                         : size == image_size ? LIDO_CHECK_SOUND
                                              : LIDO_CHECK_TRUNCATED,
                         "cut at %zu: %s", size, check.text);
        }
}

Test(check_hostile, cut_at_each_page)
{
    cut("delete");
}

Test(check_hostile, cut_at_each_page_in_wal_mode)
{
    cut("wal");
}

static void flip_header(const char *mode)
{
    static const unsigned char flips[] = { 0x01, 0x80, 0xff };

    make_image(mode);
    for (int at = 0; at < 100; at++)
        for (int i = at % STRIDE; i < 3; i += STRIDE) {
            image[at] ^= flips[i];
            compare(image, image_size, "byte", at);
            if (at < 16)
                cr_expect_eq(check.verdict, LIDO_CHECK_ENCRYPTED);
            image[at] ^= flips[i];
        }
}

Test(check_hostile, each_byte_of_the_header_changed)
{
    flip_header("delete");
}

Test(check_hostile, each_byte_of_the_header_changed_in_wal_mode)
{
    flip_header("wal");
}

/* Bytes anywhere, by a fixed dice. */
Test(check_hostile, bytes_changed_anywhere)
{
    uint32_t state = 20;
    int n_malformed = 0;

    make_image("wal");
    for (int i = 0; i < 300; i += STRIDE) {
        unsigned char was;
        size_t at;

        state = state * 1664525 + 1013904223;
        at = (state >> 8) % image_size;
        was = image[at];
        image[at] ^= (unsigned char)(1 + state % 255);
        compare(image, image_size, "byte", (long)at);
        n_malformed += check.verdict == LIDO_CHECK_MALFORMED;
        image[at] = was;
    }
    cr_expect_gt(n_malformed, 5 / STRIDE);
}

/* A WAL that is not what it was: no crash, no trace, and no failure. */
Test(check_hostile, bytes_of_the_wal_changed_anywhere)
{
    unsigned char *wal = malloc(200000);
    char name[120];
    uint32_t state = 5;
    size_t wal_size;
    sqlite3 *db;
    FILE *file;

    make_image("wal");
    snprintf(name, sizeof name, "%s-wal", path);
    cr_assert_eq(sqlite3_open(path, &db), SQLITE_OK);
    cr_assert_eq(
        sqlite3_exec(db, "UPDATE t SET y = y + 1; DELETE FROM w", NULL, NULL, NULL),
        SQLITE_OK);
    file = fopen(name, "rb"); /* it carries no locks */
    cr_assert_not_null(file);
    wal_size = fread(wal, 1, 200000, file);
    fclose(file);
    sqlite3_close(db);
    cr_assert_gt(wal_size, 1500);
    options.copy_folder = NULL;
    put(path, image, image_size);
    for (int i = 0; i < 200; i += STRIDE) {
        size_t at = i < 56 ? (size_t)i : 0; /* both headers whole */
        unsigned char was;
        uint64_t before;

        state = state * 1664525 + 1013904223;
        if (i >= 56)
            at = (state >> 8) % wal_size;
        was = wal[at];
        wal[at] ^= (unsigned char)(1 + state % 255);
        put(name, wal, i % 7 == 0 ? at : wal_size);
        before = trace_of(folder);
        cr_expect_eq(lido_check(lido_at_path(path), &options, &check, &err), LIDO_OK,
                     "byte %zu: %s", at, err.text);
        cr_expect_eq(trace_of(folder), before, "byte %zu: a trace", at);
        cr_expect_eq(check.verdict, LIDO_CHECK_SOUND, "SQLite leaves out bad frames: %s",
                     check.text);
        wal[at] = was;
    }
    free(wal);
}

/* A schema that would run what it should not. */
Test(check_hostile, a_schema_with_a_trap_is_only_read)
{
    sqlite3 *db;

    cr_assert_eq(sqlite3_open(path, &db), SQLITE_OK);
    cr_assert_eq(sqlite3_exec(db,
                              "CREATE TABLE t (x CHECK (length(zeroblob(x)) > 0));"
                              "INSERT INTO t VALUES (900000000);"
                              "CREATE VIEW sqlite_stat AS SELECT load_extension('x');",
                              NULL, NULL, NULL),
                 SQLITE_ERROR, "a name of SQLite's");
    sqlite3_close(db);
    options.copy_folder = NULL;
    cr_assert_eq(lido_check(lido_at_path(path), &options, &check, &err), LIDO_OK, "%s",
                 err.text);
    cr_expect_eq(check.verdict, LIDO_CHECK_INCOMPLETE, "%s: %s",
                 lido_check_name(check.verdict), check.text);
    cr_expect_lt(sqlite3_memory_highwater(0), 100000000);
}

/* Each allocation fails once: the caller is told, nothing is left, and the next try works. */
Test(check_hostile, memory_that_runs_out)
{
    uint64_t before;
    long outstanding;
    int n;

    failing_malloc_install();
    make_image("delete");
    before = trace_of(folder);
    cr_assert_eq(lido_check(lido_at_path(path), &options, &check, &err), LIDO_OK);
    outstanding = failing_malloc_outstanding();
    for (n = 1;; n++) {
        int rc;

        failing_malloc_arm(n);
        rc = lido_check(lido_at_path(path), &options, &check, &err);
        if (!failing_malloc_fired())
            break;
        failing_malloc_arm(0);
        /* SQLite lives without some of them. */
        if (rc == LIDO_OK)
            cr_expect_eq(check.verdict, LIDO_CHECK_SOUND, "%d: %s", n, check.text);
        else
            cr_expect_eq(rc & 0xff, SQLITE_NOMEM, "%d: %d %s", n, rc, err.text);
        cr_expect_eq(failing_malloc_outstanding(), outstanding, "%d leaks", n);
    }
    failing_malloc_arm(0);
    cr_expect_gt(n, 20);
    cr_expect_eq(trace_of(folder), before);
}
