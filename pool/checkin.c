/* SPDX-License-Identifier: MIT */
/*
 * Check-in: the lease ends, the connection is cleaned, and goes to a waiter, back into the
 * pool, or away.
 *
 * Who wins the swap from LENT to RETURNING cleans, so a lease that is checked in twice, also
 * at the same moment by two threads, is cleaned once.  The driver tells whether the
 * connection is clean by asking SQLite; one that is not is closed, and the check-in succeeds
 * all the same: it is not the caller's fault any more.
 *
 *     reset hooks, the driver's reset, finalizers, checkin hooks, back
 *
 * Threads: the one that checked it out.  The pool may be gone when this returns.
 */
#include "pool/pool.h"

static bool is_outside(const struct lido_record *record)
{
    return lido__record_is(record, LIDO__DETACHED) ||
           lido__record_is(record, LIDO__ADOPTED);
}

/* The statements of a lease that ends, or of all, go back to the cache. */
static void end_statements(const lido_pool *pool, struct lido_record *record,
                           const struct lido__cell *owner)
{
    const unsigned capabilities = pool->config.driver.table->capabilities;
    sqlite3_mutex *mutex = NULL;

    if (record->handle == NULL || (capabilities & LIDO_DRIVER_IS_SQLITE) == 0)
        return;
    if (pool->sharing == LIDO__SHARE_ALL)
        mutex = sqlite3_db_mutex(record->handle);
    sqlite3_mutex_enter(mutex);
    /* Looked at with the mutex: another lease may be the first to prepare one. */
    if (record->statements != NULL && lido__statements_in_use(record->statements) > 0)
        lido__statements_give_all(record->statements, owner);
    sqlite3_mutex_leave(mutex);
}

/* Kept, whatever state it is in: the host's own, and the only home of a memory database, which
   closing would delete.  Null keeps nothing anyway. */
static bool is_precious(const lido_pool *pool, const struct lido_record *record)
{
    return lido__record_is(record, LIDO__ADOPTED) ||
           (pool->config.is_memory && pool->keep > 0 &&
            lido__record_is(record, LIDO__MEMBER));
}

/* What stays in a connection that is kept all the same is told, whatever it is. */
static int fail_kept(const lido_pool *pool, const struct lido_record *record, int rc,
                     struct lido_error *why)
{
    if (rc == LIDO_OK || (rc & LIDO_FATAL) != 0 || !is_precious(pool, record) ||
        lido__record_is(record, LIDO__ADOPTED))
        return rc;
    if (why != NULL)
        why->code = LIDO_UNCLEAN;
    return LIDO_UNCLEAN;
}

/* What becomes of a transaction that is open.  What was to stop is rolled back, whatever the
   pool does with others. */
static int reset_mode(const lido_pool *pool, const struct lido__cell *cell)
{
    return cell->is_stopped ? LIDO_RESET_ROLLBACK : pool->config.reset_on_return;
}

/* Makes the connection clean, or says why it is not. */
static int clean(lido_pool *pool, struct lido_record *record, struct lido_reset *found,
                 struct lido_error *why)
{
    const struct lido__driver *driver = &pool->config.driver;
    int how = reset_mode(pool, &record->own), rc = LIDO_OK;

    record->own.is_stopped = record->has_lock_until = false;
    end_statements(pool, record, NULL);
    if (pool->config.keep_temp || lido__record_is(record, LIDO__ADOPTED))
        how |= LIDO_RESET_KEEP_TEMP;
    found->session = &record->session;
    if (record->session
            .is_watched) /* the host's own may be there, and is to stop nothing */
        lido__record_watch(record);
    /* Before, for cleaning may write; and after, if a running statement was in the way. */
    lido__record_restore(record, NULL);
    lido__record_restore_isolation(record, NULL);
    if (driver->table->reset != NULL)
        rc = driver->table->reset(driver->ctx, record->handle, how, found, why);
    lido__record_leave_gate(record); /* also if it could not be rolled back */
    if (rc == LIDO_OK)
        rc = lido__record_restore(record, why);
    if (rc == LIDO_OK)
        rc = lido__record_restore_isolation(record, why);
    if (rc == LIDO_OK && lido__session_is_marked(&record->session))
        rc = lido__session_settle(pool, record, why);
    rc = fail_kept(pool, record, rc, why);
    record->is_pinned = pool->config.is_memory || found->keeps_temp != 0;
    if (rc == LIDO_OK && driver->table->set_busy_wait != NULL)
        driver->table->set_busy_wait(driver->ctx, record->handle, pool->config.busy_wait,
                                     record);
    return rc;
}

