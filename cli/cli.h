/* SPDX-License-Identifier: MIT */
#ifndef LIDO_CLI_CLI_H
#define LIDO_CLI_CLI_H

/*
 * What all commands of the tool share: how they end, how they speak, and the time.
 */
#include <stdint.h>
#include <time.h>

/* What the process answers.  Documented in `lido help`; never renumbered. */
enum cli_exit {
    CLI_OK = 0,
    CLI_FAILED = 1,      /* it ran, and something did not hold or could not be done */
    CLI_USAGE = 2,       /* the command line says something impossible */
    CLI_PROBLEMS = 3,    /* it ran, and found something wrong with what it looked at */
    CLI_BUSY = 4,        /* somebody uses the database, or it needs recovery first */
    CLI_NO_DATABASE = 5, /* there is no such file, or it is not a database */
    CLI_SIGNALLED = 128, /* plus the number of the signal: 130 for Ctrl-C */
};

/* Prints "lido: " and the line to stderr. */
void cli_complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Flushes stdout; CLI_FAILED, and a complaint, if what was printed did not get out, and
   otherwise `answer`. */
int cli_finish(int answer);

/* The commands.  argv[0] is the command's own name. */
int demo_main(int argc, char **argv);
extern const char demo_help[];

static inline int64_t cli_now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

#endif
