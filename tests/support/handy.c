/* SPDX-License-Identifier: MIT */
#include "tests/support/handy.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct lido_error handy_err;

struct lido_pool_options handy_options(const char *kind)
{
    struct lido_pool_options options = LIDO_POOL_OPTIONS_INIT;

    options.pool = kind;
    options.clock = fake_clock();
    options.pool_timeout_ms = 0;
    return options;
}

lido_pool *handy_open_url(const char *url, const struct lido_pool_options *options)
{
    lido_pool *pool;

    cr_assert_eq(lido_pool_open(&pool, url, options, &handy_err), LIDO_OK, "%s",
                 handy_err.text);
    return pool;
}

lido_pool *handy_open(const struct lido_pool_options *options)
{
    fake_driver_install();
    return handy_open_url("fake:///any", options);
}

void handy_end(lido_pool *pool)
{
    cr_assert_eq(lido_pool_close(pool, 0, &handy_err), LIDO_OK, "%s", handy_err.text);
    lido_pool_free(pool);
    cr_assert_eq(fake_driver_open_count(), 0);
}

struct lido_conn handy_take(lido_pool *pool)
{
    struct lido_error err = LIDO_ERROR_INIT;
    struct lido_conn conn;

    cr_assert_eq(lido_pool_checkout(pool, &conn, NULL, &err), LIDO_OK, "%s", err.text);
    return conn;
}

void handy_give(struct lido_conn *conn)
{
    struct lido_error err = LIDO_ERROR_INIT;

    cr_assert_eq(lido_conn_checkin(conn, NULL, &err), LIDO_OK, "%s", err.text);
}

struct lido_pool_stats handy_stats(lido_pool *pool)
{
    struct lido_pool_stats stats = LIDO_POOL_STATS_INIT;

    cr_assert_eq(lido_pool_stats(pool, &stats, NULL), LIDO_OK);
    cr_assert_eq(stats.idle + stats.out, stats.live);
    return stats;
}

int handy_number(const struct lido_conn *conn)
{
    const void *handle = lido_conn_handle(conn);

    return handle != NULL ? fake_driver_number(handle) : 0;
}

void handy_file(char path[HANDY_FILE_SIZE], const char *name)
{
    int file;

    snprintf(path, HANDY_FILE_SIZE, "/tmp/lido-%s-XXXXXX.db", name);
    file = mkstemps(path, 3);
    cr_assert_geq(file, 0);
    close(file);
    unlink(path);
}

void handy_thread(void *(*body)(void *arg), void *arg)
{
    pthread_t thread;

    cr_assert_eq(pthread_create(&thread, NULL, body, arg), 0);
    cr_assert_eq(pthread_join(thread, NULL), 0);
}
