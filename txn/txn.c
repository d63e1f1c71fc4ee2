/* SPDX-License-Identifier: MIT */
/*
 * Begin, commit and roll back, with their hooks.
 *
 * Hooks run before the driver is called, as in SQLAlchemy.  A begin hook may issue its own
 * BEGIN: whether it did is what the driver says afterwards, and then lido begins no second.
 * `has_begun` of the lease is not a state of the transaction, which only SQLite knows; it
 * tells a commit that finds none whether there ever was one, for the right code and text.
 *
 * Threads: the one that checked the connection out.
 */
#include "txn/txn.h"
#include <lido/txn.h>

static int state_of(const struct lido_record *record)
{
    const struct lido__driver *driver = &record->pool->config.driver;

    return driver->table->txn_state(driver->ctx, record->handle);
}

bool lido__txn_is_open(const struct lido__cell *cell)
{
    return lido__share_txn_is_mine(cell) && lido__record_is_in_txn(lido__cell_record(cell));
}

bool lido__txn_is_over(const struct lido__cell *cell)
{
    const lido_pool *pool = lido__cell_record(cell)->pool;

    /* Where all leases have one transaction any of them may have ended it. */
    return cell->has_begun && !pool->config.shared_transaction && !lido__txn_is_open(cell);
}

int lido_txn_state(const struct lido_conn *conn)
{
    struct lido__cell *cell;

    if (lido__lease_use_connected(conn, &cell, NULL) != LIDO_OK)
        return LIDO_TXN_UNKNOWN;
    return state_of(lido__cell_record(cell));
}

static int fail_no_transactions(const struct lido_record *record, struct lido_error *err)
{
    return lido_fail(err, SQLITE_MISUSE, "the driver %s has no transactions",
                     record->pool->config.driver.table->name);
}

static int fire(const struct lido__cell *cell, enum lido__event event,
                const struct lido_conn *conn, int *mode, struct lido_error *err)
{
    struct lido_record *record = lido__cell_record(cell);
    struct lido_event special;

    if (!lido__hooks_want(&record->pool->hooks, event))
        return LIDO_OK;
    special = (struct lido_event){ .conn = conn, .begin_mode = mode };
    return lido__record_fire(record->pool, record, event, &special, err);
}

void lido__txn_undo(struct lido__cell *cell)
{
    const struct lido_record *record = lido__cell_record(cell);
    int outcome;

    if (record->pool->config.driver.table->rollback != NULL && lido__txn_is_open(cell))
        lido__txn_issue_rollback(cell, &outcome, NULL);
}

int lido__txn_look_again(const struct lido__cell *cell, const struct lido_conn *conn,
                         const char *hook, struct lido_error *err)
{
    if (lido__is_forked())
        return lido__fail_forked(err);
    if (!lido__lease_is_good(cell, conn->generation))
        return lido_fail(err, LIDO_STALE, "a %s hook ended the lease", hook);
    if (lido__cell_record(cell)->handle == NULL)
        return lido_fail(err, LIDO_NO_CONNECTION, "a %s hook closed the connection", hook);
    return LIDO_OK;
}

int lido__txn_check_mode(const struct lido_driver *table, int mode, int code,
                         struct lido_error *err)
{
    bool is_sqlite = (table->capabilities & LIDO_DRIVER_IS_SQLITE) != 0;

    if (mode < LIDO_DEFERRED || mode > LIDO_CONCURRENT)
        return lido_fail(err, code, "begin mode %d is none", mode);
    if (mode == LIDO_READ && table->property == NULL)
        return lido_fail(err, code, "the driver %s has no transactions that refuse writes",
                         table->name);
    if (mode == LIDO_CONCURRENT && (table->capabilities & LIDO_DRIVER_HAS_CONCURRENT) == 0)
        return lido_fail(err, code, "the driver %s has no BEGIN CONCURRENT%s%s",
                         table->name, is_sqlite ? ": it is not in SQLite " : "",
                         is_sqlite ? sqlite3_libversion() : "");
    return LIDO_OK;
}

int lido__txn_forget(struct lido__cell *cell, struct lido_error *err)
{
    int rc = LIDO_OK;

    cell->has_begun = false;
    if (lido__share_txn_is_mine(cell))
        rc = lido__record_restore(lido__cell_record(cell), err);
    if (cell->is_beginning) /* the one that a hook ended was not that which begins */
        return rc;
    lido__limit_end(cell);
    if (lido__share_txn_is_mine(cell))
        lido__record_leave_gate(lido__cell_record(cell));
    lido__share_txn_leave(cell);
    return rc;
}

