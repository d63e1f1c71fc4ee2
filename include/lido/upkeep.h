/* SPDX-License-Identifier: MIT */
#ifndef LIDO_UPKEEP_H
#define LIDO_UPKEEP_H

#include <lido/job.h>
#include <lido/pool.h>
#include <stdint.h>

/*
 * Upkeep of a database: give free pages back, let the query planner know the data, empty the
 * write-ahead log, and tell what takes how much room.
 *
 * Each call is a job, as lido/job.h has it.  What writes goes by the write gate of the file,
 * as a writer of the host does, and waits for its locks up to `lock_timeout_ms`; on a pool of
 * the host's that is the pool's own `timeout`.  Only the database "main" is worked on.
 *
 * A path or a URL is opened for the job alone.  Where nobody else has the database open its
 * closing ends the write-ahead log, as SQLite does with the last connection.
 */

#ifdef __cplusplus
extern "C" {
#endif

/* Start from LIDO_UPKEEP_OPTIONS_INIT; NULL in its place is the same. */
struct lido_upkeep_options {
    size_t size;                /* sizeof this struct */
    const struct lido_job *job; /* progress, cancel, timeout_ms (NULL) */
    int64_t lock_timeout_ms;    /* how long to wait for locks, of a path or a URL; 0: not at
                                   all; -1: for ever (5 000) */
    int analysis_limit;         /* lido_optimize(): how many rows of an index are looked at;
                                   0: all (400) */
};
#define LIDO_UPKEEP_OPTIONS_INIT                                                           \
    {                                                                                      \
        sizeof(struct lido_upkeep_options), NULL, 5000, 400                                \
    }

/* What became of the file.  Start from LIDO_VACUUM_REPORT_INIT. */
struct lido_vacuum_report {
    size_t size;          /* sizeof this struct */
    int64_t page_size;    /* bytes, afterwards */
    int64_t pages_before; /* of the database */
    int64_t pages_after;
    int64_t free_before; /* of these, pages that hold nothing */
    int64_t free_after;
};
#define LIDO_VACUUM_REPORT_INIT                                                            \
    {                                                                                      \
        sizeof(struct lido_vacuum_report), 0, 0, 0, 0, 0                                   \
    }

/*
 * Writes the database anew without free pages, by VACUUM.  It needs room for up to twice the
 * size of the file: in the folder of temporary files, and in the journal or the log beside the
 * database.  Others can read meanwhile, and nobody can write.  The rowids of tables without an
 * INTEGER PRIMARY KEY may change.  In WAL mode the file gets smaller at the next checkpoint.
 * Until its last step it ends when the job does.  Progress is in pages that were read; when all
 * were, they are written back in that step, which tells nothing.
 *
 * lido_vacuum_some() gives up to `pages` free pages back (-1: all), by PRAGMA
 * incremental_vacuum, which a database with auto_vacuum=incremental can.  It goes by short
 * transactions, and others write between them: ended early, it leaves what was given back as it
 * is, and says in *report how much that was.
 *
 * Ownership: borrows everything until it returns; report may be NULL.
 * Threads:   any; on a pool of the host's this thread may have no transaction open.
 * Fails:     SQLITE_BUSY (a lock was not free in time), SQLITE_FULL, SQLITE_NOTADB,
 *            SQLITE_CORRUPT, SQLITE_READONLY, SQLITE_CANTOPEN, LIDO_NOT_FOUND (no such file),
 *            LIDO_CANCELLED, LIDO_TXN_TIMEOUT, what `progress` answered; LIDO_DEADLOCK (this
 *            thread has the gate), LIDO_IN_TXN, or of VACUUM SQLITE_ERROR (it has a
 *            transaction open on the connection); LIDO_SETTING (auto_vacuum is none);
 *            LIDO_BAD_OPTION, SQLITE_MISUSE; as lido_pool_open() and lido_pool_checkout().
 */
LIDO_API int lido_vacuum(struct lido_database at, struct lido_vacuum_report *report,
                         const struct lido_upkeep_options *options,
                         struct lido_error *err) LIDO_CHECKED;
LIDO_API int lido_vacuum_some(struct lido_database at, int64_t pages,
                              struct lido_vacuum_report *report,
                              const struct lido_upkeep_options *options,
                              struct lido_error *err) LIDO_CHECKED;

/*
 * Counts again what the query planner goes by, in one transaction: the tables that need it, or
 * all of them.  SQLite can tell which need it from 3.46 on; with an older one it is all.
 * https://sqlite.org/pragma.html#pragma_optimize
 *
 * Ownership: borrows everything until it returns.
 * Threads:   as lido_vacuum().
 * Fails:     as lido_vacuum(); SQLITE_MISUSE (no such `what`).
 */
#define LIDO_OPTIMIZE_NEEDED 0
#define LIDO_OPTIMIZE_ALL    1
LIDO_API int lido_optimize(struct lido_database at, int what,
                           const struct lido_upkeep_options *options,
                           struct lido_error *err) LIDO_CHECKED;

/* Start from LIDO_CHECKPOINT_REPORT_INIT. */
struct lido_checkpoint_report {
    size_t size;          /* sizeof this struct */
    int is_wal;           /* 0: there is no write-ahead log, and nothing was to do */
    int is_busy;          /* others kept it from doing all that was asked for */
    int64_t frames;       /* pages in the log, afterwards */
    int64_t checkpointed; /* of these, such as are in the database too */
};
#define LIDO_CHECKPOINT_REPORT_INIT                                                        \
    {                                                                                      \
        sizeof(struct lido_checkpoint_report), 0, 0, 0, 0                                  \
    }

/*
 * Writes what is in the write-ahead log into the database.  `mode` is SQLite's:
 *
 *     SQLITE_CHECKPOINT_PASSIVE   as much as is possible without a wait for anybody
 *     SQLITE_CHECKPOINT_FULL      waits for writers, and for who reads what is older
 *     SQLITE_CHECKPOINT_RESTART   and for all who read from the log: the next writer begins it
 *                                 anew
 *     SQLITE_CHECKPOINT_TRUNCATE  and makes its file empty
 *
 * All but the first wait in line at the write gate, and keep writers out while they wait for
 * readers.  To be kept from it by others is no failure: is_busy says so, and what was possible
 * is done.
 *
 * Ownership: borrows everything until it returns; report may be NULL.
 * Threads:   as lido_vacuum().
 * Fails:     as lido_vacuum(); SQLITE_MISUSE (no such mode).
 */
LIDO_API int lido_checkpoint(struct lido_database at, int mode,
                             struct lido_checkpoint_report *report,
                             const struct lido_upkeep_options *options,
                             struct lido_error *err) LIDO_CHECKED;

/* A table or an index, and the room that it takes. */
struct lido_size {
    size_t size;       /* sizeof this struct */
    const char *name;  /* of the object; the strings are lent until the call returns */
    const char *table; /* to which an index belongs; of a table its own name */
    const char *kind;  /* "table" or "index" */
    int64_t pages;
    int64_t bytes;   /* of all its pages */
    int64_t payload; /* bytes of these that are content */
    int64_t unused;  /* bytes of these that are free */
};

/* The whole.  Start from LIDO_SIZES_TOTAL_INIT. */
struct lido_sizes_total {
    size_t size;        /* sizeof this struct */
    int64_t page_size;  /* bytes */
    int64_t pages;      /* of the database */
    int64_t free_pages; /* of these, such as hold nothing */
    int64_t objects;    /* how many were told */
};
#define LIDO_SIZES_TOTAL_INIT                                                              \
    {                                                                                      \
        sizeof(struct lido_sizes_total), 0, 0, 0, 0                                        \
    }

/*
 * Tells what each table and index takes, by the order of their names, all of one moment.  It
 * reads the whole database once.  `each` (NULL: only the total) may not use the same database;
 * another answer than LIDO_OK ends it, which answers the same.
 *
 * Ownership: borrows everything until it returns; total may be NULL.
 * Threads:   as lido_vacuum(); `each` is called on the calling thread, with no lock held.
 * Fails:     as lido_vacuum(); LIDO_NOT_FOUND also where SQLite was built without
 *            SQLITE_ENABLE_DBSTAT_VTAB, and says so.
 */
typedef int (*lido_size_fn)(void *ctx, const struct lido_size *object,
                            struct lido_error *err);
LIDO_API int lido_sizes(struct lido_database at, lido_size_fn each, void *ctx,
                        struct lido_sizes_total *total,
                        const struct lido_upkeep_options *options,
                        struct lido_error *err) LIDO_CHECKED;

#ifdef __cplusplus
}
#endif
#endif
