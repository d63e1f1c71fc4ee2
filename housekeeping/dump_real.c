/* SPDX-License-Identifier: MIT */
/*
 * A real as the text of a literal that SQLite reads back to the last bit.
 *
 * It has 15, 16 or 17 digits, as few as clearly say which real it is.  Where a real of 53 bits
 * times a power of ten fits into 128 bits, those digits are exact integers, and how far their
 * number is from the real is known too: this costs a fraction of what the C library takes for
 * it.  A text of 15 digits whose number is clearly nearer to this real than to the next one,
 * every SQLite reads as this real, for it divides two numbers that are exact.  Any other text
 * SQLite is asked to read, since its older versions do not round as they should.
 *
 * For all others the digits are the C library's, which has to read them as this real too: a
 * SQLite that rounds wrongly here would read them back, and another one would not.  Where none
 * is read back, it is written as an integer times powers of two, which all are exact.
 *
 * Threads: the one that has the connection.
 */
#include "housekeeping/dump.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_TEXT = 64 };

/* Does SQLite read `text` as this very number? */
static int reads_back(struct lido__literal *literal, const char *text, double number,
                      bool *is_same)
{
    int rc = sqlite3_bind_text(literal->reader, 1, text, -1, SQLITE_STATIC);

    *is_same = false;
    if (rc != SQLITE_OK)
        return rc;
    if (sqlite3_step(literal->reader) == SQLITE_ROW) {
        const double got = sqlite3_column_double(literal->reader, 0);
        uint64_t got_bits, bits; /* -0.0 is not 0.0 */

        memcpy(&got_bits, &got, sizeof got_bits);
        memcpy(&bits, &number, sizeof bits);
        *is_same = got_bits == bits;
    }
    rc = sqlite3_reset(literal->reader);
    sqlite3_clear_bindings(literal->reader);
    return rc;
}

/* --- by integers -------------------------------------------------------------------------- */

#define LEAST_EXACT 1e-4
#define MOST_EXACT  1e15 /* below it all are written without an exponent */

static const double tens[] = { 1e-3, 1e-2, 1e-1, 1e0, 1e1,  1e2,  1e3,  1e4,  1e5,
                               1e6,  1e7,  1e8,  1e9, 1e10, 1e11, 1e12, 1e13, 1e14 };

/* number = mantissa * 2^exponent, mantissa of 53 bits; in [LEAST_EXACT, MOST_EXACT).
   decimals: of its 15 digits, so many stand behind the point. */
struct parts {
    uint64_t mantissa;
    int exponent, decimals;
};

static struct parts take_apart(double number)
{
    struct parts parts;
    uint64_t bits;
    int power = 0;

    memcpy(&bits, &number, sizeof bits);
    parts.mantissa = (bits & ((1ULL << 52) - 1)) | 1ULL << 52;
    parts.exponent = (int)(bits >> 52 & 0x7ff) - 1075;
    while (power < (int)(sizeof tens / sizeof tens[0]) && number >= tens[power])
        power++;
    parts.decimals = 18 - power;
    return parts;
}

/* The nearest number of so many decimals, as an integer, ties to even.  It is m * 5^d shifted
   by -(e + d) bits, 1 to 63 for these.  True: it is nearer to this real than to any other, by
   more than 1/256 of the way, so that even a reader with such an error reads this real. */
static bool round_to(const struct parts *parts, int decimals, uint64_t *rounded)
{
    const int shift = -(parts->exponent + decimals);
    const uint64_t m = parts->mantissa;
    uint64_t five = 1, low, middle, high, away;

    for (int i = 0; i < decimals; i++)
        five *= 5;
    if (shift < 1 || shift > 63)
        return false;
    low = (m & 0xffffffff) * (five & 0xffffffff);
    middle =
        (m >> 32) * (five & 0xffffffff) + (m & 0xffffffff) * (five >> 32) + (low >> 32);
    high = (m >> 32) * (five >> 32) + (middle >> 32);
    low = middle << 32 | (low & 0xffffffff);
    *rounded = high << (64 - shift) | low >> shift;
    away = low & ((1ULL << shift) - 1);
    if (away > 1ULL << (shift - 1) ||
        (away == 1ULL << (shift - 1) && (*rounded & 1) != 0)) {
        ++*rounded;
        away = (1ULL << shift) - away;
    }
    /* Half the way to the next real is 5^d / 2 here.  Below a power of two it is half of that,
       but here all of them have 15 digits at most: nothing is rounded. */
    return away < five && away * 256 < 127 * five;
}

