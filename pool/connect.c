/* SPDX-License-Identifier: MIT */
/*
 * The driver's side of a record: opening, replacing and closing its connection, with the
 * hooks around.
 *
 * A connection is replaced when it is older than `pool_recycle`, strictly; when it was marked
 * by a soft invalidation, which is the same as being too old from now on; or when the pool was
 * invalidated after its opening began.  The last is decided by counting connects and
 * invalidations, not by time: two things that happen within one tick of a clock have an
 * order all the same.
 *
 * A connection that a connect hook refused is closed here, with its close hooks: SQLAlchemy
 * leaves it to the garbage collector.  The only home of a memory database is never too old.
 *
 * Threads: the record is the caller's (LENT or RETURNING).  No lock is held on entry, and
 * none while the driver or a hook runs.
 */
#include "pool/pool.h"

int lido__record_fire(lido_pool *pool, struct lido_record *record, enum lido__event event,
                      const struct lido_event *special, struct lido_error *err)
{
    bool is_sqlite = (pool->config.driver.table->capabilities & LIDO_DRIVER_IS_SQLITE) != 0;
    enum lido__standing standing = (enum lido__standing)lido__read(&record->standing);
    struct lido_event what = { .size = sizeof what };

    if (!lido__hooks_want(&pool->hooks, event))
        return LIDO_OK;
    if (special != NULL)
        what = *special;
    what.size = sizeof what;
    what.pool = pool;
    what.record = standing == LIDO__DETACHED || standing == LIDO__ADOPTED ? NULL : record;
    what.handle = record->handle;
    what.sqlite = is_sqlite ? record->handle : NULL;
    return lido__hooks_fire(&pool->hooks, event, &what, err);
}

bool lido__record_is_in_txn(const struct lido_record *record)
{
    const struct lido__driver *driver = &record->pool->config.driver;

    if (record->handle == NULL)
        return false;
    return (driver->table->capabilities & LIDO_DRIVER_IS_SQLITE) != 0
               ? !sqlite3_get_autocommit(record->handle)
               : driver->table->txn_state(driver->ctx, record->handle) != LIDO_TXN_NONE;
}

/* By chance, so that connections opened together are not replaced together. */
static int64_t jitter_ns(const lido_pool *pool, uint64_t stamp)
{
    uint64_t mixed = (stamp + pool->id) * UINT64_C(0x9e3779b97f4a7c15);
    int64_t most_ns = lido__ms_to_ns(pool->config.recycle_jitter_ms);

    return most_ns == 0 ? 0 : (int64_t)((mixed ^ mixed >> 32) % (uint64_t)most_ns);
}

static int64_t expiry_ns(const lido_pool *pool, int64_t started_ns, uint64_t stamp)
{
    const struct lido__pool_config *config = &pool->config;
    int64_t span_ns;

    if (config->recycle_ms < 0 || config->is_memory)
        return INT64_MAX;
    span_ns = lido__ms_to_ns(config->recycle_ms) + jitter_ns(pool, stamp);
    return started_ns > INT64_MAX - span_ns ? INT64_MAX : started_ns + span_ns;
}

uint64_t lido__record_stamp(lido_pool *pool, struct lido_record *record)
{
    uint64_t stamp;

    lido__mutex_lock(&pool->lock);
    stamp = ++pool->stamps;
    lido__mutex_unlock(&pool->lock);
    lido__write(&record->stamp, stamp);
    return stamp;
}

static void begin_connecting(lido_pool *pool, struct lido_record *record)
{
    uint64_t stamp;

    lido__info_drop(&record->info);
    record->started_ns = lido__age_ns(pool->config.clock);
    stamp = lido__record_stamp(pool, record);
    lido__record_expire_at(record, expiry_ns(pool, record->started_ns, stamp));
    record->is_fresh = true;
}

