/* SPDX-License-Identifier: MIT */
/*
 * The options of a pool: every key and every field, what is refused, and which kind takes
 * what.
 */
#include "engine/options.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_driver.h"
#include <lido/lido.h>

#include <criterion/criterion.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

static struct lido_error err;

TestSuite(open_options, .init = fake_driver_install, .timeout = 20);

/* The configuration that a pool has in the end. */
static struct lido__pool_config configure(const char *url,
                                          const struct lido_pool_options *options)
{
    struct lido__pool_config config;
    lido_pool *pool;

    cr_assert_eq(lido_pool_open(&pool, url, options, &err), LIDO_OK, "%s: %s", url,
                 err.text);
    config = pool->config;
    lido_pool_free(pool);
    return config;
}

static void expect_refused(const char *url, const struct lido_pool_options *options,
                           int code, const char *text)
{
    lido_pool *pool = (lido_pool *)&pool;

    err = (struct lido_error)LIDO_ERROR_INIT;
    cr_assert_eq(lido_pool_open(&pool, url, options, &err), code, "%s: %d %s", url,
                 err.code, err.text);
    cr_assert_null(pool);
    cr_assert_eq(err.code, code);
    cr_assert_not_null(strstr(err.text, text), "%s: %s", url, err.text);
}

Test(open_options, the_defaults_are_those_of_the_header)
{
    static const struct lido_pool_options inits = LIDO_POOL_OPTIONS_INIT;
    const struct lido_pool_options *const both[] = { NULL, &inits };

    for (int i = 0; i < 2; i++) {
        struct lido__pool_config config = configure("fake:///x", both[i]);

        cr_assert_str_eq(config.kind->name, "null");
        cr_assert_eq(config.pool_size, 5);
        cr_assert_eq(config.max_overflow, 10);
        cr_assert_eq(config.pool_timeout_ms, 30000);
        cr_assert_eq(config.timeout_ms, 5000);
        cr_assert(config.check_same_thread);
        cr_assert_eq(config.begin_mode, LIDO_DEFERRED);
        cr_assert_null(config.log);
        cr_assert_null(config.log_ctx);
        cr_assert_eq(config.log_level, LIDO_LOG_WARN);
        cr_assert_null(config.clock);
        cr_assert_eq(config.order, LIDO__ORDER_ANY);
        cr_assert_eq(config.recycle_ms, -1);
        cr_assert_eq(config.recycle_jitter_ms, 0);
        cr_assert_eq(config.recycle_spacing_ms, 0);
        cr_assert_not(config.pre_ping);
        cr_assert_eq(config.reset_on_return, LIDO_RESET_ROLLBACK);
        cr_assert_eq(config.min_idle, 0);
        cr_assert_eq(config.idle_timeout_ms, -1);
        cr_assert_not(config.keep_temp);
        cr_assert_not(config.use_threadlocal);
        cr_assert_not(config.strict);
        cr_assert_not(config.shared_transaction);
        cr_assert_eq(config.cached_statements, 128);
        cr_assert_eq(config.text, LIDO_TEXT_STRICT);
        cr_assert_eq(config.autobegin, LIDO_AUTOBEGIN_OFF);
        cr_assert_not(config.is_memory);
        cr_assert_not(config.needs_anchor);
        cr_assert_str_eq(fake_driver_calls(), "", "nothing is opened");
    }
}

