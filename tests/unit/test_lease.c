/* SPDX-License-Identifier: MIT */
/*
 * A lease: whose it is, when it is over, and what it says of itself.
 */
#include "pool/slot.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_driver.h"
#include <lido/lido.h>

#include <criterion/criterion.h>
#include <pthread.h>
#include <string.h>

static struct lido_error err;
static lido_pool *pool;

static void open_with(int check_same_thread)
{
    struct lido_pool_options options = LIDO_POOL_OPTIONS_INIT;

    fake_driver_install();
    options.check_same_thread = check_same_thread;
    options.clock = fake_clock();
    options.pool_timeout_ms = 0;
    cr_assert_eq(lido_pool_open(&pool, "fake:///any?pool=queue", &options, &err), LIDO_OK);
}

static void set_up(void)
{
    open_with(1);
}

static void tear_down(void)
{
    lido_pool_free(pool);
}

TestSuite(lease, .init = set_up, .fini = tear_down, .timeout = 20);

static struct lido_conn take(void)
{
    struct lido_conn conn;

    cr_assert_eq(lido_pool_checkout(pool, &conn, NULL, &err), LIDO_OK, "%s", err.text);
    return conn;
}

Test(lease, is_empty_after_its_checkin)
{
    struct lido_conn conn = take();

    cr_assert_eq(lido_conn_checkin(&conn, NULL, &err), LIDO_OK);
    cr_assert_null(conn.cell);
    cr_assert_eq(lido_conn_checkin(&conn, NULL, &err), LIDO_STALE);
    cr_assert_not_null(strstr(err.text, "empty"), "%s", err.text);
}

Test(lease, copies_go_stale_and_never_reach_the_next_lease)
{
    struct lido_conn conn = take(), copy = conn, next;

    cr_assert_eq(lido_conn_checkin(&conn, NULL, &err), LIDO_OK);
    next = take();
    cr_assert_eq(next.cell, copy.cell);
    cr_assert_eq(lido_conn_checkin(&copy, NULL, &err), LIDO_STALE);
    cr_assert_null(lido_conn_handle(&copy));
    cr_assert_null(lido_conn_pool(&copy));
    cr_assert_eq(lido_conn_hand_over(&copy, &err), LIDO_STALE);
    cr_assert_eq(lido_conn_set_label(&copy, "x", &err), LIDO_STALE);
    cr_assert_eq(lido_txn_begin(&copy, LIDO_DEFERRED, &err), LIDO_STALE);
    cr_assert_eq(lido_txn_state(&copy), LIDO_TXN_UNKNOWN);
    cr_assert_eq(lido_conn_pool(&next), pool);
    cr_assert_eq(lido_conn_checkin(&next, NULL, &err), LIDO_OK);
    cr_assert_eq(strcmp(fake_driver_calls(), "connect 1, reset 1, reset 1"), 0);
}

/* What another thread is told about a lease. */
struct stranger {
    struct lido_conn conn;
    int checkin, begin, label, hand_over, checkin_after;
    void *handle;
    struct lido_error err;
};

static void *meddle(void *arg)
{
    struct stranger *stranger = arg;

    stranger->handle = lido_conn_handle(&stranger->conn);
    stranger->checkin = lido_conn_checkin(&stranger->conn, NULL, &stranger->err);
    stranger->begin = lido_txn_begin(&stranger->conn, LIDO_DEFERRED, NULL);
    stranger->label = lido_conn_set_label(&stranger->conn, "mine", NULL);
    stranger->hand_over = lido_conn_hand_over(&stranger->conn, NULL);
    stranger->checkin_after = lido_conn_checkin(&stranger->conn, NULL, NULL);
    return NULL;
}

static struct stranger let_a_stranger_meddle(struct lido_conn conn)
{
    struct stranger stranger = { .conn = conn };
    pthread_t thread;

