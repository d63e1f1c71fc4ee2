/* SPDX-License-Identifier: MIT */
/*
 * Registering: what is there, what is refused, who destroys, and life without memory.
 */
#include "failing_malloc.h"
#include "hook_actor.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

TestSuite(hooks_registry, .init = actor_stage_init, .timeout = 20);

Test(hooks_registry, contains_knows_what_is_registered_at_this_target)
{
    struct actor a = { .letter = 'a' };
    lido_hook hook = actor_add(&actor_pool, &a);

    cr_expect(eq(int, lido_hooks_contains(&actor_pool, hook), 1));
    cr_expect(eq(int, lido_hooks_contains(lido_hooks_global(), hook), 0));
    cr_expect(eq(int, lido_hooks_contains(&actor_pool, 0), 0));
    lido_hooks_remove(&actor_pool, hook, NULL);
    cr_expect(eq(int, lido_hooks_contains(&actor_pool, hook), 0));
}

Test(hooks_registry, removing_what_is_not_there_is_not_found)
{
    struct lido_error err = LIDO_ERROR_INIT;
    struct actor a = { .letter = 'a' };
    lido_hook hook = actor_add(&actor_pool, &a);

    cr_expect(eq(int, lido_hooks_remove(lido_hooks_global(), hook, &err), LIDO_NOT_FOUND));
    cr_expect(eq(int, err.code, LIDO_NOT_FOUND));
    cr_expect(ne(int, err.text[0], 0));
    cr_expect(eq(int, lido_hooks_remove(&actor_pool, hook, NULL), LIDO_OK));
    cr_expect(eq(int, lido_hooks_remove(&actor_pool, hook, NULL), LIDO_NOT_FOUND));
    cr_expect(eq(int, lido_hooks_remove(&actor_pool, 0, NULL), LIDO_NOT_FOUND));
    cr_expect(eq(int, actor_destroyed, 1));
}

Test(hooks_registry, fini_takes_all_away_and_destroys_each_once)
{
    struct actor a = { .letter = 'a' };
    long before = failing_malloc_outstanding();

    for (int i = 0; i < 5; i++)
        actor_add(&actor_pool, &a);
    lido__hooks_fini(&actor_pool);

    cr_expect(eq(int, actor_destroyed, 5));
    cr_expect(eq(long, failing_malloc_outstanding(), before));
}

/* Calls lido again from `destroy`, once. */
static struct actor late = { .letter = 'l' };
static void add_again(void *ctx)
{
    (void)ctx;
    actor_destroy(NULL);
    actor_add(&actor_pool, &late);
}

Test(hooks_registry, destroy_may_call_lido_also_during_fini)
{
    struct lido_hook_options options = LIDO_HOOK_OPTIONS_INIT;
    long before = failing_malloc_outstanding();
    lido_hook hook;

    options.destroy = add_again;
    cr_assert(eq(int,
                 lido_hooks_add(&actor_pool, &hook, &actor_on_both, NULL, &options, NULL),
                 LIDO_OK));
    cr_expect(eq(int, lido_hooks_remove(&actor_pool, hook, NULL), LIDO_OK));
    actor_expect(LIDO__CHECKOUT, "l");
    cr_assert(eq(int,
                 lido_hooks_add(&actor_pool, &hook, &actor_on_both, NULL, &options, NULL),
                 LIDO_OK));
    lido__hooks_fini(&actor_pool);

    cr_expect(eq(int, actor_destroyed, 4));
    cr_expect(eq(long, failing_malloc_outstanding(), before));
}

Test(hooks_registry, kinds_have_the_global_target_before_them_and_others_are_unknown)
{
    const char *names[] = { "null", "queue" };

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        cr_assert(ne(ptr, lido_hooks_kind(names[i]), NULL));
        cr_expect(eq(ptr, lido_hooks_kind(names[i])->before, lido_hooks_global()));
        for (size_t j = 0; j < i; j++)
            cr_expect(ne(ptr, lido_hooks_kind(names[i]), lido_hooks_kind(names[j])));
    }
    cr_expect(eq(ptr, lido_hooks_kind("Queue"), NULL));
    cr_expect(eq(ptr, lido_hooks_kind(""), NULL));
    cr_expect(eq(ptr, lido_hooks_kind(NULL), NULL));
}

