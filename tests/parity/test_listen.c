/* SPDX-License-Identifier: MIT */
/*
 * Section 2.4: how listeners come, in which order they are called, and how they go.
 */
#include "tests/parity/play.h"

#include <string.h>

static char letters[40]; /* who was called */
static int answer;       /* what the listener "!" answers */

static void begin(void)
{
    play_begin();
    letters[0] = '\0';
    answer = SQLITE_AUTH;
}

TestSuite(parity_listen, .init = begin);

static int leave(void *ctx, const struct lido_event *event, struct lido_error *err)
{
    (void)event;
    strncat(letters, ctx, sizeof letters - strlen(letters) - 1);
    return strcmp(ctx, "!") == 0 ? lido_fail(err, answer, "no") : LIDO_OK;
}

static const struct lido_events leaving = { .size = sizeof leaving, .checkout = leave };

static lido_hook add(lido_hooks *target, const char *letter, int first, int once)
{
    struct lido_hook_options options = LIDO_HOOK_OPTIONS_INIT;
    lido_hook hook;

    options.first = first;
    options.once = once;
    cr_assert_eq(lido_hooks_add(target, &hook, &leaving, (void *)(uintptr_t)letter,
                                &options, &play_err),
                 LIDO_OK);
    return hook;
}

static void take_away(lido_hooks *target, lido_hook hook)
{
    cr_assert_eq(lido_hooks_remove(target, hook, &play_err), LIDO_OK, "%s", play_err.text);
}

static lido_pool *open_silent(const char *kind)
{
    struct lido_pool_options options = play_options(kind);
    lido_pool *pool;

    cr_assert_eq(lido_pool_open(&pool, "play:///x", &options, NULL), LIDO_OK);
    return pool;
}

/* A checkout calls these. */
static void expect_called(lido_pool *pool, const char *expected)
{
    struct lido_conn conn = play_take(pool);

    cr_expect_str_eq(letters, expected, "\"%s\"", letters);
    letters[0] = '\0';
    play_give(&conn);
}

/* 2.4 listen
   SQLAlchemy: listen(target, name, fn).
   lido: same: lido_hooks_add() with a set of functions and a context */
Test(parity_listen, a_listener_is_called)
{
    lido_pool *pool = open_silent("queue");

    add(lido_pool_hooks(pool), "A", 0, 0);
    expect_called(pool, "A");
    expect_called(pool, "A");
    play_end(pool);
}

/* 2.4 remove
   SQLAlchemy: remove(target, name, fn).
   lido: same: by the name that lido_hooks_add() answers */
Test(parity_listen, a_removed_listener_is_not_called)
{
    lido_pool *pool = open_silent("queue");
    lido_hook hook = add(lido_pool_hooks(pool), "A", 0, 0);

    add(lido_pool_hooks(pool), "B", 0, 0);
    take_away(lido_pool_hooks(pool), hook);
    expect_called(pool, "B");
    play_end(pool);
}

/* 2.4 contains
   SQLAlchemy: since 0.9.0, whether it is registered.
   lido: same */
Test(parity_listen, a_registration_is_known_until_it_is_removed)
{
    lido_pool *pool = open_silent("queue");
    lido_hook hook = add(lido_pool_hooks(pool), "A", 0, 0);

    cr_expect_eq(lido_hooks_contains(lido_pool_hooks(pool), hook), 1);
    take_away(lido_pool_hooks(pool), hook);
    cr_expect_eq(lido_hooks_contains(lido_pool_hooks(pool), hook), 0);
    play_end(pool);
}

/* 2.4 unknown name
   SQLAlchemy: InvalidRequestError, "No such event".
   lido: not applicable: events are members of a struct, so the compiler knows them; a struct of
   a size that is none is refused */
Test(parity_listen, a_set_of_no_known_size_is_refused)
{
    static const struct lido_events odd = { .size = 3 };

    cr_expect_eq(lido_hooks_add(lido_hooks_global(), NULL, &odd, NULL, NULL, NULL),
                 SQLITE_MISUSE);
}

