/* SPDX-License-Identifier: MIT */
/*
 * What no caller should pass: nothing where something is wanted, leases that are empty, over,
 * made up or of a pool that is closed or gone.  Every call answers a code with a text, and
 * what is good beside them stays good.
 */
#include "tests/support/fake_driver.h"
#include <lido/lido.h>

#include <criterion/criterion.h>
#include <string.h>

static struct lido_error err;
static lido_pool *pool;

static lido_pool *open_pool(void)
{
    lido_pool *opened;

    cr_assert_eq(lido_pool_open(&opened, "fake:///x?pool=queue&pool_timeout=0", NULL, &err),
                 LIDO_OK, "%s", err.text);
    return opened;
}

static void set_up(void)
{
    fake_driver_install();
    pool = open_pool();
}

static void tear_down(void)
{
    lido_pool_free(pool);
    cr_assert_eq(fake_driver_open_count(), 0);
}

TestSuite(bad_arguments, .init = set_up, .fini = tear_down, .timeout = 20);

static struct lido_conn take(lido_pool *from)
{
    struct lido_conn conn;

    cr_assert_eq(lido_pool_checkout(from, &conn, NULL, &err), LIDO_OK, "%s", err.text);
    return conn;
}

static void give(struct lido_conn *conn)
{
    cr_assert_eq(lido_conn_checkin(conn, NULL, &err), LIDO_OK, "%s", err.text);
}

/* That the last call failed with `code` and told why; forgets it. */
static void expect_told(int rc, int code, const char *what)
{
    cr_assert_eq(rc, code, "%s answered %s", what, lido_status_name(rc));
    cr_assert_eq(err.code, code, "%s", what);
    cr_assert_neq(err.text[0], '\0', "%s", what);
    err = (struct lido_error)LIDO_ERROR_INIT;
}

static int never(void *ctx, const struct lido_holder *holder)
{
    (void)holder;
    ++*(int *)ctx;
    return 0;
}

/* --- leases --------------------------------------------------------------------------- */

/* The same of savepoints and levels, whatever stands beside the lease. */
static void expect_savepoints_refused(const struct lido_conn *conn, int code)
{
    static const char *const names[] = { "a", "", NULL };
    struct lido_savepoint point = { "before" };

    cr_assert_null(lido_conn_isolation(conn));
    for (int i = 0; i < 3; i++) {
        expect_told(lido_txn_savepoint(conn, names[i], &err), code, "savepoint");
        expect_told(lido_txn_rollback_to(conn, names[i], &err), code, "rollback_to");
        expect_told(lido_txn_release(conn, names[i], &err), code, "release");
        expect_told(lido_conn_set_isolation(conn, names[i], &err), code, "isolation");
    }
    expect_told(lido_txn_savepoint_next(conn, &point, &err), code, "savepoint_next");
    cr_assert_str_eq(point.name, "");
    expect_told(lido_txn_savepoint_next(conn, NULL, &err), SQLITE_MISUSE, "no out");
    cr_assert_eq(lido_txn_savepoint(conn, "a", NULL), code);
    cr_assert_eq(lido_txn_savepoint_next(conn, &point, NULL), code);
    cr_assert_eq(lido_txn_rollback_to(conn, "a", NULL), code);
    cr_assert_eq(lido_txn_release(conn, "a", NULL), code);
    cr_assert_eq(lido_conn_set_isolation(conn, "SERIALIZABLE", NULL), code);
}

/* Every call that takes a lease answers `code`, with a text or without being asked for one,
   and the lease stays as it is. */
