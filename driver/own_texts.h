/* SPDX-License-Identifier: MIT */
#ifndef LIDO_DRIVER_OWN_TEXTS_H
#define LIDO_DRIVER_OWN_TEXTS_H

/*
 * BEGIN, COMMIT and ROLLBACK, prepared once for a connection: to prepare one takes longer than
 * to run it.
 *
 * Threads: who calls holds the connection's mutex, or is the only one who has it.
 */
#include <sqlite3.h>

#define LIDO__OWN_TEXTS 8 /* more than there are ways to begin and to end */

struct lido__own_texts {
    struct {
        const char *sql; /* constant, of the library's: known by its address */
        sqlite3_stmt *handle;
    } at[LIDO__OWN_TEXTS];
};

/* As sqlite3_exec(), but that the statement stays; NULL: it does not. */
int lido__own_texts_run(struct lido__own_texts *texts, sqlite3 *db, const char *sql);

/* Finalizes all. */
void lido__own_texts_drop(struct lido__own_texts *texts);

#endif