/* 2.4 order
   SQLAlchemy: class level first, then instance level, each in the order of registration.
   lido: same: all pools, the kind, the pool */
Test(parity_listen, classes_come_before_the_instance)
{
    lido_pool *pool = open_silent("queue");
    lido_hook kind, global;

    add(lido_pool_hooks(pool), "A", 0, 0);
    add(lido_pool_hooks(pool), "B", 0, 0);
    kind = add(lido_hooks_kind("queue"), "C", 0, 0);
    global = add(lido_hooks_global(), "D", 0, 0);
    expect_called(pool, "DCAB");

    take_away(lido_hooks_kind("queue"), kind);
    take_away(lido_hooks_global(), global);
    play_end(pool);
}

/* 2.4 order of super- and subclass
   SQLAlchemy: listeners of the superclass come before those of the subclass, as they were
   copied when registered.
   lido: same: all pools before the kind, whenever they were added */
Test(parity_listen, all_pools_come_before_the_kind)
{
    lido_hook first = add(lido_hooks_kind("queue"), "K", 0, 0);
    lido_hook second = add(lido_hooks_global(), "G", 0, 0);
    lido_pool *pool = open_silent("queue");

    expect_called(pool, "GK");
    take_away(lido_hooks_kind("queue"), first);
    take_away(lido_hooks_global(), second);
    play_end(pool);
}

/* 2.4 insert=True
   SQLAlchemy: puts it in front within its level.
   lido: same: `first` */
Test(parity_listen, first_puts_it_in_front_of_its_own_level)
{
    lido_pool *pool = open_silent("queue");
    lido_hook global = add(lido_hooks_global(), "G", 0, 0);

    add(lido_pool_hooks(pool), "A", 0, 0);
    add(lido_pool_hooks(pool), "B", 1, 0);
    expect_called(pool, "GBA");
    take_away(lido_hooks_global(), global);
    play_end(pool);
}

/* 2.4 engines as targets
   SQLAlchemy: the Engine class stands for the Pool class, an engine for its pool; in the order
   Pool class, Engine class, pool, engine they are one level each with two.
   lido: not applicable: a pool is opened by its URL, so there is no engine beside it */
Test(parity_listen, two_listeners_of_one_level_keep_their_order)
{
    lido_hook one = add(lido_hooks_global(), "1", 0, 0), four;
    lido_pool *pool = open_silent("queue");

    add(lido_pool_hooks(pool), "2", 0, 0);
    add(lido_pool_hooks(pool), "3", 0, 0);
    four = add(lido_hooks_global(), "4", 0, 0);
    expect_called(pool, "1423");
    take_away(lido_hooks_global(), one);
    take_away(lido_hooks_global(), four);
    play_end(pool);
}

/* 2.4 a class has its own instances
   SQLAlchemy: a listener of QueuePool does not reach a SingletonThreadPool.
   lido: same */
Test(parity_listen, a_kinds_listener_reaches_that_kind_only)
{
    lido_pool *queue = open_silent("queue"), *other = open_silent("singleton_thread");
    lido_hook hook = add(lido_hooks_kind("queue"), "Q", 0, 0);

    expect_called(queue, "Q");
    expect_called(other, "");
    take_away(lido_hooks_kind("queue"), hook);
    play_end(queue);
    play_end(other);
}

/* 2.4 a class listener added later
   SQLAlchemy: reaches the pools that exist.
   lido: same */
Test(parity_listen, a_kinds_listener_reaches_pools_that_are_open)
{
    lido_pool *pool = open_silent("null");
    lido_hook hook;

    expect_called(pool, "");
    hook = add(lido_hooks_kind("null"), "N", 0, 0);
    expect_called(pool, "N");
    take_away(lido_hooks_kind("null"), hook);
    play_end(pool);
}

/* 2.4 same listener twice
   SQLAlchemy: at an instance it is registered once.
   lido: same: the second answers the first registration */
Test(parity_listen, a_pool_has_the_same_listener_once)
{
    static const char letter[] = "A";
    lido_pool *pool = open_silent("queue");
    lido_hook first = add(lido_pool_hooks(pool), letter, 0, 0);
    lido_hook second = add(lido_pool_hooks(pool), letter, 0, 0);

    cr_expect_eq(first, second);
    expect_called(pool, "A");
    take_away(lido_pool_hooks(pool), first);
    expect_called(pool, "");
    play_end(pool);
}

