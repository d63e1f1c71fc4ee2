/* SPDX-License-Identifier: MIT */
/*
 * What becomes of a connection before its time, on every kind and driver: the events of an
 * invalidation, a detach, an adoption, a replacement and a dispose in the order of the table
 * on top of <lido/hooks.h>, and that nothing is left behind.
 */
#include "tests/support/fake_clock.h"
#include "tests/support/stage.h"

#include <criterion/criterion.h>
#include <string.h>

TestSuite(kinds_life, .timeout = 60);

static struct lido_error err;

static void trace(struct stage *stage)
{
    stage_add_hooks(lido_pool_hooks(stage->pool), &stage_traced, NULL);
}

/* A lease whose events are known already. */
static struct lido_conn take_quietly(struct stage *stage)
{
    struct lido_conn conn = stage_take(stage);

    stage_forget();
    return conn;
}

static const char *return_of(const struct stage *stage)
{
    return stage->keeps ? "reset clean checkin" : "reset clean checkin close shut";
}

/* --- invalidation ------------------------------------------------------------------------ */

static void invalidate(struct stage *stage)
{
    struct lido_conn conn, copy;

    trace(stage);
    for (int i = 0; i < 2; i++) {
        conn = take_quietly(stage);
        copy = conn;
        cr_expect_eq(i == 0 ? lido_conn_invalidate(&conn, NULL, &err)
                            : lido_conn_invalidate_pool(&conn, NULL, &err),
                     LIDO_OK, "%s: %s", stage->name, err.text);
        stage_expect(stage, "invalidate close terminate checkin(NULL)");
        cr_expect_null(conn.cell, "%s", stage->name);
        cr_expect_eq(lido_conn_checkin(&copy, NULL, &err), LIDO_STALE, "%s", stage->name);
        cr_expect_eq(lido_conn_invalidate(&copy, NULL, &err), LIDO_STALE, "%s",
                     stage->name);
        cr_expect_eq(stage_stats(stage).out, 0, "%s", stage->name);
        cr_expect_eq(stage_open_count(), 0, "%s", stage->name);
    }
    cr_expect_eq(stage_stats(stage).closed_invalid, 2, "%s", stage->name);
    conn = stage_take(stage);
    stage_expect(stage, "open connect checkout");
    stage_give(stage, &conn);
}

Test(kinds_life, invalidating_closes_and_ends_the_lease)
{
    stage_run_all(invalidate);
}

static void invalidate_softly(struct stage *stage)
{
    struct lido_conn conn;

    trace(stage);
    conn = take_quietly(stage);
    cr_expect_eq(lido_conn_invalidate_soft(&conn, NULL, &err), LIDO_OK);
    stage_expect(stage, "soft_invalidate");
    cr_expect_not_null(lido_conn_handle(&conn), "%s", stage->name);
    stage_give(stage, &conn);
    stage_expect(stage, return_of(stage));
    conn = stage_take(stage);
    stage_expect(stage, stage->keeps ? "close terminate open connect checkout"
                                     : "open connect checkout");
    cr_expect_eq(stage_stats(stage).closed_old, stage->keeps, "%s", stage->name);
    stage_give(stage, &conn);
}

Test(kinds_life, a_soft_invalidation_replaces_at_the_next_checkout)
{
    stage_run_all(invalidate_softly);
}

static void invalidate_pool(struct stage *stage)
{
    struct lido_conn conn;

    trace(stage);
    for (int i = 0; i < 2; i++) {
        conn = take_quietly(stage);
        cr_expect_eq(lido_pool_invalidate(stage->pool, &err), LIDO_OK);
        stage_expect(stage, "");
        cr_expect_not_null(lido_conn_handle(&conn), "%s", stage->name);
        stage_give(stage, &conn);
        stage_expect(stage, return_of(stage));
    }
    conn = stage_take(stage);
    stage_expect(stage, stage->keeps ? "close terminate open connect checkout"
                                     : "open connect checkout");
    stage_give(stage, &conn);
    stage_forget();
    conn = stage_take(stage); /* it was opened after the invalidation */
    stage_expect(stage, stage->keeps ? "checkout" : "open connect checkout");
    stage_give(stage, &conn);
}

