/* SPDX-License-Identifier: MIT */
/*
 * Parts with a token, play->token, and with a lease that another thread cancels.
 *
 * flags[0] counts who is done with the token, flags[1] says that the connection, or its
 * transaction, is somebody's: so who holds it lets go only when nobody waits for it by the
 * token any more, and only a fired token can have ended that wait.
 *
 * Threads: each part is one; see tests/sched/sched.h.
 */
#include "tests/sched/play.h"

void set_up_cancel(struct play *play)
{
    sched_expect(lido_cancel_new(&play->token, NULL) == LIDO_OK, "no token");
}

/* Thread 0 is slow to run first_connect. */
static int wait_in_first(void *ctx, const struct lido_event *event, struct lido_error *err)
{
    struct play *play = ctx;

    (void)event, (void)err;
    if (sched_self() == 0)
        sched_wait_for(&play->flags[0], 1);
    return LIDO_OK;
}

static void add_first(struct play *play)
{
    static const struct lido_events hooks = { .size = sizeof hooks,
                                              .first_connect = wait_in_first };

    sched_expect(lido_hooks_add(lido_pool_hooks(play->pool), NULL, &hooks, play, NULL,
                                NULL) == LIDO_OK,
                 "no hook was added");
}

void set_up_cancel_first(struct play *play)
{
    set_up_cancel(play);
    add_first(play);
}

void set_up_cancel_late_first(struct play *play)
{
    set_up_cancel(play);
    play->counts_all =
        false; /* a checkout is counted, and then cancelled in its hook's turn */
}

/* Others may have claimed their slots by then, and wait with them for the hook. */
void part_add_first_and_take(struct play *play)
{
    add_first(play);
    part_take_once(play);
}

static bool take(struct play *play, struct lido_conn *conn)
{
    struct lido_checkout_options options = LIDO_CHECKOUT_OPTIONS_INIT;
    int rc;

    options.timeout_ms = LIDO_TIMEOUT_FOREVER;
    options.cancel = play->token;
    rc = lido_pool_checkout(play->pool, conn, &options, NULL);
    sched_expect(rc == LIDO_OK || rc == LIDO_CANCELLED, "a checkout answered %s",
                 lido_status_name(rc));
    sched_expect(rc == LIDO_OK || lido_cancel_is_fired(play->token),
                 "a checkout was cancelled before anybody asked for it");
    play->took += rc == LIDO_OK;
    return rc == LIDO_OK;
}

void part_take_cancellable(struct play *play)
{
    struct lido_conn conn;

    if (take(play, &conn)) {
        play_use(play, &conn);
        play_give(play, &conn);
    }
    play->flags[0]++;
}

static void hold_for(struct play *play, int waiters)
{
    struct lido_conn conn;

    play_take(play, &conn, LIDO_TIMEOUT_FOREVER, LIDO_OK);
    sched_wait_for(&play->flags[0], waiters);
    play_use(play, &conn);
    play_give(play, &conn);
}

void part_hold_for_cancelled(struct play *play)
{
    hold_for(play, 1);
}

void part_hold_for_two_cancelled(struct play *play)
{
    hold_for(play, 2);
}

void part_fire(struct play *play)
{
    sched_point();
    sched_expect(lido_cancel_fire(play->token, NULL) == LIDO_OK, "it was not fired");
}

void part_begin_cancellable(struct play *play)
{
    struct lido_conn conn;
    int rc;

    if (take(play, &conn)) {
        rc = lido_txn_begin(&conn, LIDO_BEGIN_DEFAULT, NULL);
        sched_expect(rc == LIDO_OK || rc == LIDO_CANCELLED, "begin answered %s",
                     lido_status_name(rc));
        if (rc == LIDO_OK)
            rc = lido_txn_rollback(&conn, NULL);
        sched_expect(rc == LIDO_OK || rc == LIDO_CANCELLED, "rollback answered %s",
                     lido_status_name(rc));
        play_give(play, &conn);
    }
    play->flags[0]++;
}

void part_transact_for_cancelled(struct play *play)
{
    struct lido_conn conn;
    int rc;

    play_take(play, &conn, LIDO_TIMEOUT_FOREVER, LIDO_OK);
    rc = lido_txn_begin(&conn, LIDO_BEGIN_DEFAULT, NULL);
    sched_expect(rc == LIDO_OK, "begin answered %s", lido_status_name(rc));
    sched_wait_for(&play->flags[0], 1);
    rc = lido_txn_commit(&conn, NULL, NULL);
    sched_expect(rc == LIDO_OK, "commit answered %s", lido_status_name(rc));
    play_give(play, &conn);
}

/* One lease after the other, of which part_cancel_lease() cancels the first. */
void part_lend_and_take_anew(struct play *play)
{
    struct lido_conn conn;
    int rc;

    play_take(play, &conn, LIDO_TIMEOUT_FOREVER, LIDO_OK);
    play->shared = conn;
    play->flags[0] = 1;
    play_use(play, &conn);
    rc = lido_conn_check(&conn, NULL);
    sched_expect(rc == LIDO_OK || rc == LIDO_CANCELLED, "the first lease answered %s",
                 lido_status_name(rc));
    play_give(play, &conn);
    play_take(play, &conn, LIDO_TIMEOUT_FOREVER, LIDO_OK);
    play->flags[1] = 1;
    play_use(play, &conn);
    rc = lido_conn_check(&conn, NULL);
    sched_expect(rc == LIDO_OK, "a lease that nobody cancelled answered %s",
                 lido_status_name(rc));
    rc = lido_txn_begin(&conn, LIDO_BEGIN_DEFAULT, NULL);
    sched_expect(rc == LIDO_OK, "its begin answered %s", lido_status_name(rc));
    play_give(play, &conn);
}

void part_cancel_lease(struct play *play)
{
    bool is_over;
    int rc;

    sched_wait_for(&play->flags[0], 1);
    is_over = play->flags[1] != 0;
    rc = lido_conn_cancel(&play->shared, NULL);
    sched_expect(rc == LIDO_STALE || (rc == LIDO_OK && !is_over),
                 "cancelling a lease answered %s", lido_status_name(rc));
}
