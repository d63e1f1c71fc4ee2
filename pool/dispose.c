/* SPDX-License-Identifier: MIT */
/*
 * Closing what is idle: when the pool is closed, disposed of, or keeps too much.
 *
 * A record to be closed is claimed first, so nobody lends it meanwhile; hooks and the driver
 * then run without a lock, and its slot goes back to capacity, which wakes who waits.  A
 * record in use is never closed under its user: where dispose() has to be rid of it, the pool
 * disowns it, lends another, and the check-in closes it.
 *
 * Threads: any.
 */
#include "base/alloc.h"
#include "pool/pool.h"
#include "pool/writer.h"

static bool is_any(const lido_pool *pool, const struct lido_record *record, const void *ctx)
{
    (void)pool, (void)record, (void)ctx;
    return true;
}

/* Closes up to `most` idle records that are chosen. */
static int close_idle(lido_pool *pool, int64_t most, lido__chooser is_chosen,
                      const void *ctx, enum lido__close_reason reason,
                      struct lido_error *err)
{
    const bool in_order = reason == LIDO__CLOSE_POOL; /* as they would be lent */
    struct lido_record *record;
    int rc = LIDO_OK;

    while (most-- > 0 &&
           (record = lido__slot_claim_idle(pool, is_chosen, ctx, in_order)) != NULL) {
        int failed = lido__record_disconnect(pool, record, reason, false,
                                             rc == LIDO_OK ? err : NULL);

        if (rc == LIDO_OK)
            rc = failed;
        lido__slot_vacate(pool, record);
    }
    return rc;
}

static bool is_of_closed(const lido_pool *pool, const struct lido_record *record,
                         const void *ctx)
{
    (void)record, (void)ctx;
    return lido__pool_is_closed(pool);
}

int lido__pool_sweep(lido_pool *pool, struct lido_error *err)
{
    int rc = close_idle(pool, INT64_MAX, is_of_closed, NULL, LIDO__CLOSE_POOL, err), failed;

    if (!lido__pool_is_closed(pool))
        return rc;
    failed = lido__writer_close(pool, rc == LIDO_OK ? err : NULL);
    return rc != LIDO_OK ? rc : failed;
}

struct trimming {
    int64_t now_ns;
    int64_t coming; /* records that are about to be idle */
};

static bool may_be_trimmed(const lido_pool *pool, const struct lido_record *record)
{
    return !record->is_pinned && (!pool->config.kind->binds || record->handle != NULL);
}

/* One too many of those that are a thread's. */
static bool is_beyond_keep(const lido_pool *pool, const struct lido_record *record,
                           const void *ctx)
{
    const struct trimming *trimming = ctx;

    return may_be_trimmed(pool, record) &&
           lido__slots_count_kept(pool) + trimming->coming > pool->keep;
}

static bool is_idle_for_long(const lido_pool *pool, const struct lido_record *record,
                             const void *ctx)
{
    const struct lido__pool_config *config = &pool->config;
    const struct trimming *trimming = ctx;

    return may_be_trimmed(pool, record) &&
           lido__slots_count_kept(pool) + trimming->coming > config->min_idle &&
           trimming->now_ns - record->idle_since_ns >
               lido__ms_to_ns(config->idle_timeout_ms);
}

int lido__pool_trim(lido_pool *pool, int coming, struct lido_error *err)
{
    struct trimming trimming = { .now_ns = lido__age_ns(pool->config.clock),
                                 .coming = coming };
    int rc = LIDO_OK, failed = LIDO_OK;

    if (pool->config.kind->binds)
        rc = close_idle(pool, INT64_MAX, is_beyond_keep, &trimming, LIDO__CLOSE_SURPLUS,
                        err);
    if (pool->config.idle_timeout_ms < 0)
        return rc;
    failed = close_idle(pool, INT64_MAX, is_idle_for_long, &trimming, LIDO__CLOSE_IDLE,
                        rc == LIDO_OK ? err : NULL);
    rc = rc != LIDO_OK ? rc : failed;
    failed = lido__writer_trim(
        pool, trimming.now_ns - lido__ms_to_ns(pool->config.idle_timeout_ms),
        rc == LIDO_OK ? err : NULL);
    return rc != LIDO_OK ? rc : failed;
}

