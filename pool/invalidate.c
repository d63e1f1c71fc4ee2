/* SPDX-License-Identifier: MIT */
/*
 * Invalidating: a connection that is not to be trusted any more.
 *
 * Hooks are asked while the lease is still good, so that one that fails leaves everything as
 * it was.  Then the lease ends by the swap to RETURNING, and only who won that closes the
 * connection: a copy of the lease never sees a handle that is being closed.
 *
 * Threads: the one that checked it out.
 */
#include "pool/pool.h"
#include <lido/record.h>

/* A connection that other threads use cannot be closed under them: the pool disowns it, and
   the last of them closes it. */
static int hand_to_others(lido_pool *pool, struct lido_record *record,
                          struct lido_conn *conn, struct lido_error *err)
{
    lido__record_expire_at(record, INT64_MIN);
    lido__share_disown(pool, record);
    return lido_conn_checkin(conn, NULL, err);
}

static int leave_to_others(lido_pool *pool, struct lido_record *record,
                           struct lido_conn *conn, const struct lido_error *reason,
                           struct lido_error *err)
{
    struct lido_event special = { .reason = reason };
    int rc = lido__record_fire(pool, record, LIDO__INVALIDATE, &special, err);

    if (rc != LIDO_OK)
        return rc;
    if (!lido__lease_is_good(conn->cell, conn->generation))
        return lido_fail(err, LIDO_STALE, "a hook ended the lease");
    return hand_to_others(pool, record, conn, err);
}

static int close_and_end(lido_pool *pool, struct lido__cell *cell, struct lido_conn *conn,
                         const struct lido_error *reason, struct lido_error *err)
{
    struct lido_record *record = lido__cell_record(cell);
    int rc = lido__record_ask_to_invalidate(pool, record, reason, err), later;

    if (rc != LIDO_OK)
        return rc;
    if (pool->sharing == LIDO__SHARE_ALL && lido__share_count(pool, record) > 1)
        return hand_to_others(pool, record, conn, err); /* they came while hooks ran */
    if (!lido__cell_try(cell, lido__slot_word(conn->generation, LIDO__LENT),
                        LIDO__RETURNING))
        return lido_fail(err, LIDO_STALE, "a hook ended the lease");
    *conn = (struct lido_conn)LIDO_CONN_INIT;
    lido__publish(&cell->checkins, lido__read(&cell->checkins) + 1);
    lido__record_expire_at(record, INT64_MIN); /* if another is the last to leave it */
    if (cell != &record->own && !lido__share_leave_alone(pool, cell))
        return LIDO_OK; /* another lease is just leaving, and takes the record with it */
    if (!lido__record_is(record, LIDO__ADOPTED))
        rc = lido__record_drop(pool, record, LIDO__CLOSE_INVALID, err);
    later = lido__record_give_back(pool, record, rc == LIDO_OK ? err : NULL);
    return rc != LIDO_OK ? rc : later;
}

/* It may be another lease of the thread that is in SQLite. */
static int use_to_close(const struct lido_conn *conn, struct lido__cell **cell,
                        struct lido_error *err)
{
    struct lido_record *record;
    int rc = lido__lease_use_to_end(conn, cell, err);

    if (rc != LIDO_OK)
        return rc;
    record = lido__cell_record(*cell);
    if (record->pool->sharing != LIDO__SHARE_THREAD ||
        !lido__share_is_stepping(record->pool, record))
        return LIDO_OK;
    return lido_fail(err, SQLITE_MISUSE,
                     "a function that a statement calls may not close its connection");
}

int lido_conn_invalidate(struct lido_conn *conn, const struct lido_error *reason,
                         struct lido_error *err)
{
    struct lido__cell *cell;
    struct lido_record *record;
    lido_pool *pool;
    int rc = use_to_close(conn, &cell, err);

    if (rc != LIDO_OK)
        return rc;
    record = lido__cell_record(cell);
    pool = record->pool;
    if (pool->sharing == LIDO__SHARE_ALL && lido__share_count(pool, record) > 1)
        return leave_to_others(pool, record, conn, reason, err);
    return close_and_end(pool, cell, conn, reason, err);
}

int lido_conn_invalidate_soft(const struct lido_conn *conn, const struct lido_error *reason,
                              struct lido_error *err)
{
    struct lido__cell *cell;
    int rc = lido__lease_use(conn, &cell, err);

    return rc != LIDO_OK
               ? rc
               : lido_record_invalidate_soft(lido__cell_record(cell), reason, err);
}

int lido_conn_invalidate_pool(struct lido_conn *conn, const struct lido_error *reason,
                              struct lido_error *err)
{
    struct lido__cell *cell;
    struct lido_record *record;
    int rc = use_to_close(conn, &cell, err);

    if (rc != LIDO_OK)
        return rc;
    record = lido__cell_record(cell);
    lido__pool_stamp(record->pool, record);
    return lido_conn_invalidate(conn, reason, err);
}

int lido_pool_invalidate(lido_pool *pool, struct lido_error *err)
{
    if (pool == NULL)
        return lido_fail(err, SQLITE_MISUSE, "no pool was given");
    if (lido__is_forked())
        return lido__fail_forked(err);
    lido__pool_stamp(pool, NULL);
    return LIDO_OK;
}

int64_t lido_pool_invalidated_ns(lido_pool *pool)
{
    int64_t when_ns;

    if (pool == NULL || lido__is_forked())
        return 0;
    lido__mutex_lock(&pool->lock);
    when_ns = pool->invalidated_ns;
    lido__mutex_unlock(&pool->lock);
    return when_ns;
}
