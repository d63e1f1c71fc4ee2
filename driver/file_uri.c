/* SPDX-License-Identifier: MIT */
/*
 * SQLite's own URIs.
 *
 *     file: [// [localhost]] path [? key=value {& key=value}] [# fragment]
 *
 * A path never needs more than a look at its first bytes, and a value none longer than a
 * word, so pieces are decoded into small buffers and cut there.
 *
 * Threads: any; nothing is shared.
 */
#include "driver/file_uri.h"
#include "driver/url.h"

#include <assert.h>
#include <string.h>

bool lido__is_file_uri(const char *name)
{
    return strncmp(name, "file:", 5) == 0;
}

/* Decodes up to one of `stops` and answers where that is.  As in SQLite a broken escape
   stands for itself, and what follows a %00 is not read. */
static const char *decode(const char *at, const char *stops, char *out, size_t size)
{
    const char *end = at + strcspn(at, stops);
    size_t used = 0;

    for (; at < end && used + 1 < size; at++) {
        int byte = *at == '%' ? lido__unescape(at, (size_t)(end - at)) : -1;

        if (byte == 0)
            break;
        out[used++] = (char)(byte > 0 ? byte : *at);
        if (byte > 0)
            at += 2;
    }
    out[used] = '\0';
    return end;
}

static const char *skip_authority(const char *uri)
{
    const char *at = uri + 5;

    return strncmp(at, "//", 2) == 0 ? at + 2 + strcspn(at + 2, "/?#") : at;
}

void lido__file_uri_path(const char *uri, char *path, size_t size)
{
    decode(skip_authority(uri), "?#", path, size);
}

bool lido__file_uri_has(const char *uri, const char *key, const char *value)
{
    const char *at = skip_authority(uri);
    char found[16], said[16]; /* SQLite's keys and values are shorter */

    at += strcspn(at, "?#");
    while (*at == '?' || *at == '&') {
        at = decode(at + 1, "=&#", found, sizeof found);
        said[0] = '\0';
        if (*at == '=')
            at = decode(at + 1, "&#", said, sizeof said);
        if (strcmp(found, key) == 0 && (value == NULL || strcmp(said, value) == 0))
            return true;
    }
    return false;
}

static void append_escaped(sqlite3_str *to, const char *text)
{
    for (; *text != '\0'; text++) {
        unsigned char byte = (unsigned char)*text;

        sqlite3_str_appendf(to, lido__is_plain(byte) ? "%c" : "%%%02X", byte);
    }
}

static void append_param(sqlite3_str *to, bool *has_query, const char *key,
                         const char *value)
{
    sqlite3_str_appendchar(to, 1, *has_query ? '&' : '?');
    *has_query = true;
    append_escaped(to, key);
    sqlite3_str_appendchar(to, 1, '=');
    append_escaped(to, value);
}

/* The least of the refused keys that comes behind `after` (NULL: of all). */
static const struct lido_param *find_next(const struct lido_param *params, size_t n_params,
                                          bool (*is_taken)(const char *key),
                                          const char *after)
{
    const struct lido_param *best = NULL;

    for (size_t i = 0; i < n_params; i++) {
        const char *key = params[i].key;

        assert(key != NULL);
        if ((after == NULL || strcmp(key, after) > 0) &&
            (best == NULL || strcmp(key, best->key) < 0) && !is_taken(key))
            best = &params[i];
    }
    return best;
}

char *lido__file_uri_make(const char *name, const struct lido_param *params,
                          size_t n_params, bool (*is_taken)(const char *key),
                          bool is_immutable)
{
    sqlite3_str *to = sqlite3_str_new(NULL);
    bool is_uri = lido__is_file_uri(name), has_query = false;
    const struct lido_param *next = NULL;

    if (is_uri) {
        size_t length =
            strcspn(name, "#"); /* a fragment would hide what is put behind it */

        sqlite3_str_append(to, name, (int)length);
        has_query = memchr(name, '?', length) != NULL;
    } else {
        sqlite3_str_appendall(to, "file:");
        append_escaped(to, name);
    }
    while (is_uri && (next = find_next(params, n_params, is_taken,
                                       next != NULL ? next->key : NULL)) != NULL)
        append_param(to, &has_query, next->key, next->value);
    if (is_immutable)
        append_param(to, &has_query, "immutable", "1");
    return sqlite3_str_finish(to);
}
