/* SPDX-License-Identifier: MIT */
/*
 * `lido tables`: what PRAGMA table_list says of the main database, or of one table there.
 *
 * Threads: one.
 */
#include "cli/command.h"
#include "cli/listing.h"
#include "cli/open.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ALL = 256 };
static const struct option options[] = {
    { "all", no_argument, NULL, ALL },
    { NULL, 0, NULL, 0 },
};

static bool wants_all;
static const char *const heads[] = { "name", "kind", "columns", "strict", "rowid" };
enum { COLUMNS = sizeof heads / sizeof heads[0] };
static struct listing tables = { .heads = heads, .sides = "llrll" };

static int option(struct call *call, int id, const char *value)
{
    (void)call, (void)id, (void)value;
    wants_all = true;
    return CLI_OK;
}

static int keep(void *ctx, const struct lido_stmt *row, struct lido_error *err)
{
    const char *kind = lido_stmt_text(row, 1, NULL);
    const char *name = lido_stmt_text(row, 0, NULL);
    bool has_rows;

    (void)ctx;
    if (name == NULL || kind == NULL)
        return lido_fail(err, SQLITE_NOMEM, "no memory for the list");
    has_rows = strcmp(kind, "table") == 0;
    listing_add(&tables, "%s", name);
    listing_add(&tables, "%s", kind);
    listing_add(&tables, "%lld", (long long)lido_stmt_integer(row, 2));
    listing_add(&tables, "%s", lido_stmt_integer(row, 4) != 0 ? "strict" : "");
    listing_add(&tables, "%s", has_rows && lido_stmt_integer(row, 3) == 0 ? "rowid" : "");
    return tables.is_short ? lido_fail(err, SQLITE_NOMEM, "no memory for the list")
                           : LIDO_OK;
}

static int run(struct call *call)
{
    const char *const only = call->n_operands > 1 ? call->operands[1] : NULL;
    const struct lido_value values[] = { lido_integer(wants_all),
                                         only != NULL ? lido_text(only) : lido_null() };
    struct lido_conn conn;
    lido_pool *pool;
    int rc = open_database(call, &pool, &conn);

    if (rc != LIDO_OK)
        return rc;
    rc = lido_conn_query(&conn,
                         "SELECT name, type, ncol, wr, strict FROM pragma_table_list"
                         " WHERE schema = 'main' AND (?1 OR type <> 'shadow'"
                         " AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\')"
                         " AND (?2 IS NULL OR name = ?2 COLLATE NOCASE) ORDER BY name",
                         values, 2, keep, NULL, &call->err);
    if (rc == LIDO_BAD_TEXT) { /* it speaks of what is bound */
        lido_fail(&call->err, rc, "the name of the table is not UTF-8");
    } else if (rc == LIDO_OK && only != NULL && tables.n == 0) {
        call->answer = CLI_FAILED; /* the file is there, and the table is not */
        rc = lido_fail(&call->err, LIDO_NOT_FOUND, "main has no table \"%s\"", only);
    }
    rc = open_end(pool, &conn, rc);
    return open_advise_log(call, call->operands[0], rc);
}

static void text(struct call *call)
{
    listing_print(stdout, &tables, call->has_color);
    listing_fini(&tables);
}

static void json(struct call *call, struct json *json)
{
    (void)call;
    json_array(json, "tables");
    for (size_t i = 0; i + COLUMNS <= tables.n; i += COLUMNS) {
        json_object(json, NULL);
        json_text(json, "name", tables.cells[i]);
        json_text(json, "kind", tables.cells[i + 1]);
        json_integer(json, "columns", strtoll(tables.cells[i + 2], NULL, 10));
        json_bool(json, "is_strict", tables.cells[i + 3][0] != '\0');
        json_bool(json, "has_rowid", tables.cells[i + 4][0] != '\0');
        json_close(json);
    }
    json_close(json);
    listing_fini(&tables);
}

const struct command command_tables = {
    .name = "tables",
    .summary = "list the tables and views, or one",
    .operands = "DATABASE [TABLE]",
    .least = 1,
    .most = 2,
    .help = "Lists the tables and views of a database, or of these the one that is called "
            "TABLE:\n"
            "if there is none the exit status is 1.\n"
            "\n"
            "  --all               SQLite's own too, and those that virtual tables keep\n",
    .options = options,
    .option = option,
    .run = run,
    .text = text,
    .json = json,
};
