/* SPDX-License-Identifier: MIT */
/*
 * Statements: from a name to the statement and back, prepare, finalize.
 *
 * The connection's mutex is held while a statement is looked at, and never while a hook runs
 * or another lease is waited for; so each look at a statement is one by name.
 *
 * Threads: the one that checked the connection out.
 */
#include "txn/stmt.h"
#include "txn/txn.h"

int lido__use_lease(const struct lido_conn *conn, struct lido__use *use,
                    struct lido_error *err)
{
    const struct lido__driver *driver;
    int rc = lido__lease_use_connected(conn, &use->cell, err);

    if (rc != LIDO_OK)
        return rc;
    use->record = lido__cell_record(use->cell);
    driver = &use->record->pool->config.driver;
    if ((driver->table->capabilities & LIDO_DRIVER_IS_SQLITE) == 0)
        return lido_fail(err, SQLITE_MISUSE, "the driver %s has no statements",
                         driver->table->name);
    use->db = use->record->handle;
    use->mutex =
        use->record->pool->sharing == LIDO__SHARE_ALL ? sqlite3_db_mutex(use->db) : NULL;
    return LIDO_OK;
}

int lido__use_find(const struct lido_stmt *stmt, struct lido__use *use,
                   struct lido_error *err)
{
    if (use->mutex != NULL)
        sqlite3_mutex_enter(use->mutex);
    use->at = lido__statements_find(use->record->statements, stmt->place, stmt->number);
    if (use->at != NULL)
        return LIDO_OK;
    lido__use_close(use);
    return lido_fail(err, LIDO_STALE, "the statement was finalized");
}

static bool is_none(const struct lido_stmt *stmt)
{
    return stmt == NULL || stmt->number == 0;
}

static int fail_none(const struct lido_stmt *stmt, struct lido_error *err)
{
    return stmt == NULL ? lido_fail(err, SQLITE_MISUSE, "no statement was given")
                        : lido_fail(err, LIDO_STALE,
                                    "the statement is empty: not prepared, or finalized");
}

int lido__use_lease_of(const struct lido_stmt *stmt, struct lido__use *use,
                       struct lido_error *err)
{
    return is_none(stmt) ? fail_none(stmt, err) : lido__use_lease(&stmt->conn, use, err);
}

int lido__use_open(const struct lido_stmt *stmt, struct lido__use *use,
                   struct lido_error *err)
{
    int rc;

    if (is_none(stmt))
        return fail_none(stmt, err);
    rc = lido__use_lease(&stmt->conn, use, err);
    return rc == LIDO_OK ? lido__use_find(stmt, use, err) : rc;
}

/* SQLite would go on in a statement that is no more, or is another's by then. */
int lido__use_change(struct lido__use *use, struct lido_error *err)
{
    assert(use->at != NULL);
    if (!use->at->is_stepping)
        return LIDO_OK;
    lido__use_close(use);
    return lido_fail(err, SQLITE_MISUSE,
                     "a function that the statement calls may not run, "
                     "end or change it");
}

struct lido__statements *lido__record_statements(struct lido_record *record)
{
    if (record->statements == NULL)
        record->statements =
            lido__statements_new((unsigned)record->pool->config.cached_statements);
    return record->statements;
}

/* With the mutex.  To read the schema it may have to wait for a lock. */
static int take(struct lido__use *use, const char *sql, enum lido__text how,
                const char **rest, unsigned *place, struct lido_error *story)
{
    uint64_t before = lido__runner_set(use->record, (uintptr_t)use->cell);
    struct lido_session *session = &use->record->session;
    int rc;

    use->cell->was_cancelled = false;
    session->writes = 0; /* and stays so of one that was prepared before */
    rc = lido__statements_take(use->record->statements, use->db, sql, how, rest, use->cell,
                               &use->at, place, story);
    if (rc == LIDO_OK && use->at != NULL && session->writes != 0)
        use->at->is_temp_only = session->writes == LIDO__WRITES_TEMP;
    lido__runner_restore(use->record, before);
    return rc == LIDO_OK ? rc : lido__lease_explain(use->cell, rc, "prepare", story);
}

