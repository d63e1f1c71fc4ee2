/* SPDX-License-Identifier: MIT */
/*
 * Records one history of concurrent transactions on one database file, as lines of JSON.
 *
 *     record SEED FOLDER
 *
 * All that touches SQLite runs in children, forked when no pool is open: one that makes the
 * database, one or two that work on it, and one that reads what is there in the end.  What
 * the recorder prints, check.py judges.
 *
 * Threads: one in this process; each child has its own.
 */
#include "tests/histories/history.h"
#include "tests/histories/worker.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define LONGEST_S                                                                          \
    100 /* after which a process is taken for hung: a whole history has
                         milliseconds */

typedef void child_fn(struct history *history, const char *path, int process);

static pid_t start(child_fn *run, struct history *history, const char *path, int process)
{
    pid_t child = fork();

    if (child < 0)
        history_die("no process");
    if (child > 0)
        return child;
    alarm(LONGEST_S);
    run(history, path, process);
    exit(0);
}

/* What became of a child: 0, or why there is no history. */
static int wait_for(pid_t child)
{
    int status;

    if (waitpid(child, &status, 0) != child)
        history_die("a process is lost");
    if (WIFSIGNALED(status)) {
        fprintf(stderr, "record: a process was ended by signal %d\n", WTERMSIG(status));
        return 2;
    }
    return WEXITSTATUS(status);
}

static int record(struct history *history, const char *path)
{
    int processes = history->settings.processes, failed;
    pid_t children[2];

    failed = wait_for(start(worker_set_up, history, path, processes));
    if (failed)
        return failed;
    for (int i = 0; i < processes; i++)
        children[i] = start(worker_run, history, path, i);
    for (int i = 0; i < processes; i++)
        failed |= wait_for(children[i]);
    return failed ? failed : wait_for(start(worker_finish, history, path, processes));
}

static void remove_files(const char *path)
{
    static const char *const endings[] = { "", "-journal", "-wal", "-shm" };
    char name[300];

    for (int i = 0; i < 4; i++) {
        snprintf(name, sizeof name, "%s%s", path, endings[i]);
        unlink(name);
    }
}

int main(int argc, char **argv)
{
    struct settings settings;
    struct history *history;
    char path[256];
    int failed;

    if (argc != 3) {
        fputs("usage: record SEED FOLDER\n", stderr);
        return 2;
    }
    settings = settings_of_seed(strtoull(argv[1], NULL, 10));
    if (snprintf(path, sizeof path, "%s/history-%s.db", argv[2], argv[1]) >=
        (int)sizeof path)
        history_die("the folder's name is too long");
    history = history_new(&settings);
    remove_files(path);
    failed = record(history, path);
    history_print(history);
    remove_files(path);
    return failed;
}
