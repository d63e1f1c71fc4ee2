/* SPDX-License-Identifier: MIT */
#ifndef LIDO_TESTS_TABLE_COPY_STAGE_H
#define LIDO_TESTS_TABLE_COPY_STAGE_H

/*
 * The stage for jobs on tables, for copies from its first database to its second.
 *
 * Threads: one.
 */
#include "tests/support/table_stage.h"

static struct lido_table_copy_options options;
static struct lido_table_result result;

static inline void set_up(void)
{
    stage_set_up();
    options = (struct lido_table_copy_options)LIDO_TABLE_COPY_OPTIONS_INIT;
    result = (struct lido_table_result)LIDO_TABLE_RESULT_INIT;
}

static inline int copy(const char *table)
{
    return lido_table_copy(lido_at_path(stage_a), table, lido_at_path(stage_b), &options,
                           &result, &err);
}

#define EXPECT_DONE(call) cr_expect_eq((call), LIDO_OK, "%s", err.text)

#endif
