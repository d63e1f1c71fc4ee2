/* SPDX-License-Identifier: MIT */
/*
 * What a lease says of the state it leaves in its connection, and what the pool makes of it.
 *
 * The driver puts back what it can; what is marked after that has to go with its connection.
 *
 * Threads: the one that checked it out, or who takes the record back.
 */
#include "pool/pool.h"

#include <stdio.h>

int lido_conn_mark_dirty(const struct lido_conn *conn, const char *why,
                         struct lido_error *err)
{
    struct lido__cell *cell;
    struct lido_record *record;
    int rc = lido__lease_use_connected(conn, &cell, err);

    if (rc != LIDO_OK)
        return rc;
    record = lido__cell_record(cell);
    lido__mutex_lock(&record->pool->lock);
    if (!record->session.is_declared)
        snprintf(record->session.declared, sizeof record->session.declared, "%s",
                 why != NULL ? why : "declared as changed");
    record->session.is_declared = true;
    lido__mutex_unlock(&record->pool->lock);
    return LIDO_OK;
}

int lido_conn_set_authorizer(const struct lido_conn *conn, lido_authorizer_fn authorizer,
                             void *ctx, struct lido_error *err)
{
    struct lido__cell *cell;
    struct lido_record *record;
    int rc = lido__lease_use_connected(conn, &cell, err);

    if (rc != LIDO_OK)
        return rc;
    record = lido__cell_record(cell);
    if ((record->pool->config.driver.table->capabilities & LIDO_DRIVER_IS_SQLITE) == 0)
        return lido_fail(err, SQLITE_MISUSE, "the driver %s has no authorizer",
                         record->pool->config.driver.table->name);
    if (lido__record_is(record, LIDO__ADOPTED))
        return lido_fail(err, SQLITE_MISUSE,
                         "an adopted handle keeps the authorizer that its owner set");
    lido__session_set_host(record->handle, &record->session, authorizer, ctx);
    return LIDO_OK;
}

/* A transaction that is to stay open (pool_reset_on_return=none) is worth more: then the marks
   stay too, for the next return. */
int lido__session_settle(lido_pool *pool, struct lido_record *record,
                         struct lido_error *why)
{
    struct lido_session *session = &record->session;
    char what[64];

    if (pool->config.reset_on_return == LIDO_RESET_NONE && lido__record_is_in_txn(record))
        return LIDO_OK;
    lido__session_tell(session, what, sizeof what);
    if (!lido__record_is(record, LIDO__MEMBER)) /* closed anyway, or its host's */
        return LIDO_OK;
    return lido_fail(why, LIDO_UNCLEAN, "the lease left its connection changed: %s", what);
}
