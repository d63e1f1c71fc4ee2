/* SPDX-License-Identifier: MIT */
/*
 * Leases in use on every kind and driver: what hooks may do in the pool, what is cleaned at
 * check-in, who is named, and what the raw connection can do.
 */
#include "tests/support/fake_clock.h"
#include "tests/support/fake_driver.h"
#include "tests/support/stage.h"

#include <criterion/criterion.h>
#include <string.h>

TestSuite(kinds_in_use, .timeout = 60);

static struct lido_error err;

/* Hooks that use the pool. */

static struct stage *used;
static int depth, expected;

static int use_pool(void *ctx, const struct lido_event *event, struct lido_error *out)
{
    struct lido_conn conn;
    int rc = LIDO_OK;

    (void)ctx;
    cr_expect_eq(event->pool, used->pool);
    if (depth++ == 0) {
        rc = lido_pool_checkout(event->pool, &conn, NULL, out);
        cr_expect_eq(rc, expected, "%s: %s %s", used->name, lido_status_name(rc),
                     out->text);
        rc = rc == LIDO_OK ? lido_conn_checkin(&conn, NULL, out) : LIDO_OK;
    }
    depth--;
    return rc;
}

static const struct lido_events users[] = {
    { .size = sizeof users[0], .first_connect = use_pool },
    { .size = sizeof users[0], .connect = use_pool },
    { .size = sizeof users[0], .checkout = use_pool },
    { .size = sizeof users[0], .reset = use_pool },
    { .size = sizeof users[0], .checkin = use_pool },
};

/* A thread's only connection cannot be had while it is being opened; one that goes back is
   nobody's, but not free yet. */
static int expected_inside(const struct stage *stage, size_t hook)
{
    if (stage->second == STAGE_REFUSES)
        return LIDO_CHECKED_OUT;
    if (stage->second == STAGE_SHARES && hook < 2)
        return LIDO_RECURSION;
    return strcmp(stage->kind, "static") == 0 && hook > 2 ? LIDO_POOL_TIMEOUT : LIDO_OK;
}

static void use_inside_hooks(struct stage *stage)
{
    lido_hooks *hooks = lido_pool_hooks(stage->pool);

    used = stage;
    for (size_t i = 0; i < sizeof users / sizeof users[0]; i++) {
        lido_hook hook = stage_add_hooks(hooks, &users[i], NULL);

        expected = expected_inside(stage, i);
        for (int n = 0; n < 2; n++) {
            struct lido_conn conn = stage_take(stage);

            cr_expect_eq(stage_stats(stage).out, 1, "%s, hook %zu", stage->name, i);
            stage_give(stage, &conn);
        }
        cr_expect_eq(lido_hooks_remove(hooks, hook, &err), LIDO_OK);
        cr_expect_eq(stage_stats(stage).out, 0, "%s, hook %zu", stage->name, i);
    }
}

Test(kinds_in_use, hooks_may_use_the_same_pool)
{
    stage_run_all(use_inside_hooks);
}

static struct lido_conn stolen;

/* Ends the lease that is being checked out and takes the connection for itself. */
static int steal(void *ctx, const struct lido_event *event, struct lido_error *out)
{
    struct lido_conn lease = *event->conn;
    int rc = LIDO_OK;

    (void)ctx;
    if (depth++ == 0) {
        cr_expect_eq(lido_conn_checkin(&lease, NULL, out), LIDO_OK, "%s", out->text);
        rc = lido_pool_checkout(event->pool, &stolen, NULL, out);
    }
    depth--;
    return rc;
}

static void end_lease_inside_hook(struct stage *stage)
{
    static const struct lido_events thief = { .size = sizeof thief, .checkout = steal };

    stage_add_hooks(lido_pool_hooks(stage->pool), &thief, NULL);
    stage_refuse(stage, LIDO_STALE, "a checkout hook ended the lease");
    cr_expect_not_null(lido_conn_handle(&stolen), "%s: the other lease is gone",
                       stage->name);
    cr_expect_eq(stage_stats(stage).out, 1, "%s", stage->name);
    stage_give(stage, &stolen);
}

