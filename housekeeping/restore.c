/* SPDX-License-Identifier: MIT */
/*
 * Restore of a stored database into one that is in use.
 *
 * Never by a rename: who has the old file open would write on into that.  SQLite's backup
 * writes the pages as one transaction of the destination, which it begins by itself at the
 * first step and holds to the end, so that each reader has the old content or the new, and a
 * crash in the middle leaves the old.
 *
 * It wants no transaction of SQLite's on the destination when it starts, and lido lets into the
 * write gate only who begins one.  So lido begins one, IMMEDIATE, which has waited in line and
 * has the lock; it is then ended and begun again, deferred, by SQL: that takes no lock before
 * something is read, and to lido the transaction goes on and keeps the gate.  Writers of this
 * process wait meanwhile.  One of another process may come in between: it writes to the old
 * content, and the restore waits for it like any writer.
 *
 * Pages of another size: SQLite's backup then writes parts of pages, and in a rollback-journal
 * mode that is one transaction like any other; it is how VACUUM changes the size.  A log has
 * frames of one size, and a reader of an older snapshot would still need pages of the old one:
 * there, and in memory, SQLite refuses, and so does this, before anything is done.
 *
 * Threads: any; a job is the calling thread's.
 */
#include "housekeeping/lockers.h"
#include "housekeeping/seat.h"
#include "housekeeping/stored.h"
#include <lido/backup.h>

#include "base/alloc.h"
#include "base/sync.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LABEL "restore" /* of its lease */

#define TICK_NS    (10 * LIDO_NS_PER_MS) /* the longest that Linux is built with */
#define TICK_TRIES 10

struct restore {
    const struct lido_restore_options *options;
    struct lido__work work;
    struct lido__stored stored;
    char from[PATH_MAX]; /* absolute */
    struct lido__seat seat;
};

static int check_options(const struct lido_restore_options *options, struct lido_error *err)
{
    if (options->size != sizeof *options)
        return lido__bad_size("lido_restore_options", err);
    if (options->step_pages < 1)
        return lido_fail(err, LIDO_BAD_OPTION, "step_pages is %d; it has to be 1 or more",
                         options->step_pages);
    return LIDO_OK;
}

/*
 * In WAL mode with no log beside it the file is read without a lock, and what says that nobody
 * wrote it is its time (stored.c).  Before Linux 6.13, and on other file systems than the usual
 * ones, the kernel's time stands still for a tick: a file that is written twice within one has
 * the time of the first.  So one that was just written is left alone until the tick is over;
 * whoever writes it after that is seen.  The change counter in its header would not help: a
 * commit to a log leaves it as it is.
 */
static int wait_for_tick(struct restore *restore, struct lido_error *err)
{
    for (int i = 0; i < TICK_TRIES; i++) {
        struct timespec now, nap = { 0 };
        struct stat status;
        int64_t age_ns;
        int rc;

        if (stat(restore->from, &status) != 0 || clock_gettime(CLOCK_REALTIME, &now) != 0)
            break;
        age_ns = (now.tv_sec - status.st_mtim.tv_sec) * LIDO_NS_PER_S + now.tv_nsec -
                 status.st_mtim.tv_nsec;
        if (age_ns < 0 || age_ns >= TICK_NS) /* or by a clock that is ahead of this one */
            break;
        rc = lido__work_check(&restore->work, err);
        if (rc != LIDO_OK)
            return rc;
        nap.tv_nsec = (long)(TICK_NS - age_ns);
        nanosleep(&nap, NULL);
    }
    return LIDO_OK;
}

/* A pool has no name, and its file has one. */
static const char *name_of(const struct restore *restore, struct lido_database into)
{
    const char *file =
        into.pool != NULL ? sqlite3_db_filename(restore->seat.db, "main") : NULL;

    return file != NULL && file[0] != '\0' ? file : lido__database_name(into);
}

