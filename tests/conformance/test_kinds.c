/* SPDX-License-Identifier: MIT */
/*
 * The order of events and what failing hooks do, on every kind and driver: the table on top
 * of <lido/hooks.h>.
 */
#include "tests/support/stage.h"

#include <criterion/criterion.h>
#include <string.h>

TestSuite(kinds, .timeout = 60);

static struct lido_error err;

/* The order of events. */

static void follow_a_life(struct stage *stage)
{
    const char *kept =
        stage->keeps ? "reset clean checkin" : "reset clean checkin close shut";
    struct lido_conn conn;

    stage_add_hooks(lido_pool_hooks(stage->pool), &stage_traced, NULL);
    conn = stage_take(stage);
    stage_expect(stage, "open first_connect connect checkout");
    stage_give(stage, &conn);
    stage_expect(stage, kept);
    conn = stage_take(stage);
    stage_expect(stage, stage->keeps ? "checkout" : "open connect checkout");
    stage_give(stage, &conn);
    stage_expect(stage, kept);
    cr_expect_eq(stage_stats(stage).closed_surplus, stage->keeps ? 0 : 2, "%s",
                 stage->name);
    cr_expect_eq(lido_pool_close(stage->pool, 0, &err), LIDO_OK, "%s", err.text);
    stage_expect(stage, stage->keeps ? "close shut" : "");
}

Test(kinds, events_come_in_their_order)
{
    stage_run_all(follow_a_life);
}

static void take_two(struct stage *stage)
{
    struct lido_conn first, second;

    stage_add_hooks(lido_pool_hooks(stage->pool), &stage_traced, NULL);
    first = stage_take(stage);
    stage_forget();
    if (stage->second == STAGE_REFUSES) {
        cr_expect_eq(lido_pool_checkout(stage->pool, &second, NULL, &err),
                     LIDO_CHECKED_OUT);
        stage_expect(stage, "");
        stage_give(stage, &first);
        return;
    }
    second = stage_take(stage);
    if (stage->second == STAGE_SHARES) {
        bool is_static = strcmp(stage->kind, "static") == 0;

        cr_expect_eq(lido_conn_handle(&first), lido_conn_handle(&second));
        stage_expect(stage, is_static ? "checkout" : "");
        stage_give(stage, &second);
        stage_expect(stage, is_static ? "reset" : "");
        stage_give(stage, &first);
        stage_expect(stage, "reset clean checkin");
        return;
    }
    stage_expect(stage, "open connect checkout");
    stage_give(stage, &second); /* the overflow comes first and stays */
    stage_expect(stage,
                 stage->keeps ? "reset clean checkin" : "reset clean checkin close shut");
    stage_give(stage, &first);
    stage_expect(stage, "reset clean checkin close shut");
    cr_expect_eq(stage_stats(stage).closed_surplus, stage->keeps ? 1 : 2, "%s",
                 stage->name);
}

Test(kinds, a_second_checkout_opens_or_shares_or_is_refused)
{
    stage_run_all(take_two);
}

static void hook_all_targets(struct stage *stage)
{
    const char *other = stage->keeps ? "null" : "queue";
    lido_hook on_global, on_kind, on_other;
    struct lido_conn conn;

    stage_add_hooks(lido_pool_hooks(stage->pool), &stage_traced, "pool.");
    on_kind = stage_add_hooks(lido_hooks_kind(stage->kind), &stage_traced, "kind.");
    on_other = stage_add_hooks(lido_hooks_kind(other), &stage_traced, "other.");
    on_global = stage_add_hooks(lido_hooks_global(), &stage_traced, "global.");
    conn = stage_take(stage);
    stage_expect(stage, "open global.first_connect kind.first_connect pool.first_connect "
                        "global.connect kind.connect pool.connect "
                        "global.checkout kind.checkout pool.checkout");
    stage_plan_failure("kind.checkin", 1, SQLITE_AUTH);
    cr_expect_eq(lido_conn_checkin(&conn, NULL, &err), SQLITE_AUTH, "%s", stage->name);
    stage_expect(stage, stage->keeps ? "global.reset kind.reset pool.reset clean "
                                       "global.checkin kind.checkin"
                                     : "global.reset kind.reset pool.reset clean "
                                       "global.checkin kind.checkin "
                                       "global.close kind.close pool.close shut");
    lido_hooks_remove(lido_hooks_kind(stage->kind), on_kind, NULL);
    lido_hooks_remove(lido_hooks_kind(other), on_other, NULL);
    lido_hooks_remove(lido_hooks_global(), on_global, NULL);
}

