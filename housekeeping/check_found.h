/* SPDX-License-Identifier: MIT */
#ifndef LIDO_HOUSEKEEPING_CHECK_FOUND_H
#define LIDO_HOUSEKEEPING_CHECK_FOUND_H

/*
 * A check under way, and what it found so far.
 *
 * Threads: the one that runs the check.
 */
#include "housekeeping/work.h"

#include <lido/check.h>

struct lido__checking {
    const struct lido_check_options *options;
    struct lido__work work;
    struct lido_check out;
    sqlite3_str *lines; /* the problems, each with a newline behind it */
    bool wants_copy;    /* lido__check_sql() stopped: see there */
};

/* One problem more.  Of those beyond max_problems it is kept only that there are more. */
void lido__check_add(struct lido__checking *checking, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Those that were added are none. */
void lido__check_forget_problems(struct lido__checking *checking);

/* The verdict; once it is given it stays. */
void lido__check_give(struct lido__checking *checking, int verdict);

/* Both. */
void lido__check_say(struct lido__checking *checking, int verdict, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Nothing was found, and nothing read. */
void lido__check_forget(struct lido__checking *checking);

/* The problems to the host, line by line: SQLITE_NOMEM, or what the host's function said. */
int lido__check_tell(struct lido__checking *checking, struct lido_error *err);

#endif
