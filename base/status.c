/* SPDX-License-Identifier: MIT */
/*
 * Codes and their text.  The table below is the only place where the names of the codes
 * stand; tests hold it to <lido/status.h>.
 */
#include <lido/status.h>

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define NAME(code)                                                                         \
    {                                                                                      \
        code, #code                                                                        \
    }

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

static const char *name_of(int code)
{
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (names[i].code == code)
            return names[i].name;
    return NULL;
}

const char *lido_status_name(int code)
{
    const char *name = name_of(code);

    if (name == NULL)
        name = name_of(code & 0xff);
    return name != NULL ? name : "unknown";
}

/* Takes a character away that the end of the buffer cut in two. */
static void trim_utf8(char *text, size_t length)
{
    size_t start = length;
    unsigned char lead;
    size_t want;

    while (start > 0 && ((unsigned char)text[start - 1] & 0xc0) == 0x80)
        start--;
    if (start == 0)
        return;
    lead = (unsigned char)text[start - 1];
    want = lead < 0xc0 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    if (length - (start - 1) < want)
        text[start - 1] = '\0';
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
    if (length >= (int)sizeof err->text)
        trim_utf8(err->text, sizeof err->text - 1);
    for (char *at = err->text; *at != '\0'; at++)
        if (*at == '\n' || *at == '\r')
            *at = ' ';
    return code;
}
