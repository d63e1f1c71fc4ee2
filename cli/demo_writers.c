/* SPDX-License-Identifier: MIT */
/*
 * Writers: many threads that want nothing but to write the one file, first by SQLite alone and
 * then by lido's runner, and how long each waited until it could.
 *
 *     wanted ---- waits ----> begun ----> committed, or declined
 *
 * A wait is what lies between the wish and the moment in which the write lock is there: by
 * SQLite the step of BEGIN IMMEDIATE, by lido all until the function is called, so the gate and
 * the connection are in it.  Whoever waits when the time is over waits to the end, so that
 * one who was never served is told with the whole of it.
 *
 * Threads: each has a `struct writer` of its own, which the main thread reads after it has
 * joined it.  Meanwhile that looks at the gate, 50 times a second.
 */
#include "cli/demo_writers.h"

#include <stdlib.h>
#include <string.h>

void writer_begun(struct writer *writer)
{
    int64_t waited_ns = cli_now_ns() - writer->wanted_ns;

    histogram_add(&writer->waits, waited_ns);
    writer->told.waited_ns += waited_ns;
    if (waited_ns > writer->told.longest_ns)
        writer->told.longest_ns = waited_ns;
}

static int make(void *ctx, const struct lido_conn *conn, struct lido_error *err)
{
    struct writer *writer = ctx;

    writer_begun(writer);
    return demo_transfer_make(writer->worker.run, &writer->transfer, conn, err);
}

static int gate_transfer(struct writer *writer, bool *is_done, struct lido_error *err)
{
    struct lido_run_options options = LIDO_RUN_OPTIONS_INIT;
    int outcome = LIDO_OUTCOME_UNKNOWN;
    int rc;

    options.label = writer->label;
    options.runs = 1; /* none has to be repeated */
    options.outcome = &outcome;
    rc = lido_pool_run(writer->worker.run->pool, LIDO_IMMEDIATE, make, writer, &options,
                       err);
    *is_done = rc == LIDO_OK && outcome == LIDO_OUTCOME_COMMITTED;
    return rc;
}

static void *write_on(void *ctx)
{
    struct writer *writer = ctx;
    struct demo_run *run = writer->worker.run;

    while (demo_task_begin(run, true)) {
        struct lido_error err = LIDO_ERROR_INIT;
        bool is_done = false;
        int rc;

        writer->transfer = demo_transfer_choose(&writer->worker);
        writer->wanted_ns = cli_now_ns();
        rc = writer->own != NULL ? bare_transfer(writer, &is_done, &err)
                                 : gate_transfer(writer, &is_done, &err);
        writer->told.commits += is_done;
        writer->told.late += is_done && cli_now_ns() > writer->until_ns;
        writer->told.declined += rc == LIDO_OK && !is_done;
        writer->told.refused += (rc & 0xff) == SQLITE_BUSY;
        demo_task_end(run, !is_done, rc, &err);
    }
    demo_task_last(run);
    return NULL;
}

static void look(struct demo_writers *writers, lido_pool *pool)
{
    struct lido_gate_stats now = LIDO_GATE_STATS_INIT;

    if (lido_gate_stats(pool, &now, NULL) != LIDO_OK || !now.has_gate)
        return;
    writers->looks++;
    if (now.is_held && now.holder.thread != 0)
        writers->misnamed += strncmp(now.holder.label, "writer ", 7) != 0;
    if (now.waiting >= writers->busiest.waiting && now.is_held && now.holder.thread != 0)
        writers->busiest = now;
}

static void watch(struct demo_writers *writers, struct demo_run *run, const char *way,
                  int64_t began_ns, struct progress *progress)
{
    static const struct timespec tick = { 0, 20000000 };
    const struct demo_options *options = run->options;
    int running;

    do {
        int64_t now_ns, transfers;

        nanosleep(&tick, NULL);
        now_ns = cli_now_ns();
        if (run->pool != NULL)
            look(writers, run->pool);
        running = demo_run_watch(run, now_ns - began_ns, &transfers);
        if (progress_is_due(progress, now_ns))
            progress_draw(
                progress,
                &(struct progress_state){
                    .title = way,
                    .fraction = options->transfers > 0
                                    ? (double)transfers / (double)options->transfers
                                    : (double)(now_ns - began_ns) / 1e9 / options->seconds,
                    .done = transfers,
                    .noun = "transfers",
                    .per_s = -1,
                    .waiting = run->pool != NULL ? writers->busiest.waiting : -1,
                    .left_s = -1,
                },
                now_ns);
    } while (running > 0);
    progress_clear(progress);
}

