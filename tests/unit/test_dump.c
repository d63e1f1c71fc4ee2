/* SPDX-License-Identifier: MIT */
/*
 * Dump: what the text holds, and that it is read back as it was.
 *
 * What is read back is looked at in two ways: its own dump is the same text, and each table of
 * the one is, row for row and type for type, that of the other.
 */
#include "dump_stage.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

TestSuite(dump, .init = set_up, .fini = tear_down, .timeout = 60);

static char *dump(const char *path)
{
    return dumped(lido_at_path(path), &options, NULL);
}

static int refuse(void *ctx, const char *text, size_t length, struct lido_error *story)
{
    (void)text, (void)length;
    if (--*(int *)ctx > 0)
        return LIDO_OK;
    return lido_fail(story, SQLITE_FULL, "the disk is full");
}

/* By the shell, where there is one; it skips the test where not. */
static void read_by_shell(const char *text)
{
    char command[400];
    FILE *file = fopen(script, "w");
    int rc;

    cr_assert_not_null(file);
    fputs(text, file);
    fclose(file);
    if (system("command -v sqlite3 > /dev/null 2>&1") != 0)
        cr_skip_test("no sqlite3 shell here");
    snprintf(command, sizeof command, "HOME=%s sqlite3 -bail %s < %s > %s.out 2>&1", folder,
             target, script, script);
    rc = system(command);
    snprintf(command, sizeof command, "cat %s.out >&2; rm -f %s.out", script, script);
    if (rc != 0)
        cr_expect_eq(system(command), 0);
    snprintf(command, sizeof command, "%s.out", script);
    unlink(command);
    cr_assert_eq(rc, 0);
}

static void there_and_back(void)
{
    char *text = dump(source), *again;

    read_by_shell(text);
    again = dump(target);
    cr_expect_str_eq(again, text);
    expect_same_rows(source, target);
    free(again);
    free(text);
}

Test(dump, the_shell_reads_it_back_as_it_was)
{
    make_rich(source);
    there_and_back();
    expect_number(target, "SELECT rowid FROM plain WHERE a = 'low'", -40);
    expect_number(target, "SELECT rowid FROM falling WHERE id = 5", 12);
    expect_number(target, "SELECT oid FROM taken", 44);
    expect_number(target, "SELECT seq FROM sqlite_sequence WHERE name = 'counted'", 60);
}

Test(dump, so_it_does_from_utf_16)
{
    make_rich_utf16(source, "UTF-16le");
    there_and_back();
}

Test(dump, so_it_does_from_utf_16_of_the_other_order)
{
    make_rich_utf16(source, "UTF-16be");
    there_and_back();
}

Test(dump, a_search_index_works_when_it_is_read_back)
{
    char *text;

    make_rich(source);
    text = dump(source);
    read_by_shell(text);
    free(text);
    expect_number(target, "SELECT count(*) FROM docs WHERE docs MATCH 'quick'", 2);
    expect_number(target, "SELECT rowid FROM outside WHERE outside MATCH 'fox'", 77);
    run(target, "INSERT INTO docs VALUES('another quick one')");
    expect_number(target, "SELECT count(*) FROM docs WHERE docs MATCH 'quick'", 3);
    run(target, "INSERT INTO docs(docs) VALUES('integrity-check')");
}

/* Digits in plenty, and each of SQLite's exponents. */
Test(dump, reals_are_the_same_to_the_last_bit)
{
    run(source, "CREATE TABLE r (x REAL, y)");
    add_reals(source, 3000);
    there_and_back();
}

