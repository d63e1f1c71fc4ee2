/* SPDX-License-Identifier: MIT */
/*
 * Registering: the targets, and who listens at them.
 *
 * Every change puts a new array of listeners in the place of the old one, which lives on
 * while somebody fires from it (hooks/listeners.h).  `wanted` follows each change, so that
 * an event nobody listens to costs three loads.
 *
 * What a host passes in may be older or newer than this lido: a struct is taken up to the
 * size it says it has, and refused if what lies beyond our own is more than zeros.
 *
 * Threads: any.  Memory is taken and given back, and `destroy` called, outside of the lock.
 */
#include "hooks/listeners.h"

#include "base/alloc.h"
#include "base/process.h"

#include <assert.h>
#include <stddef.h>

/* A struct from the host that is longer than this is not a struct but a mistake, and its
   bytes are not looked at. */
#define LONGEST_STRUCT 4096

#define END(type, member) (offsetof(type, member) + sizeof(((type *)NULL)->member))

static const size_t events_ends[] = {
    END(struct lido_events, first_connect),
    END(struct lido_events, connect),
    END(struct lido_events, checkout),
    END(struct lido_events, reset),
    END(struct lido_events, checkin),
    END(struct lido_events, invalidate),
    END(struct lido_events, soft_invalidate),
    END(struct lido_events, close),
    END(struct lido_events, detach),
    END(struct lido_events, close_detached),
    END(struct lido_events, begin),
    END(struct lido_events, commit),
    END(struct lido_events, rollback),
    END(struct lido_events, savepoint),
    END(struct lido_events, rollback_savepoint),
    END(struct lido_events, release_savepoint),
    END(struct lido_events, before_execute),
    END(struct lido_events, after_execute),
    END(struct lido_events, handle_error),
};
static const size_t options_ends[] = {
    END(struct lido_hook_options, first),
    END(struct lido_hook_options, once),
    END(struct lido_hook_options, destroy),
};
static_assert(sizeof events_ends / sizeof events_ends[0] == LIDO__EVENTS,
              "an end for each event");
static_assert(END(struct lido_events, handle_error) == sizeof(struct lido_events),
              "handle_error is the last member");
static_assert(END(struct lido_hook_options, destroy) == sizeof(struct lido_hook_options),
              "destroy is the last member");

#define TARGET_INIT(before_)                                                               \
    {                                                                                      \
        .before = (before_), .lock = LIDO_MUTEX_INIT(LIDO_RANK_HOOKS)                      \
    }

static lido_hooks global = TARGET_INIT(NULL);

static struct {
    const char *name;
    lido_hooks hooks;
} kinds[] = {
    { "null", TARGET_INIT(&global) },
    { "queue", TARGET_INIT(&global) },
    { "singleton_thread", TARGET_INIT(&global) },
    { "static", TARGET_INIT(&global) },
    { "assertion", TARGET_INIT(&global) },
};

lido_hooks *lido_hooks_global(void)
{
    return &global;
}

lido_hooks *lido_hooks_kind(const char *kind)
{
    if (kind == NULL)
        return NULL;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (strcmp(kinds[i].name, kind) == 0)
            return &kinds[i].hooks;
    return NULL;
}

static bool is_in(size_t size, const size_t *ends, size_t n_ends)
{
    for (size_t i = 0; i < n_ends; i++)
        if (ends[i] == size)
            return true;
    return false;
}

/*
 * Copies the part of a host's struct that this lido knows; `to` holds the defaults of the
 * rest.  `ends` are the ends of its members after `size`, the last one that of the struct.
 */
static int read_struct(void *to, const void *from, const size_t *ends, size_t n_ends,
                       const char *name, struct lido_error *err)
{
    const size_t known = ends[n_ends - 1];
    const unsigned char *bytes = from;
    size_t size;

    memcpy(&size, from, sizeof size);
    if (size > LONGEST_STRUCT || (size < known && !is_in(size, ends, n_ends)))
        return lido_fail(err, SQLITE_MISUSE, "%zu bytes is not the size of a struct %s",
                         size, name);
    for (size_t i = known; i < size; i++)
        if (bytes[i] != 0)
            return lido_fail(err, SQLITE_MISUSE,
                             "a struct %s of %zu bytes says something past the %zu known",
                             name, size, known);
    memcpy(to, from, size < known ? size : known);
    return LIDO_OK;
}

/* A callback that runs once and has been claimed is wanted no more. */
static void recount_locked(lido_hooks *hooks) LIDO_TSA(requires_capability(hooks->lock))
{
    uint64_t wanted = 0;

    for (size_t i = 0; i < lido__listeners_count(hooks->listeners); i++) {
        const struct lido__listener *listener = hooks->listeners->items[i];
        uint64_t ran = lido__read(&listener->ran);

        for (int event = 0; event < LIDO__EVENTS; event++)
            if (listener->callbacks[event] != NULL && (ran >> event & 1) == 0)
                wanted |= UINT64_C(1) << event;
    }
    lido__write(&hooks->wanted, wanted);
}

