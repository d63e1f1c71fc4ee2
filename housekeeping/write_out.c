/* SPDX-License-Identifier: MIT */
/*
 * Writing out: the pages of a file that is being made go to the disk piece by piece.
 *
 * A copy of some hundred megabytes stays in the page cache until it is synced.  Then all of it
 * stands in the disk's queue at once, and who writes to the database waits behind it: the sync
 * of a checkpoint is throttled, and one of an ordered journal (ext4) first writes the copy's
 * new blocks.  So the job has at most two pieces on their way, and waits for them itself.  A
 * sync after each piece would commit the journal as well, and made a backup a fifth slower.
 *
 *     [ on the disk ...        ][ waited for ][ begun ][ not a whole piece yet ]
 *
 * It promises nothing: the file is synced when it is complete.  But a write that failed is told
 * once for each descriptor, and to one that was opened later perhaps not at all.  So a failure
 * here is the job's.
 *
 * Threads: one.
 */
#include "housekeeping/write_out.h"

#include "housekeeping/work.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <unistd.h>

#define PIECE (INT64_C(1) << 22) /* with a fourth of that a backup took a fifth longer */

void lido__write_out_open(struct lido__write_out *out, const char *path)
{
    out->file = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    out->begun = 0;
}

/* False: errno says why the piece is not on the disk. */
static bool write_piece(int file, int64_t start, unsigned waits)
{
    int done;

    do
        done = sync_file_range(file, start, PIECE, SYNC_FILE_RANGE_WRITE | waits);
    while (done != 0 && errno == EINTR);
    return done == 0;
}

int lido__write_out_on(struct lido__write_out *out, struct lido_error *err)
{
    const unsigned waits = SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WAIT_AFTER;
    char text[LIDO__REASON_SIZE];
    struct stat status;
    bool is_good = true;
    int number;

    if (out->file < 0 || fstat(out->file, &status) != 0)
        return LIDO_OK;
    while (is_good && status.st_size - out->begun >= PIECE) {
        is_good = write_piece(out->file, out->begun, 0);
        if (is_good && out->begun >= PIECE)
            is_good = write_piece(out->file, out->begun - PIECE, waits);
        out->begun += PIECE;
    }
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
    out->file = -1;
}
