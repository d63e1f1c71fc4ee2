/* SPDX-License-Identifier: MIT */
/*
 * Statements: values in and out, the cache, and what a name that is out of date answers.
 */
#include "tests/support/handy.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static lido_pool *pool;
static struct lido_conn conn;
static struct lido_error err;

static void open_with(const char *url)
{
    struct lido_pool_options options = handy_options(NULL);

    pool = handy_open_url(url, &options);
    conn = handy_take(pool);
}

static void set_up(void)
{
    open_with("sqlite://");
}

static void tear_down(void)
{
    if (conn.cell != NULL)
        handy_give(&conn);
    lido_pool_free(pool);
}

TestSuite(stmt, .init = set_up, .fini = tear_down);

static void execute(const char *sql)
{
    cr_assert_eq(lido_conn_exec(&conn, sql, &err), LIDO_OK, "%s: %s", sql, err.text);
}

static struct lido_stmt prepare(const char *sql)
{
    struct lido_stmt stmt;

    cr_assert_eq(lido_stmt_prepare(&conn, &stmt, sql, &err), LIDO_OK, "%s", err.text);
    return stmt;
}

static void finalize(struct lido_stmt *stmt)
{
    cr_assert_eq(lido_stmt_finalize(stmt, &err), LIDO_OK, "%s", err.text);
    cr_assert_eq(stmt->number, 0);
}

static int64_t ask(const char *sql)
{
    struct lido_stmt stmt = prepare(sql);
    int64_t number;

    cr_assert_eq(lido_stmt_step(&stmt, &err), SQLITE_ROW, "%s", err.text);
    number = lido_stmt_integer(&stmt, 0);
    finalize(&stmt);
    return number;
}

static struct lido_statement_stats stats(void)
{
    struct lido_statement_stats all = LIDO_STATEMENT_STATS_INIT;

    cr_assert_eq(lido_conn_statement_stats(&conn, &all, &err), LIDO_OK);
    return all;
}

/* --- values ----------------------------------------------------------------------------- */

Test(stmt, a_value_of_each_type_comes_back_as_it_was)
{
    const struct lido_value values[] = { lido_null(),
                                         lido_integer(INT64_MIN),
                                         lido_real(0.5),
                                         lido_text_of("a\0\xc3\xa9", 4),
                                         lido_blob("\xff\0", 2),
                                         lido_text(""),
                                         lido_blob(NULL, 0),
                                         lido_text(NULL) };
    const int types[] = { SQLITE_NULL, SQLITE_INTEGER, SQLITE_FLOAT, SQLITE_TEXT,
                          SQLITE_BLOB, SQLITE_TEXT,    SQLITE_BLOB,  SQLITE_NULL };
    struct lido_stmt stmt = prepare("SELECT ?1 AS a, ?2, ?3, ?4, ?5, ?6, ?7, ?8 AS z");
    struct lido_value value;
    size_t size;

    cr_assert_eq(lido_stmt_bind_all(&stmt, values, 8, &err), LIDO_OK, "%s", err.text);
    cr_assert_eq(lido_stmt_step(&stmt, &err), SQLITE_ROW);
    cr_expect_eq(lido_stmt_columns(&stmt), 8);
    for (int i = 0; i < 8; i++) {
        cr_expect_eq(lido_stmt_type(&stmt, i), types[i], "column %d", i);
        cr_assert_eq(lido_stmt_value(&stmt, i, &value, &err), LIDO_OK);
        cr_expect_eq(value.type, types[i]);
        cr_expect_eq(value.size, values[i].size);
        if (value.size > 0)
            cr_expect_eq(memcmp(value.as.data, values[i].as.data, value.size), 0);
    }
    cr_expect_eq(lido_stmt_integer(&stmt, 1), INT64_MIN);
    cr_expect_eq(lido_stmt_real(&stmt, 2), 0.5);
    cr_expect_eq(memcmp(lido_stmt_text(&stmt, 3, &size), "a\0\xc3\xa9", 5), 0);
    cr_expect_eq(size, 4);
    cr_expect_eq(memcmp(lido_stmt_blob(&stmt, 4, &size), "\xff", 2), 0);
    cr_expect_eq(size, 2);
    cr_expect_eq(lido_stmt_index(&stmt, "z"), 7);
    cr_expect_str_eq(lido_stmt_name(&stmt, 0), "a");
    cr_expect_eq(lido_stmt_value_name(&stmt, "a", &value, &err), LIDO_OK);
    cr_expect_eq(value.type, SQLITE_NULL);
    cr_assert_eq(lido_stmt_step(&stmt, &err), SQLITE_DONE);
    finalize(&stmt);
}

