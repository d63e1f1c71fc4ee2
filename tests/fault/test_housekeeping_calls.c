/* SPDX-License-Identifier: MIT */
/*
 * Each call that lido itself makes of the system in a job fails once, in this process and in
 * the child that reads files: the caller is told, all is as it was, and no descriptor and no
 * child is left.
 */
#include "failing_calls.h"
#include "jobs.h"

#include <criterion/criterion.h>
#include <string.h>

static struct lido_error err;

TestSuite(housekeeping_calls, .init = failing_calls_install, .timeout = 110);

/* --- more jobs ---------------------------------------------------------------------------- */

/* The name of a stamped backup is not known before. */
static void give_known_name(void)
{
    DIR *files = opendir(".");
    struct dirent *entry;

    cr_assert_not_null(files);
    while ((entry = readdir(files)) != NULL)
        if (strncmp(entry->d_name, "made.db.", 8) == 0) {
            cr_assert_eq(rename(entry->d_name, "made.db"), 0);
            break;
        }
    closedir(files);
}

static int back_up_stamped(struct lido_database a, struct lido_error *why)
{
    struct lido_backup_options options = LIDO_BACKUP_OPTIONS_INIT;
    struct lido_backup result = LIDO_BACKUP_INIT;
    int rc;

    options.stamp = 1;
    options.keep = 1;
    rc = lido_backup(a, "made.db", &options, &result, why);
    failing_left = 0;
    if (rc == LIDO_OK || rc == SQLITE_IOERR_DIR_FSYNC)
        give_known_name();
    return rc;
}

static int look_at_file(struct lido_database a, struct lido_error *why)
{
    struct lido_file file = LIDO_FILE_INIT;
    const int rc = lido_file_look(a.path != NULL ? a.path : "a.db", &file, why);

    cr_expect(rc != LIDO_OK || file.kind == LIDO_FILE_REGULAR ||
                  file.kind == LIDO_FILE_UNREADABLE,
              "%s", lido_file_kind_name(file.kind));
    return rc;
}

static const struct job_row more[] = {
    { "stamped backup", back_up_stamped, true, true },
    { "look at a file", look_at_file, false, true },
};

/* --- the sweep ---------------------------------------------------------------------------- */

static int count_descriptors(void)
{
    DIR *files = opendir("/proc/self/fd");
    int count = 0;

    cr_assert_not_null(files);
    while (readdir(files) != NULL)
        count++;
    closedir(files);
    return count;
}

/* True: the nth call failed. */
static bool try_at(const struct job_row *job, bool in_child, int number, int nth)
{
    const int before = count_descriptors();
    char what[80];
    int rc;

    err = (struct lido_error){ 0 };
    failing_calls_arm(nth, in_child, number);
    rc = job->run(jobs_at_file(), &err);
    failing_calls_arm(0, false, 0);
    snprintf(what, sizeof what, "%s%s %d: %s", in_child ? "in the child, " : "",
             strerror(number), nth, failing_calls->name);
    if (number == EINTR)
        cr_expect_eq(rc, LIDO_OK, "%s: %s: %d %s", job->name, what, rc, err.text);
    /* Only that a folder is not synced is told of what is there. */
    cr_expect(jobs_expect(job, rc == SQLITE_IOERR_DIR_FSYNC ? JOBS_WHOLE : JOBS_STRICT, rc,
                          &err, what));
    cr_expect_eq(count_descriptors(), before, "%s: %s: descriptors", job->name, what);
    cr_expect_eq(waitpid(-1, NULL, WNOHANG), -1, "%s: %s: a child", job->name, what);
    jobs_put_back();
    return failing_calls->has_fired;
}

static int sweep_one(const struct job_row *job, bool in_child, int number)
{
    int n = 1;

    jobs_learn(job);
    while (try_at(job, in_child, number, n))
        n++;
    return n - 1;
}

static void sweep(bool in_child, int number)
{
    int count = 0;

    jobs_set_up("delete");
    for (int i = 0; i < n_jobs; i++)
        count += sweep_one(&jobs[i], in_child, number);
    for (size_t i = 0; i < sizeof more / sizeof more[0]; i++)
        count += sweep_one(&more[i], in_child, number);
    cr_expect_gt(count, in_child || number == EINTR ? 2 : 60, "%d", count);
    jobs_tear_down();
}

Test(housekeeping_calls, that_fail)
{
    sweep(false, EIO);
}

Test(housekeeping_calls, that_find_no_memory_or_no_room)
{
    sweep(false, ENOMEM);
    sweep(false, ENOSPC);
}

Test(housekeeping_calls, that_a_signal_interrupts)
{
    sweep(false, EINTR);
}

Test(housekeeping_calls, that_fail_in_the_child)
{
    sweep(true, EIO);
    sweep(true, ENOSPC);
}

