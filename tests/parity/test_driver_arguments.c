/* SPDX-License-Identifier: MIT */
/*
 * Section 3.1: pysqlite's arguments in the query of a URL.
 */
#include "tests/parity/play.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>

TestSuite(parity_driver_arguments, .init = play_begin, .timeout = 60);

static void expect_refused(const char *keys, const char *text)
{
    char url[200];
    lido_pool *pool;

    snprintf(url, sizeof url, "sqlite://?%s", keys);
    cr_expect_eq(lido_pool_open(&pool, url, NULL, &play_err), LIDO_BAD_URL, "%s", url);
    cr_expect_null(pool);
    cr_expect_not_null(strstr(play_err.text, text), "%s: %s", url, play_err.text);
}

static void expect_taken(const char *keys)
{
    char url[200];
    lido_pool *pool;

    snprintf(url, sizeof url, "sqlite://?%s", keys);
    cr_assert_eq(lido_pool_open(&pool, url, NULL, &play_err), LIDO_OK, "%s: %s", url,
                 play_err.text);
    play_end(pool);
}

struct writer {
    lido_pool *pool;
    int64_t waited_ns;
    int rc;
    _Atomic int is_done;
};

static void *try_to_write(void *ctx)
{
    struct writer *writer = ctx;
    struct lido_conn conn = play_take(writer->pool);
    int64_t before_ns = fake_clock_now_ns();

    writer->rc = lido_txn_begin(&conn, LIDO_IMMEDIATE, NULL);
    writer->waited_ns = fake_clock_now_ns() - before_ns;
    play_give(&conn);
    writer->is_done = 1;
    return NULL;
}

/* 3.1 timeout
   SQLAlchemy: float: SQLite's busy timeout in seconds, by default sqlite3's 5.0.
   lido: same: 5 s; a wait of lido's own, which ends when it is over and not before */
Test(parity_driver_arguments, timeout_is_how_long_a_lock_is_waited_for)
{
    struct lido_pool_options options = LIDO_POOL_OPTIONS_INIT;
    struct writer writer = { .pool = NULL };
    struct lido_conn conn;
    pthread_t thread;

    cr_expect_eq(options.timeout_ms, 5000);
    options.clock = fake_clock();
    play_enter_folder();
    cr_assert_eq(lido_pool_open(&writer.pool, "sqlite:///a.db?timeout=1.5&pool=queue",
                                &options, &play_err),
                 LIDO_OK, "%s", play_err.text);
    conn = play_take(writer.pool);
    cr_assert_eq(lido_txn_begin(&conn, LIDO_IMMEDIATE, NULL), LIDO_OK);
    cr_assert_eq(pthread_create(&thread, NULL, try_to_write, &writer), 0);
    while (!writer.is_done) {
        fake_clock_advance_ms(10);
        sched_yield();
    }
    cr_assert_eq(pthread_join(thread, NULL), 0);

    cr_expect_eq(writer.rc & 0xff, SQLITE_BUSY);
    cr_expect_geq(writer.waited_ns, INT64_C(1500000000));
    play_give(&conn);
    play_end_file(writer.pool);
}

/* What another connection's read answers while a transaction in the default mode is open. */
static int read_beside(const char *keys)
{
    lido_pool *pool = play_open_keys(keys);
    struct lido_conn conn = play_take(pool);
    sqlite3 *other;
    int rc;

    play_execute(&conn, "create table t (x)");
    cr_assert_eq(lido_txn_begin(&conn, LIDO_BEGIN_DEFAULT, &play_err), LIDO_OK);
    cr_assert_eq(sqlite3_open("file.db", &other), SQLITE_OK);
    rc = sqlite3_exec(other, "select * from t", NULL, NULL, NULL);
    if (rc == SQLITE_OK)
        rc =
            sqlite3_exec(other, "begin immediate", NULL, NULL, NULL) == SQLITE_BUSY ? 1 : 0;
    sqlite3_close(other);
    cr_assert_eq(lido_txn_rollback(&conn, NULL), LIDO_OK);
    play_give(&conn);
    play_end_file(pool);
    return rc;
}

/* 3.1 isolation_level
   SQLAlchemy: str: pysqlite's DEFERRED, IMMEDIATE, EXCLUSIVE or None; or the dialect's own
   argument SERIALIZABLE, READ UNCOMMITTED, AUTOCOMMIT.
   lido: same: both senses by one key: the mode of a begin, or PRAGMA read_uncommitted */
Test(parity_driver_arguments, isolation_level_is_the_mode_of_begin)
{
    cr_expect_eq(read_beside("isolation_level=DEFERRED"), 0, "nothing is locked");
    cr_expect_eq(read_beside("isolation_level=IMMEDIATE"), 1, "the write lock is taken");
    expect_taken("isolation_level=READ%20UNCOMMITTED");
    expect_taken("isolation_level=AUTOCOMMIT");
    expect_refused("isolation_level=SNAPSHOT", "isolation_level");
}

/* 3.1 isolation_level=EXCLUSIVE in a URL
   SQLAlchemy: 1.4 and main lose it silently, as it is a string already; 0.9 passes it on.
   lido: better: it counts */
Test(parity_driver_arguments, isolation_level_exclusive_is_not_lost)
{
    cr_expect_eq(read_beside("isolation_level=EXCLUSIVE"), SQLITE_BUSY);
}

