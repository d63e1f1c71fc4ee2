/* SPDX-License-Identifier: MIT */
/*
 * Runs at the write gate: they wait for it without a connection, and then have the pool's
 * writer, which is one beside the limit.
 */
#include "tests/support/fake_clock.h"
#include "tests/support/handy.h"
#include "tests/support/worker.h"
#include <lido/lido.h>

#include <criterion/criterion.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static char path[HANDY_FILE_SIZE], url[120];
static lido_pool *pool;
static struct lido_error err;

static lido_pool *open_with(const char *query, int64_t pool_size)
{
    struct lido_pool_options options = handy_options("queue");
    char whole[200];

    options.timeout_ms = 1000;
    options.pool_size = pool_size;
    options.max_overflow = 0;
    options.pool_timeout_ms = 0;
    snprintf(whole, sizeof whole, "%s?pool=queue%s", url, query);
    return handy_open_url(whole, &options);
}

/* A pool learns its file's gate from its first connection. */
static lido_pool *open_known(const char *query, int64_t pool_size)
{
    lido_pool *opened = open_with(query, pool_size);
    struct lido_conn conn = handy_take(opened);

    handy_give(&conn);
    return opened;
}

static struct lido_run_options how;

static void set_how(void)
{
    how = (struct lido_run_options)LIDO_RUN_OPTIONS_INIT;
    how.timeout_ms = 5000;
    how.label = "export";
}

static void set_up(void)
{
    handy_file(path, "gated-run");
    snprintf(url, sizeof url, "sqlite:///%s", path);
    pool = open_known("", 1);
    set_how();
}

static void clear(void)
{
    lido_pool_free(pool);
    unlink(path);
}

TestSuite(gated_run, .init = set_up, .fini = clear, .timeout = 30);

static struct lido_gate_stats gate_stats(void)
{
    struct lido_gate_stats stats = LIDO_GATE_STATS_INIT;

    cr_assert_eq(lido_gate_stats(pool, &stats, &err), LIDO_OK);
    return stats;
}

static int nothing(void *ctx, const struct lido_conn *conn, struct lido_error *error)
{
    (void)ctx, (void)conn, (void)error;
    return LIDO_OK;
}

static void run(void)
{
    cr_assert_eq(lido_pool_run(pool, LIDO_IMMEDIATE, nothing, NULL, NULL, &err), LIDO_OK,
                 "%s", err.text);
}

static int look(void *ctx, const struct lido_conn *conn, struct lido_error *error)
{
    sqlite3 **db = ctx;

    (void)error;
    *db = lido_conn_sqlite(conn);
    cr_expect_eq(handy_stats(pool).writer, 1);
    cr_expect_eq(handy_stats(pool).out, 0, "it is none of the pool_size");
    cr_expect(gate_stats().is_held);
    cr_expect_eq(lido_txn_state(conn), LIDO_TXN_WRITE);
    return LIDO_OK;
}

Test(gated_run, it_has_the_writer_and_always_the_same)
{
    sqlite3 *first = NULL, *second = NULL;
    struct lido_conn conn;

    cr_expect_eq(handy_stats(pool).writer, 0);
    cr_assert_eq(lido_pool_run(pool, LIDO_IMMEDIATE, look, &first, NULL, &err), LIDO_OK);
    cr_assert_eq(lido_pool_run(pool, LIDO_EXCLUSIVE, look, &second, NULL, &err), LIDO_OK);
    cr_expect_eq(first, second);
    cr_expect_not(gate_stats().is_held);
    cr_expect_eq(gate_stats().entered, 2);
    cr_expect_eq(handy_stats(pool).live, 1);
    cr_expect_eq(handy_stats(pool).connects, 2);
    conn = handy_take(pool);
    cr_expect_neq(lido_conn_sqlite(&conn), first, "a checkout never gets it");
    handy_give(&conn);
}

static int no_writer(void *ctx, const struct lido_conn *conn, struct lido_error *error)
{
    (void)ctx, (void)conn, (void)error;
    cr_expect_eq(handy_stats(pool).writer, 0);
    return LIDO_OK;
}

Test(gated_run, what_does_not_lock_at_once_has_an_ordinary_connection)
{
    cr_assert_eq(lido_pool_run(pool, LIDO_DEFERRED, no_writer, NULL, NULL, &err), LIDO_OK);
    cr_expect_eq(gate_stats().entered, 0);
}

