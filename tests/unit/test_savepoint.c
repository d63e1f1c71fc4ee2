/* SPDX-License-Identifier: MIT */
/*
 * Savepoints on a lease: the transaction they need, their hooks, and what is refused.  Their
 * stack is test_savepoint_model.c.
 */
#include "tests/support/handy.h"
#include "tests/support/worker.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct lido_error err;
static lido_pool *pool;
static struct lido_conn conn;

static void open_pool(const char *url)
{
    struct lido_pool_options options = handy_options("static");

    options.timeout_ms = 0;
    pool = handy_open_url(url, &options);
    conn = handy_take(pool);
}

static void set_up(void)
{
    open_pool("sqlite://");
}

static void tear_down(void)
{
    lido_conn_checkin(&conn, NULL, NULL);
    lido_pool_free(pool);
}

TestSuite(savepoint, .init = set_up, .fini = tear_down, .timeout = 30);

#define EXPECT_OK(call) cr_expect_eq((call), LIDO_OK, "%s", err.text)

static void run(const char *sql)
{
    sqlite3 *db = lido_conn_sqlite(&conn);

    cr_assert_eq(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK, "%s",
                 sqlite3_errmsg(db));
}

/* What hooks saw: "begin, savepoint a, ...". */
struct seen {
    char line[400];
    const char *fails; /* the event that answers SQLITE_AUTH */
    const char *sql;   /* which runs this */
    bool ends_lease;   /* or ends the lease */
    bool ends_conn;    /* or closes the connection */
};
static struct seen seen;

static int see(const char *name, const struct lido_event *event, struct lido_error *out)
{
    size_t used = strlen(seen.line);
    struct lido_conn copy = *event->conn;

    snprintf(seen.line + used, sizeof seen.line - used, "%s%s%s%s", used > 0 ? ", " : "",
             name, event->savepoint != NULL ? " " : "",
             event->savepoint != NULL ? event->savepoint : "");
    if (seen.fails == NULL || strcmp(seen.fails, name) != 0)
        return LIDO_OK;
    if (seen.ends_lease)
        return lido_conn_checkin(&copy, NULL, out);
    if (seen.ends_conn)
        return lido_record_close(event->record, out);
    if (seen.sql != NULL)
        return sqlite3_exec(event->sqlite, seen.sql, NULL, NULL, NULL);
    return lido_fail(out, SQLITE_AUTH, "the hook's own words");
}

