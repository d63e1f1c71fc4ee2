/* SPDX-License-Identifier: MIT */
#ifndef LIDO_HOUSEKEEPING_STORED_H
#define LIDO_HOUSEKEEPING_STORED_H

/*
 * A stored database: a file that is read and checked, and left as it is.
 *
 * Threads: one.
 */
#include "housekeeping/work.h"

#include <sys/stat.h>

#define LIDO__CHECK_READS 2 /* quick_check reads the trees, then what is in their rows */

struct lido__stored {
    sqlite3 *db; /* NULL: closed */
    unsigned page_size;
    uint64_t pages; /* in the file; a log may have more */
    int encoding;   /* of texts: SQLITE_UTF8, SQLITE_UTF16LE, SQLITE_UTF16BE; 0: not said */
    bool has_lock;  /* else nobody is kept from writing it */
    struct stat status;      /* as it was opened */
    struct lido__work *work; /* whose end ends a wait for a lock, as this time does: */
    int64_t deadline_ns;
};

/* Opens the file by its absolute name for reading, and pins what it holds now.  It must be one
   of SQLite's: not missing, empty, or anything else.  It waits up to 5 s for a lock of others;
   `stored` stays where it is, and `work` is there, until it is closed. */
int lido__stored_open(struct lido__stored *stored, const char *path,
                      struct lido__work *work, struct lido_error *err);
void lido__stored_close(struct lido__stored *stored);

/* SQLITE_BUSY: somebody has written the file since it was opened, and what was read may be a
   mix.  Where it has a lock nobody can. */
int lido__stored_expect_unchanged(const struct lido__stored *stored, const char *path,
                                  struct lido_error *err);

/* Reads all of it: SQLITE_CORRUPT says what is damaged.  *is_checked is false, and the answer
   LIDO_OK, where the schema needs what SQLite alone has not; *why says what. */
int lido__stored_check(struct lido__stored *stored, const char *path,
                       struct lido__work *work, bool *is_checked, struct lido_error *why,
                       struct lido_error *err);

/* Of an open connection: the file of its main database, false if it has none, or has one that
   was moved or removed; is it a file's at all; and the size of its pages and the encoding of
   its texts, as above, 0 if that cannot be read. */
bool lido__database_file(sqlite3 *db, struct stat *status);
bool lido__database_is_file(sqlite3 *db);
/* SQLITE_READONLY_DBMOVED: the name leads to another file than SQLite has open, or to none. */
int lido__database_expect_in_place(sqlite3 *db, const char *path, struct lido_error *err);
unsigned lido__page_size(sqlite3 *db);
int lido__encoding(sqlite3 *db);

#endif
