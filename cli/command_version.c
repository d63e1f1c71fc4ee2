/* SPDX-License-Identifier: MIT */
/*
 * `lido version`: which lido and which SQLite run here.
 *
 * Threads: one.
 */
#include "cli/command.h"

#include <stdio.h>

static int run(struct call *call)
{
    (void)call;
    return LIDO_OK;
}

static void text(struct call *call)
{
    (void)call;
    printf("lido %s (SQLite %s)\n", lido_version(), sqlite3_libversion());
}

static void json(struct call *call, struct json *json)
{
    (void)call;
    json_text(json, "lido", lido_version());
    json_text(json, "sqlite", sqlite3_libversion());
    json_text(json, "sqlite_source", sqlite3_sourceid());
}

const struct command command_version = {
    .name = "version",
    .summary = "print which lido and which SQLite this is",
    .operands = "",
    .help = "Prints which lido and which SQLite this is.\n"
            "\n",
    .run = run,
    .text = text,
    .json = json,
};
