/* SPDX-License-Identifier: MIT */
/*
 * The authorizer, and what is done when a lease ends: driver/session.h has the idea.
 *
 * Setting an authorizer makes SQLite prepare every statement again, so lido's is set once.  A
 * lease's own is chained behind it, and only that costs the statements.
 *
 * Threads: driver/session.h.
 */
#include "driver/session.h"

#include <stdio.h>
#include <string.h>

static void note_unknown(struct lido_session *session, const char *kind, const char *name)
{
    if (!session->has_unknown)
        snprintf(session->unknown, sizeof session->unknown, "%s%.40s", kind, name);
    session->has_unknown = true;
}

/* A pragma that only asks changes nothing. */
static void note_pragma(struct lido_session *session, const char *name, const char *value)
{
    unsigned place;

    if (session->is_muted || name == NULL || value == NULL)
        return;
    switch (lido__pragma_effect(name, &place)) {
    case LIDO__PRAGMA_PASSES: break;
    case LIDO__PRAGMA_STAYS: session->pragmas |= UINT64_C(1) << place; break;
    case LIDO__PRAGMA_UNKNOWN: note_unknown(session, "PRAGMA ", name); break;
    }
}

/* A virtual table is told as one, or as a row of the temporary schema, by the version. */
static void note_if_temp(struct lido_session *session, const char *database)
{
    if (database != NULL && strcmp(database, "temp") == 0)
        session->may_have_more = true;
}

static unsigned char kind_of(int action, const char *database)
{
    switch (action) {
    case SQLITE_SELECT:
    case SQLITE_READ:
    case SQLITE_FUNCTION:
    case SQLITE_RECURSIVE: return 0;
    case SQLITE_INSERT:
    case SQLITE_UPDATE:
    case SQLITE_DELETE:
    case SQLITE_CREATE_TEMP_INDEX:
    case SQLITE_CREATE_TEMP_TABLE:
    case SQLITE_CREATE_TEMP_TRIGGER:
    case SQLITE_CREATE_TEMP_VIEW:
    case SQLITE_DROP_TEMP_INDEX:
    case SQLITE_DROP_TEMP_TABLE:
    case SQLITE_DROP_TEMP_TRIGGER:
    case SQLITE_DROP_TEMP_VIEW:
        return database != NULL && strcmp(database, "temp") == 0 ? LIDO__WRITES_TEMP
                                                                 : LIDO__WRITES_ELSE;
    default: return LIDO__WRITES_ELSE;
    }
}

static int authorize(void *session_, int action, const char *first, const char *second,
                     const char *database, const char *trigger)
{
    struct lido_session *session = session_;

    session->is_heard = true;
    session->writes |= kind_of(action, database);
    switch (action) {
    case SQLITE_PRAGMA: note_pragma(session, first, second); break;
    case SQLITE_ATTACH:
    case SQLITE_CREATE_TEMP_INDEX:
    case SQLITE_CREATE_TEMP_TABLE:
    case SQLITE_CREATE_TEMP_TRIGGER:
    case SQLITE_CREATE_TEMP_VIEW: session->may_have_more = true; break;
    case SQLITE_CREATE_VTABLE:
    case SQLITE_INSERT: note_if_temp(session, database); break;
    case SQLITE_FUNCTION:
        if (second != NULL && sqlite3_stricmp(second, "load_extension") == 0)
            note_unknown(session, "", "load_extension()");
        break;
    default: break;
    }
    return session->host == NULL
               ? SQLITE_OK
               : session->host(session->host_ctx, action, first, second, database, trigger);
}

void lido__session_watch(sqlite3 *db, struct lido_session *session)
{
    session->is_watched = true;
    sqlite3_set_authorizer(db, authorize, session);
}

static int ask_wal_autocheckpoint(sqlite3 *db)
{
    sqlite3_stmt *stmt;
    int pages = -1;

    if (sqlite3_prepare_v2(db, "PRAGMA wal_autocheckpoint", -1, &stmt, NULL) != SQLITE_OK)
        return -1;
    if (sqlite3_step(stmt) == SQLITE_ROW)
        pages = sqlite3_column_int(stmt, 0);
    return sqlite3_finalize(stmt) == SQLITE_OK ? pages : -1;
}

bool lido__session_begin(sqlite3 *db, struct lido_session *session, bool keeps)
{
    if (!session->is_watched)
        return true;
    session->is_heard = false;
    session->wal_autocheckpoint = ask_wal_autocheckpoint(db);
    if (keeps)
        session->before = lido__session_values_take(db);
    session->pragmas = 0;
    session->has_unknown = false;
    if (!session->is_heard)
        session->may_have_more = true;
    return session->is_heard;
}

void lido__session_end(struct lido_session *session)
{
    lido__session_values_free(session->before);
    *session = (struct lido_session){ 0 };
}

/* Four calls that write a few words each.  They answer the contexts of what was there, not
   whether anything was, so none can be spared.  Of the progress handler the pool has one of its
   own, which it sets again. */
static void drop_hooks(sqlite3 *db, const struct lido_session *session)
{
    sqlite3_commit_hook(db, NULL, NULL);
    sqlite3_rollback_hook(db, NULL, NULL);
    sqlite3_update_hook(db, NULL, NULL);
    if (session->wal_autocheckpoint >= 0)
        sqlite3_wal_autocheckpoint(db, session->wal_autocheckpoint);
}

void lido__session_leave(sqlite3 *db, struct lido_session *session)
{
    if (session->host != NULL)
        lido__session_set_host(db, session, NULL, NULL);
    if (session->is_watched)
        drop_hooks(db, session);
}

void lido__session_tell(struct lido_session *session, char *text, size_t size)
{
    unsigned place = 0;

    if (session->is_declared) {
        snprintf(text, size, "%s", session->declared);
    } else if (session->has_unknown) {
        snprintf(text, size, "%s", session->unknown);
    } else {
        while ((session->pragmas >> place & 1) == 0)
            place++;
        snprintf(text, size, "PRAGMA %s", lido__pragma_at(place));
    }
    session->pragmas = 0;
    session->has_unknown = false;
    session->is_declared = false;
}

void lido__session_set_host(sqlite3 *db, struct lido_session *session,
                            lido_authorizer_fn authorizer, void *ctx)
{
    sqlite3_mutex *mutex = sqlite3_db_mutex(db);

    sqlite3_mutex_enter(mutex);
    session->host = authorizer;
    session->host_ctx = ctx;
    sqlite3_set_authorizer(db, authorize, session);
    if (authorizer == NULL && !session->is_watched)
        sqlite3_set_authorizer(db, NULL, NULL);
    sqlite3_mutex_leave(mutex);
}
