/* SPDX-License-Identifier: MIT */
/*
 * The runner: begin, the function, commit; again where SQLite asks for it.
 *
 *     begin --> function --> commit --> done
 *       ^          |            | BUSY: COMMIT again
 *       |          v            v
 *       +----- roll back <------+       while SQLite's own word on this lease was one that
 *            (a moment)                 another run can mend, runs are left, and time
 *
 * A deferred run that met another writer is run again as IMMEDIATE, by the file's gate; not at
 * once if there is none.  One that has its own lease gives that back, to wait without.
 *
 * What SQLite reported is noted in the lease's cell (`trouble`) by begin, commit and the
 * statements of <lido/stmt.h>; what the function did on the raw handle is asked of the handle.
 *
 * Threads: one run is one thread's.
 */
#include "base/clock.h"
#include "base/text.h"
#include "pool/writer.h"
#include "txn/permit.h"
#include "txn/txn.h"
#include <lido/run.h>

#define FIRST_WAIT_NS (LIDO_NS_PER_MS / 2)
#define WAIT_DOUBLES  5u /* up to 16 ms */

struct runner {
    lido_run_fn fn;
    void *ctx;
    int mode;
    int64_t deadline_ns;
    int runs_left; /* -1: no bound */
    int runs;
    int outcome;
    const struct lido_clock *clock;
    bool is_own_lease; /* the run's, which may take another */
    bool must_move;    /* it is to */
};

static bool can_be_mended(int trouble)
{
    const int code = trouble & 0xff;

    return code == SQLITE_BUSY || code == SQLITE_PROTOCOL || code == SQLITE_SCHEMA;
}

/* SQLite's last word on what the function did. */
static int trouble_of(const struct lido__cell *cell)
{
    const struct lido_record *record = lido__cell_record(cell);
    const struct lido__driver *driver = &record->pool->config.driver;
    int raw = SQLITE_OK;

    if ((driver->table->capabilities & LIDO_DRIVER_IS_SQLITE) != 0 &&
        record->handle != NULL)
        raw = sqlite3_extended_errcode(record->handle);
    return can_be_mended(cell->trouble) || lido__is_stop(cell->trouble) ? cell->trouble
                                                                        : raw;
}

static bool is_good(const struct lido_conn *conn)
{
    return lido__lease_is_good(conn->cell, conn->generation);
}

/* Whatever its hooks say: the run is over.  Not in a child that the function left behind, nor
   if it gave the lease to another thread. */
static void roll_back(const struct lido_conn *conn)
{
    struct lido__cell *cell = conn->cell;
    int rc = is_good(conn) ? lido_txn_rollback(conn, NULL) : LIDO_STALE;

    if (rc == LIDO_FORKED || rc == LIDO_WRONG_THREAD || !is_good(conn))
        return;
    lido__txn_undo(cell);
    lido__txn_forget(cell, NULL);
}

/* By chance between a half and the whole of a wait that doubles, and not past the deadline.
   False if the time is up. */
static bool wait_a_moment(const struct runner *runner)
{
    static _Thread_local uint64_t chance;
    const unsigned runs = (unsigned)runner->runs;
    const unsigned doubled = runs < WAIT_DOUBLES ? runs : WAIT_DOUBLES;
    const int64_t most_ns = FIRST_WAIT_NS << doubled;
    int64_t now_ns = lido__wait_ns(runner->clock), wait_ns;

    if (now_ns >= runner->deadline_ns)
        return false;
    chance = (chance ^ lido__thread() ^ (uint64_t)now_ns) * UINT64_C(0x9e3779b97f4a7c15);
    chance ^= chance >> 29;
    wait_ns = most_ns / 2 + (int64_t)(chance % (uint64_t)(most_ns / 2));
    if (wait_ns > runner->deadline_ns - now_ns)
        wait_ns = runner->deadline_ns - now_ns;
    lido__sleep(runner->clock, wait_ns);
    return true;
}

/* Commits, and again while it is only busy.  *again: another run may help. */
static int commit(struct runner *runner, const struct lido_conn *conn, bool *again,
                  struct lido_error *err)
{
    struct lido__cell *cell = conn->cell;
    int rc;

    for (;;) {
        cell->trouble = SQLITE_OK;
        rc = lido_txn_commit(conn, &runner->outcome, err);
        if (rc == LIDO_OK || runner->outcome != LIDO_OUTCOME_OPEN)
            return rc;
        if (!is_good(conn)) { /* a handle_error hook ended it, as its check-in does */
            runner->outcome = LIDO_OUTCOME_UNKNOWN;
            return rc;
        }
        *again = cell->trouble == SQLITE_BUSY_SNAPSHOT;
        if (*again || (cell->trouble & 0xff) != SQLITE_BUSY || !wait_a_moment(runner))
            break;
    }
    roll_back(conn);
    runner->outcome = LIDO_OUTCOME_ROLLED_BACK;
    return rc;
}

