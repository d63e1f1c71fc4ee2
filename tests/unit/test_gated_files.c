/* SPDX-License-Identifier: MIT */
/*
 * Connections with two files: each is in the gates of both, or in none, and enters them in one
 * order.  Which of the files comes first by that is not known here.
 */
#include "tests/support/fake_clock.h"
#include "tests/support/handy.h"
#include "tests/support/worker.h"
#include <lido/lido.h>

#include <criterion/criterion.h>
#include <sched.h>
#include <stdio.h>
#include <unistd.h>

static char path[2][HANDY_FILE_SIZE];
static lido_pool *pool[2];
static struct lido_conn holder[2];
static struct worker worker;

static void set_up(void)
{
    struct lido_pool_options options = handy_options("queue");
    char url[250];

    options.timeout_ms = 1000;
    for (int i = 0; i < 2; i++) {
        handy_file(path[i], "gated-files");
        snprintf(url, sizeof url, "sqlite:///%s", path[i]);
        pool[i] = handy_open_url(url, &options);
        holder[i] = handy_take(pool[i]);
        cr_assert_eq(lido_conn_exec(&holder[i], "CREATE TABLE t(x)", &handy_err), LIDO_OK);
    }
}

static void clear(void)
{
    for (int i = 0; i < 2; i++) {
        handy_give(&holder[i]);
        lido_pool_free(pool[i]);
        unlink(path[i]);
    }
}

TestSuite(gated_files, .init = set_up, .fini = clear, .timeout = 30);

static struct lido_gate_stats stats_of(int which)
{
    struct lido_gate_stats stats = LIDO_GATE_STATS_INIT;

    cr_assert_eq(lido_gate_stats(pool[which], &stats, &handy_err), LIDO_OK);
    return stats;
}

static void attach(struct worker *self)
{
    char sql[250];

    snprintf(sql, sizeof sql, "ATTACH '%s' AS other", path[self->pool == pool[0]]);
    self->rc = lido_conn_exec(&self->conn, sql, &self->err);
}

/* The worker has that file, and the other attached. */
static void start(int which)
{
    worker_start(&worker, pool[which]);
    worker_tell(&worker, worker_take);
    worker_tell(&worker, attach);
    cr_assert_eq(worker.rc, LIDO_OK, "%s", worker.err.text);
}

static void stop(void)
{
    worker_tell(&worker, worker_give);
    worker_end(&worker);
}

/* Lets it wait for that file.  Is it in the gate of the other meanwhile? */
static bool let_wait(int which)
{
    cr_assert_eq(lido_txn_begin(&holder[which], LIDO_IMMEDIATE, &handy_err), LIDO_OK, "%s",
                 handy_err.text);
    worker_ask(&worker, worker_begin);
    while (stats_of(which).waiting == 0)
        sched_yield();
    return stats_of(!which).is_held != 0;
}

static void let_in(int which)
{
    cr_assert_eq(lido_txn_commit(&holder[which], NULL, &handy_err), LIDO_OK);
    worker_await(&worker);
    cr_expect_eq(worker.rc, LIDO_OK, "%s", worker.err.text);
    cr_expect(stats_of(0).is_held);
    cr_expect(stats_of(1).is_held);
    worker_tell(&worker, worker_commit);
    cr_expect_not(stats_of(0).is_held);
    cr_expect_not(stats_of(1).is_held);
}

Test(gated_files, in_what_order_they_are_attached_says_not_in_what_they_are_entered)
{
    bool has_other[2];

    for (int which = 0; which < 2; which++) {
        start(which);
        has_other[which] = let_wait(0);
        let_in(0);
        stop();
    }
    cr_expect_eq(has_other[0], has_other[1]);
}

Test(gated_files, whichever_is_held_who_waits_in_vain_is_in_none)
{
    bool has_other[2];

    start(0);
    for (int which = 0; which < 2; which++) {
        has_other[which] = let_wait(which);
        fake_clock_advance_ms(1000);
        worker_await(&worker);
        cr_expect_eq(worker.rc, SQLITE_BUSY);
        cr_expect_not(stats_of(!which).is_held);
        cr_assert_eq(lido_txn_rollback(&holder[which], &handy_err), LIDO_OK);
    }
    cr_expect_neq(has_other[0], has_other[1], "one comes after the other");
    stop();
}

Test(gated_files, whichever_is_held_it_comes_in_after_that)
{
    start(0);
    for (int which = 0; which < 2; which++) {
        let_wait(which);
        let_in(which);
    }
    stop();
}
