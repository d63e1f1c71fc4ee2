/* SPDX-License-Identifier: MIT */
#ifndef LIDO_HOOKS_H
#define LIDO_HOOKS_H

#include <lido/conn.h>
#include <lido/status.h>

/*
 * Hooks: the host's own code at the turning points of a connection's life.
 *
 * A set of hooks is a struct of typed callbacks, registered with a context at one of three
 * targets, whose hooks run in this order: every pool, every pool of one kind, one pool.
 * Within a target they run in the order of registration; `first` puts one in front.
 *
 *     first connection of a pool     (driver connects) first_connect, connect, checkout
 *     new connection                 (driver connects) connect, checkout
 *     idle connection                checkout
 *     idle, but too old or marked    close (driver closes, connects) connect, checkout
 *     idle, and a ping fails         invalidate, close (driver closes, connects) connect ...
 *     check-in, kept                 reset (cleaned, finalizers) checkin
 *     check-in, not kept             reset (cleaned, finalizers) checkin, close (closes)
 *     check-in, not to be cleaned    reset, invalidate, close (closes) checkin, no handle
 *     invalidate                     invalidate, close (driver closes) checkin, no handle
 *     soft invalidate                soft_invalidate
 *     detach                         detach; at its check-in: reset without a record
 *                                    (cleaned, finalizers) close_detached (driver closes)
 *     dispose                        close (driver closes), for each idle connection
 *     transaction                    begin (BEGIN) ... commit (COMMIT) or rollback (ROLLBACK);
 *                                    handle_error after each that the driver refuses
 *     savepoint                      savepoint (SAVEPOINT) ... rollback_savepoint (ROLLBACK TO)
 *                                    or release_savepoint (RELEASE); handle_error
 *     statement of <lido/stmt.h>     before_execute (its rows) handle_error, if it failed;
 *                                    after_execute
 *
 * A hook that returns LIDO_OK lets the work go on.  Any other code stops the hooks after it
 * and reaches the caller unchanged, with the text that the hook wrote by lido_fail() (its
 * `err` is never NULL), or else a text that names the code:
 *
 *     first_connect, connect   the checkout fails and the new connection is closed;
 *                              first_connect runs again at the next connection
 *     checkout                 the checkout fails and the connection is closed.
 *                              LIDO_DISCONNECT: it is closed, another is opened in its place
 *                              and all checkout hooks run again, two times in all.
 *                              LIDO_INVALIDATE_POOL: and every other connection opened
 *                              before now is replaced at its next checkout
 *     reset                    the connection is closed and the check-in succeeds, with the
 *                              code in the log; the caller gets one with LIDO_FATAL
 *     checkin, and a close     the caller gets the code; the connection is returned or
 *     at a check-in            closed all the same, nothing leaks
 *     invalidate,              the caller gets the code and nothing has changed: the lease
 *     soft_invalidate, close   is good, the connection open
 *     detach                   the caller gets the code; it is detached
 *     close_detached           logged; the caller gets one with LIDO_FATAL.  The connection
 *                              is closed all the same
 *     begin                    no transaction begins; one that the hook began is rolled back
 *     commit, rollback         the driver is not called and the transaction stays open
 *     savepoint,               the driver is not called and the savepoints are as they were;
 *     rollback_savepoint,      a transaction that the savepoint had begun is rolled back
 *     release_savepoint
 *     before_execute           the statement does not run
 *     after_execute            the caller gets the code, if the statement had not failed; what
 *                              it did is done
 *     handle_error             the caller gets this code and text in the place of SQLite's;
 *                              what has happened, the outcome of a COMMIT say, stays.  It
 *                              is not asked of what fails in it, on the same lease
 *
 * Of a connection that the pool itself gives up (a ping or a checkout hook refused it, it did
 * not come clean) these hooks are told, and cannot keep it: what they return is logged, or
 * surfaces with LIDO_FATAL.  A hook that closes the connection by a record call should be the
 * last to look at it: hooks after it get the event as it was.
 *
 * The rollback that a check-in does by itself runs no commit or rollback hook, as in
 * SQLAlchemy.
 *
 * Threads:   a hook runs on the thread whose call caused the event, several at a time.  No
 *            lock is held meanwhile: a hook may call everything in lido, also on the same
 *            pool; only begin inside a begin hook of the same lease is LIDO_RECURSION.  It
 *            may add and remove hooks, itself too, while events run: a removed hook is not
 *            called again by this thread, an added one runs from the next event on.
 */

