/* SPDX-License-Identifier: MIT */
/*
 * Streams: text in and out, by read(2) and write(2), so that Ctrl-C ends a wait for the other
 * end of a pipe too.
 *
 * Nobody wakes a thread in read() or write(), for no signal has a handler (interrupt.c).  So it
 * polls, and looks each tenth of a second whether the job is to end.  To a pipe that can take
 * something PIPE_BUF bytes go without a wait.
 *
 * A file gets its name when all of it is written and synced: .NAME.XXXXXX until then.
 *
 * Threads: one.
 */
#include "cli/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LOOK_MS = 100 };

static int fail_os(struct lido_error *err, int code, const char *doing, const char *path)
{
    const int number = errno;

    lido_fail(err, code, "cannot %s %.150s: %s", doing, path, strerror(number));
    if (err != NULL)
        err->sys_errno = number;
    return code;
}

static const char *name_of(const struct stream *stream, const char *other)
{
    return stream->path != NULL ? stream->path : other;
}

static void look_at(struct stream *stream)
{
    struct stat status;

    stream->is_regular = fstat(stream->file, &status) == 0 && S_ISREG(status.st_mode);
    stream->size = 0;
    if (stream->is_regular) /* of stdin some may have been read */
        stream->size = (int64_t)status.st_size - (int64_t)lseek(stream->file, 0, SEEK_CUR);
    if (stream->size < 0)
        stream->size = 0;
}

static int await(struct stream *stream, short events, const char *doing,
                 struct lido_error *err)
{
    struct pollfd ready = { .fd = stream->file, .events = events };

    do {
        if (lido_cancel_is_fired(stream->call->job.cancel))
            return lido_fail(err, LIDO_CANCELLED, "cancelled while %s", doing);
    } while (!stream->is_regular && poll(&ready, 1, LOOK_MS) <= 0);
    return LIDO_OK;
}

/* --- in -------------------------------------------------------------------------------- */

int stream_read_from(struct stream *stream, struct call *call, const char *path,
                     const char *database)
{
    struct stat of_text, of_database;

    *stream = (struct stream){ .call = call, .file = STDIN_FILENO, .path = path };
    if (path == NULL) {
        look_at(stream);
        return LIDO_OK;
    }
    stream->file = -1;
    if (stat(path, &of_text) == 0 && stat(database, &of_database) == 0 &&
        of_text.st_dev == of_database.st_dev && of_text.st_ino == of_database.st_ino)
        return lido_fail(&call->err, SQLITE_MISUSE, "%.150s is the database itself", path);
    stream->file = open(path, O_RDONLY | O_CLOEXEC);
    if (stream->file < 0)
        return fail_os(&call->err, SQLITE_CANTOPEN, "read", path);
    look_at(stream);
    return LIDO_OK;
}

int stream_read(struct stream *stream, char *buffer, size_t size, size_t *length,
                struct lido_error *err)
{
    ssize_t got;
    int rc;

    do {
        rc = await(stream, POLLIN, "reading", err);
        if (rc != LIDO_OK)
            return rc;
        got = read(stream->file, buffer, size);
    } while (got < 0 && (errno == EINTR || errno == EAGAIN));
    if (got < 0)
        return fail_os(err, SQLITE_IOERR_READ, "read", name_of(stream, "standard input"));
    *length = (size_t)got;
    stream->bytes += (uint64_t)got;
    return LIDO_OK;
}

/* --- out ------------------------------------------------------------------------------- */

static int fail_taken(struct stream *stream)
{
    return lido_fail(&stream->call->err, SQLITE_CANTOPEN,
                     "%.150s exists already: choose another name, or say --replace",
                     stream->path);
}

/* Whoever has a database open would write on into a file without a name. */
static int check_replaced(struct stream *stream)
{
    struct lido_check_options options = LIDO_CHECK_OPTIONS_INIT;
    struct lido_check check = LIDO_CHECK_INIT;
    struct lido_error *err = &stream->call->err;
    struct lido_file file = LIDO_FILE_INIT;
    int rc = lido_file_look(stream->path, &file, err);

    if (rc != LIDO_OK || (file.kind == LIDO_FILE_MISSING && !file.is_link))
        return rc;
    if (!stream->may_replace)
        return fail_taken(stream);
    if (file.kind != LIDO_FILE_REGULAR || file.is_link)
        return lido_fail(err, SQLITE_CANTOPEN, "%.150s is no ordinary file of this user's",
                         stream->path);
    options.depth = LIDO_DEPTH_HEADER;
    options.lock_timeout_ms = 0;
    rc = lido_check(lido_at_path(stream->path), &options, &check, err);
    if (rc != LIDO_OK || check.verdict == LIDO_CHECK_NOT_SQLITE ||
        check.verdict == LIDO_CHECK_EMPTY || check.verdict == LIDO_CHECK_ENCRYPTED)
        return rc;
    return lido_fail(err, SQLITE_CANTOPEN,
                     "%.150s is a database, which somebody may have open: remove it first",
                     stream->path);
}

