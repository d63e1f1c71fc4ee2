/* SPDX-License-Identifier: MIT */
/*
 * Corners where two rules of a pool meet: closing and detaching, dispose and hand-over, the
 * end of a thread and a check-in by another.
 */
#include "pool/pool.h"
#include "tests/support/handy.h"
#include "tests/support/worker.h"

#include <criterion/criterion.h>
#include <lido/record.h>
#include <stdatomic.h>
#include <string.h>

TestSuite(pool_corners, .timeout = 20);

static void close_for_ever(struct worker *worker)
{
    worker->rc = lido_pool_close(worker->pool, -1, &worker->err);
}

static void wait_until_closed(lido_pool *pool)
{
    while (!handy_stats(pool).is_closed)
        continue;
}

/* Who closes does not wait for what left the pool, also if that was after dispose(). */
Test(pool_corners, detaching_what_was_disowned_lets_the_pool_close)
{
    static const char *const kinds[] = { "singleton_thread", "static", "assertion" };

    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        struct lido_pool_options options = handy_options(kinds[i]);
        lido_pool *pool = handy_open(&options);
        struct lido_conn conn = handy_take(pool);
        struct worker worker;

        cr_assert_eq(lido_pool_dispose(pool, NULL), LIDO_OK);
        worker_start(&worker, pool);
        worker_ask(&worker, close_for_ever);
        wait_until_closed(pool);
        cr_assert_eq(lido_conn_detach(&conn, &handy_err), LIDO_OK, "%s", handy_err.text);
        worker_await(&worker);
        cr_expect_eq(worker.rc, LIDO_OK, "%s: %s", kinds[i], worker.err.text);
        worker_end(&worker);
        handy_give(&conn);
        handy_end(pool);
    }
}

Test(pool_corners, stealing_what_was_disowned_lets_the_pool_close)
{
    struct lido_pool_options options = handy_options("assertion");
    lido_pool *pool = handy_open(&options);
    struct lido_conn conn = handy_take(pool);
    struct worker worker;
    void *handle;

    cr_assert_eq(lido_pool_dispose(pool, NULL), LIDO_OK);
    worker_start(&worker, pool);
    worker_ask(&worker, close_for_ever);
    wait_until_closed(pool);
    cr_assert_eq(lido_conn_steal(&conn, &handle, &handy_err), LIDO_OK);
    worker_await(&worker);
    cr_expect_eq(worker.rc, LIDO_OK, "%s", worker.err.text);
    worker_end(&worker);
    fake_driver_close(handle);
    handy_end(pool);
}

static atomic_int is_held;

static int hold(void *ctx, const struct lido_event *event, struct lido_error *err)
{
    (void)ctx, (void)event, (void)err;
    atomic_store(&is_held, 1);
    while (atomic_load(&is_held) == 1)
        continue;
    return LIDO_OK;
}

/* Its thread ends while another checks the lease in: nobody else would ever get it. */
Test(pool_corners, a_connection_whose_thread_ends_during_its_checkin_is_closed)
{
    static const struct lido_events events = { .size = sizeof events, .checkin = hold };
    struct lido_pool_options options = handy_options("singleton_thread");
    struct worker owner, other;
    lido_pool *pool;

    options.check_same_thread = 0;
    pool = handy_open(&options);
    cr_assert_eq(lido_hooks_add(lido_pool_hooks(pool), NULL, &events, NULL, NULL, NULL),
                 LIDO_OK);
    worker_start(&owner, pool);
    worker_start(&other, pool);
    worker_tell(&owner, worker_take);
    other.conn = owner.conn;
    worker_ask(&other, worker_give);
    while (atomic_load(&is_held) == 0)
        continue;
    worker_end(&owner);
    atomic_store(&is_held, 2);
    worker_await(&other);
    cr_expect_eq(other.rc, LIDO_OK);
    cr_expect_eq(handy_stats(pool).live, 0);
    cr_expect_eq(fake_driver_open_count(), 0);
    worker_end(&other);
    handy_end(pool);
}

