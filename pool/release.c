/* SPDX-License-Identifier: MIT */
/*
 * The other side of pool/slots.c: slots that come free, and who gets them.
 *
 * A slot that comes back goes to the oldest waiter whose time is not up, or becomes idle, or
 * capacity.  Capacity by itself (a connection that failed to open or was closed, a member
 * that left the pool) wakes a waiter as well.  Waiters taken off the list are woken when the
 * lock is no longer held.
 *
 * Threads: any.  No hook, driver or allocation is called under the lock.
 */
#include "pool/slots.h"
#include "pool/writer.h"

/* Gives a slot that is LENT to a waiter, who is put on the list of those to be woken. */
static void give_locked(lido_pool *pool, struct lido__waiter *waiter,
                        struct lido_record *record, struct lido__waiter ***woken)
    LIDO_TSA(requires_capability(pool->lock))
{
    lido__waiters_remove(&pool->waiters, waiter);
    lido__add(&pool->gate, -LIDO__GATE_WAITER);
    waiter->record = record;
    if (record != NULL)
        lido__first_claim_locked(pool, record, waiter->thread);
    **woken = waiter;
    *woken = &waiter->next;
}

struct lido__waiter *lido__waiter_next_locked(const lido_pool *pool)
{
    if (pool->waiters.oldest == NULL)
        return NULL;
    return lido__waiters_next(&pool->waiters, lido__wait_ns(pool->config.clock),
                              lido__first_runner_locked(pool));
}

/* Gives what is free to those who wait, the oldest first. */
void lido__slots_serve_locked(lido_pool *pool, struct lido__waiter ***woken)
{
    struct lido__waiter *waiter;
    struct lido_record *record;

    while ((waiter = lido__waiter_next_locked(pool)) != NULL) {
        record = lido__slot_claim_idle_locked(pool);
        if (record == NULL)
            record = lido__slot_claim_vacant_locked(pool);
        if (record == NULL)
            return;
        give_locked(pool, waiter, record, woken);
    }
}

void lido__waiters_wake(struct lido__waiter *woken)
{
    while (woken != NULL) {
        struct lido__waiter *next = woken->next; /* it may be gone once it is awake */

        lido__unpark(&woken->parker);
        woken = next;
    }
}

void lido__slots_serve(lido_pool *pool)
{
    struct lido__waiter *woken = NULL, **end = &woken;

    lido__mutex_lock(&pool->lock);
    lido__slots_serve_locked(pool, &end);
    lido__pool_unlock(pool);
    lido__waiters_wake(woken);
}

bool lido__slot_release_quick(lido_pool *pool, struct lido_record *record)
{
    const int64_t keep = pool->keep; /* what is not atomic is another pool's afterwards */
    struct lido__waiter *woken = NULL, **end = &woken;
    bool is_closed, is_over;

    if (lido__read(&pool->gate) != 0 || (int64_t)lido__read(&pool->live) > keep ||
        !lido__record_is(record, LIDO__MEMBER))
        return false;
    lido__cell_end(&record->own, LIDO__IDLE);
    if (lido__load(&pool->gate) == 0 && (int64_t)lido__load(&pool->live) <= keep)
        return true;
    lido__mutex_lock(&pool->lock);
    lido__slots_serve_locked(pool, &end);
    is_closed = lido__pool_is_closed(pool);
    is_over = (int64_t)lido__read(&pool->live) > keep;
    lido__pool_unlock(pool);
    lido__waiters_wake(woken);
    if (is_closed)
        lido__pool_sweep(pool, NULL);
    else if (is_over) /* grown meanwhile: others may be enough */
        lido__pool_shed(pool);
    return true;
}

int64_t lido__slots_count_idle(const lido_pool *pool)
{
    int64_t idle = 0;

    for (struct lido_record *at = lido__slots_first(pool); at != NULL; at = at->next)
        idle += lido__slot_is_idle(at);
    return idle;
}

int64_t lido__slots_count_kept(const lido_pool *pool)
{
    int64_t kept = 0;

    if (!pool->config.kind->binds)
        return lido__slots_count_idle(pool);
    for (struct lido_record *at = lido__slots_first(pool); at != NULL; at = at->next)
        kept += lido__slot_is_idle(at) && at->handle != NULL;
    return kept;
}

/* True if a connection that comes back now is one too many.  Where threads have their own
   older ones went before it (lido__pool_trim). */
static bool is_surplus_locked(const lido_pool *pool, const struct lido_record *record)
    LIDO_TSA(requires_capability(pool->lock))
{
    if (lido__pool_is_closed(pool))
        return true;
    if (pool->config.kind->binds && record->thread == 0)
        return true; /* its thread has ended */
    return (int64_t)lido__read(&pool->live) > pool->keep &&
           !(pool->config.kind->binds && (record->is_pinned || record->handle == NULL)) &&
           lido__slots_count_kept(pool) >= pool->keep;
}

static void make_idle_locked(lido_pool *pool, struct lido_record *record)
    LIDO_TSA(requires_capability(pool->lock))
{
    record->returned = ++pool->returns;
    if (pool->config.idle_timeout_ms >= 0)
        record->idle_since_ns = lido__age_ns(pool->config.clock);
    lido__cell_end(&record->own, LIDO__IDLE);
}

/* The slot goes back to capacity, whosever it was. */
static void vacate_locked(lido_pool *pool, struct lido_record *record)
    LIDO_TSA(requires_capability(pool->lock))
{
    switch ((enum lido__standing)lido__read(&record->standing)) {
    case LIDO__MEMBER: lido__write(&pool->live, lido__read(&pool->live) - 1); break;
    case LIDO__WRITER: pool->writer = NULL; break;
    case LIDO__DISOWNED: pool->disowned--; break;
    case LIDO__DETACHED:
    case LIDO__ADOPTED: pool->detached--; break;
    }
    lido__cell_end(&record->own, LIDO__VACANT);
}

