/* SPDX-License-Identifier: MIT */
/*
 * Who holds what: a list of the leases that are out, the longest first.
 *
 * What a slot tells about its lease is read without a lock, between two looks at `told` and
 * `retold` (pool/slot.h); one that changed meanwhile is read again a few times and then
 * passed over, for whoever changes it is not one who has held it long.
 *
 * Threads: any.
 */
#include "pool/holders.h"
#include "base/alloc.h"
#include "base/lives.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool lido__holder_is_gone(const struct lido__cell *cell, uint64_t owner)
{
    return lido__life_is_over(owner) &&
           lido__cell_record(cell)->pool->config.check_same_thread;
}

static bool read_once(struct lido__cell *cell, int64_t now_ns, struct lido_holder *out,
                      uint64_t *owner)
{
    uint64_t words[LIDO__LABEL_WORDS] = { 0 };
    uint64_t retold = lido__observe(&cell->retold);
    uint64_t generation = lido__observe(&cell->told);

    if (generation == 0 || !lido__lease_is_good(cell, generation))
        return false;
    *owner = lido__observe(&cell->owner);
    *out = (struct lido_holder){
        .size = sizeof *out,
        .lease = generation,
        .thread = lido__thread_id(*owner),
        .age_ns = now_ns - (int64_t)lido__observe(&cell->since_ns),
        .file = (const char *)(uintptr_t)lido__observe(&cell->file),
        .line = (int)lido__observe(&cell->line),
        .is_gone = lido__holder_is_gone(cell, *owner),
    };
    for (int i = 0; i < LIDO__LABEL_WORDS; i++) {
        words[i] = lido__observe(&cell->label[i]);
        if (i == 0 && words[0] == 0)
            break; /* no label: the other words are an old one's */
    }
    memcpy(out->label, words, sizeof out->label);
    out->label[sizeof out->label - 1] = '\0';
    if (out->age_ns < 0)
        out->age_ns = 0; /* it was checked out after the clock was read */
    return lido__read(&cell->told) == generation && lido__read(&cell->retold) == retold &&
           lido__lease_is_good(cell, generation);
}

static bool read_some(struct lido__cell *cell, int64_t now_ns, struct lido_holder *out,
                      uint64_t *owner)
{
    for (int i = 0; i < 3; i++)
        if (read_once(cell, now_ns, out, owner))
            return true;
    return false;
}

bool lido__holder_read(struct lido__cell *cell, int64_t now_ns, struct lido_holder *out)
{
    uint64_t owner;

    return read_some(cell, now_ns, out, &owner);
}

/* Every cell that may be a lease: those of the slots, and those that share. */
struct lido__cell *lido__holders_first(const lido_pool *pool)
{
    struct lido_record *slot = lido__slots_first(pool);

    return slot != NULL ? &slot->own : lido__cells_first(pool);
}

struct lido__cell *lido__holders_next(const lido_pool *pool, struct lido__cell *cell)
{
    struct lido_record *slot = lido__cell_record(cell);

    if (slot == NULL || cell != &slot->own)
        return cell->next;
    return slot->next != NULL ? &slot->next->own : lido__cells_first(pool);
}

static int by_age(const void *left, const void *right)
{
    const struct lido_holder *a = left, *b = right;

    return (a->age_ns < b->age_ns) - (a->age_ns > b->age_ns);
}

int lido_pool_holders(lido_pool *pool,
                      int (*visit)(void *ctx, const struct lido_holder *holder), void *ctx,
                      struct lido_error *err)
{
    struct lido_holder *holders;
    size_t room = 0, count = 0;
    int64_t now_ns;
    int rc = LIDO_OK;

