/* SPDX-License-Identifier: MIT */
/*
 * Phase hooks: hooks come and go at every target while events run, and remove themselves.
 *
 * Each registration owns a context of its own that `destroy` poisons: one that is called
 * after it, or destroyed twice, is noticed.  Contexts are kept until the end, so that the
 * check itself reads no freed memory.
 *
 * Threads: four that check out and in, three that add and remove.
 */
#include "tests/stress/hammer.h"

#include <stdlib.h>

#define USERS  4
#define ADDERS 3

struct hook {
    lido_hooks *target;
    atomic_ulong id; /* 0: not known yet */
    bool removes_itself;
    atomic_int calls, destroyed;
    struct hook *next;
};

struct hooks {
    lido_pool *pool;
    int rounds;
    atomic_int working;
    struct hook *made[ADDERS]; /* each list is one adder's */
};

static int call(void *ctx, const struct lido_event *event, struct lido_error *err)
{
    struct hook *hook = ctx;
    unsigned long id = atomic_load_explicit(&hook->id, memory_order_relaxed);

    (void)err;
    hammer_expect(atomic_load_explicit(&hook->destroyed, memory_order_relaxed) == 0,
                  "a destroyed hook was called");
    hammer_expect(event->record != NULL && event->pool != NULL,
                  "an event without a record");
    atomic_fetch_add_explicit(&hook->calls, 1, memory_order_relaxed);
    if (hook->removes_itself && id != 0) {
        int rc = lido_hooks_remove(hook->target, id, NULL);

        hammer_expect(rc == LIDO_OK || rc == LIDO_NOT_FOUND, "a removal answered %s",
                      lido_status_name(rc));
    }
    return LIDO_OK;
}

static void destroy(void *ctx)
{
    struct hook *hook = ctx;

    hammer_expect(atomic_fetch_add_explicit(&hook->destroyed, 1, memory_order_relaxed) == 0,
                  "a hook was destroyed twice");
}

static const struct lido_events all_events = {
    .size = sizeof all_events,
    .first_connect = call,
    .connect = call,
    .checkout = call,
    .checkin = call,
    .close = call,
};
static const struct lido_events checkout_only = { .size = sizeof checkout_only,
                                                  .checkout = call };

static void use(struct hooks *hooks, uint64_t *random)
{
    struct lido_error err = LIDO_ERROR_INIT;

    for (int i = 0; i < hooks->rounds; i++) {
        struct lido_conn conn;
        int rc = lido_pool_checkout(hooks->pool, &conn, NULL, &err);

        hammer_expect(rc == LIDO_OK, "a checkout answered %s: %s", lido_status_name(rc),
                      err.text);
        if (rc != LIDO_OK)
            continue;
        bare_hold(&conn);
        hammer_pause(random);
        bare_let_go(&conn);
        rc = lido_conn_checkin(&conn, NULL, &err);
        hammer_expect(rc == LIDO_OK, "a check-in answered %s: %s", lido_status_name(rc),
                      err.text);
    }
    atomic_fetch_sub(&hooks->working, 1);
}

static struct hook *add(struct hooks *hooks, uint64_t *random)
{
    struct lido_hook_options options = LIDO_HOOK_OPTIONS_INIT;
    lido_hooks *targets[3] = { lido_hooks_global(), lido_hooks_kind("queue"),
                               lido_pool_hooks(hooks->pool) };
    struct hook *hook = calloc(1, sizeof *hook);
    lido_hook id;

    if (hook == NULL)
        abort();
    hook->target = targets[hammer_random(random, 3)];
    hook->removes_itself = hammer_random(random, 3) == 0;
    options.first = hammer_random(random, 2) == 0;
    options.once = hammer_random(random, 3) == 0;
    options.destroy = destroy;
    hammer_expect(lido_hooks_add(hook->target, &id,
                                 hammer_random(random, 2) ? &all_events : &checkout_only,
                                 hook, &options, NULL) == LIDO_OK,
                  "no hook was added");
    atomic_store_explicit(&hook->id, (unsigned long)id, memory_order_relaxed);
    return hook;
}

static void take_away(const struct hook *hook)
{
    int rc = lido_hooks_remove(hook->target, atomic_load(&hook->id), NULL);

    hammer_expect(rc == LIDO_OK || (rc == LIDO_NOT_FOUND && hook->removes_itself),
                  "a removal answered %s", lido_status_name(rc));
    hammer_expect(!lido_hooks_contains(hook->target, atomic_load(&hook->id)),
                  "a removed hook is there");
}

/* Three are there at a time, the oldest goes first. */
static void come_and_go(struct hooks *hooks, struct hook **made, uint64_t *random)
{
    struct hook *there[3] = { NULL };

    for (unsigned i = 0; atomic_load(&hooks->working) > 0; i++) {
        struct hook **place = &there[i % 3];

        if (*place != NULL)
            take_away(*place);
        *place = add(hooks, random);
        (*place)->next = *made;
        *made = *place;
        hammer_pause(random);
    }
    for (int i = 0; i < 3; i++)
        if (there[i] != NULL)
            take_away(there[i]);
}

static void run(void *ctx, int number, uint64_t *random)
{
    struct hooks *hooks = ctx;

    if (number < USERS)
        use(hooks, random);
    else
        come_and_go(hooks, &hooks->made[number - USERS], random);
}

void phase_hooks(void)
{
    struct hooks hooks = { .rounds = hammer_rounds(3000), .working = USERS };
    long calls = 0;

    bare_driver_install();
    hooks.pool = hammer_open("bare:///x?pool=queue&pool_size=2&max_overflow=1");
    hammer_run(USERS + ADDERS, run, &hooks);

    for (int i = 0; i < ADDERS; i++)
        for (struct hook *hook = hooks.made[i], *next; hook != NULL; hook = next) {
            next = hook->next;
            calls += hook->calls;
            hammer_expect(hook->destroyed == 1, "a hook was destroyed %d times",
                          hook->destroyed);
            free(hook);
        }
    hammer_expect(calls > 0, "no hook was ever called");
    hammer_expect(lido_pool_close(hooks.pool, 0, NULL) == LIDO_OK, "close");
    lido_pool_free(hooks.pool);
    hammer_expect(bare_driver_open_count() == 0, "%d connections leaked",
                  bare_driver_open_count());
}
