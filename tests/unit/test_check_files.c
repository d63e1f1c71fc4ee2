/* SPDX-License-Identifier: MIT */
/*
 * A check leaves no trace and takes nobody's locks: the folder is the same before and after, to
 * the last byte and the nanosecond, whoever has the database and in which state.
 */
#include "open_files.h"
#include "other_process.h"
#include "own_folder.h"
#include "trace.h"
#include <lido/lido.h>

#include <criterion/criterion.h>
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[] = "/tmp/lido-check-files-XXXXXX";
static char copies[] = "/tmp/lido-check-copies-XXXXXX";
static char path[100];
static struct lido_check_options options;
static struct lido_check check;
static struct lido_error err;

static void set_up(void)
{
    cr_assert_not_null(mkdtemp(folder));
    cr_assert_not_null(mkdtemp(copies));
    snprintf(path, sizeof path, "%s/a.db", folder);
    options = (struct lido_check_options)LIDO_CHECK_OPTIONS_INIT;
    options.depth = LIDO_DEPTH_FULL;
    options.lock_timeout_ms = 0;
    options.copy_folder = copies;
    check = (struct lido_check)LIDO_CHECK_INIT;
}

static void tear_down(void)
{
    static const char *const endings[] = { "", "-wal", "-shm", "-journal" };
    char name[120];

    for (int i = 0; i < 4; i++) {
        snprintf(name, sizeof name, "%s%s", path, endings[i]);
        unlink(name);
    }
    own_folder_end(folder);
    own_folder_end(copies);
}

TestSuite(check_files, .init = set_up, .fini = tear_down, .timeout = 60);

static void run_sql(const char *sql)
{
    sqlite3 *db;
    char *said = NULL;

    cr_assert_eq(sqlite3_open(path, &db), SQLITE_OK);
    sqlite3_exec(db, sql, NULL, NULL, &said);
    cr_assert_null(said, "%s", said);
    cr_assert_eq(sqlite3_close(db), SQLITE_OK);
}

static int64_t size_of(const char *ending)
{
    char name[120];
    struct stat status;

    snprintf(name, sizeof name, "%s%s", path, ending);
    return stat(name, &status) == 0 ? (int64_t)status.st_size : -1;
}

/* At every depth, and the folder stays as it was.  The verdict of the deepest. */
static int verdict_without_trace(void)
{
    const uint64_t before = trace_of(folder);

    for (int depth = LIDO_DEPTH_HEADER; depth <= LIDO_DEPTH_FULL; depth++) {
        options.depth = depth;
        cr_assert_eq(lido_check(lido_at_path(path), &options, &check, &err), LIDO_OK, "%s",
                     err.text);
        cr_expect_eq(trace_of(folder), before, "a trace of depth %d", depth);
        cr_expect_eq(trace_of(copies), 0, "a copy is left");
    }
    return check.verdict;
}

static const char filled[] =
    "CREATE TABLE t (x UNIQUE);"
    "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n "
    "LIMIT 3000) INSERT INTO t SELECT 'row ' || x FROM n";

Test(check_files, a_clean_file_in_wal_mode)
{
    run_sql("PRAGMA journal_mode=wal");
    run_sql(filled);
    cr_assert_eq(size_of("-wal"), -1);
    cr_expect_eq(verdict_without_trace(), LIDO_CHECK_SOUND, "%s", check.text);
    cr_expect_eq(check.is_wal, 1);
    cr_expect_eq(check.is_in_use, 0);
    cr_expect_eq(check.n_tables, 1);
}

Test(check_files, a_clean_file_of_the_rollback_kind_that_nobody_may_write)
{
    run_sql(filled);
    cr_assert_eq(chmod(path, 0400), 0);
    cr_assert_eq(chmod(folder, 0500), 0);
    cr_expect_eq(verdict_without_trace(), LIDO_CHECK_SOUND, "%s", check.text);
    cr_assert_eq(chmod(folder, 0700), 0);
}

