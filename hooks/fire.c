/* SPDX-License-Identifier: MIT */
/*
 * Firing: calling what listens to an event.
 *
 * The arrays of all targets are taken before the first callback runs.  A callback may thus
 * add and remove as it likes: what it adds, also at a target whose turn is still to come,
 * is in none of these arrays and waits for the next event; what it removes is in them but
 * carries a mark that is read before each call.
 *
 *     pool ---before--> kind ---before--> global        taken in this order
 *     global, kind, pool                                 called in this order
 *
 * A callback writes its error text into a struct of its own, so that neither a text left in
 * the caller's struct from an earlier failure nor one written by a hook that then answered
 * LIDO_OK passes for the story of this failure.
 *
 * Threads: any, several at a time; no lock is held while a callback runs.
 */
#include "hooks/listeners.h"

#include <assert.h>

#define TARGETS 3 /* one pool, its kind, global */

struct turn {
    lido_hooks *target;
    struct lido__listeners *listeners; /* counted, or NULL */
};

/* The array of `hooks`, counted, or NULL if nothing in it listens to `event`. */
static struct lido__listeners *take(lido_hooks *hooks, enum lido__event event)
{
    struct lido__listeners *listeners;

    if ((lido__read(&hooks->wanted) >> event & 1) == 0)
        return NULL;
    lido__mutex_lock(&hooks->lock);
    listeners = hooks->listeners;
    if (listeners != NULL)
        lido__add(&listeners->users, 1);
    lido__mutex_unlock(&hooks->lock);
    return listeners;
}

/* True for one caller per event. */
static bool claim(struct lido__listener *listener, enum lido__event event)
{
    const uint64_t bit = UINT64_C(1) << event;
    uint64_t ran;

    do {
        ran = lido__load(&listener->ran);
        if ((ran & bit) != 0)
            return false;
    } while (!lido__cas(&listener->ran, ran, ran | bit));
    return true;
}

static int call(const struct lido__listener *listener, enum lido__event event,
                const struct lido_event *what, struct lido_error *err)
{
    struct lido_error story = LIDO_ERROR_INIT;
    int rc;

    lido__assert_unlocked();
    rc = listener->callbacks[event](listener->ctx, what, &story);
    if (rc == LIDO_OK)
        return LIDO_OK;
    if (((story.code ^ rc) & ~LIDO_FATAL) != 0 || story.text[0] == '\0')
        return lido_fail(err, rc, "a hook answered %s", lido_status_name(rc));
    story.code = rc;
    if (err != NULL)
        *err = story;
    return rc;
}

static int run(const struct turn *turn, enum lido__event event,
               const struct lido_event *what, struct lido_error *err)
{
    size_t count = turn->listeners == NULL ? 0 : turn->listeners->count;
    int rc = LIDO_OK;

    for (size_t i = 0; i < count && rc == LIDO_OK; i++) {
        struct lido__listener *listener = turn->listeners->items[i];

        if (listener->callbacks[event] == NULL || lido__read(&listener->is_removed) != 0)
            continue;
        if (listener->is_once) {
            if (!claim(listener, event))
                continue;
            lido__hooks_recount(turn->target);
        }
        rc = call(listener, event, what, err);
    }
    return rc;
}

int lido__hooks_fire(lido_hooks *hooks, enum lido__event event,
                     const struct lido_event *what, struct lido_error *err)
{
    struct turn turns[TARGETS];
    size_t n = 0;
    int rc = LIDO_OK;

    for (; hooks != NULL; hooks = hooks->before, n++) {
        assert(n < TARGETS);
        turns[n].target = hooks;
        turns[n].listeners = take(hooks, event);
    }
    for (size_t i = n; i > 0 && rc == LIDO_OK; i--)
        rc = run(&turns[i - 1], event, what, err);
    for (size_t i = n; i > 0; i--)
        lido__listeners_release(turns[i - 1].listeners);
    return rc;
}
