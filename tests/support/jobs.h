/* SPDX-License-Identifier: MIT */
#ifndef LIDO_TESTS_JOBS_H
#define LIDO_TESTS_JOBS_H

/*
 * Every job of housekeeping that goes by files, as a row of one table, and what is to be true
 * after it failed: the databases are as they were, and nothing else is in the folder.
 *
 *     jobs_set_up("wal");
 *     for (each of jobs[]) {
 *         jobs_learn(job);                 ...once, where nothing fails
 *         ...make something fail...
 *         rc = job->run(jobs_a(), &err);
 *         ...nothing fails any more...
 *         jobs_expect(job, rc, &err, "what failed");
 *     }
 *     jobs_tear_down();
 *
 * Threads: one.
 */
#include <lido/lido.h>

#include <stdbool.h>

struct job_row {
    const char *name;
    int (*run)(struct lido_database a, struct lido_error *err);
    bool makes;     /* a file "made.db", the same each time */
    bool is_silent; /* it only reads: a.db stays to the byte */
};
extern const struct job_row jobs[];
extern const int n_jobs;

/* A folder of its own, which becomes the working directory, with a.db and b.db. */
void jobs_set_up(const char *journal_mode);
void jobs_tear_down(void);
/* Both files as jobs_set_up() made them; nothing else is left.  Nobody may have them open. */
void jobs_put_back(void);

struct lido_database jobs_at_file(void);
/* A pool on a.db of its own: lido_pool_free(). */
lido_pool *jobs_pool(void);

/* Runs it where nothing fails, and keeps what both databases and what it made hold then. */
void jobs_learn(const struct job_row *job);

/* What a job may leave: bits. */
#define JOBS_STRICT  0
#define JOBS_WHOLE   1 /* all is as before, or as after, whatever it answered */
#define JOBS_JOURNAL 2 /* beside a database is a journal that SQLite could not take away */

/* What it answered is an error with a text, and all as before, or LIDO_OK, and all as learnt.
   Answers true, and says why not on stderr otherwise: `what` is told along. */
bool jobs_expect(const struct job_row *job, int left, int rc, const struct lido_error *err,
                 const char *what);

/* A row of the table; it is there. */
const struct job_row *job_named(const char *name);

/* A file in the folder that is neither of the two databases: free(); NULL: there is none. */
char *jobs_other(void);

/* All that is in a database, as a text to be given to sqlite3_free(). */
char *jobs_content(const char *path);

#endif
