/* SPDX-License-Identifier: MIT */
/*
 * A table copied between two plain files: the source is attached to the target's connection,
 * and never for longer than the copy takes.
 */
#include "tests/support/table_copy_stage.h"

#include <pthread.h>

TestSuite(table_copy_attach, .init = set_up, .fini = stage_tear_down, .timeout = 60);

static const char many[] =
    "CREATE TABLE t(x NOT NULL); CREATE INDEX i ON t(x);"
    "WITH RECURSIVE n(v) AS (SELECT 1 UNION ALL SELECT v + 1 FROM n WHERE v < 20000)"
    " INSERT INTO t SELECT v FROM n";

/* The target's pool: what is attached is not detached by the check-in. */
static lido_pool *open_target(void)
{
    return stage_pool(stage_b, "pool=queue&pool_size=1&max_overflow=0&keep_temp=1");
}

static void expect_databases(lido_pool *pool, int line)
{
    struct lido_conn conn;
    sqlite3_stmt *stmt;

    cr_assert_eq(lido_pool_checkout(pool, &conn, NULL, &err), LIDO_OK);
    cr_assert_eq(sqlite3_prepare_v2(lido_conn_sqlite(&conn),
                                    "SELECT count(*) FROM pragma_database_list", -1, &stmt,
                                    NULL),
                 SQLITE_OK);
    cr_assert_eq(sqlite3_step(stmt), SQLITE_ROW);
    cr_expect_eq(sqlite3_column_int(stmt, 0), 1, "line %d", line);
    sqlite3_finalize(stmt);
    lido_conn_checkin(&conn, NULL, NULL);
}

static int copy_into(lido_pool *pool)
{
    return lido_table_copy(lido_at_path(stage_a), "t", lido_at_pool(pool), &options,
                           &result, &err);
}

/* --- what happens ------------------------------------------------------------------------- */

static char seen[200];

static int note_insert(void *ctx, const struct lido_event *event, struct lido_error *story)
{
    (void)ctx;
    (void)story;
    if (event->sql != NULL && strncmp(event->sql, "INSERT", 6) == 0)
        snprintf(seen, sizeof seen, "%s", event->sql);
    return LIDO_OK;
}

static void expect_seen(const char *text, int line)
{
    cr_expect_not_null(strstr(seen, text), "line %d: <%s>", line, seen);
    seen[0] = '\0';
}

Test(table_copy_attach, rows_go_by_one_statement)
{
    static const struct lido_events events = { .size = sizeof events,
                                               .before_execute = note_insert };
    lido_pool *pool = open_target();

    cr_assert_eq(lido_hooks_add(lido_pool_hooks(pool), NULL, &events, NULL, NULL, &err),
                 LIDO_OK);
    stage_exec(stage_a, many);
    stage_exec(stage_a, "PRAGMA journal_mode=WAL");
    EXPECT_DONE(copy_into(pool));
    cr_expect_eq(result.rows_read, 20000);
    cr_expect_eq(result.rows_written, 20000);
    cr_expect_eq(result.indexes, 1);
    expect_seen(" SELECT rowid, \"x\" FROM \"lido_", __LINE__);
    expect_databases(pool, __LINE__);
    options.mode = LIDO_COPY_APPEND;
    EXPECT_DONE(copy_into(pool));
    expect_seen(" SELECT \"x\" FROM \"lido_", __LINE__);
    stage_exec(stage_a, "DROP TABLE t; CREATE TABLE t(id INTEGER PRIMARY KEY, x)");
    options.mode = LIDO_COPY_REPLACE;
    EXPECT_DONE(copy_into(pool));
    expect_seen(" SELECT * FROM \"lido_", __LINE__);
    expect_databases(pool, __LINE__);
    stage_exec(stage_a, "PRAGMA journal_mode=DELETE");
    EXPECT_DONE(copy_into(pool));
    expect_seen(" SELECT * FROM \"lido_", __LINE__);
    lido_pool_free(pool);
    stage_exec(stage_b, "PRAGMA journal_mode=WAL");
    pool = open_target();
    cr_assert_eq(lido_hooks_add(lido_pool_hooks(pool), NULL, &events, NULL, NULL, &err),
                 LIDO_OK);
    EXPECT_DONE(copy_into(pool));
    expect_seen(" SELECT * FROM \"lido_", __LINE__);
    lido_pool_free(pool);
    stage_expect(stage_b, "PRAGMA integrity_check", "ok");
}

