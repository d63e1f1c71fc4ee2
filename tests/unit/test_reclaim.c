/* SPDX-License-Identifier: MIT */
/*
 * Threads that end with a lease: what is told of it, and who gets its connection.
 */
#include "base/lives.h"
#include "pool/slot.h"
#include "tests/support/handy.h"
#include "tests/support/worker.h"

#include <criterion/criterion.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define ONE "pool=queue&pool_size=1&max_overflow=0"

static char path[HANDY_FILE_SIZE];
static lido_pool *pool;

static lido_pool *open_with(const char *query)
{
    struct lido_pool_options options = handy_options(NULL);
    char url[250];

    options.pool_timeout_ms = 1000;
    snprintf(url, sizeof url, "sqlite:///%s?%s", path, query);
    return handy_open_url(url, &options);
}

static void exec(const struct lido_conn *conn, const char *sql)
{
    cr_assert_eq(lido_conn_exec(conn, sql, &handy_err), LIDO_OK, "%s", handy_err.text);
}

static void set_up_with(const char *query)
{
    struct lido_conn conn;

    handy_file(path, "reclaim");
    pool = open_with(query);
    conn = handy_take(pool);
    exec(&conn, "CREATE TABLE IF NOT EXISTS t (x)");
    handy_give(&conn);
}

static void set_up(void)
{
    set_up_with(ONE);
}

static void open_another(const char *query)
{
    lido_pool_free(pool);
    unlink(path);
    set_up_with(query);
}

static void clear(void)
{
    cr_expect_eq(lido_pool_close(pool, 0, &handy_err), LIDO_OK, "%s", handy_err.text);
    lido_pool_free(pool);
    unlink(path);
}

TestSuite(reclaim, .init = set_up, .fini = clear, .timeout = 30);

static int64_t reclaim(void)
{
    int64_t count = -1;

    cr_assert_eq(lido_pool_reclaim(pool, &count, &handy_err), LIDO_OK, "%s",
                 handy_err.text);
    return count;
}

static int64_t rows(void)
{
    struct lido_conn conn = handy_take(pool);
    sqlite3_stmt *stmt;
    int64_t count;

    cr_assert_eq(sqlite3_prepare_v2(lido_conn_sqlite(&conn), "SELECT count(*) FROM t", -1,
                                    &stmt, NULL),
                 SQLITE_OK);
    cr_assert_eq(sqlite3_step(stmt), SQLITE_ROW);
    count = sqlite3_column_int64(stmt, 0);
    sqlite3_finalize(stmt);
    handy_give(&conn);
    return count;
}

/* The last holder that is shown, and how many. */
static struct lido_holder shown;
static int n_shown;

static int show(void *ctx, const struct lido_holder *holder)
{
    (void)ctx;
    shown = *holder;
    n_shown++;
    return LIDO_OK;
}

static int count_holders(void)
{
    n_shown = 0;
    shown.is_gone = -1;
    cr_assert_eq(lido_pool_holders(pool, show, NULL, &handy_err), LIDO_OK);
    return n_shown;
}

static struct lido_conn left; /* by the thread */

static void take(void)
{
    struct lido_checkout_options options = LIDO_CHECKOUT_OPTIONS_INIT;

    options.label = "forgetful";
    cr_assert_eq(lido_pool_checkout(pool, &left, &options, NULL), LIDO_OK);
}

static void take_and_write(void)
{
    take();
    cr_assert_eq(lido_txn_begin(&left, LIDO_IMMEDIATE, NULL), LIDO_OK);
    cr_assert_eq(lido_conn_exec(&left, "INSERT INTO t VALUES (1)", NULL), LIDO_OK);
}

static void *write_and_return(void *unused)
{
    take_and_write();
    return unused;
}

static void *write_and_exit(void *unused)
{
    take_and_write();
    pthread_exit(unused);
}

static void *write_and_be_cancelled(void *unused)
{
    int state;

    (void)unused;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
    take_and_write();
    pthread_setcancelstate(state, &state);
    for (;;)
        pthread_testcancel();
    return NULL;
}

static void *take_only(void *unused)
{
    take();
    return unused;
}

/* The lease is told of as nobody's, and then ended: nothing of it is left. */
static void expect_reclaimed(void)
{
    struct lido_gate_stats stats = LIDO_GATE_STATS_INIT;

    cr_expect_eq(count_holders(), 1);
    cr_expect_eq(shown.is_gone, 1);
    cr_expect_str_eq(shown.label, "forgetful");
    cr_assert_eq(lido_gate_stats(pool, &stats, &handy_err), LIDO_OK);
    cr_expect_eq(stats.holder.is_gone, 1);

    cr_expect_eq(reclaim(), 1);
    cr_expect_eq(lido_conn_checkin(&left, NULL, NULL), LIDO_STALE);
    cr_expect_eq(count_holders(), 0);
    cr_assert_eq(lido_gate_stats(pool, &stats, &handy_err), LIDO_OK);
    cr_expect_not(stats.is_held);
    cr_expect_eq(rows(), 0, "its transaction was rolled back");
    cr_expect_eq(handy_stats(pool).reclaimed, 1);
    cr_expect_eq(handy_stats(pool).checkins, handy_stats(pool).checkouts);
    cr_expect_eq(reclaim(), 0);
}