void lido__hooks_recount(lido_hooks *hooks)
{
    lido__mutex_lock(&hooks->lock);
    recount_locked(hooks);
    lido__mutex_unlock(&hooks->lock);
}

/* Where `hook` stands; the number of listeners if nowhere. */
static size_t find_locked(const lido_hooks *hooks, lido_hook hook)
    LIDO_TSA(requires_capability(hooks->lock))
{
    const size_t count = lido__listeners_count(hooks->listeners);
    size_t i = 0;

    while (i < count && (hooks->listeners->items[i]->id != hook ||
                         lido__read(&hooks->listeners->items[i]->is_removed) != 0))
        i++;
    return i;
}

void lido__hooks_init(lido_hooks *hooks, const char *kind)
{
    hooks->before = lido_hooks_kind(kind);
    assert(hooks->before != NULL);
    hooks->is_pool = true;
    lido__write(&hooks->wanted, 0);
    lido__mutex_init(&hooks->lock, LIDO_RANK_HOOKS);
    hooks->listeners = NULL;
}

/* Leaves the target empty and gives its array to the caller. */
static struct lido__listeners *take_all(lido_hooks *hooks)
{
    struct lido__listeners *all;

    lido__mutex_lock(&hooks->lock);
    all = hooks->listeners;
    hooks->listeners = NULL;
    recount_locked(hooks);
    lido__mutex_unlock(&hooks->lock);
    return all;
}

void lido__hooks_fini(lido_hooks *hooks)
{
    struct lido__listeners *all;

    /* Again until empty, because a `destroy` may have added something. */
    while ((all = take_all(hooks)) != NULL)
        lido__listeners_release(all);
    lido__mutex_fini(&hooks->lock);
}

static struct lido__listener *listener_new(const struct lido_events *events, void *ctx,
                                           const struct lido_hook_options *options)
{
    static lido__word last;
    struct lido__listener *listener = lido__new(sizeof *listener);

    if (listener == NULL)
        return NULL;
    listener->id = lido__add(&last, 1) + 1;
    listener->callbacks[LIDO__FIRST_CONNECT] = events->first_connect;
    listener->callbacks[LIDO__CONNECT] = events->connect;
    listener->callbacks[LIDO__CHECKOUT] = events->checkout;
    listener->callbacks[LIDO__RESET] = events->reset;
    listener->callbacks[LIDO__CHECKIN] = events->checkin;
    listener->callbacks[LIDO__INVALIDATE] = events->invalidate;
    listener->callbacks[LIDO__SOFT_INVALIDATE] = events->soft_invalidate;
    listener->callbacks[LIDO__CLOSE] = events->close;
    listener->callbacks[LIDO__DETACH] = events->detach;
    listener->callbacks[LIDO__CLOSE_DETACHED] = events->close_detached;
    listener->callbacks[LIDO__BEGIN] = events->begin;
    listener->callbacks[LIDO__COMMIT] = events->commit;
    listener->callbacks[LIDO__ROLLBACK] = events->rollback;
    listener->callbacks[LIDO__SAVEPOINT] = events->savepoint;
    listener->callbacks[LIDO__ROLLBACK_SAVEPOINT] = events->rollback_savepoint;
    listener->callbacks[LIDO__RELEASE_SAVEPOINT] = events->release_savepoint;
    listener->callbacks[LIDO__BEFORE_EXECUTE] = events->before_execute;
    listener->callbacks[LIDO__AFTER_EXECUTE] = events->after_execute;
    listener->callbacks[LIDO__HANDLE_ERROR] = events->handle_error;
    listener->ctx = ctx;
    listener->destroy = options->destroy;
    listener->is_once = options->once != 0;
    return listener;
}

/* The registration of the same callbacks and ctx at a pool, or 0. */
static lido_hook find_same_locked(const lido_hooks *hooks,
                                  const struct lido__listener *listener)
    LIDO_TSA(requires_capability(hooks->lock))
{
    for (size_t i = 0; hooks->is_pool && i < lido__listeners_count(hooks->listeners); i++) {
        const struct lido__listener *at = hooks->listeners->items[i];

        if (at->ctx == listener->ctx && lido__read(&at->is_removed) == 0 &&
            memcmp(at->callbacks, listener->callbacks, sizeof at->callbacks) == 0)
            return at->id;
    }
    return 0;
}

/* Makes arrays until one fits: others may add and remove while there is no lock.  *same is
   the registration that was there already, and then nothing was done. */
