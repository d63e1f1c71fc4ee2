/* SPDX-License-Identifier: MIT */
#ifndef LIDO_DRIVER_URL_H
#define LIDO_DRIVER_URL_H

/*
 * A URL taken apart: which driver, which database, which keys.
 *
 *     sqlite:///relative.db      sqlite:////absolute.db      sqlite:// (a memory database)
 *     sqlite+NAME:///...         NAME:///...
 *
 * Path, keys and values are percent-decoded (%00 is refused), a relative path is made
 * absolute when it is parsed, so that a later chdir() does not move the database.
 */
#include <lido/sys/driver.h>
#include <stdbool.h>

struct lido__url {
    char *driver;              /* "sqlite", or the NAME */
    char *base;                /* the URL as given, up to the '?' */
    char *database;            /* an absolute path, or ":memory:" */
    struct lido_param *params; /* in the order given; no key twice */
    size_t n_params;
};

/* Ownership: on success *url is to be freed by lido__url_fini; on failure it is all zero.
   LIDO_BAD_URL, SQLITE_NOMEM, SQLITE_CANTOPEN (no working directory).  A password is never in
   the text. */
int lido__url_parse(struct lido__url *url, const char *text, struct lido_error *err);
void lido__url_fini(struct lido__url *url);

/* The value of `key`, or NULL if it is not there. */
const char *lido__url_get(const struct lido__url *url, const char *key);

/*
 * The values of one key in the type that it has; an absent key leaves *out alone.
 * LIDO_BAD_URL names the key, what stood there, and what may.  Booleans as SQLAlchemy:
 * true/yes/on/y/t/1 and false/no/off/n/f/0.  Seconds may have a fraction and become
 * milliseconds, rounded up; -1 stays -1.
 */
int lido__url_int(const struct lido__url *url, const char *key, int least, int *out,
                  struct lido_error *err);
int lido__url_bool(const struct lido__url *url, const char *key, int *out,
                   struct lido_error *err);
int lido__url_seconds(const struct lido__url *url, const char *key, int64_t *out_ms,
                      struct lido_error *err);

#endif
