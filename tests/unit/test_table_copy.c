/* SPDX-License-Identifier: MIT */
/*
 * A table copied between databases: which rows, which columns, and into what.
 */
#include "tests/support/table_copy_stage.h"

TestSuite(table_copy, .init = set_up, .fini = stage_tear_down, .timeout = 60);

static void expect_refused_at(const char *table, int code, const char *text, int line)
{
    char *a = stage_content(stage_a), *b = stage_content(stage_b);

    result.rows_read = 7;
    cr_expect_eq(copy(table), code, "line %d: %d %s", line, err.code, err.text);
    cr_expect_not_null(strstr(err.text, text), "line %d: %s", line, err.text);
    cr_expect_eq(result.rows_read, 0);
    stage_expect_same(stage_a, a);
    stage_expect_same(stage_b, b);
}
#define expect_refused(table, code, text) expect_refused_at(table, code, text, __LINE__)

static const char schema[] =
    "CREATE TABLE t(id INTEGER PRIMARY KEY AUTOINCREMENT, n TEXT COLLATE NOCASE UNIQUE,"
    " me REFERENCES t(id), g AS (id + 1), CHECK(t.id > 0)); CREATE INDEX i ON t(n DESC);"
    "CREATE TRIGGER g AFTER INSERT ON t BEGIN SELECT 1; END;"
    "INSERT INTO t VALUES (1, 'a', 3), (2, 'b', NULL), (3, 'c', 1), (9, 'd', NULL);"
    "DELETE FROM t WHERE id = 9";

Test(table_copy, has_structure_data_and_indexes)
{
    stage_exec(stage_a, schema);
    EXPECT_DONE(copy("T"));
    cr_expect_eq(result.rows_read, 3);
    cr_expect_eq(result.rows_written, 3);
    cr_expect_eq(result.indexes, 1);
    cr_expect_eq(result.triggers, 0);
    stage_expect(stage_b, "SELECT group_concat(id || n || g) FROM t", "1a2,2b3,3c4");
    stage_expect(stage_b, "SELECT seq FROM sqlite_sequence WHERE name = 'T'", "9");
    stage_expect(stage_b, "SELECT tbl_name FROM sqlite_schema WHERE name = 'i'", "T");
    stage_expect(stage_b, "SELECT count(*) FROM sqlite_schema WHERE type = 'trigger'", "0");
    stage_expect(stage_b, "PRAGMA integrity_check", "ok");
}

Test(table_copy, under_another_name_speaks_of_itself)
{
    stage_exec(stage_a, schema);
    /* In its way in the target: its old name, and the name of its index. */
    stage_exec(stage_b,
               "CREATE TABLE t(z); CREATE INDEX i ON t(z); INSERT INTO t VALUES (1);"
               "CREATE VIEW v AS SELECT * FROM t; CREATE VIEW bad AS SELECT * FROM"
               " nowhere");
    options.new_name = "u";
    EXPECT_DONE(copy("t"));
    stage_expect(stage_b, "SELECT \"table\" FROM pragma_foreign_key_list('u')", "u");
    stage_expect(stage_b, "SELECT count(*) FROM u", "3");
    stage_expect(stage_b, "SELECT group_concat(z) FROM v", "1");
    stage_expect(stage_b, "SELECT tbl_name FROM sqlite_schema WHERE name = 'i'", "t");
    stage_expect(stage_b,
                 "SELECT name FROM sqlite_schema WHERE tbl_name = 'u' AND type ="
                 " 'index' AND sql IS NOT NULL",
                 "i_u");
    stage_expect(stage_b, "SELECT count(*) FROM sqlite_schema WHERE name LIKE 'lido%'",
                 "0");
    stage_expect(stage_b, "PRAGMA integrity_check", "ok");
}

Test(table_copy, may_leave_out_the_indexes)
{
    stage_exec(stage_a, schema);
    options.indexes = 0;
    EXPECT_DONE(copy("t"));
    cr_expect_eq(result.indexes, 0);
    stage_expect(stage_b, "SELECT count(*) FROM sqlite_schema WHERE name = 'i'", "0");
}

Test(table_copy, a_table_that_is_there_is_left_alone_by_default)
{
    stage_exec(stage_a, schema);
    stage_exec(stage_b, "CREATE TABLE T(x); CREATE TABLE u(x)");
    expect_refused("t", SQLITE_ERROR, "already");
    stage_exec(stage_b, "DROP TABLE t; CREATE VIEW t AS SELECT 1");
    expect_refused("t", SQLITE_ERROR, "a view");
    options.mode = LIDO_COPY_APPEND;
    expect_refused("t", SQLITE_ERROR, "a view");
}

