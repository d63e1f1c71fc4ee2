/* SPDX-License-Identifier: MIT */
/*
 * What happened last: the steps of each thread, with the line of lido's that made them, and
 * the command that plays the run again.
 *
 * An assertion of lido's that does not hold and a signal of the system's end in a report as
 * well.
 *
 * Threads: as in tests/sched/sched.h.
 */
#include "tests/sched/inside.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define KEPT  1024 /* steps of each thread */
#define SHOWN 32   /* of these, unless LIDO_SCHED_STEPS says how many */

struct kept {
    unsigned number;
    const char *what;
    const volatile void *at;
    uint64_t before, after;
    const void *from;
    char line[80]; /* found when it is printed */
};

static struct {
    struct kept kept[KEPT];
    unsigned count;
} trace[SCHED_MOST];

static unsigned n_steps, n_shown = SHOWN;
static const char *scenario = "?", *replay = "";

void sched_name(const char *scenario_, const char *replay_)
{
    scenario = scenario_;
    replay = replay_;
}

void report_begin(void)
{
    n_steps = 0;
    for (int i = 0; i < SCHED_MOST; i++)
        trace[i].count = 0;
}

void step(const char *what, const volatile void *at, uint64_t before, uint64_t after,
          const void *from)
{
    struct kept *kept;

    if (run.current < 0)
        return;
    kept = &trace[run.current].kept[trace[run.current].count++ % KEPT];
    *kept = (struct kept){ .number = ++n_steps,
                           .what = what,
                           .at = at,
                           .before = before,
                           .after = after,
                           .from = from };
    run.fingerprint = (run.fingerprint ^ (uint64_t)run.current ^ (uint64_t)what[0] << 8) *
                      UINT64_C(0x100000001b3);
}

static struct kept *kept_at(int fiber, unsigned i)
{
    return i < trace[fiber].count && i + n_shown >= trace[fiber].count
               ? &trace[fiber].kept[i % KEPT]
               : NULL;
}

/* The line that is lido's own, not that of the operation in base/atomic.h. */
static void read_line(FILE *stream, struct kept *kept)
{
    char text[400];

    while (fgets(text, sizeof text, stream) != NULL && text[0] != '0') {
        char *name = strrchr(text, '/');

        if (strstr(text, "atomic.h:") != NULL || strchr(text, ':') == NULL)
            continue;
        name = name != NULL ? name + 1 : text;
        name[strcspn(name, " \n")] = '\0';
        if (kept->line[0] == '\0')
            snprintf(kept->line, sizeof kept->line, "%.79s", name);
    }
}

/* Asks addr2line, if there is one, for the lines of all steps that are kept. */
static void find_lines(void)
{
    extern const char __executable_start[];
    static char command[SCHED_MOST * KEPT * 20 + 100];
    struct kept *kept;
    FILE *stream;
    int used = snprintf(command, sizeof command,
                        "addr2line -a -i -e /proc/%d/exe 2>/dev/null", (int)getpid());

    for (int fiber = 0; fiber < run.count; fiber++)
        for (unsigned i = 0; i < trace[fiber].count; i++)
            if ((kept = kept_at(fiber, i)) != NULL && kept->from != NULL)
                used += snprintf(
                    command + used, sizeof command - (size_t)used, " %lx",
                    (unsigned long)((const char *)kept->from - __executable_start - 1));
    stream = popen(command, "r");
    if (stream == NULL)
        return;
    if (fgets(command, sizeof command, stream) != NULL) /* the first address */
        for (int fiber = 0; fiber < run.count; fiber++)
            for (unsigned i = 0; i < trace[fiber].count; i++)
                if ((kept = kept_at(fiber, i)) != NULL && kept->from != NULL)
                    read_line(stream, kept);
    pclose(stream);
}

static void print_step(int fiber, const struct kept *kept)
{
    fprintf(stderr, "  %6u  %*s%d %-12s", kept->number, 2 * fiber, "", fiber, kept->what);
    if (kept->at != NULL)
        fprintf(stderr, " ..%05lx", (unsigned long)((uintptr_t)kept->at & 0xfffff));
    if (kept->before != kept->after)
        fprintf(stderr, " %llx -> %llx", (unsigned long long)kept->before,
                (unsigned long long)kept->after);
    else if (kept->at != NULL && kept->after != 0)
        fprintf(stderr, " %llx", (unsigned long long)kept->after);
    fprintf(stderr, "  %s\n", kept->line);
}

void sched_report(void)
{
    const char *shown = getenv("LIDO_SCHED_STEPS");
    unsigned next[SCHED_MOST] = { 0 };

    if (shown != NULL && (n_shown = (unsigned)atoi(shown)) > KEPT)
        n_shown = KEPT;
    find_lines();
    fprintf(stderr, "  the last %u steps of each thread (%s):\n", n_shown,
            choose_describe());
    for (;;) {
        const struct kept *kept = NULL;
        int fiber = -1;

        for (int i = 0; i < run.count; i++) {
            while (next[i] < trace[i].count && kept_at(i, next[i]) == NULL)
                next[i]++;
            if (next[i] < trace[i].count &&
                (kept == NULL || kept_at(i, next[i])->number < kept->number)) {
                kept = kept_at(i, next[i]);
                fiber = i;
            }
        }
        if (kept == NULL)
            return;
        print_step(fiber, kept);
        next[fiber]++;
    }
}

static void print_states(void)
{
    static const char *const names[] = { "could run", "wants a lock", "sleeps",
                                         "waits for another", "has ended" };

    for (int i = 0; i < run.count; i++)
        fprintf(stderr, "  thread %d %s\n", i, names[run.fibers[i].state]);
}

void sched_fail(const char *format, ...)
{
    va_list arguments;

    fflush(stdout);
    fprintf(stderr, "sched: %s: ", scenario);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fprintf(stderr, "\n  replay: %s\n", replay);
    if (run.count > 0) {
        print_states();
        sched_report();
    }
    fflush(stderr);
    _exit(1);
}

void sched_expect(bool is_true, const char *format, ...)
{
    char text[300];
    va_list arguments;

    if (is_true)
        return;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    sched_fail("%s", text);
}

static void on_signal(int number)
{
    signal(number, SIG_DFL);
    sched_fail("signal %d (%s)", number,
               number == SIGABRT ? "an assertion of lido's" : strsignal(number));
}

__attribute__((constructor)) static void catch_signals(void)
{
    static const int numbers[] = { SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGALRM };

    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        signal(numbers[i], on_signal);
}