/* mkstemp() lets the owner read it alone; others only if they are the same as before. */
static void dress(struct stream *stream, const char *database)
{
    struct stat source, made;

    if (stat(database, &source) == 0 && fstat(stream->file, &made) == 0 &&
        source.st_uid == made.st_uid && source.st_gid == made.st_gid &&
        fchmod(stream->file, (source.st_mode & 0666) | S_IRUSR | S_IWUSR) != 0)
        return; /* it stays the owner's alone */
}

int stream_write_to(struct stream *stream, struct call *call, const char *path,
                    bool may_replace, const char *database)
{
    const char *name;
    int rc;

    *stream = (struct stream){
        .call = call, .file = STDOUT_FILENO, .path = path, .may_replace = may_replace
    };
    if (path == NULL) {
        look_at(stream);
        return LIDO_OK;
    }
    stream->file = -1;
    rc = check_replaced(stream);
    if (rc != LIDO_OK)
        return rc;
    name = strrchr(path, '/');
    name = name == NULL ? path : name + 1;
    if (name[0] == '\0' || snprintf(stream->temporary, STREAM_PATH, "%.*s.%s.XXXXXX",
                                    (int)(name - path), path, name) >= STREAM_PATH) {
        stream->temporary[0] = '\0';
        return lido_fail(&call->err, SQLITE_CANTOPEN, "%.150s is no name for a file", path);
    }
    stream->file = mkostemp(stream->temporary, O_CLOEXEC);
    if (stream->file < 0) {
        stream->temporary[0] = '\0';
        return fail_os(&call->err, SQLITE_CANTOPEN, "make a file beside", path);
    }
    stream->is_regular = true;
    dress(stream, database);
    return LIDO_OK;
}

static int fail_write(struct stream *stream, struct lido_error *err)
{
    const int number = errno;

    /* As who is not asked dies by the signal, and has nothing to say. */
    if (number == EPIPE)
        stream->call->answer = CLI_SIGNALLED + SIGPIPE;
    return fail_os(err,
                   number == ENOSPC || number == EDQUOT || number == EFBIG
                       ? SQLITE_FULL
                       : SQLITE_IOERR_WRITE,
                   "write", name_of(stream, "standard output"));
}

static int flush(struct stream *stream, struct lido_error *err)
{
    size_t at = 0;

    while (at < stream->filled) {
        size_t some = stream->filled - at;
        ssize_t put;
        int rc = await(stream, POLLOUT, "writing", err);

        if (rc != LIDO_OK)
            return rc;
        if (!stream->is_regular && some > PIPE_BUF)
            some = PIPE_BUF;
        put = write(stream->file, stream->buffer + at, some);
        if (put < 0 && errno != EINTR && errno != EAGAIN)
            return fail_write(stream, err);
        at += put > 0 ? (size_t)put : 0;
    }
    stream->filled = 0;
    return LIDO_OK;
}

int stream_write(struct stream *stream, const char *text, size_t length,
                 struct lido_error *err)
{
    stream->bytes += length;
    while (length > 0) {
        size_t some = STREAM_ROOM - stream->filled;
        int rc;

        if (some > length)
            some = length;
        memcpy(stream->buffer + stream->filled, text, some);
        stream->filled += some;
        text += some;
        length -= some;
        if (stream->filled < STREAM_ROOM)
            continue;
        rc = flush(stream, err);
        if (rc != LIDO_OK)
            return rc;
    }
    return LIDO_OK;
}

int stream_rename_to_free(const char *from, const char *to)
{
    if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0)
        return 0;
    if (errno != EINVAL && errno != ENOSYS)
        return -1;
    return link(from, to) == 0 ? unlink(from) : -1;
}

int stream_keep(struct stream *stream)
{
    struct lido_error *err = &stream->call->err;
    int rc = flush(stream, err);

    if (rc != LIDO_OK || stream->path == NULL)
        return rc;
    if (fsync(stream->file) != 0)
        return fail_write(stream, err);
    if ((stream->may_replace ? rename(stream->temporary, stream->path)
                             : stream_rename_to_free(stream->temporary, stream->path)) != 0)
        return errno == EEXIST
                   ? fail_taken(stream)
                   : fail_os(err, SQLITE_CANTOPEN, "give the text its name", stream->path);
    stream->temporary[0] = '\0';
    return LIDO_OK;
}

void stream_end(struct stream *stream)
{
    if (stream->file > STDERR_FILENO)
        close(stream->file);
    if (stream->temporary[0] != '\0')
        unlink(stream->temporary);
    stream->file = -1;
}
