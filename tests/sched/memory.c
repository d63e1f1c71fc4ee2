/* SPDX-License-Identifier: MIT */
/*
 * Atomics: with stores that the others see late, and with a record of who knows of what.
 *
 * A store that is relaxed or a release may wait in a buffer of its thread.  The thread itself
 * reads it there; the others see it when the seed says so, in the order of writing, or, for
 * relaxed ones where the seed allows it, before others to other places.  A read-modify-write,
 * a store that is sequentially consistent and an unlock empty the buffer first, as does the
 * end of a thread.  A load does not, whatever its order.
 *
 * Knowledge is a vector clock: a release leaves at the place what its thread knows, an acquire
 * takes it up, and sched_use() wants to know of every use by another thread.  Relaxed
 * operations pass nothing on, so an order that is too weak is found although the value was
 * right.
 *
 * Threads: as in tests/sched/sched.h.
 */
#include "tests/sched/inside.h"

#include <stdlib.h>
#include <string.h>

#define PLACES 4096 /* a power of two; a run has some hundred */

struct place {
    uint64_t run;
    uintptr_t at;
    struct sched_knowledge released;
    int user; /* who used it last, for sched_use() */
    uint32_t when;
};

static struct place places[PLACES];

/* base/process.h: read by every call, and never written while threads run. */
extern uint64_t *lido__fork_mark;

static struct place *find_place(const volatile void *at)
{
    uintptr_t key = (uintptr_t)at;
    size_t i = (size_t)((key >> 3) * UINT64_C(0x9e3779b97f4a7c15) >> 40);

    for (size_t tried = 0; tried < PLACES; tried++, i++) {
        struct place *place = &places[i % PLACES];

        if (place->run == run.number && place->at == key)
            return place;
        if (place->run == run.number)
            continue;
        *place = (struct place){ .run = run.number, .at = key, .user = -1 };
        return place;
    }
    abort();
}

void knowledge_join(struct sched_knowledge *to, const struct sched_knowledge *from)
{
    for (int i = 0; i < SCHED_MOST; i++)
        if (from->of[i] > to->of[i])
            to->of[i] = from->of[i];
}

static bool is_acquire(memory_order order)
{
    return order == memory_order_acquire || order == memory_order_acq_rel ||
           order == memory_order_seq_cst;
}

static bool is_release(memory_order order)
{
    return order == memory_order_release || order == memory_order_acq_rel ||
           order == memory_order_seq_cst;
}

/* The n-th store of a thread reaches the others. */
static void deliver(int number, int n)
{
    struct fiber *fiber = &run.fibers[number];
    struct pending store = fiber->stores[n];
    struct place *place = find_place(store.at);

    *store.at = store.value;
    place->released =
        store.is_release ? store.knowledge : (struct sched_knowledge){ { 0 } };
    fiber->n_stores--;
    memmove(&fiber->stores[n], &fiber->stores[n + 1],
            (size_t)(fiber->n_stores - n) * sizeof store);
}

void memory_drain(int number)
{
    while (run.fibers[number].n_stores > 0)
        deliver(number, 0);
}

/* True if the n-th store may be seen before those written earlier. */
static bool may_overtake(const struct fiber *fiber, int n)
{
    for (int i = 0; i < n; i++)
        if (fiber->stores[i].at == fiber->stores[n].at)
            return false;
    return n == 0 || !fiber->stores[n].is_release;
}

void memory_flush_some(void)
{
    if (choose_memory() == AS_WRITTEN)
        return;
    while (choose_flush()) {
        int number = (int)choose_below((unsigned)run.count), n = 0;
        const struct fiber *fiber = &run.fibers[number];

        if (fiber->n_stores == 0)
            return;
        if (choose_memory() == BY_PLACE)
            n = (int)choose_below((unsigned)fiber->n_stores);
        if (may_overtake(fiber, n))
            deliver(number, n);
    }
}

static const struct pending *find_own(const volatile void *at)
{
    const struct fiber *fiber = self();

    for (int i = fiber->n_stores - 1; i >= 0; i--)
        if ((const volatile void *)fiber->stores[i].at == at)
            return &fiber->stores[i];
    return NULL;
}

