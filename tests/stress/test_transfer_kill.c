/* SPDX-License-Identifier: MIT */
/*
 * A process is killed while it transfers: as it waits at the gate, in the gate before its
 * BEGIN, in the transaction, at each call of its files in COMMIT, and after that.  Whatever it
 * held is free then: the threads of this process, those of another with lido and one without
 * get all of their transfers made, and what anybody was told is there.
 *
 *     this process      a pool, three clerks
 *     the victim        a pool, one clerk, or two where one is to wait for the other
 *     a bystander       a pool, two clerks
 *     the foreign one   SQLite's own connection
 *
 * All are forked before anything is opened.  The victim says by a byte that it is where it is
 * to be killed, and stays there.  It may leave a child behind, which has its files open.
 */
#include "tests/support/bank.h"
#include "tests/support/failing_vfs.h"

#include <criterion/criterion.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define OURS       3 /* clerks, from number 1 */
#define BYSTANDERS 2
#define EACH       3 /* transfers of a clerk in a round */
#define BEFORE     2 /* the victim's, before the one that it is killed at */

#define BYSTANDER  6 /* numbers */
#define VICTIM     9
#define IN_ITS_WAY 10

/* A fork costs tens of milliseconds under a sanitizer, and a kill shows nothing new there. */
#ifndef STRIDE
#define STRIDE 1
#endif

enum phase {
    IN_LINE, /* behind another process */
    AT_GATE,
    IN_GATE,
    BEFORE_WRITE,
    HALF_WAY,
    AFTER_WRITE,
    CHECKS_IN,    /* COMMIT is done; a run is in the gate still */
    AFTER_COMMIT, /* and before it is written down */
    WRITTEN_DOWN,
    IN_COMMIT, /* at the nth call of its files */
};
static const char *const phases[] = {
    [IN_LINE] = "behind another process",
    [AT_GATE] = "at the gate",
    [IN_GATE] = "in the gate",
    [BEFORE_WRITE] = "before it writes",
    [HALF_WAY] = "half way",
    [AFTER_WRITE] = "written",
    [CHECKS_IN] = "in its check-in",
    [AFTER_COMMIT] = "after COMMIT",
    [WRITTEN_DOWN] = "written down",
    [IN_COMMIT] = "in COMMIT",
};
static const char *const gates[] = { "&gate=off", "&gate=on", "&gate=process" };
#define N_GATES ((int)(sizeof gates / sizeof gates[0]))

static struct plan {
    const char *journal;
    const char *gate;
    enum phase phase;
    bool by_runner;
    bool has_child; /* which lives on, with all that was open */
    int nth;
} plan;

TestSuite(transfer_kill, .init = failing_vfs_install, .fini = bank_remove, .timeout = 100);

static struct lido_gate_stats gate_stats(lido_pool *pool)
{
    struct lido_gate_stats stats = LIDO_GATE_STATS_INIT;

    if (lido_gate_stats(pool, &stats, NULL) != LIDO_OK)
        abort();
    return stats;
}

static bool has_gate(void)
{
    return plan.gate != gates[0];
}

static bool is_process(void)
{
    return plan.gate == gates[2];
}

/* Where SQLite's lock is held by the victim. */
static bool has_lock(void)
{
    return plan.phase == AT_GATE || plan.phase == BEFORE_WRITE || plan.phase == HALF_WAY ||
           plan.phase == AFTER_WRITE;
}

/* Where other processes wait for the victim in their line: a run leaves it at last. */
static bool has_line(void)
{
    return is_process() && (has_lock() || plan.phase == IN_GATE ||
                            (plan.phase == CHECKS_IN && plan.by_runner));
}

/* --- the children: they end by _exit(), and assert nothing ------------------------------- */

static int to_parent, from_parent;
static lido_pool *its_pool;
static bool is_doomed; /* the next is the transfer to be killed at */

static void say(char byte)
{
    if (write(to_parent, &byte, 1) != 1)
        _exit(1);
}

/* Until the parent hangs up. */
static void leave_a_child(void)
{
    char byte;

    if (fork() != 0)
        return;
    if (read(from_parent, &byte, 1) != 0)
        abort();
    _exit(0);
}

