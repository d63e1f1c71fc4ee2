/* SPDX-License-Identifier: MIT */
/*
 * A file that appears at its name all at once.
 *
 * What is written has a name of its own until it is complete and synced.  The rename is told
 * not to replace anything, so that a file that came meanwhile is not lost.  Only the
 * temporary file is opened here, and only when SQLite has closed it: a close of a file that
 * SQLite has open would drop its locks.
 *
 * The folder is resolved once, to an absolute name: a change of the working directory in the
 * middle changes nothing, and SQLite never takes the name for a URI.
 *
 * Threads: one for each target.
 */
#include "housekeeping/target.h"
#include "housekeeping/work.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define SAME_MINUTE_MOST 999

static const char *const beside[] = { "-journal", "-wal", "-shm" };

static int fail_os(struct lido_error *err, int code, const char *what, const char *path)
{
    const int number = errno;
    const int rc = lido_fail(err, number == ENOSPC || number == EDQUOT ? SQLITE_FULL : code,
                             "cannot %s %.150s: %s", what, path,
                             lido__reason(number, (char[LIDO__REASON_SIZE]){ 0 }));

    if (err != NULL)
        err->sys_errno = number;
    return rc;
}

/* "folder" "/" "name" "end", or false: too long. */
static bool join(char out[PATH_MAX], const struct lido__target *target, const char *end)
{
    const bool is_root = strcmp(target->folder, "/") == 0;

    return snprintf(out, PATH_MAX, "%s/%s%s", is_root ? "" : target->folder, target->name,
                    end) < PATH_MAX;
}

static bool has_beside(const char *path)
{
    char other[PATH_MAX + 16];
    struct stat status;

    for (size_t i = 0; i < sizeof beside / sizeof beside[0]; i++) {
        snprintf(other, sizeof other, "%s%s", path, beside[i]);
        if (lstat(other, &status) == 0)
            return true;
    }
    return false;
}

/* SQLite would take the file for a part of the database of the name without that end: it
   deletes a journal that is none, and a log that is replaced has commits. */
static bool is_named_beside(const char *path)
{
    const size_t length = strlen(path);

    for (size_t i = 0; i < sizeof beside / sizeof beside[0]; i++) {
        const size_t end = strlen(beside[i]);

        if (length >= end && strcmp(path + length - end, beside[i]) == 0)
            return true;
    }
    return false;
}

static int fail_taken(struct lido_error *err, const char *path)
{
    const int rc =
        lido_fail(err, SQLITE_CANTOPEN,
                  "%.150s exists already: choose another name, or say replace", path);

    if (err != NULL)
        err->sys_errno = EEXIST;
    return rc;
}

/* May something be put there?  Asked before the work, and again after it. */
static int expect_free(const struct lido__target *target, const char *path,
                       struct lido_error *err)
{
    struct stat status;

    if (is_named_beside(path))
        return lido_fail(err, SQLITE_CANTOPEN,
                         "%.150s is the name of a journal or a log of SQLite's: choose "
                         "another name",
                         path);
    if (lstat(path, &status) == 0) {
        if (target->has_source && status.st_dev == target->source.st_dev &&
            status.st_ino == target->source.st_ino)
            return lido_fail(err, SQLITE_MISUSE,
                             "%.150s is the database itself: choose another name", path);
        if (!S_ISREG(status.st_mode))
            return lido_fail(err, SQLITE_CANTOPEN,
                             "%.150s is a %s: choose another name, or remove it", path,
                             S_ISLNK(status.st_mode)   ? "link"
                             : S_ISDIR(status.st_mode) ? "folder"
                                                       : "special file");
        if (!target->may_replace)
            return fail_taken(err, path);
    } else if (errno != ENOENT) {
        return fail_os(err, SQLITE_CANTOPEN, "look at", path);
    }
    if (has_beside(path))
        return lido_fail(err, SQLITE_CANTOPEN,
                         "beside %.150s is a -journal, -wal or -shm, of a database that "
                         "is in use or was: choose another name, or remove it",
                         path);
    return LIDO_OK;
}

