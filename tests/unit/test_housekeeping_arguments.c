/* SPDX-License-Identifier: MIT */
/*
 * What no caller should pass to a job: a database that is none, a pool that lends nothing or
 * was opened before a fork, names that are none, leases that are over, nothing where something
 * is wanted.  Each call answers its code with a text, answers the same where nobody wants the
 * text, and changes nothing.
 */
#include "tests/support/fake_driver.h"
#include "tests/support/refused.h"
#include "tests/support/worker.h"

#include <criterion/criterion.h>
#include <limits.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void set_up(void)
{
    fake_driver_install();
    refused_set_up();
}

TestSuite(housekeeping_arguments, .init = set_up, .fini = refused_tear_down,
          .timeout = 100);

/* --- every call that takes a database -------------------------------------------------- */

static int back_up_bytes(struct lido_database at, struct lido_error *why)
{
    struct lido_backup_options options = LIDO_BACKUP_OPTIONS_INIT;

    options.method = LIDO_BACKUP_COPY;
    return lido_backup(at, "made.db", &options, NULL, why);
}

static int dump_by_pull(struct lido_database at, struct lido_error *why)
{
    struct lido_dump *dump = (struct lido_dump *)&dump;
    const int rc = lido_dump_new(&dump, at, NULL, why);

    if (rc != LIDO_OK)
        cr_expect_null(dump);
    else
        lido_dump_free(dump);
    return rc;
}

static int stop(void *ctx, const struct lido_table_info *table, struct lido_error *why)
{
    (void)ctx, (void)table, (void)why;
    return SQLITE_DONE;
}

static int list(struct lido_database at, struct lido_error *why)
{
    return lido_table_list(at, NULL, 0, stop, NULL, why);
}

static int copy_into(struct lido_database at, struct lido_error *why)
{
    struct lido_table_copy_options options = LIDO_TABLE_COPY_OPTIONS_INIT;

    options.new_name = "copied";
    return lido_table_copy(lido_at_path("b.db"), "u", at, &options, NULL, why);
}

static const struct job_row more_jobs[] = {
    { "backup by copy", back_up_bytes, true, true },
    { "dump by pull", dump_by_pull, false, true },
    { "list", list, false, true },
    { "copy into", copy_into, false, false },
};
#define N_MORE (int)(sizeof more_jobs / sizeof more_jobs[0])

static const struct job_row *job_number(int i)
{
    return i < n_jobs ? &jobs[i] : i - n_jobs < N_MORE ? &more_jobs[i - n_jobs] : NULL;
}

struct place {
    const char *name;
    struct lido_database at;
    int code;
    int check_code; /* of lido_check(), which reads a URL and does not open it; LIDO_OK:
                       it has a verdict */
};

static void expect_place(const struct place *place)
{
    const struct job_row *job;

    for (int i = 0; (job = job_number(i)) != NULL; i++) {
        const bool is_check = strcmp(job->name, "check") == 0;
        const int code = is_check ? place->check_code : place->code;
        int rc, silent_rc;

        err = untouched;
        rc = job->run(place->at, &err);
        silent_rc = job->run(place->at, NULL);
        if (code != LIDO_OK) {
            expect_refused(place->name, job->name, rc, silent_rc, code);
            continue;
        }
        cr_expect(rc == LIDO_OK && silent_rc == LIDO_OK, "%s: %s", place->name, err.text);
        cr_expect_eq(err.code, untouched.code, "%s: %s", place->name, err.text);
    }
}

Test(housekeeping_arguments, a_database_that_is_none)
{
    static char long_url[LIDO_URL_LONGEST + 2], long_path[PATH_MAX + 2], long_name[1001];
    const struct place places[] = {
        { "nothing", { NULL, NULL, NULL }, SQLITE_MISUSE, SQLITE_MISUSE },
        { "two", { "a.db", "sqlite:///a.db", NULL }, SQLITE_MISUSE, SQLITE_MISUSE },
        { "empty path", { "", NULL, NULL }, SQLITE_MISUSE, SQLITE_MISUSE },
        { "long path", { long_path, NULL, NULL }, SQLITE_CANTOPEN, SQLITE_TOOBIG },
        { "long name", { long_name, NULL, NULL }, SQLITE_CANTOPEN, SQLITE_TOOBIG },
        { "empty url", { NULL, "", NULL }, LIDO_BAD_URL, LIDO_BAD_URL },
        { "no url", { NULL, "a.db", NULL }, LIDO_BAD_URL, LIDO_BAD_URL },
        { "long url", { NULL, long_url, NULL }, LIDO_BAD_URL, LIDO_BAD_URL },
        { "no driver", { NULL, "nobody:///a.db", NULL }, LIDO_NOT_FOUND, SQLITE_MISUSE },
        { "its driver", { NULL, "fake:///a.db", NULL }, SQLITE_MISUSE, SQLITE_MISUSE },
        { "no number",
          { NULL, "sqlite:///a.db?pool_size=x", NULL },
          LIDO_BAD_URL,
          LIDO_OK },
        { "no key", { NULL, "sqlite:///a.db?nothing=1", NULL }, LIDO_BAD_URL, LIDO_OK },
    };

    memset(long_path, 'x', sizeof long_path - 1);
    memset(long_name, 'x', sizeof long_name - 1);
    memset(long_url, 'x', sizeof long_url - 1);
    memcpy(long_url, "sqlite:///", 10);
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++)
        expect_place(&places[i]);
}