static void write_decimal(char text[MOST_TEXT], bool is_negative, uint64_t digits,
                          int decimals)
{
    char reversed[32], *next = text;
    int count = 0;

    for (; decimals > 1 && digits % 10 == 0; decimals--)
        digits /= 10;
    while (count <= decimals || digits > 0) { /* a digit before the point at least */
        reversed[count++] = (char)('0' + digits % 10);
        digits /= 10;
    }
    if (is_negative)
        *next++ = '-';
    while (count > 0) {
        if (count == decimals)
            *next++ = '.';
        *next++ = reversed[--count];
    }
    if (decimals == 0) {
        *next++ = '.';
        *next++ = '0';
    }
    *next = '\0';
}

static int write_exact(struct lido__literal *literal, char text[MOST_TEXT], double number,
                       bool *is_same)
{
    const struct parts parts = take_apart(fabs(number));
    int rc = SQLITE_OK;

    *is_same = false;
    for (int more = 0; more <= 2 && rc == SQLITE_OK && !*is_same; more++) {
        uint64_t digits;

        if (!round_to(&parts, parts.decimals + more, &digits))
            continue;
        write_decimal(text, number < 0, digits, parts.decimals + more);
        if (more == 0)
            *is_same = true;
        else
            rc = reads_back(literal, text, number, is_same);
    }
    return rc;
}

/* --- all others --------------------------------------------------------------------------- */

/* The C library's digits, with a point whatever the locale says, and as no integer.  True: they
   are this real's, where a reader rounds as it should. */
static bool write_digits(char *text, size_t size, int digits, double number)
{
    char raw[64];
    size_t used = 0;
    bool is_real = false;

    snprintf(raw, sizeof raw, "%.*g", digits, number);
    for (const char *next = raw; *next != '\0' && used + 3 < size; next++) {
        if (strchr("0123456789+-e", *next) != NULL)
            text[used++] = *next;
        else if (!is_real)
            text[used++] = '.';
        is_real = is_real || strchr("0123456789+-", *next) == NULL;
    }
    if (!is_real) {
        text[used++] = '.';
        text[used++] = '0';
    }
    text[used] = '\0';
    return strtod(raw, NULL) == number;
}

/* 53 bits, and twice, half, ... as often as it takes: each step is exact. */
static void add_product(struct lido__line *line, double number)
{
    int exponent;
    const double mantissa = frexp(number, &exponent);

    lido__line_add_text(line, "(");
    lido__line_add_integer(line, (int64_t)ldexp(mantissa, 53));
    lido__line_add_text(line, "*1.0");
    for (exponent -= 53; exponent >= 60; exponent -= 60)
        lido__line_add_text(line, "*1152921504606846976");
    for (; exponent <= -60; exponent += 60)
        lido__line_add_text(line, "/1152921504606846976");
    if (exponent != 0) {
        lido__line_add_text(line, exponent > 0 ? "*" : "/");
        lido__line_add_integer(line, 1LL << (exponent > 0 ? exponent : -exponent));
    }
    lido__line_add_text(line, ")");
}

int lido__real_add(struct lido__literal *literal, struct lido__line *line, double number)
{
    const double size = fabs(number);
    char text[MOST_TEXT];
    bool is_same = false;
    int rc = SQLITE_OK;

    if (isinf(number)) {
        lido__line_add_text(line, number > 0 ? "1e999" : "-1e999");
        return SQLITE_OK;
    }
    if (size >= LEAST_EXACT && size < MOST_EXACT)
        rc = write_exact(literal, text, number, &is_same);
    for (int digits = 15; digits <= 17 && rc == SQLITE_OK && !is_same; digits++)
        if (write_digits(text, sizeof text, digits, number))
            rc = reads_back(literal, text, number, &is_same);
    if (rc != SQLITE_OK)
        return rc;
    if (is_same)
        lido__line_add_text(line, text);
    else
        add_product(line, number);
    return SQLITE_OK;
}
