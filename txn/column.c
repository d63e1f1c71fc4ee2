/* SPDX-License-Identifier: MIT */
/*
 * Values out of a row.
 *
 * Threads: the one that checked the connection out.
 */
#include "txn/stmt.h"

/* The statement if it stands on a row that has the column; the mutex is held then. */
static sqlite3_stmt *open_column(const struct lido_stmt *stmt, int column,
                                 struct lido__use *use)
{
    if (lido__use_open(stmt, use, NULL) != LIDO_OK)
        return NULL;
    if (column >= 0 && column < sqlite3_data_count(use->at->handle))
        return use->at->handle;
    lido__use_close(use);
    return NULL;
}

int lido_stmt_columns(const struct lido_stmt *stmt)
{
    struct lido__use use;
    int count;

    if (lido__use_open(stmt, &use, NULL) != LIDO_OK)
        return 0;
    count = sqlite3_column_count(use.at->handle);
    lido__use_close(&use);
    return count;
}

const char *lido_stmt_name(const struct lido_stmt *stmt, int column)
{
    struct lido__use use;
    const char *name;

    if (lido__use_open(stmt, &use, NULL) != LIDO_OK)
        return NULL;
    name = column >= 0 ? sqlite3_column_name(use.at->handle, column) : NULL;
    lido__use_close(&use);
    return name;
}

int lido_stmt_index(const struct lido_stmt *stmt, const char *name)
{
    struct lido__use use;
    const char *found;
    int count, at = 0;

    if (name == NULL || lido__use_open(stmt, &use, NULL) != LIDO_OK)
        return -1;
    count = sqlite3_column_count(use.at->handle);
    while (at < count && ((found = sqlite3_column_name(use.at->handle, at)) == NULL ||
                          strcmp(found, name) != 0))
        at++;
    lido__use_close(&use);
    return at < count ? at : -1;
}

int lido_stmt_type(const struct lido_stmt *stmt, int column)
{
    struct lido__use use;
    sqlite3_stmt *handle = open_column(stmt, column, &use);
    int type;

    if (handle == NULL)
        return SQLITE_NULL;
    type = sqlite3_column_type(handle, column);
    lido__use_close(&use);
    return type;
}

int64_t lido_stmt_integer(const struct lido_stmt *stmt, int column)
{
    struct lido__use use;
    sqlite3_stmt *handle = open_column(stmt, column, &use);
    int64_t number;

    if (handle == NULL)
        return 0;
    number = sqlite3_column_int64(handle, column);
    lido__use_close(&use);
    return number;
}

double lido_stmt_real(const struct lido_stmt *stmt, int column)
{
    struct lido__use use;
    sqlite3_stmt *handle = open_column(stmt, column, &use);
    double number;

    if (handle == NULL)
        return 0;
    number = sqlite3_column_double(handle, column);
    lido__use_close(&use);
    return number;
}

const char *lido_stmt_text(const struct lido_stmt *stmt, int column, size_t *size)
{
    struct lido__use use;
    sqlite3_stmt *handle = open_column(stmt, column, &use);
    const char *text = NULL;

    if (handle != NULL)
        text = (const char *)sqlite3_column_text(handle, column);
    if (size != NULL) /* after the text: the call may have converted it */
        *size = text != NULL ? (size_t)sqlite3_column_bytes(handle, column) : 0;
    if (handle != NULL)
        lido__use_close(&use);
    return text;
}

const void *lido_stmt_blob(const struct lido_stmt *stmt, int column, size_t *size)
{
    struct lido__use use;
    sqlite3_stmt *handle = open_column(stmt, column, &use);
    const void *data = NULL;

    if (size != NULL)
        *size = 0;
    if (handle == NULL)
        return NULL;
    data = sqlite3_column_blob(handle, column);
    if (size != NULL)
        *size = (size_t)sqlite3_column_bytes(handle, column);
    lido__use_close(&use);
    return data;
}

/* As it is in the database.  False if memory is out: a text may have to be converted, and has
   no address then, which would be NULL's. */
static bool read_value(sqlite3_stmt *handle, int column, struct lido_value *out)
{
    const char *text;
    size_t size;

    switch (sqlite3_column_type(handle, column)) {
    case SQLITE_INTEGER: *out = lido_integer(sqlite3_column_int64(handle, column)); break;
    case SQLITE_FLOAT: *out = lido_real(sqlite3_column_double(handle, column)); break;
    case SQLITE_TEXT:
        text = (const char *)sqlite3_column_text(handle, column);
        if (text == NULL)
            return false;
        *out = lido_text_of(text, (size_t)sqlite3_column_bytes(handle, column));
        break;
    case SQLITE_BLOB:
        text = sqlite3_column_blob(handle, column);
        size = (size_t)sqlite3_column_bytes(handle, column);
        if (text == NULL && size > 0)
            return false;
        *out = lido_blob(text, size);
        break;
    default: break;
    }
    return true;
}

int lido_stmt_value(const struct lido_stmt *stmt, int column, struct lido_value *out,
                    struct lido_error *err)
{
    struct lido__use use;
    int count, rc;

    if (out == NULL)
        return lido_fail(err, SQLITE_MISUSE, "nowhere to put the value");
    *out = lido_null();
    rc = lido__use_open(stmt, &use, err);
    if (rc != LIDO_OK)
        return rc;
    count = sqlite3_column_count(use.at->handle);
    if (column < 0 || column >= count)
        rc = lido_fail(err, SQLITE_RANGE, "column %d of %d, from 0", column, count);
    else if (sqlite3_data_count(use.at->handle) == 0)
        rc = lido_fail(err, SQLITE_MISUSE, "the statement stands on no row");
    else if (!read_value(use.at->handle, column, out))
        rc = lido_fail(err, SQLITE_NOMEM, "out of memory for column %d", column);
    lido__use_close(&use);
    return rc;
}

int lido_stmt_value_name(const struct lido_stmt *stmt, const char *name,
                         struct lido_value *out, struct lido_error *err)
{
    int column;

    if (out == NULL || name == NULL)
        return lido_fail(err, SQLITE_MISUSE, "no name, or nowhere to put the value");
    column = lido_stmt_index(stmt, name);
    if (column >= 0 || lido_stmt_columns(stmt) == 0)
        return lido_stmt_value(stmt, column, out, err);
    *out = lido_null();
    return lido_fail(err, SQLITE_RANGE, "no column %.60s", name);
}
