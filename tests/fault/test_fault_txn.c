/* SPDX-License-Identifier: MIT */
/*
 * Every call of the files and every allocation fails, once or from then on, in a transaction
 * from its begin to the check-in: the outcome that is told is true.  What is committed another
 * connection sees, and would find after a crash; what was rolled back neither; where it is
 * unknown either may be so, and always all of it or nothing.
 *
 * Whoever meets the failure either goes on where the transaction is still open, or gives up.
 */
#include "failing_malloc.h"
#include "failing_vfs.h"
#include "ledger.h"

#include <criterion/criterion.h>
#include <stdbool.h>
#include <stdio.h>

/* More than 1 where everything takes long. */
#ifndef STRIDE
#define STRIDE 1
#endif

#define QUEUE LEDGER_QUEUE "&vfs=failing"

enum fault { ONCE, FROM_THEN_ON, MEMORY };

/* What the caller does: commits, trying each step that failed once more, or not; rolls back; or
   leaves all to the runner. */
enum how { GOES_ON, GIVES_UP, ROLLS_BACK, RUNS };

struct plan {
    enum fault fault;
    enum failing_vfs way;
    enum how how;
    int mode;
};

static const char *journal, *more; /* of the URL */
static struct lido_error err;
static lido_pool *pool;
static struct lido_conn conn;
static char seen[200]; /* for the text of a failing assertion */

static void set_up(void)
{
    failing_malloc_install();
    failing_vfs_install();
}

TestSuite(fault_txn, .init = set_up, .fini = ledger_remove, .timeout = 100);

static void arm(const struct plan *plan, int nth)
{
    if (plan->fault == MEMORY)
        failing_malloc_arm(nth);
    else if (plan->fault == ONCE)
        failing_vfs_arm(nth, plan->way);
    else
        failing_vfs_arm_from(nth, plan->way);
}

static bool has_fired(void)
{
    return failing_vfs_fired() || failing_malloc_fired();
}

static void disarm(void)
{
    failing_malloc_arm(0);
    failing_vfs_arm(0, FAILING_VFS_FAIL);
}

/* --- a transaction ---------------------------------------------------------------------- */

/* A step that failed is done again, once, if it may be. */
static int work(const struct plan *plan)
{
    int rc = LIDO_OK;

    for (int i = 0; i < ledger_steps() && rc == LIDO_OK; i++) {
        rc = ledger_step(&conn, i, &err);
        if (rc != LIDO_OK && plan->how == GOES_ON)
            rc = ledger_step(&conn, i, &err);
    }
    return rc;
}

/* What became of the transaction, as lido says it. */
static int transact(const struct plan *plan, int *rc)
{
    struct lido_run_options options = LIDO_RUN_OPTIONS_INIT;
    int outcome = LIDO_OUTCOME_ROLLED_BACK;

    if (plan->how == RUNS) {
        options.outcome = &outcome;
        *rc = lido_conn_run(&conn, plan->mode, ledger_work, NULL, &options, &err);
        return outcome;
    }
    *rc = lido_txn_begin(&conn, plan->mode, &err);
    if (*rc != LIDO_OK)
        return outcome;
    *rc = work(plan);
    if (*rc == LIDO_OK && plan->how != ROLLS_BACK) {
        *rc = lido_txn_commit(&conn, &outcome, &err);
        if (outcome == LIDO_OUTCOME_OPEN && plan->how == GOES_ON)
            *rc = lido_txn_commit(&conn, &outcome, &err);
        if (outcome != LIDO_OUTCOME_OPEN)
            return outcome;
    }
    if (lido_txn_rollback(&conn, *rc == LIDO_OK ? &err : NULL) != LIDO_OK)
        return LIDO_OUTCOME_OPEN;
    return LIDO_OUTCOME_ROLLED_BACK;
}

static void expect_true(int outcome, enum ledger state, int nth, const char *where)
{
    cr_assert(state == LEDGER_BEFORE || state == LEDGER_AFTER, "%s, call %d, %s: %s", seen,
              nth, where, ledger_story(state));
    if (outcome == LIDO_OUTCOME_COMMITTED)
        cr_assert_eq(state, LEDGER_AFTER, "%s, call %d: committed, and lost %s", seen, nth,
                     where);
    if (outcome == LIDO_OUTCOME_ROLLED_BACK)
        cr_assert_eq(state, LEDGER_BEFORE, "%s, call %d: rolled back, and there %s", seen,
                     nth, where);
}

/* The connection, or the next, is as good as new. */
static void expect_useful(int nth)
{
    cr_assert_eq(lido_pool_checkout(pool, &conn, NULL, &err), LIDO_OK, "%s, call %d: %s",
                 seen, nth, err.text);
    cr_assert_eq(lido_txn_state(&conn), LIDO_TXN_NONE);
    cr_assert_eq(lido_txn_begin(&conn, LIDO_IMMEDIATE, &err), LIDO_OK, "%s, call %d: %s",
                 seen, nth, err.text);
    cr_assert_eq(lido_conn_exec(&conn, "CREATE TABLE more (x); DROP TABLE more", &err),
                 LIDO_OK, "%s, call %d: %s", seen, nth, err.text);
    cr_assert_eq(lido_txn_commit(&conn, NULL, &err), LIDO_OK, "%s, call %d: %s", seen, nth,
                 err.text);
    cr_assert_eq(lido_conn_checkin(&conn, NULL, &err), LIDO_OK);
}

