/* SPDX-License-Identifier: MIT */
/*
 * What a token that is fired does not interrupt: a rollback, and what is done with savepoints.
 */
#include "tests/support/handy.h"
#include "tests/support/latch.h"
#include <lido/lido.h>

#include <criterion/criterion.h>

static lido_cancel *token;

static void make_token(void)
{
    cr_assert_eq(lido_cancel_new(&token, &handy_err), LIDO_OK);
    latch_set_up();
    latch_open();
}

static void free_token(void)
{
    lido_cancel_free(token);
}

TestSuite(cancel_ending, .init = make_token, .fini = free_token);

static void fire(void)
{
    cr_assert_eq(lido_cancel_fire(token, &handy_err), LIDO_OK);
}

static struct lido_conn take_with_token(lido_pool *pool)
{
    struct lido_checkout_options options = LIDO_CHECKOUT_OPTIONS_INIT;
    struct lido_conn conn;

    options.cancel = token;
    cr_assert_eq(lido_pool_checkout(pool, &conn, &options, &handy_err), LIDO_OK, "%s",
                 handy_err.text);
    return conn;
}

/* SQLite asks every so many steps of a statement, those of its earlier runs among them: one
   that is short is asked about when it has run often. */
Test(cancel_ending, a_rollback_is_not_interrupted_however_often_it_ran)
{
    struct lido_pool_options options = handy_options("singleton_thread");
    lido_pool *pool = handy_open_url("sqlite://", &options);
    struct lido_conn conn = take_with_token(pool);
    int failed = 0;

    for (int i = 0; i < 1000; i++) {
        lido_cancel_reset(token);
        cr_assert_eq(lido_txn_begin(&conn, LIDO_DEFERRED, &handy_err), LIDO_OK);
        fire();
        failed += lido_txn_rollback(&conn, &handy_err) != LIDO_OK;
    }
    cr_expect_eq(failed, 0, "%s", handy_err.text);
    handy_give(&conn);
    lido_pool_free(pool);
}

static int set_slowly(void *ctx, void *handle, int what, const char *name,
                      struct lido_error *err)
{
    int rc = latch_add_to(handle);

    fire();
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(handle, LATCH_LONG, NULL, NULL, NULL);
    return rc != SQLITE_OK ? rc
                           : lido_driver_sqlite()->savepoint(ctx, handle, what, name, err);
}

Test(cancel_ending, a_savepoint_that_takes_long_is_not_interrupted)
{
    struct lido_pool_options options = handy_options("singleton_thread");
    struct lido_driver table = *lido_driver_sqlite();
    struct lido_conn conn;
    lido_pool *pool;

    table.savepoint = set_slowly;
    cr_assert_eq(lido_driver_register("slow", &table, NULL, &handy_err), LIDO_OK);
    pool = handy_open_url("slow:///:memory:", &options);
    conn = take_with_token(pool);
    cr_assert_eq(lido_txn_begin(&conn, LIDO_DEFERRED, &handy_err), LIDO_OK);
    cr_expect_eq(lido_txn_savepoint(&conn, "a", &handy_err), LIDO_OK, "%s", handy_err.text);
    handy_give(&conn);
    lido_pool_free(pool);
}
