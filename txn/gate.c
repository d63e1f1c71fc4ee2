/* SPDX-License-Identifier: MIT */
/*
 * Who is let into the gate of a database file, and when.
 *
 *     enter --> [high: oldest ...]  \
 *           --> [normal: oldest ...] +--> the next one --> in --> leave
 *           --> [low: oldest ...]   /
 *
 * Each priority is a queue in order of arrival.  Next is the head of the highest, but a head
 * that has waited for its aging time is *due*, and of those the one that came first is next.
 * The same time bounds what a thread that runs may do: it takes a free gate although others
 * wait, if no head is due or of a higher priority.  So one number says for how long anybody
 * can be overtaken, by whomever: after it there are only those who came before.  Nobody
 * starves, and with 0 it is a queue in order of arrival, in which priorities mean nothing.
 *
 * Letting those overtake that run already saves the switch of threads: a head that is not due
 * is woken and may find the gate taken.  It keeps its place, and *naps*: for a moment it counts
 * as awake, so that those who come and go meanwhile do not wake it again, which costs as much
 * as a short transaction does.  One that is due is handed the gate: nobody can come in between.
 * (One that becomes due while the gate is free may see one other of the line go first, who was
 * awake before: once, for that one's leave hands it over.  tests/model/gate.pml holds it to
 * that.)
 *
 * `lock` guards everything in a gate but its key, and who waits in it.  No other lock is taken
 * under it but those of clocks; who is woken is unparked when it is no longer held.  Which
 * gates there are is txn/gates.c's.
 *
 * Why no wake-up is lost.  What holds at each unlock: if the gate is free and somebody is
 * queued, then one of the queued is awake (is_woken), and will look under the lock before it
 * sleeps; a nap ends by the system's clock.  A queue grows only by one who has looked: who
 * finds the gate free and may not take it stands behind one that is due or goes before it, so
 * somebody was queued before.  Who is awake takes the free gate; or it finds it taken, and
 * whoever leaves then settles; or it gives up, and settles itself (settle_locked).  The gate
 * becomes free only in a leave, which settles.  What stops a waiter (a token) is written before
 * its wake comes here: the waiter is listed there first and looks after that, under the lock
 * that the wake needs.
 *
 * A waiter is on the stack of its thread.  It is woken once at a time: is_woken becomes true
 * with every unpark, and false when the waiter has taken note of it, so one that comes away by
 * its deadline knows whether an unpark is under way, and awaits that (await_unpark).  One that
 * naps is unparked if it is handed the gate, which ends is_napping, and then alone.  Handed
 * over is by value, so the gate has no pointer to one who is in.  One who is handed the gate in
 * the moment in which its time is over, or it is cancelled, has it all the same.
 *
 * Where the gate is one between processes too, whoever is in takes the lock of its file
 * (txn/gate_file.c) before it goes on, and gives it back before it leaves: nobody else has to
 * do with the file.  Who does not get it has never been in.
 *
 * Before each sleep a waiter asks pool/ring.c whether who is in waits for it.  There it counts
 * as asleep while is_woken is false, so one that was woken to look has to ask again.
 *
 * Threads: any.  No hook, driver or allocation is called under a lock.
 */
#include "base/lives.h"
#include "pool/holders.h"

#include "txn/gate_state.h"
#include <string.h>

#define NAP_NS 50000 /* five short transactions; Linux adds as much */

int lido__gate_join(struct lido__gate *gate, const char *database, int64_t turn_ns,
                    struct lido_error *err)
{
    return lido__gate_file_open(&gate->file, gate->inode, database, turn_ns, err);
}

static void append_locked(struct lido__gate *gate, struct lido__gate_wait *wait)
    LIDO_TSA(requires_capability(gate->lock))
{
    struct lido__gate_queue *queue = &gate->queues[wait->priority];

    wait->next = NULL;
    wait->previous = queue->newest;
    if (queue->newest != NULL)
        queue->newest->next = wait;
    else
        queue->oldest = wait;
    queue->newest = wait;
    queue->length++;
    wait->arrival = ++gate->arrivals;
    wait->is_queued = true;
}

