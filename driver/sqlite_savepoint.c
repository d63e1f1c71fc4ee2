/* SPDX-License-Identifier: MIT */
/*
 * Savepoints of the built-in driver: one statement each, with the name in quotes.
 *
 * SQLite keeps the stack, and what it says of a name is passed on.  Nothing is asked before.
 *
 * Threads: one at a time for one handle, unless it was opened to be shared: driver/sqlite.h.
 */
#include "driver/sqlite.h"

int lido__sqlite_savepoint(void *ctx, void *handle, int what, const char *name,
                           struct lido_error *err)
{
    static const char *const words[] = {
        [LIDO_SAVEPOINT_SET] = "SAVEPOINT",
        [LIDO_SAVEPOINT_ROLLBACK_TO] = "ROLLBACK TO",
        [LIDO_SAVEPOINT_RELEASE] = "RELEASE",
    };
    sqlite3_mutex *mutex = sqlite3_db_mutex(handle);
    char *sql;
    int rc;

    (void)ctx;
    if (what < LIDO_SAVEPOINT_SET || what > LIDO_SAVEPOINT_RELEASE)
        return lido_fail(err, SQLITE_MISUSE, "nothing called %d is done with a savepoint",
                         what);
    sql = sqlite3_mprintf("%s \"%w\"", words[what], name);
    if (sql == NULL)
        return lido_fail(err, SQLITE_NOMEM, "out of memory for the savepoint %.60s", name);
    sqlite3_mutex_enter(mutex);
    rc = sqlite3_exec(handle, sql, NULL, NULL, NULL);
    if (rc != SQLITE_OK)
        lido__sqlite_fail(handle, rc, words[what], err);
    sqlite3_mutex_leave(mutex);
    sqlite3_free(sql);
    return rc;
}
