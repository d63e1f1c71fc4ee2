/* SPDX-License-Identifier: MIT */
#ifndef LIDO_SYS_DRIVER_H
#define LIDO_SYS_DRIVER_H

#include <lido/conn.h>
#include <lido/status.h>
#include <lido/txn.h>
#include <lido/url.h>

/*
 * Drivers: how a pool opens, cleans and closes a connection.
 *
 * A driver is a table of functions over an opaque handle (NULL is none).  `sqlite` is built
 * in.  A host's own is registered under a name and found by sqlite+NAME:// or NAME://,
 * before a built-in of that name; one that only changes a part of `sqlite` copies the table
 * of lido_driver_sqlite() and replaces that part.
 *
 * Threads:   a pool calls a driver with no lock held, from many threads, but for one handle
 *            from one thread at a time.
 */

#ifdef __cplusplus
extern "C" {
#endif

/* Capabilities. */
#define LIDO_DRIVER_IS_SQLITE      1u /* the handle is a sqlite3 * */
#define LIDO_DRIVER_TAKES_PARAMS   2u /* keys that lido does not know are passed to connect */
#define LIDO_DRIVER_HAS_CONCURRENT 4u /* begin takes LIDO_CONCURRENT */

/* What leases change in a connection, for the pool to know: lido's, and no one else looks
   into it. */
struct lido_session;

/* What to connect to.  Lent until connect returns. */
struct lido_connect {
    size_t size;
    const char *url;      /* the pool's URL without what follows the '?' */
    const char *database; /* the path: absolute, or ":memory:"; "file:..." with uri=1 */
    const struct lido_param *params; /* the keys that are the driver's */
    size_t n_params;

    int is_shared; /* not 0: several threads will use the handle at the same time */
    int is_memory; /* not 0: the handle is the only home of its data */

    /* For SQLite: what sets the key of an encrypted database, before anything else; and the
       wait for a lock, which the settings may need.  NULL: none. */
    int (*key)(void *ctx, sqlite3 *db, struct lido_error *err);
    void *key_ctx;
    int (*busy_wait)(void *ctx, int count);
    void *busy_ctx;

    /* For SQLite: the connection is watched for what its leases change, from now until it is
       closed.  NULL: it is not. */
    struct lido_session *session;
};

/*
 * The wait for a lock.  SQLite's busy handler calls it with how often it was called before
 * for the same lock; it returns non-zero to try again and 0 to give up.
 */
typedef int (*lido_busy_wait)(void *ctx, int count);

/*
 * How a handle is cleaned when its lease ends: LIDO_RESET_NONE, ROLLBACK or COMMIT, and these
 * bits besides.
 */
#define LIDO_RESET_HOW       3
#define LIDO_RESET_KEEP_TEMP 4 /* leave temporary tables and such */
#define LIDO_RESET_TXN_ONLY  8 /* others use the handle: leave statements alone as well */

/* What a reset found.  All zero before it is called, but for `session`. */
struct lido_reset {
    size_t size;
    int was_in_txn;            /* not 0: a transaction was open and has been ended */
    unsigned statements_reset; /* running statements that were reset */
    unsigned temp_dropped;     /* temporary tables, views and triggers that were dropped */
    int keeps_temp;            /* not 0: there are some, and they were kept as told */
    struct lido_session *session; /* as it was connected with, or NULL: what its lease
                                     changed is put back as far as it can be */
};

/* What is done with a savepoint. */
#define LIDO_SAVEPOINT_SET         0
#define LIDO_SAVEPOINT_ROLLBACK_TO 1
#define LIDO_SAVEPOINT_RELEASE     2

/* What can be set on a handle; each is 0 or 1. */
#define LIDO_PROPERTY_READ_ONLY        0 /* every write is refused */
#define LIDO_PROPERTY_READ_UNCOMMITTED 1 /* others' uncommitted changes may be seen */

struct lido_driver {
    size_t size; /* sizeof(struct lido_driver) */
    const char *name;
    unsigned capabilities;

    /* Opens a handle for `record` (NULL: one that the pool keeps and never lends, so that a
       named memory database lives on).  *handle is NULL on failure. */
    int (*connect)(void *ctx, const struct lido_connect *how, lido_record *record,
                   void **handle, struct lido_error *err);

    /* Closes it, also if it returns an error, which is logged and counted.  `terminate`:
       the connection is suspect and must not be waited for. */
    int (*close)(void *ctx, void *handle, int terminate, struct lido_error *err);

    /* Is it alive?  NULL: yes. */
    int (*ping)(void *ctx, void *handle, struct lido_error *err);

    /* Makes it clean for the next lease.  Any error means that it is not, and it is closed.
       NULL: always clean. */
    int (*reset)(void *ctx, void *handle, int how, struct lido_reset *outcome,
                 struct lido_error *err);

    /* LIDO_TXN_NONE ... LIDO_TXN_UNKNOWN. */
    int (*txn_state)(void *ctx, void *handle);

    /* Transactions; NULL where the driver has none.  LIDO_READ is to take its snapshot in
       begin; it comes only where there is `property`, which refuses writes.  *outcome:
       LIDO_OUTCOME_..., set also when an error is returned. */
    int (*begin)(void *ctx, void *handle, int mode, struct lido_error *err);
    int (*commit)(void *ctx, void *handle, int *outcome, struct lido_error *err);
    int (*rollback)(void *ctx, void *handle, int *outcome, struct lido_error *err);

    /* The busy wait seam: from now on wait by `wait`, or not at all if that is NULL.  Called
       after connect and after every reset, because a user may have set another.  NULL: the
       driver never waits. */
    void (*set_busy_wait)(void *ctx, void *handle, lido_busy_wait wait, void *wait_ctx);

    /* Looks at the keys when a pool is opened, before anything is connected.  NULL: what is
       wrong with them is found by connect. */
    int (*check)(void *ctx, const struct lido_connect *how, struct lido_error *err);

    /* LIDO_SAVEPOINT_..., only called in a transaction.  `name` is not empty and not long,
       and may have any byte in it.  NULL: the driver has no savepoints. */
    int (*savepoint)(void *ctx, void *handle, int what, const char *name,
                     struct lido_error *err);

    /* Sets one of LIDO_PROPERTY_... to `value`, also in a transaction; -1 leaves it.  *was:
       what it was before.  An error if it did not take.  NULL: there are none. */
    int (*property)(void *ctx, void *handle, int which, int value, int *was,
                    struct lido_error *err);
};

/*
 * Registers a driver, in the place of one registered under the same name before.  Pools
 * that are open keep the one they were opened with.
 *
 * Ownership: borrows driver and ctx for ever: they must be static, or live as long as any
 *            pool that uses them.  Copies name.
 * Threads:   any.
 * Fails:     SQLITE_MISUSE (a name that is none; no connect, close or txn_state; a size that
 *            ends inside a member, or a longer table whose rest is not zero), SQLITE_NOMEM.
 */
LIDO_API int lido_driver_register(const char *name, const struct lido_driver *driver,
                                  void *ctx, struct lido_error *err) LIDO_CHECKED;

/*
 * Takes it away again; a built-in of the name is found again.
 *
 * Threads:   any.
 * Fails:     LIDO_NOT_FOUND.
 */
LIDO_API int lido_driver_unregister(const char *name, struct lido_error *err);

/*
 * The built-in driver; its functions take NULL for ctx.  Static storage.
 *
 * Threads:   any.
 */
LIDO_API const struct lido_driver *lido_driver_sqlite(void);

#ifdef __cplusplus
}
#endif
#endif
