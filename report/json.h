/* SPDX-License-Identifier: MIT */
#ifndef LIDO_REPORT_JSON_H
#define LIDO_REPORT_JSON_H

/*
 * Writes one JSON document, member by member.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum { JSON_DEPTH = 8 };
struct json {
    FILE *out;
    int depth;
    struct {
        char closer; /* '}' or ']' */
        bool has_members;
    } open[JSON_DEPTH];
};

/* `key` is the member's name in an object, and NULL in an array and for the document. */
void json_object(struct json *json, const char *key);
void json_array(struct json *json, const char *key);
void json_close(struct json *json); /* the innermost; behind the document a line ends */
void json_text(struct json *json, const char *key, const char *value); /* NULL: null */
void json_integer(struct json *json, const char *key, int64_t value);
void json_number(struct json *json, const char *key, double value); /* NaN, inf: null */
void json_bool(struct json *json, const char *key, bool value);

#endif