static int open_handle(lido_pool *pool, struct lido_record *record, struct lido_error *err)
{
    const struct lido__driver *driver = &pool->config.driver;
    struct lido_connect how = pool->how;
    void *handle = NULL;
    int rc;

    how.busy_ctx = record;
    if (pool->config.session_guard && pool->keep > 0) /* else nothing is lent twice */
        how.session = &record->session;
    lido__assert_unlocked();
    rc = driver->table->connect(driver->ctx, &how, record, &handle, err);
    if (rc == LIDO_OK && handle == NULL)
        rc = lido_fail(err, SQLITE_MISUSE, "the driver %s connected without a handle",
                       driver->table->name);
    if (rc != LIDO_OK) {
        lido__session_end(&record->session);
        return rc;
    }
    if (pool->config.gates != NULL) {
        record->handle = handle;
        rc = pool->config.gates->find(record, err);
    }
    if (rc != LIDO_OK) {
        record->handle = NULL;
        driver->table->close(driver->ctx, handle, 0, NULL);
        lido__session_end(&record->session);
        return rc;
    }
    record->handle = handle;
    lido__write(&record->is_restricted, 0);
    lido__write(&record->isolation_was, 0);
    if (driver->table->set_busy_wait != NULL)
        driver->table->set_busy_wait(driver->ctx, handle, pool->config.busy_wait, record);
    lido__record_watch(record);
    return LIDO_OK;
}

/* A hook may have ended the lease, and the record be another's: then it is not to be closed. */
static int fail_if_left(const struct lido_record *record, uint64_t word,
                        struct lido_error *err)
{
    return lido__observe(&record->own.word) == word
               ? LIDO_OK
               : lido_fail(err, LIDO_STALE, "a hook ended the lease");
}

static int fail_if_closed(const struct lido_record *record, const char *hook,
                          struct lido_error *err)
{
    return record->handle != NULL ? LIDO_OK
                                  : lido_fail(err, LIDO_NO_CONNECTION,
                                              "a %s hook closed the connection", hook);
}

/* The first_connect and connect hooks. */
static int ask_about_new(lido_pool *pool, struct lido_record *record,
                         struct lido__patience patience, struct lido_error *err)
{
    int rc = lido__first_run(pool, record, patience, err);

    if (rc == LIDO_OK)
        rc = fail_if_closed(record, "first_connect", err);
    if (rc == LIDO_OK)
        rc = lido__record_fire(pool, record, LIDO__CONNECT, NULL, err);
    return rc != LIDO_OK ? rc : fail_if_closed(record, "connect", err);
}

/* What the connect hooks have set is what every lease is to find. */
static void begin_session(lido_pool *pool, struct lido_record *record)
{
    if (!lido__session_begin(record->handle, &record->session, pool->config.is_memory))
        lido__log(pool, LIDO_LOG_WARN,
                  "a connect hook set an authorizer: the pragmas of leases are not seen");
}

static int connect_anew(lido_pool *pool, struct lido_record *record,
                        struct lido__patience patience, struct lido_error *err)
{
    int rc;

    begin_connecting(pool, record);
    rc = open_handle(pool, record, err);
    if (rc == LIDO_OK) {
        lido__pool_count(pool, &pool->counts.connects);
        rc = ask_about_new(pool, record, patience, err);
        if (rc != LIDO_OK && record->is_new)
            lido__record_disconnect(pool, record, LIDO__CLOSE_HOOK, false, NULL);
        else if (rc != LIDO_OK)
            lido__record_invalidate(pool, record, LIDO__CLOSE_HOOK, err, NULL);
    }
    if (rc != LIDO_OK) {
        lido__first_unclaim(pool);
        lido__pool_count(pool, &pool->counts.connect_failures);
        return rc;
    }
    record->is_new = false;
    begin_session(pool, record);
    lido__log(pool, LIDO_LOG_INFO, "connection opened: %s", pool->how.database);
    return LIDO_OK;
}

