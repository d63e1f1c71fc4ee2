/* SPDX-License-Identifier: MIT */
/*
 * lido-bench housekeeping: backups of a database that is written once a millisecond.
 *
 * A window with backups, one after the other, and one without take turns.  A write counts from
 * the moment that it was due: where one keeps the next ones waiting, they are late too.  But
 * where the thread slept until then, it counts from when it woke, as a nap is no write.
 *
 * Each window begins with an empty log and nothing left to write, so that none pays for the
 * one before it; and the files of a window's backups are taken away after it, for that is no
 * part of a backup, and on some disks takes longer than one.
 *
 * A checkpoint comes with each thousand writes, beside a backup and without one, and makes some
 * ten of those after it late: about one of a hundred, which is what the p99 is.  So each is to
 * be in with all that it made late, and the writer goes on until it is on time again.  Else a
 * window without a backup, whose last write does a checkpoint, would leave those of that one
 * out: with two of three in it the p99 was a tenth of what writers meet in the long run.  And
 * the p99 of a single window is as good as drawn by lot: what is compared are those of all
 * windows of a kind.
 *
 * Threads: the writer is a thread of its own; it has ended before anybody reads its figures.
 */
#include "housekeeping.h"

#include <lido/lido.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define EVERY_NS    1000000
#define WINDOW_NS   6000000000
#define PATIENCE_MS 60000 /* a backup that has not ended then is taken not to end */
#define PATIENCE_NS (PATIENCE_MS * INT64_C(1000000)) /* nor a writer that is so late */

struct writer {
    lido_pool *pool;
    atomic_int is_over;
    struct histogram times;
    int rc;
    struct lido_error err;
};

static int update(void *ctx, const struct lido_conn *conn, struct lido_error *err)
{
    const struct lido_value values[] = { lido_integer(*(int64_t *)ctx) };

    return lido_conn_query(conn, "UPDATE item SET count = count + 1 WHERE id = ?1", values,
                           1, NULL, NULL, err);
}

static void *write_steadily(void *argument)
{
    struct writer *self = argument;
    int64_t due_ns = housekeeping_clock(), id = 1;

    while (self->rc == LIDO_OK && housekeeping_clock() - due_ns < PATIENCE_NS) {
        int64_t began_ns = due_ns;

        if (housekeeping_clock() < due_ns) {
            const struct timespec due = { due_ns / 1000000000, due_ns % 1000000000 };

            if (atomic_load(&self->is_over))
                break;
            clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL);
            began_ns = housekeeping_clock();
        }
        self->rc = lido_pool_run(self->pool, LIDO_IMMEDIATE, update, &id, NULL, &self->err);
        histogram_add(&self->times, housekeeping_clock() - began_ns);
        due_ns += EVERY_NS;
        id = id * 48271 % 20011 + 1; /* here and there: other pages each time */
    }
    return NULL;
}

static void name_target(char name[HOUSEKEEPING_PATH], const char *target, unsigned number)
{
    snprintf(name, HOUSEKEEPING_PATH, "%.*s-%u", HOUSEKEEPING_PATH - 16, target, number);
}

/* Backups until the window is over; the last one may end after it. */
static int back_up(struct housekeeping_run *run, lido_pool *pool, const char *target,
                   int64_t end_ns, unsigned *count, struct lido_error *err)
{
    struct lido_backup_options options = LIDO_BACKUP_OPTIONS_INIT;
    struct lido_job job = LIDO_JOB_INIT;
    char name[HOUSEKEEPING_PATH];
    int rc;

    job.timeout_ms = PATIENCE_MS;
    options.job = &job;
    do {
        struct lido_backup result = LIDO_BACKUP_INIT;

        name_target(name, target, (*count)++);
        run->backups++;
        rc = lido_backup(lido_at_pool(pool), name, &options, &result, err);
        if (rc == LIDO_TXN_TIMEOUT)
            return LIDO_OK; /* a figure, not a failure */
        run->backups_ended += rc == LIDO_OK;
        run->restarts += (unsigned)result.restarts;
    } while (rc == LIDO_OK && housekeeping_clock() < end_ns);
    return rc;
}

/* One window; *p99_ns is of the writes in it. */
static int run_window(struct housekeeping_run *run, lido_pool *pool, const char *target,
                      bool has_backup, double *p99_ns, struct lido_error *err)
{
    struct writer *writer = calloc(1, sizeof *writer);
    unsigned targets = 0;
    char name[HOUSEKEEPING_PATH];
    pthread_t thread;
    int64_t end_ns;
    int rc, error;

    if (writer == NULL)
        return lido_fail(err, SQLITE_NOMEM, "out of memory");
    rc = lido_pool_exec(pool, "PRAGMA wal_checkpoint(TRUNCATE)", err);
    if (rc != LIDO_OK) {
        free(writer);
        return rc;
    }
    sync();
    end_ns = housekeeping_clock() + WINDOW_NS;
    writer->pool = pool;
    error = pthread_create(&thread, NULL, write_steadily, writer);
    if (error != 0) {
        free(writer);
        return lido_fail(err, SQLITE_ERROR, "could not start a thread: %s",
                         strerror(error));
    }
    if (has_backup) {
        rc = back_up(run, pool, target, end_ns, &targets, err);
    } else {
        const struct timespec end = { end_ns / 1000000000, end_ns % 1000000000 };

        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &end, NULL);
    }
    atomic_store(&writer->is_over, 1);
    pthread_join(thread, NULL);
    if (rc == LIDO_OK && writer->rc != LIDO_OK)
        rc = lido_fail(err, writer->rc, "the writer: %s", writer->err.text);
    *p99_ns = (double)histogram_quantile(&writer->times, 0.99);
    histogram_merge(has_backup ? &run->times_with : &run->times_without, &writer->times);
    free(writer);
    while (targets > 0) {
        name_target(name, target, --targets);
        housekeeping_remove(name);
    }
    return rc;
}

int housekeeping_measure_writers(struct housekeeping_run *run, const char *path,
                                 const struct scratch *scratch, struct lido_error *err)
{
    char path_of_url[3 * SCRATCH_PATH], url[3 * SCRATCH_PATH + 128];
    char target[HOUSEKEEPING_PATH];
    lido_pool *pool = NULL;
    int rc = scratch_url(scratch, strrchr(path, '/') + 1, path_of_url, err);

    snprintf(target, sizeof target, "%s/loaded.db", scratch->path);
    snprintf(url, sizeof url,
             "sqlite:///%s?pool=queue&pool_size=4&journal_mode=wal&synchronous=normal",
             path_of_url);
    if (rc == LIDO_OK)
        rc = lido_pool_open(&pool, url, NULL, err);
    for (unsigned round = 0; rc == LIDO_OK && round < run->rounds; round++) {
        const bool is_odd = round % 2 == 1;
        double *const p99[] = { &run->p99_without_ns[round], &run->p99_with_ns[round] };

        rc = run_window(run, pool, target, is_odd, p99[is_odd], err);
        if (rc == LIDO_OK)
            rc = run_window(run, pool, target, !is_odd, p99[!is_odd], err);
    }
    lido_pool_free(pool);
    return rc;
}