/* Is the file fit to be restored?  Nothing of the destination is touched before. */
static int open_stored(struct restore *restore, const char *from, struct lido_error *err)
{
    struct lido_error why;
    bool is_checked;
    int rc;

    if (realpath(from, restore->from) == NULL) {
        const int number = errno;

        rc = lido_fail(
            err, number == ENOENT || number == ENOTDIR ? LIDO_NOT_FOUND : SQLITE_CANTOPEN,
            "%.150s: %s", from, lido__reason(number, (char[LIDO__REASON_SIZE]){ 0 }));
        if (err != NULL)
            err->sys_errno = number;
        return rc;
    }
    rc = wait_for_tick(restore, err);
    if (rc == LIDO_OK)
        rc = lido__stored_open(&restore->stored, restore->from, &restore->work, err);
    if (rc != LIDO_OK || !restore->options->check)
        return rc;
    rc = lido__stored_check(&restore->stored, restore->from, &restore->work, &is_checked,
                            &why, err);
    if (rc != LIDO_OK || is_checked)
        return rc;
    return lido_fail(err, why.code, "%s; it can be restored without a check", why.text);
}

/* Can its pages get another size?  Those of a file with a rollback journal; if that changes
   before the lock is had, SQLite refuses. */
static int look_at_journal(struct restore *restore, bool *may_change_pages,
                           struct lido_error *err)
{
    sqlite3_stmt *stmt = NULL;
    struct stat status;
    int rc =
        lido__seat_prepare(&restore->seat, &stmt,
                           sqlite3_mprintf("PRAGMA main.journal_mode"), NULL, NULL, err);

    *may_change_pages = false;
    if (rc != LIDO_OK)
        return rc;
    rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW) {
        const char *mode = (const char *)sqlite3_column_text(stmt, 0);

        *may_change_pages = mode != NULL && strcmp(mode, "wal") != 0 &&
                            lido__database_file(restore->seat.db, &status);
        rc = LIDO_OK;
    } else {
        rc = lido__seat_fail(&restore->seat, rc, "reading the journal mode", err);
    }
    sqlite3_finalize(stmt);
    return rc;
}

/* Do the two fit? */
static int compare(struct restore *restore, struct lido_database into,
                   struct lido_error *err)
{
    const unsigned page_size = lido__page_size(restore->seat.db);
    const int encoding = lido__encoding(restore->seat.db);
    bool may_change_pages = true;
    struct stat one, other;
    int rc;

    /* It would go to a file that nobody finds, or that is `from` itself by another name. */
    rc = lido__database_expect_in_place(restore->seat.db, name_of(restore, into), err);
    if (rc != LIDO_OK)
        return rc;
    if (lido__database_file(restore->seat.db, &one) && stat(restore->from, &other) == 0 &&
        one.st_dev == other.st_dev && one.st_ino == other.st_ino)
        return lido_fail(err, SQLITE_MISUSE, "%.150s is the database itself",
                         restore->from);
    if (sqlite3_db_readonly(restore->seat.db, "main") == 1)
        return lido_fail(err, SQLITE_READONLY, "%.150s is open for reading only",
                         name_of(restore, into));
    if (page_size != 0 && page_size != restore->stored.page_size) {
        rc = look_at_journal(restore, &may_change_pages, err);

        if (rc != LIDO_OK)
            return rc;
    }
    if (!may_change_pages)
        return lido_fail(err, SQLITE_MISMATCH,
                         "%.80s has pages of %u bytes and %.50s, with a log or in memory, "
                         "of %u: make a copy with that size by PRAGMA page_size and VACUUM",
                         restore->from, restore->stored.page_size, name_of(restore, into),
                         page_size);
    /* Open connections would answer every statement with an error from then on. */
    if (encoding != 0 && restore->stored.encoding != 0 &&
        encoding != restore->stored.encoding)
        return lido_fail(err, SQLITE_MISMATCH,
                         "the texts of %.100s have another encoding (PRAGMA encoding) than "
                         "those of %.60s",
                         restore->from, name_of(restore, into));
    return LIDO_OK;
}

