/* SPDX-License-Identifier: MIT */
#ifndef LIDO_DRIVER_SQLITE_H
#define LIDO_DRIVER_SQLITE_H

/*
 * The built-in driver from inside: its keys, opening, pragmas, cleaning.
 *
 * Threads: one at a time for one handle, unless it was opened with is_shared.  What asks one
 * handle several times holds SQLite's own mutex of it meanwhile, so that the text of an error
 * is that of its own call; there is none where a handle is not shared, and nothing is locked.
 */
#include "driver/own_texts.h"
#include <lido/sys/driver.h>
#include <stdbool.h>

/* What the keys say. */
struct lido__sqlite_keys {
    int flags;       /* for sqlite3_open_v2(), but for how it is shared */
    const char *vfs; /* NULL: SQLite's default */
    int uri, immutable, dqs, trusted_schema, load_extension; /* truths */
    bool makes_file;                                         /* create=new */
};

/* sqlite_keys.c.  True if the key is this driver's. */
bool lido__sqlite_takes(const char *key);
/* LIDO_BAD_URL tells what is wrong with the keys; also with the values of pragmas. */
int lido__sqlite_read_keys(struct lido__sqlite_keys *out, const struct lido_connect *how,
                           struct lido_error *err);

/* sqlite_open.c */
int lido__sqlite_check(void *ctx, const struct lido_connect *how, struct lido_error *err);
int lido__sqlite_connect(void *ctx, const struct lido_connect *how, lido_record *record,
                         void **handle, struct lido_error *err);

/* sqlite_pragma.c */
bool lido__pragma_is(const char *key);
int lido__pragma_check(const struct lido_param *param, struct lido_error *err);
/* Sets one that was checked, and asks SQLite for it: LIDO_SETTING if it did not take. */
int lido__pragma_apply(sqlite3 *db, const struct lido_param *param, struct lido_error *err);

/* sqlite_property.c */
int lido__sqlite_property(void *ctx, void *handle, int which, int value, int *was,
                          struct lido_error *err);

/* sqlite_reset.c */
int lido__sqlite_reset(void *ctx, void *handle, int how, struct lido_reset *outcome,
                       struct lido_error *err);
unsigned lido__sqlite_reset_statements(sqlite3 *db);

/* sqlite_savepoint.c */
int lido__sqlite_savepoint(void *ctx, void *handle, int what, const char *name,
                           struct lido_error *err);

/* sqlite_temp.c: what a lease leaves behind besides tables in the files. */
/* False if this connection never had a temporary table: 10 ns. */
bool lido__temp_may_be(sqlite3 *db);
/* Also true if it cannot be told. */
bool lido__temp_has_any(sqlite3 *db);
int lido__temp_drop(sqlite3 *db, unsigned *dropped, struct lido_error *err);
int lido__attached_detach(sqlite3 *db, struct lido_error *err);

/* sqlite.c.  `err` gets the text that SQLite has for the last call on db, and rc is
   returned. */
int lido__sqlite_fail(sqlite3 *db, int rc, const char *doing, struct lido_error *err);
/* The table's begin, commit and rollback, with the statements that the connection keeps for
   them, or NULL. */
int lido__sqlite_begin(sqlite3 *db, struct lido__own_texts *texts, int mode,
                       struct lido_error *err);
int lido__sqlite_commit(sqlite3 *db, struct lido__own_texts *texts, const char *doing,
                        int *outcome, struct lido_error *err);
int lido__sqlite_rollback(sqlite3 *db, struct lido__own_texts *texts, int *outcome,
                          struct lido_error *err);

#endif
