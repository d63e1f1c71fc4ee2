/* SPDX-License-Identifier: MIT */
/*
 * A URL taken apart: its forms, its keys and what is refused.
 */
#include "driver/url.h"
#include "tests/support/failing_malloc.h"

#include <criterion/criterion.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct lido_error err;
static struct lido__url url;

TestSuite(url, .init = failing_malloc_install, .timeout = 60);

static void parse(const char *text)
{
    lido__url_fini(&url);
    cr_assert_eq(lido__url_parse(&url, text, &err), LIDO_OK, "%s: %s", text, err.text);
}

static bool is_all_zero(const struct lido__url *what)
{
    static const struct lido__url zero;

    return memcmp(what, &zero, sizeof zero) == 0;
}

/* Expects LIDO_BAD_URL with everything given back, and answers the text. */
static const char *refuse(const char *text)
{
    struct lido__url refused;
    long before = failing_malloc_outstanding();

    memset(&refused, 0xff, sizeof refused);
    memset(&err, 0, sizeof err);
    cr_assert_eq(lido__url_parse(&refused, text, &err), LIDO_BAD_URL, "%s", text);
    cr_assert(is_all_zero(&refused), "%s", text);
    cr_assert_eq(err.code, LIDO_BAD_URL);
    cr_assert_neq(err.text[0], '\0', "%s", text);
    cr_assert_eq(failing_malloc_outstanding(), before, "%s", text);
    cr_assert_eq(lido__url_parse(&refused, text, NULL), LIDO_BAD_URL, "%s", text);
    return err.text;
}

static void refuse_saying(const char *text, const char *part)
{
    const char *said = refuse(text);

    cr_expect_not_null(strstr(said, part), "%s: %s", text, said);
}

/* The form: driver, path and what SQLite has not. */

Test(url, without_a_path_is_a_memory_database)
{
    static const char *const texts[] = { "sqlite://", "sqlite:///",
                                         "sqlite:///:memory:", "sqlite:///%3Amemory%3a" };

    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        parse(texts[i]);
        cr_expect_str_eq(url.database, ":memory:", "%s", texts[i]);
        cr_expect_str_eq(url.driver, "sqlite");
        cr_expect_str_eq(url.base, texts[i]);
        cr_expect_eq(url.n_params, 0);
    }
    lido__url_fini(&url);
}

Test(url, with_a_fourth_slash_is_an_absolute_path)
{
    parse("sqlite:////srv/app.db");
    cr_expect_str_eq(url.database, "/srv/app.db");

    parse("sqlite:////");
    cr_expect_str_eq(url.database, "/");
    lido__url_fini(&url);
}

Test(url, with_three_slashes_is_relative_to_the_working_directory_of_that_moment)
{
    char folder[] = "/tmp/lido-url-XXXXXX", *before, *path;

    cr_assert_not_null(mkdtemp(folder));
    cr_assert_eq(chdir(folder), 0);
    before = getcwd(NULL, 0);
    parse("sqlite:///data/app.db");
    cr_assert_eq(chdir("/"), 0);
    path = sqlite3_mprintf("%s/data/app.db", before);
    cr_expect_str_eq(url.database, path);

    parse("sqlite:///app.db");
    cr_expect_str_eq(url.database, "/app.db");

    sqlite3_free(path);
    free(before);
    lido__url_fini(&url);
    rmdir(folder);
}

Test(url, relative_to_a_folder_that_was_removed_cannot_open)
{
    char folder[] = "/tmp/lido-url-XXXXXX";

    cr_assert_not_null(mkdtemp(folder));
    cr_assert_eq(chdir(folder), 0);
    cr_assert_eq(rmdir(folder), 0);
    cr_assert_eq(lido__url_parse(&url, "sqlite:///app.db", &err), SQLITE_CANTOPEN);
    cr_expect_neq(err.sys_errno, 0);
    cr_expect_not_null(strstr(err.text, "removed"), "%s", err.text);
    cr_expect(is_all_zero(&url));
    cr_expect_eq(lido__url_parse(&url, "sqlite:///app.db", NULL), SQLITE_CANTOPEN);

    parse("sqlite:////app.db");
    parse("sqlite://");
    lido__url_fini(&url);
}

