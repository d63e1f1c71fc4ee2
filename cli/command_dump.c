/* SPDX-License-Identifier: MIT */
/*
 * `lido dump`: lido_dump() to stdout or into a file.
 *
 * The text is the result, and the one that goes to stdout before the work is done: it may be
 * larger than memory.  It ends with COMMIT where it is whole.
 *
 * Threads: one.
 */
#include "cli/command.h"
#include "cli/open.h"
#include "cli/stream.h"
#include "report/units.h"

#include <stdio.h>

enum { OUTPUT = 'o', REPLACE = 256, TABLES, SCHEMA_ONLY, DATA_ONLY };
static const struct option options[] = {
    { "output", required_argument, NULL, OUTPUT },
    { "replace", no_argument, NULL, REPLACE },
    { "tables", required_argument, NULL, TABLES },
    { "schema-only", no_argument, NULL, SCHEMA_ONLY },
    { "data-only", no_argument, NULL, DATA_ONLY },
    { NULL, 0, NULL, 0 },
};

static struct lido_dump_options wanted = LIDO_DUMP_OPTIONS_INIT;
static const char *output;
static bool may_replace;
static struct stream out;
static uint64_t statements;

static int option(struct call *call, int id, const char *value)
{
    (void)call;
    switch (id) {
    case OUTPUT: output = value; break;
    case REPLACE: may_replace = true; break;
    case TABLES: wanted.tables = value; break;
    case SCHEMA_ONLY: wanted.has_data = 0; break;
    default: wanted.has_schema = 0; break;
    }
    return CLI_OK;
}

static int check_options(struct call *call)
{
    const char *text = NULL;

    if (!wanted.has_schema && !wanted.has_data)
        text = "--schema-only and --data-only exclude each other";
    else if (may_replace && output == NULL)
        text = "--replace goes with -o FILE";
    else if (call->is_json && output == NULL)
        text = "--json goes with -o FILE: without it the text is on standard output";
    return text == NULL ? LIDO_OK : lido_fail(&call->err, LIDO_BAD_OPTION, "%s", text);
}

static int put(void *ctx, const char *text, size_t length, struct lido_error *err)
{
    (void)ctx;
    statements++;
    return stream_write(&out, text, length, err);
}

static int count(void *found, const struct lido_stmt *row, struct lido_error *err)
{
    (void)row, (void)err;
    *(bool *)found = true;
    return LIDO_OK;
}

/* A pattern that is like no name is a slip, and a dump of nothing looks as one that went
   well. */
static int check_pattern(struct call *call, lido_pool *pool)
{
    const struct lido_value pattern = lido_text(wanted.tables);
    struct lido_checkout_options checkout = LIDO_CHECKOUT_OPTIONS_INIT;
    struct lido_conn conn;
    bool is_found = false;
    int rc;

    checkout.cancel = call->job.cancel;
    rc = lido_pool_checkout(pool, &conn, &checkout, &call->err);
    if (rc != LIDO_OK)
        return rc;
    rc = lido_conn_query(&conn,
                         "SELECT 1 FROM main.sqlite_master WHERE type IN ('table', 'view')"
                         " AND name LIKE ?1 ESCAPE '\\' LIMIT 1",
                         &pattern, 1, count, &is_found, &call->err);
    lido_conn_checkin(&conn, NULL, NULL);
    if (rc == LIDO_BAD_TEXT) /* it speaks of what is bound */
        lido_fail(&call->err, rc, "the pattern of --tables is not UTF-8");
    if (rc != LIDO_OK || is_found)
        return rc;
    call->answer = CLI_FAILED;
    return lido_fail(&call->err, LIDO_NOT_FOUND, "no table or view is LIKE '%.150s'",
                     wanted.tables);
}

static int run(struct call *call)
{
    lido_pool *pool;
    int rc = check_options(call);

    if (rc == LIDO_OK)
        rc = open_pool(call, call->operands[0], &pool);
    if (rc != LIDO_OK)
        return rc;
    wanted.job = &call->job;
    if (wanted.tables != NULL)
        rc = check_pattern(call, pool);
    if (rc != LIDO_OK) {
        lido_pool_free(pool);
        return open_advise_log(call, call->operands[0], rc);
    }
    rc = stream_write_to(&out, call, output, may_replace, call->operands[0]);
    if (rc != LIDO_OK) {
        call->answer = CLI_FAILED; /* and not what a database that is missing answers */
    } else {
        rc = lido_dump(lido_at_pool(pool), &wanted, put, NULL, &call->err);
        if (rc == LIDO_NOT_FOUND) /* the file is there, and no such table */
            call->answer = CLI_FAILED;
        if (rc == LIDO_OK) {
            rc = stream_keep(&out);
            if (rc != LIDO_OK && call->answer == CLI_OK)
                call->answer = CLI_FAILED;
        }
    }
    stream_end(&out);
    lido_pool_free(pool);
    return open_advise_log(call, call->operands[0], rc);
}

static void text(struct call *call)
{
    (void)call;
    if (output == NULL)
        return;
    command_print(output);
    printf(": %s %s, ", units_count((int64_t)statements).text,
           statements == 1 ? "statement" : "statements");
    printf("%s\n", units_bytes((int64_t)out.bytes).text);
}

static void json(struct call *call, struct json *json)
{
    json_text(json, "database", call->operands[0]);
    json_text(json, "path", output);
    json_integer(json, "statements", (int64_t)statements);
    json_integer(json, "bytes", (int64_t)out.bytes);
}

const struct command command_dump = {
    .name = "dump",
    .summary = "write a database as SQL text",
    .operands = "DATABASE",
    .least = 1,
    .most = 1,
    .help =
        "Writes a database as it is at one moment as SQL text, which 'lido load' and the\n"
        "sqlite3 shell read. It goes to standard output, also with --quiet; one that was\n"
        "cut off lacks its COMMIT.\n"
        "\n"
        "  -o, --output FILE   into a file, which appears when it is whole\n"
        "  --replace           with -o: take the place of a file that is no database\n"
        "  --tables PATTERN    only tables and views whose name is LIKE this, with '\\' "
        "as\n"
        "                      the escape, and what belongs to them; 1 if none is\n"
        "  --schema-only       no rows\n"
        "  --data-only         rows only\n",
    .options = options,
    .letters = "o:",
    .option = option,
    .run = run,
    .text = text,
    .json = json,
};
