/* SPDX-License-Identifier: MIT */
/*
 * Backup: one moment of the database, all of it, or an early end.
 */
#include "tests/support/backup_stage.h"
#include "tests/support/open_files.h"

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

TestSuite(backup, .init = set_up, .fini = tear_down, .timeout = 60);
TestSuite(backup_alone, .init = set_up_names, .fini = tear_down, .timeout = 100);

/* --- what is made --------------------------------------------------------------------- */

Test(backup, has_all_of_the_database_and_says_what_it_is)
{
    struct stat status;

    cr_assert_eq(backup("copy.db"), LIDO_OK, "%s", err.text);
    cr_assert_eq(stat("copy.db", &status), 0);
    cr_expect_eq(result.bytes, (uint64_t)status.st_size);
    cr_expect_eq(result.pages * 4096, result.bytes);
    cr_expect_eq(result.path[0], '/');
    cr_expect_not_null(strstr(result.path, "/copy.db"), "%s", result.path);
    cr_expect_eq(result.restarts, 0);
    cr_expect_gt(result.elapsed_ns, 0);
    cr_expect_eq(result.is_checked, 1);
    cr_expect_neq(access("copy.db-wal", F_OK), 0);
    cr_expect_neq(access("copy.db-shm", F_OK), 0);
    expect_whole("copy.db");
}

Test(backup, of_a_path_and_of_a_url_and_with_no_options)
{
    cr_expect_eq(lido_backup(lido_at_path("a.db"), "one.db", NULL, NULL, &err), LIDO_OK,
                 "%s", err.text);
    cr_expect_eq(lido_backup(lido_at_url("sqlite:///a.db"), "two.db", NULL, NULL, NULL),
                 LIDO_OK);
    expect_whole("one.db");
    expect_whole("two.db");
}

Test(backup, by_vacuum_has_no_free_pages)
{
    uint64_t pages;

    cr_assert_eq(lido_pool_exec(pool, "DELETE FROM t WHERE id > 100", &err), LIDO_OK);
    cr_assert_eq(backup("online.db"), LIDO_OK, "%s", err.text);
    pages = result.pages;
    options.method = LIDO_BACKUP_VACUUM;
    cr_assert_eq(backup("vacuum.db"), LIDO_OK, "%s", err.text);
    cr_expect_lt(result.pages, pages / 2);
    cr_expect_eq(result.is_checked, 1);
    cr_expect_eq(ask("vacuum.db", "SELECT count(*) FROM t"), 100);
    cr_expect_eq(ask("vacuum.db", "PRAGMA freelist_count"), 0);
    cr_expect_neq(access("vacuum.db-journal", F_OK), 0);
}

Test(backup, leaves_no_descriptor)
{
    static const int methods[] = { LIDO_BACKUP_ONLINE, LIDO_BACKUP_VACUUM,
                                   LIDO_BACKUP_COPY };
    int before;

    options.replace = 1;
    cr_assert_eq(backup("copy.db"), LIDO_OK, "%s", err.text);
    before = open_files();
    for (int i = 0; i < 3; i++) {
        options.method = methods[i];
        cr_assert_eq(backup("copy.db"), LIDO_OK, "%s", err.text);
        cr_expect_eq(open_files(), before, "by method %d", methods[i]);
    }
}

Test(backup_alone, by_vacuum_where_statements_begin_transactions)
{
    fill("sqlite:///a.db?autobegin=read");
    options.method = LIDO_BACKUP_VACUUM;
    cr_expect_eq(backup("copy.db"), LIDO_OK, "%s", err.text);
    expect_whole("copy.db");
}

