/* SPDX-License-Identifier: MIT */
#ifndef LIDO_BACKUP_H
#define LIDO_BACKUP_H

#include <lido/job.h>

/*
 * Backup of a database to a new file, and restore of one into a database that is in use.
 *
 * A backup is one moment of the database, whatever others write meanwhile.  It is written to
 * a file of another name in the same folder, `.NAME.XXXXXX`, that only its owner may read,
 * then checked, synced, given to those who may read the database, and renamed: at its name
 * there is either nothing (or what was there before) or all of it.  A process that is killed
 * leaves at most the file of the other name, and with LIDO_BACKUP_COPY a log beside that.
 *
 * A restore goes through SQLite and through the write gate: each reader and each writer, in
 * this process and others, sees the old content or the new, and connections stay open.
 *
 * A memory database is backed up and restored like a file, by its pool.
 */

#ifdef __cplusplus
extern "C" {
#endif

/* How a backup is made.  ONLINE copies page by page inside a read transaction: in WAL mode
   writers go on, and the log grows by what they write; in a rollback-journal mode their commits
   wait for its end.  What is copied goes to the disk as it goes on, a few megabytes at a time,
   or half a megabyte while others write, so that they do not wait behind all of it.  VACUUM
   writes the content anew, by VACUUM INTO: without free pages and deleted content; the rowids
   of tables without INTEGER PRIMARY KEY may change.  COPY takes the bytes of the file and of
   its log, under the lock of a reader: the fastest, at once where the file system shares
   blocks; others go on as with ONLINE.  It is not for memory databases.
   To keep to a rate ONLINE waits after each of its steps, COPY after each 256 KB, and VACUUM
   after some hundreds of rows: of a database in memory, or one that is mapped (mmap_size), it
   cannot tell how far it is, and a rate is LIDO_BAD_OPTION. */
#define LIDO_BACKUP_ONLINE 0
#define LIDO_BACKUP_VACUUM 1
#define LIDO_BACKUP_COPY   2

struct lido_backup_options {
    size_t size;                /* sizeof this struct */
    const struct lido_job *job; /* progress is in pages, of COPY in bytes (NULL) */
    int method;                 /* LIDO_BACKUP_... (LIDO_BACKUP_ONLINE) */
    int replace; /* a file at the name is replaced; nobody may have it open, which the caller
                    sees to: it is not checked (0) */
    int check;   /* the copy is read back, by PRAGMA quick_check (1) */
    int stamp; /* the time is added to the name: NAME.YYYYmmdd-HHMM, in UTC; the second of a
                    minute is NAME.YYYYmmdd-HHMM-2, and a number is not used again (0) */
    int keep; /* with stamp: afterwards at most so many of NAME are left, the youngest; what
                 another backup makes meanwhile stays too; -1: all of them (-1) */
    int step_pages; /* ONLINE: how many are copied at a time (1 000) */
    int64_t rate;   /* bytes of the database a second at most; 0: no bound (0) */
    int hash;       /* the content of the copy is hashed (0) */
};
#define LIDO_BACKUP_OPTIONS_INIT                                                           \
    {                                                                                      \
        sizeof(struct lido_backup_options), NULL, LIDO_BACKUP_ONLINE, 0, 1, 0, -1, 1000,   \
            0, 0                                                                           \
    }

/* What a backup has made.  Start from LIDO_BACKUP_INIT. */
struct lido_backup {
    size_t size;        /* sizeof this struct */
    char path[4096];    /* the file, by an absolute name */
    uint64_t pages;     /* in it */
    uint64_t bytes;     /* in it */
    uint64_t restarts;  /* how often it began anew, because others wrote */
    int64_t elapsed_ns; /* how long it took in all */
    int is_checked; /* 0: not asked for, or the schema needs what SQLite alone has not, as a
                       module of the host's */
    int removed;    /* older ones, by `keep` */
    int not_removed; /* of these: could not be, or seem to be in use */
    int is_cloned;   /* COPY: the file shares its blocks with the database until either is
                        written; a damaged block is then in both */
    char hash[65]; /* with `hash`: SHA3-256 of schema and rows, in hexadecimal digits; files
                        of equal content have the same, however they were made.  It is what
                        the sqlite3 shell says of the file by .sha3sum --schema --sha3-256 */
};
#define LIDO_BACKUP_INIT                                                                   \
    {                                                                                      \
        sizeof(struct lido_backup), { 0 }, 0, 0, 0, 0, 0, 0, 0, 0,                         \
        {                                                                                  \
            0                                                                              \
        }                                                                                  \
    }

/*
 * Backs `from` up to the file `target`, which must not exist unless `replace` is set.  A target
 * that is no ordinary file (a link, a folder) is refused in any case, and so is the database
 * itself, a name that has a journal or a log beside it, and one that ends as theirs do (-wal,
 * -shm, -journal).  For `keep` only ordinary files count whose name is exactly that of a
 * stamped backup of `target`.
 *
 * The file has owner, mode and access list of the database.  Where one of them cannot be given
 * to it, nobody but its owner may read it.
 * A backup of a memory database is its owner's alone.
 *
 * Ownership: borrows everything until it returns; fills *result (NULL allowed) on success.
 * Threads:   any.
 * Fails:     SQLITE_CANTOPEN (the target exists, or cannot be made), SQLITE_MISUSE (no target;
 *            the database itself; no SQLite), LIDO_BAD_OPTION, LIDO_NOT_FOUND (no database),
 *            LIDO_CANCELLED, LIDO_TXN_TIMEOUT, SQLITE_BUSY, SQLITE_FULL, SQLITE_NOMEM;
 *            SQLITE_ERROR (`hash`, and a generated column needs a function of the host's);
 *            LIDO_BAD_TEXT (VACUUM: the target's name is not UTF-8);
 *            SQLITE_READONLY_DBMOVED (COPY: its name leads to another file than is open);
 *            SQLITE_CORRUPT and SQLITE_NOTADB (the database is damaged); SQLITE_IOERR_DIR_FSYNC
 *            (the file is there, and may not outlive a loss of power); what `progress`
 *            answered; as lido_pool_open(), lido_pool_checkout(), and lido_txn_begin():
 *            LIDO_IN_TXN (this thread has one open on the connection).
 */
LIDO_API int lido_backup(struct lido_database from, const char *target,
                         const struct lido_backup_options *options,
                         struct lido_backup *result, struct lido_error *err) LIDO_CHECKED;

struct lido_restore_options {
    size_t size; /* sizeof this struct */
    const struct lido_job
        *job;       /* progress is in pages; what it answers to the end of the last
                                   phase changes nothing (NULL) */
    int check;      /* the file is read before, by PRAGMA quick_check, and refused if that
                       finds something, or cannot be done (1) */
    int step_pages; /* how many are copied at a time (1 000) */
};
#define LIDO_RESTORE_OPTIONS_INIT                                                          \
    {                                                                                      \
        sizeof(struct lido_restore_options), NULL, 1, 1000                                 \
    }

/*
 * Replaces all content of `into`, which exists, by that of the file `from`, in one transaction
 * of SQLite.  It waits at the write gate and for SQLite's lock as a begin does, and holds both
 * until it is done: in a rollback-journal mode it waits for readers too.  Both have to have
 * the same encoding.  A database in WAL mode or in memory keeps its page size, so `from` has to
 * have that too: SQLite cannot change it there, for the frames of a log and the snapshots of
 * its readers have one size.  In a rollback-journal mode the database gets the page size of
 * `from`, and its journal mode.  Commit hooks are called when it is done, and cannot refuse it.
 *
 * Ownership: borrows everything until it returns.
 * Threads:   any.
 * Fails:     LIDO_NOT_FOUND (no such file, or no database), SQLITE_CANTOPEN (it is no file, or
 *            cannot be opened), SQLITE_NOTADB (an empty file, or none of SQLite's),
 *            SQLITE_CORRUPT, SQLITE_MISMATCH (another encoding, or page size as above),
 *            SQLITE_MISUSE (no file; both are the same; no SQLite), LIDO_BAD_OPTION,
 *            SQLITE_BUSY (the lock was not free in time: says who is at the gate, and which
 *            other process has the lock; or the file was written meanwhile), SQLITE_READONLY,
 *            SQLITE_READONLY_DBMOVED (the name of `into` leads to another file than is open),
 *            SQLITE_READONLY_ROLLBACK (the file has a journal of a transaction that did not
 *            end), SQLITE_FULL, SQLITE_NOMEM, LIDO_CANCELLED, LIDO_TXN_TIMEOUT; what
 *            `progress` answered; as lido_pool_open(), lido_pool_checkout(), lido_txn_begin().
 */
LIDO_API int lido_restore(struct lido_database into, const char *from,
                          const struct lido_restore_options *options,
                          struct lido_error *err) LIDO_CHECKED;

#ifdef __cplusplus
}
#endif
#endif
