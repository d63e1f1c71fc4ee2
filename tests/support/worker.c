/* SPDX-License-Identifier: MIT */
#include "tests/support/worker.h"

#include <criterion/criterion.h>

static void *work(void *arg)
{
    struct worker *worker = arg;

    pthread_mutex_lock(&worker->lock);
    while (worker->task != NULL || !worker->is_ending) {
        void (*task)(struct worker *) = worker->task;

        if (task == NULL) {
            pthread_cond_wait(&worker->moved, &worker->lock);
            continue;
        }
        pthread_mutex_unlock(&worker->lock);
        task(worker);
        pthread_mutex_lock(&worker->lock);
        worker->task = NULL;
        pthread_cond_broadcast(&worker->moved);
    }
    pthread_mutex_unlock(&worker->lock);
    return NULL;
}

void worker_start(struct worker *worker, lido_pool *pool)
{
    *worker = (struct worker){ .pool = pool };
    pthread_mutex_init(&worker->lock, NULL);
    pthread_cond_init(&worker->moved, NULL);
    cr_assert_eq(pthread_create(&worker->thread, NULL, work, worker), 0);
}

void worker_ask(struct worker *worker, void (*task)(struct worker *worker))
{
    pthread_mutex_lock(&worker->lock);
    worker->task = task;
    pthread_cond_broadcast(&worker->moved);
    pthread_mutex_unlock(&worker->lock);
}

void worker_await(struct worker *worker)
{
    pthread_mutex_lock(&worker->lock);
    while (worker->task != NULL)
        pthread_cond_wait(&worker->moved, &worker->lock);
    pthread_mutex_unlock(&worker->lock);
}

void worker_tell(struct worker *worker, void (*task)(struct worker *worker))
{
    worker_ask(worker, task);
    worker_await(worker);
}

void worker_end(struct worker *worker)
{
    pthread_mutex_lock(&worker->lock);
    worker->is_ending = true;
    pthread_cond_broadcast(&worker->moved);
    pthread_mutex_unlock(&worker->lock);
    pthread_join(worker->thread, NULL);
    pthread_cond_destroy(&worker->moved);
    pthread_mutex_destroy(&worker->lock);
}

void worker_take(struct worker *worker)
{
    worker->rc = lido_pool_checkout(worker->pool, &worker->conn, NULL, &worker->err);
}

void worker_give(struct worker *worker)
{
    worker->rc = lido_conn_checkin(&worker->conn, NULL, &worker->err);
}

void worker_take_over(struct worker *worker)
{
    worker->rc = lido_conn_hand_over(&worker->conn, &worker->err);
}

void worker_begin(struct worker *worker)
{
    worker->rc = lido_txn_begin(&worker->conn, LIDO_IMMEDIATE, &worker->err);
}

void worker_commit(struct worker *worker)
{
    worker->rc = lido_txn_commit(&worker->conn, NULL, &worker->err);
}
