/* SPDX-License-Identifier: MIT */
/*
 * Work: threads that share a pool, read, and move money.
 *
 *     checkout --> read a few rows --> in one of four: begin, move, commit --> check in
 *
 * Two hooks do what no thread has to remember: connect turns foreign keys on, begin makes
 * every transaction IMMEDIATE though each thread asks for a DEFERRED one.  A transaction
 * that SQLite gives up with SQLITE_BUSY is a retry, as is a checkout that an assertion pool
 * refused; any other failure stops all threads.
 *
 * Threads: each has a `struct demo_worker` of its own, which the main thread reads after it
 * has joined it.  What they share stands under run->lock.
 */
#include "cli/demo_work.h"

#include "cli/interrupt.h"

#include <sched.h>

enum { AMOUNT_MOST = 100, ROWS_MOST = 4, ONE_IN = 4 };

static int on_connect(void *ctx, const struct lido_event *event, struct lido_error *err)
{
    sqlite3_stmt *stmt = NULL;
    int is_on = 0;

    (void)ctx;
    /* The PRAGMA reports no error where it does nothing, so it is read back. */
    if (sqlite3_exec(event->sqlite, "PRAGMA foreign_keys=ON", NULL, NULL, NULL) ==
            SQLITE_OK &&
        sqlite3_prepare_v2(event->sqlite, "PRAGMA foreign_keys", -1, &stmt, NULL) ==
            SQLITE_OK &&
        sqlite3_step(stmt) == SQLITE_ROW)
        is_on = sqlite3_column_int(stmt, 0);
    sqlite3_finalize(stmt);
    return is_on ? LIDO_OK
                 : lido_fail(err, SQLITE_ERROR, "foreign keys could not be turned on");
}

static int on_begin(void *ctx, const struct lido_event *event, struct lido_error *err)
{
    (void)ctx;
    (void)err;
    *event->begin_mode = LIDO_IMMEDIATE;
    return LIDO_OK;
}

const struct lido_events demo_events = {
    .size = sizeof demo_events,
    .connect = on_connect,
    .begin = on_begin,
};

/* The next of a stream of random numbers: splitmix64. */
static uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9E3779B97F4A7C15);

    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

static int64_t random_between(uint64_t *state, int64_t low, int64_t high)
{
    uint64_t span = (uint64_t)high - (uint64_t)low + 1; /* 0: all 2^64 */
    uint64_t number = next_random(state);

    return (int64_t)((uint64_t)low + (span == 0 ? number : number % span));
}

/* What SQLite said, in err. */
static int tell(sqlite3 *db, struct lido_error *err)
{
    return lido_fail(err, sqlite3_extended_errcode(db), "%s", sqlite3_errmsg(db));
}

static int read_rows(struct demo_worker *worker, sqlite3 *db, struct lido_error *err)
{
    const struct demo_copy *copy = worker->run->copy;
    int64_t rows = copy->n_tables == 0 ? 0 : random_between(&worker->random, 1, ROWS_MOST);

    for (; rows > 0; rows--) {
        const struct demo_table *table =
            &copy->tables[random_between(&worker->random, 0, (int64_t)copy->n_tables - 1)];
        sqlite3_stmt *stmt = NULL;
        int rc = sqlite3_prepare_v2(db, table->read, -1, &stmt, NULL);

        if (rc == SQLITE_OK) {
            sqlite3_bind_int64(stmt, 1,
                               random_between(&worker->random, table->low, table->high));
            worker->rows += sqlite3_step(stmt) == SQLITE_ROW;
        }
        rc = sqlite3_finalize(stmt) != SQLITE_OK || rc != SQLITE_OK ? tell(db, err)
                                                                    : SQLITE_OK;
        /* A generated column may fail for one row and not for another. */
        if ((rc & 0xff) == SQLITE_ERROR)
            worker->unreadable++;
        else if (rc != SQLITE_OK)
            return rc;
    }
    return LIDO_OK;
}

struct demo_transfer demo_transfer_choose(struct demo_worker *worker)
{
    struct demo_transfer transfer;

    transfer.amount = random_between(&worker->random, 1, AMOUNT_MOST);
    transfer.source = random_between(&worker->random, 1, DEMO_ACCOUNTS);
    transfer.target = random_between(&worker->random, 1, DEMO_ACCOUNTS - 1);
    transfer.target += transfer.target >= transfer.source; /* any other account */
    return transfer;
}

int demo_transfer_make(const struct demo_run *run, const struct demo_transfer *transfer,
                       const struct lido_conn *conn, struct lido_error *err)
{
    struct lido_value values[3] = { lido_integer(transfer->amount),
                                    lido_integer(transfer->source) };
    int rc = lido_conn_query(conn, run->take, values, 2, NULL, NULL, err);

    if (rc == LIDO_OK && lido_conn_changes(conn) != 1)
        return LIDO_ROLLBACK;
    values[1] = lido_integer(transfer->target);
    if (rc == LIDO_OK)
        rc = lido_conn_query(conn, run->give, values, 2, NULL, NULL, err);
    values[0] = lido_integer(transfer->source);
    values[2] = lido_integer(transfer->amount);
    if (rc == LIDO_OK)
        rc = lido_conn_query(conn, run->note, values, 3, NULL, NULL, err);
    return rc;
}

/* Inside a run. */
static int move_money(void *ctx, const struct lido_conn *conn, struct lido_error *err)
{
    struct demo_worker *worker = ctx;
    struct demo_transfer transfer = demo_transfer_choose(worker);

    if (lido_txn_state(conn) != LIDO_TXN_WRITE)
        worker->not_immediate++;
    return demo_transfer_make(worker->run, &transfer, conn, err);
}

