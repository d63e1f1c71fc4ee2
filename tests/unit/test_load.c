/* SPDX-License-Identifier: MIT */
/*
 * Load: a dump comes back as it was, and what fails leaves all as it was.
 */
#include "dumped.h"
#include "own_folder.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char folder[] = "/tmp/lido-load-XXXXXX";
static char source[100], target[100];
static struct lido_load_options options;
static struct lido_load_result result;
static struct lido_error err;

static void set_up(void)
{
    cr_assert_not_null(mkdtemp(folder));
    snprintf(source, sizeof source, "%s/source.db", folder);
    snprintf(target, sizeof target, "%s/target.db", folder);
    options = (struct lido_load_options)LIDO_LOAD_OPTIONS_INIT;
    result = (struct lido_load_result)LIDO_LOAD_RESULT_INIT;
}

static void tear_down(void)
{
    unlink(source);
    unlink(target);
    own_folder_end(folder);
}

TestSuite(load, .init = set_up, .fini = tear_down, .timeout = 60);

static int load(const char *text)
{
    return lido_load_text(lido_at_path(target), &options, text, strlen(text), &result,
                          &err);
}

static void there_and_back(void)
{
    char *text = dumped(lido_at_path(source), NULL, NULL), *again;

    cr_assert_eq(load(text), LIDO_OK, "%s", err.text);
    cr_expect_eq(result.bytes, strlen(text));
    again = dumped(lido_at_path(target), NULL, NULL);
    cr_expect_str_eq(again, text);
    expect_same_rows(source, target);
    free(again);
    free(text);
}

Test(load, a_dump_comes_back_as_it_was)
{
    make_rich(source);
    there_and_back();
    run(target, "INSERT INTO docs VALUES('another quick one')");
    expect_number(target, "SELECT count(*) FROM docs WHERE docs MATCH 'quick'", 3);
    run(target, "INSERT INTO docs(docs) VALUES('integrity-check')");
}

Test(load, so_does_one_in_utf_16)
{
    make_rich_utf16(source, "UTF-16be");
    there_and_back();
}

/* A text with a NUL is in the dump by its bytes: it needs the encoding. */
Test(load, so_does_one_in_utf_16_into_a_new_file_with_a_log)
{
    char *text, url[200];

    make_rich_utf16(source, "UTF-16le");
    text = dumped(lido_at_path(source), NULL, NULL);
    snprintf(url, sizeof url, "sqlite:///%s?journal_mode=wal", target);
    cr_assert_eq(lido_load_text(lido_at_url(url), NULL, text, strlen(text), NULL, &err),
                 LIDO_OK, "%s", err.text);
    expect_same_rows(source, target);
    free(text);
}

/* Nothing in it but a row of the schema. */
static const char vocabulary[] =
    "PRAGMA writable_schema=ON; INSERT INTO sqlite_master VALUES('table', 'words', 'words',"
    " 0, 'CREATE VIRTUAL TABLE words USING fts5vocab(docs, row)');";

/* The connection that loaded knows what it loaded, and so does one that was there before. */
Test(load, virtual_tables_are_there_at_once)
{
    lido_pool *pool;
    struct lido_conn before;
    char *text, url[200];
    int was;

    make_rich(source);
    text = dumped(lido_at_path(source), NULL, NULL);
    run(target, "PRAGMA user_version=1");
    snprintf(url, sizeof url, "sqlite:///%s?pool=queue", target);
    cr_assert_eq(lido_pool_open(&pool, url, NULL, &err), LIDO_OK, "%s", err.text);
    cr_assert_eq(lido_pool_checkout(pool, &before, NULL, &err), LIDO_OK);
    cr_assert_eq(lido_conn_exec(&before, "PRAGMA foreign_keys=ON", &err), LIDO_OK);
    cr_assert_eq(lido_load_text(lido_at_pool(pool), NULL, text, strlen(text), NULL, &err),
                 LIDO_OK, "%s", err.text);
    cr_expect_eq(lido_conn_exec(&before, "INSERT INTO docs VALUES('x')", &err), LIDO_OK,
                 "%s", err.text);
    cr_expect_eq(lido_conn_checkin(&before, NULL, &err), LIDO_OK);
    cr_assert_eq(lido_pool_checkout(pool, &before, NULL, &err), LIDO_OK);
    cr_expect_eq(lido_conn_exec(&before, "SELECT * FROM docs", &err), LIDO_OK, "%s",
                 err.text);
    cr_assert_eq(lido_load_text(lido_at_path(target), NULL, vocabulary,
                                sizeof vocabulary - 1, NULL, &err),
                 LIDO_OK, "%s", err.text);
    cr_expect_eq(lido_conn_exec(&before, "SELECT * FROM words", &err), LIDO_OK, "%s",
                 err.text);
    sqlite3_db_config(lido_conn_sqlite(&before), SQLITE_DBCONFIG_WRITABLE_SCHEMA, -1, &was);
    cr_expect_eq(was, 0);
    cr_expect_eq(lido_conn_checkin(&before, NULL, &err), LIDO_OK);
    lido_pool_free(pool);
    free(text);
}

