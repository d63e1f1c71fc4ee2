/* SPDX-License-Identifier: MIT */
/*
 * What lido sets on a connection for a while: query_only and read_uncommitted.
 *
 * Both pragmas work inside a transaction too, where sqlite_pragma.c sets none.  SQLite takes
 * what it does not understand without a word, so each is asked for afterwards.
 *
 * Threads: one at a time for one handle, unless it was opened to be shared: driver/sqlite.h.
 */
#include "driver/sqlite.h"

#include <stdio.h>
#include <stdlib.h>

static int first_number(void *out, int columns, char **values, char **names)
{
    (void)columns, (void)names;
    *(int *)out = values[0] != NULL ? (int)strtol(values[0], NULL, 10) : -1;
    return 0;
}

/* -1 if SQLite answers nothing. */
static int ask(sqlite3 *db, const char *name, int *out, struct lido_error *err)
{
    char sql[40];
    int rc;

    *out = -1;
    snprintf(sql, sizeof sql, "PRAGMA %s", name);
    rc = sqlite3_exec(db, sql, first_number, out, NULL);
    return rc == SQLITE_OK ? LIDO_OK : lido__sqlite_fail(db, rc, name, err);
}

static int set(sqlite3 *db, const char *name, int value, struct lido_error *err)
{
    char sql[40];
    int rc, now;

    snprintf(sql, sizeof sql, "PRAGMA %s=%d", name, value);
    rc = sqlite3_exec(db, sql, NULL, NULL, NULL);
    if (rc != SQLITE_OK)
        return lido__sqlite_fail(db, rc, name, err);
    rc = ask(db, name, &now, err);
    if (rc == LIDO_OK && now != value)
        rc = lido_fail(err, LIDO_SETTING, "%s=%d did not take", name, value);
    return rc;
}

int lido__sqlite_property(void *ctx, void *handle, int which, int value, int *was,
                          struct lido_error *err)
{
    static const char *const names[] = {
        [LIDO_PROPERTY_READ_ONLY] = "query_only",
        [LIDO_PROPERTY_READ_UNCOMMITTED] = "read_uncommitted",
    };
    sqlite3_mutex *mutex = sqlite3_db_mutex(handle);
    int rc;

    (void)ctx;
    *was = -1;
    if (which < LIDO_PROPERTY_READ_ONLY || which > LIDO_PROPERTY_READ_UNCOMMITTED ||
        value < -1 || value > 1)
        return lido_fail(err, SQLITE_MISUSE, "no property %d with the value %d", which,
                         value);
    sqlite3_mutex_enter(mutex);
    rc = ask(handle, names[which], was, err);
    if (rc == LIDO_OK && value >= 0 && *was != value)
        rc = set(handle, names[which], value, err);
    sqlite3_mutex_leave(mutex);
    return rc;
}
