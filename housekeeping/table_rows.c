/* SPDX-License-Identifier: MIT */
/*
 * The rows: one SELECT on the one side, one INSERT for each row on the other.
 *
 * It is the same for two connections and for one, counts as it goes, and ends between two
 * rows.  Where both are one connection, and nothing but the rows is to be seen to, one INSERT
 * ... SELECT is faster (table_insert.c).  Values pass as SQLite's own, so that a
 * type, a text's bytes and a blob of any size arrive as they left.
 *
 * Threads: the one that runs the job.
 */
#include "housekeeping/table.h"

static const char *insert_verb(int conflict)
{
    return conflict == LIDO_CONFLICT_IGNORE    ? "IGNORE"
           : conflict == LIDO_CONFLICT_REPLACE ? "REPLACE"
                                               : "ABORT";
}

/* Writes both statements; each is to be freed. */
static int write_texts(const struct lido__carry *carry, char **select, char **insert,
                       struct lido_error *err)
{
    sqlite3_str *from = sqlite3_str_new(carry->from->db);
    sqlite3_str *into = sqlite3_str_new(carry->into->db);
    int columns = 0, rc = LIDO_OK;

    sqlite3_str_appendall(from, "SELECT ");
    sqlite3_str_appendf(into, "INSERT OR %s INTO \"%w\".\"%w\" (",
                        insert_verb(carry->conflict), carry->into_schema,
                        carry->into_table);
    if (carry->into_shape == NULL && carry->from_shape->rowid != NULL) {
        sqlite3_str_appendall(from, carry->from_shape->rowid);
        sqlite3_str_appendall(into, carry->from_shape->rowid);
        columns++;
    }
    for (int i = 0; rc == LIDO_OK && i < carry->from_shape->column_count; i++) {
        const struct lido__column *column = &carry->from_shape->columns[i];
        bool takes;

        rc = lido__rows_takes(carry, column, &takes, err);
        if (rc != LIDO_OK || !takes)
            continue;
        sqlite3_str_appendf(from, columns > 0 ? ", \"%w\"" : "\"%w\"", column->name);
        sqlite3_str_appendf(into, columns > 0 ? ", \"%w\"" : "\"%w\"", column->name);
        columns++;
    }
    if (rc == LIDO_OK && columns == 0)
        rc = lido_fail(err, SQLITE_ERROR, "\"%.100s\" has no column to copy",
                       carry->from_table);
    sqlite3_str_appendf(from, " FROM \"%w\".\"%w\"", carry->from_schema, carry->from_table);
    if (carry->where != NULL)
        /* The line's end ends a comment. */
        sqlite3_str_appendf(from, " WHERE (%s\n)", carry->where);
    /* What a trigger or a cascade of the writes does to the source on the same connection is
       not to be read: sorted by what no index has, all rows are read before the first comes. */
    if (carry->into_shape != NULL && carry->from == carry->into &&
        carry->from_shape->rowid != NULL)
        sqlite3_str_appendf(from, " ORDER BY +%s", carry->from_shape->rowid);
    else if (carry->into_shape != NULL && carry->from == carry->into)
        sqlite3_str_appendf(from, " ORDER BY +\"%w\"", carry->from_shape->columns[0].name);
    sqlite3_str_appendall(into, ") VALUES (?");
    for (int i = 1; i < columns; i++)
        sqlite3_str_appendall(into, ", ?");
    sqlite3_str_appendall(into, ")");
    *select = sqlite3_str_finish(from);
    *insert = sqlite3_str_finish(into);
    if (rc == LIDO_OK && (*select == NULL || *insert == NULL))
        rc = lido_fail(err, SQLITE_NOMEM, "copying rows: out of memory");
    return rc;
}

static int note_count(void *count, const struct lido_stmt *row, struct lido_error *err)
{
    (void)err;
    *(uint64_t *)count = (uint64_t)lido_stmt_integer(row, 0);
    return LIDO_OK;
}

/* Who is told how far it is wants to know of how many; nobody else pays for the count. */
static int count_rows(const struct lido__carry *carry, uint64_t *count,
                      struct lido_error *err)
{
    char *sql;
    int rc;

