/* SPDX-License-Identifier: MIT */
/*
 * The rows of a table, as INSERT statements.
 *
 * Columns are named where not all of them take a value: generated ones are computed again, and
 * a rowid that no column is an alias of is written by the first of its three names that no
 * column has taken.  A column is that alias if it is a primary key without an index, whatever
 * its declaration looks like.  Rows come from the table itself, never from an index that
 * happens to hold all columns: so they come in the order of their keys.
 *
 * Threads: the one that has the connection.
 */
#include "housekeeping/dump.h"

#include <string.h>

struct columns {
    sqlite3_str *names;            /* "a","b" */
    unsigned count;                /* of those */
    bool has_generated, has_alias; /* of the rowid */
    bool is_taken[3];              /* a name of the rowid */
    char *alias;                   /* that column */
};

static const char *const rowid_names[] = { "rowid", "_rowid_", "oid" };

static int add_column(struct columns *columns, sqlite3_stmt *row, bool may_have_alias)
{
    const char *name = (const char *)sqlite3_column_text(row, 0);

    if (name == NULL)
        return SQLITE_NOMEM;
    for (int i = 0; i < 3; i++)
        columns->is_taken[i] |= sqlite3_stricmp(rowid_names[i], name) == 0;
    if (sqlite3_column_int(row, 1) > 1) {
        columns->has_generated = true;
        return SQLITE_OK;
    }
    sqlite3_str_appendf(columns->names, "%s\"%w\"", columns->count > 0 ? "," : "", name);
    columns->count++;
    if (may_have_alias && sqlite3_column_int(row, 2) > 0 && columns->alias == NULL) {
        columns->has_alias = true;
        columns->alias = sqlite3_mprintf("%s", name);
        return columns->alias != NULL ? SQLITE_OK : SQLITE_NOMEM;
    }
    return SQLITE_OK;
}

static int read_columns(struct columns *columns, sqlite3 *db, const char *name,
                        bool is_without_rowid)
{
    static const char sql[] =
        "SELECT name, hidden, pk, (SELECT count(*) FROM pragma_index_list(?1, 'main') "
        "WHERE origin = 'pk') FROM pragma_table_xinfo(?1, 'main')";
    sqlite3_stmt *ask = NULL;
    int rc = sqlite3_prepare_v2(db, sql, -1, &ask, NULL);

    if (rc == SQLITE_OK)
        rc = sqlite3_bind_text(ask, 1, name, -1, SQLITE_STATIC);
    while (rc == SQLITE_OK && (rc = sqlite3_step(ask)) == SQLITE_ROW)
        rc = add_column(columns, ask, !is_without_rowid && sqlite3_column_int(ask, 3) == 0);
    sqlite3_finalize(ask);
    return rc == SQLITE_DONE ? sqlite3_str_errcode(columns->names) : rc;
}

/* The two texts.  `rowid`: NULL, or the name by which it is written. */
static int open_rows(struct lido__rows *rows, sqlite3 *db, const char *name,
                     const struct columns *columns, const char *rowid)
{
    const char *names = sqlite3_str_value(columns->names);
    const char *comma = rowid != NULL ? "," : "";
    char *sql;
    int rc;

    rowid = rowid != NULL ? rowid : "";
    sql = sqlite3_mprintf("SELECT %s%s%s FROM main.\"%w\" NOT INDEXED", rowid, comma, names,
                          name);
    if (columns->has_generated || *rowid != '\0')
        rows->insert = sqlite3_mprintf("INSERT INTO \"%w\"(%s%s%s) VALUES(", name, rowid,
                                       comma, names);
    else
        rows->insert = sqlite3_mprintf("INSERT INTO \"%w\" VALUES(", name);
    rc = sql == NULL || rows->insert == NULL
             ? SQLITE_NOMEM
             : sqlite3_prepare_v2(db, sql, -1, &rows->select, NULL);
    sqlite3_free(sql);
    return rc;
}

int lido__rows_begin(struct lido__rows *rows, sqlite3 *db, const char *name,
                     bool is_without_rowid, bool keep_rowids)
{
    struct columns columns = { .names = sqlite3_str_new(db) };
    const char *rowid = NULL;
    int rc, is_counted = 0;

    *rows = (struct lido__rows){ .select = NULL };
    rc = read_columns(&columns, db, name, is_without_rowid);
    if (rc == SQLITE_OK && columns.alias != NULL)
        rc = sqlite3_table_column_metadata(db, "main", name, columns.alias, NULL, NULL,
                                           NULL, NULL, &is_counted);
    rows->has_sequence = is_counted != 0;
    for (int i = 2; i >= 0; i--)
        if (keep_rowids && !is_without_rowid && !columns.has_alias && !columns.is_taken[i])
            rowid = rowid_names[i];
    if (rc == SQLITE_OK)
        rc = open_rows(rows, db, name, &columns, rowid);
    sqlite3_free(columns.alias);
    sqlite3_free(sqlite3_str_finish(columns.names));
    return rc;
}

int lido__rows_begin_select(struct lido__rows *rows, const char *name, sqlite3_stmt *select)
{
    *rows = (struct lido__rows){ .select = select };
    rows->insert = sqlite3_mprintf("INSERT INTO \"%w\" VALUES(", name);
    return rows->insert != NULL ? SQLITE_OK : SQLITE_NOMEM;
}

int lido__rows_next(struct lido__rows *rows, struct lido__literal *literal,
                    struct lido__line *out)
{
    const int columns = sqlite3_column_count(rows->select);
    int rc = sqlite3_step(rows->select);

    if (rc != SQLITE_ROW)
        return rc;
    if (rows->insert_length == 0)
        rows->insert_length = strlen(rows->insert);
    lido__line_add(out, rows->insert, rows->insert_length);
    for (int i = 0; i < columns; i++) {
        if (i > 0)
            lido__line_add(out, ",", 1);
        rc = lido__literal_append(literal, out, rows->select, i);
        if (rc != SQLITE_OK)
            return rc;
    }
    lido__line_add(out, ");\n", 3);
    return out->rc == SQLITE_OK ? SQLITE_ROW : out->rc;
}

void lido__rows_end(struct lido__rows *rows)
{
    sqlite3_finalize(rows->select);
    sqlite3_free(rows->insert);
    rows->select = NULL;
    rows->insert = NULL;
}
