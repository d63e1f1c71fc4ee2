/* SPDX-License-Identifier: MIT */
/*
 * A table copied with some of its columns, and with its triggers.
 */
#include "tests/support/table_copy_stage.h"

TestSuite(table_copy_columns, .init = set_up, .fini = stage_tear_down, .timeout = 60);

static int copy_of(const char *table, const char *first, const char *second)
{
    const char *const columns[] = { first, second };

    options.columns = columns;
    options.column_count = 1 + (second != NULL);
    return copy(table);
}

static void expect_refused_at(int rc, int code, const char *text, int line)
{
    cr_expect_eq(rc, code, "line %d: %d %s", line, rc, err.text);
    cr_expect_not_null(strstr(err.text, text), "line %d: %s", line, err.text);
    cr_expect_eq(result.lost, 0);
    stage_expect(stage_b, "SELECT count(*) FROM sqlite_schema", "0");
}
#define expect_refused(rc, code, text) expect_refused_at(rc, code, text, __LINE__)

static const char schema[] =
    "CREATE TABLE t(id INTEGER PRIMARY KEY AUTOINCREMENT, -- the key, (it is) one\n"
    " \"a,b\" VARCHAR(10) NOT NULL DEFAULT 'x,y' COLLATE NOCASE CHECK (\"a,b\" <> ')'),"
    " [c)] REAL UNIQUE, d CONSTRAINT e REFERENCES p(k) /* not (there */, g AS (d + 1),"
    " CONSTRAINT two CHECK (id > 0 AND d > 0) CONSTRAINT three UNIQUE (\"a,b\", [c)])"
    " CHECK (d > 0), UNIQUE (\"a,b\", d), FOREIGN KEY (id) REFERENCES p(k)) ;"
    "CREATE INDEX i ON t(\"a,b\" DESC); CREATE INDEX j ON t(d, \"c)\");"
    "CREATE INDEX k ON t(\"a,b\") WHERE d > 1; CREATE TABLE p(k PRIMARY KEY);"
    "INSERT INTO p VALUES (1), (2); INSERT INTO t(\"a,b\", [c)], d) VALUES"
    " ('one', 1.5, 1), ('two', 2.5, 2)";

Test(table_copy_columns, have_what_was_declared_with_them)
{
    stage_exec(stage_a, schema);
    stage_exec(stage_b, "CREATE TABLE p(k PRIMARY KEY); INSERT INTO p VALUES (1), (2)");
    EXPECT_DONE(copy_of("t", "d", "A,B"));
    cr_expect_eq(result.rows_written, 2);
    cr_expect_eq(result.indexes, 2);
    stage_expect(stage_b,
                 "SELECT group_concat(name || type || \"notnull\" || pk, ' ') FROM"
                 " pragma_table_xinfo('t')",
                 "a,bVARCHAR(10)10 d00");
    stage_expect(stage_b, "SELECT group_concat(\"a,b\" || d) FROM t", "one1,two2");
    stage_expect(stage_b,
                 "SELECT group_concat(name) FROM sqlite_schema WHERE type = 'index'"
                 " AND tbl_name = 't' AND sql IS NOT NULL",
                 "i,k");
    stage_expect(stage_b, "SELECT sql FROM sqlite_schema WHERE name = 't'",
                 "CREATE TABLE \"t\" (\"a,b\" VARCHAR(10) NOT NULL DEFAULT 'x,y' COLLATE"
                 " NOCASE CHECK (\"a,b\" <> ')'), d CONSTRAINT e REFERENCES p(k), CHECK (d"
                 " > 0), UNIQUE (\"a,b\", d))");
    cr_expect_eq(result.lost,
                 LIDO_PART_PRIMARY_KEY | LIDO_PART_AUTOINCREMENT | LIDO_PART_CHECK |
                     LIDO_PART_UNIQUE | LIDO_PART_FOREIGN_KEY | LIDO_PART_INDEX,
                 "%d", result.lost);
    stage_expect(stage_b, "PRAGMA integrity_check", "ok");
}

Test(table_copy_columns, lose_a_key_that_is_not_whole_and_what_needs_it)
{
    stage_exec(stage_a, "CREATE TABLE t(a TEXT, b INT, c INT NOT NULL, PRIMARY KEY (a, b))"
                        " WITHOUT ROWID, STRICT; INSERT INTO t VALUES ('x', 1, 7),"
                        " ('x', 2, 8)");
    EXPECT_DONE(copy_of("t", "a", "c"));
    cr_expect_eq(result.lost, LIDO_PART_PRIMARY_KEY | LIDO_PART_WITHOUT_ROWID, "%d",
                 result.lost);
    stage_expect(stage_b, "SELECT group_concat(a || c) FROM t", "x7,x8");
    stage_expect(stage_b, "SELECT wr || strict FROM pragma_table_list('t')", "01");
    options.mode = LIDO_COPY_REPLACE;
    EXPECT_DONE(copy_of("t", "b", "a"));
    cr_expect_eq(result.lost, 0);
    stage_expect(stage_b, "SELECT wr || strict FROM pragma_table_list('t')", "11");
    stage_expect(stage_b, "SELECT group_concat(b) FROM t", "1,2");
}

