/* SPDX-License-Identifier: MIT */
/*
 * The children are forked before anything is opened, and told by a byte to begin.  The victim
 * says by a byte that it is where it is to be killed, and stays there.
 *
 * Threads: the test's; each child has its own copy of all this.
 */
#include "tests/support/holdup.h"
#include "tests/support/failing_vfs.h"

#include <criterion/criterion.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define IN_ITS_WAY 10 /* the number of a second clerk of the victim's */

const char *const holdup_gates[] = { "&gate=off", "&gate=on", "&gate=process" };
const char *const holdup_phases[] = {
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
struct holdup holdup;

struct lido_gate_stats holdup_gate_stats(lido_pool *pool)
{
    struct lido_gate_stats stats = LIDO_GATE_STATS_INIT;

    if (lido_gate_stats(pool, &stats, NULL) != LIDO_OK)
        abort();
    return stats;
}

bool holdup_has_gate(void)
{
    return holdup.gate != holdup_gates[0];
}

static bool is_process(void)
{
    return holdup.gate == holdup_gates[2];
}

/* Where SQLite's lock is held by the victim. */
bool holdup_has_lock(void)
{
    return holdup.phase == AT_GATE || holdup.phase == BEFORE_WRITE ||
           holdup.phase == HALF_WAY || holdup.phase == AFTER_WRITE;
}

/* Where other processes wait for the victim in their line: a run leaves it at last. */
bool holdup_has_line(void)
{
    return is_process() && (holdup_has_lock() || holdup.phase == IN_GATE ||
                            (holdup.phase == CHECKS_IN && holdup.by_runner));
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
    if (holdup.has_child)
        leave_a_child();
    say('s');
    for (;;)
        pause();
}

static void stay_when_one_waits(int number)
{
    while (holdup_gate_stats(its_pool).waiting == 0)
        sched_yield();
    stay(number);
}

static int on_begin(void *ctx, const struct lido_event *event, struct lido_error *err)
{
    (void)ctx, (void)event, (void)err;
    if (holdup.phase == IN_GATE)
        stay(HOLDUP_VICTIM);
    return LIDO_OK;
}

static int on_commit(void *ctx, const struct lido_event *event, struct lido_error *err)
{
    (void)ctx, (void)event, (void)err;
    if (holdup.phase == IN_COMMIT && is_doomed)
        failing_vfs_arm(holdup.nth, FAILING_VFS_DIE);
    return LIDO_OK;
}

static int on_checkin(void *ctx, const struct lido_event *event, struct lido_error *err)
{
    (void)ctx, (void)event, (void)err;
    if (holdup.phase == CHECKS_IN)
        stay(HOLDUP_VICTIM);
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
    while (!holdup_gate_stats(its_pool).is_held)
        sched_yield();
}

/* A transfer that waits for another process. */
static void wait_in_line(void)
{
    static struct bank_team team;

    bank_team_start(&team, its_pool, HOLDUP_VICTIM, 1, 1);
    while (holdup_gate_stats(its_pool).process_waits == 0)
        sched_yield();
    stay(HOLDUP_VICTIM);
}

/* Returns if nothing killed it. */
static void be_victim(void)
{
    static const struct lido_events events = {
        .size = sizeof events, .begin = on_begin, .commit = on_commit, .checkin = on_checkin
    };
    struct bank_clerk clerk = { .number = HOLDUP_VICTIM, .by_runner = holdup.by_runner };
    struct lido_error err = LIDO_ERROR_INIT;
    char more[100];

    snprintf(more, sizeof more, "%s%s", holdup.gate,
             holdup.phase == IN_COMMIT ? "&vfs=failing" : "");
    its_pool = bank_open(more);
    must(lido_hooks_add(lido_pool_hooks(its_pool), NULL, &events, NULL, NULL, &err), &err);
    is_doomed = holdup.phase == IN_LINE;
    if (is_doomed)
        wait_in_line();
    for (int i = 0; i < HOLDUP_BEFORE; i++)
        must(bank_transfer(&clerk, its_pool, &err), &err);
    is_doomed = true;
    if (holdup.phase == AT_GATE)
        put_one_in_its_way();
    clerk.before_write = holdup.phase == BEFORE_WRITE ? stay : NULL;
    clerk.half_way = holdup.phase == HALF_WAY ? stay : NULL;
    clerk.after_write = holdup.phase == AFTER_WRITE ? stay : NULL;
    clerk.after_commit = holdup.phase == AFTER_COMMIT ? stay : NULL;
    must(bank_transfer(&clerk, its_pool, &err), &err);
    failing_vfs_arm(0, FAILING_VFS_DIE);
    if (holdup.phase == WRITTEN_DOWN)
        stay(HOLDUP_VICTIM);
    lido_pool_free(its_pool);
}

/* A round, and one more for each byte. */
static void be_bystander(void)
{
    struct bank_team team;
    char byte;

    its_pool = bank_open(holdup.gate);
    do {
        bank_team_start(&team, its_pool, HOLDUP_BYSTANDER, HOLDUP_BYSTANDERS, HOLDUP_EACH);
        if (bank_team_end(&team) != LIDO_OK)
            _exit(1);
        say('d');
    } while (read(from_parent, &byte, 1) == 1);
    lido_pool_free(its_pool);
}

/* --- this process ------------------------------------------------------------------------ */

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
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that is killed leaves none behind */
    hang_up(&child);
    if (other != NULL)
        hang_up(other);
    from_parent = there[0];
    to_parent = back[1];
    if (read(from_parent, &byte, 1) == 1)
        body();
    _exit(0);
}

