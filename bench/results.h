/* SPDX-License-Identifier: MIT */
#ifndef LIDO_BENCH_RESULTS_H
#define LIDO_BENCH_RESULTS_H

/*
 * What a benchmark is made of, its results, and the ways to show them.
 *
 * Threads: one at a time.
 */
#include "measure.h"
#include "scratch.h"

#include <assert.h>
#include <stdio.h>

#define MAX_SUBJECTS 8
#define MAX_LEVELS   4

/* What one number is to another: formed in each round, so that a slow round cancels out. */
struct ratio {
    const char *name;
    unsigned over, under; /* numbers of subjects */
    unsigned level;       /* at which they are compared */
    bool is_scaling; /* two threads' throughput by one's, of `over` by that of `under` */
    double at_most;  /* the target, or 0 */
    double at_least; /* the target, or 0 */
};

struct results;

struct benchmark {
    const char *name;   /* of the sub-command */
    const char *schema; /* of its JSON */
    const char *help;
    const char *ratios_title; /* of the ratios in the table */
    const unsigned *threads;  /* the levels: how many threads */
    unsigned n_levels;
    const struct ratio *ratios;
    unsigned n_ratios;

    /* Fills in the subjects, and how many there are.  Those it opened before it failed are
       closed too. */
    int (*open)(struct results *out, const struct scratch *scratch, struct lido_error *err);

    void (*plot)(const struct results *results, FILE *out); /* NULL: none */
};

struct round {
    struct sample samples[MAX_SUBJECTS][MAX_LEVELS];
};

struct results {
    const struct benchmark *of;
    struct subject subjects[MAX_SUBJECTS];
    unsigned n_subjects;
    uint64_t iterations[MAX_SUBJECTS][MAX_LEVELS];
    struct round *rounds;
    unsigned n_rounds;
    double *scratch; /* n_rounds of them, for whoever computes a summary */
};

/* Over all rounds. */
struct summary results_real(const struct results *results, unsigned subject,
                            unsigned level);
double results_cpu_median(const struct results *results, unsigned subject, unsigned level);

/* False if a subject of it is absent. */
bool ratio_has(const struct results *results, const struct ratio *ratio);
struct summary ratio_value(const struct results *results, const struct ratio *ratio);
bool ratio_is_met(const struct ratio *ratio, double value);

/* A line of a table of ratios, as print_ratio() has them; value NULL: there is none. */
void results_ratio_titles(FILE *out, const char *title, const char *spread);
void results_ratio_line(FILE *out, const char *name, const struct summary *value,
                        bool has_spread, const char *target);

void results_print(const struct results *results, FILE *out);
void results_json(const struct results *results, FILE *out);

/* The sub-command: reads the options, measures, shows; an exit code. */
int benchmark_command(const struct benchmark *benchmark, int argc, char **argv);

#endif