Test(gated_run, before_the_pool_has_had_a_connection_it_goes_the_long_way)
{
    lido_pool_free(pool);
    pool = open_with("", 1);
    cr_assert_eq(lido_pool_run(pool, LIDO_IMMEDIATE, no_writer, NULL, NULL, &err), LIDO_OK,
                 "%s", err.text);
    run();
    cr_expect_eq(handy_stats(pool).writer, 1);
}

Test(gated_run, it_writes_while_all_connections_are_out)
{
    struct lido_conn conn = handy_take(pool);

    run();
    handy_give(&conn);
}

static void run_by_worker(struct worker *worker)
{
    worker->rc =
        lido_pool_run(worker->pool, LIDO_IMMEDIATE, nothing, NULL, &how, &worker->err);
}

/* This thread has the gate by an ordinary lease, and a run waits for it, as `how` says. */
static void let_run_wait(struct worker *worker, struct lido_conn *conn)
{
    *conn = handy_take(pool);
    cr_assert_eq(lido_conn_set_label(conn, "import", &err), LIDO_OK);
    cr_assert_eq(lido_txn_begin(conn, LIDO_IMMEDIATE, &err), LIDO_OK);
    worker_start(worker, pool);
    worker_ask(worker, run_by_worker);
    while (gate_stats().waiting == 0)
        sched_yield();
}

Test(gated_run, it_waits_without_a_connection)
{
    struct lido_gate_stats stats;
    struct lido_conn conn;
    struct worker worker;

    let_run_wait(&worker, &conn);
    stats = gate_stats();
    cr_expect_eq(handy_stats(pool).checkouts, 2, "the first and this one");
    cr_expect_str_eq(stats.holder.label, "import");
    cr_expect_str_eq(stats.waiters[0].lease.label, "export");
    cr_expect_neq(stats.waiters[0].lease.thread, 0);
    cr_expect_neq(stats.waiters[0].lease.thread, stats.holder.thread);
    handy_give(&conn);
    worker_await(&worker);
    cr_expect_eq(worker.rc, LIDO_OK, "%s", worker.err.text);
    worker_end(&worker);
}

Test(gated_run, past_its_time_it_says_who_is_in)
{
    struct lido_conn conn;
    struct worker worker;

    let_run_wait(&worker, &conn);
    fake_clock_advance_ms(5000);
    worker_await(&worker);
    cr_expect_eq(worker.rc, SQLITE_BUSY);
    cr_expect_not_null(strstr(worker.err.text, "waited 5000 ms for the write gate"), "%s",
                       worker.err.text);
    cr_expect_not_null(strstr(worker.err.text, "import for 5000 ms"), "%s",
                       worker.err.text);
    worker_end(&worker);
    handy_give(&conn);
    run();
}

Test(gated_run, one_that_is_not_to_be_repeated_waits_as_long_as_for_a_lock)
{
    struct lido_conn conn;
    struct worker worker;

    how.runs = 1;
    let_run_wait(&worker, &conn);
    fake_clock_advance_ms(1000);
    worker_await(&worker);
    cr_expect_eq(worker.rc, SQLITE_BUSY);
    worker_end(&worker);
    handy_give(&conn);
}

Test(gated_run, a_token_ends_the_wait)
{
    lido_cancel *token;
    struct lido_conn conn;
    struct worker worker;

    cr_assert_eq(lido_cancel_new(&token, &err), LIDO_OK);
    how.cancel = token;
    let_run_wait(&worker, &conn);
    lido_cancel_fire(token, NULL);
    worker_await(&worker);
    cr_expect_eq(worker.rc, LIDO_CANCELLED);
    cr_expect_not_null(strstr(worker.err.text, "write gate"), "%s", worker.err.text);
    cr_expect_eq(gate_stats().stopped, 1);
    worker_end(&worker);
    handy_give(&conn);
    lido_cancel_free(token);
}

Test(gated_run, the_closing_of_the_pool_ends_the_wait)
{
    struct lido_conn conn;
    struct worker worker;

    let_run_wait(&worker, &conn);
    cr_expect_eq(lido_pool_close(pool, 0, &err), LIDO_BUSY_LEASES);
    worker_await(&worker);
    cr_expect_eq(worker.rc, LIDO_CLOSED);
    worker_end(&worker);
    handy_give(&conn);
}

