/* SPDX-License-Identifier: MIT */
/*
 * Strikes: a library to be loaded before the others, which sends this process a signal at its
 * n-th call of those that read, write, make, name or remove a file.
 *
 *     STRIKE_AT=N STRIKE_SIGNAL=S    just before the N-th call of all; 0: never
 *     STRIKE_LOG=FD                  the name of each call goes there, a line each
 *
 * So a test reaches each step of a command without a clock.  SIGKILL is for the process alone;
 * the others are for its group, as from a terminal, and the call goes on when whoever waits for
 * the signal has it, or at once where nobody waits.  What a child of a fork calls is not
 * counted.
 *
 * Threads: any; they share the count.
 */
#undef _FILE_OFFSET_BITS /* both names of each, and not one for the other */
#include <dlfcn.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { TURNS = 2000 }; /* of waiting until the signal is taken */

static _Atomic long calls;
static long strike_at;
static int number, journal = -1;
static pid_t process;

static long number_of(const char *name, long other)
{
    const char *value = getenv(name);

    return value != NULL ? strtol(value, NULL, 10) : other;
}

__attribute__((constructor)) static void begin(void)
{
    strike_at = number_of("STRIKE_AT", 0);
    number = (int)number_of("STRIKE_SIGNAL", SIGKILL);
    journal = (int)number_of("STRIKE_LOG", -1);
    process = getpid();
}

static void strike(void)
{
    sigset_t pending;
    int turn = 0;

    if (number == SIGKILL) {
        kill(process, SIGKILL);
        return;
    }
    kill(0, number);
    while (turn++ < TURNS && sigpending(&pending) == 0 &&
           sigismember(&pending, number) == 1)
        sched_yield();
    for (turn = 0; turn < 20; turn++) /* and does with it what it is to do */
        sched_yield();
}

static void count(const char *name)
{
    if (getpid() != process)
        return;
    if (journal >= 0) {
        char line[32];
        const int length = snprintf(line, sizeof line, "%s\n", name);

        syscall(SYS_write, journal, line, (size_t)length);
    }
    if (atomic_fetch_add(&calls, 1) + 1 == strike_at)
        strike();
}

static void *real(const char *name)
{
    void *symbol = dlsym(RTLD_NEXT, name);

    if (symbol == NULL)
        abort();
    return symbol;
}

/* A function of the same name and type, counted. */
#define STRIKE(type, name, parameters, arguments)                                          \
    type name parameters;                                                                  \
    type name parameters                                                                   \
    {                                                                                      \
        type(*other) parameters;                                                           \
        *(void **)&other = real(#name);                                                    \
        count(#name);                                                                      \
        return other arguments;                                                            \
    }

STRIKE(ssize_t, read, (int file, void *to, size_t size), (file, to, size))
STRIKE(ssize_t, pread, (int file, void *to, size_t size, off_t at), (file, to, size, at))
STRIKE(ssize_t, pread64, (int file, void *to, size_t size, off64_t at),
       (file, to, size, at))
STRIKE(ssize_t, write, (int file, const void *from, size_t size), (file, from, size))
STRIKE(ssize_t, pwrite, (int file, const void *from, size_t size, off_t at),
       (file, from, size, at))
STRIKE(ssize_t, pwrite64, (int file, const void *from, size_t size, off64_t at),
       (file, from, size, at))
STRIKE(int, ftruncate, (int file, off_t size), (file, size))
STRIKE(int, ftruncate64, (int file, off64_t size), (file, size))
STRIKE(int, fchmod, (int file, mode_t mode), (file, mode))
STRIKE(int, unlink, (const char *path), (path))
STRIKE(int, link, (const char *from, const char *to), (from, to))
STRIKE(int, rename, (const char *from, const char *to), (from, to))
STRIKE(int, renameat2,
       (int folder, const char *from, int other_folder, const char *to, unsigned flags),
       (folder, from, other_folder, to, flags))
STRIKE(int, mkostemp, (char *path, int flags), (path, flags))
STRIKE(int, mkostemp64, (char *path, int flags), (path, flags))

/* A process that is killed takes nothing out of the system's cache: so these need not wait. */
int fsync(int file);
int fsync(int file)
{
    (void)file;
    count("fsync");
    return 0;
}

int fdatasync(int file);
int fdatasync(int file)
{
    (void)file;
    count("fdatasync");
    return 0;
}

/* The mode is there only with some flags; who does not read it does not mind it. */
#define STRIKE_OPEN(name)                                                                  \
    int name(const char *path, int flags, ...);                                            \
    int name(const char *path, int flags, ...)                                             \
    {                                                                                      \
        int (*other)(const char *, int, ...);                                              \
        mode_t mode = 0;                                                                   \
        va_list rest;                                                                      \
        *(void **)&other = real(#name);                                                    \
        if ((flags & O_CREAT) != 0) {                                                      \
            va_start(rest, flags);                                                         \
            mode = va_arg(rest, mode_t);                                                   \
            va_end(rest);                                                                  \
        }                                                                                  \
        count(#name);                                                                      \
        return other(path, flags, mode);                                                   \
    }

STRIKE_OPEN(open)
STRIKE_OPEN(open64)
