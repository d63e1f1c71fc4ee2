/* SPDX-License-Identifier: MIT */
/*
 * Verdicts: which exit status each has, and its line.
 *
 * An empty file is a new database to SQLite; who checks one expects something in it, so it
 * counts as none.
 *
 * Threads: one.
 */
#include "cli/verdict.h"

#include <stdio.h>

int verdict_exit(int verdict)
{
    switch (verdict) {
    case LIDO_CHECK_SOUND: return CLI_OK;
    case LIDO_CHECK_INCOMPLETE: return CLI_FAILED;
    case LIDO_CHECK_TRUNCATED:
    case LIDO_CHECK_MALFORMED:
    case LIDO_CHECK_FOREIGN_KEYS: return CLI_PROBLEMS;
    case LIDO_CHECK_LOCKED:
    case LIDO_CHECK_NEEDS_RECOVERY: return CLI_BUSY;
    default: return CLI_NO_DATABASE;
    }
}

void verdict_print(const char *path, const struct lido_check *check)
{
    command_print(path);
    printf(": %s", lido_check_name(check->verdict));
    if (check->text[0] != '\0') {
        fputs(": ", stdout);
        command_print(check->text);
    }
    putchar('\n');
}

void verdict_json(struct json *json, const char *path, const struct lido_check *check)
{
    json_text(json, "path", path);
    json_text(json, "verdict", lido_check_name(check->verdict));
    json_text(json, "reason", check->text[0] != '\0' ? check->text : NULL);
}