Test(table_copy_columns, under_another_name_too)
{
    stage_exec(stage_a, "CREATE TABLE t(a INTEGER PRIMARY KEY, b REFERENCES t(a), c,"
                        " CHECK (t.a > 0), CHECK (t.c > 0)); INSERT INTO t VALUES"
                        " (1, 2, 3), (2, 1, 4)");
    options.new_name = "x; drop table y";
    EXPECT_DONE(copy_of("t", "a", "b"));
    cr_expect_eq(result.lost, LIDO_PART_CHECK);
    stage_expect(stage_b,
                 "SELECT \"table\" FROM pragma_foreign_key_list('x; drop table y')",
                 "x; drop table y");
    stage_expect(stage_b, "SELECT group_concat(a || b) FROM \"x; drop table y\"", "12,21");
}

Test(table_copy_columns, that_need_another_are_refused_with_its_name)
{
    stage_exec(stage_a, "CREATE TABLE t(a, b CHECK (b > a), g AS (a + 1), d CHECK (d <>"
                        " \"a\"), e)");
    expect_refused(copy_of("t", "b", NULL), SQLITE_ERROR, "no such column: a");
    expect_refused(copy_of("t", "g", "e"), SQLITE_ERROR, "no such column: a");
    /* It would be a text. */
    expect_refused(copy_of("t", "d", NULL), SQLITE_ERROR, "no such column: a");
}

Test(table_copy_columns, that_are_none_are_refused)
{
    const char *const names[] = { "a", NULL };

    stage_exec(stage_a, "CREATE TABLE t(a, b)");
    expect_refused(copy_of("t", "a", "z"), LIDO_NOT_FOUND, "no column \"z\"");
    expect_refused(copy_of("t", "a", "A"), LIDO_BAD_OPTION, "twice");
    expect_refused(copy_of("t", "rowid", NULL), LIDO_NOT_FOUND, "no column");
    expect_refused(copy_of("t", "a", "\xff"), LIDO_BAD_TEXT, "column");
    options.columns = names;
    options.column_count = 2;
    expect_refused(copy("t"), SQLITE_MISUSE, "NULL");
    options.column_count = 0;
    expect_refused(copy("t"), LIDO_BAD_OPTION, "column_count");
    options.columns = NULL;
    options.column_count = 1;
    expect_refused(copy("t"), LIDO_BAD_OPTION, "column_count");
}

Test(table_copy_columns, are_appended_by_name_and_the_others_get_their_default)
{
    stage_exec(stage_a, "CREATE TABLE t(a, b, only_here); INSERT INTO t VALUES (1, 2, 3)");
    stage_exec(stage_b, "CREATE TABLE t(b DEFAULT 7, a, c DEFAULT 8)");
    options.mode = LIDO_COPY_APPEND;
    EXPECT_DONE(copy_of("t", "a", NULL));
    EXPECT_DONE(copy_of("t", "b", "a"));
    cr_expect_eq(result.lost, 0);
    stage_expect(stage_b, "SELECT group_concat(a || b || c) FROM t", "178,128");
}

Test(table_copy_columns, may_be_of_any_name)
{
    for (size_t i = 0; stage_name(i) != NULL; i++) {
        char *sql =
            sqlite3_mprintf("DROP TABLE IF EXISTS t; CREATE TABLE t(z, \"%w\" INT NOT"
                            " NULL, CHECK (z), UNIQUE (\"%w\", z), UNIQUE (\"%w\"));"
                            " INSERT INTO t VALUES (1, 2)",
                            stage_name(i), stage_name(i), stage_name(i));

        stage_exec(stage_a, sql);
        sqlite3_free(sql);
        options.mode = LIDO_COPY_REPLACE;
        EXPECT_DONE(copy_of("t", stage_name(i), NULL));
        cr_expect_eq(result.lost, LIDO_PART_CHECK | LIDO_PART_UNIQUE);
        sql = sqlite3_mprintf("SELECT sum(\"%w\") FROM t", stage_name(i));
        stage_expect(stage_b, sql, "2");
        sqlite3_free(sql);
        stage_expect(stage_b, "SELECT count(*) FROM pragma_index_list('t')", "1");
    }
}

/* --- triggers ----------------------------------------------------------------------------- */

static const char with_triggers[] =
    "CREATE TABLE t(a, b); INSERT INTO t VALUES (1, 2);"
    "CREATE TRIGGER g AFTER INSERT ON t BEGIN INSERT INTO log SELECT 'g' || count(*) FROM "
    "t;"
    " END; CREATE TRIGGER h BEFORE UPDATE OF b ON t BEGIN SELECT new.b; END;";

