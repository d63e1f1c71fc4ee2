/* SPDX-License-Identifier: MIT */
/*
 * Upkeep: vacuum, optimize, checkpoint.
 *
 * VACUUM can be no part of a transaction, so no begin takes the write gate for it: as a
 * statement of lido's that writes by itself it goes through the gate, like any other.  So do
 * incremental_vacuum and the checkpoints that wait for writers.  A passive checkpoint waits for
 * nobody and must not stand in the line of writers, so it is called on the connection itself.
 *
 * What SQL answers after the job was to end is not the answer: the lease's token and SQLite's
 * progress handler both end the SQL, and the job says why.
 *
 * Threads: the one that runs the job.
 */
#include "housekeeping/upkeep.h"

#include "housekeeping/lockers.h"
#include <inttypes.h>
#include <lido/stmt.h>
#include <stdio.h>

/* Free pages given back in one transaction: some milliseconds for which others wait. */
enum { SOME_PAGES = 256 };

static int check_options(const struct lido_upkeep_options *options, struct lido_error *err)
{
    if (options->size != sizeof *options)
        return lido__bad_size("lido_upkeep_options", err);
    if (options->lock_timeout_ms < -1)
        return lido_fail(err, LIDO_BAD_OPTION, "lock_timeout_ms is %lld; -1 is for ever",
                         (long long)options->lock_timeout_ms);
    if (options->analysis_limit < 0)
        return lido_fail(err, LIDO_BAD_OPTION, "analysis_limit is %d; 0 is no limit",
                         options->analysis_limit);
    return LIDO_OK;
}

int lido__upkeep_begin(struct lido__upkeep *upkeep, struct lido_database at,
                       const struct lido_upkeep_options *options, struct lido_error *err)
{
    static const struct lido_upkeep_options defaults = LIDO_UPKEEP_OPTIONS_INIT;
    struct lido__seat_options seat = LIDO__SEAT_OPTIONS_INIT("upkeep");
    int rc;

    *upkeep = (struct lido__upkeep){ .options = options != NULL ? *options : defaults,
                                     .name = lido__database_name(at) };
    rc = check_options(&upkeep->options, err);
    if (rc == LIDO_OK)
        rc = lido__work_begin(&upkeep->work, upkeep->options.job, err);
    if (rc != LIDO_OK)
        return rc;
    seat.lock_timeout_ms = upkeep->options.lock_timeout_ms;
    rc = lido__seat_open(&upkeep->seat, &upkeep->work, at, &seat, err);
    return lido__upkeep_judge(upkeep, rc, err);
}

int lido__upkeep_judge(struct lido__upkeep *upkeep, int rc, struct lido_error *err)
{
    rc = lido__seat_judge(&upkeep->seat, rc, err);
    if (rc == SQLITE_NOTADB)
        return lido_fail(err, rc, "%.150s: the file is no database of SQLite's",
                         upkeep->name);
    return rc;
}

int lido__upkeep_exec(struct lido__upkeep *upkeep, const char *sql, struct lido_error *err)
{
    const int said = lido_conn_exec(&upkeep->seat.conn, sql, err);
    const int rc = lido__upkeep_judge(upkeep, said, err);

    /* A job's end that came while it worked is nobody's fault. */
    if ((said & 0xff) != SQLITE_BUSY)
        return rc;
    return lido__lock_tell(lido_conn_sqlite(&upkeep->seat.conn), LIDO__USE_COMMIT, rc, err);
}

static int keep_number(void *ctx, const struct lido_stmt *row, struct lido_error *err)
{
    (void)err;
    *(int64_t *)ctx = lido_stmt_integer(row, 0);
    return LIDO_OK;
}

int lido__upkeep_number(struct lido__upkeep *upkeep, const char *sql, int64_t *out,
                        struct lido_error *err)
{
    int rc;

    *out = 0;
    rc = lido_conn_query(&upkeep->seat.conn, sql, NULL, 0, keep_number, out, err);
    rc = lido__upkeep_judge(upkeep, rc, err);
    return lido__lock_tell(lido_conn_sqlite(&upkeep->seat.conn), LIDO__USE_READ, rc, err);
}

/* --- vacuum ---------------------------------------------------------------------------- */

static int look(struct lido__upkeep *upkeep, int64_t *pages, int64_t *free_pages,
                struct lido_error *err)
{
    int rc = lido__upkeep_number(upkeep, "PRAGMA main.page_count", pages, err);

