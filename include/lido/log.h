/* SPDX-License-Identifier: MIT */
#ifndef LIDO_LOG_H
#define LIDO_LOG_H

#include <lido/version.h>

/*
 * The log: one callback per pool.  The library itself never prints, and what a call returns
 * as an error is not logged as well.
 */

#ifdef __cplusplus
extern "C" {
#endif

/* Levels, as SQLAlchemy's `echo`: INFO is echo=True, DEBUG is echo="debug". */
#define LIDO_LOG_OFF   0
#define LIDO_LOG_ERROR 1 /* a failure that was swallowed: a driver's close, a cleaning */
#define LIDO_LOG_WARN  2 /* a connection that came back unclean and was closed */
#define LIDO_LOG_INFO  3 /* connections opened and closed, the pool opened and closed */
#define LIDO_LOG_DEBUG 4 /* every checkout and check-in */

/*
 * Takes one line.
 *
 * Ownership: borrows text until it returns.
 * Threads:   called on the thread that caused the line, several at a time, with no lock
 *            held; it may call lido.
 */
typedef void (*lido_log_fn)(void *ctx, int level, const char *text);

#ifdef __cplusplus
}
#endif
#endif
