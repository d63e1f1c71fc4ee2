/* SPDX-License-Identifier: MIT */
/*
 * Parts around the queue: checkouts of all sorts, closing, and who looks on.
 *
 * Threads: each part is one; see tests/sched/sched.h.
 */
#include "tests/sched/play.h"

#include <lido/sys/clock.h>

#define PATIENCE_MS 10

/* One checkout to the end; true if it had a connection. */
static bool take_use_give(struct play *play, int64_t timeout_ms, int other)
{
    struct lido_conn conn;

    if (!play_take(play, &conn, timeout_ms, other))
        return false;
    play_use(play, &conn);
    play_give(play, &conn);
    return true;
}

void part_take_once(struct play *play)
{
    take_use_give(play, LIDO_TIMEOUT_FOREVER, LIDO_OK);
}

void part_take(struct play *play)
{
    part_take_once(play);
    part_take_once(play);
}

void part_take_in_time(struct play *play)
{
    take_use_give(play, PATIENCE_MS, LIDO_POOL_TIMEOUT);
    take_use_give(play, PATIENCE_MS, LIDO_POOL_TIMEOUT);
}

void part_try(struct play *play)
{
    take_use_give(play, LIDO_TIMEOUT_TRY, LIDO_POOL_TIMEOUT);
}

void part_take_once_or_fail(struct play *play)
{
    take_use_give(play, LIDO_TIMEOUT_FOREVER, play->failure);
}

void part_take_or_fail(struct play *play)
{
    part_take_once_or_fail(play);
    part_take_once_or_fail(play);
}

void part_take_until_closed(struct play *play)
{
    for (int i = 0; i < 3; i++)
        if (!take_use_give(play, LIDO_TIMEOUT_FOREVER, LIDO_CLOSED))
            return;
}

/* `file` and line say who it is, and the label too: a reader must not see them mixed. */
void part_take_with_a_label(struct play *play)
{
    static const char *const files[MOST_PARTS] = { "0", "1", "2", "3" };
    struct lido_checkout_options options = LIDO_CHECKOUT_OPTIONS_INIT;
    struct lido_conn conn;
    int rc;

    options.timeout_ms = LIDO_TIMEOUT_FOREVER;
    for (int i = 0; i < 3; i++) {
        char label[32] = "a label that fills all words  ";

        label[2] = (char)('0' + sched_self());
        label[29] = (char)('0' + sched_self());
        options.label = i == 1 ? NULL : label;
        rc = lido_pool_checkout_at(play->pool, &conn, &options, files[sched_self()],
                                   sched_self(), NULL);
        sched_expect(rc == LIDO_OK, "a checkout answered %s", lido_status_name(rc));
        play->took++;
        play_use(play, &conn);
        if (i == 1)
            sched_expect(lido_conn_set_label(&conn, label, NULL) == LIDO_OK, "no label");
        play_give(play, &conn);
    }
}

/* One lease, two labels in turn. */
void part_relabel(struct play *play)
{
    static const char *const labels[] = { "a label that fills all words  a",
                                          "b label that fills all words  b" };
    struct lido_conn conn;
    int rc = lido_pool_checkout_at(play->pool, &conn, NULL, NULL, 0, NULL);

    sched_expect(rc == LIDO_OK, "a checkout answered %s", lido_status_name(rc));
    play->took++;
    for (int i = 0; i < 8; i++)
        sched_expect(lido_conn_set_label(&conn, labels[i % 2], NULL) == LIDO_OK,
                     "no label");
    play_give(play, &conn);
}

static int look_at(void *ctx, const struct lido_holder *holder)
{
    const char *label = holder->label;

    (void)ctx;
    if (holder->file == NULL) {
        sched_expect(label[0] == label[30] || label[0] == '\0', "a mixed label: %s", label);
        return 0;
    }
    sched_expect(holder->file[0] - '0' == holder->line,
                 "a holder at line %d of another's file", holder->line);
    sched_expect(label[0] == '\0' ||
                     (label[2] - '0' == holder->line && label[29] == label[2]),
                 "a holder with a label of others: %s at line %d", label, holder->line);
    return 0;
}

void part_read_holders(struct play *play)
{
    for (int i = 0; i < 6; i++)
        sched_expect(lido_pool_holders(play->pool, look_at, NULL, NULL) == LIDO_OK,
                     "no holders");
}

void part_read_stats(struct play *play)
{
    for (int i = 0; i < 3; i++)
        play_expect_sound(play->pool);
}

/* Gives back at the moment in which part_late() may give up.  Then tries: either the late one
   has it, or it is free. */
