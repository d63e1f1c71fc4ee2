/* SPDX-License-Identifier: MIT */
/*
 * What no caller should do with a lease, a record or a pool: every call of conn.h, record.h
 * and pool.h with nothing, with a lease that is over, another thread's or of a closed pool,
 * and in a forked child.  Each answers its code with a text, what it was given to own is
 * destroyed, and what was good stays good.
 */
#include "tests/support/handy.h"
#include "tests/support/worker.h"

#include <criterion/criterion.h>
#include <lido/record.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

TestSuite(bad_leases, .timeout = 20);

static int destroyed;

static void destroy(void *data)
{
    (void)data;
    destroyed++;
}

static int finalize(void *ctx, void *handle, struct lido_error *err)
{
    (void)ctx, (void)handle, (void)err;
    return LIDO_OK;
}

/* How many of the calls did not answer as they should; the first is named. */
static int wrong;
static const char *which;
static struct lido_error err;

static void expect(int rc, int code, const char *name)
{
    if (rc == code && err.code == code && err.text[0] != '\0') {
        err = (struct lido_error)LIDO_ERROR_INIT;
        return;
    }
    if (wrong++ == 0)
        which = name;
    err = (struct lido_error)LIDO_ERROR_INIT;
}

static void expect_true(int is_true, const char *name)
{
    if (!is_true && wrong++ == 0)
        which = name;
}

/* Every call that takes a lease is refused with `code`. */
static void call_all(struct lido_conn *conn, int code)
{
    struct lido_conn before = conn != NULL ? *conn : (struct lido_conn)LIDO_CONN_INIT;
    void *handle = &before;
    int thing = 0;

    wrong = destroyed = 0;
    which = "none";
    err = (struct lido_error)LIDO_ERROR_INIT;
    expect(lido_conn_invalidate(conn, NULL, &err), code, "invalidate");
    expect(lido_conn_invalidate_soft(conn, NULL, &err), code, "invalidate_soft");
    expect(lido_conn_invalidate_pool(conn, NULL, &err), code, "invalidate_pool");
    expect(lido_conn_detach(conn, &err), code, "detach");
    expect(lido_conn_steal(conn, &handle, &err), code, "steal");
    expect_true(handle == NULL, "steal's handle");
    expect(lido_conn_set_info(conn, &thing, destroy, &err), code, "set_info");
    expect(lido_conn_set_record_info(conn, &thing, destroy, &err), code, "set_record_info");
    expect(lido_conn_add_finalizer(conn, finalize, &thing, destroy, &err), code,
           "add_finalizer");
    expect_true(destroyed == 3, "destroy");
    expect(lido_conn_mark_dirty(conn, "x", &err), code, "mark_dirty");
    expect(lido_conn_set_authorizer(conn, NULL, NULL, &err), code, "set_authorizer");
    expect(lido_conn_checkin(conn, NULL, &err), code, "checkin");

    expect_true(lido_conn_record(conn) == NULL, "record");
    expect_true(lido_conn_info(conn) == NULL, "info");
    expect_true(lido_conn_record_info(conn) == NULL, "record_info");
    expect_true(lido_conn_is_detached(conn) == 0, "is_detached");
    expect_true(lido_conn_handle(conn) == NULL, "handle");

    expect_true(lido_conn_invalidate(conn, NULL, NULL) == code, "no err");
    expect_true(lido_conn_invalidate_soft(conn, NULL, NULL) == code, "no err");
    expect_true(lido_conn_invalidate_pool(conn, NULL, NULL) == code, "no err");
    expect_true(lido_conn_detach(conn, NULL) == code, "no err");
    expect_true(lido_conn_steal(conn, &handle, NULL) == code, "no err");
    expect_true(lido_conn_set_info(conn, NULL, NULL, NULL) == code, "no err");
    expect_true(lido_conn_set_record_info(conn, NULL, NULL, NULL) == code, "no err");
    expect_true(lido_conn_add_finalizer(conn, finalize, NULL, NULL, NULL) == code,
                "no err");
    expect_true(lido_conn_mark_dirty(conn, NULL, NULL) == code, "no err");
    expect_true(lido_conn_set_authorizer(conn, NULL, NULL, NULL) == code, "no err");
    if (conn != NULL)
        expect_true(conn->cell == before.cell && conn->generation == before.generation,
                    "the lease");
}

