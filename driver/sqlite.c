/* SPDX-License-Identifier: MIT */
/*
 * The built-in driver: SQLite's own connections.
 *
 * Connections are opened without SQLite's own mutex (NOMUTEX): a lease has one user at a
 * time.  A name is never taken for a URI, loading of extensions through SQL is off, and
 * result codes are the extended ones.
 *
 * A connection is clean when SQLite says so: autocommit is on and no transaction of any kind
 * is open.  Only if that is not so are its statements walked: a running one is reset, but
 * never one without SQL text, which belongs to an open blob handle and would be used after
 * it is freed.  What holds a transaction after that makes the connection unclean.
 *
 * Threads: one at a time for one handle; nothing is shared.
 */
#include <lido/sys/driver.h>

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The one key it has: `mode`, as in SQLite's own URIs. */
static int read_flags(const struct lido_connect *how, int *flags, struct lido_error *err)
{
    static const struct {
        const char *name;
        int flags;
    } modes[] = {
        { "ro", SQLITE_OPEN_READONLY },
        { "rw", SQLITE_OPEN_READWRITE },
        { "rwc", SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE },
    };

    *flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
    for (size_t i = 0; i < how->n_params; i++) {
        const struct lido_param *param = &how->params[i];
        size_t mode = 0;

        if (strcmp(param->key, "mode") != 0)
            return lido_fail(err, LIDO_BAD_URL,
                             "the key %.60s is not known; the driver sqlite takes: mode",
                             param->key);
        while (mode < 3 && strcmp(modes[mode].name, param->value) != 0)
            mode++;
        if (mode == 3)
            return lido_fail(err, LIDO_BAD_URL, "mode=%.40s is none of ro, rw, rwc",
                             param->value);
        *flags = modes[mode].flags;
    }
    *flags |= SQLITE_OPEN_NOMUTEX;
    return LIDO_OK;
}

static int sqlite_check(void *ctx, const struct lido_connect *how, struct lido_error *err)
{
    int flags;

    (void)ctx;
    return read_flags(how, &flags, err);
}

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

    if (slash == NULL) /* :memory: */
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

static int sqlite_connect(void *ctx, const struct lido_connect *how, lido_record *record,
                          void **handle, struct lido_error *err)
{
    sqlite3 *db = NULL;
    int flags, rc;

    (void)ctx, (void)record;
    *handle = NULL;
    rc = read_flags(how, &flags, err);
    if (rc != LIDO_OK)
        return rc;
    /* No flag says "not a URI", and many builds of SQLite take them always. */
    if (strncmp(how->database, "file:", 5) == 0)
        return lido_fail(err, SQLITE_MISUSE,
                         "%.120s is not an absolute path, and a name "
                         "is never a URI",
                         how->database);
    rc = sqlite3_open_v2(how->database, &db, flags, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_extended_result_codes(db, 1);
    if (rc == SQLITE_OK)
        rc = sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0, (int *)NULL);
    if (rc != SQLITE_OK) {
        rc = fail_open(db, rc, how->database, flags, err);
        sqlite3_close(db);
        return rc;
    }
    *handle = db;
    return LIDO_OK;
}

static int count_statements(sqlite3 *db, const char **sql)
{
    int count = 0;

    *sql = NULL;
    for (sqlite3_stmt *at = sqlite3_next_stmt(db, NULL); at != NULL;
         at = sqlite3_next_stmt(db, at)) {
        if (*sql == NULL)
            *sql = sqlite3_sql(at);
        count++;
    }
    return count;
}

static unsigned reset_statements(sqlite3 *db)
{
    unsigned count = 0;

    for (sqlite3_stmt *at = sqlite3_next_stmt(db, NULL); at != NULL;
         at = sqlite3_next_stmt(db, at))
        if (sqlite3_stmt_busy(at) && sqlite3_sql(at) != NULL) {
            sqlite3_reset(at);
            count++;
        }
    return count;
}

/*
 * What is left open keeps the connection alive, but no lock: nobody could end its
 * transaction any more.  The busy wait goes too, because its context ends with the pool.
 */
