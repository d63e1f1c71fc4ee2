/* SPDX-License-Identifier: MIT */
/*
 * The child that reads database files: what it sees of locks, what it copies, and how it ends.
 */
#include "housekeeping/child.h"
#include "other_process.h"
#include "own_folder.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[] = "/tmp/lido-child-XXXXXX";
static struct lido__names from, to;
static struct lido__looked looked;
static struct lido_job job;
static struct lido__work work;
static struct lido_error err;
static bool is_changed;

static void run_sql(const char *sql)
{
    char path[100], *said = NULL;
    sqlite3 *db;

    snprintf(path, sizeof path, "%s/a.db", folder);
    cr_assert_eq(sqlite3_open(path, &db), SQLITE_OK);
    sqlite3_exec(db, sql, NULL, NULL, &said);
    cr_assert_null(said, "%s", said);
    cr_assert_eq(sqlite3_close(db), SQLITE_OK);
}

static void begin(void)
{
    cr_assert_eq(lido__work_begin(&work, &job, &err), LIDO_OK);
}

static void set_up(void)
{
    char path[100];

    cr_assert_not_null(mkdtemp(folder));
    run_sql("CREATE TABLE t (x); INSERT INTO t VALUES (1)");
    snprintf(path, sizeof path, "%s/a.db", folder);
    cr_assert_eq(lido__names_of(&from, path, &err), LIDO_OK);
    snprintf(to.main, sizeof to.main, "%s/copy", folder);
    snprintf(to.wal, sizeof to.wal, "%s/copy-wal", folder);
    job = (struct lido_job)LIDO_JOB_INIT;
    begin();
}

static void remove_copy(void)
{
    unlink(to.main);
    unlink(to.wal);
}

static void tear_down(void)
{
    char shm[PATH_MAX + 8];

    snprintf(shm, sizeof shm, "%s-shm", from.main);
    remove_copy();
    unlink(shm);
    unlink(from.main);
    unlink(from.wal);
    unlink(from.journal);
    own_folder_end(folder);
    cr_expect_eq(waitpid(-1, NULL, WNOHANG), -1, "a child is left");
}

TestSuite(child, .init = set_up, .fini = tear_down, .timeout = 60);

static void look(void)
{
    cr_assert_eq(lido__child_look(&from, &work, &looked, &err), LIDO_OK, "%s", err.text);
}

Test(child, sees_the_bytes_and_the_files_beside)
{
    struct stat status;

    cr_assert_eq(stat(from.main, &status), 0);
    look();
    cr_expect_eq(looked.sys_errno, 0);
    cr_expect_eq(looked.bytes, status.st_size);
    cr_expect_eq(looked.inode, status.st_ino);
    cr_expect_eq(looked.n_head, sizeof looked.head);
    cr_expect_eq(memcmp(looked.head, "SQLite format 3", 16), 0);
    cr_expect_eq(looked.wal_bytes + looked.journal_bytes, 0);
    cr_expect_not(looked.is_in_use || looked.is_reserved || looked.is_exclusive);
    cr_assert_eq(unlink(from.main), 0);
    look();
    cr_expect_neq(looked.sys_errno, 0);
}

/* Its own process's locks are another's to the child: so it sees these too. */
Test(child, sees_the_locks_of_this_process_and_they_stay)
{
    static const char *const steps[] = { "BEGIN; SELECT * FROM t",
                                         "ROLLBACK; BEGIN IMMEDIATE",
                                         "ROLLBACK; BEGIN EXCLUSIVE" };
    sqlite3 *db;

    cr_assert_eq(sqlite3_open(from.main, &db), SQLITE_OK);
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(sqlite3_exec(db, steps[i], NULL, NULL, NULL), SQLITE_OK);
        for (int again = 0; again < 2; again++) {
            look();
            cr_expect(looked.is_in_use);
            cr_expect_eq(looked.is_reserved, i >= 1);
            cr_expect_eq(looked.is_exclusive, i >= 2);
        }
    }
    sqlite3_close(db);
    look();
    cr_expect_not(looked.is_in_use);
}

static int copy(void)
{
    is_changed = false;
    return lido__child_copy(&from, &to, &work, &is_changed, &err);
}