Test(stmt, parameters_are_bound_by_number_and_by_name)
{
    struct lido_stmt stmt = prepare("SELECT :a + @b + $c + ?");

    cr_assert_eq(lido_stmt_bind_name(&stmt, ":a", lido_integer(1), &err), LIDO_OK);
    cr_assert_eq(lido_stmt_bind_name(&stmt, "@b", lido_integer(20), &err), LIDO_OK);
    cr_assert_eq(lido_stmt_bind_name(&stmt, "$c", lido_integer(300), &err), LIDO_OK);
    cr_assert_eq(lido_stmt_bind(&stmt, 4, lido_integer(4000), &err), LIDO_OK);
    cr_assert_eq(lido_stmt_step(&stmt, &err), SQLITE_ROW);
    cr_expect_eq(lido_stmt_integer(&stmt, 0), 4321);

    cr_expect_eq(lido_stmt_bind(&stmt, 1, lido_null(), &err), SQLITE_MISUSE);
    cr_expect_not_null(strstr(err.text, "running"), "%s", err.text);
    cr_assert_eq(lido_stmt_reset(&stmt, &err), LIDO_OK);
    cr_assert_eq(lido_stmt_bind(&stmt, 4, lido_integer(0), &err), LIDO_OK);
    cr_assert_eq(lido_stmt_step(&stmt, &err), SQLITE_ROW);
    cr_expect_eq(lido_stmt_integer(&stmt, 0), 321); /* the others have stayed */
    finalize(&stmt);
}

Test(stmt, a_value_that_does_not_fit_is_refused_with_a_text)
{
    struct lido_stmt stmt = prepare("SELECT :a, ?");
    const struct lido_value three[] = { lido_null(), lido_null(), lido_null() };
    struct lido_value odd = { .type = 9 };

    cr_expect_eq(lido_stmt_bind(&stmt, 3, lido_null(), &err), SQLITE_RANGE);
    cr_expect_not_null(strstr(err.text, "2 parameters"), "%s", err.text);
    cr_expect_eq(lido_stmt_bind(&stmt, 0, lido_null(), &err), SQLITE_RANGE);
    cr_expect_eq(lido_stmt_bind_name(&stmt, ":b", lido_null(), &err), SQLITE_RANGE);
    cr_expect_not_null(strstr(err.text, ":b"), "%s", err.text);
    cr_expect_eq(lido_stmt_bind_name(&stmt, NULL, lido_null(), &err), SQLITE_MISUSE);
    cr_expect_eq(lido_stmt_bind_all(&stmt, three, 3, &err), SQLITE_RANGE);
    cr_expect_str_eq(err.text, "3 values for 2 parameters");
    cr_expect_eq(lido_stmt_bind_all(&stmt, three, 1, &err), SQLITE_RANGE);
    cr_expect_eq(lido_stmt_bind_all(&stmt, NULL, 2, &err), SQLITE_MISUSE);
    cr_expect_eq(lido_stmt_bind(&stmt, 1, odd, &err), SQLITE_MISUSE);
    odd = lido_text_of("x", 1);
    odd.as.data = NULL;
    cr_expect_eq(lido_stmt_bind(&stmt, 1, odd, &err), SQLITE_MISUSE);
    cr_expect_eq(lido_stmt_bind(&stmt, 1, lido_blob(NULL, 1), &err), SQLITE_MISUSE);
    cr_expect_eq(lido_stmt_bind(&stmt, 1, lido_blob("x", (size_t)1 << 40), &err),
                 SQLITE_TOOBIG);
    finalize(&stmt);
}

