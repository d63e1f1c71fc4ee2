/* SPDX-License-Identifier: MIT */
/*
 * Putting a URL together, so that lido_url_parse() finds the same parts in it.
 *
 * Only what may stand in any part is left as it is; all else is escaped, and so there is no
 * case in which a separator or a byte of the host's is taken for another.
 *
 * Threads: any; nothing is shared.
 */
#include "driver/url.h"

#include <assert.h>
#include <string.h>

/* Counts on when the text is full, to tell how much would have been needed. */
struct writer {
    char *text;
    size_t size, length;
};

static void put(struct writer *to, char byte)
{
    if (to->length < to->size)
        to->text[to->length] = byte;
    to->length++;
}

static void put_text(struct writer *to, const char *text)
{
    for (; *text != '\0'; text++)
        put(to, *text);
}

static void put_escaped(struct writer *to, const char *text)
{
    for (; *text != '\0'; text++) {
        unsigned char byte = (unsigned char)*text;

        if (lido__is_plain(byte)) {
            put(to, *text);
            continue;
        }
        put(to, '%');
        put(to, "0123456789ABCDEF"[byte >> 4]);
        put(to, "0123456789ABCDEF"[byte & 15]);
    }
}

bool lido__is_plain(unsigned char byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
           (byte >= '0' && byte <= '9') || (byte != '\0' && strchr("-._~/:", byte) != NULL);
}

static int check_params(const struct lido_url *url, struct lido_error *err)
{
    for (size_t i = 0; i < url->n_params; i++) {
        const struct lido_param *param = &url->params[i];

        if (param->key == NULL || param->value == NULL)
            return lido_fail(err, SQLITE_MISUSE, "key %zu of the URL is NULL", i + 1);
        if (param->key[0] == '\0')
            return lido_fail(err, LIDO_BAD_URL, "key %zu is empty", i + 1);
        if (param->value[0] == '\0')
            return lido_fail(err, LIDO_BAD_URL, "the key %.60s has no value", param->key);
        for (size_t other = 0; other < i; other++)
            if (strcmp(url->params[other].key, param->key) == 0)
                return lido_fail(err, LIDO_BAD_URL, "the key %.60s stands twice",
                                 param->key);
    }
    return LIDO_OK;
}

static int check_parts(const struct lido_url *url, struct lido_error *err)
{
    size_t length;

    if (url == NULL || url->size != sizeof *url)
        return lido_fail(err, SQLITE_MISUSE,
                         "no parts of a URL, or their size is none: start from "
                         "LIDO_URL_INIT");
    if (url->driver == NULL || url->database == NULL ||
        (url->params == NULL && url->n_params > 0))
        return lido_fail(err, SQLITE_MISUSE, "a part of the URL is NULL");
    length = lido__url_driver_length(url->driver);
    if (length == 0 || url->driver[length] != '\0')
        return lido_fail(err, LIDO_BAD_URL,
                         "a driver's name is made of letters, digits, '_', '.' and '-'");
    return check_params(url, err);
}

int lido_url_format(char *text, size_t size, const struct lido_url *url,
                    struct lido_error *err)
{
    struct writer to = { text, size, 0 };
    int rc;

    if (text == NULL || size == 0)
        return lido_fail(err, SQLITE_MISUSE, "no room for a URL");
    text[0] = '\0';
    rc = check_parts(url, err);
    if (rc != LIDO_OK)
        return rc;
    if (strcmp(url->driver, "sqlite") != 0)
        put_text(&to, "sqlite+");
    put_text(&to, url->driver);
    put_text(&to, url->database[0] != '\0' ? ":///" : "://");
    put_escaped(&to, url->database);
    for (size_t i = 0; i < url->n_params; i++) {
        put(&to, i == 0 ? '?' : '&');
        put_escaped(&to, url->params[i].key);
        put(&to, '=');
        put_escaped(&to, url->params[i].value);
    }
    if (to.length <= LIDO_URL_LONGEST && to.length < size) {
        text[to.length] = '\0';
        return LIDO_OK;
    }
    text[0] = '\0';
    if (to.length > LIDO_URL_LONGEST)
        return lido_fail(err, LIDO_BAD_URL, "the URL is longer than %d bytes",
                         LIDO_URL_LONGEST);
    return lido_fail(err, SQLITE_TOOBIG, "the URL of %zu bytes does not fit into %zu",
                     to.length, size);
}