static lido_pool *open_pool(const char *url)
{
    lido_pool *pool;

    cr_assert_eq(lido_pool_open(&pool, url, NULL, &err), LIDO_OK, "%s", err.text);
    return pool;
}

Test(housekeeping_arguments, a_pool_that_lends_nothing)
{
    lido_pool *fake = open_pool("fake:///x?pool=queue");
    lido_pool *closed = open_pool("sqlite:///a.db?pool=queue");
    lido_pool *busy =
        open_pool("sqlite:///a.db?pool=queue&pool_size=1&max_overflow=0&pool_timeout=0");
    const struct place places[] = {
        { "three", { "a.db", "sqlite:///a.db", busy }, SQLITE_MISUSE, SQLITE_MISUSE },
        { "of another driver", lido_at_pool(fake), SQLITE_MISUSE, SQLITE_MISUSE },
        { "closed", lido_at_pool(closed), LIDO_CLOSED, LIDO_CLOSED },
        { "used up", lido_at_pool(busy), LIDO_POOL_TIMEOUT, LIDO_POOL_TIMEOUT },
    };
    struct lido_pool_stats stats = LIDO_POOL_STATS_INIT;
    struct lido_conn conn;

    cr_assert_eq(lido_pool_close(closed, 0, &err), LIDO_OK);
    cr_assert_eq(lido_pool_checkout(busy, &conn, NULL, &err), LIDO_OK, "%s", err.text);
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++)
        expect_place(&places[i]);
    cr_expect_eq(lido_pool_stats(fake, &stats, &err), LIDO_OK);
    cr_expect_eq(stats.out, 0, "leases of the other driver are given back");
    lido_conn_checkin(&conn, NULL, NULL);
    lido_pool_free(fake);
    lido_pool_free(closed);
    lido_pool_free(busy);
}

/* In the child nothing can be asserted: how many answered something else. */
static int count_not_forked(lido_pool *pool)
{
    const struct lido_database places[] = { lido_at_pool(pool), lido_at_path("a.db"),
                                            lido_at_url("sqlite:///a.db") };
    const struct job_row *job;
    int wrong = 0;

    for (int p = 0; p < 3; p++)
        for (int i = 0; (job = job_number(i)) != NULL; i++) {
            err = untouched;
            if (job->run(places[p], &err) == LIDO_FORKED && err.code == LIDO_FORKED &&
                err.text[0] != '\0' && job->run(places[p], NULL) == LIDO_FORKED)
                continue;
            fprintf(stderr, "%s at %d: %d: %s\n", job->name, p, err.code, err.text);
            wrong++;
        }
    return wrong;
}

Test(housekeeping_arguments, a_child_of_fork)
{
    lido_pool *pool = open_pool("sqlite:///a.db?pool=queue");
    struct lido_conn conn;
    int status = -1;
    pid_t child;
    char *now;

    cr_assert_eq(lido_pool_checkout(pool, &conn, NULL, &err), LIDO_OK);
    child = fork();
    if (child == 0) {
        int wrong = count_not_forked(pool), kind = 7;

        wrong += lido_conn_table_exists(&conn, NULL, "t", 0, &kind, NULL) != LIDO_FORKED;
        wrong += lido_conn_table_list(&conn, NULL, 0, stop, NULL, NULL) != LIDO_FORKED;
        _exit(wrong + kind);
    }
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_expect_eq(status, 0);
    lido_conn_checkin(&conn, NULL, NULL);
    lido_pool_free(pool);
    now = folder_listing();
    cr_expect_str_eq(now, before);
    sqlite3_free(now);
}

