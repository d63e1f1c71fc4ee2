/* SPDX-License-Identifier: MIT */
/*
 * Parts that end with a lease out, and those that want it: by reclaiming, or by a hand-over.
 *
 * flags[0]: the lease is out, in play->shared; flags[1]: somebody has ended it.  Nobody can
 * tell when a thread has ended, so who reclaims tries, naps, and tries again.
 *
 * Compiled as lido is, for lido's naps.
 *
 * Threads: each part is one; see tests/sched/sched.h.
 */
#include "base/sync.h"
#include "tests/sched/play.h"

void part_leave_lease(struct play *play)
{
    play_take(play, &play->shared, LIDO_TIMEOUT_FOREVER, LIDO_OK);
    play_use(play, &play->shared);
    play->flags[0] = 1;
}

void part_reclaim(struct play *play)
{
    struct lido_error err = LIDO_ERROR_INIT;
    int64_t count;
    int rc;

    while (play->flags[1] == 0) {
        rc = lido_pool_reclaim(play->pool, &count, &err);
        sched_expect(rc == LIDO_OK, "reclaiming answered %s: %s", lido_status_name(rc),
                     err.text);
        sched_expect(count == 0 || (count == 1 && play->flags[0] == 1),
                     "%d leases were reclaimed", (int)count);
        play->gave += (int)count;
        if (count > 0)
            play->flags[1] = 1;
        else
            lido__sleep(NULL, LIDO_NS_PER_MS);
    }
}

/* Its own lease, or none. */
void part_take_over(struct play *play)
{
    struct lido_conn conn;
    int rc;

    sched_wait_for(&play->flags[0], 1);
    conn = play->shared;
    rc = lido_conn_hand_over(&conn, NULL);
    sched_expect(rc == LIDO_OK || rc == LIDO_STALE, "a hand-over answered %s",
                 lido_status_name(rc));
    if (rc != LIDO_OK)
        return;
    play_use(play, &conn);
    sched_point();
    play_give(play, &conn);
    play->flags[1] = 1;
}
