/* SPDX-License-Identifier: MIT */
/*
 * Statements: prepared once, run many times, with values that are never pasted into SQL.
 *
 * A statement is prepared at the first lido_stmt_prepare() of its text on a connection, and
 * comes from the connection's cache from then on, also for the next lease.
 *
 * Answers 0 only if the values came back as they were and the cache was used.
 *
 * Threads: one.
 */
#include <lido/lido.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    double degrees;
} places[] = {
    { "Lido di Venezia", 45.4 },
    { "Robert'); DROP TABLE place;--", 37.5 }, /* text, and nothing but text */
    { "Ostia Lido", 41.7 },
};
#define N_PLACES ((int)(sizeof places / sizeof places[0]))

/* One row for each, by one statement that is kept over the loop. */
static int insert_all(const struct lido_conn *conn, struct lido_error *err)
{
    struct lido_stmt stmt;
    int rc = lido_stmt_prepare(
        conn, &stmt, "INSERT INTO place (name, degrees) VALUES (:name, :degrees)", err);

    if (rc != LIDO_OK)
        return rc;
    for (int i = 0; rc == LIDO_OK && i < N_PLACES; i++) {
        rc = lido_stmt_bind_name(&stmt, ":name", lido_text(places[i].name), err);
        if (rc == LIDO_OK)
            rc = lido_stmt_bind_name(&stmt, ":degrees", lido_real(places[i].degrees), err);
        if (rc == LIDO_OK)
            rc = lido_stmt_step(&stmt, err);
        rc = rc == SQLITE_DONE ? LIDO_OK : rc;
    }
    lido_stmt_finalize(&stmt, NULL); /* back to the cache */
    return rc;
}

static int show_row(void *ctx, const struct lido_stmt *row, struct lido_error *err)
{
    int *seen = ctx;

    if (strcmp(lido_stmt_text(row, 1, NULL), places[*seen].name) != 0)
        return lido_fail(err, SQLITE_MISMATCH, "another name came back");
    printf("%lld  %-30s %.1f\n", (long long)lido_stmt_integer(row, 0),
           lido_stmt_text(row, 1, NULL), lido_stmt_real(row, 2));
    ++*seen;
    return LIDO_OK;
}

/* On a lease of its own each time: the connection is the same, and so is its cache. */
static int read_twice(lido_pool *pool, int *seen, struct lido_error *err)
{
    const struct lido_value from = lido_real(30);
    int rc = LIDO_OK;

    for (int turn = 0; rc == LIDO_OK && turn < 2; turn++) {
        *seen = 0;
        rc = lido_pool_query(pool, "SELECT id, name, degrees FROM place WHERE degrees > ?1",
                             &from, 1, show_row, seen, err);
    }
    return rc;
}

static int show(lido_pool *pool, struct lido_error *err)
{
    struct lido_statement_stats stats = LIDO_STATEMENT_STATS_INIT;
    struct lido_conn conn;
    int seen = 0, rc;

    rc = lido_pool_exec(
        pool, "CREATE TABLE place (id INTEGER PRIMARY KEY, name TEXT, degrees REAL)", err);
    if (rc == LIDO_OK)
        rc = lido_pool_checkout(pool, &conn, NULL, err);
    if (rc != LIDO_OK)
        return rc;
    rc = insert_all(&conn, err);
    lido_conn_checkin(&conn, NULL, NULL);
    if (rc == LIDO_OK)
        rc = read_twice(pool, &seen, err);
    if (rc == LIDO_OK)
        rc = lido_pool_checkout(pool, &conn, NULL, err);
    if (rc != LIDO_OK)
        return rc;
    rc = lido_conn_statement_stats(&conn, &stats, err);
    lido_conn_checkin(&conn, NULL, NULL);
    if (rc == LIDO_OK && (seen != N_PLACES || stats.hits != 1))
        rc = lido_fail(err, SQLITE_ERROR, "%d rows, and %llu statements from the cache",
                       seen, (unsigned long long)stats.hits);
    return rc;
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
        fprintf(stderr, "statements: %s: %s\n", lido_status_name(rc), err.text);
    return rc != LIDO_OK;
}