Test(reclaim, a_thread_that_returns)
{
    handy_thread(write_and_return, NULL);
    expect_reclaimed();
}

Test(reclaim, a_thread_that_exits)
{
    handy_thread(write_and_exit, NULL);
    expect_reclaimed();
}

Test(reclaim, a_thread_that_is_cancelled)
{
    pthread_t thread;

    cr_assert_eq(pthread_create(&thread, NULL, write_and_be_cancelled, NULL), 0);
    pthread_cancel(thread);
    pthread_join(thread, NULL);
    expect_reclaimed();
}

static int write_and_end(void *ctx, const struct lido_conn *conn, struct lido_error *err)
{
    (void)ctx, (void)err;
    left = *conn;
    cr_assert_eq(lido_conn_exec(conn, "INSERT INTO t VALUES (1)", NULL), LIDO_OK);
    pthread_exit(NULL);
}

static void *run_and_end(void *unused)
{
    struct lido_run_options options = LIDO_RUN_OPTIONS_INIT;
    int rc;

    options.label = "forgetful";
    rc = lido_pool_run(pool, LIDO_IMMEDIATE, write_and_end, NULL, &options, NULL);
    (void)rc;
    return unused;
}

Test(reclaim, a_thread_that_ends_in_a_run)
{
    handy_thread(run_and_end, NULL);
    expect_reclaimed();
}

static int end_without_a_lease(void *ctx, const struct lido_conn *conn,
                               struct lido_error *err)
{
    struct lido_conn mine = *conn;

    (void)ctx;
    cr_assert_eq(lido_conn_checkin(&mine, NULL, err), LIDO_OK);
    pthread_exit(NULL);
}

static void *run_and_end_twice(void *unused)
{
    int rc = lido_pool_run(pool, LIDO_IMMEDIATE, end_without_a_lease, NULL, NULL, NULL);

    (void)rc;
    return unused;
}

Test(reclaim, a_thread_that_ends_in_a_run_whose_lease_had_ended)
{
    struct lido_gate_stats stats = LIDO_GATE_STATS_INIT;

    handy_thread(run_and_end_twice, NULL);
    cr_assert_eq(lido_gate_stats(pool, &stats, &handy_err), LIDO_OK);
    cr_expect(stats.is_held);
    cr_expect_eq(reclaim(), 0);
    cr_assert_eq(lido_gate_stats(pool, &stats, &handy_err), LIDO_OK);
    cr_expect_not(stats.is_held);
    cr_expect_eq(reclaim(), 0);
}

Test(reclaim, a_transaction_is_rolled_back_where_the_pool_would_commit)
{
    open_another(ONE "&pool_reset_on_return=commit");
    handy_thread(write_and_return, NULL);
    cr_expect_eq(reclaim(), 1);
    cr_expect_eq(rows(), 0);
}

Test(reclaim, a_timeout_says_that_the_holder_is_gone)
{
    struct lido_checkout_options options = LIDO_CHECKOUT_OPTIONS_INIT;
    struct lido_conn conn;

    handy_thread(take_only, NULL);
    options.timeout_ms = LIDO_TIMEOUT_TRY;
    cr_expect_eq(lido_pool_checkout(pool, &conn, &options, &handy_err), LIDO_POOL_TIMEOUT);
    cr_expect_not_null(strstr(handy_err.text, "(holder gone) forgetful for 0 ms"), "%s",
                       handy_err.text);
    cr_expect_eq(reclaim(), 1);
}

Test(reclaim, who_waits_gets_the_connection)
{
    struct worker worker;

    handy_thread(take_only, NULL);
    worker_start(&worker, pool);
    worker_ask(&worker, worker_take);
    while (handy_stats(pool).waiting == 0)
        sched_yield();
    cr_expect_eq(handy_stats(pool).deadlocks, 0, "it is not known to wait");
    cr_expect_eq(lido_pool_reclaim(pool, NULL, NULL), LIDO_OK);
    worker_await(&worker);
    cr_expect_eq(worker.rc, LIDO_OK, "%s", worker.err.text);
    worker_tell(&worker, worker_give);
    worker_end(&worker);
}

