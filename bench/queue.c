/* SPDX-License-Identifier: MIT */
/*
 * lido's queue pool: checkout, the raw handle, check-in, on a connection that stays clean.
 *
 * Every connection is opened, and its statements prepared, before anything is measured:
 * all of them are checked out at once for that, so that none is met twice.  The statements
 * stay open while the pool is measured because real programs keep theirs, and a check-in
 * that walks them would pay for each.
 *
 * Threads: any number up to MAX_THREADS at a time, none of which waits: there are as many
 * connections.  Opening and closing: one.
 */
#include "subject.h"

#include <stdlib.h>

#include <lido/conn.h>
#include <lido/pool.h>

struct queue {
    lido_pool *pool;
    sqlite3_stmt **statements; /* of all connections, NULL where there is none yet */
    size_t n_statements;
};

static int work(void *ctx, unsigned thread, uint64_t iterations, struct lido_error *err)
{
    struct queue *queue = ctx;

    (void)thread;
    for (; iterations > 0; iterations--) {
        struct lido_conn conn;
        int rc = lido_pool_checkout(queue->pool, &conn, NULL, err);

        if (rc != LIDO_OK)
            return rc;
        keep(lido_conn_sqlite(&conn));
        rc = lido_conn_checkin(&conn, NULL, err);
        if (rc != LIDO_OK)
            return rc;
    }
    return LIDO_OK;
}

/* Checks the first `n` in, all of them also if one fails, and returns the first error. */
static int checkin_all(struct lido_conn *conns, unsigned n, struct lido_error *err)
{
    int first = LIDO_OK;

    for (unsigned i = 0; i < n; i++) {
        int rc = lido_conn_checkin(&conns[i], NULL, first == LIDO_OK ? err : NULL);

        first = first == LIDO_OK ? rc : first;
    }
    return first;
}

/* All of the pool's connections, or none. */
static int checkout_all(struct queue *queue, struct lido_conn conns[MAX_THREADS],
                        struct lido_error *err)
{
    for (unsigned i = 0; i < MAX_THREADS; i++) {
        int rc = lido_pool_checkout(queue->pool, &conns[i], NULL, err);

        if (rc != LIDO_OK) {
            checkin_all(conns, i, NULL);
            return rc;
        }
    }
    return LIDO_OK;
}

/* Prepares `n` statements, each with another text. */
static int prepare(sqlite3 *db, sqlite3_stmt **statements, unsigned n,
                   struct lido_error *err)
{
    int rc =
        sqlite3_exec(db, "CREATE TABLE IF NOT EXISTS item (id INTEGER PRIMARY KEY, value)",
                     NULL, NULL, NULL);

    for (unsigned i = 0; rc == SQLITE_OK && i < n; i++) {
        char sql[64];

        sqlite3_snprintf(sizeof sql, sql, "SELECT value FROM item WHERE id = ?1 + %u", i);
        rc = sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, &statements[i],
                                NULL);
    }
    if (rc != SQLITE_OK)
        return lido_fail(err, rc, "could not prepare the statements: %s",
                         sqlite3_errmsg(db));
    return LIDO_OK;
}

static int prepare_all(struct queue *queue, unsigned statements, struct lido_error *err)
{
    struct lido_conn conns[MAX_THREADS];
    int rc = checkout_all(queue, conns, err);
    int checkin_rc;

    if (rc != LIDO_OK)
        return rc;
    queue->n_statements = (size_t)statements * MAX_THREADS;
    for (unsigned i = 0; rc == LIDO_OK && i < MAX_THREADS; i++)
        rc = prepare(lido_conn_sqlite(&conns[i]),
                     queue->statements + (size_t)i * statements, statements, err);
    checkin_rc = checkin_all(conns, MAX_THREADS, rc == LIDO_OK ? err : NULL);
    return rc == LIDO_OK ? checkin_rc : rc;
}

static void close_queue(void *ctx)
{
    struct queue *queue = ctx;
    struct lido_conn conns[MAX_THREADS];

    /* Who has all the connections may touch all their statements. */
    if (queue->n_statements > 0 && checkout_all(queue, conns, NULL) == LIDO_OK) {
        for (size_t i = 0; i < queue->n_statements; i++)
            sqlite3_finalize(queue->statements[i]);
        checkin_all(conns, MAX_THREADS, NULL);
    }
    lido_pool_close(queue->pool, 0, NULL);
    lido_pool_free(queue->pool);
    free(queue->statements);
    free(queue);
}

int subject_open_queue(struct subject *out, const char *name, const char *file_url,
                       const char *options, unsigned statements, struct lido_error *err)
{
    struct queue *queue = calloc(1, sizeof *queue);
    sqlite3_stmt **pointers =
        calloc((size_t)statements * MAX_THREADS + 1, sizeof *pointers);
    char *url = sqlite3_mprintf("sqlite:///%s?pool=queue&pool_size=%d&max_overflow=0%s",
                                file_url, MAX_THREADS, options);
    int rc;

    *out = (struct subject){ .name = name };
    if (queue == NULL || pointers == NULL || url == NULL) {
        rc = lido_fail(err, SQLITE_NOMEM, "out of memory");
        goto fail;
    }
    rc = lido_pool_open(&queue->pool, url, NULL, err);
    if (rc != LIDO_OK)
        goto fail;
    queue->statements = pointers;
    pointers = NULL;
    rc = prepare_all(queue, statements, err);
    if (rc != LIDO_OK) {
        close_queue(queue);
        queue = NULL;
        goto fail;
    }
    sqlite3_free(url);
    *out =
        (struct subject){ .name = name, .ctx = queue, .work = work, .close = close_queue };
    return LIDO_OK;

fail:
    sqlite3_free(url);
    free(pointers);
    free(queue);
    return rc;
}
