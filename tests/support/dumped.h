/* SPDX-License-Identifier: MIT */
#ifndef LIDO_TESTS_DUMPED_H
#define LIDO_TESTS_DUMPED_H

/*
 * Databases to dump and to load, and the comparing of two.
 *
 * Whatever goes wrong aborts: a test that cannot make its database has nothing to say.
 *
 * Threads: one at a time.
 */
#include <lido/lido.h>

/* SQL text on a file, by SQLite alone. */
void run(const char *path, const char *sql);
/* Is the first value of a query. */
void expect_number(const char *path, const char *sql, long long number);

/* One with every feature that a dump has to know. */
void make_rich(const char *path);
/* A smaller one in UTF-16, with texts that are none. */
void make_rich_utf16(const char *path, const char *encoding);
/* `count` reals of any exponent into table r, as x and y. */
void add_reals(const char *path, int count);

/* The dump as one text: free().  *statements (NULL allowed): how many it has. */
char *dumped(struct lido_database at, const struct lido_dump_options *options,
             int *statements);

/* Each table and view of the one has the same rows in the other, types and bits too. */
void expect_same_rows(const char *path, const char *other);

#endif
