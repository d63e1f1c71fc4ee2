/* SPDX-License-Identifier: MIT */
/*
 * What a lease leaves behind besides a transaction: temporary tables and such, and attached
 * databases.
 */
#include "base/sqlite.h"
#include "driver/sqlite.h"
#include "own_folder.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CLEAR LIDO_RESET_ROLLBACK
#define KEEP  (LIDO_RESET_ROLLBACK | LIDO_RESET_KEEP_TEMP)

static const struct lido_driver *driver;
static struct lido_error err;
static struct lido_reset found;
static char folder[32], path[64];
static sqlite3 *db;

static sqlite3 *open_db(void)
{
    struct lido_connect how = { .size = sizeof how, .url = "", .database = path };
    void *handle;

    cr_assert_eq(driver->connect(NULL, &how, NULL, &handle, &err), LIDO_OK, "%s", err.text);
    return handle;
}

static int try_run(const char *sql)
{
    return sqlite3_exec(db, sql, NULL, NULL, NULL);
}

static void run(const char *sql)
{
    cr_assert_eq(try_run(sql), SQLITE_OK, "%s: %s", sql, sqlite3_errmsg(db));
}

static void set_up(void)
{
    strcpy(folder, "/tmp/lido-temp-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/app.db", folder);
    driver = lido_driver_sqlite();
    db = open_db();
    run("CREATE TABLE t(x); INSERT INTO t VALUES(1), (2)");
}

static void tear_down(void)
{
    cr_assert_eq(driver->close(NULL, db, 0, &err), LIDO_OK, "%s", err.text);
    unlink(path);
    own_folder_end(folder);
}

TestSuite(driver_temp, .init = set_up, .fini = tear_down, .timeout = 20);

static int reset(int how)
{
    memset(&err, 0, sizeof err);
    memset(&found, 0, sizeof found);
    found.size = sizeof found;
    return driver->reset(NULL, db, how, &found, &err);
}

static void expect_dropped(unsigned count)
{
    cr_expect_eq(reset(CLEAR), LIDO_OK, "%s", err.text);
    cr_expect_eq(found.temp_dropped, count, "%u, not %u", found.temp_dropped, count);
    cr_expect_eq(found.keeps_temp, 0);
    cr_expect_not(lido__temp_has_any(db));
    cr_expect_eq(reset(CLEAR), LIDO_OK);
    cr_expect_eq(found.temp_dropped, 0);
}

/* The quick way rests on this. */
Test(driver_temp, has_no_state_to_be_asked_for_until_one_is_made)
{
    cr_expect_not(lido__temp_may_be(db));
    run("SELECT * FROM t ORDER BY x DESC; CREATE INDEX i ON t(x); BEGIN; DELETE FROM t;"
        "ROLLBACK; WITH w AS MATERIALIZED (SELECT x FROM t) SELECT count(*) FROM w, w;"
        "ATTACH ':memory:' AS m; CREATE TABLE m.u(x); DETACH m; VACUUM");
    cr_expect_not(lido__temp_may_be(db));
    cr_expect_eq(reset(CLEAR), LIDO_OK);
    cr_expect_eq(reset(KEEP), LIDO_OK);
    cr_expect_not(lido__temp_may_be(db));

    /* Some statements open it for nothing, and then it has to be asked each time. */
    run("PRAGMA integrity_check");
    cr_expect(lido__temp_may_be(db));
    expect_dropped(0);
}

Test(driver_temp, tables_views_and_triggers_are_dropped_whatever_their_names)
{
    run("CREATE TEMP TABLE u(x PRIMARY KEY, y); CREATE INDEX temp.i ON u(y);"
        "CREATE TEMP TABLE \"a\"\"b'c]\"(x); CREATE TEMP TABLE \"DROP TABLE t; --\"(x);"
        "CREATE TEMP TABLE t(shadows); CREATE TEMP VIEW v AS SELECT * FROM main.t;"
        "CREATE TEMP TRIGGER r AFTER INSERT ON main.t BEGIN INSERT INTO u VALUES(1, 1); "
        "END;"
        "CREATE TEMP TRIGGER \"r\"\"2\" INSTEAD OF INSERT ON v BEGIN SELECT 1; END;"
        "CREATE TEMP TABLE s(x INTEGER PRIMARY KEY AUTOINCREMENT); INSERT INTO s "
        "VALUES(7)");
    expect_dropped(8);
    run("INSERT INTO t VALUES(3)");
    cr_expect_eq(try_run("SELECT * FROM u"), SQLITE_ERROR);
    cr_expect_eq(try_run("SELECT shadows FROM t"), SQLITE_ERROR);
    run("CREATE TEMP TABLE u(x)");
    expect_dropped(1);
}