/* One value of each option, as the URL and as the field says it. */
static const struct sample {
    const char *kind, *key, *value;
    int64_t number;
} samples[] = {
    { "queue", "pool_size", "3", 3 },
    { "queue", "max_overflow", "-1", -1 },
    { "queue", "max_overflow", "4", 4 },
    { "queue", "pool_timeout", "0.25", 250 },
    { "null", "pool_timeout", "-1", -1 },
    { "null", "timeout", "1.5", 1500 },
    { "null", "timeout", "-1", -1 },
    { "null", "timeout", "0", 0 },
    { "null", "check_same_thread", "no", 0 },
    { "static", "check_same_thread", "yes", 1 },
    { "null", "begin", "immediate", LIDO_IMMEDIATE },
    { "null", "begin", "Exclusive", LIDO_EXCLUSIVE },
    { "null", "begin", "read", LIDO_READ },
    { "null", "open_now", "1", 1 },
    { "null", "pool_recycle", "3600", 3600000 },
    { "null", "pool_recycle", "0", 0 },
    { "queue", "pool_recycle_jitter", "60", 60000 },
    { "queue", "pool_recycle_spacing", "0.001", 1 },
    { "queue", "pool_pre_ping", "true", 1 },
    { "null", "pool_reset_on_return", "commit", LIDO_RESET_COMMIT },
    { "null", "pool_reset_on_return", "none", LIDO_RESET_NONE },
    { "null", "pool_reset_on_return", "False", LIDO_RESET_NONE },
    { "queue", "min_idle", "2", 2 },
    { "assertion", "min_idle", "1", 1 },
    { "queue", "idle_timeout", "0", 0 },
    { "singleton_thread", "idle_timeout", "9", 9000 },
    { "queue", "keep_temp", "on", 1 },
    { "static", "keep_temp", "off", 0 },
    { "queue", "use_threadlocal", "t", 1 },
    { "singleton_thread", "strict", "1", 1 },
    { "singleton_thread", "pool_size", "1", 1 },
    { "static", "shared_transaction", "y", 1 },
    { "queue", "cached_statements", "7", 7 },
    { "queue", "text", "raw", LIDO_TEXT_RAW },
    { "queue", "autobegin", "write", LIDO_AUTOBEGIN_WRITE },
};

static void set_field(struct lido_pool_options *options, const struct sample *sample)
{
    const struct lido__option *option = lido__option_find(sample->key);
    char *field = (char *)options + option->from;

    cr_assert_not_null(option->field, "%s", sample->key);
    if (option->type == LIDO__OPTION_TIME)
        *(int64_t *)field = sample->number;
    else
        *(int *)field = (int)sample->number;
}

/* What the configuration holds of an option. */
static int64_t configured(const struct lido__pool_config *config,
                          const struct lido__option *option)
{
    const char *field = (const char *)config + option->to;

    return option->type == LIDO__OPTION_TRUTH  ? *(const bool *)field
           : option->type == LIDO__OPTION_WORD ? *(const int *)field
                                               : *(const int64_t *)field;
}

Test(open_options, every_key_says_what_its_field_says)
{
    for (size_t i = 0; i < sizeof samples / sizeof samples[0]; i++) {
        const struct sample *sample = &samples[i];
        const struct lido__option *option = lido__option_find(sample->key);
        struct lido_pool_options options = LIDO_POOL_OPTIONS_INIT;
        struct lido__pool_config by_key, by_field;
        int64_t wanted = sample->number;
        char url[100];

        snprintf(url, sizeof url, "fake:///x?pool=%s&%s=%s", sample->kind, sample->key,
                 sample->value);
        by_key = configure(url, NULL);
        set_field(&options, sample);
        options.pool = sample->kind;
        by_field = configure("fake:///x", &options);
        cr_assert_str_eq(by_key.kind->name, sample->kind);
        cr_assert_str_eq(by_field.kind->name, sample->kind);
        if (option->to == 0)
            continue;
        if (strcmp(sample->key, "max_overflow") == 0 && wanted == -1)
            wanted = LIDO__UNBOUND;
        cr_assert_eq(configured(&by_key, option), wanted, "%s", url);
        cr_assert_eq(configured(&by_field, option), wanted, "%s", url);
    }
}

