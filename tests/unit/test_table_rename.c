/* SPDX-License-Identifier: MIT */
/*
 * A table renamed: what follows it, and what is as it was when it cannot be.
 */
#include "tests/support/table_stage.h"

static struct lido_table_rename_options options;

static void set_up(void)
{
    stage_set_up();
    options = (struct lido_table_rename_options)LIDO_TABLE_RENAME_OPTIONS_INIT;
}

TestSuite(table_rename, .init = set_up, .fini = stage_tear_down, .timeout = 60);

static int rename_it(const char *table, const char *new_name)
{
    return lido_table_rename(lido_at_path(stage_a), table, new_name, &options, &err);
}

static const char schema[] =
    "CREATE TABLE t(id INTEGER PRIMARY KEY AUTOINCREMENT, x CHECK(t.x > 0));"
    "CREATE INDEX i ON t(x); CREATE TABLE kid(t REFERENCES t(id));"
    "CREATE VIEW v AS SELECT t.x FROM t; CREATE TABLE log(x);"
    "CREATE TRIGGER g AFTER INSERT ON log BEGIN UPDATE t SET x = 9 WHERE t.id = 5; END;"
    "INSERT INTO t VALUES (5, 1); DELETE FROM t; INSERT INTO t VALUES (4, 2)";

Test(table_rename, all_that_speaks_of_it_follows)
{
    stage_exec(stage_a, schema);
    cr_expect_eq(rename_it("T", "a\"b"), LIDO_OK, "%s", err.text);
    stage_expect(stage_a, "SELECT x FROM v", "2");
    stage_expect(stage_a, "SELECT \"table\" FROM pragma_foreign_key_list('kid')", "a\"b");
    stage_expect(stage_a, "SELECT tbl_name FROM sqlite_schema WHERE name = 'i'", "a\"b");
    stage_expect(stage_a, "SELECT seq FROM sqlite_sequence WHERE name = 'a\"b'", "5");
    stage_exec(stage_a, "INSERT INTO \"a\"\"b\"(x) VALUES (1); INSERT INTO log VALUES (1)");
    stage_expect(stage_a, "SELECT count(*) FROM sqlite_schema WHERE name = 't'", "0");
    stage_expect(stage_a, "PRAGMA integrity_check", "ok");
}

/* The legacy mode would leave views and triggers behind. */
Test(table_rename, they_follow_whatever_the_connections_mode_is)
{
    lido_pool *pool = stage_pool(stage_a, "pool=static");
    sqlite3 *db;
    struct lido_conn conn;
    int mode;

    stage_exec(stage_a, schema);
    cr_assert_eq(lido_pool_checkout(pool, &conn, NULL, &err), LIDO_OK);
    db = lido_conn_sqlite(&conn);
    cr_assert_eq(sqlite3_db_config(db, SQLITE_DBCONFIG_LEGACY_ALTER_TABLE, 1, &mode), 0);
    cr_expect_eq(lido_table_rename(lido_at_pool(pool), "t", "u", NULL, &err), LIDO_OK, "%s",
                 err.text);
    cr_assert_eq(sqlite3_db_config(db, SQLITE_DBCONFIG_LEGACY_ALTER_TABLE, -1, &mode), 0);
    cr_expect_eq(mode, 1, "the mode is as it was");
    lido_conn_checkin(&conn, NULL, NULL);
    lido_pool_free(pool);
    stage_expect(stage_a, "SELECT x FROM v", "2");
}

Test(table_rename, a_virtual_table_follows_with_its_parts)
{
    stage_exec(stage_a,
               "CREATE VIRTUAL TABLE f USING fts5(x); INSERT INTO f VALUES ('eel')");
    cr_expect_eq(rename_it("f", "g"), LIDO_OK, "%s", err.text);
    stage_expect(stage_a, "SELECT count(*) FROM g('eel')", "1");
}

Test(table_rename, to_the_same_letters_in_another_case)
{
    stage_exec(stage_a, schema);
    cr_expect_eq(rename_it("t", "T"), LIDO_OK, "%s", err.text);
    stage_expect(stage_a, "SELECT name FROM sqlite_schema WHERE name = 't' COLLATE NOCASE",
                 "T");
    stage_expect(stage_a, "SELECT x FROM v", "2");
}

Test(table_rename, to_any_name_and_back)
{
    const char *name;

    stage_exec(stage_a, schema);
    for (size_t i = 0; (name = stage_name(i)) != NULL; i++) {
        int kind;

        cr_expect_eq(rename_it("t", name), LIDO_OK, "%s: %s", name, err.text);
        cr_expect_eq(lido_table_exists(lido_at_path(stage_a), NULL, name, 0, &kind, &err),
                     0);
        cr_expect_eq(kind, LIDO_TABLE_PLAIN, "%s", name);
        stage_expect(stage_a, "SELECT x FROM v", "2");
        cr_expect_eq(rename_it(name, "t"), LIDO_OK, "%s: %s", name, err.text);
    }
    stage_expect(stage_a, "SELECT x FROM v", "2");
}

