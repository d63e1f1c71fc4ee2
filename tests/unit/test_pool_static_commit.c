/* SPDX-License-Identifier: MIT */
/*
 * One connection for all, on a file that another connection reads: a COMMIT that waits for
 * the lock, and does not get it.
 */
#include "tests/support/handy.h"
#include "tests/support/own_folder.h"
#include "tests/support/worker.h"

#include <criterion/criterion.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char folder[] = "/tmp/lido-static-XXXXXX";
static char path[80];
static sqlite3 *reader;

static void begin(void)
{
    cr_assert_not_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/a.db", folder);
    cr_assert_eq(sqlite3_open(path, &reader), SQLITE_OK);
    cr_assert_eq(sqlite3_exec(reader, "CREATE TABLE t(n)", NULL, NULL, NULL), SQLITE_OK);
}

static void end(void)
{
    char name[100];

    sqlite3_close(reader);
    unlink(path);
    snprintf(name, sizeof name, "%s-journal", path);
    unlink(name);
    own_folder_end(folder);
}

TestSuite(pool_static_commit, .init = begin, .fini = end);

/* How often a thread reads the clock until it sleeps: a busy handler for the time, its
   deadline, the length of its sleep, and when it lies down; a begin for its deadline, before
   it looks at the transaction. */
#define READS_OF_COMMIT 4
#define READS_OF_BEGIN  1

static void let_wait(struct worker *worker, void (*task)(struct worker *worker), int reads)
{
    int before = fake_clock_reads();

    worker_ask(worker, task);
    while (fake_clock_reads() < before + reads)
        sched_yield();
}

Test(pool_static_commit, one_that_waits_for_the_lock_is_not_over)
{
    struct lido_pool_options options = handy_options("static");
    struct worker commits, begins;
    char url[100];
    lido_pool *pool;
    int outcome;

    snprintf(url, sizeof url, "sqlite:///%s", path);
    options.timeout_ms = 1000;
    pool = handy_open_url(url, &options);
    worker_start(&commits, pool);
    worker_start(&begins, pool);
    worker_tell(&commits, worker_take);
    worker_tell(&begins, worker_take);
    worker_tell(&commits, worker_begin);
    cr_assert_eq(commits.rc, LIDO_OK, "%s", commits.err.text);
    cr_assert_eq(sqlite3_exec(lido_conn_sqlite(&commits.conn), "INSERT INTO t VALUES(1)",
                              NULL, NULL, NULL),
                 SQLITE_OK);
    cr_assert_eq(sqlite3_exec(reader, "BEGIN; SELECT * FROM t", NULL, NULL, NULL),
                 SQLITE_OK);

    let_wait(&commits, worker_commit, READS_OF_COMMIT);
    let_wait(&begins, worker_begin, READS_OF_BEGIN);
    fake_clock_advance_ms(1000);
    worker_await(&commits);
    worker_await(&begins);
    cr_expect_eq(commits.rc, SQLITE_BUSY, "%s", commits.err.text);
    cr_expect_eq(begins.rc, SQLITE_BUSY, "%s", begins.err.text);

    cr_assert_eq(sqlite3_exec(reader, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
    cr_expect_eq(lido_txn_commit(&commits.conn, &outcome, &handy_err), LIDO_OK, "%s",
                 handy_err.text);
    cr_expect_eq(outcome, LIDO_OUTCOME_COMMITTED);
    worker_tell(&commits, worker_give);
    worker_tell(&begins, worker_give);
    worker_end(&commits);
    worker_end(&begins);
    lido_pool_free(pool);
}
