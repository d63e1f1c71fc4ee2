/* SPDX-License-Identifier: MIT */
/*
 * What is told of a gate: who is in and who waits, at one moment.
 *
 * Threads: any.  A lease cannot end its transaction while this has the gate's lock.
 */
#include "txn/gate_state.h"

#include <string.h>

static void view_run(const struct lido__gate_who *who, int64_t age_ns,
                     struct lido_holder *out)
{
    *out = (struct lido_holder){ .size = sizeof *out,
                                 .thread = lido__thread_id(who->thread),
                                 .age_ns = age_ns };
    if (who->label != NULL)
        strncpy(out->label, who->label, sizeof out->label - 1);
}

static void view_lease(const struct lido__gate_who *who, int64_t age_ns,
                       struct lido_holder *out)
{
    if (who->cell == NULL)
        view_run(who, age_ns, out);
    else if (!lido__holder_read(who->cell, lido__age_ns(who->clock), out))
        *out = (struct lido_holder){ .size = sizeof *out }; /* ended, or being told anew */
}

/* The three queues become one, in order of arrival. */
static void view_waiters_locked(const struct lido__gate *gate, struct lido__gate_view *view)
    LIDO_TSA(requires_capability(gate->lock))
{
    const struct lido__gate_wait *at[LIDO__GATE_PRIORITIES];

    for (int i = 0; i < LIDO__GATE_PRIORITIES; i++)
        at[i] = gate->queues[i].oldest;
    for (; view->shown < LIDO__GATE_SHOWN; view->shown++) {
        const struct lido__gate_wait **first = NULL;

        for (int i = 0; i < LIDO__GATE_PRIORITIES; i++)
            if (at[i] != NULL && (first == NULL || at[i]->arrival < (*first)->arrival))
                first = &at[i];
        if (first == NULL)
            return;
        view->waiters[view->shown].waited_ns = lido__gate_waited_ns(*first);
        view->waiters[view->shown].priority = (*first)->priority;
        view_lease(&(*first)->who, lido__gate_waited_ns(*first),
                   &view->waiters[view->shown].lease);
        *first = (*first)->next;
    }
}

/* A lease cannot end its transaction while this has the lock: the clocks are there. */
static void view_holder_locked(const struct lido__gate *gate, struct lido__gate_view *view)
    LIDO_TSA(requires_capability(gate->lock))
{
    view->is_held = gate->is_held;
    if (!view->is_held)
        return;
    view->held_ns = lido__age_ns(gate->holder.clock) - gate->since_ns;
    view_lease(&gate->holder, view->held_ns, &view->holder);
}

void lido__gate_look(struct lido__gate *gate, struct lido__gate_view *view)
{
    const struct lido__gate_file *file = lido__gate_file_of(gate);

    memset(view, 0, sizeof *view);
    lido__mutex_lock(&gate->lock);
    view->counts = gate->counts;
    for (int i = 0; i < LIDO__GATE_PRIORITIES; i++)
        view->waiting[i] = gate->queues[i].length;
    view_holder_locked(gate, view);
    view_waiters_locked(gate, view);
    lido__mutex_unlock(&gate->lock);
    view->is_process = file != NULL;
    if (file != NULL)
        lido__gate_file_count(file, &view->counts.process_waits,
                              &view->counts.process_wait_ns);
}

void lido__gate_describe(struct lido__gate *gate, char *text, size_t size)
{
    struct lido__gate_view view = { .is_held = false };
    size_t used;

    text[0] = '\0';
    lido__mutex_lock(&gate->lock);
    view_holder_locked(gate, &view);
    lido__mutex_unlock(&gate->lock);
    if (view.is_held && view.holder.thread != 0) {
        view.holder.age_ns = view.held_ns;
        lido__holder_describe(&view.holder, "; held by", text, size);
    }
    used = strlen(text);
    lido__gate_file_describe(lido__gate_file_of(gate), text + used, size - used);
}
