/* SPDX-License-Identifier: MIT */
/*
 * Which tables there are, and the head of a CREATE.
 */
#include "housekeeping/table.h"
#include "tests/support/table_stage.h"

TestSuite(table, .init = stage_set_up, .fini = stage_tear_down, .timeout = 60);

static int kind_at(const char *schema, const char *name, int kinds)
{
    int kind = -1;

    cr_expect_eq(lido_table_exists(lido_at_path(stage_a), schema, name, kinds, &kind, &err),
                 LIDO_OK, "%s", err.text);
    return kind;
}

Test(table, one_that_is_there_is_found_by_sqlites_rules)
{
    stage_exec(stage_a, "CREATE TABLE Fish(x); CREATE VIEW v AS SELECT 1;"
                        "CREATE TABLE \"\xc3\x84\"(x); CREATE INDEX i ON Fish(x)");
    cr_expect_eq(kind_at(NULL, "fISH", 0), LIDO_TABLE_PLAIN);
    cr_expect_eq(kind_at("MAIN", "fish", 0), LIDO_TABLE_PLAIN);
    cr_expect_eq(kind_at("temp", "fish", 0), 0);
    cr_expect_eq(kind_at(NULL, "fis", 0), 0);
    cr_expect_eq(kind_at(NULL, "i", LIDO_TABLE_ALL), 0, "an index is no table");
    cr_expect_eq(kind_at(NULL, "v", 0), 0, "a view only where it is asked for");
    cr_expect_eq(kind_at(NULL, "v", LIDO_TABLE_VIEW), LIDO_TABLE_VIEW);
    cr_expect_eq(kind_at(NULL, "fish", LIDO_TABLE_VIEW), 0);
    cr_expect_eq(kind_at(NULL, "\xc3\xa4", 0), 0, "only ASCII letters have a case");
    cr_expect_eq(kind_at(NULL, "\xc3\x84", 0), LIDO_TABLE_PLAIN);
    cr_expect_eq(kind_at(NULL, "sqlite_schema", 0), 0);
    cr_expect_eq(kind_at(NULL, "sqlite_schema", LIDO_TABLE_OWN), LIDO_TABLE_OWN);
}

Test(table, virtual_and_shadow_tables_have_their_kind)
{
    stage_exec(stage_a, "CREATE VIRTUAL TABLE f USING fts5(x)");
    cr_expect_eq(kind_at(NULL, "f", 0), LIDO_TABLE_VIRTUAL);
    cr_expect_eq(kind_at(NULL, "f_data", 0), LIDO_TABLE_SHADOW);
    cr_expect_eq(kind_at(NULL, "f_data", LIDO_TABLE_PLAIN), 0);
}

Test(table, any_name_is_a_name)
{
    const char *name;

    for (size_t i = 0; (name = stage_name(i)) != NULL; i++) {
        char *sql = sqlite3_mprintf("CREATE TABLE \"%w\"(x)", name);

        cr_expect_eq(kind_at(NULL, name, 0), 0, "%s", name);
        stage_exec(stage_a, sql);
        cr_expect_eq(kind_at(NULL, name, 0), LIDO_TABLE_PLAIN, "%s", name);
        sqlite3_free(sql);
    }
}

Test(table, temporary_and_attached_ones_are_the_connections)
{
    lido_pool *pool = stage_pool(stage_a, "pool=queue");
    struct lido_conn conn;
    char *sql = sqlite3_mprintf("ATTACH %Q AS \"o'\"\"x\"; CREATE TABLE t(x);"
                                "CREATE TEMP VIEW t AS SELECT 1; CREATE TEMP TABLE mine(x);"
                                "CREATE TABLE \"o'\"\"x\".far(x)",
                                stage_b);
    int kind;

    cr_assert_eq(lido_pool_checkout(pool, &conn, NULL, &err), LIDO_OK);
    cr_assert_eq(lido_conn_exec(&conn, sql, &err), LIDO_OK, "%s", err.text);
    cr_expect_eq(lido_conn_table_exists(&conn, "o'\"x", "far", 0, &kind, &err), LIDO_OK);
    cr_expect_eq(kind, LIDO_TABLE_PLAIN);
    cr_expect_eq(lido_conn_table_exists(&conn, NULL, "far", 0, &kind, &err), LIDO_OK);
    cr_expect_eq(kind, LIDO_TABLE_PLAIN);
    cr_expect_eq(lido_conn_table_exists(&conn, "main", "far", 0, &kind, &err), LIDO_OK);
    cr_expect_eq(kind, 0);
    cr_expect_eq(lido_conn_table_exists(&conn, "temp", "mine", 0, &kind, &err), LIDO_OK);
    cr_expect_eq(kind, LIDO_TABLE_PLAIN);
    /* To SQLite the name means the temporary view. */
    cr_expect_eq(lido_conn_table_exists(&conn, NULL, "t", LIDO_TABLE_ALL, &kind, &err),
                 LIDO_OK);
    cr_expect_eq(kind, LIDO_TABLE_VIEW);
    cr_expect_eq(lido_conn_table_exists(&conn, NULL, "t", 0, &kind, &err), LIDO_OK);
    cr_expect_eq(kind, 0);
    cr_expect_eq(
        lido_conn_table_exists(&conn, "TEMP", "sqlite_schema", LIDO_TABLE_ALL, &kind, &err),
        LIDO_OK);
    cr_expect_eq(kind, LIDO_TABLE_OWN);
    cr_expect_eq(lido_conn_table_exists(&conn, "nowhere", "t", 0, &kind, &err),
                 LIDO_NOT_FOUND);
    cr_expect_not_null(strstr(err.text, "nowhere"));
    lido_conn_checkin(&conn, NULL, NULL);
    cr_expect_eq(lido_conn_table_exists(&conn, NULL, "t", 0, &kind, &err), LIDO_STALE);
    lido_pool_free(pool);
    sqlite3_free(sql);
}

