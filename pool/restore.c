/* SPDX-License-Identifier: MIT */
/*
 * What was set on a connection for a while, and is undone when that is over.
 *
 * A LIDO_READ transaction makes its connection refuse writes, and a lease may have another
 * isolation level than the pool.  That it was set is a word of the record, written when the
 * driver has set it and cleared when the driver has undone it: nothing is asked where nothing
 * was set, and what could not be undone is tried again by whoever comes next, at last by the
 * check-in, which gives up the connection if it cannot be.
 *
 * Threads: the holder's; where leases share the record, that which has the transaction, and
 * that which set its level.
 */
#include "pool/pool.h"

/* It is no change of the lease's, so the authorizer does not mark it. */
static int set(struct lido_record *record, int property, int value, int *was,
               struct lido_error *err)
{
    const struct lido__driver *driver = &record->pool->config.driver;
    bool is_sqlite = (driver->table->capabilities & LIDO_DRIVER_IS_SQLITE) != 0;
    sqlite3_mutex *mutex = is_sqlite ? sqlite3_db_mutex(record->handle) : NULL;
    bool was_muted;
    int rc;

    sqlite3_mutex_enter(mutex);
    was_muted = record->session.is_muted;
    record->session.is_muted = true;
    rc = driver->table->property(driver->ctx, record->handle, property, value, was, err);
    record->session.is_muted = was_muted;
    sqlite3_mutex_leave(mutex);
    return rc;
}

int lido__record_restrict(struct lido_record *record, struct lido_error *err)
{
    int was, rc = set(record, LIDO_PROPERTY_READ_ONLY, 1, &was, err);

    if (rc == LIDO_OK && !was)
        lido__write(&record->is_restricted, 1);
    return rc;
}

int lido__record_unrestrict(struct lido_record *record, struct lido_error *err)
{
    int was, rc;

    if (record->handle == NULL)
        return LIDO_OK;
    rc = set(record, LIDO_PROPERTY_READ_ONLY, 0, &was, err);
    if (rc == LIDO_OK)
        lido__write(&record->is_restricted, 0);
    return rc;
}

int lido__record_isolate(struct lido_record *record, int read_uncommitted,
                         struct lido_error *err)
{
    int was, rc = set(record, LIDO_PROPERTY_READ_UNCOMMITTED, read_uncommitted, &was, err);

    if (rc == LIDO_OK && lido__read(&record->isolation_was) == 0)
        lido__write(&record->isolation_was, (uint64_t)(was != 0) + 1);
    return rc;
}

int lido__record_unisolate(struct lido_record *record, struct lido_error *err)
{
    const uint64_t was = lido__read(&record->isolation_was);
    int now, rc;

    if (was == 0 || record->handle == NULL)
        return LIDO_OK;
    rc = set(record, LIDO_PROPERTY_READ_UNCOMMITTED, (int)was - 1, &now, err);
    if (rc == LIDO_OK)
        lido__write(&record->isolation_was, 0);
    return rc;
}
