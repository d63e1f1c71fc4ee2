/* SPDX-License-Identifier: MIT */
/*
 * A table renamed, with all that speaks of it.
 *
 * The work is SQLite's, where ALTER TABLE is not in its legacy mode.  It reads every view and
 * trigger before and after, so a rename that would leave something broken behind fails, and the
 * dry run is the real one, rolled back.
 *
 * Threads: any; a job runs on the one that calls it.
 */
#include "housekeeping/table.h"

static int alter(struct lido__seat *seat, const char *schema, const char *table,
                 const char *new_name, struct lido_error *err)
{
    char doing[100];

    sqlite3_snprintf(sizeof doing, doing, "\"%.60s\" is not renamed", table);
    return lido__seat_exec(seat,
                           sqlite3_mprintf("ALTER TABLE \"%w\".\"%w\" RENAME TO \"%w\"",
                                           schema, table, new_name),
                           doing, err);
}

/* A name that differs in case alone is taken, says SQLite: by the table itself. */
static int alter_case(struct lido__seat *seat, const char *schema, const char *table,
                      const char *new_name, struct lido_error *err)
{
    unsigned long long chance;
    char between[40];
    int rc;

    sqlite3_randomness(sizeof chance, &chance);
    sqlite3_snprintf(sizeof between, between, "lido_%llx", chance);
    rc = alter(seat, schema, table, between, err);
    return rc == LIDO_OK ? alter(seat, schema, between, new_name, err) : rc;
}

static int rename_table(struct lido__seat *seat, const char *schema, const char *table,
                        const char *new_name, struct lido_error *err)
{
    int kind, rc = lido__table_kind(seat, schema, table, &kind, err);

    if (rc == LIDO_OK && kind != LIDO_TABLE_VIRTUAL)
        rc = lido__table_expect_plain(seat, schema, table, "renamed", err);
    if (rc != LIDO_OK)
        return rc;
    if (sqlite3_stricmp(table, new_name) == 0)
        return alter_case(seat, schema, table, new_name, err);
    rc = lido__table_expect_free(seat, schema, new_name, err);
    return rc == LIDO_OK ? alter(seat, schema, table, new_name, err) : rc;
}

int lido_table_rename(struct lido_database at, const char *table, const char *new_name,
                      const struct lido_table_rename_options *options,
                      struct lido_error *err)
{
    static const struct lido_table_rename_options defaults = LIDO_TABLE_RENAME_OPTIONS_INIT;
    struct lido__work work;
    struct lido__seat seat;
    const char *schema;
    int rc;

    if (options == NULL)
        options = &defaults;
    if (options->size != sizeof *options)
        return lido__bad_size("lido_table_rename_options", err);
    schema = options->schema != NULL ? options->schema : "main";
    rc = lido__table_begin(&seat, &work, options->job, at, table, new_name, err);
    if (rc != LIDO_OK)
        return rc;
    lido__seat_read_schema(&seat);
    rc = lido__work_phase(&work, "renaming", "statements", 1, err);
    if (rc == LIDO_OK)
        rc = rename_table(&seat, schema, table, new_name, err);
    if (rc == LIDO_OK)
        rc = lido__work_done(&work, err);
    if (rc == LIDO_OK && options->dry_run) {
        /* What would fail has failed. */
        lido__seat_close(&seat, LIDO_ROLLBACK, NULL);
        return LIDO_OK;
    }
    return lido__seat_close(&seat, rc, err);
}
