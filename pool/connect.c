/* SPDX-License-Identifier: MIT */
/*
 * The driver's side of a record: opening and closing its connection, with the hooks around.
 *
 * first_connect runs once per pool: who opens the first connection runs it, who opens
 * another meanwhile waits, because connect hooks may rely on what it did.  Who comes while it
 * runs waits before claiming a slot (pool/slots.c); here waits who has one already.  If it
 * fails the next one runs it again.  A connection that its own first_connect hook opens (a
 * checkout inside the hook) does not wait for itself.
 *
 * A connection that a connect hook refused is closed here, with its close hooks: SQLAlchemy
 * leaves it to the garbage collector.
 *
 * Threads: the record is the caller's (LENT or RETURNING).  No lock is held on entry, and
 * none while the driver or a hook runs.
 */
#include "pool/pool.h"

int lido__record_fire(lido_pool *pool, struct lido_record *record, enum lido__event event,
                      const struct lido_conn *conn, int *begin_mode, struct lido_error *err)
{
    bool is_sqlite = (pool->config.driver.table->capabilities & LIDO_DRIVER_IS_SQLITE) != 0;
    struct lido_event what = {
        .size = sizeof what,
        .pool = pool,
        .record = record,
        .conn = conn,
        .handle = record->handle,
        .sqlite = is_sqlite ? record->handle : NULL,
        .begin_mode = begin_mode,
    };

    if (!lido__hooks_want(&pool->hooks, event))
        return LIDO_OK;
    return lido__hooks_fire(&pool->hooks, event, &what, err);
}

/* Waits for another thread's first_connect.  True if this thread is to run it. */
static int claim_first(lido_pool *pool, int64_t deadline_ns, bool *is_mine,
                       struct lido_error *err)
{
    int rc = LIDO_OK;

    *is_mine = false;
    lido__mutex_lock(&pool->lock);
    while (rc == LIDO_OK && lido__first_is_others_locked(pool))
        if (!lido__bell_wait_locked(&pool->first_ran, &pool->lock, pool->config.clock,
                                    deadline_ns))
            rc = LIDO_POOL_TIMEOUT;
    if (rc == LIDO_OK &&
        (pool->first == LIDO__FIRST_TO_COME || pool->first == LIDO__FIRST_CLAIMED)) {
        /* With no hook there is nothing that others would have to wait for. */
        *is_mine = lido__hooks_want(&pool->hooks, LIDO__FIRST_CONNECT);
        pool->first = *is_mine ? LIDO__FIRST_RUNNING : LIDO__FIRST_DONE;
        pool->first_runner = lido__thread();
        if (!*is_mine)
            lido__bell_ring_locked(&pool->first_ran);
    }
    pool->counts.timeouts += rc != LIDO_OK;
    lido__mutex_unlock(&pool->lock);
    if (rc != LIDO_OK)
        lido_fail(err, rc, "the first_connect hook of another thread did not end in time");
    return rc;
}

static int run_first_connect(lido_pool *pool, struct lido_record *record,
                             int64_t deadline_ns, struct lido_error *err)
{
    bool is_mine;
    int rc = claim_first(pool, deadline_ns, &is_mine, err);

    if (rc != LIDO_OK || !is_mine)
        return rc;
    rc = lido__record_fire(pool, record, LIDO__FIRST_CONNECT, NULL, NULL, err);
    lido__mutex_lock(&pool->lock);
    pool->first = rc == LIDO_OK ? LIDO__FIRST_DONE : LIDO__FIRST_TO_COME;
    lido__bell_ring_locked(&pool->first_ran);
    lido__mutex_unlock(&pool->lock);
    return rc;
}

/* The connection of the one who was to run first_connect did not open. */
static void unclaim_first(lido_pool *pool)
{
    lido__mutex_lock(&pool->lock);
    if (pool->first == LIDO__FIRST_CLAIMED && pool->first_runner == lido__thread()) {
        pool->first = LIDO__FIRST_TO_COME;
        lido__bell_ring_locked(&pool->first_ran);
    }
    lido__mutex_unlock(&pool->lock);
}

