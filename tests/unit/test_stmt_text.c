/* SPDX-License-Identifier: MIT */
/*
 * Text: what is UTF-8, what becomes of what is not, and databases in UTF-16.
 */
#include "base/utf8.h"
#include "tests/support/handy.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static size_t encode(uint32_t point, char out[4])
{
    if (point < 0x80) {
        out[0] = (char)point;
        return 1;
    }
    if (point < 0x800) {
        out[0] = (char)(0xc0 | point >> 6);
        out[1] = (char)(0x80 | (point & 0x3f));
        return 2;
    }
    if (point < 0x10000) {
        out[0] = (char)(0xe0 | point >> 12);
        out[1] = (char)(0x80 | (point >> 6 & 0x3f));
        out[2] = (char)(0x80 | (point & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | point >> 18);
    out[1] = (char)(0x80 | (point >> 12 & 0x3f));
    out[2] = (char)(0x80 | (point >> 6 & 0x3f));
    out[3] = (char)(0x80 | (point & 0x3f));
    return 4;
}

Test(stmt_text, every_character_is_utf_8_and_no_surrogate_is)
{
    char text[4];

    for (uint32_t point = 0; point < 0x140000; point++) {
        bool is_one = point < 0x110000 && (point < 0xd800 || point > 0xdfff);
        size_t size = encode(point, text);

        cr_assert_eq(lido__utf8_is_valid(text, size), is_one, "U+%04X", point);
        if (size > 1) /* cut */
            cr_assert_not(lido__utf8_is_valid(text, size - 1), "U+%04X", point);
    }
}

/* Every two, three and four bytes that begin a character, against SQLite's own reading of what
   is left when it is turned into UTF-16 and back: only what is UTF-8 comes back the same. */
Test(stmt_text, what_is_overlong_stray_or_cut_is_none)
{
    static const char *const wrong[] = { "\x80",
                                         "\xbf",
                                         "\xc0\x80",
                                         "\xc1\xbf",
                                         "\xe0\x80\x80",
                                         "\xe0\x9f\xbf",
                                         "\xf0\x80\x80\x80",
                                         "\xf0\x8f\xbf\xbf",
                                         "\xf4\x90\x80\x80",
                                         "\xf5\x80\x80\x80",
                                         "\xff",
                                         "\xed\xa0\x80",
                                         "\xed\xbf\xbf",
                                         "\xc3(",
                                         "\xe2\x28\xa1",
                                         "\xe2\x82(",
                                         "\xf0\x9f\x98(" };
    char text[40];

    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        for (size_t before = 0; before < 17; before++) {
            size_t size = strlen(wrong[i]);

            memset(text, 'a', sizeof text);
            memcpy(text + before, wrong[i], size);
            cr_expect_not(lido__utf8_is_valid(text, before + size), "%zu at %zu", i,
                          before);
            cr_expect_not(lido__utf8_is_valid(text, sizeof text), "%zu at %zu", i, before);
            cr_expect(lido__utf8_is_valid(text, before));
        }
    cr_expect(lido__utf8_is_valid("", 0));
    cr_expect(lido__utf8_is_valid("a\0b", 3));
}

static int lines;

static void count_line(void *ctx, int level, const char *text)
{
    (void)ctx, (void)level;
    lines += strstr(text, "not UTF-8") != NULL;
}

Test(stmt_text, what_is_bound_is_checked_as_the_pool_says)
{
    static const char *const urls[] = { "sqlite://", "sqlite://?text=warn",
                                        "sqlite://?text=raw" };
    static const int wanted[] = { LIDO_BAD_TEXT, LIDO_OK, LIDO_OK };
    struct lido_value value = lido_text("\xed\xa0\x80");
    struct lido_error err;

    for (int i = 0; i < 3; i++) {
        struct lido_pool_options options = LIDO_POOL_OPTIONS_INIT;
        struct lido_conn conn;
        struct lido_stmt stmt;
        lido_pool *pool;

        options.log = count_line;
        cr_assert_eq(lido_pool_open(&pool, urls[i], &options, &err), LIDO_OK);
        conn = handy_take(pool);
        cr_assert_eq(lido_stmt_prepare(&conn, &stmt, "SELECT :a", &err), LIDO_OK);
        cr_expect_eq(lido_stmt_bind(&stmt, 1, value, &err), wanted[i]);
        cr_expect_eq(lido_stmt_bind_name(&stmt, ":a", value, &err), wanted[i]);
        cr_expect_eq(lido_stmt_bind_all(&stmt, &value, 1, &err), wanted[i]);
        cr_expect_eq(lido_conn_query(&conn, "SELECT ?", &value, 1, NULL, NULL, &err),
                     wanted[i]);
        cr_expect_eq(lines, i == 1 ? 4 : 0, "%d", lines);
        lines = 0;
        cr_assert_eq(lido_stmt_bind(&stmt, 1, lido_blob("\xff", 1), &err), LIDO_OK);
        cr_assert_eq(lido_stmt_bind(&stmt, 1, lido_text_of("a\0b", 3), &err), LIDO_OK);
        handy_give(&conn);
        lido_pool_free(pool);
    }
}

Test(stmt_text, a_database_in_utf_16_reads_alike)
{
    static const char *const encodings[] = { "UTF-8", "UTF-16le", "UTF-16be" };
    static const char text[] = "z\xc3\x9f\xe6\xb0\xb4\xf0\x9f\x8d\x8c";

    for (int i = 0; i < 3; i++) {
        struct lido_value value = lido_text_of(text, sizeof text - 1);
        struct lido_error err = LIDO_ERROR_INIT;
        struct lido_conn conn;
        struct lido_stmt stmt;
        lido_pool *pool;
        char sql[60];
        size_t size;

        cr_assert_eq(lido_pool_open(&pool, "sqlite://", NULL, &err), LIDO_OK);
        conn = handy_take(pool);
        snprintf(sql, sizeof sql, "PRAGMA encoding='%s'; CREATE TABLE t (x)", encodings[i]);
        cr_assert_eq(lido_conn_exec(&conn, sql, &err), LIDO_OK);
        cr_assert_eq(
            lido_conn_query(&conn, "INSERT INTO t VALUES (?)", &value, 1, NULL, NULL, &err),
            LIDO_OK);
        cr_assert_eq(lido_stmt_prepare(&conn, &stmt,
                                       "SELECT x, length(x), encoding FROM t, "
                                       "pragma_encoding",
                                       &err),
                     LIDO_OK, "%s", err.text);
        cr_assert_eq(lido_stmt_step(&stmt, &err), SQLITE_ROW);
        cr_expect_str_eq(lido_stmt_text(&stmt, 0, &size), text);
        cr_expect_eq(size, sizeof text - 1);
        cr_expect_eq(lido_stmt_integer(&stmt, 1), 4);
        cr_expect_str_eq(lido_stmt_text(&stmt, 2, NULL), encodings[i]);
        handy_give(&conn);
        lido_pool_free(pool);
    }
}

/* SQLite converts it when it is asked for, and answers NULL where it cannot. */
Test(stmt_text, a_text_that_cannot_be_converted_is_not_nothing)
{
    struct lido_pool_options options = handy_options(NULL);
    lido_pool *pool = handy_open_url("sqlite://", &options);
    struct lido_conn conn = handy_take(pool);
    struct lido_error err = LIDO_ERROR_INIT;
    struct lido_value value;
    struct lido_stmt stmt;

    cr_assert_eq(lido_conn_exec(&conn,
                                "PRAGMA encoding = 'UTF-16'; CREATE TABLE t (x);"
                                "INSERT INTO t VALUES (hex(zeroblob(2000000)))",
                                &err),
                 LIDO_OK, "%s", err.text);
    cr_assert_eq(lido_stmt_prepare(&conn, &stmt, "SELECT x FROM t", &err), LIDO_OK);
    cr_assert_eq(lido_stmt_step(&stmt, &err), SQLITE_ROW, "%s", err.text);
    sqlite3_hard_heap_limit64(sqlite3_memory_used() + 300000);
    cr_expect_eq(lido_stmt_value(&stmt, 0, &value, &err), SQLITE_NOMEM);
    cr_expect_eq(value.type, SQLITE_NULL);
    sqlite3_hard_heap_limit64(0);
    cr_expect_eq(lido_stmt_finalize(&stmt, &err), SQLITE_NOMEM); /* and so ends its run */
    handy_give(&conn);
    lido_pool_free(pool);
}
