/* SPDX-License-Identifier: MIT */
/*
 * Parts beyond the queue: hooks, what disposes and invalidates, detaching, the other kinds.
 *
 * Threads: each part is one; see tests/sched/sched.h.
 */
#include "tests/sched/play.h"

void set_up_failing_connect(struct play *play)
{
    play->fail_connects = 1;
    play->failure = SQLITE_CANTOPEN;
}

void set_up_failing_reset(struct play *play)
{
    play->fail_resets = 2;
}

void set_up_outsiders(struct play *play)
{
    play->limit = -1;
}

static int on_first_connect(void *ctx, const struct lido_event *event,
                            struct lido_error *err)
{
    struct play *play = ctx;
    struct lido_conn conn;
    int rc;

    sched_expect(!play->has_first_run && play->first_runner < 0, "first_connect ran twice");
    play->first_runner = sched_self();
    sched_point();
    if (sched_self() >= 0 && sched_chance(2)) {
        play->first_runner = -1;
        return lido_fail(err, play->failure, "as planned");
    }
    rc = lido_pool_checkout(event->pool, &conn, NULL, err);
    sched_expect(rc == LIDO_OK, "a checkout inside the hook answered %s",
                 lido_status_name(rc));
    rc = lido_conn_checkin(&conn, NULL, err);
    play->has_first_run = true;
    play->first_runner = -1;
    return rc;
}

static int on_connect(void *ctx, const struct lido_event *event, struct lido_error *err)
{
    const struct play *play = ctx;

    (void)event, (void)err;
    sched_expect(play->has_first_run || play->first_runner == sched_self(),
                 "a connect hook did not wait for first_connect");
    return LIDO_OK;
}

static const struct lido_events first_hooks = { .size = sizeof first_hooks,
                                                .first_connect = on_first_connect,
                                                .connect = on_connect };

void set_up_first(struct play *play)
{
    play->failure = SQLITE_IOERR;
    play->counts_all = false;
    sched_expect(lido_hooks_add(lido_pool_hooks(play->pool), NULL, &first_hooks, play, NULL,
                                NULL) == LIDO_OK,
                 "no hook was added");
}

static int on_any(void *ctx, const struct lido_event *event, struct lido_error *err)
{
    struct play *play = ctx;

    (void)event, (void)err;
    sched_expect(!play->is_hook_gone, "a hook runs that is destroyed");
    play->hooks_running++;
    sched_point();
    play->hooks_running--;
    return LIDO_OK;
}

static void on_destroy(void *ctx)
{
    struct play *play = ctx;

    sched_expect(play->hooks_running == 0, "a hook is destroyed that runs");
    sched_expect(!play->is_hook_gone, "a hook is destroyed twice");
    play->is_hook_gone = true;
}

void part_add_and_remove_hook(struct play *play)
{
    static const struct lido_events hooks = { .size = sizeof hooks,
                                              .checkout = on_any,
                                              .checkin = on_any };
    struct lido_hook_options options = LIDO_HOOK_OPTIONS_INIT;
    lido_hooks *target = lido_pool_hooks(play->pool);
    lido_hook hook;

    options.destroy = on_destroy;
    sched_expect(lido_hooks_add(target, &hook, &hooks, play, &options, NULL) == LIDO_OK,
                 "no hook was added");
    play->flags[0] = 1;
    sched_point();
    sched_expect(lido_hooks_remove(target, hook, NULL) == LIDO_OK, "no hook was removed");
    play->is_hook_removed = true;
}

void part_take_with_hook(struct play *play)
{
    sched_wait_for(&play->flags[0], 1);
    part_take(play);
}

void part_dispose(struct play *play)
{
    int rc = lido_pool_dispose(play->pool, NULL);

    sched_expect(rc == LIDO_OK, "dispose answered %s", lido_status_name(rc));
}

void part_dispose_and_renew(struct play *play)
{
    int count = play_count();

    part_dispose(play);
    play->least_number = count;
}

void part_invalidate_all(struct play *play)
{
    int count = play_count();

    sched_expect(lido_pool_invalidate(play->pool, NULL) == LIDO_OK, "not invalidated");
    play->least_number = count;
}

void part_take_anew(struct play *play)
{
    struct lido_conn conn;

    for (int i = 0; i < 2; i++) {
        int least = play->least_number;

        play_take(play, &conn, LIDO_TIMEOUT_FOREVER, LIDO_OK);
        sched_expect(play_number(&conn) >= least, "a connection of before is lent again");
        play_use(play, &conn);
        play_give(play, &conn);
    }
}

void part_invalidate(struct play *play)
{
    struct lido_conn conn;
    int number, rc;

    play_take(play, &conn, LIDO_TIMEOUT_FOREVER, LIDO_OK);
    number = play_number(&conn);
    play_use(play, &conn);
    rc = sched_chance(2) ? lido_conn_invalidate(&conn, NULL, NULL)
                         : lido_conn_invalidate_pool(&conn, NULL, NULL);
    sched_expect(rc == LIDO_OK, "an invalidation answered %s", lido_status_name(rc));
    play->gave++;
    play_take(play, &conn, LIDO_TIMEOUT_FOREVER, LIDO_OK);
    sched_expect(play_number(&conn) != number, "an invalidated connection is lent again");
    play_use(play, &conn);
    play_give(play, &conn);
}

void part_detach(struct play *play)
{
    struct lido_conn conn;
    int rc;

    play_take(play, &conn, LIDO_TIMEOUT_FOREVER, LIDO_OK);
    play_use(play, &conn);
    rc = lido_conn_detach(&conn, NULL);
    sched_expect(rc == LIDO_OK, "detach answered %s", lido_status_name(rc));
    play->flags[0]++;
    play_use(play, &conn);
    play_give(play, &conn);
}

void part_take_alone(struct play *play)
{
    struct lido_conn conn;

    for (int i = 0; i < 2; i++) {
        if (!play_take(play, &conn, LIDO_TIMEOUT_FOREVER, LIDO_CHECKED_OUT)) {
            play->timeouts++;
            continue;
        }
        play_use(play, &conn);
        play_give(play, &conn);
    }
}

void part_transact(struct play *play)
{
    struct lido_conn conn;
    int rc;

    play_take(play, &conn, LIDO_TIMEOUT_FOREVER, LIDO_OK);
    rc = lido_txn_begin(&conn, LIDO_BEGIN_DEFAULT, NULL);
    sched_expect(rc == LIDO_OK || rc == SQLITE_BUSY, "begin answered %s",
                 lido_status_name(rc));
    if (rc == LIDO_OK) {
        sched_expect(!play->is_in_txn, "two leases have a transaction");
        play->is_in_txn = true;
        play_use(play, &conn);
        play->is_in_txn = false;
        if (sched_chance(2))
            rc = lido_txn_commit(&conn, NULL, NULL);
        sched_expect(rc == LIDO_OK, "commit answered %s", lido_status_name(rc));
    }
    play_give(play, &conn);
}

void part_end_with_lease(struct play *play)
{
    struct lido_conn conn;

    play_take(play, &conn, LIDO_TIMEOUT_FOREVER, LIDO_OK);
    play_use(play, &conn);
    play->gave++; /* by the end of the thread */
}
