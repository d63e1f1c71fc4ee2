/* SPDX-License-Identifier: MIT */
/*
 * What the times of `lido-bench checkout` say about each other.
 *
 * Times move with the machine's clock rate and its other work, twofold on a shared one;
 * ratios of times taken one after the other hardly do.  So each is formed within a round,
 * and the median is taken of the ratios, not the ratio of the medians.
 *
 * Threads: one at a time: the results hold the memory that a summary sorts in.
 */
#include "checkout.h"

/* The first four hold 128 statements on each connection, the next four none. */
const struct checkout_ratio checkout_ratios[CHECKOUT_RATIOS] = {
    { .name = "lido_to_floor",
      .over = CHECKOUT_LIDO_STATEMENTS,
      .under = CHECKOUT_FLOOR,
      .at_most = 8 },
    { .name = "lido_to_mutex", .over = CHECKOUT_LIDO_STATEMENTS, .under = CHECKOUT_MUTEX },
    { .name = "zdb_to_lido",
      .over = CHECKOUT_ZDB,
      .under = CHECKOUT_LIDO_STATEMENTS,
      .at_least = 40 },
    { .name = "two_thread_scaling",
      .over = CHECKOUT_LIDO_STATEMENTS,
      .under = CHECKOUT_FLOOR,
      .is_scaling = true },
    { .name = "lido_to_floor_no_statements",
      .over = CHECKOUT_LIDO,
      .under = CHECKOUT_FLOOR },
    { .name = "lido_to_mutex_no_statements",
      .over = CHECKOUT_LIDO,
      .under = CHECKOUT_MUTEX },
    { .name = "zdb_to_lido_no_statements", .over = CHECKOUT_ZDB, .under = CHECKOUT_LIDO },
    { .name = "two_thread_scaling_no_statements",
      .over = CHECKOUT_LIDO,
      .under = CHECKOUT_FLOOR,
      .is_scaling = true },
    { .name = "statements_to_none",
      .over = CHECKOUT_LIDO_STATEMENTS,
      .under = CHECKOUT_LIDO },
};

struct summary checkout_real(const struct checkout *checkout, unsigned subject,
                             unsigned level)
{
    for (unsigned i = 0; i < checkout->n_rounds; i++)
        checkout->scratch[i] = checkout->rounds[i].samples[subject][level].real_ns;
    return measure_summary(checkout->scratch, checkout->n_rounds);
}

double checkout_cpu_median(const struct checkout *checkout, unsigned subject,
                           unsigned level)
{
    for (unsigned i = 0; i < checkout->n_rounds; i++)
        checkout->scratch[i] = checkout->rounds[i].samples[subject][level].cpu_ns;
    return measure_summary(checkout->scratch, checkout->n_rounds).median;
}

bool checkout_ratio_has(const struct checkout *checkout, const struct checkout_ratio *ratio)
{
    return ratio->over < checkout->n_subjects && ratio->under < checkout->n_subjects;
}

struct summary checkout_ratio_value(const struct checkout *checkout,
                                    const struct checkout_ratio *ratio)
{
    for (unsigned i = 0; i < checkout->n_rounds; i++) {
        const struct sample *over = checkout->rounds[i].samples[ratio->over];
        const struct sample *under = checkout->rounds[i].samples[ratio->under];

        /* Throughput of n threads is n by the time; the n cancel out between the two. */
        checkout->scratch[i] = ratio->is_scaling ? (over[0].real_ns / over[1].real_ns) /
                                                       (under[0].real_ns / under[1].real_ns)
                                                 : over[0].real_ns / under[0].real_ns;
    }
    return measure_summary(checkout->scratch, checkout->n_rounds);
}

bool checkout_ratio_is_met(const struct checkout_ratio *ratio, double value)
{
    return (ratio->at_most == 0 || value <= ratio->at_most) &&
           (ratio->at_least == 0 || value >= ratio->at_least);
}
