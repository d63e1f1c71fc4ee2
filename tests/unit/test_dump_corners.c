/* SPDX-License-Identifier: MIT */
/*
 * Dump and load where they meet the settings of a connection, and what a dump holds when it is
 * over.
 */
#include "dumped.h"
#include "own_folder.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char folder[] = "/tmp/lido-dump-corners-XXXXXX";
static char source[100];
static lido_pool *pool;
static struct lido_error err;

static void set_up(void)
{
    cr_assert_not_null(mkdtemp(folder));
    snprintf(source, sizeof source, "%s/source.db", folder);
}

static void tear_down(void)
{
    lido_pool_free(pool);
    unlink(source);
    own_folder_end(folder);
}

TestSuite(dump_corners, .init = set_up, .fini = tear_down, .timeout = 60);

static void open_pool(const char *keys)
{
    char url[200];

    snprintf(url, sizeof url, "sqlite:///%s?%s", source, keys);
    cr_assert_eq(lido_pool_open(&pool, url, NULL, &err), LIDO_OK, "%s", err.text);
}

static int load(const char *text)
{
    return lido_load_text(lido_at_pool(pool), NULL, text, strlen(text), NULL, &err);
}

/* --- dump ------------------------------------------------------------------------------- */

static void expect_out(int leases)
{
    struct lido_pool_stats stats = LIDO_POOL_STATS_INIT;

    cr_assert_eq(lido_pool_stats(pool, &stats, &err), LIDO_OK);
    cr_expect_eq(stats.out, leases);
}

Test(dump_corners, one_that_is_over_has_no_lease_any_more)
{
    struct lido_job job = LIDO_JOB_INIT;
    struct lido_dump_options options = LIDO_DUMP_OPTIONS_INIT;
    struct lido_dump *dump;
    const char *text;

    cr_assert_eq(lido_cancel_new(&job.cancel, &err), LIDO_OK);
    run(source, "CREATE TABLE t (x); INSERT INTO t VALUES(1)");
    open_pool("pool=queue");
    options.job = &job;
    for (int is_cancelled = 0; is_cancelled < 2; is_cancelled++) {
        const int wanted = is_cancelled ? LIDO_CANCELLED : SQLITE_DONE;
        int rc = SQLITE_ROW;

        cr_assert_eq(lido_dump_new(&dump, lido_at_pool(pool), &options, &err), LIDO_OK);
        expect_out(1);
        if (is_cancelled)
            lido_cancel_fire(job.cancel, NULL);
        while (rc == SQLITE_ROW)
            rc = lido_dump_next(dump, &text, NULL, &err);
        cr_expect_eq(rc, wanted);
        expect_out(0);
        cr_expect_eq(lido_dump_next(dump, &text, NULL, &err), wanted, "always the same");
        lido_dump_free(dump);
        expect_out(0);
    }
    lido_cancel_free(job.cancel);
}

/* Where `text` stands in the dump. */
static long at(const char *dump, const char *text)
{
    const char *found = strstr(dump, text);

    cr_assert_not_null(found, "%s: %s", text, dump);
    return (long)(found - dump);
}

Test(dump_corners, it_has_the_order_that_it_says)
{
    char *dump;

    run(source, "CREATE TABLE a (id INTEGER PRIMARY KEY AUTOINCREMENT, x);"
                "CREATE TRIGGER r AFTER INSERT ON a BEGIN SELECT 1; END;"
                "CREATE VIEW v AS SELECT * FROM b;"
                "CREATE VIRTUAL TABLE f USING fts5(x);"
                "CREATE INDEX i ON a (x); INSERT INTO a(x) VALUES('y');"
                "CREATE TABLE b (x); ANALYZE");
    dump = dumped(lido_at_path(source), NULL, NULL);
    cr_expect_lt(at(dump, "CREATE TABLE b"), at(dump, "INTO \"sqlite_sequence\""));
    cr_expect_lt(at(dump, "INTO \"sqlite_sequence\""), at(dump, "INTO \"sqlite_stat1\""));
    cr_expect_lt(at(dump, "INTO \"sqlite_stat1\""), at(dump, "CREATE INDEX"));
    cr_expect_lt(at(dump, "CREATE INDEX"), at(dump, "CREATE VIEW"));
    cr_expect_lt(at(dump, "CREATE VIEW"), at(dump, "CREATE TRIGGER"));
    cr_expect_lt(at(dump, "CREATE TRIGGER"), at(dump, "CREATE VIRTUAL TABLE"));
    free(dump);
}