static void expect_refused(struct lido_conn *conn, int code)
{
    call_all(conn, code);
    cr_assert_eq(wrong, 0, "%d calls, the first is %s", wrong, which);
}

static const char *const kinds[] = { "null", "queue", "singleton_thread", "static",
                                     "assertion" };
#define N_KINDS (sizeof kinds / sizeof kinds[0])

static lido_pool *open_kind(size_t i)
{
    struct lido_pool_options options = handy_options(kinds[i]);

    options.check_same_thread = 1;
    return handy_open(&options);
}

Test(bad_leases, none_at_all)
{
    struct lido_conn zeros = LIDO_CONN_INIT;

    expect_refused(NULL, SQLITE_MISUSE);
    expect_refused(&zeros, LIDO_STALE);
}

Test(bad_leases, one_that_is_over)
{
    for (size_t i = 0; i < N_KINDS; i++) {
        lido_pool *pool = open_kind(i);
        struct lido_conn conn = handy_take(pool), copy = conn;

        handy_give(&conn);
        expect_refused(&conn, LIDO_STALE);
        expect_refused(&copy, LIDO_STALE);
        conn = handy_take(pool);
        expect_refused(&copy, LIDO_STALE);
        cr_assert_neq(handy_number(&conn), 0, "%s", kinds[i]);
        handy_give(&conn);
        handy_end(pool);
        expect_refused(&copy, LIDO_STALE); /* the pool is gone */
    }
}

/* Of leases that share a connection one is over and the other is good. */
Test(bad_leases, one_of_two_that_is_over)
{
    for (size_t i = 2; i < 4; i++) {
        lido_pool *pool = open_kind(i);
        struct lido_conn one = handy_take(pool), two = handy_take(pool), copy = one;

        handy_give(&one);
        expect_refused(&copy, LIDO_STALE);
        cr_assert_eq(handy_number(&two), 1, "%s", kinds[i]);
        handy_give(&two);
        handy_end(pool);
    }
}

Test(bad_leases, one_that_was_stolen_or_invalidated)
{
    for (size_t i = 0; i < N_KINDS; i++) {
        lido_pool *pool = open_kind(i);
        struct lido_conn conn = handy_take(pool), copy = conn;
        void *handle;

        cr_assert_eq(lido_conn_invalidate(&conn, NULL, NULL), LIDO_OK);
        expect_refused(&copy, LIDO_STALE);
        conn = handy_take(pool);
        copy = conn;
        cr_assert_eq(lido_conn_steal(&conn, &handle, NULL), LIDO_OK);
        expect_refused(&copy, LIDO_STALE);
        cr_assert_eq(lido_conn_adopt(&conn, pool, handle, NULL), LIDO_OK);
        expect_refused(&copy, LIDO_STALE);
        copy = conn;
        handy_give(&conn);
        expect_refused(&copy, LIDO_STALE);
        fake_driver_close(handle);
        handy_end(pool);
    }
}

static void misuse(struct worker *worker)
{
    call_all(&worker->conn, LIDO_WRONG_THREAD);
    worker->rc = wrong;
}

Test(bad_leases, one_of_another_thread)
{
    for (size_t i = 0; i < N_KINDS; i++) {
        lido_pool *pool = open_kind(i);
        struct worker worker;

        worker_start(&worker, pool);
        worker.conn = handy_take(pool);
        worker_tell(&worker, misuse);
        cr_assert_eq(worker.rc, 0, "%s: %d calls, the first is %s", kinds[i], worker.rc,
                     which);
        cr_assert_eq(lido_conn_detach(&worker.conn, NULL), LIDO_OK);
        worker_tell(&worker, misuse);
        cr_assert_eq(worker.rc, 0, "%s: %d calls, the first is %s", kinds[i], worker.rc,
                     which);
        handy_give(&worker.conn);
        worker_end(&worker);
        handy_end(pool);
    }
}