static void note_fault(int rc, int outcome)
{
    snprintf(seen, sizeof seen, "%s: %s: %s (%d), outcome %d", journal,
             failing_vfs_fired() ? failing_vfs_call() : "an allocation",
             lido_status_name(rc), rc, outcome);
}

/* True if the nth point was met. */
static bool live(const struct plan *plan, int nth)
{
    int outcome, rc;
    bool fired;

    ledger_restore();
    cr_assert_eq(lido_pool_open(&pool, ledger_url(more), NULL, &err), LIDO_OK);
    cr_assert_eq(lido_pool_checkout(pool, &conn, NULL, &err), LIDO_OK, "%s", err.text);
    arm(plan, nth);
    outcome = transact(plan, &rc);
    fired = has_fired();
    note_fault(rc, outcome);
    if (!fired)
        cr_assert_eq(rc, LIDO_OK, "%s", err.text);
    /* Without memory nobody can look; then the failure is yet to come, at the check-in. */
    if (outcome != LIDO_OUTCOME_OPEN && (fired || plan->fault != MEMORY)) {
        expect_true(outcome, ledger_look_beside(), nth, "for others");
        expect_true(outcome, ledger_look_after_crash(), nth, "after a crash");
    }
    cr_assert_eq(lido_conn_checkin(&conn, NULL, &err), LIDO_OK, "%s, call %d: %s", seen,
                 nth, err.text);
    fired = fired || has_fired();
    disarm();
    expect_true(outcome, ledger_look_beside(), nth, "after the check-in");
    expect_useful(nth);
    expect_true(outcome, ledger_look_beside(), nth, "after another transaction");
    cr_assert_eq(lido_pool_close(pool, 0, &err), LIDO_OK, "%s", err.text);
    lido_pool_free(pool);
    return fired;
}

static void sweep(struct plan plan)
{
    long before = 0;
    int nth = 1;

    for (; live(&plan, nth); nth += STRIDE) {
        if (nth == 1) /* what is allocated once is there now */
            before = failing_malloc_outstanding();
        cr_assert_eq(failing_malloc_outstanding(), before, "%s, call %d: a leak", seen,
                     nth);
    }
    cr_assert_gt(nth, 20, "%s: %d points only", journal, nth);
}

static void sweep_calls(const char *journal_, const char *more_)
{
    journal = journal_;
    more = more_;
    ledger_make(journal);
    sweep((struct plan){ ONCE, FAILING_VFS_FAIL, GOES_ON, LIDO_IMMEDIATE });
    sweep((struct plan){ ONCE, FAILING_VFS_LATE, GIVES_UP, LIDO_DEFERRED });
    sweep((struct plan){ ONCE, FAILING_VFS_FULL, GOES_ON, LIDO_EXCLUSIVE });
    sweep((struct plan){ ONCE, FAILING_VFS_FAIL, RUNS, LIDO_DEFERRED });
    sweep((struct plan){ FROM_THEN_ON, FAILING_VFS_FAIL, GIVES_UP, LIDO_IMMEDIATE });
    sweep((struct plan){ FROM_THEN_ON, FAILING_VFS_LATE, ROLLS_BACK, LIDO_EXCLUSIVE });
    sweep((struct plan){ FROM_THEN_ON, FAILING_VFS_FULL, RUNS, LIDO_IMMEDIATE });
    ledger_remove();
}

Test(fault_txn, each_call_with_a_journal_that_is_deleted)
{
    sweep_calls("delete", QUEUE);
}

Test(fault_txn, each_call_with_a_journal_that_is_truncated)
{
    sweep_calls("truncate", QUEUE);
}

Test(fault_txn, each_call_with_a_journal_that_stays)
{
    sweep_calls("persist", QUEUE);
}

Test(fault_txn, each_call_with_the_write_ahead_log)
{
    sweep_calls("wal", QUEUE);
}

/* A connection that leases share, and whose transaction is one lease's. */
Test(fault_txn, each_call_on_a_shared_connection)
{
    sweep_calls("wal", "&pool=static&vfs=failing");
}

Test(fault_txn, each_call_when_transactions_begin_by_themselves)
{
    sweep_calls("wal", LEDGER_QUEUE "&vfs=failing&autobegin=read&begin=immediate");
}

static void sweep_memory(const char *journal_, enum how how, int mode)
{
    journal = journal_;
    more = QUEUE;
    ledger_make(journal);
    sweep((struct plan){ MEMORY, FAILING_VFS_FAIL, how, mode });
    ledger_remove();
}

Test(fault_txn, each_allocation)
{
    sweep_memory("delete", GOES_ON, LIDO_IMMEDIATE);
}

Test(fault_txn, each_allocation_with_the_write_ahead_log)
{
    sweep_memory("wal", GIVES_UP, LIDO_DEFERRED);
}

Test(fault_txn, each_allocation_of_a_run)
{
    sweep_memory("wal", RUNS, LIDO_DEFERRED);
}
