/* SPDX-License-Identifier: MIT */
/*
 * A run that waited for the gate before it had a connection: that it is in by it only on the
 * lease it then got, and only if that is on the same file and no other.
 */
#include "tests/support/handy.h"
#include <lido/lido.h>

#include <criterion/criterion.h>
#include <stdio.h>
#include <unistd.h>

static char path[HANDY_FILE_SIZE];
static lido_pool *pool;
static struct lido_error err;

static lido_pool *open_file(const char *name, int64_t pool_size)
{
    struct lido_pool_options options = handy_options("queue");
    char url[130];

    options.pool_size = pool_size;
    options.max_overflow = 0;
    snprintf(url, sizeof url, "sqlite:///%s", name);
    return handy_open_url(url, &options);
}

/* A pool learns its file's gate from its first connection. */
static void open_known(void)
{
    struct lido_conn conn;

    pool = open_file(path, 2);
    conn = handy_take(pool);
    handy_give(&conn);
}

static void set_up(void)
{
    handy_file(path, "permit");
}

static void clear(void)
{
    lido_pool_free(pool);
    unlink(path);
}

TestSuite(permit, .init = set_up, .fini = clear, .timeout = 30);

static struct lido_gate_stats gate_stats(void)
{
    struct lido_gate_stats stats = LIDO_GATE_STATS_INIT;

    cr_assert_eq(lido_gate_stats(pool, &stats, &err), LIDO_OK);
    return stats;
}

static int nothing(void *ctx, const struct lido_conn *conn, struct lido_error *error)
{
    (void)ctx, (void)conn, (void)error;
    return LIDO_OK;
}

static void run(void)
{
    cr_assert_eq(lido_pool_run(pool, LIDO_IMMEDIATE, nothing, NULL, NULL, &err), LIDO_OK,
                 "%s", err.text);
}

static int end_lease_and_begin_others(void *ctx, const struct lido_conn *conn,
                                      struct lido_error *error)
{
    struct lido_conn copy = *conn, others[2];
    bool is_the_same = false;

    (void)ctx;
    cr_assert_eq(lido_conn_checkin(&copy, NULL, error), LIDO_OK);
    cr_assert_eq(lido_pool_dispose(pool, error), LIDO_OK);
    for (int i = 0; i < 2; i++) {
        others[i] = handy_take(pool);
        is_the_same = is_the_same || others[i].cell == conn->cell;
        cr_expect_eq(lido_txn_begin(&others[i], LIDO_IMMEDIATE, error), LIDO_DEADLOCK);
    }
    cr_assert(is_the_same, "one has the place of the writer");
    for (int i = 0; i < 2; i++)
        handy_give(&others[i]);
    return LIDO_OK;
}

Test(permit, when_its_lease_has_ended_the_next_in_that_place_is_not_in)
{
    open_known();
    cr_expect_eq(
        lido_pool_run(pool, LIDO_IMMEDIATE, end_lease_and_begin_others, NULL, NULL, &err),
        LIDO_STALE);
    cr_expect_not(gate_stats().is_held);
}

static int expect_held(void *ctx, const struct lido_conn *conn, struct lido_error *error)
{
    struct lido_gate_stats stats = LIDO_GATE_STATS_INIT;
    lido_pool *of = ctx;

    (void)conn;
    cr_assert_eq(lido_gate_stats(of, &stats, error), LIDO_OK);
    cr_expect(stats.is_held);
    return LIDO_OK;
}

Test(permit, where_another_file_took_the_name_it_is_in_the_gate_of_that)
{
    char before[110];

    snprintf(before, sizeof before, "%s-before", path);
    open_known();
    run();
    cr_assert_eq(lido_pool_dispose(pool, &err), LIDO_OK);
    cr_assert_eq(rename(path, before), 0);
    cr_expect_eq(lido_pool_run(pool, LIDO_IMMEDIATE, expect_held, pool, NULL, &err),
                 LIDO_OK, "%s", err.text);
    cr_expect_not(gate_stats().is_held);
    unlink(before);
}

static int attach(void *ctx, const struct lido_event *event, struct lido_error *error)
{
    char sql[150];

    snprintf(sql, sizeof sql, "ATTACH '%s' AS other", (const char *)ctx);
    (void)error;
    return sqlite3_exec(event->sqlite, sql, NULL, NULL, NULL);
}

Test(permit, where_its_connection_has_a_file_attached_it_is_in_that_gate_too)
{
    static const struct lido_events hooks = { .size = sizeof hooks, .connect = attach };
    char name[110];
    struct lido_conn conn;
    lido_pool *other;

    snprintf(name, sizeof name, "%s-2", path);
    open_known();
    other = open_file(name, 1);
    conn = handy_take(other);
    cr_assert_eq(lido_conn_exec(&conn, "CREATE TABLE u(x)", &err), LIDO_OK);
    handy_give(&conn);
    cr_assert_eq(lido_hooks_add(lido_pool_hooks(pool), NULL, &hooks, name, NULL, &err),
                 LIDO_OK);
    cr_expect_eq(lido_pool_run(pool, LIDO_IMMEDIATE, expect_held, other, NULL, &err),
                 LIDO_OK, "%s", err.text);
    cr_expect_not(gate_stats().is_held);
    lido_pool_free(other);
    unlink(name);
}

static int refuse(void *ctx, const struct lido_event *event, struct lido_error *error)
{
    const int *is_refusing = ctx;

    (void)event;
    return *is_refusing ? lido_fail(error, LIDO_BAD_OPTION, "not today") : LIDO_OK;
}

static int no_writer(void *ctx, const struct lido_conn *conn, struct lido_error *error)
{
    (void)ctx, (void)conn, (void)error;
    cr_expect_eq(handy_stats(pool).writer, 0);
    return LIDO_OK;
}

Test(permit, the_writer_is_not_the_one_that_first_connect_sees)
{
    static const struct lido_events hooks = { .size = sizeof hooks,
                                              .first_connect = refuse };
    int is_refusing = 1;
    struct lido_conn conn;

    pool = open_file(path, 1);
    cr_assert_eq(
        lido_hooks_add(lido_pool_hooks(pool), NULL, &hooks, &is_refusing, NULL, &err),
        LIDO_OK);
    cr_assert_eq(lido_pool_checkout(pool, &conn, NULL, &err), LIDO_BAD_OPTION);
    is_refusing = 0;
    cr_expect_eq(gate_stats().entered, 0, "the gate is known");
    cr_expect_eq(lido_pool_run(pool, LIDO_IMMEDIATE, no_writer, NULL, NULL, &err), LIDO_OK,
                 "%s", err.text);
    run();
    cr_expect_eq(handy_stats(pool).writer, 1);
}

static int begin_another(void *ctx, const struct lido_event *event,
                         struct lido_error *error)
{
    int *calls = ctx;
    struct lido_conn other;

    (void)event;
    if (++*calls > 1)
        return LIDO_OK;
    other = handy_take(pool);
    cr_expect_eq(lido_txn_begin(&other, LIDO_IMMEDIATE, error), LIDO_DEADLOCK);
    handy_give(&other);
    return LIDO_OK;
}

Test(permit, what_a_checkout_hook_takes_besides_is_not_in)
{
    static const struct lido_events hooks = { .size = sizeof hooks,
                                              .checkout = begin_another };
    int calls = 0;

    open_known();
    cr_assert_eq(lido_hooks_add(lido_pool_hooks(pool), NULL, &hooks, &calls, NULL, &err),
                 LIDO_OK);
    run();
    cr_expect_eq(calls, 2);
    cr_expect_not(gate_stats().is_held);
}
