/* SPDX-License-Identifier: MIT */
/*
 * Cancelling: a word that is read by who waits or runs, and the waking of who sleeps.
 *
 * Nobody calls SQLite on another's connection.  Firing writes a word; the thread that runs SQL
 * reads it in SQLite's progress handler and in the wait for the lock, and each call of lido's
 * before it begins.  So there is no moment in which it could hit the next user of a connection
 * or a handle that is being closed, and nothing for a check-in to wait for.
 *
 * Who sleeps in a pool is listed at the token.  No wake-up is lost: it is listed first, and
 * then looks at the word under the pool's lock, which it leaves only to sleep.  Firing writes
 * the word and then walks the list, taking the pool's lock for each: it comes before the look,
 * or finds it asleep.  One that stands in line is taken off it, like one that is served, so
 * that it has one waker; the others are bells, and who hears one looks again.
 *
 * Threads: any.
 */
#include "pool/cancel.h"
#include "base/alloc.h"
#include "pool/pool.h"

void lido__sleepers_init(struct lido__sleepers *sleepers)
{
    lido__mutex_init(&sleepers->lock, LIDO_RANK_CANCEL);
    sleepers->first = NULL;
}

void lido__sleepers_fini(struct lido__sleepers *sleepers)
{
    assert(sleepers->first == NULL);
    lido__mutex_fini(&sleepers->lock);
}

void lido__sleepers_add(struct lido__sleepers *sleepers, struct lido__sleeper *sleeper)
{
    if (sleepers == NULL)
        return;
    lido__mutex_lock(&sleepers->lock);
    sleeper->next = sleepers->first;
    sleeper->link = &sleepers->first;
    if (sleeper->next != NULL)
        sleeper->next->link = &sleeper->next;
    sleepers->first = sleeper;
    lido__mutex_unlock(&sleepers->lock);
}

void lido__sleepers_remove(struct lido__sleepers *sleepers, struct lido__sleeper *sleeper)
{
    if (sleepers == NULL)
        return;
    lido__mutex_lock(&sleepers->lock);
    *sleeper->link = sleeper->next;
    if (sleeper->next != NULL)
        sleeper->next->link = sleeper->link;
    lido__mutex_unlock(&sleepers->lock);
}

void lido__sleepers_wake(struct lido__sleepers *sleepers)
{
    lido__mutex_lock(&sleepers->lock);
    for (struct lido__sleeper *at = sleepers->first; at != NULL; at = at->next)
        at->wake(at);
    lido__mutex_unlock(&sleepers->lock);
}

int lido_cancel_new(lido_cancel **out, struct lido_error *err)
{
    if (out == NULL)
        return lido_fail(err, SQLITE_MISUSE, "nowhere to put the token");
    *out = lido__new(sizeof **out);
    if (*out == NULL)
        return lido_fail(err, SQLITE_NOMEM, "out of memory for a token");
    lido__write(&(*out)->fired, 0);
    lido__sleepers_init(&(*out)->sleepers);
    return LIDO_OK;
}

void lido_cancel_free(lido_cancel *cancel)
{
    if (cancel == NULL)
        return;
    lido__sleepers_fini(&cancel->sleepers);
    lido__free(cancel);
}

int lido_cancel_fire(lido_cancel *cancel, struct lido_error *err)
{
    if (cancel == NULL)
        return lido_fail(err, SQLITE_MISUSE, "no token was given");
    if (lido__is_forked())
        return lido__fail_forked(err); /* its lock may be one that the parent held */
    if (lido__swap(&cancel->fired, 1) != 0)
        return LIDO_OK;
    lido__sleepers_wake(&cancel->sleepers);
    return LIDO_OK;
}

int lido_cancel_is_fired(const lido_cancel *cancel)
{
    return lido__cancel_is_fired(cancel);
}

void lido_cancel_reset(lido_cancel *cancel)
{
    if (cancel != NULL)
        lido__swap(&cancel->fired, 0);
}

static void wake_in_pool(struct lido__sleeper *sleeper)
{
    struct lido__pool_sleeper *self = (struct lido__pool_sleeper *)sleeper;

    lido__slots_disturb(self->pool, &self->waiter);
}

void lido__cancel_listen(lido_cancel *cancel, struct lido__pool_sleeper *sleeper,
                         lido_pool *pool)
{
    if (cancel == NULL)
        return;
    sleeper->common.wake = wake_in_pool;
    sleeper->pool = pool;
    sleeper->waiter = NULL;
    lido__sleepers_add(&cancel->sleepers, &sleeper->common);
}

void lido__cancel_unlisten(lido_cancel *cancel, struct lido__pool_sleeper *sleeper)
{
    if (cancel != NULL)
        lido__sleepers_remove(&cancel->sleepers, &sleeper->common);
}
