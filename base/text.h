/* SPDX-License-Identifier: MIT */
#ifndef LIDO_BASE_TEXT_H
#define LIDO_BASE_TEXT_H

#include <stdbool.h>

/*
 * Makes one line of whole characters of a text: a control character becomes a blank, and what
 * is no character of UTF-8, or was cut by a precision in a format, a question mark.  One that
 * the end of its buffer cut (is_full) goes without a trace.
 */
void lido__text_tidy(char *text, bool is_full);

#endif
