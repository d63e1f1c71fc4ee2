/* SPDX-License-Identifier: MIT */
/*
 * Restore that is refused, fails, or is cancelled: everything is as it was.
 */
#include "tests/support/failing_malloc.h"
#include "tests/support/failing_vfs.h"
#include "tests/support/restore_stage.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

TestSuite(restore_refused, .init = set_up, .fini = tear_down, .timeout = 60);
TestSuite(restore_failing, .init = set_up_names, .fini = tear_down, .timeout = 100);

Test(restore_refused, of_what_is_no_whole_database_changes_nothing)
{
    cr_expect_eq(restore("none.db"), LIDO_NOT_FOUND);
    cr_expect_eq(err.sys_errno, 2);
    cr_expect_not_null(strstr(err.text, "none.db"), "%s", err.text);
    cr_assert_eq(symlink("nowhere", "broken.db"), 0);
    cr_expect_eq(restore("broken.db"), LIDO_NOT_FOUND);
    cr_expect_eq(restore("new.db/none"), LIDO_NOT_FOUND);
    cr_expect_eq(restore("."), SQLITE_CANTOPEN);
    write_file("empty.db", "");
    cr_expect_eq(restore("empty.db"), SQLITE_NOTADB);
    cr_expect_not_null(strstr(err.text, "is empty"), "%s", err.text);
    write_file("text.db", "SQLite format");
    cr_expect_eq(restore("text.db"), SQLITE_NOTADB);
    make("damaged.db", "delete", 4096, 300, "new");
    damage("damaged.db", 20 * 4096);
    cr_expect_eq(restore("damaged.db") & 0xff, SQLITE_CORRUPT, "%s", err.text);
    cr_expect_not_null(strstr(err.text, "damaged"), "%s", err.text);
    make("cut.db", "delete", 4096, 300, "new");
    cr_assert_eq(truncate("cut.db", 30 * 4096), 0);
    cr_expect_eq(restore("cut.db") & 0xff, SQLITE_CORRUPT, "%s", err.text);
    make("header.db", "delete", 4096, 300, "new");
    damage("header.db", 0);
    cr_expect_eq(restore("header.db"), SQLITE_NOTADB, "%s", err.text);
    cr_expect_neq(access("none.db", F_OK), 0);
    expect_old();
}

/* It would be lost, or be the database itself by its new name. */
Test(restore_refused, into_a_file_that_was_moved_changes_nothing)
{
    expect_old(); /* a connection is open now */
    cr_assert_eq(rename("live.db", "moved.db"), 0);
    cr_expect_eq(restore("new.db"), SQLITE_READONLY_DBMOVED, "%s", err.text);
    cr_expect_eq(restore("moved.db"), SQLITE_READONLY_DBMOVED, "%s", err.text);
    write_file("live.db", "another");
    cr_expect_eq(restore("new.db"), SQLITE_READONLY_DBMOVED, "%s", err.text);
    cr_assert_eq(rename("moved.db", "live.db"), 0);
    expect_old();
    cr_expect_eq(restore("new.db"), LIDO_OK, "%s", err.text);
}

static void copy_file(const char *from, const char *to)
{
    char bytes[4096];
    FILE *in = fopen(from, "r"), *out = fopen(to, "w");
    size_t count;

    cr_assert(in != NULL && out != NULL);
    while ((count = fread(bytes, 1, sizeof bytes, in)) > 0)
        cr_assert_eq(fwrite(bytes, 1, count, out), count);
    fclose(in);
    fclose(out);
}

Test(restore_refused, of_a_file_that_has_to_be_rolled_back_changes_nothing)
{
    sqlite3 *db;

    cr_assert_eq(sqlite3_open("new.db", &db), SQLITE_OK);
    cr_assert_eq(sqlite3_exec(db, "PRAGMA cache_size=5; BEGIN; UPDATE t SET owner = 'torn'",
                              NULL, NULL, NULL),
                 SQLITE_OK);
    copy_file("new.db", "torn.db");
    copy_file("new.db-journal", "torn.db-journal");
    sqlite3_close(db);
    for (int i = 0; i < 2; i++) {
        options.check = i;
        cr_expect_eq(restore("torn.db"), SQLITE_READONLY_ROLLBACK, "%s", err.text);
        cr_expect_not_null(strstr(err.text, "torn.db has a journal"), "%s", err.text);
        cr_expect_eq(access("torn.db-journal", F_OK), 0);
        expect_old();
    }
}

