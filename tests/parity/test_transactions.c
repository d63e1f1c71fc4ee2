/* SPDX-License-Identifier: MIT */
/*
 * Sections 2.2 and 2.5: hooks around transactions, and what ends them.
 *
 * On a file, with one line of the hooks and of the statements that reach SQLite:
 *
 *     "<begin> BEGIN DEFERRED <commit> COMMIT"
 */
#include "tests/parity/play.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char line[1000];
static lido_pool *pool;
static struct lido_conn conn;
static const char *begin_sql; /* what the begin hook runs */
static int begin_inside_rc;   /* what a begin inside it answered */

static void add(const char *open, const char *text, const char *name, const char *close)
{
    size_t used = strlen(line);

    snprintf(line + used, sizeof line - used, "%s%s%s%s%s%s", used > 0 ? " " : "", open,
             text, name != NULL ? " " : "", name != NULL ? name : "", close);
}

static void expect_line(const char *expected)
{
    cr_expect_str_eq(line, expected);
    line[0] = '\0';
}

/* Transactions and savepoints only. */
static int trace_sql(unsigned what, void *ctx, void *stmt, void *text)
{
    static const char *const words[] = { "BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT",
                                         "RELEASE" };

    (void)what, (void)ctx, (void)stmt;
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strncmp(text, words[i], strlen(words[i])) == 0)
            add("", text, NULL, "");
    return 0;
}

