/* SPDX-License-Identifier: MIT */
/*
 * Who gets which slot.
 *
 * As long as `gate` is 0 a checkout claims an idle slot by one compare-and-swap, first the
 * one that this thread had last, and a check-in gives it back by one swap.  Everything else
 * (growing, waiting, closing, taking a snapshot) happens under the pool's lock, and while
 * any of it is under way `gate` is not 0 and sends everybody there.  A pool with an exact
 * order, with shared records or with clocks to read at check-in has a gate that is never 0.
 *
 * Why no wake-up is lost.  Who gives back writes the slot's word and then reads the gate;
 * who waits adds itself to the gate and then reads the slots' words
 * (lido__slots_serve_locked, right after it is listed).  Both do it by operations in one
 * total order, so at least one of the two sees the other: the waiter finds the slot, or the
 * giver finds the waiter and goes by the lock.  Closing is the same with "closed" in the
 * place of "waits".  Capacity that comes free (a connection that failed to open, or was
 * closed) is a slot that comes free.
 *
 * A giver may read the gate after its pool was freed by the thread that swept the slot it
 * had just given back.  Pools are type-stable (pool/slab.h): it then sees the gate of
 * another pool or of none, and at worst serves that pool's waiters, which is right at any
 * time.
 *
 * Threads: any.  No hook, driver or allocation is called under the lock.
 */
#include "pool/slots.h"
#include "pool/holders.h"

static _Thread_local struct {
    uint64_t pool_id;
    struct lido_record *record;
} hint
#if defined(__ELF__)
    __attribute__((tls_model("initial-exec")))
#endif
    ;

static void remember(const lido_pool *pool, struct lido_record *record)
{
    hint.pool_id = pool->id;
    hint.record = record;
}

static bool claim_if_idle(struct lido_record *record, enum lido__slot_state next)
{
    uint64_t word = lido__load(&record->own.word); /* in the total order: see above */

    return lido__slot_state(word) == LIDO__IDLE && lido__cell_try(&record->own, word, next);
}

static struct lido_record *claim_idle(lido_pool *pool, enum lido__slot_state next)
{
    for (struct lido_record *at = lido__slots_first(pool); at != NULL; at = at->next)
        if (claim_if_idle(at, next))
            return at;
    return NULL;
}

struct lido_record *lido__slot_claim_quick(lido_pool *pool)
{
    struct lido_record *record;

    if (lido__read(&pool->gate) != 0)
        return NULL;
    if (hint.pool_id == pool->id && claim_if_idle(hint.record, LIDO__LENT)) {
        record = hint.record;
    } else {
        record = claim_idle(pool, LIDO__LENT);
        if (record == NULL)
            return NULL;
        remember(pool, record);
    }
    /* A pool that was closed meanwhile has not swept this one: the checkout came before. */
    return record;
}

/* In the pool's order; with `any` the first there is, which others may take meanwhile. */
struct lido_record *lido__slot_claim_idle_locked(lido_pool *pool)
{
    const enum lido__order order = pool->config.order;
    const bool is_bound = pool->config.kind->binds;
    struct lido_record *best = NULL;

    if (order == LIDO__ORDER_ANY && !is_bound)
        return claim_idle(pool, LIDO__LENT);
    for (struct lido_record *at = lido__slots_first(pool); at != NULL; at = at->next)
        if (lido__slot_is_idle(at) && (!is_bound || at->thread == lido__thread()) &&
            (best == NULL || (order == LIDO__ORDER_FIFO ? at->returned < best->returned
                                                        : at->returned > best->returned)))
            best = at;
    return best != NULL && claim_if_idle(best, LIDO__LENT) ? best : NULL;
}

/* A vacant slot, LENT, of that standing.  The caller counts it. */
struct lido_record *lido__slot_take_vacant_locked(lido_pool *pool,
                                                  enum lido__standing standing)
{
    struct lido_record *at = lido__slots_first(pool);

