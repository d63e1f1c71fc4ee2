/* SPDX-License-Identifier: MIT */
/*
 * Upkeep: what vacuum, optimize, checkpoint and sizes do to a file, and what they answer where
 * they cannot.
 */
#include "housekeeping/upkeep.h"
#include "tests/support/other_process.h"
#include "tests/support/upkeep_stage.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

TestSuite(upkeep, .init = set_up, .fini = clear, .timeout = 60);

static uint64_t entered(lido_pool *pool)
{
    struct lido_gate_stats stats = LIDO_GATE_STATS_INIT;

    cr_assert_eq(lido_gate_stats(pool, &stats, NULL), LIDO_OK);
    return stats.entered;
}

static int keep_integer(void *ctx, const struct lido_stmt *row, struct lido_error *story)
{
    (void)story;
    *(int64_t *)ctx = lido_stmt_integer(row, 0);
    return LIDO_OK;
}

/* --- vacuum ---------------------------------------------------------------------------- */

Test(upkeep, vacuum_gives_all_free_pages_back)
{
    struct lido_vacuum_report report = LIDO_VACUUM_REPORT_INIT;
    off_t before;

    sql(FILL "DELETE FROM t WHERE x > 10");
    before = size_of("");
    cr_assert_eq(lido_vacuum(lido_at_path(path), &report, &options, &err), LIDO_OK, "%s",
                 err.text);
    cr_expect_lt(size_of(""), before / 10);
    cr_expect_eq(report.pages_before * report.page_size, before);
    cr_expect_eq(report.pages_after * report.page_size, size_of(""));
    cr_expect_gt(report.free_before, 100);
    cr_expect_eq(report.free_after, 0);
    cr_expect_eq(number("SELECT count(*) FROM t"), 10);
}

Test(upkeep, what_writes_goes_through_the_gate_and_a_passive_checkpoint_does_not)
{
    struct lido_checkpoint_report report = LIDO_CHECKPOINT_REPORT_INIT;
    lido_pool *pool;
    struct lido_database at;
    struct lido_conn conn;

    sql("PRAGMA journal_mode=wal; PRAGMA auto_vacuum=incremental; VACUUM;" FILL);
    pool = open_pool();
    at = lido_at_pool(pool);
    cr_assert_eq(lido_pool_exec(pool, "DELETE FROM t", &err), LIDO_OK);
    cr_expect_eq(entered(pool), 1, "%d", (int)entered(pool));
    cr_expect_eq(lido_checkpoint(at, SQLITE_CHECKPOINT_PASSIVE, NULL, &options, &err), 0);
    cr_expect_eq(entered(pool), 1, "%d", (int)entered(pool));
    cr_expect_eq(lido_vacuum_some(at, 1, NULL, &options, &err), LIDO_OK, "%s", err.text);
    cr_expect_eq(entered(pool), 2, "%d", (int)entered(pool));
    cr_expect_eq(lido_vacuum(at, NULL, &options, &err), LIDO_OK, "%s", err.text);
    cr_expect_eq(entered(pool), 3, "%d", (int)entered(pool));
    cr_expect_eq(lido_checkpoint(at, SQLITE_CHECKPOINT_TRUNCATE, NULL, &options, &err), 0);
    cr_expect_eq(entered(pool), 4, "%d", (int)entered(pool));
    cr_expect_eq(lido_optimize(at, LIDO_OPTIMIZE_ALL, &options, &err), LIDO_OK);
    cr_expect_eq(entered(pool), 5, "%d", (int)entered(pool));

    /* Who is in keeps them out, and is named. */
    cr_assert_eq(lido_pool_checkout(pool, &conn, NULL, &err), LIDO_OK);
    cr_assert_eq(lido_txn_begin(&conn, LIDO_IMMEDIATE, &err), LIDO_OK);
    cr_expect_eq(lido_vacuum(at, NULL, &options, &err), SQLITE_BUSY);
    cr_expect_not_null(strstr(err.text, "for the write gate"), "%s", err.text);
    cr_assert_eq(lido_checkpoint(at, SQLITE_CHECKPOINT_TRUNCATE, &report, &options, &err),
                 LIDO_OK, "no failure: %s", err.text);
    cr_expect(report.is_wal && report.is_busy);
    cr_expect_eq(lido_conn_checkin(&conn, NULL, &err), LIDO_OK);
    lido_pool_free(pool);
}