Test(driver_temp, a_virtual_table_goes_with_what_it_made)
{
    if (!sqlite3_compileoption_used("ENABLE_FTS5"))
        cr_skip_test("this SQLite has no full-text search");
    run("CREATE TEMP TABLE a(x); CREATE VIRTUAL TABLE temp.f USING fts5(b);"
        "INSERT INTO temp.f VALUES('word')");
    expect_dropped(2);
    run("CREATE VIRTUAL TABLE temp.f USING fts5(b)");
    expect_dropped(1);
}

Test(driver_temp, foreign_keys_are_not_in_the_way_and_stay_on)
{
    run("PRAGMA foreign_keys = on; CREATE TEMP TABLE a(id INTEGER PRIMARY KEY);"
        "CREATE TEMP TABLE b(id REFERENCES a); CREATE TEMP TABLE c(id INTEGER PRIMARY KEY,"
        "b REFERENCES c); INSERT INTO a VALUES(1); INSERT INTO b VALUES(1);"
        "INSERT INTO c VALUES(1, 1)");
    expect_dropped(3);
    run("CREATE TABLE p(id INTEGER PRIMARY KEY); CREATE TABLE q(id REFERENCES p)");
    cr_expect_eq(try_run("INSERT INTO q VALUES(1)"), SQLITE_CONSTRAINT_FOREIGNKEY);
}

Test(driver_temp, statements_on_what_is_dropped_are_told_so)
{
    sqlite3_stmt *reads;

    run("CREATE TEMP TABLE u(x); INSERT INTO u VALUES(1), (2)");
    cr_assert_eq(sqlite3_prepare_v2(db, "SELECT x FROM u", -1, &reads, NULL), SQLITE_OK);
    cr_assert_eq(sqlite3_step(reads), SQLITE_ROW);
    cr_expect_eq(reset(CLEAR), LIDO_OK, "%s", err.text);
    cr_expect_eq(found.statements_reset, 1);
    cr_expect_eq(found.temp_dropped, 1);
    cr_expect_eq(sqlite3_step(reads), SQLITE_ERROR);
    sqlite3_finalize(reads);
}

Test(driver_temp, of_a_transaction_that_is_rolled_back_nothing_is_left_to_drop)
{
    run("BEGIN; CREATE TEMP TABLE u(x)");
    cr_expect_eq(reset(CLEAR), LIDO_OK, "%s", err.text);
    cr_expect_eq(found.was_in_txn, 1);
    cr_expect_eq(found.temp_dropped, 0);
    run("BEGIN; CREATE TEMP TABLE u(x)");
    cr_expect_eq(reset(LIDO_RESET_COMMIT), LIDO_OK, "%s", err.text);
    cr_expect_eq(found.temp_dropped, 1);
}

Test(driver_temp, a_trigger_on_a_table_that_another_dropped_is_dropped_too)
{
    sqlite3 *other = open_db(), *mine = db;

    run("CREATE TABLE u(x); CREATE TEMP TRIGGER r AFTER INSERT ON main.u BEGIN SELECT 1; "
        "END");
    db = other;
    run("DROP TABLE u");
    cr_assert_eq(driver->close(NULL, other, 0, NULL), LIDO_OK);
    db = mine;
    expect_dropped(1);
    run("CREATE TABLE u(x); INSERT INTO u VALUES(1)");
}

/* What stays. */

Test(driver_temp, is_kept_when_told_and_said_to_be_there)
{
    cr_expect_eq(reset(KEEP), LIDO_OK);
    cr_expect_eq(found.keeps_temp, 0);
    run("CREATE TEMP TABLE u(x); INSERT INTO u VALUES(1)");
    cr_expect_eq(reset(KEEP), LIDO_OK);
    cr_expect_eq(found.keeps_temp, 1);
    cr_expect_eq(found.temp_dropped, 0);
    run("SELECT x FROM temp.u; DROP TABLE u");
    cr_expect_eq(reset(KEEP), LIDO_OK);
    cr_expect_eq(found.keeps_temp, 0);
    run("CREATE TEMP TABLE s(x INTEGER PRIMARY KEY AUTOINCREMENT); DROP TABLE s");
    cr_expect_eq(reset(KEEP), LIDO_OK);
    cr_expect_eq(found.keeps_temp, 0, "sqlite_sequence is nobody's");
}

Test(driver_temp, stays_with_a_transaction_that_stays_open)
{
    run("CREATE TEMP TABLE u(x); BEGIN; INSERT INTO u VALUES(1)");
    cr_expect_eq(reset(LIDO_RESET_NONE), LIDO_OK);
    cr_expect_eq(found.temp_dropped, 0);
    run("COMMIT; SELECT 1 FROM temp.u");
    cr_expect_eq(reset(LIDO_RESET_NONE), LIDO_OK);
    cr_expect_eq(found.temp_dropped, 1, "and goes with none that is open");
}

