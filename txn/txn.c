/* SPDX-License-Identifier: MIT */
/*
 * Begin, commit and roll back, with their hooks.
 *
 * Hooks run before the driver is called, as in SQLAlchemy.  A begin hook may issue its own
 * BEGIN: whether it did is what the driver says afterwards, and then lido begins no second.
 * `has_begun` on the record is not a state of the transaction, which only SQLite knows; it
 * tells a commit that finds none whether there ever was one, for the right code and text.
 *
 * Threads: the one that checked the connection out.
 */
#include "pool/pool.h"
#include <lido/txn.h>

static int state_of(const struct lido_record *record)
{
    const struct lido__driver *driver = &record->pool->config.driver;

    return driver->table->txn_state(driver->ctx, record->handle);
}

/* A running SELECT outside of BEGIN reads, but nothing is there to commit. */
static bool is_open(const struct lido_record *record, const struct lido_conn *conn)
{
    sqlite3 *db = lido_conn_sqlite(conn);

    return db != NULL ? !sqlite3_get_autocommit(db) : state_of(record) != LIDO_TXN_NONE;
}

int lido_txn_state(const struct lido_conn *conn)
{
    struct lido_record *record;

    if (lido__lease_use(conn, &record, NULL) != LIDO_OK)
        return LIDO_TXN_UNKNOWN;
    return state_of(record);
}

static int fail_no_transactions(const struct lido_record *record, struct lido_error *err)
{
    return lido_fail(err, SQLITE_MISUSE, "the driver %s has no transactions",
                     record->pool->config.driver.table->name);
}

/* Undoes what a hook began before one failed.  No rollback hook is asked: it could refuse. */
static void undo_begin(const struct lido_record *record, const struct lido_conn *conn)
{
    const struct lido__driver *driver = &record->pool->config.driver;
    int outcome;

    if (driver->table->rollback != NULL && is_open(record, conn))
        driver->table->rollback(driver->ctx, record->handle, &outcome, NULL);
}

/* The begin hooks, guarded against a begin inside them. */
static int ask_begin_hooks(struct lido_record *record, const struct lido_conn *conn,
                           int *mode, struct lido_error *err)
{
    int rc;

    record->is_beginning = true;
    rc = lido__record_fire(record->pool, record, LIDO__BEGIN, conn, mode, err);
    if (!lido__lease_is_good(record, conn->generation))
        return rc != LIDO_OK ? rc
                             : lido_fail(err, LIDO_STALE, "a begin hook ended the lease");
    record->is_beginning = false;
    if (rc == LIDO_OK && *mode == LIDO_BEGIN_DEFAULT)
        *mode = record->pool->config.begin_mode;
    if (rc == LIDO_OK && (*mode < LIDO_DEFERRED || *mode > LIDO_EXCLUSIVE))
        rc = lido_fail(err, SQLITE_MISUSE, "a begin hook set the mode to %d, which is none",
                       *mode);
    if (rc != LIDO_OK)
        undo_begin(record, conn);
    return rc;
}

int lido_txn_begin(const struct lido_conn *conn, int mode, struct lido_error *err)
{
    const struct lido__driver *driver;
    struct lido_record *record;
    int rc = lido__lease_use(conn, &record, err);

    if (rc != LIDO_OK)
        return rc;
    driver = &record->pool->config.driver;
    if (driver->table->begin == NULL)
        return fail_no_transactions(record, err);
    if (mode < LIDO_BEGIN_DEFAULT || mode > LIDO_EXCLUSIVE)
        return lido_fail(err, SQLITE_MISUSE, "begin mode %d is none", mode);
    if (record->is_beginning)
        return lido_fail(err, LIDO_RECURSION,
                         "a begin hook began a transaction by lido; "
                         "it may issue BEGIN itself, or change the mode");
    if (is_open(record, conn))
        return lido_fail(err, LIDO_IN_TXN, "a transaction is open already");
    if (mode == LIDO_BEGIN_DEFAULT)
        mode = record->pool->config.begin_mode;
    rc = ask_begin_hooks(record, conn, &mode, err);
    if (rc == LIDO_OK && !is_open(record, conn))
        rc = driver->table->begin(driver->ctx, record->handle, mode, err);
    if (rc == LIDO_OK)
        record->has_begun = true;
    return rc;
}

