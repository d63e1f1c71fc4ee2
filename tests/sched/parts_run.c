/* SPDX-License-Identifier: MIT */
/*
 * Parts that run functions in transactions that write: a run waits for the gate with nothing in
 * its hands, and then takes the pool's writer.
 *
 * The driver's connections have no file, so the pool of these scenarios finds its gate here.
 * set_up_runs() has the pool's first connection opened and given back: from then on who is in
 * the gate finds the writer, always.  Thus play->least_number is the writer's, where nothing
 * but a run in its turn can have made another.
 *
 * flags[0] counts who came in vain, flags[1] says that a run is in,
 * flags[2] that the pool has been closed.
 *
 * Compiled as lido is, for the pool has lido's locks in it.
 *
 * Threads: each part is one; see tests/sched/sched.h.
 */
#include "pool/pool.h"
#include "tests/sched/play.h"
#include "txn/gate_set.h"
#include "txn/txn.h"

#define WAITERS 2 /* that a run in its turn waits for, in part_run_hold_for_closed() */

static struct lido__gate_calls calls;
static int waited_for; /* by the run that holds, in flags[0] */

bool __wrap_lido__gate_set_is_needed(const struct lido_record *record);

/* It would ask SQLite, by the handle. */
bool __wrap_lido__gate_set_is_needed(const struct lido_record *record)
{
    (void)record;
    return false;
}

static int find(struct lido_record *record, struct lido_error *err)
{
    lido_pool *pool = record->pool;
    struct lido__gate *gate = lido__gate_find(3, 3);

    (void)err;
    sched_expect(gate != NULL, "no gate");
    record->file_gate = gate;
    lido__mutex_lock(&pool->lock);
    if (pool->file_gate == NULL) {
        lido__gate_share(gate);
        pool->file_gate = gate;
    }
    lido__mutex_unlock(&pool->lock);
    return LIDO_OK;
}

void set_up_runs_at_first(struct play *play)
{
    calls = lido__gates;
    calls.find = find;
    play->pool->config.gates = &calls;
    play->limit++; /* the writer is beside it */
}

void set_up_runs(struct play *play)
{
    struct lido_conn conn;

    set_up_runs_at_first(play);
    play_take(play, &conn, LIDO_TIMEOUT_TRY, LIDO_OK);
    play_give(play, &conn);
}

void set_up_runs_by_writer(struct play *play)
{
    set_up_runs(play);
    play->least_number = play_count();
}

/* Nothing is idle since a time before this run's. */
void set_up_runs_tidy(struct play *play)
{
    set_up_runs(play);
    part_dispose(play);
}

void set_up_runs_cancel(struct play *play)
{
    set_up_cancel(play);
    set_up_runs_by_writer(play);
    play->counts_all = false; /* one may be cancelled when its checkout is counted */
}

/* With the transaction that takes the file's lock. */
static void write_alone(struct play *play, const struct lido_conn *conn)
{
    sched_expect(!play->is_in_txn, "two write");
    play->is_in_txn = true;
    sched_use(&play->is_in_txn);
    play_use(play, conn);
    sched_use(&play->is_in_txn);
    play->is_in_txn = false;
}

static int work(void *ctx, const struct lido_conn *conn, struct lido_error *err)
{
    struct play *play = ctx;

    (void)err;
    play->took++;
    play->gave++; /* the run does */
    sched_expect(play->flags[2] == 0, "a run begins in a pool that has been closed");
    sched_expect(play->least_number == 0 || play_number(conn) == play->least_number,
                 "a run has connection %d, which is not the writer", play_number(conn));
    write_alone(play, conn);
    return LIDO_OK;
}

static bool run(struct play *play, lido_run_fn fn, lido_cancel *cancel, int other)
{
    struct lido_run_options options = LIDO_RUN_OPTIONS_INIT;
    struct lido_error err = LIDO_ERROR_INIT;
    int rc;

    options.timeout_ms = LIDO_TIMEOUT_FOREVER;
    options.runs = -1;
    options.cancel = cancel;
    rc = lido_pool_run(play->pool, LIDO_IMMEDIATE, fn, play, &options, &err);
    sched_expect(rc == LIDO_OK || rc == other, "a run answered %s: %s",
                 lido_status_name(rc), err.text);
    return rc == LIDO_OK;
}

void set_up_runs_parked(struct play *play)
{
    set_up_runs(play);
    run(play, work, NULL, LIDO_OK);
}

void part_run_once(struct play *play)
{
    run(play, work, NULL, LIDO_OK);
}

void part_run(struct play *play)
{
    part_run_once(play);
    part_run_once(play);
}

/* With a connection before it waits for the gate. */
void part_write_by_lease(struct play *play)
{
    struct lido_conn conn;
    int rc;

    for (int i = 0; i < 2; i++) {
        play_take(play, &conn, LIDO_TIMEOUT_FOREVER, LIDO_OK);
        rc = lido_txn_begin(&conn, LIDO_IMMEDIATE, NULL);
        sched_expect(rc == LIDO_OK, "begin answered %s", lido_status_name(rc));
        write_alone(play, &conn);
        rc = lido_txn_commit(&conn, NULL, NULL);
        sched_expect(rc == LIDO_OK, "commit answered %s", lido_status_name(rc));
        play_give(play, &conn);
    }
}

void part_run_cancellable(struct play *play)
{
    if (!run(play, work, play->token, LIDO_CANCELLED))
        sched_expect(lido_cancel_is_fired(play->token), "cancelled, and nobody had asked");
    play->flags[0]++;
}

static int work_till_they_gave_up(void *ctx, const struct lido_conn *conn,
                                  struct lido_error *err)
{
    struct play *play = ctx;

    play->flags[1] = 1;
    sched_wait_for(&play->flags[0], waited_for);
    return work(ctx, conn, err);
}

static void hold_for(struct play *play, int waiters)
{
    waited_for = waiters;
    run(play, work_till_they_gave_up, NULL, LIDO_OK);
}

void part_run_hold_for_cancelled(struct play *play)
{
    hold_for(play, 1);
}

void part_run_cancellable_later(struct play *play)
{
    sched_wait_for(&play->flags[1], 1);
    part_run_cancellable(play);
}

void part_run_hold_for_closed(struct play *play)
{
    hold_for(play, WAITERS);
}

void part_run_in_vain(struct play *play)
{
    sched_wait_for(&play->flags[1], 1);
    sched_expect(!run(play, work, NULL, LIDO_CLOSED), "two were in the gate");
    play->flags[0]++;
}

void part_run_until_closed(struct play *play)
{
    for (int i = 0; i < 2; i++)
        if (!run(play, work, NULL, LIDO_CLOSED))
            return;
}

void part_close_runs(struct play *play)
{
    part_close(play);
    play->flags[2] = 1;
}

void part_close_when_one_runs(struct play *play)
{
    sched_wait_for(&play->flags[1], 1);
    part_close_runs(play);
}

void part_tidy(struct play *play)
{
    for (int i = 0; i < 2; i++)
        sched_expect(lido_pool_tidy(play->pool, NULL) == LIDO_OK, "it was not tidied");
}
