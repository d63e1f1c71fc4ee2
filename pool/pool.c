/* SPDX-License-Identifier: MIT */
/*
 * A pool's own life: made, closed, freed.
 *
 *     open --close()--> closed, leases out --last check-in--> empty --free()--> gone
 *
 * Closing shuts the gate first and then sweeps the idle slots; a check-in that finds the
 * gate closed closes its own connection.  free() while leases are out leaves the pool to the
 * last check-in.
 *
 * The memory of a pool is type-stable and its lock is made once, because a check-in may look
 * at the gate after the pool is gone (pool/slots.c).
 *
 * Threads: as the headers say.
 */
#include "pool/pool.h"
#include "base/alloc.h"
#include "pool/slab.h"

static struct lido__slab shells = {
    .lock = LIDO_MUTEX_INIT(LIDO_RANK_SLAB),
    .size = sizeof(lido_pool),
    .link = offsetof(lido_pool, slab_link),
};

bool lido__pool_is_sound_locked(const lido_pool *pool)
{
    int64_t live = (int64_t)lido__read(&pool->live), used = 0;

    for (struct lido_record *at = lido__slots_first(pool); at != NULL; at = at->next)
        used += lido__slot_state(lido__read(&at->word)) != LIDO__VACANT;
    return used == live && (live <= pool->limit || pool->limit == 0) &&
           (pool->waiters.oldest == NULL) == (pool->waiters.newest == NULL) &&
           (pool->waiters.oldest == NULL) ==
               (lido__read(&pool->gate) / LIDO__GATE_WAITER == 0);
}

static void free_config(struct lido__pool_config *config)
{
    lido__url_fini(&config->url);
    lido__free(config->params);
    config->params = NULL;
}

static void set_up(lido_pool *pool, const struct lido__pool_config *config)
{
    static lido__word last_id;

    if (!pool->is_lock_ready)
        lido__mutex_init(&pool->lock, LIDO_RANK_POOL);
    pool->is_lock_ready = true;
    lido__mutex_lock(&pool->lock);
    pool->config = *config;
    pool->id = lido__add(&last_id, 1) + 1;
    pool->limit = config->kind->limit(config);
    pool->keep = config->kind->keep(config);
    pool->how = lido__connect_of(config);
    pool->waiters = (struct lido__waiters){ 0 };
    pool->emptied = pool->first_ran = (struct lido__bell){ 0 };
    pool->first = LIDO__FIRST_TO_COME;
    pool->is_freed = false;
    pool->counts = (struct lido_pool_stats){ .size = 0 };
    lido__write(&pool->live, 0);
    lido__swap(&pool->gate, 0);
    lido__mutex_unlock(&pool->lock);
    lido__hooks_init(&pool->hooks, config->kind->name);
}

int lido__pool_new(lido_pool **out, const struct lido__pool_config *config,
                   struct lido_error *err)
{
    struct lido__pool_config stolen = *config;
    lido_pool *pool = NULL;
    bool is_new;
    int rc = lido__process_enter(err);

    *out = NULL;
    if (rc != LIDO_OK) {
        free_config(&stolen);
        return rc;
    }
    pool = lido__slab_take(&shells, &is_new);
    if (pool == NULL) {
        lido__process_leave();
        free_config(&stolen);
        return lido_fail(err, SQLITE_NOMEM, "out of memory for a pool");
    }
    set_up(pool, &stolen);
    lido__log(pool, LIDO_LOG_INFO, "pool opened: %s %s", config->kind->name,
              pool->how.database);
    *out = pool;
    return LIDO_OK;
}

void lido__pool_destroy(lido_pool *pool)
{
    lido__log(pool, LIDO_LOG_INFO, "pool freed: %s", pool->how.database);
    lido__hooks_fini(&pool->hooks);
    lido__mutex_lock(&pool->lock);
    lido__slots_give_back(pool);
    lido__mutex_unlock(&pool->lock);
    free_config(&pool->config);
    lido__slab_give(&shells, pool);
    lido__process_leave();
}

lido_hooks *lido_pool_hooks(lido_pool *pool)
{
    return pool != NULL ? &pool->hooks : NULL;
}

static int fail_busy_leases(lido_pool *pool, int64_t left, struct lido_error *err)
{
    char holders[200];

    if (err == NULL)
        return LIDO_BUSY_LEASES;
    lido__holders_describe(pool, holders, sizeof holders);
    return lido_fail(err, LIDO_BUSY_LEASES, "%lld %s still out%s", (long long)left,
                     left == 1 ? "lease is" : "leases are", holders);
}

int lido_pool_close(lido_pool *pool, int64_t deadline_ms, struct lido_error *err)
{
    int64_t deadline_ns, left;
    int rc;

    if (pool == NULL)
        return LIDO_OK;
    if (lido__is_forked())
        return lido__fail_forked(err);
    if (deadline_ms < -1)
        return lido_fail(err, LIDO_BAD_OPTION, "deadline_ms is %lld, the least is -1",
                         (long long)deadline_ms);
    deadline_ns = lido__deadline_ns(pool->config.clock, deadline_ms);
    lido__slots_dismiss(pool);
    rc = lido__slots_sweep(pool, err);

    lido__mutex_lock(&pool->lock);
    while (lido__read(&pool->live) > 0 &&
           lido__bell_wait_locked(&pool->emptied, &pool->lock, pool->config.clock,
                                  deadline_ns))
        continue;
    left = (int64_t)lido__read(&pool->live);
    lido__mutex_unlock(&pool->lock);
    if (left > 0)
        return fail_busy_leases(pool, left, err);
    if (rc == LIDO_OK)
        lido__log(pool, LIDO_LOG_INFO, "pool closed: %s", pool->how.database);
    return rc;
}

void lido_pool_free(lido_pool *pool)
{
    bool is_empty;

    if (pool == NULL || lido__is_forked())
        return; /* in a forked child nothing of SQLite may be touched */
    lido__slots_dismiss(pool);
    lido__slots_sweep(pool, NULL);
    lido__mutex_lock(&pool->lock);
    pool->is_freed = true;
    is_empty = lido__read(&pool->live) == 0;
    lido__mutex_unlock(&pool->lock);
    if (is_empty)
        lido__pool_destroy(pool);
}