Test(check_files, a_wal_that_another_process_holds_is_read_with_all_that_is_committed)
{
    run_sql("PRAGMA journal_mode=wal");
    other_start(path);
    cr_assert_eq(other_run("CREATE TABLE one (x)"), SQLITE_OK);
    cr_assert_eq(other_run("CREATE TABLE two (x)"), SQLITE_OK);
    cr_assert_eq(other_run("BEGIN IMMEDIATE; CREATE TABLE three (x)"), SQLITE_OK);
    cr_assert_gt(size_of("-wal"), 0);
    cr_expect_eq(verdict_without_trace(), LIDO_CHECK_SOUND, "%s", check.text);
    cr_expect_eq(check.n_tables, 2, "not what is not committed");
    cr_expect_eq(check.is_in_use, 1);
    cr_expect_eq(check.wal_bytes, size_of("-wal"));
    cr_expect_eq(other_run("COMMIT"), SQLITE_OK);
    other_end();
}

Test(check_files, a_wal_that_is_open_but_empty_needs_no_copy)
{
    run_sql("PRAGMA journal_mode=wal; CREATE TABLE one (x)");
    other_start(path);
    cr_assert_eq(other_run("SELECT * FROM one"), SQLITE_OK);
    cr_assert_eq(size_of("-wal"), 0);
    options.copy_folder = "/nowhere";
    cr_expect_eq(verdict_without_trace(), LIDO_CHECK_SOUND, "%s", check.text);
    cr_expect_eq(check.is_in_use, 1);
    other_end();
}

Test(check_files, a_wal_that_a_crash_left_is_read_and_left)
{
    run_sql("PRAGMA journal_mode=wal");
    other_start(path);
    cr_assert_eq(other_run("CREATE TABLE one (x)"), SQLITE_OK);
    other_kill();
    cr_expect_eq(verdict_without_trace(), LIDO_CHECK_SOUND, "%s", check.text);
    cr_expect_eq(check.n_tables, 1);
    cr_expect_eq(check.is_in_use, 0);
    cr_expect_gt(size_of("-wal"), 0);
}

/* What is in the -wal counts: the damage is there alone. */
Test(check_files, damage_that_stands_in_the_wal_is_found)
{
    run_sql("PRAGMA journal_mode=wal");
    other_start(path);
    cr_assert_eq(
        other_run("CREATE TABLE t (x); CREATE TABLE e (x); CREATE INDEX i ON t (x);"
                  "INSERT INTO t VALUES (1); PRAGMA writable_schema=1;"
                  "UPDATE sqlite_schema SET rootpage=(SELECT rootpage FROM "
                  "sqlite_schema WHERE name='e') WHERE name='i'"),
        SQLITE_OK);
    cr_expect_eq(verdict_without_trace(), LIDO_CHECK_MALFORMED, "%s", check.text);
    other_end();
}

Test(check_files, a_rollback_file_in_a_transaction)
{
    run_sql(filled);
    other_start(path);
    cr_assert_eq(other_run("BEGIN IMMEDIATE; DELETE FROM t"), SQLITE_OK);
    cr_assert_gt(size_of("-journal"), 0);
    cr_expect_eq(verdict_without_trace(), LIDO_CHECK_SOUND, "%s", check.text);
    cr_expect_eq(check.is_in_use, 1);
    cr_expect_gt(check.journal_bytes, 0);
    cr_expect_eq(other_run("COMMIT"), SQLITE_OK);
    other_end();
}

/* Whoever opened it would wait for one who writes to it. */
static int replace_by_pipe(void *ctx, const struct lido_progress *now,
                           struct lido_error *story)
{
    (void)ctx, (void)story;
    if (strcmp(now->phase, "looking") == 0 && now->done == 0) {
        cr_expect_eq(unlink(path), 0);
        cr_expect_eq(mkfifo(path, 0600), 0);
    }
    return LIDO_OK;
}

Test(check_files, a_file_that_becomes_a_pipe_holds_nobody_up)
{
    struct lido_job job = LIDO_JOB_INIT;

    run_sql(filled);
    options.job = &job;
    job.timeout_ms = 20000;
    job.progress = replace_by_pipe;
    cr_assert_eq(lido_check(lido_at_path(path), &options, &check, &err), LIDO_OK, "%s",
                 err.text);
    cr_expect_eq(check.verdict, LIDO_CHECK_UNREADABLE);
}

Test(check_files, a_file_that_another_has_for_itself_is_locked)
{
    run_sql(filled);
    other_start(path);
    cr_assert_eq(other_run("BEGIN EXCLUSIVE"), SQLITE_OK);
    cr_expect_eq(verdict_without_trace(), LIDO_CHECK_LOCKED, "%s", check.text);
    options.lock_timeout_ms = 30;
    options.depth = LIDO_DEPTH_HEADER;
    cr_expect_eq(lido_check(lido_at_path(path), &options, &check, &err), LIDO_OK);
    cr_expect_eq(check.verdict, LIDO_CHECK_LOCKED);
    other_end();
}

