/* SPDX-License-Identifier: MIT */
/*
 * A process is killed while it transfers: as it waits at the gate, in the gate before its
 * BEGIN, in the transaction, at each call of its files in COMMIT, and after that.  Whatever it
 * held is free then: the threads of this process, those of another with lido and one without
 * get all of their transfers made, and what anybody was told is there.
 */
#include "tests/support/failing_vfs.h"
#include "tests/support/holdup.h"

#include <criterion/criterion.h>
#include <sched.h>
#include <stdio.h>

/* A fork costs tens of milliseconds under a sanitizer, and a kill shows nothing new there. */
#ifndef STRIDE
#define STRIDE 1
#endif

TestSuite(transfer_kill, .init = failing_vfs_install, .fini = bank_remove, .timeout = 100);

/* What it does not hold nobody waits for; what it holds all do, until it is killed. */
static void kill_where_it_stays(void)
{
    holdup_go(&holdup_victim);
    holdup_await(&holdup_victim, 's');
    holdup_round_start();
    if (holdup_has_lock() || holdup_has_line()) {
        if (holdup_has_lock())
            cr_assert_eq(bank_foreign_begin(), SQLITE_BUSY);
        else
            bank_foreign_transfer();
        while (holdup_has_gate() &&
               holdup_gate_stats(holdup_pool).waiting < HOLDUP_OURS - 1)
            sched_yield();
        for (int i = 1; i <= HOLDUP_OURS; i++)
            cr_assert_eq(bank_written_down(i), 0, "%s%s, %s: clerk %d did not wait",
                         holdup.journal, holdup.gate, holdup_phases[holdup.phase], i);
    } else {
        holdup_round_end();
        holdup_round_start();
    }
    holdup_kill();
    holdup_round_end();
}

static int unheard; /* commits that were done when the process was killed before it knew */

static void expect_transfers(void)
{
    const long made = bank_made(HOLDUP_VICTIM);
    char when[100];
    int rounds =
        holdup.phase == IN_COMMIT || holdup_has_lock() || holdup_has_line() ? 2 : 3;

    snprintf(when, sizeof when, "%s%s, %s %d", holdup.journal, holdup.gate,
             holdup_phases[holdup.phase], holdup.nth);
    bank_expect_sound(
        holdup.phase >= CHECKS_IN && holdup.phase != WRITTEN_DOWN ? HOLDUP_VICTIM : -1,
        when);
    unheard += made > bank_written_down(HOLDUP_VICTIM);
    if (holdup.phase < CHECKS_IN)
        cr_assert_eq(made, HOLDUP_BEFORE, "%s: %ld", when, made);
    else if (holdup.phase < IN_COMMIT)
        cr_assert_eq(made, HOLDUP_BEFORE + 1, "%s: %ld", when, made);
    for (int i = 1; i <= HOLDUP_OURS; i++)
        cr_assert_eq(bank_written_down(i), rounds * HOLDUP_EACH, "%s", when);
    for (int i = HOLDUP_BYSTANDER; i < HOLDUP_BYSTANDER + HOLDUP_BYSTANDERS; i++)
        cr_assert_eq(bank_written_down(i), rounds * HOLDUP_EACH, "%s", when);
}

/* False: it lived. */
static bool kill_one(void)
{
    bool was_killed = true;

    holdup_start();
    if (holdup.phase == IN_COMMIT) {
        holdup_round_start();
        holdup_go(&holdup_victim);
        was_killed = holdup_is_killed(&holdup_victim);
        holdup_round_end();
    } else {
        kill_where_it_stays();
    }
    holdup_end();
    expect_transfers();
    bank_remove();
    return was_killed;
}

static void kill_in_each_phase(const char *journal)
{
    for (int i = 0; i<4 * HOLDUP_GATES; i += STRIDE> 1 ? 3 : 1)
        for (enum holdup_phase phase = AT_GATE; phase < IN_COMMIT; phase++) {
            holdup = (struct holdup){
                .journal = journal,
                .gate = holdup_gates[i / 4],
                .phase = phase,
                .by_runner = i % 2 == 0,
                .has_child = i / 2 % 2 == 0,
            };
            if (phase != AT_GATE || holdup_has_gate())
                kill_one();
        }
}

Test(transfer_kill, holders_and_waiters_with_the_write_ahead_log)
{
    kill_in_each_phase("wal");
}

Test(transfer_kill, holders_and_waiters_with_a_rollback_journal)
{
    kill_in_each_phase("delete");
}

static void kill_in_commit(const char *journal)
{
    for (int i = 0; i < HOLDUP_GATES; i++) {
        holdup =
            (struct holdup){ journal, holdup_gates[i], IN_COMMIT, i % 2 == 0, false, 1 };
        unheard = 0;
        while (kill_one())
            holdup.nth += STRIDE;
        cr_assert_gt(holdup.nth - STRIDE, unheard * STRIDE, "%s: none was in time",
                     journal);
        cr_assert(unheard > 0 || STRIDE > 1, "%s: of %d", journal, holdup.nth);
    }
}

Test(transfer_kill, in_a_commit_to_the_write_ahead_log)
{
    kill_in_commit("wal");
}

Test(transfer_kill, in_a_commit_with_a_rollback_journal)
{
    kill_in_commit("delete");
}
