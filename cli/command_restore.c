/* SPDX-License-Identifier: MIT */
/*
 * `lido restore`: lido_restore() of one file into another.
 *
 * Threads: one.
 */
#include "cli/command.h"
#include "cli/open.h"

#include <stdio.h>

enum { NO_CHECK = 256 };
static const struct option options[] = {
    { "no-check", no_argument, NULL, NO_CHECK },
    { NULL, 0, NULL, 0 },
};

static struct lido_restore_options wanted = LIDO_RESTORE_OPTIONS_INIT;

static int option(struct call *call, int id, const char *value)
{
    (void)call, (void)id, (void)value;
    wanted.check = 0;
    return CLI_OK;
}

static int run(struct call *call)
{
    lido_pool *pool;
    int rc = open_pool(call, call->operands[1], &pool);

    if (rc != LIDO_OK)
        return rc;
    wanted.job = &call->job;
    rc = lido_restore(lido_at_pool(pool), call->operands[0], &wanted, &call->err);
    lido_pool_free(pool);
    return open_advise_which(call, call->operands[0], call->operands[1], rc);
}

static void text(struct call *call)
{
    command_print(call->operands[1]);
    fputs(": holds what is in ", stdout);
    command_print(call->operands[0]);
    putchar('\n');
}

static void json(struct call *call, struct json *json)
{
    json_text(json, "from", call->operands[0]);
    json_text(json, "into", call->operands[1]);
    json_bool(json, "is_checked", wanted.check != 0);
}

const struct command command_restore = {
    .name = "restore",
    .summary = "put a backup in place of all content",
    .operands = "FROM INTO",
    .least = 2,
    .most = 2,
    .help =
        "Replaces all content of the database INTO by that of the file FROM, in one\n"
        "transaction: who has INTO open sees the old content and then the new. INTO has "
        "to\n"
        "exist, with the encoding of FROM and, with a write-ahead log, the page size; to "
        "make\n"
        "a new file take 'lido backup FROM INTO'.\n"
        "\n"
        "  --no-check          do not read FROM before\n",
    .options = options,
    .option = option,
    .run = run,
    .text = text,
    .json = json,
};