/* What a debug build checks at each unlock is no step of lido's. */
static bool is_quiet;
bool __real_lido__pool_is_sound_locked(const void *pool);
bool __wrap_lido__pool_is_sound_locked(const void *pool);

bool __wrap_lido__pool_is_sound_locked(const void *pool)
{
    bool is_sound;

    is_quiet = true;
    is_sound = __real_lido__pool_is_sound_locked(pool);
    is_quiet = false;
    return is_sound;
}

static bool is_constant(const volatile void *at)
{
    return at == (const volatile void *)&lido__fork_mark || at == lido__fork_mark;
}

uint64_t sched_load(const volatile void *at, memory_order order)
{
    const volatile uint64_t *word = at;
    const struct pending *own;
    uint64_t value;

    if (run.current < 0 || is_constant(at))
        return *word;
    if (!is_quiet)
        sched_point();
    own = find_own(at);
    value = own != NULL ? own->value : *word;
    if (is_quiet)
        return value;
    if (own == NULL && is_acquire(order))
        knowledge_join(&self()->knowledge, &find_place(at)->released);
    step(order == memory_order_relaxed ? "read"
         : is_acquire(order)           ? "observe"
                                       : "load",
         at, value, value, FROM);
    return value;
}

void sched_store(volatile void *at, uint64_t value, memory_order order)
{
    volatile uint64_t *word = at;
    struct fiber *fiber;

    if (run.current < 0) {
        *word = value;
        return;
    }
    sched_point();
    fiber = self();
    step(order == memory_order_relaxed ? "write" : "publish", at, *word, value, FROM);
    if (fiber->n_stores == MOST_STORES)
        deliver(run.current, 0);
    fiber->stores[fiber->n_stores++] =
        (struct pending){ word, value, is_release(order), fiber->knowledge };
    fiber->knowledge.of[run.current]++;
    if (order == memory_order_seq_cst || !choose_delay(fiber->n_stores > 1))
        memory_drain(run.current);
}

/* Before a read-modify-write: everything before it is seen, and what it reads is known. */
static struct place *begin_change(const volatile void *at)
{
    struct place *place;

    sched_point();
    memory_drain(run.current);
    place = find_place(at);
    knowledge_join(&self()->knowledge, &place->released);
    return place;
}

static void end_change(struct place *place)
{
    knowledge_join(&place->released, &self()->knowledge);
    self()->knowledge.of[run.current]++;
}

uint64_t sched_swap(volatile void *at, uint64_t value, memory_order order)
{
    volatile uint64_t *word = at;
    uint64_t before;
    struct place *place;

    (void)order;
    if (run.current < 0) {
        before = *word;
        *word = value;
        return before;
    }
    place = begin_change(at);
    before = *word;
    *word = value;
    end_change(place);
    step("swap", at, before, value, FROM);
    return before;
}

uint64_t sched_add(volatile void *at, uint64_t value, memory_order order)
{
    volatile uint64_t *word = at;
    uint64_t before;
    struct place *place;

    (void)order;
    if (run.current < 0) {
        before = *word;
        *word = before + value;
        return before;
    }
    place = begin_change(at);
    before = *word;
    *word = before + value;
    end_change(place);
    step("add", at, before, before + value, FROM);
    return before;
}

bool sched_cas(volatile void *at, uint64_t *expected, uint64_t desired, memory_order order)
{
    volatile uint64_t *word = at;
    struct place *place = NULL;
    uint64_t before;
    bool is_equal;

    (void)order;
    if (run.current >= 0)
        place = begin_change(at);
    before = *word;
    is_equal = before == *expected;
    *expected = before;
    if (is_equal)
        *word = desired;
    if (place == NULL)
        return is_equal;
    if (is_equal)
        end_change(place);
    step(is_equal ? "cas" : "cas in vain", at, before, desired, FROM);
    return is_equal;
}

void sched_use(const void *thing)
{
    struct place *place;

    if (run.current < 0)
        return;
    place = find_place(thing);
    if (place->user >= 0 && place->user != run.current &&
        place->when > self()->knowledge.of[place->user])
        sched_fail("thread %d uses what thread %d used, and nothing orders the two",
                   run.current, place->user);
    place->user = run.current;
    place->when = self()->knowledge.of[run.current];
}