struct other_lease {
    const struct lido_conn *own;
    struct lido_holder holder;
};

/* The longest comes first.  A number is one connection's, and may be that of another too. */
static int take_other(void *ctx, const struct lido_holder *holder)
{
    struct other_lease *other = ctx;

    if (holder->lease == other->own->generation && strcmp(holder->label, LABEL) == 0)
        return 0;
    other->holder = *holder;
    return 1;
}

/* The lease of this pool that may be in the way: the kernel tells of others.  "": none. */
static void describe_lease(const struct restore *restore, char *text, size_t size)
{
    struct other_lease other = { .own = &restore->seat.conn };
    const struct lido_holder *holder = &other.holder;

    text[0] = '\0';
    if (lido_pool_holders(restore->seat.pool, take_other, &other, NULL) == 1)
        snprintf(text, size, "; thread %llu%s%s%s has one for %lld ms",
                 (unsigned long long)holder->thread, holder->label[0] != '\0' ? " (" : "",
                 holder->label, holder->label[0] != '\0' ? ")" : "",
                 (long long)(holder->age_ns / LIDO_NS_PER_MS));
}

/* What is told of another process is known, and of a connection of this one guessed. */
static int fail_busy(struct restore *restore, struct lido_database into, int rc,
                     struct lido_error *err)
{
    char holder[LIDO__LOCKER_SIZE], lease[90];

    if (lido__lock_holder(restore->seat.db, LIDO__USE_COMMIT, holder, sizeof holder))
        return lido_fail(
            err, rc, "%.120s is in use: %s, and did not end in time; nothing was restored",
            name_of(restore, into), holder);
    describe_lease(restore, lease, sizeof lease);
    return lido_fail(
        err, rc,
        "%.*s is in use: another connection reads or writes it, and did not end "
        "in time%s; nothing was restored",
        lease[0] != '\0' ? 60 : 140, name_of(restore, into), lease);
}

static int fail_step(struct restore *restore, struct lido_database into, int rc,
                     struct lido_error *err)
{
    if ((rc & 0xff) == SQLITE_BUSY) {
        const int ended = lido__work_check(&restore->work, err);

        return ended != LIDO_OK
                   ? lido__lock_tell(restore->seat.db, LIDO__USE_COMMIT, ended, err)
                   : fail_busy(restore, into, rc, err);
    }
    if (restore->work.rc != LIDO_OK)
        return lido__work_check(&restore->work, err);
    return lido__work_fail(&restore->work, restore->seat.db, rc, "restoring", err);
}

static int step_through(struct restore *restore, struct lido_database into, bool is_shared,
                        struct lido_error *err)
{
    const int most = restore->options->step_pages;
    sqlite3_backup *steps; /* nothing is known of its pages before the first step */
    int rc, left = INT_MAX, ended, finished;

    ended = lido__stored_expect_unchanged(&restore->stored, restore->from, err);
    if (ended != LIDO_OK)
        return ended;
    steps = sqlite3_backup_init(restore->seat.db, "main", restore->stored.db, "main");
    if (steps == NULL)
        return fail_step(restore, into, sqlite3_errcode(restore->seat.db), err);
    do {
        uint64_t pages;

        /* The last step commits: it takes one page, so that as little as may be is read after
           the last look whether anybody has written the file. */
        rc = sqlite3_backup_step(steps, left == INT_MAX || left <= 1 ? 1
                                        : left <= most               ? left - 1
                                                                     : most);
        if (rc != SQLITE_OK)
            break;
        left = sqlite3_backup_remaining(steps);
        pages = (uint64_t)sqlite3_backup_pagecount(steps);
        restore->work.now.total = pages;
        restore->work.now.done = pages - (uint64_t)left;
        ended = is_shared ? lido__work_check(&restore->work, err)
                          : lido__work_at(&restore->work, restore->work.now.done, err);
        if (ended == LIDO_OK)
            ended = lido__stored_expect_unchanged(&restore->stored, restore->from, err);
    } while (ended == LIDO_OK);
    /* Before it is done this rolls all of it back. */
    finished = sqlite3_backup_finish(steps);
    if (ended != LIDO_OK)
        return ended;
    if (rc != SQLITE_DONE)
        return fail_step(restore, into, rc, err);
    return finished == SQLITE_OK ? LIDO_OK : fail_step(restore, into, finished, err);
}