static void stay(int number)
{
    (void)number;
    if (!is_doomed)
        return;
    if (plan.has_child)
        leave_a_child();
    say('s');
    for (;;)
        pause();
}

static void stay_when_one_waits(int number)
{
    while (gate_stats(its_pool).waiting == 0)
        sched_yield();
    stay(number);
}

static int on_begin(void *ctx, const struct lido_event *event, struct lido_error *err)
{
    (void)ctx, (void)event, (void)err;
    if (plan.phase == IN_GATE)
        stay(VICTIM);
    return LIDO_OK;
}

static int on_commit(void *ctx, const struct lido_event *event, struct lido_error *err)
{
    (void)ctx, (void)event, (void)err;
    if (plan.phase == IN_COMMIT && is_doomed)
        failing_vfs_arm(plan.nth, FAILING_VFS_DIE);
    return LIDO_OK;
}

static int on_checkin(void *ctx, const struct lido_event *event, struct lido_error *err)
{
    (void)ctx, (void)event, (void)err;
    if (plan.phase == CHECKS_IN)
        stay(VICTIM);
    return LIDO_OK;
}

static void must(int rc, const struct lido_error *err)
{
    if (rc == LIDO_OK)
        return;
    dprintf(2, "the victim: %s: %s\n", lido_status_name(rc), err->text);
    _exit(1);
}

/* One that is in for as long as it lives. */
static void put_one_in_its_way(void)
{
    static struct bank_team team;

    bank_team_prepare(&team, its_pool, IN_ITS_WAY, 1, 1);
    team.members[0].clerk.before_write = stay_when_one_waits;
    bank_team_go(&team);
    while (!gate_stats(its_pool).is_held)
        sched_yield();
}

/* A transfer that waits for another process. */
static void wait_in_line(void)
{
    static struct bank_team team;

    bank_team_start(&team, its_pool, VICTIM, 1, 1);
    while (gate_stats(its_pool).process_waits == 0)
        sched_yield();
    stay(VICTIM);
}

/* Returns if nothing killed it. */
static void be_victim(void)
{
    static const struct lido_events events = {
        .size = sizeof events, .begin = on_begin, .commit = on_commit, .checkin = on_checkin
    };
    struct bank_clerk clerk = { .number = VICTIM, .by_runner = plan.by_runner };
    struct lido_error err = LIDO_ERROR_INIT;
    char more[100];

    snprintf(more, sizeof more, "%s%s", plan.gate,
             plan.phase == IN_COMMIT ? "&vfs=failing" : "");
    its_pool = bank_open(more);
    must(lido_hooks_add(lido_pool_hooks(its_pool), NULL, &events, NULL, NULL, &err), &err);
    is_doomed = plan.phase == IN_LINE;
    if (is_doomed)
        wait_in_line();
    for (int i = 0; i < BEFORE; i++)
        must(bank_transfer(&clerk, its_pool, &err), &err);
    is_doomed = true;
    if (plan.phase == AT_GATE)
        put_one_in_its_way();
    clerk.before_write = plan.phase == BEFORE_WRITE ? stay : NULL;
    clerk.half_way = plan.phase == HALF_WAY ? stay : NULL;
    clerk.after_write = plan.phase == AFTER_WRITE ? stay : NULL;
    clerk.after_commit = plan.phase == AFTER_COMMIT ? stay : NULL;
    must(bank_transfer(&clerk, its_pool, &err), &err);
    failing_vfs_arm(0, FAILING_VFS_DIE);
    if (plan.phase == WRITTEN_DOWN)
        stay(VICTIM);
    lido_pool_free(its_pool);
}

/* A round, and one more for each byte. */
static void be_bystander(void)
{
    struct bank_team team;
    char byte;

    its_pool = bank_open(plan.gate);
    do {
        bank_team_start(&team, its_pool, BYSTANDER, BYSTANDERS, EACH);
        if (bank_team_end(&team) != LIDO_OK)
            _exit(1);
        say('d');
    } while (read(from_parent, &byte, 1) == 1);
    lido_pool_free(its_pool);
}

