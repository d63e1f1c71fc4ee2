/* SPDX-License-Identifier: MIT */
#ifndef LIDO_DRIVER_SESSION_H
#define LIDO_DRIVER_SESSION_H

/*
 * What the leases of one connection have changed in it, as far as lido can know.
 *
 * lido's authorizer is told of every statement that is prepared.  It marks pragmas that leave
 * something in the connection, and remembers whether there ever was a temporary object or an
 * attached database, so that a connection that never had any need not be asked at its return.
 * What no authorizer sees the host declares.  The hooks of the raw handle cannot be asked for,
 * and are set anew at each return.
 *
 * Threads: the block is its record's.  The authorizer writes it with SQLite's own mutex of
 * the handle held, where threads share one; `declared` is guarded by the pool's lock; the rest
 * is the holder's, and the last one's where leases share.
 */
#include <lido/sys/driver.h>
#include <stdbool.h>
#include <stdint.h>

#define LIDO__WRITES_TEMP 1 /* temporary objects */
#define LIDO__WRITES_ELSE 2 /* or anything that is not known to be so */

struct lido_session {
    /* Read at every return. */
    bool is_watched;    /* the guard is on: the authorizer is set */
    bool is_muted;      /* what puts things right is running: its pragmas are not marked */
    bool may_have_more; /* there may be a temporary object or an attached database */
    bool has_unknown;   /* something was changed that has no place in `pragmas` */
    bool is_declared;
    int wal_autocheckpoint; /* after the connect hooks; -1: not known */
    uint64_t pragmas; /* which were changed: driver/session_pragma.c has their places */
    lido_authorizer_fn host; /* asked after lido's; NULL: none */
    void *host_ctx;

    bool is_heard;        /* the authorizer was called */
    unsigned char writes; /* LIDO__WRITES_...: what it was asked for; for who prepares, who
                             sets it to 0 before */
    struct lido__session_values
        *before; /* of the pragmas; of a memory database's only home */
    char unknown[64];
    char declared[64];
};

/* True if something was changed that is not put right yet. */
static inline bool lido__session_is_marked(const struct lido_session *session)
{
    return session->pragmas != 0 || session->has_unknown || session->is_declared;
}

/* session.c */
/* Sets the authorizer on a new handle, before anybody else can set one. */
void lido__session_watch(sqlite3 *db, struct lido_session *session);
/* The state that a lease will find is that of now: the connect hooks have run.  `keeps` if
   pragmas have to be put back, because the connection cannot be replaced.  False if somebody
   has put another authorizer in the place of lido's. */
bool lido__session_begin(sqlite3 *db, struct lido_session *session, bool keeps);
/* The connection is closed, or the host's from now on: nothing is left in the block. */
void lido__session_end(struct lido_session *session);
/* The lease is over: its authorizer and its hooks go. */
void lido__session_leave(sqlite3 *db, struct lido_session *session);
/* What the marks say, and no marks any more. */
void lido__session_tell(struct lido_session *session, char *text, size_t size);
/* NULL takes it away.  Statements that are prepared already will be prepared again. */
void lido__session_set_host(sqlite3 *db, struct lido_session *session,
                            lido_authorizer_fn authorizer, void *ctx);

/* session_pragma.c */
enum lido__pragma_effect {
    LIDO__PRAGMA_UNKNOWN, /* by us; perhaps an extension's */
    LIDO__PRAGMA_PASSES,  /* leaves nothing in the connection */
    LIDO__PRAGMA_STAYS,   /* with a value: *place is its place in `pragmas` */
};
enum lido__pragma_effect lido__pragma_effect(const char *name, unsigned *place);
const char *lido__pragma_at(unsigned place);
/* The values of now; NULL if memory is out. */
struct lido__session_values *lido__session_values_take(sqlite3 *db);
void lido__session_values_free(struct lido__session_values *values);
/* Puts those back that can be, and takes their marks away. */
void lido__session_put_back(sqlite3 *db, struct lido_session *session);

#endif