Test(kinds_in_use, a_hook_that_ends_its_lease_does_not_end_the_next_one)
{
    stage_run_all(end_lease_inside_hook);
}

static int use_closed_pool(void *ctx, const struct lido_event *event,
                           struct lido_error *out)
{
    struct lido_conn conn;

    (void)ctx, (void)out;
    depth++;
    cr_expect_eq(lido_pool_checkout(event->pool, &conn, NULL, NULL), LIDO_CLOSED);
    return LIDO_OK;
}

static void close_with_lease_out(struct stage *stage)
{
    static const struct lido_events late = { .size = sizeof late,
                                             .close = use_closed_pool };
    struct lido_conn conn = stage_take(stage);

    depth = 0;
    stage_add_hooks(lido_pool_hooks(stage->pool), &late, NULL);
    cr_expect_eq(lido_pool_close(stage->pool, 0, &err), LIDO_BUSY_LEASES, "%s",
                 stage->name);
    cr_expect_not_null(strstr(err.text, "1 lease is still out"), "%s", err.text);
    cr_expect_not_null(lido_conn_handle(&conn), "%s", stage->name);
    stage_refuse(stage, LIDO_CLOSED, "the pool is closed");
    stage_give(stage, &conn);
    cr_expect_eq(depth, 1, "%s: %d close hooks", stage->name, depth);
    cr_expect_eq(stage_stats(stage).live, 0, "%s", stage->name);
}

Test(kinds_in_use, a_lease_outlives_the_closing_of_its_pool)
{
    stage_run_all(close_with_lease_out);
}

/* Cleaning. */

static void leave_transaction_open(struct stage *stage)
{
    struct lido_conn conn = stage_take(stage);

    if (stage->is_sqlite)
        stage_execute(stage, &conn, "CREATE TABLE t(n)");
    cr_expect_eq(lido_txn_begin(&conn, LIDO_IMMEDIATE, &err), LIDO_OK, "%s", err.text);
    if (stage->is_sqlite)
        stage_execute(stage, &conn, "INSERT INTO t VALUES(1)");
    stage_give(stage, &conn);
    cr_expect_eq(stage_stats(stage).rolled_back, 1, "%s", stage->name);
    conn = stage_take(stage);
    cr_expect_eq(lido_txn_state(&conn), LIDO_TXN_NONE, "%s", stage->name);
    if (stage->is_sqlite)
        cr_expect_eq(stage_number(stage, &conn, "SELECT count(*) FROM t"), 0, "%s",
                     stage->name);
    stage_give(stage, &conn);
    cr_expect_eq(stage_stats(stage).rolled_back, 1, "%s", stage->name);
}

Test(kinds_in_use, a_transaction_left_open_is_rolled_back)
{
    stage_run_all(leave_transaction_open);
}

static void leave_statement_running(struct stage *stage)
{
    struct lido_conn conn;
    sqlite3_stmt *stmt;

    if (!stage->is_sqlite)
        return;
    conn = stage_take(stage);
    stage_execute(stage, &conn, "CREATE TABLE t(n); INSERT INTO t VALUES(1), (2)");
    cr_assert_eq(
        sqlite3_prepare_v2(lido_conn_sqlite(&conn), "SELECT n FROM t", -1, &stmt, NULL),
        SQLITE_OK);
    cr_expect_eq(sqlite3_step(stmt), SQLITE_ROW);
    cr_expect_eq(lido_txn_state(&conn), LIDO_TXN_READ, "%s", stage->name);
    stage_give(stage, &conn);
    cr_expect_not(sqlite3_stmt_busy(stmt), "%s", stage->name);
    cr_expect_eq(stage_stats(stage).statements_reset, 1, "%s", stage->name);
    cr_expect_eq(stage_stats(stage).rolled_back, 0, "%s", stage->name);
    cr_expect_eq(stage_stats(stage).closed_unclean, 0, "%s", stage->name);
    cr_expect_eq(stage_stats(stage).close_failures, stage->keeps ? 0 : 1, "%s",
                 stage->name);
    sqlite3_finalize(stmt);
}

Test(kinds_in_use, a_statement_left_running_is_reset)
{
    stage_run_all(leave_statement_running);
}

