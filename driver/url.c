/* SPDX-License-Identifier: MIT */
/*
 * Taking a URL apart.
 *
 *     sqlite+NAME :// [authority] / path ? key = value & key = value
 *
 * SQLite has no server, so an authority (host, user, password, port) is an error, and its
 * text never repeats it: there may be a password in it.  With nothing behind the slashes the
 * database is in memory.
 *
 * Threads: any; nothing is shared.  getcwd() is asked once per relative path.
 */
#include "driver/url.h"
#include "base/alloc.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define LONGEST 8192

static int fail_form(struct lido_error *err)
{
    return lido_fail(
        err, LIDO_BAD_URL,
        "not a URL of SQLite; valid are sqlite://, sqlite:///relative.db, "
        "sqlite:////absolute.db and sqlite:///:memory:, with ?key=value behind");
}

static int fail_memory(struct lido_error *err)
{
    return lido_fail(err, SQLITE_NOMEM, "out of memory for the URL");
}

static int hex(char digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    if (digit >= 'a' && digit <= 'f')
        return digit - 'a' + 10;
    if (digit >= 'A' && digit <= 'F')
        return digit - 'A' + 10;
    return -1;
}

/* A decoded copy of `length` bytes.  `what` names them for the text of an error. */
static int decode(const char *text, size_t length, const char *what, char **out,
                  struct lido_error *err)
{
    char *copy = lido__copy(text, length);
    size_t to = 0;

    *out = copy;
    if (copy == NULL)
        return fail_memory(err);
    for (size_t from = 0; from < length; from++) {
        int high, low;

        if (copy[from] != '%') {
            copy[to++] = copy[from];
            continue;
        }
        /* The copy ends in a NUL, which is no hex digit: no read past the end. */
        high = hex(copy[from + 1]);
        low = high >= 0 ? hex(copy[from + 2]) : -1;
        if (low < 0 || (high == 0 && low == 0)) {
            lido__free(copy);
            *out = NULL;
            return lido_fail(err, LIDO_BAD_URL,
                             low < 0 ? "a %% in %s is not followed by two hex digits"
                                     : "%%00 in %s",
                             what);
        }
        copy[to++] = (char)(high << 4 | low);
        from += 2;
    }
    copy[to] = '\0';
    return LIDO_OK;
}

/* The name of the driver: all before "://", without "sqlite+". */
static int take_driver(struct lido__url *url, const char *text, const char **rest,
                       struct lido_error *err)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                  "0123456789_.-";
    static const char prefix[] = "sqlite+";
    const char *end;

    if (strncmp(text, prefix, sizeof prefix - 1) == 0)
        text += sizeof prefix - 1;
    end = text + strspn(text, letters);
    if (end == text || strncmp(end, "://", 3) != 0)
        return fail_form(err);
    url->driver = lido__copy(text, (size_t)(end - text));
    if (url->driver == NULL)
        return fail_memory(err);
    *rest = end + 3;
    return LIDO_OK;
}

/* A path as the driver gets it: "" is memory, a relative one is made absolute. */
static int take_path(struct lido__url *url, char *path, struct lido_error *err)
{
    char *folder, *absolute;

    assert(path != NULL);
    if (path[0] == '\0' || strcmp(path, ":memory:") == 0) {
        url->database = lido__copy(":memory:", 8);
        lido__free(path);
        return url->database != NULL ? LIDO_OK : fail_memory(err);
    }
    if (path[0] == '/') {
        url->database = path;
        return LIDO_OK;
    }
    folder = getcwd(NULL, 0);
    if (folder == NULL) {
        int why = errno;

        lido__free(path);
        if (why == ENOMEM)
            return fail_memory(err);
        lido_fail(err, SQLITE_CANTOPEN, "the working directory cannot be told: %s",
                  why == ENOENT ? "it was removed" : "no access");
        if (err != NULL)
            err->sys_errno = why;
        return SQLITE_CANTOPEN;
    }
    absolute = sqlite3_mprintf("%s%s%s", folder, strcmp(folder, "/") == 0 ? "" : "/", path);
    free(folder);
    lido__free(path);
    url->database = absolute;
    return absolute != NULL ? LIDO_OK : fail_memory(err);
}