void holdup_go(const struct child *child)
{
    cr_assert_eq(write(child->to, "g", 1), 1);
}

void holdup_await(const struct child *child, char wanted)
{
    char byte = 0;

    cr_assert_eq(read(child->from, &byte, 1), 1, "%s%s, %s: a child is gone",
                 holdup.journal, holdup.gate, holdup_phases[holdup.phase]);
    cr_assert_eq(byte, wanted);
}

/* Was it killed, or did it live to its end? */
bool holdup_is_killed(const struct child *child)
{
    int status;

    cr_assert_eq(waitpid(child->pid, &status, 0), child->pid);
    cr_assert(status == 0 || (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL),
              "%s%s, %s: a child ended with %d", holdup.journal, holdup.gate,
              holdup_phases[holdup.phase], status);
    return status != 0;
}

/* It has nothing more to do, and ends. */
static void leave(struct child *child)
{
    hang_up(child);
    cr_assert_not(holdup_is_killed(child));
}

struct child holdup_victim, holdup_bystander;
lido_pool *holdup_pool;
static struct bank_team team;

void holdup_start(void)
{
    bank_make(holdup.journal);
    holdup_victim = start(be_victim, NULL);
    holdup_bystander = start(be_bystander, &holdup_victim);
    holdup_pool = bank_open(holdup.gate);
}

void holdup_round_start(void)
{
    bank_team_start(&team, holdup_pool, 1, HOLDUP_OURS, HOLDUP_EACH);
    holdup_go(&holdup_bystander);
}

void holdup_round_end(void)
{
    for (int i = 0; i < HOLDUP_EACH; i++)
        bank_foreign_transfer();
    cr_assert_eq(bank_team_end(&team), LIDO_OK);
    holdup_await(&holdup_bystander, 'd');
}

void holdup_kill(void)
{
    cr_assert_eq(kill(holdup_victim.pid, SIGKILL), 0);
    cr_assert(holdup_is_killed(&holdup_victim));
}

/* What is left makes one round more. */
void holdup_end(void)
{
    holdup_round_start();
    holdup_round_end();
    leave(&holdup_bystander);
    hang_up(&holdup_victim);
    lido_pool_free(holdup_pool);
}
