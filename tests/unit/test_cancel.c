/* SPDX-License-Identifier: MIT */
/*
 * Tokens: what they are by themselves, and the waits for a connection that they end, on the
 * fake driver and the fake clock.
 */
#include "tests/support/failing_malloc.h"
#include "tests/support/handy.h"
#include "tests/support/latch.h"
#include "tests/support/worker.h"
#include <lido/lido.h>

#include <criterion/criterion.h>
#include <sched.h>
#include <string.h>

static lido_cancel *token;

static void make_token(void)
{
    cr_assert_eq(lido_cancel_new(&token, &handy_err), LIDO_OK);
}

static void free_token(void)
{
    lido_cancel_free(token);
}

TestSuite(cancel, .init = make_token, .fini = free_token);

static int checkout_with_token(lido_pool *pool, struct lido_conn *conn,
                               struct lido_error *err)
{
    struct lido_checkout_options options = LIDO_CHECKOUT_OPTIONS_INIT;

    options.timeout_ms = LIDO_TIMEOUT_FOREVER;
    options.cancel = token;
    return lido_pool_checkout(pool, conn, &options, err);
}

static void take_with_token(struct worker *worker)
{
    worker->rc = checkout_with_token(worker->pool, &worker->conn, &worker->err);
}

/* Returns when the worker waits: the pool counts it. */
static void let_wait(struct worker *worker, void (*task)(struct worker *worker))
{
    int64_t before = handy_stats(worker->pool).waiting;

    worker_ask(worker, task);
    while (handy_stats(worker->pool).waiting == before)
        sched_yield();
}

static void fire(void)
{
    cr_assert_eq(lido_cancel_fire(token, &handy_err), LIDO_OK);
}

Test(cancel, is_fired_until_it_is_reset)
{
    cr_expect_eq(lido_cancel_is_fired(token), 0);
    fire();
    fire();
    cr_expect_eq(lido_cancel_is_fired(token), 1);
    lido_cancel_reset(token);
    cr_expect_eq(lido_cancel_is_fired(token), 0);
}

Test(cancel_memory, without_memory_there_is_no_token)
{
    lido_cancel *none = (lido_cancel *)(void *)&handy_err; /* anything */

    failing_malloc_install();
    failing_malloc_arm(1);
    cr_expect_eq(lido_cancel_new(&none, &handy_err), SQLITE_NOMEM);
    cr_expect(failing_malloc_fired());
    failing_malloc_arm(0);
    cr_expect_null(none);
    cr_expect_neq(strstr(handy_err.text, "memory"), NULL);
}

Test(cancel, a_checkout_with_a_fired_token_is_refused)
{
    struct lido_pool_options options = handy_options("queue");
    lido_pool *pool = handy_open(&options);
    struct lido_conn conn;

    fire();
    cr_expect_eq(checkout_with_token(pool, &conn, &handy_err), LIDO_CANCELLED);
    cr_expect_null(conn.cell);
    lido_cancel_reset(token);
    cr_expect_eq(checkout_with_token(pool, &conn, &handy_err), LIDO_OK);
    handy_give(&conn);
    handy_end(pool);
}

Test(cancel, the_wait_in_line_ends)
{
    struct lido_pool_options options = handy_options("queue");
    struct lido_conn conn;
    struct worker worker;
    lido_pool *pool;

    options.pool_size = 1;
    options.max_overflow = 0;
    pool = handy_open(&options);
    conn = handy_take(pool);
    worker_start(&worker, pool);
    let_wait(&worker, take_with_token);
    fire();
    worker_await(&worker);
    cr_expect_eq(worker.rc, LIDO_CANCELLED, "%d", worker.rc);
    cr_expect_not_null(strstr(worker.err.text, "longest held"), "%s", worker.err.text);
    cr_expect_eq(handy_stats(pool).waiting, 0);
    cr_expect_eq(handy_stats(pool).timeouts, 0);
    worker_end(&worker);

    handy_give(&conn); /* and the place in line is nobody's */
    conn = handy_take(pool);
    handy_give(&conn);
    handy_end(pool);
}

