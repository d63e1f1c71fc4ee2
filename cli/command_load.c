/* SPDX-License-Identifier: MIT */
/*
 * `lido load`: lido_load() of a file or of stdin.  A database that is made has its name when
 * all of the text is in it.
 *
 * Threads: one.
 */
#include "cli/command.h"
#include "cli/fresh.h"
#include "cli/open.h"
#include "cli/stream.h"
#include "report/units.h"

#include <stdio.h>

enum { CREATE = 256 };
static const struct option options[] = {
    { "create", no_argument, NULL, CREATE },
    { NULL, 0, NULL, 0 },
};

static bool may_create;
static struct stream in;
static struct lido_load_result loaded = LIDO_LOAD_RESULT_INIT;

static int option(struct call *call, int id, const char *value)
{
    (void)call, (void)id, (void)value;
    may_create = true;
    return CLI_OK;
}

static int get(void *ctx, char *buffer, size_t size, size_t *length, struct lido_error *err)
{
    (void)ctx;
    return stream_read(&in, buffer, size, length, err);
}

static int load(struct call *call, const char *path)
{
    struct lido_load_options wanted = LIDO_LOAD_OPTIONS_INIT;
    lido_pool *pool;
    int rc = open_pool(call, path, &pool);

    if (rc != LIDO_OK)
        return rc;
    wanted.job = &call->job;
    wanted.may_create = 0;
    wanted.text_bytes = in.size;
    rc = lido_load(lido_at_pool(pool), &wanted, get, NULL, &loaded, &call->err);
    lido_pool_free(pool);
    return rc;
}

static int run(struct call *call)
{
    const char *path = call->operands[0];
    const char *from = call->n_operands > 1 ? call->operands[1] : NULL;
    struct lido_file before = LIDO_FILE_INIT;
    int rc = lido_file_look(path, &before, &call->err);

    if (rc != LIDO_OK)
        return rc;
    if (before.kind == LIDO_FILE_MISSING && !may_create)
        return lido_fail(&call->err, LIDO_NOT_FOUND,
                         "%.150s: No such file or directory; --create makes it", path);
    rc = stream_read_from(&in, call, from, path);
    if (rc != LIDO_OK) {
        call->answer = CLI_FAILED; /* and not what a database that is missing answers */
    } else if (before.kind != LIDO_FILE_MISSING) {
        rc = load(call, path);
    } else {
        struct fresh fresh;

        rc = fresh_make(&fresh, path, &call->err);
        if (rc == LIDO_OK)
            rc = load(call, fresh.temporary);
        if (rc == LIDO_OK)
            rc = fresh_keep(&fresh, &call->err);
        if ((rc & 0xff) == SQLITE_CANTOPEN)
            call->answer = CLI_FAILED; /* there is none yet that could be no database */
        fresh_end(&fresh);
    }
    stream_end(&in);
    return rc;
}

static void text(struct call *call)
{
    command_print(call->operands[0]);
    printf(": %s %s, ", units_count((int64_t)loaded.statements).text,
           loaded.statements == 1 ? "statement" : "statements");
    printf("%s\n", units_bytes((int64_t)loaded.bytes).text);
}

static void json(struct call *call, struct json *json)
{
    json_text(json, "database", call->operands[0]);
    json_integer(json, "statements", (int64_t)loaded.statements);
    json_integer(json, "bytes", (int64_t)loaded.bytes);
}

const struct command command_load = {
    .name = "load",
    .summary = "execute SQL text, all of it or nothing",
    .operands = "DATABASE [FILE]",
    .least = 1,
    .most = 2,
    .help =
        "Executes SQL text, as 'lido dump' writes it, from a file or standard input, in\n"
        "one transaction: all of it or nothing. Such text may do to the database whatever\n"
        "it likes. A complaint begins with the line. 'lido load --create NEW.db "
        "/dev/null'\n"
        "makes an empty database.\n"
        "\n"
        "  --create            make a database that is not there; it appears when all of "
        "it\n"
        "                      is loaded\n",
    .options = options,
    .option = option,
    .run = run,
    .text = text,
    .json = json,
};
