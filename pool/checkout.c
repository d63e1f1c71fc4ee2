/* SPDX-License-Identifier: MIT */
/*
 * Checkout: a slot is claimed, its connection opened if it has none or is too old, pinged if
 * the pool asks for it, and the checkout hooks asked.
 *
 * A checkout hook that answers LIDO_DISCONNECT, or a ping that fails, gets another connection
 * in the same slot and all hooks run again, two times in all; after the second the checkout
 * fails.  As in SQLAlchemy the third connection is opened before it gives up.  A checkout
 * that fails gives the slot back, and so to whoever waits.
 *
 * Threads: any.  The slot is the caller's from the claim on.
 */
#include "pool/pool.h"
#include "pool/writer.h"
#include <lido/gate.h>

#include <stddef.h>

#define CHECKOUT_TRIES 2

/* The lease has never been, for who counts. */
static void uncount(struct lido__cell *cell)
{
    lido__write(&cell->checkouts, lido__read(&cell->checkouts) - 1);
}

/* The claim is undone.  A slot that never had a connection under this claim goes back as mere
   capacity, and no checkin hook runs. */
static void give_up(lido_pool *pool, struct lido__cell *cell, uint64_t generation)
{
    struct lido_record *record = lido__cell_record(cell);

    if (!lido__cell_try(cell, lido__slot_word(generation, LIDO__LENT), LIDO__RETURNING))
        return; /* a hook checked it in by itself; the slot may be another's by now */
    uncount(cell);
    if (cell != &record->own && !lido__share_leave_alone(pool, cell))
        return;
    if (record->is_new)
        lido__slot_vacate(pool, record);
    else
        lido__record_give_back(pool, record, NULL);
}

static int ping(lido_pool *pool, struct lido_record *record, bool was_fresh,
                struct lido_error *err)
{
    const struct lido__driver *driver = &pool->config.driver;
    struct lido_error why = LIDO_ERROR_INIT;
    int rc;

    if (!pool->config.pre_ping || was_fresh || driver->table->ping == NULL)
        return LIDO_OK;
    lido__assert_unlocked();
    rc = driver->table->ping(driver->ctx, record->handle, &why);
    if (rc == LIDO_OK)
        return LIDO_OK;
    lido_fail(err, LIDO_INVALIDATE_POOL, "a ping answered %s: %s", lido_status_name(rc),
              why.text);
    return LIDO_INVALIDATE_POOL;
}

static bool asks_for_another(int rc)
{
    int code = rc & ~LIDO_FATAL;

    return code == LIDO_DISCONNECT || code == LIDO_INVALIDATE_POOL;
}

/* One round: LIDO_OK, or what the ping or a hook said. */
static int ask_once(lido_pool *pool, struct lido__cell *cell, uint64_t generation,
                    struct lido_error *err)
{
    struct lido_record *record = lido__cell_record(cell);
    struct lido_conn conn = { cell, generation };
    struct lido_event special = { .conn = &conn };
    bool was_fresh = record->is_fresh;
    int rc;

    record->is_fresh = false;
    rc = ping(pool, record, was_fresh, err);
    if (rc == LIDO_OK)
        rc = lido__record_fire(pool, record, LIDO__CHECKOUT, &special, err);
    return rc;
}

static int fail_refused(struct lido_error *err)
{
    return lido_fail(err, LIDO_DISCONNECT,
                     "the checkout hooks or the ping refused %d connections one after the "
                     "other",
                     CHECKOUT_TRIES);
}

/* The caller hears of it: only now, for what a hook said of a connection that was replaced is
   not his. */
static int tell(int rc, const struct lido_error *why, struct lido_error *err)
{
    if (err != NULL)
        *err = *why;
    return rc;
}

/* What the hook answered, if that is for the caller of the checkout. */
static int fail_ended(int rc, const char *hook, const struct lido_error *why,
                      struct lido_error *err)
{
    return rc != LIDO_OK && !asks_for_another(rc)
               ? tell(rc, why, err)
               : lido_fail(err, LIDO_STALE, "%s hook ended the lease", hook);
}

static int ask_hooks(lido_pool *pool, struct lido__cell *cell, uint64_t generation,
                     struct lido__patience patience, struct lido_error *err)
{
    struct lido_record *record = lido__cell_record(cell);
    struct lido_error why = LIDO_ERROR_INIT;
    int rc, fatal;

    for (int i = 0; i < CHECKOUT_TRIES; i++) {
        rc = ask_once(pool, cell, generation, &why);
        if (!lido__lease_is_good(cell, generation))
            return fail_ended(rc, "a checkout", &why, err);
        if (rc == LIDO_OK && record->handle == NULL)
            return lido_fail(err, LIDO_NO_CONNECTION,
                             "a checkout hook closed the connection");
        if (rc == LIDO_OK)
            return LIDO_OK;
        if ((rc & ~LIDO_FATAL) == LIDO_INVALIDATE_POOL)
            lido__pool_stamp(pool, record);
        fatal = lido__record_invalidate(pool, record, LIDO__CLOSE_HOOK, &why, err);
        if (!lido__lease_is_good(cell, generation))
            return fail_ended(rc, "an invalidate or close", &why, err);
        if (!asks_for_another(rc))
            return tell(rc, &why, err);
        if (fatal != LIDO_OK)
            return fatal;
        rc = lido__record_connect(pool, record, patience, err);
        if (rc != LIDO_OK)
            return rc;
    }
    fatal = lido__record_invalidate(pool, record, LIDO__CLOSE_HOOK, &why, err);
    return fatal != LIDO_OK ? fatal : fail_refused(err);
}

