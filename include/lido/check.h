/* SPDX-License-Identifier: MIT */
#ifndef LIDO_CHECK_H
#define LIDO_CHECK_H

#include <lido/job.h>
#include <lido/status.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Is a database valid?  A check reads it and answers one verdict, and what it read.
 *
 * A check leaves no trace: no file is made beside the database, none goes away, and none
 * changes in bytes, size or time of change.  So it never recovers anything.  A rollback
 * database is read under SQLite's shared lock, as by any reader: who wants to commit
 * meanwhile waits.  One in WAL mode is read as it is where its WAL is empty, and else in a
 * private copy of the two files, made in `copy_folder` for this user alone and taken away
 * at the end: no writer waits, and the copy needs room.  So is a database with CHECK
 * constraints, from LIDO_DEPTH_QUICK on, for a read-only connection of SQLite's forgets
 * them.
 *
 * The file may be hostile: views, triggers and functions that are not harmless are off in
 * the connection that reads it.  What lido itself reads of the file, a child process
 * (fork(2)) reads.
 */

#ifdef __cplusplus
extern "C" {
#endif

/* Verdicts.  lido_check_name() has words for each. */
#define LIDO_CHECK_NONE           0 /* there was no check: the call failed */
#define LIDO_CHECK_SOUND          1 /* nothing wrong was found at this depth */
#define LIDO_CHECK_MISSING        2 /* no such file */
#define LIDO_CHECK_UNREADABLE     3 /* a folder or a device, not for this user, a bad disk */
#define LIDO_CHECK_EMPTY          4  /* no bytes: to SQLite a new database */
#define LIDO_CHECK_TRUNCATED      5  /* shorter than its header says */
#define LIDO_CHECK_NOT_SQLITE     6  /* a file of another kind */
#define LIDO_CHECK_ENCRYPTED      7  /* encrypted, or its header is damaged */
#define LIDO_CHECK_MALFORMED      8  /* SQLite says so, or its integrity check does */
#define LIDO_CHECK_LOCKED         9  /* others kept it locked, or changed it all the time */
#define LIDO_CHECK_NEEDS_RECOVERY 10 /* a transaction was cut off, and is to be undone */
#define LIDO_CHECK_INCOMPLETE     11 /* sound so far, but a part could not be checked here */
#define LIDO_CHECK_FOREIGN_KEYS   12 /* sound, but rows refer to rows that are not there */

/* Depths, each with what those before it do. */
#define LIDO_DEPTH_HEADER 0 /* the first 100 bytes, size, locks and journals; no SQLite */
#define LIDO_DEPTH_SCHEMA 1 /* SQLite reads the schema */
#define LIDO_DEPTH_QUICK  2 /* PRAGMA quick_check: all pages, no index against its table */
#define LIDO_DEPTH_FULL   3 /* PRAGMA integrity_check: everything */

struct lido_check_options {
    size_t size;      /* sizeof this struct */
    int depth;        /* LIDO_DEPTH_... (LIDO_DEPTH_SCHEMA) */
    int foreign_keys; /* not 0: PRAGMA foreign_key_check too; not with the header (0) */
    int max_problems; /* how many are told, at least 1 (100) */
    int64_t lock_timeout_ms; /* for a lock of others; -1: it waits for ever (1000) */
    const char *copy_folder; /* where copies go; NULL: TMPDIR, or else /tmp (NULL) */

    /* Called for each problem with one line, when all was read, on the calling thread, with no
       lock held; the line is lent for the call.  SQLITE_DONE: no more.  Another code than
       LIDO_OK fails the check with that code (NULL). */
    int (*problem)(void *ctx, const char *text, struct lido_error *err);
    void *problem_ctx; /* its first argument (NULL) */

    const struct lido_job *job; /* how it is told of and ended early (NULL) */
};
#define LIDO_CHECK_OPTIONS_INIT                                                            \
    {                                                                                      \
        sizeof(struct lido_check_options), LIDO_DEPTH_SCHEMA, 0, 100, 1000, NULL, NULL,    \
            NULL, NULL                                                                     \
    }

struct lido_check {
    size_t size;    /* sizeof this struct */
    int verdict;    /* LIDO_CHECK_... */
    int n_problems; /* that were found, up to max_problems */
    int has_more;   /* not 0: there are more than that */
    char text[248]; /* why the verdict is not sound, in one line; "" if it is */

    /* By the system.  0 for a memory database. */
    int64_t bytes;
    int64_t wal_bytes;
    int64_t journal_bytes;
    int is_in_use; /* others have a lock on it: in WAL mode all that have it open */

    /* By the header; 0 where it could not be read.  From the depth of the schema on, by what is
       committed, also in the WAL. */
    int64_t page_size;
    int64_t page_count;
    int64_t free_pages; /* of these, in no use */
    int64_t application_id;
    int64_t user_version;
    int64_t schema_version;
    const char *encoding; /* "UTF-8", "UTF-16le", "UTF-16be" or "": static */
    int is_wal;           /* the header says journal_mode=wal */
    int auto_vacuum;      /* 0 none, 1 full, 2 incremental */

    /* By the schema; -1 where it was not read. */
    int64_t n_tables; /* without SQLite's own, as sqlite_sequence */
    int64_t n_indexes;
    int64_t n_views;
    int64_t n_triggers;
};
#define LIDO_CHECK_INIT                                                                    \
    {                                                                                      \
        sizeof(struct lido_check), LIDO_CHECK_NONE, 0, 0, { 0 }, 0, 0, 0, 0, 0, 0, 0, 0,   \
            0, 0, "", 0, 0, -1, -1, -1, -1                                                 \
    }

/*
 * Checks a database.  A database that is not sound is a verdict and no error.
 *
 * Of a URL the file is taken, of a pool the file of its main database; the file is then
 * checked by its path.  A memory database is checked where it is, on a lease of the pool.
 * A key of an encrypted database is not used: the verdict is LIDO_CHECK_ENCRYPTED.
 *
 * SQLite looks for the end of the job between the steps of its machine; of a version before
 * 3.41 the check of one table and its indexes is one step.
 *
 * Ownership: borrows everything until it returns.
 * Threads:   any.  The process is forked, all signals blocked in the child; a host that
 *            waits for any child may meet this one.
 * Fails:     SQLITE_MISUSE (no database or more than one, a size that is none, a URL or
 *            a pool of another driver), LIDO_BAD_OPTION, LIDO_BAD_URL, SQLITE_TOOBIG (a path
 *            too long), LIDO_FORKED, LIDO_CANCELLED, LIDO_TXN_TIMEOUT, SQLITE_NOMEM,
 *            SQLITE_FULL (no room for the copy), SQLITE_CANTOPEN, SQLITE_IOERR (the copy,
 *            the pipe or the child failed); as lido_pool_checkout(); what `problem` or the
 *            job's progress said.  Then *out is as LIDO_CHECK_INIT made it.
 */
LIDO_API int lido_check(struct lido_database at, const struct lido_check_options *options,
                        struct lido_check *out, struct lido_error *err) LIDO_CHECKED;

/*
 * A verdict in words, as "sound" or "needs recovery".  Static storage, never NULL.
 *
 * Threads:   any.
 */
LIDO_API const char *lido_check_name(int verdict);

#ifdef __cplusplus
}
#endif
#endif
