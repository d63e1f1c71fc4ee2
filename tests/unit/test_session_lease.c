/* SPDX-License-Identifier: MIT */
/*
 * The guard around it: what is no change, what the host's hooks set, who is left alone, and
 * what the guard costs when it is off.  tests/conformance/test_session_state.c has what is
 * changed, on every kind.
 */
#include "driver/session.h"
#include "tests/support/handy.h"
#include "tests/support/own_folder.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct lido_error err;
static char folder[40], path[80], logged[400];
static lido_pool *pool;
static struct lido_conn conn;
static sqlite3 *db;
static const char *connect_sql, *reset_sql, *checkin_sql;
static int denied;

static void keep_line(void *ctx, int level, const char *text)
{
    (void)ctx, (void)level;
    snprintf(logged, sizeof logged, "%s", text);
}

static void open_pool(const char *rest)
{
    struct lido_pool_options options = LIDO_POOL_OPTIONS_INIT;
    char url[200];

    options.log = keep_line;
    snprintf(url, sizeof url, "sqlite:///%s?%s", path, rest);
    cr_assert_eq(lido_pool_open(&pool, rest[0] == 's' ? rest : url, &options, &err),
                 LIDO_OK, "%s", err.text);
}

static void take(void)
{
    cr_assert_eq(lido_pool_checkout(pool, &conn, NULL, &err), LIDO_OK, "%s", err.text);
    db = lido_conn_sqlite(&conn);
}

static void give(void)
{
    cr_expect_eq(lido_conn_checkin(&conn, NULL, &err), LIDO_OK, "%s", err.text);
}

static void run_on(sqlite3 *handle, const char *sql)
{
    cr_assert_eq(sqlite3_exec(handle, sql, NULL, NULL, NULL), SQLITE_OK, "%s: %s", sql,
                 sqlite3_errmsg(handle));
}

static void run(const char *sql)
{
    run_on(db, sql);
}

static int ask(const char *sql)
{
    sqlite3_stmt *stmt;
    int answer = -1;

    cr_assert_eq(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), SQLITE_OK);
    if (sqlite3_step(stmt) == SQLITE_ROW)
        answer = sqlite3_column_int(stmt, 0);
    sqlite3_finalize(stmt);
    return answer;
}

static struct lido_pool_stats stats(void)
{
    return handy_stats(pool);
}

static int on_connect(void *ctx, const struct lido_event *event, struct lido_error *why)
{
    (void)ctx, (void)why;
    if (connect_sql != NULL)
        run_on(event->sqlite, connect_sql);
    return LIDO_OK;
}

static int on_reset(void *ctx, const struct lido_event *event, struct lido_error *why)
{
    (void)ctx, (void)why;
    if (reset_sql != NULL)
        run_on(event->sqlite, reset_sql);
    return LIDO_OK;
}

static int on_checkin(void *ctx, const struct lido_event *event, struct lido_error *why)
{
    (void)ctx, (void)why;
    if (checkin_sql != NULL && event->sqlite != NULL)
        run_on(event->sqlite, checkin_sql);
    return LIDO_OK;
}

static const struct lido_events hooks = {
    .size = sizeof hooks, .connect = on_connect, .reset = on_reset, .checkin = on_checkin
};

static void add_hooks(void)
{
    lido_hook hook;

    cr_assert_eq(lido_hooks_add(lido_pool_hooks(pool), &hook, &hooks, NULL, NULL, &err),
                 LIDO_OK);
}

static void set_up(void)
{
    strcpy(folder, "/tmp/lido-session-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/app.db", folder);
    connect_sql = reset_sql = checkin_sql = NULL;
    logged[0] = '\0';
    denied = 0;
}

static void tear_down(void)
{
    cr_assert_eq(lido_pool_close(pool, 0, &err), LIDO_OK, "%s", err.text);
    lido_pool_free(pool);
    unlink(path);
    own_folder_end(folder);
}

TestSuite(session_lease, .init = set_up, .fini = tear_down, .timeout = 20);