/* 3.1 detect_types
   SQLAlchemy: int: whether sqlite3 converts values by their declared type.
   lido: not applicable: lido converts no values; the number is read, checked, and has no
   effect */
Test(parity_driver_arguments, detect_types_is_read_and_checked)
{
    expect_taken("detect_types=3");
    expect_refused("detect_types=all", "detect_types");
}

/* 3.1 cached_statements
   SQLAlchemy: int: how many prepared statements sqlite3 keeps for a connection.
   lido: same: of those that nobody uses */
Test(parity_driver_arguments, cached_statements_bounds_the_cache)
{
    static const char *const texts[] = { "SELECT 1", "SELECT 2", "SELECT 3" };
    struct lido_statement_stats stats = LIDO_STATEMENT_STATS_INIT;
    struct lido_error err = LIDO_ERROR_INIT;
    struct lido_conn conn;
    lido_pool *pool;

    cr_assert_eq(lido_pool_open(&pool, "sqlite://?cached_statements=2", NULL, NULL),
                 LIDO_OK);
    cr_assert_eq(lido_pool_checkout(pool, &conn, NULL, NULL), LIDO_OK);
    for (int i = 0; i < 3; i++)
        cr_assert_eq(lido_conn_exec(&conn, texts[i], &err), LIDO_OK, "%s", err.text);
    cr_assert_eq(lido_conn_statement_stats(&conn, &stats, NULL), LIDO_OK);
    cr_expect_eq(stats.cached, 2);
    cr_assert_eq(lido_conn_checkin(&conn, NULL, NULL), LIDO_OK);
    lido_pool_free(pool);
    cr_expect_eq(lido_pool_open(&pool, "sqlite://?cached_statements=-5", NULL, &err),
                 LIDO_BAD_URL);
    cr_expect_not_null(strstr(err.text, "cached_statements"), "%s", err.text);
}

static int rc_elsewhere;

static void give_elsewhere(void *ctx)
{
    struct lido_conn copy = *(struct lido_conn *)ctx;

    rc_elsewhere = lido_conn_checkin(&copy, NULL, NULL);
}

static int checkin_elsewhere(const char *keys)
{
    lido_pool *pool = play_open_keys(keys);
    struct lido_conn conn = play_take(pool);

    play_on_thread(give_elsewhere, &conn);
    if (rc_elsewhere != LIDO_OK)
        play_give(&conn);
    play_end_file(pool);
    return rc_elsewhere;
}

/* 3.1 check_same_thread
   SQLAlchemy: bool: whether sqlite3 refuses another thread than the one that opened it.
   lido: better: the lease is its thread's, not the connection, which any thread may get next;
   lido_conn_hand_over() gives a lease away */
Test(parity_driver_arguments, check_same_thread_keeps_a_lease_to_its_thread)
{
    cr_expect_eq(checkin_elsewhere("pool=queue&check_same_thread=1"), LIDO_WRONG_THREAD);
    cr_expect_eq(checkin_elsewhere("pool=queue&check_same_thread=0"), LIDO_OK);
}

/* 3.1 check_same_thread by default
   SQLAlchemy: in main on for a memory database and off for a file; before, sqlite3's own: on.
   lido: same: on, as before main, but for a static pool */
Test(parity_driver_arguments, check_same_thread_is_on_but_for_static)
{
    cr_expect_eq(checkin_elsewhere("pool=queue"), LIDO_WRONG_THREAD);
    cr_expect_eq(checkin_elsewhere("pool=static"), LIDO_OK);
}

/* 3.1 uri
   SQLAlchemy: bool, since late 1.3: the database is a URI of SQLite.
   lido: same */
Test(parity_driver_arguments, uri_makes_the_database_a_uri)
{
    struct lido_conn conn;
    lido_pool *pool;

    cr_assert_eq(lido_pool_open(&pool, "sqlite:///file::memory:?uri=true", NULL, NULL),
                 LIDO_OK);
    conn = play_take(pool);
    cr_expect_str_eq(sqlite3_db_filename(lido_conn_sqlite(&conn), "main"), "");
    play_give(&conn);
    play_end(pool);
}

/* 3.1 a bad number
   SQLAlchemy: ValueError.
   lido: same: LIDO_BAD_URL, which names the key */
Test(parity_driver_arguments, a_bad_number_is_refused_by_the_name_of_its_key)
{
    expect_refused("timeout=soon", "timeout=soon");
    expect_refused("pool_recycle=1x", "pool_recycle=1x");
}

/* 3.1 truth
   SQLAlchemy: true, yes, on, y, t, 1 and false, no, off, n, f, 0; all else is a ValueError.
   lido: same: in any case of letters */
Test(parity_driver_arguments, truth_has_twelve_words)
{
    static const char *const words[] = { "true",  "yes", "on",  "y", "t", "1",
                                         "false", "no",  "off", "n", "f", "0" };
    char keys[60];

    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        snprintf(keys, sizeof keys, "check_same_thread=%s", words[i]);
        expect_taken(keys);
    }
    expect_refused("check_same_thread=2", "check_same_thread=2");
    expect_refused("check_same_thread=maybe", "check_same_thread=maybe");
}