    while (at != NULL && lido__slot_state(lido__read(&at->own.word)) != LIDO__VACANT)
        at = at->next;
    if (at == NULL)
        return NULL;
    lido__cell_move(&at->own, LIDO__LENT);
    lido__write(&at->standing, standing);
    at->is_new = true;
    at->is_pinned = at->is_unique = false;
    at->leases = 0;
    at->thread = 0;
    at->txn_holder = NULL;
    lido__write(&at->runner, 0);
    /* Where leases share it no lease writes these of its own cell, by which raw SQL goes:
       those of another life, with a token that is gone, would stop it. */
    at->own.has_cancel = at->own.has_limit = at->own.has_timed_out = false;
    at->own.has_deadline = at->own.comes_again = at->own.has_progress = false;
    return at;
}

struct lido_record *lido__slot_claim_vacant_locked(lido_pool *pool)
{
    uint64_t live = lido__read(&pool->live);
    struct lido_record *record = NULL;

    if ((int64_t)live < pool->limit)
        record = lido__slot_take_vacant_locked(pool, LIDO__MEMBER);
    if (record != NULL)
        lido__write(&pool->live, live + 1);
    return record;
}

/* What is free now, or NULL; *is_full says whether more slots would not help either. */
static struct lido_record *claim_locked(lido_pool *pool, bool *is_full)
    LIDO_TSA(requires_capability(pool->lock))
{
    struct lido_record *record;

    *is_full = true;
    if (lido__waiter_next_locked(pool) != NULL)
        return NULL; /* they were first; one whose time is up stands in nobody's way */
    record = lido__slot_claim_idle_locked(pool);
    if (record == NULL)
        record = lido__slot_claim_vacant_locked(pool);
    *is_full = (int64_t)lido__read(&pool->live) >= pool->limit;
    return record;
}

static int fail_closed(struct lido_error *err)
{
    return lido_fail(err, LIDO_CLOSED, "the pool is closed");
}

static int fail_timeout(lido_pool *pool, int64_t timeout_ms, struct lido_error *err)
{
    char holders[200];

    if (err == NULL)
        return pool->config.kind->asserts ? LIDO_CHECKED_OUT : LIDO_POOL_TIMEOUT;
    lido__holders_describe(pool, holders, sizeof holders);
    if (pool->config.kind->asserts)
        return lido_fail(err, LIDO_CHECKED_OUT, "the connection is checked out already%s",
                         holders);
    if (timeout_ms == 0)
        return lido_fail(err, LIDO_POOL_TIMEOUT, "none of %lld connections was free%s",
                         (long long)pool->limit, holders);
    return lido_fail(err, LIDO_POOL_TIMEOUT, "waited %lld ms for one of %lld connections%s",
                     (long long)timeout_ms, (long long)pool->limit, holders);
}

static int fail_cancelled(lido_pool *pool, struct lido_error *err)
{
    char holders[200];

    if (err == NULL)
        return LIDO_CANCELLED;
    lido__holders_describe(pool, holders, sizeof holders);
    return lido_fail(err, LIDO_CANCELLED,
                     "cancelled while it waited for one of %lld "
                     "connections%s",
                     (long long)pool->limit, holders);
}

static int fail_deadlock(const char *ring, struct lido_error *err)
{
    return lido_fail(err, LIDO_DEADLOCK, "the wait for a connection could not end; %s",
                     ring);
}

static void count_wait_locked(lido_pool *pool, uint64_t waited_ns)
    LIDO_TSA(requires_capability(pool->lock))
{
    pool->counts.waits++;
    pool->counts.wait_ns += waited_ns;
    if (waited_ns > pool->counts.max_wait_ns)
        pool->counts.max_wait_ns = waited_ns;
}

