/* SPDX-License-Identifier: MIT */
/*
 * lido-bench statement: what a statement and a transaction cost by lido's calls, beside the
 * same by SQLite's.
 *
 * All subjects use one pool of one connection to a file in WAL mode, so lido's and SQLite's
 * calls find the same settings and the same pages in memory.  The table has few rows, and no
 * transaction writes anything: what is left is the cost of the calls, and no disk is measured.
 * A statement outside of a transaction is one of its own, and most of its time are the locks
 * of the file; inside of one they are taken before.
 *
 * Threads: one works at a time; it checks the connection out for the whole of its slice.
 */
#include "command.h"
#include "results.h"

#include <stdlib.h>

#include <lido/lido.h>

#define ROWS 1000

static const char select_sql[] = "SELECT value FROM item WHERE id = ?1";

enum {
    HELD,        /* a statement of SQLite's that the program keeps */
    CACHED,      /* lido's */
    PREPARED,    /* SQLite's, prepared each time */
    BARE_TXN,    /* BEGIN IMMEDIATE and COMMIT as statements that the program keeps */
    LIDO_TXN,    /* lido's */
    HELD_IN_TXN, /* the first three again, all of a slice in one transaction */
    CACHED_IN_TXN,
    PREPARED_IN_TXN,
    N_SUBJECTS
};
static_assert((int)N_SUBJECTS <= MAX_SUBJECTS, "a place for each");

static const struct ratio ratios[] = {
    { .name = "cached_to_held", .over = CACHED, .under = HELD, .at_most = 1.1 },
    { .name = "prepared_to_cached", .over = PREPARED, .under = CACHED, .at_least = 2.5 },
    { .name = "begin_commit_to_bare",
      .over = LIDO_TXN,
      .under = BARE_TXN,
      .at_most = 1.05 },
    { .name = "cached_to_held_in_txn", .over = CACHED_IN_TXN, .under = HELD_IN_TXN },
    { .name = "prepared_to_cached_in_txn",
      .over = PREPARED_IN_TXN,
      .under = CACHED_IN_TXN },
    { .name = "prepared_to_held", .over = PREPARED, .under = HELD },
};

static int64_t row_of(uint64_t iteration)
{
    return (int64_t)(iteration % ROWS) + 1;
}

static int fail_sqlite(sqlite3 *db, struct lido_error *err)
{
    return lido_fail(err, sqlite3_extended_errcode(db), "%s", sqlite3_errmsg(db));
}

/* --- statements ------------------------------------------------------------------------- */

/* One row by SQLite's calls, from a statement that is reset. */
static int read_row(sqlite3_stmt *statement, uint64_t iteration)
{
    int64_t value = 0;
    int rc = sqlite3_bind_int64(statement, 1, row_of(iteration));

    if (rc == SQLITE_OK)
        rc = sqlite3_step(statement);
    if (rc == SQLITE_ROW)
        value = sqlite3_column_int64(statement, 0);
    keep(&value);
    return rc;
}

static int work_held(const struct lido_conn *conn, uint64_t iterations,
                     struct lido_error *err)
{
    sqlite3 *db = lido_conn_sqlite(conn);
    sqlite3_stmt *statement = NULL;
    int rc =
        sqlite3_prepare_v3(db, select_sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, NULL);

    for (rc = rc == SQLITE_OK ? SQLITE_ROW : rc; rc == SQLITE_ROW && iterations > 0;
         iterations--) {
        sqlite3_reset(statement);
        rc = read_row(statement, iterations);
    }
    rc = rc == SQLITE_ROW ? LIDO_OK : fail_sqlite(db, err);
    sqlite3_finalize(statement);
    return rc;
}

static int work_prepared(const struct lido_conn *conn, uint64_t iterations,
                         struct lido_error *err)
{
    sqlite3 *db = lido_conn_sqlite(conn);

