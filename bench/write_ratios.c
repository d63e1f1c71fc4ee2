/* SPDX-License-Identifier: MIT */
/*
 * lido-bench write: what the cells say about each other, and whether that is enough.
 *
 * Throughputs are compared slice by slice with what ran beside them, and the median is
 * taken; so are the 99.9th percentiles, part by part of the window.  But who starves waits
 * for longer than a part: of SQLite alone it is that of the window which is compared.
 *
 * Threads: one at a time.
 */
#include "write.h"

#include <math.h>

/* Those up to WINDOW_P999 have a spread. */
enum rule {
    TO_ONE_THREAD,     /* throughput by that of the reference */
    FROM_ONE_THREAD,   /* the inverse: times */
    THROUGHPUT,        /* of a by that of b */
    FAIR_SHARE,        /* p99.9 by threads times the time that one thread takes for one */
    P999,              /* of a by that of b, part by part */
    WINDOW_P999,       /* of the window of a by that of b's parts */
    WINDOW_MAX,        /* of the two windows */
    LEAST_TO_MOST,     /* of threads, the worst of all cells that begin at the gate */
    LEAST_OF_ALL,      /* also of those that come to it later: by a hook, or deferred */
    PROCESSES_TO_MOST, /* of processes of a */
    FAILURES,          /* of a, counted */
    KILLS,             /* the worst, in ms */
};

#define FULL1MS(kind, threads)                                                             \
    {                                                                                      \
        WRITE_FULL1MS, kind, threads, 1                                                    \
    }
#define NORMAL(kind, threads)                                                              \
    {                                                                                      \
        WRITE_NORMAL, kind, threads, 1                                                     \
    }
#define PROCESSES(kind)                                                                    \
    {                                                                                      \
        WRITE_FULL1MS, kind, 2, WRITE_PROCESSES                                            \
    }
#define NONE (-1)

static const struct definition {
    const char *name;
    enum rule rule;
    struct write_spec a, b;
    double at_most; /* NONE: no bound; 0 is one */
    double at_least, stretch;
} definitions[] = {
    { "full1ms_8_throughput_to_one_thread", TO_ONE_THREAD, FULL1MS(WRITE_GATE, 8),
      .at_most = NONE, .at_least = 0.95 },
    { "full1ms_8_p999_to_fair_share", FAIR_SHARE, FULL1MS(WRITE_GATE, 8), .at_most = 1.4 },
    { "full1ms_32_p999_to_fair_share", FAIR_SHARE, FULL1MS(WRITE_GATE, 32),
      .at_most = 1.25 },
    { "full1ms_8_busy_p999_to_gate", WINDOW_P999, FULL1MS(WRITE_BARE, 8),
      FULL1MS(WRITE_GATE, 8), .at_most = NONE, .at_least = 50 },
    { "full1ms_32_busy_p999_to_gate", WINDOW_P999, FULL1MS(WRITE_BARE, 32),
      FULL1MS(WRITE_GATE, 32), .at_most = NONE, .at_least = 30 },
    { "normal_8_throughput_to_one_thread", TO_ONE_THREAD, NORMAL(WRITE_GATE, 8),
      .at_most = NONE, .at_least = 0.8, .stretch = 0.9 },
    { "normal_32_throughput_to_one_thread", TO_ONE_THREAD, NORMAL(WRITE_GATE, 32),
      .at_most = NONE, .at_least = 0.6, .stretch = 0.8 },
    { "normal_32_busy_max_to_gate", WINDOW_MAX, NORMAL(WRITE_BARE, 32),
      NORMAL(WRITE_GATE, 32), .at_most = NONE, .at_least = 30 },
    { "least_to_most_served", LEAST_TO_MOST, .at_most = NONE, .at_least = 0.75 },
    { "least_to_most_served_by_any_begin", LEAST_OF_ALL, .at_most = NONE },
    { "uncontended_gate_to_bare", FROM_ONE_THREAD, NORMAL(WRITE_GATE, 1), .at_most = 1.03 },
    { "uncontended_gate_to_no_gate", THROUGHPUT, NORMAL(WRITE_UNGATED, 1),
      NORMAL(WRITE_GATE, 1), .at_most = NONE },
    { "read_then_write_failures", FAILURES, NORMAL(WRITE_READ_DEFERS, 16), .at_most = 0 },
    { "read_then_write_to_immediate", THROUGHPUT, NORMAL(WRITE_READ_DEFERS, 16),
      NORMAL(WRITE_READ_FIRST, 16), .at_most = NONE, .at_least = 0.9 },
    { "processes_4x2_busy_p999_to_gate", WINDOW_P999, PROCESSES(WRITE_BARE),
      PROCESSES(WRITE_PROCESS), .at_most = NONE, .at_least = 30 },
    { "processes_least_to_most", PROCESSES_TO_MOST, PROCESSES(WRITE_PROCESS),
      .at_most = NONE, .at_least = 0.8 },
    { "kill_holder_ms", KILLS, PROCESSES(WRITE_PROCESS), .at_most = 50 },
    { "hook_begin_to_mode_begin_p999", P999, FULL1MS(WRITE_HOOK, 8), FULL1MS(WRITE_GATE, 8),
      .at_most = 1.5, .stretch = 1.2 },
    { "hook_begin_to_mode_begin_p999_normal", P999, NORMAL(WRITE_HOOK, 8),
      NORMAL(WRITE_GATE, 8), .at_most = NONE },
};
static_assert(sizeof definitions / sizeof definitions[0] <= WRITE_RATIOS,
              "a place for each");