int lido__stmt_prepare(const struct lido_conn *conn, struct lido_stmt *out, const char *sql,
                       enum lido__text how, const char **rest, struct lido_error *err)
{
    struct lido_error story; /* not cleared, which would take longer than the rest */
    struct lido__use use;
    int rc = lido__use_lease(conn, &use, err);

    *out = (struct lido_stmt)LIDO_STMT_INIT;
    if (rc != LIDO_OK)
        return rc;
    story.code = story.sys_errno = 0;
    story.text[0] = '\0';
    if (use.mutex != NULL)
        sqlite3_mutex_enter(use.mutex);
    if (lido__record_statements(use.record) == NULL)
        rc = lido_fail(&story, SQLITE_NOMEM, "out of memory for statements");
    else
        rc = take(&use, sql, how, rest, &out->place, &story);
    if (rc == LIDO_OK && use.at != NULL) {
        out->conn = *conn;
        out->number = use.at->number;
    }
    lido__use_close(&use);
    return rc == LIDO_OK ? rc : lido__run_refused(conn, &use, sql, rc, &story, err);
}

int lido_stmt_prepare(const struct lido_conn *conn, struct lido_stmt *out, const char *sql,
                      struct lido_error *err)
{
    int rc;

    if (out == NULL || sql == NULL)
        return lido_fail(err, SQLITE_MISUSE,
                         "no SQL text, or nowhere to put the statement");
    rc = lido__stmt_prepare(conn, out, sql, LIDO__TEXT_WHOLE, NULL, err);
    if (rc == LIDO_OK && out->number == 0)
        return lido_fail(err, SQLITE_MISUSE, "there is no statement in the text");
    return rc;
}

int lido_stmt_reset(const struct lido_stmt *stmt, struct lido_error *err)
{
    struct lido__use use = { .at = NULL };
    int rc = lido__use_open(stmt, &use, err);

    if (rc == LIDO_OK)
        rc = lido__use_change(&use, err);
    return rc != LIDO_OK ? rc : lido__run_reset(stmt, &use, false, err);
}

int lido_stmt_finalize(struct lido_stmt *stmt, struct lido_error *err)
{
    struct lido__use use = { .at = NULL };
    struct lido_stmt copy;
    int rc = lido__use_open(stmt, &use, err);

    if (rc != LIDO_OK)
        return rc == LIDO_NO_CONNECTION
                   ? lido_fail(err, LIDO_STALE, "its connection is gone")
                   : rc;
    rc = lido__use_change(&use, err);
    if (rc != LIDO_OK)
        return rc;
    copy = *stmt;
    *stmt = (struct lido_stmt)LIDO_STMT_INIT;
    return lido__run_reset(&copy, &use, true, err);
}

sqlite3_stmt *lido_stmt_sqlite(const struct lido_stmt *stmt)
{
    struct lido__use use = { .at = NULL };
    sqlite3_stmt *handle;

    if (lido__use_open(stmt, &use, NULL) != LIDO_OK)
        return NULL;
    assert(use.at != NULL);
    handle = use.at->handle;
    lido__use_close(&use);
    return handle;
}

int lido_conn_statement_stats(const struct lido_conn *conn,
                              struct lido_statement_stats *out, struct lido_error *err)
{
    struct lido__use use;
    int rc;

    if (out == NULL || out->size != sizeof *out)
        return lido_fail(err, SQLITE_MISUSE,
                         "no place for them: start from LIDO_STATEMENT_STATS_INIT");
    rc = lido__use_lease(conn, &use, err);
    *out = (struct lido_statement_stats)LIDO_STATEMENT_STATS_INIT;
    if (rc != LIDO_OK)
        return rc;
    sqlite3_mutex_enter(use.mutex);
    if (use.record->statements != NULL)
        lido__statements_count(use.record->statements, out);
    sqlite3_mutex_leave(use.mutex);
    return LIDO_OK;
}