    for (; iterations > 0; iterations--) {
        sqlite3_stmt *statement = NULL;
        int rc = sqlite3_prepare_v2(db, select_sql, -1, &statement, NULL);

        if (rc == SQLITE_OK)
            rc = read_row(statement, iterations);
        sqlite3_finalize(statement);
        if (rc != SQLITE_ROW)
            return fail_sqlite(db, err);
    }
    return LIDO_OK;
}

static int work_cached(const struct lido_conn *conn, uint64_t iterations,
                       struct lido_error *err)
{
    for (; iterations > 0; iterations--) {
        struct lido_stmt stmt;
        int64_t value = 0;
        int later, rc = lido_stmt_prepare(conn, &stmt, select_sql, err);

        if (rc != LIDO_OK)
            return rc;
        rc = lido_stmt_bind(&stmt, 1, lido_integer(row_of(iterations)), err);
        if (rc == LIDO_OK)
            rc = lido_stmt_step(&stmt, err);
        if (rc == SQLITE_ROW)
            value = lido_stmt_integer(&stmt, 0);
        keep(&value);
        later = lido_stmt_finalize(&stmt, rc == SQLITE_ROW ? err : NULL);
        if (rc != SQLITE_ROW || later != LIDO_OK)
            return rc != SQLITE_ROW ? rc : later;
    }
    return LIDO_OK;
}

/* --- transactions ----------------------------------------------------------------------- */

static int run_and_reset(sqlite3_stmt *statement)
{
    sqlite3_step(statement);
    return sqlite3_reset(statement);
}

static int work_bare_txn(const struct lido_conn *conn, uint64_t iterations,
                         struct lido_error *err)
{
    sqlite3 *db = lido_conn_sqlite(conn);
    sqlite3_stmt *begin = NULL, *commit = NULL;
    int rc = sqlite3_prepare_v3(db, "BEGIN IMMEDIATE", -1, SQLITE_PREPARE_PERSISTENT,
                                &begin, NULL);

    if (rc == SQLITE_OK)
        rc = sqlite3_prepare_v3(db, "COMMIT", -1, SQLITE_PREPARE_PERSISTENT, &commit, NULL);
    for (; rc == SQLITE_OK && iterations > 0; iterations--) {
        rc = run_and_reset(begin);
        if (rc == SQLITE_OK)
            rc = run_and_reset(commit);
    }
    if (rc != SQLITE_OK)
        rc = fail_sqlite(db, err);
    sqlite3_finalize(begin);
    sqlite3_finalize(commit);
    return rc;
}

static int work_lido_txn(const struct lido_conn *conn, uint64_t iterations,
                         struct lido_error *err)
{
    int rc = LIDO_OK;

    for (; rc == LIDO_OK && iterations > 0; iterations--) {
        rc = lido_txn_begin(conn, LIDO_IMMEDIATE, err);
        if (rc == LIDO_OK)
            rc = lido_txn_commit(conn, NULL, err);
    }
    return rc;
}

/* --- subjects --------------------------------------------------------------------------- */

struct task {
    lido_pool *pool;
    int (*work)(const struct lido_conn *conn, uint64_t iterations, struct lido_error *err);
    bool is_in_txn; /* not each statement by itself */
    bool is_first;  /* it closes the pool that all use */
};

static int work(void *ctx, unsigned thread, uint64_t iterations, struct lido_error *err)
{
    const struct task *task = ctx;
    struct lido_conn conn;
    int later, rc = lido_pool_checkout(task->pool, &conn, NULL, err);

    (void)thread;
    if (rc != LIDO_OK)
        return rc;
    rc = task->is_in_txn ? lido_txn_begin(&conn, LIDO_DEFERRED, err) : LIDO_OK;
    if (rc == LIDO_OK)
        rc = task->work(&conn, iterations, err);
    later = lido_conn_checkin(&conn, NULL, rc == LIDO_OK ? err : NULL);
    return rc != LIDO_OK ? rc : later;
}