/* --- names ----------------------------------------------------------------------------- */

static struct lido_dump_options for_dump;
static struct lido_table_backup_options for_table;
static struct lido_table_rename_options for_rename;
static struct lido_table_copy_options for_copy;

static void take_defaults(void)
{
    for_dump = (struct lido_dump_options)LIDO_DUMP_OPTIONS_INIT;
    for_table = (struct lido_table_backup_options)LIDO_TABLE_BACKUP_OPTIONS_INIT;
    for_rename = (struct lido_table_rename_options)LIDO_TABLE_RENAME_OPTIONS_INIT;
    for_copy = (struct lido_table_copy_options)LIDO_TABLE_COPY_OPTIONS_INIT;
}

static int skip_line(void *ctx, const char *text, size_t length, struct lido_error *why)
{
    (void)ctx, (void)text, (void)length, (void)why;
    return LIDO_OK;
}

/* How a name is used, and what is answered to none, to any, and to one that is no UTF-8. */
struct use {
    const char *name;
    int (*run)(const char *name, struct lido_error *why);
    int none, any, bad;
};
#define USE(name_, call)                                                                   \
    static int use_##name_(const char *name, struct lido_error *why)                       \
    {                                                                                      \
        const struct lido_database a = lido_at_path("a.db"), b = lido_at_path("b.db");     \
                                                                                           \
        take_defaults();                                                                   \
        (void)b;                                                                           \
        return call;                                                                       \
    }
USE(exists, lido_table_exists(a, NULL, name, 0, NULL, why))
USE(exists_schema, lido_table_exists(a, name, "t", 0, NULL, why))
USE(list_schema, lido_table_list(a, name, 0, stop, NULL, why))
USE(dump, (for_dump.tables = name, lido_dump(a, &for_dump, skip_line, NULL, why)))
USE(backup, lido_table_backup(a, name, "t2", NULL, NULL, why))
USE(backup_new, lido_table_backup(a, "t", name, NULL, NULL, why))
USE(backup_schema,
    (for_table.schema = name, lido_table_backup(a, "t", "t2", &for_table, NULL, why)))
USE(rename, lido_table_rename(a, name, "t2", NULL, why))
USE(rename_new, lido_table_rename(a, "t", name, NULL, why))
USE(rename_schema,
    (for_rename.schema = name, lido_table_rename(a, "t", "t2", &for_rename, why)))
USE(copy, lido_table_copy(a, name, b, NULL, NULL, why))
USE(copy_new, (for_copy.new_name = name, lido_table_copy(a, "t", b, &for_copy, NULL, why)))
USE(copy_from,
    (for_copy.from_schema = name, lido_table_copy(a, "t", b, &for_copy, NULL, why)))
USE(copy_into,
    (for_copy.into_schema = name, lido_table_copy(a, "t", b, &for_copy, NULL, why)))
USE(copy_column, (for_copy.columns = &name, for_copy.column_count = 1,
                  lido_table_copy(a, "t", b, &for_copy, NULL, why)))

static const struct use uses[] = {
    { "exists", use_exists, SQLITE_MISUSE, LIDO_OK, LIDO_BAD_TEXT },
    { "exists, schema", use_exists_schema, LIDO_OK, LIDO_NOT_FOUND, LIDO_BAD_TEXT },
    { "list, schema", use_list_schema, LIDO_OK, LIDO_NOT_FOUND, LIDO_BAD_TEXT },
    { "dump", use_dump, LIDO_OK, LIDO_NOT_FOUND, LIDO_NOT_FOUND },
    { "backup", use_backup, SQLITE_MISUSE, LIDO_NOT_FOUND, LIDO_BAD_TEXT },
    { "backup, new name", use_backup_new, SQLITE_MISUSE, LIDO_OK, LIDO_BAD_TEXT },
    { "backup, schema", use_backup_schema, LIDO_OK, LIDO_NOT_FOUND, LIDO_BAD_TEXT },
    { "rename", use_rename, SQLITE_MISUSE, LIDO_NOT_FOUND, LIDO_BAD_TEXT },
    { "rename, new name", use_rename_new, SQLITE_MISUSE, LIDO_OK, LIDO_BAD_TEXT },
    { "rename, schema", use_rename_schema, LIDO_OK, LIDO_NOT_FOUND, LIDO_BAD_TEXT },
    { "copy", use_copy, SQLITE_MISUSE, LIDO_NOT_FOUND, LIDO_BAD_TEXT },
    { "copy, new name", use_copy_new, LIDO_OK, LIDO_OK, LIDO_BAD_TEXT },
    { "copy, schema", use_copy_from, LIDO_OK, LIDO_NOT_FOUND, LIDO_BAD_TEXT },
    { "copy, schema of it", use_copy_into, LIDO_OK, LIDO_NOT_FOUND, LIDO_BAD_TEXT },
    { "copy, column", use_copy_column, SQLITE_MISUSE, LIDO_NOT_FOUND, LIDO_BAD_TEXT },
};

