/* SPDX-License-Identifier: MIT */
/*
 * How all commands speak, and how they end.
 *
 * Threads: one.
 */
#include "cli/cli.h"

#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

void cli_complain(const char *format, ...)
{
    va_list args;

    fputs("lido: ", stderr);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
}

/* Whoever read it is gone: as `head` is when it has its lines. */
static bool is_unread(int file)
{
    struct pollfd out = { .fd = file, .events = POLLOUT };

    return poll(&out, 1, 0) == 1 && (out.revents & POLLERR) != 0;
}

int cli_finish(int answer)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return answer;
    if (is_unread(STDOUT_FILENO))
        return answer == CLI_OK ? CLI_SIGNALLED + SIGPIPE : answer;
    cli_complain("what was to be printed could not be written");
    return answer == CLI_OK ? CLI_FAILED : answer;
}
