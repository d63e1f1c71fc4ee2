/* SPDX-License-Identifier: MIT */
/*
 * Opening a connection of SQLite.
 *
 *     sqlite3_open_v2 -> key -> wait for locks -> safe settings -> pragmas in their order
 *
 * SQLite reads nothing of a file before it has to, so the key comes in time; and pragmas may
 * meet locks, so the wait comes before them.  A connection has no mutex of
 * SQLite's (NOMUTEX) unless it is shared: a lease has one user at a time.
 *
 * create=new: the file is made when the pool is opened, by mknod(), which fails if anything
 * of that name is there and opens nothing: open() and close() of a file that another thread
 * may have opened meanwhile would drop its locks.  Connections then open what is there, so
 * that a file that went away is not made anew behind the program's back.
 *
 * Threads: any; nothing is shared.
 */
#include "driver/file_uri.h"
#include "driver/session.h"
#include "driver/sqlite.h"
#include "driver/url.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/*
 * What the system says beside SQLite, and in *where what of the folder is to blame.  SQLite
 * tries again for reading alone where it may not write, and so reports of a new file in a
 * folder that it must not write to that the file does not exist.
 */
static int system_errno(sqlite3 *db, const char *path, int flags, const char **where)
{
    const char *slash = strrchr(path, '/');
    char folder[4096]; /* PATH_MAX */
    struct stat status;
    int why;

    if (path[0] != '/') /* :memory:, or a URI */
        return sqlite3_system_errno(db);
    if (stat(path, &status) == 0)
        return S_ISDIR(status.st_mode) ? EISDIR : sqlite3_system_errno(db);
    why = errno;
    if (why != ENOENT || slash - path >= (int)sizeof folder - 1)
        return why;
    snprintf(folder, sizeof folder, "%.*s", (int)(slash - path) + 1, path);
    if (stat(folder, &status) != 0) {
        *where = ": its folder is missing";
    } else if ((flags & SQLITE_OPEN_CREATE) != 0 &&
               faccessat(AT_FDCWD, folder, W_OK, AT_EACCESS) != 0) {
        why = errno;
        *where = ": its folder cannot be written to";
    }
    return why;
}

static int fail_open(sqlite3 *db, int rc, const char *path, int flags,
                     struct lido_error *err)
{
    char reason[120] = "", text[80];
    const char *where = "";
    int why = 0;

    /* Without memory there is perhaps no db, and nothing of the file's to tell. */
    if ((rc & 0xff) != SQLITE_NOMEM)
        why = system_errno(db, path, flags, &where);
    if (why != 0)
        snprintf(reason, sizeof reason, " (%s%s)", strerror_r(why, text, sizeof text),
                 where);
    lido_fail(err, rc, "cannot open %.120s: %s%s", path,
              db != NULL ? sqlite3_errmsg(db) : sqlite3_errstr(rc), reason);
    if (err != NULL)
        err->sys_errno = why;
    return rc;
}

/* 0644 is what SQLite itself makes files with. */
static int make_file(const char *path, struct lido_error *err)
{
    char text[80];
    int why;

    if (mknod(path, S_IFREG | 0644, 0) == 0)
        return LIDO_OK;
    why = errno;
    lido_fail(err, SQLITE_CANTOPEN, "create=new: cannot make %.120s: %s", path,
              strerror_r(why, text, sizeof text));
    if (err != NULL)
        err->sys_errno = why;
    return SQLITE_CANTOPEN;
}

int lido__sqlite_check(void *ctx, const struct lido_connect *how, struct lido_error *err)
{
    struct lido__sqlite_keys keys;
    int rc = lido__sqlite_read_keys(&keys, how, err);

    (void)ctx;
    return rc == LIDO_OK && keys.makes_file ? make_file(how->database, err) : rc;
}

