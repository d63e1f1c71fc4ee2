/* SPDX-License-Identifier: MIT */
/*
 * A backup of a table in its own file: what it has, and what is as it was when it fails.
 */
#include "tests/support/table_stage.h"

static struct lido_table_backup_options options;
static struct lido_table_result result;

static void set_up(void)
{
    stage_set_up();
    options = (struct lido_table_backup_options)LIDO_TABLE_BACKUP_OPTIONS_INIT;
    result = (struct lido_table_result)LIDO_TABLE_RESULT_INIT;
}

TestSuite(table_backup, .init = set_up, .fini = stage_tear_down, .timeout = 60);

static int back_up(const char *table, const char *new_name)
{
    return lido_table_backup(lido_at_path(stage_a), table, new_name, &options, &result,
                             &err);
}

#define EXPECT_DONE(call) cr_expect_eq((call), LIDO_OK, "%s", err.text)

Test(table_backup, has_the_columns_and_constraints)
{
    stage_exec(stage_a,
               "CREATE TABLE p(id PRIMARY KEY);"
               "CREATE TABLE t(id INTEGER PRIMARY KEY AUTOINCREMENT, n VARCHAR(10) NOT NULL"
               " DEFAULT 'd' COLLATE NOCASE CHECK(t.n <> 'bad'), u INT UNIQUE,"
               " p REFERENCES p, me REFERENCES t(id) ON DELETE CASCADE,"
               " g AS (u + 1), s AS (u * 2) STORED);"
               "CREATE INDEX by_n ON t(n DESC) WHERE u > 1;"
               "CREATE UNIQUE INDEX by_u ON t(u + 1);"
               "INSERT INTO t(id, n, u, me) VALUES (3, 'b', 1, 7), (7, 'a', 2, 3), (9, 'c',"
               " NULL, NULL); DELETE FROM t WHERE id = 9");
    EXPECT_DONE(back_up("T", "copy"));
    cr_expect_eq(result.rows_read, 2);
    cr_expect_eq(result.rows_written, 2);
    cr_expect_eq(result.indexes, 2);
    cr_expect_eq(result.triggers, 0);
    cr_expect_eq(result.parts,
                 LIDO_PART_TYPES | LIDO_PART_PRIMARY_KEY | LIDO_PART_NOT_NULL |
                     LIDO_PART_DEFAULT | LIDO_PART_UNIQUE | LIDO_PART_CHECK |
                     LIDO_PART_FOREIGN_KEY | LIDO_PART_COLLATION | LIDO_PART_GENERATED |
                     LIDO_PART_AUTOINCREMENT | LIDO_PART_INDEX);
    stage_expect(stage_a,
                 "SELECT count(*) FROM (SELECT * FROM t EXCEPT SELECT * FROM copy)", "0");
    stage_expect(stage_a, "SELECT sum(id) || sum(g) || sum(s) FROM copy", "1056");
    stage_expect(
        stage_a, "SELECT sql FROM sqlite_schema WHERE name = 'copy'",
        "CREATE TABLE \"copy\" (id INTEGER PRIMARY KEY AUTOINCREMENT, n VARCHAR(10)"
        " NOT NULL DEFAULT 'd' COLLATE NOCASE CHECK(\"copy\".n <> 'bad'), u INT "
        "UNIQUE, p REFERENCES p, me REFERENCES \"copy\"(id) ON DELETE CASCADE,"
        " g AS (u + 1), s AS (u * 2) STORED)");
    stage_expect(stage_a,
                 "SELECT group_concat(name || ' ' || sql, '; ') FROM sqlite_schema"
                 " WHERE type = 'index' AND tbl_name = 'copy' AND sql IS NOT NULL",
                 "by_n_copy CREATE INDEX \"by_n_copy\"  ON \"copy\"(n DESC) WHERE u > 1; "
                 "by_u_copy CREATE UNIQUE INDEX \"by_u_copy\"  ON \"copy\"(u + 1)");
    stage_expect(stage_a, "SELECT seq FROM sqlite_sequence WHERE name = 'copy'", "9");
    stage_expect(stage_a,
                 "SELECT sql LIKE 'CREATE TABLE t(id%' FROM sqlite_schema"
                 " WHERE name = 't'",
                 "1");
    stage_expect(stage_a, "INSERT INTO copy(n) VALUES ('x') RETURNING id", "10");
    stage_expect(stage_a, "PRAGMA integrity_check", "ok");
}

