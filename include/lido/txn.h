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
#define LIDO_READ          4 /* a snapshot to read, and writes are refused: see below */
#define LIDO_CONCURRENT    5 /* none before COMMIT, in an SQLite that has BEGIN CONCURRENT */

/*
 * LIDO_READ reads the schema at once, so what the main database holds at the begin is what
 * the transaction sees; an attached one follows at its first use.  Until it ends
 * PRAGMA query_only is on: whatever writes, also by the raw handle and also to temporary
 * tables, is SQLITE_READONLY, and the transaction goes on.  It is turned off again (unless
 * it was on before) when lido ends the transaction or is told that it is over: at commit,
 * rollback, and the check-in at the latest.  So after SQLite rolled back by
 * itself nothing is written by accident either, until lido_txn_rollback().  The pragma makes
 * SQLite prepare the connection's statements anew at their next step.
 *
 * LIDO_CONCURRENT is refused where the driver lacks LIDO_DRIVER_HAS_CONCURRENT.
 * https://sqlite.org/src/doc/begin-concurrent/doc/begin_concurrent.md
 */

/* What SQLite says of the transaction now. */
#define LIDO_TXN_NONE    0 /* none is open */
#define LIDO_TXN_OPEN    1 /* begun, nothing read or written */
#define LIDO_TXN_READ    2 /* has read; also a running SELECT outside of BEGIN */
#define LIDO_TXN_WRITE   3 /* holds the write lock */
#define LIDO_TXN_UNKNOWN 4 /* the driver cannot tell */

/* How a commit or a rollback ended.  Unknown: COMMIT was interrupted, or failed by
   SQLITE_IOERR, SQLITE_FULL or SQLITE_NOMEM, when it may have been done (a journal that is gone
   before the error, a log that a crash would find whole); SQL text had ended the transaction
   before; or a remote driver lost its answer. */
#define LIDO_OUTCOME_UNKNOWN     0
#define LIDO_OUTCOME_COMMITTED   1
#define LIDO_OUTCOME_ROLLED_BACK 2 /* by the call, or by SQLite in it */
#define LIDO_OUTCOME_OPEN        3 /* still open: COMMIT met SQLITE_BUSY; try again */

/*
 * Begins a transaction.  The begin hooks run first and may change the mode; one that issued
 * its own BEGIN is respected, and lido does not begin a second.  If the lock is taken by
 * another connection it waits up to the pool's `timeout`: one that is to write in line, by
 * lido/gate.h.
 *
 * Threads:   the one that checked conn out.
 * Fails:     SQLITE_BUSY (the lock was not free in time, or on a static pool the transaction
 *            of another lease did not end), LIDO_IN_TXN (also: another lease of this thread
 *            on the same connection has one), LIDO_TXN_OVER (the one before was ended by
 *            SQLite itself or by SQL text; lido_txn_rollback() ends that state),
 *            LIDO_DEADLOCK (this thread is in the file's write gate by another lease, or
 *            waits for one that waits for it; lido/gate.h),
 *            LIDO_CANCELLED, LIDO_TXN_TIMEOUT, LIDO_RECURSION, LIDO_STALE, LIDO_NO_CONNECTION,
 *            LIDO_WRONG_THREAD, LIDO_FORKED, SQLITE_MISUSE (no such mode, or the driver has
 *            it not); what SQLite or a hook returned.
 */
LIDO_API int lido_txn_begin(const struct lido_conn *conn, int mode,
                            struct lido_error *err) LIDO_CHECKED;

