/* SPDX-License-Identifier: MIT */
#ifndef LIDO_DRIVER_STATEMENTS_H
#define LIDO_DRIVER_STATEMENTS_H

/*
 * The prepared statements of one connection to SQLite: those in use, and a cache of those that
 * are not.
 *
 * A use is named by a place, which is an index, and a number that is never used twice; so a
 * name that is out of date finds nothing, whatever stands in its place now.
 *
 * Threads: who calls holds the connection's mutex, or is the only one who has it.
 */
#include "driver/own_texts.h"
#include <lido/status.h>
#include <lido/stmt.h>

#include <stdbool.h>
#include <stddef.h>

/* What the first word of a text says. */
enum lido__verb {
    LIDO__VERB_OTHER,
    LIDO__VERB_BEGIN,   /* never kept: what it locks is settled when it is prepared */
    LIDO__VERB_TXN,     /* COMMIT, END, ROLLBACK, SAVEPOINT, RELEASE */
    LIDO__VERB_SETTING, /* PRAGMA, ATTACH, DETACH: never kept */
    LIDO__VERB_VACUUM,  /* not inside a transaction */
};

struct lido__statement {
    sqlite3_stmt *handle; /* NULL: the place is free */
    uint64_t number;      /* of the use; 0: nobody uses it */
    const void *owner;    /* the cell of the lease that does */
    enum lido__verb verb;
    bool is_running;  /* stepped, and neither at its end nor reset */
    bool is_stepping; /* SQLite is in it, and may have called the host */
    bool
        is_temp_only; /* it writes temporary objects and nothing else, as far as is known */
    int64_t since_ns; /* when the run began, if a hook wants to know */
    uint64_t hash;    /* of the text */
    size_t length;    /* of the text; 0: not to be kept */
    uint64_t last_use; /* counted */
    int next; /* the next idle one of the same bucket, or the next free place; -1 */
};

struct lido__statements;

/* What a text is: by its whole it is looked up and kept; a part, behind the first statement of
   one, is not: to look at all that follows for each would take the square of its length. */
enum lido__text { LIDO__TEXT_WHOLE, LIDO__TEXT_PART };

/* NULL if memory is out.  `keep`: how many idle ones. */
struct lido__statements *lido__statements_new(unsigned keep);
/* Finalizes all, as does _drop, after which it can be used for another connection. */
void lido__statements_free(struct lido__statements *all);
void lido__statements_drop(struct lido__statements *all);

/* The connection's BEGIN and the like; NULL where nothing is to be kept. */
struct lido__own_texts *lido__statements_own_texts(struct lido__statements *all);

/* From the cache, or prepared; in use by `owner`.  *rest (NULL: there must be none) is the text
   behind it; *out is NULL, with LIDO_OK, if there was no statement in the text. */
int lido__statements_take(struct lido__statements *all, sqlite3 *db, const char *sql,
                          enum lido__text how, const char **rest, const void *owner,
                          struct lido__statement **out, unsigned *place,
                          struct lido_error *err);

/* The one of that name; NULL if there is none any more. */
struct lido__statement *lido__statements_find(struct lido__statements *all, unsigned place,
                                              uint64_t number);

/* The use of one that does not run ends: back to the cache, or finalized. */
void lido__statements_give(struct lido__statements *all, struct lido__statement *one);

/* The same for all of an owner, running or not; NULL: of everybody. */
void lido__statements_give_all(struct lido__statements *all, const void *owner);

/* True if one of the owner's is running. */
bool lido__statements_run(const struct lido__statements *all, const void *owner);

/* Behind blanks, semicolons and comments. */
const char *lido__sql_skip_blanks(const char *sql);

unsigned lido__statements_in_use(const struct lido__statements *all);
void lido__statements_count(const struct lido__statements *all,
                            struct lido_statement_stats *out);

#endif
