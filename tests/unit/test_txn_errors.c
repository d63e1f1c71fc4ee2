/* SPDX-License-Identifier: MIT */
/*
 * The handle_error hooks and BEGIN, COMMIT, ROLLBACK and savepoints.
 */
#include "tests/support/handy.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static lido_pool *pool;
static struct lido_conn conn;
static struct lido_error err;
static char story[200];
static int other_code, is_dead;
static bool ends_lease;

static int on_error(void *ctx, const struct lido_event *event, struct lido_error *error)
{
    size_t used = strlen(story);
    struct lido_conn copy = *event->conn;

    (void)ctx, (void)error;
    snprintf(story + used, sizeof story - used, "%s%s %s", used > 0 ? ", " : "", event->sql,
             lido_status_name(event->error->code));
    cr_expect_neq(event->error->text[0], '\0');
    *event->is_disconnect = is_dead;
    if (other_code != LIDO_OK)
        lido_fail(event->error, other_code, "told otherwise");
    if (ends_lease)
        cr_expect_eq(lido_conn_checkin(&copy, NULL, NULL), LIDO_OK);
    return LIDO_OK;
}

static const struct lido_events hooks = { .size = sizeof hooks, .handle_error = on_error };

static void set_up(void)
{
    struct lido_pool_options options = handy_options("queue");

    pool = handy_open(&options);
    cr_assert_eq(lido_hooks_add(lido_pool_hooks(pool), NULL, &hooks, NULL, NULL, &err),
                 LIDO_OK);
    conn = handy_take(pool);
}

static void tear_down(void)
{
    if (lido_conn_pool(&conn) != NULL)
        handy_give(&conn);
    handy_end(pool);
}

TestSuite(txn_errors, .init = set_up, .fini = tear_down);

static void expect_story(const char *wanted)
{
    cr_expect_str_eq(story, wanted);
    story[0] = '\0';
}

static int begin(struct lido_error *error)
{
    return lido_txn_begin(&conn, LIDO_IMMEDIATE, error);
}

static int commit(struct lido_error *error)
{
    int outcome = -1, rc = lido_txn_commit(&conn, &outcome, error);

    cr_expect_eq(outcome, LIDO_OUTCOME_OPEN);
    return rc;
}

static int roll_back(struct lido_error *error)
{
    return lido_txn_rollback(&conn, error);
}

static int save(struct lido_error *error)
{
    return lido_txn_savepoint(&conn, "a", error);
}

static int roll_back_to(struct lido_error *error)
{
    return lido_txn_rollback_to(&conn, "a", error);
}

static int release(struct lido_error *error)
{
    return lido_txn_release(&conn, "a", error);
}

/* In an order in which each may follow the one before. */
static const struct {
    int (*call)(struct lido_error *error);
    const char *sql;
} calls[] = {
    { begin, "BEGIN" },     { save, "SAVEPOINT" }, { roll_back_to, "ROLLBACK TO" },
    { release, "RELEASE" }, { commit, "COMMIT" },  { roll_back, "ROLLBACK" },
};
#define N_CALLS (sizeof calls / sizeof calls[0])

/* Does what the calls before it do, so that it may fail and then succeed. */
static void succeed(size_t i)
{
    if (calls[i].call != commit) /* it stays open, for the rollback */
        cr_assert_eq(calls[i].call(&err), LIDO_OK, "%s: %s", calls[i].sql, err.text);
    expect_story("");
}

Test(txn_errors, each_that_the_driver_refuses_is_told)
{
    char wanted[60];

    for (size_t i = 0; i < N_CALLS; i++) {
        snprintf(wanted, sizeof wanted, "%s SQLITE_BUSY", calls[i].sql);
        for (int with_error = 0; with_error < 2; with_error++) {
            fake_driver_fail(1, SQLITE_BUSY);
            cr_expect_eq(calls[i].call(with_error ? &err : NULL), SQLITE_BUSY, "%s",
                         calls[i].sql);
            expect_story(wanted);
        }
        succeed(i);
    }
}