Test(check_files, a_hot_journal_needs_recovery_and_is_left)
{
    run_sql(filled);
    other_start(path);
    cr_assert_eq(other_run("PRAGMA cache_size=2; PRAGMA cache_spill=1; BEGIN IMMEDIATE;"
                           "UPDATE t SET x = x || ' changed'"),
                 SQLITE_OK);
    other_kill();
    cr_assert_gt(size_of("-journal"), 512);
    cr_expect_eq(verdict_without_trace(), LIDO_CHECK_NEEDS_RECOVERY, "%s", check.text);
    cr_expect_eq(check.journal_bytes, size_of("-journal"));
    run_sql("SELECT count(*) FROM t");
    cr_expect_eq(verdict_without_trace(), LIDO_CHECK_SOUND, "and then it is: %s",
                 check.text);
}

Test(check_files, a_journal_that_ended_is_no_hot_one)
{
    static const char *const modes[] = { "truncate", "persist" };

    for (int i = 0; i < 2; i++) {
        char sql[100];

        snprintf(sql, sizeof sql,
                 "PRAGMA journal_mode=%s; CREATE TABLE IF NOT EXISTS t (x);"
                 "INSERT INTO t VALUES (1)",
                 modes[i]);
        run_sql(sql);
        cr_assert_geq(size_of("-journal"), 0);
        cr_expect_eq(verdict_without_trace(), LIDO_CHECK_SOUND, "%s", check.text);
    }
}

/* A stray WAL: a reader would take it, and make a -shm. */
Test(check_files, a_wal_beside_a_rollback_file)
{
    char name[120];
    int fd;

    run_sql(filled);
    snprintf(name, sizeof name, "%s-wal", path);
    fd = open(name, O_WRONLY | O_CREAT, 0600);
    cr_assert_eq(write(fd, "no WAL at all", 13), 13);
    close(fd);
    cr_expect_eq(verdict_without_trace(), LIDO_CHECK_SOUND, "%s", check.text);
    cr_expect_eq(check.wal_bytes, 13);
}

