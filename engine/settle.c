/* SPDX-License-Identifier: MIT */
/*
 * What the URL, the fields and the defaults come to, by the table of options.
 *
 * The URL is read in full, also where a field beats it: a mistake in it is told in any case.
 *
 * Threads: any; nothing here is shared.
 */
#include "engine/options.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static const struct lido_pool_options defaults = LIDO_POOL_OPTIONS_INIT;

/* The field of an option in one of the two structs. */
static const void *at(const void *whole, size_t offset)
{
    return (const char *)whole + offset;
}

static size_t size_of(const struct lido__option *option)
{
    switch (option->type) {
    case LIDO__OPTION_TEXT: return sizeof(const char *);
    case LIDO__OPTION_TIME: return sizeof(int64_t);
    case LIDO__OPTION_INT:
    case LIDO__OPTION_TRUTH:
    case LIDO__OPTION_WORD: return sizeof(int);
    case LIDO__OPTION_ALONE: break;
    }
    return 0;
}

static bool is_default(const struct lido__option *option,
                       const struct lido_pool_options *options)
{
    return memcmp(at(options, option->from), at(&defaults, option->from),
                  size_of(option)) == 0;
}

static void copy_field(const struct lido__option *option, struct lido_pool_options *to,
                       const struct lido_pool_options *from)
{
    memcpy((char *)to + option->from, at(from, option->from), size_of(option));
}

static int64_t number_of(const struct lido__option *option,
                         const struct lido_pool_options *options)
{
    const void *field = at(options, option->from);

    return option->type == LIDO__OPTION_TIME ? *(const int64_t *)field
                                             : *(const int *)field;
}

/* --- the URL -------------------------------------------------------------------------- */

static int fail_words(const struct lido__option *option, int code, const char *value,
                      struct lido_error *err)
{
    char words[100];

    lido__option_write_words(option, words, sizeof words);
    return lido_fail(err, code, "%s=%.40s is not %s", option->key, value, words);
}

static const struct lido__named *find_word(const struct lido__option *option,
                                           const char *name)
{
    for (const struct lido__named *word = option->words; word->name != NULL; word++)
        if (strcasecmp(word->name, name) == 0)
            return word;
    return NULL;
}

static int read_word(const struct lido__option *option, const char *value, int *out,
                     struct lido_error *err)
{
    const struct lido__named *word = find_word(option, value);

    if (word == NULL)
        return fail_words(option, LIDO_BAD_URL, value, err);
    *out = word->value;
    return LIDO_OK;
}

static int read_time(const struct lido__option *option, const struct lido__url *url,
                     int64_t *out, struct lido_error *err)
{
    int rc = lido__url_seconds(url, option->key, out, err);

    if (rc == LIDO_OK && *out < option->least)
        return lido_fail(err, LIDO_BAD_URL, "%s=%.40s: the least is %lld", option->key,
                         lido__url_get(url, option->key), (long long)option->least);
    return rc;
}

static int read_key(const struct lido__option *option, const struct lido__url *url,
                    struct lido_pool_options *told, struct lido_error *err)
{
    const char *value = lido__url_get(url, option->key);
    void *field = (char *)told + option->from;

    if (value == NULL)
        return LIDO_OK;
    switch (option->type) {
    case LIDO__OPTION_TEXT: *(const char **)field = value; break;
    case LIDO__OPTION_INT:
        return lido__url_int(url, option->key, (int)option->least, field, err);
    case LIDO__OPTION_TRUTH: return lido__url_bool(url, option->key, field, err);
    case LIDO__OPTION_TIME: return read_time(option, url, field, err);
    case LIDO__OPTION_WORD: return read_word(option, value, field, err);
    case LIDO__OPTION_ALONE: break;
    }
    return LIDO_OK;
}

bool lido__has_profile(const struct lido__url *url)
{
    return lido__url_get(url, "profile") != NULL;
}

/* What the one profile there is sets of lido's own; its pragmas are the driver's. */
static int read_profile(const struct lido__url *url, struct lido_pool_options *told,
                        struct lido_error *err)
{
    const char *value = lido__url_get(url, "profile");
    int profile, rc;

    if (value == NULL)
        return LIDO_OK;
    rc = read_word(lido__option_find("profile"), value, &profile, err);
    if (rc != LIDO_OK)
        return rc;
    if (url->is_memory || url->is_named_memory)
        return lido_fail(err, LIDO_BAD_URL,
                         "profile=%.40s is for a file: a memory database has no WAL",
                         value);
    told->pool = "queue";
    told->begin_mode = LIDO_IMMEDIATE;
    return LIDO_OK;
}

/* SQLAlchemy's name for an order. */
static int read_use_lifo(const struct lido__url *url, struct lido_pool_options *told,
                         struct lido_error *err)
{
    const char *value = lido__url_get(url, "pool_use_lifo");
    int is_lifo = 0, rc;

    if (value == NULL)
        return LIDO_OK;
    rc = lido__url_bool(url, "pool_use_lifo", &is_lifo, err);
    if (rc != LIDO_OK)
        return rc;
    if (told->order != NULL && is_lifo != (strcasecmp(told->order, "lifo") == 0))
        return lido_fail(err, LIDO_BAD_URL, "pool_use_lifo=%.8s contradicts order=%.40s",
                         value, told->order);
    if (is_lifo)
        told->order = "lifo";
    return LIDO_OK;
}

/* Python's name for a begin mode, among other things. */
static int read_isolation(const struct lido__url *url, struct lido_pool_options *told,
                          struct lido_error *err)
{
    int mode = LIDO_BEGIN_DEFAULT;
    int rc = lido__url_isolation_level(url, &mode, err);

