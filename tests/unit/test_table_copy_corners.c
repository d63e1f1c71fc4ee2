/* SPDX-License-Identifier: MIT */
/*
 * A copy of a table in the corners: names, memory, one file, locks, an early end, and what
 * the pools have afterwards.
 */
#include "tests/support/table_copy_stage.h"

TestSuite(table_copy_corners, .init = set_up, .fini = stage_tear_down, .timeout = 60);

static void expect_first(lido_pool *pool, const char *sql, const char *wanted)
{
    struct lido_conn conn;
    struct lido_stmt stmt;

    cr_assert_eq(lido_pool_checkout(pool, &conn, NULL, &err), LIDO_OK);
    cr_assert_eq(lido_stmt_prepare(&conn, &stmt, sql, &err), LIDO_OK, "%s", err.text);
    cr_assert_eq(lido_stmt_step(&stmt, &err), SQLITE_ROW, "%s", err.text);
    cr_expect_str_eq(lido_stmt_text(&stmt, 0, NULL), wanted, "%s: %s", sql,
                     lido_stmt_text(&stmt, 0, NULL));
    lido_stmt_finalize(&stmt, NULL);
    lido_conn_checkin(&conn, NULL, NULL);
}

Test(table_copy_corners, any_name_is_a_name)
{
    const char *name;

    for (size_t i = 0; (name = stage_name(i)) != NULL; i++) {
        char *new_name = sqlite3_mprintf("%s]\"'new", name);
        char *sql = sqlite3_mprintf(
            "CREATE TABLE \"%w\"(\"%w\" UNIQUE DEFAULT 3, me REFERENCES \"%w\"(\"%w\"));"
            "CREATE INDEX \"%w.i\" ON \"%w\"(\"%w\");INSERT INTO \"%w\" VALUES (1, 1)",
            name, name, name, name, name, name, name, name);
        char *parent =
            sqlite3_mprintf("SELECT \"table\" FROM pragma_foreign_key_list(%Q)", new_name);

        stage_exec(stage_a, sql);
        options.new_name = NULL;
        EXPECT_DONE(copy(name));
        options.new_name = new_name;
        EXPECT_DONE(copy(name));
        cr_expect_eq(result.rows_written, 1);
        stage_expect(stage_b, parent, new_name);
        options.mode = LIDO_COPY_REPLACE;
        EXPECT_DONE(copy(name));
        options.mode = LIDO_COPY_APPEND;
        options.conflict = LIDO_CONFLICT_IGNORE;
        EXPECT_DONE(copy(name));
        cr_expect_eq(result.rows_written, 0);
        options.mode = LIDO_COPY_NEW;
        options.conflict = LIDO_CONFLICT_ABORT;
        sqlite3_free(new_name);
        sqlite3_free(sql);
        sqlite3_free(parent);
    }
    stage_expect(stage_b, "PRAGMA integrity_check", "ok");
}

Test(table_copy_corners, memory_databases_can_be_either_side)
{
    lido_pool *memory = stage_pool(":memory:", "pool=static");
    lido_pool *other = stage_pool(":memory:", "pool=singleton_thread");

    cr_assert_eq(lido_pool_exec(memory,
                                "CREATE TABLE t(x); CREATE TEMP TABLE m(x);"
                                "INSERT INTO t VALUES (1), ('b'), (x'03');"
                                "INSERT INTO m VALUES (8)",
                                &err),
                 LIDO_OK);
    EXPECT_DONE(lido_table_copy(lido_at_pool(memory), "t", lido_at_path(stage_b), NULL,
                                NULL, &err));
    stage_expect(stage_b, "SELECT group_concat(quote(x)) FROM t", "1,'b',X'03'");
    EXPECT_DONE(
        lido_table_copy(lido_at_path(stage_b), "t", lido_at_pool(other), NULL, NULL, &err));
    expect_first(other, "SELECT group_concat(quote(x)) FROM t", "1,'b',X'03'");
    EXPECT_DONE(lido_table_copy(lido_at_pool(memory), "t", lido_at_pool(other), &options,
                                NULL, &err) == SQLITE_ERROR
                    ? LIDO_OK
                    : 1);
    options.new_name = "u";
    options.from_schema = "temp";
    EXPECT_DONE(lido_table_copy(lido_at_pool(memory), "m", lido_at_pool(memory), &options,
                                NULL, &err));
    expect_first(memory, "SELECT x FROM main.u", "8");
    expect_first(memory, "SELECT count(*) FROM pragma_database_list", "2");
    lido_pool_free(memory);
    lido_pool_free(other);
}