    cr_assert_eq(pthread_create(&thread, NULL, meddle, &stranger), 0);
    cr_assert_eq(pthread_join(thread, NULL), 0);
    return stranger;
}

Test(lease, serves_the_thread_that_checked_it_out_until_it_is_handed_over)
{
    struct lido_conn conn = take();
    struct stranger stranger = let_a_stranger_meddle(conn);

    cr_assert_null(stranger.handle);
    cr_assert_eq(stranger.checkin, LIDO_WRONG_THREAD);
    cr_assert_not_null(strstr(stranger.err.text, "checked this connection out"), "%s",
                       stranger.err.text);
    cr_assert_eq(stranger.begin, LIDO_WRONG_THREAD);
    cr_assert_eq(stranger.label, LIDO_WRONG_THREAD);
    cr_assert_eq(stranger.hand_over, LIDO_OK);
    cr_assert_eq(stranger.checkin_after, LIDO_OK);
    cr_assert_eq(lido_conn_checkin(&conn, NULL, &err), LIDO_STALE);
}

Test(lease, serves_any_thread_without_check_same_thread)
{
    struct lido_conn conn;
    struct stranger stranger;

    lido_pool_free(pool);
    open_with(0);
    conn = take();
    stranger = let_a_stranger_meddle(conn);
    cr_assert_not_null(stranger.handle);
    cr_assert_eq(stranger.checkin, LIDO_OK);
    cr_assert_eq(stranger.begin, LIDO_STALE);
}

static int keep_holder(void *ctx, const struct lido_holder *holder)
{
    *(struct lido_holder *)ctx = *holder;
    return 0;
}

static struct lido_holder holder_now(void)
{
    struct lido_holder holder = { 0 };

    cr_assert_eq(lido_pool_holders(pool, keep_holder, &holder, &err), LIDO_OK);
    return holder;
}

Test(lease, tells_where_when_and_by_whom_it_was_taken)
{
    struct lido_checkout_options options = LIDO_CHECKOUT_OPTIONS_INIT;
    struct lido_holder holder;
    struct lido_conn conn;
    int line;

    options.label = "nightly job";
    line = __LINE__ + 1;
    cr_assert_eq(lido_pool_checkout(pool, &conn, &options, &err), LIDO_OK);
    fake_clock_advance_ms(1500);
    holder = holder_now();
    cr_assert_str_eq(holder.label, "nightly job");
    cr_assert_eq(holder.line, line);
    cr_assert_not_null(strstr(holder.file, "test_lease.c"));
    cr_assert_eq(holder.age_ns, 1500000000);
    cr_assert_eq(holder.thread, lido__thread_id(lido__thread()));
    cr_assert_eq(lido_conn_set_label(&conn, NULL, &err), LIDO_OK);
    cr_assert_str_eq(holder_now().label, "");
    cr_assert_eq(lido_conn_checkin(&conn, NULL, &err), LIDO_OK);
    cr_assert_eq(holder_now().lease, 0);
}

Test(lease, a_long_label_is_cut_at_a_whole_character)
{
    struct lido_conn conn = take();

    /* 30 bytes, and then a character of two that would need the 31st and 32nd. */
    cr_assert_eq(lido_conn_set_label(&conn, "123456789012345678901234567890\xc3\xa9", &err),
                 LIDO_OK);
    cr_assert_str_eq(holder_now().label, "123456789012345678901234567890");
    cr_assert_eq(
        lido_conn_set_label(&conn, "12345678901234567890123456789\xc3\xa9zz", &err),
        LIDO_OK);
    cr_assert_str_eq(holder_now().label, "12345678901234567890123456789\xc3\xa9");
    /* A short one leaves nothing of the long one behind. */
    cr_assert_eq(lido_conn_set_label(&conn, "ab", &err), LIDO_OK);
    cr_assert_str_eq(holder_now().label, "ab");
    cr_assert_eq(lido_conn_checkin(&conn, NULL, &err), LIDO_OK);
}

