/* SPDX-License-Identifier: MIT */
/*
 * lido-bench tune: what lido_process_tune() brings.
 *
 * It holds for a whole process and cannot be taken back, so two processes measure, one with it
 * and one without, each with a pool and a file of its own.  They are forked before this one
 * uses SQLite, and each has as many threads as are ever measured.  A thread here that is to
 * work hands its order to the thread of its number there, and waits for the answer:
 *
 *     thread 0 --iterations--> socket 0 --> thread 0 with a lease of its own
 *     thread 1 --iterations--> socket 1 --> thread 1 ...
 *
 * An order takes some microseconds to arrive, of the milliseconds that it lasts.  Processor
 * times are those of who waits, and say nothing.
 *
 * Threads: each socket has one thread at each end.
 */
#include "command.h"
#include "results.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <lido/lido.h>

#define MOST_THREADS 4
#define ROWS         1000

enum { PLAIN, TUNED, N_SUBJECTS };

static const struct ratio ratios[] = {
    { .name = "plain_to_tuned", .over = PLAIN, .under = TUNED },
    { .name = "plain_to_tuned_2_threads", .over = PLAIN, .under = TUNED, .level = 1 },
    { .name = "plain_to_tuned_4_threads", .over = PLAIN, .under = TUNED, .level = 2 },
};

/* What a socket brings back for an order, which is the number of iterations. */
struct answer {
    int rc;
    struct lido_error err;
};

/* --- the process that measures ---------------------------------------------------------- */

struct server {
    lido_pool *pool;
    int socket;
    struct answer start; /* how the start of the process went */
};

static int fail_sqlite(sqlite3 *db, struct lido_error *err)
{
    return lido_fail(err, sqlite3_extended_errcode(db), "%s", sqlite3_errmsg(db));
}

/* Prepares a statement for each row, as a program without a cache does. */
static int work_prepared(sqlite3 *db, uint64_t iterations, struct lido_error *err)
{
    static const char sql[] = "SELECT value FROM item WHERE id = ?1";

    for (; iterations > 0; iterations--) {
        sqlite3_stmt *statement = NULL;
        int64_t value = 0;
        int rc = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);

        if (rc == SQLITE_OK)
            rc = sqlite3_bind_int64(statement, 1, (int64_t)(iterations % ROWS) + 1);
        if (rc == SQLITE_OK)
            rc = sqlite3_step(statement);
        if (rc == SQLITE_ROW)
            value = sqlite3_column_int64(statement, 0);
        keep(&value);
        sqlite3_finalize(statement);
        if (rc != SQLITE_ROW)
            return fail_sqlite(db, err);
    }
    return LIDO_OK;
}

/* A thread of it: until its socket is closed.  All is in one transaction, so that the locks
   of the file are not measured. */
static void *serve(void *arg)
{
    struct server *self = arg;
    struct answer answer = self->start;
    struct lido_conn conn = LIDO_CONN_INIT;
    uint64_t iterations;

    if (answer.rc == LIDO_OK)
        answer.rc = lido_pool_checkout(self->pool, &conn, NULL, &answer.err);
    if (answer.rc == LIDO_OK)
        answer.rc = lido_txn_begin(&conn, LIDO_DEFERRED, &answer.err);
    while (recv(self->socket, &iterations, sizeof iterations, 0) == sizeof iterations) {
        if (answer.rc == LIDO_OK)
            answer.rc = work_prepared(lido_conn_sqlite(&conn), iterations, &answer.err);
        if (send(self->socket, &answer, sizeof answer, MSG_NOSIGNAL) < 0)
            break;
    }
    lido_conn_checkin(&conn, NULL, NULL);
    return NULL;
}

static int start(lido_pool **pool, const char *url, bool is_tuned, struct lido_error *err)
{
    static const char fill[] =
        "CREATE TABLE item (id INTEGER PRIMARY KEY, value);"
        "WITH RECURSIVE row(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM row LIMIT 1000) "
        "INSERT INTO item SELECT id, id FROM row";
    int rc = is_tuned ? lido_process_tune(err) : LIDO_OK;

    if (rc == LIDO_OK)
        rc = lido_pool_open(pool, url, NULL, err);
    return rc == LIDO_OK ? lido_pool_exec(*pool, fill, err) : rc;
}

