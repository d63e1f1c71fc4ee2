/* SPDX-License-Identifier: MIT */
/*
 * Section 1.3: what is asked of a pool.
 */
#include "tests/parity/play.h"

#include <stdio.h>
#include <string.h>

TestSuite(parity_calls, .init = play_begin);

/* 1.3 connect
   SQLAlchemy: checks a fairy out.
   lido: same: lido_pool_checkout() */
Test(parity_calls, a_checkout_lends_a_connection)
{
    lido_pool *pool = play_open_kind("queue");
    struct lido_conn conn = play_take(pool);

    cr_expect_eq(lido_conn_pool(&conn), pool);
    cr_expect_eq(play_stats(pool).out, 1);
    play_give(&conn);
    play_end(pool);
}

/* 1.3 unique_connection
   SQLAlchemy: in 0.9, connect() without regard to use_threadlocal.
   lido: same: `unique` of the checkout options */
Test(parity_calls, a_unique_checkout_is_another_connection)
{
    struct lido_pool_options options = play_options("queue");
    struct lido_conn shared, unique;
    lido_pool *pool;

    options.use_threadlocal = 1;
    pool = play_open(&options);
    shared = play_take(pool);
    unique = play_take_unique(pool);

    cr_expect_neq(play_number(&unique), play_number(&shared));
    play_give(&unique);
    play_give(&shared);
    play_end(pool);
}

/* 1.3 unique_connection of a singleton_thread
   SQLAlchemy: another fairy on the same driver connection.
   lido: same: a lease that is no nested one, so the checkout hooks run for it */
Test(parity_calls, a_unique_lease_of_a_thread_has_its_connection)
{
    lido_pool *pool = play_open_kind("singleton_thread");
    struct lido_conn plain = play_take(pool), unique;

    play_forget();
    unique = play_take_unique(pool);

    cr_expect_eq(play_number(&unique), play_number(&plain));
    play_expect("checkout 1");
    play_give(&unique);
    play_give(&plain);
    play_end(pool);
}

/* 1.3 dispose of a queue
   SQLAlchemy: closes what is idle; what is out goes on and later returns into the same pool.
   lido: same */
Test(parity_calls, dispose_of_a_queue_closes_what_is_idle)
{
    lido_pool *pool = play_open_queue(2, 0);
    struct lido_conn out = play_take(pool), idle = play_take(pool);

    play_give(&idle);
    play_forget();
    cr_assert_eq(lido_pool_dispose(pool, NULL), LIDO_OK);
    play_expect("close 2, shut 2");

    play_give(&out);
    play_expect("reset 1, rollback 1, checkin 1");
    out = play_take(pool);
    cr_expect_eq(play_number(&out), 1);
    play_give(&out);
    play_end(pool);
}

static void expect_dispose_spares_what_is_out(const char *kind)
{
    lido_pool *pool = play_open_kind(kind);
    struct lido_conn before = play_take(pool), after;

    play_forget();
    cr_assert_eq(lido_pool_dispose(pool, NULL), LIDO_OK);
    play_expect("");
    cr_expect_eq(play_number(&before), 1);

    after = play_take(pool);
    cr_expect_eq(play_number(&after), 2, "what was there before is not lent again");
    play_give(&after);
    play_give(&before);
    cr_assert_eq(lido_pool_dispose(pool, NULL), LIDO_OK);
    cr_expect_eq(play_open_count(), 0);
    play_end(pool);
}

/* 1.3 dispose of a null pool
   SQLAlchemy: does nothing.
   lido: same */
Test(parity_calls, dispose_of_a_null_pool_does_nothing)
{
    lido_pool *pool = play_open_kind("null");
    struct lido_conn conn = play_take(pool);

    play_forget();
    cr_assert_eq(lido_pool_dispose(pool, NULL), LIDO_OK);

    play_expect("");
    play_give(&conn);
    play_end(pool);
}

/* 1.3 dispose of a static pool
   SQLAlchemy: closes the connection even if it is out, and forgets the record; in 0.9.8 a bug
   makes it do nothing.
   lido: better: what is out is closed when it comes back, not under the feet of who has it;
   the next checkout gets another at once */
Test(parity_calls, dispose_of_a_static_pool_replaces_its_connection)
{
    expect_dispose_spares_what_is_out("static");
}

/* 1.3 dispose of an assertion pool
   SQLAlchemy: closes the connection even if it is out, and allows another checkout.
   lido: better: what is out is closed when it comes back; another checkout is allowed */
Test(parity_calls, dispose_of_an_assertion_pool_replaces_its_connection)
{
    expect_dispose_spares_what_is_out("assertion");
}

