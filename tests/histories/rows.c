/* SPDX-License-Identifier: MIT */
/*
 * One row: a key, and a text of numbers with commas between them.
 *
 * A write is recorded before it is tried: who finds the value of one that was refused can
 * then say whose it was.  A read that was refused is no read.
 *
 * Threads: the one whose attempt it is.
 */
#include "tests/histories/rows.h"

#include <stdio.h>
#include <stdlib.h>

static struct op *add_op(struct attempt *attempt, enum op_kind kind, int key)
{
    struct txn *txn = attempt->txn;
    struct op *op;

    if (txn->n_ops == HISTORY_OPS)
        history_die("more than %d operations in one transaction", HISTORY_OPS);
    op = &txn->ops[txn->n_ops++];
    op->kind = kind;
    op->key = key;
    return op;
}

static int check(int rc, const char *what)
{
    if (rc != SQLITE_OK && rc != SQLITE_DONE && rc != SQLITE_ROW && !workload_is_busy(rc))
        history_die("%s: %s (%d)", what, sqlite3_errstr(rc), rc);
    return rc;
}

/* Runs one statement to its end; a row's first column goes to `text`. */
static int run(sqlite3 *db, const char *sql, int key, const char *value, char *text)
{
    sqlite3_stmt *stmt = NULL;
    int rc = check(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), sql);

    if (rc != SQLITE_OK)
        return rc;
    sqlite3_bind_int(stmt, 1, key);
    if (value != NULL)
        sqlite3_bind_text(stmt, 2, value, -1, SQLITE_TRANSIENT);
    rc = check(sqlite3_step(stmt), sql);
    if (rc == SQLITE_ROW) {
        int length = snprintf(text, HISTORY_LONGEST_VALUE, "%s",
                              (const char *)sqlite3_column_text(stmt, 0));

        if (length >= HISTORY_LONGEST_VALUE)
            history_die("a row is longer than %d bytes", HISTORY_LONGEST_VALUE);
        rc = check(sqlite3_step(stmt), sql);
    } else if (rc == SQLITE_DONE && text != NULL) {
        history_die("row %d is missing", key);
    }
    sqlite3_finalize(stmt);
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

int rows_read(struct attempt *attempt, int key, long *number)
{
    struct op *op = add_op(attempt, OP_READ, key);
    int rc =
        run(attempt->db, "SELECT value FROM item WHERE key = ?1", key, NULL, op->value);

    if (rc != SQLITE_OK) {
        attempt->txn->n_ops--;
        return rc;
    }
    if (number != NULL)
        *number = strtol(op->value, NULL, 10);
    workload_pause(&attempt->random);
    return SQLITE_OK;
}

static int change(struct attempt *attempt, const struct op *op, const char *sql)
{
    int rc = run(attempt->db, sql, op->key, op->value, NULL);

    if (rc != SQLITE_OK)
        return rc;
    if (sqlite3_changes(attempt->db) != 1)
        history_die("%d rows were changed, not 1", sqlite3_changes(attempt->db));
    workload_pause(&attempt->random);
    return SQLITE_OK;
}

int rows_write(struct attempt *attempt, int key, long number)
{
    long stamp = history_stamp(attempt->history, attempt->txn);
    struct op *op = add_op(attempt, OP_WRITE, key);

    snprintf(op->value, sizeof op->value, "%ld,%ld", number, stamp);
    return change(attempt, op, "UPDATE item SET value = ?2 WHERE key = ?1");
}

int rows_append(struct attempt *attempt, int key)
{
    long stamp = history_stamp(attempt->history, attempt->txn);
    struct op *op = add_op(attempt, OP_APPEND, key);

    snprintf(op->value, sizeof op->value, "%ld", stamp);
    return change(attempt, op,
                  "UPDATE item SET value = value || iif(value = '', '', ',') || ?2 "
                  "WHERE key = ?1");
}
