/* SPDX-License-Identifier: MIT */
#ifndef LIDO_BENCH_MEASURE_H
#define LIDO_BENCH_MEASURE_H

/*
 * One measurement, and what many of them say.
 */
#include "subject.h"

struct sample {
    double real_ns; /* per operation, as each thread sees it */
    double cpu_ns;  /* processor time per operation */
};

/* Times `threads` threads that start together and do `iterations` operations each. */
int measure(const struct subject *subject, unsigned threads, uint64_t iterations,
            struct sample *out, struct lido_error *err);

/* Finds the number of iterations that takes about `target_ns`.  Warms up, too. */
int measure_calibrate(const struct subject *subject, unsigned threads, double target_ns,
                      uint64_t *out, struct lido_error *err);

struct summary {
    double least, low, median, high, most; /* low and high: the quartiles */
};

/* Of `n` values, at least one; sorts them. */
struct summary measure_summary(double *values, size_t n);

#endif
