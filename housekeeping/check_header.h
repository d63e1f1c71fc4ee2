/* SPDX-License-Identifier: MIT */
#ifndef LIDO_HOUSEKEEPING_CHECK_HEADER_H
#define LIDO_HOUSEKEEPING_CHECK_HEADER_H

/*
 * The header of a database: see check_header.c.
 *
 * Threads: the one that runs the check.
 */
#include "housekeeping/check_found.h"
#include "housekeeping/child.h"

/* Facts by the header, and the verdict if that is not sound; a WAL may hold the rest of a file
   that is shorter than its header says. */
void lido__check_header(struct lido__checking *checking, const struct lido__looked *looked);

#endif
