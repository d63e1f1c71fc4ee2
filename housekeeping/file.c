/* SPDX-License-Identifier: MIT */
/*
 * What is at a path: names and stat(), nothing is opened.
 *
 * A close of any descriptor of a database drops all the locks that SQLite has on it in this
 * process, so even a look by open() and fstat() would harm.  stat() needs no descriptor.  The
 * files beside a database stand beside what a link leads to, for there SQLite makes them.
 *
 * Does not: say whether it is a database; that is lido_check().
 *
 * Threads: any.
 */
#include "housekeeping/work.h"
#include <lido/file.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

const char *lido_file_kind_name(int kind)
{
    switch (kind) {
    case LIDO_FILE_MISSING: return "missing";
    case LIDO_FILE_REGULAR: return "a file";
    case LIDO_FILE_FOLDER: return "a folder";
    case LIDO_FILE_UNREADABLE: return "unreadable";
    case LIDO_FILE_BROKEN_LINK: return "a broken link";
    case LIDO_FILE_SPECIAL: return "a special file";
    default: return "unknown";
    }
}

static int fail(int code, const char *path, struct lido_error *err)
{
    const int number = errno;
    const int rc = lido_fail(err, code, "%.150s: %s", path,
                             lido__reason(number, (char[LIDO__REASON_SIZE]){ 0 }));

    if (err != NULL)
        err->sys_errno = number;
    return rc;
}

/* stat() found nothing: what that means, or -1 if the system failed. */
static int kind_of_failure(int number, int is_link)
{
    switch (number) {
    case ENOENT:
    case ENOTDIR: return is_link ? LIDO_FILE_BROKEN_LINK : LIDO_FILE_MISSING;
    case ELOOP: return LIDO_FILE_BROKEN_LINK;
    case EACCES: return LIDO_FILE_UNREADABLE;
    default: return -1;
    }
}

/* By the effective user, who is the one that opens files. */
static int kind_of(const char *path, mode_t mode)
{
    if (S_ISDIR(mode))
        return LIDO_FILE_FOLDER;
    if (!S_ISREG(mode))
        return LIDO_FILE_SPECIAL;
    return faccessat(AT_FDCWD, path, R_OK, AT_EACCESS) == 0 ? LIDO_FILE_REGULAR
                                                            : LIDO_FILE_UNREADABLE;
}

static struct lido_beside look_beside(const char *path, const char *ending)
{
    char name[PATH_MAX + 16];
    struct lido_beside found = { 0, 0 };
    struct stat status;

    snprintf(name, sizeof name, "%s%s", path, ending);
    if (stat(name, &status) == 0) {
        found.is_there = 1;
        found.bytes = (int64_t)status.st_size;
    }
    return found;
}

static void tell(struct lido_file *out, const char *path, const struct stat *status)
{
    out->kind = kind_of(path, status->st_mode);
    out->is_own = status->st_uid == geteuid();
    out->bytes = (int64_t)status->st_size;
    out->owner = (uint32_t)status->st_uid;
    out->mode = (uint32_t)(status->st_mode & 07777);
    out->device = (uint64_t)status->st_dev;
    out->inode = (uint64_t)status->st_ino;
    out->changed_ns =
        (int64_t)status->st_mtim.tv_sec * 1000000000 + status->st_mtim.tv_nsec;
}

int lido_file_look(const char *path, struct lido_file *out, struct lido_error *err)
{
    char target[PATH_MAX];
    struct stat status;
    int kind;

    if (out == NULL || out->size != sizeof *out)
        return lido__bad_size("lido_file", err);
    *out = (struct lido_file)LIDO_FILE_INIT;
    if (path == NULL || path[0] == '\0')
        return lido_fail(err, SQLITE_MISUSE, "there is no path to look at");
    if (lstat(path, &status) == 0) {
        out->is_link = S_ISLNK(status.st_mode);
        if (!out->is_link || stat(path, &status) == 0) {
            tell(out, path, &status);
            if (S_ISREG(status.st_mode) && realpath(path, target) != NULL) {
                out->wal = look_beside(target, "-wal");
                out->shm = look_beside(target, "-shm");
                out->journal = look_beside(target, "-journal");
            }
            return LIDO_OK;
        }
    }
    kind = kind_of_failure(errno, out->is_link);
    if (kind < 0) {
        *out = (struct lido_file)LIDO_FILE_INIT;
        return fail(errno == ENAMETOOLONG ? SQLITE_TOOBIG : SQLITE_IOERR, path, err);
    }
    out->kind = kind;
    return LIDO_OK;
}
