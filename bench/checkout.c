/* SPDX-License-Identifier: MIT */
/*
 * lido-bench checkout: what it costs to borrow a connection and to give it back.
 *
 * Threads: one; measure.c starts those that work.
 */
#include "checkout.h"
#include "command.h"

#define STATEMENTS 128 /* as many as pysqlite keeps on each connection */

static const unsigned threads[] = { 1, 2, 4, MAX_THREADS };
static_assert(sizeof threads / sizeof threads[0] <= MAX_LEVELS, "a place for each");

/* The first four hold 128 statements on each connection, the next four none. */
static const struct ratio ratios[] = {
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
    { .name = "guard_to_none", .over = CHECKOUT_LIDO, .under = CHECKOUT_LIDO_NO_GUARD },
};

static int open_subjects(struct results *out, const struct scratch *scratch,
                         struct lido_error *err)
{
    struct subject *subjects = out->subjects;
    char lido_url[3 * SCRATCH_PATH], zdb_url[3 * SCRATCH_PATH];
    int rc = scratch_url(scratch, "lido.db", lido_url, err);

    if (rc == LIDO_OK)
        rc = scratch_url(scratch, "zdb.db", zdb_url, err);
    if (rc != LIDO_OK)
        return rc;
    subject_open_floor(&subjects[CHECKOUT_FLOOR]);
    subject_open_mutex(&subjects[CHECKOUT_MUTEX]);
    rc = subject_open_queue(&subjects[CHECKOUT_LIDO], "lido", lido_url, "", 0, err);
    if (rc == LIDO_OK)
        rc = subject_open_queue(&subjects[CHECKOUT_LIDO_STATEMENTS], "lido/statements:128",
                                lido_url, "", STATEMENTS, err);
    if (rc == LIDO_OK)
        rc = subject_open_queue(&subjects[CHECKOUT_LIDO_NO_GUARD], "lido/no_guard",
                                lido_url, "&session_guard=0", 0, err);
    if (rc != LIDO_OK)
        return rc;
    if (subject_zdb_version() == NULL) {
        out->n_subjects = CHECKOUT_SUBJECTS - 1;
        return LIDO_OK;
    }
    out->n_subjects = CHECKOUT_SUBJECTS;
    return subject_open_zdb(&subjects[CHECKOUT_ZDB], zdb_url, err);
}

int command_checkout(int argc, char **argv)
{
    static const struct benchmark checkout = {
        .name = "checkout",
        .schema = "lido.bench.checkout/1",
        .help =
            "Measures a checkout and check-in of lido's queue pool at 1, 2, 4 and 8 "
            "threads,\n"
            "beside the least that any shared pool can cost (one compare-and-swap and one\n"
            "store), a lock taken twice, and libzdb where the program was built with it.\n",
        .ratios_title = "ratios at 1 thread, or 2 by 1",
        .threads = threads,
        .n_levels = sizeof threads / sizeof threads[0],
        .ratios = ratios,
        .n_ratios = sizeof ratios / sizeof ratios[0],
        .open = open_subjects,
        .plot = checkout_plot,
    };

    return benchmark_command(&checkout, argc, argv);
}
