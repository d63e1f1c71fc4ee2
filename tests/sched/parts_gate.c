/* SPDX-License-Identifier: MIT */
/*
 * Parts at a write gate, each with a lease that is only a cell.
 *
 * This file is compiled as lido is (tests/sched/build.h), for what waits at a gate has lido's
 * locks in it.  Each part finds the gate for itself, so the list of gates is played too.
 * flags[0] and flags[1] count who stands in line (what may stop a waiter is asked there) or,
 * where it says so, who is done.  play->held is how many are in.
 *
 * Threads: each part is one; see tests/sched/sched.h.
 */
#include "pool/slot.h"
#include "tests/sched/play.h"
#include "txn/gate.h"

#include <string.h>

#define LATE_MS   10
#define LATE_NS   (LATE_MS * LIDO_NS_PER_MS)
#define NEVER_DUE INT64_MAX

struct man {
    struct lido__gate *gate;
    struct lido__gate_wait wait;
};

/* Of each thread; not on its stack, where a store could come late to something else. */
static struct lido__cell cells[MOST_PARTS];

static struct play *now; /* for what is asked without a context */

/* One who waits for ever, in order of arrival. */
static void come(struct man *man, struct play *play)
{
    struct lido__cell *cell = &cells[sched_self()];

    now = play;
    memset(man, 0, sizeof *man);
    man->gate = lido__gate_find(1, 1);
    sched_expect(man->gate != NULL, "no gate");
    lido__write(&cell->word, lido__slot_word(1, LIDO__LENT));
    lido__write(&cell->owner, lido__thread());
    lido__write(&cell->told, 1);
    man->wait.who.cell = cell;
    man->wait.who.generation = 1;
    man->wait.who.is_certain = true;
    man->wait.priority = LIDO__GATE_NORMAL;
    man->wait.deadline_ns = LIDO_NO_DEADLINE;
}

static void go(struct man *man)
{
    lido__gate_drop(man->gate);
}

static bool enter(struct man *man, int other)
{
    int rc = lido__gate_enter(man->gate, &man->wait);

    sched_expect(rc == LIDO_OK || rc == other, "the gate answered %s",
                 lido_status_name(rc));
    if (rc != LIDO_OK)
        return false;
    now->held++;
    sched_expect(now->held == 1, "%d are in", now->held);
    return true;
}

/* Works, and leaves. */
static void leave(struct man *man)
{
    sched_use(man->gate);
    sched_point();
    sched_expect(now->held == 1, "%d are in", now->held);
    now->held--;
    lido__gate_leave(man->gate);
}

static void enter_twice(struct play *play, int64_t aging_ns,
                        enum lido__gate_priority priority)
{
    struct man man;

    come(&man, play);
    man.wait.aging_ns = aging_ns;
    man.wait.priority = priority;
    for (int i = 0; i < 2; i++) {
        enter(&man, LIDO_OK);
        leave(&man);
    }
    go(&man);
}

void part_gate(struct play *play)
{
    enter_twice(play, 0, LIDO__GATE_NORMAL);
}

void part_gate_aging(struct play *play)
{
    enter_twice(play, LATE_NS, LIDO__GATE_NORMAL);
}

void part_gate_never_due(struct play *play)
{
    enter_twice(play, NEVER_DUE, LIDO__GATE_NORMAL);
}

void part_gate_high(struct play *play)
{
    enter_twice(play, LATE_NS, LIDO__GATE_HIGH);
}

/* Due about when its first nap is over. */
void part_gate_soon(struct play *play)
{
    enter_twice(play, 40 * 1000, LIDO__GATE_NORMAL);
}

void part_gate_hold_for_a_nap(struct play *play)
{
    struct man man;

    come(&man, play);
    for (int i = 0; i < 2; i++) {
        enter(&man, LIDO_OK);
        for (int reading = 0; i > 0 && reading < 60; reading++)
            lido__clock_read(CLOCK_MONOTONIC); /* time passes */
        leave(&man);
    }
    go(&man);
}

static void enter_in_time(struct play *play, int64_t aging_ns)
{
    struct man man;

    come(&man, play);
    man.wait.aging_ns = aging_ns;
    for (int i = 0; i < 2; i++) {
        man.wait.deadline_ns = lido__deadline_ns(NULL, LATE_MS);
        if (enter(&man, SQLITE_BUSY))
            leave(&man);
    }
    go(&man);
}

void part_gate_in_time(struct play *play)
{
    enter_in_time(play, 0);
}

void part_gate_in_time_aging(struct play *play)
{
    enter_in_time(play, NEVER_DUE);
}

void part_gate_try(struct play *play)
{
    struct man man;

    come(&man, play);
    for (int i = 0; i < 2; i++)
        if (lido__gate_try(man.gate, man.wait.who, LIDO__GATE_NORMAL)) {
            play->held++;
            leave(&man);
        }
    go(&man);
}

