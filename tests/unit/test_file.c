/* SPDX-License-Identifier: MIT */
/*
 * What is at a path, of every kind, and what stands beside a database.
 */
#include "own_folder.h"

#include <lido/file.h>

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[] = "/tmp/lido-file-XXXXXX";
static struct lido_error err;
static struct lido_file file;

static void set_up(void)
{
    cr_assert_not_null(mkdtemp(folder));
    cr_assert_eq(chdir(folder), 0);
    file = (struct lido_file)LIDO_FILE_INIT;
}

static void tear_down(void)
{
    static const char *const names[] = { "a",    "a-wal",     "a-shm", "a-journal",
                                         "link", "sub/other", "pipe",  "sub" };

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (unlink(names[i]) != 0)
            rmdir(names[i]);
    cr_expect_eq(chdir("/"), 0);
    own_folder_end(folder);
}

TestSuite(file, .init = set_up, .fini = tear_down, .timeout = 30);

static void make(const char *name, const char *bytes)
{
    const int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0640);

    cr_assert_geq(fd, 0);
    cr_assert_eq(write(fd, bytes, strlen(bytes)), (ssize_t)strlen(bytes));
    cr_assert_eq(close(fd), 0);
}

static int look(const char *path)
{
    cr_assert_eq(lido_file_look(path, &file, &err), LIDO_OK, "%s", err.text);
    return file.kind;
}

Test(file, a_regular_file_is_told_of_in_full)
{
    struct stat status;

    make("a", "12345");
    cr_assert_eq(chmod("a", 0640), 0);
    cr_assert_eq(stat("a", &status), 0);
    cr_expect_eq(look("a"), LIDO_FILE_REGULAR);
    cr_expect_eq(file.bytes, 5);
    cr_expect_eq(file.mode, 0640);
    cr_expect_eq(file.owner, geteuid());
    cr_expect_eq(file.is_own, 1);
    cr_expect_eq(file.is_link, 0);
    cr_expect_eq(file.device, status.st_dev);
    cr_expect_eq(file.inode, status.st_ino);
    cr_expect_eq(file.changed_ns,
                 (int64_t)status.st_mtim.tv_sec * 1000000000 + status.st_mtim.tv_nsec);
    cr_expect_not(file.wal.is_there || file.shm.is_there || file.journal.is_there);
}

Test(file, nothing_there_is_an_answer)
{
    make("a", "");
    cr_expect_eq(look("none"), LIDO_FILE_MISSING);
    cr_expect_eq(look("none/at/all"), LIDO_FILE_MISSING);
    cr_expect_eq(look("a/b"), LIDO_FILE_MISSING, "a file is no folder");
    cr_expect_eq(file.is_link + file.is_own, 0);
    cr_expect_eq(file.inode, 0);
}

Test(file, folders_and_pipes_and_devices_are_none)
{
    cr_assert_eq(mkdir("sub", 0700), 0);
    cr_assert_eq(mkfifo("pipe", 0600), 0);
    cr_expect_eq(look("sub"), LIDO_FILE_FOLDER);
    cr_expect_eq(look("pipe"), LIDO_FILE_SPECIAL);
    cr_expect_eq(look("/dev/null"), LIDO_FILE_SPECIAL);
}

Test(file, a_link_is_followed_and_what_stands_beside_is_beside_its_end)
{
    cr_assert_eq(mkdir("sub", 0700), 0);
    make("sub/other", "1234567");
    make("a-wal", "not of this one");
    cr_assert_eq(symlink("sub/other", "link"), 0);
    cr_expect_eq(look("link"), LIDO_FILE_REGULAR);
    cr_expect_eq(file.is_link, 1);
    cr_expect_eq(file.bytes, 7);
    cr_assert_eq(rename("a-wal", "sub/other-wal"), 0);
    cr_expect_eq(look("link"), LIDO_FILE_REGULAR);
    cr_expect_eq(file.wal.is_there, 1);
    cr_expect_eq(file.wal.bytes, 15);
    cr_expect_eq(unlink("sub/other-wal"), 0);
}

Test(file, a_link_to_nothing_or_to_itself_is_broken)
{
    cr_assert_eq(symlink("none", "link"), 0);
    cr_expect_eq(look("link"), LIDO_FILE_BROKEN_LINK);
    cr_expect_eq(file.is_link, 1);
    cr_assert_eq(unlink("link"), 0);
    cr_assert_eq(symlink("link", "link"), 0);
    cr_expect_eq(look("link"), LIDO_FILE_BROKEN_LINK);
}

/* root reads everything: a child that is somebody else looks. */
Test(file, what_this_user_may_not_read_is_unreadable)
{
    int status;
    pid_t child;

    make("a", "secret");
    cr_assert_eq(chmod("a", 0), 0);
    cr_assert_eq(chmod(folder, 0711), 0);
    child = fork();
    cr_assert_geq(child, 0);
    if (child == 0) {
        int wrong = 0;

        if (geteuid() == 0 && seteuid(65534) != 0)
            _exit(77);
        wrong |= lido_file_look("a", &file, NULL) != LIDO_OK;
        wrong |= file.kind != LIDO_FILE_UNREADABLE || file.bytes != 6;
        wrong |= (getuid() == 0) == file.is_own ? 2 : 0;
        _exit(wrong);
    }
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_expect(WIFEXITED(status));
    cr_expect_eq(WEXITSTATUS(status), 0);
}

Test(file, a_database_has_its_files_beside_it)
{
    sqlite3 *db;

    cr_assert_eq(sqlite3_open("a", &db), SQLITE_OK);
    cr_assert_eq(sqlite3_exec(db, "PRAGMA journal_mode=wal; CREATE TABLE t (x)", 0, 0, 0),
                 SQLITE_OK);
    cr_expect_eq(look("a"), LIDO_FILE_REGULAR);
    cr_expect_gt(file.wal.bytes, 4096);
    cr_expect_eq(file.shm.bytes, 32768);
    cr_expect_not(file.journal.is_there);
    sqlite3_close(db);
    make("a-journal", "");
    cr_expect_eq(look("a"), LIDO_FILE_REGULAR);
    cr_expect_not(file.wal.is_there);
    cr_expect_eq(file.journal.is_there, 1);
    cr_expect_eq(file.journal.bytes, 0);
}

Test(file, what_is_no_path_is_refused)
{
    char longest[PATH_MAX + 10];

    memset(longest, 'x', sizeof longest);
    longest[sizeof longest - 1] = '\0';
    cr_expect_eq(lido_file_look(NULL, &file, &err), SQLITE_MISUSE);
    cr_expect_eq(lido_file_look("", &file, &err), SQLITE_MISUSE);
    cr_expect_eq(lido_file_look("a", NULL, NULL), SQLITE_MISUSE);
    cr_expect_eq(lido_file_look(longest, &file, &err), SQLITE_TOOBIG);
    cr_expect_eq(err.sys_errno, ENAMETOOLONG);
    longest[300] = '\0';
    cr_expect_eq(lido_file_look(longest, &file, &err), SQLITE_TOOBIG, "one name of 300");
    file.size = 0;
    cr_expect_eq(lido_file_look("a", &file, &err), SQLITE_MISUSE);
}

Test(file, every_kind_has_a_name)
{
    for (int kind = LIDO_FILE_MISSING; kind <= LIDO_FILE_SPECIAL; kind++)
        cr_expect_str_neq(lido_file_kind_name(kind), "unknown");
    cr_expect_str_eq(lido_file_kind_name(99), "unknown");
    cr_expect_str_eq(lido_file_kind_name(-1), "unknown");
}
