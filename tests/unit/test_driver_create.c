/* SPDX-License-Identifier: MIT */
/*
 * create=new: the file is made when the pool is opened, by one of all who try.
 */
#include "own_folder.h"

#include <lido/sys/driver.h>

#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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
    strcpy(folder, "/tmp/lido-create-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
    in_folder("app.db");
    driver = lido_driver_sqlite();
}

static void tear_down(void)
{
    unlink(in_folder("link.db"));
    unlink(in_folder("app.db"));
    own_folder_end(folder);
}

TestSuite(driver_create, .init = set_up, .fini = tear_down, .timeout = 20);

/* create=new and perhaps one more key. */
static int check_with(const char *key, const char *value)
{
    struct lido_param params[] = { { "create", "new" }, { key, value } };
    struct lido_connect how = { .size = sizeof how,
                                .url = "",
                                .database = path,
                                .params = params,
                                .n_params = key != NULL ? 2 : 1 };

    memset(&err, 0, sizeof err);
    return driver->check(NULL, &how, &err);
}

static int connect_new(sqlite3 **db)
{
    struct lido_param param = { "create", "new" };
    struct lido_connect how = {
        .size = sizeof how, .url = "", .database = path, .params = &param, .n_params = 1
    };
    void *handle;
    int rc = driver->connect(NULL, &how, NULL, &handle, &err);

    *db = handle;
    return rc;
}

static void expect_exists(const char *what)
{
    cr_expect_eq(check_with(NULL, NULL), SQLITE_CANTOPEN, "%s", what);
    cr_expect_eq(err.code, SQLITE_CANTOPEN);
    cr_expect_eq(err.sys_errno, EEXIST, "%s: %s", what, err.text);
    cr_expect_not_null(strstr(err.text, path), "%s", err.text);
}

Test(driver_create, an_empty_file_is_made_and_all_connections_use_it)
{
    sqlite3 *one, *two;
    struct stat status;

    umask(022);
    cr_assert_eq(check_with(NULL, NULL), LIDO_OK, "%s", err.text);
    cr_assert_eq(stat(path, &status), 0);
    cr_expect_eq(status.st_size, 0);
    cr_expect_eq(status.st_mode, S_IFREG | 0644);
    cr_assert_eq(connect_new(&one), LIDO_OK, "%s", err.text);
    cr_assert_eq(connect_new(&two), LIDO_OK, "%s", err.text);
    cr_expect_eq(sqlite3_exec(one, "CREATE TABLE t(x)", NULL, NULL, NULL), SQLITE_OK);
    cr_expect_eq(sqlite3_exec(two, "SELECT * FROM t", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(one);
    sqlite3_close(two);
}

Test(driver_create, a_file_that_went_away_is_not_made_again)
{
    sqlite3 *db;

    cr_assert_eq(check_with(NULL, NULL), LIDO_OK);
    unlink(path);
    cr_expect_eq(connect_new(&db), SQLITE_CANTOPEN);
    cr_expect_null(db);
    cr_expect_neq(access(path, F_OK), 0);
}

Test(driver_create, whatever_has_the_name_is_in_the_way)
{
    cr_assert_eq(check_with(NULL, NULL), LIDO_OK);
    expect_exists("the file itself");

    cr_assert_eq(symlink("nowhere", in_folder("link.db")), 0);
    expect_exists("a link to nothing");
    in_folder("nowhere");
    cr_expect_neq(access(path, F_OK), 0);
    in_folder(".");
    expect_exists("a folder");
    in_folder("none/app.db");
    cr_expect_eq(check_with(NULL, NULL), SQLITE_CANTOPEN);
    cr_expect_eq(err.sys_errno, ENOENT, "%s", err.text);
}

Test(driver_create, needs_a_file_to_write_to)
{
    cr_expect_eq(check_with("mode", "ro"), LIDO_BAD_URL);
    cr_expect_not_null(strstr(err.text, "mode=ro"), "%s", err.text);
    cr_expect_eq(check_with("immutable", "1"), LIDO_BAD_URL);
    cr_expect_not_null(strstr(err.text, "immutable"), "%s", err.text);
    cr_expect_eq(check_with("mode", "memory"), LIDO_BAD_URL);
    cr_expect_not_null(strstr(err.text, "memory"), "%s", err.text);
    cr_expect_eq(check_with("vfs", "memdb"), LIDO_BAD_URL);
    cr_expect_eq(check_with("mode", "none"), LIDO_BAD_URL, "and nothing else is wrong");
    cr_expect_neq(access(path, F_OK), 0, "no file was made by any of these");
    cr_expect_eq(check_with("mode", "rw"), LIDO_OK, "%s", err.text);
    strcpy(path, ":memory:");
    cr_expect_eq(check_with(NULL, NULL), LIDO_BAD_URL);
    strcpy(path, "file:x");
    cr_expect_eq(check_with("uri", "1"), LIDO_BAD_URL);
    cr_expect_not_null(strstr(err.text, "URI"), "%s", err.text);
}

Test(driver_create, has_no_other_value)
{
    struct lido_param param = { "create", "old" };
    struct lido_connect how = {
        .size = sizeof how, .database = path, .params = &param, .n_params = 1
    };

    cr_expect_eq(driver->check(NULL, &how, &err), LIDO_BAD_URL);
    cr_expect_not_null(strstr(err.text, "create=old"), "%s", err.text);
}

#define THREADS 8
#define ROUNDS  50

static pthread_barrier_t start;
static atomic_int winners;

static void *race(void *unused)
{
    struct lido_param param = { "create", "new" };
    struct lido_connect how = {
        .size = sizeof how, .database = path, .params = &param, .n_params = 1
    };

    for (int round = 0; round < ROUNDS; round++) {
        if (pthread_barrier_wait(&start) == PTHREAD_BARRIER_SERIAL_THREAD)
            unlink(path);
        pthread_barrier_wait(&start);
        if (driver->check(NULL, &how, NULL) == LIDO_OK)
            atomic_fetch_add(&winners, 1);
    }
    return unused;
}

Test(driver_create, one_of_many_threads_makes_it)
{
    pthread_t threads[THREADS];

    pthread_barrier_init(&start, NULL, THREADS);
    for (int i = 0; i < THREADS; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, race, NULL), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    cr_expect_eq(atomic_load(&winners), ROUNDS);
    pthread_barrier_destroy(&start);
}
