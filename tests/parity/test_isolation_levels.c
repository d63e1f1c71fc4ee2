/* SPDX-License-Identifier: MIT */
/*
 * Section 3.2: isolation levels, how transactions begin, and what SQLite does with them.
 */
#include "tests/parity/play.h"

#include <string.h>

static lido_pool *pool;
static struct lido_conn conn;

static void open_keys(const char *keys)
{
    pool = play_open_keys(keys);
    conn = play_take(pool);
}

static void end(void)
{
    play_give(&conn);
    play_end_file(pool);
}

TestSuite(parity_isolation, .init = play_begin);

#define OK(call) cr_assert_eq((call), LIDO_OK, "%s", play_err.text)

static void expect_level(const char *level, int pragma)
{
    const char *now = lido_conn_isolation(&conn);

    cr_assert_not_null(now);
    cr_expect_str_eq(now, level);
    cr_expect_eq(play_ask(&conn, "PRAGMA read_uncommitted"), pragma);
}

/* 3.2 SERIALIZABLE and READ UNCOMMITTED
   SQLAlchemy: PRAGMA read_uncommitted = 0 and 1.
   lido: same: read back */
Test(parity_isolation, levels_are_read_uncommitted)
{
    open_keys("pool=queue");
    OK(lido_conn_set_isolation(&conn, "READ UNCOMMITTED", &play_err));
    expect_level("READ UNCOMMITTED", 1);
    OK(lido_conn_set_isolation(&conn, "SERIALIZABLE", &play_err));
    expect_level("SERIALIZABLE", 0);
    end();
}

/* 3.2 AUTOCOMMIT
   SQLAlchemy: since 1.3.16, pysqlite's isolation_level None: no BEGIN comes by itself.
   lido: same: and reading stays as it is */
Test(parity_isolation, autocommit_is_a_level)
{
    open_keys("pool=queue");
    OK(lido_conn_set_isolation(&conn, "AUTOCOMMIT", &play_err));
    expect_level("AUTOCOMMIT", 0);
    play_execute(&conn, "CREATE TABLE t (x)");
    cr_expect_eq(lido_txn_state(&conn), LIDO_TXN_NONE);
    end();
}

/* 3.2 names of levels
   SQLAlchemy: '_' stands for a blank, and main takes any case.
   lido: same: as main */
Test(parity_isolation, levels_may_be_written_in_lower_case_with_underscores)
{
    open_keys("pool=queue");
    OK(lido_conn_set_isolation(&conn, "read_uncommitted", &play_err));
    expect_level("READ UNCOMMITTED", 1);
    end();
}

/* 3.2 a level that is none
   SQLAlchemy: ArgumentError with the valid levels.
   lido: same: SQLITE_MISUSE, and LIDO_BAD_URL in a URL */
Test(parity_isolation, an_unknown_level_is_told_the_valid_ones)
{
    lido_pool *other;

    open_keys("pool=queue");
    cr_expect_eq(lido_conn_set_isolation(&conn, "SNAPSHOT", &play_err), SQLITE_MISUSE);
    cr_expect_str_eq(play_err.text, "SNAPSHOT is no isolation level; there are: "
                                    "SERIALIZABLE, READ UNCOMMITTED, AUTOCOMMIT");
    cr_expect_eq(
        lido_pool_open(&other, "sqlite://?isolation_level=SNAPSHOT", NULL, &play_err),
        LIDO_BAD_URL);
    end();
}

/* 3.2 the level of a connection is asked for
   SQLAlchemy: by PRAGMA read_uncommitted; no row is SERIALIZABLE.
   lido: same: what SQL text set is seen too */
Test(parity_isolation, the_level_is_what_sqlite_says)
{
    open_keys("pool=queue");
    play_execute(&conn, "PRAGMA read_uncommitted = 1");
    expect_level("READ UNCOMMITTED", 1);
    play_execute(&conn, "PRAGMA read_uncommitted = 0");
    expect_level("SERIALIZABLE", 0);
    end();
}

/* 3.2 a level for an engine
   SQLAlchemy: is set on every connection.
   lido: same: `isolation_level` of the URL, read back */
Test(parity_isolation, the_pool_s_level_is_on_every_connection)
{
    struct lido_conn other;

    open_keys("pool=queue&isolation_level=READ_UNCOMMITTED");
    other = play_take(pool);
    expect_level("READ UNCOMMITTED", 1);
    cr_expect_str_eq(lido_conn_isolation(&other), "READ UNCOMMITTED");
    play_give(&other);
    end();
}

/* 3.2 a level for a connection
   SQLAlchemy: an execution option, set back at the check-in.
   lido: same */
Test(parity_isolation, the_level_of_a_lease_ends_with_it)
{
    open_keys("pool=queue&isolation_level=READ_UNCOMMITTED");
    OK(lido_conn_set_isolation(&conn, "SERIALIZABLE", &play_err));
    play_give(&conn);
    conn = play_take(pool);
    expect_level("READ UNCOMMITTED", 1);
    end();
}

/* 3.2 a level inside a transaction
   SQLAlchemy: is refused.
   lido: same: LIDO_IN_TXN */
