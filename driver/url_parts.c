/* SPDX-License-Identifier: MIT */
/*
 * The form of a URL: text to parts, and what a part may be made of.
 *
 *     [sqlite+] NAME :// [/ database] [? key = value {& key = value}]
 *
 * The parts stand behind one another in one block: each is at most as long as it was in the
 * text, and the NUL behind it takes the place of what separated it there.
 *
 * SQLite has no server, so an authority (host, user, password, port) is an error, and its
 * text never repeats it: there may be a password in it.
 *
 * Threads: any; nothing is shared.
 */
#include "base/alloc.h"
#include "driver/url.h"

#include <stdio.h>

static const char driver_letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                     "0123456789_.-";

size_t lido__url_driver_length(const char *text)
{
    return strspn(text, driver_letters);
}

static int fail_form(struct lido_error *err)
{
    return lido_fail(
        err, LIDO_BAD_URL,
        "not a URL of SQLite; valid are sqlite://, sqlite:///relative.db, "
        "sqlite:////absolute.db and sqlite:///:memory:, with ?key=value behind");
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

int lido__unescape(const char *text, size_t length)
{
    int high = length > 2 ? hex(text[1]) : -1, low = length > 2 ? hex(text[2]) : -1;

    return high < 0 || low < 0 ? -1 : high << 4 | low;
}

/* Decodes `length` bytes to *to and moves it behind their NUL.  `what` names them for the
   text of an error. */
static int decode(char **to, const char *text, size_t length, const char *what,
                  struct lido_error *err)
{
    char *at = *to;

    for (size_t from = 0; from < length; from++) {
        int byte;

        if (text[from] != '%') {
            *at++ = text[from];
            continue;
        }
        byte = lido__unescape(text + from, length - from);
        if (byte <= 0)
            return lido_fail(err, LIDO_BAD_URL,
                             byte < 0 ? "a %% in %s is not followed by two hex digits"
                                      : "%%00 in %s",
                             what);
        *at++ = (char)byte;
        from += 2;
    }
    *at++ = '\0';
    *to = at;
    return LIDO_OK;
}

static bool has_key(const struct lido_url *url, const char *key)
{
    for (size_t i = 0; i < url->n_params; i++)
        if (strcmp(url->params[i].key, key) == 0)
            return true;
    return false;
}

static int take_param(struct lido_url *url, struct lido_param *param, char **to,
                      const char *at, size_t length, struct lido_error *err)
{
    const char *equals = memchr(at, '=', length);
    size_t key_length = equals != NULL ? (size_t)(equals - at) : length;
    char what[80];
    int rc;

    if (key_length == 0)
        return lido_fail(err, LIDO_BAD_URL, "a key is empty: write ?key=value&key=value");
    param->key = *to;
    rc = decode(to, at, key_length, "a key", err);
    if (rc != LIDO_OK)
        return rc;
    if (has_key(url, param->key))
        return lido_fail(err, LIDO_BAD_URL, "the key %.60s stands twice", param->key);
    if (equals == NULL)
        /* Not shown: it may be the rest of a password with a '&' in it. */
        return lido_fail(err, LIDO_BAD_URL,
                         "key %zu has no value; a '&' inside of a value is written %%26",
                         url->n_params + 1);
    if (key_length + 1 == length)
        return lido_fail(err, LIDO_BAD_URL, "the key %.60s has no value", param->key);
    snprintf(what, sizeof what, "the value of %.60s", param->key);
    param->value = *to;
    return decode(to, equals + 1, length - key_length - 1, what, err);
}

static int take_params(struct lido_url *url, struct lido_param *params, char *to,
                       const char *query, struct lido_error *err)
{
    for (;;) {
        size_t length = strcspn(query, "&");
        int rc = take_param(url, &params[url->n_params], &to, query, length, err);

        if (rc != LIDO_OK)
            return rc;
        url->n_params++;
        if (query[length] == '\0')
            return LIDO_OK;
        query += length + 1;
    }
}

/* Behind "://": nothing, or a slash and the database.  Anything before the slash is an
   authority, which SQLite does not have. */
static int take_rest(struct lido_url *url, struct lido_param *params, char *to,
                     const char *rest, struct lido_error *err)
{
    size_t length = strcspn(rest, "?");
    const char *query = rest[length] == '?' ? rest + length + 1 : NULL;
    int rc;

    if (length > 0 && rest[0] != '/')
        return fail_form(err);
    if (length > 0)
        rest++, length--;
    url->database = to;
    rc = decode(&to, rest, length, "the path", err);
    if (rc != LIDO_OK || query == NULL)
        return rc;
    url->params = params;
    return take_params(url, params, to, query, err);
}

int lido_url_parse(struct lido_url **out, const char *text, struct lido_error *err)
{
    static const char prefix[] = "sqlite+";
    size_t length, count = 1;
    struct lido_url *url;
    char *to;
    int rc;

    if (out != NULL)
        *out = NULL;
    if (out == NULL || text == NULL)
        return lido_fail(err, SQLITE_MISUSE, "no URL, or nowhere to put its parts");
    if (strnlen(text, LIDO_URL_LONGEST + 1) > LIDO_URL_LONGEST)
        return lido_fail(err, LIDO_BAD_URL, "the URL is longer than %d bytes",
                         LIDO_URL_LONGEST);
    if (strncmp(text, prefix, sizeof prefix - 1) == 0)
        text += sizeof prefix - 1;
    length = lido__url_driver_length(text);
    if (length == 0 || strncmp(text + length, "://", 3) != 0)
        return fail_form(err);

    for (const char *at = text; *at != '\0'; at++)
        count += *at == '&';
    url = lido__new(sizeof *url + count * sizeof *url->params + strlen(text) + 1);
    if (url == NULL)
        return lido_fail(err, SQLITE_NOMEM, "out of memory for the URL");
    url->size = sizeof *url;
    to = (char *)((struct lido_param *)(url + 1) + count);
    url->driver = memcpy(to, text, length);
    rc = take_rest(url, (struct lido_param *)(url + 1), to + length + 1, text + length + 3,
                   err);
    if (rc != LIDO_OK)
        lido__free(url);
    else
        *out = url;
    return rc;
}

void lido_url_free(struct lido_url *url)
{
    lido__free(url);
}
