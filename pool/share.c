/* SPDX-License-Identifier: MIT */
/*
 * Leases that share a record: nested ones of one thread, or those of all threads.
 *
 * Each has a cell of its own, so that each is checked in once and a copy of it goes stale by
 * itself; `leases` of the record counts them, and its own word is LENT as long as there is
 * one.
 *
 *     first lease   claims a slot, stage CONNECTING -> ASKING (checkout hooks) -> READY
 *     others        join it: threads of their own when READY; the thread itself also while
 *                   its hooks ask
 *     last lease    LENT -> RETURNING, and the record goes back as any other
 *
 * Where all share, a transaction belongs to one cell, `txn_holder`, and who begins another
 * waits for the bell `txn_over`.  One that SQL text began is nobody's, until somebody ends it;
 * one that SQL text ended still has its holder, and rings nothing: who waits asks the driver
 * when it comes and when its time is up.
 *
 * No wake-up is lost: stages, leases and holders change under the pool's lock, and a bell is
 * waited for by who looked under the same lock.
 *
 * Threads: any.  A cell is reserved before the slot is claimed, so that nothing can fail
 * after the claim.
 */
#include "pool/pool.h"

static struct lido__cell *take_cell_locked(lido_pool *pool)
    LIDO_TSA(requires_capability(pool->lock))
{
    struct lido__cell *at = lido__cells_first(pool);

    while (at != NULL && lido__slot_state(lido__read(&at->word)) != LIDO__VACANT)
        at = at->next;
    if (at == NULL)
        return NULL;
    at->is_bound = false; /* the record stays: who has an old lease may be looking */
    lido__write(&at->told, 0);
    lido__cell_move(at, LIDO__LENT);
    return at;
}

static struct lido__cell *take_cell(lido_pool *pool)
{
    struct lido__cell *cell;

    lido__mutex_lock(&pool->lock);
    while ((cell = take_cell_locked(pool)) == NULL) {
        lido__mutex_unlock(&pool->lock);
        if (!lido__cells_grow(pool))
            return NULL;
        lido__mutex_lock(&pool->lock);
    }
    lido__mutex_unlock(&pool->lock);
    return cell;
}

/* A cell that nobody was told of. */
static void drop_cell(lido_pool *pool, struct lido__cell *cell)
{
    lido__mutex_lock(&pool->lock);
    lido__cell_move(cell, LIDO__RETURNING);
    lido__cell_end(cell, LIDO__VACANT);
    lido__mutex_unlock(&pool->lock);
}

int lido__share_checkout(lido_pool *pool, struct lido__claim *claim,
                         struct lido__cell **out, uint64_t *generation,
                         struct lido_error *err)
{
    struct lido__cell *cell = take_cell(pool);
    struct lido_record *record;
    int rc;

    if (cell == NULL)
        return lido_fail(err, SQLITE_NOMEM, "out of memory for one more lease");
    rc = lido__slot_claim(pool, claim, err);
    if (rc != LIDO_OK) {
        drop_cell(pool, cell);
        return rc;
    }
    record = claim->record;
    if (pool->config.kind->binds)
        lido__threads_watch_self();
    lido__mutex_lock(&pool->lock);
    if (!claim->is_joined) {
        record->leases = 1;
        lido__write(&record->savepoints, 0);
        record->thread = lido__thread();
        record->stage = LIDO__STAGE_CONNECTING;
        record->is_unique = claim->is_unique && !pool->config.kind->binds;
    }
    lido__cell_set_record(cell, record);
    cell->is_bound = true;
    if (pool->sharing == LIDO__SHARE_THREAD) /* and raw SQL is the last one's */
        lido__write(&record->runner, (uintptr_t)cell);
    /* Read here: once the lock is free the lease may be ended, and the cell another's. */
    *generation = lido__slot_generation(lido__read(&cell->word));
    lido__mutex_unlock(&pool->lock);
    *out = cell;
    return LIDO_OK;
}

