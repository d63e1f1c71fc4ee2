/* SPDX-License-Identifier: MIT */
/*
 * Dump and load, in the corners: what the shell would take for the end of a statement, another
 * encoding, numbers that a host's function answers.
 */
#include "dump_stage.h"
#include "housekeeping/dump.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

TestSuite(dump_texts, .init = set_up, .fini = tear_down, .timeout = 60);

static int load(const char *text)
{
    return lido_load_text(lido_at_path(target), NULL, text, strlen(text), NULL, &err);
}

/* To the shell a line of its own with one of these ends a statement. */
Test(dump_texts, lines_that_end_a_statement_for_the_shell_are_a_part_of_a_text)
{
    char command[400], *text;
    FILE *file;

    run(source,
        "CREATE TABLE t (x DEFAULT '\n/\n', y); CREATE VIEW v AS SELECT '\ngo\n' AS a,"
        " '\n;\n' AS b; INSERT INTO t VALUES ('\n/\n', '\ngo\n'), ('a\n / \nb', '\n"
        "  GO  \n'), ('/', 'go'), ('\n;\n.quit\n', '\n/\r\n'), ('it''s\n/\n', x'00')");
    text = dumped(lido_at_path(source), NULL, NULL);
    file = fopen(script, "w");
    cr_assert_not_null(file);
    fputs(text, file);
    fclose(file);
    cr_expect_eq(load(text), LIDO_OK, "%s", err.text);
    expect_same_rows(source, target);
    free(text);
    unlink(target);
    if (system("command -v sqlite3 > /dev/null 2>&1") != 0)
        cr_skip_test("no sqlite3 shell here");
    snprintf(command, sizeof command, "HOME=%s sqlite3 -bail %s < %s", folder, target,
             script);
    cr_expect_eq(system(command), 0);
    expect_same_rows(source, target);
}

struct at_the_end {
    int calls, answer;
};

static int answer_then(void *ctx, const struct lido_progress *now, struct lido_error *story)
{
    struct at_the_end *then = ctx;

    (void)now, (void)story;
    return ++then->calls == 2 ? then->answer : LIDO_OK;
}

Test(dump_texts, by_pull_such_a_number_is_no_row_and_no_end)
{
    struct lido_job job = LIDO_JOB_INIT;

    run(source, "CREATE TABLE t (x)");
    job.progress = answer_then;
    options.job = &job;
    for (int answer = SQLITE_ROW; answer <= SQLITE_DONE; answer++) {
        struct at_the_end then = { 0, answer };
        struct lido_dump *dump;
        const char *text;
        int rc;

        job.progress_ctx = &then;
        cr_assert_eq(lido_dump_new(&dump, lido_at_path(source), &options, &err), LIDO_OK);
        while ((rc = lido_dump_next(dump, &text, NULL, &err)) == SQLITE_ROW)
            cr_assert_not_null(text);
        cr_expect_eq(rc, SQLITE_MISUSE, "%d", rc);
        cr_expect_eq(lido_dump_next(dump, &text, NULL, &err), SQLITE_MISUSE);
        cr_expect_not_null(strstr(err.text, lido_status_name(answer)), "%s", err.text);
        lido_dump_free(dump);
    }
}

/* A pattern that is misspelt is no empty dump. */
Test(dump_texts, a_pattern_of_no_table_is_not_found)
{
    static const char *const patterns[] = { "persom", "sqlite_%", "i", "", "%r" };
    struct lido_dump_options some = LIDO_DUMP_OPTIONS_INIT;
    struct lido_dump *dump;

    run(source,
        "CREATE TABLE t (x UNIQUE); CREATE INDEX i ON t (x); CREATE VIEW v AS SELECT 1;"
        "CREATE TRIGGER r AFTER INSERT ON t BEGIN SELECT 1; END; ANALYZE");
    for (size_t i = 0; i < sizeof patterns / sizeof patterns[0]; i++) {
        some.tables = patterns[i];
        cr_expect_eq(lido_dump_new(&dump, lido_at_path(source), &some, &err),
                     LIDO_NOT_FOUND, "%s", patterns[i]);
        cr_expect_not_null(strstr(err.text, patterns[i]), "%s", err.text);
        cr_expect_null(dump);
    }
    some.tables = "V";
    cr_expect_eq(lido_dump_new(&dump, lido_at_path(source), &some, &err), LIDO_OK, "%s",
                 err.text);
    lido_dump_free(dump);
}

/* --- another encoding ------------------------------------------------------------------- */

Test(dump_texts, texts_are_the_same_in_a_database_of_another_encoding)
{
    char *text;

    run(source,
        "PRAGMA encoding='UTF-16le'; CREATE TABLE t (x); INSERT INTO t VALUES"
        " ('\xc3\xa4\xe2\x82\xac\xf0\x9f\x90\x9f'), ('CAST(X''00'' AS TEXT)'), (x'6100')");
    text = dumped(lido_at_path(source), NULL, NULL);
    run(target, "CREATE TABLE old (x)");
    cr_expect_eq(load(text), LIDO_OK, "%s", err.text);
    expect_number(
        target,
        "SELECT count(*) FROM t WHERE x IN ('\xc3\xa4\xe2\x82\xac\xf0\x9f\x90\x9f',"
        " 'CAST(X''00'' AS TEXT)', x'6100')",
        3);
    free(text);
}

Test(dump_texts, what_would_be_another_text_there_is_refused)
{
    static const char *const encodings[] = { "UTF-16le", "UTF-16be", "UTF-8" };
    char sql[200], *text;

    for (int from = 0; from < 3; from++)
        for (int into = 0; into < 3; into++) {
            snprintf(sql, sizeof sql,
                     "PRAGMA encoding='%s'; CREATE TABLE t (x); INSERT INTO t VALUES"
                     " (CAST(x'61000000' AS TEXT))",
                     encodings[from]);
            run(source, sql);
            text = dumped(lido_at_path(source), NULL, NULL);
            snprintf(sql, sizeof sql, "PRAGMA encoding='%s'; CREATE TABLE old (x)",
                     encodings[into]);
            run(target, sql);
            cr_expect_eq(load(text), from == into ? LIDO_OK : SQLITE_MISMATCH, "%s",
                         err.text);
            expect_number(target, "SELECT count(*) FROM sqlite_master",
                          from == into ? 2 : 1);
            free(text);
            unlink(source);
            unlink(target);
        }
}

/* --- the memory of a row ------------------------------------------------------------------ */

Test(dump_texts, a_row_has_room_for_its_end_at_any_length)
{
    struct lido__line line;
    sqlite3 *db;

    cr_assert_eq(sqlite3_open(":memory:", &db), SQLITE_OK);
    lido__line_begin(&line, db);
    for (size_t length = 1; length < 5000; length++) {
        lido__line_add(&line, "x", 1);
        cr_assert_eq(line.used, length);
        cr_assert_lt(line.used, line.size);
    }
    lido__line_end(&line);
    sqlite3_close(db);
}
