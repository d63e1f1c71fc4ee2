/* SPDX-License-Identifier: MIT */
/*
 * Parts that wait for slots and at a gate with leases in their hands, so that they may wait for
 * each other.
 *
 * A part writes down what it has and what it wants, in `people`.  Who is told LIDO_DEADLOCK has
 * to be in a ring by that (else the answer was false), and one that nobody is told of ends in
 * the scheduler's "nobody can go on".  What a part has it writes down when it has it, and
 * strikes out before it gives it away; so it is said to want what it was given, and not to have
 * it, until it knows.
 *
 * Compiled as lido is, for what waits at a gate has lido's locks in it.
 *
 * Threads: each part is one; see tests/sched/sched.h.
 */
#include "pool/slot.h"
#include "tests/sched/play.h"
#include "txn/gate.h"

#include <string.h>

#define LATE_MS   10
#define NEVER_DUE INT64_MAX

enum want { NOTHING, A_SLOT, THE_GATE };

static struct person {
    enum want wants;
    int slots; /* that it has, of play->pool */
    bool is_in;
} people[MOST_PARTS];
static bool has_deadlines; /* who was stuck may be so no more when it is looked at */

static struct person *me(void)
{
    return &people[sched_self()];
}

void set_up_ring(struct play *play)
{
    (void)play;
    memset(people, 0, sizeof people);
    has_deadlines = false;
}

void set_up_ring_in_time(struct play *play)
{
    set_up_ring(play);
    has_deadlines = true;
}

/* Could it go on if those of `stuck` do not? */
static bool can_go_on(const struct play *play, const struct person *person,
                      const bool *stuck)
{
    int slots = 0;
    bool is_in_stuck = false;

    for (int i = 0; i < MOST_PARTS; i++)
        if (stuck[i]) {
            slots += people[i].slots;
            is_in_stuck = is_in_stuck || people[i].is_in;
        }
    return person->wants == A_SLOT ? slots < play->limit : !is_in_stuck;
}

/* By what all have written down. */
static void expect_stuck(const struct play *play)
{
    bool stuck[MOST_PARTS], has_changed = true;

    for (int i = 0; i < MOST_PARTS; i++)
        stuck[i] = people[i].wants != NOTHING;
    while (has_changed) {
        has_changed = false;
        for (int i = 0; i < MOST_PARTS; i++)
            if (stuck[i] && can_go_on(play, &people[i], stuck)) {
                stuck[i] = false;
                has_changed = true;
            }
    }
    sched_expect(stuck[sched_self()] || has_deadlines, "a ring was told of that is none");
}

static bool take(struct play *play, struct lido_conn *conn, int64_t timeout_ms)
{
    struct lido_checkout_options options = LIDO_CHECKOUT_OPTIONS_INIT;
    int rc;

    options.timeout_ms = timeout_ms;
    me()->wants = A_SLOT;
    rc = lido_pool_checkout(play->pool, conn, &options, NULL);
    if (rc == LIDO_DEADLOCK)
        expect_stuck(play);
    else
        sched_expect(rc == LIDO_OK || (timeout_ms >= 0 && rc == LIDO_POOL_TIMEOUT),
                     "a checkout answered %s", lido_status_name(rc));
    me()->wants = NOTHING;
    me()->slots += rc == LIDO_OK;
    play->took += rc == LIDO_OK;
    play->timeouts += rc == LIDO_POOL_TIMEOUT;
    return rc == LIDO_OK;
}

static void give(struct play *play, struct lido_conn *conn)
{
    me()->slots--;
    play_give(play, conn);
}

static struct lido__gate *find_gate(void)
{
    struct lido__gate *gate = lido__gate_find(2, 2);

    sched_expect(gate != NULL, "no gate");
    return gate;
}

static bool enter(struct play *play, struct lido__gate *gate, struct lido__gate_wait *wait,
                  int other)
{
    int rc;

    me()->wants = THE_GATE;
    rc = lido__gate_enter(gate, wait);
    if (rc == LIDO_DEADLOCK)
        expect_stuck(play);
    else
        sched_expect(rc == LIDO_OK || rc == other, "the gate answered %s",
                     lido_status_name(rc));
    me()->wants = NOTHING;
    me()->is_in = rc == LIDO_OK;
    return rc == LIDO_OK;
}

static void leave(struct lido__gate *gate)
{
    me()->is_in = false;
    lido__gate_leave(gate);
}

static struct lido__gate_wait wait_with(const struct lido_conn *conn)
{
    return (struct lido__gate_wait){
        .who = { .cell = conn->cell, .generation = conn->generation, .is_certain = true },
        .priority = LIDO__GATE_NORMAL,
        .deadline_ns = LIDO_NO_DEADLINE,
    };
}

/* In the gate by one lease it wants another. */
static void enter_and_take(struct play *play, int64_t aging_ns, int64_t timeout_ms)
{
    struct lido__gate *gate = find_gate();
    struct lido__gate_wait wait;
    struct lido_conn conn, more;

    if (take(play, &conn, LIDO_TIMEOUT_FOREVER)) {
        wait = wait_with(&conn);
        wait.aging_ns = aging_ns;
        if (enter(play, gate, &wait, LIDO_OK)) {
            if (take(play, &more, timeout_ms))
                give(play, &more);
            leave(gate);
        }
        give(play, &conn);
    }
    lido__gate_drop(gate);
}