Test(session_lease, what_changes_nothing_costs_no_connection)
{
    open_pool("pool=queue");
    for (int i = 0; i < 3; i++) {
        take();
        run("CREATE TABLE IF NOT EXISTS t(x); PRAGMA table_info(t); PRAGMA user_version=3;"
            "PRAGMA foreign_keys; BEGIN; INSERT INTO t VALUES(1)");
        give();
    }
    cr_expect_eq(stats().connects, 1);
}

Test(session_lease, deferred_foreign_keys_do_not_cost_the_connection)
{
    open_pool("pool=queue");
    take();
    run("PRAGMA defer_foreign_keys = 1");
    cr_expect_eq(ask("PRAGMA defer_foreign_keys"), 1);
    give();
    take();
    cr_expect_eq(ask("PRAGMA defer_foreign_keys"), 0);
    give();
    cr_expect_eq(stats().connects, 1);
}

Test(session_lease, what_lido_sets_for_a_transaction_is_no_change)
{
    open_pool("pool=queue");
    for (int i = 0; i < 3; i++) {
        take();
        cr_assert_eq(lido_txn_begin(&conn, LIDO_READ, &err), LIDO_OK, "%s", err.text);
        if (i == 1)
            cr_assert_eq(lido_txn_commit(&conn, NULL, &err), LIDO_OK, "%s", err.text);
        give();
    }
    cr_expect_eq(stats().connects, 1);
}

Test(session_lease, a_connection_is_closed_counted_and_the_reason_logged)
{
    open_pool("pool=queue");
    take();
    run("PRAGMA synchronous = 0");
    give();
    cr_expect_eq(stats().closed_unclean, 1);
    cr_expect_not_null(strstr(logged, "PRAGMA synchronous"), "%s", logged);
    take();
    cr_expect_eq(ask("PRAGMA synchronous"), 2);
    give();
}

static void expect_base(const char *rest)
{
    open_pool(rest);
    add_hooks();
    connect_sql = "PRAGMA foreign_keys = 1; PRAGMA wal_autocheckpoint = 17";
    for (int i = 0; i < 3; i++) {
        take();
        cr_expect_eq(ask("PRAGMA foreign_keys"), 1);
        cr_expect_eq(ask("PRAGMA wal_autocheckpoint"), 17);
        if (i == 1)
            run("PRAGMA foreign_keys = 0; PRAGMA wal_autocheckpoint = 3");
        give();
    }
}

Test(session_lease, what_a_connect_hook_sets_is_what_every_lease_finds)
{
    expect_base("pool=queue");
    cr_expect_eq(stats().connects, 2);
}

Test(session_lease, what_a_connect_hook_sets_is_put_back_in_memory)
{
    expect_base("sqlite://?pool=assertion");
    cr_expect_eq(stats().connects, 1);
}

static int set_pragma(void *ctx, void *handle, struct lido_error *why)
{
    (void)ctx, (void)why;
    run_on(handle, "PRAGMA cache_size = 7");
    return LIDO_OK;
}

Test(session_lease, what_ends_a_lease_is_no_change_of_the_next)
{
    open_pool("pool=queue");
    add_hooks();
    reset_sql = "PRAGMA foreign_keys = 1";
    checkin_sql = "PRAGMA recursive_triggers = 1";
    for (int i = 0; i < 3; i++) {
        take();
        cr_expect_eq(lido_conn_add_finalizer(&conn, set_pragma, NULL, NULL, &err), LIDO_OK);
        give();
    }
    cr_expect_eq(stats().connects, 1);
    take();
    run("PRAGMA cell_size_check = 1");
    give();
    cr_expect_eq(stats().closed_unclean, 1, "it is watched again");
}

Test(session_lease, what_cannot_be_put_back_is_told_once)
{
    open_pool("sqlite://?pool=static");
    take();
    run("PRAGMA of_an_extension = 1; CREATE TABLE t(x)");
    cr_expect_eq(lido_conn_checkin(&conn, NULL, &err), LIDO_UNCLEAN);
    cr_expect_not_null(strstr(err.text, "PRAGMA of_an_extension"), "%s", err.text);
    take();
    run("INSERT INTO t VALUES('kept')");
    give();
    cr_expect_eq(stats().connects, 1);
    cr_expect_eq(stats().idle, 1);
}

