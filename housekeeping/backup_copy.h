/* SPDX-License-Identifier: MIT */
#ifndef LIDO_HOUSEKEEPING_BACKUP_COPY_H
#define LIDO_HOUSEKEEPING_BACKUP_COPY_H

/*
 * Backup by the bytes of the file.
 *
 * Threads: the one that runs the job.
 */
#include "housekeeping/seat.h"

/* Fills the file at `to`, which is there, empty, and open nowhere, with one moment of the
   seat's database, at most `rate` bytes a second (0: as fast as it goes).  *is_cloned: it
   shares its blocks with the database.
   LIDO_BAD_OPTION: the database is no file.  SQLITE_READONLY_DBMOVED: its name is another's. */
int lido__backup_copy(struct lido__seat *seat, const char *to, int64_t rate,
                      bool *is_cloned, struct lido_error *err);

#endif