Test(check_files, the_locks_of_this_process_stay)
{
    static const char *const modes[] = { "PRAGMA journal_mode=wal",
                                         "PRAGMA journal_mode=delete" };

    for (int i = 0; i < 2; i++) {
        sqlite3 *db;

        run_sql(modes[i]);
        other_start(path);
        cr_assert_eq(sqlite3_open(path, &db), SQLITE_OK);
        cr_assert_eq(sqlite3_exec(db,
                                  "CREATE TABLE IF NOT EXISTS t (x); BEGIN IMMEDIATE;"
                                  "INSERT INTO t VALUES (1)",
                                  NULL, NULL, NULL),
                     SQLITE_OK);
        cr_expect_eq(verdict_without_trace(), LIDO_CHECK_SOUND, "%s", check.text);
        cr_expect_eq(other_run("BEGIN IMMEDIATE"), SQLITE_BUSY, "the lock was lost");
        cr_expect_eq(sqlite3_exec(db, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
        sqlite3_close(db);
        other_end();
    }
}

static int n_checks;

/* Another writes when SQLite is about to read, the first time. */
static int write_now(void *ctx, const struct lido_progress *now, struct lido_error *story)
{
    (void)story;
    if (strcmp(now->phase, "checking") == 0 && now->done == 0 && n_checks++ == 0)
        cr_expect_eq(other_run(ctx), SQLITE_OK);
    return LIDO_OK;
}

Test(check_files, a_file_that_changes_under_the_check_is_checked_anew)
{
    static const char *const modes[] = { "wal", "persist" };

    for (int i = 0; i < 2; i++) {
        struct lido_job job = LIDO_JOB_INIT;
        char sql[200];

        snprintf(sql, sizeof sql,
                 "PRAGMA journal_mode=%s; DROP TABLE IF EXISTS one;"
                 "DROP TABLE IF EXISTS two; CREATE TABLE one (x)",
                 modes[i]);
        run_sql(sql);
        other_start(path);
        cr_assert_eq(
            other_run(i == 0 ? "SELECT * FROM one" : "PRAGMA journal_mode=persist"),
            SQLITE_OK);
        options.job = &job;
        job.progress = write_now;
        job.progress_ctx = (void *)"CREATE TABLE two (x)";
        n_checks = 0;
        cr_assert_eq(lido_check(lido_at_path(path), &options, &check, &err), LIDO_OK, "%s",
                     err.text);
        cr_expect_eq(check.verdict, LIDO_CHECK_SOUND, "%s", check.text);
        cr_expect_eq(check.n_tables, 2, "%s: what was before", modes[i]);
        other_end();
    }
}

static uint64_t restarts;

static int write_now_and_count(void *ctx, const struct lido_progress *now,
                               struct lido_error *story)
{
    restarts = now->restarts;
    return write_now(ctx, now, story);
}

/* A commit to a log that changes neither the first page nor the size: its time tells. */
Test(check_files, a_file_of_which_one_row_changes_is_checked_anew_too)
{
    struct lido_job job = LIDO_JOB_INIT;

    run_sql("PRAGMA journal_mode=wal; CREATE TABLE one (x); INSERT INTO one VALUES (1)");
    other_start(path);
    options.job = &job;
    job.progress = write_now_and_count;
    job.progress_ctx = (void *)"UPDATE one SET x = 2; PRAGMA wal_checkpoint(TRUNCATE)";
    cr_assert_eq(lido_check(lido_at_path(path), &options, &check, &err), LIDO_OK, "%s",
                 err.text);
    cr_expect_eq(check.verdict, LIDO_CHECK_SOUND, "%s", check.text);
    cr_expect_eq(restarts, 1);
    other_end();
}

static int lock_and_fire(void *ctx, const struct lido_progress *now,
                         struct lido_error *story)
{
    (void)story;
    if (strcmp(now->phase, "checking") == 0 && now->done == 0 && n_checks++ == 0) {
        cr_expect_eq(other_run("BEGIN EXCLUSIVE"), SQLITE_OK);
        cr_expect_eq(lido_cancel_fire(ctx, NULL), LIDO_OK);
    }
    return LIDO_OK;
}

/* That the lock did not come is what the token did, and nothing about the file. */
Test(check_files, cancelled_while_it_waits_for_a_lock)
{
    struct lido_job job = LIDO_JOB_INIT;

    run_sql(filled);
    other_start(path);
    cr_assert_eq(lido_cancel_new(&job.cancel, &err), LIDO_OK);
    options.job = &job;
    options.lock_timeout_ms = -1;
    job.progress = lock_and_fire;
    job.progress_ctx = job.cancel;
    cr_expect_eq(lido_check(lido_at_path(path), &options, &check, &err), LIDO_CANCELLED);
    cr_expect_eq(n_checks, 1);
    lido_cancel_free(job.cancel);
    other_end();
}

/* A read-only connection of SQLite's forgets CHECK constraints: these need a copy. */
Test(check_files, rows_that_break_a_check_are_found_in_either_mode)
{
    static const char *const modes[] = { "delete", "persist", "wal" };

    for (int i = 0; i < 3; i++) {
        char sql[300];

        snprintf(sql, sizeof sql,
                 "PRAGMA journal_mode=%s; DROP TABLE IF EXISTS t;"
                 "CREATE TABLE t (x CHECK (x < 5)); PRAGMA ignore_check_constraints=1;"
                 "INSERT INTO t VALUES (%d)",
                 modes[i], i < 2 ? 9 : 3);
        run_sql(sql);
        cr_expect_eq(verdict_without_trace(),
                     i < 2 ? LIDO_CHECK_MALFORMED : LIDO_CHECK_SOUND);
        cr_expect_eq(strstr(check.text, "CHECK") != NULL, i < 2, "%s", check.text);
    }
    run_sql("PRAGMA ignore_check_constraints=1; INSERT INTO t VALUES (9)");
    cr_expect_eq(verdict_without_trace(), LIDO_CHECK_MALFORMED);
}

static int commit_now(void *ctx, const struct lido_progress *now, struct lido_error *story)
{
    (void)story;
    if (strcmp(now->phase, "copying") == 0 && now->done == 0) {
        n_checks++;
        cr_expect_eq(other_run(ctx), SQLITE_BUSY);
    }
    return LIDO_OK;
}

/* What was seen of the file and what is seen of its copy is one moment. */
Test(check_files, nobody_commits_before_the_copy_is_made)
{
    struct lido_job job = LIDO_JOB_INIT;

    run_sql("CREATE TABLE t (x CHECK (x < 5))");
    other_start(path);
    options.job = &job;
    job.progress = commit_now;
    job.progress_ctx = (void *)"DROP TABLE t";
    cr_assert_eq(lido_check(lido_at_path(path), &options, &check, &err), LIDO_OK, "%s",
                 err.text);
    cr_expect_eq(check.verdict, LIDO_CHECK_SOUND, "%s", check.text);
    cr_expect_eq(n_checks, 1);
    other_end();
}

/* --- the copy -------------------------------------------------------------------------- */

static void leave_wal(void)
{
    run_sql("PRAGMA journal_mode=wal");
    run_sql(filled);
    other_start(path);
    cr_assert_eq(other_run("UPDATE t SET x = x || '.'"), SQLITE_OK);
    other_kill();
}

static int cancel_copy(void *ctx, const struct lido_progress *now, struct lido_error *story)
{
    (void)ctx, (void)story;
    return strcmp(now->phase, "copying") == 0 ? 7777 : LIDO_OK;
}

Test(check_files, a_copy_that_cannot_be_made_fails_and_leaves_nothing)
{
    const uint64_t before = (leave_wal(), trace_of(folder));
    struct rlimit was, small = { 20000, RLIM_INFINITY };
    struct lido_job job = LIDO_JOB_INIT;

    options.job = &job;
    job.progress = cancel_copy;
    cr_expect_eq(lido_check(lido_at_path(path), &options, &check, &err), 7777);
    job.progress = NULL;
    cr_assert_eq(getrlimit(RLIMIT_FSIZE, &was), 0);
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &small), 0);
    cr_expect_eq(lido_check(lido_at_path(path), &options, &check, &err), SQLITE_FULL);
    cr_expect_not_null(strstr(err.text, copies), "%s", err.text);
    cr_expect_eq(check.verdict, LIDO_CHECK_NONE);
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &was), 0);
    options.copy_folder = "/nowhere/at/all";
    cr_expect_eq(lido_check(lido_at_path(path), &options, &check, &err), SQLITE_CANTOPEN);
    cr_expect_eq(trace_of(folder), before);
    cr_expect_eq(trace_of(copies), 0, "a copy is left");
}

