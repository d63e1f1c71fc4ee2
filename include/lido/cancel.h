/* SPDX-License-Identifier: MIT */
#ifndef LIDO_CANCEL_H
#define LIDO_CANCEL_H

#include <lido/conn.h>
#include <lido/status.h>

/*
 * A token that ends what somebody else waits for or runs.
 *
 * It is given to a checkout, as `cancel` of struct lido_checkout_options.  Once it is fired
 * the wait for a connection ends, and if there is a lease already: the wait for SQLite's lock,
 * on a static pool the wait for another lease's transaction, and SQL that runs.  Each answers
 * LIDO_CANCELLED, and so do all further statements, begins and commits of the lease until the
 * token is reset; roll back and check in as always.  A check-in rolls back what is open then,
 * also where `pool_reset_on_return` says otherwise.  One token may serve several checkouts, at
 * once or one after the other.
 *
 * A token speaks of leases, not of connections: SQL is ended by its own thread, which looks at
 * the lease that it runs for.  So it never ends what the next user of the connection runs, nor
 * another lease that shares it, and may be fired at any moment, also while the lease is being
 * checked in.
 *
 * SQL is ended by SQLite's progress handler, which is asked after each thousand steps of its
 * machine.  What is one long step (a count of all rows, an integrity check, a checkpoint) or a
 * function of the host's is ended when that step is over.  An interrupted write rolls its
 * transaction back, as with sqlite3_interrupt(); an interrupted SELECT leaves it open.  A
 * COMMIT under way is not interrupted: only its wait for the lock ends, and the transaction is
 * open still.  A progress handler that the host sets on such a lease takes the place of lido's,
 * and should ask lido_conn_check(); on an adopted handle, and on a static pool for SQL that
 * does not run by lido's calls, there is none.
 */

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Ownership: on success *out owns a token; give it to lido_cancel_free().  On failure *out is
 *            NULL.
 * Threads:   any.
 * Fails:     SQLITE_NOMEM.
 */
LIDO_API int lido_cancel_new(lido_cancel **out, struct lido_error *err) LIDO_CHECKED;

/*
 * free(NULL) does nothing.
 *
 * Ownership: steals cancel.
 * Threads:   one; no checkout, lease or call may have the token any more.
 */
LIDO_API void lido_cancel_free(lido_cancel *cancel);

/*
 * Fires it.  A token that was fired stays so: to fire it again does nothing.  It takes locks,
 * for a short time, and must not be called in a signal handler.
 *
 * Threads:   any, also several at once, and under locks of the host's.
 * Fails:     LIDO_FORKED.
 */
LIDO_API int lido_cancel_fire(lido_cancel *cancel, struct lido_error *err);

/*
 * Threads:   any.
 */
LIDO_API int lido_cancel_is_fired(const lido_cancel *cancel);

/*
 * The token is as new: leases that have it go on.
 *
 * Threads:   any; one that fires at the same moment may come before or after.
 */
LIDO_API void lido_cancel_reset(lido_cancel *cancel);

/*
 * The same for one lease, which needs no token, and for good: what it waits for or runs ends,
 * and it answers LIDO_CANCELLED until it is checked in.
 *
 * Threads:   any, also while the lease ends or its pool is freed; each thread needs a copy of
 *            *conn of its own, for the check-in empties the one that it is given.
 * Fails:     LIDO_STALE (the lease has ended; nothing happens to the next one), LIDO_FORKED.
 */
LIDO_API int lido_conn_cancel(const struct lido_conn *conn, struct lido_error *err);

/*
 * Is the lease to stop?  For a loop of the host's between its statements, and for its own
 * progress handler.
 *
 * Threads:   the one that checked conn out.
 * Fails:     LIDO_CANCELLED, LIDO_TXN_TIMEOUT (lido/txn.h); LIDO_STALE,
 *            LIDO_WRONG_THREAD, LIDO_FORKED.
 */
LIDO_API int lido_conn_check(const struct lido_conn *conn, struct lido_error *err);

#ifdef __cplusplus
}
#endif
#endif