Test(dump, no_text_is_a_whole_one_but_for_what_is_left_out)
{
    char *text;

    run(source, "PRAGMA user_version=3; CREATE TABLE a (x); CREATE TABLE ab (x); "
                "INSERT INTO a VALUES(1); INSERT INTO ab VALUES(2);"
                "CREATE INDEX i ON a (x); CREATE VIEW v AS SELECT x FROM a;");
    options.tables = "a";
    text = dump(source);
    cr_expect_str_eq(text,
                     "PRAGMA encoding='UTF-8';\n"
                     "PRAGMA foreign_keys=OFF;\nBEGIN TRANSACTION;\n"
                     "CREATE TABLE a (x);\nINSERT INTO \"a\"(rowid,\"x\") VALUES(1,1);\n"
                     "CREATE INDEX i ON a (x);\nCOMMIT;\n");
    free(text);
    options.tables = "A_";
    options.keep_rowids = 0;
    options.has_transaction = 0;
    text = dump(source);
    cr_expect_str_eq(text, "CREATE TABLE ab (x);\nINSERT INTO \"ab\" VALUES(2);\n");
    free(text);
    options.has_schema = 0;
    options.tables = NULL;
    text = dump(source);
    cr_expect_str_eq(text, "INSERT INTO \"a\" VALUES(1);\nINSERT INTO \"ab\" VALUES(2);\n");
    free(text);
    options.has_schema = 1;
    options.has_data = 0;
    text = dump(source);
    cr_expect_null(strstr(text, "INSERT"), "%s", text);
    cr_expect_not_null(strstr(text, "CREATE VIEW v"), "%s", text);
    cr_expect_not_null(strstr(text, "PRAGMA user_version=3;\n"), "%s", text);
    free(text);
}

Test(dump, a_virtual_table_brings_its_own_tables_along)
{
    char *text;

    make_rich(source);
    options.tables = "docs";
    text = dump(source);
    cr_expect_not_null(strstr(text, "INSERT INTO \"docs_data\""), "%s", text);
    cr_expect_null(strstr(text, "docs_extra"), "that is a table of its own");
    read_by_shell(text);
    expect_number(target, "SELECT count(*) FROM docs WHERE docs MATCH 'quick'", 2);
    free(text);
    options.has_schema = 0;
    text = dump(source);
    cr_expect_null(strstr(text, "docs_data"), "%s", text);
    free(text);
}

Test(dump, the_sequence_of_some_tables_leaves_that_of_others)
{
    char *text;

    run(source, "CREATE TABLE a (i INTEGER PRIMARY KEY AUTOINCREMENT);"
                "CREATE TABLE b (i INTEGER PRIMARY KEY AUTOINCREMENT);"
                "INSERT INTO a VALUES(10); INSERT INTO b VALUES(20); DELETE FROM a;");
    options.tables = "a";
    options.has_schema = 0;
    text = dump(source);
    cr_expect_not_null(strstr(text, "DELETE FROM sqlite_sequence WHERE name='a';\n"
                                    "INSERT INTO \"sqlite_sequence\" VALUES('a',10);\n"),
                       "%s", text);
    cr_expect_null(strstr(text, "'b'"), "%s", text);
    free(text);
}

/* The whole of one database, read into another that has tables of its own. */
Test(dump, so_does_that_of_all_tables)
{
    char *text;

    run(source, "CREATE TABLE a (i INTEGER PRIMARY KEY AUTOINCREMENT);"
                "CREATE TABLE c (i INTEGER PRIMARY KEY AUTOINCREMENT);"
                "INSERT INTO a VALUES(10); INSERT INTO c VALUES(5);"
                "DELETE FROM sqlite_sequence WHERE name = 'c'");
    run(target, "CREATE TABLE b (i INTEGER PRIMARY KEY AUTOINCREMENT);"
                "INSERT INTO b VALUES(20); DELETE FROM b;");
    text = dump(source);
    cr_assert_eq(lido_load_text(lido_at_path(target), NULL, text, strlen(text), NULL, &err),
                 LIDO_OK, "%s", err.text);
    free(text);
    expect_number(target, "SELECT seq FROM sqlite_sequence WHERE name = 'b'", 20);
    expect_number(target, "SELECT seq FROM sqlite_sequence WHERE name = 'a'", 10);
    expect_number(target, "SELECT count(*) FROM sqlite_sequence", 2);
}

