/* SPDX-License-Identifier: MIT */
/*
 * The memory that lido keeps for the life of the process (pool/slab.h) is the same at the
 * start of every run: pieces that a run before left otherwise would make the next one take
 * other steps, and a seed played alone would not be what it was among others.
 *
 * Calls of lido__slab_take() come here by the linker's --wrap, so all pieces are known.
 *
 * Threads: none, but for the taking.
 */
#include "tests/sched/build.h"

#include "pool/slab.h"
#include "tests/sched/play.h"
#include "tests/sched/sched.h"

#include <stdlib.h>
#include <string.h>

#define MOST_PIECES 256

static struct {
    struct lido__slab *slab;
    void *piece;
    void *kept;
} pieces[MOST_PIECES];
static int n_pieces;

void *__real_lido__slab_take(struct lido__slab *slab, bool *is_new);
void *__wrap_lido__slab_take(struct lido__slab *slab, bool *is_new);

void *__wrap_lido__slab_take(struct lido__slab *slab, bool *is_new)
{
    void *piece = __real_lido__slab_take(slab, is_new);

    if (!*is_new || piece == NULL)
        return piece;
    sched_expect(sched_self() < 0, "the scheduler: a run takes more memory than was kept");
    sched_expect(n_pieces < MOST_PIECES, "the scheduler: more than %d pieces", MOST_PIECES);
    pieces[n_pieces].slab = slab;
    pieces[n_pieces++].piece = piece;
    return piece;
}

void play_keep_memory(void)
{
    for (int i = 0; i < n_pieces; i++) {
        pieces[i].kept = malloc(pieces[i].slab->size);
        if (pieces[i].kept == NULL)
            abort();
        memcpy(pieces[i].kept, pieces[i].piece, pieces[i].slab->size);
    }
}

void play_restore_memory(void)
{
    for (int i = 0; i < n_pieces; i++)
        pieces[i].slab->free = NULL;
    for (int i = 0; i < n_pieces; i++) {
        struct lido__slab *slab = pieces[i].slab;

        memcpy(pieces[i].piece, pieces[i].kept, slab->size);
        memcpy((char *)pieces[i].piece + slab->link, &slab->free, sizeof slab->free);
        slab->free = pieces[i].piece;
    }
}