Test(table_copy_corners, within_one_file_it_does_not_wait_for_itself)
{
    static const char *const modes[] = { "PRAGMA journal_mode=delete",
                                         "PRAGMA journal_mode=wal" };
    lido_pool *pool =
        stage_pool(stage_a, "pool=queue&pool_size=1&max_overflow=0&timeout=1");
    char by_link[80];

    snprintf(by_link, sizeof by_link, "%s/../%s/a.db", stage_folder,
             strrchr(stage_folder, '/') + 1);
    stage_exec(stage_a, "CREATE TABLE t(x); INSERT INTO t VALUES (1)");
    for (int i = 0; i < 2; i++) {
        stage_exec(stage_a, modes[i]);
        options.new_name = i == 0 ? "a" : "c";
        EXPECT_DONE(lido_table_copy(lido_at_path(by_link), "t", lido_at_pool(pool),
                                    &options, &result, &err));
        options.new_name = i == 0 ? "b" : "d";
        EXPECT_DONE(lido_table_copy(lido_at_pool(pool), "t", lido_at_pool(pool), &options,
                                    &result, &err));
        cr_expect_eq(result.rows_written, 1);
    }
    options.new_name = "T";
    options.mode = LIDO_COPY_APPEND;
    cr_expect_eq(lido_table_copy(lido_at_path(by_link), "t", lido_at_pool(pool), &options,
                                 &result, &err),
                 SQLITE_MISUSE);
    cr_expect_not_null(strstr(err.text, "itself"), "%s", err.text);
    lido_pool_free(pool);
}

Test(table_copy_corners, within_one_file_that_is_attached_to_the_target)
{
    lido_pool *pool = stage_pool(stage_b, "pool=static");
    char *sql = sqlite3_mprintf("ATTACH %Q AS other", stage_a);

    stage_exec(stage_a, "CREATE TABLE t(x); INSERT INTO t VALUES (1)");
    cr_assert_eq(lido_pool_exec(pool, sql, &err), LIDO_OK);
    options.into_schema = "other";
    options.new_name = "u";
    EXPECT_DONE(lido_table_copy(lido_at_path(stage_a), "t", lido_at_pool(pool), &options,
                                &result, &err));
    lido_pool_free(pool);
    stage_expect(stage_a, "SELECT x FROM u", "1");
    sqlite3_free(sql);
}

Test(table_copy_corners, of_another_encoding_and_into_an_attached_database)
{
    lido_pool *pool = stage_pool(":memory:", "pool=static");
    char *sql = sqlite3_mprintf("ATTACH %Q AS \"x'\"\"y\"", stage_b);

    stage_exec(stage_a,
               "PRAGMA encoding = 'UTF-16le'; CREATE TABLE \"t\xc3\xa4\"(x);"
               "INSERT INTO \"t\xc3\xa4\" VALUES ('\xe2\x82\xac\xf0\x9f\x90\x9f')");
    cr_assert_eq(lido_pool_exec(pool, sql, &err), LIDO_OK);
    options.into_schema = "x'\"y";
    EXPECT_DONE(lido_table_copy(lido_at_path(stage_a), "t\xc3\xa4", lido_at_pool(pool),
                                &options, &result, &err));
    lido_pool_free(pool);
    stage_expect(stage_b, "SELECT x FROM \"t\xc3\xa4\"", "\xe2\x82\xac\xf0\x9f\x90\x9f");
    sqlite3_free(sql);
}

