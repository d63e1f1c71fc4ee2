/* SPDX-License-Identifier: MIT */
#ifndef LIDO_TESTS_BANK_H
#define LIDO_TESTS_BANK_H

/*
 * The bank: a database of accounts whose sum never changes, and of clerks, each with the number
 * of transfers that it has made.  A transfer takes from one account, gives to another and
 * counts, in one transaction.  What a clerk was told to be committed it writes down in memory
 * that outlives its process: so it is known of each transfer whether it must be there.
 *
 * Clerks are threads, in whatever process.  Number 0 is the foreign one: SQLite's own
 * connection in another process, with nothing of lido (other_process.h).
 *
 * Threads: bank_transfer() any, one for each clerk; the rest is the test's.
 */
#include <lido/lido.h>
#include <pthread.h>
#include <stdbool.h>

#define BANK_CLERKS  16
#define BANK_FOREIGN 0

/* Makes the file in a folder of its own, and starts the foreign clerk's process; no pool may be
   open.  At the end all is removed, if it is there: for .fini too. */
void bank_make(const char *journal);
void bank_remove(void);

/* The same bank in a program that this one started: what bank_folder() says here is told to
   bank_join() there, and stays with the journal mode that the file has. */
const char *bank_folder(void);
void bank_join(const char *folder_of_bank);

/* The URL of a queue pool for as many threads as there are clerks, which waits for locks for
   longer than a test lasts; `more` follows as "&key=value". */
const char *bank_url(const char *more);

/* A pool on it, or the end of the process, for a child of the test may call it. */
lido_pool *bank_open(const char *more);

struct bank_clerk {
    int number;
    bool
        by_runner; /* lido_pool_run(), else a lease, lido_txn_begin() and lido_txn_commit() */
    /* What it does on its way, with `number`; NULL: nothing. */
    void (*before_write)(int number);
    void (*half_way)(int number); /* taken, and not yet given */
    void (*after_write)(int number);
    void (*after_commit)(int number); /* before it is written down */
};
/* One transfer: LIDO_OK if it is committed and written down. */
int bank_transfer(const struct bank_clerk *clerk, lido_pool *pool, struct lido_error *err);

/* Threads that make `each` transfers, by turns with the runner and with leases; their numbers
   count from `first`.  The end waits for them: LIDO_OK, or what the first that failed was
   answered, which is told on the standard error.  Between the two steps of the start the
   clerks may be given something to do on their way. */
#define BANK_MOST_IN_TEAM 8
struct bank_member {
    pthread_t thread;
    struct bank_clerk clerk;
    lido_pool *pool;
    int each;
    int rc;
    struct lido_error err;
};
struct bank_team {
    int count;
    struct bank_member members[BANK_MOST_IN_TEAM];
};
void bank_team_start(struct bank_team *team, lido_pool *pool, int first, int count,
                     int each);
void bank_team_prepare(struct bank_team *team, lido_pool *pool, int first, int count,
                       int each);
void bank_team_go(struct bank_team *team);
int bank_team_end(struct bank_team *team);

/* The same for the foreign one, which never waits for a lock: again until it has got it.
   In two steps too. */
void bank_foreign_transfer(void);
int bank_foreign_begin(void); /* SQLITE_BUSY: it has not got the lock */
void bank_foreign_end(void);

/* How many transfers of a clerk are written down. */
long bank_written_down(int number);

/* How many are there, by a connection of its own. */
long bank_made(int number);

/* The sum, SQLite's own check, and for each clerk the number of its transfers, one more at
   most for `killed` (-1: nobody), whose last one may have been committed unheard. */
void bank_expect_sound(int killed, const char *when);

#endif
