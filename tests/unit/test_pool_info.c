/* SPDX-License-Identifier: MIT */
/*
 * What the host hangs on a connection and on its place, finalizers, and record calls.
 */
#include "tests/support/handy.h"

#include <criterion/criterion.h>
#include <string.h>

static int destroyed[4];
static char ran[64];

static void destroy(void *info)
{
    destroyed[(size_t)(char *)info - (size_t)(char *)destroyed]++;
}

static void *thing(int i)
{
    return (char *)destroyed + i;
}

static lido_pool *open_pool(void)
{
    struct lido_pool_options options = handy_options("queue");

    options.pool_size = 1;
    options.max_overflow = 0;
    memset(destroyed, 0, sizeof destroyed);
    memset(ran, 0, sizeof ran);
    return handy_open(&options);
}

Test(pool_info, info_goes_with_the_connection_and_record_info_with_the_place)
{
    lido_pool *pool = open_pool();
    struct lido_conn conn = handy_take(pool);

    cr_expect_null(lido_conn_info(&conn));
    cr_expect_eq(lido_conn_set_info(&conn, thing(0), destroy, NULL), LIDO_OK);
    cr_expect_eq(lido_conn_set_record_info(&conn, thing(1), destroy, NULL), LIDO_OK);
    handy_give(&conn);
    conn = handy_take(pool);
    cr_expect_eq(lido_conn_info(&conn), thing(0));
    cr_expect_eq(lido_conn_record_info(&conn), thing(1));

    lido_conn_invalidate(&conn, NULL, NULL);
    cr_expect_eq(destroyed[0], 0); /* until it connects anew */
    conn = handy_take(pool);
    cr_expect_eq(destroyed[0], 1);
    cr_expect_null(lido_conn_info(&conn));
    cr_expect_eq(lido_conn_record_info(&conn), thing(1));
    handy_give(&conn);
    cr_expect_eq(destroyed[1], 0);
    handy_end(pool);
    cr_expect_eq(destroyed[1], 1);
    cr_expect_eq(destroyed[0], 1);
}

Test(pool_info, setting_another_destroys_the_one_before)
{
    lido_pool *pool = open_pool();
    struct lido_conn conn = handy_take(pool);

    lido_conn_set_info(&conn, thing(0), destroy, NULL);
    lido_conn_set_info(&conn, thing(1), destroy, NULL);
    cr_expect_eq(destroyed[0], 1);
    lido_conn_set_info(&conn, NULL, NULL, NULL);
    cr_expect_eq(destroyed[1], 1);
    handy_give(&conn);
    cr_expect_eq(lido_conn_set_info(&conn, thing(2), destroy, NULL), LIDO_STALE);
    cr_expect_eq(destroyed[2], 1);
    handy_end(pool);
}

Test(pool_info, a_detached_connection_keeps_its_info_and_leaves_its_record_s)
{
    lido_pool *pool = open_pool();
    struct lido_conn conn = handy_take(pool), next;

    lido_conn_set_info(&conn, thing(0), destroy, NULL);
    lido_conn_set_record_info(&conn, thing(1), destroy, NULL);
    lido_conn_detach(&conn, NULL);
    cr_expect_eq(lido_conn_info(&conn), thing(0));
    cr_expect_null(lido_conn_record_info(&conn));
    cr_expect_eq(lido_conn_set_record_info(&conn, thing(2), destroy, NULL), SQLITE_MISUSE);
    cr_expect_eq(destroyed[2], 1);
    next = handy_take(pool);
    cr_expect_null(lido_conn_info(&next));
    cr_expect_eq(lido_conn_record_info(&next), thing(1));
    handy_give(&conn);
    cr_expect_eq(destroyed[0], 1);
    handy_give(&next);
    handy_end(pool);
    cr_expect_eq(destroyed[1], 1);
}

static int finalize(void *ctx, void *handle, struct lido_error *err)
{
    int i = (int)((char *)ctx - (char *)destroyed);

    cr_expect_not_null(handle);
    ran[strlen(ran)] = (char)('0' + i);
    return i == 3 ? lido_fail(err, SQLITE_AUTH, "it did not go") : LIDO_OK;
}

static void add(const struct lido_conn *conn, int i)
{
    cr_assert_eq(lido_conn_add_finalizer(conn, finalize, thing(i), destroy, &handy_err),
                 LIDO_OK, "%s", handy_err.text);
}

Test(pool_info, finalizers_run_once_the_last_added_first)
{
    lido_pool *pool = open_pool();
    struct lido_conn conn = handy_take(pool);

    add(&conn, 0);
    add(&conn, 1);
    handy_give(&conn);
    cr_expect_str_eq(ran, "10");
    cr_expect_eq(destroyed[0] + destroyed[1], 2);
    conn = handy_take(pool);
    handy_give(&conn);
    cr_expect_str_eq(ran, "10");
    handy_end(pool);
}

Test(pool_info, a_failing_finalizer_closes_the_connection_and_the_others_run)
{
    lido_pool *pool = open_pool();
    struct lido_conn conn = handy_take(pool);

    add(&conn, 0);
    add(&conn, 3);
    add(&conn, 1);
    cr_expect_eq(lido_conn_checkin(&conn, NULL, &handy_err), SQLITE_AUTH);
    cr_expect_str_eq(handy_err.text, "it did not go");
    cr_expect_str_eq(ran, "130");
    cr_expect_eq(destroyed[0] + destroyed[1] + destroyed[3], 3);
    cr_expect_eq(fake_driver_open_count(), 0);
    cr_expect_eq(handy_stats(pool).idle, 1);
    handy_end(pool);
}