Test(backup_alone, of_memory_is_for_its_owner_alone)
{
    fill("sqlite://?pool=static");
    umask(0);
    cr_assert_eq(backup("copy.db"), LIDO_OK, "%s", err.text);
    expect_whole("copy.db");
    cr_expect_eq(mode_of("copy.db"), 0600);
    options.method = LIDO_BACKUP_VACUUM;
    cr_assert_eq(backup("vacuum.db"), LIDO_OK, "%s", err.text);
    expect_whole("vacuum.db");
    umask(0777); /* and for nobody else than its owner */
    cr_assert_eq(backup("taken.db"), LIDO_OK, "%s", err.text);
    cr_expect_eq(mode_of("taken.db"), 0600);
    cr_expect_eq(lido_pool_exec(pool, "UPDATE t SET v = 1", &err), LIDO_OK, "%s", err.text);
}

Test(backup, of_an_empty_database)
{
    lido_pool_free(pool);
    pool = open_url("sqlite:///empty.db");
    cr_assert_eq(backup("copy.db"), LIDO_OK, "%s", err.text);
    cr_expect_eq(ask("copy.db", "SELECT count(*) FROM sqlite_schema"), 0);
}

Test(backup, with_a_collation_that_only_the_host_has)
{
    sqlite3 *db;

    lido_pool_free(pool);
    pool = NULL;
    cr_assert_eq(sqlite3_open("a.db", &db), SQLITE_OK);
    /* As the host's would be, without its function. */
    cr_assert_eq(sqlite3_exec(db,
                              "CREATE TABLE c (x TEXT UNIQUE, y CHECK (y > 0)); "
                              "INSERT INTO c VALUES ('a', 1), ('b', 2); "
                              "PRAGMA writable_schema=ON; UPDATE sqlite_schema SET sql = "
                              "'CREATE TABLE c (x TEXT COLLATE hosts UNIQUE, "
                              "y CHECK (hosts(y)))' WHERE name = 'c'",
                              NULL, NULL, NULL),
                 SQLITE_OK);
    sqlite3_close(db);
    pool = open_url("sqlite:///a.db");
    cr_assert_eq(backup("copy.db"), LIDO_OK, "%s", err.text);
    cr_expect_eq(result.is_checked, 1);
}

/* A copy that cannot be read back here is made all the same, and says that it was not. */
Test(backup, with_a_function_that_only_the_host_has_is_not_checked)
{
    struct lido_restore_options into = LIDO_RESTORE_OPTIONS_INIT;
    sqlite3 *db;

    lido_pool_free(pool);
    pool = NULL;
    cr_assert_eq(sqlite3_open("a.db", &db), SQLITE_OK);
    cr_assert_eq(sqlite3_exec(db,
                              "CREATE TABLE f (x, y AS (abs(x)) NOT NULL); "
                              "INSERT INTO f VALUES (1); PRAGMA writable_schema=ON; "
                              "UPDATE sqlite_schema SET sql = 'CREATE TABLE f (x, y AS "
                              "(hosts(x)) NOT NULL)' WHERE name = 'f'",
                              NULL, NULL, NULL),
                 SQLITE_OK);
    sqlite3_close(db);
    pool = open_url("sqlite:///a.db");
    cr_assert_eq(backup("copy.db"), LIDO_OK, "%s", err.text);
    cr_expect_eq(result.is_checked, 0);
    cr_expect_eq(lido_restore(lido_at_pool(pool), "copy.db", &into, &err), SQLITE_ERROR);
    cr_expect_not_null(strstr(err.text, "without a check"), "%s", err.text);
    into.check = 0;
    cr_expect_eq(lido_restore(lido_at_pool(pool), "copy.db", &into, &err), LIDO_OK, "%s",
                 err.text);
}

static int backwards(void *ctx, int size, const void *one, int other_size,
                     const void *other)
{
    const int order = memcmp(other, one, (size_t)(size < other_size ? size : other_size));

    (void)ctx;
    return order != 0 ? order : other_size - size;
}

