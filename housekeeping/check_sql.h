/* SPDX-License-Identifier: MIT */
#ifndef LIDO_HOUSEKEEPING_CHECK_SQL_H
#define LIDO_HOUSEKEEPING_CHECK_SQL_H

/*
 * What SQLite says of a database: see check_sql.c.
 *
 * Threads: the one that runs the check.
 */
#include "housekeeping/check_found.h"

/* What SQLite says of the main database of `db`, to the depth that is asked for.  A verdict is
   no failure.  `is_lent`: it is the host's connection, nothing of it is to be set, and
   its lease is watched.

   A connection that is read-only forgets CHECK constraints when it reads the schema.  Where
   there are some, and they are to be checked, it stops before: `wants_copy`, no verdict. */
int lido__check_sql(struct lido__checking *checking, sqlite3 *db, bool is_lent,
                    struct lido_error *err);

#endif
