/* SPDX-License-Identifier: MIT */
/*
 * Interrupts: a signal stays pending, and whoever works in steps asks between two of them.
 *
 * There is no handler, hence no flag that a handler and the threads would share, and
 * nothing is cut off in the middle: temporary files always go.  The signal is not taken; once
 * there it is there until the work is done.
 *
 * Who waits inside a library cannot ask.  For that a thread may watch: it takes the signal and
 * calls a function.  Then it lets the next one through, for somebody who does not want to wait
 * until a long step is over.
 *
 * When the work is done only what it found is left to be printed.  A signal that came for the
 * work is then too late, and the next one ends the process, as that of any other: who reads
 * may have stopped, and a write to a full pipe waits for ever.
 *
 * Threads: interrupt_hold() before there is a second one; interrupt_signal() any;
 * interrupt_watch(), interrupt_unwatch() and interrupt_release() one.
 */
#include "cli/interrupt.h"

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <time.h>

static const int held[] = { SIGINT, SIGTERM, SIGHUP };
enum { HELD = sizeof held / sizeof held[0] };
enum { ENOUGH = SIGUSR1 }; /* says to the watch that it is over */

static sigset_t of_user; /* those of `held` that are held back */

static struct {
    pthread_t thread;
    bool is_on;
    void (*fire)(void *ctx);
    void *ctx;
    int taken; /* read when the thread has ended */
} watch;

void interrupt_hold(void)
{
    struct sigaction action;

    sigemptyset(&of_user);
    for (size_t i = 0; i < HELD; i++) {
        /* A blocked signal stays pending even where it is ignored, and nohup means it. */
        if (sigaction(held[i], NULL, &action) == 0 && action.sa_handler != SIG_IGN)
            sigaddset(&of_user, held[i]);
    }
    pthread_sigmask(SIG_BLOCK, &of_user, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
}

int interrupt_signal(void)
{
    sigset_t pending;

    if (sigpending(&pending) != 0)
        return 0;
    for (size_t i = 0; i < HELD; i++) {
        if (sigismember(&pending, held[i]) == 1)
            return held[i];
    }
    return 0;
}

static void *await_signal(void *unused)
{
    sigset_t set = of_user;
    int number;

    (void)unused;
    sigaddset(&set, ENOUGH);
    if (sigwait(&set, &number) != 0 || number == ENOUGH)
        return NULL;
    watch.taken = number;
    watch.fire(watch.ctx);
    pthread_sigmask(SIG_UNBLOCK, &of_user, NULL);
    sigemptyset(&set);
    sigaddset(&set, ENOUGH);
    sigwait(&set, &number);
    return NULL;
}

void interrupt_watch(void (*fire)(void *ctx), void *ctx)
{
    sigset_t enough;

    sigemptyset(&enough);
    sigaddset(&enough, ENOUGH);
    pthread_sigmask(SIG_BLOCK, &enough, NULL);
    watch.fire = fire;
    watch.ctx = ctx;
    watch.taken = 0;
    watch.is_on = pthread_create(&watch.thread, NULL, await_signal, NULL) == 0;
}

void interrupt_release(void)
{
    const struct timespec no_time = { 0, 0 };

    while (sigtimedwait(&of_user, NULL, &no_time) > 0)
        continue;
    pthread_sigmask(SIG_UNBLOCK, &of_user, NULL);
}

int interrupt_unwatch(void)
{
    if (!watch.is_on)
        return 0;
    pthread_kill(watch.thread, ENOUGH);
    pthread_join(watch.thread, NULL);
    watch.is_on = false;
    return watch.taken;
}
