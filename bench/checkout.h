/* SPDX-License-Identifier: MIT */
#ifndef LIDO_BENCH_CHECKOUT_H
#define LIDO_BENCH_CHECKOUT_H

/*
 * The results of `lido-bench checkout`, and the ways to show them.
 */
#include "measure.h"

#include <stdio.h>

enum checkout_subject {
    CHECKOUT_FLOOR,
    CHECKOUT_MUTEX,
    CHECKOUT_LIDO,
    CHECKOUT_LIDO_STATEMENTS,
    CHECKOUT_ZDB, /* the last: it may be absent */
    CHECKOUT_SUBJECTS
};
#define CHECKOUT_LEVELS 4
extern const unsigned checkout_threads[CHECKOUT_LEVELS]; /* 1, 2, 4, 8 */

struct checkout_round {
    struct sample samples[CHECKOUT_SUBJECTS][CHECKOUT_LEVELS];
};

struct checkout {
    struct subject subjects[CHECKOUT_SUBJECTS];
    unsigned n_subjects; /* CHECKOUT_SUBJECTS, or one less without libzdb */
    uint64_t iterations[CHECKOUT_SUBJECTS][CHECKOUT_LEVELS];
    struct checkout_round *rounds;
    unsigned n_rounds;
    double *scratch; /* n_rounds of them, for whoever computes a summary */
};

/* Over all rounds. */
struct summary checkout_real(const struct checkout *checkout, unsigned subject,
                             unsigned level);
double checkout_cpu_median(const struct checkout *checkout, unsigned subject,
                           unsigned level);

/* What one number is to another: formed in each round, so that a slow round cancels out. */
struct checkout_ratio {
    const char *name;
    enum checkout_subject over, under;
    bool is_scaling; /* two threads' throughput by one's, of `over` by that of `under` */
    double at_most;  /* the target, or 0 */
    double at_least; /* the target, or 0 */
};
#define CHECKOUT_RATIOS 9
extern const struct checkout_ratio checkout_ratios[CHECKOUT_RATIOS];

/* False if a subject of it is absent. */
bool checkout_ratio_has(const struct checkout *checkout,
                        const struct checkout_ratio *ratio);
struct summary checkout_ratio_value(const struct checkout *checkout,
                                    const struct checkout_ratio *ratio);
bool checkout_ratio_is_met(const struct checkout_ratio *ratio, double value);

void checkout_print(const struct checkout *checkout, FILE *out);
void checkout_json(const struct checkout *checkout, FILE *out);
void checkout_plot(const struct checkout *checkout, FILE *out);

#endif
