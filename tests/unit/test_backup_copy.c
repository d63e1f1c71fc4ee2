/* SPDX-License-Identifier: MIT */
/*
 * Backup by the bytes of the file: one moment, whatever happens while the child reads.
 *
 * A place in the child's work is met by a call that it makes there: it stops, by two files,
 * until the test has done what others may do then.
 */
#include "tests/support/backup_stage.h"
#include "tests/support/other_process.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <sys/types.h>

static void set_up_copy(void)
{
    set_up();
    options.method = LIDO_BACKUP_COPY;
}

static void set_up_copy_names(void)
{
    set_up_names();
    options.method = LIDO_BACKUP_COPY;
}

TestSuite(backup_copy, .init = set_up_copy, .fini = tear_down, .timeout = 60);
TestSuite(backup_copy_alone, .init = set_up_copy_names, .fini = tear_down, .timeout = 100);

/* --- what the child meets ------------------------------------------------------------- */

enum { NOWHERE, BEFORE_THE_FILE, WITHIN_THE_LOG };
static int place;    /* where it stops */
static int has_fork; /* 1: the file system can share blocks; 2: it failed */
static int n_second; /* how often a second part of a file was read */

static void stop(int at)
{
    if (place != at)
        return;
    close(open("stopped", O_CREAT | O_WRONLY, 0600));
    while (access("go-on", F_OK) != 0)
        sched_yield();
}

ssize_t __real_pread64(int fd, void *bytes, size_t count, off_t at);
ssize_t __wrap_pread64(int fd, void *bytes, size_t count, off_t at);
ssize_t __wrap_pread(int fd, void *bytes, size_t count, off_t at);
ssize_t __wrap_pread64(int fd, void *bytes, size_t count, off_t at)
{
    if (at == 256 * 1024 && ++n_second == 2)
        stop(WITHIN_THE_LOG);
    return __real_pread64(fd, bytes, count, at);
}
ssize_t __wrap_pread(int fd, void *bytes, size_t count, off_t at)
{
    return __wrap_pread64(fd, bytes, count, at);
}

int __wrap_ioctl(int to, unsigned long request, ...);
int __wrap_ioctl(int to, unsigned long request, ...)
{
    static char bytes[4096];
    va_list rest;
    off_t at = 0;
    ssize_t n;
    int from;

    (void)request;
    va_start(rest, request);
    from = va_arg(rest, int);
    va_end(rest);
    stop(BEFORE_THE_FILE);
    errno = EOPNOTSUPP;
    if (has_fork != 1)
        return -1;
    for (; (n = __real_pread64(from, bytes, sizeof bytes, at)) > 0; at += n)
        if (write(to, bytes, (size_t)n) != n)
            return -1;
    return 0;
}

/* Runs the statements of another process when the child has stopped. */
static void *meanwhile(void *sql)
{
    while (access("stopped", F_OK) != 0)
        sched_yield();
    cr_expect_eq(other_run(sql), SQLITE_OK, "%s", (char *)sql);
    close(open("go-on", O_CREAT | O_WRONLY, 0600));
    return NULL;
}

static void backup_while(int at, const char *sql)
{
    pthread_t thread;

    place = at;
    cr_assert_eq(pthread_create(&thread, NULL, meanwhile, (void *)sql), 0);
    cr_expect_eq(backup("copy.db"), LIDO_OK, "%s", err.text);
    close(open("stopped", O_CREAT | O_WRONLY, 0600));
    pthread_join(thread, NULL);
    place = NOWHERE;
    unlink("stopped");
    unlink("go-on");
    expect_whole("copy.db");
    cr_expect_neq(access("copy.db-wal", F_OK), 0);
    cr_expect_eq(result.is_checked, 1);
}

#define ADD_ONE(where)                                                                     \
    "UPDATE t SET v = v + 1 " where "; UPDATE total SET v = (SELECT sum(v) FROM t);"

/* --- what it makes --------------------------------------------------------------------- */

