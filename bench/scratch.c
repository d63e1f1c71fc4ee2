/* SPDX-License-Identifier: MIT */
/*
 * A folder of one run's own, under $TMPDIR or another.
 *
 * Its path is made absolute, so that it means the same to every library measured, and
 * percent-encoded where it stands in a URL, so that any name of a folder will do.
 *
 * Threads: one at a time.
 */
#include "scratch.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int fail_errno(struct lido_error *err, const char *what)
{
    int error = errno;
    int rc = lido_fail(err, SQLITE_CANTOPEN, "could not make a folder under %s: %s", what,
                       strerror(error));

    if (err != NULL)
        err->sys_errno = error;
    return rc;
}

int scratch_open_in(struct scratch *out, const char *parent, struct lido_error *err)
{
    char absolute[PATH_MAX];
    int length;

    out->path[0] = '\0';
    if (parent == NULL)
        parent = getenv("TMPDIR");
    if (parent == NULL || parent[0] == '\0')
        parent = "/tmp";
    if (realpath(parent, absolute) == NULL)
        return fail_errno(err, parent);
    length = snprintf(out->path, sizeof out->path, "%s/lido-bench-XXXXXX", absolute);
    if (length < 0 || (size_t)length >= sizeof out->path) {
        out->path[0] = '\0';
        errno = ENAMETOOLONG;
        return fail_errno(err, parent);
    }
    if (mkdtemp(out->path) == NULL) {
        out->path[0] = '\0';
        return fail_errno(err, parent);
    }
    return LIDO_OK;
}

int scratch_open(struct scratch *out, struct lido_error *err)
{
    return scratch_open_in(out, NULL, err);
}

int scratch_url(const struct scratch *scratch, const char *name, char out[3 * SCRATCH_PATH],
                struct lido_error *err)
{
    char path[SCRATCH_PATH];
    int length = snprintf(path, sizeof path, "%s/%s", scratch->path, name);
    char *end = out;

    if (length < 0 || (size_t)length >= sizeof path)
        return lido_fail(err, SQLITE_CANTOPEN, "the path of %s was too long", name);
    for (const char *c = path; *c != '\0'; c++) {
        unsigned char byte = (unsigned char)*c;
        int is_plain = (byte >= '0' && byte <= '9') || (byte >= 'A' && byte <= 'Z') ||
                       (byte >= 'a' && byte <= 'z') || strchr("/-._~", byte) != NULL;

        if (is_plain)
            *end++ = *c;
        else
            end += sprintf(end, "%%%02X", byte);
    }
    *end = '\0';
    return LIDO_OK;
}

void scratch_close(struct scratch *scratch)
{
    DIR *folder = scratch->path[0] == '\0' ? NULL : opendir(scratch->path);
    struct dirent *entry;

    if (folder == NULL)
        return;
    while ((entry = readdir(folder)) != NULL)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            unlinkat(dirfd(folder), entry->d_name, 0);
    closedir(folder);
    rmdir(scratch->path);
    scratch->path[0] = '\0';
}