Test(table_backup, keeps_without_rowid_and_strict)
{
    stage_exec(stage_a,
               "CREATE TABLE w(a TEXT, b ANY, PRIMARY KEY(b, a)) WITHOUT ROWID, STRICT;"
               "INSERT INTO w VALUES ('x', 1), ('x', '1')");
    EXPECT_DONE(back_up("w", "v"));
    cr_expect_eq(result.parts & (LIDO_PART_WITHOUT_ROWID | LIDO_PART_STRICT),
                 LIDO_PART_WITHOUT_ROWID | LIDO_PART_STRICT);
    stage_expect(stage_a, "SELECT wr || strict FROM pragma_table_list('v')", "11");
    stage_expect(stage_a, "SELECT group_concat(typeof(b)) FROM v", "integer,text");
}

Test(table_backup, keeps_values_and_rowids_as_they_are)
{
    stage_exec(stage_a,
               "CREATE TABLE t(a, rowid); CREATE TABLE n(x);"
               "INSERT INTO t(_rowid_, a, rowid) VALUES (5, 1, 'r'), (2, 1.0, x'0001'),"
               " (-9, CAST(x'ff00fe' AS TEXT), NULL), (8, zeroblob(100000), '');"
               "INSERT INTO n VALUES (9e999), (-9223372036854775808)");
    EXPECT_DONE(back_up("t", "t2"));
    EXPECT_DONE(back_up("n", "n2"));
    stage_expect(stage_a,
                 "SELECT count(*) FROM t JOIN t2 ON t._rowid_ = t2._rowid_ AND"
                 " quote(t.a) = quote(t2.a) AND quote(t.rowid) = quote(t2.rowid)"
                 " AND typeof(t.a) = typeof(t2.a)",
                 "4");
    stage_expect(stage_a,
                 "SELECT count(*) FROM (SELECT quote(x) FROM n INTERSECT"
                 " SELECT quote(x) FROM n2)",
                 "2");
}

Test(table_backup, has_triggers_on_request_which_speak_of_it)
{
    stage_exec(stage_a, "CREATE TABLE t(x); CREATE TABLE log(x);"
                        "CREATE TRIGGER \"a\"\"b\" AFTER INSERT ON t BEGIN"
                        " INSERT INTO log VALUES (new.x); DELETE FROM t WHERE x < 0; END;"
                        "INSERT INTO t VALUES (1)");
    EXPECT_DONE(back_up("t", "plain"));
    cr_expect_eq(result.triggers, 0);
    cr_expect_eq(result.parts, LIDO_PART_TRIGGER);
    options.triggers = 1;
    EXPECT_DONE(back_up("t", "u"));
    cr_expect_eq(result.triggers, 1);
    stage_expect(stage_a, "SELECT count(*) FROM log", "1");
    stage_expect(stage_a, "SELECT sql FROM sqlite_schema WHERE name = 'a\"b_u'",
                 "CREATE TRIGGER \"a\"\"b_u\"  AFTER INSERT ON \"u\" BEGIN"
                 " INSERT INTO log VALUES (new.x); DELETE FROM \"u\" WHERE x < 0; END");
    stage_exec(stage_a, "INSERT INTO u VALUES (-1)");
    stage_expect(stage_a, "SELECT count(*) FROM log", "2");
    stage_expect(stage_a, "SELECT count(*) FROM u", "1");
}

