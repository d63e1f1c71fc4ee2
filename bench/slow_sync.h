/* SPDX-License-Identifier: MIT */
#ifndef LIDO_BENCH_SLOW_SYNC_H
#define LIDO_BENCH_SLOW_SYNC_H

/*
 * A slower disk, for this process alone.
 */
#include <stdint.h>

/* From now on fsync() and fdatasync() of this process, SQLite's too, take so much longer.
   Threads: any. */
void slow_sync_set(int64_t delay_ns);

#endif
