/* SPDX-License-Identifier: MIT */
#ifndef TESTS_HISTORIES_HISTORY_H
#define TESTS_HISTORIES_HISTORY_H

#include "tests/histories/settings.h"
#include <stdatomic.h>
#include <stdbool.h>

/*
 * What happened: every attempt at a transaction, with what it read and wrote and how it
 * ended.
 *
 * It lies in memory that the recorder's processes share, so that one clock orders all of
 * them, a process that dies leaves what it did, and nobody formats text while the race is
 * on.
 *
 * Threads: any may claim a transaction; what is in it belongs to the one that claimed it.
 */

#define HISTORY_LONGEST_VALUE 1024
#define HISTORY_OPS           12
#define HISTORY_TXNS          600

enum op_kind {
    OP_READ,   /* the value is what was read */
    OP_WRITE,  /* the value is what stands there now */
    OP_APPEND, /* the value was put at the end of what stood there */
};

struct op {
    enum op_kind kind;
    int key;
    char value[HISTORY_LONGEST_VALUE]; /* numbers, with commas between them */
};

struct txn {
    int process, thread;
    int mode;        /* LIDO_DEFERRED ... */
    int outcome;     /* LIDO_OUTCOME_... */
    long start, end; /* ticks before its begin, and after its end was known */
    bool is_final;   /* reads everything after all others are over */
    const char *why; /* the name of the code that ended it, or what the program wanted */
    int n_ops;
    struct op ops[HISTORY_OPS];
};

struct history {
    struct settings settings;
    atomic_long ticks;
    atomic_int n_txns;
    struct txn txns[HISTORY_TXNS];
};

/* Shared with all processes that are forked from now on. */
struct history *history_new(const struct settings *settings);

/* The next moment: later than all that were given out before. */
long history_tick(struct history *history);

struct txn *history_claim(struct history *history);

/* A number that no other operation of the history has; what an operation writes carries it,
   so that each value tells who wrote it. */
long history_stamp(const struct history *history, const struct txn *txn);

/* One line on the settings, and one line for each transaction. */
void history_print(const struct history *history);

/* Says why on stderr and ends the process: the recorder cannot go on. */
_Noreturn void history_die(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
