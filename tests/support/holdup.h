/* SPDX-License-Identifier: MIT */
#ifndef LIDO_TESTS_HOLDUP_H
#define LIDO_TESTS_HOLDUP_H

/*
 * A hold-up at the bank: a process is stopped in the middle of a transfer, for good, while
 * others want to go on.
 *
 *     this process      a pool, three clerks, from number 1
 *     the victim        a pool, one clerk, or two where one is to wait for the other
 *     a bystander       a process with a pool, two clerks
 *     the foreign one   SQLite's own connection, in a process without lido
 *
 * In a round each of them but the victim makes some transfers.
 *
 * Threads: one, the test's.
 */
#include "tests/support/bank.h"

#include <sys/types.h>

#define HOLDUP_OURS       3 /* clerks */
#define HOLDUP_BYSTANDERS 2
#define HOLDUP_EACH       3 /* transfers of a clerk in a round */
#define HOLDUP_BEFORE     2 /* the victim's, before the one that it is killed at */

#define HOLDUP_BYSTANDER 6 /* numbers */
#define HOLDUP_VICTIM    9

/* Where the victim stays. */
enum holdup_phase {
    IN_LINE, /* behind another process, at its first transfer */
    AT_GATE, /* behind its own second clerk */
    IN_GATE, /* before its BEGIN */
    BEFORE_WRITE,
    HALF_WAY,
    AFTER_WRITE,
    CHECKS_IN,    /* COMMIT is done; a run is in the gate still */
    AFTER_COMMIT, /* and before it is written down */
    WRITTEN_DOWN,
    IN_COMMIT, /* dies at the nth call of its files */
};
extern const char *const holdup_phases[];

#define HOLDUP_GATES 3 /* off, on, process */
extern const char *const holdup_gates[HOLDUP_GATES];

extern struct holdup {
    const char *journal;
    const char *gate; /* one of holdup_gates */
    enum holdup_phase phase;
    bool by_runner;
    bool has_child; /* which lives on, with all that was open */
    int nth;
} holdup;

/* Does the victim have a gate; SQLite's lock, where it stays; a line of processes behind it? */
bool holdup_has_gate(void);
bool holdup_has_lock(void);
bool holdup_has_line(void);

/* A child and the pipes there and back. */
struct child {
    pid_t pid;
    int to, from;
};
extern struct child holdup_victim, holdup_bystander;
extern lido_pool *holdup_pool;

/* As `holdup` says, with a bank; in the end one round more, and the pool is closed. */
void holdup_start(void);
void holdup_end(void);

/* Tells a child to go on, and waits for its word: 's', it stays; 'd', its round is done. */
void holdup_go(const struct child *child);
void holdup_await(const struct child *child, char wanted);

void holdup_round_start(void);
void holdup_round_end(void);

/* The victim.  And how a child ended: was it killed, or did it live to its end? */
void holdup_kill(void);
bool holdup_is_killed(const struct child *child);

struct lido_gate_stats holdup_gate_stats(lido_pool *pool);

#endif
