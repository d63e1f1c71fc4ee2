/* SPDX-License-Identifier: MIT */
/*
 * The file of the gate between processes: what it looks like, what it may be, and where there
 * can be none.
 */
#include "tests/support/failing_malloc.h"
#include "tests/support/line.h"
#include "tests/support/neighbour.h"

#include <errno.h>
#include <stdarg.h>
#include <sys/vfs.h>
#include <sys/wait.h>

#define NFS 0x6969

static int lock_fails_by;     /* errno of each F_SETLK; 0: none fails */
static long file_system_type; /* of each file; 0: its own */

/* --- what fails ----------------------------------------------------------------------- */

/* The C library has two names for each, by the width of a file's offsets. */
int __real_fcntl(int fd, int what, ...);
int __wrap_fcntl(int fd, int what, ...);
int __wrap_fcntl64(int fd, int what, ...);
int __real_fstatfs(int fd, struct statfs *out);
int __wrap_fstatfs(int fd, struct statfs *out);
int __wrap_fstatfs64(int fd, struct statfs *out);

static int fail_or_do(int fd, int what, void *argument)
{
    if (what == F_SETLK && lock_fails_by != 0) {
        errno = lock_fails_by;
        return -1;
    }
    return __real_fcntl(fd, what, argument);
}

int __wrap_fcntl(int fd, int what, ...)
{
    va_list arguments;
    void *argument;

    va_start(arguments, what);
    argument = va_arg(arguments, void *);
    va_end(arguments);
    return fail_or_do(fd, what, argument);
}

int __wrap_fcntl64(int fd, int what, ...)
{
    va_list arguments;
    void *argument;

    va_start(arguments, what);
    argument = va_arg(arguments, void *);
    va_end(arguments);
    return fail_or_do(fd, what, argument);
}

int __wrap_fstatfs(int fd, struct statfs *out)
{
    int rc = __real_fstatfs(fd, out);

    if (rc == 0 && file_system_type != 0)
        out->f_type = file_system_type;
    return rc;
}

int __wrap_fstatfs64(int fd, struct statfs *out)
{
    return __wrap_fstatfs(fd, out);
}

TestSuite(gate_file, .init = line_set_up, .fini = line_clear, .timeout = 30);

/* --- the file ------------------------------------------------------------------------- */

Test(gate_file, it_looks_like_the_database_and_stays_empty)
{
    struct stat status, like;

    if (geteuid() == 0)
        cr_assert_eq(chown(database, 12, 34), 0);
    umask(077);
    opened();
    cr_assert(try());
    leave();
    lido__gate_file_close(file_in(&slot));
    slot = 0;
    cr_assert_eq(stat(database, &like), 0);
    cr_assert_eq(lstat(sidecar, &status), 0, "it is not removed");
    cr_expect(S_ISREG(status.st_mode));
    cr_expect_eq(status.st_mode & 07777, 0640);
    cr_expect_eq(status.st_uid, like.st_uid);
    cr_expect_eq(status.st_gid, like.st_gid);
    cr_expect_eq(status.st_size, 0);
}

Test(gate_file, one_that_is_there_is_used_as_it_is)
{
    struct stat before, after;

    make_file(sidecar, 0666);
    cr_assert_eq(stat(sidecar, &before), 0);
    opened();
    cr_assert_eq(stat(sidecar, &after), 0);
    cr_expect_eq(after.st_ino, before.st_ino);
    cr_expect_eq(after.st_mode, before.st_mode);
}

static void expect_refusal(const char *what)
{
    err = (struct lido_error)LIDO_ERROR_INIT;
    cr_expect_eq(open_file(), SQLITE_CANTOPEN, "%s", what);
    cr_expect_eq(err.code, SQLITE_CANTOPEN);
    cr_expect_not_null(strstr(err.text, sidecar), "%s", err.text);
    cr_expect_not_null(strstr(err.text, what), "%s", err.text);
    cr_expect_null(file_in(&slot));
}

Test(gate_file, what_is_no_file_of_ours_is_refused)
{
    char other[60];
    int fd;

    snprintf(other, sizeof other, "%s/other", folder);
    make_file(other, 0600);
    cr_assert_eq(symlink(other, sidecar), 0);
    expect_refusal("is not the empty file");
    unlink(sidecar);
    cr_assert_eq(link(other, sidecar), 0);
    expect_refusal("is not the empty file");
    unlink(sidecar);
    cr_assert_eq(mkdir(sidecar, 0700), 0);
    expect_refusal("is not the empty file");
    rmdir(sidecar);
    make_file(sidecar, 0600);
    fd = open(sidecar, O_WRONLY);
    cr_assert_eq(write(fd, "x", 1), 1);
    close(fd);
    expect_refusal("is not the empty file");
}