/* False if another was replaced for its age so recently that this one has to wait. */
static bool may_replace_now(lido_pool *pool, const struct lido_record *record,
                            int64_t now_ns)
{
    const int64_t spacing_ns = lido__ms_to_ns(pool->config.recycle_spacing_ms);
    bool may = true;

    if (spacing_ns == 0 || lido__record_expires_ns(record) == INT64_MIN ||
        lido__read(&record->stamp) < lido__read(&pool->invalid_stamp))
        return true;
    lido__mutex_lock(&pool->lock);
    may = pool->replaced_ns == 0 || now_ns - pool->replaced_ns >= spacing_ns;
    if (may)
        pool->replaced_ns = now_ns;
    lido__mutex_unlock(&pool->lock);
    return may;
}

int lido__record_connect(lido_pool *pool, struct lido_record *record,
                         struct lido__patience patience, struct lido_error *err)
{
    int64_t now_ns;
    int rc;

    if (record->handle != NULL) {
        now_ns = lido__age_ns(pool->config.clock);
        if (!lido__record_is_outdated(pool, record, now_ns) ||
            !may_replace_now(pool, record, now_ns))
            return LIDO_OK;
        rc = lido__record_disconnect(pool, record, LIDO__CLOSE_OLD, true, err);
        if (rc != LIDO_OK) {
            lido__record_invalidate(pool, record, LIDO__CLOSE_HOOK, err, NULL);
            return rc;
        }
    }
    return connect_anew(pool, record, patience, err);
}

static void count_close(lido_pool *pool, enum lido__close_reason reason, bool has_failed)
{
    struct lido_pool_stats *counts = &pool->counts;

    lido__mutex_lock(&pool->lock);
    counts->closes++;
    counts->closed_surplus += reason == LIDO__CLOSE_SURPLUS;
    counts->closed_unclean += reason == LIDO__CLOSE_UNCLEAN;
    counts->closed_by_hook += reason == LIDO__CLOSE_HOOK;
    counts->closed_invalid += reason == LIDO__CLOSE_INVALID;
    counts->closed_old += reason == LIDO__CLOSE_OLD;
    counts->closed_idle += reason == LIDO__CLOSE_IDLE;
    counts->closed_detached += reason == LIDO__CLOSE_TAKEN;
    counts->close_failures += has_failed;
    lido__mutex_unlock(&pool->lock);
}

int lido__record_drop(lido_pool *pool, struct lido_record *record,
                      enum lido__close_reason reason, struct lido_error *err)
{
    static const char *const why[] = {
        [LIDO__CLOSE_POOL] = "the pool is closed or disposed of",
        [LIDO__CLOSE_SURPLUS] = "enough are idle",
        [LIDO__CLOSE_UNCLEAN] = "it could not be cleaned",
        [LIDO__CLOSE_HOOK] = "a hook refused it",
        [LIDO__CLOSE_INVALID] = "it was invalidated",
        [LIDO__CLOSE_OLD] = "it was too old, or marked",
        [LIDO__CLOSE_IDLE] = "it was idle for too long",
        [LIDO__CLOSE_TAKEN] = "it was detached",
    };
    const struct lido__driver *driver = &pool->config.driver;
    bool is_suspect = reason == LIDO__CLOSE_UNCLEAN || reason == LIDO__CLOSE_HOOK ||
                      reason == LIDO__CLOSE_INVALID || reason == LIDO__CLOSE_OLD;
    struct lido_error failure = LIDO_ERROR_INIT;
    int rc;

    if (record->handle == NULL)
        return LIDO_OK;
    lido__finalizers_drop(record);
    lido__statements_drop(record->statements);
    lido__assert_unlocked();
    rc = driver->table->close(driver->ctx, record->handle, is_suspect, &failure);
    lido__session_end(&record->session);
    lido__record_leave_gate(record);
    lido__record_drop_gate(record);
    record->handle = NULL;
    count_close(pool, reason, rc != LIDO_OK);
    if (rc != LIDO_OK)
        lido__log(pool, LIDO_LOG_ERROR, "closing a connection answered %s: %s",
                  lido_status_name(rc), failure.text);
    lido__log(pool, LIDO_LOG_INFO, "connection closed: %s", why[reason]);
    if ((rc & LIDO_FATAL) == 0)
        return LIDO_OK;
    if (err != NULL)
        *err = failure;
    return rc;
}

