/* SPDX-License-Identifier: MIT */
/*
 * The child that reads database files: it opens, reads, asks for locks, copies and ends.
 *
 * The child of a process with threads may call nothing that takes a lock, so it makes no
 * call but those that are safe in a signal handler; names and buffer are made before the
 * fork.  All its signals are blocked but SIGKILL, by which it is ended early, and of the
 * files that it inherits it keeps only the pipe's end to write to: if this process dies it
 * finds nobody there who reads, and ends.
 *
 * Threads: any.
 */
#include "housekeeping/child.h"

#include "base/alloc.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#if defined(__linux__)
#include <linux/fs.h>
#endif

#define PENDING_BYTE  0x40000000
#define RESERVED_BYTE (PENDING_BYTE + 1)
#define SHARED_FIRST  (PENDING_BYTE + 2)
#define SHARED_SIZE   510

#define BUFFER_SIZE ((size_t)256 * 1024)
#define ASK_MS      50 /* how often a cancel is looked for */
#define WAL_HEADER  32
#define ALL         INT64_MAX /* bytes */

enum {
    SAID_PROGRESS,
    SAID_LOOKED,
    SAID_COPIED,
    SAID_CHANGED,
    SAID_NOT_READ,
    SAID_NOT_WRITTEN
};

/* From the child: progress, any number of times, and one other. */
struct message {
    int what;
    int sys_errno;
    uint64_t done;
    uint64_t cloned; /* of these, such as nobody moved */
    union {
        struct lido__looked looked;
        struct lido__copied copied;
    };
};

struct task {
    const struct lido__names *from, *to; /* to NULL: look */
    bool is_pinned;
    int64_t rate; /* bytes a second at most; 0: no bound */
    int64_t began_ns;
    char *buffer;
    int pipe;
};

struct child {
    pid_t pid;
    int pipe;
};

/* --- in the child ---------------------------------------------------------------------- */

/* GCOV_EXCL_START: it ends by _exit(), which writes no counts. */

static _Noreturn void say(const struct task *task, struct message *message, int what)
{
    const char *bytes = (const char *)message;
    size_t done = 0;

    message->what = what;
    while (done < sizeof *message) {
        ssize_t n = write(task->pipe, bytes + done, sizeof *message - done);

        if (n <= 0)
            break;
        done += (size_t)n;
    }
    _exit(0);
}

static void say_done(const struct task *task, struct message *message)
{
    message->what = SAID_PROGRESS;
    if (write(task->pipe, message, sizeof *message) < 0)
        _exit(1); /* nobody listens */
}

static int open_to_read(const char *name)
{
    return open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
}

