/* SPDX-License-Identifier: MIT */
#ifndef LIDO_HOOKS_HOOKS_H
#define LIDO_HOOKS_HOOKS_H

/*
 * What the layers above need of the hooks: a pool's own registry, and firing.
 *
 * A registry knows the ones that run before it (its kind's, and before that the global one),
 * so that firing at a pool reaches all three.
 */
#include "base/atomic.h"
#include "base/sync.h"
#include <lido/hooks.h>

enum lido__event {
    LIDO__FIRST_CONNECT,
    LIDO__CONNECT,
    LIDO__CHECKOUT,
    LIDO__RESET,
    LIDO__CHECKIN,
    LIDO__INVALIDATE,
    LIDO__SOFT_INVALIDATE,
    LIDO__CLOSE,
    LIDO__DETACH,
    LIDO__CLOSE_DETACHED,
    LIDO__BEGIN,
    LIDO__COMMIT,
    LIDO__ROLLBACK,
    LIDO__SAVEPOINT,
    LIDO__ROLLBACK_SAVEPOINT,
    LIDO__RELEASE_SAVEPOINT,
    LIDO__BEFORE_EXECUTE,
    LIDO__AFTER_EXECUTE,
    LIDO__HANDLE_ERROR,
    LIDO__EVENTS, /* how many */
};

struct lido__listeners; /* hooks/listeners.h: an immutable, counted array */

struct lido_hooks {
    lido_hooks *before; /* constant: whose hooks run first, or NULL */
    bool is_pool;       /* constant: one pool's, where a set is registered once */
    lido__word wanted;  /* bit e: some listener here has a callback for it still to run */

    struct lido__mutex lock; /* guards all below */
    struct lido__listeners *listeners;
};

/* `kind` is the name of a kind that lido_hooks_kind() knows. */
void lido__hooks_init(lido_hooks *hooks, const char *kind);

/* Adds to the fresh `to` all that listens at `from`.  SQLITE_NOMEM, and then a part of it.  A
   listener that is removed from one of the two runs in neither. */
int lido__hooks_copy(lido_hooks *to, lido_hooks *from);

/* Takes every listener away and calls their `destroy`.  Nothing may fire any more. */
void lido__hooks_fini(lido_hooks *hooks);

/* Bit e: firing e would call something.  Three loads: for the hot path. */
static inline uint64_t lido__hooks_wanted(const lido_hooks *hooks)
{
    uint64_t wanted = 0;

    for (; hooks != NULL; hooks = hooks->before)
        wanted |= lido__read(&hooks->wanted);
    return wanted;
}

static inline bool lido__hooks_want(const lido_hooks *hooks, enum lido__event event)
{
    return (lido__hooks_wanted(hooks) >> event & 1) != 0;
}

/*
 * Calls the callbacks of `event`, global ones first, until one fails; its code is returned
 * unchanged.  No lock is held meanwhile.  err->code is set to the code on failure, also if
 * the callback left err alone; its text is then what lido_status_name() says.
 */
int lido__hooks_fire(lido_hooks *hooks, enum lido__event event,
                     const struct lido_event *what, struct lido_error *err);

#endif