/*
 * Where threads share the connection it has a mutex of SQLite's.  A COMMIT of another in the
 * middle would keep half of the pages, and a SELECT would see them: so none gets in before it
 * is done.  Nobody is told how far it is meanwhile, for no lock may be held then.
 */
static int replace(struct restore *restore, struct lido_database into,
                   struct lido_error *err)
{
    sqlite3_mutex *mutex = sqlite3_db_mutex(restore->seat.db);
    int rc;

    sqlite3_mutex_enter(mutex);
    rc = sqlite3_exec(restore->seat.db, "COMMIT; BEGIN DEFERRED", NULL, NULL, NULL);
    rc = rc != SQLITE_OK ? fail_step(restore, into, rc, err)
                         : step_through(restore, into, mutex != NULL, err);
    sqlite3_mutex_leave(mutex);
    return rc;
}

/* By the gate, as said above. */
static int write_all(struct restore *restore, struct lido_database into,
                     struct lido_error *err)
{
    int rc = lido__work_phase(&restore->work, "waiting", "pages", 0, err);

    /* What was asked of the destination before may have waited for who has it for itself. */
    if (rc != LIDO_OK)
        return lido__lock_tell(restore->seat.db, LIDO__USE_READ, rc, err);
    rc = lido__seat_begin(&restore->seat, LIDO_IMMEDIATE, err);
    if (rc != LIDO_OK)
        return rc;
    rc = lido__work_phase(&restore->work, "restoring", "pages", 0, err);
    if (rc == LIDO_OK)
        rc = replace(restore, into, err);
    /* What it wrote is committed, or rolled back, by now: this only leaves the gate, whoever
       cancels it now. */
    if (rc == LIDO_OK)
        lido__seat_commit(&restore->seat, NULL);
    lido__seat_leave(&restore->seat);
    if (rc == LIDO_OK)
        (void)lido__work_done(&restore->work, NULL); /* an answer would come too late */
    return rc;
}

int lido_restore(struct lido_database into, const char *from,
                 const struct lido_restore_options *options, struct lido_error *err)
{
    static const struct lido_restore_options defaults = LIDO_RESTORE_OPTIONS_INIT;
    static const struct lido__seat_options seat = LIDO__SEAT_OPTIONS_INIT(LABEL);
    struct restore *restore;
    int rc;

    if (options == NULL)
        options = &defaults;
    rc = check_options(options, err);
    if (rc == LIDO_OK)
        rc = lido__database_check(into, err);
    if (rc != LIDO_OK)
        return rc;
    if (from == NULL || from[0] == '\0')
        return lido_fail(err, SQLITE_MISUSE, "a restore needs the name of a file");
    restore = lido__new(sizeof *restore);
    if (restore == NULL)
        return lido_fail(err, SQLITE_NOMEM, "out of memory");
    restore->options = options;
    rc = lido__work_begin(&restore->work, options->job, err);
    if (rc == LIDO_OK)
        rc = open_stored(restore, from, err);
    if (rc == LIDO_OK)
        rc = lido__seat_open(&restore->seat, &restore->work, into, &seat, err);
    if (rc == LIDO_OK)
        rc = compare(restore, into, err);
    if (rc == LIDO_OK)
        rc = write_all(restore, into, err);
    lido__stored_close(&restore->stored);
    lido__seat_close(&restore->seat, LIDO_OK, NULL);
    lido__free(restore);
    return rc;
}
