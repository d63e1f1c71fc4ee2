/* SPDX-License-Identifier: MIT */
/*
 * The runner: money is moved between accounts by several threads, each in a transaction that
 * reads first and then writes, which SQLite refuses when another was faster.  The runner runs
 * such a function again, and the sum stays what it was.
 *
 *     runner URL
 *
 * Answers 0 only if no money was lost or made.
 *
 * Threads: several.
 */
#include <lido/lido.h>
#include <pthread.h>
#include <stdio.h>

#define THREADS   4
#define TRANSFERS 25
#define MONEY     100LL

struct transfer {
    int64_t from, to, amount;
};

static int keep_number(void *ctx, const struct lido_stmt *row, struct lido_error *err)
{
    (void)err;
    *(int64_t *)ctx = lido_stmt_integer(row, 0);
    return LIDO_OK;
}

/* May be called several times for one transfer: it changes nothing but the database. */
static int move(void *ctx, const struct lido_conn *conn, struct lido_error *err)
{
    const struct transfer *transfer = ctx;
    const struct lido_value from[] = { lido_integer(transfer->from) };
    const struct lido_value pay[] = { lido_integer(transfer->amount), from[0] };
    const struct lido_value get[] = { pay[0], lido_integer(transfer->to) };
    int64_t balance = 0;
    int rc = lido_conn_query(conn, "SELECT balance FROM account WHERE id = ?", from, 1,
                             keep_number, &balance, err);

    if (rc == LIDO_OK && balance < transfer->amount)
        return LIDO_ROLLBACK; /* not enough: no error, and nothing is done */
    if (rc == LIDO_OK)
        rc = lido_conn_query(conn, "UPDATE account SET balance = balance - ? WHERE id = ?",
                             pay, 2, NULL, NULL, err);
    if (rc == LIDO_OK)
        rc = lido_conn_query(conn, "UPDATE account SET balance = balance + ? WHERE id = ?",
                             get, 2, NULL, NULL, err);
    return rc;
}

struct mover {
    lido_pool *pool;
    int number;
    int rc;
    struct lido_error err; /* one per thread */
};

static void *move_often(void *arg)
{
    struct mover *mover = arg;

    for (int i = 0; i < TRANSFERS && mover->rc == LIDO_OK; i++) {
        struct transfer transfer = { 1 + (mover->number + i) % 3, 1 + i % 3, 1 + i % 9 };

        mover->rc =
            lido_pool_run(mover->pool, LIDO_DEFERRED, move, &transfer, NULL, &mover->err);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    struct lido_error err = LIDO_ERROR_INIT;
    struct mover movers[THREADS];
    pthread_t threads[THREADS];
    int64_t sum = 0;
    lido_pool *pool;
    int rc = lido_pool_open(&pool, argc > 1 ? argv[1] : "sqlite:///runner.db?pool=queue",
                            NULL, &err);

    if (rc == LIDO_OK)
        rc =
            lido_pool_exec(pool,
                           "DROP TABLE IF EXISTS account;"
                           "CREATE TABLE account (id INTEGER PRIMARY KEY, balance INTEGER);"
                           "INSERT INTO account (balance) VALUES (100), (100), (100)",
                           &err);
    for (int i = 0; i < THREADS && rc == LIDO_OK; i++) {
        movers[i] = (struct mover){ .pool = pool, .number = i };
        if (pthread_create(&threads[i], NULL, move_often, &movers[i]) != 0)
            return 1;
    }
    for (int i = 0; i < THREADS && rc == LIDO_OK; i++) {
        pthread_join(threads[i], NULL);
        if (movers[i].rc != LIDO_OK)
            printf("thread %d: %s\n", i, movers[i].err.text);
    }
    if (rc == LIDO_OK)
        rc = lido_pool_query(pool, "SELECT sum(balance) FROM account", NULL, 0, keep_number,
                             &sum, &err);
    lido_pool_free(pool);
    if (rc != LIDO_OK)
        puts(err.text);
    else
        printf("%lld of %lld are there\n", (long long)sum, 3 * MONEY);
    return sum != 3 * MONEY;
}
