/* SPDX-License-Identifier: MIT */
#ifndef LIDO_JOB_H
#define LIDO_JOB_H

#include <lido/cancel.h>
#include <lido/pool.h>
#include <lido/status.h>
#include <stdint.h>

/*
 * What all jobs of housekeeping share: which database they are for, how they tell how far they
 * are, and what ends them early.
 *
 * A job is one call that may take long: a check, a backup, a dump, a copy.  It runs on the
 * calling thread from beginning to end.  It does all of what it is asked or, where it fails, is
 * cancelled or runs out of time, leaves everything as it was.  Two go on step by step and keep
 * what they have done: lido_checkpoint() and lido_vacuum_some().
 */

#ifdef __cplusplus
extern "C" {
#endif

/* A database: one of the three is set.  lido_at_path() and the others make one.  At a path, or
   the path in a URL, is a regular file or a link to one: a folder, a pipe or a device is not
   opened, and but for lido_check(), which has a verdict, the answer is SQLITE_CANTOPEN. */
struct lido_database {
    const char *path; /* a file, by its name in the file system */
    const char *url;  /* what lido_pool_open() takes: a pool is opened for the job alone */
    lido_pool *pool;  /* that the host has opened; the job checks a connection out */
};

static inline struct lido_database lido_at_path(const char *path)
{
    const struct lido_database at = { path, NULL, NULL };

    return at;
}

static inline struct lido_database lido_at_url(const char *url)
{
    const struct lido_database at = { NULL, url, NULL };

    return at;
}

static inline struct lido_database lido_at_pool(lido_pool *pool)
{
    const struct lido_database at = { NULL, NULL, pool };

    return at;
}

/* How far a job is. */
struct lido_progress {
    const char *phase;  /* what it does now, in one or two words; static */
    const char *unit;   /* of the two numbers: "pages", "bytes", "rows", "statements", or ""
                       where there is nothing to count; static */
    uint64_t done;      /* in this phase */
    uint64_t total;     /* 0: not known.  It may change, as the database does */
    uint64_t restarts;  /* how often it began anew, because others wrote */
    int64_t elapsed_ns; /* since the job began */
    /* Of this phase, from 0 to 1; an estimate where SQLite does it by one statement, or by how
       much of a text was read.  -1: not known */
    double share;
};

/* How a job is told of, and ended early.  NULL in its place: neither. */
struct lido_job {
    size_t size; /* sizeof this struct */

    /* Called when a phase begins and when it ends, and not more than 20 times a second in
       between, on the calling thread, with no lock held; it may call lido, but not for the same
       database.  Nobody is told while the job waits for a connection or at the write gate; the
       token and the time end that too.  Another answer than LIDO_OK ends the job, which answers
       the same, with the text that was written to *err (NULL). */
    int (*progress)(void *ctx, const struct lido_progress *now, struct lido_error *err);
    void *progress_ctx; /* its first argument (NULL) */

    lido_cancel *cancel; /* fired by any thread: the job answers LIDO_CANCELLED (NULL) */
    int64_t
        timeout_ms; /* how long it may take in all: then LIDO_TXN_TIMEOUT; -1: as long as it
                            takes (-1) */
};
#define LIDO_JOB_INIT                                                                      \
    {                                                                                      \
        sizeof(struct lido_job), NULL, NULL, NULL, -1                                      \
    }

#ifdef __cplusplus
}
#endif
#endif
