/* SPDX-License-Identifier: MIT */
/*
 * The handle_error hooks.
 *
 * They are asked when everything about the failed call is done and noted, so that they may end
 * the lease.  What they answer changes what the caller is told, never what has happened: not
 * the outcome of a COMMIT, nor what the runner makes of it.  What fails on the same lease while
 * they run is told to nobody, or they would be asked for ever.
 *
 * Threads: the one that checked the connection out.  No lock is held.
 */
#include "txn/txn.h"

static bool is_wanted(const struct lido__cell *cell)
{
    return lido__hooks_want(&lido__cell_record(cell)->pool->hooks, LIDO__HANDLE_ERROR);
}

int lido__error_ask(struct lido__cell *cell, const struct lido_conn *conn, const char *sql,
                    int rc, struct lido_error *story)
{
    struct lido_record *record = lido__cell_record(cell);
    int is_disconnect = 0;
    struct lido_error other = LIDO_ERROR_INIT;
    struct lido_event what = {
        .conn = conn, .sql = sql, .error = story, .is_disconnect = &is_disconnect
    };

    if (!lido__lease_is_good(cell, conn->generation) || cell->is_asking || !is_wanted(cell))
        return rc;
    cell->is_asking = true;
    if (lido__record_fire(record->pool, record, LIDO__HANDLE_ERROR, &what, &other) !=
        LIDO_OK)
        *story = other;
    if (lido__lease_is_good(cell, conn->generation))
        cell->is_asking = false;
    if (is_disconnect && lido__lease_is_good(cell, conn->generation)) {
        lido__pool_stamp(record->pool, record);
        lido__record_expire_at(record, INT64_MIN);
    }
    return story->code != LIDO_OK ? story->code : rc; /* it is no success all the same */
}

int lido__error_answer(struct lido__cell *cell, const struct lido_conn *conn,
                       const char *sql, int rc, struct lido_error *err)
{
    struct lido_error story;

    if (!lido__lease_is_good(cell, conn->generation) || rc != cell->trouble ||
        !is_wanted(cell))
        return rc;
    if (err == NULL) {
        err = &story;
        lido_fail(err, rc, "%s", lido_status_name(rc));
    }
    return lido__error_ask(cell, conn, sql, rc, err);
}
