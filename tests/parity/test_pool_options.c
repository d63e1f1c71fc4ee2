/* SPDX-License-Identifier: MIT */
/*
 * Section 1.2: what a pool is opened with.
 */
#include "tests/parity/play.h"

#include <stdio.h>
#include <string.h>

TestSuite(parity_options, .init = play_begin);

static const lido_record *creator_record;

static int creator(void *ctx, const struct lido_connect *how, lido_record *record,
                   void **handle, struct lido_error *err)
{
    static int connection;

    (void)how, (void)err;
    creator_record = record;
    lido_record_set_record_info(record, ctx, NULL);
    *handle = &connection;
    return LIDO_OK;
}

static int close_nothing(void *ctx, void *handle, int terminate, struct lido_error *err)
{
    (void)ctx, (void)handle, (void)terminate, (void)err;
    return LIDO_OK;
}

static int no_transaction(void *ctx, void *handle)
{
    (void)ctx, (void)handle;
    return LIDO_TXN_NONE;
}

/* 1.2 creator
   SQLAlchemy: called to open a connection, since 1.1 with the record if it takes an argument.
   lido: same: a driver's connect, always with its context and the record */
Test(parity_options, the_drivers_connect_gets_its_context_and_the_record)
{
    static const struct lido_driver driver = { .size = sizeof driver,
                                               .name = "creator",
                                               .connect = creator,
                                               .close = close_nothing,
                                               .txn_state = no_transaction };
    struct lido_conn conn;
    lido_pool *pool;
    int ctx;

    cr_assert_eq(lido_driver_register("creator", &driver, &ctx, NULL), LIDO_OK);
    cr_assert_eq(lido_pool_open(&pool, "creator:///x?pool=queue", NULL, NULL), LIDO_OK);
    conn = play_take(pool);

    cr_expect_eq(creator_record, lido_conn_record(&conn));
    cr_expect_eq(lido_conn_record_info(&conn), &ctx);
    play_give(&conn);
    play_end(pool);
}

/* 1.2 creator argument counting
   SQLAlchemy: whether the creator gets the record is found out by looking at its signature.
   lido: not applicable: a C function has one signature; a driver with too few functions is
   refused */
Test(parity_options, a_driver_without_connect_is_refused)
{
    static const struct lido_driver driver = { .size = sizeof driver,
                                               .name = "poor",
                                               .close = close_nothing,
                                               .txn_state = no_transaction };

    cr_expect_eq(lido_driver_register("poor", &driver, NULL, NULL), SQLITE_MISUSE);
}

static lido_pool *open_recycling(int64_t recycle_ms)
{
    struct lido_pool_options options = play_options("queue");

    options.pool_recycle_ms = recycle_ms;
    return play_open(&options);
}

/* 1.2 recycle
   SQLAlchemy: at checkout, a connection older than this, strictly, is closed and reopened; -1
   is never.
   lido: same: and `pool_recycle_jitter` and `pool_recycle_spacing` spread it */
Test(parity_options, a_connection_strictly_older_than_recycle_is_replaced)
{
    lido_pool *pool = open_recycling(5000);
    struct lido_conn conn = play_take(pool);

    play_give(&conn);
    fake_clock_advance_ms(5000);
    conn = play_take(pool);
    cr_expect_eq(play_number(&conn), 1);
    play_give(&conn);

    fake_clock_advance_ms(1);
    conn = play_take(pool);
    cr_expect_eq(play_number(&conn), 2);
    play_give(&conn);
    play_end(pool);
}

/* 1.2 recycle counts from before the connect
   SQLAlchemy: the age begins before the creator is called, so a connect that took longer than
   `recycle` is repeated at the next checkout.
   lido: same */
Test(parity_options, a_connect_slower_than_recycle_is_repeated_at_the_next_checkout)
{
    lido_pool *pool = open_recycling(1000);
    struct lido_conn conn;

    play_open_takes_ms(1500);
    conn = play_take(pool);
    play_give(&conn);
    play_open_takes_ms(0);

    conn = play_take(pool);
    cr_expect_eq(play_number(&conn), 2);
    play_give(&conn);
    play_end(pool);
}

