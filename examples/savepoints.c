/* SPDX-License-Identifier: MIT */
/*
 * Savepoints: an import that keeps what is good and undoes what is not.
 *
 * Each entry is written in a savepoint inside one transaction.  One that breaks a rule half
 * way is rolled back to its savepoint, and those before it stay; the whole becomes visible to
 * others by one commit.  Then the sum is read in a transaction that cannot write.
 *
 *     savepoints     (a memory database, which is gone afterwards)
 *
 * Answers 0 only if the two good entries are there and nothing of the bad one, and if the
 * reading transaction refused to write.
 *
 * Threads: one.
 */
#include <lido/lido.h>
#include <stdio.h>
#include <stdlib.h>

static int run(const struct lido_conn *conn, const char *sql, struct lido_error *err)
{
    sqlite3 *db = lido_conn_sqlite(conn);
    int rc = sqlite3_exec(db, sql, NULL, NULL, NULL);

    return rc == SQLITE_OK ? LIDO_OK : lido_fail(err, rc, "%s", sqlite3_errmsg(db));
}

/* One entry: two rows that belong together, or none.  *is_kept says which. */
static int import_entry(const struct lido_conn *conn, const char *rows, int *is_kept,
                        struct lido_error *err)
{
    struct lido_error why = LIDO_ERROR_INIT;
    struct lido_savepoint before;
    int rc = lido_txn_savepoint_next(conn, &before, err);

    if (rc != LIDO_OK)
        return rc;
    *is_kept = run(conn, rows, &why) == LIDO_OK;
    if (!*is_kept) {
        printf("left out: %s\n", why.text);
        rc = lido_txn_rollback_to(conn, before.name, err);
    }
    /* Rolling back keeps the savepoint itself; it is not needed any more either way. */
    return rc == LIDO_OK ? lido_txn_release(conn, before.name, err) : rc;
}

static int import_all(const struct lido_conn *conn, int *kept, struct lido_error *err)
{
    static const char *const entries[] = {
        "INSERT INTO entry VALUES (1, 10); INSERT INTO entry VALUES (2, -10)",
        "INSERT INTO entry VALUES (3, 99); INSERT INTO entry VALUES (1, -99)",
        "INSERT INTO entry VALUES (4, 7); INSERT INTO entry VALUES (5, -7)",
    };
    int is_kept, rc = lido_txn_begin(conn, LIDO_IMMEDIATE, err);

    if (rc != LIDO_OK)
        return rc;
    for (size_t i = 0; rc == LIDO_OK && i < sizeof entries / sizeof entries[0]; i++) {
        rc = import_entry(conn, entries[i], &is_kept, err);
        *kept += rc == LIDO_OK && is_kept;
    }
    if (rc == LIDO_OK)
        rc = lido_txn_commit(conn, NULL, err);
    if (rc != LIDO_OK)
        lido_txn_rollback(conn, NULL);
    return rc;
}

static int read_number(void *out, int columns, char **values, char **names)
{
    (void)columns, (void)names;
    *(int *)out = values[0] != NULL ? (int)strtol(values[0], NULL, 10) : -1;
    return 0;
}

/* Nothing that is read here can be changed by mistake. */
static int read_count(const struct lido_conn *conn, int *count, struct lido_error *err)
{
    int rc = lido_txn_begin(conn, LIDO_READ, err);

    if (rc != LIDO_OK)
        return rc;
    if (sqlite3_exec(lido_conn_sqlite(conn), "SELECT count(*) FROM entry", read_number,
                     count, NULL) != SQLITE_OK)
        rc = lido_fail(err, SQLITE_ERROR, "%s", sqlite3_errmsg(lido_conn_sqlite(conn)));
    else if (run(conn, "DELETE FROM entry", NULL) != SQLITE_READONLY)
        rc = lido_fail(err, SQLITE_ERROR, "a transaction to read has written");
    lido_txn_rollback(conn, NULL);
    return rc;
}

static int show(lido_pool *pool, struct lido_error *err)
{
    int kept = 0, count = 0, rc;
    struct lido_conn conn;

    rc = lido_pool_checkout(pool, &conn, NULL, err);
    if (rc != LIDO_OK)
        return rc;
    rc = run(&conn, "CREATE TABLE entry (id INTEGER PRIMARY KEY, amount)", err);
    if (rc == LIDO_OK)
        rc = import_all(&conn, &kept, err);
    if (rc == LIDO_OK)
        rc = read_count(&conn, &count, err);
    lido_conn_checkin(&conn, NULL, NULL);
    if (rc == LIDO_OK && (kept != 2 || count != 4))
        rc = lido_fail(err, SQLITE_ERROR, "%d entries and %d rows, not 2 and 4", kept,
                       count);
    if (rc == LIDO_OK)
        printf("kept: %d entries with %d rows\n", kept, count);
    return rc;
}

int main(void)
{
    struct lido_error err = LIDO_ERROR_INIT;
    lido_pool *pool;
    int rc = lido_pool_open(&pool, "sqlite://", NULL, &err);

    if (rc == LIDO_OK)
        rc = show(pool, &err);
    lido_pool_free(pool);
    if (rc != LIDO_OK)
        fprintf(stderr, "savepoints: %s: %s\n", lido_status_name(rc), err.text);
    return rc != LIDO_OK;
}
