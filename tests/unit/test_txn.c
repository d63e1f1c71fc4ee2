/* SPDX-License-Identifier: MIT */
/*
 * Transactions on real files: what begins, what a hook may do about it, and how it ended.
 */
#include "tests/support/fake_clock.h"
#include "tests/support/fake_driver.h"
#include <lido/lido.h>

#include <criterion/criterion.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char folder[] = "/tmp/lido-txn-XXXXXX";
static struct lido_error err;
static lido_pool *pool;

static void open_url(const char *query)
{
    char url[200];

    snprintf(url, sizeof url, "sqlite:///%s/a.db?pool=queue&%s", folder, query);
    cr_assert_eq(lido_pool_open(&pool, url, NULL, &err), LIDO_OK, "%s", err.text);
}

static struct lido_conn take(void)
{
    struct lido_conn conn;

    cr_assert_eq(lido_pool_checkout(pool, &conn, NULL, &err), LIDO_OK, "%s", err.text);
    return conn;
}

static void give(struct lido_conn *conn)
{
    cr_assert_eq(lido_conn_checkin(conn, NULL, &err), LIDO_OK, "%s", err.text);
}

static int run(const struct lido_conn *conn, const char *sql)
{
    return sqlite3_exec(lido_conn_sqlite(conn), sql, NULL, NULL, NULL);
}

static int first_int(void *out, int columns, char **values, char **names)
{
    (void)columns, (void)names;
    *(int *)out = atoi(values[0]);
    return 0;
}

static int ask(const struct lido_conn *conn, const char *sql)
{
    int answer = -1;

    cr_assert_eq(sqlite3_exec(lido_conn_sqlite(conn), sql, first_int, &answer, NULL), 0);
    return answer;
}

static void set_up(void)
{
    struct lido_conn conn;

    cr_assert_not_null(mkdtemp(folder));
    open_url("timeout=0");
    conn = take();
    cr_assert_eq(run(&conn, "CREATE TABLE t (x UNIQUE)"), SQLITE_OK);
    give(&conn);
}

static void tear_down(void)
{
    static const char *const names[] = { "a.db", "a.db-journal", "a.db-wal", "a.db-shm" };
    char path[100];

    lido_pool_free(pool);
    for (int i = 0; i < 4; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        unlink(path);
    }
    rmdir(folder);
}

TestSuite(txn, .init = set_up, .fini = tear_down, .timeout = 30);

Test(txn, each_mode_takes_the_lock_that_it_names)
{
    static const int states[] = { 0, LIDO_TXN_OPEN, LIDO_TXN_WRITE, LIDO_TXN_WRITE };
    struct lido_conn conn = take(), other = take();

    for (int mode = LIDO_DEFERRED; mode <= LIDO_EXCLUSIVE; mode++) {
        cr_assert_eq(lido_txn_begin(&conn, mode, &err), LIDO_OK, "%s", err.text);
        cr_assert_eq(lido_txn_state(&conn), states[mode]);
        cr_assert_eq(lido_txn_begin(&other, LIDO_IMMEDIATE, &err),
                     mode == LIDO_DEFERRED ? LIDO_OK : SQLITE_BUSY);
        cr_assert_eq(lido_txn_rollback(&other, &err), LIDO_OK);
        /* Only EXCLUSIVE keeps readers out, in rollback-journal mode. */
        cr_assert_eq(run(&other, "SELECT * FROM t"),
                     mode == LIDO_EXCLUSIVE ? SQLITE_BUSY : SQLITE_OK);
        cr_assert_eq(lido_txn_rollback(&conn, &err), LIDO_OK);
        cr_assert_eq(lido_txn_state(&conn), LIDO_TXN_NONE);
    }
    give(&conn);
    give(&other);
}

Test(txn, the_default_mode_is_the_pool_s)
{
    struct lido_conn conn;

    lido_pool_free(pool);
    open_url("begin=immediate");
    conn = take();
    cr_assert_eq(lido_txn_begin(&conn, LIDO_BEGIN_DEFAULT, &err), LIDO_OK);
    cr_assert_eq(lido_txn_state(&conn), LIDO_TXN_WRITE);
    give(&conn);
}