Test(table_copy, appends_by_the_names_of_the_columns)
{
    stage_exec(stage_a, "CREATE TABLE t(a, b, g AS (a * 2)); INSERT INTO t VALUES (1, 2)");
    stage_exec(stage_b,
               "CREATE TABLE t(d DEFAULT 7, G, B TEXT, a); CREATE TABLE log(x);"
               "INSERT INTO t(a) VALUES (0);"
               "CREATE TRIGGER r AFTER INSERT ON t BEGIN INSERT INTO log VALUES (1);"
               " END");
    options.mode = LIDO_COPY_APPEND;
    EXPECT_DONE(copy("t"));
    cr_expect_eq(result.rows_written, 1);
    stage_expect(stage_b,
                 "SELECT d || '|' || g || '|' || quote(b) || '|' || a FROM t"
                 " WHERE a = 1",
                 "7|2|'2'|1");
    stage_expect(stage_b, "SELECT count(*) FROM log", "1");
    stage_expect(stage_b, "SELECT count(*) FROM t", "2");
    stage_exec(stage_a, "ALTER TABLE t ADD COLUMN more");
    expect_refused("t", SQLITE_ERROR, "no column \"more\"");
    stage_exec(stage_b, "ALTER TABLE t ADD COLUMN more AS (a)");
    expect_refused("t", SQLITE_ERROR, "is generated");
}

Test(table_copy, appends_to_none_by_making_it)
{
    stage_exec(stage_a, schema);
    options.mode = LIDO_COPY_APPEND;
    EXPECT_DONE(copy("t"));
    cr_expect_eq(result.indexes, 1);
}

Test(table_copy, replaces_structure_and_rows)
{
    stage_exec(stage_a, schema);
    stage_exec(stage_b,
               "CREATE TABLE t(z); INSERT INTO t VALUES (1); CREATE INDEX i ON t(z);"
               "CREATE TRIGGER g AFTER INSERT ON t BEGIN SELECT 1; END;"
               "CREATE VIEW v AS SELECT * FROM t");
    options.mode = LIDO_COPY_REPLACE;
    EXPECT_DONE(copy("t"));
    stage_expect(stage_b, "SELECT min(n) || max(n) FROM v", "ac");
    stage_expect(stage_b, "SELECT count(*) FROM sqlite_schema WHERE type = 'trigger'", "0");
    stage_expect(stage_b, "SELECT sql FROM sqlite_schema WHERE name = 'i'",
                 "CREATE INDEX \"i\"  ON t(n DESC)");
}

Test(table_copy, conflicts_end_it_or_are_left_out_or_win)
{
    stage_exec(stage_a, "CREATE TABLE t(k PRIMARY KEY, v); INSERT INTO t VALUES (1, 'new'),"
                        " (2, 'new')");
    stage_exec(stage_b, "CREATE TABLE t(k PRIMARY KEY ON CONFLICT IGNORE, v);"
                        "INSERT INTO t VALUES (2, 'old')");
    options.mode = LIDO_COPY_APPEND;
    expect_refused("t", SQLITE_CONSTRAINT_PRIMARYKEY, "t.k");
    options.conflict = LIDO_CONFLICT_IGNORE;
    EXPECT_DONE(copy("t"));
    cr_expect_eq(result.rows_read, 2);
    cr_expect_eq(result.rows_written, 1);
    stage_expect(stage_b, "SELECT v FROM t WHERE k = 2", "old");
    options.conflict = LIDO_CONFLICT_REPLACE;
    EXPECT_DONE(copy("t"));
    cr_expect_eq(result.rows_written, 2);
    stage_expect(stage_b, "SELECT v FROM t WHERE k = 2", "new");
}

Test(table_copy, a_filter_chooses_the_rows)
{
    const struct lido_value values[] = { lido_integer(2), lido_text("c") };

    stage_exec(stage_a, schema);
    options.where = "id = ?1 OR n = ?2 -- the end";
    options.values = values;
    options.value_count = 2;
    options.check_foreign_keys = 0;
    EXPECT_DONE(copy("t"));
    cr_expect_eq(result.rows_read, 2);
    stage_expect(stage_b, "SELECT sum(id) FROM t", "5");
}

Test(table_copy, a_filter_is_one_expression)
{
    const struct lido_value value = lido_integer(1);
    struct lido_value odd = { 77, 0, { 0 } };

    stage_exec(stage_a, schema);
    options.where = "1); DROP TABLE t; --";
    expect_refused("t", SQLITE_MISUSE, "one expression");
    options.where = "1) LIMIT (1";
    expect_refused("t", SQLITE_MISUSE, "one expression");
    options.where = "1) UNION ALL SELECT 9, 9, 9, 9 WHERE (1";
    expect_refused("t", SQLITE_MISUSE, "one expression");
    options.where = "\")(\" IS NOT ')' -- )\n AND [)] IS NULL";
    expect_refused("t", SQLITE_ERROR, "no such column: )");
    options.where = "nonsense";
    expect_refused("t", SQLITE_ERROR, "nonsense");
    options.where = "id = ?";
    expect_refused("t", SQLITE_RANGE, "1 parameters");
    options.values = &odd;
    options.value_count = 1;
    expect_refused("t", SQLITE_MISUSE, "type 77");
    odd = lido_text("\xff");
    expect_refused("t", LIDO_BAD_TEXT, "UTF-8");
    options.values = &value;
    options.where = NULL;
    expect_refused("t", LIDO_BAD_OPTION, "value_count");
}