/* One connection, which is kept: what it was set to is put back, whether it fails or not. */
Test(load, the_connection_is_as_it_was)
{
    static const char *const texts[] = {
        "PRAGMA writable_schema=ON; CREATE TABLE a (x); INSERT INTO sqlite_master VALUES("
        "'table', 'f', 'f', 0, 'CREATE VIRTUAL TABLE f USING fts5vocab(d, row)');",
        "PRAGMA writable_schema=ON; INSERT INTO sqlite_master VALUES("
        "'table', 'g', 'g', 0, 'CREATE VIRTUAL TABLE g USING fts5vocab(d, row)');"
        "PRAGMA writable_schema=RESET; SELECT 1 FROM a; nonsense;",
    };
    static const int configs[] = { SQLITE_DBCONFIG_DEFENSIVE, SQLITE_DBCONFIG_ENABLE_FKEY };
    lido_pool *pool;
    struct lido_conn conn;
    sqlite3 *db;
    int is_on;

    cr_assert_eq(lido_pool_open(&pool, "sqlite://?pool=static", NULL, &err), LIDO_OK);
    cr_assert_eq(lido_pool_checkout(pool, &conn, NULL, &err), LIDO_OK);
    db = lido_conn_sqlite(&conn);
    for (int i = 0; i < 2; i++)
        sqlite3_db_config(db, configs[i], 1, (int *)NULL);
    for (int i = 0; i < 2; i++) {
        cr_expect_eq(lido_load_text(lido_at_pool(pool), NULL, texts[i], strlen(texts[i]),
                                    NULL, &err),
                     i == 0 ? LIDO_OK : SQLITE_ERROR, "%s", err.text);
        for (int j = 0; j < 2; j++) {
            sqlite3_db_config(db, configs[j], -1, &is_on);
            cr_expect_eq(is_on, 1, "%d %d", i, j);
        }
        sqlite3_db_config(db, SQLITE_DBCONFIG_WRITABLE_SCHEMA, -1, &is_on);
        cr_expect_eq(is_on, 0);
    }
    cr_expect_eq(lido_conn_exec(&conn, "CREATE TABLE g (x)", &err), LIDO_OK,
                 "it does not remember the one that was rolled back: %s", err.text);
    cr_expect_neq(lido_conn_exec(&conn, "CREATE TABLE f (x)", &err), LIDO_OK);
    cr_expect_eq(lido_conn_checkin(&conn, NULL, &err), LIDO_OK);
    lido_pool_free(pool);
}

/* Other tools make such schemas, and SQLite reads them whatever the connection says. */
Test(load, a_schema_with_texts_in_double_quotes)
{
    run(source, "CREATE TABLE t (x CHECK (x <> \"never\"), y DEFAULT \"some\");"
                "CREATE INDEX i ON t (x) WHERE x > \"a\"; INSERT INTO t VALUES('b', 1)");
    there_and_back();
}

