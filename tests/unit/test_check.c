/* SPDX-License-Identifier: MIT */
/*
 * A check: each verdict, what it reads, which databases it takes, and how it is ended early.
 */
#include "own_folder.h"

#include <lido/lido.h>

#include <criterion/criterion.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[] = "/tmp/lido-check-test-XXXXXX";
static struct lido_check_options options;
static struct lido_check check;
static struct lido_error err;

static void set_up(void)
{
    cr_assert_not_null(mkdtemp(folder));
    cr_assert_eq(chdir(folder), 0);
    options = (struct lido_check_options)LIDO_CHECK_OPTIONS_INIT;
    check = (struct lido_check)LIDO_CHECK_INIT;
}

static void tear_down(void)
{
    static const char *const names[] = { "a.db", "b.db", "odd % ? #.db", "link", "file:x" };

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        unlink(names[i]);
    cr_expect_eq(chdir("/"), 0);
    own_folder_end(folder);
}

TestSuite(check, .init = set_up, .fini = tear_down, .timeout = 60);

static void run_sql(const char *path, const char *sql)
{
    sqlite3 *db;
    char *said = NULL;

    cr_assert_eq(sqlite3_open(path, &db), SQLITE_OK);
    sqlite3_exec(db, sql, NULL, NULL, &said);
    cr_assert_null(said, "%s", said);
    cr_assert_eq(sqlite3_close(db), SQLITE_OK);
}

static void write_at(const char *path, off_t at, const void *bytes, size_t size)
{
    const int fd = open(path, O_WRONLY | O_CREAT, 0600);

    cr_assert_geq(fd, 0);
    cr_assert_eq(pwrite(fd, bytes, size, at), (ssize_t)size);
    cr_assert_eq(close(fd), 0);
}

static int verdict_of(const char *path)
{
    cr_assert_eq(lido_check(lido_at_path(path), &options, &check, &err), LIDO_OK, "%s",
                 err.text);
    cr_expect_eq(check.verdict == LIDO_CHECK_SOUND, check.text[0] == '\0', "%s: %s",
                 lido_check_name(check.verdict), check.text);
    return check.verdict;
}

static const char made[] = "PRAGMA page_size=1024; PRAGMA auto_vacuum=2;"
                           "PRAGMA application_id=4711; PRAGMA user_version=-3;"
                           "CREATE TABLE t (x UNIQUE); CREATE TABLE u (y);"
                           "CREATE INDEX i ON u (y); CREATE VIEW v AS SELECT * FROM t;"
                           "CREATE TRIGGER r AFTER INSERT ON t BEGIN SELECT 1; END;"
                           "INSERT INTO t VALUES (zeroblob(20000)); DELETE FROM t";

Test(check, a_sound_file_is_told_of_at_every_depth)
{
    struct stat status;

    run_sql("a.db", made);
    cr_assert_eq(stat("a.db", &status), 0);
    for (int depth = LIDO_DEPTH_HEADER; depth <= LIDO_DEPTH_FULL; depth++) {
        options.depth = depth;
        cr_expect_eq(verdict_of("a.db"), LIDO_CHECK_SOUND, "%d: %s", depth, check.text);
        cr_expect_eq(check.n_problems, 0);
        cr_expect_eq(check.bytes, status.st_size);
        cr_expect_eq(check.page_size, 1024);
        cr_expect_eq(check.page_count, status.st_size / 1024);
        cr_expect_geq(check.free_pages, 19);
        cr_expect_eq(check.application_id, 4711);
        cr_expect_eq(check.user_version, -3);
        cr_expect_gt(check.schema_version, 4);
        cr_expect_str_eq(check.encoding, "UTF-8");
        cr_expect_eq(check.is_wal, 0);
        cr_expect_eq(check.is_in_use, 0);
        cr_expect_eq(check.auto_vacuum, 2);
        cr_expect_eq(check.n_tables, depth == LIDO_DEPTH_HEADER ? -1 : 2);
        cr_expect_eq(check.n_indexes, depth == LIDO_DEPTH_HEADER ? -1 : 2);
        cr_expect_eq(check.n_views, depth == LIDO_DEPTH_HEADER ? -1 : 1);
        cr_expect_eq(check.n_triggers, depth == LIDO_DEPTH_HEADER ? -1 : 1);
    }
}