static int stop_after(void *ctx, const struct lido_progress *now, struct lido_error *story)
{
    int *left = ctx;

    (void)story;
    cr_expect(now->phase[0] != '\0' && now->unit[0] != '\0');
    return --*left > 0 ? LIDO_OK : SQLITE_AUTH;
}

Test(upkeep, vacuum_ends_with_the_job_and_nothing_has_changed)
{
    lido_cancel *token;
    off_t before;
    int left = 2;

    sql(FILL
        "INSERT INTO t SELECT x + 2000, randomblob(400) FROM t;"
        "INSERT INTO t SELECT x + 4000, randomblob(400) FROM t; DELETE FROM t WHERE x % 2");
    before = size_of("");
    cr_assert_eq(lido_cancel_new(&token, &err), LIDO_OK);
    job.cancel = token;
    lido_cancel_fire(token, NULL);
    cr_expect_eq(lido_vacuum(lido_at_path(path), NULL, &options, &err), LIDO_CANCELLED);
    job.cancel = NULL;
    lido_cancel_free(token);

    job.timeout_ms = 0;
    cr_expect_eq(lido_vacuum(lido_at_path(path), NULL, &options, &err), LIDO_TXN_TIMEOUT);
    job.timeout_ms = 1;
    cr_expect_eq(lido_vacuum(lido_at_path(path), NULL, &options, &err), LIDO_TXN_TIMEOUT);
    cr_expect_not_null(strstr(err.text, "not done after 1 ms"), "%s", err.text);
    job.timeout_ms = -1;

    job.progress = stop_after;
    job.progress_ctx = &left;
    left = 1;
    cr_expect_eq(lido_vacuum(lido_at_path(path), NULL, &options, &err), SQLITE_AUTH);
    cr_expect_eq(size_of(""), before);
    cr_expect_eq(size_of("-journal"), -1);
}

Test(upkeep, a_full_disk_leaves_the_file_as_it_was)
{
    struct rlimit limit;
    off_t before;

    sql(FILL "DELETE FROM t WHERE x % 2");
    before = size_of("");
    signal(SIGXFSZ, SIG_IGN);
    cr_assert_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = 20000;
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    cr_expect_neq(lido_vacuum(lido_at_path(path), NULL, &options, &err), LIDO_OK);
    limit.rlim_cur = limit.rlim_max;
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    cr_expect_eq(size_of(""), before);
    cr_expect_eq(number("SELECT count(*) FROM t"), 1000);
}

Test(upkeep, some_pages_are_given_back_and_no_more)
{
    struct lido_vacuum_report report = LIDO_VACUUM_REPORT_INIT;
    int64_t free_pages;

    sql("PRAGMA auto_vacuum=incremental;" FILL "DELETE FROM t WHERE x > 10");
    cr_assert_eq(lido_vacuum_some(lido_at_path(path), 7, &report, &options, &err), LIDO_OK,
                 "%s", err.text);
    cr_expect_eq(report.free_before - report.free_after, 7);
    cr_expect_eq(report.pages_after * report.page_size, size_of(""));
    free_pages = report.free_after;
    cr_assert_gt(free_pages, 256, "more than goes in one transaction");
    cr_assert_eq(lido_vacuum_some(lido_at_path(path), -1, &report, &options, &err),
                 LIDO_OK);
    cr_expect_eq(report.free_before, free_pages);
    cr_expect_eq(report.free_after, 0);
    cr_assert_eq(lido_vacuum_some(lido_at_path(path), 5, &report, &options, &err), LIDO_OK);
    cr_expect_eq(report.pages_before, report.pages_after);
}

