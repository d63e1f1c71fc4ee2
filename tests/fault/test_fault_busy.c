/* SPDX-License-Identifier: MIT */
/*
 * Another process has a lock, taken at each moment of a transaction: each call answers what
 * SQLite's rules of locking say, which are written down here once more, and nothing is lost.
 *
 *     holds        a rollback journal                      the write-ahead log
 *     a reader     nobody else gets to commit              nothing
 *     a writer     nobody else writes                      nobody else writes
 *     exclusive    nobody else reads                       nobody else writes
 *
 * Nobody waits: the other process does as it is told, and lido's time-out is 0.
 */
#include "ledger.h"
#include "other_process.h"

#include <criterion/criterion.h>
#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

enum lock { NONE, READS, WRITES, EXCLUDES };

enum end { TRIES_AGAIN, ROLLS_BACK, GIVES_BACK };

static const char *const takes[] = {
    [READS] = "BEGIN; SELECT * FROM a",
    [WRITES] = "BEGIN IMMEDIATE; INSERT INTO b (amount) VALUES (1)",
    [EXCLUDES] = "BEGIN EXCLUSIVE; INSERT INTO b (amount) VALUES (1)",
};

static bool is_wal;
static struct lido_error err;
static lido_pool *pool;
static struct lido_conn conn;
static enum lock mine, others; /* as the rules say */
static int64_t rows, rows_of_other;
static char now[120]; /* for the text of a failing assertion */

TestSuite(fault_busy, .fini = ledger_remove, .timeout = 60);

/* --- the two sides ---------------------------------------------------------------------- */

static void check_out(void)
{
    cr_assert_eq(lido_pool_checkout(pool, &conn, NULL, &err), LIDO_OK, "%s: %s", now,
                 err.text);
}

static void check_in(void)
{
    cr_assert_eq(lido_conn_checkin(&conn, NULL, &err), LIDO_OK, "%s: %s", now, err.text);
}

static void begin_test(const char *journal)
{
    is_wal = journal[0] == 'w';
    rows = rows_of_other = 1;
    mine = others = NONE;
    ledger_make(journal);
    other_start(ledger_path());
    cr_assert_eq(lido_pool_open(&pool, ledger_url(LEDGER_QUEUE), NULL, &err), LIDO_OK, "%s",
                 err.text);
}

static int keep_number(void *ctx, const struct lido_stmt *row, struct lido_error *error)
{
    (void)error;
    *(int64_t *)ctx = lido_stmt_integer(row, 0);
    return LIDO_OK;
}

static int ask(const char *sql, int64_t *number)
{
    return lido_conn_query(&conn, sql, NULL, 0, keep_number, number, &err);
}

static int read_rows(void)
{
    int64_t count;

    return ask("SELECT count(*) FROM a", &count);
}

static int write_row(void)
{
    return lido_conn_exec(&conn, "INSERT INTO a (amount) VALUES (1)", &err);
}

/* All that was committed is there, and no more. */
static void expect_nothing_lost(void)
{
    int64_t in_a, in_b;

    cr_assert_eq(ask("SELECT count(*) FROM a", &in_a), LIDO_OK, "%s: %s", now, err.text);
    cr_assert_eq(ask("SELECT count(*) FROM b", &in_b), LIDO_OK, "%s: %s", now, err.text);
    cr_assert_eq(in_a, rows, "%s: %d rows of lido's, not %d", now, (int)in_a, (int)rows);
    cr_assert_eq(in_b, rows_of_other, "%s: %d rows of the other's, not %d", now, (int)in_b,
                 (int)rows_of_other);
}

/* With nothing in the way. */
static void write_and_commit(void)
{
    int outcome;

    cr_assert_eq(lido_txn_begin(&conn, LIDO_IMMEDIATE, &err), LIDO_OK, "%s: %s", now,
                 err.text);
    cr_assert_eq(write_row(), LIDO_OK, "%s: %s", now, err.text);
    cr_assert_eq(lido_txn_commit(&conn, &outcome, &err), LIDO_OK, "%s: %s", now, err.text);
    cr_assert_eq(outcome, LIDO_OUTCOME_COMMITTED);
    rows++;
}

static void end_test(void)
{
    cr_assert_eq(lido_pool_close(pool, 0, &err), LIDO_OK, "%s", err.text);
    lido_pool_free(pool);
    other_end();
    ledger_remove();
}

/* --- the rules -------------------------------------------------------------------------- */

/* May who wants `wanted` have it while the other has `held`? */
static bool may_have(enum lock wanted, enum lock held)
{
    if (wanted == NONE)
        return true;
    if (is_wal)
        return wanted < WRITES || held < WRITES;
    if (wanted == EXCLUDES)
        return held == NONE;
    return wanted == WRITES ? held < WRITES : held < EXCLUDES;
}

static enum lock of_mode(int mode)
{
    switch (mode) {
    case LIDO_IMMEDIATE: return WRITES;
    case LIDO_EXCLUSIVE: return EXCLUDES;
    case LIDO_READ: return READS;
    default: return NONE;
    }
}

