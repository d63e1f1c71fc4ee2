/* SPDX-License-Identifier: MIT */
#ifndef LIDO_TXN_GATE_FILE_H
#define LIDO_TXN_GATE_FILE_H

/*
 * The write gate between processes: a file beside the database, of which nothing but its locks
 * is used.
 *
 * It stands behind the gate of the process: whoever is in there, and nobody else, takes the
 * lock for its process.  txn/gate_file.c says how, and which process is next.
 *
 * Threads: open, close, describe, count: any.  Else who is in the gate of the process.
 */
#include "txn/gate.h"

struct lido__gate_file;

/* Opens it for a gate, unless the gate has it already: *slot is its place there, 0 or a
   pointer.  A process that came in comes again before others for `turn_ns`.
   SQLITE_CANTOPEN: it cannot be, or what is there is none, or the file system is not this
   machine's or has no locks; SQLITE_NOMEM. */
int lido__gate_file_open(lido__word *slot, uint64_t inode, const char *database,
                         int64_t turn_ns, struct lido_error *err);
void lido__gate_file_close(struct lido__gate_file *file); /* NULL: nothing happens */

/* Takes the lock if that makes nobody wait who must not be overtaken.  NULL: true. */
bool lido__gate_file_try(struct lido__gate_file *file, const struct lido_clock *clock);
/* Takes it, and waits for it: SQLITE_BUSY past the deadline, what `stop` said, or
   SQLITE_IOERR_LOCK. */
int lido__gate_file_lock(struct lido__gate_file *file, const struct lido__gate_wait *wait);
/* It may not be locked, if it was opened while somebody was in.  NULL: nothing happens. */
void lido__gate_file_unlock(struct lido__gate_file *file);

/* "; process 7 has it", or nothing; NULL: nothing. */
void lido__gate_file_describe(const struct lido__gate_file *file, char *text, size_t size);
/* How often this process waited for others, also in vain, and for how long in all. */
void lido__gate_file_count(const struct lido__gate_file *file, uint64_t *waits,
                           uint64_t *wait_ns);

#endif
