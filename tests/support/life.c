/* SPDX-License-Identifier: MIT */
#include "tests/support/life.h"

#include "tests/support/fake_clock.h"

#include <criterion/criterion.h>
#include <lido/record.h>

static struct lido_error err;

/* Pointers of the host's that were made, and those that were destroyed. */
static int made, destroyed;

static void destroy(void *data)
{
    cr_expect_eq(*(int *)data, 1, "destroyed %d times", 2 - *(int *)data);
    --*(int *)data;
    destroyed++;
}

static void *make(void)
{
    static int things[1 << 12];
    int *thing = &things[made++ % (1 << 12)];

    *thing = 1;
    return thing;
}

/* What failed first. */
static int seen;

static int note(int rc)
{
    bool is_rule = rc == LIDO_CHECKED_OUT || rc == LIDO_SHARED || rc == LIDO_POOL_TIMEOUT ||
                   rc == LIDO_NO_CONNECTION || rc == LIDO_IN_TXN || rc == LIDO_STALE;

    if (rc != LIDO_OK && seen == LIDO_OK && !is_rule)
        seen = rc;
    return rc;
}

static int finish(void *ctx, void *handle, struct lido_error *out)
{
    (void)out;
    cr_expect_eq(*(int *)ctx, 1);
    cr_expect_not_null(handle);
    return LIDO_OK;
}

static bool take(lido_pool *pool, struct lido_conn *conn)
{
    int rc = note(lido_pool_checkout(pool, conn, NULL, &err));

    cr_expect_eq(rc == LIDO_OK, conn->cell != NULL);
    return rc == LIDO_OK;
}

static void give(struct lido_conn *conn)
{
    if (conn->cell == NULL)
        return;
    note(lido_conn_checkin(conn, NULL, &err));
    cr_expect_null(conn->cell);
}

static void hang_on(const struct lido_conn *conn)
{
    note(lido_conn_set_info(conn, make(), destroy, &err));
    if (!lido_conn_is_detached(conn))
        note(lido_conn_set_record_info(conn, make(), destroy, &err));
    for (int i = 0; i < 2; i++)
        note(lido_conn_add_finalizer(conn, finish, make(), destroy, &err));
}

static void transact(const struct lido_conn *conn)
{
    if (note(lido_txn_begin(conn, LIDO_IMMEDIATE, &err)) == LIDO_OK)
        note(lido_txn_commit(conn, NULL, &err));
    note(lido_txn_rollback(conn, &err));
    note(lido_txn_begin(conn, LIDO_DEFERRED, &err)); /* left to the check-in */
}

/* To read, in steps, and by another level: none of it is left to the next lease. */
static void read_in_steps(const struct lido_conn *conn)
{
    struct lido_savepoint point;

    if (note(lido_txn_savepoint_next(conn, &point, &err)) == LIDO_OK) {
        note(lido_txn_rollback_to(conn, point.name, &err));
        note(lido_txn_release(conn, point.name, &err));
    } else {
        cr_expect_str_eq(point.name, "");
    }
    note(lido_txn_rollback(conn, &err));
    note(lido_conn_set_isolation(conn, "READ UNCOMMITTED", &err));
    if (note(lido_txn_begin(conn, LIDO_READ, &err)) == LIDO_OK)
        note(lido_txn_commit(conn, NULL, &err));
    note(lido_txn_rollback(conn, &err));
    note(lido_txn_begin(conn, LIDO_READ, &err)); /* left to the check-in */
}

static void use_two(lido_pool *pool)
{
    struct lido_conn one, two, three;

    if (!take(pool, &one))
        return;
    hang_on(&one);
    take(pool, &two);
    transact(&one);
    note(lido_txn_rollback(&one, &err));
    read_in_steps(&one);
    take(pool, &three);
    give(&one);
    if (two.cell != NULL)
        transact(&two);
    give(&three);
    give(&two);
}