Test(table_copy_columns, triggers_come_on_request)
{
    stage_exec(stage_a, with_triggers);
    stage_exec(stage_b, "CREATE TABLE log(x); CREATE TABLE other(x);"
                        "CREATE TRIGGER g AFTER INSERT ON other BEGIN SELECT 1; END");
    EXPECT_DONE(copy("t"));
    cr_expect_eq(result.triggers, 0);
    cr_expect_eq(result.lost, LIDO_PART_TRIGGER);
    options.triggers = 1;
    options.mode = LIDO_COPY_REPLACE;
    EXPECT_DONE(copy("t"));
    cr_expect_eq(result.triggers, 2);
    cr_expect_eq(result.lost, 0);
    /* None ran for the rows of the copy. */
    stage_expect(stage_b, "SELECT count(*) FROM log", "0");
    stage_expect(stage_b, "INSERT INTO t VALUES (3, 4); SELECT x FROM log", "g2");
    stage_expect(stage_b,
                 "SELECT group_concat(name) FROM sqlite_schema WHERE type ="
                 " 'trigger' AND tbl_name = 't'",
                 "g_t,h");
}

Test(table_copy_columns, triggers_of_another_name_speak_of_it)
{
    stage_exec(stage_a, with_triggers);
    stage_exec(stage_b, "CREATE TABLE log(x); CREATE TABLE t(z)");
    options.triggers = 1;
    options.new_name = "a\"b";
    EXPECT_DONE(copy("t"));
    cr_expect_eq(result.triggers, 2);
    stage_expect(stage_b, "INSERT INTO \"a\"\"b\" VALUES (3, 4); SELECT x FROM log", "g2");
    stage_expect(stage_b,
                 "SELECT group_concat(name) FROM sqlite_schema WHERE type ="
                 " 'trigger'",
                 "g,h");
}

Test(table_copy_columns, triggers_that_would_fail_there_are_refused)
{
    stage_exec(stage_a, with_triggers);
    options.triggers = 1;
    expect_refused(copy("t"), SQLITE_ERROR, "log");
    options.new_name = "u";
    expect_refused(copy("t"), SQLITE_ERROR, "log");
    options.new_name = NULL;
    stage_exec(stage_a, "DROP TRIGGER g");
    expect_refused(copy_of("t", "a", NULL), SQLITE_ERROR, "b");
    EXPECT_DONE(copy_of("t", "b", NULL));
    cr_expect_eq(result.triggers, 1);
}

/* Without the column its name is SQLite's for the rowid. */
Test(table_copy_columns, what_would_mean_the_rowid_is_lost)
{
    stage_exec(stage_a, "CREATE TABLE t(a, b, oid INT, CHECK (OID > 5), CHECK (a > 0));"
                        "CREATE INDEX i ON t(a) WHERE \"oid\" > 5; CREATE INDEX j ON t(a);"
                        "INSERT INTO t VALUES (1, 2, 10), (3, 4, 11)");
    EXPECT_DONE(copy_of("t", "a", NULL));
    cr_expect_eq(result.lost, LIDO_PART_CHECK | LIDO_PART_INDEX);
    stage_expect(stage_b, "SELECT group_concat(a || '/' || rowid) FROM t", "1/1,3/2");
    stage_expect(stage_b, "SELECT sql FROM sqlite_schema WHERE name = 't'",
                 "CREATE TABLE \"t\" (a, CHECK (a > 0))");
    stage_expect(stage_b,
                 "SELECT group_concat(name) FROM sqlite_schema WHERE type = 'index'", "j");
    /* The column that is there is meant. */
    options.new_name = "u";
    EXPECT_DONE(copy_of("t", "a", "oid"));
    cr_expect_eq(result.lost, 0);
}

/* Texts in double quotes, which a trial forbids, are the host's to allow. */
Test(table_copy_columns, leave_quoted_texts_to_the_host)
{
    lido_pool *pool = stage_pool(stage_b, "pool=queue&pool_size=1&max_overflow=0");
    static const char *const columns[] = { "a" };
    struct lido_conn conn;

    stage_exec(stage_a, "CREATE TABLE t(a, b)");
    options.columns = columns;
    options.column_count = 1;
    EXPECT_DONE(lido_pool_checkout(pool, &conn, NULL, &err));
    sqlite3_db_config(lido_conn_sqlite(&conn), SQLITE_DBCONFIG_DQS_DDL, 1, (int *)NULL);
    EXPECT_DONE(lido_conn_checkin(&conn, NULL, &err));
    EXPECT_DONE(lido_table_copy(lido_at_path(stage_a), "t", lido_at_pool(pool), &options,
                                &result, &err));
    EXPECT_DONE(lido_pool_exec(pool, "CREATE TABLE d(x CHECK (x <> \"text\"))", &err));
    lido_pool_free(pool);
}
