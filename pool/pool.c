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
#include "pool/holders.h"
#include "pool/slab.h"

static struct lido__slab shells = {
    .lock = LIDO_MUTEX_INIT(LIDO_RANK_SLAB),
    .size = sizeof(lido_pool),
    .link = offsetof(lido_pool, slab_link),
};

#ifndef NDEBUG
bool lido__pool_is_sound_locked(const lido_pool *pool)
{
    int64_t live = (int64_t)lido__read(&pool->live);
    int64_t used[LIDO__ADOPTED + 1] = { 0 };

    for (struct lido_record *at = lido__slots_first(pool); at != NULL; at = at->next)
        if (lido__slot_state(lido__read(&at->own.word)) != LIDO__VACANT)
            used[lido__read(&at->standing)]++;
    return used[LIDO__MEMBER] == live && used[LIDO__WRITER] == (pool->writer != NULL) &&
           (live <= pool->limit || pool->limit == 0) &&
           used[LIDO__DISOWNED] == pool->disowned &&
           used[LIDO__DETACHED] + used[LIDO__ADOPTED] == pool->detached &&
           (pool->waiters.oldest == NULL) == (pool->waiters.newest == NULL) &&
           (pool->waiters.oldest == NULL) ==
               (lido__read(&pool->gate) / LIDO__GATE_WAITER == 0);
}
#endif

void lido__pool_count(lido_pool *pool, uint64_t *counter)
{
    lido__mutex_lock(&pool->lock);
    ++*counter;
    lido__mutex_unlock(&pool->lock);
}

static void free_config(struct lido__pool_config *config)
{
    lido__url_fini(&config->url);
    lido__free(config->params);
    config->params = NULL;
}

static void leave_origin(struct lido__origin *origin)
{
    if (lido__add(&origin->users, UINT64_MAX) != 1)
        return;
    lido__url_fini(&origin->url);
    lido__free(origin->params);
    lido__free(origin);
}

/* Takes the config's url and params over. */
static struct lido__origin *origin_new(const struct lido__pool_config *config)
{
    struct lido__origin *origin = lido__new(sizeof *origin);

    if (origin == NULL)
        return NULL;
    lido__write(&origin->users, 1);
    origin->url = config->url;
    origin->params = config->params;
    return origin;
}

/* True if checkouts and check-ins have more to do than two swaps. */
static bool goes_by_lock(const lido_pool *pool)
{
    const struct lido__kind *kind = pool->config.kind;

    return pool->sharing != LIDO__SHARE_NONE || kind->asserts ||
           pool->config.order != LIDO__ORDER_ANY || pool->config.idle_timeout_ms >= 0;
}

static struct lido_connect how_of(const lido_pool *pool)
{
    struct lido_connect how = lido__connect_of(&pool->config);

    how.is_shared = pool->sharing == LIDO__SHARE_ALL;
    how.is_memory = pool->config.is_memory;
    how.key = pool->config.key;
    how.key_ctx = pool->config.key_ctx;
    how.busy_wait = pool->config.busy_wait;
    return how;
}

static void set_up(lido_pool *pool, const struct lido__pool_config *config,
                   struct lido__origin *origin)
{
    static lido__word last_id;

    if (!pool->is_lock_ready) {
        lido__mutex_init(&pool->lock, LIDO_RANK_POOL);
        lido__sleepers_init(&pool->elsewhere);
    }
    pool->is_lock_ready = true;
    lido__mutex_lock(&pool->lock);
    pool->config = *config;
    pool->origin = origin;
    pool->id = lido__add(&last_id, 1) + 1;
    pool->limit = config->kind->limit(config);
    pool->keep = config->kind->keep(config);
    pool->sharing = config->kind->sharing;
    if (pool->sharing == LIDO__SHARE_NONE && config->use_threadlocal)
        pool->sharing = LIDO__SHARE_THREAD;
    pool->asks_always = config->pre_ping || lido__logs(pool, LIDO_LOG_DEBUG);
    pool->how = how_of(pool);
    pool->anchor = NULL;
    pool->file_gate = NULL;
    pool->writer = NULL;
    pool->waiters = (struct lido__waiters){ 0 };
    pool->emptied = pool->first_ran = (struct lido__bell){ 0 };
    pool->shared = pool->txn_over = (struct lido__bell){ 0 };
    pool->first = LIDO__FIRST_TO_COME;
    pool->is_freed = false;
    pool->disowned = pool->detached = 0;
    pool->stamps = pool->returns = 0;
    pool->invalidated_ns = pool->replaced_ns = 0;
    pool->counts = (struct lido_pool_stats){ .size = 0 };
    lido__write(&pool->live, 0);
    lido__write(&pool->invalid_stamp, 0);
    lido__write(&pool->parked_writer, 0);
    lido__write(&pool->hooks_lock, 0);
    lido__swap(&pool->gate, goes_by_lock(pool) ? LIDO__GATE_BY_LOCK : 0);
    lido__mutex_unlock(&pool->lock);
    lido__hooks_init(&pool->hooks, config->kind->name);
    if (config->kind->binds)
        lido__threads_bind(pool);
}

