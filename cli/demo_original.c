/* SPDX-License-Identifier: MIT */
/*
 * The original: looked at, copied from, and otherwise left alone.
 *
 * SQLite reads it "immutable", which takes no lock and makes no file; that is right only
 * while nobody writes to it and nothing waits in a log or journal beside it.  Those are the
 * reasons for a refusal:
 *
 *     a lock of another process     by fcntl(F_GETLK) on the bytes that SQLite locks
 *     app.db-wal that is not empty  commits that the file does not hold yet
 *     app.db-journal that is hot    half a transaction that must be rolled back first
 *
 * Asking for locks needs a descriptor, and closing any descriptor of a file drops the locks
 * that its process has on it, SQLite's too.  So a forked child opens, asks and ends.  A
 * child, too, reads the journal's first byte: a journal that PERSIST left behind has a zero
 * there and is no reason to refuse.
 *
 * Threads: one; the fork must find no other thread and no pool.
 */
#include "cli/demo.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* https://sqlite.org/src/doc/trunk/src/os.h: what SQLite locks in a database file. */
enum {
    PENDING_BYTE = 0x40000000,
    SHARED_FIRST = PENDING_BYTE + 2, /* RESERVED is the byte between */
    SHARED_SIZE = 510,
};

enum holder { NOBODY, WRITER, READER };

/* What the child found. */
struct probe {
    int sys_errno; /* not 0: it could not look */
    bool is_readable;
    enum holder holder;
    int64_t pid; /* 0: not told */
    bool is_journal_hot;
};

/* Is a lock there?  0, or errno. */
static int ask_lock(int fd, off_t start, off_t length, struct flock *lock)
{
    memset(lock, 0, sizeof *lock);
    lock->l_type = F_WRLCK; /* only asked for, never taken: any lock is in its way */
    lock->l_whence = SEEK_SET;
    lock->l_start = start;
    lock->l_len = length;
    return fcntl(fd, F_GETLK, lock) == 0 ? 0 : errno;
}

static void look(struct probe *probe, const char *path, const char *journal)
{
    struct flock lock;
    unsigned char first = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0) {
        probe->sys_errno = errno;
        return;
    }
    probe->is_readable = true;
    probe->sys_errno = ask_lock(fd, PENDING_BYTE, 2, &lock);
    if (probe->sys_errno == 0 && lock.l_type != F_UNLCK) {
        probe->holder = WRITER;
    } else if (probe->sys_errno == 0) {
        probe->sys_errno = ask_lock(fd, SHARED_FIRST, SHARED_SIZE, &lock);
        if (probe->sys_errno == 0 && lock.l_type != F_UNLCK)
            probe->holder = lock.l_type == F_WRLCK ? WRITER : READER;
    }
    /* -1 is a lock of an open file description, 0 a process of another pid namespace. */
    if (probe->holder != NOBODY && lock.l_pid > 0)
        probe->pid = lock.l_pid;

    fd = open(journal, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd >= 0)
        probe->is_journal_hot = read(fd, &first, 1) == 1 && first != 0;
    else
        probe->is_journal_hot = errno != ENOENT;
}

/* Looks in a child.  0 or errno of what kept it from looking. */
static int look_in_child(struct probe *probe, const char *path, const char *journal)
{
    int ends[2], status, saved = 0;
    ssize_t got;
    pid_t child;

    if (pipe(ends) != 0)
        return errno;
    child = fork();
    if (child == 0) {
        struct probe found;

        memset(&found, 0, sizeof found);
        look(&found, path, journal);
        _exit(write(ends[1], &found, sizeof found) == (ssize_t)sizeof found ? 0 : 1);
    }
    if (child < 0)
        saved = errno;
    close(ends[1]);
    if (child > 0) {
        do
            got = read(ends[0], probe, sizeof *probe);
        while (got < 0 && errno == EINTR);
        if (got != (ssize_t)sizeof *probe)
            saved = EIO;
        while (waitpid(child, &status, 0) < 0 && errno == EINTR)
            continue;
    }
    close(ends[0]);
    return saved;
}

/* The size of the file `path` with `suffix` behind it, or -1. */
static int64_t size_beside(const char *path, const char *suffix, char *name, size_t size)
{
    struct stat there;

    if ((size_t)snprintf(name, size, "%s%s", path, suffix) >= size ||
        stat(name, &there) != 0)
        return -1;
    return there.st_size;
}

static int refuse(const struct demo_original *original, const struct probe *probe,
                  int64_t wal, int64_t journal, struct demo_error *error)
{
    const char *path = original->path;
    char who[64] = "another process";

    if (probe->pid > 0)
        snprintf(who, sizeof who, "process %lld", (long long)probe->pid);
    if (wal > 0 && probe->holder != NOBODY)
        return demo_fail(error, CLI_BUSY,
                         "'%s' is in use: %s has it open, with %lld bytes in its "
                         "write-ahead log (-wal)",
                         path, who, (long long)wal);
    if (probe->holder == WRITER)
        return demo_fail(error, CLI_BUSY, "'%s' is locked: %s is writing to it", path, who);
    if (probe->holder == READER)
        return demo_fail(error, CLI_BUSY,
                         "'%s' is locked: %s reads it, or has it open in WAL mode", path,
                         who);
    if (wal > 0)
        return demo_fail(
            error, CLI_BUSY,
            "'%s' has a write-ahead log (-wal) of %lld bytes that is not in the "
            "file yet; open and close it with SQLite once to bring it in",
            path, (long long)wal);
    if (journal > 0 && probe->is_journal_hot)
        return demo_fail(
            error, CLI_BUSY,
            "'%s' has a hot journal (-journal) of %lld bytes: a transaction was "
            "cut off and must be rolled back; open it with SQLite once for that",
            path, (long long)journal);
    return CLI_OK;
}

