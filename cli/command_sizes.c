/* SPDX-License-Identifier: MIT */
/*
 * `lido sizes`: lido_sizes(), the largest first.
 *
 * Threads: one.
 */
#include "cli/command.h"
#include "cli/listing.h"
#include "cli/open.h"
#include "report/units.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct object {
    char *name, *table;
    const char *kind;
    int64_t pages, bytes, payload, unused;
};

static struct object *objects;
static size_t n, room;
static struct lido_sizes_total total = LIDO_SIZES_TOTAL_INIT;

static int keep(void *ctx, const struct lido_size *object, struct lido_error *err)
{
    struct object *now;

    (void)ctx;
    if (n == room) {
        const size_t more = room == 0 ? 64 : room * 2;
        struct object *all = realloc(objects, more * sizeof *all);

        if (all == NULL)
            return lido_fail(err, SQLITE_NOMEM, "no memory for the list");
        objects = all;
        room = more;
    }
    now = &objects[n];
    *now = (struct object){ .name = strdup(object->name),
                            .table = strdup(object->table),
                            .kind = strcmp(object->kind, "index") == 0 ? "index" : "table",
                            .pages = object->pages,
                            .bytes = object->bytes,
                            .payload = object->payload,
                            .unused = object->unused };
    n++;
    return now->name != NULL && now->table != NULL
               ? LIDO_OK
               : lido_fail(err, SQLITE_NOMEM, "no memory for the list");
}

static int larger_first(const void *left_, const void *right_)
{
    const struct object *left = left_, *right = right_;

    if (left->bytes != right->bytes)
        return left->bytes < right->bytes ? 1 : -1;
    return strcmp(left->name, right->name);
}

static void forget(void)
{
    for (size_t i = 0; i < n; i++) {
        free(objects[i].name);
        free(objects[i].table);
    }
    free(objects);
}

static int run(struct call *call)
{
    struct lido_upkeep_options upkeep = LIDO_UPKEEP_OPTIONS_INIT;
    int rc;

    upkeep.job = &call->job;
    upkeep.lock_timeout_ms = call->timeout_ms;
    rc = lido_sizes(lido_at_path(call->operands[0]), keep, NULL, &total, &upkeep,
                    &call->err);
    /* It is SQLite that lacks something then, and not the database. */
    if (rc == LIDO_NOT_FOUND && !sqlite3_compileoption_used("ENABLE_DBSTAT_VTAB"))
        rc = SQLITE_ERROR;
    if (rc != LIDO_OK)
        forget();
    else if (n > 0)
        qsort(objects, n, sizeof *objects, larger_first);
    return open_advise_log(call, call->operands[0], rc);
}

static void text(struct call *call)
{
    static const char *const heads[] = { "name",  "kind",    "of",    "pages",
                                         "bytes", "payload", "unused" };
    struct listing listing = { .heads = heads, .sides = "lllrrrr" };

    for (size_t i = 0; i < n; i++) {
        const struct object *now = &objects[i];

        listing_add(&listing, "%s", now->name);
        listing_add(&listing, "%s", now->kind);
        listing_add(&listing, "%s", strcmp(now->kind, "index") == 0 ? now->table : "");
        listing_add(&listing, "%s", units_count(now->pages).text);
        listing_add(&listing, "%s", units_bytes(now->bytes).text);
        listing_add(&listing, "%s", units_bytes(now->payload).text);
        listing_add(&listing, "%s", units_bytes(now->unused).text);
    }
    listing_print(stdout, &listing, call->has_color);
    listing_fini(&listing);
    printf("\n%s pages of %lld bytes, ", units_count(total.pages).text,
           (long long)total.page_size);
    printf("%s of them free\n", units_count(total.free_pages).text);
    forget();
}

static void json(struct call *call, struct json *json)
{
    (void)call;
    json_integer(json, "page_size", total.page_size);
    json_integer(json, "pages", total.pages);
    json_integer(json, "free_pages", total.free_pages);
    json_array(json, "objects");
    for (size_t i = 0; i < n; i++) {
        json_object(json, NULL);
        json_text(json, "name", objects[i].name);
        json_text(json, "kind", objects[i].kind);
        json_text(json, "table", objects[i].table);
        json_integer(json, "pages", objects[i].pages);
        json_integer(json, "bytes", objects[i].bytes);
        json_integer(json, "payload", objects[i].payload);
        json_integer(json, "unused", objects[i].unused);
        json_close(json);
    }
    json_close(json);
    forget();
}

const struct command command_sizes = {
    .name = "sizes",
    .summary = "tell what each table and index takes",
    .operands = "DATABASE",
    .least = 1,
    .most = 1,
    .help = "Tells what each table and index takes, the largest first. It reads the whole\n"
            "database once.\n"
            "\n",
    .run = run,
    .text = text,
    .json = json,
};
