/* SPDX-License-Identifier: MIT */
/*
 * The text of a load: where a statement ends, whatever it is made of and however it comes, and
 * what a load refuses to execute.
 */
#include "dumped.h"
#include "housekeeping/load_text.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char folder[] = "/tmp/lido-load-text-XXXXXX";
static char target[100];
static struct lido_error err;

static void set_up(void)
{
    cr_assert_not_null(mkdtemp(folder));
    snprintf(target, sizeof target, "%s/target.db", folder);
    run(target, "CREATE TABLE old (x UNIQUE); INSERT INTO old VALUES(5)");
}

static void tear_down(void)
{
    unlink(target);
    rmdir(folder);
}

TestSuite(load_text, .init = set_up, .fini = tear_down, .timeout = 60);

/* --- where a statement ends ------------------------------------------------------------- */

struct pieces {
    const char *text;
    size_t each, left;
};

static int give(void *ctx, char *buffer, size_t size, size_t *length,
                struct lido_error *story)
{
    struct pieces *pieces = ctx;

    (void)story;
    *length = pieces->each < pieces->left ? pieces->each : pieces->left;
    *length = *length < size ? *length : size;
    memcpy(buffer, pieces->text, *length);
    pieces->text += *length;
    pieces->left -= *length;
    return LIDO_OK;
}

/* SQLite's own answer: how many bytes of the text the next statement ends after; 0: none. */
static size_t next_end(const char *text)
{
    static char piece[2000];

    for (size_t length = 1; text[length - 1] != '\0'; length++) {
        if (text[length - 1] != ';')
            continue;
        memcpy(piece, text, length);
        piece[length] = '\0';
        if (sqlite3_complete(piece))
            return length;
    }
    return 0;
}

static uint64_t line_of(const char *whole, const char *at)
{
    uint64_t line = 1;

    for (; whole < at; whole++)
        line += *whole == '\n';
    return line;
}

static void expect_statements(const char *whole, size_t each)
{
    struct pieces pieces = { whole, each, strlen(whole) };
    struct lido__load_text text;
    const char *statement, *left = whole;
    size_t length, end;

    lido__load_text_begin(&text, give, &pieces, 100000);
    while ((end = next_end(left)) > 0) {
        cr_assert_eq(lido__load_text_next(&text, &statement, &err), LIDO_OK, "[%s] %zu: %s",
                     whole, each, err.text);
        cr_assert_not_null(statement, "[%s] %zu", whole, each);
        length = strlen(statement);
        cr_assert_leq(length, end, "[%s] %zu: %s", whole, each, statement);
        cr_assert_eq(memcmp(statement, left + end - length, length), 0, "[%s] %zu: %s",
                     whole, each, statement);
        cr_assert_eq(text.first_line, line_of(whole, left + end - length), "[%s] %zu: %s",
                     whole, each, statement);
        left += end;
    }
    if (lido__load_text_next(&text, &statement, &err) == LIDO_OK && statement != NULL)
        cr_assert_not(statement[strlen(statement) - 1] == ';' && next_end(left) > 0);
    lido__load_text_end(&text);
}

static const char *const words[] = {
    ";",
    ";",
    "'",
    "\"",
    "`",
    "[",
    "]",
    "''",
    "--",
    "\n",
    "\r\n",
    "/*",
    "*/",
    "/",
    "*",
    "-",
    " ",
    "x",
    "CREATE ",
    "TRIGGER ",
    "TEMP ",
    "end",
    "END;",
    "; END;",
    "\t",
    "case ",
    "EXPLAIN ",
    "create",
    " begin ",
    "\xc3\xa4",
    "/**/",
    "(",
    "end case",
    "temporary ",
    "CREATE TRIGGER r BEGIN x;",
    "CREATE/**/TEMP--\nTRIGGER",
    "\\",
    ",",
    "1",
    "/*/",
};

Test(load_text, statements_end_where_sqlite_says)
{
    unsigned chance = 1;

    for (int round = 0; round < 20000; round++) {
        char whole[600] = "";

        for (int i = 0; i < 3 + round % 20; i++) {
            chance = chance * 1103515245 + 12345;
            strcat(whole, words[(chance >> 16) % (sizeof words / sizeof words[0])]);
        }
        expect_statements(whole, 1 + (size_t)round % 7);
        expect_statements(whole, sizeof whole);
    }
}

/* --- the mark of UTF-8 ------------------------------------------------------------------ */

