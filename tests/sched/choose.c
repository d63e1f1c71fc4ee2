/* SPDX-License-Identifier: MIT */
/*
 * Who runs next: by chance, or all possibilities one after the other.
 *
 * A seed decides how a run is played, and then everything in it:
 *
 *     walk          at each step another thread with a chance of 1/2 to 1/32
 *     priorities    the most important thread that can run does; at one to four steps, chosen
 *                   beforehand, the one that runs becomes the least important.  This is what
 *                   finds a bug that needs few changes at the right places ("A Randomized
 *                   Scheduler with Probabilistic Guarantees of Finding Bugs", ASPLOS 2010)
 *
 *     time          passes only when nobody can run, or also at any step
 *     memory        as written; stores seen late, in order; or out of order by place
 *     sleep         ends when it should, or sometimes for no reason
 *
 * All schedules: depth first over a list of choices.  The run is repeated with the same
 * choices up to the last that has another possibility.  Taking a thread that could go on off
 * the processor costs one of a few preemptions, as does letting time pass or a store be late
 * that need not be.
 *
 * Threads: as in tests/sched/sched.h.
 */
#include "tests/sched/inside.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST_CHANGES 4
#define MOST_CHOICES 8192

static struct {
    enum sched_how how;
    uint64_t random;
    bool has_priorities;
    unsigned stay; /* walk: a change once in so many steps */
    unsigned changes[MOST_CHANGES];
    int n_changes;
    int lowest;
    unsigned advance; /* once in so many steps; 0: never */
    unsigned spurious;
    unsigned flush;
    enum memory_mode memory;
} plan;

static struct {
    struct {
        int taken;
        int count;
    } choices[MOST_CHOICES];
    int depth;  /* of this run */
    int length; /* of the list */
    int preemptions;
    int left;
    bool delays;
} tree;

