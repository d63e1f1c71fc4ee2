/* SPDX-License-Identifier: MIT */
/*
 * SQLite's allocator, from which lido takes its memory, in a form that shows who uses a piece
 * after its end or ends it twice: what is given back is overwritten, and given to nobody
 * else before the run is over.
 *
 * Threads: as in tests/sched/sched.h.
 */
#include "tests/sched/play.h"

#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#define ALIVE 0x6c69646f2d697321u
#define DEAD  0x6c69646f2d6e6f21u

struct piece {
    uint64_t sign;
    int size;
    struct piece *next; /* of the dead */
};

static struct piece *dead;

static struct piece *piece_of(void *memory)
{
    struct piece *piece = (struct piece *)memory - 1;

    sched_expect(piece->sign != DEAD, "memory is used after its end");
    sched_expect(piece->sign == ALIVE, "this is no memory of ours");
    return piece;
}

static void *heap_take(int size)
{
    struct piece *piece = malloc(sizeof *piece + (size_t)size);

    if (piece == NULL)
        return NULL;
    piece->sign = ALIVE;
    piece->size = size;
    return piece + 1;
}

static void heap_give(void *memory)
{
    struct piece *piece;

    if (memory == NULL)
        return;
    piece = piece_of(memory);
    piece->sign = DEAD;
    memset(memory, 0xdd, (size_t)piece->size);
    piece->next = dead;
    dead = piece;
}

void play_bury_dead(void)
{
    while (dead != NULL) {
        struct piece *next = dead->next;

        free(dead);
        dead = next;
    }
}

static int heap_size(void *memory)
{
    return memory == NULL ? 0 : piece_of(memory)->size;
}

static void *heap_retake(void *memory, int size)
{
    void *taken = heap_take(size);
    int had = heap_size(memory);

    if (taken == NULL || memory == NULL)
        return taken;
    memcpy(taken, memory, (size_t)(had < size ? had : size));
    heap_give(memory);
    return taken;
}

static int heap_round(int size)
{
    return (size + 7) & ~7;
}

static int heap_begin(void *unused)
{
    (void)unused;
    return SQLITE_OK;
}

static void heap_end(void *unused)
{
    (void)unused;
}

void play_install_heap(void)
{
    static const sqlite3_mem_methods methods = { heap_take, heap_give,  heap_retake,
                                                 heap_size, heap_round, heap_begin,
                                                 heap_end,  NULL };

    sched_expect(sqlite3_config(SQLITE_CONFIG_MALLOC, &methods) == SQLITE_OK,
                 "SQLite does not take the heap");
}
