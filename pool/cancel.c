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

int lido_cancel_new(lido_cancel **out, struct lido_error *err)
{
    if (out == NULL)
        return lido_fail(err, SQLITE_MISUSE, "nowhere to put the token");
    *out = lido__new(sizeof **out);
    if (*out == NULL)
        return lido_fail(err, SQLITE_NOMEM, "out of memory for a token");
    lido__write(&(*out)->fired, 0);
    lido__mutex_init(&(*out)->lock, LIDO_RANK_CANCEL);
    (*out)->sleepers = NULL;
    return LIDO_OK;
}

void lido_cancel_free(lido_cancel *cancel)
{
    if (cancel == NULL)
        return;
    assert(cancel->sleepers == NULL);
    lido__mutex_fini(&cancel->lock);
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
    lido__mutex_lock(&cancel->lock);
    for (struct lido__sleeper *at = cancel->sleepers; at != NULL; at = at->next)
        lido__slots_disturb(at->pool, &at->waiter);
    lido__mutex_unlock(&cancel->lock);
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

void lido__cancel_listen(lido_cancel *cancel, struct lido__sleeper *sleeper,
                         lido_pool *pool)
{
    if (cancel == NULL)
        return;
    sleeper->pool = pool;
    sleeper->waiter = NULL;
    lido__mutex_lock(&cancel->lock);
    sleeper->next = cancel->sleepers;
    sleeper->link = &cancel->sleepers;
    if (sleeper->next != NULL)
        sleeper->next->link = &sleeper->next;
    cancel->sleepers = sleeper;
    lido__mutex_unlock(&cancel->lock);
}

void lido__cancel_unlisten(lido_cancel *cancel, struct lido__sleeper *sleeper)
{
    if (cancel == NULL)
        return;
    lido__mutex_lock(&cancel->lock);
    *sleeper->link = sleeper->next;
    if (sleeper->next != NULL)
        sleeper->next->link = sleeper->link;
    lido__mutex_unlock(&cancel->lock);
}