static bool is_surplus(const lido_pool *pool, const struct lido_record *record,
                       const void *ctx)
{
    (void)record, (void)ctx;
    return (int64_t)lido__read(&pool->live) > pool->keep &&
           lido__slots_count_idle(pool) > pool->keep;
}

void lido__pool_shed(lido_pool *pool)
{
    close_idle(pool, INT64_MAX, is_surplus, NULL, LIDO__CLOSE_SURPLUS, NULL);
}

static int check(const lido_pool *pool, struct lido_error *err)
{
    if (pool == NULL)
        return lido_fail(err, SQLITE_MISUSE, "no pool was given");
    return lido__is_forked() ? lido__fail_forked(err) : LIDO_OK;
}

int lido_pool_tidy(lido_pool *pool, struct lido_error *err)
{
    int rc = check(pool, err);

    return rc != LIDO_OK ? rc : lido__pool_trim(pool, 0, err);
}

static void disown_all(lido_pool *pool)
{
    lido__mutex_lock(&pool->lock);
    for (struct lido_record *at = lido__slots_first(pool); at != NULL; at = at->next) {
        enum lido__slot_state state = lido__slot_state(lido__read(&at->own.word));

        if (state == LIDO__VACANT || !lido__record_is(at, LIDO__MEMBER))
            continue;
        if (state == LIDO__IDLE) /* who is faster than the sweep opens another */
            lido__record_expire_at(at, INT64_MIN);
        else
            lido__slot_disown_locked(pool, at, LIDO__DISOWNED);
    }
    lido__mutex_unlock(&pool->lock);
}

int lido_pool_dispose(lido_pool *pool, struct lido_error *err)
{
    int rc = check(pool, err), failed;

    if (rc != LIDO_OK)
        return rc;
    if (lido__pool_is_closed(pool))
        return lido_fail(err, LIDO_CLOSED, "the pool is closed");
    if (!pool->config.kind->disposes_only_idle)
        disown_all(pool);
    /* Not more than there are now: others may open new ones all the time. */
    rc =
        close_idle(pool, lido__slots_count_idle(pool), is_any, NULL, LIDO__CLOSE_POOL, err);
    failed = lido__writer_close(pool, rc == LIDO_OK ? err : NULL);
    rc = rc != LIDO_OK ? rc : failed;
    lido__log(pool, LIDO_LOG_INFO, "pool disposed of: %s", pool->how.database);
    return rc;
}

int lido__pool_anchor(lido_pool *pool, struct lido_error *err)
{
    const struct lido__driver *driver = &pool->config.driver;
    /* All that lido__busy_wait() looks at. */
    struct lido_record waiting = { .pool = pool };
    struct lido_connect how = pool->how;
    int rc;

    if (!pool->config.needs_anchor)
        return LIDO_OK;
    how.busy_ctx = &waiting;
    rc = driver->table->connect(driver->ctx, &how, NULL, &pool->anchor, err);
    if (rc == LIDO_OK && driver->table->set_busy_wait != NULL)
        driver->table->set_busy_wait(driver->ctx, pool->anchor, NULL, NULL);
    return rc;
}

int lido__pool_fill(lido_pool *pool, struct lido_error *err)
{
    const int64_t count = pool->config.min_idle;
    struct lido_checkout_options options = LIDO_CHECKOUT_OPTIONS_INIT;
    struct lido_conn *conns;
    int64_t opened = 0;
    int rc = LIDO_OK, later;

    if (count == 0)
        return LIDO_OK;
    options.unique = 1; /* use_threadlocal would give this thread one connection */
    conns = lido__new((size_t)count * sizeof *conns);
    if (conns == NULL)
        return lido_fail(err, SQLITE_NOMEM, "out of memory for %lld connections",
                         (long long)count);
    while (opened < count && rc == LIDO_OK) {
        rc = lido_pool_checkout(pool, &conns[opened], &options, err);
        opened += rc == LIDO_OK;
    }
    while (opened > 0) {
        later = lido_conn_checkin(&conns[--opened], NULL, rc == LIDO_OK ? err : NULL);
        rc = rc != LIDO_OK ? rc : later;
    }
    lido__free(conns);
    return rc;
}