static void remove_locked(struct lido__gate *gate, struct lido__gate_wait *wait)
    LIDO_TSA(requires_capability(gate->lock))
{
    struct lido__gate_queue *queue = &gate->queues[wait->priority];

    if (wait->previous != NULL)
        wait->previous->next = wait->next;
    else
        queue->oldest = wait->next;
    if (wait->next != NULL)
        wait->next->previous = wait->previous;
    else
        queue->newest = wait->previous;
    queue->length--;
    wait->is_queued = false;
}

static bool is_due(const struct lido__gate_wait *wait)
{
    return lido__gate_waited_ns(wait) >= wait->aging_ns;
}

static void take_locked(struct lido__gate *gate, const struct lido__gate_who *who)
    LIDO_TSA(requires_capability(gate->lock))
{
    assert(!gate->is_held && (who->cell != NULL || who->thread != 0));
    gate->is_held = true;
    gate->holder = *who;
    lido__write(&gate->sql[0], 0);
    gate->since_ns = lido__age_ns(who->clock);
    gate->counts.entered++;
}

/* For one that is not queued: is it free, and nobody waits who goes before? */
static bool may_take_locked(const struct lido__gate *gate,
                            enum lido__gate_priority priority)
    LIDO_TSA(requires_capability(gate->lock))
{
    if (gate->is_held)
        return false;
    for (int i = 0; i < LIDO__GATE_PRIORITIES; i++) {
        const struct lido__gate_wait *head = gate->queues[i].oldest;

        if (head != NULL && (i > (int)priority || is_due(head)))
            return false;
    }
    return true;
}

/* Of those who are due who came first, or else the head of the highest; NULL: nobody waits. */
static struct lido__gate_wait *next_locked(const struct lido__gate *gate, bool *hand_over)
    LIDO_TSA(requires_capability(gate->lock))
{
    struct lido__gate_wait *next = NULL, *first_due = NULL;

    for (int i = LIDO__GATE_PRIORITIES - 1; i >= 0; i--) {
        struct lido__gate_wait *head = gate->queues[i].oldest;

        if (head == NULL)
            continue;
        if (next == NULL)
            next = head;
        if (is_due(head) && (first_due == NULL || head->arrival < first_due->arrival))
            first_due = head;
    }
    *hand_over = first_due != NULL;
    return first_due != NULL ? first_due : next;
}

/* A free gate goes to whoever is due, or who is next is woken to take it.  Whom the caller has
   to unpark when it has unlocked, or NULL. */
static struct lido__gate_wait *settle_locked(struct lido__gate *gate)
    LIDO_TSA(requires_capability(gate->lock))
{
    struct lido__gate_wait *next;
    bool hand_over;

    if (gate->is_held)
        return NULL;
    next = next_locked(gate, &hand_over);
    if (next == NULL)
        return NULL;
    if (hand_over) {
        remove_locked(gate, next);
        take_locked(gate, &next->who);
        next->is_given = true;
        gate->counts.handed_over++;
    }
    if (next->is_woken && !(hand_over && next->is_napping))
        return NULL;
    next->is_woken = true;
    next->is_napping = false;
    return next;
}

static void wake(struct lido__gate_wait *woken)
{
    if (woken != NULL)
        lido__unpark(&woken->parker);
}

/* Into that of this process. */
static bool try_here(struct lido__gate *gate, struct lido__gate_who who,
                     enum lido__gate_priority priority)
{
    bool is_in;

    lido__mutex_lock(&gate->lock);
    is_in = may_take_locked(gate, priority);
    if (is_in)
        take_locked(gate, &who);
    lido__mutex_unlock(&gate->lock);
    return is_in;
}

