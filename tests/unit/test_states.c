/* SPDX-License-Identifier: MIT */
/*
 * docs/states.md says what the code does: every call in every state.
 */
#include "pool/slot.h"
#include "tests/support/handy.h"
#include "tests/support/page.h"
#include "tests/support/worker.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct lido_error err;

static struct page_table *read_states(const char *heading)
{
    return page_table(LIDO_SOURCE_ROOT, "docs/states.md", heading);
}

Test(states, a_slot_moves_as_the_page_says)
{
    static const char *const names[] = { [LIDO__VACANT] = "vacant",
                                         [LIDO__IDLE] = "idle",
                                         [LIDO__LENT] = "lent",
                                         [LIDO__RETURNING] = "returning" };
    struct page_table *table = read_states("## A slot");

    for (int from = 0; from < 4; from++)
        for (int to = 0; to < 4; to++) {
            const struct page_row *row = page_row(table, 0, names[from]);
            uint64_t old = lido__slot_word(7, (enum lido__slot_state)from);
            const char *says = "–";

            cr_assert_not_null(row);
            cr_assert_str_eq(table->head.cells[to + 1], names[to]);
            if (lido__slot_may_move(old, lido__slot_word(7, (enum lido__slot_state)to)))
                says = "yes";
            if (lido__slot_may_move(old, lido__slot_word(8, (enum lido__slot_state)to)))
                says = "+1";
            cr_expect_str_eq(row->cells[to + 1], says, "%s to %s", names[from], names[to]);
        }
    free(table);
}

/* --- leases ----------------------------------------------------------------------------- */

static lido_pool *pool;
static sqlite3 *adopted;
static struct worker worker;

static void let_in_and_out(void)
{
    lido_pool_free(pool);
    pool = NULL;
}

/* A lease in the state of that name. */
static struct lido_conn lease_of(const char *name)
{
    struct lido_conn conn = LIDO_CONN_INIT, copy;

    cr_assert_eq(lido_pool_open(&pool, "sqlite://", NULL, &err), LIDO_OK);
    if (strcmp(name, "empty") == 0)
        return conn;
    if (strcmp(name, "adopted") == 0) {
        cr_assert_eq(sqlite3_open(":memory:", &adopted), SQLITE_OK);
        cr_assert_eq(lido_conn_adopt(&conn, pool, adopted, &err), LIDO_OK);
        return conn;
    }
    if (strcmp(name, "another thread's") == 0) {
        worker_start(&worker, pool);
        worker_tell(&worker, worker_take);
        return worker.conn;
    }
    copy = conn = handy_take(pool);
    if (strcmp(name, "detached") == 0) {
        cr_assert_eq(lido_conn_detach(&conn, &err), LIDO_OK);
    } else if (strcmp(name, "cancelled") == 0) {
        cr_assert_eq(lido_conn_cancel(&conn, &err), LIDO_OK);
    } else if (strcmp(name, "without a connection") == 0) {
        cr_assert_eq(lido_record_close(lido_conn_record(&conn), &err), LIDO_OK);
    } else if (strcmp(name, "checked in") == 0) {
        handy_give(&copy);
    } else if (strcmp(name, "of a pool that was freed") == 0) {
        handy_give(&copy);
        let_in_and_out();
    } else {
        cr_assert_str_eq(name, "good");
    }
    return conn;
}

static void end_lease(struct lido_conn *conn)
{
    lido_conn_checkin(conn, NULL, NULL);
    if (worker.pool != NULL) {
        worker_tell(&worker, worker_give);
        worker_end(&worker);
        worker.pool = NULL;
    }
    if (pool != NULL)
        let_in_and_out();
    sqlite3_close(adopted);
    adopted = NULL;
}

