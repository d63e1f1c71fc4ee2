/* SPDX-License-Identifier: MIT */
/*
 * The three workloads.  In each a transaction decides by what it has read, so that one that
 * read what was not there, or is there no more, leaves a trace.
 *
 *     bank   reads two accounts and writes both, sometimes twice; or reads all
 *     list   reads lists and puts numbers at their ends, up to four operations
 *     skew   reads both switches and turns one, but never the last one off
 *
 * Threads: the one whose attempt it is.
 */
#include "tests/histories/workload.h"

#include "tests/histories/rows.h"
#include <sched.h>
#include <stdio.h>
#include <time.h>

void workload_pause(uint64_t *random)
{
    int chance = settings_random(random, 8);
    struct timespec time = { .tv_nsec = 1000L * settings_random(random, 300) };

    if (chance < 2)
        nanosleep(&time, NULL);
    else if (chance < 4)
        sched_yield();
}

int workload_read_all(struct attempt *attempt)
{
    int rc = SQLITE_OK;

    for (int key = 0; rc == SQLITE_OK && key < attempt->history->settings.keys; key++)
        rc = rows_read(attempt, key, NULL);
    return rc;
}

/* Reads all accounts, and the first one once more. */
static int audit(struct attempt *attempt)
{
    int rc = workload_read_all(attempt);

    return rc == SQLITE_OK ? rows_read(attempt, 0, NULL) : rc;
}

/* Both accounts get what was read, less or more the amount.  In between the first may hold
   a balance that nobody must ever see. */
static int transfer(struct attempt *attempt)
{
    int keys = attempt->history->settings.keys;
    int from = settings_random(&attempt->random, keys);
    int to = (from + 1 + settings_random(&attempt->random, keys - 1)) % keys;
    long amount = settings_random(&attempt->random, 50), balances[2];
    int rc = rows_read(attempt, from, &balances[0]);

    if (rc == SQLITE_OK)
        rc = rows_read(attempt, to, &balances[1]);
    if (rc == SQLITE_OK && settings_random(&attempt->random, 4) == 0)
        rc = rows_write(attempt, from, balances[0] - 1000);
    if (rc == SQLITE_OK)
        rc = rows_write(attempt, from, balances[0] - amount);
    if (rc == SQLITE_OK)
        rc = rows_write(attempt, to, balances[1] + amount);
    if (rc == SQLITE_OK && settings_random(&attempt->random, 4) == 0)
        rc = rows_read(attempt, from, NULL);
    return rc;
}

static int move_money(struct attempt *attempt)
{
    return settings_random(&attempt->random, 3) == 0 ? audit(attempt) : transfer(attempt);
}

static int use_lists(struct attempt *attempt)
{
    int n_ops = 1 + settings_random(&attempt->random, 4), rc = SQLITE_OK;

    for (int i = 0; rc == SQLITE_OK && i < n_ops; i++) {
        int key = settings_random(&attempt->random, attempt->history->settings.keys);

        rc = settings_random(&attempt->random, 2) == 0 ? rows_append(attempt, key)
                                                       : rows_read(attempt, key, NULL);
    }
    return rc;
}

static int turn_switch(struct attempt *attempt)
{
    int key = settings_random(&attempt->random, 2), rc;
    long is_on[2];

    rc = rows_read(attempt, 0, &is_on[0]);
    if (rc == SQLITE_OK)
        rc = rows_read(attempt, 1, &is_on[1]);
    if (rc != SQLITE_OK || settings_random(&attempt->random, 6) == 0)
        return rc;
    if (!is_on[0] || !is_on[1])
        return rows_write(attempt, is_on[0] ? 1 : 0, 1);
    if (settings_random(&attempt->random, 4) == 0)
        rc = rows_write(attempt, key, 7);
    return rc == SQLITE_OK ? rows_write(attempt, key, 0) : rc;
}

int workload_run(struct attempt *attempt)
{
    switch (attempt->history->settings.workload) {
    case WORKLOAD_BANK: return move_money(attempt);
    case WORKLOAD_LIST: return use_lists(attempt);
    default: return turn_switch(attempt);
    }
}

void workload_set_up(const struct settings *settings, sqlite3 *db)
{
    char *text = NULL;
    char sql[300];

    snprintf(sql, sizeof sql,
             "CREATE TABLE item(key INTEGER PRIMARY KEY, value TEXT NOT NULL);"
             "WITH RECURSIVE n(key) AS (VALUES(0) UNION ALL SELECT key + 1 FROM n "
             "WHERE key + 1 < %d) INSERT INTO item SELECT key, '%s' FROM n",
             settings->keys, settings->initial);
    if (sqlite3_exec(db, sql, NULL, NULL, &text) != SQLITE_OK)
        history_die("%s: %s", sql, text);
}
