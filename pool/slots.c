/* SPDX-License-Identifier: MIT */
/*
 * Who gets which slot.
 *
 * As long as `gate` is 0 a checkout claims an idle slot by one compare-and-swap, first the
 * one that this thread had last, and a check-in gives it back by one swap.  Everything else
 * (growing, waiting, closing, taking a snapshot) happens under the pool's lock, and while
 * any of it is under way `gate` is not 0 and sends everybody there.
 *
 * Why no wake-up is lost.  Who gives back writes the slot's word and then reads the gate;
 * who waits adds itself to the gate and then reads the slots' words (serve_locked, right
 * after it is listed).  Both do it by operations in one total order, so at least one of the
 * two sees the other: the waiter finds the slot, or the giver finds the waiter and goes by
 * the lock.  Closing is the same with "closed" in the place of "waits".  Capacity that comes
 * free (a connection that failed to open, or was closed) is a slot that comes free.
 *
 * A giver may read the gate after its pool was freed by the thread that swept the slot it
 * had just given back.  Pools are type-stable (pool/slab.h): it then sees the gate of
 * another pool or of none, and at worst serves that pool's waiters, which is right at any
 * time.
 *
 * Threads: any.  No hook, driver or allocation is called under the lock.
 */
#include "pool/pool.h"

static _Thread_local struct {
    uint64_t pool_id;
    struct lido_record *record;
} hint
#if defined(__ELF__)
    __attribute__((tls_model("initial-exec")))
#endif
    ;

/* The only way out of the lock: what it guards adds up. */
static void unlock(lido_pool *pool) LIDO_TSA(release_capability(pool->lock))
{
    assert(lido__pool_is_sound_locked(pool));
    lido__mutex_unlock(&pool->lock);
}

static void remember(const lido_pool *pool, struct lido_record *record)
{
    hint.pool_id = pool->id;
    hint.record = record;
}

static bool claim_if_idle(struct lido_record *record, enum lido__slot_state next)
{
    uint64_t word = lido__load(&record->word); /* in the total order: see above */

    return lido__slot_state(word) == LIDO__IDLE && lido__slot_try(record, word, next);
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
    if ((lido__load(&pool->gate) & LIDO__GATE_CLOSED) == 0)
        return record;

    /* The pool was closed between the two looks and may have been swept already. */
    lido__slot_try(record, lido__read(&record->word), LIDO__RETURNING);
    lido__slot_end(record, LIDO__IDLE);
    lido__slots_sweep(pool, NULL);
    return NULL;
}

static struct lido_record *claim_vacant_locked(lido_pool *pool)
    LIDO_TSA(requires_capability(pool->lock))
{
    uint64_t live = lido__read(&pool->live);

    if ((int64_t)live >= pool->limit)
        return NULL;
    for (struct lido_record *at = lido__slots_first(pool); at != NULL; at = at->next) {
        uint64_t word = lido__read(&at->word);

        if (lido__slot_state(word) == LIDO__VACANT &&
            lido__slot_try(at, word, LIDO__LENT)) {
            lido__write(&pool->live, live + 1);
            return at;
        }
    }
    return NULL;
}

/* Gives a slot that is LENT to a waiter, who is put on the list of those to be woken. */
static void give_locked(lido_pool *pool, struct lido__waiter *waiter,
                        struct lido_record *record, struct lido__waiter ***woken)
    LIDO_TSA(requires_capability(pool->lock))
{
    lido__waiters_remove(&pool->waiters, waiter);
    lido__add(&pool->gate, -LIDO__GATE_WAITER);
    waiter->record = record;
    **woken = waiter;
    *woken = &waiter->next;
}

static struct lido__waiter *next_waiter_locked(const lido_pool *pool)
    LIDO_TSA(requires_capability(pool->lock))
{
    if (pool->waiters.oldest == NULL)
        return NULL;
    return lido__waiters_next(&pool->waiters, lido__wait_ns(pool->config.clock));
}

/* Gives what is free to those who wait, the oldest first. */
static void serve_locked(lido_pool *pool, struct lido__waiter ***woken)
    LIDO_TSA(requires_capability(pool->lock))
{
    struct lido__waiter *waiter;
    struct lido_record *record;

    while ((waiter = next_waiter_locked(pool)) != NULL) {
        record = claim_idle(pool, LIDO__LENT);
        if (record == NULL)
            record = claim_vacant_locked(pool);
        if (record == NULL)
            return;
        give_locked(pool, waiter, record, woken);
    }
}