static int count_in_copy(void)
{
    sqlite3_stmt *stmt;
    sqlite3 *db;
    int n;

    cr_assert_eq(sqlite3_open(to.main, &db), SQLITE_OK);
    sqlite3_exec(db, "PRAGMA locking_mode=EXCLUSIVE", NULL, NULL, NULL);
    cr_assert_eq(sqlite3_prepare_v2(db, "SELECT count(*) FROM t", -1, &stmt, NULL),
                 SQLITE_OK);
    cr_assert_eq(sqlite3_step(stmt), SQLITE_ROW);
    n = sqlite3_column_int(stmt, 0);
    sqlite3_finalize(stmt);
    sqlite3_close(db);
    return n;
}

Test(child, copies_what_is_committed_also_in_the_wal)
{
    run_sql("PRAGMA journal_mode=wal");
    other_start(from.main);
    cr_assert_eq(other_run("INSERT INTO t VALUES (2)"), SQLITE_OK);
    cr_assert_eq(other_run("BEGIN; INSERT INTO t VALUES (3)"), SQLITE_OK);
    cr_assert_eq(copy(), LIDO_OK, "%s", err.text);
    cr_expect_not(is_changed);
    cr_expect_eq(count_in_copy(), 2);
    other_end();
}

Test(child, writes_over_nothing)
{
    cr_assert_eq(copy(), LIDO_OK);
    cr_expect_eq(copy(), SQLITE_IOERR);
    cr_expect_neq(err.sys_errno, 0);
    snprintf(to.main, sizeof to.main, "%s/no/folder", folder);
    cr_expect_eq(copy(), SQLITE_IOERR);
    snprintf(to.main, sizeof to.main, "%s/copy", folder);
}

/* While the child waits for room in the pipe, long before the end of a file that has become
   much larger, others write. */
static int n_moves;

static int move(void *ctx, const struct lido_progress *now, struct lido_error *story)
{
    (void)now, (void)story;
    if (n_moves++ == 0)
        cr_expect_eq(other_run(ctx), SQLITE_OK);
    return LIDO_OK;
}

static int copy_while(const char *sql)
{
    job.progress = move;
    job.progress_ctx = (void *)sql;
    n_moves = 0;
    begin();
    remove_copy();
    /* A checkpoint cuts it to its size again. */
    cr_assert_eq(truncate(from.main, 60 * 1000 * 1000), 0);
    cr_expect_eq(copy(), LIDO_OK, "%s", err.text);
    cr_expect_gt(n_moves, 0);
    return is_changed;
}

Test(child, notices_a_wal_that_is_begun_anew_and_no_more)
{
    run_sql("PRAGMA journal_mode=wal");
    other_start(from.main);
    cr_assert_eq(other_run("INSERT INTO t VALUES (2)"), SQLITE_OK);
    cr_expect_not(copy_while("INSERT INTO t VALUES (3)"), "more frames do no harm");
    cr_expect_eq(count_in_copy(), 3);
    cr_expect_not(copy_while("PRAGMA wal_checkpoint(FULL)"), "nor does a checkpoint");
    cr_expect_eq(count_in_copy(), 3);
    cr_expect(copy_while("INSERT INTO t VALUES (4)"), "but the first frame after it");
    /* The main file is cut before the WAL is: the child may be done in between. */
    cr_expect(copy_while("PRAGMA wal_checkpoint(TRUNCATE)") || count_in_copy() == 4);
    cr_expect(copy_while("INSERT INTO t VALUES (5)"), "and one that gets its first frame");
    other_end();
}

/* And with no log again behind it: nothing but the file's own time and size tells. */
Test(child, notices_a_commit_that_came_and_went_with_its_log)
{
    run_sql("PRAGMA journal_mode=wal");
    other_start(from.main);
    cr_assert_eq(other_run("PRAGMA wal_checkpoint(TRUNCATE)"), SQLITE_OK);
    cr_expect(copy_while("INSERT INTO t VALUES (6); PRAGMA wal_checkpoint(TRUNCATE)"));
    other_end();
}

