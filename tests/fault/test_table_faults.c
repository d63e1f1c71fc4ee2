/* SPDX-License-Identifier: MIT */
/*
 * Every allocation of a job on tables fails once: the caller is told, both databases are as
 * they were, nothing leaks, and the next try works.
 */
#include "failing_malloc.h"
#include "failing_vfs.h"
#include "tests/support/table_stage.h"

static void make(void)
{
    stage_exec(stage_a, "CREATE TABLE p(id INTEGER PRIMARY KEY); INSERT INTO p VALUES (1);"
                        "CREATE TABLE t(id INTEGER PRIMARY KEY AUTOINCREMENT, x UNIQUE"
                        " COLLATE NOCASE, p REFERENCES p, me REFERENCES t, g AS (id));"
                        "CREATE INDEX i ON t(p); INSERT INTO t VALUES (1, 'a', NULL, 2),"
                        " (2, 'b', NULL, 1); CREATE VIEW bad AS SELECT * FROM nowhere;"
                        "CREATE TRIGGER g AFTER INSERT ON t BEGIN SELECT 1; END");
    stage_exec(stage_b, "CREATE TABLE t(id); INSERT INTO t VALUES (7); CREATE TABLE p(z)");
}

static void set_up(void)
{
    failing_malloc_install();
    failing_vfs_install(); /* nothing fails, but a sync takes no time */
    failing_vfs_hurry();
    cr_assert_eq(sqlite3_vfs_register(sqlite3_vfs_find("failing"), 1), SQLITE_OK);
    stage_set_up();
    make();
}

static void put_back(void)
{
    unlink(stage_a);
    unlink(stage_b);
    make();
}

TestSuite(table_faults, .init = set_up, .fini = stage_tear_down, .timeout = 110);

static lido_pool *a, *b;
static int (*work)(void);

static int back_up(void)
{
    struct lido_table_backup_options options = LIDO_TABLE_BACKUP_OPTIONS_INIT;

    options.triggers = 1;
    return lido_table_backup(lido_at_pool(a), "t", "u", &options, NULL, &err);
}

static int rename_it(void)
{
    return lido_table_rename(lido_at_pool(b), "t", "u", NULL, &err);
}

static int copy(void)
{
    struct lido_table_copy_options options = LIDO_TABLE_COPY_OPTIONS_INIT;

    options.mode = LIDO_COPY_REPLACE;
    options.new_name = "p";
    options.check_foreign_keys = 0;
    return lido_table_copy(lido_at_pool(a), "t", lido_at_pool(b), &options, NULL, &err);
}

static int copy_some(void)
{
    static const char *const columns[] = { "x", "p" };
    struct lido_table_copy_options options = LIDO_TABLE_COPY_OPTIONS_INIT;

    options.mode = LIDO_COPY_REPLACE;
    options.new_name = "p";
    options.columns = columns;
    options.column_count = 2;
    options.triggers = 1;
    options.check_foreign_keys = 0;
    return lido_table_copy(lido_at_pool(a), "t", lido_at_pool(b), &options, NULL, &err);
}

static int ask(void)
{
    int kind;
    const int rc = lido_table_exists(lido_at_path(stage_a), NULL, "t", 0, &kind, &err);

    cr_expect(rc != LIDO_OK || kind == LIDO_TABLE_PLAIN);
    return rc;
}

static void expect_as_it_was(const char *path, const char *before, int n)
{
    char *now = stage_content(path);

    cr_expect_str_eq(now, before, "%s after %d", path, n);
    sqlite3_free(now);
}

/* An allocation that SQLite can do without is passed by: then the job is done. */
static void sweep(int stride, int fewest)
{
    char *before_a, *before_b;
    int refused = 0;
    long outstanding = 0;
    bool is_done = false;

    put_back();
    before_a = stage_content(stage_a);
    before_b = stage_content(stage_b);
    for (int n = 1; !is_done; n += stride) {
        int rc;

        a = stage_pool(stage_a, "pool=queue");
        b = stage_pool(stage_b, "pool=queue");
        failing_malloc_arm(n);
        rc = work();
        is_done = !failing_malloc_fired();
        failing_malloc_arm(0);
        lido_pool_free(a);
        lido_pool_free(b);
        if (rc == LIDO_OK) {
            put_back();
            continue;
        }
        cr_expect_not(is_done, "%s", err.text);
        cr_expect((rc & 0xff) == SQLITE_NOMEM || rc == SQLITE_IOERR_NOMEM ||
                      rc == LIDO_TXN_OVER,
                  "%d: %d %s", n, rc, err.text);
        if (++refused % 8 == 0) {
            expect_as_it_was(stage_a, before_a, n);
            expect_as_it_was(stage_b, before_b, n);
        }
        if (refused == 1)
            outstanding = failing_malloc_outstanding();
        cr_expect_leq(failing_malloc_outstanding(), outstanding, "a leak, %d: %ld", n,
                      failing_malloc_outstanding() - outstanding);
    }
    cr_expect_geq(refused, fewest, "%d", refused);
    sqlite3_free(before_a);
    sqlite3_free(before_b);
}

Test(table_faults, of_a_question)
{
    work = ask;
    sweep(1, 50);
}

Test(table_faults, of_a_backup)
{
    work = back_up;
    sweep(3, 100);
}

Test(table_faults, of_a_rename)
{
    work = rename_it;
    sweep(1, 50);
}

Test(table_faults, of_a_copy)
{
    work = copy;
    sweep(3, 100);
}

Test(table_faults, of_a_copy_of_columns)
{
    work = copy_some;
    sweep(5, 100);
}