Test(table_copy_corners, it_sees_what_is_in_a_log_and_writes_through_one)
{
    lido_pool *pool = stage_pool(stage_a, "pool=queue&journal_mode=wal");

    stage_exec(stage_b, "PRAGMA journal_mode=wal");
    cr_assert_eq(lido_pool_exec(pool, "CREATE TABLE t(x); INSERT INTO t VALUES (4)", &err),
                 LIDO_OK);
    EXPECT_DONE(copy("t"));
    stage_expect(stage_b, "SELECT x FROM t", "4");
    lido_pool_free(pool);
}

/* --- what ends it ----------------------------------------------------------------------- */

#define MANY                                                                               \
    "CREATE TABLE t(x); CREATE INDEX i ON t(x); WITH RECURSIVE n(v) AS (SELECT 1 UNION "   \
    "ALL"                                                                                  \
    " SELECT v + 1 FROM n LIMIT 50000) INSERT INTO t SELECT v FROM n"

struct ending {
    lido_cancel *cancel;
    int answer;
    const char *phase; /* in which it ends it */
};
static uint64_t total;

static int end_it(void *ctx, const struct lido_progress *now, struct lido_error *story)
{
    struct ending *ending = ctx;

    (void)story;
    if (strcmp(now->phase, "copying") == 0)
        total = now->total;
    if (strcmp(now->phase, ending->phase) != 0)
        return LIDO_OK;
    if (ending->cancel != NULL)
        lido_cancel_fire(ending->cancel, NULL);
    return ending->answer;
}

Test(table_copy_corners, ended_anywhere_nothing_is_changed_and_the_next_works)
{
    static const char *const phases[] = { "copying", "indexing", "checking" };
    lido_pool *pool = stage_pool(stage_b, "pool=queue&pool_size=1&max_overflow=0");
    struct lido_job job = LIDO_JOB_INIT;
    struct ending ending = { NULL, SQLITE_AUTH, NULL };
    char *a, *b;

    stage_exec(stage_a, MANY);
    stage_exec(stage_b, "CREATE TABLE t(y); INSERT INTO t VALUES (1)");
    a = stage_content(stage_a);
    b = stage_content(stage_b);
    job.progress = end_it;
    job.progress_ctx = &ending;
    options.job = &job;
    options.mode = LIDO_COPY_REPLACE;
    for (int i = 0; i < 6; i++) {
        ending.phase = phases[i % 3];
        if (i == 3) {
            cr_assert_eq(lido_cancel_new(&ending.cancel, &err), LIDO_OK);
            ending.answer = LIDO_OK;
            job.cancel = ending.cancel;
        }
        if (ending.cancel != NULL)
            lido_cancel_reset(ending.cancel);
        cr_expect_eq(lido_table_copy(lido_at_path(stage_a), "t", lido_at_pool(pool),
                                     &options, &result, &err),
                     i < 3 ? SQLITE_AUTH : LIDO_CANCELLED, "%d: %s", i, err.text);
        expect_first(pool, "SELECT count(*) FROM pragma_database_list", "1");
    }
    cr_expect_eq(total, 50000);
    stage_expect_same(stage_a, a);
    stage_expect_same(stage_b, b);
    lido_cancel_free(ending.cancel);
    options.job = NULL;
    EXPECT_DONE(lido_table_copy(lido_at_path(stage_a), "t", lido_at_pool(pool), &options,
                                &result, &err));
    expect_first(pool, "SELECT count(*) FROM t", "50000");
    lido_pool_free(pool);
}