/* With a story of its own: *err may tell of an earlier call. */
static int call(const struct runner *runner, const struct lido_conn *conn,
                struct lido_error *err)
{
    struct lido_error story = LIDO_ERROR_INIT;
    int rc = runner->fn(runner->ctx, conn, &story);

    return rc == LIDO_OK || rc == LIDO_ROLLBACK ? rc : lido__fail_by_host(err, rc, &story);
}

static int run_once(struct runner *runner, const struct lido_conn *conn, bool *again,
                    struct lido_error *err)
{
    struct lido__cell *cell = conn->cell;
    int rc;

    *again = false;
    cell->trouble = SQLITE_OK;
    rc = lido_txn_begin(conn, runner->mode, err);
    if (rc != LIDO_OK) {
        *again = is_good(conn) && can_be_mended(cell->trouble);
        return rc;
    }
    runner->runs++;
    rc = call(runner, conn, err);
    if (!is_good(conn)) {
        runner->outcome = LIDO_OUTCOME_UNKNOWN;
        return rc != LIDO_OK ? rc : lido_fail(err, LIDO_STALE, "the run ended its lease");
    }
    if (rc == LIDO_OK)
        return commit(runner, conn, again, err);
    *again = rc != LIDO_ROLLBACK && can_be_mended(trouble_of(cell));
    roll_back(conn);
    runner->outcome = LIDO_OUTCOME_ROLLED_BACK;
    return rc == LIDO_ROLLBACK ? LIDO_OK : rc;
}

static int fail_at_last(const struct runner *runner, int rc, const struct lido_error *story,
                        struct lido_error *err)
{
    if (err == NULL)
        return rc;
    if (runner->runs > 1)
        return lido_fail(err, rc, "gave up after %d runs: %s", runner->runs, story->text);
    *err = *story;
    return rc;
}

/* True if the next run waits at the gate, and need not wait before that. */
static bool upgrade(struct runner *runner, const struct lido_conn *conn)
{
    const struct lido_record *record;

    if (runner->mode != LIDO_DEFERRED || !is_good(conn) ||
        lido__wait_ns(runner->clock) >= runner->deadline_ns)
        return false;
    record = lido__cell_record(conn->cell);
    if (record->file_gate == NULL)
        return false;
    lido__gate_upgrade(record->file_gate);
    runner->mode = LIDO_IMMEDIATE;
    runner->must_move = runner->is_own_lease && record->pool->config.kind->has_writer;
    return true;
}

/* The transaction of a lease that has none. */
static int run_all(struct runner *runner, const struct lido_conn *conn,
                   struct lido_error *err)
{
    struct lido_error story = LIDO_ERROR_INIT;
    struct lido__cell *cell = conn->cell;
    bool again;
    int rc;

    for (;;) {
        story.text[0] = '\0';
        cell->comes_again = runner->mode == LIDO_DEFERRED && runner->runs_left != 1;
        rc = run_once(runner, conn, &again, &story);
        if (is_good(conn))
            cell->comes_again = false;
        if (rc == LIDO_OK)
            return LIDO_OK;
        if (runner->runs_left > 0)
            runner->runs_left--;
        again = again && runner->runs_left != 0;
        if (again && upgrade(runner, conn)) {
            if (runner->must_move)
                return rc;
            continue;
        }
        if (!again || !wait_a_moment(runner))
            return fail_at_last(runner, rc, &story, err);
        if (runner->mode == LIDO_DEFERRED)
            runner->mode = LIDO_IMMEDIATE;
    }
}

/* Goes back to the savepoint, whatever hooks say, and also on a lease that is to stop: what a
   run that failed has written is not to be committed with the rest. */
static int go_back(const struct lido_conn *conn, const char *name, struct lido_error *err)
{
    struct lido__cell *cell = conn->cell;
    int rc = lido_txn_rollback_to(conn, name, err);

    if (rc == LIDO_OK)
        rc = lido_txn_release(conn, name, err);
    if (rc == LIDO_OK || rc == LIDO_FORKED || rc == LIDO_WRONG_THREAD || !is_good(conn) ||
        !lido__txn_is_open(cell))
        return rc;
    if (lido__txn_issue_savepoint(cell, LIDO_SAVEPOINT_ROLLBACK_TO, name, NULL) == LIDO_OK)
        lido__txn_issue_savepoint(cell, LIDO_SAVEPOINT_RELEASE, name, NULL);
    return rc;
}

static int release_or_go_back(const struct lido_conn *conn, const char *name,
                              struct lido_error *err)
{
    int rc = lido_txn_release(conn, name, err);

    if (rc != LIDO_OK && is_good(conn) && lido__txn_is_open(conn->cell))
        go_back(conn, name, NULL);
    return rc;
}

