/* SPDX-License-Identifier: MIT */
/*
 * The first program of README.md: a pool, a connection out of it, a statement.
 *
 *     first_pool [URL]     (sqlite:///first.db?pool=queue, in the working directory)
 *
 * Threads: one.
 */
#include <lido/lido.h>
#include <stdio.h>

int main(int argc, char **argv)
{
    const char *url = argc > 1 ? argv[1] : "sqlite:///first.db?pool=queue";
    struct lido_error err = LIDO_ERROR_INIT;
    struct lido_conn conn;
    lido_pool *pool;

    if (lido_pool_open(&pool, url, NULL, &err) == LIDO_OK &&
        lido_pool_checkout(pool, &conn, NULL, &err) == LIDO_OK) {
        sqlite3 *db = lido_conn_sqlite(&conn);

        if (sqlite3_exec(db, "CREATE TABLE IF NOT EXISTS note (text)", NULL, NULL, NULL))
            lido_fail(&err, sqlite3_errcode(db), "%s", sqlite3_errmsg(db));
        lido_conn_checkin(&conn, NULL, &err);
    }
    lido_pool_free(pool);
    puts(err.code == LIDO_OK ? "the table is there" : err.text);
    return err.code != LIDO_OK;
}
