/* SPDX-License-Identifier: MIT */
#ifndef LIDO_REPORT_HISTOGRAM_H
#define LIDO_REPORT_HISTOGRAM_H

/*
 * A histogram of times: any number of them in 9 KB, each kept to 3.2 %.
 */
#include <stdint.h>

/* 32 steps in each power of two; times from 2^40 ns (18 minutes) up share the last one. */
enum { HISTOGRAM_STEPS = 32, HISTOGRAM_BUCKETS = 36 * HISTOGRAM_STEPS + 1 };

/* All zero is an empty one. */
struct histogram {
    uint64_t count;
    int64_t max; /* exact */
    uint64_t buckets[HISTOGRAM_BUCKETS];
};

/* Adds one value; a negative one counts as 0. */
void histogram_add(struct histogram *histogram, int64_t value);

/* Adds all of `other`. */
void histogram_merge(struct histogram *histogram, const struct histogram *other);

/* The least value that `share` (0 to 1) of all values do not exceed, at most 1/32 too large
   and never too small; 0 if there are none.  Above 2^40 it answers the maximum. */
int64_t histogram_quantile(const struct histogram *histogram, double share);

#endif
