/* SPDX-License-Identifier: MIT */
/*
 * `lido copy`: a table into another database by lido_table_copy(), or beside itself by
 * lido_table_backup(), which takes all of it that can be taken.
 *
 * Threads: one.
 */
#include "cli/command.h"
#include "cli/open.h"
#include "report/units.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    AS = 256,
    APPEND,
    REPLACE,
    WHERE,
    COLUMNS,
    TRIGGERS,
    IGNORE,
    OR_REPLACE,
    NO_FOREIGN_KEYS
};
static const struct option options[] = {
    { "as", required_argument, NULL, AS },
    { "append", no_argument, NULL, APPEND },
    { "replace", no_argument, NULL, REPLACE },
    { "where", required_argument, NULL, WHERE },
    { "columns", required_argument, NULL, COLUMNS },
    { "triggers", no_argument, NULL, TRIGGERS },
    { "ignore", no_argument, NULL, IGNORE },
    { "or-replace", no_argument, NULL, OR_REPLACE },
    { "no-foreign-keys", no_argument, NULL, NO_FOREIGN_KEYS },
    { NULL, 0, NULL, 0 },
};

static struct lido_table_copy_options wanted = LIDO_TABLE_COPY_OPTIONS_INIT;
static bool has_append, has_replace, has_ignore, has_or_replace;
static struct lido_table_result done = LIDO_TABLE_RESULT_INIT;

/* The names between the commas, after those that were given before. */
static int add_columns(const char *names)
{
    const char **all;
    size_t count = wanted.column_count + 1;
    char *next;

    for (const char *at = names; *at != '\0'; at++)
        count += *at == ',';
    all = realloc((void *)(uintptr_t)wanted.columns, count * sizeof *all);
    if (all == NULL)
        return CLI_FAILED;
    wanted.columns = all;
    next = strdup(names);
    while (next != NULL)
        all[wanted.column_count++] = strsep(&next, ",");
    return wanted.column_count == count ? CLI_OK : CLI_FAILED;
}

static int option(struct call *call, int id, const char *value)
{
    (void)call;
    switch (id) {
    case AS: wanted.new_name = value; break;
    case APPEND: has_append = true; break;
    case REPLACE: has_replace = true; break;
    case WHERE: wanted.where = value; break;
    case COLUMNS: return add_columns(value);
    case TRIGGERS: wanted.triggers = 1; break;
    case IGNORE: has_ignore = true; break;
    case NO_FOREIGN_KEYS: wanted.check_foreign_keys = 0; break;
    default: has_or_replace = true; break;
    }
    return CLI_OK;
}

static int check_options(struct call *call, bool is_same)
{
    const char *text = NULL;

    if (has_append && has_replace)
        text = "--append and --replace exclude each other";
    else if (has_ignore && has_or_replace)
        text = "--ignore and --or-replace exclude each other";
    else if (is_same && wanted.new_name == NULL)
        text = "both are the same database: --as NAME says what the copy is to be called";
    if (text != NULL)
        return lido_fail(&call->err, LIDO_BAD_OPTION, "%s", text);
    wanted.mode = has_append    ? LIDO_COPY_APPEND
                  : has_replace ? LIDO_COPY_REPLACE
                                : LIDO_COPY_NEW;
    wanted.conflict = has_ignore       ? LIDO_CONFLICT_IGNORE
                      : has_or_replace ? LIDO_CONFLICT_REPLACE
                                       : LIDO_CONFLICT_ABORT;
    return LIDO_OK;
}

/* All rows into a table that is made: nothing that a backup of the table would not do. */
static bool is_backup(bool is_same)
{
    return is_same && wanted.mode == LIDO_COPY_NEW &&
           wanted.conflict == LIDO_CONFLICT_ABORT && wanted.where == NULL &&
           wanted.columns == NULL;
}

static int back_up(struct call *call, lido_pool *pool)
{
    struct lido_table_backup_options backup = LIDO_TABLE_BACKUP_OPTIONS_INIT;

    backup.job = &call->job;
    backup.triggers = wanted.triggers;
    return lido_table_backup(lido_at_pool(pool), call->operands[1], wanted.new_name,
                             &backup, &done, &call->err);
}

/* The library speaks of its own options. */
static void advise(struct call *call, int rc)
{
    char *text = call->err.text;
    const char *at = "prepare: ";

    if (wanted.mode == LIDO_COPY_NEW && strstr(text, " a table of the name ") != NULL)
        command_advise(call, "--append or --replace takes that one");
    else if (rc == SQLITE_CONSTRAINT_FOREIGNKEY)
        command_advise(call, "--no-foreign-keys does that");
    else if ((rc & 0xff) == SQLITE_CONSTRAINT && rc != SQLITE_CONSTRAINT_FOREIGNKEY &&
             wanted.conflict == LIDO_CONFLICT_ABORT)
        command_advise(call, "--ignore or --or-replace says what becomes of such rows");
    else if (wanted.where != NULL && strncmp(text, at, strlen(at)) == 0)
        memcpy(text, "--where: ", strlen(at));
}

