/* SPDX-License-Identifier: MIT */
#ifndef LIDO_POOL_H
#define LIDO_POOL_H

#include <lido/conn.h>
#include <lido/hooks.h>
#include <lido/log.h>
#include <lido/status.h>
#include <lido/sys/clock.h>
#include <lido/txn.h>

/*
 * A pool: it opens connections, lends them, and takes them back.
 *
 *     sqlite:///app.db                 a file, relative to the working directory
 *     sqlite:////srv/app.db            a file by its absolute path
 *     sqlite://, sqlite:///:memory:    a memory database
 *     sqlite+NAME:///...  NAME://...   a driver of the host's own (lido/sys/driver.h)
 *
 * followed by `?key=value&key=value` (lido/url.h).  URLs speak seconds, the fields
 * milliseconds.  The kinds:
 *
 *     null              every checkout opens a connection, every check-in closes it: the
 *                       default for a file, as in SQLAlchemy before 2.0
 *     queue             keeps up to `pool_size` connections and opens up to `max_overflow`
 *                       more, which are closed when they come back and `pool_size` others
 *                       are idle
 *     singleton_thread  one connection for each thread, which all its checkouts share; it is
 *                       closed when the thread ends.  The default for a memory database,
 *                       where each thread so has one of its own
 *     static            one connection for all threads.  A transaction is the lease's that
 *                       began it, and other leases' begin waits for it
 *     assertion         one connection, lent to one at a time; who asks for it while it is
 *                       out gets LIDO_CHECKED_OUT at once, with the name of who has it
 */

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Start from LIDO_POOL_OPTIONS_INIT, which holds the defaults; a zero is then a zero.  Each
 * comment begins with the key of the URL, if there is one, and ends with the default.  A field
 * that is not at its default beats the key.  An option that the kind does not take is an
 * error, by key or by field.  The key `profile=server` stands for pool=queue,
 * journal_mode=wal, foreign_keys=on, begin=immediate and synchronous=normal, which keys and
 * fields still beat.  docs/defaults.md has all of them beside SQLAlchemy's and SQLite's.
 */
#define LIDO_BY_KIND         (-1)
#define LIDO_TEXT_STRICT     0
#define LIDO_TEXT_WARN       1
#define LIDO_TEXT_RAW        2
#define LIDO_AUTOBEGIN_OFF   0
#define LIDO_AUTOBEGIN_READ  1
#define LIDO_AUTOBEGIN_WRITE 2
#define LIDO_GATE_OFF        0
#define LIDO_GATE_ON         1
#define LIDO_GATE_PROCESS    2
struct lido_pool_options {
    size_t size; /* sizeof this struct */

    const char *pool;  /* pool: the kind; NULL: null for a file, singleton_thread for
                                a memory database (NULL) */
    const char *order; /* order: which idle connection comes next: "any", the quickest;
                                "fifo", returned the longest ago, or "lifo", pool_use_lifo=1,
                                exactly as SQLAlchemy (NULL: any) */
    int pool_size;     /* pool_size: how many a queue keeps; 0: no bound (5) */
    int max_overflow;  /* max_overflow: how many more at a time; -1: no bound (10) */
    int64_t pool_timeout_ms; /* pool_timeout: wait for a connection; 0: try; -1: for ever
                                (30 000) */
    int64_t timeout_ms;      /* timeout: wait for a lock of SQLite; 0: none; -1: for ever
                                (5 000) */
    int check_same_thread;   /* check_same_thread: a lease serves only the thread that
                                checked it out (LIDO_BY_KIND: 0 for static, else 1) */
    int begin_mode;          /* begin: what LIDO_BEGIN_DEFAULT means (LIDO_DEFERRED) */
    int open_now;            /* open_now: open one at once, to see that it works (0) */

