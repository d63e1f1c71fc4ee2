/* SPDX-License-Identifier: MIT */
/*
 * `lido info`: what lido_check() reads of a database that looks at its schema.
 *
 * Threads: one.
 */
#include "cli/command.h"
#include "cli/listing.h"
#include "cli/verdict.h"
#include "report/units.h"

#include <stdio.h>

static struct lido_check found = LIDO_CHECK_INIT;
static const char *const vacuums[] = { "none", "full", "incremental" };

static const char *auto_vacuum(void)
{
    return found.auto_vacuum >= 0 && found.auto_vacuum <= 2 ? vacuums[found.auto_vacuum]
                                                            : "unknown";
}

static int run(struct call *call)
{
    struct lido_check_options options = LIDO_CHECK_OPTIONS_INIT;
    int rc;

    options.lock_timeout_ms = call->timeout_ms;
    options.job = &call->job;
    rc = lido_check(lido_at_path(call->operands[0]), &options, &found, &call->err);
    if (rc == LIDO_OK)
        call->answer = verdict_exit(found.verdict);
    return rc;
}

static void add_count(struct listing *listing, const char *name, int64_t count)
{
    listing_add(listing, "%s", name);
    listing_add(listing, "%s", units_count(count).text);
}

static void add_text(struct listing *listing, const char *name, const char *value)
{
    listing_add(listing, "%s", name);
    listing_add(listing, "%s", value);
}

/* Of a folder or a device there is nothing to tell. */
static bool is_file(const char *path)
{
    struct lido_file file = LIDO_FILE_INIT;

    return lido_file_look(path, &file, NULL) == LIDO_OK && file.kind == LIDO_FILE_REGULAR;
}

static void text(struct call *call)
{
    static const char *const heads[] = { "name", "value" };
    struct listing listing = { .heads = heads, .sides = "ll" };

    verdict_print(call->operands[0], &found);
    if (!is_file(call->operands[0]))
        return;
    add_text(&listing, "size", units_bytes(found.bytes).text);
    if (found.wal_bytes > 0)
        add_text(&listing, "write-ahead log", units_bytes(found.wal_bytes).text);
    if (found.journal_bytes > 0)
        add_text(&listing, "rollback journal", units_bytes(found.journal_bytes).text);
    add_text(&listing, "others use it", found.is_in_use ? "yes" : "no");
    if (found.page_size > 0) {
        add_text(&listing, "page size", units_count(found.page_size).text);
        add_count(&listing, "pages", found.page_count);
        add_count(&listing, "free pages", found.free_pages);
        add_text(&listing, "encoding", found.encoding);
        add_text(&listing, "journal mode wal", found.is_wal ? "yes" : "no");
        add_text(&listing, "auto_vacuum", auto_vacuum());
        listing_add(&listing, "application_id");
        listing_add(&listing, "%lld", (long long)found.application_id);
        listing_add(&listing, "user_version");
        listing_add(&listing, "%lld", (long long)found.user_version);
        listing_add(&listing, "schema_version");
        listing_add(&listing, "%lld", (long long)found.schema_version);
    }
    if (found.n_tables >= 0) {
        add_count(&listing, "tables", found.n_tables);
        add_count(&listing, "indexes", found.n_indexes);
        add_count(&listing, "views", found.n_views);
        add_count(&listing, "triggers", found.n_triggers);
    }
    putchar('\n');
    listing_print(stdout, &listing, call->has_color);
    listing_fini(&listing);
}

/* null: it could not be read. */
static void put_count(struct json *json, const char *key, int64_t count)
{
    if (count >= 0)
        json_integer(json, key, count);
    else
        json_text(json, key, NULL);
}

static void json(struct call *call, struct json *json)
{
    const bool has_header = found.page_size > 0;

    verdict_json(json, call->operands[0], &found);
    json_integer(json, "bytes", found.bytes);
    json_integer(json, "wal_bytes", found.wal_bytes);
    json_integer(json, "journal_bytes", found.journal_bytes);
    json_bool(json, "is_in_use", found.is_in_use != 0);
    if (has_header) {
        json_integer(json, "page_size", found.page_size);
        json_integer(json, "page_count", found.page_count);
        json_integer(json, "free_pages", found.free_pages);
        json_text(json, "encoding", found.encoding);
        json_bool(json, "is_wal", found.is_wal != 0);
        json_text(json, "auto_vacuum", auto_vacuum());
        json_integer(json, "application_id", found.application_id);
        json_integer(json, "user_version", found.user_version);
        json_integer(json, "schema_version", found.schema_version);
    }
    put_count(json, "tables", found.n_tables);
    put_count(json, "indexes", found.n_indexes);
    put_count(json, "views", found.n_views);
    put_count(json, "triggers", found.n_triggers);
}

const struct command command_info = {
    .name = "info",
    .summary = "tell what kind of database it is",
    .operands = "DATABASE",
    .least = 1,
    .most = 1,
    .help = "Tells what the header and the schema of a database say: sizes, encoding, "
            "versions\n"
            "and how many tables there are. Nothing in it or beside it changes. The exit\n"
            "status is that of 'lido check'.\n"
            "\n",
    .run = run,
    .text = text,
    .json = json,
};
