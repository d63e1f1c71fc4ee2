/* SPDX-License-Identifier: MIT */
/*
 * Phase statements: threads that share one connection run statements on leases of their own,
 * nested ones too, and end the leases with statements open and rows unread, or invalidate them.
 *
 * A transaction takes from one row and gives to another, and between the two the sum is wrong:
 * nobody but its own lease may see that.
 *
 * Threads: six.
 */
#include "tests/stress/hammer.h"

#include <stdio.h>
#include <stdlib.h>

#define WORKERS 6
#define ROWS    4

struct statements {
    lido_pool *pool;
    int rounds;
};

static bool is_expected(int rc)
{
    return rc == LIDO_OK || rc == SQLITE_BUSY || rc == LIDO_IN_TXN || rc == LIDO_STALE ||
           rc == LIDO_NO_CONNECTION;
}

static bool run(const struct lido_conn *conn, const char *sql, int64_t by, int64_t id)
{
    const struct lido_value values[] = { lido_integer(by), lido_integer(id) };
    struct lido_error err = LIDO_ERROR_INIT;
    int rc = lido_conn_query(conn, sql, values, 2, NULL, NULL, &err);

    hammer_expect(is_expected(rc), "%s answered %s: %s", sql, lido_status_name(rc),
                  err.text);
    return rc == LIDO_OK;
}

/* The sum is what it was whenever a statement of this lease may run at all. */
static void look(const struct lido_conn *conn, bool leaves_open)
{
    struct lido_stmt stmt;
    int rc = lido_stmt_prepare(conn, &stmt, "SELECT sum(n), max(id) FROM t", NULL);

    hammer_expect(is_expected(rc), "prepare answered %s", lido_status_name(rc));
    if (rc != LIDO_OK)
        return;
    rc = lido_stmt_step(&stmt, NULL);
    hammer_expect(rc == SQLITE_ROW || is_expected(rc), "step answered %s",
                  lido_status_name(rc));
    if (rc == SQLITE_ROW)
        hammer_expect(lido_stmt_integer(&stmt, 0) == 0, "the sum is %lld",
                      (long long)lido_stmt_integer(&stmt, 0));
    if (!leaves_open)
        lido_stmt_finalize(&stmt, NULL);
}

static void transfer(const struct lido_conn *conn, uint64_t *random)
{
    static const char sql[] = "UPDATE t SET n = n + ?1 WHERE id = ?2";
    int64_t by = 1 + hammer_random(random, 9);
    int rc = lido_txn_begin(conn, LIDO_IMMEDIATE, NULL);
    bool is_whole;

    hammer_expect(is_expected(rc), "begin answered %s", lido_status_name(rc));
    if (rc != LIDO_OK)
        return;
    is_whole = run(conn, sql, by, 1 + hammer_random(random, ROWS));
    hammer_pause(random);
    is_whole = run(conn, sql, -by, 1 + hammer_random(random, ROWS)) && is_whole;
    if (hammer_random(random, 4) == 0)
        return; /* the end of the lease undoes it */
    rc = is_whole ? lido_txn_commit(conn, NULL, NULL) : lido_txn_rollback(conn, NULL);
    hammer_expect(is_expected(rc), "the end answered %s", lido_status_name(rc));
}

static void end(struct lido_conn *conn, uint64_t *random)
{
    int rc;

    if (hammer_random(random, 20) == 0)
        lido_conn_invalidate_soft(conn, NULL, NULL);
    rc = lido_conn_checkin(conn, NULL, NULL);
    hammer_expect(rc == LIDO_OK, "check-in answered %s", lido_status_name(rc));
}

static void work(void *ctx, int number, uint64_t *random)
{
    const struct statements *all = ctx;

    (void)number;
    for (int i = 0; i < all->rounds; i++) {
        struct lido_conn conn, nested;
        bool is_nested = hammer_random(random, 3) == 0;

        if (lido_pool_checkout(all->pool, &conn, NULL, NULL) != LIDO_OK)
            continue;
        if (hammer_random(random, 2) == 0)
            look(&conn, hammer_random(random, 4) == 0);
        else
            transfer(&conn, random);
        if (is_nested && lido_pool_checkout(all->pool, &nested, NULL, NULL) == LIDO_OK) {
            look(&nested, hammer_random(random, 2) == 0);
            end(&nested, random);
        }
        end(&conn, random);
    }
}

/* Waits are short: after an invalidation a thread may wait for a lock of its own. */
static lido_pool *open_pool(const char *url)
{
    struct lido_pool_options options = LIDO_POOL_OPTIONS_INIT;
    struct lido_error err = LIDO_ERROR_INIT;
    lido_pool *pool;

    options.timeout_ms = 20;
    if (lido_pool_open(&pool, url, &options, &err) != LIDO_OK) {
        fprintf(stderr, "%s: %s\n", url, err.text);
        abort();
    }
    return pool;
}

static void hammer_one(const char *url, int rounds)
{
    struct statements all = { open_pool(url), rounds };
    lido_pool *keeper = open_pool("sqlite:///file:/hammer?uri=1&vfs=memdb&pool=queue");
    struct lido_conn kept; /* keeps the database while no other connection is open */
    struct lido_error err = LIDO_ERROR_INIT;
    int rc = lido_pool_checkout(keeper, &kept, NULL, &err);

    if (rc == LIDO_OK)
        rc = lido_conn_exec(&kept,
                            "CREATE TABLE t (id INTEGER PRIMARY KEY, n);"
                            "INSERT INTO t VALUES (1, 0), (2, 0), (3, 0), (4, 0)",
                            &err);

    hammer_expect(rc == LIDO_OK, "%s: %s", url, err.text);
    hammer_run(WORKERS, work, &all);
    hammer_expect(lido_pool_close(all.pool, 0, NULL) == LIDO_OK, "close");
    lido_pool_free(all.pool);
    hammer_expect(lido_conn_checkin(&kept, NULL, NULL) == LIDO_OK, "the keeper");
    lido_pool_free(keeper);
}

void phase_statements(void)
{
    hammer_one("sqlite:///file:/hammer?uri=1&vfs=memdb&pool=static", hammer_rounds(800));
    hammer_one("sqlite:///file:/hammer?uri=1&vfs=memdb&pool=static&cached_statements=1",
               hammer_rounds(400));
}
