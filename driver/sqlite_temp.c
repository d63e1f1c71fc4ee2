/* SPDX-License-Identifier: MIT */
/*
 * What a lease leaves in its connection and not in a file: temporary tables, views and
 * triggers, and attached databases.
 *
 * They are dropped one by one.  Triggers first, then views, virtual tables (which take their
 * shadow tables with them) and the others, so that each is counted once and none is in
 * another's way; foreign keys are off meanwhile, because they would order the tables.
 * Changing temp_store drops all at once, but makes SQLite read every schema again and does
 * not tell virtual tables that they are gone.
 *
 * Threads: one at a time for one handle; of a shared one the caller holds the mutex.
 */
#include "base/sqlite.h"
#include "driver/sqlite.h"

#include <string.h>

/* SQLite opens the temporary database when it first needs it; until then it has no state
   that could be asked for. */
bool lido__temp_may_be(sqlite3 *db)
{
    return sqlite3_db_readonly(db, "temp") >= 0;
}

/* sqlite_sequence and such go with the last that needs them, or stay for ever; the tables of
   ANALYZE may be dropped as any other. */
static bool is_dropped(const char *name)
{
    return sqlite3_strnicmp(name, "sqlite_", 7) != 0 ||
           sqlite3_strnicmp(name, "sqlite_stat", 11) == 0;
}

/* Calls for each until `visit` answers true.  No function in the SQL: a user may have
   overloaded it. */
static int walk(sqlite3 *db, bool (*visit)(void *ctx, const char *type, const char *name),
                void *ctx, struct lido_error *err)
{
    sqlite3_stmt *stmt;
    int rc = sqlite3_prepare_v2(db,
                                "SELECT type, name FROM temp.sqlite_schema WHERE type <> "
                                "'index' ORDER BY type <> 'trigger', type = 'table', "
                                "rootpage, name",
                                -1, &stmt, NULL);

    if (rc != SQLITE_OK)
        return lido__sqlite_fail(db, rc, "looking for temporary tables", err);
    while (sqlite3_step(stmt) == SQLITE_ROW) {
        const char *type = (const char *)sqlite3_column_text(stmt, 0);
        const char *name = (const char *)sqlite3_column_text(stmt, 1);

        if (type != NULL && name != NULL && is_dropped(name) && visit(ctx, type, name))
            break;
    }
    rc = sqlite3_finalize(stmt);
    return rc == SQLITE_OK ? LIDO_OK
                           : lido__sqlite_fail(db, rc, "looking for temporary tables", err);
}

static bool note_one(void *ctx, const char *type, const char *name)
{
    (void)type, (void)name;
    *(bool *)ctx = true;
    return true;
}

bool lido__temp_has_any(sqlite3 *db)
{
    bool has_any = false;

    return walk(db, note_one, &has_any, NULL) != LIDO_OK || has_any;
}

struct first {
    char *sql;
    bool is_there;
};

static bool take_first(void *ctx, const char *type, const char *name)
{
    struct first *first = ctx;

    first->is_there = true;
    first->sql = sqlite3_mprintf("DROP %s temp.\"%w\"", type, name);
    return true;
}

static int drop_all(sqlite3 *db, unsigned *dropped, struct lido_error *err)
{
    for (;;) {
        struct first first = { NULL, false };
        int rc = walk(db, take_first, &first, err);

        if (rc != LIDO_OK || !first.is_there)
            return rc;
        if (first.sql == NULL)
            return lido_fail(err, SQLITE_NOMEM, "out of memory to drop temporary tables");
        rc = sqlite3_exec(db, first.sql, NULL, NULL, NULL);
        if (rc != SQLITE_OK)
            lido__sqlite_fail(db, rc, first.sql, err);
        sqlite3_free(first.sql);
        if (rc != SQLITE_OK)
            return rc;
        ++*dropped;
    }
}

int lido__temp_drop(sqlite3 *db, unsigned *dropped, struct lido_error *err)
{
    int has_foreign_keys = 0, rc;

    sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_FKEY, -1, &has_foreign_keys);
    if (has_foreign_keys)
        sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_FKEY, 0, (int *)NULL);
    rc = drop_all(db, dropped, err);
    if (has_foreign_keys)
        sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_FKEY, 1, (int *)NULL);
    return rc;
}

int lido__attached_detach(sqlite3 *db, struct lido_error *err)
{
    const char *name;

    while ((name = lido__sqlite_attached(db)) != NULL) {
        char *sql = sqlite3_mprintf("DETACH \"%w\"", name);
        int rc = sql != NULL ? sqlite3_exec(db, sql, NULL, NULL, NULL) : SQLITE_NOMEM;

        if (rc != SQLITE_OK)
            lido__sqlite_fail(db, rc, "DETACH at check-in", err);
        sqlite3_free(sql);
        if (rc != SQLITE_OK)
            return rc;
    }
    return LIDO_OK;
}
