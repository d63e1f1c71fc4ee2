/* SPDX-License-Identifier: MIT */
/*
 * Checks: what must be true of a pool and of the copy, whatever the threads did.
 *
 * Each goes on after one that failed, so that the report has them all.
 *
 * Threads: one; the threads of the run have ended.
 */
#include "cli/demo.h"

#include <dirent.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { CLOSE_MS = 5000 };

void demo_checks_add(struct demo_checks *checks, const char *kind, const char *name,
                     bool holds, const char *format, ...)
{
    struct demo_check *check = &checks->list[checks->n];
    va_list args;

    if (checks->n == DEMO_CHECKS)
        return;
    checks->n++;
    check->kind = kind;
    check->name = name;
    check->holds = holds;
    va_start(args, format);
    vsnprintf(check->detail, sizeof check->detail, format, args);
    va_end(args);
    demo_flatten(check->detail);
}

int demo_descriptors(void)
{
    DIR *entries = opendir("/proc/self/fd");
    int n = 0;

    if (entries == NULL)
        return -1;
    while (readdir(entries) != NULL)
        n++;
    closedir(entries);
    return n;
}

/* True if a ledger row for an account that does not exist is refused; else why not, in err.
 */
static bool is_refused(const struct lido_conn *conn, const struct demo_copy *copy,
                       struct lido_error *err)
{
    sqlite3 *db = lido_conn_sqlite(conn);
    char *sql =
        sqlite3_mprintf("INSERT INTO main.%s (source, target, amount) VALUES (%d, 1, 1)",
                        copy->ledger, DEMO_ACCOUNTS + 1);
    int rc = SQLITE_NOMEM;

    if (sql != NULL) {
        rc = sqlite3_exec(db, sql, NULL, NULL, NULL);
        rc = rc == SQLITE_OK ? rc : sqlite3_extended_errcode(db);
    }
    sqlite3_free(sql);
    if (rc == SQLITE_CONSTRAINT_FOREIGNKEY)
        return true;
    lido_fail(err, rc, rc == SQLITE_OK ? "the row was accepted" : "%s", sqlite3_errmsg(db));
    return false;
}

void demo_check_foreign_keys(struct demo_checks *checks, lido_pool *pool, const char *kind,
                             int n, const struct demo_copy *copy)
{
    struct lido_conn *conns = calloc((size_t)n, sizeof *conns);
    struct lido_error err = LIDO_ERROR_INIT;
    int lent = 0, refused = 0;

    /* All at once, or the same connection would be asked again and again. */
    while (conns != NULL && lent < n &&
           lido_pool_checkout(pool, &conns[lent], NULL, &err) == LIDO_OK)
        lent++;
    for (int i = 0; i < lent; i++)
        refused += is_refused(&conns[i], copy, &err);
    for (int i = 0; i < lent; i++)
        lido_conn_checkin(&conns[i], NULL, &err);
    free(conns);
    demo_checks_add(checks, kind, "every connection refused a broken foreign key",
                    refused == n, "%d of %d%s%s", refused, n,
                    err.text[0] == '\0' ? "" : ": ", err.text);
}

void demo_check_close(struct demo_checks *checks, lido_pool *pool, const char *kind,
                      int descriptors_before)
{
    struct lido_pool_stats before = LIDO_POOL_STATS_INIT, after = LIDO_POOL_STATS_INIT;
    struct lido_error err = LIDO_ERROR_INIT;
    int rc = lido_pool_stats(pool, &before, &err), descriptors;

    if (rc == LIDO_OK)
        rc = lido_pool_close(pool, CLOSE_MS, &err);
    demo_checks_add(checks, kind, "the pool closed with no lease left",
                    rc == LIDO_OK && before.out == 0 && before.waiting == 0, "%lld out%s%s",
                    (long long)before.out, rc == LIDO_OK ? "" : ": ", err.text);
    rc = lido_pool_stats(pool, &after, &err);
    demo_checks_add(checks, kind, "every connection that was opened was closed",
                    rc == LIDO_OK && after.connects > 0 && after.connects == after.closes,
                    "%llu of %llu", (unsigned long long)after.closes,
                    (unsigned long long)after.connects);
    lido_pool_free(pool);
    descriptors = demo_descriptors();
    if (descriptors_before >= 0)
        demo_checks_add(checks, kind, "no file descriptor was left open",
                        descriptors == descriptors_before, "%d more",
                        descriptors - descriptors_before);
}