static int fail_recursion(struct lido_error *err)
{
    return lido_fail(err, LIDO_RECURSION,
                     "a connect hook checked out the connection that it was called for");
}

/* One thread's: its own record, unless it asks for another. */
static bool is_own_locked(const lido_pool *pool, const struct lido_record *record,
                          const struct lido__claim *claim)
    LIDO_TSA(requires_capability(pool->lock))
{
    if (record->thread != lido__thread() || record->leases == 0 || record->is_unique)
        return false;
    return !claim->is_unique || pool->config.kind->binds;
}

/* Everybody's: false if it has to be waited for, or if it is disowned now because it is not
   to be lent any more. */
static bool is_everybodys_locked(lido_pool *pool, struct lido_record *record,
                                 bool *must_wait) LIDO_TSA(requires_capability(pool->lock))
{
    bool is_mine = record->leases > 0 && record->thread == lido__thread();

    if (record->leases == 0 || (record->stage != LIDO__STAGE_READY && !is_mine)) {
        *must_wait = true;
        return false;
    }
    if (record->stage == LIDO__STAGE_READY &&
        lido__record_is_outdated(pool, record, lido__age_ns(pool->config.clock))) {
        lido__slot_disown_locked(pool, record, LIDO__DISOWNED);
        return false;
    }
    return true;
}

int lido__share_join_locked(lido_pool *pool, struct lido__claim *claim, bool *must_wait,
                            struct lido_error *err)
{
    bool is_for_all = pool->sharing == LIDO__SHARE_ALL;

    for (struct lido_record *at = lido__slots_first(pool); at != NULL && !*must_wait;
         at = at->next) {
        if (lido__slot_state(lido__read(&at->own.word)) != LIDO__LENT ||
            !lido__record_is(at, LIDO__MEMBER) ||
            !(is_for_all ? is_everybodys_locked(pool, at, must_wait)
                         : is_own_locked(pool, at, claim)))
            continue;
        if (at->stage == LIDO__STAGE_CONNECTING)
            return fail_recursion(err);
        at->leases++;
        claim->record = at;
        claim->is_joined = true;
        break;
    }
    return LIDO_OK;
}

void lido__share_set_stage(lido_pool *pool, struct lido_record *record,
                           enum lido__stage stage)
{
    lido__mutex_lock(&pool->lock);
    record->stage = stage;
    lido__bell_ring_locked(&pool->shared);
    lido__mutex_unlock(&pool->lock);
}

/* What its thread runs from now on is another's of its leases, if it has one. */
static void run_for_another_locked(const lido_pool *pool, struct lido_record *record,
                                   const struct lido__cell *cell)
    LIDO_TSA(requires_capability(pool->lock))
{
    uint64_t runner = 0;

    if (lido__record_runner(record) != cell)
        return;
    for (struct lido__cell *at = lido__cells_first(pool); at != NULL; at = at->next)
        if (at != cell && at->is_bound && lido__cell_record(at) == record &&
            lido__slot_state(lido__read(&at->word)) == LIDO__LENT)
            runner = (uintptr_t)at;
    lido__write(&record->runner, runner);
}

bool lido__share_is_stepping(lido_pool *pool, const struct lido_record *record)
{
    bool is_stepping = false;

    lido__mutex_lock(&pool->lock);
    for (struct lido__cell *at = lido__cells_first(pool); at != NULL; at = at->next)
        if (at->is_bound && lido__cell_record(at) == record &&
            lido__slot_state(lido__read(&at->word)) == LIDO__LENT &&
            lido__read(&at->stepping) != 0)
            is_stepping = true;
    lido__mutex_unlock(&pool->lock);
    return is_stepping;
}