Test(load, a_dump_of_the_shell_is_read_too)
{
    char command[300];
    static char text[200000];
    FILE *pipe;

    if (system("command -v sqlite3 > /dev/null 2>&1") != 0)
        cr_skip_test("no sqlite3 shell here");
    make_rich(source);
    snprintf(command, sizeof command, "HOME=%s sqlite3 %s .dump", folder, source);
    pipe = popen(command, "r");
    cr_assert_not_null(pipe);
    text[fread(text, 1, sizeof text - 1, pipe)] = '\0';
    pclose(pipe);
    /* It writes rows of this kind without their columns. */
    cr_assert_eq(load(text), LIDO_OK, "%s", err.text);
    expect_number(target, "SELECT count(*) FROM docs WHERE docs MATCH 'quick'", 2);
    expect_number(target, "SELECT count(*) FROM plain", 7);
}

/* --- cutting ---------------------------------------------------------------------------- */

struct pieces {
    const char *text;
    size_t each, left;
    int calls, fails_at;
};

static int give(void *ctx, char *buffer, size_t size, size_t *length,
                struct lido_error *story)
{
    struct pieces *pieces = ctx;

    if (++pieces->calls == pieces->fails_at)
        return lido_fail(story, SQLITE_IOERR, "the wire broke");
    *length = pieces->each < pieces->left ? pieces->each : pieces->left;
    cr_assert_leq(*length, size);
    memcpy(buffer, pieces->text, *length);
    pieces->text += *length;
    pieces->left -= *length;
    return LIDO_OK;
}

static const char tricky[] =
    "\xef\xbb\xbf-- a remark; with one\n/* and; * / another **/ ;;\n"
    "CREATE TABLE t (a DEFAULT 'x;''--', \"b;/*\", [it's --;], `d;`);--;\n"
    "CREATE TEMP TRIGGER r AFTER INSERT ON t BEGIN UPDATE t SET a = 1 - 1/1; "
    "SELECT CASE WHEN 1 THEN 2 END; END;\n"
    "INSERT INTO t VALUES('two\nlines;', 3--4\n, 5, 6); SELECT * FROM t; -- end";

Test(load, a_text_may_come_in_any_pieces)
{
    for (size_t each = 1; each < sizeof tricky; each++) {
        struct pieces pieces = { tricky, each, sizeof tricky - 1, 0, 0 };

        cr_assert_eq(
            lido_load(lido_at_url("sqlite://"), &options, give, &pieces, &result, &err),
            LIDO_OK, "%zu: %s", each, err.text);
        cr_assert_eq(result.line, 7);
        cr_assert_eq(result.bytes, sizeof tricky - 1);
    }
}

Test(load, a_statement_larger_than_any_buffer)
{
    const size_t size = 1000000;
    char *text = malloc(size + 100);
    int head;

    cr_assert_not_null(text);
    head = sprintf(text, "CREATE TABLE t (x); INSERT INTO t VALUES('");
    memset(text + head, 'x', size);
    strcpy(text + head + size, "'); INSERT INTO t VALUES('short');");
    cr_assert_eq(load(text), LIDO_OK, "%s", err.text);
    expect_number(target, "SELECT sum(length(x)) FROM t", (long long)size + 5);
    free(text);
}

Test(load, the_last_statement_needs_no_semicolon)
{
    cr_expect_eq(load("CREATE TABLE t (x); INSERT INTO t VALUES(1)"), LIDO_OK, "%s",
                 err.text);
    cr_expect_eq(load("INSERT INTO t VALUES(2) -- the end"), LIDO_OK, "%s", err.text);
    cr_expect_eq(load("CREATE TRIGGER r AFTER DELETE ON t BEGIN SELECT 1; END"), LIDO_OK,
                 "%s", err.text);
    cr_expect_eq(load("BEGIN; INSERT INTO t VALUES(4); COMMIT"), LIDO_OK, "%s", err.text);
    cr_expect_eq(load("x"), SQLITE_ERROR);
    expect_number(target, "SELECT sum(x) + count(*) FROM sqlite_master, t", 20);
}

/* --- what fails --------------------------------------------------------------------------- */

struct failure {
    const char *text;
    int rc;
    const char *says;
};

