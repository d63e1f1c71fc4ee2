/* SPDX-License-Identifier: MIT */
/*
 * lido-bench housekeeping: a process for each job, lido's and the shell's alike.
 *
 * The time runs from before the process is started until it is gone, so that both pay for
 * their start, for what they sync, and for what they close.
 *
 * Threads: one.
 */
#include "housekeeping.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

int64_t housekeeping_clock(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static double ns_of(const struct timeval *time)
{
    return (double)time->tv_sec * 1e9 + (double)time->tv_usec * 1e3;
}

/* Its standard output is `output`.  LIDO_NOT_FOUND: there is no such program. */
static int run(const char *program, char *const arguments[], int output,
               struct housekeeping_cost *out, struct lido_error *err)
{
    const int64_t began_ns = housekeeping_clock();
    posix_spawn_file_actions_t actions;
    struct rusage usage;
    int status, error;
    pid_t pid;

    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
    error = posix_spawnp(&pid, program, &actions, NULL, arguments, environ);
    posix_spawn_file_actions_destroy(&actions);
    if (error == ENOENT)
        return lido_fail(err, LIDO_NOT_FOUND, "there is no program %s", program);
    if (error != 0)
        return lido_fail(err, SQLITE_ERROR, "could not start %s: %s", program,
                         strerror(error));
    while (wait4(pid, &status, 0, &usage) < 0)
        if (errno != EINTR)
            return lido_fail(err, SQLITE_ERROR, "could not wait for %s: %s", program,
                             strerror(errno));
    *out = (struct housekeeping_cost){
        .real_ns = (double)(housekeeping_clock() - began_ns),
        .cpu_ns = ns_of(&usage.ru_utime) + ns_of(&usage.ru_stime),
    };
    if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
        return lido_fail(err, LIDO_NOT_FOUND, "%s could not be started", program);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return lido_fail(err, SQLITE_ERROR, "%s %s failed", program, arguments[1]);
    return LIDO_OK;
}

int housekeeping_run_job(const char *name, const char *from, const char *into,
                         struct housekeeping_cost *out, struct lido_error *err)
{
    char option[64], said[64] = "";
    char *const arguments[] = { "lido-bench",
                                "housekeeping",
                                option,
                                (char *)(uintptr_t)from,
                                (char *)(uintptr_t)into,
                                NULL };
    char *at = said, *end = said;
    int ends[2], rc;

    snprintf(option, sizeof option, "--job=%s", name);
    if (pipe2(ends, O_CLOEXEC) != 0)
        return lido_fail(err, SQLITE_ERROR, "could not make a pipe: %s", strerror(errno));
    rc = run("/proc/self/exe", arguments, ends[1], out, err);
    close(ends[1]);
    if (rc == LIDO_OK && read(ends[0], said, sizeof said - 1) > 0) {
        out->call_ns = (double)strtoll(said, &at, 10);
        out->peak_kb = (double)strtol(at, &end, 10);
    }
    close(ends[0]);
    if (rc == LIDO_OK && (at == said || end == at))
        rc = lido_fail(err, SQLITE_ERROR, "the job %s said nothing", name);
    return rc;
}

int housekeeping_run_shell(const char *shell, const char *const arguments[3],
                           const char *output, struct housekeeping_cost *out,
                           struct lido_error *err)
{
    char *const all[] = { (char *)(uintptr_t)shell,
                          "-batch",
                          "-bail",
                          "-init",
                          "/dev/null",
                          (char *)(uintptr_t)arguments[0],
                          (char *)(uintptr_t)arguments[1],
                          (char *)(uintptr_t)arguments[2],
                          NULL };
    const int file = open(output != NULL ? output : "/dev/null",
                          O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    int rc;

    if (file < 0)
        return lido_fail(err, SQLITE_CANTOPEN, "could not make %s: %s",
                         output != NULL ? output : "/dev/null", strerror(errno));
    rc = run(shell, all, file, out, err);
    close(file);
    return rc;
}
