/* SPDX-License-Identifier: MIT */
/*
 * Sizes: what each table and index takes, page by page.
 *
 * SQLite's dbstat tells of each page, in the order of the objects' names, and the sums are made
 * here: so the job knows after each page how far it is, and can end there.  dbstat is asked for
 * in the schema temp, where no table of the user's that happens to have its name hides it.
 *
 * Threads: the one that runs the job.
 */
#include "housekeeping/upkeep.h"

#include "base/text.h"

#include <lido/stmt.h>
#include <stdlib.h>
#include <string.h>

struct walk {
    struct lido__upkeep *upkeep;
    lido_size_fn each;
    void *ctx;
    struct lido_sizes_total total;
    struct lido_size now; /* of the object under way */
    char *name;           /* its own copy, from sqlite3_malloc(); NULL: none yet */
    uint64_t seen;        /* pages */
    int ended;            /* what `each` answered, if that was not LIDO_OK */
    struct lido_error why;
};

struct answer {
    struct walk *walk;
    bool is_told;
};

/* SQLITE_DONE: `each` has ended it, by whatever code, and it ends the query too; to that some
   codes would mean something else. */
static int tell(struct walk *walk, const char *kind, const char *table)
{
    walk->now.name = walk->name;
    walk->now.kind = kind;
    walk->now.table = table;
    walk->total.objects++;
    if (walk->each != NULL)
        walk->ended = walk->each(walk->ctx, &walk->now, &walk->why);
    return walk->ended == LIDO_OK ? LIDO_OK : SQLITE_DONE;
}

static int tell_known(void *ctx, const struct lido_stmt *row, struct lido_error *err)
{
    struct answer *answer = ctx;

    (void)err;
    answer->is_told = true;
    return tell(answer->walk, lido_stmt_text(row, 0, NULL), lido_stmt_text(row, 1, NULL));
}

/* The object is complete: what is it?  The schema's own table is the one that is not in it.
   SQLITE_DONE as above. */
static int finish(struct walk *walk, struct lido_error *err)
{
    struct answer answer = { walk, false };
    const struct lido_value name = lido_text(walk->name);
    int rc;

    if (walk->name == NULL)
        return LIDO_OK;
    rc = lido_conn_query(
        &walk->upkeep->seat.conn,
        "SELECT type, tbl_name FROM main.sqlite_schema WHERE name = ? AND rootpage <> 0",
        &name, 1, tell_known, &answer, err);
    if (rc == LIDO_OK && !answer.is_told)
        rc = tell(walk, "table", walk->name);
    sqlite3_free(walk->name);
    walk->name = NULL;
    return rc == LIDO_OK && walk->ended != LIDO_OK ? SQLITE_DONE : rc;
}

static int add_page(void *ctx, const struct lido_stmt *row, struct lido_error *err)
{
    struct walk *walk = ctx;
    const char *name = lido_stmt_text(row, 0, NULL);
    int rc = LIDO_OK;

    if (name == NULL)
        return lido_fail(err, SQLITE_NOMEM, "no memory for the name of a table");
    if (walk->name == NULL || strcmp(name, walk->name) != 0) {
        rc = finish(walk, err);
        if (rc != LIDO_OK)
            return rc;
        walk->name = sqlite3_mprintf("%s", name);
        if (walk->name == NULL)
            return lido_fail(err, SQLITE_NOMEM, "no memory for the name of a table");
        walk->now = (struct lido_size){ .size = sizeof walk->now };
    }
    walk->now.pages++;
    walk->now.bytes += lido_stmt_integer(row, 1);
    walk->now.payload += lido_stmt_integer(row, 2);
    walk->now.unused += lido_stmt_integer(row, 3);
    return lido__work_at(&walk->upkeep->work, ++walk->seen, err);
}

static int measure(struct walk *walk, struct lido_error *err)
{
    struct lido__upkeep *upkeep = walk->upkeep;
    struct lido_sizes_total *total = &walk->total;
    int rc = lido__upkeep_number(upkeep, "PRAGMA main.page_size", &total->page_size, err);

    if (rc == LIDO_OK)
        rc = lido__upkeep_number(upkeep, "PRAGMA main.page_count", &total->pages, err);
    if (rc == LIDO_OK)
        rc = lido__upkeep_number(upkeep, "PRAGMA main.freelist_count", &total->free_pages,
                                 err);
    if (rc == LIDO_OK)
        rc = lido__work_phase(&upkeep->work, "measuring", "pages",
                              (uint64_t)(total->pages - total->free_pages), err);
    if (rc != LIDO_OK)
        return rc;
    rc = lido_conn_query(&upkeep->seat.conn,
                         "SELECT name, pgsize, payload, unused FROM temp.dbstat"
                         " WHERE schema = 'main' AND aggregate = 0 ORDER BY name",
                         NULL, 0, add_page, walk, err);
    rc = lido__upkeep_judge(upkeep, rc, err);
    if (rc == LIDO_OK && walk->ended == LIDO_OK)
        rc = finish(walk, err);
    sqlite3_free(walk->name);
    if (walk->ended != LIDO_OK)
        return lido__fail_by_host(err, walk->ended, &walk->why);
    return rc == LIDO_OK ? lido__work_done(&upkeep->work, err) : rc;
}

int lido_sizes(struct lido_database at, lido_size_fn each, void *ctx,
               struct lido_sizes_total *total, const struct lido_upkeep_options *options,
               struct lido_error *err)
{
    struct lido__upkeep upkeep;
    struct walk walk = {
        .upkeep = &upkeep, .each = each, .ctx = ctx, .total = LIDO_SIZES_TOTAL_INIT
    };
    int rc = LIDO_OK;

    if (total != NULL && total->size != sizeof *total)
        return lido__bad_size("lido_sizes_total", err);
    if (!sqlite3_compileoption_used("ENABLE_DBSTAT_VTAB"))
        return lido_fail(err, LIDO_NOT_FOUND,
                         "this SQLite was built without SQLITE_ENABLE_DBSTAT_VTAB, which "
                         "tells the sizes of tables");
    rc = lido__upkeep_begin(&upkeep, at, options, err);
    if (rc != LIDO_OK)
        return rc;
    /* One moment for all that is read. */
    rc = lido__upkeep_judge(&upkeep, lido__seat_begin(&upkeep.seat, LIDO_READ, err), err);
    if (rc == LIDO_OK)
        rc = measure(&walk, err);
    lido__seat_leave(&upkeep.seat);
    if (rc == LIDO_OK && total != NULL)
        *total = walk.total;
    return lido__seat_close(&upkeep.seat, rc, err);
}
