/* SPDX-License-Identifier: MIT */
/*
 * Opening: whatever stands in the path is a name, and what is missing is not made.
 *
 * Threads: one.
 */
#include "cli/open.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int open_pool(struct call *call, const char *path, lido_pool **pool)
{
    struct lido_pool_options options = LIDO_POOL_OPTIONS_INIT;
    struct lido_url parts = LIDO_URL_INIT;
    char url[LIDO_URL_LONGEST + 1], whole[4096];
    struct stat status;
    const bool is_other = strcmp(path, ":memory:") == 0 || strncmp(path, "file:", 5) == 0;
    int rc;

    *pool = NULL;
    if (path[0] == '\0')
        return lido_fail(&call->err, SQLITE_MISUSE, "the path of the database is empty");
    if (stat(path, &status) == 0) {
        if (!S_ISREG(status.st_mode)) /* a device may be read like an empty database */
            return lido_fail(&call->err, SQLITE_CANTOPEN, "%.150s is %s, and no database",
                             path, S_ISDIR(status.st_mode) ? "a folder" : "a special file");
    } else {
        return lido_fail(&call->err, errno == ENOENT ? LIDO_NOT_FOUND : SQLITE_CANTOPEN,
                         "%.150s: %s", path, strerror(errno));
    }
    /* "./" keeps these from being more than names; errors show it, so others are without. */
    if (snprintf(whole, sizeof whole, "%s%s", is_other ? "./" : "", path) >=
        (int)sizeof whole)
        return lido_fail(&call->err, SQLITE_CANTOPEN, "the path is too long");
    parts.database = whole;
    options.timeout_ms = call->timeout_ms;
    rc = lido_url_format(url, sizeof url, &parts, &call->err);
    return rc == LIDO_OK ? lido_pool_open(pool, url, &options, &call->err) : rc;
}

/* What the header says, and who has locks; false: it cannot be told. */
static bool look(const char *path, struct lido_check *check)
{
    struct lido_check_options options = LIDO_CHECK_OPTIONS_INIT;

    options.depth = LIDO_DEPTH_HEADER;
    options.lock_timeout_ms = 0;
    return lido_check(lido_at_path(path), &options, check, NULL) == LIDO_OK;
}

static const char *name_of(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash == NULL || slash[1] == '\0' ? path : slash + 1;
}

/* May files be made beside the file itself, also if the path is a link? */
static bool may_write_beside(const char *path)
{
    char folder[PATH_MAX], *end;

    if (realpath(path, folder) == NULL)
        return true; /* nothing is known */
    end = strrchr(folder, '/');
    end[end == folder] = '\0';
    return access(folder, W_OK) == 0;
}

int open_advise_log(struct call *call, const char *path, int rc)
{
    struct lido_file file = LIDO_FILE_INIT;
    struct lido_check check = LIDO_CHECK_INIT;
    char advice[200];

    if ((rc & 0xff) != SQLITE_READONLY && (rc & 0xff) != SQLITE_CANTOPEN)
        return rc;
    /* In SQLite's words it is no refusal of lido's, which says why. */
    if (strstr(call->err.text, sqlite3_errstr(rc & 0xff)) == NULL ||
        lido_file_look(path, &file, NULL) != LIDO_OK || file.kind != LIDO_FILE_REGULAR ||
        file.shm.is_there || may_write_beside(path) || !look(path, &check) || !check.is_wal)
        return rc;
    snprintf(
        advice, sizeof advice,
        "%.40s is in WAL mode, and in its folder this user cannot make the log: read a "
        "copy of it%s, or let somebody who can keep it open",
        name_of(path), file.wal.bytes > 0 ? " and its -wal" : "");
    command_advise(call, advice);
    return rc;
}

static bool is_at_fault(const char *path, int rc)
{
    struct lido_check check = LIDO_CHECK_INIT;

    if (!look(path, &check))
        return false;
    if ((rc & 0xff) == SQLITE_BUSY)
        return check.is_in_use != 0;
    return check.verdict == LIDO_CHECK_NOT_SQLITE || check.verdict == LIDO_CHECK_ENCRYPTED;
}

int open_advise_which(struct call *call, const char *one, const char *other, int rc)
{
    char advice[200];
    const char *name;
    bool is_one;

    if ((rc & 0xff) != SQLITE_NOTADB && (rc & 0xff) != SQLITE_BUSY)
        return rc;
    is_one = is_at_fault(one, rc);
    if (is_one == is_at_fault(other, rc))
        return rc;
    name = name_of(is_one ? one : other);
    snprintf(advice, sizeof advice, "%s %.100s",
             (rc & 0xff) == SQLITE_BUSY ? "others use" : "that is", name);
    if (strstr(call->err.text, name) == NULL)
        command_advise(call, advice);
    return rc;
}

bool open_is_same(const char *one, const char *other)
{
    struct stat left, right;

    return stat(one, &left) == 0 && stat(other, &right) == 0 &&
           left.st_dev == right.st_dev && left.st_ino == right.st_ino;
}

int open_database(struct call *call, lido_pool **pool, struct lido_conn *conn)
{
    struct lido_checkout_options checkout = LIDO_CHECKOUT_OPTIONS_INIT;
    int rc = open_pool(call, call->operands[0], pool);

    if (rc != LIDO_OK)
        return rc;
    checkout.cancel = call->job.cancel;
    rc = lido_pool_checkout(*pool, conn, &checkout, &call->err);
    if (rc != LIDO_OK)
        lido_pool_free(*pool);
    return rc;
}

int open_end(lido_pool *pool, struct lido_conn *conn, int rc)
{
    lido_conn_checkin(conn, NULL, NULL);
    lido_pool_free(pool);
    return rc;
}
