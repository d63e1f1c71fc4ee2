/* SPDX-License-Identifier: MIT */
/*
 * The keys of the built-in driver that are no pragmas.
 *
 * All are read by lido__sqlite_read_keys(), once when a pool is opened, where every mistake is
 * told, and again by each connect, where there is none left.
 *
 * Threads: any; nothing is shared.
 */
#include "driver/file_uri.h"
#include "driver/sqlite.h"
#include "driver/url.h"

#include <limits.h>
#include <stddef.h>
#include <string.h>

typedef int (*read_fn)(struct lido__sqlite_keys *keys, const char *key, const char *value,
                       struct lido_error *err);

static int read_mode(struct lido__sqlite_keys *keys, const char *key, const char *value,
                     struct lido_error *err)
{
    static const struct {
        const char *name;
        int flags;
    } modes[] = {
        { "ro", SQLITE_OPEN_READONLY },
        { "rw", SQLITE_OPEN_READWRITE },
        { "rwc", SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE },
        { "memory", SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_MEMORY },
    };

    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++)
        if (strcmp(modes[i].name, value) == 0) {
            keys->flags = modes[i].flags;
            return LIDO_OK;
        }
    return lido_fail(err, LIDO_BAD_URL, "%s=%.40s is none of ro, rw, rwc, memory", key,
                     value);
}

static int read_create(struct lido__sqlite_keys *keys, const char *key, const char *value,
                       struct lido_error *err)
{
    keys->makes_file = true;
    if (strcmp(value, "new") != 0)
        return lido_fail(err, LIDO_BAD_URL, "%s=%.40s is not new; see also mode=rw", key,
                         value);
    return LIDO_OK;
}

static int fail_shared(struct lido_error *err)
{
    return lido_fail(err, LIDO_BAD_URL,
                     "cache=shared locks tables among its connections, and no busy wait "
                     "waits for that; to share a memory database use "
                     "sqlite:///file:/NAME?uri=1&vfs=memdb");
}

static int read_cache(struct lido__sqlite_keys *keys, const char *key, const char *value,
                      struct lido_error *err)
{
    (void)keys;
    if (strcmp(value, "private") == 0)
        return LIDO_OK;
    return strcmp(value, "shared") == 0
               ? fail_shared(err)
               : lido_fail(err, LIDO_BAD_URL, "%s=%.40s is not private", key, value);
}

static int read_vfs(struct lido__sqlite_keys *keys, const char *key, const char *value,
                    struct lido_error *err)
{
    keys->vfs = value;
    if (sqlite3_vfs_find(value) == NULL)
        return lido_fail(err, LIDO_BAD_URL, "%s=%.40s: SQLite has no VFS of this name", key,
                         value);
    return LIDO_OK;
}

static int read_isolation(struct lido__sqlite_keys *keys, const char *key,
                          const char *value, struct lido_error *err)
{
    struct lido__isolation says;

    (void)keys, (void)key;
    return lido__value_isolation(value, &says, err);
}

static int read_count(struct lido__sqlite_keys *keys, const char *key, const char *value,
                      struct lido_error *err)
{
    int64_t number;

    (void)keys;
    return lido__value_int(key, value, 0, INT_MAX, &number, err);
}

/* A key has a function, or is a truth and has a member. */
struct known {
    const char *name;
    read_fn read;
    size_t truth;
};
static const struct known known[] = {
    { "cache", read_cache, 0 },
    { "create", read_create, 0 },
    { "detect_types", read_count, 0 },
    { "dqs", NULL, offsetof(struct lido__sqlite_keys, dqs) },
    { "immutable", NULL, offsetof(struct lido__sqlite_keys, immutable) },
    { "isolation_level", read_isolation, 0 },
    { "load_extension", NULL, offsetof(struct lido__sqlite_keys, load_extension) },
    { "mode", read_mode, 0 },
    { "trusted_schema", NULL, offsetof(struct lido__sqlite_keys, trusted_schema) },
    { "uri", NULL, offsetof(struct lido__sqlite_keys, uri) },
    { "vfs", read_vfs, 0 },
};

static const struct known *find(const char *key)
{
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (strcmp(known[i].name, key) == 0)
            return &known[i];
    return NULL;
}

static int read_key(struct lido__sqlite_keys *keys, const struct lido_param *param,
                    struct lido_error *err)
{
    const struct known *key = find(param->key);

    if (key == NULL)
        return lido__pragma_is(param->key) ? lido__pragma_check(param, err) : LIDO_OK;
    if (key->read != NULL)
        return key->read(keys, param->key, param->value, err);
    return lido__value_bool(param->key, param->value, (int *)((char *)keys + key->truth),
                            err);
}

bool lido__sqlite_takes(const char *key)
{
    return find(key) != NULL || lido__pragma_is(key);
}

static int fail_unknown(const char *key, struct lido_error *err)
{
    if (strcmp(key, "busy_timeout") == 0)
        return lido_fail(err, LIDO_BAD_URL,
                         "busy_timeout: lido waits for locks itself; use timeout, in "
                         "seconds");
    return lido_fail(err, LIDO_BAD_URL,
                     "the key %.50s is not known; the driver sqlite takes: cache, "
                     "create, detect_types, dqs, immutable, "
                     "isolation_level, load_extension, mode, trusted_schema, uri, vfs, and "
                     "pragmas",
                     key);
}

/* Keys that are each right but do not go together. */
static int check_together(const struct lido__sqlite_keys *keys,
                          const struct lido_connect *how, struct lido_error *err)
{
    const char *name = how->database;
    bool is_uri = lido__is_file_uri(name);

    if (is_uri && !keys->uri)
        return lido_fail(err, LIDO_BAD_URL,
                         "%.120s is not an absolute path, and a URI only with uri=1", name);
    if (is_uri && lido__file_uri_has(name, "cache", "shared"))
        return fail_shared(err);
    if (!keys->makes_file)
        return LIDO_OK;
    if (is_uri || name[0] != '/' || (keys->flags & SQLITE_OPEN_MEMORY) != 0 ||
        (keys->vfs != NULL && strcmp(keys->vfs, "memdb") == 0))
        return lido_fail(err, LIDO_BAD_URL,
                         "create=new makes a file, and the database is %s",
                         is_uri ? "a URI" : "in memory");
    if (keys->immutable || (keys->flags & SQLITE_OPEN_READONLY) != 0)
        return lido_fail(err, LIDO_BAD_URL,
                         "create=new makes a file to write to: without %s",
                         keys->immutable ? "immutable" : "mode=ro");
    return LIDO_OK;
}

int lido__sqlite_read_keys(struct lido__sqlite_keys *out, const struct lido_connect *how,
                           struct lido_error *err)
{
    int rc = LIDO_OK;

    *out =
        (struct lido__sqlite_keys){ .flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE };
    for (size_t i = 0; rc == LIDO_OK && i < how->n_params; i++)
        rc = read_key(out, &how->params[i], err);
    /* With a URI the others are SQLite's, and uri=1 may stand behind them. */
    for (size_t i = 0; rc == LIDO_OK && i < how->n_params; i++)
        if (!lido__sqlite_takes(how->params[i].key) &&
            !(out->uri && lido__is_file_uri(how->database)))
            rc = fail_unknown(how->params[i].key, err);
    return rc == LIDO_OK ? check_together(out, how, err) : rc;
}