/* Its keys stand in an order that nobody here knows; all else is looked at. */
Test(backup_alone, of_rows_by_a_collation_that_only_the_host_has)
{
    struct lido_conn conn;

    fill("sqlite:///a.db?pool=queue");
    cr_assert_eq(lido_pool_checkout(pool, &conn, NULL, &err), LIDO_OK);
    cr_assert_eq(sqlite3_create_collation(lido_conn_sqlite(&conn), "backwards", SQLITE_UTF8,
                                          NULL, backwards),
                 SQLITE_OK);
    cr_assert_eq(lido_conn_exec(&conn,
                                "CREATE TABLE w (x TEXT COLLATE backwards PRIMARY KEY, y) "
                                "WITHOUT ROWID; CREATE TABLE n (x NOT NULL); "
                                "INSERT INTO w SELECT 'key ' || id, 0 FROM t; "
                                "INSERT INTO n VALUES (1); PRAGMA writable_schema=ON",
                                &err),
                 LIDO_OK, "%s", err.text);
    cr_assert_eq(backup("copy.db"), LIDO_OK, "%s", err.text);
    cr_expect_eq(result.is_checked, 1);
    cr_expect_eq(ask("copy.db", "SELECT count(*) FROM n"), 1);
    /* And one that is damaged, besides. */
    cr_assert_eq(
        lido_conn_exec(&conn,
                       "UPDATE n SET x = 1; UPDATE sqlite_schema SET sql = "
                       "'CREATE TABLE n (x NOT NULL, y NOT NULL)' WHERE name = 'n'",
                       &err),
        LIDO_OK, "%s", err.text);
    cr_expect_eq(backup("bad.db"), SQLITE_CORRUPT, "%s", err.text);
    cr_expect_not_null(strstr(err.text, "NULL value in n.y"), "%s", err.text);
    expect_nothing("bad.db");
    lido_conn_checkin(&conn, NULL, NULL);
}

Test(backup, with_a_row_that_breaks_a_check)
{
    cr_assert_eq(lido_pool_exec(pool,
                                "CREATE TABLE c (x CHECK (x > 0)); "
                                "PRAGMA ignore_check_constraints=ON; "
                                "INSERT INTO c VALUES (-1)",
                                &err),
                 LIDO_OK, "%s", err.text);
    cr_assert_eq(backup("copy.db"), LIDO_OK, "%s", err.text);
    cr_expect_eq(result.is_checked, 1);
    cr_expect_eq(ask("copy.db", "SELECT x FROM c"), -1);
}

/* Returns how many commits came while it ran. */
static long long backup_under_writer(const char *target)
{
    const long long before = atomic_load(&commits);

    cr_assert_eq(backup(target), LIDO_OK, "%s", err.text);
    cr_expect_eq(result.restarts, 0, "the snapshot is pinned");
    expect_whole(target);
    unlink(target);
    return atomic_load(&commits) - before;
}

/* A reader keeps the commits of a rollback journal waiting; each backup ends all the same. */
Test(backup_alone, under_a_writer_of_a_rollback_journal_is_one_moment)
{
    pthread_t writer;

    fill("sqlite:///a.db?pool=queue&timeout=30");
    cr_assert_eq(pthread_create(&writer, NULL, write_on, NULL), 0);
    for (int i = 0; i < 400 && (i < 12 || atomic_load(&commits) < 12); i++) {
        options.method = i % 3;
        backup_under_writer("copy.db");
    }
    atomic_store(&is_over, 1);
    pthread_join(writer, NULL);
    cr_expect_geq(atomic_load(&commits), 10);
}

static int begin_deferred(void *ctx, const struct lido_event *event,
                          struct lido_error *story)
{
    (void)ctx, (void)story;
    *event->begin_mode = LIDO_DEFERRED;
    return LIDO_OK;
}

static int write_once(void *ctx, const struct lido_progress *now, struct lido_error *story)
{
    (void)now;
    return sqlite3_exec(ctx, "UPDATE t SET v = v + 1; UPDATE total SET v = v + 500", NULL,
                        NULL, NULL) == SQLITE_OK
               ? LIDO_OK
               : lido_fail(story, SQLITE_ERROR, "%s", sqlite3_errmsg(ctx));
}

