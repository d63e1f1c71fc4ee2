/* SPDX-License-Identifier: MIT */
/*
 * autobegin: a program that never says BEGIN.
 *
 * With autobegin=write the first statement that writes begins a transaction, and it stays
 * open until the program commits or rolls back.  What is not committed when the lease ends
 * was never done.  And where SQLite itself ended the transaction nothing more is written,
 * until the program has taken note.
 *
 * Answers 0 only if just what was committed is there.
 *
 * Threads: one.
 */
#include <lido/lido.h>
#include <stdio.h>

static int read_number(void *ctx, const struct lido_stmt *row, struct lido_error *err)
{
    (void)err;
    *(int64_t *)ctx = lido_stmt_integer(row, 0);
    return LIDO_OK;
}

/* On a lease of its own, which sees what was committed. */
static int expect_sum(lido_pool *pool, int64_t wanted, struct lido_error *err)
{
    int64_t sum = -1;
    int rc = lido_pool_query(pool, "SELECT coalesce(sum(amount), 0) FROM entry", NULL, 0,
                             read_number, &sum, err);

    if (rc == LIDO_OK && sum != wanted)
        rc = lido_fail(err, SQLITE_ERROR, "the sum is %lld, not %lld", (long long)sum,
                       (long long)wanted);
    return rc;
}

/* Two statements, one transaction. */
static int commit_both(const struct lido_conn *conn, struct lido_error *err)
{
    int rc = lido_conn_exec(conn, "INSERT INTO entry VALUES (1, 10)", err);

    if (rc == LIDO_OK && lido_txn_state(conn) != LIDO_TXN_WRITE)
        rc = lido_fail(err, SQLITE_ERROR, "nothing was begun");
    if (rc == LIDO_OK)
        rc = lido_conn_exec(conn, "INSERT INTO entry VALUES (2, 20)", err);
    return rc == LIDO_OK ? lido_txn_commit(conn, NULL, err) : rc;
}

/* SQLite ends the transaction, and what follows is refused: it would be committed alone. */
static int be_refused(const struct lido_conn *conn, struct lido_error *err)
{
    int rc = lido_conn_exec(conn, "INSERT INTO entry VALUES (3, 30)", err);

    if (rc != LIDO_OK)
        return rc;
    rc = lido_conn_exec(conn, "INSERT OR ROLLBACK INTO entry VALUES (1, 40)", NULL);
    if ((rc & 0xff) != SQLITE_CONSTRAINT)
        return lido_fail(err, SQLITE_ERROR, "entry 1 is there twice");
    rc = lido_conn_exec(conn, "INSERT INTO entry VALUES (4, 50)", err);
    if (rc != LIDO_TXN_OVER)
        return lido_fail(err, SQLITE_ERROR, "half of a transaction was written");
    printf("refused: %s\n", err->text);
    return lido_txn_rollback(conn, err);
}

static int use(lido_pool *pool, int (*work)(const struct lido_conn *, struct lido_error *),
               struct lido_error *err)
{
    struct lido_conn conn;
    int later, rc = lido_pool_checkout(pool, &conn, NULL, err);

    if (rc != LIDO_OK)
        return rc;
    rc = work(&conn, err);
    later = lido_conn_checkin(&conn, NULL, rc == LIDO_OK ? err : NULL);
    return rc != LIDO_OK ? rc : later;
}

static int create(const struct lido_conn *conn, struct lido_error *err)
{
    int rc =
        lido_conn_exec(conn, "CREATE TABLE entry (id INTEGER PRIMARY KEY, amount)", err);

    return rc == LIDO_OK ? lido_txn_commit(conn, NULL, err) : rc;
}

static int forget(const struct lido_conn *conn, struct lido_error *err)
{
    return lido_conn_exec(conn, "INSERT INTO entry VALUES (5, 60)", err);
}

static int show(lido_pool *pool, struct lido_error *err)
{
    int rc = use(pool, create, err);

    if (rc == LIDO_OK)
        rc = use(pool, commit_both, err);
    if (rc == LIDO_OK)
        rc = expect_sum(pool, 30, err);
    if (rc == LIDO_OK)
        rc = use(pool, be_refused, err);
    if (rc == LIDO_OK)
        rc = use(pool, forget, err); /* and no commit */
    return rc == LIDO_OK ? expect_sum(pool, 30, err) : rc;
}

int main(void)
{
    struct lido_error err = LIDO_ERROR_INIT;
    lido_pool *pool;
    int rc = lido_pool_open(&pool, "sqlite://?pool=static&autobegin=write", NULL, &err);

    if (rc == LIDO_OK)
        rc = show(pool, &err);
    lido_pool_free(pool);
    if (rc != LIDO_OK)
        fprintf(stderr, "autobegin: %s: %s\n", lido_status_name(rc), err.text);
    return rc != LIDO_OK;
}