Test(stmt, a_column_that_is_not_there_is_nothing_or_an_error)
{
    struct lido_stmt stmt = prepare("SELECT 7 AS a");
    struct lido_value value;
    size_t size = 9;

    cr_expect_eq(lido_stmt_value(&stmt, 0, &value, &err), SQLITE_MISUSE); /* no row yet */
    cr_expect_eq(lido_stmt_integer(&stmt, 0), 0);
    cr_assert_eq(lido_stmt_step(&stmt, &err), SQLITE_ROW);
    cr_expect_eq(lido_stmt_integer(&stmt, 1), 0);
    cr_expect_eq(lido_stmt_integer(&stmt, -1), 0);
    cr_expect_eq(lido_stmt_real(&stmt, 1), 0);
    cr_expect_eq(lido_stmt_type(&stmt, 1), SQLITE_NULL);
    cr_expect_null(lido_stmt_text(&stmt, 1, &size));
    cr_expect_eq(size, 0);
    cr_expect_null(lido_stmt_blob(&stmt, 1, &size));
    cr_expect_null(lido_stmt_name(&stmt, 1));
    cr_expect_null(lido_stmt_name(&stmt, -1));
    cr_expect_eq(lido_stmt_index(&stmt, "b"), -1);
    cr_expect_eq(lido_stmt_index(&stmt, NULL), -1);
    cr_expect_eq(lido_stmt_value(&stmt, 1, &value, &err), SQLITE_RANGE);
    cr_expect_eq(lido_stmt_value(&stmt, 0, NULL, &err), SQLITE_MISUSE);
    cr_expect_eq(lido_stmt_value_name(&stmt, "b", &value, &err), SQLITE_RANGE);
    cr_expect_not_null(strstr(err.text, "column b"), "%s", err.text);
    cr_expect_eq(lido_stmt_value_name(&stmt, NULL, &value, &err), SQLITE_MISUSE);
    cr_expect_eq(lido_stmt_integer(&stmt, 0), 7);
    finalize(&stmt);
}

/* --- the text of a statement ------------------------------------------------------------- */

Test(stmt, a_text_has_one_statement_and_may_end_in_blanks_and_comments)
{
    static const char *const good[] = { "SELECT 1", "SELECT 1;", "SELECT 1 ; \n\t-- end",
                                        " /* first */ SELECT 1 /* last */;;" };
    struct lido_stmt stmt;

    for (int i = 0; i < 4; i++)
        cr_expect_eq(ask(good[i]), 1, "%s", good[i]);
    cr_expect_eq(lido_stmt_prepare(&conn, &stmt, "SELECT 1; SELECT 2", &err),
                 SQLITE_MISUSE);
    cr_expect_not_null(strstr(err.text, "SELECT 2"), "%s", err.text);
    cr_expect_eq(stmt.number, 0);
    cr_expect_eq(lido_stmt_prepare(&conn, &stmt, " -- nothing", &err), SQLITE_MISUSE);
    cr_expect_eq(lido_stmt_prepare(&conn, &stmt, "", &err), SQLITE_MISUSE);
    cr_expect_eq(lido_stmt_prepare(&conn, &stmt, NULL, &err), SQLITE_MISUSE);
    cr_expect_eq(lido_stmt_prepare(&conn, NULL, "SELECT 1", &err), SQLITE_MISUSE);
    cr_expect_eq(lido_stmt_prepare(&conn, &stmt, "SELEC 1", &err), SQLITE_ERROR);
    cr_expect_not_null(strstr(err.text, "syntax error"), "%s", err.text);
}

