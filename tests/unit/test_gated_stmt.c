/* SPDX-License-Identifier: MIT */
/*
 * At the write gate: statements that are a transaction by themselves, what a begin hook begins
 * by itself, raw SQL, and connections with other files attached.
 */
#include "tests/support/fake_clock.h"
#include "tests/support/handy.h"
#include "tests/support/worker.h"
#include <lido/lido.h>

#include <criterion/criterion.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static char path[HANDY_FILE_SIZE], second_path[110];
static lido_pool *pool;
static struct lido_conn conn;
static struct worker worker;

static lido_pool *open_file(const char *name)
{
    struct lido_pool_options options = handy_options("queue");
    char whole[180];

    options.timeout_ms = 1000;
    snprintf(whole, sizeof whole, "sqlite:///%s", name);
    return handy_open_url(whole, &options);
}

static void exec(const struct lido_conn *on, const char *sql)
{
    cr_assert_eq(lido_conn_exec(on, sql, &handy_err), LIDO_OK, "%s", handy_err.text);
}

static void set_up(void)
{
    handy_file(path, "gated-stmt");
    snprintf(second_path, sizeof second_path, "%s-2", path);
    pool = open_file(path);
    conn = handy_take(pool);
    exec(&conn, "CREATE TABLE t(x)");
    worker_start(&worker, pool);
    worker_tell(&worker, worker_take);
}

static void clear(void)
{
    worker_tell(&worker, worker_give);
    worker_end(&worker);
    lido_conn_checkin(&conn, NULL, NULL);
    lido_pool_free(pool);
    unlink(path);
    unlink(second_path);
}

TestSuite(gated_stmt, .init = set_up, .fini = clear, .timeout = 30);

static struct lido_gate_stats stats_of(lido_pool *asked)
{
    struct lido_gate_stats stats = LIDO_GATE_STATS_INIT;

    cr_assert_eq(lido_gate_stats(asked, &stats, &handy_err), LIDO_OK);
    return stats;
}

static bool is_held(void)
{
    return stats_of(pool).is_held != 0;
}

static void await_one_in_line(void)
{
    while (stats_of(pool).waiting == 0)
        sched_yield();
}

static void begin(void)
{
    cr_assert_eq(lido_txn_begin(&conn, LIDO_IMMEDIATE, &handy_err), LIDO_OK, "%s",
                 handy_err.text);
}

static void commit(void)
{
    cr_assert_eq(lido_txn_commit(&conn, NULL, &handy_err), LIDO_OK, "%s", handy_err.text);
}

static int nothing(void *ctx, const struct lido_conn *on, struct lido_error *error)
{
    (void)ctx, (void)on, (void)error;
    return LIDO_OK;
}

static void insert(struct worker *self)
{
    self->rc = lido_conn_exec(&self->conn, "INSERT INTO t VALUES (1)", &self->err);
}

Test(gated_stmt, a_write_by_itself_waits_in_line)
{
    begin();
    worker_ask(&worker, insert);
    await_one_in_line();
    commit();
    worker_await(&worker);
    cr_expect_eq(worker.rc, LIDO_OK, "%s", worker.err.text);
    cr_expect_not(is_held());
    cr_expect_eq(stats_of(pool).entered, 3, "CREATE TABLE too");
    cr_expect_eq(stats_of(pool).ungated, 0);
}

Test(gated_stmt, past_the_timeout_it_says_who_is_in_and_what_it_runs)
{
    begin();
    exec(&conn, "DELETE FROM t");
    worker_ask(&worker, insert);
    await_one_in_line();
    fake_clock_advance_ms(1000);
    worker_await(&worker);
    cr_expect_eq(worker.rc, SQLITE_BUSY);
    cr_expect_not_null(strstr(worker.err.text, "which runs DELETE FROM t"), "%s",
                       worker.err.text);
    commit();
}

static int look_on(void *ctx, const struct lido_event *event, struct lido_error *err)
{
    (void)ctx, (void)event, (void)err;
    return LIDO_OK;
}

