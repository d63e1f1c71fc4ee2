/* SPDX-License-Identifier: MIT */
/*
 * The run of a statement, from its first step to its last.
 *
 *     (not running) --first step--> running --last row, error, reset--> (not running)
 *
 * Before a run: may it begin, who else has the transaction, the before_execute hooks.  After
 * it: what became of the transaction, the handle_error and after_execute hooks.  The
 * connection's mutex is held from SQLite's step to the text of its error, and never while a
 * hook runs or another lease is waited for.
 *
 * Threads: the one that checked the connection out.
 */
#include "base/alloc.h"
#include "driver/sqlite.h"
#include "txn/stmt.h"
#include "txn/txn.h"

/* --- hooks ------------------------------------------------------------------------------ */

/* What happens to a run besides SQLite's step.  The text is a copy: a hook may end the lease,
   and the statement with it. */
struct run {
    const struct lido_conn *conn;
    struct lido__use *use;
    struct lido__statement was; /* when the mutex was left */
    char *sql;                  /* NULL if no hook wants to know, or memory is out */
};

static bool wants(const struct lido__use *use, uint64_t events)
{
    return (lido__hooks_wanted(&use->record->pool->hooks) & events) != 0;
}

#define BIT(event) (UINT64_C(1) << (event))

/* With the mutex, which it leaves. */
static struct run leave_for_hooks(const struct lido_conn *conn, struct lido__use *use,
                                  uint64_t events)
{
    struct run run = { .conn = conn, .use = use, .was = *use->at };
    const char *sql = sqlite3_sql(use->at->handle);

    if (wants(use, events))
        run.sql = lido__copy(sql, strlen(sql));
    lido__use_close(use);
    return run;
}

static int fire(const struct run *run, enum lido__event event, struct lido_event what,
                struct lido_error *err)
{
    const struct lido__use *use = run->use;

    what.conn = run->conn;
    what.sql = run->sql;
    return lido__record_fire(use->record->pool, use->record, event, &what, err);
}

static bool is_good(const struct run *run)
{
    return lido__lease_is_good(run->use->cell, run->conn->generation);
}

/* The error of a step, which hooks may replace. */
static int ask_about_error(const struct run *run, int rc, struct lido_error *story)
{
    int is_disconnect = 0;
    const struct lido_event what = { .error = story, .is_disconnect = &is_disconnect };
    struct lido_record *record = run->use->record;
    struct lido_error other = LIDO_ERROR_INIT;
    int answer;

    answer = fire(run, LIDO__HANDLE_ERROR, what, &other);
    if (answer != LIDO_OK)
        *story = other;
    if (is_disconnect && is_good(run)) {
        lido__pool_stamp(record->pool, record);
        lido__record_expire_at(record, INT64_MIN);
    }
    return story->code != LIDO_OK ? story->code : rc;
}

int lido__run_refused(const struct lido_conn *conn, struct lido__use *use, const char *sql,
                      int rc, struct lido_error *story, struct lido_error *err)
{
    struct run run = { .conn = conn, .use = use, .sql = (char *)(uintptr_t)sql };

    if (wants(use, BIT(LIDO__HANDLE_ERROR)))
        rc = ask_about_error(&run, rc, story);
    if (err != NULL)
        *err = *story;
    return rc;
}

/* --- a run ------------------------------------------------------------------------------ */

/* True if nothing has to be asked before a run. */
static bool is_plain(const struct lido__use *use)
{
    const lido_pool *pool = use->record->pool;

    return pool->sharing != LIDO__SHARE_ALL && !use->cell->has_begun &&
           !lido__lease_may_stop(use->cell) &&
           pool->config.autobegin == LIDO_AUTOBEGIN_OFF &&
           !wants(use, BIT(LIDO__BEFORE_EXECUTE) | BIT(LIDO__AFTER_EXECUTE));
}

/* Before the first step.  Comes with the mutex, and leaves with it on success. */
static int begin_run(const struct lido_stmt *stmt, struct lido__use *use,
                     struct lido_error *err)
{
    const struct lido_event nothing = { .conn = NULL };
    struct lido__cell *cell = use->cell;
    bool is_readonly = sqlite3_stmt_readonly(use->at->handle) != 0;
    struct run run;
    int64_t since_ns = 0;
    int rc;

    if (is_plain(use))
        return LIDO_OK;
    run = leave_for_hooks(&stmt->conn, use, BIT(LIDO__BEFORE_EXECUTE));
    rc = lido__txn_before_run(use->cell, &stmt->conn, run.was.verb, is_readonly, err);
    if (rc == LIDO_OK && wants(use, BIT(LIDO__BEFORE_EXECUTE) | BIT(LIDO__AFTER_EXECUTE))) {
        rc = fire(&run, LIDO__BEFORE_EXECUTE, nothing, err);
        since_ns = lido__wait_ns(use->record->pool->config.clock);
    }
    lido__free(run.sql);
    if (rc == LIDO_OK)
        rc = lido__use_open(stmt, use, err); /* a hook may have finalized it */
    if (rc == LIDO_OK)
        use->at->since_ns = since_ns;
    else if (lido__lease_is_good(cell, stmt->conn.generation))
        lido__txn_after_run(cell);
    return rc;
}