Test(kinds, hooks_of_all_pools_run_before_those_of_the_kind_and_of_the_pool)
{
    stage_run_all(hook_all_targets);
}

/* Hooks that fail. */

static void fail_connect(struct stage *stage)
{
    struct lido_conn conn;

    stage_add_hooks(lido_pool_hooks(stage->pool), &stage_traced, NULL);
    stage_plan_failure("connect", 1, SQLITE_AUTH);
    stage_refuse(stage, SQLITE_AUTH, "as planned");
    stage_expect(stage, "open first_connect connect close terminate");
    cr_expect_eq(stage_stats(stage).live, 0, "%s", stage->name);
    cr_expect_eq(stage_stats(stage).connect_failures, 1, "%s", stage->name);
    cr_expect_eq(stage_stats(stage).closed_by_hook, 1, "%s", stage->name);
    cr_expect_eq(stage_stats(stage).checkouts, 0, "%s", stage->name);
    conn = stage_take(stage);
    stage_expect(stage, "open connect checkout");
    stage_give(stage, &conn);
}

Test(kinds, a_failing_connect_hook_closes_the_connection_and_frees_the_slot)
{
    stage_run_all(fail_connect);
}

static void fail_first_connect(struct stage *stage)
{
    struct lido_conn conn;

    stage_add_hooks(lido_pool_hooks(stage->pool), &stage_traced, NULL);
    stage_plan_failure("first_connect", 2, SQLITE_AUTH);
    stage_plan_silence();
    for (int i = 0; i < 2; i++) {
        stage_refuse(stage, SQLITE_AUTH, "a hook answered SQLITE_AUTH");
        stage_expect(stage, "open first_connect close terminate");
    }
    conn = stage_take(stage);
    stage_expect(stage, "open first_connect connect checkout");
    stage_give(stage, &conn);
}

Test(kinds, a_failing_first_connect_hook_runs_again_at_the_next_connection)
{
    stage_run_all(fail_first_connect);
}

static void fail_checkout(struct stage *stage)
{
    struct lido_conn conn;

    stage_add_hooks(lido_pool_hooks(stage->pool), &stage_traced, NULL);
    stage_plan_failure("checkout", 1, SQLITE_AUTH);
    stage_refuse(stage, SQLITE_AUTH, "as planned");
    stage_expect(
        stage,
        "open first_connect connect checkout invalidate close terminate checkin(NULL)");
    cr_expect_eq(stage_stats(stage).out, 0, "%s", stage->name);
    cr_expect_eq(stage_stats(stage).closed_by_hook, 1, "%s", stage->name);
    conn = stage_take(stage);
    stage_expect(stage, "open connect checkout");
    stage_give(stage, &conn);
}

Test(kinds, a_failing_checkout_hook_closes_the_connection)
{
    stage_run_all(fail_checkout);
}

static void disconnect_always(struct stage *stage)
{
    struct lido_conn conn;

    stage_add_hooks(lido_pool_hooks(stage->pool), &stage_traced, NULL);
    stage_plan_failure("checkout", -1, LIDO_DISCONNECT);
    stage_refuse(
        stage, LIDO_DISCONNECT,
        "the checkout hooks or the ping refused 2 connections one after the other");
    stage_expect(stage, "open first_connect connect checkout invalidate close terminate "
                        "open connect checkout invalidate close terminate "
                        "open connect invalidate close terminate checkin(NULL)");
    cr_expect_eq(stage_stats(stage).out, 0, "%s", stage->name);
    cr_expect_eq(stage_stats(stage).connects, 3, "%s", stage->name);
    stage_plan_failure("checkout", 1, LIDO_DISCONNECT);
    stage_forget();
    conn = stage_take(stage);
    stage_expect(stage,
                 "open connect checkout invalidate close terminate open connect checkout");
    stage_give(stage, &conn);
}