static void leave_here(struct lido__gate *gate)
{
    struct lido__gate_wait *woken;

    lido__mutex_lock(&gate->lock);
    assert(gate->is_held);
    gate->is_held = false;
    woken = settle_locked(gate);
    lido__bell_ring_locked(&gate->left);
    lido__mutex_unlock(&gate->lock);
    wake(woken);
}

bool lido__gate_await_leave(struct lido__gate *gate, const struct lido_clock *clock,
                            int64_t deadline_ns)
{
    bool is_held;

    lido__mutex_lock(&gate->lock);
    is_held = gate->is_held;
    if (is_held)
        lido__bell_wait_locked(&gate->left, &gate->lock, clock, deadline_ns);
    lido__mutex_unlock(&gate->lock);
    return is_held;
}

void lido__gate_leave(struct lido__gate *gate)
{
    lido__gate_file_unlock(lido__gate_file_of(gate));
    leave_here(gate);
}

bool lido__gate_abandon(struct lido__gate *gate, const lido_pool *pool)
{
    struct lido__gate_who *holder = &gate->holder;
    bool is_over;

    lido__mutex_lock(&gate->lock);
    is_over = gate->is_held && holder->thread != 0 && lido__life_is_over(holder->thread) &&
              (holder->cell == NULL || lido__cell_record(holder->cell)->pool == pool);
    if (is_over) {
        holder->thread = lido__thread(); /* which is in its place, and the only one */
        holder->cell = NULL;
        holder->label = NULL;
    }
    lido__mutex_unlock(&gate->lock);
    if (is_over)
        lido__gate_leave(gate);
    return is_over;
}

/* Another process has the file's: this one has never been in.  `rc`: why it waits no more. */
static void back_out(struct lido__gate *gate, int rc)
{
    lido__mutex_lock(&gate->lock);
    gate->counts.entered--;
    gate->counts.timeouts += rc == SQLITE_BUSY;
    gate->counts.stopped += rc != LIDO_OK && rc != SQLITE_BUSY;
    lido__mutex_unlock(&gate->lock);
    leave_here(gate);
}

bool lido__gate_try(struct lido__gate *gate, struct lido__gate_who who,
                    enum lido__gate_priority priority)
{
    if (!try_here(gate, who, priority))
        return false;
    if (lido__gate_file_try(lido__gate_file_of(gate), who.clock))
        return true;
    back_out(gate, LIDO_OK);
    return false;
}

void lido__gate_rename(struct lido__gate *gate, struct lido__gate_who who)
{
    lido__mutex_lock(&gate->lock);
    assert(gate->is_held);
    gate->holder = who;
    lido__mutex_unlock(&gate->lock);
}

void lido__gate_note(struct lido__gate *gate, const char *sql)
{
    uint64_t words[LIDO__GATE_SQL_WORDS] = { 0 };
    const uint64_t noted = lido__read(&gate->noted) | 1; /* even again afterwards */

    memcpy(words, sql, strnlen(sql, sizeof words - 1));
    lido__publish(&gate->noted, noted);
    for (int i = 0; i < LIDO__GATE_SQL_WORDS; i++)
        lido__publish(&gate->sql[i], words[i]);
    lido__publish(&gate->noted, noted + 1);
}

void lido__gate_pass_by(struct lido__gate *gate)
{
    lido__mutex_lock(&gate->lock);
    gate->counts.ungated++;
    lido__mutex_unlock(&gate->lock);
}

void lido__gate_upgrade(struct lido__gate *gate)
{
    lido__mutex_lock(&gate->lock);
    gate->counts.upgrades++;
    lido__mutex_unlock(&gate->lock);
}

/* A token was fired, or the like: the waiter looks why. */
static void wake_to_look(struct lido__sleeper *sleeper)
{
    struct lido__gate_ear *ear = (struct lido__gate_ear *)sleeper;
    struct lido__gate_wait *wait = ear->wait, *woken = NULL;

    lido__mutex_lock(&ear->gate->lock);
    if (wait->is_queued && !wait->is_woken) {
        wait->is_woken = true;
        woken = wait;
    }
    lido__mutex_unlock(&ear->gate->lock);
    wake(woken);
}