static int split(struct lido__target *target, const char *path, struct lido_error *err)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash != NULL ? slash + 1 : path;
    char folder[PATH_MAX];

    if (name[0] == '\0' || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return lido_fail(err, SQLITE_MISUSE, "the target \"%.150s\" names no file", path);
    if (strlen(name) >= sizeof target->name || strlen(path) >= sizeof folder)
        return lido_fail(err, SQLITE_CANTOPEN, "the name of the target is too long");
    memcpy(target->name, name, strlen(name) + 1);
    if (slash == NULL)
        memcpy(folder, ".", 2);
    else
        snprintf(folder, sizeof folder, "%.*s", (int)(slash == path ? 1 : slash - path),
                 path);
    if (realpath(folder, target->folder) == NULL)
        return fail_os(err, SQLITE_CANTOPEN, "find the folder", folder);
    return LIDO_OK;
}

static int make(struct lido__target *target, struct lido_error *err)
{
    const bool is_root = strcmp(target->folder, "/") == 0;
    int file, length;

    /* Room for the ending, also where the name is as long as a name may be. */
    length = snprintf(target->temporary, PATH_MAX - 16, "%s/.%.200s.XXXXXX",
                      is_root ? "" : target->folder, target->name);
    if (length >= PATH_MAX - 16) {
        target->temporary[0] = '\0';
        return lido_fail(err, SQLITE_CANTOPEN, "the name of the target is too long");
    }
    file = mkostemp(target->temporary, O_CLOEXEC); /* O_EXCL, mode 0600 */
    if (file < 0) {
        target->temporary[0] = '\0';
        return fail_os(err, SQLITE_CANTOPEN, "make a file in", target->folder);
    }
    fchmod(file, 0600); /* an umask may have taken it from the owner too */
    close(file);        /* SQLite has not seen it yet */
    return LIDO_OK;
}

int lido__target_open(struct lido__target *target, const char *path,
                      const struct stat *source, const char *source_path, bool may_replace,
                      bool is_stamped, struct lido_error *err)
{
    int rc;

    *target = (struct lido__target){ .may_replace = may_replace };
    target->has_source = source != NULL;
    if (source != NULL) {
        target->source = *source;
        lido__target_know_access(target, source_path);
    }
    rc = split(target, path, err);
    if (rc != LIDO_OK)
        return rc;
    if (is_stamped) {
        const time_t now = time(NULL);
        struct tm parts;

        gmtime_r(&now, &parts);
        strftime(target->stamp, sizeof target->stamp, ".%Y%m%d-%H%M", &parts);
    } else {
        if (!join(target->path, target, ""))
            return lido_fail(err, SQLITE_CANTOPEN, "the name of the target is too long");
        rc = expect_free(target, target->path, err);
    }
    return rc == LIDO_OK ? make(target, err) : rc;
}

static int finish_file(const struct lido__target *target, struct lido_error *err)
{
    const int file = open(target->temporary, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    int rc = LIDO_OK;

    if (file < 0)
        return fail_os(err, SQLITE_CANTOPEN, "open", target->temporary);
    if (target->has_source && lido__target_give_access(target, file) != 0)
        rc = fail_os(err, SQLITE_IOERR, "set the mode of", target->temporary);
    if (rc == LIDO_OK && fsync(file) != 0)
        rc = fail_os(err, SQLITE_IOERR_FSYNC, "sync", target->temporary);
    close(file);
    return rc;
}

static bool is_same_file(const char *one, const char *other)
{
    struct stat a, b;

    return lstat(one, &a) == 0 && lstat(other, &b) == 0 && a.st_dev == b.st_dev &&
           a.st_ino == b.st_ino;
}

/* rename(), but nothing is replaced.  *is_left: the file has its name, and the old one too.  By
   a second name a server that is asked again, as its answer was lost, says that there is one:
   it may be this. */
static int rename_to_free(const char *from, const char *to, bool *is_left)
{
    int number;

    *is_left = false;
#ifdef RENAME_NOREPLACE
    if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0)
        return 0;
    if (errno != EINVAL && errno != ENOSYS)
        return -1;
#endif
    if (link(from, to) != 0) {
        number = errno;
        if (number != EEXIST || !is_same_file(from, to)) {
            errno = number;
            return -1;
        }
    }
    *is_left = unlink(from) != 0;
    return 0;
}