Test(kinds_life, an_invalidated_pool_replaces_each_connection_once)
{
    stage_run_all(invalidate_pool);
}

static void refuse_to_invalidate(struct stage *stage)
{
    static const char *const events[] = { "invalidate", "close" };
    struct lido_conn conn;

    trace(stage);
    conn = take_quietly(stage);
    for (int i = 0; i < 2; i++) {
        stage_plan_failure(events[i], 1, SQLITE_AUTH);
        cr_expect_eq(lido_conn_invalidate(&conn, NULL, &err), SQLITE_AUTH, "%s",
                     stage->name);
        cr_expect_str_eq(err.text, "as planned", "%s", stage->name);
        stage_expect(stage, i == 0 ? "invalidate" : "invalidate close");
        cr_expect_not_null(lido_conn_handle(&conn), "%s", stage->name);
    }
    stage_plan_failure("soft_invalidate", 1, SQLITE_AUTH);
    cr_expect_eq(lido_conn_invalidate_soft(&conn, NULL, &err), SQLITE_AUTH, "%s",
                 stage->name);
    stage_give(stage, &conn);
    stage_forget();
    conn = stage_take(stage);
    stage_expect(stage, stage->keeps ? "checkout" : "open connect checkout");
    stage_plan_failure("checkin(NULL)", 1, SQLITE_AUTH);
    cr_expect_eq(lido_conn_invalidate(&conn, NULL, &err), SQLITE_AUTH, "%s", stage->name);
    cr_expect_null(conn.cell, "%s: it has ended", stage->name);
    stage_expect(stage, "invalidate close terminate checkin(NULL)");
    cr_expect_eq(stage_stats(stage).out, 0, "%s", stage->name);
}

Test(kinds_life, a_refused_invalidation_changes_nothing_but_a_checkin_hook_comes_too_late)
{
    stage_run_all(refuse_to_invalidate);
}

/* --- away, and from elsewhere ------------------------------------------------------------- */

static void detach(struct stage *stage)
{
    struct lido_conn conn, next;

    trace(stage);
    conn = take_quietly(stage);
    cr_expect_eq(lido_conn_detach(&conn, &err), LIDO_OK, "%s: %s", stage->name, err.text);
    stage_expect(stage, "detach");
    cr_expect_eq(stage_stats(stage).out, 0, "%s", stage->name);
    cr_expect_eq(stage_stats(stage).detached, 1, "%s", stage->name);
    next = stage_take(stage);
    stage_expect(stage, "open connect checkout");
    cr_expect_neq(lido_conn_handle(&conn), lido_conn_handle(&next), "%s", stage->name);
    stage_give(stage, &conn);
    stage_expect(stage, "reset(outside) clean close_detached shut");
    cr_expect_eq(stage_stats(stage).closed_detached, 1, "%s", stage->name);
    cr_expect_eq(stage_stats(stage).detached, 0, "%s", stage->name);
    stage_give(stage, &next);
    stage_expect(stage, return_of(stage));
}

Test(kinds_life, a_detached_connection_is_closed_at_its_checkin)
{
    stage_run_all(detach);
}

static void invalidate_detached(struct stage *stage)
{
    struct lido_conn conn;

    trace(stage);
    conn = take_quietly(stage);
    cr_expect_eq(lido_conn_detach(&conn, &err), LIDO_OK);
    stage_forget();
    cr_expect_eq(lido_conn_invalidate(&conn, NULL, &err), LIDO_OK, "%s", err.text);
    stage_expect(stage, "invalidate close_detached terminate");
    cr_expect_eq(stage_stats(stage).detached, 0, "%s", stage->name);
}

Test(kinds_life, a_detached_connection_may_be_invalidated)
{
    stage_run_all(invalidate_detached);
}