/* flags[0]: done. */
void part_gate_hold_for_late(struct play *play)
{
    struct man man;

    come(&man, play);
    enter(&man, LIDO_OK);
    play->flags[1] = 1;
    sched_wait_for(&play->flags[0], 1);
    leave(&man);
    go(&man);
}

void part_gate_late(struct play *play)
{
    struct man man;

    come(&man, play);
    sched_wait_for(&play->flags[1], 1);
    man.wait.deadline_ns = lido__deadline_ns(NULL, LATE_MS);
    sched_expect(!enter(&man, SQLITE_BUSY), "a gate that is held was entered");
    play->flags[0] = 1;
    go(&man);
}

static int stop(const struct lido__gate_wait *self)
{
    (void)self;
    return lido_cancel_is_fired(now->token) ? LIDO_CANCELLED : LIDO_OK;
}

static void enter_cancellable(struct play *play, int64_t aging_ns)
{
    struct man man;

    come(&man, play);
    man.wait.aging_ns = aging_ns;
    man.wait.wakers[0] = &play->token->sleepers;
    man.wait.stop = stop;
    if (enter(&man, LIDO_CANCELLED))
        leave(&man);
    else
        sched_expect(lido_cancel_is_fired(play->token), "cancelled, and nobody had asked");
    play->flags[0]++;
    go(&man);
}

/* flags[0]: done. */
void part_gate_cancellable(struct play *play)
{
    enter_cancellable(play, 0);
}

void part_gate_cancellable_never_due(struct play *play)
{
    enter_cancellable(play, NEVER_DUE);
}

void part_gate_hold_for_cancelled(struct play *play)
{
    struct man man;

    come(&man, play);
    enter(&man, LIDO_OK);
    play->flags[1] = 1;
    sched_wait_for(&play->flags[0], 1);
    leave(&man);
    go(&man);
}

void part_gate_cancellable_later(struct play *play)
{
    sched_wait_for(&play->flags[1], 1);
    part_gate_cancellable(play);
}

/* It is asked what stops it when it stands in line. */
static int stand_first(const struct lido__gate_wait *self)
{
    (void)self;
    now->flags[0] = 1;
    return LIDO_OK;
}

static int stand_second(const struct lido__gate_wait *self)
{
    (void)self;
    now->flags[1] = 1;
    return LIDO_OK;
}

/* In until somebody stands in line, or two. */
static void hold_for_line(struct play *play, int *flag)
{
    struct man man;

    come(&man, play);
    enter(&man, LIDO_OK);
    play->flags[2] = 1;
    sched_wait_for(flag, 1);
    leave(&man);
    go(&man);
}

void part_gate_hold_for_first(struct play *play)
{
    hold_for_line(play, &play->flags[0]);
}

void part_gate_hold_for_second(struct play *play)
{
    hold_for_line(play, &play->flags[1]);
}

static void be_first(struct play *play, int64_t aging_ns, int turn)
{
    struct man man;

    come(&man, play);
    sched_wait_for(&play->flags[2], 1);
    man.wait.stop = stand_first;
    man.wait.priority = LIDO__GATE_LOW;
    man.wait.aging_ns = aging_ns;
    enter(&man, LIDO_OK);
    play->took++;
    sched_expect(play->took == turn, "who came first is number %d", play->took);
    leave(&man);
    go(&man);
}

static void be_second(struct play *play, int64_t aging_ns, int turn)
{
    struct man man;

    come(&man, play);
    sched_wait_for(&play->flags[0], 1);
    man.wait.stop = stand_second;
    man.wait.priority = LIDO__GATE_HIGH;
    man.wait.aging_ns = aging_ns;
    enter(&man, LIDO_OK);
    play->took++;
    sched_expect(play->took == turn, "who came second is number %d", play->took);
    leave(&man);
    go(&man);
}

void part_gate_first(struct play *play)
{
    be_first(play, 0, 1);
}

void part_gate_second(struct play *play)
{
    be_second(play, 0, 2);
}

void part_gate_first_low(struct play *play)
{
    be_first(play, NEVER_DUE, 2);
}

void part_gate_second_high(struct play *play)
{
    be_second(play, NEVER_DUE, 1);
}

/* The counts of the play are of checkouts, of which there are none. */
void set_up_gate(struct play *play)
{
    play->counts_all = false;
}

void part_gate_look(struct play *play)
{
    struct lido__gate_view view;
    struct man man;
    char text[100];

    come(&man, play);
    for (int i = 0; i < 3; i++) {
        sched_point();
        lido__gate_look(man.gate, &view);
        sched_expect(view.waiting[LIDO__GATE_NORMAL] >= view.shown &&
                         view.shown <= MOST_PARTS,
                     "%u are shown", view.shown);
        sched_expect(!view.is_held || view.holder.thread != 0, "a holder has no lease");
        lido__gate_describe(man.gate, text, sizeof text);
    }
    go(&man);
}
