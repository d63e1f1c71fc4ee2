/* SPDX-License-Identifier: MIT */
/*
 * Phase sqlite: money moves between accounts in a real file, and none is lost or made.
 *
 * Each transfer is one transaction that reads, then writes; some are rolled back, by call or
 * by a check-in that finds them open.
 *
 * Threads: four.
 */
#include "tests/stress/hammer.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define WORKERS  4
#define ACCOUNTS 8
#define START    1000

struct bank {
    lido_pool *pool;
    int rounds;
    atomic_long committed;
};

static int make_fast(void *ctx, const struct lido_event *event, struct lido_error *err)
{
    (void)ctx, (void)err;
    return sqlite3_exec(event->sqlite, "PRAGMA synchronous=OFF", NULL, NULL, NULL);
}

static const struct lido_events on_connect = { .size = sizeof on_connect,
                                               .connect = make_fast };

static long number(const struct lido_conn *conn, const char *sql)
{
    sqlite3_stmt *stmt = NULL;
    long answer = -1;
    int rc = sqlite3_prepare_v2(lido_conn_sqlite(conn), sql, -1, &stmt, NULL);

    if (rc == SQLITE_OK && sqlite3_step(stmt) == SQLITE_ROW)
        answer = (long)sqlite3_column_int64(stmt, 0);
    else
        hammer_expect(false, "%s: %s", sql, sqlite3_errmsg(lido_conn_sqlite(conn)));
    sqlite3_finalize(stmt);
    return answer;
}

static void execute(const struct lido_conn *conn, const char *sql)
{
    int rc = sqlite3_exec(lido_conn_sqlite(conn), sql, NULL, NULL, NULL);

    hammer_expect(rc == SQLITE_OK, "%s: %s", sql, sqlite3_errmsg(lido_conn_sqlite(conn)));
}

/* Sets both balances from what it has read: a lost update would show in the sum. */
static void move_money(const struct lido_conn *conn, uint64_t *random)
{
    unsigned from = hammer_random(random, ACCOUNTS);
    unsigned to = (from + 1 + hammer_random(random, ACCOUNTS - 1)) % ACCOUNTS;
    long amount = (long)hammer_random(random, 50), balance[2];
    char sql[120];

    snprintf(sql, sizeof sql, "SELECT balance FROM account WHERE id = %u", from);
    balance[0] = number(conn, sql);
    snprintf(sql, sizeof sql, "SELECT balance FROM account WHERE id = %u", to);
    balance[1] = number(conn, sql);
    snprintf(sql, sizeof sql, "UPDATE account SET balance = %ld WHERE id = %u",
             balance[0] - amount, from);
    execute(conn, sql);
    snprintf(sql, sizeof sql, "UPDATE account SET balance = %ld WHERE id = %u",
             balance[1] + amount, to);
    execute(conn, sql);
    execute(conn, "UPDATE log SET n = n + 1");
}

static void work(void *ctx, int number_, uint64_t *random)
{
    struct bank *bank = ctx;
    struct lido_error err = LIDO_ERROR_INIT;

    (void)number_;
    for (int i = 0; i < bank->rounds; i++) {
        struct lido_conn conn;
        int outcome = LIDO_OUTCOME_COMMITTED, rc;
        unsigned end = hammer_random(random, 8);

        rc = lido_pool_checkout(bank->pool, &conn, NULL, &err);
        hammer_expect(rc == LIDO_OK, "a checkout answered %s: %s", lido_status_name(rc),
                      err.text);
        if (rc != LIDO_OK)
            continue;
        rc = lido_txn_begin(&conn, LIDO_IMMEDIATE, &err);
        hammer_expect(rc == LIDO_OK, "begin answered %s: %s", lido_status_name(rc),
                      err.text);
        if (rc == LIDO_OK)
            move_money(&conn, random);
        if (rc == LIDO_OK && end == 0)
            rc = lido_txn_rollback(&conn, &err);
        else if (rc == LIDO_OK && end > 1)
            rc = lido_txn_commit(&conn, &outcome, &err);
        hammer_expect(rc == LIDO_OK && outcome == LIDO_OUTCOME_COMMITTED,
                      "a transaction ended with %s: %s", lido_status_name(rc), err.text);
        if (rc == LIDO_OK && end > 1)
            atomic_fetch_add_explicit(&bank->committed, 1, memory_order_relaxed);
        rc = lido_conn_checkin(&conn, NULL, &err);
        hammer_expect(rc == LIDO_OK, "a check-in answered %s: %s", lido_status_name(rc),
                      err.text);
    }
}

static void open_bank(struct bank *bank, const char *path, const char *keys)
{
    struct lido_conn conn;
    char url[200];

    snprintf(url, sizeof url, "sqlite:///%s?%s", path, keys);
    bank->pool = hammer_open(url);
    hammer_expect(lido_hooks_add(lido_pool_hooks(bank->pool), NULL, &on_connect, NULL, NULL,
                                 NULL) == LIDO_OK,
                  "no hook was added");
    if (lido_pool_checkout(bank->pool, &conn, NULL, NULL) != LIDO_OK)
        abort();
    execute(&conn,
            "PRAGMA journal_mode=WAL; DROP TABLE IF EXISTS account;"
            "DROP TABLE IF EXISTS log; CREATE TABLE log(n); INSERT INTO log VALUES(0);"
            "CREATE TABLE account(id INTEGER PRIMARY KEY, balance INTEGER)");
    for (int i = 0; i < ACCOUNTS; i++) {
        char sql[80];

        snprintf(sql, sizeof sql, "INSERT INTO account VALUES(%d, %d)", i, START);
        execute(&conn, sql);
    }
    lido_conn_checkin(&conn, NULL, NULL);
}

static void close_bank(struct bank *bank)
{
    struct lido_conn conn;

    if (lido_pool_checkout(bank->pool, &conn, NULL, NULL) != LIDO_OK)
        abort();
    hammer_expect(number(&conn, "SELECT sum(balance) FROM account") == ACCOUNTS * START,
                  "money was lost or made");
    hammer_expect(number(&conn, "SELECT n FROM log") == bank->committed,
                  "%ld were committed, not %ld", number(&conn, "SELECT n FROM log"),
                  bank->committed);
    lido_conn_checkin(&conn, NULL, NULL);
    hammer_expect(lido_pool_close(bank->pool, 0, NULL) == LIDO_OK, "close");
    lido_pool_free(bank->pool);
}

void phase_sqlite(void)
{
    static const char *const keys[] = { "pool=queue&pool_size=2&max_overflow=1",
                                        "pool=null" };
    static const char *const endings[] = { "", "-wal", "-shm" };
    const char *above = getenv("TMPDIR");
    char folder[100], path[120], name[130];

    snprintf(folder, sizeof folder, "%s/lido-hammer-XXXXXX",
             above != NULL ? above : "/tmp");
    if (mkdtemp(folder) == NULL)
        abort();
    snprintf(path, sizeof path, "%s/bank.db", folder);
    for (int i = 0; i < 2; i++) {
        struct bank bank = { .rounds = hammer_rounds(300) };

        open_bank(&bank, path, keys[i]);
        hammer_run(WORKERS, work, &bank);
        close_bank(&bank);
    }
    for (int i = 0; i < 3; i++) {
        snprintf(name, sizeof name, "%s%s", path, endings[i]);
        unlink(name);
    }
    rmdir(folder);
}
