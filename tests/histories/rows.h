/* SPDX-License-Identifier: MIT */
#ifndef TESTS_HISTORIES_ROWS_H
#define TESTS_HISTORIES_ROWS_H

#include "tests/histories/workload.h"

/*
 * Reading and writing one row, with its record.  They answer SQLITE_OK or a busy code and
 * end the process on any other.
 *
 * Threads:   the one whose attempt it is.
 */

/* Reads the row; *number (NULL allowed) is its first number. */
int rows_read(struct attempt *attempt, int key, long *number);

/* Writes `number`, and beside it the stamp of this write. */
int rows_write(struct attempt *attempt, int key, long number);

/* Puts the stamp of this write at the end of the row. */
int rows_append(struct attempt *attempt, int key);

#endif
