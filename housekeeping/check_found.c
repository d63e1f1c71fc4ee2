/* SPDX-License-Identifier: MIT */
/*
 * What a check found: its verdict, and the problems, line by line.
 *
 * The first verdict stays.  The problems are kept until the end, because those of a file that
 * was changed while it was read are forgotten, and it is read again.
 *
 * Does not: look for any.
 *
 * Threads: the one that runs the check.
 */
#include "housekeeping/check_found.h"

#include "base/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void add(struct lido__checking *checking, const char *format, va_list values)
    __attribute__((format(printf, 2, 0)));

static void add(struct lido__checking *checking, const char *format, va_list values)
{
    struct lido_check *out = &checking->out;
    char text[sizeof out->text];
    struct lido_error line;

    if (out->n_problems >= checking->options->max_problems) {
        out->has_more = 1;
        return;
    }
    vsnprintf(text, sizeof text, format, values);
    lido_fail(&line, SQLITE_CORRUPT, "%s", text); /* makes one line of it */
    if (out->n_problems++ == 0)
        memcpy(out->text, line.text, sizeof out->text);
    sqlite3_str_appendall(checking->lines, line.text);
    sqlite3_str_appendchar(checking->lines, 1, '\n');
}

void lido__check_add(struct lido__checking *checking, const char *format, ...)
{
    va_list values;

    va_start(values, format);
    add(checking, format, values);
    va_end(values);
}

void lido__check_give(struct lido__checking *checking, int verdict)
{
    if (checking->out.verdict == LIDO_CHECK_NONE)
        checking->out.verdict = verdict;
}

void lido__check_say(struct lido__checking *checking, int verdict, const char *format, ...)
{
    va_list values;

    va_start(values, format);
    add(checking, format, values);
    va_end(values);
    lido__check_give(checking, verdict);
}

void lido__check_forget_problems(struct lido__checking *checking)
{
    checking->out.n_problems = checking->out.has_more = 0;
    checking->out.text[0] = '\0';
    sqlite3_str_reset(checking->lines);
}

void lido__check_forget(struct lido__checking *checking)
{
    lido__check_forget_problems(checking);
    checking->out = (struct lido_check)LIDO_CHECK_INIT;
    checking->wants_copy = false;
}

int lido__check_tell(struct lido__checking *checking, struct lido_error *err)
{
    const struct lido_check_options *options = checking->options;
    char *line = sqlite3_str_value(checking->lines);

    if (sqlite3_str_errcode(checking->lines) != SQLITE_OK)
        return lido_fail(err, SQLITE_NOMEM, "no memory for the problems that were found");
    while (options->problem != NULL && line != NULL && *line != '\0') {
        char *end = strchr(line, '\n');
        struct lido_error story = LIDO_ERROR_INIT;
        int rc;

        *end = '\0';
        rc = options->problem(options->problem_ctx, line, &story);
        if (rc == SQLITE_DONE)
            break;
        if (rc != LIDO_OK)
            return lido__fail_by_host(err, rc, &story);
        line = end + 1;
    }
    return LIDO_OK;
}
