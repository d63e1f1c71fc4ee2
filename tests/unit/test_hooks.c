/* SPDX-License-Identifier: MIT */
/*
 * Firing: the order of the hooks, hooks that run once, change the hooks, or fail.
 */
#include "failing_malloc.h"
#include "hook_actor.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

TestSuite(hooks, .init = actor_stage_init, .timeout = 20);

Test(hooks, run_global_first_then_the_kind_then_the_pool)
{
    struct actor g = { .letter = 'g' }, k = { .letter = 'k' }, p = { .letter = 'p' },
                 n = { .letter = 'n' };

    actor_add(&actor_pool, &p);
    actor_add(lido_hooks_kind("queue"), &k);
    actor_add(lido_hooks_kind("null"), &n);
    actor_add(lido_hooks_global(), &g);

    actor_expect(LIDO__CHECKOUT, "gkp");
}

Test(hooks, run_in_the_order_of_registration_and_first_goes_in_front)
{
    struct actor a = { .letter = 'a' }, b = { .letter = 'b' }, c = { .letter = 'c' },
                 d = { .letter = 'd' };

    actor_add(&actor_pool, &a);
    actor_add(&actor_pool, &b);
    actor_add_with(&actor_pool, &actor_on_checkout, &c, 1, 0);
    actor_add_with(&actor_pool, &actor_on_checkout, &d, 1, 0);

    actor_expect(LIDO__CHECKOUT, "dcab");
}

Test(hooks, a_set_that_is_registered_twice_at_a_pool_runs_once)
{
    struct actor a = { .letter = 'a' }, b = { .letter = 'b' };
    lido_hook one, two;

    actor_pool.is_pool = true;
    one = actor_add(&actor_pool, &a);
    two = actor_add(&actor_pool, &a);
    cr_expect(eq(u64, one, two));
    cr_expect(ne(u64, one, actor_add(&actor_pool, &b))); /* another ctx */
    cr_expect(ne(u64, one, actor_add_with(&actor_pool, &actor_on_both, &a, 0, 0)));
    actor_expect(LIDO__CHECKOUT, "aba");
    cr_expect(eq(int, actor_destroyed, 0));

    cr_expect(eq(int, lido_hooks_remove(&actor_pool, one, NULL), LIDO_OK));
    cr_expect(eq(int, actor_destroyed, 1));
    cr_expect(ne(u64, one, actor_add(&actor_pool, &a)));
    actor_expect(LIDO__CHECKOUT, "baa");
}

Test(hooks, a_copy_of_a_pool_s_hooks_lives_by_itself_but_for_what_is_removed)
{
    struct actor a = { .letter = 'a' }, b = { .letter = 'b' }, c = { .letter = 'c' };
    lido_hook one = actor_add(&actor_pool, &a), two;
    static lido_hooks copy;

    actor_add(&actor_pool, &b);
    lido__hooks_init(&copy, "queue");
    cr_expect(eq(int, lido__hooks_copy(&copy, &actor_pool), LIDO_OK));
    two = actor_add(&copy, &c);
    actor_expect(LIDO__CHECKOUT, "ab");
    memset(actor_trace, 0, sizeof actor_trace);
    lido__hooks_fire(&copy, LIDO__CHECKOUT, &actor_event, NULL);
    cr_expect(eq(str, actor_trace, "abc"));

    lido_hooks_remove(&actor_pool, one, NULL);
    cr_expect(eq(int, actor_destroyed, 0)); /* the copy still has it */
    cr_expect(eq(int, lido_hooks_contains(&copy, one), 0));
    memset(actor_trace, 0, sizeof actor_trace);
    lido__hooks_fire(&copy, LIDO__CHECKOUT, &actor_event, NULL);
    cr_expect(eq(str, actor_trace, "bc"));
    lido_hooks_remove(&copy, two, NULL);
    cr_expect(eq(int, actor_destroyed, 1));
    lido__hooks_fini(&copy);
    cr_expect(eq(int, actor_destroyed, 2)); /* b is still in the other */
}

Test(hooks, a_set_that_is_registered_twice_elsewhere_runs_twice)
{
    struct actor a = { .letter = 'a' };
    lido_hook one = actor_add(&actor_pool, &a), two = actor_add(&actor_pool, &a);

    cr_expect(ne(u64, one, two));
    actor_expect(LIDO__CHECKOUT, "aa");
    cr_expect(eq(int, lido_hooks_remove(&actor_pool, one, NULL), LIDO_OK));
    actor_expect(LIDO__CHECKOUT, "a");
}

