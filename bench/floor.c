/* SPDX-License-Identifier: MIT */
/*
 * The floor: what no pool that several threads share can go under.
 *
 * Whoever takes a connection must win it by one compare-and-swap and give it back by one
 * release store.  Here each thread does just that on a word of its own, so nothing is ever
 * contended.  A word has two cache lines, because processors fetch lines in pairs.
 *
 * Threads: each works on its own word.
 */
#include "subject.h"

#include <stdatomic.h>

#define LINE_PAIR 128

struct word {
    _Alignas(LINE_PAIR) _Atomic uint64_t state; /* generation * 2, plus 1 while taken */
};
static struct word words[MAX_THREADS];

static int work(void *ctx, unsigned thread, uint64_t iterations, struct lido_error *err)
{
    struct word *word = (struct word *)ctx + thread;

    for (; iterations > 0; iterations--) {
        uint64_t state = atomic_load_explicit(&word->state, memory_order_relaxed);

        if (!atomic_compare_exchange_strong(&word->state, &state, state + 1))
            return lido_fail(err, SQLITE_INTERNAL, "a word of thread %u was not its own",
                             thread);
        keep(word);
        atomic_store_explicit(&word->state, state + 2, memory_order_release);
    }
    return LIDO_OK;
}

void subject_open_floor(struct subject *out)
{
    *out = (struct subject){ .name = "floor", .ctx = words, .work = work };
}
