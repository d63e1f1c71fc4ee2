/* SPDX-License-Identifier: MIT */
/*
 * A job under way: how far it is, and whether it is to end.
 *
 * Who is told may be called for each page: the clock is read each time, the host's function
 * called at most every 50 ms.  Why a job ends is kept: SQLite reports an interrupted statement
 * as SQLITE_INTERRUPT, and the job's answer is what interrupted it.
 *
 * Of one statement that goes through a whole database SQLite does not say how far it is.  But
 * its page cache counts what it had to fetch, and who reads everything once fetches each page
 * once; what it held before is let go first.  Others who share the connection, and indexes that
 * are left out, make it an estimate.  A database in memory is its own cache, and a file that is
 * mapped goes past it: there it is not known.
 *
 * Threads: the one that runs the job.
 */
#include "housekeeping/work.h"

#include "base/sync.h"
#include "housekeeping/lockers.h"
#include "housekeeping/stored.h"

#include <string.h>
#include <time.h>

#define TELL_NS (50 * LIDO_NS_PER_MS)
#define NAP_NS  (10 * LIDO_NS_PER_MS) /* between two looks at whether the job is to end */
#define LONG_S  1e9                   /* as good as for ever */

static const struct lido_job nobody_asks = LIDO_JOB_INIT;

int lido__bad_size(const char *name, struct lido_error *err)
{
    char initializer[60];
    int i;

    for (i = 0; name[i] != '\0' && i < (int)sizeof initializer - 1; i++)
        initializer[i] =
            (char)(name[i] >= 'a' && name[i] <= 'z' ? name[i] - 'a' + 'A' : name[i]);
    initializer[i] = '\0';
    return lido_fail(err, SQLITE_MISUSE, "struct %s: its size is not set; use %s_INIT",
                     name, initializer);
}

int lido__work_begin(struct lido__work *work, const struct lido_job *job,
                     struct lido_error *err)
{
    if (job == NULL)
        job = &nobody_asks;
    *work = (struct lido__work){ .job = job, .now = { .phase = "", .unit = "" } };
    if (job->size != sizeof *job)
        return lido__bad_size("lido_job", err);
    if (job->timeout_ms < -1)
        return lido_fail(err, LIDO_BAD_OPTION, "timeout_ms is %lld; -1 is no end",
                         (long long)job->timeout_ms);
    work->began_ns = lido__wait_ns(NULL);
    work->deadline_ns = lido__deadline_ns(NULL, job->timeout_ms);
    return LIDO_OK;
}

/* The reason is kept, and told each time. */
static int end(struct lido__work *work, struct lido_error *err)
{
    if (err != NULL)
        *err = work->why;
    return work->rc;
}

static int look(struct lido__work *work, int64_t now_ns)
{
    if (work->rc != LIDO_OK)
        return work->rc;
    if (work->job->cancel != NULL && lido_cancel_is_fired(work->job->cancel))
        work->rc = lido_fail(&work->why, LIDO_CANCELLED, "cancelled while %s",
                             work->now.phase[0] != '\0' ? work->now.phase : "it began");
    else if (now_ns >= work->deadline_ns)
        work->rc =
            lido_fail(&work->why, LIDO_TXN_TIMEOUT, "not done after %lld ms, while %s",
                      (long long)work->job->timeout_ms,
                      work->now.phase[0] != '\0' ? work->now.phase : "it began");
    return work->rc;
}

/* Ever.  It may begin again at 0. */
static unsigned misses(sqlite3 *db)
{
    int now = 0, highest = 0;

    sqlite3_db_status(db, SQLITE_DBSTATUS_CACHE_MISS, &now, &highest, 0);
    return (unsigned)now;
}

/* In this phase. */
static double pages_read(const struct lido__work *work)
{
    return (misses(work->reads) - work->before) & 0x7fffffff;
}

static void find_share(struct lido__work *work)
{
    struct lido_progress *now = &work->now;

    if (work->reads != NULL) {
        const double read = pages_read(work);

        now->share = read < work->pages ? read / work->pages : 1;
        if (now->total != 0)
            now->done = (uint64_t)(now->share * (double)now->total);
    } else if (now->total != 0) {
        now->share = now->done < now->total ? (double)now->done / (double)now->total : 1;
    }
}

int lido__work_check(struct lido__work *work, struct lido_error *err)
{
    return look(work, lido__wait_ns(NULL)) == LIDO_OK ? LIDO_OK : end(work, err);
}

static int tell(struct lido__work *work, bool in_any_case, struct lido_error *err)
{
    const struct lido_job *job = work->job;
    const int64_t now_ns = lido__wait_ns(NULL);

    if (look(work, now_ns) != LIDO_OK)
        return end(work, err);
    if (job->progress == NULL || (!in_any_case && now_ns - work->told_ns < TELL_NS))
        return LIDO_OK;
    work->told_ns = now_ns;
    work->now.elapsed_ns = now_ns - work->began_ns;
    find_share(work);
    work->rc = job->progress(job->progress_ctx, &work->now, &work->why);
    if (work->rc == LIDO_OK)
        return LIDO_OK;
    if (work->why.code != work->rc)
        lido_fail(&work->why, work->rc, "the job's progress function ended it: %s",
                  lido_status_name(work->rc));
    return end(work, err);
}