static int transfer(struct demo_worker *worker, const struct lido_conn *conn, bool *is_done,
                    struct lido_error *err)
{
    struct lido_run_options options = LIDO_RUN_OPTIONS_INIT;
    int64_t began_ns = cli_now_ns();
    int outcome = LIDO_OUTCOME_UNKNOWN, runs = 0, rc;

    options.outcome = &outcome;
    options.runs_needed = &runs;
    rc = lido_conn_run(conn, LIDO_DEFERRED, move_money, worker, &options, err);
    worker->retries += runs > 1 ? runs - 1 : 0;
    if (rc != LIDO_OK)
        return rc;
    if (outcome == LIDO_OUTCOME_COMMITTED) {
        *is_done = true;
        worker->transfers++;
        histogram_add(&worker->txn, cli_now_ns() - began_ns);
    } else {
        worker->declined++;
    }
    return LIDO_OK;
}

bool demo_task_begin(struct demo_run *run, bool is_transfer)
{
    int64_t wanted = run->options->transfers;
    bool goes_on;

    pthread_mutex_lock(&run->lock);
    goes_on = !run->is_stopping && (wanted == 0 || run->transfers < wanted);
    if (goes_on && is_transfer)
        run->transfers++;
    pthread_mutex_unlock(&run->lock);
    return goes_on;
}

void demo_task_end(struct demo_run *run, bool is_undone, int rc,
                   const struct lido_error *err)
{
    pthread_mutex_lock(&run->lock);
    if (is_undone)
        run->transfers--;
    if (rc != LIDO_OK && (rc & 0xff) != SQLITE_BUSY) {
        run->is_stopping = true;
        if (run->failure.code == LIDO_OK)
            run->failure = *err;
        run->failure.code = run->failure.code == LIDO_OK ? rc : run->failure.code;
    }
    pthread_mutex_unlock(&run->lock);
}

void demo_task_last(struct demo_run *run)
{
    pthread_mutex_lock(&run->lock);
    run->running--;
    pthread_mutex_unlock(&run->lock);
}

int demo_run_watch(struct demo_run *run, int64_t elapsed_ns, int64_t *transfers)
{
    int running;

    pthread_mutex_lock(&run->lock);
    if (interrupt_signal() != 0 ||
        (run->options->transfers == 0 && (double)elapsed_ns >= run->options->seconds * 1e9))
        run->is_stopping = true;
    running = run->running;
    *transfers = run->transfers;
    pthread_mutex_unlock(&run->lock);
    return running;
}

static int do_task(struct demo_worker *worker, bool is_transfer, bool *is_done,
                   struct lido_error *err)
{
    struct lido_conn conn = LIDO_CONN_INIT;
    int64_t began_ns = cli_now_ns();
    int rc = lido_pool_checkout(worker->run->pool, &conn, NULL, err), returned;

    if (rc != LIDO_OK)
        return rc;
    histogram_add(&worker->checkout, cli_now_ns() - began_ns);
    rc = read_rows(worker, lido_conn_sqlite(&conn), err);
    if (rc == LIDO_OK && is_transfer)
        rc = transfer(worker, &conn, is_done, err);
    returned = lido_conn_checkin(&conn, NULL, rc == LIDO_OK ? err : NULL);
    return rc == LIDO_OK ? returned : rc;
}

void *demo_work(void *ctx)
{
    struct demo_worker *worker = ctx;
    struct demo_run *run = worker->run;
    bool is_transfer = next_random(&worker->random) % ONE_IN == 0;

    while (demo_task_begin(run, is_transfer)) {
        struct lido_error err = LIDO_ERROR_INIT;
        bool is_done = false;
        int rc = do_task(worker, is_transfer, &is_done, &err);

        worker->retries += (rc & 0xff) == SQLITE_BUSY;
        if (rc == LIDO_CHECKED_OUT)
            sched_yield(); /* who has the one connection may need the processor */
        demo_task_end(run, is_transfer && !is_done, rc, &err);
        is_transfer = next_random(&worker->random) % ONE_IN == 0;
    }
    demo_task_last(run);
    return NULL;
}

void demo_worker_init(struct demo_worker *worker, struct demo_run *run, int number)
{
    uint64_t seed = run->options->seed * DEMO_MAX_THREADS + (uint64_t)number;

    worker->run = run;
    worker->random = next_random(&seed);
}

int demo_run_init(struct demo_run *run, struct demo_error *error)
{
    const struct demo_copy *copy = run->copy;

    pthread_mutex_init(&run->lock, NULL);
    run->take = sqlite3_mprintf("UPDATE main.%s SET balance = balance - ?1 "
                                "WHERE id = ?2 AND balance >= ?1",
                                copy->accounts);
    run->give = sqlite3_mprintf("UPDATE main.%s SET balance = balance + ?1 WHERE id = ?2",
                                copy->accounts);
    run->note = sqlite3_mprintf("INSERT INTO main.%s (source, target, amount) "
                                "VALUES (?1, ?2, ?3)",
                                copy->ledger);
    return run->take != NULL && run->give != NULL && run->note != NULL
               ? CLI_OK
               : demo_fail(error, CLI_FAILED, "out of memory");
}

void demo_run_fini(struct demo_run *run)
{
    sqlite3_free(run->take);
    sqlite3_free(run->give);
    sqlite3_free(run->note);
    pthread_mutex_destroy(&run->lock);
}
