/* SPDX-License-Identifier: MIT */
/*
 * Dump and load when memory or the disk gives out: the caller is told, and the database is
 * as it was.
 */
#include "dumped.h"
#include "failing_malloc.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct lido_error err;
static lido_pool *pool;

static void set_up(void)
{
    failing_malloc_install();
    cr_assert_eq(lido_pool_open(&pool, "sqlite://?pool=static", NULL, &err), LIDO_OK);
}

static void tear_down(void)
{
    lido_pool_free(pool);
}

TestSuite(load_faults, .init = set_up, .fini = tear_down, .timeout = 120);

static const char text[] =
    "PRAGMA foreign_keys=OFF; BEGIN; CREATE TABLE t (a TEXT, b REAL, c UNIQUE);"
    "INSERT INTO t VALUES('x', 0.1, X'00'), (NULL, 1e300, 2);"
    "CREATE TABLE s (i INTEGER PRIMARY KEY AUTOINCREMENT); INSERT INTO s VALUES(3);"
    "CREATE VIEW v AS SELECT 1; PRAGMA writable_schema=ON;"
    "INSERT INTO sqlite_master VALUES('table', 'f', 'f', 0, "
    "'CREATE VIRTUAL TABLE f USING fts5(x)');PRAGMA writable_schema=RESET; COMMIT;";

static int load(void)
{
    return lido_load_text(lido_at_pool(pool), NULL, text, sizeof text - 1, NULL, &err);
}

static int swallow(void *ctx, const char *statement, size_t length,
                   struct lido_error *story)
{
    (void)story;
    cr_expect_eq(strlen(statement), length);
    ++*(int *)ctx;
    return LIDO_OK;
}

Test(load_faults, each_allocation_of_a_load_fails_once)
{
    int n, rc;

    for (n = 1;; n++) {
        char *now;

        failing_malloc_arm(n);
        rc = load();
        if (!failing_malloc_fired())
            break;
        failing_malloc_arm(0);
        /* SQLite gets by without some of them. */
        if (rc == LIDO_OK)
            cr_assert_eq(lido_pool_exec(pool,
                                        "DROP TABLE t; DROP TABLE s; DROP VIEW v;"
                                        "PRAGMA writable_schema=ON;"
                                        "DELETE FROM sqlite_master WHERE name = 'f';"
                                        "PRAGMA writable_schema=RESET",
                                        &err),
                         LIDO_OK, "%s", err.text);
        else
            cr_expect_eq(rc & 0xff, SQLITE_NOMEM, "%d: %d %s", n, rc, err.text);
        now = dumped(lido_at_pool(pool), NULL, NULL);
        cr_assert_null(strstr(now, "CREATE"), "%d: %s", n, now);
        free(now);
    }
    failing_malloc_arm(0);
    cr_expect_eq(rc, LIDO_OK, "%s", err.text);
    cr_expect_gt(n, 50);
}

Test(load_faults, each_allocation_of_a_dump_fails_once)
{
    int n, rc, count = 0, most;

    cr_assert_eq(load(), LIDO_OK, "%s", err.text);
    cr_assert_eq(lido_dump(lido_at_pool(pool), NULL, swallow, &count, &err), LIDO_OK);
    most = count;
    for (n = 1;; n++) {
        count = 0;
        failing_malloc_arm(n);
        rc = lido_dump(lido_at_pool(pool), NULL, swallow, &count, &err);
        if (!failing_malloc_fired())
            break;
        cr_expect(rc == LIDO_OK ? count == most : (rc & 0xff) == SQLITE_NOMEM,
                  "%d: %d %s, %d statements of %d", n, rc, err.text, count, most);
    }
    failing_malloc_arm(0);
    cr_expect_eq(rc, LIDO_OK, "%s", err.text);
    cr_expect_gt(n, 50);
}

/* SQLite rolls back by itself then. */
Test(load_faults, a_disk_that_is_full)
{
    static const char large[] =
        "CREATE TABLE big (x);\nINSERT INTO big VALUES(zeroblob(1000));\n"
        "INSERT INTO big VALUES(zeroblob(100000));";
    char *now;

    lido_pool_free(pool);
    cr_assert_eq(
        lido_pool_open(&pool, "sqlite://?pool=static&max_page_count=10", NULL, &err),
        LIDO_OK, "%s", err.text);
    cr_assert_eq(lido_pool_exec(pool, "CREATE TABLE old (x)", &err), LIDO_OK);
    cr_expect_eq(
        lido_load_text(lido_at_pool(pool), NULL, large, sizeof large - 1, NULL, &err),
        SQLITE_FULL);
    cr_expect_not_null(strstr(err.text, "line 3: "), "%s", err.text);
    now = dumped(lido_at_pool(pool), NULL, NULL);
    cr_expect_null(strstr(now, "big"), "%s", now);
    cr_expect_not_null(strstr(now, "old"), "%s", now);
    free(now);
}