Test(restore_refused, of_a_file_that_is_locked_ends_with_the_job)
{
    sqlite3 *db;

    cr_assert_eq(sqlite3_open("new.db", &db), SQLITE_OK);
    cr_assert_eq(sqlite3_exec(db, "BEGIN EXCLUSIVE", NULL, NULL, NULL), SQLITE_OK);
    job.timeout_ms = 20;
    cr_expect_eq(restore("new.db"), LIDO_TXN_TIMEOUT, "%s", err.text);
    cr_expect_eq(err.code, LIDO_TXN_TIMEOUT, "%s", err.text);
    job.timeout_ms = -1;
    cr_assert_eq(lido_cancel_new(&job.cancel, &err), LIDO_OK);
    cr_assert_eq(lido_cancel_fire(job.cancel, &err), LIDO_OK);
    cr_expect_eq(restore("new.db"), LIDO_CANCELLED, "%s", err.text);
    lido_cancel_free(job.cancel);
    sqlite3_close(db);
    expect_old();
}

Test(restore_refused, of_another_page_size_changes_nothing)
{
    make("small.db", "delete", 1024, 300, "new");
    cr_expect_eq(restore("small.db"), SQLITE_MISMATCH);
    cr_expect_not_null(strstr(err.text, "1024"), "%s", err.text);
    expect_old();
    lido_pool_free(pool);
    open_pool("sqlite://?pool=static");
    cr_assert_eq(lido_pool_exec(pool, "CREATE TABLE t (x)", &err), LIDO_OK);
    cr_expect_eq(restore("small.db"), SQLITE_MISMATCH, "%s", err.text);
    cr_expect_eq(lido_pool_exec(pool, "INSERT INTO t VALUES (1)", &err), LIDO_OK);
}

Test(restore_refused, of_another_encoding_changes_nothing)
{
    sqlite3 *db;

    cr_assert_eq(sqlite3_open("wide.db", &db), SQLITE_OK);
    cr_assert_eq(sqlite3_exec(db, "PRAGMA encoding='UTF-16be'; CREATE TABLE t (x)", NULL,
                              NULL, NULL),
                 SQLITE_OK);
    sqlite3_close(db);
    cr_expect_eq(restore("wide.db"), SQLITE_MISMATCH);
    cr_expect_not_null(strstr(err.text, "encoding"), "%s", err.text);
    expect_old();
}

Test(restore_refused, of_itself_or_into_what_is_not_there_is_refused)
{
    cr_assert_eq(symlink("live.db", "link.db"), 0);
    cr_expect_eq(restore("live.db"), SQLITE_MISUSE);
    cr_expect_eq(restore("link.db"), SQLITE_MISUSE);
    cr_expect_eq(lido_restore(lido_at_path("none.db"), "new.db", NULL, &err),
                 LIDO_NOT_FOUND);
    cr_expect_neq(access("none.db", F_OK), 0);
    expect_old();
}