/* 1.2 recycle needs no thread
   SQLAlchemy: a connection's age is never looked at while it is idle.
   lido: same: lido starts no thread; `idle_timeout`, which is off, closes idle ones at a
   check-in */
Test(parity_options, an_idle_connection_is_not_recycled)
{
    lido_pool *pool = open_recycling(1000);
    struct lido_conn first = play_take(pool), second = play_take(pool);

    play_give(&first);
    fake_clock_advance_ms(100000);
    play_forget();
    play_give(&second);

    play_expect("reset 2, rollback 2, checkin 2");
    cr_expect_eq(play_open_count(), 2);
    play_end(pool);
}

/* 1.2 pre_ping
   SQLAlchemy: since 1.2, a checkout pings a connection unless it was just opened; if it is
   dead, it is replaced and the whole pool invalidated.
   lido: same */
Test(parity_options, an_idle_connection_is_pinged_and_a_fresh_one_is_not)
{
    struct lido_pool_options options = play_options("queue");
    lido_pool *pool;
    struct lido_conn conn;

    options.pool_pre_ping = 1;
    pool = play_open(&options);
    conn = play_take(pool);
    play_expect("open 1, first_connect 1, connect 1, checkout 1");
    play_give(&conn);
    play_forget();

    conn = play_take(pool);
    play_expect("ping 1, checkout 1");
    play_give(&conn);
    play_end(pool);
}

/* 1.2 pre_ping needs a dialect
   SQLAlchemy: without a dialect a ping is a NotImplementedError.
   lido: better: a driver that cannot ping is not asked */
Test(parity_options, a_driver_that_cannot_ping_is_not_asked)
{
    static const struct lido_driver driver = { .size = sizeof driver,
                                               .name = "mute",
                                               .connect = creator,
                                               .close = close_nothing,
                                               .txn_state = no_transaction };
    struct lido_pool_options options = play_options("queue");
    lido_pool *pool;
    struct lido_conn conn;

    options.pool_pre_ping = 1;
    cr_assert_eq(lido_driver_register("mute", &driver, NULL, NULL), LIDO_OK);
    cr_assert_eq(lido_pool_open(&pool, "mute:///x", &options, NULL), LIDO_OK);
    for (int i = 0; i < 2; i++) {
        conn = play_take(pool);
        play_give(&conn);
    }
    play_end(pool);
}

static void expect_reset(int how, const char *line)
{
    struct lido_pool_options options = play_options("queue");
    struct lido_conn conn;
    lido_pool *pool;

    options.pool_reset_on_return = how;
    pool = play_open(&options);
    conn = play_take(pool);
    play_forget();
    play_give(&conn);
    play_expect(line);
    play_end(pool);
}

/* 1.2 reset_on_return rollback
   SQLAlchemy: True or "rollback", the default: a rollback when it comes back.
   lido: same: and running statements are reset */
Test(parity_options, a_returned_connection_is_rolled_back)
{
    expect_reset(LIDO_RESET_ROLLBACK, "reset 1, rollback 1, checkin 1");
}

/* 1.2 reset_on_return commit
   SQLAlchemy: "commit": a commit when it comes back.
   lido: same */
Test(parity_options, a_returned_connection_is_committed_if_told_so)
{
    expect_reset(LIDO_RESET_COMMIT, "reset 1, commit 1, checkin 1");
}

/* 1.2 reset_on_return none
   SQLAlchemy: None, False or "none": nothing.
   lido: same: the transaction stays open; statements are reset all the same */
Test(parity_options, a_returned_connection_is_left_alone_if_told_so)
{
    expect_reset(LIDO_RESET_NONE, "reset 1, checkin 1");
}

/* 1.2 reset_on_return anything else
   SQLAlchemy: an ArgumentError when the pool is made.
   lido: same: LIDO_BAD_OPTION */
Test(parity_options, another_reset_is_refused_when_the_pool_is_opened)
{
    struct lido_pool_options options = play_options("queue");
    lido_pool *pool;

    options.pool_reset_on_return = 3;
    cr_expect_eq(lido_pool_open(&pool, "play:///x", &options, NULL), LIDO_BAD_OPTION);
    cr_expect_null(pool);
}

