/* SPDX-License-Identifier: MIT */
/*
 * `lido check`: lido_check(), its verdict and the problems it found.
 *
 * Threads: one.
 */
#include "cli/command.h"
#include "cli/verdict.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HEADER = 256, QUICK, FULL, FOREIGN_KEYS, MOST };
static const struct option options[] = {
    { "header", no_argument, NULL, HEADER },
    { "quick", no_argument, NULL, QUICK },
    { "full", no_argument, NULL, FULL },
    { "foreign-keys", no_argument, NULL, FOREIGN_KEYS },
    { "most", required_argument, NULL, MOST },
    { NULL, 0, NULL, 0 },
};

static struct lido_check_options wanted = LIDO_CHECK_OPTIONS_INIT;
static struct lido_check found = LIDO_CHECK_INIT;
static bool is_depth_said;
static char **problems;
static size_t n, room;

static int say_depth(struct call *call, int depth)
{
    if (is_depth_said && depth != wanted.depth) {
        cli_complain("%s: --header, --quick and --full exclude each other; see 'lido help "
                     "%s'",
                     call->command->name, call->command->name);
        return CLI_USAGE;
    }
    is_depth_said = true;
    wanted.depth = depth;
    return CLI_OK;
}

static int option(struct call *call, int id, const char *value)
{
    int64_t most;
    int rc;

    switch (id) {
    case HEADER: return say_depth(call, LIDO_DEPTH_HEADER);
    case QUICK: return say_depth(call, LIDO_DEPTH_QUICK);
    case FULL: return say_depth(call, LIDO_DEPTH_FULL);
    case FOREIGN_KEYS: wanted.foreign_keys = 1; return CLI_OK;
    default:
        rc = command_integer(call, "most", value, 1, 1000000, &most);
        wanted.max_problems = (int)most;
        return rc;
    }
}

static int keep(void *ctx, const char *text, struct lido_error *err)
{
    (void)ctx;
    if (n == room) {
        const size_t more = room == 0 ? 64 : room * 2;
        char **all = realloc(problems, more * sizeof *all);

        if (all == NULL)
            return lido_fail(err, SQLITE_NOMEM, "no memory for the problems");
        problems = all;
        room = more;
    }
    problems[n] = strdup(text);
    if (problems[n] == NULL)
        return lido_fail(err, SQLITE_NOMEM, "no memory for the problems");
    n++;
    return LIDO_OK;
}

static void forget(void)
{
    for (size_t i = 0; i < n; i++)
        free(problems[i]);
    free(problems);
}

static int run(struct call *call)
{
    int rc;

    if (wanted.foreign_keys && wanted.depth == LIDO_DEPTH_HEADER)
        return lido_fail(&call->err, LIDO_BAD_OPTION,
                         "--foreign-keys reads the tables, and --header does not");
    wanted.lock_timeout_ms = call->timeout_ms;
    wanted.problem = keep;
    wanted.job = &call->job;
    rc = lido_check(lido_at_path(call->operands[0]), &wanted, &found, &call->err);
    if (rc != LIDO_OK) {
        forget();
        return rc;
    }
    call->answer = verdict_exit(found.verdict);
    if (call->is_quiet)
        forget();
    return LIDO_OK;
}

static void text(struct call *call)
{
    verdict_print(call->operands[0], &found);
    /* The line above has said the first one: it is told again only at the head of others. */
    for (size_t i = n == 1 && strcmp(problems[0], found.text) == 0; i < n; i++) {
        fputs("  ", stdout);
        command_print(problems[i]);
        putchar('\n');
    }
    if (found.has_more)
        printf("  and there is more: --most tells how many are told\n");
    forget();
}

static void json(struct call *call, struct json *json)
{
    static const char *const depths[] = { "header", "schema", "quick", "full" };

    verdict_json(json, call->operands[0], &found);
    json_text(json, "depth", depths[wanted.depth]);
    json_bool(json, "foreign_keys", wanted.foreign_keys != 0);
    json_array(json, "problems");
    for (size_t i = 0; i < n; i++)
        json_text(json, NULL, problems[i]);
    json_close(json);
    json_bool(json, "has_more", found.has_more != 0);
    forget();
}

const struct command command_check = {
    .name = "check",
    .summary = "tell whether a database is sound",
    .operands = "DATABASE",
    .least = 1,
    .most = 1,
    .help =
        "Tells whether a database is sound, and what is wrong with it. Nothing in it or\n"
        "beside it changes, and nothing is recovered. Without an option the header and "
        "the\n"
        "schema are read. An empty file counts as no database; where a part could not be\n"
        "checked the exit status is 1.\n"
        "\n"
        "  --header            read the first 100 bytes only\n"
        "  --quick             read all pages too, but do not compare indexes with tables\n"
        "  --full              read everything\n"
        "  --foreign-keys      look for rows that refer to rows that are not there, too\n"
        "  --most N            tell at most so many problems (100)\n",
    .options = options,
    .option = option,
    .run = run,
    .text = text,
    .json = json,
};
