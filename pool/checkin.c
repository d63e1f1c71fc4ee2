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
 * Threads: the one that checked it out.  The pool may be gone when this returns.
 */
#include "pool/pool.h"

/* Makes the connection clean, or says why it is not. */
static int clean(lido_pool *pool, struct lido_record *record, struct lido_reset *found,
                 struct lido_error *why)
{
    const struct lido__driver *driver = &pool->config.driver;
    int rc = LIDO_OK;

    if (driver->table->reset != NULL)
        rc = driver->table->reset(driver->ctx, record->handle, LIDO_RESET_ROLLBACK, found,
                                  why);
    if (rc == LIDO_OK && driver->table->set_busy_wait != NULL)
        driver->table->set_busy_wait(driver->ctx, record->handle, pool->config.busy_wait,
                                     record);
    return rc;
}

static void count_found(lido_pool *pool, const struct lido_reset *found)
{
    if (!found->was_in_txn && found->statements_reset == 0)
        return;
    lido__mutex_lock(&pool->lock);
    pool->counts.rolled_back += found->was_in_txn != 0;
    pool->counts.statements_reset += found->statements_reset;
    lido__mutex_unlock(&pool->lock);
}

/* All that a check-in may have to do after the cleaning. */
static int finish(lido_pool *pool, struct lido_record *record, int unclean,
                  const struct lido_error *why, struct lido_error *err)
{
    bool is_closed;
    int rc = LIDO_OK, hook_rc;

    if (unclean != LIDO_OK) {
        lido__log(pool, LIDO_LOG_WARN,
                  "a connection came back that could not be cleaned: %s",
                  why->text[0] != '\0' ? why->text : lido_status_name(unclean));
        rc = lido__record_disconnect(pool, record, LIDO__CLOSE_UNCLEAN, err);
    }
    hook_rc = lido__record_fire(pool, record, LIDO__CHECKIN, NULL, NULL,
                                rc == LIDO_OK ? err : NULL);
    rc = rc != LIDO_OK ? rc : hook_rc;
    lido__log(pool, LIDO_LOG_DEBUG, "connection checked in");
    if (lido__slot_release(pool, record, false))
        return rc;
    is_closed = (lido__read(&pool->gate) & LIDO__GATE_CLOSED) != 0;
    hook_rc = lido__record_disconnect(pool, record,
                                      is_closed ? LIDO__CLOSE_POOL : LIDO__CLOSE_SURPLUS,
                                      rc == LIDO_OK ? err : NULL);
    lido__slot_release(pool, record, true);
    return rc != LIDO_OK ? rc : hook_rc;
}

int lido_conn_checkin(struct lido_conn *conn, const struct lido_checkin_options *options,
                      struct lido_error *err)
{
    struct lido_reset found = { .size = sizeof found };
    struct lido_error why;
    struct lido_record *record;
    lido_pool *pool;
    int rc;

    if (options != NULL)
        return lido_fail(err, SQLITE_MISUSE, "check-in takes no options yet: pass NULL");
    rc = lido__lease_use(conn, &record, err);
    if (rc != LIDO_OK)
        return rc;
    if (!lido__slot_try(record, lido__slot_word(conn->generation, LIDO__LENT),
                        LIDO__RETURNING))
        return lido_fail(err, LIDO_STALE, "the lease has ended");
    *conn = (struct lido_conn)LIDO_CONN_INIT;
    /* A release: who sees this one counted also sees its checkout counted. */
    lido__publish(&record->checkins, lido__read(&record->checkins) + 1);
    pool = record->pool;
    why.text[0] = '\0';
    rc = clean(pool, record, &found, &why);
    count_found(pool, &found);
    if (rc == LIDO_OK && !lido__hooks_want(&pool->hooks, LIDO__CHECKIN) &&
        !lido__logs(pool, LIDO_LOG_DEBUG) && lido__slot_release_quick(pool, record))
        return LIDO_OK;
    return finish(pool, record, rc, &why, err);
}
