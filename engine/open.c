/* SPDX-License-Identifier: MIT */
/*
 * Opening a pool: the URL, the options and the defaults become one configuration, and the
 * pool gets its busy wait from the transactions.
 *
 * A field that is not at its default beats the key of the same name.  Keys that are none of
 * lido's are the driver's; a driver that takes none of its own makes them an error here.
 *
 * Threads: any.
 */
#include "base/alloc.h"
#include "pool/pool.h"
#include "txn/txn.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

/* The keys of lido itself; all others are the driver's. */
static const char *const known_keys[] = {
    "begin", "check_same_thread", "max_overflow", "open_now", "order",
    "pool",  "pool_size",         "pool_timeout", "timeout",
};

static bool is_known(const char *key)
{
    for (size_t i = 0; i < sizeof known_keys / sizeof known_keys[0]; i++)
        if (strcmp(known_keys[i], key) == 0)
            return true;
    return false;
}

static int read_begin(const struct lido__url *url, int *mode, struct lido_error *err)
{
    static const struct {
        const char *name;
        int mode;
    } modes[] = {
        { "deferred", LIDO_DEFERRED },
        { "immediate", LIDO_IMMEDIATE },
        { "exclusive", LIDO_EXCLUSIVE },
    };
    const char *text = lido__url_get(url, "begin");

    if (text == NULL)
        return LIDO_OK;
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++)
        if (strcmp(modes[i].name, text) == 0) {
            *mode = modes[i].mode;
            return LIDO_OK;
        }
    return lido_fail(err, LIDO_BAD_URL,
                     "begin=%.40s is none of deferred, immediate, exclusive", text);
}

/* What the URL says, where the field of the same name is at its default. */
static int take_url(struct lido_pool_options *options, const struct lido__url *url,
                    struct lido_error *err)
{
    static const struct lido_pool_options defaults = LIDO_POOL_OPTIONS_INIT;
    struct lido_pool_options told = defaults;
    int rc = read_begin(url, &told.begin_mode, err);

    if (rc == LIDO_OK)
        rc = lido__url_int(url, "pool_size", 0, &told.pool_size, err);
    if (rc == LIDO_OK)
        rc = lido__url_int(url, "max_overflow", -1, &told.max_overflow, err);
    if (rc == LIDO_OK)
        rc = lido__url_seconds(url, "pool_timeout", &told.pool_timeout_ms, err);
    if (rc == LIDO_OK)
        rc = lido__url_seconds(url, "timeout", &told.timeout_ms, err);
    if (rc == LIDO_OK)
        rc = lido__url_bool(url, "check_same_thread", &told.check_same_thread, err);
    if (rc == LIDO_OK)
        rc = lido__url_bool(url, "open_now", &told.open_now, err);
    if (rc != LIDO_OK)
        return rc;
    told.pool = lido__url_get(url, "pool");
    told.order = lido__url_get(url, "order");

#define TAKE(field)                                                                        \
    if (options->field == defaults.field)                                                  \
    options->field = told.field
    TAKE(pool);
    TAKE(order);
    TAKE(pool_size);
    TAKE(max_overflow);
    TAKE(pool_timeout_ms);
    TAKE(timeout_ms);
    TAKE(check_same_thread);
    TAKE(begin_mode);
    TAKE(open_now);
#undef TAKE
    return LIDO_OK;
}

static int check_range(const char *name, int64_t value, int64_t least,
                       struct lido_error *err)
{
    if (value >= least)
        return LIDO_OK;
    return lido_fail(err, LIDO_BAD_OPTION, "%s is %lld, the least is %lld", name,
                     (long long)value, (long long)least);
}

static int check_options(const struct lido_pool_options *options, struct lido_error *err)
{
    int rc = check_range("pool_size", options->pool_size, 0, err);

    if (rc == LIDO_OK)
        rc = check_range("max_overflow", options->max_overflow, -1, err);
    if (rc == LIDO_OK)
        rc = check_range("pool_timeout_ms", options->pool_timeout_ms, -1, err);
    if (rc == LIDO_OK)
        rc = check_range("timeout_ms", options->timeout_ms, -1, err);
    if (rc != LIDO_OK)
        return rc;
    if (options->begin_mode < LIDO_DEFERRED || options->begin_mode > LIDO_EXCLUSIVE)
        return lido_fail(err, LIDO_BAD_OPTION, "begin_mode is %d, which is no mode",
                         options->begin_mode);
    if (options->order != NULL && strcmp(options->order, "any") != 0 &&
        strcmp(options->order, "fifo") != 0 && strcmp(options->order, "lifo") != 0)
        return lido_fail(err, LIDO_BAD_OPTION, "order=%.40s is not known; there is: any",
                         options->order);
    if (options->clock != NULL &&
        (options->clock->size != sizeof *options->clock || options->clock->age_ns == NULL ||
         options->clock->wait_ns == NULL))
        return lido_fail(err, LIDO_BAD_OPTION, "the clock lacks its size or a function");
    return LIDO_OK;
}