Test(table_copy, checks_the_foreign_keys_at_the_end)
{
    stage_exec(stage_a,
               "CREATE TABLE p(id INTEGER PRIMARY KEY); CREATE TABLE t(p REFERENCES"
               " p); INSERT INTO p VALUES (1), (2); INSERT INTO t VALUES (1), (2)");
    expect_refused("t", SQLITE_CONSTRAINT_FOREIGNKEY, "2 rows");
    EXPECT_DONE(copy("p"));
    EXPECT_DONE(copy("t"));
    /* The children that the target has. */
    options.mode = LIDO_COPY_REPLACE;
    options.where = "id = 1";
    expect_refused("p", SQLITE_CONSTRAINT_FOREIGNKEY, "1 row of \"t\" has no parent");
    options.check_foreign_keys = 0;
    EXPECT_DONE(copy("p"));
    stage_expect(stage_b, "SELECT count(*) FROM p", "1");
}

/* A row with two keys is one row, and so it is in a table without rowids. */
Test(table_copy, counts_rows_and_not_keys)
{
    stage_exec(stage_a, "CREATE TABLE t(a REFERENCES p, b REFERENCES q);"
                        "INSERT INTO t VALUES (1, 2), (3, 4), (5, 6);"
                        "CREATE TABLE w(a PRIMARY KEY REFERENCES p, b REFERENCES q)"
                        " WITHOUT ROWID; INSERT INTO w VALUES (1, 2), (3, 4)");
    stage_exec(stage_b, "CREATE TABLE p(x PRIMARY KEY); CREATE TABLE q(x PRIMARY KEY)");
    expect_refused("t", SQLITE_CONSTRAINT_FOREIGNKEY, "3 rows of \"t\" have no parent");
    expect_refused("w", SQLITE_CONSTRAINT_FOREIGNKEY, "2 rows of \"w\" have no parent");
    stage_exec(stage_b,
               "INSERT INTO p VALUES (1), (3), (5); INSERT INTO q VALUES (4), (6)");
    expect_refused("t", SQLITE_CONSTRAINT_FOREIGNKEY,
                   "1 row of \"t\" has no parent in \"q\"");
}

Test(table_copy, what_is_replaced_is_deleted_with_its_children_if_they_follow)
{
    static const char *const keys[] = { "foreign_keys=off", "foreign_keys=on" };

    stage_exec(stage_a, "CREATE TABLE p(id INTEGER PRIMARY KEY); INSERT INTO p VALUES (1)");
    stage_exec(stage_b, "CREATE TABLE p(id INTEGER PRIMARY KEY); INSERT INTO p VALUES (1);"
                        "CREATE TABLE c(p REFERENCES p ON DELETE CASCADE);"
                        "INSERT INTO c VALUES (1)");
    options.mode = LIDO_COPY_APPEND;
    options.conflict = LIDO_CONFLICT_REPLACE;
    for (int i = 0; i < 2; i++) {
        lido_pool *pool = stage_pool(stage_b, keys[i]);

        EXPECT_DONE(lido_table_copy(lido_at_path(stage_a), "p", lido_at_pool(pool),
                                    &options, &result, &err));
        lido_pool_free(pool);
        stage_expect(stage_b, "SELECT count(*) FROM c", i == 0 ? "1" : "0");
    }
}

Test(table_copy, with_foreign_keys_on_the_order_of_rows_does_not_matter)
{
    lido_pool *pool = stage_pool(stage_b, "pool=queue&foreign_keys=on");
    struct lido_pool_stats stats = LIDO_POOL_STATS_INIT;

    stage_exec(stage_a, schema);
    EXPECT_DONE(
        lido_table_copy(lido_at_path(stage_a), "t", lido_at_pool(pool), NULL, NULL, &err));
    stage_exec(stage_b, "DELETE FROM t");
    options.mode = LIDO_COPY_APPEND;
    EXPECT_DONE(lido_table_copy(lido_at_path(stage_a), "t", lido_at_pool(pool), &options,
                                &result, &err));
    cr_expect_eq(result.rows_written, 3);
    cr_expect_eq(lido_pool_exec(pool, "INSERT INTO t VALUES (8, 'x', 77)", &err) & 0xff,
                 SQLITE_CONSTRAINT);
    EXPECT_DONE(lido_pool_stats(pool, &stats, &err));
    cr_expect_eq(stats.connects, 1);
    lido_pool_free(pool);
}
