/* SPDX-License-Identifier: MIT */
/*
 * The driver's begin, commit, rollback and savepoints, for one lease.
 *
 * The built-in driver's are called by their inside, with the statements that the connection
 * keeps: they stand in the record, which a driver's table knows nothing of.  A table of the
 * host's that replaced one of them has its own called.
 *
 * What stops a lease ends a BEGIN and the wait of a COMMIT for the lock; neither a COMMIT that
 * has got it, nor a ROLLBACK, nor what is done with a savepoint is interrupted.
 *
 * Threads: the one that has the transaction.  Where threads share the connection its mutex is
 * held, so that `runner` is true for what runs.
 */
#include "driver/sqlite.h"
#include "txn/txn.h"

struct issue {
    struct lido_record *record;
    const struct lido__driver *driver;
    sqlite3_mutex *mutex; /* NULL where no threads share the connection */
    uint64_t before;
};

static struct issue enter(struct lido__cell *cell)
{
    struct lido_record *record = lido__cell_record(cell);
    struct issue issue = { .record = record, .driver = &record->pool->config.driver };

    if (record->pool->sharing == LIDO__SHARE_ALL &&
        (issue.driver->table->capabilities & LIDO_DRIVER_IS_SQLITE) != 0)
        issue.mutex = sqlite3_db_mutex(record->handle);
    sqlite3_mutex_enter(issue.mutex);
    issue.before = lido__runner_set(record, (uintptr_t)cell);
    cell->was_cancelled = false;
    return issue;
}

static void leave(const struct issue *issue)
{
    lido__runner_restore(issue->record, issue->before);
    sqlite3_mutex_leave(issue->mutex);
}

static struct lido__own_texts *own_texts(struct lido_record *record)
{
    return lido__statements_own_texts(lido__record_statements(record));
}

int lido__txn_issue_begin(struct lido__cell *cell, int mode, struct lido_error *err)
{
    struct issue issue = enter(cell);
    const struct lido__driver *driver = issue.driver;
    void *handle = issue.record->handle;
    int rc;

    if (driver->table->begin == lido_driver_sqlite()->begin)
        rc = lido__sqlite_begin(handle, own_texts(issue.record), mode, err);
    else
        rc = driver->table->begin(driver->ctx, handle, mode, err);
    leave(&issue);
    return rc == LIDO_OK ? rc : lido__lease_explain(cell, rc, "BEGIN", err);
}

int lido__txn_issue_commit(struct lido__cell *cell, int *outcome, struct lido_error *err)
{
    struct issue issue = enter(cell);
    const struct lido__driver *driver = issue.driver;
    void *handle = issue.record->handle;
    int rc;

    cell->is_ending = true;
    if (driver->table->commit == lido_driver_sqlite()->commit)
        rc = lido__sqlite_commit(handle, own_texts(issue.record), "COMMIT", outcome, err);
    else
        rc = driver->table->commit(driver->ctx, handle, outcome, err);
    cell->is_ending = false;
    leave(&issue);
    return rc == LIDO_OK ? rc : lido__lease_explain(cell, rc, "COMMIT", err);
}

int lido__txn_issue_rollback(struct lido__cell *cell, int *outcome, struct lido_error *err)
{
    struct issue issue = enter(cell);
    const struct lido__driver *driver = issue.driver;
    void *handle = issue.record->handle;
    int rc;

    cell->is_ending = true;
    if (driver->table->rollback == lido_driver_sqlite()->rollback)
        rc = lido__sqlite_rollback(handle, own_texts(issue.record), outcome, err);
    else
        rc = driver->table->rollback(driver->ctx, handle, outcome, err);
    cell->is_ending = false;
    leave(&issue);
    return rc;
}

int lido__txn_issue_savepoint(struct lido__cell *cell, int what, const char *name,
                              struct lido_error *err)
{
    struct issue issue = enter(cell);
    const struct lido__driver *driver = issue.driver;
    int rc;

    cell->is_ending = true;
    rc = driver->table->savepoint(driver->ctx, issue.record->handle, what, name, err);
    cell->is_ending = false;
    leave(&issue);
    return rc;
}