/* --- this process ------------------------------------------------------------------------ */

struct child {
    pid_t pid;
    int to, from;
};

static void hang_up(struct child *child)
{
    close(child->to);
    close(child->from);
}

/* It waits for a byte before it does anything.  `other` is one that has nothing to say to
   it. */
static struct child start(void (*body)(void), struct child *other)
{
    struct child child;
    int there[2], back[2];
    char byte;

    cr_assert_eq(pipe(there) + pipe(back), 0);
    child = (struct child){ .pid = fork(), .to = there[1], .from = back[0] };
    cr_assert_geq(child.pid, 0);
    if (child.pid != 0) {
        close(there[0]);
        close(back[1]);
        return child;
    }
    hang_up(&child);
    if (other != NULL)
        hang_up(other);
    from_parent = there[0];
    to_parent = back[1];
    if (read(from_parent, &byte, 1) == 1)
        body();
    _exit(0);
}

static void go(const struct child *child)
{
    cr_assert_eq(write(child->to, "g", 1), 1);
}

static void await(const struct child *child, char wanted)
{
    char byte = 0;

    cr_assert_eq(read(child->from, &byte, 1), 1, "%s%s, %s: a child is gone", plan.journal,
                 plan.gate, phases[plan.phase]);
    cr_assert_eq(byte, wanted);
}

/* Was it killed, or did it live to its end? */
static bool is_killed(struct child *child)
{
    int status;

    cr_assert_eq(waitpid(child->pid, &status, 0), child->pid);
    cr_assert(status == 0 || (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL),
              "%s%s, %s: a child ended with %d", plan.journal, plan.gate,
              phases[plan.phase], status);
    return status != 0;
}

/* It has nothing more to do, and ends. */
static void leave(struct child *child)
{
    hang_up(child);
    cr_assert_not(is_killed(child));
}

static struct child victim, bystander;
static lido_pool *pool;
static struct bank_team team;

static void start_all(void)
{
    bank_make(plan.journal);
    victim = start(be_victim, NULL);
    bystander = start(be_bystander, &victim);
    pool = bank_open(plan.gate);
}

static void start_round(void)
{
    bank_team_start(&team, pool, 1, OURS, EACH);
    go(&bystander);
}

static void end_round(void)
{
    for (int i = 0; i < EACH; i++)
        bank_foreign_transfer();
    cr_assert_eq(bank_team_end(&team), LIDO_OK);
    await(&bystander, 'd');
}

static void kill_victim(void)
{
    cr_assert_eq(kill(victim.pid, SIGKILL), 0);
    cr_assert(is_killed(&victim));
}

/* What is left makes one round more. */
static void end_all(void)
{
    start_round();
    end_round();
    leave(&bystander);
    hang_up(&victim);
    lido_pool_free(pool);
}

/* What it does not hold nobody waits for; what it holds all do, until it is killed. */
static void kill_where_it_stays(void)
{
    go(&victim);
    await(&victim, 's');
    start_round();
    if (has_lock() || has_line()) {
        if (has_lock())
            cr_assert_eq(bank_foreign_begin(), SQLITE_BUSY);
        else
            bank_foreign_transfer();
        while (has_gate() && gate_stats(pool).waiting < OURS - 1)
            sched_yield();
        for (int i = 1; i <= OURS; i++)
            cr_assert_eq(bank_written_down(i), 0, "%s%s, %s: clerk %d did not wait",
                         plan.journal, plan.gate, phases[plan.phase], i);
    } else {
        end_round();
        start_round();
    }
    kill_victim();
    end_round();
}

static int unheard; /* commits that were done when the process was killed before it knew */