/* Inside a transaction: a savepoint, once.  Whether to run again is for who began it. */
static int run_inside(struct runner *runner, const struct lido_conn *conn,
                      struct lido_error *err)
{
    struct lido_savepoint savepoint;
    int later = LIDO_OK, rc = lido_txn_savepoint_next(conn, &savepoint, err);

    if (rc != LIDO_OK)
        return rc;
    runner->runs++;
    rc = call(runner, conn, err);
    runner->outcome = LIDO_OUTCOME_UNKNOWN;
    if (!is_good(conn))
        return rc != LIDO_OK ? rc : lido_fail(err, LIDO_STALE, "the run ended its lease");
    /* If SQLite has ended the whole transaction there is no savepoint left to go back to. */
    if (rc == LIDO_OK)
        later = release_or_go_back(conn, savepoint.name, err);
    else if (lido__txn_is_open(conn->cell))
        later = go_back(conn, savepoint.name, rc == LIDO_ROLLBACK ? err : NULL);
    if (is_good(conn) && lido__txn_is_open(conn->cell))
        runner->outcome =
            rc == LIDO_ROLLBACK ? LIDO_OUTCOME_ROLLED_BACK : LIDO_OUTCOME_OPEN;
    return rc == LIDO_OK || rc == LIDO_ROLLBACK ? later : rc;
}

static int check(lido_run_fn fn, const struct lido_run_options *options,
                 struct lido_error *err)
{
    if (fn == NULL)
        return lido_fail(err, SQLITE_MISUSE, "no function was given to run");
    if (options == NULL)
        return LIDO_OK;
    if (options->size != sizeof *options)
        return lido_fail(err, SQLITE_MISUSE,
                         "run options of %zu bytes, not %zu: start from "
                         "LIDO_RUN_OPTIONS_INIT",
                         options->size, sizeof *options);
    if (options->timeout_ms < -1 && options->timeout_ms != LIDO_TIMEOUT_POOL)
        return lido_fail(err, LIDO_BAD_OPTION, "timeout_ms is %lld, the least is -1",
                         (long long)options->timeout_ms);
    if (options->priority < LIDO_GATE_LOW || options->priority > LIDO_GATE_HIGH)
        return lido_fail(err, LIDO_BAD_OPTION, "priority is %d: %d to %d",
                         options->priority, LIDO_GATE_LOW, LIDO_GATE_HIGH);
    if (options->runs < -1 || options->runs == 0)
        return lido_fail(err, LIDO_BAD_OPTION, "runs is %d: at least 1, or -1",
                         options->runs);
    return LIDO_OK;
}

static struct runner make_runner(const lido_pool *pool, int mode, lido_run_fn fn, void *ctx,
                                 const struct lido_run_options *options)
{
    int64_t timeout_ms = pool->config.pool_timeout_ms;

    if (options != NULL && options->timeout_ms != LIDO_TIMEOUT_POOL)
        timeout_ms = options->timeout_ms;
    return (struct runner){
        .fn = fn,
        .ctx = ctx,
        .mode = mode == LIDO_BEGIN_DEFAULT ? pool->config.begin_mode : mode,
        .deadline_ns = lido__deadline_ns(pool->config.clock, timeout_ms),
        .runs_left = options != NULL ? options->runs
                                     : (struct lido_run_options)LIDO_RUN_OPTIONS_INIT.runs,
        .outcome = LIDO_OUTCOME_ROLLED_BACK,
        .clock = pool->config.clock,
    };
}

/* What the caller wants to know besides the code. */
static void tell(const struct runner *runner, const struct lido_run_options *options)
{
    if (options != NULL && options->outcome != NULL)
        *options->outcome = runner->outcome;
    if (options != NULL && options->runs_needed != NULL)
        *options->runs_needed = runner->runs;
}

static int run_on(struct runner *runner, const struct lido_conn *conn,
                  const struct lido_run_options *options, struct lido_error *err)
{
    struct lido__cell *cell;
    int rc = lido__lease_use_connected(conn, &cell, err);

    assert(runner->fn != NULL);

    if (rc != LIDO_OK)
        return rc;
    if (lido__txn_is_over(cell) || lido__txn_is_open(cell)) {
        rc = run_inside(runner, conn, err);
    } else {
        cell->has_deadline = true;
        cell->wait_until_ns = runner->deadline_ns;
        rc = run_all(runner, conn, err);
        if (is_good(conn))
            cell->has_deadline = false;
    }
    tell(runner, options);
    return rc;
}

