/* SPDX-License-Identifier: MIT */
#ifndef LIDO_TXN_SIDECAR_H
#define LIDO_TXN_SIDECAR_H

/*
 * The file beside a database that is locked in its place, `<database>-gate`: opened once in a
 * process, whoever wants it.
 *
 * Threads: any.
 */
#include <lido/status.h>
#include <stdint.h>

struct lido__sidecar {
    int fd;          /* constant, as are the two below */
    uint64_t device; /* the file's own */
    uint64_t inode;
    unsigned users; /* this and the next are guarded by txn/sidecar.c's lock */
    struct lido__sidecar *next;
};

#define LIDO__SIDECAR_PROBED                                                               \
    (INT64_C(1) << 62) /* this byte may be locked by who opens it */

/* Makes the file if there is none.  SQLITE_CANTOPEN: it cannot be made or opened, or what is
   there is something else, or its file system is not this machine's or has no locks;
   SQLITE_NOMEM. */
int lido__sidecar_open(const char *database, struct lido__sidecar **out,
                       struct lido_error *err);
void lido__sidecar_close(struct lido__sidecar *sidecar);

#endif
