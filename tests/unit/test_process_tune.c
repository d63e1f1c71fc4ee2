/* SPDX-License-Identifier: MIT */
/*
 * lido_process_tune(): it takes effect before SQLite is in use, and is refused after.  Each
 * test runs in a process of its own, in which nothing of SQLite was used before.
 */
#include <lido/lido.h>

#include <criterion/criterion.h>
#include <string.h>

/* SQLite's statistics of memory after a pool was used, or 0 if it keeps none. */
static sqlite3_int64 use_a_pool(void)
{
    struct lido_error err = LIDO_ERROR_INIT;
    struct lido_conn conn;
    sqlite3_int64 used, now = -1, most = -1;
    lido_pool *pool;

    cr_assert_eq(lido_pool_open(&pool, "sqlite://?pool=static", NULL, &err), LIDO_OK, "%s",
                 err.text);
    cr_assert_eq(lido_pool_checkout(pool, &conn, NULL, &err), LIDO_OK, "%s", err.text);
    cr_assert_eq(
        lido_conn_exec(&conn, "CREATE TABLE t (x); INSERT INTO t VALUES (1)", &err),
        LIDO_OK, "%s", err.text);
    used = sqlite3_memory_used();
    cr_assert_eq(sqlite3_status64(SQLITE_STATUS_MALLOC_COUNT, &now, &most, 0), SQLITE_OK);
    cr_expect_eq(now > 0, used > 0);
    cr_expect_eq(sqlite3_memory_highwater(0) > 0, used > 0);
    cr_assert_eq(lido_conn_checkin(&conn, NULL, &err), LIDO_OK, "%s", err.text);
    lido_pool_free(pool);
    return used;
}

Test(process_tune, nothing_is_set_unless_asked_for)
{
    cr_expect_gt(use_a_pool(), 0);
}

Test(process_tune, turns_the_statistics_of_memory_off)
{
    struct lido_error err = LIDO_ERROR_INIT;

    cr_assert_eq(lido_process_tune(&err), LIDO_OK);
    cr_expect_eq(err.code, 0);
    cr_expect_str_eq(err.text, "");
    cr_expect_eq(use_a_pool(), 0);
}

Test(process_tune, is_refused_once_sqlite_is_in_use_and_says_why)
{
    struct lido_error err = LIDO_ERROR_INIT;

    cr_assert_gt(use_a_pool(), 0);
    cr_expect_eq(lido_process_tune(&err), SQLITE_MISUSE);
    cr_expect_eq(err.code, SQLITE_MISUSE);
    cr_expect_not_null(strstr(err.text, "in use already"), "%s", err.text);
    cr_expect_not_null(strstr(err.text, "nothing was changed"), "%s", err.text);
    cr_expect_gt(use_a_pool(), 0, "the statistics went off all the same");
}

Test(process_tune, any_allocation_of_lido_is_use)
{
    struct lido_url *url;

    cr_assert_eq(lido_url_parse(&url, "sqlite://", NULL), LIDO_OK);
    cr_expect_eq(lido_process_tune(NULL), SQLITE_MISUSE);
    lido_url_free(url);
    cr_expect_gt(use_a_pool(), 0);
}

Test(process_tune, may_be_called_twice_and_without_a_place_for_the_error)
{
    cr_assert_eq(lido_process_tune(NULL), LIDO_OK);
    cr_assert_eq(lido_process_tune(NULL), LIDO_OK);
    cr_expect_eq(use_a_pool(), 0);
    cr_expect_eq(lido_process_tune(NULL), SQLITE_MISUSE);
    cr_expect_eq(use_a_pool(), 0, "what was set before stays");
}

Test(process_tune, leaves_the_program_s_own_settings_alone)
{
    struct lido_error err = LIDO_ERROR_INIT;

    cr_assert_eq(sqlite3_config(SQLITE_CONFIG_URI, 1), SQLITE_OK);
    cr_assert_eq(lido_process_tune(&err), LIDO_OK, "%s", err.text);
    cr_expect_eq(sqlite3_config(SQLITE_CONFIG_LOOKASIDE, 512, 64), SQLITE_OK);
    cr_expect_eq(use_a_pool(), 0);
}
