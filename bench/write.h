/* SPDX-License-Identifier: MIT */
#ifndef LIDO_BENCH_WRITE_H
#define LIDO_BENCH_WRITE_H

/*
 * The parts of `lido-bench write`: cells, their processes, and what they measured.
 */
#include "measure.h"
#include "scratch.h"

#include "report/histogram.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/types.h>

#define WRITE_PARTS     5   /* of a window */
#define WRITE_SLICES    50  /* the most: ten in each part */
#define WRITE_PROCESSES 4   /* the most of one cell */
#define WRITE_CELLS     128 /* the most of one run */
#define WRITE_ROWS      1000

enum write_sync {
    WRITE_NORMAL,
    WRITE_FULL,    /* the file is in memory, where a sync costs nothing */
    WRITE_FULL1MS, /* and each sync takes 1 ms longer */
};

enum write_kind {
    WRITE_BARE,        /* SQLite alone, a connection for each thread, busy_timeout */
    WRITE_GATE,        /* lido_pool_run(LIDO_IMMEDIATE) */
    WRITE_STRICT,      /* with gate_aging_us=0 */
    WRITE_UNGATED,     /* with gate=off */
    WRITE_PROCESS,     /* with gate=process */
    WRITE_HOOK,        /* a begin hook issues BEGIN IMMEDIATE */
    WRITE_READ_FIRST,  /* a SELECT before the UPDATE, LIDO_IMMEDIATE */
    WRITE_READ_DEFERS, /* the same, LIDO_DEFERRED */
};

/* What is measured: so many threads that write one file. */
struct write_spec {
    enum write_sync sync;
    enum write_kind kind;
    unsigned threads;   /* of each process */
    unsigned processes; /* 0 is 1 */
};

/* --- a cell at work: write_work.c, write_cell.c --------------------------------------- */

/* One thread, in memory that its process shares with the one that measures.  Written by the
   thread; read by the other while the thread is stopped, the atomics also while it runs. */
struct write_thread {
    _Atomic uint64_t done;
    _Atomic int64_t began_ns; /* the transaction that it is in or waits for */
    _Atomic int64_t ended_ns; /* the last one that committed */
    _Atomic int is_inside;    /* in a transaction of lido's, at the latest until it ended */
    uint64_t failures;
    struct histogram parts[WRITE_PARTS]; /* what ended in each part of the window */
};

struct write_shared {
    _Atomic int64_t paused_ns; /* how long the cell has been stopped in all */
    _Atomic int part;          /* of the window, now; -1: outside */
    _Atomic int has_error;     /* the first to set it writes: */
    struct lido_error err;
    struct write_thread threads[];
};

/* The time that a cell sees: it stands still while the cell is stopped. */
int64_t write_clock(struct write_shared *shared);

/* Is a process of the cell until it is killed: opens, stops itself, and when it is let run
   writes.  `number` is its own, from 0.  `is_first`: it makes the table. */
_Noreturn void write_work(const struct write_spec *spec, struct write_shared *shared,
                          unsigned number, const char *path, const char *path_of_url,
                          int is_first);

/* So many transactions by one thread of this process, and no more: to count instructions. */
int write_alone(enum write_kind kind, uint64_t transactions, const char *path,
                const char *path_of_url, struct lido_error *err);

struct write_cell {
    struct write_spec spec;
    unsigned processes, threads; /* in all */
    int is_absent;               /* this lido cannot: gate=process */
    char name[64];               /* sync/kind/threads:N */

    struct write_shared *shared;
    size_t shared_size;
    char path[SCRATCH_PATH + 32], path_of_url[3 * SCRATCH_PATH];
    pid_t pids[WRITE_PROCESSES]; /* 0: is gone */
    int64_t stopped_ns;
    double cpu_ns; /* of all its processes, when they are gone */

    /* What came out. */
    unsigned group;
    double per_s[WRITE_SLICES]; /* transactions */
    double reference_per_s[WRITE_SLICES];
    unsigned slices;
    double window_s;
    struct histogram *parts; /* WRITE_PARTS of them, and one for those still waiting */
    uint64_t done, least, most, least_process, most_process; /* in the window */
    uint64_t done_ever;
    uint64_t failures;
    struct lido_error err; /* of the first failure */
};

/* Its processes are started and stand still. */
int write_cell_open(struct write_cell *cell, const struct write_spec *spec,
                    const struct scratch *scratch, unsigned number, struct lido_error *err);
int write_cell_start(struct write_cell *cell, unsigned process, int is_first,
                     struct lido_error *err);
void write_cell_resume(struct write_cell *cell);
int write_cell_pause(struct write_cell *cell, struct lido_error *err);
/* Runs for so long; *per_s (NULL allowed) is how many transactions ended in each second. */
int write_cell_run(struct write_cell *cell, int part, int64_t ns, double *per_s,
                   struct lido_error *err);
int write_cell_finish(struct write_cell *cell, struct lido_error *err);
void write_cell_close(struct write_cell *cell); /* also one that did not open */

/* --- what a run is made of: write_run.c, write_kill.c --------------------------------- */

struct write_run {
    int64_t window_ns;
    int is_quick;
    unsigned n_cells;
    struct write_cell *cells; /* WRITE_CELLS of them */
    double kill_ms[16];
    unsigned n_kills;
};

int write_run_cells(struct write_run *run, int is_all, const struct scratch *scratch,
                    struct lido_error *err);
int write_run_kills(struct write_run *run, const struct scratch *scratch,
                    struct lido_error *err);
/* NULL if it was not measured. */
const struct write_cell *write_find(const struct write_run *run,
                                    const struct write_spec *spec);

/* --- what it says: write_ratios.c, write_report.c, write_plot.c ----------------------- */

enum write_verdict { WRITE_NO_TARGET, WRITE_MET, WRITE_NOT_MET, WRITE_UNDECIDED };

struct write_ratio {
    const char *name;
    double at_most, at_least; /* the target; at_most < 0 and at_least == 0: none */
    double stretch;           /* 0: none */
    int has_value, has_spread;
    struct summary value;
    enum write_verdict verdict;
};

#define WRITE_RATIOS 24
unsigned write_ratios(const struct write_run *run, struct write_ratio out[WRITE_RATIOS]);

/* Of the whole window. */
struct write_latency {
    int64_t p50_ns, p99_ns, p999_ns, max_ns;
};
struct write_latency write_latency(const struct write_cell *cell);
struct histogram write_window(const struct write_cell *cell);
double write_part_p999(const struct write_cell *cell, unsigned part); /* in ns */

void write_print(const struct write_run *run, FILE *out);
void write_json(const struct write_run *run, FILE *out);
void write_plot(const void *run, FILE *out); /* for plot_file() */

#endif
