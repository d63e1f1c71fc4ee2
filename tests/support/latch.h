/* SPDX-License-Identifier: MIT */
#ifndef LIDO_TESTS_LATCH_H
#define LIDO_TESTS_LATCH_H

/*
 * A latch: one thread stands at it, inside a hook or a function of SQL, until another lets it
 * go on.  After that nobody stops at it until it is set up anew.
 *
 * Threads: any.
 */
#include <sqlite3.h>

void latch_set_up(void);
void latch_stand(void); /* the one that is to wait */
void latch_await(void); /* returns when somebody stands there */
void latch_open(void);

/* SQL's latch(): stands there, and answers 1.  */
int latch_add_to(sqlite3 *db);

/* Runs for ever, but for who stops it; it stands at the latch first. */
#define LATCH_ENDLESS                                                                      \
    "WITH RECURSIVE c(x) AS (SELECT latch() UNION ALL SELECT x + 1 FROM c) "               \
    "SELECT count(*) FROM c"
/* The same, but with an end, after some 100 000 steps of SQLite's machine. */
#define LATCH_LONG                                                                         \
    "WITH RECURSIVE c(x) AS (SELECT latch() UNION ALL SELECT x + 1 FROM c LIMIT 10000) "   \
    "SELECT count(*) FROM c"

#endif
