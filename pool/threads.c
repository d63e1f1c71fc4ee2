/* SPDX-License-Identifier: MIT */
/*
 * What a thread leaves behind when it ends: its own connections of singleton_thread pools.
 *
 * Such a pool stands in a list, and a thread that has a record of one has a value under a
 * pthread key, whose destructor looks through the list.  An idle record is closed; a lease
 * that was never checked in is ended and its connection returned, with all hooks, and then
 * closed.  With check_same_thread=0 another thread may be using the lease: then the record is
 * only marked as nobody's, and the check-in closes it.
 *
 * Threads: any; `lock` guards the list, and a pool in it cannot go while the lock is held.
 * It comes before a pool's lock.  A claimed record keeps its pool alive when both are given
 * back.
 */
#include "pool/pool.h"

static struct lido__mutex lock = LIDO_MUTEX_INIT(LIDO_RANK_POOLS);
static lido_pool *bound;

static pthread_key_t key;
static pthread_once_t key_once = PTHREAD_ONCE_INIT;
static bool has_key;

void lido__threads_bind(lido_pool *pool)
{
    lido__mutex_lock(&lock);
    pool->previous_bound = NULL;
    pool->next_bound = bound;
    if (bound != NULL)
        bound->previous_bound = pool;
    bound = pool;
    lido__mutex_unlock(&lock);
}

void lido__threads_unbind(lido_pool *pool)
{
    lido__mutex_lock(&lock);
    if (pool->previous_bound != NULL)
        pool->previous_bound->next_bound = pool->next_bound;
    else
        bound = pool->next_bound;
    if (pool->next_bound != NULL)
        pool->next_bound->previous_bound = pool->previous_bound;
    lido__mutex_unlock(&lock);
}

/* Makes the record RETURNING to the caller, if it is to be closed now. */
static bool claim_locked(lido_pool *pool, struct lido_record *record, bool *was_lent)
    LIDO_TSA(requires_capability(pool->lock))
{
    enum lido__slot_state state = lido__slot_state(lido__read(&record->own.word));

    if (record->thread != lido__thread() || state == LIDO__VACANT)
        return false;
    record->thread = 0;
    if (state == LIDO__RETURNING)
        return false; /* another thread checks it in, and closes it as nobody's */
    *was_lent = state == LIDO__LENT;
    if (!*was_lent) {
        lido__cell_move(&record->own, LIDO__RETURNING);
        return true;
    }
    return pool->config.check_same_thread && record->leases > 0 &&
           lido__share_end_all_locked(pool, record);
}

static struct lido_record *claim_in(lido_pool *pool, bool *was_lent)
{
    struct lido_record *record;

    lido__mutex_lock(&pool->lock);
    record = lido__slots_first(pool);
    while (record != NULL && !claim_locked(pool, record, was_lent))
        record = record->next;
    lido__mutex_unlock(&pool->lock);
    return record;
}

static struct lido_record *claim_one(bool *was_lent)
{
    struct lido_record *record = NULL;

    lido__mutex_lock(&lock);
    for (lido_pool *pool = bound; pool != NULL && record == NULL; pool = pool->next_bound)
        record = claim_in(pool, was_lent);
    lido__mutex_unlock(&lock);
    return record;
}

static void thread_ends(void *unused)
{
    struct lido_record *record;
    bool was_lent;

    (void)unused;
    if (lido__is_forked())
        return;
    while ((record = claim_one(&was_lent)) != NULL) {
        lido_pool *pool = record->pool;

        if (was_lent) {
            lido__log(pool, LIDO_LOG_WARN, "a thread ended that had a connection out");
            lido__record_return(pool, record, false, false, NULL);
        } else {
            lido__record_disconnect(pool, record, LIDO__CLOSE_SURPLUS, false, NULL);
            lido__slot_vacate(pool, record);
        }
    }
}

static void make_key(void)
{
    has_key = pthread_key_create(&key, thread_ends) == 0;
}

void lido__threads_watch_self(void)
{
    static char something;

    pthread_once(&key_once, make_key);
    if (has_key)
        pthread_setspecific(key, &something);
}