Test(table_copy_corners, a_source_without_end_ends_with_the_time)
{
    struct lido_job job = LIDO_JOB_INIT;
    char *b;

    stage_exec(stage_a, "CREATE TABLE t(x); INSERT INTO t VALUES (1)");
    b = stage_content(stage_b);
    job.timeout_ms = 30;
    options.job = &job;
    options.where = "(WITH RECURSIVE n(v) AS (SELECT 1 UNION ALL SELECT v + 1 FROM n)"
                    " SELECT count(*) FROM n)";
    cr_expect_eq(copy("t"), LIDO_TXN_TIMEOUT, "%s", err.text);
    stage_expect_same(stage_b, b);
}

Test(table_copy_corners, on_a_shared_connection_too)
{
    lido_pool *pool = stage_pool(":memory:", "pool=static");
    struct lido_job job = LIDO_JOB_INIT;

    cr_assert_eq(lido_pool_exec(pool, "CREATE TABLE t(x); INSERT INTO t VALUES (1)", &err),
                 LIDO_OK);
    job.timeout_ms = 30;
    options.job = &job;
    options.where = "(WITH RECURSIVE n(v) AS (SELECT 1 UNION ALL SELECT v + 1 FROM n)"
                    " SELECT count(*) FROM n)";
    options.new_name = "u";
    cr_expect_eq(lido_table_copy(lido_at_pool(pool), "t", lido_at_path(stage_b), &options,
                                 &result, &err),
                 LIDO_TXN_TIMEOUT, "%s", err.text);
    cr_expect_eq(lido_table_copy(lido_at_pool(pool), "t", lido_at_pool(pool), &options,
                                 &result, &err),
                 LIDO_TXN_TIMEOUT, "%s", err.text);
    expect_first(pool, "SELECT group_concat(name) FROM sqlite_schema", "t");
    lido_pool_free(pool);
}

Test(table_copy_corners, a_full_disk_leaves_the_target_as_it_was)
{
    lido_pool *pool = stage_pool(stage_b, "pool=static");
    struct lido_conn conn;
    char *b;

    stage_exec(stage_a, MANY);
    b = stage_content(stage_b);
    /* The pragma is this lease's, which shares its connection with the job's. */
    cr_assert_eq(lido_pool_checkout(pool, &conn, NULL, &err), LIDO_OK);
    cr_assert_eq(lido_conn_exec(&conn, "PRAGMA max_page_count = 40", &err), LIDO_OK);
    cr_expect_eq(lido_table_copy(lido_at_path(stage_a), "t", lido_at_pool(pool), NULL,
                                 &result, &err),
                 SQLITE_FULL, "%s", err.text);
    stage_expect_same(stage_b, b);
    expect_first(pool, "SELECT count(*) FROM sqlite_schema", "0");
    lido_conn_checkin(&conn, NULL, NULL);
    lido_pool_free(pool);
}

Test(table_copy_corners, a_locked_side_answers_busy)
{
    lido_pool *from = stage_pool(stage_a, "timeout=0"),
              *into = stage_pool(stage_b, "timeout=0");
    sqlite3 *db;

    stage_exec(stage_a, "CREATE TABLE t(x)");
    for (int i = 0; i < 2; i++) {
        char *a = stage_content(stage_a), *b = stage_content(stage_b);

        cr_assert_eq(sqlite3_open(i == 0 ? stage_a : stage_b, &db), SQLITE_OK);
        cr_assert_eq(sqlite3_exec(db, "BEGIN EXCLUSIVE", 0, 0, 0), SQLITE_OK);
        cr_expect_eq(
            lido_table_copy(lido_at_pool(from), "t", lido_at_pool(into), NULL, NULL, &err) &
                0xff,
            SQLITE_BUSY, "%s", err.text);
        cr_assert_eq(sqlite3_exec(db, "ROLLBACK", 0, 0, 0), SQLITE_OK);
        sqlite3_close(db);
        stage_expect_same(stage_a, a);
        stage_expect_same(stage_b, b);
    }
    EXPECT_DONE(
        lido_table_copy(lido_at_pool(from), "t", lido_at_pool(into), NULL, NULL, &err));
    lido_pool_free(from);
    lido_pool_free(into);
}