/* 1.2 use_threadlocal
   SQLAlchemy: up to 1.3, a second connect() of a thread answers the same fairy, counted once
   more.
   lido: same: a lease of its own on the same connection, which returns with the last */
Test(parity_options, use_threadlocal_shares_the_connection_that_a_thread_has)
{
    struct lido_pool_options options = play_options("queue");
    struct lido_conn outer, inner;
    lido_pool *pool;

    options.use_threadlocal = 1;
    pool = play_open(&options);
    outer = play_take(pool);
    inner = play_take(pool);
    cr_expect_eq(play_number(&inner), play_number(&outer));
    play_expect("open 1, first_connect 1, connect 1, checkout 1");

    play_give(&outer);
    play_expect("");
    play_give(&inner);
    play_expect("reset 1, rollback 1, checkin 1");
    play_end(pool);
}

/* 1.2 events
   SQLAlchemy: a list of listeners that are there from the construction on.
   lido: not applicable: a pool opens nothing before its first checkout, so hooks added after
   lido_pool_open() miss nothing; hooks for `open_now` go to the kind or to all pools */
Test(parity_options, hooks_of_a_kind_see_what_open_now_opens)
{
    struct lido_pool_options options = play_options("queue");
    lido_pool *pool;
    lido_hook hook;

    options.open_now = 1;
    cr_assert_eq(
        lido_hooks_add(lido_hooks_kind("queue"), &hook, &play_traced, NULL, NULL, NULL),
        LIDO_OK);
    cr_assert_eq(lido_pool_open(&pool, "play:///x", &options, NULL), LIDO_OK);

    play_expect("open 1, first_connect 1, connect 1, checkout 1, ping 1, "
                "reset 1, rollback 1, checkin 1");
    play_end(pool);
    cr_assert_eq(lido_hooks_remove(lido_hooks_kind("queue"), hook, NULL), LIDO_OK);
}

static int listener_calls(void *ctx, const struct lido_event *event, struct lido_error *err)
{
    (void)event, (void)err;
    ++*(int *)ctx;
    return LIDO_OK;
}

/* 1.2 listeners
   SQLAlchemy: in 0.9, objects with any of the methods connect, first_connect, checkout and
   checkin, or dictionaries of them; deprecated.
   lido: same: a set of hooks is such an object, and what it leaves out is not called */
Test(parity_options, a_set_of_hooks_has_only_those_that_it_wants)
{
    static const struct lido_events listener = { .size = sizeof listener,
                                                 .connect = listener_calls,
                                                 .checkin = listener_calls };
    lido_pool *pool = play_open_kind("queue");
    struct lido_conn conn;
    int calls = 0;

    cr_assert_eq(lido_hooks_add(lido_pool_hooks(pool), NULL, &listener, &calls, NULL, NULL),
                 LIDO_OK);
    conn = play_take(pool);
    cr_expect_eq(calls, 1);
    play_give(&conn);
    cr_expect_eq(calls, 2);
    play_end(pool);
}

/* 1.2 dialect
   SQLAlchemy: gives the pool its rollback, commit, close, terminate and ping.
   lido: same: a driver's table; one that changes a part of `sqlite` copies its table */
Test(parity_options, the_driver_closes_what_is_trusted_and_terminates_what_is_not)
{
    lido_pool *pool = play_open_kind("null");
    struct lido_conn conn = play_take(pool);

    play_forget();
    play_give(&conn);
    play_expect("reset 1, rollback 1, checkin 1, close 1, shut 1");
    conn = play_take(pool);
    play_forget();
    cr_assert_eq(lido_conn_invalidate(&conn, NULL, NULL), LIDO_OK);
    play_expect("invalidate 2, close 2, terminate 2, checkin NULL");
    play_end(pool);
}

static char logged[4000];

static void keep_log(void *ctx, int level, const char *text)
{
    char entry[200];

    snprintf(entry, sizeof entry, "%s%d: %s; ", (const char *)ctx, level, text);
    strncat(logged, entry, sizeof logged - strlen(logged) - 1);
}

