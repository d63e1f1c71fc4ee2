/* SPDX-License-Identifier: MIT */
/*
 * The writer: one connection beside the limit, for runs that have the write gate.
 *
 * A commit by another connection makes SQLite drop its page cache, so those who write one after
 * the other do well to write by the same one.  Who has the gate of the file has it alone, so
 * nobody waits for it: it is parked, or there is none for the asking.
 *
 *     claim --> LENT(g) --> RETURNING(g) --park--> (RETURNING(g)) --claim--> LENT(g+1)
 *                                        --close-> VACANT
 *
 * While it is parked its slot is RETURNING still, so that no checkout takes it for an idle one,
 * and whoever swaps `parked_writer` out has it.  The pool's lock guards whether there is one.
 *
 * Threads: any.  No hook, driver or allocation is called under the lock.
 */
#include "pool/writer.h"
#include "pool/slots.h"

static struct lido_record *unpark(lido_pool *pool)
{
    if (lido__read(&pool->parked_writer) == 0)
        return NULL;
    return (struct lido_record *)(uintptr_t)lido__swap(&pool->parked_writer, 0);
}

static bool may_have_one(const lido_pool *pool)
{
    return pool->config.kind->has_writer && pool->sharing == LIDO__SHARE_NONE;
}

/* Another slot of that standing, LENT.  *must_grow: there was none vacant. */
static struct lido_record *make_locked(lido_pool *pool, bool *must_grow)
    LIDO_TSA(requires_capability(pool->lock))
{
    struct lido_record *record = NULL;
    bool may_make = pool->writer == NULL && pool->first == LIDO__FIRST_DONE &&
                    !lido__pool_is_closed(pool);

    if (may_make)
        record = lido__slot_take_vacant_locked(pool, LIDO__WRITER);
    if (record != NULL)
        pool->writer = record;
    *must_grow = may_make && record == NULL;
    return record;
}

int lido__writer_claim(lido_pool *pool, struct lido_record **out, struct lido_error *err)
{
    bool must_grow = true;

    *out = NULL;
    if (!may_have_one(pool))
        return LIDO_OK;
    if (lido__pool_is_closed(pool))
        return lido_fail(err, LIDO_CLOSED, "the pool is closed");
    *out = unpark(pool);
    if (*out != NULL) {
        lido__cell_end(&(*out)->own, LIDO__LENT);
        return LIDO_OK;
    }
    while (*out == NULL && must_grow) {
        lido__mutex_lock(&pool->lock);
        *out = make_locked(pool, &must_grow);
        lido__pool_unlock(pool);
        if (must_grow && !lido__slots_grow(pool))
            return lido_fail(err, SQLITE_NOMEM, "out of memory for one more connection");
    }
    return LIDO_OK;
}

void lido__writer_park_locked(lido_pool *pool, struct lido_record *record)
{
    if (pool->config.idle_timeout_ms >= 0)
        record->idle_since_ns = lido__age_ns(pool->config.clock);
    lido__swap(&pool->parked_writer, (uintptr_t)record);
}

static int close_parked(lido_pool *pool, struct lido_record *record,
                        enum lido__close_reason reason, struct lido_error *err)
{
    int rc = lido__record_disconnect(pool, record, reason, false, err);

    lido__slot_vacate(pool, record);
    return rc;
}

int lido__writer_close(lido_pool *pool, struct lido_error *err)
{
    struct lido_record *record = unpark(pool);

    return record != NULL ? close_parked(pool, record, LIDO__CLOSE_POOL, err) : LIDO_OK;
}

int lido__writer_trim(lido_pool *pool, int64_t before_ns, struct lido_error *err)
{
    struct lido_record *record = unpark(pool);
    bool is_closed;

    if (record == NULL)
        return LIDO_OK;
    if (record->idle_since_ns < before_ns)
        return close_parked(pool, record, LIDO__CLOSE_IDLE, err);
    lido__mutex_lock(&pool->lock);
    is_closed = lido__pool_is_closed(pool);
    if (!is_closed)
        lido__swap(&pool->parked_writer, (uintptr_t)record);
    lido__pool_unlock(pool);
    return is_closed ? close_parked(pool, record, LIDO__CLOSE_POOL, err) : LIDO_OK;
}