Test(table, nonsense_is_refused)
{
    lido_pool *pool = stage_pool(stage_a, "pool=queue");
    int kind = 7;

    cr_expect_eq(lido_table_exists(lido_at_pool(NULL), NULL, "t", 0, &kind, &err),
                 SQLITE_MISUSE);
    cr_expect_eq(kind, 0);
    cr_expect_eq(lido_table_exists(lido_at_path(stage_a), NULL, NULL, 0, &kind, &err),
                 SQLITE_MISUSE);
    cr_expect_eq(lido_table_exists(lido_at_path(stage_a), NULL, "\xff", 0, &kind, &err),
                 LIDO_BAD_TEXT);
    cr_expect_eq(lido_table_exists(lido_at_path(stage_a), NULL, "t", 32, &kind, &err),
                 LIDO_BAD_OPTION);
    cr_expect_eq(lido_table_exists(lido_at_path(stage_a), NULL, "t", 0, NULL, NULL),
                 LIDO_OK);
    cr_expect_eq(lido_table_exists(lido_at_path("/nowhere.db"), NULL, "t", 0, &kind, &err),
                 LIDO_NOT_FOUND);
    cr_expect_eq(lido_table_list(lido_at_path(stage_a), NULL, 0, NULL, NULL, &err),
                 SQLITE_MISUSE);
    lido_pool_close(pool, 0, NULL);
    cr_expect_eq(lido_table_exists(lido_at_pool(pool), NULL, "t", 0, &kind, &err),
                 LIDO_CLOSED);
    lido_pool_free(pool);
}

Test(table, a_file_that_is_no_database_says_so)
{
    FILE *file = fopen(stage_b, "w");

    for (int i = 0; i < 500; i++)
        fputs("no database ", file);
    fclose(file);
    cr_expect_eq(lido_table_exists(lido_at_path(stage_b), NULL, "t", 0, NULL, &err) & 0xff,
                 SQLITE_NOTADB, "%s", err.text);
    cr_assert_eq(truncate(stage_b, 0), 0);
    cr_expect_eq(lido_table_exists(lido_at_path(stage_b), NULL, "t", 0, NULL, &err),
                 LIDO_OK, "an empty file is an empty database");
}

/* --- the list ------------------------------------------------------------------------- */

static char listed[2000];
static int stop_after, stop_code;

static int note(void *ctx, const struct lido_table_info *table, struct lido_error *story)
{
    const size_t length = strlen(listed);

    (void)story;
    cr_expect_eq(ctx, listed);
    cr_expect_eq(table->size, sizeof *table);
    snprintf(listed + length, sizeof listed - length, "%s.%s %d %d%s%s\n", table->schema,
             table->name, table->kind, table->columns, table->is_without_rowid ? " w" : "",
             table->is_strict ? " s" : "");
    return --stop_after == 0 ? stop_code : LIDO_OK;
}

static int list(const char *schema, int kinds)
{
    listed[0] = '\0';
    return lido_table_list(lido_at_path(stage_a), schema, kinds, note, listed, &err);
}