Test(housekeeping_arguments, names)
{
    static char longest[1001];
    static const char *const any[] = { "", longest, "a\"b", "it's", "]", "%s%n", "main.t" };
    static const char *const bad[] = { "\xff", "a\xc3", "\xed\xa0\x80", "\xc0\xaf" };

    memset(longest, 'n', sizeof longest - 1);
    err = untouched;
    for (size_t u = 0; u < sizeof uses / sizeof uses[0]; u++)
        for (int i = -1; i < 11; i++) {
            const char *name = i < 0 ? NULL : i < 7 ? any[i] : bad[i - 7];
            const int code = i < 0 ? uses[u].none : i < 7 ? uses[u].any : uses[u].bad;
            const int rc = uses[u].run(name, &err);

            if (code == LIDO_OK)
                expect_done(uses[u].name, rc);
            else
                expect_refused(uses[u].name, name != NULL ? name : "NULL", rc,
                               uses[u].run(name, NULL), code);
        }
}

/* --- leases, and a dump that somebody else has ----------------------------------------- */

static void ask_on_a_lease(struct worker *worker)
{
    int kind = 7;

    worker->rc = lido_conn_table_exists(&worker->conn, NULL, "t", 0, &kind, &worker->err);
    cr_expect_eq(kind, 0);
    cr_expect_eq(lido_conn_table_list(&worker->conn, NULL, 0, stop, NULL, NULL),
                 worker->rc);
}

static void expect_lease(const char *what, const struct lido_conn *conn, int code)
{
    int kind = 7, rc = lido_conn_table_exists(conn, NULL, "t", 0, &kind, &err);

    cr_expect_eq(rc, code, "%s: %s: %s", what, lido_status_name(rc), err.text);
    cr_expect_eq(err.code, code, "%s: %s", what, err.text);
    cr_expect_neq(err.text[0], '\0', "%s", what);
    cr_expect_eq(kind, 0, "%s", what);
    cr_expect_eq(lido_conn_table_exists(conn, "main", "t", 0, &kind, NULL), code, "%s",
                 what);
    err = untouched;
    rc = lido_conn_table_list(conn, NULL, 0, stop, NULL, &err);
    cr_expect_eq(rc, code, "%s: %s: %s", what, lido_status_name(rc), err.text);
    cr_expect_eq(err.code, code, "%s: %s", what, err.text);
    cr_expect_eq(lido_conn_table_list(conn, "main", 0, stop, NULL, NULL), code, "%s", what);
}

Test(housekeeping_arguments, a_lease_that_is_none)
{
    lido_pool *pool = open_pool("sqlite:///a.db?pool=queue");
    lido_pool *fake = open_pool("fake:///x?pool=queue");
    struct lido_conn zeros = LIDO_CONN_INIT, over, conn, foreign;
    struct worker worker;

    cr_assert_eq(lido_pool_checkout(pool, &conn, NULL, &err), LIDO_OK);
    over = conn;
    lido_conn_checkin(&conn, NULL, NULL);
    cr_assert_eq(lido_pool_checkout(pool, &conn, NULL, &err), LIDO_OK);
    cr_assert_eq(lido_pool_checkout(fake, &foreign, NULL, &err), LIDO_OK);
    expect_lease("NULL", NULL, SQLITE_MISUSE);
    expect_lease("zeros", &zeros, LIDO_STALE);
    expect_lease("checked in", &over, LIDO_STALE);
    expect_lease("of another driver", &foreign, SQLITE_MISUSE);
    worker_start(&worker, pool);
    worker.conn = conn;
    worker_tell(&worker, ask_on_a_lease);
    cr_expect_eq(worker.rc, LIDO_WRONG_THREAD, "%s", worker.err.text);
    worker_end(&worker);
    cr_assert_eq(lido_pool_close(pool, 0, &err), LIDO_BUSY_LEASES);
    cr_expect_eq(lido_conn_table_exists(&conn, NULL, "t", 0, NULL, &err), LIDO_OK);
    lido_conn_checkin(&conn, NULL, NULL);
    expect_lease("of a pool that was closed", &conn, LIDO_STALE);
    lido_conn_checkin(&foreign, NULL, NULL);
    lido_pool_free(pool);
    lido_pool_free(fake);
}