Test(hooks, each_event_reaches_the_member_of_its_name)
{
    struct lido_events only;
    lido_hook_fn *members[LIDO__EVENTS] = {
        [LIDO__FIRST_CONNECT] = &only.first_connect,
        [LIDO__CONNECT] = &only.connect,
        [LIDO__CHECKOUT] = &only.checkout,
        [LIDO__RESET] = &only.reset,
        [LIDO__CHECKIN] = &only.checkin,
        [LIDO__INVALIDATE] = &only.invalidate,
        [LIDO__SOFT_INVALIDATE] = &only.soft_invalidate,
        [LIDO__CLOSE] = &only.close,
        [LIDO__DETACH] = &only.detach,
        [LIDO__CLOSE_DETACHED] = &only.close_detached,
        [LIDO__BEGIN] = &only.begin,
        [LIDO__COMMIT] = &only.commit,
        [LIDO__ROLLBACK] = &only.rollback,
        [LIDO__SAVEPOINT] = &only.savepoint,
        [LIDO__ROLLBACK_SAVEPOINT] = &only.rollback_savepoint,
        [LIDO__RELEASE_SAVEPOINT] = &only.release_savepoint,
        [LIDO__BEFORE_EXECUTE] = &only.before_execute,
        [LIDO__AFTER_EXECUTE] = &only.after_execute,
        [LIDO__HANDLE_ERROR] = &only.handle_error,
    };
    struct actor a = { .letter = 'a' };

    for (int member = 0; member < LIDO__EVENTS; member++) {
        lido_hook hook;

        memset(&only, 0, sizeof only);
        only.size = sizeof only;
        *members[member] = actor_act;
        hook = actor_add_with(&actor_pool, &only, &a, 0, 0);
        for (int event = 0; event < LIDO__EVENTS; event++) {
            actor_expect(event, event == member ? "a" : "");
            cr_expect(eq(int, lido__hooks_want(&actor_pool, event), event == member));
        }
        cr_expect(eq(int, lido_hooks_remove(&actor_pool, hook, NULL), LIDO_OK));
    }
}

Test(hooks, want_follows_what_is_registered_at_all_three_targets)
{
    struct actor a = { .letter = 'a' };
    lido_hooks *targets[] = { &actor_pool, lido_hooks_kind("queue"), lido_hooks_global() };

    for (size_t i = 0; i < 3; i++) {
        lido_hook one, two;

        cr_expect(not(lido__hooks_want(&actor_pool, LIDO__CHECKOUT)));
        one = actor_add(targets[i], &a);
        two = actor_add(targets[i], &a);
        cr_expect(lido__hooks_want(&actor_pool, LIDO__CHECKOUT));
        cr_expect(not(lido__hooks_want(&actor_pool, LIDO__CHECKIN)));
        lido_hooks_remove(targets[i], one, NULL);
        cr_expect(lido__hooks_want(&actor_pool, LIDO__CHECKOUT));
        lido_hooks_remove(targets[i], two, NULL);
    }
    cr_expect(not(lido__hooks_want(&actor_pool, LIDO__CHECKOUT)));
}

Test(hooks, once_runs_each_callback_of_the_set_at_its_first_event)
{
    struct actor a = { .letter = 'a' };
    lido_hook hook = actor_add_with(&actor_pool, &actor_on_both, &a, 0, 1);

    actor_expect(LIDO__CHECKOUT, "a");
    cr_expect(not(lido__hooks_want(&actor_pool, LIDO__CHECKOUT)));
    actor_expect(LIDO__CHECKOUT, "");
    cr_expect(lido__hooks_want(&actor_pool, LIDO__CHECKIN));
    actor_expect(LIDO__CHECKIN, "a");
    actor_expect(LIDO__CHECKIN, "");

    cr_expect(eq(int, lido_hooks_contains(&actor_pool, hook), 1));
    cr_expect(eq(int, actor_destroyed, 0));
    cr_expect(eq(int, lido_hooks_remove(&actor_pool, hook, NULL), LIDO_OK));
    cr_expect(eq(int, actor_destroyed, 1));
}

Test(hooks, once_has_run_also_if_it_failed)
{
    struct actor a = { .letter = 'a', .answer = SQLITE_FULL };

    actor_add_with(&actor_pool, &actor_on_checkout, &a, 0, 1);

    cr_expect(eq(int, lido__hooks_fire(&actor_pool, LIDO__CHECKOUT, &actor_event, NULL),
                 SQLITE_FULL));
    actor_expect(LIDO__CHECKOUT, "");
}