#ifdef __cplusplus
extern "C" {
#endif

typedef struct lido_hooks lido_hooks;

/* What happened.  Lent until the hook returns; members that do not apply are NULL. */
struct lido_event {
    size_t size;
    lido_pool *pool;
    lido_record *record;          /* the slot; NULL once the connection is detached */
    const struct lido_conn *conn; /* all that happens to a lease */
    void *handle;                 /* the driver's handle; NULL in a checkin of a lost one */
    sqlite3 *sqlite;              /* the same, if the driver's handle is SQLite's own */
    int *begin_mode;              /* begin: the mode, which the hook may change */
    const struct lido_error *reason; /* invalidate, soft_invalidate: why, if it was told */
    int transaction_was_reset;       /* reset: the caller ended the transaction itself */
    int terminate_only;              /* reset: it will be closed, not returned */
    const char *savepoint; /* savepoint, rollback_savepoint, release_savepoint: its name */
    const char *sql;       /* before_execute, after_execute, handle_error: the text, or the
                                 first words of it where lido made it; NULL if memory is out */
    int64_t duration_ns;   /* after_execute: from the first step to the last */
    struct lido_error *error; /* handle_error: it may be changed; after_execute: what the
                                 caller will get, or NULL */
    int *is_disconnect;       /* handle_error: set it to 1 if the connection is dead: it and
                                 all others opened before now are replaced */
};

typedef int (*lido_hook_fn)(void *ctx, const struct lido_event *event,
                            struct lido_error *err);

/* A set of hooks.  Best a `static const`; it must outlive the registration. */
struct lido_events {
    size_t size; /* sizeof(struct lido_events) */
    lido_hook_fn first_connect;
    lido_hook_fn connect;
    lido_hook_fn checkout;
    lido_hook_fn reset; /* before an open transaction is ended at check-in */
    lido_hook_fn checkin;
    lido_hook_fn invalidate;
    lido_hook_fn soft_invalidate;
    lido_hook_fn close;
    lido_hook_fn detach;
    lido_hook_fn close_detached;
    lido_hook_fn begin; /* may change the mode, or issue a BEGIN of its own */
    lido_hook_fn commit;
    lido_hook_fn rollback;
    lido_hook_fn savepoint; /* of these three too: before the driver is called */
    lido_hook_fn rollback_savepoint;
    lido_hook_fn release_savepoint;
    lido_hook_fn before_execute; /* a statement of <lido/stmt.h> is about to run */
    lido_hook_fn after_execute;  /* it is at its end, failed, or was reset */
    lido_hook_fn handle_error; /* it failed, or BEGIN, COMMIT, ROLLBACK, a savepoint did */
};

struct lido_hook_options {
    size_t size; /* sizeof this struct */
    int first;   /* not 0: in front of those already there (0) */
    int once;    /* not 0: each callback of the set runs at its first event only (0) */
    /* Called exactly once, when nothing can call the set any more, and also when adding
       fails (NULL). */
    void (*destroy)(void *ctx);
};
#define LIDO_HOOK_OPTIONS_INIT                                                             \
    {                                                                                      \
        sizeof(struct lido_hook_options), 0, 0, NULL                                       \
    }

/* A registration's name.  0 names none. */
typedef uint64_t lido_hook;

/*
 * The target for every pool, and the one for every pool of a kind ("queue", "null"); NULL
 * for a kind that does not exist.  The one of a pool is lido_pool_hooks().
 *
 * Ownership: the library's, never freed.
 * Threads:   any.
 */
LIDO_API lido_hooks *lido_hooks_global(void);
LIDO_API lido_hooks *lido_hooks_kind(const char *kind);

/*
 * Registers a set of hooks.  The same set with the same ctx at the same pool is registered
 * once: adding it again answers the first registration, and its `destroy` is not called for
 * it.  At a kind or the global target it may be registered more than once, and then runs
 * more than once.  (So SQLAlchemy: instance and class level.)
 *
 * Ownership: borrows events until removed; owns ctx if options->destroy is set, also on
 *            failure.  *out (NULL allowed) names the registration, 0 on failure.
 * Threads:   any.
 * Fails:     SQLITE_MISUSE (no target, no events, a size that is none), SQLITE_NOMEM,
 *            LIDO_FORKED.
 */
LIDO_API int lido_hooks_add(lido_hooks *hooks, lido_hook *out,
                            const struct lido_events *events, void *ctx,
                            const struct lido_hook_options *options,
                            struct lido_error *err) LIDO_CHECKED;

/*
 * Takes a registration away.  Events that already run on other threads may still call it
 * until they end; `destroy` comes after the last of them.
 *
 * Threads:   any.
 * Fails:     SQLITE_MISUSE (no target), LIDO_NOT_FOUND (not registered at this target),
 *            LIDO_FORKED.
 */
LIDO_API int lido_hooks_remove(lido_hooks *hooks, lido_hook hook, struct lido_error *err);

/*
 * 1 if the registration is there, 0 if not.
 *
 * Threads:   any.
 */
LIDO_API int lido_hooks_contains(lido_hooks *hooks, lido_hook hook);

#ifdef __cplusplus
}
#endif
#endif
