/* SPDX-License-Identifier: MIT */
/*
 * Children of fork(): one that inherited an open pool is told so by every call and touches
 * nothing; one that inherited none is as good as any process.
 *
 * A child writes what it was answered into memory shared with its parent, which judges it,
 * and leaves by _exit().
 */
#include "tests/support/failing_malloc.h"
#include "tests/support/fake_driver.h"
#include "tests/support/own_folder.h"
#include <lido/lido.h>

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

/* What a child was answered. */
struct answers {
    int open, checkout, stats, gate_stats, holders, visits, close;
    int hooks, checkin, begin, commit, outcome, rollback, state, hand_over, set_label;
    int savepoint, savepoint_next, rollback_to, release, set_isolation;
    int limit, conn_cancel, check, fire, is_fired;
    const char *isolation;
    int forked_code, has_text, has_allocated;
    int is_empty_after_open, is_empty_after_checkout, is_kept_by_checkin;
    void *sqlite, *handle, *pool;
    int driver_calls;
};

static char folder[] = "/tmp/lido-fork-XXXXXX";
static char url[100];
static struct lido_error err;
static lido_pool *pool;
static lido_cancel *token;
static struct answers *shared; /* two: a child's and a grandchild's */

static void set_up(void)
{
    failing_malloc_install();
    fake_driver_install();
    cr_assert_eq(lido_cancel_new(&token, &err), LIDO_OK);
    cr_assert_not_null(mkdtemp(folder));
    snprintf(url, sizeof url, "sqlite:///%s/a.db?pool=queue&timeout=0", folder);
    shared = mmap(NULL, 2 * sizeof *shared, PROT_READ | PROT_WRITE,
                  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    cr_assert_neq(shared, MAP_FAILED);
}

static void tear_down(void)
{
    static const char *const names[] = { "a.db", "a.db-journal" };
    char path[100];

    for (int i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        unlink(path);
    }
    own_folder_end(folder);
    lido_cancel_free(token);
    munmap(shared, 2 * sizeof *shared);
}

TestSuite(fork, .init = set_up, .fini = tear_down, .timeout = 30);

static void open_pool(const char *from)
{
    cr_assert_eq(lido_pool_open(&pool, from, NULL, &err), LIDO_OK, "%s", err.text);
}

static struct lido_conn take(void)
{
    struct lido_conn conn;

    cr_assert_eq(lido_pool_checkout(pool, &conn, NULL, &err), LIDO_OK, "%s", err.text);
    return conn;
}

static int run(const struct lido_conn *conn, const char *sql)
{
    return sqlite3_exec(lido_conn_sqlite(conn), sql, NULL, NULL, NULL);
}

/* The exit status of a child that did `work`. */
static int in_child(void (*work)(struct answers *, struct lido_conn *),
                    struct lido_conn *conn)
{
    pid_t child;
    int status;

    memset(shared, 0, 2 * sizeof *shared);
    child = fork();
    cr_assert_geq(child, 0);
    if (child == 0) {
        work(shared, conn);
        _exit(17);
    }
    cr_assert_eq(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static int count_visit(void *ctx, const struct lido_holder *holder)
{
    (void)holder;
    ++*(int *)ctx;
    return 0;
}

/* Every call there is that takes a pool or a lease, and at last those that end them. */
static void call_all(struct answers *out, struct lido_conn *conn)
{
    struct lido_pool_stats stats = LIDO_POOL_STATS_INIT;
    struct lido_gate_stats gate = LIDO_GATE_STATS_INIT;
    struct lido_error error = LIDO_ERROR_INIT;
    struct lido_conn more = { conn, 1 };
    struct lido_savepoint point;
    lido_pool *another = pool;

    fake_driver_calls();
    failing_malloc_arm(1);
    out->open = lido_pool_open(&another, url, NULL, &error);
    out->has_allocated = failing_malloc_fired();
    out->is_empty_after_open = another == NULL;
    out->checkout = lido_pool_checkout(pool, &more, NULL, &error);
    out->is_empty_after_checkout = more.cell == NULL;
    out->stats = lido_pool_stats(pool, &stats, &error);
    out->gate_stats = lido_gate_stats(pool, &gate, &error);
    out->holders = lido_pool_holders(pool, count_visit, &out->visits, &error);
    out->sqlite = lido_conn_sqlite(conn);
    out->handle = lido_conn_handle(conn);
    out->pool = lido_conn_pool(conn);
    out->hand_over = lido_conn_hand_over(conn, &error);
    out->set_label = lido_conn_set_label(conn, "child's", &error);
    out->begin = lido_txn_begin(conn, LIDO_IMMEDIATE, &error);
    out->outcome = LIDO_OUTCOME_COMMITTED;
    out->commit = lido_txn_commit(conn, &out->outcome, &error);
    out->rollback = lido_txn_rollback(conn, &error);
    out->state = lido_txn_state(conn);
    out->savepoint = lido_txn_savepoint(conn, "a", &error);
    out->savepoint_next = lido_txn_savepoint_next(conn, &point, &error);
    out->rollback_to = lido_txn_rollback_to(conn, "a", &error);
    out->release = lido_txn_release(conn, "a", &error);
    out->set_isolation = lido_conn_set_isolation(conn, "AUTOCOMMIT", &error);
    out->isolation = lido_conn_isolation(conn);
    out->limit = lido_txn_limit(conn, 5, &error);
    out->conn_cancel = lido_conn_cancel(conn, &error);
    out->check = lido_conn_check(conn, &error);
    out->fire = lido_cancel_fire(token, &error);
    out->is_fired = lido_cancel_is_fired(token);
    error = (struct lido_error)LIDO_ERROR_INIT;
    out->checkin = lido_conn_checkin(conn, NULL, &error);
    out->forked_code = error.code;
    out->has_text = strstr(error.text, "forked") != NULL;
    out->is_kept_by_checkin = conn->cell != NULL;
    out->close = lido_pool_close(pool, -1, &error);
    lido_pool_free(pool);
    out->has_allocated |= failing_malloc_fired();
    out->driver_calls = fake_driver_calls()[0] != '\0';
}

static void expect_all_forked(const struct answers *answers)
{
    cr_assert_eq(answers->open, LIDO_FORKED, "%s", lido_status_name(answers->open));
    cr_assert(answers->is_empty_after_open);
    cr_assert_eq(answers->checkout, LIDO_FORKED);
    cr_assert(answers->is_empty_after_checkout);
    cr_assert_eq(answers->stats, LIDO_FORKED);
    cr_assert_eq(answers->gate_stats, LIDO_FORKED);
    cr_assert_eq(answers->holders, LIDO_FORKED);
    cr_assert_eq(answers->visits, 0);
    cr_assert_null(answers->sqlite);
    cr_assert_null(answers->handle);
    cr_assert_null(answers->pool);
    cr_assert_eq(answers->hand_over, LIDO_FORKED);
    cr_assert_eq(answers->set_label, LIDO_FORKED);
    cr_assert_eq(answers->begin, LIDO_FORKED);
    cr_assert_eq(answers->commit, LIDO_FORKED);
    cr_assert_eq(answers->outcome, LIDO_OUTCOME_UNKNOWN);
    cr_assert_eq(answers->rollback, LIDO_FORKED);
    cr_assert_eq(answers->state, LIDO_TXN_UNKNOWN);
    cr_assert_eq(answers->savepoint, LIDO_FORKED);
    cr_assert_eq(answers->savepoint_next, LIDO_FORKED);
    cr_assert_eq(answers->rollback_to, LIDO_FORKED);
    cr_assert_eq(answers->release, LIDO_FORKED);
    cr_assert_eq(answers->set_isolation, LIDO_FORKED);
    cr_assert_null(answers->isolation);
    cr_assert_eq(answers->limit, LIDO_FORKED);
    cr_assert_eq(answers->conn_cancel, LIDO_FORKED);
    cr_assert_eq(answers->check, LIDO_FORKED);
    cr_assert_eq(answers->fire, LIDO_FORKED);
    cr_assert_eq(answers->is_fired, 0);
    cr_assert_eq(answers->checkin, LIDO_FORKED);
    cr_assert_eq(answers->forked_code, LIDO_FORKED);
    cr_assert(answers->has_text);
    cr_assert(answers->is_kept_by_checkin);
    cr_assert_eq(answers->close, LIDO_FORKED);
    cr_assert_not(answers->driver_calls);
}

Test(fork, a_child_is_told_by_every_call_and_touches_nothing_of_the_parent_s)
{
    struct lido_conn conn, other;

    open_pool(url);
    conn = take();
    other = take();
    cr_assert_eq(run(&conn, "CREATE TABLE t (x)"), SQLITE_OK);
    cr_assert_eq(lido_txn_begin(&conn, LIDO_IMMEDIATE, &err), LIDO_OK);
    cr_assert_eq(run(&conn, "INSERT INTO t VALUES (1)"), SQLITE_OK);

    cr_assert_eq(in_child(call_all, &conn), 17);
    expect_all_forked(shared);

    /* The transaction, its lock and the lease are what they were. */
    cr_assert_eq(lido_txn_begin(&other, LIDO_IMMEDIATE, &err), SQLITE_BUSY);
    cr_assert_eq(lido_txn_state(&conn), LIDO_TXN_WRITE);
    cr_assert_eq(lido_txn_commit(&conn, NULL, &err), LIDO_OK, "%s", err.text);
    cr_assert_eq(run(&other, "SELECT * FROM t"), SQLITE_OK);
    cr_assert_eq(lido_conn_checkin(&conn, NULL, &err), LIDO_OK);
    cr_assert_eq(lido_conn_checkin(&other, NULL, &err), LIDO_OK);
    cr_assert_eq(lido_pool_close(pool, 0, &err), LIDO_OK);
    lido_pool_free(pool);
}

Test(fork, a_child_does_not_reach_a_driver_of_the_host_s)
{
    struct lido_conn conn;

    open_pool("fake:///x?pool=queue");
    conn = take();
    cr_assert_eq(in_child(call_all, &conn), 17);
    expect_all_forked(shared);
    cr_assert_eq(lido_conn_checkin(&conn, NULL, &err), LIDO_OK);
    lido_pool_free(pool);
    cr_assert_eq(fake_driver_open_count(), 0);
}

/* SQLite's allocator has a lock, which another thread may have held at the fork. */
Test(fork, a_child_allocates_nothing_to_be_told)
{
    struct lido_conn conn;

    open_pool("fake:///x?pool=queue");
    conn = take();
    cr_assert_eq(in_child(call_all, &conn), 17);
    cr_assert_not(shared->has_allocated);
    cr_assert_eq(lido_conn_checkin(&conn, NULL, &err), LIDO_OK);
    lido_pool_free(pool);
}

static void call_all_in_grandchild(struct answers *out, struct lido_conn *conn)
{
    pid_t child = fork();

    if (child == 0) {
        call_all(out + 1, conn);
        _exit(0);
    }
    waitpid(child, NULL, 0);
}

Test(fork, a_child_of_a_child_is_told_as_well)
{
    struct lido_conn conn;

    open_pool(url);
    conn = take();
    cr_assert_eq(in_child(call_all_in_grandchild, &conn), 17);
    expect_all_forked(shared + 1);
    cr_assert_eq(lido_conn_checkin(&conn, NULL, &err), LIDO_OK);
    lido_pool_free(pool);
}

Test(fork, a_pool_that_was_freed_while_a_lease_is_out_counts_as_open)
{
    struct lido_conn conn;

    open_pool(url);
    conn = take();
    lido_pool_close(pool, 0, NULL);
    cr_assert_eq(in_child(call_all, &conn), 17);
    expect_all_forked(shared);
    cr_assert_eq(lido_conn_checkin(&conn, NULL, &err), LIDO_OK);
    lido_pool_free(pool);
}

/* A life of a pool of the child's own, and what a child of that child is told. */
static void live(struct answers *out, struct lido_conn *stale)
{
    static const struct lido_events none = { .size = sizeof none };
    struct lido_conn conn;

    out->hooks = lido_hooks_add(lido_hooks_global(), NULL, &none, NULL, NULL, NULL);
    out->checkin = lido_conn_checkin(stale, NULL, NULL);
    out->open = lido_pool_open(&pool, url, NULL, NULL);
    if (out->open != LIDO_OK)
        return;
    out->checkout = lido_pool_checkout(pool, &conn, NULL, NULL);
    out->begin = lido_txn_begin(&conn, LIDO_IMMEDIATE, NULL);
    run(&conn, "CREATE TABLE t (x); INSERT INTO t VALUES (1)");
    out->commit = lido_txn_commit(&conn, &out->outcome, NULL);
    call_all_in_grandchild(out, &conn);
    out->set_label = lido_conn_checkin(&conn, NULL, NULL);
    out->close = lido_pool_close(pool, 0, NULL);
    lido_pool_free(pool);
}

static void expect_to_live(struct lido_conn *stale)
{
    cr_assert_eq(in_child(live, stale), 17);
    cr_assert_eq(shared->hooks, LIDO_OK);
    cr_assert_eq(shared->checkin, LIDO_STALE);
    cr_assert_eq(shared->open, LIDO_OK, "%s", lido_status_name(shared->open));
    cr_assert_eq(shared->checkout, LIDO_OK);
    cr_assert_eq(shared->begin, LIDO_OK);
    cr_assert_eq(shared->commit, LIDO_OK);
    cr_assert_eq(shared->outcome, LIDO_OUTCOME_COMMITTED);
    cr_assert_eq(shared->set_label, LIDO_OK);
    cr_assert_eq(shared->close, LIDO_OK);
    expect_all_forked(shared + 1);
}

Test(fork, a_child_forked_before_any_pool_was_open_may_open_its_own)
{
    struct lido_conn conn = LIDO_CONN_INIT;

    expect_to_live(&conn);
    open_pool(url);
    conn = take();
    cr_assert_eq(run(&conn, "INSERT INTO t VALUES (2)"), SQLITE_OK);
    cr_assert_eq(lido_conn_checkin(&conn, NULL, &err), LIDO_OK);
    lido_pool_free(pool);
}

Test(fork, a_child_forked_after_the_last_pool_was_freed_may_open_its_own)
{
    struct lido_conn conn, copy;

    open_pool(url);
    copy = conn = take();
    cr_assert_eq(lido_conn_checkin(&conn, NULL, &err), LIDO_OK);
    lido_pool_free(pool);
    expect_to_live(&copy);
    /* And the parent goes on, with a second one. */
    open_pool(url);
    conn = take();
    cr_assert_eq(run(&conn, "INSERT INTO t VALUES (2)"), SQLITE_OK);
    cr_assert_eq(lido_conn_checkin(&conn, NULL, &err), LIDO_OK);
    lido_pool_free(pool);
}

/* Two threads of a child open its first pools at once. */
static pthread_barrier_t at_once;

static void *open_one(void *answer)
{
    lido_pool *one;

    pthread_barrier_wait(&at_once);
    *(int *)answer = lido_pool_open(&one, "fake:///x", NULL, NULL);
    lido_pool_free(one);
    return NULL;
}

static void open_two(struct answers *out, struct lido_conn *unused)
{
    pthread_t other;

    (void)unused;
    pthread_barrier_init(&at_once, NULL, 2);
    if (pthread_create(&other, NULL, open_one, &out->open) != 0)
        _exit(1);
    open_one(&out->checkout);
    pthread_join(other, NULL);
}

Test(fork, two_threads_of_a_child_may_open_its_first_pools_at_once)
{
    open_pool("fake:///x");
    lido_pool_free(pool);
    for (int i = 0; i < 100; i++) {
        cr_assert_eq(in_child(open_two, NULL), 17);
        cr_assert_eq(shared->open, LIDO_OK, "%s", lido_status_name(shared->open));
        cr_assert_eq(shared->checkout, LIDO_OK, "%s", lido_status_name(shared->checkout));
    }
}