Test(driver_temp, txn_only_ends_the_transaction_and_leaves_all_else)
{
    sqlite3_stmt *reads;

    run("CREATE TEMP TABLE u(x); ATTACH ':memory:' AS m; BEGIN; INSERT INTO t VALUES(9)");
    cr_assert_eq(sqlite3_prepare_v2(db, "SELECT 1 UNION ALL SELECT 2", -1, &reads, NULL),
                 SQLITE_OK);
    cr_assert_eq(sqlite3_step(reads), SQLITE_ROW);
    cr_expect_eq(reset(LIDO_RESET_COMMIT | LIDO_RESET_TXN_ONLY), LIDO_OK, "%s", err.text);
    cr_expect_eq(found.was_in_txn, 1);
    cr_expect_eq(found.statements_reset, 0);
    cr_expect_eq(found.temp_dropped, 0);
    cr_expect_eq(sqlite3_get_autocommit(db), 1);
    cr_expect_eq(sqlite3_step(reads), SQLITE_ROW, "it runs on");
    sqlite3_finalize(reads);
    run("SELECT 1 FROM temp.u; DETACH m; SELECT 1 / (count(*) = 3) FROM t");

    /* Another's SELECT holds a transaction of its own, which is no reason to give up. */
    cr_assert_eq(sqlite3_prepare_v2(db, "SELECT x FROM t", -1, &reads, NULL), SQLITE_OK);
    cr_assert_eq(sqlite3_step(reads), SQLITE_ROW);
    cr_expect_eq(reset(LIDO_RESET_ROLLBACK | LIDO_RESET_TXN_ONLY), LIDO_OK, "%s", err.text);
    cr_expect_eq(found.was_in_txn, 0);
    cr_expect_eq(sqlite3_step(reads), SQLITE_ROW);
    sqlite3_finalize(reads);
}

/* What cannot be dropped. */

static int deny(void *ctx, int action, const char *a, const char *b, const char *c,
                const char *d)
{
    (void)a, (void)b, (void)c, (void)d;
    return action == *(int *)ctx ? SQLITE_DENY : SQLITE_OK;
}

Test(driver_temp, that_cannot_be_dropped_is_an_error)
{
    int action = SQLITE_DROP_TEMP_TABLE;

    run("CREATE TEMP TABLE \"u v\"(x); PRAGMA query_only = on");
    cr_expect_eq(reset(CLEAR), SQLITE_READONLY);
    cr_expect_not_null(strstr(err.text, "DROP table temp.\"u v\""), "%s", err.text);
    cr_expect_eq(found.temp_dropped, 0);
    run("PRAGMA query_only = off");

    sqlite3_set_authorizer(db, deny, &action);
    cr_expect_eq(reset(CLEAR), SQLITE_AUTH);
    action = SQLITE_SELECT;
    cr_expect_eq(reset(CLEAR), SQLITE_AUTH);
    cr_expect_not_null(strstr(err.text, "temporary"), "%s", err.text);
    cr_expect_eq(reset(KEEP), LIDO_OK);
    cr_expect_eq(found.keeps_temp, 1, "who cannot be asked has some");
    sqlite3_set_authorizer(db, NULL, NULL);
    expect_dropped(1);
}

/* Attached databases. */

Test(driver_temp, attached_databases_are_detached)
{
    int action = SQLITE_DETACH;

    if (sqlite3_libversion_number() < 3039000)
        cr_skip_test("this SQLite cannot be asked for them");
    run("ATTACH ':memory:' AS m; ATTACH ':memory:' AS \"a\"\"b\"; CREATE TABLE m.u(x);"
        "CREATE TEMP VIEW v AS SELECT * FROM m.u");
    cr_expect_eq(reset(KEEP), LIDO_OK);
    cr_expect_not_null(lido__sqlite_attached(db), "kept with the temporary tables");
    sqlite3_set_authorizer(db, deny, &action);
    cr_expect_eq(reset(CLEAR), SQLITE_AUTH);
    cr_expect_not_null(strstr(err.text, "DETACH at check-in"), "%s", err.text);
    sqlite3_set_authorizer(db, NULL, NULL);
    cr_expect_eq(reset(CLEAR), LIDO_OK, "%s", err.text);
    cr_expect_null(lido__sqlite_attached(db));
    cr_expect_eq(try_run("SELECT * FROM m.u"), SQLITE_ERROR);
    run("SELECT * FROM t");
}