static const struct failure failures[] = {
    { "SELECT 1;\n\nSELEC 2;", SQLITE_ERROR, "line 3: near \"SELEC\"" },
    { "CREATE TABLE a (x);\n-- why\n  INSERT INTO a\nVALUES(1, 2);", SQLITE_ERROR,
      "line 3: table a has 1 columns" },
    { "INSERT INTO old VALUES(1);\nINSERT INTO old VALUES(5);", SQLITE_CONSTRAINT_UNIQUE,
      "line 2: UNIQUE" },
    { "INSERT INTO old VALUES(2);\nINSERT OR ROLLBACK INTO old VALUES(5);",
      SQLITE_CONSTRAINT_UNIQUE, "line 2: UNIQUE" },
    { "SELECT 1;\n.quit\nSELECT 2;", SQLITE_ERROR, "line 2: a command of the sqlite3" },
    { ".print it's", SQLITE_ERROR, "line 1: a command" },
    { "CREATE TABLE a (x);\nROLLBACK;", SQLITE_ERROR, "line 2: ROLLBACK: not in" },
    { "/* x */ savepoint s;", SQLITE_ERROR, "line 1: savepoint: not in" },
    { "RELEASE s;", SQLITE_ERROR, "RELEASE" },
    { "\nATTACH 'x.db' AS x;", SQLITE_ERROR, "line 2: ATTACH" },
    { "DETACH x;", SQLITE_ERROR, "DETACH" },
    { "VACUUM;", SQLITE_ERROR, "VACUUM" },
    { "BEGIN; BEGIN;", SQLITE_ERROR, "BEGIN: there was one" },
    { "DELETE FROM old;COMMIT;", SQLITE_ERROR, "COMMIT: there was no" },
    { "END;", SQLITE_ERROR, "END: there was no" },
    { "BEGIN;\nDELETE FROM old;", SQLITE_ERROR, "without its COMMIT" },
    { "DELETE FROM old;\nINSERT INTO old VALUES('cut", SQLITE_ERROR,
      "line 2: the text ends" },
    { "DELETE FROM old;\nINSERT INTO old VALUES(1", SQLITE_ERROR,
      "line 2: incomplete input" },
    { "DELETE FROM old;\nINSERT INTO old VALUES(1) /* cut", SQLITE_ERROR,
      "line 2: the text ends" },
    { "DELETE FROM old;\nCREATE TRIGGER r AFTER INSERT ON old BEGIN SELECT 1; --",
      SQLITE_ERROR, "line 2: incomplete input" },
    { "DELETE FROM old;\n/* cut", SQLITE_ERROR, "line 2: the text ends inside a comment" },
    { "DROP TABLE old; CREATE TABLE p (i PRIMARY KEY); CREATE TABLE c (p REFERENCES p);\n"
      "INSERT INTO c VALUES(7);",
      SQLITE_CONSTRAINT_FOREIGNKEY, "row 1 of table c" },
    { "DELETE FROM old; PRAGMA writable_schema=1; INSERT INTO sqlite_master VALUES('table',"
      "'z', 'z', 0, 'CREATE nonsense');",
      SQLITE_CORRUPT, "malformed" },
    { "DELETE FROM old; PRAGMA journal_mode=wal; nonsense;", SQLITE_ERROR, "line 1" },
    { "DELETE FROM old;\n\xef\xbb\xbf COMMIT; nonsense;", SQLITE_ERROR,
      "line 2: COMMIT: there was no" },
    { "DELETE FROM old;/**/ \v\xef\xbb\xbf/**/\xef\xbb\xbf\xef\xbb\xbf"
      "END; nonsense;",
      SQLITE_ERROR, "line 1" },
};

Test(load, what_fails_leaves_all_as_it_was)
{
    char *before, *after;

    run(target, "CREATE TABLE old (x UNIQUE); INSERT INTO old VALUES(5)");
    before = dumped(lido_at_path(target), NULL, NULL);
    for (size_t i = 0; i < sizeof failures / sizeof failures[0]; i++) {
        cr_expect_eq(load(failures[i].text), failures[i].rc, "%s: %d, %s", failures[i].text,
                     err.code, err.text);
        cr_expect_not_null(strstr(err.text, failures[i].says), "%s: %s", failures[i].text,
                           err.text);
        after = dumped(lido_at_path(target), NULL, NULL);
        cr_expect_str_eq(after, before, "%s", failures[i].text);
        free(after);
    }
    free(before);
}

