/* SPDX-License-Identifier: MIT */
/*
 * The hammer's tools.
 *
 * Expectations and the bare driver use relaxed operations only: anything stronger would
 * order the threads and hide from ThreadSanitizer what lido forgot to order.
 *
 * Threads: as the header says.
 */
#include "tests/stress/hammer.h"

#include <lido/sys/driver.h>

#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define MOST_THREADS 16
#define MOST_LINES   5

static int percent = 100;
static uint64_t seed = 1;
static atomic_int n_failed, n_open;

void hammer_set_up(int percent_, uint64_t seed_)
{
    percent = percent_ > 0 ? percent_ : 1;
    seed = seed_;
}

bool hammer_is_well(void)
{
    return atomic_exchange(&n_failed, 0) == 0;
}

int hammer_rounds(int count)
{
    int rounds = count * percent / 100;

    return rounds > 0 ? rounds : 1;
}

void hammer_expect(bool is_true, const char *format, ...)
{
    char line[400];
    va_list arguments;

    if (is_true ||
        atomic_fetch_add_explicit(&n_failed, 1, memory_order_relaxed) >= MOST_LINES)
        return;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    fprintf(stderr, "hammer: %s\n", line);
}

unsigned hammer_random(uint64_t *state, unsigned bound)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return (unsigned)((*state >> 11) % bound);
}

void hammer_pause(uint64_t *random)
{
    unsigned turns = hammer_random(random, 64);

    if (turns < 12)
        sched_yield();
    for (; turns > 32; turns--)
        atomic_signal_fence(memory_order_seq_cst); /* a short loop that stays */
}

struct worker {
    pthread_t thread;
    pthread_barrier_t *start;
    hammer_work work;
    void *ctx;
    int number;
};

static void *run_worker(void *arg)
{
    struct worker *worker = arg;
    uint64_t random = (seed + 1) * UINT64_C(0x9e3779b97f4a7c15) +
                      (uint64_t)(worker->number + 1) * UINT64_C(0xbf58476d1ce4e5b9);

    random |= 1; /* a zero stays a zero */
    pthread_barrier_wait(worker->start);
    worker->work(worker->ctx, worker->number, &random);
    return NULL;
}

void hammer_run(int count, hammer_work work, void *ctx)
{
    struct worker workers[MOST_THREADS];
    pthread_barrier_t start;

    pthread_barrier_init(&start, NULL, (unsigned)count);
    for (int i = 0; i < count; i++) {
        workers[i] =
            (struct worker){ .start = &start, .work = work, .ctx = ctx, .number = i };
        if (pthread_create(&workers[i].thread, NULL, run_worker, &workers[i]) != 0)
            abort();
    }
    for (int i = 0; i < count; i++)
        pthread_join(workers[i].thread, NULL);
    pthread_barrier_destroy(&start);
}

void hammer_meet(struct hammer_meeting *meeting)
{
    int round = atomic_load(&meeting->round);

    if (atomic_fetch_add(&meeting->arrived, 1) == meeting->count - 1) {
        atomic_store(&meeting->arrived, 0);
        atomic_store(&meeting->round, round + 1);
        return;
    }
    for (int turns = 0; atomic_load(&meeting->round) == round; turns++)
        if (turns % 64 == 63)
            sched_yield();
}

lido_pool *hammer_open(const char *url)
{
    struct lido_pool_options options = LIDO_POOL_OPTIONS_INIT;
    struct lido_error err = LIDO_ERROR_INIT;
    lido_pool *pool;

    options.check_same_thread = 0;
    options.timeout_ms = 60000;
    if (lido_pool_open(&pool, url, &options, &err) != LIDO_OK) {
        fprintf(stderr, "hammer: %s: %s\n", url, err.text);
        exit(2);
    }
    return pool;
}

static int bare_connect(void *ctx, const struct lido_connect *how, lido_record *record,
                        void **handle, struct lido_error *err)
{
    struct bare_handle *bare = calloc(1, sizeof *bare);

    (void)ctx, (void)how, (void)record;
    *handle = bare;
    if (bare == NULL)
        return lido_fail(err, SQLITE_NOMEM, "out of memory");
    atomic_fetch_add_explicit(&n_open, 1, memory_order_relaxed);
    return LIDO_OK;
}

static int bare_close(void *ctx, void *handle, int terminate, struct lido_error *err)
{
    struct bare_handle *bare = handle;

    (void)ctx, (void)terminate, (void)err;
    bare->uses++;
    free(bare);
    atomic_fetch_sub_explicit(&n_open, 1, memory_order_relaxed);
    return LIDO_OK;
}

static int bare_reset(void *ctx, void *handle, int how, struct lido_reset *found,
                      struct lido_error *err)
{
    struct bare_handle *bare = handle;

    (void)ctx, (void)how, (void)found, (void)err;
    bare->uses++;
    return LIDO_OK;
}

static int bare_txn_state(void *ctx, void *handle)
{
    (void)ctx, (void)handle;
    return LIDO_TXN_NONE;
}

static const struct lido_driver bare = {
    .size = sizeof bare,
    .name = "bare",
    .connect = bare_connect,
    .close = bare_close,
    .reset = bare_reset,
    .txn_state = bare_txn_state,
};

void bare_driver_install(void)
{
    if (lido_driver_register("bare", &bare, NULL, NULL) != LIDO_OK)
        abort();
}

int bare_driver_open_count(void)
{
    return atomic_load_explicit(&n_open, memory_order_relaxed);
}

void bare_hold(const struct lido_conn *conn)
{
    struct bare_handle *handle = lido_conn_handle(conn);

    if (handle == NULL) {
        hammer_expect(false, "a lease without a connection");
        return;
    }
    hammer_expect(atomic_fetch_add_explicit(&handle->held, 1, memory_order_relaxed) == 0,
                  "a connection is lent to two");
    handle->uses++;
}

void bare_let_go(const struct lido_conn *conn)
{
    struct bare_handle *handle = lido_conn_handle(conn);

    if (handle == NULL) {
        hammer_expect(false, "a lease lost its connection");
        return;
    }
    handle->uses++;
    hammer_expect(atomic_fetch_sub_explicit(&handle->held, 1, memory_order_relaxed) == 1,
                  "a connection was lent to two");
}