Test(parity_isolation, the_level_does_not_change_in_a_transaction)
{
    open_keys("pool=queue");
    OK(lido_txn_begin(&conn, LIDO_DEFERRED, &play_err));
    cr_expect_eq(lido_conn_set_isolation(&conn, "SERIALIZABLE", &play_err), LIDO_IN_TXN);
    cr_expect_eq(lido_conn_set_isolation(&conn, "AUTOCOMMIT", &play_err), LIDO_IN_TXN);
    end();
}

/* 3.2 begin modes
   SQLAlchemy: has none of its own: pysqlite's isolation_level, or BEGIN IMMEDIATE in a
   begin listener.
   lido: better: by transaction, by pool, or in a begin hook, and two more: to read,
   where writes are refused, and concurrent, where the driver has it */
Test(parity_isolation, a_transaction_has_a_mode)
{
    static const int states[] = { 0, LIDO_TXN_OPEN, LIDO_TXN_WRITE, LIDO_TXN_WRITE,
                                  LIDO_TXN_READ };

    open_keys("pool=queue&begin=immediate");
    for (int mode = LIDO_BEGIN_DEFAULT; mode <= LIDO_READ; mode++) {
        OK(lido_txn_begin(&conn, mode, &play_err));
        cr_expect_eq(lido_txn_state(&conn),
                     mode == LIDO_BEGIN_DEFAULT ? LIDO_TXN_WRITE : states[mode]);
        OK(lido_txn_rollback(&conn, &play_err));
    }
    end();
}

/* 3.2 DDL in a transaction
   SQLAlchemy: pysqlite commits before it up to Python 3.5, so it is not rolled back.
   lido: better: it is a part of the transaction, as SQLite has it */
Test(parity_isolation, ddl_is_rolled_back)
{
    open_keys("pool=queue");
    OK(lido_txn_begin(&conn, LIDO_DEFERRED, &play_err));
    play_execute(&conn, "CREATE TABLE t (x); CREATE INDEX i ON t (x)");
    OK(lido_txn_rollback(&conn, &play_err));
    cr_expect_eq(play_ask(&conn, "SELECT count(*) FROM sqlite_master"), 0);
    end();
}

/* 3.2 SAVEPOINT outside of a transaction
   SQLAlchemy: pysqlite sends no BEGIN before it, so its RELEASE commits.
   lido: better: BEGIN comes first, and only a commit commits */
Test(parity_isolation, the_last_release_does_not_commit)
{
    open_keys("pool=queue");
    OK(lido_txn_savepoint(&conn, "a", &play_err));
    play_execute(&conn, "CREATE TABLE t (x)");
    OK(lido_txn_release(&conn, "a", &play_err));
    cr_expect_eq(lido_txn_state(&conn), LIDO_TXN_WRITE);
    OK(lido_txn_rollback(&conn, &play_err));
    cr_expect_eq(play_ask(&conn, "SELECT count(*) FROM sqlite_master"), 0);
    end();
}

/* 3.2 SQLite rolls back by itself
   SQLAlchemy: is not noticed; the commit then fails with the driver's "no transaction is
   active".
   lido: better: LIDO_TXN_OVER at the commit and at a savepoint, which begins none by
   accident */
Test(parity_isolation, a_transaction_that_sqlite_ended_is_over)
{
    open_keys("pool=queue");
    play_execute(&conn, "CREATE TABLE t (x UNIQUE); INSERT INTO t VALUES (1)");
    OK(lido_txn_begin(&conn, LIDO_DEFERRED, &play_err));
    cr_assert_eq(sqlite3_exec(lido_conn_sqlite(&conn),
                              "INSERT OR ROLLBACK INTO t VALUES (1)", NULL, NULL, NULL),
                 SQLITE_CONSTRAINT_UNIQUE);
    cr_expect_eq(lido_txn_savepoint(&conn, "a", &play_err), LIDO_TXN_OVER);
    cr_expect_eq(lido_txn_commit(&conn, NULL, &play_err), LIDO_TXN_OVER);
    end();
}

/* 3.2 a deferred reader that comes to write
   SQLAlchemy: fails at once, whatever the busy timeout; the driver's error is passed on.
   lido: same: SQLite's rule; LIDO_IMMEDIATE waits, and LIDO_READ refuses to write at all
   */
Test(parity_isolation, a_reader_that_comes_to_write_is_not_made_to_wait)
{
    struct lido_conn writer;

    open_keys("pool=queue&journal_mode=wal");
    play_execute(&conn, "CREATE TABLE t (x)");
    writer = play_take(pool);
    OK(lido_txn_begin(&conn, LIDO_DEFERRED, &play_err));
    cr_expect_eq(play_ask(&conn, "SELECT count(*) FROM t"), 0);
    play_execute(&writer, "INSERT INTO t VALUES (1)");
    cr_expect_eq(
        sqlite3_exec(lido_conn_sqlite(&conn), "INSERT INTO t VALUES (2)", NULL, NULL, NULL),
        SQLITE_BUSY_SNAPSHOT);
    OK(lido_txn_rollback(&conn, &play_err));
    OK(lido_txn_begin(&conn, LIDO_READ, &play_err));
    cr_expect_eq(
        sqlite3_exec(lido_conn_sqlite(&conn), "INSERT INTO t VALUES (2)", NULL, NULL, NULL),
        SQLITE_READONLY);
    play_give(&writer);
    end();
}
