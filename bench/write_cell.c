/* SPDX-License-Identifier: MIT */
/*
 * lido-bench write: a cell is a few processes that are let run and stopped.
 *
 * Cells take turns: each runs for a slice and stands still while the others run, so that
 * all see the same states of the machine.  SIGSTOP stops every thread wherever it is, in
 * the midst of a transaction or of a wait, and the cell's clock stands still with it.  So a
 * transaction that starves goes on starving in the next slice, as it would in one long
 * window, and at the end of that those still waiting are asked how long they have.
 *
 *     open --> stands still <--- pause --- runs        finish: ages, figures, SIGKILL
 *                   |                       ^
 *                   +-------- resume -------+
 *
 * What the cell measured is in memory that it shares with this process.  The processes are
 * forked by one that never used SQLite.
 *
 * Threads: one.
 */
#include "write.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void name_cell(struct write_cell *cell)
{
    static const char *const syncs[] = { "normal", "full", "full1ms" };
    static const char *const kinds[] = {
        [WRITE_BARE] = "busy",
        [WRITE_GATE] = "gate",
        [WRITE_STRICT] = "gate_strict",
        [WRITE_UNGATED] = "no_gate",
        [WRITE_PROCESS] = "gate",
        [WRITE_HOOK] = "hook_begin",
        [WRITE_READ_FIRST] = "read_immediate",
        [WRITE_READ_DEFERS] = "read_deferred",
    };
    char processes[32] = "";

    if (cell->processes > 1)
        snprintf(processes, sizeof processes, "processes:%u/", cell->processes);
    snprintf(cell->name, sizeof cell->name, "%s/%s/%sthreads:%u", syncs[cell->spec.sync],
             kinds[cell->spec.kind], processes, cell->spec.threads);
}

/* --- processes ------------------------------------------------------------------------ */