/* 1.3 dispose of a singleton_thread
   SQLAlchemy: closes every thread's connection even if in use, ignores errors, and forgets
   them all.
   lido: better: what is out is closed when it comes back; what a close hook says is returned */
Test(parity_calls, dispose_of_a_singleton_thread_replaces_the_idle_ones)
{
    lido_pool *pool = play_open_kind("singleton_thread");
    struct lido_conn conn = play_take(pool), other;

    play_forget();
    cr_assert_eq(lido_pool_dispose(pool, NULL), LIDO_OK);
    play_expect("");
    other = play_take(pool);
    cr_expect_eq(play_number(&other), 2);
    play_give(&other);
    play_give(&conn);
    cr_expect_eq(play_open_count(), 1);
    play_end(pool);
}

/* 1.3 recreate keeps all settings
   SQLAlchemy: a new pool of the same class with the same creator and settings; early versions
   lost some (pre_ping, use_lifo, recycle, reset).
   lido: same */
Test(parity_calls, a_recreated_pool_has_all_settings)
{
    struct lido_pool_options options = play_options("queue");
    lido_pool *pool, *again;
    struct lido_conn first, second;

    options.order = "lifo";
    options.pool_size = 2;
    options.max_overflow = 0;
    options.pool_recycle_ms = 1000;
    options.pool_pre_ping = 1;
    options.pool_reset_on_return = LIDO_RESET_COMMIT;
    pool = play_open(&options);
    cr_assert_eq(lido_pool_recreate(pool, &again, NULL), LIDO_OK);
    play_end(pool);

    first = play_take(again);
    second = play_take(again);
    play_refuse(again, LIDO_POOL_TIMEOUT);
    play_forget();
    play_give(&first);
    play_give(&second);
    second = play_take(again);
    play_expect("reset 1, commit 1, checkin 1, reset 2, commit 2, checkin 2, ping 2, "
                "checkout 2");
    play_give(&second);
    fake_clock_advance_ms(1001);
    second = play_take(again);
    cr_expect_eq(play_number(&second), 3);
    play_give(&second);
    play_end(again);
}

/* 1.3 recreate copies the listeners
   SQLAlchemy: a copy, so those added later to one pool do not reach the other; those of the
   class reach both.
   lido: same: hooks of the kind and of all pools reach both */
Test(parity_calls, hooks_added_later_reach_one_pool_only)
{
    struct lido_pool_options options = play_options("queue");
    lido_pool *pool, *again;
    struct lido_conn conn;
    lido_hook hook;

    cr_assert_eq(lido_pool_open(&pool, "play:///x", &options, NULL), LIDO_OK);
    cr_assert_eq(lido_pool_recreate(pool, &again, NULL), LIDO_OK);
    play_trace(pool);
    conn = play_take(again);
    play_expect("open 1");
    play_give(&conn);

    cr_assert_eq(
        lido_hooks_add(lido_hooks_kind("queue"), &hook, &play_traced, NULL, NULL, NULL),
        LIDO_OK);
    play_forget();
    conn = play_take(again);
    play_expect("checkout 1");
    play_give(&conn);
    cr_assert_eq(lido_hooks_remove(lido_hooks_kind("queue"), hook, NULL), LIDO_OK);
    play_end(again);
    play_end(pool);
}

/* 1.3 recreate and first_connect
   SQLAlchemy: first_connect fires anew in the new pool.
   lido: same */
Test(parity_calls, first_connect_runs_anew_in_a_recreated_pool)
{
    lido_pool *pool = play_open_kind("null"), *again;
    struct lido_conn conn = play_take(pool);

    play_give(&conn);
    cr_assert_eq(lido_pool_recreate(pool, &again, NULL), LIDO_OK);
    play_forget();
    conn = play_take(again);

    play_expect("open 2, first_connect 2, connect 2, checkout 2");
    play_give(&conn);
    play_end(again);
    play_end(pool);
}

/* 1.3 status of a queue
   SQLAlchemy: "Pool size: 3  Connections in pool: 0 Current Overflow: -2 Current Checked out
   connections: 1".
   lido: same: word for word */
Test(parity_calls, the_status_of_a_queue_is_sqlalchemys)
{
    lido_pool *pool = play_open_queue(3, 0);
    struct lido_conn conn = play_take(pool);

    play_expect_status(pool, "Pool size: 3  Connections in pool: 0 Current Overflow: -2 "
                             "Current Checked out connections: 1");
    play_give(&conn);
    play_end(pool);
}

static void expect_status_of(const char *kind, const char *status)
{
    lido_pool *pool = play_open_kind(kind);

    play_expect_status(pool, status);
    play_end(pool);
}

