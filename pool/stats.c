/* SPDX-License-Identifier: MIT */
/*
 * One consistent snapshot of a pool.
 *
 * What changes under the lock is copied under it.  The slots change without it, so the gate
 * is frozen, which sends every new checkout to the lock, and the slots are read until two
 * readings in a row found the same words: generations never return, so then nothing moved
 * between them.  That comes to an end: who was past the gate already can move each slot a
 * few times at most before it meets the lock.
 *
 * Threads: any.
 */
#include "base/text.h"
#include "pool/pool.h"

#include <stdio.h>
#include <string.h>

struct reading {
    uint64_t
        sum; /* of all words: each move makes it larger or is noticed by its own word */
    int64_t idle;
    int64_t out;
    uint64_t checkouts;
    uint64_t checkins;
};

/* Words only grow in their generation, but move up and down in their state; so that no two
   moves cancel out each is mixed with its place first. */
static uint64_t mix(uint64_t word, uint64_t place)
{
    word = (word ^ place) * UINT64_C(0x9e3779b97f4a7c15);
    return word ^ word >> 29;
}

static void read_cell(struct reading *reading, const struct lido__cell *cell)
{
    reading->checkouts += lido__observe(&cell->checkouts);
    reading->checkins += lido__observe(&cell->checkins);
}

static struct reading read_slots(const lido_pool *pool)
{
    struct reading reading = { 0 };
    uint64_t place = 0;

    for (struct lido_record *at = lido__slots_first(pool); at != NULL; at = at->next) {
        uint64_t word = lido__load(&at->own.word);
        enum lido__slot_state state = lido__slot_state(word);

        reading.sum += mix(word, ++place);
        read_cell(&reading, &at->own);
        if (!lido__record_is(at, LIDO__MEMBER))
            continue;
        reading.idle += state == LIDO__IDLE;
        reading.out += state == LIDO__LENT || state == LIDO__RETURNING;
    }
    for (struct lido__cell *at = lido__cells_first(pool); at != NULL; at = at->next)
        read_cell(&reading, at);
    return reading;
}

static struct reading read_consistently_locked(lido_pool *pool)
    LIDO_TSA(requires_capability(pool->lock))
{
    struct reading before, now;

    lido__add(&pool->gate, LIDO__GATE_FROZEN);
    now = read_slots(pool);
    do {
        before = now;
        now = read_slots(pool);
    } while (memcmp(&before, &now, sizeof now) != 0);
    lido__add(&pool->gate, -LIDO__GATE_FROZEN);
    return now;
}

static int64_t bound(int64_t number)
{
    return number == LIDO__UNBOUND ? -1 : number;
}

static struct lido_pool_stats collect_locked(lido_pool *pool)
    LIDO_TSA(requires_capability(pool->lock))
{
    const struct lido__pool_config *config = &pool->config;
    struct lido_pool_stats stats = pool->counts;
    struct reading slots = read_consistently_locked(pool);
    uint64_t gate = lido__read(&pool->gate);

    stats.kind = config->kind->name;
    stats.limit = bound(pool->limit);
    stats.keep = bound(pool->keep);
    stats.is_closed = (gate & LIDO__GATE_CLOSED) != 0;
    stats.live = (int64_t)lido__read(&pool->live);
    stats.idle = slots.idle;
    stats.out = slots.out;
    stats.detached = pool->detached;
    stats.disowned = pool->disowned;
    stats.overflow = config->kind->counts_overflow ? stats.live - config->pool_size : 0;
    stats.waiting += (int64_t)(gate / LIDO__GATE_WAITER);
    if (pool->waiters.oldest != NULL)
        stats.oldest_wait_ns =
            lido__wait_ns(config->clock) - pool->waiters.oldest->since_ns;
    stats.writer = pool->writer != NULL;
    stats.checkouts = slots.checkouts;
    stats.checkins = slots.checkins;
    return stats;
}

int lido_pool_stats(lido_pool *pool, struct lido_pool_stats *stats, struct lido_error *err)
{
    struct lido_pool_stats now;
    size_t size;

    if (pool == NULL || stats == NULL)
        return lido_fail(err, SQLITE_MISUSE, "no pool, or nowhere to put its statistics");
    size = stats->size;
    if (size < sizeof size || size > sizeof now)
        return lido_fail(err, SQLITE_MISUSE,
                         "statistics of %zu bytes: start from LIDO_POOL_STATS_INIT", size);
    if (lido__is_forked())
        return lido__fail_forked(err);
    lido__mutex_lock(&pool->lock);
    now = collect_locked(pool);
    lido__mutex_unlock(&pool->lock);
    now.size = size;
    memcpy(stats, &now, size);
    return LIDO_OK;
}

/* The words of SQLAlchemy's Pool.status(). */
static int write_status(const lido_pool *pool, const struct lido_pool_stats *stats,
                        char *text, size_t size)
{
    const struct lido__kind *kind = pool->config.kind;

    if (kind->status != NULL)
        return snprintf(text, size, "%s", kind->status);
    if (kind->binds)
        return snprintf(text, size, "SingletonThreadPool id:%llu size: %lld",
                        (unsigned long long)pool->id, (long long)stats->live);
    return snprintf(text, size,
                    "Pool size: %lld  Connections in pool: %lld Current Overflow: %lld "
                    "Current Checked out connections: %lld",
                    (long long)pool->config.pool_size, (long long)stats->idle,
                    (long long)stats->overflow, (long long)stats->out);
}

int lido_pool_status(lido_pool *pool, char *text, size_t size, struct lido_error *err)
{
    struct lido_pool_stats stats = LIDO_POOL_STATS_INIT;
    int rc, length;

    if (text == NULL || size == 0)
        return lido_fail(err, SQLITE_MISUSE, "nowhere to put the status");
    text[0] = '\0';
    rc = lido_pool_stats(pool, &stats, err);
    if (rc != LIDO_OK)
        return rc;
    length = write_status(pool, &stats, text, size);
    lido__text_tidy(text, length >= (int)size);
    return LIDO_OK;
}