/* The lease of a cell that is RETURNING ends. */
static void leave_locked(lido_pool *pool, struct lido__cell *cell)
    LIDO_TSA(requires_capability(pool->lock))
{
    struct lido_record *record = lido__cell_record(cell);

    assert(record->leases > 0);
    record->leases--;
    if (pool->sharing == LIDO__SHARE_THREAD)
        run_for_another_locked(pool, record, cell);
    if (record->txn_holder == cell) {
        record->txn_holder = NULL;
        lido__bell_ring_locked(&pool->txn_over);
    }
    lido__cell_end(cell, LIDO__VACANT);
}

static bool end_if_last_locked(const lido_pool *pool, struct lido_record *record)
    LIDO_TSA(requires_capability(pool->lock))
{
    if (record->leases > 0)
        return false;
    (void)pool;
    lido__cell_move(&record->own, LIDO__RETURNING);
    return true;
}

bool lido__share_leave(lido_pool *pool, struct lido__cell *cell)
{
    struct lido_record *record = lido__cell_record(cell);
    bool is_last;

    lido__mutex_lock(&pool->lock);
    leave_locked(pool, cell);
    is_last = end_if_last_locked(pool, record);
    lido__mutex_unlock(&pool->lock);
    return is_last;
}

bool lido__share_leave_if_last(lido_pool *pool, struct lido__cell *cell)
{
    struct lido_record *record = lido__cell_record(cell);
    bool is_last;

    lido__mutex_lock(&pool->lock);
    is_last = record->leases == 1;
    if (is_last) {
        leave_locked(pool, cell);
        end_if_last_locked(pool, record);
    }
    lido__mutex_unlock(&pool->lock);
    return is_last;
}

static void end_all_locked(lido_pool *pool, const struct lido_record *record)
    LIDO_TSA(requires_capability(pool->lock))
{
    for (struct lido__cell *at = lido__cells_first(pool); at != NULL; at = at->next) {
        uint64_t word = lido__read(&at->word);

        if (lido__slot_state(word) != LIDO__LENT || !at->is_bound ||
            lido__cell_record(at) != record || !lido__cell_try(at, word, LIDO__RETURNING))
            continue;
        lido__publish(&at->checkins, lido__read(&at->checkins) + 1);
        leave_locked(pool, at);
    }
}

bool lido__share_leave_alone(lido_pool *pool, struct lido__cell *cell)
{
    struct lido_record *record = lido__cell_record(cell);
    bool is_last;

    lido__mutex_lock(&pool->lock);
    leave_locked(pool, cell);
    if (pool->sharing != LIDO__SHARE_ALL)
        end_all_locked(pool, record);
    else if (record->leases > 0 && lido__record_is(record, LIDO__MEMBER))
        lido__slot_disown_locked(pool, record, LIDO__DISOWNED);
    is_last = end_if_last_locked(pool, record);
    lido__mutex_unlock(&pool->lock);
    return is_last;
}

bool lido__share_end_all_locked(lido_pool *pool, struct lido_record *record)
{
    end_all_locked(pool, record);
    return end_if_last_locked(pool, record);
}

void lido__share_disown(lido_pool *pool, struct lido_record *record)
{
    lido__mutex_lock(&pool->lock);
    if (record->leases > 0 && lido__record_is(record, LIDO__MEMBER))
        lido__slot_disown_locked(pool, record, LIDO__DISOWNED);
    lido__mutex_unlock(&pool->lock);
}

int lido__share_reserve(struct lido_record *record, uint64_t *reserved,
                        struct lido_error *err)
{
    lido_pool *pool = record->pool;
    bool is_others;

    *reserved = 0;
    if (pool->sharing != LIDO__SHARE_ALL)
        return LIDO_OK;
    lido__mutex_lock(&pool->lock);
    is_others = record->leases > 1;
    if (record->leases == 1 && record->stage == LIDO__STAGE_READY) {
        *reserved = lido__read(&record->own.word);
        record->stage = LIDO__STAGE_ASKING; /* its own thread may share it */
        record->thread = lido__thread();
    }
    lido__mutex_unlock(&pool->lock);
    return is_others ? lido_fail(err, LIDO_SHARED, "other leases share the connection")
                     : LIDO_OK;
}

