/* SPDX-License-Identifier: MIT */
/*
 * lido-bench write: how long a file is without a writer when the one inside is killed.
 *
 * Four processes of two threads write by `gate=process`.  One that is inside a transaction
 * is stopped, so that it surely still is, and killed; the time runs from there to the first
 * commit of another process.  A new process takes its place.
 *
 * Threads: one.
 */
#include "write.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>

#define KILLS         10
#define RUN_NS        50000000   /* between two kills */
#define LOOK_EVERY_NS 50000      /* at what the others do */
#define PATIENCE_NS   5000000000 /* then the file is as good as lost */

static void sleep_ns(int64_t ns)
{
    const struct timespec time = { ns / 1000000000, ns % 1000000000 };

    clock_nanosleep(CLOCK_MONOTONIC, 0, &time, NULL);
}

static int is_inside(const struct write_cell *cell, unsigned process)
{
    const unsigned threads = cell->spec.threads;

    for (unsigned i = process * threads; i < (process + 1) * threads; i++)
        if (atomic_load(&cell->shared->threads[i].is_inside))
            return 1;
    return 0;
}

/* The process that is inside, stopped there; -1 if there is none for PATIENCE_NS. */
static int stop_inside(const struct write_cell *cell)
{
    const int64_t end_ns = write_clock(cell->shared) + PATIENCE_NS;

    for (unsigned i = 0; write_clock(cell->shared) < end_ns; i++) {
        unsigned process = i % cell->processes;

        if (!is_inside(cell, process))
            continue;
        kill(cell->pids[process], SIGSTOP);
        while (waitpid(cell->pids[process], NULL, WUNTRACED) < 0 && errno == EINTR)
            continue;
        if (is_inside(cell, process))
            return (int)process;
        kill(cell->pids[process], SIGCONT);
    }
    return -1;
}

/* When somebody else first committed after `since_ns`, or PATIENCE_NS after it. */
static int64_t wait_for_commit(const struct write_cell *cell, unsigned killed,
                               int64_t since_ns)
{
    const unsigned threads = cell->spec.threads;

    while (write_clock(cell->shared) < since_ns + PATIENCE_NS) {
        int64_t first_ns = 0;

        for (unsigned i = 0; i < cell->threads; i++) {
            int64_t ended_ns = atomic_load(&cell->shared->threads[i].ended_ns);

            if (i / threads != killed && ended_ns > since_ns &&
                (first_ns == 0 || ended_ns < first_ns))
                first_ns = ended_ns;
        }
        if (first_ns != 0)
            return first_ns;
        sleep_ns(LOOK_EVERY_NS);
    }
    return since_ns + PATIENCE_NS;
}

static int kill_one(struct write_cell *cell, double *ms, struct lido_error *err)
{
    const int found = stop_inside(cell);
    const unsigned process = (unsigned)found, threads = cell->spec.threads;
    int64_t began_ns;
    pid_t pid;
    int rc;

    if (found < 0)
        return lido_fail(err, SQLITE_BUSY, "%s: nobody wrote any more", cell->name);
    pid = cell->pids[process];
    began_ns = write_clock(cell->shared);
    kill(pid, SIGKILL);
    *ms = (double)(wait_for_commit(cell, process, began_ns) - began_ns) / 1e6;
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        continue;
    cell->pids[process] = 0;
    for (unsigned i = process * threads; i < (process + 1) * threads; i++)
        atomic_store(&cell->shared->threads[i].is_inside, 0);
    rc = write_cell_start(cell, process, 0, err);
    if (rc == LIDO_OK)
        kill(cell->pids[process], SIGCONT);
    return rc;
}

int write_run_kills(struct write_run *run, const struct scratch *scratch,
                    struct lido_error *err)
{
    const struct write_spec spec = { WRITE_FULL1MS, WRITE_PROCESS, 2, WRITE_PROCESSES };
    struct write_cell cell;
    int rc = write_cell_open(&cell, &spec, scratch, WRITE_CELLS, err);

    static_assert(KILLS <= sizeof run->kill_ms / sizeof run->kill_ms[0],
                  "a place for each");
    if (rc == LIDO_OK && !cell.is_absent) {
        write_cell_resume(&cell);
        while (rc == LIDO_OK && run->n_kills < KILLS) {
            sleep_ns(RUN_NS);
            rc = kill_one(&cell, &run->kill_ms[run->n_kills++], err);
        }
    }
    write_cell_close(&cell);
    return rc;
}