/* Adding fails with SQLITE_MISUSE and a text, and destroys ctx once. */
static void expect_misuse(lido_hooks *hooks, const struct lido_events *events,
                          const struct lido_hook_options *options)
{
    struct lido_error err = LIDO_ERROR_INIT;
    lido_hook hook = 99;
    int before = actor_destroyed;

    cr_expect(
        eq(int, lido_hooks_add(hooks, &hook, events, NULL, options, &err), SQLITE_MISUSE));
    cr_expect(eq(int, err.code, SQLITE_MISUSE));
    cr_expect(ne(int, err.text[0], 0));
    cr_expect(eq(u64, hook, 0));
    cr_expect(eq(int, actor_destroyed, before + 1));
    cr_expect(
        eq(int, lido_hooks_add(hooks, NULL, events, NULL, options, NULL), SQLITE_MISUSE));
    cr_expect(eq(int, actor_destroyed, before + 2));
    cr_expect(not(lido__hooks_want(&actor_pool, LIDO__CHECKOUT)));
}

Test(hooks_registry, null_arguments_are_misuse_or_nothing)
{
    struct lido_hook_options options = LIDO_HOOK_OPTIONS_INIT;
    struct actor a = { .letter = 'a' };

    options.destroy = actor_destroy;
    expect_misuse(NULL, &actor_on_checkout, &options);
    expect_misuse(&actor_pool, NULL, &options);
    cr_expect(eq(int, lido_hooks_add(NULL, NULL, NULL, NULL, NULL, NULL), SQLITE_MISUSE));
    cr_expect(eq(int, lido_hooks_remove(NULL, 1, NULL), SQLITE_MISUSE));
    cr_expect(eq(int, lido_hooks_contains(NULL, 1), 0));

    cr_expect(eq(int, lido_hooks_add(&actor_pool, NULL, &actor_on_checkout, &a, NULL, NULL),
                 LIDO_OK));
    actor_expect(LIDO__CHECKOUT, "a");
}

/* A struct from a program with a newer header. */
struct longer_events {
    struct lido_events known;
    unsigned char more[24];
};
struct longer_options {
    struct lido_hook_options known;
    unsigned char more[24];
};

Test(hooks_registry, events_may_be_shorter_at_the_end_of_a_member_or_longer_with_zeros)
{
    struct lido_hook_options options = LIDO_HOOK_OPTIONS_INIT;
    const size_t end = offsetof(struct lido_events, checkout) + sizeof(lido_hook_fn);
    struct lido_events events = { .checkout = actor_act, .checkin = actor_act };
    struct longer_events longer = { .known = actor_on_checkout };
    struct actor a = { .letter = 'a' };
    lido_hook hook;

    options.destroy = actor_destroy;
    for (size_t size = 0; size <= sizeof events; size++) {
        events.size = size;
        if (size <= sizeof(size_t) || size % sizeof(lido_hook_fn) != 0)
            expect_misuse(&actor_pool, &events, &options);
    }
    events.size = end;
    hook = actor_add_with(&actor_pool, &events, &a, 0, 0);
    actor_expect(LIDO__CHECKOUT, "a");
    actor_expect(LIDO__CHECKIN, "");
    lido_hooks_remove(&actor_pool, hook, NULL);

    longer.known.size = sizeof longer;
    hook = actor_add_with(&actor_pool, &longer.known, &a, 0, 0);
    actor_expect(LIDO__CHECKOUT, "a");
    lido_hooks_remove(&actor_pool, hook, NULL);
    for (size_t i = 0; i < sizeof longer.more; i++) {
        longer.more[i] = 1;
        expect_misuse(&actor_pool, &longer.known, &options);
        longer.more[i] = 0;
    }
    events.size = SIZE_MAX;
    expect_misuse(&actor_pool, &events, &options);
}

