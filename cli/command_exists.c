/* SPDX-License-Identifier: MIT */
/*
 * `lido exists`: what is at a path, by lido_file_look(), and of a file, by the header that
 * lido_check() reads, whether it is a database.
 *
 * Threads: one.
 */
#include "cli/command.h"
#include "report/units.h"

#include <stdio.h>

static struct lido_file file = LIDO_FILE_INIT;
static struct lido_check header = LIDO_CHECK_INIT;

static int run(struct call *call)
{
    struct lido_check_options options = LIDO_CHECK_OPTIONS_INIT;
    const char *path = call->operands[0];
    int rc = lido_file_look(path, &file, &call->err);

    if (rc != LIDO_OK)
        return rc;
    if (file.kind != LIDO_FILE_REGULAR) {
        call->answer = CLI_NO_DATABASE;
        return LIDO_OK;
    }
    options.depth = LIDO_DEPTH_HEADER;
    options.lock_timeout_ms = 0; /* one that is locked is there too */
    options.job = &call->job;
    return lido_check(lido_at_path(path), &options, &header, &call->err);
}

static const char *kind(void)
{
    if (file.kind != LIDO_FILE_REGULAR)
        return lido_file_kind_name(file.kind);
    switch (header.verdict) {
    case LIDO_CHECK_EMPTY: return "an empty file";
    case LIDO_CHECK_NOT_SQLITE:
    case LIDO_CHECK_ENCRYPTED:
    case LIDO_CHECK_MISSING:
    case LIDO_CHECK_UNREADABLE: return "a file, but no database to be read";
    default: return "a database";
    }
}

static void say_beside(const char *name, const struct lido_beside *beside)
{
    if (beside->is_there)
        printf(", %s %s", name, units_bytes(beside->bytes).text);
}

static void text(struct call *call)
{
    command_print(call->operands[0]);
    printf(": %s%s", kind(),
           file.is_link && file.kind != LIDO_FILE_BROKEN_LINK ? ", by a link" : "");
    if (file.kind == LIDO_FILE_REGULAR)
        printf(", %s", units_bytes(file.bytes).text);
    say_beside("-wal", &file.wal);
    say_beside("-shm", &file.shm);
    say_beside("-journal", &file.journal);
    putchar('\n');
}

static void put_beside(struct json *json, const char *key, const struct lido_beside *beside)
{
    if (beside->is_there)
        json_integer(json, key, beside->bytes);
    else
        json_text(json, key, NULL);
}

static void json(struct call *call, struct json *json)
{
    const bool is_file = file.kind == LIDO_FILE_REGULAR;

    json_text(json, "path", call->operands[0]);
    json_text(json, "kind", lido_file_kind_name(file.kind));
    json_text(json, "header", is_file ? lido_check_name(header.verdict) : NULL);
    json_bool(json, "is_file", is_file);
    json_bool(json, "is_link", file.is_link != 0);
    json_integer(json, "bytes", file.bytes);
    put_beside(json, "wal_bytes", &file.wal);
    put_beside(json, "shm_bytes", &file.shm);
    put_beside(json, "journal_bytes", &file.journal);
}

const struct command command_exists = {
    .name = "exists",
    .summary = "tell what is at a path",
    .operands = "PATH",
    .least = 1,
    .most = 1,
    .help =
        "Tells what is at a path, and of a file whether it is a database. The exit status\n"
        "is 0 if it is a file that may be read, and 5 if there is nothing or something\n"
        "else. Nothing in it or beside it changes.\n"
        "\n",
    .run = run,
    .text = text,
    .json = json,
};
