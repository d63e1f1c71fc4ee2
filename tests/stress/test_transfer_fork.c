/* SPDX-License-Identifier: MIT */
/*
 * Forks in the middle of a transfer, while its thread is in the gate and others stand in line.
 * The child is answered LIDO_FORKED and nothing of the parent's changes, as long as the child
 * lives and when it ends.  A child that becomes another program is a process like any other.
 *
 * A child forked before its parent has opened anything is one too: stress/test_transfer.c.
 */
#include "tests/support/bank.h"

#include <criterion/criterion.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define WAITERS 2 /* from number 2 */
#define EACH    5
#define PROGRAM 5                /* the number of the other program's clerk */
#define BANK    "LIDO_TEST_BANK" /* in the environment of the other program */
#define GATE    "LIDO_TEST_GATE"

static const char *const gates[] = { "&gate=off", "&gate=on", "&gate=process" };
#define N_GATES ((int)(sizeof gates / sizeof gates[0]))

enum does { ASKS, EXECS, RETURNS }; /* a child */

static lido_pool *pool;
static struct lido_conn idle; /* a lease of the thread that forks */
static struct bank_team team;
static const char *its_gate;
static bool has_gate;
static pid_t child; /* -1: this is it */
static int to_child, from_child;

TestSuite(transfer_fork, .fini = bank_remove, .timeout = 60);

/* The program that the test becomes in its child. */
__attribute__((constructor)) static void be_another_program(void)
{
    const char *folder = getenv(BANK);
    lido_pool *its_own;
    int rc;

    if (folder == NULL)
        return;
    bank_join(folder);
    its_own = bank_open(getenv(GATE));
    bank_team_prepare(&team, its_own, PROGRAM, 1, EACH);
    if (write(STDOUT_FILENO, "o", 1) != 1)
        _exit(1);
    bank_team_go(&team);
    rc = bank_team_end(&team);
    lido_pool_free(its_own);
    _exit(rc == LIDO_OK ? 0 : 1);
}

static int do_nothing(void *ctx, const struct lido_conn *conn, struct lido_error *err)
{
    (void)ctx, (void)conn, (void)err;
    return LIDO_OK;
}

/* 0, or the number of the first call that was answered another code. */
static char ask_all(void)
{
    struct lido_gate_stats stats = LIDO_GATE_STATS_INIT;
    struct lido_error err;
    struct lido_conn conn;
    lido_pool *another;

    if (lido_gate_stats(pool, &stats, &err) != LIDO_FORKED)
        return 1;
    if (lido_pool_run(pool, LIDO_IMMEDIATE, do_nothing, NULL, NULL, &err) != LIDO_FORKED)
        return 2;
    if (lido_txn_begin(&idle, LIDO_IMMEDIATE, &err) != LIDO_FORKED)
        return 3;
    if (lido_conn_run(&idle, LIDO_IMMEDIATE, do_nothing, NULL, NULL, &err) != LIDO_FORKED)
        return 4;
    if (lido_conn_checkin(&idle, NULL, &err) != LIDO_FORKED)
        return 5;
    if (lido_pool_open(&another, bank_url(""), NULL, &err) != LIDO_FORKED)
        return 6;
    if (lido_pool_checkout(pool, &conn, NULL, &err) != LIDO_FORKED)
        return 7;
    return 0;
}

static void be_child(int from_parent, int to_parent)
{
    char answer = ask_all(), byte;

    if (write(to_parent, &answer, 1) != 1 || read(from_parent, &byte, 1) != 0)
        _exit(1);
    _exit(0);
}

static void be_program(int to_parent)
{
    char *const argv[] = { (char *)(uintptr_t) "transfer", NULL };

    dup2(to_parent, STDOUT_FILENO);
    setenv(BANK, bank_folder(), 1);
    setenv(GATE, its_gate, 1);
    execv("/proc/self/exe", argv);
    _exit(1);
}