_Noreturn static void be_process(const char *url, bool is_tuned,
                                 const int sockets[MOST_THREADS])
{
    struct server servers[MOST_THREADS];
    pthread_t threads[MOST_THREADS];
    struct answer started = { LIDO_OK, LIDO_ERROR_INIT };
    lido_pool *pool = NULL;

    started.rc = start(&pool, url, is_tuned, &started.err);
    for (unsigned i = 0; i < MOST_THREADS; i++) {
        servers[i] = (struct server){ pool, sockets[i], started };
        if (pthread_create(&threads[i], NULL, serve, &servers[i]) != 0)
            _exit(EXIT_FAILED);
    }
    for (unsigned i = 0; i < MOST_THREADS; i++)
        pthread_join(threads[i], NULL);
    lido_pool_free(pool);
    _exit(EXIT_OK);
}

/* --- the process that asks -------------------------------------------------------------- */

struct process {
    pid_t pid;
    unsigned n_sockets;
    int sockets[MOST_THREADS];
};

static int work(void *ctx, unsigned thread, uint64_t iterations, struct lido_error *err)
{
    const struct process *process = ctx;
    struct answer answer;
    int socket = process->sockets[thread];

    if (send(socket, &iterations, sizeof iterations, MSG_NOSIGNAL) < 0 ||
        recv(socket, &answer, sizeof answer, 0) != sizeof answer)
        return lido_fail(err, SQLITE_ERROR, "the process that measures is gone");
    if (answer.rc != LIDO_OK)
        *err = answer.err;
    return answer.rc;
}

static void close_process(void *ctx)
{
    struct process *process = ctx;

    for (unsigned i = 0; i < process->n_sockets; i++)
        close(process->sockets[i]);
    if (process->pid > 0)
        waitpid(process->pid, NULL, 0);
    free(process);
}

static int fork_process(struct process *process, const char *url, bool is_tuned,
                        const struct results *others, struct lido_error *err)
{
    int theirs[MOST_THREADS];

    while (process->n_sockets < MOST_THREADS) {
        int pair[2];

        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
            break;
        theirs[process->n_sockets] = pair[1];
        process->sockets[process->n_sockets++] = pair[0];
    }
    process->pid = process->n_sockets == MOST_THREADS ? fork() : -1;
    if (process->pid == 0) {
        /* A socket ends when nobody has its other end any more. */
        for (unsigned i = 0; i < MOST_THREADS; i++) {
            close(process->sockets[i]);
            for (unsigned j = 0; j < others->n_subjects; j++)
                close(((struct process *)others->subjects[j].ctx)->sockets[i]);
        }
        be_process(url, is_tuned, theirs);
    }
    if (process->pid < 0)
        lido_fail(err, SQLITE_ERROR, "no process could be started: %s", strerror(errno));
    for (unsigned i = 0; i < process->n_sockets; i++)
        close(theirs[i]);
    return process->pid < 0 ? SQLITE_ERROR : LIDO_OK;
}

static int open_subjects(struct results *out, const struct scratch *scratch,
                         struct lido_error *err)
{
    static const char *const names[N_SUBJECTS] = { "prepared", "prepared/tuned" };
    char path[3 * SCRATCH_PATH], url[3 * SCRATCH_PATH + 100];
    int rc = LIDO_OK;

    for (unsigned i = 0; rc == LIDO_OK && i < N_SUBJECTS; i++) {
        struct process *process = calloc(1, sizeof *process);

        if (process == NULL)
            return lido_fail(err, SQLITE_NOMEM, "out of memory");
        rc = scratch_url(scratch, i == PLAIN ? "plain.db" : "tuned.db", path, err);
        snprintf(url, sizeof url,
                 "sqlite:///%s?pool=queue&pool_size=%d&journal_mode=wal&synchronous=off",
                 path, MOST_THREADS);
        if (rc == LIDO_OK)
            rc = fork_process(process, url, i == TUNED, out, err);
        out->subjects[i] = (struct subject){
            .name = names[i], .ctx = process, .work = work, .close = close_process
        };
        out->n_subjects = i + 1;
    }
    return rc;
}

int command_tune(int argc, char **argv)
{
    static const unsigned threads[] = { 1, 2, MOST_THREADS };
    static const struct benchmark tune = {
        .name = "tune",
        .schema = "lido.bench.tune/1",
        .help =
            "Measures a SELECT of one row that is prepared each time, in a process that\n"
            "called lido_process_tune() and in one that did not.\n",
        .ratios_title = "ratios",
        .threads = threads,
        .n_levels = 3,
        .ratios = ratios,
        .n_ratios = sizeof ratios / sizeof ratios[0],
        .open = open_subjects,
    };

    return benchmark_command(&tune, argc, argv);
}
