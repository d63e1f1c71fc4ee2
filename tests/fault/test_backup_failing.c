/* SPDX-License-Identifier: MIT */
/*
 * Backup that fails, or is killed: the target is as it was, and nothing else is left.
 */
#include "tests/support/backup_stage.h"
#include "tests/support/failing_malloc.h"
#include "tests/support/other_process.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

TestSuite(backup_refused, .init = set_up, .fini = tear_down, .timeout = 60);
TestSuite(backup_failing, .init = set_up_names, .fini = tear_down, .timeout = 100);

Test(backup_refused, on_a_full_disk_leaves_nothing)
{
    const struct rlimit all = { RLIM_INFINITY, RLIM_INFINITY };
    struct rlimit some = { 256 << 10, RLIM_INFINITY };

    signal(SIGXFSZ, SIG_IGN);
    write_file("old.db", "old");
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &some), 0);
    for (int method = LIDO_BACKUP_ONLINE; method <= LIDO_BACKUP_COPY; method++) {
        options.method = method;
        options.replace = 1;
        cr_expect_neq(backup("old.db"), LIDO_OK);
        cr_expect(err.code != LIDO_OK && err.text[0] != '\0');
        options.replace = 0;
        cr_expect_neq(backup("copy.db"), LIDO_OK);
    }
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &all), 0);
    cr_expect(has_text("old.db", "old"));
    expect_nothing("copy.db");
    cr_expect_eq(backup("copy.db"), LIDO_OK, "%s", err.text);
}

Test(backup_refused, of_a_damaged_database_is_refused_unless_unchecked)
{
    lido_pool_free(pool);
    damage("a.db", 20 * 4096);
    pool = open_url("sqlite:///a.db");
    cr_expect_eq(backup("copy.db") & 0xff, SQLITE_CORRUPT, "%s", err.text);
    expect_nothing("copy.db");
    options.check = 0;
    cr_expect_eq(backup("copy.db"), LIDO_OK, "%s", err.text);
    cr_expect_eq(result.is_checked, 0);
}

Test(backup_refused, of_a_file_that_was_cut_says_so_by_every_method)
{
    lido_pool_free(pool);
    cr_assert_eq(truncate("a.db", 2 * 4096), 0);
    pool = open_url("sqlite:///a.db");
    for (int method = LIDO_BACKUP_ONLINE; method <= LIDO_BACKUP_COPY; method++) {
        options.method = method;
        cr_expect_eq(backup("copy.db") & 0xff, SQLITE_CORRUPT, "%d: %s", method, err.text);
        cr_expect_not_null(strstr(err.text, "malformed"), "%d: %s", method, err.text);
        expect_nothing("copy.db");
    }
}

Test(backup_refused, of_what_is_no_database_is_refused)
{
    write_file("text.db", "this is a text, and no database, however long it may be; "
                          "and so on, for a hundred bytes and some more than those.");
    cr_expect_eq(lido_backup(lido_at_path("text.db"), "copy.db", NULL, NULL, &err) & 0xff,
                 SQLITE_NOTADB, "%s", err.text);
    cr_expect_eq(lido_backup(lido_at_path("none.db"), "copy.db", NULL, NULL, &err),
                 LIDO_NOT_FOUND);
    cr_expect_neq(access("none.db", F_OK), 0);
    expect_nothing("copy.db");
}

Test(backup_failing, with_each_allocation_failing_once_leaves_nothing)
{
    int n;

    failing_malloc_install();
    fill("sqlite:///a.db");
    cr_assert_eq(lido_pool_exec(pool, "DELETE FROM t WHERE id > 3; VACUUM", &err), LIDO_OK);
    options.hash = 1;
    for (int method = LIDO_BACKUP_ONLINE; method <= LIDO_BACKUP_COPY; method++) {
        options.method = method;
        for (n = 1; n < 20000; n++) {
            int rc, fired;

            failing_malloc_arm(n);
            rc = backup("copy.db");
            fired = failing_malloc_fired();
            failing_malloc_arm(0);
            if (rc == LIDO_OK) {
                cr_expect_eq(ask("copy.db", "SELECT count(*) FROM t"), 3);
                unlink("copy.db");
            }
            if (!fired)
                break;
            expect_nothing("copy.db");
        }
        cr_expect_gt(n, 20);
    }
}

static int die(void *ctx, const struct lido_progress *now, struct lido_error *story)
{
    (void)ctx, (void)story;
    if (now->done > 0)
        raise(SIGKILL);
    return LIDO_OK;
}

