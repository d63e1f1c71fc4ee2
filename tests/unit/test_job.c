/* SPDX-License-Identifier: MIT */
/*
 * What all jobs share: the database, progress, and what ends one early.
 */
#include "base/sync.h"
#include "housekeeping/work.h"
#include <lido/stmt.h>

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct lido_job job;
static struct lido__work work;
static struct lido_error err;
static int told, answer;
static struct lido_progress last;

static int keep(void *ctx, const struct lido_progress *now, struct lido_error *story)
{
    cr_expect_eq(ctx, &told);
    told++;
    last = *now;
    if (answer != LIDO_OK && answer != 7777)
        lido_fail(story, SQLITE_AUTH, "enough");
    return answer;
}

static void set_up(void)
{
    job = (struct lido_job)LIDO_JOB_INIT;
    job.progress = keep;
    job.progress_ctx = &told;
}

TestSuite(job, .init = set_up, .timeout = 30);

static void begin(void)
{
    cr_assert_eq(lido__work_begin(&work, &job, &err), LIDO_OK, "%s", err.text);
}

Test(job, a_phase_is_told_when_it_begins_and_when_it_ends)
{
    begin();
    cr_expect_eq(lido__work_phase(&work, "copying", "pages", 100, &err), LIDO_OK);
    cr_expect_eq(told, 1);
    cr_expect_str_eq(last.phase, "copying");
    cr_expect_str_eq(last.unit, "pages");
    cr_expect_eq(last.total, 100);
    for (uint64_t i = 1; i < 100; i++)
        cr_expect_eq(lido__work_at(&work, i, &err), LIDO_OK);
    cr_expect_eq(lido__work_done(&work, &err), LIDO_OK);
    cr_expect_eq(last.done, 100);
    cr_expect_geq(last.elapsed_ns, 0);
    cr_expect_eq(lido__work_phase(&work, "checking", "pages", 7, &err), LIDO_OK);
    cr_expect_eq(last.done, 0, "the next begins anew");
}

Test(job, it_is_told_not_more_than_twenty_times_a_second)
{
    const int64_t began_ns = lido__wait_ns(NULL);
    uint64_t done = 0;
    int64_t took_ns;

    begin();
    cr_expect_eq(lido__work_phase(&work, "copying", "pages", 0, &err), LIDO_OK);
    while ((took_ns = lido__wait_ns(NULL) - began_ns) < 120 * LIDO_NS_PER_MS)
        cr_assert_eq(lido__work_at(&work, ++done, &err), LIDO_OK);
    cr_expect_geq(told, 2);
    cr_expect_leq(told, 2 + took_ns / (50 * LIDO_NS_PER_MS), "%d of %llu", told,
                  (unsigned long long)done);
}

Test(job, who_is_told_may_end_it_with_a_code_and_a_text)
{
    begin();
    answer = SQLITE_AUTH;
    cr_expect_eq(lido__work_phase(&work, "copying", "pages", 0, &err), SQLITE_AUTH);
    cr_expect_str_eq(err.text, "enough");
    answer = LIDO_OK;
    cr_expect_eq(lido__work_at(&work, 1, &err), SQLITE_AUTH, "once it ended it has ended");
    cr_expect_eq(told, 1);
}

Test(job, a_code_without_a_text_gets_one)
{
    begin();
    answer = 7777;
    cr_expect_eq(lido__work_phase(&work, "copying", "pages", 0, &err), 7777);
    cr_expect_eq(err.code, 7777);
    cr_expect_not_null(strstr(err.text, "progress function"), "%s", err.text);
    begin();
    answer = SQLITE_PERM; /* and the text is of another */
    cr_expect_eq(lido__work_phase(&work, "copying", "pages", 0, &err), SQLITE_PERM);
    cr_expect_eq(err.code, SQLITE_PERM);
    cr_expect_not_null(strstr(err.text, "progress function"), "%s", err.text);
}

Test(job, a_fired_token_ends_it)
{
    lido_cancel *token;

    cr_assert_eq(lido_cancel_new(&token, &err), LIDO_OK);
    job.cancel = token;
    begin();
    cr_expect_eq(lido__work_phase(&work, "copying", "pages", 0, &err), LIDO_OK);
    cr_assert_eq(lido_cancel_fire(token, &err), LIDO_OK);
    cr_expect_eq(lido__work_check(&work, &err), LIDO_CANCELLED);
    cr_expect_not_null(strstr(err.text, "copying"), "%s", err.text);
    lido_cancel_reset(token);
    cr_expect_eq(lido__work_check(&work, NULL), LIDO_CANCELLED, "for good");
    lido_cancel_free(token);
}

Test(job, its_time_may_be_over)
{
    job.timeout_ms = 0;
    begin();
    cr_expect_eq(lido__work_left_ms(&work), 0);
    cr_expect_eq(lido__work_check(&work, &err), LIDO_TXN_TIMEOUT);
    job.timeout_ms = -1;
    begin();
    cr_expect_eq(lido__work_left_ms(&work), -1);
    cr_expect_eq(lido__work_check(&work, &err), LIDO_OK);
}

