/* SPDX-License-Identifier: MIT */
/*
 * Interrupts: a signal stays pending, and whoever works in steps asks between two of them.
 *
 * There is no handler, hence no flag that a handler and the threads would share, and
 * nothing is cut off in the middle: temporary files always go.  The signal is never taken;
 * once there it is there until the process ends.
 *
 * Threads: interrupt_hold() before there is a second one; interrupt_signal() any.
 */
#include "cli/interrupt.h"

#include <signal.h>
#include <stddef.h>

static const int held[] = { SIGINT, SIGTERM, SIGHUP };
enum { HELD = sizeof held / sizeof held[0] };

void interrupt_hold(void)
{
    struct sigaction action;
    sigset_t set;

    sigemptyset(&set);
    for (size_t i = 0; i < HELD; i++) {
        /* A blocked signal stays pending even where it is ignored, and nohup means it. */
        if (sigaction(held[i], NULL, &action) == 0 && action.sa_handler != SIG_IGN)
            sigaddset(&set, held[i]);
    }
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
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
