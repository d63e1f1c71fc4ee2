/* SPDX-License-Identifier: MIT */
#ifndef LIDO_DUMP_H
#define LIDO_DUMP_H

#include <lido/job.h>
#include <lido/status.h>
#include <stddef.h>
#include <stdint.h>

/*
 * A database as SQL text, and the way back.
 *
 * The text is one that the sqlite3 shell reads as well as lido_load(), and what is read back
 * has the same schema and the same values: reals to the last bit, texts that hold a NUL or
 * are no UTF-8, 64-bit integers.  One read transaction spans all of it, so it is the database
 * at one moment, whoever writes meanwhile.
 *
 * Its order: page size, encoding and the like; tables, each followed by its rows;
 * sqlite_sequence; sqlite_stat1 and 4; indexes; views; triggers; virtual tables.  A virtual
 * table is written as its row of sqlite_master, and the tables in which it keeps its data are
 * written like others, so that its module need not be there, neither now nor when it is read.
 * Without has_data it is written as CREATE VIRTUAL TABLE, and its module makes those tables.
 *
 * A text that holds a NUL or is no text is written as its bytes, which are the same text in a
 * database of the same encoding only.
 *
 * Not in it: the journal mode, and -0.0 where SQLite does not store it.  Only the main
 * database is dumped, no temporary and no attached one.
 */