Test(hooks, once_that_was_never_reached_behind_a_failure_runs_later)
{
    struct actor a = { .letter = 'a', .answer = SQLITE_FULL }, b = { .letter = 'b' };

    actor_add(&actor_pool, &a);
    actor_add_with(&actor_pool, &actor_on_checkout, &b, 0, 1);

    cr_expect(eq(int, lido__hooks_fire(&actor_pool, LIDO__CHECKOUT, &actor_event, NULL),
                 SQLITE_FULL));
    a.answer = LIDO_OK;
    actor_expect(LIDO__CHECKOUT, "ab");
    actor_expect(LIDO__CHECKOUT, "a");
}

static int fire_again(void *ctx, const struct lido_event *event, struct lido_error *err)
{
    actor_leave('n');
    (void)ctx;
    return lido__hooks_fire(&actor_pool, LIDO__CHECKOUT, event, err);
}

Test(hooks, once_that_fires_its_own_event_does_not_run_in_it)
{
    static const struct lido_events nested = { .size = sizeof nested,
                                               .checkout = fire_again };
    struct actor b = { .letter = 'b' };

    actor_add_with(&actor_pool, &nested, NULL, 0, 1);
    actor_add(&actor_pool, &b);

    actor_expect(LIDO__CHECKOUT, "nbb");
}

Test(hooks, may_remove_itself)
{
    struct actor a = { .letter = 'a', .target = &actor_pool }, b = { .letter = 'b' };

    a.removes = actor_add(&actor_pool, &a);
    actor_add(&actor_pool, &b);

    actor_expect(LIDO__CHECKOUT, "ab");
    cr_expect(eq(int, actor_destroyed, 1));
    actor_expect(LIDO__CHECKOUT, "b");
}

Test(hooks, removed_by_a_neighbour_is_not_called_any_more)
{
    struct actor a = { .letter = 'a', .target = &actor_pool }, b = { .letter = 'b' },
                 c = { .letter = 'c', .target = &actor_pool };

    actor_add(&actor_pool, &a);
    a.removes = actor_add(&actor_pool, &b);
    actor_add(&actor_pool, &c);

    actor_expect(LIDO__CHECKOUT, "ac");
    cr_expect(eq(int, actor_destroyed, 1));
    actor_expect(LIDO__CHECKOUT, "ac");
}

Test(hooks, removed_after_its_call_is_gone_from_the_next_event)
{
    struct actor a = { .letter = 'a' }, b = { .letter = 'b', .target = &actor_pool };

    b.removes = actor_add(&actor_pool, &a);
    actor_add(&actor_pool, &b);

    actor_expect(LIDO__CHECKOUT, "ab");
    actor_expect(LIDO__CHECKOUT, "b");
}

Test(hooks, removed_at_a_later_target_is_not_called_any_more)
{
    struct actor g = { .letter = 'g', .target = &actor_pool }, p = { .letter = 'p' };

    actor_add(lido_hooks_global(), &g);
    g.removes = actor_add(&actor_pool, &p);

    actor_expect(LIDO__CHECKOUT, "g");
    cr_expect(eq(int, actor_destroyed, 1));
}

Test(hooks, added_by_a_hook_run_from_the_next_event_on)
{
    struct actor b = { .letter = 'b' },
                 a = { .letter = 'a', .adds = &b, .target = &actor_pool };

    actor_add(&actor_pool, &a);

    actor_expect(LIDO__CHECKOUT, "a");
    actor_expect(LIDO__CHECKOUT, "ab");
}

Test(hooks, added_at_a_later_target_wait_for_the_next_event_too)
{
    struct actor p = { .letter = 'p' },
                 g = { .letter = 'g', .adds = &p, .target = &actor_pool };

    actor_add(lido_hooks_global(), &g);

    actor_expect(LIDO__CHECKOUT, "g");
    actor_expect(LIDO__CHECKOUT, "gp");
}

Test(hooks, all_removed_one_after_the_other_while_one_event_runs)
{
    enum { COUNT = 9 };
    struct actor actors[COUNT];

    for (int i = 0; i < COUNT; i++) {
        actors[i] = (struct actor){ .letter = (char)('a' + i), .target = &actor_pool };
        actors[i].removes = actor_add(&actor_pool, &actors[i]);
    }
    failing_malloc_arm(1);

    actor_expect(LIDO__CHECKOUT, "abcdefghi");
    cr_expect(eq(int, failing_malloc_fired(), 0));
    cr_expect(eq(int, actor_destroyed, COUNT));
    cr_expect(not(lido__hooks_want(&actor_pool, LIDO__CHECKOUT)));
}

