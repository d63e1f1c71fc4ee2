/* SPDX-License-Identifier: MIT */
/*
 * A memory database that threads share: a static pool.
 *
 * All leases are on one connection.  A transaction belongs to the lease that began it, and
 * the begin of another one waits for its end, so each thread's read and write stay together.
 * Statements outside of a transaction are safe one by one: this connection has SQLite's own
 * mutex.
 *
 *     shared_memory
 *
 * Answers 0 only if no increment of any thread was lost, on one connection.
 *
 * Threads: several.
 */
#include <lido/lido.h>
#include <pthread.h>
#include <stdio.h>

#define THREADS    4
#define INCREMENTS 50

struct counting {
    lido_pool *pool;
    struct lido_error err; /* one per thread */
    int rc;
};

static int run(sqlite3 *db, const char *sql, struct lido_error *err)
{
    int rc = sqlite3_exec(db, sql, NULL, NULL, NULL);

    return rc == SQLITE_OK ? LIDO_OK
                           : lido_fail(err, rc, "%s: %s", sql, sqlite3_errstr(rc));
}

static int read_count(sqlite3 *db, int *count, struct lido_error *err)
{
    sqlite3_stmt *stmt;
    int rc = sqlite3_prepare_v2(db, "SELECT n FROM counter", -1, &stmt, NULL);

    if (rc == SQLITE_OK && sqlite3_step(stmt) == SQLITE_ROW)
        *count = sqlite3_column_int(stmt, 0);
    rc = sqlite3_finalize(stmt);
    return rc == SQLITE_OK ? LIDO_OK : lido_fail(err, rc, "%s", sqlite3_errstr(rc));
}

/* Reads and writes in two statements: wrong, if anybody came between. */
static int increment(const struct lido_conn *conn, struct lido_error *err)
{
    sqlite3 *db = lido_conn_sqlite(conn);
    char sql[64];
    int count = 0, rc = lido_txn_begin(conn, LIDO_IMMEDIATE, err);

    if (rc != LIDO_OK)
        return rc;
    rc = read_count(db, &count, err);
    snprintf(sql, sizeof sql, "UPDATE counter SET n = %d", count + 1);
    if (rc == LIDO_OK)
        rc = run(db, sql, err);
    if (rc == LIDO_OK)
        rc = lido_txn_commit(conn, NULL, err);
    else
        lido_txn_rollback(conn, NULL);
    return rc;
}

static void *count(void *arg)
{
    struct counting *counting = arg;
    struct lido_conn conn;

    for (int i = 0; i < INCREMENTS && counting->rc == LIDO_OK; i++) {
        counting->rc = lido_pool_checkout(counting->pool, &conn, NULL, &counting->err);
        if (counting->rc != LIDO_OK)
            break;
        counting->rc = increment(&conn, &counting->err);
        lido_conn_checkin(&conn, NULL, NULL);
    }
    return NULL;
}

static int count_together(lido_pool *pool, struct lido_error *err)
{
    struct counting countings[THREADS];
    pthread_t threads[THREADS];
    int started = 0, rc = LIDO_OK;

    for (; started < THREADS; started++) {
        countings[started] = (struct counting){ pool, LIDO_ERROR_INIT, LIDO_OK };
        if (pthread_create(&threads[started], NULL, count, &countings[started]) != 0) {
            rc = lido_fail(err, SQLITE_ERROR, "no thread could be started");
            break;
        }
    }
    for (int i = 0; i < started; i++) {
        pthread_join(threads[i], NULL);
        if (rc == LIDO_OK && countings[i].rc != LIDO_OK) {
            rc = countings[i].rc;
            *err = countings[i].err;
        }
    }
    return rc;
}

static int show(lido_pool *pool, struct lido_error *err)
{
    struct lido_pool_stats stats = LIDO_POOL_STATS_INIT;
    struct lido_conn conn;
    int total = 0, rc = lido_pool_checkout(pool, &conn, NULL, err);

    if (rc != LIDO_OK)
        return rc;
    rc = run(lido_conn_sqlite(&conn),
             "CREATE TABLE counter (n); INSERT INTO counter VALUES (0)", err);
    if (rc == LIDO_OK)
        rc = count_together(pool, err);
    if (rc == LIDO_OK)
        rc = read_count(lido_conn_sqlite(&conn), &total, err);
    lido_conn_checkin(&conn, NULL, NULL);
    if (rc == LIDO_OK)
        rc = lido_pool_stats(pool, &stats, err);
    if (rc != LIDO_OK)
        return rc;
    printf("%d of %d increments, %llu connection\n", total, THREADS * INCREMENTS,
           (unsigned long long)stats.connects);
    if (total == THREADS * INCREMENTS && stats.connects == 1)
        return LIDO_OK;
    return lido_fail(err, SQLITE_ERROR, "increments were lost");
}

int main(void)
{
    struct lido_error err = LIDO_ERROR_INIT;
    lido_pool *pool;
    int rc = lido_pool_open(&pool, "sqlite://?pool=static", NULL, &err);

    if (rc == LIDO_OK)
        rc = show(pool, &err);
    lido_pool_free(pool);
    if (rc != LIDO_OK)
        fprintf(stderr, "shared_memory: %s: %s\n", lido_status_name(rc), err.text);
    return rc != LIDO_OK;
}
