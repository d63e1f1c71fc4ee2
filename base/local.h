/* SPDX-License-Identifier: MIT */
#ifndef LIDO_BASE_LOCAL_H
#define LIDO_BASE_LOCAL_H

/*
 * Is a file on this machine?  Record locks of a network's file system may be lost, may cost a
 * round trip, or hold on this machine alone.
 *
 * Threads: any.
 */

/* NULL: it is.  Else the name of its file system, or "" where that says only that it is not
   local. */
const char *lido__file_elsewhere(int fd);

#endif
