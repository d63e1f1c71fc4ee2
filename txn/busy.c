/* SPDX-License-Identifier: MIT */
/*
 * The wait for a lock that another connection has, until the pool's `timeout` is over, or the
 * lease is to stop, or the host's function says that it is.
 *
 * SQLite calls it each time it meets the lock, with a count that starts at 0 for every
 * statement: there the deadline is set.  The steps stay short, because whoever sleeps long
 * when the lock comes free is overtaken by whoever comes then.
 *
 * Who is in the write gate waits for another process alone, in constant steps.  Who is not (raw
 * SQL, a transaction that read before it wrote) is woken by who leaves the gate as well.  And a
 * begin hook's own BEGIN, which may still wait there, goes to the gate's line.
 *
 * Threads: the one whose statement waits.  Called inside SQLite with the connection's locks
 * held: it touches nothing but its record, the clock and the gate, in which nobody calls
 * SQLite with a lock held; and calls the host's function, as SQLite's progress handler does.
 */
#include "pool/pool.h"
#include "txn/gate.h"
#include "txn/txn.h"

#define FIRST_STEPS   4 /* of a quarter of a millisecond; one millisecond after them */
#define FIRST_STEP_NS (LIDO_NS_PER_MS / 4)
#define LATER_STEP_NS LIDO_NS_PER_MS

static void sleep_a_step(const struct lido_record *record, bool is_in, int64_t now_ns,
                         int64_t step_ns)
{
    const struct lido_clock *clock = record->pool->config.clock;

    if (record->file_gate == NULL || is_in ||
        !lido__gate_await_leave(record->file_gate, clock, now_ns + step_ns))
        lido__sleep(clock, step_ns);
}

int lido__busy_wait(void *record_, int count)
{
    struct lido_record *record = record_;
    struct lido__cell *cell = lido__record_runner(record);
    const struct lido_clock *clock = record->pool->config.clock;
    int64_t now_ns = lido__wait_ns(clock), step_ns;
    bool is_in;
    int stop;

    if (count == 0) {
        record->busy_deadline_ns =
            lido__deadline_ns(clock, record->pool->config.timeout_ms);
        if (cell->has_deadline && record->busy_deadline_ns > cell->wait_until_ns)
            record->busy_deadline_ns = cell->wait_until_ns;
        if (record->has_lock_until && record->busy_deadline_ns > record->lock_until_ns)
            record->busy_deadline_ns = record->lock_until_ns;
        if (record->has_lock_until)
            record->has_lock_until = false; /* it was for this wait */
    }
    if (now_ns >= record->busy_deadline_ns)
        return 0;
    stop = lido__lease_stop(cell);
    if (stop != LIDO_OK) {
        cell->was_cancelled = stop == LIDO_CANCELLED;
        return 0;
    }
    if (lido__lease_is_told_to_end(cell))
        return 0;
    if (cell->is_beginning) {
        const int rc = lido__gated_enter_late(cell, record->busy_deadline_ns);

        if (rc == LIDO_OK || rc == LIDO_DEADLOCK) /* nobody is waited for who cannot end */
            return rc == LIDO_OK;
    }
    is_in = record->file_gate != NULL && lido__gated_is_in(cell);
    step_ns = is_in || count < FIRST_STEPS ? FIRST_STEP_NS : LATER_STEP_NS;
    if (now_ns > record->busy_deadline_ns - step_ns) /* a host's clock may be below zero */
        step_ns = record->busy_deadline_ns - now_ns;
    /* One that is over stops no check-in. */
    if (cell->has_limit && cell->limit_ends_ns > now_ns &&
        now_ns > cell->limit_ends_ns - step_ns)
        step_ns = cell->limit_ends_ns - now_ns;
    sleep_a_step(record, is_in, now_ns, step_ns);
    return 1;
}