Test(txn, a_second_begin_finds_the_first_also_one_of_sql_text)
{
    struct lido_conn conn = take();

    cr_assert_eq(lido_txn_begin(&conn, LIDO_DEFERRED, &err), LIDO_OK);
    cr_assert_eq(lido_txn_begin(&conn, LIDO_DEFERRED, &err), LIDO_IN_TXN);
    cr_assert_eq(run(&conn, "ROLLBACK; BEGIN"), SQLITE_OK);
    cr_assert_eq(lido_txn_begin(&conn, LIDO_DEFERRED, &err), LIDO_IN_TXN);
    cr_assert_eq(lido_txn_commit(&conn, NULL, &err), LIDO_OK);
    cr_assert_eq(lido_txn_begin(&conn, 6, &err), SQLITE_MISUSE);
    cr_assert_eq(lido_txn_begin(&conn, -1, &err), SQLITE_MISUSE);
    give(&conn);
}

Test(txn, a_running_select_is_no_transaction_to_begin_in)
{
    struct lido_conn conn = take();
    sqlite3_stmt *stmt;

    cr_assert_eq(run(&conn, "INSERT INTO t VALUES (1), (2)"), SQLITE_OK);
    cr_assert_eq(
        sqlite3_prepare_v2(lido_conn_sqlite(&conn), "SELECT x FROM t", -1, &stmt, NULL),
        SQLITE_OK);
    cr_assert_eq(sqlite3_step(stmt), SQLITE_ROW);
    cr_assert_eq(lido_txn_state(&conn), LIDO_TXN_READ);
    cr_assert_eq(lido_txn_commit(&conn, NULL, &err), LIDO_NO_TXN);
    cr_assert_eq(lido_txn_begin(&conn, LIDO_DEFERRED, &err), LIDO_OK, "%s", err.text);
    cr_assert_eq(lido_txn_commit(&conn, NULL, &err), LIDO_OK, "%s", err.text);
    sqlite3_finalize(stmt);
    give(&conn);
}

/* What the begin hooks below do, and what they saw. */
struct player {
    int set_mode;     /* 0: leave it */
    const char *sql;  /* run it */
    int answer;       /* and return this */
    int begin_inside; /* call lido_txn_begin, keep what it said */
    int check_in;     /* end the lease */
    int inside_rc, calls, saw_mode;
};

static int play(void *ctx, const struct lido_event *event, struct lido_error *hook_err)
{
    struct player *player = ctx;

    player->calls++;
    if (event->begin_mode != NULL) {
        player->saw_mode = *event->begin_mode;
        if (player->set_mode != 0)
            *event->begin_mode = player->set_mode;
    }
    if (player->sql != NULL)
        sqlite3_exec(event->sqlite, player->sql, NULL, NULL, NULL);
    if (player->begin_inside)
        player->inside_rc = lido_txn_begin(event->conn, LIDO_DEFERRED, NULL);
    if (player->check_in) {
        struct lido_conn copy = *event->conn;

        lido_conn_checkin(&copy, NULL, NULL);
    }
    return player->answer == LIDO_OK
               ? LIDO_OK
               : lido_fail(hook_err, player->answer, "the hook's own words");
}

static void listen_to(const struct lido_events *events, struct player *player)
{
    cr_assert_eq(lido_hooks_add(lido_pool_hooks(pool), NULL, events, player, NULL, &err),
                 LIDO_OK);
}

static const struct lido_events on_begin = { .size = sizeof on_begin, .begin = play };
static const struct lido_events on_commit = { .size = sizeof on_commit, .commit = play };
static const struct lido_events on_rollback = { .size = sizeof on_rollback,
                                                .rollback = play };