static void listen(struct lido__gate *gate, struct lido__gate_wait *self)
{
    for (int i = 0; i < 2; i++) {
        self->ears[i] = (struct lido__gate_ear){ { .wake = wake_to_look }, gate, self };
        lido__sleepers_add(self->wakers[i], &self->ears[i].common);
    }
}

static void unlisten(struct lido__gate_wait *self)
{
    for (int i = 0; i < 2; i++)
        lido__sleepers_remove(self->wakers[i], &self->ears[i].common);
}

/* The holder is this thread, which waits here and cannot end what it waits for. */
static bool is_own_locked(const struct lido__gate *gate)
    LIDO_TSA(requires_capability(gate->lock))
{
    const struct lido__gate_who *holder = &gate->holder;

    if (!gate->is_held)
        return false;
    if (holder->thread != 0)
        return holder->thread == lido__thread();
    return holder->is_certain && lido__lease_is_good(holder->cell, holder->generation) &&
           lido__observe(&holder->cell->owner) == lido__thread();
}

/* False if the thread that is in is not known, or does not sleep. */
static bool add_holder_locked(const struct lido__gate *gate, struct lido__ring *ring)
    LIDO_TSA(requires_capability(gate->lock))
{
    const struct lido__gate_who *holder = &gate->holder;

    if (!gate->is_held)
        return false;
    if (holder->thread != 0)
        return lido__ring_add(ring, holder->thread,
                              holder->label != NULL ? holder->label : "");
    return holder->is_certain && lido__lease_is_good(holder->cell, holder->generation) &&
           lido__holder_add(ring, holder->cell);
}

/* For pool/ring.c: it ends when the holder leaves, unless it was woken to look. */
static bool ask(const struct lido__blocked *blocked, struct lido__ring *ring)
{
    const struct lido__gate_wait *wait = (const struct lido__gate_wait *)blocked;
    struct lido__gate *gate = wait->gate;
    bool is_for_holder;

    lido__mutex_lock(&gate->lock);
    is_for_holder = wait->is_queued && !wait->is_woken && add_holder_locked(gate, ring) &&
                    lido__wait_ns(wait->who.clock) < wait->deadline_ns;
    lido__mutex_unlock(&gate->lock);
    return is_for_holder;
}

/* Woken in the last moment: it is on its way. */
static void await_unpark(struct lido__gate *gate, struct lido__gate_wait *self)
    LIDO_TSA(requires_capability(gate->lock))
{
    lido__mutex_unlock(&gate->lock);
    lido__park(&self->parker, NULL, LIDO_NO_DEADLINE);
    lido__mutex_lock(&gate->lock);
}

/* Unlocks, sleeps until it is woken, locks again.  False past the deadline, or in a ring, and
   not woken. */
static bool come_back(struct lido__gate *gate, struct lido__gate_wait *self)
    LIDO_TSA(requires_capability(gate->lock))
{
    bool is_in_time = false;

    self->is_woken = false;
    lido__mutex_unlock(&gate->lock);
    if (!lido__ring_enter(&self->blocked)) {
        is_in_time = lido__park(&self->parker, self->who.clock, self->deadline_ns);
        lido__ring_leave(&self->blocked);
    }
    lido__mutex_lock(&gate->lock);
    if (is_in_time || !self->is_woken)
        return is_in_time;
    await_unpark(gate, self);
    return true;
}

/* Unlocks, sleeps a moment on the system's clock, locks again.  It counts as awake meanwhile,
   and is unparked only if the gate is handed over to it. */
