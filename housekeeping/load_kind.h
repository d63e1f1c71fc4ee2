/* SPDX-License-Identifier: MIT */
#ifndef LIDO_HOUSEKEEPING_LOAD_KIND_H
#define LIDO_HOUSEKEEPING_LOAD_KIND_H

/*
 * What a statement of a loaded text is, by its words.
 *
 * Threads: any.
 */
#include <stddef.h>

enum lido__load_kind {
    LIDO__LOAD_PLAIN,
    LIDO__LOAD_BEGIN,
    LIDO__LOAD_COMMIT,
    LIDO__LOAD_REFUSED,
    LIDO__LOAD_PRAGMA,
    LIDO__LOAD_IGNORED,
    LIDO__LOAD_AT_FIRST, /* how an empty file is to be made */
    LIDO__LOAD_ENCODING, /* the same, and what the text's bytes mean */
    LIDO__LOAD_SCHEMA,   /* opens the schema's table */
    LIDO__LOAD_PROCESS   /* changes what all connections of the process have */
};

/* The word that it is known by goes into `word`. */
enum lido__load_kind lido__load_kind(const char *statement, char *word, size_t size);
/* What stands behind blanks and comments. */
const char *lido__load_skip(const char *text);

#endif