static void run_low(struct worker *self)
{
    struct lido_run_options options = LIDO_RUN_OPTIONS_INIT;

    options.priority = LIDO_GATE_LOW;
    options.timeout_ms = 5000;
    self->rc =
        lido_pool_run(self->pool, LIDO_IMMEDIATE, nothing, NULL, &options, &self->err);
}

Test(gated_stmt, and_who_else_waits)
{
    struct worker other;

    begin();
    worker_start(&other, pool);
    worker_ask(&other, run_low);
    await_one_in_line();
    worker_ask(&worker, insert);
    while (stats_of(pool).waiting < 2)
        sched_yield();
    fake_clock_advance_ms(1000);
    worker_await(&worker);
    cr_expect_not_null(strstr(worker.err.text, "; in line: 1 low, the first for 1000 ms"),
                       "%s", worker.err.text);
    commit();
    worker_await(&other);
    cr_expect_eq(other.rc, LIDO_OK, "%s", other.err.text);
    worker_end(&other);
}

Test(gated_stmt, what_only_reads_does_not_enter)
{
    static const struct lido_events hooks = { .size = sizeof hooks,
                                              .before_execute = look_on };

    for (int i = 0; i < 2; i++) {
        exec(&conn, "SELECT * FROM t");
        exec(&conn, "EXPLAIN INSERT INTO t VALUES (1)");
        exec(&conn, "BEGIN; SELECT * FROM t; COMMIT");
        cr_expect_eq(stats_of(pool).entered, 1, "CREATE TABLE");
        cr_assert_eq(
            lido_hooks_add(lido_pool_hooks(pool), NULL, &hooks, NULL, NULL, &handy_err),
            LIDO_OK);
    }
}

Test(gated_stmt, the_first_write_of_a_deferred_transaction_enters_for_all_of_it)
{
    cr_assert_eq(lido_txn_begin(&conn, LIDO_DEFERRED, &handy_err), LIDO_OK);
    exec(&conn, "SELECT * FROM t");
    cr_expect_not(is_held());
    exec(&conn, "INSERT INTO t VALUES (1)");
    cr_expect(is_held());
    cr_expect_str_eq(stats_of(pool).sql, "INSERT INTO t VALUES (1)");
    exec(&conn, "INSERT INTO t VALUES (2)");
    cr_expect(is_held());
    cr_expect_eq(stats_of(pool).entered, 2);
    commit();
    cr_expect_not(is_held());
    cr_expect_str_eq(stats_of(pool).sql, "");
}

static void read_and_write(struct worker *self)
{
    self->rc = lido_txn_begin(&self->conn, LIDO_DEFERRED, &self->err);
    if (self->rc == LIDO_OK)
        self->rc = lido_conn_exec(&self->conn, "SELECT * FROM t", &self->err);
    if (self->rc == LIDO_OK)
        self->rc = lido_conn_exec(&self->conn, "INSERT INTO t VALUES (1)", &self->err);
}

static void roll_back(struct worker *self)
{
    self->rc = lido_txn_rollback(&self->conn, &self->err);
}

Test(gated_stmt, and_if_it_has_read_it_does_not_wait)
{
    begin();
    worker_tell(&worker, read_and_write);
    cr_expect_eq(worker.rc & 0xff, SQLITE_BUSY);
    cr_expect_eq(stats_of(pool).ungated, 1);
    cr_expect_eq(stats_of(pool).waited, 0);
    worker_tell(&worker, roll_back); /* the COMMIT waits for who reads */
    commit();
}

static void step(const struct lido_stmt *stmt, int expected)
{
    cr_assert_eq(lido_stmt_step(stmt, &handy_err), expected, "%s", handy_err.text);
}