static void expect_refused(const struct lido_conn *lease, int code)
{
    struct lido_conn copy = lease != NULL ? *lease : (struct lido_conn)LIDO_CONN_INIT;
    struct lido_conn *conn = lease != NULL ? &copy : NULL;
    int outcome = LIDO_OUTCOME_COMMITTED;

    err = (struct lido_error)LIDO_ERROR_INIT;
    cr_assert_null(lido_conn_sqlite(conn));
    cr_assert_null(lido_conn_handle(conn));
    cr_assert_null(lido_conn_pool(conn));
    cr_assert_eq(lido_txn_state(conn), LIDO_TXN_UNKNOWN);
    cr_assert_eq(err.code, 0);

    expect_told(lido_conn_checkin(conn, NULL, &err), code, "checkin");
    expect_told(lido_conn_hand_over(conn, &err), code, "hand_over");
    expect_told(lido_conn_set_label(conn, "x", &err), code, "set_label");
    expect_told(lido_conn_set_label(conn, NULL, &err), code, "set_label");
    expect_told(lido_txn_begin(conn, LIDO_DEFERRED, &err), code, "begin");
    expect_told(lido_txn_begin(conn, 99, &err), code, "begin");
    expect_told(lido_txn_commit(conn, &outcome, &err), code, "commit");
    cr_assert_eq(outcome, LIDO_OUTCOME_UNKNOWN);
    expect_told(lido_txn_rollback(conn, &err), code, "rollback");
    expect_savepoints_refused(conn, code);
    expect_told(lido_txn_limit(conn, 5, &err), code, "limit");
    expect_told(lido_conn_cancel(conn, &err), code, "cancel");
    expect_told(lido_conn_check(conn, &err), code, "check");

    cr_assert_eq(lido_conn_checkin(conn, NULL, NULL), code);
    cr_assert_eq(lido_conn_hand_over(conn, NULL), code);
    cr_assert_eq(lido_conn_set_label(conn, "x", NULL), code);
    cr_assert_eq(lido_txn_begin(conn, LIDO_DEFERRED, NULL), code);
    cr_assert_eq(lido_txn_commit(conn, NULL, NULL), code);
    cr_assert_eq(lido_txn_rollback(conn, NULL), code);
    cr_assert_eq(lido_txn_limit(conn, -9, NULL), code);
    cr_assert_eq(lido_conn_cancel(conn, NULL), code);
    cr_assert_eq(lido_conn_check(conn, NULL), code);
    if (lease != NULL) {
        cr_assert_eq(copy.cell, lease->cell);
        cr_assert_eq(copy.generation, lease->generation);
    }
}

Test(bad_arguments, no_token_and_an_impossible_limit)
{
    struct lido_conn conn = take(pool);

    expect_told(lido_cancel_new(NULL, &err), SQLITE_MISUSE, "new");
    expect_told(lido_cancel_fire(NULL, &err), SQLITE_MISUSE, "fire");
    cr_assert_eq(lido_cancel_fire(NULL, NULL), SQLITE_MISUSE);
    cr_assert_eq(lido_cancel_is_fired(NULL), 0);
    lido_cancel_reset(NULL);
    lido_cancel_free(NULL);
    expect_told(lido_txn_limit(&conn, -2, &err), LIDO_BAD_OPTION, "limit");
    cr_assert_eq(lido_txn_limit(&conn, INT64_MAX, &err), LIDO_OK);
    cr_assert_eq(lido_txn_begin(&conn, LIDO_DEFERRED, &err), LIDO_OK);
    cr_assert_eq(lido_txn_commit(&conn, NULL, &err), LIDO_OK);
    give(&conn);
}

Test(bad_arguments, no_lease_at_all)
{
    expect_refused(NULL, SQLITE_MISUSE);
}

Test(bad_arguments, a_lease_of_zeros)
{
    struct lido_conn zeros = LIDO_CONN_INIT, numbered = { NULL, 12345 };

    expect_refused(&zeros, LIDO_STALE);
    expect_refused(&numbered, LIDO_STALE);
}

Test(bad_arguments, a_lease_that_was_checked_in)
{
    struct lido_conn conn = take(pool), copy = conn;

    give(&conn);
    expect_refused(&conn, LIDO_STALE);
    expect_refused(&copy, LIDO_STALE);
}

