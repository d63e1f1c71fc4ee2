/* SPDX-License-Identifier: MIT */
/*
 * lido-bench write: one process of a cell, and the transaction that it repeats.
 *
 *     BEGIN IMMEDIATE; UPDATE one row of WRITE_ROWS by its key; COMMIT
 *
 * in WAL mode: by SQLite's calls, each thread with a connection and three statements that
 * it keeps, or by lido_pool_run() on a queue as large as there are threads.  A transaction
 * takes from the moment that the thread wants it, so the wait is in it.
 *
 * The process opens, and stops itself by SIGSTOP.  From then on it is the measuring process
 * that lets it run and stops it, and in the end kills it, at any point: nothing here
 * ends by itself but at an error.
 *
 * Threads: each worker has its own place in the shared memory.
 */
#include "command.h"
#include "slow_sync.h"
#include "write.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include <lido/lido.h>

#define BUSY_TIMEOUT_MS 60000
#define SYNC_DELAY_NS   1000000

static const char update_sql[] = "UPDATE item SET value = value + 1 WHERE id = ?1";
static const char select_sql[] = "SELECT value FROM item WHERE id = ?1";

struct worker {
    struct write_shared *shared;
    struct write_thread *place;
    unsigned seed;
    int (*transact)(struct worker *self, struct lido_error *err);
    int64_t row; /* of the transaction */

    sqlite3 *db; /* SQLite alone */
    sqlite3_stmt *begin, *update, *commit;

    lido_pool *pool; /* lido */
    lido_run_fn run;
    int mode;
};

int64_t write_clock(struct write_shared *shared)
{
    int64_t paused_ns, now_ns;
    struct timespec now;

    /* Who was stopped between the two would see one of before and one of after. */
    do {
        paused_ns = atomic_load(&shared->paused_ns);
        clock_gettime(CLOCK_MONOTONIC, &now);
        now_ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
    } while (atomic_load(&shared->paused_ns) != paused_ns);
    return now_ns - paused_ns;
}

static const char *sync_of(const struct write_spec *spec)
{
    return spec->sync == WRITE_NORMAL ? "normal" : "full";
}

static int fail_sqlite(sqlite3 *db, struct lido_error *err)
{
    return lido_fail(err, sqlite3_extended_errcode(db), "%s", sqlite3_errmsg(db));
}

/* --- SQLite alone --------------------------------------------------------------------- */

static int open_bare(sqlite3 **db, const struct write_spec *spec, const char *path,
                     struct lido_error *err)
{
    char pragmas[80];
    int rc = sqlite3_open_v2(
        path, db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);

    snprintf(pragmas, sizeof pragmas, "PRAGMA journal_mode = wal; PRAGMA synchronous = %s",
             sync_of(spec));
    if (rc == SQLITE_OK)
        rc = sqlite3_busy_timeout(*db, BUSY_TIMEOUT_MS);
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(*db, pragmas, NULL, NULL, NULL);
    return rc == SQLITE_OK ? LIDO_OK : fail_sqlite(*db, err);
}

static int make_table(const struct write_spec *spec, const char *path,
                      struct lido_error *err)
{
    static const char fill[] =
        "CREATE TABLE item (id INTEGER PRIMARY KEY, value);"
        "WITH RECURSIVE row(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM row LIMIT 1000) "
        "INSERT INTO item SELECT id, 0 FROM row";
    sqlite3 *db = NULL;
    int rc = open_bare(&db, spec, path, err);

    static_assert(WRITE_ROWS == 1000, "as many as the table gets");
    if (rc == LIDO_OK && sqlite3_exec(db, fill, NULL, NULL, NULL) != SQLITE_OK)
        rc = fail_sqlite(db, err);
    sqlite3_close(db);
    return rc;
}

