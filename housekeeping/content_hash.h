/* SPDX-License-Identifier: MIT */
#ifndef LIDO_HOUSEKEEPING_CONTENT_HASH_H
#define LIDO_HOUSEKEEPING_CONTENT_HASH_H

/*
 * One number for all that a database holds.
 *
 * Threads: one.
 */
#include "housekeeping/work.h"

#define LIDO__HASH_MOST 65 /* bytes of it as hexadecimal digits, and its NUL */

/* Of the main database of `db`, which has so many pages, inside its read transaction. */
int lido__content_hash(sqlite3 *db, uint64_t pages, struct lido__work *work,
                       char out[LIDO__HASH_MOST], struct lido_error *err);

#endif
