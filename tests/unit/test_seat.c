/* SPDX-License-Identifier: MIT */
/*
 * A job's place at a database: what it leaves in the connection and the pool, and what it
 * answers where a wait or SQL of it was ended.
 */
#include "base/sync.h"
#include "housekeeping/seat.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_driver.h"
#include "tests/support/table_stage.h"

#include <pthread.h>
#include <stdarg.h>
#include <time.h>

static const struct lido__seat_options plain = LIDO__SEAT_OPTIONS_INIT("a seat");
static struct lido__work work;
static struct lido__seat seat;
static struct lido_job job;
static lido_pool *pool;

/* How often a flag was asked for or set. */
static int configured;

int __wrap_sqlite3_db_config(sqlite3 *db, int setting, ...);
int __real_sqlite3_db_config(sqlite3 *db, int setting, ...);

int __wrap_sqlite3_db_config(sqlite3 *db, int setting, ...)
{
    va_list arguments;
    int wanted, *is_on;

    configured++;
    va_start(arguments, setting);
    wanted = va_arg(arguments, int);
    is_on = va_arg(arguments, int *);
    va_end(arguments);
    return __real_sqlite3_db_config(db, setting, wanted, is_on);
}

static void set_up(void)
{
    stage_set_up();
    stage_exec(stage_a, "CREATE TABLE t(x)");
    job = (struct lido_job)LIDO_JOB_INIT;
    pool = stage_pool(stage_a, "pool=queue&pool_size=1&max_overflow=0&pool_timeout=4&"
                               "foreign_keys=on");
}

static void tear_down(void)
{
    lido_pool_free(pool);
    stage_tear_down();
}

TestSuite(seat, .init = set_up, .fini = tear_down, .timeout = 30);

static int take(const struct lido__seat_options *options)
{
    cr_assert_eq(lido__work_begin(&work, &job, &err), LIDO_OK);
    return lido__seat_open(&seat, &work, lido_at_pool(pool), options, &err);
}

static int flag(sqlite3 *db, int name)
{
    int now = -1;

    sqlite3_db_config(db, name, -1, &now);
    return now;
}

static int insert(void)
{
    return lido__seat_exec(&seat, sqlite3_mprintf("INSERT INTO t VALUES (1)"), "inserting",
                           &err);
}

static void begin_and_turn_off(void)
{
    cr_assert_eq(take(&plain), LIDO_OK, "%s", err.text);
    sqlite3_db_config(seat.db, SQLITE_DBCONFIG_DEFENSIVE, 1, (int *)NULL);
    cr_assert_eq(lido__seat_begin(&seat, LIDO_IMMEDIATE, &err), LIDO_OK, "%s", err.text);
    lido__seat_set(&seat, LIDO__FOREIGN_KEYS, false);
    lido__seat_read_schema(&seat);
    lido__seat_set(&seat, LIDO__DEFENSIVE, false);
    cr_expect_eq(flag(seat.db, SQLITE_DBCONFIG_ENABLE_FKEY), 0);
    cr_expect_eq(flag(seat.db, SQLITE_DBCONFIG_DEFENSIVE), 0);
    cr_expect_eq(flag(seat.db, SQLITE_DBCONFIG_DQS_DDL), 1);
    cr_expect_eq(insert(), LIDO_OK, "%s", err.text);
}

static void expect_flags_are_back(void)
{
    cr_expect_eq(flag(seat.db, SQLITE_DBCONFIG_ENABLE_FKEY), 1);
    cr_expect_eq(flag(seat.db, SQLITE_DBCONFIG_LEGACY_ALTER_TABLE), 0);
    cr_expect_eq(flag(seat.db, SQLITE_DBCONFIG_DQS_DDL), 0);
    cr_expect_eq(flag(seat.db, SQLITE_DBCONFIG_DEFENSIVE), 1);
}

static void expect_all_is_returned(void)
{
    struct lido_pool_stats stats = LIDO_POOL_STATS_INIT;

    cr_assert_eq(lido_pool_stats(pool, &stats, &err), LIDO_OK, "%s", err.text);
    cr_expect_eq(stats.out, 0);
    cr_expect_null(seat.db);
}

