/* SPDX-License-Identifier: MIT */
#ifndef LIDO_TXN_INTERNAL_H
#define LIDO_TXN_INTERNAL_H

/*
 * What the layer above needs of the transactions beside <lido/txn.h>.
 */

#include "driver/statements.h"
#include "pool/pool.h"

/*
 * The wait for SQLite's lock: up to the pool's `timeout` from the first call, in steps of a
 * quarter to one millisecond.  SQLite's own handler sleeps up to 100 ms at a time.
 * `record` is the lido_record whose connection waits; a lido_busy_wait.
 */
int lido__busy_wait(void *record, int count);

/* txn.c.  True if a transaction is open that is not another lease's. */
bool lido__txn_is_open(const struct lido__cell *cell);
/* It is over, and the caller knows. */
void lido__txn_forget(struct lido__cell *cell);

/* drive.c: the driver's part, as the driver's table has it; LIDO_CANCELLED and LIDO_TXN_TIMEOUT
   where the lease is to stop. */
int lido__drive_begin(struct lido__cell *cell, int mode, struct lido_error *err);
int lido__drive_commit(struct lido__cell *cell, int *outcome, struct lido_error *err);
int lido__drive_rollback(struct lido__cell *cell, int *outcome, struct lido_error *err);
/* The time limit runs from here, if there is one; and no more. */
void lido__limit_start(struct lido__cell *cell);
void lido__limit_end(struct lido__cell *cell);
/* Before a call of the lease that runs SQL: LIDO_CANCELLED; LIDO_TXN_TIMEOUT, and the
   transaction is rolled back; LIDO_STALE (a rollback hook). */
int lido__txn_may_run(struct lido__cell *cell, const struct lido_conn *conn,
                      struct lido_error *err);

/* guard.c: what a statement is to the transaction.  Before its run: LIDO_TXN_OVER; waits for
   another lease's; autobegin.  After it. */
int lido__txn_before_run(struct lido__cell *cell, const struct lido_conn *conn,
                         enum lido__verb verb, bool is_readonly, struct lido_error *err);
void lido__txn_after_run(struct lido__cell *cell);
/* After a text that is BEGIN, COMMIT or the like. */
void lido__txn_after_text(struct lido__cell *cell, bool was_open, bool has_succeeded);

#endif