Test(check, the_encoding_and_the_largest_pages_are_told)
{
    run_sql("a.db",
            "PRAGMA encoding='UTF-16be'; PRAGMA page_size=65536; CREATE TABLE t (x)");
    for (options.depth = 0; options.depth <= LIDO_DEPTH_SCHEMA; options.depth++) {
        cr_expect_eq(verdict_of("a.db"), LIDO_CHECK_SOUND);
        cr_expect_str_eq(check.encoding, "UTF-16be");
        cr_expect_eq(check.page_size, 65536);
    }
}

Test(check, tables_of_sqlites_own_do_not_count)
{
    run_sql("a.db", "CREATE TABLE t (x INTEGER PRIMARY KEY AUTOINCREMENT);"
                    "CREATE TABLE sqliteish (x UNIQUE); ANALYZE");
    cr_expect_eq(verdict_of("a.db"), LIDO_CHECK_SOUND);
    cr_expect_eq(check.n_tables, 2);
    cr_expect_eq(check.n_indexes, 1, "that of a constraint is one too");
}

Test(check, any_name_is_a_name)
{
    static const char *const names[] = { "odd % ? #.db", "file:x", "link" };

    run_sql("b.db", made);
    cr_assert_eq(link("b.db", names[0]), 0);
    cr_assert_eq(link("b.db", names[1]), 0);
    cr_assert_eq(symlink("b.db", names[2]), 0);
    for (int i = 0; i < 3; i++) {
        cr_expect_eq(verdict_of(names[i]), LIDO_CHECK_SOUND, "%s", names[i]);
        cr_expect_eq(check.n_tables, 2);
    }
}

Test(check, what_is_no_database_has_a_verdict_of_its_own)
{
    unsigned char dice[4096];
    uint32_t state = 1;

    for (size_t i = 0; i < sizeof dice; i++)
        dice[i] = (unsigned char)((state = state * 1664525 + 1013904223) >> 24);
    cr_expect_eq(verdict_of("a.db"), LIDO_CHECK_MISSING);
    cr_expect_eq(verdict_of("a.db/b"), LIDO_CHECK_MISSING);
    cr_expect_eq(verdict_of(folder), LIDO_CHECK_UNREADABLE);
    cr_expect_not_null(strstr(check.text, "a folder"), "%s", check.text);
    cr_expect_eq(verdict_of("/dev/null"), LIDO_CHECK_UNREADABLE);
    cr_assert_eq(symlink("none", "link"), 0);
    cr_expect_eq(verdict_of("link"), LIDO_CHECK_MISSING);
    write_at("a.db", 0, "", 0);
    cr_expect_eq(verdict_of("a.db"), LIDO_CHECK_EMPTY);
    write_at("a.db", 0, "To whom it may concern", 22);
    cr_expect_eq(verdict_of("a.db"), LIDO_CHECK_NOT_SQLITE);
    write_at("a.db", 0, dice, sizeof dice - 1);
    cr_expect_eq(verdict_of("a.db"), LIDO_CHECK_NOT_SQLITE, "no whole pages");
    write_at("a.db", 0, dice, sizeof dice);
    cr_expect_eq(verdict_of("a.db"), LIDO_CHECK_ENCRYPTED);
}

Test(check, a_damaged_header_is_told_by_its_byte)
{
    static const struct {
        off_t at;
        const char *bytes, *text;
    } damages[] = {
        { 0, "X", "first bytes" },  { 16, "\x13", "16 and 17" }, { 19, "\x09", "byte 19" },
        { 21, "\x41", "21 to 23" }, { 22, "\x21", "21 to 23" },
    };

    for (size_t i = 0; i < sizeof damages / sizeof damages[0]; i++) {
        run_sql("a.db", made);
        write_at("a.db", damages[i].at, damages[i].bytes, 1);
        cr_expect_eq(verdict_of("a.db"), LIDO_CHECK_ENCRYPTED);
        cr_expect_not_null(strstr(check.text, damages[i].text), "%s", check.text);
        cr_assert_eq(unlink("a.db"), 0);
    }
}

/* Of a page of 512 bytes 480 have to be left. */
Test(check, pages_that_have_no_room_are_a_damaged_header)
{
    run_sql("a.db", "PRAGMA page_size=512; CREATE TABLE t (x)");
    options.depth = LIDO_DEPTH_HEADER;
    write_at("a.db", 20, "\x20", 1);
    cr_expect_eq(verdict_of("a.db"), LIDO_CHECK_SOUND, "%s", check.text);
    write_at("a.db", 20, "\x21", 1);
    cr_expect_eq(verdict_of("a.db"), LIDO_CHECK_ENCRYPTED);
    cr_expect_not_null(strstr(check.text, "byte 20"), "%s", check.text);
}

