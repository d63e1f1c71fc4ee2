/* SPDX-License-Identifier: MIT */
/*
 * A writer by SQLite alone, as well as it can be done by hand: a connection of its own,
 * statements that are prepared once, BEGIN IMMEDIATE, and the busy timeout.
 *
 * Threads: each has a connection of its own; the main thread opens and closes them all.
 */
#include "cli/demo_writers.h"

#include <stdlib.h>

enum { BEGIN, TAKE, GIVE, NOTE, COMMIT, ROLLBACK, STATEMENTS };

struct bare_conn {
    sqlite3 *db;
    sqlite3_stmt *stmts[STATEMENTS];
};

int bare_open(struct writer *writer, struct demo_error *error)
{
    const struct demo_run *run = writer->worker.run;
    const char *const sql[STATEMENTS] = {
        "BEGIN IMMEDIATE", run->take, run->give, run->note, "COMMIT", "ROLLBACK",
    };
    struct bare_conn *conn = calloc(1, sizeof *conn);
    int rc, answer;

    if (conn == NULL)
        return demo_fail(error, CLI_FAILED, "out of memory");
    writer->own = conn;
    answer = demo_copy_open(run->copy, &conn->db, error);
    if (answer != CLI_OK)
        return answer;
    sqlite3_progress_handler(conn->db, 0, NULL, NULL);
    rc = sqlite3_busy_timeout(conn->db, WRITER_TIMEOUT_S * 1000);
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(conn->db, "PRAGMA foreign_keys=ON", NULL, NULL, NULL);
    for (int i = 0; i < STATEMENTS && rc == SQLITE_OK; i++)
        rc = sqlite3_prepare_v2(conn->db, sql[i], -1, &conn->stmts[i], NULL);
    return rc == SQLITE_OK ? CLI_OK
                           : demo_fail(error, CLI_FAILED, "could not prepare a writer: %s",
                                       sqlite3_errmsg(conn->db));
}

void bare_close(struct writer *writer)
{
    struct bare_conn *conn = writer->own;

    if (conn == NULL)
        return;
    for (int i = 0; i < STATEMENTS; i++)
        sqlite3_finalize(conn->stmts[i]);
    sqlite3_close(conn->db);
    free(conn);
}

/* None of them answers a row. */
static int step(struct bare_conn *conn, int which, struct lido_error *err)
{
    int rc = sqlite3_step(conn->stmts[which]);

    if (rc != SQLITE_DONE)
        lido_fail(err, sqlite3_extended_errcode(conn->db), "%s", sqlite3_errmsg(conn->db));
    sqlite3_reset(conn->stmts[which]);
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static int make(struct bare_conn *conn, const struct demo_transfer *transfer,
                struct lido_error *err)
{
    sqlite3_stmt *const *stmts = conn->stmts;
    int rc;

    sqlite3_bind_int64(stmts[TAKE], 1, transfer->amount);
    sqlite3_bind_int64(stmts[TAKE], 2, transfer->source);
    rc = step(conn, TAKE, err);
    if (rc != SQLITE_OK || sqlite3_changes(conn->db) != 1)
        return rc != SQLITE_OK ? rc : LIDO_ROLLBACK;
    sqlite3_bind_int64(stmts[GIVE], 1, transfer->amount);
    sqlite3_bind_int64(stmts[GIVE], 2, transfer->target);
    rc = step(conn, GIVE, err);
    if (rc != SQLITE_OK)
        return rc;
    sqlite3_bind_int64(stmts[NOTE], 1, transfer->source);
    sqlite3_bind_int64(stmts[NOTE], 2, transfer->target);
    sqlite3_bind_int64(stmts[NOTE], 3, transfer->amount);
    return step(conn, NOTE, err);
}

int bare_transfer(struct writer *writer, bool *is_done, struct lido_error *err)
{
    struct bare_conn *conn = writer->own;
    int rc = step(conn, BEGIN, err);

    if (rc != SQLITE_OK)
        return rc;
    writer_begun(writer);
    rc = make(conn, &writer->transfer, err);
    if (rc == SQLITE_OK)
        rc = step(conn, COMMIT, err);
    *is_done = rc == SQLITE_OK;
    if (sqlite3_get_autocommit(conn->db) == 0)
        step(conn, ROLLBACK, NULL);
    return rc == LIDO_ROLLBACK ? LIDO_OK : rc;
}