/* The same where it is in use: the check-in closes it. */
Test(pool_corners, a_connection_whose_thread_ended_is_closed_at_its_checkin)
{
    struct lido_pool_options options = handy_options("singleton_thread");
    struct worker owner;
    struct lido_conn conn;
    lido_pool *pool;

    options.check_same_thread = 0;
    pool = handy_open(&options);
    worker_start(&owner, pool);
    worker_tell(&owner, worker_take);
    conn = owner.conn;
    worker_end(&owner);
    cr_expect_eq(handy_number(&conn), 1);
    handy_give(&conn);
    cr_expect_eq(handy_stats(pool).live, 0);
    handy_end(pool);
}

/* Another thread is just ending the other lease of the same connection: whoever is the last,
   what was invalidated is not lent again. */
Test(pool_corners, an_invalidation_beside_a_checkin_is_not_lost)
{
    struct lido_pool_options options = handy_options("singleton_thread");
    struct lido_conn one, two;
    struct lido__cell *cell;
    lido_pool *pool;

    options.check_same_thread = 0;
    pool = handy_open(&options);
    one = handy_take(pool);
    two = handy_take(pool);
    cell = two.cell;
    cr_assert(
        lido__cell_try(cell, lido__slot_word(two.generation, LIDO__LENT), LIDO__RETURNING));
    cr_expect_eq(lido_conn_invalidate(&one, NULL, &handy_err), LIDO_OK);
    cr_assert(lido__share_leave(pool, cell));
    cr_expect_eq(lido__record_return(pool, lido__cell_record(cell), false, false, NULL),
                 LIDO_OK);
    one = handy_take(pool);
    cr_expect_eq(handy_number(&one), 2);
    handy_give(&one);
    cr_expect_eq(fake_driver_open_count(), 1);
    handy_end(pool);
}

/* --- hooks that close what they are called for ------------------------------------------- */

static int close_it(void *ctx, const struct lido_event *event, struct lido_error *err)
{
    (void)ctx;
    cr_expect_not_null(event->handle);
    return lido_record_close(event->record, err);
}

static int want_handle(void *ctx, const struct lido_event *event, struct lido_error *err)
{
    (void)ctx, (void)err;
    cr_expect_not_null(event->handle);
    return LIDO_OK;
}

Test(pool_corners, a_hook_that_closes_the_connection_is_named)
{
    static const struct lido_events closers[] = {
        { .size = sizeof closers[0], .first_connect = close_it },
        { .size = sizeof closers[0], .connect = close_it },
        { .size = sizeof closers[0], .checkout = close_it },
    };
    static const struct lido_events watch = { .size = sizeof watch,
                                              .connect = want_handle,
                                              .checkout = want_handle };
    static const char *const names[] = { "a first_connect hook", "a connect hook",
                                         "a checkout hook" };
    static const char *const kinds[] = { "null", "queue", "singleton_thread", "static",
                                         "assertion" };

    for (size_t i = 0; i < 15; i++) {
        struct lido_pool_options options = handy_options(kinds[i / 3]);
        lido_pool *pool = handy_open(&options);
        lido_hooks *hooks = lido_pool_hooks(pool);
        struct lido_conn conn;
        lido_hook closer;

        cr_assert_eq(lido_hooks_add(hooks, &closer, &closers[i % 3], NULL, NULL, NULL),
                     LIDO_OK);
        if (i % 3 != 2)
            cr_assert_eq(lido_hooks_add(hooks, NULL, &watch, NULL, NULL, NULL), LIDO_OK);
        cr_expect_eq(lido_pool_checkout(pool, &conn, NULL, &handy_err), LIDO_NO_CONNECTION,
                     "%s on %s", names[i % 3], kinds[i / 3]);
        cr_expect_not_null(strstr(handy_err.text, names[i % 3]), "%s", handy_err.text);
        cr_expect_eq(handy_stats(pool).out, 0);
        cr_expect_eq(fake_driver_open_count(), 0);
        cr_expect_eq(lido_hooks_remove(hooks, closer, NULL), LIDO_OK);
        conn = handy_take(pool);
        handy_give(&conn);
        handy_end(pool);
    }
}

static int fail_for_good(void *ctx, const struct lido_event *event, struct lido_error *err)
{
    (void)ctx, (void)event;
    return lido_fail(err, SQLITE_IOERR, "the disk is gone") | LIDO_FATAL;
}

static int finalize_for_good(void *ctx, void *handle, struct lido_error *err)
{
    (void)handle;
    return fail_for_good(ctx, NULL, err);
}

