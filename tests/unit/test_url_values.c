/* SPDX-License-Identifier: MIT */
/*
 * The values of a URL's keys, and whole URLs that nobody would write.
 */
#include "driver/url.h"

#include <criterion/criterion.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct lido_error err;
static struct lido__url url;

TestSuite(url_values, .timeout = 60);

/* A URL with k=value; blanks and the like as they are. */
static void with_value(const char *value)
{
    char text[256];

    lido__url_fini(&url);
    snprintf(text, sizeof text, "sqlite:////a?k=%s", value);
    memset(&err, 0, sizeof err);
    cr_assert_eq(lido__url_parse(&url, text, &err), LIDO_OK, "%s", err.text);
}

/* LIDO_BAD_URL that names the key and what stood there. */
static void expect_bad(int rc, const char *value)
{
    char start[64];

    snprintf(start, sizeof start, "k=%.40s", value);
    cr_expect_eq(rc, LIDO_BAD_URL, "k=%s answered %d", value, rc);
    cr_expect_eq(err.code, LIDO_BAD_URL);
    cr_expect_eq(strncmp(err.text, start, strlen(start)), 0, "%s", err.text);
}

Test(url_values, an_absent_key_leaves_the_default_alone)
{
    int number = 7, truth = 8;
    int64_t ms = 9;

    with_value("1");
    cr_expect_eq(lido__url_int(&url, "absent", 100, &number, &err), LIDO_OK);
    cr_expect_eq(lido__url_bool(&url, "absent", &truth, &err), LIDO_OK);
    cr_expect_eq(lido__url_seconds(&url, "absent", &ms, &err), LIDO_OK);
    cr_expect_eq(number, 7);
    cr_expect_eq(truth, 8);
    cr_expect_eq(ms, 9);
    cr_expect_eq(err.code, 0);
    lido__url_fini(&url);
}

Test(url_values, a_whole_number_is_read_strictly)
{
    static const struct {
        const char *text;
        int number;
    } good[] = { { "0", 0 },      { "5", 5 },   { "-1", -1 },
                 { "-0", 0 },     { "007", 7 }, { "2147483647", INT_MAX },
                 { "%34%32", 42 } };
    static const char *const bad[] = {
        "-",
        "+1",
        "1 ",
        " 1",
        "1.0",
        "1e3",
        "0x10",
        "--1",
        "one",
        "1-",
        "nan",
        "\xd9\xa1",
        "2147483648",
        "4294967297",
        "-2147483649",
        "99999999999999999999999999999999999999",
        "18446744073709551617",
    };
    int number = 77;

    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        with_value(good[i].text);
        cr_expect_eq(lido__url_int(&url, "k", -1, &number, &err), LIDO_OK, "%s", err.text);
        cr_expect_eq(number, good[i].number, "%s", good[i].text);
    }
    number = 77;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        with_value(bad[i]);
        expect_bad(lido__url_int(&url, "k", INT_MIN, &number, &err), bad[i]);
        cr_expect_eq(number, 77, "%s", bad[i]);
    }
    lido__url_fini(&url);
}

Test(url_values, a_whole_number_below_the_least_says_the_least)
{
    int number = 77;

    with_value("-2");
    expect_bad(lido__url_int(&url, "k", -1, &number, &err), "-2");
    cr_expect_not_null(strstr(err.text, "least is -1"), "%s", err.text);
    cr_expect_eq(number, 77);
    with_value("-1");
    expect_bad(lido__url_int(&url, "k", 0, &number, NULL) == LIDO_BAD_URL
                   ? lido__url_int(&url, "k", 0, &number, &err)
                   : LIDO_OK,
               "-1");
    lido__url_fini(&url);
}