Test(reclaim, a_thread_that_is_alive_keeps_its_lease)
{
    struct worker worker;

    worker_start(&worker, pool);
    worker_tell(&worker, worker_take);
    cr_expect_eq(reclaim(), 0);
    cr_expect_eq(count_holders(), 1);
    cr_expect_eq(shown.is_gone, 0);
    worker_tell(&worker, worker_give);
    cr_expect_eq(worker.rc, LIDO_OK);
    worker_end(&worker);
}

Test(reclaim, a_lease_handed_over_is_its_new_threads)
{
    struct worker worker;

    worker_start(&worker, pool);
    worker_tell(&worker, worker_take);
    left = worker.conn;
    cr_assert_eq(lido_conn_hand_over(&left, &handy_err), LIDO_OK);
    worker_end(&worker);
    cr_expect_eq(reclaim(), 0);
    handy_give(&left);

    handy_thread(take_only, NULL); /* and the same afterwards */
    cr_assert_eq(lido_conn_hand_over(&left, &handy_err), LIDO_OK);
    cr_expect_eq(count_holders(), 1);
    cr_expect_eq(shown.is_gone, 0);
    cr_expect_eq(reclaim(), 0);
    handy_give(&left);
}

Test(reclaim, a_lease_that_was_reclaimed_is_not_handed_over)
{
    handy_thread(take_only, NULL);
    cr_expect_eq(reclaim(), 1);
    cr_expect_eq(lido_conn_hand_over(&left, &handy_err), LIDO_STALE);
}

Test(reclaim, where_any_thread_may_use_a_lease_nobody_is_gone)
{
    open_another(ONE "&check_same_thread=0");
    handy_thread(take_only, NULL);
    cr_expect_eq(count_holders(), 1);
    cr_expect_eq(shown.is_gone, 0);
    cr_expect_eq(reclaim(), 0);
    handy_give(&left);
}

static void *take_nested(void *unused)
{
    struct lido_conn more;

    take();
    cr_assert_eq(lido_pool_checkout(pool, &more, NULL, NULL), LIDO_OK);
    return unused;
}

Test(reclaim, nested_leases_all_end)
{
    open_another(ONE "&use_threadlocal=1");
    handy_thread(take_nested, NULL);
    cr_expect_eq(handy_stats(pool).out, 1);
    cr_expect_eq(reclaim(), 2);
    cr_expect_eq(handy_stats(pool).idle, 1);
    cr_expect_eq(rows(), 0);
}

Test(reclaim, a_lease_among_others_on_a_connection)
{
    struct lido_conn conn;

    open_another("pool=static&check_same_thread=1&timeout=0");
    conn = handy_take(pool);
    handy_thread(write_and_return, NULL);
    cr_expect_eq(lido_txn_begin(&conn, LIDO_IMMEDIATE, &handy_err), SQLITE_BUSY);
    cr_expect_eq(reclaim(), 1);
    cr_expect_eq(lido_txn_begin(&conn, LIDO_IMMEDIATE, &handy_err), LIDO_OK, "%s",
                 handy_err.text);
    handy_give(&conn);
    cr_expect_eq(rows(), 0);
}

static void *take_and_detach(void *unused)
{
    take();
    cr_assert_eq(lido_conn_detach(&left, NULL), LIDO_OK);
    return unused;
}

Test(reclaim, a_detached_lease_is_closed)
{
    handy_thread(take_and_detach, NULL);
    cr_expect_eq(handy_stats(pool).detached, 1);
    cr_expect_eq(reclaim(), 1);
    cr_expect_eq(handy_stats(pool).detached, 0);
    cr_expect_eq(handy_stats(pool).closed_detached, 1);
}

static sqlite3 *hosts;

static void *adopt(void *unused)
{
    cr_assert_eq(lido_conn_adopt(&left, pool, hosts, NULL), LIDO_OK);
    return unused;
}

Test(reclaim, an_adopted_handle_is_the_hosts)
{
    cr_assert_eq(sqlite3_open(path, &hosts), SQLITE_OK);
    handy_thread(adopt, NULL);
    cr_expect_eq(count_holders(), 1);
    cr_expect_eq(shown.is_gone, 1);
    cr_expect_eq(reclaim(), 0);
    cr_assert_eq(lido_conn_hand_over(&left, &handy_err), LIDO_OK);
    handy_give(&left);
    sqlite3_close(hosts);
}

Test(reclaim, a_thread_that_ended_inside_a_statement_left_it_for_good)
{
    struct lido__cell *cell;

    handy_thread(take_only, NULL);
    cell = left.cell;
    lido__write(&cell->stepping, 1);
    cr_expect_eq(reclaim(), 0);
    lido__write(&cell->stepping, 0);
    cr_expect_eq(reclaim(), 1);
}