/* 2.4 same listener twice at a class
   SQLAlchemy: is registered twice, and one remove() takes one away.
   lido: same */
Test(parity_listen, a_kind_has_the_same_listener_twice)
{
    static const char letter[] = "A";
    lido_pool *pool = open_silent("queue");
    lido_hook first = add(lido_hooks_kind("queue"), letter, 0, 0);
    lido_hook second = add(lido_hooks_kind("queue"), letter, 0, 0);

    expect_called(pool, "AA");
    take_away(lido_hooks_kind("queue"), first);
    expect_called(pool, "A");
    take_away(lido_hooks_kind("queue"), second);
    play_end(pool);
}

/* 2.4 remove what is not registered
   SQLAlchemy: InvalidRequestError, "No listeners found for event".
   lido: same: LIDO_NOT_FOUND */
Test(parity_listen, what_is_not_registered_cannot_be_removed)
{
    lido_pool *pool = open_silent("queue");
    lido_hook hook = add(lido_pool_hooks(pool), "A", 0, 0);

    take_away(lido_pool_hooks(pool), hook);
    cr_expect_eq(lido_hooks_remove(lido_pool_hooks(pool), hook, NULL), LIDO_NOT_FOUND);
    cr_expect_eq(lido_hooks_remove(lido_pool_hooks(pool), 0, NULL), LIDO_NOT_FOUND);
    play_end(pool);
}

/* 2.4 remove at another target
   SQLAlchemy: must be called with the target of the listen(); an engine and its pool are two.
   lido: same */
Test(parity_listen, a_listener_is_removed_where_it_was_added)
{
    lido_pool *pool = open_silent("queue"), *other = open_silent("queue");
    lido_hook hook = add(lido_pool_hooks(pool), "A", 0, 0);

    cr_expect_eq(lido_hooks_remove(lido_hooks_global(), hook, NULL), LIDO_NOT_FOUND);
    cr_expect_eq(lido_hooks_remove(lido_pool_hooks(other), hook, NULL), LIDO_NOT_FOUND);
    expect_called(pool, "A");
    play_end(pool);
    play_end(other);
}

/* 2.4 remove and recreate()
   SQLAlchemy: is removed from the pools too that recreate() made.
   lido: same */
Test(parity_listen, a_removed_listener_is_gone_from_recreated_pools)
{
    lido_pool *pool = open_silent("queue"), *again;
    lido_hook hook = add(lido_pool_hooks(pool), "A", 0, 0);

    cr_assert_eq(lido_pool_recreate(pool, &again, NULL), LIDO_OK);
    expect_called(again, "A");
    take_away(lido_pool_hooks(pool), hook);
    expect_called(again, "");
    play_end(pool);
    play_end(again);
}

/* 2.4 once=True
   SQLAlchemy: runs at the first call only; in main also if that raised; it is never
   deregistered.
   lido: same */
Test(parity_listen, once_runs_once_also_if_it_fails)
{
    lido_pool *pool = open_silent("queue");
    lido_hook hook = add(lido_pool_hooks(pool), "!", 0, 1);

    play_refuse(pool, SQLITE_AUTH);
    cr_expect_str_eq(letters, "!");
    letters[0] = '\0';
    expect_called(pool, "");
    cr_expect_eq(lido_hooks_contains(lido_pool_hooks(pool), hook), 1);
    play_end(pool);
}

/* 2.4 retval=True
   SQLAlchemy: says that the return value of a listener counts; for pool events it does not.
   lido: not applicable: every hook returns a code, LIDO_OK or why the work is to stop */
Test(parity_listen, what_a_hook_returns_reaches_the_caller)
{
    lido_pool *pool = open_silent("queue");

    answer = SQLITE_PERM | (77 << 8);
    add(lido_pool_hooks(pool), "!", 0, 0);
    play_refuse(pool, SQLITE_PERM | (77 << 8));
    cr_expect_str_eq(play_err.text, "no");
    play_end(pool);
}

