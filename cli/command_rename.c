/* SPDX-License-Identifier: MIT */
/*
 * `lido rename`: lido_table_rename(), in earnest or to see whether it would work.
 *
 * Threads: one.
 */
#include "cli/command.h"
#include "cli/open.h"

#include <stdio.h>

enum { DRY_RUN = 256 };
static const struct option options[] = {
    { "dry-run", no_argument, NULL, DRY_RUN },
    { NULL, 0, NULL, 0 },
};

static struct lido_table_rename_options wanted = LIDO_TABLE_RENAME_OPTIONS_INIT;

static int option(struct call *call, int id, const char *value)
{
    (void)call, (void)id, (void)value;
    wanted.dry_run = 1;
    return CLI_OK;
}

static int run(struct call *call)
{
    lido_pool *pool;
    int rc = open_pool(call, call->operands[0], &pool);

    if (rc != LIDO_OK)
        return rc;
    wanted.job = &call->job;
    rc = lido_table_rename(lido_at_pool(pool), call->operands[1], call->operands[2],
                           &wanted, &call->err);
    /* The file is there, and the table is not. */
    if (rc == LIDO_NOT_FOUND)
        call->answer = CLI_FAILED;
    lido_pool_free(pool);
    return rc;
}

static void text(struct call *call)
{
    command_print(call->operands[1]);
    fputs(wanted.dry_run ? ": could be renamed to " : ": renamed to ", stdout);
    command_print(call->operands[2]);
    putchar('\n');
}

static void json(struct call *call, struct json *json)
{
    json_text(json, "database", call->operands[0]);
    json_text(json, "table", call->operands[1]);
    json_text(json, "new_name", call->operands[2]);
    json_bool(json, "is_dry_run", wanted.dry_run != 0);
}

const struct command command_rename = {
    .name = "rename",
    .summary = "rename a table, and all that speaks of it",
    .operands = "DATABASE TABLE NEW",
    .least = 3,
    .most = 3,
    .help =
        "Renames a table, also in views, triggers and foreign keys. Where one of these\n"
        "does not work nothing is renamed, and the complaint names it.\n"
        "\n"
        "  --dry-run           do it and take it back: would it work?\n",
    .options = options,
    .option = option,
    .run = run,
    .text = text,
    .json = json,
};