/* A slip of the pen in a URL must not make a database. */
Test(restore_refused, into_a_url_that_is_not_there_makes_nothing)
{
    static const char *const urls[] = { "sqlite:///none.db?pool=queue&journal_mode=wal",
                                        "sqlite:///none.db?mode=rwc", "sqlite:///nowhere/x",
                                        "sqlite:///file:none.db?uri=true",
                                        "sqlite:///none.db?vfs=unix" };

    for (int i = 0; i < 5; i++) {
        const int expected = i < 3 ? LIDO_NOT_FOUND : SQLITE_CANTOPEN;

        cr_expect_eq(lido_restore(lido_at_url(urls[i]), "new.db", NULL, &err), expected,
                     "%s: %s", urls[i], err.text);
        cr_expect_eq(lido_backup(lido_at_url(urls[i]), "copy.db", NULL, NULL, &err),
                     expected, "%s: %s", urls[i], err.text);
        cr_expect_not_null(strstr(err.text, i == 2 ? "nowhere" : "none.db"), "%s",
                           err.text);
        cr_expect_neq(access("none.db", F_OK), 0, "%s", urls[i]);
        cr_expect_neq(access("copy.db", F_OK), 0, "%s", urls[i]);
    }
    cr_expect_eq(lido_restore(lido_at_url("sqlite:///file:live.db?uri=true&pool=queue"),
                              "new.db", NULL, &err),
                 LIDO_OK, "%s", err.text);
    expect_new();
    cr_expect_eq(lido_restore(lido_at_url("sqlite:///x?mode=memory"), "new.db", NULL, &err),
                 LIDO_OK, "%s", err.text);
    cr_expect_neq(access("x", F_OK), 0);
}

Test(restore_refused, into_one_that_is_only_read_is_refused)
{
    cr_expect_eq(lido_restore(lido_at_url("sqlite:///file:live.db?mode=ro&uri=true"),
                              "new.db", NULL, &err) &
                     0xff,
                 SQLITE_READONLY, "%s", err.text);
    expect_old();
}

static lido_cancel *token;
static const char *phase;

static int fire(void *ctx, const struct lido_progress *now, struct lido_error *story)
{
    (void)ctx, (void)story;
    if (strcmp(now->phase, phase) == 0)
        lido_cancel_fire(token, NULL);
    return LIDO_OK;
}

/* In the middle, with pages written: twenty steps were to come. */
static void expect_cancelled(void)
{
    cr_assert_eq(lido_cancel_new(&token, &err), LIDO_OK);
    job.cancel = token;
    job.progress = fire;
    options.step_pages = 5;
    phase = "checking";
    cr_expect_eq(restore("new.db"), LIDO_CANCELLED, "%s", err.text);
    lido_cancel_reset(token);
    phase = "restoring";
    cr_expect_eq(restore("new.db"), LIDO_CANCELLED, "%s", err.text);
    expect_old();
    cr_expect_str_eq(ask("PRAGMA integrity_check"), "ok");
    cr_expect_eq(lido_pool_exec(pool, "UPDATE t SET n = 5", &err), LIDO_OK, "%s", err.text);
    lido_cancel_reset(token);
    phase = "";
    cr_expect_eq(restore("new.db"), LIDO_OK, "%s", err.text);
    expect_new();
    lido_cancel_free(token);
}

Test(restore_refused, cancelled_in_the_middle_changes_nothing)
{
    expect_cancelled();
}

Test(restore_failing, cancelled_in_the_middle_of_a_rollback_journal_changes_nothing)
{
    make("live.db", "delete", 4096, 200, "old");
    make("new.db", "delete", 4096, 300, "new");
    open_pool("sqlite:///live.db?pool=queue");
    expect_cancelled();
}

Test(restore_failing, cancelled_in_the_middle_in_memory_changes_nothing)
{
    make("live.db", "delete", 4096, 200, "old");
    make("new.db", "delete", 4096, 300, "new");
    open_pool("sqlite://?pool=static");
    cr_assert_eq(restore("live.db"), LIDO_OK);
    expect_cancelled();
}

/* In WAL mode with no log beside it the file is read without a lock. */
static int write_meanwhile(void *ctx, const struct lido_progress *now,
                           struct lido_error *story)
{
    sqlite3 *db;

    (void)story;
    if (strcmp(now->phase, phase) != 0)
        return LIDO_OK;
    phase = "";
    cr_assert_eq(sqlite3_open(ctx, &db), SQLITE_OK);
    cr_assert_eq(sqlite3_exec(db, "UPDATE t SET owner = 'torn'", NULL, NULL, NULL),
                 SQLITE_OK, "%s", sqlite3_errmsg(db));
    sqlite3_close(db);
    return LIDO_OK;
}

