/* SPDX-License-Identifier: MIT */
#ifndef LIDO_BENCH_CHECKOUT_H
#define LIDO_BENCH_CHECKOUT_H

/*
 * The subjects of `lido-bench checkout`, and their picture.
 */
#include "results.h"

enum checkout_subject {
    CHECKOUT_FLOOR,
    CHECKOUT_MUTEX,
    CHECKOUT_LIDO,
    CHECKOUT_LIDO_STATEMENTS,
    CHECKOUT_LIDO_NO_GUARD,
    CHECKOUT_ZDB, /* the last: it may be absent */
    CHECKOUT_SUBJECTS
};
static_assert((int)CHECKOUT_SUBJECTS <= MAX_SUBJECTS, "a place for each");

void checkout_plot(const struct results *results, FILE *out);

#endif