/* The begin hooks, guarded against a begin inside them. */
static int ask_begin_hooks(struct lido__cell *cell, const struct lido_conn *conn, int *mode,
                           struct lido_error *err)
{
    const lido_pool *pool = lido__cell_record(cell)->pool;
    int rc, gone;

    cell->is_beginning = true;
    rc = fire(cell, LIDO__BEGIN, conn, mode, err);
    gone = lido__txn_look_again(cell, conn, "begin", rc == LIDO_OK ? err : NULL);
    if (gone != LIDO_STALE)
        cell->is_beginning = false;
    if (gone != LIDO_OK)
        return rc != LIDO_OK ? rc : gone;
    if (rc == LIDO_OK && *mode == LIDO_BEGIN_DEFAULT)
        *mode = pool->config.begin_mode;
    if (rc == LIDO_OK && (*mode < LIDO_DEFERRED || *mode > LIDO_CONCURRENT))
        rc = lido_fail(err, SQLITE_MISUSE, "a begin hook set the mode to %d, which is none",
                       *mode);
    if (rc == LIDO_OK)
        rc = lido__txn_check_mode(pool->config.driver.table, *mode, SQLITE_MISUSE, err);
    if (rc != LIDO_OK)
        lido__txn_undo(cell); /* a hook may have begun one before another failed */
    return rc;
}

/* What a begin hook began is respected, in whatever mode. */
static int issue(struct lido__cell *cell, int mode, struct lido_error *err)
{
    struct lido_record *record = lido__cell_record(cell);
    int rc = mode == LIDO_READ ? lido__record_restrict(record, err) : LIDO_OK;

    if (rc != LIDO_OK)
        lido__txn_undo(cell);
    else if (!lido__txn_is_open(cell))
        rc = cell->trouble = lido__txn_issue_begin(cell, mode, err);
    if (rc != LIDO_OK)
        lido__record_restore(record, NULL);
    return rc;
}

static bool takes_lock(int mode)
{
    return mode == LIDO_IMMEDIATE || mode == LIDO_EXCLUSIVE;
}

/* A transaction that takes SQLite's lock at once goes by the file's gate, if that has one. */
static int enter_gate(struct lido__cell *cell, bool will_lock, struct lido_error *err)
{
    if (lido__cell_record(cell)->file_gate == NULL || !will_lock)
        return LIDO_OK;
    return lido__gated_enter(cell, err);
}

/* What hooks did when they were asked for neither a lock nor a mere reader: the next such begin
   expects it of them.  Where they were asked for one they may go by that. */
static bool tells_of_hooks(int asked)
{
    return !takes_lock(asked) && asked != LIDO_READ;
}

/* After the hooks.  One made it a mode that locks, or has begun one itself: then the lease has
   the lock already, and those who come through the gate are to wait there.  Hooks that do so do
   it again, most likely: the next begin enters before them. */
static int enter_gate_late(struct lido__cell *cell, int asked, int mode,
                           struct lido_error *err)
{
    struct lido_record *record = lido__cell_record(cell);
    const bool has_lock = record->file_gate != NULL && lido__txn_is_open(cell) &&
                          state_of(record) == LIDO_TXN_WRITE;
    int rc = enter_gate(cell, has_lock || takes_lock(mode), err);

    if (tells_of_hooks(asked) && lido__read(&record->pool->hooks_lock) != has_lock)
        lido__write(&record->pool->hooks_lock, has_lock);
    if (!has_lock && !takes_lock(mode))
        lido__record_leave_gate(record);
    if (rc != LIDO_OK)
        lido__txn_undo(cell);
    return rc;
}

static int begin_by_gate(struct lido__cell *cell, const struct lido_conn *conn, int mode,
                         struct lido_error *err)
{
    const lido_pool *pool = lido__cell_record(cell)->pool;
    const bool has_hooks = lido__hooks_want(&pool->hooks, LIDO__BEGIN);
    const bool will_lock = takes_lock(mode) || (has_hooks && tells_of_hooks(mode) &&
                                                lido__read(&pool->hooks_lock) != 0);
    const int asked = mode;
    int rc = enter_gate(cell, will_lock, err);