int lido_conn_run(const struct lido_conn *conn, int mode, lido_run_fn fn, void *ctx,
                  const struct lido_run_options *options, struct lido_error *err)
{
    struct lido__cell *cell;
    struct runner runner;
    int rc = check(fn, options, err);

    if (rc == LIDO_OK && options != NULL && options->cancel != NULL)
        rc = lido_fail(err, SQLITE_MISUSE,
                       "a token is given to the checkout: the lease is there already");
    if (rc == LIDO_OK)
        rc = lido__lease_use(conn, &cell, err);
    if (rc != LIDO_OK)
        return rc;
    runner = make_runner(lido__cell_record(cell)->pool, mode, fn, ctx, options);
    return run_on(&runner, conn, options, err);
}

/* What is left until the deadline, for a checkout. */
static int64_t left_ms(const struct runner *runner)
{
    int64_t left_ns;

    if (runner->deadline_ns == LIDO_NO_DEADLINE)
        return LIDO_TIMEOUT_FOREVER;
    left_ns = runner->deadline_ns - lido__wait_ns(runner->clock);
    return left_ns <= 0 ? 0 : (left_ns + LIDO_NS_PER_MS - 1) / LIDO_NS_PER_MS;
}

/* A run that is to write waits for its turn before it has a connection, where the pool has one
   for whose turn it is.  The wait is one with what is left of the run. */
static int enter_gate(const struct runner *runner, lido_pool *pool,
                      const struct lido_checkout_options *how, struct lido__permit *permit,
                      struct lido_error *err)
{
    struct lido__permit_wish wish = { .pool = pool,
                                      .deadline_ns = runner->deadline_ns,
                                      .cancel = how->cancel,
                                      .label = how->label,
                                      .priority = how->priority };
    int64_t once_ns;

    *permit = (struct lido__permit){ .gate = NULL };
    if (runner->mode != LIDO_IMMEDIATE && runner->mode != LIDO_EXCLUSIVE &&
        (runner->mode == LIDO_READ || lido__read(&pool->hooks_lock) == 0))
        return LIDO_OK;
    once_ns = lido__deadline_ns(pool->config.clock, pool->config.timeout_ms);
    if (runner->runs_left == 1 && once_ns < wish.deadline_ns)
        wish.deadline_ns = once_ns; /* nothing is tried again */
    return lido__permit_enter(permit, &wish, err);
}

static int check_out(const struct runner *runner, lido_pool *pool,
                     struct lido_checkout_options *how, struct lido__permit *permit,
                     struct lido_conn *conn, struct lido_error *err)
{
    int rc = enter_gate(runner, pool, how, permit, err);

    if (rc != LIDO_OK)
        return rc;
    how->timeout_ms = left_ms(runner);
    if (permit->gate != NULL) {
        rc = lido__writer_checkout(pool, conn, how, err);
        if (rc == LIDO_OK && conn->cell != NULL && lido__permit_use(permit, conn))
            return LIDO_OK;
        lido__permit_leave(permit);
        if (rc != LIDO_OK || conn->cell != NULL)
            return rc;
    }
    return lido_pool_checkout(pool, conn, how, err);
}

/* On a lease of its own. */
static int run_on_own(struct runner *runner, lido_pool *pool,
                      const struct lido_run_options *options, struct lido_error *err)
{
    struct lido_checkout_options how = LIDO_CHECKOUT_OPTIONS_INIT;
    struct lido_checkin_options done = LIDO_CHECKIN_OPTIONS_INIT;
    struct lido__permit permit;
    struct lido_conn conn;
    int later, rc;

    how.label = options != NULL ? options->label : NULL;
    how.cancel = options != NULL ? options->cancel : NULL;
    how.priority = options != NULL ? options->priority : LIDO_GATE_NORMAL;
    rc = check_out(runner, pool, &how, &permit, &conn, err);
    if (rc != LIDO_OK)
        return rc;
    rc = run_on(runner, &conn, options, err);
    done.transaction_was_reset = 1;
    later =
        lido_conn_checkin(&conn, &done, rc == LIDO_OK || runner->must_move ? err : NULL);
    lido__permit_leave(&permit);
    if (later == LIDO_STALE) /* the function has ended it, and the run says so */
        later = LIDO_OK;
    if (later != LIDO_OK && runner->must_move) {
        runner->must_move = false;
        return later;
    }
    return rc != LIDO_OK ? rc : later;
}

int lido_pool_run(lido_pool *pool, int mode, lido_run_fn fn, void *ctx,
                  const struct lido_run_options *options, struct lido_error *err)
{
    struct runner runner;
    int rc = check(fn, options, err);

    if (rc != LIDO_OK)
        return rc;
    if (pool == NULL)
        return lido_fail(err, SQLITE_MISUSE, "no pool was given");
    if (lido__is_forked())
        return lido__fail_forked(err);
    runner = make_runner(pool, mode, fn, ctx, options);
    runner.is_own_lease = true;
    tell(&runner, options); /* should there be no connection */
    do {
        runner.must_move = false;
        rc = run_on_own(&runner, pool, options, err);
    } while (runner.must_move);
    return rc;
}
