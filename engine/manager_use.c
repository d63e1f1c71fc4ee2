/* SPDX-License-Identifier: MIT */
/*
 * Using a manager: finds the pool for a URL, or opens it.
 *
 * The first thread that asks for a pool puts an entry in the table and opens the pool with
 * the lock released; others find the entry and wait for the bell.  So there is one pool for
 * a key also where opening has effects (create=new, open_now).
 *
 * Threads: as the header says.  No hook, driver or allocation runs under the lock.
 */
#include "base/process.h"
#include "engine/managed.h"
#include "engine/options.h"

static void destroy(struct lido__managed *managed)
{
    lido_pool_free(managed->pool);
    lido__managed_free(managed);
}

void lido__managed_leave(lido_manager *manager, struct lido__managed *managed)
{
    bool is_last;

    lido__mutex_lock(&manager->lock);
    is_last = lido__managed_leave_locked(manager, managed);
    lido__mutex_unlock(&manager->lock);
    if (is_last)
        destroy(managed);
}

/*
 * The entry for what `wanted` names, with the caller as a user.  If there is none, `wanted`
 * itself is added and *is_new: then the caller opens the pool.
 */
static int claim(lido_manager *manager, struct lido__managed *wanted,
                 struct lido__managed **out, bool *is_new, struct lido_error *err)
    LIDO_TSA(locks_excluded(manager->lock))
{
    struct lido__managed *found;
    bool is_own = false;

    lido__mutex_lock(&manager->lock);
    while ((found = lido__managed_find_locked(manager, wanted)) != NULL &&
           found->opener != 0 && !is_own) {
        is_own = found->opener == lido__thread();
        if (!is_own)
            lido__bell_wait_locked(&manager->rung, &manager->lock, NULL, LIDO_NO_DEADLINE);
    }
    *is_new = found == NULL;
    if (found == NULL)
        lido__managed_add_locked(manager, found = wanted);
    else if (!is_own) {
        found->users++;
        lido__managed_touch_locked(manager, found);
    }
    lido__mutex_unlock(&manager->lock);
    *out = found;
    return is_own ? lido_fail(err, LIDO_RECURSION,
                              "this thread is opening that pool: %.120s", wanted->url)
                  : LIDO_OK;
}

/* Nothing of it is in use, and closing it loses nothing. */
static bool is_spare(lido_pool *pool)
{
    const struct lido__pool_config *config = &pool->config;
    struct lido_pool_stats stats = LIDO_POOL_STATS_INIT;

    if (config->is_memory || config->needs_anchor)
        return false;
    return lido_pool_stats(pool, &stats, NULL) == LIDO_OK && stats.out == 0 &&
           stats.disowned == 0 && stats.detached == 0 && stats.waiting == 0;
}

/* The oldest of those that nobody uses, among those asked for after `after`. */
static struct lido__managed *next_unused_locked(const lido_manager *manager, uint64_t after)
    LIDO_TSA(requires_capability(manager->lock))
{
    struct lido__managed *at = manager->oldest;

    while (at != NULL && (at->asked <= after || at->users > 0))
        at = at->newer;
    return at;
}

/*
 * Closes pools until there are max_pools, or no more can be closed.  Whether leases are out is
 * asked without the lock, as its user; that nobody asked for the pool meanwhile, and so has a
 * lease that was not seen, is told by `asked`.
 */
static void trim(lido_manager *manager) LIDO_TSA(locks_excluded(manager->lock))
{
    struct lido__managed *managed;
    uint64_t after = 0;

    lido__mutex_lock(&manager->lock);
    while (manager->max_pools > 0 && manager->n_pools > manager->max_pools &&
           (managed = next_unused_locked(manager, after)) != NULL) {
        bool spare, is_last;

        after = managed->asked;
        managed->users++;
        lido__mutex_unlock(&manager->lock);
        spare = is_spare(managed->pool);
        lido__mutex_lock(&manager->lock);
        if (spare && managed->asked == after && managed->users == 1)
            lido__managed_forget_locked(manager, managed);
        is_last = lido__managed_leave_locked(manager, managed);
        lido__mutex_unlock(&manager->lock);
        if (is_last)
            destroy(managed);
        lido__mutex_lock(&manager->lock);
    }
    lido__mutex_unlock(&manager->lock);
}

