/* SPDX-License-Identifier: MIT */
#ifndef LIDO_HOUSEKEEPING_CHILD_H
#define LIDO_HOUSEKEEPING_CHILD_H

/*
 * The child that reads database files, because this process must not.
 *
 * A close of any descriptor of a database drops the locks that SQLite has on it in this
 * process.  So what is to be read outside of SQLite a forked child reads and writes into a
 * pipe.  It sees this process's locks as another's, which makes it also the one to ask who
 * locks the file.
 *
 * Threads: any; each call has a child of its own, gone when it returns.
 */
#include "housekeeping/work.h"

#include <limits.h>

/* A database file and those beside it, by their absolute names. */
struct lido__names {
    char main[PATH_MAX];
    char wal[PATH_MAX + 8];
    char journal[PATH_MAX + 8];
};

/* What the child saw. */
struct lido__looked {
    int sys_errno;     /* why it could not be opened or read; then the rest is 0 */
    bool is_exclusive; /* others have it for themselves, or are about to */
    bool is_reserved;  /* others have a write transaction of the rollback kind */
    bool is_in_use;    /* others have any of SQLite's locks on it */
    uint64_t device, inode;
    int64_t bytes, changed_ns, status_ns; /* size, mtime, ctime */
    int64_t wal_bytes, journal_bytes; /* 0: absent, or empty, which to SQLite is the same */
    size_t n_head;
    unsigned char head[512];
    unsigned char journal_head[8];
};

/* What came of a copy under a reader's lock. */
struct lido__copied {
    bool is_cloned;   /* the main file shares its blocks with the copy */
    bool is_log_anew; /* the WAL was begun anew meanwhile: of that there is no copy */
    bool
        is_changed; /* one of the names leads to another file now: the copy is worth nothing */
};

/* SQLITE_TOOBIG, SQLITE_CANTOPEN: the path cannot be followed.  `path` is of a regular file. */
int lido__names_of(struct lido__names *names, const char *path, struct lido_error *err);

/* SQLITE_IOERR: there was no child, or it died.  What a file is like is no failure. */
int lido__child_look(const struct lido__names *names, struct lido__work *work,
                     struct lido__looked *out, struct lido_error *err);

/*
 * Copies main and -wal, as they are committed at one moment into files that must not be
 * there; *is_changed: the WAL was begun anew meanwhile, and the copy is worth nothing.
 *
 * The main file first, then the WAL up to where it ends by then.  What a checkpoint writes
 * into the main file meanwhile stands in the WAL too, as long as that is not begun anew; then
 * its header, which is written before any of its frames, has another salt.  A frame that is
 * half written has a wrong checksum, and SQLite stops before it.
 *
 * SQLITE_IOERR_READ: the file could not be read.  SQLITE_FULL, SQLITE_IOERR: the copy
 * failed.
 */
int lido__child_copy(const struct lido__names *from, const struct lido__names *to,
                     struct lido__work *work, bool *is_changed, struct lido_error *err);

/* Copies main into a file that is there and empty, by its blocks where the file system can, and
   -wal into one that must not be there, up to where it ends when main is copied; at most `rate`
   bytes a second, 0: as fast as it goes.  A reader of this process must hold its lock
   meanwhile.  Fails as above. */
int lido__child_copy_pinned(const struct lido__names *from, const struct lido__names *to,
                            int64_t rate, struct lido__work *work, struct lido__copied *out,
                            struct lido_error *err);

#endif