Test(url_values, a_boolean_is_one_of_twelve_words_in_any_case)
{
    static const char *const yes[] = { "true", "yes", "on", "y", "t", "1",
                                       "TRUE", "Yes", "oN", "Y", "T" };
    static const char *const no[] = { "false", "no", "off", "n", "f", "0",
                                      "FALSE", "No", "oFf", "N", "F" };
    static const char *const bad[] = { "2",  "-1", "01",   "tru",  "truee", "ye",
                                       " 1", "1 ", "none", "null", "o",     "enable" };
    int truth;

    for (size_t i = 0; i < sizeof yes / sizeof yes[0]; i++) {
        with_value(yes[i]);
        truth = 77;
        cr_expect_eq(lido__url_bool(&url, "k", &truth, &err), LIDO_OK, "%s", yes[i]);
        cr_expect_eq(truth, 1, "%s", yes[i]);
        with_value(no[i]);
        cr_expect_eq(lido__url_bool(&url, "k", &truth, &err), LIDO_OK, "%s", no[i]);
        cr_expect_eq(truth, 0, "%s", no[i]);
    }
    truth = 77;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        with_value(bad[i]);
        expect_bad(lido__url_bool(&url, "k", &truth, &err), bad[i]);
        cr_expect_not_null(strstr(err.text, "yes"), "%s", err.text);
    }
    cr_expect_eq(truth, 77);
    lido__url_fini(&url);
}

Test(url_values, seconds_become_milliseconds_rounded_up)
{
    static const struct {
        const char *text;
        int64_t ms;
    } good[] = {
        { "0", 0 },
        { "30", 30000 },
        { "0.5", 500 },
        { "1.25", 1250 },
        { "0.001", 1 },
        { "0.0001", 1 },
        { "0.0010", 1 },
        { "0.0011", 2 },
        { "0.9999", 1000 },
        { "1.0000000", 1000 },
        { "0.000", 0 },
        { "-1", -1 },
        { "0.00000000000000000000000000000000000001", 1 },
        { "007.5", 7500 },
        { "9223372036854774", INT64_C(9223372036854774000) },
        { "9223372036854774.9999", INT64_C(9223372036854775000) },
    };
    int64_t ms;

    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        with_value(good[i].text);
        ms = 77;
        cr_expect_eq(lido__url_seconds(&url, "k", &ms, &err), LIDO_OK, "%s", err.text);
        cr_expect_eq(ms, good[i].ms, "%s became %lld", good[i].text, (long long)ms);
    }
    lido__url_fini(&url);
}

Test(url_values, seconds_that_are_no_number_are_refused)
{
    static const char *const bad[] = {
        "-2",
        "-0",
        "-1.0",
        "-0.5",
        "-",
        "nan",
        "inf",
        "NaN",
        "-inf",
        "infinity",
        "1e3",
        "1E3",
        "0x10",
        "1.",
        ".5",
        ".",
        "1..5",
        "1.5.",
        "1,5",
        "+1",
        " 1",
        "1 ",
        "1s",
        "1.-5",
        "1.5e",
        "--1",
        "-1 ",
        "9223372036854775",
        "9223372036854775807",
        "99999999999999999999999999",
        "1.5\xc2\xa0",
    };
    int64_t ms = 77;

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        with_value(bad[i]);
        expect_bad(lido__url_seconds(&url, "k", &ms, &err), bad[i]);
        cr_expect_eq(ms, 77, "%s", bad[i]);
    }
    lido__url_fini(&url);
}

Test(url_values, a_long_value_is_shown_in_part)
{
    char value[201];
    int number = 77;

    memset(value, 'v', sizeof value);
    value[200] = '\0';
    with_value(value);
    expect_bad(lido__url_int(&url, "k", 0, &number, &err), value);
    cr_expect_not_null(strstr(err.text, "whole number"), "%s", err.text);
    lido__url_fini(&url);
}

/* Mutations: deterministic, so that a failure comes again. */

static uint64_t seed = 0x9e3779b97f4a7c15u;

static uint64_t draw(uint64_t below)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed % below;
}

#define MOST 300