/* True if this was the last slot of a pool that was freed. */
static bool tell_if_empty_locked(lido_pool *pool) LIDO_TSA(requires_capability(pool->lock))
{
    lido__bell_ring_locked(&pool->shared);
    if (!lido__pool_is_closed(pool) ||
        lido__read(&pool->live) + (uint64_t)pool->disowned > 0 || pool->writer != NULL)
        return false;
    lido__bell_ring_locked(&pool->emptied);
    return pool->is_freed && lido__pool_is_empty_locked(pool);
}

bool lido__slot_release(lido_pool *pool, struct lido_record *record, bool vacate)
{
    struct lido__waiter *waiter = NULL, *woken = NULL, **end = &woken;
    bool is_member, is_last;

    lido__mutex_lock(&pool->lock);
    is_member = lido__record_is(record, LIDO__MEMBER);
    if (is_member)
        waiter = lido__waiter_next_locked(pool);
    if (waiter != NULL) {
        record->is_new = record->is_new || vacate;
        lido__cell_end(&record->own, LIDO__LENT);
        give_locked(pool, waiter, record, &end);
    } else if (vacate) {
        vacate_locked(pool, record);
    } else if (lido__record_is(record, LIDO__WRITER) && !lido__pool_is_closed(pool)) {
        lido__writer_park_locked(pool, record);
    } else if (!is_member || is_surplus_locked(pool, record)) {
        lido__pool_unlock(pool);
        return false;
    } else {
        make_idle_locked(pool, record);
    }
    is_last = tell_if_empty_locked(pool);
    lido__pool_unlock(pool);
    lido__waiters_wake(woken);
    if (is_last)
        lido__pool_destroy(pool);
    return true;
}

void lido__slot_vacate(lido_pool *pool, struct lido_record *record)
{
    assert(record->handle == NULL);
    lido__finalizers_drop(record);
    lido__statements_free(record->statements);
    record->statements = NULL;
    lido__info_drop(&record->info);
    lido__info_drop(&record->record_info);
    lido__slot_release(pool, record, true);
}

int lido__slot_detach(lido_pool *pool, struct lido_record *record,
                      struct lido_record **seat, struct lido_error *err)
{
    bool is_shared;

    *seat = NULL;
    lido__mutex_lock(&pool->lock);
    while (!(is_shared = pool->sharing == LIDO__SHARE_ALL && record->leases > 1) &&
           lido__record_is(record, LIDO__MEMBER) &&
           (*seat = lido__slot_take_vacant_locked(pool, LIDO__MEMBER)) == NULL) {
        lido__pool_unlock(pool);
        if (!lido__slots_grow(pool))
            return lido_fail(err, SQLITE_NOMEM, "out of memory for one more connection");
        lido__mutex_lock(&pool->lock);
    }
    if (is_shared) {
        lido__pool_unlock(pool);
        return lido_fail(err, LIDO_SHARED, "other leases share the connection");
    }
    if (*seat != NULL) {
        lido__write(&pool->live, lido__read(&pool->live) + 1);
        lido__slot_disown_locked(pool, record, LIDO__DETACHED);
        (*seat)->is_new = false;
        (*seat)->thread = record->thread;
        lido__cell_move(&(*seat)->own, LIDO__RETURNING);
    } else if (lido__record_is(record, LIDO__DISOWNED) ||
               lido__record_is(record, LIDO__WRITER)) { /* else a nested lease was faster */
        if (record == pool->writer)
            pool->writer = NULL;
        else
            pool->disowned--;
        pool->detached++;
        lido__write(&record->standing, LIDO__DETACHED);
        tell_if_empty_locked(pool); /* who closes the pool waits for it no more */
    }
    lido__pool_unlock(pool);
    return LIDO_OK;
}

void lido__slot_disown_locked(lido_pool *pool, struct lido_record *record,
                              enum lido__standing standing)
{
    assert(lido__record_is(record, LIDO__MEMBER));
    lido__write(&record->standing, standing);
    lido__write(&pool->live, lido__read(&pool->live) - 1);
    if (standing == LIDO__DISOWNED)
        pool->disowned++;
    else
        pool->detached++;
    lido__bell_ring_locked(&pool->shared);
}

static void ring_all_locked(lido_pool *pool) LIDO_TSA(requires_capability(pool->lock))
{
    lido__bell_ring_locked(&pool->first_ran);
    lido__bell_ring_locked(&pool->shared);
    lido__bell_ring_locked(&pool->txn_over);
}

void lido__slots_disturb(lido_pool *pool, struct lido__waiter *const *waiter)
{
    struct lido__waiter *woken = NULL, **end = &woken;

    lido__mutex_lock(&pool->lock);
    if (*waiter != NULL && (*waiter)->is_listed) {
        (*waiter)->is_cancelled = true;
        give_locked(pool, *waiter, NULL, &end);
    }
    ring_all_locked(pool);
    lido__pool_unlock(pool);
    lido__waiters_wake(woken);
}

void lido__slots_dismiss(lido_pool *pool)
{
    struct lido__waiter *woken = NULL, **end = &woken;

    lido__mutex_lock(&pool->lock);
    if (!lido__pool_is_closed(pool))
        lido__add(&pool->gate, LIDO__GATE_CLOSED);
    while (pool->waiters.oldest != NULL)
        give_locked(pool, pool->waiters.oldest, NULL, &end);
    ring_all_locked(pool);
    lido__pool_unlock(pool);
    lido__waiters_wake(woken);
}
