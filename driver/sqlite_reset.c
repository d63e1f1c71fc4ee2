/* SPDX-License-Identifier: MIT */
/*
 * Cleaning a connection for its next lease.
 *
 * A connection is clean when SQLite says so: autocommit is on and no transaction of any kind
 * is open.  Only if that is not so are its statements walked: a running one is reset, but
 * never one without SQL text, which belongs to an open blob handle and would be used after
 * it is freed.  What holds a transaction after that makes the connection unclean.
 *
 * Temporary tables and attached databases come last, in no transaction: they are dropped and
 * detached, unless the pool keeps them.  A connection that never had any is told by two calls
 * that look at the handle only.
 *
 * Threads: one at a time for one handle.  On a shared one others may run statements; then
 * LIDO_RESET_TXN_ONLY ends the transaction and leaves all else alone.
 */
#include "base/sqlite.h"
#include "driver/session.h"
#include "driver/sqlite.h"

static bool is_clean(sqlite3 *db)
{
    return sqlite3_get_autocommit(db) && sqlite3_txn_state(db, NULL) == SQLITE_TXN_NONE;
}

unsigned lido__sqlite_reset_statements(sqlite3 *db)
{
    unsigned count = 0;

    for (sqlite3_stmt *at = sqlite3_next_stmt(db, NULL); at != NULL;
         at = sqlite3_next_stmt(db, at))
        if (sqlite3_stmt_busy(at) && sqlite3_sql(at) != NULL) {
            sqlite3_reset(at);
            count++;
        }
    return count;
}

static int end_transaction(sqlite3 *db, int how, struct lido_error *err)
{
    int rc = LIDO_OK, outcome;

    if (how == LIDO_RESET_COMMIT) {
        rc = lido__sqlite_commit(db, NULL, "COMMIT at check-in", &outcome, err);
        if (outcome != LIDO_OUTCOME_OPEN)
            return rc;
    }
    if (sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL) != SQLITE_OK && rc == LIDO_OK &&
        !sqlite3_get_autocommit(db))
        rc = lido__sqlite_fail(db, sqlite3_extended_errcode(db), "ROLLBACK at check-in",
                               err);
    return rc;
}

static int clean(sqlite3 *db, int how, struct lido_reset *outcome, struct lido_error *err)
{
    bool is_txn_only = (how & LIDO_RESET_TXN_ONLY) != 0;
    int rc = LIDO_OK, mode = how & LIDO_RESET_HOW;

    if (is_clean(db))
        return LIDO_OK;
    if (!is_txn_only)
        outcome->statements_reset = lido__sqlite_reset_statements(db);
    if (mode == LIDO_RESET_NONE)
        return LIDO_OK;
    if (!sqlite3_get_autocommit(db)) {
        outcome->was_in_txn = 1;
        rc = end_transaction(db, mode, err);
    }
    if (rc == LIDO_OK && !is_txn_only && !is_clean(db))
        rc = lido_fail(err, SQLITE_BUSY,
                       "an open blob handle or a backup still holds a "
                       "transaction");
    return rc;
}

/* Prepared by nobody, ever: 17 ns cheaper than to ask. */
static bool has_never_had_any(const struct lido_session *session)
{
    return session != NULL && session->is_watched && !session->may_have_more;
}

/* In a transaction that stays open (LIDO_RESET_NONE) nothing is touched. */
static int clear(sqlite3 *db, int how, struct lido_reset *outcome, struct lido_error *err)
{
    bool may_have_temp;
    int rc = LIDO_OK;

    if (has_never_had_any(outcome->session))
        return LIDO_OK;
    may_have_temp = lido__temp_may_be(db);
    if ((how & LIDO_RESET_KEEP_TEMP) != 0) {
        /* If it cannot be told there are some: a connection is not given up for this. */
        outcome->keeps_temp = may_have_temp && lido__temp_has_any(db);
        return LIDO_OK;
    }
    if ((!may_have_temp && lido__sqlite_attached(db) == NULL) || !is_clean(db))
        return LIDO_OK;
    if (may_have_temp)
        rc = lido__temp_drop(db, &outcome->temp_dropped, err);
    return rc == LIDO_OK ? lido__attached_detach(db, err) : rc;
}

/* The lease's authorizer and hooks go first: they could refuse or interrupt what follows.
   Pragmas come before temporary tables, for query_only would keep them. */
static int leave(sqlite3 *db, int how, struct lido_reset *outcome, struct lido_error *err)
{
    struct lido_session *session = outcome->session;
    int rc;

    if (session != NULL)
        lido__session_leave(db, session);
    rc = clean(db, how, outcome, err);
    if (rc == LIDO_OK && session != NULL && session->pragmas != 0 && is_clean(db))
        lido__session_put_back(db, session);
    return rc == LIDO_OK ? clear(db, how, outcome, err) : rc;
}

int lido__sqlite_reset(void *ctx, void *handle, int how, struct lido_reset *outcome,
                       struct lido_error *err)
{
    sqlite3_mutex *mutex = sqlite3_db_mutex(handle);
    int rc;

    (void)ctx;
    if (mutex != NULL) /* SQLite would ask the same, two calls away */
        sqlite3_mutex_enter(mutex);
    if ((how & LIDO_RESET_TXN_ONLY) != 0)
        rc = clean(handle, how, outcome, err);
    else
        rc = leave(handle, how, outcome, err);
    if (mutex != NULL)
        sqlite3_mutex_leave(mutex);
    return rc;
}