/* The code that a call which wants a lock should answer; what it gets it has. */
static int want(enum lock lock)
{
    if (!may_have(lock, others))
        return SQLITE_BUSY;
    mine = lock > mine ? lock : mine;
    return LIDO_OK;
}

static void expect(int rc, int code, const char *call)
{
    cr_assert_eq(rc, code, "%s: %s answered %s: %s", now, call, lido_status_name(rc),
                 err.text);
}

static void other_takes(enum lock lock)
{
    bool may = may_have(lock, mine);

    cr_assert_eq(other_run(takes[lock]), may ? SQLITE_OK : SQLITE_BUSY, "%s: the other",
                 now);
    if (may)
        others = lock;
    else if (lock == READS) /* its BEGIN is done */
        cr_assert_eq(other_run("ROLLBACK"), SQLITE_OK);
}

static void other_lets_go(void)
{
    if (others != NONE)
        cr_assert_eq(other_run("COMMIT"), SQLITE_OK, "%s: the other's commit", now);
    rows_of_other += others >= WRITES;
    others = NONE;
}

/* --- one transaction -------------------------------------------------------------------- */

struct play {
    int mode;
    enum lock lock;
    int moment; /* before which step the other takes it */
    enum end end;
    bool has_written;
    int step;
};

static void next_step(struct play *play)
{
    if (play->step++ == play->moment)
        other_takes(play->lock);
}

/* The write stands in a savepoint, which ends in one way or the other. */
static void write_in_savepoint(struct play *play)
{
    int code;

    next_step(play);
    expect(lido_txn_savepoint(&conn, "s", &err), LIDO_OK, "savepoint");
    next_step(play);
    code = play->mode == LIDO_READ ? SQLITE_READONLY : want(WRITES);
    expect(write_row(), code, "write");
    play->has_written = code == LIDO_OK;
    next_step(play);
    if (code != LIDO_OK)
        expect(lido_txn_rollback_to(&conn, "s", &err), LIDO_OK, "rollback to");
    expect(lido_txn_release(&conn, "s", &err), LIDO_OK, "release");
}

/* A commit that meets a reader is still open, however often. */
static void commit(struct play *play)
{
    bool may = !play->has_written || is_wal || others == NONE;
    int outcome;

    for (int i = 0; i < 2; i++) {
        int rc = lido_txn_commit(&conn, &outcome, &err);

        expect(rc, may ? LIDO_OK : SQLITE_BUSY, "commit");
        cr_assert_eq(outcome, may ? LIDO_OUTCOME_COMMITTED : LIDO_OUTCOME_OPEN);
        cr_assert_eq(lido_txn_state(&conn), may ? LIDO_TXN_NONE : LIDO_TXN_WRITE);
        if (may)
            break;
    }
    if (may) {
        rows += play->has_written;
        mine = NONE;
    }
}

/* What is still open ends as planned.  True if a commit is to be tried. */
static void end_transaction(struct play *play)
{
    int outcome;

    if (play->end == ROLLS_BACK)
        expect(lido_txn_rollback(&conn, &err), LIDO_OK, "rollback");
    if (play->end == GIVES_BACK) {
        check_in();
        check_out();
    }
    if (play->end != TRIES_AGAIN || mine == NONE)
        return;
    other_lets_go();
    expect(lido_txn_commit(&conn, &outcome, &err), LIDO_OK, "the last commit");
    cr_assert_eq(outcome, LIDO_OUTCOME_COMMITTED);
    rows++;
}

static void play_one(struct play play)
{
    int code;

    snprintf(now, sizeof now, "%s, mode %d, lock %d at %d, end %d",
             is_wal ? "wal" : "delete", play.mode, play.lock, play.moment, play.end);
    check_out();
    next_step(&play);
    code = want(of_mode(play.mode));
    expect(lido_txn_begin(&conn, play.mode, &err), code, "begin");
    if (code == LIDO_OK) {
        next_step(&play);
        expect(read_rows(), want(READS), "read");
        write_in_savepoint(&play);
        next_step(&play);
        commit(&play);
    } else {
        cr_assert_eq(lido_txn_state(&conn), LIDO_TXN_NONE);
        expect(lido_txn_begin(&conn, play.mode, &err), code, "begin again");
    }
    end_transaction(&play);
    mine = NONE;
    cr_assert_eq(lido_txn_state(&conn), LIDO_TXN_NONE, "%s", now);
    other_lets_go();
    write_and_commit();
    expect_nothing_lost();
    check_in();
}

static void play_all(const char *journal)
{
    static const int modes[] = { LIDO_DEFERRED, LIDO_IMMEDIATE, LIDO_EXCLUSIVE, LIDO_READ };

    begin_test(journal);
    for (int mode = 0; mode < 4; mode++)
        for (enum lock lock = READS; lock <= EXCLUDES; lock++)
            for (int moment = 0; moment < 6; moment++)
                for (enum end end = TRIES_AGAIN; end <= GIVES_BACK; end++)
                    play_one((struct play){ modes[mode], lock, moment, end, false, 0 });
    end_test();
}

Test(fault_busy, a_lock_at_each_moment_with_a_rollback_journal)
{
    play_all("delete");
}

Test(fault_busy, a_lock_at_each_moment_with_the_write_ahead_log)
{
    play_all("wal");
}
