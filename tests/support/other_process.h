/* SPDX-License-Identifier: MIT */
#ifndef LIDO_TESTS_OTHER_PROCESS_H
#define LIDO_TESTS_OTHER_PROCESS_H

/*
 * The other process: one connection of SQLite's own on a file, with nothing of lido and no wait
 * for locks, which does what it is told and nothing else.
 *
 * Threads: one; one other process at a time.
 */
#include <sys/types.h>

/* Starts it; no pool and no connection may be open here.  It opens the file when it is first
   told something. */
void other_start(const char *path);

/* Its number. */
pid_t other_pid(void);

/* Runs SQL in it, to its end: SQLite's code of eight bits. */
int other_run(const char *sql);

/* Ends it by SIGKILL; or in good order, its connection closed. */
void other_kill(void);
void other_end(void);

#endif