Test(txn, a_begin_hook_may_change_the_mode)
{
    struct player player = { .set_mode = LIDO_IMMEDIATE };
    struct lido_conn conn = take();

    listen_to(&on_begin, &player);
    cr_assert_eq(lido_txn_begin(&conn, LIDO_DEFERRED, &err), LIDO_OK);
    cr_assert_eq(player.saw_mode, LIDO_DEFERRED);
    cr_assert_eq(lido_txn_state(&conn), LIDO_TXN_WRITE);
    cr_assert_eq(lido_txn_rollback(&conn, &err), LIDO_OK);
    player.set_mode = 17;
    player.sql = "BEGIN IMMEDIATE";
    cr_assert_eq(lido_txn_begin(&conn, LIDO_DEFERRED, &err), SQLITE_MISUSE);
    cr_assert_eq(lido_txn_state(&conn), LIDO_TXN_NONE);
    give(&conn);
}

Test(txn, a_begin_hook_may_begin_itself_and_lido_begins_no_second)
{
    struct player player = { .sql = "BEGIN EXCLUSIVE" };
    struct lido_conn conn = take(), other = take();

    listen_to(&on_begin, &player);
    cr_assert_eq(lido_txn_begin(&conn, LIDO_DEFERRED, &err), LIDO_OK, "%s", err.text);
    cr_assert_eq(run(&other, "SELECT * FROM t"), SQLITE_BUSY, "it is the hook's EXCLUSIVE");
    cr_assert_eq(run(&conn, "INSERT INTO t VALUES (1)"), SQLITE_OK);
    cr_assert_eq(lido_txn_commit(&conn, NULL, &err), LIDO_OK);
    cr_assert_eq(ask(&conn, "SELECT count(*) FROM t"), 1);
    give(&conn);
    give(&other);
}

Test(txn, a_failing_begin_hook_undoes_what_one_before_it_began)
{
    struct player beginner = { .sql = "BEGIN IMMEDIATE" }, failing = { .answer = 4711 };
    struct lido_conn conn = take();

    listen_to(&on_begin, &beginner);
    listen_to(&on_begin, &failing);
    cr_assert_eq(lido_txn_begin(&conn, LIDO_DEFERRED, &err), 4711);
    cr_assert_eq(err.code, 4711);
    cr_assert_str_eq(err.text, "the hook's own words");
    cr_assert_eq(lido_txn_state(&conn), LIDO_TXN_NONE);
    cr_assert_eq(lido_txn_commit(&conn, NULL, &err), LIDO_NO_TXN);
    give(&conn);
}

Test(txn, begin_inside_a_begin_hook_is_a_recursion)
{
    struct player player = { .begin_inside = 1 };
    struct lido_conn conn = take();

    listen_to(&on_begin, &player);
    cr_assert_eq(lido_txn_begin(&conn, LIDO_DEFERRED, &err), LIDO_OK);
    cr_assert_eq(player.inside_rc, LIDO_RECURSION);
    cr_assert_eq(player.calls, 1);
    cr_assert_eq(lido_txn_rollback(&conn, &err), LIDO_OK);
    /* And is over with the hook. */
    player.begin_inside = 0;
    cr_assert_eq(lido_txn_begin(&conn, LIDO_DEFERRED, &err), LIDO_OK);
    give(&conn);
}

Test(txn, a_hook_that_ends_the_lease_is_survived)
{
    const struct lido_events *const sets[] = { &on_begin, &on_commit, &on_rollback };

    for (int i = 0; i < 3; i++) {
        struct player player = { .check_in = 1 };
        struct lido_conn conn = take();
        lido_hook hook;
        int rc = LIDO_OK;

        if (i > 0)
            cr_assert_eq(lido_txn_begin(&conn, LIDO_IMMEDIATE, &err), LIDO_OK);
        cr_assert_eq(
            lido_hooks_add(lido_pool_hooks(pool), &hook, sets[i], &player, NULL, &err),
            LIDO_OK);
        if (i == 0)
            rc = lido_txn_begin(&conn, LIDO_DEFERRED, &err);
        else if (i == 1)
            rc = lido_txn_commit(&conn, NULL, &err);
        else
            rc = lido_txn_rollback(&conn, &err);
        cr_assert_eq(rc, LIDO_STALE);
        cr_assert_eq(lido_conn_checkin(&conn, NULL, &err), LIDO_STALE);
        cr_assert_eq(lido_hooks_remove(lido_pool_hooks(pool), hook, &err), LIDO_OK);
        conn = take();
        cr_assert_eq(lido_txn_begin(&conn, LIDO_IMMEDIATE, &err), LIDO_OK, "%s", err.text);
        give(&conn);
    }
}