static int run_inside(void *ctx, const struct lido_conn *conn, struct lido_error *error)
{
    int *inner = ctx;

    (void)conn;
    *inner = lido_pool_run(pool, LIDO_IMMEDIATE, nothing, NULL, &how, error);
    return LIDO_OK;
}

Test(gated_run, one_inside_another_does_not_wait_for_itself)
{
    int inner = LIDO_OK;

    cr_assert_eq(lido_pool_run(pool, LIDO_IMMEDIATE, run_inside, &inner, NULL, &err),
                 LIDO_OK);
    cr_expect_eq(inner, LIDO_DEADLOCK);
    cr_expect_eq(gate_stats().deadlocks, 1);
}

static int run_on_others(void *ctx, const struct lido_conn *conn, struct lido_error *error)
{
    lido_pool *other = ctx;

    (void)conn;
    return lido_pool_run(other, LIDO_IMMEDIATE, nothing, NULL, NULL, error);
}

Test(gated_run, one_inside_another_has_the_gate_of_its_own_file)
{
    char name[110], other_url[130];
    struct lido_pool_options options = handy_options("queue");
    lido_pool *other;
    struct lido_conn conn;

    snprintf(name, sizeof name, "%s-2", path);
    snprintf(other_url, sizeof other_url, "sqlite:///%s", name);
    other = handy_open_url(other_url, &options);
    conn = handy_take(other);
    handy_give(&conn);
    cr_assert_eq(lido_pool_run(pool, LIDO_IMMEDIATE, run_on_others, other, NULL, &err),
                 LIDO_OK, "%s", err.text);
    cr_expect_eq(handy_stats(other).writer, 1);
    cr_expect_not(gate_stats().is_held);
    lido_pool_free(other);
    unlink(name);
}

static int fail_first(void *ctx, const struct lido_conn *conn, struct lido_error *error)
{
    int *calls = ctx;

    cr_expect(gate_stats().is_held);
    (void)conn;
    return ++*calls == 1 ? lido_fail(error, SQLITE_BUSY, "once") : LIDO_OK;
}

Test(gated_run, a_function_that_fails_leaves)
{
    int calls = 0;

    cr_expect_eq(lido_pool_run(pool, LIDO_IMMEDIATE, fail_first, &calls, NULL, &err),
                 SQLITE_BUSY);
    cr_expect_not(gate_stats().is_held);
    cr_expect_eq(calls, 1);
    run();
}

static int end_lease(void *ctx, const struct lido_conn *conn, struct lido_error *error)
{
    struct lido_conn copy = *conn;

    (void)ctx;
    return lido_conn_checkin(&copy, NULL, error);
}

Test(gated_run, a_function_that_ends_its_lease_leaves)
{
    cr_expect_eq(lido_pool_run(pool, LIDO_IMMEDIATE, end_lease, NULL, NULL, &err),
                 LIDO_STALE);
    cr_expect_not(gate_stats().is_held);
    run();
}

static int detach(void *ctx, const struct lido_conn *conn, struct lido_error *error)
{
    (void)ctx;
    return lido_conn_detach(conn, error);
}

Test(gated_run, a_writer_that_is_detached_is_followed_by_another)
{
    cr_expect_eq(lido_pool_run(pool, LIDO_IMMEDIATE, detach, NULL, NULL, &err), LIDO_OK,
                 "%s", err.text);
    cr_expect_eq(handy_stats(pool).writer, 0);
    cr_expect_eq(handy_stats(pool).detached, 0, "closed at the check-in");
    run();
    cr_expect_eq(handy_stats(pool).writer, 1);
}

static int give_away(void *ctx, const struct lido_conn *conn, struct lido_error *error)
{
    struct worker *worker = ctx;

    (void)error;
    worker->conn = *conn;
    worker_tell(worker, worker_take_over);
    return LIDO_OK;
}

Test(gated_run, who_finds_the_writer_in_use_goes_the_long_way)
{
    struct worker worker;

    worker_start(&worker, pool);
    cr_expect_eq(lido_pool_run(pool, LIDO_IMMEDIATE, give_away, &worker, NULL, &err),
                 LIDO_WRONG_THREAD);
    cr_expect_eq(handy_stats(pool).writer, 1);
    /* That lease has SQLite's lock, so the long way ends at it. */
    cr_expect_not(gate_stats().is_held);
    cr_expect_eq(lido_pool_run(pool, LIDO_DEFERRED, nothing, NULL, NULL, &err), LIDO_OK,
                 "%s", err.text);
    worker_tell(&worker, worker_give);
    cr_expect_eq(worker.rc, LIDO_OK);
    worker_end(&worker);
    run();
}

