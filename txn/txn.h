/* SPDX-License-Identifier: MIT */
#ifndef LIDO_TXN_INTERNAL_H
#define LIDO_TXN_INTERNAL_H

/*
 * What the layer above needs of the transactions beside <lido/txn.h>, and what their files
 * share.
 */
#include "driver/statements.h"
#include "pool/pool.h"

/*
 * The wait for SQLite's lock: up to the pool's `timeout` from the first call, in steps of a
 * quarter to one millisecond.  SQLite's own handler sleeps up to 100 ms at a time.
 * `record` is the lido_record whose connection waits; a lido_busy_wait.
 */
int lido__busy_wait(void *record, int count);

#define LIDO__TXN_OVER_TEXT                                                                \
    "the transaction is over: ended by SQLite itself, or by SQL text; end it by "          \
    "lido_txn_rollback() before you go on"

/* txn.c.  True if a transaction is open that is not another lease's. */
bool lido__txn_is_open(const struct lido__cell *cell);
/* True if the lease began one that ended without lido's or the caller's doing, so far as lido
   knows; lido__txn_forget() ends that. */
bool lido__txn_is_over(const struct lido__cell *cell);
/* It is over, and the caller knows: the lease that had it has it no more, and what it had set
   on the connection is undone. */
int lido__txn_forget(struct lido__cell *cell, struct lido_error *err);
/* After hooks of that name ran: is there still a lease, and a connection, and is this the
   process that has them?  LIDO_STALE, LIDO_NO_CONNECTION, LIDO_FORKED. */
int lido__txn_look_again(const struct lido__cell *cell, const struct lido_conn *conn,
                         const char *hook, struct lido_error *err);
/* Rolls back what is open.  No rollback hook is asked: it could refuse. */
void lido__txn_undo(struct lido__cell *cell);
/* Is it a mode that the driver has?  `code` and the reason if not. */
int lido__txn_check_mode(const struct lido_driver *table, int mode, int code,
                         struct lido_error *err);

/*
 * gated.c: a pool's way to the gates.
 *
 * Enters the write gate of the record's file, which has one, for a transaction or a statement
 * that is to write; if it waited then the wait for SQLite's lock ends when that one would have.
 * SQLITE_BUSY, LIDO_DEADLOCK, LIDO_CANCELLED, LIDO_TXN_TIMEOUT, SQLITE_NOMEM.  The record
 * leaves it by lido__record_leave_gate().
 */
extern const struct lido__gate_calls lido__gates;
int lido__gated_enter(struct lido__cell *cell, struct lido_error *err);
bool lido__gated_is_in(const struct lido__cell *cell);
/* The wait for the gate and for SQLite's lock is over: the next one is as long again.  Where
   leases share a transaction they are two, for others may be waiting as well. */
void lido__gated_end_wait(const struct lido__cell *cell);
/* If it is in the gate, that one tells that the lease runs this. */
void lido__gated_note(const struct lido__cell *cell, const char *sql);
/* The same inside SQLite, which has met its lock: a begin hook's own BEGIN comes to the gate
   late, and waits for it until then.  SQLITE_BUSY too if that is none of its business. */
int lido__gated_enter_late(struct lido__cell *cell, int64_t deadline_ns);

/* The text of a wait in vain, if it ended by SQLITE_BUSY or LIDO_DEADLOCK; answers rc. */
struct lido__gate;
int lido__gated_explain(struct lido__gate *gate, int rc, int64_t waited_ms,
                        const char *ring, struct lido_error *err);

/* issue.c: the driver's, which must have them; LIDO_CANCELLED and LIDO_TXN_TIMEOUT where the
   lease is to stop. */
int lido__txn_issue_begin(struct lido__cell *cell, int mode, struct lido_error *err);
int lido__txn_issue_commit(struct lido__cell *cell, int *outcome, struct lido_error *err);
int lido__txn_issue_rollback(struct lido__cell *cell, int *outcome, struct lido_error *err);
int lido__txn_issue_savepoint(struct lido__cell *cell, int what, const char *name,
                              struct lido_error *err);
/* stmt.c.  With the connection's mutex: its statements; NULL if memory is out. */
struct lido__statements *lido__record_statements(struct lido_record *record);

/* error.c: asks the handle_error hooks of an error of the lease, which they may replace; the
   code that it has then.  `sql` may be NULL. */
int lido__error_ask(struct lido__cell *cell, const struct lido_conn *conn, const char *sql,
                    int rc, struct lido_error *story);
/* The same of what the driver answered to BEGIN and the like, if the error `rc` is that; what
   the caller is answered. */
int lido__error_answer(struct lido__cell *cell, const struct lido_conn *conn,
                       const char *sql, int rc, struct lido_error *err);
/* limit.c.  The time limit runs from here, if there is one; and no more. */
void lido__limit_start(struct lido__cell *cell);
void lido__limit_end(struct lido__cell *cell);
/* Before a call of the lease that runs SQL: LIDO_CANCELLED; LIDO_TXN_TIMEOUT, and the
   transaction is rolled back; LIDO_STALE (a rollback hook). */
int lido__txn_must_stop(struct lido__cell *cell, const struct lido_conn *conn,
                        struct lido_error *err);
static inline int lido__txn_may_run(struct lido__cell *cell, const struct lido_conn *conn,
                                    struct lido_error *err)
{
    return lido__lease_may_stop(cell) ? lido__txn_must_stop(cell, conn, err) : LIDO_OK;
}

/* guard.c: what a statement is to the transaction.  Before its run: LIDO_TXN_OVER; waits for
   another lease's; autobegin; the file's gate, if it wants the lock.  After it. */
int lido__txn_before_run(struct lido__cell *cell, const struct lido_conn *conn,
                         enum lido__verb verb, bool is_readonly, bool wants_lock,
                         struct lido_error *err);
void lido__txn_after_run(struct lido__cell *cell);
/* A statement that writes has to come by the gate first: it is a transaction by itself, or the
   first that writes in one that did not. */
bool lido__txn_goes_by_gate(const struct lido__cell *cell);
/* After a text that is BEGIN, COMMIT or the like. */
void lido__txn_after_text(struct lido__cell *cell, bool was_open, bool has_succeeded);

#endif
