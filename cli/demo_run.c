/* SPDX-License-Identifier: MIT */
/*
 * A run: one pool, its threads from the first to the last, and the checks behind it.
 *
 * The main thread only watches: it looks 50 times a second at the clock and for a signal,
 * and draws the progress.  It touches the pool by lido_pool_stats() alone until the threads
 * have ended.
 *
 * Threads: one, the main thread.
 */
#include "cli/demo_work.h"

#include <stdlib.h>
#include <string.h>

/* Draws how far it is, if a line is due. */
static void draw(struct demo_run *run, const char *kind, struct progress *progress,
                 struct progress_rate *rate, int64_t elapsed_ns, int64_t transfers)
{
    struct lido_pool_stats stats = LIDO_POOL_STATS_INIT;
    int64_t now_ns = cli_now_ns();
    double fraction, left_s = -1;

    if (!progress_is_due(progress, now_ns) ||
        lido_pool_stats(run->pool, &stats, NULL) != LIDO_OK)
        return;
    fraction = run->options->transfers > 0
                   ? (double)transfers / (double)run->options->transfers
                   : (double)elapsed_ns / 1e9 / run->options->seconds;
    fraction = fraction > 1 ? 1 : fraction;
    if (fraction > 0 && elapsed_ns > 500000000)
        left_s = (double)elapsed_ns / 1e9 * (1 - fraction) / fraction;
    progress_sample(rate, (double)stats.checkouts, now_ns);
    progress_draw(progress,
                  &(struct progress_state){
                      .title = kind,
                      .fraction = fraction,
                      .done = (int64_t)stats.checkouts,
                      .noun = "checkouts",
                      .per_s = rate->per_s,
                      .waiting = stats.waiting,
                      .left_s = left_s,
                  },
                  now_ns);
}

/* Looks after the threads until the last of them has ended. */
static void supervise(struct demo_run *run, const char *kind, struct progress *progress,
                      int64_t began_ns)
{
    static const struct timespec tick = { 0, 20000000 };
    struct progress_rate rate = PROGRESS_RATE_INIT;
    int running;

    do {
        int64_t elapsed_ns, transfers;

        nanosleep(&tick, NULL);
        elapsed_ns = cli_now_ns() - began_ns;
        running = demo_run_watch(run, elapsed_ns, &transfers);
        draw(run, kind, progress, &rate, elapsed_ns, transfers);
    } while (running > 0);
    progress_clear(progress);
}

/* Starts the threads, waits for them, and adds up what they did. */
static int run_threads(struct demo_result *result, struct demo_run *run,
                       struct progress *progress, struct demo_error *error)
{
    int n = run->options->threads, started = 0, rc = 0;
    struct demo_worker *workers = calloc((size_t)n, sizeof *workers);
    int64_t began_ns = cli_now_ns();

    if (workers == NULL)
        return demo_fail(error, CLI_FAILED, "out of memory");
    run->running = n;
    for (; started < n && rc == 0; started += rc == 0) {
        struct demo_worker *worker = &workers[started];

        demo_worker_init(worker, run, started);
        rc = pthread_create(&worker->thread, NULL, demo_work, worker);
    }
    if (started < n) {
        pthread_mutex_lock(&run->lock);
        run->is_stopping = true;
        run->running -= n - started;
        pthread_mutex_unlock(&run->lock);
    }
    supervise(run, result->kind, progress, began_ns);
    for (int i = 0; i < started; i++) {
        const struct demo_worker *worker = &workers[i];

        pthread_join(worker->thread, NULL);
        histogram_merge(result->checkout, &worker->checkout);
        histogram_merge(result->txn, &worker->txn);
        result->transfers += worker->transfers;
        result->declined += worker->declined;
        result->retries += worker->retries;
        result->rows += worker->rows;
        result->unreadable += worker->unreadable;
        result->not_immediate += worker->not_immediate;
    }
    result->elapsed_ns = cli_now_ns() - began_ns;
    result->failure = run->failure;
    free(workers);
    return rc == 0 ? CLI_OK
                   : demo_fail(error, CLI_FAILED, "could not start thread %d of %d: %s",
                               started + 1, n, strerror(rc));
}

