/* SPDX-License-Identifier: MIT */
#ifndef LIDO_BASE_ALLOC_H
#define LIDO_BASE_ALLOC_H

/*
 * Memory: SQLite's allocator, so that one failing allocator (SQLITE_CONFIG_MALLOC) tests
 * lido and SQLite together, and sqlite3_memory_used() counts both.
 */
#include <sqlite3.h>
#include <string.h>

/* Zeroed memory, or NULL. */
static inline void *lido__new(size_t size)
{
    void *memory = sqlite3_malloc64(size);

    if (memory != NULL)
        memset(memory, 0, size);
    return memory;
}

static inline void lido__free(void *memory)
{
    sqlite3_free(memory);
}

/* A copy of `length` bytes of `text` with a NUL behind them, or NULL. */
static inline char *lido__copy(const char *text, size_t length)
{
    char *copy = sqlite3_malloc64((sqlite3_uint64)length + 1);

    if (copy != NULL) {
        memcpy(copy, text, length);
        copy[length] = '\0';
    }
    return copy;
}

#endif