Test(dump, each_statement_is_complete_and_is_one)
{
    struct lido_dump *it;
    const char *text;
    size_t length;
    int rc;

    make_rich(source);
    cr_assert_eq(lido_dump_new(&it, lido_at_path(source), NULL, &err), LIDO_OK, "%s",
                 err.text);
    while ((rc = lido_dump_next(it, &text, &length, &err)) == SQLITE_ROW) {
        cr_expect(sqlite3_complete(text), "%s", text);
        cr_expect_eq(length, strlen(text));
        cr_expect_eq(memcmp(text + length - 2, ";\n", 2), 0, "%s", text);
    }
    cr_expect_eq(rc, SQLITE_DONE, "%s", err.text);
    cr_expect_eq(lido_dump_next(it, &text, &length, &err), SQLITE_DONE);
    cr_expect_null(text);
    lido_dump_free(it);
    lido_dump_free(NULL);
}

Test(dump, a_schema_that_ends_in_a_comment_ends_all_the_same)
{
    run(source, "CREATE VIEW v AS SELECT 1 AS x -- a remark");
    run(source, "CREATE VIEW w AS SELECT 2 AS x /* another");
    there_and_back();
    expect_number(target, "SELECT x FROM w", 2);
}

/* What SQLite passes over in the schema of a hostile file, no reader of a dump may execute. */
Test(dump, what_stands_behind_a_statement_of_the_schema_is_no_sql)
{
    static const char *const behind[] = { "; DROP TABLE b", ";\n.print gone\n", ";/**/\n.x",
                                          ";;" };

    run(source, "CREATE TABLE a (x); CREATE TABLE b (x);");
    for (size_t i = 0; i < sizeof behind / sizeof behind[0]; i++) {
        char *sql = sqlite3_mprintf("PRAGMA writable_schema=ON; UPDATE sqlite_master SET "
                                    "sql = 'CREATE TABLE a (x)%s' WHERE name = 'a'",
                                    behind[i]);

        run(source, sql);
        expect_number(source, "SELECT count(*) FROM a", 0);
        cr_expect_eq(lido_dump(lido_at_path(source), NULL, refuse, &(int){ 99 }, &err),
                     SQLITE_CORRUPT, "%s: %s", sql, err.text);
        sqlite3_free(sql);
    }
}

Test(dump, it_is_the_database_at_one_moment)
{
    struct lido_dump *it;
    const char *text;
    int rows = 0;

    run(source, "PRAGMA journal_mode=wal; CREATE TABLE t (x); INSERT INTO t VALUES(1),(2)");
    cr_assert_eq(lido_dump_new(&it, lido_at_path(source), NULL, &err), LIDO_OK, "%s",
                 err.text);
    cr_expect_eq(lido_dump_next(it, &text, NULL, &err), SQLITE_ROW);
    run(source, "INSERT INTO t VALUES(3); CREATE TABLE u (x)");
    while (lido_dump_next(it, &text, NULL, &err) == SQLITE_ROW) {
        rows += strncmp(text, "INSERT", 6) == 0;
        cr_expect_null(strstr(text, "TABLE u"));
    }
    cr_expect_eq(rows, 2);
    lido_dump_free(it);
}

static void *use_elsewhere(void *it)
{
    struct lido_error mine;
    const char *text;

    cr_expect_eq(lido_dump_next(it, &text, NULL, &mine), LIDO_WRONG_THREAD);
    lido_dump_free(it);
    return NULL;
}

Test(dump, it_is_of_one_thread_and_one_process)
{
    struct lido_dump *it;
    const char *text;
    pthread_t thread;
    pid_t child;
    int status = 1;

    run(source, "CREATE TABLE t (x)");
    cr_assert_eq(lido_dump_new(&it, lido_at_path(source), NULL, &err), LIDO_OK);
    cr_expect_eq(lido_dump_next(it, &text, NULL, &err), SQLITE_ROW);
    cr_assert_eq(pthread_create(&thread, NULL, use_elsewhere, it), 0);
    pthread_join(thread, NULL);
    child = fork();
    if (child == 0) {
        status = lido_dump_next(it, &text, NULL, &err) != LIDO_FORKED;
        lido_dump_free(it);
        _exit(status);
    }
    cr_expect_eq(waitpid(child, &status, 0), child);
    cr_expect_eq(status, 0);
    cr_expect_eq(lido_dump_next(it, &text, NULL, &err), SQLITE_ROW);
    lido_dump_free(it);
}

