/* SPDX-License-Identifier: MIT */
/*
 * Actors.  Every callback also checks that lido holds no lock, that it got the event that
 * was fired, and that what it does to the hooks works.
 *
 * Threads: one.
 */
#include "hook_actor.h"

#include "failing_malloc.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <string.h>

lido_hooks actor_pool;
const struct lido_event actor_event = { .size = sizeof actor_event };
char actor_trace[64];
int actor_destroyed;

const struct lido_events actor_on_checkout = { .size = sizeof actor_on_checkout,
                                               .checkout = actor_act };
const struct lido_events actor_on_both = { .size = sizeof actor_on_both,
                                           .checkout = actor_act,
                                           .checkin = actor_act };

void actor_stage_init(void)
{
    failing_malloc_install();
    sqlite3_initialize();
    lido__hooks_init(&actor_pool, "queue");
    actor_pool.is_pool = false; /* so that it takes a set twice */
}

void actor_leave(char letter)
{
    size_t length = strlen(actor_trace);

    if (length + 1 < sizeof actor_trace)
        actor_trace[length] = letter;
}

void actor_destroy(void *ctx)
{
    (void)ctx;
    lido__assert_unlocked();
    actor_destroyed++;
}

lido_hook actor_add_with(lido_hooks *hooks, const struct lido_events *events, void *ctx,
                         int first, int once)
{
    struct lido_hook_options options = LIDO_HOOK_OPTIONS_INIT;
    lido_hook hook = 0;

    options.first = first;
    options.once = once;
    options.destroy = actor_destroy;
    cr_assert(eq(int, lido_hooks_add(hooks, &hook, events, ctx, &options, NULL), LIDO_OK));
    cr_assert(ne(u64, hook, 0));
    return hook;
}

lido_hook actor_add(lido_hooks *hooks, struct actor *actor)
{
    return actor_add_with(hooks, &actor_on_checkout, actor, 0, 0);
}

int actor_act(void *ctx, const struct lido_event *event, struct lido_error *err)
{
    struct actor *actor = ctx;

    lido__assert_unlocked();
    cr_expect(event == &actor_event);
    actor_leave(actor->letter);
    if (actor->removes != 0)
        cr_expect(eq(int, lido_hooks_remove(actor->target, actor->removes, NULL), LIDO_OK));
    actor->removes = 0;
    if (actor->adds != NULL)
        actor_add(actor->target, actor->adds);
    actor->adds = NULL;
    if (actor->text != NULL)
        lido_fail(err, actor->text_code, "%s", actor->text);
    return actor->answer;
}

const char *actor_fire(enum lido__event event)
{
    memset(actor_trace, 0, sizeof actor_trace);
    cr_expect(eq(int, lido__hooks_fire(&actor_pool, event, &actor_event, NULL), LIDO_OK));
    return actor_trace;
}

void actor_expect(enum lido__event event, const char *letters)
{
    cr_expect_str_eq(actor_fire(event), letters);
}