/* Two are known: with a rollback journal, and with a log. */
Test(check, a_later_version_is_a_damaged_header)
{
    run_sql("a.db", made);
    options.depth = LIDO_DEPTH_HEADER;
    write_at("a.db", 19, "\x03", 1);
    cr_expect_eq(verdict_of("a.db"), LIDO_CHECK_ENCRYPTED);
    cr_expect_not_null(strstr(check.text, "byte 19"), "%s", check.text);
}

Test(check, a_header_that_is_not_whole_is_truncated)
{
    run_sql("a.db", made);
    options.depth = LIDO_DEPTH_HEADER;
    cr_assert_eq(truncate("a.db", 99), 0);
    cr_expect_eq(verdict_of("a.db"), LIDO_CHECK_TRUNCATED);
    cr_expect_not_null(strstr(check.text, "99 bytes, and the header"), "%s", check.text);
}

/* The number of pages is not known, and none is there. */
Test(check, a_first_page_that_is_not_whole_is_truncated)
{
    run_sql("a.db", made);
    options.depth = LIDO_DEPTH_HEADER;
    write_at("a.db", 28, "\0\0\0\0", 4);
    cr_assert_eq(truncate("a.db", 300), 0);
    cr_expect_eq(verdict_of("a.db"), LIDO_CHECK_TRUNCATED);
    cr_expect_not_null(strstr(check.text, "less than one page"), "%s", check.text);
}

/* An SQLite from before 3.7.0 does not write the number of pages, and leaves an old one. */
Test(check, a_number_of_pages_that_nobody_wrote_is_not_believed)
{
    run_sql("a.db", made);
    options.depth = LIDO_DEPTH_HEADER;
    write_at("a.db", 28, "\x01", 1);
    cr_expect_eq(verdict_of("a.db"), LIDO_CHECK_TRUNCATED);
    write_at("a.db", 92, "\x01", 1); /* for which change it holds */
    cr_expect_eq(verdict_of("a.db"), LIDO_CHECK_SOUND, "%s", check.text);
    cr_expect_eq(check.page_count * check.page_size, check.bytes);
}

Test(check, a_file_that_lost_its_end_is_truncated)
{
    run_sql("a.db", made);
    cr_assert_eq(truncate("a.db", 3000), 0);
    for (options.depth = 0; options.depth <= LIDO_DEPTH_FULL; options.depth++)
        cr_expect_eq(verdict_of("a.db"), LIDO_CHECK_TRUNCATED);
    cr_expect_not_null(strstr(check.text, "1024 bytes, and the file has 3000"), "%s",
                       check.text);
    cr_assert_eq(truncate("a.db", 50), 0);
    options.depth = LIDO_DEPTH_SCHEMA;
    cr_expect_eq(verdict_of("a.db"), LIDO_CHECK_TRUNCATED);
}

static int n_told, told_answer;
static char told[2000];

static int tell(void *ctx, const char *text, struct lido_error *story)
{
    cr_expect_eq(ctx, &n_told);
    n_told++;
    cr_expect_null(strchr(text, '\n'));
    strncat(told, text, sizeof told - strlen(told) - 1);
    if (told_answer == SQLITE_AUTH)
        return lido_fail(story, SQLITE_AUTH, "enough of this");
    return told_answer;
}

/* An index whose rows were all taken away: only the full check compares it with its table. */
static void lose_index(void)
{
    run_sql("a.db",
            "CREATE TABLE t (x); CREATE INDEX i ON t (x);"
            "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n LIMIT 9)"
            "INSERT INTO t SELECT x FROM n; CREATE TABLE e (x); CREATE INDEX j ON e (x);"
            "PRAGMA writable_schema=1;"
            "UPDATE sqlite_schema SET rootpage=(SELECT rootpage FROM sqlite_schema "
            "WHERE name='j') WHERE name='i';"
            "DELETE FROM sqlite_schema WHERE name='j'");
}

Test(check, problems_are_told_line_by_line_and_the_full_check_finds_more_than_the_quick)
{
    lose_index();
    cr_expect_eq(verdict_of("a.db"), LIDO_CHECK_SOUND, "%s", check.text);
    options.problem = tell;
    options.problem_ctx = &n_told;
    options.depth = LIDO_DEPTH_FULL;
    cr_expect_eq(verdict_of("a.db"), LIDO_CHECK_MALFORMED);
    cr_expect_geq(n_told, 9);
    cr_expect_eq(check.n_problems, n_told);
    cr_expect_eq(check.has_more, 0);
    cr_expect_not_null(strstr(told, "row 9 missing from index i"), "%s", told);
    cr_expect_null(strstr(told, "in database main"));
}

