/* SPDX-License-Identifier: MIT */
/*
 * Backup of a database to a new file.
 *
 * ONLINE: SQLite's backup begins anew when another connection writes, and under a steady
 * writer never ends.  Inside a read transaction of the source it copies that snapshot: with a
 * thousand pages at a time it took no longer than a copy of an idle file, with no restart, and
 * the writer's longest stall stayed at some milliseconds.
 *
 * The file is written without sync and without a journal, for whoever fails throws it away.
 * What ONLINE has copied goes to the disk as it goes on (write_out.c), for the writer's sake.
 * It is synced once, when SQLite has closed it (target.c), after it was read back (stored.c).
 *
 * Threads: any; a job is the calling thread's.
 */
#include "housekeeping/backup_copy.h"
#include "housekeeping/content_hash.h"
#include "housekeeping/lockers.h"
#include "housekeeping/seat.h"
#include "housekeeping/stored.h"
#include "housekeeping/target.h"
#include "housekeeping/write_out.h"
#include <lido/backup.h>
#include <lido/stmt.h>

#include "base/alloc.h"
#include "base/sync.h"

#include <stdio.h>
#include <string.h>

struct backup {
    const struct lido_backup_options *options;
    struct lido__work work;
    struct lido__target target;
    struct lido__seat seat;
    struct lido__write_out out;
    uint64_t pages;
    bool is_checked;
    bool is_cloned;
    char hash[LIDO__HASH_MOST];
};

static int check_options(const struct lido_backup_options *options, struct lido_error *err)
{
    if (options->size != sizeof *options)
        return lido__bad_size("lido_backup_options", err);
    if (options->method < LIDO_BACKUP_ONLINE || options->method > LIDO_BACKUP_COPY)
        return lido_fail(err, LIDO_BAD_OPTION, "backup method %d is none", options->method);
    if (options->step_pages < 1)
        return lido_fail(err, LIDO_BAD_OPTION, "step_pages is %d; it has to be 1 or more",
                         options->step_pages);
    if (options->rate < 0)
        return lido_fail(err, LIDO_BAD_OPTION, "rate is %lld; it is 0 or more",
                         (long long)options->rate);
    if (options->keep < -1 || options->keep == 0 || (options->keep > 0 && !options->stamp))
        return lido_fail(err, LIDO_BAD_OPTION,
                         "keep is %d; it is 1 or more with stamp, or -1", options->keep);
    if (options->stamp && options->replace)
        return lido_fail(err, LIDO_BAD_OPTION,
                         "stamp and replace exclude each other: a stamped name is new");
    return LIDO_OK;
}

/* What SQLite said of the copy that is written: the connection to it knows best. */
static int fail_copy(struct backup *backup, sqlite3 *copy, int rc, struct lido_error *err)
{
    char doing[200];

    snprintf(doing, sizeof doing, "writing the copy in %.150s", backup->target.folder);
    return lido__work_fail(&backup->work, copy, rc, doing, err);
}

static double pages_per_second(const struct backup *backup)
{
    const unsigned page_size = lido__page_size(backup->seat.db);

    return page_size > 0 ? (double)backup->options->rate / page_size : 0;
}

static int step_through(struct backup *backup, sqlite3_backup *steps, sqlite3 *copy,
                        struct lido_error *err)
{
    const double pages_per_s = pages_per_second(backup);
    uint64_t pages, done, before = 0;
    int rc, ended;

    do {
        rc = sqlite3_backup_step(steps, backup->options->step_pages);
        if (rc != SQLITE_OK && rc != SQLITE_DONE)
            return fail_copy(backup, copy, rc, err);
        pages = (uint64_t)sqlite3_backup_pagecount(steps);
        done = pages - (uint64_t)sqlite3_backup_remaining(steps);
        if (done < before)
            backup->work.now.restarts++;
        before = done;
        backup->work.now.total = pages;
        ended = lido__work_at(&backup->work, done, err);
        if (ended == LIDO_OK)
            ended = lido__write_out_on(&backup->out, err);
        if (rc == SQLITE_OK && ended == LIDO_OK)
            ended = lido__work_pace(&backup->work, (double)done, pages_per_s, err);
    } while (rc == SQLITE_OK && ended == LIDO_OK);
    return ended;
}

static int copy_pages(struct backup *backup, sqlite3 *copy, struct lido_error *err)
{
    sqlite3_backup *steps = sqlite3_backup_init(copy, "main", backup->seat.db, "main");
    int rc, finished;

    if (steps == NULL)
        return fail_copy(backup, copy, sqlite3_errcode(copy), err);
    rc = step_through(backup, steps, copy, err);
    finished = sqlite3_backup_finish(steps);
    return rc == LIDO_OK && finished != SQLITE_OK ? fail_copy(backup, copy, finished, err)
                                                  : rc;
}

