/* SPDX-License-Identifier: MIT */
#ifndef TESTS_HISTORIES_WORKER_H
#define TESTS_HISTORIES_WORKER_H

#include "tests/histories/history.h"

/*
 * What a process of the recorder does.  Each opens a pool on the file and closes it; no pool
 * may be open when it begins.
 *
 * Threads:   one.
 */

/* Makes the database. */
void worker_set_up(struct history *history, const char *path, int process);

/* Runs the threads of one process. */
void worker_run(struct history *history, const char *path, int process);

/* The last transaction: reads everything. */
void worker_finish(struct history *history, const char *path, int process);

#endif
