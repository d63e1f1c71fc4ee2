/* SPDX-License-Identifier: MIT */
/*
 * One number for all that a database holds: schema and rows, and nothing of how they lie in
 * the file.
 *
 * It is SHA3-256 of the bytes that the sqlite3 shell hashes for `.sha3sum --schema --sha3-256`,
 * so that who has a copy elsewhere can ask it without lido:
 *
 *     for each table with pages of its own, and the schema, by their names: the statement
 *     that reads it, as S, its length in digits, a colon, its text; for each row R, and for
 *     each value N; I or F and eight bytes, the highest first; T or B, the length, a colon
 *     and the bytes
 *
 * Statements are read one after the other from one text as the shell does, for a blank
 * between two of them counts.  Rows come in the order of the table's tree.  A rowid that no
 * column has is not in it, so that a VACUUM changes nothing; a virtual table is in it by the
 * tables where its module keeps it.
 *
 * Threads: one.
 */
#include "housekeeping/content_hash.h"

#include "base/sha3.h"

#include <stdio.h>
#include <string.h>

static void add_text(struct lido__sha3 *sha3, char kind, const void *bytes, size_t size)
{
    char head[32];

    lido__sha3_add(sha3, head, (size_t)snprintf(head, sizeof head, "%c%zu:", kind, size));
    lido__sha3_add(sha3, bytes, size);
}

static void add_number(struct lido__sha3 *sha3, char kind, uint64_t number)
{
    unsigned char bytes[9] = { (unsigned char)kind };

    for (int i = 8; i > 0; i--, number >>= 8)
        bytes[i] = (unsigned char)number;
    lido__sha3_add(sha3, bytes, sizeof bytes);
}

/* False: no memory. */
static bool add_value(struct lido__sha3 *sha3, sqlite3_stmt *stmt, int column)
{
    const int kind = sqlite3_column_type(stmt, column);
    const void *bytes;
    double real;
    uint64_t bits;
    int size;

    switch (kind) {
    case SQLITE_INTEGER:
        add_number(sha3, 'I', (uint64_t)sqlite3_column_int64(stmt, column));
        return true;
    case SQLITE_FLOAT:
        real = sqlite3_column_double(stmt, column);
        memcpy(&bits, &real, sizeof bits);
        add_number(sha3, 'F', bits);
        return true;
    case SQLITE_NULL: lido__sha3_add(sha3, "N", 1); return true;
    default:
        bytes = kind == SQLITE_TEXT ? (const void *)sqlite3_column_text(stmt, column)
                                    : sqlite3_column_blob(stmt, column);
        size = sqlite3_column_bytes(stmt, column);
        if (bytes == NULL && (size > 0 || kind == SQLITE_TEXT))
            return false;
        add_text(sha3, kind == SQLITE_TEXT ? 'T' : 'B', bytes, (size_t)size);
        return true;
    }
}

static int add_rows(struct lido__sha3 *sha3, sqlite3_stmt *stmt, struct lido__work *work,
                    struct lido_error *err)
{
    const int columns = sqlite3_column_count(stmt);
    sqlite3 *db = sqlite3_db_handle(stmt);
    int rc;

    while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
        lido__sha3_add(sha3, "R", 1);
        for (int i = 0; i < columns; i++)
            if (!add_value(sha3, stmt, i))
                return lido_fail(err, SQLITE_NOMEM, "hashing the rows: out of memory");
        rc = lido__work_at(work, work->now.done + 1, err);
        if (rc != LIDO_OK)
            return rc;
    }
    return rc == SQLITE_DONE ? LIDO_OK
                             : lido__work_fail(work, db, rc, "hashing the rows", err);
}

static void add_statement(sqlite3_str *text, const char *name)
{
    if (strncmp(name, "sqlite_", 7) != 0)
        sqlite3_str_appendf(text, "SELECT * FROM \"%w\" NOT INDEXED;", name);
    else if (strcmp(name, "sqlite_schema") == 0)
        sqlite3_str_appendall(
            text, "SELECT type,name,tbl_name,sql FROM sqlite_schema ORDER BY name;");
    else if (strcmp(name, "sqlite_sequence") == 0)
        sqlite3_str_appendall(text, "SELECT name,seq FROM sqlite_sequence ORDER BY name;");
    else if (strcmp(name, "sqlite_stat1") == 0)
        sqlite3_str_appendall(text,
                              "SELECT tbl,idx,stat FROM sqlite_stat1 ORDER BY tbl,idx;");
    else if (strcmp(name, "sqlite_stat4") == 0)
        sqlite3_str_appendall(text,
                              "SELECT * FROM sqlite_stat4 ORDER BY tbl, idx, rowid;\n");
}

/* All the statements; from sqlite3_malloc(). */
static int write_statements(sqlite3 *db, struct lido__work *work, char **out,
                            struct lido_error *err)
{
    static const char sql[] =
        "SELECT lower(name) FROM main.sqlite_schema WHERE type = 'table' "
        "AND coalesce(rootpage, 0) > 1 UNION ALL SELECT 'sqlite_schema' "
        "ORDER BY 1 COLLATE NOCASE";
    sqlite3_str *text = sqlite3_str_new(db);
    sqlite3_stmt *stmt = NULL;
    int rc = sqlite3_prepare_v2(db, sql, -1, &stmt, NULL);

    while (rc == SQLITE_OK && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
        const char *name = (const char *)sqlite3_column_text(stmt, 0);

        rc = name != NULL ? SQLITE_OK : SQLITE_NOMEM;
        if (name != NULL)
            add_statement(text, name);
    }
    if (rc != SQLITE_DONE)
        rc = lido__work_fail(work, db, rc, "hashing the schema", err);
    else
        rc = sqlite3_str_errcode(text) == SQLITE_OK
                 ? LIDO_OK
                 : lido_fail(err, SQLITE_NOMEM, "hashing the schema: out of memory");
    sqlite3_finalize(stmt);
    *out = sqlite3_str_finish(text);
    return rc;
}

int lido__content_hash(sqlite3 *db, uint64_t pages, struct lido__work *work,
                       char out[LIDO__HASH_MOST], struct lido_error *err)
{
    unsigned char bytes[LIDO__SHA3_BYTES];
    struct lido__sha3 sha3 = { { 0 }, 0 };
    const char *next;
    char *statements = NULL;
    int rc = lido__work_phase(work, "hashing", "rows", 0, err);

    if (rc != LIDO_OK)
        return rc;
    lido__work_reads(work, db, pages, 1); /* those of indexes are left out */
    lido__work_watch(work, db);
    rc = write_statements(db, work, &statements, err);
    next = statements;
    while (rc == LIDO_OK && next[0] != '\0') {
        sqlite3_stmt *stmt;

        rc = sqlite3_prepare_v2(db, next, -1, &stmt, &next);
        if (rc != SQLITE_OK) {
            rc = lido__work_fail(work, db, rc, "hashing a table", err);
        } else if (stmt != NULL) {
            const char *text = sqlite3_sql(stmt);

            add_text(&sha3, 'S', text, strlen(text));
            rc = add_rows(&sha3, stmt, work, err);
            sqlite3_finalize(stmt);
        }
    }
    sqlite3_free(statements);
    lido__work_watch(NULL, db);
    if (rc != LIDO_OK)
        return rc;
    lido__sha3_end(&sha3, bytes);
    for (size_t i = 0; i < sizeof bytes; i++)
        snprintf(out + 2 * i, 3, "%02x", bytes[i]);
    return lido__work_done(work, err);
}