/* What became of a process that was to stop, and did not. */
static int fail_ended(struct write_cell *cell, int status, struct lido_error *err)
{
    if (atomic_load(&cell->shared->has_error)) {
        if (err != NULL)
            *err = cell->shared->err;
        return cell->shared->err.code;
    }
    return lido_fail(err, SQLITE_ERROR, "%s: a process ended by %s %d", cell->name,
                     WIFSIGNALED(status) ? "signal" : "exit",
                     WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
}

static int wait_until_stopped(struct write_cell *cell, unsigned process,
                              struct lido_error *err)
{
    int status = 0;
    pid_t pid;

    do {
        pid = waitpid(cell->pids[process], &status, WUNTRACED);
    } while (pid < 0 && errno == EINTR);
    if (pid > 0 && WIFSTOPPED(status))
        return LIDO_OK;
    cell->pids[process] = 0;
    return fail_ended(cell, status, err);
}

int write_cell_start(struct write_cell *cell, unsigned process, int is_first,
                     struct lido_error *err)
{
    pid_t pid = fork();

    if (pid == 0)
        write_work(&cell->spec, cell->shared, process, cell->path, cell->path_of_url,
                   is_first);
    if (pid < 0)
        return lido_fail(err, SQLITE_ERROR, "no process could be started: %s",
                         strerror(errno));
    cell->pids[process] = pid;
    return wait_until_stopped(cell, process, err);
}

int write_cell_open(struct write_cell *cell, const struct write_spec *spec,
                    const struct scratch *scratch, unsigned number, struct lido_error *err)
{
    char file[32];
    int rc;

    memset(cell, 0, sizeof *cell);
    cell->spec = *spec;
    cell->processes = spec->processes > 1 ? spec->processes : 1;
    cell->threads = cell->processes * spec->threads;
    name_cell(cell);
    snprintf(file, sizeof file, "%u.db", number);
    snprintf(cell->path, sizeof cell->path, "%s/%s", scratch->path, file);
    rc = scratch_url(scratch, file, cell->path_of_url, err);
    if (rc != LIDO_OK)
        return rc;
    cell->parts = calloc(WRITE_PARTS + 1, sizeof *cell->parts);
    cell->shared_size =
        sizeof *cell->shared + cell->threads * sizeof *cell->shared->threads;
    cell->shared = mmap(NULL, cell->shared_size, PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (cell->shared == MAP_FAILED)
        cell->shared = NULL;
    if (cell->shared == NULL || cell->parts == NULL)
        return lido_fail(err, SQLITE_NOMEM, "out of memory");
    atomic_store(&cell->shared->part, -1);
    cell->stopped_ns = now_ns();
    for (unsigned i = 0; rc == LIDO_OK && i < cell->processes; i++)
        rc = write_cell_start(cell, i, i == 0, err);
    if (rc == LIDO_BAD_OPTION && spec->kind == WRITE_PROCESS) {
        cell->is_absent = 1;
        rc = LIDO_OK;
    }
    return rc;
}

void write_cell_resume(struct write_cell *cell)
{
    atomic_fetch_add(&cell->shared->paused_ns, now_ns() - cell->stopped_ns);
    for (unsigned i = 0; i < cell->processes; i++)
        if (cell->pids[i] != 0)
            kill(cell->pids[i], SIGCONT);
}

int write_cell_pause(struct write_cell *cell, struct lido_error *err)
{
    int rc = LIDO_OK;

    for (unsigned i = 0; i < cell->processes; i++)
        if (cell->pids[i] != 0)
            kill(cell->pids[i], SIGSTOP);
    for (unsigned i = 0; rc == LIDO_OK && i < cell->processes; i++)
        if (cell->pids[i] != 0)
            rc = wait_until_stopped(cell, i, err);
    cell->stopped_ns = now_ns();
    return rc;
}

static uint64_t count_done(const struct write_cell *cell)
{
    uint64_t done = 0;

    for (unsigned i = 0; i < cell->threads; i++)
        done += atomic_load(&cell->shared->threads[i].done);
    return done;
}

int write_cell_run(struct write_cell *cell, int part, int64_t ns, double *per_s,
                   struct lido_error *err)
{
    const uint64_t before = count_done(cell);
    struct timespec left = { ns / 1000000000, ns % 1000000000 };
    int64_t began_ns;
    int rc;

    atomic_store(&cell->shared->part, part);
    began_ns = now_ns();
    write_cell_resume(cell);
    while (clock_nanosleep(CLOCK_MONOTONIC, 0, &left, &left) == EINTR)
        continue;
    rc = write_cell_pause(cell, err);
    if (per_s != NULL)
        *per_s = (double)(count_done(cell) - before) * 1e9 /
                 (double)(cell->stopped_ns - began_ns);
    if (part >= 0)
        cell->window_s += (double)(cell->stopped_ns - began_ns) / 1e9;
    return rc;
}

/* --- figures -------------------------------------------------------------------------- */

static void leave(struct write_cell *cell)
{
    for (unsigned i = 0; i < WRITE_PROCESSES; i++) {
        struct rusage usage;

        if (cell->pids[i] == 0)
            continue;
        kill(cell->pids[i], SIGKILL);
        while (wait4(cell->pids[i], NULL, 0, &usage) < 0 && errno == EINTR)
            continue;
        cell->cpu_ns += (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e9 +
                        (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e3;
        cell->pids[i] = 0;
    }
    if (cell->shared != NULL)
        munmap(cell->shared, cell->shared_size);
    cell->shared = NULL;
}

/* How many transactions each thread and each process ended in the window. */
static void count_served(struct write_cell *cell)
{
    uint64_t of_process[WRITE_PROCESSES] = { 0 };

    cell->least = cell->least_process = UINT64_MAX;
    for (unsigned i = 0; i < cell->threads; i++) {
        const struct write_thread *thread = &cell->shared->threads[i];
        uint64_t count = 0;

        for (unsigned part = 0; part < WRITE_PARTS; part++)
            count += thread->parts[part].count;
        cell->least = count < cell->least ? count : cell->least;
        cell->most = count > cell->most ? count : cell->most;
        cell->done += count;
        of_process[i / cell->spec.threads] += count;
        cell->failures += thread->failures;
    }
    for (unsigned i = 0; i < cell->processes; i++) {
        if (of_process[i] < cell->least_process)
            cell->least_process = of_process[i];
        if (of_process[i] > cell->most_process)
            cell->most_process = of_process[i];
    }
}

int write_cell_finish(struct write_cell *cell, struct lido_error *err)
{
    const int64_t end_ns = cell->stopped_ns - atomic_load(&cell->shared->paused_ns);

    cell->done_ever = count_done(cell);
    count_served(cell);
    for (unsigned i = 0; i < cell->threads; i++) {
        const struct write_thread *thread = &cell->shared->threads[i];

        for (unsigned part = 0; part < WRITE_PARTS; part++)
            histogram_merge(&cell->parts[part], &thread->parts[part]);
        if (thread->began_ns != 0)
            histogram_add(&cell->parts[WRITE_PARTS], end_ns - thread->began_ns);
    }
    cell->err = cell->shared->err;
    leave(cell);
    if (cell->done == 0 && cell->failures > 0)
        return lido_fail(err, cell->err.code, "%s: %s", cell->name, cell->err.text);
    return LIDO_OK;
}

void write_cell_close(struct write_cell *cell)
{
    leave(cell);
    free(cell->parts);
    cell->parts = NULL;
}

struct histogram write_window(const struct write_cell *cell)
{
    struct histogram all = { .count = 0 };

    for (unsigned part = 0; part <= WRITE_PARTS; part++)
        histogram_merge(&all, &cell->parts[part]);
    return all;
}

double write_part_p999(const struct write_cell *cell, unsigned part)
{
    return (double)histogram_quantile(&cell->parts[part], 0.999);
}

struct write_latency write_latency(const struct write_cell *cell)
{
    const struct histogram all = write_window(cell);

    return (struct write_latency){
        .p50_ns = histogram_quantile(&all, 0.5),
        .p99_ns = histogram_quantile(&all, 0.99),
        .p999_ns = histogram_quantile(&all, 0.999),
        .max_ns = all.max,
    };
}
