/* SPDX-License-Identifier: MIT */
#ifndef LIDO_RUN_H
#define LIDO_RUN_H

#include <lido/pool.h>
#include <lido/txn.h>

/*
 * The runner: a function inside a transaction, run again where SQLite asks for it.
 *
 * A transaction that read and then wanted to write meets SQLITE_BUSY at once when another was
 * faster, whatever the time-out, and no statement of it can be saved: only running all of it
 * again helps.  So does the runner, the whole function, when SQLite reported one of these on
 * this lease and the function then failed:
 *
 *     SQLITE_BUSY, SQLITE_BUSY_SNAPSHOT, SQLITE_BUSY_RECOVERY, SQLITE_BUSY_TIMEOUT,
 *     SQLITE_PROTOCOL, SQLITE_SCHEMA
 *
 * It goes by what SQLite reported, never by the number that the function returns, which may be
 * the host's own.  A run that began LIDO_DEFERRED is repeated as LIDO_IMMEDIATE, which waits
 * for the write lock in the beginning.  Between two runs it waits for a moment, by chance.  All
 * runs, waits for locks and commits have one deadline.
 *
 * So the function must be able to run more than once: what it changes outside of the database
 * it changes more than once.  It must not end the transaction by itself, and it must return: a
 * longjmp past the run leaves its lease and the write gate behind.
 *
 * A COMMIT that met SQLITE_BUSY is tried again by itself, for everything is still in place.
 * One that may have happened (LIDO_OUTCOME_UNKNOWN) is never repeated, nor a run that was
 * cancelled (LIDO_CANCELLED) or took longer than its limit (LIDO_TXN_TIMEOUT).
 */

#ifdef __cplusplus
extern "C" {
#endif

/* LIDO_OK: commit.  LIDO_ROLLBACK: roll back, and the run succeeds.  Any other code: roll
   back, and the run answers it with the text in err, or is repeated as said above. */
typedef int (*lido_run_fn)(void *ctx, const struct lido_conn *conn, struct lido_error *err);

struct lido_run_options {
    size_t size; /* sizeof this struct */
    int64_t
        timeout_ms;    /* for all of it, the wait for a connection too: 0: nothing is waited
                           for or repeated; -1: for ever (LIDO_TIMEOUT_POOL: the pool's
                           pool_timeout) */
    int runs;          /* at most so many; -1: no bound (100) */
    const char *label; /* as in struct lido_checkout_options (NULL) */
    int *outcome;      /* LIDO_OUTCOME_... of the last run; NULL allowed (NULL) */
    int *runs_needed;  /* how often the function was called; NULL allowed (NULL) */
    lido_cancel *cancel; /* of lido_pool_run(): ends the run, as at a checkout (NULL) */
    int priority;        /* of lido_pool_run(), as in struct lido_checkout_options (0) */
};
#define LIDO_RUN_OPTIONS_INIT                                                              \
    {                                                                                      \
        sizeof(struct lido_run_options), LIDO_TIMEOUT_POOL, 100, NULL, NULL, NULL, NULL, 0 \
    }

/*
 * Checks a connection out, begins in `mode`, calls fn, commits, and checks in.  lido_conn_run()
 * does it on a lease that there is already; where a transaction is open on it, as inside
 * another run, fn runs in a savepoint instead, once, and `mode` is not looked at.
 *
 * Ownership: borrows everything until it returns.  The lease that fn gets ends with the run.
 * Threads:   lido_pool_run(): any; lido_conn_run(): the one that checked conn out.
 * Fails:     what fn, SQLite or a hook answered; SQLITE_BUSY and the like after the last run;
 *            LIDO_TXN_OVER, LIDO_NO_TXN (fn ended the transaction, or SQLite did and fn did not
 *            say), LIDO_STALE (fn ended the lease), LIDO_BAD_OPTION, SQLITE_MISUSE (also: a
 *            token for a lease that is there already, which has its own); as
 *            lido_pool_checkout(), lido_txn_begin() and lido_txn_commit().
 */
LIDO_API int lido_pool_run(lido_pool *pool, int mode, lido_run_fn fn, void *ctx,
                           const struct lido_run_options *options,
                           struct lido_error *err) LIDO_CHECKED;
LIDO_API int lido_conn_run(const struct lido_conn *conn, int mode, lido_run_fn fn,
                           void *ctx, const struct lido_run_options *options,
                           struct lido_error *err) LIDO_CHECKED;

#ifdef __cplusplus
}
#endif
#endif
