/* SPDX-License-Identifier: MIT */
#ifndef LIDO_STMT_H
#define LIDO_STMT_H

#include <lido/conn.h>
#include <lido/status.h>
#include <string.h>

/*
 * Statements on a lease, from a cache that the connection keeps.
 *
 * A statement is a small value that names one use of a prepared statement, as a lease names
 * one use of a connection: after lido_stmt_finalize(), or when the lease has ended, each copy
 * of it answers LIDO_STALE.  Finalizing gives the prepared statement back to the cache, reset
 * and without values; the end of the lease does the same for those that were forgotten.
 * Statements that the host prepares on the raw sqlite3 * are the host's and no part of this.
 *
 * The cache keeps `cached_statements` of those that nobody uses, by their text, and gives up
 * the one that was used the longest ago.  PRAGMA, ATTACH, DETACH and BEGIN are never kept, for
 * they act, or settle what they lock, when they are prepared; nor is any statement of a text
 * of several.
 * A function that a statement calls may run others on the lease, but may not step, reset,
 * finalize or bind the one that calls it: SQLITE_MISUSE.
 * After a change of the schema, by whichever connection, SQLite prepares a statement again at
 * its next step: what lido_stmt_columns() and the names say is true from then on.
 *
 * Text is UTF-8 in and out, also where the database is UTF-16, and has a length: a NUL may
 * stand inside.  What is bound has to be UTF-8, as the pool's option `text` says.
 *
 * A statement that is run when the transaction which lido began was ended by SQLite itself
 * (disk full, ON CONFLICT ROLLBACK, ...) answers LIDO_TXN_OVER, so that nothing of it is
 * done outside of a transaction by accident.  lido_txn_rollback() or lido_txn_commit() end
 * that state.
 *
 * On a static pool a statement waits until no other lease has a transaction, as
 * lido_txn_begin() does.
 */