/* Also where an index holds all that is dumped, and is smaller than its table. */
Test(dump_corners, rows_come_in_the_order_of_the_table)
{
    char *dump;

    run(source, "CREATE TABLE t (x, y AS (x) STORED, z AS (x) STORED);"
                "CREATE INDEX i ON t (x);"
                "INSERT INTO t(x) VALUES('later'), ('earlier')");
    dump = dumped(lido_at_path(source), NULL, NULL);
    cr_expect_lt(at(dump, "'later');"), at(dump, "'earlier');"));
    free(dump);
}

/* The thread's lease would be shared: a job has one of its own, beside the transaction. */
Test(dump_corners, a_thread_may_be_in_a_transaction_of_its_own)
{
    struct lido_conn conn;
    char *dump;

    run(source, "PRAGMA journal_mode=wal; CREATE TABLE t (x)");
    open_pool("pool=queue&use_threadlocal=true");
    cr_assert_eq(lido_pool_checkout(pool, &conn, NULL, &err), LIDO_OK);
    cr_assert_eq(lido_txn_begin(&conn, LIDO_READ, &err), LIDO_OK);
    cr_expect_eq(lido_load_text(lido_at_pool(pool), NULL, "INSERT INTO t VALUES(7);", 24,
                                NULL, &err),
                 LIDO_OK, "%s", err.text);
    dump = dumped(lido_at_pool(pool), NULL, NULL);
    cr_expect_gt(at(dump, "VALUES(1,7)"), 0);
    free(dump);
    cr_expect_eq(lido_txn_rollback(&conn, &err), LIDO_OK);
    lido_conn_checkin(&conn, NULL, NULL);
}

/* --- load ------------------------------------------------------------------------------- */

/* Its pragma is left out, and would do nothing in the transaction. */
Test(dump_corners, foreign_keys_are_off_while_a_text_is_loaded)
{
    open_pool("pool=static&foreign_keys=on");
    cr_expect_eq(load("CREATE TABLE p (i INTEGER PRIMARY KEY); CREATE TABLE c (p NOT NULL "
                      "REFERENCES p); INSERT INTO c VALUES(7); INSERT INTO p VALUES(7);"
                      "DROP TABLE p; CREATE TABLE p (i INTEGER PRIMARY KEY);"
                      "INSERT INTO p VALUES(7);"),
                 LIDO_OK, "%s", err.text);
    cr_expect_eq(lido_pool_exec(pool, "DELETE FROM p", &err), SQLITE_CONSTRAINT_FOREIGNKEY,
                 "and on again");
}

/* All are names of the same pragma to SQLite. */
Test(dump_corners, a_pragma_is_known_by_any_of_its_names)
{
    static const char *const names[] = { "\"writable_schema\"", "main.writable_schema",
                                         "[main] . Writable_Schema", "'writable_schema'" };
    struct lido_conn conn;
    char text[300];

    open_pool("pool=static");
    cr_assert_eq(lido_pool_checkout(pool, &conn, NULL, &err), LIDO_OK);
    sqlite3_db_config(lido_conn_sqlite(&conn), SQLITE_DBCONFIG_DEFENSIVE, 1, (int *)NULL);
    for (int i = 0; i < 4; i++) {
        snprintf(text, sizeof text,
                 "PRAGMA %s=ON; INSERT INTO sqlite_master VALUES('table', 'w%d', 'w%d', 0, "
                 "'CREATE VIRTUAL TABLE w%d USING fts5vocab(f, row)');",
                 names[i], i, i, i);
        cr_expect_eq(load(text), LIDO_OK, "%s: %s", names[i], err.text);
        snprintf(text, sizeof text, "DROP TABLE w%d", i);
        cr_expect_eq(lido_pool_exec(pool, text, &err), LIDO_OK, "%s: %s", names[i],
                     err.text);
    }
    cr_expect_eq(lido_conn_checkin(&conn, NULL, &err), LIDO_OK);
}
