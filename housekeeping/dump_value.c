/* SPDX-License-Identifier: MIT */
/*
 * A value as the text of a literal that SQLite reads back as the same value.
 *
 * Text is quoted as it is, but for three things.  A literal ends at a NUL, so text that holds
 * one, or that is no text in its encoding at all, is its bytes, cast.  The shell drops a CR
 * before a line's end, so CR is written "\r" and put in again by replace().  Reals have a file
 * of their own, dump_real.c.
 *
 * Threads: the one that has the connection.
 */
#include "housekeeping/dump.h"

#include "base/utf8.h"

#include <string.h>

int lido__literal_begin(struct lido__literal *literal, sqlite3 *db)
{
    sqlite3_stmt *ask = NULL;
    int rc;

    *literal = (struct lido__literal){ .encoding = SQLITE_UTF8 };
    rc = sqlite3_prepare_v2(db, "PRAGMA main.encoding", -1, &ask, NULL);
    if (rc == SQLITE_OK && sqlite3_step(ask) == SQLITE_ROW) {
        const char *name = (const char *)sqlite3_column_text(ask, 0);

        if (name != NULL && strcmp(name, "UTF-16le") == 0)
            literal->encoding = SQLITE_UTF16LE;
        else if (name != NULL && strcmp(name, "UTF-16be") == 0)
            literal->encoding = SQLITE_UTF16BE;
        rc = name != NULL ? SQLITE_OK : SQLITE_NOMEM;
    }
    if (rc == SQLITE_OK)
        rc = sqlite3_finalize(ask);
    else
        sqlite3_finalize(ask);
    if (rc == SQLITE_OK)
        rc = sqlite3_prepare_v2(db, "SELECT CAST(?1 AS REAL)", -1, &literal->reader, NULL);
    return rc;
}

void lido__literal_end(struct lido__literal *literal)
{
    sqlite3_finalize(literal->reader);
    literal->reader = NULL;
}

static void append_quoted(struct lido__line *out, const char *text, size_t size)
{
    const char *quote;

    lido__line_add_text(out, "'");
    while (size > 0 && (quote = memchr(text, '\'', size)) != NULL) {
        const size_t up_to = (size_t)(quote - text) + 1;

        lido__line_add(out, text, up_to);
        lido__line_add_text(out, "'");
        text += up_to;
        size -= up_to;
    }
    lido__line_add(out, text, size);
    lido__line_add_text(out, "'");
}

/* --- bytes ---------------------------------------------------------------------------- */

static char hex_digit(unsigned nibble)
{
    return (char)(nibble + '0' + (nibble > 9 ? 'a' - '0' - 10 : 0));
}

/* `is_swapped`: of each two bytes the second comes first. */
static void append_hex(struct lido__line *out, const unsigned char *data, size_t size,
                       bool is_swapped)
{
    const size_t length = 2 * size + 3;
    char *room = lido__line_room(out, length);

    if (room == NULL)
        return;
    *room++ = 'X';
    *room++ = '\'';
    for (size_t i = 0; i < size; i++) {
        const unsigned char byte = data[is_swapped ? i ^ 1 : i];

        *room++ = hex_digit(byte >> 4);
        *room++ = hex_digit(byte & 15);
    }
    *room = '\'';
    out->used += length;
}

static void append_cast(struct lido__line *out, const void *data, size_t size,
                        bool is_swapped)
{
    lido__line_add_text(out, "CAST(");
    append_hex(out, data, size, is_swapped);
    lido__line_add_text(out, " AS TEXT)");
}

/* --- text ----------------------------------------------------------------------------- */

static bool has_return_mark(const char *text, size_t size)
{
    const char *found;

    while (size > 1 && (found = memchr(text, '\\', size - 1)) != NULL) {
        if (found[1] == 'r')
            return true;
        size -= (size_t)(found + 1 - text);
        text = found + 1;
    }
    return false;
}