/* The kind by its name, or what SQLAlchemy 0.9.8 takes for this database. */
static int choose_kind(const struct lido_pool_options *options, const struct lido__url *url,
                       const struct lido__kind **kind, struct lido_error *err)
{
    bool is_memory = strcmp(url->database, ":memory:") == 0;
    const char *name = options->pool;
    char names[80];

    *kind = lido__kind_find(name != NULL ? name : is_memory ? "singleton_thread" : "null");
    if (*kind == NULL) {
        lido__kind_names(names, sizeof names);
        return lido_fail(err, LIDO_BAD_OPTION, "pool=%.40s is not known; there are: %s",
                         name, names);
    }
    if (is_memory && strcmp((*kind)->name, "queue") == 0)
        return lido_fail(err, LIDO_BAD_URL,
                         "a queue on :memory: would give every connection "
                         "an empty database of its own: name a file");
    if (strcmp((*kind)->name, "queue") == 0 && options->pool_size == 0 &&
        options->max_overflow == 0)
        return lido_fail(err, LIDO_BAD_OPTION,
                         "pool_size=0 and max_overflow=0 leave no connection at all");
    return LIDO_OK;
}

/* The keys that are the driver's, if it takes any. */
static int take_params(struct lido__pool_config *config, struct lido_error *err)
{
    const struct lido__url *url = &config->url;
    bool takes = (config->driver.table->capabilities & LIDO_DRIVER_TAKES_PARAMS) != 0;

    if (url->n_params == 0)
        return LIDO_OK;
    config->params = lido__new(url->n_params * sizeof *config->params);
    if (config->params == NULL)
        return lido_fail(err, SQLITE_NOMEM, "out of memory for the keys of the URL");
    for (size_t i = 0; i < url->n_params; i++) {
        if (is_known(url->params[i].key))
            continue;
        if (!takes)
            return lido_fail(err, LIDO_BAD_URL,
                             "neither lido nor the driver %s knows the key %.60s",
                             url->driver, url->params[i].key);
        config->params[config->n_params++] = url->params[i];
    }
    return LIDO_OK;
}

/* How the driver will be asked to connect; `check` sees it before a pool exists. */
static int ask_driver(const struct lido__pool_config *config, struct lido_error *err)
{
    const struct lido__driver *driver = &config->driver;
    struct lido_connect how = lido__connect_of(config);

    return driver->table->check != NULL ? driver->table->check(driver->ctx, &how, err)
                                        : LIDO_OK;
}

static void take_options(struct lido__pool_config *config,
                         const struct lido_pool_options *options)
{
    config->pool_size = options->pool_size;
    config->max_overflow =
        options->max_overflow == -1 ? LIDO__UNBOUND : options->max_overflow;
    config->pool_timeout_ms = options->pool_timeout_ms;
    config->timeout_ms = options->timeout_ms;
    config->check_same_thread = options->check_same_thread != 0;
    if (options->check_same_thread == LIDO_BY_KIND)
        config->check_same_thread = strcmp(config->kind->name, "static") != 0;
    config->order = options->order == NULL || strcmp(options->order, "any") == 0
                        ? LIDO__ORDER_ANY
                    : strcmp(options->order, "fifo") == 0 ? LIDO__ORDER_FIFO
                                                          : LIDO__ORDER_LIFO;
    config->is_memory = strcmp(config->url.database, ":memory:") == 0;
    config->keep_temp = options->keep_temp == 1;
    if (options->keep_temp == LIDO_BY_KIND)
        config->keep_temp = strcmp(config->kind->name, "static") == 0 ||
                            strcmp(config->kind->name, "singleton_thread") == 0;
    config->use_threadlocal = options->use_threadlocal;
    config->strict = options->strict;
    config->shared_transaction = options->shared_transaction;
    config->pre_ping = options->pool_pre_ping;
    config->reset_on_return = options->pool_reset_on_return;
    config->recycle_ms = options->pool_recycle_ms;
    config->recycle_jitter_ms = options->pool_recycle_jitter_ms;
    config->recycle_spacing_ms = options->pool_recycle_spacing_ms;
    config->min_idle = options->min_idle;
    config->idle_timeout_ms = options->idle_timeout_ms;
    config->key = options->key;
    config->key_ctx = options->key_ctx;
    config->begin_mode = options->begin_mode;
    config->busy_wait = lido__busy_wait;
    config->log = options->log;
    config->log_ctx = options->log_ctx;
    config->log_level = options->log_level;
    config->clock = options->clock;
}