static int compare(const void *left, const void *right)
{
    const struct demo_writer *a = left, *b = right;

    return (a->longest_ns < b->longest_ns) - (a->longest_ns > b->longest_ns);
}

static void add_up(struct demo_writing *writing, const struct writer *all, int n)
{
    for (int i = 0; i < n; i++) {
        const struct demo_writer *told = &all[i].told;

        writing->writers[i] = *told;
        writing->sum.commits += told->commits;
        writing->sum.late += told->late;
        writing->sum.declined += told->declined;
        writing->sum.refused += told->refused;
        writing->sum.waited_ns += told->waited_ns;
        histogram_merge(writing->waits, &all[i].waits);
    }
    qsort(writing->writers, (size_t)n, sizeof *writing->writers, compare);
    if (n > 0)
        writing->sum.longest_ns = writing->writers[0].longest_ns;
}

/* Starts the threads, and joins them. */
static int run_threads(struct demo_writers *writers, struct demo_writing *writing,
                       struct demo_run *run, struct writer *all, struct progress *progress,
                       struct demo_error *error)
{
    const struct demo_options *options = run->options;
    const bool has_end = options->transfers == 0;
    int64_t began_ns = cli_now_ns();
    int64_t until_ns = has_end ? began_ns + (int64_t)(options->seconds * 1e9) : INT64_MAX;
    int n = writers->n, started = 0, rc = 0;

    run->running = n;
    for (int i = 0; i < n; i++)
        all[i].until_ns = until_ns;
    for (; started < n && rc == 0; started += rc == 0)
        rc = pthread_create(&all[started].worker.thread, NULL, write_on, &all[started]);
    if (started < n) {
        pthread_mutex_lock(&run->lock);
        run->is_stopping = true;
        run->running -= n - started;
        pthread_mutex_unlock(&run->lock);
    }
    watch(writers, run, writing->way, began_ns, progress);
    for (int i = 0; i < started; i++)
        pthread_join(all[i].worker.thread, NULL);
    writing->elapsed_ns = has_end ? until_ns - began_ns : cli_now_ns() - began_ns;
    writing->failure = run->failure;
    return rc == 0 ? demo_interrupted(error)
                   : demo_fail(error, CLI_FAILED, "could not start thread %d of %d: %s",
                               started + 1, n, strerror(rc));
}

static int open_pool(lido_pool **pool, const struct demo_copy *copy,
                     struct demo_error *error)
{
    struct lido_error err = LIDO_ERROR_INIT;
    char query[128], *url;
    int rc;

    /* One connection to find the gate by, and the one by which all write. */
    snprintf(query, sizeof query,
             "?pool=queue&pool_size=1&max_overflow=0&open_now=1&foreign_keys=on&"
             "pool_timeout=%d&timeout=%d",
             WRITER_TIMEOUT_S, WRITER_TIMEOUT_S);
    url = demo_uri("sqlite:///", copy->path, query);
    if (url == NULL)
        return demo_fail(error, CLI_FAILED, "out of memory");
    rc = lido_pool_open(pool, url, NULL, &err);
    free(url);
    return rc == LIDO_OK ? CLI_OK
                         : demo_fail(error, CLI_FAILED,
                                     "the pool of the writers could not be opened: %s (%s)",
                                     err.text, lido_status_name(rc));
}