static void expect_transfers(void)
{
    const long made = bank_made(VICTIM);
    char when[100];
    int rounds = plan.phase == IN_COMMIT || has_lock() || has_line() ? 2 : 3;

    snprintf(when, sizeof when, "%s%s, %s %d", plan.journal, plan.gate, phases[plan.phase],
             plan.nth);
    bank_expect_sound(plan.phase >= CHECKS_IN && plan.phase != WRITTEN_DOWN ? VICTIM : -1,
                      when);
    unheard += made > bank_written_down(VICTIM);
    if (plan.phase < CHECKS_IN)
        cr_assert_eq(made, BEFORE, "%s: %ld", when, made);
    else if (plan.phase < IN_COMMIT)
        cr_assert_eq(made, BEFORE + 1, "%s: %ld", when, made);
    for (int i = 1; i <= OURS; i++)
        cr_assert_eq(bank_written_down(i), rounds * EACH, "%s", when);
    for (int i = BYSTANDER; i < BYSTANDER + BYSTANDERS; i++)
        cr_assert_eq(bank_written_down(i), rounds * EACH, "%s", when);
}

/* False: it lived. */
static bool kill_one(void)
{
    bool was_killed = true;

    start_all();
    if (plan.phase == IN_COMMIT) {
        start_round();
        go(&victim);
        was_killed = is_killed(&victim);
        end_round();
    } else {
        kill_where_it_stays();
    }
    end_all();
    expect_transfers();
    bank_remove();
    return was_killed;
}

static void kill_in_each_phase(const char *journal)
{
    for (int i = 0; i < 4 * N_GATES; i++)
        for (enum phase phase = AT_GATE; phase < IN_COMMIT; phase++) {
            plan = (struct plan){
                .journal = journal,
                .gate = gates[i / 4],
                .phase = phase,
                .by_runner = i % 2 == 0,
                .has_child = i / 2 % 2 == 0,
            };
            if (phase != AT_GATE || has_gate())
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
    for (int i = 0; i < N_GATES; i++) {
        plan = (struct plan){ journal, gates[i], IN_COMMIT, i % 2 == 0, false, 1 };
        unheard = 0;
        while (kill_one())
            plan.nth += STRIDE;
        cr_assert_gt(plan.nth - STRIDE, unheard * STRIDE, "%s: none was in time", journal);
        cr_assert(unheard > 0 || STRIDE > 1, "%s: of %d", journal, plan.nth);
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

/* --- in line between processes ----------------------------------------------------------- */

static int signal_in_line;

/* Its own transfer keeps all others in line. */
static void signal_who_waits(int number)
{
    int status;

    (void)number;
    go(&victim);
    await(&victim, 's');
    go(&bystander);
    cr_assert_eq(kill(victim.pid, signal_in_line), 0);
    cr_assert_eq(waitpid(victim.pid, &status, WUNTRACED), victim.pid);
    cr_assert(signal_in_line == SIGSTOP ? WIFSTOPPED(status) : WIFSIGNALED(status));
}

/* With SIGSTOP it keeps its place in line, and takes no step when it comes to its turn. */
static void signal_in_each_line(const char *journal, int number)
{
    struct bank_clerk clerk = { .number = 1, .half_way = signal_who_waits };
    struct lido_error err = LIDO_ERROR_INIT;

    signal_in_line = number;
    for (int i = 0; i < 4; i++) {
        plan = (struct plan){ journal, gates[2], IN_LINE, i % 2 == 0, i / 2 == 0, 0 };
        clerk.by_runner = plan.by_runner;
        start_all();
        cr_assert_eq(bank_transfer(&clerk, pool, &err), LIDO_OK, "%s", err.text);
        await(&bystander, 'd');
        start_round();
        end_round();
        if (number != SIGKILL)
            kill_victim();
        end_all();
        for (int member = 1; member <= OURS; member++)
            cr_assert_eq(bank_written_down(member), 2 * EACH + (member == 1));
        cr_assert_eq(bank_made(VICTIM), 0);
        bank_expect_sound(-1, phases[IN_LINE]);
        bank_remove();
    }
}

Test(transfer_kill, who_is_in_line_between_processes)
{
    signal_in_each_line("wal", SIGKILL);
    signal_in_each_line("delete", SIGKILL);
}

Test(transfer_kill, who_is_stopped_in_line_between_processes_stops_nobody)
{
    signal_in_each_line("wal", SIGSTOP);
}