static void invalidate(lido_pool *pool)
{
    struct lido_conn conn, other;

    for (int i = 0; i < 3; i++) {
        if (!take(pool, &conn))
            continue;
        hang_on(&conn);
        take(pool, &other);
        if (i == 0)
            note(lido_conn_invalidate_soft(&conn, NULL, &err));
        else if (i == 1)
            note(lido_conn_invalidate(&conn, NULL, &err));
        else
            note(lido_conn_invalidate_pool(&conn, NULL, &err));
        if (lido_conn_handle(&other) != NULL)
            transact(&other);
        if (conn.cell != NULL) /* nested ones end with each other */
            lido_conn_checkin(&conn, NULL, NULL);
        if (other.cell != NULL)
            lido_conn_checkin(&other, NULL, NULL);
    }
    note(lido_pool_invalidate(pool, &err));
}

static void use_record(lido_pool *pool)
{
    struct lido_conn conn;
    lido_record *record;

    if (!take(pool, &conn))
        return;
    hang_on(&conn);
    record = lido_conn_record(&conn);
    note(lido_record_close(record, &err));
    note(lido_record_connect(record, &err));
    note(lido_record_invalidate_soft(record, NULL, &err));
    note(lido_record_connect(record, &err));
    note(lido_record_invalidate(record, NULL, &err));
    give(&conn);
}

static void leave(lido_pool *pool, void (*close)(void *handle))
{
    struct lido_conn conn, next;
    void *handle;

    if (take(pool, &conn)) {
        hang_on(&conn);
        note(lido_conn_detach(&conn, &err));
        hang_on(&conn);
        take(pool, &next);
        transact(&conn);
        give(&conn);
        give(&next);
    }
    if (!take(pool, &conn))
        return;
    hang_on(&conn);
    if (note(lido_conn_steal(&conn, &handle, &err)) != LIDO_OK) {
        cr_expect_null(handle);
        give(&conn);
        return;
    }
    cr_expect_null(conn.cell);
    if (note(lido_conn_adopt(&conn, pool, handle, &err)) == LIDO_OK) {
        hang_on(&conn);
        transact(&conn);
        give(&conn);
    }
    close(handle);
}

static void renew(lido_pool *pool)
{
    struct lido_conn conn, next;
    lido_pool *anew;

    if (take(pool, &conn)) {
        note(lido_pool_dispose(pool, &err));
        take(pool, &next);
        give(&conn);
        give(&next);
    }
    note(lido_pool_dispose(pool, &err));
    if (note(lido_pool_recreate(pool, &anew, &err)) != LIDO_OK) {
        cr_expect_null(anew);
        return;
    }
    if (take(anew, &conn)) {
        hang_on(&conn);
        give(&conn);
    }
    note(lido_pool_close(anew, 0, &err));
    lido_pool_free(anew);
}

static void grow_old(lido_pool *pool)
{
    struct lido_conn conn, other;

    for (int i = 0; i < 2; i++) {
        if (take(pool, &conn)) {
            take(pool, &other);
            give(&other);
            give(&conn);
        }
        fake_clock_advance_ms(1000000);
        if (i == 1)
            note(lido_pool_tidy(pool, &err));
    }
}

int life_play(lido_pool *pool, void (*close)(void *handle))
{
    seen = LIDO_OK;
    use_two(pool);
    invalidate(pool);
    use_record(pool);
    leave(pool, close);
    renew(pool);
    grow_old(pool);
    use_two(pool);
    return seen;
}

int life_expect_sound(lido_pool *pool, const char *what, int nth)
{
    struct lido_pool_stats stats = LIDO_POOL_STATS_INIT;

    cr_assert_eq(lido_pool_stats(pool, &stats, &err), LIDO_OK);
    cr_assert_eq(stats.out, 0, "%s %d: %lld out", what, nth, (long long)stats.out);
    cr_assert_eq(stats.idle, stats.live, "%s %d", what, nth);
    cr_assert_eq(stats.detached, 0, "%s %d: %lld detached", what, nth,
                 (long long)stats.detached);
    cr_assert_eq(stats.disowned, 0, "%s %d: %lld disowned", what, nth,
                 (long long)stats.disowned);
    cr_assert_eq(stats.waiting, 0, "%s %d", what, nth);
    cr_assert_eq(stats.checkouts, stats.checkins, "%s %d: %llu checkouts, %llu checkins",
                 what, nth, (unsigned long long)stats.checkouts,
                 (unsigned long long)stats.checkins);
    if (stats.live == 0)
        cr_assert_eq(made, destroyed, "%s %d: %d of %d were destroyed", what, nth,
                     destroyed, made);
    return (int)(stats.connects - stats.closes - stats.stolen);
}
