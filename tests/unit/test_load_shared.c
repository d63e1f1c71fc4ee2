/* SPDX-License-Identifier: MIT */
/*
 * Load on a connection that all threads share: one load does not see, nor keep, what another
 * has set on it for the time of its transaction.
 */
#include <criterion/criterion.h>
#include <lido/lido.h>
#include <pthread.h>
#include <string.h>

TestSuite(load_shared, .timeout = 60);

static void *load_often(void *pool)
{
    static const char text[] = "INSERT INTO t VALUES(1);";
    struct lido_error mine;

    for (int i = 0; i < 200; i++)
        cr_expect_eq(
            lido_load_text(lido_at_pool(pool), NULL, text, sizeof text - 1, NULL, &mine),
            LIDO_OK, "%s", mine.text);
    return NULL;
}

/* The other one fails, before it begins its transaction and after. */
Test(load_shared, two_at_a_time_leave_the_connection_as_it_was)
{
    static const char *const texts[] = { "ROLLBACK;", "DELETE FROM t; nonsense;" };
    struct lido_error err;
    lido_pool *pool;
    struct lido_conn conn;
    pthread_t thread;
    int is_on;

    cr_assert_eq(lido_pool_open(&pool, "sqlite://?pool=static", NULL, &err), LIDO_OK);
    cr_assert_eq(lido_pool_checkout(pool, &conn, NULL, &err), LIDO_OK);
    cr_assert_eq(lido_conn_exec(&conn, "CREATE TABLE t (x)", &err), LIDO_OK);
    sqlite3_db_config(lido_conn_sqlite(&conn), SQLITE_DBCONFIG_ENABLE_FKEY, 1, (int *)NULL);
    cr_assert_eq(pthread_create(&thread, NULL, load_often, pool), 0);
    for (int i = 0; i < 200; i++)
        cr_expect_eq(lido_load_text(lido_at_pool(pool), NULL, texts[i % 2],
                                    strlen(texts[i % 2]), NULL, &err),
                     SQLITE_ERROR, "%s", err.text);
    pthread_join(thread, NULL);
    sqlite3_db_config(lido_conn_sqlite(&conn), SQLITE_DBCONFIG_ENABLE_FKEY, -1, &is_on);
    cr_expect_eq(is_on, 1);
    cr_expect_eq(lido_conn_checkin(&conn, NULL, &err), LIDO_OK);
    lido_pool_free(pool);
}

static int count(void *ctx, int action, const char *first, const char *second,
                 const char *database, const char *trigger)
{
    (void)action, (void)first, (void)second, (void)database, (void)trigger;
    ++*(int *)ctx;
    return SQLITE_OK;
}

/* Another lease of the thread has the same connection, and its authorizer there. */
Test(load_shared, the_hosts_authorizer_stays)
{
    static const char *const urls[] = { "sqlite://?pool=static",
                                        "sqlite://?pool=singleton_thread" };
    static const char text[] = "CREATE TABLE t (x);";
    struct lido_error err;

    for (int i = 0; i < 2; i++) {
        struct lido_conn conn;
        lido_pool *pool;
        int asked = 0;

        cr_assert_eq(lido_pool_open(&pool, urls[i], NULL, &err), LIDO_OK);
        cr_assert_eq(lido_pool_checkout(pool, &conn, NULL, &err), LIDO_OK);
        cr_assert_eq(lido_conn_set_authorizer(&conn, count, &asked, &err), LIDO_OK);
        cr_expect_eq(
            lido_load_text(lido_at_pool(pool), NULL, text, sizeof text - 1, NULL, &err),
            LIDO_OK, "%s: %s", urls[i], err.text);
        cr_expect_gt(asked, 0, "%s: while it loads", urls[i]);
        asked = 0;
        cr_expect_eq(lido_conn_exec(&conn, "INSERT INTO t VALUES (1)", &err), LIDO_OK);
        cr_expect_gt(asked, 0, "%s: and afterwards", urls[i]);
        cr_expect_eq(lido_conn_checkin(&conn, NULL, &err), LIDO_OK);
        lido_pool_free(pool);
    }
}