Test(gated_run, the_writer_is_closed_with_the_pool_and_by_its_disposal)
{
    run();
    cr_assert_eq(lido_pool_dispose(pool, &err), LIDO_OK);
    cr_expect_eq(handy_stats(pool).writer, 0);
    cr_expect_eq(handy_stats(pool).connects, handy_stats(pool).closes);
    run();
    cr_assert_eq(lido_pool_close(pool, 0, &err), LIDO_OK);
    cr_expect_eq(handy_stats(pool).writer, 0);
    cr_expect_eq(handy_stats(pool).connects, handy_stats(pool).closes);
    cr_expect_eq(lido_pool_run(pool, LIDO_IMMEDIATE, nothing, NULL, NULL, &err),
                 LIDO_CLOSED);
    cr_expect_not(gate_stats().is_held);
}

static int close_inside(void *ctx, const struct lido_conn *conn, struct lido_error *error)
{
    (void)ctx, (void)conn;
    return lido_pool_close(pool, 0, error) == LIDO_BUSY_LEASES ? LIDO_OK : LIDO_ROLLBACK;
}

Test(gated_run, a_pool_that_is_closed_meanwhile_waits_for_it)
{
    int outcome = LIDO_OUTCOME_UNKNOWN;
    struct lido_run_options options = LIDO_RUN_OPTIONS_INIT;

    options.outcome = &outcome;
    cr_assert_eq(lido_pool_run(pool, LIDO_IMMEDIATE, close_inside, NULL, &options, &err),
                 LIDO_OK, "%s", err.text);
    cr_expect_eq(outcome, LIDO_OUTCOME_COMMITTED);
    cr_expect_eq(handy_stats(pool).writer, 0);
    cr_expect_eq(lido_pool_close(pool, 0, &err), LIDO_OK);
}

Test(gated_run, a_writer_that_is_idle_for_long_is_closed)
{
    lido_pool_free(pool);
    pool = open_known("&idle_timeout=10", 1);
    run();
    fake_clock_advance_ms(6000);
    cr_assert_eq(lido_pool_tidy(pool, &err), LIDO_OK);
    cr_expect_eq(handy_stats(pool).writer, 1);
    fake_clock_advance_ms(6000);
    cr_assert_eq(lido_pool_tidy(pool, &err), LIDO_OK);
    cr_expect_eq(handy_stats(pool).writer, 0, "it was put back as old as it was");
}

static int refuse(void *ctx, const struct lido_event *event, struct lido_error *error)
{
    const int *is_refusing = ctx;

    (void)event;
    return *is_refusing ? lido_fail(error, LIDO_BAD_OPTION, "not today") : LIDO_OK;
}

Test(gated_run, a_checkout_hook_that_refuses_the_writer_leaves)
{
    static const struct lido_events hooks = { .size = sizeof hooks, .checkout = refuse };
    int is_refusing = 1;

    cr_assert_eq(
        lido_hooks_add(lido_pool_hooks(pool), NULL, &hooks, &is_refusing, NULL, &err),
        LIDO_OK);
    cr_expect_eq(lido_pool_run(pool, LIDO_IMMEDIATE, nothing, NULL, NULL, &err),
                 LIDO_BAD_OPTION);
    cr_expect_not(gate_stats().is_held);
    is_refusing = 0;
    run();
}

static int fork_inside(void *ctx, const struct lido_conn *conn, struct lido_error *error)
{
    pid_t *child = ctx;

    (void)conn, (void)error;
    *child = fork();
    return LIDO_OK;
}

Test(gated_run, a_child_of_a_run_leaves_the_gate_to_its_parent)
{
    pid_t child = -1;
    int status, rc = lido_pool_run(pool, LIDO_IMMEDIATE, fork_inside, &child, NULL, &err);

    if (child == 0)
        _exit(rc == LIDO_FORKED ? 0 : 1);
    cr_assert_eq(rc, LIDO_OK, "%s", err.text);
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    cr_expect_not(gate_stats().is_held);
    run();
}

/* --- priorities -------------------------------------------------------------------------- */

static char order[4];