static void come_back_unclean(struct stage *stage)
{
    struct lido_conn conn = stage_take(stage);
    sqlite3_blob *blob = NULL;

    if (stage->is_sqlite) {
        stage_execute(stage, &conn, "CREATE TABLE t(b); INSERT INTO t VALUES(zeroblob(9))");
        cr_assert_eq(
            sqlite3_blob_open(lido_conn_sqlite(&conn), "main", "t", "b", 1, 0, &blob),
            SQLITE_OK);
    } else {
        fake_driver_find_unclean(2);
    }
    stage_add_hooks(lido_pool_hooks(stage->pool), &stage_traced, NULL);
    stage_forget();
    stage_give(stage, &conn);
    stage_expect(stage, "reset clean invalidate close terminate checkin(NULL)");
    cr_expect_eq(stage_stats(stage).closed_unclean, 1, "%s", stage->name);
    cr_expect_eq(stage_stats(stage).out, 0, "%s", stage->name);
    fake_driver_find_unclean(0);
    sqlite3_blob_close(blob);
    conn = stage_take(stage);
    stage_expect(stage, "open connect checkout");
    stage_give(stage, &conn);
}

Test(kinds_in_use, a_connection_that_cannot_be_cleaned_is_closed_and_counted)
{
    stage_run_all(come_back_unclean);
}

/* Who has it. */

static int collect(void *ctx, const struct lido_holder *holder)
{
    struct lido_holder *holders = ctx;

    while (holders->size != 0)
        holders++;
    *holders = *holder;
    return 0;
}

static struct lido_conn take_labelled(const struct stage *stage, const char *label)
{
    struct lido_checkout_options options = LIDO_CHECKOUT_OPTIONS_INIT;
    struct lido_conn conn;

    options.label = label;
    cr_assert_eq(lido_pool_checkout(stage->pool, &conn, &options, &err), LIDO_OK, "%s: %s",
                 stage->name, err.text);
    return conn;
}

static void list_holders(struct stage *stage)
{
    struct lido_holder holders[4] = { { .size = 0 } };
    struct lido_conn younger, older = take_labelled(stage, "first");

    if (stage->second == STAGE_REFUSES) {
        stage_give(stage, &older);
        return;
    }
    fake_clock_advance_ms(70);
    younger = take_labelled(stage, NULL);
    cr_expect_eq(lido_conn_set_label(&younger, "second", &err), LIDO_OK);
    fake_clock_advance_ms(30);
    cr_expect_eq(lido_pool_holders(stage->pool, collect, holders, &err), LIDO_OK);
    cr_expect_str_eq(holders[0].label, "first", "%s", stage->name);
    cr_expect_eq(holders[0].age_ns, 100 * INT64_C(1000000), "%s", stage->name);
    cr_expect_not_null(strstr(holders[0].file, "test_kinds_in_use.c"));
    cr_expect_eq(holders[0].thread, holders[1].thread);
    cr_expect_str_eq(holders[1].label, "second", "%s", stage->name);
    cr_expect_eq(holders[1].age_ns, 30 * INT64_C(1000000), "%s", stage->name);
    cr_expect_eq(holders[2].size, 0, "%s: more than two", stage->name);
    stage_give(stage, &older);
    memset(holders, 0, sizeof holders);
    cr_expect_eq(lido_pool_holders(stage->pool, collect, holders, &err), LIDO_OK);
    cr_expect_str_eq(holders[0].label, "second", "%s", stage->name);
    cr_expect_eq(holders[1].size, 0, "%s: more than one", stage->name);
    stage_give(stage, &younger);
}

Test(kinds_in_use, holders_are_listed_the_longest_first_with_their_labels)
{
    stage_run_all(list_holders);
}