Test(gate_file, links_to_the_database_lead_to_one)
{
    char other[60], theirs[70];
    struct neighbour neighbour;
    struct stat status;

    snprintf(other, sizeof other, "%s/link.db", folder);
    snprintf(theirs, sizeof theirs, "%s-gate", other);
    cr_assert_eq(symlink(database, other), 0);
    neighbour_start(&neighbour, other);
    opened();
    cr_assert(try());
    cr_expect_eq(neighbour_try(&neighbour), SQLITE_BUSY);
    leave();
    cr_expect_eq(neighbour_try(&neighbour), LIDO_OK);
    cr_expect_not(try());
    cr_expect_neq(lstat(theirs, &status), 0);
    neighbour_end(&neighbour);
}

/* The answer of one that is not root, who may do anything. */
static int open_as_nobody(void)
{
    int status;
    pid_t child = fork();

    if (child == 0) {
        int rc = seteuid(65534) == 0 || geteuid() != 0 ? open_file() : -1;

        _exit(rc == SQLITE_CANTOPEN && err.sys_errno == EACCES &&
                      strstr(err.text, "a.db") != NULL
                  ? 0
                  : 1);
    }
    cr_assert_eq(waitpid(child, &status, 0), child);
    return status;
}

Test(gate_file, what_may_not_be_made_or_opened_is_told)
{
    cr_assert_eq(chmod(folder, 0555), 0);
    cr_expect_eq(open_as_nobody(), 0, "it may not be made");
    cr_assert_eq(chmod(folder, 0), 0);
    cr_expect_eq(open_as_nobody(), 0, "nor found");
    cr_assert_eq(chmod(folder, 0755), 0);
    make_file(sidecar, 0);
    cr_expect_eq(open_as_nobody(), 0, "nor opened");
}

Test(gate_file, a_database_that_is_gone_has_none)
{
    unlink(database);
    cr_expect_eq(open_file(), SQLITE_CANTOPEN);
    cr_expect_eq(err.sys_errno, ENOENT);
}

Test(gate_file, file_systems_without_locks_are_refused)
{
    lock_fails_by = ENOLCK;
    expect_refusal("cannot lock");
    cr_expect_eq(err.sys_errno, ENOLCK);
    lock_fails_by = EAGAIN; /* another process does the same */
    cr_expect_eq(open_file(), LIDO_OK);
}

Test(gate_file, file_systems_of_a_network_are_refused)
{
    file_system_type = NFS;
    expect_refusal("on NFS");
    file_system_type = 0;
    opened();
    cr_expect(try());
}

Test(gate_file, a_lock_that_fails_later_is_an_error)
{
    struct waiter waiter;

    opened();
    lock_fails_by = EIO;
    cr_expect_not(try());
    send(&waiter, 1000);
    cr_expect_eq(await(&waiter), SQLITE_IOERR_LOCK);
    lock_fails_by = 0;
    cr_expect(try());
}

Test(gate_file, it_is_opened_once)
{
    lido__word other = 0;
    struct lido__gate_file *file = opened();
    struct neighbour neighbour;

    cr_assert_eq(open_file(), LIDO_OK);
    cr_expect_eq(file_in(&slot), file);
    lido__gate_file_close(file);
    slot = 0;
    neighbour_start(&neighbour, database);
    opened();
    /* As if the database had been replaced: another gate, the same file. */
    cr_assert_eq(lido__gate_file_open(&other, inode + 1, database, 0, &err), LIDO_OK);
    cr_expect(try());
    cr_expect(lido__gate_file_try(file_in(&other), NULL), "they have nothing in common");
    lido__gate_file_close(file_in(&other));
    cr_expect_eq(neighbour_try(&neighbour), SQLITE_BUSY, "the lock went with another's");
    neighbour_end(&neighbour);
}

Test(gate_file_memory, without_memory_there_is_none)
{
    long before;
    int n = 1;

    failing_malloc_install();
    line_set_up();
    before = failing_malloc_outstanding();
    for (;; n++) {
        failing_malloc_arm(n);
        if (open_file() == LIDO_OK)
            break;
        cr_expect_eq(err.code, SQLITE_NOMEM);
        cr_expect_eq(failing_malloc_outstanding(), before);
        cr_expect_neq(access(sidecar, F_OK), 0, "nothing is left on the way");
    }
    failing_malloc_arm(0);
    cr_expect_geq(n, 3);
    line_clear();
    cr_expect_eq(failing_malloc_outstanding(), before);
}
