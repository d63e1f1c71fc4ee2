/* SPDX-License-Identifier: MIT */
/*
 * The kinds of pool.  What makes one is how many connections there may be at one time, how
 * many are kept idle, and who shares one.  Everything else is the same for all.
 *
 *     null                no bound, keeps none
 *     queue               pool_size + max_overflow, keeps pool_size.  A pool_size of 0 keeps
 *                         all and is bounded by max_overflow alone, as in SQLAlchemy 1.4
 *     singleton_thread    one per thread, which keeps its own.  pool_size bounds the idle
 *                         ones, and with `strict` all
 *     static              one, shared by all
 *     assertion           one, and nobody waits for it
 *
 * Threads: any; nothing here changes.
 */
#include "pool/pool.h"

#include <stdio.h>
#include <string.h>

static int64_t unbound(const struct lido__pool_config *config)
{
    (void)config;
    return LIDO__UNBOUND;
}

static int64_t none(const struct lido__pool_config *config)
{
    (void)config;
    return 0;
}

static int64_t one(const struct lido__pool_config *config)
{
    (void)config;
    return 1;
}

static int64_t pool_size(const struct lido__pool_config *config)
{
    return config->pool_size;
}

static int64_t queue_limit(const struct lido__pool_config *config)
{
    if (config->max_overflow == LIDO__UNBOUND)
        return LIDO__UNBOUND;
    return config->pool_size + config->max_overflow;
}

static int64_t queue_keep(const struct lido__pool_config *config)
{
    return config->pool_size != 0 ? config->pool_size : LIDO__UNBOUND;
}

static int64_t thread_limit(const struct lido__pool_config *config)
{
    return config->strict ? config->pool_size : LIDO__UNBOUND;
}

static const struct lido__kind kinds[] = {
    {
        .name = "null",
        .status = "NullPool",
        .disposes_only_idle = true,
        .waits = true,
        .limit = unbound,
        .keep = none,
    },
    {
        .name = "queue",
        .counts_overflow = true,
        .has_writer = true,
        .disposes_only_idle = true,
        .waits = true,
        .limit = queue_limit,
        .keep = queue_keep,
    },
    {
        .name = "singleton_thread",
        .sharing = LIDO__SHARE_THREAD,
        .binds = true,
        .limit = thread_limit,
        .keep = pool_size,
    },
    {
        .name = "static",
        .status = "StaticPool",
        .sharing = LIDO__SHARE_ALL,
        .waits = true,
        .limit = one,
        .keep = one,
    },
    {
        .name = "assertion",
        .status = "AssertionPool",
        .asserts = true,
        .limit = one,
        .keep = one,
    },
};

const struct lido__kind *lido__kind_find(const char *name)
{
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (strcmp(kinds[i].name, name) == 0)
            return &kinds[i];
    return NULL;
}

void lido__kind_names(char *text, size_t size)
{
    size_t used = 0;

    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0] && used < size; i++)
        used += (size_t)snprintf(text + used, size - used, "%s%s", i > 0 ? ", " : "",
                                 kinds[i].name);
}