Test(hooks, an_error_stops_the_ones_after_it_and_passes_unchanged)
{
    const int odd = SQLITE_BUSY | (99 << 16);
    struct lido_error err = LIDO_ERROR_INIT;
    struct actor g = { .letter = 'g' }, k = { .letter = 'k', .answer = odd },
                 l = { .letter = 'l' }, p = { .letter = 'p' };

    actor_add(lido_hooks_global(), &g);
    actor_add(lido_hooks_kind("queue"), &k);
    actor_add(lido_hooks_kind("queue"), &l);
    actor_add(&actor_pool, &p);

    cr_expect(
        eq(int, lido__hooks_fire(&actor_pool, LIDO__CHECKOUT, &actor_event, &err), odd));
    cr_expect(eq(str, actor_trace, (char *)"gk"));
    cr_expect(eq(int, err.code, odd));
    cr_expect(eq(str, err.text, (char *)"a hook answered SQLITE_BUSY"));
}

Test(hooks, the_text_of_the_hook_is_kept)
{
    struct lido_error err = LIDO_ERROR_INIT;
    struct actor a = { .letter = 'a',
                       .answer = LIDO_DISCONNECT,
                       .text = "the row count was wrong",
                       .text_code = LIDO_DISCONNECT };

    actor_add(&actor_pool, &a);

    cr_expect(eq(int, lido__hooks_fire(&actor_pool, LIDO__CHECKOUT, &actor_event, &err),
                 LIDO_DISCONNECT));
    cr_expect(eq(int, err.code, LIDO_DISCONNECT));
    cr_expect(eq(str, err.text, (char *)"the row count was wrong"));
    cr_expect(eq(int, lido__hooks_fire(&actor_pool, LIDO__CHECKOUT, &actor_event, NULL),
                 LIDO_DISCONNECT));
}

Test(hooks, a_text_for_another_code_or_none_is_replaced)
{
    struct lido_error err = LIDO_ERROR_INIT;
    struct actor a = {
        .letter = 'a', .answer = LIDO_DISCONNECT, .text = "x", .text_code = 1
    };

    actor_add(&actor_pool, &a);

    cr_expect(eq(int, lido__hooks_fire(&actor_pool, LIDO__CHECKOUT, &actor_event, &err),
                 LIDO_DISCONNECT));
    cr_expect(eq(int, err.code, LIDO_DISCONNECT));
    cr_expect(eq(str, err.text, (char *)"a hook answered LIDO_DISCONNECT"));
    a.text_code = LIDO_DISCONNECT;
    a.text = "";
    cr_expect(eq(int, lido__hooks_fire(&actor_pool, LIDO__CHECKOUT, &actor_event, &err),
                 LIDO_DISCONNECT));
    cr_expect(eq(str, err.text, (char *)"a hook answered LIDO_DISCONNECT"));
}

Test(hooks, an_old_text_in_the_callers_struct_is_not_taken_for_the_hooks)
{
    struct lido_error err = { SQLITE_FULL, 0, "of an earlier failure" };
    struct actor a = { .letter = 'a', .answer = SQLITE_FULL };

    actor_add(&actor_pool, &a);

    cr_expect(eq(int, lido__hooks_fire(&actor_pool, LIDO__CHECKOUT, &actor_event, &err),
                 SQLITE_FULL));
    cr_expect(eq(str, err.text, (char *)"a hook answered SQLITE_FULL"));
}

Test(hooks, what_a_hook_wrote_before_it_answered_ok_is_not_seen)
{
    struct lido_error err = { 7, 8, "untouched" };
    struct actor a = { .letter = 'a', .text = "second thoughts", .text_code = SQLITE_FULL },
                 b = { .letter = 'b' };

    actor_add(&actor_pool, &a);
    actor_add(&actor_pool, &b);

    cr_expect(eq(int, lido__hooks_fire(&actor_pool, LIDO__CHECKOUT, &actor_event, &err),
                 LIDO_OK));
    cr_expect(eq(int, err.code, 7));
    cr_expect(eq(str, err.text, (char *)"untouched"));
    b.answer = SQLITE_FULL;
    cr_expect(eq(int, lido__hooks_fire(&actor_pool, LIDO__CHECKOUT, &actor_event, &err),
                 SQLITE_FULL));
    cr_expect(eq(str, err.text, (char *)"a hook answered SQLITE_FULL"));
}