Test(gated_stmt, it_is_in_until_its_last_row)
{
    struct lido_stmt one, two;

    cr_assert_eq(lido_stmt_prepare(&conn, &one, "INSERT INTO t VALUES (1), (2) RETURNING x",
                                   &handy_err),
                 LIDO_OK);
    cr_assert_eq(
        lido_stmt_prepare(&conn, &two, "DELETE FROM t WHERE x = 2 RETURNING x", &handy_err),
        LIDO_OK);
    step(&one, SQLITE_ROW);
    cr_expect(is_held());
    step(&two, SQLITE_ROW);
    step(&two, SQLITE_DONE);
    cr_expect(is_held(), "the other is in the middle of its rows");
    cr_assert_eq(lido_stmt_reset(&one, &handy_err), LIDO_OK);
    cr_expect_not(is_held());
    lido_stmt_finalize(&one, NULL);
    lido_stmt_finalize(&two, NULL);
}

Test(gated_stmt, an_error_leaves)
{
    exec(&conn, "CREATE UNIQUE INDEX i ON t(x)");
    exec(&conn, "INSERT INTO t VALUES (1)");
    cr_expect_eq(lido_conn_exec(&conn, "INSERT INTO t VALUES (1)", &handy_err) & 0xff,
                 SQLITE_CONSTRAINT);
    cr_expect_not(is_held());
}

Test(gated_stmt, text_that_begins_is_in_until_text_that_ends)
{
    exec(&conn, "BEGIN IMMEDIATE");
    cr_expect(is_held());
    exec(&conn, "INSERT INTO t VALUES (1)");
    cr_expect(is_held());
    exec(&conn, "COMMIT");
    cr_expect_not(is_held());
}