Test(check, no_more_problems_are_told_than_are_wanted)
{
    lose_index();
    options.problem = tell;
    options.problem_ctx = &n_told;
    options.depth = LIDO_DEPTH_FULL;
    options.max_problems = 3;
    cr_expect_eq(verdict_of("a.db"), LIDO_CHECK_MALFORMED);
    cr_expect_eq(n_told, 3);
    cr_expect_eq(check.n_problems, 3);
    cr_expect_eq(check.has_more, 1);
    n_told = 0;
    told_answer = SQLITE_DONE;
    cr_expect_eq(verdict_of("a.db"), LIDO_CHECK_MALFORMED);
    cr_expect_eq(n_told, 1);
    told_answer = SQLITE_AUTH;
    cr_expect_eq(lido_check(lido_at_path("a.db"), &options, &check, &err), SQLITE_AUTH);
    cr_expect_str_eq(err.text, "enough of this");
    cr_expect_eq(check.verdict, LIDO_CHECK_NONE);
}

Test(check, rows_that_refer_to_nothing_are_found_if_asked_for)
{
    run_sql("a.db",
            "CREATE TABLE p (id INTEGER PRIMARY KEY);"
            "CREATE TABLE c (x REFERENCES p); INSERT INTO c VALUES (1), (NULL), (2)");
    options.depth = LIDO_DEPTH_FULL;
    cr_expect_eq(verdict_of("a.db"), LIDO_CHECK_SOUND);
    options.foreign_keys = 1;
    cr_expect_eq(verdict_of("a.db"), LIDO_CHECK_FOREIGN_KEYS);
    cr_expect_eq(check.n_problems, 2);
    cr_expect_str_eq(check.text, "foreign key 0 of table c: row 1 has no row in p");
    run_sql("a.db", "DELETE FROM c; CREATE TABLE w (x PRIMARY KEY REFERENCES p)"
                    " WITHOUT ROWID; INSERT INTO w VALUES ('none')");
    cr_expect_eq(verdict_of("a.db"), LIDO_CHECK_FOREIGN_KEYS);
    cr_expect_str_eq(check.text, "foreign key 0 of table w: a row has no row in p");
    run_sql("a.db", "CREATE TABLE q (x); CREATE TABLE d (x REFERENCES q(x));"
                    "DELETE FROM w; INSERT INTO d VALUES (1)");
    cr_expect_eq(verdict_of("a.db"), LIDO_CHECK_FOREIGN_KEYS, "a key that fits no table");
}

static int backwards(void *ctx, int n, const void *one, int m, const void *other)
{
    (void)ctx;
    return n == m ? memcmp(other, one, (size_t)n) : m - n;
}

/* The collation is one of another program. */
Test(check, what_cannot_be_checked_here_is_no_damage)
{
    sqlite3 *db;

    cr_assert_eq(sqlite3_open("a.db", &db), SQLITE_OK);
    sqlite3_create_collation(db, "backwards", SQLITE_UTF8, NULL, backwards);
    cr_assert_eq(
        sqlite3_exec(db,
                     "CREATE TABLE t (x COLLATE backwards); CREATE INDEX i ON t (x);"
                     "INSERT INTO t VALUES ('a'), ('b')",
                     NULL, NULL, NULL),
        SQLITE_OK);
    sqlite3_close(db);
    cr_expect_eq(verdict_of("a.db"), LIDO_CHECK_SOUND);
    options.depth = LIDO_DEPTH_FULL;
    cr_expect_eq(verdict_of("a.db"), LIDO_CHECK_INCOMPLETE, "%s", check.text);
    cr_expect_not_null(strstr(check.text, "backwards"), "%s", check.text);
}

/* --- which database -------------------------------------------------------------------- */

