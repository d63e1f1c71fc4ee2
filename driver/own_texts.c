/* SPDX-License-Identifier: MIT */
/*
 * A BEGIN that is prepared names the databases that it locks, and ATTACH does not prepare it
 * again.  So none is kept, nor used, while anything is attached.
 *
 * Threads: see the header.
 */
#include "driver/own_texts.h"
#include "base/sqlite.h"

#include <string.h>

/* The one of the text, prepared now if need be; NULL if it cannot be kept. */
static sqlite3_stmt *find(struct lido__own_texts *texts, sqlite3 *db, const char *sql)
{
    int i = 0;

    while (i < LIDO__OWN_TEXTS && texts->at[i].sql != NULL && texts->at[i].sql != sql)
        i++;
    if (i == LIDO__OWN_TEXTS)
        return NULL;
    if (texts->at[i].sql == NULL &&
        sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, &texts->at[i].handle,
                           NULL) == SQLITE_OK)
        texts->at[i].sql = sql;
    return texts->at[i].handle;
}

int lido__own_texts_run(struct lido__own_texts *texts, sqlite3 *db, const char *sql)
{
    sqlite3_stmt *handle = NULL;

    if (texts != NULL && !lido__sqlite_may_have_attached(db))
        handle = find(texts, db, sql);
    if (handle == NULL) /* which says what was wrong with preparing it, too */
        return sqlite3_exec(db, sql, NULL, NULL, NULL);
    sqlite3_step(handle);
    return sqlite3_reset(handle);
}

void lido__own_texts_drop(struct lido__own_texts *texts)
{
    for (int i = 0; i < LIDO__OWN_TEXTS; i++)
        sqlite3_finalize(texts->at[i].handle);
    memset(texts, 0, sizeof *texts);
}
