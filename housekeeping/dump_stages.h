/* SPDX-License-Identifier: MIT */
#ifndef LIDO_HOUSEKEEPING_DUMP_STAGES_H
#define LIDO_HOUSEKEEPING_DUMP_STAGES_H

/*
 * What a dump has to say, one statement after the other.
 *
 * Threads: the one that has the connection.
 */
#include "housekeeping/dump.h"

#include <lido/dump.h>

struct lido__stages {
    sqlite3 *db;                             /* in a transaction */
    const struct lido_dump_options *options; /* borrowed */
    struct lido__literal literal;
    sqlite3_str *text;      /* the statement, if it is no row */
    struct lido__line line; /* a row, or a literal */
    unsigned stage;         /* which */
    unsigned step;          /* of the stage: 0 at its beginning */
    sqlite3_stmt *list;     /* of what the stage goes through, or NULL */
    struct lido__rows rows;
    uint64_t rows_done;
    bool has_sequence; /* an AUTOINCREMENT table was dumped */
};

/* Zeroed is one that has ended.  These two answer SQLite's codes; the text of an error is the
   connection's. */
int lido__stages_begin(struct lido__stages *dump, sqlite3 *db,
                       const struct lido_dump_options *options);
/* SQLITE_ROW: the next statement, with a NUL behind it; SQLITE_DONE, or an error. */
int lido__stages_next(struct lido__stages *dump, const char **text, size_t *length);
/* Also a second time. */
void lido__stages_end(struct lido__stages *dump);

#endif