Test(pool_info, finalizers_of_a_connection_that_is_closed_before_do_not_run)
{
    lido_pool *pool = open_pool();
    struct lido_conn conn = handy_take(pool);

    add(&conn, 0);
    lido_conn_invalidate(&conn, NULL, NULL);
    cr_expect_str_eq(ran, "");
    cr_expect_eq(destroyed[0], 1);
    cr_expect_eq(lido_conn_add_finalizer(&conn, finalize, thing(1), destroy, NULL),
                 LIDO_STALE);
    cr_expect_eq(destroyed[1], 1);
    conn = handy_take(pool);
    cr_expect_eq(lido_conn_add_finalizer(&conn, NULL, thing(2), destroy, NULL),
                 SQLITE_MISUSE);
    cr_expect_eq(destroyed[2], 1);
    handy_give(&conn);
    handy_end(pool);
}

Test(pool_info, a_record_is_closed_and_connected_under_its_lease)
{
    lido_pool *pool = open_pool();
    struct lido_conn conn = handy_take(pool);
    lido_record *record = lido_conn_record(&conn);
    int64_t started_ns = lido_record_started_ns(record);

    cr_expect_eq(lido_record_handle(record), lido_conn_handle(&conn));
    cr_expect_null(lido_record_sqlite(record));
    cr_expect_eq(lido_record_in_use(record), 1);
    cr_expect_eq(lido_record_close(record, NULL), LIDO_OK);
    cr_expect_eq(lido_record_close(record, NULL), LIDO_OK);
    cr_expect_null(lido_conn_handle(&conn));
    cr_expect_eq(lido_txn_begin(&conn, LIDO_DEFERRED, &handy_err), LIDO_NO_CONNECTION);
    cr_expect_eq(lido_conn_detach(&conn, &handy_err), LIDO_NO_CONNECTION);
    fake_clock_advance_ms(1);
    cr_expect_eq(lido_record_connect(record, NULL), LIDO_OK);
    cr_expect_eq(lido_record_connect(record, NULL), LIDO_OK);
    cr_expect_eq(handy_number(&conn), 2);
    cr_expect_gt(lido_record_started_ns(record), started_ns);
    cr_expect_eq(lido_record_invalidate(record, NULL, NULL), LIDO_OK);
    cr_expect_null(lido_conn_handle(&conn));
    handy_give(&conn);
    conn = handy_take(pool);
    cr_expect_eq(handy_number(&conn), 3);
    handy_give(&conn);
    handy_end(pool);
}

Test(pool_info, record_calls_take_nothing_for_an_answer)
{
    cr_expect_null(lido_record_handle(NULL));
    cr_expect_null(lido_record_sqlite(NULL));
    cr_expect_eq(lido_record_connect(NULL, &handy_err), SQLITE_MISUSE);
    cr_expect_eq(lido_record_close(NULL, &handy_err), SQLITE_MISUSE);
    cr_expect_eq(lido_record_invalidate(NULL, NULL, &handy_err), SQLITE_MISUSE);
    cr_expect_eq(lido_record_invalidate_soft(NULL, NULL, &handy_err), SQLITE_MISUSE);
    cr_expect_null(lido_record_info(NULL));
    cr_expect_null(lido_record_record_info(NULL));
    cr_expect_eq(lido_record_started_ns(NULL), 0);
    cr_expect_eq(lido_record_in_use(NULL), 0);
    memset(destroyed, 0, sizeof destroyed);
    lido_record_set_info(NULL, thing(0), destroy);
    lido_record_set_record_info(NULL, thing(1), destroy);
    cr_expect_eq(destroyed[0] + destroyed[1], 2);
}

Test(pool_info, status_says_what_sqlalchemy_says)
{
    static const struct {
        const char *kind, *status;
    } kinds[] = {
        { "null", "NullPool" },
        { "static", "StaticPool" },
        { "assertion", "AssertionPool" },
        { "queue", "Pool size: 5  Connections in pool: 0 Current Overflow: -4 "
                   "Current Checked out connections: 1" },
    };
    char text[120], few[8];

    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        struct lido_pool_options options = handy_options(kinds[i].kind);
        lido_pool *pool = handy_open(&options);
        struct lido_conn conn = handy_take(pool);

        cr_expect_eq(lido_pool_status(pool, text, sizeof text, NULL), LIDO_OK);
        cr_expect_str_eq(text, kinds[i].status);
        cr_expect_eq(lido_pool_status(pool, few, sizeof few, NULL), LIDO_OK);
        cr_expect_eq(strncmp(few, kinds[i].status, sizeof few - 1), 0);
        cr_expect_eq(lido_pool_status(pool, NULL, 5, &handy_err), SQLITE_MISUSE);
        handy_give(&conn);
        handy_end(pool);
    }
    cr_expect_eq(lido_pool_status(NULL, text, sizeof text, &handy_err), SQLITE_MISUSE);
}
