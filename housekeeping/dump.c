/* SPDX-License-Identifier: MIT */
/*
 * Dump: a database as SQL text, one statement at a time.
 *
 * A dump is a lease with a read transaction, and the stages that make the text of it
 * (dump_stages.c).  Both are given up as soon as it is over, by its end or by an error, not
 * when it is freed: a snapshot that nobody reads keeps a log from being reused.
 *
 * Threads: the one that made the dump.
 */
#include <lido/dump.h>

#include "base/alloc.h"
#include "base/text.h"
#include "housekeeping/dump_stages.h"

#include <string.h>

struct lido_dump {
    struct lido_job job; /* the host's, copied */
    struct lido__work work;
    struct lido_dump_options options; /* tables: its own */
    struct lido__seat seat;
    struct lido__stages stages;
    int rc;       /* SQLITE_DONE or an error, once is_over */
    bool is_over; /* the code of a host's function may be any number */
    bool is_done; /* and all of it was said */
    struct lido_error why;
};

/* It is over: nothing is kept but the answer. */
static int end(struct lido_dump *dump, int rc, struct lido_error *err)
{
    lido__stages_end(&dump->stages);
    lido__seat_leave(&dump->seat);
    lido__seat_close(&dump->seat, LIDO_OK, NULL);
    dump->is_over = true;
    dump->rc = rc;
    if (!dump->is_done && err != NULL)
        *err = dump->why;
    return rc;
}

static int fail(struct lido_dump *dump, int rc, struct lido_error *err)
{
    if ((rc & 0xff) == SQLITE_INTERRUPT)
        lido__work_check(&dump->work, NULL);
    if (rc == SQLITE_TOOBIG)
        lido_fail(&dump->why, rc, "a row is too large for a statement of SQL text");
    else
        rc = lido__work_fail(&dump->work, dump->seat.db, rc, "dumping", &dump->why);
    return end(dump, rc, err);
}

static int check_options(const struct lido_dump_options *options, struct lido_error *err)
{
    if (options->size != sizeof *options)
        return lido__bad_size("lido_dump_options", err);
    if (!options->has_schema && !options->has_data)
        return lido_fail(err, LIDO_BAD_OPTION,
                         "has_schema and has_data are both 0: nothing is left to dump");
    return LIDO_OK;
}

/* A name that is misspelt is no empty dump. */
static int expect_any(struct lido_dump *dump, struct lido_error *err)
{
    sqlite3_stmt *ask;
    bool has_any = false;
    int rc;

    if (dump->options.tables == NULL)
        return LIDO_OK;
    rc = lido__seat_prepare(
        &dump->seat, &ask,
        sqlite3_mprintf(
            "SELECT 1 FROM main.sqlite_master WHERE type IN ('table', 'view')"
            " AND substr(name, 1, 7) <> 'sqlite_' AND name LIKE ?1 ESCAPE '\\'"),
        dump->options.tables, NULL, err);
    if (rc != LIDO_OK)
        return rc;
    has_any = sqlite3_step(ask) == SQLITE_ROW;
    rc = sqlite3_finalize(ask);
    if (rc != SQLITE_OK)
        return fail(dump, rc, err);
    return has_any
               ? LIDO_OK
               : lido_fail(err, LIDO_NOT_FOUND, "no table or view has a name LIKE '%.100s'",
                           dump->options.tables);
}

/* All tables are read; of some of them it is not known what share they are. */
static int begin_phase(struct lido_dump *dump, struct lido_error *err)
{
    int rc = lido__work_phase(&dump->work, "dumping", "rows", 0, err);
    sqlite3_stmt *ask;

    if (rc != LIDO_OK || dump->options.tables != NULL || !dump->options.has_data)
        return rc;
    rc = lido__seat_prepare(&dump->seat, &ask, sqlite3_mprintf("PRAGMA main.page_count"),
                            NULL, NULL, err);
    if (rc != LIDO_OK)
        return rc;
    if (sqlite3_step(ask) == SQLITE_ROW)
        lido__work_reads(&dump->work, dump->seat.db, (uint64_t)sqlite3_column_int64(ask, 0),
                         1);
    rc = sqlite3_finalize(ask);
    return rc == SQLITE_OK ? LIDO_OK : fail(dump, rc, err);
}

static int begin(struct lido_dump *dump, struct lido_database at, struct lido_error *err)
{
    struct lido__seat_options seat = LIDO__SEAT_OPTIONS_INIT("lido dump");
    int rc = lido__work_begin(&dump->work, dump->options.job, err);

    if (rc != LIDO_OK)
        return rc;
    if (dump->options.tables != NULL) {
        dump->options.tables =
            lido__copy(dump->options.tables, strlen(dump->options.tables));
        if (dump->options.tables == NULL)
            return lido_fail(err, SQLITE_NOMEM, "no memory for a dump");
    }
    dump->job = *dump->work.job;
    dump->work.job = &dump->job;
    seat.is_unique = true;
    rc = lido__seat_open(&dump->seat, &dump->work, at, &seat, err);
    if (rc == LIDO_OK)
        rc = lido__seat_begin(&dump->seat, LIDO_READ, err);
    if (rc != LIDO_OK)
        return rc;
    rc = lido__stages_begin(&dump->stages, dump->seat.db, &dump->options);
    if (rc != SQLITE_OK)
        return fail(dump, rc, err);
    rc = expect_any(dump, err);
    return rc == LIDO_OK ? begin_phase(dump, err) : rc;
}

