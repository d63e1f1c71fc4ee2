/* SPDX-License-Identifier: MIT */
#ifndef LIDO_ENGINE_OPTIONS_H
#define LIDO_ENGINE_OPTIONS_H

/*
 * The options of a pool: one table, and what is done with it when a pool opens.
 *
 *     URL, fields, defaults  --settle-->  options  --suit-->  this kind takes them
 *                                            |
 *                                            +-------apply-->  configuration
 *
 * Threads: any; nothing here changes.
 */
#include "pool/pool.h"

enum lido__option_type {
    LIDO__OPTION_TEXT,  /* const char *; one of `words` if there are any */
    LIDO__OPTION_INT,   /* int; becomes int64_t */
    LIDO__OPTION_TRUTH, /* int; becomes bool */
    LIDO__OPTION_TIME,  /* int64_t of milliseconds; seconds in the URL */
    LIDO__OPTION_WORD,  /* int, which the URL calls by one of `words` */
    LIDO__OPTION_ALONE, /* a key without a field of its own */
};

/* A value and what the URL calls it; the first name of a value is the one that is shown. */
struct lido__named {
    const char *name; /* NULL: the end */
    int value;
};

struct lido__option {
    const char *key;
    const char *field; /* in struct lido_pool_options; NULL: none */
    enum lido__option_type type;
    int64_t least;    /* of numbers and times */
    unsigned kinds;   /* that take it, a bit for each */
    unsigned by_kind; /* of a truth: the kinds for which LIDO_BY_KIND means 1 */
    size_t from;      /* where the field is in struct lido_pool_options */
    size_t to; /* where it goes in struct lido__pool_config; 0: by hand, or nowhere */
    const struct lido__named *words;
};
extern const struct lido__option lido__options[];
extern const size_t lido__n_options;

/* The option of that key, or NULL. */
const struct lido__option *lido__option_find(const char *key);
bool lido__option_is_taken(const struct lido__option *option,
                           const struct lido__kind *kind);
/* "a, b or c": the keys of all options, the kinds that take one, its words. */
void lido__option_write_keys(char *text, size_t size);
void lido__option_write_kinds(const struct lido__option *option, char *text, size_t size);
void lido__option_write_words(const struct lido__option *option, char *text, size_t size);

/* The bit of a kind in the table; 0 if the table does not know it. */
unsigned lido__kind_bit(const struct lido__kind *kind);

/*
 * engine/settle.c
 *
 * What holds in the end: a field that is not at its default, or else the URL, or else its
 * profile, or else the default.  The texts are the URL's or the caller's.  LIDO_BAD_URL,
 * LIDO_BAD_OPTION.
 */
int lido__options_settle(struct lido_pool_options *options, const struct lido__url *url,
                         bool is_sqlite, struct lido_error *err);
/* Is there a key, or a field not at its default, of which the kind knows nothing? */
int lido__options_suit(const struct lido_pool_options *options, const struct lido__url *url,
                       const struct lido__kind *kind, struct lido_error *err);
/* Into a configuration that has its kind. */
void lido__options_apply(struct lido__pool_config *config,
                         const struct lido_pool_options *options);

/* `profile=server` sets these too, as keys of the driver, unless the URL does. */
extern const struct lido_param lido__server_pragmas[];
extern const size_t lido__n_server_pragmas;
bool lido__has_profile(const struct lido__url *url);

/*
 * engine/open.c: as lido_pool_open(), on a URL that has been taken apart.  The URL is stolen.
 */
int lido__pool_open_url(lido_pool **out, struct lido__url *url,
                        const struct lido_pool_options *options, struct lido_error *err);

/* The key of a URL by which a manager knows its pool. */
#define LIDO__MANAGER_KEY "sa_pool_key"

#endif
