/* SPDX-License-Identifier: MIT */
/*
 * Writes one JSON document to a stream, piece by piece, indented.
 *
 * Nothing is kept but how deep it is and whether a comma is due.  Numbers are written by
 * printf: the program never calls setlocale(), so the decimal point is a point.
 *
 * Threads: one at a time.
 */
#include "json.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

static void quote(FILE *out, const char *text)
{
    fputc('"', out);
    for (const unsigned char *c = (const unsigned char *)text; *c != '\0'; c++) {
        if (*c == '"' || *c == '\\')
            fprintf(out, "\\%c", *c);
        else if (*c < 0x20)
            fprintf(out, "\\u%04x", *c);
        else
            fputc(*c, out);
    }
    fputc('"', out);
}

static void new_line(struct json *json)
{
    fprintf(json->out, "\n%*s", (int)json->depth * 2, "");
}

/* What stands before a value: the comma after the last one, and the key. */
static void start_value(struct json *json, const char *key)
{
    if (json->depth > 0) {
        if (json->has_members[json->depth - 1])
            fputc(',', json->out);
        json->has_members[json->depth - 1] = true;
        new_line(json);
    }
    if (key != NULL) {
        quote(json->out, key);
        fputs(": ", json->out);
    }
}

static void open_level(struct json *json, const char *key, char bracket)
{
    assert(json->depth < JSON_DEPTH);
    start_value(json, key);
    fputc(bracket, json->out);
    json->has_members[json->depth++] = false;
}

static void close_level(struct json *json, char bracket)
{
    assert(json->depth > 0);
    if (json->has_members[--json->depth])
        new_line(json);
    fputc(bracket, json->out);
    if (json->depth == 0)
        fputc('\n', json->out);
}

void json_init(struct json *json, FILE *out)
{
    memset(json, 0, sizeof *json);
    json->out = out;
}

void json_open_object(struct json *json, const char *key)
{
    open_level(json, key, '{');
}

void json_close_object(struct json *json)
{
    close_level(json, '}');
}

void json_open_array(struct json *json, const char *key)
{
    open_level(json, key, '[');
}

void json_close_array(struct json *json)
{
    close_level(json, ']');
}

void json_string(struct json *json, const char *key, const char *value)
{
    start_value(json, key);
    if (value == NULL)
        fputs("null", json->out);
    else
        quote(json->out, value);
}

void json_integer(struct json *json, const char *key, int64_t value)
{
    start_value(json, key);
    fprintf(json->out, "%" PRId64, value);
}

void json_number(struct json *json, const char *key, double value)
{
    start_value(json, key);
    if (isfinite(value))
        fprintf(json->out, "%.9g", value); /* a time measured has no more digits */
    else
        fputs("null", json->out);
}

void json_boolean(struct json *json, const char *key, bool value)
{
    start_value(json, key);
    fputs(value ? "true" : "false", json->out);
}
