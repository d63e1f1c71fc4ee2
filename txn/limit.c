/* SPDX-License-Identifier: MIT */
/*
 * The time limit of a transaction, and whether a lease may go on.
 *
 *     begin --limit starts--> open --over--> the next call rolls back, and answers
 *                                            LIDO_TXN_TIMEOUT until the caller ends it
 *
 * Nobody watches the clock for it: who works for the lease looks (pool/stop.c).
 *
 * Threads: the one that checked the connection out.  No mutex of SQLite's is held.
 */
#include "txn/txn.h"
#include <lido/txn.h>

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

int lido__txn_must_stop(struct lido__cell *cell, const struct lido_conn *conn,
                        struct lido_error *err)
{
    int stop;

    /* It was ended by another lease that shares it, or by raw SQL. */
    if (cell->has_limit && !cell->is_beginning && !lido__txn_is_open(cell))
        cell->has_limit = false;
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
    if (cell->is_beginning ||
        (cell->has_begun && lido__txn_is_open(cell) && !cell->has_timed_out))
        lido__limit_start(cell);
    return LIDO_OK;
}
