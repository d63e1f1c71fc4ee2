/* SPDX-License-Identifier: MIT */
/*
 * `lido vacuum`: lido_vacuum() or lido_vacuum_some(), and what it brought.
 *
 * Threads: one.
 */
#include "cli/command.h"
#include "report/units.h"

#include <stdio.h>
#include <string.h>

enum { INCREMENTAL = 256 };
static const struct option options[] = {
    { "incremental", required_argument, NULL, INCREMENTAL },
    { NULL, 0, NULL, 0 },
};

static int64_t pages; /* --incremental; 0: all of the database */
static struct lido_vacuum_report report = LIDO_VACUUM_REPORT_INIT;

static int option(struct call *call, int id, const char *value)
{
    (void)id;
    if (strcmp(value, "all") == 0) {
        pages = -1;
        return CLI_OK;
    }
    return command_integer(call, "incremental", value, 1, INT64_C(4294967294), &pages);
}

static int run(struct call *call)
{
    struct lido_upkeep_options upkeep = LIDO_UPKEEP_OPTIONS_INIT;
    const struct lido_database at = lido_at_path(call->operands[0]);

    upkeep.job = &call->job;
    upkeep.lock_timeout_ms = call->timeout_ms;
    return pages == 0 ? lido_vacuum(at, &report, &upkeep, &call->err)
                      : lido_vacuum_some(at, pages, &report, &upkeep, &call->err);
}

static void text(struct call *call)
{
    const int64_t given = report.pages_before - report.pages_after;

    (void)call;
    printf("%s pages, %s before: %s %s\n", units_count(report.pages_after).text,
           units_count(report.pages_before).text,
           units_bytes((given < 0 ? -given : given) * report.page_size).text,
           given < 0 ? "more" : "given back");
}

static void json(struct call *call, struct json *json)
{
    (void)call;
    json_integer(json, "page_size", report.page_size);
    json_integer(json, "pages_before", report.pages_before);
    json_integer(json, "pages_after", report.pages_after);
    json_integer(json, "free_before", report.free_before);
    json_integer(json, "free_after", report.free_after);
}

const struct command command_vacuum = {
    .name = "vacuum",
    .summary = "give the free pages of a database back",
    .operands = "DATABASE",
    .least = 1,
    .most = 1,
    .help =
        "Writes the database anew without free pages. It takes room for up to twice its\n"
        "size, and nobody can write meanwhile.\n"
        "\n"
        "  --incremental N     give up to N free pages back instead, or 'all', which a\n"
        "                      database with auto_vacuum=incremental can\n",
    .options = options,
    .option = option,
    .run = run,
    .text = text,
    .json = json,
};
