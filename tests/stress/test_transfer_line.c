/* SPDX-License-Identifier: MIT */
/*
 * In the line of several processes at a gate (gate=process) one is killed, or stopped, while it
 * waits behind another: those behind it come in all the same.
 */
#include "tests/support/holdup.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <sys/wait.h>

TestSuite(transfer_line, .fini = bank_remove, .timeout = 100);

static int signal_in_line;

/* Its own transfer keeps all others in line. */
static void signal_who_waits(int number)
{
    int status;

    (void)number;
    holdup_go(&holdup_victim);
    holdup_await(&holdup_victim, 's');
    holdup_go(&holdup_bystander);
    cr_assert_eq(kill(holdup_victim.pid, signal_in_line), 0);
    cr_assert_eq(waitpid(holdup_victim.pid, &status, WUNTRACED), holdup_victim.pid);
    cr_assert(signal_in_line == SIGSTOP ? WIFSTOPPED(status) : WIFSIGNALED(status));
}

/* With SIGSTOP it keeps its place in line, and takes no step when it comes to its turn. */
static void signal_in_each_line(const char *journal, int number)
{
    struct bank_clerk clerk = { .number = 1, .half_way = signal_who_waits };
    struct lido_error err = LIDO_ERROR_INIT;

    signal_in_line = number;
    for (int i = 0; i < 4; i++) {
        holdup =
            (struct holdup){ journal, holdup_gates[2], IN_LINE, i % 2 == 0, i / 2 == 0, 0 };
        clerk.by_runner = holdup.by_runner;
        holdup_start();
        cr_assert_eq(bank_transfer(&clerk, holdup_pool, &err), LIDO_OK, "%s", err.text);
        holdup_await(&holdup_bystander, 'd');
        holdup_round_start();
        holdup_round_end();
        if (number != SIGKILL)
            holdup_kill();
        holdup_end();
        for (int member = 1; member <= HOLDUP_OURS; member++)
            cr_assert_eq(bank_written_down(member), 2 * HOLDUP_EACH + (member == 1));
        cr_assert_eq(bank_made(HOLDUP_VICTIM), 0);
        bank_expect_sound(-1, holdup_phases[IN_LINE]);
        bank_remove();
    }
}

Test(transfer_line, who_is_in_line_between_processes)
{
    signal_in_each_line("wal", SIGKILL);
    signal_in_each_line("delete", SIGKILL);
}

Test(transfer_line, who_is_stopped_in_line_between_processes_stops_nobody)
{
    signal_in_each_line("wal", SIGSTOP);
}