static void let_go(sqlite3 *db)
{
    sqlite3_busy_handler(db, NULL, NULL);
    sqlite3_set_authorizer(db, NULL, NULL);
    sqlite3_progress_handler(db, 0, NULL, NULL);
    if (!sqlite3_get_autocommit(db))
        sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    reset_statements(db);
    sqlite3_close_v2(db);
}

static int sqlite_close(void *ctx, void *handle, int terminate, struct lido_error *err)
{
    sqlite3 *db = handle;
    const char *sql;
    int count;

    (void)ctx, (void)terminate;
    if (sqlite3_close(db) == SQLITE_OK)
        return LIDO_OK;
    count = count_statements(db, &sql);
    if (count > 0)
        lido_fail(err, SQLITE_BUSY,
                  "%d %s left open and the connection lives until %s "
                  "finalized: %.100s",
                  count, count == 1 ? "statement was" : "statements were",
                  count == 1 ? "it is" : "they are", sql != NULL ? sql : "(a blob handle)");
    else
        lido_fail(err, SQLITE_BUSY,
                  "a backup was left unfinished and the connection lives "
                  "until it is finished");
    let_go(db);
    return SQLITE_BUSY;
}

static int fail_db(sqlite3 *db, int rc, const char *doing, struct lido_error *err)
{
    lido_fail(err, rc, "%s: %s", doing, sqlite3_errmsg(db));
    if (err != NULL)
        err->sys_errno = (rc & 0xff) == SQLITE_IOERR || (rc & 0xff) == SQLITE_CANTOPEN
                             ? sqlite3_system_errno(db)
                             : 0;
    return rc;
}

static int sqlite_ping(void *ctx, void *handle, struct lido_error *err)
{
    sqlite3 *db = handle;
    const char *path = sqlite3_db_filename(db, "main");
    int rc = sqlite3_exec(db, "PRAGMA schema_version", NULL, NULL, NULL);

    (void)ctx;
    if (rc != SQLITE_OK)
        return fail_db(db, rc, path != NULL && path[0] != '\0' ? path : "ping", err);
    return LIDO_OK;
}

static bool is_clean(sqlite3 *db)
{
    return sqlite3_get_autocommit(db) && sqlite3_txn_state(db, NULL) == SQLITE_TXN_NONE;
}

/*
 * A progress handler may interrupt a COMMIT that is done already.  It may as well interrupt
 * what a virtual table (FTS5) writes during COMMIT, and then all is rolled back.  Code, text
 * and autocommit are the same for both, so nobody can tell.
 */
static int commit(sqlite3 *db, const char *doing, int *outcome, struct lido_error *err)
{
    bool was_open = !sqlite3_get_autocommit(db);
    int rc = sqlite3_exec(db, "COMMIT", NULL, NULL, NULL);

    if (rc != SQLITE_OK)
        fail_db(db, rc, doing, err);
    if (!sqlite3_get_autocommit(db))
        *outcome = LIDO_OUTCOME_OPEN;
    else if (was_open && (rc & 0xff) == SQLITE_INTERRUPT)
        *outcome = LIDO_OUTCOME_UNKNOWN;
    else
        *outcome = rc == SQLITE_OK ? LIDO_OUTCOME_COMMITTED : LIDO_OUTCOME_ROLLED_BACK;
    return rc;
}

static int end_transaction(sqlite3 *db, int how, struct lido_error *err)
{
    int rc = LIDO_OK, outcome;

    if (how == LIDO_RESET_COMMIT) {
        rc = commit(db, "COMMIT at check-in", &outcome, err);
        if (outcome != LIDO_OUTCOME_OPEN)
            return rc;
    }
    if (sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL) != SQLITE_OK && rc == LIDO_OK &&
        !sqlite3_get_autocommit(db))
        rc = fail_db(db, sqlite3_extended_errcode(db), "ROLLBACK at check-in", err);
    return rc;
}

static int sqlite_reset(void *ctx, void *handle, int how, struct lido_reset *outcome,
                        struct lido_error *err)
{
    sqlite3 *db = handle;
    int rc = LIDO_OK;