/* SQLite renames nothing while they are there, and they have nothing to do with it. */
Test(table_backup, works_beside_views_and_triggers_that_do_not)
{
    char *views;

    stage_exec(stage_a, "CREATE TABLE t(x); CREATE TABLE other(y);"
                        "CREATE VIEW bad AS SELECT * FROM nowhere;"
                        "CREATE TRIGGER sick AFTER INSERT ON other BEGIN"
                        " INSERT INTO nowhere VALUES (1); END;"
                        "CREATE TRIGGER own AFTER INSERT ON t BEGIN SELECT 1; END");
    views = stage_ask(stage_a, "SELECT group_concat(sql) FROM sqlite_schema");
    options.triggers = 1;
    EXPECT_DONE(back_up("t", "u"));
    stage_expect(stage_a,
                 "SELECT group_concat(sql) FROM sqlite_schema WHERE tbl_name <> 'u'",
                 views);
    stage_expect(stage_a, "SELECT count(*) FROM sqlite_schema WHERE name = 'own_u'", "1");
    sqlite3_free(views);
}

/* SQLite took them so when they were written, and reads them so. */
Test(table_backup, works_beside_texts_in_double_quotes)
{
    stage_exec(stage_a, "CREATE TABLE d(x CHECK (x IN (\"a\", \"b\"))); CREATE TABLE t(x);"
                        "CREATE INDEX i ON d(x || \"c\"); INSERT INTO d VALUES ('b')");
    EXPECT_DONE(back_up("t", "u"));
    EXPECT_DONE(back_up("d", "e"));
    cr_expect_eq(result.rows_written, 1);
    EXPECT_DONE(lido_table_rename(lido_at_path(stage_a), "d", "f", NULL, &err));
    EXPECT_DONE(lido_table_copy(lido_at_path(stage_a), "f", lido_at_path(stage_b), NULL,
                                NULL, &err));
    stage_expect(stage_b, "SELECT x FROM f", "b");
}

Test(table_backup, takes_any_name)
{
    const char *name;

    for (size_t i = 0; (name = stage_name(i)) != NULL; i++) {
        char *new_name = sqlite3_mprintf("%s]\"'new", name);
        char *sql = sqlite3_mprintf(
            "CREATE TABLE \"%w\"(\"%w\" DEFAULT 3, me REFERENCES \"%w\"(\"%w\"));"
            "CREATE INDEX \"%w.i\" ON \"%w\"(\"%w\");INSERT INTO \"%w\" VALUES (1, 1)",
            name, name, name, name, name, name, name, name);
        char *count = sqlite3_mprintf("SELECT count(*) FROM \"%w\"", new_name);
        char *parent =
            sqlite3_mprintf("SELECT \"table\" FROM pragma_foreign_key_list(%Q)", new_name);

        stage_exec(stage_a, sql);
        cr_expect_eq(back_up(name, new_name), LIDO_OK, "%s: %s", name, err.text);
        cr_expect_eq(result.indexes, 1);
        stage_expect(stage_a, count, "1");
        stage_expect(stage_a, parent, new_name);
        sqlite3_free(new_name);
        sqlite3_free(sql);
        sqlite3_free(count);
        sqlite3_free(parent);
    }
    stage_expect(stage_a, "PRAGMA integrity_check", "ok");
}

Test(table_backup, finds_a_free_name_for_an_index)
{
    stage_exec(stage_a, "CREATE TABLE t(x); CREATE INDEX i ON t(x);"
                        "CREATE TABLE i_u(y); CREATE INDEX I_u_2 ON i_u(y)");
    EXPECT_DONE(back_up("t", "u"));
    stage_expect(stage_a,
                 "SELECT name FROM sqlite_schema WHERE tbl_name = 'u' AND type ="
                 " 'index'",
                 "i_u_3");
}

Test(table_backup, of_a_temporary_table_on_a_shared_connection)
{
    lido_pool *pool = stage_pool(stage_a, "pool=static");

    cr_assert_eq(lido_pool_exec(pool,
                                "CREATE TABLE t(x); CREATE TEMP TABLE t(y);"
                                "INSERT INTO temp.t VALUES (1), (2)",
                                &err),
                 LIDO_OK);
    options.schema = "temp";
    EXPECT_DONE(lido_table_backup(lido_at_pool(pool), "t", "u", &options, &result, &err));
    cr_expect_eq(result.rows_written, 2);
    options.schema = NULL;
    EXPECT_DONE(lido_table_backup(lido_at_pool(pool), "t", "u", &options, &result, &err));
    cr_expect_eq(result.rows_written, 0);
    lido_pool_free(pool);
    stage_expect(stage_a, "SELECT name FROM pragma_table_xinfo('u')", "x");
}