Test(pool_corners, a_text_survives_that_its_code_is_made_fatal)
{
    static const struct lido_events events = { .size = sizeof events,
                                               .reset = fail_for_good };
    struct lido_pool_options options = handy_options("queue");
    lido_pool *pool = handy_open(&options);
    struct lido_conn conn = handy_take(pool);

    cr_assert_eq(lido_conn_add_finalizer(&conn, finalize_for_good, NULL, NULL, &handy_err),
                 LIDO_OK);
    cr_expect_eq(lido_conn_checkin(&conn, NULL, &handy_err), SQLITE_IOERR | LIDO_FATAL);
    cr_expect_eq(handy_err.code, SQLITE_IOERR | LIDO_FATAL);
    cr_expect_str_eq(handy_err.text, "the disk is gone");

    cr_assert_eq(lido_hooks_add(lido_pool_hooks(pool), NULL, &events, NULL, NULL, NULL),
                 LIDO_OK);
    conn = handy_take(pool);
    cr_expect_eq(lido_conn_checkin(&conn, NULL, &handy_err), SQLITE_IOERR | LIDO_FATAL);
    cr_expect_eq(handy_err.code, SQLITE_IOERR | LIDO_FATAL);
    cr_expect_str_eq(handy_err.text, "the disk is gone");
    handy_end(pool);
}

/* --- what the host has on its own handle ------------------------------------------------ */

static int count_temp(sqlite3 *db)
{
    sqlite3_stmt *stmt;
    int count;

    cr_assert_eq(
        sqlite3_prepare_v2(db, "SELECT count(*) FROM sqlite_temp_master", -1, &stmt, NULL),
        SQLITE_OK);
    cr_assert_eq(sqlite3_step(stmt), SQLITE_ROW);
    count = sqlite3_column_int(stmt, 0);
    sqlite3_finalize(stmt);
    return count;
}

Test(pool_corners, an_adopted_handle_keeps_its_temporary_tables)
{
    struct lido_pool_options options = handy_options("queue");
    lido_pool *pool = handy_open_url("sqlite:////dev/null", &options);
    struct lido_conn conn;
    sqlite3 *db;

    cr_assert_eq(sqlite3_open(":memory:", &db), SQLITE_OK);
    cr_assert_eq(sqlite3_exec(db, "CREATE TEMP TABLE t (x)", NULL, NULL, NULL), SQLITE_OK);
    cr_assert_eq(lido_conn_adopt(&conn, pool, db, &handy_err), LIDO_OK);
    cr_assert_eq(lido_txn_begin(&conn, LIDO_IMMEDIATE, &handy_err), LIDO_OK);
    cr_assert_eq(sqlite3_exec(db, "INSERT INTO t VALUES (1)", NULL, NULL, NULL), SQLITE_OK);
    handy_give(&conn);
    cr_expect_eq(count_temp(db), 1);
    cr_expect_eq(sqlite3_get_autocommit(db), 1);
    cr_expect_eq(handy_stats(pool).temp_cleared, 0);
    sqlite3_close(db);
    lido_pool_free(pool);
}

/* What breaks on an adopted handle may have broken for all. */
Test(pool_corners, an_adopted_lease_may_invalidate_the_pool)
{
    struct lido_pool_options options = handy_options("queue");
    lido_pool *pool = handy_open(&options);
    struct lido_conn conn = handy_take(pool), taken;
    void *handle;

    cr_assert_eq(lido_conn_steal(&conn, &handle, NULL), LIDO_OK);
    taken = handy_take(pool);
    handy_give(&taken); /* connection 2 */
    cr_assert_eq(lido_conn_adopt(&conn, pool, handle, NULL), LIDO_OK);
    cr_expect_eq(lido_conn_invalidate_pool(&conn, NULL, NULL), LIDO_OK);
    taken = handy_take(pool);
    cr_expect_eq(handy_number(&taken), 3);
    handy_give(&taken);

    cr_assert_eq(lido_conn_adopt(&conn, pool, handle, NULL), LIDO_OK);
    cr_expect_eq(lido_conn_invalidate_pool(&conn, NULL, NULL), LIDO_OK);
    taken = handy_take(pool);
    cr_expect_eq(handy_number(&taken), 4); /* adopted later than the last time */
    handy_give(&taken);
    fake_driver_close(handle);
    handy_end(pool);
}