/* As from a file of some editors. */
Test(stmt, a_byte_order_mark_is_a_blank)
{
    const char *text = "\xef\xbb\xbf"
                       "BEGIN; CREATE TABLE marked (x); COMMIT";
    struct lido_stmt stmt = prepare("SELECT 1;\xef\xbb\xbf\n");

    finalize(&stmt);
    execute("\xef\xbb\xbf"
            "BEGIN");
    cr_expect_eq(lido_txn_commit(&conn, NULL, &err), LIDO_OK, "%s", err.text);
    cr_expect_eq(stats().cached, 0); /* a BEGIN is never kept */
    handy_give(&conn);
    lido_pool_free(pool);
    open_with("sqlite://?autobegin=read");
    cr_expect_eq(lido_conn_exec(&conn, text, &err), LIDO_OK, "%s", err.text);
}

Test(stmt, exec_runs_all_and_stops_at_the_first_that_fails)
{
    execute("CREATE TABLE t (x); INSERT INTO t VALUES (1); ;; -- one\n"
            "INSERT INTO t VALUES (2);\n \n");
    cr_expect_eq(ask("SELECT sum(x) FROM t"), 3);
    cr_expect_eq(lido_conn_exec(&conn,
                                "INSERT INTO t VALUES (3); INSERT INTO u VALUES (1);"
                                "INSERT INTO t VALUES (4)",
                                &err),
                 SQLITE_ERROR);
    cr_expect_not_null(strstr(err.text, "no such table: u"), "%s", err.text);
    cr_expect_eq(ask("SELECT sum(x) FROM t"), 6);
    execute("");
    execute(" /* only this");
    cr_expect_eq(lido_conn_exec(&conn, NULL, &err), SQLITE_MISUSE);
    cr_expect_eq(lido_conn_changes(&conn), 1);
    cr_expect_eq(lido_conn_last_rowid(&conn), 3);
    cr_expect_eq(stats().in_use, 0);
}

static int add_up(void *ctx, const struct lido_stmt *row, struct lido_error *error)
{
    *(int64_t *)ctx += lido_stmt_integer(row, 0);
    if (lido_stmt_integer(row, 0) == 3)
        return SQLITE_DONE;
    return lido_stmt_integer(row, 0) < 0 ? lido_fail(error, SQLITE_AUTH, "below zero")
                                         : LIDO_OK;
}

Test(stmt, query_hands_over_each_row_until_it_is_told_to_stop)
{
    const struct lido_value ends[] = { lido_integer(1), lido_integer(5) };
    static const char *const sql = "WITH RECURSIVE n(x) AS (SELECT ?1 UNION ALL "
                                   "SELECT x + 1 FROM n WHERE x < ?2) SELECT x FROM n";
    int64_t sum = 0;

    cr_expect_eq(lido_conn_query(&conn, sql, ends, 2, add_up, &sum, &err), LIDO_OK);
    cr_expect_eq(sum, 6);
    cr_expect_eq(lido_conn_query(&conn, "SELECT -1", NULL, 0, add_up, &sum, &err),
                 SQLITE_AUTH);
    cr_expect_str_eq(err.text, "below zero");
    cr_expect_eq(lido_conn_query(&conn, sql, ends, 1, add_up, &sum, &err), SQLITE_RANGE);
    cr_expect_eq(lido_conn_query(&conn, "SELECT 1", NULL, 0, NULL, NULL, &err), LIDO_OK);
    cr_expect_eq(stats().in_use, 0);
}

static int fail_silently(void *ctx, const struct lido_stmt *row, struct lido_error *story)
{
    (void)row;
    if (ctx != NULL)
        lido_fail(story, SQLITE_AUTH, "%s", (const char *)ctx);
    return 7777;
}

Test(stmt, the_error_of_a_query_has_the_code_that_the_row_answered)
{
    err = (struct lido_error){ SQLITE_FULL, 0, "of an earlier call" };
    cr_expect_eq(lido_conn_query(&conn, "VALUES (1)", NULL, 0, fail_silently, NULL, &err),
                 7777);
    cr_expect_eq(err.code, 7777);
    cr_expect_str_eq(err.text, "the function answered unknown");
    cr_expect_eq(lido_conn_query(&conn, "VALUES (1)", NULL, 0, fail_silently, "no", &err),
                 7777);
    cr_expect_eq(err.code, 7777);
    cr_expect_str_eq(err.text, "no");
    cr_expect_eq(lido_conn_query(&conn, "VALUES (1)", NULL, 0, fail_silently, NULL, NULL),
                 7777);
}

