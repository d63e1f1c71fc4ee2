/* SPDX-License-Identifier: MIT */
#ifndef LIDO_HOUSEKEEPING_DUMP_H
#define LIDO_HOUSEKEEPING_DUMP_H

/*
 * What a dump is made of: values as SQL text, a table's rows.
 *
 * Threads: the one that has the lease.
 */
#include "housekeeping/seat.h"

/* --- dump_line.c: the text of a row ------------------------------------------------------ */

/* Once rc is an error (SQLITE_NOMEM, SQLITE_TOOBIG), nothing is added any more. */
struct lido__line {
    char *at;          /* used bytes of text; no NUL */
    size_t used, size; /* size: of the memory, 0 or more than used */
    size_t most;       /* as of any text of the connection */
    int rc;
};

void lido__line_begin(struct lido__line *line, sqlite3 *db);
void lido__line_end(struct lido__line *line);
/* Room behind the text for `size` bytes and a NUL; who writes them adds them to `used`.  NULL:
   rc says why. */
char *lido__line_room(struct lido__line *line, size_t size);
void lido__line_add(struct lido__line *line, const char *text, size_t size);
void lido__line_add_text(struct lido__line *line, const char *text);
void lido__line_add_integer(struct lido__line *line, int64_t number);

/* --- dump_value.c: a value as the text of a literal ------------------------------------- */

struct lido__literal {
    sqlite3_stmt *reader; /* reads a text as a real, as SQLite does */
    int encoding;         /* of texts in the database: SQLITE_UTF8, UTF16LE or UTF16BE */
};

int lido__literal_begin(struct lido__literal *literal, sqlite3 *db);
void lido__literal_end(struct lido__literal *literal);
/* Appends column `column` of the row that `row` is at.  SQLITE_NOMEM, or what `out` says. */
int lido__literal_append(struct lido__literal *literal, struct lido__line *out,
                         sqlite3_stmt *row, int column);
/* The same for a real; dump_real.c. */
int lido__real_add(struct lido__literal *literal, struct lido__line *line, double number);

/* --- dump_rows.c: the rows of a table as INSERT statements ------------------------------ */

struct lido__rows {
    sqlite3_stmt *select; /* NULL: none is open */
    char *insert;         /* "INSERT INTO t VALUES(" */
    size_t insert_length;
    bool has_sequence; /* the table is AUTOINCREMENT */
};

/* Opens main's table `name`.  Answers SQLite's code, and its text is the connection's.
   lido__rows_end() in any case. */
int lido__rows_begin(struct lido__rows *rows, sqlite3 *db, const char *name,
                     bool is_without_rowid, bool keep_rowids);
/* The same for a SELECT that is prepared: its columns are the table's.  Steals select. */
int lido__rows_begin_select(struct lido__rows *rows, const char *name,
                            sqlite3_stmt *select);
/* Appends one INSERT: SQLITE_ROW, SQLITE_DONE after the last, or an error. */
int lido__rows_next(struct lido__rows *rows, struct lido__literal *literal,
                    struct lido__line *out);
void lido__rows_end(struct lido__rows *rows);

#endif
