/* SPDX-License-Identifier: MIT */
/*
 * One connection for several threads, when something goes wrong for one of them: the others
 * go on, and nothing of it stays in their way.
 */
#include "tests/support/handy.h"
#include "tests/support/worker.h"

#include <criterion/criterion.h>
#include <lido/record.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

TestSuite(pool_shared, .timeout = 20);

/* Each event that is listed here fails once with this code. */
static struct {
    int checkout, reset;
} fails;
static char seen[512];

static int answer(const char *word, int *code, struct lido_error *err)
{
    int rc = code != NULL ? *code : LIDO_OK;
    size_t used = strlen(seen);

    snprintf(seen + used, sizeof seen - used, "%s%s", used > 0 ? " " : "", word);
    if (rc == LIDO_OK)
        return LIDO_OK;
    *code = LIDO_OK;
    return lido_fail(err, rc, "as planned");
}

static int on_connect(void *ctx, const struct lido_event *event, struct lido_error *err)
{
    (void)ctx, (void)event;
    return answer("connect", NULL, err);
}

static int on_checkout(void *ctx, const struct lido_event *event, struct lido_error *err)
{
    (void)ctx, (void)event;
    return answer("checkout", &fails.checkout, err);
}

static int on_reset(void *ctx, const struct lido_event *event, struct lido_error *err)
{
    (void)ctx, (void)event;
    return answer("reset", &fails.reset, err);
}

static int on_invalidate(void *ctx, const struct lido_event *event, struct lido_error *err)
{
    (void)ctx, (void)event;
    return answer("invalidate", NULL, err);
}

static int on_close(void *ctx, const struct lido_event *event, struct lido_error *err)
{
    (void)ctx, (void)event;
    return answer("close", NULL, err);
}

static const struct lido_events events = {
    .size = sizeof events,
    .connect = on_connect,
    .checkout = on_checkout,
    .reset = on_reset,
    .invalidate = on_invalidate,
    .close = on_close,
};

static lido_pool *open_static(void)
{
    struct lido_pool_options options = handy_options("static");
    lido_pool *pool = handy_open(&options);

    cr_assert_eq(lido_hooks_add(lido_pool_hooks(pool), NULL, &events, NULL, NULL, NULL),
                 LIDO_OK);
    memset(&fails, 0, sizeof fails);
    seen[0] = '\0';
    return pool;
}

static void expect_seen(const char *words)
{
    cr_expect_str_eq(seen, words);
    seen[0] = '\0';
}

/* --- check-in of one of several --------------------------------------------------------- */

/* The connection cannot be closed under the other, so at least it has no transaction that is
   nobody's. */
Test(pool_shared, a_failing_reset_hook_leaves_no_transaction_to_the_others)
{
    lido_pool *pool = open_static();
    struct lido_conn one = handy_take(pool), two = handy_take(pool);

    cr_assert_eq(lido_txn_begin(&one, LIDO_IMMEDIATE, NULL), LIDO_OK);
    fails.reset = SQLITE_AUTH;
    handy_give(&one);
    cr_expect_eq(lido_txn_state(&two), LIDO_TXN_NONE);
    cr_expect_eq(lido_txn_begin(&two, LIDO_IMMEDIATE, &handy_err), LIDO_OK, "%s",
                 handy_err.text);
    cr_expect_eq(lido_txn_commit(&two, NULL, NULL), LIDO_OK);
    cr_expect_eq(handy_number(&two), 1);
    one = handy_take(pool);
    cr_expect_eq(handy_number(&one), 2); /* it is not lent again */
    handy_give(&one);
    handy_give(&two);
    cr_expect_eq(handy_stats(pool).rolled_back, 1);
    handy_end(pool);
}

Test(pool_shared, a_fatal_reset_reaches_the_lease_that_is_checked_in)
{
    lido_pool *pool = open_static();
    struct lido_conn one = handy_take(pool), two = handy_take(pool);

    fails.reset = SQLITE_AUTH | LIDO_FATAL;
    cr_expect_eq(lido_conn_checkin(&one, NULL, &handy_err), SQLITE_AUTH | LIDO_FATAL);
    cr_expect_str_eq(handy_err.text, "as planned");
    cr_expect_null(one.cell);
    handy_give(&two);
    cr_expect_eq(handy_stats(pool).checkins, 2);
    two = handy_take(pool);
    cr_expect_eq(handy_number(&two), 2);
    handy_give(&two);
    cr_expect_eq(fake_driver_open_count(), 1);
    handy_end(pool);
}

/* The other lease keeps the data, and so does the next. */
Test(pool_shared, a_failing_reset_hook_does_not_cost_a_memory_database)
{
    struct lido_pool_options options = handy_options("static");
    lido_pool *pool = handy_open_url("sqlite://", &options);
    struct lido_conn one = handy_take(pool), two = handy_take(pool);

    cr_assert_eq(lido_hooks_add(lido_pool_hooks(pool), NULL, &events, NULL, NULL, NULL),
                 LIDO_OK);
    cr_assert_eq(
        sqlite3_exec(lido_conn_sqlite(&one), "CREATE TABLE t (x)", NULL, NULL, NULL),
        SQLITE_OK);
    for (int i = 0; i < 2; i++) {
        fails.reset = SQLITE_AUTH;
        handy_give(i == 0 ? &one : &two);
    }
    one = handy_take(pool);
    cr_expect_eq(sqlite3_exec(lido_conn_sqlite(&one), "SELECT * FROM t", NULL, NULL, NULL),
                 SQLITE_OK);
    handy_give(&one);
    lido_pool_free(pool);
}

