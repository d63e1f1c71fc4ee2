/* SPDX-License-Identifier: MIT */
/*
 * Files that were cut, changed or overwritten, to every job: none crashes or hangs, what fails
 * says why and leaves nothing, a backup that is made is sound, and what SQLite refuses no job
 * takes.  What a check says of such files stands in test_check_hostile.c.
 */
#include "failing_vfs.h"
#include "jobs.h"

#include <criterion/criterion.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PAGE 1024

/* Of the header's bytes, pages and so on each so many-th. */
#ifndef STRIDE
#define STRIDE 1
#endif

static struct lido_error err;
static unsigned char *image, *changed;
static long image_size;

TestSuite(housekeeping_damage, .timeout = 110);

/* --- files -------------------------------------------------------------------------------- */

static long get(const char *path, unsigned char **out)
{
    FILE *file = fopen(path, "rb");
    long size;

    cr_assert_not_null(file, "%s", path);
    *out = malloc(1 << 20);
    size = (long)fread(*out, 1, 1 << 20, file);
    fclose(file);
    return size;
}

static void put(const char *path, const unsigned char *bytes, long size)
{
    FILE *file = fopen(path, access(path, F_OK) == 0 ? "r+b" : "wb");

    cr_assert_not_null(file, "%s", path);
    cr_assert_eq(ftruncate(fileno(file), size), 0);
    cr_assert_eq(fwrite(bytes, 1, (size_t)size, file), (size_t)size);
    cr_assert_eq(fclose(file), 0);
}

static bool holds(const char *path, const unsigned char *bytes, long size)
{
    unsigned char *now;
    const long now_size = get(path, &now);
    const bool is_same = now_size == size && memcmp(now, bytes, (size_t)size) == 0;

    free(now);
    return is_same;
}

/* --- jobs --------------------------------------------------------------------------------- */

static int ignore(void *ctx, const char *text, size_t length, struct lido_error *why)
{
    (void)ctx, (void)why;
    cr_expect_eq(strlen(text), length);
    return LIDO_OK;
}

static int dump(struct lido_database a, struct lido_error *why)
{
    return lido_dump(a, NULL, ignore, NULL, why);
}

static int restore_from(struct lido_database a, struct lido_error *why)
{
    (void)a;
    return lido_restore(lido_at_path("b.db"), "a.db", NULL, why);
}

static int visit(void *ctx, const struct lido_table_info *table, struct lido_error *why)
{
    (void)ctx, (void)why;
    cr_expect_not_null(table->name);
    return LIDO_OK;
}

static int list(struct lido_database a, struct lido_error *why)
{
    return lido_table_list(a, NULL, LIDO_TABLE_ALL, visit, NULL, why);
}

static int check(struct lido_database a, struct lido_error *why)
{
    struct lido_check_options options = LIDO_CHECK_OPTIONS_INIT;
    struct lido_check out = LIDO_CHECK_INIT;
    int rc;

    options.depth = LIDO_DEPTH_FULL;
    rc = lido_check(a, &options, &out, why);
    if (rc == LIDO_OK && out.verdict != LIDO_CHECK_SOUND)
        rc = lido_fail(why, SQLITE_CORRUPT, "%s", out.text);
    return rc;
}

enum { READERS = 8 };
static const struct job_row *readers[READERS];
static const struct job_row own[] = {
    { "dump", dump, false, true },
    { "restore from it", restore_from, false, true },
    { "list", list, false, true },
    { "check", check, false, true },
};
static const char *const writers[] = { "load",     "table backup", "rename",    "vacuum",
                                       "optimize", "vacuum some",  "checkpoint" };

static void set_up(const char *mode)
{
    failing_vfs_install(); /* nothing fails, but a sync takes no time */
    failing_vfs_hurry();
    cr_assert_eq(sqlite3_vfs_register(sqlite3_vfs_find("failing"), 1), SQLITE_OK);
    jobs_set_up(mode);
    image_size = get("a.db", &image);
    changed = malloc(1 << 20);
    readers[0] = job_named("backup");
    readers[1] = job_named("backup by vacuum");
    readers[2] = job_named("copy");
    readers[3] = job_named("sizes");
    for (int i = 0; i < 4; i++)
        readers[4 + i] = &own[i];
}

