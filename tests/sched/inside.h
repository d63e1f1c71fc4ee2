/* SPDX-License-Identifier: MIT */
#ifndef LIDO_TESTS_SCHED_INSIDE_H
#define LIDO_TESTS_SCHED_INSIDE_H

/*
 * What the files of the scheduler share: threads, their store buffers, and the choices.
 *
 * Threads: as in tests/sched/sched.h.
 */
#define SCHED_PLAIN
#include "tests/sched/build.h"
#include "tests/sched/sched.h"

#include <stddef.h>
#include <ucontext.h>

#define MOST_STORES 32
#define MOST_KEYS   4
#define MOST_LOCALS 256
#define MOST_STEPS  20000 /* a run that takes more does not end */
#define NO_WAKING   INT64_MAX

enum state {
    READY,
    LOCKING,  /* wants `mutex` */
    SLEEPING, /* until it is signalled, or until `wake_ns` */
    WAITING,  /* until *word is at least `least` */
    DONE,
};

/* A store that the others do not see yet. */
struct pending {
    volatile uint64_t *at;
    uint64_t value;
    bool is_release;
    struct sched_knowledge knowledge;
};

struct fiber {
    ucontext_t context;
    struct sched_thread work;
    enum state state;
    struct sched_mutex *mutex;
    const volatile uint32_t *futex; /* NULL: only the time wakes it */
    bool is_signalled;
    int64_t wake_ns;
    const int *word;
    int least;
    int priority;
    struct pending stores[MOST_STORES];
    int n_stores;
    struct sched_knowledge knowledge;
    void *values[MOST_KEYS];
    char locals[MOST_LOCALS];
};

/* The run. */
extern struct run {
    uint64_t number;
    struct fiber fibers[SCHED_MOST];
    int count;
    int current; /* -1 outside of a run */
    int64_t now_ns;
    unsigned steps;
    uint64_t fingerprint;
} run;

static inline struct fiber *self(void)
{
    return &run.fibers[run.current];
}

/* sched.c: the thread is not READY: others run until it is. */
void sched_block(void);
/* Ends the thread's own values. */
void sched_drop_values(void);

/* choose.c */
#define ADVANCE (-1)
enum memory_mode { AS_WRITTEN, IN_ORDER, BY_PLACE };
void choose_begin(enum sched_how how, uint64_t seed, int n_fibers, unsigned expected);
int choose_first(int count);
/* Which of the threads that may run; or ADVANCE, if time may pass. */
int choose_thread(const int *ready, int n_ready, bool is_current_ready, bool may_advance);
unsigned choose_below(unsigned bound);
bool choose_spurious(void);
bool choose_flush(void);
/* Is this store to be seen late? */
bool choose_delay(bool has_pending);
enum memory_mode choose_memory(void);
const char *choose_describe(void);

/* memory.c */
void memory_drain(int fiber);
/* Lets others see a few of the stores that are on their way. */
void memory_flush_some(void);
void knowledge_join(struct sched_knowledge *to, const struct sched_knowledge *from);

/* report.c */
void step(const char *what, const volatile void *at, uint64_t before, uint64_t after,
          const void *from);
void report_begin(void);
#define FROM __builtin_return_address(0)

#endif