Test(seat, what_it_turned_off_is_on_again_after_a_commit)
{
    begin_and_turn_off();
    cr_expect_eq(lido__seat_end(&seat, LIDO_OK, &err), LIDO_OK, "%s", err.text);
    expect_flags_are_back();
    cr_expect_eq(lido__seat_close(&seat, LIDO_OK, &err), LIDO_OK);
    expect_all_is_returned();
    stage_expect(stage_a, "SELECT count(*) FROM t", "1");
}

Test(seat, what_it_turned_off_is_on_again_after_a_failure)
{
    begin_and_turn_off();
    cr_expect_eq(lido__seat_end(&seat, SQLITE_AUTH, &err), SQLITE_AUTH);
    expect_flags_are_back();
    cr_expect_eq(lido__seat_close(&seat, SQLITE_AUTH, &err), SQLITE_AUTH);
    expect_all_is_returned();
    stage_expect(stage_a, "SELECT count(*) FROM t", "0");
}

Test(seat, a_job_that_is_to_end_is_not_committed)
{
    cr_assert_eq(lido_cancel_new(&job.cancel, &err), LIDO_OK);
    begin_and_turn_off();
    lido_cancel_fire(job.cancel, NULL);
    cr_expect_eq(lido__seat_close(&seat, LIDO_OK, &err), LIDO_CANCELLED);
    expect_all_is_returned();
    stage_expect(stage_a, "SELECT count(*) FROM t", "0");
    lido_cancel_free(job.cancel);
}

static int refuse(void *ctx, const struct lido_progress *now, struct lido_error *story)
{
    (void)ctx;
    (void)now;
    return lido_fail(story, SQLITE_AUTH, "enough");
}

Test(seat, what_the_host_said_is_the_answer)
{
    job.progress = refuse;
    begin_and_turn_off();
    cr_expect_eq(lido__seat_judge(&seat, SQLITE_BUSY, &err), SQLITE_BUSY);
    cr_expect_eq(lido__work_phase(&work, "refusing", "rows", 0, &err), SQLITE_AUTH);
    cr_expect_eq(lido__seat_judge(&seat, SQLITE_BUSY, &err), SQLITE_AUTH);
    cr_expect_eq(lido__seat_judge(&seat, SQLITE_INTERRUPT, &err), SQLITE_AUTH);
    cr_expect_eq(lido__seat_judge(&seat, SQLITE_CORRUPT, &err), SQLITE_CORRUPT);
    cr_expect_eq(lido__seat_judge(&seat, LIDO_OK, &err), LIDO_OK);
    cr_expect_eq(lido__seat_close(&seat, LIDO_OK, &err), SQLITE_AUTH);
    cr_expect_str_eq(err.text, "enough");
    expect_all_is_returned();
    stage_expect(stage_a, "SELECT count(*) FROM t", "0");
}

Test(seat, a_connection_that_the_host_gave_up_is_not_touched)
{
    begin_and_turn_off();
    cr_expect_eq(lido__seat_check(&seat, &err), LIDO_OK);
    cr_assert_eq(lido_record_close(lido_conn_record(&seat.conn), &err), LIDO_OK, "%s",
                 err.text);
    cr_expect_eq(lido__seat_check(&seat, &err), LIDO_NO_CONNECTION, "%s", err.text);
    configured = 0;
    cr_expect_neq(lido__seat_close(&seat, LIDO_OK, &err), LIDO_OK);
    cr_expect_eq(configured, 0);
    expect_all_is_returned();
    stage_expect(stage_a, "SELECT count(*) FROM t", "0");
}

