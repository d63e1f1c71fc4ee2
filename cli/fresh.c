/* SPDX-License-Identifier: MIT */
/*
 * A database that is made: SQLite writes it under another name in the same folder, and it gets
 * its own when it is whole.  So a process that is killed leaves no empty file at that name,
 * which the next one would take for a database that is there.
 *
 * The file has what the umask leaves, as one that SQLite makes.
 *
 * Threads: one, as umask() is the process's.
 */
#include "cli/fresh.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const endings[] = { "-journal", "-wal", "-shm" };
enum { ENDINGS = sizeof endings / sizeof endings[0] };

static int fail(struct lido_error *err, const char *doing, const char *path)
{
    return lido_fail(err, SQLITE_CANTOPEN, "cannot %s %.150s: %s", doing, path,
                     strerror(errno));
}

/* Which of SQLite's files lies beside it; NULL: none. */
static const char *beside(const char *path)
{
    char name[STREAM_PATH + 16];
    struct stat there;

    for (int i = 0; i < ENDINGS; i++) {
        snprintf(name, sizeof name, "%s%s", path, endings[i]);
        if (lstat(name, &there) == 0)
            return endings[i];
    }
    return NULL;
}

static int expect_alone(const char *path, const char *named, struct lido_error *err)
{
    const char *ending = beside(path);

    return ending == NULL ? LIDO_OK
                          : lido_fail(err, SQLITE_CANTOPEN,
                                      "%.150s%s is there, of another database: remove it, "
                                      "or choose another name",
                                      named, ending);
}

int fresh_make(struct fresh *fresh, const char *path, struct lido_error *err)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash != NULL ? slash + 1 : path;
    int rc = expect_alone(path, path, err), file;
    mode_t mask;

    *fresh = (struct fresh){ .path = path };
    if (rc != LIDO_OK)
        return rc;
    if (snprintf(fresh->temporary, STREAM_PATH, "%.*s.%.200s.XXXXXX", (int)(name - path),
                 path, name) >= STREAM_PATH) {
        fresh->temporary[0] = '\0';
        return lido_fail(err, SQLITE_CANTOPEN, "the path is too long");
    }
    file = mkostemp(fresh->temporary, O_CLOEXEC);
    if (file < 0) {
        fresh->temporary[0] = '\0';
        return fail(err, "make a file beside", path);
    }
    mask = umask(0);
    umask(mask);
    if (fchmod(file, 0644 & ~mask) != 0)
        rc = fail(err, "set the mode of", fresh->temporary);
    close(file); /* SQLite has not seen it yet */
    return rc;
}

/* A name is safe once its folder is; the file is, since the commit. */
static void sync_folder(const char *path)
{
    const char *slash = strrchr(path, '/');
    char folder[STREAM_PATH];
    int file;

    snprintf(folder, sizeof folder, "%.*s", slash == NULL ? 1 : (int)(slash - path) + 1,
             slash == NULL ? "." : path);
    file = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (file >= 0) {
        fsync(file); /* that it may be refused changes nothing */
        close(file);
    }
}

int fresh_keep(struct fresh *fresh, struct lido_error *err)
{
    int rc = expect_alone(fresh->temporary, fresh->temporary, err);

    if (rc == LIDO_OK)
        rc = expect_alone(fresh->path, fresh->path, err);
    if (rc != LIDO_OK)
        return rc;
    if (stream_rename_to_free(fresh->temporary, fresh->path) != 0)
        return errno == EEXIST ? lido_fail(err, SQLITE_CANTOPEN,
                                           "%.150s is there now: somebody else has made it",
                                           fresh->path)
                               : fail(err, "give the database its name,", fresh->path);
    fresh->temporary[0] = '\0';
    sync_folder(fresh->path);
    return LIDO_OK;
}

void fresh_end(struct fresh *fresh)
{
    char name[STREAM_PATH + 16];

    if (fresh->temporary[0] == '\0')
        return;
    for (int i = 0; i < ENDINGS; i++) {
        snprintf(name, sizeof name, "%s%s", fresh->temporary, endings[i]);
        unlink(name);
    }
    unlink(fresh->temporary);
    fresh->temporary[0] = '\0';
}
