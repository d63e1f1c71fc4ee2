/* SPDX-License-Identifier: MIT */
/*
 * At the write gate: what one statement or transaction must not leave to the next, and what
 * hooks and runs do there that is seldom done.
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

static char path[HANDY_FILE_SIZE];
static lido_pool *pool;
static struct lido_conn conn;
static struct worker worker;

static lido_pool *open_with(const char *query)
{
    struct lido_pool_options options = handy_options(NULL);
    char whole[200];

    options.timeout_ms = 1000;
    snprintf(whole, sizeof whole, "sqlite:///%s?%s", path, query);
    return handy_open_url(whole, &options);
}

static void exec(const struct lido_conn *on, const char *sql)
{
    cr_assert_eq(lido_conn_exec(on, sql, &handy_err), LIDO_OK, "%s", handy_err.text);
}

static void set_up(void)
{
    handy_file(path, "gated-corners");
    pool = open_with("pool=queue");
    conn = handy_take(pool);
    exec(&conn, "CREATE TABLE t(x)");
    worker_start(&worker, pool);
}

static void clear(void)
{
    worker_end(&worker);
    lido_conn_checkin(&conn, NULL, NULL);
    lido_pool_free(pool);
    unlink(path);
}

TestSuite(gated_corners, .init = set_up, .fini = clear, .timeout = 30);

static struct lido_gate_stats stats(void)
{
    struct lido_gate_stats found = LIDO_GATE_STATS_INIT;

    cr_assert_eq(lido_gate_stats(pool, &found, &handy_err), LIDO_OK);
    return found;
}

static void await_one_in_line(void)
{
    while (stats().waiting == 0)
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

static int64_t took_ms;

static void insert(struct worker *self)
{
    const int64_t since_ns = fake_clock_now_ns();

    self->rc = lido_conn_exec(&self->conn, "INSERT INTO t VALUES (1)", &self->err);
    took_ms = (fake_clock_now_ns() - since_ns) / 1000000;
}

/* --- a program without lido, and time ----------------------------------------------------- */

