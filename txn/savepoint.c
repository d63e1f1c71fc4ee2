/* SPDX-License-Identifier: MIT */
/*
 * Savepoints: hooks, then the driver.
 *
 * There is no stack here.  SQLite has one, and a second could only disagree with it, for SQL
 * text sets and ends savepoints too.  What is kept is a count, for names that do not repeat.
 *
 *     none open --set--> lido_txn_begin --> open --set, rollback to, release--> open
 *
 * BEGIN comes first, so no RELEASE ends the transaction, unless SQL text began it by a
 * SAVEPOINT.
 *
 * Threads: the one that checked the connection out.
 */
#include "txn/txn.h"

#include <lido/txn.h>
#include <stdio.h>
#include <string.h>

static const struct {
    enum lido__event event;
    const char *hook, *sql;
} kinds[] = {
    [LIDO_SAVEPOINT_SET] = { LIDO__SAVEPOINT, "savepoint", "SAVEPOINT" },
    [LIDO_SAVEPOINT_ROLLBACK_TO] = { LIDO__ROLLBACK_SAVEPOINT, "rollback_savepoint",
                                     "ROLLBACK TO" },
    [LIDO_SAVEPOINT_RELEASE] = { LIDO__RELEASE_SAVEPOINT, "release_savepoint", "RELEASE" },
};

/* The lease's cell, if its driver has savepoints, the name is one, and it may go on. */
static int use(const struct lido_conn *conn, const char *name, struct lido__cell **cell,
               struct lido_error *err)
{
    const struct lido_driver *table;
    int rc = lido__lease_use_connected(conn, cell, err);

    if (rc != LIDO_OK)
        return rc;
    table = lido__cell_record(*cell)->pool->config.driver.table;
    if (table->savepoint == NULL || table->begin == NULL)
        return lido_fail(err, SQLITE_MISUSE, "the driver %s has no savepoints",
                         table->name);
    if (name == NULL || name[0] == '\0')
        return lido_fail(err, SQLITE_MISUSE, "a savepoint needs a name");
    if (strnlen(name, LIDO_SAVEPOINT_NAME_MOST + 1) > LIDO_SAVEPOINT_NAME_MOST)
        return lido_fail(err, SQLITE_TOOBIG,
                         "the name of a savepoint has at most %d bytes: %.40s...",
                         LIDO_SAVEPOINT_NAME_MOST, name);
    return lido__txn_may_run(*cell, conn, err);
}

/* LIDO_OK if a transaction is open and the lease's; else why not, without a text.  One that
   SQL text began is the lease's that uses it first. */
static int look(struct lido__cell *cell)
{
    lido__share_txn_claim(cell);
    if (lido__txn_is_open(cell)) {
        lido__share_txn_begun(cell); /* who waits may find out that SQL text ended it */
        return LIDO_OK;
    }
    if (!cell->is_beginning)
        lido__share_txn_leave(cell);
    return lido__txn_is_over(cell) ? LIDO_TXN_OVER : LIDO_NO_TXN;
}

static int fail_none_open(int rc, struct lido_error *err)
{
    return lido_fail(err, rc, "%s",
                     rc == LIDO_NO_TXN
                         ? "no transaction is open, so there is no savepoint"
                         : "the transaction was ended before: rolled back by SQLite "
                           "itself, or ended by SQL text; roll back to go on");
}

/* With a transaction open. */
static int act(struct lido__cell *cell, const struct lido_conn *conn, int what,
               const char *name, struct lido_error *err)
{
    struct lido_record *record = lido__cell_record(cell);
    struct lido_event special = { .conn = conn, .savepoint = name };
    int rc = lido__record_fire(record->pool, record, kinds[what].event, &special, err);

    if (rc == LIDO_OK)
        rc = lido__txn_look_again(cell, conn, kinds[what].hook, err);
    if (rc == LIDO_OK && !lido__txn_is_open(cell))
        rc = lido_fail(err, LIDO_TXN_OVER, "a %s hook ended the transaction",
                       kinds[what].hook);
    if (rc != LIDO_OK)
        return rc;
    rc = lido__txn_issue_savepoint(cell, what, name, err);
    if (rc != LIDO_OK) {
        cell->trouble = rc;
        return lido__error_answer(cell, conn, kinds[what].sql, rc, err);
    }
    return lido__txn_is_open(cell) ? LIDO_OK : lido__txn_forget(cell, err);
}

/* Ends the transaction that was begun for a savepoint in vain.  Rollback hooks are told, for
   begin hooks were, and cannot keep it. */
static void undo(struct lido__cell *cell, const struct lido_conn *conn)
{
    int rc = LIDO_STALE;

    if (lido__lease_is_good(cell, conn->generation))
        rc = lido_txn_rollback(conn, NULL);
    if (rc == LIDO_FORKED || rc == LIDO_WRONG_THREAD ||
        !lido__lease_is_good(cell, conn->generation))
        return;
    lido__txn_undo(cell);
    lido__txn_forget(cell, NULL);
}

int lido_txn_savepoint(const struct lido_conn *conn, const char *name,
                       struct lido_error *err)
{
    struct lido__cell *cell;
    bool has_begun = false;
    int rc = use(conn, name, &cell, err);

    if (rc != LIDO_OK)
        return rc;
    rc = look(cell);
    if (rc == LIDO_TXN_OVER)
        return fail_none_open(rc, err);
    if (rc == LIDO_NO_TXN) {
        rc = lido_txn_begin(conn, LIDO_BEGIN_DEFAULT, err);
        has_begun = rc == LIDO_OK;
    }
    if (rc == LIDO_OK)
        rc = act(cell, conn, LIDO_SAVEPOINT_SET, name, err);
    if (rc != LIDO_OK && has_begun)
        undo(cell, conn);
    return rc;
}

/* What is done with one that was set. */
static int act_on(const struct lido_conn *conn, int what, const char *name,
                  struct lido_error *err)
{
    struct lido__cell *cell;
    int rc = use(conn, name, &cell, err);

    if (rc != LIDO_OK)
        return rc;
    rc = look(cell);
    return rc == LIDO_OK ? act(cell, conn, what, name, err) : fail_none_open(rc, err);
}

int lido_txn_rollback_to(const struct lido_conn *conn, const char *name,
                         struct lido_error *err)
{
    return act_on(conn, LIDO_SAVEPOINT_ROLLBACK_TO, name, err);
}

int lido_txn_release(const struct lido_conn *conn, const char *name, struct lido_error *err)
{
    return act_on(conn, LIDO_SAVEPOINT_RELEASE, name, err);
}

int lido_txn_savepoint_next(const struct lido_conn *conn, struct lido_savepoint *out,
                            struct lido_error *err)
{
    struct lido__cell *cell;
    uint64_t number;
    int rc, length;

    if (out == NULL)
        return lido_fail(err, SQLITE_MISUSE, "there is nowhere to put the savepoint");
    out->name[0] = '\0';
    rc = lido__lease_use_connected(conn, &cell, err);
    if (rc != LIDO_OK)
        return rc;
    number = lido__add(&lido__cell_record(cell)->savepoints, 1) + 1;
    length = snprintf(out->name, sizeof out->name, "lido_savepoint_%llu",
                      (unsigned long long)number);
    assert(length > 0 && (size_t)length < sizeof out->name); /* 16 digits: for ever */
    (void)length;
    rc = lido_txn_savepoint(conn, out->name, err);
    if (rc != LIDO_OK)
        out->name[0] = '\0';
    return rc;
}
