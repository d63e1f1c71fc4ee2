/* SPDX-License-Identifier: MIT */
#ifndef LIDO_TESTS_LEDGER_H
#define LIDO_TESTS_LEDGER_H

/*
 * The ledger: a small database file and one transaction on it, of which all or nothing may
 * ever be seen.  The transaction moves an amount between two tables, sets savepoints and goes
 * back to one, makes and drops tables, touches more pages than the cache holds, and counts.
 *
 * The file stands in a folder of its own, in memory if there is such a place: disks are slow,
 * and no power fails here.
 *
 * Threads: one.
 */
#include <lido/lido.h>

/* Makes the folder and the file in that journal mode ("delete", "truncate", "persist", "wal"),
   and remembers its bytes.  At the end all is removed, if it is there: for .fini too. */
void ledger_make(const char *journal);
void ledger_remove(void);

/* The file as it was made; nobody may have it open. */
void ledger_restore(void);

/* Its path, and the URL of a pool on it; `more` follows as "&key=value", with the kind of the
   pool. */
#define LEDGER_QUEUE "&pool=queue&pool_size=1&max_overflow=0"
const char *ledger_path(void);
const char *ledger_url(const char *more);

/* The transaction without its begin and its end, by steps: each may be done again if it failed
   and the transaction is still open. */
int ledger_steps(void);
int ledger_step(const struct lido_conn *conn, int step, struct lido_error *err);

/* All of them: for the runner. */
int ledger_work(void *ctx, const struct lido_conn *conn, struct lido_error *err);

/* What is there, and that it is sound, by SQLite's own check too.  BUSY: a lock is in the
   way. */
enum ledger { LEDGER_BEFORE, LEDGER_AFTER, LEDGER_BROKEN, LEDGER_BUSY };
enum ledger ledger_look(sqlite3 *db);

/* By a connection of its own; and in a copy of the files, as one finds it after a crash at
   this moment. */
enum ledger ledger_look_beside(void);
enum ledger ledger_look_after_crash(void);

/* "before", "after", or the story of what is broken. */
const char *ledger_story(enum ledger state);

#endif
