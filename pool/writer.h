/* SPDX-License-Identifier: MIT */
#ifndef LIDO_POOL_WRITER_H
#define LIDO_POOL_WRITER_H

/*
 * The connection of the runs that have the write gate; pool/writer.c.
 */
#include "pool/pool.h"

/* LENT to the caller; NULL if the pool has none for the asking: it is in use, or the kind has
   none, or first_connect has not run.  LIDO_CLOSED, SQLITE_NOMEM. */
int lido__writer_claim(lido_pool *pool, struct lido_record **out, struct lido_error *err)
    LIDO_TSA(locks_excluded(pool->lock));
/* pool/checkout.c: the same with a connection and its checkout hooks; *out is empty if there is
   none.  Borrows options, whose timeout_ms is one. */
int lido__writer_checkout(lido_pool *pool, struct lido_conn *out,
                          const struct lido_checkout_options *options,
                          struct lido_error *err) LIDO_TSA(locks_excluded(pool->lock));
/* RETURNING: it waits for the next. */
void lido__writer_park_locked(lido_pool *pool, struct lido_record *record)
    LIDO_TSA(requires_capability(pool->lock));
/* Closes it if nobody has it. */
int lido__writer_close(lido_pool *pool, struct lido_error *err)
    LIDO_TSA(locks_excluded(pool->lock));
/* The same if it was parked before that. */
int lido__writer_trim(lido_pool *pool, int64_t before_ns, struct lido_error *err)
    LIDO_TSA(locks_excluded(pool->lock));

#endif
