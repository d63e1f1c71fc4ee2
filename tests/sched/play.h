/* SPDX-License-Identifier: MIT */
#ifndef LIDO_TESTS_SCHED_PLAY_H
#define LIDO_TESTS_SCHED_PLAY_H

/*
 * What the scenarios share: one pool, a driver that watches who uses its connections, and
 * parts that threads play.  tests/sched/scenarios.c has the table of scenarios.
 *
 * Threads: as in tests/sched/sched.h: plain variables are enough.
 */
#include "tests/sched/sched.h"
#include <lido/lido.h>
#include <stddef.h>

#define MOST_PARTS 4
#define N_FLAGS    4

struct play {
    lido_pool *pool; /* NULL once a part has freed it */
    lido_pool *second;
    int64_t limit;
    int flags[N_FLAGS];      /* for sched_wait_for() */
    struct lido_conn shared; /* a lease for several threads */
    lido_cancel *token;      /* NULL: none */

    int took, gave, timeouts; /* what the threads counted, against the statistics */
    bool counts_all;          /* false: a part did what is not counted here */
    int held;                 /* leases that are used now */

    int fail_connects, fail_resets; /* so many times */
    int failure;                    /* what part_take_or_fail() may get */
    int least_number;               /* connections before this one are not to be lent */
    bool is_in_txn;
    int hooks_running;
    bool is_hook_removed, is_hook_gone;
    bool has_first_run;
    int first_runner; /* a thread, or -1 */
    struct lido_clock clock;
    int64_t clock_ns;
};

typedef void (*play_part)(struct play *play);

struct scenario {
    const char *name;
    const char *url;  /* after sched:///x? */
    bool has_clock;   /* the pool's time is play->clock_ns */
    bool has_threads; /* a lease serves only the thread that checked it out */
    int preemptions;  /* in all schedules that are tried; 0: too many to try */
    void (*set_up)(struct play *play);
    play_part parts[MOST_PARTS]; /* one for each thread */
};

/* tests/sched/scenarios.c; the last has no name. */
extern const struct scenario scenarios[];

void play_install_driver(void);
/* Opens the pool, runs the parts, and checks that nothing is left and that all adds up. */
void play(const struct scenario *scenario, enum sched_how how, uint64_t seed,
          unsigned expected);
lido_pool *play_open(struct play *play, const char *url, bool has_threads);

/* The memory that lido keeps is what it was, before each play: tests/sched/slabs.c. */
void play_keep_memory(void);
void play_restore_memory(void);

/* Memory that is used after its end is found: tests/sched/heap.c. */
void play_install_heap(void);
void play_bury_dead(void);

/* A checkout: true if it has one.  Any answer but LIDO_OK and `other` is a failure. */
bool play_take(struct play *play, struct lido_conn *conn, int64_t timeout_ms, int other);
/* Works with the connection; nobody else may have it. */
void play_use(struct play *play, const struct lido_conn *conn);
void play_give(struct play *play, struct lido_conn *conn);
/* Connections that the driver has open; that it ever had; and which of these the lease is. */
int play_open_count(void);
int play_count(void);
int play_number(const struct lido_conn *conn);
void play_expect_sound(lido_pool *pool);

/* Parts: tests/sched/parts_queue.c */
void part_take(struct play *play);         /* twice, waits for ever */
void part_take_once(struct play *play);    /* the same, once */
void part_take_in_time(struct play *play); /* waits 10 ms */
void part_try(struct play *play);          /* does not wait */
void part_take_or_fail(struct play *play); /* the connect may fail */
void part_take_once_or_fail(struct play *play);
void part_take_until_closed(struct play *play);
void part_take_with_a_label(struct play *play);
void part_relabel(struct play *play);
void part_hold_for_late(struct play *play); /* gives when a waiter gives up */
void part_late(struct play *play);
void part_close(struct play *play);           /* waits for all leases */
void part_close_in_time(struct play *play);   /* or not at all */
void part_free_while_lent(struct play *play); /* when a lease is out */
void part_take_then_free(struct play *play);  /* that lease */
void part_open_another(struct play *play);    /* a pool, in the memory of the freed one */
void part_lend_twice(struct play *play);
void part_check_in_twice(struct play *play);
void part_read_stats(struct play *play);
void part_read_holders(struct play *play);
void part_hold_till_timeout(struct play *play);
void part_wait_on_clock(struct play *play);
void part_move_clock(struct play *play);

/* Parts: tests/sched/parts_more.c */
void set_up_failing_connect(struct play *play);
void set_up_failing_reset(struct play *play);
void set_up_first(struct play *play);
void set_up_outsiders(struct play *play); /* more than the limit may be open and in use */
void part_add_and_remove_hook(struct play *play);
void part_take_with_hook(struct play *play); /* when it was added */
void part_dispose(struct play *play);
void part_dispose_and_renew(
    struct play *play); /* the kinds where nothing old is lent again */
