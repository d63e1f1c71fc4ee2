/* SPDX-License-Identifier: MIT */
/*
 * Which database a job is for.
 *
 * A path becomes a URL, so that whatever stands in it is a name and no key: a job on a path
 * goes through a pool like any other, and meets other pools of the process at the write gate.
 *
 * Threads: any.
 */
#include "housekeeping/work.h"

#include <errno.h>
#include <lido/url.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

const char *lido__database_name(struct lido_database at)
{
    if (at.path != NULL)
        return at.path;
    return at.url != NULL ? at.url : "the pool's database";
}

/* Any byte of a name stands for itself. */
char *lido__database_uri(const char *path, bool is_immutable)
{
    sqlite3_str *uri = sqlite3_str_new(NULL);

    sqlite3_str_appendall(uri, "file:");
    for (; *path != '\0'; path++) {
        if (strchr("%?#", *path) != NULL)
            sqlite3_str_appendf(uri, "%%%02X", (unsigned char)*path);
        else
            sqlite3_str_appendchar(uri, 1, *path);
    }
    sqlite3_str_appendall(uri, is_immutable ? "?mode=ro&immutable=1" : "?mode=ro");
    return sqlite3_str_finish(uri);
}

int lido__database_check(struct lido_database at, struct lido_error *err)
{
    if ((at.path != NULL) + (at.url != NULL) + (at.pool != NULL) != 1)
        return lido_fail(err, SQLITE_MISUSE,
                         "a database is a path, a URL or a pool: one of them, not %d",
                         (at.path != NULL) + (at.url != NULL) + (at.pool != NULL));
    if (at.path != NULL && at.path[0] == '\0')
        return lido_fail(err, SQLITE_MISUSE, "the path of the database is empty");
    return LIDO_OK;
}

/* Where it is absent a pool would make one, without a word.  To open a pipe that may only be
   read waits for one who writes it, and nothing ends that. */
static int expect_file(const char *path, bool may_create, struct lido_error *err)
{
    struct stat status;
    int rc, number;

    if (stat(path, &status) == 0)
        return S_ISREG(status.st_mode)
                   ? LIDO_OK
                   : lido_fail(err, SQLITE_CANTOPEN, "%.150s is a %s, and no database",
                               path, S_ISDIR(status.st_mode) ? "folder" : "special file");
    if (may_create)
        return LIDO_OK;
    number = errno;
    rc = lido_fail(
        err, number == ENOENT || number == ENOTDIR ? LIDO_NOT_FOUND : SQLITE_CANTOPEN,
        "%.150s: %s", path, lido__reason(number, (char[LIDO__REASON_SIZE]){ 0 }));
    if (err != NULL)
        err->sys_errno = number;
    return rc;
}

static int open_path(const char *path, const struct lido_pool_options *options,
                     lido_pool **pool, struct lido_error *err)
{
    struct lido_url parts = LIDO_URL_INIT;
    char url[LIDO_URL_LONGEST + 1], whole[4096];
    int rc;

    /* A URL takes these two for something else. */
    if (strcmp(path, ":memory:") == 0 || strncmp(path, "file:", 5) == 0) {
        if ((size_t)snprintf(whole, sizeof whole, "./%s", path) >= sizeof whole)
            return lido_fail(err, SQLITE_CANTOPEN, "the path of the database is too long");
        path = whole;
    }
    parts.database = path;
    rc = lido_url_format(url, sizeof url, &parts, err);
    return rc == LIDO_OK ? lido_pool_open(pool, url, options, err) : rc;
}

static const char *value_of(const struct lido_url *url, const char *key)
{
    for (size_t i = 0; i < url->n_params; i++)
        if (strcmp(url->params[i].key, key) == 0)
            return url->params[i].value;
    return NULL;
}

/* The same, but what is absent is not made: SQLite itself is told so. */
static int open_existing(const struct lido_url *url,
                         const struct lido_pool_options *options, lido_pool **pool,
                         struct lido_error *err)
{
    char text[LIDO_URL_LONGEST + 1];
    struct lido_url parts = *url;
    struct lido_param *params = sqlite3_malloc64((url->n_params + 1) * sizeof *params);
    int rc;

    if (params == NULL)
        return lido_fail(err, SQLITE_NOMEM, "out of memory");
    if (url->n_params > 0)
        memcpy(params, url->params, url->n_params * sizeof *params);
    params[parts.n_params++] = (struct lido_param){ "mode", "rw" };
    parts.params = params;
    rc = lido_url_format(text, sizeof text, &parts, err);
    sqlite3_free(params);
    return rc == LIDO_OK ? lido_pool_open(pool, text, options, err) : rc;
}

/* Only the built-in driver's name is a file's, and with a VFS or a URI only SQLite knows
   which. */
static int open_url(const char *text, bool may_create,
                    const struct lido_pool_options *options, lido_pool **pool,
                    struct lido_error *err)
{
    struct lido_url *url;
    bool is_hidden;
    int rc = lido_url_parse(&url, text, err);

    if (rc != LIDO_OK)
        return rc;
    is_hidden = strncmp(url->database, "file:", 5) == 0 || value_of(url, "vfs") != NULL;
    if (strcmp(url->driver, "sqlite") != 0 || url->database[0] == '\0' ||
        strcmp(url->database, ":memory:") == 0 ||
        (value_of(url, "mode") != NULL &&
         (is_hidden || strcmp(value_of(url, "mode"), "memory") == 0))) {
        rc = lido_pool_open(pool, text, options, err);
    } else if (is_hidden) {
        rc = may_create ? lido_pool_open(pool, text, options, err)
                        : open_existing(url, options, pool, err);
    } else {
        rc = expect_file(url->database, may_create, err);
        if (rc == LIDO_OK)
            rc = lido_pool_open(pool, text, options, err);
    }
    lido_url_free(url);
    return rc;
}

int lido__database_pool(struct lido_database at, bool may_create, int64_t timeout_ms,
                        lido_pool **pool, bool *is_own, struct lido_error *err)
{
    struct lido_pool_options options = LIDO_POOL_OPTIONS_INIT;
    int rc = lido__database_check(at, err);

    *pool = at.pool;
    *is_own = at.pool == NULL;
    if (rc != LIDO_OK || at.pool != NULL)
        return rc;
    options.timeout_ms = timeout_ms;
    if (at.url != NULL)
        return open_url(at.url, may_create, &options, pool, err);
    rc = expect_file(at.path, may_create, err);
    return rc == LIDO_OK ? open_path(at.path, &options, pool, err) : rc;
}