/* Runs a query and frees it; the first column of its first row goes to `text`, "" if there
   is none.  The SQLite code. */
static int ask(sqlite3 *db, char *sql, char *text, size_t size)
{
    sqlite3_stmt *stmt = NULL;
    int rc = sql == NULL ? SQLITE_NOMEM : sqlite3_prepare_v2(db, sql, -1, &stmt, NULL);

    sqlite3_free(sql);
    text[0] = '\0';
    if (rc == SQLITE_OK && sqlite3_step(stmt) == SQLITE_ROW &&
        sqlite3_column_type(stmt, 0) != SQLITE_NULL)
        snprintf(text, size, "%s", (const char *)sqlite3_column_text(stmt, 0));
    sqlite3_finalize(stmt);
    return sqlite3_errcode(db) == SQLITE_ROW ? SQLITE_OK : sqlite3_errcode(db);
}

int demo_check_copy(struct demo_checks *checks, const struct demo_copy *copy,
                    int64_t transfers, struct demo_error *error)
{
    const long long sum = (long long)DEMO_ACCOUNTS * DEMO_BALANCE;
    sqlite3 *db = NULL;
    char text[160];
    int rc, answer = demo_copy_open(copy, &db, error);

    if (answer != CLI_OK) {
        sqlite3_close(db);
        return answer;
    }
    rc = ask(db, sqlite3_mprintf("SELECT sum(balance) FROM main.%s", copy->accounts), text,
             sizeof text);
    demo_checks_add(checks, NULL, "the sum of all accounts is what it was",
                    rc == SQLITE_OK && strtoll(text, NULL, 10) == sum, "%s of %lld",
                    rc == SQLITE_OK ? text : sqlite3_errmsg(db), sum);

    rc = ask(db, sqlite3_mprintf("SELECT count(*) FROM main.%s", copy->ledger), text,
             sizeof text);
    demo_checks_add(checks, NULL, "the ledger has every commit, and no other",
                    rc == SQLITE_OK && strtoll(text, NULL, 10) == transfers, "%s of %lld",
                    rc == SQLITE_OK ? text : sqlite3_errmsg(db), (long long)transfers);

    rc = ask(db,
             sqlite3_mprintf(
                 "WITH moves(id, amount) AS (SELECT source, -amount FROM main.%s"
                 " UNION ALL SELECT target, amount FROM main.%s),"
                 " sums(id, amount) AS (SELECT id, sum(amount) FROM moves GROUP BY id)"
                 " SELECT count(*) FROM main.%s AS a LEFT JOIN sums USING (id)"
                 " WHERE a.balance <> %d + ifnull(sums.amount, 0)",
                 copy->ledger, copy->ledger, copy->accounts, DEMO_BALANCE),
             text, sizeof text);
    demo_checks_add(checks, NULL, "the ledger explains the balance of every account",
                    rc == SQLITE_OK && strcmp(text, "0") == 0, "%s not",
                    rc == SQLITE_OK ? text : sqlite3_errmsg(db));

    rc = ask(db, sqlite3_mprintf("PRAGMA main.foreign_key_check(%s)", copy->ledger), text,
             sizeof text);
    demo_checks_add(checks, NULL, "foreign_key_check finds nothing",
                    rc == SQLITE_OK && text[0] == '\0', "%s",
                    rc == SQLITE_OK ? text : sqlite3_errmsg(db));

    rc = ask(db, sqlite3_mprintf("PRAGMA main.integrity_check(1)"), text, sizeof text);
    if (rc != SQLITE_OK)
        snprintf(text, sizeof text, "%s", sqlite3_errmsg(db));
    demo_checks_add(checks, NULL, "integrity_check says what it said before",
                    strcmp(text, copy->soundness) == 0, "%s", text);
    sqlite3_close(db);
    return demo_interrupted(error);
}