Test(load, a_nul_in_the_text_is_an_error)
{
    static const char text[] = "CREATE TABLE a (x);\nSELECT '\0';";

    cr_expect_eq(
        lido_load_text(lido_at_path(target), NULL, text, sizeof text - 1, &result, &err),
        SQLITE_ERROR);
    cr_expect_str_eq(err.text, "line 2: a NUL stands in the text");
    cr_expect_eq(result.line, 2);
    cr_expect_eq(result.statements, 1);
}

Test(load, foreign_keys_are_looked_at_in_the_end_or_not_at_all)
{
    static const char text[] = "PRAGMA foreign_keys=ON; CREATE TABLE c (p REFERENCES p);"
                               "INSERT INTO c VALUES(7);";
    static const char rest[] = "CREATE TABLE p (i PRIMARY KEY); INSERT INTO p VALUES(7);";
    char both[300];

    snprintf(both, sizeof both, "%s%s", text, rest);
    cr_expect_eq(load(both), LIDO_OK, "%s", err.text);
    unlink(target);
    cr_expect_eq(load(text), SQLITE_CONSTRAINT_FOREIGNKEY);
    options.check_foreign_keys = 0;
    cr_expect_eq(load(text), LIDO_OK, "%s", err.text);
}

Test(load, the_reader_may_fail)
{
    struct pieces pieces = { tricky, 50, sizeof tricky - 1, 0, 3 };

    cr_expect_eq(lido_load(lido_at_path(target), NULL, give, &pieces, NULL, &err),
                 SQLITE_IOERR);
    cr_expect_str_eq(err.text, "the wire broke");
    expect_number(target, "SELECT count(*) FROM sqlite_master", 0);
}

struct answer {
    const char *text; /* the first piece, or NULL */
    int rc;           /* of the second */
};

static int answer(void *ctx, char *buffer, size_t size, size_t *length,
                  struct lido_error *story)
{
    struct answer *answer = ctx;

    (void)size, (void)story;
    if (answer->text == NULL)
        return answer->rc;
    *length = strlen(answer->text);
    memcpy(buffer, answer->text, *length);
    answer->text = NULL;
    return LIDO_OK;
}

static int answer_progress(void *ctx, const struct lido_progress *now,
                           struct lido_error *story)
{
    (void)now, (void)story;
    return *(int *)ctx;
}

/* A host's codes are its own: what SQLite uses for a row and for the end is neither. */
Test(load, whatever_number_a_function_answers_is_an_error)
{
    struct lido_job job = LIDO_JOB_INIT;

    for (int rc = SQLITE_ROW; rc <= SQLITE_DONE; rc++) {
        struct answer cut = { "CREATE TABLE t (x);", rc };

        cr_expect_eq(lido_load(lido_at_path(target), NULL, answer, &cut, NULL, &err), rc);
        cr_expect_eq(err.code, rc);
        job.progress = answer_progress;
        job.progress_ctx = &rc;
        options.job = &job;
        cr_expect_eq(load("CREATE TABLE t (x);"), rc);
    }
    expect_number(target, "SELECT count(*) FROM sqlite_master", 0);
}

static int fail_checkin(void *ctx, const struct lido_event *event, struct lido_error *story)
{
    (void)ctx, (void)event;
    return lido_fail(story, SQLITE_AUTH, "not today");
}