/* Writers and checkpoints without an end: each check is of one state, so it is sound. */
Test(check_files, a_file_that_others_write_all_the_time_is_never_malformed)
{
    int n_sound = 0;
    pid_t writer;

    run_sql("PRAGMA journal_mode=wal");
    run_sql(filled);
    writer = fork();
    cr_assert_geq(writer, 0);
    if (writer == 0) {
        sqlite3 *db;

        sqlite3_open(path, &db);
        sqlite3_exec(db, "PRAGMA wal_autocheckpoint=20; PRAGMA synchronous=OFF", 0, 0, 0);
        for (;;)
            sqlite3_exec(db, "UPDATE t SET x = x || 'y' WHERE rowid % 97 = random() % 97;",
                         0, 0, 0);
    }
    for (int i = 0; i < 40; i++) {
        cr_assert_eq(lido_check(lido_at_path(path), &options, &check, &err), LIDO_OK, "%s",
                     err.text);
        cr_expect(check.verdict == LIDO_CHECK_SOUND || check.verdict == LIDO_CHECK_LOCKED,
                  "%s: %s", lido_check_name(check.verdict), check.text);
        n_sound += check.verdict == LIDO_CHECK_SOUND;
    }
    cr_expect_gt(n_sound, 0);
    kill(writer, SIGKILL);
    waitpid(writer, NULL, 0);
}

/* --- the process ----------------------------------------------------------------------- */

/* Also for a host that ignores its children. */
Test(check_files, no_descriptor_and_no_child_is_left)
{
    int before;

    leave_wal();
    signal(SIGCHLD, SIG_IGN);
    cr_expect_eq(verdict_without_trace(), LIDO_CHECK_SOUND, "%s", check.text);
    signal(SIGCHLD, SIG_DFL);
    before = open_files();
    cr_expect_eq(verdict_without_trace(), LIDO_CHECK_SOUND, "%s", check.text);
    cr_expect_eq(open_files(), before);
    cr_expect_eq(waitpid(-1, NULL, WNOHANG), -1, "a child is left");
}
