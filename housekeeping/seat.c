/* SPDX-License-Identifier: MIT */
/*
 * A job's place at a database: checked out, in a transaction, and given back as it was.
 *
 *     open --> begin --> set ... --> end or leave --> close
 *
 * The job's token and its time end the waits too: for the connection, at the write gate, for a
 * lock.  What such a wait or interrupted SQL answers is not the job's answer: the job says why
 * it ended.
 *
 * What a job changes in the connection is put back here: by sqlite3_db_config(), which unlike
 * a pragma works in a transaction too, cannot fail, and costs the pool no connection.  It is
 * put back while the transaction is open: in a transaction of lido's no other lease of a
 * shared connection runs anything, so nobody meets foreign keys that are off.
 *
 * Statements are the raw handle's: a job stops at the first that fails, so none of them ever
 * runs after SQLite has rolled back by itself.  Where a job runs statements of the lease's
 * in between, a hook on these may end it and close the handle: that is looked at before each.
 *
 * Threads: the one that runs the job.
 */
#include "housekeeping/seat.h"

#include "housekeeping/lockers.h"
#include <lido/txn.h>

static const int db_config[LIDO__FLAGS] = {
    [LIDO__FOREIGN_KEYS] = SQLITE_DBCONFIG_ENABLE_FKEY,
    [LIDO__LEGACY_ALTER] = SQLITE_DBCONFIG_LEGACY_ALTER_TABLE,
    [LIDO__QUOTED_TEXT] = SQLITE_DBCONFIG_DQS_DDL,
    [LIDO__DEFENSIVE] = SQLITE_DBCONFIG_DEFENSIVE,
};

/* --- its life ------------------------------------------------------------------------ */

static int check_out(struct lido__seat *seat, struct lido_database at,
                     const struct lido__seat_options *wish, struct lido_error *err)
{
    struct lido_checkout_options options = LIDO_CHECKOUT_OPTIONS_INIT;
    const int64_t left_ms = lido__work_left_ms(seat->work);
    int rc;

    options.label = wish->label;
    options.unique = wish->is_unique;
    options.cancel = seat->work->job->cancel;
    if (left_ms >= 0)
        options.timeout_ms = left_ms;
    rc = lido_pool_checkout(seat->pool, &seat->conn, &options, err);
    if (rc != LIDO_OK)
        return lido__seat_judge(seat, rc, err);
    seat->db = lido_conn_sqlite(&seat->conn);
    if (seat->db == NULL)
        return lido_fail(err, SQLITE_MISUSE, "%.150s: the driver is none of SQLite's",
                         lido__database_name(at));
    lido__work_watch_lease(seat->work, &seat->conn);
    return LIDO_OK;
}

int lido__seat_open(struct lido__seat *seat, struct lido__work *work,
                    struct lido_database at, const struct lido__seat_options *options,
                    struct lido_error *err)
{
    int64_t left_ms, lock_ms = options->lock_timeout_ms;
    int rc;

    *seat = (struct lido__seat){ .work = work, .before = { -1, -1, -1, -1 } };
    rc = lido__database_check(at, err);
    if (rc == LIDO_OK)
        rc = lido__work_check(work, err);
    if (rc != LIDO_OK)
        return rc;
    left_ms = lido__work_left_ms(work);
    if (left_ms >= 0 && (lock_ms < 0 || lock_ms > left_ms))
        lock_ms = left_ms;
    rc = lido__database_pool(at, options->may_create, lock_ms, &seat->pool, &seat->is_own,
                             err);
    if (rc == LIDO_OK)
        rc = check_out(seat, at, options, err);
    else
        seat->pool = NULL;
    return rc == LIDO_OK ? LIDO_OK : lido__seat_close(seat, rc, err);
}

/* A deferred one takes no lock, unless a begin hook reads. */
static enum lido__use use_of(int mode)
{
    return mode == LIDO_IMMEDIATE   ? LIDO__USE_WRITE
           : mode == LIDO_EXCLUSIVE ? LIDO__USE_COMMIT
                                    : LIDO__USE_READ;
}

int lido__seat_begin(struct lido__seat *seat, int mode, struct lido_error *err)
{
    /* -1 too: not by the limit that the pool sets for transactions. */
    int rc = lido_txn_limit(&seat->conn, lido__work_left_ms(seat->work), err);

    if (rc == LIDO_OK)
        rc = lido_txn_begin(&seat->conn, mode, err);
    seat->is_begun = rc == LIDO_OK;
    rc = lido__seat_judge(seat, rc, err);
    return lido__lock_tell(lido_conn_sqlite(&seat->conn), use_of(mode), rc, err);
}

void lido__seat_set(struct lido__seat *seat, enum lido__flag flag, bool is_on)
{
    int now = is_on;

    if (sqlite3_db_config(seat->db, db_config[flag], -1, &now) != SQLITE_OK || now == is_on)
        return;
    seat->before[flag] = now;
    sqlite3_db_config(seat->db, db_config[flag], (int)is_on, &now);
}

void lido__seat_read_schema(struct lido__seat *seat)
{
    lido__seat_set(seat, LIDO__LEGACY_ALTER, false);
    lido__seat_set(seat, LIDO__QUOTED_TEXT, true);
}

