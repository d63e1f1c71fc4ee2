/* SPDX-License-Identifier: MIT */
/*
 * A deterministic scheduler: threads that change places only where it says so, and always
 * in the same way for the same seed.
 *
 * lido is compiled once more with tests/sched/build.h, by which every atomic operation, every
 * lock, sleep and look at a clock is a call of ours.  Before each of them (and after each
 * unlock) another thread may go on; who, is chosen in choose.c.  The threads are contexts of
 * makecontext() on one thread of the system, so a change costs a fraction of a microsecond
 * and nothing depends on the machine.
 *
 *     sched.c     threads, and time, which is virtual: it passes when nobody can run, or also
 *                 when the seed says so
 *     choose.c    who is next: by seed, or all schedules with a few preemptions
 *     memory.c    atomics, with stores that the others see late, and who knows of what
 *     locks.c     locks, sleeping, clocks, and values of a thread's own
 *     report.c    what happened last
 *
 * A run fails when nobody can run and nobody's time can come (a lost wake-up, a deadlock), when
 * it does not end, when an assertion of lido's or of a scenario does not hold, when a lock is
 * used after its end, and when a connection is used by two threads that nothing orders.
 * Every failure prints the command that plays it again.
 *
 * What it cannot see:
 *
 *   * SQLite: the driver is a fake, and SQLite's own locks are the system's.
 *   * What the compiler does: it ran before.  Between two atomic operations a thread is never
 *     interrupted, so a race on plain memory is seen only where sched_use() is told of it.
 *   * Loads that come early.  Stores can be late, up to the next read-modify-write or unlock
 *     of their thread; each of these is a full barrier here and is not one on every machine.
 *     A missing acquire is thus seen by sched_use() only, not by the value that is read.
 *   * Weak stores of plain memory.  ThreadSanitizer, on tests/stress, sees those.
 *   * More threads or longer stories than the scenarios have.
 *
 * Threads: all are here.  The sections of thread-local variables are exchanged at a change.
 */
#include "tests/sched/inside.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STACK (256 * 1024)

struct run run = { .current = -1 };

static ucontext_t outside;
static char outside_locals[MOST_LOCALS];
static _Alignas(64) char stacks[SCHED_MOST][STACK];

/* Where lido's thread-local variables are; see build.h. */
extern char __start_sched_tls[], __stop_sched_tls[];

static size_t locals_size(void)
{
    size_t size = (size_t)(__stop_sched_tls - __start_sched_tls);

    if (size > MOST_LOCALS)
        abort();
    return size;
}

/* To another thread, or (-1) to who called sched_run(). */
static void change_to(int next)
{
    int last = run.current;
    char *from = last < 0 ? outside_locals : run.fibers[last].locals;
    const char *to = next < 0 ? outside_locals : run.fibers[next].locals;

    if (next == last)
        return;
    memcpy(from, __start_sched_tls, locals_size());
    memcpy(__start_sched_tls, to, locals_size());
    run.current = next;
    swapcontext(last < 0 ? &outside : &run.fibers[last].context,
                next < 0 ? &outside : &run.fibers[next].context);
}

static bool can_run(const struct fiber *fiber)
{
    switch (fiber->state) {
    case READY: return true;
    case LOCKING: return fiber->mutex->owner == 0;
    case SLEEPING: return fiber->is_signalled || fiber->wake_ns <= run.now_ns;
    case WAITING: return *fiber->word >= fiber->least;
    case DONE: return false;
    }
    return false;
}

/* The next moment somebody waits for, or NO_WAKING. */
static int64_t next_waking(void)
{
    int64_t next = NO_WAKING;

    for (int i = 0; i < run.count; i++)
        if (run.fibers[i].state == SLEEPING && run.fibers[i].wake_ns > run.now_ns &&
            run.fibers[i].wake_ns < next)
            next = run.fibers[i].wake_ns;
    return next;
}