Test(session_lease, what_data_in_memory_took_is_its_own)
{
    open_pool("sqlite://?pool=static");
    take();
    run("PRAGMA encoding = 'UTF-16le'; PRAGMA page_size = 1024; CREATE TABLE t(x)");
    give();
    take();
    run("INSERT INTO t VALUES('kept')");
    cr_expect_eq(ask("SELECT encoding = 'UTF-16le' FROM pragma_encoding"), 1);
    give();
}

Test(session_lease, what_is_pending_for_data_in_memory_is_put_back)
{
    open_pool("sqlite://?pool=static");
    take();
    run("PRAGMA page_size = 1024");
    give();
    take();
    run("CREATE TABLE t(x)");
    cr_expect_eq(ask("PRAGMA page_size"), 4096);
    give();
}

Test(session_lease, a_transaction_that_a_blob_holds_in_memory_is_told)
{
    sqlite3_blob *blob;

    open_pool("sqlite://?pool=assertion");
    take();
    run("CREATE TABLE t(x); INSERT INTO t VALUES('held')");
    cr_assert_eq(sqlite3_blob_open(db, "main", "t", "x", 1, 0, &blob), SQLITE_OK);
    cr_expect_eq(lido_conn_checkin(&conn, NULL, &err), LIDO_UNCLEAN);
    cr_expect_eq(err.code, LIDO_UNCLEAN);
    cr_expect_not_null(strstr(err.text, "blob"), "%s", err.text);
    take();
    cr_expect_eq(sqlite3_blob_close(blob), SQLITE_OK);
    cr_expect_eq(ask("SELECT count(*) FROM t"), 1);
    give();
    cr_expect_eq(stats().connects, 1);
}

Test(session_lease, the_last_of_the_leases_that_share_ends_the_state)
{
    struct lido_conn other;

    open_pool("sqlite://?pool=static");
    take();
    cr_assert_eq(lido_pool_checkout(pool, &other, NULL, &err), LIDO_OK);
    run("PRAGMA foreign_keys = 1");
    give();
    db = lido_conn_sqlite(&other);
    cr_expect_eq(ask("PRAGMA foreign_keys"), 1);
    cr_expect_eq(lido_conn_checkin(&other, NULL, &err), LIDO_OK);
    take();
    cr_expect_eq(ask("PRAGMA foreign_keys"), 0);
    give();
}

/* PRAGMA query_only would keep the temporary table. */
Test(session_lease, pragmas_are_put_back_before_temporary_tables_are_dropped)
{
    open_pool("sqlite://?pool=assertion");
    take();
    run("CREATE TEMP TABLE left_behind(x); PRAGMA query_only = 1");
    give();
    take();
    cr_expect_eq(ask("SELECT count(*) FROM temp.sqlite_schema"), 0);
    give();
}

static int refuse_to_go_on(void *ctx)
{
    (void)ctx;
    return 1;
}

Test(session_lease, hooks_of_the_lease_do_not_hinder_its_end)
{
    open_pool("pool=queue&pool_reset_on_return=commit");
    take();
    run("CREATE TABLE t(x); BEGIN; INSERT INTO t VALUES(1)");
    sqlite3_commit_hook(db, refuse_to_go_on, NULL);
    sqlite3_progress_handler(db, 1, refuse_to_go_on, NULL);
    give();
    take();
    cr_expect_eq(ask("SELECT count(*) FROM t"), 1);
    give();
    cr_expect_eq(stats().connects, 1);
}

Test(session_lease, a_statement_kept_from_an_earlier_lease_leaves_no_temporary_table)
{
    sqlite3_stmt *stmt;

    open_pool("pool=queue");
    take();
    cr_assert_eq(
        sqlite3_prepare_v2(db, "CREATE TEMP TABLE left_behind(x)", -1, &stmt, NULL),
        SQLITE_OK);
    give();
    take();
    cr_assert_eq(sqlite3_step(stmt), SQLITE_DONE);
    sqlite3_finalize(stmt);
    give();
    take();
    cr_expect_eq(ask("SELECT count(*) FROM temp.sqlite_schema"), 0);
    give();
}

