/* SPDX-License-Identifier: MIT */
/*
 * Disks that are full, by a bound on the size of a file and by a file system that is small,
 * with more room each time: a job that finds too little says so, both databases are as they
 * were, and it goes well where there is room.
 */
#include "failing_vfs.h"
#include "jobs.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef STRIDE
#define STRIDE 1
#endif

static void set_up(void)
{
    failing_vfs_install(); /* nothing fails by it, but a sync takes no time */
    failing_vfs_hurry();
    cr_assert_eq(sqlite3_vfs_register(sqlite3_vfs_find("failing"), 1), SQLITE_OK);
}

TestSuite(housekeeping_full, .init = set_up, .timeout = 110);

static bool expect(const struct job_row *job, int rc, const struct lido_error *err,
                   const char *what)
{
    struct lido_error later;
    bool is_fine = jobs_expect(job, JOBS_JOURNAL, rc, err, what);

    jobs_put_back();
    if (job->run(jobs_at_file(), &later) != LIDO_OK) {
        fprintf(stderr, "%s, after %s: %s\n", job->name, what, later.text);
        is_fine = false;
    }
    jobs_put_back();
    return is_fine;
}

/* --- files that may not grow -------------------------------------------------------------- */

static void set_most(rlim_t most)
{
    const struct rlimit limit = { most, RLIM_INFINITY };

    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void sweep_size(const char *mode)
{
    int failed = 0;

    signal(SIGXFSZ, SIG_IGN);
    jobs_set_up(mode);
    for (int i = 0; i < n_jobs; i++) {
        jobs_learn(&jobs[i]);
        for (int most = 0; most < 64 << 10; most += 1900 * STRIDE) {
            struct lido_error err = LIDO_ERROR_INIT;
            char what[40];
            int rc;

            snprintf(what, sizeof what, "files of %d bytes", most);
            set_most((rlim_t)most);
            rc = jobs[i].run(jobs_at_file(), &err);
            set_most(RLIM_INFINITY);
            failed += rc != LIDO_OK;
            cr_expect(expect(&jobs[i], rc, &err, what));
        }
    }
    cr_expect_gt(failed, 50 / STRIDE, "%d", failed);
    jobs_tear_down();
}

Test(housekeeping_full, files_that_may_not_grow)
{
    sweep_size("delete");
}

Test(housekeeping_full, files_that_may_not_grow_in_wal_mode)
{
    sweep_size("wal");
}

/* --- a small disk ------------------------------------------------------------------------- */

enum { WELL, WRONG, NOT_ALLOWED };

#define BLOCK  4096
#define BLOCKS 100

/* Puts a file system of that size over /tmp, which nobody but this process sees.  It stands in
   a process of its own, with no other thread, and goes away with it. */
static bool make_disk(void)
{
    char size[40];

    snprintf(size, sizeof size, "size=%d", BLOCK * BLOCKS);
    if (unshare(CLONE_NEWNS | (geteuid() != 0 ? CLONE_NEWUSER : 0)) != 0)
        return false;
    return mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
           mount("lido-test", "/tmp", "tmpfs", 0, size) == 0;
}

/* Leaves room for so many blocks. */
static void fill_disk(int room)
{
    static const char block[BLOCK];
    const int file = open("/tmp/ballast", O_WRONLY | O_CREAT | O_TRUNC, 0600);
    off_t size = 0;

    while (write(file, block, sizeof block) > 0)
        size += BLOCK;
    if (size < room * BLOCK || ftruncate(file, size - room * BLOCK) != 0)
        abort();
    close(file);
}

static int sweep_disk(const char *mode)
{
    bool is_fine = true;
    int failed = 0, full = 0;

    if (!make_disk())
        return NOT_ALLOWED;
    jobs_set_up(mode);
    for (int i = 0; i < n_jobs; i++) {
        jobs_learn(&jobs[i]);
        for (int room = 0; room < 40; room += STRIDE) {
            struct lido_error err = LIDO_ERROR_INIT;
            char what[40];
            int rc;

            snprintf(what, sizeof what, "a disk with %d blocks", room);
            fill_disk(room);
            rc = jobs[i].run(jobs_at_file(), &err);
            unlink("/tmp/ballast");
            failed += rc != LIDO_OK;
            full += (rc & 0xff) == SQLITE_FULL;
            is_fine = expect(&jobs[i], rc, &err, what) && is_fine;
        }
    }
    jobs_tear_down();
    if (failed < 25 / STRIDE || full < 20 / STRIDE) {
        fprintf(stderr, "%d failed, %d said that it is full\n", failed, full);
        is_fine = false;
    }
    return is_fine ? WELL : WRONG;
}

static void sweep_in_child(const char *mode)
{
    const pid_t child = fork();
    int status;

    if (child == 0)
        _exit(sweep_disk(mode));
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert(WIFEXITED(status), "signal %d", WTERMSIG(status));
    if (WEXITSTATUS(status) == NOT_ALLOWED)
        cr_skip_test("no file system can be mounted here");
    cr_expect_eq(WEXITSTATUS(status), WELL);
}

Test(housekeeping_full, a_small_disk)
{
    sweep_in_child("delete");
}

Test(housekeeping_full, a_small_disk_in_wal_mode)
{
    sweep_in_child("wal");
}