struct ending {
    const char *phase;
    lido_cancel *cancel;
};

static int end_it(void *ctx, const struct lido_progress *now, struct lido_error *story)
{
    struct ending *ending = ctx;

    (void)story;
    if (strcmp(now->phase, ending->phase) == 0)
        lido_cancel_fire(ending->cancel, NULL);
    return LIDO_OK;
}

Test(table_copy_attach, the_source_is_detached_whatever_ends_it)
{
    static const char *const phases[] = { "copying", "indexing", "checking" };
    struct lido_job job = LIDO_JOB_INIT;
    struct ending ending;
    lido_pool *pool;
    char *a, *b;

    stage_exec(stage_b, "PRAGMA journal_mode=WAL"); /* or it is not attached */
    pool = open_target();
    stage_exec(stage_a, many);
    stage_exec(stage_b, "CREATE TABLE u(x UNIQUE CHECK (x < 15000), y)");
    a = stage_content(stage_a);
    b = stage_content(stage_b);
    cr_assert_eq(lido_cancel_new(&ending.cancel, &err), LIDO_OK);
    job.progress = end_it;
    job.progress_ctx = &ending;
    job.cancel = ending.cancel;
    for (int i = 0; i < 6; i++) {
        stage_exec(stage_a,
                   i % 2 == 0 ? "PRAGMA journal_mode=DELETE" : "PRAGMA journal_mode=WAL");
        ending.phase = phases[i / 2];
        options.job = &job;
        cr_expect_eq(copy_into(pool), LIDO_CANCELLED, "%d: %s", i, err.text);
        snprintf(seen, sizeof seen, "cancelled while %s", phases[i / 2]);
        cr_expect_str_eq(err.text, seen, "%d: %s", i, err.text);
        lido_cancel_reset(ending.cancel);
        expect_databases(pool, __LINE__);
        options.job = NULL;
        options.mode = LIDO_COPY_APPEND;
        options.new_name = "u";
        cr_expect_eq(copy_into(pool), SQLITE_CONSTRAINT_CHECK, "%d: %s", i, err.text);
        expect_databases(pool, __LINE__);
        options = (struct lido_table_copy_options)LIDO_TABLE_COPY_OPTIONS_INIT;
    }
    lido_cancel_free(ending.cancel);
    stage_expect_same(stage_a, a);
    stage_expect_same(stage_b, b);
    EXPECT_DONE(copy_into(pool));
    lido_pool_free(pool);
}

static int note_wait(void *ctx, const struct lido_progress *now, struct lido_error *story)
{
    sqlite3 *other = ctx;

    (void)story;
    if (strcmp(now->phase, "waiting") == 0)
        snprintf(seen, sizeof seen, "waits, %d",
                 sqlite3_exec(other, "ROLLBACK", NULL, NULL, NULL));
    return LIDO_OK;
}

