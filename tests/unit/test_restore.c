/* SPDX-License-Identifier: MIT */
/*
 * Restore into a database that is in use: each reader and writer sees the old content or the
 * new.
 */
#include "tests/support/other_process.h"
#include "tests/support/restore_stage.h"
#include "tests/support/worker.h"

#include <pthread.h>
#include <stdatomic.h>

TestSuite(restore, .init = set_up, .fini = tear_down, .timeout = 60);
TestSuite(restore_alone, .init = set_up_names, .fini = tear_down, .timeout = 100);

/* --- what it does --------------------------------------------------------------------- */

Test(restore, replaces_all_of_what_open_connections_see)
{
    struct lido_conn reader;

    cr_assert_eq(lido_pool_checkout(pool, &reader, NULL, &err), LIDO_OK);
    cr_assert_eq(lido_txn_begin(&reader, LIDO_READ, &err), LIDO_OK);
    cr_assert_eq(restore("new.db"), LIDO_OK, "%s", err.text);
    cr_assert_eq(lido_txn_commit(&reader, NULL, &err), LIDO_OK);
    cr_assert_eq(lido_conn_checkin(&reader, NULL, &err), LIDO_OK);
    expect_new();
    cr_expect_str_eq(ask("PRAGMA journal_mode"), "wal");
    cr_expect_str_eq(ask("PRAGMA integrity_check"), "ok");
    cr_expect_neq(access("new.db-wal", F_OK), 0);
    cr_expect_neq(access("new.db-journal", F_OK), 0);
}

Test(restore, a_snapshot_that_was_taken_before_stays)
{
    struct lido_conn reader;
    struct seen seen = { 0 };

    cr_assert_eq(lido_pool_checkout(pool, &reader, NULL, &err), LIDO_OK);
    cr_assert_eq(lido_txn_begin(&reader, LIDO_READ, &err), LIDO_OK);
    cr_assert_eq(restore("new.db"), LIDO_OK, "%s", err.text);
    cr_assert_eq(lido_conn_query(&reader,
                                 "SELECT count(*), min(n), max(n), min(owner), max(owner) "
                                 "FROM t",
                                 NULL, 0, see, &seen, &err),
                 LIDO_OK);
    expect_one(seen, "old");
    cr_assert_eq(lido_conn_checkin(&reader, NULL, &err), LIDO_OK);
    expect_new();
}

Test(restore, at_a_path_and_with_no_options)
{
    cr_expect_eq(lido_restore(lido_at_path("live.db"), "new.db", NULL, &err), LIDO_OK, "%s",
                 err.text);
    expect_new();
}

static struct lido_progress last;

static int keep_last(void *ctx, const struct lido_progress *now, struct lido_error *story)
{
    last = *now;
    return strcmp(now->phase, "restoring") == 0 && now->total != 0 &&
                   now->done == now->total
               ? lido_fail(story, *(int *)ctx, "too late")
               : LIDO_OK;
}

/* By then the content is committed: an answer comes too late. */
Test(restore, tells_that_it_is_done)
{
    int answer = LIDO_OK;

    job.progress = keep_last;
    job.progress_ctx = &answer;
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(restore("new.db"), LIDO_OK, "%s", err.text);
        cr_expect_str_eq(last.phase, "restoring");
        cr_expect_gt(last.total, 0);
        cr_expect_eq(last.done, last.total);
        answer = SQLITE_AUTH;
    }
    expect_new();
}

static int veto(void *ctx, const struct lido_event *event, struct lido_error *story)
{
    (void)ctx, (void)event;
    return lido_fail(story, SQLITE_AUTH, "veto");
}

Test(restore, is_not_refused_by_a_commit_hook)
{
    static const struct lido_events refusing = { .size = sizeof refusing, .commit = veto };
    lido_hook hook;

    cr_assert_eq(lido_hooks_add(lido_pool_hooks(pool), &hook, &refusing, NULL, NULL, &err),
                 LIDO_OK);
    cr_assert_eq(restore("new.db"), LIDO_OK, "%s", err.text);
    cr_assert_eq(lido_hooks_remove(lido_pool_hooks(pool), hook, &err), LIDO_OK);
    expect_new();
}

