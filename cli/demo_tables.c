/* SPDX-License-Identifier: MIT */
/*
 * Tables: how to read a row at random of each one that is there, and two of our own.
 *
 * A table with a rowid is searched by it, which costs the same wherever the row is.  One
 * without is counted off from its start, so only its first rows are ever read.  A table
 * that cannot be read, because its column needs a function that this SQLite has not, is
 * left out.
 *
 * Threads: one, before the others begin.
 */
#include "cli/demo.h"

#include <stdlib.h>
#include <string.h>

enum { OFFSET_MOST = 1000 };

static int tell(const char *doing, sqlite3 *db, struct demo_error *error)
{
    int rc = sqlite3_errcode(db) & 0xff;

    if (rc == SQLITE_INTERRUPT && demo_interrupted(error) != CLI_OK)
        return error->answer;
    return demo_fail(error, rc == SQLITE_CORRUPT ? CLI_NO_DATABASE : CLI_FAILED,
                     "could not %s: %s", doing, sqlite3_errmsg(db));
}

/* Runs `sql` and frees it.  Up to two integers of the first row go to low and high; *is_row
   is false if there is none, or if the first is NULL.  An SQLite code. */
static int ask(sqlite3 *db, char *sql, bool *is_row, int64_t *low, int64_t *high)
{
    sqlite3_stmt *stmt = NULL;
    int rc = sql == NULL ? SQLITE_NOMEM : sqlite3_prepare_v2(db, sql, -1, &stmt, NULL);

    sqlite3_free(sql);
    *is_row = false;
    if (rc != SQLITE_OK)
        return rc;
    rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW) {
        *is_row = sqlite3_column_type(stmt, 0) != SQLITE_NULL;
        *low = sqlite3_column_int64(stmt, 0);
        *high = sqlite3_column_int64(stmt, 1);
    }
    return sqlite3_finalize(stmt);
}

/* What integrity_check says: into copy->soundness, which is compared at the end. */
static int check_soundness(struct demo_copy *copy, sqlite3 *db, struct demo_error *error)
{
    sqlite3_stmt *stmt = NULL;
    bool is_damaged = false;

    copy->soundness[0] = '\0';
    if (sqlite3_prepare_v2(db, "PRAGMA integrity_check(1)", -1, &stmt, NULL) == SQLITE_OK &&
        sqlite3_step(stmt) == SQLITE_ROW) {
        snprintf(copy->soundness, sizeof copy->soundness, "%s",
                 (const char *)sqlite3_column_text(stmt, 0));
        is_damaged = strcmp(copy->soundness, "ok") != 0;
    }
    sqlite3_finalize(stmt);
    if (is_damaged)
        return demo_fail(error, CLI_NO_DATABASE, "the database is damaged: %s",
                         copy->soundness);
    if (copy->soundness[0] != '\0')
        return CLI_OK;
    if ((sqlite3_errcode(db) & 0xff) != SQLITE_ERROR)
        return tell("check the copy", db, error);
    /* A collation or a function is missing here: no fault of the file. */
    snprintf(copy->soundness, sizeof copy->soundness, "%s", sqlite3_errmsg(db));
    return CLI_OK;
}

/* The name under which the rowid of a table can be asked for, or NULL: a column of the
   table may have taken it. */
static const char *rowid_name(sqlite3 *db, const char *table)
{
    static const char *const names[] = { "rowid", "_rowid_", "oid" };

    for (int i = 0; i < 3; i++) {
        int64_t taken = 1, unused;
        bool is_row;
        int rc = ask(db,
                     sqlite3_mprintf("SELECT count(*) FROM pragma_table_xinfo(%Q, 'main') "
                                     "WHERE name = %Q COLLATE NOCASE",
                                     table, names[i]),
                     &is_row, &taken, &unused);

        if (rc == SQLITE_OK && is_row && taken == 0)
            return names[i];
    }
    return NULL;
}

/* Fills *found; false if there is no row in it, or none that can be read. */
static bool describe(sqlite3 *db, const char *name, bool is_without_rowid,
                     struct demo_table *found)
{
    const char *rowid = is_without_rowid ? NULL : rowid_name(db, name);
    sqlite3_stmt *stmt = NULL;
    bool is_row;
    int rc;

    memset(found, 0, sizeof *found);
    if (rowid != NULL) {
        rc = ask(
            db,
            sqlite3_mprintf("SELECT min(%s), max(%s) FROM main.\"%w\"", rowid, rowid, name),
            &is_row, &found->low, &found->high);
        found->read = sqlite3_mprintf("SELECT * FROM main.\"%w\" WHERE %s >= ?1 "
                                      "ORDER BY %s LIMIT 1",
                                      name, rowid, rowid);
    } else {
        int64_t unused, rows = 0;

        rc =
            ask(db,
                sqlite3_mprintf("SELECT count(*) FROM (SELECT 1 FROM main.\"%w\" LIMIT %d)",
                                name, OFFSET_MOST),
                &is_row, &rows, &unused);
        is_row = rows > 0;
        found->high = rows - 1;
        found->read = sqlite3_mprintf("SELECT * FROM main.\"%w\" LIMIT 1 OFFSET ?1", name);
    }
    if (rc == SQLITE_OK && is_row && found->read != NULL &&
        sqlite3_prepare_v2(db, found->read, -1, &stmt, NULL) == SQLITE_OK) {
        sqlite3_bind_int64(stmt, 1, found->low);
        is_row = sqlite3_step(stmt) == SQLITE_ROW;
        sqlite3_finalize(stmt);
        if (is_row)
            return true;
    }
    sqlite3_free(found->read);
    return false;
}