/* A begin hook may say how each transaction begins: the moment is pinned all the same. */
Test(backup, is_one_moment_whatever_a_begin_hook_says)
{
    static const struct lido_events lazy = { .size = sizeof lazy, .begin = begin_deferred };
    sqlite3 *other;

    cr_assert_eq(lido_hooks_add(lido_pool_hooks(pool), NULL, &lazy, NULL, NULL, &err),
                 LIDO_OK);
    cr_assert_eq(sqlite3_open("a.db", &other), SQLITE_OK);
    job.progress = write_once;
    job.progress_ctx = other;
    options.step_pages = 10;
    options.rate = 10 << 20; /* a fifth of a second: progress is told in between */
    cr_expect_eq(backup("copy.db"), LIDO_OK, "%s", err.text);
    cr_expect_eq(result.restarts, 0);
    sqlite3_close(other);
    expect_whole("copy.db");
}

Test(backup, under_a_writer_is_one_moment)
{
    pthread_t writer;
    long long met = 0;

    options.step_pages = 1;
    cr_assert_eq(pthread_create(&writer, NULL, write_on, NULL), 0);
    for (int i = 0; i < 40 && met < 30; i++)
        met += backup_under_writer("online.db");
    cr_expect_geq(met, 30, "%lld", met);
    options.method = LIDO_BACKUP_VACUUM;
    met = 0;
    for (int i = 0; i < 40 && met < 30; i++)
        met += backup_under_writer("vacuum.db");
    atomic_store(&is_over, 1);
    pthread_join(writer, NULL);
    cr_expect_geq(met, 30, "%lld", met);
}

/* --- an early end ----------------------------------------------------------------------- */

static const char *phase;
static uint64_t progress_most;

static int fire(void *ctx, const struct lido_progress *now, struct lido_error *story)
{
    (void)story;
    if (strcmp(now->phase, phase) == 0)
        lido_cancel_fire(ctx, NULL);
    return LIDO_OK;
}

static int refuse(void *ctx, const struct lido_progress *now, struct lido_error *story)
{
    (void)ctx;
    if (now->done > 0)
        return lido_fail(story, SQLITE_AUTH, "enough");
    return LIDO_OK;
}

static int keep_most(void *ctx, const struct lido_progress *now, struct lido_error *story)
{
    (void)ctx, (void)story;
    if (strcmp(now->phase, "copying") == 0) {
        cr_expect_str_eq(now->unit, "pages");
        progress_most = now->done;
        cr_expect(now->done == 0 || now->done <= now->total);
    }
    return LIDO_OK;
}

Test(backup, tells_how_many_pages_are_done)
{
    job.progress = keep_most;
    cr_assert_eq(backup("copy.db"), LIDO_OK, "%s", err.text);
    cr_expect_eq(progress_most, result.pages);
}

Test(backup, cancelled_leaves_nothing)
{
    lido_cancel *token;

    cr_assert_eq(lido_cancel_new(&token, &err), LIDO_OK);
    write_file("old.db", "old");
    job.cancel = token;
    job.progress = fire;
    job.progress_ctx = token;
    for (int i = 0; i < 3; i++) {
        options.method = i == 1 ? LIDO_BACKUP_VACUUM : LIDO_BACKUP_ONLINE;
        options.replace = 0;
        phase = i == 2 ? "checking" : "copying";
        options.step_pages = 5;
        lido_cancel_reset(token);
        cr_expect_eq(backup("copy.db"), LIDO_CANCELLED, "%d: %s", i, err.text);
        expect_nothing("copy.db");
        options.replace = 1;
        lido_cancel_reset(token);
        cr_expect_eq(backup("old.db"), LIDO_CANCELLED, "%d: %s", i, err.text);
        cr_expect(has_text("old.db", "old"));
    }
    lido_cancel_free(token);
}

static int fire_at_the_end(void *ctx, const struct lido_progress *now,
                           struct lido_error *story)
{
    (void)story;
    if (now->total > 0 && now->done == now->total)
        lido_cancel_fire(ctx, NULL);
    return LIDO_OK;
}

