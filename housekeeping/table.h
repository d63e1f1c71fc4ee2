/* SPDX-License-Identifier: MIT */
#ifndef LIDO_HOUSEKEEPING_TABLE_H
#define LIDO_HOUSEKEEPING_TABLE_H

/*
 * What the jobs on tables share: a table's shape (the texts that make it), and the loop that
 * carries rows.
 *
 * Threads: the one that runs the job.
 */
#include "housekeeping/seat.h"
#include <lido/table.h>

/* What a job on tables asks of its seat. */
static const struct lido__seat_options lido__table_seat =
    LIDO__SEAT_OPTIONS_INIT("housekeeping");

/* --- table.c: what is there ----------------------------------------------------------- */

/* Which kind; 0: none.  `schema` is not NULL. */
int lido__table_kind(struct lido__seat *seat, const char *schema, const char *name,
                     int *kind, struct lido_error *err);
/* LIDO_NOT_FOUND or SQLITE_ERROR unless it is a plain table; `doing`: "backed up". */
int lido__table_expect_plain(struct lido__seat *seat, const char *schema, const char *name,
                             const char *doing, struct lido_error *err);
/* SQLITE_ERROR if a table, a view or an index has that name. */
int lido__table_expect_free(struct lido__seat *seat, const char *schema, const char *name,
                            struct lido_error *err);
/* SQLITE_MISUSE or LIDO_BAD_TEXT: no name; `what` says whose. */
int lido__table_check_name(const char *name, const char *what, struct lido_error *err);

/* The beginning of a job that makes `new_name` of `table`: both are names, and there is a
   transaction that may write.  On failure nothing is left. */
int lido__table_begin(struct lido__seat *seat, struct lido__work *work,
                      const struct lido_job *job, struct lido_database at,
                      const char *table, const char *new_name, struct lido_error *err);

/* --- table_text.c: the head of a CREATE ----------------------------------------------- */

/* The text with another name, which is made here, or NULL: no memory (*is_read), or it
   does not begin as CREATE TABLE, INDEX or TRIGGER do. */
char *lido__create_renamed(const char *sql, const char *schema, const char *name,
                           bool *is_read);
/* Does `word` stand in it, outside of names, texts and comments? */
bool lido__create_has_word(const char *sql, const char *word);
/* What a CREATE TABLE is made of, each without blanks and comments around it. */
enum lido__piece_kind { LIDO__PIECE_COLUMN, LIDO__PIECE_CONSTRAINT, LIDO__PIECE_OPTION };
struct lido__piece {
    const char *text;
    int length;
    enum lido__piece_kind kind;
    int part; /* of a constraint: LIDO_PART_..., or 0 */
};
/* In the order in which they stand; *pieces is to be freed.  SQLITE_ERROR: it is not read,
   SQLITE_NOMEM. */
int lido__create_split(const char *sql, struct lido__piece **pieces, int *count);
/* Does each ')' have its '(' before it, so that it stays inside of those put around it? */
bool lido__text_is_enclosed(const char *sql);

/* --- table_shape.c: a table's texts --------------------------------------------------- */

struct lido__object {
    char *type, *name, *sql; /* "table", "index", "trigger" */
};
struct lido__column {
    char *name;
    bool is_generated;
    bool is_key;      /* of the primary key */
    bool is_left_out; /* is not to be copied */
};
struct lido__shape {
    struct lido__object *objects; /* the table is among them */
    int object_count;
    struct lido__column *columns;
    int column_count;
    const char *rowid; /* a name for it that no column has; NULL: none */
    bool has_alias;    /* a column is the rowid */
    int parts;
    bool has_sequence; /* AUTOINCREMENT, and it has come to: */
    int64_t sequence;
};

int lido__shape_read(struct lido__seat *seat, const char *schema, const char *table,
                     struct lido__shape *shape, struct lido_error *err);
void lido__shape_free(struct lido__shape *shape);
/* Makes the shape speak of `new_name`.  `is_there`: the table is in `schema` of this seat, in
   whose transaction SQLite renames it and everything is taken back. */
int lido__shape_rename(struct lido__seat *seat, const char *schema, const char *table,
                       bool is_there, bool with_triggers, const char *new_name,
                       struct lido__shape *shape, struct lido_error *err);
/* Would the triggers of a table that was made run?  SQLITE_ERROR: no. */
int lido__shape_try_triggers(struct lido__seat *seat, const char *schema, const char *name,
                             const struct lido__shape *shape, struct lido_error *err);
/* Makes the table; its indexes or triggers, counted, `keeps_names` where they are free. */
int lido__shape_make_table(struct lido__seat *seat, const char *schema, const char *name,
                           const struct lido__shape *shape, struct lido_error *err);
int lido__shape_make_others(struct lido__seat *seat, const char *schema, const char *name,
                            const struct lido__shape *shape, const char *type,
                            bool keeps_names, int *count, struct lido_error *err);
int lido__shape_set_sequence(struct lido__seat *seat, const char *schema, const char *name,
                             const struct lido__shape *shape, struct lido_error *err);

/* --- table_columns.c: some of the columns --------------------------------------------- */

/* All but those of the names are left out.  LIDO_NOT_FOUND, LIDO_BAD_OPTION, LIDO_BAD_TEXT. */
int lido__shape_choose(struct lido__shape *shape, const char *table,
                       const char *const *names, size_t count, struct lido_error *err);
/* Makes the table without what is left out, in a transaction; its indexes that do not work
   without that go from the shape, and what is lost is added to *lost. */
int lido__shape_make_some(struct lido__seat *seat, const char *schema, const char *name,
                          struct lido__shape *shape, int *lost, struct lido_error *err);
/* Forgets the columns that are left out. */
void lido__shape_forget(struct lido__shape *shape);

/* --- table_rows.c: the rows ----------------------------------------------------------- */

struct lido__carry {
    struct lido__seat *from, *into; /* may be the same */
    const char *from_schema, *from_table, *into_schema, *into_table;
    const struct lido__shape *from_shape;
    const struct lido__shape *into_shape; /* NULL: as the first, and rowids are kept */
    const char *where;
    const struct lido_value *values;
    size_t value_count;
    int conflict;
    bool has_all_columns; /* from_shape has all of the source's */
};

int lido__rows_carry(const struct lido__carry *carry, struct lido_table_result *result,
                     struct lido_error *err);

/* --- table_insert.c: the rows by one statement ---------------------------------------- */

/* Is this column of the source to be written?  SQLITE_ERROR: it cannot be. */
int lido__rows_takes(const struct lido__carry *carry, const struct lido__column *column,
                     bool *takes, struct lido_error *err);
bool lido__rows_may_insert(const struct lido__carry *carry);
/* `count`: how many there are, 0: not known. */
int lido__rows_insert(const struct lido__carry *carry, uint64_t count,
                      struct lido_table_result *result, struct lido_error *err);

/* May the source's file be attached to the other's connection?  *must_lock: only while a
   transaction of its own keeps writers from it. */
int lido__attach_may(struct lido__seat *from, const char *from_schema,
                     struct lido__seat *into, const char *into_schema, bool *may,
                     bool *must_lock, struct lido_error *err);
/* Attaches `file` under a name that is made here.  LIDO_OK without *is_attached: SQLite would
   not, for a reason that another connection may not have. */
#define LIDO__ATTACH_SIZE 40
int lido__attach(struct lido__seat *into, const char *file, char name[LIDO__ATTACH_SIZE],
                 bool *is_attached, struct lido_error *err);
/* In no transaction. */
void lido__attach_end(struct lido__seat *into, const char *name);

#endif