Test(upkeep, pages_of_a_database_that_keeps_them_are_refused)
{
    sql(FILL);
    cr_expect_eq(lido_vacuum_some(lido_at_path(path), 5, NULL, &options, &err),
                 LIDO_SETTING);
    cr_expect_not_null(strstr(err.text, "auto_vacuum=none"), "%s", err.text);
}

/* --- optimize -------------------------------------------------------------------------- */

Test(upkeep, optimize_tells_the_planner_of_the_data)
{
    sql(FILL);
    cr_assert_eq(lido_optimize(lido_at_path(path), LIDO_OPTIMIZE_NEEDED, &options, &err),
                 LIDO_OK, "%s", err.text);
    cr_expect_eq(number("SELECT count(*) FROM sqlite_stat1 WHERE idx = 't_y'"), 1);
    sql("DELETE FROM sqlite_stat1");
    cr_assert_eq(lido_optimize(lido_at_path(path), LIDO_OPTIMIZE_ALL, NULL, &err), LIDO_OK);
    cr_expect_eq(number("SELECT count(*) FROM sqlite_stat1 WHERE idx = 't_y'"), 1);
}

Test(upkeep, the_limit_of_an_unguarded_connection_is_set_back)
{
    int64_t limit = -1;
    lido_pool *pool;
    char url[160];

    sql(FILL);
    snprintf(url, sizeof url, "sqlite:///%s?pool=queue&session_guard=0", path);
    cr_assert_eq(lido_pool_open(&pool, url, NULL, &err), LIDO_OK, "%s", err.text);
    cr_assert_eq(lido_pool_exec(pool, "PRAGMA analysis_limit=77", &err), LIDO_OK);
    cr_assert_eq(lido_optimize(lido_at_pool(pool), LIDO_OPTIMIZE_ALL, &options, &err),
                 LIDO_OK);
    cr_assert_eq(
        lido_pool_query(pool, "PRAGMA analysis_limit", NULL, 0, keep_integer, &limit, &err),
        LIDO_OK);
    cr_expect_eq(limit, 77);
    lido_pool_free(pool);
}

static int fire(void *ctx, const struct lido_event *event, struct lido_error *story)
{
    (void)event;
    return lido_cancel_fire(ctx, story);
}

Test(upkeep, the_limit_is_set_back_after_a_cancel_too)
{
    const struct lido_events events = { .size = sizeof events, .begin = fire };
    lido_hook hook;
    int64_t limit = -1;
    lido_pool *pool;
    char url[160];

    sql(FILL);
    snprintf(url, sizeof url, "sqlite:///%s?pool=queue&session_guard=0", path);
    cr_assert_eq(lido_pool_open(&pool, url, NULL, &err), LIDO_OK, "%s", err.text);
    cr_assert_eq(lido_pool_exec(pool, "PRAGMA analysis_limit=77", &err), LIDO_OK);
    cr_assert_eq(lido_cancel_new(&job.cancel, &err), LIDO_OK);
    cr_assert_eq(
        lido_hooks_add(lido_pool_hooks(pool), &hook, &events, job.cancel, NULL, &err),
        LIDO_OK);
    cr_assert_eq(lido_optimize(lido_at_pool(pool), LIDO_OPTIMIZE_ALL, &options, &err),
                 LIDO_CANCELLED);
    cr_assert_eq(
        lido_pool_query(pool, "PRAGMA analysis_limit", NULL, 0, keep_integer, &limit, &err),
        LIDO_OK);
    cr_expect_eq(limit, 77);
    lido_pool_free(pool);
    lido_cancel_free(job.cancel);
}

/* --- checkpoint ------------------------------------------------------------------------ */