/* So a read transaction has its moment, and a file that is damaged is noticed. */
static int read_schema(struct backup *backup, struct lido_error *err)
{
    int rc = lido__seat_check(&backup->seat, err); /* a hook may have closed it */

    if (rc != LIDO_OK)
        return rc;
    rc = sqlite3_exec(backup->seat.db, "SELECT 1 FROM main.sqlite_schema LIMIT 1", NULL,
                      NULL, NULL);
    return rc == SQLITE_OK ? LIDO_OK
                           : lido__work_fail(&backup->work, backup->seat.db, rc,
                                             "reading the database", err);
}

static const char *log_of(sqlite3 *db)
{
    return lido__database_is_file(db)
               ? sqlite3_filename_wal(sqlite3_db_filename(db, "main"))
               : NULL;
}

static int copy_online(struct backup *backup, struct lido_error *err)
{
    sqlite3 *copy = NULL;
    int rc;

    rc = sqlite3_open_v2(
        backup->target.temporary, &copy,
        SQLITE_OPEN_READWRITE | SQLITE_OPEN_PRIVATECACHE | SQLITE_OPEN_NOFOLLOW, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(copy,
                          "PRAGMA locking_mode=EXCLUSIVE; PRAGMA synchronous=OFF; "
                          "PRAGMA journal_mode=OFF",
                          NULL, NULL, NULL);
    if (rc != SQLITE_OK) {
        rc = fail_copy(backup, copy, rc, err);
        goto out;
    }
    /* The snapshot: the schema is read at once. */
    rc = lido__work_phase(&backup->work, "waiting", "pages", 0, err);
    if (rc == LIDO_OK)
        rc = lido__seat_begin(&backup->seat, LIDO_READ, err);
    if (rc != LIDO_OK)
        goto out;
    /* A begin hook may have made it a deferred one, which has read nothing yet. */
    rc = read_schema(backup, err);
    if (rc == LIDO_OK)
        rc = lido__work_phase(&backup->work, "copying", "pages", 0, err);
    if (rc == LIDO_OK) {
        lido__write_out_open(&backup->out, backup->target.temporary,
                             log_of(backup->seat.db));
        rc = copy_pages(backup, copy, err);
    }
    rc = lido__seat_end(&backup->seat, rc, err);
out:
    sqlite3_close(copy);
    lido__write_out_close(&backup->out);
    return rc;
}

static int keep_pages(void *ctx, const struct lido_stmt *row, struct lido_error *err)
{
    (void)err;
    *(int64_t *)ctx = lido_stmt_integer(row, 0);
    return LIDO_OK;
}

/* It goes through all pages, and the lock it needs for that is waited for here. */
static int begin_vacuum(struct backup *backup, struct lido_error *err)
{
    int64_t pages = 0;
    int rc = lido__work_phase(&backup->work, "waiting", "pages", 0, err);

    if (rc == LIDO_OK)
        rc = lido_conn_query(&backup->seat.conn, "PRAGMA main.page_count", NULL, 0,
                             keep_pages, &pages, err);
    if (rc == LIDO_OK) /* a hook may have closed it */
        rc = lido__seat_check(&backup->seat, err);
    if (rc != LIDO_OK) {
        rc = lido__seat_judge(&backup->seat, rc, err);
        return lido__lock_tell(lido_conn_sqlite(&backup->seat.conn), LIDO__USE_READ, rc,
                               err);
    }
    rc = lido__work_phase(&backup->work, "copying", "pages", 0, err);
    backup->work.pages_per_s = pages_per_second(backup);
    if (!lido__work_reads(&backup->work, backup->seat.db, (uint64_t)pages, 1) &&
        pages > 0 && rc == LIDO_OK && backup->options->rate > 0)
        return lido_fail(err, LIDO_BAD_OPTION,
                         "LIDO_BACKUP_VACUUM keeps to a rate with a file alone that is not "
                         "mapped: PRAGMA mmap_size=0");
    return rc;
}

static int copy_vacuum(struct backup *backup, struct lido_error *err)
{
    struct lido_stmt stmt = LIDO_STMT_INIT;
    int rc = begin_vacuum(backup, err);

    if (rc == LIDO_OK)
        rc = lido_stmt_prepare(&backup->seat.conn, &stmt, "VACUUM INTO ?1", err);
    if (rc != LIDO_OK)
        return rc;
    rc = lido_stmt_bind(&stmt, 1, lido_text(backup->target.temporary), err);
    if (rc == LIDO_BAD_TEXT)
        lido_fail(err, rc, "the name of the copy is not UTF-8: VACUUM cannot take it");
    if (rc == LIDO_OK)
        rc = lido_stmt_step(&stmt, err);
    lido_stmt_finalize(&stmt, NULL);
    /* Of a damaged schema it says that the copy could not be opened. */
    if ((rc & 0xff) == SQLITE_CORRUPT && read_schema(backup, NULL) != LIDO_OK)
        return read_schema(backup, err);
    if (rc != SQLITE_DONE) {
        rc = lido__seat_judge(&backup->seat, rc, err);
        return lido__lock_tell(lido_conn_sqlite(&backup->seat.conn), LIDO__USE_READ, rc,
                               err);
    }
    /* It passes by that a file is shorter than its header says.  Asked afterwards, for the
       wait for a lock is the statement's, which the job's end ends. */
    return read_schema(backup, err);
}

static int copy_by(struct backup *backup, struct lido_error *err)
{
    int rc;

    if (backup->options->method == LIDO_BACKUP_COPY)
        return lido__backup_copy(&backup->seat, backup->target.temporary,
                                 backup->options->rate, &backup->is_cloned, err);
    rc = backup->options->method == LIDO_BACKUP_VACUUM ? copy_vacuum(backup, err)
                                                       : copy_online(backup, err);
    return rc == LIDO_OK ? lido__work_done(&backup->work, err) : rc;
}

/* Reads back what was written; the header also where no more is asked for. */
static int check_copy(struct backup *backup, struct lido_error *err)
{
    struct lido__stored stored;
    struct lido_error why;
    struct stat status;
    int rc = lido__stored_open(&stored, backup->target.temporary, &backup->work, err);

    if (rc == LIDO_OK && stat(backup->target.temporary, &status) == 0)
        backup->pages = (uint64_t)status.st_size / stored.page_size;
    if (rc == LIDO_OK && backup->options->check)
        rc = lido__stored_check(&stored, "the copy", &backup->work, &backup->is_checked,
                                &why, err);
    if (rc == LIDO_OK && backup->options->hash)
        rc = lido__content_hash(stored.db, stored.pages, &backup->work, backup->hash, err);
    lido__stored_close(&stored);
    return rc;
}

/* All that may fail, until the file has its name. */
static int make(struct backup *backup, struct lido_database from, const char *target,
                struct lido_error *err)
{
    static const struct lido__seat_options seat = LIDO__SEAT_OPTIONS_INIT("backup");
    const struct lido_backup_options *options = backup->options;
    struct stat source;
    bool has_source;
    int rc = lido__seat_open(&backup->seat, &backup->work, from, &seat, err);

    if (rc != LIDO_OK)
        return rc;
    has_source = lido__database_file(backup->seat.db, &source);
    rc = lido__target_open(&backup->target, target, has_source ? &source : NULL,
                           sqlite3_db_filename(backup->seat.db, "main"),
                           options->replace != 0, options->stamp != 0, err);
    if (rc == LIDO_OK)
        rc = copy_by(backup, err);
    if (rc == LIDO_OK)
        rc = check_copy(backup, err);
    if (rc == LIDO_OK)
        rc = lido__work_check(&backup->work, err);
    return rc == LIDO_OK ? lido__target_settle(&backup->target, err) : rc;
}

static void tell_result(const struct backup *backup, struct lido_backup *result)
{
    struct stat status;

    snprintf(result->path, sizeof result->path, "%s", backup->target.path);
    if (stat(backup->target.path, &status) == 0)
        result->bytes = (uint64_t)status.st_size;
    result->pages = backup->pages;
    result->restarts = backup->work.now.restarts;
    result->elapsed_ns = lido__wait_ns(NULL) - backup->work.began_ns;
    result->is_checked = backup->is_checked;
    result->is_cloned = backup->is_cloned;
    memcpy(result->hash, backup->hash, sizeof result->hash);
}

int lido_backup(struct lido_database from, const char *target,
                const struct lido_backup_options *options, struct lido_backup *result,
                struct lido_error *err)
{
    static const struct lido_backup_options defaults = LIDO_BACKUP_OPTIONS_INIT;
    struct backup *backup;
    int rc, removed = 0, not_removed = 0;

    if (options == NULL)
        options = &defaults;
    rc = check_options(options, err);
    if (rc != LIDO_OK)
        return rc;
    if (result != NULL && result->size != sizeof *result)
        return lido__bad_size("lido_backup", err);
    if (target == NULL || target[0] == '\0')
        return lido_fail(err, SQLITE_MISUSE, "a backup needs the name of its target");
    backup = lido__new(sizeof *backup);
    if (backup == NULL)
        return lido_fail(err, SQLITE_NOMEM, "out of memory");
    backup->options = options;
    backup->out = (struct lido__write_out)LIDO__WRITE_OUT_INIT;
    rc = lido__work_begin(&backup->work, options->job, err);
    if (rc == LIDO_OK)
        rc = make(backup, from, target, err);
    lido__target_discard(&backup->target);
    if (rc == LIDO_OK && options->keep > 0)
        lido__target_keep(&backup->target, options->keep, &removed, &not_removed);
    if (rc == LIDO_OK && result != NULL) {
        tell_result(backup, result);
        result->removed = removed;
        result->not_removed = not_removed;
    }
    lido__seat_close(&backup->seat, LIDO_OK, NULL);
    lido__free(backup);
    return rc;
}