/* Behind "://": nothing, or a slash and the path.  Anything before the slash is an
   authority, which SQLite does not have. */
static int take_location(struct lido__url *url, const char *at, size_t length,
                         struct lido_error *err)
{
    char *path;
    int rc;

    if (length > 0 && at[0] != '/')
        return fail_form(err);
    if (length > 0)
        at++, length--;
    rc = decode(at, length, "the path", &path, err);
    if (rc != LIDO_OK)
        return rc;
    return take_path(url, path, err);
}

static int decode_value(const char *key, const char *text, size_t length, char **out,
                        struct lido_error *err)
{
    char what[80];

    snprintf(what, sizeof what, "the value of %.60s", key);
    return decode(text, length, what, out, err);
}

static int take_param(struct lido__url *url, const char *at, size_t length,
                      struct lido_error *err)
{
    const char *equals = memchr(at, '=', length);
    size_t key_length = equals != NULL ? (size_t)(equals - at) : length;
    char *key, *value;
    int rc;

    if (key_length == 0)
        return lido_fail(err, LIDO_BAD_URL, "a key is empty: write ?key=value&key=value");
    rc = decode(at, key_length, "a key", &key, err);
    if (rc != LIDO_OK)
        return rc;
    if (lido__url_get(url, key) != NULL)
        rc = lido_fail(err, LIDO_BAD_URL, "the key %.60s stands twice", key);
    else if (equals == NULL)
        /* Not shown: it may be the rest of a password with a '&' in it. */
        rc = lido_fail(err, LIDO_BAD_URL,
                       "key %zu has no value; a '&' inside of a value is written %%26",
                       url->n_params + 1);
    else if (key_length + 1 == length)
        rc = lido_fail(err, LIDO_BAD_URL, "the key %.60s has no value", key);
    else
        rc = decode_value(key, equals + 1, length - key_length - 1, &value, err);
    if (rc != LIDO_OK) {
        lido__free(key);
        return rc;
    }
    url->params[url->n_params++] = (struct lido_param){ key, value };
    return LIDO_OK;
}

static int take_params(struct lido__url *url, const char *query, struct lido_error *err)
{
    size_t count = 1;
    int rc = LIDO_OK;

    for (const char *at = query; *at != '\0'; at++)
        count += *at == '&';
    url->params = lido__new(count * sizeof *url->params);
    if (url->params == NULL)
        return fail_memory(err);
    while (rc == LIDO_OK) {
        size_t length = strcspn(query, "&");

        rc = take_param(url, query, length, err);
        if (query[length] == '\0')
            break;
        query += length + 1;
    }
    return rc;
}

int lido__url_parse(struct lido__url *url, const char *text, struct lido_error *err)
{
    const char *rest = text;
    size_t length;
    int rc;

    memset(url, 0, sizeof *url);
    if (strnlen(text, LONGEST + 1) > LONGEST)
        return lido_fail(err, LIDO_BAD_URL, "the URL is longer than %d bytes", LONGEST);
    rc = take_driver(url, text, &rest, err);
    if (rc != LIDO_OK)
        return rc;
    length = strcspn(rest, "?");
    rc = take_location(url, rest, length, err);
    if (rc == LIDO_OK) {
        url->base = lido__copy(text, (size_t)(rest - text) + length);
        rc = url->base != NULL ? LIDO_OK : fail_memory(err);
    }
    if (rc == LIDO_OK && rest[length] == '?')
        rc = take_params(url, rest + length + 1, err);
    if (rc != LIDO_OK)
        lido__url_fini(url);
    return rc;
}

void lido__url_fini(struct lido__url *url)
{
    for (size_t i = 0; i < url->n_params; i++) {
        lido__free((char *)(uintptr_t)url->params[i].key);
        lido__free((char *)(uintptr_t)url->params[i].value);
    }
    lido__free(url->params);
    lido__free(url->driver);
    lido__free(url->base);
    lido__free(url->database);
    memset(url, 0, sizeof *url);
}
