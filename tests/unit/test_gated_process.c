/* SPDX-License-Identifier: MIT */
/*
 * Transactions in line with other processes: which are, what ends their wait, and what becomes
 * of a pool that cannot be.
 */
#include "tests/support/fake_clock.h"
#include "tests/support/handy.h"
#include "tests/support/neighbour.h"
#include "tests/support/worker.h"
#include <lido/lido.h>

#include <criterion/criterion.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[40], path[60], sidecar[60], url[80];
static lido_pool *pool; /* opened by the test, after those are forked that it needs */
static struct neighbour neighbour;

static void set_up(void)
{
    strcpy(folder, "/tmp/lido-gated-process-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/a.db", folder);
    snprintf(sidecar, sizeof sidecar, "%s/a.db-gate", folder);
    snprintf(url, sizeof url, "sqlite:///%s/a.db", folder);
    neighbour_start(&neighbour, path);
}

static void clear(void)
{
    char command[60];

    lido_pool_free(pool);
    neighbour_end(&neighbour);
    snprintf(command, sizeof command, "rm -rf %s", folder);
    cr_assert_eq(system(command), 0);
}

TestSuite(gated_process, .init = set_up, .fini = clear, .timeout = 30);

static lido_pool *open_gate(int gate)
{
    struct lido_pool_options options = handy_options("queue");

    options.gate = gate;
    options.timeout_ms = 1000;
    options.open_now = 1;
    return handy_open_url(url, &options);
}

static struct lido_gate_stats stats_of(lido_pool *asked)
{
    struct lido_gate_stats stats = LIDO_GATE_STATS_INIT;

    cr_assert_eq(lido_gate_stats(asked, &stats, &handy_err), LIDO_OK);
    return stats;
}

static void begin(const struct lido_conn *conn)
{
    cr_assert_eq(lido_txn_begin(conn, LIDO_IMMEDIATE, &handy_err), LIDO_OK, "%s",
                 handy_err.text);
}

static void commit(const struct lido_conn *conn)
{
    cr_assert_eq(lido_txn_commit(conn, NULL, &handy_err), LIDO_OK);
}

static void exec(const struct lido_conn *conn, const char *sql)
{
    cr_assert_eq(lido_conn_exec(conn, sql, &handy_err), LIDO_OK, "%s", handy_err.text);
}

static void begin_immediate(struct worker *worker)
{
    worker->rc = lido_txn_begin(&worker->conn, LIDO_IMMEDIATE, &worker->err);
}

/* Returns when it waits, in the gate of this process. */
static void let_wait(struct worker *worker)
{
    worker_start(worker, pool);
    worker_tell(worker, worker_take);
    worker_ask(worker, begin_immediate);
    while (stats_of(pool).process_waits == 0)
        sched_yield();
}

static void let_go(struct worker *worker)
{
    worker_tell(worker, worker_give);
    worker_end(worker);
}

Test(gated_process, a_transaction_keeps_other_processes_out)
{
    struct lido_conn conn;

    pool = open_gate(LIDO_GATE_PROCESS);
    cr_expect_eq(stats_of(pool).is_process, 1);
    conn = handy_take(pool);
    begin(&conn);
    cr_expect_eq(neighbour_try(&neighbour), SQLITE_BUSY);
    commit(&conn);
    cr_expect_eq(neighbour_try(&neighbour), LIDO_OK);
    cr_expect_eq(neighbour_leave(&neighbour), LIDO_OK);
    begin(&conn);
    handy_give(&conn);
    cr_expect_eq(neighbour_try(&neighbour), LIDO_OK);
    cr_expect_eq(stats_of(pool).process_waits, 0);
}

Test(gated_process, pools_that_do_not_ask_are_in_it_with_one_that_does)
{
    lido_pool *asking;
    struct lido_conn conn, other;

    pool = open_gate(LIDO_GATE_ON);
    cr_expect_neq(access(sidecar, F_OK), 0);
    cr_expect_eq(stats_of(pool).is_process, 0);
    conn = handy_take(pool);
    begin(&conn);
    asking = open_gate(LIDO_GATE_PROCESS);
    commit(&conn); /* it had nothing to give back */
    other = handy_take(asking);
    begin(&other);
    commit(&other);
    cr_expect_eq(stats_of(pool).is_process, 1);
    begin(&conn);
    cr_expect_eq(neighbour_try(&neighbour), SQLITE_BUSY);
    handy_give(&other);
    lido_pool_free(asking);
    cr_expect_eq(neighbour_try(&neighbour), SQLITE_BUSY, "the gate is still used");
    handy_give(&conn);
    cr_expect_eq(neighbour_try(&neighbour), LIDO_OK);
}

