/* SPDX-License-Identifier: MIT */
#ifndef TESTS_HISTORIES_WORKLOAD_H
#define TESTS_HISTORIES_WORKLOAD_H

#include "tests/histories/history.h"
#include <sqlite3.h>

/* One attempt at a transaction, between its begin and its end. */
struct attempt {
    struct history *history;
    struct txn *txn;
    sqlite3 *db;
    uint64_t random; /* the plan: the same at each attempt */
};

/*
 * Reads and writes as the workload has it, and records it.  SQLITE_OK, or what SQLite
 * answered where it was busy; anything else ends the process.
 *
 * Threads:   the one whose attempt it is.
 */
int workload_run(struct attempt *attempt);

/* Makes the rows, outside of any transaction. */
void workload_set_up(const struct settings *settings, sqlite3 *db);

/* Reads all rows. */
int workload_read_all(struct attempt *attempt);

/* Lets others run, or not, so that they meet at every place. */
void workload_pause(uint64_t *random);

/* SQLITE_BUSY of any kind: the transaction is to be tried again from its beginning. */
static inline bool workload_is_busy(int rc)
{
    return (rc & 0xff) == SQLITE_BUSY;
}

#endif