static void fail_detached(struct stage *stage)
{
    struct lido_conn conn;

    trace(stage);
    conn = take_quietly(stage);
    stage_plan_failure("detach", 1, SQLITE_AUTH);
    cr_expect_eq(lido_conn_detach(&conn, &err), SQLITE_AUTH, "%s", stage->name);
    cr_expect(lido_conn_is_detached(&conn), "%s", stage->name);
    stage_plan_failure("close_detached", 1, SQLITE_AUTH);
    cr_expect_eq(lido_conn_checkin(&conn, NULL, &err), LIDO_OK, "%s", stage->name);
    cr_expect_eq(stage_open_count(), 0, "%s", stage->name);

    conn = stage_take(stage);
    cr_expect_eq(lido_conn_detach(&conn, &err), LIDO_OK);
    stage_plan_failure("close_detached", 1, SQLITE_AUTH | LIDO_FATAL);
    cr_expect_eq(lido_conn_checkin(&conn, NULL, &err), SQLITE_AUTH | LIDO_FATAL, "%s",
                 stage->name);
    cr_expect_str_eq(err.text, "as planned", "%s", stage->name);
    cr_expect_eq(stage_open_count(), 0, "%s", stage->name);

    conn = stage_take(stage);
    cr_expect_eq(lido_conn_detach(&conn, &err), LIDO_OK);
    stage_plan_failure("reset(outside)", 1, SQLITE_AUTH);
    stage_forget();
    cr_expect_eq(lido_conn_checkin(&conn, NULL, &err), LIDO_OK, "%s", stage->name);
    stage_expect(stage, "reset(outside) invalidate close_detached terminate");
    cr_expect_eq(stage_stats(stage).closed_unclean, 1, "%s", stage->name);
}

Test(kinds_life, hooks_of_a_detached_connection_that_fail_leak_nothing)
{
    stage_run_all(fail_detached);
}

static void steal_and_adopt(struct stage *stage)
{
    struct lido_conn conn;
    void *handle;

    trace(stage);
    conn = take_quietly(stage);
    handle = stage_steal(stage, &conn);
    stage_expect(stage, "detach");
    cr_expect_eq(stage_stats(stage).stolen, 1, "%s", stage->name);
    cr_expect_eq(stage_stats(stage).detached, 0, "%s", stage->name);

    cr_assert_eq(lido_conn_adopt(&conn, stage->pool, handle, &err), LIDO_OK, "%s",
                 err.text);
    stage_expect(stage, "");
    cr_expect_eq(lido_txn_begin(&conn, LIDO_IMMEDIATE, &err), LIDO_OK, "%s", err.text);
    cr_expect_eq(lido_txn_commit(&conn, NULL, &err), LIDO_OK, "%s", err.text);
    stage_expect(stage, "begin commit");
    cr_expect_eq(lido_txn_begin(&conn, LIDO_IMMEDIATE, &err), LIDO_OK, "%s", err.text);
    stage_forget();
    stage_give(stage, &conn);
    stage_expect(stage, "reset(outside) clean");
    cr_expect_eq(stage_stats(stage).rolled_back, 1, "%s", stage->name);

    cr_assert_eq(lido_conn_adopt(&conn, stage->pool, handle, &err), LIDO_OK);
    cr_expect_eq(lido_conn_invalidate(&conn, NULL, &err), LIDO_OK);
    stage_expect(stage, "invalidate");
    cr_expect_eq(stage_stats(stage).detached, 0, "%s", stage->name);
    stage_close_stolen(handle);
}

Test(kinds_life, a_stolen_handle_may_come_back_for_a_lease)
{
    stage_run_all(steal_and_adopt);
}

/* --- in its place ------------------------------------------------------------------------- */

static void recycle_past_100_ms(struct lido_pool_options *options)
{
    options->pool_recycle_ms = 100;
}