Test(restore_refused, of_a_file_that_is_written_meanwhile_is_refused)
{
    static const char *const phases[] = { "checking", "restoring" };
    static const struct timespec long_ago[2] = { { 1000000, 0 }, { 1000000, 0 } };
    char name[] = "wal.db";

    job.progress = write_meanwhile;
    job.progress_ctx = name;
    for (int i = 0; i < 4; i++) {
        unlink("wal.db");
        make("wal.db", "wal", 4096, 300, "new");
        cr_assert_eq(utimensat(AT_FDCWD, "wal.db", long_ago, 0), 0);
        phase = phases[i % 2];
        options.step_pages = i < 2 ? 5 : 1000;
        cr_expect_eq(restore("wal.db"), SQLITE_BUSY, "%d: %s", i, err.text);
        cr_expect_not_null(strstr(err.text, "wal.db was written"), "%s", err.text);
        expect_old();
    }
    unlink("wal.db");
    make("wal.db", "wal", 4096, 300, "new");
    cr_expect_eq(restore("wal.db"), LIDO_OK, "%s", err.text);
    expect_new();
}

/* Another second is what most writes leave, and few bytes are enough to tell them apart. */
static int write_within_the_second(void *ctx, const struct lido_progress *now,
                                   struct lido_error *story)
{
    static const struct timespec soon[2] = { { 1000000, 0 }, { 1000000, 1 } };

    write_meanwhile(ctx, now, story);
    cr_assert_eq(utimensat(AT_FDCWD, ctx, soon, 0), 0);
    return LIDO_OK;
}

Test(restore_refused, of_a_file_that_is_written_within_its_second_is_refused)
{
    static const struct timespec long_ago[2] = { { 1000000, 0 }, { 1000000, 0 } };
    char name[] = "wal.db";

    make("wal.db", "wal", 4096, 300, "new");
    cr_assert_eq(utimensat(AT_FDCWD, "wal.db", long_ago, 0), 0);
    phase = "restoring";
    job.progress = write_within_the_second;
    job.progress_ctx = name;
    cr_expect_eq(restore("wal.db"), SQLITE_BUSY, "%s", err.text);
    expect_old();
}

static int touch(void *ctx, const struct lido_progress *now, struct lido_error *story)
{
    (void)story;
    if (strcmp(now->phase, "restoring") == 0 && now->done == 0)
        cr_assert_eq(utimensat(AT_FDCWD, ctx, NULL, 0), 0);
    return LIDO_OK;
}

/* Of one page: the first step is the last, and after it nobody looks. */
Test(restore_refused, of_one_page_that_is_written_before_it_is_read_is_refused)
{
    static const struct timespec long_ago[2] = { { 1000000, 0 }, { 1000000, 0 } };
    char name[] = "wal.db";
    sqlite3 *db;

    cr_assert_eq(sqlite3_open(name, &db), SQLITE_OK);
    cr_assert_eq(sqlite3_exec(db, "PRAGMA journal_mode=WAL; PRAGMA user_version=7", NULL,
                              NULL, NULL),
                 SQLITE_OK);
    sqlite3_close(db);
    cr_assert_eq(utimensat(AT_FDCWD, name, long_ago, 0), 0);
    job.progress = touch;
    job.progress_ctx = name;
    cr_expect_eq(restore(name), SQLITE_BUSY, "%s", err.text);
    expect_old();
}

static int64_t age_ns;

static int take_age(void *ctx, const struct lido_progress *now, struct lido_error *story)
{
    struct stat status;
    struct timespec time;

    (void)story;
    if (strcmp(now->phase, "checking") == 0 && age_ns == 0) {
        cr_assert_eq(stat(ctx, &status), 0);
        clock_gettime(CLOCK_REALTIME, &time);
        age_ns = (time.tv_sec - status.st_mtim.tv_sec) * INT64_C(1000000000) +
                 time.tv_nsec - status.st_mtim.tv_nsec;
    }
    return LIDO_OK;
}