Test(open_options, a_field_beats_the_key_of_its_name)
{
    static const struct {
        const char *key, *value;
    } losers[] = {
        { "pool_size", "7" },
        { "max_overflow", "8" },
        { "pool_timeout", "2" },
        { "timeout", "3" },
        { "check_same_thread", "0" },
        { "begin", "deferred" },
        { "pool_recycle", "77" },
        { "pool_recycle_jitter", "78" },
        { "pool_recycle_spacing", "79" },
        { "pool_pre_ping", "0" },
        { "pool_reset_on_return", "rollback" },
        { "min_idle", "1" },
        { "idle_timeout", "80" },
        { "keep_temp", "0" },
        { "use_threadlocal", "0" },
        { "strict", "0" },
        { "shared_transaction", "0" },
        { "cached_statements", "8" },
        { "text", "warn" },
        { "autobegin", "read" },
    };

    for (size_t i = 0; i < sizeof losers / sizeof losers[0]; i++)
        for (size_t k = 0; k < sizeof samples / sizeof samples[0]; k++) {
            const struct lido__option *option = lido__option_find(losers[i].key);
            struct lido_pool_options options = LIDO_POOL_OPTIONS_INIT;
            struct lido__pool_config alone, both;
            char url[100];

            if (strcmp(samples[k].key, losers[i].key) != 0)
                continue;
            set_field(&options, &samples[k]);
            options.pool = samples[k].kind;
            alone = configure("fake:///x", &options);
            snprintf(url, sizeof url, "fake:///x?pool=null&%s=%s", losers[i].key,
                     losers[i].value);
            both = configure(url, &options);
            cr_assert_str_eq(both.kind->name, samples[k].kind);
            cr_assert_eq(configured(&both, option), configured(&alone, option), "%s", url);
        }
}

Test(open_options, a_key_that_a_field_beats_must_make_sense_all_the_same)
{
    struct lido_pool_options options = LIDO_POOL_OPTIONS_INIT;

    options.timeout_ms = 7;
    expect_refused("fake:///x?timeout=soon", &options, LIDO_BAD_URL, "timeout=soon");
}

Test(open_options, a_field_at_its_default_leaves_the_word_to_the_key)
{
    struct lido_pool_options options = LIDO_POOL_OPTIONS_INIT;
    struct lido__pool_config config;

    options.pool_size = 5;
    options.timeout_ms = 6;
    config = configure("fake:///x?pool=queue&pool_size=8&timeout=9", &options);
    cr_assert_eq(config.pool_size, 8);
    cr_assert_eq(config.timeout_ms, 6);
}

Test(open_options, the_order_of_keys_does_not_matter_and_none_stands_twice)
{
    cr_assert_eq(configure("fake:///x?pool_size=2&pool=queue", NULL).pool_size, 2);
    expect_refused("fake:///x?pool=queue&pool=null", NULL, LIDO_BAD_URL, "twice");
}

Test(open_options, a_key_out_of_range_or_of_no_sense_is_refused_by_name)
{
    static const char *const keys[] = {
        "pool_size=-1",
        "pool_size=x",
        "pool_size=2147483648",
        "max_overflow=-2",
        "max_overflow=1.5",
        "pool_timeout=-2",
        "pool_timeout=soon",
        "timeout=-0.5",
        "timeout=1e3",
        "check_same_thread=2",
        "open_now=maybe",
        "begin=sometimes",
        "pool_recycle=-2",
        "pool_recycle_jitter=-1",
        "pool_recycle_spacing=-1",
        "pool_pre_ping=9",
        "pool_reset_on_return=maybe",
        "min_idle=-1",
        "idle_timeout=-3",
        "keep_temp=2",
        "use_threadlocal=-1",
        "strict=",
        "shared_transaction=2",
        "cached_statements=-1",
        "text=utf8",
        "autobegin=on",
        "pool_use_lifo=last",
        "profile=desktop",
        "sa_pool_key=a",
    };
    char url[100], name[32];

    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        snprintf(url, sizeof url, "fake:///x?pool=queue&%s", keys[i]);
        snprintf(name, sizeof name, "%.*s", (int)strcspn(keys[i], "="), keys[i]);
        expect_refused(url, NULL, LIDO_BAD_URL, name);
    }
}