/* Its row of the schema is all that there is of it. */
Test(dump, a_virtual_table_whose_module_is_missing)
{
    char *text, *again;

    run(source, "CREATE TABLE t (x); INSERT INTO t VALUES(1); PRAGMA writable_schema=ON;"
                "INSERT INTO sqlite_master VALUES('table', 'gone', 'gone', 0,"
                " 'CREATE VIRTUAL TABLE gone USING nowhere(x)');");
    text = dump(source);
    cr_expect_not_null(strstr(text, "'CREATE VIRTUAL TABLE gone USING nowhere(x)'"), "%s",
                       text);
    read_by_shell(text);
    again = dump(target);
    cr_expect_str_eq(again, text);
    free(again);
    free(text);
}

static int count_rows(void *ctx, const struct lido_progress *now, struct lido_error *story)
{
    (void)story;
    *(uint64_t *)ctx = now->done;
    cr_expect_str_eq(now->unit, "rows");
    return LIDO_OK;
}

Test(dump, its_rows_are_told)
{
    struct lido_job job = LIDO_JOB_INIT;
    uint64_t done = 0;

    run(source, "CREATE TABLE t (x); INSERT INTO t VALUES(1), (2), (3)");
    job.progress = count_rows;
    job.progress_ctx = &done;
    options.job = &job;
    free(dump(source));
    cr_expect_eq(done, 3);
}

/* --- what ends it ----------------------------------------------------------------------- */

Test(dump, what_its_function_answers_ends_it)
{
    lido_pool *pool;
    int calls = 5;

    make_rich(source);
    cr_expect_eq(lido_dump(lido_at_path(source), NULL, refuse, &calls, &err), SQLITE_FULL);
    cr_expect_str_eq(err.text, "the disk is full");
    cr_expect_eq(calls, 0);
    cr_assert_eq(lido_pool_open(&pool, "sqlite://?pool=static", NULL, &err), LIDO_OK, "%s",
                 err.text);
    calls = 1;
    cr_expect_eq(lido_dump(lido_at_pool(pool), NULL, refuse, &calls, &err), SQLITE_FULL);
    cr_expect_eq(lido_pool_exec(pool, "CREATE TABLE t (x)", &err), LIDO_OK,
                 "it is in order: %s", err.text);
    lido_pool_free(pool);
}

static int answer(void *ctx, const char *text, size_t length, struct lido_error *story)
{
    (void)text, (void)length, (void)story;
    return *(int *)ctx;
}

static int answer_progress(void *ctx, const struct lido_progress *now,
                           struct lido_error *story)
{
    (void)now, (void)story;
    return *(int *)ctx;
}

/* A host's codes are its own, and these two no end without an error. */
Test(dump, whatever_number_a_function_answers_is_an_error)
{
    struct lido_job job = LIDO_JOB_INIT;

    run(source, "CREATE TABLE t (x)");
    for (int rc = SQLITE_ROW; rc <= SQLITE_DONE; rc++) {
        cr_expect_eq(lido_dump(lido_at_path(source), NULL, answer, &rc, &err), rc);
        cr_expect_eq(err.code, rc);
        job.progress = answer_progress;
        job.progress_ctx = &rc;
        options.job = &job;
        cr_expect_eq(lido_dump(lido_at_path(source), &options, refuse, &(int){ 9 }, &err),
                     rc);
    }
}

static int answer_at_the_end(void *ctx, const struct lido_progress *now,
                             struct lido_error *story)
{
    (void)now, (void)story;
    return ++*(int *)ctx == 2 ? SQLITE_DONE : LIDO_OK;
}

Test(dump, a_progress_function_may_end_it_at_its_end)
{
    struct lido_job job = LIDO_JOB_INIT;
    int calls = 0;

    run(source, "CREATE TABLE t (x)");
    job.progress = answer_at_the_end;
    job.progress_ctx = &calls;
    options.job = &job;
    cr_expect_eq(lido_dump(lido_at_path(source), &options, refuse, &(int){ 9 }, &err),
                 SQLITE_DONE);
}

