/* SPDX-License-Identifier: MIT */
#ifndef LIDO_TABLE_H
#define LIDO_TABLE_H

#include <lido/job.h>
#include <lido/status.h>
#include <lido/stmt.h>
#include <stdint.h>

/*
 * Tables: is one there, which are there, and a table backed up, renamed or copied.
 *
 * A name is any text, and means the table that SQLite means by it: the case of ASCII letters
 * makes no difference.  A schema is "main", "temp" or what a database was attached as.  What
 * is temporary or attached is a connection's own, so it is asked for on a lease; a job on a
 * pool sees what the pool's hooks make on each connection.
 *
 * The jobs that write do all of it in one LIDO_IMMEDIATE transaction, which waits in line at
 * the write gate, or nothing.
 */

#ifdef __cplusplus
extern "C" {
#endif

/* What a table is: bits, so that several may be asked for. */
#define LIDO_TABLE_PLAIN   1
#define LIDO_TABLE_VIEW    2
#define LIDO_TABLE_VIRTUAL 4
#define LIDO_TABLE_SHADOW  8  /* where a virtual table keeps its rows */
#define LIDO_TABLE_OWN     16 /* SQLite's own: sqlite_schema, sqlite_sequence, ... */
#define LIDO_TABLE_USUAL   13 /* plain, virtual, shadow: what a 0 stands for */
#define LIDO_TABLE_ALL     31

/*
 * Is there a table of that name, of one of `kinds` (0: LIDO_TABLE_USUAL)?  *kind is then what
 * it is, or 0: no.  `schema` NULL looks as SQLite does: in temp, in main, and then in the
 * attached databases in their order.
 *
 * Ownership: borrows everything until it returns.
 * Threads:   any; of a lease the one that checked it out.
 * Fails:     LIDO_NOT_FOUND (no such schema; no such file), SQLITE_MISUSE, LIDO_BAD_OPTION (no
 *            such kind), LIDO_BAD_TEXT (a name that is no UTF-8); as lido_pool_open(),
 *            lido_pool_checkout() and lido_stmt_step().
 */
LIDO_API int lido_table_exists(struct lido_database at, const char *schema,
                               const char *name, int kinds, int *kind,
                               struct lido_error *err) LIDO_CHECKED;
LIDO_API int lido_conn_table_exists(const struct lido_conn *conn, const char *schema,
                                    const char *name, int kinds, int *kind,
                                    struct lido_error *err) LIDO_CHECKED;

/* One table of a list. */
struct lido_table_info {
    size_t size; /* sizeof this struct */
    const char *schema;
    const char *name;
    int kind; /* one of LIDO_TABLE_... */
    /* With generated and hidden ones.  Of a view or a virtual table it may be 0, where SQLite
       has not read it: it stops to do so at the first view that does not work. */
    int columns;
    int is_without_rowid;
    int is_strict;
};

/*
 * Hands each table of one of `kinds` (0: LIDO_TABLE_USUAL) to `visit`, by schema and name;
 * `schema` NULL: of all.  SQLITE_DONE from `visit` ends it without an error, any other code but
 * LIDO_OK ends it with that code.  `visit` may read, but not change the schema.
 *
 * Ownership: lends the info and its texts to visit until it returns.
 * Threads:   as lido_table_exists(); visit runs on the calling thread.
 * Fails:     as lido_table_exists(); what visit returned.
 */
typedef int (*lido_table_fn)(void *ctx, const struct lido_table_info *table,
                             struct lido_error *err);
LIDO_API int lido_table_list(struct lido_database at, const char *schema, int kinds,
                             lido_table_fn visit, void *ctx,
                             struct lido_error *err) LIDO_CHECKED;
LIDO_API int lido_conn_table_list(const struct lido_conn *conn, const char *schema,
                                  int kinds, lido_table_fn visit, void *ctx,
                                  struct lido_error *err) LIDO_CHECKED;

/* What a table has beside its rows, and CREATE TABLE AS SELECT would lose: bits. */
#define LIDO_PART_TYPES         (1 << 0) /* declared types, but INT, NUM, REAL and TEXT */
#define LIDO_PART_PRIMARY_KEY   (1 << 1)
#define LIDO_PART_NOT_NULL      (1 << 2)
#define LIDO_PART_DEFAULT       (1 << 3)
#define LIDO_PART_UNIQUE        (1 << 4)
#define LIDO_PART_CHECK         (1 << 5)
#define LIDO_PART_FOREIGN_KEY   (1 << 6)
#define LIDO_PART_COLLATION     (1 << 7)
#define LIDO_PART_GENERATED     (1 << 8)
#define LIDO_PART_AUTOINCREMENT (1 << 9)
#define LIDO_PART_WITHOUT_ROWID (1 << 10)
#define LIDO_PART_STRICT        (1 << 11)
#define LIDO_PART_INDEX         (1 << 12)
#define LIDO_PART_TRIGGER       (1 << 13)

/* The name of one of these bits, as "foreign keys"; NULL: it is none.  Static storage. */
LIDO_API const char *lido_table_part_name(int part);

/* What a backup or a copy did. */
struct lido_table_result {
    size_t size;           /* sizeof this struct */
    uint64_t rows_read;    /* that the filter let pass */
    uint64_t rows_written; /* rows_read, less those that LIDO_CONFLICT_IGNORE left out */
    int parts;             /* LIDO_PART_... of the table that was read */
    int indexes;           /* made by CREATE INDEX; those of constraints are not counted */
    int triggers;          /* made */
    int lost; /* LIDO_PART_... that a table which was made lacks: triggers and indexes
                 that were not asked for, and what needs a column that was not copied */
};
#define LIDO_TABLE_RESULT_INIT                                                             \
    {                                                                                      \
        sizeof(struct lido_table_result), 0, 0, 0, 0, 0, 0                                 \
    }

struct lido_table_backup_options {
    size_t size;                /* sizeof this struct */
    const struct lido_job *job; /* progress, and an early end (NULL) */
    const char *schema;         /* where both tables are (NULL: main) */
    int triggers;               /* not 0: copies the table's triggers too (0) */
};
#define LIDO_TABLE_BACKUP_OPTIONS_INIT                                                     \
    {                                                                                      \
        sizeof(struct lido_table_backup_options), NULL, NULL, 0                            \
    }

/*
 * Makes `new_name`, a table like `table` with the same rows, in the same file: types,
 * constraints, generated columns, AUTOINCREMENT with the number it has come to, WITHOUT ROWID,
 * STRICT, and rowids, where no column hides them.  Indexes and triggers are named as the
 * first, "_" and new_name, with a number behind where that is taken.  They are made
 * after the rows, so no trigger runs.
 *
 * What in the table speaks of the table itself speaks of the new one then: a foreign key to
 * itself, a CHECK with the name in it, a trigger.  Foreign keys to other tables stay as they
 * are, and are not checked: the rows are those that are there already.
 *
 * Ownership: borrows everything until it returns; *result (NULL allowed) is zeros on failure.
 * Threads:   any; the calling one does all of it.
 * Fails:     LIDO_NOT_FOUND (no such table, schema or file), SQLITE_ERROR (new_name is taken;
 *            it is a view, a virtual table or SQLite's own; something in its text does not
 *            work), SQLITE_BUSY, SQLITE_FULL, SQLITE_READONLY, LIDO_IN_TXN (of a pool whose
 *            leases share the connection), LIDO_CANCELLED, LIDO_TXN_TIMEOUT, SQLITE_MISUSE,
 *            LIDO_BAD_OPTION, LIDO_BAD_TEXT (a name that is no UTF-8); LIDO_TXN_OVER (SQLite
 *            rolled back by itself, for lack of memory), LIDO_STALE (a hook ended the lease);
 *            what `progress` returned; as lido_pool_open(), lido_pool_checkout(),
 *            lido_txn_begin() and lido_txn_commit().
 */
LIDO_API int lido_table_backup(struct lido_database at, const char *table,
                               const char *new_name,
                               const struct lido_table_backup_options *options,
                               struct lido_table_result *result,
                               struct lido_error *err) LIDO_CHECKED;

struct lido_table_rename_options {
    size_t size;                /* sizeof this struct */
    const struct lido_job *job; /* (NULL) */
    const char *schema;         /* where it is (NULL: main) */
    int dry_run;                /* not 0: does it, and takes it back: would it work? (0) */
};
#define LIDO_TABLE_RENAME_OPTIONS_INIT                                                     \
    {                                                                                      \
        sizeof(struct lido_table_rename_options), NULL, NULL, 0                            \
    }

/*
 * Renames a table, and with it what speaks of it: views, triggers, foreign keys, whatever
 * PRAGMA legacy_alter_table is.  Indexes and the AUTOINCREMENT number stay with it.  A name
 * that differs in case alone works too.  SQLite reads the whole schema before and after: where
 * a view or a trigger does not work, nothing is renamed, and the text names it.
 *
 * Ownership: borrows everything until it returns.
 * Threads:   any.
 * Fails:     as lido_table_backup(); SQLITE_ERROR: the name is taken, or what would not work.
 */
LIDO_API int lido_table_rename(struct lido_database at, const char *table,
                               const char *new_name,
                               const struct lido_table_rename_options *options,
                               struct lido_error *err) LIDO_CHECKED;

/* What becomes of a table that is there already. */
#define LIDO_COPY_NEW    0 /* nothing: the copy fails */
#define LIDO_COPY_APPEND 1 /* it stays, and gets the rows too */
#define LIDO_COPY_REPLACE                                                                  \
    2 /* it is dropped, with its indexes and triggers, and made anew */

/* What a row does that a UNIQUE, NOT NULL, CHECK or PRIMARY KEY forbids. */
#define LIDO_CONFLICT_ABORT   0 /* the copy fails */
#define LIDO_CONFLICT_IGNORE  1 /* it is left out */
#define LIDO_CONFLICT_REPLACE 2 /* it takes the place of those that are in its way */

struct lido_table_copy_options {
    size_t size;                /* sizeof this struct */
    const struct lido_job *job; /* (NULL) */
    const char *from_schema;    /* (NULL: main) */
    const char *into_schema;    /* (NULL: main) */
    const char *new_name;       /* of the copy (NULL: the same) */
    int mode;                   /* LIDO_COPY_... (LIDO_COPY_NEW) */
    int conflict;               /* LIDO_CONFLICT_... (LIDO_CONFLICT_ABORT) */
    int indexes;                /* 0: leaves out what CREATE INDEX made (1) */
    int check_foreign_keys;     /* 0: leaves out the check at the end (1) */
    const char
        *where; /* which rows: an SQL expression on the source's columns, which the host
                          vouches for: it may read all of the source (NULL: all rows) */
    const struct lido_value *values; /* of the parameters in `where` (NULL) */
    size_t value_count;              /* how many (0) */
    const char *const *columns; /* the names of those to copy, in any order (NULL: all) */
    size_t column_count;        /* how many (0) */
    int triggers; /* not 0: a table that is made gets the triggers of the source's (0) */
};
#define LIDO_TABLE_COPY_OPTIONS_INIT                                                       \
    {                                                                                      \
        sizeof(struct lido_table_copy_options), NULL, NULL, NULL, NULL, LIDO_COPY_NEW,     \
            LIDO_CONFLICT_ABORT, 1, 1, NULL, NULL, 0, NULL, 0, 0                           \
    }

/*
 * Copies a table with its rows into another database, or under new_name into the same: two
 * connections, the rows read from one, in a LIDO_READ transaction, and written by the other;
 * one connection where both are the same pool or the same file.  So any database can be either
 * side, in memory and encrypted ones too.  `into` has to exist: lido_load_text() of no text
 * makes an empty file.
 *
 * Between two plain files, without a `where` and with LIDO_CONFLICT_ABORT, the source is
 * attached to the target's connection while the copy runs, and detached however it ends: it
 * takes half the time.  If neither is in WAL mode, the source's write lock is taken too,
 * through its gate, and its readers go on; if the source is, its writers do.  On a static pool
 * nothing is attached.
 *
 * A table that is made is like the first, as with lido_table_backup(), without its triggers
 * unless they are asked for.  Indexes and triggers keep their names where these are free.  A
 * trigger that does not work in the target, for it lacks a table, makes the copy fail.
 *
 * Of some columns the table has these as they were declared, in the order that they had, and
 * of constraints and indexes those that need no other column; result->lost says which kinds
 * had to be left out.  The primary key is there if all of its columns are.  Where what is
 * declared with one column names another that is not there (a CHECK, a generated column), the
 * copy fails: copy that one too, or append to a table that you have made.
 *
 * Rows that are appended go by the names of the
 * columns: each of the source needs one of that name; the others get their default.  Rowids
 * are kept where the table is made.  The triggers of a table that rows are appended to run,
 * and a row that LIDO_CONFLICT_REPLACE puts out of the way is one deleted: where PRAGMA
 * foreign_keys is on, ON DELETE CASCADE takes its children with it.
 *
 * At the end the foreign keys of the table are checked, whatever PRAGMA foreign_keys is; and
 * those that refer to it, where rows of it were replaced.  A row that has no parent, also one
 * that was there before, makes the copy fail.
 *
 * Ownership: borrows everything until it returns; *result (NULL allowed) is zeros on failure.
 * Threads:   any; the calling one does all of it.
 * Fails:     as lido_table_backup(); SQLITE_CONSTRAINT and its kinds (a conflict;
 *            SQLITE_CONSTRAINT_FOREIGNKEY: that check); SQLITE_MISUSE (also: a table into
 *            itself; a `where` that is more than an expression), LIDO_NOT_FOUND (also: no
 *            column of a name), SQLITE_RANGE (not as many
 *            values as `where` has parameters), LIDO_BAD_TEXT (a name or a value that is no
 *            UTF-8).
 */
LIDO_API int lido_table_copy(struct lido_database from, const char *table,
                             struct lido_database into,
                             const struct lido_table_copy_options *options,
                             struct lido_table_result *result,
                             struct lido_error *err) LIDO_CHECKED;

#ifdef __cplusplus
}
#endif
#endif