/* What can be said while the pool is open. */
static void check(struct demo_writers *writers, lido_pool *pool, struct demo_checks *checks)
{
    struct lido_pool_stats stats = LIDO_POOL_STATS_INIT;
    struct demo_writing *writing = &writers->ways[DEMO_GATE];
    const struct lido_gate_stats *last = &writers->last;
    const int64_t ended = writing->sum.commits + writing->sum.declined;

    writers->last = (struct lido_gate_stats)LIDO_GATE_STATS_INIT;
    if (lido_pool_stats(pool, &stats, NULL) == LIDO_OK)
        writing->connections = (int64_t)stats.connects;
    if (lido_gate_stats(pool, &writers->last, NULL) != LIDO_OK)
        writers->last.has_gate = 0;
    demo_checks_add(checks, "writers", "every transaction went through the gate",
                    last->has_gate && (int64_t)last->entered == ended && last->ungated == 0,
                    "%llu of %lld", (unsigned long long)last->entered, (long long)ended);
    demo_checks_add(checks, "writers", "no writer was told that the database is locked",
                    writing->sum.refused == 0 && last->timeouts == 0, "%lld were",
                    (long long)writing->sum.refused);
    demo_checks_add(checks, "writers", "whoever was in the gate was known by name",
                    writers->misnamed == 0, "%lld looks", (long long)writers->looks);
    demo_checks_add(checks, "writers", "the gate is empty afterwards",
                    last->has_gate && !last->is_held && last->waiting == 0, "%lld wait",
                    (long long)last->waiting);
}

/* As many writers as there are, each with what its way needs. */
static struct writer *make_writers(struct demo_run *run, int n, bool is_bare,
                                   struct demo_error *error)
{
    struct writer *all = calloc((size_t)n, sizeof *all);

    if (all == NULL)
        demo_fail(error, CLI_FAILED, "out of memory");
    for (int i = 0; all != NULL && i < n; i++) {
        demo_worker_init(&all[i].worker, run, i);
        all[i].told.number = i + 1;
        snprintf(all[i].label, sizeof all[i].label, "writer %d", i + 1);
        if (is_bare && bare_open(&all[i], error) != CLI_OK)
            break;
    }
    return all;
}

static int run_way(struct demo_writers *writers, enum demo_way way,
                   const struct demo_options *options, const struct demo_copy *copy,
                   struct demo_checks *checks, struct progress *progress,
                   struct demo_error *error)
{
    static const char *const names[DEMO_WAYS] = { "busy_timeout", "lido" };
    struct demo_writing *writing = &writers->ways[way];
    struct demo_run run = { .options = options, .copy = copy };
    const int descriptors = demo_descriptors();
    struct writer *all = NULL;
    int answer;

    writing->way = names[way];
    writing->connections = writers->n;
    writing->writers = calloc((size_t)writers->n, sizeof *writing->writers);
    writing->waits = calloc(1, sizeof *writing->waits);
    if (writing->writers == NULL || writing->waits == NULL)
        return demo_fail(error, CLI_FAILED, "out of memory");
    answer = demo_run_init(&run, error);
    if (answer == CLI_OK && way == DEMO_GATE)
        answer = open_pool(&run.pool, copy, error);
    if (answer == CLI_OK) {
        all = make_writers(&run, writers->n, way == DEMO_BARE, error);
        answer = error->answer;
    }
    if (answer == CLI_OK)
        answer = run_threads(writers, writing, &run, all, progress, error);
    if (answer == CLI_OK) {
        add_up(writing, all, writers->n);
        demo_checks_add(checks, "writers",
                        way == DEMO_BARE ? "no writer met an error of SQLite"
                                         : "no writer met an error of lido",
                        writing->failure.code == LIDO_OK, "%s", writing->failure.text);
    }
    for (int i = 0; all != NULL && i < writers->n; i++)
        bare_close(&all[i]);
    free(all);
    if (answer == CLI_OK && way == DEMO_GATE) {
        check(writers, run.pool, checks);
        demo_check_close(checks, run.pool, "writers", descriptors);
    } else {
        lido_pool_free(run.pool);
    }
    demo_run_fini(&run);
    return answer;
}

int demo_writers_run(struct demo_writers *writers, const struct demo_options *options,
                     const struct demo_copy *copy, struct demo_checks *checks,
                     struct progress *progress, struct demo_error *error)
{
    int answer = CLI_OK;

    writers->n = options->writers;
    writers->busiest = (struct lido_gate_stats)LIDO_GATE_STATS_INIT;
    for (enum demo_way way = 0; way < DEMO_WAYS && answer == CLI_OK; way++)
        answer = run_way(writers, way, options, copy, checks, progress, error);
    return answer;
}

void demo_writers_fini(struct demo_writers *writers)
{
    for (int way = 0; way < DEMO_WAYS; way++) {
        free(writers->ways[way].writers);
        free(writers->ways[way].waits);
    }
    memset(writers, 0, sizeof *writers);
}
