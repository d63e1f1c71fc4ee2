/* SPDX-License-Identifier: MIT */
/*
 * A process is killed at each of the calls of its files, from opening the pool to closing it,
 * in every way to begin, to end and to keep a journal.  Who opens the file afterwards finds
 * the state before the transaction or the one after it, whole; what was told to be committed
 * is there, and what was told to be rolled back is not.
 *
 * The children are forked when no pool is open, or the one of the parent is opened after that,
 * so that they are processes like any other.
 */
#include "failing_vfs.h"
#include "ledger.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

enum how { COMMITS, ROLLS_BACK, LEAVES, RUNS };

struct plan {
    const char *journal;
    int mode;
    enum how how;
    bool is_watched; /* the parent has a connection all the while */
};

/* What became of one child. */
struct end {
    char told; /* LIDO_OUTCOME_..., or -1 for nothing */
    bool was_killed;
};

/* A fork costs tens of milliseconds under a sanitizer, and a kill shows nothing new there. */
#ifndef STRIDE
#define STRIDE 1
#endif

static struct lido_error err;

static void set_up(void)
{
    failing_vfs_install();
}

TestSuite(fault_kill, .init = set_up, .fini = ledger_remove, .timeout = 60);

/* --- the child -------------------------------------------------------------------------- */

static void must(int rc, const char *what)
{
    if (rc == LIDO_OK)
        return;
    dprintf(2, "the child: %s: %s: %s\n", what, lido_status_name(rc), err.text);
    _exit(1);
}

static int transact(const struct plan *plan, const struct lido_conn *conn)
{
    struct lido_run_options options = LIDO_RUN_OPTIONS_INIT;
    int outcome = LIDO_OUTCOME_UNKNOWN;

    options.outcome = &outcome;
    if (plan->how == RUNS) {
        must(lido_conn_run(conn, plan->mode, ledger_work, NULL, &options, &err), "run");
        return outcome;
    }
    must(lido_txn_begin(conn, plan->mode, &err), "begin");
    must(ledger_work(NULL, conn, &err), "work");
    if (plan->how == COMMITS)
        must(lido_txn_commit(conn, &outcome, &err), "commit");
    if (plan->how == ROLLS_BACK) {
        must(lido_txn_rollback(conn, &err), "rollback");
        outcome = LIDO_OUTCOME_ROLLED_BACK;
    }
    return outcome;
}

/* Says by one byte how the transaction ended as soon as it knows. */
static void live(const struct plan *plan, int to_parent)
{
    struct lido_conn conn;
    lido_pool *pool;
    char outcome;

    must(lido_pool_open(&pool, ledger_url(LEDGER_QUEUE "&vfs=failing"), NULL, &err),
         "open");
    must(lido_pool_checkout(pool, &conn, NULL, &err), "checkout");
    outcome = (char)transact(plan, &conn);
    if (plan->how != LEAVES && write(to_parent, &outcome, 1) != 1)
        _exit(1);
    must(lido_conn_checkin(&conn, NULL, &err), "check-in");
    outcome = LIDO_OUTCOME_ROLLED_BACK;
    if (plan->how == LEAVES && write(to_parent, &outcome, 1) != 1)
        _exit(1);
    must(lido_pool_close(pool, 0, &err), "close");
    lido_pool_free(pool);
}

/* --- the parent ------------------------------------------------------------------------- */

static enum ledger look(lido_pool *pool)
{
    struct lido_conn conn;
    enum ledger state;

    cr_assert_eq(lido_pool_checkout(pool, &conn, NULL, &err), LIDO_OK, "%s", err.text);
    state = ledger_look(lido_conn_sqlite(&conn));
    /* Nothing is left in the way of who writes next. */
    cr_assert_eq(lido_txn_begin(&conn, LIDO_EXCLUSIVE, &err), LIDO_OK, "%s", err.text);
    cr_assert_eq(lido_conn_exec(&conn, "UPDATE filler SET x = x", &err), LIDO_OK);
    cr_assert_eq(lido_txn_rollback(&conn, &err), LIDO_OK, "%s", err.text);
    cr_assert_eq(lido_conn_checkin(&conn, NULL, &err), LIDO_OK, "%s", err.text);
    return state;
}

static lido_pool *open_pool(void)
{
    lido_pool *pool;

    cr_assert_eq(lido_pool_open(&pool, ledger_url(LEDGER_QUEUE), NULL, &err), LIDO_OK, "%s",
                 err.text);
    return pool;
}

static struct end wait_for(pid_t child, int from_child)
{
    struct end end = { .told = -1 };
    int status;

    cr_assert_eq(waitpid(child, &status, 0), child);
    end.was_killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
    cr_assert(end.was_killed || status == 0, "the child ended with status %d", status);
    if (read(from_child, &end.told, 1) != 1)
        end.told = -1;
    return end;
}

