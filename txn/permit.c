/* SPDX-License-Identifier: MIT */
/*
 * A run's permit: the write gate, which it has before it has a connection.
 *
 *     the gate --> the pool's writer --> begin, function, commit --> check-in --> leave
 *
 * So who waits to write keeps no connection from others, and who has the gate finds the writer
 * parked: the one before gave it back first.  If it is not there all the same, the permit is
 * given up and the run goes the long way, connection first: nobody waits for a connection while
 * it has the gate.
 *
 * The lease that has the permit enters the gate by it, as often as the run begins.  Permits
 * are the thread's, and a function that runs may start another run: they form a stack.
 *
 * Threads: the one that runs.
 */
#include "txn/permit.h"
#include "base/text.h"
#include "txn/gate_set.h"
#include "txn/txn.h"

static _Thread_local struct lido__permit *innermost
#if defined(__ELF__)
    __attribute__((tls_model("initial-exec")))
#endif
    ;

/* One that waits for the gate. */
struct wait {
    struct lido__gate_wait common; /* the first: `stop` is given this */
    const struct lido__permit_wish *wish;
};

static int stop(const struct lido__gate_wait *self)
{
    const struct lido__permit_wish *wish = ((const struct wait *)self)->wish;

    if (lido__cancel_is_fired(wish->cancel))
        return LIDO_CANCELLED;
    return lido__pool_is_closed(wish->pool) ? LIDO_CLOSED : LIDO_OK;
}

static struct lido__gate_who who_is(const struct lido__permit_wish *wish)
{
    return (struct lido__gate_who){
        .clock = wish->pool->config.clock,
        .thread = lido__thread(),
        .label = wish->label,
    };
}

static int wait_for_gate(struct lido__gate *gate, const struct lido__permit_wish *wish,
                         char *ring)
{
    const struct lido__pool_config *config = &wish->pool->config;
    struct wait self = {
        .common = { .who = who_is(wish),
                    .priority = lido__gate_priority(wish->priority),
                    .aging_ns = config->gate_aging_us * 1000,
                    .deadline_ns = wish->deadline_ns,
                    .wakers = { wish->cancel != NULL ? &wish->cancel->sleepers : NULL,
                                &wish->pool->elsewhere },
                    .stop = stop,
                    .ring = ring },
        .wish = wish,
    };

    return lido__gate_enter(gate, &self.common);
}

static int explain(struct lido__gate *gate, const struct lido__permit_wish *wish,
                   int64_t since_ns, int rc, const char *ring, struct lido_error *err)
{
    const int64_t waited_ns = lido__wait_ns(wish->pool->config.clock) - since_ns;

    if (rc == LIDO_CLOSED)
        return lido_fail(err, rc, "the pool is closed");
    if (rc == LIDO_CANCELLED)
        return lido_fail(err, rc, "cancelled while it waited for the write gate");
    return lido__gated_explain(gate, rc, waited_ns / LIDO_NS_PER_MS, ring, err);
}

int lido__permit_enter(struct lido__permit *permit, const struct lido__permit_wish *wish,
                       struct lido_error *err)
{
    lido_pool *pool = wish->pool;
    const int64_t since_ns = lido__wait_ns(pool->config.clock);
    char ring[LIDO__RING_TEXT];
    int rc = LIDO_OK;

    ring[0] = '\0';
    *permit = (struct lido__permit){ .gate = NULL };
    if (!pool->config.kind->has_writer || pool->sharing != LIDO__SHARE_NONE)
        return LIDO_OK;
    permit->gate = lido__pool_gate(pool);
    if (permit->gate == NULL)
        return LIDO_OK;
    permit->deadline_ns = wish->deadline_ns;
    permit->has_waited =
        !lido__gate_try(permit->gate, who_is(wish), lido__gate_priority(wish->priority));
    if (permit->has_waited)
        rc = wait_for_gate(permit->gate, wish, ring);
    if (rc != LIDO_OK) {
        rc = explain(permit->gate, wish, since_ns, rc, ring, err);
        lido__gate_drop(permit->gate);
        permit->gate = NULL;
        return rc;
    }
    permit->outer = innermost;
    innermost = permit;
    return LIDO_OK;
}

bool lido__permit_use(struct lido__permit *permit, const struct lido_conn *conn)
{
    struct lido_record *record = lido__cell_record(conn->cell);

    if (record->file_gate != permit->gate || lido__gate_set_is_needed(record))
        return false;
    permit->cell = conn->cell;
    permit->generation = conn->generation;
    record->has_lock_until = permit->has_waited;
    record->lock_until_ns = permit->deadline_ns;
    lido__gate_rename(permit->gate, (struct lido__gate_who){
                                        .cell = conn->cell,
                                        .generation = conn->generation,
                                        .clock = record->pool->config.clock,
                                        .thread = lido__thread(),
                                    });
    return true;
}

/* One that has no lease yet checks out the pool's writer: it is for what the hooks do there.
   An ordinary lease of such a hook's is another's. */
static bool is_for(const struct lido__permit *permit, const struct lido__cell *cell)
{
    if (permit->cell == NULL)
        return lido__cell_record(cell)->file_gate == permit->gate &&
               lido__record_is(lido__cell_record(cell), LIDO__WRITER);
    return permit->cell == cell && lido__lease_is_good(cell, permit->generation);
}

bool lido__permit_is_for(const struct lido__cell *cell)
{
    for (const struct lido__permit *at = innermost; at != NULL; at = at->outer)
        if (is_for(at, cell))
            return true;
    return false;
}

void lido__permit_leave(struct lido__permit *permit)
{
    struct lido__gate *gate = permit->gate;

    if (gate == NULL)
        return;
    assert(innermost == permit);
    innermost = permit->outer;
    permit->gate = NULL;
    if (lido__is_forked())
        return; /* the parent has it */
    lido__gate_leave(gate);
    lido__gate_drop(gate);
}
