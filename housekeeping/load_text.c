/* SPDX-License-Identifier: MIT */
/*
 * SQL text from a reader, cut into its statements.
 *
 * Are we in a quoted piece, in a comment, or between?  Each byte is looked at once, but for the
 * inside of what is quoted, which memchr() passes over.  A semicolon between ends a statement;
 * in one that may make a trigger, SQLite is asked (sqlite3_complete).  So a statement may come
 * in any number of pieces, and nothing is kept but the one that is not complete.  Where a byte
 * does not tell without the next one (is '-' the first of a comment?) and that is not there,
 * it waits for it.
 *
 * Threads: one at a time.
 */
#include "housekeeping/load_text.h"

#include "base/text.h"

#include <string.h>

#define FIRST_SIZE 65536

/* The states.  In a quoted piece it is the character that ends it. */
#define BETWEEN '\0'
#define LINE    '-'
#define BLOCK   '*'

void lido__load_text_begin(struct lido__load_text *text, lido_load_fn read, void *ctx,
                           size_t most)
{
    *text = (struct lido__load_text){
        .read = read, .ctx = ctx, .most = most, .line = 1, .first_line = 1
    };
}

void lido__load_text_end(struct lido__load_text *text)
{
    sqlite3_free(text->buffer);
    text->buffer = NULL;
}

static int fail(struct lido__load_text *text, uint64_t line, const char *what,
                struct lido_error *err)
{
    text->first_line = line;
    return lido_fail(err, SQLITE_ERROR, "line %llu: %s", (unsigned long long)line, what);
}

static bool is_blank(char byte)
{
    return byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r' || byte == '\f';
}

/* The mark of UTF-8 that some editors begin a file with. */
static bool is_mark(const struct lido__load_text *text)
{
    return text->bytes == text->used && text->scanned < 3 && text->used >= 3 &&
           memcmp(text->buffer, "\xef\xbb\xbf", 3) == 0;
}

/* Is it the beginning of that mark, of which the rest is not there yet? */
static bool may_be_mark(const struct lido__load_text *text)
{
    return text->bytes == text->used && text->scanned == 0 && text->used < 3 &&
           memcmp(text->buffer, "\xef\xbb\xbf", text->used) == 0;
}

/* CREATE TRIGGER alone, with EXPLAIN before it or not, has semicolons inside. */
static bool may_make_trigger(const char *statement)
{
    return *statement == 'C' || *statement == 'c' || *statement == 'E' || *statement == 'e';
}

/* The statement up to `scanned` with a NUL behind it: is it one? */
static bool cut(struct lido__load_text *text)
{
    const char *statement = text->buffer + text->first;

    text->kept = text->buffer[text->scanned];
    text->buffer[text->scanned] = '\0';
    text->is_cut = !may_make_trigger(statement) || sqlite3_complete(statement) != 0;
    if (!text->is_cut)
        text->buffer[text->scanned] = text->kept;
    return text->is_cut;
}

/* A byte of the statement itself.  SQLITE_ROW: it was its last. */
static int take(struct lido__load_text *text, char byte, struct lido_error *err)
{
    if (!text->has_token) {
        text->has_token = true;
        text->first = text->scanned;
        text->first_line = text->line;
        if (byte == '.')
            return fail(
                text, text->line,
                "a command of the sqlite3 shell, which begins with a dot, is no SQL", err);
    }
    text->scanned++;
    if (byte == '\'' || byte == '"' || byte == '`')
        text->state = byte;
    else if (byte == '[')
        text->state = ']';
    return byte == ';' && cut(text) ? SQLITE_ROW : LIDO_OK;
}

/* Between: SQLITE_ROW, or LIDO_OK to go on. */
static int take_between(struct lido__load_text *text, char byte, char next,
                        struct lido_error *err)
{
    if ((byte == '-' && next == '-') || (byte == '/' && next == '*')) {
        text->state = byte == '-' ? LINE : BLOCK;
        text->scanned += 2;
        return LIDO_OK;
    }
    if (is_blank(byte) || (!text->has_token && is_mark(text))) {
        text->scanned++;
        return LIDO_OK;
    }
    return take(text, byte, err);
}

/* Does a byte mean the same wherever it stands between, but at the beginning? */
static bool is_ordinary(char byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
           (byte >= '0' && byte <= '9') || byte == ',' || byte == ' ' || byte == '.' ||
           byte == '(' || byte == ')' || byte == '_';
}