int lido__record_disconnect(lido_pool *pool, struct lido_record *record,
                            enum lido__close_reason reason, bool may_refuse,
                            struct lido_error *err)
{
    const uint64_t word = lido__read(&record->own.word);
    bool is_detached = lido__record_is(record, LIDO__DETACHED);
    int rc, left, drop_rc;

    if (record->handle == NULL)
        return LIDO_OK;
    rc = lido__record_fire(pool, record, is_detached ? LIDO__CLOSE_DETACHED : LIDO__CLOSE,
                           NULL, err);
    left = fail_if_left(record, word, rc == LIDO_OK ? err : NULL);
    if (rc != LIDO_OK && (may_refuse || left != LIDO_OK))
        return rc;
    if (left != LIDO_OK)
        return left;
    drop_rc = lido__record_drop(pool, record, reason, rc == LIDO_OK ? err : NULL);
    return rc != LIDO_OK ? rc : drop_rc;
}

int lido__record_ask_to_invalidate(lido_pool *pool, struct lido_record *record,
                                   const struct lido_error *why, struct lido_error *err)
{
    const uint64_t word = lido__read(&record->own.word);
    struct lido_event special = { .reason = why };
    bool is_detached = lido__record_is(record, LIDO__DETACHED);
    int rc;

    if (record->handle == NULL)
        return LIDO_OK;
    rc = lido__record_fire(pool, record, LIDO__INVALIDATE, &special, err);
    if (rc == LIDO_OK)
        rc = fail_if_left(record, word, err);
    if (rc == LIDO_OK && record->handle != NULL && !lido__record_is(record, LIDO__ADOPTED))
        rc = lido__record_fire(pool, record,
                               is_detached ? LIDO__CLOSE_DETACHED : LIDO__CLOSE, NULL, err);
    return rc != LIDO_OK ? rc : fail_if_left(record, word, err);
}

int lido__record_invalidate(lido_pool *pool, struct lido_record *record,
                            enum lido__close_reason reason, const struct lido_error *why,
                            struct lido_error *err)
{
    const uint64_t word = lido__read(&record->own.word);
    struct lido_event special = { .reason = why };
    struct lido_error story = LIDO_ERROR_INIT;
    int rc, drop_rc;

    if (record->handle == NULL)
        return LIDO_OK;
    rc = lido__record_fire(pool, record, LIDO__INVALIDATE, &special, &story);
    if (fail_if_left(record, word, NULL) != LIDO_OK)
        return LIDO_OK; /* and its check-in has done the rest */
    if (rc == LIDO_OK) {
        rc = lido__record_disconnect(pool, record, reason, false, &story);
    } else {
        drop_rc =
            lido__record_drop(pool, record, reason, (rc & LIDO_FATAL) == 0 ? &story : NULL);
        rc = (rc & LIDO_FATAL) == 0 && drop_rc != LIDO_OK ? drop_rc : rc;
    }
    if (rc == LIDO_OK)
        return LIDO_OK;
    lido__log(pool, LIDO_LOG_ERROR, "invalidating a connection, a hook answered %s: %s",
              lido_status_name(rc), story.text);
    if ((rc & LIDO_FATAL) == 0)
        return LIDO_OK;
    if (err != NULL)
        *err = story;
    return rc;
}

void lido__pool_stamp(lido_pool *pool, const struct lido_record *record)
{
    lido__mutex_lock(&pool->lock);
    if (record == NULL || lido__read(&pool->invalid_stamp) < lido__read(&record->stamp)) {
        lido__write(&pool->invalid_stamp, ++pool->stamps);
        pool->invalidated_ns = lido__age_ns(pool->config.clock);
    }
    lido__mutex_unlock(&pool->lock);
}
