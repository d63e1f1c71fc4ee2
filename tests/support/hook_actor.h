/* SPDX-License-Identifier: MIT */
#ifndef LIDO_TESTS_HOOK_ACTOR_H
#define LIDO_TESTS_HOOK_ACTOR_H

/*
 * Actors: listeners that leave a letter when they are called, so that what an event did
 * reads as a word.  A target of their own stands for a pool's, and events are fired by
 * hand.
 *
 * Threads: one, but for actor_pool and actor_event.
 */
#include "hooks/hooks.h"

struct actor {
    char letter;
    int answer;
    const char *text; /* what it writes by lido_fail() as `text_code`, or NULL */
    int text_code;

    /* What it does at its first call, at `target`. */
    lido_hook removes; /* 0: nothing */
    struct actor *adds;
    lido_hooks *target;
};

extern lido_hooks actor_pool;               /* of kind "queue" */
extern const struct lido_event actor_event; /* what every event is fired with */
extern char actor_trace[64]; /* the letters left since the last actor_fire() */
extern int actor_destroyed;  /* calls of actor_destroy() */

/* Installs failing_malloc and makes actor_pool. */
void actor_stage_init(void);

int actor_act(void *ctx, const struct lido_event *event, struct lido_error *err);
extern const struct lido_events actor_on_checkout;
extern const struct lido_events actor_on_both; /* checkout and checkin */

void actor_leave(char letter);
void actor_destroy(void *ctx);

/* Adds with actor_destroy() as `destroy`; the first also with actor_on_checkout. */
lido_hook actor_add(lido_hooks *hooks, struct actor *actor);
lido_hook actor_add_with(lido_hooks *hooks, const struct lido_events *events, void *ctx,
                         int first, int once);

/* Fires at actor_pool, expects LIDO_OK and those letters. */
void actor_expect(enum lido__event event, const char *letters);

/* Fires at actor_pool, expects LIDO_OK and returns the letters. */
const char *actor_fire(enum lido__event event);

#endif