/* --- values --------------------------------------------------------------------------- */

/* What one thread did beside a part of the cell's window, for each second. */
static double part_reference(const struct write_cell *cell, unsigned part)
{
    const unsigned slices = cell->slices / WRITE_PARTS;
    double sum = 0;

    for (unsigned i = part * slices; i < (part + 1) * slices; i++)
        sum += cell->reference_per_s[i];
    return sum / slices;
}

/* Adds one quotient.  A slice in which nothing ended was too short to say anything. */
static void add(double values[WRITE_SLICES], unsigned *count, double over, double under)
{
    if (over > 0 && under > 0)
        values[(*count)++] = over / under;
}

static unsigned by_slice(enum rule rule, const struct write_cell *a,
                         const struct write_cell *b, double values[WRITE_SLICES])
{
    unsigned count = 0;

    for (unsigned i = 0; i < a->slices; i++) {
        if (rule == TO_ONE_THREAD)
            add(values, &count, a->per_s[i], a->reference_per_s[i]);
        else if (rule == FROM_ONE_THREAD)
            add(values, &count, a->reference_per_s[i], a->per_s[i]);
        else if (b != NULL)
            add(values, &count, a->per_s[i], b->per_s[i]);
    }
    return count;
}

static unsigned by_part(enum rule rule, const struct write_cell *a,
                        const struct write_cell *b, double values[WRITE_SLICES])
{
    const double whole = (double)write_latency(a).p999_ns;
    unsigned count = 0;

    for (unsigned i = 0; i < WRITE_PARTS; i++) {
        double p999 = write_part_p999(a, i);

        if (rule == FAIR_SHARE)
            add(values, &count, p999 * part_reference(a, i), 1e9 * a->threads);
        else
            add(values, &count, rule == P999 ? p999 : whole, write_part_p999(b, i));
    }
    return count;
}

static int is_served_by_gate(const struct write_cell *cell, enum rule rule)
{
    switch (cell->spec.kind) {
    case WRITE_BARE:
    case WRITE_UNGATED: return 0;
    case WRITE_HOOK:
    case WRITE_READ_DEFERS: return rule == LEAST_OF_ALL;
    default: return !cell->is_absent;
    }
}

static double least_to_most(const struct write_run *run, enum rule rule)
{
    double worst = HUGE_VAL;

    for (unsigned i = 0; i < run->n_cells; i++) {
        const struct write_cell *cell = &run->cells[i];

        if (is_served_by_gate(cell, rule) && cell->most > 0)
            worst = fmin(worst, (double)cell->least / (double)cell->most);
    }
    return worst;
}

static double worst_kill(const struct write_run *run)
{
    double worst = 0;

    for (unsigned i = 0; i < run->n_kills; i++)
        worst = fmax(worst, run->kill_ms[i]);
    return worst;
}

static int needs_b(enum rule rule)
{
    return rule == THROUGHPUT || rule == P999 || rule == WINDOW_P999 || rule == WINDOW_MAX;
}

static void compute(const struct write_run *run, const struct definition *definition,
                    struct write_ratio *out)
{
    const enum rule rule = definition->rule;
    const struct write_cell *a = write_find(run, &definition->a);
    const struct write_cell *b = write_find(run, &definition->b);
    double values[WRITE_SLICES];
    unsigned count = 0;

    out->has_value = 1;
    if (rule == LEAST_TO_MOST || rule == LEAST_OF_ALL)
        out->value.median = least_to_most(run, rule);
    else if (rule == KILLS && run->n_kills > 0)
        out->value.median = worst_kill(run);
    else if (a == NULL || (b == NULL && needs_b(rule)) || rule == KILLS)
        out->has_value = 0;
    else if (rule == PROCESSES_TO_MOST)
        out->value.median = (double)a->least_process / (double)a->most_process;
    else if (rule == FAILURES)
        out->value.median = (double)a->failures;
    else if (rule == WINDOW_MAX)
        out->value.median =
            (double)write_latency(a).max_ns / (double)write_latency(b).max_ns;
    else if (rule == FAIR_SHARE || rule == P999 || rule == WINDOW_P999)
        count = by_part(rule, a, b, values);
    else
        count = by_slice(rule, a, b, values);
    if (count > 0)
        out->value = measure_summary(values, count);
    out->has_spread = count > 0;
    if (rule <= WINDOW_P999)
        out->has_value = out->has_spread;
}

static enum write_verdict judge(const struct write_ratio *ratio, int is_quick)
{
    const int has_most = ratio->at_most >= 0;
    const double target = has_most ? ratio->at_most : ratio->at_least;

    if ((!has_most && ratio->at_least == 0) || !ratio->has_value)
        return WRITE_NO_TARGET;
    if (is_quick && ratio->has_spread && ratio->value.low <= target &&
        target <= ratio->value.high)
        return WRITE_UNDECIDED;
    return (has_most ? ratio->value.median <= target : ratio->value.median >= target)
               ? WRITE_MET
               : WRITE_NOT_MET;
}

unsigned write_ratios(const struct write_run *run, struct write_ratio out[WRITE_RATIOS])
{
    const unsigned count = sizeof definitions / sizeof definitions[0];

    for (unsigned i = 0; i < count; i++) {
        out[i] = (struct write_ratio){ .name = definitions[i].name,
                                       .at_most = definitions[i].at_most,
                                       .at_least = definitions[i].at_least,
                                       .stretch = definitions[i].stretch };
        compute(run, &definitions[i], &out[i]);
        out[i].verdict = judge(&out[i], run->is_quick);
    }
    return count;
}