/* 2.4 old signatures
   SQLAlchemy: listeners with the arguments of an older version are adapted.
   lido: same: events and sets of hooks have their size first, so a set that was compiled with
   fewer events is taken */
Test(parity_listen, a_set_with_fewer_events_is_taken)
{
    struct lido_events old = leaving;
    lido_pool *pool = open_silent("queue");

    old.size = offsetof(struct lido_events, begin);
    cr_assert_eq(lido_hooks_add(lido_pool_hooks(pool), NULL, &old, (void *)"A", NULL, NULL),
                 LIDO_OK);
    expect_called(pool, "A");
    play_end(pool);
}

static lido_pool *changing;
static lido_hook changing_hook;

static int change(void *ctx, const struct lido_event *event, struct lido_error *err)
{
    (void)ctx, (void)event, (void)err;
    strcat(letters, "*");
    if (changing_hook != 0) {
        take_away(lido_pool_hooks(changing), changing_hook);
        add(lido_pool_hooks(changing), "N", 0, 0);
        changing_hook = 0;
    }
    return LIDO_OK;
}

/* 2.4 changes while an event runs
   SQLAlchemy: forbidden: main raises after the current listener, 0.9.8 calls the new one at
   once.
   lido: better: allowed; a removed one is not called again, an added one from the next event
   on */
Test(parity_listen, a_listener_may_add_and_remove_listeners)
{
    static const struct lido_events set = { .size = sizeof set, .checkout = change };

    changing = open_silent("queue");
    cr_assert_eq(lido_hooks_add(lido_pool_hooks(changing), NULL, &set, NULL, NULL, NULL),
                 LIDO_OK);
    changing_hook = add(lido_pool_hooks(changing), "R", 0, 0);
    add(lido_pool_hooks(changing), "S", 0, 0);

    expect_called(changing, "*S");
    expect_called(changing, "*SN");
    play_end(changing);
}

/* 2.4 an exception in a listener
   SQLAlchemy: stops the listeners after it, and reaches the caller.
   lido: same: its code and its text */
Test(parity_listen, a_failing_listener_stops_those_after_it)
{
    lido_pool *pool = open_silent("queue");

    add(lido_pool_hooks(pool), "A", 0, 0);
    add(lido_pool_hooks(pool), "!", 0, 0);
    add(lido_pool_hooks(pool), "C", 0, 0);
    play_refuse(pool, SQLITE_AUTH);

    cr_expect_str_eq(letters, "A!");
    play_end(pool);
}

static int foreign_keys = -1;

static int read_foreign_keys(void *ctx, const struct lido_event *event,
                             struct lido_error *err)
{
    sqlite3_stmt *stmt;

    (void)ctx, (void)err;
    cr_assert_eq(sqlite3_prepare_v2(event->sqlite, "pragma foreign_keys", -1, &stmt, NULL),
                 SQLITE_OK);
    cr_assert_eq(sqlite3_step(stmt), SQLITE_ROW);
    foreign_keys = sqlite3_column_int(stmt, 0);
    return sqlite3_finalize(stmt);
}

/* 2.4 the engine's own connect listeners
   SQLAlchemy: functions, isolation level and the once-only initialiser are connect listeners;
   the user's come after them, unless with insert=True.
   lido: better: settings are the driver's and done before any hook, so no order of hooks can
   miss them */
Test(parity_listen, settings_are_made_before_the_first_hook)
{
    static const struct lido_events reading = { .size = sizeof reading,
                                                .first_connect = read_foreign_keys };
    struct lido_conn conn;
    lido_pool *pool;

    cr_assert_eq(lido_pool_open(&pool, "sqlite://?foreign_keys=1", NULL, NULL), LIDO_OK);
    cr_assert_eq(lido_hooks_add(lido_pool_hooks(pool), NULL, &reading, NULL, NULL, NULL),
                 LIDO_OK);
    conn = play_take(pool);

    cr_expect_eq(foreign_keys, 1);
    play_give(&conn);
    play_end(pool);
}