static void expect_refused(const char *table, const char *new_name, int code,
                           const char *text)
{
    char *before = stage_content(stage_a);

    for (options.dry_run = 0; options.dry_run < 2; options.dry_run++) {
        cr_expect_eq(rename_it(table, new_name), code, "%s: %d %s", table, err.code,
                     err.text);
        cr_expect_not_null(strstr(err.text, text), "%s", err.text);
    }
    options.dry_run = 0;
    stage_expect_same(stage_a, before);
}

Test(table_rename, what_would_break_is_told_and_nothing_is_changed)
{
    stage_exec(stage_a, schema);
    stage_exec(stage_a, "CREATE VIRTUAL TABLE f USING fts5(x)");
    expect_refused("nowhere", "n", LIDO_NOT_FOUND, "nowhere");
    expect_refused("v", "n", SQLITE_ERROR, "a view");
    expect_refused("f_data", "n", SQLITE_ERROR, "a part of");
    expect_refused("sqlite_sequence", "n", SQLITE_ERROR, "SQLite's own");
    expect_refused("t", "LOG", SQLITE_ERROR, "already");
    expect_refused("t", "i", SQLITE_ERROR, "an index");
    expect_refused("t", "v", SQLITE_ERROR, "a view");
    expect_refused("t", "sqlite_x", SQLITE_ERROR, "reserved");
    expect_refused("t", "\xc3", LIDO_BAD_TEXT, "UTF-8");
    expect_refused(NULL, "n", SQLITE_MISUSE, "NULL");
    expect_refused("t", NULL, SQLITE_MISUSE, "NULL");
    stage_exec(stage_a, "CREATE VIEW sick AS SELECT * FROM absent");
    expect_refused("t", "n", SQLITE_ERROR, "sick");
    options.size = 0;
    cr_expect_eq(rename_it("t", "n"), SQLITE_MISUSE);
}

Test(table_rename, a_dry_run_changes_nothing)
{
    char *before;

    stage_exec(stage_a, schema);
    before = stage_content(stage_a);
    options.dry_run = 1;
    cr_expect_eq(rename_it("t", "n"), LIDO_OK, "%s", err.text);
    stage_expect_same(stage_a, before);
    options.dry_run = 0;
    cr_expect_eq(rename_it("t", "n"), LIDO_OK, "%s", err.text);
}

static int count_commit(void *ctx, const struct lido_event *event, struct lido_error *story)
{
    (void)event;
    (void)story;
    ++*(int *)ctx;
    return LIDO_OK;
}

Test(table_rename, a_dry_run_commits_nothing)
{
    static const struct lido_events events = { .size = sizeof events,
                                               .commit = count_commit };
    lido_pool *pool = stage_pool(stage_a, "pool=queue");
    char before[100], now[100];
    int commits = 0;
    FILE *file;

    stage_exec(stage_a, schema);
    cr_assert_eq(lido_hooks_add(lido_pool_hooks(pool), NULL, &events, &commits, NULL, &err),
                 LIDO_OK);
    file = fopen(stage_a, "r");
    cr_assert_eq(fread(before, 1, 100, file), 100);
    fclose(file);
    options.dry_run = 1;
    cr_expect_eq(lido_table_rename(lido_at_pool(pool), "t", "n", &options, &err), LIDO_OK,
                 "%s", err.text);
    cr_expect_eq(commits, 0);
    lido_pool_free(pool);
    file = fopen(stage_a, "r");
    cr_assert_eq(fread(now, 1, 100, file), 100);
    fclose(file);
    cr_expect_eq(memcmp(before, now, 100), 0);
}

Test(table_rename, ends_when_it_is_cancelled)
{
    struct lido_job job = LIDO_JOB_INIT;
    char *before;

    stage_exec(stage_a, schema);
    before = stage_content(stage_a);
    cr_assert_eq(lido_cancel_new(&job.cancel, &err), LIDO_OK);
    cr_assert_eq(lido_cancel_fire(job.cancel, &err), LIDO_OK);
    options.job = &job;
    cr_expect_eq(rename_it("t", "n"), LIDO_CANCELLED, "%s", err.text);
    lido_cancel_free(job.cancel);
    job.cancel = NULL;
    job.timeout_ms = 0;
    cr_expect_eq(rename_it("t", "n"), LIDO_TXN_TIMEOUT, "%s", err.text);
    stage_expect_same(stage_a, before);
}
