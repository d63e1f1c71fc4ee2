/* SPDX-License-Identifier: MIT */
#ifndef LIDO_DRIVER_URL_H
#define LIDO_DRIVER_URL_H

/*
 * A URL as a pool is opened by it: which driver, which database, which keys.
 *
 * The form is lido_url_parse()'s (url_parts.c).  Here the database becomes what a driver is
 * given: nothing is ":memory:", a relative path is made absolute at this moment, so that a
 * later chdir() does not move it, and "file:..." with uri=1 is left as it is.
 */
#include <lido/sys/driver.h>
#include <lido/url.h>
#include <stdbool.h>

struct lido__url {
    struct lido_url *parts;          /* owns driver and params */
    const char *driver;              /* "sqlite", or the NAME */
    char *base;                      /* the URL as given, up to the '?' */
    char *database;                  /* an absolute path, ":memory:", or "file:..." */
    const struct lido_param *params; /* in the order given; no key twice */
    size_t n_params;

    /* Each connection is the only home of its data: ":memory:", mode=memory, a temporary
       file. */
    bool is_memory;
    /* A memory database that the connections of this process share by its name (vfs=memdb
       and a name that begins with a slash).  It lives as long as one of them. */
    bool is_named_memory;
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

/*
 * The begin mode that `isolation_level` asks for, in either of its senses: sqlite3's of
 * Python (DEFERRED, IMMEDIATE, EXCLUSIVE) or SQLAlchemy's (SERIALIZABLE, READ UNCOMMITTED,
 * AUTOCOMMIT, which leave *mode alone: the driver does the rest).
 */
int lido__url_isolation_level(const struct lido__url *url, int *mode,
                              struct lido_error *err);

/* The same of one value. */
int lido__value_bool(const char *key, const char *value, int *out, struct lido_error *err);
int lido__value_int(const char *key, const char *value, int64_t least, int64_t most,
                    int64_t *out, struct lido_error *err);

/* What `isolation_level` says. */
struct lido__isolation {
    int begin_mode;       /* LIDO_BEGIN_DEFAULT: it says nothing of it */
    int read_uncommitted; /* -1: it says nothing of it */
    bool is_autocommit;   /* a transaction never begins by itself */
    const char *level;    /* SQLAlchemy's name; NULL if it is one of Python's */
};
int lido__value_isolation(const char *value, struct lido__isolation *out,
                          struct lido_error *err);
/* SQLAlchemy's names only; SQLITE_MISUSE lists them. */
int lido__level_isolation(const char *level, struct lido__isolation *out,
                          struct lido_error *err);
bool lido__url_is_autocommit(const struct lido__url *url);

/* Parts of the form.  How many bytes at `text` may stand in the name of a driver. */
size_t lido__url_driver_length(const char *text);
/* The byte that the %HH at `text` stands for; -1 if it is none. */
int lido__unescape(const char *text, size_t length);
/* True for what need not be escaped in any part. */
bool lido__is_plain(unsigned char byte);

#endif