/* Within a tick of the clock it could be written again, and have the same time. */
Test(restore_refused, of_a_file_that_was_just_written_waits_for_the_clock)
{
    struct timespec ahead[2];
    char name[] = "wal.db";

    make("wal.db", "wal", 4096, 300, "new");
    job.progress = take_age;
    job.progress_ctx = name;
    cr_assert_eq(utimensat(AT_FDCWD, "wal.db", NULL, 0), 0);
    cr_expect_eq(restore("wal.db"), LIDO_OK, "%s", err.text);
    cr_expect_geq(age_ns, 10000000, "%lld", (long long)age_ns);
    clock_gettime(CLOCK_REALTIME, &ahead[0]);
    ahead[0].tv_sec += 3600;
    ahead[1] = ahead[0];
    cr_assert_eq(utimensat(AT_FDCWD, "wal.db", ahead, 0), 0);
    cr_expect_eq(restore("wal.db"), LIDO_OK, "%s", err.text);
}

/* It is told of its first page at once if it was last told long ago. */
static int write_after_the_first_page(void *ctx, const struct lido_progress *now,
                                      struct lido_error *story)
{
    struct timespec began, at;

    if (strcmp(now->phase, "restoring") == 0 && now->done > 0)
        return write_meanwhile(ctx, now, story);
    clock_gettime(CLOCK_MONOTONIC, &began);
    do
        clock_gettime(CLOCK_MONOTONIC, &at);
    while ((at.tv_sec - began.tv_sec) * 1000 + (at.tv_nsec - began.tv_nsec) / 1000000 < 60);
    return LIDO_OK;
}

Test(restore_refused, of_a_file_that_is_written_after_its_first_page_is_refused)
{
    char name[] = "wal.db";

    make("wal.db", "wal", 4096, 300, "new");
    phase = "restoring";
    job.progress = write_after_the_first_page;
    job.progress_ctx = name;
    options.step_pages = 5;
    cr_expect_eq(restore("wal.db"), SQLITE_BUSY, "%s", err.text);
    cr_expect_str_eq(phase, "", "it was written");
    expect_old();
}

static int write_before_the_last_page(void *ctx, const struct lido_progress *now,
                                      struct lido_error *story)
{
    struct lido_progress here = *now;

    if (now->total > 0 && now->done + 1 < now->total)
        here.phase = "";
    return write_after_the_first_page(ctx, &here, story);
}

/* The step that commits reads one page: all others are read before the last look. */
Test(restore_refused, of_a_file_that_is_written_before_its_last_page_is_refused)
{
    char name[] = "wal.db";

    make("wal.db", "wal", 4096, 300, "new");
    phase = "restoring";
    job.progress = write_before_the_last_page;
    job.progress_ctx = name;
    options.step_pages = 1000;
    cr_expect_eq(restore("wal.db"), SQLITE_BUSY, "%s", err.text);
    cr_expect_str_eq(phase, "", "it was written");
    expect_old();
}

Test(restore_refused, on_a_full_disk_changes_nothing)
{
    const struct rlimit all = { RLIM_INFINITY, RLIM_INFINITY };
    struct rlimit some = { 128 << 10, RLIM_INFINITY };

    signal(SIGXFSZ, SIG_IGN);
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &some), 0);
    cr_expect_neq(restore("new.db"), LIDO_OK);
    cr_expect_neq(err.text[0], '\0');
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &all), 0);
    expect_old();
    cr_expect_eq(restore("new.db"), LIDO_OK, "%s", err.text);
    expect_new();
}

/* A fork costs tens of milliseconds under a sanitizer. */
#ifndef STRIDE
#define STRIDE 1
#endif

/* A child restores, and is killed at the nth call of its files.  True: it was. */
static bool kill_at(int nth)
{
    int status;
    pid_t child = fork();

    if (child == 0) {
        failing_vfs_install();
        open_pool("sqlite:///live.db?vfs=failing");
        failing_vfs_arm(nth, FAILING_VFS_DIE);
        _exit(restore("new.db") == LIDO_OK ? 0 : 1);
    }
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert(WIFSIGNALED(status) || WEXITSTATUS(status) == 0);
    return WIFSIGNALED(status);
}