Test(dump, a_fired_token_ends_it_in_the_middle)
{
    struct lido_job job = LIDO_JOB_INIT;
    struct lido_dump *it;
    const char *text;

    make_rich(source);
    cr_assert_eq(lido_cancel_new(&job.cancel, &err), LIDO_OK);
    options.job = &job;
    cr_assert_eq(lido_dump_new(&it, lido_at_path(source), &options, &err), LIDO_OK);
    for (int i = 0; i < 5; i++)
        cr_expect_eq(lido_dump_next(it, &text, NULL, &err), SQLITE_ROW);
    cr_assert_eq(lido_cancel_fire(job.cancel, &err), LIDO_OK);
    cr_expect_eq(lido_dump_next(it, &text, NULL, &err), LIDO_CANCELLED);
    cr_expect_null(text);
    cr_expect_eq(lido_dump_next(it, &text, NULL, &err), LIDO_CANCELLED, "always");
    lido_dump_free(it);
    cr_expect_eq(lido_dump_new(&it, lido_at_path(source), &options, &err), LIDO_CANCELLED);
    cr_expect_null(it);
    lido_cancel_free(job.cancel);
}

Test(dump, its_time_may_be_over)
{
    struct lido_job job = LIDO_JOB_INIT;
    struct lido_dump *it;

    run(source, "CREATE TABLE t (x)");
    job.timeout_ms = 0;
    options.job = &job;
    cr_expect_eq(lido_dump_new(&it, lido_at_path(source), &options, &err), LIDO_TXN_TIMEOUT,
                 "%s", err.text);
}

Test(dump, a_row_too_large_for_a_statement_is_told)
{
    lido_pool *pool;
    struct lido_conn conn;

    cr_assert_eq(lido_pool_open(&pool, "sqlite://?pool=static", NULL, &err), LIDO_OK);
    cr_assert_eq(lido_pool_exec(pool,
                                "CREATE TABLE t (x); INSERT INTO t VALUES(zeroblob(60000))",
                                &err),
                 LIDO_OK);
    cr_assert_eq(lido_pool_checkout(pool, &conn, NULL, &err), LIDO_OK);
    sqlite3_limit(lido_conn_sqlite(&conn), SQLITE_LIMIT_LENGTH, 100000);
    cr_expect_eq(lido_dump(lido_at_pool(pool), NULL, refuse, &(int){ 1000 }, &err),
                 SQLITE_TOOBIG);
    cr_expect_not_null(strstr(err.text, "too large"), "%s", err.text);
    cr_expect_eq(lido_conn_checkin(&conn, NULL, &err), LIDO_OK);
    lido_pool_free(pool);
}

static int count_row(void *ctx, int columns, char **values, char **names)
{
    (void)columns, (void)values, (void)names;
    ++*(int *)ctx;
    return 0;
}

/* What is open on the connection is not the job's, whoever began it, and how.  But on a static
   pool what SQL text began is nobody's, and the end of any lease ends it. */
