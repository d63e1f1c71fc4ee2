/* SPDX-License-Identifier: MIT */
/*
 * One play: a pool is opened, threads play their parts on it, and then everything must add
 * up: nothing is lent, nobody waits, statistics and driver agree, and close() finds nothing.
 *
 * The driver's connections are never given back to the system within a play, so that one that
 * is used after its end is seen; each call of it is a place where threads may change, and a
 * connection that two threads have at one time, or one after the other with nothing that
 * orders them, ends the program.
 *
 * Threads: as in tests/sched/sched.h.
 */
#include "tests/sched/play.h"

#include <lido/sys/driver.h>
#include <stdio.h>
#include <string.h>

#define MOST_HANDLES 256

struct handle {
    bool is_open;
    bool is_shared; /* several threads have it by right */
    int users;
    int state; /* of its transaction */
};

static struct handle handles[MOST_HANDLES];
static int n_handles, n_open;
static struct play now = { .limit = -1 };

/* A call of the driver, or the holder's work. */
static void enter(struct handle *handle)
{
    sched_expect(handle->is_open, "a connection is used that is closed");
    sched_expect(handle->is_shared || handle->users == 0, "a connection is used by two");
    if (!handle->is_shared)
        sched_use(handle);
    handle->users++;
    sched_point();
    handle->users--;
}

static int driver_connect(void *ctx, const struct lido_connect *how, lido_record *record,
                          void **out, struct lido_error *err)
{
    struct handle *handle;

    (void)ctx, (void)record;
    *out = NULL;
    sched_point();
    if (now.fail_connects > 0 && now.fail_connects-- > 0)
        return lido_fail(err, SQLITE_CANTOPEN, "as planned");
    sched_expect(n_handles < MOST_HANDLES, "more than %d connections", MOST_HANDLES);
    handle = &handles[n_handles++];
    *handle = (struct handle){ .is_open = true, .is_shared = how->is_shared != 0 };
    n_open++;
    sched_expect(now.limit < 0 || n_open <= now.limit, "%d connections are open", n_open);
    if (!handle->is_shared)
        sched_use(handle);
    *out = handle;
    return LIDO_OK;
}

static int driver_close(void *ctx, void *closed, int terminate, struct lido_error *err)
{
    struct handle *handle = closed;

    (void)ctx, (void)terminate, (void)err;
    enter(handle);
    sched_expect(handle->users == 0, "a connection is closed that is used");
    handle->is_open = false;
    n_open--;
    return LIDO_OK;
}

static int driver_reset(void *ctx, void *handle, int how, struct lido_reset *found,
                        struct lido_error *err)
{
    (void)ctx, (void)how;
    enter(handle);
    if (now.fail_resets > 0 && now.fail_resets-- > 0)
        return lido_fail(err, SQLITE_IOERR, "as planned");
    found->was_in_txn = ((struct handle *)handle)->state != LIDO_TXN_NONE;
    ((struct handle *)handle)->state = LIDO_TXN_NONE;
    return LIDO_OK;
}

static int driver_ping(void *ctx, void *handle, struct lido_error *err)
{
    (void)ctx, (void)err;
    enter(handle);
    return LIDO_OK;
}

static int driver_txn_state(void *ctx, void *handle)
{
    (void)ctx;
    return ((struct handle *)handle)->state;
}

static int driver_begin(void *ctx, void *begun, int mode, struct lido_error *err)
{
    struct handle *handle = begun;

    (void)ctx, (void)mode;
    sched_expect(handle->state == LIDO_TXN_NONE, "a transaction begins inside of another");
    enter(handle);
    handle->state = LIDO_TXN_OPEN;
    (void)err;
    return LIDO_OK;
}

static int driver_commit(void *ctx, void *handle, int *outcome, struct lido_error *err)
{
    (void)ctx, (void)err;
    sched_expect(((struct handle *)handle)->state == LIDO_TXN_OPEN,
                 "a transaction ended that was another's");
    enter(handle);
    ((struct handle *)handle)->state = LIDO_TXN_NONE;
    *outcome = LIDO_OUTCOME_COMMITTED;
    return LIDO_OK;
}