/* What a file system without renameat2() is given. */
Test(housekeeping_calls, that_fail_where_nothing_is_renamed)
{
    has_no_rename = true;
    jobs_set_up("wal");
    cr_expect_gt(sweep_one(&jobs[0], false, EIO), 10);
    jobs_tear_down();
}

/* --- a check with a copy ------------------------------------------------------------------ */

static int check_log(struct lido_check *out)
{
    struct lido_check_options options = LIDO_CHECK_OPTIONS_INIT;

    options.depth = LIDO_DEPTH_FULL;
    options.copy_folder = "copies";
    *out = (struct lido_check)LIDO_CHECK_INIT;
    return lido_check(lido_at_path("a.db"), &options, out, &err);
}

/* With all that is committed, or it is said that something could not be read. */
static int sweep_log(bool in_child, int number)
{
    struct lido_check check;
    int n, rc;

    for (n = 1;; n++) {
        failing_calls_arm(n, in_child, number);
        rc = check_log(&check);
        failing_calls_arm(0, false, 0);
        if (rc == LIDO_OK && check.verdict == LIDO_CHECK_SOUND)
            cr_expect_eq(check.n_tables, 4, "%d %s: %lld tables", n, failing_calls->name,
                         (long long)check.n_tables);
        else
            cr_expect(rc != LIDO_OK ? err.text[0] != '\0'
                                    : check.verdict == LIDO_CHECK_UNREADABLE ||
                                          check.verdict == LIDO_CHECK_LOCKED,
                      "%d %s: %s", n, failing_calls->name, check.text);
        if (rc != LIDO_OK && number == ENOSPC && in_child &&
            strcmp(failing_calls->name, "write") == 0)
            cr_expect(rc == SQLITE_FULL || rc == SQLITE_IOERR, "%d %s", rc, err.text);
        cr_expect_eq(rmdir("copies"), 0, "%d %s: a copy is left", n, failing_calls->name);
        cr_assert_eq(mkdir("copies", 0700), 0);
        if (!failing_calls->has_fired)
            break;
    }
    cr_expect_eq(rc, LIDO_OK, "%s", err.text);
    cr_expect_eq(check.verdict, LIDO_CHECK_SOUND, "%s", check.text);
    return n;
}

Test(housekeeping_calls, that_fail_while_a_log_is_copied)
{
    static const int numbers[] = { EIO, ENOSPC };
    sqlite3 *db;

    jobs_set_up("wal");
    cr_assert_eq(mkdir("copies", 0700), 0);
    cr_assert_eq(sqlite3_open("a.db", &db), SQLITE_OK);
    cr_assert_eq(sqlite3_exec(db,
                              "CREATE TABLE late (x); CREATE TABLE later (x);"
                              "INSERT INTO late VALUES (zeroblob(200000))",
                              NULL, NULL, NULL),
                 SQLITE_OK);
    for (int i = 0; i < 2; i++) {
        cr_expect_gt(sweep_log(false, numbers[i]), 10);
        cr_expect_gt(sweep_log(true, numbers[i]), 15);
    }
    sqlite3_close(db);
    rmdir("copies");
    jobs_tear_down();
}

/* A journal that cannot be read is not one that has ended. */
Test(housekeeping_calls, that_fail_beside_a_hot_journal)
{
    struct lido_check check;
    sqlite3 *db;

    jobs_set_up("delete");
    cr_assert_eq(mkdir("copies", 0700), 0);
    cr_assert_eq(sqlite3_open("a.db", &db), SQLITE_OK);
    cr_assert_eq(sqlite3_exec(db,
                              "PRAGMA cache_size=2; PRAGMA cache_spill=1; BEGIN IMMEDIATE;"
                              "UPDATE t SET x = x || hex(zeroblob(500))",
                              NULL, NULL, NULL),
                 SQLITE_OK);
    cr_assert_eq(system("cp a.db c.db && cp a.db-journal c.db-journal"), 0);
    sqlite3_close(db);
    cr_assert_eq(rename("c.db", "a.db"), 0);
    cr_assert_eq(rename("c.db-journal", "a.db-journal"), 0);
    for (int n = 1;; n++) {
        int rc;

        failing_calls_arm(n, true, EIO);
        rc = check_log(&check);
        failing_calls_arm(0, false, 0);
        cr_expect(check.verdict == LIDO_CHECK_NEEDS_RECOVERY ||
                      (failing_calls->has_fired &&
                       (rc != LIDO_OK || check.verdict == LIDO_CHECK_UNREADABLE)),
                  "%d %s: %s", n, failing_calls->name, lido_check_name(check.verdict));
        if (!failing_calls->has_fired)
            break;
    }
    rmdir("copies");
    jobs_tear_down();
}