static int find_tables(struct demo_copy *copy, sqlite3 *db, struct demo_error *error)
{
    static const char sql[] =
        "SELECT name, wr FROM pragma_table_list WHERE schema = 'main' "
        "AND type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'";
    sqlite3_stmt *stmt = NULL;
    int rc = sqlite3_prepare_v2(db, sql, -1, &stmt, NULL);

    while (rc == SQLITE_OK || rc == SQLITE_ROW) {
        struct demo_table *more;

        rc = sqlite3_step(stmt);
        if (rc != SQLITE_ROW)
            break;
        more = realloc(copy->tables, (copy->n_tables + 1) * sizeof *more);
        if (more == NULL) {
            rc = SQLITE_NOMEM;
            break;
        }
        copy->tables = more;
        if (describe(db, (const char *)sqlite3_column_text(stmt, 0),
                     sqlite3_column_int(stmt, 1) != 0, &more[copy->n_tables]))
            copy->n_tables++;
    }
    sqlite3_finalize(stmt);
    return rc == SQLITE_DONE ? CLI_OK : tell("list the tables", db, error);
}

/* Names for our two tables that nothing in the file has: with _2, _3, ... if need be. */
static int choose_names(struct demo_copy *copy, sqlite3 *db, struct demo_error *error)
{
    for (int i = 1; i < 1000; i++) {
        int64_t taken = 1, unused;
        char suffix[8] = "";
        bool is_row;

        if (i > 1)
            snprintf(suffix, sizeof suffix, "_%d", i);
        snprintf(copy->accounts, sizeof copy->accounts, "lido_demo_accounts%s", suffix);
        snprintf(copy->ledger, sizeof copy->ledger, "lido_demo_ledger%s", suffix);
        if (ask(db,
                sqlite3_mprintf("SELECT count(*) FROM main.sqlite_schema "
                                "WHERE name COLLATE NOCASE IN (%Q, %Q)",
                                copy->accounts, copy->ledger),
                &is_row, &taken, &unused) != SQLITE_OK)
            return tell("name the demo's tables", db, error);
        if (taken == 0)
            return CLI_OK;
    }
    return demo_fail(error, CLI_FAILED,
                     "a thousand demos left their tables in the database");
}

static int make_tables(struct demo_copy *copy, sqlite3 *db, struct demo_error *error)
{
    char *sql = sqlite3_mprintf(
        "BEGIN IMMEDIATE;"
        "CREATE TABLE main.%s (id INTEGER PRIMARY KEY,"
        " balance INTEGER NOT NULL CHECK (balance >= 0));"
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)"
        " INSERT INTO %s SELECT i, %d FROM n;"
        "CREATE TABLE main.%s (id INTEGER PRIMARY KEY,"
        " source INTEGER NOT NULL REFERENCES %s (id),"
        " target INTEGER NOT NULL REFERENCES %s (id),"
        " amount INTEGER NOT NULL CHECK (amount > 0));"
        "COMMIT",
        copy->accounts, DEMO_ACCOUNTS, copy->accounts, DEMO_BALANCE, copy->ledger,
        copy->accounts, copy->accounts);
    int rc = sql == NULL ? SQLITE_NOMEM : sqlite3_exec(db, sql, NULL, NULL, NULL);

    sqlite3_free(sql);
    return rc == SQLITE_OK ? CLI_OK : tell("make the demo's tables in the copy", db, error);
}

static int set_wal(sqlite3 *db, struct demo_error *error)
{
    sqlite3_stmt *stmt = NULL;
    bool is_wal = false;

    if (sqlite3_prepare_v2(db, "PRAGMA main.journal_mode=WAL", -1, &stmt, NULL) ==
            SQLITE_OK &&
        sqlite3_step(stmt) == SQLITE_ROW)
        is_wal = strcmp((const char *)sqlite3_column_text(stmt, 0), "wal") == 0;
    sqlite3_finalize(stmt);
    return is_wal ? CLI_OK : tell("bring the copy into WAL mode", db, error);
}

int demo_tables_prepare(struct demo_copy *copy, struct demo_error *error)
{
    sqlite3 *db = NULL;
    int answer = demo_copy_open(copy, &db, error);

    if (answer == CLI_OK)
        answer = check_soundness(copy, db, error);
    if (answer == CLI_OK)
        answer = find_tables(copy, db, error);
    if (answer == CLI_OK)
        answer = choose_names(copy, db, error);
    if (answer == CLI_OK)
        answer = set_wal(db, error);
    if (answer == CLI_OK)
        answer = make_tables(copy, db, error);
    sqlite3_close(db);
    return answer;
}