Test(upkeep, a_checkpoint_empties_the_log)
{
    struct lido_checkpoint_report report = LIDO_CHECKPOINT_REPORT_INIT;
    lido_pool *pool;

    sql("PRAGMA journal_mode=wal;" FILL);
    pool = open_pool();
    cr_assert_eq(lido_pool_exec(pool, "UPDATE t SET y = 1 WHERE x < 100", &err), LIDO_OK);
    cr_assert_gt(size_of("-wal"), 0);
    cr_assert_eq(lido_checkpoint(lido_at_pool(pool), SQLITE_CHECKPOINT_PASSIVE, &report,
                                 &options, &err),
                 LIDO_OK);
    cr_expect(report.is_wal && !report.is_busy);
    cr_expect_gt(report.frames, 10);
    cr_expect_eq(report.frames, report.checkpointed);
    cr_assert_eq(lido_checkpoint(lido_at_pool(pool), SQLITE_CHECKPOINT_TRUNCATE, &report,
                                 &options, &err),
                 LIDO_OK);
    cr_expect_eq(size_of("-wal"), 0);
    cr_expect_eq(report.frames, 0);
    lido_pool_free(pool);
}

Test(upkeep, others_keep_a_checkpoint_from_its_end)
{
    struct lido_checkpoint_report report = LIDO_CHECKPOINT_REPORT_INIT;
    lido_pool *pool;

    sql("PRAGMA journal_mode=wal;" FILL);
    other_start(path);
    cr_assert_eq(other_run("BEGIN; SELECT * FROM t LIMIT 1"), SQLITE_OK);
    pool = open_pool();
    cr_assert_eq(lido_pool_exec(pool, "UPDATE t SET y = 1 WHERE x < 100", &err), LIDO_OK);
    for (int mode = SQLITE_CHECKPOINT_FULL; mode <= SQLITE_CHECKPOINT_TRUNCATE; mode++) {
        cr_assert_eq(lido_checkpoint(lido_at_pool(pool), mode, &report, &options, &err),
                     LIDO_OK, "%s", err.text);
        cr_expect(report.is_busy);
        cr_expect_gt(report.frames, report.checkpointed);
    }
    cr_assert_eq(other_run("COMMIT; BEGIN IMMEDIATE"), SQLITE_OK);
    cr_assert_eq(lido_checkpoint(lido_at_pool(pool), SQLITE_CHECKPOINT_FULL, &report,
                                 &options, &err),
                 LIDO_OK, "%s", err.text);
    cr_expect(report.is_busy, "a writer");
    cr_expect_eq(report.frames, report.checkpointed, "and what was possible is done");
    other_end();
    lido_pool_free(pool);
}

/* SQLite then says -1 of both numbers. */
Test(upkeep, a_transaction_on_the_connection_keeps_a_checkpoint_from_its_begin)
{
    struct lido_checkpoint_report report = LIDO_CHECKPOINT_REPORT_INIT;
    struct lido_conn conn;
    lido_pool *pool;
    char url[200];

    sql("PRAGMA journal_mode=wal;" FILL);
    snprintf(url, sizeof url, "sqlite:///%s?pool=static", path);
    cr_assert_eq(lido_pool_open(&pool, url, NULL, &err), LIDO_OK, "%s", err.text);
    cr_assert_eq(lido_pool_checkout(pool, &conn, NULL, &err), LIDO_OK);
    cr_assert_eq(sqlite3_exec(lido_conn_sqlite(&conn), "BEGIN; SELECT * FROM t LIMIT 1",
                              NULL, NULL, NULL),
                 SQLITE_OK);
    cr_expect_eq(lido_checkpoint(lido_at_pool(pool), SQLITE_CHECKPOINT_PASSIVE, &report,
                                 &options, &err),
                 LIDO_OK, "%s", err.text);
    cr_expect(report.is_busy);
    cr_expect_eq(report.frames, 0);
    cr_expect_eq(report.checkpointed, 0);
    lido_conn_checkin(&conn, NULL, NULL);
    lido_pool_free(pool);
}