static int note(void *ctx, const struct lido_conn *conn, struct lido_error *error)
{
    (void)conn, (void)error;
    strncat(order, ctx, 1);
    return LIDO_OK;
}

static void run_with(struct worker *worker, int priority, char *letter)
{
    struct lido_run_options options = LIDO_RUN_OPTIONS_INIT;

    options.priority = priority;
    worker->rc =
        lido_pool_run(worker->pool, LIDO_IMMEDIATE, note, letter, &options, &worker->err);
}

static void run_low(struct worker *worker)
{
    run_with(worker, LIDO_GATE_LOW, "l");
}

static void run_high(struct worker *worker)
{
    run_with(worker, LIDO_GATE_HIGH, "h");
}

static void line_up(struct worker *worker, void (*task)(struct worker *worker))
{
    const int64_t waiting = gate_stats().waiting;

    worker_start(worker, pool);
    worker_ask(worker, task);
    while (gate_stats().waiting == waiting)
        sched_yield();
}

static void two_in_line(int64_t aged_ms, const char *expected)
{
    struct lido_pool_options options = handy_options("queue");
    struct worker low, high;
    struct lido_conn conn;

    lido_pool_free(pool);
    options.pool_timeout_ms = -1;
    pool = handy_open_url(url, &options);
    conn = handy_take(pool);
    cr_assert_eq(lido_txn_begin(&conn, LIDO_IMMEDIATE, &err), LIDO_OK);
    line_up(&low, run_low);
    line_up(&high, run_high);
    cr_expect_eq(gate_stats().waiters[0].priority, LIDO_GATE_LOW);
    cr_expect_eq(gate_stats().waiters[1].priority, LIDO_GATE_HIGH);
    fake_clock_advance_ms(aged_ms);
    handy_give(&conn);
    worker_await(&low);
    worker_await(&high);
    cr_expect_eq(low.rc, LIDO_OK, "%s", low.err.text);
    cr_expect_eq(high.rc, LIDO_OK, "%s", high.err.text);
    cr_expect_str_eq(order, expected);
    worker_end(&low);
    worker_end(&high);
}

Test(gated_run, the_higher_priority_goes_first)
{
    two_in_line(0, "hl");
}

Test(gated_run, but_after_the_aging_time_it_is_who_came_first)
{
    two_in_line(1, "lh");
}

Test(gated_run, a_priority_is_one_of_three)
{
    struct lido_run_options options = LIDO_RUN_OPTIONS_INIT;
    struct lido_checkout_options checkout = LIDO_CHECKOUT_OPTIONS_INIT;
    struct lido_conn conn;

    for (int bad = -2; bad <= 2; bad += 4) {
        options.priority = checkout.priority = bad;
        cr_expect_eq(lido_pool_run(pool, LIDO_IMMEDIATE, nothing, NULL, &options, &err),
                     LIDO_BAD_OPTION);
        cr_expect_eq(lido_pool_checkout(pool, &conn, &checkout, &err), LIDO_BAD_OPTION);
    }
}

static void take_high(struct worker *worker)
{
    struct lido_checkout_options options = LIDO_CHECKOUT_OPTIONS_INIT;

    options.priority = LIDO_GATE_HIGH;
    worker->rc = lido_pool_checkout(worker->pool, &worker->conn, &options, &worker->err);
}

static void begin_immediate(struct worker *worker)
{
    worker->rc = lido_txn_begin(&worker->conn, LIDO_IMMEDIATE, &worker->err);
}

Test(gated_run, a_lease_has_the_priority_of_its_checkout_and_the_next_has_not)
{
    static const int expected[] = { LIDO_GATE_HIGH, LIDO_GATE_NORMAL };
    struct lido_conn conn;
    struct worker worker;

    lido_pool_free(pool);
    pool = open_known("", 2);
    conn = handy_take(pool);
    worker_start(&worker, pool);
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(lido_txn_begin(&conn, LIDO_IMMEDIATE, &err), LIDO_OK);
        worker_tell(&worker, i == 0 ? take_high : worker_take);
        worker_ask(&worker, begin_immediate);
        while (gate_stats().waiting == 0)
            sched_yield();
        cr_expect_eq(gate_stats().waiters[0].priority, expected[i]);
        cr_assert_eq(lido_txn_rollback(&conn, &err), LIDO_OK);
        worker_await(&worker);
        worker_tell(&worker, worker_give);
    }
    worker_end(&worker);
    handy_give(&conn);
}