static sqlite3 *lock_by_another(void)
{
    sqlite3 *foreign;

    cr_assert_eq(sqlite3_open(path, &foreign), SQLITE_OK);
    cr_assert_eq(sqlite3_exec(foreign, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    return foreign;
}

static void *move_the_clock(void *is_done)
{
    while (!atomic_load((atomic_bool *)is_done)) {
        fake_clock_advance_ms(1);
        sched_yield();
    }
    return NULL;
}

static void await_as_time_goes_by(void)
{
    atomic_bool is_done = false;
    pthread_t clock;

    cr_assert_eq(pthread_create(&clock, NULL, move_the_clock, &is_done), 0);
    worker_await(&worker);
    atomic_store(&is_done, true);
    pthread_join(clock, NULL);
}

Test(gated_corners, the_next_statement_has_a_deadline_of_its_own)
{
    sqlite3 *foreign;

    worker_tell(&worker, worker_take);
    begin();
    worker_ask(&worker, insert);
    await_one_in_line();
    commit();
    worker_await(&worker);
    cr_assert_eq(worker.rc, LIDO_OK, "%s", worker.err.text);

    fake_clock_advance_ms(2000);
    foreign = lock_by_another();
    worker_ask(&worker, insert);
    await_as_time_goes_by();
    cr_expect_eq(worker.rc, SQLITE_BUSY);
    cr_expect_geq(took_ms, 1000, "it waits for as long as any other");
    sqlite3_close(foreign);
    worker_tell(&worker, worker_give);
}

static lido_cancel *token;

static void take_with_token(struct worker *self)
{
    struct lido_checkout_options options = LIDO_CHECKOUT_OPTIONS_INIT;

    options.cancel = token;
    self->rc = lido_pool_checkout(self->pool, &self->conn, &options, &self->err);
}

static void begin_immediate(struct worker *self)
{
    self->rc = lido_txn_begin(&self->conn, LIDO_IMMEDIATE, &self->err);
}

Test(gated_corners, what_was_cancelled_before_does_not_say_why_a_wait_ends)
{
    sqlite3 *foreign = lock_by_another();

    cr_assert_eq(lido_cancel_new(&token, &handy_err), LIDO_OK);
    worker_tell(&worker, take_with_token);
    worker_ask(&worker, insert);
    while (!stats().is_held) /* on its way to the lock */
        sched_yield();
    lido_cancel_fire(token, NULL);
    await_as_time_goes_by();
    cr_assert_eq(worker.rc, LIDO_CANCELLED, "%s", worker.err.text);
    lido_cancel_reset(token);
    sqlite3_close(foreign);

    begin();
    worker_ask(&worker, begin_immediate);
    await_one_in_line();
    fake_clock_advance_ms(1000);
    worker_await(&worker);
    cr_expect_eq(worker.rc, SQLITE_BUSY, "%s", worker.err.text);
    commit();
    worker_tell(&worker, worker_give);
    lido_cancel_free(token);
}

/* --- hooks and runs ----------------------------------------------------------------------- */

static int nothing(void *ctx, const struct lido_conn *its, struct lido_error *err)
{
    (void)ctx, (void)its, (void)err;
    return LIDO_OK;
}

static int run(lido_run_fn fn)
{
    return lido_pool_run(pool, LIDO_IMMEDIATE, fn, NULL, NULL, &handy_err);
}

static int write_at_checkout(void *ctx, const struct lido_event *event,
                             struct lido_error *err)
{
    (void)ctx;
    return lido_conn_exec(event->conn, "INSERT INTO t VALUES (2)", err);
}

Test(gated_corners, a_checkout_hook_of_a_run_may_write)
{
    static const struct lido_events hooks = { .size = sizeof hooks,
                                              .checkout = write_at_checkout };

    cr_assert_eq(
        lido_hooks_add(lido_pool_hooks(pool), NULL, &hooks, NULL, NULL, &handy_err),
        LIDO_OK);
    cr_expect_eq(run(nothing), LIDO_OK, "%s", handy_err.text);
    cr_expect_eq(stats().deadlocks, 0);
    cr_expect_not(stats().is_held);
}

Test(gated_corners, a_handle_that_is_lent_to_the_pool_does_not_change_its_file)
{
    struct lido_conn adopted;
    char other[120];
    sqlite3 *db;

    snprintf(other, sizeof other, "%s-other", path);
    cr_assert_eq(sqlite3_open(other, &db), SQLITE_OK);
    cr_assert_eq(sqlite3_exec(db, "CREATE TABLE t(x)", NULL, NULL, NULL), SQLITE_OK);
    cr_assert_eq(lido_conn_adopt(&adopted, pool, db, &handy_err), LIDO_OK);
    begin();
    cr_expect(stats().is_held, "these are the statistics of the pool's own file");
    commit();
    cr_expect_eq(lido_conn_checkin(&adopted, NULL, &handy_err), LIDO_OK);
    sqlite3_close(db);
    unlink(other);
}

Test(gated_corners, who_has_ended_its_lease_is_not_mistaken_for_the_next)
{
    struct lido_conn first, next;

    handy_give(&conn);
    lido_pool_free(pool);
    pool = open_with("pool=queue&use_threadlocal=1");
    conn = handy_take(pool);
    first = handy_take(pool);
    cr_assert_eq(lido_txn_begin(&first, LIDO_IMMEDIATE, &handy_err), LIDO_OK);
    cr_expect_neq(stats().holder.thread, 0);
    handy_give(&first);
    next = handy_take(pool);
    cr_expect(stats().is_held, "the others have the transaction");
    cr_expect_eq(stats().holder.thread, 0, "whose lease has ended");
    handy_give(&next);
    commit();
    cr_expect_not(stats().is_held);
}

static void run_once(struct worker *self)
{
    struct lido_run_options once = LIDO_RUN_OPTIONS_INIT;

    once.runs = 1;
    once.timeout_ms = 5000;
    self->rc = lido_pool_run(self->pool, LIDO_IMMEDIATE, nothing, NULL, &once, &self->err);
}

Test(gated_corners, a_run_that_is_not_repeated_waits_once_for_both)
{
    sqlite3 *foreign;

    begin();
    worker_ask(&worker, run_once);
    await_one_in_line();
    cr_assert_eq(sqlite3_exec(lido_conn_sqlite(&conn), "COMMIT", NULL, NULL, NULL), 0);
    foreign = lock_by_another();
    fake_clock_advance_ms(600);
    cr_assert_eq(lido_txn_rollback(&conn, &handy_err), LIDO_OK); /* now it is in */
    fake_clock_advance_ms(400);
    worker_await(&worker); /* the clock stands still: a longer wait would not end */
    cr_expect_eq(worker.rc, SQLITE_BUSY);
    cr_expect_not(stats().is_held);
    sqlite3_close(foreign);
}

Test(gated_corners, a_transaction_that_refuses_writes_is_not_in_line_for_one)
{
    struct lido_conn reader = handy_take(pool);

    begin();
    cr_assert_eq(lido_txn_begin(&reader, LIDO_READ, &handy_err), LIDO_OK);
    /* The clock stands still: a wait would not end. */
    cr_expect_eq(lido_conn_exec(&reader, "INSERT INTO t VALUES (3)", &handy_err),
                 SQLITE_READONLY, "%s", handy_err.text);
    cr_assert_eq(lido_txn_rollback(&conn, &handy_err), LIDO_OK);
    cr_expect_not(stats().is_held);
    cr_expect_eq(lido_conn_exec(&reader, "INSERT INTO t VALUES (3)", &handy_err),
                 SQLITE_READONLY, "%s", handy_err.text);
    cr_expect_not(stats().is_held, "it keeps nobody out");
    handy_give(&reader);
}

/* As the recipe for SQLite of other libraries: the hook says how it begins. */
static int begin_as_asked(void *ctx, const struct lido_event *event, struct lido_error *err)
{
    const char *sql = *event->begin_mode == LIDO_IMMEDIATE ? "BEGIN IMMEDIATE" : "BEGIN";
    int rc = sqlite3_exec(lido_conn_sqlite(event->conn), sql, NULL, NULL, NULL);

    (void)ctx;
    return rc == SQLITE_OK ? LIDO_OK : lido_fail(err, rc, "the hook's own BEGIN");
}

Test(gated_corners, who_only_reads_is_not_in_line_for_the_sake_of_a_hook)
{
    static const struct lido_events hooks = { .size = sizeof hooks,
                                              .begin = begin_as_asked };
    struct lido_conn reader = handy_take(pool);

    cr_assert_eq(
        lido_hooks_add(lido_pool_hooks(pool), NULL, &hooks, NULL, NULL, &handy_err),
        LIDO_OK);
    begin();
    /* The clock stands still: a wait would not end. */
    cr_expect_eq(lido_txn_begin(&reader, LIDO_DEFERRED, &handy_err), LIDO_OK, "%s",
                 handy_err.text);
    cr_expect_eq(lido_txn_rollback(&reader, &handy_err), LIDO_OK);
    commit();
    handy_give(&reader);
}

static void run_shortly(struct worker *self)
{
    struct lido_run_options options = LIDO_RUN_OPTIONS_INIT;

    options.timeout_ms = 300;
    self->rc =
        lido_conn_run(&self->conn, LIDO_IMMEDIATE, nothing, NULL, &options, &self->err);
}

Test(gated_corners, the_text_says_for_how_long_it_waited)
{
    worker_tell(&worker, worker_take);
    begin();
    worker_ask(&worker, run_shortly);
    await_one_in_line();
    fake_clock_advance_ms(300);
    worker_await(&worker);
    cr_expect_eq(worker.rc, SQLITE_BUSY);
    cr_expect_not_null(strstr(worker.err.text, "waited 300 ms for the write gate"), "%s",
                       worker.err.text);
    commit();
    worker_tell(&worker, worker_give);
}

Test(gated_corners, temporary_tables_are_no_matter_of_the_files)
{
    struct lido_conn other = handy_take(pool);

    begin();
    /* The clock stands still, and this thread is in: a wait would not end. */
    exec(&other, "CREATE TEMP TABLE y(x)");
    exec(&other, "INSERT INTO y VALUES (1)");
    exec(&other, "UPDATE y SET x = (SELECT count(*) FROM t)");
    exec(&other, "CREATE TEMP TABLE z AS SELECT * FROM t");
    exec(&other, "DROP TABLE z");
    commit();
    cr_expect_eq(stats().deadlocks, 0);

    cr_assert_eq(lido_txn_begin(&other, LIDO_DEFERRED, &handy_err), LIDO_OK);
    exec(&other, "DELETE FROM y");
    cr_expect_not(stats().is_held);
    exec(&other, "INSERT INTO t VALUES (1)");
    cr_expect(stats().is_held, "now it is");
    cr_assert_eq(lido_txn_commit(&other, NULL, &handy_err), LIDO_OK);

    exec(&other, "CREATE TEMP TRIGGER r AFTER INSERT ON y BEGIN"
                 " INSERT INTO t VALUES (new.x); END");
    cr_assert_eq(lido_txn_begin(&other, LIDO_DEFERRED, &handy_err), LIDO_OK);
    exec(&other, "INSERT INTO y VALUES (2)");
    cr_expect(stats().is_held, "it writes both");
    cr_assert_eq(lido_txn_commit(&other, NULL, &handy_err), LIDO_OK);
    handy_give(&other);
}

static void begin_deferred(struct worker *self)
{
    self->rc = lido_txn_begin(&self->conn, LIDO_DEFERRED, &self->err);
}

Test(gated_corners, a_deferred_transaction_that_has_nothing_yet_waits_with_its_first_write)
{
    worker_tell(&worker, worker_take);
    worker_tell(&worker, begin_deferred);
    begin();
    worker_ask(&worker, insert);
    await_one_in_line();
    commit();
    worker_await(&worker);
    cr_expect_eq(worker.rc, LIDO_OK, "%s", worker.err.text);
    cr_expect_eq(stats().ungated, 0);
    cr_expect(stats().is_held);
    worker_tell(&worker, worker_commit);
    worker_tell(&worker, worker_give);
}

Test(gated_corners, a_commit_that_is_refused_leaves_if_none_is_open)
{
    begin();
    cr_assert_eq(sqlite3_exec(lido_conn_sqlite(&conn), "COMMIT", NULL, NULL, NULL), 0);
    cr_assert_eq(lido_conn_cancel(&conn, &handy_err), LIDO_OK);
    cr_expect_eq(lido_txn_commit(&conn, NULL, &handy_err), LIDO_CANCELLED);
    cr_expect_not(stats().is_held);
}
