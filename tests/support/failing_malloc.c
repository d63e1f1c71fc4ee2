/* SPDX-License-Identifier: MIT */
/*
 * A layer over SQLite's own allocator that counts blocks and fails one allocation.  Growing
 * a block counts as an allocation.
 *
 * Threads: any; each allocation draws a number, so that exactly one of them fails.
 */
#include "failing_malloc.h"

#include <sqlite3.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>

static sqlite3_mem_methods real; /* constant once installed */

static atomic_long left; /* allocations up to the one that fails; 0 or less: none */
static atomic_bool fired;
static atomic_long outstanding;

static bool must_fail(void)
{
    if (atomic_load(&left) <= 0 || atomic_fetch_sub(&left, 1) != 1)
        return false;
    atomic_store(&fired, true);
    return true;
}

static void *take(int size)
{
    void *block = must_fail() ? NULL : real.xMalloc(size);

    if (block != NULL)
        atomic_fetch_add(&outstanding, 1);
    return block;
}

static void give(void *block)
{
    if (block != NULL)
        atomic_fetch_sub(&outstanding, 1);
    real.xFree(block);
}

static void *grow(void *block, int size)
{
    return must_fail() ? NULL : real.xRealloc(block, size);
}

void failing_malloc_install(void)
{
    sqlite3_mem_methods mine;

    if (sqlite3_config(SQLITE_CONFIG_GETMALLOC, &real) != SQLITE_OK)
        abort();
    mine = real;
    mine.xMalloc = take;
    mine.xFree = give;
    mine.xRealloc = grow;
    if (sqlite3_config(SQLITE_CONFIG_MALLOC, &mine) != SQLITE_OK)
        abort();
}

void failing_malloc_arm(int nth)
{
    atomic_store(&left, 0);
    atomic_store(&fired, false);
    atomic_store(&left, nth);
}

int failing_malloc_fired(void)
{
    return atomic_load(&fired);
}

long failing_malloc_outstanding(void)
{
    return atomic_load(&outstanding);
}
