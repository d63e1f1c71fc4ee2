/* SPDX-License-Identifier: MIT */
/*
 * JSON: a writer that knows which brackets are open, and so where the commas go.
 *
 * Text comes from file names and from SQLite and need not be UTF-8, which JSON must be: a
 * byte that is part of no character becomes U+FFFD.  Numbers rely on LC_NUMERIC being "C".
 *
 * Threads: one at a time.
 */
#include "report/json.h"

#include <assert.h>

/* How many bytes the character at `text` has, or 0 if none begins there. */
static int character_length(const unsigned char *text)
{
    static const struct {
        unsigned char mask, lead;
        unsigned least; /* below it the form is longer than it may be */
    } forms[] = { { 0x80, 0x00, 0 },
                  { 0xE0, 0xC0, 0x80 },
                  { 0xF0, 0xE0, 0x800 },
                  { 0xF8, 0xF0, 0x10000 } };

    for (int i = 0; i < 4; i++) {
        unsigned point = text[0] & (unsigned)(unsigned char)~forms[i].mask;
        int length = i + 1;

        if ((text[0] & forms[i].mask) != forms[i].lead)
            continue;
        for (int k = 1; k < length; k++) {
            if ((text[k] & 0xC0) != 0x80)
                return 0;
            point = point << 6 | (text[k] & 0x3F);
        }
        if (point < forms[i].least || point > 0x10FFFF ||
            (point >= 0xD800 && point <= 0xDFFF))
            return 0;
        return length;
    }
    return 0;
}

static void quoted(FILE *out, const char *value)
{
    const unsigned char *at = (const unsigned char *)value;

    fputc('"', out);
    while (*at != '\0') {
        int length = character_length(at);

        if (*at == '"' || *at == '\\')
            fprintf(out, "\\%c", *at);
        else if (*at == '\n')
            fputs("\\n", out);
        else if (*at < 0x20 || *at == 0x7F)
            fprintf(out, "\\u%04x", *at);
        else if (length == 0)
            fputs("\\ufffd", out);
        else
            fwrite(at, 1, (size_t)length, out);
        at += length == 0 ? 1 : length;
    }
    fputc('"', out);
}

/* What stands in front of a value: a comma, a new line, its name. */
static void lead_in(struct json *json, const char *key)
{
    if (json->depth > 0) {
        if (json->open[json->depth - 1].has_members)
            fputc(',', json->out);
        json->open[json->depth - 1].has_members = true;
        fprintf(json->out, "\n%*s", 2 * json->depth, "");
    }
    if (key != NULL) {
        quoted(json->out, key);
        fputs(": ", json->out);
    }
}

static void open_bracket(struct json *json, const char *key, char opener, char closer)
{
    assert(json->depth < JSON_DEPTH);
    lead_in(json, key);
    fputc(opener, json->out);
    json->open[json->depth].closer = closer;
    json->open[json->depth].has_members = false;
    json->depth++;
}

void json_object(struct json *json, const char *key)
{
    open_bracket(json, key, '{', '}');
}

void json_array(struct json *json, const char *key)
{
    open_bracket(json, key, '[', ']');
}

void json_close(struct json *json)
{
    assert(json->depth > 0);
    json->depth--;
    if (json->open[json->depth].has_members)
        fprintf(json->out, "\n%*s", 2 * json->depth, "");
    fputc(json->open[json->depth].closer, json->out);
    if (json->depth == 0)
        fputc('\n', json->out);
}

void json_text(struct json *json, const char *key, const char *value)
{
    lead_in(json, key);
    if (value == NULL)
        fputs("null", json->out);
    else
        quoted(json->out, value);
}

void json_integer(struct json *json, const char *key, int64_t value)
{
    lead_in(json, key);
    fprintf(json->out, "%lld", (long long)value);
}

void json_number(struct json *json, const char *key, double value)
{
    lead_in(json, key);
    if (value - value == 0)
        fprintf(json->out, "%.6g", value);
    else
        fputs("null", json->out);
}

void json_bool(struct json *json, const char *key, bool value)
{
    lead_in(json, key);
    fputs(value ? "true" : "false", json->out);
}