Test(url, names_the_driver_with_or_without_sqlite_before_it)
{
    parse("sqlite+audit:////a.db?x=1");
    cr_expect_str_eq(url.driver, "audit");
    cr_expect_str_eq(url.base, "sqlite+audit:////a.db");
    parse("audit:////a.db");
    cr_expect_str_eq(url.driver, "audit");
    parse("sqlite+sqlite://");
    cr_expect_str_eq(url.driver, "sqlite");
    parse("My_driver-2.0:////a.db");
    cr_expect_str_eq(url.driver, "My_driver-2.0");
    parse("SQLite:////a.db");
    cr_expect_str_eq(url.driver, "SQLite");
    lido__url_fini(&url);
}

Test(url, without_a_name_or_slashes_is_no_url)
{
    static const char *const texts[] = {
        "",
        "sqlite",
        ":memory:",
        "app.db",
        "/srv/app.db",
        "sqlite:",
        "sqlite:/",
        "sqlite:app",
        "://",
        ":///app.db",
        "sqlite+:",
        "sqlite+://",
        "sq lite://",
        " sqlite://",
        "sqlite+a+b://",
        "+sqlite://",
        "sqlite%2B://",
        "file:app.db",
        "sqlite\xc3\xa9://",
        "?",
        "%",
    };

    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        refuse_saying(texts[i], "sqlite:///");
}

Test(url, with_a_server_lists_the_forms_and_never_repeats_it)
{
    static const char *const texts[] = {
        "sqlite://HOST",
        "sqlite://HOST/app.db",
        "sqlite://HOST:5432/app.db",
        "sqlite://USER@HOST/app.db",
        "sqlite://USER:SECRET@HOST:5432/app.db",
        "sqlite://USER:SECRET@/app.db",
        "sqlite://USER:SECRET@HOST/app.db?key=SECRET",
        "sqlite://USER:SE?CRET@HOST/app.db",
        "sqlite://USER:SECRET",
        "sqlite:USER:SECRET@HOST/app.db",
        "USER:SECRET@HOST/app.db",
        "sqlite://USER:SE%CRET@HOST/app.db",
        "sqlite://\xff",
    };

    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        const char *said = refuse(texts[i]);

        cr_expect_null(strstr(said, "SECRET"), "%s", said);
        cr_expect_null(strstr(said, "HOST/"), "%s", said);
        cr_expect_null(strstr(said, "USER"), "%s", said);
        cr_expect_null(strstr(said, "5432"), "%s", said);
        cr_expect_not_null(strstr(said, "sqlite:///relative"), "%s", said);
        cr_expect_not_null(strstr(said, "sqlite:////absolute"), "%s", said);
        cr_expect_not_null(strstr(said, ":memory:"), "%s", said);
    }
}

Test(url, of_8192_bytes_is_taken_and_of_one_more_is_not)
{
    char text[8194];

    memset(text, 'x', sizeof text);
    memcpy(text, "sqlite:////", 11);
    text[8192] = '\0';
    parse(text);
    cr_expect_eq(strlen(url.database), 8192 - 10);
    lido__url_fini(&url);

    text[8192] = 'x', text[8193] = '\0';
    refuse_saying(text, "8192");
}

/* Percent signs. */

Test(url, decodes_path_keys_and_values)
{
    parse("sqlite:////a%20b%3fc%25.db?k%3D1=v%26%3d&%C3%A9=%c3%a9");
    cr_expect_str_eq(url.database, "/a b?c%.db");
    cr_assert_eq(url.n_params, 2);
    cr_expect_str_eq(url.params[0].key, "k=1");
    cr_expect_str_eq(url.params[0].value, "v&=");
    cr_expect_str_eq(lido__url_get(&url, "\xc3\xa9"), "\xc3\xa9");

    /* An escape is decoded once, a plus is a plus. */
    parse("sqlite:////a%2541+b");
    cr_expect_str_eq(url.database, "/a%41+b");
    lido__url_fini(&url);
}

Test(url, passes_bytes_that_are_not_ascii)
{
    parse("sqlite:////\xc3\xa9\xff\x01.db?\xe2\x82\xac=\xfe");
    cr_expect_str_eq(url.database, "/\xc3\xa9\xff\x01.db");
    cr_expect_str_eq(lido__url_get(&url, "\xe2\x82\xac"), "\xfe");
    lido__url_fini(&url);
}

