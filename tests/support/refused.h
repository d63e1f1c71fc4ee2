/* SPDX-License-Identifier: MIT */
#ifndef LIDO_TESTS_REFUSED_H
#define LIDO_TESTS_REFUSED_H

/*
 * Jobs of housekeeping that are to be refused: with a code and a text, and nothing is changed.
 * Goes with the databases of jobs.h, which no one may have open when it looks.
 *
 * Threads: one.
 */
#include "tests/support/folder_listing.h"
#include "tests/support/jobs.h"

#include <criterion/criterion.h>
#include <string.h>

static struct lido_error err;
static char *before;

/* What no success writes to. */
static const struct lido_error untouched = { .code = -7, .text = "as before" };

static inline void refused_set_up(void)
{
    jobs_set_up("delete");
    before = folder_listing();
    err = untouched;
}

static inline void refused_tear_down(void)
{
    sqlite3_free(before);
    jobs_tear_down();
}

/* With a text and without one, and with nothing left behind. */
static inline void expect_refused(const char *what, const char *job, int rc, int silent_rc,
                                  int code)
{
    char *now = folder_listing();

    cr_expect_eq(rc, code, "%s, %s: %s: %s", what, job, lido_status_name(rc), err.text);
    cr_expect_eq(silent_rc, code, "%s, %s, silent: %s", what, job,
                 lido_status_name(silent_rc));
    cr_expect_eq(err.code, code, "%s, %s: %s", what, job, err.text);
    cr_expect_neq(err.text[0], '\0', "%s, %s", what, job);
    cr_expect_str_eq(now, before, "%s, %s: was\n%snow\n%s", what, job, before, now);
    sqlite3_free(now);
    err = untouched;
}

/* It may have done its work: everything as it was. */
static inline void expect_done(const char *what, int rc)
{
    cr_expect_eq(rc, LIDO_OK, "%s: %s: %s", what, lido_status_name(rc), err.text);
    cr_expect_eq(err.code, untouched.code, "%s: %s", what, err.text);
    cr_expect_str_eq(err.text, untouched.text, "%s", what);
    jobs_put_back();
    sqlite3_free(before);
    before = folder_listing();
    err = untouched;
}

#endif
