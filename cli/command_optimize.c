/* SPDX-License-Identifier: MIT */
/*
 * `lido optimize`: lido_optimize().
 *
 * Threads: one.
 */
#include "cli/command.h"

#include <stdio.h>

enum { ALL = 256, LIMIT };
static const struct option options[] = {
    { "all", no_argument, NULL, ALL },
    { "limit", required_argument, NULL, LIMIT },
    { NULL, 0, NULL, 0 },
};

static int what = LIDO_OPTIMIZE_NEEDED;
static int64_t limit = 400;

static int option(struct call *call, int id, const char *value)
{
    if (id == LIMIT)
        return command_integer(call, "limit", value, 0, 1000000000, &limit);
    what = LIDO_OPTIMIZE_ALL;
    return CLI_OK;
}

static int run(struct call *call)
{
    struct lido_upkeep_options upkeep = LIDO_UPKEEP_OPTIONS_INIT;

    upkeep.job = &call->job;
    upkeep.lock_timeout_ms = call->timeout_ms;
    upkeep.analysis_limit = (int)limit;
    return lido_optimize(lido_at_path(call->operands[0]), what, &upkeep, &call->err);
}

static void text(struct call *call)
{
    (void)call;
    puts("done");
}

static void json(struct call *call, struct json *json)
{
    json_text(json, "database", call->operands[0]);
    json_bool(json, "all", what == LIDO_OPTIMIZE_ALL);
    json_integer(json, "limit", limit);
}

const struct command command_optimize = {
    .name = "optimize",
    .summary = "count again what the query planner goes by",
    .operands = "DATABASE",
    .least = 1,
    .most = 1,
    .help =
        "Counts again what the query planner goes by, in the tables that need it. SQLite\n"
        "can tell which these are from 3.46 on; with an older one it is all.\n"
        "\n"
        "  --all               in all tables\n"
        "  --limit N           look at N rows of an index; 0: at all (400)\n",
    .options = options,
    .option = option,
    .run = run,
    .text = text,
    .json = json,
};
