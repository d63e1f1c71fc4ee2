/* SPDX-License-Identifier: MIT */
#ifndef LIDO_RECORD_H
#define LIDO_RECORD_H

#include <lido/conn.h>
#include <stdint.h>

/*
 * A record: one place of a pool, which may outlive several connections.
 *
 * Hooks get it, and who has a lease asks lido_conn_record() for it.  A record may be used by
 * the thread on which such a hook runs until it returns, and by the one that has the lease
 * until it ends; what is asked of one that is nobody's is not safe.
 *
 * Threads:   see above, for every function.
 */

#ifdef __cplusplus
extern "C" {
#endif

/* The driver's handle, NULL while there is none; and the same if it is SQLite's own. */
LIDO_API void *lido_record_handle(const lido_record *record);
LIDO_API sqlite3 *lido_record_sqlite(const lido_record *record);

/*
 * Makes sure that there is a connection: opens one where there is none, and another where it
 * is too old (`pool_recycle`) or was invalidated.  With first_connect and connect hooks.
 *
 * Fails:     what the driver or a hook returned, and then there is none; LIDO_FORKED;
 *            LIDO_SHARED (static, it is to be replaced, and others have it too).
 */
LIDO_API int lido_record_connect(lido_record *record, struct lido_error *err) LIDO_CHECKED;

/*
 * Closes the connection, with close hooks, and keeps the record.  Nothing if there is none.
 *
 * Fails:     what a close hook returned (the connection is still open); LIDO_FORKED;
 *            LIDO_SHARED (static, and others have it too).
 */
LIDO_API int lido_record_close(lido_record *record, struct lido_error *err);

/*
 * As lido_conn_invalidate() and lido_conn_invalidate_soft(), but the lease goes on, without
 * a connection after the first.  Nothing if there is none.
 *
 * Fails:     what a hook returned (nothing has changed then); LIDO_FORKED; LIDO_SHARED
 *            of the first (static, and others have it too).
 */
LIDO_API int lido_record_invalidate(lido_record *record, const struct lido_error *reason,
                                    struct lido_error *err);
LIDO_API int lido_record_invalidate_soft(lido_record *record,
                                         const struct lido_error *reason,
                                         struct lido_error *err);

/* The two pointers of the host's, as lido_conn_info() and its fellows. */
LIDO_API void lido_record_set_info(lido_record *record, void *info,
                                   void (*destroy)(void *info));
LIDO_API void lido_record_set_record_info(lido_record *record, void *info,
                                          void (*destroy)(void *info));
LIDO_API void *lido_record_info(const lido_record *record);
LIDO_API void *lido_record_record_info(const lido_record *record);

/* When the opening of its connection began, on the pool's age clock; 0: never yet. */
LIDO_API int64_t lido_record_started_ns(const lido_record *record);

/* 1 while it is lent. */
LIDO_API int lido_record_in_use(const lido_record *record);

#ifdef __cplusplus
}
#endif
#endif