static void count_found(lido_pool *pool, const struct lido_reset *found)
{
    if (!found->was_in_txn && found->statements_reset == 0 && found->temp_dropped == 0)
        return;
    lido__mutex_lock(&pool->lock);
    pool->counts.rolled_back += found->was_in_txn != 0;
    pool->counts.statements_reset += found->statements_reset;
    pool->counts.temp_cleared += found->temp_dropped;
    lido__mutex_unlock(&pool->lock);
}

static int ask_reset_hooks(lido_pool *pool, struct lido_record *record,
                           bool transaction_was_reset, struct lido_error *why)
{
    struct lido_event special = {
        .transaction_was_reset = transaction_was_reset,
        .terminate_only = lido__record_is(record, LIDO__DETACHED),
    };

    return lido__record_fire(pool, record, LIDO__RESET, &special, why);
}

/* The reset hooks and the driver's reset, and what became of it.  What a hook refused is
   cleaned all the same if it will not be closed for it. */
static int reset(lido_pool *pool, struct lido_record *record, bool transaction_was_reset,
                 bool has_asked, struct lido_error *why)
{
    struct lido_reset found = { .size = sizeof found };
    int rc = LIDO_OK, failed;

    if (!has_asked && lido__hooks_want(&pool->hooks, LIDO__RESET))
        rc = ask_reset_hooks(pool, record, transaction_was_reset, why);
    if (record->handle == NULL || (rc != LIDO_OK && !is_precious(pool, record)))
        return rc;
    failed = clean(pool, record, &found, rc == LIDO_OK ? why : NULL);
    count_found(pool, &found);
    return rc != LIDO_OK ? rc : failed;
}

/* A connection that did not come clean is closed.  Only what is fatal reaches the caller, and
   that one is kept with what its lease has changed. */
static int give_unclean_up(lido_pool *pool, struct lido_record *record, int unclean,
                           const struct lido_error *why, struct lido_error *err)
{
    bool is_fatal = (unclean & LIDO_FATAL) != 0;
    int rc = LIDO_OK;

    lido__log(pool, LIDO_LOG_WARN, "a connection came back that could not be cleaned: %s",
              why->text[0] != '\0' ? why->text : lido_status_name(unclean));
    if (!is_precious(pool, record))
        rc = lido__record_invalidate(pool, record, LIDO__CLOSE_UNCLEAN, why,
                                     is_fatal ? NULL : err);
    else if (unclean == LIDO_UNCLEAN)
        is_fatal = true; /* the next lease will find what this one left */
    if (is_fatal && err != NULL)
        *err = *why;
    return is_fatal ? unclean : rc;
}

/* The host's own handle: lido leaves no trace on it. */
static void let_go(lido_pool *pool, struct lido_record *record)
{
    const struct lido__driver *driver = &pool->config.driver;

    lido__statements_drop(record->statements);
    if (record->handle != NULL && driver->table->set_busy_wait != NULL)
        driver->table->set_busy_wait(driver->ctx, record->handle, NULL, NULL);
    lido__session_end(&record->session);
    lido__record_leave_gate(record);
    lido__record_drop_gate(record);
    record->handle = NULL;
}

/* True if other connections may have to be closed when one comes back. */
static bool needs_trimming(const lido_pool *pool)
{
    return pool->config.kind->binds || pool->config.idle_timeout_ms >= 0;
}

/* The end of one that is not the pool's. */
static int give_outside(lido_pool *pool, struct lido_record *record, struct lido_error *err)
{
    struct lido_error story = LIDO_ERROR_INIT;
    int rc = LIDO_OK;

    if (lido__record_is(record, LIDO__ADOPTED))
        let_go(pool, record);
    rc = lido__record_disconnect(pool, record, LIDO__CLOSE_TAKEN, false, &story);
    if (rc != LIDO_OK && (rc & LIDO_FATAL) == 0) {
        lido__log(pool, LIDO_LOG_ERROR, "a close_detached hook answered %s: %s",
                  lido_status_name(rc), story.text);
        rc = LIDO_OK;
    }
    if (rc != LIDO_OK && err != NULL)
        *err = story;
    lido__slot_vacate(pool, record);
    return rc;
}