Test(backup_copy, has_what_is_in_the_log_and_is_one_file)
{
    struct stat status;

    cr_assert_eq(lido_pool_exec(pool, "BEGIN; " ADD_ONE("") " COMMIT", &err), LIDO_OK);
    cr_assert_eq(stat("a.db-wal", &status), 0);
    cr_assert_gt(status.st_size, 0);
    cr_assert_eq(backup("copy.db"), LIDO_OK, "%s", err.text);
    cr_expect_eq(result.is_checked, 1);
    cr_expect_eq(result.is_cloned, 0);
    cr_expect_eq(result.pages * 4096, result.bytes);
    cr_expect_neq(access("copy.db-wal", F_OK), 0);
    cr_expect_neq(access("copy.db-shm", F_OK), 0);
    expect_whole("copy.db");
    cr_expect_eq(ask("copy.db", "SELECT min(v) FROM t"), 1);
    cr_expect_eq(lido_pool_exec(pool, ADD_ONE(""), &err), LIDO_OK, "%s", err.text);
}

Test(backup_copy_alone, of_an_empty_database)
{
    for (int i = 0; i < 2; i++) {
        pool = open_url(i == 0 ? "sqlite:///a.db"
                               : "sqlite:///b.db?pool=queue&journal_mode=wal");
        cr_expect_eq(backup(i == 0 ? "one.db" : "two.db"), LIDO_OK, "%s", err.text);
        lido_pool_free(pool);
    }
    pool = NULL;
    cr_expect_eq(ask("one.db", "SELECT count(*) FROM sqlite_schema"), 0);
    cr_expect_eq(ask("two.db", "SELECT count(*) FROM sqlite_schema"), 0);
}

Test(backup_copy_alone, of_memory_is_refused)
{
    fill("sqlite://?pool=static");
    cr_expect_eq(backup("copy.db"), LIDO_BAD_OPTION, "%s", err.text);
    cr_expect_not_null(strstr(err.text, "ONLINE"), "%s", err.text);
    expect_nothing("copy.db");
}

Test(backup_copy, by_shared_blocks_has_the_log_too)
{
    cr_assert_eq(lido_pool_exec(pool, ADD_ONE(""), &err), LIDO_OK);
    has_fork = 1;
    cr_assert_eq(backup("copy.db"), LIDO_OK, "%s", err.text);
    cr_expect_eq(result.is_cloned, 1);
    expect_whole("copy.db");
    cr_expect_eq(ask("copy.db", "SELECT min(v) FROM t"), 1);
}

/* By the rate all of it would take eight seconds, and what is in the log takes none. */
Test(backup_copy, by_shared_blocks_waits_for_what_is_moved_alone)
{
    cr_assert_eq(lido_pool_exec(pool, "PRAGMA wal_checkpoint(TRUNCATE)", &err), LIDO_OK);
    cr_assert_eq(lido_pool_exec(pool, ADD_ONE("WHERE id = 1"), &err), LIDO_OK);
    has_fork = 1;
    options.rate = 256 << 10;
    job.timeout_ms = 4000;
    cr_assert_eq(backup("copy.db"), LIDO_OK, "%s", err.text);
    cr_expect_eq(result.is_cloned, 1);
    expect_whole("copy.db");
}

Test(backup_copy, of_a_file_that_was_replaced_is_refused)
{
    cr_assert_eq(rename("a.db", "b.db"), 0);
    write_file("a.db", "other");
    cr_expect_eq(backup("copy.db"), SQLITE_READONLY_DBMOVED, "%s", err.text);
    expect_nothing("copy.db");
    cr_assert_eq(rename("b.db", "a.db"), 0);
    cr_expect_eq(backup("copy.db"), LIDO_OK, "%s", err.text);
    expect_whole("copy.db");
}