Test(url, with_a_broken_escape_says_where)
{
    static const char *const breaks[] = { "%",   "%4",  "%zz",   "%4z", "%%41",
                                          "%-1", "% 1", "%0x41", "x%" };
    char text[64];

    for (size_t i = 0; i < sizeof breaks / sizeof breaks[0]; i++) {
        snprintf(text, sizeof text, "sqlite:////%s", breaks[i]);
        refuse_saying(text, "the path");
        snprintf(text, sizeof text, "sqlite:////a?%s=1", breaks[i]);
        refuse_saying(text, "a key");
        snprintf(text, sizeof text, "sqlite:////a?k=%s&l=1", breaks[i]);
        refuse_saying(text, "the value of k");
    }
    refuse_saying("sqlite:////a%00b", "%00 in the path");
    refuse_saying("sqlite:////a?%00=1", "%00 in a key");
    refuse_saying("sqlite:////a?k=1%00", "%00 in the value of k");
}

/* Keys. */

Test(url, keeps_keys_in_their_order)
{
    parse("sqlite:////a?z=1&a=2=3&m=?&n=/x");
    cr_assert_eq(url.n_params, 4);
    cr_expect_str_eq(url.params[0].key, "z");
    cr_expect_str_eq(url.params[1].value, "2=3");
    cr_expect_str_eq(url.params[2].value, "?");
    cr_expect_str_eq(url.params[3].value, "/x");
    cr_expect_str_eq(url.base, "sqlite:////a");
    cr_expect_null(lido__url_get(&url, "A"));
    cr_expect_null(lido__url_get(&url, ""));

    parse("sqlite://?pool=null");
    cr_expect_str_eq(url.database, ":memory:");
    cr_expect_str_eq(lido__url_get(&url, "pool"), "null");
    lido__url_fini(&url);
}

Test(url, with_an_empty_key_or_value_is_refused)
{
    refuse_saying("sqlite:////a?", "empty");
    refuse_saying("sqlite:////a?k=1&", "empty");
    refuse_saying("sqlite:////a?&k=1", "empty");
    refuse_saying("sqlite:////a?k=1&&l=1", "empty");
    refuse_saying("sqlite:////a?=1", "empty");
    refuse_saying("sqlite:////a?key=", "key has no value");
    refuse_saying("sqlite:////a?key", "key 1 has no value");
    refuse_saying("sqlite:////a?k=1&key&l=1", "key 2 has no value");
    refuse_saying("sqlite:////a?key=&l=1", "key has no value");
}

Test(url, with_a_key_twice_is_refused_also_when_it_is_written_otherwise)
{
    refuse_saying("sqlite:////a?key=1&key=1", "key stands twice");
    refuse_saying("sqlite:////a?key=1&l=1&%6bey=2", "key stands twice");
    refuse_saying("sqlite:////a?key=1&key", "key stands twice");
    parse("sqlite:////a?key=1&Key=2");
    cr_expect_eq(url.n_params, 2);
    lido__url_fini(&url);
}

Test(url, with_a_wrong_value_does_not_repeat_the_other_values)
{
    cr_expect_null(strstr(refuse("sqlite:////a?password=SECRET&k=%"), "SECRET"));
    cr_expect_null(strstr(refuse("sqlite:////a?k=SECRET%"), "SECRET"));
    cr_expect_null(strstr(refuse("sqlite:////a?k=SECRET&k=SECRET"), "SECRET"));
    cr_expect_null(strstr(refuse("sqlite:////a?password=top&SECRET&k=1"), "SECRET"));
}

Test(url, is_freed_once_however_often)
{
    long before = failing_malloc_outstanding();

    parse("sqlite+x:///a?k=1&l=2");
    lido__url_fini(&url);
    cr_expect(is_all_zero(&url));
    lido__url_fini(&url);
    cr_expect_eq(failing_malloc_outstanding(), before);
}

Test(url, without_memory_is_all_zero_and_leaks_nothing)
{
    long before = failing_malloc_outstanding();
    int n;

    for (n = 1;; n++) {
        int rc;

        failing_malloc_arm(n);
        rc = lido__url_parse(&url, "sqlite+x:///a%20b?k=1&l=2&m=3", &err);
        if (!failing_malloc_fired())
            break;
        cr_assert_eq(rc, SQLITE_NOMEM, "allocation %d", n);
        cr_assert(is_all_zero(&url), "allocation %d", n);
        cr_assert_not_null(strstr(err.text, "memory"));
        cr_assert_eq(failing_malloc_outstanding(), before, "allocation %d", n);
    }
    failing_malloc_arm(0);
    cr_expect_geq(n, 4);
    cr_expect_eq(url.n_params, 3);
    lido__url_fini(&url);
    cr_expect_eq(failing_malloc_outstanding(), before);
}