Test(bad_arguments, a_lease_whose_connection_is_lent_again)
{
    struct lido_conn conn = take(pool), copy = conn, next;

    give(&conn);
    next = take(pool);
    cr_assert_eq(next.cell, copy.cell);
    expect_refused(&copy, LIDO_STALE);
    cr_assert_not_null(lido_conn_handle(&next));
    give(&next);
}

Test(bad_arguments, a_lease_with_the_generation_of_another)
{
    struct lido_conn conn = take(pool), other = conn;

    other.generation = 0;
    expect_refused(&other, LIDO_STALE);
    other.generation = conn.generation - 1;
    expect_refused(&other, LIDO_STALE);
    other.generation = conn.generation + 1;
    expect_refused(&other, LIDO_STALE);
    other.generation = UINT64_MAX;
    expect_refused(&other, LIDO_STALE);
    give(&conn);
}

/* A lease put together of two: the slot of one pool and the generation of another's. */
Test(bad_arguments, a_lease_of_another_pool_s_slot)
{
    lido_pool *other_pool = open_pool();
    struct lido_conn conn = take(pool), other, mixed;

    for (int i = 0; i < 3; i++) { /* the generations of the two must differ */
        other = take(other_pool);
        give(&other);
    }
    other = take(other_pool);
    mixed = (struct lido_conn){ conn.cell, other.generation };
    cr_assert_neq(conn.generation, other.generation);
    expect_refused(&mixed, LIDO_STALE);
    cr_assert_eq(lido_conn_pool(&conn), pool);
    cr_assert_eq(lido_conn_pool(&other), other_pool);
    give(&conn);
    give(&other);
    lido_pool_free(other_pool);
}

Test(bad_arguments, a_lease_of_a_closed_pool_ends_as_any_other)
{
    struct lido_conn conn = take(pool), copy = conn;

    cr_assert_eq(lido_pool_close(pool, 0, &err), LIDO_BUSY_LEASES);
    cr_assert_eq(lido_txn_begin(&conn, LIDO_DEFERRED, &err), LIDO_OK, "it stays good");
    cr_assert_eq(lido_txn_commit(&conn, NULL, &err), LIDO_OK);
    cr_assert_eq(lido_conn_set_label(&conn, "late", &err), LIDO_OK);
    give(&conn);
    expect_refused(&copy, LIDO_STALE);
    cr_assert_eq(lido_pool_close(pool, 0, &err), LIDO_OK);
    expect_refused(&copy, LIDO_STALE);
}

Test(bad_arguments, a_lease_of_a_pool_that_is_gone)
{
    lido_pool *gone = open_pool();
    struct lido_conn conn = take(gone), copy = conn, now;

    give(&conn);
    lido_pool_free(gone);
    expect_refused(&copy, LIDO_STALE);
    now = take(pool);
    expect_refused(&copy, LIDO_STALE);
    give(&now);
}

Test(bad_arguments, options_of_a_checkin_of_a_wrong_size_leave_the_lease)
{
    struct lido_conn conn = take(pool);
    struct lido_checkin_options options = LIDO_CHECKIN_OPTIONS_INIT;

    options.size--;
    expect_told(lido_conn_checkin(&conn, &options, &err), SQLITE_MISUSE, "checkin");
    cr_assert_not_null(lido_conn_handle(&conn), "the lease stays");
    give(&conn);
}

/* --- pools ---------------------------------------------------------------------------- */

