/* SPDX-License-Identifier: MIT */
/*
 * What was set on a connection for a while, and is undone when that is over.
 *
 * A LIDO_READ transaction makes its connection refuse writes.  That it did is a word of the
 * record, set when the driver has set it and cleared when the driver has undone it: nothing
 * is asked where nothing was set, and what could not be undone is tried again by whoever
 * comes next, at last by the check-in, which gives up the connection if it cannot be.
 *
 * Threads: the holder's, and where leases share the record its that has the transaction.
 */
#include "pool/pool.h"

int lido__record_restrict(struct lido_record *record, struct lido_error *err)
{
    const struct lido__driver *driver = &record->pool->config.driver;
    int was, rc = driver->table->property(driver->ctx, record->handle,
                                          LIDO_PROPERTY_READ_ONLY, 1, &was, err);

    if (rc == LIDO_OK && !was)
        lido__write(&record->is_restricted, 1);
    return rc;
}

int lido__record_restore(struct lido_record *record, struct lido_error *err)
{
    const struct lido__driver *driver = &record->pool->config.driver;
    int was, rc;

    if (lido__read(&record->is_restricted) == 0 || record->handle == NULL)
        return LIDO_OK;
    rc = driver->table->property(driver->ctx, record->handle, LIDO_PROPERTY_READ_ONLY, 0,
                                 &was, err);
    if (rc == LIDO_OK)
        lido__write(&record->is_restricted, 0);
    return rc;
}