Test(upkeep, without_a_log_there_is_nothing_to_do)
{
    struct lido_checkpoint_report report = LIDO_CHECKPOINT_REPORT_INIT;

    sql(FILL);
    for (int mode = SQLITE_CHECKPOINT_PASSIVE; mode <= SQLITE_CHECKPOINT_TRUNCATE; mode++) {
        cr_expect_eq(lido_checkpoint(lido_at_path(path), mode, &report, &options, &err),
                     LIDO_OK);
        cr_expect_not(report.is_wal);
        cr_expect_eq(report.frames, 0);
    }
}

Test(upkeep, a_connection_of_the_hosts_is_afterwards_as_it_was)
{
    lido_pool *pool;
    struct lido_conn conn;
    int64_t limit = -1;

    sql("PRAGMA journal_mode=wal;" FILL);
    pool = open_pool();
    for (int which = 0; which < JOBS; which++)
        if (which != 1)
            cr_assert_eq(run(which, lido_at_pool(pool)), LIDO_OK, "%d: %s", which,
                         err.text);
    cr_assert_eq(
        lido_pool_query(pool, "PRAGMA analysis_limit", NULL, 0, keep_integer, &limit, &err),
        LIDO_OK);
    cr_expect_eq(limit, 0);
    cr_assert_eq(lido_pool_checkout(pool, &conn, NULL, &err), LIDO_OK);
    cr_assert_eq(lido_txn_limit(&conn, 10, &err), LIDO_OK);
    cr_assert_eq(lido_txn_begin(&conn, LIDO_DEFERRED, &err), LIDO_OK);
    cr_expect_eq(lido_conn_exec(&conn,
                                "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 "
                                "FROM n) SELECT count(*) FROM n",
                                &err),
                 LIDO_TXN_TIMEOUT, "the limit of a transaction still ends what runs");
    cr_expect_eq(lido_conn_checkin(&conn, NULL, &err), LIDO_OK);
    lido_pool_free(pool);
}

/* --- sizes ----------------------------------------------------------------------------- */

static int64_t pages, bytes;
static char order[100];

static int add(void *ctx, const struct lido_size *object, struct lido_error *story)
{
    (void)ctx, (void)story;
    cr_expect_eq(object->size, sizeof *object);
    cr_expect_leq(object->payload + object->unused, object->bytes);
    pages += object->pages;
    bytes += object->bytes;
    snprintf(order + strlen(order), sizeof order - strlen(order), "%s:%s:%s ", object->name,
             object->table, object->kind);
    return LIDO_OK;
}

Test(upkeep, sizes_tell_each_table_and_index)
{
    struct lido_sizes_total total = LIDO_SIZES_TOTAL_INIT;

    sql(FILL "CREATE TABLE dbstat (name, pgsize); DELETE FROM t WHERE x > 1000;"
             "CREATE VIEW v AS SELECT 1;"
             "CREATE TRIGGER t AFTER DELETE ON t BEGIN SELECT 1; END");
    cr_assert_eq(lido_sizes(lido_at_path(path), add, NULL, &total, &options, &err), LIDO_OK,
                 "%s", err.text);
    cr_expect_str_eq(order,
                     "dbstat:dbstat:table sqlite_schema:sqlite_schema:table t:t:table "
                     "t_y:t:index ");
    cr_expect_eq(total.objects, 4);
    cr_expect_eq(total.pages * total.page_size, size_of(""));
    cr_expect_eq(pages + total.free_pages, total.pages);
    cr_expect_eq(bytes, pages * total.page_size);
}

static int refuse(void *ctx, const struct lido_size *object, struct lido_error *story)
{
    (void)ctx, (void)object;
    return lido_fail(story, SQLITE_AUTH, "enough");
}

Test(upkeep, who_is_told_sizes_may_end_it)
{
    sql(FILL);
    cr_expect_eq(lido_sizes(lido_at_path(path), refuse, NULL, NULL, &options, &err),
                 SQLITE_AUTH);
    cr_expect_str_eq(err.text, "enough");
}