Test(cancel, those_behind_move_up)
{
    struct lido_pool_options options = handy_options("queue");
    struct worker first, second;
    struct lido_conn conn;
    lido_pool *pool;

    options.pool_size = 1;
    options.max_overflow = 0;
    options.pool_timeout_ms = -1;
    pool = handy_open(&options);
    conn = handy_take(pool);
    worker_start(&first, pool);
    worker_start(&second, pool);
    let_wait(&first, take_with_token);
    let_wait(&second, worker_take);
    fire();
    worker_await(&first);
    handy_give(&conn);
    worker_await(&second);
    cr_expect_eq(first.rc, LIDO_CANCELLED);
    cr_expect_eq(second.rc, LIDO_OK, "%s", second.err.text);
    worker_tell(&second, worker_give);
    worker_end(&first);
    worker_end(&second);
    handy_end(pool);
}

Test(cancel, one_token_ends_many_waits)
{
    enum { N = 4 };
    struct lido_pool_options options = handy_options("queue");
    struct worker workers[N];
    struct lido_conn conn;
    lido_pool *pool;

    options.pool_size = 1;
    options.max_overflow = 0;
    pool = handy_open(&options);
    conn = handy_take(pool);
    for (int i = 0; i < N; i++) {
        worker_start(&workers[i], pool);
        let_wait(&workers[i], take_with_token);
    }
    fire();
    for (int i = 0; i < N; i++) {
        worker_await(&workers[i]);
        cr_expect_eq(workers[i].rc, LIDO_CANCELLED);
        worker_end(&workers[i]);
    }
    cr_expect_eq(handy_stats(pool).waiting, 0);
    handy_give(&conn);
    handy_end(pool);
}

Test(cancel, who_was_served_keeps_what_it_got)
{
    struct lido_pool_options options = handy_options("queue");
    struct lido_conn conn;
    struct worker worker;
    lido_pool *pool;

    options.pool_size = 1;
    options.max_overflow = 0;
    pool = handy_open(&options);
    conn = handy_take(pool);
    worker_start(&worker, pool);
    let_wait(&worker, take_with_token);
    handy_give(&conn);
    fire();
    worker_await(&worker);
    cr_expect_eq(worker.rc, LIDO_OK, "%s", worker.err.text);
    worker_tell(&worker, worker_give);
    worker_end(&worker);
    handy_end(pool);
}

static int stay(void *ctx, const struct lido_event *event, struct lido_error *err)
{
    (void)ctx, (void)event, (void)err;
    latch_stand();
    return LIDO_OK;
}

/* The first worker is inside `events`, and the second waits for it. */
static void wait_for_a_hook(const char *kind, const struct lido_events *events)
{
    struct lido_pool_options options = handy_options(kind);
    struct worker first, second;
    lido_pool *pool;
    lido_hook hook;

    options.pool_timeout_ms = -1;
    pool = handy_open(&options);
    cr_assert_eq(
        lido_hooks_add(lido_pool_hooks(pool), &hook, events, NULL, NULL, &handy_err),
        LIDO_OK);
    latch_set_up();
    worker_start(&first, pool);
    worker_start(&second, pool);
    worker_ask(&first, worker_take);
    latch_await();
    let_wait(&second, take_with_token);
    fire();
    worker_await(&second);
    cr_expect_eq(second.rc, LIDO_CANCELLED, "%s: %d", kind, second.rc);
    latch_open();
    worker_await(&first);
    cr_expect_eq(first.rc, LIDO_OK);
    worker_tell(&first, worker_give);
    worker_end(&first);
    worker_end(&second);
    handy_end(pool);
}

Test(cancel, the_wait_for_first_connect_ends)
{
    static const struct lido_events events = { .size = sizeof events,
                                               .first_connect = stay };

    wait_for_a_hook("queue", &events);
}

Test(cancel, the_wait_for_a_shared_connection_ends)
{
    static const struct lido_events events = { .size = sizeof events, .connect = stay };

    wait_for_a_hook("static", &events);
}