Test(check, a_pool_and_a_url_are_checked_by_their_file)
{
    char url[200];
    lido_pool *pool;

    run_sql("a.db", made);
    snprintf(url, sizeof url, "sqlite:///%s/a.db", folder);
    cr_assert_eq(lido_check(lido_at_url(url), NULL, &check, &err), LIDO_OK, "%s", err.text);
    cr_expect_eq(check.verdict, LIDO_CHECK_SOUND);
    cr_expect_eq(check.n_tables, 2);
    cr_assert_eq(lido_pool_open(&pool, url, NULL, &err), LIDO_OK);
    cr_assert_eq(lido_check(lido_at_pool(pool), NULL, &check, &err), LIDO_OK, "%s",
                 err.text);
    cr_expect_eq(check.verdict, LIDO_CHECK_SOUND);
    cr_expect_gt(check.bytes, 0);
    cr_expect_eq(check.n_tables, 2);
    lido_pool_close(pool, 0, NULL);
    cr_expect_eq(lido_check(lido_at_pool(pool), NULL, &check, &err), LIDO_CLOSED);
    lido_pool_free(pool);
    cr_expect_eq(lido_check(lido_at_url("sqlite:///b.db"), NULL, &check, &err), LIDO_OK);
    cr_expect_eq(check.verdict, LIDO_CHECK_MISSING);
    cr_expect_neq(access("b.db", F_OK), 0, "and it was not made");
    cr_expect_eq(lido_check(lido_at_url("nosuch:///b.db"), NULL, &check, &err),
                 SQLITE_MISUSE);
    cr_expect_eq(lido_check(lido_at_url("nonsense"), NULL, &check, &err), LIDO_BAD_URL);
    cr_expect_eq(lido_check(lido_at_url("sqlite:///file:x?uri=1"), NULL, &check, &err),
                 LIDO_BAD_URL);
}

Test(check, a_memory_database_is_checked_where_it_is)
{
    lido_pool *pool;

    cr_assert_eq(lido_pool_open(&pool, "sqlite://", NULL, &err), LIDO_OK);
    cr_assert_eq(lido_check(lido_at_pool(pool), NULL, &check, &err), LIDO_OK, "%s",
                 err.text);
    cr_expect_eq(check.verdict, LIDO_CHECK_EMPTY);
    cr_assert_eq(lido_pool_exec(pool, "CREATE TABLE t (x); INSERT INTO t VALUES (1)", &err),
                 LIDO_OK);
    for (options.depth = 0; options.depth <= LIDO_DEPTH_FULL; options.depth++) {
        cr_assert_eq(lido_check(lido_at_pool(pool), &options, &check, &err), LIDO_OK, "%s",
                     err.text);
        cr_expect_eq(check.verdict, LIDO_CHECK_SOUND);
        cr_expect_eq(check.n_tables, 1);
        cr_expect_eq(check.bytes, 0);
    }
    cr_expect_eq(lido_pool_exec(pool, "INSERT INTO t VALUES (2)", &err), LIDO_OK, "%s",
                 err.text);
    lido_pool_free(pool);
    cr_assert_eq(lido_check(lido_at_url("sqlite://"), NULL, &check, &err), LIDO_OK);
    cr_expect_eq(check.verdict, LIDO_CHECK_EMPTY);
}

/* --- arguments, and an early end ------------------------------------------------------- */

Test(check, options_that_are_none_are_refused)
{
    const struct lido_database none = { NULL, NULL, NULL };
    char longest[PATH_MAX + 10];

    memset(longest, 'x', sizeof longest);
    longest[sizeof longest - 1] = '\0';
    cr_expect_eq(lido_check(none, NULL, &check, &err), SQLITE_MISUSE);
    cr_expect_eq(lido_check(lido_at_path(""), NULL, &check, &err), SQLITE_MISUSE);
    cr_expect_eq(lido_check(lido_at_path("a.db"), NULL, NULL, NULL), SQLITE_MISUSE);
    cr_expect_eq(lido_check(lido_at_path(longest), NULL, &check, &err), SQLITE_TOOBIG);
#define REFUSED(member, value, code)                                                       \
    options = (struct lido_check_options)LIDO_CHECK_OPTIONS_INIT;                          \
    options.member = value;                                                                \
    cr_expect_eq(lido_check(lido_at_path("a.db"), &options, &check, &err), code)
    REFUSED(size, 8, SQLITE_MISUSE);
    REFUSED(depth, 4, LIDO_BAD_OPTION);
    REFUSED(depth, -1, LIDO_BAD_OPTION);
    REFUSED(max_problems, 0, LIDO_BAD_OPTION);
    REFUSED(lock_timeout_ms, -2, LIDO_BAD_OPTION);
    options.depth = LIDO_DEPTH_HEADER;
    options.lock_timeout_ms = 0;
    options.foreign_keys = 1;
    cr_expect_eq(lido_check(lido_at_path("a.db"), &options, &check, &err), LIDO_BAD_OPTION);
    check.size = 1;
    cr_expect_eq(lido_check(lido_at_path("a.db"), NULL, &check, &err), SQLITE_MISUSE);
}

