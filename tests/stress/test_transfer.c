/* SPDX-License-Identifier: MIT */
/*
 * Transfers between accounts by many threads, pools and processes, with one that writes the
 * same file and has never heard of lido.  Nothing is lost and nothing is made, everybody comes
 * through, and at the gate in turn.
 *
 * No clock is asked who was served how often.  Where the order is judged, who is in goes on
 * only when all others stand in line: then nothing is left to chance but the first round.
 */
#include "tests/support/bank.h"

#include <criterion/criterion.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* How begins go by the gate. */
static const char *const gates[] = {
    "&gate=off",
    "&gate=on",
    "&gate=on&gate_aging_us=0",
    "&gate=process",
    "&gate=process&gate_aging_us=0",
};
#define N_GATES ((int)(sizeof gates / sizeof gates[0]))

#define THREADS   4
#define EACH      60
#define FOREIGN   20
#define PROCESSES 3

TestSuite(transfer, .fini = bank_remove, .timeout = 100);

/* Two pools on the file share its gate. */
static void transfer_by_threads(const char *journal, const char *gate)
{
    struct bank_team one, other;
    lido_pool *first, *second;

    bank_make(journal);
    first = bank_open(gate);
    second = bank_open(gate);
    bank_team_start(&one, first, 1, THREADS / 2, EACH);
    bank_team_start(&other, second, 1 + THREADS / 2, THREADS / 2, EACH);
    for (int i = 0; i < FOREIGN; i++)
        bank_foreign_transfer();
    cr_assert_eq(bank_team_end(&one), LIDO_OK);
    cr_assert_eq(bank_team_end(&other), LIDO_OK);
    lido_pool_free(first);
    lido_pool_free(second);
    for (int i = 1; i <= THREADS; i++)
        cr_expect_eq(bank_written_down(i), EACH);
    bank_expect_sound(-1, gate);
    bank_remove();
}

Test(transfer, threads_of_two_pools_and_a_foreign_process)
{
    for (int i = 0; i < N_GATES; i++) {
        transfer_by_threads("wal", gates[i]);
        transfer_by_threads("delete", gates[i]);
    }
}

/* A process with a pool and a team of its own, which starts when all are there. */
static pid_t start_process(int number, const char *gate, const int go[2])
{
    pid_t child = fork();
    struct bank_team team;
    lido_pool *pool;
    char byte;
    int rc;

    cr_assert_geq(child, 0);
    if (child != 0)
        return child;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    close(go[1]);
    if (read(go[0], &byte, 1) != 0) /* at its end */
        _exit(1);
    pool = bank_open(gate);
    bank_team_start(&team, pool, 1 + 2 * number, 2, EACH);
    rc = bank_team_end(&team);
    lido_pool_free(pool);
    _exit(rc == LIDO_OK ? 0 : 1);
}

static void transfer_by_processes(const char *journal, const char *gate)
{
    pid_t children[PROCESSES];
    int go[2];

    bank_make(journal);
    cr_assert_eq(pipe(go), 0);
    for (int i = 0; i < PROCESSES; i++)
        children[i] = start_process(i, gate, go);
    close(go[0]);
    close(go[1]);
    for (int i = 0; i < FOREIGN; i++)
        bank_foreign_transfer();
    for (int i = 0; i < PROCESSES; i++) {
        int status;

        cr_assert_eq(waitpid(children[i], &status, 0), children[i]);
        cr_assert_eq(status, 0, "%s: process %d ended with %d", gate, i, status);
    }
    for (int i = 1; i <= 2 * PROCESSES; i++)
        cr_expect_eq(bank_written_down(i), EACH);
    bank_expect_sound(-1, gate);
    bank_remove();
}

Test(transfer, processes_and_a_foreign_one)
{
    for (int i = 0; i < N_GATES; i++) {
        transfer_by_processes("wal", gates[i]);
        transfer_by_processes("delete", gates[i]);
    }
}

/* --- in turn ---------------------------------------------------------------------------- */

#define ROUNDS        12
#define FOREIGN_EVERY 5

static struct {
    lido_pool *pool;
    int64_t aging_ns;
    atomic_int left[THREADS + 1]; /* transfers of each clerk */
    int order[THREADS * ROUNDS];  /* guarded by the gate, as what follows */
    int done;
    int begun;
    sem_t foreign_is_in, foreign_is_out;
} turn;

