/* SPDX-License-Identifier: MIT */
/*
 * Opening a pool: the URL, the options and the defaults become one configuration
 * (engine/options.h), and the pool gets its busy wait from the transactions.
 *
 * Keys that are none of lido's are the driver's; a driver that takes none of its own makes
 * them an error here.
 *
 * Threads: any.
 */
#include "base/alloc.h"
#include "engine/options.h"
#include "txn/txn.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

static bool is_queue(const struct lido__kind *kind)
{
    return kind->counts_overflow;
}

/* The kind by its name, or what SQLAlchemy 0.9.8 takes for this database. */
static int choose_kind(const struct lido_pool_options *options, const struct lido__url *url,
                       const struct lido__kind **kind, struct lido_error *err)
{
    const char *name = options->pool;
    char names[80];

    *kind = lido__kind_find(name != NULL     ? name
                            : url->is_memory ? "singleton_thread"
                                             : "null");
    if (*kind == NULL) {
        lido__kind_names(names, sizeof names);
        return lido_fail(err, LIDO_BAD_OPTION, "pool=%.40s is not known; there are: %s",
                         name, names);
    }
    if (url->is_memory && is_queue(*kind))
        return lido_fail(err, LIDO_BAD_URL,
                         "pool=queue on a memory database: each connection would have an "
                         "empty one; use pool=static (one for all), singleton_thread (one "
                         "for each thread), or sqlite:///file:/NAME?uri=1&vfs=memdb");
    return lido__options_suit(options, url, *kind, err);
}

/* Numbers that are each right but do not go together. */
static int check_numbers(const struct lido__pool_config *config, struct lido_error *err)
{
    int64_t keep = config->kind->keep(config), limit = config->kind->limit(config);

    if (limit == 0)
        return lido_fail(err, LIDO_BAD_OPTION,
                         "pool_size=0 and %s leave no connection at all",
                         is_queue(config->kind) ? "max_overflow=0" : "strict=1");
    if (limit < keep)
        keep = limit;
    if (config->min_idle > keep)
        return lido_fail(err, LIDO_BAD_OPTION, "min_idle is %lld, but this pool keeps %lld",
                         (long long)config->min_idle, (long long)keep);
    return LIDO_OK;
}

static int fail_unknown_key(const struct lido__url *url, const char *key,
                            struct lido_error *err)
{
    char keys[400];

    lido__option_write_keys(keys, sizeof keys);
    return lido_fail(
        err, LIDO_BAD_URL,
        "neither lido nor the driver %.30s knows the key %.60s; lido knows: %s",
        url->driver, key, keys);
}

static int fail_profile(const struct lido__url *url, struct lido_error *err)
{
    return lido_fail(err, LIDO_BAD_URL,
                     "profile=%.40s sets pragmas, and the driver %.30s knows none",
                     lido__url_get(url, "profile"), url->driver);
}

/* The pragmas of the profile that the URL does not set itself. */
static void add_pragmas(struct lido__pool_config *config)
{
    for (size_t i = 0; i < lido__n_server_pragmas; i++)
        if (lido__url_get(&config->url, lido__server_pragmas[i].key) == NULL)
            config->params[config->n_params++] = lido__server_pragmas[i];
}

/* The keys that are the driver's, if it takes any. */
static int take_params(struct lido__pool_config *config, struct lido_error *err)
{
    const struct lido__url *url = &config->url;
    const unsigned can = config->driver.table->capabilities;

    if (url->n_params == 0)
        return LIDO_OK;
    config->params =
        lido__new((url->n_params + lido__n_server_pragmas) * sizeof *config->params);
    if (config->params == NULL)
        return lido_fail(err, SQLITE_NOMEM, "out of memory for the keys of the URL");
    for (size_t i = 0; i < url->n_params; i++) {
        if (lido__option_find(url->params[i].key) != NULL)
            continue;
        if ((can & LIDO_DRIVER_TAKES_PARAMS) == 0)
            return fail_unknown_key(url, url->params[i].key, err);
        config->params[config->n_params++] = url->params[i];
    }
    if (!lido__has_profile(url))
        return LIDO_OK;
    if ((can & LIDO_DRIVER_TAKES_PARAMS) == 0 || (can & LIDO_DRIVER_IS_SQLITE) == 0)
        return fail_profile(url, err);
    add_pragmas(config);
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

/* All that is decided before there is a pool. */
static int configure(struct lido__pool_config *config, struct lido_pool_options *options,
                     struct lido_error *err)
{
    int rc = lido__driver_find(&config->driver, config->url.driver, err);
    bool is_sqlite;

    if (rc != LIDO_OK)
        return rc;
    is_sqlite = (config->driver.table->capabilities & LIDO_DRIVER_IS_SQLITE) != 0;
    rc = lido__options_settle(options, &config->url, is_sqlite, err);
    if (rc == LIDO_OK)
        rc = choose_kind(options, &config->url, &config->kind, err);
    if (rc != LIDO_OK)
        return rc;
    lido__options_apply(config, options);
    config->is_autocommit = is_sqlite && lido__url_is_autocommit(&config->url);
    config->is_memory = config->url.is_memory;
    config->needs_anchor = config->url.is_named_memory;
    config->busy_wait = lido__busy_wait;
    if (config->gate != LIDO_GATE_OFF)
        config->gates = &lido__gates;
    rc = lido__txn_check_mode(config->driver.table, config->begin_mode, LIDO_BAD_OPTION,
                              err);
    if (rc == LIDO_OK)
        rc = check_numbers(config, err);
    if (rc == LIDO_OK)
        rc = take_params(config, err);
    return rc == LIDO_OK ? ask_driver(config, err) : rc;
}

int lido__pool_open_url(lido_pool **out, struct lido__url *url,
                        const struct lido_pool_options *options, struct lido_error *err)
{
    struct lido_pool_options merged = LIDO_POOL_OPTIONS_INIT;
    struct lido__pool_config config = { .url = *url };
    int rc;

    *url = (struct lido__url){ 0 };
    *out = NULL;
    if (options != NULL)
        merged = *options;
    rc = configure(&config, &merged, err);
    if (rc != LIDO_OK) {
        lido__url_fini(&config.url);
        lido__free(config.params);
        return rc;
    }
    rc = lido__pool_new(out, &config, err);
    if (rc == LIDO_OK && merged.open_now)
        rc = try_it(*out, err);
    if (rc == LIDO_OK)
        rc = lido__pool_fill(*out, err);
    if (rc != LIDO_OK) {
        lido_pool_free(*out);
        *out = NULL;
    }
    return rc;
}

/* What is left of opening when the call itself is sound. */
static int open_text(lido_pool **out, const char *text,
                     const struct lido_pool_options *options, struct lido_error *err)
{
    struct lido__url url;
    int rc = lido__url_parse(&url, text, err);

    if (rc != LIDO_OK)
        return rc;
    if (lido__url_get(&url, LIDO__MANAGER_KEY) != NULL) {
        lido__url_fini(&url);
        return lido_fail(err, LIDO_BAD_URL,
                         "%s is for a manager: see lido_manager_checkout()",
                         LIDO__MANAGER_KEY);
    }
    return lido__pool_open_url(out, &url, options, err);
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
    rc = open_text(out, url, options, err);
    lido__process_leave();
    return rc;
}