/* --- authorizers ------------------------------------------------------------------------- */

static int deny(void *ctx, int action, const char *first, const char *second,
                const char *database, const char *trigger)
{
    (void)first, (void)second, (void)database, (void)trigger;
    denied++;
    return action == *(int *)ctx ? SQLITE_DENY : SQLITE_OK;
}

Test(session_lease, a_chained_authorizer_does_not_hide_changes)
{
    int action = SQLITE_DELETE;

    open_pool("pool=queue");
    take();
    cr_assert_eq(lido_conn_set_authorizer(&conn, deny, &action, &err), LIDO_OK);
    run("PRAGMA foreign_keys = 1");
    cr_expect_gt(denied, 0);
    give();
    cr_expect_eq(stats().closed_unclean, 1);
}

Test(session_lease, an_authorizer_cannot_refuse_the_end_of_its_lease)
{
    int action = SQLITE_TRANSACTION;

    open_pool("pool=queue");
    take();
    run("BEGIN; CREATE TABLE t(x)");
    cr_assert_eq(lido_conn_set_authorizer(&conn, deny, &action, &err), LIDO_OK);
    cr_expect_eq(sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL), SQLITE_AUTH);
    give();
    cr_expect_eq(stats().rolled_back, 1);
    cr_expect_eq(stats().closed_unclean, 0);
}

Test(session_lease, an_authorizer_is_taken_away_by_none)
{
    int action = SQLITE_SELECT;

    open_pool("pool=queue");
    take();
    cr_assert_eq(lido_conn_set_authorizer(&conn, deny, &action, &err), LIDO_OK);
    cr_expect_eq(sqlite3_exec(db, "SELECT 1", NULL, NULL, NULL), SQLITE_AUTH);
    cr_assert_eq(lido_conn_set_authorizer(&conn, NULL, NULL, &err), LIDO_OK);
    run("SELECT 1");
    give();
}

static int on_connect_authorize(void *ctx, const struct lido_event *event,
                                struct lido_error *why)
{
    static int nothing = -1;

    (void)ctx, (void)why;
    sqlite3_set_authorizer(event->sqlite, deny, &nothing);
    return LIDO_OK;
}

Test(session_lease, an_authorizer_of_a_connect_hook_is_left_and_told)
{
    static const struct lido_events own = { .size = sizeof own,
                                            .connect = on_connect_authorize };
    lido_hook hook;

    open_pool("pool=queue");
    cr_assert_eq(lido_hooks_add(lido_pool_hooks(pool), &hook, &own, NULL, NULL, &err),
                 LIDO_OK);
    take();
    cr_expect_not_null(strstr(logged, "authorizer"), "%s", logged);
    denied = 0;
    run("CREATE TEMP TABLE left_behind(x)");
    cr_expect_gt(denied, 0);
    give();
    take();
    cr_expect_eq(ask("SELECT count(*) FROM temp.sqlite_schema"), 0);
    give();
    cr_expect_eq(stats().connects, 1);
}

/* --- in and out -------------------------------------------------------------------------- */

Test(session_lease, a_stolen_handle_has_no_authorizer_any_more)
{
    int action = SQLITE_SELECT;
    void *handle;

    open_pool("pool=queue");
    take();
    cr_assert_eq(lido_conn_set_authorizer(&conn, deny, &action, &err), LIDO_OK);
    cr_assert_eq(lido_conn_steal(&conn, &handle, &err), LIDO_OK);
    denied = 0;
    run_on(handle, "SELECT 1; PRAGMA foreign_keys = 1");
    cr_expect_eq(denied, 0);
    cr_expect_eq(sqlite3_close(handle), SQLITE_OK);
}

static int count_commit(void *ctx)
{
    ++*(int *)ctx;
    return 0;
}