static void advance(int64_t to_ns)
{
    run.now_ns = to_ns;
    step("time passes", NULL, 0, (uint64_t)to_ns, NULL);
}

static bool are_all_done(void)
{
    for (int i = 0; i < run.count; i++)
        if (run.fibers[i].state != DONE)
            return false;
    return true;
}

/* A sleep may end for no reason. */
static void wake_for_nothing(void)
{
    int i = (int)choose_below((unsigned)run.count);

    if (run.fibers[i].state == SLEEPING && run.fibers[i].futex != NULL)
        run.fibers[i].is_signalled = true;
}

/* Who is next, or -1: all are done. */
static int choose_next(void)
{
    for (;;) {
        int ready[SCHED_MOST], n_ready = 0, next;
        int64_t waking_ns = next_waking();

        for (int i = 0; i < run.count; i++)
            if (can_run(&run.fibers[i]))
                ready[n_ready++] = i;
        if (n_ready > 0) {
            next = choose_thread(ready, n_ready, can_run(self()), waking_ns != NO_WAKING);
            if (next != ADVANCE)
                return next;
        } else if (are_all_done()) {
            return -1;
        } else if (waking_ns == NO_WAKING) {
            sched_fail("nobody can go on: a lost wake-up, or a deadlock");
        }
        advance(waking_ns);
    }
}

void sched_block(void)
{
    change_to(choose_next());
}

void sched_point(void)
{
    if (run.current < 0)
        return;
    if (++run.steps > MOST_STEPS)
        sched_fail("no end after %d steps", MOST_STEPS);
    memory_flush_some();
    if (choose_spurious())
        wake_for_nothing();
    change_to(choose_next());
}

int sched_self(void)
{
    return run.current;
}

int64_t sched_now_ns(void)
{
    return run.now_ns;
}

void sched_wait_for(const int *word, int least)
{
    struct fiber *fiber = self();

    step("waits for", word, (uint64_t)*word, (uint64_t)least, FROM);
    fiber->state = WAITING;
    fiber->word = word;
    fiber->least = least;
    sched_block();
    fiber->state = READY;
    /* Who told it, told everything before: that was one of them. */
    for (int i = 0; i < run.count; i++) {
        memory_drain(i);
        knowledge_join(&fiber->knowledge, &run.fibers[i].knowledge);
    }
}

static void enter(void)
{
    struct fiber *fiber = self();

    fiber->work.run(fiber->work.ctx);
    sched_drop_values();
    memory_drain(run.current);
    step("ends", NULL, 0, 0, NULL);
    fiber->state = DONE;
    sched_block();
}

static void set_up(int number, const struct sched_thread *work)
{
    struct fiber *fiber = &run.fibers[number];

    fiber->work = *work;
    fiber->state = READY;
    fiber->n_stores = 0;
    fiber->knowledge = (struct sched_knowledge){ { 0 } };
    fiber->knowledge.of[number] = 1;
    memset(fiber->values, 0, sizeof fiber->values);
    memset(fiber->locals, 0, sizeof fiber->locals);
    getcontext(&fiber->context);
    fiber->context.uc_stack.ss_sp = stacks[number];
    fiber->context.uc_stack.ss_size = STACK;
    fiber->context.uc_link = NULL;
    makecontext(&fiber->context, enter, 0);
}

void sched_run(const struct sched_thread *threads, int count, enum sched_how how,
               uint64_t seed, unsigned expected)
{
    assert(run.current < 0 && count <= SCHED_MOST);
    run.number++;
    run.count = count;
    run.now_ns = INT64_C(1000000000);
    run.steps = 0;
    run.fingerprint = seed;
    for (int i = 0; i < count; i++)
        set_up(i, &threads[i]);
    report_begin();
    choose_begin(how, seed, count, expected);
    change_to(choose_first(count));
}

unsigned sched_steps(void)
{
    return run.steps;
}

uint64_t sched_fingerprint(void)
{
    return run.fingerprint;
}