Test(housekeeping_arguments, a_dump_outlives_its_pool)
{
    lido_pool *pool = open_pool("sqlite:///a.db?pool=queue");
    const char *text = "x";
    size_t length = 5;
    struct lido_dump *dump;
    int rc, count = 0;

    cr_assert_eq(lido_dump_new(&dump, lido_at_pool(pool), NULL, &err), LIDO_OK);
    cr_expect_eq(lido_dump_next(dump, NULL, &length, &err), SQLITE_MISUSE);
    cr_expect_eq(lido_dump_next(NULL, &text, &length, &err), SQLITE_MISUSE);
    cr_expect_eq(lido_pool_close(pool, 0, &err), LIDO_BUSY_LEASES);
    lido_pool_free(pool);
    while ((rc = lido_dump_next(dump, &text, NULL, &err)) == SQLITE_ROW)
        count++;
    cr_expect_eq(rc, SQLITE_DONE, "%s", err.text);
    cr_expect_gt(count, 40);
    cr_expect_null(text);
    cr_expect_eq(lido_dump_next(dump, &text, &length, &err), SQLITE_DONE);
    cr_expect(text == NULL && length == 0);
    lido_dump_free(dump);
    lido_dump_free(NULL);
}

static void *free_elsewhere(void *dump)
{
    const char *text;

    lido_dump_free(dump); /* it is not over: this does nothing */
    return (void *)(intptr_t)lido_dump_next(dump, &text, NULL, NULL);
}

static void *free_over(void *dump)
{
    const char *text;
    const int rc = lido_dump_next(dump, &text, NULL, NULL);

    lido_dump_free(dump); /* or a leak is reported */
    return (void *)(intptr_t)rc;
}

Test(housekeeping_arguments, a_dump_that_is_over_is_freed_by_any_thread)
{
    struct lido_dump *dump;
    const char *text;
    pthread_t thread;
    void *rc;

    cr_assert_eq(lido_dump_new(&dump, lido_at_path("a.db"), NULL, &err), LIDO_OK);
    cr_assert_eq(pthread_create(&thread, NULL, free_elsewhere, dump), 0);
    pthread_join(thread, &rc);
    cr_expect_eq((intptr_t)rc, LIDO_WRONG_THREAD);
    while (lido_dump_next(dump, &text, NULL, &err) == SQLITE_ROW)
        continue;
    cr_assert_eq(pthread_create(&thread, NULL, free_over, dump), 0);
    pthread_join(thread, &rc);
    cr_expect_eq((intptr_t)rc, SQLITE_DONE);
}

Test(housekeeping_arguments, nothing_where_something_is_wanted)
{
    const struct lido_database a = lido_at_path("a.db");
#define MISUSED(call)                                                                      \
    do {                                                                                   \
        struct lido_error *why = &err;                                                     \
        const int rc = call;                                                               \
        why = NULL;                                                                        \
        expect_refused(#call, "", rc, call, SQLITE_MISUSE);                                \
    } while (0)

    MISUSED(lido_check(a, NULL, NULL, why));
    MISUSED(lido_backup(a, NULL, NULL, NULL, why));
    MISUSED(lido_backup(a, "", NULL, NULL, why));
    MISUSED(lido_restore(a, NULL, NULL, why));
    MISUSED(lido_restore(a, "", NULL, why));
    MISUSED(lido_dump(a, NULL, NULL, NULL, why));
    MISUSED(lido_dump_new(NULL, a, NULL, why));
    MISUSED(lido_load(a, NULL, NULL, NULL, NULL, why));
    MISUSED(lido_load_text(a, NULL, NULL, 1, NULL, why));
    MISUSED(lido_table_list(a, NULL, 0, NULL, NULL, why));
    MISUSED(lido_file_look("a.db", NULL, why));
    cr_expect_null(lido_table_part_name(0));
    cr_expect_null(lido_table_part_name(INT_MIN));
    cr_expect_null(lido_table_part_name(LIDO_PART_TRIGGER << 1));
    cr_expect_str_eq(lido_check_name(INT_MIN), "unknown");
    cr_expect_str_eq(lido_check_name(INT_MAX), "unknown");
}