/* One field at a value that is none. */
static void expect_bad_field(const struct lido_pool_options *options, const char *name)
{
    expect_refused("fake:///x?pool=queue", options, LIDO_BAD_OPTION, name);
}

Test(open_options, a_field_out_of_range_is_refused_by_name)
{
    static const struct lido_pool_options inits = LIDO_POOL_OPTIONS_INIT;
    struct lido_pool_options options = inits;

    options.pool_size = -1;
    expect_bad_field(&options, "pool_size is -1");
    options = inits;
    options.max_overflow = INT_MIN;
    expect_bad_field(&options, "max_overflow");
    options = inits;
    options.pool_timeout_ms = -2;
    expect_bad_field(&options, "pool_timeout_ms");
    options = inits;
    options.timeout_ms = INT64_MIN;
    expect_bad_field(&options, "timeout_ms");
    options = inits;
    options.begin_mode = LIDO_BEGIN_DEFAULT;
    expect_bad_field(&options, "begin_mode");
    options.begin_mode = LIDO_CONCURRENT + 1;
    expect_bad_field(&options, "begin_mode");
    options.begin_mode = LIDO_CONCURRENT;
    expect_bad_field(&options, "the driver fake has no BEGIN CONCURRENT");
    options = inits;
    options.order = "best";
    expect_bad_field(&options, "order=best is not any, fifo or lifo");
    options = inits;
    options.pool_recycle_ms = -2;
    expect_bad_field(&options, "pool_recycle_ms is -2");
    options = inits;
    options.pool_recycle_jitter_ms = -1;
    expect_bad_field(&options, "pool_recycle_jitter_ms");
    options = inits;
    options.pool_recycle_spacing_ms = -1;
    expect_bad_field(&options, "pool_recycle_spacing_ms");
    options = inits;
    options.pool_reset_on_return = 3;
    expect_bad_field(&options, "pool_reset_on_return is 3");
    options = inits;
    options.min_idle = -1;
    expect_bad_field(&options, "min_idle");
    options.min_idle = 6;
    expect_bad_field(&options, "this pool keeps 5");
    options = inits;
    options.idle_timeout_ms = -2;
    expect_bad_field(&options, "idle_timeout_ms");
    options = inits;
    options.pool_size = 0;
    options.max_overflow = 0;
    expect_bad_field(&options, "no connection at all");
}

Test(open_options, the_least_and_the_greatest_of_a_field_are_taken)
{
    struct lido_pool_options options = LIDO_POOL_OPTIONS_INIT;
    struct lido_pool_stats stats = LIDO_POOL_STATS_INIT;
    lido_pool *pool;

    options.pool = "queue";
    options.pool_size = INT_MAX;
    options.max_overflow = INT_MAX;
    options.pool_timeout_ms = INT64_MAX;
    options.timeout_ms = INT64_MAX;
    cr_assert_eq(lido_pool_open(&pool, "fake:///x", &options, &err), LIDO_OK, "%s",
                 err.text);
    cr_assert_eq(lido_pool_stats(pool, &stats, &err), LIDO_OK);
    cr_assert_eq(stats.limit, 2 * (int64_t)INT_MAX);
    cr_assert_eq(stats.keep, INT_MAX);
    lido_pool_free(pool);

    options.pool_size = 0;
    options.max_overflow = -1;
    cr_assert_eq(lido_pool_open(&pool, "fake:///x", &options, &err), LIDO_OK, "%s",
                 err.text);
    cr_assert_eq(lido_pool_stats(pool, &stats, &err), LIDO_OK);
    cr_assert_eq(stats.limit, -1);
    cr_assert_eq(stats.keep, -1);
    lido_pool_free(pool);
}