int lido__work_phase(struct lido__work *work, const char *phase, const char *unit,
                     uint64_t total, struct lido_error *err)
{
    work->now.phase = phase;
    work->now.unit = unit;
    work->now.done = 0;
    work->now.total = total;
    work->now.share = -1;
    work->reads = NULL;
    work->pages_per_s = 0;
    work->phase_ns = lido__wait_ns(NULL);
    return tell(work, true, err);
}

bool lido__work_reads(struct lido__work *work, sqlite3 *db, uint64_t pages, unsigned times)
{
    sqlite3_int64 mapped = -1;

    if (pages == 0 || !lido__database_is_file(db))
        return false;
    if (strcmp(work->now.unit, "pages") == 0)
        work->now.total = pages;
    sqlite3_file_control(db, "main", SQLITE_FCNTL_MMAP_SIZE, &mapped);
    if (mapped > 0) /* what is mapped is not fetched */
        return false;
    if (work->job->progress == NULL && work->pages_per_s == 0)
        return true; /* and nobody asks */
    sqlite3_db_release_memory(db);
    work->reads = db;
    work->pages = (double)pages * times;
    work->before = misses(db);
    return true;
}

int lido__work_at(struct lido__work *work, uint64_t done, struct lido_error *err)
{
    work->now.done = done;
    return tell(work, false, err);
}

int lido__work_done(struct lido__work *work, struct lido_error *err)
{
    if (work->now.total != 0)
        work->now.done = work->now.total;
    work->now.share = 1;
    work->reads = NULL;
    return tell(work, true, err);
}

int lido__work_pace(struct lido__work *work, double done, double per_s,
                    struct lido_error *err)
{
    const double due_s = per_s > 0 ? done / per_s : 0;
    const int64_t due_ns = work->phase_ns + (int64_t)((due_s < LONG_S ? due_s : LONG_S) *
                                                      (double)LIDO_NS_PER_S);
    int64_t left_ns;

    while ((left_ns = due_ns - lido__wait_ns(NULL)) > 0) {
        const struct timespec nap = { 0, (long)(left_ns < NAP_NS ? left_ns : NAP_NS) };
        int rc = tell(work, false, err);

        if (rc != LIDO_OK)
            return rc;
        nanosleep(&nap, NULL);
    }
    return LIDO_OK;
}

static int stop_sql(void *ctx)
{
    struct lido__work *work = ctx;
    int rc = tell(work, false, NULL);

    if (rc == LIDO_OK && work->pages_per_s > 0 && work->reads != NULL)
        rc = lido__work_pace(work, pages_read(work), work->pages_per_s, NULL);
    return rc != LIDO_OK;
}

void lido__work_watch(struct lido__work *work, sqlite3 *db)
{
    sqlite3_progress_handler(db, work != NULL ? 1000 : 0, work != NULL ? stop_sql : NULL,
                             work);
}

void lido__work_watch_lease(struct lido__work *work, const struct lido_conn *conn)
{
    lido_conn_set_progress(conn, work != NULL ? stop_sql : NULL, work, NULL);
}

/* What it has says what it wanted next. */
static enum lido__use refused_use(sqlite3 *db)
{
    switch (sqlite3_txn_state(db, "main")) {
    case SQLITE_TXN_WRITE: return LIDO__USE_COMMIT;
    case SQLITE_TXN_READ: return LIDO__USE_WRITE;
    default: return LIDO__USE_READ;
    }
}

int lido__work_fail(struct lido__work *work, sqlite3 *db, int rc, const char *doing,
                    struct lido_error *err)
{
    if ((rc & 0xff) == SQLITE_INTERRUPT && lido__work_check(work, NULL) != LIDO_OK)
        return end(work, err);
    if (db != NULL && (sqlite3_extended_errcode(db) & 0xff) == (rc & 0xff))
        return lido__lock_tell(db, refused_use(db),
                               lido_fail(err, sqlite3_extended_errcode(db), "%s: %s", doing,
                                         sqlite3_errmsg(db)),
                               err);
    return lido_fail(err, rc, "%s: %s", doing, sqlite3_errstr(rc & 0xff));
}

const char *lido__reason(int number, char *text)
{
    return strerror_r(number, text, LIDO__REASON_SIZE);
}

int64_t lido__work_left_ms(const struct lido__work *work)
{
    int64_t left_ns;

    if (work->deadline_ns == LIDO_NO_DEADLINE)
        return -1;
    left_ns = work->deadline_ns - lido__wait_ns(NULL);
    return left_ns > 0 ? (left_ns + LIDO_NS_PER_MS - 1) / LIDO_NS_PER_MS : 0;
}
