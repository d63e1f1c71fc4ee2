/* SPDX-License-Identifier: MIT */
/*
 * Arrays of listeners: building, counting, and the end of a listener.
 *
 * Removing must not fail for want of memory: it is what a host does when it cleans up.  So
 * whoever makes the array of n listeners also makes the one of n - 1 that a removal will
 * need.  These spares hang under the array in use, each under the next larger one:
 *
 *     in use, 3 items --> spare for 2 --> spare for 1        (none is needed for 0)
 *
 * Adding pushes one, removing pops one, so there is always the right one.  That is n * n /
 * 2 pointers, 40 KB at a hundred listeners; a target has a handful.
 *
 * Threads: the two that fill want the lock of the target, all others must not have it.
 */
#include "hooks/listeners.h"

#include "base/alloc.h"

#include <assert.h>

/* An empty array with one user, or NULL. */
static struct lido__listeners *array_new(size_t count)
{
    struct lido__listeners *array =
        lido__new(sizeof *array + count * sizeof array->items[0]);

    if (array != NULL) {
        lido__write(&array->users, 1);
        array->count = count;
    }
    return array;
}

static void array_set(struct lido__listeners *array, size_t i,
                      struct lido__listener *listener)
{
    lido__add(&listener->arrays, 1);
    array->items[i] = listener;
}

struct lido__listeners *lido__listeners_new(size_t count)
{
    struct lido__listeners *array = array_new(count);

    if (array == NULL || count <= 1)
        return array;
    array->spare = array_new(count - 1);
    if (array->spare != NULL)
        return array;
    lido__free(array);
    return NULL;
}

void lido__listeners_discard(struct lido__listeners *array)
{
    while (array != NULL) {
        struct lido__listeners *spare = array->spare;

        lido__free(array);
        array = spare;
    }
}

void lido__listeners_fill_with(struct lido__listeners *next, struct lido__listeners *old,
                               struct lido__listener *listener, bool is_first)
{
    const size_t n_old = lido__listeners_count(old);
    const size_t shift = is_first ? 1 : 0;

    assert(next->count == n_old + 1);
    for (size_t i = 0; i < n_old; i++)
        array_set(next, i + shift, old->items[i]);
    array_set(next, is_first ? 0 : n_old, listener);
    if (old != NULL) {
        next->spare->spare = old->spare;
        old->spare = NULL;
    }
}

struct lido__listeners *lido__listeners_fill_without(struct lido__listeners *old,
                                                     size_t index)
{
    struct lido__listeners *next = old->spare;

    assert(lido__listeners_count(next) == old->count - 1);
    for (size_t i = 0; i < old->count; i++)
        if (i != index)
            array_set(next, i < index ? i : i - 1, old->items[i]);
    old->spare = NULL;
    return next;
}

void lido__listener_destroy(void (*destroy)(void *ctx), void *ctx)
{
    lido__assert_unlocked();
    if (destroy != NULL)
        destroy(ctx);
}

void lido__listeners_release(struct lido__listeners *listeners)
{
    if (listeners == NULL || lido__add(&listeners->users, UINT64_MAX) != 1)
        return;
    for (size_t i = 0; i < listeners->count; i++) {
        struct lido__listener *listener = listeners->items[i];

        if (lido__add(&listener->arrays, UINT64_MAX) != 1)
            continue;
        lido__listener_destroy(listener->destroy, listener->ctx);
        lido__free(listener);
    }
    lido__listeners_discard(listeners);
}