static void use_logging_pool(int level)
{
    static char name[] = "A";
    struct lido_pool_options options = play_options("queue");
    struct lido_conn conn;
    lido_pool *pool;

    options.log = keep_log;
    options.log_ctx = name;
    options.log_level = level;
    pool = play_open(&options);
    conn = play_take(pool);
    play_give(&conn);
    play_end(pool);
}

/* 1.2 logging_name
   SQLAlchemy: a suffix of the logger's name, by default a number in hex.
   lido: same: each pool has a log callback with a context of the host's */
Test(parity_options, a_pool_logs_under_the_hosts_own_name)
{
    use_logging_pool(LIDO_LOG_INFO);

    cr_expect_not_null(strstr(logged, "A3: connection opened"), "%s", logged);
}

/* 1.2 echo
   SQLAlchemy: True logs connects, invalidations, recycling and dispose; "debug" logs checkouts
   and check-ins too.
   lido: same: levels of the pool's log, INFO and DEBUG; the library prints nothing */
Test(parity_options, checkouts_are_logged_at_debug_only)
{
    use_logging_pool(LIDO_LOG_INFO);
    cr_expect_null(strstr(logged, "checked"), "%s", logged);

    use_logging_pool(LIDO_LOG_DEBUG);
    cr_expect_not_null(strstr(logged, "A4: connection checked out"), "%s", logged);
    cr_expect_not_null(strstr(logged, "A4: connection checked in"), "%s", logged);
}

/* 1.2 _dispatch
   SQLAlchemy: how recreate() hands the listeners over; private.
   lido: not applicable: lido_pool_recreate() does it by itself */
Test(parity_options, the_hooks_of_a_pool_are_those_of_its_copy)
{
    lido_pool *pool = play_open_kind("queue"), *again;
    struct lido_conn conn;

    cr_assert_eq(lido_pool_recreate(pool, &again, NULL), LIDO_OK);
    conn = play_take(again);

    play_expect("open 1, first_connect 1, connect 1, checkout 1");
    play_give(&conn);
    play_end(again);
    play_end(pool);
}

/* 1.2 names of create_engine
   SQLAlchemy: pool_size, max_overflow, pool_timeout, pool_recycle, pool_pre_ping,
   pool_use_lifo, pool_reset_on_return, poolclass.
   lido: same: keys of the URL, in seconds, and `pool` for the class; logging, events and the
   creator are no text, and so options and calls */
Test(parity_options, a_url_has_the_names_of_create_engine)
{
    lido_pool *pool;
    struct lido_conn conn;

    cr_assert_eq(lido_pool_open(&pool,
                                "play:///x?pool=queue&pool_size=1&max_overflow=2"
                                "&pool_timeout=0&pool_recycle=3600&pool_pre_ping=true"
                                "&pool_use_lifo=1&pool_reset_on_return=commit",
                                NULL, &play_err),
                 LIDO_OK, "%s", play_err.text);
    cr_expect_eq(play_stats(pool).keep, 1);
    cr_expect_eq(play_stats(pool).limit, 3);
    for (int i = 0; i < 2; i++) {
        conn = play_take(pool);
        play_give(&conn);
    }
    play_expect("open 1, commit 1, ping 1, commit 1");
    play_end(pool);
}

/* 1.2 an option that the pool does not take
   SQLAlchemy: a TypeError of create_engine(); users trip on it.
   lido: same: an error that names the option, the kind, and the kinds that take it */
Test(parity_options, an_option_that_the_kind_does_not_take_is_refused)
{
    lido_pool *pool;

    cr_expect_eq(
        lido_pool_open(&pool, "play:///x?pool=static&pool_size=3", NULL, &play_err),
        LIDO_BAD_URL);
    cr_expect_not_null(strstr(play_err.text, "pool_size"), "%s", play_err.text);
    cr_expect_not_null(strstr(play_err.text, "static"), "%s", play_err.text);
    cr_expect_not_null(strstr(play_err.text, "queue"), "%s", play_err.text);
}