/* In the middle of the log, for which the child waits too, that becomes longer. */
static int lengthen(void *ctx, const struct lido_progress *now, struct lido_error *story)
{
    struct stat status = { .st_size = 0 };

    (void)ctx, (void)now, (void)story;
    if (n_moves++ > 0)
        return LIDO_OK;
    while (stat(to.wal, &status) != 0 || status.st_size == 0)
        sched_yield();
    cr_expect_eq(truncate(from.wal, 61 * 1000 * 1000), 0);
    return LIDO_OK;
}

Test(child, copies_a_log_to_where_it_ended_when_it_was_begun)
{
    struct stat status;

    run_sql("PRAGMA journal_mode=wal");
    other_start(from.main);
    cr_assert_eq(other_run("INSERT INTO t VALUES (2)"), SQLITE_OK);
    cr_assert_eq(truncate(from.wal, 60 * 1000 * 1000), 0);
    job.progress = lengthen;
    begin();
    cr_assert_eq(copy(), LIDO_OK, "%s", err.text);
    cr_expect_gt(n_moves, 0);
    cr_expect_not(is_changed);
    cr_assert_eq(stat(to.wal, &status), 0);
    cr_expect_eq(status.st_size, 60 * 1000 * 1000);
    cr_expect_eq(count_in_copy(), 2);
    other_end();
}

/* --- how it ends ----------------------------------------------------------------------- */

static int n_failing; /* how often poll() fails, -1: always */

int __real_poll(struct pollfd *fds, nfds_t count, int ms);
int __wrap_poll(struct pollfd *fds, nfds_t count, int ms);
int __wrap_poll(struct pollfd *fds, nfds_t count, int ms)
{
    if (n_failing == 0)
        return __real_poll(fds, count, ms);
    n_failing -= n_failing > 0;
    errno = n_failing >= 0 ? EINTR : ENOMEM;
    return -1;
}

Test(child, is_not_asked_for_ever, .timeout = 10)
{
    n_failing = 3;
    look();
    cr_expect_eq(n_failing, 0);
    n_failing = -1;
    cr_expect_eq(lido__child_look(&from, &work, &looked, &err), SQLITE_IOERR);
    cr_expect_eq(err.sys_errno, ENOMEM);
    n_failing = 0;
}

/* Its parent dies, which has the pipe at one of the first three numbers. */
static int die(void *ctx, const struct lido_progress *now, struct lido_error *story)
{
    (void)ctx, (void)now, (void)story;
    return raise(SIGKILL);
}

static void host_without_standard_files(void)
{
    setpgid(0, 0); /* by which the child can be ended */
    for (int fd = 0; fd < 3; fd++)
        close(fd);
    job.progress = die;
    begin();
    _exit(copy());
}

