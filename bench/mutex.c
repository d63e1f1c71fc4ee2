/* SPDX-License-Identifier: MIT */
/*
 * The lock: what a pool with one mutex pays at the least.
 *
 * Lock and unlock at the checkout, lock and unlock at the check-in, nothing in between: a
 * real pool also changes a list there, and is slower.
 *
 * Threads: all use one mutex.
 */
#include "subject.h"

#include <pthread.h>

static pthread_mutex_t shared_mutex = PTHREAD_MUTEX_INITIALIZER;

static int work(void *ctx, unsigned thread, uint64_t iterations, struct lido_error *err)
{
    pthread_mutex_t *mutex = ctx;

    (void)thread;
    (void)err;
    for (; iterations > 0; iterations--) {
        pthread_mutex_lock(mutex);
        keep(mutex);
        pthread_mutex_unlock(mutex);
        keep(mutex);
        pthread_mutex_lock(mutex);
        keep(mutex);
        pthread_mutex_unlock(mutex);
    }
    return LIDO_OK;
}

void subject_open_mutex(struct subject *out)
{
    *out = (struct subject){ .name = "mutex", .ctx = &shared_mutex, .work = work };
}
