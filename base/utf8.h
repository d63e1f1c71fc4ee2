/* SPDX-License-Identifier: MIT */
#ifndef LIDO_BASE_UTF8_H
#define LIDO_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>

/*
 * True if the bytes are UTF-8 as Unicode defines it (table 3-7 of its chapter 3): nothing
 * overlong, no surrogates, nothing beyond U+10FFFF, nothing cut.  NUL is a character.
 */
bool lido__utf8_is_valid(const char *text, size_t size);

#endif