Test(backup_failing, killed_in_the_middle_leaves_the_name_as_it_was)
{
    for (int i = 0; i < 3; i++) {
        int status;
        pid_t child;

        write_file("old.db", "old");
        child = fork();
        if (child == 0) {
            if (i == 0)
                fill("sqlite:///a.db");
            else
                pool = open_url("sqlite:///a.db");
            options.step_pages = 1;
            options.rate = i < 2 ? 1 << 20 : 0;
            options.method = i < 2 ? LIDO_BACKUP_ONLINE : LIDO_BACKUP_COPY;
            options.replace = 1;
            job.progress = die;
            _exit(backup(i == 0 ? "old.db" : "copy.db"));
        }
        cr_assert_eq(waitpid(child, &status, 0), child);
        cr_expect(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        cr_expect(has_text("old.db", "old"));
        cr_expect_neq(access("copy.db", F_OK), 0);
    }
    cr_expect_eq(remove_all(), 3, "each left its temporary file");
}

Test(backup_refused, in_a_forked_child_touches_nothing)
{
    int status;
    pid_t child;

    cr_assert_eq(backup("copy.db"), LIDO_OK, "%s", err.text);
    child = fork();
    if (child == 0)
        _exit((backup("other.db") == LIDO_FORKED ? 0 : 1) +
              (lido_restore(lido_at_pool(pool), "copy.db", NULL, &err) == LIDO_FORKED ? 0
                                                                                      : 2));
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_expect_eq(status, 0);
    expect_nothing("other.db");
    expect_whole("a.db");
}

/* One moment means what is committed: not what this thread has not committed yet. */
Test(backup_failing, inside_a_transaction_of_the_thread_is_refused_and_leaves_it_open)
{
    struct lido_conn conn;

    fill("sqlite:///a.db?pool=singleton_thread");
    cr_assert_eq(lido_pool_checkout(pool, &conn, NULL, &err), LIDO_OK);
    for (int i = 0; i < 2; i++) {
        if (i == 0)
            cr_assert_eq(lido_txn_begin(&conn, LIDO_IMMEDIATE, &err), LIDO_OK);
        else
            cr_assert_eq(
                sqlite3_exec(lido_conn_sqlite(&conn), "BEGIN IMMEDIATE", NULL, NULL, NULL),
                SQLITE_OK);
        cr_assert_eq(sqlite3_exec(lido_conn_sqlite(&conn), "UPDATE t SET v = v + 1", NULL,
                                  NULL, NULL),
                     SQLITE_OK);
        job.timeout_ms = 50;
        options.method = LIDO_BACKUP_ONLINE;
        cr_expect_eq(backup("copy.db"), LIDO_IN_TXN, "%s", err.text);
        options.method = LIDO_BACKUP_COPY;
        cr_expect_eq(backup("copy.db"), LIDO_IN_TXN, "%s", err.text);
        options.method = LIDO_BACKUP_VACUUM;
        cr_expect_neq(backup("copy.db"), LIDO_OK);
        expect_nothing("copy.db");
        cr_expect_eq(lido_conn_exec(&conn, "UPDATE total SET v = v + 500", &err), LIDO_OK,
                     "%s", err.text);
        cr_expect_eq(lido_conn_exec(&conn, "COMMIT", &err), LIDO_OK, "%s", err.text);
        lido_txn_rollback(&conn, NULL);
    }
    options.method = LIDO_BACKUP_ONLINE;
    job.timeout_ms = -1;
    cr_expect_eq(backup("copy.db"), LIDO_OK, "%s", err.text);
    expect_whole("copy.db");
    cr_expect_eq(ask("copy.db", "SELECT v FROM t LIMIT 1"), 2);
    lido_conn_checkin(&conn, NULL, NULL);
}

Test(backup_refused, options_that_are_none_are_refused)
{
    const struct lido_database none = { NULL, NULL, NULL };
    const struct lido_backup_options good = options;

    cr_expect_eq(lido_backup(none, "copy.db", &options, NULL, &err), SQLITE_MISUSE);
    cr_expect_eq(backup(NULL), SQLITE_MISUSE);
    cr_expect_eq(backup(""), SQLITE_MISUSE);
    options.size = 0;
    cr_expect_eq(backup("copy.db"), SQLITE_MISUSE);
    options = good;
    options.method = 3;
    cr_expect_eq(backup("copy.db"), LIDO_BAD_OPTION);
    options = good;
    options.step_pages = 0;
    cr_expect_eq(backup("copy.db"), LIDO_BAD_OPTION);
    options = good;
    options.rate = -1;
    cr_expect_eq(backup("copy.db"), LIDO_BAD_OPTION);
    options = good;
    options.rate = 1 << 30;
    options.method = LIDO_BACKUP_VACUUM;
    cr_expect_eq(lido_backup(lido_at_url("sqlite:///a.db?mmap_size=100000000"), "copy.db",
                             &options, NULL, &err),
                 LIDO_BAD_OPTION, "it could not be kept");
    cr_expect_not_null(strstr(err.text, "mmap_size=0"), "%s", err.text);
    options = good;
    options.keep = 3;
    cr_expect_eq(backup("copy.db"), LIDO_BAD_OPTION);
    options.keep = 0;
    options.stamp = 1;
    cr_expect_eq(backup("copy.db"), LIDO_BAD_OPTION);
    options.keep = -1;
    options.replace = 1;
    cr_expect_eq(backup("copy.db"), LIDO_BAD_OPTION);
    options = good;
    job.size = 0;
    cr_expect_eq(backup("copy.db"), SQLITE_MISUSE);
    job = (struct lido_job)LIDO_JOB_INIT;
    result.size = 0;
    cr_expect_eq(backup("copy.db"), SQLITE_MISUSE);
    result = (struct lido_backup)LIDO_BACKUP_INIT;
    lido_pool_close(pool, 0, NULL);
    cr_expect_eq(backup("copy.db"), LIDO_CLOSED);
    expect_nothing("copy.db");
}

Test(backup_failing, of_a_database_that_another_process_locks_says_so)
{
    fill("sqlite:///a.db");
    lido_pool_free(pool);
    pool = NULL;
    other_start("a.db");
    pool = open_url("sqlite:///a.db?timeout=0.01");
    cr_assert_eq(other_run("BEGIN EXCLUSIVE"), SQLITE_OK);
    for (int method = LIDO_BACKUP_ONLINE; method <= LIDO_BACKUP_COPY; method++) {
        options.method = method;
        cr_expect_eq(backup("copy.db") & 0xff, SQLITE_BUSY, "%s", err.text);
        cr_expect_not_null(strstr(err.text, "; process "), "%d: %s", method, err.text);
        expect_nothing("copy.db");
    }
    cr_assert_eq(other_run("COMMIT"), SQLITE_OK);
    cr_expect_eq(backup("copy.db"), LIDO_OK, "%s", err.text);
    other_end();
}

static lido_cancel *token;
static int waits;

static int fire_waiting(void *ctx, const struct lido_progress *now,
                        struct lido_error *story)
{
    (void)story;
    if (strcmp(now->phase, "waiting") == 0) {
        waits++;
        if (ctx != NULL)
            lido_cancel_fire(ctx, NULL);
    }
    return LIDO_OK;
}

/* For a lock that it does not get: told before, and ended by its token and by its time. */
Test(backup_failing, waiting_for_the_lock_ends_with_the_job)
{
    fill("sqlite:///a.db");
    lido_pool_free(pool);
    pool = NULL;
    other_start("a.db");
    pool = open_url("sqlite:///a.db?timeout=90");
    cr_assert_eq(lido_cancel_new(&token, &err), LIDO_OK);
    cr_assert_eq(other_run("BEGIN EXCLUSIVE"), SQLITE_OK);
    job.progress = fire_waiting;
    for (int method = LIDO_BACKUP_ONLINE; method <= LIDO_BACKUP_COPY; method++) {
        options.method = method;
        waits = 0;
        job.timeout_ms = 50;
        cr_expect_eq(backup("copy.db"), LIDO_TXN_TIMEOUT, "%d: %s", method, err.text);
        cr_expect_eq(waits, 1);
        cr_expect_not_null(strstr(err.text, "while waiting"), "%s", err.text);
        expect_nothing("copy.db");
        job.timeout_ms = -1;
        job.cancel = token;
        job.progress_ctx = token;
        cr_expect_eq(backup("copy.db"), LIDO_CANCELLED, "%d: %s", method, err.text);
        expect_nothing("copy.db");
        lido_cancel_reset(token);
        job.cancel = NULL;
        job.progress_ctx = NULL;
    }
    cr_assert_eq(other_run("COMMIT"), SQLITE_OK);
    cr_expect_eq(backup("copy.db"), LIDO_OK, "%s", err.text);
    expect_whole("copy.db");
    lido_cancel_free(token);
    other_end();
}
