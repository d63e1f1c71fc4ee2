/* SPDX-License-Identifier: MIT */
#ifndef LIDO_TESTS_FAILING_VFS_H
#define LIDO_TESTS_FAILING_VFS_H

/*
 * A layer over the system's files in which each call is a point: at the n-th the process is
 * killed, or the call fails.
 *
 *     failing_vfs_install();
 *     ...open a connection with vfs=failing...
 *     failing_vfs_arm(n, FAILING_VFS_FAIL);
 *     ...work...
 *     if (!failing_vfs_fired()) ...the work has fewer than n points...
 *
 * What lets something go (close, unlock) is done in any case: it is told to have failed, as
 * by a system that loses nothing but its answer.
 *
 * Threads: one.
 */
#include <stdbool.h>

enum failing_vfs {
    FAILING_VFS_DIE,  /* before the call */
    FAILING_VFS_TEAR, /* only writes are points: half of one is done, and the process dies */
    FAILING_VFS_FAIL, /* nothing is done, and the code is the one of the call */
    FAILING_VFS_LATE, /* it is done, and fails all the same */
    FAILING_VFS_FULL, /* only writes are points: half of one is done, then SQLITE_FULL */
};

/* Registers "failing"; it is not the default. */
void failing_vfs_install(void);

/* The nth point from now on, once; 0: none. */
void failing_vfs_arm(int nth, enum failing_vfs how);

/* The nth point and all that come after it. */
void failing_vfs_arm_from(int nth, enum failing_vfs how);

/* From now on a sync is a point, and does nothing else: for who does not outlive the system. */
void failing_vfs_hurry(void);

/* True if it happened, and what the call was: "write a.db-wal". */
bool failing_vfs_fired(void);
const char *failing_vfs_call(void);

#endif
