/* SPDX-License-Identifier: MIT */
/*
 * Connections that leave a pool, and one that comes from outside.
 *
 *     detach    the lease goes on beside the pool, and its check-in closes the connection
 *     steal     the connection is the program's, which closes it
 *     adopt     a connection of the program's own under lido's transactions
 *
 *     in_and_out
 *
 * Answers 0 only if the place of the pool was free each time, and each connection was closed
 * by whom it should be.
 *
 * Threads: one.
 */
#include <lido/lido.h>
#include <stdio.h>

/* The pool has one place: a checkout that only tries tells whether it is free. */
static int expect_free(lido_pool *pool, const char *when, struct lido_error *err)
{
    struct lido_checkout_options options = LIDO_CHECKOUT_OPTIONS_INIT;
    struct lido_conn conn;
    int rc;

    options.timeout_ms = LIDO_TIMEOUT_TRY;
    rc = lido_pool_checkout(pool, &conn, &options, err);
    if (rc != LIDO_OK)
        return rc;
    printf("%s: the place is free\n", when);
    return lido_conn_checkin(&conn, NULL, err);
}

static int show_detach(lido_pool *pool, struct lido_error *err)
{
    struct lido_conn conn;
    int rc = lido_pool_checkout(pool, &conn, NULL, err), checkin_rc;

    if (rc != LIDO_OK)
        return rc;
    rc = lido_conn_detach(&conn, err);
    if (rc == LIDO_OK)
        rc = expect_free(pool, "detached", err);
    checkin_rc = lido_conn_checkin(&conn, NULL, rc == LIDO_OK ? err : NULL);
    return rc != LIDO_OK ? rc : checkin_rc;
}

/* Leaves a connection of the program's own in *db. */
static int show_steal(lido_pool *pool, sqlite3 **db, struct lido_error *err)
{
    struct lido_conn conn;
    void *handle = NULL;
    int rc = lido_pool_checkout(pool, &conn, NULL, err);

    if (rc == LIDO_OK)
        rc = lido_conn_steal(&conn, &handle, err);
    *db = handle;
    lido_conn_checkin(&conn, NULL, NULL); /* if it was not stolen */
    return rc == LIDO_OK ? expect_free(pool, "stolen", err) : rc;
}

static int show_adopt(lido_pool *pool, sqlite3 *db, struct lido_error *err)
{
    struct lido_conn conn;
    int rc = lido_conn_adopt(&conn, pool, db, err);

    if (rc != LIDO_OK)
        return rc;
    rc = lido_txn_begin(&conn, LIDO_IMMEDIATE, err);
    if (rc == LIDO_OK)
        rc = expect_free(pool, "adopted", err);
    lido_conn_checkin(&conn, NULL, NULL); /* rolls back, and does not close */
    if (rc == LIDO_OK && !sqlite3_get_autocommit(db))
        rc = lido_fail(err, SQLITE_ERROR, "the adopted connection came back unclean");
    return rc;
}

static int compare(lido_pool *pool, struct lido_error *err)
{
    struct lido_pool_stats stats = LIDO_POOL_STATS_INIT;
    int rc = lido_pool_stats(pool, &stats, err);

    if (rc != LIDO_OK)
        return rc;
    if (stats.connects == 3 && stats.closed_detached == 1 && stats.stolen == 1 &&
        stats.closes == 1 && stats.idle == 1 && stats.detached == 0)
        return LIDO_OK;
    return lido_fail(err, SQLITE_ERROR, "the pool counted otherwise");
}

int main(void)
{
    struct lido_pool_options options = LIDO_POOL_OPTIONS_INIT;
    struct lido_error err = LIDO_ERROR_INIT;
    sqlite3 *db = NULL;
    lido_pool *pool;
    int rc;

    options.pool = "queue";
    options.pool_size = 1;
    options.max_overflow = 0;
    /* Each connection of memdb is on one database that this process shares. */
    rc = lido_pool_open(&pool, "sqlite:////in_and_out?vfs=memdb", &options, &err);
    if (rc == LIDO_OK)
        rc = show_detach(pool, &err);
    if (rc == LIDO_OK)
        rc = show_steal(pool, &db, &err);
    if (rc == LIDO_OK)
        rc = show_adopt(pool, db, &err);
    if (rc == LIDO_OK)
        rc = compare(pool, &err);
    sqlite3_close(db);
    lido_pool_free(pool);
    if (rc != LIDO_OK)
        fprintf(stderr, "in_and_out: %s: %s\n", lido_status_name(rc), err.text);
    return rc != LIDO_OK;
}