Test(table_backup, of_a_temporary_table_has_its_triggers_beside_a_broken_view)
{
    lido_pool *pool = stage_pool(stage_a, "pool=static");

    cr_assert_eq(lido_pool_exec(pool,
                                "CREATE TEMP TABLE t(x); CREATE TEMP TRIGGER g AFTER INSERT"
                                " ON t BEGIN UPDATE t SET x = 1; END;"
                                "CREATE TEMP VIEW sick AS SELECT * FROM absent",
                                &err),
                 LIDO_OK);
    options.schema = "temp";
    options.triggers = 1;
    EXPECT_DONE(lido_table_backup(lido_at_pool(pool), "t", "u", &options, &result, &err));
    cr_expect_eq(result.triggers, 1);
    lido_pool_free(pool);
}

static lido_cancel *token;
static int calls;

/* Fires the token at its first row. */
static void fire(sqlite3_context *context, int count, sqlite3_value **values)
{
    (void)count;
    if (calls++ == 0)
        lido_cancel_fire(token, NULL);
    sqlite3_result_value(context, values[0]);
}

Test(table_backup, ends_inside_an_index_on_a_shared_connection)
{
    lido_pool *pool = stage_pool(stage_a, "pool=static");
    struct lido_job job = LIDO_JOB_INIT;
    struct lido_conn conn;

    cr_assert_eq(lido_pool_checkout(pool, &conn, NULL, &err), LIDO_OK);
    cr_assert_eq(
        sqlite3_create_function(lido_conn_sqlite(&conn), "fire", 1,
                                SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_INNOCUOUS, NULL,
                                fire, NULL, NULL),
        SQLITE_OK);
    EXPECT_DONE(lido_conn_exec(&conn,
                               "CREATE TABLE t(x); CREATE INDEX i ON t(fire(x));"
                               "WITH RECURSIVE n(v) AS (SELECT 1 UNION ALL SELECT v + 1"
                               " FROM n LIMIT 20000) INSERT INTO t SELECT v FROM n",
                               &err));
    cr_assert_eq(lido_cancel_new(&token, &err), LIDO_OK);
    calls = 0;
    job.cancel = token;
    options.job = &job;
    cr_expect_eq(lido_table_backup(lido_at_pool(pool), "t", "u", &options, &result, &err),
                 LIDO_CANCELLED, "%s", err.text);
    cr_expect_lt(calls, 10000, "%d", calls);
    cr_expect_gt(calls, 0);
    lido_conn_checkin(&conn, NULL, NULL);
    lido_pool_free(pool);
    lido_cancel_free(token);
    stage_expect(stage_a, "SELECT group_concat(name) FROM sqlite_schema", "t,i");
}

/* --- refused --------------------------------------------------------------------------- */

static void expect_refused(const char *table, const char *new_name, int code,
                           const char *text)
{
    char *before = stage_content(stage_a);

    result.rows_read = 7;
    cr_expect_eq(back_up(table, new_name), code, "%s: %d %s", table, err.code, err.text);
    cr_expect_not_null(strstr(err.text, text), "%s", err.text);
    cr_expect_eq(result.rows_read, 0);
    stage_expect_same(stage_a, before);
}