Test(table, a_list_tells_what_each_is)
{
    stage_exec(stage_a, "CREATE TABLE b(x, y, z AS (x)); CREATE VIEW v AS SELECT 1, 2;"
                        "CREATE TABLE a(k INTEGER PRIMARY KEY) STRICT;"
                        "CREATE TABLE c(k PRIMARY KEY) WITHOUT ROWID");
    cr_expect_eq(list(NULL, LIDO_TABLE_PLAIN | LIDO_TABLE_VIEW), LIDO_OK);
    cr_expect_str_eq(listed,
                     "main.a 1 1 s\nmain.b 1 3\nmain.c 1 1 w\n"
                     "main.v 2 2\n",
                     "%s", listed);
    stage_exec(stage_a, "CREATE VIEW bad AS SELECT * FROM nowhere");
    cr_expect_eq(list(NULL, LIDO_TABLE_VIEW), LIDO_OK);
    cr_expect_eq(strncmp(listed, "main.bad 2 0\nmain.v 2 ", 22), 0, "%s", listed);
    cr_expect_eq(list("temp", LIDO_TABLE_PLAIN), LIDO_OK);
    cr_expect_str_eq(listed, "");
    cr_expect_eq(list("nowhere", 0), LIDO_NOT_FOUND);
}

Test(table, a_list_ends_when_its_function_says_so)
{
    stage_exec(stage_a, "CREATE TABLE a(x); CREATE TABLE b(x)");
    stop_after = 1;
    stop_code = SQLITE_DONE;
    cr_expect_eq(list(NULL, 0), LIDO_OK);
    cr_expect_str_eq(listed, "main.a 1 1\n");
    stop_after = 1;
    stop_code = SQLITE_AUTH;
    cr_expect_eq(list(NULL, 0), SQLITE_AUTH);
}

/* --- the head of a CREATE ------------------------------------------------------------- */

static void expect_head(const char *sql, const char *wanted)
{
    bool is_read;
    char *text = lido__create_renamed(sql, "ma\"in", "n\"ew", &is_read);

    cr_expect_eq(is_read, wanted != NULL, "%s", sql);
    if (wanted != NULL)
        cr_expect_str_eq(text, wanted, "%s: %s", sql, text);
    sqlite3_free(text);
}

Test(table, the_name_behind_create_is_replaced)
{
#define NEW "\"ma\"\"in\".\"n\"\"ew\" "
    expect_head("CREATE TABLE t(x)", "CREATE TABLE " NEW "(x)");
    expect_head("create table\"a\"\"b\"(x)", "create table" NEW "(x)");
    expect_head("CREATE TABLE [a \"b]/*c*/ (x)", "CREATE TABLE " NEW "/*c*/ (x)");
    expect_head("CREATE TABLE `a``b` AS", "CREATE TABLE " NEW " AS");
    expect_head("CREATE TABLE 'it''s'(x)", "CREATE TABLE " NEW "(x)");
    expect_head("-- x\nCREATE /* TABLE y */ TABLE if not EXISTS main . t (x)",
                "-- x\nCREATE /* TABLE y */ TABLE " NEW " (x)");
    expect_head("CREATE /*/ VIEW */ TABLE t(x)", "CREATE /*/ VIEW */ TABLE " NEW "(x)");
    expect_head("CREATE UNIQUE INDEX \xc3\xa4$1 ON t(x)",
                "CREATE UNIQUE INDEX " NEW " ON t(x)");
    expect_head("CREATE TRIGGER \"\" AFTER", "CREATE TRIGGER " NEW " AFTER");
    expect_head("CREATE VIRTUAL TABLE t USING x", NULL);
    expect_head("CREATE VIEW t AS", NULL);
    expect_head("CREATE TABLE (", NULL);
    expect_head("CREATE TABLE main.", NULL);
    expect_head("CREATE", NULL);
    expect_head("", NULL);
    expect_head("CREATE TABLE /* never", NULL);
    expect_head("CREATE TABLE \"never", "CREATE TABLE " NEW "");
}

Test(table, a_word_is_found_where_it_is_one)
{
    cr_expect(lido__create_has_word("CREATE TABLE t(x check(x>0))", "CHECK"));
    cr_expect_not(lido__create_has_word("CREATE TABLE t(\"CHECK\" [CHECK] 'CHECK' `CHECK`"
                                        " checked /* CHECK */ -- CHECK",
                                        "CHECK"));
    cr_expect_not(lido__create_has_word("x] ) ; 'never CHECK", "CHECK"));
}

Test(table, parts_have_names)
{
    for (int i = 0; i < 14; i++)
        cr_expect_not_null(lido_table_part_name(1 << i));
    cr_expect_null(lido_table_part_name(1 << 14));
    cr_expect_null(lido_table_part_name(3));
    cr_expect_null(lido_table_part_name(0));
}