static void recycle(struct stage *stage)
{
    struct lido_conn conn;

    trace(stage);
    conn = take_quietly(stage);
    stage_give(stage, &conn);
    fake_clock_advance_ms(100);
    stage_forget();
    conn = stage_take(stage);
    stage_expect(stage, stage->keeps ? "checkout" : "open connect checkout");
    stage_give(stage, &conn);
    fake_clock_advance_ms(101);
    stage_forget();
    conn = stage_take(stage);
    stage_expect(stage, stage->keeps ? "close terminate open connect checkout"
                                     : "open connect checkout");
    fake_clock_advance_ms(101);
    stage_give(stage, &conn); /* one in use is not replaced */
    stage_expect(stage, return_of(stage));
    stage_plan_failure("close", 1, SQLITE_AUTH);
    if (stage->keeps) {
        stage_refuse(stage, SQLITE_AUTH, "as planned");
        stage_expect(stage, "close invalidate close terminate checkin(NULL)");
        cr_expect_eq(stage_stats(stage).out, 0, "%s", stage->name);
    }
}

Test(kinds_life, a_connection_past_its_age_is_replaced_at_its_checkout)
{
    stage_run_with(recycle_past_100_ms, recycle);
}

static void ping_first(struct lido_pool_options *options)
{
    options->pool_pre_ping = 1;
}

static void ping(struct stage *stage)
{
    struct lido_conn conn;

    trace(stage);
    conn = stage_take(stage);
    stage_expect(stage, "open first_connect connect checkout"); /* fresh: no ping */
    stage_give(stage, &conn);
    stage_forget();
    conn = stage_take(stage);
    stage_expect(stage, stage->keeps ? "ping checkout" : "open connect checkout");
    stage_give(stage, &conn);
    stage_forget();
    stage_fail_ping();
    conn = stage_take(stage);
    stage_expect(stage, stage->keeps
                            ? "ping invalidate close terminate open connect checkout"
                            : "open connect checkout");
    stage_give(stage, &conn);
    cr_expect_eq(lido_pool_invalidated_ns(stage->pool) != 0, stage->keeps, "%s",
                 stage->name);
}

Test(kinds_life, an_idle_connection_is_pinged_and_a_dead_one_replaced)
{
    stage_run_with(ping_first, ping);
}

/* --- transactions and finalizers ---------------------------------------------------------- */

static void transact(struct stage *stage)
{
    struct lido_conn conn;
    int outcome;

    trace(stage);
    conn = take_quietly(stage);
    cr_expect_eq(lido_txn_begin(&conn, LIDO_DEFERRED, &err), LIDO_OK);
    cr_expect_eq(lido_txn_commit(&conn, &outcome, &err), LIDO_OK);
    cr_expect_eq(outcome, LIDO_OUTCOME_COMMITTED, "%s", stage->name);
    cr_expect_eq(lido_txn_begin(&conn, LIDO_DEFERRED, &err), LIDO_OK);
    cr_expect_eq(lido_txn_rollback(&conn, &err), LIDO_OK);
    stage_expect(stage, "begin commit begin rollback");
    cr_expect_eq(lido_txn_begin(&conn, LIDO_DEFERRED, &err), LIDO_OK);
    stage_forget();
    stage_give(stage, &conn); /* rolls back without the hook */
    stage_expect(stage, return_of(stage));
    conn = stage_take(stage);
    stage_plan_failure("begin", 1, SQLITE_AUTH);
    cr_expect_eq(lido_txn_begin(&conn, LIDO_DEFERRED, &err), SQLITE_AUTH, "%s",
                 stage->name);
    cr_expect_eq(lido_txn_state(&conn), LIDO_TXN_NONE, "%s", stage->name);
    cr_expect_eq(lido_txn_begin(&conn, LIDO_DEFERRED, &err), LIDO_OK, "%s", err.text);
    stage_plan_failure("commit", 1, SQLITE_AUTH);
    cr_expect_eq(lido_txn_commit(&conn, &outcome, &err), SQLITE_AUTH, "%s", stage->name);
    cr_expect_eq(outcome, LIDO_OUTCOME_OPEN, "%s", stage->name);
    stage_plan_failure("rollback", 1, SQLITE_AUTH);
    cr_expect_eq(lido_txn_rollback(&conn, &err), SQLITE_AUTH, "%s", stage->name);
    cr_expect_neq(lido_txn_state(&conn), LIDO_TXN_NONE, "%s", stage->name);
    stage_give(stage, &conn);
}

