/* SPDX-License-Identifier: MIT */
/*
 * set_sqlite_pragma, the listener of SQLAlchemy's page on SQLite that turns foreign keys on in
 * each connection of each engine, and the page's three prerequisites.
 * https://docs.sqlalchemy.org/en/20/dialects/sqlite.html#foreign-key-support
 *
 * The same by a key of the URL, which also says which prerequisite fails, is in
 * test_driver_pragma.c.
 *
 * Threads: one.
 */
#include "tests/support/handy.h"
#include "tests/support/own_folder.h"

#include <assert.h>
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char folder[] = "/tmp/lido-page-keys-XXXXXX";
static struct lido_error err;
static lido_pool *pool;

#define OK(call) cr_assert_eq((call), LIDO_OK, "%s", err.text)

static void open_kind(const char *kind)
{
    struct lido_pool_options options = handy_options(kind);
    char url[200];

    snprintf(url, sizeof url, "sqlite:///%s/a.db?timeout=0&isolation_level=None", folder);
    pool = handy_open_url(url, &options);
}

static int run(const struct lido_conn *conn, const char *sql)
{
    return sqlite3_exec(lido_conn_sqlite(conn), sql, NULL, NULL, NULL);
}

static bool is_on(sqlite3 *db)
{
    int on = -1;

    cr_assert_eq(sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_FKEY, -1, &on), SQLITE_OK);
    return on == 1;
}

/* Off whatever SQLite was built with (SQLITE_DEFAULT_FOREIGN_KEYS), so that the listener has
   something to do. */
static int off_at_first(void *ctx, const struct lido_event *event, struct lido_error *e)
{
    (void)ctx, (void)e;
    return sqlite3_exec(event->sqlite, "PRAGMA foreign_keys=OFF", NULL, NULL, NULL);
}

static const struct lido_events defaults = { .size = sizeof defaults,
                                             .connect = off_at_first };

static void set_up(void)
{
    cr_assert_not_null(mkdtemp(folder));
    OK(lido_hooks_add(lido_hooks_global(), NULL, &defaults, NULL, NULL, &err));
}

static void end_pool(void)
{
    char path[100];

    handy_end(pool);
    snprintf(path, sizeof path, "%s/a.db", folder);
    unlink(path);
}

static void tear_down(void)
{
    end_pool();
    own_folder_end(folder);
}

TestSuite(page_keys, .init = set_up, .fini = tear_down, .timeout = 30);

/* The listener, on Engine: every pool there is and will be. */

static int in_txn; /* how many connections came to it with a transaction open */

static int set_sqlite_pragma(void *ctx, const struct lido_event *event,
                             struct lido_error *e)
{
    int rc = sqlite3_exec(event->sqlite, "PRAGMA foreign_keys=ON", NULL, NULL, NULL);

    (void)ctx;
    in_txn += !sqlite3_get_autocommit(event->sqlite);
    return rc == SQLITE_OK ? LIDO_OK
                           : lido_fail(e, rc, "%s", sqlite3_errmsg(event->sqlite));
}

static const struct lido_events listener = { .size = sizeof listener,
                                             .connect = set_sqlite_pragma };

static void listen(void)
{
    OK(lido_hooks_add(lido_hooks_global(), NULL, &listener, NULL, NULL, &err));
}

/* metadata.create_all() */
static void create_all(const struct lido_conn *conn)
{
    OK(lido_conn_exec(conn,
                      "CREATE TABLE author (id INTEGER PRIMARY KEY);"
                      "CREATE TABLE book (author NOT NULL REFERENCES author (id)"
                      "                   ON DELETE CASCADE)",
                      &err));
}

static void expect_enforced(const struct lido_conn *conn, const char *when)
{
    cr_expect(is_on(lido_conn_sqlite(conn)), "%s", when);
    cr_expect_eq(run(conn, "INSERT INTO book VALUES (-1)"), SQLITE_CONSTRAINT_FOREIGNKEY,
                 "%s", when);
}

