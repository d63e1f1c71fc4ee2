/* SPDX-License-Identifier: MIT */
/*
 * Workers: transactions on leases of a pool, tried again when SQLite was busy.
 *
 *     checkout --> begin --> reads and writes --> commit -----> recorded --> check-in
 *        ^           |             | busy           | still open  ^
 *        |           v             v                v             |
 *        |          busy        rollback        a few times, then rollback
 *        +-- again, from the beginning, up to a bound
 *
 * Some are rolled back on purpose, and some are left open for the check-in to roll back.
 * How a commit ended is what lido says in *outcome, and nothing else: that is what the
 * checker holds lido to.
 *
 * Threads: each has its own struct worker; pool and history are shared.
 */
#include "tests/histories/worker.h"

#include "tests/histories/workload.h"
#include <lido/lido.h>
#include <pthread.h>
#include <stdio.h>

#define WORKERS      4
#define TRIES        12 /* of one transaction, and of one checkout or commit times 10 */
#define TRIES_GENTLY 4  /* in the mode of the history; after that IMMEDIATE */

enum fate {
    FATE_COMMIT,
    FATE_ROLLBACK,
    FATE_LEAVE /* to the check-in */
};

struct worker {
    struct history *history;
    lido_pool *pool;
    int process, thread;
    uint64_t random;
    struct lido_conn conn;
    bool has_lease;
};

static void want_ok(int rc, const char *what, const struct lido_error *err)
{
    if (rc != LIDO_OK)
        history_die("%s: %s: %s", what, lido_status_name(rc), err->text);
}

/* A new connection has to read the file, which may be locked. */
static void check_out(struct worker *worker)
{
    struct lido_error err = LIDO_ERROR_INIT;
    int rc = SQLITE_BUSY;

    if (worker->has_lease)
        return;
    for (int i = 0; workload_is_busy(rc) && i < 100 * TRIES; i++) {
        rc = lido_pool_checkout(worker->pool, &worker->conn, NULL, &err);
        if (rc != LIDO_OK)
            workload_pause(&worker->random);
    }
    want_ok(rc, "checkout", &err);
    worker->has_lease = true;
}

static void check_in(struct worker *worker)
{
    struct lido_error err = LIDO_ERROR_INIT;

    want_ok(lido_conn_checkin(&worker->conn, NULL, &err), "check-in", &err);
    worker->has_lease = false;
}

static int roll_back(struct worker *worker)
{
    struct lido_error err = LIDO_ERROR_INIT;

    want_ok(lido_txn_rollback(&worker->conn, &err), "rollback", &err);
    return LIDO_OUTCOME_ROLLED_BACK;
}

static int commit(struct worker *worker, struct txn *txn)
{
    int outcome = LIDO_OUTCOME_OPEN;

    for (int i = 0; outcome == LIDO_OUTCOME_OPEN && i < TRIES; i++) {
        int rc = lido_txn_commit(&worker->conn, &outcome, NULL);

        txn->why = lido_status_name(rc);
        if (outcome == LIDO_OUTCOME_OPEN && !workload_is_busy(rc))
            history_die("commit: %s, and the transaction is open", lido_status_name(rc));
        if (outcome == LIDO_OUTCOME_OPEN)
            workload_pause(&worker->random);
    }
    return outcome == LIDO_OUTCOME_OPEN ? roll_back(worker) : outcome;
}

static int end(struct worker *worker, struct txn *txn, enum fate fate)
{
    if (fate == FATE_COMMIT)
        return commit(worker, txn);
    txn->why = fate == FATE_ROLLBACK ? "on purpose" : "left to the check-in";
    if (fate == FATE_ROLLBACK)
        return roll_back(worker);
    check_in(worker);
    return LIDO_OUTCOME_ROLLED_BACK;
}

static struct txn *claim(const struct worker *worker, int mode)
{
    struct txn *txn = history_claim(worker->history);

    txn->process = worker->process;
    txn->thread = worker->thread;
    txn->mode = mode;
    return txn;
}

