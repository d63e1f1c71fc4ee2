/* SPDX-License-Identifier: MIT */
/*
 * Who has the lock: the process that SQLite waited for in vain.
 *
 * The kernel names the holder of a lock that is asked for by F_GETLK, and passes over those of
 * this process, for whom the write gate and the list of leases speak.  What it is asked by is a
 * descriptor of SQLite's own, found among all of this process by device and inode: one that is
 * opened here for it would drop all locks of this process on the file when it is closed.  So
 * none is opened, duplicated or closed.  Another thread may close it meanwhile, and its number
 * may be another file's by then: it is looked at again after each answer.
 *
 * The bytes are those of SQLite's format, and differ with the use that was refused: a reader is
 * in the way of a commit with a rollback journal and of nothing else, so it is named for that
 * alone.  With a log every open connection has the lock of a reader on the main file, and who
 * writes stands in the `-shm`.
 *
 * It is a moment later than the refusal: a holder that has ended since is not found, and
 * another may have come.
 *
 * Threads: the one that uses the connection.
 */
#include "housekeeping/lockers.h"

#include "housekeeping/stored.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PENDING_BYTE  0x40000000
#define RESERVED_BYTE (PENDING_BYTE + 1)
#define SHARED_FIRST  (PENDING_BYTE + 2)
#define SHARED_SIZE   510
#define WAL_WRITE     120
#define WAL_RECOVER   122

#define ANY_USE (LIDO__USE_READ | LIDO__USE_WRITE | LIDO__USE_COMMIT)
#define WRITES  (LIDO__USE_WRITE | LIDO__USE_COMMIT)

#define FIRST_OURS 128 /* in the second byte of a code, see lido/status.h */

/* A lock that another process may have so that `type` is not to be had. */
struct question {
    int uses; /* that it is in the way of */
    short type;
    off_t start, length;
    const char *does;
};

/* In this order: who has the first has the next as well.  The first is that of a commit with a
   rollback journal, and of locking_mode=EXCLUSIVE with or without a log. */
static const struct question of_main[] = {
    { ANY_USE, F_RDLCK, SHARED_FIRST, SHARED_SIZE, "has it for itself" },
    { ANY_USE, F_RDLCK, PENDING_BYTE, 1, "writes it" },
    { WRITES, F_RDLCK, RESERVED_BYTE, 1, "writes it" },
};
static const struct question of_readers[] = {
    { LIDO__USE_COMMIT, F_WRLCK, SHARED_FIRST, SHARED_SIZE, "reads it" },
};
static const struct question of_log[] = {
    { ANY_USE, F_RDLCK, WAL_RECOVER, 1, "recovers it" },
    { WRITES, F_RDLCK, WAL_WRITE, 1, "writes it" },
};
#define COUNT(questions) (sizeof(questions) / sizeof((questions)[0]))

static bool is_of(int fd, const struct stat *file)
{
    struct stat now;

    return fstat(fd, &now) == 0 && now.st_dev == file->st_dev && now.st_ino == file->st_ino;
}

/* A descriptor of this process on the file, or -1.  Where there is a choice the thread's own
   table is read: that of the process is empty once its first thread has ended. */
static int find_descriptor(const struct stat *file)
{
    DIR *all = opendir("/proc/thread-self/fd");
    const struct dirent *entry;
    int found = -1;

    if (all == NULL)
        all = opendir("/dev/fd");
    if (all == NULL)
        return -1;
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): the folder is this call's own */
    while (found < 0 && (entry = readdir(all)) != NULL)
        if (isdigit((unsigned char)entry->d_name[0])) {
            const int fd = (int)strtol(entry->d_name, NULL, 10);

            if (is_of(fd, file))
                found = fd;
        }
    closedir(all);
    return found;
}

static bool is_held(int fd, const struct stat *file, const struct question *question,
                    pid_t *holder)
{
    struct flock lock;

    memset(&lock, 0, sizeof lock);
    lock.l_type = question->type;
    lock.l_whence = SEEK_SET;
    lock.l_start = question->start;
    lock.l_len = question->length;
    if (fcntl(fd, F_GETLK, &lock) != 0 || lock.l_type == F_UNLCK || !is_of(fd, file))
        return false;
    *holder = lock.l_pid;
    return true;
}