static void tear_down(void)
{
    free(image);
    free(changed);
    jobs_tear_down();
}

/* --- one damaged file --------------------------------------------------------------------- */

static bool is_refused_by_sqlite(const char *path)
{
    sqlite3 *db;
    int rc;

    cr_assert_eq(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
    rc = sqlite3_exec(db, "SELECT count(*) FROM sqlite_schema", NULL, NULL, NULL);
    sqlite3_close(db);
    return rc != SQLITE_OK;
}

static bool is_sound(const char *path)
{
    bool is_ok = false;
    sqlite3_stmt *stmt;
    sqlite3 *db;

    cr_assert_eq(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
    if (sqlite3_prepare_v2(db, "PRAGMA quick_check(1)", -1, &stmt, NULL) == SQLITE_OK &&
        sqlite3_step(stmt) == SQLITE_ROW)
        is_ok = strcmp((const char *)sqlite3_column_text(stmt, 0), "ok") == 0;
    sqlite3_finalize(stmt);
    sqlite3_close(db);
    return is_ok;
}

/* No file but the two, and the journal or log that was beside the first. */
static void expect_nothing_else(const char *what, const char *name, long where)
{
    char *other = jobs_other();

    cr_expect_null(other, "%s, %s %ld: %s is left", name, what, where, other);
    free(other);
}

static int run(const struct job_row *job, const char *what, long where)
{
    int rc;

    err = (struct lido_error){ 0 };
    rc = job->run(jobs_at_file(), &err);
    if (rc != LIDO_OK)
        cr_expect(err.code == rc && err.text[0] != '\0', "%s, %s %ld: %d %s", job->name,
                  what, where, rc, err.text);
    return rc;
}

static void try_reader(const struct job_row *job, long size, bool is_refused, char **b,
                       const char *what, long where)
{
    const int rc = run(job, what, where);

    if (is_refused && size > 0)
        cr_expect_neq(rc, LIDO_OK, "%s, %s %ld: to SQLite it is no database", job->name,
                      what, where);
    cr_expect(holds("a.db", changed, size), "%s, %s %ld: a.db was changed", job->name, what,
              where);
    if (job->makes && rc == LIDO_OK) {
        cr_expect(is_sound("made.db"), "%s, %s %ld: a bad copy", job->name, what, where);
        unlink("made.db");
    }
    if (job->run == restore_from && rc == LIDO_OK)
        cr_expect(is_sound("b.db"), "%s, %s %ld: a bad one", job->name, what, where);
    if (rc != LIDO_OK) {
        char *now = jobs_content("b.db");

        cr_expect_str_eq(now, *b, "%s, %s %ld: b.db", job->name, what, where);
        sqlite3_free(now);
    }
    expect_nothing_else(what, job->name, where);
}

/* `changed` as a.db, to all of them. */
static void try_all(long size, const char *what, long where)
{
    const struct job_row *writer;
    bool is_refused;
    char *b;

    jobs_put_back();
    b = jobs_content("b.db");
    put("a.db", changed, size);
    is_refused = is_refused_by_sqlite("a.db");
    for (int i = 0; i < READERS; i++) {
        try_reader(readers[i], size, is_refused, &b, what, where);
        if (i == 2 || readers[i]->run == restore_from) {
            jobs_put_back();
            put("a.db", changed, size);
        }
    }
    sqlite3_free(b);
    writer = job_named(writers[(size_t)where % (sizeof writers / sizeof writers[0])]);
    if (run(writer, what, where) == LIDO_OK && size > 0)
        cr_expect_not(is_refused, "%s, %s %ld: to SQLite it is no database", writer->name,
                      what, where);
}

/* --- the sweeps --------------------------------------------------------------------------- */

static void sweep_cuts(const char *mode)
{
    set_up(mode);
    memcpy(changed, image, (size_t)image_size);
    for (long at = 0; at <= image_size; at += PAGE * STRIDE)
        for (int beside = -1; beside <= 1; beside++)
            if (at + beside >= 0 && at + beside < image_size)
                try_all(at + beside, "cut at", at + beside);
    tear_down();
}

Test(housekeeping_damage, cut_at_each_page)
{
    sweep_cuts("delete");
}

Test(housekeeping_damage, cut_at_each_page_in_wal_mode)
{
    sweep_cuts("wal");
}

static void sweep_header(const char *mode, int stride)
{
    set_up(mode);
    memcpy(changed, image, (size_t)image_size);
    for (int at = 0; at < 100; at += stride * STRIDE) {
        changed[at] ^= 0xff;
        try_all(image_size, "flipped", at);
        changed[at] ^= 0xff ^ 0x01;
        if (at % 3 == 0)
            try_all(image_size, "flipped in one bit", at);
        changed[at] ^= 0x01;
    }
    tear_down();
}

Test(housekeeping_damage, each_byte_of_the_header)
{
    sweep_header("delete", 1);
}

Test(housekeeping_damage, each_byte_of_the_header_in_wal_mode)
{
    sweep_header("wal", 3);
}

/* A fixed dice. */
static uint32_t roll(void)
{
    static uint32_t state = 7;

    state = state * 1664525 + 1013904223;
    return state >> 8;
}

Test(housekeeping_damage, each_page_overwritten)
{
    set_up("delete");
    for (long at = 0; at < image_size; at += PAGE * STRIDE)
        for (int with_noise = 0; with_noise < 2; with_noise++) {
            memcpy(changed, image, (size_t)image_size);
            for (int i = 0; i < PAGE; i++)
                changed[at + i] = with_noise ? (unsigned char)roll() : 0;
            try_all(image_size, with_noise ? "noise at" : "zeros at", at);
        }
    tear_down();
}

Test(housekeeping_damage, bytes_anywhere)
{
    set_up("delete");
    for (int i = 0; i < 150 / STRIDE; i++) {
        memcpy(changed, image, (size_t)image_size);
        for (int n = 1 + i % 4; n > 0; n--)
            changed[roll() % (uint32_t)image_size] ^= (unsigned char)(1 + roll() % 255);
        try_all(image_size, "bytes by roll", i);
    }
    tear_down();
}

/* --- logs and journals ------------------------------------------------------------------- */

/* What stands beside the database is read, or rolled back, by SQLite; a job ends anyway. */
static void sweep_beside(const char *mode, const char *beside, const char *sql)
{
    unsigned char *main_bytes, *side;
    long main_size, side_size;
    sqlite3 *db;

    set_up(mode);
    cr_assert_eq(sqlite3_open("a.db", &db), SQLITE_OK);
    cr_assert_eq(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK, "%s",
                 sqlite3_errmsg(db));
    main_size = get("a.db", &main_bytes); /* its locks are of no use any more */
    side_size = get(beside, &side);
    sqlite3_close(db);
    cr_assert_gt(side_size, 1500);
    for (int i = 0; i < 200 / STRIDE; i++) {
        const long at = i < 64 / STRIDE ? i * STRIDE : (long)(roll() % (uint32_t)side_size);
        const unsigned char was = side[at];
        const long size = i % 5 == 4 ? at : side_size;

        side[at] ^= (unsigned char)(1 + roll() % 255);
        for (int j = 0; j < READERS; j++) {
            jobs_put_back();
            put("a.db", main_bytes, main_size);
            put(beside, side, size);
            if (run(readers[j], beside, at) == LIDO_OK && readers[j]->makes)
                cr_expect(is_sound("made.db"), "%s, %s %ld", readers[j]->name, beside, at);
        }
        side[at] = was;
    }
    free(main_bytes);
    free(side);
    tear_down();
}

Test(housekeeping_damage, a_log)
{
    sweep_beside("wal", "a.db-wal", "UPDATE t SET x = x || 'y'; DELETE FROM w");
}

Test(housekeeping_damage, a_hot_journal)
{
    sweep_beside("delete", "a.db-journal",
                 "PRAGMA cache_size=2; PRAGMA cache_spill=1; BEGIN IMMEDIATE;"
                 "UPDATE t SET x = x || hex(zeroblob(200)); DELETE FROM w");
}