static int push(lido_hooks *hooks, struct lido__listener *listener, bool is_first,
                lido_hook *same)
{
    for (;;) {
        struct lido__listeners *next, *old;
        bool fits;
        size_t count;

        lido__mutex_lock(&hooks->lock);
        count = lido__listeners_count(hooks->listeners);
        lido__mutex_unlock(&hooks->lock);
        next = lido__listeners_new(count + 1);
        if (next == NULL)
            return SQLITE_NOMEM;
        lido__mutex_lock(&hooks->lock);
        old = hooks->listeners;
        *same = find_same_locked(hooks, listener);
        fits = *same == 0 && lido__listeners_count(old) == count;
        if (fits) {
            lido__listeners_fill_with(next, old, listener, is_first);
            hooks->listeners = next;
            recount_locked(hooks);
        }
        lido__mutex_unlock(&hooks->lock);
        if (fits) {
            lido__listeners_release(old);
            return LIDO_OK;
        }
        lido__listeners_discard(next);
        if (*same != 0)
            return LIDO_OK;
    }
}

int lido__hooks_copy(lido_hooks *to, lido_hooks *from)
{
    struct lido__listeners *all;
    lido_hook same;
    int rc = LIDO_OK;

    lido__mutex_lock(&from->lock);
    all = from->listeners;
    if (all != NULL)
        lido__add(&all->users, 1);
    lido__mutex_unlock(&from->lock);
    for (size_t i = 0; i < lido__listeners_count(all) && rc == LIDO_OK; i++)
        if (lido__read(&all->items[i]->is_removed) == 0)
            rc = push(to, all->items[i], false, &same);
    lido__listeners_release(all);
    return rc;
}

static int check(struct lido_events *events_out, struct lido_hook_options *options_out,
                 const lido_hooks *hooks, const struct lido_events *events,
                 const struct lido_hook_options *options, struct lido_error *err)
{
    int rc;

    if (hooks == NULL)
        return lido_fail(err, SQLITE_MISUSE, "there is no target to add hooks to");
    if (events == NULL)
        return lido_fail(err, SQLITE_MISUSE, "there are no events to add");
    rc = read_struct(events_out, events, events_ends, LIDO__EVENTS, "lido_events", err);
    if (rc != LIDO_OK || options == NULL)
        return rc;
    return read_struct(options_out, options, options_ends,
                       sizeof options_ends / sizeof options_ends[0], "lido_hook_options",
                       err);
}

int lido_hooks_add(lido_hooks *hooks, lido_hook *out, const struct lido_events *events,
                   void *ctx, const struct lido_hook_options *options,
                   struct lido_error *err)
{
    struct lido_hook_options how = LIDO_HOOK_OPTIONS_INIT;
    struct lido_events set = { .size = sizeof set };
    struct lido__listener *listener = NULL;
    lido_hook id, same;
    int rc;

    if (out != NULL)
        *out = 0;
    /* Read first: it is called whatever else is wrong. */
    if (options != NULL && options->size >= END(struct lido_hook_options, destroy))
        how.destroy = options->destroy;
    rc = lido__is_forked() ? lido__fail_forked(err)
                           : check(&set, &how, hooks, events, options, err);
    if (rc != LIDO_OK)
        goto fail;
    listener = listener_new(&set, ctx, &how);
    if (listener == NULL) {
        rc = lido_fail(err, SQLITE_NOMEM, "no memory for a hook");
        goto fail;
    }
    id = listener->id; /* once it is there, another thread may take it away again */
    rc = push(hooks, listener, how.first != 0, &same);
    if (rc != LIDO_OK) {
        rc = lido_fail(err, rc, "no memory for the list of hooks");
        goto fail;
    }
    if (same != 0)
        lido__free(listener); /* and ctx is the other's already */
    if (out != NULL)
        *out = same != 0 ? same : id;
    return LIDO_OK;

fail:
    lido__free(listener);
    lido__listener_destroy(how.destroy, ctx);
    return rc;
}

int lido_hooks_remove(lido_hooks *hooks, lido_hook hook, struct lido_error *err)
{
    struct lido__listeners *old = NULL;
    size_t index;

    if (hooks == NULL)
        return lido_fail(err, SQLITE_MISUSE, "there is no target to remove a hook from");
    if (lido__is_forked())
        return lido__fail_forked(err);
    lido__mutex_lock(&hooks->lock);
    index = find_locked(hooks, hook);
    if (index < lido__listeners_count(hooks->listeners)) {
        old = hooks->listeners;
        lido__write(&old->items[index]->is_removed, 1);
        hooks->listeners = lido__listeners_fill_without(old, index);
        recount_locked(hooks);
    }
    lido__mutex_unlock(&hooks->lock);
    if (old == NULL)
        return lido_fail(err, LIDO_NOT_FOUND, "hook %llu is not registered at this target",
                         (unsigned long long)hook);
    lido__listeners_release(old);
    return LIDO_OK;
}

int lido_hooks_contains(lido_hooks *hooks, lido_hook hook)
{
    bool is_there;

    if (hooks == NULL || lido__is_forked())
        return 0;
    lido__mutex_lock(&hooks->lock);
    is_there = find_locked(hooks, hook) < lido__listeners_count(hooks->listeners);
    lido__mutex_unlock(&hooks->lock);
    return is_there;
}
