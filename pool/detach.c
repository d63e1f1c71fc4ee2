/* SPDX-License-Identifier: MIT */
/*
 * Connections that leave the pool, and one that was never in it.
 *
 * The lease keeps its slot and its cell, so that no copy of it goes stale, and another slot
 * takes over the place in the pool: with what hangs on the place (`record_info`), without a
 * connection, free at once.
 *
 *     detach    [slot a: lease, connection, info]      DETACHED, closed at its check-in
 *               [slot b: record_info]                  a member, to a waiter or idle
 *     steal     detach, and then the lease ends without the connection being closed
 *     adopt     [slot c: lease, the host's handle]     ADOPTED, given back at its check-in
 *
 * Threads: the one that checked it out.
 */
#include "pool/pool.h"

static bool is_outside(const struct lido_record *record)
{
    return lido__record_is(record, LIDO__DETACHED) ||
           lido__record_is(record, LIDO__ADOPTED);
}

int lido_conn_is_detached(const struct lido_conn *conn)
{
    struct lido__cell *cell;

    return lido__lease_use(conn, &cell, NULL) == LIDO_OK &&
           is_outside(lido__cell_record(cell));
}

lido_record *lido_conn_record(const struct lido_conn *conn)
{
    struct lido__cell *cell;

    if (lido__lease_use(conn, &cell, NULL) != LIDO_OK ||
        is_outside(lido__cell_record(cell)))
        return NULL;
    return lido__cell_record(cell);
}

/* The place in the pool is another's: to a waiter, or idle. */
static void free_seat(lido_pool *pool, struct lido_record *record, struct lido_record *seat)
{
    if (seat == NULL) {
        lido__info_drop(&record->record_info);
        return;
    }
    seat->record_info = record->record_info;
    record->record_info = (struct lido__info){ NULL, NULL };
    if (!lido__slot_release(pool, seat, false))
        lido__slot_vacate(pool, seat);
}

static int detach(const struct lido_conn *conn, struct lido__cell *cell,
                  struct lido_error *err)
{
    struct lido_record *record = lido__cell_record(cell), *seat;
    struct lido_event special = { .conn = conn };
    lido_pool *pool = record->pool;
    int rc;

    rc = lido__slot_detach(pool, record, &seat, err);
    if (rc != LIDO_OK)
        return rc;
    free_seat(pool, record, seat);
    lido__log(pool, LIDO_LOG_INFO, "connection detached");
    return lido__record_fire(pool, record, LIDO__DETACH, &special, err);
}

int lido_conn_detach(const struct lido_conn *conn, struct lido_error *err)
{
    struct lido__cell *cell;
    int rc = lido__lease_use_connected(conn, &cell, err);

    if (rc != LIDO_OK || is_outside(lido__cell_record(cell)))
        return rc;
    return detach(conn, cell, err);
}

int lido_conn_steal(struct lido_conn *conn, void **handle, struct lido_error *err)
{
    const struct lido__driver *driver;
    struct lido_record *record;
    struct lido__cell *cell;
    lido_pool *pool;
    int rc;

    if (handle == NULL)
        return lido_fail(err, SQLITE_MISUSE, "nowhere to put the handle");
    *handle = NULL;
    rc = lido__lease_use_to_end(conn, &cell, err);
    if (rc == LIDO_OK)
        rc = lido__lease_use_connected(conn, &cell, err);
    if (rc != LIDO_OK)
        return rc;
    record = lido__cell_record(cell);
    pool = record->pool;
    if (lido__share_count(pool, record) > 1)
        return lido_fail(err, LIDO_SHARED, "other leases share the connection");
    if (!is_outside(record))
        rc = detach(conn, cell, err);
    if (rc != LIDO_OK)
        return rc;
    if (!lido__cell_try(cell, lido__slot_word(conn->generation, LIDO__LENT),
                        LIDO__RETURNING))
        return lido_fail(err, LIDO_STALE, "a detach hook ended the lease");
    *conn = (struct lido_conn)LIDO_CONN_INIT;
    lido__publish(&cell->checkins, lido__read(&cell->checkins) + 1);
    if (cell != &record->own)
        lido__share_leave(pool, cell);
    lido__statements_drop(record->statements);
    driver = &pool->config.driver;
    if (driver->table->set_busy_wait != NULL)
        driver->table->set_busy_wait(driver->ctx, record->handle, NULL, NULL);
    if (record->session.is_watched || record->session.host != NULL)
        sqlite3_set_authorizer(record->handle, NULL, NULL);
    lido__session_end(&record->session);
    if ((driver->table->capabilities & LIDO_DRIVER_IS_SQLITE) != 0)
        sqlite3_progress_handler(record->handle, 0, NULL, NULL);
    lido__record_leave_gate(record);
    lido__record_drop_gate(record);
    *handle = record->handle;
    record->handle = NULL;
    if (lido__record_is(record, LIDO__DETACHED))
        lido__pool_count(pool, &pool->counts.stolen);
    lido__slot_vacate(pool, record);
    return LIDO_OK;
}

int lido_conn_adopt(struct lido_conn *out, lido_pool *pool, void *handle,
                    struct lido_error *err)
{
    const struct lido__driver *driver;
    struct lido_record *record = NULL;
    int rc;

    if (out == NULL)
        return lido_fail(err, SQLITE_MISUSE, "nowhere to put the lease");
    *out = (struct lido_conn)LIDO_CONN_INIT;
    if (pool == NULL || handle == NULL)
        return lido_fail(err, SQLITE_MISUSE, "no pool, or no handle to adopt");
    if (lido__is_forked())
        return lido__fail_forked(err);
    rc = lido__slot_claim_beside(pool, LIDO__ADOPTED, &record, err);
    if (rc != LIDO_OK)
        return rc;
    driver = &pool->config.driver;
    record->handle = handle;
    lido__record_stamp(pool, record);
    lido__record_expire_at(record, INT64_MAX);
    record->started_ns = lido__age_ns(pool->config.clock);
    if (driver->table->set_busy_wait != NULL)
        driver->table->set_busy_wait(driver->ctx, handle, pool->config.busy_wait, record);
    if (pool->config.gates != NULL)
        rc = pool->config.gates->find(record, err);
    if (rc != LIDO_OK) {
        if (driver->table->set_busy_wait != NULL)
            driver->table->set_busy_wait(driver->ctx, handle, NULL, NULL);
        record->handle = NULL;
        lido__cell_move(&record->own, LIDO__RETURNING);
        lido__slot_vacate(pool, record);
        return rc;
    }
    lido__lease_tell(&record->own, NULL, 0, "adopted");
    lido__bump(&record->own.checkouts);
    out->cell = &record->own;
    out->generation = lido__slot_generation(lido__read(&record->own.word));
    return LIDO_OK;
}