int lido_dump_new(struct lido_dump **out, struct lido_database at,
                  const struct lido_dump_options *options, struct lido_error *err)
{
    static const struct lido_dump_options defaults = LIDO_DUMP_OPTIONS_INIT;
    int rc;

    if (out == NULL)
        return lido_fail(err, SQLITE_MISUSE, "there is no place for the dump");
    *out = NULL;
    options = options != NULL ? options : &defaults;
    rc = check_options(options, err);
    if (rc == LIDO_OK)
        rc = lido__database_check(at, err);
    if (rc != LIDO_OK)
        return rc;
    *out = lido__new(sizeof **out);
    if (*out == NULL)
        return lido_fail(err, SQLITE_NOMEM, "no memory for a dump");
    (*out)->options = *options;
    rc = begin(*out, at, err);
    if (rc == LIDO_OK)
        return LIDO_OK;
    if ((*out)->options.tables == options->tables)
        (*out)->options.tables = NULL; /* it is no copy */
    lido_dump_free(*out);
    *out = NULL;
    return rc;
}

static int next(struct lido_dump *dump, const char **text, size_t *length,
                struct lido_error *err)
{
    const char *said;
    size_t said_length;
    int rc;

    if (dump == NULL || text == NULL)
        return lido_fail(err, SQLITE_MISUSE, "there is no dump, or no place for its text");
    *text = NULL;
    if (length != NULL)
        *length = 0;
    if (dump->is_over && !dump->is_done && err != NULL)
        *err = dump->why;
    if (dump->is_over)
        return dump->rc;
    rc = lido__seat_check(&dump->seat, err);
    if (rc != LIDO_OK)
        return rc;
    rc = lido__work_at(&dump->work, dump->stages.rows_done, &dump->why);
    if (rc != LIDO_OK)
        return end(dump, rc, err);
    rc = lido__stages_next(&dump->stages, &said, &said_length);
    if (rc == SQLITE_ROW) {
        *text = said;
        if (length != NULL)
            *length = said_length;
        return SQLITE_ROW;
    }
    if (rc != SQLITE_DONE)
        return fail(dump, rc, err);
    rc = lido__work_done(&dump->work, &dump->why);
    dump->is_done = rc == LIDO_OK;
    return end(dump, rc == LIDO_OK ? SQLITE_DONE : rc, err);
}

int lido_dump_next(struct lido_dump *dump, const char **text, size_t *length,
                   struct lido_error *err)
{
    const int rc = next(dump, text, length, err);

    /* Of a host's function any number is an error, but here two of them are none. */
    if ((rc == SQLITE_ROW && *text == NULL) || (rc == SQLITE_DONE && !dump->is_done))
        return lido_fail(err, SQLITE_MISUSE, "a function ended the dump by %s, no error",
                         lido_status_name(rc));
    return rc;
}

void lido_dump_free(struct lido_dump *dump)
{
    int rc;

    if (dump == NULL)
        return;
    rc = dump->seat.db != NULL ? lido__seat_check(&dump->seat, NULL) : LIDO_OK;
    if (rc == LIDO_WRONG_THREAD || rc == LIDO_FORKED)
        return; /* what SQLite has of it is not ours to touch, and needs the rest */
    lido__stages_end(&dump->stages);
    lido__seat_leave(&dump->seat);
    lido__seat_close(&dump->seat, LIDO_OK, NULL);
    lido__free((void *)(uintptr_t)dump->options.tables);
    lido__free(dump);
}

int lido_dump(struct lido_database at, const struct lido_dump_options *options,
              lido_dump_fn line, void *ctx, struct lido_error *err)
{
    struct lido_error story = { .code = 0 };
    struct lido_dump *dump;
    const char *text = NULL;
    size_t length;
    int rc;

    if (line == NULL)
        return lido_fail(err, SQLITE_MISUSE, "there is no function for the text");
    rc = lido_dump_new(&dump, at, options, err);
    if (rc != LIDO_OK)
        return rc;
    do {
        rc = next(dump, &text, &length, err);
        if (text == NULL) {
            rc = dump->is_done ? LIDO_OK : rc;
            break;
        }
        rc = line(ctx, text, length, &story);
        if (rc != LIDO_OK)
            lido__fail_by_host(err, rc, &story);
    } while (rc == LIDO_OK);
    lido_dump_free(dump);
    return rc;
}