/* A commit that finds no transaction.  `was_there`: it did find one, before the hooks. */
static int fail_none_open(struct lido_record *record, bool was_there, int *outcome,
                          struct lido_error *err)
{
    was_there = was_there || record->has_begun;
    record->has_begun = false;
    /* SQLite rolls back by itself, but SQL text may have been COMMIT: nobody can tell. */
    *outcome = was_there ? LIDO_OUTCOME_UNKNOWN : LIDO_OUTCOME_ROLLED_BACK;
    if (was_there)
        return lido_fail(err, LIDO_TXN_OVER,
                         "the transaction was ended before its commit: "
                         "rolled back by SQLite itself, or ended by SQL text");
    return lido_fail(err, LIDO_NO_TXN, "no transaction is open");
}

/* The commit hooks, and what they left of the transaction.  A hook that finds something
   wrong may roll back by itself and then say so. */
static int ask_commit_hooks(struct lido_record *record, const struct lido_conn *conn,
                            int *outcome, struct lido_error *err)
{
    int over, rc = lido__record_fire(record->pool, record, LIDO__COMMIT, conn, NULL, err);

    if (!lido__lease_is_good(record, conn->generation)) {
        *outcome = LIDO_OUTCOME_UNKNOWN;
        return rc != LIDO_OK ? rc
                             : lido_fail(err, LIDO_STALE, "a commit hook ended the lease");
    }
    *outcome = LIDO_OUTCOME_OPEN;
    if (is_open(record, conn))
        return rc;
    over = fail_none_open(record, true, outcome, rc == LIDO_OK ? err : NULL);
    return rc != LIDO_OK ? rc : over;
}

int lido_txn_commit(const struct lido_conn *conn, int *outcome, struct lido_error *err)
{
    const struct lido__driver *driver;
    struct lido_record *record;
    int unasked, rc;

    if (outcome == NULL)
        outcome = &unasked;
    *outcome = LIDO_OUTCOME_UNKNOWN;
    rc = lido__lease_use(conn, &record, err);
    if (rc != LIDO_OK)
        return rc;
    driver = &record->pool->config.driver;
    if (driver->table->commit == NULL)
        return fail_no_transactions(record, err);
    if (!is_open(record, conn))
        return fail_none_open(record, false, outcome, err);
    rc = ask_commit_hooks(record, conn, outcome, err);
    if (rc != LIDO_OK)
        return rc;
    rc = driver->table->commit(driver->ctx, record->handle, outcome, err);
    if (*outcome != LIDO_OUTCOME_OPEN)
        record->has_begun = false;
    return rc;
}

int lido_txn_rollback(const struct lido_conn *conn, struct lido_error *err)
{
    const struct lido__driver *driver;
    struct lido_record *record;
    int outcome, rc = lido__lease_use(conn, &record, err);

    if (rc != LIDO_OK)
        return rc;
    driver = &record->pool->config.driver;
    if (driver->table->rollback == NULL)
        return fail_no_transactions(record, err);
    if (!is_open(record, conn)) {
        record->has_begun = false;
        return LIDO_OK;
    }
    rc = lido__record_fire(record->pool, record, LIDO__ROLLBACK, conn, NULL, err);
    if (rc != LIDO_OK)
        return rc;
    if (!lido__lease_is_good(record, conn->generation))
        return lido_fail(err, LIDO_STALE, "a rollback hook ended the lease");
    rc = driver->table->rollback(driver->ctx, record->handle, &outcome, err);
    if (rc == LIDO_OK)
        record->has_begun = false;
    return rc;
}
