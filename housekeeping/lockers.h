/* SPDX-License-Identifier: MIT */
#ifndef LIDO_HOUSEKEEPING_LOCKERS_H
#define LIDO_HOUSEKEEPING_LOCKERS_H

/*
 * Which other process has the lock for which SQLite answered SQLITE_BUSY.
 *
 * Threads: the one that uses the connection.
 */
#include <lido/status.h>

#include <stdbool.h>
#include <stddef.h>

/* What was refused: each is in the way of others. */
enum lido__use {
    LIDO__USE_READ = 1,
    LIDO__USE_WRITE = 2, /* to begin with it: readers may stay */
    LIDO__USE_COMMIT = 4 /* with a rollback journal readers have to end */
};

#define LIDO__LOCKER_SIZE 80

/* As "process 4711 (python3) writes it", of the file of the main database.  False, and "":
   nobody of another process is in the way, or it cannot be told. */
bool lido__lock_holder(sqlite3 *db, enum lido__use use, char *text, size_t size);

/* Adds it, after "; ", to the text of a wait that ended in `rc`: in SQLITE_BUSY of SQLite's or
   of the write gate, or LIDO_TXN_TIMEOUT; other codes leave it.  The text before is cut if it
   has to be.  Answers `rc`; `db` NULL: nothing is known. */
int lido__lock_tell(sqlite3 *db, enum lido__use use, int rc, struct lido_error *err);

#endif