/* A byte range that another process holds so that `type` is not to be had. */
static bool is_held(int fd, short type, off_t start, off_t length)
{
    struct flock lock;

    memset(&lock, 0, sizeof lock);
    lock.l_type = type;
    lock.l_whence = SEEK_SET;
    lock.l_start = start;
    lock.l_len = length;
    return fcntl(fd, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

static void ask_locks(int fd, struct lido__looked *out)
{
    out->is_exclusive |= is_held(fd, F_RDLCK, PENDING_BYTE, 1) ||
                         is_held(fd, F_RDLCK, SHARED_FIRST, SHARED_SIZE);
    out->is_reserved |= is_held(fd, F_RDLCK, RESERVED_BYTE, 1);
    out->is_in_use |= is_held(fd, F_WRLCK, PENDING_BYTE, 2 + SHARED_SIZE);
}

/* -1, and why in errno: it is not known whether there is one. */
static int64_t size_of(const char *name)
{
    struct stat status;

    if (stat(name, &status) != 0)
        return errno == ENOENT ? 0 : -1;
    return S_ISREG(status.st_mode) ? (int64_t)status.st_size : 0;
}

static int64_t in_ns(const struct timespec *at)
{
    return (int64_t)at->tv_sec * 1000000000 + at->tv_nsec;
}

/* The file cannot be looked at, or what stands beside it: errno says why. */
static _Noreturn void say_unknown(const struct task *task, struct message *message)
{
    const int number = errno;

    memset(message, 0, sizeof *message);
    message->looked.sys_errno = number;
    say(task, message, SAID_LOOKED);
}

/* Locks are asked before and after: who committed in between is seen by either, or by the size
   that is no more what it was. */
static _Noreturn void look(const struct task *task)
{
    struct message message;
    struct lido__looked *out = &message.looked;
    struct stat status;
    ssize_t n;
    int fd, journal;

    memset(&message, 0, sizeof message);
    fd = open_to_read(task->from->main);
    if (fd < 0 || fstat(fd, &status) != 0)
        say_unknown(task, &message);
    if (!S_ISREG(status.st_mode)) {
        out->sys_errno = EISDIR;
        say(task, &message, SAID_LOOKED);
    }
    ask_locks(fd, out);
    /* The journal before the header: one that ends between the two leaves a sound file. */
    out->journal_bytes = size_of(task->from->journal);
    if (out->journal_bytes < 0)
        say_unknown(task, &message);
    journal = out->journal_bytes > 0 ? open_to_read(task->from->journal) : -1;
    if (journal < 0 && errno == ENOENT)
        out->journal_bytes = 0; /* it ended meanwhile */
    if (out->journal_bytes > 0 &&
        (journal < 0 || pread(journal, out->journal_head, sizeof out->journal_head, 0) < 0))
        say_unknown(task, &message);
    n = pread(fd, out->head, sizeof out->head, 0);
    if (n < 0 || fstat(fd, &status) != 0)
        say_unknown(task, &message);
    out->n_head = (size_t)n;
    out->device = (uint64_t)status.st_dev;
    out->inode = (uint64_t)status.st_ino;
    out->bytes = (int64_t)status.st_size;
    out->changed_ns = in_ns(&status.st_mtim);
    out->status_ns = in_ns(&status.st_ctim);
    out->wal_bytes = size_of(task->from->wal);
    if (out->wal_bytes < 0)
        say_unknown(task, &message);
    ask_locks(fd, out);
    say(task, &message, SAID_LOOKED);
}

static int make(const struct task *task, struct message *message, const char *name,
                int flags)
{
    const int fd = open(name, O_WRONLY | O_CLOEXEC | O_NOFOLLOW | flags, 0600);

    message->sys_errno = errno;
    if (fd < 0)
        say(task, message, SAID_NOT_WRITTEN);
    if ((flags & O_CREAT) != 0)
        fchmod(fd, 0600); /* an umask may have taken it from the owner too */
    message->sys_errno = 0;
    return fd;
}

static int64_t now_ns(void)
{
    struct timespec now = { 0 };

    clock_gettime(CLOCK_MONOTONIC, &now);
    return in_ns(&now);
}

/* Who no longer wants it ends the child; the pipe tells if nobody is there. */
static void pace(const struct task *task, uint64_t done)
{
    struct pollfd nobody_reads = { task->pipe, 0, 0 };
    double left_ms;

    if (task->rate == 0)
        return;
    left_ms =
        (double)done / (double)task->rate * 1e3 - (double)(now_ns() - task->began_ns) / 1e6;
    if (left_ms > 0)
        poll(&nobody_reads, 1, left_ms < INT_MAX ? (int)left_ms + 1 : INT_MAX);
}

/* To the end that is found, or of `most` bytes. */
static void copy(const struct task *task, struct message *message, int from, int to,
                 off_t most)
{
    off_t at = 0;
    ssize_t n = 0;

    while (at < most) {
        const size_t wanted =
            most - at < (off_t)BUFFER_SIZE ? (size_t)(most - at) : BUFFER_SIZE;
        ssize_t done = 0;

        n = pread(from, task->buffer, wanted, at);
        if (n <= 0)
            break;
        while (done < n) {
            ssize_t more = write(to, task->buffer + done, (size_t)(n - done));

            message->sys_errno = errno;
            if (more <= 0)
                say(task, message, SAID_NOT_WRITTEN);
            done += more;
        }
        at += n;
        message->done += (uint64_t)n;
        say_done(task, message);
        pace(task, message->done - message->cloned);
    }
    message->sys_errno = errno;
    if (n < 0)
        say(task, message, SAID_NOT_READ);
    message->sys_errno = 0;
}

/* Is the name still that of the open file, or still of none? */
static bool is_same_file(int fd, const char *name)
{
    struct stat now, then;

    if (stat(name, &now) != 0)
        return fd < 0;
    return fd >= 0 && fstat(fd, &then) == 0 && now.st_dev == then.st_dev &&
           now.st_ino == then.st_ino;
}

static _Noreturn void copy_both(const struct task *task)
{
    const int fd = open_to_read(task->from->main);
    unsigned char before[WAL_HEADER], after[WAL_HEADER];
    struct message message;
    struct stat first, last;
    bool is_same = true;
    int wal;

    memset(&message, 0, sizeof message);
    memset(before, 0, sizeof before);
    memset(after, 0, sizeof after);
    if (fd < 0 || fstat(fd, &first) != 0) {
        message.sys_errno = errno;
        say(task, &message, SAID_NOT_READ);
    }
    wal = open_to_read(task->from->wal);
    if (wal < 0 && errno != ENOENT) {
        message.sys_errno = errno;
        say(task, &message, SAID_NOT_READ);
    }
    if (wal >= 0 && pread(wal, before, sizeof before, 0) < 0)
        say(task, &message, SAID_CHANGED);
    copy(task, &message, fd, make(task, &message, task->to->main, O_CREAT | O_EXCL), ALL);
    if (wal >= 0) {
        const int to = make(task, &message, task->to->wal, O_CREAT | O_EXCL);

        /* What is added from now on is of later moments, and there may be no end of it. */
        if (fstat(wal, &last) != 0) {
            message.sys_errno = errno;
            say(task, &message, SAID_NOT_READ);
        }
        copy(task, &message, wal, to, last.st_size);
        is_same = pread(wal, after, sizeof after, 0) >= 0;
    }
    if (wal < 0 || memcmp(before, (unsigned char[WAL_HEADER]){ 0 }, WAL_HEADER) == 0)
        /* There was nothing in the WAL: the main file must not have changed at all. */
        is_same = is_same && fstat(fd, &last) == 0 && first.st_size == last.st_size &&
                  in_ns(&first.st_mtim) == in_ns(&last.st_mtim);
    is_same = is_same && memcmp(before, after, sizeof before) == 0 &&
              is_same_file(wal, task->from->wal) && is_same_file(fd, task->from->main);
    say(task, &message, is_same ? SAID_COPIED : SAID_CHANGED);
}

/* The blocks become those of both files, where the file system can do that. */
static bool clone_blocks(int from, int to)
{
#if defined(FICLONE)
    return ioctl(to, FICLONE, from) == 0;
#else
    (void)from, (void)to;
    return false;
#endif
}

/* Why it is right is said where it is used. */
static _Noreturn void copy_pinned(const struct task *task)
{
    const int fd = open_to_read(task->from->main);
    const int fd_errno = errno;
    const int wal = open_to_read(task->from->wal);
    unsigned char before[WAL_HEADER] = { 0 }, after[WAL_HEADER] = { 0 };
    struct message message;
    struct stat status;
    int to;

    memset(&message, 0, sizeof message);
    message.sys_errno = fd < 0 ? fd_errno : errno;
    if (fd < 0 || (wal < 0 && errno != ENOENT) || fstat(fd, &status) != 0)
        say(task, &message, SAID_NOT_READ);
    if (wal >= 0 && pread(wal, before, sizeof before, 0) < 0)
        say(task, &message, SAID_NOT_READ);
    to = make(task, &message, task->to->main, 0);
    message.copied.is_cloned = clone_blocks(fd, to);
    if (message.copied.is_cloned)
        message.done = message.cloned = (uint64_t)status.st_size;
    else
        copy(task, &message, fd, to, ALL);
    if (wal >= 0) {
        to = make(task, &message, task->to->wal, O_CREAT | O_EXCL);
        message.sys_errno = errno;
        if (fstat(wal, &status) != 0)
            say(task, &message, SAID_NOT_READ);
        copy(task, &message, wal, to, status.st_size);
        if (pread(wal, after, sizeof after, 0) < 0)
            say(task, &message, SAID_NOT_READ);
    }
    message.copied.is_log_anew = memcmp(before, after, sizeof before) != 0;
    if (message.copied.is_log_anew && unlink(task->to->wal) != 0)
        say(task, &message, SAID_NOT_WRITTEN);
    message.copied.is_changed =
        !is_same_file(wal, task->from->wal) || !is_same_file(fd, task->from->main);
    say(task, &message, SAID_COPIED);
}

/* Others wait for the end of pipes that this process has: the child must not hold them, nor
   the end that it is to read from.  A host without the first three files has its pipes there:
   these are closed too. */
static void keep_only(struct task *task, int other_end)
{
    close(other_end);
#if defined(SYS_close_range)
    if (dup2(task->pipe, 0) == 0) {
        task->pipe = 0;
        syscall(SYS_close_range, 1U, ~0U, 0U);
    }
#endif
}

/* GCOV_EXCL_STOP */

/* --- in this process ------------------------------------------------------------------- */

static int fail(struct lido_error *err, int code, int number, const char *doing,
                const char *name)
{
    const int rc = lido_fail(err, code, "%s %.120s: %s", doing, name,
                             lido__reason(number, (char[LIDO__REASON_SIZE]){ 0 }));

    if (err != NULL)
        err->sys_errno = number;
    return rc;
}

static int start(struct child *child, struct task *task, struct lido_error *err)
{
    sigset_t all, before;
    int ends[2] = { -1, -1 }, number;

    if (pipe2(ends, O_CLOEXEC) != 0)
        return fail(err, SQLITE_IOERR, errno, "no pipe to read", task->from->main);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    child->pid = fork();
    number = errno;
    if (child->pid == 0) {
        task->pipe = ends[1];
        keep_only(task, ends[0]);
        if (task->to == NULL)
            look(task);
        if (task->is_pinned)
            copy_pinned(task);
        copy_both(task);
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    close(ends[1]);
    child->pipe = ends[0];
    if (child->pid > 0)
        return LIDO_OK;
    close(ends[0]);
    return fail(err, SQLITE_IOERR, number, "no child to read", task->from->main);
}

/* A host that waits for any child may have been faster: then there is nothing to wait for.  One
   that has said all ends by itself, and its number may be another's already; so may be that of
   one whose end of the pipe is closed. */
static void end(struct child *child, bool has_ended)
{
    struct pollfd other_end = { child->pipe, 0, 0 };

    if (!has_ended && poll(&other_end, 1, 0) != 1)
        kill(child->pid, SIGKILL);
    while (waitpid(child->pid, NULL, 0) < 0 && errno == EINTR)
        continue;
    close(child->pipe);
}

static int hear(struct child *child, struct lido__work *work, struct message *message,
                bool *has_ended, const char *name, struct lido_error *err)
{
    struct pollfd ready = { child->pipe, POLLIN, 0 };
    size_t done = 0;

    while (done < sizeof *message) {
        ssize_t n;
        int rc = lido__work_check(work, err);

        if (rc != LIDO_OK)
            return rc;
        rc = poll(&ready, 1, ASK_MS);
        if (rc < 0 && errno != EINTR && errno != EAGAIN)
            return fail(err, SQLITE_IOERR, errno, "cannot wait for the child that reads",
                        name);
        if (rc <= 0)
            continue;
        n = read(child->pipe, (char *)message + done, sizeof *message - done);
        if (n < 0 && errno == EINTR)
            continue;
        *has_ended = n <= 0;
        if (n <= 0)
            return lido_fail(err, SQLITE_IOERR,
                             "the child that was to read %.120s ended before it was done",
                             name);
        done += (size_t)n;
    }
    return LIDO_OK;
}

static int run(struct task *task, struct lido__work *work, struct message *message,
               struct lido_error *err)
{
    struct child child = { .pipe = -1 };
    bool has_ended = false;
    int rc = start(&child, task, err);

    if (rc != LIDO_OK)
        return rc;
    do {
        rc = hear(&child, work, message, &has_ended, task->from->main, err);
        has_ended |= rc == LIDO_OK && message->what != SAID_PROGRESS;
        if (rc == LIDO_OK && message->what == SAID_PROGRESS)
            rc = lido__work_at(work, message->done, err);
    } while (rc == LIDO_OK && message->what == SAID_PROGRESS);
    end(&child, has_ended);
    return rc;
}

int lido__names_of(struct lido__names *names, const char *path, struct lido_error *err)
{
    memset(names, 0, sizeof *names);
    if (realpath(path, names->main) == NULL)
        return fail(err, errno == ENAMETOOLONG ? SQLITE_TOOBIG : SQLITE_CANTOPEN, errno,
                    "cannot follow", path);
    snprintf(names->wal, sizeof names->wal, "%s-wal", names->main);
    snprintf(names->journal, sizeof names->journal, "%s-journal", names->main);
    return LIDO_OK;
}

int lido__child_look(const struct lido__names *names, struct lido__work *work,
                     struct lido__looked *out, struct lido_error *err)
{
    struct task task = { .from = names, .pipe = -1 };
    struct message message;
    int rc = run(&task, work, &message, err);

    if (rc == LIDO_OK)
        *out = message.looked;
    return rc;
}

static int run_copy(const struct lido__names *from, const struct lido__names *to,
                    bool is_pinned, int64_t rate, struct lido__work *work,
                    struct message *message, struct lido_error *err)
{
    struct task task = { from, to, is_pinned, rate, now_ns(), lido__new(BUFFER_SIZE), -1 };
    int rc;

    if (task.buffer == NULL)
        return lido_fail(err, SQLITE_NOMEM, "no memory to copy %.150s", from->main);
    rc = run(&task, work, message, err);
    lido__free(task.buffer);
    if (rc != LIDO_OK)
        return rc;
    if (message->what == SAID_NOT_READ)
        return fail(err, SQLITE_IOERR_READ, message->sys_errno, "cannot read", from->main);
    if (message->what == SAID_NOT_WRITTEN)
        return fail(err,
                    message->sys_errno == ENOSPC || message->sys_errno == EDQUOT ||
                            message->sys_errno == EFBIG
                        ? SQLITE_FULL
                        : SQLITE_IOERR,
                    message->sys_errno, "cannot write the copy", to->main);
    return LIDO_OK;
}

int lido__child_copy(const struct lido__names *from, const struct lido__names *to,
                     struct lido__work *work, bool *is_changed, struct lido_error *err)
{
    struct message message = { .what = SAID_PROGRESS };
    int rc = run_copy(from, to, false, 0, work, &message, err);

    if (rc == LIDO_OK)
        *is_changed = message.what == SAID_CHANGED;
    return rc;
}

int lido__child_copy_pinned(const struct lido__names *from, const struct lido__names *to,
                            int64_t rate, struct lido__work *work, struct lido__copied *out,
                            struct lido_error *err)
{
    struct message message = { .what = SAID_PROGRESS };
    int rc = run_copy(from, to, true, rate, work, &message, err);

    if (rc == LIDO_OK)
        *out = message.copied;
    return rc;
}
