/* SPDX-License-Identifier: MIT */
#ifndef LIDO_HOOKS_LISTENERS_H
#define LIDO_HOOKS_LISTENERS_H

/*
 * Listeners and arrays of them, which registering and firing share.
 *
 * A target's listeners stand in an array that never changes once others can see it; adding
 * and removing put another in its place.  Who fires counts itself into the array, so that
 * it may read it with no lock.  An array is counted by those who use it and a listener by
 * the arrays it stands in: when the last array is gone, nothing can call the listener.
 */
#include "hooks/hooks.h"

struct lido__listener {
    /* Constant. */
    lido_hook id;
    lido_hook_fn callbacks[LIDO__EVENTS]; /* NULL: not for this event */
    void *ctx;
    void (*destroy)(void *ctx); /* or NULL */
    bool is_once;

    lido__word arrays;     /* how many it stands in */
    lido__word is_removed; /* not 0: it was taken away; an older array may still have it */
    lido__word ran;        /* is_once: bit e: the callback of event e was claimed */
};

struct lido__listeners {
    lido__word users; /* the target whose array it is, and those who fire */

    struct lido__listeners *spare; /* for a removal; guarded by the target's lock */

    /* Constant once it is in use. */
    size_t count;
    struct lido__listener *items[];
};

static inline size_t lido__listeners_count(const struct lido__listeners *listeners)
{
    return listeners == NULL ? 0 : listeners->count;
}

/* An array for `count` listeners with the spare that goes under it, or NULL. */
struct lido__listeners *lido__listeners_new(size_t count);

/* Frees one that was not filled. */
void lido__listeners_discard(struct lido__listeners *array);

/* Fills `next` with those of `old` (NULL allowed) and one more, and moves the spares. */
void lido__listeners_fill_with(struct lido__listeners *next, struct lido__listeners *old,
                               struct lido__listener *listener, bool is_first);

/* Fills the spare of `old` with all but one, and returns it; NULL if none is left. */
struct lido__listeners *lido__listeners_fill_without(struct lido__listeners *old,
                                                     size_t index);

/* Counts one user off.  The last one frees the array and calls the `destroy` of listeners
   that stand in no other, so no lock may be held.  NULL does nothing. */
void lido__listeners_release(struct lido__listeners *listeners);

/* Calls `destroy`, if there is one. */
void lido__listener_destroy(void (*destroy)(void *ctx), void *ctx);

/* Sets hooks->wanted to what is true now (registry.c). */
void lido__hooks_recount(lido_hooks *hooks) LIDO_TSA(locks_excluded(hooks->lock));

#endif