/* `open_now`: a connection is opened, looked at, and checked in. */
static int try_it(lido_pool *pool, struct lido_error *err)
{
    const struct lido__driver *driver = &pool->config.driver;
    struct lido_conn conn;
    int rc = lido_pool_checkout_at(pool, &conn, NULL, NULL, 0, err), checkin_rc;

    if (rc != LIDO_OK)
        return rc;
    if (driver->table->ping != NULL)
        rc = driver->table->ping(driver->ctx, lido_conn_handle(&conn), err);
    checkin_rc = lido_conn_checkin(&conn, NULL, rc == LIDO_OK ? err : NULL);
    return rc != LIDO_OK ? rc : checkin_rc;
}

static int check_call(const lido_pool *const *out, const char *url,
                      const struct lido_pool_options *options, int header_version,
                      struct lido_error *err)
{
    if (out == NULL || url == NULL)
        return lido_fail(err, SQLITE_MISUSE, "no URL, or nowhere to put the pool");
    if (header_version / 1000 != LIDO_VERSION_NUMBER / 1000)
        return lido_fail(err, LIDO_VERSION_MISMATCH,
                         "compiled with the header of lido %d.%d.%d, but %s runs",
                         header_version / 1000000, header_version / 1000 % 1000,
                         header_version % 1000, LIDO_VERSION);
    if (options != NULL && options->size != sizeof *options)
        return lido_fail(err, SQLITE_MISUSE,
                         "pool options of %zu bytes, not %zu: start from "
                         "LIDO_POOL_OPTIONS_INIT",
                         options->size, sizeof *options);
    return LIDO_OK;
}

/* What is left of opening when the call itself is sound. */
static int open_url(lido_pool **out, const char *url,
                    const struct lido_pool_options *options, struct lido_error *err)
{
    struct lido_pool_options merged = LIDO_POOL_OPTIONS_INIT;
    struct lido__pool_config config = { .kind = NULL };
    int rc;

    if (options != NULL)
        merged = *options;
    rc = lido__url_parse(&config.url, url, err);
    if (rc == LIDO_OK)
        rc = lido__driver_find(&config.driver, config.url.driver, err);
    if (rc == LIDO_OK)
        rc = take_url(&merged, &config.url, err);
    if (rc == LIDO_OK)
        rc = check_options(&merged, err);
    if (rc == LIDO_OK)
        rc = choose_kind(&merged, &config.url, &config.kind, err);
    if (rc == LIDO_OK)
        rc = take_params(&config, err);
    if (rc == LIDO_OK)
        rc = ask_driver(&config, err);
    if (rc != LIDO_OK) {
        lido__url_fini(&config.url);
        lido__free(config.params);
        return rc;
    }
    take_options(&config, &merged);
    rc = lido__pool_new(out, &config, err);
    if (rc == LIDO_OK && merged.open_now)
        rc = try_it(*out, err);
    if (rc != LIDO_OK) {
        lido_pool_free(*out);
        *out = NULL;
    }
    return rc;
}

int lido_pool_open_version(lido_pool **out, const char *url,
                           const struct lido_pool_options *options, int header_version,
                           struct lido_error *err)
{
    int rc;

    if (out != NULL)
        *out = NULL;
    rc = check_call((const lido_pool *const *)out, url, options, header_version, err);
    if (rc != LIDO_OK)
        return rc;
    assert(out != NULL);
    /* Before the first allocation: SQLite's allocator has a lock, which another thread may
       have held when this process was forked.  The pool enters once more for itself. */
    rc = lido__process_enter(err);
    if (rc != LIDO_OK)
        return rc;
    rc = open_url(out, url, options, err);
    lido__process_leave();
    return rc;
}