static int open_db(sqlite3 **db, const struct lido_connect *how,
                   const struct lido__sqlite_keys *keys, struct lido_error *err)
{
    bool is_uri = lido__is_file_uri(how->database);
    const char *name = how->database;
    int flags = keys->flags, rc;
    char *made = NULL;

    flags |= how->is_shared ? SQLITE_OPEN_FULLMUTEX : SQLITE_OPEN_NOMUTEX;
    if (keys->makes_file)
        flags &= ~SQLITE_OPEN_CREATE;
    /* Only a URI can say "immutable". */
    if (is_uri || (keys->immutable && name[0] == '/')) {
        made = lido__file_uri_make(name, how->params, how->n_params, lido__sqlite_takes,
                                   keys->immutable != 0);
        if (made == NULL)
            return lido_fail(err, SQLITE_NOMEM, "out of memory for the name of the file");
        name = made;
        flags |= SQLITE_OPEN_URI;
    }
    rc = sqlite3_open_v2(name, db, flags, keys->vfs);
    if (rc == SQLITE_OK)
        rc = sqlite3_extended_result_codes(*db, 1);
    if (rc != SQLITE_OK)
        rc = fail_open(*db, rc, how->database, flags, err);
    sqlite3_free(made);
    return rc;
}

/* What SQLite leaves on for programs of long ago: https://sqlite.org/security.html */
static int make_safe(sqlite3 *db, const struct lido__sqlite_keys *keys,
                     struct lido_error *err)
{
    const struct {
        const char *name;
        int verb, wanted;
    } settings[] = {
        { "load_extension", SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, keys->load_extension },
        { "dqs", SQLITE_DBCONFIG_DQS_DDL, keys->dqs },
        { "dqs", SQLITE_DBCONFIG_DQS_DML, keys->dqs },
        { "trusted_schema", SQLITE_DBCONFIG_TRUSTED_SCHEMA, keys->trusted_schema },
    };

    for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++) {
        int is_on = -1,
            rc = sqlite3_db_config(db, settings[i].verb, settings[i].wanted, &is_on);

        if (rc != SQLITE_OK)
            return lido__sqlite_fail(db, rc, settings[i].name, err);
        if (is_on != settings[i].wanted)
            return lido_fail(err, LIDO_SETTING, "%s=%d did not take: SQLite says %d",
                             settings[i].name, settings[i].wanted, is_on);
    }
    return LIDO_OK;
}

/* isolation_level is read_uncommitted, if it says anything of it. */
static int apply_isolation(sqlite3 *db, const char *value, struct lido_error *err)
{
    struct lido_param param = { "read_uncommitted", "0" };
    struct lido__isolation says;
    int rc = lido__value_isolation(value, &says, err);

    if (rc != LIDO_OK || says.read_uncommitted < 0)
        return rc;
    if (says.read_uncommitted)
        param.value = "1";
    return lido__pragma_apply(db, &param, err);
}

static int apply_pragmas(sqlite3 *db, const struct lido_connect *how,
                         struct lido_error *err)
{
    int rc = LIDO_OK;

    for (size_t i = 0; rc == LIDO_OK && i < how->n_params; i++) {
        const struct lido_param *param = &how->params[i];

        if (strcmp(param->key, "isolation_level") == 0)
            rc = apply_isolation(db, param->value, err);
        else if (lido__pragma_is(param->key))
            rc = lido__pragma_apply(db, param, err);
    }
    return rc;
}

int lido__sqlite_connect(void *ctx, const struct lido_connect *how, lido_record *record,
                         void **handle, struct lido_error *err)
{
    struct lido__sqlite_keys keys;
    sqlite3 *db = NULL;
    int rc;

    (void)ctx, (void)record;
    *handle = NULL;
    rc = lido__sqlite_read_keys(&keys, how, err);
    if (rc != LIDO_OK)
        return rc;
    rc = open_db(&db, how, &keys, err);
    if (rc == LIDO_OK && how->session != NULL)
        lido__session_watch(db, how->session);
    if (rc == LIDO_OK && how->key != NULL)
        rc = how->key(how->key_ctx, db, err);
    if (rc == LIDO_OK && how->busy_wait != NULL)
        rc = sqlite3_busy_handler(db, how->busy_wait, how->busy_ctx);
    if (rc == LIDO_OK)
        rc = make_safe(db, &keys, err);
    if (rc == LIDO_OK)
        rc = apply_pragmas(db, how, err);
    if (rc != LIDO_OK)
        sqlite3_close_v2(db); /* a key callback may have left a statement */
    else
        *handle = db;
    return rc;
}