void lido__share_unreserve(struct lido_record *record, uint64_t reserved)
{
    lido_pool *pool = record->pool;

    if (reserved == 0)
        return;
    lido__mutex_lock(&pool->lock);
    if (lido__read(&record->own.word) == reserved) { /* else a hook ended the lease */
        if (record->handle == NULL && lido__record_is(record, LIDO__MEMBER))
            lido__slot_disown_locked(pool, record, LIDO__DISOWNED);
        record->stage = LIDO__STAGE_READY;
        lido__bell_ring_locked(&pool->shared);
    }
    lido__mutex_unlock(&pool->lock);
}

unsigned lido__share_count(lido_pool *pool, const struct lido_record *record)
{
    unsigned count;

    lido__mutex_lock(&pool->lock);
    count = record->leases;
    lido__mutex_unlock(&pool->lock);
    return count;
}

/* True if transactions on the cell's record belong to one lease. */
static bool has_holder(const struct lido__cell *cell)
{
    const lido_pool *pool = lido__cell_record(cell)->pool;

    return pool->sharing == LIDO__SHARE_ALL && !pool->config.shared_transaction &&
           cell != &lido__cell_record(cell)->own;
}

/* Asked by a thread that has no part in the transaction.  A COMMIT switches autocommit on
   while it waits for the lock, and off again if it does not get it: what counts is what is
   found with the connection's mutex.  While a statement has that nothing is over, and
   waiting for it could take longer than the caller has time. */
static bool is_in_others_txn(const struct lido_record *record)
{
    const unsigned capabilities = record->pool->config.driver.table->capabilities;
    sqlite3_mutex *mutex;
    bool is_open;

    if (record->handle == NULL || (capabilities & LIDO_DRIVER_IS_SQLITE) == 0)
        return lido__record_is_in_txn(record);
    mutex = sqlite3_db_mutex(record->handle);
    if (sqlite3_mutex_try(mutex) != SQLITE_OK)
        return true;
    is_open = lido__record_is_in_txn(record);
    sqlite3_mutex_leave(mutex);
    return is_open;
}

/* True if lido began the holder's transaction, and it is over without lido having ended it.
   The lock is free while the driver is asked. */
static bool is_ended_by_text_locked(lido_pool *pool, struct lido_record *record)
    LIDO_TSA(requires_capability(pool->lock))
{
    const struct lido__cell *holder = record->txn_holder;
    const uint64_t number = record->txn_number;
    bool is_open;

    if (!record->txn_has_begun)
        return false;
    lido__mutex_unlock(&pool->lock);
    is_open = is_in_others_txn(record);
    lido__mutex_lock(&pool->lock);
    return !is_open && record->txn_holder == holder && record->txn_number == number;
}

/* Waits until nobody has the transaction, or an outer lease of this thread is found to have it,
   or the time is up.  Answers why the lease was to stop when it gave up for that: a token may
   have been reset since. */
static int await_txn_locked(lido_pool *pool, struct lido_record *record,
                            const struct lido__cell *cell, bool *is_own)
    LIDO_TSA(requires_capability(pool->lock))
{
    int64_t deadline_ns = lido__deadline_ns(pool->config.clock, pool->config.timeout_ms);
    bool is_in_time = true;
    int stop = LIDO_OK;

    if (cell->has_limit && cell->limit_ends_ns < deadline_ns)
        deadline_ns = cell->limit_ends_ns;
    if (cell->has_deadline && cell->wait_until_ns < deadline_ns)
        deadline_ns = cell->wait_until_ns;

    *is_own = false;
    while (record->txn_holder != NULL && !*is_own) {
        if (is_ended_by_text_locked(pool, record))
            record->txn_holder = NULL;
        /* The lock was free: who fired or ended it meanwhile has rung already. */
        stop = lido__lease_stop(cell);
        if (!is_in_time || record->txn_holder == NULL || stop != LIDO_OK)
            break;
        *is_own = lido__read(&record->txn_holder->owner) == lido__thread();
        if (!*is_own)
            is_in_time = lido__bell_wait_locked(&pool->txn_over, &pool->lock,
                                                pool->config.clock, deadline_ns);
    }
    return stop;
}

