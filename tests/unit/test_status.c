/* SPDX-License-Identifier: MIT */
/*
 * Codes, their names, and the line of text that goes with them.
 */
#include <lido/lido.h>

#include <criterion/criterion.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

/* Each code of <lido/status.h>, with what it is to a program that knows only SQLite. */
#define CODE(code, first)                                                                  \
    {                                                                                      \
        code, first, #code                                                                 \
    }

static const struct {
    int code;
    int first;
    const char *name;
} codes[] = {
    CODE(LIDO_POOL_TIMEOUT, SQLITE_BUSY),   CODE(LIDO_BUSY_LEASES, SQLITE_BUSY),
    CODE(LIDO_CLOSED, SQLITE_MISUSE),       CODE(LIDO_STALE, SQLITE_MISUSE),
    CODE(LIDO_WRONG_THREAD, SQLITE_MISUSE), CODE(LIDO_FORKED, SQLITE_MISUSE),
    CODE(LIDO_RECURSION, SQLITE_MISUSE),    CODE(LIDO_BAD_URL, SQLITE_MISUSE),
    CODE(LIDO_BAD_OPTION, SQLITE_MISUSE),   CODE(LIDO_VERSION_MISMATCH, SQLITE_MISUSE),
    CODE(LIDO_SQLITE_UNFIT, SQLITE_ERROR),  CODE(LIDO_IN_TXN, SQLITE_ERROR),
    CODE(LIDO_NO_TXN, SQLITE_ERROR),        CODE(LIDO_TXN_OVER, SQLITE_ABORT),
    CODE(LIDO_NOT_FOUND, SQLITE_NOTFOUND),  CODE(LIDO_DISCONNECT, SQLITE_ABORT),
};
#define N_CODES (sizeof codes / sizeof codes[0])

Test(status, every_code_of_lido_s_own_has_its_name_and_is_one_of_sqlite_s_to_others)
{
    cr_assert_eq(N_CODES, 16,
                 "a code was added: give it a line above and a new number here");
    for (size_t i = 0; i < N_CODES; i++) {
        cr_assert_str_eq(lido_status_name(codes[i].code), codes[i].name);
        cr_assert_eq(codes[i].code & 0xff, codes[i].first, "%s", codes[i].name);
        cr_assert_eq(codes[i].code >> 8, 128 + (int)i, "%s: the second byte",
                     codes[i].name);
    }
}

Test(status, every_first_code_of_sqlite_has_its_name)
{
    static const char *const names[] = {
        "SQLITE_OK",       "SQLITE_ERROR",     "SQLITE_INTERNAL", "SQLITE_PERM",
        "SQLITE_ABORT",    "SQLITE_BUSY",      "SQLITE_LOCKED",   "SQLITE_NOMEM",
        "SQLITE_READONLY", "SQLITE_INTERRUPT", "SQLITE_IOERR",    "SQLITE_CORRUPT",
        "SQLITE_NOTFOUND", "SQLITE_FULL",      "SQLITE_CANTOPEN", "SQLITE_PROTOCOL",
        "SQLITE_EMPTY",    "SQLITE_SCHEMA",    "SQLITE_TOOBIG",   "SQLITE_CONSTRAINT",
        "SQLITE_MISMATCH", "SQLITE_MISUSE",    "SQLITE_NOLFS",    "SQLITE_AUTH",
        "SQLITE_FORMAT",   "SQLITE_RANGE",     "SQLITE_NOTADB",   "SQLITE_NOTICE",
        "SQLITE_WARNING",
    };

    for (int code = 0; code <= SQLITE_WARNING; code++)
        cr_assert_str_eq(lido_status_name(code), names[code]);
    cr_assert_str_eq(lido_status_name(SQLITE_ROW), "SQLITE_ROW");
    cr_assert_str_eq(lido_status_name(SQLITE_DONE), "SQLITE_DONE");
}

Test(status, a_code_without_a_name_has_that_of_its_first_byte_or_none)
{
    cr_assert_str_eq(lido_status_name(SQLITE_BUSY_SNAPSHOT), "SQLITE_BUSY");
    cr_assert_str_eq(lido_status_name(SQLITE_IOERR_FSYNC), "SQLITE_IOERR");
    cr_assert_str_eq(lido_status_name(SQLITE_ERROR | 250 << 8), "SQLITE_ERROR");
    cr_assert_str_eq(lido_status_name(99), "unknown");
    cr_assert_str_eq(lido_status_name(-1), "unknown");
    cr_assert_str_eq(lido_status_name(INT_MAX), "unknown");
    cr_assert_str_eq(lido_status_name(INT_MIN), "SQLITE_OK");
}

Test(status, fail_writes_the_code_and_the_line_and_returns_the_code)
{
    struct lido_error err = { 1, 2, "from before" };

    cr_assert_eq(lido_fail(&err, LIDO_STALE, "%s is %d", "it", 5), LIDO_STALE);
    cr_assert_eq(err.code, LIDO_STALE);
    cr_assert_eq(err.sys_errno, 0);
    cr_assert_str_eq(err.text, "it is 5");
}