void part_invalidate_all(struct play *play);
void part_take_anew(struct play *play); /* not what was there before these three */
void part_invalidate(struct play *play);
void part_detach(struct play *play);
void part_take_alone(struct play *play); /* assertion: or it is out */
void part_transact(struct play *play);   /* on a connection that others have too */
void part_end_with_lease(struct play *play);

/* Parts: tests/sched/parts_cancel.c */
void set_up_cancel(struct play *play);
void set_up_cancel_first(struct play *play);
void set_up_cancel_late_first(struct play *play);
void part_add_first_and_take(struct play *play);
void part_take_cancellable(struct play *play);
void part_hold_for_cancelled(struct play *play); /* until one of these is done */
void part_hold_for_two_cancelled(struct play *play);
void part_begin_cancellable(struct play *play); /* on a connection that others have too */
void part_transact_for_cancelled(struct play *play);
void part_fire(struct play *play);
void part_lend_and_take_anew(struct play *play);
void part_cancel_lease(struct play *play);

/* Parts: tests/sched/parts_gate.c.  Each enters the same gate; twice, unless it says more. */
void set_up_gate(struct play *play);
void part_gate(struct play *play);           /* in order of arrival */
void part_gate_aging(struct play *play);     /* not to be overtaken after 10 ms */
void part_gate_never_due(struct play *play); /* always to be overtaken */
void part_gate_soon(struct play *play);
void part_gate_hold_for_a_nap(struct play *play);
void part_gate_high(struct play *play);    /* with a high priority */
void part_gate_in_time(struct play *play); /* waits 10 ms */
void part_gate_in_time_aging(struct play *play);
void part_gate_try(struct play *play);
void part_gate_hold_for_late(struct play *play); /* leaves when a waiter gave up */
void part_gate_late(struct play *play);
void part_gate_hold_for_cancelled(struct play *play); /* leaves when one of these is done */
void part_gate_cancellable_later(struct play *play);
void part_gate_cancellable(struct play *play);
void part_gate_cancellable_never_due(struct play *play);
void part_gate_hold_for_first(struct play *play);
void part_gate_first(struct play *play);  /* comes first, and is first */
void part_gate_second(struct play *play); /* comes when the first stands in line */
void part_gate_hold_for_second(struct play *play);
void part_gate_first_low(struct play *play); /* may be overtaken, and is, by the second */
void part_gate_second_high(struct play *play);
void part_gate_look(struct play *play); /* three times */

/* Parts: tests/sched/parts_reclaim.c. */
void part_leave_lease(struct play *play); /* ends with it */
void part_reclaim(struct play *play);     /* until somebody has ended it */
void part_take_over(struct play *play);   /* the same lease, unless it was reclaimed */

/* Parts: tests/sched/parts_ring.c.  Each may be told that it closes a ring, and gives up. */
void set_up_ring(struct play *play);
void set_up_ring_in_time(struct play *play);
void part_ring_enter_and_take(struct play *play); /* the gate, and then another lease */
void part_ring_enter_and_take_never_due(struct play *play);
void part_ring_enter_and_take_in_time(struct play *play); /* that within 10 ms */
void part_ring_take_and_enter(struct play *play);
void part_ring_take_and_enter_never_due(struct play *play);
void part_ring_take_and_enter_in_time(struct play *play);
void part_ring_take_two(struct play *play);
void part_ring_take_one(struct play *play); /* twice; never waits with one in its hands */
void set_up_ring_cancel(struct play *play);
void part_ring_cancelled(struct play *play);
void part_ring_cancelled_in_line(struct play *play);
void part_ring_take_after_cancel(struct play *play); /* gets that one's lease */
void part_ring_fire(struct play *play);

/* Parts: tests/sched/parts_run.c.  A run is one that writes; each part has two, unless it says
   more. */
void set_up_runs(struct play *play);
void set_up_runs_at_first(struct play *play);  /* the pool has no connection yet */
void set_up_runs_by_writer(struct play *play); /* and none by another connection */
void set_up_runs_tidy(struct play *play);
void set_up_runs_cancel(struct play *play);
void set_up_runs_parked(struct play *play); /* the writer is parked */
void part_run(struct play *play);
void part_run_once(struct play *play);
void part_write_by_lease(struct play *play); /* the same without a run */
void part_run_cancellable(struct play *play);
void part_run_hold_for_cancelled(struct play *play); /* until that one is done */
void part_run_cancellable_later(struct play *play);
void part_run_until_closed(struct play *play);
void part_run_hold_for_closed(struct play *play); /* until two gave up, for it was closed */
void part_run_in_vain(struct play *play);
void part_close_runs(struct play *play); /* none works after that */
void part_close_when_one_runs(struct play *play);
void part_tidy(struct play *play);

#endif