void part_ring_enter_and_take(struct play *play)
{
    enter_and_take(play, 0, LIDO_TIMEOUT_FOREVER);
}

void part_ring_enter_and_take_never_due(struct play *play)
{
    enter_and_take(play, NEVER_DUE, LIDO_TIMEOUT_FOREVER);
}

void part_ring_enter_and_take_in_time(struct play *play)
{
    enter_and_take(play, 0, LATE_MS);
}

static void take_and_enter(struct play *play, int64_t aging_ns, bool is_in_time)
{
    struct lido__gate *gate = find_gate();
    struct lido__gate_wait wait;
    struct lido_conn conn;

    if (take(play, &conn, LIDO_TIMEOUT_FOREVER)) {
        wait = wait_with(&conn);
        wait.aging_ns = aging_ns;
        if (is_in_time)
            wait.deadline_ns = lido__deadline_ns(NULL, LATE_MS);
        if (enter(play, gate, &wait, is_in_time ? SQLITE_BUSY : LIDO_OK)) {
            sched_point();
            leave(gate);
        }
        give(play, &conn);
    }
    lido__gate_drop(gate);
}

void part_ring_take_and_enter(struct play *play)
{
    take_and_enter(play, 0, false);
}

void part_ring_take_and_enter_never_due(struct play *play)
{
    take_and_enter(play, NEVER_DUE, false);
}

void part_ring_take_and_enter_in_time(struct play *play)
{
    take_and_enter(play, 0, true);
}

void part_ring_take_two(struct play *play)
{
    struct lido_conn conn, more;

    if (!take(play, &conn, LIDO_TIMEOUT_FOREVER))
        return;
    if (take(play, &more, LIDO_TIMEOUT_FOREVER)) {
        play_use(play, &more);
        give(play, &more);
    }
    give(play, &conn);
}

/* Never waits with something in its hands: it is in no ring. */
void part_ring_take_one(struct play *play)
{
    struct lido_conn conn;

    for (int i = 0; i < 2; i++) {
        sched_expect(take(play, &conn, LIDO_TIMEOUT_FOREVER), "it had nothing");
        play_use(play, &conn);
        give(play, &conn);
    }
}

/*
 * One that waits at the gate is cancelled, and then who is in wants another lease: it gets that
 * of the one that gives up.  flags[0]: it stands at the gate; flags[1]: it was cancelled.
 */
static struct play *now; /* for what is asked without a context */

static int stand(const struct lido__gate_wait *self)
{
    (void)self;
    now->flags[0] = 1;
    return lido_cancel_is_fired(now->token) ? LIDO_CANCELLED : LIDO_OK;
}

void set_up_ring_cancel(struct play *play)
{
    set_up_ring(play);
    now = play;
    sched_expect(lido_cancel_new(&play->token, NULL) == LIDO_OK, "no token");
}

void part_ring_cancelled(struct play *play)
{
    struct lido__gate *gate = find_gate();
    struct lido__gate_wait wait;
    struct lido_conn conn;

    sched_expect(take(play, &conn, LIDO_TIMEOUT_FOREVER), "no lease");
    wait = wait_with(&conn);
    wait.wakers[0] = &play->token->sleepers;
    wait.stop = stand;
    sched_wait_for(&play->flags[2], 1);
    if (enter(play, gate, &wait, LIDO_CANCELLED))
        leave(gate);
    give(play, &conn);
    lido__gate_drop(gate);
}

/* The same in the line for a slot. */
void part_ring_cancelled_in_line(struct play *play)
{
    struct lido_checkout_options options = LIDO_CHECKOUT_OPTIONS_INIT;
    struct lido_conn conn, more;
    int rc;

    options.cancel = play->token;
    options.timeout_ms = LIDO_TIMEOUT_FOREVER;
    sched_expect(take(play, &conn, LIDO_TIMEOUT_FOREVER), "no lease");
    sched_wait_for(&play->flags[2], 1);
    play->flags[0] = 1;
    rc = lido_pool_checkout(play->pool, &more, &options, NULL);
    sched_expect(rc == LIDO_CANCELLED, "a checkout answered %s", lido_status_name(rc));
    give(play, &conn);
}

void part_ring_take_after_cancel(struct play *play)
{
    struct lido__gate *gate = find_gate();
    struct lido__gate_wait wait;
    struct lido_conn conn, more;

    sched_expect(take(play, &conn, LIDO_TIMEOUT_FOREVER), "no lease");
    wait = wait_with(&conn);
    enter(play, gate, &wait, LIDO_OK);
    play->flags[2] = 1;
    sched_wait_for(&play->flags[1], 1);
    sched_expect(take(play, &more, LIDO_TIMEOUT_FOREVER),
                 "one that was cancelled did not count as awake");
    give(play, &more);
    leave(gate);
    give(play, &conn);
    lido__gate_drop(gate);
}

void part_ring_fire(struct play *play)
{
    sched_wait_for(&play->flags[0], 1);
    lido_cancel_fire(play->token, NULL);
    play->flags[1] = 1;
}