static void nap(struct lido__gate *gate, struct lido__gate_wait *self)
    LIDO_TSA(requires_capability(gate->lock))
{
    bool is_unparked;

    self->is_napping = true;
    lido__mutex_unlock(&gate->lock);
    is_unparked =
        lido__park(&self->parker, NULL, lido__clock_read(CLOCK_MONOTONIC) + NAP_NS);
    lido__mutex_lock(&gate->lock);
    if (!self->is_napping && !is_unparked)
        await_unpark(gate, self);
    self->is_napping = false;
}

/* In the queue until it is in, or gives up: *woken is to be unparked then. */
static int wait_locked(struct lido__gate *gate, struct lido__gate_wait *self,
                       struct lido__gate_wait **woken)
    LIDO_TSA(requires_capability(gate->lock))
{
    bool is_in_time = true, may_nap = true;
    int rc = LIDO_OK;

    append_locked(gate, self);
    for (;;) {
        if (!self->is_given && self->stop != NULL)
            rc = self->stop(self);
        if (self->is_given || rc != LIDO_OK)
            break;
        if (self->is_woken && !gate->is_held) {
            remove_locked(gate, self);
            take_locked(gate, &self->who);
            break;
        }
        if (!is_in_time) {
            rc = self->blocked.is_told ? LIDO_DEADLOCK : SQLITE_BUSY;
            break;
        }
        if (self->is_woken && may_nap && !is_due(self)) {
            nap(gate, self);
            may_nap = false;
            continue;
        }
        is_in_time = come_back(gate, self);
        may_nap = true;
    }
    if (self->is_queued)
        remove_locked(gate, self);
    *woken = rc == LIDO_OK ? NULL : settle_locked(gate);
    return rc;
}

static void count_locked(struct lido__gate *gate, const struct lido__gate_wait *self,
                         int rc) LIDO_TSA(requires_capability(gate->lock))
{
    struct lido__gate_counts *counts = &gate->counts;
    uint64_t ns = (uint64_t)lido__gate_waited_ns(self);

    counts->waited++;
    counts->wait_ns += ns;
    if (ns > counts->max_wait_ns)
        counts->max_wait_ns = ns;
    counts->timeouts += rc == SQLITE_BUSY;
    counts->deadlocks += rc == LIDO_DEADLOCK;
    counts->stopped += rc != LIDO_OK && rc != SQLITE_BUSY && rc != LIDO_DEADLOCK;
}

static int enter_here(struct lido__gate *gate, struct lido__gate_wait *self)
{
    struct lido__gate_wait *woken = NULL;
    int rc = LIDO_OK;

    if (try_here(gate, self->who, self->priority))
        return LIDO_OK;
    self->blocked =
        (struct lido__blocked){ .ask = ask, .wants = "the write gate", .text = self->ring };
    self->gate = gate;
    self->is_queued = self->is_given = self->is_woken = self->is_napping = false;
    self->since_ns = lido__wait_ns(self->who.clock);
    lido__parker_init(&self->parker);
    listen(gate, self);
    lido__mutex_lock(&gate->lock);
    if (self->deadline_ns <= self->since_ns && gate->is_held) {
        gate->counts.timeouts++; /* it would not have waited */
        rc = SQLITE_BUSY;
    } else if (is_own_locked(gate)) {
        gate->counts.deadlocks++;
        rc = LIDO_DEADLOCK;
    } else if (may_take_locked(gate, self->priority)) { /* it came free meanwhile */
        take_locked(gate, &self->who);
    } else {
        rc = wait_locked(gate, self, &woken);
        count_locked(gate, self, rc);
    }
    lido__mutex_unlock(&gate->lock);
    wake(woken);
    unlisten(self);
    lido__parker_fini(&self->parker);
    return rc;
}

int lido__gate_enter(struct lido__gate *gate, struct lido__gate_wait *self)
{
    struct lido__gate_file *file;
    int rc = enter_here(gate, self);

    file = lido__gate_file_of(gate);
    if (rc != LIDO_OK || file == NULL)
        return rc;
    rc = lido__gate_file_lock(file, self);
    if (rc == LIDO_OK)
        return rc;
    back_out(gate, rc);
    return rc;
}