Test(stmt, a_pool_runs_a_statement_on_a_connection_of_its_own)
{
    lido_pool *other;
    int64_t sum = 0;

    cr_assert_eq(lido_pool_open(&other, "sqlite://?pool=static", NULL, &err), LIDO_OK);
    cr_expect_eq(
        lido_pool_exec(other, "CREATE TABLE t (x); INSERT INTO t VALUES (2)", &err),
        LIDO_OK);
    cr_expect_eq(lido_pool_query(other, "SELECT x FROM t", NULL, 0, add_up, &sum, &err),
                 LIDO_OK);
    cr_expect_eq(sum, 2);
    cr_expect_eq(lido_pool_exec(other, "nonsense", &err), SQLITE_ERROR);
    cr_expect_eq(handy_stats(other).out, 0);
    cr_expect_eq(lido_pool_exec(NULL, "SELECT 1", &err), SQLITE_MISUSE);
    lido_pool_free(other);
}

/* --- the cache -------------------------------------------------------------------------- */

Test(stmt, a_text_is_prepared_once_and_comes_back_without_values)
{
    struct lido_stmt stmt = prepare("SELECT ?"), second;
    sqlite3_stmt *handle = lido_stmt_sqlite(&stmt);

    cr_assert_eq(lido_stmt_bind(&stmt, 1, lido_integer(5), &err), LIDO_OK);
    cr_assert_eq(lido_stmt_step(&stmt, &err), SQLITE_ROW);
    second = prepare("SELECT ?"); /* while the first is in use */
    cr_expect_neq(lido_stmt_sqlite(&second), handle);
    finalize(&second);
    finalize(&stmt);
    cr_expect_eq(stats().cached, 2);
    stmt = prepare("SELECT ?  ");
    cr_expect_eq(lido_stmt_sqlite(&stmt), handle);
    cr_assert_eq(lido_stmt_step(&stmt, &err), SQLITE_ROW);
    cr_expect_eq(lido_stmt_type(&stmt, 0), SQLITE_NULL);
    finalize(&stmt);
    cr_expect_eq(stats().hits, 1);
    cr_expect_eq(stats().misses, 2);
}

Test(stmt, the_one_used_the_longest_ago_is_given_up)
{
    tear_down();
    open_with("sqlite://?cached_statements=3");
    ask("SELECT 1"), ask("SELECT 2"), ask("SELECT 3"), ask("SELECT 1"), ask("SELECT 4");
    cr_expect_eq(stats().cached, 3);
    cr_expect_eq(stats().misses, 4);
    ask("SELECT 1"), ask("SELECT 3"), ask("SELECT 4");
    cr_expect_eq(stats().misses, 4);
    ask("SELECT 2");
    cr_expect_eq(stats().misses, 5);
}

Test(stmt, without_a_cache_each_is_prepared_anew)
{
    tear_down();
    open_with("sqlite://?cached_statements=0");
    ask("SELECT 1"), ask("SELECT 1");
    cr_expect_eq(stats().cached, 0);
    cr_expect_eq(stats().hits, 0);
    cr_expect_null(sqlite3_next_stmt(lido_conn_sqlite(&conn), NULL));
}

Test(stmt, settings_are_never_kept)
{
    ask("PRAGMA user_version");
    ask(" /* a */ pragma user_version");
    execute("ATTACH ':memory:' AS a; DETACH a");
    cr_expect_eq(stats().cached, 0);
    cr_expect_null(sqlite3_next_stmt(lido_conn_sqlite(&conn), NULL));
}

