/* SPDX-License-Identifier: MIT */
/*
 * Is a database valid: which file is meant, and the answer.
 *
 * Problems are told at the end, when it is known that they are of one state of the file.
 *
 * Threads: any; each check is its thread's own.
 */
#include "base/alloc.h"
#include "base/process.h"
#include "housekeeping/check_file.h"
#include "housekeeping/check_sql.h"
#include "housekeeping/seat.h"

#include <lido/url.h>

#include <limits.h>
#include <string.h>

const char *lido_check_name(int verdict)
{
    switch (verdict) {
    case LIDO_CHECK_NONE: return "not checked";
    case LIDO_CHECK_SOUND: return "sound";
    case LIDO_CHECK_MISSING: return "missing";
    case LIDO_CHECK_UNREADABLE: return "unreadable";
    case LIDO_CHECK_EMPTY: return "empty";
    case LIDO_CHECK_TRUNCATED: return "truncated";
    case LIDO_CHECK_NOT_SQLITE: return "not SQLite";
    case LIDO_CHECK_ENCRYPTED: return "encrypted or damaged header";
    case LIDO_CHECK_MALFORMED: return "malformed";
    case LIDO_CHECK_LOCKED: return "locked";
    case LIDO_CHECK_NEEDS_RECOVERY: return "needs recovery";
    case LIDO_CHECK_INCOMPLETE: return "checked in part";
    case LIDO_CHECK_FOREIGN_KEYS: return "broken foreign keys";
    default: return "unknown";
    }
}

/* --- which database -------------------------------------------------------------------- */

/* `path` is "" if the pool's database is in memory, and was checked. */
static int check_lease(struct lido__checking *checking, lido_pool *pool,
                       char path[PATH_MAX], struct lido_error *err)
{
    static const struct lido__seat_options wish = LIDO__SEAT_OPTIONS_INIT("lido_check");
    struct lido__seat seat;
    const char *name;
    int rc = lido__seat_open(&seat, &checking->work, lido_at_pool(pool), &wish, err);

    path[0] = '\0';
    if (rc != LIDO_OK)
        return rc;
    name = sqlite3_db_filename(seat.db, "main");
    if (name != NULL && strlen(name) >= PATH_MAX)
        rc = lido_fail(err, SQLITE_TOOBIG, "the path of the database is too long");
    else if (name != NULL && name[0] != '\0')
        memcpy(path, name, strlen(name) + 1);
    else
        rc = lido__check_sql(checking, seat.db, true, err);
    return lido__seat_close(&seat, rc, err);
}

static int check_pool(struct lido__checking *checking, lido_pool *pool,
                      struct lido_error *err)
{
    char *path = lido__new(PATH_MAX);
    int rc;

    if (path == NULL)
        return lido_fail(err, SQLITE_NOMEM, "no memory to check the pool's database");
    rc = check_lease(checking, pool, path, err);
    if (rc == LIDO_OK && path[0] != '\0')
        rc = lido__check_path(checking, path, err);
    lido__free(path);
    return rc;
}

/* To open a pool could make the file, or leave a trace: the URL is only read. */
static int check_url(struct lido__checking *checking, struct lido_database at,
                     struct lido_error *err)
{
    struct lido_url *url = NULL;
    lido_pool *pool = NULL;
    bool is_own = false;
    int rc = lido_url_parse(&url, at.url, err);

    if (rc != LIDO_OK)
        return rc;
    if (strcmp(url->driver, "sqlite") != 0)
        rc = lido_fail(err, SQLITE_MISUSE,
                       "a database of the driver %.60s is not checked: give a path or a "
                       "pool",
                       url->driver);
    else if (strncmp(url->database, "file:", 5) == 0)
        rc = lido_fail(err, LIDO_BAD_URL,
                       "a URI of SQLite is not taken here: give the path of its file");
    else if (url->database[0] != '\0' && strcmp(url->database, ":memory:") != 0)
        rc = lido__check_path(checking, url->database, err);
    else {
        rc = lido__database_pool(at, true, checking->options->lock_timeout_ms, &pool,
                                 &is_own, err);
        if (rc == LIDO_OK)
            rc = check_pool(checking, pool, err);
        if (is_own)
            lido_pool_free(pool);
    }
    lido_url_free(url);
    return rc;
}

static int refuse(struct lido_database at, const struct lido_check_options *options,
                  struct lido_error *err)
{
    if (options->size != sizeof *options)
        return lido__bad_size("lido_check_options", err);
    if (options->depth < LIDO_DEPTH_HEADER || options->depth > LIDO_DEPTH_FULL)
        return lido_fail(err, LIDO_BAD_OPTION, "depth is %d; it is one of LIDO_DEPTH_...",
                         options->depth);
    if (options->foreign_keys && options->depth == LIDO_DEPTH_HEADER)
        return lido_fail(err, LIDO_BAD_OPTION,
                         "foreign_keys needs the schema, and depth is the header alone");
    if (options->max_problems < 1)
        return lido_fail(err, LIDO_BAD_OPTION, "max_problems is %d; at least 1",
                         options->max_problems);
    if (options->lock_timeout_ms < -1)
        return lido_fail(err, LIDO_BAD_OPTION, "lock_timeout_ms is %lld; -1 is for ever",
                         (long long)options->lock_timeout_ms);
    return lido__database_check(at, err);
}

int lido_check(struct lido_database at, const struct lido_check_options *options,
               struct lido_check *out, struct lido_error *err)
{
    static const struct lido_check_options defaults = LIDO_CHECK_OPTIONS_INIT;
    struct lido__checking checking = { .out = LIDO_CHECK_INIT };
    struct lido_error story = LIDO_ERROR_INIT;
    int rc;

    if (out == NULL || out->size != sizeof *out)
        return lido__bad_size("lido_check", err);
    *out = checking.out;
    checking.options = options != NULL ? options : &defaults;
    rc = refuse(at, checking.options, err);
    if (rc == LIDO_OK && lido__is_forked())
        rc = lido__fail_forked(err);
    if (rc == LIDO_OK)
        rc = lido__work_begin(&checking.work, checking.options->job, err);
    if (rc != LIDO_OK)
        return rc;
    checking.lines = sqlite3_str_new(NULL);
    if (at.path != NULL)
        rc = lido__check_path(&checking, at.path, &story);
    else
        rc = at.url != NULL ? check_url(&checking, at, &story)
                            : check_pool(&checking, at.pool, &story);
    if (rc == LIDO_OK)
        rc = lido__check_tell(&checking, &story);
    sqlite3_free(sqlite3_str_finish(checking.lines));
    if (rc != LIDO_OK) {
        if (err != NULL)
            *err = story;
        return rc;
    }
    lido__check_give(&checking, LIDO_CHECK_SOUND);
    *out = checking.out;
    return LIDO_OK;
}
