/* SPDX-License-Identifier: MIT */
#ifndef LIDO_BENCH_HOUSEKEEPING_H
#define LIDO_BENCH_HOUSEKEEPING_H

/*
 * The parts of `lido-bench housekeeping`: jobs, their processes, and what they measured.
 *
 * Threads: one at a time, but for housekeeping_writers.c, which starts one.
 */
#include "measure.h"
#include "scratch.h"

#include "report/histogram.h"

#include <stdio.h>

#define HOUSEKEEPING_PATH   (SCRATCH_PATH + 64)
#define HOUSEKEEPING_ROUNDS 100 /* the most */

/* --- one job: housekeeping_job.c -------------------------------------------------------- */

/* Does the job of that name in this process, and prints one line of two numbers: how long it
   took in ns, and the most memory that the process ever had, in KB.  An exit code. */
int housekeeping_job(const char *name, const char *from, const char *into);

/* --- a process for each: housekeeping_process.c ----------------------------------------- */

struct housekeeping_cost {
    double real_ns; /* from the start of the process until it was gone */
    double call_ns; /* the job in it; 0: not known */
    double cpu_ns;
    double peak_kb; /* 0: not known */
};

int64_t housekeeping_clock(void);

/* Runs this program with `--job`. */
int housekeeping_run_job(const char *name, const char *from, const char *into,
                         struct housekeeping_cost *out, struct lido_error *err);
/* Runs the shell with its arguments (its name is put in), its output into the file `output`
   (NULL: thrown away).  LIDO_NOT_FOUND: there is none. */
int housekeeping_run_shell(const char *shell, const char *const arguments[3],
                           const char *output, struct housekeeping_cost *out,
                           struct lido_error *err);

/* --- what is worked on: housekeeping_files.c -------------------------------------------- */

/* Makes a database of so many megabytes: four fifths rows of a table `item`, the rest blobs of
   1 MB.  `has_index`: one on `item`. */
int housekeeping_make(const char *path, unsigned megabytes, bool has_index,
                      struct lido_error *err);
/* An empty database; what is at the name is taken away, with its journal. */
int housekeeping_make_empty(const char *path, struct lido_error *err);
int housekeeping_copy_file(const char *from, const char *into, struct lido_error *err);
void housekeeping_remove(const char *path);

/* --- what is measured: housekeeping_run.c, housekeeping_writers.c ----------------------- */

enum {
    BACKUP_LIDO,
    BACKUP_LIDO_CHECKED,
    BACKUP_SHELL,
    DUMP_LIDO,
    DUMP_SHELL,
    LOAD_LIDO,
    LOAD_SHELL,
    COPY_LIDO,
    COPY_BARE,
    COPY_IN_FILE_LIDO,
    COPY_IN_FILE_BARE,
    HOUSEKEEPING_SUBJECTS
};
enum { HOUSEKEEPING_MEMORY = 5 }; /* backup, dump, load, copy, check */

struct housekeeping_run {
    const char *shell;
    char shell_version[80]; /* "": there is none */
    unsigned rounds;
    unsigned backup_mb, rows_mb, small_mb, big_mb;

    struct housekeeping_cost costs[HOUSEKEEPING_SUBJECTS][HOUSEKEEPING_ROUNDS];
    double peak_small_kb[HOUSEKEEPING_MEMORY], peak_big_kb[HOUSEKEEPING_MEMORY];

    /* Under load, in each round: the 99th percentile of a write. */
    double p99_with_ns[HOUSEKEEPING_ROUNDS], p99_without_ns[HOUSEKEEPING_ROUNDS];
    struct histogram times_with, times_without; /* of the writes of all rounds */
    unsigned backups, backups_ended, restarts;
};

extern const char *const housekeeping_subjects[HOUSEKEEPING_SUBJECTS];
extern const char *const housekeeping_memory[HOUSEKEEPING_MEMORY];
/* False: it needs the shell, and there is none. */
bool housekeeping_has(const struct housekeeping_run *run, unsigned subject);

int housekeeping_measure(struct housekeeping_run *run, const struct scratch *scratch,
                         struct lido_error *err);
int housekeeping_measure_writers(struct housekeeping_run *run, const char *path,
                                 const struct scratch *scratch, struct lido_error *err);

/* --- what it says: housekeeping_report.c ------------------------------------------------ */

void housekeeping_print(const struct housekeeping_run *run, FILE *out);
void housekeeping_json(const struct housekeeping_run *run, FILE *out);

#endif