Test(child, ends_if_its_parent_dies, .timeout = 20)
{
    pid_t host, ended = 0;
    int how;

    cr_assert_eq(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
    cr_assert_eq(truncate(from.main, 60 * 1000 * 1000), 0);
    host = fork();
    cr_assert_geq(host, 0);
    if (host == 0)
        host_without_standard_files();
    cr_assert_eq(waitpid(host, &how, 0), host);
    cr_expect(WIFSIGNALED(how) && WTERMSIG(how) == SIGKILL);
    for (int i = 0; i < 500 && ended == 0; i++) { /* it is this process's child now */
        ended = waitpid(-1, NULL, WNOHANG);
        __real_poll(NULL, 0, 10);
    }
    cr_expect_gt(ended, 0, "it waits for room in the pipe");
    if (ended == 0) {
        kill(-host, SIGKILL);
        waitpid(-1, NULL, 0);
    }
}

static int stop(void *ctx, const struct lido_progress *now, struct lido_error *story)
{
    (void)ctx, (void)now, (void)story;
    return 7777;
}

static int n_kills;

int __real_kill(pid_t pid, int number);
int __wrap_kill(pid_t pid, int number);
int __wrap_kill(pid_t pid, int number)
{
    n_kills++;
    return __real_kill(pid, number);
}

/* The host has taken the child's end, and so its number is free: it may be another's. */
static int wait_for_any(void *ctx, const struct lido_progress *now,
                        struct lido_error *story)
{
    (void)ctx, (void)now, (void)story;
    cr_expect_gt(waitpid(-1, NULL, 0), 0);
    return 7777;
}

Test(child, that_has_ended_is_not_killed)
{
    job.progress = wait_for_any;
    begin();
    cr_expect_eq(copy(), 7777);
    cr_expect_eq(n_kills, 0);
    remove_copy();
    job.progress = stop;
    begin();
    cr_assert_eq(truncate(from.main, 60 * 1000 * 1000), 0);
    cr_expect_eq(copy(), 7777);
    cr_expect_eq(n_kills, 1);
}

/* SIGCHLD that is ignored: the system itself takes the children away. */
Test(child, of_a_host_that_asks_for_none)
{
    signal(SIGCHLD, SIG_IGN);
    look();
    cr_expect_eq(copy(), LIDO_OK, "%s", err.text);
    signal(SIGCHLD, SIG_DFL);
}

Test(child, writes_for_its_owner_whatever_the_umask_says)
{
    struct stat status;
    mode_t before;

    run_sql("PRAGMA journal_mode=wal");
    other_start(from.main);
    cr_assert_eq(other_run("INSERT INTO t VALUES (2)"), SQLITE_OK);
    before = umask(0777);
    cr_expect_eq(copy(), LIDO_OK, "%s", err.text);
    umask(before);
    cr_assert_eq(stat(to.main, &status), 0);
    cr_expect_eq(status.st_mode & 0777, 0600);
    cr_assert_eq(stat(to.wal, &status), 0);
    cr_expect_eq(status.st_mode & 0777, 0600);
    other_end();
}

Test(child, ends_with_the_job)
{
    job.progress = stop;
    begin();
    cr_assert_eq(truncate(from.main, 60 * 1000 * 1000), 0);
    cr_expect_eq(copy(), 7777);
    cr_expect_eq(waitpid(-1, NULL, WNOHANG), -1, "a child is left");
}

/* Who reads from a pipe of the host sees its end when the host closes it, child or not. */
static int see_the_end(void *ctx, const struct lido_progress *now, struct lido_error *story)
{
    int *ends = ctx;
    struct pollfd end = { ends[0], POLLIN, 0 };

    (void)now, (void)story;
    if (ends[1] < 0)
        return LIDO_OK;
    close(ends[1]);
    ends[1] = -1;
    cr_expect_eq(poll(&end, 1, 3000), 1, "the child has it open");
    return 7777;
}

Test(child, leaves_the_signals_of_the_host_as_they_were)
{
    sigset_t now;

    begin();
    cr_assert_eq(copy(), LIDO_OK, "%s", err.text);
    cr_assert_eq(pthread_sigmask(SIG_SETMASK, NULL, &now), 0);
    cr_expect_eq(sigismember(&now, SIGINT), 0);
    cr_expect_eq(sigismember(&now, SIGTERM), 0);
}

Test(child, has_none_of_the_hosts_files_open)
{
    int ends[2];

    cr_assert_eq(pipe(ends), 0);
    job.progress = see_the_end;
    job.progress_ctx = ends;
    begin();
    cr_assert_eq(truncate(from.main, 60 * 1000 * 1000), 0);
    cr_expect_eq(copy(), 7777);
    cr_expect_eq(ends[1], -1);
    close(ends[0]);
}

/* The child of one that is killed is this process's, and ends however long it was to wait. */
Test(child, that_keeps_to_a_rate_ends_with_its_process)
{
    struct stat status;
    pid_t host;
    FILE *copied;
    int how;

    cr_assert_eq(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
    cr_assert_eq(truncate(from.main, 60 * 1000 * 1000), 0);
    copied = fopen(to.main, "w");
    cr_assert_not_null(copied);
    fclose(copied);
    host = fork();
    if (host == 0) {
        struct lido__copied out;

        begin();
        _exit(lido__child_copy_pinned(&from, &to, 1, &work, &out, NULL));
    }
    do { /* it has copied something, and is to wait for days */
        cr_assert_eq(stat(to.main, &status), 0);
        sched_yield();
    } while (status.st_size == 0);
    cr_assert_eq(kill(host, SIGKILL), 0);
    cr_assert_eq(waitpid(host, &how, 0), host);
    cr_expect_gt(waitpid(-1, &how, 0), 0);
    cr_expect_eq(waitpid(-1, &how, 0), -1, "there was one");
}
