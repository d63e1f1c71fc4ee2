/* SPDX-License-Identifier: MIT */
#ifndef LIDO_CLI_OPEN_H
#define LIDO_CLI_OPEN_H

/*
 * A database by its path.
 */
#include "cli/command.h"

/* A pool on the file `path`, whose connections wait for locks as --timeout says; nothing is
   opened yet.  LIDO_NOT_FOUND: there is no such file. */
int open_pool(struct call *call, const char *path, lido_pool **pool);
/* These two answer `rc`, that of an error, and put behind its text what is known of the files.
   No pool of this process has them open any more. */
/* Of a database that is read: that it needs a log which this user cannot make. */
int open_advise_log(struct call *call, const char *path, int rc);
/* Of two databases: which of them the error is about, if it does not say so. */
int open_advise_which(struct call *call, const char *one, const char *other, int rc);
/* Are both names of one file that is there? */
bool open_is_same(const char *one, const char *other);
/* A pool on the first operand, to be freed, and a lease on it that Ctrl-C ends.
   LIDO_NOT_FOUND: there is no such file, and none is made. */
int open_database(struct call *call, lido_pool **pool, struct lido_conn *conn);
/* Both go.  `rc` is what it answers. */
int open_end(lido_pool *pool, struct lido_conn *conn, int rc);

#endif