/* What follows a run that ended with `rc`; an error's story is in *story. */
static int end_run(const struct run *run, int rc, struct lido_error *story)
{
    bool has_failed = rc != SQLITE_DONE && rc != LIDO_OK;
    struct lido_error later = LIDO_ERROR_INIT;
    struct lido_event what = { .conn = NULL };
    int failed;

    lido__txn_after_run(run->use->cell);
    if (has_failed && wants(run->use, BIT(LIDO__HANDLE_ERROR)))
        rc = ask_about_error(run, rc, story);
    if (!wants(run->use, BIT(LIDO__AFTER_EXECUTE)) || !is_good(run))
        return rc;
    what.error = has_failed ? story : NULL;
    what.duration_ns =
        lido__wait_ns(run->use->record->pool->config.clock) - run->was.since_ns;
    failed = fire(run, LIDO__AFTER_EXECUTE, what, &later);
    if (failed == LIDO_OK || has_failed)
        return rc;
    *story = later;
    return failed;
}

static int finish_step(const struct lido_stmt *stmt, struct lido__use *use, int rc,
                       bool was_open, struct lido_error *err)
{
    struct lido_error story;
    struct run run;
    char start[80];
    int code;

    story.text[0] = '\0';
    if (rc != SQLITE_DONE) {
        sqlite3_snprintf(sizeof start, start, "%s", sqlite3_sql(use->at->handle));
        code = lido__lease_explain(use->cell, rc, start, &story);
        if (code == rc)
            code = lido__sqlite_fail(use->db, sqlite3_extended_errcode(use->db), start,
                                     &story);
        rc = code;
        if (rc == LIDO_TXN_TIMEOUT && use->cell->has_begun &&
            sqlite3_get_autocommit(use->db))
            use->cell->has_timed_out = true; /* SQLite has rolled it back */
        sqlite3_reset(use->at->handle);
    }
    run = leave_for_hooks(&stmt->conn, use,
                          BIT(LIDO__AFTER_EXECUTE) | BIT(LIDO__HANDLE_ERROR));
    if (run.was.verb == LIDO__VERB_TXN)
        lido__txn_after_text(use->cell, was_open, rc == SQLITE_DONE);
    rc = end_run(&run, rc, &story);
    lido__free(run.sql);
    if (rc != SQLITE_DONE && err != NULL)
        *err = story;
    return rc;
}

/* Not if the lease is to stop in the middle of its rows: SQLite asks seldom. */
static int step(const struct lido__use *use)
{
    struct lido__cell *cell = use->cell;
    uint64_t before;
    int rc;

    if (use->at->is_running && lido__lease_stop(cell) != LIDO_OK)
        return SQLITE_INTERRUPT;
    before = lido__runner_set(use->record, (uintptr_t)cell);
    cell->is_ending = use->at->verb == LIDO__VERB_TXN;
    rc = sqlite3_step(use->at->handle);
    cell->is_ending = false;
    lido__runner_set(use->record, before);
    return rc;
}

int lido_stmt_step(const struct lido_stmt *stmt, struct lido_error *err)
{
    struct lido__use use;
    bool was_open;
    int rc = lido__use_open(stmt, &use, err);

    if (rc == LIDO_OK && !use.at->is_running)
        rc = begin_run(stmt, &use, err);
    if (rc != LIDO_OK)
        return rc;
    was_open = !sqlite3_get_autocommit(use.db);
    rc = step(&use);
    use.at->is_running = rc == SQLITE_ROW;
    if (rc != SQLITE_ROW)
        return finish_step(stmt, &use, rc, was_open, err);
    lido__use_close(&use);
    return SQLITE_ROW;
}

int lido__run_reset(const struct lido_stmt *stmt, struct lido__use *use, bool gives_back,
                    struct lido_error *err)
{
    bool was_running = use->at->is_running;
    struct lido_error story = LIDO_ERROR_INIT;
    struct run run;
    int rc;

    sqlite3_reset(use->at->handle);
    use->at->is_running = false;
    if (!was_running) {
        if (gives_back)
            lido__statements_give(use->record->statements, use->at);
        lido__use_close(use);
        return LIDO_OK;
    }
    sqlite3_mutex_enter(use->mutex); /* once more, for leave_for_hooks() */
    run = leave_for_hooks(&stmt->conn, use, BIT(LIDO__AFTER_EXECUTE));
    if (gives_back)
        lido__statements_give(use->record->statements, use->at);
    lido__use_close(use);
    rc = end_run(&run, LIDO_OK, &story);
    lido__free(run.sql);
    if (rc != LIDO_OK && err != NULL)
        *err = story;
    return rc;
}