Test(txn_errors, what_the_hook_says_reaches_the_caller_and_changes_nothing_else)
{
    for (size_t i = 0; i < N_CALLS; i++) {
        other_code = SQLITE_PERM;
        fake_driver_fail(1, SQLITE_BUSY);
        cr_expect_eq(calls[i].call(&err), SQLITE_PERM, "%s", calls[i].sql);
        cr_expect_str_eq(err.text, "told otherwise");
        cr_expect_eq(err.code, SQLITE_PERM);
        other_code = LIDO_OK;
        story[0] = '\0';
        succeed(i);
    }
}

Test(txn_errors, what_lido_itself_refuses_is_not_told)
{
    cr_expect_eq(lido_txn_commit(&conn, NULL, &err), LIDO_NO_TXN);
    cr_expect_eq(release(&err), LIDO_NO_TXN);
    cr_assert_eq(begin(&err), LIDO_OK);
    cr_expect_eq(begin(&err), LIDO_IN_TXN);
    expect_story("");
}

Test(txn_errors, a_connection_that_is_said_to_be_dead_is_replaced)
{
    is_dead = 1;
    fake_driver_fail(1, SQLITE_IOERR);
    cr_expect_eq(begin(&err), SQLITE_IOERR);
    expect_story("BEGIN SQLITE_IOERR");
    handy_give(&conn);
    conn = handy_take(pool);
    cr_expect_eq(handy_number(&conn), 2);
}

static int asked;

static int fail_again(void *ctx, const struct lido_event *event, struct lido_error *error)
{
    (void)ctx;
    if (++asked < 5) { /* or for ever */
        fake_driver_fail(1, SQLITE_IOERR);
        cr_expect_eq(lido_txn_begin(event->conn, LIDO_IMMEDIATE, error), SQLITE_IOERR);
    }
    return LIDO_OK;
}

static const struct lido_events failing_again = { .size = sizeof failing_again,
                                                  .handle_error = fail_again };

static int fail_alike(void *ctx, const struct lido_event *event, struct lido_error *error)
{
    (void)ctx, (void)event;
    return lido_fail(error, SQLITE_IOERR, "the hook's own");
}

static const struct lido_events failing_alike = { .size = sizeof failing_alike,
                                                  .begin = fail_alike };

Test(txn_errors, what_fails_in_the_hook_is_not_told_again)
{
    cr_assert_eq(
        lido_hooks_add(lido_pool_hooks(pool), NULL, &failing_again, NULL, NULL, &err),
        LIDO_OK);
    for (int i = 1; i <= 2; i++) {
        fake_driver_fail(1, SQLITE_BUSY);
        cr_expect_eq(begin(&err), SQLITE_BUSY);
        cr_expect_eq(asked, i, "%d", asked);
        expect_story("BEGIN SQLITE_BUSY");
    }
}

Test(txn_errors, what_a_begin_hook_answers_is_no_error_of_the_one_before)
{
    fake_driver_fail(1, SQLITE_IOERR);
    cr_expect_eq(begin(&err), SQLITE_IOERR);
    expect_story("BEGIN SQLITE_IOERR");
    cr_assert_eq(
        lido_hooks_add(lido_pool_hooks(pool), NULL, &failing_alike, NULL, NULL, &err),
        LIDO_OK);
    cr_expect_eq(begin(&err), SQLITE_IOERR);
    expect_story("");
}

Test(txn_errors, the_hook_may_end_the_lease)
{
    for (size_t i = 0; i < N_CALLS; i++) {
        for (size_t k = 0; k < i; k++)
            succeed(k);
        ends_lease = true;
        fake_driver_fail(1, SQLITE_BUSY);
        cr_expect_eq(calls[i].call(&err), SQLITE_BUSY, "%s: %s", calls[i].sql, err.text);
        cr_expect_null(lido_conn_pool(&conn), "%s", calls[i].sql);
        story[0] = '\0';
        ends_lease = false;
        conn = handy_take(pool);
        cr_expect_eq(lido_txn_state(&conn), LIDO_TXN_NONE);
    }
}