static int count_commit(void *ctx, const struct lido_event *event, struct lido_error *story)
{
    (void)event, (void)story;
    ++*(int *)ctx;
    return LIDO_OK;
}

Test(restore, is_a_transaction_to_hooks)
{
    static const struct lido_events counting = { .size = sizeof counting,
                                                 .commit = count_commit };
    int count = 0;

    cr_assert_eq(lido_hooks_add(lido_pool_hooks(pool), NULL, &counting, &count, NULL, &err),
                 LIDO_OK);
    cr_assert_eq(restore("new.db"), LIDO_OK, "%s", err.text);
    cr_expect_eq(count, 1);
    expect_new();
}

Test(restore, of_a_backup_of_a_live_database)
{
    cr_assert_eq(lido_backup(lido_at_pool(pool), "copy.db", NULL, NULL, &err), LIDO_OK);
    cr_assert_eq(lido_pool_exec(pool, "DELETE FROM t WHERE id > 3", &err), LIDO_OK);
    cr_assert_eq(restore("copy.db"), LIDO_OK, "%s", err.text);
    expect_old();
    cr_expect_neq(access("copy.db-wal", F_OK), 0);
    cr_expect_neq(access("copy.db-shm", F_OK), 0);
}

Test(restore, of_a_file_that_others_write_takes_their_log_too)
{
    sqlite3 *db;

    make("busy.db", "wal", 4096, 299, "new");
    cr_assert_eq(sqlite3_open("busy.db", &db), SQLITE_OK);
    cr_assert_eq(
        sqlite3_exec(db, "INSERT INTO t VALUES (300, 0, 'new', '')", NULL, NULL, NULL),
        SQLITE_OK);
    cr_expect_eq(restore("busy.db"), LIDO_OK, "%s", err.text);
    sqlite3_close(db);
    expect_new();
}

Test(restore_alone, in_a_rollback_mode_gets_the_mode_of_the_file)
{
    make("live.db", "delete", 4096, 200, "old");
    make("new.db", "delete", 4096, 300, "new");
    make("wal.db", "wal", 4096, 300, "new");
    open_pool("sqlite:///live.db?pool=queue");
    cr_assert_eq(restore("new.db"), LIDO_OK, "%s", err.text);
    expect_new();
    cr_expect_str_eq(ask("PRAGMA journal_mode"), "delete");
    cr_assert_eq(restore("wal.db"), LIDO_OK, "%s", err.text);
    expect_new();
    cr_expect_str_eq(ask("PRAGMA journal_mode"), "wal");
    cr_expect_str_eq(ask("PRAGMA integrity_check"), "ok");
}

/* A size that the header has no room for. */
Test(restore_alone, of_the_largest_pages)
{
    make("live.db", "wal", 65536, 200, "old");
    make("new.db", "delete", 65536, 300, "new");
    open_pool("sqlite:///live.db?pool=queue");
    cr_expect_eq(restore("new.db"), LIDO_OK, "%s", err.text);
    expect_new();
}

Test(restore_alone, into_memory)
{
    make("new.db", "delete", 4096, 300, "new");
    make("wal.db", "wal", 4096, 200, "old");
    open_pool("sqlite://?pool=static");
    cr_assert_eq(lido_pool_exec(pool, "CREATE TABLE gone (x)", &err), LIDO_OK);
    cr_assert_eq(restore("new.db"), LIDO_OK, "%s", err.text);
    expect_new();
    cr_expect_eq(lido_pool_exec(pool, "SELECT * FROM gone", &err), SQLITE_ERROR);
    cr_assert_eq(restore("wal.db"), LIDO_OK, "%s", err.text);
    expect_old();
    cr_assert_eq(lido_backup(lido_at_pool(pool), "back.db", NULL, NULL, &err), LIDO_OK,
                 "%s", err.text);
    cr_assert_eq(lido_pool_exec(pool, "DROP TABLE t", &err), LIDO_OK);
    cr_assert_eq(restore("back.db"), LIDO_OK, "%s", err.text);
    expect_old();
    lido_pool_free(pool);
    open_pool("sqlite://"); /* of this thread */
    cr_assert_eq(restore("new.db"), LIDO_OK, "%s", err.text);
    expect_new();
}