/* It may be cut, and is not the beginning of the statement. */
Test(load_text, a_mark_may_come_in_any_pieces)
{
    static const char text[] =
        "\xef\xbb\xbf"
        "CREATE TRIGGER r AFTER INSERT ON old BEGIN SELECT 1; SELECT 2; END;";

    for (size_t each = 1; each < 5; each++) {
        struct pieces pieces = { text, each, sizeof text - 1 };

        cr_expect_eq(lido_load(lido_at_path(target), NULL, give, &pieces, NULL, &err),
                     LIDO_OK, "%zu: %s", each, err.text);
        run(target, "DROP TRIGGER r");
    }
    for (size_t length = 1; length < 3; length++)
        cr_expect_eq(lido_load_text(lido_at_path(target), NULL, text, length, NULL, &err),
                     SQLITE_ERROR);
}

/* --- what is refused -------------------------------------------------------------------- */

static const struct refused {
    const char *text, *says;
} refused[] = {
    { "DELETE FROM old; EXPLAIN PRAGMA writable_schema=1;", "PRAGMA: not in" },
    { "DELETE FROM old; explain query/**/plan pragma hard_heap_limit=1;",
      "pragma: not in" },
    { "EXPLAIN COMMIT;", "COMMIT: not in" },
    { "DELETE FROM old;\xef\xbb\xbf"
      "ATTACH ':memory:' AS a;",
      "ATTACH: not in" },
    { "PRAGMA soft_heap_limit=0;", "soft_heap_limit: a pragma for the whole process" },
    { "PRAGMA [hard_heap_limit]=0;", "hard_heap_limit: a pragma" },
    { "PRAGMA main.temp_store_directory='/tmp';", "temp_store_directory: a pragma" },
    { "PRAGMA \"ma \"\"in\" . 'data_store_directory'='';", "data_store_directory: a" },
    { "PRAGMA m\xc3\xa4$in.soft_heap_limit=0;", "soft_heap_limit: a pragma" },
};

Test(load_text, what_no_text_may_do_is_refused)
{
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        const char *text = refused[i].text;

        cr_expect_eq(
            lido_load_text(lido_at_path(target), NULL, text, strlen(text), NULL, &err),
            SQLITE_ERROR, "%s", text);
        cr_expect_not_null(strstr(err.text, refused[i].says), "%s: %s", text, err.text);
        expect_number(target, "SELECT count(*) FROM old", 1);
    }
}

/* --- what others have on the connection ------------------------------------------------- */

static int attach(void *ctx, const struct lido_event *event, struct lido_error *story)
{
    (void)ctx, (void)story;
    return sqlite3_exec(event->handle,
                        "ATTACH ':memory:' AS other; CREATE TABLE other.far (x);"
                        "CREATE TEMP TABLE near (x); CREATE TEMP TABLE log (x);"
                        "CREATE TEMP TRIGGER r AFTER INSERT ON main.old BEGIN"
                        " INSERT INTO log VALUES(new.x); END",
                        NULL, NULL, NULL);
}

static const struct lido_events attaches = { .size = sizeof attaches, .checkout = attach };

static lido_pool *open_queue(void)
{
    lido_pool *pool;
    char url[200];

    snprintf(url, sizeof url, "sqlite:///%s?pool=queue&pool_size=1&max_overflow=0", target);
    cr_assert_eq(lido_pool_open(&pool, url, NULL, &err), LIDO_OK, "%s", err.text);
    return pool;
}

