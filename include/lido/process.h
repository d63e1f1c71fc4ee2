/* SPDX-License-Identifier: MIT */
#ifndef LIDO_PROCESS_H
#define LIDO_PROCESS_H

#include <lido/status.h>

/*
 * What holds for SQLite in the whole process, and not for one pool.
 *
 * lido sets nothing of it by itself: other code of the process may use SQLite too.
 */

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Sets what makes SQLite faster with threads and can be set for the whole process only: its
 * statistics of memory are turned off (SQLITE_CONFIG_MEMSTATUS).  With them on every
 * allocation and every release, of whatever connection, takes one mutex.  With them off
 * sqlite3_memory_used(), sqlite3_memory_highwater() and the statistics of memory of
 * sqlite3_status() tell 0, and sqlite3_soft_heap_limit64() and sqlite3_hard_heap_limit64()
 * limit nothing.  https://sqlite.org/c3ref/c_config_covering_index_scan.html
 *
 * SQLite takes settings only before it is in use, which it is from the first connection or
 * allocation on, and lido allocates from SQLite.  So this is a program's first call of lido
 * and of SQLite; a library leaves it to the program.  A program that has settings of its own
 * for sqlite3_config() may make them before or after.
 *
 * Threads:   one, while no other uses SQLite.
 * Fails:     SQLITE_MISUSE (SQLite is in use: nothing has changed, and everything works as
 *            without the call; also at a second call, by then).
 */
LIDO_API int lido_process_tune(struct lido_error *err);

#ifdef __cplusplus
}
#endif
#endif
