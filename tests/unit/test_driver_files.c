/* SPDX-License-Identifier: MIT */
/*
 * Every kind of file that a path may lead to, through connect, a pragma that must read it,
 * and a ping.  Folders are test_driver_folder.c, modes and memory test_driver_keys.c.
 */
#include "own_folder.h"

#include <lido/sys/driver.h>

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define NOBODY 65534

static const struct lido_driver *driver;
static struct lido_error err;
static char folder[40], path[80];

static const char *in_folder(const char *name)
{
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void set_up(void)
{
    strcpy(folder, "/tmp/lido-files-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
    in_folder("app.db");
    driver = lido_driver_sqlite();
}

static void tear_down(void)
{
    static const char *const names[] = { "link.db",    "app.db",     "other.db",
                                         "app.db-wal", "app.db-shm", "app.db-journal" };

    chmod(folder, 0700);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        unlink(in_folder(names[i]));
    own_folder_end(folder);
}

TestSuite(driver_files, .init = set_up, .fini = tear_down, .timeout = 20);

/* Connects to `path` and pings it; a pragma may have the file read before. */
static int try_file(const char *mode, const char *journal_mode)
{
    struct lido_param params[] = { { "mode", mode }, { "journal_mode", journal_mode } };
    struct lido_connect how = { .size = sizeof how,
                                .url = "",
                                .database = path,
                                .params = params,
                                .n_params = journal_mode != NULL ? 2 : 1 };
    void *handle;
    int rc;

    memset(&err, 0, sizeof err);
    rc = driver->connect(NULL, &how, NULL, &handle, &err);
    cr_assert_eq(handle == NULL, rc != LIDO_OK);
    if (rc == LIDO_OK) {
        rc = driver->ping(NULL, handle, &err);
        cr_assert_eq(driver->close(NULL, handle, 0, NULL), LIDO_OK);
    }
    return rc;
}

static void expect(const char *mode, const char *journal_mode, int code, const char *part)
{
    cr_expect_eq(try_file(mode, journal_mode), code, "%s %s: %s", path, mode, err.text);
    if (code != LIDO_OK)
        cr_expect_not_null(strstr(err.text, part), "%s %s: %s", path, mode, err.text);
}

static void write_file(const char *bytes, size_t length, int count)
{
    FILE *file = fopen(path, "w");

    for (int i = 0; i < count; i++)
        fwrite(bytes, 1, length, file);
    fclose(file);
}

static sqlite3 *make_database(void)
{
    sqlite3 *db;

    cr_assert_eq(sqlite3_open(path, &db), SQLITE_OK);
    cr_assert_eq(sqlite3_exec(db, "CREATE TABLE t(x)", NULL, NULL, NULL), SQLITE_OK);
    return db;
}

Test(driver_files, a_missing_one_is_made_by_rwc_only)
{
    expect("ro", NULL, SQLITE_CANTOPEN, "No such file");
    expect("rw", NULL, SQLITE_CANTOPEN, "No such file");
    cr_expect_neq(access(path, F_OK), 0);
    expect("rwc", NULL, LIDO_OK, NULL);
    cr_expect_eq(access(path, F_OK), 0);
}

Test(driver_files, an_empty_one_is_an_empty_database)
{
    write_file("", 0, 0);
    expect("ro", NULL, LIDO_OK, NULL);
    expect("rw", "wal", LIDO_OK, NULL);
    expect("rw", "delete", LIDO_OK, NULL);
}

Test(driver_files, a_folder_is_none)
{
    in_folder(".");
    expect("rwc", NULL, SQLITE_CANTOPEN, strerror(EISDIR));
    cr_expect_eq(err.sys_errno, EISDIR);
    expect("ro", NULL, SQLITE_IOERR, strerror(EISDIR));
}

Test(driver_files, one_that_is_no_database_says_so_when_it_is_read)
{
    write_file("no database ", 12, 400);
    expect("rw", NULL, SQLITE_NOTADB, path);
    expect("rw", "wal", SQLITE_NOTADB, "journal_mode=wal: file is not a database");
    expect("ro", NULL, SQLITE_NOTADB, path);

    /* As an encrypted one: a page of noise. */
    for (int i = 0; i < 16; i++)
        write_file("\x9c\x03\xf1\x77\x5a\xe0\x42\x18", 8, 1024);
    expect("rw", "wal", SQLITE_NOTADB, "not a database");

    /* SQLite's own header, and nothing behind it. */
    write_file("SQLite format 3", 16, 1);
    expect("rw", NULL, SQLITE_NOTADB, "not a database");
}

Test(driver_files, a_short_one_is_corrupt)
{
    sqlite3_close(make_database());
    cr_assert_eq(truncate(path, 4096 + 100), 0);
    expect("rw", "delete", SQLITE_OK, NULL);
    cr_assert_eq(truncate(path, 100), 0);
    cr_expect_neq(try_file("rw", NULL), LIDO_OK);
}

Test(driver_files, a_link_is_what_it_leads_to)
{
    sqlite3_close(make_database());
    cr_assert_eq(symlink("app.db", in_folder("link.db")), 0);
    expect("rw", NULL, LIDO_OK, NULL);
    unlink(in_folder("app.db"));
    in_folder("link.db");
    expect("rw", NULL, SQLITE_CANTOPEN, "No such file");
    cr_expect_neq(access(in_folder("app.db"), F_OK), 0);
    in_folder("link.db");
    unlink(path);
    cr_assert_eq(symlink("link.db", path), 0);
    expect("rwc", NULL, SQLITE_CANTOPEN, strerror(ELOOP));
}

Test(driver_files, a_locked_one_is_busy_once_it_is_read)
{
    sqlite3 *locker = make_database();

    sqlite3_exec(locker, "BEGIN EXCLUSIVE", NULL, NULL, NULL);
    expect("rw", NULL, SQLITE_BUSY, "locked");
    expect("ro", NULL, SQLITE_BUSY, path);
    expect("rw", "wal", SQLITE_BUSY, "journal_mode=wal: database is locked");
    sqlite3_exec(locker, "COMMIT", NULL, NULL, NULL);
    expect("rw", "wal", LIDO_OK, NULL);
    sqlite3_close(locker);
}

/* In a child, because root may do everything and must stop being root.  Answers the line of
   the first failure. */
#define IS(what)                                                                           \
    if (!(what))                                                                           \
    return __LINE__ & 0xff

static int as_nobody(void)
{
    if (geteuid() == 0 && (setgid(NOBODY) != 0 || setuid(NOBODY) != 0))
        return 1;
    in_folder("other.db"); /* mode 0 */
    IS(try_file("rw", NULL) == SQLITE_CANTOPEN && err.sys_errno == EACCES);
    IS(strstr(err.text, "Permission denied") != NULL);
    IS(try_file("ro", NULL) == SQLITE_CANTOPEN && err.sys_errno == EACCES);
    IS(try_file("rwc", "wal") == SQLITE_CANTOPEN && err.sys_errno == EACCES);
    in_folder("app.db"); /* may be read, in a folder that may not be written to */
    IS(try_file("ro", NULL) == LIDO_OK);
    IS(try_file("rw", NULL) == LIDO_OK);
    IS(try_file("rw", "wal") == SQLITE_READONLY);
    IS(strstr(err.text, "journal_mode=wal") != NULL);
    in_folder("new.db");
    IS(try_file("rwc", NULL) == SQLITE_CANTOPEN && err.sys_errno == EACCES);
    IS(strstr(err.text, "its folder cannot be written to") != NULL);
    return 0;
}

Test(driver_files, what_the_system_forbids_is_told)
{
    int status;
    pid_t child;

    sqlite3_close(make_database());
    cr_assert_eq(chmod(path, 0444), 0);
    in_folder("other.db");
    sqlite3_close(make_database());
    cr_assert_eq(chmod(path, 0), 0);
    cr_assert_eq(chmod(folder, 0555), 0);
    child = fork();
    cr_assert_geq(child, 0);
    if (child == 0)
        _exit(as_nobody());
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 0, "line %d",
              WEXITSTATUS(status));
}

/* Ping. */

static void *open_file(void)
{
    struct lido_connect how = { .size = sizeof how, .url = "", .database = path };
    void *handle;

    cr_assert_eq(driver->connect(NULL, &how, NULL, &handle, &err), LIDO_OK, "%s", err.text);
    return handle;
}

Test(driver_files, a_ping_sees_that_the_file_is_another_or_gone)
{
    void *handle;
    char name[80];

    sqlite3_close(make_database());
    handle = open_file();
    cr_expect_eq(driver->ping(NULL, handle, &err), LIDO_OK);
    strcpy(name, path);
    cr_assert_eq(rename(name, in_folder("other.db")), 0);
    cr_expect_eq(driver->ping(NULL, handle, &err), SQLITE_READONLY_DBMOVED);
    cr_expect_not_null(strstr(err.text, "app.db was moved"), "%s", err.text);
    in_folder("app.db");
    sqlite3_close(make_database());
    cr_expect_eq(driver->ping(NULL, handle, &err), SQLITE_READONLY_DBMOVED);
    unlink(path);
    cr_expect_eq(driver->ping(NULL, handle, NULL), SQLITE_READONLY_DBMOVED);
    cr_assert_eq(driver->close(NULL, handle, 0, &err), LIDO_OK);

    strcpy(path, ":memory:");
    handle = open_file();
    cr_expect_eq(driver->ping(NULL, handle, &err), LIDO_OK);
    cr_assert_eq(driver->close(NULL, handle, 0, &err), LIDO_OK);
    strcpy(path, "");
    handle = open_file();
    cr_expect_eq(driver->ping(NULL, handle, &err), LIDO_OK, "a temporary file has no name");
    cr_assert_eq(driver->close(NULL, handle, 0, &err), LIDO_OK);
}