Test(table_copy_attach, it_tells_that_it_waits_before_it_has_the_lock)
{
    struct lido_job job = LIDO_JOB_INIT;
    sqlite3 *other;

    stage_exec(stage_a, many);
    cr_assert_eq(sqlite3_open(stage_b, &other), SQLITE_OK);
    cr_assert_eq(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    job.progress = note_wait;
    job.progress_ctx = other;
    options.job = &job;
    EXPECT_DONE(copy("t"));
    expect_seen("waits, 0", __LINE__);
    sqlite3_close(other);
}

Test(table_copy_attach, cancelled_before_it_began_it_says_so)
{
    struct lido_job job = LIDO_JOB_INIT;
    lido_pool *pool = open_target();

    stage_exec(stage_a, many);
    cr_assert_eq(lido_cancel_new(&job.cancel, &err), LIDO_OK);
    cr_assert_eq(lido_cancel_fire(job.cancel, &err), LIDO_OK);
    options.job = &job;
    cr_expect_eq(copy_into(pool), LIDO_CANCELLED);
    cr_expect_str_eq(err.text, "cancelled while it began");
    lido_cancel_free(job.cancel);
    lido_pool_free(pool);
}

/* --- rowids ------------------------------------------------------------------------------- */

static int count_calls(void *ctx, const struct lido_progress *now, struct lido_error *story)
{
    (void)story;
    if (strcmp(now->phase, "copying") == 0)
        *(uint64_t *)ctx = now->done;
    return LIDO_OK;
}

static void expect_rowids(const char *table, const char *name)
{
    struct lido_job job = LIDO_JOB_INIT;
    char *sql =
        sqlite3_mprintf("SELECT group_concat(%s || ':' || %s) || count(*) FROM (SELECT"
                        " * , %s FROM t ORDER BY %s)",
                        name, name, name, name);
    char *wanted;
    uint64_t told = 0;

    stage_exec(stage_a, table);
    wanted = stage_ask(stage_a, sql);
    job.progress = count_calls;
    job.progress_ctx = &told;
    for (int i = 0; i < 2; i++) {
        options.mode = LIDO_COPY_REPLACE;
        options.job = i == 0 ? NULL : &job;
        EXPECT_DONE(copy("t"));
        stage_expect(stage_b, sql, wanted);
    }
    cr_expect_eq(told, result.rows_read);
    sqlite3_free(wanted);
    sqlite3_free(sql);
    stage_exec(stage_a, "DROP TABLE t");
}

Test(table_copy_attach, rowids_are_kept_to_the_ends_of_their_range)
{
    static const char rows[] =
        "(rowid, x) VALUES (-9223372036854775808, 1), (-5, 2), (0, 3), (7, 4),"
        " (1000000, 5), (9223372036854775807, 6)";
    char sql[600];

    snprintf(sql, sizeof sql, "CREATE TABLE t(x UNIQUE); INSERT INTO t%s", rows);
    expect_rowids(sql, "rowid");
    snprintf(sql, sizeof sql, "CREATE TABLE t(id INTEGER PRIMARY KEY, x); INSERT INTO t%s",
             rows);
    expect_rowids(sql, "id");
    snprintf(sql, sizeof sql,
             "CREATE TABLE t(id INTEGER PRIMARY KEY DESC, x); INSERT INTO t%s", rows);
    expect_rowids(sql, "rowid");
    expect_rowids("CREATE TABLE t(rowid, x, y AS (x)); INSERT INTO t(oid, rowid) VALUES"
                  " (9, 1), (3, 2)",
                  "oid");
    expect_rowids("CREATE TABLE t(k PRIMARY KEY) WITHOUT ROWID; INSERT INTO t VALUES (3),"
                  " (1)",
                  "k");
    expect_rowids("CREATE TABLE t(x); WITH RECURSIVE n(v) AS (SELECT 1 UNION ALL SELECT"
                  " v + 1 FROM n WHERE v < 5000) INSERT INTO t(rowid, x) SELECT v * 3, v"
                  " FROM n",
                  "rowid");
}

/* --- others ------------------------------------------------------------------------------- */

static int written;

static int write_source(void *ctx, const struct lido_progress *now,
                        struct lido_error *story)
{
    (void)ctx;
    (void)story;
    if (strcmp(now->phase, "indexing") == 0 && written < 0) {
        sqlite3 *db;

        cr_assert_eq(sqlite3_open(stage_a, &db), SQLITE_OK);
        written = sqlite3_exec(db, "INSERT INTO t VALUES ('late')", NULL, NULL, NULL);
        sqlite3_close(db);
    }
    return LIDO_OK;
}

Test(table_copy_attach, writers_of_a_source_with_a_log_go_on)
{
    struct lido_job job = LIDO_JOB_INIT;

    stage_exec(stage_a, many);
    job.progress = write_source;
    options.job = &job;
    for (int i = 0; i < 2; i++) {
        stage_exec(stage_a,
                   i == 0 ? "PRAGMA journal_mode=WAL" : "PRAGMA journal_mode=DELETE");
        written = -1;
        options.mode = LIDO_COPY_REPLACE;
        EXPECT_DONE(copy("t"));
        cr_expect_eq(written, i == 0 ? SQLITE_OK : SQLITE_BUSY);
        stage_expect(stage_b, "SELECT count(*) FROM t", i == 0 ? "20000" : "20001");
    }
}

/* Without a log too: the source is not committed to. */
Test(table_copy_attach, readers_of_the_source_go_on)
{
    sqlite3 *reader;

    stage_exec(stage_a, many);
    cr_assert_eq(sqlite3_open(stage_a, &reader), SQLITE_OK);
    cr_assert_eq(sqlite3_exec(reader, "BEGIN; SELECT count(*) FROM t", NULL, NULL, NULL),
                 SQLITE_OK);
    EXPECT_DONE(copy("t"));
    cr_expect_eq(sqlite3_exec(reader, "SELECT count(*) FROM t; COMMIT", NULL, NULL, NULL),
                 SQLITE_OK);
    sqlite3_close(reader);
}

static char begun[8];

static int note_begin(void *name, const struct lido_event *event, struct lido_error *story)
{
    (void)story;
    strncat(begun, *event->begin_mode == LIDO_IMMEDIATE ? name : "?",
            sizeof begun - strlen(begun) - 1);
    return LIDO_OK;
}

/* Without a log one lock each is taken, and in the same order whichever way the copy goes. */
Test(table_copy_attach, locks_are_taken_in_the_order_of_the_files)
{
    static const struct lido_events events = { .size = sizeof events, .begin = note_begin };
    lido_pool *pools[2] = { stage_pool(stage_a, "pool=queue"),
                            stage_pool(stage_b, "pool=queue") };
    static char names[2][2] = { "a", "b" };
    char orders[2][sizeof begun];

    stage_exec(stage_a, many);
    stage_exec(stage_b, many);
    for (int i = 0; i < 2; i++)
        cr_assert_eq(
            lido_hooks_add(lido_pool_hooks(pools[i]), NULL, &events, names[i], NULL, &err),
            LIDO_OK);
    options.mode = LIDO_COPY_REPLACE;
    for (int i = 0; i < 2; i++) {
        begun[0] = '\0';
        EXPECT_DONE(lido_table_copy(lido_at_pool(pools[i]), "t", lido_at_pool(pools[1 - i]),
                                    &options, &result, &err));
        memcpy(orders[i], begun, sizeof begun);
    }
    cr_expect(strcmp(orders[0], "ab") == 0 || strcmp(orders[0], "ba") == 0, "%s",
              orders[0]);
    cr_expect_str_eq(orders[1], orders[0]);
    for (int i = 0; i < 2; i++)
        lido_pool_free(pools[i]);
}

struct way {
    const char *from, *into;
    int rc;
    struct lido_error err;
};

static void *go(void *way_)
{
    struct way *way = way_;
    struct lido_table_copy_options own = LIDO_TABLE_COPY_OPTIONS_INIT;

    own.mode = LIDO_COPY_REPLACE;
    own.new_name = "u";
    for (int i = 0; i < 20 && way->rc == LIDO_OK; i++)
        way->rc = lido_table_copy(lido_at_path(way->from), "t", lido_at_path(way->into),
                                  &own, NULL, &way->err);
    return NULL;
}

Test(table_copy_attach, two_that_go_opposite_ways_do_not_wait_for_each_other)
{
    stage_exec(stage_a, many);
    stage_exec(stage_b, many);
    for (int logs = 0; logs <= 2; logs++) {
        struct way ways[] = { { .from = stage_a, .into = stage_b },
                              { .from = stage_b, .into = stage_a } };
        pthread_t threads[2];

        if (logs > 0)
            stage_exec(logs == 1 ? stage_a : stage_b, "PRAGMA journal_mode=WAL");
        for (int i = 0; i < 2; i++)
            cr_assert_eq(pthread_create(&threads[i], NULL, go, &ways[i]), 0);
        for (int i = 0; i < 2; i++) {
            pthread_join(threads[i], NULL);
            cr_expect_eq(ways[i].rc, LIDO_OK, "%d, %d: %s", logs, i, ways[i].err.text);
        }
    }
}

Test(table_copy_attach, what_cannot_be_attached_is_read_by_its_own_connection)
{
    char url[200];
    sqlite3 *db;

    stage_exec(stage_a, many);
    snprintf(url, sizeof url, "sqlite:///%s?mode=ro", stage_a);
    EXPECT_DONE(
        lido_table_copy(lido_at_url(url), "t", lido_at_path(stage_b), NULL, &result, &err));
    cr_expect_eq(result.rows_read, 20000);
    snprintf(url, sizeof url, "sqlite:///%s?locking_mode=exclusive", stage_a);
    options.mode = LIDO_COPY_APPEND;
    EXPECT_DONE(lido_table_copy(lido_at_url(url), "t", lido_at_path(stage_b), &options,
                                &result, &err));
    snprintf(url, sizeof url, "sqlite:///%s?query_only=on", stage_a);
    EXPECT_DONE(lido_table_copy(lido_at_url(url), "t", lido_at_path(stage_b), &options,
                                &result, &err));
    /* One of another encoding. */
    unlink(stage_b);
    cr_assert_eq(sqlite3_open(stage_b, &db), SQLITE_OK);
    cr_assert_eq(sqlite3_exec(db, "PRAGMA encoding='UTF-16'; CREATE TABLE o(x)", 0, 0, 0),
                 SQLITE_OK);
    sqlite3_close(db);
    EXPECT_DONE(copy("t"));
    stage_expect(stage_b, "SELECT count(*) FROM t", "20000");
}

/* Its connection has written, and keeps all others from the file. */
Test(table_copy_attach, a_source_that_lets_nobody_in_is_read_by_its_own_connection)
{
    lido_pool *pool =
        stage_pool(stage_a, "pool=queue&pool_size=1&max_overflow=0&locking_mode=exclusive");
    lido_pool *into = stage_pool(stage_b, "timeout=0.1");

    cr_assert_eq(lido_pool_exec(pool, "CREATE TABLE t(x); INSERT INTO t VALUES (1)", &err),
                 LIDO_OK);
    EXPECT_DONE(lido_table_copy(lido_at_pool(pool), "t", lido_at_pool(into), &options,
                                &result, &err));
    cr_expect_eq(result.rows_written, 1);
    lido_pool_free(into);
    lido_pool_free(pool);
}

/* Which a file may have, and no row that is written may. */
Test(table_copy_attach, a_row_that_breaks_a_check_is_refused_in_any_way)
{
    struct lido_job job = LIDO_JOB_INIT;

    stage_exec(stage_a,
               "CREATE TABLE t(id INTEGER PRIMARY KEY, x CHECK (x > 0));"
               "PRAGMA ignore_check_constraints = ON; INSERT INTO t VALUES (1, -1)");
    cr_expect_eq(copy("t"), SQLITE_CONSTRAINT_CHECK, "%s", err.text);
    job.timeout_ms = 60000;
    options.job = &job;
    options.where = "1";
    cr_expect_eq(copy("t"), SQLITE_CONSTRAINT_CHECK, "%s", err.text);
    options.where = NULL;
    options.conflict = LIDO_CONFLICT_IGNORE;
    EXPECT_DONE(copy("t"));
    stage_expect(stage_b, "SELECT count(*) FROM t", "0");
}
