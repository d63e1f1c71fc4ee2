/* SPDX-License-Identifier: MIT */
#ifndef LIDO_TXN_STMT_H
#define LIDO_TXN_STMT_H

/*
 * A statement in the hands of a call.
 */
#include "driver/statements.h"
#include "pool/pool.h"
#include <lido/stmt.h>

/* Who calls, on what. */
struct lido__use {
    struct lido__cell *cell;
    struct lido_record *record;
    sqlite3 *db;
    sqlite3_mutex *mutex;       /* the connection's; NULL where one lease has it */
    struct lido__statement *at; /* looked up under the mutex; good as long as it is held */
};

/* stmt.c.  The lease's side of a use: LIDO_STALE and such, SQLITE_MISUSE if the driver has no
   statements. */
int lido__use_lease(const struct lido_conn *conn, struct lido__use *use,
                    struct lido_error *err);
int lido__use_lease_of(const struct lido_stmt *stmt, struct lido__use *use,
                       struct lido_error *err);
/* The statement of such a use; on success the mutex is held. */
int lido__use_find(const struct lido_stmt *stmt, struct lido__use *use,
                   struct lido_error *err);
/* Both. */
int lido__use_open(const struct lido_stmt *stmt, struct lido__use *use,
                   struct lido_error *err);
/* After one of them, if the statement is to be run, ended or given values: SQLITE_MISUSE while
   SQLite is in it, and the mutex is left. */
int lido__use_change(struct lido__use *use, struct lido_error *err);
static inline void lido__use_close(const struct lido__use *use)
{
    if (use->mutex != NULL)
        sqlite3_mutex_leave(use->mutex);
}
/* Prepares; *out is empty, with LIDO_OK, if there is no statement in sql.  `how` and `rest` as
   lido__statements_take() has them. */
int lido__stmt_prepare(const struct lido_conn *conn, struct lido_stmt *out, const char *sql,
                       enum lido__text how, const char **rest, struct lido_error *err);

/* run.c.  Of a text that SQLite did not take: the handle_error hooks, which may replace
   *story, and then *err. */
int lido__run_refused(const struct lido_conn *conn, struct lido__use *use, const char *sql,
                      int rc, struct lido_error *story, struct lido_error *err);
/* Ends a run, if there is one, and the use if it `gives_back`.  Comes with the mutex, which it
   leaves. */
int lido__run_reset(const struct lido_stmt *stmt, struct lido__use *use, bool gives_back,
                    struct lido_error *err);

/* bind.c.  `life` is SQLITE_STATIC or SQLITE_TRANSIENT. */
int lido__stmt_bind_all(const struct lido_stmt *stmt, const struct lido_value *values,
                        size_t count, sqlite3_destructor_type life, struct lido_error *err);

#endif