/* Where nothing is read back, and the file has no name yet. */
Test(backup, cancelled_when_all_is_copied_leaves_nothing)
{
    lido_cancel *token;

    cr_assert_eq(lido_cancel_new(&token, &err), LIDO_OK);
    job.cancel = token;
    job.progress = fire_at_the_end;
    job.progress_ctx = token;
    options.check = 0;
    for (int i = 0; i < 2; i++) {
        options.method = i == 0 ? LIDO_BACKUP_ONLINE : LIDO_BACKUP_COPY;
        lido_cancel_reset(token);
        cr_expect_eq(backup("copy.db"), LIDO_CANCELLED, "%d: %s", i, err.text);
        expect_nothing("copy.db");
    }
    lido_cancel_free(token);
}

Test(backup, ends_with_what_progress_said)
{
    options.step_pages = 1;
    options.rate = 1 << 20;
    job.progress = refuse;
    cr_expect_eq(backup("copy.db"), SQLITE_AUTH);
    cr_expect_str_eq(err.text, "enough");
    expect_nothing("copy.db");
}

Test(backup, ends_when_its_time_is_over)
{
    options.step_pages = 1;
    options.rate = 4096;
    job.timeout_ms = 20;
    cr_expect_eq(backup("copy.db"), LIDO_TXN_TIMEOUT, "%s", err.text);
    expect_nothing("copy.db");
    job.timeout_ms = 0;
    cr_expect_eq(lido_backup(lido_at_path("a.db"), "copy.db", &options, NULL, &err),
                 LIDO_TXN_TIMEOUT, "%s", err.text);
    expect_nothing("copy.db");
}

/* All that it copies at first takes it some seconds. */
Test(backup, ends_while_it_waits_for_its_rate)
{
    for (int method = LIDO_BACKUP_ONLINE; method <= LIDO_BACKUP_COPY; method++) {
        struct timespec began, ended;

        options.method = method;
        options.step_pages = 400;
        options.rate = 50 << 10;
        job.timeout_ms = 20;
        clock_gettime(CLOCK_MONOTONIC, &began);
        cr_expect_eq(backup("copy.db"), LIDO_TXN_TIMEOUT, "%d: %s", method, err.text);
        clock_gettime(CLOCK_MONOTONIC, &ended);
        cr_expect_lt(ended.tv_sec - began.tv_sec, 3, "%d", method);
        expect_nothing("copy.db");
    }
}

/* The pool's limit is for the host's transactions; the job has a time of its own. */
Test(backup_alone, takes_as_long_as_it_takes_whatever_the_limit_of_the_pool)
{
    fill("sqlite:///a.db?pool=queue&txn_limit=0.02");
    options.step_pages = 50;
    options.rate = 20 << 20; /* some 2 MB: a tenth of a second */
    cr_assert_eq(backup("copy.db"), LIDO_OK, "%s", err.text);
    cr_expect_gt(result.elapsed_ns, 20000000);
    expect_whole("copy.db");
    job.timeout_ms = 10;
    cr_expect_eq(backup("late.db"), LIDO_TXN_TIMEOUT);
    expect_nothing("late.db");
}

Test(backup, keeps_to_its_rate)
{
    options.step_pages = 50;
    options.replace = 1;
    options.rate = 20 << 20; /* some 2 MB: a tenth of a second */
    for (int method = LIDO_BACKUP_ONLINE; method <= LIDO_BACKUP_COPY; method++) {
        options.method = method;
        cr_assert_eq(backup("copy.db"), LIDO_OK, "%d: %s", method, err.text);
        cr_expect_geq(result.elapsed_ns,
                      (int64_t)((double)(result.bytes - (1 << 18)) / (20 << 20) * 1e9),
                      "%d: %lld of %lld", method, (long long)result.elapsed_ns,
                      (long long)result.bytes);
        cr_expect_lt(result.elapsed_ns, 5000000000, "%d", method);
    }
}