#ifdef __cplusplus
extern "C" {
#endif

struct lido_dump_options {
    size_t size;                /* sizeof this struct */
    const struct lido_job *job; /* progress in "rows", and an early end (NULL) */
    /* Only tables and views whose name is LIKE this, with '\' as the escape, and what belongs
       to them: indexes, triggers, the tables of a virtual table.  Statistics, user_version
       and application_id are left out then (NULL: all). */
    const char *tables;
    int has_schema; /* CREATE ... and pragmas (1) */
    /* INSERT ...; without has_schema not that of virtual tables, nor statistics (1) */
    int has_data;
    int has_transaction; /* PRAGMA foreign_keys=OFF, BEGIN and COMMIT around it (1) */
    /* The rowids of tables without an INTEGER PRIMARY KEY are written too; without it those
       tables get other ones.  A table with columns named rowid, oid and _rowid_ always does
       (1). */
    int keep_rowids;
};
#define LIDO_DUMP_OPTIONS_INIT                                                             \
    {                                                                                      \
        sizeof(struct lido_dump_options), NULL, NULL, 1, 1, 1, 1                           \
    }

/*
 * Writes a database as SQL text: `line` is called for each statement, which ends in ";\n".
 * A statement has one row at most, and so has the memory that is needed.
 *
 * `line` is called on the calling thread, with no lock held, and may call lido, but not write
 * the same database.  Another answer than LIDO_OK ends the dump, which answers the same.
 *
 * Ownership: borrows everything until it returns; text is lent until `line` returns and has a
 *            NUL behind it.
 * Threads:   any.
 * Fails:     LIDO_NOT_FOUND (no such file; no table or view is like `tables`),
 *            SQLITE_NOTADB, SQLITE_MISUSE, LIDO_BAD_OPTION, SQLITE_TOOBIG (a row that no
 *            statement can hold), LIDO_CANCELLED, LIDO_TXN_TIMEOUT; as lido_pool_open(),
 *            lido_pool_checkout() and lido_txn_begin(); what `line` or SQLite answered.
 */
typedef int (*lido_dump_fn)(void *ctx, const char *text, size_t length,
                            struct lido_error *err);
LIDO_API int lido_dump(struct lido_database at, const struct lido_dump_options *options,
                       lido_dump_fn line, void *ctx, struct lido_error *err) LIDO_CHECKED;

/*
 * The same by asking for one statement after the other.  It has a lease and a read
 * transaction from the beginning to the last statement or the first error.
 *
 * lido_dump_next() answers SQLITE_ROW with a statement in *text, of *length bytes (NULL
 * allowed) and a NUL behind them; SQLITE_DONE after the last; or an error, and then the same
 * one always.  A progress function that ends it by one of these two codes is told as
 * SQLITE_MISUSE.
 *
 * Ownership: on success give *out to lido_dump_free(); on failure *out is NULL.  Options are
 *            copied, the job's functions and token borrowed until it is freed.  *text is lent
 *            until the next call.
 * Threads:   lido_dump_new(): any; the others: the one that made it, until the end or an error,
 *            and then one at a time.
 * Fails:     as lido_dump(); LIDO_WRONG_THREAD, LIDO_FORKED.
 */
struct lido_dump;
LIDO_API int lido_dump_new(struct lido_dump **out, struct lido_database at,
                           const struct lido_dump_options *options,
                           struct lido_error *err) LIDO_CHECKED;
LIDO_API int lido_dump_next(struct lido_dump *dump, const char **text, size_t *length,
                            struct lido_error *err) LIDO_CHECKED;
/* NULL: does nothing.  Nor does it by another thread or in a child of fork() before the dump is
   over, which its own thread is then to free; one that is over is freed by any. */
LIDO_API void lido_dump_free(struct lido_dump *dump);

struct lido_load_options {
    size_t size;                /* sizeof this struct */
    const struct lido_job *job; /* progress in "statements", and an early end (NULL) */
    int may_create;             /* a path that is missing is made (1) */
    /* At the end no row of the database may lack the one that its foreign key names; while it
       runs, foreign keys are off in any case (1) */
    int check_foreign_keys;
    /* How long the text is, for the share that progress tells; 0: not known.  lido_load_text()
       knows it by itself (0) */
    int64_t text_bytes;
};
#define LIDO_LOAD_OPTIONS_INIT                                                             \
    {                                                                                      \
        sizeof(struct lido_load_options), NULL, 1, 1, 0                                    \
    }

struct lido_load_result {
    size_t size;         /* sizeof this struct */
    uint64_t statements; /* that were executed */
    uint64_t bytes;      /* that were read */
    uint64_t line;       /* on which the last statement began, or where it failed; from 1 */
};
#define LIDO_LOAD_RESULT_INIT                                                              \
    {                                                                                      \
        sizeof(struct lido_load_result), 0, 0, 0                                           \
    }

/*
 * Executes SQL text, all of it or nothing, in one transaction that begins IMMEDIATE.  `read`
 * fills at most `size` bytes of `buffer` and sets *length, 0 at the end of the text.  The
 * longest statement is what is kept in memory.  Rows that a statement answers are thrown away.
 *
 * The last statement needs no semicolon.  BEGIN and COMMIT in the text are left out, for a
 * dump has them; one without the other is an error, as the text is likely to be cut.  Refused
 * are ROLLBACK, SAVEPOINT, RELEASE, ATTACH, DETACH, VACUUM, an EXPLAIN of these or of a
 * pragma, the pragmas hard_heap_limit, soft_heap_limit, temp_store_directory and
 * data_store_directory, which are for the whole process, and the commands of the shell that
 * begin with a dot.  PRAGMA foreign_keys is left out, and page_size, encoding and auto_vacuum
 * have an effect on an empty database only; a text that a dump of another encoding says by its
 * bytes is then SQLITE_MISMATCH.
 * PRAGMA writable_schema works, for virtual tables are dumped so: text that you do not trust
 * may thus do to the database whatever it likes.
 * Where the connection has a temporary table of the same name as one of the database, rows
 * would go there: it is an error.  So it is to write to what the host has attached, or to its
 * temporary tables, but on a static or singleton_thread pool, where this is not looked at.
 * On a static pool a token or the job's time ends it between two statements, not inside one.
 * The text of an error begins with the line on which its statement begins.
 *
 * A file that was made for it stays, empty, where the load fails; then the only connection of
 * a memory database that was empty keeps the page size, encoding and auto_vacuum of the text.
 *
 * Ownership: borrows everything until it returns.
 * Threads:   any; `read` is called on the calling thread, also while the transaction is open,
 *            and must not use the same database.
 * Fails:     what SQLite says of a statement; SQLITE_ERROR (refused, cut, a dot command),
 *            SQLITE_CONSTRAINT_FOREIGNKEY, SQLITE_TOOBIG, SQLITE_MISUSE, LIDO_NOT_FOUND,
 *            LIDO_CANCELLED, LIDO_TXN_TIMEOUT; as lido_pool_open(), lido_pool_checkout(),
 *            lido_txn_begin() and lido_txn_commit(); what `read` answered.
 */
typedef int (*lido_load_fn)(void *ctx, char *buffer, size_t size, size_t *length,
                            struct lido_error *err);
LIDO_API int lido_load(struct lido_database at, const struct lido_load_options *options,
                       lido_load_fn read, void *ctx, struct lido_load_result *result,
                       struct lido_error *err) LIDO_CHECKED;
/* The same of a text of `length` bytes. */
LIDO_API int lido_load_text(struct lido_database at,
                            const struct lido_load_options *options, const char *text,
                            size_t length, struct lido_load_result *result,
                            struct lido_error *err) LIDO_CHECKED;

#ifdef __cplusplus
}
#endif
#endif