    return rc == LIDO_OK
               ? lido__upkeep_number(upkeep, "PRAGMA main.freelist_count", free_pages, err)
               : rc;
}

static int check_report(const struct lido_vacuum_report *report, struct lido_error *err)
{
    if (report != NULL && report->size != sizeof *report)
        return lido__bad_size("lido_vacuum_report", err);
    return LIDO_OK;
}

static int vacuum_all(struct lido__upkeep *upkeep, int64_t pages, struct lido_error *err)
{
    int rc = lido__work_phase(&upkeep->work, "vacuuming", "pages", 0, err);

    if (rc == LIDO_OK) /* a hook may have closed it */
        rc = lido__seat_check(&upkeep->seat, err);
    if (rc != LIDO_OK)
        return rc;
    lido__work_reads(&upkeep->work, upkeep->seat.db, (uint64_t)pages, 1);
    rc = lido__upkeep_exec(upkeep, "VACUUM main", err);
    if ((rc & 0xff) == SQLITE_FULL)
        lido_fail(
            err, rc,
            "no room to vacuum %.120s: it takes up to twice the size of the database, "
            "beside it and in the folder of temporary files",
            upkeep->name);
    return rc;
}

int lido_vacuum(struct lido_database at, struct lido_vacuum_report *report,
                const struct lido_upkeep_options *options, struct lido_error *err)
{
    struct lido_vacuum_report now = LIDO_VACUUM_REPORT_INIT;
    struct lido__upkeep upkeep;
    int rc = check_report(report, err);

    if (rc == LIDO_OK)
        rc = lido__upkeep_begin(&upkeep, at, options, err);
    if (rc != LIDO_OK)
        return rc;
    rc = look(&upkeep, &now.pages_before, &now.free_before, err);
    if (rc == LIDO_OK)
        rc = vacuum_all(&upkeep, now.pages_before, err);
    if (rc != LIDO_OK)
        return lido__seat_close(&upkeep.seat, rc, err);
    /* It is done, whoever cancels it now or cannot read how it went. */
    lido__seat_leave(&upkeep.seat);
    (void)lido__work_done(&upkeep.work, NULL);
    (void)look(&upkeep, &now.pages_after, &now.free_after, NULL);
    (void)lido__upkeep_number(&upkeep, "PRAGMA main.page_size", &now.page_size, NULL);
    if (report != NULL)
        *report = now;
    return lido__seat_close(&upkeep.seat, LIDO_OK, err);
}

/* From `free_before` down to at most `pages` fewer; *now says how it stands, in any case. */
static int vacuum_some(struct lido__upkeep *upkeep, int64_t pages,
                       struct lido_vacuum_report *now, struct lido_error *err)
{
    int64_t last = now->free_before, given = 0;
    char sql[80];
    int rc;

    if (pages < 0 || pages > now->free_before)
        pages = now->free_before;
    rc = lido__work_phase(&upkeep->work, "giving back", "pages", (uint64_t)pages, err);
    while (rc == LIDO_OK && given < pages) {
        const int64_t part = pages - given < SOME_PAGES ? pages - given : SOME_PAGES;

        snprintf(sql, sizeof sql, "PRAGMA main.incremental_vacuum(%" PRId64 ")", part);
        rc = lido__upkeep_exec(upkeep, sql, err);
        if (rc == LIDO_OK)
            rc = look(upkeep, &now->pages_after, &now->free_after, err);
        if (rc != LIDO_OK || now->free_after >= last)
            break; /* others free pages as fast */
        last = now->free_after;
        given += part;
        rc = lido__work_at(&upkeep->work, (uint64_t)given, err);
    }
    if (rc == LIDO_OK)
        (void)lido__work_done(&upkeep->work, NULL);
    return rc;
}

