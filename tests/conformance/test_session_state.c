/* SPDX-License-Identifier: MIT */
/*
 * What a lease changes in its connection does not reach the next one, for every kind of state
 * on every kind of pool, on a file and in memory; or the check-in says LIDO_UNCLEAN.
 * docs/session-state.md names these tests.
 */
#include <criterion/criterion.h>
#include <lido/lido.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct place {
    const char *kind;
    bool is_memory;
    bool is_kept;    /* it is the only home of its data, and is lent again */
    bool keeps_temp; /* by default */
};
static const struct place places[] = {
    { "null", false, false, false },      { "queue", false, false, false },
    { "assertion", false, false, false }, { "singleton_thread", false, false, true },
    { "static", false, false, true },     { "null", true, false, false },
    { "assertion", true, true, false },   { "singleton_thread", true, true, true },
    { "static", true, true, true },
};

static struct lido_error err;
static char folder[40];
static lido_pool *pool;
static struct lido_conn conn;
static sqlite3 *db;
static char where[60];

static void begin(const struct place *place)
{
    char url[120];

    snprintf(where, sizeof where, "%s on %s", place->kind,
             place->is_memory ? "memory" : "a file");
    if (place->is_memory)
        snprintf(url, sizeof url, "sqlite://?pool=%s", place->kind);
    else
        snprintf(url, sizeof url, "sqlite:///%s/app.db?pool=%s", folder, place->kind);
    cr_assert_eq(lido_pool_open(&pool, url, NULL, &err), LIDO_OK, "%s", err.text);
}

static void take(void)
{
    cr_assert_eq(lido_pool_checkout(pool, &conn, NULL, &err), LIDO_OK, "%s: %s", where,
                 err.text);
    db = lido_conn_sqlite(&conn);
}

static void give(int expected)
{
    cr_expect_eq(lido_conn_checkin(&conn, NULL, &err), expected, "%s: %s", where, err.text);
}

static void end(void)
{
    cr_assert_eq(lido_pool_close(pool, 0, &err), LIDO_OK, "%s: %s", where, err.text);
    lido_pool_free(pool);
}

static void run(const char *sql)
{
    cr_assert_eq(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK, "%s: %s: %s", where,
                 sql, sqlite3_errmsg(db));
}

/* The first column of the first row; "" if there is none. */
static const char *ask(const char *sql)
{
    static char answers[2][60];
    static int which;
    char *answer = answers[which ^= 1];
    const char *text = NULL;
    sqlite3_stmt *stmt;

    cr_assert_eq(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), SQLITE_OK, "%s: %s: %s",
                 where, sql, sqlite3_errmsg(db));
    if (sqlite3_step(stmt) == SQLITE_ROW)
        text = (const char *)sqlite3_column_text(stmt, 0);
    snprintf(answer, sizeof answers[0], "%s", text != NULL ? text : "");
    sqlite3_finalize(stmt);
    return answer;
}

static void for_each_place(void (*body)(const struct place *place))
{
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        begin(&places[i]);
        body(&places[i]);
        end();
    }
}

static void set_up(void)
{
    strcpy(folder, "/tmp/lido-session-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
}

static void tear_down(void)
{
    static const char *const files[] = { "app.db", "app.db-wal", "app.db-shm", "other.db" };
    char path[80];

    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, files[i]);
        unlink(path);
    }
    cr_assert_eq(rmdir(folder), 0);
}

TestSuite(session_state, .init = set_up, .fini = tear_down, .timeout = 60);

/* --- by state ---------------------------------------------------------------------------- */

static void leave_transaction(const struct place *place)
{
    (void)place;
    take();
    run("CREATE TABLE IF NOT EXISTS t(x); DELETE FROM t; BEGIN; INSERT INTO t VALUES(1)");
    give(LIDO_OK);
    take();
    cr_expect(sqlite3_get_autocommit(db), "%s", where);
    if (place->is_kept || !place->is_memory)
        cr_expect_str_eq(ask("SELECT count(*) FROM t"), "0", "%s", where);
    give(LIDO_OK);
}

Test(session_state, a_transaction_is_rolled_back)
{
    for_each_place(leave_transaction);
}

static const char *const temps[] = {
    "CREATE TEMP TABLE left_behind(x)",
    "CREATE TEMP VIEW left_behind AS SELECT 1",
    "CREATE TEMP TRIGGER left_behind AFTER INSERT ON t BEGIN SELECT 1; END",
    "CREATE VIRTUAL TABLE temp.left_behind USING fts5(x)",
    "CREATE TABLE temp.left_behind AS SELECT 1 AS x",
};

