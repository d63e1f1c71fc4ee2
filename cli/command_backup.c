/* SPDX-License-Identifier: MIT */
/*
 * `lido backup`: lido_backup() of a file, and what it made.
 *
 * Threads: one.
 */
#include "cli/command.h"
#include "cli/open.h"
#include "report/units.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { REPLACE = 256, STAMP, KEEP, METHOD, VACUUM, HASH, NO_CHECK, RATE };
static const struct option options[] = {
    { "replace", no_argument, NULL, REPLACE },
    { "stamp", no_argument, NULL, STAMP },
    { "keep", required_argument, NULL, KEEP },
    { "method", required_argument, NULL, METHOD },
    { "vacuum", no_argument, NULL, VACUUM },
    { "hash", no_argument, NULL, HASH },
    { "no-check", no_argument, NULL, NO_CHECK },
    { "rate", required_argument, NULL, RATE },
    { NULL, 0, NULL, 0 },
};

static struct lido_backup_options wanted = LIDO_BACKUP_OPTIONS_INIT;
static struct lido_backup made = LIDO_BACKUP_INIT;

/* Between two steps the job is asked whether it ends: with a bound they are small. */
enum { SMALL_STEP = 16 };

static const char *const methods[] = {
    [LIDO_BACKUP_ONLINE] = "online",
    [LIDO_BACKUP_VACUUM] = "vacuum",
    [LIDO_BACKUP_COPY] = "copy",
};

static int method(struct call *call, const char *value)
{
    for (int i = 0; i < (int)(sizeof methods / sizeof methods[0]); i++)
        if (strcmp(methods[i], value) == 0) {
            wanted.method = i;
            return CLI_OK;
        }
    return command_refuse(call, "method", "online, vacuum or copy", value);
}

static int option(struct call *call, int id, const char *value)
{
    int64_t keep;
    int rc;

    switch (id) {
    case REPLACE: wanted.replace = 1; return CLI_OK;
    case STAMP: wanted.stamp = 1; return CLI_OK;
    case METHOD: return method(call, value);
    case VACUUM: wanted.method = LIDO_BACKUP_VACUUM; return CLI_OK;
    case HASH: wanted.hash = 1; return CLI_OK;
    case NO_CHECK: wanted.check = 0; return CLI_OK;
    case RATE:
        wanted.step_pages = SMALL_STEP;
        return command_bytes(call, "rate", value, &wanted.rate);
    default:
        rc = command_integer(call, "keep", value, 1, 1000000, &keep);
        wanted.keep = (int)keep;
        return rc;
    }
}

static int check_options(struct call *call)
{
    const char *text = NULL;

    if (wanted.stamp && wanted.replace)
        text = "--stamp and --replace exclude each other: a stamped name is new";
    else if (wanted.keep > 0 && !wanted.stamp)
        text = "--keep counts what --stamp made: it goes with --stamp";
    return text == NULL ? LIDO_OK : lido_fail(&call->err, LIDO_BAD_OPTION, "%s", text);
}

static int run(struct call *call)
{
    struct lido_file file = LIDO_FILE_INIT;
    lido_pool *pool;
    int rc = check_options(call);

    if (rc == LIDO_OK)
        rc = open_pool(call, call->operands[0], &pool);
    if (rc != LIDO_OK)
        return rc;
    wanted.job = &call->job;
    rc = lido_backup(lido_at_pool(pool), call->operands[1], &wanted, &made, &call->err);
    lido_pool_free(pool);
    /* It is the target then. */
    if ((rc & 0xff) == SQLITE_CANTOPEN &&
        lido_file_look(call->operands[0], &file, NULL) == LIDO_OK &&
        file.kind == LIDO_FILE_REGULAR)
        call->answer = CLI_FAILED;
    if (rc == SQLITE_CANTOPEN && call->err.sys_errno == EEXIST)
        lido_fail(&call->err, rc,
                  "%.150s exists already: choose another name, or say --replace",
                  call->operands[1]);
    return open_advise_log(call, call->operands[0], rc);
}

static void text(struct call *call)
{
    (void)call;
    command_print(made.path);
    printf(": %s pages, ", units_count((int64_t)made.pages).text);
    printf("%s, %s%s%s\n", units_bytes((int64_t)made.bytes).text,
           units_time(made.elapsed_ns).text, made.is_cloned ? ", sharing blocks" : "",
           made.is_checked ? ", checked" : ", not checked");
    if (made.hash[0] != '\0')
        printf("%s  content\n", made.hash);
    if (made.removed > 0)
        printf("%d older removed\n", made.removed);
    if (made.not_removed > 0)
        printf("%d older not removed: they could not be, or are in use\n",
               made.not_removed);
}

static void json(struct call *call, struct json *json)
{
    json_text(json, "database", call->operands[0]);
    json_text(json, "path", made.path);
    json_integer(json, "pages", (int64_t)made.pages);
    json_integer(json, "bytes", (int64_t)made.bytes);
    json_integer(json, "restarts", (int64_t)made.restarts);
    json_number(json, "seconds", (double)made.elapsed_ns / 1e9);
    json_text(json, "method", methods[wanted.method]);
    json_bool(json, "is_checked", made.is_checked != 0);
    json_bool(json, "is_cloned", made.is_cloned != 0);
    if (made.hash[0] != '\0')
        json_text(json, "hash", made.hash);
    json_integer(json, "removed", made.removed);
    json_integer(json, "not_removed", made.not_removed);
}

const struct command command_backup = {
    .name = "backup",
    .summary = "copy a database, also while it is written",
    .operands = "DATABASE TARGET",
    .least = 2,
    .most = 2,
    .help =
        "Copies a database as it is at one moment into a new file, which appears when it\n"
        "is whole and checked. Others may write meanwhile; without a write-ahead log "
        "their\n"
        "commits wait.\n"
        "\n"
        "To copy one table take 'lido copy', for SQL text 'lido dump'.\n"
        "\n"
        "  --replace           take the place of a file; see yourself that nobody has it "
        "open:\n"
        "                      that is not checked, and who has it open keeps the old one\n"
        "  --stamp             add the time to the name: TARGET.YYYYmmdd-HHMM, in UTC\n"
        "  --keep N            with --stamp: leave the N youngest of TARGET only\n"
        "  --method HOW        online: page by page (this is the default); vacuum: anew,\n"
        "                      without free pages; copy: the bytes of the file and its "
        "log,\n"
        "                      the fastest\n"
        "  --vacuum            the same as --method vacuum\n"
        "  --hash              say SHA3-256 of schema and rows, as sqlite3 does by\n"
        "                      .sha3sum --schema --sha3-256\n"
        "  --no-check          do not read the copy back\n"
        "  --rate BYTES        copy at most so many a second, as 500K, 10M or 2G\n",
    .options = options,
    .option = option,
    .run = run,
    .text = text,
    .json = json,
};