static void append_with_returns(struct lido__line *out, const char *text, size_t size)
{
    const char *next = text, *const end = text + size;

    lido__line_add_text(out, "replace('");
    for (; next < end; next++) {
        if (*next != '\r' && *next != '\'')
            continue;
        lido__line_add(out, text, (size_t)(next - text));
        lido__line_add(out, *next == '\r' ? "\\r" : "''", 2);
        text = next + 1;
    }
    lido__line_add(out, text, (size_t)(end - text));
    lido__line_add_text(out, "','\\r',char(13))");
}

/* Two and two surrogates belong together.  SQLite reads no U+FFFE and U+FFFF from UTF-8. */
static bool is_utf16(const uint16_t *units, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (units[i] >= 0xfffe)
            return false;
        if (units[i] < 0xd800 || units[i] > 0xdfff)
            continue;
        if (units[i] > 0xdbff || i + 1 == count || (units[i + 1] & 0xfc00) != 0xdc00)
            return false;
        i++;
    }
    return true;
}

/* Its bytes as the database has them, if it is not to be written as a text.  True: done. */
static bool append_odd_utf16(struct lido__line *out, int encoding, sqlite3_stmt *row,
                             int column, int *rc)
{
    const uint16_t one = 1;
    const bool is_little = *(const unsigned char *)&one == 1;
    const uint16_t *units = sqlite3_column_text16(row, column);
    const size_t size = (size_t)sqlite3_column_bytes16(row, column);
    bool is_odd = false;

    if (units == NULL) {
        *rc = SQLITE_NOMEM;
        return true;
    }
    for (size_t i = 0; i < size / 2 && !is_odd; i++)
        is_odd = units[i] == 0;
    if (!is_odd && is_utf16(units, size / 2))
        return false;
    append_cast(out, units, size, is_little != (encoding == SQLITE_UTF16LE));
    return true;
}

static int append_text(struct lido__literal *literal, struct lido__line *out,
                       sqlite3_stmt *row, int column)
{
    const bool is_utf8 = literal->encoding == SQLITE_UTF8;
    bool is_plain, has_returns;
    const char *text;
    size_t size;
    int rc = SQLITE_OK;

    if (!is_utf8 && append_odd_utf16(out, literal->encoding, row, column, &rc))
        return rc;
    text = (const char *)sqlite3_column_text(row, column);
    size = (size_t)sqlite3_column_bytes(row, column);
    if (text == NULL)
        return SQLITE_NOMEM;
    has_returns = memchr(text, '\r', size) != NULL;
    is_plain =
        !is_utf8 || (memchr(text, '\0', size) == NULL && lido__utf8_is_valid(text, size));
    if (is_plain && !has_returns)
        append_quoted(out, text, size);
    else if (is_plain && !has_return_mark(text, size))
        append_with_returns(out, text, size);
    else if (is_utf8)
        append_cast(out, text, size, false);
    else {
        const uint16_t one = 1;
        const bool is_little = *(const unsigned char *)&one == 1;
        const void *units = sqlite3_column_text16(row, column);

        if (units == NULL)
            return SQLITE_NOMEM;
        append_cast(out, units, (size_t)sqlite3_column_bytes16(row, column),
                    is_little != (literal->encoding == SQLITE_UTF16LE));
    }
    return SQLITE_OK;
}

/* --- a value -------------------------------------------------------------------------- */

int lido__literal_append(struct lido__literal *literal, struct lido__line *out,
                         sqlite3_stmt *row, int column)
{
    int rc = SQLITE_OK;

    switch (sqlite3_column_type(row, column)) {
    case SQLITE_INTEGER:
        lido__line_add_integer(out, sqlite3_column_int64(row, column));
        break;
    case SQLITE_FLOAT:
        rc = lido__real_add(literal, out, sqlite3_column_double(row, column));
        break;
    case SQLITE_TEXT: rc = append_text(literal, out, row, column); break;
    case SQLITE_BLOB: {
        const void *data = sqlite3_column_blob(row, column);
        const int size = sqlite3_column_bytes(row, column);

        if (data == NULL && sqlite3_errcode(sqlite3_db_handle(row)) == SQLITE_NOMEM)
            return SQLITE_NOMEM;
        append_hex(out, data, data != NULL ? (size_t)size : 0, false);
        break;
    }
    default: lido__line_add_text(out, "NULL"); break;
    }
    return rc != SQLITE_OK ? rc : out->rc;
}
