/* SPDX-License-Identifier: MIT */
/*
 * The hammer: many threads on few connections, for ThreadSanitizer and the like.
 *
 *     hammer [percent [seed]]        how much of the usual number of rounds (100)
 *
 * Each phase lets threads do at random what is allowed at the same time, and checks while
 * they run and after them what must hold.  A phase that does not end in time is a thread
 * that was never woken: the program then names the phase and ends.
 *
 * Threads: main runs the phases one after the other.
 */
#include "tests/stress/hammer.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LONGEST_PHASE_S 60

static const struct {
    const char *name;
    void (*run)(void);
} phases[] = {
    { "queue", phase_queue },
    { "wake", phase_wake },
    { "hooks", phase_hooks },
    { "twice", phase_twice },
    { "close", phase_close },
    { "failing", phase_failing },
    { "holders", phase_holders },
    { "late", phase_late },
    { "first", phase_first },
    { "sqlite", phase_sqlite },
    { "life", phase_life },
    { "share", phase_share },
    { "statements", phase_statements },
    { "cancel", phase_cancel },
};

static const char *volatile running = "none";

static void give_up(int number)
{
    static const char told[] = "hammer: a thread was never woken, in phase ";
    ssize_t ignored = write(STDERR_FILENO, told, sizeof told - 1);

    ignored = write(STDERR_FILENO, running, strlen(running));
    ignored = write(STDERR_FILENO, "\n", 1);
    (void)ignored, (void)number;
    _exit(3);
}

int main(int argc, char **argv)
{
    const char *only = getenv("LIDO_HAMMER_PHASE");
    int passed = 0, failed = 0;

    hammer_set_up(argc > 1 ? atoi(argv[1]) : 100,
                  argc > 2 ? strtoull(argv[2], NULL, 10) : 1);
    signal(SIGALRM, give_up);
    for (size_t i = 0; i < sizeof phases / sizeof phases[0]; i++) {
        if (only != NULL && strcmp(only, phases[i].name) != 0)
            continue;
        running = phases[i].name;
        alarm(LONGEST_PHASE_S);
        phases[i].run();
        alarm(0);
        if (hammer_is_well())
            passed++;
        else
            failed++;
        if (getenv("LIDO_HAMMER_TELL") != NULL)
            fprintf(stderr, "%s done\n", running);
    }
    printf("%d passed, %d failed\n", passed, failed);
    return failed != 0 || passed == 0;
}