    int64_t pool_recycle_ms; /* pool_recycle: a connection older than this is replaced at
                                its checkout; -1: never (-1) */
    int64_t pool_recycle_jitter_ms;  /* pool_recycle_jitter: up to so much later, for each
                                        connection by chance (0) */
    int64_t pool_recycle_spacing_ms; /* pool_recycle_spacing: at least so much between two
                                        that are replaced for their age (0) */
    int pool_pre_ping;        /* pool_pre_ping: ask an idle one at checkout whether it still
                                 works (0) */
    int pool_reset_on_return; /* pool_reset_on_return: rollback, commit or none
                                 (LIDO_RESET_ROLLBACK) */
    int min_idle;             /* min_idle: opened at once, and kept by idle_timeout; at most
                                 what the kind keeps (0) */
    int64_t idle_timeout_ms;  /* idle_timeout: idle for longer than this they are closed, at
                                 the next check-in or by lido_pool_tidy(); -1: never (-1) */
    int keep_temp;            /* keep_temp: temporary tables and attached databases outlive
                                 the lease
                                 (LIDO_BY_KIND: 1 for singleton_thread and static, else 0) */
    int use_threadlocal;      /* use_threadlocal: a checkout shares the connection that this
                                 thread has already (0) */
    int strict;               /* strict: singleton_thread: not more than pool_size
                                 connections; the next thread gets LIDO_POOL_TIMEOUT (0) */
    int shared_transaction;   /* shared_transaction: static: one transaction for all leases,
                                 which any of them ends, as in SQLAlchemy (0) */
    int cached_statements; /* cached_statements: how many prepared statements a connection
                                 keeps that nobody uses (128) */
    int text;              /* text: what is bound and is not UTF-8 is refused, logged, or
                                 passed: strict, warn, raw (LIDO_TEXT_STRICT) */
    int autobegin;         /* autobegin: a statement begins a transaction if none is open:
                                 off; read, every one; write, one that writes
                                 (LIDO_AUTOBEGIN_OFF) */
    int session_guard;     /* session_guard: what a lease changes in its connection, as
                                 by a pragma, does not reach the next; lido/conn.h (1) */
    int64_t txn_limit_ms;  /* txn_limit: how long a transaction may take, as
                                 lido_txn_limit(); -1: as long as it likes (-1) */
    int gate;          /* gate: begins that take the lock for writing wait in line for it:
                                off; on, with all pools of this process on the file; process,
                                with other processes too, lido/gate.h (LIDO_GATE_ON) */
    int gate_aging_us; /* gate_aging_us: who has waited there for so many microseconds is
                                 overtaken no more; 0: strictly in order (1 000) */

    /* SQLite: called on each new connection before anything else touches it, to set the key
       of an encrypted database (NULL). */
    int (*key)(void *ctx, sqlite3 *db, struct lido_error *err);
    void *key_ctx; /* the first argument of key (NULL) */

    lido_log_fn log; /* where log lines go (NULL: nowhere) */
    void *log_ctx;   /* the first argument of log (NULL) */
    int log_level;   /* the highest level that is logged (LIDO_LOG_WARN) */

    /* Whose time it is: borrowed until the pool is freed (NULL: the system's). */
    const struct lido_clock *clock;
};
#define LIDO_POOL_OPTIONS_INIT                                                             \
    {                                                                                      \
        sizeof(struct lido_pool_options), NULL, NULL, 5, 10, 30000, 5000, LIDO_BY_KIND,    \
            LIDO_DEFERRED, 0, -1, 0, 0, 0, LIDO_RESET_ROLLBACK, 0, -1, LIDO_BY_KIND, 0, 0, \
            0, 128, LIDO_TEXT_STRICT, LIDO_AUTOBEGIN_OFF, 1, -1, 1, 1000, NULL, NULL,      \
            NULL, NULL, LIDO_LOG_WARN, NULL                                                \
    }

/*
 * Opens a pool on `url`.  No connection is opened before the first checkout unless
 * `open_now` asks for it.
 *
 * Ownership: on success *out owns a pool; give it to lido_pool_close(), then to
 *            lido_pool_free().  On failure *out is NULL.  Borrows url, options and their
 *            strings until it returns.
 * Threads:   any.
 * Fails:     LIDO_BAD_URL, LIDO_BAD_OPTION, LIDO_NOT_FOUND (no such driver),
 *            LIDO_VERSION_MISMATCH, LIDO_SQLITE_UNFIT, LIDO_FORKED, SQLITE_NOMEM; with
 *            `open_now` all that lido_pool_checkout() may answer, and SQLITE_NOTADB or
 *            SQLITE_CORRUPT.
 */
LIDO_API int lido_pool_open_version(lido_pool **out, const char *url,
                                    const struct lido_pool_options *options,
                                    int header_version,
                                    struct lido_error *err) LIDO_CHECKED;
static inline LIDO_CHECKED int lido_pool_open(lido_pool **out, const char *url,
                                              const struct lido_pool_options *options,
                                              struct lido_error *err)
{
    return lido_pool_open_version(out, url, options, LIDO_VERSION_NUMBER, err);
}

