/* SPDX-License-Identifier: MIT */
/*
 * Backup by the bytes of the file: a child copies them while a reader of this process holds
 * one moment, and SQLite then folds the copy of the log into that of the main file.
 *
 * In a rollback-journal mode the reader's SHARED lock keeps everybody from writing the main
 * file: its bytes are the moment, and a journal beside it is of a transaction that has not
 * come to the file yet.
 *
 * In WAL mode writers go on and checkpoints too, so bytes of both files change under the copy.
 * The main file is copied first, then the log up to where it ends by then.  There are two
 * cases, by the mark that SQLite gave the reader.
 *
 *   The reader uses the log.  Then nobody begins the log anew: that needs the lock of its mark.
 *   So frames are only added.  What a checkpoint wrote into the main file meanwhile, even half
 *   of a page, stands in a frame before, which the copy of the log has, for that was made
 *   later.  Read back, the copy is the last commit in it, which is the reader's moment or a
 *   later one.  A frame that was being written has a wrong checksum, one that is not committed
 *   has no commit behind it: both are the end of the log to SQLite.
 *
 *   All of the log was in the main file already, and the reader uses that alone.  Then its lock
 *   keeps checkpoints from writing the main file, whose bytes are the moment.  A writer may
 *   begin the log anew.  If it did while the log was copied, which its salts tell, that copy is
 *   a mix, or worse a part of the old log, which would turn pages back: it is thrown away, and
 *   the main file alone is right.  If it did not, the log holds what the main file has, and
 *   perhaps later commits: right as above.
 *
 * No write lock is needed, and nothing is tried twice.  It rests on the reader staying: a
 * statement that is not reset keeps it also where threads share the connection and one of them
 * ends the transaction.
 *
 * Threads: the one that runs the job.
 */
#include "housekeeping/backup_copy.h"

#include "housekeeping/child.h"
#include "housekeeping/stored.h"

#include "base/alloc.h"

#include <stdio.h>
#include <sys/stat.h>

struct both {
    struct lido__names from, to;
};

static int find(struct lido__seat *seat, const char *to, struct both *both,
                struct lido_error *err)
{
    const char *path = sqlite3_db_filename(seat->db, "main");
    int rc;

    if (!lido__database_is_file(seat->db))
        return lido_fail(err, LIDO_BAD_OPTION,
                         "LIDO_BACKUP_COPY copies a file, and the database is in memory: "
                         "take LIDO_BACKUP_ONLINE");
    rc = lido__database_expect_in_place(seat->db, path, err);
    if (rc != LIDO_OK)
        return rc;
    snprintf(both->to.main, sizeof both->to.main, "%s", to);
    snprintf(both->to.wal, sizeof both->to.wal, "%s-wal", to);
    return lido__names_of(&both->from, path, err);
}

static uint64_t bytes_at(const char *path)
{
    struct stat status;

    return stat(path, &status) == 0 ? (uint64_t)status.st_size : 0;
}

/* The child, while the reader stands. */
static int copy(struct lido__seat *seat, const struct both *both, int64_t rate,
                struct lido__copied *copied, struct lido_error *err)
{
    sqlite3_stmt *pin = NULL;
    int rc = lido__work_phase(seat->work, "waiting", "bytes", 0, err);

    if (rc == LIDO_OK)
        rc = lido__seat_begin(seat, LIDO_READ, err);
    if (rc != LIDO_OK)
        return rc;
    rc = lido__seat_prepare(seat, &pin, sqlite3_mprintf("PRAGMA main.schema_version"), NULL,
                            NULL, err);
    if (rc == LIDO_OK) {
        rc = sqlite3_step(pin);
        rc = rc == SQLITE_ROW ? LIDO_OK
                              : lido__seat_fail(seat, rc, "reading the database", err);
    }
    if (rc == LIDO_OK)
        rc = lido__database_expect_in_place(seat->db, both->from.main, err);
    if (rc == LIDO_OK)
        rc = lido__work_phase(seat->work, "copying", "bytes",
                              bytes_at(both->from.main) + bytes_at(both->from.wal), err);
    if (rc == LIDO_OK)
        rc = lido__child_copy_pinned(&both->from, &both->to, rate, seat->work, copied, err);
    if (rc == LIDO_OK)
        rc = lido__database_expect_in_place(seat->db, both->from.main, err);
    if (rc == LIDO_OK && copied->is_changed)
        rc = lido_fail(err, SQLITE_BUSY, "%.150s was replaced while it was copied",
                       both->from.main);
    if (rc == LIDO_OK && !sqlite3_stmt_busy(pin))
        rc =
            lido_fail(err, SQLITE_ABORT_ROLLBACK,
                      "another user of the connection ended the transaction of the backup");
    sqlite3_finalize(pin);
    return lido__seat_end(seat, rc, err);
}

/* Nobody else knows the copy: its wal-index is in this process's memory, and nothing is synced
   before all of it is there.  A file with no page at all gets its first. */
static int fold(struct lido__work *work, const struct both *both, struct lido_error *err)
{
    const bool is_empty = bytes_at(both->to.main) == 0 && bytes_at(both->to.wal) == 0;
    char doing[200];
    sqlite3 *db = NULL;
    int rc;

    snprintf(doing, sizeof doing, "writing the log into the copy of %.140s",
             both->from.main);
    rc = sqlite3_open_v2(
        both->to.main, &db,
        SQLITE_OPEN_READWRITE | SQLITE_OPEN_PRIVATECACHE | SQLITE_OPEN_NOFOLLOW, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(db,
                          "PRAGMA locking_mode=EXCLUSIVE; PRAGMA synchronous=OFF; "
                          "PRAGMA main.schema_version",
                          NULL, NULL, NULL);
    if (rc == SQLITE_OK && is_empty)
        rc = sqlite3_exec(db, "PRAGMA main.user_version=0", NULL, NULL, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_wal_checkpoint_v2(db, "main", SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    if (rc != SQLITE_OK)
        rc = lido__work_fail(work, db, rc, doing, err);
    sqlite3_close(db);
    if (rc == LIDO_OK && bytes_at(both->to.wal) != 0)
        rc = lido_fail(err, SQLITE_IOERR, "%s: it is still there", doing);
    return rc;
}

int lido__backup_copy(struct lido__seat *seat, const char *to, int64_t rate,
                      bool *is_cloned, struct lido_error *err)
{
    struct lido__copied copied = { 0 };
    struct both *both = lido__new(sizeof *both);
    struct stat log;
    int rc;

    if (both == NULL)
        return lido_fail(err, SQLITE_NOMEM, "out of memory");
    rc = find(seat, to, both, err);
    if (rc == LIDO_OK)
        rc = copy(seat, both, rate, &copied, err);
    if (rc == LIDO_OK)
        rc = lido__work_done(seat->work, err);
    if (rc == LIDO_OK && (stat(both->to.wal, &log) == 0 || bytes_at(to) == 0))
        rc = fold(seat->work, both, err);
    *is_cloned = copied.is_cloned;
    lido__free(both);
    return rc;
}
