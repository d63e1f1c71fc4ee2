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
 * What a raw `sqlite3 *` kept after check-in does, lido cannot find out.  So finish what you
 * made with it before: a backup into a connection that the pool has closed meanwhile is used
 * after it is freed.
 */

#ifdef __cplusplus
extern "C" {
#endif

typedef struct lido_pool lido_pool;
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

struct lido_checkout_options {
    size_t size;        /* sizeof this struct */
    int64_t timeout_ms; /* how long to wait for a connection (LIDO_TIMEOUT_POOL) */
    const char *label; /* who wants it, for lido_pool_holders(); 31 bytes are kept (NULL) */
};
#define LIDO_CHECKOUT_OPTIONS_INIT                                                         \
    {                                                                                      \
        sizeof(struct lido_checkout_options), LIDO_TIMEOUT_POOL, NULL                      \
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
 * Fails:     LIDO_POOL_TIMEOUT, LIDO_CLOSED, LIDO_FORKED; what the driver said if it could
 *            not connect (SQLITE_CANTOPEN); what a hook returned.
 */
#define lido_pool_checkout(pool, out, options, err)                                        \
    lido_pool_checkout_at((pool), (out), (options), __FILE__, __LINE__, (err))
LIDO_API int lido_pool_checkout_at(lido_pool *pool, struct lido_conn *out,
                                   const struct lido_checkout_options *options,
                                   const char *file, int line,
                                   struct lido_error *err) LIDO_CHECKED;

/*
 * Checks the connection in.  An open transaction is rolled back and a running statement
 * with SQL text is reset, by asking SQLite what is true; a connection that cannot be cleaned
 * is closed and counted, never lent again.  The lease is over whatever is returned, and
 * *conn is empty.  `options` must be NULL: reserved.
 *
 * Threads:   the one that checked it out.
 * Fails:     LIDO_STALE (checked in already, or empty: nothing happens), LIDO_WRONG_THREAD
 *            and LIDO_FORKED (the lease stays); what a checkin or close hook returned.
 */
struct lido_checkin_options;
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
 * Fails:     LIDO_STALE, LIDO_FORKED.
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

#ifdef __cplusplus
}
#endif
#endif
