/* SPDX-License-Identifier: MIT */
/*
 * A record in the hands of a hook, or of who has the lease.
 *
 * Threads: the one that holds the record, as <lido/record.h> says.
 */
#include "pool/pool.h"
#include <lido/record.h>

static int check(const lido_record *record, struct lido_error *err)
{
    if (record == NULL)
        return lido_fail(err, SQLITE_MISUSE, "no record was given");
    return lido__is_forked() ? lido__fail_forked(err) : LIDO_OK;
}

void *lido_record_handle(const lido_record *record)
{
    return record != NULL && !lido__is_forked() ? record->handle : NULL;
}

sqlite3 *lido_record_sqlite(const lido_record *record)
{
    if (record == NULL || lido__is_forked() ||
        (record->pool->config.driver.table->capabilities & LIDO_DRIVER_IS_SQLITE) == 0)
        return NULL;
    return record->handle;
}

int lido_record_connect(lido_record *record, struct lido_error *err)
{
    struct lido__patience patience = { .cancel = NULL };
    uint64_t reserved;
    lido_pool *pool;
    int rc = check(record, err);

    if (rc != LIDO_OK)
        return rc;
    pool = record->pool;
    if (record->handle != NULL &&
        !lido__record_is_outdated(pool, record, lido__age_ns(pool->config.clock)))
        return LIDO_OK;
    rc = lido__share_reserve(record, &reserved, err);
    if (rc != LIDO_OK)
        return rc;
    patience.deadline_ns =
        lido__deadline_ns(pool->config.clock, pool->config.pool_timeout_ms);
    rc = lido__record_connect(pool, record, patience, err);
    lido__share_unreserve(record, reserved);
    return rc;
}

int lido_record_close(lido_record *record, struct lido_error *err)
{
    uint64_t reserved;
    int rc = check(record, err);

    if (rc != LIDO_OK || record->handle == NULL)
        return rc;
    rc = lido__share_reserve(record, &reserved, err);
    if (rc != LIDO_OK)
        return rc;
    rc = lido__record_disconnect(record->pool, record, LIDO__CLOSE_INVALID, true, err);
    lido__share_unreserve(record, reserved);
    return rc;
}

int lido_record_invalidate(lido_record *record, const struct lido_error *reason,
                           struct lido_error *err)
{
    uint64_t reserved;
    int rc = check(record, err);

    if (rc != LIDO_OK || record->handle == NULL)
        return rc;
    rc = lido__share_reserve(record, &reserved, err);
    if (rc != LIDO_OK)
        return rc;
    rc = lido__record_ask_to_invalidate(record->pool, record, reason, err);
    if (rc == LIDO_OK)
        rc = lido__record_drop(record->pool, record, LIDO__CLOSE_INVALID, err);
    lido__share_unreserve(record, reserved);
    return rc;
}

int lido_record_invalidate_soft(lido_record *record, const struct lido_error *reason,
                                struct lido_error *err)
{
    struct lido_event special = { .reason = reason };
    int rc = check(record, err);

    if (rc != LIDO_OK || record->handle == NULL)
        return rc;
    rc = lido__record_fire(record->pool, record, LIDO__SOFT_INVALIDATE, &special, err);
    if (rc == LIDO_OK)
        lido__record_expire_at(record, INT64_MIN);
    return rc;
}

void lido_record_set_info(lido_record *record, void *info, void (*destroy)(void *info))
{
    lido__info_set(record != NULL && !lido__is_forked() ? record->pool : NULL,
                   record != NULL ? &record->info : NULL, info, destroy);
}

void lido_record_set_record_info(lido_record *record, void *info,
                                 void (*destroy)(void *info))
{
    lido__info_set(record != NULL && !lido__is_forked() ? record->pool : NULL,
                   record != NULL ? &record->record_info : NULL, info, destroy);
}

void *lido_record_info(const lido_record *record)
{
    return record != NULL && !lido__is_forked()
               ? lido__info_get(record->pool, &record->info)
               : NULL;
}

void *lido_record_record_info(const lido_record *record)
{
    return record != NULL && !lido__is_forked()
               ? lido__info_get(record->pool, &record->record_info)
               : NULL;
}

int64_t lido_record_started_ns(const lido_record *record)
{
    return record != NULL && !lido__is_forked() ? record->started_ns : 0;
}

int lido_record_in_use(const lido_record *record)
{
    return record != NULL && !lido__is_forked() &&
           lido__slot_state(lido__observe(&record->own.word)) == LIDO__LENT;
}