static int name_it(struct lido__target *target, struct lido_error *err)
{
    bool is_left = false;
    const int done = target->may_replace
                         ? rename(target->temporary, target->path)
                         : rename_to_free(target->temporary, target->path, &is_left);

    if (done != 0)
        return errno == EEXIST
                   ? fail_taken(err, target->path)
                   : fail_os(err, SQLITE_CANTOPEN, "give the copy its name", target->path);
    if (!is_left) /* else it is discarded, which tries again to remove that name */
        target->temporary[0] = '\0';
    return LIDO_OK;
}

/* The next of the minute's names, not one that came free: the order of names is that of age. */
static int name_stamped(struct lido__target *target, struct lido_error *err)
{
    const int last = lido__target_last_number(target);
    char end[LIDO__STAMP_MOST + 16];

    for (int number = last < SAME_MINUTE_MOST ? last + 1 : 1; number <= SAME_MINUTE_MOST;
         number++) {
        struct lido_error why;
        struct stat status;
        int rc;

        if (number == 1)
            snprintf(end, sizeof end, "%s", target->stamp);
        else
            snprintf(end, sizeof end, "%s-%d", target->stamp, number);
        if (strlen(target->name) + strlen(end) > NAME_MAX ||
            !join(target->path, target, end))
            return lido_fail(err, SQLITE_CANTOPEN, "the name of the target is too long");
        if (lstat(target->path, &status) == 0 || has_beside(target->path))
            continue;
        rc = name_it(target, &why);
        if (rc == LIDO_OK)
            return rc;
        if (why.sys_errno != EEXIST) {
            if (err != NULL)
                *err = why;
            return rc;
        }
    }
    return lido_fail(err, SQLITE_CANTOPEN, "there are %d backups of this minute in %.150s",
                     SAME_MINUTE_MOST, target->folder);
}

static int sync_folder(const struct lido__target *target, struct lido_error *err)
{
    const int folder = open(target->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = LIDO_OK;

    /* A folder that may be written and not read. */
    if (folder < 0 && errno == EACCES)
        return LIDO_OK;
    /* The one failure after which the file is there: its code is not that of another.  There
       are file systems that have no such sync. */
    if (folder < 0 || (fsync(folder) != 0 && errno != EINVAL && errno != ENOTSUP)) {
        fail_os(err, SQLITE_IOERR_DIR_FSYNC, "sync the folder", target->folder);
        rc = SQLITE_IOERR_DIR_FSYNC;
        if (err != NULL)
            err->code = rc;
    }
    if (folder >= 0)
        close(folder);
    return rc;
}

int lido__target_settle(struct lido__target *target, struct lido_error *err)
{
    int rc = finish_file(target, err);

    if (rc == LIDO_OK && target->stamp[0] == '\0') {
        rc = expect_free(target, target->path, err);
        if (rc == LIDO_OK)
            rc = name_it(target, err);
    } else if (rc == LIDO_OK) {
        rc = name_stamped(target, err);
    }
    return rc == LIDO_OK ? sync_folder(target, err) : rc;
}

void lido__target_discard(struct lido__target *target)
{
    char other[PATH_MAX + 16];

    if (target->temporary[0] == '\0')
        return;
    unlink(target->temporary);
    for (size_t i = 0; i < sizeof beside / sizeof beside[0]; i++) {
        snprintf(other, sizeof other, "%s%s", target->temporary, beside[i]);
        unlink(other);
    }
    target->temporary[0] = '\0';
}
