/* SPDX-License-Identifier: MIT */
/*
 * Histogram: buckets that grow with the value.
 *
 * Below 32 each value has a bucket; from there on each power of two is cut into 32 equal
 * ones, so a bucket is never wider than 1/32 of the values in it.  The index is the
 * exponent and the five bits under the leading one, glued together:
 *
 *     value 1 0110 101..  -->  exponent, 01101
 *
 * Threads: one at a time; a thread fills its own and they are merged afterwards.
 */
#include "report/histogram.h"

#include <assert.h>
#include <stddef.h>

enum { STEP_BITS = 5, VALUE_BITS = 40 };
static_assert(HISTOGRAM_STEPS == 1 << STEP_BITS,
              "a step is told by the bits under the top");
static_assert(
    HISTOGRAM_BUCKETS == (VALUE_BITS - STEP_BITS + 1) * HISTOGRAM_STEPS + 1,
    "one row for the values below 32, one for each power of two, one bucket above");

static size_t bucket_of(uint64_t value)
{
    unsigned exponent;

    if (value < HISTOGRAM_STEPS)
        return (size_t)value;
    exponent = 63 - (unsigned)__builtin_clzll(value);
    if (exponent >= VALUE_BITS)
        return HISTOGRAM_BUCKETS - 1;
    return (exponent - STEP_BITS + 1) * (size_t)HISTOGRAM_STEPS +
           ((value >> (exponent - STEP_BITS)) & (HISTOGRAM_STEPS - 1));
}

/* The largest value that falls into a bucket. */
static int64_t bucket_top(size_t bucket)
{
    size_t row = bucket / HISTOGRAM_STEPS;
    size_t step = bucket % HISTOGRAM_STEPS;

    if (row == 0)
        return (int64_t)step;
    return (int64_t)(((HISTOGRAM_STEPS + step + 1) << (row - 1)) - 1);
}

void histogram_add(struct histogram *histogram, int64_t value)
{
    if (value < 0)
        value = 0;
    histogram->count++;
    histogram->buckets[bucket_of((uint64_t)value)]++;
    if (value > histogram->max)
        histogram->max = value;
}

void histogram_merge(struct histogram *histogram, const struct histogram *other)
{
    histogram->count += other->count;
    if (other->max > histogram->max)
        histogram->max = other->max;
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++)
        histogram->buckets[i] += other->buckets[i];
}

int64_t histogram_quantile(const struct histogram *histogram, double share)
{
    double wanted = share * (double)histogram->count;
    uint64_t seen = 0;

    if (histogram->count == 0)
        return 0;
    for (size_t i = 0; i < HISTOGRAM_BUCKETS - 1; i++) {
        seen += histogram->buckets[i];
        if (seen > 0 && (double)seen >= wanted) {
            int64_t top = bucket_top(i);

            return top < histogram->max ? top : histogram->max;
        }
    }
    return histogram->max;
}