Test(restore, of_another_auto_vacuum_is_seen_by_open_connections)
{
    sqlite3 *db;

    make("new.db.full", "delete", 4096, 300, "new");
    cr_assert_eq(sqlite3_open("new.db.full", &db), SQLITE_OK);
    cr_assert_eq(sqlite3_exec(db, "PRAGMA auto_vacuum=FULL; VACUUM", NULL, NULL, NULL),
                 SQLITE_OK);
    sqlite3_close(db);
    for (int i = 0; i < 4; i++) {
        expect_one(look(pool), i % 2 == 0 ? "old" : "new");
        if (i == 0)
            cr_assert_eq(lido_backup(lido_at_pool(pool), "old.db", NULL, NULL, &err),
                         LIDO_OK);
        cr_assert_eq(restore(i % 2 == 0 ? "new.db.full" : "old.db"), LIDO_OK, "%s",
                     err.text);
        cr_expect_eq(lido_pool_exec(pool,
                                    "CREATE TABLE more AS SELECT * FROM t; "
                                    "DELETE FROM more WHERE id > 100; DROP TABLE more",
                                    &err),
                     LIDO_OK, "%s", err.text);
        cr_expect_str_eq(ask("PRAGMA integrity_check"), "ok");
        cr_expect_str_eq(ask("PRAGMA auto_vacuum"), i % 2 == 0 ? "1" : "0");
    }
}

Test(restore_alone, in_a_rollback_mode_gets_the_page_size_of_the_file)
{
    static const int sizes[] = { 512, 65536, 1024, 4096, 8192 };

    make("live.db", "delete", 4096, 200, "old");
    open_pool("sqlite:///live.db?pool=queue");
    for (int i = 0; i < 6; i++) {
        char wanted[16];
        struct seen seen;

        unlink("new.db");
        make("new.db", i == 5 ? "wal" : "delete", sizes[i % 5], i % 2 == 0 ? 300 : 200,
             i % 2 == 0 ? "new" : "old");
        cr_assert_eq(restore("new.db"), LIDO_OK, "%d: %s", i, err.text);
        cr_expect_eq(lido_pool_exec(pool, "UPDATE t SET n = n + 1", &err), LIDO_OK, "%s",
                     err.text);
        seen = look(pool);
        expect_one(seen, i % 2 == 0 ? "new" : "old");
        cr_expect_eq(seen.least, 1);
        snprintf(wanted, sizeof wanted, "%d", sizes[i % 5]);
        cr_expect_str_eq(ask("PRAGMA page_size"), wanted);
        cr_expect_str_eq(ask("PRAGMA integrity_check"), "ok");
        cr_expect_str_eq(ask("PRAGMA journal_mode"), i == 5 ? "wal" : "delete");
    }
}

/* --- among others --------------------------------------------------------------------- */

static atomic_int is_over;
static atomic_llong reads, writes;

static void *read_on(void *arg)
{
    (void)arg;
    while (!atomic_load(&is_over)) {
        const struct seen seen = look(pool);

        expect_one(seen, seen.first);
        cr_expect(strcmp(seen.first, "old") == 0 || strcmp(seen.first, "new") == 0);
        atomic_fetch_add(&reads, 1);
    }
    return NULL;
}

/* Reads, and writes what it saw: a mix of old and new would be seen by all. */
static int add(void *ctx, const struct lido_conn *conn, struct lido_error *story)
{
    struct seen seen = { 0 };
    int rc = lido_conn_query(conn,
                             "SELECT count(*), min(n), max(n), min(owner), max(owner) "
                             "FROM t",
                             NULL, 0, see, &seen, story);

    (void)ctx;
    if (rc != LIDO_OK)
        return rc;
    expect_one(seen, seen.first);
    return lido_conn_exec(conn, "UPDATE t SET n = n + 1", story);
}

