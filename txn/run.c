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

/* With the mutex. */
static struct run note_run(const struct lido_conn *conn, struct lido__use *use,
                           uint64_t events)
{
    struct run run = { .conn = conn, .use = use, .was = *use->at };
    const char *sql = sqlite3_sql(use->at->handle);

    if (wants(use, events))
        run.sql = lido__copy(sql, strlen(sql));
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

int lido__run_refused(const struct lido_conn *conn, struct lido__use *use, const char *sql,
                      int rc, struct lido_error *story, struct lido_error *err)
{
    use->cell->trouble = rc;
    rc = lido__error_ask(use->cell, conn, sql, rc, story);
    if (err != NULL)
        *err = *story;
    return rc;
}

/* --- a run ------------------------------------------------------------------------------ */

static bool is_readonly(const struct lido__use *use)
{
    return sqlite3_stmt_readonly(use->at->handle) ||
           sqlite3_stmt_isexplain(use->at->handle); /* of an INSERT, it only tells */
}

/* SQLite's, on a file. */
static bool wants_lock(const struct lido__use *use)
{
    return !use->at->is_temp_only && !is_readonly(use);
}

/* True if nothing has to be asked before a run. */
static bool begins_plain(const struct lido__use *use)
{
    const lido_pool *pool = use->record->pool;

    return pool->sharing != LIDO__SHARE_ALL &&
           (!use->cell->has_begun || !sqlite3_get_autocommit(use->db)) &&
           !lido__lease_may_stop(use->cell) &&
           pool->config.autobegin == LIDO_AUTOBEGIN_OFF &&
           (!wants_lock(use) || !lido__txn_goes_by_gate(use->cell)) &&
           !wants(use, BIT(LIDO__BEFORE_EXECUTE) | BIT(LIDO__AFTER_EXECUTE));
}

/* A write by itself, which leaves the gate. */
static bool is_alone_in_gate(const struct lido__use *use)
{
    return lido__read(&use->record->is_in_gate) != 0 && sqlite3_get_autocommit(use->db);
}

/* True if nobody is to be told of the end of a run without an error. */
static bool ends_plain(const struct lido__use *use)
{
    return use->record->pool->sharing != LIDO__SHARE_ALL &&
           !wants(use, BIT(LIDO__AFTER_EXECUTE)) && !is_alone_in_gate(use);
}

static bool is_of_txn(enum lido__verb verb)
{
    return verb == LIDO__VERB_BEGIN || verb == LIDO__VERB_TXN;
}

/* Before the first step.  Comes with the mutex, and leaves with it on success. */
static int begin_run(const struct lido_stmt *stmt, struct lido__use *use,
                     struct lido_error *err)
{
    const struct lido_event nothing = { .conn = NULL };
    struct lido__cell *cell = use->cell;
    struct run run;
    int64_t since_ns = 0;
    bool only_reads, will_lock;
    int rc;

    if (begins_plain(use))
        return LIDO_OK;
    only_reads = is_readonly(use);
    will_lock = wants_lock(use);
    run = note_run(&stmt->conn, use, BIT(LIDO__BEFORE_EXECUTE));
    lido__use_close(use);
    rc = lido__txn_before_run(use->cell, &stmt->conn, run.was.verb, only_reads, will_lock,
                              err);
    if (rc == LIDO_OK && wants(use, BIT(LIDO__BEFORE_EXECUTE) | BIT(LIDO__AFTER_EXECUTE))) {
        rc = fire(&run, LIDO__BEFORE_EXECUTE, nothing, err);
        /* A hook's own statement may have given away the turn, or ended the transaction. */
        if (rc == LIDO_OK && lido__lease_is_good(cell, stmt->conn.generation) &&
            use->record->handle != NULL)
            rc = lido__txn_before_run(cell, &stmt->conn, run.was.verb, only_reads,
                                      will_lock, err);
        since_ns = lido__wait_ns(use->record->pool->config.clock);
    }
    lido__free(run.sql);
    if (rc == LIDO_OK)
        rc = lido__use_open(stmt, use, err); /* a hook may have finalized it */
    if (rc == LIDO_OK) {
        use->at->since_ns = since_ns;
    } else if (lido__lease_is_good(cell, stmt->conn.generation)) {
        lido__gated_end_wait(cell);
        lido__txn_after_run(cell);
    }
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
    if (has_failed)
        rc = lido__error_ask(run->use->cell, run->conn, run->sql, rc, story);
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

/* With the mutex: the story of an error `rc` that a call has just answered. */
static int tell_error(struct lido__use *use, int rc, bool was_open,
                      struct lido_error *story)
{
    char start[80];

    sqlite3_snprintf(sizeof start, start, "%s", sqlite3_sql(use->at->handle));
    rc = lido__lease_explain(use->cell, rc, start, story);
    if (!lido__is_stop(rc))
        return lido__sqlite_fail(use->db, sqlite3_extended_errcode(use->db), start, story);
    if (rc == LIDO_TXN_TIMEOUT && was_open && use->cell->has_begun &&
        sqlite3_get_autocommit(use->db))
        use->cell->has_timed_out = true; /* SQLite has rolled it back */
    return rc;
}

/* The statement is reset: only so does SQLite take other values for it. */
static int finish_step(const struct lido_stmt *stmt, struct lido__use *use, int rc,
                       bool was_open, struct lido_error *err)
{
    struct lido_error story;
    struct run run;

    story.text[0] = '\0';
    if (rc != SQLITE_DONE)
        rc = use->cell->trouble = tell_error(use, rc, was_open, &story);
    sqlite3_reset(use->at->handle);
    run = note_run(&stmt->conn, use, BIT(LIDO__AFTER_EXECUTE) | BIT(LIDO__HANDLE_ERROR));
    lido__use_close(use);
    if (is_of_txn(run.was.verb))
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
    const uint64_t was_stepping = lido__read(&cell->stepping);
    uint64_t before;
    int rc;

    if (use->at->is_running && lido__lease_may_stop(cell)) {
        rc = lido__lease_stop(cell);
        if (rc != LIDO_OK)
            return rc;
    }
    before = lido__runner_set(use->record, (uintptr_t)cell);
    cell->is_ending = use->at->verb == LIDO__VERB_TXN;
    cell->was_cancelled = false;
    use->at->is_stepping = true;
    lido__write(&cell->stepping, 1);
    rc = sqlite3_step(use->at->handle);
    lido__write(&cell->stepping, was_stepping);
    cell->is_ending = false;
    lido__runner_restore(use->record, before);
    return rc;
}

int lido_stmt_step(const struct lido_stmt *stmt, struct lido_error *err)
{
    struct lido__use use;
    bool was_open;
    int rc = lido__use_open(stmt, &use, err);

    if (rc == LIDO_OK)
        rc = lido__use_change(&use, err);
    if (rc == LIDO_OK && !use.at->is_running)
        rc = begin_run(stmt, &use, err);
    if (rc != LIDO_OK)
        return rc;
    was_open = !sqlite3_get_autocommit(use.db);
    if (!use.at->is_running && use.record->file_gate != NULL)
        lido__gated_note(use.cell, sqlite3_sql(use.at->handle));
    rc = step(&use);
    lido__gated_end_wait(use.cell);
    /* A function that the statement called may have prepared others: places move. */
    use.at = lido__statements_find(use.record->statements, stmt->place, stmt->number);
    if (use.at == NULL) {
        lido__use_close(&use);
        return lido_fail(err, LIDO_STALE, "the statement was ended by what it called");
    }
    use.at->is_stepping = false;
    use.at->is_running = rc == SQLITE_ROW;
    if (rc == SQLITE_DONE && ends_plain(&use) && !is_of_txn(use.at->verb))
        sqlite3_reset(use.at->handle);
    else if (rc != SQLITE_ROW)
        return finish_step(stmt, &use, rc, was_open, err);
    lido__use_close(&use);
    return rc;
}

/* A reset ends a run that was not at its end, and may find then that what it wrote cannot be
   committed. */
static int end_early(const struct lido_stmt *stmt, struct lido__use *use, int rc,
                     bool gives_back, struct lido_error *err)
{
    struct lido_error story;
    struct run run;

    story.text[0] = '\0';
    if (rc != SQLITE_OK)
        rc = use->cell->trouble = tell_error(use, rc, false, &story);
    run = note_run(&stmt->conn, use, BIT(LIDO__AFTER_EXECUTE) | BIT(LIDO__HANDLE_ERROR));
    if (gives_back)
        lido__statements_give(use->record->statements, use->at);
    lido__use_close(use);
    rc = end_run(&run, rc, &story);
    lido__free(run.sql);
    if (rc != LIDO_OK && err != NULL)
        *err = story;
    return rc;
}

int lido__run_reset(const struct lido_stmt *stmt, struct lido__use *use, bool gives_back,
                    struct lido_error *err)
{
    bool was_running = use->at->is_running;
    int rc = was_running ? sqlite3_reset(use->at->handle) : SQLITE_OK;

    use->at->is_running = false;
    if (rc != SQLITE_OK || (was_running && !ends_plain(use)))
        return end_early(stmt, use, rc, gives_back, err);
    if (gives_back)
        lido__statements_give(use->record->statements, use->at);
    lido__use_close(use);
    return LIDO_OK;
}
