/* SPDX-License-Identifier: MIT */
#ifndef LIDO_TESTS_MANAGER_STAGE_H
#define LIDO_TESTS_MANAGER_STAGE_H

/*
 * A manager for one test, and the calls that are to succeed.
 *
 * Threads: one.
 */
#include "tests/support/fake_driver.h"
#include <lido/lido.h>

#include <criterion/criterion.h>
#include <string.h>

static struct lido_error err;
static lido_manager *manager;

static inline void renew(const struct lido_manager_options *options)
{
    lido_manager_free(manager);
    cr_assert_eq(lido_manager_new(&manager, options, &err), LIDO_OK, "%s", err.text);
}

static inline void manager_set_up(void)
{
    fake_driver_install();
    renew(NULL);
}

static inline void manager_tear_down(void)
{
    lido_manager_free(manager);
    cr_assert_eq(fake_driver_open_count(), 0);
}

static inline struct lido_conn take(const char *url)
{
    struct lido_conn conn;

    cr_assert_eq(lido_manager_checkout(manager, url, &conn, NULL, &err), LIDO_OK, "%s: %s",
                 url, err.text);
    return conn;
}

static inline void give(struct lido_conn *conn)
{
    cr_assert_eq(lido_conn_checkin(conn, NULL, &err), LIDO_OK, "%s", err.text);
}

/* Asks for the pool once, and so makes it the one that was asked for last. */
static inline void use(const char *url)
{
    struct lido_conn conn = take(url);

    give(&conn);
}

static inline lido_pool *borrow(const char *url)
{
    lido_pool *pool;

    cr_assert_eq(lido_manager_pool(manager, url, &pool, &err), LIDO_OK, "%s: %s", url,
                 err.text);
    return pool;
}

static inline void hand_back(lido_pool *pool)
{
    cr_assert_eq(lido_manager_release(manager, pool, &err), LIDO_OK, "%s", err.text);
}

/* The pool of a URL now, which may go at any time. */
static inline lido_pool *peek(const char *url)
{
    lido_pool *pool = borrow(url);

    hand_back(pool);
    return pool;
}

static inline void expect_refused(const char *url, int code, const char *text)
{
    struct lido_conn conn = { &conn, 7 };

    err = (struct lido_error)LIDO_ERROR_INIT;
    cr_assert_eq(lido_manager_checkout(manager, url, &conn, NULL, &err), code, "%s: %s",
                 url, err.text);
    cr_assert_null(conn.cell);
    cr_assert_eq(err.code, code);
    cr_assert_not_null(strstr(err.text, text), "%s: %s", url, err.text);
}

#endif