Test(open_options, a_clock_is_taken_whole_or_not_at_all)
{
    struct lido_pool_options options = LIDO_POOL_OPTIONS_INIT;
    struct lido_clock clock = *fake_clock();

    options.clock = &clock;
    cr_assert_eq(configure("fake:///x", &options).clock, &clock);
    clock.size = 8;
    expect_bad_field(&options, "clock");
    clock = *fake_clock();
    clock.age_ns = NULL;
    expect_bad_field(&options, "clock");
    clock = *fake_clock();
    clock.wait_ns = NULL;
    expect_bad_field(&options, "clock");
}

/* --- orders --------------------------------------------------------------------------- */

Test(open_options, an_order_has_two_names)
{
    static const struct {
        const char *query;
        enum lido__order order;
    } orders[] = {
        { "order=any", LIDO__ORDER_ANY },
        { "order=fifo", LIDO__ORDER_FIFO },
        { "order=LIFO", LIDO__ORDER_LIFO },
        { "pool_use_lifo=true", LIDO__ORDER_LIFO },
        { "pool_use_lifo=0", LIDO__ORDER_ANY },
        { "pool_use_lifo=1&order=lifo", LIDO__ORDER_LIFO },
        { "pool_use_lifo=0&order=fifo", LIDO__ORDER_FIFO },
    };
    char url[100];

    for (size_t i = 0; i < sizeof orders / sizeof orders[0]; i++) {
        snprintf(url, sizeof url, "fake:///x?pool=queue&%s", orders[i].query);
        cr_assert_eq(configure(url, NULL).order, orders[i].order, "%s", url);
    }
}

Test(open_options, two_names_of_an_order_must_agree)
{
    static const char *const queries[] = { "pool_use_lifo=1&order=fifo",
                                           "order=any&pool_use_lifo=1",
                                           "pool_use_lifo=0&order=lifo" };
    struct lido_pool_options options = LIDO_POOL_OPTIONS_INIT;
    char url[100];

    for (size_t i = 0; i < 3; i++) {
        snprintf(url, sizeof url, "fake:///x?pool=queue&%s", queries[i]);
        expect_refused(url, NULL, LIDO_BAD_URL, "contradicts order=");
    }
    options.order = "fifo";
    cr_assert_eq(configure("fake:///x?pool=queue&pool_use_lifo=1", &options).order,
                 LIDO__ORDER_FIFO, "the field beats the key");
}

/* --- kinds ---------------------------------------------------------------------------- */

static const char *const kinds[] = { "null", "queue", "singleton_thread", "static",
                                     "assertion" };

Test(open_options, the_table_knows_every_kind)
{
    char names[80], known[80] = "";

    lido__kind_names(names, sizeof names);
    for (int i = 0; i < 5; i++) {
        const struct lido__kind *kind = lido__kind_find(kinds[i]);

        cr_assert_neq(lido__kind_bit(kind), 0, "%s", kinds[i]);
        strcat(known, i > 0 ? ", " : "");
        strcat(known, kinds[i]);
    }
    cr_assert_str_eq(names, known);
}

/* What this kind makes of a key and of its field. */
static void try_on_kind(const struct sample *sample, const char *kind)
{
    const struct lido__option *option = lido__option_find(sample->key);
    struct lido_pool_options options = LIDO_POOL_OPTIONS_INIT;
    bool is_taken = lido__option_is_taken(option, lido__kind_find(kind));
    char url[100];

    snprintf(url, sizeof url, "fake:///x?pool=%s&%s=%s", kind, sample->key, sample->value);
    set_field(&options, sample);
    options.pool = kind;
    if (is_taken)
        return;
    expect_refused(url, NULL, LIDO_BAD_URL, kind);
    cr_assert_not_null(strstr(err.text, sample->key), "%s", err.text);
    expect_refused("fake:///x", &options, LIDO_BAD_OPTION, kind);
    cr_assert_not_null(strstr(err.text, option->field), "%s", err.text);
}