static struct lido__patience patience_of(const struct lido__claim *claim)
{
    return (struct lido__patience){ claim->deadline_ns, claim->cancel };
}

/* What a checkout does beyond the claim when it has to do anything. */
static int prepare(lido_pool *pool, struct lido__cell *cell, uint64_t generation,
                   struct lido__patience patience, struct lido_error *err)
{
    struct lido_record *record = lido__cell_record(cell);
    int rc = lido__record_connect(pool, record, patience, err);

    if (rc == LIDO_OK && cell != &record->own)
        lido__share_set_stage(pool, record, LIDO__STAGE_ASKING);
    if (rc == LIDO_OK)
        rc = ask_hooks(pool, cell, generation, patience, err);
    if (rc != LIDO_OK) {
        give_up(pool, cell, generation);
        return rc;
    }
    if (cell != &record->own)
        lido__share_set_stage(pool, record, LIDO__STAGE_READY);
    lido__log(pool, LIDO_LOG_DEBUG, "connection checked out: lease %llu",
              (unsigned long long)generation);
    return LIDO_OK;
}

static bool needs_preparing(const lido_pool *pool, const struct lido_record *record,
                            int64_t now_ns)
{
    return record->handle == NULL || lido__record_is_outdated(pool, record, now_ns) ||
           pool->asks_always || lido__hooks_want(&pool->hooks, LIDO__CHECKOUT);
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
    if (options->priority < LIDO_GATE_LOW || options->priority > LIDO_GATE_HIGH)
        return lido_fail(err, LIDO_BAD_OPTION, "priority is %d: %d to %d",
                         options->priority, LIDO_GATE_LOW, LIDO_GATE_HIGH);
    if (lido__cancel_is_fired(options->cancel))
        return lido_fail(err, LIDO_CANCELLED, "the token was fired before the checkout");
    return LIDO_OK;
}

/* A hook calls a connection dead that others have: they keep it until the last of them ends. */
static void leave_to_others(lido_pool *pool, struct lido_record *record, int code,
                            const struct lido_error *why)
{
    struct lido_event special = { .reason = why };
    struct lido_error story = LIDO_ERROR_INIT;
    int rc;

    if ((code & ~LIDO_FATAL) == LIDO_INVALIDATE_POOL)
        lido__pool_stamp(pool, record);
    rc = lido__record_fire(pool, record, LIDO__INVALIDATE, &special, &story);
    if (rc != LIDO_OK)
        lido__log(pool, LIDO_LOG_ERROR, "an invalidate hook answered %s: %s",
                  lido_status_name(rc), story.text);
    lido__share_disown(pool, record);
}

/* A lease that joins others on a record that is in use: a nested one is done, one that shares
   with other threads asks the hooks for itself. */
static int join(lido_pool *pool, struct lido__cell *cell, uint64_t generation,
                bool is_nested, struct lido_error *err)
{
    struct lido_record *record = lido__cell_record(cell);
    struct lido_conn conn = { cell, generation };
    struct lido_event special = { .conn = &conn };
    struct lido_error why = LIDO_ERROR_INIT;
    int rc;

    if (is_nested)
        return LIDO_OK;
    rc = lido__record_fire(pool, record, LIDO__CHECKOUT, &special, &why);
    if (!lido__lease_is_good(cell, generation))
        return fail_ended(rc, "a checkout", &why, err);
    if (rc == LIDO_OK)
        return LIDO_OK;
    if (asks_for_another(rc))
        leave_to_others(pool, record, rc, &why);
    else
        tell(rc, &why, err);
    if (!lido__cell_try(cell, lido__slot_word(generation, LIDO__LENT), LIDO__RETURNING))
        return rc;
    uncount(cell);
    if (!pool->config.shared_transaction) /* else the others may have begun it */
        lido__lease_end_txn(pool, cell, NULL);
    if (lido__share_leave(pool, cell))
        lido__record_return(pool, record, false, false, NULL);
    return rc;
}

/* From now on the lease has the token. */
static void obey(struct lido__cell *cell, lido_cancel *cancel)
{
    cell->cancel = cancel;
    cell->has_cancel = cancel != NULL;
}

/* What a checkout that got its slot answers. */
static int finish(struct lido__cell *cell, const struct lido__claim *claim, int rc,
                  struct lido_error *err)
{
    bool has_given_up = (rc & 0xff) == SQLITE_BUSY || (rc & 0xff) == SQLITE_INTERRUPT;

