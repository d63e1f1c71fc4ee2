/* SPDX-License-Identifier: MIT */
#ifndef LIDO_BENCH_JSON_H
#define LIDO_BENCH_JSON_H

/*
 * Writes one JSON document to a stream, piece by piece, indented.
 *
 * `key` names a member of an object and is NULL in an array and for the document itself.
 * The caller nests correctly; a depth over JSON_DEPTH is its mistake.
 *
 * Threads: one at a time.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define JSON_DEPTH 8

struct json {
    FILE *out; /* borrowed */
    unsigned depth;
    bool has_members[JSON_DEPTH]; /* at each depth: something was written there */
};

void json_init(struct json *json, FILE *out);
void json_open_object(struct json *json, const char *key);
void json_close_object(struct json *json); /* the outermost one ends the line, too */
void json_open_array(struct json *json, const char *key);
void json_close_array(struct json *json);

void json_string(struct json *json, const char *key, const char *value); /* NULL: null */
void json_integer(struct json *json, const char *key, int64_t value);
void json_number(struct json *json, const char *key, double value); /* not finite: null */
void json_boolean(struct json *json, const char *key, bool value);

#endif
