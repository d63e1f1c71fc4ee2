/* SPDX-License-Identifier: MIT */
/*
 * How a backup gets its name: when it is synced, what happens if that fails, who may come in
 * between, and what time a stamp tells.
 *
 * fsync() and renameat2() are the test's own, which note that they were called, in which order;
 * link(), unlink() and open() too, which can fail.
 */
#include "tests/support/backup_stage.h"

#include <errno.h>
#include <fcntl.h>
#include <time.h>

static char done[16]; /* 'f': the file was synced, 'F': its folder, 'n': it was named */
static char broken;   /* such a sync fails; 0: none */
static int is_simple; /* the file system cannot rename without replacing */
static int is_late;   /* right before the file gets its name there is another's */

TestSuite(backup_named, .init = set_up, .fini = tear_down, .timeout = 60);

static void note(char what)
{
    const size_t length = strlen(done);

    if (length + 1 < sizeof done)
        done[length] = what;
}

int __real_fsync(int file);
int __wrap_fsync(int file);

int __wrap_fsync(int file)
{
    struct stat status;
    char what;

    cr_assert_eq(fstat(file, &status), 0);
    what = S_ISDIR(status.st_mode) ? 'F' : 'f';
    note(what);
    if (what != broken)
        return __real_fsync(file);
    errno = EIO;
    return -1;
}

int __real_renameat2(int from_folder, const char *from, int to_folder, const char *to,
                     unsigned flags);
int __wrap_renameat2(int from_folder, const char *from, int to_folder, const char *to,
                     unsigned flags);

int __wrap_renameat2(int from_folder, const char *from, int to_folder, const char *to,
                     unsigned flags)
{
    note('n');
    if (is_late)
        write_file(to, "of another");
    if (!is_simple)
        return __real_renameat2(from_folder, from, to_folder, to, flags);
    errno = EINVAL;
    return -1;
}

static int is_lost; /* the server has made the second name, and its answer did not come */
static int n_kept;  /* how often a hidden name cannot be removed */
static int has_files = 1; /* 0: no more of these, and a folder cannot be opened */

int __real_link(const char *from, const char *to);
int __wrap_link(const char *from, const char *to);
int __wrap_link(const char *from, const char *to)
{
    const int rc = __real_link(from, to);

    if (rc != 0 || !is_lost)
        return rc;
    errno = EEXIST;
    return -1;
}

int __real_unlink(const char *path);
int __wrap_unlink(const char *path);
int __wrap_unlink(const char *path)
{
    if (n_kept == 0 || strstr(path, "/.") == NULL)
        return __real_unlink(path);
    n_kept--;
    errno = EBUSY;
    return -1;
}

int __real_open64(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, ...)
{
    if (has_files == 0 && (flags & O_DIRECTORY) != 0) {
        errno = EMFILE;
        return -1;
    }
    return __real_open64(path, flags, 0600);
}
int __wrap_open(const char *path, int flags, ...)
{
    return __wrap_open64(path, flags);
}

static int has_hidden(void)
{
    DIR *files = opendir(".");
    struct dirent *entry;
    int hidden = 0;

    while ((entry = readdir(files)) != NULL)
        hidden += entry->d_name[0] == '.' && strlen(entry->d_name) > 2;
    closedir(files);
    return hidden;
}

/* Or a loss of power would leave a name with half a file, or none at all. */
Test(backup_named, synced_before_and_its_folder_after)
{
    for (options.stamp = 0; options.stamp < 2; options.stamp++) {
        memset(done, 0, sizeof done);
        cr_assert_eq(backup("copy.db"), LIDO_OK, "%s", err.text);
        cr_expect_str_eq(done, "fnF");
    }
}

Test(backup_named, what_cannot_be_synced_is_not_there_but_for_its_folder)
{
    broken = 'f';
    cr_expect_eq(backup("copy.db"), SQLITE_IOERR_FSYNC);
    cr_expect_eq(err.sys_errno, EIO);
    cr_expect_neq(access("copy.db", F_OK), 0);
    cr_expect_not(has_hidden());
    broken = 'F';
    cr_expect_eq(backup("copy.db"), SQLITE_IOERR_DIR_FSYNC);
    expect_whole("copy.db");
    cr_expect_not(has_hidden());
}

Test(backup_named, who_comes_in_between_stays)
{
    is_late = 1;
    for (is_simple = 0; is_simple < 2; is_simple++) {
        const char *name = is_simple ? "simple.db" : "late.db";

        cr_expect_eq(backup(name), SQLITE_CANTOPEN);
        cr_expect_eq(err.sys_errno, EEXIST);
        cr_expect(has_text(name, "of another"));
    }
    cr_expect_not(has_hidden());
}

/* By a second name, of which the first is then removed. */
Test(backup_named, where_nothing_can_be_renamed_to_a_free_name)
{
    is_simple = 1;
    for (is_lost = 0; is_lost < 2; is_lost++) {
        const char *name = is_lost ? "lost.db" : "simple.db";

        cr_assert_eq(backup(name), LIDO_OK, "%s", err.text);
        expect_whole(name);
        cr_expect_not(has_hidden());
    }
}

/* The file is there, and nothing that failed before: it is tried once more. */
Test(backup_named, also_if_the_first_name_stays)
{
    struct stat status;

    is_simple = 1;
    n_kept = 1;
    cr_assert_eq(backup("copy.db"), LIDO_OK, "%s", err.text);
    cr_expect_eq(n_kept, 0);
    cr_expect_not(has_hidden());
    cr_assert_eq(stat("copy.db", &status), 0);
    cr_expect_eq(status.st_nlink, 1);
    expect_whole("copy.db");
}

Test(backup_named, told_where_its_folder_cannot_be_opened_to_be_synced)
{
    has_files = 0;
    cr_expect_eq(backup("copy.db"), SQLITE_IOERR_DIR_FSYNC);
    cr_expect_eq(err.sys_errno, EMFILE);
    has_files = 1;
    expect_whole("copy.db");
    cr_expect_not(has_hidden());
}

/* It goes on to the next number, as far as there are any. */
Test(backup_named, by_a_stamp_of_which_others_are_always_earlier)
{
    options.stamp = 1;
    is_late = 1;
    cr_expect_eq(backup("s.db"), SQLITE_CANTOPEN);
    cr_expect_not_null(strstr(err.text, "999 backups of this minute"), "%s", err.text);
    cr_expect_not(has_hidden());
}

/* The minute of UTC, in which no hour comes twice. */
Test(backup_named, by_a_stamp_of_utc_wherever_that_is)
{
    char before[32], after[32];
    struct tm parts;
    time_t now;

    options.stamp = 1;
    cr_assert_eq(setenv("TZ", "XXX-09:30", 1), 0);
    tzset();
    now = time(NULL);
    strftime(before, sizeof before, "/s.db.%Y%m%d-%H%M", gmtime_r(&now, &parts));
    cr_assert_eq(backup("s.db"), LIDO_OK, "%s", err.text);
    now = time(NULL);
    strftime(after, sizeof after, "/s.db.%Y%m%d-%H%M", gmtime_r(&now, &parts));
    cr_expect(strstr(result.path, before) != NULL || strstr(result.path, after) != NULL,
              "%s, and it was %s", result.path, after);
}