Test(bad_arguments, no_pool)
{
    struct lido_pool_stats stats = LIDO_POOL_STATS_INIT;
    struct lido_conn conn = { &conn, 1 };
    int visits = 0;

    expect_told(lido_pool_checkout(NULL, &conn, NULL, &err), SQLITE_MISUSE, "checkout");
    cr_assert_null(conn.cell);
    cr_assert_eq(conn.generation, 0);
    expect_told(lido_pool_stats(NULL, &stats, &err), SQLITE_MISUSE, "stats");
    expect_told(lido_pool_holders(NULL, never, &visits, &err), SQLITE_MISUSE, "holders");
    cr_assert_eq(visits, 0);
    cr_assert_null(lido_pool_hooks(NULL));
    cr_assert_eq(lido_pool_close(NULL, 0, &err), LIDO_OK);
    cr_assert_eq(lido_pool_close(NULL, -7, &err), LIDO_OK);
    lido_pool_free(NULL);

    cr_assert_eq(lido_pool_checkout(NULL, &conn, NULL, NULL), SQLITE_MISUSE);
    cr_assert_eq(lido_pool_stats(NULL, &stats, NULL), SQLITE_MISUSE);
    cr_assert_eq(lido_pool_holders(NULL, never, &visits, NULL), SQLITE_MISUSE);
}

Test(bad_arguments, nowhere_to_put_the_answer)
{
    expect_told(lido_pool_checkout(pool, NULL, NULL, &err), SQLITE_MISUSE, "checkout");
    expect_told(lido_pool_checkout(NULL, NULL, NULL, &err), SQLITE_MISUSE, "checkout");
    expect_told(lido_pool_stats(pool, NULL, &err), SQLITE_MISUSE, "stats");
    expect_told(lido_pool_holders(pool, NULL, NULL, &err), SQLITE_MISUSE, "holders");
    expect_told(lido_pool_open(NULL, "fake:///x", NULL, &err), SQLITE_MISUSE, "open");
    expect_told(lido_pool_open(NULL, NULL, NULL, &err), SQLITE_MISUSE, "open");
    cr_assert_eq(lido_pool_open(NULL, NULL, NULL, NULL), SQLITE_MISUSE);
    cr_assert_str_eq(fake_driver_calls(), "", "nothing was opened");
}

Test(bad_arguments, no_url)
{
    lido_pool *none = pool;

    expect_told(lido_pool_open(&none, NULL, NULL, &err), SQLITE_MISUSE, "open");
    cr_assert_null(none);
    expect_told(lido_pool_open(&none, "", NULL, &err), LIDO_BAD_URL, "open");
    cr_assert_null(none);
    cr_assert_eq(lido_pool_open(&none, "", NULL, NULL), LIDO_BAD_URL);
}

Test(bad_arguments, checkout_options_that_are_none)
{
    struct lido_checkout_options options = LIDO_CHECKOUT_OPTIONS_INIT;
    struct lido_conn conn;

    options.size = 0;
    expect_told(lido_pool_checkout(pool, &conn, &options, &err), SQLITE_MISUSE, "size 0");
    options.size = sizeof options + 8;
    expect_told(lido_pool_checkout(pool, &conn, &options, &err), SQLITE_MISUSE, "size + 8");
    options.size = sizeof options;
    options.timeout_ms = INT64_MIN + 1;
    expect_told(lido_pool_checkout(pool, &conn, &options, &err), LIDO_BAD_OPTION,
                "timeout");
    cr_assert_null(conn.cell);
    cr_assert_str_eq(fake_driver_calls(), "", "nothing was opened");
}

Test(bad_arguments, statistics_of_a_size_that_is_none)
{
    struct lido_pool_stats stats = LIDO_POOL_STATS_INIT;

    stats.size = 0;
    expect_told(lido_pool_stats(pool, &stats, &err), SQLITE_MISUSE, "size 0");
    stats.size = sizeof stats.size - 1;
    expect_told(lido_pool_stats(pool, &stats, &err), SQLITE_MISUSE, "size 7");
    stats.size = sizeof stats + 1;
    expect_told(lido_pool_stats(pool, &stats, &err), SQLITE_MISUSE, "size + 1");
    stats.size = SIZE_MAX;
    expect_told(lido_pool_stats(pool, &stats, &err), SQLITE_MISUSE, "the largest size");
}

