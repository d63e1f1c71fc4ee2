/* SPDX-License-Identifier: MIT */
/*
 * A table backed up in its own file: its texts under another name, then its rows, then its
 * indexes and triggers, in one transaction.
 *
 * Threads: any; a job runs on the one that calls it.
 */
#include "housekeeping/table.h"

const char *lido_table_part_name(int part)
{
    static const char *const names[] = {
        "declared types", "the primary key", "NOT NULL",
        "default values", "UNIQUE",          "CHECK constraints",
        "foreign keys",   "collations",      "generated columns",
        "AUTOINCREMENT",  "WITHOUT ROWID",   "STRICT",
        "indexes",        "triggers",
    };

    for (int i = 0; i < (int)(sizeof names / sizeof names[0]); i++)
        if (part == 1 << i)
            return names[i];
    return NULL;
}

static int back_up(struct lido__seat *seat, const char *schema, const char *table,
                   const char *new_name, bool with_triggers,
                   struct lido_table_result *result, struct lido_error *err)
{
    struct lido__shape shape = { 0 };
    struct lido__carry carry = { .from = seat,
                                 .into = seat,
                                 .from_schema = schema,
                                 .from_table = table,
                                 .into_schema = schema,
                                 .into_table = new_name,
                                 .from_shape = &shape,
                                 .has_all_columns = true };
    int rc = lido__table_expect_plain(seat, schema, table, "backed up", err);

    if (rc == LIDO_OK)
        rc = lido__table_expect_free(seat, schema, new_name, err);
    if (rc == LIDO_OK)
        rc = lido__shape_read(seat, schema, table, &shape, err);
    if (rc == LIDO_OK)
        rc = lido__shape_rename(seat, schema, table, true, with_triggers, new_name, &shape,
                                err);
    if (rc == LIDO_OK)
        rc = lido__shape_make_table(seat, schema, new_name, &shape, err);
    if (rc == LIDO_OK)
        rc = lido__rows_carry(&carry, result, err);
    if (rc == LIDO_OK)
        rc = lido__shape_set_sequence(seat, schema, new_name, &shape, err);
    if (rc == LIDO_OK)
        rc = lido__work_phase(seat->work, "indexing", "statements", 0, err);
    if (rc == LIDO_OK)
        rc = lido__shape_make_others(seat, schema, new_name, &shape, "index", false,
                                     &result->indexes, err);
    if (rc == LIDO_OK && with_triggers)
        rc = lido__shape_make_others(seat, schema, new_name, &shape, "trigger", false,
                                     &result->triggers, err);
    if (rc == LIDO_OK)
        rc = lido__work_done(seat->work, err);
    result->parts = shape.parts;
    result->lost = with_triggers ? 0 : shape.parts & LIDO_PART_TRIGGER;
    lido__shape_free(&shape);
    return rc;
}

int lido_table_backup(struct lido_database at, const char *table, const char *new_name,
                      const struct lido_table_backup_options *options,
                      struct lido_table_result *result, struct lido_error *err)
{
    static const struct lido_table_backup_options defaults = LIDO_TABLE_BACKUP_OPTIONS_INIT;
    struct lido_table_result done = LIDO_TABLE_RESULT_INIT;
    struct lido__work work;
    struct lido__seat seat;
    const char *schema;
    int rc;

    if (options == NULL)
        options = &defaults;
    if (result != NULL && result->size == sizeof *result)
        *result = done;
    if (options->size != sizeof *options)
        return lido__bad_size("lido_table_backup_options", err);
    if (result != NULL && result->size != sizeof *result)
        return lido__bad_size("lido_table_result", err);
    schema = options->schema != NULL ? options->schema : "main";
    rc = lido__table_begin(&seat, &work, options->job, at, table, new_name, err);
    if (rc != LIDO_OK)
        return rc;
    lido__seat_set(&seat, LIDO__FOREIGN_KEYS, false);
    lido__seat_read_schema(&seat);
    rc = back_up(&seat, schema, table, new_name, options->triggers != 0, &done, err);
    rc = lido__seat_close(&seat, rc, err);
    if (rc == LIDO_OK && result != NULL)
        *result = done;
    return rc;
}
