/* SPDX-License-Identifier: MIT */
#ifndef LIDO_TXN_H
#define LIDO_TXN_H

#include <lido/conn.h>
#include <lido/status.h>

/*
 * Transactions on a lease.
 *
 * lido keeps no count of its own: whether a transaction is open, and how it ended, is what
 * SQLite says (sqlite3_get_autocommit, sqlite3_txn_state).  SQL text that begins or ends
 * one by itself is therefore seen like any other.
 */

#ifdef __cplusplus
extern "C" {
#endif

/* How a transaction begins: the lock that is taken at once.
   https://sqlite.org/lang_transaction.html */
#define LIDO_BEGIN_DEFAULT 0 /* as the pool's `begin` says */
#define LIDO_DEFERRED      1 /* none: the first statement takes what it needs */
#define LIDO_IMMEDIATE     2 /* the write lock */
#define LIDO_EXCLUSIVE     3 /* the write lock, and in rollback-journal mode no readers */

/* What SQLite says of the transaction now. */
#define LIDO_TXN_NONE    0 /* none is open */
#define LIDO_TXN_OPEN    1 /* begun, nothing read or written */
#define LIDO_TXN_READ    2 /* has read; also a running SELECT outside of BEGIN */
#define LIDO_TXN_WRITE   3 /* holds the write lock */
#define LIDO_TXN_UNKNOWN 4 /* the driver cannot tell */

/* How a commit or a rollback ended.  Unknown: COMMIT was interrupted when it may have been
   done, SQL text had ended the transaction before, or a remote driver lost its answer. */
#define LIDO_OUTCOME_UNKNOWN     0
#define LIDO_OUTCOME_COMMITTED   1
#define LIDO_OUTCOME_ROLLED_BACK 2 /* by the call, or by SQLite in it */
#define LIDO_OUTCOME_OPEN        3 /* still open: COMMIT met SQLITE_BUSY; try again */

/*
 * Begins a transaction.  The begin hooks run first and may change the mode; one that issued
 * its own BEGIN is respected, and lido does not begin a second.  If the lock is taken by
 * another connection it waits up to the pool's `timeout`.
 *
 * Threads:   the one that checked conn out.
 * Fails:     SQLITE_BUSY (the lock was not free in time, or on a static pool the transaction
 *            of another lease did not end), LIDO_IN_TXN (also: another lease of this thread
 *            on the same connection has one), LIDO_RECURSION, LIDO_STALE,
 *            LIDO_NO_CONNECTION, LIDO_WRONG_THREAD, LIDO_FORKED, SQLITE_MISUSE (no such
 *            mode), LIDO_CANCELLED, LIDO_TXN_TIMEOUT; what a hook returned.
 */
LIDO_API int lido_txn_begin(const struct lido_conn *conn, int mode,
                            struct lido_error *err) LIDO_CHECKED;

/*
 * Commits.  *outcome (NULL allowed) says what is true afterwards, whatever is returned: a
 * COMMIT that met SQLITE_BUSY is still open and may be tried again.
 *
 * Threads:   the one that checked conn out.
 * Fails:     SQLITE_BUSY, LIDO_CANCELLED (it is open still), LIDO_TXN_TIMEOUT, LIDO_NO_TXN,
 *            LIDO_TXN_OVER (SQLite rolled it back by itself, or SQL text ended it, by COMMIT
 *            perhaps: the outcome is unknown), LIDO_STALE, LIDO_NO_CONNECTION,
 *            LIDO_WRONG_THREAD, LIDO_FORKED; what SQLite or a hook returned.
 */
LIDO_API int lido_txn_commit(const struct lido_conn *conn, int *outcome,
                             struct lido_error *err) LIDO_CHECKED;

/*
 * Rolls back.  Where no transaction is open, also because SQLite ended it by itself, it
 * does nothing and succeeds.  A statement that still runs answers SQLITE_ABORT_ROLLBACK at
 * its next step, as SQLite has it.
 *
 * Threads:   the one that checked conn out.
 * Fails:     LIDO_STALE, LIDO_NO_CONNECTION, LIDO_WRONG_THREAD, LIDO_FORKED; what SQLite or
 *            a hook returned.
 */
LIDO_API int lido_txn_rollback(const struct lido_conn *conn, struct lido_error *err);

/*
 * How long a transaction of this lease may take, from its begin on, the wait for its lock
 * included: the one that is open, from now, and those to come.  -1: as long as it likes.  What
 * is not set here is the pool's `txn_limit`.
 *
 * When the time is over, running SQL and the wait for a lock end, as <lido/cancel.h> has it,
 * and answer LIDO_TXN_TIMEOUT.  One that is idle then stays as it is, with its locks, until the
 * next statement, begin or commit of the lease: that rolls back, with the rollback hooks, and
 * answers LIDO_TXN_TIMEOUT too, and so does each further one until lido_txn_rollback() or
 * lido_txn_commit() end it, so that nothing runs outside of it by accident.  A COMMIT under way
 * is not interrupted: only its wait for the lock ends.  A transaction that lido does not see
 * begin, by raw SQL, has no limit.
 *
 * Threads:   the one that checked conn out.
 * Fails:     LIDO_BAD_OPTION (less than -1), LIDO_STALE, LIDO_WRONG_THREAD, LIDO_FORKED.
 */
LIDO_API int lido_txn_limit(const struct lido_conn *conn, int64_t limit_ms,
                            struct lido_error *err);

/*
 * LIDO_TXN_NONE ... LIDO_TXN_UNKNOWN; the last also for a lease that is over or belongs to
 * another thread.
 *
 * Threads:   the one that checked conn out.
 */
LIDO_API int lido_txn_state(const struct lido_conn *conn);

#ifdef __cplusplus
}
#endif
#endif