Test(bad_arguments, statistics_are_written_no_further_than_their_size)
{
    struct lido_pool_stats stats = LIDO_POOL_STATS_INIT;

    stats.size = offsetof(struct lido_pool_stats, limit);
    stats.limit = 4711;
    cr_assert_eq(lido_pool_stats(pool, &stats, &err), LIDO_OK);
    cr_assert_eq(stats.size, offsetof(struct lido_pool_stats, limit));
    cr_assert_str_eq(stats.kind, "queue");
    cr_assert_eq(stats.limit, 4711);
}

Test(bad_arguments, a_deadline_below_for_ever_closes_nothing)
{
    struct lido_conn conn;

    expect_told(lido_pool_close(pool, -2, &err), LIDO_BAD_OPTION, "close");
    expect_told(lido_pool_close(pool, INT64_MIN, &err), LIDO_BAD_OPTION, "close");
    conn = take(pool);
    give(&conn);
}

Test(bad_arguments, a_closed_pool_lends_nothing_and_tells_the_rest)
{
    struct lido_pool_stats stats = LIDO_POOL_STATS_INIT;
    struct lido_conn conn = take(pool), none;
    int visits = 0;

    give(&conn);
    cr_assert_eq(lido_pool_close(pool, 0, &err), LIDO_OK);
    expect_told(lido_pool_checkout(pool, &none, NULL, &err), LIDO_CLOSED, "checkout");
    cr_assert_null(none.cell);
    cr_assert_eq(lido_pool_checkout(pool, &none, NULL, NULL), LIDO_CLOSED);
    cr_assert_eq(lido_pool_stats(pool, &stats, &err), LIDO_OK);
    cr_assert(stats.is_closed);
    cr_assert_eq(stats.live, 0);
    cr_assert_eq(lido_pool_holders(pool, never, &visits, &err), LIDO_OK);
    cr_assert_eq(visits, 0);
    cr_assert_not_null(lido_pool_hooks(pool));
    cr_assert_eq(lido_pool_close(pool, -1, &err), LIDO_OK, "again");
}

/* --- everything else ------------------------------------------------------------------ */

static int destroyed;

static void count_destroy(void *ctx)
{
    (void)ctx;
    destroyed++;
}

Test(bad_arguments, hooks_without_a_target_or_events)
{
    static const struct lido_events events = { .size = sizeof events };
    struct lido_hook_options options = LIDO_HOOK_OPTIONS_INIT;
    lido_hooks *hooks = lido_pool_hooks(pool);
    lido_hook hook = 1;

    options.destroy = count_destroy;
    expect_told(lido_hooks_add(NULL, &hook, &events, NULL, &options, &err), SQLITE_MISUSE,
                "add");
    cr_assert_eq(hook, 0);
    expect_told(lido_hooks_add(hooks, NULL, NULL, NULL, &options, &err), SQLITE_MISUSE,
                "add");
    cr_assert_eq(lido_hooks_add(NULL, NULL, NULL, NULL, &options, NULL), SQLITE_MISUSE);
    cr_assert_eq(destroyed, 3);
    expect_told(lido_hooks_remove(NULL, 1, &err), SQLITE_MISUSE, "remove");
    expect_told(lido_hooks_remove(hooks, 0, &err), LIDO_NOT_FOUND, "remove");
    cr_assert_eq(lido_hooks_remove(hooks, UINT64_MAX, NULL), LIDO_NOT_FOUND);
    cr_assert_eq(lido_hooks_contains(NULL, 1), 0);
    cr_assert_eq(lido_hooks_contains(hooks, 0), 0);
    cr_assert_null(lido_hooks_kind(NULL));
    cr_assert_null(lido_hooks_kind(""));
    cr_assert_null(lido_hooks_kind("stack"));
}

