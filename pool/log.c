/* SPDX-License-Identifier: MIT */
/*
 * One line to the host's log callback.
 *
 * Threads: any, with no lock held.
 */
#include "pool/pool.h"

#include <stdarg.h>
#include <stdio.h>

void lido__log(lido_pool *pool, int level, const char *format, ...)
{
    char line[512];
    va_list arguments;

    if (!lido__logs(pool, level))
        return;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    lido__assert_unlocked();
    pool->config.log(pool->config.log_ctx, level, line);
}
