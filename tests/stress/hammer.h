/* SPDX-License-Identifier: MIT */
#ifndef LIDO_TESTS_HAMMER_H
#define LIDO_TESTS_HAMMER_H

/*
 * What the phases of the hammer share: expectations, threads, random numbers, and a driver
 * that synchronizes nothing.
 *
 * Threads: any, unless told otherwise.
 */
#include <lido/lido.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* The phases.  Each opens what it needs and closes it again. */
void phase_queue(void);
void phase_first(void);
void phase_hooks(void);
void phase_twice(void);
void phase_cancel(void);
void phase_close(void);
void phase_failing(void);
void phase_holders(void);
void phase_late(void);
void phase_life(void);
void phase_share(void);
void phase_sqlite(void);
void phase_statements(void);
void phase_wake(void);

/* For main: the scale in percent and the seed; and whether every expectation since the last
   call held, which starts the next phase. */
void hammer_set_up(int percent, uint64_t seed);
bool hammer_is_well(void);

/* `count` of a phase's rounds at the scale of this run, at least one. */
int hammer_rounds(int count);

/* Fails the phase that runs if `is_true` is not; the first few lines are printed. */
void hammer_expect(bool is_true, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The next random number below `bound`; `state` is the thread's own. */
unsigned hammer_random(uint64_t *state, unsigned bound);

/* Gives the processor away now and then, to mix the threads. */
void hammer_pause(uint64_t *random);

/* Runs `work` on `count` threads (at most 16) that start together, and joins them. */
typedef void (*hammer_work)(void *ctx, int number, uint64_t *random);
void hammer_run(int count, hammer_work work, void *ctx);

/* A place where `count` threads meet again and again, with spinning instead of sleeping. */
struct hammer_meeting {
    int count;
    atomic_int arrived;
    atomic_int round;
};
void hammer_meet(struct hammer_meeting *meeting);

/* Opens a pool on `url` with check_same_thread off; ends the program if that fails. */
lido_pool *hammer_open(const char *url);

/*
 * The bare driver, "bare://": handles of plain memory and no lock at all, so that only
 * lido's own synchronization stands between two holders, and ThreadSanitizer sees where it
 * is missing.
 */
struct bare_handle {
    uint64_t uses;   /* plain on purpose: changed by each holder */
    atomic_int held; /* holders now: 0 or 1.  Only relaxed operations */
};
void bare_driver_install(void);
int bare_driver_open_count(void);

/* The holder's: takes hold of the connection, works on it, and lets go again. */
void bare_hold(const struct lido_conn *conn);
void bare_let_go(const struct lido_conn *conn);

#endif
