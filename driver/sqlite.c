/* SPDX-License-Identifier: MIT */
/*
 * The built-in driver: SQLite's own connections.  Its keys are in sqlite_keys.c, opening in
 * sqlite_open.c, cleaning in sqlite_reset.c; here are its table, pings, transactions, and
 * closing.
 *
 * Threads: one at a time for one handle, unless it was opened to be shared: driver/sqlite.h.
 */
#include "driver/sqlite.h"

#include <pthread.h>

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
    lido__sqlite_reset_statements(db);
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

int lido__sqlite_fail(sqlite3 *db, int rc, const char *doing, struct lido_error *err)
{
    lido_fail(err, rc, "%s: %s", doing, sqlite3_errmsg(db));
    if (err != NULL)
        err->sys_errno = (rc & 0xff) == SQLITE_IOERR || (rc & 0xff) == SQLITE_CANTOPEN
                             ? sqlite3_system_errno(db)
                             : 0;
    return rc;
}

/* The file is not the one that was opened: SQLite would go on writing to one without a name. */
static bool has_moved(sqlite3 *db)
{
    int moved = 0;

    return sqlite3_file_control(db, "main", SQLITE_FCNTL_HAS_MOVED, &moved) == SQLITE_OK &&
           moved;
}

static int sqlite_ping(void *ctx, void *handle, struct lido_error *err)
{
    sqlite3 *db = handle;
    sqlite3_mutex *mutex = sqlite3_db_mutex(db);
    const char *path;
    int rc;

    (void)ctx;
    sqlite3_mutex_enter(mutex);
    path = sqlite3_db_filename(db, "main");
    rc = sqlite3_exec(db, "PRAGMA schema_version", NULL, NULL, NULL);
    if (rc != SQLITE_OK)
        lido__sqlite_fail(db, rc, path != NULL && path[0] != '\0' ? path : "ping", err);
    else if (has_moved(db))
        rc = lido_fail(err, SQLITE_READONLY_DBMOVED,
                       "%.150s was moved or deleted while it was open", path);
    sqlite3_mutex_leave(mutex);
    return rc;
}

/*
 * True if a COMMIT that SQLite answered so, and that is over, may have been done.
 *
 * A progress handler may interrupt one that is done already.  It may as well interrupt what a
 * virtual table (FTS5) writes during COMMIT, and then all is rolled back.  Code, text and
 * autocommit are the same for both, so nobody can tell.
 *
 * A file's error may rise after the journal is gone (its folder not synced, the lock not given
 * back): then it is committed for good.  In the write-ahead log the last frame may be written
 * and not synced, or memory be out for its index: then others do not see it, and whoever
 * recovers the log after a crash does.
 */
static bool may_be_done(int rc)
{
    const int code = rc & 0xff;

    return code == SQLITE_INTERRUPT || code == SQLITE_IOERR || code == SQLITE_FULL ||
           code == SQLITE_NOMEM;
}

int lido__sqlite_commit(sqlite3 *db, struct lido__own_texts *texts, const char *doing,
                        int *outcome, struct lido_error *err)
{
    sqlite3_mutex *mutex = sqlite3_db_mutex(db);
    bool was_open;
    int rc;

    sqlite3_mutex_enter(mutex);
    was_open = !sqlite3_get_autocommit(db);
    rc = lido__own_texts_run(texts, db, "COMMIT");
    if (rc != SQLITE_OK)
        lido__sqlite_fail(db, rc, doing, err);
    if (!sqlite3_get_autocommit(db))
        *outcome = LIDO_OUTCOME_OPEN;
    else if (was_open && may_be_done(rc))
        *outcome = LIDO_OUTCOME_UNKNOWN;
    else
        *outcome = rc == SQLITE_OK ? LIDO_OUTCOME_COMMITTED : LIDO_OUTCOME_ROLLED_BACK;
    sqlite3_mutex_leave(mutex);
    return rc;
}

static int sqlite_txn_state(void *ctx, void *handle)
{
    sqlite3 *db = handle;
    sqlite3_mutex *mutex = sqlite3_db_mutex(db);
    int state;

    (void)ctx;
    sqlite3_mutex_enter(mutex);
    switch (sqlite3_txn_state(db, NULL)) {
    case SQLITE_TXN_READ: state = LIDO_TXN_READ; break;
    case SQLITE_TXN_WRITE: state = LIDO_TXN_WRITE; break;
    default: state = sqlite3_get_autocommit(db) ? LIDO_TXN_NONE : LIDO_TXN_OPEN;
    }
    sqlite3_mutex_leave(mutex);
    return state;
}

/* BEGIN alone takes no snapshot, the first read does.  It is read before, and `reader` goes on
   until BEGIN is done: so what fails on the way leaves no transaction to be rolled back. */