/*
 * Closes the pool for good: checkouts answer LIDO_CLOSED from now on, waiting ones too; idle
 * connections are closed; then it waits up to `deadline_ms` (0: not at all, -1: for ever)
 * for the leases.  Past that it says how many are out and who has them; it may be called
 * again, and who checks in last closes the connection.  Detached and adopted leases are not
 * waited for.  close(NULL) does nothing.
 *
 * Threads:   any.
 * Fails:     LIDO_BUSY_LEASES, LIDO_FORKED; what a close hook returned (all are closed).
 */
LIDO_API int lido_pool_close(lido_pool *pool, int64_t deadline_ms, struct lido_error *err);

/*
 * Gives the pool's memory back, closing it first if nobody has.  Leases that are still out
 * stay good: the last check-in frees what is left.  free(NULL) does nothing.
 *
 * Ownership: steals pool.
 * Threads:   one; no call on this pool may run or come after it.
 */
LIDO_API void lido_pool_free(lido_pool *pool);

/*
 * Closes what is idle and forgets it, and goes on: the next checkout opens anew.  What is
 * lent goes on too.  A queue takes it back when it comes; the other kinds have it closed
 * then, and lend another at once: so after dispose() nothing of before is lent again.  On a
 * memory database that deletes the data.
 *
 * Threads:   any.
 * Fails:     LIDO_FORKED, LIDO_CLOSED; what the first failing close hook returned (all are
 *            closed).
 */
LIDO_API int lido_pool_dispose(lido_pool *pool, struct lido_error *err);

/*
 * A new pool with all the settings of this one and a copy of its hooks: what is added later
 * to one of them does not reach the other; what is removed runs no more in either, and its
 * `destroy` comes when both are rid of it.  It opens nothing, min_idle neither, and
 * first_connect runs anew.
 *
 * Ownership: on success *out owns a pool, which lives by itself.
 * Threads:   any.
 * Fails:     LIDO_FORKED, SQLITE_NOMEM; of a named memory database what opening it answers.
 */
LIDO_API int lido_pool_recreate(lido_pool *pool, lido_pool **out,
                                struct lido_error *err) LIDO_CHECKED;

/*
 * Every connection that is open now is replaced at its next checkout; no hook runs now.
 *
 * Threads:   any.
 * Fails:     LIDO_FORKED.
 */
LIDO_API int lido_pool_invalidate(lido_pool *pool, struct lido_error *err);

/* When it was last invalidated, on the pool's age clock; 0: never. */
LIDO_API int64_t lido_pool_invalidated_ns(lido_pool *pool);

/*
 * Closes the connections that have been idle for longer than `idle_timeout`, but not the
 * last `min_idle`.  The pool does the same by itself at each check-in: this is for a program
 * that has gone quiet.
 *
 * Threads:   any.
 * Fails:     LIDO_FORKED; what a close hook returned (all are closed).
 */
LIDO_API int lido_pool_tidy(lido_pool *pool, struct lido_error *err);

/*
 * One line on how full the pool is, word for word as SQLAlchemy's Pool.status().
 *
 * Ownership: writes up to `size` bytes to text, cut at a whole character.
 * Threads:   any.
 * Fails:     SQLITE_MISUSE, LIDO_FORKED.
 */
LIDO_API int lido_pool_status(lido_pool *pool, char *text, size_t size,
                              struct lido_error *err);

/*
 * The pool's own target for hooks.
 *
 * Ownership: lends it until lido_pool_free().
 * Threads:   any.
 */
LIDO_API lido_hooks *lido_pool_hooks(lido_pool *pool);

/*
 * Counts of one moment: at that moment `idle + out == live` held, and what was counted
 * before it is in.  `size` first, set by the caller through LIDO_POOL_STATS_INIT.
 */
struct lido_pool_stats {
    size_t size;
    const char *kind; /* static storage */
    int64_t limit;    /* connections at one time; -1: no bound */
    int64_t keep;     /* connections kept idle; -1: no bound */
    int is_closed;

    /* Now. */
    int64_t live;     /* records with a connection, or lent, or kept for one */
    int64_t idle;     /* of these, waiting in the pool */
    int64_t out;      /* of these, lent, also while they are opened or cleaned */
    int64_t detached; /* leases out that are not the pool's: detached, adopted */
    int64_t disowned; /* in use when dispose() was called; closed when they come back */
    int64_t overflow; /* live - pool_size, as SQLAlchemy counts: negative at first */
    int64_t waiting;  /* checkouts that wait */
    int64_t oldest_wait_ns; /* how long the oldest of them has, or 0 */
    int64_t writer; /* 1: there is a connection beside these, for runs at the write gate */