#ifdef __cplusplus
extern "C" {
#endif

struct lido_stmt {
    struct lido_conn conn; /* the lease */
    uint64_t number;       /* which use */
    unsigned place;        /* lido's */
};
#define LIDO_STMT_INIT                                                                     \
    {                                                                                      \
        LIDO_CONN_INIT, 0, 0                                                               \
    }

/* A value to bind, or of a column.  `type` is SQLite's: SQLITE_INTEGER, SQLITE_FLOAT,
   SQLITE_TEXT, SQLITE_BLOB or SQLITE_NULL. */
struct lido_value {
    int type;
    size_t size; /* bytes of a text or a blob */
    union {
        int64_t integer;
        double real;
        const void *data; /* a text, without a NUL at the end, or a blob */
    } as;
};

static inline struct lido_value lido_null(void)
{
    struct lido_value value;

    value.type = SQLITE_NULL;
    value.size = 0;
    value.as.integer = 0;
    return value;
}

static inline struct lido_value lido_integer(int64_t number)
{
    struct lido_value value = lido_null();

    value.type = SQLITE_INTEGER;
    value.as.integer = number;
    return value;
}

/* To SQLite a NaN is NULL. */
static inline struct lido_value lido_real(double number)
{
    struct lido_value value = lido_null();

    value.type = SQLITE_FLOAT;
    value.as.real = number;
    return value;
}

/* `size` bytes; NULL is SQL's NULL. */
static inline struct lido_value lido_text_of(const char *text, size_t size)
{
    struct lido_value value = lido_null();

    if (text == NULL)
        return value;
    value.type = SQLITE_TEXT;
    value.size = size;
    value.as.data = text;
    return value;
}

/* Up to its NUL. */
static inline struct lido_value lido_text(const char *text)
{
    return lido_text_of(text, text != NULL ? strlen(text) : 0);
}

static inline struct lido_value lido_blob(const void *data, size_t size)
{
    struct lido_value value = lido_null();

    value.type = SQLITE_BLOB;
    value.size = size;
    value.as.data = data;
    return value;
}

/*
 * Prepares one statement, or takes it from the cache.  `sql` is text up to its NUL and may end
 * in blanks, comments and a semicolon.
 *
 * Ownership: on success *out is in use; give it to lido_stmt_finalize().  On failure *out is
 *            empty.
 * Threads:   the one that checked conn out, as with all calls here.
 * Fails:     what SQLite says of the text; SQLITE_MISUSE (no statement in it, or more than one;
 *            the driver is none of SQLite's), SQLITE_TOOBIG, SQLITE_NOMEM, LIDO_STALE,
 *            LIDO_NO_CONNECTION, LIDO_WRONG_THREAD, LIDO_FORKED.
 */
LIDO_API int lido_stmt_prepare(const struct lido_conn *conn, struct lido_stmt *out,
                               const char *sql, struct lido_error *err) LIDO_CHECKED;

/*
 * Gives it back to the cache, and *stmt is empty, whatever is returned of its run: a run ends
 * as by lido_stmt_reset().  A second time, or after the lease, it answers LIDO_STALE and does
 * nothing.
 *
 * Fails:     as lido_stmt_reset(); LIDO_STALE, LIDO_WRONG_THREAD, LIDO_FORKED.
 */
LIDO_API int lido_stmt_finalize(struct lido_stmt *stmt, struct lido_error *err);

/*
 * Sets values of the parameters: one by its number from 1, one by its name as it stands in the
 * text (":id", "@id", "$id"), or all of them at once, of which there must be as many as the
 * statement has.  Values stay until they are set anew or the statement is finalized.  A
 * parameter without a value is NULL.
 *
 * Ownership: text and blobs are copied.
 * Fails:     SQLITE_RANGE (no such parameter; not as many), LIDO_BAD_TEXT (not UTF-8),
 *            SQLITE_MISUSE (no such type; the statement is running: reset it before),
 *            SQLITE_TOOBIG, SQLITE_NOMEM; as lido_stmt_prepare().
 */
LIDO_API int lido_stmt_bind(const struct lido_stmt *stmt, int parameter,
                            struct lido_value value, struct lido_error *err) LIDO_CHECKED;
LIDO_API int lido_stmt_bind_name(const struct lido_stmt *stmt, const char *name,
                                 struct lido_value value,
                                 struct lido_error *err) LIDO_CHECKED;
LIDO_API int lido_stmt_bind_all(const struct lido_stmt *stmt,
                                const struct lido_value *values, size_t count,
                                struct lido_error *err) LIDO_CHECKED;

/*
 * Runs it to its next row: SQLITE_ROW, or SQLITE_DONE when there is none.  A step after
 * SQLITE_DONE or after an error runs it anew.  Before the first step of each run the
 * before_execute hooks are asked, and after the last the after_execute hooks, with the time
 * between the two; after an error the handle_error hooks.
 *
 * Fails:     what SQLite says, extended; LIDO_TXN_OVER (see above), LIDO_CANCELLED,
 *            LIDO_TXN_TIMEOUT, SQLITE_BUSY (also: on a
 *            static pool the transaction of another lease did not end in time); what a hook
 *            returned; as lido_stmt_prepare().
 */
LIDO_API int lido_stmt_step(const struct lido_stmt *stmt,
                            struct lido_error *err) LIDO_CHECKED;

/*
 * Ends the run; values stay.  If rows were left unread and the statement writes, outside of a
 * transaction, this is its commit, which may fail: then nothing of it is done.
 *
 * Fails:     what SQLite says of that commit, what an after_execute hook returned; LIDO_STALE,
 *            LIDO_NO_CONNECTION, LIDO_WRONG_THREAD, LIDO_FORKED.
 */
LIDO_API int lido_stmt_reset(const struct lido_stmt *stmt, struct lido_error *err);

/*
 * The columns of the row that the last step answered, from 0.  Where there is no row or no
 * such column, and for a statement that is stale: 0, SQLITE_NULL, NULL, or -1 for an index.
 * As in SQLite a value of another type is converted.
 *
 * Ownership: text, blobs and names are lent until the next step, reset or finalize.
 */
LIDO_API int lido_stmt_columns(const struct lido_stmt *stmt);
LIDO_API const char *lido_stmt_name(const struct lido_stmt *stmt, int column);
/* The first column of that name, as SQLite spells it; -1 if there is none. */
LIDO_API int lido_stmt_index(const struct lido_stmt *stmt, const char *name);
LIDO_API int lido_stmt_type(const struct lido_stmt *stmt, int column);
LIDO_API int64_t lido_stmt_integer(const struct lido_stmt *stmt, int column);
LIDO_API double lido_stmt_real(const struct lido_stmt *stmt, int column);
/* With a NUL behind it; *size (NULL allowed) does not count that. */
LIDO_API const char *lido_stmt_text(const struct lido_stmt *stmt, int column, size_t *size);
LIDO_API const void *lido_stmt_blob(const struct lido_stmt *stmt, int column, size_t *size);

/* The same by name or number, as it is in the database, with an error where the others only
   have a zero: SQLITE_RANGE (no such column), SQLITE_MISUSE (no row), SQLITE_NOMEM. */
LIDO_API int lido_stmt_value(const struct lido_stmt *stmt, int column,
                             struct lido_value *out, struct lido_error *err) LIDO_CHECKED;
LIDO_API int lido_stmt_value_name(const struct lido_stmt *stmt, const char *name,
                                  struct lido_value *out,
                                  struct lido_error *err) LIDO_CHECKED;

/* SQLite's own, for what is not here; lent until the statement is finalized or the lease
   ends, and not to be finalized.  NULL if stale. */
LIDO_API sqlite3_stmt *lido_stmt_sqlite(const struct lido_stmt *stmt);

/*
 * Runs every statement of a text, in order, and throws rows away.  It stops at the first that
 * fails; those before it are done.
 *
 * Fails:     as lido_stmt_prepare() and lido_stmt_step().
 */
LIDO_API int lido_conn_exec(const struct lido_conn *conn, const char *sql,
                            struct lido_error *err) LIDO_CHECKED;

/*
 * Runs one statement with `count` values and hands each row to `row` (NULL: throws them away).
 * SQLITE_DONE from `row` ends it without an error, any other code but LIDO_OK ends it with
 * that code.  In `row` the statement may be read, not stepped and not reset.
 *
 * Ownership: borrows everything until it returns.
 * Fails:     as lido_stmt_bind_all() and lido_stmt_step(); what `row` returned.
 */
typedef int (*lido_row_fn)(void *ctx, const struct lido_stmt *row, struct lido_error *err);
LIDO_API int lido_conn_query(const struct lido_conn *conn, const char *sql,
                             const struct lido_value *values, size_t count, lido_row_fn row,
                             void *ctx, struct lido_error *err) LIDO_CHECKED;

/*
 * The same on a connection that is checked out for it, with the pool's own time-outs, and
 * checked in again.  A transaction that `autobegin` began for it is committed, or rolled back
 * after an error.
 *
 * Threads:   any.
 * Fails:     as lido_pool_checkout() too, and lido_txn_commit(); a check-in that fails is
 *            reported, if nothing else has.
 */
LIDO_API int lido_pool_exec(lido_pool *pool, const char *sql,
                            struct lido_error *err) LIDO_CHECKED;
LIDO_API int lido_pool_query(lido_pool *pool, const char *sql,
                             const struct lido_value *values, size_t count, lido_row_fn row,
                             void *ctx, struct lido_error *err) LIDO_CHECKED;

/* How many rows the last INSERT, UPDATE or DELETE of the connection changed, and the rowid of
   its last INSERT; 0 if the lease cannot be asked.
   https://sqlite.org/c3ref/changes.html */
LIDO_API int64_t lido_conn_changes(const struct lido_conn *conn);
LIDO_API int64_t lido_conn_last_rowid(const struct lido_conn *conn);

/* The cache of a lease's connection. */
struct lido_statement_stats {
    size_t size;
    int64_t cached;  /* kept, and used by nobody */
    int64_t in_use;  /* of all leases that share the connection */
    uint64_t hits;   /* taken from the cache, since the connection was opened */
    uint64_t misses; /* prepared */
};
#define LIDO_STATEMENT_STATS_INIT                                                          \
    {                                                                                      \
        sizeof(struct lido_statement_stats), 0, 0, 0, 0                                    \
    }
LIDO_API int lido_conn_statement_stats(const struct lido_conn *conn,
                                       struct lido_statement_stats *out,
                                       struct lido_error *err);

#ifdef __cplusplus
}
#endif
#endif
