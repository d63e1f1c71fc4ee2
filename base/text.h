/* SPDX-License-Identifier: MIT */
#ifndef LIDO_BASE_TEXT_H
#define LIDO_BASE_TEXT_H

#include <lido/status.h>

#include <stdbool.h>

/*
 * Makes one line of whole characters of a text: a control character becomes a blank, and what
 * is no character of UTF-8, or was cut by a precision in a format, a question mark.  One that
 * the end of its buffer cut (is_full) goes without a trace.
 */
void lido__text_tidy(char *text, bool is_full);

/* What a function of the host's answered, with the story that it told, or with none: `err` has
   the code that is returned, and a text.  Answers rc. */
int lido__fail_by_host(struct lido_error *err, int rc, const struct lido_error *story);

#endif
