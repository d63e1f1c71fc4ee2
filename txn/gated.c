/* SPDX-License-Identifier: MIT */
/*
 * Leases at the write gate: which gate a connection belongs to, and when its lease is in.
 *
 * A gate belongs to a file, known by device and inode, so links and other spellings of its name
 * come to the same one, and a file that took the place of another does not.  Databases in
 * memory, those that cannot be written, and drivers other than SQLite's have none.
 *
 * The gate comes before SQLite's lock, so it is waited for only by a lease that has
 * neither read nor written in a transaction; one that has may have what the holder waits
 * for.  It tries once, and else goes on without: SQLite will say what becomes of it.  But
 * a run is told that it is busy, as SQLite would most likely tell it, and comes again by
 * the gate.  The wait for the gate and then for the lock, which a program without lido may
 * have, is one wait with one deadline.
 *
 * In the record `is_in_gate` says that its transaction has the gate.  Whoever ends the
 * transaction takes the word back by a swap, so of several who end it one leaves.
 *
 * Threads: find, drop: who has the record.  leave: any.  Else the one that checked it out.
 */
#include "txn/gate_set.h"
#include "txn/permit.h"
#include "txn/txn.h"

#define IN_ONE 1 /* in is_in_gate: the file's own, and no set of several */

/* So that its counts stay while the pool has no connection. */
static void keep_for_pool(lido_pool *pool, struct lido__gate *gate)
{
    struct lido__gate *before;

    lido__mutex_lock(&pool->lock);
    before = pool->file_gate;
    if (before != gate) {
        lido__gate_share(gate);
        pool->file_gate = gate;
    }
    lido__mutex_unlock(&pool->lock);
    if (before != gate)
        lido__gate_drop(before);
}

struct lido__gate *lido__pool_gate(lido_pool *pool)
{
    struct lido__gate *gate;

    lido__mutex_lock(&pool->lock);
    gate = pool->file_gate;
    if (gate != NULL)
        lido__gate_share(gate);
    lido__mutex_unlock(&pool->lock);
    return gate;
}

static int find(struct lido_record *record, struct lido_error *err)
{
    const struct lido__pool_config *config = &record->pool->config;
    struct lido__gate *gate;
    int rc;

    record->file_gate = NULL;
    if ((config->driver.table->capabilities & LIDO_DRIVER_IS_SQLITE) == 0 ||
        config->is_memory || config->needs_anchor)
        return LIDO_OK;
    rc = lido__gate_of_database(record, "main", &gate, err);
    record->file_gate = gate;
    if (gate != NULL && !lido__record_is(record, LIDO__ADOPTED)) /* may be of any file */
        keep_for_pool(record->pool, gate);
    return rc;
}

static void leave(struct lido_record *record)
{
    const uint64_t was = lido__swap(&record->is_in_gate, 0);

    if (was == IN_ONE) {
        lido__gate_leave(record->file_gate);
    } else if (was != 0) {
        lido__gate_set_leave((struct lido__gate_set *)(uintptr_t)was);
        lido__gate_set_free((struct lido__gate_set *)(uintptr_t)was);
    }
}

static void drop(struct lido_record *record)
{
    lido__gate_drop(record->file_gate);
    record->file_gate = NULL;
}

static void reclaim(lido_pool *pool)
{
    struct lido__gate *gate = lido__pool_gate(pool);

    if (gate != NULL && lido__gate_abandon(gate, pool))
        lido__gate_drop(gate);
    lido__gate_drop(gate);
}

static void end(lido_pool *pool)
{
    lido__gate_drop(pool->file_gate);
    pool->file_gate = NULL;
}

const struct lido__gate_calls lido__gates = { find, leave, drop, reclaim, end };

static struct lido__gate_who who_is(struct lido__cell *cell)
{
    const lido_pool *pool = lido__cell_record(cell)->pool;
    const struct lido__pool_config *config = &pool->config;