static void *write_on(void *arg)
{
    struct lido_error why;

    (void)arg;
    while (!atomic_load(&is_over)) {
        cr_expect_eq(lido_pool_run(pool, LIDO_IMMEDIATE, add, NULL, NULL, &why), LIDO_OK,
                     "%s", why.text);
        atomic_fetch_add(&writes, 1);
    }
    return NULL;
}

/* In turns, until readers and writers have been there in between. */
static void restore_among_others(void)
{
    enum { READERS = 8, WRITERS = 4 };
    pthread_t threads[READERS + WRITERS];

    make("old.db", "delete", 4096, 200, "old");
    options.step_pages = 10;
    for (int i = 0; i < READERS + WRITERS; i++)
        cr_assert_eq(
            pthread_create(&threads[i], NULL, i < READERS ? read_on : write_on, NULL), 0);
    for (int i = 0;
         i < 400 && (i < 20 || atomic_load(&reads) < 40 || atomic_load(&writes) < 40); i++)
        cr_expect_eq(restore(i % 2 == 0 ? "new.db" : "old.db"), LIDO_OK, "%s", err.text);
    atomic_store(&is_over, 1);
    for (int i = 0; i < READERS + WRITERS; i++)
        pthread_join(threads[i], NULL);
    cr_expect_geq(atomic_load(&reads), 20);
    cr_expect_geq(atomic_load(&writes), 20);
    cr_expect_str_eq(ask("PRAGMA integrity_check"), "ok");
}

Test(restore, among_readers_and_writers_is_one_moment)
{
    restore_among_others();
}

Test(restore_alone, among_readers_and_writers_of_a_rollback_journal_is_one_moment)
{
    make("live.db", "delete", 4096, 200, "old");
    make("new.db", "delete", 4096, 300, "new");
    open_pool("sqlite:///live.db?pool=queue&timeout=30");
    restore_among_others();
}

Test(restore_alone, of_another_page_size_among_readers_and_writers_is_one_moment)
{
    make("live.db", "delete", 4096, 200, "old");
    make("new.db", "delete", 1024, 300, "new");
    open_pool("sqlite:///live.db?pool=queue&timeout=30");
    restore_among_others();
}

/* Who shares the connection shares its transaction: with a COMMIT in the middle half of the
   content would stay. */
static void *commit_on(void *arg)
{
    struct lido_conn conn;
    struct lido_error why;
    sqlite3 *db;

    (void)arg;
    cr_assert_eq(lido_pool_checkout(pool, &conn, NULL, &why), LIDO_OK, "%s", why.text);
    db = lido_conn_sqlite(&conn);
    while (!atomic_load(&is_over)) {
        sqlite3_exec(db, "COMMIT", NULL, NULL, NULL);
        atomic_fetch_add(&writes, 1);
    }
    lido_conn_checkin(&conn, NULL, NULL);
    return NULL;
}

Test(restore_alone, of_a_shared_connection_is_one_moment_for_its_other_users)
{
    pthread_t thread;
    int rc, done = 0;

    make("live.db", "delete", 4096, 200, "old");
    make("old.db", "delete", 4096, 200, "old");
    make("new.db", "delete", 4096, 300, "new");
    open_pool("sqlite:///live.db?pool=static&shared_transaction=1");
    options.step_pages = 1;
    cr_assert_eq(pthread_create(&thread, NULL, commit_on, NULL), 0);
    for (int i = 0; i < 200 && (done < 20 || atomic_load(&writes) < 100); i++) {
        struct seen seen;

        rc = restore(i % 2 == 0 ? "new.db" : "old.db");
        done += rc == LIDO_OK;
        seen = look(pool);
        expect_one(seen, seen.first);
        if (rc == LIDO_OK)
            cr_expect_str_eq(seen.first, i % 2 == 0 ? "new" : "old");
    }
    atomic_store(&is_over, 1);
    pthread_join(thread, NULL);
    cr_expect_geq(done, 20);
    cr_expect_str_eq(ask("PRAGMA integrity_check"), "ok");
}

