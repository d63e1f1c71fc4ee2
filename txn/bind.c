/* SPDX-License-Identifier: MIT */
/*
 * Values into a statement.
 *
 * Threads: the one that checked the connection out.
 */
#include "base/utf8.h"
#include "txn/stmt.h"

/* What the pool's option `text` says of one. */
static int check_text(lido_pool *pool, const struct lido_value *value,
                      struct lido_error *err)
{
    if (value->type != SQLITE_TEXT || pool->config.text == LIDO_TEXT_RAW ||
        lido__utf8_is_valid(value->as.data, value->size))
        return LIDO_OK;
    if (pool->config.text == LIDO_TEXT_STRICT)
        return lido_fail(err, LIDO_BAD_TEXT,
                         "a text of %zu bytes is not UTF-8: bind it as a blob, or open the "
                         "pool with text=raw",
                         value->size);
    lido__log(pool, LIDO_LOG_WARN, "a text of %zu bytes that is not UTF-8 was bound",
              value->size);
    return LIDO_OK;
}

static int bind_one(const struct lido__use *use, int parameter,
                    const struct lido_value *value, sqlite3_destructor_type life,
                    struct lido_error *err)
{
    sqlite3_stmt *handle = use->at->handle;
    const void *data = value->as.data;
    int rc;

    switch (value->type) {
    case SQLITE_NULL: rc = sqlite3_bind_null(handle, parameter); break;
    case SQLITE_INTEGER:
        rc = sqlite3_bind_int64(handle, parameter, value->as.integer);
        break;
    case SQLITE_FLOAT: rc = sqlite3_bind_double(handle, parameter, value->as.real); break;
    case SQLITE_TEXT:
        rc = sqlite3_bind_text64(handle, parameter, data != NULL ? data : "", value->size,
                                 life, SQLITE_UTF8);
        break;
    case SQLITE_BLOB:
        /* A blob of no bytes is no NULL. */
        rc = sqlite3_bind_blob64(handle, parameter, data != NULL ? data : "", value->size,
                                 life);
        break;
    default:
        return lido_fail(err, SQLITE_MISUSE, "parameter %d: a value of type %d", parameter,
                         value->type);
    }
    if (rc == SQLITE_RANGE)
        return lido_fail(err, rc, "the statement has %d parameters, and no %d",
                         sqlite3_bind_parameter_count(handle), parameter);
    return rc == SQLITE_OK
               ? rc
               : lido_fail(err, rc, "parameter %d: %s", parameter, sqlite3_errstr(rc));
}

static int check_value(lido_pool *pool, const struct lido_value *value,
                       struct lido_error *err)
{
    if (value->type != SQLITE_TEXT && value->type != SQLITE_BLOB)
        return LIDO_OK;
    if (value->as.data == NULL && value->size > 0)
        return lido_fail(err, SQLITE_MISUSE, "a value of %zu bytes at no address",
                         value->size);
    return check_text(pool, value, err);
}

/* The values are looked at before the mutex is taken: the log may be told of them. */
static int open_to_bind(const struct lido_stmt *stmt, const struct lido_value *values,
                        size_t count, struct lido__use *use, struct lido_error *err)
{
    int rc;

    if (stmt == NULL || (values == NULL && count > 0))
        return lido_fail(err, SQLITE_MISUSE, "no statement, or no values, were given");
    rc = lido__use_lease_of(stmt, use, err);
    for (size_t i = 0; i < count && rc == LIDO_OK; i++)
        rc = check_value(use->record->pool, &values[i], err);
    if (rc == LIDO_OK)
        rc = lido__use_find(stmt, use, err);
    if (rc == LIDO_OK)
        rc = lido__use_change(use, err);
    if (rc != LIDO_OK || !use->at->is_running)
        return rc;
    lido__use_close(use);
    return lido_fail(err, SQLITE_MISUSE,
                     "the statement is running: lido_stmt_reset() it before");
}

int lido_stmt_bind(const struct lido_stmt *stmt, int parameter, struct lido_value value,
                   struct lido_error *err)
{
    struct lido__use use;
    int rc = open_to_bind(stmt, &value, 1, &use, err);

    if (rc != LIDO_OK)
        return rc;
    rc = bind_one(&use, parameter, &value, SQLITE_TRANSIENT, err);
    lido__use_close(&use);
    return rc;
}

int lido_stmt_bind_name(const struct lido_stmt *stmt, const char *name,
                        struct lido_value value, struct lido_error *err)
{
    struct lido__use use;
    int parameter, rc;

    if (name == NULL)
        return lido_fail(err, SQLITE_MISUSE, "no name was given");
    rc = open_to_bind(stmt, &value, 1, &use, err);
    if (rc != LIDO_OK)
        return rc;
    parameter = sqlite3_bind_parameter_index(use.at->handle, name);
    rc = parameter > 0
             ? bind_one(&use, parameter, &value, SQLITE_TRANSIENT, err)
             : lido_fail(err, SQLITE_RANGE, "the statement has no parameter %.60s", name);
    lido__use_close(&use);
    return rc;
}

int lido__stmt_bind_all(const struct lido_stmt *stmt, const struct lido_value *values,
                        size_t count, sqlite3_destructor_type life, struct lido_error *err)
{
    struct lido__use use = { .at = NULL };
    int there, rc = open_to_bind(stmt, values, count, &use, err);

    if (rc != LIDO_OK)
        return rc;
    assert(use.at != NULL);
    there = sqlite3_bind_parameter_count(use.at->handle);
    if (count != (size_t)there)
        rc = lido_fail(err, SQLITE_RANGE, "%zu values for %d parameters", count, there);
    for (size_t i = 0; i < count && rc == LIDO_OK; i++)
        rc = bind_one(&use, (int)i + 1, &values[i], life, err);
    lido__use_close(&use);
    return rc;
}

int lido_stmt_bind_all(const struct lido_stmt *stmt, const struct lido_value *values,
                       size_t count, struct lido_error *err)
{
    return lido__stmt_bind_all(stmt, values, count, SQLITE_TRANSIENT, err);
}
