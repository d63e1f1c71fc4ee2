/* SPDX-License-Identifier: MIT */
/*
 * The isolation level of one lease.
 *
 * SERIALIZABLE and READ UNCOMMITTED are the connection's read_uncommitted, which the driver
 * is asked for each time; AUTOCOMMIT is a word of the lease, and changes nothing of the
 * connection.  The end of the lease sets back what it has set (pool/restore.c).
 *
 * Threads: the one that checked the connection out.
 */
#include "txn/txn.h"

#include <lido/txn.h>

/* The connection's part of a level, which all who have the connection would share. */
static int isolate(struct lido__cell *cell, int read_uncommitted, struct lido_error *err)
{
    struct lido_record *record = lido__cell_record(cell);
    lido_pool *pool = record->pool;
    int rc;

    if (pool->config.driver.table->property == NULL)
        return lido_fail(err, SQLITE_MISUSE, "the driver %s has no isolation levels",
                         pool->config.driver.table->name);
    if (lido__share_count(pool, record) > 1)
        return lido_fail(err, LIDO_SHARED, "other leases share the connection");
    rc = lido__record_isolate(record, read_uncommitted, err);
    if (rc == LIDO_OK)
        cell->has_isolation = true;
    return rc;
}

int lido_conn_set_isolation(const struct lido_conn *conn, const char *level,
                            struct lido_error *err)
{
    struct lido__isolation says;
    struct lido__cell *cell;
    int rc = lido__lease_use_connected(conn, &cell, err);

    if (rc != LIDO_OK)
        return rc;
    rc = lido__level_isolation(level != NULL ? level : "", &says, err);
    if (rc != LIDO_OK)
        return rc;
    if (lido__record_is_in_txn(lido__cell_record(cell)))
        return lido_fail(
            err, LIDO_IN_TXN,
            "the isolation level changes outside of a transaction only, and one "
            "is open");
    if (says.read_uncommitted >= 0)
        rc = isolate(cell, says.read_uncommitted, err);
    if (rc == LIDO_OK)
        cell->is_autocommit = says.is_autocommit;
    return rc;
}

const char *lido_conn_isolation(const struct lido_conn *conn)
{
    const struct lido__driver *driver;
    struct lido__cell *cell;
    int is_uncommitted;

    if (lido__lease_use_connected(conn, &cell, NULL) != LIDO_OK)
        return NULL;
    if (cell->is_autocommit)
        return "AUTOCOMMIT";
    driver = &lido__cell_record(cell)->pool->config.driver;
    if (driver->table->property == NULL ||
        driver->table->property(driver->ctx, lido__cell_record(cell)->handle,
                                LIDO_PROPERTY_READ_UNCOMMITTED, -1, &is_uncommitted,
                                NULL) != LIDO_OK)
        return NULL;
    return is_uncommitted != 0 ? "READ UNCOMMITTED" : "SERIALIZABLE";
}