    if (rc != LIDO_OK || mode == LIDO_BEGIN_DEFAULT)
        return rc;
    if (lido__url_get(url, "begin") != NULL && mode != told->begin_mode)
        return lido_fail(err, LIDO_BAD_URL, "isolation_level=%.40s contradicts begin=%.40s",
                         lido__url_get(url, "isolation_level"),
                         lido__url_get(url, "begin"));
    told->begin_mode = mode;
    return LIDO_OK;
}

static int read_url(const struct lido__url *url, bool is_sqlite,
                    struct lido_pool_options *told, struct lido_error *err)
{
    int rc = read_profile(url, told, err);

    for (size_t i = 0; rc == LIDO_OK && i < lido__n_options; i++)
        rc = read_key(&lido__options[i], url, told, err);
    if (rc == LIDO_OK)
        rc = read_use_lifo(url, told, err);
    if (rc == LIDO_OK && is_sqlite)
        rc = read_isolation(url, told, err);
    return rc;
}

/* --- all together --------------------------------------------------------------------- */

static int check_word(const struct lido__option *option, int value, struct lido_error *err)
{
    for (const struct lido__named *word = option->words; word->name != NULL; word++)
        if (word->value == value)
            return LIDO_OK;
    return lido_fail(err, LIDO_BAD_OPTION, "%s is %d, which is none of its values",
                     option->field, value);
}

static int check_field(const struct lido__option *option,
                       const struct lido_pool_options *options, struct lido_error *err)
{
    const char *text;

    switch (option->type) {
    case LIDO__OPTION_TEXT:
        text = *(const char *const *)at(options, option->from);
        if (text != NULL && option->words != NULL && find_word(option, text) == NULL)
            return fail_words(option, LIDO_BAD_OPTION, text, err);
        break;
    case LIDO__OPTION_INT:
    case LIDO__OPTION_TIME:
        if (number_of(option, options) < option->least)
            return lido_fail(err, LIDO_BAD_OPTION, "%s is %lld, the least is %lld",
                             option->field, (long long)number_of(option, options),
                             (long long)option->least);
        break;
    case LIDO__OPTION_WORD: return check_word(option, (int)number_of(option, options), err);
    case LIDO__OPTION_TRUTH:
    case LIDO__OPTION_ALONE: break;
    }
    return LIDO_OK;
}

static int check_clock(const struct lido_clock *clock, struct lido_error *err)
{
    if (clock != NULL &&
        (clock->size != sizeof *clock || clock->age_ns == NULL || clock->wait_ns == NULL))
        return lido_fail(err, LIDO_BAD_OPTION, "the clock lacks its size or a function");
    return LIDO_OK;
}

int lido__options_settle(struct lido_pool_options *options, const struct lido__url *url,
                         bool is_sqlite, struct lido_error *err)
{
    struct lido_pool_options told = defaults;
    int rc = read_url(url, is_sqlite, &told, err);

    if (rc == LIDO_OK)
        rc = check_clock(options->clock, err);
    for (size_t i = 0; rc == LIDO_OK && i < lido__n_options; i++) {
        const struct lido__option *option = &lido__options[i];

        if (is_default(option, options))
            copy_field(option, options, &told);
        rc = check_field(option, options, err);
    }
    return rc;
}

int lido__options_suit(const struct lido_pool_options *options, const struct lido__url *url,
                       const struct lido__kind *kind, struct lido_error *err)
{
    for (size_t i = 0; i < lido__n_options; i++) {
        const struct lido__option *option = &lido__options[i];
        bool is_key = lido__url_get(url, option->key) != NULL;
        char others[80];

        if ((!is_key && is_default(option, options)) || lido__option_is_taken(option, kind))
            continue;
        lido__option_write_kinds(option, others, sizeof others);
        return lido_fail(err, is_key ? LIDO_BAD_URL : LIDO_BAD_OPTION,
                         "%s goes with pool=%s, and this is pool=%s%s",
                         is_key ? option->key : option->field, others, kind->name,
                         options->pool == NULL ? ", as none is named" : "");
    }
    return LIDO_OK;
}

static void apply(const struct lido__option *option, struct lido__pool_config *config,
                  const struct lido_pool_options *options)
{
    void *to = (char *)config + option->to;
    int64_t number;

    if (option->to == 0)
        return;
    number = number_of(option, options);
    if (option->type == LIDO__OPTION_WORD)
        *(int *)to = (int)number;
    else if (option->type != LIDO__OPTION_TRUTH)
        *(int64_t *)to = number;
    else if (number == LIDO_BY_KIND && number_of(option, &defaults) == LIDO_BY_KIND)
        *(bool *)to = (option->by_kind & lido__kind_bit(config->kind)) != 0;
    else
        *(bool *)to = number != 0;
}

void lido__options_apply(struct lido__pool_config *config,
                         const struct lido_pool_options *options)
{
    for (size_t i = 0; i < lido__n_options; i++)
        apply(&lido__options[i], config, options);
    if (config->max_overflow == -1)
        config->max_overflow = LIDO__UNBOUND;
    config->order = LIDO__ORDER_ANY;
    if (options->order != NULL)
        config->order =
            (enum lido__order)find_word(lido__option_find("order"), options->order)->value;
    config->key = options->key;
    config->key_ctx = options->key_ctx;
    config->log = options->log;
    config->log_ctx = options->log_ctx;
    config->log_level = options->log_level;
    config->clock = options->clock;
}