/*
 * Commits.  *outcome (NULL allowed) says what is true afterwards, whatever is returned: a
 * COMMIT that met SQLITE_BUSY is still open and may be tried again.
 *
 * Threads:   the one that checked conn out.
 * Fails:     SQLITE_BUSY, LIDO_CANCELLED (nothing is committed), LIDO_TXN_TIMEOUT, LIDO_NO_TXN,
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
 * Savepoints, by name: sets one, rolls back to one, or releases one.  SQLite keeps the
 * stack, and a name that is not on it is its "no such savepoint".  A name is any text of up
 * to LIDO_SAVEPOINT_NAME_MOST bytes; names that differ in the case of ASCII letters are the
 * same, and of several the last one set is meant.  Rolling back to a savepoint ends those
 * set after it and keeps the one itself; releasing it ends it with those after it, and their
 * changes stay a part of the transaction.
 * https://sqlite.org/lang_savepoint.html
 *
 * A savepoint where no transaction is open begins one first, by lido_txn_begin() in the
 * pool's mode, and rolls that back if the savepoint then fails.  So releasing the last one
 * never commits, as it would after a SAVEPOINT of SQL text that began the transaction
 * itself.  The hooks run before the driver is called and are told the name.
 *
 * After SQLITE_INTERRUPT it may have been done.
 *
 * Threads:   the one that checked conn out.
 * Fails:     SQLITE_ERROR (no such savepoint), LIDO_NO_TXN (to roll back to or release, and no
 *            transaction of this lease is open), LIDO_TXN_OVER (the one that lido began was
 *            ended before, by SQLite itself or by SQL text; lido_txn_rollback() ends that
 *            state), SQLITE_MISUSE (no name; the driver has no savepoints), SQLITE_TOOBIG (a
 *            name too long), SQLITE_NOMEM, LIDO_STALE, LIDO_NO_CONNECTION, LIDO_WRONG_THREAD,
 *            LIDO_FORKED, LIDO_CANCELLED, LIDO_TXN_TIMEOUT; what SQLite or a hook returned; to
 *            set one, as lido_txn_begin() too.
 */
#define LIDO_SAVEPOINT_NAME_MOST 200
LIDO_API int lido_txn_savepoint(const struct lido_conn *conn, const char *name,
                                struct lido_error *err) LIDO_CHECKED;
LIDO_API int lido_txn_rollback_to(const struct lido_conn *conn, const char *name,
                                  struct lido_error *err) LIDO_CHECKED;
LIDO_API int lido_txn_release(const struct lido_conn *conn, const char *name,
                              struct lido_error *err) LIDO_CHECKED;

/*
 * Sets one with a name that no other of the lease had or will have: "lido_savepoint_1" and
 * so on, also where one fails.  Leases that share a connection count together.  *out is
 * empty on failure.
 *
 * Threads:   the one that checked conn out.
 * Fails:     as lido_txn_savepoint(); SQLITE_MISUSE (no out).
 */
struct lido_savepoint {
    char name[32];
};
LIDO_API int lido_txn_savepoint_next(const struct lido_conn *conn,
                                     struct lido_savepoint *out,
                                     struct lido_error *err) LIDO_CHECKED;

/*
 * The isolation level of a lease, by SQLAlchemy's names in any case, '_' standing for a blank
 * too: "SERIALIZABLE", "READ UNCOMMITTED", or "AUTOCOMMIT".  The first two are PRAGMA
 * read_uncommitted, which SQLite is asked for afterwards.  READ UNCOMMITTED has an effect
 * between connections of one shared cache only, and lido opens none: nothing uncommitted is
 * seen.  https://sqlite.org/pragma.html#pragma_read_uncommitted
 * AUTOCOMMIT leaves reading as it is, and no transaction begins by itself on this lease;
 * lido_txn_begin() begins one all the same.
 *
 * The end of the lease sets the pool's own level again, that of `isolation_level` in its URL.
 *
 * Threads:   the one that checked conn out.
 * Fails:     SQLITE_MISUSE (no such level, with those that there are; the driver has none),
 *            LIDO_IN_TXN (a transaction is open), LIDO_SHARED (other leases share the
 *            connection; not for AUTOCOMMIT), LIDO_SETTING (it did not take), LIDO_STALE,
 *            LIDO_NO_CONNECTION, LIDO_WRONG_THREAD, LIDO_FORKED; what SQLite returned.
 */
LIDO_API int lido_conn_set_isolation(const struct lido_conn *conn, const char *level,
                                     struct lido_error *err) LIDO_CHECKED;

/*
 * The level as SQLite has it now, in the words above; NULL for a lease that may not be used
 * here, and if the driver cannot tell.  Static storage.
 *
 * Threads:   the one that checked conn out.
 */
LIDO_API const char *lido_conn_isolation(const struct lido_conn *conn);

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