Test(kinds, a_checkout_hook_may_have_the_connection_replaced_twice)
{
    stage_run_all(disconnect_always);
}

static int disconnect_then_refuse(void *ctx, const struct lido_event *event,
                                  struct lido_error *out)
{
    (void)ctx, (void)event;
    stage_plan_failure("connect", 1, SQLITE_PERM);
    return lido_fail(out, LIDO_DISCONNECT, "dead");
}

static void fail_replacement(struct stage *stage)
{
    static const struct lido_events dead = { .size = sizeof dead,
                                             .checkout = disconnect_then_refuse };
    lido_hook hook;
    struct lido_conn conn;

    stage_add_hooks(lido_pool_hooks(stage->pool), &stage_traced, NULL);
    hook = stage_add_hooks(lido_pool_hooks(stage->pool), &dead, NULL);
    stage_refuse(stage, SQLITE_PERM, "as planned");
    stage_expect(stage, "open first_connect connect checkout invalidate close terminate "
                        "open connect invalidate close terminate checkin(NULL)");
    cr_expect_eq(stage_stats(stage).out, 0, "%s", stage->name);
    lido_hooks_remove(lido_pool_hooks(stage->pool), hook, NULL);
    conn = stage_take(stage);
    stage_give(stage, &conn);
}

Test(kinds, a_replacement_that_fails_too_leaks_nothing)
{
    stage_run_all(fail_replacement);
}

static void fail_checkin(struct stage *stage)
{
    struct lido_conn conn;

    stage_add_hooks(lido_pool_hooks(stage->pool), &stage_traced, NULL);
    for (int i = 0; i < 3; i++) {
        conn = stage_take(stage);
        stage_plan_failure("checkin", 1, SQLITE_AUTH);
        cr_expect_eq(lido_conn_checkin(&conn, NULL, &err), SQLITE_AUTH, "%s", stage->name);
        cr_expect_str_eq(err.text, "as planned", "%s", stage->name);
        cr_expect_null(conn.cell, "%s", stage->name);
        cr_expect_eq(stage_stats(stage).out, 0, "%s", stage->name);
        cr_expect_eq(stage_stats(stage).idle, stage->keeps, "%s", stage->name);
    }
    stage_expect(stage, stage->keeps
                            ? "open first_connect connect checkout reset clean checkin "
                              "checkout reset clean checkin checkout reset clean checkin"
                            : "open first_connect connect checkout "
                              "reset clean checkin close shut "
                              "open connect checkout reset clean checkin close shut "
                              "open connect checkout reset clean checkin close shut");
}

Test(kinds, a_failing_checkin_hook_reaches_the_caller_and_leaks_nothing)
{
    stage_run_all(fail_checkin);
}

static void fail_close(struct stage *stage)
{
    struct lido_conn conn = stage_take(stage);

    stage_add_hooks(lido_pool_hooks(stage->pool), &stage_traced, NULL);
    stage_forget();
    stage_plan_failure("close", 1, SQLITE_AUTH);
    if (stage->keeps) {
        stage_give(stage, &conn);
        stage_forget();
        cr_expect_eq(lido_pool_close(stage->pool, 0, &err), SQLITE_AUTH, "%s", stage->name);
        stage_expect(stage, "close shut");
    } else {
        cr_expect_eq(lido_conn_checkin(&conn, NULL, &err), SQLITE_AUTH, "%s", stage->name);
        stage_expect(stage, "reset clean checkin close shut");
    }
    cr_expect_str_eq(err.text, "as planned", "%s", stage->name);
    cr_expect_eq(stage_stats(stage).live, 0, "%s", stage->name);
    cr_expect_eq(stage_open_count(), 0, "%s", stage->name);
}

Test(kinds, a_failing_close_hook_reaches_the_caller_and_the_connection_is_closed)
{
    stage_run_all(fail_close);
}