/* An error would say that nothing was loaded. */
Test(load, what_is_committed_is_no_error)
{
    static const struct lido_events events = { .size = sizeof events,
                                               .checkin = fail_checkin };
    static const char text[] = "CREATE TABLE t (x);";
    lido_pool *pool;
    lido_hook hook;

    cr_assert_eq(lido_pool_open(&pool, "sqlite://?pool=static", NULL, &err), LIDO_OK);
    cr_assert_eq(lido_hooks_add(lido_pool_hooks(pool), &hook, &events, NULL, NULL, &err),
                 LIDO_OK);
    cr_expect_eq(
        lido_load_text(lido_at_pool(pool), NULL, text, sizeof text - 1, NULL, &err),
        LIDO_OK, "%s", err.text);
    cr_expect_eq(
        lido_load_text(lido_at_pool(pool), NULL, text, sizeof text - 1, NULL, &err),
        SQLITE_ERROR, "it is there");
    lido_pool_free(pool);
}

Test(load, some_tables_bring_no_parts_of_others)
{
    struct lido_dump_options some = LIDO_DUMP_OPTIONS_INIT;
    char *text;

    run(source, "CREATE VIRTUAL TABLE docs USING fts5(x);"
                "CREATE VIRTUAL TABLE docs_more USING fts5(x);");
    some.tables = "docs";
    text = dumped(lido_at_path(source), &some, NULL);
    cr_expect_not_null(strstr(text, "INSERT INTO \"docs_data\""), "%s", text);
    cr_expect_null(strstr(text, "docs_more"), "%s", text);
    free(text);
}

Test(load, a_search_index_without_its_rows_works)
{
    struct lido_dump_options schema = LIDO_DUMP_OPTIONS_INIT;
    char *text;

    make_rich(source);
    schema.has_data = 0;
    text = dumped(lido_at_path(source), &schema, NULL);
    cr_assert_eq(load(text), LIDO_OK, "%s", err.text);
    free(text);
    expect_number(target, "SELECT count(*) FROM docs", 0);
    run(target, "INSERT INTO docs VALUES('a quick one')");
    expect_number(target, "SELECT count(*) FROM docs WHERE docs MATCH 'quick'", 1);
    run(target, "INSERT INTO \"box's\" VALUES(1, 0, 1)");
}

/* On a connection that leases share. */
Test(load, rows_do_not_go_to_a_temporary_table)
{
    static const char text[] = "CREATE TABLE T (x); INSERT INTO \"T\" VALUES(1);";
    lido_pool *pool;
    struct lido_conn conn;

    cr_assert_eq(lido_pool_open(&pool, "sqlite://?pool=static", NULL, &err), LIDO_OK);
    cr_assert_eq(lido_pool_checkout(pool, &conn, NULL, &err), LIDO_OK);
    cr_assert_eq(lido_conn_exec(&conn, "CREATE TEMP TABLE t (x)", &err), LIDO_OK);
    cr_expect_eq(
        lido_load_text(lido_at_pool(pool), NULL, text, sizeof text - 1, NULL, &err),
        SQLITE_ERROR);
    cr_expect_not_null(strstr(err.text, "temporary table T too"), "%s", err.text);
    cr_expect_neq(lido_conn_exec(&conn, "SELECT * FROM main.t", &err), LIDO_OK);
    cr_assert_eq(lido_conn_exec(&conn, "DROP TABLE temp.t", &err), LIDO_OK);
    cr_expect_eq(
        lido_load_text(lido_at_pool(pool), NULL, text, sizeof text - 1, NULL, &err),
        LIDO_OK, "%s", err.text);
    cr_expect_eq(lido_conn_checkin(&conn, NULL, &err), LIDO_OK);
    lido_pool_free(pool);
}

static int give_too_much(void *ctx, char *buffer, size_t size, size_t *length,
                         struct lido_error *story)
{
    (void)ctx, (void)buffer, (void)story;
    *length = size + 1;
    return LIDO_OK;
}

static int fire(void *ctx, const struct lido_progress *now, struct lido_error *story)
{
    (void)story;
    cr_expect_str_eq(now->unit, "statements");
    return lido_cancel_fire(ctx, NULL);
}