Test(table_copy_corners, nonsense_is_refused)
{
    const struct lido_database none = { NULL, NULL, NULL };
    lido_pool *pool = stage_pool(stage_b, "pool=queue");
    struct lido_conn conn;

    stage_exec(stage_a, "CREATE TABLE t(x); CREATE VIEW v AS SELECT 1");
    cr_expect_eq(copy("v"), SQLITE_ERROR);
    cr_expect_eq(copy("nowhere"), LIDO_NOT_FOUND);
    cr_expect_eq(copy(NULL), SQLITE_MISUSE);
    options.mode = 3;
    cr_expect_eq(copy("t"), LIDO_BAD_OPTION);
    options.mode = 0;
    options.conflict = -1;
    cr_expect_eq(copy("t"), LIDO_BAD_OPTION);
    options.conflict = 0;
    options.size = 8;
    cr_expect_eq(copy("t"), SQLITE_MISUSE);
    options.size = sizeof options;
    result.size = 8;
    cr_expect_eq(copy("t"), SQLITE_MISUSE);
    result.size = sizeof result;
    options.from_schema = "absent";
    cr_expect_eq(copy("t"), LIDO_NOT_FOUND, "%s", err.text);
    options.from_schema = NULL;
    options.into_schema = "absent";
    cr_expect_eq(copy("t"), LIDO_NOT_FOUND, "%s", err.text);
    cr_expect_eq(lido_table_copy(none, "t", lido_at_path(stage_b), NULL, NULL, &err),
                 SQLITE_MISUSE);
    cr_expect_eq(lido_table_copy(lido_at_path(stage_a), "t", none, NULL, NULL, &err),
                 SQLITE_MISUSE);
    cr_expect_eq(lido_table_copy(lido_at_path(stage_a), "t", lido_at_path("/nowhere.db"),
                                 NULL, NULL, &err),
                 LIDO_NOT_FOUND);
    cr_expect_neq(access("/nowhere.db", F_OK), 0);
    cr_assert_eq(lido_pool_checkout(pool, &conn, NULL, &err), LIDO_OK);
    lido_conn_checkin(&conn, NULL, NULL);
    lido_pool_close(pool, 0, NULL);
    cr_expect_eq(
        lido_table_copy(lido_at_path(stage_a), "t", lido_at_pool(pool), NULL, NULL, &err),
        LIDO_CLOSED);
    cr_expect_eq(
        lido_table_copy(lido_at_pool(pool), "t", lido_at_path(stage_b), NULL, NULL, &err),
        LIDO_CLOSED);
    lido_pool_free(pool);
    cr_assert_eq(truncate(stage_b, 700), 0);
    cr_expect_neq(copy("t"), LIDO_OK);
}

Test(table_copy_corners, a_host_in_a_transaction_keeps_it)
{
    lido_pool *pool = stage_pool(":memory:", "pool=singleton_thread");
    struct lido_conn conn;

    stage_exec(stage_a, "CREATE TABLE t(x)");
    cr_assert_eq(lido_pool_checkout(pool, &conn, NULL, &err), LIDO_OK);
    cr_assert_eq(lido_txn_begin(&conn, LIDO_IMMEDIATE, &err), LIDO_OK);
    cr_expect_eq(
        lido_table_copy(lido_at_path(stage_a), "t", lido_at_pool(pool), NULL, NULL, &err),
        LIDO_IN_TXN, "%s", err.text);
    cr_expect_eq(lido_txn_state(&conn), LIDO_TXN_WRITE);
    lido_conn_checkin(&conn, NULL, NULL);
    lido_pool_free(pool);
}

/* --- what is in the way ------------------------------------------------------------------ */