Test(gated_process, past_the_timeout_it_says_which_process_is_in)
{
    struct worker worker;
    char text[40];

    pool = open_gate(LIDO_GATE_PROCESS);
    cr_assert_eq(neighbour_try(&neighbour), LIDO_OK);
    let_wait(&worker);
    fake_clock_advance_ms(1000);
    worker_await(&worker);
    cr_expect_eq(worker.rc, SQLITE_BUSY);
    snprintf(text, sizeof text, "process %d has it", (int)neighbour.pid);
    cr_expect_not_null(strstr(worker.err.text, "waited 1000 ms for the write gate"), "%s",
                       worker.err.text);
    cr_expect_not_null(strstr(worker.err.text, text), "%s", worker.err.text);
    cr_expect_eq(stats_of(pool).entered, 0, "it has never been in");
    cr_expect_eq(stats_of(pool).timeouts, 1);
    cr_expect_eq(stats_of(pool).stopped, 0);
    cr_expect_eq(stats_of(pool).process_waits, 1);
    cr_expect_eq(stats_of(pool).process_wait_ns, UINT64_C(1000000000));
    cr_expect_not(stats_of(pool).is_held);
    cr_expect_eq(neighbour_leave(&neighbour), LIDO_OK);
    worker_tell(&worker, begin_immediate);
    cr_expect_eq(worker.rc, LIDO_OK, "%s", worker.err.text);
    let_go(&worker);
}

Test(gated_process, a_cancelled_lease_waits_no_more)
{
    struct worker worker;

    pool = open_gate(LIDO_GATE_PROCESS);
    cr_assert_eq(neighbour_try(&neighbour), LIDO_OK);
    let_wait(&worker);
    cr_assert_eq(lido_conn_cancel(&worker.conn, &handy_err), LIDO_OK);
    fake_clock_advance_ms(1);
    worker_await(&worker);
    cr_expect_eq(worker.rc, LIDO_CANCELLED);
    cr_expect_eq(stats_of(pool).stopped, 1);
    cr_expect_eq(stats_of(pool).timeouts, 0);
    cr_expect_not(stats_of(pool).is_held);
    let_go(&worker);
}

static int write_a_row(void *ctx, const struct lido_conn *conn, struct lido_error *err)
{
    (void)ctx;
    return lido_conn_exec(conn, "CREATE TABLE IF NOT EXISTS t (x)", err);
}

static void run_immediate(struct worker *worker)
{
    worker->rc = lido_pool_run(pool, LIDO_IMMEDIATE, write_a_row, NULL, NULL, &worker->err);
}

Test(gated_process, a_run_waits_as_well)
{
    struct worker worker;

    pool = open_gate(LIDO_GATE_PROCESS);
    worker_start(&worker, pool);
    worker_tell(&worker, run_immediate);
    cr_expect_eq(worker.rc, LIDO_OK, "%s", worker.err.text);
    cr_assert_eq(neighbour_try(&neighbour), LIDO_OK);
    worker_ask(&worker, run_immediate);
    while (stats_of(pool).process_waits == 0)
        sched_yield();
    fake_clock_advance_ms(1000);
    worker_await(&worker);
    cr_expect_eq(worker.rc, SQLITE_BUSY);
    cr_expect_not_null(strstr(worker.err.text, "; process "), "%s", worker.err.text);
    cr_expect_not(stats_of(pool).is_held);
    worker_end(&worker);
}

Test(gated_process, one_that_reads_does_not_wait)
{
    struct lido_conn conn;
    sqlite3_stmt *stmt;

    pool = open_gate(LIDO_GATE_PROCESS);
    conn = handy_take(pool);
    exec(&conn, "CREATE TABLE t (x); INSERT INTO t VALUES (1), (2)");
    cr_assert_eq(neighbour_try(&neighbour), LIDO_OK);
    cr_assert_eq(
        sqlite3_prepare_v2(lido_conn_sqlite(&conn), "SELECT x FROM t", -1, &stmt, NULL),
        SQLITE_OK);
    cr_assert_eq(sqlite3_step(stmt), SQLITE_ROW);
    begin(&conn);
    cr_expect_eq(stats_of(pool).ungated, 1);
    cr_expect_not(stats_of(pool).is_held);
    sqlite3_finalize(stmt);
    commit(&conn);
    cr_expect_not(stats_of(pool).is_held);
    handy_give(&conn);
}