int lido_vacuum_some(struct lido_database at, int64_t pages,
                     struct lido_vacuum_report *report,
                     const struct lido_upkeep_options *options, struct lido_error *err)
{
    struct lido_vacuum_report now = LIDO_VACUUM_REPORT_INIT;
    struct lido__upkeep upkeep;
    int64_t mode = 0;
    int rc = check_report(report, err);

    if (rc == LIDO_OK && (pages < -1 || pages == 0))
        rc = lido_fail(err, LIDO_BAD_OPTION,
                       "%lld pages cannot be given back; -1 is all that are free",
                       (long long)pages);
    if (rc == LIDO_OK)
        rc = lido__upkeep_begin(&upkeep, at, options, err);
    if (rc != LIDO_OK)
        return rc;
    rc = lido__upkeep_number(&upkeep, "PRAGMA main.auto_vacuum", &mode, err);
    if (rc == LIDO_OK && mode == 0)
        rc = lido_fail(err, LIDO_SETTING,
                       "%.120s has auto_vacuum=none, which gives no pages back; set it to "
                       "incremental and vacuum all once",
                       upkeep.name);
    if (rc == LIDO_OK)
        rc = lido__upkeep_number(&upkeep, "PRAGMA main.page_size", &now.page_size, err);
    if (rc == LIDO_OK)
        rc = look(&upkeep, &now.pages_before, &now.free_before, err);
    now.pages_after = now.pages_before;
    now.free_after = now.free_before;
    if (rc == LIDO_OK)
        rc = vacuum_some(&upkeep, pages, &now, err);
    if (report != NULL)
        *report = now;
    return lido__seat_close(&upkeep.seat, rc, err);
}

/* --- optimize -------------------------------------------------------------------------- */

static int analyse(struct lido__upkeep *upkeep, int what, struct lido_error *err)
{
    /* 0x10000: also tables that this connection has not used, which has used none. */
    const bool can_tell = sqlite3_libversion_number() >= 3046000;
    int rc = lido__seat_begin(&upkeep->seat, LIDO_IMMEDIATE, err);

    if (rc != LIDO_OK)
        return lido__upkeep_judge(upkeep, rc, err);
    rc = lido__upkeep_exec(upkeep,
                           what == LIDO_OPTIMIZE_NEEDED && can_tell
                               ? "PRAGMA main.optimize(0x10002)"
                               : "ANALYZE main",
                           err);
    return lido__seat_end(&upkeep->seat, rc, err);
}

static int set_limit(struct lido__upkeep *upkeep, int64_t limit, struct lido_error *err)
{
    char sql[80];

    snprintf(sql, sizeof sql, "PRAGMA analysis_limit=%" PRId64, limit);
    return lido__upkeep_exec(upkeep, sql, err);
}

/* The limit is the connection's, which may be the host's and have no session_guard. */
static int optimize(struct lido__upkeep *upkeep, int what, struct lido_error *err)
{
    int64_t before = 0;
    int rc = lido__work_phase(&upkeep->work, "analysing", "tables", 0, err);

    if (rc == LIDO_OK)
        rc = lido__upkeep_number(upkeep, "PRAGMA analysis_limit", &before, err);
    if (rc == LIDO_OK)
        rc = set_limit(upkeep, upkeep->options.analysis_limit, err);
    if (rc != LIDO_OK)
        return rc;
    rc = analyse(upkeep, what, err);
    (void)set_limit(upkeep, before, NULL);
    if (rc == LIDO_OK)
        (void)lido__work_done(&upkeep->work, NULL);
    return rc;
}

int lido_optimize(struct lido_database at, int what,
                  const struct lido_upkeep_options *options, struct lido_error *err)
{
    struct lido__upkeep upkeep;
    int rc = LIDO_OK;

    if (what != LIDO_OPTIMIZE_NEEDED && what != LIDO_OPTIMIZE_ALL)
        rc = lido_fail(err, SQLITE_MISUSE, "%d is nothing to optimize", what);
    if (rc == LIDO_OK)
        rc = lido__upkeep_begin(&upkeep, at, options, err);
    if (rc != LIDO_OK)
        return rc;
    return lido__seat_close(&upkeep.seat, optimize(&upkeep, what, err), err);
}

/* --- checkpoint ------------------------------------------------------------------------ */

static const char *const checkpoints[] = {
    [SQLITE_CHECKPOINT_FULL] = "PRAGMA main.wal_checkpoint(FULL)",
    [SQLITE_CHECKPOINT_RESTART] = "PRAGMA main.wal_checkpoint(RESTART)",
    [SQLITE_CHECKPOINT_TRUNCATE] = "PRAGMA main.wal_checkpoint(TRUNCATE)",
};

static int keep_row(void *ctx, const struct lido_stmt *row, struct lido_error *err)
{
    struct lido_checkpoint_report *report = ctx;

    (void)err;
    report->is_busy = lido_stmt_integer(row, 0) != 0;
    report->frames = lido_stmt_integer(row, 1);
    report->checkpointed = lido_stmt_integer(row, 2);
    return LIDO_OK;
}

