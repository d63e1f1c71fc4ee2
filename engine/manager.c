/* SPDX-License-Identifier: MIT */
/*
 * A manager's own life, what it forgets, and what it shows.
 *
 * A call is a user of its entry while it works with the pool.  Whoever forgets an entry
 * leaves the freeing to its last user; lido_pool_free() in turn leaves the pool to the last
 * lease.  So neither a call nor a lease ever finds its pool gone.
 *
 * Threads: as the header says.  No hook, driver or allocation runs under the lock.
 */
#include "base/alloc.h"
#include "base/process.h"
#include "engine/managed.h"
#include "pool/pool.h"

#include <string.h>

/* --- its own life --------------------------------------------------------------------- */

static int check_options(const struct lido_manager_options *options, struct lido_error *err)
{
    if (options == NULL)
        return LIDO_OK;
    if (options->size != sizeof *options)
        return lido_fail(err, SQLITE_MISUSE,
                         "manager options of %zu bytes, not %zu: start from "
                         "LIDO_MANAGER_OPTIONS_INIT",
                         options->size, sizeof *options);
    if (options->pool != NULL && options->pool->size != sizeof *options->pool)
        return lido_fail(err, SQLITE_MISUSE,
                         "pool options of %zu bytes, not %zu: start from "
                         "LIDO_POOL_OPTIONS_INIT",
                         options->pool->size, sizeof *options->pool);
    if (options->max_pools < 0)
        return lido_fail(err, LIDO_BAD_OPTION, "max_pools is %d, the least is 0",
                         options->max_pools);
    return LIDO_OK;
}

/* A copy of an option's string, which becomes the option; false if memory is out. */
static bool keep_text(const char **text, char **copy)
{
    if (*text == NULL)
        return true;
    *copy = lido__copy(*text, strlen(*text));
    *text = *copy;
    return *copy != NULL;
}

static lido_manager *make(const struct lido_manager_options *options)
{
    static const struct lido_pool_options defaults = LIDO_POOL_OPTIONS_INIT;
    static const struct lido_manager_options none = LIDO_MANAGER_OPTIONS_INIT;
    lido_manager *manager = lido__new(sizeof *manager);

    if (manager == NULL)
        return NULL;
    if (options == NULL)
        options = &none;
    manager->options = options->pool != NULL ? *options->pool : defaults;
    manager->max_pools = options->max_pools;
    manager->opened = options->opened;
    manager->ctx = options->ctx;
    if (!keep_text(&manager->options.pool, &manager->kind) ||
        !keep_text(&manager->options.order, &manager->order)) {
        lido__free(manager->kind);
        lido__free(manager);
        return NULL;
    }
    lido__mutex_init(&manager->lock, LIDO_RANK_MANAGER);
    return manager;
}

int lido_manager_new(lido_manager **out, const struct lido_manager_options *options,
                     struct lido_error *err)
{
    int rc;

    if (out == NULL)
        return lido_fail(err, SQLITE_MISUSE, "nowhere to put the manager");
    *out = NULL;
    rc = check_options(options, err);
    if (rc == LIDO_OK) /* from now on a child of a fork() is noticed, also without a pool */
        rc = lido__process_enter(err);
    if (rc != LIDO_OK)
        return rc;
    *out = make(options);
    if (*out == NULL) {
        lido__process_leave();
        return lido_fail(err, SQLITE_NOMEM, "out of memory for a manager");
    }
    return LIDO_OK;
}

void lido_manager_free(lido_manager *manager)
{
    struct lido__managed *managed;

    if (manager == NULL || lido__is_forked())
        return;
    lido__mutex_lock(&manager->lock);
    while ((managed = manager->oldest) != NULL) {
        manager->oldest = managed->newer;
        lido__mutex_unlock(&manager->lock);
        lido_pool_free(managed->pool);
        lido__managed_free(managed);
        lido__mutex_lock(&manager->lock);
    }
    lido__mutex_unlock(&manager->lock);
    lido__mutex_fini(&manager->lock);
    lido__free(manager->kind);
    lido__free(manager->order);
    lido__free(manager);
    lido__process_leave();
}

int lido__manager_check(const lido_manager *manager, struct lido_error *err)
{
    if (manager == NULL)
        return lido_fail(err, SQLITE_MISUSE, "no manager was given");
    return lido__is_forked() ? lido__fail_forked(err) : LIDO_OK;
}

int lido__manager_check_url(const lido_manager *manager, const char *url,
                            struct lido_error *err)
{
    int rc = lido__manager_check(manager, err);

    return rc == LIDO_OK && url == NULL ? lido_fail(err, SQLITE_MISUSE, "no URL was given")
                                        : rc;
}

/* --- forgetting ----------------------------------------------------------------------- */

/* Makes the caller a user of an entry that is forgotten now.  False if it has no pool yet:
   who opens it will be its last user. */
