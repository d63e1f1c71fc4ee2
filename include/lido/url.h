/* SPDX-License-Identifier: MIT */
#ifndef LIDO_URL_H
#define LIDO_URL_H

#include <lido/status.h>
#include <stddef.h>

/*
 * URLs: what a pool is opened by, taken apart and put together.
 *
 *     sqlite://                        a memory database
 *     sqlite:///:memory:               the same
 *     sqlite:///app.db                 a file, relative to the working directory
 *     sqlite:////srv/app.db            a file by its absolute path
 *     sqlite+NAME:///...  NAME:///...  by the driver NAME (lido/sys/driver.h)
 *
 * followed by `?key=value&key=value`.  Which keys there are is in lido_url(3).  SQLite has no
 * server, so nothing may stand where other URLs have user, password, host and port.
 *
 * What is no ASCII letter or digit and none of `-._~/:` is written %HH.  These functions
 * know the form only: whether there is such a file, driver or key is asked by
 * lido_pool_open().
 */

#ifdef __cplusplus
extern "C" {
#endif

/* A longer URL is refused; `char text[LIDO_URL_LONGEST + 1]` holds any. */
#define LIDO_URL_LONGEST 8192

/* One key of a URL. */
struct lido_param {
    const char *key;
    const char *value;
};

/* A URL in parts, none of them escaped. */
struct lido_url {
    size_t size;          /* sizeof this struct */
    const char *driver;   /* "sqlite", or the NAME ("sqlite") */
    const char *database; /* what stands behind the third slash: "", ":memory:", "app.db",
                             "/srv/app.db" ("") */
    const struct lido_param *params; /* in their order, no key twice (NULL) */
    size_t n_params;                 /* (0) */
};
#define LIDO_URL_INIT                                                                      \
    {                                                                                      \
        sizeof(struct lido_url), "sqlite", "", NULL, 0                                     \
    }

/*
 * Takes a URL apart.
 *
 * Ownership: on success *out owns the parts; give them to lido_url_free().  On failure *out
 *            is NULL.  Borrows text until it returns.
 * Threads:   any.
 * Fails:     LIDO_BAD_URL (the text never repeats a password), SQLITE_NOMEM, SQLITE_MISUSE.
 */
LIDO_API int lido_url_parse(struct lido_url **out, const char *text,
                            struct lido_error *err) LIDO_CHECKED;

/*
 * Gives the parts that lido_url_parse() answered back.  free(NULL) does nothing.
 *
 * Ownership: steals url.
 * Threads:   any.
 */
LIDO_API void lido_url_free(struct lido_url *url);

/*
 * Puts a URL together that lido_url_parse() takes apart into the same parts, whatever bytes
 * the database, keys and values are made of.
 *
 * Ownership: writes up to `size` bytes to text, which is "" on failure.  Borrows url.
 * Threads:   any.
 * Fails:     LIDO_BAD_URL (no URL says this: an empty key or value, a key twice, a driver
 *            with other characters than letters, digits and `_.-`, more bytes than
 *            LIDO_URL_LONGEST), SQLITE_TOOBIG (text is too short), SQLITE_MISUSE.
 */
LIDO_API int lido_url_format(char *text, size_t size, const struct lido_url *url,
                             struct lido_error *err) LIDO_CHECKED;

#ifdef __cplusplus
}
#endif
#endif