static enum lido__close_reason reason_to_close(const lido_pool *pool,
                                               const struct lido_record *record)
{
    if (lido__pool_is_closed(pool))
        return LIDO__CLOSE_POOL;
    if (!lido__record_is(record, LIDO__DISOWNED))
        return LIDO__CLOSE_SURPLUS;
    return lido__record_is_outdated(pool, record, lido__age_ns(pool->config.clock))
               ? LIDO__CLOSE_OLD
               : LIDO__CLOSE_POOL;
}

int lido__record_give_back(lido_pool *pool, struct lido_record *record,
                           struct lido_error *err)
{
    const bool must_trim = needs_trimming(pool);
    enum lido__close_reason reason;
    int rc, trim_rc = LIDO_OK, close_rc = LIDO_OK;

    if (is_outside(record))
        return give_outside(pool, record, err);
    rc = lido__record_fire(pool, record, LIDO__CHECKIN, NULL, err);
    record->session.is_muted = false;
    lido__log(pool, LIDO_LOG_DEBUG, "connection checked in");
    if (must_trim)
        trim_rc = lido__pool_trim(pool, record->handle != NULL, rc == LIDO_OK ? err : NULL);
    rc = rc != LIDO_OK ? rc : trim_rc;
    if (!lido__slot_release(pool, record, false)) {
        reason = reason_to_close(pool, record);
        close_rc = lido__record_disconnect(pool, record, reason, false,
                                           rc == LIDO_OK ? err : NULL);
        lido__slot_vacate(pool, record);
    }
    return rc != LIDO_OK ? rc : close_rc;
}

/* What comes after the reset. */
static int finish(lido_pool *pool, struct lido_record *record, int unclean,
                  const struct lido_error *why, struct lido_error *err)
{
    int rc = LIDO_OK, later;

    if (unclean != LIDO_OK)
        rc = give_unclean_up(pool, record, unclean, why, err);
    later = lido__finalizers_run(record, rc == LIDO_OK ? err : NULL);
    if (later != LIDO_OK && !is_precious(pool, record))
        lido__record_invalidate(pool, record, LIDO__CLOSE_UNCLEAN, err, NULL);
    rc = rc != LIDO_OK ? rc : later;
    later = lido__record_give_back(pool, record, rc == LIDO_OK ? err : NULL);
    return rc != LIDO_OK ? rc : later;
}

int lido__record_return(lido_pool *pool, struct lido_record *record,
                        bool transaction_was_reset, bool has_asked_reset,
                        struct lido_error *err)
{
    struct lido_error why;
    int unclean = LIDO_OK;

    why.text[0] = '\0';
    record->session.is_muted = true; /* what hooks and finalizers do now, they undo */
    if (record->handle != NULL)
        unclean = reset(pool, record, transaction_was_reset, has_asked_reset, &why);
    return finish(pool, record, unclean, &why, err);
}

/* True if there is nothing to do but to clean the connection and to give it back. */
static bool is_plain(const lido_pool *pool, const struct lido_record *record)
{
    const uint64_t events = UINT64_C(1) << LIDO__RESET | UINT64_C(1) << LIDO__CHECKIN;

    return (lido__hooks_wanted(&pool->hooks) & events) == 0 && record->handle != NULL &&
           record->finalizers == NULL && !pool->asks_always;
}

/* The same for a plain one: two atomic operations, if nothing stands against it. */
static int return_plain(lido_pool *pool, struct lido_record *record, struct lido_error *err)
{
    struct lido_reset found = { .size = sizeof found };
    struct lido_error why;
    int unclean;

    why.text[0] = '\0';
    unclean = clean(pool, record, &found, &why);
    count_found(pool, &found);
    if (unclean == LIDO_OK && lido__slot_release_quick(pool, record))
        return LIDO_OK;
    return finish(pool, record, unclean, &why, err);
}

int lido__lease_end_txn(lido_pool *pool, struct lido__cell *cell, struct lido_error *why)
{
    const struct lido__driver *driver = &pool->config.driver;
    struct lido_record *record = lido__cell_record(cell);
    struct lido_reset found = { .size = sizeof found };
    int rc;

    if (record->handle == NULL || driver->table->reset == NULL ||
        !lido__share_txn_is_mine(cell))
        return LIDO_OK;
    rc = driver->table->reset(driver->ctx, record->handle,
                              reset_mode(pool, cell) | LIDO_RESET_TXN_ONLY, &found, why);
    lido__record_leave_gate(record);
    count_found(pool, &found);
    return rc == LIDO_OK ? lido__record_restore(record, why) : rc;
}