    if (pool == NULL || visit == NULL)
        return lido_fail(err, SQLITE_MISUSE,
                         "no pool, or no function to show its holders to");
    if (lido__is_forked())
        return lido__fail_forked(err);
    for (struct lido__cell *at = lido__holders_first(pool); at != NULL;
         at = lido__holders_next(pool, at))
        room++;
    holders = lido__new((room + 1) * sizeof *holders);
    if (holders == NULL)
        return lido_fail(err, SQLITE_NOMEM, "out of memory for a list of %zu leases", room);
    now_ns = lido__age_ns(pool->config.clock);
    for (struct lido__cell *at = lido__holders_first(pool); at != NULL && count < room;
         at = lido__holders_next(pool, at))
        count += lido__holder_read(at, now_ns, &holders[count]);
    qsort(holders, count, sizeof *holders, by_age);
    lido__assert_unlocked();
    for (size_t i = 0; i < count && rc == LIDO_OK; i++)
        rc = visit(ctx, &holders[i]);
    lido__free(holders);
    return rc == LIDO_OK ? rc : lido_fail(err, rc, "the visit of the holders was stopped");
}

bool lido__holder_add(struct lido__ring *ring, struct lido__cell *cell)
{
    struct lido_holder holder;
    uint64_t owner;

    return read_some(cell, 0, &holder, &owner) && lido__ring_add(ring, owner, holder.label);
}

/* Of the slots that count: false if one of them has no lease that is one thread's alone. */
static bool add_all_locked(const lido_pool *pool, struct lido__ring *ring)
    LIDO_TSA(requires_capability(pool->lock))
{
    if (pool->sharing != LIDO__SHARE_NONE || !pool->config.check_same_thread ||
        (int64_t)lido__read(&pool->live) < pool->limit)
        return false;
    for (struct lido_record *at = lido__slots_first(pool); at != NULL; at = at->next)
        if (lido__slot_state(lido__read(&at->own.word)) != LIDO__VACANT &&
            lido__record_is(at, LIDO__MEMBER) && !lido__holder_add(ring, &at->own))
            return false;
    return true;
}

bool lido__holders_ask(const struct lido__blocked *blocked, struct lido__ring *ring)
{
    const struct lido__line_wait *wait = (const struct lido__line_wait *)blocked;
    lido_pool *pool = wait->pool;
    bool is_for_them;

    lido__mutex_lock(&pool->lock);
    is_for_them = wait->waiter->is_listed && add_all_locked(pool, ring) &&
                  lido__wait_ns(pool->config.clock) < wait->waiter->deadline_ns;
    lido__mutex_unlock(&pool->lock);
    return is_for_them;
}

static const char *base_name(const char *file)
{
    const char *slash = file != NULL ? strrchr(file, '/') : NULL;

    return slash != NULL ? slash + 1 : file;
}

size_t lido__holder_describe(const struct lido_holder *holder, const char *lead, char *text,
                             size_t size)
{
    int used = snprintf(text, size, "%s thread %llu%s%s%s for %lld ms", lead,
                        (unsigned long long)holder->thread,
                        holder->is_gone ? " (holder gone)" : "",
                        holder->label[0] != '\0' ? " " : "", holder->label,
                        (long long)(holder->age_ns / LIDO_NS_PER_MS));

    if (used >= 0 && (size_t)used < size && holder->file != NULL)
        used += snprintf(text + used, size - (size_t)used, " at %.40s:%d",
                         base_name(holder->file), holder->line);
    return used < 0 ? 0 : (size_t)used < size ? (size_t)used : size - 1;
}

/* Without memory of its own: the caller may be out of it. */
void lido__holders_describe(lido_pool *pool, char *text, size_t size)
{
    struct lido_holder longest[2], holder;
    int64_t now_ns = lido__age_ns(pool->config.clock);
    int count = 0;
    size_t used;

    text[0] = '\0';
    for (struct lido__cell *at = lido__holders_first(pool); at != NULL;
         at = lido__holders_next(pool, at)) {
        if (!lido__holder_read(at, now_ns, &holder))
            continue;
        if (count < 2)
            longest[count++] = holder;
        else if (holder.age_ns > longest[1].age_ns)
            longest[1] = holder;
        if (count == 2 && longest[1].age_ns > longest[0].age_ns) {
            holder = longest[0];
            longest[0] = longest[1];
            longest[1] = holder;
        }
    }
    if (count == 0)
        return;
    used = lido__holder_describe(&longest[0], "; longest held by", text, size);
    if (count == 2)
        lido__holder_describe(&longest[1], ", then by", text + used, size - used);
}