static void kill_all_along(const char *mode)
{
    int old = 0, new = 0;
    bool was_killed = true;

    for (int n = 1; was_killed; n += STRIDE) {
        unlink("live.db");
        make("live.db", mode, 4096, 40, "old");
        was_killed = kill_at(n);
        cr_expect_str_eq(ask("PRAGMA integrity_check"), "ok", "%d", n);
        if (strcmp(ask("SELECT count(*) || min(owner) || max(owner) FROM t"), "40oldold") ==
            0)
            old++;
        else
            new ++;
        cr_expect(strcmp(ask("SELECT count(*) || min(owner) || max(owner) FROM t"),
                         "40oldold") == 0 ||
                      strcmp(ask("SELECT count(*) || min(owner) || max(owner) FROM t"),
                             "50newnew") == 0,
                  "%d", n);
    }
    cr_expect_gt(old, 10);
    cr_expect_gt(new, 0);
}

Test(restore_failing, killed_at_any_call_leaves_old_or_new)
{
    make("new.db", "delete", 4096, 50, "new");
    kill_all_along("wal");
    kill_all_along("delete");
}

Test(restore_failing, killed_at_any_call_with_pages_of_another_size_leaves_old_or_new)
{
    make("new.db", "delete", 16384, 50, "new");
    kill_all_along("delete");
    unlink("new.db");
    make("new.db", "delete", 1024, 50, "new");
    kill_all_along("delete");
}

static void sweep(void)
{
    int n;

    for (n = 1; n < 20000; n++) {
        int rc, fired;

        failing_malloc_arm(n);
        rc = restore("new.db");
        fired = failing_malloc_fired();
        failing_malloc_arm(0);
        if (!fired) {
            cr_expect_eq(rc, LIDO_OK, "%s", err.text);
            break;
        }
        expect_one(look(pool), rc == LIDO_OK ? "new" : "old");
        if (rc == LIDO_OK)
            cr_assert_eq(restore("old.db"), LIDO_OK, "%s", err.text);
    }
    cr_expect_gt(n, 20);
    expect_new();
}

Test(restore_failing, with_each_allocation_failing_once_is_all_or_nothing)
{
    failing_malloc_install();
    make("live.db", "wal", 4096, 200, "old");
    make("old.db", "wal", 4096, 200, "old");
    make("new.db", "delete", 4096, 300, "new");
    open_pool("sqlite:///live.db?pool=queue");
    sweep();
    lido_pool_free(pool);
    unlink("live.db");
    make("live.db", "delete", 4096, 200, "old");
    open_pool("sqlite:///live.db?pool=queue");
    sweep();
}

Test(restore_failing, with_another_page_size_and_each_allocation_failing_is_all_or_nothing)
{
    failing_malloc_install();
    make("live.db", "delete", 4096, 200, "old");
    make("old.db", "delete", 4096, 200, "old");
    make("new.db", "delete", 8192, 300, "new");
    open_pool("sqlite:///live.db?pool=queue");
    sweep();
}

Test(restore_refused, options_that_are_none_are_refused)
{
    const struct lido_database none = { NULL, NULL, NULL };
    const struct lido_restore_options good = options;

    cr_expect_eq(lido_restore(none, "new.db", &options, &err), SQLITE_MISUSE);
    cr_expect_eq(restore(NULL), SQLITE_MISUSE);
    cr_expect_eq(restore(""), SQLITE_MISUSE);
    options.size = 0;
    cr_expect_eq(restore("new.db"), SQLITE_MISUSE);
    options = good;
    options.step_pages = 0;
    cr_expect_eq(restore("new.db"), LIDO_BAD_OPTION);
    options = good;
    job.timeout_ms = -2;
    cr_expect_eq(restore("new.db"), LIDO_BAD_OPTION);
    job = (struct lido_job)LIDO_JOB_INIT;
    expect_old();
    lido_pool_close(pool, 0, NULL);
    cr_expect_eq(restore("new.db"), LIDO_CLOSED);
}