static size_t mutate(char *text, size_t length)
{
    static const char palette[] = "%%%//??&&==::@+-.,0019aFfkz \t\n\x01\x7f\x80\xc3\xff";
    size_t at = draw(length + 1), end = at + draw(length - at + 1);

    switch (draw(6)) {
    case 0: /* a byte of the palette in the place of one */
        if (at < length)
            text[at] = palette[draw(sizeof palette - 1)];
        return length;
    case 1: /* one more */
        if (length + 1 >= MOST)
            return length;
        memmove(text + at + 1, text + at, length - at);
        text[at] = palette[draw(sizeof palette - 1)];
        return length + 1;
    case 2: /* a piece less */
        memmove(text + at, text + end, length - end);
        return length - (end - at);
    case 3: /* a piece twice */
        if (length + (end - at) >= MOST)
            return length;
        memmove(text + end + (end - at), text + end, length - end);
        memcpy(text + end, text + at, end - at);
        return length + (end - at);
    case 4: /* cut */ return draw(4) == 0 ? at : length;
    default: /* any byte but the end */
        if (at < length)
            text[at] = (char)(1 + draw(255));
        return length;
    }
}

static void check_parsed(const char *text)
{
    cr_assert_neq(url.driver[0], '\0', "%s", text);
    cr_assert(url.database[0] == '/' || strcmp(url.database, ":memory:") == 0, "%s", text);
    cr_assert_eq(strncmp(url.base, text, strlen(url.base)), 0, "%s", text);
    for (size_t i = 0; i < url.n_params; i++) {
        const struct lido_param *param = &url.params[i];
        int number = 0;
        int64_t ms = 0;

        cr_assert_neq(param->key[0], '\0', "%s", text);
        cr_assert_neq(param->value[0], '\0', "%s", text);
        cr_assert_eq(lido__url_get(&url, param->key), param->value, "%s", text);
        if (lido__url_int(&url, param->key, -1, &number, &err) == LIDO_OK)
            cr_assert_geq(number, -1, "%s", text);
        if (lido__url_bool(&url, param->key, &number, &err) == LIDO_OK)
            cr_assert(number == 0 || number == 1, "%s", text);
        if (lido__url_seconds(&url, param->key, &ms, &err) == LIDO_OK)
            cr_assert_geq(ms, -1, "%s", text);
    }
}

Test(url_values, a_mutated_url_is_taken_whole_or_refused_with_a_text)
{
    static const char *const seeds[] = {
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite:////srv/a%20b.db",
        "sqlite+name:///app.db?pool=queue&pool_size=5&timeout=1.5&mode=ro",
        "name:////x?k=-1&l=0.0001&m=%C3%A9&n=true&o=2147483647",
        "sqlite://user:password@host:5432/x?a=b",
    };
    static const struct lido__url zero;
    int taken = 0, refused = 0;

    for (int round = 0; round < 50000; round++) {
        char buffer[MOST + 1], *text;
        const char *start = seeds[draw(sizeof seeds / sizeof seeds[0])];
        size_t length = strlen(start);
        int rc;

        memcpy(buffer, start, length);
        for (uint64_t left = 1 + draw(6); left > 0; left--)
            length = mutate(buffer, length);
        text = malloc(length + 1); /* of just that size: a read behind it is seen */
        cr_assert_not_null(text);
        memcpy(text, buffer, length);
        text[length] = '\0';

        memset(&err, 0, sizeof err);
        rc = lido__url_parse(&url, text, &err);
        if (rc == LIDO_OK) {
            taken++;
            cr_assert_eq(err.code, 0, "%s", text);
            check_parsed(text);
            lido__url_fini(&url);
        } else {
            refused++;
            cr_assert_eq(rc, LIDO_BAD_URL, "%s", text);
            cr_assert_eq(err.code, rc, "%s", text);
            cr_assert_neq(err.text[0], '\0', "%s", text);
        }
        cr_assert_eq(memcmp(&url, &zero, sizeof zero), 0, "%s", text);
        free(text);
    }
    cr_expect_gt(taken, 5000);
    cr_expect_gt(refused, 5000);
}