Test(txn, a_failing_commit_or_rollback_hook_leaves_the_transaction_open)
{
    struct player player = { .answer = SQLITE_AUTH };
    struct lido_conn conn = take();
    int outcome;

    listen_to(&on_commit, &player);
    listen_to(&on_rollback, &player);
    cr_assert_eq(lido_txn_begin(&conn, LIDO_IMMEDIATE, &err), LIDO_OK);
    cr_assert_eq(lido_txn_commit(&conn, &outcome, &err), SQLITE_AUTH);
    cr_assert_eq(outcome, LIDO_OUTCOME_OPEN);
    cr_assert_eq(lido_txn_rollback(&conn, &err), SQLITE_AUTH);
    cr_assert_eq(lido_txn_state(&conn), LIDO_TXN_WRITE);
    player.answer = LIDO_OK;
    cr_assert_eq(lido_txn_commit(&conn, &outcome, &err), LIDO_OK);
    cr_assert_eq(outcome, LIDO_OUTCOME_COMMITTED);
    give(&conn);
}

Test(txn, commit_without_begin_says_so_and_rollback_does_nothing)
{
    struct lido_conn conn = take();
    int outcome;

    cr_assert_eq(lido_txn_commit(&conn, &outcome, &err), LIDO_NO_TXN);
    cr_assert_eq(outcome, LIDO_OUTCOME_UNKNOWN);
    cr_assert_eq(lido_txn_rollback(&conn, &err), LIDO_OK);
    cr_assert_eq(lido_txn_begin(&conn, LIDO_DEFERRED, &err), LIDO_OK);
    cr_assert_eq(lido_txn_rollback(&conn, &err), LIDO_OK);
    cr_assert_eq(lido_txn_rollback(&conn, &err), LIDO_OK);
    cr_assert_eq(lido_txn_commit(&conn, NULL, &err), LIDO_NO_TXN);
    give(&conn);
}

Test(txn, what_sqlite_rolled_back_by_itself_is_no_commit)
{
    struct lido_conn conn = take();
    int outcome;

    cr_assert_eq(lido_txn_begin(&conn, LIDO_IMMEDIATE, &err), LIDO_OK);
    cr_assert_eq(run(&conn, "INSERT INTO t VALUES (1)"), SQLITE_OK);
    cr_assert_eq(run(&conn, "INSERT OR ROLLBACK INTO t VALUES (1)") & 0xff,
                 SQLITE_CONSTRAINT);
    cr_assert_eq(lido_txn_commit(&conn, &outcome, &err), LIDO_TXN_OVER);
    cr_assert_eq(outcome, LIDO_OUTCOME_UNKNOWN);
    cr_assert_eq(lido_txn_commit(&conn, &outcome, &err), LIDO_NO_TXN, "it is said once");
    cr_assert_eq(ask(&conn, "SELECT count(*) FROM t"), 0);
    give(&conn);
}

Test(txn, a_commit_that_meets_busy_stays_open_and_can_be_tried_again)
{
    struct lido_conn conn = take(), reader = take();
    sqlite3_stmt *stmt;
    int outcome;

    cr_assert_eq(run(&conn, "INSERT INTO t VALUES (1)"), SQLITE_OK);
    cr_assert_eq(
        sqlite3_prepare_v2(lido_conn_sqlite(&reader), "SELECT x FROM t", -1, &stmt, NULL),
        SQLITE_OK);
    cr_assert_eq(sqlite3_step(stmt), SQLITE_ROW);
    cr_assert_eq(lido_txn_begin(&conn, LIDO_IMMEDIATE, &err), LIDO_OK);
    cr_assert_eq(run(&conn, "INSERT INTO t VALUES (2)"), SQLITE_OK);
    cr_assert_eq(lido_txn_commit(&conn, &outcome, &err), SQLITE_BUSY);
    cr_assert_eq(outcome, LIDO_OUTCOME_OPEN);
    cr_assert_not_null(strstr(err.text, "locked"), "%s", err.text);
    sqlite3_finalize(stmt);
    cr_assert_eq(lido_txn_commit(&conn, &outcome, &err), LIDO_OK);
    cr_assert_eq(outcome, LIDO_OUTCOME_COMMITTED);
    cr_assert_eq(ask(&reader, "SELECT count(*) FROM t"), 2);
    give(&conn);
    give(&reader);
}

