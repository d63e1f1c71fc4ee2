/* SPDX-License-Identifier: MIT */
/*
 * Each call that a job makes of the file system by SQLite fails once, or from then on: the
 * caller is told, both databases are as they were, nothing is left beside them, the pool has
 * its connection back, and the same job goes well right after.
 */
#include "failing_vfs.h"
#include "jobs.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

/* A write of a disk is slow under a sanitizer's eyes. */
#ifndef STRIDE
#define STRIDE 1
#endif

static struct lido_error err;

static void set_up(void)
{
    failing_vfs_install();
    failing_vfs_hurry();
    /* What a job opens by itself, as the copy of a backup, is to fail too. */
    cr_assert_eq(sqlite3_vfs_register(sqlite3_vfs_find("failing"), 1), SQLITE_OK);
}

TestSuite(housekeeping_io, .init = set_up, .timeout = 110);

static const char *const hows[] = { "die", "tear", "fail", "late", "full" };

/* In a rollback-journal mode SQLite cuts the file and lets its lock go when the journal is
   gone, and the transaction committed: its COMMIT answers an error all the same. */
static int left_by(enum failing_vfs how, bool goes_on)
{
    static const char *const behind[] = { "unlock ", "size ", "truncate " };

    if (goes_on)
        return JOBS_WHOLE | JOBS_JOURNAL;
    for (int i = 0; i < 3; i++)
        if (strncmp(failing_vfs_call(), behind[i], strlen(behind[i])) == 0)
            return JOBS_WHOLE;
    return how == FAILING_VFS_LATE ? JOBS_WHOLE : JOBS_STRICT;
}

/* True: the nth call failed. */
static bool try_at(const struct job_row *job, enum failing_vfs how, int nth, bool goes_on,
                   bool by_pool)
{
    lido_pool *pool = by_pool ? jobs_pool() : NULL;
    struct lido_pool_stats stats = LIDO_POOL_STATS_INIT;
    struct lido_error later;
    char what[160];
    bool is_done;
    int rc, again, left;

    err = (struct lido_error){ 0 };
    if (goes_on)
        failing_vfs_arm_from(nth, how);
    else
        failing_vfs_arm(nth, how);
    rc = job->run(by_pool ? lido_at_pool(pool) : jobs_at_file(), &err);
    snprintf(what, sizeof what, "%s %d%s: %s", hows[how], nth, goes_on ? " and all" : "",
             failing_vfs_call());
    is_done = !failing_vfs_fired();
    left = left_by(how, goes_on);
    failing_vfs_arm(0, how);
    if (by_pool) {
        cr_expect_eq(lido_pool_stats(pool, &stats, &later), LIDO_OK);
        cr_expect_eq(stats.out + stats.detached, 0, "%s: %s: a lease", job->name, what);
        lido_pool_free(pool);
    }
    cr_expect(jobs_expect(job, left, rc, &err, what));
    jobs_put_back();
    again = job->run(jobs_at_file(), &later);
    cr_expect_eq(again, LIDO_OK, "%s: %s: then %d %s", job->name, what, again, later.text);
    jobs_put_back();
    return !is_done;
}

static void sweep(const char *mode, enum failing_vfs how, bool goes_on, int stride)
{
    jobs_set_up(mode);
    for (int i = 0; i < n_jobs; i++) {
        int n = 1, count = 0;

        jobs_learn(&jobs[i]);
        for (; try_at(&jobs[i], how, n, goes_on, count % 2 == 1); n += stride * STRIDE)
            count++;
        if (how != FAILING_VFS_FULL)
            cr_expect_gt(count, 0, "%s", jobs[i].name);
    }
    jobs_tear_down();
}

Test(housekeeping_io, a_call_that_fails)
{
    sweep("delete", FAILING_VFS_FAIL, false, 1);
}

Test(housekeeping_io, a_call_that_fails_in_wal_mode)
{
    sweep("wal", FAILING_VFS_FAIL, false, 1);
}

Test(housekeeping_io, a_call_that_fails_when_it_is_done)
{
    sweep("delete", FAILING_VFS_LATE, false, 3);
    sweep("wal", FAILING_VFS_LATE, false, 3);
}

Test(housekeeping_io, a_disk_that_fails_from_then_on)
{
    sweep("delete", FAILING_VFS_FAIL, true, 3);
    sweep("wal", FAILING_VFS_FAIL, true, 3);
}

Test(housekeeping_io, a_disk_that_is_full)
{
    sweep("delete", FAILING_VFS_FULL, false, 1);
    sweep("wal", FAILING_VFS_FULL, false, 1);
}

Test(housekeeping_io, a_disk_that_stays_full)
{
    sweep("delete", FAILING_VFS_FULL, true, 2);
    sweep("wal", FAILING_VFS_FULL, true, 2);
}
