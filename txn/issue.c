/* SPDX-License-Identifier: MIT */
/*
 * The driver's begin, commit and rollback.
 *
 * The built-in driver's are called by their inside, with the statements that the connection
 * keeps: they stand in the record, which a driver's table knows nothing of.  A table of the
 * host's that replaced one of them has its own called.
 *
 * Threads: the one that has the transaction.
 */
#include "driver/sqlite.h"
#include "txn/txn.h"

static struct lido__own_texts *own_texts(struct lido_record *record)
{
    struct lido__own_texts *texts;
    sqlite3_mutex *mutex;

    if (record->pool->sharing != LIDO__SHARE_ALL)
        return lido__statements_own_texts(lido__record_statements(record));
    mutex = sqlite3_db_mutex(record->handle);
    sqlite3_mutex_enter(mutex);
    texts = lido__statements_own_texts(lido__record_statements(record));
    sqlite3_mutex_leave(mutex);
    return texts;
}

int lido__txn_issue_begin(struct lido_record *record, int mode, struct lido_error *err)
{
    const struct lido__driver *driver = &record->pool->config.driver;

    if (driver->table->begin == lido_driver_sqlite()->begin)
        return lido__sqlite_begin(record->handle, own_texts(record), mode, err);
    return driver->table->begin(driver->ctx, record->handle, mode, err);
}

int lido__txn_issue_commit(struct lido_record *record, int *outcome, struct lido_error *err)
{
    const struct lido__driver *driver = &record->pool->config.driver;

    if (driver->table->commit == lido_driver_sqlite()->commit)
        return lido__sqlite_commit(record->handle, own_texts(record), "COMMIT", outcome,
                                   err);
    return driver->table->commit(driver->ctx, record->handle, outcome, err);
}

int lido__txn_issue_rollback(struct lido_record *record, int *outcome,
                             struct lido_error *err)
{
    const struct lido__driver *driver = &record->pool->config.driver;

    if (driver->table->rollback == lido_driver_sqlite()->rollback)
        return lido__sqlite_rollback(record->handle, own_texts(record), outcome, err);
    return driver->table->rollback(driver->ctx, record->handle, outcome, err);
}
