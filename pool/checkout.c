/* SPDX-License-Identifier: MIT */
/*
 * Checkout: a slot is claimed, its connection opened if it has none, and the checkout hooks
 * asked.
 *
 * A checkout hook that answers LIDO_DISCONNECT gets another connection in the same slot and
 * all hooks run again, two times in all; after the second the checkout fails.  As in
 * SQLAlchemy the third connection is opened before it gives up.  A checkout that fails gives
 * the slot back, and so to whoever waits.
 *
 * Threads: any.  The slot is the caller's from the claim on.
 */
#include "pool/pool.h"

#include <stddef.h>

#define CHECKOUT_TRIES 2

/* The claim is undone.  `is_new`: the slot never had a connection under this claim, so it
   goes back as mere capacity, and no checkin hook runs. */
static void give_up(lido_pool *pool, struct lido_record *record,
                    const struct lido_conn *conn, bool is_new)
{
    if (!lido__slot_try(record, lido__slot_word(conn->generation, LIDO__LENT),
                        LIDO__RETURNING))
        return; /* a hook checked it in by itself; the slot may be another's by now */
    if (!is_new)
        lido__record_fire(pool, record, LIDO__CHECKIN, NULL, NULL, NULL);
    if (!lido__slot_release(pool, record, is_new)) {
        lido__record_disconnect(pool, record, LIDO__CLOSE_SURPLUS, NULL);
        lido__slot_release(pool, record, true);
    }
}

static int ask_hooks(lido_pool *pool, struct lido_record *record,
                     const struct lido_conn *conn, int64_t deadline_ns,
                     struct lido_error *err)
{
    int rc;

    for (int i = 0; i < CHECKOUT_TRIES; i++) {
        rc = lido__record_fire(pool, record, LIDO__CHECKOUT, conn, NULL, err);
        if (!lido__lease_is_good(record, conn->generation))
            return rc != LIDO_OK && rc != LIDO_DISCONNECT
                       ? rc
                       : lido_fail(err, LIDO_STALE, "a checkout hook ended the lease");
        if (rc == LIDO_OK)
            return LIDO_OK;
        lido__record_disconnect(pool, record, LIDO__CLOSE_HOOK, NULL);
        if (rc != LIDO_DISCONNECT)
            return rc;
        rc = lido__record_connect(pool, record, deadline_ns, err);
        if (rc != LIDO_OK)
            return rc;
    }
    lido__record_disconnect(pool, record, LIDO__CLOSE_HOOK, NULL);
    return lido_fail(err, LIDO_DISCONNECT,
                     "the checkout hooks refused %d connections one after the other",
                     CHECKOUT_TRIES);
}

/* What a checkout does beyond the claim when it has to do anything. */
static int prepare(lido_pool *pool, struct lido_record *record,
                   const struct lido_conn *conn, int64_t deadline_ns,
                   struct lido_error *err)
{
    bool is_new = record->handle == NULL;
    int rc = LIDO_OK;

    if (is_new)
        rc = lido__record_connect(pool, record, deadline_ns, err);
    if (rc != LIDO_OK) {
        give_up(pool, record, conn, is_new);
        return rc;
    }
    rc = ask_hooks(pool, record, conn, deadline_ns, err);
    if (rc != LIDO_OK) {
        give_up(pool, record, conn, false);
        return rc;
    }
    lido__log(pool, LIDO_LOG_DEBUG, "connection checked out: lease %llu",
              (unsigned long long)conn->generation);
    return LIDO_OK;
}

static bool needs_preparing(const lido_pool *pool, const struct lido_record *record)
{
    return record->handle == NULL || lido__hooks_want(&pool->hooks, LIDO__CHECKOUT) ||
           lido__logs(pool, LIDO_LOG_DEBUG);
}

static int check_options(const struct lido_checkout_options *options,
                         struct lido_error *err)
{
    if (options == NULL)
        return LIDO_OK;
    if (options->size != sizeof *options)
        return lido_fail(err, SQLITE_MISUSE,
                         "checkout options of %zu bytes, not %zu: start "
                         "from LIDO_CHECKOUT_OPTIONS_INIT",
                         options->size, sizeof *options);
    if (options->timeout_ms < -1 && options->timeout_ms != LIDO_TIMEOUT_POOL)
        return lido_fail(err, LIDO_BAD_OPTION, "timeout_ms is %lld, the least is -1",
                         (long long)options->timeout_ms);
    return LIDO_OK;
}

int lido_pool_checkout_at(lido_pool *pool, struct lido_conn *out,
                          const struct lido_checkout_options *options, const char *file,
                          int line, struct lido_error *err)
{
    int64_t timeout_ms, deadline_ns = 0;
    struct lido_record *record;
    uint64_t generation;
    bool has_waited;
    int rc;

    if (out == NULL)
        return lido_fail(err, SQLITE_MISUSE, "nowhere to put the lease");
    *out = (struct lido_conn)LIDO_CONN_INIT;
    if (pool == NULL)
        return lido_fail(err, SQLITE_MISUSE, "no pool was given");
    if (lido__is_forked())
        return lido__fail_forked(err);
    rc = check_options(options, err);
    if (rc != LIDO_OK)
        return rc;
    timeout_ms = options != NULL && options->timeout_ms != LIDO_TIMEOUT_POOL
                     ? options->timeout_ms
                     : pool->config.pool_timeout_ms;

    record = lido__slot_claim_quick(pool);
    has_waited = record == NULL;
    if (has_waited) {
        deadline_ns = lido__deadline_ns(pool->config.clock, timeout_ms);
        rc = lido__slot_claim(pool, &record, timeout_ms, deadline_ns, err);
        if (rc != LIDO_OK)
            return rc;
    }
    lido__lease_tell(record, file, line, options != NULL ? options->label : NULL);
    generation = lido__slot_generation(lido__read(&record->word));
    if (needs_preparing(pool, record)) {
        struct lido_conn conn = { record, generation };

        if (!has_waited)
            deadline_ns = lido__deadline_ns(pool->config.clock, timeout_ms);
        rc = prepare(pool, record, &conn, deadline_ns, err);
        if (rc != LIDO_OK)
            return rc;
    }
    lido__bump(&record->checkouts);
    out->cell = record; /* one by one: a copied struct costs a stalled load, 8 ns in all */
    out->generation = generation;
    return LIDO_OK;
}
