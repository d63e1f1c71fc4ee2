/* SPDX-License-Identifier: MIT */
/*
 * Units: a number is divided by 1000 until it is below 1000, and then given three digits.
 *
 * The texts are returned by value, so that one call may stand beside another in a printf.
 *
 * Threads: any.
 */
#include "report/units.h"

#include <stdio.h>

static struct units_text scaled(int64_t value, const char *const *names, int n_names)
{
    struct units_text out;
    double number = (double)value;
    int unit = 0;

    /* 999.5 would be printed as 1000: it belongs to the next unit already. */
    while (unit < n_names - 1 && number >= 999.5) {
        number /= 1000;
        unit++;
    }
    if (unit == 0 || number >= 99.95)
        snprintf(out.text, sizeof out.text, "%.0f %s", number, names[unit]);
    else if (number >= 9.995)
        snprintf(out.text, sizeof out.text, "%.1f %s", number, names[unit]);
    else
        snprintf(out.text, sizeof out.text, "%.2f %s", number, names[unit]);
    return out;
}

struct units_text units_time(int64_t ns)
{
    static const char *const names[] = { "ns", "us", "ms", "s" };

    return scaled(ns, names, 4);
}

struct units_text units_bytes(int64_t size)
{
    static const char *const names[] = { "B", "kB", "MB", "GB", "TB" };

    return scaled(size, names, 5);
}

struct units_text units_count(int64_t n)
{
    struct units_text out;
    char digits[24];
    int length = snprintf(digits, sizeof digits, "%lld", (long long)n);
    int lead = digits[0] == '-';
    char *to = out.text;

    for (int i = 0; i < length; i++) {
        if (i > lead && (length - i) % 3 == 0)
            *to++ = ' ';
        *to++ = digits[i];
    }
    *to = '\0';
    return out;
}