Test(txn, checkin_rolls_back_what_was_left_open_and_runs_no_rollback_hook)
{
    struct lido_pool_stats stats = LIDO_POOL_STATS_INIT;
    struct player player = { .calls = 0 };
    struct lido_conn conn = take();
    sqlite3_stmt *stmt;

    listen_to(&on_rollback, &player);
    cr_assert_eq(lido_txn_begin(&conn, LIDO_IMMEDIATE, &err), LIDO_OK);
    cr_assert_eq(run(&conn, "INSERT INTO t VALUES (1), (2)"), SQLITE_OK);
    cr_assert_eq(
        sqlite3_prepare_v2(lido_conn_sqlite(&conn), "SELECT x FROM t", -1, &stmt, NULL),
        SQLITE_OK);
    cr_assert_eq(sqlite3_step(stmt), SQLITE_ROW);
    give(&conn);
    cr_assert_eq(player.calls, 0);
    cr_assert_eq(lido_pool_stats(pool, &stats, &err), LIDO_OK);
    cr_assert_eq(stats.rolled_back, 1);
    cr_assert_eq(stats.statements_reset, 1);
    cr_assert_eq(stats.closed_unclean, 0);
    conn = take();
    cr_assert_eq(ask(&conn, "SELECT count(*) FROM t"), 0);
    sqlite3_finalize(stmt);
    give(&conn);
}

Test(txn, a_failed_commit_of_sql_text_does_not_come_back_as_clean)
{
    struct lido_conn conn = take(), reader = take();
    sqlite3_stmt *stmt;

    cr_assert_eq(run(&conn, "INSERT INTO t VALUES (1)"), SQLITE_OK);
    cr_assert_eq(
        sqlite3_prepare_v2(lido_conn_sqlite(&reader), "SELECT x FROM t", -1, &stmt, NULL),
        SQLITE_OK);
    cr_assert_eq(sqlite3_step(stmt), SQLITE_ROW);
    cr_assert_eq(run(&conn, "BEGIN IMMEDIATE; INSERT INTO t VALUES (2); COMMIT"),
                 SQLITE_BUSY);
    give(&conn); /* with the transaction that the failed COMMIT left */
    conn = take();
    cr_assert_eq(lido_txn_state(&conn), LIDO_TXN_NONE);
    cr_assert_eq(ask(&conn, "SELECT count(*) FROM t"), 1);
    sqlite3_finalize(stmt);
    give(&conn);
    give(&reader);
}

Test(txn, a_lock_that_is_taken_is_told_with_its_statement)
{
    struct lido_conn conn = take(), other = take();

    cr_assert_eq(run(&other, "BEGIN IMMEDIATE"), SQLITE_OK); /* not by the gate */
    cr_assert_eq(lido_txn_begin(&conn, LIDO_IMMEDIATE, &err), SQLITE_BUSY);
    cr_assert_eq(err.code, SQLITE_BUSY);
    cr_assert_str_eq(err.text, "BEGIN IMMEDIATE: database is locked");
    cr_assert_eq(lido_txn_commit(&conn, NULL, &err), LIDO_NO_TXN, "none was begun");
    give(&conn);
    give(&other);
}

Test(txn, a_busy_handler_of_the_user_s_is_gone_after_the_checkin)
{
    struct lido_conn conn = take(), other = take();
    sqlite3 *db = lido_conn_sqlite(&conn);

    cr_assert_eq(sqlite3_busy_timeout(db, 1000 * 1000), SQLITE_OK);
    give(&conn);
    conn = take();
    cr_assert_eq(lido_conn_sqlite(&conn), db);
    cr_assert_eq(lido_txn_begin(&other, LIDO_IMMEDIATE, &err), LIDO_OK);
    cr_assert_eq(lido_txn_begin(&conn, LIDO_IMMEDIATE, &err), SQLITE_BUSY, "timeout=0");
    give(&conn);
    give(&other);
}

