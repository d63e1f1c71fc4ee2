/* SPDX-License-Identifier: MIT */
/*
 * The values of a URL's keys in the types that they have.  Numbers are read by hand: strtod
 * follows the locale, and strtol takes blanks and signs that nobody means.
 *
 * Threads: any; nothing is shared.
 */
#include "driver/url.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

const char *lido__url_get(const struct lido__url *url, const char *key)
{
    for (size_t i = 0; i < url->n_params; i++)
        if (strcmp(url->params[i].key, key) == 0)
            return url->params[i].value;
    return NULL;
}

static int fail_value(const char *key, const char *value, const char *wanted,
                      struct lido_error *err)
{
    return lido_fail(err, LIDO_BAD_URL, "%s=%.40s is not %s", key, value, wanted);
}

/* The digits at *at as a number up to `most`; false without a digit or beyond. */
static bool read_digits(const char **at, int64_t most, int64_t *out)
{
    const char *start = *at;

    *out = 0;
    for (; **at >= '0' && **at <= '9'; ++*at) {
        int digit = **at - '0';

        if (*out > (most - digit) / 10)
            return false;
        *out = *out * 10 + digit;
    }
    return *at > start;
}

static int too_small(const char *key, const char *value, int64_t least,
                     struct lido_error *err)
{
    return lido_fail(err, LIDO_BAD_URL, "%s=%.40s: the least is %lld", key, value,
                     (long long)least);
}

int lido__value_int(const char *key, const char *value, int64_t least, int64_t most,
                    int64_t *out, struct lido_error *err)
{
    const char *at = value;
    char wanted[60];
    int64_t number;

    if (*at == '-')
        at++;
    if (!read_digits(&at, most, &number) || *at != '\0') {
        snprintf(wanted, sizeof wanted, "a whole number up to %lld", (long long)most);
        return fail_value(key, value, wanted, err);
    }
    if (value[0] == '-')
        number = -number;
    if (number < least)
        return too_small(key, value, least, err);
    *out = number;
    return LIDO_OK;
}

int lido__url_int(const struct lido__url *url, const char *key, int least, int *out,
                  struct lido_error *err)
{
    const char *value = lido__url_get(url, key);
    int64_t number = *out;
    int rc = LIDO_OK;

    if (value != NULL)
        rc = lido__value_int(key, value, least, INT_MAX, &number, err);
    if (rc == LIDO_OK)
        *out = (int)number;
    return rc;
}

int lido__value_bool(const char *key, const char *value, int *out, struct lido_error *err)
{
    static const char *const words[2][6] = {
        { "false", "no", "off", "n", "f", "0" },
        { "true", "yes", "on", "y", "t", "1" },
    };

    for (int truth = 0; truth < 2; truth++)
        for (int i = 0; i < 6; i++)
            if (strcasecmp(value, words[truth][i]) == 0) {
                *out = truth;
                return LIDO_OK;
            }
    return fail_value(key, value, "true, yes, on, y, t, 1 or false, no, off, n, f, 0", err);
}

int lido__url_bool(const struct lido__url *url, const char *key, int *out,
                   struct lido_error *err)
{
    const char *value = lido__url_get(url, key);

    return value != NULL ? lido__value_bool(key, value, out, err) : LIDO_OK;
}

/* What stands behind the point, in milliseconds, rounded up. */
static bool read_fraction(const char **at, int64_t *ms)
{
    const char *start = *at;
    int64_t unit = 100;
    bool has_more = false;

    *ms = 0;
    for (; **at >= '0' && **at <= '9'; ++*at) {
        has_more = has_more || (unit == 0 && **at != '0');
        *ms += (**at - '0') * unit;
        unit /= 10;
    }
    *ms += has_more;
    return *at > start;
}

int lido__url_seconds(const struct lido__url *url, const char *key, int64_t *out_ms,
                      struct lido_error *err)
{
    const char *value = lido__url_get(url, key), *at = value;
    int64_t seconds, ms = 0;

    if (value == NULL)
        return LIDO_OK;
    if (strcmp(value, "-1") == 0) {
        *out_ms = -1;
        return LIDO_OK;
    }
    if (!read_digits(&at, INT64_MAX / 1000 - 1, &seconds) ||
        (*at == '.' && (at++, !read_fraction(&at, &ms))) || *at != '\0')
        return fail_value(key, value, "a number of seconds, or -1 for ever", err);
    *out_ms = seconds * 1000 + ms;
    return LIDO_OK;
}