/* The origin's use is the pool's, also when this fails. */
static int make(lido_pool **out, const struct lido__pool_config *config,
                struct lido__origin *origin, struct lido_error *err)
{
    bool is_new;
    lido_pool *pool;
    int rc = lido__process_enter(err);

    *out = NULL;
    if (rc != LIDO_OK) {
        leave_origin(origin);
        return rc;
    }
    pool = lido__slab_take(&shells, &is_new);
    if (pool == NULL) {
        lido__process_leave();
        leave_origin(origin);
        return lido_fail(err, SQLITE_NOMEM, "out of memory for a pool");
    }
    set_up(pool, config, origin);
    lido__log(pool, LIDO_LOG_INFO, "pool opened: %s %s", config->kind->name,
              pool->how.database);
    rc = lido__pool_anchor(pool, err);
    if (rc != LIDO_OK) {
        lido_pool_free(pool);
        return rc;
    }
    *out = pool;
    return LIDO_OK;
}

int lido__pool_new(lido_pool **out, const struct lido__pool_config *config,
                   struct lido_error *err)
{
    struct lido__pool_config stolen = *config;
    struct lido__origin *origin = origin_new(&stolen);

    *out = NULL;
    if (origin == NULL) {
        free_config(&stolen);
        return lido_fail(err, SQLITE_NOMEM, "out of memory for a pool");
    }
    return make(out, &stolen, origin, err);
}

int lido_pool_recreate(lido_pool *pool, lido_pool **out, struct lido_error *err)
{
    int rc;

    if (out == NULL)
        return lido_fail(err, SQLITE_MISUSE, "nowhere to put the pool");
    *out = NULL;
    if (pool == NULL)
        return lido_fail(err, SQLITE_MISUSE, "no pool was given");
    if (lido__is_forked())
        return lido__fail_forked(err);
    lido__add(&pool->origin->users, 1);
    rc = make(out, &pool->config, pool->origin, err);
    if (rc != LIDO_OK)
        return rc;
    rc = lido__hooks_copy(&(*out)->hooks, &pool->hooks);
    if (rc != LIDO_OK) {
        lido_pool_free(*out);
        *out = NULL;
        return lido_fail(err, rc, "out of memory for the hooks of a pool");
    }
    return LIDO_OK;
}

static void close_anchor(lido_pool *pool)
{
    const struct lido__driver *driver = &pool->config.driver;

    if (pool->anchor != NULL)
        driver->table->close(driver->ctx, pool->anchor, 0, NULL);
    pool->anchor = NULL;
}

void lido__pool_destroy(lido_pool *pool)
{
    close_anchor(pool);
    if (pool->config.gates != NULL)
        pool->config.gates->end(pool);
    if (pool->config.kind->binds)
        lido__threads_unbind(pool);
    lido__log(pool, LIDO_LOG_INFO, "pool freed: %s", pool->how.database);
    lido__hooks_fini(&pool->hooks);
    lido__mutex_lock(&pool->lock);
    lido__chunks_give_back(pool);
    lido__mutex_unlock(&pool->lock);
    leave_origin(pool->origin);
    lido__slab_give(&shells, pool);
    lido__process_leave();
}

lido_hooks *lido_pool_hooks(lido_pool *pool)
{
    return pool != NULL ? &pool->hooks : NULL;
}

/* Leases that a closing pool waits for: those who took their connection with them are none
   of its business. */
static int64_t count_owed_locked(const lido_pool *pool)
    LIDO_TSA(requires_capability(pool->lock))
{
    return (int64_t)lido__read(&pool->live) + pool->disowned + (pool->writer != NULL);
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
    lido__sleepers_wake(&pool->elsewhere); /* runs that wait at a gate */
    rc = lido__pool_sweep(pool, err);

    lido__mutex_lock(&pool->lock);
    while (count_owed_locked(pool) > 0 &&
           lido__bell_wait_locked(&pool->emptied, &pool->lock, pool->config.clock,
                                  deadline_ns))
        continue;
    left = count_owed_locked(pool);
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
    lido__sleepers_wake(&pool->elsewhere);
    lido__pool_sweep(pool, NULL);
    lido__mutex_lock(&pool->lock);
    pool->is_freed = true;
    is_empty = lido__pool_is_empty_locked(pool);
    lido__mutex_unlock(&pool->lock);
    if (is_empty)
        lido__pool_destroy(pool);
}
