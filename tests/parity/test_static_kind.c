/* SPDX-License-Identifier: MIT */
/*
 * Section 1.8: the static pool.
 */
#include "tests/parity/play.h"

TestSuite(parity_static_kind, .init = play_begin, .timeout = 60);

static int number_elsewhere;

static void take_elsewhere(void *ctx)
{
    struct lido_conn conn = play_take(ctx);

    number_elsewhere = play_number(&conn);
    play_give(&conn);
}

/* 1.8 StaticPool
   SQLAlchemy: one record for all, lent to any number at the same time.
   lido: same */
Test(parity_static_kind, all_threads_share_one_connection)
{
    lido_pool *pool = play_open_kind("static");
    struct lido_conn first = play_take(pool), second = play_take(pool);

    play_on_thread(take_elsewhere, pool);

    cr_expect_eq(play_number(&first), 1);
    cr_expect_eq(play_number(&second), 1);
    cr_expect_eq(number_elsewhere, 1);
    cr_expect_eq(play_open_count(), 1);
    play_give(&first);
    play_give(&second);
    play_end(pool);
}

static int rows_after_other_closed(int shared_transaction)
{
    struct lido_pool_options options = play_options("static");
    struct lido_conn writer, other;
    lido_pool *pool;
    int rows;

    options.shared_transaction = shared_transaction;
    pool = play_open_file(&options);
    writer = play_take(pool);
    other = play_take(pool);
    play_execute(&writer, "create table t (x)");
    cr_assert_eq(lido_txn_begin(&writer, LIDO_IMMEDIATE, NULL), LIDO_OK);
    play_execute(&writer, "insert into t values (1)");
    play_give(&other);
    rows = play_ask(&writer, "select count(*) from t");
    play_give(&writer);
    play_end_file(pool);
    return rows;
}

/* 1.8 StaticPool, one transaction
   SQLAlchemy: all share it, so closing one fairy rolls back the others' work.
   lido: better: a transaction is the lease's that began it, and others wait to begin theirs;
   `shared_transaction=1` gives SQLAlchemy's mixing */
Test(parity_static_kind, closing_one_lease_does_not_roll_back_anothers_work)
{
    cr_expect_eq(rows_after_other_closed(0), 1);
    cr_expect_eq(rows_after_other_closed(1), 0);
}

/* 1.8 StaticPool, invalidated
   SQLAlchemy: the record is replaced at the next connect in main; 0.9 reconnects it.
   lido: same: as in main */
Test(parity_static_kind, an_invalidated_connection_is_replaced)
{
    lido_pool *pool = play_open_kind("static");
    struct lido_conn conn = play_take(pool);

    cr_assert_eq(lido_conn_invalidate(&conn, NULL, NULL), LIDO_OK);
    conn = play_take(pool);
    cr_expect_eq(play_number(&conn), 2);

    play_give(&conn);
    cr_assert_eq(lido_pool_invalidate(pool, NULL), LIDO_OK);
    conn = play_take(pool);
    cr_expect_eq(play_number(&conn), 3);
    play_give(&conn);
    play_end(pool);
}

/* 1.8 StaticPool, softly invalidated
   SQLAlchemy: replaced at the next connect, and the old connection is never closed.
   lido: better: the old one is closed when its last lease ends */
Test(parity_static_kind, a_softly_invalidated_connection_is_closed_with_its_last_lease)
{
    lido_pool *pool = play_open_kind("static");
    struct lido_conn old = play_take(pool), new;

    cr_assert_eq(lido_conn_invalidate_soft(&old, NULL, NULL), LIDO_OK);
    new = play_take(pool);
    cr_expect_eq(play_number(&new), 2);
    cr_expect_eq(play_number(&old), 1);

    play_give(&old);
    cr_expect_eq(play_open_count(), 1);
    play_give(&new);
    play_end(pool);
}

/* 1.8 StaticPool, recycle
   SQLAlchemy: works.
   lido: same: who has the old one keeps it until its lease ends */
Test(parity_static_kind, an_old_connection_is_replaced)
{
    struct lido_pool_options options = play_options("static");
    struct lido_conn conn;
    lido_pool *pool;

    options.pool_recycle_ms = 1000;
    pool = play_open(&options);
    conn = play_take(pool);
    play_give(&conn);
    fake_clock_advance_ms(1001);
    conn = play_take(pool);

    cr_expect_eq(play_number(&conn), 2);
    play_give(&conn);
    play_end(pool);
}

/* 1.8 StaticPool, recreate()
   SQLAlchemy: shares only the creator: the new pool has a connection of its own.
   lido: same: and the settings and hooks */
Test(parity_static_kind, a_recreated_pool_has_a_connection_of_its_own)
{
    lido_pool *pool = play_open_kind("static"), *again;
    struct lido_conn old = play_take(pool), new;

    cr_assert_eq(lido_pool_recreate(pool, &again, NULL), LIDO_OK);
    new = play_take(again);

    cr_expect_eq(play_number(&old), 1);
    cr_expect_eq(play_number(&new), 2);
    play_give(&new);
    play_give(&old);
    play_end(pool);
    play_end(again);
}