/* Asked in the schema: to ask for a temporary table makes a temporary database. */
static void leave_temp(const struct place *place)
{
    for (size_t i = 0; i < sizeof temps / sizeof temps[0]; i++) {
        bool stays = place->keeps_temp;

        take();
        run("CREATE TABLE IF NOT EXISTS t(x)");
        run(temps[i]);
        give(LIDO_OK);
        take();
        cr_expect_str_eq(ask("SELECT count(*) FROM temp.sqlite_schema "
                             "WHERE name = 'left_behind'"),
                         stays ? "1" : "0", "%s: %s", where, temps[i]);
        cr_expect_eq(lido_conn_invalidate(&conn, NULL, &err), LIDO_OK);
    }
}

Test(session_state, temporary_objects_are_dropped_but_where_they_are_kept)
{
    for_each_place(leave_temp);
}

static void leave_attached(const struct place *place)
{
    char sql[120];

    snprintf(sql, sizeof sql, "ATTACH '%s/other.db' AS other; CREATE TABLE other.o(x)",
             folder);
    take();
    run(sql);
    give(LIDO_OK);
    take();
    cr_expect_str_eq(ask("SELECT count(*) FROM pragma_database_list WHERE name = 'other'"),
                     place->keeps_temp ? "1" : "0", "%s", where);
    run(place->keeps_temp ? "DROP TABLE other.o" : "SELECT 1");
    give(LIDO_OK);
    snprintf(sql, sizeof sql, "%s/other.db", folder);
    unlink(sql);
}

Test(session_state, attached_databases_are_detached_but_where_they_are_kept)
{
    for_each_place(leave_attached);
}

/* --- pragmas ----------------------------------------------------------------------------- */

static const struct {
    const char *name, *value, *in_memory; /* NULL: it has no effect there */
} pragmas[] = {
    { "analysis_limit", "17", "17" },
    { "automatic_index", "0", "0" },
    { "cache_size", "-777", "-777" },
    { "cache_spill", "0", "0" },
    { "cell_size_check", "1", "1" },
    { "checkpoint_fullfsync", "1", "1" },
    { "count_changes", "1", "1" },
    { "defer_foreign_keys", "1", "1" },
    { "foreign_keys", "1", "1" },
    { "full_column_names", "1", "1" },
    { "fullfsync", "1", "1" },
    { "ignore_check_constraints", "1", "1" },
    { "journal_size_limit", "4711", "4711" },
    { "legacy_alter_table", "1", "1" },
    { "locking_mode", "exclusive", NULL },
    { "max_page_count", "4711", "4711" },
    { "mmap_size", "65536", NULL },
    { "query_only", "1", "1" },
    { "read_uncommitted", "1", "1" },
    { "recursive_triggers", "1", "1" },
    { "reverse_unordered_selects", "1", "1" },
    { "secure_delete", "0", "0" },
    { "synchronous", "0", "0" },
    { "temp_store", "2", "2" },
    { "threads", "3", "3" },
    { "trusted_schema", "1", "1" },
    { "wal_autocheckpoint", "17", "17" },
    { "writable_schema", "1", "1" },
};

static void leave_pragma(const struct place *place)
{
    for (size_t i = 0; i < sizeof pragmas / sizeof pragmas[0]; i++) {
        const char *value = place->is_memory ? pragmas[i].in_memory : pragmas[i].value;
        char get[60], set[80], before[60];

        if (value == NULL)
            continue;
        snprintf(get, sizeof get, "PRAGMA %s", pragmas[i].name);
        snprintf(set, sizeof set, "PRAGMA %s = %s", pragmas[i].name, value);
        take();
        strcpy(before, ask(get));
        run(set);
        cr_expect_str_eq(ask(get), value, "%s: %s", where, set);
        give(LIDO_OK);
        take();
        cr_expect_str_eq(ask(get), before, "%s: %s", where, set);
        give(LIDO_OK);
    }
}

Test(session_state, a_pragma_ends_with_its_lease)
{
    for_each_place(leave_pragma);
}

static void leave_case_sensitive_like(const struct place *place)
{
    (void)place;
    take();
    run("PRAGMA case_sensitive_like = 1");
    cr_expect_str_eq(ask("SELECT 'a' LIKE 'A'"), "0", "%s", where);
    give(LIDO_OK);
    take();
    cr_expect_str_eq(ask("SELECT 'a' LIKE 'A'"), "1", "%s", where);
    give(LIDO_OK);
}

Test(session_state, a_pragma_that_cannot_be_asked_for_ends_too)
{
    for_each_place(leave_case_sensitive_like);
}