Test(table_copy_corners, under_a_name_of_the_same_letters)
{
    stage_exec(stage_a, "CREATE TABLE Fish(id INTEGER PRIMARY KEY, me REFERENCES Fish);"
                        "INSERT INTO Fish VALUES (1, 1)");
    options.new_name = "fish";
    EXPECT_DONE(copy("Fish"));
    stage_expect(stage_b, "SELECT name FROM sqlite_schema", "fish");
}

Test(table_copy_corners, where_an_index_has_the_old_name)
{
    stage_exec(stage_a, "CREATE TABLE t(x); INSERT INTO t VALUES (1)");
    stage_exec(stage_b, "CREATE TABLE o(x); CREATE INDEX t ON o(x)");
    options.new_name = "u";
    EXPECT_DONE(copy("t"));
    stage_expect(stage_b, "SELECT x FROM u", "1");
    stage_expect(stage_b, "SELECT tbl_name FROM sqlite_schema WHERE name = 't'", "o");
}

Test(table_copy_corners, where_an_index_of_the_source_has_the_new_name)
{
    stage_exec(stage_a, "CREATE TABLE t(x); CREATE INDEX u ON t(x); CREATE INDEX i ON t(x);"
                        "INSERT INTO t VALUES (1)");
    options.new_name = "u";
    EXPECT_DONE(copy("t"));
    cr_expect_eq(result.indexes, 2);
    stage_expect(stage_b,
                 "SELECT group_concat(type || ' ' || name) FROM sqlite_schema"
                 " ORDER BY rowid",
                 "table u,index u_u,index i");
}

/* It gets the new table's name behind its own. */
Test(table_copy_corners, where_a_table_has_the_name_of_a_trigger)
{
    stage_exec(stage_a, "CREATE TABLE t(x); CREATE TRIGGER g AFTER DELETE ON t BEGIN "
                        "SELECT 1; END");
    stage_exec(stage_b, "CREATE TABLE g(x)");
    options.new_name = "u";
    options.triggers = 1;
    EXPECT_DONE(copy("t"));
    cr_expect_eq(result.triggers, 1);
    stage_expect(stage_b,
                 "SELECT name FROM sqlite_schema WHERE tbl_name = 'u' AND "
                 "type = 'trigger'",
                 "g_u");
}

Test(table_copy_corners, where_a_temporary_view_does_not_work)
{
    lido_pool *pool = stage_pool(stage_b, "pool=static");

    stage_exec(stage_a, "CREATE TABLE t(x); INSERT INTO t VALUES (1)");
    cr_assert_eq(lido_pool_exec(pool, "CREATE TEMP VIEW v AS SELECT * FROM gone", &err),
                 LIDO_OK, "%s", err.text);
    options.new_name = "u";
    EXPECT_DONE(lido_table_copy(lido_at_path(stage_a), "t", lido_at_pool(pool), &options,
                                &result, &err));
    cr_expect_eq(lido_pool_exec(pool, "DROP VIEW temp.v", &err), LIDO_OK, "it is there");
    lido_pool_free(pool);
    stage_expect(stage_b, "SELECT x FROM u", "1");
}

Test(table_copy_corners, a_trigger_that_writes_to_the_source_does_not_feed_the_copy)
{
    struct lido_job job = LIDO_JOB_INIT;

    stage_exec(stage_a,
               "CREATE TABLE t(x); INSERT INTO t VALUES (1), (2); CREATE TABLE u(x);"
               "CREATE TRIGGER g AFTER INSERT ON u BEGIN INSERT INTO t VALUES (9); END");
    job.timeout_ms = 5000;
    options.job = &job;
    options.new_name = "u";
    options.mode = LIDO_COPY_APPEND;
    EXPECT_DONE(lido_table_copy(lido_at_path(stage_a), "t", lido_at_path(stage_a), &options,
                                &result, &err));
    cr_expect_eq(result.rows_written, 2);
    stage_expect(stage_a, "SELECT group_concat(x) FROM u", "1,2");
    stage_expect(stage_a, "SELECT group_concat(x) FROM t", "1,2,9,9");
}