void part_hold_for_late(struct play *play)
{
    struct lido_conn conn;
    bool has_one;

    play_take(play, &conn, LIDO_TIMEOUT_FOREVER, LIDO_OK);
    play->flags[0] = 1;
    play_use(play, &conn);
    play_give(play, &conn);
    has_one = play_take(play, &conn, LIDO_TIMEOUT_TRY, LIDO_POOL_TIMEOUT);
    sched_expect(has_one || play->flags[1] != 2,
                 "a waiter waited in vain, and yet the connection is not free");
    if (has_one)
        play_give(play, &conn);
    play->flags[2] = 1;
}

void part_late(struct play *play)
{
    struct lido_conn conn;

    sched_wait_for(&play->flags[0], 1);
    if (play_take(play, &conn, PATIENCE_MS, LIDO_POOL_TIMEOUT)) {
        play->flags[1] = 1;
        play_use(play, &conn);
        sched_wait_for(&play->flags[2], 1);
        play_give(play, &conn);
    } else {
        play->flags[1] = 2;
    }
}

void part_close(struct play *play)
{
    int rc = lido_pool_close(play->pool, -1, NULL);

    sched_expect(rc == LIDO_OK, "close answered %s", lido_status_name(rc));
    sched_expect(play_open_count() == 0, "%d connections are open after close",
                 play_open_count());
}

void part_close_in_time(struct play *play)
{
    int rc = lido_pool_close(play->pool, sched_chance(2) ? 0 : PATIENCE_MS, NULL);

    sched_expect(rc == LIDO_OK || rc == LIDO_BUSY_LEASES, "close answered %s",
                 lido_status_name(rc));
    play_expect_sound(play->pool);
}

void part_take_then_free(struct play *play)
{
    struct lido_conn conn;

    play_take(play, &conn, LIDO_TIMEOUT_FOREVER, LIDO_OK);
    play->flags[0]++;
    play_use(play, &conn);
    play_give(play, &conn);
    play->flags[1]++;
}

void part_free_while_lent(struct play *play)
{
    lido_pool *pool = play->pool;

    sched_wait_for(&play->flags[0], 2);
    play->pool = NULL;
    if (sched_chance(2))
        (void)lido_pool_close(pool, 0, NULL);
    lido_pool_free(pool);
}

/* It gets the memory that the freed pool and its slots leave. */
void part_open_another(struct play *play)
{
    struct play mine = { .limit = -1 };
    int rc;

    sched_wait_for(&play->flags[0], 2);
    mine.pool = play_open(&mine, "pool=queue&pool_size=1&max_overflow=0", false);
    part_take(&mine);
    play_expect_sound(mine.pool);
    rc = lido_pool_close(mine.pool, 0, NULL);
    sched_expect(rc == LIDO_OK, "close of another pool answered %s", lido_status_name(rc));
    lido_pool_free(mine.pool);
}

void part_lend_twice(struct play *play)
{
    struct lido_conn copy;

    play_take(play, &play->shared, LIDO_TIMEOUT_FOREVER, LIDO_OK);
    copy = play->shared;
    play->flags[0] = 1;
    sched_point();
    play->gave += lido_conn_checkin(&copy, NULL, NULL) == LIDO_OK;
    play->flags[1]++;
    sched_wait_for(&play->flags[1], 2);
    sched_expect(play->gave >= 1, "no copy of the lease could be checked in");
}

void part_check_in_twice(struct play *play)
{
    struct lido_conn copy;
    int rc;

    sched_wait_for(&play->flags[0], 1);
    copy = play->shared;
    rc = lido_conn_checkin(&copy, NULL, NULL);
    sched_expect(rc == LIDO_OK || rc == LIDO_STALE, "a check-in answered %s",
                 lido_status_name(rc));
    play->gave += rc == LIDO_OK;
    play->flags[1]++;
}

void part_hold_till_timeout(struct play *play)
{
    struct lido_conn conn;

    play_take(play, &conn, LIDO_TIMEOUT_FOREVER, LIDO_OK);
    play->flags[0] = 1;
    sched_wait_for(&play->flags[1], 1);
    play_give(play, &conn);
}

void part_wait_on_clock(struct play *play)
{
    struct lido_conn conn;

    sched_wait_for(&play->flags[0], 1);
    sched_expect(!play_take(play, &conn, PATIENCE_MS, LIDO_POOL_TIMEOUT),
                 "a connection that another holds");
    play->flags[1] = 1;
}

/* After the waiter has read the time, once and by more than it waits for. */
void part_move_clock(struct play *play)
{
    sched_wait_for(&play->flags[3], 1);
    play->clock_ns += 2 * PATIENCE_MS * INT64_C(1000000);
    lido_clock_moved(&play->clock);
}