    /* Where threads share it that would wait for what others run. */
    if (rc == LIDO_OK && claim->cancel != NULL &&
        lido__cell_record(cell)->pool->sharing != LIDO__SHARE_ALL)
        lido__record_watch(lido__cell_record(cell));
    return has_given_up && lido__cancel_is_fired(claim->cancel)
               ? lido_fail(err, LIDO_CANCELLED, "cancelled while a connection was opened")
               : rc;
}

static int share_once(lido_pool *pool, struct lido__claim *claim, struct lido_conn *out,
                      const char *file, int line, const char *label, struct lido_error *err)
{
    bool shares_all = pool->sharing == LIDO__SHARE_ALL;
    struct lido__cell *cell;
    uint64_t generation;
    int rc = lido__share_checkout(pool, claim, &cell, &generation, err);

    if (rc != LIDO_OK)
        return rc;
    lido__lease_tell(cell, file, line, label);
    cell->priority = claim->priority;
    obey(cell, claim->cancel);
    lido__bump(&cell->checkouts);
    rc = claim->is_joined
             ? join(pool, cell, generation, !shares_all && !claim->is_unique, err)
             : prepare(pool, cell, generation, patience_of(claim), err);
    rc = finish(cell, claim, rc, err);
    if (rc == LIDO_OK)
        *out = (struct lido_conn){ cell, generation };
    return rc;
}

/* The road on which leases share a record.  Who is told that the one it joined is dead gets
   another. */
static int checkout_shared(lido_pool *pool, struct lido__claim *claim,
                           struct lido_conn *out, const char *file, int line,
                           const char *label, struct lido_error *err)
{
    int rc;

    claim->deadline_ns = lido__deadline_ns(pool->config.clock, claim->timeout_ms);
    for (int i = 0; i < CHECKOUT_TRIES; i++) {
        rc = share_once(pool, claim, out, file, line, label, err);
        if (!claim->is_joined || !asks_for_another(rc))
            return rc;
    }
    return fail_refused(err);
}

/* The slot is claimed, and no lease shares it. */
static int lend(lido_pool *pool, struct lido__claim *claim, struct lido_conn *out,
                const char *file, int line, const char *label, struct lido_error *err)
{
    struct lido__cell *cell = &claim->record->own;
    int64_t now_ns = lido__lease_tell(cell, file, line, label);
    uint64_t generation = lido__slot_generation(lido__read(&cell->word));
    int rc;

    cell->priority = claim->priority;
    if (claim->cancel != NULL)
        obey(cell, claim->cancel);
    lido__bump(&cell->checkouts); /* before the hooks, one of which may check it in */
    if (needs_preparing(pool, claim->record, now_ns)) {
        if (claim->deadline_ns == 0)
            claim->deadline_ns = lido__deadline_ns(pool->config.clock, claim->timeout_ms);
        rc = prepare(pool, cell, generation, patience_of(claim), err);
        if (rc != LIDO_OK)
            return finish(cell, claim, rc, err);
    }
    if (claim->cancel != NULL)
        finish(cell, claim, LIDO_OK, err);
    out->cell = cell; /* one by one: a copied struct costs a stalled load, 8 ns in all */
    out->generation = generation;
    return LIDO_OK;
}

int lido__writer_checkout(lido_pool *pool, struct lido_conn *out,
                          const struct lido_checkout_options *options,
                          struct lido_error *err)
{
    struct lido__claim claim = { .timeout_ms = options->timeout_ms,
                                 .cancel = options->cancel,
                                 .priority = (signed char)options->priority };
    int rc = lido__writer_claim(pool, &claim.record, err);

    *out = (struct lido_conn)LIDO_CONN_INIT;
    if (rc != LIDO_OK || claim.record == NULL)
        return rc;
    return lend(pool, &claim, out, __FILE__, __LINE__, options->label, err);
}

int lido_pool_checkout_at(lido_pool *pool, struct lido_conn *out,
                          const struct lido_checkout_options *options, const char *file,
                          int line, struct lido_error *err)
{
    struct lido__claim claim = { .record = NULL };
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
    claim.timeout_ms = options != NULL && options->timeout_ms != LIDO_TIMEOUT_POOL
                           ? options->timeout_ms
                           : pool->config.pool_timeout_ms;
    claim.is_unique = options != NULL && options->unique != 0;
    claim.cancel = options != NULL ? options->cancel : NULL;
    claim.priority = (signed char)(options != NULL ? options->priority : LIDO_GATE_NORMAL);
    if (pool->sharing != LIDO__SHARE_NONE)
        return checkout_shared(pool, &claim, out, file, line,
                               options != NULL ? options->label : NULL, err);

    claim.record = lido__slot_claim_quick(pool);
    if (claim.record == NULL) {
        claim.deadline_ns = lido__deadline_ns(pool->config.clock, claim.timeout_ms);
        rc = lido__slot_claim(pool, &claim, err);
        if (rc != LIDO_OK)
            return rc;
    }
    return lend(pool, &claim, out, file, line, options != NULL ? options->label : NULL,
                err);
}
