/* SPDX-License-Identifier: MIT */
/*
 * `lido checkpoint`: lido_checkpoint(), and 4 where others kept it from its end.
 *
 * Threads: one.
 */
#include "cli/command.h"
#include "report/units.h"

#include <stdio.h>
#include <string.h>

enum { MODE = 256 };
static const struct option options[] = {
    { "mode", required_argument, NULL, MODE },
    { NULL, 0, NULL, 0 },
};

static const char *const modes[] = {
    [SQLITE_CHECKPOINT_PASSIVE] = "passive",
    [SQLITE_CHECKPOINT_FULL] = "full",
    [SQLITE_CHECKPOINT_RESTART] = "restart",
    [SQLITE_CHECKPOINT_TRUNCATE] = "truncate",
};

static int mode = SQLITE_CHECKPOINT_PASSIVE;
static struct lido_checkpoint_report report = LIDO_CHECKPOINT_REPORT_INIT;

static int option(struct call *call, int id, const char *value)
{
    (void)id;
    for (mode = 0; mode <= SQLITE_CHECKPOINT_TRUNCATE; mode++)
        if (strcmp(value, modes[mode]) == 0)
            return CLI_OK;
    return command_refuse(call, "mode", "passive, full, restart or truncate", value);
}

static int run(struct call *call)
{
    struct lido_upkeep_options upkeep = LIDO_UPKEEP_OPTIONS_INIT;
    int rc;

    upkeep.job = &call->job;
    upkeep.lock_timeout_ms = call->timeout_ms;
    rc = lido_checkpoint(lido_at_path(call->operands[0]), mode, &report, &upkeep,
                         &call->err);
    if (rc == LIDO_OK && report.is_busy)
        call->answer = CLI_BUSY;
    return rc;
}

static void text(struct call *call)
{
    (void)call;
    if (!report.is_wal)
        puts("the database has no write-ahead log");
    else if (report.frames == 0 && !report.is_busy)
        puts("the write-ahead log is empty");
    else
        printf("%s of %s pages of the log are in the database%s\n",
               units_count(report.checkpointed).text, units_count(report.frames).text,
               report.is_busy ? "; others use the rest" : "");
}

static void json(struct call *call, struct json *json)
{
    (void)call;
    json_text(json, "mode", modes[mode]);
    json_bool(json, "is_wal", report.is_wal);
    json_bool(json, "is_busy", report.is_busy);
    json_integer(json, "frames", report.frames);
    json_integer(json, "checkpointed", report.checkpointed);
}

const struct command command_checkpoint = {
    .name = "checkpoint",
    .summary = "write the write-ahead log into the database",
    .operands = "DATABASE",
    .least = 1,
    .most = 1,
    .help =
        "Writes the write-ahead log into the database, and answers 4 if others kept it\n"
        "from doing all that was asked for. If nobody else has the database open the\n"
        "log is gone afterwards.\n"
        "\n"
        "  --mode MODE         passive: what is possible without a wait; full: wait for\n"
        "                      writers and old readers; restart: for all readers;\n"
        "                      truncate: and make the log empty (passive)\n",
    .options = options,
    .option = option,
    .run = run,
    .text = text,
    .json = json,
};