static int hold_snapshot(sqlite3 *db, sqlite3_stmt **reader)
{
    int rc = sqlite3_prepare_v2(db, "SELECT EXISTS (SELECT 1 FROM sqlite_master)", -1,
                                reader, NULL);

    if (rc == SQLITE_OK)
        rc = sqlite3_step(*reader);
    return rc == SQLITE_ROW ? SQLITE_OK : rc;
}

int lido__sqlite_begin(sqlite3 *db, struct lido__own_texts *texts, int mode,
                       struct lido_error *err)
{
    static const char *const begin[] = {
        [LIDO_DEFERRED] = "BEGIN DEFERRED",     [LIDO_IMMEDIATE] = "BEGIN IMMEDIATE",
        [LIDO_EXCLUSIVE] = "BEGIN EXCLUSIVE",   [LIDO_READ] = "BEGIN",
        [LIDO_CONCURRENT] = "BEGIN CONCURRENT",
    };
    sqlite3_mutex *mutex = sqlite3_db_mutex(db);
    sqlite3_stmt *reader = NULL;
    bool was_open;
    int rc = SQLITE_OK;

    if (mode < LIDO_DEFERRED || mode > LIDO_CONCURRENT)
        return lido_fail(err, SQLITE_MISUSE, "begin mode %d is none", mode);
    sqlite3_mutex_enter(mutex);
    was_open = !sqlite3_get_autocommit(db);
    if (mode == LIDO_READ)
        rc = hold_snapshot(db, &reader);
    if (rc == SQLITE_OK)
        rc = lido__own_texts_run(texts, db, begin[mode]);
    /* One that a progress handler interrupted when it was done is a success: locks are held. */
    if (rc != SQLITE_OK && !was_open && !sqlite3_get_autocommit(db))
        rc = SQLITE_OK;
    if (rc != SQLITE_OK)
        lido__sqlite_fail(db, rc, mode == LIDO_READ ? "BEGIN to read" : begin[mode], err);
    sqlite3_finalize(reader);
    sqlite3_mutex_leave(mutex);
    return rc;
}

static int sqlite_begin(void *ctx, void *handle, int mode, struct lido_error *err)
{
    (void)ctx;
    return lido__sqlite_begin(handle, NULL, mode, err);
}

static int sqlite_commit(void *ctx, void *handle, int *outcome, struct lido_error *err)
{
    (void)ctx;
    return lido__sqlite_commit(handle, NULL, "COMMIT", outcome, err);
}

int lido__sqlite_rollback(sqlite3 *db, struct lido__own_texts *texts, int *outcome,
                          struct lido_error *err)
{
    sqlite3_mutex *mutex = sqlite3_db_mutex(db);
    int rc = SQLITE_OK;

    sqlite3_mutex_enter(mutex);
    if (!sqlite3_get_autocommit(db))
        rc = lido__own_texts_run(texts, db, "ROLLBACK");
    /* One that a progress handler interrupted when it was done is a success. */
    if ((rc & 0xff) == SQLITE_INTERRUPT && sqlite3_get_autocommit(db))
        rc = SQLITE_OK;
    if (rc != SQLITE_OK)
        lido__sqlite_fail(db, rc, "ROLLBACK", err);
    *outcome = sqlite3_get_autocommit(db) ? LIDO_OUTCOME_ROLLED_BACK : LIDO_OUTCOME_OPEN;
    sqlite3_mutex_leave(mutex);
    return rc;
}

static int sqlite_rollback(void *ctx, void *handle, int *outcome, struct lido_error *err)
{
    (void)ctx;
    return lido__sqlite_rollback(handle, NULL, outcome, err);
}

/* SQLite takes a NULL for "do not wait". */
static void sqlite_set_busy_wait(void *ctx, void *handle, lido_busy_wait wait,
                                 void *wait_ctx)
{
    (void)ctx;
    sqlite3_busy_handler(handle, wait, wait_ctx);
}

static struct lido_driver table = {
    .size = sizeof table,
    .name = "sqlite",
    .capabilities = LIDO_DRIVER_IS_SQLITE | LIDO_DRIVER_TAKES_PARAMS,
    .connect = lido__sqlite_connect,
    .close = sqlite_close,
    .ping = sqlite_ping,
    .reset = lido__sqlite_reset,
    .txn_state = sqlite_txn_state,
    .begin = sqlite_begin,
    .commit = sqlite_commit,
    .rollback = sqlite_rollback,
    .set_busy_wait = sqlite_set_busy_wait,
    .check = lido__sqlite_check,
    .savepoint = lido__sqlite_savepoint,
    .property = lido__sqlite_property,
};

/* It is a word of SQL only in an SQLite that was built from the branch of that name.
   Asking for the word allocates nothing, and starts nothing that a host may still configure. */
static void look_for_concurrent(void)
{
    if (sqlite3_keyword_check("CONCURRENT", 10))
        table.capabilities |= LIDO_DRIVER_HAS_CONCURRENT;
}

const struct lido_driver *lido_driver_sqlite(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, look_for_concurrent);
    return &table;
}