static int driver_rollback(void *ctx, void *handle, int *outcome, struct lido_error *err)
{
    int rc = driver_commit(ctx, handle, outcome, err);

    *outcome = LIDO_OUTCOME_ROLLED_BACK;
    return rc;
}

static const struct lido_driver driver = {
    .size = sizeof driver,
    .name = "sched",
    .connect = driver_connect,
    .close = driver_close,
    .ping = driver_ping,
    .reset = driver_reset,
    .txn_state = driver_txn_state,
    .begin = driver_begin,
    .commit = driver_commit,
    .rollback = driver_rollback,
};

void play_install_driver(void)
{
    sched_expect(lido_driver_register("sched", &driver, NULL, NULL) == LIDO_OK,
                 "no driver was registered");
}

int play_open_count(void)
{
    return n_open;
}

int play_count(void)
{
    return n_handles;
}

int play_number(const struct lido_conn *conn)
{
    const struct handle *handle = lido_conn_handle(conn);

    return handle != NULL ? (int)(handle - handles) : -1;
}

bool play_take(struct play *play, struct lido_conn *conn, int64_t timeout_ms, int other)
{
    struct lido_checkout_options options = LIDO_CHECKOUT_OPTIONS_INIT;
    struct lido_error err = LIDO_ERROR_INIT;
    int rc;

    options.timeout_ms = timeout_ms;
    rc = lido_pool_checkout(play->pool, conn, &options, &err);
    sched_expect(rc == LIDO_OK || rc == other, "a checkout answered %s: %s",
                 lido_status_name(rc), err.text);
    sched_expect(rc == LIDO_OK || conn->cell == NULL, "a checkout failed and left a lease");
    play->took += rc == LIDO_OK;
    play->timeouts += rc == LIDO_POOL_TIMEOUT;
    return rc == LIDO_OK;
}

void play_use(struct play *play, const struct lido_conn *conn)
{
    struct handle *handle = lido_conn_handle(conn);

    sched_expect(handle != NULL, "a lease without a connection");
    play->held += !handle->is_shared;
    sched_expect(play->limit < 0 || play->held <= play->limit,
                 "%d leases are used at one time", play->held);
    enter(handle);
    play->held -= !handle->is_shared;
}

void play_give(struct play *play, struct lido_conn *conn)
{
    struct lido_conn copy = *conn;
    struct lido_error err = LIDO_ERROR_INIT;
    int rc = lido_conn_checkin(conn, NULL, &err);

    sched_expect(rc == LIDO_OK, "a check-in answered %s: %s", lido_status_name(rc),
                 err.text);
    play->gave++;
    sched_expect(lido_conn_handle(&copy) == NULL, "a copy of an ended lease still serves");
}

void play_expect_sound(lido_pool *pool)
{
    struct lido_pool_stats stats = LIDO_POOL_STATS_INIT;

    sched_expect(lido_pool_stats(pool, &stats, NULL) == LIDO_OK, "no statistics");
    sched_expect(stats.idle + stats.out == stats.live, "%lld idle and %lld out are %lld",
                 (long long)stats.idle, (long long)stats.out, (long long)stats.live);
    sched_expect(stats.checkouts >= stats.checkins, "%llu checkouts, %llu checkins",
                 (unsigned long long)stats.checkouts, (unsigned long long)stats.checkins);
    sched_expect(stats.limit < 0 || stats.live <= stats.limit, "%lld live",
                 (long long)stats.live);
    sched_expect(stats.connects - stats.closes <= (uint64_t)(stats.live + stats.disowned +
                                                             stats.detached + stats.writer),
                 "more connections than are live");
    sched_expect(stats.waiting >= 0 && stats.waiting <= MOST_PARTS, "%lld wait",
                 (long long)stats.waiting);
}

