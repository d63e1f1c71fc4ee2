/* SPDX-License-Identifier: MIT */
/*
 * Savepoints, reading and levels on every kind and driver.
 */
#include "tests/support/stage.h"

#include <criterion/criterion.h>

static struct lido_error err;

static struct lido_conn trace(struct stage *stage)
{
    struct lido_conn conn;

    stage_add_hooks(lido_pool_hooks(stage->pool), &stage_traced, NULL);
    conn = stage_take(stage);
    stage_forget();
    return conn;
}

static void step_back(struct stage *stage)
{
    struct lido_conn conn = trace(stage);
    struct lido_savepoint point;

    cr_expect_eq(lido_txn_release(&conn, "a", &err), LIDO_NO_TXN, "%s", stage->name);
    cr_expect_eq(lido_txn_savepoint(&conn, "a", &err), LIDO_OK, "%s", err.text);
    cr_expect_eq(lido_txn_savepoint_next(&conn, &point, &err), LIDO_OK, "%s", err.text);
    cr_expect_eq(lido_txn_rollback_to(&conn, point.name, &err), LIDO_OK, "%s", err.text);
    cr_expect_eq(lido_txn_release(&conn, "a", &err), LIDO_OK, "%s", err.text);
    cr_expect_neq(lido_txn_state(&conn), LIDO_TXN_NONE, "%s", stage->name);
    cr_expect_eq(lido_txn_commit(&conn, NULL, &err), LIDO_OK, "%s", err.text);
    stage_expect(stage, "begin savepoint(a) savepoint(lido_savepoint_1) "
                        "rollback_savepoint(lido_savepoint_1) release_savepoint(a) commit");
    stage_plan_failure("savepoint(b)", 1, SQLITE_AUTH);
    cr_expect_eq(lido_txn_savepoint(&conn, "b", &err), SQLITE_AUTH, "%s", stage->name);
    cr_expect_eq(lido_txn_state(&conn), LIDO_TXN_NONE, "%s", stage->name);
    stage_expect(stage, "begin savepoint(b) rollback");
    stage_give(stage, &conn);
}

Test(kinds_txn, savepoints_begin_and_ask_their_hooks)
{
    stage_run_all(step_back);
}

static void read_only(struct stage *stage)
{
    struct lido_conn conn = trace(stage);

    if (stage->is_sqlite)
        stage_execute(stage, &conn, "CREATE TABLE IF NOT EXISTS of_reading (x)");
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(lido_txn_begin(&conn, LIDO_READ, &err), LIDO_OK, "%s", err.text);
        if (stage->is_sqlite)
            cr_expect_eq(sqlite3_exec(lido_conn_sqlite(&conn),
                                      "INSERT INTO of_reading VALUES (1)", NULL, NULL,
                                      NULL),
                         SQLITE_READONLY, "%s", stage->name);
        stage_give(stage, &conn);
        conn = stage_take(stage);
        if (stage->is_sqlite && stage->keeps)
            stage_execute(stage, &conn, "INSERT INTO of_reading VALUES (1)");
    }
    stage_give(stage, &conn);
}

Test(kinds_txn, a_transaction_to_read_ends_with_its_lease)
{
    stage_run_all(read_only);
}

static void change_level(struct stage *stage)
{
    struct lido_conn conn = trace(stage);

    cr_expect_eq(lido_conn_set_isolation(&conn, "READ UNCOMMITTED", &err), LIDO_OK, "%s",
                 err.text);
    cr_expect_str_eq(lido_conn_isolation(&conn), "READ UNCOMMITTED", "%s", stage->name);
    stage_give(stage, &conn);
    conn = stage_take(stage);
    cr_expect_str_eq(lido_conn_isolation(&conn), "SERIALIZABLE", "%s", stage->name);
    stage_give(stage, &conn);
}

Test(kinds_txn, a_level_ends_with_its_lease)
{
    stage_run_all(change_level);
}
