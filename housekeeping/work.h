/* SPDX-License-Identifier: MIT */
#ifndef LIDO_HOUSEKEEPING_WORK_H
#define LIDO_HOUSEKEEPING_WORK_H

/*
 * A job under way: how far it is, and whether it is to end.
 *
 * All of housekeeping stands on lido's public headers, and on base/ for text and time.
 *
 * Threads: the one that runs the job.
 */
#include <lido/job.h>
#include <stdbool.h>

struct lido__work {
    const struct lido_job *job; /* never NULL */
    struct lido_progress now;
    int64_t began_ns;
    int64_t deadline_ns; /* LIDO_NO_DEADLINE: none */
    int64_t told_ns;     /* when `progress` was called last */
    sqlite3 *reads;      /* what the phase reads through; NULL: that is not counted */
    double pages;        /* that are to be read of it */
    unsigned before;     /* what it had read when the phase began */
    double pages_per_s;  /* and may be read, not more; 0: no bound */
    int64_t phase_ns;    /* when the phase began */
    int rc;              /* why it is to end, once it is; *why says the same */
    struct lido_error why;
};

/* SQLITE_MISUSE: the size of a `struct name` of the host's is none that is known. */
int lido__bad_size(const char *name, struct lido_error *err);

/* SQLITE_MISUSE, LIDO_BAD_OPTION: *job is none.  NULL: nobody asks. */
int lido__work_begin(struct lido__work *work, const struct lido_job *job,
                     struct lido_error *err);

/* A phase begins; `total` 0: not known.  This and those below answer LIDO_OK, or why the job is
   to end: LIDO_CANCELLED, LIDO_TXN_TIMEOUT, what `progress` said.  Once they did, always. */
int lido__work_phase(struct lido__work *work, const char *phase, const char *unit,
                     uint64_t total, struct lido_error *err);
/* In the phase that has begun SQLite is to read the pages of `db`, so many (0: not known), so
   many times: what it has read tells how far it is, also where the unit is another.  Its page
   cache is let go for that, if anybody asks.  `db` stays open until the phase is done, or the
   job has failed.  False: it cannot be told. */
bool lido__work_reads(struct lido__work *work, sqlite3 *db, uint64_t pages, unsigned times);
/* Waits until so much of the phase is due, at so much a second; 0: at once. */
int lido__work_pace(struct lido__work *work, double done, double per_s,
                    struct lido_error *err);
/* It is so far.  Call it as often as you like. */
int lido__work_at(struct lido__work *work, uint64_t done, struct lido_error *err);
/* All of the phase is done: told in any case. */
int lido__work_done(struct lido__work *work, struct lido_error *err);
/* Is the job to end?  Calls nobody but the token. */
int lido__work_check(struct lido__work *work, struct lido_error *err);

/* SQL on a handle of the job's own ends when the job is to end, by SQLite's progress handler.
   `work` NULL: no more. */
void lido__work_watch(struct lido__work *work, sqlite3 *db);
/* The same on a lease, whose own handler stays.  An adopted handle has none: there the job ends
   between two statements. */
void lido__work_watch_lease(struct lido__work *work, const struct lido_conn *conn);

/* The answer for a failed call on `db`: why the job was to end if that is it, or what SQLite
   says, after `doing`. */
int lido__work_fail(struct lido__work *work, sqlite3 *db, int rc, const char *doing,
                    struct lido_error *err);

/* What is left until the deadline, for a wait; -1: for ever. */
int64_t lido__work_left_ms(const struct lido__work *work);

/* What errno means, as strerror() does, which threads may not share: in `text`, or static. */
#define LIDO__REASON_SIZE 80
const char *lido__reason(int number, char *text);

/* The name of a job's database for an error: never NULL. */
const char *lido__database_name(struct lido_database at);
/* A URI by which SQLite opens the file for reading, and leaves no trace where it is told that
   the file is immutable.  From sqlite3_malloc(); NULL: no memory. */
char *lido__database_uri(const char *path, bool is_immutable);
/* SQLITE_MISUSE unless exactly one of the three is set. */
int lido__database_check(struct lido_database at, struct lido_error *err);
/* The pool to work on: the host's, or one that is opened for the job, of the kind null, with
   `timeout_ms` for locks, and *is_own is true: lido_pool_free() is the caller's.  Unless
   `may_create` a file that is missing answers LIDO_NOT_FOUND; by a URL with `file:` or a VFS
   it is SQLITE_CANTOPEN at the checkout. */
int lido__database_pool(struct lido_database at, bool may_create, int64_t timeout_ms,
                        lido_pool **pool, bool *is_own, struct lido_error *err);

#endif
