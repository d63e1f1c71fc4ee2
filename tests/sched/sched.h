/* SPDX-License-Identifier: MIT */
#ifndef LIDO_TESTS_SCHED_H
#define LIDO_TESTS_SCHED_H

/*
 * What scenarios and main see of the scheduler (tests/sched/sched.c).
 *
 * Threads: the scheduler's own, of which one runs at a time: plain variables are enough.
 */
#include <stdbool.h>
#include <stdint.h>

/* A place where threads may change; outside of a run it is nothing. */
void sched_point(void);

/* Which thread this is, from 0; -1 outside of a run. */
int sched_self(void);

/* Ends the program with the seed and the last steps, if it is not true. */
void sched_expect(bool is_true, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void sched_fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

/* Sleeps until another thread has made *word at least so much. */
void sched_wait_for(const int *word, int least);

/* True once in `one_in` times, by the seed; when all schedules are tried: never. */
bool sched_chance(unsigned one_in);

/* The caller uses what is at `thing`, and lido must have ordered this after every other use:
   by locks, or by a release and an acquire. */
void sched_use(const void *thing);

/* The virtual time. */
int64_t sched_now_ns(void);

/* For main. */
struct sched_thread {
    void (*run)(void *ctx);
    void *ctx;
};

enum sched_how {
    SCHED_IN_ORDER, /* one after the other, as far as they come */
    SCHED_BY_SEED,
    SCHED_ALL, /* the next of all schedules */
};

/* What a failure prints in front of the story, and what the command to replay it is. */
void sched_name(const char *scenario, const char *replay);

/* Runs the threads to their ends.  `expected` steps are about what it takes. */
void sched_run(const struct sched_thread *threads, int count, enum sched_how how,
               uint64_t seed, unsigned expected);
/* Of the run before: its steps, and a number that is the same for the same schedule. */
unsigned sched_steps(void);
uint64_t sched_fingerprint(void);

/* SCHED_ALL: starts anew with up to so many preemptions in a run; false after the last. */
void sched_all_begin(int preemptions);
bool sched_all_next(void);

/* Prints the steps of the run before. */
void sched_report(void);

#endif