    if (rc == LIDO_OK && has_hooks) {
        rc = ask_begin_hooks(cell, conn, &mode, err);
        if (rc == LIDO_OK)
            rc = enter_gate_late(cell, asked, mode, err);
    }
    return rc == LIDO_OK ? issue(cell, mode, err) : rc;
}

/* With the transaction of a shared connection in hand. */
static int begin(struct lido__cell *cell, const struct lido_conn *conn, int mode,
                 struct lido_error *err)
{
    struct lido_record *record = lido__cell_record(cell);
    int rc;

    if (lido__record_is_in_txn(record))
        return lido_fail(err, LIDO_IN_TXN, "a transaction is open already");
    if (mode == LIDO_BEGIN_DEFAULT)
        mode = record->pool->config.begin_mode;
    rc = lido__record_restore(record, err); /* of one that SQL text ended */
    if (rc == LIDO_OK)
        rc = begin_by_gate(cell, conn, mode, err);
    if (lido__lease_is_good(cell, conn->generation)) {
        lido__gated_end_wait(cell);
        if (rc != LIDO_OK)
            lido__record_leave_gate(record);
    }
    if (rc != LIDO_OK)
        return rc;
    cell->has_begun = true;
    lido__share_txn_begun(cell);
    return LIDO_OK;
}

/* Of a begin that failed: unless a statement of the lease runs still. */
static void give_turn_back(struct lido__cell *cell)
{
    const struct lido_record *record = lido__cell_record(cell);

    /* Only SQLite's has statements. */
    if (record->handle == NULL || record->statements == NULL)
        lido__share_txn_leave(cell);
    else
        lido__txn_after_run(cell);
}

int lido_txn_begin(const struct lido_conn *conn, int mode, struct lido_error *err)
{
    struct lido_record *record;
    struct lido__cell *cell;
    int rc = lido__lease_use_connected(conn, &cell, err);

    if (rc != LIDO_OK)
        return rc;
    record = lido__cell_record(cell);
    if (record->pool->config.driver.table->begin == NULL)
        return fail_no_transactions(record, err);
    if (mode != LIDO_BEGIN_DEFAULT) {
        rc = lido__txn_check_mode(record->pool->config.driver.table, mode, SQLITE_MISUSE,
                                  err);
        if (rc != LIDO_OK)
            return rc;
    }
    if (cell->is_beginning)
        return lido_fail(err, LIDO_RECURSION,
                         "a begin hook began a transaction by lido; "
                         "it may issue BEGIN itself, or change the mode");
    rc = lido__txn_may_run(cell, conn, err);
    if (rc != LIDO_OK)
        return rc;
    if (lido__txn_is_open(cell))
        return lido_fail(err, LIDO_IN_TXN, "a transaction is open already");
    if (lido__txn_is_over(cell))
        return lido_fail(err, LIDO_TXN_OVER, LIDO__TXN_OVER_TEXT);
    lido__limit_start(cell);
    cell->trouble = LIDO_OK; /* a hook's own error may be the same as one of before */
    rc = lido__share_txn_enter(cell, conn->generation, err);
    if (rc ==
        SQLITE_BUSY) /* as good as SQLite's: it is its connection that is waited for */
        cell->trouble = rc;
    if (rc == LIDO_OK) {
        rc = begin(cell, conn, mode, err);
        if (rc != LIDO_OK && lido__lease_is_good(cell, conn->generation))
            give_turn_back(cell);
    }
    if (rc != LIDO_OK && lido__lease_is_good(cell, conn->generation))
        lido__limit_end(cell);
    return rc == LIDO_OK ? rc : lido__error_answer(cell, conn, "BEGIN", rc, err);
}

/* A commit that finds no transaction.  `was_there`: it did find one, before the hooks. */
static int fail_none_open(struct lido__cell *cell, bool was_there, int *outcome,
                          struct lido_error *err)
{
    was_there = was_there || cell->has_begun;
    lido__txn_forget(cell, NULL); /* the check-in undoes what this could not */
    /* SQLite rolls back by itself, but SQL text may have been COMMIT: nobody can tell.  And
       where none was there the one before may have been committed. */
    *outcome = LIDO_OUTCOME_UNKNOWN;
    if (was_there)
        return lido_fail(err, LIDO_TXN_OVER,
                         "the transaction was ended before its commit: "
                         "rolled back by SQLite itself, or ended by SQL text");
    return lido_fail(err, LIDO_NO_TXN, "no transaction is open");
}

/* The commit hooks, and what they left of the transaction.  A hook that finds something
   wrong may roll back by itself and then say so. */
