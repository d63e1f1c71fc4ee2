/* SPDX-License-Identifier: MIT */
/*
 * The wait for the gate and the one for the lock that follows it have one deadline; a wait for
 * the lock that comes later has its own.
 */
#include "tests/support/fake_clock.h"
#include "tests/support/handy.h"
#include "tests/support/worker.h"
#include <lido/lido.h>

#include <criterion/criterion.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

static char path[HANDY_FILE_SIZE];
static lido_pool *pool;
static struct lido_conn conn;
static struct worker worker;
static sqlite3 *foreign;

static void set_up(void)
{
    struct lido_pool_options options = handy_options("queue");
    char url[120];

    options.timeout_ms = 1000;
    handy_file(path, "gated-lock");
    snprintf(url, sizeof url, "sqlite:///%s", path);
    pool = handy_open_url(url, &options);
    conn = handy_take(pool);
    cr_assert_eq(lido_conn_exec(&conn, "CREATE TABLE t(x)", &handy_err), LIDO_OK);
    cr_assert_eq(sqlite3_open(path, &foreign), SQLITE_OK);
    worker_start(&worker, pool);
    worker_tell(&worker, worker_take);
}

static void clear(void)
{
    sqlite3_close(foreign);
    worker_tell(&worker, worker_give);
    worker_end(&worker);
    handy_give(&conn);
    lido_pool_free(pool);
    unlink(path);
}

TestSuite(gated_lock, .init = set_up, .fini = clear, .timeout = 30);

static void insert(struct worker *self)
{
    self->rc = lido_conn_exec(&self->conn, "INSERT INTO t VALUES (1)", &self->err);
}

static void begin_by_text(struct worker *self)
{
    self->rc = lido_conn_exec(&self->conn, "BEGIN IMMEDIATE", &self->err);
}

/* It waits at the gate, and then meets no lock. */
static void wait_in_line(void (*task)(struct worker *self))
{
    struct lido_gate_stats stats = LIDO_GATE_STATS_INIT;

    cr_assert_eq(lido_txn_begin(&conn, LIDO_IMMEDIATE, &handy_err), LIDO_OK, "%s",
                 handy_err.text);
    worker_ask(&worker, task);
    while (stats.waiting == 0) {
        sched_yield();
        cr_assert_eq(lido_gate_stats(pool, &stats, &handy_err), LIDO_OK);
    }
    cr_assert_eq(lido_txn_commit(&conn, NULL, &handy_err), LIDO_OK, "%s", handy_err.text);
    worker_await(&worker);
    cr_assert_eq(worker.rc, LIDO_OK, "%s", worker.err.text);
    fake_clock_advance_ms(2000);
}

static void foreign_exec(const char *sql)
{
    cr_assert_eq(sqlite3_exec(foreign, sql, NULL, NULL, NULL), SQLITE_OK);
}

static void (*timed)(struct worker *self);
static atomic_bool has_ended;

static void do_timed(struct worker *self)
{
    timed(self);
    atomic_store(&has_ended, true);
}

/* The clock goes on when it was looked at, so it does not run away. */
static int64_t ms_of(void (*task)(struct worker *self))
{
    const int64_t began_ns = fake_clock_now_ns();
    int reads = fake_clock_reads();

    timed = task;
    atomic_store(&has_ended, false);
    worker_ask(&worker, do_timed);
    while (!atomic_load(&has_ended)) {
        while (!atomic_load(&has_ended) && fake_clock_reads() == reads)
            sched_yield();
        reads = fake_clock_reads();
        fake_clock_advance_ms(1);
    }
    worker_await(&worker);
    return (fake_clock_now_ns() - began_ns) / 1000000;
}

Test(gated_lock, a_write_after_one_that_stood_in_line_has_its_own_time)
{
    wait_in_line(insert);
    foreign_exec("BEGIN IMMEDIATE");
    for (int i = 0; i < 2; i++) {
        cr_expect_geq(ms_of(insert), 1000);
        cr_expect_eq(worker.rc, SQLITE_BUSY);
    }
}

static void begin_deferred(struct worker *self)
{
    self->rc = lido_txn_begin(&self->conn, LIDO_DEFERRED, &self->err);
}

static void commit_by_itself(void)
{
    foreign_exec("BEGIN; SELECT * FROM t");
    cr_expect_geq(ms_of(worker_commit), 1000);
    cr_expect_eq(worker.rc, SQLITE_BUSY);
    foreign_exec("COMMIT");
    worker_tell(&worker, worker_commit);
    cr_expect_eq(worker.rc, LIDO_OK, "%s", worker.err.text);
}

Test(gated_lock, and_so_has_the_commit)
{
    wait_in_line(begin_by_text);
    worker_tell(&worker, insert);
    commit_by_itself();
}

Test(gated_lock, and_so_has_that_of_a_deferred_transaction)
{
    worker_tell(&worker, begin_deferred);
    wait_in_line(insert);
    commit_by_itself();
}
