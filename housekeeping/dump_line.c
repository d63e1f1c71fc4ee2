/* SPDX-License-Identifier: MIT */
/*
 * The text of one row, in memory that the next row uses again.
 *
 * A dump writes millions of these.  sqlite3_str gives its memory back when it is emptied, and a
 * row grew it four times over: a tenth of a dump.
 *
 * Threads: one at a time.
 */
#include "housekeeping/dump.h"

#include <string.h>

enum { LEAST = 1024 };

void lido__line_begin(struct lido__line *line, sqlite3 *db)
{
    *line =
        (struct lido__line){ .most = (size_t)sqlite3_limit(db, SQLITE_LIMIT_LENGTH, -1) };
}

void lido__line_end(struct lido__line *line)
{
    sqlite3_free(line->at);
    *line = (struct lido__line){ .at = NULL };
}

/* There is no room: more than before by a half, or as much as it takes. */
static char *grow(struct lido__line *line, size_t size)
{
    const size_t least = line->used + size + 1;
    size_t larger = line->size + line->size / 2;
    char *at;

    if (line->rc != SQLITE_OK)
        return NULL;
    if (least > line->most) {
        line->rc = SQLITE_TOOBIG;
        return NULL;
    }
    if (larger > line->most)
        larger = line->most;
    if (larger < least)
        larger = least;
    if (larger < LEAST)
        larger = LEAST;
    at = sqlite3_realloc64(line->at, larger);
    if (at == NULL) {
        line->rc = SQLITE_NOMEM;
        return NULL;
    }
    line->at = at;
    line->size = larger;
    return at + line->used;
}

char *lido__line_room(struct lido__line *line, size_t size)
{
    if (line->rc == SQLITE_OK && size < line->size - line->used)
        return line->at + line->used;
    return grow(line, size);
}

void lido__line_add(struct lido__line *line, const char *text, size_t size)
{
    char *room = size > 0 ? lido__line_room(line, size) : NULL;

    if (room == NULL)
        return;
    memcpy(room, text, size);
    line->used += size;
}

void lido__line_add_text(struct lido__line *line, const char *text)
{
    lido__line_add(line, text, strlen(text));
}

void lido__line_add_integer(struct lido__line *line, int64_t number)
{
    uint64_t rest = number < 0 ? 0 - (uint64_t)number : (uint64_t)number;
    char digits[24];
    size_t first = sizeof digits;

    do
        digits[--first] = (char)('0' + rest % 10);
    while ((rest /= 10) > 0);
    if (number < 0)
        digits[--first] = '-';
    lido__line_add(line, digits + first, sizeof digits - first);
}