Test(job, sql_ends_with_what_ended_the_job)
{
    static const char for_ever[] =
        "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 "
        "FROM n) SELECT count(*) FROM n";
    sqlite3 *db;
    int rc;

    cr_assert_eq(sqlite3_open(":memory:", &db), SQLITE_OK);
    job.timeout_ms = 1;
    begin();
    lido__work_watch(&work, db);
    rc = sqlite3_exec(db, for_ever, NULL, NULL, NULL);
    cr_expect_eq(rc, SQLITE_INTERRUPT);
    cr_expect_eq(lido__work_fail(&work, db, rc, "counting", &err), LIDO_TXN_TIMEOUT);
    rc = sqlite3_exec(db, "SELECT * FROM nowhere", NULL, NULL, NULL);
    cr_expect_eq(lido__work_fail(&work, db, rc, "reading", &err), SQLITE_ERROR);
    cr_expect_not_null(strstr(err.text, "reading: no such table"), "%s", err.text);
    lido__work_watch(NULL, db);
    cr_expect_eq(sqlite3_exec(db, "SELECT 1", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

Test(job, options_that_are_none_are_refused)
{
    cr_expect_eq(lido__work_begin(&work, NULL, &err), LIDO_OK);
    cr_expect_eq(lido__work_check(&work, &err), LIDO_OK);
    job.timeout_ms = -2;
    cr_expect_eq(lido__work_begin(&work, &job, &err), LIDO_BAD_OPTION);
    job.size = 0;
    cr_expect_eq(lido__work_begin(&work, &job, &err), SQLITE_MISUSE);
    cr_expect_str_eq(err.text, "struct lido_job: its size is not set; use LIDO_JOB_INIT");
}

/* --- the database --------------------------------------------------------------------- */

static int open_at(struct lido_database at, bool may_create, lido_pool **pool, bool *is_own)
{
    return lido__database_pool(at, may_create, 1000, pool, is_own, &err);
}

Test(job, a_database_is_one_of_three)
{
    const struct lido_database none = { NULL, NULL, NULL },
                               both = { "a", "sqlite://", NULL };
    lido_pool *pool;
    bool is_own;

    cr_expect_eq(open_at(none, true, &pool, &is_own), SQLITE_MISUSE);
    cr_expect_eq(open_at(both, true, &pool, &is_own), SQLITE_MISUSE);
    cr_expect_eq(open_at(lido_at_path(""), true, &pool, &is_own), SQLITE_MISUSE);
    cr_expect_eq(open_at(lido_at_url("nonsense"), true, &pool, &is_own), LIDO_BAD_URL);
    cr_expect_eq(open_at(lido_at_path("/nowhere/at/all.db"), false, &pool, &is_own),
                 LIDO_NOT_FOUND);
    cr_expect_not_null(strstr(err.text, "/nowhere/at/all.db"), "%s", err.text);
    cr_expect_eq(open_at(lido_at_path("/dev/null/x"), false, &pool, &is_own),
                 LIDO_NOT_FOUND, "%s", err.text);
}

/* To open a pipe may wait for ever, and a device is not empty. */
Test(job, what_is_no_file_is_not_opened)
{
    static const char *const paths[] = { "/", "/dev/null" };
    static const char *const urls[] = { "sqlite:////", "sqlite:////dev/null" };
    static const char *const whats[] = { "/ is a folder", "/dev/null is a special file" };
    lido_pool *pool;
    bool is_own;

    for (int i = 0; i < 4; i++) {
        const bool may_create = i / 2 != 0;

        cr_expect_eq(open_at(lido_at_path(paths[i % 2]), may_create, &pool, &is_own),
                     SQLITE_CANTOPEN, "%s", err.text);
        cr_expect_not_null(strstr(err.text, whats[i % 2]), "%s", err.text);
        cr_expect_eq(open_at(lido_at_url(urls[i % 2]), may_create, &pool, &is_own),
                     SQLITE_CANTOPEN, "%s", err.text);
        cr_expect_not_null(strstr(err.text, whats[i % 2]), "%s", err.text);
    }
}

Test(job, a_pool_is_the_hosts_and_a_url_gets_one_of_its_own)
{
    lido_pool *hosts, *pool;
    bool is_own;

    cr_assert_eq(lido_pool_open(&hosts, "sqlite://", NULL, &err), LIDO_OK);
    cr_expect_eq(open_at(lido_at_pool(hosts), false, &pool, &is_own), LIDO_OK);
    cr_expect_eq(pool, hosts);
    cr_expect_not(is_own);
    lido_pool_free(hosts);
    cr_assert_eq(open_at(lido_at_url("sqlite://"), false, &pool, &is_own), LIDO_OK);
    cr_expect(is_own);
    lido_pool_free(pool);
    cr_assert_eq(
        open_at(lido_at_url("sqlite:///nowhere.db?mode=memory"), false, &pool, &is_own),
        LIDO_OK, "there is no file to be missing: %s", err.text);
    lido_pool_free(pool);
}

/* What would be a key, a memory database or an escape in a URL is a name here. */
Test(job, any_path_is_a_name)
{
    static const char *const names[] = { "a?b=c.db", ":memory:", "file:x",
                                         "100%25 & #1.db" };
    char folder[] = "/tmp/lido-job-XXXXXX";

    cr_assert_not_null(mkdtemp(folder));
    cr_assert_eq(chdir(folder), 0);
    for (int i = 0; i < 4; i++) {
        lido_pool *pool;
        bool is_own;

        cr_assert_eq(open_at(lido_at_path(names[i]), true, &pool, &is_own), LIDO_OK,
                     "%s: %s", names[i], err.text);
        cr_expect_eq(lido_pool_exec(pool, "CREATE TABLE t (x)", &err), LIDO_OK, "%s",
                     err.text);
        lido_pool_free(pool);
        cr_expect_eq(access(names[i], F_OK), 0, "%s", names[i]);
        cr_expect_eq(open_at(lido_at_path(names[i]), false, &pool, &is_own), LIDO_OK);
        lido_pool_free(pool);
        unlink(names[i]);
    }
    cr_assert_eq(chdir("/"), 0);
    rmdir(folder);
}
