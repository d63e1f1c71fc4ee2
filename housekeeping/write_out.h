/* SPDX-License-Identifier: MIT */
#ifndef LIDO_HOUSEKEEPING_WRITE_OUT_H
#define LIDO_HOUSEKEEPING_WRITE_OUT_H

/*
 * A copy goes to the disk while it is made, and not all at once when it is synced.
 *
 * Threads: one.
 */
#include <lido/status.h>
#include <stdint.h>

struct lido__write_out {
    int file;       /* -1: none */
    int64_t begun;  /* bytes from the start whose writing was begun */
    int64_t done;   /* and of these such as are there */
    int log;        /* the source's; -1: none */
    int64_t log_ns; /* when it was written last */
};
#define LIDO__WRITE_OUT_INIT                                                               \
    {                                                                                      \
        -1, 0, 0, -1, 0                                                                    \
    }

/* `path` is a file that nobody but the caller has open, and `log` the write-ahead log of the
   source, or NULL.  Where the first cannot be opened, nothing is written out. */
void lido__write_out_open(struct lido__write_out *out, const char *path, const char *log);
/* Begins to write what came to the file, and waits for all but the last of it.  SQLITE_FULL,
   SQLITE_IOERR_WRITE: it could not be written; a later sync may not say so again. */
int lido__write_out_on(struct lido__write_out *out, struct lido_error *err);
/* SQLite has closed the file before: this drops the locks on it. */
void lido__write_out_close(struct lido__write_out *out);

#endif
