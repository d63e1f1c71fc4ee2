/* SPDX-License-Identifier: MIT */
/*
 * The driver's begin, commit and rollback for one lease, and the time limit of a transaction.
 *
 * What stops a lease ends a BEGIN and the wait of a COMMIT for the lock; neither a COMMIT that
 * has got it nor a ROLLBACK is interrupted.
 *
 *     begin --limit starts--> open --over--> the next call rolls back, and answers
 *                                            LIDO_TXN_TIMEOUT until the caller ends it
 *
 * Threads: the one that checked the connection out.  No mutex of SQLite's is held.
 */
#include "txn/txn.h"
#include <lido/txn.h>

/* Where threads share the connection the others wait: `runner` is true for what runs. */
static sqlite3_mutex *enter(const struct lido__cell *cell, uint64_t *before)
{
    struct lido_record *record = lido__cell_record(cell);
    const unsigned capabilities = record->pool->config.driver.table->capabilities;
    sqlite3_mutex *mutex = NULL;

    if (record->pool->sharing == LIDO__SHARE_ALL &&
        (capabilities & LIDO_DRIVER_IS_SQLITE) != 0)
        mutex = sqlite3_db_mutex(record->handle);
    sqlite3_mutex_enter(mutex);
    *before = lido__runner_set(record, (uintptr_t)cell);
    return mutex;
}

static void leave(const struct lido__cell *cell, sqlite3_mutex *mutex, uint64_t before)
{
    lido__runner_set(lido__cell_record(cell), before);
    sqlite3_mutex_leave(mutex);
}

int lido__drive_begin(struct lido__cell *cell, int mode, struct lido_error *err)
{
    const struct lido_record *record = lido__cell_record(cell);
    const struct lido__driver *driver = &record->pool->config.driver;
    uint64_t before;
    sqlite3_mutex *mutex = enter(cell, &before);
    int rc = driver->table->begin(driver->ctx, record->handle, mode, err);

    leave(cell, mutex, before);
    return rc == LIDO_OK ? rc : lido__lease_explain(cell, rc, "BEGIN", err);
}

int lido__drive_commit(struct lido__cell *cell, int *outcome, struct lido_error *err)
{
    const struct lido_record *record = lido__cell_record(cell);
    const struct lido__driver *driver = &record->pool->config.driver;
    uint64_t before;
    sqlite3_mutex *mutex = enter(cell, &before);
    int rc;

    cell->is_ending = true;
    rc = driver->table->commit(driver->ctx, record->handle, outcome, err);
    cell->is_ending = false;
    leave(cell, mutex, before);
    return rc == LIDO_OK ? rc : lido__lease_explain(cell, rc, "COMMIT", err);
}

int lido__drive_rollback(struct lido__cell *cell, int *outcome, struct lido_error *err)
{
    const struct lido_record *record = lido__cell_record(cell);
    const struct lido__driver *driver = &record->pool->config.driver;
    uint64_t before;
    sqlite3_mutex *mutex = enter(cell, &before);
    int rc;

    cell->is_ending = true;
    rc = driver->table->rollback(driver->ctx, record->handle, outcome, err);
    cell->is_ending = false;
    leave(cell, mutex, before);
    return rc;
}

/* --- the limit -------------------------------------------------------------------------- */

void lido__limit_start(struct lido__cell *cell)
{
    const struct lido__pool_config *config = &lido__cell_record(cell)->pool->config;
    int64_t limit_ms = cell->has_own_limit ? cell->limit_ms : config->txn_limit_ms;

    cell->has_timed_out = false;
    cell->has_limit = limit_ms >= 0;
    if (cell->has_limit)
        cell->limit_ends_ns = lido__deadline_ns(config->clock, limit_ms);
}

void lido__limit_end(struct lido__cell *cell)
{
    cell->has_limit = cell->has_timed_out = false;
}

/* The transaction has been open for too long. */
static void end_in_time(struct lido__cell *cell, const struct lido_conn *conn)
{
    struct lido_error why = LIDO_ERROR_INIT;
    lido_pool *pool = lido__cell_record(cell)->pool;
    int rc = lido_txn_rollback(conn, &why);

    if (rc != LIDO_OK)
        lido__log(pool, LIDO_LOG_ERROR, "rolling back for its limit answered %s: %s",
                  lido_status_name(rc), why.text);
    if (!lido__lease_is_good(cell, conn->generation))
        return;
    cell->has_begun = true; /* as far as the caller knows */
    cell->has_timed_out = true;
}

int lido__txn_may_run(struct lido__cell *cell, const struct lido_conn *conn,
                      struct lido_error *err)
{
    int stop;

    if (!lido__lease_may_stop(cell))
        return LIDO_OK;
    stop = lido__lease_stop(cell);
    if (stop == LIDO_CANCELLED)
        return lido_fail(err, stop,
                         "the lease was cancelled: roll back and check in, or reset the "
                         "token");
    if (stop == LIDO_TXN_TIMEOUT && lido__txn_is_open(cell))
        end_in_time(cell, conn);
    if (!lido__lease_is_good(cell, conn->generation))
        return lido_fail(err, LIDO_STALE, "a rollback hook ended the lease");
    return cell->has_timed_out
               ? lido_fail(err, LIDO_TXN_TIMEOUT,
                           "the time limit of the transaction is over: end it by "
                           "lido_txn_rollback() before the next statement")
               : LIDO_OK;
}

int lido_txn_limit(const struct lido_conn *conn, int64_t limit_ms, struct lido_error *err)
{
    struct lido__cell *cell;
    int rc = lido__lease_use(conn, &cell, err);

    if (rc != LIDO_OK)
        return rc;
    if (limit_ms < -1)
        return lido_fail(err, LIDO_BAD_OPTION, "limit_ms is %lld, the least is -1",
                         (long long)limit_ms);
    cell->has_own_limit = true;
    cell->limit_ms = limit_ms;
    if (lido__txn_is_open(cell) && !cell->has_timed_out)
        lido__limit_start(cell);
    return LIDO_OK;
}