/* A hook of the host's may have closed the connection meanwhile. */
static void put_back(struct lido__seat *seat)
{
    const bool is_there = seat->db != NULL && lido_conn_sqlite(&seat->conn) == seat->db;

    for (int flag = 0; flag < LIDO__FLAGS; flag++) {
        if (is_there && seat->before[flag] >= 0)
            sqlite3_db_config(seat->db, db_config[flag], seat->before[flag], (int *)NULL);
        seat->before[flag] = -1;
    }
    if (is_there)
        lido__work_watch_lease(NULL, &seat->conn);
}

/*
 * After a write that failed, as on a full disk, SQLite leaves the journal to the next who
 * reads, and what was written takes room until then: so the seat reads itself.
 */
static void undo_now(struct lido__seat *seat)
{
    if (lido_conn_sqlite(&seat->conn) == seat->db)
        (void)sqlite3_exec(seat->db, "PRAGMA main.schema_version", NULL, NULL, NULL);
}

void lido__seat_leave(struct lido__seat *seat)
{
    int last = SQLITE_OK; /* of SQLite, before the rollback says that it went well */

    put_back(seat);
    if (seat->is_begun) {
        if (lido_conn_sqlite(&seat->conn) == seat->db)
            last = sqlite3_errcode(seat->db) & 0xff;
        lido_txn_rollback(&seat->conn, NULL);
    }
    seat->is_begun = false;
    if (last == SQLITE_FULL || last == SQLITE_IOERR)
        undo_now(seat);
}

int lido__seat_commit(struct lido__seat *seat, struct lido_error *err)
{
    int rc;

    put_back(seat);
    rc = lido_txn_commit(&seat->conn, NULL, err);
    seat->is_begun = rc != LIDO_OK;
    rc = lido__seat_judge(seat, rc, err);
    return lido__lock_tell(lido_conn_sqlite(&seat->conn), LIDO__USE_COMMIT, rc, err);
}

int lido__seat_end(struct lido__seat *seat, int rc, struct lido_error *err)
{
    if (rc == LIDO_OK && seat->is_begun)
        rc = lido__work_check(seat->work, err);
    if (rc == LIDO_OK && seat->is_begun)
        rc = lido__seat_commit(seat, err);
    lido__seat_leave(seat);
    return rc;
}

int lido__seat_close(struct lido__seat *seat, int rc, struct lido_error *err)
{
    rc = lido__seat_end(seat, rc, err);
    /* What it was for is done, or told: a check-in that fails has closed the connection. */
    if (seat->conn.cell != NULL)
        lido_conn_checkin(&seat->conn, NULL, NULL);
    if (seat->is_own)
        lido_pool_free(seat->pool);
    *seat = (struct lido__seat){ .work = seat->work, .before = { -1, -1, -1, -1 } };
    return rc;
}

/* --- what it answers ----------------------------------------------------------------- */

int lido__seat_check(struct lido__seat *seat, struct lido_error *err)
{
    sqlite3 *db = lido_conn_sqlite(&seat->conn);

    if (db != NULL && db == seat->db)
        return LIDO_OK;
    /* It knows why not. */
    return lido_conn_set_label(&seat->conn, NULL, err) == LIDO_OK
               ? lido_fail(err, LIDO_NO_CONNECTION, "the connection was given up")
               : lido_conn_set_label(&seat->conn, NULL, NULL);
}

int lido__seat_judge(const struct lido__seat *seat, int rc, struct lido_error *err)
{
    const int kind = rc & 0xff;
    const int why = kind == SQLITE_INTERRUPT || kind == SQLITE_BUSY
                        ? lido__work_check(seat->work, err)
                        : LIDO_OK;

    return why != LIDO_OK ? why : rc;
}

int lido__seat_fail(struct lido__seat *seat, int rc, const char *doing,
                    struct lido_error *err)
{
    return lido__work_fail(seat->work, lido_conn_sqlite(&seat->conn), rc, doing, err);
}

/* --- statements ---------------------------------------------------------------------- */

int lido__seat_exec(struct lido__seat *seat, char *sql, const char *doing,
                    struct lido_error *err)
{
    int rc;

    if (sql == NULL)
        return lido_fail(err, SQLITE_NOMEM, "%s: out of memory", doing);
    rc = lido__seat_check(seat, err);
    if (rc == LIDO_OK) {
        rc = sqlite3_exec(seat->db, sql, NULL, NULL, NULL);
        if (rc != SQLITE_OK)
            rc = lido__seat_fail(seat, rc, doing, err);
    }
    sqlite3_free(sql);
    return rc;
}

int lido__seat_prepare(struct lido__seat *seat, sqlite3_stmt **stmt, char *sql,
                       const char *first, const char *second, struct lido_error *err)
{
    int rc;

    *stmt = NULL;
    if (sql == NULL)
        return lido_fail(err, SQLITE_NOMEM, "out of memory");
    rc = lido__seat_check(seat, err);
    if (rc != LIDO_OK) {
        sqlite3_free(sql);
        return rc;
    }
    rc = sqlite3_prepare_v2(seat->db, sql, -1, stmt, NULL);
    if (rc == SQLITE_OK && first != NULL)
        rc = sqlite3_bind_text(*stmt, 1, first, -1, SQLITE_STATIC);
    if (rc == SQLITE_OK && second != NULL)
        rc = sqlite3_bind_text(*stmt, 2, second, -1, SQLITE_STATIC);
    sqlite3_free(sql);
    if (rc == SQLITE_OK)
        return LIDO_OK;
    rc = lido__seat_fail(seat, rc, "reading the schema", err);
    sqlite3_finalize(*stmt);
    *stmt = NULL;
    return rc;
}