Test(session_lease, an_adopted_handle_stays_as_its_host_made_it)
{
    int action = SQLITE_DELETE, commits = 0;
    struct lido_conn adopted;
    sqlite3 *own;

    open_pool("pool=queue");
    cr_assert_eq(sqlite3_open(path, &own), SQLITE_OK);
    sqlite3_set_authorizer(own, deny, &action);
    sqlite3_commit_hook(own, count_commit, &commits);
    cr_assert_eq(lido_conn_adopt(&adopted, pool, own, &err), LIDO_OK);
    cr_expect_eq(lido_conn_set_authorizer(&adopted, deny, &action, &err), SQLITE_MISUSE);
    cr_expect_eq(lido_conn_mark_dirty(&adopted, "it is the host's", &err), LIDO_OK);
    run_on(own, "PRAGMA foreign_keys = 1");
    cr_expect_eq(lido_conn_checkin(&adopted, NULL, &err), LIDO_OK);
    denied = 0;
    run_on(own, "CREATE TABLE t(x)");
    cr_expect_gt(denied, 0);
    cr_expect_eq(commits, 1);
    db = own;
    cr_expect_eq(ask("PRAGMA foreign_keys"), 1);
    cr_expect_eq(sqlite3_close(own), SQLITE_OK);
}

Test(session_lease, a_detached_connection_is_closed_as_such)
{
    open_pool("pool=queue");
    take();
    run("PRAGMA foreign_keys = 1");
    cr_assert_eq(lido_conn_detach(&conn, &err), LIDO_OK);
    give();
    cr_expect_eq(stats().closed_detached, 1);
    cr_expect_eq(stats().closed_unclean, 0);
}

/* --- options ----------------------------------------------------------------------------- */

Test(session_lease, without_the_guard_everything_stays_but_what_is_declared)
{
    int action = SQLITE_SELECT, commits = 0;

    open_pool("pool=queue&session_guard=0");
    take();
    run("PRAGMA foreign_keys = 1; CREATE TEMP TABLE left_behind(x)");
    sqlite3_commit_hook(db, count_commit, &commits);
    cr_assert_eq(lido_conn_set_authorizer(&conn, deny, &action, &err), LIDO_OK);
    cr_expect_eq(sqlite3_exec(db, "SELECT 1", NULL, NULL, NULL), SQLITE_AUTH);
    give();
    take();
    commits = 0;
    run("SELECT 1; CREATE TABLE t(x)");
    cr_expect_eq(ask("PRAGMA foreign_keys"), 1);
    cr_expect_eq(ask("SELECT count(*) FROM temp.sqlite_schema"), 0);
    cr_expect_eq(commits, 1);
    cr_expect_eq(stats().connects, 1);
    cr_assert_eq(lido_conn_mark_dirty(&conn, NULL, &err), LIDO_OK);
    give();
    cr_expect_eq(stats().closed_unclean, 1);
}

Test(session_lease, a_null_pool_closes_what_it_would_close_anyway)
{
    open_pool("pool=null");
    take();
    run("PRAGMA foreign_keys = 1");
    give();
    cr_expect_eq(stats().closed_surplus, 1);
    cr_expect_eq(stats().closed_unclean, 0);
}

Test(session_lease, a_transaction_that_stays_open_keeps_its_connection)
{
    open_pool("pool=queue&pool_reset_on_return=none");
    take();
    run("CREATE TABLE t(x); PRAGMA cache_size = 7; BEGIN; INSERT INTO t VALUES(1)");
    give();
    take();
    cr_expect_eq(stats().connects, 1);
    run("COMMIT");
    give();
    cr_expect_eq(stats().closed_unclean, 1);
}

Test(session_lease, a_driver_without_sqlite_takes_what_is_declared)
{
    struct lido_pool_options options = handy_options("queue");

    pool = handy_open(&options);
    conn = handy_take(pool);
    cr_expect_eq(lido_conn_set_authorizer(&conn, deny, NULL, &err), SQLITE_MISUSE);
    cr_expect_eq(lido_conn_mark_dirty(&conn, "declared", &err), LIDO_OK);
    handy_give(&conn);
    cr_expect_eq(stats().closed_unclean, 1);
}