static uint64_t next_random(void)
{
    uint64_t mixed = plan.random += UINT64_C(0x9e3779b97f4a7c15);

    mixed = (mixed ^ mixed >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    mixed = (mixed ^ mixed >> 27) * UINT64_C(0x94d049bb133111eb);
    return mixed ^ mixed >> 31;
}

unsigned choose_below(unsigned bound)
{
    if (plan.how != SCHED_BY_SEED || bound < 2)
        return 0;
    return (unsigned)((next_random() >> 16) % bound);
}

static bool once_in(unsigned times)
{
    return times != 0 && plan.how == SCHED_BY_SEED && choose_below(times) == 0;
}

bool sched_chance(unsigned one_in)
{
    return once_in(one_in);
}

bool choose_spurious(void)
{
    return once_in(plan.spurious);
}

bool choose_flush(void)
{
    return once_in(plan.flush);
}

enum memory_mode choose_memory(void)
{
    return plan.memory;
}

static void plan_priorities(int n_fibers, unsigned expected)
{
    for (int i = 0; i < n_fibers; i++)
        run.fibers[i].priority = i + 1;
    for (int i = n_fibers - 1; i > 0; i--) {
        int other = (int)choose_below((unsigned)i + 1);
        int kept = run.fibers[i].priority;

        run.fibers[i].priority = run.fibers[other].priority;
        run.fibers[other].priority = kept;
    }
    plan.lowest = 0;
    plan.n_changes = 1 + (int)choose_below(MOST_CHANGES);
    for (int i = 0; i < plan.n_changes; i++)
        plan.changes[i] = 1 + choose_below(expected != 0 ? expected : 1);
}

static void plan_by_seed(uint64_t seed, int n_fibers, unsigned expected)
{
    static const unsigned stays[] = { 2, 3, 6, 12, 32 };

    plan.random = seed * UINT64_C(0xd1342543de82ef95);
    plan.has_priorities = choose_below(2) == 0;
    plan.stay = stays[choose_below(5)];
    plan.advance = choose_below(2) == 0 ? 0 : 8u << choose_below(5);
    plan.spurious = choose_below(4) == 0 ? 16 : 0;
    plan.memory = choose_below(2) == 0   ? AS_WRITTEN
                  : choose_below(2) == 0 ? IN_ORDER
                                         : BY_PLACE;
    plan.flush = 1u << (1 + choose_below(6));
    plan_priorities(n_fibers, expected);
}

void choose_begin(enum sched_how how, uint64_t seed, int n_fibers, unsigned expected)
{
    memset(&plan, 0, sizeof plan);
    plan.how = how;
    plan.memory = AS_WRITTEN;
    if (how == SCHED_BY_SEED)
        plan_by_seed(seed, n_fibers, expected);
    if (how != SCHED_ALL)
        return;
    plan.memory = IN_ORDER;
    tree.depth = 0;
    tree.left = tree.preemptions;
}

const char *choose_describe(void)
{
    static char text[160];
    static const char *const memories[] = { "as written", "stores late, in order",
                                            "stores late, by place" };

    if (plan.how != SCHED_BY_SEED)
        return plan.how == SCHED_ALL ? "one of all schedules" : "one after the other";
    snprintf(text, sizeof text, "%s 1/%u, %d changes, time 1/%u, memory %s 1/%u%s",
             plan.has_priorities ? "priorities" : "walk", plan.stay, plan.n_changes,
             plan.advance, memories[plan.memory], plan.flush,
             plan.spurious != 0 ? ", sleep ends for no reason" : "");
    return text;
}

/* One of `count` possibilities, the first of them free. */
static int choose_in_tree(int count)
{
    if (count == 1)
        return 0;
    if (tree.depth == MOST_CHOICES)
        sched_fail("the scheduler: more than %d choices in one run", MOST_CHOICES);
    if (tree.depth == tree.length) {
        tree.choices[tree.length].taken = 0;
        tree.choices[tree.length++].count = count;
    }
    if (tree.choices[tree.depth].count != count)
        sched_fail("the scheduler: the same choices led to another place");
    return tree.choices[tree.depth++].taken;
}

int choose_first(int count)
{
    return plan.how == SCHED_ALL ? choose_in_tree(count)
                                 : (int)choose_below((unsigned)count);
}

void sched_all_begin(int preemptions)
{
    memset(&tree, 0, sizeof tree);
    tree.preemptions = preemptions;
}

bool sched_all_next(void)
{
    while (tree.length > 0 &&
           tree.choices[tree.length - 1].taken + 1 == tree.choices[tree.length - 1].count)
        tree.length--;
    if (tree.length == 0)
        return false;
    tree.choices[tree.length - 1].taken++;
    return true;
}

/* In the tree the thread that runs comes first, for nothing; then the others, then time. */
static int choose_from_tree(const int *ready, int n_ready, bool is_current_ready,
                            bool may_advance)
{
    int count = n_ready + may_advance, taken;

    if (is_current_ready && tree.left == 0)
        count = 1;
    else if (!is_current_ready && tree.left == 0)
        count = n_ready;
    taken = choose_in_tree(count);
    if (taken > 0 && (is_current_ready || taken == n_ready))
        tree.left--;
    if (taken == n_ready)
        return ADVANCE;
    if (!is_current_ready)
        return ready[taken];
    if (taken == 0)
        return run.current;
    return ready[ready[taken - 1] < run.current ? taken - 1 : taken];
}

bool choose_delay(bool has_pending)
{
    if (plan.memory == AS_WRITTEN)
        return false;
    if (has_pending || plan.how == SCHED_BY_SEED)
        return true;
    if (tree.left == 0 || choose_in_tree(2) == 0)
        return false;
    tree.left--;
    return true;
}

static int most_important(const int *ready, int n_ready)
{
    int best = ready[0];

    for (int i = 1; i < n_ready; i++)
        if (run.fibers[ready[i]].priority > run.fibers[best].priority)
            best = ready[i];
    return best;
}

int choose_thread(const int *ready, int n_ready, bool is_current_ready, bool may_advance)
{
    if (plan.how == SCHED_ALL)
        return choose_from_tree(ready, n_ready, is_current_ready, may_advance);
    if (may_advance && once_in(plan.advance))
        return ADVANCE;
    if (plan.how == SCHED_BY_SEED && plan.has_priorities) {
        for (int i = 0; i < plan.n_changes; i++)
            if (plan.changes[i] == run.steps && is_current_ready)
                self()->priority = --plan.lowest;
        return most_important(ready, n_ready);
    }
    if (is_current_ready && !once_in(plan.stay))
        return run.current;
    return ready[choose_below((unsigned)n_ready)];
}