static void wake(struct lido__waiter *woken)
{
    while (woken != NULL) {
        struct lido__waiter *next = woken->next; /* it may be gone once it is awake */

        lido__unpark(&woken->parker);
        woken = next;
    }
}

/* What is free now, or NULL; *full says whether more slots would not help either. */
static struct lido_record *claim_locked(lido_pool *pool, bool *is_full)
    LIDO_TSA(requires_capability(pool->lock))
{
    struct lido_record *record;

    *is_full = true;
    if (next_waiter_locked(pool) != NULL)
        return NULL; /* they were first; one whose time is up stands in nobody's way */
    record = claim_idle(pool, LIDO__LENT);
    if (record == NULL)
        record = claim_vacant_locked(pool);
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
        return LIDO_POOL_TIMEOUT;
    lido__holders_describe(pool, holders, sizeof holders);
    if (timeout_ms == 0)
        return lido_fail(err, LIDO_POOL_TIMEOUT, "none of %lld connections was free%s",
                         (long long)pool->limit, holders);
    return lido_fail(err, LIDO_POOL_TIMEOUT, "waited %lld ms for one of %lld connections%s",
                     (long long)timeout_ms, (long long)pool->limit, holders);
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
static int wait_in_line(lido_pool *pool, struct lido_record **out, int64_t timeout_ms,
                        int64_t deadline_ns, struct lido_error *err)
    LIDO_TSA(release_capability(pool->lock))
{
    const struct lido_clock *clock = pool->config.clock;
    struct lido__waiter self = { .deadline_ns = deadline_ns,
                                 .since_ns = lido__wait_ns(clock) };
    struct lido__waiter *woken = NULL, **end = &woken;
    bool is_late, is_served;
    int64_t waited_ns;

    lido__parker_init(&self.parker);
    lido__waiters_append(&pool->waiters, &self);
    lido__add(&pool->gate, LIDO__GATE_WAITER);
    serve_locked(pool, &end);
    unlock(pool);
    wake(woken);

    is_late = !lido__park(&self.parker, clock, self.deadline_ns);
    waited_ns = lido__wait_ns(clock) - self.since_ns;

    lido__mutex_lock(&pool->lock);
    is_served = !self.is_listed;
    if (!is_served) {
        lido__waiters_remove(&pool->waiters, &self);
        lido__add(&pool->gate, -LIDO__GATE_WAITER);
        pool->counts.timeouts++;
    }
    count_wait_locked(pool, (uint64_t)waited_ns);
    unlock(pool);
    if (is_served && is_late) /* given in the last moment: the wake-up is on its way */
        lido__park(&self.parker, NULL, LIDO_NO_DEADLINE);
    lido__parker_fini(&self.parker);
    *out = self.record;
    if (!is_served)
        return fail_timeout(pool, timeout_ms, err);
    return self.record != NULL ? LIDO_OK : fail_closed(err);
}

/* Who claims the slot of the first connection is the one to run first_connect, so that all
   others know before they claim one. */
static void claim_first_locked(lido_pool *pool, const struct lido_record *record)
    LIDO_TSA(requires_capability(pool->lock))
{
    if (pool->first != LIDO__FIRST_TO_COME || record->handle != NULL ||
        !lido__hooks_want(&pool->hooks, LIDO__FIRST_CONNECT))
        return;
    pool->first = LIDO__FIRST_CLAIMED;
    pool->first_runner = lido__thread();
}

/* Waits while another thread runs first_connect, until the deadline or the closing.  Not with
   a slot in hand: the hook may itself need the last one. */
static void wait_for_first_locked(lido_pool *pool, bool *is_in_time, int64_t deadline_ns)
    LIDO_TSA(requires_capability(pool->lock))
{
    while (*is_in_time && lido__first_is_others_locked(pool) &&
           (lido__read(&pool->gate) & LIDO__GATE_CLOSED) == 0)
        *is_in_time = lido__bell_wait_locked(&pool->first_ran, &pool->lock,
                                             pool->config.clock, deadline_ns);
}

int lido__slot_claim(lido_pool *pool, struct lido_record **out, int64_t timeout_ms,
                     int64_t deadline_ns, struct lido_error *err)
{
    bool is_full, is_in_time = true;

    lido__mutex_lock(&pool->lock);
    for (;;) {
        *out = NULL;
        wait_for_first_locked(pool, &is_in_time, deadline_ns);
        if ((lido__read(&pool->gate) & LIDO__GATE_CLOSED) != 0) {
            unlock(pool);
            return fail_closed(err);
        }
        *out = claim_locked(pool, &is_full);
        if (*out != NULL || is_full)
            break;
        unlock(pool);
        if (!lido__slots_grow(pool))
            return lido_fail(err, SQLITE_NOMEM, "out of memory for one more connection");
        lido__mutex_lock(&pool->lock);
    }
    if (*out == NULL && timeout_ms != 0)
        return wait_in_line(pool, out, timeout_ms, deadline_ns, err);
    if (*out == NULL)
        pool->counts.timeouts++;
    else
        claim_first_locked(pool, *out);
    unlock(pool);
    if (*out == NULL)
        return fail_timeout(pool, 0, err);
    remember(pool, *out);
    return LIDO_OK;
}

bool lido__slot_release_quick(lido_pool *pool, struct lido_record *record)
{
    struct lido__waiter *woken = NULL, **end = &woken;
    bool is_closed;

    if (lido__read(&pool->gate) != 0 || (int64_t)lido__read(&pool->live) > pool->keep)
        return false;
    lido__slot_end(record, LIDO__IDLE);
    if (lido__load(&pool->gate) == 0)
        return true;
    lido__mutex_lock(&pool->lock);
    serve_locked(pool, &end);
    is_closed = (lido__read(&pool->gate) & LIDO__GATE_CLOSED) != 0;
    unlock(pool);
    wake(woken);
    if (is_closed)
        lido__slots_sweep(pool, NULL);
    return true;
}

static int64_t count_idle(const lido_pool *pool)
{
    int64_t idle = 0;

    for (struct lido_record *at = lido__slots_first(pool); at != NULL; at = at->next)
        idle += lido__slot_state(lido__read(&at->word)) == LIDO__IDLE;
    return idle;
}

/* True if a connection that comes back now is one too many. */
static bool is_surplus_locked(const lido_pool *pool)
    LIDO_TSA(requires_capability(pool->lock))
{
    if ((lido__read(&pool->gate) & LIDO__GATE_CLOSED) != 0)
        return true;
    return (int64_t)lido__read(&pool->live) > pool->keep && count_idle(pool) >= pool->keep;
}

bool lido__slot_release(lido_pool *pool, struct lido_record *record, bool vacate)
{
    struct lido__waiter *waiter, *woken = NULL, **end = &woken;
    bool is_last = false;

    lido__mutex_lock(&pool->lock);
    waiter = next_waiter_locked(pool);
    if (waiter != NULL) {
        lido__slot_end(record, LIDO__LENT);
        give_locked(pool, waiter, record, &end);
    } else if (vacate) {
        lido__slot_end(record, LIDO__VACANT);
        lido__write(&pool->live, lido__read(&pool->live) - 1);
    } else if (is_surplus_locked(pool)) {
        unlock(pool);
        return false;
    } else {
        lido__slot_end(record, LIDO__IDLE);
    }
    if (lido__read(&pool->live) == 0 &&
        (lido__read(&pool->gate) & LIDO__GATE_CLOSED) != 0) {
        lido__bell_ring_locked(&pool->emptied);
        is_last = pool->is_freed;
    }
    unlock(pool);
    wake(woken);
    if (is_last)
        lido__pool_destroy(pool);
    return true;
}

/* An idle slot of a closed pool, RETURNING to the caller; NULL if there is none. */
static struct lido_record *claim_for_closing(lido_pool *pool)
{
    struct lido_record *record = NULL;

    lido__mutex_lock(&pool->lock);
    if ((lido__read(&pool->gate) & LIDO__GATE_CLOSED) != 0)
        record = claim_idle(pool, LIDO__RETURNING);
    unlock(pool);
    return record;
}

int lido__slots_sweep(lido_pool *pool, struct lido_error *err)
{
    struct lido_record *record;
    int rc = LIDO_OK;

    while ((record = claim_for_closing(pool)) != NULL) {
        int failed = lido__record_disconnect(pool, record, LIDO__CLOSE_POOL,
                                             rc == LIDO_OK ? err : NULL);

        if (rc == LIDO_OK)
            rc = failed;
        lido__slot_release(pool, record, true);
    }
    return rc;
}

void lido__slots_dismiss(lido_pool *pool)
{
    struct lido__waiter *woken = NULL, **end = &woken;

    lido__mutex_lock(&pool->lock);
    if ((lido__read(&pool->gate) & LIDO__GATE_CLOSED) == 0)
        lido__add(&pool->gate, LIDO__GATE_CLOSED);
    while (pool->waiters.oldest != NULL)
        give_locked(pool, pool->waiters.oldest, NULL, &end);
    lido__bell_ring_locked(&pool->first_ran);
    unlock(pool);
    wake(woken);
}