static int progress_calls;
static struct lido_progress last;

static int keep(void *ctx, const struct lido_progress *now, struct lido_error *story)
{
    (void)ctx, (void)story;
    progress_calls++;
    last = *now;
    return LIDO_OK;
}

Test(upkeep, sizes_say_how_far_they_are)
{
    sql(FILL);
    job.progress = keep;
    cr_assert_eq(lido_sizes(lido_at_path(path), NULL, NULL, NULL, &options, &err), LIDO_OK);
    cr_expect_geq(progress_calls, 2);
    cr_expect_str_eq(last.phase, "measuring");
    cr_expect_eq(last.done, last.total);
    cr_expect_eq(last.total, (uint64_t)size_of("") / 4096);
}

/* The linker gives us this name (tests/meson.build). */
int __wrap_sqlite3_compileoption_used(const char *name);
int __real_sqlite3_compileoption_used(const char *name);
static int has_no_dbstat;
int __wrap_sqlite3_compileoption_used(const char *name)
{
    return strcmp(name, "ENABLE_DBSTAT_VTAB") == 0 && has_no_dbstat
               ? 0
               : __real_sqlite3_compileoption_used(name);
}

Test(upkeep, an_sqlite_that_cannot_tell_sizes_is_named)
{
    sql(FILL);
    has_no_dbstat = 1;
    cr_expect_eq(lido_sizes(lido_at_path(path), add, NULL, NULL, &options, &err),
                 LIDO_NOT_FOUND);
    cr_expect_not_null(strstr(err.text, "SQLITE_ENABLE_DBSTAT_VTAB"), "%s", err.text);
}

/* --- what they cannot work on ---------------------------------------------------------- */

Test(upkeep, a_file_that_is_none_is_said_so)
{
    const struct lido_database none = { NULL, NULL, NULL };
    FILE *file;

    for (int which = 0; which < JOBS; which++) {
        cr_expect_eq(run(which, lido_at_path(path)), LIDO_NOT_FOUND);
        cr_expect_not_null(strstr(err.text, path), "%s", err.text);
        cr_expect_eq(run(which, none), SQLITE_MISUSE);
        cr_expect_eq(size_of(""), -1, "nothing is made");
    }
    file = fopen(path, "w");
    cr_assert_not_null(file);
    for (int i = 0; i < 200; i++)
        fputs("this is no database at all; ", file);
    fclose(file);
    for (int which = 0; which < JOBS; which++)
        cr_expect_eq(run(which, lido_at_path(path)), SQLITE_NOTADB, "%d: %s", which,
                     err.text);
    sql(""); /* an empty file is an empty database */
    unlink(path);
    fclose(fopen(path, "w"));
    for (int which = 0; which < JOBS; which++)
        if (which != 1)
            cr_expect_eq(run(which, lido_at_path(path)), LIDO_OK, "%d: %s", which,
                         err.text);
}

Test(upkeep, a_truncated_file_is_not_vacuumed)
{
    sql(FILL);
    cr_assert_eq(truncate(path, size_of("") / 4096 / 2 * 4096), 0);
    cr_expect_eq(run(0, lido_at_path(path)) & 0xff, SQLITE_CORRUPT, "%s", err.text);
    cr_expect_eq(run(2, lido_at_path(path)) & 0xff, SQLITE_CORRUPT, "%s", err.text);
}

