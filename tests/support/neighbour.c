/* SPDX-License-Identifier: MIT */
/*
 * Two pipes: one letter goes there, one code comes back.  One more letter ends it, or else the
 * end of the test does; so with a child of its own, which reads from the same.
 *
 * Threads: one.
 */
#include "tests/support/neighbour.h"
#include "txn/gate_file.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define TRY   't'
#define WAIT  'w'
#define LEAVE 'l'
#define BREED 'b'
#define END   'e'

static void live_until_the_end(int from)
{
    char letter;

    _exit(read(from, &letter, 1) == 1 ? 0 : 1);
}

static int do_as_told(char letter, struct lido__gate_file *file, int from)
{
    const struct lido__gate_wait wait = { .deadline_ns = LIDO_NO_DEADLINE };

    switch (letter) {
    case TRY: return lido__gate_file_try(file, NULL) ? LIDO_OK : SQLITE_BUSY;
    case WAIT: return lido__gate_file_lock(file, &wait);
    case LEAVE: lido__gate_file_unlock(file); return LIDO_OK;
    default:
        if (fork() == 0)
            live_until_the_end(from);
        return LIDO_OK;
    }
}

static void obey(const char *database, int from, int to)
{
    lido__word slot = 0;
    struct stat status;
    char letter;
    int rc;

    while (read(from, &letter, 1) == 1 && letter != END) {
        rc = stat(database, &status) == 0
                 ? lido__gate_file_open(&slot, (uint64_t)status.st_ino, database, 0, NULL)
                 : SQLITE_CANTOPEN;
        if (rc == LIDO_OK)
            rc = do_as_told(letter, (struct lido__gate_file *)(uintptr_t)slot, from);
        if (write(to, &rc, sizeof rc) != sizeof rc)
            break;
    }
    lido__gate_file_close((struct lido__gate_file *)(uintptr_t)slot);
}

void neighbour_start(struct neighbour *neighbour, const char *database)
{
    int there[2], back[2];

    cr_assert_eq(pipe(there), 0);
    cr_assert_eq(pipe(back), 0);
    neighbour->pid = fork();
    cr_assert_geq(neighbour->pid, 0);
    if (neighbour->pid == 0) {
        close(there[1]);
        close(back[0]);
        obey(database, there[0], back[1]);
        _exit(0);
    }
    close(there[0]);
    close(back[1]);
    neighbour->to = there[1];
    neighbour->from = back[0];
    neighbour->has_child = false;
}

static void tell(const struct neighbour *neighbour, char letter)
{
    cr_assert_eq(write(neighbour->to, &letter, 1), 1);
}

int neighbour_await(struct neighbour *neighbour)
{
    int rc;

    cr_assert_eq(read(neighbour->from, &rc, sizeof rc), (ssize_t)sizeof rc);
    return rc;
}

int neighbour_try(struct neighbour *neighbour)
{
    tell(neighbour, TRY);
    return neighbour_await(neighbour);
}

int neighbour_leave(struct neighbour *neighbour)
{
    tell(neighbour, LEAVE);
    return neighbour_await(neighbour);
}

void neighbour_ask(struct neighbour *neighbour)
{
    tell(neighbour, WAIT);
}

void neighbour_breed(struct neighbour *neighbour)
{
    tell(neighbour, BREED);
    cr_assert_eq(neighbour_await(neighbour), LIDO_OK);
    neighbour->has_child = true;
}

void neighbour_stop(const struct neighbour *neighbour)
{
    int status;

    cr_assert_eq(kill(neighbour->pid, SIGSTOP), 0);
    cr_assert_eq(waitpid(neighbour->pid, &status, WUNTRACED), neighbour->pid);
    cr_assert(WIFSTOPPED(status));
}

void neighbour_go_on(const struct neighbour *neighbour)
{
    cr_assert_eq(kill(neighbour->pid, SIGCONT), 0);
}

void neighbour_kill(struct neighbour *neighbour)
{
    int status;

    cr_assert_eq(kill(neighbour->pid, SIGKILL), 0);
    cr_assert_eq(waitpid(neighbour->pid, &status, 0), neighbour->pid);
    neighbour->pid = 0;
}

void neighbour_end(struct neighbour *neighbour)
{
    int status;

    if (neighbour->pid != 0 || neighbour->has_child)
        tell(neighbour, END);
    close(neighbour->to);
    close(neighbour->from);
    if (neighbour->pid != 0)
        cr_assert_eq(waitpid(neighbour->pid, &status, 0), neighbour->pid);
}