static void *take_with_token(void *unused)
{
    struct lido_checkout_options options = LIDO_CHECKOUT_OPTIONS_INIT;
    lido_cancel *token;

    cr_assert_eq(lido_cancel_new(&token, NULL), LIDO_OK);
    options.cancel = token;
    cr_assert_eq(lido_pool_checkout(pool, &left, &options, NULL), LIDO_OK);
    lido_cancel_free(token); /* too early, as a thread that ends may */
    return unused;
}

Test(reclaim, a_token_that_went_with_its_thread_is_not_looked_at)
{
    open_another(ONE "&pool_reset_on_return=commit");
    handy_thread(take_with_token, NULL);
    cr_expect_eq(reclaim(), 1);
}

/* A lease that a thread keeps to its end, and gives back in one of the later rounds. */
static pthread_key_t kept;
static int rounds, kept_rc = -1;

static void give_kept(void *conn)
{
    if (++rounds < PTHREAD_DESTRUCTOR_ITERATIONS - 2)
        pthread_setspecific(kept, conn);
    else
        kept_rc = lido_conn_checkin(conn, NULL, NULL);
}

static void *keep_to_the_end(void *unused)
{
    cr_assert_eq(pthread_setspecific(kept, &left), 0);
    take();
    return unused;
}

Test(reclaim, a_thread_is_alive_while_its_values_are_destroyed)
{
    cr_assert_eq(pthread_key_create(&kept, give_kept), 0);
    handy_thread(keep_to_the_end, NULL);
    cr_expect_eq(kept_rc, LIDO_OK);
    cr_expect_eq(count_holders(), 0);
}

static int checkins;
static pthread_t checked_in_by;

static int note(void *ctx, const struct lido_event *event, struct lido_error *err)
{
    (void)ctx, (void)event;
    checkins++;
    checked_in_by = pthread_self();
    return lido_fail(err, LIDO_FATAL | SQLITE_IOERR, "the hook's");
}

Test(reclaim, hooks_run_on_the_thread_that_reclaims)
{
    static const struct lido_events hook = { .size = sizeof hook, .checkin = note };
    int64_t count = 0;

    open_another("pool=queue&pool_size=2");
    cr_assert_eq(lido_hooks_add(lido_pool_hooks(pool), NULL, &hook, NULL, NULL, &handy_err),
                 LIDO_OK);
    handy_thread(take_only, NULL);
    handy_thread(take_only, NULL);
    cr_expect_eq(lido_pool_reclaim(pool, &count, &handy_err), LIDO_FATAL | SQLITE_IOERR);
    cr_expect_str_eq(handy_err.text, "the hook's");
    cr_expect_eq(count, 2, "one that fails does not stop it");
    cr_expect_eq(checkins, 2);
    cr_expect(pthread_equal(checked_in_by, pthread_self()));
    cr_expect_eq(handy_stats(pool).out, 0);
}

Test(reclaim, a_closed_pool_is_rid_of_them)
{
    handy_thread(take_only, NULL);
    cr_expect_eq(lido_pool_close(pool, 0, &handy_err), LIDO_BUSY_LEASES);
    cr_expect_not_null(strstr(handy_err.text, "holder gone"), "%s", handy_err.text);
    cr_expect_eq(reclaim(), 1);
    cr_expect_eq(lido_pool_close(pool, 0, &handy_err), LIDO_OK);
}

Test(reclaim, bad_arguments)
{
    int64_t count = 7;

    cr_expect_eq(lido_pool_reclaim(NULL, &count, &handy_err), SQLITE_MISUSE);
    cr_expect_eq(count, 0);
    cr_expect_eq(lido_pool_reclaim(NULL, NULL, NULL), SQLITE_MISUSE);
}

Test(reclaim, a_forked_child_reclaims_nothing)
{
    int64_t count = 7;
    int status;
    pid_t child;

    handy_thread(take_only, NULL);
    child = fork();
    if (child == 0)
        _exit(lido_pool_reclaim(pool, &count, NULL) == LIDO_FORKED && count == 0 ? 0 : 1);
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_expect_eq(status, 0);
    cr_expect_eq(reclaim(), 1);
}

Test(reclaim, a_name_that_was_given_up_is_over)
{
    uint64_t first = lido__life_begin(7, 0), second = lido__life_begin(7, first);

    cr_expect(lido__life_is_over(first));
    cr_expect_not(lido__life_is_over(second));
    cr_expect_neq(first, second);
}

Test(reclaim, threads_that_are_too_many_to_be_watched_live_for_ever)
{
    uint64_t last = 0;

    for (int i = 0; i < 5000; i++) {
        last = lido__life_begin(7, 0);
        cr_assert_not(lido__life_is_over(last), "%d", i);
    }
    lido__life_begin(7, last);
    cr_expect_not(lido__life_is_over(last));
}
