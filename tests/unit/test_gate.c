/* SPDX-License-Identifier: MIT */
/*
 * The write gate by itself: who is next, what ends a wait, and what it tells.
 *
 * A man is a thread with a lease of its own, on the fake clock; only its cell is real.
 */
#include "tests/support/failing_malloc.h"
#include "tests/support/fake_clock.h"
#include "txn/gate.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>

#define FOREVER_NS INT64_MAX

struct man {
    struct lido__cell cell;
    struct lido__gate_wait wait;
    pthread_t thread;
    int rc;
    int turn; /* which one was in */
};

static struct lido__gate *gate;
static lido_cancel *token;
static struct man holder;
static int turns; /* guarded by the gate */

static void find_gate(void)
{
    gate = lido__gate_find(1, 2);
    cr_assert_not_null(gate);
    turns = 0;
}

static void drop_gate(void)
{
    lido__gate_drop(gate);
}

TestSuite(gate, .init = find_gate, .fini = drop_gate, .timeout = 30);

static int stop(const struct lido__gate_wait *self)
{
    (void)self;
    return lido_cancel_is_fired(token) ? LIDO_CANCELLED : LIDO_OK;
}

static int stop_at_once(const struct lido__gate_wait *self)
{
    (void)self;
    return LIDO_CANCELLED;
}

/* A lease of the calling thread, that would wait for ever, in order of arrival. */
static void prepare(struct man *man, const char *label)
{
    memset(man, 0, sizeof *man);
    lido__write(&man->cell.word, lido__slot_word(1, LIDO__LENT));
    lido__write(&man->cell.told, 1);
    lido__write(&man->cell.owner, lido__thread());
    memcpy(man->cell.label, label, strlen(label)); /* words, of zeros so far */
    man->wait.who.cell = &man->cell;
    man->wait.who.clock = fake_clock();
    man->wait.who.generation = 1;
    man->wait.who.is_certain = true;
    man->wait.priority = LIDO__GATE_NORMAL;
    man->wait.deadline_ns = LIDO_NO_DEADLINE;
}

static int64_t count_waiting(void)
{
    struct lido__gate_view view;

    lido__gate_look(gate, &view);
    return view.waiting[0] + view.waiting[1] + view.waiting[2];
}

static struct lido__gate_counts counts(void)
{
    struct lido__gate_view view;

    lido__gate_look(gate, &view);
    return view.counts;
}

static void hold(void)
{
    prepare(&holder, "holder");
    cr_assert_eq(lido__gate_enter(gate, &holder.wait), LIDO_OK);
}

static void *go_through(void *man_)
{
    struct man *man = man_;

    lido__write(&man->cell.owner, lido__thread());
    man->rc = lido__gate_enter(gate, &man->wait);
    if (man->rc != LIDO_OK)
        return NULL;
    man->turn = ++turns;
    lido__gate_leave(gate);
    return NULL;
}

/* Returns when it stands in line. */
static void send(struct man *man)
{
    const int64_t before = count_waiting();

    cr_assert_eq(pthread_create(&man->thread, NULL, go_through, man), 0);
    while (count_waiting() == before)
        sched_yield();
}

static int await(struct man *man)
{
    pthread_join(man->thread, NULL);
    return man->rc;
}

Test(gate, a_free_gate_is_entered_and_left)
{
    hold();
    cr_expect_not(lido__gate_try(gate, holder.wait.who, LIDO__GATE_HIGH));
    lido__gate_leave(gate);
    cr_expect(lido__gate_try(gate, holder.wait.who, LIDO__GATE_LOW));
    lido__gate_leave(gate);
    cr_expect_eq(counts().entered, 2);
    cr_expect_eq(counts().waited, 0);
}

Test(gate, a_file_has_one_and_another_file_another)
{
    struct lido__gate *same = lido__gate_find(1, 2), *other_inode = lido__gate_find(1, 3),
                      *other_device = lido__gate_find(2, 2);

    cr_expect_eq(same, gate);
    cr_expect_neq(other_inode, gate);
    cr_expect_neq(other_device, gate);
    cr_expect_neq(other_device, other_inode);
    lido__gate_drop(same);
    lido__gate_drop(other_inode);
    lido__gate_drop(other_device);
    lido__gate_drop(NULL);
    same = lido__gate_find(1, 2);
    cr_expect_eq(same, gate, "dropped once, not twice");
    lido__gate_drop(same);
}