    /* Since the pool was opened. */
    uint64_t checkouts;        /* that succeeded */
    uint64_t checkins;         /* leases that ended */
    uint64_t waits;            /* checkouts that had to wait */
    uint64_t wait_ns;          /* all their waiting */
    uint64_t max_wait_ns;      /* the longest of them */
    uint64_t timeouts;         /* checkouts that waited in vain, or tried in vain */
    uint64_t connects;         /* connections opened */
    uint64_t connect_failures; /* by the driver or by a connect hook */
    uint64_t closes;           /* connections closed; connects - closes are open */
    uint64_t closed_surplus;   /* of these: came back when enough were idle (null: all) */
    uint64_t closed_unclean;   /* of these: could not be cleaned */
    uint64_t closed_by_hook;   /* of these: a connect or checkout hook refused them */
    uint64_t closed_invalid;   /* of these: invalidated */
    uint64_t closed_old;       /* of these: replaced for their age, or marked before */
    uint64_t closed_idle;      /* of these: idle for too long */
    uint64_t closed_detached;  /* of these: detached, at their check-in */
    uint64_t stolen;           /* handles given to the host for good; not in closes */
    uint64_t close_failures;   /* the driver's close failed, or left statements behind */
    uint64_t rolled_back;      /* transactions left open, rolled back at check-in */
    uint64_t statements_reset; /* statements left running, reset at check-in */
    uint64_t temp_cleared; /* temporary tables and such left behind, dropped at check-in */
    uint64_t deadlocks;    /* checkouts that would have waited in a ring: LIDO_DEADLOCK */
    uint64_t reclaimed;    /* leases whose thread had ended, by lido_pool_reclaim() */
};
#define LIDO_POOL_STATS_INIT                                                               \
    {                                                                                      \
        sizeof(struct lido_pool_stats), NULL, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, \
            0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0                     \
    }

/*
 * Fills *stats up to stats->size bytes.
 *
 * Threads:   any.
 * Fails:     SQLITE_MISUSE (a size that is none), LIDO_FORKED.
 */
LIDO_API int lido_pool_stats(lido_pool *pool, struct lido_pool_stats *stats,
                             struct lido_error *err);

/* One lease that is out. */
struct lido_holder {
    size_t size;
    uint64_t lease;   /* a number of this lease, for logs */
    uint64_t thread;  /* the kernel's id of the thread that has it */
    int64_t age_ns;   /* since its checkout */
    const char *file; /* where it was checked out; NULL if not told */
    int line;
    char label[32]; /* "" if none */
    int is_gone; /* holder gone: its thread has ended, and nobody else may use the lease */
};

/*
 * Shows every lease that is out to `visit`, the longest first, until it returns non-zero.
 * The answer is a copy of one moment; leases may come and go meanwhile.
 *
 * Ownership: lends the holder to visit until it returns.
 * Threads:   any; visit runs on the calling thread with no lock held.
 * Fails:     SQLITE_NOMEM, LIDO_FORKED; what visit returned.
 */
LIDO_API int lido_pool_holders(lido_pool *pool,
                               int (*visit)(void *ctx, const struct lido_holder *holder),
                               void *ctx, struct lido_error *err);

/*
 * Ends the leases whose holder is gone (`is_gone`), so that others get their connections: each
 * is checked in by the calling thread, with all hooks, and its transaction is rolled back
 * whatever `pool_reset_on_return` says.  A copy of such a lease answers LIDO_STALE from then
 * on.  A run (<lido/run.h>) whose thread ended in its function leaves the write gate.
 *
 * A thread has ended when its functions have, and the destructors of its thread-specific
 * values.  A lease that was handed over is its new thread's; where any thread may use a lease
 * (check_same_thread=0) nobody is known to be gone.  What cannot be ended stays as it is: an
 * adopted handle, which is the host's, and a lease whose thread ended inside a statement.
 *
 * Ownership: *reclaimed (NULL allowed) is how many leases it ended.
 * Threads:   any; also on a closed pool.  Who reclaims a lease uses its connection, so a
 *            thread must not end while SQLite works for it (pthread_cancel in a raw call).
 * Fails:     LIDO_FORKED; the first that a check-in of them answered (all are ended).
 */
LIDO_API int lido_pool_reclaim(lido_pool *pool, int64_t *reclaimed, struct lido_error *err);

#ifdef __cplusplus
}
#endif
#endif