int demo_original_recheck(const struct demo_original *original, struct demo_error *error)
{
    char name[PATH_MAX + 16];
    int64_t wal = size_beside(original->path, "-wal", name, sizeof name);
    int64_t journal = size_beside(original->path, "-journal", name, sizeof name);
    struct probe probe;
    int sys_errno;

    memset(&probe, 0, sizeof probe);
    sys_errno = look_in_child(&probe, original->path, name);
    if (sys_errno != 0)
        return demo_fail(error, CLI_FAILED, "could not start a process to look at '%s': %s",
                         original->path, strerror(sys_errno));
    if (!probe.is_readable)
        return demo_fail(error, CLI_NO_DATABASE, "'%s' cannot be read: %s", original->path,
                         strerror(probe.sys_errno));
    if (probe.sys_errno != 0)
        return demo_fail(error, CLI_FAILED, "the locks of '%s' cannot be asked for: %s",
                         original->path, strerror(probe.sys_errno));
    return refuse(original, &probe, wal, journal, error);
}

static int compare_names(const void *left, const void *right)
{
    return strcmp(*(char *const *)left, *(char *const *)right);
}

/* The names in the file's directory that begin with its own, one on a line: all that SQLite
   ever makes beside a database is named so, and what others make there is theirs. */
static char *names_beside(const char *path)
{
    const char *base = strrchr(path, '/') + 1;
    char *dir = strndup(path, (size_t)(base - path));
    char **names = NULL, *text = NULL;
    size_t n = 0, length = 1;
    DIR *entries = dir == NULL ? NULL : opendir(dir);
    struct dirent *entry;
    bool is_whole = entries != NULL;

    while (is_whole && (entry = readdir(entries)) != NULL) {
        char **more;

        if (strncmp(entry->d_name, base, strlen(base)) != 0)
            continue;
        more = realloc(names, (n + 1) * sizeof *names);
        if (more != NULL) {
            names = more;
            names[n] = strdup(entry->d_name);
        }
        is_whole = more != NULL && names[n] != NULL;
        if (is_whole)
            length += strlen(names[n++]) + 1;
    }
    if (is_whole)
        text = calloc(1, length);
    if (text != NULL) {
        char *at = text;

        if (n > 1)
            qsort(names, n, sizeof *names, compare_names);
        for (size_t i = 0; i < n; i++)
            at += sprintf(at, "%s\n", names[i]);
    }
    for (size_t i = 0; i < n; i++)
        free(names[i]);
    free(names);
    free(dir);
    if (entries != NULL)
        closedir(entries);
    return text;
}

/* Looks until nobody uses it or the time is over. */
static int await_free(const struct demo_original *original, double timeout,
                      struct demo_error *error)
{
    const struct timespec pause = { 0, 20000000 };
    const int64_t end_ns = cli_now_ns() + (int64_t)(timeout * 1e9);

    for (;;) {
        const int answer = demo_original_recheck(original, error);

        if (answer != CLI_BUSY || cli_now_ns() >= end_ns)
            return answer;
        *error = (struct demo_error){ .answer = CLI_OK };
        if (demo_interrupted(error) != CLI_OK)
            return error->answer;
        nanosleep(&pause, NULL);
    }
}

int demo_original_find(struct demo_original *original, const char *name, double timeout,
                       struct demo_error *error)
{
    struct stat *file = &original->before.file;

    memset(original, 0, sizeof *original);
    original->path = realpath(name, NULL);
    error->code = original->path == NULL && errno == ENOENT ? LIDO_NOT_FOUND : LIDO_OK;
    if (original->path == NULL || stat(original->path, file) != 0)
        return demo_fail(error, CLI_NO_DATABASE, "'%s' cannot be opened: %s", name,
                         strerror(errno));
    if (S_ISDIR(file->st_mode))
        return demo_fail(error, CLI_NO_DATABASE, "'%s' is a directory", name);
    if (!S_ISREG(file->st_mode))
        return demo_fail(error, CLI_NO_DATABASE, "'%s' is not a regular file", name);
    if (file->st_size == 0)
        return demo_fail(error, CLI_NO_DATABASE,
                         "'%s' is empty: it is not a database until a table is made in it",
                         name);
    original->before.names = names_beside(original->path);
    return await_free(original, timeout, error);
}

bool demo_original_is_untouched(const struct demo_original *original, char *difference,
                                size_t size)
{
    const struct stat *was = &original->before.file;
    struct stat is;
    char *names;
    bool is_same;

    if (stat(original->path, &is) != 0) {
        snprintf(difference, size, "it cannot be found: %s", strerror(errno));
        return false;
    }
    if (is.st_ino != was->st_ino || is.st_dev != was->st_dev) {
        snprintf(difference, size, "another file is in its place");
        return false;
    }
    if (is.st_size != was->st_size) {
        snprintf(difference, size, "its size was %lld and is %lld bytes",
                 (long long)was->st_size, (long long)is.st_size);
        return false;
    }
    if (is.st_mtim.tv_sec != was->st_mtim.tv_sec ||
        is.st_mtim.tv_nsec != was->st_mtim.tv_nsec) {
        snprintf(difference, size, "it was written to");
        return false;
    }
    names = names_beside(original->path);
    /* A directory that cannot be listed was not listed before either. */
    is_same = names == NULL || original->before.names == NULL
                  ? names == original->before.names
                  : strcmp(names, original->before.names) == 0;
    if (!is_same)
        snprintf(difference, size, "the files beside it are not the same");
    free(names);
    return is_same;
}

void demo_original_fini(struct demo_original *original)
{
    free(original->path);
    free(original->before.names);
    memset(original, 0, sizeof *original);
}
