/* SPDX-License-Identifier: MIT */
/*
 * The scenarios.  A new one is a line here, and a part in one of the files of parts if there
 * is none that does it.  `N` threads play N parts; `ONE` and `TWO` are queues of so many
 * connections.
 *
 * Threads: as in tests/sched/sched.h.
 */
#include "tests/sched/play.h"

#define ONE "pool=queue&pool_size=1&max_overflow=0"
#define TWO "pool=queue&pool_size=2&max_overflow=0"

const struct scenario scenarios[] = {
    /* Contention, with and without a deadline. */
    { .name = "pair", .url = ONE, .preemptions = 2, .parts = { part_take, part_take } },
    { .name = "pair-once",
      .url = ONE,
      .preemptions = 2,
      .parts = { part_take_once, part_take_once } },
    { .name = "three", .url = ONE, .parts = { part_take, part_take, part_take_once } },
    { .name = "three-on-two", .url = TWO, .parts = { part_take, part_take, part_take } },
    { .name = "overflow",
      .url = "pool=queue&pool_size=1&max_overflow=1",
      .parts = { part_take, part_take, part_take } },
    { .name = "fifo",
      .url = TWO "&order=fifo",
      .parts = { part_take, part_take, part_take } },
    { .name = "in-time",
      .url = ONE,
      .parts = { part_take_in_time, part_take_in_time, part_take } },
    { .name = "late",
      .url = ONE,
      .preemptions = 2,
      .parts = { part_hold_for_late, part_late } },
    { .name = "try", .url = ONE, .parts = { part_try, part_take, part_try } },
    { .name = "clock",
      .url = ONE,
      .has_clock = true,
      .parts = { part_hold_till_timeout, part_wait_on_clock, part_move_clock } },

    /* Closing and freeing. */
    { .name = "close",
      .url = ONE,
      .preemptions = 2,
      .parts = { part_take_until_closed, part_close } },
    { .name = "close-on-waiters",
      .url = ONE,
      .parts = { part_take_until_closed, part_take_until_closed, part_take_until_closed,
                 part_close } },
    { .name = "close-in-time",
      .url = TWO,
      .parts = { part_take_until_closed, part_take_until_closed, part_close_in_time } },
    { .name = "close-twice",
      .url = ONE,
      .parts = { part_take_until_closed, part_close, part_close } },
    { .name = "free",
      .url = TWO,
      .set_up = set_up_outsiders,
      .parts = { part_take_then_free, part_take_then_free, part_free_while_lent } },
    { .name = "free-and-reuse",
      .url = TWO,
      .set_up = set_up_outsiders,
      .parts = { part_take_then_free, part_take_then_free, part_free_while_lent,
                 part_open_another } },

    /* Failures. */
    { .name = "failing-connect",
      .url = ONE,
      .set_up = set_up_failing_connect,
      .parts = { part_take_or_fail, part_take_or_fail, part_take_or_fail } },
    { .name = "failing-connect-once",
      .url = ONE,
      .set_up = set_up_failing_connect,
      .parts = { part_take_once_or_fail, part_take_once_or_fail, part_take_once_or_fail } },
    { .name = "failing-reset",
      .url = ONE,
      .set_up = set_up_failing_reset,
      .parts = { part_take, part_take, part_take_in_time } },

    /* One lease, two threads. */
    { .name = "twice",
      .url = ONE,
      .preemptions = 3,
      .parts = { part_lend_twice, part_check_in_twice } },
    { .name = "twice-in-a-crowd",
      .url = ONE,
      .parts = { part_lend_twice, part_check_in_twice, part_take } },

    /* Who looks on. */
    { .name = "stats", .url = TWO, .parts = { part_take, part_take, part_read_stats } },
    { .name = "stats-on-waiters",
      .url = ONE,
      .parts = { part_take, part_take_in_time, part_read_stats } },
    { .name = "holders",
      .url = TWO,
      .parts = { part_take_with_a_label, part_take_with_a_label, part_read_holders } },
    { .name = "holders-in-turn",
      .url = ONE,
      .parts = { part_take_with_a_label, part_take_with_a_label, part_read_holders } },
    { .name = "holders-of-one",
      .url = ONE,
      .parts = { part_take_with_a_label, part_read_holders } },
    { .name = "relabel", .url = ONE, .parts = { part_relabel, part_read_holders } },

    /* Hooks. */
    { .name = "hooks",
      .url = ONE,
      .parts = { part_take_with_hook, part_take_with_hook, part_add_and_remove_hook } },

    /* Dispose, invalidate, detach. */
    { .name = "dispose", .url = TWO, .parts = { part_take, part_take, part_dispose } },
    { .name = "dispose-null",
      .url = "pool=null",
      .parts = { part_take, part_take, part_dispose } },
    { .name = "invalidate",
      .url = ONE,
      .preemptions = 2,
      .parts = { part_invalidate, part_take } },
    { .name = "invalidate-in-line",
      .url = TWO,
      .parts = { part_invalidate, part_invalidate, part_take } },
    { .name = "invalidate-pool",
      .url = TWO,
      .parts = { part_take_anew, part_take_anew, part_invalidate_all } },
    { .name = "detach",
      .url = ONE,
      .set_up = set_up_outsiders,
      .parts = { part_detach, part_take, part_take } },
    { .name = "detach-and-close",
      .url = ONE,
      .set_up = set_up_outsiders,
      .parts = { part_take_until_closed, part_close_in_time, part_take_until_closed } },

    /* The other kinds. */
    { .name = "static",
      .url = "pool=static",
      .parts = { part_take, part_take, part_take } },
    { .name = "static-transactions",
      .url = "pool=static",
      .parts = { part_transact, part_transact, part_transact } },
    { .name = "static-close",
      .url = "pool=static",
      .parts = { part_take_until_closed, part_take_until_closed, part_close } },
    { .name = "threads",
      .url = "pool=singleton_thread&pool_size=2",
      .has_threads = true,
      .parts = { part_take, part_end_with_lease, part_take } },
    { .name = "threads-close",
      .url = "pool=singleton_thread&pool_size=1",
      .has_threads = true,
      .parts = { part_take_until_closed, part_take_until_closed, part_close } },
    { .name = "assertion",
      .url = "pool=assertion",
      .parts = { part_take_alone, part_take_alone, part_take_alone } },

    { .name = NULL },
};