Test(table_copy_corners, nor_where_the_table_has_no_rowid)
{
    struct lido_job job = LIDO_JOB_INIT;

    stage_exec(stage_a,
               "CREATE TABLE t(x PRIMARY KEY) WITHOUT ROWID; INSERT INTO t VALUES (1), (2);"
               "CREATE TABLE u(x PRIMARY KEY) WITHOUT ROWID; CREATE TRIGGER g AFTER INSERT "
               "ON u BEGIN INSERT INTO t VALUES (new.x + 10); END");
    job.timeout_ms = 5000;
    options.job = &job;
    options.new_name = "u";
    options.mode = LIDO_COPY_APPEND;
    EXPECT_DONE(lido_table_copy(lido_at_path(stage_a), "t", lido_at_path(stage_a), &options,
                                &result, &err));
    cr_expect_eq(result.rows_written, 2);
    stage_expect(stage_a, "SELECT group_concat(x) FROM u", "1,2");
    stage_expect(stage_a, "SELECT group_concat(x) FROM t", "1,2,11,12");
}

/* --- hooks that end the lease ------------------------------------------------------------ */

static int end_the_lease(void *left, const struct lido_event *event,
                         struct lido_error *story)
{
    struct lido_conn conn = *event->conn;

    (void)story;
    if ((*(int *)left)-- == 0)
        lido_conn_invalidate(&conn, NULL, NULL);
    return LIDO_OK;
}

/* Row by row, as a `where` has it. */
Test(table_copy_corners, a_row_may_come_before_its_parent)
{
    static const char table[] =
        "CREATE TABLE t(id INTEGER PRIMARY KEY, p REFERENCES t(id))";
    lido_pool *pool;

    stage_exec(stage_a, table);
    stage_exec(stage_a, "INSERT INTO t VALUES (2, NULL), (1, 2)");
    stage_exec(stage_b, table);
    pool = stage_pool(stage_b, "pool=queue&foreign_keys=on");
    options.mode = LIDO_COPY_APPEND;
    options.where = "1";
    EXPECT_DONE(lido_table_copy(lido_at_path(stage_a), "t", lido_at_pool(pool), &options,
                                &result, &err));
    cr_expect_eq(result.rows_written, 2);
    lido_pool_free(pool);
}

Test(table_copy_corners, a_hook_that_ends_the_lease_ends_the_job)
{
    static const struct lido_events sets[] = {
        { .size = sizeof sets[0], .before_execute = end_the_lease },
        { .size = sizeof sets[0], .after_execute = end_the_lease },
    };

    stage_exec(stage_a, "CREATE TABLE t(x); PRAGMA journal_mode=WAL");
    for (int i = 0; i < 24; i++) {
        lido_pool *pool = stage_pool(stage_a, "pool=queue&foreign_keys=on");
        int left = i / 2 % 4, rc;
        /* Schema, name, rows; these are another lease's, where the file is attached to it. */
        const bool ends = left < (i < 16 ? 3 : 2);

        cr_assert_eq(
            lido_hooks_add(lido_pool_hooks(pool), NULL, &sets[i % 2], &left, NULL, &err),
            LIDO_OK);
        options.where = i < 16 ? "1" : NULL;
        rc = i < 8 ? lido_table_backup(lido_at_pool(pool), "t", "u", NULL, NULL, &err)
                   : lido_table_copy(lido_at_pool(pool), "t", lido_at_path(stage_b),
                                     &options, NULL, &err);
        cr_expect_eq(rc, ends ? LIDO_STALE : LIDO_OK, "%d: %d %s", i, rc, err.text);
        lido_pool_free(pool);
        stage_exec(stage_a, "DROP TABLE IF EXISTS u");
        stage_exec(stage_b, "DROP TABLE IF EXISTS t");
    }
}
