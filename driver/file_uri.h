/* SPDX-License-Identifier: MIT */
#ifndef LIDO_DRIVER_FILE_URI_H
#define LIDO_DRIVER_FILE_URI_H

/*
 * SQLite's own URIs, file:PATH?key=value, read as sqlite3_open_v2() reads them
 * (https://sqlite.org/uri.html).  SQLite can be asked for their parts only once such a file
 * is open, which is too late to choose a pool by them or to refuse one.
 */
#include <lido/url.h>
#include <stdbool.h>
#include <stddef.h>

bool lido__is_file_uri(const char *name);

/* The first size - 1 bytes of the decoded path. */
void lido__file_uri_path(const char *uri, char *path, size_t size);

/* Is `key` in its query, with this value or (NULL) with any?  Values of up to 15 bytes. */
bool lido__file_uri_has(const char *uri, const char *key, const char *value);

/*
 * `name` (a path, or a URI) as a URI with those of the params that `is_taken` refuses,
 * sorted by key as SQLAlchemy has it, and then `immutable=1` if asked for.
 *
 * Ownership: the answer is to be freed; NULL: out of memory.
 */
char *lido__file_uri_make(const char *name, const struct lido_param *params,
                          size_t n_params, bool (*is_taken)(const char *key),
                          bool is_immutable);

#endif
