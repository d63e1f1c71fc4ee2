/* SPDX-License-Identifier: MIT */
/*
 * The public functions on URLs: text to parts, and parts to text.
 */
#include "tests/support/failing_malloc.h"
#include <lido/url.h>

#include <criterion/criterion.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static struct lido_error err;
static char text[LIDO_URL_LONGEST + 1];

TestSuite(url_parts, .init = failing_malloc_install, .timeout = 60);

static void expect_text(const struct lido_url *url, const char *wanted)
{
    cr_expect_eq(lido_url_format(text, sizeof text, url, &err), LIDO_OK, "%s", err.text);
    cr_expect_str_eq(text, wanted);
}

Test(url_parts, are_those_of_the_text_and_not_escaped)
{
    struct lido_url *url;

    cr_assert_eq(lido_url_parse(&url, "sqlite+audit:///a%20b.db?k=%26&%6c=2", &err),
                 LIDO_OK);
    cr_expect_eq(url->size, sizeof *url);
    cr_expect_str_eq(url->driver, "audit");
    cr_expect_str_eq(url->database, "a b.db", "as it stands there, not made absolute");
    cr_assert_eq(url->n_params, 2);
    cr_expect_str_eq(url->params[0].key, "k");
    cr_expect_str_eq(url->params[0].value, "&");
    cr_expect_str_eq(url->params[1].key, "l");
    cr_expect_str_eq(url->params[1].value, "2");
    lido_url_free(url);

    cr_assert_eq(lido_url_parse(&url, "sqlite://", &err), LIDO_OK);
    cr_expect_str_eq(url->driver, "sqlite");
    cr_expect_str_eq(url->database, "");
    cr_expect_eq(url->n_params, 0);
    lido_url_free(url);
    lido_url_free(NULL);
}

Test(url_parts, of_a_name_that_no_pool_takes_are_parts_all_the_same)
{
    static const char *const names[] = { "/:memory:", "C:\\p\\x.db", "file:x", ":memory:" };
    struct lido_url *url;

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        snprintf(text, sizeof text, "sqlite:///%s", names[i]);
        cr_assert_eq(lido_url_parse(&url, text, &err), LIDO_OK, "%s", err.text);
        cr_expect_str_eq(url->database, names[i]);
        lido_url_free(url);
    }
}

Test(url_parts, make_a_text_in_which_only_letters_and_a_few_more_are_left)
{
    static const struct lido_param params[] = { { "mode", "ro" }, { "a=b", "c&d?#" } };
    struct lido_url url = LIDO_URL_INIT;

    expect_text(&url, "sqlite://");
    url.database = ":memory:";
    expect_text(&url, "sqlite:///:memory:");
    url.database = "app.db";
    expect_text(&url, "sqlite:///app.db");
    url.database = "/srv/a b%.db";
    expect_text(&url, "sqlite:////srv/a%20b%25.db");
    url.driver = "audit";
    url.params = params;
    url.n_params = 2;
    expect_text(&url, "sqlite+audit:////srv/a%20b%25.db?mode=ro&a%3Db=c%26d%3F%23");
}

static void expect_not_said(struct lido_url url, int code, const char *part)
{
    strcpy(text, "something");
    memset(&err, 0, sizeof err);
    cr_expect_eq(lido_url_format(text, sizeof text, &url, &err), code, "%s", err.text);
    cr_expect_eq(err.code, code);
    cr_expect_not_null(strstr(err.text, part), "%s", err.text);
    cr_expect_str_eq(text, "");
    cr_expect_eq(lido_url_format(text, sizeof text, &url, NULL), code);
}

Test(url_parts, that_no_url_says_are_refused_by_name)
{
    static const struct lido_param twice[] = { { "k", "1" }, { "l", "1" }, { "k", "2" } };
    static const struct lido_param empty_key[] = { { "", "1" } };
    static const struct lido_param empty_value[] = { { "key", "" } };
    static const struct lido_param no_value[] = { { "key", NULL } };
    static char longest[LIDO_URL_LONGEST];
    struct lido_url url = LIDO_URL_INIT;

    url.params = twice, url.n_params = 3;
    expect_not_said(url, LIDO_BAD_URL, "key k stands twice");
    url.params = empty_key, url.n_params = 1;
    expect_not_said(url, LIDO_BAD_URL, "key 1 is empty");
    url.params = empty_value;
    expect_not_said(url, LIDO_BAD_URL, "key key has no value");
    url.params = no_value;
    expect_not_said(url, SQLITE_MISUSE, "NULL");
    url.params = NULL;
    expect_not_said(url, SQLITE_MISUSE, "NULL");
    url.n_params = 0;
    url.driver = "a b";
    expect_not_said(url, LIDO_BAD_URL, "driver");
    url.driver = "";
    expect_not_said(url, LIDO_BAD_URL, "driver");
    url.driver = NULL;
    expect_not_said(url, SQLITE_MISUSE, "NULL");
    url.driver = "sqlite";
    url.size--;
    expect_not_said(url, SQLITE_MISUSE, "LIDO_URL_INIT");
    url.size++;
    memset(longest, 'x', sizeof longest - 1);
    url.database = longest;
    expect_not_said(url, LIDO_BAD_URL, "8192");
    longest[LIDO_URL_LONGEST - 10] = '\0'; /* behind "sqlite:///" */
    cr_expect_eq(lido_url_format(text, sizeof text, &url, &err), LIDO_OK);
    cr_expect_eq(strlen(text), LIDO_URL_LONGEST);
    cr_expect_eq(lido_url_format(text, sizeof text - 1, &url, &err), SQLITE_TOOBIG);
    cr_expect_str_eq(text, "");
}