Test(dump, a_transaction_of_another_lease_stays)
{
    static const char *const urls[] = { "sqlite://?pool=static",
                                        "sqlite://?pool=singleton_thread",
                                        "sqlite://?pool=singleton_thread" };
    const char text[] = "INSERT INTO t VALUES(2);";

    for (int i = 0; i < 3; i++) {
        lido_pool *pool;
        struct lido_conn conn;
        sqlite3 *db;
        int rows = 0;

        cr_assert_eq(lido_pool_open(&pool, urls[i], NULL, &err), LIDO_OK);
        cr_assert_eq(lido_pool_checkout(pool, &conn, NULL, &err), LIDO_OK);
        db = lido_conn_sqlite(&conn);
        cr_assert_eq(lido_conn_exec(&conn, "CREATE TABLE t (x)", &err), LIDO_OK);
        if (i < 2)
            cr_assert_eq(lido_txn_begin(&conn, LIDO_IMMEDIATE, &err), LIDO_OK);
        else
            cr_assert_eq(sqlite3_exec(db, "BEGIN", NULL, NULL, NULL), SQLITE_OK);
        cr_assert_eq(sqlite3_exec(db, "INSERT INTO t VALUES(1)", NULL, NULL, NULL), 0);
        cr_expect_eq(lido_dump(lido_at_pool(pool), NULL, refuse, &(int){ 9 }, &err),
                     LIDO_IN_TXN, "%d: %s", i, err.text);
        cr_expect_eq(sqlite3_get_autocommit(db), 0, "%d", i);
        cr_expect_eq(
            lido_load_text(lido_at_pool(pool), NULL, text, sizeof text - 1, NULL, &err),
            LIDO_IN_TXN, "%d: %s", i, err.text);
        cr_expect_eq(sqlite3_get_autocommit(db), 0, "%d", i);
        cr_expect_eq(sqlite3_exec(db, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
        cr_expect_eq(sqlite3_exec(db, "SELECT * FROM t", count_row, &rows, NULL), 0);
        cr_expect_eq(rows, 1, "%d", i);
        lido_txn_rollback(&conn, NULL);
        cr_expect_eq(lido_conn_checkin(&conn, NULL, &err), LIDO_OK);
        lido_pool_free(pool);
    }
}

static void put(const char *path, const char *text, size_t size)
{
    const int file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    cr_assert_eq(write(file, text, size), (ssize_t)size);
    close(file);
}

Test(dump, files_that_are_no_database)
{
    struct stat status;
    int calls = 1000;

    cr_expect_eq(lido_dump(lido_at_path(source), NULL, refuse, &calls, &err),
                 LIDO_NOT_FOUND);
    cr_expect_not_null(strstr(err.text, source), "%s", err.text);
    put(source,
        "no database at all, but long enough to be taken for one, with some luck,"
        " as a header has a hundred bytes: here they are, and a few more.",
        130);
    cr_expect_eq(lido_dump(lido_at_path(source), NULL, refuse, &calls, &err),
                 SQLITE_NOTADB);
    cr_expect_eq(calls, 1000);
    put(source, "", 0);
    cr_expect_eq(lido_dump(lido_at_path(source), NULL, refuse, &calls, &err), LIDO_OK,
                 "an empty one: %s", err.text);
    cr_assert_eq(stat(source, &status), 0);
    cr_expect_eq(status.st_size, 0);
    unlink(source);
    make_rich(source);
    cr_assert_eq(truncate(source, 4096 * 3), 0);
    cr_expect_neq(lido_dump(lido_at_path(source), NULL, refuse, &calls, &err), LIDO_OK);
}

Test(dump, bad_arguments_are_refused)
{
    const struct lido_database nothing = { NULL, NULL, NULL };
    struct lido_dump *it;
    const char *text;
    lido_pool *pool;

    cr_expect_eq(lido_dump(lido_at_url("sqlite://"), NULL, NULL, NULL, &err),
                 SQLITE_MISUSE);
    cr_expect_eq(lido_dump_new(NULL, lido_at_url("sqlite://"), NULL, &err), SQLITE_MISUSE);
    cr_expect_eq(lido_dump_new(&it, nothing, NULL, &err), SQLITE_MISUSE);
    cr_expect_null(it);
    cr_expect_eq(lido_dump_next(NULL, &text, NULL, &err), SQLITE_MISUSE);
    options.has_schema = options.has_data = 0;
    cr_expect_eq(lido_dump_new(&it, lido_at_url("sqlite://"), &options, &err),
                 LIDO_BAD_OPTION);
    options.size = 8;
    cr_expect_eq(lido_dump_new(&it, lido_at_url("sqlite://"), &options, &err),
                 SQLITE_MISUSE);
    cr_assert_eq(lido_pool_open(&pool, "sqlite://", NULL, &err), LIDO_OK);
    cr_assert_eq(lido_pool_close(pool, 0, &err), LIDO_OK);
    cr_expect_eq(lido_dump_new(&it, lido_at_pool(pool), NULL, &err), LIDO_CLOSED);
    lido_pool_free(pool);
}