#define HOOK(name)                                                                         \
    static int on_##name(void *ctx, const struct lido_event *event,                        \
                         struct lido_error *err)                                           \
    {                                                                                      \
        (void)ctx, (void)err;                                                              \
        add("<", #name, event->savepoint, ">");                                            \
        return LIDO_OK;                                                                    \
    }
HOOK(commit)
HOOK(rollback)
HOOK(savepoint)
HOOK(rollback_savepoint)
HOOK(release_savepoint)
HOOK(reset)
HOOK(checkin)

static int on_begin(void *ctx, const struct lido_event *event, struct lido_error *err)
{
    (void)ctx, (void)err;
    add("<", "begin", NULL, ">");
    if (begin_sql != NULL) {
        begin_inside_rc = lido_txn_begin(event->conn, LIDO_BEGIN_DEFAULT, NULL);
        sqlite3_exec(event->sqlite, begin_sql, NULL, NULL, NULL);
    }
    return LIDO_OK;
}

static const struct lido_events hooks = {
    .size = sizeof hooks,
    .begin = on_begin,
    .commit = on_commit,
    .rollback = on_rollback,
    .savepoint = on_savepoint,
    .rollback_savepoint = on_rollback_savepoint,
    .release_savepoint = on_release_savepoint,
    .reset = on_reset,
    .checkin = on_checkin,
};

static void take(void)
{
    conn = play_take(pool);
    sqlite3_trace_v2(lido_conn_sqlite(&conn), SQLITE_TRACE_STMT, trace_sql, NULL);
    line[0] = '\0';
}

static void set_up(void)
{
    play_begin();
    begin_sql = NULL;
    pool = play_open_keys("pool=queue&timeout=0");
    cr_assert_eq(lido_hooks_add(lido_pool_hooks(pool), NULL, &hooks, NULL, NULL, &play_err),
                 LIDO_OK);
    take();
    play_execute(&conn, "CREATE TABLE t (x UNIQUE)");
}

static void tear_down(void)
{
    lido_conn_checkin(&conn, NULL, NULL);
    play_end_file(pool);
}

TestSuite(parity_txn, .init = set_up, .fini = tear_down);

#define OK(call) cr_assert_eq((call), LIDO_OK, "%s", play_err.text)

static void begin(void)
{
    OK(lido_txn_begin(&conn, LIDO_BEGIN_DEFAULT, &play_err));
}

/* 2.2 begin
   SQLAlchemy: fires before the driver is told to begin.
   lido: same */
Test(parity_txn, begin_hooks_come_before_the_begin)
{
    begin();
    expect_line("<begin> BEGIN DEFERRED");
}

/* 2.2 begin that runs BEGIN itself
   SQLAlchemy: the documented place for BEGIN IMMEDIATE; no transaction begins by itself
   inside.
   lido: better: the hook may change the mode as well; a BEGIN of its own is respected,
   and a begin by lido inside it is refused */
Test(parity_txn, a_begin_hook_may_begin)
{
    begin_sql = "BEGIN IMMEDIATE";
    begin();
    expect_line("<begin> BEGIN IMMEDIATE");
    cr_expect_eq(begin_inside_rc, LIDO_RECURSION);
    cr_expect_eq(lido_txn_state(&conn), LIDO_TXN_WRITE);
}

/* 2.2 commit
   SQLAlchemy: fires before the driver is told to commit.
   lido: same */
Test(parity_txn, commit_hooks_come_before_the_commit)
{
    begin();
    line[0] = '\0';
    OK(lido_txn_commit(&conn, NULL, &play_err));
    expect_line("<commit> COMMIT");
}

/* 2.2 rollback
   SQLAlchemy: fires before the driver is told to roll back.
   lido: same */
Test(parity_txn, rollback_hooks_come_before_the_rollback)
{
    begin();
    line[0] = '\0';
    OK(lido_txn_rollback(&conn, &play_err));
    expect_line("<rollback> ROLLBACK");
}

/* 2.2 rollback of an invalid connection
   SQLAlchemy: fires too, and no SQL is run.
   lido: not applicable: the lease of an invalidated connection has ended, and nothing is
   left to be rolled back */
Test(parity_txn, what_was_invalidated_is_not_rolled_back)
{
    struct lido_conn copy = conn;

    begin();
    OK(lido_conn_invalidate(&conn, NULL, &play_err));
    line[0] = '\0';
    cr_expect_eq(lido_txn_rollback(&copy, &play_err), LIDO_STALE);
    expect_line("");
}

/* 2.2 reset on return fires neither
   SQLAlchemy: what the pool rolls back or commits by itself fires reset only.
   lido: same */
Test(parity_txn, a_check_in_fires_reset_only)
{
    begin();
    line[0] = '\0';
    play_give(&conn);
    expect_line("<reset> ROLLBACK <checkin>");
}

/* 2.2 savepoint
   SQLAlchemy: fires before a name is chosen, so listeners get None.
   lido: better: the hook is told the name */
Test(parity_txn, savepoint_hooks_are_told_the_name)
{
    begin();
    line[0] = '\0';
    OK(lido_txn_savepoint(&conn, "mine", &play_err));
    expect_line("<savepoint mine> SAVEPOINT \"mine\"");
}

/* 2.2 rollback_savepoint
   SQLAlchemy: fires with the name before ROLLBACK TO SAVEPOINT.
   lido: same */
Test(parity_txn, rollback_savepoint_hooks_are_told_the_name)
{
    OK(lido_txn_savepoint(&conn, "mine", &play_err));
    line[0] = '\0';
    OK(lido_txn_rollback_to(&conn, "mine", &play_err));
    expect_line("<rollback_savepoint mine> ROLLBACK TO \"mine\"");
}

/* 2.2 release_savepoint
   SQLAlchemy: fires with the name before RELEASE SAVEPOINT.
   lido: same */
Test(parity_txn, release_savepoint_hooks_are_told_the_name)
{
    OK(lido_txn_savepoint(&conn, "mine", &play_err));
    line[0] = '\0';
    OK(lido_txn_release(&conn, "mine", &play_err));
    expect_line("<release_savepoint mine> RELEASE \"mine\"");
}

/* 2.5 begin, nested, nested, rollback, commit, commit
   SQLAlchemy: BEGIN, SAVEPOINT sa_savepoint_1, SAVEPOINT sa_savepoint_2, ROLLBACK TO the
   second, RELEASE the first, COMMIT; names count for a Connection and never restart.
   lido: same: lido_savepoint_1 and so on, for a lease */
Test(parity_txn, nested_transactions_are_savepoints)
{
    struct lido_savepoint one, two, three;

    begin_sql = "BEGIN IMMEDIATE";
    begin();
    OK(lido_txn_savepoint_next(&conn, &one, &play_err));
    OK(lido_txn_savepoint_next(&conn, &two, &play_err));
    OK(lido_txn_rollback_to(&conn, two.name, &play_err));
    OK(lido_txn_release(&conn, one.name, &play_err));
    OK(lido_txn_commit(&conn, NULL, &play_err));
    expect_line("<begin> BEGIN IMMEDIATE <savepoint lido_savepoint_1> SAVEPOINT "
                "\"lido_savepoint_1\" <savepoint lido_savepoint_2> SAVEPOINT "
                "\"lido_savepoint_2\" <rollback_savepoint lido_savepoint_2> ROLLBACK TO "
                "\"lido_savepoint_2\" <release_savepoint lido_savepoint_1> RELEASE "
                "\"lido_savepoint_1\" <commit> COMMIT");
    OK(lido_txn_savepoint_next(&conn, &three, &play_err));
    cr_expect_str_eq(three.name, "lido_savepoint_3");
}

/* 2.5 nested rollback keeps the savepoint
   SQLAlchemy: ROLLBACK TO is not followed by RELEASE, so the savepoint stays on SQLite's
   stack.
   lido: same */
Test(parity_txn, a_savepoint_outlives_a_rollback_to_it)
{
    OK(lido_txn_savepoint(&conn, "a", &play_err));
    OK(lido_txn_rollback_to(&conn, "a", &play_err));
    OK(lido_txn_rollback_to(&conn, "a", &play_err));
    OK(lido_txn_release(&conn, "a", &play_err));
    cr_expect_eq(lido_txn_release(&conn, "a", &play_err), SQLITE_ERROR);
}

/* 2.5 outer commit with an open savepoint
   SQLAlchemy: commits; afterwards the nested commit() raises that it is inactive.
   lido: same: LIDO_NO_TXN */
Test(parity_txn, a_commit_ends_the_savepoints)
{
    OK(lido_txn_savepoint(&conn, "a", &play_err));
    play_execute(&conn, "INSERT INTO t VALUES (1)");
    OK(lido_txn_commit(&conn, NULL, &play_err));
    cr_expect_eq(lido_txn_release(&conn, "a", &play_err), LIDO_NO_TXN);
    cr_expect_eq(lido_txn_rollback_to(&conn, "a", &play_err), LIDO_NO_TXN);
    cr_expect_eq(play_ask(&conn, "SELECT count(*) FROM t"), 1);
}

/* 2.5 close() with an open transaction
   SQLAlchemy: reset, one rollback, checkin; main rolls back first and says so to reset.
   lido: same: as 0.9.8; `transaction_was_reset` of a check-in is main's word to reset */
Test(parity_txn, a_check_in_rolls_back_once)
{
    OK(lido_txn_savepoint(&conn, "a", &play_err));
    play_execute(&conn, "INSERT INTO t VALUES (1)");
    line[0] = '\0';
    play_give(&conn);
    expect_line("<reset> ROLLBACK <checkin>");
    take();
    cr_expect_eq(play_ask(&conn, "SELECT count(*) FROM t"), 0);
}

/* 2.5 begin twice
   SQLAlchemy: main raises that a Transaction is there already; in 0.9.8 the inner is a
   part of the outer, its commit does nothing and its rollback rolls back all.
   lido: same: as main, LIDO_IN_TXN */
Test(parity_txn, a_second_begin_is_refused)
{
    begin();
    cr_expect_eq(lido_txn_begin(&conn, LIDO_BEGIN_DEFAULT, &play_err), LIDO_IN_TXN);
    expect_line("<begin> BEGIN DEFERRED");
}

/* 2.5 begin_nested without begin
   SQLAlchemy: main begins and sets the savepoint; 0.9.8 begins only.
   lido: same: as main, in the mode of the pool */
Test(parity_txn, a_savepoint_begins_first)
{
    OK(lido_txn_savepoint(&conn, "a", &play_err));
    expect_line("<begin> BEGIN DEFERRED <savepoint a> SAVEPOINT \"a\"");
}

/* 2.5 commit after rollback
   SQLAlchemy: raises that the transaction is inactive; a second rollback does nothing.
   lido: same: LIDO_NO_TXN */
Test(parity_txn, there_is_nothing_to_commit_after_a_rollback)
{
    begin();
    OK(lido_txn_rollback(&conn, &play_err));
    cr_expect_eq(lido_txn_commit(&conn, NULL, &play_err), LIDO_NO_TXN);
    line[0] = '\0';
    OK(lido_txn_rollback(&conn, &play_err));
    expect_line("");
}

/* 2.5 invalidate in a transaction
   SQLAlchemy: what is run further raises until rollback() was called; then the
   Connection reconnects by itself.
   lido: better: the lease ends with its connection, so nothing runs on another one
   unasked */
Test(parity_txn, an_invalidated_lease_runs_nothing)
{
    struct lido_conn copy = conn;

    begin();
    OK(lido_conn_invalidate(&conn, NULL, &play_err));
    cr_expect_null(lido_conn_sqlite(&copy));
    cr_expect_eq(lido_txn_savepoint(&copy, "a", &play_err), LIDO_STALE);
    cr_expect_eq(lido_txn_begin(&copy, LIDO_DEFERRED, &play_err), LIDO_STALE);
}

/* 2.5 a commit that fails
   SQLAlchemy: 0.9.8 forgets the transaction, though SQLite has it open; in main it stays
   until rollback(), and cannot be committed any more.
   lido: better: SQLITE_BUSY says that it is still open, and the commit may be tried
   again */
Test(parity_txn, a_busy_commit_may_be_tried_again)
{
    struct lido_conn reader = play_take(pool);
    int outcome;

    begin();
    play_execute(&conn, "INSERT INTO t VALUES (1)");
    play_execute(&reader, "BEGIN; SELECT * FROM t");
    cr_expect_eq(lido_txn_commit(&conn, &outcome, &play_err), SQLITE_BUSY);
    cr_expect_eq(outcome, LIDO_OUTCOME_OPEN);
    play_execute(&reader, "COMMIT");
    OK(lido_txn_commit(&conn, &outcome, &play_err));
    cr_expect_eq(outcome, LIDO_OUTCOME_COMMITTED);
    play_give(&reader);
}

/* 2.5 the outer savepoint is released first
   SQLAlchemy: main passes on the driver's "no such savepoint" for the inner one.
   lido: same */
Test(parity_txn, releasing_the_outer_savepoint_ends_the_inner)
{
    OK(lido_txn_savepoint(&conn, "outer", &play_err));
    OK(lido_txn_savepoint(&conn, "inner", &play_err));
    OK(lido_txn_release(&conn, "outer", &play_err));
    cr_expect_eq(lido_txn_release(&conn, "inner", &play_err), SQLITE_ERROR);
    cr_expect_str_eq(play_err.text, "RELEASE: no such savepoint: inner");
}

/* 2.5 detach in a transaction, close
   SQLAlchemy: reset and rollback, and the connection is closed for good.
   lido: same */
Test(parity_txn, a_detached_lease_rolls_back_before_it_closes)
{
    begin();
    play_execute(&conn, "INSERT INTO t VALUES (1)");
    OK(lido_conn_detach(&conn, &play_err));
    line[0] = '\0';
    play_give(&conn);
    expect_line("<reset> ROLLBACK");
    take();
    cr_expect_eq(play_ask(&conn, "SELECT count(*) FROM t"), 0);
}