/* Past the bytes that change nothing: in quotes all but the one that ends it, and but a NUL. */
static void pass_over(struct lido__load_text *text)
{
    const char *next = text->buffer + text->scanned, *end = text->buffer + text->used;
    const char *found;

    if (text->state == LINE || text->state == BLOCK)
        return;
    if (text->state == BETWEEN) {
        while (text->has_token && next < end && is_ordinary(*next))
            next++;
    } else {
        found = memchr(next, text->state, (size_t)(end - next));
        end = found != NULL ? found : end;
        found = memchr(next, '\0', (size_t)(end - next));
        end = found != NULL ? found : end;
        while ((found = memchr(next, '\n', (size_t)(end - next))) != NULL) {
            text->line++;
            next = found + 1;
        }
        next = end;
    }
    text->scanned = (size_t)(next - text->buffer);
}

/* Up to the end of a statement (SQLITE_ROW) or of what was read (LIDO_OK). */
static int scan(struct lido__load_text *text, struct lido_error *err)
{
    int rc = LIDO_OK;

    while (rc == LIDO_OK) {
        char byte, next;
        bool has_next;

        if (text->scanned < text->used)
            pass_over(text);
        if (text->scanned == text->used)
            return LIDO_OK;
        byte = text->buffer[text->scanned];
        has_next = text->scanned + 1 < text->used;
        next = (char)(has_next ? text->buffer[text->scanned + 1] : '\0');
        if (byte == '\0')
            return fail(text, text->line, "a NUL stands in the text", err);
        if (!has_next && !text->is_over && strchr("-/*", byte) != NULL)
            return LIDO_OK;
        if (!text->is_over && may_be_mark(text))
            return LIDO_OK;
        text->line += byte == '\n';
        if (text->state == BETWEEN)
            rc = take_between(text, byte, next, err);
        else if (text->state == BLOCK && byte == '*' && next == '/') {
            text->scanned += 2;
            text->state = BETWEEN;
        } else {
            text->scanned++;
            if (text->state == LINE ? byte == '\n'
                                    : text->state != BLOCK && byte == text->state)
                text->state = BETWEEN;
        }
    }
    return rc;
}

/* Room for more, behind what is not done with. */
static int make_room(struct lido__load_text *text, struct lido_error *err)
{
    const size_t done = text->has_token ? text->first : text->scanned;
    char *larger;

    if (done > 0) {
        memmove(text->buffer, text->buffer + done, text->used - done);
        text->used -= done;
        text->scanned -= done;
        text->first = 0;
    }
    if (text->used < text->size)
        return LIDO_OK;
    if (text->used > text->most)
        return lido_fail(
            err, SQLITE_TOOBIG, "line %llu: a statement of more than %llu bytes",
            (unsigned long long)text->first_line, (unsigned long long)text->most);
    larger =
        sqlite3_realloc64(text->buffer, (text->size > 0 ? 2 * text->size : FIRST_SIZE) + 1);
    if (larger == NULL)
        return lido_fail(err, SQLITE_NOMEM, "line %llu: no memory for the statement",
                         (unsigned long long)text->first_line);
    text->buffer = larger;
    text->size = text->size > 0 ? 2 * text->size : FIRST_SIZE;
    return LIDO_OK;
}

static int fill(struct lido__load_text *text, struct lido_error *err)
{
    struct lido_error story = { .code = 0 };
    size_t length = 0;
    int rc = make_room(text, err);

    if (rc != LIDO_OK)
        return rc;
    rc = text->read(text->ctx, text->buffer + text->used, text->size - text->used, &length,
                    &story);
    if (rc != LIDO_OK)
        return lido__fail_by_host(err, rc, &story);
    if (length > text->size - text->used)
        return lido_fail(err, SQLITE_MISUSE, "the reader gave %llu bytes where %llu fit",
                         (unsigned long long)length,
                         (unsigned long long)(text->size - text->used));
    text->is_over = length == 0;
    text->used += length;
    text->bytes += length;
    return LIDO_OK;
}

int lido__load_text_next(struct lido__load_text *text, const char **statement,
                         struct lido_error *err)
{
    int rc;

    if (text->is_cut)
        text->buffer[text->scanned] = text->kept;
    text->is_cut = text->has_token = false;
    *statement = NULL;
    while ((rc = scan(text, err)) == LIDO_OK) {
        if (text->is_over)
            break;
        rc = fill(text, err);
        if (rc != LIDO_OK)
            return rc;
    }
    if (rc == SQLITE_ROW) {
        *statement = text->buffer + text->first;
        return LIDO_OK;
    }
    if (rc != LIDO_OK)
        return rc;
    /* The last may lack its semicolon; whether it is whole SQLite says. */
    if (text->has_token && (text->state == BETWEEN || text->state == LINE)) {
        text->kept = text->buffer[text->used] = '\0';
        text->is_cut = true;
        *statement = text->buffer + text->first;
        return LIDO_OK;
    }
    if (text->has_token)
        return fail(text, text->first_line, "the text ends inside this statement", err);
    if (text->state == BLOCK)
        return fail(text, text->line, "the text ends inside a comment", err);
    return LIDO_OK;
}