static bool take_forgotten_locked(lido_manager *manager, struct lido__managed *managed)
    LIDO_TSA(requires_capability(manager->lock))
{
    lido__managed_forget_locked(manager, managed);
    if (managed->opener != 0)
        return false;
    managed->users++;
    return true;
}

static int close_forgotten(lido_manager *manager, struct lido__managed *managed,
                           struct lido_error *err) LIDO_TSA(locks_excluded(manager->lock))
{
    int rc = LIDO_OK;

    if (!lido__pool_is_closed(managed->pool)) /* by the host, against the rule */
        rc = lido_pool_dispose(managed->pool, err);
    lido__managed_leave(manager, managed);
    return rc;
}

int lido_manager_dispose(lido_manager *manager, const char *text, struct lido_error *err)
{
    struct lido__managed *wanted, *found;
    struct lido__url url;
    int rc = lido__manager_check_url(manager, text, err);

    if (rc == LIDO_OK)
        rc = lido__url_parse(&url, text, err);
    if (rc != LIDO_OK)
        return rc;
    rc = lido__managed_new(&wanted, &url, err);
    lido__url_fini(&url);
    if (rc != LIDO_OK)
        return rc;
    lido__mutex_lock(&manager->lock);
    found = lido__managed_find_locked(manager, wanted);
    if (found != NULL && !take_forgotten_locked(manager, found))
        found = NULL;
    lido__mutex_unlock(&manager->lock);
    lido__managed_free(wanted);
    return found != NULL ? close_forgotten(manager, found, err) : LIDO_OK;
}

int lido_manager_clear(lido_manager *manager, struct lido_error *err)
{
    struct lido__managed *cleared = NULL;
    int rc = lido__manager_check(manager, err);

    if (rc != LIDO_OK)
        return rc;
    lido__mutex_lock(&manager->lock);
    for (struct lido__managed *at = manager->oldest; at != NULL; at = at->newer)
        if (!at->is_forgotten && take_forgotten_locked(manager, at)) {
            at->next_cleared = cleared;
            cleared = at;
        }
    lido__mutex_unlock(&manager->lock);
    while (cleared != NULL) {
        struct lido__managed *next = cleared->next_cleared;
        int later = close_forgotten(manager, cleared, rc == LIDO_OK ? err : NULL);

        rc = rc != LIDO_OK ? rc : later;
        cleared = next;
    }
    return rc;
}

/* --- showing -------------------------------------------------------------------------- */

int lido_manager_count(lido_manager *manager)
{
    int count;

    if (lido__manager_check(manager, NULL) != LIDO_OK)
        return 0;
    lido__mutex_lock(&manager->lock);
    count = manager->n_pools;
    lido__mutex_unlock(&manager->lock);
    return count;
}

/* What is shown, each with the caller as a user. */
struct list {
    int count, room;
    struct lido__managed **managed;
    struct lido_managed *shown;
};

/* False if there was not room enough; `room` is what it takes. */
static bool fill(lido_manager *manager, struct list *list)
    LIDO_TSA(locks_excluded(manager->lock))
{
    bool is_enough;

    lido__mutex_lock(&manager->lock);
    is_enough = list->room >= manager->n_pools;
    if (!is_enough)
        list->room = manager->n_pools;
    for (struct lido__managed *at = manager->newest;
         at != NULL && list->count < list->room && is_enough; at = at->older) {
        if (at->is_forgotten || at->opener != 0)
            continue;
        at->users++;
        list->managed[list->count] = at;
        list->shown[list->count++] =
            (struct lido_managed){ sizeof *list->shown, at->url, at->pool, at->lent };
    }
    lido__mutex_unlock(&manager->lock);
    return is_enough;
}

/* False if memory is out, and then the list is empty. */
static bool make_room(struct list *list)
{
    lido__free(list->managed);
    lido__free(list->shown);
    list->managed = lido__new((size_t)list->room * sizeof *list->managed);
    list->shown = lido__new((size_t)list->room * sizeof *list->shown);
    if (list->managed != NULL && list->shown != NULL)
        return true;
    lido__free(list->managed);
    lido__free(list->shown);
    return false;
}

int lido_manager_pools(lido_manager *manager,
                       int (*visit)(void *ctx, const struct lido_managed *managed),
                       void *ctx, struct lido_error *err)
{
    struct list list = { .room = 0 };
    int rc = lido__manager_check(manager, err);

    if (rc != LIDO_OK)
        return rc;
    if (visit == NULL)
        return lido_fail(err, SQLITE_MISUSE, "nobody to show the pools to");
    while (!fill(manager, &list))
        if (!make_room(&list))
            return lido_fail(err, SQLITE_NOMEM, "out of memory for %d pools", list.room);
    for (int i = 0; rc == LIDO_OK && i < list.count; i++)
        rc = visit(ctx, &list.shown[i]);
    for (int i = 0; i < list.count; i++)
        lido__managed_leave(manager, list.managed[i]);
    lido__free(list.managed);
    lido__free(list.shown);
    return rc;
}
