/* SPDX-License-Identifier: MIT */
#ifndef TESTS_HISTORIES_SETTINGS_H
#define TESTS_HISTORIES_SETTINGS_H

#include <stdint.h>

/*
 * What a seed makes of a history.  The same seed sets the same scene and the same plans of
 * all workers; who comes first is up to the machine.
 */

enum workload {
    WORKLOAD_BANK, /* money moves between accounts, and none is lost or made */
    WORKLOAD_LIST, /* numbers are put at the end of lists */
    WORKLOAD_SKEW, /* of two switches one must be on: each reads both, writes one */
};

#define MODE_MIXED 0 /* each transaction has one of its own */

struct settings {
    uint64_t seed;
    enum workload workload;
    int mode;            /* LIDO_DEFERRED ..., or MODE_MIXED */
    const char *journal; /* journal_mode */
    const char *kind;    /* of pool */
    int processes;       /* each with a pool of its own on the one file */
    int threads;         /* of each process */
    int rounds;          /* transactions of each thread */
    int keys;            /* rows */
    const char *initial; /* what each row holds at first */
    int timeout_ms;      /* the wait for a lock */
    int pool_size;
    int keep; /* transactions that a lease is kept for */
};

struct settings settings_of_seed(uint64_t seed);
const char *settings_mode_name(int mode);
const char *settings_workload_name(enum workload workload);

/* The next number of a row that *state stands for, below `bound`. */
int settings_random(uint64_t *state, int bound);

#endif