/* In the middle of a transfer: all others come, and stand in line if there is one. */
static void fork_here(enum does does)
{
    struct lido_gate_stats stats = LIDO_GATE_STATS_INIT;
    int there[2], back[2];

    bank_team_start(&team, pool, 2, WAITERS, EACH);
    while (has_gate && stats.waiting < WAITERS) {
        cr_assert_eq(lido_gate_stats(pool, &stats, NULL), LIDO_OK);
        sched_yield();
    }
    cr_assert_eq(pipe(there) + pipe(back), 0);
    child = fork();
    cr_assert_geq(child, 0);
    if (child == 0) {
        close(there[1]);
        close(back[0]);
        if (does == EXECS)
            be_program(back[1]);
        if (does == ASKS)
            be_child(there[0], back[1]);
        child = -1;
        return;
    }
    close(there[0]);
    close(back[1]);
    to_child = there[1];
    from_child = back[0];
}

/* The child goes back to the transfer, whose next step is to be the last. */
static void fork_and_return(int number)
{
    siginfo_t end;

    (void)number;
    if (child != 0)
        return;
    fork_here(RETURNS);
    if (child == -1)
        return;
    cr_assert_eq(waitid(P_PID, (id_t)child, &end, WEXITED | WNOWAIT), 0);
    cr_assert_eq(bank_foreign_begin(), SQLITE_BUSY, "the lock is lost");
}

static void fork_once(int number)
{
    char answer = 99;

    (void)number;
    if (child != 0)
        return;
    fork_here(ASKS);
    cr_assert_eq(read(from_child, &answer, 1), 1);
    cr_assert_eq(answer, 0, "call %d was not answered LIDO_FORKED", answer);
    cr_assert_eq(bank_foreign_begin(), SQLITE_BUSY, "the lock is lost");
}

static void exec_once(int number)
{
    char answer = 0;

    (void)number;
    if (child != 0)
        return;
    fork_here(EXECS);
    cr_assert_eq(read(from_child, &answer, 1), 1, "it has not opened its pool");
    cr_assert_eq(bank_foreign_begin(), SQLITE_BUSY, "the lock is lost");
}

static void expect_end(void)
{
    int status;

    close(to_child);
    cr_assert_eq(waitpid(child, &status, 0), child);
    close(from_child);
    cr_assert_eq(status, 0, "the child ended with %d", status);
    child = 0;
}

static void play(const char *gate, bool by_runner, void (*half_way)(int number))
{
    struct bank_clerk self = { .number = 1, .by_runner = by_runner, .half_way = half_way };
    struct lido_error err = LIDO_ERROR_INIT;
    int rc;

    bank_make("wal");
    its_gate = gate;
    has_gate = strcmp(gate, gates[0]) != 0;
    pool = bank_open(gate);
    cr_assert_eq(lido_pool_checkout(pool, &idle, NULL, &err), LIDO_OK, "%s", err.text);
    for (int i = 0; i < EACH; i++) {
        rc = bank_transfer(&self, pool, &err);
        if (child == -1)
            _exit(rc == LIDO_FORKED ? 0 : 1);
        cr_assert_eq(rc, LIDO_OK, "%s", err.text);
    }
    cr_assert_eq(bank_team_end(&team), LIDO_OK);
    for (int i = 0; i < EACH; i++)
        bank_foreign_transfer();
    expect_end();
    self.half_way = NULL;
    bank_foreign_transfer();
    cr_assert_eq(bank_transfer(&self, pool, &err), LIDO_OK, "%s", err.text);
    cr_assert_eq(lido_conn_checkin(&idle, NULL, &err), LIDO_OK, "%s", err.text);
    lido_pool_free(pool);
    cr_assert_eq(bank_written_down(PROGRAM), half_way == exec_once ? EACH : 0);
    bank_expect_sound(-1, gate);
    bank_remove();
}

static void play_all(void (*half_way)(int number))
{
    for (int i = 0; i < 2 * N_GATES; i++)
        play(gates[i / 2], i % 2 == 0, half_way);
}

Test(transfer_fork, a_child_is_told_and_the_gate_goes_on)
{
    play_all(fork_once);
}

Test(transfer_fork, a_child_that_goes_back_to_the_transfer_is_told_and_ends_nothing)
{
    play_all(fork_and_return);
}

Test(transfer_fork, a_child_that_becomes_another_program_has_a_pool_of_its_own)
{
    play_all(exec_once);
}