/* 1.3 status of a null pool
   SQLAlchemy: "NullPool".
   lido: same */
Test(parity_calls, the_status_of_a_null_pool_is_its_name)
{
    expect_status_of("null", "NullPool");
}

/* 1.3 status of a static pool
   SQLAlchemy: "StaticPool".
   lido: same */
Test(parity_calls, the_status_of_a_static_pool_is_its_name)
{
    expect_status_of("static", "StaticPool");
}

/* 1.3 status of an assertion pool
   SQLAlchemy: "AssertionPool".
   lido: same */
Test(parity_calls, the_status_of_an_assertion_pool_is_its_name)
{
    expect_status_of("assertion", "AssertionPool");
}

/* 1.3 status of a singleton_thread
   SQLAlchemy: "SingletonThreadPool id:%d size: %d", the size being that of all connections.
   lido: same: the id is a number that no other pool of the process has */
Test(parity_calls, the_status_of_a_singleton_thread_has_its_size)
{
    lido_pool *pool = play_open_kind("singleton_thread");
    struct lido_conn conn = play_take(pool);
    unsigned long long id;
    int size, end = 0;
    char text[100];

    cr_assert_eq(lido_pool_status(pool, text, sizeof text, NULL), LIDO_OK);
    cr_expect_eq(sscanf(text, "SingletonThreadPool id:%llu size: %d%n", &id, &size, &end),
                 2);
    cr_expect_eq(size, 1);
    cr_expect_eq((size_t)end, strlen(text));
    play_give(&conn);
    play_end(pool);
}

/* 1.3 size, checkedin, overflow, checkedout and timeout
   SQLAlchemy: a queue only.
   lido: better: lido_pool_stats() of every kind, all of one moment, and how long who waits */
Test(parity_calls, the_counts_of_a_queue_are_sqlalchemys)
{
    lido_pool *pool = play_open_queue(3, 1);
    struct lido_conn first = play_take(pool), second = play_take(pool);

    play_give(&first);
    play_expect_counts(pool, 3, 1, -1, 1);
    play_give(&second);
    play_end(pool);
}

/* 1.3 _invalidate
   SQLAlchemy: invalidates the fairy, and every other connection is recycled at its next
   checkout.
   lido: same: lido_conn_invalidate_pool(); lido_pool_invalidate() without a connection */
Test(parity_calls, an_invalidated_pool_replaces_its_connections_lazily)
{
    lido_pool *pool = play_open_queue(2, 0);
    struct lido_conn broken = play_take(pool), idle = play_take(pool);

    play_give(&idle);
    play_forget();
    cr_assert_eq(lido_conn_invalidate_pool(&broken, NULL, NULL), LIDO_OK);
    play_expect("invalidate 1, close 1, terminate 1, checkin NULL");

    idle = play_take(pool);
    play_expect("close 2, terminate 2, open 3, connect 3, checkout 3");
    play_give(&idle);
    play_end(pool);
}

/* 1.3 _invalidate goes by generation
   SQLAlchemy: only a connection newer than the last invalidation stamps the pool anew, so N
   errors on connections of one generation are one invalidation.
   lido: better: decided by counting, not by a clock that may stand still between two */
Test(parity_calls, errors_of_one_generation_invalidate_the_pool_once)
{
    lido_pool *pool = play_open_queue(3, 0);
    struct lido_conn first = play_take(pool), second = play_take(pool), newer;

    cr_assert_eq(lido_conn_invalidate_pool(&first, NULL, NULL), LIDO_OK);
    newer = play_take(pool);
    play_give(&newer);
    cr_assert_eq(lido_conn_invalidate_pool(&second, NULL, NULL), LIDO_OK);

    play_forget();
    newer = play_take(pool);
    play_expect("checkout 3");
    play_give(&newer);
    play_end(pool);
}

/* 1.3 Engine.dispose
   SQLAlchemy: dispose() of the pool, which is then replaced by recreate(); close=False leaves
   the connections alone, for a child of fork().
   lido: same: the two calls; and in a child every call answers LIDO_FORKED by itself */
Test(parity_calls, a_pool_may_be_disposed_of_and_replaced)
{
    lido_pool *pool = play_open_queue(1, 0), *again;
    struct lido_conn old = play_take(pool), new;

    cr_assert_eq(lido_pool_dispose(pool, NULL), LIDO_OK);
    cr_assert_eq(lido_pool_recreate(pool, &again, NULL), LIDO_OK);
    new = play_take(again);
    cr_expect_eq(lido_conn_pool(&old), pool);
    cr_expect_eq(lido_conn_pool(&new), again);

    play_give(&old);
    play_end(pool);
    play_give(&new);
    play_end(again);
}