static const char *answer_of(const char *call, struct lido_conn *conn)
{
    if (strcmp(call, "lido_conn_sqlite") == 0)
        return lido_conn_sqlite(conn) != NULL ? "yes" : "no";
    if (strcmp(call, "lido_txn_begin") == 0)
        return lido_status_name(lido_txn_begin(conn, LIDO_DEFERRED, &err));
    if (strcmp(call, "lido_conn_exec") == 0)
        return lido_status_name(lido_conn_exec(conn, "SELECT 1", &err));
    if (strcmp(call, "lido_conn_detach") == 0)
        return lido_status_name(lido_conn_detach(conn, &err));
    cr_assert_str_eq(call, "lido_conn_checkin");
    return lido_status_name(lido_conn_checkin(conn, NULL, &err));
}

/* SQLite's name of 0 is the one that is found. */
static bool is_same(const char *name, const char *says)
{
    return strcmp(name, says) == 0 ||
           (strcmp(says, "LIDO_OK") == 0 && strcmp(name, "SQLITE_OK") == 0);
}

Test(states, a_lease_answers_as_the_page_says)
{
    struct page_table *table = read_states("## A lease");

    cr_expect_eq(table->n_rows, 9);
    for (int i = 0; i < table->n_rows; i++)
        for (int k = 1; k <= 5; k++) {
            const char *name = table->rows[i].cells[0], *call = table->head.cells[k];
            struct lido_conn conn = lease_of(name);
            const char *answer = answer_of(call, &conn);

            cr_expect(is_same(answer, table->rows[i].cells[k]), "%s, %s: %s", name, call,
                      answer);
            end_lease(&conn);
        }
    free(table);
}

/* --- transactions ----------------------------------------------------------------------- */

static void execute(const struct lido_conn *conn, const char *sql)
{
    cr_assert_eq(lido_conn_exec(conn, sql, &err), LIDO_OK, "%s: %s", sql, err.text);
}

static struct lido_conn transaction_of(const char *name)
{
    struct lido_conn conn;

    cr_assert_eq(lido_pool_open(&pool, "sqlite://", NULL, &err), LIDO_OK);
    conn = handy_take(pool);
    execute(&conn, "CREATE TABLE t (x UNIQUE)");
    if (strcmp(name, "text") == 0)
        execute(&conn, "BEGIN");
    if (strcmp(name, "none") != 0 && strcmp(name, "text") != 0)
        cr_assert_eq(lido_txn_begin(&conn, LIDO_DEFERRED, &err), LIDO_OK);
    if (strcmp(name, "late") == 0 || strcmp(name, "expired") == 0)
        cr_assert_eq(lido_txn_limit(&conn, 0, &err), LIDO_OK);
    if (strcmp(name, "expired") == 0)
        cr_assert_eq(lido_conn_exec(&conn, "SELECT 1", &err), LIDO_TXN_TIMEOUT);
    if (strcmp(name, "over") == 0) {
        execute(&conn, "INSERT INTO t VALUES (1)");
        cr_assert_eq(lido_conn_exec(&conn, "INSERT OR ROLLBACK INTO t VALUES (1)", NULL),
                     SQLITE_CONSTRAINT_UNIQUE);
    }
    return conn;
}

static int nothing(void *ctx, const struct lido_conn *conn, struct lido_error *error)
{
    (void)ctx, (void)conn, (void)error;
    return LIDO_OK;
}

static int call_on(const char *call, struct lido_conn *conn)
{
    if (strcmp(call, "lido_txn_begin") == 0)
        return lido_txn_begin(conn, LIDO_DEFERRED, &err);
    if (strcmp(call, "lido_txn_commit") == 0)
        return lido_txn_commit(conn, NULL, &err);
    if (strcmp(call, "lido_txn_rollback") == 0)
        return lido_txn_rollback(conn, &err);
    if (strcmp(call, "lido_txn_savepoint") == 0)
        return lido_txn_savepoint(conn, "s", &err);
    if (strcmp(call, "lido_txn_release") == 0)
        return lido_txn_release(conn, "s", &err);
    if (strcmp(call, "lido_conn_exec") == 0)
        return lido_conn_exec(conn, "INSERT INTO t VALUES (2)", &err);
    if (strcmp(call, "lido_pool_run") == 0)
        return lido_conn_run(conn, LIDO_DEFERRED, nothing, NULL, NULL, &err);
    cr_assert_str_eq(call, "lido_conn_checkin");
    return lido_conn_checkin(conn, NULL, &err);
}