static int prepare_bare(struct worker *self, struct lido_error *err)
{
    const unsigned keep = SQLITE_PREPARE_PERSISTENT;
    int rc = sqlite3_prepare_v3(self->db, "BEGIN IMMEDIATE", -1, keep, &self->begin, NULL);

    if (rc == SQLITE_OK)
        rc = sqlite3_prepare_v3(self->db, update_sql, -1, keep, &self->update, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_prepare_v3(self->db, "COMMIT", -1, keep, &self->commit, NULL);
    return rc == SQLITE_OK ? LIDO_OK : fail_sqlite(self->db, err);
}

static int step_and_reset(sqlite3_stmt *statement)
{
    sqlite3_step(statement);
    return sqlite3_reset(statement);
}

static int transact_bare(struct worker *self, struct lido_error *err)
{
    int rc = step_and_reset(self->begin);

    if (rc == SQLITE_OK)
        rc = sqlite3_bind_int64(self->update, 1, self->row);
    if (rc == SQLITE_OK)
        rc = step_and_reset(self->update);
    if (rc == SQLITE_OK)
        rc = step_and_reset(self->commit);
    if (rc == SQLITE_OK)
        return LIDO_OK;
    rc = fail_sqlite(self->db, err);
    if (!sqlite3_get_autocommit(self->db))
        sqlite3_exec(self->db, "ROLLBACK", NULL, NULL, NULL);
    return rc;
}

/* --- lido ----------------------------------------------------------------------------- */

static int write_row(void *ctx, const struct lido_conn *conn, struct lido_error *err)
{
    struct worker *self = ctx;
    const struct lido_value row = lido_integer(self->row);

    atomic_store_explicit(&self->place->is_inside, 1, memory_order_relaxed);
    return lido_conn_query(conn, update_sql, &row, 1, NULL, NULL, err);
}

static int read_and_write_row(void *ctx, const struct lido_conn *conn,
                              struct lido_error *err)
{
    struct worker *self = ctx;
    const struct lido_value row = lido_integer(self->row);
    int rc = lido_conn_query(conn, select_sql, &row, 1, NULL, NULL, err);

    return rc == LIDO_OK ? write_row(ctx, conn, err) : rc;
}

static int transact_lido(struct worker *self, struct lido_error *err)
{
    int rc = lido_pool_run(self->pool, self->mode, self->run, self, NULL, err);

    atomic_store_explicit(&self->place->is_inside, 0, memory_order_relaxed);
    return rc;
}

/* The page's first listener turns off the begin of Python's driver.  lido's has none. */
static int on_connect(void *ctx, const struct lido_event *event, struct lido_error *err)
{
    (void)ctx, (void)event, (void)err;
    return LIDO_OK;
}

/* Its second one. */
static int on_begin(void *ctx, const struct lido_event *event, struct lido_error *err)
{
    (void)ctx;
    if (sqlite3_exec(event->sqlite, "BEGIN IMMEDIATE", NULL, NULL, NULL) != SQLITE_OK)
        return fail_sqlite(event->sqlite, err);
    return LIDO_OK;
}

static const struct {
    const char *options; /* of the URL */
    int mode;
    lido_run_fn run;
} kinds[] = {
    [WRITE_GATE] = { "gate=on&gate_aging_us=1000", LIDO_IMMEDIATE, write_row },
    [WRITE_STRICT] = { "gate=on&gate_aging_us=0", LIDO_IMMEDIATE, write_row },
    [WRITE_UNGATED] = { "gate=off", LIDO_IMMEDIATE, write_row },
    [WRITE_PROCESS] = { "gate=process", LIDO_IMMEDIATE, write_row },
    [WRITE_HOOK] = { "gate=on&gate_aging_us=1000", LIDO_BEGIN_DEFAULT, write_row },
    [WRITE_READ_FIRST] = { "gate=on&gate_aging_us=1000", LIDO_IMMEDIATE,
                           read_and_write_row },
    [WRITE_READ_DEFERS] = { "gate=on&gate_aging_us=1000", LIDO_DEFERRED,
                            read_and_write_row },
};

static int open_pool(lido_pool **pool, const struct write_spec *spec,
                     const char *path_of_url, struct lido_error *err)
{
    static const struct lido_events listeners = { .size = sizeof listeners,
                                                  .connect = on_connect,
                                                  .begin = on_begin };
    char url[3 * SCRATCH_PATH + 200];
    int rc;

    snprintf(url, sizeof url,
             "sqlite:///%s?pool=queue&pool_size=%u&max_overflow=0&journal_mode=wal"
             "&synchronous=%s&timeout=%d&pool_timeout=%d&%s",
             path_of_url, spec->threads, sync_of(spec), BUSY_TIMEOUT_MS / 1000,
             BUSY_TIMEOUT_MS / 1000, kinds[spec->kind].options);
    rc = lido_pool_open(pool, url, NULL, err);
    /* A lido that knows gate=on and gate=off alone says that of the URL. */
    if (rc == LIDO_BAD_URL && spec->kind == WRITE_PROCESS)
        return LIDO_BAD_OPTION;
    if (rc == LIDO_OK && spec->kind == WRITE_HOOK)
        rc = lido_hooks_add(lido_pool_hooks(*pool), NULL, &listeners, NULL, NULL, err);
    return rc;
}

/* --- the process ---------------------------------------------------------------------- */

static int open_workers(struct worker *workers, const struct write_spec *spec,
                        const char *path, const char *path_of_url, struct lido_error *err)
{
    lido_pool *pool = NULL;
    int rc = LIDO_OK;

    if (spec->kind != WRITE_BARE)
        rc = open_pool(&pool, spec, path_of_url, err);
    for (unsigned i = 0; rc == LIDO_OK && i < spec->threads; i++) {
        struct worker *self = &workers[i];

        self->transact = transact_lido;
        self->pool = pool;
        self->run = kinds[spec->kind].run;
        self->mode = kinds[spec->kind].mode;
        if (spec->kind != WRITE_BARE)
            continue;
        self->transact = transact_bare;
        rc = open_bare(&self->db, spec, path, err);
        if (rc == LIDO_OK)
            rc = prepare_bare(self, err);
    }
    return rc;
}

/* The next row: any of them, each thread in an order of its own. */
static int64_t next_row(struct worker *self)
{
    self->seed = self->seed * 1664525u + 1013904223u;
    return (int64_t)((self->seed >> 8) % WRITE_ROWS) + 1;
}

static void note(struct write_shared *shared, const struct lido_error *err)
{
    if (atomic_exchange(&shared->has_error, 1) == 0)
        shared->err = *err;
}

static void *work(void *argument)
{
    struct worker *self = argument;
    struct write_thread *place = self->place;
    int64_t began_ns = write_clock(self->shared);

    for (;;) {
        struct lido_error err = LIDO_ERROR_INIT;
        int64_t ended_ns;
        int part, rc;

        self->row = next_row(self);
        atomic_store_explicit(&place->began_ns, began_ns, memory_order_relaxed);
        rc = self->transact(self, &err);
        ended_ns = write_clock(self->shared);
        part = atomic_load_explicit(&self->shared->part, memory_order_relaxed);
        if (rc == LIDO_OK) {
            atomic_store_explicit(&place->ended_ns, ended_ns, memory_order_relaxed);
            atomic_fetch_add_explicit(&place->done, 1, memory_order_relaxed);
            if (part >= 0)
                histogram_add(&place->parts[part], ended_ns - began_ns);
        } else {
            place->failures++;
            note(self->shared, &err);
        }
        began_ns = ended_ns;
    }
    return NULL;
}

_Noreturn static void give_up(struct write_shared *shared, const struct lido_error *err)
{
    note(shared, err);
    _exit(EXIT_FAILED);
}

_Noreturn void write_work(const struct write_spec *spec, struct write_shared *shared,
                          unsigned number, const char *path, const char *path_of_url,
                          int is_first)
{
    struct lido_error err = LIDO_ERROR_INIT;
    struct worker *workers = calloc(spec->threads, sizeof *workers);
    pthread_t thread;
    int rc = LIDO_OK;

    prctl(PR_SET_PDEATHSIG, SIGKILL); /* nobody else would kill it */
    if (workers == NULL) {
        lido_fail(&err, SQLITE_NOMEM, "out of memory");
        give_up(shared, &err);
    }
    if (is_first)
        rc = make_table(spec, path, &err);
    if (rc == LIDO_OK)
        rc = open_workers(workers, spec, path, path_of_url, &err);
    if (rc != LIDO_OK) {
        err.code = rc;
        give_up(shared, &err);
    }
    slow_sync_set(spec->sync == WRITE_FULL1MS ? SYNC_DELAY_NS : 0);
    raise(SIGSTOP);
    for (unsigned i = 0; i < spec->threads; i++) {
        unsigned place = number * spec->threads + i;
        int error;

        workers[i].shared = shared;
        workers[i].place = &shared->threads[place];
        workers[i].seed = place * 7919 + 1;
        error = pthread_create(&thread, NULL, work, &workers[i]);
        if (error != 0) {
            lido_fail(&err, SQLITE_ERROR, "could not start a thread: %s", strerror(error));
            give_up(shared, &err);
        }
    }
    for (;;)
        pause();
}

int write_alone(enum write_kind kind, uint64_t transactions, const char *path,
                const char *path_of_url, struct lido_error *err)
{
    const struct write_spec spec = { .sync = WRITE_NORMAL, .kind = kind, .threads = 1 };
    struct write_thread place = { .done = 0 };
    struct worker self = { .place = &place, .seed = 1 };
    int rc = make_table(&spec, path, err);

    if (rc == LIDO_OK)
        rc = open_workers(&self, &spec, path, path_of_url, err);
    for (; rc == LIDO_OK && transactions > 0; transactions--) {
        self.row = next_row(&self);
        rc = self.transact(&self, err);
    }
    sqlite3_finalize(self.begin);
    sqlite3_finalize(self.update);
    sqlite3_finalize(self.commit);
    sqlite3_close(self.db);
    lido_pool_free(self.pool);
    return rc;
}