Test(bad_arguments, drivers_without_a_name_or_a_table)
{
    struct lido_driver driver = *lido_driver_sqlite();

    expect_told(lido_driver_register(NULL, &driver, NULL, &err), SQLITE_MISUSE, "register");
    expect_told(lido_driver_register("", &driver, NULL, &err), SQLITE_MISUSE, "register");
    expect_told(lido_driver_register("a b", &driver, NULL, &err), SQLITE_MISUSE,
                "register");
    expect_told(lido_driver_register("x", NULL, NULL, &err), SQLITE_MISUSE, "register");
    driver.connect = NULL;
    expect_told(lido_driver_register("x", &driver, NULL, &err), SQLITE_MISUSE, "register");
    driver = *lido_driver_sqlite();
    driver.size = sizeof driver + 1;
    expect_told(lido_driver_register("x", &driver, NULL, &err), SQLITE_MISUSE, "register");
    cr_assert_eq(lido_driver_register("x", NULL, NULL, NULL), SQLITE_MISUSE);
    expect_told(lido_driver_unregister(NULL, &err), LIDO_NOT_FOUND, "unregister");
    expect_told(lido_driver_unregister("x", &err), LIDO_NOT_FOUND, "unregister");
    cr_assert_eq(lido_driver_unregister(NULL, NULL), LIDO_NOT_FOUND);
}

static int connect_to_nothing(void *ctx, const struct lido_connect *how,
                              lido_record *record, void **handle, struct lido_error *why)
{
    (void)ctx, (void)how, (void)record, (void)handle, (void)why;
    return LIDO_OK;
}

static int close_nothing(void *ctx, void *handle, int terminate, struct lido_error *why)
{
    (void)ctx, (void)handle, (void)terminate, (void)why;
    return LIDO_OK;
}

static int no_state(void *ctx, void *handle)
{
    (void)ctx, (void)handle;
    return LIDO_TXN_NONE;
}

Test(bad_arguments, a_driver_that_connects_without_a_handle)
{
    static const struct lido_driver driver = {
        .size = sizeof driver,
        .name = "empty",
        .connect = connect_to_nothing,
        .close = close_nothing,
        .txn_state = no_state,
    };
    struct lido_conn conn;
    lido_pool *empty;

    cr_assert_eq(lido_driver_register("empty", &driver, NULL, &err), LIDO_OK);
    cr_assert_eq(lido_pool_open(&empty, "empty:///x?pool=queue", NULL, &err), LIDO_OK);
    expect_told(lido_pool_checkout(empty, &conn, NULL, &err), SQLITE_MISUSE, "checkout");
    cr_assert_null(conn.cell);
    cr_assert_eq(lido_pool_close(empty, 0, &err), LIDO_OK);
    lido_pool_free(empty);
}

static int connect_to_something(void *ctx, const struct lido_connect *how,
                                lido_record *record, void **handle, struct lido_error *why)
{
    (void)ctx, (void)how, (void)why;
    *handle = record;
    return LIDO_OK;
}

Test(bad_arguments, a_transaction_on_a_driver_that_has_none)
{
    static const struct lido_driver driver = {
        .size = sizeof driver,
        .name = "plain",
        .connect = connect_to_something,
        .close = close_nothing,
        .txn_state = no_state,
    };
    int outcome = LIDO_OUTCOME_COMMITTED;
    struct lido_conn conn;
    lido_pool *plain;

    cr_assert_eq(lido_driver_register("plain", &driver, NULL, &err), LIDO_OK);
    cr_assert_eq(lido_pool_open(&plain, "plain:///x?pool=queue", NULL, &err), LIDO_OK);
    conn = take(plain);
    expect_told(lido_txn_begin(&conn, LIDO_DEFERRED, &err), SQLITE_MISUSE, "begin");
    expect_told(lido_txn_commit(&conn, &outcome, &err), SQLITE_MISUSE, "commit");
    cr_assert_eq(outcome, LIDO_OUTCOME_UNKNOWN);
    expect_told(lido_txn_rollback(&conn, &err), SQLITE_MISUSE, "rollback");
    expect_savepoints_refused(&conn, SQLITE_MISUSE);
    cr_assert_eq(lido_txn_state(&conn), LIDO_TXN_NONE);
    cr_assert_null(lido_conn_sqlite(&conn));
    give(&conn);
    lido_pool_free(plain);
}
