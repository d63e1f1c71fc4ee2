/* SPDX-License-Identifier: MIT */
/*
 * Hooks that are fired, added and removed by several threads at a time.
 */
#include "failing_malloc.h"
#include "hook_actor.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdlib.h>

TestSuite(hooks_threads, .init = actor_stage_init, .timeout = 60);

static pthread_barrier_t barrier;
static lido__word calls;

static int count_call(void *ctx, const struct lido_event *event, struct lido_error *err)
{
    (void)ctx;
    (void)event;
    (void)err;
    lido__add(&calls, 1);
    return LIDO_OK;
}

enum { THREADS = 4, ROUNDS = 200, CHANGES = 2000 };

static void *fire_each_round(void *unused)
{
    for (int i = 0; i < ROUNDS; i++) {
        pthread_barrier_wait(&barrier); /* the listener of this round is there */
        (void)lido__hooks_fire(&actor_pool, LIDO__CHECKOUT, &actor_event, NULL);
        pthread_barrier_wait(&barrier); /* all have fired */
    }
    return unused;
}

Test(hooks_threads, once_runs_once_however_many_threads_fire)
{
    static const struct lido_events events = { .size = sizeof events,
                                               .checkout = count_call };
    pthread_t threads[THREADS];

    pthread_barrier_init(&barrier, NULL, THREADS + 1);
    for (int i = 0; i < THREADS; i++)
        cr_assert(eq(int, pthread_create(&threads[i], NULL, fire_each_round, NULL), 0));
    for (int i = 0; i < ROUNDS; i++) {
        lido_hook hook = actor_add_with(&actor_pool, &events, NULL, 0, 1);

        pthread_barrier_wait(&barrier);
        pthread_barrier_wait(&barrier);
        cr_expect(eq(u64, lido__load(&calls), (uint64_t)i + 1));
        cr_expect(eq(int, lido_hooks_remove(&actor_pool, hook, NULL), LIDO_OK));
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);

    cr_expect(eq(int, actor_destroyed, ROUNDS));
}

static int stay(void *ctx, const struct lido_event *event, struct lido_error *err)
{
    (void)ctx;
    (void)event;
    (void)err;
    pthread_barrier_wait(&barrier); /* inside */
    pthread_barrier_wait(&barrier); /* may go on */
    return LIDO_OK;
}

static void *fire_one(void *unused)
{
    (void)lido__hooks_fire(&actor_pool, LIDO__CHECKOUT, &actor_event, NULL);
    return unused;
}

Test(hooks_threads, destroy_comes_after_the_last_event_that_may_call_the_hook)
{
    static const struct lido_events events = { .size = sizeof events, .checkout = stay };
    struct actor a = { .letter = 'a' };
    lido_hook waits = actor_add_with(&actor_pool, &events, NULL, 0, 0),
              other = actor_add(&actor_pool, &a);
    pthread_t thread;

    pthread_barrier_init(&barrier, NULL, 2);
    cr_assert(eq(int, pthread_create(&thread, NULL, fire_one, NULL), 0));
    pthread_barrier_wait(&barrier);
    cr_expect(eq(int, lido_hooks_remove(&actor_pool, waits, NULL), LIDO_OK));
    cr_expect(eq(int, lido_hooks_remove(&actor_pool, other, NULL), LIDO_OK));
    cr_expect(eq(int, actor_destroyed, 0));
    actor_expect(LIDO__CHECKOUT, "");
    pthread_barrier_wait(&barrier);
    pthread_join(thread, NULL);

    cr_expect(eq(int, actor_destroyed, 2));
}

/* A ctx that must be alive when it is called; a sanitizer sees it if it is not. */
struct life {
    uint64_t alive;
};

static lido__word dead_called, lives_ended;

static int look_alive(void *ctx, const struct lido_event *event, struct lido_error *err)
{
    const struct life *life = ctx;

    (void)event;
    (void)err;
    if (life->alive != 1)
        lido__add(&dead_called, 1);
    return LIDO_OK;
}

static void end_life(void *ctx)
{
    ((struct life *)ctx)->alive = 0;
    free(ctx);
    lido__add(&lives_ended, 1);
}

static void *fire_often(void *unused)
{
    pthread_barrier_wait(&barrier);
    for (int i = 0; i < CHANGES; i++)
        (void)lido__hooks_fire(&actor_pool, LIDO__CHECKOUT, &actor_event, NULL);
    return unused;
}

static void *change_often(void *unused)
{
    static const struct lido_events events = { .size = sizeof events,
                                               .checkout = look_alive };
    lido_hooks *targets[] = { &actor_pool, lido_hooks_global() };
    struct lido_hook_options options = LIDO_HOOK_OPTIONS_INIT;
    lido_hook last[2] = { 0, 0 };

    options.destroy = end_life;
    pthread_barrier_wait(&barrier);
    for (int i = 0; i < CHANGES; i++) {
        struct life *life = malloc(sizeof *life);
        lido_hook hook = 0;

        if (life == NULL)
            abort();
        life->alive = 1;
        options.first = i & 1;
        options.once = i % 3 == 0;
        if (lido_hooks_add(targets[i & 1], &hook, &events, life, &options, NULL) != LIDO_OK)
            abort();
        if (last[i & 1] != 0 &&
            lido_hooks_remove(targets[i & 1], last[i & 1], NULL) != LIDO_OK)
            abort();
        last[i & 1] = hook;
    }
    for (int i = 0; i < 2; i++)
        if (lido_hooks_remove(targets[i], last[i], NULL) != LIDO_OK)
            abort();
    return unused;
}

Test(hooks_threads, threads_add_and_remove_while_others_fire)
{
    long before = failing_malloc_outstanding();
    pthread_t threads[2 * THREADS];

    pthread_barrier_init(&barrier, NULL, 2 * THREADS);
    for (int i = 0; i < 2 * THREADS; i++)
        cr_assert(eq(
            int, pthread_create(&threads[i], NULL, i % 2 ? fire_often : change_often, NULL),
            0));
    for (int i = 0; i < 2 * THREADS; i++)
        pthread_join(threads[i], NULL);

    cr_expect(eq(u64, lido__load(&dead_called), 0));
    cr_expect(eq(u64, lido__load(&lives_ended), (uint64_t)THREADS * CHANGES));
    cr_expect(not(lido__hooks_want(&actor_pool, LIDO__CHECKOUT)));
    cr_expect(eq(long, failing_malloc_outstanding(), before));
}
