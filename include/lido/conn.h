/* SPDX-License-Identifier: MIT */
#ifndef LIDO_CONN_H
#define LIDO_CONN_H

#include <lido/status.h>
#include <stddef.h>
#include <stdint.h>

/*
 * A lease: one connection, lent to one thread until it is checked in.
 *
 * struct lido_conn is a small value on the caller's stack.  It does not hold the connection
 * but names the lease by a generation, so copies of it are harmless: after the check-in each
 * of them answers LIDO_STALE, and never reaches whoever has the connection next.
 *
 * Where leases share a connection (pools of kind static and singleton_thread, and
 * `use_threadlocal`), each checkout is a lease of its own, and the connection returns when
 * the last of them ends.
 *
 * What a raw `sqlite3 *` kept after check-in does, lido cannot find out.  So finish what you
 * made with it before: a backup into a connection that the pool has closed meanwhile is used
 * after it is freed.
 */

#ifdef __cplusplus
extern "C" {
#endif

typedef struct lido_pool lido_pool;
typedef struct lido_cancel lido_cancel; /* see lido/cancel.h */
typedef struct lido_record lido_record; /* one slot of a pool; see lido/hooks.h */

struct lido_conn {
    void *cell;          /* lido's; do not look behind it */
    uint64_t generation; /* which lease of that cell */
};
#define LIDO_CONN_INIT                                                                     \
    {                                                                                      \
        NULL, 0                                                                            \
    }

/* A deadline of this checkout: the pool's own `pool_timeout`, none at all, or for ever. */
#define LIDO_TIMEOUT_POOL    INT64_MIN
#define LIDO_TIMEOUT_TRY     0
#define LIDO_TIMEOUT_FOREVER (-1)

/* What becomes of an open transaction when its lease ends (pool_reset_on_return). */
#define LIDO_RESET_NONE     0 /* it stays open: the next lease gets it */
#define LIDO_RESET_ROLLBACK 1
#define LIDO_RESET_COMMIT   2

struct lido_checkout_options {
    size_t size;        /* sizeof this struct */
    int64_t timeout_ms; /* how long to wait for a connection (LIDO_TIMEOUT_POOL) */
    const char *label; /* who wants it, for lido_pool_holders(); 31 bytes are kept (NULL) */
    int unique;        /* not 0: a connection that this thread does not have yet, where
                   use_threadlocal would share; on a pool whose leases share one anyway,
                   a lease that is no nested one (0) */
    lido_cancel *cancel; /* ends the wait, and what the lease waits for or runs; borrowed
                            until the lease ends (NULL) */
    int priority; /* of its transactions at the write gate: LIDO_GATE_LOW to LIDO_GATE_HIGH of
                     <lido/gate.h> (0, LIDO_GATE_NORMAL) */
};
#define LIDO_CHECKOUT_OPTIONS_INIT                                                         \
    {                                                                                      \
        sizeof(struct lido_checkout_options), LIDO_TIMEOUT_POOL, NULL, 0, NULL, 0          \
    }

/*
 * Checks a connection out: an idle one, or a new one while the pool may grow, or else the
 * next that comes back, in order of arrival.  The macro adds the place of the call, which
 * lido_pool_holders() and the text of a time-out name.
 *
 *     int lido_pool_checkout(lido_pool *pool, struct lido_conn *out,
 *                            const struct lido_checkout_options *options,
 *                            struct lido_error *err);
 *
 * Ownership: on success *out is a lease; end it by lido_conn_checkin().  On failure *out is
 *            empty.  Borrows options until it returns; `file` must be static storage.
 * Threads:   any.  The lease belongs to the calling thread.
 * Fails:     LIDO_POOL_TIMEOUT, LIDO_DEADLOCK (none can come free: who has them waits for
 *            this thread, or is it), LIDO_CANCELLED, LIDO_CHECKED_OUT (assertion), LIDO_CLOSED,
 *            LIDO_FORKED, LIDO_BAD_OPTION, SQLITE_NOMEM; what the driver said if it could not
 *            connect (SQLITE_CANTOPEN); what a hook returned; LIDO_DISCONNECT if hooks or
 *            pings refused two connections; LIDO_RECURSION (a connect hook asked for the
 *            connection that it was called for).
 */
#define lido_pool_checkout(pool, out, options, err)                                        \
    lido_pool_checkout_at((pool), (out), (options), __FILE__, __LINE__, (err))
LIDO_API int lido_pool_checkout_at(lido_pool *pool, struct lido_conn *out,
                                   const struct lido_checkout_options *options,
                                   const char *file, int line,
                                   struct lido_error *err) LIDO_CHECKED;

/*
 * Checks the connection in.  An open transaction is rolled back (or as `pool_reset_on_return`
 * says) and a running statement with SQL text is reset, by asking SQLite what is true; a
 * connection that cannot be cleaned is closed and counted, never lent again.  Of leases that
 * share a connection the last one does this.  The lease is over whatever is returned, and
 * *conn is empty.
 *
 * Threads:   the one that checked it out.
 * Fails:     LIDO_STALE (checked in already, or empty: nothing happens), LIDO_WRONG_THREAD
 *            and LIDO_FORKED (the lease stays); what a finalizer, a checkin or a close hook
 *            returned, and what a reset hook returned with LIDO_FATAL; LIDO_UNCLEAN (what the
 *            lease changed stays: see lido_conn_mark_dirty()); SQLITE_MISUSE (by a function
 *            that a statement of the lease calls: the lease stays).
 */
struct lido_checkin_options {
    size_t size; /* sizeof this struct */
    /* Not 0: the caller has ended the transaction itself, and reset hooks are told so.  lido
       still asks SQLite (0). */
    int transaction_was_reset;
};
#define LIDO_CHECKIN_OPTIONS_INIT                                                          \
    {                                                                                      \
        sizeof(struct lido_checkin_options), 0                                             \
    }
LIDO_API int lido_conn_checkin(struct lido_conn *conn,
                               const struct lido_checkin_options *options,
                               struct lido_error *err);

/*
 * The raw connection, or NULL if the lease is over, belongs to another thread, or the
 * driver's handle is none of SQLite's.
 *
 * Ownership: lends it until the check-in.  Do not close it.
 * Threads:   the one that checked it out.
 */
LIDO_API sqlite3 *lido_conn_sqlite(const struct lido_conn *conn);

/* The driver's own handle, under the same rules. */
LIDO_API void *lido_conn_handle(const struct lido_conn *conn);

/*
 * The pool the lease comes from, or NULL if it is over.
 *
 * Threads:   any.
 */
LIDO_API lido_pool *lido_conn_pool(const struct lido_conn *conn);

/*
 * Moves the lease to the calling thread, which from now on is "the one that checked it out".
 * The two threads must have agreed on it: the one that gives must not use the lease at the
 * same moment.  With `check_same_thread=0` no hand-over is needed.
 *
 * Threads:   any; the one that takes calls.
 * Fails:     LIDO_STALE, LIDO_FORKED; LIDO_SHARED (the connection is a thread's own, and
 *            other leases of that thread have it too).
 */
LIDO_API int lido_conn_hand_over(const struct lido_conn *conn,
                                 struct lido_error *err) LIDO_CHECKED;

/*
 * Changes the label that lido_pool_holders() shows; NULL takes it away; 31 bytes are kept.
 *
 * Ownership: copies label.
 * Threads:   the one that checked it out.
 * Fails:     LIDO_STALE, LIDO_WRONG_THREAD, LIDO_FORKED.
 */
LIDO_API int lido_conn_set_label(const struct lido_conn *conn, const char *label,
                                 struct lido_error *err);

/*
 * The record that the lease is on; NULL if it is over, another thread's, or detached.
 *
 * Ownership: lends it until the lease ends.
 * Threads:   the one that checked it out.
 */
LIDO_API lido_record *lido_conn_record(const struct lido_conn *conn);

/*
 * Gives a connection up that is not to be trusted any more.
 *
 * lido_conn_invalidate() closes it now and ends the lease: invalidate and close hooks, then
 * checkin hooks without a handle; nothing is reset.  Nested leases of the same thread on
 * this connection end with it.  One that leases of others share (static) is closed when the
 * last of them ends, and the next checkout opens another.
 *
 * lido_conn_invalidate_soft() marks it only: the lease goes on, and the next checkout opens
 * another in its place.
 *
 * lido_conn_invalidate_pool() is the hard one, and besides every other connection of the
 * pool that was opened before now is replaced at its next checkout, unless this one is older
 * than the last such call: so of many threads whose connections broke together only the
 * first makes the others reconnect.
 *
 * `reason` (NULL allowed) reaches the hooks.
 *
 * Threads:   the one that checked it out.
 * Fails:     LIDO_STALE, LIDO_WRONG_THREAD, LIDO_FORKED; SQLITE_MISUSE as
 *            lido_conn_checkin(), of the hard ones; what an invalidate,
 *            soft_invalidate or close hook returned (nothing has changed then, the lease is
 *            good; the pool's other connections are marked all the same), or a checkin hook
 *            (it has ended).
 */
LIDO_API int lido_conn_invalidate(struct lido_conn *conn, const struct lido_error *reason,
                                  struct lido_error *err);
LIDO_API int lido_conn_invalidate_soft(const struct lido_conn *conn,
                                       const struct lido_error *reason,
                                       struct lido_error *err);
LIDO_API int lido_conn_invalidate_pool(struct lido_conn *conn,
                                       const struct lido_error *reason,
                                       struct lido_error *err);

/*
 * Takes the connection out of the pool for good: its place is free at once, the lease goes
 * on, and the check-in closes the connection for real.  `info` goes with the connection,
 * `record_info` stays with the place.
 *
 * Threads:   the one that checked it out.
 * Fails:     LIDO_STALE, LIDO_WRONG_THREAD, LIDO_FORKED, LIDO_SHARED (static, and others
 *            have it too), LIDO_NO_CONNECTION, SQLITE_NOMEM; what a detach hook returned (it
 *            is detached).
 */
LIDO_API int lido_conn_detach(const struct lido_conn *conn, struct lido_error *err);

/* 1 after lido_conn_detach() and on an adopted handle. */
LIDO_API int lido_conn_is_detached(const struct lido_conn *conn);

/*
 * Ends the lease and gives the driver's handle (a `sqlite3 *`) to the caller: detach, and
 * then no check-in but a farewell.  An open transaction stays open, finalizers do not run,
 * and the connection has no busy handler and no authorizer any more.
 *
 * Ownership: *handle is the caller's, who closes it; NULL on failure.
 * Threads:   the one that checked it out.
 * Fails:     as lido_conn_detach(), and then the lease stays; LIDO_SHARED also if nested
 *            leases share it; SQLITE_MISUSE as lido_conn_checkin().
 */
LIDO_API int lido_conn_steal(struct lido_conn *conn, void **handle,
                             struct lido_error *err) LIDO_CHECKED;

/*
 * Puts a handle of the host's own under lido's transactions: a lease as after a detach, of a
 * connection that the pool did not open and will not close.  The check-in rolls back what is
 * open, takes lido's busy handler off, and the handle is the host's again.
 *
 * Ownership: borrows handle until the lease ends; on success *out is a lease.
 * Threads:   any; nothing else may use the handle meanwhile.
 * Fails:     SQLITE_MISUSE (no pool, no handle), LIDO_CLOSED, LIDO_FORKED, SQLITE_NOMEM.
 */
LIDO_API int lido_conn_adopt(struct lido_conn *out, lido_pool *pool, void *handle,
                             struct lido_error *err) LIDO_CHECKED;

/*
 * Two places for a pointer of the host's own: `info` lives as long as the connection (it is
 * dropped at the next reconnect), `record_info` as long as its place in the pool.  Setting
 * another, or NULL, calls the `destroy` of the one before.
 *
 * Ownership: owns info if destroy is set, also on failure.
 * Threads:   the one that checked it out; destroy is called with no lock held by whoever
 *            drops it.
 * Fails:     LIDO_STALE, LIDO_WRONG_THREAD, LIDO_FORKED; record_info of a detached lease:
 *            SQLITE_MISUSE.
 */
LIDO_API int lido_conn_set_info(const struct lido_conn *conn, void *info,
                                void (*destroy)(void *info), struct lido_error *err);
LIDO_API int lido_conn_set_record_info(const struct lido_conn *conn, void *info,
                                       void (*destroy)(void *info), struct lido_error *err);

/* What was set, or NULL. */
LIDO_API void *lido_conn_info(const struct lido_conn *conn);
LIDO_API void *lido_conn_record_info(const struct lido_conn *conn);

/*
 * A finalizer: runs once, when the connection comes back, after the reset and before the
 * checkin hooks; the last added runs first.  It undoes what this lease changed and lido does
 * not see, as a function.
 * One that fails makes the connection unfit: the others run, it is closed, and the check-in
 * returns that code.  When the connection is closed before, finalizers do not run; `destroy`
 * is called in any case, once.
 */
typedef int (*lido_finalizer_fn)(void *ctx, void *handle, struct lido_error *err);

/*
 * Ownership: owns ctx if destroy is set, also on failure.
 * Threads:   the one that checked it out; the finalizer runs on the thread that checks in.
 * Fails:     LIDO_STALE, LIDO_WRONG_THREAD, LIDO_FORKED, LIDO_NO_CONNECTION, SQLITE_NOMEM.
 */
LIDO_API int lido_conn_add_finalizer(const struct lido_conn *conn,
                                     lido_finalizer_fn finalizer, void *ctx,
                                     void (*destroy)(void *ctx),
                                     struct lido_error *err) LIDO_CHECKED;

/*
 * What a lease changes in its connection does not reach the next user, unless session_guard=0.
 * A pragma that leaves something behind makes the check-in close the connection, or put the
 * pragma back where closing would delete a memory database; the progress handler, the commit,
 * rollback and update hooks and wal_autocheckpoint are set anew at every return.  So set what
 * every lease is to have in a connect hook, but those hooks of SQLite's in a checkout hook.
 * docs/session-state.md has every kind of state.
 *
 * SQLite tells nobody of functions, collations, limits, backups, sqlite3_db_config(),
 * sqlite3_deserialize(), other hooks, and an authorizer set on the raw handle: who changes one
 * of these for longer than its lease says so by lido_conn_mark_dirty().  The connection is then
 * closed when it comes back; if it is the only home of a memory database it is kept, and the
 * check-in answers LIDO_UNCLEAN.  This holds also with session_guard=0.
 *
 * Ownership: copies why, of which 63 bytes are kept (NULL allowed); the first is told.
 * Threads:   the one that checked it out.
 * Fails:     LIDO_STALE, LIDO_WRONG_THREAD, LIDO_FORKED, LIDO_NO_CONNECTION.
 */
LIDO_API int lido_conn_mark_dirty(const struct lido_conn *conn, const char *why,
                                  struct lido_error *err);

/*
 * An authorizer for this lease, with the arguments and answers of sqlite3_set_authorizer():
 * asked after lido's own, and gone at the check-in, with the last of the leases that share the
 * connection.  NULL takes it away before.  Each change makes SQLite prepare all statements
 * again, so that none was prepared by another's leave.
 *
 * Ownership: borrows ctx until then.
 * Threads:   the one that checked it out; it is called by whoever prepares a statement, inside
 *            SQLite, and must not use the connection.
 * Fails:     SQLITE_MISUSE (an adopted handle, or none of SQLite's), LIDO_STALE,
 *            LIDO_WRONG_THREAD, LIDO_FORKED, LIDO_NO_CONNECTION.
 */
typedef int (*lido_authorizer_fn)(void *ctx, int action, const char *first,
                                  const char *second, const char *database,
                                  const char *trigger);
LIDO_API int lido_conn_set_authorizer(const struct lido_conn *conn,
                                      lido_authorizer_fn authorizer, void *ctx,
                                      struct lido_error *err);

/*
 * A function that is asked while SQL of this lease runs, after each thousand steps of SQLite's
 * machine: another answer than 0 interrupts it, as with sqlite3_progress_handler(), and it
 * answers SQLITE_INTERRUPT.  It is asked too while SQL waits for SQLite's lock, about every
 * millisecond: there another answer than 0 ends the wait, and the SQL answers SQLITE_BUSY.
 * It is asked after lido's own handler, which tokens and limits go by, and is gone at the
 * check-in; NULL takes it away before.  While a transaction is committed or rolled back it is
 * not asked, nor, on a static pool, by SQL that does not run by lido's calls.  A handler that
 * the host sets itself on the raw handle takes the place of both.
 *
 * Ownership: borrows ctx until then.
 * Threads:   the one that checked it out; it is called by that thread, inside SQLite, and must
 *            not use the connection.
 * Fails:     SQLITE_MISUSE (an adopted handle, or none of SQLite's), LIDO_STALE,
 *            LIDO_WRONG_THREAD, LIDO_FORKED, LIDO_NO_CONNECTION.
 */
typedef int (*lido_progress_fn)(void *ctx);
LIDO_API int lido_conn_set_progress(const struct lido_conn *conn, lido_progress_fn progress,
                                    void *ctx, struct lido_error *err);

#ifdef __cplusplus
}
#endif
#endif