static int passive(struct lido__upkeep *upkeep, struct lido_checkpoint_report *report,
                   struct lido_error *err)
{
    int frames = 0, done = 0;
    int rc = sqlite3_wal_checkpoint_v2(upkeep->seat.db, "main", SQLITE_CHECKPOINT_PASSIVE,
                                       &frames, &done);

    report->frames = frames;
    report->checkpointed = done;
    if ((rc & 0xff) == SQLITE_BUSY || (rc & 0xff) == SQLITE_LOCKED) { /* another does one */
        report->is_busy = 1;
        return LIDO_OK;
    }
    return rc == SQLITE_OK
               ? LIDO_OK
               : lido__work_fail(&upkeep->work, upkeep->seat.db, rc, "the checkpoint", err);
}

/* Asked on the connection itself: by lido's calls it would go through the gate, for SQLite
   takes each PRAGMA journal_mode for one that writes. */
static int ask_is_wal(struct lido__upkeep *upkeep, int *is_wal, struct lido_error *err)
{
    sqlite3_stmt *stmt = NULL;
    int rc =
        sqlite3_prepare_v2(upkeep->seat.db, "PRAGMA main.journal_mode", -1, &stmt, NULL);

    if (rc == SQLITE_OK && sqlite3_step(stmt) == SQLITE_ROW) {
        const char *text = (const char *)sqlite3_column_text(stmt, 0);

        *is_wal = text != NULL && sqlite3_stricmp(text, "wal") == 0;
    }
    rc = rc == SQLITE_OK ? sqlite3_finalize(stmt) : rc;
    if (rc != SQLITE_OK)
        rc = lido__work_fail(&upkeep->work, upkeep->seat.db, rc, "the journal mode", err);
    return lido__upkeep_judge(upkeep, rc, err);
}

static int checkpoint(struct lido__upkeep *upkeep, int mode,
                      struct lido_checkpoint_report *report, struct lido_error *err)
{
    int rc = lido__work_phase(&upkeep->work, "checkpointing", "pages", 0, err);

    if (rc == LIDO_OK)
        rc = ask_is_wal(upkeep, &report->is_wal, err);
    if (rc != LIDO_OK || !report->is_wal)
        return rc;
    if (mode != SQLITE_CHECKPOINT_PASSIVE) {
        struct lido_error why = LIDO_ERROR_INIT;

        rc = lido_conn_query(&upkeep->seat.conn, checkpoints[mode], NULL, 0, keep_row,
                             report, &why);
        rc = lido__upkeep_judge(upkeep, rc, &why);
        if (rc != LIDO_OK && rc != SQLITE_BUSY && err != NULL)
            *err = why;
        if (rc == SQLITE_BUSY) /* the gate did not come free */
            report->is_busy = 1;
    }
    /* Where it met somebody at once it has done nothing, and this much is possible. */
    if (mode == SQLITE_CHECKPOINT_PASSIVE || rc == SQLITE_BUSY ||
        (rc == LIDO_OK && report->is_busy && report->frames < 0))
        rc = passive(upkeep, report, err);
    /* SQLite says -1 of a log that nobody has written yet. */
    if (report->frames < 0)
        report->frames = 0;
    if (report->checkpointed < 0)
        report->checkpointed = 0;
    if (rc == LIDO_OK)
        (void)lido__work_done(&upkeep->work, NULL);
    return rc;
}

int lido_checkpoint(struct lido_database at, int mode,
                    struct lido_checkpoint_report *report,
                    const struct lido_upkeep_options *options, struct lido_error *err)
{
    struct lido_checkpoint_report now = LIDO_CHECKPOINT_REPORT_INIT;
    struct lido__upkeep upkeep;
    int rc = LIDO_OK;

    if (mode < SQLITE_CHECKPOINT_PASSIVE || mode > SQLITE_CHECKPOINT_TRUNCATE)
        rc = lido_fail(err, SQLITE_MISUSE, "%d is no mode of a checkpoint", mode);
    else if (report != NULL && report->size != sizeof *report)
        rc = lido__bad_size("lido_checkpoint_report", err);
    if (rc == LIDO_OK)
        rc = lido__upkeep_begin(&upkeep, at, options, err);
    if (rc != LIDO_OK)
        return rc;
    rc = checkpoint(&upkeep, mode, &now, err);
    if (rc == LIDO_OK && report != NULL)
        *report = now;
    return lido__seat_close(&upkeep.seat, rc, err);
}
