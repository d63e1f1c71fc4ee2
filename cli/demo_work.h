/* SPDX-License-Identifier: MIT */
#ifndef LIDO_CLI_DEMO_WORK_H
#define LIDO_CLI_DEMO_WORK_H

/*
 * What the threads of a run share, and what each has for itself.
 */
#include "cli/demo.h"

#include <pthread.h>

struct demo_run {
    /* Set before the threads begin, then constant. */
    lido_pool *pool;
    const struct demo_options *options;
    const struct demo_copy *copy;
    char *take, *give, *note; /* the three statements of a transfer */

    pthread_mutex_t lock; /* guards all below */
    bool is_stopping;
    int running;
    int64_t transfers; /* committed, or being tried: never more than were asked for */
    struct lido_error failure;
};

struct demo_worker {
    struct demo_run *run;
    pthread_t thread;
    uint64_t random;
    struct histogram checkout, txn;
    int64_t transfers, declined, retries, rows, unreadable, not_immediate;
};

/* The hooks that every pool of the demo gets. */
extern const struct lido_events demo_events;

/* Writes the statements of a transfer, or fails without memory; the other frees them. */
int demo_run_init(struct demo_run *run, struct demo_error *error);
void demo_run_fini(struct demo_run *run);

/* A piece of work begins, unless the run stops; one that moves money is reserved by that.  At
   its end what was reserved and not done is given back, and what failed, unless it was by
   SQLITE_BUSY, stops the run. */
bool demo_task_begin(struct demo_run *run, bool is_transfer);
void demo_task_end(struct demo_run *run, bool is_undone, int rc,
                   const struct lido_error *err);
/* The thread does nothing any more. */
void demo_task_last(struct demo_run *run);

/* For who watches the threads: how far they are.  Stops them when the time is over or a signal
   has come; how many still run. */
int demo_run_watch(struct demo_run *run, int64_t elapsed_ns, int64_t *transfers);

struct demo_transfer {
    int64_t source, target, amount;
};
struct demo_transfer demo_transfer_choose(struct demo_worker *worker);
/* Moves the money, inside a run of lido's; LIDO_ROLLBACK if there is not enough. */
int demo_transfer_make(const struct demo_run *run, const struct demo_transfer *transfer,
                       const struct lido_conn *conn, struct lido_error *err);

/* A thread's life, `ctx` its struct demo_worker: works until the run stops. */
void *demo_work(void *ctx);
void demo_worker_init(struct demo_worker *worker, struct demo_run *run, int number);

#endif
