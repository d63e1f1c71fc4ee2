/* SPDX-License-Identifier: MIT */
/*
 * The hash of a backup: that of its content, and the one that the sqlite3 shell says.
 */
#include "tests/support/backup_stage.h"

static void set_up_hash(void)
{
    set_up_names();
    options.hash = 1;
    options.replace = 1;
}

TestSuite(backup_hash, .init = set_up_hash, .fini = tear_down, .timeout = 60);

static const char content[] =
    "CREATE TABLE MiXed (x, y); INSERT INTO MiXed VALUES (NULL, 1), (-7, "
    "9223372036854775807), "
    "(0.1, -1e300), (9e999, 'text'), ('', x''), (x'00ff', 'caf\xc3\xa9');"
    "CREATE TABLE \"a\"\"b'c\" (k TEXT PRIMARY KEY, v) WITHOUT ROWID;"
    "INSERT INTO \"a\"\"b'c\" VALUES ('z', 1), ('a', 2);"
    "CREATE TABLE n (id INTEGER PRIMARY KEY AUTOINCREMENT, v, w AS (v + 1), s AS (v) "
    "STORED);"
    "INSERT INTO n (v) VALUES (5), (6); CREATE INDEX by_v ON n (v); CREATE TABLE empty (x);"
    "CREATE VIEW few AS SELECT 1; INSERT INTO MiXed SELECT value, 0 FROM "
    "(WITH RECURSIVE s(value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM s LIMIT 500) "
    "SELECT value FROM s); DELETE FROM MiXed WHERE x > 3 AND x % 3 = 0;"
    "CREATE VIRTUAL TABLE f USING fts5(x); INSERT INTO f VALUES ('word'); ANALYZE";

static void hash_by(int method, char hash[65])
{
    options.method = method;
    cr_assert_eq(backup("copy.db"), LIDO_OK, "%s", err.text);
    cr_assert_eq(strlen(result.hash), 64);
    memcpy(hash, result.hash, 65);
}

static void expect_the_shells(const char *hash)
{
    FILE *shell = popen("sqlite3 copy.db '.sha3sum --schema --sha3-256' 2>/dev/null", "r");
    char line[128] = "";

    cr_assert_not_null(shell);
    if (fgets(line, sizeof line, shell) == NULL)
        line[0] = '\0';
    if (pclose(shell) != 0)
        cr_skip_test("there is no shell to ask");
    line[strcspn(line, "\n")] = '\0';
    cr_expect_str_eq(hash, line);
}

Test(backup_hash, is_the_shells)
{
    char hash[65];

    pool = open_url("sqlite:///a.db?pool=queue");
    hash_by(LIDO_BACKUP_ONLINE, hash);
    expect_the_shells(hash);
    cr_assert_eq(lido_pool_exec(pool, content, &err), LIDO_OK, "%s", err.text);
    hash_by(LIDO_BACKUP_ONLINE, hash);
    expect_the_shells(hash);
    lido_pool_free(pool);
    pool = open_url("sqlite:///wide.db?pool=static");
    cr_assert_eq(lido_pool_exec(pool, "PRAGMA encoding='UTF-16le'", &err), LIDO_OK);
    cr_assert_eq(lido_pool_exec(pool, content, &err), LIDO_OK, "%s", err.text);
    hash_by(LIDO_BACKUP_VACUUM, hash);
    expect_the_shells(hash);
}

Test(backup_hash, is_that_of_the_content_however_it_was_copied)
{
    static const char *const changes[] = {
        "UPDATE n SET v = 7 WHERE id = 2",          "INSERT INTO empty VALUES (NULL)",
        "CREATE INDEX by_y ON MiXed (y)",           "UPDATE sqlite_sequence SET seq = 9",
        "UPDATE MiXed SET y = '1' WHERE x IS NULL",
    };
    char before[65], hash[65];

    pool = open_url("sqlite:///a.db?pool=queue&journal_mode=wal");
    cr_assert_eq(lido_pool_exec(pool, content, &err), LIDO_OK, "%s", err.text);
    hash_by(LIDO_BACKUP_ONLINE, before);
    for (int method = LIDO_BACKUP_ONLINE; method <= LIDO_BACKUP_COPY; method++) {
        hash_by(method, hash);
        cr_expect_str_eq(hash, before, "%d", method);
    }
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        cr_assert_eq(lido_pool_exec(pool, changes[i], &err), LIDO_OK, "%s", err.text);
        hash_by(LIDO_BACKUP_COPY, hash);
        cr_expect_str_neq(hash, before, "%s", changes[i]);
        memcpy(before, hash, sizeof before);
    }
    options.hash = 0;
    cr_assert_eq(backup("copy.db"), LIDO_OK, "%s", err.text);
    cr_expect_str_eq(result.hash, "");
}

static void one_more(sqlite3_context *call, int count, sqlite3_value **values)
{
    (void)count;
    sqlite3_result_int64(call, sqlite3_value_int64(values[0]) + 1);
}

Test(backup_hash, that_cannot_be_had_is_an_error_and_no_file)
{
    struct lido_conn conn;

    pool = open_url("sqlite:///a.db?pool=static");
    cr_assert_eq(lido_pool_checkout(pool, &conn, NULL, &err), LIDO_OK);
    cr_assert_eq(
        sqlite3_create_function(lido_conn_sqlite(&conn), "one_more", 1,
                                SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_INNOCUOUS, NULL,
                                one_more, NULL, NULL),
        SQLITE_OK);
    cr_assert_eq(lido_conn_exec(&conn, "CREATE TABLE g (x, y AS (one_more(x)))", &err),
                 LIDO_OK, "%s", err.text);
    lido_conn_checkin(&conn, NULL, NULL);
    cr_expect_eq(backup("copy.db"), SQLITE_ERROR, "%s", err.text);
    cr_expect_not_null(strstr(err.text, "one_more"), "%s", err.text);
    expect_nothing("copy.db");
    options.hash = 0;
    cr_expect_eq(backup("copy.db"), LIDO_OK, "%s", err.text);
}

static int fire(void *ctx, const struct lido_progress *now, struct lido_error *story)
{
    (void)story;
    if (strcmp(now->phase, "hashing") == 0)
        lido_cancel_fire(ctx, NULL);
    return LIDO_OK;
}

Test(backup_hash, cancelled_leaves_nothing)
{
    lido_cancel *token;

    fill("sqlite:///a.db");
    cr_assert_eq(lido_cancel_new(&token, &err), LIDO_OK);
    job.cancel = token;
    job.progress = fire;
    job.progress_ctx = token;
    cr_expect_eq(backup("copy.db"), LIDO_CANCELLED, "%s", err.text);
    expect_nothing("copy.db");
    lido_cancel_free(token);
}