/* The pool is at rest. */
static void expect_rest(struct play *play)
{
    struct lido_pool_stats stats = LIDO_POOL_STATS_INIT;
    struct lido_conn conn;

    play_expect_sound(play->pool);
    sched_expect(lido_pool_stats(play->pool, &stats, NULL) == LIDO_OK, "no statistics");
    sched_expect(stats.out == 0 && stats.detached == 0 && stats.disowned == 0,
                 "%lld out, %lld detached, %lld disowned at the end", (long long)stats.out,
                 (long long)stats.detached, (long long)stats.disowned);
    sched_expect(stats.waiting == 0, "%lld wait at the end", (long long)stats.waiting);
    sched_expect(stats.checkouts == stats.checkins, "%llu checkouts, %llu checkins",
                 (unsigned long long)stats.checkouts, (unsigned long long)stats.checkins);
    sched_expect((int)(stats.connects - stats.closes) == n_open,
                 "%lld are open by the statistics, %d by the driver",
                 (long long)(stats.connects - stats.closes), n_open);
    sched_expect(!play->counts_all ||
                     (stats.checkouts == (uint64_t)play->took && play->took == play->gave),
                 "%llu checkouts counted, %d made, %d checked in",
                 (unsigned long long)stats.checkouts, play->took, play->gave);
    sched_expect(!play->counts_all || stats.timeouts == (uint64_t)play->timeouts,
                 "%llu timeouts counted, %d answered", (unsigned long long)stats.timeouts,
                 play->timeouts);
    sched_expect(stats.keep < 0 || stats.idle <= stats.keep, "%lld are kept, not %lld",
                 (long long)stats.idle, (long long)stats.keep);
    if (stats.is_closed)
        return;
    if (play_take(play, &conn, LIDO_TIMEOUT_TRY, LIDO_OK))
        play_give(play, &conn);
}

static int64_t read_age(void *ctx)
{
    sched_point();
    return ((struct play *)ctx)->clock_ns;
}

static int64_t read_wait(void *ctx)
{
    struct play *play = ctx;

    sched_point();
    play->flags[3] += sched_self() == 1;
    return play->clock_ns;
}

lido_pool *play_open(struct play *play, const char *url, bool has_threads)
{
    struct lido_pool_options options = LIDO_POOL_OPTIONS_INIT;
    struct lido_error err = LIDO_ERROR_INIT;
    char whole[200];
    lido_pool *pool;

    options.check_same_thread = has_threads;
    if (play->clock.size != 0)
        options.clock = &play->clock;
    snprintf(whole, sizeof whole, "sched:///x?%s", url);
    sched_expect(lido_pool_open(&pool, whole, &options, &err) == LIDO_OK, "%s: %s", whole,
                 err.text);
    return pool;
}

static void begin(const struct scenario *scenario)
{
    struct lido_pool_stats stats = LIDO_POOL_STATS_INIT;

    n_handles = n_open = 0;
    play_bury_dead();
    play_restore_memory();
    now = (struct play){ .counts_all = true, .limit = -1, .first_runner = -1 };
    if (scenario->has_clock)
        now.clock = (struct lido_clock){ sizeof now.clock, &now, read_age, read_wait };
    now.pool = play_open(&now, scenario->url, scenario->has_threads);
    lido_pool_stats(now.pool, &stats, NULL);
    now.limit = stats.limit;
    if (scenario->set_up != NULL)
        scenario->set_up(&now);
}

static void end(void)
{
    int rc;

    if (now.pool != NULL) {
        expect_rest(&now);
        rc = lido_pool_close(now.pool, 0, NULL);
        sched_expect(rc == LIDO_OK, "close at the end answered %s", lido_status_name(rc));
        lido_pool_free(now.pool);
    }
    lido_cancel_free(now.token);
    sched_expect(n_open == 0, "%d connections are never closed", n_open);
    sched_expect(now.is_hook_removed == now.is_hook_gone,
                 "a removed hook is not destroyed");
}

struct player {
    play_part part;
};

static void perform(void *ctx)
{
    ((struct player *)ctx)->part(&now);
}

void play(const struct scenario *scenario, enum sched_how how, uint64_t seed,
          unsigned expected)
{
    struct sched_thread threads[MOST_PARTS];
    struct player players[MOST_PARTS];
    int count = 0;

    begin(scenario);
    for (; count < MOST_PARTS && scenario->parts[count] != NULL; count++) {
        players[count].part = scenario->parts[count];
        threads[count] = (struct sched_thread){ perform, &players[count] };
    }
    sched_run(threads, count, how, seed, expected);
    end();
}