Test(seat, a_wait_that_the_job_ended_answers_why)
{
    sqlite3 *other;

    cr_assert_eq(sqlite3_open(stage_a, &other), SQLITE_OK);
    cr_assert_eq(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    job.timeout_ms = 20;
    cr_assert_eq(take(&plain), LIDO_OK, "%s", err.text);
    cr_expect_eq(lido__seat_begin(&seat, LIDO_IMMEDIATE, &err), LIDO_TXN_TIMEOUT);
    cr_expect_not_null(strstr(err.text, "not done after 20 ms"), "%s", err.text);
    lido__seat_close(&seat, LIDO_TXN_TIMEOUT, NULL);
    expect_all_is_returned();
    job.timeout_ms = 0;
    cr_expect_eq(take(&plain), LIDO_TXN_TIMEOUT);
    expect_all_is_returned();
    sqlite3_close(other);
}

/* Has the one connection, fires when somebody waits for it, and keeps it all the same. */
static pthread_barrier_t both;

static void *hold_and_fire(void *token)
{
    struct lido_pool_stats stats = LIDO_POOL_STATS_INIT;
    struct lido_error own = LIDO_ERROR_INIT;
    struct lido_conn held;

    cr_assert_eq(lido_pool_checkout(pool, &held, NULL, &own), LIDO_OK, "%s", own.text);
    pthread_barrier_wait(&both);
    while (stats.waiting == 0)
        cr_assert_eq(lido_pool_stats(pool, &stats, &own), LIDO_OK, "%s", own.text);
    lido_cancel_fire(token, NULL);
    pthread_barrier_wait(&both);
    cr_expect_eq(lido_conn_checkin(&held, NULL, &own), LIDO_OK, "%s", own.text);
    return NULL;
}

Test(seat, a_token_ends_the_wait_for_a_connection)
{
    struct timespec began, ended;
    pthread_t thread;

    cr_assert_eq(pthread_barrier_init(&both, NULL, 2), 0);
    cr_assert_eq(lido_cancel_new(&job.cancel, &err), LIDO_OK);
    cr_assert_eq(pthread_create(&thread, NULL, hold_and_fire, job.cancel), 0);
    pthread_barrier_wait(&both);
    clock_gettime(CLOCK_MONOTONIC, &began);
    cr_expect_eq(take(&plain), LIDO_CANCELLED, "%s", err.text);
    clock_gettime(CLOCK_MONOTONIC, &ended);
    cr_expect_lt(ended.tv_sec - began.tv_sec, 3, "it did not wait for its end");
    pthread_barrier_wait(&both);
    pthread_join(thread, NULL);
    expect_all_is_returned();
    lido_cancel_free(job.cancel);
}

static void *hold(void *unused)
{
    struct lido_error own = LIDO_ERROR_INIT;
    struct lido_conn held;

    (void)unused;
    cr_assert_eq(lido_pool_checkout(pool, &held, NULL, &own), LIDO_OK, "%s", own.text);
    pthread_barrier_wait(&both);
    pthread_barrier_wait(&both);
    cr_expect_eq(lido_conn_checkin(&held, NULL, &own), LIDO_OK, "%s", own.text);
    return NULL;
}

/* The pool would wait for four seconds. */
Test(seat, the_time_of_the_job_ends_the_wait_for_a_connection)
{
    struct timespec began, ended;
    pthread_t thread;

    cr_assert_eq(pthread_barrier_init(&both, NULL, 2), 0);
    cr_assert_eq(pthread_create(&thread, NULL, hold, NULL), 0);
    pthread_barrier_wait(&both);
    job.timeout_ms = 20;
    clock_gettime(CLOCK_MONOTONIC, &began);
    cr_expect_eq(take(&plain), LIDO_TXN_TIMEOUT, "%s", err.text);
    clock_gettime(CLOCK_MONOTONIC, &ended);
    cr_expect_lt(ended.tv_sec - began.tv_sec, 3, "it did not wait for its end");
    pthread_barrier_wait(&both);
    pthread_join(thread, NULL);
    expect_all_is_returned();
}

/* What a connection runs when it is made is not asked whether the job is to end. */
Test(seat, the_time_of_the_job_ends_the_wait_of_a_new_connection)
{
    struct timespec began, ended;
    char url[120];
    sqlite3 *other;

    snprintf(url, sizeof url, "sqlite:///%s?journal_mode=wal", stage_a);
    cr_assert_eq(sqlite3_open(stage_a, &other), SQLITE_OK);
    cr_assert_eq(sqlite3_exec(other, "BEGIN EXCLUSIVE", NULL, NULL, NULL), SQLITE_OK);
    job.timeout_ms = 20;
    cr_assert_eq(lido__work_begin(&work, &job, &err), LIDO_OK);
    clock_gettime(CLOCK_MONOTONIC, &began);
    cr_expect_eq(lido__seat_open(&seat, &work, lido_at_url(url), &plain, &err),
                 LIDO_TXN_TIMEOUT, "%s", err.text);
    clock_gettime(CLOCK_MONOTONIC, &ended);
    cr_expect_lt(ended.tv_sec - began.tv_sec, 3, "it did not wait for its end");
    sqlite3_close(other);
}

Test(seat, sql_that_the_job_ended_answers_why)
{
    cr_assert_eq(lido_cancel_new(&job.cancel, &err), LIDO_OK);
    cr_assert_eq(take(&plain), LIDO_OK, "%s", err.text);
    lido_cancel_fire(job.cancel, NULL);
    cr_expect_eq(
        lido__seat_exec(&seat,
                        sqlite3_mprintf("WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL "
                                        "SELECT x + 1 FROM n) SELECT sum(x) FROM n"),
                        "counting", &err),
        LIDO_CANCELLED, "%s", err.text);
    lido__seat_close(&seat, LIDO_OK, NULL);
    lido_cancel_free(job.cancel);
}

/* The time that went by before the begin, in the wait for a lease, is not given again. */
Test(seat, the_transaction_has_what_is_left_of_the_jobs_time)
{
    struct lido_pool_options options = LIDO_POOL_OPTIONS_INIT;
    char url[120];

    lido_pool_free(pool);
    snprintf(url, sizeof url, "sqlite:///%s?pool=queue", stage_a);
    options.clock = fake_clock();
    cr_assert_eq(lido_pool_open(&pool, url, &options, &err), LIDO_OK, "%s", err.text);
    job.timeout_ms = 60000;
    cr_assert_eq(take(&plain), LIDO_OK, "%s", err.text);
    work.deadline_ns -= 40000 * LIDO_NS_PER_MS;
    cr_assert_eq(lido__seat_begin(&seat, LIDO_IMMEDIATE, &err), LIDO_OK, "%s", err.text);
    cr_expect_eq(insert(), LIDO_OK, "%s", err.text);
    fake_clock_advance_ms(20000);
    cr_expect_eq(lido__seat_commit(&seat, &err), LIDO_TXN_TIMEOUT, "%s", err.text);
    lido__seat_close(&seat, LIDO_TXN_TIMEOUT, NULL);
    expect_all_is_returned();
}

Test(seat, another_driver_is_refused_and_its_lease_given_back)
{
    lido_pool_free(pool);
    fake_driver_install();
    cr_assert_eq(lido_pool_open(&pool, "fake:///any?pool=queue", NULL, &err), LIDO_OK, "%s",
                 err.text);
    cr_expect_eq(take(&plain), SQLITE_MISUSE);
    cr_expect_not_null(strstr(err.text, "none of SQLite's"), "%s", err.text);
    expect_all_is_returned();
}

Test(seat, a_file_is_made_only_on_request)
{
    struct lido__seat_options options = plain;
    char path[80];

    snprintf(path, sizeof path, "%s/none.db", stage_folder);
    cr_assert_eq(lido__work_begin(&work, &job, &err), LIDO_OK);
    cr_expect_eq(lido__seat_open(&seat, &work, lido_at_path(path), &options, &err),
                 LIDO_NOT_FOUND);
    cr_expect_eq(lido__seat_close(&seat, LIDO_NOT_FOUND, &err), LIDO_NOT_FOUND);
    cr_expect_neq(access(path, F_OK), 0);
    options.may_create = true;
    cr_expect_eq(lido__seat_open(&seat, &work, lido_at_path(path), &options, &err), LIDO_OK,
                 "%s", err.text);
    cr_expect_eq(lido__seat_close(&seat, LIDO_OK, &err), LIDO_OK);
    unlink(path);
}