static void run_out(struct stage *stage)
{
    struct lido_conn leases[2], more;
    const char *first, *second;

    leases[0] = take_labelled(stage, "importer");
    fake_clock_advance_ms(70);
    if (stage->second == STAGE_REFUSES) {
        cr_expect_eq(lido_pool_checkout(stage->pool, &more, NULL, &err), LIDO_CHECKED_OUT);
        cr_expect_not_null(
            strstr(err.text, "the connection is checked out already; longest held by"),
            "%s", err.text);
        cr_expect_not_null(strstr(err.text, "importer for 70 ms at test_kinds_in_use.c:"),
                           "%s", err.text);
        stage_give(stage, &leases[0]);
        return;
    }
    leases[1] = take_labelled(stage, "reporter");
    fake_clock_advance_ms(30);
    if (strcmp(stage->kind, "queue") == 0) {
        cr_expect_eq(lido_pool_checkout(stage->pool, &more, NULL, &err), LIDO_POOL_TIMEOUT);
        first = strstr(err.text, "importer for 100 ms at test_kinds_in_use.c:");
        second = strstr(err.text, "reporter for 30 ms at test_kinds_in_use.c:");
        cr_expect_not_null(
            strstr(err.text, "none of 2 connections was free; longest held by"), "%s",
            err.text);
        cr_expect(first != NULL && second != NULL && first < second, "%s", err.text);
        cr_expect_eq(stage_stats(stage).timeouts, 1);
    } else {
        more = stage_take(stage);
        stage_give(stage, &more);
        cr_expect_eq(stage_stats(stage).timeouts, 0);
    }
    stage_give(stage, &leases[0]);
    stage_give(stage, &leases[1]);
}

Test(kinds_in_use, the_text_of_a_time_out_names_the_two_longest_holders)
{
    stage_run_all(run_out);
}

/* The raw connection. */

static void use_raw(struct stage *stage)
{
    struct lido_conn conn = stage_take(stage), copy = conn;

    cr_expect_not_null(lido_conn_handle(&conn), "%s", stage->name);
    cr_expect_eq(lido_conn_pool(&conn), stage->pool, "%s", stage->name);
    if (stage->is_sqlite) {
        cr_expect_eq(lido_conn_sqlite(&conn), lido_conn_handle(&conn), "%s", stage->name);
        stage_execute(stage, &conn, "CREATE TABLE t(n); INSERT INTO t VALUES(42)");
        cr_expect_eq(stage_number(stage, &conn, "SELECT n FROM t"), 42, "%s", stage->name);
    } else {
        cr_expect_null(lido_conn_sqlite(&conn), "%s", stage->name);
    }
    stage_give(stage, &conn);
    cr_expect_null(lido_conn_handle(&copy), "%s", stage->name);
    cr_expect_null(lido_conn_sqlite(&copy), "%s", stage->name);
    cr_expect_null(lido_conn_pool(&copy), "%s", stage->name);
    cr_expect_eq(lido_conn_checkin(&copy, NULL, &err), LIDO_STALE, "%s", stage->name);
}

Test(kinds_in_use, the_raw_connection_serves_until_the_checkin)
{
    stage_run_all(use_raw);
}

static int turn_foreign_keys_on(void *ctx, const struct lido_event *event,
                                struct lido_error *out)
{
    int rc = sqlite3_exec(event->sqlite, "PRAGMA foreign_keys=ON", NULL, NULL, NULL);

    (void)ctx;
    return rc == SQLITE_OK ? LIDO_OK : lido_fail(out, rc, "no foreign keys");
}

static void set_pragma(struct stage *stage)
{
    static const struct lido_events keys = { .size = sizeof keys,
                                             .connect = turn_foreign_keys_on };
    struct lido_conn conn;

    if (!stage->is_sqlite)
        return;
    conn = stage_take(stage);
    cr_expect_eq(stage_number(stage, &conn, "PRAGMA foreign_keys"), 0, "%s", stage->name);
    stage_add_hooks(lido_pool_hooks(stage->pool), &keys, NULL);
    cr_expect_eq(lido_conn_invalidate(&conn, NULL, &err), LIDO_OK, "%s", err.text);
    for (int i = 0; i < 2; i++) {
        conn = stage_take(stage);
        cr_expect_eq(stage_number(stage, &conn, "PRAGMA foreign_keys"), 1, "%s",
                     stage->name);
        stage_give(stage, &conn);
    }
}

Test(kinds_in_use, a_connect_hook_turns_foreign_keys_on)
{
    stage_run_all(set_pragma);
}
