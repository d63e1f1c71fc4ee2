/* SPDX-License-Identifier: MIT */
/*
 * Sidecars: the files that stand for databases where these cannot be locked themselves.
 *
 * One has the owner and the mode of its database, so that whoever may write that may lock this.
 * Nothing is ever written to it, and nobody removes it: who opened it before and who came after
 * would lock two files.
 *
 * Closing any descriptor of a file frees all POSIX locks that the process has on it.  So a
 * sidecar is opened once in a process and kept in a list, where it is found by device and inode
 * without being opened; and it is opened and closed under the lock of the list.  For the same
 * reason nothing is opened that could be a database: only an empty file of one name.
 *
 * Threads: any; sidecars_lock guards the list and the counts.
 */
#include "txn/sidecar.h"
#include "base/alloc.h"
#include "base/local.h"
#include "base/sync.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct lido__mutex sidecars_lock = LIDO_MUTEX_INIT(LIDO_RANK_FILES);
static struct lido__sidecar *sidecars; /* guarded by sidecars_lock */

static int fail(struct lido_error *err, const char *what, const char *name, int why)
{
    char text[80];

    lido_fail(err, SQLITE_CANTOPEN, "gate=process: cannot %s %.140s: %s", what, name,
              strerror_r(why, text, sizeof text));
    if (err != NULL)
        err->sys_errno = why;
    return SQLITE_CANTOPEN;
}

/* Before anything is opened: a close would cost the locks of whoever has it open here. */
static int check_kind(const char *name, const struct stat *status, struct lido_error *err)
{
    if (S_ISREG(status->st_mode) && status->st_nlink == 1 && status->st_size == 0)
        return LIDO_OK;
    return lido_fail(err, SQLITE_CANTOPEN,
                     "gate=process: %.140s is not the empty file, of one name, that is "
                     "locked there",
                     name);
}

/* errno, or 0: a lock can be had, and is given back, or another has it. */
static int try_lock(int fd)
{
    struct flock lock = {
        .l_type = F_WRLCK,
        .l_whence = SEEK_SET,
        .l_start = LIDO__SIDECAR_PROBED,
        .l_len = 1,
    };

    if (fcntl(fd, F_SETLK, &lock) != 0)
        return errno == EAGAIN || errno == EACCES ? 0 : errno;
    lock.l_type = F_UNLCK;
    return fcntl(fd, F_SETLK, &lock) != 0 ? errno : 0;
}

static int check_locks(const char *name, int fd, struct lido_error *err)
{
    const char *elsewhere = lido__file_elsewhere(fd);
    int why;

    if (elsewhere != NULL)
        return lido_fail(err, SQLITE_CANTOPEN,
                         "gate=process: %.140s is not on a file system of this machine%s%s",
                         name, elsewhere[0] != '\0' ? ", but on " : "", elsewhere);
    why = try_lock(fd);
    return why == 0 ? LIDO_OK : fail(err, "lock", name, why);
}

/* Who else may write the database may lock this.  What may not be changed stays as it is. */
static void look_like(int fd, const struct stat *database)
{
    const uid_t owner = geteuid() == 0 ? database->st_uid : (uid_t)-1;
    int is_owned = fchown(fd, owner, database->st_gid), has_mode;

    has_mode = fchmod(fd, database->st_mode & 0777);
    (void)is_owned;
    (void)has_mode;
}

/* What the program prints must not come into it where its standard files are closed. */
static int above_standard(int fd)
{
    int high;

    if (fd < 0 || fd > STDERR_FILENO)
        return fd;
    high = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    close(fd);
    return high;
}

/* A descriptor, or -1 and errno. */
static int open_or_make(const char *name, bool exists, const struct stat *database)
{
    const int flags = O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY;
    int fd;

    if (exists)
        return above_standard(open(name, flags));
    fd = above_standard(open(name, flags | O_CREAT | O_EXCL, database->st_mode & 0777));
    if (fd >= 0)
        look_like(fd, database);
    return fd;
}

static struct lido__sidecar *use_locked(const struct stat *status)
    LIDO_TSA(requires_capability(sidecars_lock))
{
    struct lido__sidecar *sidecar = sidecars;

    while (sidecar != NULL && (sidecar->device != (uint64_t)status->st_dev ||
                               sidecar->inode != (uint64_t)status->st_ino))
        sidecar = sidecar->next;
    if (sidecar != NULL)
        sidecar->users++;
    return sidecar;
}

/* The sidecar of that name: one that is open here, or *made, which is then NULL. */
static int find_locked(const char *name, const struct stat *database,
                       struct lido__sidecar **made, struct lido__sidecar **out,
                       struct lido_error *err) LIDO_TSA(requires_capability(sidecars_lock))
{
    struct stat status;
    bool exists;
    int fd, rc;

    do { /* until it neither came nor went in between */
        exists = lstat(name, &status) == 0;
        if (!exists && errno != ENOENT)
            return fail(err, "open", name, errno);
        rc = exists ? check_kind(name, &status, err) : LIDO_OK;
        if (rc != LIDO_OK)
            return rc;
        *out = exists ? use_locked(&status) : NULL;
        if (*out != NULL)
            return LIDO_OK;
        fd = open_or_make(name, exists, database);
    } while (fd < 0 && errno == (exists ? ENOENT : EEXIST));
    if (fd < 0)
        return fail(err, "open", name, errno);
    rc = fstat(fd, &status) == 0 ? check_locks(name, fd, err)
                                 : fail(err, "open", name, errno);
    if (rc != LIDO_OK) {
        close(fd);
        return rc;
    }
    *out = *made;
    *made = NULL;
    **out = (struct lido__sidecar){ fd, (uint64_t)status.st_dev, (uint64_t)status.st_ino, 1,
                                    sidecars };
    sidecars = *out;
    return LIDO_OK;
}

/* Links to a database lead to the sidecar of the one they lead to. */
static int name_it(const char *database, char *name, size_t size, struct stat *status,
                   struct lido_error *err)
{
    char real[PATH_MAX];

    if (realpath(database, real) == NULL || stat(real, status) != 0)
        return fail(err, "open", database, errno);
    snprintf(name, size, "%s-gate", real);
    return LIDO_OK;
}

int lido__sidecar_open(const char *database, struct lido__sidecar **out,
                       struct lido_error *err)
{
    char name[PATH_MAX + sizeof "-gate"];
    struct lido__sidecar *made;
    struct stat status;
    int rc;

    *out = NULL;
    rc = name_it(database, name, sizeof name, &status, err);
    if (rc != LIDO_OK)
        return rc;
    made = lido__new(sizeof *made);
    if (made == NULL)
        return lido_fail(err, SQLITE_NOMEM, "out of memory for the file of a write gate");
    lido__mutex_lock(&sidecars_lock);
    rc = find_locked(name, &status, &made, out, err);
    lido__mutex_unlock(&sidecars_lock);
    lido__free(made);
    return rc;
}

void lido__sidecar_close(struct lido__sidecar *sidecar)
{
    struct lido__sidecar **link = &sidecars;
    bool is_last;

    lido__mutex_lock(&sidecars_lock);
    is_last = --sidecar->users == 0;
    if (is_last) {
        while (*link != sidecar)
            link = &(*link)->next;
        *link = sidecar->next;
        close(sidecar->fd); /* before anybody opens it anew, and locks */
    }
    lido__mutex_unlock(&sidecars_lock);
    if (is_last)
        lido__free(sidecar);
}
