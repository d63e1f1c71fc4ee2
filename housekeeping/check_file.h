/* SPDX-License-Identifier: MIT */
#ifndef LIDO_HOUSEKEEPING_CHECK_FILE_H
#define LIDO_HOUSEKEEPING_CHECK_FILE_H

/*
 * A check of a file: see check_file.c.
 *
 * Threads: the one that runs the check.
 */
#include "housekeeping/check_found.h"

/* The file of this name: a verdict, or none, which is that it is sound. */
int lido__check_path(struct lido__checking *checking, const char *path,
                     struct lido_error *err);

#endif
