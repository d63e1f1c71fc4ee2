/* SPDX-License-Identifier: MIT */
/*
 * What a statement is to the transaction around it.
 *
 * One that lido began and SQLite ended is over until the caller ends it: a statement that ran
 * all the same would be committed by itself.  On a connection that threads share each run
 * holds the transaction, so that no other lease sees what is not committed, or writes into it.
 * And with `autobegin` a statement begins the transaction that it needs.
 *
 * One that writes with no transaction open is one by itself, and goes by the file's gate; so
 * does the first that writes in a transaction that did not begin there.  Temporary tables are
 * the connection's own, and no matter of the file's.
 *
 * Threads: the one that checked the connection out.  No mutex of SQLite's is held.
 */
#include "txn/txn.h"
#include <lido/txn.h>

static bool is_waited_for(const lido_pool *pool)
{
    return pool->sharing == LIDO__SHARE_ALL && !pool->config.shared_transaction;
}

static int state_of(const struct lido_record *record)
{
    const struct lido__driver *driver = &record->pool->config.driver;

    return driver->table->txn_state(driver->ctx, record->handle);
}

/* True if the pool is to begin a transaction for the statement. */
static bool needs_begin(const struct lido__cell *cell, enum lido__verb verb,
                        bool is_readonly)
{
    const struct lido_record *record = lido__cell_record(cell);
    const int autobegin = record->pool->config.autobegin;

    return autobegin != LIDO_AUTOBEGIN_OFF && verb == LIDO__VERB_OTHER &&
           (autobegin == LIDO_AUTOBEGIN_READ || !is_readonly) && !cell->is_beginning &&
           !cell->is_autocommit && !lido__record_is_in_txn(record);
}

static int begin_or_wait(struct lido__cell *cell, const struct lido_conn *conn,
                         enum lido__verb verb, bool is_readonly, struct lido_error *err)
{
    const lido_pool *pool = lido__cell_record(cell)->pool;
    int rc = lido__txn_may_run(cell, conn, err);

    if (rc != LIDO_OK)
        return rc;
    if (lido__txn_is_over(cell))
        return lido_fail(err, LIDO_TXN_OVER, LIDO__TXN_OVER_TEXT);
    if (needs_begin(cell, verb, is_readonly))
        return lido_txn_begin(conn, LIDO_BEGIN_DEFAULT, err);
    if (!is_waited_for(pool) || lido__share_txn_is_mine(cell))
        return LIDO_OK;
    rc = lido__share_txn_enter(cell, conn->generation, err);
    if (rc == LIDO_OK && !lido__record_is_in_txn(lido__cell_record(cell)))
        rc = lido__record_restore(lido__cell_record(cell), err); /* of another's, over */
    return rc;
}

/* Has it the lock of its file, and not of its temporary tables alone? */
static bool has_lock(const struct lido_record *record)
{
    return state_of(record) == LIDO_TXN_WRITE &&
           (sqlite3_txn_state(record->handle, "temp") != SQLITE_TXN_WRITE ||
            sqlite3_txn_state(record->handle, "main") == SQLITE_TXN_WRITE);
}

bool lido__txn_goes_by_gate(const struct lido__cell *cell)
{
    const struct lido_record *record = lido__cell_record(cell);

    return record->file_gate != NULL && !record->pool->config.shared_transaction &&
           lido__read(&record->is_restricted) == 0 && /* else SQLite refuses it */
           !lido__gated_is_in(cell) && !has_lock(record);
}

int lido__txn_before_run(struct lido__cell *cell, const struct lido_conn *conn,
                         enum lido__verb verb, bool is_readonly, bool wants_lock,
                         struct lido_error *err)
{
    int rc = begin_or_wait(cell, conn, verb, is_readonly, err);

    if (rc == LIDO_OK && wants_lock && lido__txn_goes_by_gate(cell))
        rc = lido__gated_enter(cell, err);
    return rc;
}

/* A write by itself is done, or SQLite has rolled back.  Another statement may be in the middle
   of its rows. */
static void leave_gate_if_over(const struct lido__cell *cell)
{
    struct lido_record *record = lido__cell_record(cell);

    if (cell->is_beginning || record->handle == NULL || !lido__share_txn_is_mine(cell) ||
        lido__record_is_in_txn(record) || state_of(record) == LIDO_TXN_WRITE)
        return;
    lido__record_leave_gate(record);
}

void lido__txn_after_run(struct lido__cell *cell)
{
    struct lido_record *record = lido__cell_record(cell);
    sqlite3_mutex *mutex;
    bool is_running;

    if (lido__read(&record->is_in_gate) != 0)
        leave_gate_if_over(cell);
    if (!is_waited_for(record->pool) || record->handle == NULL ||
        !lido__share_txn_is_mine(cell))
        return;
    mutex = sqlite3_db_mutex(record->handle);
    sqlite3_mutex_enter(mutex);
    is_running = lido__statements_run(record->statements, cell);
    sqlite3_mutex_leave(mutex);
    if (!is_running && !lido__record_is_in_txn(record) && !cell->has_begun &&
        !cell->is_beginning)
        lido__share_txn_leave(cell);
}

void lido__txn_after_text(struct lido__cell *cell, bool was_open, bool has_succeeded)
{
    bool is_open = lido__record_is_in_txn(lido__cell_record(cell));

    if (!has_succeeded || was_open == is_open)
        return;
    if (!is_open) {
        lido__txn_forget(cell, NULL);
    } else {
        cell->has_begun = true;
        lido__limit_start(cell);
        lido__share_txn_begun(cell);
    }
}