/* Right before the child opens its name: that the name stays then says nothing. */
static int replace(void *ctx, const struct lido_progress *now, struct lido_error *story)
{
    (void)ctx, (void)story;
    if (strcmp(now->phase, "copying") == 0 && now->done == 0) {
        cr_expect_eq(rename("a.db", "b.db"), 0);
        cr_expect_eq(rename("other.db", "a.db"), 0);
    }
    return LIDO_OK;
}

Test(backup_copy, of_a_file_that_is_replaced_before_the_child_opens_it_is_refused)
{
    sqlite3 *other;

    cr_assert_eq(sqlite3_open("other.db", &other), SQLITE_OK);
    cr_assert_eq(sqlite3_exec(other, FILL, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(other);
    job.progress = replace;
    cr_expect_eq(backup("copy.db"), SQLITE_READONLY_DBMOVED, "%s", err.text);
    expect_nothing("copy.db");
}

/* Nobody replaced it: it is gone, and no memory database. */
Test(backup_copy, of_a_file_without_a_name_is_refused)
{
    cr_assert_eq(rename("a.db", "b.db"), 0);
    cr_expect_eq(backup("copy.db"), SQLITE_READONLY_DBMOVED, "%s", err.text);
    expect_nothing("copy.db");
    cr_assert_eq(rename("b.db", "a.db"), 0);
}

/* Past lido, by the handle of a connection that threads share: the moment rests on it that
   nothing is written in a transaction that reads. */
static int write_by_the_handle(void *ctx, const struct lido_progress *now,
                               struct lido_error *story)
{
    (void)story;
    if (strcmp(now->phase, "copying") == 0 && now->done == 0)
        cr_expect_eq(sqlite3_exec(ctx, "UPDATE total SET v = 7", NULL, NULL, NULL),
                     SQLITE_READONLY, "%s", sqlite3_errmsg(ctx));
    return LIDO_OK;
}

Test(backup_copy_alone, of_a_connection_that_others_use_too)
{
    struct lido_conn conn;

    fill("sqlite:///a.db?pool=static&journal_mode=wal");
    cr_assert_eq(lido_pool_checkout(pool, &conn, NULL, &err), LIDO_OK);
    job.progress = write_by_the_handle;
    job.progress_ctx = lido_conn_sqlite(&conn);
    cr_expect_eq(backup("copy.db"), LIDO_OK, "%s", err.text);
    expect_whole("copy.db");
    lido_conn_checkin(&conn, NULL, NULL);
}

static int fire(void *ctx, const struct lido_progress *now, struct lido_error *story)
{
    (void)story;
    if (strcmp(now->phase, "copying") == 0) {
        cr_expect_str_eq(now->unit, "bytes");
        lido_cancel_fire(ctx, NULL);
    }
    return LIDO_OK;
}

Test(backup_copy, cancelled_leaves_nothing)
{
    lido_cancel *token;

    cr_assert_eq(lido_cancel_new(&token, &err), LIDO_OK);
    job.cancel = token;
    job.progress = fire;
    job.progress_ctx = token;
    cr_expect_eq(backup("copy.db"), LIDO_CANCELLED, "%s", err.text);
    expect_nothing("copy.db");
    lido_cancel_free(token);
}

/* --- among others ---------------------------------------------------------------------- */

/* All of the log is in the file: then it is begun anew while half of it was copied.  The half
   alone would turn back what the first row says. */
Test(backup_copy, of_a_log_that_is_begun_anew_is_the_file_alone)
{
    cr_assert_eq(lido_pool_exec(pool, "PRAGMA wal_checkpoint(TRUNCATE)", &err), LIDO_OK);
    other_start("a.db");
    cr_assert_eq(other_run("PRAGMA wal_autocheckpoint=0; BEGIN; " ADD_ONE(
                     "WHERE id = 1") " COMMIT; BEGIN; " ADD_ONE("") " COMMIT; "
                                                                    "PRAGMA "
                                                                    "wal_checkpoint"),
                 SQLITE_OK);
    backup_while(WITHIN_THE_LOG, "BEGIN; " ADD_ONE("") " COMMIT");
    cr_expect_eq(ask("copy.db", "SELECT max(v) FROM t"), 2);
    other_end();
}

/* And before anything was copied. */
Test(backup_copy, of_a_log_that_gets_its_first_commit_is_one_moment)
{
    cr_assert_eq(lido_pool_exec(pool, "PRAGMA wal_checkpoint(TRUNCATE)", &err), LIDO_OK);
    other_start("a.db");
    backup_while(BEFORE_THE_FILE, "BEGIN; " ADD_ONE("") " COMMIT; PRAGMA wal_checkpoint");
    cr_expect_eq(ask("copy.db", "SELECT max(v) FROM t"), 0);
    other_end();
}

/* The reader uses the log: what a checkpoint writes stands in its copy. */
Test(backup_copy, of_a_file_into_which_a_checkpoint_writes_is_one_moment)
{
    other_start("a.db");
    cr_assert_eq(other_run("PRAGMA wal_autocheckpoint=0; BEGIN; " ADD_ONE("") " COMMIT"),
                 SQLITE_OK);
    backup_while(BEFORE_THE_FILE,
                 "BEGIN; " ADD_ONE("WHERE id % 3 = 0") " COMMIT; PRAGMA wal_checkpoint");
    cr_expect_eq(ask("copy.db", "SELECT max(v) FROM t"), 2);
    unlink("copy.db");
    n_second = 0;
    backup_while(WITHIN_THE_LOG,
                 "BEGIN; " ADD_ONE("WHERE id % 5 = 0") " COMMIT; PRAGMA wal_checkpoint");
    other_end();
}

Test(backup_copy_alone, of_a_rollback_journal_lets_nobody_commit_meanwhile)
{
    fill("sqlite:///a.db");
    other_start("a.db");
    cr_assert_eq(other_run("BEGIN IMMEDIATE; " ADD_ONE("WHERE id < 20")), SQLITE_OK);
    cr_assert_eq(backup("copy.db"), LIDO_OK, "%s", err.text);
    cr_expect_eq(ask("copy.db", "SELECT max(v) FROM t"), 0);
    expect_whole("copy.db");
    cr_assert_eq(other_run("COMMIT"), SQLITE_OK);
    unlink("copy.db");
    backup_while(BEFORE_THE_FILE, "BEGIN IMMEDIATE; " ADD_ONE("WHERE id < 20"));
    cr_expect_eq(ask("copy.db", "SELECT max(v) FROM t"), 1);
    cr_assert_eq(other_run("COMMIT"), SQLITE_OK);
    other_end();
}

static void *checkpoint_on(void *arg)
{
    struct lido_error why;

    (void)arg;
    while (!atomic_load(&is_over))
        cr_expect_eq(lido_pool_exec(pool, "PRAGMA wal_checkpoint", &why) & 0xef, LIDO_OK,
                     "%s", why.text);
    return NULL;
}

static void backup_among_writers(const char *url, int backups)
{
    pthread_t threads[3];
    long long met = 0;
    int n;

    fill(url);
    for (int i = 0; i < 3; i++)
        cr_assert_eq(
            pthread_create(&threads[i], NULL, i < 2 ? write_on : checkpoint_on, NULL), 0);
    for (n = 0; n < 400 && (n < backups || met < 20); n++) {
        const long long before = atomic_load(&commits);

        cr_assert_eq(backup("copy.db"), LIDO_OK, "%s", err.text);
        met += atomic_load(&commits) - before;
        expect_whole("copy.db");
        unlink("copy.db");
    }
    atomic_store(&is_over, 1);
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    cr_expect_geq(met, 20, "%lld", met);
}

Test(backup_copy_alone, under_writers_is_one_moment)
{
    backup_among_writers("sqlite:///a.db?pool=queue&journal_mode=wal", 60);
}

Test(backup_copy_alone, under_writers_of_a_rollback_journal_is_one_moment)
{
    backup_among_writers("sqlite:///a.db?pool=queue&timeout=30", 10);
}