Test(load_text, rows_go_to_the_database_alone)
{
    static const struct refused texts[] = {
        { "INSERT INTO old VALUES(6);\nINSERT INTO far VALUES(1);",
          "line 2: \"far\" of other" },
        { "INSERT INTO other.far VALUES(1);", "\"far\" of other" },
        { "UPDATE near SET x = 1;", "\"near\" of temp" },
        { "DROP TABLE far;", "of other" },
        { "DROP TABLE near;", "of temp" },
        { "DROP TRIGGER r;", "of temp" },
        { "ALTER TABLE far ADD COLUMN y;", "\"far\" of other" },
        { "CREATE TABLE other.new (x);", "of other" },
        { "WITH a AS (SELECT 1) INSERT INTO near SELECT * FROM a;", "\"near\" of temp" },
        { "DELETE FROM far WHERE 0;", "\"far\" of other" },
    };
    static const char fine[] = "INSERT INTO old SELECT 7 FROM (SELECT count(*) FROM far);"
                               "CREATE TEMP TABLE mine (x); INSERT INTO mine VALUES(8);"
                               "INSERT INTO old SELECT x FROM mine; DROP TABLE mine;";
    lido_pool *pool = open_queue();

    cr_assert_eq(lido_hooks_add(lido_pool_hooks(pool), NULL, &attaches, NULL, NULL, &err),
                 LIDO_OK, "%s", err.text);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        const char *text = texts[i].text;

        cr_expect_eq(
            lido_load_text(lido_at_pool(pool), NULL, text, strlen(text), NULL, &err),
            SQLITE_ERROR, "%s", text);
        cr_expect_not_null(strstr(err.text, texts[i].says), "%s: %s", text, err.text);
        expect_number(target, "SELECT count(*) FROM old", 1);
    }
    cr_expect_eq(
        lido_load_text(lido_at_pool(pool), NULL, fine, sizeof fine - 1, NULL, &err),
        LIDO_OK, "%s", err.text);
    expect_number(target, "SELECT count(*) FROM old WHERE x > 6", 2);
    lido_pool_free(pool);
}

static int note(void *ctx, const struct lido_event *event, struct lido_error *story)
{
    int rc = sqlite3_exec(event->handle, "INSERT INTO other.far VALUES('noted')", NULL,
                          NULL, NULL);

    (void)story;
    *(int *)ctx += rc == SQLITE_OK;
    return rc;
}

/* Where the host writes is its own affair, in the transaction of a load too. */
Test(load_text, a_hook_of_the_host_writes_where_it_likes)
{
    static const struct lido_events notes = { .size = sizeof notes,
                                              .begin = note,
                                              .commit = note };
    static const char text[] = "INSERT INTO old VALUES(7);";
    lido_pool *pool = open_queue();
    int noted = 0;

    cr_assert_eq(lido_hooks_add(lido_pool_hooks(pool), NULL, &attaches, NULL, NULL, &err),
                 LIDO_OK, "%s", err.text);
    cr_assert_eq(lido_hooks_add(lido_pool_hooks(pool), NULL, &notes, &noted, NULL, &err),
                 LIDO_OK, "%s", err.text);
    cr_expect_eq(
        lido_load_text(lido_at_pool(pool), NULL, text, sizeof text - 1, NULL, &err),
        LIDO_OK, "%s", err.text);
    cr_expect_eq(noted, 2);
    expect_number(target, "SELECT count(*) FROM old WHERE x = 7", 1);
    lido_pool_free(pool);
}

/* What it has said of an empty database is forgotten, and nothing is in the file. */
Test(load_text, a_text_that_failed_says_nothing_of_the_next)
{
    static const char text[] = "PRAGMA page_size=512; PRAGMA encoding='UTF-16le';"
                               "PRAGMA auto_vacuum=2; CREATE TABLE t (x); nonsense;";
    static const char made[] = "CREATE TABLE t (x);";
    struct lido_file file = LIDO_FILE_INIT;
    lido_pool *pool;
    char *dump;

    unlink(target);
    pool = open_queue();
    cr_expect_eq(
        lido_load_text(lido_at_pool(pool), NULL, text, sizeof text - 1, NULL, &err),
        SQLITE_ERROR);
    cr_expect_eq(lido_file_look(target, &file, &err), LIDO_OK);
    cr_expect_eq(file.bytes, 0);
    cr_expect_eq(
        lido_load_text(lido_at_pool(pool), NULL, made, sizeof made - 1, NULL, &err),
        LIDO_OK, "%s", err.text);
    dump = dumped(lido_at_pool(pool), NULL, NULL);
    cr_expect_null(strstr(dump, "page_size=512"), "%s", dump);
    cr_expect_null(strstr(dump, "UTF-16"), "%s", dump);
    cr_expect_null(strstr(dump, "auto_vacuum"), "%s", dump);
    free(dump);
    lido_pool_free(pool);
}

/* There is no table that could make it. */
Test(load_text, an_empty_database_is_made_as_its_text_says)
{
    static const char text[] = "PRAGMA page_size=512; PRAGMA auto_vacuum=2; BEGIN; COMMIT;";

    unlink(target);
    cr_expect_eq(
        lido_load_text(lido_at_path(target), NULL, text, sizeof text - 1, NULL, &err),
        LIDO_OK, "%s", err.text);
    expect_number(target, "PRAGMA page_size", 512);
    expect_number(target, "PRAGMA auto_vacuum", 2);
}