Test(restore_alone, names_who_is_in_the_gate)
{
    struct lido_checkout_options named = LIDO_CHECKOUT_OPTIONS_INIT;
    struct lido_conn conn;
    struct worker worker;

    make("live.db", "wal", 4096, 200, "old");
    make("new.db", "delete", 4096, 300, "new");
    open_pool("sqlite:///live.db?pool=queue&timeout=0");
    worker_start(&worker, pool);
    worker_tell(&worker, worker_take);
    worker_tell(&worker, worker_begin);
    cr_assert_eq(worker.rc, LIDO_OK);
    cr_assert_eq(lido_conn_hand_over(&worker.conn, &err), LIDO_OK);
    cr_assert_eq(lido_conn_set_label(&worker.conn, "nightly import", &err), LIDO_OK);
    cr_assert_eq(lido_conn_exec(&worker.conn, "UPDATE t SET n = 9", &err), LIDO_OK);
    worker_tell(&worker, worker_take_over);
    cr_expect_eq(restore("new.db") & 0xff, SQLITE_BUSY, "%s", err.text);
    cr_expect_not_null(strstr(err.text, "nightly import"), "%s", err.text);
    worker_tell(&worker, worker_commit);
    worker_tell(&worker, worker_give);
    cr_expect_eq(look(pool).least, 9);
    named.label = "mine";
    cr_assert_eq(lido_pool_checkout(pool, &conn, &named, &err), LIDO_OK);
    cr_assert_eq(lido_txn_begin(&conn, LIDO_IMMEDIATE, &err), LIDO_OK);
    cr_expect_eq(restore("new.db") & 0xff, SQLITE_BUSY, "%s", err.text);
    cr_expect_eq(lido_restore(lido_at_path("live.db"), "new.db", NULL, &err), LIDO_DEADLOCK,
                 "it would wait for its own thread: %s", err.text);
    cr_assert_eq(lido_conn_checkin(&conn, NULL, &err), LIDO_OK);
    cr_expect_eq(restore("new.db"), LIDO_OK, "%s", err.text);
    worker_end(&worker);
    expect_new();
}

Test(restore_alone, gives_up_when_another_process_does_not_end)
{
    make("live.db", "delete", 4096, 200, "old");
    make("new.db", "delete", 4096, 300, "new");
    other_start("live.db");
    open_pool("sqlite:///live.db?pool=queue&timeout=0.02");
    cr_assert_eq(other_run("BEGIN IMMEDIATE"), SQLITE_OK);
    cr_expect_eq(restore("new.db") & 0xff, SQLITE_BUSY, "%s", err.text);
    cr_assert_eq(other_run("ROLLBACK; BEGIN; SELECT count(*) FROM t"), SQLITE_OK);
    cr_expect_eq(restore("new.db") & 0xff, SQLITE_BUSY, "%s", err.text);
    cr_expect_not_null(strstr(err.text, "nothing was restored"), "%s", err.text);
    expect_old();
    job.timeout_ms = 5;
    cr_expect_eq(restore("new.db") & 0xff, SQLITE_INTERRUPT, "%s", err.text);
    job.timeout_ms = -1;
    expect_old();
    cr_assert_eq(other_run("COMMIT"), SQLITE_OK);
    cr_expect_eq(restore("new.db"), LIDO_OK, "%s", err.text);
    expect_new();
    other_end();
}

/* A look at a file must not drop the locks that this process has on it. */
Test(restore_alone, keeps_the_locks_on_the_file_that_it_reads)
{
    sqlite3 *db;

    make("live.db", "delete", 4096, 200, "old");
    make("new.db", "delete", 4096, 300, "new");
    other_start("new.db");
    open_pool("sqlite:///live.db");
    cr_assert_eq(sqlite3_open("new.db", &db), SQLITE_OK);
    cr_assert_eq(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    cr_expect_eq(restore("new.db"), LIDO_OK, "%s", err.text);
    cr_expect_eq(other_run("BEGIN IMMEDIATE"), SQLITE_BUSY);
    sqlite3_close(db);
    cr_expect_eq(other_run("BEGIN IMMEDIATE"), SQLITE_OK);
    other_end();
    expect_new();
}