#define SEE(name)                                                                          \
    static int see_##name(void *ctx, const struct lido_event *event,                       \
                          struct lido_error *out)                                          \
    {                                                                                      \
        (void)ctx;                                                                         \
        return see(#name, event, out);                                                     \
    }
SEE(begin)
SEE(commit)
SEE(rollback)
SEE(savepoint)
SEE(rollback_savepoint)
SEE(release_savepoint)

static const struct lido_events seeing = {
    .size = sizeof seeing,
    .begin = see_begin,
    .commit = see_commit,
    .rollback = see_rollback,
    .savepoint = see_savepoint,
    .rollback_savepoint = see_rollback_savepoint,
    .release_savepoint = see_release_savepoint,
};

static void listen(const char *fails)
{
    memset(&seen, 0, sizeof seen);
    seen.fails = fails;
    cr_assert_eq(lido_hooks_add(lido_pool_hooks(pool), NULL, &seeing, NULL, NULL, &err),
                 LIDO_OK);
}

static void expect_seen(const char *line)
{
    cr_expect_str_eq(seen.line, line);
    seen.line[0] = '\0';
}

/* The transaction. */

Test(savepoint, begins_a_transaction_where_none_is_open)
{
    int outcome;

    listen(NULL);
    EXPECT_OK(lido_txn_savepoint(&conn, "a", &err));
    expect_seen("begin, savepoint a");
    EXPECT_OK(lido_txn_savepoint(&conn, "b", &err));
    EXPECT_OK(lido_txn_rollback_to(&conn, "b", &err));
    EXPECT_OK(lido_txn_release(&conn, "a", &err));
    expect_seen("savepoint b, rollback_savepoint b, release_savepoint a");
    cr_expect_eq(lido_txn_state(&conn), LIDO_TXN_OPEN); /* the last release is no commit */
    EXPECT_OK(lido_txn_commit(&conn, &outcome, &err));
    cr_expect_eq(outcome, LIDO_OUTCOME_COMMITTED);
    expect_seen("commit");
}

Test(savepoint, begins_in_the_mode_of_the_pool)
{
    tear_down();
    open_pool("sqlite://?begin=immediate");
    EXPECT_OK(lido_txn_savepoint(&conn, "a", &err));
    cr_expect_eq(lido_txn_state(&conn), LIDO_TXN_WRITE);
}

Test(savepoint, joins_a_transaction_of_sql_text)
{
    listen(NULL);
    run("BEGIN");
    EXPECT_OK(lido_txn_savepoint(&conn, "a", &err));
    expect_seen("savepoint a");
    run("COMMIT");
    cr_expect_eq(lido_txn_release(&conn, "a", &err), LIDO_NO_TXN);
    run("SAVEPOINT b");
    EXPECT_OK(lido_txn_release(&conn, "b", &err)); /* as SQLite has it, this commits */
    cr_expect_eq(lido_txn_state(&conn), LIDO_TXN_NONE);
}

Test(savepoint, needs_a_transaction_to_be_rolled_back_to_or_released)
{
    listen(NULL);
    cr_expect_eq(lido_txn_rollback_to(&conn, "a", &err), LIDO_NO_TXN);
    cr_expect_str_eq(err.text, "no transaction is open, so there is no savepoint");
    cr_expect_eq(lido_txn_release(&conn, "a", NULL), LIDO_NO_TXN);
    expect_seen("");
}

Test(savepoint, says_that_sqlite_has_ended_the_transaction)
{
    run("CREATE TABLE t (x UNIQUE)");
    EXPECT_OK(lido_txn_savepoint(&conn, "a", &err));
    run("INSERT INTO t VALUES (1)");
    cr_assert_eq(sqlite3_exec(lido_conn_sqlite(&conn),
                              "INSERT OR ROLLBACK INTO t VALUES (1)", NULL, NULL, NULL),
                 SQLITE_CONSTRAINT_UNIQUE);
    for (int i = 0; i < 2; i++) {
        cr_expect_eq(lido_txn_savepoint(&conn, "a", &err), LIDO_TXN_OVER);
        cr_expect_eq(lido_txn_rollback_to(&conn, "a", &err), LIDO_TXN_OVER);
        cr_expect_eq(lido_txn_release(&conn, "a", &err), LIDO_TXN_OVER);
    }
    cr_expect_not_null(strstr(err.text, "rolled back by SQLite itself"), "%s", err.text);
    EXPECT_OK(lido_txn_rollback(&conn, &err));
    EXPECT_OK(lido_txn_savepoint(&conn, "a", &err));
}

/* Hooks. */

Test(savepoint, stays_unset_if_a_hook_refuses)
{
    EXPECT_OK(lido_txn_savepoint(&conn, "a", &err));
    listen("savepoint");
    cr_expect_eq(lido_txn_savepoint(&conn, "b", &err), SQLITE_AUTH);
    cr_expect_str_eq(err.text, "the hook's own words");
    cr_expect_eq(lido_txn_release(&conn, "b", &err), SQLITE_ERROR);
    EXPECT_OK(lido_txn_release(&conn, "a", &err)); /* the transaction stayed open */
}

Test(savepoint, stays_as_it_was_if_a_hook_refuses)
{
    static const char *const events[] = { "rollback_savepoint", "release_savepoint" };

    run("CREATE TABLE t (x)");
    listen(NULL);
    EXPECT_OK(lido_txn_savepoint(&conn, "a", &err));
    run("INSERT INTO t VALUES (1)");
    for (int i = 0; i < 2; i++) {
        seen.fails = events[i];
        cr_expect_eq(i == 0 ? lido_txn_rollback_to(&conn, "a", &err)
                            : lido_txn_release(&conn, "a", &err),
                     SQLITE_AUTH);
        cr_expect_eq(sqlite3_total_changes(lido_conn_sqlite(&conn)), 1);
    }
    seen.fails = NULL;
    EXPECT_OK(lido_txn_rollback_to(&conn, "a", &err));
    EXPECT_OK(lido_txn_release(&conn, "a", &err));
}

Test(savepoint, that_fails_ends_the_transaction_that_it_began)
{
    listen("savepoint");
    cr_expect_eq(lido_txn_savepoint(&conn, "a", &err), SQLITE_AUTH);
    cr_expect_str_eq(err.text, "the hook's own words");
    expect_seen("begin, savepoint a, rollback");
    cr_expect_eq(lido_txn_state(&conn), LIDO_TXN_NONE);
    cr_expect_eq(lido_txn_commit(&conn, NULL, &err), LIDO_NO_TXN);
}

static int refuse(void *ctx, const struct lido_event *event, struct lido_error *out)
{
    (void)ctx, (void)event;
    return lido_fail(out, SQLITE_AUTH, "to roll back is refused");
}

Test(savepoint, that_fails_ends_it_also_against_a_rollback_hook)
{
    static const struct lido_events refusing = { .size = sizeof refusing,
                                                 .rollback = refuse };

    listen("savepoint");
    cr_assert_eq(lido_hooks_add(lido_pool_hooks(pool), NULL, &refusing, NULL, NULL, &err),
                 LIDO_OK);
    cr_expect_eq(lido_txn_savepoint(&conn, "a", &err), SQLITE_AUTH);
    cr_expect_str_eq(err.text, "the hook's own words");
    cr_expect_eq(lido_txn_state(&conn), LIDO_TXN_NONE);
}

Test(savepoint, is_not_set_if_a_begin_hook_refuses)
{
    listen("begin");
    cr_expect_eq(lido_txn_savepoint(&conn, "a", &err), SQLITE_AUTH);
    expect_seen("begin");
    cr_expect_eq(lido_txn_state(&conn), LIDO_TXN_NONE);
}

Test(savepoint, survives_hooks_that_end_what_it_stands_on)
{
    EXPECT_OK(lido_txn_begin(&conn, LIDO_DEFERRED, &err));
    listen("savepoint");
    seen.sql = "ROLLBACK";
    cr_expect_eq(lido_txn_savepoint(&conn, "a", &err), LIDO_TXN_OVER);
    cr_expect_str_eq(err.text, "a savepoint hook ended the transaction");
    EXPECT_OK(lido_txn_rollback(&conn, &err));
    cr_expect_eq(lido_txn_savepoint(&conn, "a", &err), LIDO_TXN_OVER);
    EXPECT_OK(lido_txn_rollback(&conn, &err));

    seen.ends_conn = true;
    cr_expect_eq(lido_txn_savepoint(&conn, "a", &err), LIDO_NO_CONNECTION);
    cr_expect_str_eq(err.text, "a savepoint hook closed the connection");
    lido_conn_checkin(&conn, NULL, NULL);
    conn = handy_take(pool);

    seen.ends_conn = false;
    seen.ends_lease = true;
    cr_expect_eq(lido_txn_savepoint(&conn, "a", &err), LIDO_STALE);
    cr_expect_str_eq(err.text, "a savepoint hook ended the lease");
}

static int inside_rc;

static int set_inside(void *ctx, const struct lido_event *event, struct lido_error *out)
{
    const char *sql = ctx;

    (void)out;
    if (sql != NULL)
        sqlite3_exec(event->sqlite, sql, NULL, NULL, NULL);
    inside_rc = lido_txn_savepoint(event->conn, "inside", NULL);
    return LIDO_OK;
}

Test(savepoint, in_a_begin_hook_is_a_recursion_unless_that_has_begun)
{
    static const struct lido_events setting = { .size = sizeof setting,
                                                .begin = set_inside };
    static char begin[] = "BEGIN";
    lido_hook hook;

    cr_assert_eq(lido_hooks_add(lido_pool_hooks(pool), &hook, &setting, NULL, NULL, &err),
                 LIDO_OK);
    EXPECT_OK(lido_txn_begin(&conn, LIDO_DEFERRED, &err));
    cr_expect_eq(inside_rc, LIDO_RECURSION);
    cr_expect_eq(lido_txn_release(&conn, "inside", &err), SQLITE_ERROR);
    EXPECT_OK(lido_txn_rollback(&conn, &err));
    lido_hooks_remove(lido_pool_hooks(pool), hook, NULL);

    cr_assert_eq(lido_hooks_add(lido_pool_hooks(pool), NULL, &setting, begin, NULL, &err),
                 LIDO_OK);
    EXPECT_OK(lido_txn_begin(&conn, LIDO_DEFERRED, &err));
    cr_expect_eq(inside_rc, LIDO_OK);
    EXPECT_OK(lido_txn_release(&conn, "inside", &err));
}

/* Names. */

Test(savepoint, needs_a_name_that_is_not_too_long)
{
    char name[LIDO_SAVEPOINT_NAME_MOST + 2];

    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    cr_expect_eq(lido_txn_savepoint(&conn, name, &err), SQLITE_TOOBIG);
    cr_expect_not_null(strstr(err.text, "at most 200 bytes: nnn"), "%s", err.text);
    cr_expect_eq(lido_txn_savepoint(&conn, "", &err), SQLITE_MISUSE);
    cr_expect_eq(lido_txn_savepoint(&conn, NULL, &err), SQLITE_MISUSE);
    cr_expect_str_eq(err.text, "a savepoint needs a name");
    cr_expect_eq(lido_txn_state(&conn), LIDO_TXN_NONE); /* begun for none of them */
    name[LIDO_SAVEPOINT_NAME_MOST] = '\0';
    EXPECT_OK(lido_txn_savepoint(&conn, name, &err));
    EXPECT_OK(lido_txn_release(&conn, name, &err));
}

Test(savepoint, gets_a_name_that_the_lease_never_had)
{
    struct lido_savepoint one, two;

    EXPECT_OK(lido_txn_savepoint_next(&conn, &one, &err));
    cr_expect_str_eq(one.name, "lido_savepoint_1");
    EXPECT_OK(lido_txn_release(&conn, one.name, &err));
    EXPECT_OK(lido_txn_commit(&conn, NULL, &err));
    listen("savepoint");
    two = one;
    cr_expect_eq(lido_txn_savepoint_next(&conn, &two, &err), SQLITE_AUTH);
    cr_expect_str_eq(two.name, "");
    seen.fails = NULL;
    EXPECT_OK(lido_txn_savepoint_next(&conn, &two, &err));
    cr_expect_str_eq(two.name, "lido_savepoint_3");
    cr_expect_eq(lido_txn_savepoint_next(&conn, NULL, &err), SQLITE_MISUSE);
    cr_expect_eq(lido_txn_savepoint_next(NULL, &two, &err), SQLITE_MISUSE);
    cr_expect_str_eq(two.name, "");
}

Test(savepoint, is_counted_anew_in_a_new_lease)
{
    static const char *const kinds[] = { "queue", "static", "singleton_thread" };

    for (size_t i = 0; i < 3; i++) {
        struct lido_pool_options options = handy_options(kinds[i]);
        lido_pool *other = handy_open(&options);

        for (int times = 0; times < 2; times++) {
            struct lido_conn lease = handy_take(other);
            struct lido_savepoint out;

            EXPECT_OK(lido_txn_savepoint_next(&lease, &out, &err));
            cr_expect_str_eq(out.name, "lido_savepoint_1", "%s", kinds[i]);
            handy_give(&lease);
        }
        lido_pool_free(other);
    }
}

Test(savepoint, is_counted_together_by_leases_that_share_a_connection)
{
    struct lido_pool_options options = handy_options("singleton_thread");
    lido_pool *other = handy_open_url("sqlite://", &options);
    struct lido_conn outer = handy_take(other), inner = handy_take(other);
    struct lido_savepoint one, two;

    EXPECT_OK(lido_txn_savepoint_next(&outer, &one, &err));
    EXPECT_OK(lido_txn_savepoint_next(&inner, &two, &err));
    cr_expect_str_eq(two.name, "lido_savepoint_2");
    EXPECT_OK(lido_txn_release(&outer, one.name, &err));
    cr_expect_eq(lido_txn_release(&inner, two.name, &err), SQLITE_ERROR);
    handy_give(&inner);
    handy_give(&outer);
    lido_pool_free(other);
}

/* One connection for all. */

static struct lido_savepoint worker_savepoint;

static void worker_set(struct worker *worker)
{
    worker->rc = lido_txn_savepoint_next(&worker->conn, &worker_savepoint, &worker->err);
}

static void worker_release(struct worker *worker)
{
    worker->rc = lido_txn_release(&worker->conn, "a", &worker->err);
}

Test(savepoint, is_the_lease_s_that_has_the_transaction)
{
    struct worker worker;

    worker_start(&worker, pool);
    worker_tell(&worker, worker_take);
    EXPECT_OK(lido_txn_savepoint(&conn, "a", &err));
    worker_tell(&worker, worker_set);
    cr_expect_eq(worker.rc, SQLITE_BUSY); /* its begin did not get in */
    worker_tell(&worker, worker_release);
    cr_expect_eq(worker.rc, LIDO_NO_TXN);
    EXPECT_OK(lido_txn_release(&conn, "a", &err));
    EXPECT_OK(lido_txn_commit(&conn, NULL, &err));
    worker_tell(&worker, worker_set);
    cr_expect_eq(worker.rc, LIDO_OK, "%s", worker.err.text);
    cr_expect_eq(lido_txn_savepoint(&conn, "a", &err), SQLITE_BUSY);
    worker_tell(&worker, worker_give);
    EXPECT_OK(lido_txn_savepoint(&conn, "a", &err));
    worker_end(&worker);
}

Test(savepoint, that_failed_keeps_nobody_from_beginning)
{
    struct worker worker;

    worker_start(&worker, pool);
    worker_tell(&worker, worker_take);
    cr_expect_eq(lido_txn_release(&conn, "a", &err), LIDO_NO_TXN);
    listen("savepoint");
    cr_expect_eq(lido_txn_savepoint(&conn, "a", &err), SQLITE_AUTH);
    seen.fails = NULL;
    run("SAVEPOINT text");
    EXPECT_OK(lido_txn_release(&conn, "text", &err));
    EXPECT_OK(lido_txn_begin(&conn, LIDO_DEFERRED, &err));
    run("COMMIT");
    cr_expect_eq(lido_txn_release(&conn, "a", &err), LIDO_TXN_OVER);
    worker_tell(&worker, worker_begin);
    cr_expect_eq(worker.rc, LIDO_OK, "%s", worker.err.text);
    worker_tell(&worker, worker_give);
    worker_end(&worker);
}

/* Drivers. */

Test(savepoint, needs_a_driver_that_has_them)
{
    static struct lido_driver plain;

    tear_down();
    plain = *lido_driver_sqlite();
    plain.name = "plain";
    plain.size = offsetof(struct lido_driver, savepoint); /* of an older host */
    cr_assert_eq(lido_driver_register("plain", &plain, NULL, &err), LIDO_OK);
    open_pool("plain://");
    cr_expect_eq(lido_txn_savepoint(&conn, "a", &err), SQLITE_MISUSE);
    cr_expect_str_eq(err.text, "the driver plain has no savepoints");
    EXPECT_OK(lido_txn_begin(&conn, LIDO_DEFERRED, &err));
    cr_expect_eq(lido_txn_release(&conn, "a", &err), SQLITE_MISUSE);
}

Test(savepoint, that_the_driver_fails_ends_the_transaction_that_it_began)
{
    tear_down();
    fake_driver_install();
    open_pool("fake:///any");
    fake_driver_calls();
    fake_driver_fail(2, SQLITE_IOERR);
    cr_expect_eq(lido_txn_savepoint(&conn, "a", &err), SQLITE_IOERR);
    cr_expect_str_eq(fake_driver_calls(), "begin-deferred 1, savepoint a 1!, rollback 1");
    EXPECT_OK(lido_txn_savepoint(&conn, "a", &err));
    fake_driver_fail(1, SQLITE_IOERR);
    cr_expect_eq(lido_txn_rollback_to(&conn, "a", &err), SQLITE_IOERR);
    EXPECT_OK(lido_txn_release(&conn, "a", &err));
    cr_expect_str_eq(fake_driver_calls(),
                     "begin-deferred 1, savepoint a 1, rollback-to a 1!, release a 1");
}