Test(table_backup, what_cannot_be_is_refused_and_nothing_is_changed)
{
    stage_exec(stage_a, "CREATE TABLE t(x); CREATE VIEW v AS SELECT 1; CREATE TABLE u(x);"
                        "CREATE INDEX i ON u(x); CREATE VIRTUAL TABLE f USING fts5(x)");
    expect_refused("nowhere", "n", LIDO_NOT_FOUND, "nowhere");
    expect_refused("v", "n", SQLITE_ERROR, "a view");
    expect_refused("f", "n", SQLITE_ERROR, "a virtual table");
    expect_refused("f_data", "n", SQLITE_ERROR, "a part of");
    expect_refused("sqlite_schema", "n", SQLITE_ERROR, "SQLite's own");
    expect_refused("t", "u", SQLITE_ERROR, "a table of the name \"u\"");
    expect_refused("t", "T", SQLITE_ERROR, "already");
    expect_refused("t", "i", SQLITE_ERROR, "an index");
    expect_refused("t", "v", SQLITE_ERROR, "a view");
    expect_refused("t", "sqlite_mine", SQLITE_ERROR, "reserved");
    expect_refused("t", "n\xff", LIDO_BAD_TEXT, "UTF-8");
    expect_refused(NULL, "n", SQLITE_MISUSE, "NULL");
    expect_refused("t", NULL, SQLITE_MISUSE, "NULL");
    options.schema = "nowhere";
    expect_refused("t", "n", LIDO_NOT_FOUND, "nowhere");
    options.schema = NULL;
    options.size--;
    cr_expect_eq(back_up("t", "n"), SQLITE_MISUSE);
    options.size++;
    result.size--;
    cr_expect_eq(back_up("t", "n"), SQLITE_MISUSE);
    EXPECT_DONE(lido_table_backup(lido_at_path(stage_a), "t", "n", NULL, NULL, NULL));
}

Test(table_backup, what_a_trigger_of_it_cannot_do_is_told)
{
    stage_exec(stage_a, "CREATE TABLE t(x); CREATE TRIGGER sick AFTER INSERT ON t BEGIN"
                        " INSERT INTO nowhere VALUES (1); END");
    options.triggers = 1;
    expect_refused("t", "n", SQLITE_ERROR, "sick");
    options.triggers = 0;
    EXPECT_DONE(back_up("t", "n"));
}

Test(table_backup, leaves_the_connection_as_it_was)
{
    lido_pool *pool = stage_pool(stage_a, "pool=queue&pool_size=1&max_overflow=0"
                                          "&foreign_keys=on");
    struct lido_pool_stats stats = LIDO_POOL_STATS_INIT;

    stage_exec(stage_a, "CREATE TABLE t(x REFERENCES nowhere); INSERT INTO t VALUES (1)");
    EXPECT_DONE(lido_table_backup(lido_at_pool(pool), "t", "u", NULL, NULL, &err));
    cr_expect_eq(lido_table_backup(lido_at_pool(pool), "t", "u", NULL, NULL, &err),
                 SQLITE_ERROR);
    cr_expect_eq(lido_pool_exec(pool, "INSERT INTO u VALUES (2)", &err) & 0xff,
                 SQLITE_ERROR, "foreign keys are on: %s", err.text);
    EXPECT_DONE(lido_pool_stats(pool, &stats, &err));
    cr_expect_eq(stats.connects, 1, "and the connection was not given up");
    cr_expect_eq(stats.rolled_back, 0);
    cr_expect_eq(lido_pool_exec(pool, "CREATE TABLE d(x CHECK (x <> \"text\"))", &err),
                 SQLITE_ERROR, "names in double quotes are names: %s", err.text);
    lido_pool_free(pool);
}

Test(table_backup, waits_for_the_lock_no_longer_than_the_pool_says)
{
    lido_pool *pool = stage_pool(stage_a, "timeout=0&gate=off");
    sqlite3 *db;

    stage_exec(stage_a, "CREATE TABLE t(x)");
    cr_assert_eq(sqlite3_open(stage_a, &db), SQLITE_OK);
    cr_assert_eq(sqlite3_exec(db, "BEGIN IMMEDIATE", 0, 0, 0), SQLITE_OK);
    cr_expect_eq(lido_table_backup(lido_at_pool(pool), "t", "u", NULL, NULL, &err) & 0xff,
                 SQLITE_BUSY, "%s", err.text);
    cr_assert_eq(sqlite3_exec(db, "ROLLBACK", 0, 0, 0), SQLITE_OK);
    sqlite3_close(db);
    EXPECT_DONE(lido_table_backup(lido_at_pool(pool), "t", "u", NULL, NULL, &err));
    lido_pool_free(pool);
}