static void leave_journal_mode(const struct place *place)
{
    static const char *const modes[] = { "truncate", "persist", "memory", "off" };
    char before[60], set[60];

    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        snprintf(set, sizeof set, "PRAGMA journal_mode = %s", modes[i]);
        take();
        strcpy(before, ask("PRAGMA journal_mode"));
        run(set);
        give(LIDO_OK);
        take();
        cr_expect_str_eq(ask("PRAGMA journal_mode"), before, "%s: %s", where, set);
        give(LIDO_OK);
    }
    (void)place;
}

Test(session_state, a_journal_mode_ends_with_its_lease)
{
    for_each_place(leave_journal_mode);
}

/* --- set anew ---------------------------------------------------------------------------- */

static int called;

static int count_call(void *ctx)
{
    (void)ctx;
    called++;
    return 0;
}

static void count_rollback(void *ctx)
{
    (void)ctx;
    called++;
}

static void count_update(void *ctx, int what, const char *database, const char *table,
                         sqlite3_int64 row)
{
    (void)ctx, (void)what, (void)database, (void)table, (void)row;
    called++;
}

static int count_wal(void *ctx, sqlite3 *handle, const char *database, int pages)
{
    (void)ctx, (void)handle, (void)database, (void)pages;
    called++;
    return SQLITE_OK;
}

static void write_something(void)
{
    run("CREATE TABLE IF NOT EXISTS t(x); BEGIN; INSERT INTO t VALUES(1), (2), (3); COMMIT;"
        "BEGIN; INSERT INTO t VALUES(1); ROLLBACK");
}

static void leave_hooks(const struct place *place)
{
    take();
    run("PRAGMA journal_mode = wal");
    give(LIDO_OK);
    take();
    sqlite3_progress_handler(db, 1, count_call, NULL);
    sqlite3_commit_hook(db, count_call, NULL);
    sqlite3_rollback_hook(db, count_rollback, NULL);
    sqlite3_update_hook(db, count_update, NULL);
    sqlite3_wal_hook(db, count_wal, NULL);
    called = 0;
    write_something();
    cr_expect_gt(called, 0, "%s", where);
    give(LIDO_OK);
    called = 0;
    take();
    write_something();
    cr_expect_eq(called, 0, "%s: %d calls", where, called);
    cr_expect_str_eq(ask("PRAGMA wal_autocheckpoint"), "1000", "%s", where);
    give(LIDO_OK);
    (void)place;
}

Test(session_state, hooks_of_the_raw_handle_end_with_their_lease)
{
    for_each_place(leave_hooks);
}

static int never_wait(void *ctx, int count)
{
    (void)ctx, (void)count;
    called++;
    return 0;
}

static void leave_busy_handler(const struct place *place)
{
    (void)place;
    take();
    sqlite3_busy_handler(db, never_wait, NULL);
    give(LIDO_OK);
    take();
    cr_expect_str_eq(ask("PRAGMA busy_timeout"), "0", "%s", where);
    run("PRAGMA busy_timeout = 4711");
    give(LIDO_OK);
    take();
    cr_expect_str_eq(ask("PRAGMA busy_timeout"), "0", "%s: lido's own is set", where);
    give(LIDO_OK);
}

Test(session_state, the_wait_for_locks_is_lidos_again)
{
    for_each_place(leave_busy_handler);
}

/* --- declared ---------------------------------------------------------------------------- */

static void one(sqlite3_context *context, int count, sqlite3_value **values)
{
    (void)count, (void)values;
    sqlite3_result_int(context, 1);
}

static int by_length(void *ctx, int n, const void *a, int m, const void *b)
{
    (void)ctx, (void)a, (void)b;
    return n - m;
}

static int forbid_all(void *ctx, int action, const char *first, const char *second,
                      const char *database, const char *trigger)
{
    (void)ctx, (void)action, (void)first, (void)second, (void)database, (void)trigger;
    called++;
    return SQLITE_DENY;
}

static bool runs(const char *sql)
{
    return sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK;
}

static void add_function(void)
{
    sqlite3_create_function(db, "own_one", 0, SQLITE_UTF8, NULL, one, NULL, NULL);
}

static bool has_function(void)
{
    return runs("SELECT own_one()");
}

static void add_collation(void)
{
    sqlite3_create_collation(db, "by_length", SQLITE_UTF8, NULL, by_length);
}

static bool has_collation(void)
{
    return runs("SELECT 'a' ORDER BY 1 COLLATE by_length");
}

static void set_limit(void)
{
    sqlite3_limit(db, SQLITE_LIMIT_COLUMN, 7);
}

static bool has_limit(void)
{
    return sqlite3_limit(db, SQLITE_LIMIT_COLUMN, -1) == 7;
}

static void set_config(void)
{
    sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_VIEW, 0, (int *)NULL);
}

static bool has_config(void)
{
    int is_on = 1;

    sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_VIEW, -1, &is_on);
    return !is_on;
}

