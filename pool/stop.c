/* SPDX-License-Identifier: MIT */
/*
 * Why a lease is to stop: its token was fired, it was cancelled, or its transaction took too
 * long.
 *
 * Asked by the thread that works for the lease: before each statement, in the wait for a lock,
 * and by SQLite's progress handler while SQL runs.  Nothing is sent to it, so nothing can come
 * too late and hit another: the answer is always about the lease that is lent now.  A limit
 * needs no thread that watches it, for whoever is asked reads the clock.
 *
 * A lease that is cancelled by itself has its generation written into its cell.  Generations
 * only rise, so a canceller that comes late neither hits the next lease nor undoes its mark.
 *
 * Last the host's own function is asked, if the lease has one.
 *
 * While a connection is being opened, returned or closed its cell is not LENT, or nobody has
 * the lease yet: cleaning is not to be stopped.
 *
 * Threads: lido_conn_cancel() any; all else the one that checked it out.  The progress handler
 * is called inside SQLite, with the connection's mutex where threads share it: it takes no
 * lock.
 */
#include "pool/pool.h"

/* How many steps of SQLite's machine between two questions: some 20 microseconds. */
#define STEPS 1000

static uint64_t cancelled_word(uint64_t generation)
{
    return generation << 1 | 1; /* not 0, which is nobody */
}

/* Of the lease whose generation is in `word`. */
static int reason(const struct lido__cell *cell, uint64_t word)
{
    if (lido__observe(&cell->cancelled) == cancelled_word(lido__slot_generation(word)))
        return LIDO_CANCELLED;
    if (cell->has_cancel && lido__cancel_is_fired(cell->cancel))
        return LIDO_CANCELLED;
    if (cell->has_limit &&
        lido__wait_ns(lido__cell_record(cell)->pool->config.clock) >= cell->limit_ends_ns)
        return LIDO_TXN_TIMEOUT;
    return LIDO_OK;
}

int lido__lease_stop(const struct lido__cell *cell)
{
    const uint64_t word = lido__observe(&cell->word);

    return lido__lease_may_stop(cell) && lido__slot_state(word) == LIDO__LENT
               ? reason(cell, word)
               : LIDO_OK;
}

bool lido__lease_was_stopped(const struct lido__cell *cell)
{
    return reason(cell, lido__observe(&cell->word)) != LIDO_OK;
}

int lido__lease_explain(const struct lido__cell *cell, int rc, const char *doing,
                        struct lido_error *err)
{
    int stop = rc;

    if (!lido__is_stop(rc) &&
        ((rc & 0xff) == SQLITE_INTERRUPT || (rc & 0xff) == SQLITE_BUSY))
        stop = cell->was_cancelled ? LIDO_CANCELLED : lido__lease_stop(cell);
    if (stop == LIDO_CANCELLED)
        return lido_fail(err, stop, "%s: cancelled", doing);
    if (stop == LIDO_TXN_TIMEOUT)
        return lido_fail(err, stop, "%s: the time limit of the transaction is over", doing);
    return rc;
}

void lido__lease_condemn(struct lido__cell *cell)
{
    cell->has_cancel = false; /* the token may have gone with who had the lease */
    lido__swap(&cell->cancelled,
               cancelled_word(lido__slot_generation(lido__observe(&cell->word))));
}

bool lido__lease_is_told_to_end(const struct lido__cell *cell)
{
    return cell->has_progress && !cell->is_ending &&
           lido__slot_state(lido__observe(&cell->word)) == LIDO__LENT &&
           cell->progress(cell->progress_ctx) != 0;
}

static int on_progress(void *record_)
{
    struct lido_record *record = record_;
    struct lido__cell *cell = lido__record_runner(record);
    int stop = lido__lease_stop(cell);

    if (cell->is_ending)
        return 0;
    if (stop == LIDO_OK)
        return lido__lease_is_told_to_end(cell);
    cell->was_cancelled = stop == LIDO_CANCELLED;
    /* A limit is the transaction's, and that may be over already. */
    return stop != LIDO_TXN_TIMEOUT || !sqlite3_get_autocommit(record->handle);
}

void lido__record_watch(struct lido_record *record)
{
    const unsigned capabilities = record->pool->config.driver.table->capabilities;

    if ((capabilities & LIDO_DRIVER_IS_SQLITE) != 0)
        sqlite3_progress_handler(record->handle, STEPS, on_progress, record);
}

int lido_conn_set_progress(const struct lido_conn *conn, lido_progress_fn progress,
                           void *ctx, struct lido_error *err)
{
    struct lido__cell *cell;
    const struct lido_record *record;
    int rc = lido__lease_use_connected(conn, &cell, err);

    if (rc != LIDO_OK)
        return rc;
    record = lido__cell_record(cell);
    if ((record->pool->config.driver.table->capabilities & LIDO_DRIVER_IS_SQLITE) == 0 ||
        lido__record_is(record, LIDO__ADOPTED))
        return lido_fail(err, SQLITE_MISUSE, "no progress handler of lido's is there: %s",
                         lido__record_is(record, LIDO__ADOPTED)
                             ? "the handle was adopted"
                             : "the driver is none of SQLite's");
    cell->progress = progress;
    cell->progress_ctx = ctx;
    cell->has_progress = progress != NULL;
    return LIDO_OK;
}

int lido_conn_cancel(const struct lido_conn *conn, struct lido_error *err)
{
    struct lido__waiter *nobody = NULL;
    lido_pool *pool;
    struct lido__cell *cell;
    uint64_t mine, was;

    if (conn == NULL)
        return lido_fail(err, SQLITE_MISUSE, "no lease was given");
    if (lido__is_forked())
        return lido__fail_forked(err);
    pool = lido_conn_pool(conn);
    if (pool == NULL)
        return lido_fail(err, LIDO_STALE, "the lease has ended");
    /* From here on it may end, and its pool be freed: cells and pools are type-stable. */
    cell = conn->cell;
    mine = cancelled_word(conn->generation);
    do
        was = lido__load(&cell->cancelled);
    while (was < mine && !lido__cas(&cell->cancelled, was, mine));
    lido__slots_disturb(pool, &nobody);    /* it may wait for another's transaction, */
    lido__sleepers_wake(&pool->elsewhere); /* or at a file's gate */
    return LIDO_OK;
}

int lido_conn_check(const struct lido_conn *conn, struct lido_error *err)
{
    struct lido__cell *cell;
    int rc = lido__lease_use(conn, &cell, err);

    if (rc == LIDO_OK)
        rc = lido__lease_explain(cell, lido__lease_stop(cell), "the lease", err);
    return rc;
}
