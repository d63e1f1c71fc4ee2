/* SPDX-License-Identifier: MIT */
#ifndef LIDO_TESTS_LINE_H
#define LIDO_TESTS_LINE_H

/*
 * A database and the gate between processes in front of it, for one test.  This process is one
 * on the fake clock, whose turns are a millisecond long.
 *
 * Threads: one, and those it makes here.
 */
#include "tests/support/fake_clock.h"
#include "txn/gate_file.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[40], database[60], sidecar[60];
static uint64_t inode;
static lido__word slot; /* of the gate */
static struct lido_error err;

static inline void make_file(const char *path, mode_t mode)
{
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL, mode);

    cr_assert_geq(fd, 0);
    cr_assert_eq(fchmod(fd, mode), 0);
    close(fd);
}

static inline void line_set_up(void)
{
    struct stat status;

    strcpy(folder, "/tmp/lido-gate-file-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
    snprintf(database, sizeof database, "%s/a.db", folder);
    snprintf(sidecar, sizeof sidecar, "%s/a.db-gate", folder);
    make_file(database, 0640);
    cr_assert_eq(stat(database, &status), 0);
    inode = (uint64_t)status.st_ino;
    slot = 0;
}

static inline struct lido__gate_file *file_in(const lido__word *place)
{
    return (struct lido__gate_file *)(uintptr_t)lido__read(place);
}

static inline void line_clear(void)
{
    char command[60];

    lido__gate_file_close(file_in(&slot));
    snprintf(command, sizeof command, "rm -rf %s", folder);
    cr_assert_eq(system(command), 0);
}

static inline int open_file(void)
{
    return lido__gate_file_open(&slot, inode, database, LIDO_NS_PER_MS, &err);
}

static inline struct lido__gate_file *opened(void)
{
    cr_assert_eq(open_file(), LIDO_OK, "%s", err.text);
    return file_in(&slot);
}

static inline bool try(void)
{
    return lido__gate_file_try(file_in(&slot), fake_clock());
}

static inline void leave(void)
{
    lido__gate_file_unlock(file_in(&slot));
}

/* One that waits here, on a thread of its own. */
struct waiter {
    pthread_t thread;
    struct lido__gate_wait wait;
    int rc;
    lido__word is_done;
};

static inline void *wait_for_it(void *waiter_)
{
    struct waiter *waiter = waiter_;

    waiter->rc = lido__gate_file_lock(file_in(&slot), &waiter->wait);
    lido__publish(&waiter->is_done, 1);
    return NULL;
}

static inline void send(struct waiter *waiter, int64_t timeout_ms)
{
    *waiter = (struct waiter){ .wait = { .who.clock = fake_clock() } };
    waiter->wait.deadline_ns = lido__deadline_ns(fake_clock(), timeout_ms);
    cr_assert_eq(pthread_create(&waiter->thread, NULL, wait_for_it, waiter), 0);
}

static inline int await(struct waiter *waiter)
{
    pthread_join(waiter->thread, NULL);
    return waiter->rc;
}

#endif
