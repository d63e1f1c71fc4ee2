/* SPDX-License-Identifier: MIT */
#ifndef LIDO_FILE_H
#define LIDO_FILE_H

#include <lido/status.h>
#include <stddef.h>
#include <stdint.h>

/*
 * What is at a path, before anybody opens it.
 *
 * It is asked by stat(2) and access(2) alone.  To open and close a database file takes away the
 * locks that SQLite holds on it in this process, so lido does not even to look.
 */

#ifdef __cplusplus
extern "C" {
#endif

/* What it is.  A link is followed: `is_link` says that there was one. */
#define LIDO_FILE_MISSING 0 /* nothing of this name, or no such folder */
#define LIDO_FILE_REGULAR 1 /* a file that may be read */
#define LIDO_FILE_FOLDER  2
#define LIDO_FILE_UNREADABLE                                                               \
    3 /* a file, but not for this user; or a folder above it is not */
#define LIDO_FILE_BROKEN_LINK 4 /* a link to nothing, or to itself */
#define LIDO_FILE_SPECIAL     5 /* a pipe, a device or a socket */

/* A file that SQLite puts beside a database. */
struct lido_beside {
    int is_there;
    int64_t bytes; /* 0 if it is not there */
};

struct lido_file {
    size_t size;     /* sizeof this struct */
    int kind;        /* LIDO_FILE_...; what follows is 0 unless there is something */
    int is_link;     /* the last name of the path is a symbolic link */
    int is_own;      /* it belongs to the effective user of this process */
    int64_t bytes;   /* how large */
    uint32_t owner;  /* its user's number */
    uint32_t mode;   /* as of chmod(2): the lowest twelve bits */
    uint64_t device; /* with the inode: which file it is, whatever its names */
    uint64_t inode;
    int64_t changed_ns; /* its mtime, in nanoseconds since 1970 */
    /* Beside the file itself, also if the path is a link; of a regular file only. */
    struct lido_beside wal;     /* NAME-wal */
    struct lido_beside shm;     /* NAME-shm */
    struct lido_beside journal; /* NAME-journal */
};
#define LIDO_FILE_INIT                                                                     \
    {                                                                                      \
        sizeof(struct lido_file), 0, 0, 0, 0, 0, 0, 0, 0, 0, { 0, 0 }, { 0, 0 },           \
        {                                                                                  \
            0, 0                                                                           \
        }                                                                                  \
    }

/*
 * Looks at what is at a path and fills *out.  That nothing is there, or nothing that may be
 * read, is an answer and no error.
 *
 * Ownership: borrows path until it returns.
 * Threads:   any.
 * Fails:     SQLITE_MISUSE (no path, an empty one, a size that is none), SQLITE_TOOBIG (a path
 *            longer than the system takes), SQLITE_IOERR (the system could not tell).  Then
 *            *out is as LIDO_FILE_INIT made it.
 */
LIDO_API int lido_file_look(const char *path, struct lido_file *out,
                            struct lido_error *err) LIDO_CHECKED;

/*
 * A kind in words, as "a folder" or "missing".  Static storage, never NULL.
 *
 * Threads:   any.
 */
LIDO_API const char *lido_file_kind_name(int kind);

#ifdef __cplusplus
}
#endif
#endif