Test(gated_process, where_there_can_be_none_no_connection_is_opened)
{
    struct lido_pool_options options = handy_options("queue");

    options.open_now = 1;
    options.gate = LIDO_GATE_PROCESS;
    cr_assert_eq(symlink("elsewhere", sidecar), 0);
    cr_expect_eq(lido_pool_open(&pool, url, &options, &handy_err), SQLITE_CANTOPEN);
    cr_expect_not_null(strstr(handy_err.text, sidecar), "%s", handy_err.text);
    unlink(sidecar);
    cr_expect_eq(lido_pool_open(&pool, url, &options, &handy_err), LIDO_OK);
}

Test(gated_process, files_that_are_attached_are_in_line_too)
{
    char other[60], its_sidecar[60], sql[100];
    struct lido_conn conn;

    pool = open_gate(LIDO_GATE_PROCESS);
    conn = handy_take(pool);
    snprintf(other, sizeof other, "%s/b.db", folder);
    snprintf(its_sidecar, sizeof its_sidecar, "%s/b.db-gate", folder);
    snprintf(sql, sizeof sql, "ATTACH '%s' AS b", other);
    exec(&conn, sql);
    cr_assert_eq(symlink("elsewhere", its_sidecar), 0);
    cr_expect_eq(lido_txn_begin(&conn, LIDO_IMMEDIATE, &handy_err), SQLITE_CANTOPEN);
    cr_expect_not_null(strstr(handy_err.text, its_sidecar), "%s", handy_err.text);
    cr_expect_not(stats_of(pool).is_held);
    unlink(its_sidecar);
    begin(&conn);
    cr_expect_eq(access(its_sidecar, F_OK), 0);
    cr_expect_eq(neighbour_try(&neighbour), SQLITE_BUSY);
    commit(&conn);
    cr_expect_eq(neighbour_try(&neighbour), LIDO_OK);
    handy_give(&conn);
}

Test(gated_process, what_has_no_gate_needs_no_file)
{
    char what[120];

    pool = open_gate(LIDO_GATE_OFF);
    lido_pool_free(pool);
    snprintf(what, sizeof what, "sqlite:///file:%s?uri=1&mode=ro&gate=process&open_now=1",
             path);
    pool = handy_open_url(what, NULL);
    lido_pool_free(pool);
    pool = handy_open_url("sqlite:///:memory:?gate=process&open_now=1", NULL);
    cr_expect_eq(stats_of(pool).has_gate, 0);
    cr_expect_neq(access(sidecar, F_OK), 0);
}

Test(gated_process, a_forked_child_is_told_and_drops_nothing)
{
    struct lido_conn conn;
    int status;
    pid_t child;

    pool = open_gate(LIDO_GATE_PROCESS);
    conn = handy_take(pool);
    begin(&conn);
    child = fork();
    if (child == 0) {
        int rc = lido_txn_commit(&conn, NULL, NULL);

        lido_pool_free(pool);
        _exit(rc == LIDO_FORKED ? 0 : 1);
    }
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_expect_eq(status, 0);
    cr_expect_eq(neighbour_try(&neighbour), SQLITE_BUSY);
    handy_give(&conn);
}

/* Writes, has a child, and goes no further. */
static void write_for_ever(int told, int life)
{
    struct lido_conn conn;
    char byte = 0;

    pool = open_gate(LIDO_GATE_PROCESS);
    conn = handy_take(pool);
    exec(&conn, "CREATE TABLE t (x)");
    begin(&conn);
    exec(&conn, "INSERT INTO t VALUES (1)");
    if (fork() == 0)
        _exit(read(life, &byte, 1) == 0 ? 0 : 1);
    if (write(told, &byte, 1) == 1)
        pause();
    _exit(1);
}

Test(gated_process, who_is_killed_in_a_transaction_keeps_nobody_out)
{
    struct lido_conn conn;
    int told[2], life[2], status;
    pid_t writer;
    char byte;

    cr_assert_eq(pipe(told), 0);
    cr_assert_eq(pipe(life), 0);
    writer = fork();
    if (writer == 0) {
        close(life[1]);
        write_for_ever(told[1], life[0]);
    }
    cr_assert_eq(read(told[0], &byte, 1), 1);
    cr_expect_eq(neighbour_try(&neighbour), SQLITE_BUSY);
    cr_assert_eq(kill(writer, SIGKILL), 0);
    cr_assert_eq(waitpid(writer, &status, 0), writer);
    pool = open_gate(LIDO_GATE_PROCESS);
    conn = handy_take(pool);
    begin(&conn);
    exec(&conn, "INSERT INTO t VALUES (2)");
    commit(&conn);
    cr_expect_eq(sqlite3_changes(lido_conn_sqlite(&conn)), 1);
    cr_expect_eq(sqlite3_last_insert_rowid(lido_conn_sqlite(&conn)), 1, "theirs is gone");
    handy_give(&conn);
    for (int i = 0; i < 2; i++) {
        close(told[i]);
        close(life[i]);
    }
}