Test(upkeep, a_locked_file_is_busy_and_a_closed_pool_closed)
{
    lido_pool *pool;

    sql("PRAGMA auto_vacuum=incremental;" FILL "DELETE FROM t");
    other_start(path);
    cr_assert_eq(other_run("BEGIN EXCLUSIVE"), SQLITE_OK);
    for (int which = 0; which < JOBS; which++)
        cr_expect_eq(run(which, lido_at_path(path)) & 0xff, SQLITE_BUSY, "%d: %s", which,
                     err.text);
    options.lock_timeout_ms = -1;
    job.timeout_ms = 20;
    cr_expect_eq(run(0, lido_at_path(path)), LIDO_TXN_TIMEOUT, "%s", err.text);
    other_end();
    job.timeout_ms = -1;
    pool = open_pool();
    cr_assert_eq(lido_pool_close(pool, 0, &err), LIDO_OK);
    for (int which = 0; which < JOBS; which++)
        cr_expect_eq(run(which, lido_at_pool(pool)), LIDO_CLOSED);
    lido_pool_free(pool);
}

Test(upkeep, options_and_reports_of_another_size_are_refused)
{
    struct lido_vacuum_report vacuum = { 0 };
    struct lido_checkpoint_report checkpoint = { 0 };
    struct lido_sizes_total total = { 0 };
    const struct lido_database at = lido_at_path(path);

    sql(FILL);
    cr_expect_eq(lido_vacuum(at, &vacuum, NULL, &err), SQLITE_MISUSE);
    cr_expect_eq(lido_vacuum_some(at, 1, &vacuum, NULL, NULL), SQLITE_MISUSE);
    cr_expect_eq(lido_checkpoint(at, 0, &checkpoint, NULL, &err), SQLITE_MISUSE);
    cr_expect_eq(lido_sizes(at, NULL, NULL, &total, NULL, &err), SQLITE_MISUSE);
    cr_expect_eq(lido_checkpoint(at, 4, NULL, NULL, &err), SQLITE_MISUSE);
    cr_expect_eq(lido_checkpoint(at, -1, NULL, NULL, &err), SQLITE_MISUSE);
    cr_expect_eq(lido_optimize(at, 2, NULL, &err), SQLITE_MISUSE);
    cr_expect_eq(lido_vacuum_some(at, 0, NULL, NULL, &err), LIDO_BAD_OPTION);
    cr_expect_eq(lido_vacuum_some(at, -2, NULL, NULL, &err), LIDO_BAD_OPTION);
    options.lock_timeout_ms = -2;
    cr_expect_eq(run(0, at), LIDO_BAD_OPTION);
    options.lock_timeout_ms = 0;
    options.analysis_limit = -1;
    cr_expect_eq(run(2, at), LIDO_BAD_OPTION);
    options.size--;
    for (int which = 0; which < JOBS; which++)
        cr_expect_eq(run(which, at), SQLITE_MISUSE);
}

/* The host attached a second one, with a log of its own. */
Test(upkeep, a_passive_checkpoint_is_of_the_database_alone)
{
    struct lido_conn conn;
    char url[140], *text;
    off_t before;
    lido_pool *pool;

    sql("PRAGMA journal_mode=WAL;" FILL);
    snprintf(url, sizeof url, "sqlite:///%s?pool=static", path);
    cr_assert_eq(lido_pool_open(&pool, url, NULL, &err), LIDO_OK, "%s", err.text);
    cr_assert_eq(lido_pool_checkout(pool, &conn, NULL, &err), LIDO_OK, "%s", err.text);
    text = sqlite3_mprintf("ATTACH '%q-other' AS other; PRAGMA other.journal_mode=WAL;"
                           "CREATE TABLE other.o (x);"
                           "INSERT INTO other.o VALUES (zeroblob(20000))",
                           path);
    cr_assert_eq(sqlite3_exec(lido_conn_sqlite(&conn), text, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_free(text);
    before = size_of("-other");
    cr_expect_lt(before, 20000, "it is in the log");
    cr_expect_eq(lido_checkpoint(lido_at_pool(pool), SQLITE_CHECKPOINT_PASSIVE, NULL,
                                 &options, &err),
                 LIDO_OK, "%s", err.text);
    cr_expect_eq(size_of("-other"), before);
    cr_expect_eq(lido_conn_checkin(&conn, NULL, &err), LIDO_OK, "%s", err.text);
    lido_pool_free(pool);
}
