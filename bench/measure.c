/* SPDX-License-Identifier: MIT */
/*
 * One measurement, and what many of them say.
 *
 * All threads are created, gather at a gate and leave it together; the time counts from the
 * first that left to the last that was done.  So a thread that the scheduler kept waiting
 * counts in full, and with more threads than processors an operation takes longer: that is
 * what its caller sees.
 *
 * Threads: each function is called by one thread; measure() joins those it starts.
 */
#include "measure.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct gate {
    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t changed;
    unsigned arrived;
    bool is_open;
    bool is_cancelled; /* those who leave the gate do no work */
};

struct worker {
    const struct subject *subject;
    struct gate *gate;
    unsigned number;
    uint64_t iterations;
    pthread_t id;
    int64_t began_ns, ended_ns, cpu_ns;
    int rc;
    struct lido_error err;
};

static int64_t read_clock(clockid_t id)
{
    struct timespec now;

    clock_gettime(id, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Waits until the gate opens; true if there is work to do. */
static bool pass(struct gate *gate)
{
    bool is_cancelled;

    pthread_mutex_lock(&gate->lock);
    gate->arrived++;
    pthread_cond_broadcast(&gate->changed);
    while (!gate->is_open)
        pthread_cond_wait(&gate->changed, &gate->lock);
    is_cancelled = gate->is_cancelled;
    pthread_mutex_unlock(&gate->lock);
    return !is_cancelled;
}

/* Opens the gate once `threads` of them have gathered. */
static void open_gate(struct gate *gate, unsigned threads, bool is_cancelled)
{
    pthread_mutex_lock(&gate->lock);
    while (gate->arrived < threads)
        pthread_cond_wait(&gate->changed, &gate->lock);
    gate->is_cancelled = is_cancelled;
    gate->is_open = true;
    pthread_cond_broadcast(&gate->changed);
    pthread_mutex_unlock(&gate->lock);
}

static void *run_worker(void *argument)
{
    struct worker *self = argument;
    const struct subject *subject = self->subject;
    int64_t cpu_began_ns;

    if (!pass(self->gate))
        return NULL;
    self->began_ns = read_clock(CLOCK_MONOTONIC);
    cpu_began_ns = read_clock(CLOCK_THREAD_CPUTIME_ID);
    self->rc = subject->work(subject->ctx, self->number, self->iterations, &self->err);
    self->cpu_ns = read_clock(CLOCK_THREAD_CPUTIME_ID) - cpu_began_ns;
    self->ended_ns = read_clock(CLOCK_MONOTONIC);
    return NULL;
}

int measure(const struct subject *subject, unsigned threads, uint64_t iterations,
            struct sample *out, struct lido_error *err)
{
    struct gate gate = { .lock = PTHREAD_MUTEX_INITIALIZER,
                         .changed = PTHREAD_COND_INITIALIZER };
    struct worker workers[MAX_THREADS];
    int64_t began_ns = INT64_MAX, ended_ns = INT64_MIN, cpu_ns = 0;
    unsigned started = 0;
    int rc = LIDO_OK;

    memset(workers, 0, sizeof workers);
    for (; started < threads; started++) {
        struct worker *worker = &workers[started];
        int error;

        worker->subject = subject;
        worker->gate = &gate;
        worker->number = started;
        worker->iterations = iterations;
        error = pthread_create(&worker->id, NULL, run_worker, worker);
        if (error != 0) {
            rc = lido_fail(err, SQLITE_ERROR, "could not start a thread: %s",
                           strerror(error));
            break;
        }
    }
    open_gate(&gate, started, rc != LIDO_OK);
    for (unsigned i = 0; i < started; i++) {
        pthread_join(workers[i].id, NULL);
        if (rc == LIDO_OK && workers[i].rc != LIDO_OK)
            rc =
                lido_fail(err, workers[i].rc, "%s: %s", subject->name, workers[i].err.text);
        began_ns = workers[i].began_ns < began_ns ? workers[i].began_ns : began_ns;
        ended_ns = workers[i].ended_ns > ended_ns ? workers[i].ended_ns : ended_ns;
        cpu_ns += workers[i].cpu_ns;
    }
    pthread_cond_destroy(&gate.changed);
    pthread_mutex_destroy(&gate.lock);
    if (rc == LIDO_OK) {
        out->real_ns = (double)(ended_ns - began_ns) / (double)iterations;
        out->cpu_ns = (double)cpu_ns / ((double)iterations * threads);
    }
    return rc;
}

int measure_calibrate(const struct subject *subject, unsigned threads, double target_ns,
                      uint64_t *out, struct lido_error *err)
{
    uint64_t iterations = 16;
    struct sample sample;

    /* Starting the threads takes longer than a few operations: only a run that lasts is
       trusted. */
    for (;;) {
        int rc = measure(subject, threads, iterations, &sample, err);

        if (rc != LIDO_OK)
            return rc;
        if (sample.real_ns * (double)iterations >= target_ns / 3)
            break;
        iterations *= 2;
    }
    *out = (uint64_t)(target_ns / sample.real_ns) + 1;
    return LIDO_OK;
}

static int compare(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;

    return (a > b) - (a < b);
}

/* The value below which the share `part` of the sorted values lies, between two if need be.
 */
static double quantile(const double *sorted, size_t n, double part)
{
    double position = part * (double)(n - 1);
    size_t below = (size_t)position;
    size_t above = below + 1 < n ? below + 1 : below;

    return sorted[below] + (position - (double)below) * (sorted[above] - sorted[below]);
}

struct summary measure_summary(double *values, size_t n)
{
    qsort(values, n, sizeof *values, compare);
    return (struct summary){
        .least = values[0],
        .low = quantile(values, n, 0.25),
        .median = quantile(values, n, 0.5),
        .high = quantile(values, n, 0.75),
        .most = values[n - 1],
    };
}