static int refuse_phase(void *ctx, const struct lido_progress *now,
                        struct lido_error *story)
{
    (void)story;
    return strcmp(now->phase, ctx) == 0 ? 7777 : LIDO_OK;
}

Test(check, it_ends_when_its_time_is_over_it_is_cancelled_or_the_host_says_so)
{
    struct lido_job job = LIDO_JOB_INIT;
    lido_cancel *token;

    run_sql("a.db", made);
    options.job = &job;
    job.timeout_ms = 0;
    cr_expect_eq(lido_check(lido_at_path("a.db"), &options, &check, &err),
                 LIDO_TXN_TIMEOUT);
    cr_expect_eq(check.verdict, LIDO_CHECK_NONE);
    job.timeout_ms = -1;
    job.progress = refuse_phase;
    job.progress_ctx = (char[]){ "checking" };
    cr_expect_eq(lido_check(lido_at_path("a.db"), &options, &check, &err), 7777);
    job.progress_ctx = (char[]){ "nothing" };
    cr_expect_eq(lido_check(lido_at_path("a.db"), &options, &check, &err), LIDO_OK);
    cr_assert_eq(lido_cancel_new(&token, &err), LIDO_OK);
    cr_assert_eq(lido_cancel_fire(token, &err), LIDO_OK);
    job.cancel = token;
    cr_expect_eq(lido_check(lido_at_path("a.db"), &options, &check, &err), LIDO_CANCELLED);
    lido_cancel_free(token);
    job = (struct lido_job){ 0 };
    cr_expect_eq(lido_check(lido_at_path("a.db"), &options, &check, &err), SQLITE_MISUSE);
}

/* A function that each connection has, and that is not said to be harmless. */
static int n_sprung;

static void spring(sqlite3_context *context, int count, sqlite3_value **values)
{
    (void)count, (void)values;
    n_sprung++;
    sqlite3_result_int(context, 1);
}

static int add_trap(sqlite3 *db, const char **why, const struct sqlite3_api_routines *api)
{
    (void)why, (void)api;
    return sqlite3_create_function(db, "trap", 1, SQLITE_UTF8 | SQLITE_DETERMINISTIC, NULL,
                                   spring, NULL, NULL);
}

Test(check, a_function_that_may_harm_is_not_called)
{
    sqlite3 *db;

    cr_assert_eq(sqlite3_auto_extension((void (*)(void))add_trap), SQLITE_OK);
    cr_assert_eq(sqlite3_open("a.db", &db), SQLITE_OK);
    cr_assert_eq(sqlite3_exec(db,
                              "CREATE TABLE t (x CHECK (trap(x))); CREATE INDEX i ON t "
                              "(trap(x)); INSERT INTO t VALUES (1)",
                              NULL, NULL, NULL),
                 SQLITE_OK, "%s", sqlite3_errmsg(db));
    sqlite3_close(db);
    cr_assert_gt(n_sprung, 0);
    n_sprung = 0;
    options.depth = LIDO_DEPTH_FULL;
    cr_assert_eq(lido_check(lido_at_path("a.db"), &options, &check, &err), LIDO_OK, "%s",
                 err.text);
    cr_expect_eq(n_sprung, 0);
    cr_expect_neq(check.verdict, LIDO_CHECK_SOUND);
    sqlite3_reset_auto_extension();
}

Test(check, a_child_of_fork_is_refused)
{
    lido_pool *pool;
    pid_t child;
    int status = -1;

    run_sql("a.db", made);
    cr_assert_eq(lido_pool_open(&pool, "sqlite:///a.db", NULL, &err), LIDO_OK);
    child = fork();
    if (child == 0)
        _exit(lido_check(lido_at_path("a.db"), &options, &check, NULL) == LIDO_FORKED ? 0
                                                                                      : 1);
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_expect_eq(status, 0);
    lido_pool_free(pool);
}

Test(check, every_verdict_has_a_name)
{
    for (int verdict = LIDO_CHECK_NONE; verdict <= LIDO_CHECK_FOREIGN_KEYS; verdict++)
        cr_expect_str_neq(lido_check_name(verdict), "unknown");
    cr_expect_str_eq(lido_check_name(LIDO_CHECK_FOREIGN_KEYS + 1), "unknown");
}
