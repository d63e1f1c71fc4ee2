/* SPDX-License-Identifier: MIT */
#ifndef LIDO_TXN_GATE_SET_H
#define LIDO_TXN_GATE_SET_H

/*
 * The gates of a connection that has other files attached; txn/gate_set.c.
 */
#include "txn/gate.h"

struct lido__gate_set; /* of all its files that it may write, in their order */

/* The gate of one of the connection's databases, in line with other processes if the pool is
   to be.  NULL: it has none.  SQLITE_NOMEM, SQLITE_CANTOPEN. */
int lido__gate_of_database(const struct lido_record *record, const char *schema,
                           struct lido__gate **out, struct lido_error *err);
bool lido__gate_set_is_needed(const struct lido_record *record);
/* SQLITE_NOMEM, SQLITE_CANTOPEN. */
int lido__gate_set_make(const struct lido_record *record, struct lido__gate_set **out,
                        struct lido_error *err);
void lido__gate_set_free(struct lido__gate_set *set); /* NULL: nothing happens */
/* All of them, or none.  `like` is whom each wait is to be like. */
bool lido__gate_set_try(const struct lido__gate_set *set,
                        const struct lido__gate_wait *like);
/* *at: the one that was not entered, if one was not. */
int lido__gate_set_enter(const struct lido__gate_set *set,
                         const struct lido__gate_wait *like, struct lido__gate **at);
void lido__gate_set_leave(const struct lido__gate_set *set);

#endif
