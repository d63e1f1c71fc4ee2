/* SPDX-License-Identifier: MIT */
#ifndef LIDO_BASE_SQLITE_H
#define LIDO_BASE_SQLITE_H

/*
 * What newer versions of SQLite have and the least that lido works with has not.
 */
#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>

/* The name of the first attached database, or NULL; always NULL before SQLite 3.39, which
   cannot be asked without running a statement. */
static inline const char *lido__sqlite_attached(sqlite3 *db)
{
#if SQLITE_VERSION_NUMBER >= 3039000
    return sqlite3_db_name(db, 2);
#else
    (void)db;
    return NULL;
#endif
}

/* True if a database is attached, or that cannot be told. */
static inline bool lido__sqlite_may_have_attached(sqlite3 *db)
{
    return SQLITE_VERSION_NUMBER < 3039000 || lido__sqlite_attached(db) != NULL;
}

#endif