/* The state now.  Whether it is open or text makes no difference any more. */
static const char *state_of(const struct lido_conn *conn)
{
    int rc;

    if (!sqlite3_get_autocommit(lido_conn_sqlite(conn)))
        return "open";
    rc = lido_conn_exec(conn, "SELECT 1", &err);
    return rc == LIDO_TXN_OVER ? "over" : rc == LIDO_TXN_TIMEOUT ? "expired" : "none";
}

Test(states, a_transaction_answers_as_the_page_says)
{
    struct page_table *table = read_states("## A transaction");

    cr_expect_eq(table->n_rows, 6);
    for (int i = 0; i < table->n_rows; i++)
        for (int k = 1; k <= 8; k++) {
            const char *name = table->rows[i].cells[0], *call = table->head.cells[k];
            struct lido_conn conn = transaction_of(name);
            char says[2][40] = { "" };
            int rc = call_on(call, &conn);

            sscanf(table->rows[i].cells[k], "%39s %39s", says[0], says[1]);
            cr_expect(is_same(lido_status_name(rc), says[0]), "%s, %s: %s", name, call,
                      lido_status_name(rc));
            if (conn.cell == NULL)
                conn = handy_take(pool);
            cr_expect_str_eq(state_of(&conn),
                             strcmp(says[1], "text") == 0 ? "open" : says[1], "%s, %s",
                             name, call);
            handy_give(&conn);
            let_in_and_out();
        }
    free(table);
}

/* --- savepoints ------------------------------------------------------------------------- */

/* The innermost first, for each rolls back those inside of it. */
static void expect_set(const struct lido_conn *conn, const char *names, const char *what)
{
    for (char name[2] = "c"; name[0] >= 'a'; name[0]--) {
        bool is_there = strncmp(names, "(none)", 6) != 0 && strchr(names, name[0]) != NULL;

        cr_expect_eq(lido_txn_rollback_to(conn, name, &err) == LIDO_OK, is_there,
                     "%s: %s of %s", what, name, names);
    }
}

Test(states, a_savepoint_answers_as_the_page_says)
{
    struct page_table *table = read_states("## A savepoint");

    cr_expect_eq(table->n_rows, 4);
    for (int i = 0; i < table->n_rows; i++)
        for (int k = 1; k <= 6; k++) {
            const char *set = table->rows[i].cells[0], *call = table->head.cells[k];
            const char *says = table->rows[i].cells[k], *name = strchr(call, ' ') + 1;
            struct lido_conn conn = transaction_of("open");
            char code[40];
            int rc;

            for (char one[2] = "a"; strchr("abc", one[0]) != NULL && one[0] != '\0';
                 one[0]++)
                if (set[0] != '(' && strchr(set, one[0]) != NULL)
                    cr_assert_eq(lido_txn_savepoint(&conn, one, &err), LIDO_OK);
            rc = strncmp(call, "release", 7) == 0 ? lido_txn_release(&conn, name, &err)
                                                  : lido_txn_rollback_to(&conn, name, &err);
            cr_assert_eq(sscanf(says, "%39s", code), 1);
            cr_expect(is_same(lido_status_name(rc), code), "%s, %s: %s", set, call,
                      lido_status_name(rc));
            if (rc != LIDO_OK)
                cr_expect_not_null(strstr(err.text, "no such savepoint"), "%s", err.text);
            expect_set(&conn, says + strlen(code) + 1, call);
            handy_give(&conn);
            let_in_and_out();
        }
    free(table);
}