/* Also in what is opened later in the place of another, and for who has it next. */
static void expect_on_every_connection(const char *kind)
{
    struct lido_conn conn;

    open_kind(kind);
    conn = handy_take(pool);
    create_all(&conn);
    expect_enforced(&conn, kind);
    handy_give(&conn);

    conn = handy_take(pool);
    expect_enforced(&conn, kind);
    OK(lido_conn_invalidate(&conn, NULL, &err));

    conn = handy_take(pool);
    expect_enforced(&conn, kind);
    OK(lido_txn_begin(&conn, LIDO_DEFERRED, &err));
    expect_enforced(&conn, kind);
    OK(lido_txn_rollback(&conn, &err));
    handy_give(&conn);
    end_pool();
}

Test(page_keys, are_enforced_on_every_connection_of_every_kind)
{
    static const char *const kinds[] = { "null", "queue", "singleton_thread", "static",
                                         "assertion" };

    listen();
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        expect_on_every_connection(kinds[i]);
    cr_expect_eq(in_txn, 0);
    open_kind("queue");
}

Test(page_keys, cascade)
{
    struct lido_conn conn;

    listen();
    open_kind("queue");
    conn = handy_take(pool);
    create_all(&conn);
    OK(lido_conn_exec(&conn,
                      "INSERT INTO author VALUES (1); INSERT INTO book VALUES (1);"
                      "DELETE FROM author",
                      &err));
    OK(lido_conn_exec(&conn, "DELETE FROM book", &err));
    cr_expect_eq(sqlite3_changes(lido_conn_sqlite(&conn)), 0, "the book went too");
    handy_give(&conn);
}

/* The prerequisites. */

Test(page_keys, first_and_second_this_sqlite_has_them)
{
    static_assert(LIDO_SQLITE_LEAST >= 3006019, "lido works with none that lacks them");
    struct lido_conn conn;

    listen();
    open_kind("queue");
    conn = handy_take(pool);
    cr_expect_eq(is_on(lido_conn_sqlite(&conn)),
                 !sqlite3_compileoption_used("OMIT_FOREIGN_KEY") &&
                     !sqlite3_compileoption_used("OMIT_TRIGGER"));
    handy_give(&conn);
}

/* A connection that was opened before the listener was there does not enforce them. */
Test(page_keys, third_it_is_emitted_on_all_connections_before_use)
{
    struct lido_conn early, late;

    open_kind("queue");
    early = handy_take(pool);
    create_all(&early);
    listen();
    late = handy_take(pool);
    cr_expect_not(is_on(lido_conn_sqlite(&early)));
    cr_expect_eq(run(&early, "INSERT INTO book VALUES (-1)"), SQLITE_OK);
    expect_enforced(&late, "late");
    handy_give(&late);
    handy_give(&early);

    OK(lido_pool_invalidate(pool, &err));
    early = handy_take(pool);
    late = handy_take(pool);
    expect_enforced(&early, "opened anew");
    expect_enforced(&late, "opened anew");
    handy_give(&late);
    handy_give(&early);
}

/* Why it is a connect listener: inside a transaction the pragma does nothing, and says so
   to nobody. */
static int too_late(void *ctx, const struct lido_event *event, struct lido_error *e)
{
    (void)ctx, (void)e;
    return sqlite3_exec(event->sqlite, "BEGIN; PRAGMA foreign_keys=ON", NULL, NULL, NULL);
}

Test(page_keys, third_not_inside_a_transaction)
{
    static const struct lido_events late = { .size = sizeof late, .begin = too_late };
    struct lido_conn conn;

    open_kind("queue");
    OK(lido_hooks_add(lido_pool_hooks(pool), NULL, &late, NULL, NULL, &err));
    conn = handy_take(pool);
    OK(lido_txn_begin(&conn, LIDO_BEGIN_DEFAULT, &err));
    cr_expect_not(is_on(lido_conn_sqlite(&conn)));
    OK(lido_txn_rollback(&conn, &err));
    handy_give(&conn);
}
