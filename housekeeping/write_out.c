/* SPDX-License-Identifier: MIT */
/*
 * Writing out: the pages of a file that is being made go to the disk piece by piece.
 *
 * A copy of some hundred megabytes stays in the page cache until it is synced.  Then all of it
 * stands in the disk's queue at once, and who writes to the database waits behind it: the sync
 * of a checkpoint is throttled, and one of an ordered journal (ext4) first writes the copy's
 * new blocks.  So the job has at most two pieces on their way, and waits for them itself.  A
 * sync after each piece would commit the journal as well, and made a backup a fifth slower.
 * A commit in between is not kept waiting, but a checkpoint is, by all that is on its way; so
 * the pieces are small while the log of the source is written.  Then what writers spend in
 * syncs is as much as without a backup, and that takes a fifth longer.
 *
 *     [ on the disk ...        ][ waited for ][ begun ][ not a whole piece yet ]
 *
 * It promises nothing: the file is synced when it is complete.  But a write that failed is told
 * once for each descriptor, and to one that was opened later perhaps not at all.  So a failure
 * here is the job's.
 *
 * A log may be opened and closed here: SQLite has its locks elsewhere.
 *
 * Threads: one.
 */
#include "housekeeping/write_out.h"

#include "base/sync.h"
#include "housekeeping/work.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <unistd.h>

#define PIECE       (INT64_C(1) << 22) /* with a fourth of that a backup took a fifth longer */
#define SMALL_PIECE (INT64_C(1) << 19)

/* 0: there is none. */
static int64_t written_ns(int log)
{
    struct stat status;

    return log >= 0 && fstat(log, &status) == 0
               ? (int64_t)status.st_mtim.tv_sec * LIDO_NS_PER_S + status.st_mtim.tv_nsec
               : 0;
}

void lido__write_out_open(struct lido__write_out *out, const char *path, const char *log)
{
    *out = (struct lido__write_out)LIDO__WRITE_OUT_INIT;
    out->file = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (log != NULL)
        out->log = open(log, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    out->log_ns = written_ns(out->log);
}

/* Since the last look. */
static bool others_write(struct lido__write_out *out)
{
    const int64_t before_ns = out->log_ns;

    out->log_ns = written_ns(out->log);
    return out->log_ns != before_ns;
}

/* False: errno says why the piece is not on the disk. */
static bool write_piece(int file, int64_t start, int64_t length, unsigned waits)
{
    int done;

    do
        done = sync_file_range(file, start, length, SYNC_FILE_RANGE_WRITE | waits);
    while (done != 0 && errno == EINTR);
    return done == 0;
}

/* Begins the next piece, then waits for the one before it. */
static bool write_next(struct lido__write_out *out, int64_t piece)
{
    const unsigned waits = SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WAIT_AFTER;
    const int64_t before = out->begun - out->done;
    bool is_good = write_piece(out->file, out->begun, piece, 0);

    if (is_good && before > 0)
        is_good = write_piece(out->file, out->done, before, waits);
    out->done += before;
    out->begun += piece;
    return is_good;
}

int lido__write_out_on(struct lido__write_out *out, struct lido_error *err)
{
    char text[LIDO__REASON_SIZE];
    struct stat status;
    bool is_good = true;
    int64_t piece;
    int number;

    if (out->file < 0 || fstat(out->file, &status) != 0)
        return LIDO_OK;
    piece = others_write(out) ? SMALL_PIECE : PIECE;
    while (is_good && status.st_size - out->begun >= piece)
        is_good = write_next(out, piece);
    if (is_good)
        return LIDO_OK;
    number = errno;
    if (number == EINVAL || number == ENOSYS || number == ENOTSUP || number == EPERM) {
        lido__write_out_close(out); /* what the file system or a sandbox has not */
        return LIDO_OK;
    }
    lido_fail(err, number == ENOSPC || number == EDQUOT ? SQLITE_FULL : SQLITE_IOERR_WRITE,
              "cannot write the copy to the disk: %s", lido__reason(number, text));
    if (err != NULL)
        err->sys_errno = number;
    return number == ENOSPC || number == EDQUOT ? SQLITE_FULL : SQLITE_IOERR_WRITE;
}

void lido__write_out_close(struct lido__write_out *out)
{
    if (out->file >= 0)
        close(out->file);
    if (out->log >= 0)
        close(out->log);
    out->file = out->log = -1;
}