    return (struct lido__gate_who){
        .cell = cell,
        .generation = lido__slot_generation(lido__read(&cell->word)),
        .clock = config->clock,
        .is_certain = config->check_same_thread && !config->shared_transaction &&
                      pool->sharing != LIDO__SHARE_ALL,
    };
}

int lido__gated_explain(struct lido__gate *gate, int rc, int64_t waited_ms,
                        const char *ring, struct lido_error *err)
{
    char holder[240];

    if (rc == LIDO_DEADLOCK && ring[0] != '\0')
        return lido_fail(err, rc, "the wait for the write gate could not end; %s", ring);
    if (rc == LIDO_DEADLOCK)
        return lido_fail(err, rc,
                         "this thread is in the write gate of the file by another lease");
    if (rc == SQLITE_IOERR_LOCK)
        return lido_fail(err, rc, "the system did not lock the file of the write gate");
    if (rc != SQLITE_BUSY || err == NULL)
        return rc;
    lido__gate_describe(gate, holder, sizeof holder);
    return lido_fail(err, rc, "waited %lld ms for the write gate of the file%s",
                     (long long)waited_ms, holder);
}

/* What is told of a wait in vain. */
struct wait_story {
    struct lido__gate *gate; /* the one that was waited for */
    char ring[LIDO__RING_TEXT];
    int64_t since_ns;
    bool is_in;
};

static int explain(struct lido__cell *cell, int rc, const struct wait_story *wait,
                   struct lido_error *err)
{
    const struct lido_record *record = lido__cell_record(cell);
    const int64_t waited_ns = lido__wait_ns(record->pool->config.clock) - wait->since_ns;

    if (rc != LIDO_DEADLOCK)
        rc = lido__lease_explain(cell, rc, "the wait for the write gate", err);
    cell->trouble = rc; /* as good as SQLite's: it is its lock that is waited for */
    return lido__gated_explain(wait->gate, rc, waited_ns / LIDO_NS_PER_MS, wait->ring, err);
}

/* What ends first. */
static int64_t deadline_of(const struct lido__cell *cell)
{
    const struct lido_record *record = lido__cell_record(cell);
    const struct lido__pool_config *config = &record->pool->config;
    int64_t deadline_ns = lido__deadline_ns(config->clock, config->timeout_ms);

    if (cell->has_deadline && deadline_ns > cell->wait_until_ns)
        deadline_ns = cell->wait_until_ns;
    if (cell->has_limit && deadline_ns > cell->limit_ends_ns)
        deadline_ns = cell->limit_ends_ns;
    return deadline_ns;
}

static int stop_lease(const struct lido__gate_wait *self)
{
    return lido__lease_stop(self->who.cell);
}

static struct lido__gate_wait wait_of(struct lido__cell *cell, int64_t deadline_ns)
{
    struct lido_record *record = lido__cell_record(cell);

    return (struct lido__gate_wait){
        .who = who_is(cell),
        .priority = lido__gate_priority(cell->priority),
        .aging_ns = record->pool->config.gate_aging_us * 1000,
        .deadline_ns = deadline_ns,
        .wakers = { cell->has_cancel ? &cell->cancel->sleepers : NULL,
                    &record->pool->elsewhere },
        .stop = stop_lease,
    };
}

bool lido__gated_is_in(const struct lido__cell *cell)
{
    return lido__read(&lido__cell_record(cell)->is_in_gate) != 0 ||
           lido__permit_is_for(cell);
}

void lido__gated_note(const struct lido__cell *cell, const char *sql)
{
    if (lido__gated_is_in(cell))
        lido__gate_note(lido__cell_record(cell)->file_gate, sql);
}

static bool has_no_txn(const struct lido_record *record)
{
    const struct lido__driver *driver = &record->pool->config.driver;

    return driver->table->txn_state(driver->ctx, record->handle) == LIDO_TXN_NONE;
}

/* Nobody waits for what it has.  A run that comes again does so without its connection. */
static bool may_wait(const struct lido__cell *cell)
{
    const struct lido_record *record = lido__cell_record(cell);
    const struct lido__driver *driver = &record->pool->config.driver;
    const int state = driver->table->txn_state(driver->ctx, record->handle);

    return state == LIDO_TXN_NONE || (state == LIDO_TXN_OPEN && !cell->comes_again);
}

