/* SPDX-License-Identifier: MIT */
#ifndef LIDO_DRIVER_DRIVER_H
#define LIDO_DRIVER_DRIVER_H

/*
 * A driver as a pool uses it: the table together with its context.
 */
#include <lido/sys/driver.h>
#include <stdbool.h>

struct lido__driver {
    const struct lido_driver *table;
    void *ctx;
};

/* The driver of that name, a host's own before the built-in.  LIDO_NOT_FOUND, and err lists
   the names that there are. */
int lido__driver_find(struct lido__driver *out, const char *name, struct lido_error *err);

#endif