Test(gate_memory, without_memory_there_is_none)
{
    failing_malloc_install();
    failing_malloc_arm(1);
    cr_expect_null(lido__gate_find(7, 7));
    cr_expect(failing_malloc_fired());
    failing_malloc_arm(0);
}

Test(gate, with_no_time_to_age_it_is_a_queue)
{
    struct man men[3];

    hold();
    for (int i = 0; i < 3; i++) {
        prepare(&men[i], "");
        men[i].wait.priority =
            (enum lido__gate_priority)i; /* the highest comes last, and is last */
        send(&men[i]);
    }
    lido__gate_leave(gate);
    for (int i = 0; i < 3; i++) {
        cr_expect_eq(await(&men[i]), LIDO_OK);
        cr_expect_eq(men[i].turn, i + 1, "%d came as number %d", i, men[i].turn);
    }
    cr_expect_eq(counts().handed_over, 3);
    cr_expect_eq(counts().waited, 3);
}

Test(gate, who_is_due_has_it_before_its_thread_knows)
{
    struct man man, newcomer;

    hold();
    prepare(&man, "");
    send(&man);
    prepare(&newcomer, "");
    /* Here the thread of `man` cannot have run: it is the leaver who hands the gate over. */
    lido__gate_leave(gate);
    cr_expect_eq(counts().handed_over, 1);
    cr_expect_eq(await(&man), LIDO_OK);
    cr_expect(lido__gate_try(gate, newcomer.wait.who, LIDO__GATE_NORMAL));
    lido__gate_leave(gate);
}

Test(gate, who_is_not_due_is_woken_and_takes_it)
{
    struct man man;

    hold();
    prepare(&man, "");
    man.wait.aging_ns = FOREVER_NS;
    send(&man);
    lido__gate_leave(gate);
    cr_expect_eq(await(&man), LIDO_OK);
    cr_expect_eq(counts().handed_over, 0);
    cr_expect_eq(counts().waited, 1);
    cr_expect_eq(counts().entered, 2);
}

Test(gate, a_higher_priority_goes_first)
{
    struct man low, normal, high;

    hold();
    prepare(&low, "");
    prepare(&normal, "");
    prepare(&high, "");
    low.wait.priority = LIDO__GATE_LOW;
    high.wait.priority = LIDO__GATE_HIGH;
    low.wait.aging_ns = normal.wait.aging_ns = high.wait.aging_ns = FOREVER_NS;
    send(&low);
    send(&normal);
    send(&high);
    lido__gate_leave(gate);
    await(&low);
    await(&normal);
    await(&high);
    cr_expect_eq(high.turn, 1);
    cr_expect_eq(normal.turn, 2);
    cr_expect_eq(low.turn, 3);
}

Test(gate, who_has_waited_long_enough_goes_before_any_priority)
{
    struct man low, high;

    hold();
    prepare(&low, "");
    prepare(&high, "");
    low.wait.priority = LIDO__GATE_LOW;
    high.wait.priority = LIDO__GATE_HIGH;
    low.wait.aging_ns = high.wait.aging_ns = 10 * LIDO_NS_PER_MS;
    send(&low);
    fake_clock_advance_ms(5);
    send(&high);
    fake_clock_advance_ms(5);
    lido__gate_leave(gate);
    await(&low);
    await(&high);
    cr_expect_eq(low.turn, 1);
    cr_expect_eq(high.turn, 2);
    cr_expect_eq(counts().handed_over, 1);
    cr_expect_eq(counts().max_wait_ns, 10 * LIDO_NS_PER_MS);
    cr_expect_eq(counts().wait_ns, 15 * LIDO_NS_PER_MS);
}

Test(gate, a_wait_ends_at_its_deadline)
{
    struct man man;

    hold();
    prepare(&man, "");
    man.wait.deadline_ns = lido__deadline_ns(fake_clock(), 10);
    send(&man);
    fake_clock_advance_ms(10);
    cr_expect_eq(await(&man), SQLITE_BUSY);
    cr_expect_eq(count_waiting(), 0);
    cr_expect_eq(counts().timeouts, 1);
    cr_expect_eq(counts().stopped, 0);
    cr_expect_eq(counts().entered, 1);
    lido__gate_leave(gate);
    cr_expect_eq(counts().handed_over, 0, "nobody is there any more");
}

