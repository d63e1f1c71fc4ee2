/* SPDX-License-Identifier: MIT */
/*
 * Two pipes: one byte-counted text of SQL goes there, one code comes back.  It ends with the
 * pipe, and so with the test.
 *
 * Threads: one.
 */
#include "other_process.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define LONGEST 500

static pid_t other; /* 0: none */
static int to_other, from_other;

static bool read_all(int from, void *bytes, size_t size)
{
    return read(from, bytes, size) == (ssize_t)size; /* less than a pipe takes at once */
}

static void obey(const char *path, int from, int to)
{
    char sql[LONGEST];
    sqlite3 *db = NULL;
    size_t size;

    while (read_all(from, &size, sizeof size) && read_all(from, sql, size)) {
        int rc = db == NULL ? sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL)
                            : SQLITE_OK;

        if (rc == SQLITE_OK)
            rc = sqlite3_exec(db, sql, NULL, NULL, NULL) & 0xff;
        if (write(to, &rc, sizeof rc) != sizeof rc)
            break;
    }
    sqlite3_close(db);
}

void other_start(const char *path)
{
    int there[2], back[2];

    cr_assert_eq(other, 0);
    cr_assert_eq(pipe(there), 0);
    cr_assert_eq(pipe(back), 0);
    other = fork();
    cr_assert_geq(other, 0);
    if (other == 0) {
        close(there[1]);
        close(back[0]);
        obey(path, there[0], back[1]);
        _exit(0);
    }
    close(there[0]);
    close(back[1]);
    to_other = there[1];
    from_other = back[0];
}

pid_t other_pid(void)
{
    return other;
}

int other_run(const char *sql)
{
    size_t size = strlen(sql) + 1;
    int rc;

    cr_assert_leq(size, LONGEST);
    cr_assert_eq(write(to_other, &size, sizeof size), (ssize_t)sizeof size);
    cr_assert_eq(write(to_other, sql, size), (ssize_t)size);
    cr_assert(read_all(from_other, &rc, sizeof rc), "the other process is gone");
    return rc;
}

static int wait_for_it(void)
{
    int status;

    close(to_other);
    close(from_other);
    cr_assert_eq(waitpid(other, &status, 0), other);
    other = 0;
    return status;
}

void other_kill(void)
{
    int status;

    cr_assert_eq(kill(other, SIGKILL), 0);
    status = wait_for_it();
    cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

void other_end(void)
{
    cr_assert_eq(wait_for_it(), 0);
}