static void close_task(void *ctx)
{
    struct task *task = ctx;

    if (task->is_first) {
        lido_pool_close(task->pool, 0, NULL);
        lido_pool_free(task->pool);
    }
    free(task);
}

static int fill(lido_pool *pool, struct lido_error *err)
{
    static const char insert[] =
        "WITH RECURSIVE row(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM row LIMIT ?1) "
        "INSERT INTO item SELECT id, id FROM row";
    const struct lido_value rows = lido_integer(ROWS);
    int rc = lido_pool_exec(pool, "CREATE TABLE item (id INTEGER PRIMARY KEY, value)", err);

    return rc != LIDO_OK ? rc : lido_pool_query(pool, insert, &rows, 1, NULL, NULL, err);
}

static int open_pool(lido_pool **out, const struct scratch *scratch, struct lido_error *err)
{
    char path[3 * SCRATCH_PATH];
    int rc = scratch_url(scratch, "statement.db", path, err);
    char *url;

    if (rc != LIDO_OK)
        return rc;
    url = sqlite3_mprintf("sqlite:///%s?pool=queue&pool_size=1&max_overflow=0"
                          "&journal_mode=wal&synchronous=off",
                          path);
    if (url == NULL)
        return lido_fail(err, SQLITE_NOMEM, "out of memory");
    rc = lido_pool_open(out, url, NULL, err);
    sqlite3_free(url);
    if (rc == LIDO_OK)
        rc = fill(*out, err);
    return rc;
}

static int open_subjects(struct results *out, const struct scratch *scratch,
                         struct lido_error *err)
{
    static const struct {
        const char *name;
        int (*work)(const struct lido_conn *conn, uint64_t iterations,
                    struct lido_error *err);
        bool is_in_txn;
    } all[] = {
        [HELD] = { "held", work_held, false },
        [CACHED] = { "lido/cached", work_cached, false },
        [PREPARED] = { "prepared", work_prepared, false },
        [BARE_TXN] = { "begin_commit/bare", work_bare_txn, false },
        [LIDO_TXN] = { "begin_commit/lido", work_lido_txn, false },
        [HELD_IN_TXN] = { "held/in_txn", work_held, true },
        [CACHED_IN_TXN] = { "lido/cached/in_txn", work_cached, true },
        [PREPARED_IN_TXN] = { "prepared/in_txn", work_prepared, true },
    };
    lido_pool *pool = NULL;
    int rc = open_pool(&pool, scratch, err);

    for (unsigned i = 0; rc == LIDO_OK && i < N_SUBJECTS; i++) {
        struct task *task = calloc(1, sizeof *task);

        if (task == NULL) {
            rc = lido_fail(err, SQLITE_NOMEM, "out of memory");
            break;
        }
        *task = (struct task){ .pool = pool,
                               .work = all[i].work,
                               .is_in_txn = all[i].is_in_txn,
                               .is_first = i == 0 };
        out->subjects[i] = (struct subject){
            .name = all[i].name, .ctx = task, .work = work, .close = close_task
        };
    }
    if (out->subjects[0].close == NULL) /* nobody else will */
        lido_pool_free(pool);
    out->n_subjects = N_SUBJECTS;
    return rc;
}

int command_statement(int argc, char **argv)
{
    static const unsigned threads[] = { 1 };
    static const struct benchmark statement = {
        .name = "statement",
        .schema = "lido.bench.statement/1",
        .help =
            "Measures a SELECT of one row from lido's cache of statements, beside the "
            "same\n"
            "by a statement of SQLite's that is kept, and by one that is prepared each "
            "time;\n"
            "and lido's begin and commit beside SQLite's.  One thread, one connection.\n",
        .ratios_title = "ratios",
        .threads = threads,
        .n_levels = 1,
        .ratios = ratios,
        .n_ratios = sizeof ratios / sizeof ratios[0],
        .open = open_subjects,
    };

    return benchmark_command(&statement, argc, argv);
}
