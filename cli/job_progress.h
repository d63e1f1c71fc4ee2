/* SPDX-License-Identifier: MIT */
#ifndef LIDO_CLI_JOB_PROGRESS_H
#define LIDO_CLI_JOB_PROGRESS_H

/*
 * What a job tells, as a line on stderr.
 */
#include "report/progress.h"

#include <lido/job.h>

struct job_progress {
    struct progress line;
    struct progress_rate rate;       /* of what is counted */
    struct progress_rate share_rate; /* of the phase */
    struct lido_progress last;       /* what was told; phase NULL: nothing yet */
    bool is_said;                    /* elsewhere than on a terminal: `last` stands there */
    int64_t next_ns;                 /* when the next such line is due */
};

void job_progress_init(struct job_progress *progress, enum progress_when when);
/* For struct lido_job; `progress_` is a struct job_progress. */
int job_progress_told(void *progress_, const struct lido_progress *now,
                      struct lido_error *err);
void job_progress_end(struct job_progress *progress);

#endif