Test(url_parts, bad_arguments_are_answered)
{
    struct lido_url url = LIDO_URL_INIT, *out = &url;

    cr_expect_eq(lido_url_parse(NULL, "sqlite://", &err), SQLITE_MISUSE);
    cr_expect_eq(lido_url_parse(&out, NULL, &err), SQLITE_MISUSE);
    cr_expect_null(out);
    cr_expect_eq(lido_url_format(NULL, 10, &url, &err), SQLITE_MISUSE);
    cr_expect_eq(lido_url_format(text, 0, &url, &err), SQLITE_MISUSE);
    cr_expect_eq(lido_url_format(text, sizeof text, NULL, &err), SQLITE_MISUSE);
    failing_malloc_arm(1);
    cr_expect_eq(lido_url_parse(&out, "sqlite://", &err), SQLITE_NOMEM);
    cr_expect_null(out);
    failing_malloc_arm(0);
}

/* Round trip. */

static uint32_t state = 20240229;

static uint32_t roll(uint32_t below)
{
    state = state * 1664525 + 1013904223;
    return (state >> 8) % below;
}

/* Any bytes but NUL, now and then only those that mean something in a URL. */
static const char *random_text(char *out, uint32_t least, uint32_t most)
{
    static const char special[] = "%/?&=:#+ .\\@a0";
    uint32_t length = least + roll(most - least + 1);
    bool is_special = roll(2);

    for (uint32_t i = 0; i < length; i++)
        out[i] = is_special ? special[roll(sizeof special - 1)] : (char)(1 + roll(255));
    out[length] = '\0';
    return out;
}

static void expect_same(const struct lido_url *url, const struct lido_url *again)
{
    cr_assert_str_eq(again->driver, url->driver);
    cr_assert_str_eq(again->database, url->database, "%s", text);
    cr_assert_eq(again->n_params, url->n_params, "%s", text);
    for (size_t i = 0; i < url->n_params; i++) {
        cr_assert_str_eq(again->params[i].key, url->params[i].key, "%s", text);
        cr_assert_str_eq(again->params[i].value, url->params[i].value, "%s", text);
    }
}

Test(url_parts, come_back_whatever_they_are_made_of)
{
    static const char *const drivers[] = { "sqlite", "pysqlite", "My_2.0-x", "a" };
    static char database[64], keys[4][24], values[4][24];
    long before = failing_malloc_outstanding();
    int compared = 0;

    for (int round = 0; round < 20000; round++) {
        struct lido_param params[4];
        struct lido_url url = LIDO_URL_INIT, *again;
        int rc;

        url.driver = drivers[roll(4)];
        url.database = random_text(database, 0, 60);
        url.n_params = roll(5);
        url.params = params;
        for (size_t i = 0; i < url.n_params; i++)
            params[i] = (struct lido_param){ random_text(keys[i], 1, 20),
                                             random_text(values[i], 1, 20) };
        rc = lido_url_format(text, sizeof text, &url, &err);
        if (rc == LIDO_BAD_URL && strstr(err.text, "twice") != NULL)
            continue;
        cr_assert_eq(rc, LIDO_OK, "%s", err.text);
        cr_assert_eq(lido_url_parse(&again, text, &err), LIDO_OK, "%s: %s", text, err.text);
        expect_same(&url, again);
        lido_url_free(again);
        compared++;
    }
    cr_expect_gt(compared, 15000);
    cr_expect_eq(failing_malloc_outstanding(), before);
}

/* Random texts: whatever is taken apart can be said again. */
Test(url_parts, of_random_texts_can_be_said_again)
{
    static char rest[64], again_text[LIDO_URL_LONGEST + 1];
    int taken = 0;

    for (int round = 0; round < 20000; round++) {
        struct lido_url *url, *again;

        snprintf(text, sizeof text, "sqlite://%s%s", roll(4) ? "/" : "",
                 random_text(rest, 0, 30));
        if (lido_url_parse(&url, text, &err) != LIDO_OK)
            continue;
        taken++;
        cr_assert_eq(lido_url_format(again_text, sizeof again_text, url, &err), LIDO_OK,
                     "%s: %s", text, err.text);
        cr_assert_eq(lido_url_parse(&again, again_text, &err), LIDO_OK, "%s", err.text);
        expect_same(url, again);
        lido_url_free(url);
        lido_url_free(again);
    }
    cr_expect_gt(taken, 1000);
}