Test(gate, who_gives_up_in_the_middle_leaves_the_others_in_order)
{
    struct man men[3];

    hold();
    for (int i = 0; i < 3; i++) {
        prepare(&men[i], "");
        if (i == 1)
            men[i].wait.deadline_ns = lido__deadline_ns(fake_clock(), 10);
        send(&men[i]);
    }
    fake_clock_advance_ms(10);
    cr_expect_eq(await(&men[1]), SQLITE_BUSY);
    lido__gate_leave(gate);
    cr_expect_eq(await(&men[0]), LIDO_OK);
    cr_expect_eq(await(&men[2]), LIDO_OK);
    cr_expect_eq(men[0].turn, 1);
    cr_expect_eq(men[2].turn, 2);
}

Test(gate, a_fired_token_ends_a_wait)
{
    struct man man;

    cr_assert_eq(lido_cancel_new(&token, NULL), LIDO_OK);
    hold();
    prepare(&man, "");
    man.wait.wakers[1] = &token->sleepers;
    man.wait.stop = stop;
    send(&man);
    cr_expect_eq(lido_cancel_fire(token, NULL), LIDO_OK);
    cr_expect_eq(await(&man), LIDO_CANCELLED);
    cr_expect_eq(counts().stopped, 1);
    cr_expect_eq(counts().timeouts, 0);
    cr_expect_eq(count_waiting(), 0);

    /* And one that was fired before. */
    cr_assert_eq(pthread_create(&man.thread, NULL, go_through, &man), 0);
    cr_expect_eq(await(&man), LIDO_CANCELLED);
    lido__gate_leave(gate);
    lido_cancel_free(token);
}

Test(gate, a_thread_that_is_in_does_not_wait_for_itself)
{
    struct man other;

    hold();
    prepare(&other, "");
    cr_expect_eq(lido__gate_enter(gate, &other.wait), LIDO_DEADLOCK);
    cr_expect_eq(counts().deadlocks, 1);
    cr_expect_eq(counts().waited, 0);
    cr_expect_eq(count_waiting(), 0);

    /* Another thread may take the lease over: then it is that one's. */
    lido__write(&holder.cell.owner, lido__thread() + 1);
    other.wait.stop = stop_at_once;
    cr_expect_eq(lido__gate_enter(gate, &other.wait), LIDO_CANCELLED);

    /* And the lease may have ended before the transaction: its cell is the next one's. */
    lido__write(&holder.cell.owner, lido__thread());
    lido__write(&holder.cell.word, lido__slot_word(2, LIDO__LENT));
    cr_expect_eq(lido__gate_enter(gate, &other.wait), LIDO_CANCELLED);
    lido__gate_leave(gate);
}

Test(gate, who_has_no_time_is_not_told_of_itself_either)
{
    struct man other;

    hold();
    prepare(&other, "");
    other.wait.deadline_ns = lido__wait_ns(fake_clock());
    cr_expect_eq(lido__gate_enter(gate, &other.wait), SQLITE_BUSY);
    cr_expect_eq(counts().timeouts, 1);
    cr_expect_eq(counts().waited, 0);
    lido__gate_leave(gate);
}

Test(gate, who_may_work_with_any_lease_is_not_told_of_itself)
{
    struct man other;

    prepare(&holder, "");
    holder.wait.who.is_certain = false;
    cr_assert_eq(lido__gate_enter(gate, &holder.wait), LIDO_OK);
    prepare(&other, "");
    other.wait.stop = stop_at_once;
    cr_expect_eq(lido__gate_enter(gate, &other.wait), LIDO_CANCELLED);
    lido__gate_leave(gate);
}

