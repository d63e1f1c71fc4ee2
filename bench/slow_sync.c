/* SPDX-License-Identifier: MIT */
/*
 * A slower disk, for this process alone.
 *
 * In memory a sync costs nothing, and on a shared machine's disk it costs anything.  So the
 * program has an fsync() and an fdatasync() of its own, which call the system's and then
 * sleep.  The loader finds a program's functions before those of the C library, as it finds
 * those of a file in LD_PRELOAD: so SQLite calls these.  Until a process asks for a delay
 * they add none.
 *
 * Threads: any.
 */
#include "slow_sync.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define SEEN_BY_SQLITE __attribute__((visibility("default")))

static _Atomic int64_t delay;

void slow_sync_set(int64_t delay_ns)
{
    atomic_store(&delay, delay_ns);
}

/* The C library's own, called. */
static int sync_by(const char *name, int fd)
{
    void *found = dlsym(RTLD_NEXT, name);
    int (*function)(int);
    int result, error;
    int64_t ns = atomic_load(&delay);
    struct timespec left = { ns / 1000000000, ns % 1000000000 };

    memcpy(&function, &found, sizeof function); /* ISO C has no cast for it */
    result = function(fd);
    error = errno;
    while (ns > 0 && clock_nanosleep(CLOCK_MONOTONIC, 0, &left, &left) == EINTR)
        continue;
    errno = error;
    return result;
}

SEEN_BY_SQLITE int fsync(int fd)
{
    return sync_by("fsync", fd);
}

SEEN_BY_SQLITE int fdatasync(int fd)
{
    return sync_by("fdatasync", fd);
}