static int stop_at_once(void *ctx, const struct lido_holder *holder)
{
    (void)holder;
    ++*(int *)ctx;
    return SQLITE_ABORT;
}

Test(lease, a_visit_of_the_holders_can_be_stopped)
{
    struct lido_conn a = take(), b = take();
    int visits = 0;

    cr_assert_eq(lido_pool_holders(pool, stop_at_once, &visits, &err), SQLITE_ABORT);
    cr_assert_eq(visits, 1);
    cr_assert_eq(lido_conn_checkin(&a, NULL, &err), LIDO_OK);
    cr_assert_eq(lido_conn_checkin(&b, NULL, &err), LIDO_OK);
}

Test(lease, checkout_takes_no_options_that_it_does_not_know)
{
    struct lido_checkout_options options = LIDO_CHECKOUT_OPTIONS_INIT;
    struct lido_conn conn = { &conn, 7 };

    options.size = 3;
    cr_assert_eq(lido_pool_checkout(pool, &conn, &options, &err), SQLITE_MISUSE);
    cr_assert_null(conn.cell, "a failed checkout leaves an empty lease");
    options.size = sizeof options;
    options.timeout_ms = -2;
    cr_assert_eq(lido_pool_checkout(pool, &conn, &options, &err), LIDO_BAD_OPTION);
}

/* A checkout hook that checks its own lease in and takes the slot again. */
struct thief {
    struct lido_conn inner;
    int checkouts;
};

static int steal_once(void *ctx, const struct lido_event *event,
                      struct lido_error *hook_err)
{
    struct thief *thief = ctx;
    struct lido_conn copy = *event->conn;

    if (thief->checkouts++ > 0)
        return LIDO_OK;
    if (lido_conn_checkin(&copy, NULL, hook_err) != LIDO_OK)
        return SQLITE_ERROR;
    return lido_pool_checkout(event->pool, &thief->inner, NULL, hook_err);
}

Test(lease, a_checkout_whose_hook_ended_it_leaves_the_next_lease_of_the_slot_alone)
{
    static const struct lido_events events = { .size = sizeof events,
                                               .checkout = steal_once };
    struct thief thief = { LIDO_CONN_INIT, 0 };
    struct lido_conn outer;

    cr_assert_eq(lido_hooks_add(lido_pool_hooks(pool), NULL, &events, &thief, NULL, &err),
                 LIDO_OK);
    cr_assert_eq(lido_pool_checkout(pool, &outer, NULL, &err), LIDO_STALE);
    cr_assert_eq(thief.checkouts, 2);
    cr_assert_not_null(lido_conn_handle(&thief.inner));
    cr_assert_eq(lido_conn_checkin(&thief.inner, NULL, &err), LIDO_OK, "%s", err.text);
}

Test(lease, every_move_of_a_slot_is_in_the_table)
{
    static const char *const legal[] = { "VL", "IL", "IR", "LR", "Rv", "Ri", "Rl" };
    static const char names[] = "VILR", next[] = "vilr";
    int count = 0;

    for (uint64_t from = 0; from < 4; from++)
        for (uint64_t to = 0; to < 4; to++)
            for (uint64_t step = 0; step < 3; step++) {
                bool may = lido__slot_may_move(
                    lido__slot_word(7, (enum lido__slot_state)from),
                    lido__slot_word(7 + step, (enum lido__slot_state)to));
                bool is_listed = false;

                for (size_t i = 0; i < sizeof legal / sizeof legal[0]; i++)
                    is_listed =
                        is_listed ||
                        (legal[i][0] == names[from] &&
                         legal[i][1] == (step == 1 ? next[to] : names[to]) && step < 2);
                cr_assert_eq(may, is_listed, "from %c to %c, %d generations on",
                             names[from], names[to], (int)step);
                count += may;
            }
    cr_assert_eq(count, 7);
}