    (void)ctx;
    if (is_clean(db))
        return LIDO_OK;
    outcome->statements_reset = reset_statements(db);
    if (how == LIDO_RESET_NONE)
        return LIDO_OK;
    if (!sqlite3_get_autocommit(db)) {
        outcome->was_in_txn = 1;
        rc = end_transaction(db, how, err);
    }
    if (rc == LIDO_OK && !is_clean(db))
        rc = lido_fail(err, SQLITE_BUSY,
                       "an open blob handle or a backup still holds a "
                       "transaction");
    return rc;
}

static int sqlite_txn_state(void *ctx, void *handle)
{
    sqlite3 *db = handle;

    (void)ctx;
    switch (sqlite3_txn_state(db, NULL)) {
    case SQLITE_TXN_READ: return LIDO_TXN_READ;
    case SQLITE_TXN_WRITE: return LIDO_TXN_WRITE;
    default: return sqlite3_get_autocommit(db) ? LIDO_TXN_NONE : LIDO_TXN_OPEN;
    }
}

static int sqlite_begin(void *ctx, void *handle, int mode, struct lido_error *err)
{
    static const char *const begin[] = {
        [LIDO_DEFERRED] = "BEGIN DEFERRED",
        [LIDO_IMMEDIATE] = "BEGIN IMMEDIATE",
        [LIDO_EXCLUSIVE] = "BEGIN EXCLUSIVE",
    };
    bool was_open = !sqlite3_get_autocommit(handle);
    int rc;

    (void)ctx;
    if (mode < LIDO_DEFERRED || mode > LIDO_EXCLUSIVE)
        return lido_fail(err, SQLITE_MISUSE, "begin mode %d is none", mode);
    rc = sqlite3_exec(handle, begin[mode], NULL, NULL, NULL);
    /* One that a progress handler interrupted when it was done is a success: locks are held. */
    if (rc == SQLITE_OK || (!was_open && !sqlite3_get_autocommit(handle)))
        return LIDO_OK;
    return fail_db(handle, rc, begin[mode], err);
}

static int sqlite_commit(void *ctx, void *handle, int *outcome, struct lido_error *err)
{
    (void)ctx;
    return commit(handle, "COMMIT", outcome, err);
}

static int sqlite_rollback(void *ctx, void *handle, int *outcome, struct lido_error *err)
{
    int rc = SQLITE_OK;

    (void)ctx;
    if (!sqlite3_get_autocommit(handle))
        rc = sqlite3_exec(handle, "ROLLBACK", NULL, NULL, NULL);
    /* One that a progress handler interrupted when it was done is a success. */
    if ((rc & 0xff) == SQLITE_INTERRUPT && sqlite3_get_autocommit(handle))
        rc = SQLITE_OK;
    if (rc != SQLITE_OK)
        fail_db(handle, rc, "ROLLBACK", err);
    *outcome =
        sqlite3_get_autocommit(handle) ? LIDO_OUTCOME_ROLLED_BACK : LIDO_OUTCOME_OPEN;
    return rc;
}

static void sqlite_set_busy_wait(void *ctx, void *handle, lido_busy_wait wait,
                                 void *wait_ctx)
{
    (void)ctx;
    sqlite3_busy_handler(handle, wait, wait_ctx);
}

static const struct lido_driver table = {
    .size = sizeof table,
    .name = "sqlite",
    .capabilities = LIDO_DRIVER_IS_SQLITE | LIDO_DRIVER_TAKES_PARAMS,
    .connect = sqlite_connect,
    .close = sqlite_close,
    .ping = sqlite_ping,
    .reset = sqlite_reset,
    .txn_state = sqlite_txn_state,
    .begin = sqlite_begin,
    .commit = sqlite_commit,
    .rollback = sqlite_rollback,
    .set_busy_wait = sqlite_set_busy_wait,
    .check = sqlite_check,
};

const struct lido_driver *lido_driver_sqlite(void)
{
    return &table;
}