static void hold_txn_locked(struct lido_record *record, struct lido__cell *cell)
{
    record->txn_holder = cell;
    record->txn_number++;
    record->txn_has_begun = false;
}

int lido__share_txn_enter(struct lido__cell *cell, uint64_t generation,
                          struct lido_error *err)
{
    struct lido_record *record = lido__cell_record(cell);
    lido_pool *pool = record->pool;
    lido_cancel *cancel = cell->has_cancel ? cell->cancel : NULL;
    struct lido__pool_sleeper sleeper;
    bool is_own = false, is_free, is_good;
    int stop = LIDO_OK;

    if (!has_holder(cell))
        return LIDO_OK;
    lido__cancel_listen(cancel, &sleeper, pool);
    lido__mutex_lock(&pool->lock);
    if (record->txn_holder != cell)
        stop = await_txn_locked(pool, record, cell, &is_own);
    is_free = record->txn_holder == NULL || record->txn_holder == cell;
    is_good = lido__lease_is_good(cell, generation);
    if (is_free && is_good)
        hold_txn_locked(record, cell);
    lido__mutex_unlock(&pool->lock);
    lido__cancel_unlisten(cancel, &sleeper);
    if (!is_good)
        return lido_fail(err, LIDO_STALE, "the lease ended while it waited");
    if (is_free)
        return LIDO_OK;
    if (is_own)
        return lido_fail(err, LIDO_IN_TXN,
                         "this thread has a transaction open by another lease of the same "
                         "connection");
    if (stop != LIDO_OK)
        return lido__lease_explain(cell, stop, "the wait for another lease", err);
    return lido_fail(err, SQLITE_BUSY,
                     "waited %lld ms for the transaction of another lease of the same "
                     "connection",
                     (long long)pool->config.timeout_ms);
}

void lido__share_txn_begun(struct lido__cell *cell)
{
    struct lido_record *record = lido__cell_record(cell);
    lido_pool *pool = record->pool;

    if (!has_holder(cell))
        return;
    lido__mutex_lock(&pool->lock);
    record->txn_has_begun = record->txn_holder == cell;
    lido__mutex_unlock(&pool->lock);
}

void lido__share_txn_claim(struct lido__cell *cell)
{
    struct lido_record *record = lido__cell_record(cell);
    lido_pool *pool = record->pool;

    if (!has_holder(cell))
        return;
    lido__mutex_lock(&pool->lock);
    if (record->txn_holder == NULL)
        hold_txn_locked(record, cell);
    lido__mutex_unlock(&pool->lock);
}

void lido__share_txn_leave(struct lido__cell *cell)
{
    struct lido_record *record = lido__cell_record(cell);
    lido_pool *pool = record->pool;

    if (!has_holder(cell))
        return;
    lido__mutex_lock(&pool->lock);
    if (record->txn_holder == cell) {
        record->txn_holder = NULL;
        lido__bell_ring_locked(&pool->txn_over);
    }
    lido__mutex_unlock(&pool->lock);
}

bool lido__share_txn_is_held(const struct lido__cell *cell)
{
    struct lido_record *record = lido__cell_record(cell);
    lido_pool *pool = record->pool;
    bool is_mine;

    if (!has_holder(cell))
        return true;
    lido__mutex_lock(&pool->lock);
    is_mine = record->txn_holder == cell;
    lido__mutex_unlock(&pool->lock);
    return is_mine;
}
