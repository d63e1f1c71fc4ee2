/* SPDX-License-Identifier: MIT */
/*
 * Which pragmas leave something in a connection, as SQLite's authorizer tells of them.
 */
#include "driver/session.h"

#include <criterion/criterion.h>

static sqlite3 *db;
static struct lido_session session;

static void set_up(void)
{
    session = (struct lido_session){ 0 };
    cr_assert_eq(sqlite3_open(":memory:", &db), SQLITE_OK);
    lido__session_watch(db, &session);
    cr_assert(lido__session_begin(db, &session, true));
}

static void tear_down(void)
{
    lido__session_end(&session);
    cr_assert_eq(sqlite3_close(db), SQLITE_OK);
    cr_assert_eq(sqlite3_memory_used(), 0);
}

TestSuite(session_pragma, .init = set_up, .fini = tear_down, .timeout = 20);

/* Prepared is enough. */
static bool marks(const char *sql)
{
    bool is_marked;

    cr_assert_eq(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK, "%s: %s", sql,
                 sqlite3_errmsg(db));
    is_marked = lido__session_is_marked(&session);
    session.pragmas = 0;
    session.has_unknown = false;
    return is_marked;
}

Test(session_pragma, every_pragma_of_this_sqlite_has_an_effect)
{
    sqlite3_stmt *stmt;
    unsigned place;
    int count = 0;

    cr_assert_eq(sqlite3_prepare_v2(db, "PRAGMA pragma_list", -1, &stmt, NULL), SQLITE_OK);
    for (; sqlite3_step(stmt) == SQLITE_ROW; count++) {
        const char *name = (const char *)sqlite3_column_text(stmt, 0);

        cr_expect_neq(lido__pragma_effect(name, &place), LIDO__PRAGMA_UNKNOWN,
                      "driver/session_pragma.c does not know PRAGMA %s", name);
    }
    sqlite3_finalize(stmt);
    cr_expect_gt(count, 50);
}

Test(session_pragma, what_leaves_nothing_is_not_marked)
{
    static const char *const harmless[] = {
        "PRAGMA foreign_keys",
        "PRAGMA synchronous",
        "PRAGMA main.cache_size",
        "PRAGMA table_info(sqlite_schema)",
        "SELECT * FROM pragma_table_info('sqlite_schema')",
        "SELECT * FROM pragma_foreign_keys",
        "PRAGMA user_version = 7",
        "PRAGMA application_id = 7",
        "PRAGMA wal_checkpoint(TRUNCATE)",
        "PRAGMA incremental_vacuum(3)",
        "PRAGMA integrity_check(3)",
        "PRAGMA optimize(2)",
        "PRAGMA busy_timeout = 3",
        "PRAGMA wal_autocheckpoint = 3",
        "PRAGMA shrink_memory",
        "CREATE TABLE t(x); VACUUM; ANALYZE; REINDEX",
        "SELECT lower('PRAGMA foreign_keys = 1')",
    };

    for (size_t i = 0; i < sizeof harmless / sizeof harmless[0]; i++)
        cr_expect_not(marks(harmless[i]), "%s", harmless[i]);
}

Test(session_pragma, however_it_is_written_a_pragma_that_stays_is_marked)
{
    static const char *const staying[] = {
        "PRAGMA foreign_keys = 1",      "pragma FOREIGN_KEYS(1)",
        "PRAGMA \"foreign_keys\" = on", "EXPLAIN PRAGMA foreign_keys = 1",
        "PRAGMA main.cache_size = 17",  "PRAGMA an_extensions = 3",
    };

    for (size_t i = 0; i < sizeof staying / sizeof staying[0]; i++)
        cr_expect(marks(staying[i]), "%s", staying[i]);
}

Test(session_pragma, each_that_stays_is_put_back)
{
    unsigned place;

    cr_assert(sqlite3_exec(db, "PRAGMA secure_delete = fast", NULL, NULL, NULL) ==
              SQLITE_OK);
    lido__session_values_free(session.before);
    cr_assert(lido__session_begin(db, &session, true));
    sqlite3_exec(db,
                 "PRAGMA secure_delete = on; PRAGMA foreign_keys = 1; PRAGMA "
                 "cache_size = 4711",
                 NULL, NULL, NULL);
    cr_assert_eq(lido__pragma_effect("secure_delete", &place), LIDO__PRAGMA_STAYS);
    cr_assert_neq(session.pragmas & UINT64_C(1) << place, 0);
    lido__session_put_back(db, &session);
    cr_expect_not(lido__session_is_marked(&session));
}

Test(session_pragma, without_the_values_before_only_what_ends_with_transactions_is)
{
    unsigned place;

    lido__session_values_free(session.before);
    session.before = NULL;
    sqlite3_exec(db, "PRAGMA defer_foreign_keys = 1; PRAGMA foreign_keys = 1", NULL, NULL,
                 NULL);
    lido__session_put_back(db, &session);
    cr_assert_eq(lido__pragma_effect("foreign_keys", &place), LIDO__PRAGMA_STAYS);
    cr_expect_eq(session.pragmas, UINT64_C(1) << place);
}

Test(session_pragma, the_text_names_the_first_and_takes_the_marks_away)
{
    char text[64];

    sqlite3_exec(db, "PRAGMA synchronous = 0", NULL, NULL, NULL);
    lido__session_tell(&session, text, sizeof text);
    cr_expect_str_eq(text, "PRAGMA synchronous");
    cr_expect_not(lido__session_is_marked(&session));
    sqlite3_exec(db, "PRAGMA of_one = 0; PRAGMA of_two = 0", NULL, NULL, NULL);
    lido__session_tell(&session, text, sizeof text);
    cr_expect_str_eq(text, "PRAGMA of_one");
    cr_expect_not(lido__session_is_marked(&session));
}
