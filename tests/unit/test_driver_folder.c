/* SPDX-License-Identifier: MIT */
/*
 * What the built-in driver says when it is the folder that keeps it from opening a file.
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

static struct lido_error err;
static char folder[40];

static void set_up(void)
{
    strcpy(folder, "/tmp/lido-folder-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
}

static void tear_down(void)
{
    own_folder_end(folder);
}

TestSuite(driver_folder, .init = set_up, .fini = tear_down, .timeout = 20);

static int open_in(const char *name)
{
    char path[80];
    struct lido_connect how = { .size = sizeof how,
                                .url = "sqlite:///x",
                                .database = path };
    void *handle = &how;
    int rc;

    snprintf(path, sizeof path, "%s/%s", folder, name);
    rc = lido_driver_sqlite()->connect(NULL, &how, NULL, &handle, &err);
    cr_expect_eq(handle == NULL, rc != LIDO_OK);
    return rc;
}

Test(driver_folder, that_is_missing_is_told_from_a_missing_file)
{
    cr_expect_eq(open_in("none/app.db"), SQLITE_CANTOPEN);
    cr_expect_eq(err.sys_errno, ENOENT);
    cr_expect_not_null(strstr(err.text, "No such file or directory"), "%s", err.text);
    cr_expect_not_null(strstr(err.text, "its folder is missing"), "%s", err.text);
}

/* In a child, because root may write everywhere and must stop being root. */
static int open_as_nobody(void)
{
    if (geteuid() == 0 && (setgid(NOBODY) != 0 || setuid(NOBODY) != 0))
        return 2;
    if (open_in("app.db") != SQLITE_CANTOPEN || err.sys_errno != EACCES)
        return 3;
    return strstr(err.text, "its folder cannot be written to") == NULL ? 4 : 0;
}

Test(driver_folder, that_must_not_be_written_to_is_not_a_missing_file)
{
    int status;
    pid_t child;

    cr_assert_eq(chmod(folder, 0555), 0);
    child = fork();
    cr_assert_geq(child, 0);
    if (child == 0)
        _exit(open_as_nobody());
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%d", status);
    cr_assert_eq(chmod(folder, 0700), 0);
}