Test(kinds_life, transactions_ask_their_hooks_and_a_checkin_does_not)
{
    stage_run_all(transact);
}

static int destroyed;

static void count_destroy(void *ctx)
{
    (void)ctx;
    destroyed++;
}

static int finalize(void *ctx, void *handle, struct lido_error *out)
{
    cr_expect_not_null(handle);
    stage_note("finalizer");
    return *(int *)ctx == LIDO_OK ? LIDO_OK : lido_fail(out, *(int *)ctx, "as planned");
}

static void add_finalizer(struct stage *stage, const struct lido_conn *conn, int *code)
{
    cr_assert_eq(lido_conn_add_finalizer(conn, finalize, code, count_destroy, &err),
                 LIDO_OK, "%s: %s", stage->name, err.text);
}

static void finish(struct stage *stage)
{
    int well = LIDO_OK, badly = SQLITE_AUTH;
    struct lido_conn conn;
    void *handle;

    trace(stage);
    destroyed = 0;
    conn = take_quietly(stage);
    add_finalizer(stage, &conn, &well);
    stage_give(stage, &conn);
    stage_expect(stage, stage->keeps ? "reset clean finalizer checkin"
                                     : "reset clean finalizer checkin close shut");
    cr_expect_eq(destroyed, 1, "%s", stage->name);

    conn = take_quietly(stage);
    add_finalizer(stage, &conn, &well);
    add_finalizer(stage, &conn, &badly);
    cr_expect_eq(lido_conn_checkin(&conn, NULL, &err), SQLITE_AUTH, "%s", stage->name);
    cr_expect_str_eq(err.text, "as planned", "%s", stage->name);
    stage_expect(stage, "reset clean finalizer finalizer invalidate close terminate "
                        "checkin(NULL)");
    cr_expect_eq(destroyed, 3, "%s", stage->name);
    cr_expect_eq(stage_stats(stage).closed_unclean, 1, "%s", stage->name);

    conn = take_quietly(stage);
    add_finalizer(stage, &conn, &well);
    cr_expect_eq(lido_conn_detach(&conn, &err), LIDO_OK);
    stage_forget();
    stage_give(stage, &conn);
    stage_expect(stage, "reset(outside) clean finalizer close_detached shut");
    cr_expect_eq(destroyed, 4, "%s", stage->name);

    conn = take_quietly(stage);
    add_finalizer(stage, &conn, &badly);
    cr_expect_eq(lido_conn_invalidate(&conn, NULL, &err), LIDO_OK);
    cr_expect_eq(destroyed, 5, "%s: it does not run", stage->name);

    conn = take_quietly(stage);
    add_finalizer(stage, &conn, &badly);
    handle = stage_steal(stage, &conn);
    stage_expect(stage, "detach");
    cr_expect_eq(destroyed, 6, "%s: it does not run", stage->name);
    stage_close_stolen(handle);
}

Test(kinds_life, finalizers_run_between_the_reset_and_the_checkin_hooks)
{
    stage_run_all(finish);
}

/* --- resets ------------------------------------------------------------------------------- */