    *count = 0;
    if (carry->from->work->job->progress == NULL || carry->where != NULL)
        return LIDO_OK;
    sql = sqlite3_mprintf("SELECT count(*) FROM \"%w\".\"%w\"", carry->from_schema,
                          carry->from_table);
    if (sql == NULL)
        return lido_fail(err, SQLITE_NOMEM, "counting rows: out of memory");
    rc = lido_conn_query(&carry->from->conn, sql, NULL, 0, note_count, count, err);
    sqlite3_free(sql);
    return lido__seat_judge(carry->from, rc, err);
}

static int prepare_select(const struct lido__carry *carry, const char *sql,
                          struct lido_stmt *stmt, struct lido_error *err)
{
    int rc, count;

    if (carry->where != NULL && !lido__text_is_enclosed(carry->where))
        return lido_fail(err, SQLITE_MISUSE, "`where` is more than one expression");
    rc = lido_stmt_prepare(&carry->from->conn, stmt, sql, err);
    if (rc != LIDO_OK)
        return lido__seat_judge(carry->from, rc, err);
    count = sqlite3_bind_parameter_count(lido_stmt_sqlite(stmt));
    if ((size_t)count != carry->value_count)
        return lido_fail(err, SQLITE_RANGE, "`where` has %d parameters, but %zu values",
                         count, carry->value_count);
    return lido_stmt_bind_all(stmt, carry->values, carry->value_count, err);
}

static int carry_one(const struct lido__carry *carry, sqlite3_stmt *select,
                     sqlite3_stmt *insert, struct lido_table_result *result,
                     struct lido_error *err)
{
    const int columns = sqlite3_bind_parameter_count(insert);
    int rc = SQLITE_OK;

    for (int i = 0; rc == SQLITE_OK && i < columns; i++)
        rc = sqlite3_bind_value(insert, i + 1, sqlite3_column_value(select, i));
    if (rc == SQLITE_OK) {
        rc = sqlite3_step(insert);
        if (rc == SQLITE_DONE) {
            result->rows_read++;
            result->rows_written += sqlite3_changes(carry->into->db) > 0;
            rc = sqlite3_reset(insert);
        }
    }
    if (rc != SQLITE_OK)
        return lido__seat_fail(carry->into, rc, "writing rows", err);
    return lido__work_at(carry->into->work, result->rows_read, err);
}

int lido__rows_carry(const struct lido__carry *carry, struct lido_table_result *result,
                     struct lido_error *err)
{
    char *select_text = NULL, *insert_text = NULL;
    struct lido_stmt select = LIDO_STMT_INIT;
    sqlite3_stmt *insert = NULL;
    uint64_t count = 0;
    int rc = count_rows(carry, &count, err);

    if (rc == LIDO_OK && lido__rows_may_insert(carry))
        return lido__rows_insert(carry, count, result, err);
    if (rc == LIDO_OK)
        rc = write_texts(carry, &select_text, &insert_text, err);
    if (rc == LIDO_OK)
        rc = lido__work_phase(carry->into->work, "copying", "rows", count, err);
    if (rc == LIDO_OK)
        rc = prepare_select(carry, select_text, &select, err);
    if (rc == LIDO_OK) {
        rc = sqlite3_prepare_v2(carry->into->db, insert_text, -1, &insert, NULL);
        if (rc != SQLITE_OK)
            rc = lido__seat_fail(carry->into, rc, "writing rows", err);
    }
    while (rc == LIDO_OK) {
        const int step = lido_stmt_step(&select, err);

        if (step == SQLITE_DONE) {
            rc = lido__work_done(carry->into->work, err);
            break;
        }
        rc = step == SQLITE_ROW
                 ? carry_one(carry, lido_stmt_sqlite(&select), insert, result, err)
                 : lido__seat_judge(carry->from, step, err);
    }
    sqlite3_finalize(insert);
    lido_stmt_finalize(&select, NULL);
    sqlite3_free(select_text);
    sqlite3_free(insert_text);
    return rc;
}