/* Stands in line.  Comes with the lock held and leaves without it. */
static int wait_in_line(lido_pool *pool, struct lido__claim *claim, struct lido_error *err)
    LIDO_TSA(release_capability(pool->lock))
{
    const struct lido_clock *clock = pool->config.clock;
    struct lido__waiter self = { .thread = lido__thread(),
                                 .deadline_ns = claim->deadline_ns,
                                 .since_ns = lido__wait_ns(clock) };
    char ring[LIDO__RING_TEXT];
    struct lido__line_wait wait = {
        .blocked = { .ask = lido__holders_ask, .wants = "a connection", .text = ring },
        .pool = pool,
        .waiter = &self
    };
    struct lido__waiter *woken = NULL, **end = &woken;
    bool is_stuck, is_late, is_served;
    int64_t waited_ns;

    lido__parker_init(&self.parker);
    if (claim->sleeper != NULL)
        claim->sleeper->waiter = &self;
    lido__waiters_append(&pool->waiters, &self);
    lido__add(&pool->gate, LIDO__GATE_WAITER);
    lido__slots_serve_locked(pool, &end);
    lido__pool_unlock(pool);
    lido__waiters_wake(woken);

    is_stuck = lido__ring_enter(&wait.blocked);
    is_late = is_stuck || !lido__park(&self.parker, clock, self.deadline_ns);
    if (!is_stuck)
        lido__ring_leave(&wait.blocked);
    waited_ns = lido__wait_ns(clock) - self.since_ns;

    lido__mutex_lock(&pool->lock);
    is_served = !self.is_listed;
    if (claim->sleeper != NULL)
        claim->sleeper->waiter = NULL;
    if (!is_served) {
        lido__waiters_remove(&pool->waiters, &self);
        lido__add(&pool->gate, -LIDO__GATE_WAITER);
        pool->counts.timeouts += !is_stuck;
        pool->counts.deadlocks += is_stuck;
    }
    if (is_served || !is_stuck)
        count_wait_locked(pool, (uint64_t)waited_ns);
    lido__pool_unlock(pool);
    if (is_served && is_late) /* given in the last moment: the wake-up is on its way */
        lido__park(&self.parker, NULL, LIDO_NO_DEADLINE);
    lido__parker_fini(&self.parker);
    claim->record = self.record;
    if (!is_served)
        return is_stuck ? fail_deadlock(ring, err)
                        : fail_timeout(pool, claim->timeout_ms, err);
    if (self.is_cancelled)
        return fail_cancelled(pool, err);
    return self.record != NULL ? LIDO_OK : fail_closed(err);
}

/* The waiting of those that stand in no line.  False if the time is up. */
static bool wait_for_bell_locked(lido_pool *pool, struct lido__bell *bell,
                                 struct lido__claim *claim)
    LIDO_TSA(requires_capability(pool->lock))
{
    const struct lido_clock *clock = pool->config.clock;
    bool is_in_time;

    if (!claim->has_waited)
        claim->since_ns = lido__wait_ns(clock);
    claim->has_waited = true;
    pool->counts.waiting++;
    is_in_time = lido__bell_wait_locked(bell, &pool->lock, clock, claim->deadline_ns);
    pool->counts.waiting--;
    return is_in_time;
}

/* Waits while another thread runs first_connect, until the deadline or the closing.  Not with
   a slot in hand: the hook may itself need the last one. */
static void wait_for_first_locked(lido_pool *pool, bool *is_in_time,
                                  struct lido__claim *claim)
    LIDO_TSA(requires_capability(pool->lock))
{
    while (*is_in_time && lido__first_is_others_locked(pool) &&
           !lido__cancel_is_fired(claim->cancel) &&
           (lido__read(&pool->gate) & LIDO__GATE_CLOSED) == 0)
        *is_in_time = wait_for_bell_locked(pool, &pool->first_ran, claim);
}

/* One look: an answer in claim->record, or an error, or neither.  *must_wait: a record that
   could be shared is not ready.  *is_full: more slots would not help. */
static int look_locked(lido_pool *pool, struct lido__claim *claim, bool *must_wait,
                       bool *is_full, struct lido_error *err)
    LIDO_TSA(requires_capability(pool->lock))
{
    int rc = LIDO_OK;

    *must_wait = false;
    *is_full = true;
    if (lido__pool_is_closed(pool))
        return fail_closed(err);
    if (pool->sharing != LIDO__SHARE_NONE)
        rc = lido__share_join_locked(pool, claim, must_wait, err);
    if (rc != LIDO_OK || claim->record != NULL || *must_wait)
        return rc;
    claim->record = claim_locked(pool, is_full);
    if (claim->record != NULL)
        lido__first_claim_locked(pool, claim->record, lido__thread());
    *must_wait = *is_full && claim->record == NULL && pool->sharing == LIDO__SHARE_ALL;
    return LIDO_OK;
}

