/* SPDX-License-Identifier: MIT */
/*
 * What is told of a gate: who is in and who waits, at one moment.
 *
 * Threads: any.  A lease cannot end its transaction while this has the gate's lock.
 */
#include "base/lives.h"
#include "base/text.h"
#include "pool/holders.h"
#include "txn/gate_state.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void view_run(const struct lido__gate_who *who, int64_t age_ns,
                     struct lido_holder *out)
{
    *out = (struct lido_holder){ .size = sizeof *out,
                                 .thread = lido__thread_id(who->thread),
                                 .age_ns = age_ns,
                                 .is_gone = lido__life_is_over(who->thread) };
    if (who->label != NULL)
        strncpy(out->label, who->label, sizeof out->label - 1);
}

static void view_lease(const struct lido__gate_who *who, int64_t age_ns,
                       struct lido_holder *out)
{
    if (who->cell == NULL)
        view_run(who, age_ns, out);
    else if (!lido__holder_read(who->cell, lido__age_ns(who->clock), out) ||
             out->lease != who->generation) /* its cell may be the next one's */
        *out = (struct lido_holder){ .size = sizeof *out }; /* ended, or being told anew */
}

static void view_sql(const struct lido__gate *gate, char *text)
{
    uint64_t words[LIDO__GATE_SQL_WORDS], noted = lido__observe(&gate->noted);

    for (int i = 0; i < LIDO__GATE_SQL_WORDS; i++)
        words[i] = lido__observe(&gate->sql[i]);
    if (words[0] != 0 && noted % 2 == 0 && lido__read(&gate->noted) == noted)
        memcpy(text, words, sizeof words);
    lido__text_tidy(text, strlen(text) == sizeof words - 1);
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
    view_sql(gate, view->sql);
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

/* How much of it there was room for. */
__attribute__((format(printf, 3, 4))) static size_t text_add(char *text, size_t size,
                                                             const char *format, ...)
{
    va_list values;
    int length;

    va_start(values, format);
    length = vsnprintf(text, size, format, values);
    va_end(values);
    if (length < 0)
        return 0;
    return (size_t)length < size ? (size_t)length : size - 1;
}

/* How many wait, of which priority, and since when. */
static size_t add_waiters(const struct lido__gate_view *view, char *text, size_t size)
{
    static const char *const names[] = { "low", "normal", "high" };
    const char *lead = "; in line:";
    size_t used = 0;

    for (int i = LIDO__GATE_PRIORITIES - 1; i >= 0; i--) {
        if (view->waiting[i] == 0)
            continue;
        used += text_add(text + used, size - used, "%s %lld %s", lead,
                         (long long)view->waiting[i], names[i]);
        lead = ",";
    }
    if (view->shown > 0)
        used += text_add(text + used, size - used, ", the first for %lld ms",
                         (long long)(view->waiters[0].waited_ns / LIDO_NS_PER_MS));
    return used;
}

void lido__gate_describe(struct lido__gate *gate, char *text, size_t size)
{
    struct lido__gate_view view;
    size_t used = 0;

    text[0] = '\0';
    lido__gate_look(gate, &view);
    if (view.is_held && view.holder.thread != 0) {
        view.holder.age_ns = view.held_ns;
        used = lido__holder_describe(&view.holder, "; held by", text, size);
    }
    if (used > 0 && view.sql[0] != '\0')
        used += text_add(text + used, size - used, ", which runs %.40s", view.sql);
    used += add_waiters(&view, text + used, size - used);
    lido__gate_file_describe(lido__gate_file_of(gate), text + used, size - used);
}