static int ask_commit_hooks(struct lido__cell *cell, const struct lido_conn *conn,
                            int *outcome, struct lido_error *err)
{
    int rc = fire(cell, LIDO__COMMIT, conn, NULL, err), over;

    over = lido__txn_look_again(cell, conn, "commit", rc == LIDO_OK ? err : NULL);
    if (over != LIDO_OK) {
        *outcome = LIDO_OUTCOME_UNKNOWN;
        return rc != LIDO_OK ? rc : over;
    }
    *outcome = LIDO_OUTCOME_OPEN;
    if (lido__txn_is_open(cell))
        return rc;
    over = fail_none_open(cell, true, outcome, rc == LIDO_OK ? err : NULL);
    return rc != LIDO_OK ? rc : over;
}

/* A lease that is to stop commits nothing.  Where none is open it may have been SQL text that
   ended it, but for one that ran out of time. */
static int refuse_commit(struct lido__cell *cell, const struct lido_conn *conn, int rc,
                         int *outcome)
{
    if (!lido__lease_is_good(cell, conn->generation))
        return rc;
    if (lido__txn_is_open(cell)) {
        *outcome = LIDO_OUTCOME_OPEN;
        return rc;
    }
    *outcome = rc == LIDO_TXN_TIMEOUT || !cell->has_begun ? LIDO_OUTCOME_ROLLED_BACK
                                                          : LIDO_OUTCOME_UNKNOWN;
    if (rc == LIDO_TXN_TIMEOUT) {
        lido__txn_forget(cell, NULL); /* now the caller knows */
    } else {
        if (lido__share_txn_is_mine(cell))
            lido__record_leave_gate(lido__cell_record(cell));
        lido__share_txn_leave(cell);
    }
    return rc;
}

int lido_txn_commit(const struct lido_conn *conn, int *outcome, struct lido_error *err)
{
    const struct lido__driver *driver;
    struct lido_record *record;
    struct lido__cell *cell;
    int unasked, rc, over;

    if (outcome == NULL)
        outcome = &unasked;
    *outcome = LIDO_OUTCOME_UNKNOWN;
    rc = lido__lease_use_connected(conn, &cell, err);
    if (rc != LIDO_OK)
        return rc;
    record = lido__cell_record(cell);
    driver = &record->pool->config.driver;
    if (driver->table->commit == NULL)
        return fail_no_transactions(record, err);
    lido__share_txn_claim(cell);
    rc = lido__txn_may_run(cell, conn, err);
    if (rc != LIDO_OK)
        return refuse_commit(cell, conn, rc, outcome);
    if (!lido__txn_is_open(cell))
        return fail_none_open(cell, false, outcome, err);
    rc = ask_commit_hooks(cell, conn, outcome, err);
    if (rc != LIDO_OK)
        return rc;
    rc = cell->trouble = lido__txn_issue_commit(cell, outcome, err);
    over = *outcome != LIDO_OUTCOME_OPEN
               ? lido__txn_forget(cell, rc == LIDO_OK ? err : NULL)
               : LIDO_OK;
    return rc != LIDO_OK ? lido__error_answer(cell, conn, "COMMIT", rc, err) : over;
}

int lido_txn_rollback(const struct lido_conn *conn, struct lido_error *err)
{
    const struct lido__driver *driver;
    struct lido_record *record;
    struct lido__cell *cell;
    int outcome, over, rc = lido__lease_use_connected(conn, &cell, err);

    if (rc != LIDO_OK)
        return rc;
    record = lido__cell_record(cell);
    driver = &record->pool->config.driver;
    if (driver->table->rollback == NULL)
        return fail_no_transactions(record, err);
    lido__share_txn_claim(cell);
    if (!lido__txn_is_open(cell))
        return lido__txn_forget(cell, err);
    rc = fire(cell, LIDO__ROLLBACK, conn, NULL, err);
    if (rc == LIDO_OK)
        rc = lido__txn_look_again(cell, conn, "rollback", err);
    if (rc != LIDO_OK)
        return rc;
    rc = cell->trouble = lido__txn_issue_rollback(cell, &outcome, err);
    over = rc == LIDO_OK || !lido__txn_is_open(cell)
               ? lido__txn_forget(cell, rc == LIDO_OK ? err : NULL)
               : LIDO_OK;
    return rc != LIDO_OK ? lido__error_answer(cell, conn, "ROLLBACK", rc, err) : over;
}
