/* SPDX-License-Identifier: MIT */
#ifndef LIDO_HOUSEKEEPING_SEAT_H
#define LIDO_HOUSEKEEPING_SEAT_H

/*
 * A job's place at a database: a lease, its transaction, and what it set in the connection.
 *
 * Threads: the one that runs the job.
 */
#include "housekeeping/work.h"

#include <lido/conn.h>

/* Of sqlite3_db_config(). */
enum lido__flag {
    LIDO__FOREIGN_KEYS,
    LIDO__LEGACY_ALTER,
    LIDO__QUOTED_TEXT, /* in the schema: what stands in double quotes may be a text */
    LIDO__DEFENSIVE,
    LIDO__FLAGS
};

/* Zeros: none.  `work` is the job's, which may have two of these. */
struct lido__seat {
    struct lido__work *work;
    lido_pool *pool;
    bool is_own; /* the pool was opened for the job */
    struct lido_conn conn;
    sqlite3 *db;
    bool is_begun;
    int before[LIDO__FLAGS]; /* as they were; -1: not changed */
};

struct lido__seat_options {
    const char *label;
    int64_t lock_timeout_ms; /* of a pool that is opened for the job; -1: for ever */
    bool may_create;         /* the file */
    bool is_unique;          /* no other lease of the thread shares the connection */
};
#define LIDO__SEAT_OPTIONS_INIT(label)                                                     \
    {                                                                                      \
        label, 5000, false, false                                                          \
    }

/* Checks a connection out.  Its waits and its SQL end when the job is to end.  On failure
   nothing is left; lido__seat_close() may come after in any case. */
int lido__seat_open(struct lido__seat *seat, struct lido__work *work,
                    struct lido_database at, const struct lido__seat_options *options,
                    struct lido_error *err);
int lido__seat_begin(struct lido__seat *seat, int mode, struct lido_error *err);
/* So until the transaction ends; call it once begun. */
void lido__seat_set(struct lido__seat *seat, enum lido__flag flag, bool is_on);
/* The schema's texts are as they are meant: by ALTER TABLE, and with texts in double quotes,
   which lido turns off for statements and SQLite took when they were written. */
void lido__seat_read_schema(struct lido__seat *seat);
/* Flags are put back, SQL is no longer ended by the job, what is open is rolled back. */
void lido__seat_leave(struct lido__seat *seat);
/* The same, but it commits; after a failure the transaction may still be open. */
int lido__seat_commit(struct lido__seat *seat, struct lido_error *err);
/* Commits if there is a transaction, rc is LIDO_OK and the job is not to end; else leaves.
   Answers rc, or why it was not committed. */
int lido__seat_end(struct lido__seat *seat, int rc, struct lido_error *err);
/* Ends it, and gives the lease and an own pool back. */
int lido__seat_close(struct lido__seat *seat, int rc, struct lido_error *err);

/* LIDO_OK if this thread of this process may use it, and the connection is still the same. */
int lido__seat_check(struct lido__seat *seat, struct lido_error *err);
/* The answer for a call of lido's that failed with `rc`, whose story is in *err: why the job
   was to end, if that is it.  LIDO_OK stays. */
int lido__seat_judge(const struct lido__seat *seat, int rc, struct lido_error *err);
/* The same for SQLite's last call on the connection. */
int lido__seat_fail(struct lido__seat *seat, int rc, const char *doing,
                    struct lido_error *err);

/* One statement, by sqlite3_mprintf()'s format, of which `doing` is told in an error.  NULL as
   the text is no memory. */
int lido__seat_exec(struct lido__seat *seat, char *sql_to_free, const char *doing,
                    struct lido_error *err);
/* Prepares it, with up to two texts bound. */
int lido__seat_prepare(struct lido__seat *seat, sqlite3_stmt **stmt, char *sql_to_free,
                       const char *first, const char *second, struct lido_error *err);

#endif