Test(txn, a_rollback_hook_does_not_keep_open_what_a_begin_hook_began_in_vain)
{
    struct player beginner = { .sql = "BEGIN IMMEDIATE" }, failing = { .answer = 4711 };
    struct player keeper = { .answer = SQLITE_AUTH };
    struct lido_conn conn = take();

    listen_to(&on_begin, &beginner);
    listen_to(&on_begin, &failing);
    listen_to(&on_rollback, &keeper);
    cr_assert_eq(lido_txn_begin(&conn, LIDO_DEFERRED, &err), 4711);
    cr_assert_eq(lido_txn_state(&conn), LIDO_TXN_NONE);
    cr_assert_str_eq(err.text, "the hook's own words");
    give(&conn);
}

Test(txn, a_hook_that_rolls_back_leaves_nothing_to_commit_and_nothing_to_roll_back)
{
    struct player player = { .sql = "ROLLBACK" };
    struct lido_conn conn = take();
    int outcome;

    listen_to(&on_commit, &player);
    listen_to(&on_rollback, &player);
    cr_assert_eq(run(&conn, "BEGIN"), SQLITE_OK);
    cr_assert_eq(lido_txn_commit(&conn, &outcome, &err), LIDO_TXN_OVER, "%s", err.text);
    cr_assert_eq(outcome, LIDO_OUTCOME_UNKNOWN);
    cr_assert_eq(lido_txn_begin(&conn, LIDO_DEFERRED, &err), LIDO_OK);
    cr_assert_eq(lido_txn_commit(&conn, &outcome, &err), LIDO_TXN_OVER, "%s", err.text);
    cr_assert_eq(lido_txn_begin(&conn, LIDO_DEFERRED, &err), LIDO_OK);
    cr_assert_eq(lido_txn_rollback(&conn, &err), LIDO_OK, "%s", err.text);
    cr_assert_eq(lido_txn_commit(&conn, NULL, &err), LIDO_NO_TXN, "it is said once");

    player.answer = SQLITE_CONSTRAINT;
    cr_assert_eq(lido_txn_begin(&conn, LIDO_DEFERRED, &err), LIDO_OK);
    cr_assert_eq(lido_txn_commit(&conn, &outcome, &err), SQLITE_CONSTRAINT);
    cr_assert_eq(outcome, LIDO_OUTCOME_UNKNOWN);
    cr_assert_str_eq(err.text, "the hook's own words");
    give(&conn);
}

/* The hooks' arrays, and the pool itself, go while the event still runs. */
Test(txn, a_hook_that_ends_the_last_lease_of_a_freed_pool_is_survived)
{
    const struct lido_events *const sets[] = { &on_begin, &on_commit, &on_rollback };

    for (int i = 0; i < 6; i++) {
        struct player player = { .check_in = 1, .answer = i % 2 ? 4711 : LIDO_OK };
        struct lido_conn conn = take();
        int outcome = LIDO_OUTCOME_UNKNOWN, rc;

        if (i >= 2)
            cr_assert_eq(lido_txn_begin(&conn, LIDO_IMMEDIATE, &err), LIDO_OK);
        listen_to(sets[i / 2], &player);
        lido_pool_free(pool);
        rc = i < 2   ? lido_txn_begin(&conn, LIDO_DEFERRED, &err)
             : i < 4 ? lido_txn_commit(&conn, &outcome, &err)
                     : lido_txn_rollback(&conn, &err);
        cr_assert_eq(rc, i % 2 ? 4711 : LIDO_STALE);
        cr_assert_eq(outcome, LIDO_OUTCOME_UNKNOWN, "but it is not open");
        open_url("timeout=0");
    }
}

/* What a thread that did not check the lease out is told. */
struct stranger {
    struct lido_conn conn;
    int begin, commit, outcome, rollback, state;
};