/* Of leases that share a connection among threads each ends its own transaction, whatever the
   reset hooks say: the connection cannot be closed under the others.  What is fatal. */
static int end_own_transaction(lido_pool *pool, struct lido__cell *cell,
                               bool transaction_was_reset, struct lido_error *err)
{
    struct lido_record *record = lido__cell_record(cell);
    struct lido_error why = LIDO_ERROR_INIT;
    int rc = ask_reset_hooks(pool, record, transaction_was_reset, &why);
    int failed = lido__lease_end_txn(pool, cell, rc == LIDO_OK ? &why : NULL);

    rc = rc != LIDO_OK ? rc : failed;
    if (rc == LIDO_OK)
        return LIDO_OK;
    lido__log(pool, LIDO_LOG_WARN, "a lease of a shared connection did not come clean: %s",
              why.text[0] != '\0' ? why.text : lido_status_name(rc));
    if (!is_precious(pool, record))
        lido__record_expire_at(record, INT64_MIN);
    if ((rc & LIDO_FATAL) == 0)
        return LIDO_OK;
    if (err != NULL)
        *err = why;
    return rc;
}

static int leave_shared(lido_pool *pool, struct lido__cell *cell,
                        bool transaction_was_reset, struct lido_error *err)
{
    struct lido_record *record = lido__cell_record(cell);
    const bool is_stopped = cell->is_stopped;
    bool has_asked = false;
    int rc = LIDO_OK, later;

    end_statements(pool, record, cell);
    if (cell->has_isolation) /* what fails is left to the last lease */
        lido__record_restore_isolation(record, NULL);
    if (pool->sharing == LIDO__SHARE_ALL) {
        if (lido__share_leave_if_last(pool, cell)) {
            record->own.is_stopped = is_stopped;
            return lido__record_return(pool, record, transaction_was_reset, false, err);
        }
        has_asked = record->handle != NULL;
        if (has_asked)
            rc = end_own_transaction(pool, cell, transaction_was_reset, err);
    }
    if (!lido__share_leave(pool, cell))
        return rc;
    record->own.is_stopped = is_stopped;
    later = lido__record_return(pool, record, transaction_was_reset, has_asked,
                                rc == LIDO_OK ? err : NULL);
    return rc != LIDO_OK ? rc : later;
}

int lido__lease_return(struct lido__cell *cell, bool transaction_was_reset,
                       struct lido_error *err)
{
    struct lido_record *record = lido__cell_record(cell);
    lido_pool *pool = record->pool;

    /* A release: who sees this one counted also sees its checkout counted. */
    lido__publish(&cell->checkins, lido__read(&cell->checkins) + 1);
    cell->is_stopped = pool->config.reset_on_return != LIDO_RESET_ROLLBACK &&
                       lido__lease_may_stop(cell) && lido__lease_was_stopped(cell);
    if (cell != &record->own)
        return leave_shared(pool, cell, transaction_was_reset, err);
    if (is_plain(pool, record))
        return return_plain(pool, record, err);
    return lido__record_return(pool, record, transaction_was_reset, false, err);
}

int lido_conn_checkin(struct lido_conn *conn, const struct lido_checkin_options *options,
                      struct lido_error *err)
{
    bool transaction_was_reset = options != NULL && options->transaction_was_reset != 0;
    struct lido__cell *cell;
    int rc;

    if (options != NULL && options->size != sizeof *options)
        return lido_fail(err, SQLITE_MISUSE,
                         "check-in options of %zu bytes, not %zu: start from "
                         "LIDO_CHECKIN_OPTIONS_INIT",
                         options->size, sizeof *options);
    rc = lido__lease_use_to_end(conn, &cell, err);
    if (rc != LIDO_OK)
        return rc;
    if (!lido__cell_try(cell, lido__slot_word(conn->generation, LIDO__LENT),
                        LIDO__RETURNING))
        return lido_fail(err, LIDO_STALE, "the lease has ended");
    *conn = (struct lido_conn)LIDO_CONN_INIT;
    return lido__lease_return(cell, transaction_was_reset, err);
}