/* Opens the pool of an entry that this thread has added.  If that fails the entry is gone. */
static int open_pool(lido_manager *manager, struct lido__managed *managed,
                     struct lido__url *url, struct lido_error *err)
    LIDO_TSA(locks_excluded(manager->lock))
{
    lido_pool *pool;
    int rc = lido__pool_open_url(&pool, url, &manager->options, err);

    if (rc == LIDO_OK && manager->opened != NULL) {
        rc = manager->opened(manager->ctx, pool, err);
        if (rc != LIDO_OK) {
            lido_pool_free(pool);
            pool = NULL;
        }
    }
    lido__mutex_lock(&manager->lock);
    lido__managed_publish_locked(manager, managed, pool);
    lido__mutex_unlock(&manager->lock);
    if (rc != LIDO_OK)
        lido__managed_leave(manager, managed);
    else
        trim(manager);
    return rc;
}

/* The entry of a URL, open, with the caller as a user. */
static int enter(lido_manager *manager, const char *text, struct lido__managed **out,
                 struct lido_error *err) LIDO_TSA(locks_excluded(manager->lock))
{
    struct lido__managed *wanted = NULL;
    struct lido__url url;
    bool is_new = false;
    int rc;

    rc = lido__url_parse(&url, text, err);
    if (rc != LIDO_OK)
        return rc;
    rc = lido__managed_new(&wanted, &url, err);
    if (rc == LIDO_OK)
        rc = claim(manager, wanted, out, &is_new, err);
    if (rc == LIDO_OK && is_new)
        rc = open_pool(manager, wanted, &url, err);
    lido__url_fini(&url);
    if (!is_new)
        lido__managed_free(wanted);
    return rc;
}

int lido_manager_checkout_at(lido_manager *manager, const char *url, struct lido_conn *out,
                             const struct lido_checkout_options *options, const char *file,
                             int line, struct lido_error *err)
{
    static const struct lido_conn none = LIDO_CONN_INIT;
    struct lido__managed *managed;
    int rc;

    if (out == NULL)
        return lido_fail(err, SQLITE_MISUSE, "nowhere to put the lease");
    *out = none;
    rc = lido__manager_check_url(manager, url, err);
    if (rc == LIDO_OK)
        rc = enter(manager, url, &managed, err);
    if (rc != LIDO_OK)
        return rc;
    rc = lido_pool_checkout_at(managed->pool, out, options, file, line, err);
    lido__managed_leave(manager, managed);
    return rc;
}

int lido_manager_pool(lido_manager *manager, const char *url, lido_pool **out,
                      struct lido_error *err)
{
    struct lido__managed *managed;
    int rc;

    if (out == NULL)
        return lido_fail(err, SQLITE_MISUSE, "nowhere to put the pool");
    *out = NULL;
    rc = lido__manager_check_url(manager, url, err);
    if (rc == LIDO_OK)
        rc = enter(manager, url, &managed, err);
    if (rc != LIDO_OK)
        return rc;
    *out = managed->pool;
    lido__mutex_lock(&manager->lock);
    managed->lent++;
    lido__mutex_unlock(&manager->lock);
    return LIDO_OK;
}

int lido_manager_release(lido_manager *manager, lido_pool *pool, struct lido_error *err)
{
    struct lido__managed *managed;
    int rc = lido__manager_check(manager, err);

    if (rc != LIDO_OK)
        return rc;
    lido__mutex_lock(&manager->lock);
    managed = manager->newest;
    while (managed != NULL && (managed->pool != pool || managed->lent == 0))
        managed = managed->older;
    if (managed != NULL)
        managed->lent--;
    lido__mutex_unlock(&manager->lock);
    if (managed == NULL)
        return lido_fail(err, LIDO_NOT_FOUND, "this manager has not lent that pool");
    lido__managed_leave(manager, managed);
    return LIDO_OK;
}