static int claim_slot(lido_pool *pool, struct lido__claim *claim, struct lido_error *err)
    LIDO_TSA(locks_excluded(pool->lock))
{
    bool must_wait, is_full, is_cancelled, is_in_time = true;
    int rc = LIDO_OK;

    claim->record = NULL;
    claim->is_joined = claim->has_waited = false;
    lido__mutex_lock(&pool->lock);
    for (;;) {
        wait_for_first_locked(pool, &is_in_time, claim);
        is_cancelled = lido__cancel_is_fired(claim->cancel);
        if (is_cancelled)
            break;
        rc = look_locked(pool, claim, &must_wait, &is_full, err);
        if (rc != LIDO_OK || claim->record != NULL || (must_wait && !is_in_time))
            break;
        if (must_wait) {
            is_in_time =
                claim->timeout_ms != 0 && wait_for_bell_locked(pool, &pool->shared, claim);
        } else if (is_full) {
            break;
        } else {
            lido__pool_unlock(pool);
            if (!lido__slots_grow(pool))
                return lido_fail(err, SQLITE_NOMEM,
                                 "out of memory for one more connection");
            lido__mutex_lock(&pool->lock);
        }
    }
    if (claim->has_waited)
        count_wait_locked(pool,
                          (uint64_t)(lido__wait_ns(pool->config.clock) - claim->since_ns));
    if (is_cancelled) {
        lido__pool_unlock(pool);
        return fail_cancelled(pool, err);
    }
    if (rc == LIDO_OK && claim->record == NULL && !must_wait && claim->timeout_ms != 0 &&
        pool->config.kind->waits)
        return wait_in_line(pool, claim, err);
    pool->counts.timeouts += rc == LIDO_OK && claim->record == NULL;
    lido__pool_unlock(pool);
    if (rc == LIDO_OK && claim->record == NULL)
        return fail_timeout(pool, pool->config.kind->waits ? claim->timeout_ms : 0, err);
    if (rc == LIDO_OK)
        remember(pool, claim->record);
    return rc;
}

int lido__slot_claim(lido_pool *pool, struct lido__claim *claim, struct lido_error *err)
{
    struct lido__pool_sleeper sleeper;
    int rc;

    claim->sleeper = claim->cancel != NULL ? &sleeper : NULL;
    lido__cancel_listen(claim->cancel, &sleeper, pool);
    rc = claim_slot(pool, claim, err);
    lido__cancel_unlisten(claim->cancel, &sleeper);
    return rc;
}

int lido__slot_claim_beside(lido_pool *pool, enum lido__standing standing,
                            struct lido_record **out, struct lido_error *err)
{
    assert(standing != LIDO__MEMBER && standing != LIDO__DISOWNED);
    lido__mutex_lock(&pool->lock);
    while (!lido__pool_is_closed(pool) &&
           (*out = lido__slot_take_vacant_locked(pool, standing)) == NULL) {
        lido__pool_unlock(pool);
        if (!lido__slots_grow(pool))
            return lido_fail(err, SQLITE_NOMEM, "out of memory for one more connection");
        lido__mutex_lock(&pool->lock);
    }
    if (lido__pool_is_closed(pool)) {
        lido__pool_unlock(pool);
        return fail_closed(err);
    }
    pool->detached++;
    lido__pool_unlock(pool);
    return LIDO_OK;
}

struct lido_record *lido__slot_claim_idle(lido_pool *pool, lido__chooser is_chosen,
                                          const void *ctx, bool in_order)
{
    struct lido_record *best;
    bool is_newest;

    lido__mutex_lock(&pool->lock);
    is_newest = in_order && pool->config.order == LIDO__ORDER_LIFO;
    do { /* again if a quick checkout was faster */
        best = NULL;
        for (struct lido_record *at = lido__slots_first(pool); at != NULL; at = at->next)
            if (lido__slot_is_idle(at) && is_chosen(pool, at, ctx) &&
                (best == NULL || (is_newest ? at->returned > best->returned
                                            : at->returned < best->returned)))
                best = at;
    } while (best != NULL && !claim_if_idle(best, LIDO__RETURNING));
    lido__pool_unlock(pool);
    return best;
}
