/* SPDX-License-Identifier: MIT */
#ifndef LIDO_TXN_INTERNAL_H
#define LIDO_TXN_INTERNAL_H

/*
 * What the layer above needs of the transactions beside <lido/txn.h>.
 */

/*
 * The wait for SQLite's lock: up to the pool's `timeout` from the first call, in steps of a
 * quarter to one millisecond.  SQLite's own handler sleeps up to 100 ms at a time.
 * `record` is the lido_record whose connection waits; a lido_busy_wait.
 */
int lido__busy_wait(void *record, int count);

#endif