Test(status, fail_wants_neither_an_error_nor_a_text)
{
    struct lido_error err = { 1, 2, "from before" };
    /* The compiler would rightly object to the calls below. */
    int (*fail)(struct lido_error *, int, const char *, ...) = lido_fail;

    cr_assert_eq(lido_fail(NULL, SQLITE_FULL, "%d", 1), SQLITE_FULL);
    cr_assert_eq(fail(NULL, SQLITE_FULL, NULL), SQLITE_FULL);
    cr_assert_eq(fail(&err, SQLITE_FULL, NULL), SQLITE_FULL);
    cr_assert_eq(err.code, SQLITE_FULL);
    cr_assert_str_eq(err.text, "");
}

Test(status, the_text_is_one_line)
{
    struct lido_error err;

    lido_fail(&err, SQLITE_ERROR, "near \"%s\":\r\nsyntax error\n", "\n");
    cr_assert_str_eq(err.text, "near \" \":  syntax error ");
    lido_fail(&err, SQLITE_ERROR, "%s", "a\tb\x1b[1m\x7f.");
    cr_assert_str_eq(err.text, "a b [1m .", "nor does it steer a terminal");
}

/* Not 0 if `text` is UTF-8 from its first byte to its last. */
static int is_utf8(const char *text)
{
    const unsigned char *at = (const unsigned char *)text;

    while (*at != '\0') {
        int more = *at < 0x80 ? 0 : *at < 0xc2 ? -1 : *at < 0xe0 ? 1 : *at < 0xf0 ? 2 : 3;

        if (more < 0 || *at > 0xf4)
            return 0;
        for (at++; more > 0; more--, at++)
            if ((*at & 0xc0) != 0x80)
                return 0;
    }
    return 1;
}

/* What 300 of the same character come to, behind `shift` letters. */
static struct lido_error fill(const char *character, size_t shift)
{
    struct lido_error err;
    char text[1300] = "";
    size_t length = strlen(character);

    memset(text, 'a', shift);
    for (size_t i = 0; i < 300; i++)
        memcpy(text + shift + i * length, character, length);
    lido_fail(&err, SQLITE_ERROR, "%s", text);
    return err;
}

Test(status, a_text_too_long_is_cut_at_a_whole_character)
{
    static const char *const characters[] = { "x", "\xc3\xa9", "\xe2\x82\xac",
                                              "\xf0\x9f\x9a\xa2" };

    for (size_t width = 1; width <= 4; width++)
        for (size_t shift = 0; shift < 4; shift++) {
            struct lido_error err = fill(characters[width - 1], shift);
            size_t room = sizeof err.text - 1 - shift;

            cr_assert_eq(strlen(err.text), shift + room / width * width,
                         "%zu bytes a character, behind %zu", width, shift);
            cr_assert(is_utf8(err.text), "%zu bytes a character, behind %zu", width, shift);
        }
}

Test(status, a_text_that_just_fits_is_whole)
{
    struct lido_error err;
    char text[sizeof err.text] = "";

    memset(text, 'x', sizeof text - 1);
    memcpy(text + sizeof text - 3, "\xc3\xa9", 2);
    lido_fail(&err, SQLITE_ERROR, "%s", text);
    cr_assert_str_eq(err.text, text);
}

Test(status, what_a_precision_cuts_and_what_never_was_a_character_is_a_question_mark)
{
    static const char *const parts[][2] = {
        { "abc\xc3\xa9", "abc?" },
        { "ab\xf0\x9f\x9a\xa2", "ab?" },
        { "a\xe2\x82\xac\x21", "a\xe2\x82\xac" },
        { "\xff\xc3", "??" },
        { "\xc3z\x80", "?z?" },
        { "\xe2\x82\xe2\x82", "??" },
    };
    struct lido_error err;
    char wanted[40];

    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        lido_fail(&err, SQLITE_ERROR, "pool=%.4s is none", parts[i][0]);
        snprintf(wanted, sizeof wanted, "pool=%s is none", parts[i][1]);
        cr_assert_str_eq(err.text, wanted);
        cr_assert(is_utf8(err.text));
    }
}

Test(status, the_refusal_of_a_long_value_is_utf_8)
{
    struct lido_pool_options options = LIDO_POOL_OPTIONS_INIT;
    char kind[43] = "";
    struct lido_error err;
    lido_pool *pool;

    /* The text quotes 40 bytes, the last of which begins a character of two. */
    memset(kind, 'k', 39);
    memcpy(kind + 39, "\xc3\xa9", 2);
    options.pool = kind;
    cr_assert_eq(lido_pool_open(&pool, "sqlite:////x", &options, &err), LIDO_BAD_OPTION);
    cr_assert(is_utf8(err.text), "%s", err.text);
    cr_assert_not_null(strstr(err.text, "is not known"), "%s", err.text);
}

Test(status, an_error_is_untouched_on_success)
{
    struct lido_error err = { 7, 8, "as it was" };
    lido_pool *pool;

    cr_assert_eq(lido_pool_open(&pool, "sqlite:////nowhere/a.db", NULL, &err), LIDO_OK);
    cr_assert_eq(lido_pool_close(pool, 0, &err), LIDO_OK);
    lido_pool_free(pool);
    cr_assert_eq(err.code, 7);
    cr_assert_eq(err.sys_errno, 8);
    cr_assert_str_eq(err.text, "as it was");
}