/* One life and death, and what is there then. */
static struct end die_at(const struct plan *plan, int nth, enum failing_vfs way,
                         enum ledger *state)
{
    lido_pool *pool = NULL;
    int go[2], told[2];
    struct end end;
    pid_t child;

    ledger_restore();
    cr_assert_eq(pipe(go) + pipe(told), 0);
    child = fork();
    cr_assert_geq(child, 0);
    if (child == 0) {
        char byte;

        if (read(go[0], &byte, 1) != 1)
            _exit(1);
        failing_vfs_arm(nth, way);
        live(plan, told[1]);
        _exit(0);
    }
    close(told[1]);
    if (plan->is_watched) {
        pool = open_pool();
        cr_assert_eq(look(pool), LEDGER_BEFORE);
    }
    cr_assert_eq(write(go[1], "g", 1), 1);
    end = wait_for(child, told[0]);
    close(told[0]);
    close(go[0]);
    close(go[1]);
    if (pool == NULL)
        pool = open_pool();
    *state = look(pool);
    lido_pool_free(pool);
    return end;
}

static void judge(const struct plan *plan, int nth, struct end end, enum ledger state)
{
    bool may_commit = plan->how == COMMITS || plan->how == RUNS;

    cr_assert(state == LEDGER_BEFORE || (state == LEDGER_AFTER && may_commit),
              "%s, mode %d, killed at call %d: %s", plan->journal, plan->mode, nth,
              ledger_story(state));
    if (end.told == LIDO_OUTCOME_COMMITTED)
        cr_assert_eq(state, LEDGER_AFTER, "%s, mode %d, call %d: committed, and lost",
                     plan->journal, plan->mode, nth);
    if (end.told == LIDO_OUTCOME_ROLLED_BACK)
        cr_assert_eq(state, LEDGER_BEFORE, "%s, mode %d, call %d: rolled back, and there",
                     plan->journal, plan->mode, nth);
    if (!end.was_killed)
        cr_assert_eq(end.told,
                     may_commit ? LIDO_OUTCOME_COMMITTED : LIDO_OUTCOME_ROLLED_BACK);
}

/* Until the child lives to its end. */
static void sweep(const struct plan *plan, enum failing_vfs way)
{
    int nth = 1 - STRIDE, told = 0, late = 0;
    struct end end;

    do {
        enum ledger state;

        end = die_at(plan, nth += STRIDE, way, &state);
        judge(plan, nth, end, state);
        told += end.was_killed && end.told != -1;
        late += end.told == -1 && state == LEDGER_AFTER;
    } while (end.was_killed);
    cr_assert_gt(nth, way == FAILING_VFS_DIE ? 40 : 15, "%s: %d points", plan->journal,
                 nth);
    if (way != FAILING_VFS_DIE || STRIDE > 1)
        return;
    /* Some died when they had told it, and some when it was done and not yet told. */
    cr_assert_gt(told, 0);
    cr_assert_eq(late > 0, plan->how == COMMITS || plan->how == RUNS);
}

static void sweep_commits(const char *journal)
{
    static const int modes[] = { LIDO_DEFERRED, LIDO_IMMEDIATE, LIDO_EXCLUSIVE };

    ledger_make(journal);
    for (int i = 0; i < 3; i++)
        sweep(&(struct plan){ journal, modes[i], COMMITS, i == 1 }, FAILING_VFS_DIE);
    sweep(&(struct plan){ journal, LIDO_IMMEDIATE, COMMITS, false }, FAILING_VFS_TEAR);
    ledger_remove();
}

static void sweep_others(const char *journal)
{
    ledger_make(journal);
    sweep(&(struct plan){ journal, LIDO_DEFERRED, RUNS, true }, FAILING_VFS_DIE);
    sweep(&(struct plan){ journal, LIDO_IMMEDIATE, ROLLS_BACK, false }, FAILING_VFS_DIE);
    sweep(&(struct plan){ journal, LIDO_DEFERRED, LEAVES, true }, FAILING_VFS_DIE);
    ledger_remove();
}

Test(fault_kill, a_commit_with_a_journal_that_is_deleted)
{
    sweep_commits("delete");
}

Test(fault_kill, a_commit_with_a_journal_that_is_truncated)
{
    sweep_commits("truncate");
}

Test(fault_kill, a_commit_with_a_journal_that_stays)
{
    sweep_commits("persist");
}

Test(fault_kill, a_commit_to_the_write_ahead_log)
{
    sweep_commits("wal");
}

Test(fault_kill, a_run_a_rollback_and_a_lease_that_is_given_back)
{
    sweep_others("delete");
}

Test(fault_kill, the_same_with_the_write_ahead_log)
{
    sweep_others("wal");
}