static void *meddle(void *arg)
{
    struct stranger *stranger = arg;

    stranger->begin = lido_txn_begin(&stranger->conn, LIDO_DEFERRED, NULL);
    stranger->outcome = LIDO_OUTCOME_COMMITTED;
    stranger->commit = lido_txn_commit(&stranger->conn, &stranger->outcome, NULL);
    stranger->rollback = lido_txn_rollback(&stranger->conn, NULL);
    stranger->state = lido_txn_state(&stranger->conn);
    return NULL;
}

Test(txn, another_thread_neither_ends_nor_sees_a_transaction)
{
    struct stranger stranger = { .conn = take() };
    pthread_t thread;

    cr_assert_eq(lido_txn_begin(&stranger.conn, LIDO_IMMEDIATE, &err), LIDO_OK);
    cr_assert_eq(pthread_create(&thread, NULL, meddle, &stranger), 0);
    cr_assert_eq(pthread_join(thread, NULL), 0);
    cr_assert_eq(stranger.begin, LIDO_WRONG_THREAD);
    cr_assert_eq(stranger.commit, LIDO_WRONG_THREAD);
    cr_assert_eq(stranger.outcome, LIDO_OUTCOME_UNKNOWN);
    cr_assert_eq(stranger.rollback, LIDO_WRONG_THREAD);
    cr_assert_eq(stranger.state, LIDO_TXN_UNKNOWN);
    cr_assert_eq(lido_txn_state(&stranger.conn), LIDO_TXN_WRITE);
    give(&stranger.conn);
}

Test(txn, a_driver_of_the_host_s_gets_the_mode_and_says_how_it_ended)
{
    struct lido_conn conn;
    int outcome;

    lido_pool_free(pool);
    fake_driver_install();
    cr_assert_eq(lido_pool_open(&pool, "fake:///x?begin=exclusive", NULL, &err), LIDO_OK);
    conn = take();
    fake_driver_calls();
    for (int mode = LIDO_BEGIN_DEFAULT; mode <= LIDO_IMMEDIATE; mode++) {
        cr_assert_eq(lido_txn_begin(&conn, mode, &err), LIDO_OK);
        cr_assert_eq(lido_txn_begin(&conn, mode, &err), LIDO_IN_TXN);
        cr_assert_eq(lido_txn_commit(&conn, &outcome, &err), LIDO_OK);
        cr_assert_eq(outcome, LIDO_OUTCOME_COMMITTED);
    }
    cr_assert_str_eq(fake_driver_calls(), "begin-exclusive 1, commit 1, begin-deferred 1, "
                                          "commit 1, begin-immediate 1, commit 1");
    give(&conn);
}

/* A thread that waits as SQLite's busy handler would. */
struct busy {
    void *handle;
    int rounds;
};

static void *wait_busy(void *arg)
{
    struct busy *busy = arg;

    while (fake_driver_busy(busy->handle, busy->rounds))
        busy->rounds++;
    return NULL;
}

Test(txn, the_busy_wait_ends_at_the_timeout_of_the_pool)
{
    struct lido_pool_options options = LIDO_POOL_OPTIONS_INIT;
    lido_pool *other;
    struct lido_conn conn;
    struct busy busy = { 0 };
    pthread_t thread;
    int64_t start = fake_clock_now_ns();

    fake_driver_install();
    options.clock = fake_clock();
    options.timeout_ms = 20;
    cr_assert_eq(lido_pool_open(&other, "fake:///x?pool=queue", &options, &err), LIDO_OK);
    cr_assert_eq(lido_pool_checkout(other, &conn, NULL, &err), LIDO_OK);
    busy.handle = lido_conn_handle(&conn);
    cr_assert_eq(pthread_create(&thread, NULL, wait_busy, &busy), 0);
    /* Moved by a millisecond at a time, it ends at the deadline or a little later, when the
       thread has come round to look; never before. */
    while (pthread_tryjoin_np(thread, NULL) != 0) {
        fake_clock_advance_ms(1);
        sched_yield();
    }
    cr_assert_geq(fake_clock_now_ns() - start, 20 * 1000000);
    cr_assert_geq(busy.rounds, 1);
    cr_assert_eq(lido_conn_checkin(&conn, NULL, &err), LIDO_OK);
    lido_pool_free(other);
}
