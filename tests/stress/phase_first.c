/* SPDX-License-Identifier: MIT */
/*
 * Phase first: the first checkouts of a pool at the same moment, with a first_connect hook
 * that needs a connection of the same pool.
 *
 * The pool has room for two, so nobody who waits for the hook may sit on the second slot.
 * The hook runs once, and no connect hook of another thread before it has ended.
 *
 * Threads: three.
 */
#include "tests/stress/hammer.h"

#include <sched.h>

#define WORKERS 3

struct firsts {
    lido_pool *pool;
    struct hammer_meeting meeting;
    int rounds;
    atomic_int runs; /* of first_connect, in this pool */
    atomic_int is_done;
};

static _Thread_local bool is_inside; /* this thread runs first_connect */

static int on_first_connect(void *ctx, const struct lido_event *event,
                            struct lido_error *err)
{
    struct firsts *firsts = ctx;
    struct lido_conn conn;
    int rc;

    is_inside = true;
    atomic_fetch_add_explicit(&firsts->runs, 1, memory_order_relaxed);
    for (int i = 0; i < 20; i++)
        sched_yield(); /* lets the others come */
    rc = lido_pool_checkout(event->pool, &conn, NULL, err);
    hammer_expect(rc == LIDO_OK, "a checkout inside the hook answered %s",
                  lido_status_name(rc));
    if (rc == LIDO_OK)
        rc = lido_conn_checkin(&conn, NULL, err);
    is_inside = false;
    atomic_store_explicit(&firsts->is_done, 1, memory_order_relaxed);
    return rc;
}

static int on_connect(void *ctx, const struct lido_event *event, struct lido_error *err)
{
    struct firsts *firsts = ctx;

    (void)event, (void)err;
    hammer_expect(is_inside || atomic_load_explicit(&firsts->is_done, memory_order_relaxed),
                  "a connect hook did not wait for first_connect");
    return LIDO_OK;
}

static const struct lido_events hooks = { .size = sizeof hooks,
                                          .first_connect = on_first_connect,
                                          .connect = on_connect };

static void open_one(struct firsts *firsts)
{
    firsts->pool = hammer_open("bare:///x?pool=queue&pool_size=1&max_overflow=1"
                               "&pool_timeout=-1");
    hammer_expect(lido_hooks_add(lido_pool_hooks(firsts->pool), NULL, &hooks, firsts, NULL,
                                 NULL) == LIDO_OK,
                  "no hook was added");
    firsts->runs = 0;
    firsts->is_done = 0;
}

static void close_one(struct firsts *firsts)
{
    hammer_expect(firsts->runs == 1, "first_connect ran %d times", firsts->runs);
    hammer_expect(lido_pool_close(firsts->pool, 0, NULL) == LIDO_OK, "close");
    lido_pool_free(firsts->pool);
}

static void run(void *ctx, int number, uint64_t *random)
{
    struct firsts *firsts = ctx;

    for (int i = 0; i < firsts->rounds; i++) {
        struct lido_conn conn;
        int rc;

        if (number == 0)
            open_one(firsts);
        hammer_meet(&firsts->meeting);
        hammer_pause(random);
        rc = lido_pool_checkout(firsts->pool, &conn, NULL, NULL);
        hammer_expect(rc == LIDO_OK, "a checkout answered %s", lido_status_name(rc));
        if (rc == LIDO_OK)
            lido_conn_checkin(&conn, NULL, NULL);
        hammer_meet(&firsts->meeting);
        if (number == 0)
            close_one(firsts);
    }
}

void phase_first(void)
{
    struct firsts firsts = { .meeting = { .count = WORKERS },
                             .rounds = hammer_rounds(1000) };

    bare_driver_install();
    hammer_run(WORKERS, run, &firsts);
    hammer_expect(bare_driver_open_count() == 0, "%d connections leaked",
                  bare_driver_open_count());
}