Test(stmt, many_are_in_use_at_once)
{
    struct lido_stmt all[300];
    char sql[40];

    for (int i = 0; i < 300; i++) {
        snprintf(sql, sizeof sql, "SELECT %d", i);
        all[i] = prepare(sql);
    }
    for (int i = 0; i < 300; i++) {
        cr_assert_eq(lido_stmt_step(&all[i], &err), SQLITE_ROW);
        cr_expect_eq(lido_stmt_integer(&all[i], 0), i);
    }
    cr_expect_eq(stats().in_use, 300);
    for (int i = 0; i < 300; i++)
        finalize(&all[i]);
    cr_expect_eq(stats().cached, 128);
    cr_expect_eq(ask("SELECT 299"), 299);
    cr_expect_eq(stats().hits, 1);
}

Test(stmt, a_change_of_the_schema_is_seen_at_the_next_step)
{
    struct lido_stmt stmt;

    execute("CREATE TABLE t (x); INSERT INTO t VALUES (1)");
    stmt = prepare("SELECT * FROM t");
    finalize(&stmt);
    execute("ALTER TABLE t ADD COLUMN y DEFAULT 'new'");
    stmt = prepare("SELECT * FROM t");
    cr_expect_eq(stats().hits, 1);
    cr_assert_eq(lido_stmt_step(&stmt, &err), SQLITE_ROW);
    cr_expect_eq(lido_stmt_columns(&stmt), 2);
    cr_expect_str_eq(lido_stmt_name(&stmt, 1), "y");
    cr_expect_str_eq(lido_stmt_text(&stmt, 1, NULL), "new");
    finalize(&stmt);
    execute("DROP TABLE t");
    stmt = prepare("SELECT 1");
    finalize(&stmt);
    cr_expect_eq(lido_conn_exec(&conn, "SELECT * FROM t", &err), SQLITE_ERROR);
    cr_expect_not_null(strstr(err.text, "no such table"), "%s", err.text);
}

/* --- names that are out of date --------------------------------------------------------- */

static void expect_stale(const struct lido_stmt *stmt)
{
    struct lido_stmt copy = *stmt;
    struct lido_value value;

    cr_expect_eq(lido_stmt_step(stmt, &err), LIDO_STALE);
    cr_expect_eq(lido_stmt_reset(stmt, &err), LIDO_STALE);
    cr_expect_eq(lido_stmt_bind(stmt, 1, lido_null(), &err), LIDO_STALE);
    cr_expect_eq(lido_stmt_bind_name(stmt, ":a", lido_null(), &err), LIDO_STALE);
    cr_expect_eq(lido_stmt_bind_all(stmt, NULL, 0, &err), LIDO_STALE);
    cr_expect_eq(lido_stmt_value(stmt, 0, &value, &err), LIDO_STALE);
    cr_expect_eq(lido_stmt_columns(stmt), 0);
    cr_expect_null(lido_stmt_text(stmt, 0, NULL));
    cr_expect_null(lido_stmt_sqlite(stmt));
    cr_expect_eq(lido_stmt_finalize(&copy, &err), LIDO_STALE);
}

Test(stmt, a_copy_of_a_finalized_statement_is_stale)
{
    struct lido_stmt stmt = prepare("SELECT 1"), copy = stmt, again;

    finalize(&stmt);
    expect_stale(&stmt);
    cr_expect_eq(lido_stmt_step(&stmt, &err), LIDO_STALE);
    cr_expect_not_null(strstr(err.text, "the statement is empty"), "%s", err.text);
    cr_expect_eq(lido_stmt_bind(&stmt, 1, lido_null(), &err), LIDO_STALE);
    cr_expect_not_null(strstr(err.text, "the statement is empty"), "%s", err.text);
    expect_stale(&copy);
    again = prepare("SELECT 1"); /* in the same place */
    expect_stale(&copy);
    cr_expect_eq(lido_stmt_step(&again, &err), SQLITE_ROW);
    finalize(&again);
}