Test(gate, it_tells_who_is_in_and_who_waits)
{
    struct lido__gate_view view;
    struct man low, high;

    hold();
    prepare(&low, "low");
    prepare(&high, "high");
    low.wait.priority = LIDO__GATE_LOW;
    high.wait.priority = LIDO__GATE_HIGH;
    send(&low);
    fake_clock_advance_ms(3);
    send(&high);
    fake_clock_advance_ms(4);
    lido__gate_look(gate, &view);
    cr_expect(view.is_held);
    cr_expect_eq(view.held_ns, 7 * LIDO_NS_PER_MS);
    cr_expect_str_eq(view.holder.label, "holder");
    cr_expect_eq(view.holder.thread, lido__thread_id(lido__thread()));
    cr_expect_eq(view.waiting[LIDO__GATE_LOW], 1);
    cr_expect_eq(view.waiting[LIDO__GATE_NORMAL], 0);
    cr_expect_eq(view.waiting[LIDO__GATE_HIGH], 1);
    cr_assert_eq(view.shown, 2);
    cr_expect_str_eq(view.waiters[0].lease.label, "low");
    cr_expect_eq(view.waiters[0].waited_ns, 7 * LIDO_NS_PER_MS);
    cr_expect_eq(view.waiters[0].priority, LIDO__GATE_LOW);
    cr_expect_str_eq(view.waiters[1].lease.label, "high");
    cr_expect_eq(view.waiters[1].waited_ns, 4 * LIDO_NS_PER_MS);
    lido__gate_leave(gate);
    await(&low);
    await(&high);
    lido__gate_look(gate, &view);
    cr_expect_not(view.is_held);
    cr_expect_eq(view.shown, 0);
}

Test(gate, whoever_came_first_is_shown_first)
{
    static const enum lido__gate_priority priorities[] = { LIDO__GATE_HIGH, LIDO__GATE_LOW,
                                                           LIDO__GATE_NORMAL,
                                                           LIDO__GATE_LOW };
    struct lido__gate_view view;
    struct man men[4];

    hold();
    for (int i = 0; i < 4; i++) {
        prepare(&men[i], "");
        men[i].wait.priority = priorities[i];
        send(&men[i]);
    }
    lido__gate_look(gate, &view);
    cr_assert_eq(view.shown, 4);
    for (int i = 0; i < 4; i++)
        cr_expect_eq(view.waiters[i].priority, priorities[i], "%d", i);
    lido__gate_leave(gate);
    for (int i = 0; i < 4; i++)
        await(&men[i]);
}

Test(gate, a_view_has_room_for_so_many)
{
    struct man men[LIDO__GATE_SHOWN + 2];
    const int count = LIDO__GATE_SHOWN + 2;
    struct lido__gate_view view;

    hold();
    for (int i = 0; i < count; i++) {
        prepare(&men[i], "");
        send(&men[i]);
    }
    lido__gate_look(gate, &view);
    cr_expect_eq(view.shown, LIDO__GATE_SHOWN);
    cr_expect_eq(view.waiting[LIDO__GATE_NORMAL], count);
    lido__gate_leave(gate);
    for (int i = 0; i < count; i++)
        await(&men[i]);
}

Test(gate, the_holder_is_described_in_one_line)
{
    char text[200];

    lido__gate_describe(gate, text, sizeof text);
    cr_expect_str_eq(text, "");
    hold();
    fake_clock_advance_ms(12);
    lido__gate_describe(gate, text, sizeof text);
    cr_expect_not_null(strstr(text, "; held by thread "), "%s", text);
    cr_expect_not_null(strstr(text, " holder for 12 ms"), "%s", text);
    lido__gate_leave(gate);
}

/* --- who is not in line ------------------------------------------------------------------ */

static lido__word watchers; /* counts those who are about to listen */

static void *watch(void *has_waited)
{
    lido__add(&watchers, 1);
    *(bool *)has_waited = lido__gate_await_leave(gate, fake_clock(), LIDO_NO_DEADLINE);
    return NULL;
}

/* One that listens too late is told so, and another is sent. */
Test(gate, who_leaves_wakes_those_who_wait_for_the_lock_alone)
{
    bool has_waited = false;
    pthread_t watcher;

    for (uint64_t i = 1; !has_waited; i++) {
        hold();
        cr_assert_eq(pthread_create(&watcher, NULL, watch, &has_waited), 0);
        while (lido__load(&watchers) < i)
            sched_yield();
        for (int j = 0; j < 100; j++)
            sched_yield();
        lido__gate_leave(gate);
        pthread_join(watcher, NULL);
    }
    cr_expect_not(lido__gate_await_leave(gate, fake_clock(), LIDO_NO_DEADLINE));
}