static struct lido_gate_stats gate_stats(void)
{
    struct lido_gate_stats stats = LIDO_GATE_STATS_INIT;
    struct lido_error err;

    cr_assert_eq(lido_gate_stats(turn.pool, &stats, &err), LIDO_OK);
    return stats;
}

static bool all_others_are_due(void)
{
    struct lido_gate_stats stats;
    int others = -1;

    for (int i = 1; i <= THREADS; i++)
        others += atomic_load(&turn.left[i]) > 0;
    stats = gate_stats();
    for (int i = 0; i < stats.shown; i++)
        if (stats.waiters[i].waited_ns < turn.aging_ns)
            return false;
    return stats.waiting == others;
}

static void stay_until_all_wait(int number)
{
    turn.order[turn.done++] = number;
    while (!all_others_are_due())
        sched_yield();
}

static void count_down(int number)
{
    atomic_fetch_sub(&turn.left[number], 1);
}

/* Who is in has not begun and all others wait, so the foreign one gets SQLite's lock at once;
   the BEGIN that follows meets it. */
static int let_foreign_in(void *ctx, const struct lido_event *event, struct lido_error *err)
{
    (void)ctx, (void)event, (void)err;
    if (turn.begun++ % FOREIGN_EVERY != 0)
        return LIDO_OK;
    sem_wait(&turn.foreign_is_out);
    cr_assert_eq(bank_foreign_begin(), SQLITE_OK, "somebody else writes");
    sem_post(&turn.foreign_is_in);
    return LIDO_OK;
}

/* The first run finds no connection, and the second no writer: such a one may enter twice. */
static void open_connections(void)
{
    struct bank_clerk clerk = { .number = THREADS + 1, .by_runner = true };
    struct lido_error err = LIDO_ERROR_INIT;

    for (int i = 0; i < 2; i++)
        cr_assert_eq(bank_transfer(&clerk, turn.pool, &err), LIDO_OK, "%s", err.text);
}

static void take_turns(const char *gate, int64_t aging_us)
{
    static const struct lido_events events = { .size = sizeof events,
                                               .begin = let_foreign_in };
    const int all = THREADS * ROUNDS;
    struct bank_team team;
    struct lido_gate_stats before, stats;
    struct lido_error err;

    bank_make("wal");
    memset(&turn, 0, sizeof turn);
    turn.aging_ns = aging_us * 1000;
    sem_init(&turn.foreign_is_in, 0, 0);
    sem_init(&turn.foreign_is_out, 0, 1);
    turn.pool = bank_open(gate);
    open_connections();
    before = gate_stats();
    cr_assert_eq(
        lido_hooks_add(lido_pool_hooks(turn.pool), NULL, &events, NULL, NULL, &err),
        LIDO_OK);
    for (int i = 1; i <= THREADS; i++)
        atomic_store(&turn.left[i], ROUNDS);
    bank_team_prepare(&team, turn.pool, 1, THREADS, ROUNDS);
    for (int i = 0; i < THREADS; i++) {
        team.members[i].clerk.half_way = stay_until_all_wait;
        team.members[i].clerk.after_commit = count_down;
    }
    bank_team_go(&team);
    for (int i = 0; i < all; i += FOREIGN_EVERY) {
        sem_wait(&turn.foreign_is_in);
        bank_foreign_end();
        sem_post(&turn.foreign_is_out);
    }
    cr_assert_eq(bank_team_end(&team), LIDO_OK);

    for (int i = THREADS; i < all; i++)
        cr_assert_eq(turn.order[i], turn.order[i - THREADS], "%s: turn %d", gate, i);
    stats = gate_stats();
    cr_expect_eq(stats.entered - before.entered, all, "%s", gate);
    cr_expect_eq(stats.handed_over, all - 1, "%s", gate);
    cr_expect_eq(stats.timeouts + stats.stopped + stats.deadlocks + stats.ungated, 0);
    lido_pool_free(turn.pool);
    bank_expect_sound(-1, gate);
    bank_remove();
}

/* So of any window of commits nobody has two more than another. */
Test(transfer, who_waits_is_served_in_turn_while_a_foreign_process_writes)
{
    take_turns("&gate=on&gate_aging_us=0", 0);
    take_turns("&gate=on&gate_aging_us=200", 200);
    take_turns("&gate=process&gate_aging_us=0", 0);
}