/* A lease of a closed pool goes on as any other. */
Test(bad_leases, one_of_a_closed_pool_is_good)
{
    for (size_t i = 0; i < N_KINDS; i++) {
        lido_pool *pool = open_kind(i), *anew = pool;
        struct lido_conn conn = handy_take(pool), other;
        int thing;

        cr_assert_eq(lido_pool_close(pool, 0, NULL), LIDO_BUSY_LEASES, "%s", kinds[i]);
        cr_assert_eq(lido_pool_dispose(pool, &err), LIDO_CLOSED, "%s", kinds[i]);
        cr_assert_eq(lido_pool_tidy(pool, &err), LIDO_OK, "%s", kinds[i]);
        cr_assert_eq(lido_conn_adopt(&other, pool, &thing, &err), LIDO_CLOSED, "%s",
                     kinds[i]);
        cr_assert_eq(lido_pool_checkout(pool, &other, NULL, &err), LIDO_CLOSED, "%s",
                     kinds[i]);
        cr_assert_eq(lido_record_close(lido_conn_record(&conn), &err), LIDO_OK);
        cr_assert_eq(lido_conn_detach(&conn, &err), LIDO_NO_CONNECTION, "%s", kinds[i]);
        cr_assert_eq(lido_conn_add_finalizer(&conn, finalize, NULL, NULL, &err),
                     LIDO_NO_CONNECTION, "%s", kinds[i]);
        cr_assert_eq(lido_conn_mark_dirty(&conn, NULL, &err), LIDO_NO_CONNECTION, "%s",
                     kinds[i]);
        cr_assert_eq(lido_record_connect(lido_conn_record(&conn), &err), LIDO_OK, "%s",
                     kinds[i]);
        cr_assert_eq(lido_conn_detach(&conn, &err), LIDO_OK, "%s", kinds[i]);
        cr_assert_eq(lido_conn_set_record_info(&conn, NULL, NULL, &err), SQLITE_MISUSE);
        cr_assert_eq(lido_pool_recreate(pool, &anew, &err), LIDO_OK, "%s", kinds[i]);
        lido_pool_free(anew);
        handy_give(&conn);
        handy_end(pool);
    }
}

Test(bad_leases, nothing_where_something_is_wanted)
{
    lido_pool *pool = open_kind(1), *none = pool;
    struct lido_conn conn = handy_take(pool), other = { pool, 7 };
    char text[20] = "x";

    err = (struct lido_error)LIDO_ERROR_INIT;
    wrong = destroyed = 0;
    expect(lido_conn_steal(&conn, NULL, &err), SQLITE_MISUSE, "steal");
    expect(lido_conn_add_finalizer(&conn, NULL, NULL, destroy, &err), SQLITE_MISUSE,
           "finalizer");
    expect_true(destroyed == 1, "destroy");
    expect(lido_conn_adopt(NULL, pool, text, &err), SQLITE_MISUSE, "adopt nowhere");
    expect(lido_conn_adopt(&other, NULL, text, &err), SQLITE_MISUSE, "adopt, no pool");
    expect_true(other.cell == NULL && other.generation == 0, "adopt's lease");
    expect(lido_conn_adopt(&other, pool, NULL, &err), SQLITE_MISUSE, "adopt nothing");
    expect(lido_pool_dispose(NULL, &err), SQLITE_MISUSE, "dispose");
    expect(lido_pool_tidy(NULL, &err), SQLITE_MISUSE, "tidy");
    expect(lido_pool_invalidate(NULL, &err), SQLITE_MISUSE, "invalidate");
    expect(lido_pool_recreate(pool, NULL, &err), SQLITE_MISUSE, "recreate nowhere");
    expect(lido_pool_recreate(NULL, &none, &err), SQLITE_MISUSE, "recreate nothing");
    expect_true(none == NULL, "recreate's pool");
    expect(lido_pool_status(NULL, text, sizeof text, &err), SQLITE_MISUSE, "status");
    expect_true(text[0] == '\0', "status' text");
    expect(lido_pool_status(pool, NULL, 9, &err), SQLITE_MISUSE, "status nowhere");
    expect(lido_pool_status(pool, text, 0, &err), SQLITE_MISUSE, "status in no space");
    expect_true(lido_pool_invalidated_ns(NULL) == 0, "invalidated_ns");
    expect(lido_record_connect(NULL, &err), SQLITE_MISUSE, "record_connect");
    expect(lido_record_close(NULL, &err), SQLITE_MISUSE, "record_close");
    expect(lido_record_invalidate(NULL, NULL, &err), SQLITE_MISUSE, "record_invalidate");
    expect(lido_record_invalidate_soft(NULL, NULL, &err), SQLITE_MISUSE, "record soft");
    lido_record_set_info(NULL, text, destroy);
    lido_record_set_record_info(NULL, text, destroy);
    expect_true(destroyed == 3, "destroy");
    expect_true(lido_record_handle(NULL) == NULL && lido_record_sqlite(NULL) == NULL &&
                    lido_record_info(NULL) == NULL &&
                    lido_record_record_info(NULL) == NULL &&
                    lido_record_started_ns(NULL) == 0 && lido_record_in_use(NULL) == 0,
                "record");
    cr_assert_eq(wrong, 0, "%d calls, the first is %s", wrong, which);
    cr_assert_eq(handy_number(&conn), 1);
    handy_give(&conn);
    handy_end(pool);
}