static int run(struct call *call)
{
    const char *from_path = call->operands[0], *into_path = call->operands[2];
    const bool is_same = open_is_same(from_path, into_path);
    lido_pool *from = NULL, *into = NULL;
    int rc = check_options(call, is_same);

    if (rc == LIDO_OK)
        rc = open_pool(call, from_path, &from);
    if (rc == LIDO_OK && !is_same) {
        rc = open_pool(call, into_path, &into);
        if (rc == LIDO_NOT_FOUND)
            command_advise(call, "'lido load --create' makes a database");
    }
    if (rc != LIDO_OK) {
        lido_pool_free(from);
        return rc;
    }
    wanted.job = &call->job;
    rc = is_backup(is_same) ? back_up(call, from)
                            : lido_table_copy(lido_at_pool(from), call->operands[1],
                                              lido_at_pool(is_same ? from : into), &wanted,
                                              &done, &call->err);
    /* The files are there, and a table is not. */
    if (rc == LIDO_NOT_FOUND)
        call->answer = CLI_FAILED;
    if (rc != LIDO_OK)
        advise(call, rc);
    lido_pool_free(into);
    lido_pool_free(from);
    open_advise_which(call, from_path, into_path, rc);
    return open_advise_log(call, from_path, rc);
}

static const char *name_of_copy(const struct call *call)
{
    return wanted.new_name != NULL ? wanted.new_name : call->operands[1];
}

static void text(struct call *call)
{
    command_print(name_of_copy(call));
    printf(": %s", units_count((int64_t)done.rows_written).text);
    if (done.rows_read != done.rows_written)
        printf(" of %s", units_count((int64_t)done.rows_read).text);
    fputs(done.rows_read == 1 ? " row" : " rows", stdout);
    if (done.indexes > 0)
        printf(", %d %s", done.indexes, done.indexes == 1 ? "index" : "indexes");
    if (done.triggers > 0)
        printf(", %d %s", done.triggers, done.triggers == 1 ? "trigger" : "triggers");
    putchar('\n');
    for (int i = 0; lido_table_part_name(1 << i) != NULL; i++)
        if ((done.lost & 1 << i) != 0)
            printf("not copied: %s\n", lido_table_part_name(1 << i));
}

static void json(struct call *call, struct json *json)
{
    json_text(json, "from", call->operands[0]);
    json_text(json, "table", call->operands[1]);
    json_text(json, "into", call->operands[2]);
    json_text(json, "copy", name_of_copy(call));
    json_integer(json, "rows_read", (int64_t)done.rows_read);
    json_integer(json, "rows_written", (int64_t)done.rows_written);
    json_integer(json, "indexes", done.indexes);
    json_integer(json, "triggers", done.triggers);
    json_array(json, "not_copied");
    for (int i = 0; lido_table_part_name(1 << i) != NULL; i++)
        if ((done.lost & 1 << i) != 0)
            json_text(json, NULL, lido_table_part_name(1 << i));
    json_close(json);
}

const struct command command_copy = {
    .name = "copy",
    .summary = "copy a table, into another database too",
    .operands = "FROM TABLE INTO",
    .least = 3,
    .most = 3,
    .help =
        "Copies a table of the database FROM with its rows, constraints and indexes into\n"
        "the database INTO, which has to exist, or with --as into the same: all of it or\n"
        "nothing. Foreign keys are checked at the end, but not in a plain copy inside one\n"
        "database. Of some columns a table is made with what needs no others; what had to\n"
        "be left out is told.\n"
        "\n"
        "    lido copy app.db person archive.db --where \"born < 1900\"\n"
        "    lido copy app.db person app.db --as person_before\n"
        "    lido load --create new.db /dev/null    makes a database to copy into\n"
        "\n"
        "  --as NAME           what the copy is called (as the table)\n"
        "  --append            add the rows to a table that is there, by column names\n"
        "  --replace           drop a table of that name before, with its triggers\n"
        "  --where SQL         only the rows for which this expression is true\n"
        "  --columns A,B       only these columns\n"
        "  --triggers          the triggers of the table too, where the copy is made\n"
        "  --ignore            leave rows out that a constraint forbids\n"
        "  --or-replace        let rows take the place of those that are in their way\n"
        "  --no-foreign-keys   do not check at the end that each row has its parents\n",
    .options = options,
    .option = option,
    .run = run,
    .text = text,
    .json = json,
};
