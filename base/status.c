/* SPDX-License-Identifier: MIT */
/*
 * Codes and their text.  The table below is the only place where the names of the codes
 * stand; tests hold it to <lido/status.h>.
 */
#include "base/text.h"
#include <lido/status.h>

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define NAME(code)                                                                         \
    {                                                                                      \
        code, #code                                                                        \
    }

/* One a line. */
/* clang-format off */
static const struct {
    int code;
    const char *name;
} names[] = {
    NAME(LIDO_POOL_TIMEOUT),
    NAME(LIDO_BUSY_LEASES),
    NAME(LIDO_CLOSED),
    NAME(LIDO_STALE),
    NAME(LIDO_WRONG_THREAD),
    NAME(LIDO_FORKED),
    NAME(LIDO_RECURSION),
    NAME(LIDO_BAD_URL),
    NAME(LIDO_BAD_OPTION),
    NAME(LIDO_VERSION_MISMATCH),
    NAME(LIDO_SQLITE_UNFIT),
    NAME(LIDO_IN_TXN),
    NAME(LIDO_NO_TXN),
    NAME(LIDO_TXN_OVER),
    NAME(LIDO_NOT_FOUND),
    NAME(LIDO_DISCONNECT),
    NAME(LIDO_INVALIDATE_POOL),
    NAME(LIDO_CHECKED_OUT),
    NAME(LIDO_SHARED),
    NAME(LIDO_NO_CONNECTION),
    NAME(LIDO_SETTING),
    NAME(LIDO_BAD_TEXT),
    NAME(LIDO_ROLLBACK),
    NAME(LIDO_UNCLEAN),
    NAME(LIDO_CANCELLED),
    NAME(LIDO_TXN_TIMEOUT),
    NAME(LIDO_DEADLOCK),
    NAME(SQLITE_OK),
    NAME(SQLITE_ERROR),
    NAME(SQLITE_INTERNAL),
    NAME(SQLITE_PERM),
    NAME(SQLITE_ABORT),
    NAME(SQLITE_BUSY),
    NAME(SQLITE_LOCKED),
    NAME(SQLITE_NOMEM),
    NAME(SQLITE_READONLY),
    NAME(SQLITE_INTERRUPT),
    NAME(SQLITE_IOERR),
    NAME(SQLITE_CORRUPT),
    NAME(SQLITE_NOTFOUND),
    NAME(SQLITE_FULL),
    NAME(SQLITE_CANTOPEN),
    NAME(SQLITE_PROTOCOL),
    NAME(SQLITE_EMPTY),
    NAME(SQLITE_SCHEMA),
    NAME(SQLITE_TOOBIG),
    NAME(SQLITE_CONSTRAINT),
    NAME(SQLITE_MISMATCH),
    NAME(SQLITE_MISUSE),
    NAME(SQLITE_NOLFS),
    NAME(SQLITE_AUTH),
    NAME(SQLITE_FORMAT),
    NAME(SQLITE_RANGE),
    NAME(SQLITE_NOTADB),
    NAME(SQLITE_NOTICE),
    NAME(SQLITE_WARNING),
    NAME(SQLITE_ROW),
    NAME(SQLITE_DONE),
};
/* clang-format on */

static const char *name_of(int code)
{
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (names[i].code == code)
            return names[i].name;
    return NULL;
}

const char *lido_status_name(int code)
{
    const char *name = name_of(code & ~LIDO_FATAL);

    if (name == NULL)
        name = name_of(code & 0xff);
    return name != NULL ? name : "unknown";
}

/* How many bytes the character at `text` has; 0 if none begins there, or if it is cut.  A NUL
   is no part of a character, so nothing is read behind one. */
static size_t character_length(const unsigned char *text)
{
    size_t length = text[0] < 0x80   ? 1
                    : text[0] < 0xc2 ? 0
                    : text[0] < 0xe0 ? 2
                    : text[0] < 0xf0 ? 3
                    : text[0] < 0xf5 ? 4
                                     : 0;

    for (size_t i = 1; i < length; i++)
        if ((text[i] & 0xc0) != 0x80)
            return 0;
    return length;
}

void lido__text_tidy(char *text, bool is_full)
{
    unsigned char *from = (unsigned char *)text, *to = from;

    while (*from != '\0') {
        size_t length = character_length(from);

        if (length == 0) {
            while ((*++from & 0xc0) == 0x80)
                continue;
            if (*from != '\0' || !is_full)
                *to++ = '?';
            continue;
        }
        if (*from < 0x20 || *from == 0x7f)
            *from = ' ';
        memmove(to, from, length);
        to += length;
        from += length;
    }
    *to = '\0';
}

int lido_fail(struct lido_error *err, int code, const char *format, ...)
{
    va_list arguments;
    int length;

    if (err == NULL)
        return code;
    err->code = code;
    err->sys_errno = 0;
    err->text[0] = '\0';
    if (format == NULL)
        return code;
    va_start(arguments, format);
    length = vsnprintf(err->text, sizeof err->text, format, arguments);
    va_end(arguments);
    lido__text_tidy(err->text, length >= (int)sizeof err->text);
    return code;
}

int lido__fail_by_host(struct lido_error *err, int rc, const struct lido_error *story)
{
    if (story->text[0] == '\0')
        return lido_fail(err, rc, "the function answered %s", lido_status_name(rc));
    if (err != NULL) {
        *err = *story;
        err->code = rc;
    }
    return rc;
}
