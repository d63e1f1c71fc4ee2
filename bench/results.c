/* SPDX-License-Identifier: MIT */
/*
 * What the times of a benchmark say about each other.
 *
 * Times move with the machine's clock rate and its other work, twofold on a shared one;
 * ratios of times taken one after the other hardly do.  So each is formed within a round,
 * and the median is taken of the ratios, not the ratio of the medians.
 *
 * Threads: one at a time: the results hold the memory that a summary sorts in.
 */
#include "results.h"

struct summary results_real(const struct results *results, unsigned subject, unsigned level)
{
    for (unsigned i = 0; i < results->n_rounds; i++)
        results->scratch[i] = results->rounds[i].samples[subject][level].real_ns;
    return measure_summary(results->scratch, results->n_rounds);
}

double results_cpu_median(const struct results *results, unsigned subject, unsigned level)
{
    for (unsigned i = 0; i < results->n_rounds; i++)
        results->scratch[i] = results->rounds[i].samples[subject][level].cpu_ns;
    return measure_summary(results->scratch, results->n_rounds).median;
}

bool ratio_has(const struct results *results, const struct ratio *ratio)
{
    return ratio->over < results->n_subjects && ratio->under < results->n_subjects;
}

struct summary ratio_value(const struct results *results, const struct ratio *ratio)
{
    for (unsigned i = 0; i < results->n_rounds; i++) {
        const struct sample *over = results->rounds[i].samples[ratio->over];
        const struct sample *under = results->rounds[i].samples[ratio->under];

        /* Throughput of n threads is n by the time; the n cancel out between the two. */
        results->scratch[i] =
            ratio->is_scaling ? (over[0].real_ns / over[1].real_ns) /
                                    (under[0].real_ns / under[1].real_ns)
                              : over[ratio->level].real_ns / under[ratio->level].real_ns;
    }
    return measure_summary(results->scratch, results->n_rounds);
}

bool ratio_is_met(const struct ratio *ratio, double value)
{
    return (ratio->at_most == 0 || value <= ratio->at_most) &&
           (ratio->at_least == 0 || value >= ratio->at_least);
}
