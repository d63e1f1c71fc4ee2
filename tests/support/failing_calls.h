/* SPDX-License-Identifier: MIT */
#ifndef LIDO_TESTS_FAILING_CALLS_H
#define LIDO_TESTS_FAILING_CALLS_H

/*
 * The calls that lido itself makes of the system, as points: the n-th fails.
 *
 * A test that includes this is linked with --wrap for each of them (failing_calls in
 * tests/meson.build), so that SQLite's own calls, which are in another library, are none.
 * What lets something go (close, unlink) is no point: nobody could do anything about it.
 *
 * A child of fork() has a count of its own, so that what it meets can be chosen apart.
 *
 * Threads: one in each process.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* What is told over the fork. */
struct failing_calls {
    bool has_fired;
    char name[20];
};
static struct failing_calls *failing_calls;
static int failing_left, failing_in_child; /* points up to the one meant; 0: none */
static int failing_errno;
static bool has_no_rename; /* as on a file system that knows no renameat2() */

static inline void failing_calls_install(void)
{
    failing_calls = mmap(NULL, sizeof *failing_calls, PROT_READ | PROT_WRITE,
                         MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (failing_calls == MAP_FAILED)
        abort();
}

/* The nth call from now on answers `number`, in this process or in a child of it. */
static inline void failing_calls_arm(int nth, bool in_child, int number)
{
    failing_left = in_child ? 0 : nth;
    failing_in_child = in_child ? nth : 0;
    failing_errno = number;
    if (nth > 0)
        *failing_calls = (struct failing_calls){ 0 };
}

static inline bool failing_meet(const char *name)
{
    if (failing_left == 0 || --failing_left > 0)
        return false;
    failing_calls->has_fired = true;
    snprintf(failing_calls->name, sizeof failing_calls->name, "%s", name);
    errno = failing_errno;
    return true;
}

#define FAILING(type, name, failed, parameters, arguments)                                 \
    type __real_##name parameters;                                                         \
    type __wrap_##name parameters;                                                         \
    type __wrap_##name parameters                                                          \
    {                                                                                      \
        return failing_errno != EINTR && failing_meet(#name) ? (failed)                    \
                                                             : __real_##name arguments;    \
    }
/* Where files are large by default it has another name. */
#define FAILING_LARGE(type, name, failed, parameters, arguments)                           \
    FAILING(type, name, failed, parameters, arguments)                                     \
    type __wrap_##name##64 parameters;                                                     \
    type __wrap_##name##64 parameters                                                      \
    {                                                                                      \
        return __wrap_##name arguments;                                                    \
    }
/* These wait, and so a signal may come: EINTR is for them alone. */
#define FAILING_WAIT(type, name, parameters, arguments)                                    \
    type __real_##name parameters;                                                         \
    type __wrap_##name parameters;                                                         \
    type __wrap_##name parameters                                                          \
    {                                                                                      \
        return failing_meet(#name) ? -1 : __real_##name arguments;                         \
    }

FAILING(int, fsync, -1, (int fd), (fd))
FAILING(int, rename, -1, (const char *from, const char *to), (from, to))
FAILING(int, link, -1, (const char *from, const char *to), (from, to))
FAILING(int, fchmod, -1, (int fd, mode_t mode), (fd, mode))
FAILING(int, fchown, -1, (int fd, uid_t user, gid_t group), (fd, user, group))
FAILING(int, pipe2, -1, (int ends[2], int flags), (ends, flags))
FAILING(int, dup2, -1, (int from, int to), (from, to))
FAILING(ssize_t, write, -1, (int fd, const void *bytes, size_t size), (fd, bytes, size))
FAILING(char *, realpath, NULL, (const char *path, char *out), (path, out))
FAILING(char *, mkdtemp, NULL, (char *path), (path))
FAILING(DIR *, opendir, NULL, (const char *path), (path))
FAILING_LARGE(int, mkostemp, -1, (char *path, int flags), (path, flags))
FAILING_LARGE(int, stat, -1, (const char *path, struct stat *out), (path, out))
FAILING_LARGE(int, lstat, -1, (const char *path, struct stat *out), (path, out))
FAILING_LARGE(int, fstat, -1, (int fd, struct stat *out), (fd, out))
FAILING_LARGE(ssize_t, pread, -1, (int fd, void *bytes, size_t size, off_t at),
              (fd, bytes, size, at))
FAILING_LARGE(struct dirent *, readdir, NULL, (DIR * files), (files))
FAILING_WAIT(ssize_t, read, (int fd, void *bytes, size_t size), (fd, bytes, size))
FAILING_WAIT(int, poll, (struct pollfd * fds, nfds_t count, int ms), (fds, count, ms))

int __real_renameat2(int from_folder, const char *from, int to_folder, const char *to,
                     unsigned flags);
int __wrap_renameat2(int from_folder, const char *from, int to_folder, const char *to,
                     unsigned flags);
int __wrap_renameat2(int from_folder, const char *from, int to_folder, const char *to,
                     unsigned flags)
{
    if (has_no_rename) {
        errno = EINVAL;
        return -1;
    }
    return failing_errno != EINTR && failing_meet("renameat2")
               ? -1
               : __real_renameat2(from_folder, from, to_folder, to, flags);
}

/* Who waits for a child in vain would never end: only a signal comes between. */
pid_t __real_waitpid(pid_t pid, int *status, int options);
pid_t __wrap_waitpid(pid_t pid, int *status, int options);
pid_t __wrap_waitpid(pid_t pid, int *status, int options)
{
    return failing_errno == EINTR && failing_meet("waitpid")
               ? -1
               : __real_waitpid(pid, status, options);
}

pid_t __real_fork(void);
pid_t __wrap_fork(void);
pid_t __wrap_fork(void)
{
    pid_t pid;

    if (failing_errno != EINTR && failing_meet("fork"))
        return -1;
    pid = __real_fork();
    if (pid == 0)
        failing_left = failing_in_child;
    return pid;
}

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...)
{
    va_list rest;
    mode_t mode;

    va_start(rest, flags);
    mode = (flags & O_CREAT) != 0 ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    return failing_errno != EINTR && failing_meet("open") ? -1
                                                          : __real_open(path, flags, mode);
}
int __wrap_open64(const char *path, int flags, ...)
{
    va_list rest;
    mode_t mode;

    va_start(rest, flags);
    mode = (flags & O_CREAT) != 0 ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    return __wrap_open(path, flags, mode);
}

#endif
