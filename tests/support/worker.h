/* SPDX-License-Identifier: MIT */
#ifndef LIDO_TESTS_WORKER_H
#define LIDO_TESTS_WORKER_H

/*
 * A thread that does as it is told, one thing after the other, for tests in which it matters
 * whose thread a lease is.
 *
 * Threads: the test's tells, the worker's does; in between nothing is shared.
 */
#include <lido/lido.h>
#include <pthread.h>
#include <stdbool.h>

struct worker {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t moved;
    void (*task)(struct worker *worker); /* NULL: done */
    bool is_ending;

    /* The tasks'. */
    lido_pool *pool;
    struct lido_conn conn;
    int rc;
    struct lido_error err;
};

void worker_start(struct worker *worker, lido_pool *pool);

/* Tells it and waits until it has done so. */
void worker_tell(struct worker *worker, void (*task)(struct worker *worker));

/* The same in two steps. */
void worker_ask(struct worker *worker, void (*task)(struct worker *worker));
void worker_await(struct worker *worker);

/* Waits until it is done, and until its thread is over. */
void worker_end(struct worker *worker);

/* Tasks: a checkout to `conn`, a check-in, a hand-over, BEGIN and COMMIT.  The answer is rc. */
void worker_take(struct worker *worker);
void worker_give(struct worker *worker);
void worker_take_over(struct worker *worker);
void worker_begin(struct worker *worker);
void worker_commit(struct worker *worker);

#endif