/* In the gate of the record's file, or in all of the set. */
static bool try_to_enter(struct lido__cell *cell, const struct lido__gate_set *set)
{
    const struct lido__gate_wait self = wait_of(cell, 0);

    return set == NULL
               ? lido__gate_try(lido__cell_record(cell)->file_gate, self.who, self.priority)
               : lido__gate_set_try(set, &self);
}

static int wait_to_enter(struct lido__cell *cell, const struct lido__gate_set *set,
                         int64_t deadline_ns, struct wait_story *story)
{
    struct lido__gate_wait self = wait_of(cell, deadline_ns);

    self.ring = story->ring;
    if (set != NULL)
        return lido__gate_set_enter(set, &self, &story->gate);
    story->gate = lido__cell_record(cell)->file_gate;
    return lido__gate_enter(story->gate, &self);
}

static void be_in(struct lido_record *record, struct lido__gate_set *set)
{
    lido__swap(&record->is_in_gate, set == NULL ? IN_ONE : (uintptr_t)set);
}

static int enter(struct lido__cell *cell, struct lido__gate_set *set,
                 struct wait_story *story)
{
    struct lido_record *record = lido__cell_record(cell);
    int64_t deadline_ns;
    int rc;

    story->is_in = try_to_enter(cell, set);
    if (story->is_in) {
        be_in(record, set);
        return LIDO_OK;
    }
    story->gate = record->file_gate;
    story->since_ns = lido__wait_ns(record->pool->config.clock);
    if (!may_wait(cell)) {
        if (!cell->comes_again)
            lido__gate_pass_by(record->file_gate);
        return cell->comes_again ? SQLITE_BUSY : LIDO_OK;
    }
    cell->was_cancelled = false; /* that was a statement before */
    deadline_ns = deadline_of(cell);
    rc = wait_to_enter(cell, set, deadline_ns, story);
    story->is_in = rc == LIDO_OK;
    if (story->is_in)
        be_in(record, set);
    if (!record->pool->config.shared_transaction) {
        record->has_lock_until = story->is_in;
        record->lock_until_ns = deadline_ns;
    }
    return rc;
}

int lido__gated_enter(struct lido__cell *cell, struct lido_error *err)
{
    const struct lido_record *record = lido__cell_record(cell);
    struct lido__gate_set *set = NULL;
    struct wait_story story;
    int rc;

    story.ring[0] = '\0';
    if (lido__gated_is_in(cell))
        return LIDO_OK;
    if (lido__gate_set_is_needed(record)) {
        rc = lido__gate_set_make(record, &set, err);
        if (rc != LIDO_OK)
            return rc;
    }
    rc = enter(cell, set, &story);
    if (rc == SQLITE_BUSY && cell->comes_again && !may_wait(cell)) {
        cell->trouble = rc;
        rc = lido_fail(err, rc, "another writes; the run comes again, by the write gate");
    } else if (rc != LIDO_OK) {
        rc = explain(cell, rc, &story, err);
    }
    if (!story.is_in)
        lido__gate_set_free(set); /* and with it the gate of the story */
    return rc;
}

void lido__gated_end_wait(const struct lido__cell *cell)
{
    struct lido_record *record = lido__cell_record(cell);

    if (record->file_gate != NULL && !record->pool->config.shared_transaction)
        record->has_lock_until = false;
}

int lido__gated_enter_late(struct lido__cell *cell, int64_t deadline_ns)
{
    struct lido_record *record = lido__cell_record(cell);
    struct wait_story story;
    int rc;

    /* The set of several would want memory, inside SQLite. */
    if (record->file_gate == NULL || lido__gated_is_in(cell) || !has_no_txn(record) ||
        lido__gate_set_is_needed(record))
        return SQLITE_BUSY;
    rc = wait_to_enter(cell, NULL, deadline_ns, &story);
    if (rc == LIDO_OK)
        be_in(record, NULL);
    return rc;
}