/* What a child calls; how many answered wrongly. */
static int misuse_in_child(lido_pool *pool, struct lido_conn *conn, lido_record *record)
{
    lido_pool *anew = pool;
    struct lido_conn other;
    char text[20];
    int count;

    call_all(conn, LIDO_FORKED);
    count = wrong;
    wrong = 0;
    expect(lido_conn_adopt(&other, pool, text, &err), LIDO_FORKED, "adopt");
    expect(lido_pool_dispose(pool, &err), LIDO_FORKED, "dispose");
    expect(lido_pool_tidy(pool, &err), LIDO_FORKED, "tidy");
    expect(lido_pool_invalidate(pool, &err), LIDO_FORKED, "invalidate");
    expect(lido_pool_recreate(pool, &anew, &err), LIDO_FORKED, "recreate");
    expect_true(anew == NULL, "recreate's pool");
    expect(lido_pool_status(pool, text, sizeof text, &err), LIDO_FORKED, "status");
    expect(lido_record_connect(record, &err), LIDO_FORKED, "record_connect");
    expect(lido_record_close(record, &err), LIDO_FORKED, "record_close");
    expect(lido_record_invalidate(record, NULL, &err), LIDO_FORKED, "record_invalidate");
    expect(lido_record_invalidate_soft(record, NULL, &err), LIDO_FORKED, "record soft");
    destroyed = 0;
    lido_record_set_info(record, text, destroy);
    lido_record_set_record_info(record, text, destroy);
    expect_true(destroyed == 2, "destroy");
    expect_true(lido_record_handle(record) == NULL && lido_record_in_use(record) == 0 &&
                    lido_record_started_ns(record) == 0,
                "record");
    expect_true(fake_driver_calls()[0] == '\0', "the driver");
    return count + wrong;
}

Test(bad_leases, one_of_the_parent_s)
{
    for (size_t i = 0; i < N_KINDS; i++) {
        lido_pool *pool = open_kind(i);
        struct lido_conn conn = handy_take(pool);
        lido_record *record = lido_conn_record(&conn);
        pid_t child;
        int status;

        fake_driver_calls();
        child = fork();
        cr_assert_geq(child, 0);
        if (child == 0)
            _exit(misuse_in_child(pool, &conn, record));
        cr_assert_eq(waitpid(child, &status, 0), child);
        cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0,
                  "%s: %d calls in the child", kinds[i], status >> 8);
        cr_assert_eq(handy_number(&conn), 1);
        handy_give(&conn);
        handy_end(pool);
    }
}