Test(open_options, a_kind_refuses_what_it_does_not_take)
{
    for (size_t i = 0; i < sizeof samples / sizeof samples[0]; i++)
        for (int k = 0; k < 5; k++)
            try_on_kind(&samples[i], kinds[k]);
    expect_refused("fake:///x?pool=static&order=any", NULL, LIDO_BAD_URL,
                   "order goes with pool=queue, and this is pool=static");
    expect_refused("fake:///x?pool=assertion&pool_use_lifo=0", NULL, LIDO_BAD_URL,
                   "pool_use_lifo");
}

Test(open_options, a_size_without_a_kind_says_which_kind_that_is)
{
    expect_refused("fake:///x?pool_size=8", NULL, LIDO_BAD_URL,
                   "pool_size goes with pool=queue or singleton_thread, and this is "
                   "pool=null, as none is named");
}

Test(open_options, the_kind_says_what_by_kind_means)
{
    static const bool same_thread[] = { true, true, true, false, true };
    static const bool keep_temp[] = { false, false, true, true, false };
    char url[100];

    for (int i = 0; i < 5; i++) {
        struct lido__pool_config config;

        snprintf(url, sizeof url, "fake:///x?pool=%s", kinds[i]);
        config = configure(url, NULL);
        cr_assert_eq(config.check_same_thread, same_thread[i], "%s", kinds[i]);
        cr_assert_eq(config.keep_temp, keep_temp[i], "%s", kinds[i]);
    }
}

Test(open_options, a_pool_that_could_have_no_connection_is_refused)
{
    expect_refused("fake:///x?pool=queue&pool_size=0&max_overflow=0", NULL, LIDO_BAD_OPTION,
                   "no connection at all");
    expect_refused("fake:///x?pool=singleton_thread&pool_size=0&strict=1", NULL,
                   LIDO_BAD_OPTION, "strict=1 leave no connection");
    configure("fake:///x?pool=singleton_thread&pool_size=0", NULL);
}

Test(open_options, min_idle_is_at_most_what_the_pool_keeps_and_opens)
{
    expect_refused("fake:///x?pool=queue&pool_size=2&min_idle=3", NULL, LIDO_BAD_OPTION,
                   "min_idle is 3, but this pool keeps 2");
    expect_refused("fake:///x?pool=queue&pool_size=0&max_overflow=2&min_idle=3", NULL,
                   LIDO_BAD_OPTION, "min_idle is 3, but this pool keeps 2");
    expect_refused("fake:///x?pool=static&min_idle=2", NULL, LIDO_BAD_OPTION, "keeps 1");
}

Test(open_options, min_idle_connections_are_opened_at_once)
{
    struct lido_pool_stats stats = LIDO_POOL_STATS_INIT;
    lido_pool *pool;

    cr_assert_eq(lido_pool_open(&pool, "fake:///x?pool=queue&min_idle=3", NULL, &err),
                 LIDO_OK, "%s", err.text);
    cr_assert_eq(lido_pool_stats(pool, &stats, &err), LIDO_OK);
    cr_assert_eq(stats.idle, 3);
    lido_pool_free(pool);
    fake_driver_fail(3, SQLITE_AUTH);
    expect_refused("fake:///x?pool=queue&min_idle=3", NULL, SQLITE_AUTH, "was told to");
    cr_assert_eq(fake_driver_open_count(), 0);
}

Test(open_options, min_idle_counts_connections_also_where_a_thread_shares_one)
{
    struct lido_pool_stats stats = LIDO_POOL_STATS_INIT;
    lido_pool *pool;

    cr_assert_eq(lido_pool_open(&pool, "fake:///x?pool=queue&min_idle=3&use_threadlocal=1",
                                NULL, &err),
                 LIDO_OK, "%s", err.text);
    cr_assert_eq(lido_pool_stats(pool, &stats, &err), LIDO_OK);
    cr_assert_eq(stats.idle, 3);
    lido_pool_free(pool);
}