static void set_raw_authorizer(void)
{
    sqlite3_set_authorizer(db, forbid_all, NULL);
}

static bool has_raw_authorizer(void)
{
    return !runs("SELECT 1");
}

static int note_trace(unsigned type, void *ctx, void *first, void *second)
{
    (void)type, (void)ctx, (void)first, (void)second;
    return called++, 0;
}

static void set_trace(void)
{
    sqlite3_trace_v2(db, SQLITE_TRACE_STMT, note_trace, NULL);
}

static bool has_trace(void)
{
    called = 0;
    return runs("SELECT 1") && called > 0;
}

/* A module that only counts who asks for its table. */
static int refuse_table(sqlite3 *handle, void *ctx, int count, const char *const *words,
                        sqlite3_vtab **out, char **text)
{
    (void)handle, (void)ctx, (void)count, (void)words, (void)out, (void)text;
    called++;
    return SQLITE_ERROR;
}

static const sqlite3_module own_module = { .xConnect = refuse_table };

static void add_module(void)
{
    sqlite3_create_module(db, "own_module", &own_module, NULL);
}

static bool has_module(void)
{
    called = 0;
    return !runs("SELECT * FROM own_module") && called > 0;
}

/* Another database in the place of the main one, which may grow and is freed at its close. */
static void exchange_main(void)
{
    cr_assert_eq(sqlite3_deserialize(db, "main", NULL, 0, 0, 3), SQLITE_OK, "%s", where);
    run("CREATE TABLE of_another (x)");
}

static bool has_another_main(void)
{
    return runs("SELECT * FROM of_another");
}

static const struct {
    const char *name;
    void (*add)(void);
    bool (*is_there)(void);
} declared[] = {
    { "a function", add_function, has_function },
    { "a collation", add_collation, has_collation },
    { "a limit", set_limit, has_limit },
    { "db_config", set_config, has_config },
    { "a trace", set_trace, has_trace },
    { "a module", add_module, has_module },
    { "another main", exchange_main, has_another_main },
    { "an authorizer", set_raw_authorizer,
      has_raw_authorizer }, /* of what is kept, for good */
};

static void leave_declared(const struct place *place)
{
    for (size_t i = 0; i < sizeof declared / sizeof declared[0]; i++) {
        take();
        declared[i].add();
        cr_expect_eq(lido_conn_mark_dirty(&conn, declared[i].name, &err), LIDO_OK);
        give(place->is_kept ? LIDO_UNCLEAN : LIDO_OK);
        if (place->is_kept)
            cr_expect_not_null(strstr(err.text, declared[i].name), "%s", err.text);
        take();
        cr_expect_eq(declared[i].is_there(), place->is_kept, "%s: %s", where,
                     declared[i].name);
        give(LIDO_OK); /* it is told once */
    }
}

Test(session_state, what_is_declared_goes_with_its_connection_or_is_told)
{
    for_each_place(leave_declared);
}

static void leave_unknown(const struct place *place)
{
    sqlite3_stmt *stmt;

    take();
    run("PRAGMA of_an_extension = 1");
    give(place->is_kept ? LIDO_UNCLEAN : LIDO_OK);
    take();
    sqlite3_prepare_v2(db, "SELECT load_extension('none')", -1, &stmt, NULL);
    sqlite3_finalize(stmt);
    give(place->is_kept ? LIDO_UNCLEAN : LIDO_OK);
}

Test(session_state, an_extension_goes_with_its_connection_or_is_told)
{
    for_each_place(leave_unknown);
}

/* --- the authorizer ---------------------------------------------------------------------- */

static void leave_authorizer(const struct place *place)
{
    sqlite3_stmt *kept;

    take();
    cr_assert_eq(sqlite3_prepare_v2(db, "SELECT 1 FROM sqlite_schema", -1, &kept, NULL),
                 SQLITE_OK);
    run("BEGIN; CREATE TEMP TABLE left_behind(x)");
    cr_expect_eq(lido_conn_set_authorizer(&conn, forbid_all, NULL, &err), LIDO_OK);
    cr_expect_eq(sqlite3_exec(db, "SELECT 1", NULL, NULL, NULL), SQLITE_AUTH, "%s", where);
    cr_expect_eq(sqlite3_step(kept), SQLITE_AUTH, "%s: prepared before", where);
    sqlite3_finalize(kept);
    give(LIDO_OK);
    called = 0;
    take();
    cr_expect(sqlite3_get_autocommit(db), "%s", where);
    run("SELECT 1");
    cr_expect_eq(called, 0, "%s", where);
    give(LIDO_OK);
    (void)place;
}

Test(session_state, an_authorizer_ends_with_its_lease)
{
    for_each_place(leave_authorizer);
}