static void fail_reset(struct stage *stage)
{
    struct lido_conn conn;

    trace(stage);
    conn = take_quietly(stage);
    stage_plan_failure("reset", 1, SQLITE_AUTH);
    stage_give(stage, &conn);
    stage_expect(stage, "reset invalidate close terminate checkin(NULL)");
    cr_expect_eq(stage_stats(stage).closed_unclean, 1, "%s", stage->name);

    conn = take_quietly(stage);
    stage_plan_failure("reset", 1, SQLITE_AUTH | LIDO_FATAL);
    cr_expect_eq(lido_conn_checkin(&conn, NULL, &err), SQLITE_AUTH | LIDO_FATAL, "%s",
                 stage->name);
    cr_expect_str_eq(err.text, "as planned", "%s", stage->name);
    cr_expect_null(conn.cell, "%s", stage->name);
    stage_expect(stage, "reset invalidate close terminate checkin(NULL)");
    cr_expect_eq(stage_stats(stage).out, 0, "%s", stage->name);
    cr_expect_eq(stage_open_count(), 0, "%s", stage->name);
}

Test(kinds_life, a_failing_reset_hook_costs_the_connection)
{
    stage_run_all(fail_reset);
}

/* --- dispose and recreate ----------------------------------------------------------------- */

static void dispose(struct stage *stage)
{
    bool takes_back = strcmp(stage->kind, "queue") == 0;
    struct lido_conn conn;

    trace(stage);
    conn = take_quietly(stage);
    stage_give(stage, &conn);
    stage_forget();
    cr_expect_eq(lido_pool_dispose(stage->pool, &err), LIDO_OK, "%s", stage->name);
    stage_expect(stage, stage->keeps ? "close shut" : "");
    cr_expect_eq(stage_stats(stage).live, 0, "%s", stage->name);

    conn = stage_take(stage);
    stage_expect(stage, "open connect checkout");
    cr_expect_eq(lido_pool_dispose(stage->pool, &err), LIDO_OK, "%s", stage->name);
    stage_expect(stage, "");
    cr_expect_not_null(lido_conn_handle(&conn), "%s", stage->name);
    stage_give(stage, &conn);
    stage_expect(stage,
                 takes_back ? "reset clean checkin" : "reset clean checkin close shut");
    cr_expect_eq(stage_stats(stage).disowned, 0, "%s", stage->name);
    cr_expect_eq(stage_stats(stage).idle, takes_back, "%s", stage->name);

    conn = take_quietly(stage);
    stage_give(stage, &conn);
    stage_forget();
    stage_plan_failure("close", 1, SQLITE_AUTH);
    cr_expect_eq(lido_pool_dispose(stage->pool, &err), stage->keeps ? SQLITE_AUTH : LIDO_OK,
                 "%s", stage->name);
    cr_expect_eq(stage_open_count(), 0, "%s: it is closed all the same", stage->name);
}

Test(kinds_life, dispose_closes_what_is_idle_and_goes_on)
{
    stage_run_all(dispose);
}

static void recreate(struct stage *stage)
{
    struct lido_pool_stats stats = LIDO_POOL_STATS_INIT;
    struct lido_conn conn, other;
    lido_pool *anew;

    trace(stage);
    conn = take_quietly(stage);
    cr_assert_eq(lido_pool_recreate(stage->pool, &anew, &err), LIDO_OK, "%s", err.text);
    cr_expect_eq(lido_pool_stats(anew, &stats, &err), LIDO_OK);
    cr_expect_str_eq(stats.kind, stage->kind);
    cr_expect_eq(stats.limit, stage_stats(stage).limit, "%s", stage->name);
    cr_expect_eq(stats.keep, stage_stats(stage).keep, "%s", stage->name);
    cr_assert_eq(lido_pool_checkout(anew, &other, NULL, &err), LIDO_OK, "%s", err.text);
    stage_expect(stage, "open first_connect connect checkout"); /* once for each pool */
    cr_expect_neq(lido_conn_handle(&conn), lido_conn_handle(&other), "%s", stage->name);
    cr_expect_eq(lido_conn_checkin(&other, NULL, &err), LIDO_OK);
    cr_expect_eq(lido_pool_close(anew, 0, &err), LIDO_OK, "%s", err.text);
    lido_pool_free(anew);
    stage_give(stage, &conn);
}

Test(kinds_life, a_recreated_pool_is_like_the_one_before_and_has_its_hooks)
{
    stage_run_all(recreate);
}
