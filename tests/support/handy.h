/* SPDX-License-Identifier: MIT */
#ifndef LIDO_TESTS_HANDY_H
#define LIDO_TESTS_HANDY_H

/*
 * Handy: a pool on the fake driver and the fake clock, and the calls on it that are to
 * succeed, each of which fails the test if it does not.
 *
 * Threads: any; handy_err is for one.
 */
#include "tests/support/fake_clock.h"
#include "tests/support/fake_driver.h"
#include <lido/lido.h>

extern struct lido_error handy_err;

/* The defaults, with the fake clock; a checkout that finds nothing does not wait. */
struct lido_pool_options handy_options(const char *kind);

/* Installs the fake driver anew and opens fake:///any; or another URL as it is. */
lido_pool *handy_open(const struct lido_pool_options *options);
lido_pool *handy_open_url(const char *url, const struct lido_pool_options *options);

/* Closes it, with nothing left open. */
void handy_end(lido_pool *pool);

struct lido_conn handy_take(lido_pool *pool);
void handy_give(struct lido_conn *conn);
struct lido_pool_stats handy_stats(lido_pool *pool);

/* The number of the lease's connection; 0: none. */
int handy_number(const struct lido_conn *conn);

/* A name for a database that nobody has, /tmp/lido-NAME-XXXXXX.db. */
#define HANDY_FILE_SIZE 100
void handy_file(char path[HANDY_FILE_SIZE], const char *name);

/* Runs `body` on a thread of its own to its end. */
void handy_thread(void *(*body)(void *arg), void *arg);

#endif
