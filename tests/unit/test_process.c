/* SPDX-License-Identifier: MIT */
/*
 * What is refused about the SQLite that a program is linked to.  The linker puts the two
 * functions below in the place of SQLite's (--wrap).
 */
#include <lido/lido.h>

#include <criterion/criterion.h>
#include <string.h>

static int threadsafe = 1, libversion = SQLITE_VERSION_NUMBER;

int __wrap_sqlite3_threadsafe(void);
int __wrap_sqlite3_libversion_number(void);

int __wrap_sqlite3_threadsafe(void)
{
    return threadsafe;
}

int __wrap_sqlite3_libversion_number(void)
{
    return libversion;
}

static int try_to_open(struct lido_error *err)
{
    lido_pool *pool;
    int rc = lido_pool_open(&pool, "sqlite:////nowhere/at.all", NULL, err);

    cr_assert_eq(pool == NULL, rc != LIDO_OK);
    lido_pool_free(pool);
    return rc;
}

Test(process, an_sqlite_without_threads_is_refused)
{
    struct lido_error err;

    threadsafe = 0;
    cr_assert_eq(try_to_open(&err), LIDO_SQLITE_UNFIT);
    cr_assert_not_null(strstr(err.text, "SQLITE_THREADSAFE=0"), "%s", err.text);
}

Test(process, an_sqlite_that_is_too_old_is_refused)
{
    struct lido_error err;

    libversion = 3036999;
    cr_assert_eq(try_to_open(&err), LIDO_SQLITE_UNFIT);
    cr_assert_not_null(strstr(err.text, "3.37.0"), "%s", err.text);
    libversion = LIDO_SQLITE_LEAST;
    cr_assert_eq(try_to_open(&err), LIDO_OK);
}

Test(process, the_version_is_the_header_s)
{
    cr_assert_str_eq(lido_version(), LIDO_VERSION);
    cr_assert_eq(lido_version_number(), LIDO_VERSION_NUMBER);
}

Test(process, a_header_of_another_minor_version_is_refused)
{
    struct lido_error err;
    lido_pool *pool;
    int others[] = { 0, LIDO_VERSION_NUMBER + 1000, LIDO_VERSION_NUMBER + 1000000 };

    for (int i = 0; i < 3; i++) {
        cr_assert_eq(lido_pool_open_version(&pool, "sqlite:////x", NULL, others[i], &err),
                     LIDO_VERSION_MISMATCH);
        cr_assert_null(pool);
    }
    cr_assert_eq(
        lido_pool_open_version(&pool, "sqlite:////x", NULL, LIDO_VERSION_NUMBER + 7, &err),
        LIDO_OK);
    lido_pool_free(pool);
}