Test(hooks_registry, options_may_be_shorter_at_the_end_of_a_member_or_longer_with_zeros)
{
    struct longer_options longer = { .known = LIDO_HOOK_OPTIONS_INIT };
    struct lido_hook_options *options = &longer.known;
    struct actor a = { .letter = 'a' }, b = { .letter = 'b' };
    lido_hook hook;

    actor_add(&actor_pool, &b);
    options->first = 1;
    options->once = 1;
    options->destroy = actor_destroy;

    /* Up to `first` only: it is neither once, nor has it a destroy. */
    options->size = offsetof(struct lido_hook_options, once);
    cr_assert(eq(int,
                 lido_hooks_add(&actor_pool, &hook, &actor_on_checkout, &a, options, NULL),
                 LIDO_OK));
    actor_expect(LIDO__CHECKOUT, "ab");
    actor_expect(LIDO__CHECKOUT, "ab");
    lido_hooks_remove(&actor_pool, hook, NULL);
    cr_expect(eq(int, actor_destroyed, 0));

    options->size = sizeof longer;
    cr_assert(eq(int,
                 lido_hooks_add(&actor_pool, &hook, &actor_on_checkout, &a, options, NULL),
                 LIDO_OK));
    actor_expect(LIDO__CHECKOUT, "ab");
    actor_expect(LIDO__CHECKOUT, "b");
    lido_hooks_remove(&actor_pool, hook, NULL);
    cr_expect(eq(int, actor_destroyed, 1));
}

Test(hooks_registry, options_of_an_impossible_size_are_misuse)
{
    struct longer_options longer = { .known = LIDO_HOOK_OPTIONS_INIT };
    struct lido_hook_options *options = &longer.known;
    const size_t sizes[] = { 0, 7, sizeof(size_t), sizeof(size_t) + 1,
                             sizeof *options - 1 };

    options->destroy = actor_destroy;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        options->size = sizes[i];
        cr_expect(eq(
            int, lido_hooks_add(&actor_pool, NULL, &actor_on_checkout, NULL, options, NULL),
            SQLITE_MISUSE));
    }
    /* None of these structs reached as far as `destroy`; those that follow do. */
    cr_expect(eq(int, actor_destroyed, 0));
    longer.more[23] = 1;
    options->size = sizeof longer;
    expect_misuse(&actor_pool, &actor_on_checkout, options);
    options->size = SIZE_MAX;
    expect_misuse(&actor_pool, &actor_on_checkout, options);
}

Test(hooks_registry, adding_without_memory_changes_nothing_and_destroys_once)
{
    struct lido_hook_options options = LIDO_HOOK_OPTIONS_INIT;
    struct actor a = { .letter = 'a' }, b = { .letter = 'b' };
    lido_hook hook = 0;
    int rc = LIDO_OK;
    int n = 1;

    actor_add(&actor_pool, &a);
    actor_add(&actor_pool, &a);
    options.destroy = actor_destroy;
    for (;; n++) {
        struct lido_error err = LIDO_ERROR_INIT;
        long before = failing_malloc_outstanding();

        failing_malloc_arm(n);
        rc = lido_hooks_add(&actor_pool, &hook, &actor_on_both, &b, &options, &err);
        if (!failing_malloc_fired())
            break;
        cr_expect(eq(int, rc, SQLITE_NOMEM));
        cr_expect(eq(int, err.code, SQLITE_NOMEM));
        cr_expect(ne(int, err.text[0], 0));
        cr_expect(eq(u64, hook, 0));
        cr_expect(eq(int, actor_destroyed, n));
        cr_expect(eq(long, failing_malloc_outstanding(), before));
        cr_expect(not(lido__hooks_want(&actor_pool, LIDO__CHECKIN)));
        actor_expect(LIDO__CHECKOUT, "aa");
    }
    failing_malloc_arm(0);

    cr_expect(eq(int, rc, LIDO_OK));
    cr_expect(eq(int, n, 4)); /* the listener, the array and its spare */
    actor_expect(LIDO__CHECKOUT, "aab");
}

Test(hooks_registry, removing_and_firing_need_no_memory)
{
    enum { COUNT = 12 };
    struct actor a = { .letter = 'a' };
    long before = failing_malloc_outstanding();
    lido_hook hooks[COUNT];

    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < COUNT; i++)
            hooks[i] = actor_add_with(&actor_pool, &actor_on_checkout, &a, i % 2, 0);
        for (int i = 0; i < COUNT; i++) {
            failing_malloc_arm(1);
            actor_fire(LIDO__CHECKOUT);
            cr_expect(eq(sz, strlen(actor_trace), (size_t)(COUNT - i)));
            cr_expect(eq(int, lido_hooks_remove(&actor_pool, hooks[i * 5 % COUNT], NULL),
                         LIDO_OK));
            cr_expect(eq(int, failing_malloc_fired(), 0));
            failing_malloc_arm(0);
        }
    }

    cr_expect(eq(int, actor_destroyed, 3 * COUNT));
    cr_expect(eq(long, failing_malloc_outstanding(), before));
}
