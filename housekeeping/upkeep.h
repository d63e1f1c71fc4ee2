/* SPDX-License-Identifier: MIT */
#ifndef LIDO_HOUSEKEEPING_UPKEEP_H
#define LIDO_HOUSEKEEPING_UPKEEP_H

/*
 * What the jobs of upkeep share: their options, and SQL on the job's seat.
 *
 * Threads: the one that runs the job.
 */
#include "housekeeping/seat.h"
#include <lido/upkeep.h>

struct lido__upkeep {
    struct lido__work work;
    struct lido_upkeep_options options;
    const char *name; /* of the database, for errors */
    struct lido__seat seat;
};

/* Options checked, a connection checked out.  After a failure nothing is to be ended. */
int lido__upkeep_begin(struct lido__upkeep *upkeep, struct lido_database at,
                       const struct lido_upkeep_options *options, struct lido_error *err);
/* As lido__seat_judge(), and names a file that is no database. */
int lido__upkeep_judge(struct lido__upkeep *upkeep, int rc, struct lido_error *err);
/* Runs SQL. */
int lido__upkeep_exec(struct lido__upkeep *upkeep, const char *sql, struct lido_error *err);
/* The number that a query answers in its only row. */
int lido__upkeep_number(struct lido__upkeep *upkeep, const char *sql, int64_t *out,
                        struct lido_error *err);

#endif
