/* SPDX-License-Identifier: MIT */
/*
 * Dump: which digits a real has, and that they are read back to the last bit.
 */
#include "dumped.h"
#include "own_folder.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char folder[] = "/tmp/lido-dump-real-XXXXXX";
static char source[100], target[100];

static void set_up(void)
{
    cr_assert_not_null(mkdtemp(folder));
    snprintf(source, sizeof source, "%s/source.db", folder);
    snprintf(target, sizeof target, "%s/target.db", folder);
    run(source, "CREATE TABLE r (id INTEGER PRIMARY KEY, x REAL)");
}

static void tear_down(void)
{
    unlink(source);
    unlink(target);
    own_folder_end(folder);
}

TestSuite(dump_real, .init = set_up, .fini = tear_down, .timeout = 60);

static char *dump(void)
{
    const struct lido_dump_options options = LIDO_DUMP_OPTIONS_INIT;

    return dumped(lido_at_path(source), &options, NULL);
}

/* The last four lie at the edges of what is written by integers. */
Test(dump_real, has_as_few_digits_as_say_it)
{
    static const char *const reals[] = { "0.1",
                                         "-0.62",
                                         "1.2766666666666666",
                                         "0.30000000000000004",
                                         "100000.0",
                                         "0.5",
                                         "-2.0",
                                         "0.0",
                                         "9007199254740.992",
                                         "123456789012345.67",
                                         "99999999999999.98",
                                         "999999999999999.9",
                                         "0.0001",
                                         "0.00010000000000000002" };
    char *text;

    for (size_t i = 0; i < sizeof reals / sizeof reals[0]; i++) {
        char *sql = sqlite3_mprintf("INSERT INTO r(x) VALUES(%s)", reals[i]);

        run(source, sql);
        sqlite3_free(sql);
    }
    text = dump();
    for (size_t i = 0; i < sizeof reals / sizeof reals[0]; i++) {
        char *row = sqlite3_mprintf("VALUES(%d,%s);\n", (int)i + 1, reals[i]);

        cr_expect_not_null(strstr(text, row), "%s", row);
        sqlite3_free(row);
    }
    free(text);
}

/* Prices and quotients of all sizes, by this thread's C library and by SQLite. */
Test(dump_real, is_read_back_to_the_last_bit)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *row = NULL;
    char *text, *next;

    run(source, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE "
                "i < 6000) INSERT INTO r SELECT i, CASE i % 3 WHEN 0 THEN "
                "(i * 7919 % 1000003) / 100.0 WHEN 1 THEN -1.0 * (i * 104729 % 99991) / "
                "(i % 97 + 3) ELSE (1 << i % 63) / 3.0 / (1 << i % 41) END FROM n");
    text = dump();
    cr_expect_eq(lido_load_text(lido_at_path(target), NULL, text, strlen(text), NULL, NULL),
                 LIDO_OK);
    cr_expect_eq(sqlite3_open(source, &db), SQLITE_OK);
    cr_expect_eq(sqlite3_prepare_v2(db, "SELECT x FROM r ORDER BY id", -1, &row, NULL),
                 SQLITE_OK);
    next = text;
    while (sqlite3_step(row) == SQLITE_ROW) {
        const double was = sqlite3_column_double(row, 0);

        next = strstr(next, "VALUES(");
        cr_assert_not_null(next);
        next = strchr(next, ',') + 1;
        if (*next != '(') /* as a product */
            cr_expect_eq(strtod(next, NULL), was, "%.17g as %.30s", was, next);
    }
    sqlite3_finalize(row);
    sqlite3_close(db);
    expect_same_rows(source, target);
    free(text);
}

/* An SQLite that rounds wrongly reads back digits which are those of another real. */
Test(dump_real, is_the_same_to_any_reader)
{
    static const double reals[] = { 0x0.e9de8690332f8p-1022, 0x1.9f76711c4c754p-1012,
                                    0x1.d6dd6c00387bep-996,  -0x1.e684f52c0483ep-1005,
                                    -0x1.c565f4e946f23p-983, 0x1.90819be2d225p-986 };
    const int count = (int)(sizeof reals / sizeof reals[0]);
    sqlite3 *db = NULL;
    sqlite3_stmt *insert = NULL;
    char *text, *next;

    cr_expect_eq(sqlite3_open(source, &db), SQLITE_OK);
    cr_expect_eq(sqlite3_prepare_v2(db, "INSERT INTO r(x) VALUES(?1)", -1, &insert, NULL),
                 SQLITE_OK);
    for (int i = 0; i < count; i++) {
        sqlite3_bind_double(insert, 1, reals[i]);
        cr_expect_eq(sqlite3_step(insert), SQLITE_DONE);
        sqlite3_reset(insert);
    }
    sqlite3_finalize(insert);
    sqlite3_close(db);
    next = text = dump();
    for (int i = 0; i < count; i++) {
        next = strstr(next, "VALUES(");
        cr_assert_not_null(next);
        next = strchr(next, ',') + 1;
        if (*next != '(') /* as a product */
            cr_expect_eq(strtod(next, NULL), reals[i], "%.17g as %.30s", reals[i], next);
    }
    cr_expect_eq(lido_load_text(lido_at_path(target), NULL, text, strlen(text), NULL, NULL),
                 LIDO_OK);
    expect_same_rows(source, target);
    free(text);
}