Test(pool_shared, a_lease_ends_its_own_transaction_only)
{
    lido_pool *pool = open_static();
    struct lido_conn one = handy_take(pool), two = handy_take(pool);

    cr_assert_eq(lido_txn_begin(&one, LIDO_IMMEDIATE, NULL), LIDO_OK);
    fake_driver_calls();
    handy_give(&two);
    cr_expect_str_eq(fake_driver_calls(), "");
    cr_expect_eq(lido_txn_state(&one), LIDO_TXN_OPEN);
    handy_give(&one);
    cr_expect_str_eq(fake_driver_calls(), "reset 1");
    handy_end(pool);
}

/* --- a checkout hook that wants another connection -------------------------------------- */

Test(pool_shared, a_hook_that_calls_it_dead_gets_another_and_leaves_this_to_the_others)
{
    static const int codes[] = { LIDO_DISCONNECT, LIDO_INVALIDATE_POOL };

    for (int i = 0; i < 2; i++) {
        lido_pool *pool = open_static();
        struct lido_conn one = handy_take(pool), two, three;

        seen[0] = '\0';
        fails.checkout = codes[i];
        two = handy_take(pool);
        expect_seen("checkout invalidate connect checkout");
        cr_expect_eq(handy_number(&one), 1);
        cr_expect_eq(handy_number(&two), 2);
        three = handy_take(pool);
        cr_expect_eq(handy_number(&three), 2);
        handy_give(&one);
        cr_expect_eq(fake_driver_open_count(), 1);
        handy_give(&two);
        handy_give(&three);
        cr_expect_eq(handy_stats(pool).idle, 1);
        cr_expect_eq(handy_stats(pool).checkouts, 3);
        cr_expect_eq(handy_stats(pool).checkins, 3);
        handy_end(pool);
    }
}

/* --- a record in several hands ----------------------------------------------------------- */

Test(pool_shared, a_record_that_others_have_too_is_not_closed_under_them)
{
    lido_pool *pool = open_static();
    struct lido_conn one = handy_take(pool), two = handy_take(pool);
    lido_record *record = lido_conn_record(&one);

    cr_expect_eq(lido_record_close(record, &handy_err), LIDO_SHARED);
    cr_expect_eq(lido_record_invalidate(record, NULL, &handy_err), LIDO_SHARED);
    cr_expect_eq(lido_record_connect(record, &handy_err), LIDO_OK);
    cr_expect_eq(lido_record_invalidate_soft(record, NULL, &handy_err), LIDO_OK);
    cr_expect_eq(lido_record_connect(record, &handy_err), LIDO_SHARED);
    cr_expect_eq(handy_number(&two), 1);
    handy_give(&two);
    cr_expect_eq(lido_record_close(record, &handy_err), LIDO_OK);
    cr_expect_eq(handy_number(&one), 0);
    two = handy_take(pool);
    cr_expect_eq(handy_number(&two), 2); /* nobody joins a record without a connection */
    cr_expect_eq(lido_record_connect(record, &handy_err), LIDO_OK);
    cr_expect_eq(handy_number(&one), 3);
    handy_give(&one);
    handy_give(&two);
    cr_expect_eq(fake_driver_open_count(), 1);
    handy_end(pool);
}

/* Its thread may use the pool in the hook; another one waits for what becomes of it. */
static struct worker asker;

static int let_ask(void *ctx, const struct lido_event *event, struct lido_error *err)
{
    struct lido_conn conn = handy_take(event->pool);
    int reads = fake_clock_reads();

    (void)ctx;
    cr_expect_eq(handy_number(&conn), 1);
    handy_give(&conn);
    cr_expect_eq(handy_stats(event->pool).waiting, 0);
    worker_ask(&asker, worker_take);
    while (fake_clock_reads() < reads + 3) /* it has looked, and waits */
        sched_yield();
    cr_expect_eq(handy_stats(event->pool).waiting, 1);
    return lido_fail(err, SQLITE_AUTH, "refused");
}

Test(pool_shared, who_comes_while_a_record_is_closed_waits_for_what_becomes_of_it)
{
    static const struct lido_events slow = { .size = sizeof slow, .close = let_ask };
    struct lido_pool_options options = handy_options("static");
    struct lido_conn conn;
    lido_pool *pool;
    lido_hook hook;

    options.pool_timeout_ms = 1000;
    pool = handy_open(&options);
    conn = handy_take(pool);
    cr_assert_eq(lido_hooks_add(lido_pool_hooks(pool), &hook, &slow, NULL, NULL, NULL),
                 LIDO_OK);
    worker_start(&asker, pool);
    cr_expect_eq(lido_record_close(lido_conn_record(&conn), NULL), SQLITE_AUTH);
    worker_await(&asker);
    cr_expect_eq(asker.rc, LIDO_OK, "%s", asker.err.text);
    cr_expect_eq(handy_number(&asker.conn), 1); /* the hook refused: nothing has changed */
    cr_expect_eq(lido_hooks_remove(lido_pool_hooks(pool), hook, NULL), LIDO_OK);
    worker_tell(&asker, worker_give);
    worker_end(&asker);
    handy_give(&conn);
    cr_expect_eq(handy_stats(pool).connects, 1);
    cr_expect_eq(handy_stats(pool).waits, 1);
    cr_expect_eq(handy_stats(pool).waiting, 0);
    handy_end(pool);
}

Test(pool_shared, one_that_was_replaced_for_its_age_is_counted_so_when_it_comes_back)
{
    lido_pool *pool = open_static();
    struct lido_conn one = handy_take(pool), two;

    cr_assert_eq(lido_conn_invalidate_soft(&one, NULL, NULL), LIDO_OK);
    two = handy_take(pool);
    cr_expect_eq(handy_number(&two), 2);
    handy_give(&one);
    cr_expect_eq(handy_stats(pool).closed_old, 1);
    handy_give(&two);
    handy_end(pool);
}
