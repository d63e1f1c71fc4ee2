/* SPDX-License-Identifier: MIT */
#ifndef LIDO_TESTS_FAILING_MALLOC_H
#define LIDO_TESTS_FAILING_MALLOC_H

/*
 * An allocator that fails when told to, under SQLite and thereby under lido.
 *
 *     for (int n = 1;; n++) {
 *         failing_malloc_arm(n);
 *         rc = work();
 *         if (!failing_malloc_fired())
 *             break;
 *         ...work() met the failure of its n-th allocation...
 *     }
 *     failing_malloc_arm(0);
 *
 * Threads: any, but for the installing; an allocation of any thread counts.
 */

/* Before sqlite3_initialize().  Aborts if SQLite refuses. */
void failing_malloc_install(void);

/* The nth allocation from now on fails, once; 0: none does. */
void failing_malloc_arm(int nth);

/* Not 0 if that failure has happened. */
int failing_malloc_fired(void);

/* Blocks allocated and not given back. */
long failing_malloc_outstanding(void);

#endif