Test(stmt, the_end_of_the_lease_gives_all_back)
{
    struct lido_stmt stmt, other;

    execute("CREATE TABLE t (x); INSERT INTO t VALUES (1), (2)");
    stmt = prepare("SELECT x FROM t");
    other = prepare("SELECT 2");
    cr_assert_eq(lido_stmt_step(&stmt, &err), SQLITE_ROW);
    handy_give(&conn);
    expect_stale(&stmt);
    conn = handy_take(pool);
    expect_stale(&stmt);
    expect_stale(&other);
    cr_expect_eq(stats().in_use, 0);
    cr_expect_eq(stats().cached, 2); /* of a text of several none */
    cr_expect_eq(lido_txn_state(&conn), LIDO_TXN_NONE);
}

Test(stmt, a_connection_that_is_replaced_takes_its_statements_with_it)
{
    struct lido_stmt stmt = prepare("SELECT 1");

    cr_assert_eq(lido_record_close(lido_conn_record(&conn), &err), LIDO_OK);
    cr_expect_eq(lido_stmt_step(&stmt, &err), LIDO_NO_CONNECTION);
    cr_assert_eq(lido_record_connect(lido_conn_record(&conn), &err), LIDO_OK);
    expect_stale(&stmt);
    cr_expect_eq(ask("SELECT 1"), 1);
    cr_expect_eq(stats().misses, 1);
}

Test(stmt, a_stolen_handle_has_none_of_them)
{
    struct lido_stmt stmt = prepare("SELECT 1");
    void *handle;

    ask("SELECT 2");
    cr_assert_eq(lido_conn_steal(&conn, &handle, &err), LIDO_OK, "%s", err.text);
    expect_stale(&stmt);
    cr_expect_null(sqlite3_next_stmt(handle, NULL));
    cr_expect_eq(sqlite3_close(handle), SQLITE_OK);
}

Test(stmt, an_adopted_handle_is_given_back_without_them)
{
    struct lido_stmt stmt;
    sqlite3 *db;

    handy_give(&conn);
    cr_assert_eq(sqlite3_open(":memory:", &db), SQLITE_OK);
    cr_assert_eq(lido_conn_adopt(&conn, pool, db, &err), LIDO_OK);
    stmt = prepare("SELECT 1");
    cr_assert_eq(lido_stmt_step(&stmt, &err), SQLITE_ROW);
    handy_give(&conn);
    cr_expect_null(sqlite3_next_stmt(db, NULL));
    cr_expect_eq(sqlite3_close(db), SQLITE_OK);
}

Test(stmt, nothing_is_no_statement_and_another_driver_has_none)
{
    struct lido_pool_options options = handy_options("queue");
    struct lido_stmt none = LIDO_STMT_INIT, stmt;
    struct lido_statement_stats all = LIDO_STATEMENT_STATS_INIT;
    lido_pool *fake;

    cr_expect_eq(lido_stmt_step(NULL, &err), SQLITE_MISUSE);
    cr_expect_eq(lido_stmt_finalize(NULL, &err), SQLITE_MISUSE);
    cr_expect_eq(lido_stmt_bind(NULL, 1, lido_null(), &err), SQLITE_MISUSE);
    cr_expect_eq(lido_stmt_columns(NULL), 0);
    expect_stale(&none);
    cr_expect_eq(lido_conn_statement_stats(&conn, NULL, &err), SQLITE_MISUSE);
    handy_give(&conn);
    cr_expect_eq(lido_conn_exec(&conn, "SELECT 1", &err), LIDO_STALE);
    cr_expect_eq(lido_conn_changes(&conn), 0);
    cr_expect_eq(lido_conn_statement_stats(&conn, &all, &err), LIDO_STALE);

    fake = handy_open(&options);
    conn = handy_take(fake);
    cr_expect_eq(lido_stmt_prepare(&conn, &stmt, "SELECT 1", &err), SQLITE_MISUSE);
    cr_expect_not_null(strstr(err.text, "fake has no statements"), "%s", err.text);
    handy_give(&conn);
    handy_end(fake);
}