Test(load, a_fired_token_ends_it)
{
    struct lido_job job = LIDO_JOB_INIT;

    cr_assert_eq(lido_cancel_new(&job.cancel, &err), LIDO_OK);
    job.progress = fire;
    job.progress_ctx = job.cancel;
    options.job = &job;
    cr_expect_eq(load("CREATE TABLE t (x); INSERT INTO t WITH RECURSIVE n(i) AS (SELECT 1 "
                      "UNION ALL SELECT i + 1 FROM n) SELECT i FROM n;"),
                 LIDO_CANCELLED, "%s", err.text);
    expect_number(target, "SELECT count(*) FROM sqlite_master", 0);
    lido_cancel_free(job.cancel);
}

Test(load, its_time_may_be_over)
{
    struct lido_job job = LIDO_JOB_INIT;

    job.timeout_ms = 20;
    options.job = &job;
    cr_expect_eq(load("CREATE TABLE t (x); INSERT INTO t WITH RECURSIVE n(i) AS (SELECT 1 "
                      "UNION ALL SELECT i + 1 FROM n) SELECT i FROM n WHERE i < 0;"),
                 LIDO_TXN_TIMEOUT, "%s", err.text);
    expect_number(target, "SELECT count(*) FROM sqlite_master", 0);
}

/* The time of a job is its own. */
Test(load, the_limit_of_the_pools_transactions_is_not_its)
{
    static const char text[] = "CREATE TABLE t (x); INSERT INTO t VALUES(1);";
    lido_pool *pool;
    int statements;

    cr_assert_eq(lido_pool_open(&pool, "sqlite://?pool=static&txn_limit=0", NULL, &err),
                 LIDO_OK, "%s", err.text);
    cr_expect_eq(
        lido_load_text(lido_at_pool(pool), NULL, text, sizeof text - 1, NULL, &err),
        LIDO_OK, "%s", err.text);
    free(dumped(lido_at_pool(pool), NULL, &statements));
    cr_expect_eq(statements, 7);
    lido_pool_free(pool);
}

Test(load, a_file_that_another_writes_is_busy)
{
    struct lido_job job = LIDO_JOB_INIT;
    sqlite3 *other;

    job.timeout_ms = 20;
    options.job = &job;
    cr_assert_eq(sqlite3_open(target, &other), SQLITE_OK);
    cr_assert_eq(
        sqlite3_exec(other, "CREATE TABLE o (x); BEGIN IMMEDIATE", NULL, NULL, NULL),
        SQLITE_OK);
    cr_expect_neq(load("CREATE TABLE t (x);"), LIDO_OK);
    sqlite3_close(other);
    options.job = NULL;
    cr_expect_eq(load("CREATE TABLE t (x);"), LIDO_OK, "%s", err.text);
}

Test(load, bad_arguments_are_refused)
{
    const struct lido_database nothing = { NULL, NULL, NULL };
    lido_pool *pool;

    options.may_create = 0;
    cr_expect_eq(load("CREATE TABLE t (x);"), LIDO_NOT_FOUND);
    cr_expect_neq(access(target, F_OK), 0);
    cr_expect_eq(lido_load(lido_at_url("sqlite://"), NULL, NULL, NULL, NULL, &err),
                 SQLITE_MISUSE);
    cr_expect_eq(lido_load(lido_at_url("sqlite://"), NULL, give_too_much, NULL, NULL, &err),
                 SQLITE_MISUSE);
    cr_expect_eq(lido_load_text(lido_at_url("sqlite://"), NULL, NULL, 1, NULL, &err),
                 SQLITE_MISUSE);
    cr_expect_eq(lido_load_text(lido_at_url("sqlite://"), NULL, NULL, 0, NULL, &err),
                 LIDO_OK);
    cr_expect_eq(lido_load_text(nothing, NULL, "", 0, NULL, &err), SQLITE_MISUSE);
    result.size = 0;
    cr_expect_eq(load(""), SQLITE_MISUSE);
    options.size = 0;
    cr_expect_eq(load(""), SQLITE_MISUSE);
    cr_assert_eq(lido_pool_open(&pool, "sqlite://", NULL, &err), LIDO_OK);
    cr_assert_eq(lido_pool_close(pool, 0, &err), LIDO_OK);
    cr_expect_eq(lido_load_text(lido_at_pool(pool), NULL, "", 0, NULL, &err), LIDO_CLOSED);
    lido_pool_free(pool);
}
