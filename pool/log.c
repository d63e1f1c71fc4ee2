/* SPDX-License-Identifier: MIT */
/*
 * One line to the host's log callback.
 *
 * Threads: any, with no lock held.
 */
#include "base/text.h"
#include "pool/pool.h"

#include <stdarg.h>
#include <stdio.h>

void lido__log(lido_pool *pool, int level, const char *format, ...)
{
    char line[512];
    va_list arguments;
    int length;

    if (!lido__logs(pool, level))
        return;
    va_start(arguments, format);
    length = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    lido__text_tidy(line, length >= (int)sizeof line);
    lido__assert_unlocked();
    pool->config.log(pool->config.log_ctx, level, line);
}