/* Opens the pool with both hooks. */
static int open_pool(lido_pool **pool, const char *kind, const struct demo_options *options,
                     const struct demo_copy *copy, struct demo_error *error)
{
    struct lido_error err = LIDO_ERROR_INIT;
    int keep = options->threads / 2 > 0 ? options->threads / 2 : 1;
    char query[160];
    char *url;
    int rc;

    *pool = NULL;
    if (strcmp(kind, "queue") == 0)
        snprintf(query, sizeof query,
                 "?pool=queue&pool_size=%d&max_overflow=%d&pool_timeout=30&timeout=5", keep,
                 options->threads / 8);
    else
        snprintf(query, sizeof query, "?pool=%s&timeout=5", kind);
    url = demo_uri("sqlite:///", copy->path, query);
    if (url == NULL)
        return demo_fail(error, CLI_FAILED, "out of memory");
    rc = lido_pool_open(pool, url, NULL, &err);
    free(url);
    if (rc == LIDO_OK)
        rc = lido_hooks_add(lido_pool_hooks(*pool), NULL, &demo_events, NULL, NULL, &err);
    if (rc == LIDO_OK)
        return CLI_OK;
    lido_pool_free(*pool);
    *pool = NULL;
    return demo_fail(error, CLI_FAILED, "the %s pool could not be opened: %s (%s)", kind,
                     err.text, lido_status_name(rc));
}

/* What can be said while the pool is open. */
static void check_run(struct demo_result *result, struct demo_run *run,
                      struct demo_checks *checks)
{
    struct lido_error err = LIDO_ERROR_INIT;
    int rc = lido_pool_stats(run->pool, &result->stats, &err);

    if (rc != LIDO_OK && result->failure.code == LIDO_OK)
        result->failure = err;
    demo_checks_add(
        checks, result->kind, "no thread met an error", result->failure.code == LIDO_OK,
        "%s%s%s", result->failure.text, result->failure.code == LIDO_OK ? "" : ", ",
        result->failure.code == LIDO_OK ? "" : lido_status_name(result->failure.code));
    demo_checks_add(
        checks, result->kind, "every transaction began IMMEDIATE",
        result->not_immediate == 0, "%lld of %lld",
        (long long)(result->transfers + result->declined - result->not_immediate),
        (long long)(result->transfers + result->declined));
    demo_check_foreign_keys(checks, run->pool, result->kind,
                            result->stats.limit > 0 ? (int)result->stats.limit
                                                    : run->options->threads,
                            run->copy);
}

int demo_run_kind(struct demo_result *result, const char *kind,
                  const struct demo_options *options, const struct demo_copy *copy,
                  struct demo_checks *checks, struct progress *progress,
                  struct demo_error *error)
{
    struct demo_run run = { .options = options, .copy = copy };
    int descriptors = demo_descriptors();
    int answer;

    memset(result, 0, sizeof *result);
    result->kind = kind;
    result->stats = (struct lido_pool_stats)LIDO_POOL_STATS_INIT;
    result->checkout = calloc(1, sizeof *result->checkout);
    result->txn = calloc(1, sizeof *result->txn);
    if (result->checkout == NULL || result->txn == NULL)
        return demo_fail(error, CLI_FAILED, "out of memory");
    answer = demo_run_init(&run, error);
    if (answer == CLI_OK)
        answer = open_pool(&run.pool, kind, options, copy, error);
    if (answer == CLI_OK)
        answer = run_threads(result, &run, progress, error);
    if (answer == CLI_OK)
        answer = demo_interrupted(error);
    if (answer == CLI_OK) {
        check_run(result, &run, checks);
        demo_check_close(checks, run.pool, kind, descriptors);
    } else {
        lido_pool_free(run.pool);
    }
    demo_run_fini(&run);
    return answer;
}

void demo_result_fini(struct demo_result *result)
{
    free(result->checkout);
    free(result->txn);
    memset(result, 0, sizeof *result);
}