/* What it does, or NULL. */
static const char *ask(const struct stat *file, enum lido__use use,
                       const struct question *questions, size_t count, pid_t *holder)
{
    const int fd = find_descriptor(file);

    for (size_t i = 0; fd >= 0 && i < count; i++)
        if ((questions[i].uses & (int)use) != 0 && is_held(fd, file, &questions[i], holder))
            return questions[i].does;
    return NULL;
}

/* Is the log's index open in this process?  Then the database is in WAL mode. */
static bool find_index(sqlite3 *db, struct stat *file)
{
    char path[PATH_MAX + 8];

    snprintf(path, sizeof path, "%s-shm", sqlite3_db_filename(db, "main"));
    return stat(path, file) == 0 && find_descriptor(file) >= 0;
}

/* Of any bytes: who runs a program may call it what they like. */
static void read_name(pid_t pid, char *name, size_t size)
{
    char path[40];
    ssize_t n = -1;
    int fd;

    snprintf(path, sizeof path, "/proc/%ld/comm", (long)pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        n = read(fd, name, size - 1);
        close(fd);
    }
    name[n > 0 ? n : 0] = '\0';
    name[strcspn(name, "\n")] = '\0';
    for (char *at = name; *at != '\0'; at++)
        if ((unsigned char)*at < 0x20 || (unsigned char)*at > 0x7e)
            *at = '?';
}

/* 0: the kernel knows no number of it that means something here.  -1: the lock is an open
   file's, which processes may share; less: it came by a network. */
static void describe(pid_t pid, const char *does, char *text, size_t size)
{
    char name[20];

    if (pid == 0 || pid < -1) {
        snprintf(text, size, "a process of another container or machine %s", does);
    } else if (pid == -1) {
        snprintf(text, size, "another process %s", does);
    } else {
        read_name(pid, name, sizeof name);
        snprintf(text, size, "process %ld%s%s%s %s", (long)pid, name[0] != '\0' ? " (" : "",
                 name, name[0] != '\0' ? ")" : "", does);
    }
}

bool lido__lock_holder(sqlite3 *db, enum lido__use use, char *text, size_t size)
{
    struct stat file, index;
    const char *does;
    pid_t holder = 0;

    text[0] = '\0';
    if (db == NULL || !lido__database_file(db, &file))
        return false;
    does = ask(&file, use, of_main, COUNT(of_main), &holder);
    if (does == NULL)
        does = find_index(db, &index)
                   ? ask(&index, use, of_log, COUNT(of_log), &holder)
                   : ask(&file, use, of_readers, COUNT(of_readers), &holder);
    if (does != NULL)
        describe(holder, does, text, size);
    return does != NULL;
}

/* Others of lido's codes whose first byte is SQLITE_BUSY tell of leases. */
static bool is_of_a_lock(int rc)
{
    return rc == LIDO_TXN_TIMEOUT ||
           ((rc & 0xff) == SQLITE_BUSY && ((rc >> 8) & 0xff) < FIRST_OURS);
}

/* Up to the character that no longer fits. */
static int length_within(const char *text, size_t room)
{
    size_t length = strlen(text);

    if (length > room) {
        length = room;
        while (length > 0 && ((unsigned char)text[length] & 0xc0) == 0x80)
            length--;
    }
    return (int)length;
}

int lido__lock_tell(sqlite3 *db, enum lido__use use, int rc, struct lido_error *err)
{
    char holder[LIDO__LOCKER_SIZE];
    struct lido_error before;

    if (err == NULL || !is_of_a_lock(rc) ||
        !lido__lock_holder(db, use, holder, sizeof holder))
        return rc;
    before = *err;
    snprintf(err->text, sizeof err->text, "%.*s; %s",
             length_within(before.text, sizeof err->text - sizeof "; " - strlen(holder)),
             before.text, holder);
    return rc;
}