static int open_handle(lido_pool *pool, struct lido_record *record, struct lido_error *err)
{
    const struct lido__driver *driver = &pool->config.driver;
    void *handle = NULL;
    int rc;

    lido__assert_unlocked();
    rc = driver->table->connect(driver->ctx, &pool->how, record, &handle, err);
    if (rc == LIDO_OK && handle == NULL)
        rc = lido_fail(err, SQLITE_MISUSE, "the driver %s connected without a handle",
                       driver->table->name);
    if (rc != LIDO_OK)
        return rc;
    record->handle = handle;
    if (driver->table->set_busy_wait != NULL)
        driver->table->set_busy_wait(driver->ctx, handle, pool->config.busy_wait, record);
    return LIDO_OK;
}

static void count(lido_pool *pool, uint64_t *counter)
{
    lido__mutex_lock(&pool->lock);
    ++*counter;
    lido__mutex_unlock(&pool->lock);
}

int lido__record_connect(lido_pool *pool, struct lido_record *record, int64_t deadline_ns,
                         struct lido_error *err)
{
    int rc = open_handle(pool, record, err);

    if (rc == LIDO_OK) {
        count(pool, &pool->counts.connects);
        rc = run_first_connect(pool, record, deadline_ns, err);
        if (rc == LIDO_OK)
            rc = lido__record_fire(pool, record, LIDO__CONNECT, NULL, NULL, err);
        if (rc != LIDO_OK)
            lido__record_disconnect(pool, record, LIDO__CLOSE_HOOK, NULL);
    }
    if (rc != LIDO_OK) {
        unclaim_first(pool);
        count(pool, &pool->counts.connect_failures);
        return rc;
    }
    lido__log(pool, LIDO_LOG_INFO, "connection opened: %s", pool->how.database);
    return LIDO_OK;
}

static void count_close(lido_pool *pool, enum lido__close_reason reason, bool has_failed)
{
    struct lido_pool_stats *counts = &pool->counts;

    lido__mutex_lock(&pool->lock);
    counts->closes++;
    counts->closed_surplus += reason == LIDO__CLOSE_SURPLUS;
    counts->closed_unclean += reason == LIDO__CLOSE_UNCLEAN;
    counts->closed_by_hook += reason == LIDO__CLOSE_HOOK;
    counts->close_failures += has_failed;
    lido__mutex_unlock(&pool->lock);
}

int lido__record_disconnect(lido_pool *pool, struct lido_record *record,
                            enum lido__close_reason reason, struct lido_error *err)
{
    static const char *const why[] = {
        [LIDO__CLOSE_POOL] = "the pool is closed",
        [LIDO__CLOSE_SURPLUS] = "enough are idle",
        [LIDO__CLOSE_UNCLEAN] = "it could not be cleaned",
        [LIDO__CLOSE_HOOK] = "a hook refused it",
    };
    const struct lido__driver *driver = &pool->config.driver;
    bool is_suspect = reason == LIDO__CLOSE_UNCLEAN || reason == LIDO__CLOSE_HOOK;
    struct lido_error failure = LIDO_ERROR_INIT;
    int rc, close_rc;

    if (record->handle == NULL)
        return LIDO_OK;
    rc = lido__record_fire(pool, record, LIDO__CLOSE, NULL, NULL, err);
    lido__assert_unlocked();
    close_rc = driver->table->close(driver->ctx, record->handle, is_suspect, &failure);
    record->handle = NULL;
    count_close(pool, reason, close_rc != LIDO_OK);
    if (close_rc != LIDO_OK)
        lido__log(pool, LIDO_LOG_ERROR, "closing a connection answered %s: %s",
                  lido_status_name(close_rc), failure.text);
    lido__log(pool, LIDO_LOG_INFO, "connection closed: %s", why[reason]);
    return rc;
}
