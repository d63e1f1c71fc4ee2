/* SPDX-License-Identifier: MIT */
/*
 * What goes on at a pool's gate, for the host.
 *
 * Threads: any.
 */
#include "txn/gate.h"
#include "txn/txn.h"
#include <lido/gate.h>

#include <string.h>

static_assert(LIDO_GATE_SHOWN == LIDO__GATE_SHOWN &&
                  LIDO_GATE_HIGH - LIDO_GATE_LOW == (int)LIDO__GATE_HIGH,
              "the header says what the gate says");

static void tell(const struct lido__gate_view *view, struct lido_gate_stats *stats)
{
    const struct lido__gate_counts *counts = &view->counts;

    stats->has_gate = 1;
    stats->is_held = view->is_held;
    stats->held_ns = view->held_ns;
    stats->holder = view->holder;
    memcpy(stats->sql, view->sql, sizeof stats->sql);
    for (int i = 0; i < LIDO__GATE_PRIORITIES; i++)
        stats->waiting += view->waiting[i];
    stats->shown = (int)view->shown;
    for (unsigned i = 0; i < view->shown; i++)
        stats->waiters[i] =
            (struct lido_gate_waiter){ .waited_ns = view->waiters[i].waited_ns,
                                       .priority =
                                           (int)view->waiters[i].priority + LIDO_GATE_LOW,
                                       .lease = view->waiters[i].lease };
    stats->entered = counts->entered;
    stats->waited = counts->waited;
    stats->handed_over = counts->handed_over;
    stats->timeouts = counts->timeouts;
    stats->stopped = counts->stopped;
    stats->deadlocks = counts->deadlocks;
    stats->ungated = counts->ungated;
    stats->upgrades = counts->upgrades;
    stats->wait_ns = counts->wait_ns;
    stats->max_wait_ns = counts->max_wait_ns;
    stats->is_process = view->is_process;
    stats->process_waits = counts->process_waits;
    stats->process_wait_ns = counts->process_wait_ns;
}

int lido_gate_stats(lido_pool *pool, struct lido_gate_stats *stats, struct lido_error *err)
{
    struct lido_gate_stats now = LIDO_GATE_STATS_INIT;
    struct lido__gate_view view;
    struct lido__gate *gate;
    size_t size;

    if (pool == NULL || stats == NULL)
        return lido_fail(err, SQLITE_MISUSE, "no pool, or nowhere to put the statistics");
    size = stats->size;
    if (size < sizeof size || size > sizeof now)
        return lido_fail(err, SQLITE_MISUSE,
                         "statistics of %zu bytes: start from LIDO_GATE_STATS_INIT", size);
    if (lido__is_forked())
        return lido__fail_forked(err);
    gate = lido__pool_gate(pool);
    if (gate != NULL) {
        lido__gate_look(gate, &view);
        lido__gate_drop(gate);
        tell(&view, &now);
    }
    now.size = size;
    memcpy(stats, &now, size);
    return LIDO_OK;
}