/* True if it was ended as it should; false if it is to be tried again. */
static bool attempt(struct worker *worker, uint64_t plan, int mode, enum fate fate,
                    int (*run)(struct attempt *), bool is_final)
{
    struct lido_error err = LIDO_ERROR_INIT;
    struct attempt now = { .history = worker->history, .random = plan };
    int rc;

    check_out(worker);
    now.txn = claim(worker, mode);
    now.txn->is_final = is_final;
    now.txn->start = history_tick(worker->history);
    now.txn->outcome = LIDO_OUTCOME_UNKNOWN;
    now.db = lido_conn_sqlite(&worker->conn);
    rc = lido_txn_begin(&worker->conn, mode, &err);
    if (!workload_is_busy(rc))
        want_ok(rc, "begin", &err);
    if (rc == LIDO_OK && (rc = run(&now)) != SQLITE_OK)
        roll_back(worker);
    now.txn->why = lido_status_name(rc);
    now.txn->outcome =
        rc == LIDO_OK ? end(worker, now.txn, fate) : LIDO_OUTCOME_ROLLED_BACK;
    now.txn->end = history_tick(worker->history);
    return fate != FATE_COMMIT ? rc == LIDO_OK
                               : now.txn->outcome != LIDO_OUTCOME_ROLLED_BACK;
}

/* One transaction: the same plan at each attempt, as a program has it that tries again. */
static void transact(struct worker *worker)
{
    int mode = worker->history->settings.mode;
    uint64_t plan = worker->random;
    int chance = settings_random(&worker->random, 10);
    enum fate fate = chance == 0 ? FATE_ROLLBACK : chance == 1 ? FATE_LEAVE : FATE_COMMIT;

    if (mode == MODE_MIXED)
        mode = LIDO_DEFERRED + settings_random(&worker->random, 3);
    for (int i = 0; i < TRIES; i++) {
        if (i == TRIES_GENTLY && mode == LIDO_DEFERRED)
            mode = LIDO_IMMEDIATE;
        if (attempt(worker, plan, mode, fate, workload_run, false))
            return;
        workload_pause(&worker->random);
    }
}

static void *work(void *worker_)
{
    struct worker *worker = worker_;
    const struct settings *settings = &worker->history->settings;

    for (int i = 0; i < settings->rounds; i++) {
        transact(worker);
        if (worker->has_lease && i % settings->keep == settings->keep - 1)
            check_in(worker);
        workload_pause(&worker->random);
    }
    if (worker->has_lease)
        check_in(worker);
    return NULL;
}

static lido_pool *open_pool(const struct settings *settings, const char *path)
{
    struct lido_pool_options options = LIDO_POOL_OPTIONS_INIT;
    struct lido_error err = LIDO_ERROR_INIT;
    bool is_queue = settings->kind[0] == 'q';
    lido_pool *pool;
    char url[400];

    snprintf(url, sizeof url, "sqlite:///%s?pool=%s&journal_mode=%s&synchronous=off", path,
             settings->kind, settings->journal);
    options.timeout_ms = settings->timeout_ms;
    if (is_queue) {
        options.pool_size = settings->pool_size;
        options.max_overflow = 0;
    }
    want_ok(lido_pool_open(&pool, url, &options, &err), url, &err);
    return pool;
}

static void close_pool(lido_pool *pool)
{
    struct lido_error err = LIDO_ERROR_INIT;

    want_ok(lido_pool_close(pool, 0, &err), "close", &err);
    lido_pool_free(pool);
}

static struct worker make(struct history *history, lido_pool *pool, int process, int thread)
{
    uint64_t random = history->settings.seed ^ (uint64_t)(1 + process * WORKERS + thread)
                                                   << 32;

    return (struct worker){ .history = history,
                            .pool = pool,
                            .process = process,
                            .thread = thread,
                            .random = random };
}

void worker_set_up(struct history *history, const char *path, int process)
{
    lido_pool *pool = open_pool(&history->settings, path);
    struct worker worker = make(history, pool, process, 0);

    check_out(&worker);
    workload_set_up(&history->settings, lido_conn_sqlite(&worker.conn));
    check_in(&worker);
    close_pool(pool);
}

void worker_run(struct history *history, const char *path, int process)
{
    lido_pool *pool = open_pool(&history->settings, path);
    int threads = history->settings.threads;
    struct worker workers[WORKERS];
    pthread_t ids[WORKERS];

    for (int i = 0; i < threads; i++) {
        workers[i] = make(history, pool, process, i);
        if (pthread_create(&ids[i], NULL, work, &workers[i]) != 0)
            history_die("no thread");
    }
    for (int i = 0; i < threads; i++)
        pthread_join(ids[i], NULL);
    close_pool(pool);
}

void worker_finish(struct history *history, const char *path, int process)
{
    lido_pool *pool = open_pool(&history->settings, path);
    struct worker worker = make(history, pool, process, 0);

    if (!attempt(&worker, 0, LIDO_DEFERRED, FATE_COMMIT, workload_read_all, true))
        history_die("the last transaction was refused");
    check_in(&worker);
    close_pool(pool);
}