Test(gated_stmt, the_wait_for_the_gate_and_for_a_foreign_lock_is_one)
{
    sqlite3 *foreign;

    begin();
    worker_ask(&worker, insert);
    await_one_in_line();
    cr_assert_eq(sqlite3_exec(lido_conn_sqlite(&conn), "COMMIT", NULL, NULL, NULL), 0);
    cr_assert_eq(sqlite3_open(path, &foreign), SQLITE_OK);
    cr_assert_eq(sqlite3_exec(foreign, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    fake_clock_advance_ms(600);
    cr_assert_eq(lido_txn_rollback(&conn, &handy_err), LIDO_OK); /* now it is in */
    fake_clock_advance_ms(400);
    worker_await(&worker);
    cr_expect_eq(worker.rc, SQLITE_BUSY);
    cr_expect_not(is_held());
    sqlite3_close(foreign);
}

static int begin_by_hand(void *ctx, const struct lido_event *event, struct lido_error *err)
{
    int rc =
        sqlite3_exec(lido_conn_sqlite(event->conn), "BEGIN IMMEDIATE", NULL, NULL, NULL);

    (void)ctx;
    return rc == SQLITE_OK ? LIDO_OK : lido_fail(err, rc, "the hook's own BEGIN");
}

static void begin_default(struct worker *self)
{
    self->rc = lido_txn_begin(&self->conn, LIDO_DEFERRED, &self->err);
}

static void let_hooks_begin(void)
{
    static const struct lido_events hooks = { .size = sizeof hooks,
                                              .begin = begin_by_hand };

    cr_assert_eq(
        lido_hooks_add(lido_pool_hooks(pool), NULL, &hooks, NULL, NULL, &handy_err),
        LIDO_OK);
}

Test(gated_stmt, a_begin_hooks_own_begin_goes_to_the_line)
{
    begin();
    let_hooks_begin();
    worker_ask(&worker, begin_default);
    await_one_in_line();
    commit();
    worker_await(&worker);
    cr_expect_eq(worker.rc, LIDO_OK, "%s", worker.err.text);
    cr_expect(is_held(), "it came out as the holder");
    worker_tell(&worker, worker_commit);
    worker_ask(&worker, begin_default);
    worker_await(&worker);
    cr_expect_eq(stats_of(pool).entered, 4, "hooks that lock are expected to do so again");
    cr_expect_eq(stats_of(pool).waited, 1);
    cr_expect_eq(stats_of(pool).ungated, 0);
}

Test(gated_stmt, and_at_once_where_its_own_thread_is_in)
{
    struct lido_conn other = handy_take(pool);

    begin();
    let_hooks_begin();
    cr_expect_eq(lido_txn_begin(&other, LIDO_DEFERRED, &handy_err), SQLITE_BUSY);
    cr_expect_eq(stats_of(pool).deadlocks, 1);
    commit();
    handy_give(&other);
}

Test(gated_stmt, and_ends_there_with_the_timeout)
{
    begin();
    let_hooks_begin();
    worker_ask(&worker, begin_default);
    await_one_in_line();
    fake_clock_advance_ms(1000);
    worker_await(&worker);
    cr_expect_eq(worker.rc, SQLITE_BUSY);
    commit();
    cr_expect_not(is_held());
}

static void insert_by_hand(struct worker *self)
{
    self->rc = sqlite3_exec(lido_conn_sqlite(&self->conn), "INSERT INTO t VALUES (1)", NULL,
                            NULL, NULL);
}

static void *move_the_clock(void *is_done)
{
    while (!atomic_load((atomic_bool *)is_done))
        fake_clock_advance_ms(1);
    return NULL;
}

Test(gated_stmt, raw_sql_waits_for_the_lock_and_is_not_in)
{
    atomic_bool is_done = false;
    pthread_t mover;
    const int before = fake_clock_reads();

    begin();
    worker_ask(&worker, insert_by_hand);
    while (fake_clock_reads() < before + 2)
        sched_yield();
    commit();
    pthread_create(&mover, NULL, move_the_clock, &is_done);
    worker_await(&worker);
    atomic_store(&is_done, true);
    pthread_join(mover, NULL);
    cr_expect_eq(worker.rc, SQLITE_OK);
    cr_expect_eq(stats_of(pool).entered, 2);
}

/* --- deferred runs ----------------------------------------------------------------------- */

static int read_then_write(void *ctx, const struct lido_conn *conn,
                           struct lido_error *error)
{
    int *runs = ctx;
    int rc = lido_conn_exec(conn, "SELECT * FROM t", error);

    ++*runs;
    return rc == LIDO_OK ? lido_conn_exec(conn, "INSERT INTO t VALUES (1)", error) : rc;
}

static int deferred_runs;

static void run_deferred(struct worker *self)
{
    struct lido_run_options options = LIDO_RUN_OPTIONS_INIT;

    options.timeout_ms = -1;
    self->rc = lido_pool_run(self->pool, LIDO_DEFERRED, read_then_write, &deferred_runs,
                             &options, &self->err);
}

Test(gated_stmt, a_deferred_run_that_meets_another_comes_again_by_the_gate)
{
    struct worker other;

    begin();
    worker_start(&other, pool);
    worker_ask(&other, run_deferred);
    await_one_in_line();
    cr_expect_eq(stats_of(pool).upgrades, 1);
    cr_expect_eq(stats_of(pool).ungated, 0, "it does not get in the way");
    commit();
    worker_await(&other);
    cr_expect_eq(other.rc, LIDO_OK, "%s", other.err.text);
    cr_expect_eq(deferred_runs, 2);
    cr_expect_eq(handy_stats(pool).writer, 1, "it waited without a connection");
    worker_end(&other);
}

static int end_lease_busy(void *ctx, const struct lido_conn *on, struct lido_error *error)
{
    struct lido_conn copy = *on;

    (void)ctx;
    return lido_conn_checkin(&copy, NULL, error);
}

Test(gated_stmt, a_lease_after_a_run_is_none_that_comes_again)
{
    lido_pool *own = open_file(path);
    struct lido_conn after;

    cr_expect_eq(lido_pool_run(own, LIDO_DEFERRED, end_lease_busy, NULL, NULL, &handy_err),
                 LIDO_STALE);
    after = handy_take(own);
    cr_assert_eq(lido_txn_begin(&after, LIDO_DEFERRED, &handy_err), LIDO_OK);
    exec(&after, "SELECT * FROM t");
    begin();
    cr_expect_eq(lido_conn_exec(&after, "INSERT INTO t VALUES (1)", &handy_err) & 0xff,
                 SQLITE_BUSY);
    cr_expect_eq(stats_of(pool).ungated, 1);
    handy_give(&after);
    commit();
    lido_pool_free(own);
}

static int no_more(void *ctx, const struct lido_conn *on, struct lido_error *error)
{
    (void)ctx;
    return lido_conn_exec(on, "SELECT * FROM t", error);
}

static void run_on_lease(struct worker *self)
{
    self->rc = lido_conn_run(&self->conn, LIDO_DEFERRED, no_more, NULL, NULL, &self->err);
}

Test(gated_stmt, nor_is_the_lease_that_had_the_run)
{
    worker_tell(&worker, run_on_lease);
    cr_assert_eq(worker.rc, LIDO_OK, "%s", worker.err.text);
    begin();
    worker_tell(&worker, read_and_write);
    cr_expect_eq(worker.rc & 0xff, SQLITE_BUSY);
    cr_expect_eq(stats_of(pool).ungated, 1);
    worker_tell(&worker, roll_back);
    commit();
}

Test(gated_stmt, a_transaction_that_leases_share_goes_past_the_gate)
{
    struct lido_pool_options options = handy_options("static");
    struct lido_conn on_static;
    char whole[180];
    lido_pool *own;

    options.shared_transaction = 1;
    snprintf(whole, sizeof whole, "sqlite:///%s", path);
    own = handy_open_url(whole, &options);
    on_static = handy_take(own);
    exec(&on_static, "INSERT INTO t VALUES (1)");
    cr_expect_eq(stats_of(pool).entered, 1, "CREATE TABLE");
    handy_give(&on_static);
    lido_pool_free(own);
}

/* --- attached files ---------------------------------------------------------------------- */

static void attach(const struct lido_conn *to, const char *name)
{
    char sql[180];

    snprintf(sql, sizeof sql, "ATTACH '%s' AS other", name);
    exec(to, sql);
}

static void attach_second(struct worker *self)
{
    attach(&self->conn, second_path);
}

Test(gated_stmt, who_has_attached_a_file_is_in_its_gate_too)
{
    lido_pool *second = open_file(second_path);
    struct lido_conn on_second = handy_take(second);

    exec(&on_second, "CREATE TABLE u(x)");
    attach(&conn, second_path);
    begin();
    cr_expect(is_held());
    cr_expect(stats_of(second).is_held);
    cr_expect_eq(lido_txn_begin(&on_second, LIDO_IMMEDIATE, &handy_err), LIDO_DEADLOCK);
    commit();
    cr_expect_not(is_held());
    cr_expect_not(stats_of(second).is_held);
    handy_give(&on_second);
    lido_pool_free(second);
}

Test(gated_stmt, it_waits_for_each_in_turn_and_leaves_all_if_it_is_in_vain)
{
    lido_pool *second = open_file(second_path);
    struct lido_conn on_second = handy_take(second);

    exec(&on_second, "CREATE TABLE u(x)");
    worker_tell(&worker, attach_second);
    cr_assert_eq(lido_conn_set_label(&on_second, "second", &handy_err), LIDO_OK);
    cr_assert_eq(lido_txn_begin(&on_second, LIDO_IMMEDIATE, &handy_err), LIDO_OK);
    for (int i = 0; i < 2; i++) {
        worker_ask(&worker, insert);
        while (stats_of(second).waiting == 0)
            sched_yield();
        if (i == 0)
            fake_clock_advance_ms(1000);
        else
            handy_give(&on_second);
        worker_await(&worker);
        cr_expect_eq(worker.rc, i == 0 ? SQLITE_BUSY : LIDO_OK, "%s", worker.err.text);
        cr_expect(i == 1 || strstr(worker.err.text, "second") != NULL, "%s",
                  worker.err.text);
        cr_expect_not(is_held());
        cr_expect_not(i == 1 && stats_of(second).is_held);
    }
    lido_pool_free(second);
}

Test(gated_stmt, the_same_file_attached_is_one_gate)
{
    attach(&conn, path);
    cr_expect_eq(lido_conn_exec(&conn, "SELECT * FROM t", &handy_err), LIDO_OK);
    exec(&conn, "INSERT INTO t VALUES (1)");
    cr_expect_not(is_held());
    cr_expect_eq(stats_of(pool).entered, 2);
}
