/* SPDX-License-Identifier: MIT */
/*
 * The built-in driver while memory is out: the n-th allocation fails, for every n.
 */
#include "tests/support/failing_malloc.h"
#include "tests/support/own_folder.h"
#include <lido/sys/driver.h>

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct lido_driver *driver;
static struct lido_error err;
static char folder[40], path[80];

static void set_up(void)
{
    failing_malloc_install();
    strcpy(folder, "/tmp/lido-memory-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/app.db", folder);
    driver = lido_driver_sqlite();
}

static void tear_down(void)
{
    unlink(path);
    own_folder_end(folder);
}

TestSuite(driver_memory, .init = set_up, .fini = tear_down, .timeout = 60);

static int connect_with(const struct lido_param *params, size_t n_params, sqlite3 **db)
{
    struct lido_connect how = { .size = sizeof how,
                                .url = "",
                                .database = path,
                                .params = params,
                                .n_params = n_params };
    void *handle;
    int rc = driver->connect(NULL, &how, NULL, &handle, &err);

    *db = handle;
    return rc;
}

/* Connects with each allocation failing in turn; answers how many there were. */
static int sweep_connect(const struct lido_param *params, size_t n_params)
{
    for (int n = 1;; n++) {
        long before = failing_malloc_outstanding();
        sqlite3 *db;
        int rc;

        failing_malloc_arm(n);
        rc = connect_with(params, n_params, &db);
        cr_assert_eq(db == NULL, rc != LIDO_OK, "allocation %d", n);
        cr_assert(rc == LIDO_OK || err.text[0] != '\0', "allocation %d", n);
        cr_assert(rc == LIDO_OK || rc == SQLITE_NOMEM || rc == SQLITE_IOERR_NOMEM,
                  "allocation %d: %d %s", n, rc, err.text);
        sqlite3_close(db);
        cr_assert_eq(failing_malloc_outstanding(), before, "allocation %d", n);
        if (!failing_malloc_fired())
            return n;
    }
}

Test(driver_memory, no_failing_allocation_of_a_connect_is_taken_for_success_or_leaks)
{
    static const struct lido_param pragmas[] = {
        { "foreign_keys", "1" },
        { "cache_size", "-100" },
        { "journal_mode", "truncate" },
        { "isolation_level", "SERIALIZABLE" },
    };
    static const struct lido_param immutable[] = { { "immutable", "1" } };
    sqlite3 *db;

    cr_assert_eq(connect_with(NULL, 0, &db), LIDO_OK);
    sqlite3_close(db); /* what SQLite allocates once and keeps */
    cr_expect_gt(sweep_connect(pragmas, 4), 50);
    cr_expect_gt(sweep_connect(immutable, 1), 10);
}

Test(driver_memory, a_reset_that_cannot_drop_says_so_and_can_be_had_again)
{
    sqlite3 *db;
    int n;

    cr_assert_eq(connect_with(NULL, 0, &db), LIDO_OK);
    for (n = 1;; n++) {
        struct lido_reset found = { .size = sizeof found };
        int rc;

        cr_assert_eq(sqlite3_exec(db,
                                  "CREATE TEMP TABLE u(x); CREATE TEMP VIEW v AS SELECT 1;"
                                  "ATTACH ':memory:' AS \"m\"",
                                  NULL, NULL, NULL),
                     SQLITE_OK, "%s", sqlite3_errmsg(db));
        failing_malloc_arm(n);
        rc = driver->reset(NULL, db, LIDO_RESET_ROLLBACK, &found, &err);
        if (!failing_malloc_fired())
            break;
        failing_malloc_arm(0);
        cr_assert(rc == LIDO_OK || (rc & 0xff) == SQLITE_NOMEM, "allocation %d: %d %s", n,
                  rc, err.text);
        cr_assert_eq(driver->reset(NULL, db, LIDO_RESET_ROLLBACK, &found, &err), LIDO_OK,
                     "allocation %d: %s", n, err.text);
        cr_assert_eq(found.temp_dropped, 2, "allocation %d", n);
    }
    failing_malloc_arm(0);
    cr_expect_gt(n, 20);
    cr_expect_eq(driver->close(NULL, db, 0, &err), LIDO_OK);
}
